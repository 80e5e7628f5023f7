package doctor

// Check 4: the app's settings at Slack against what its code asks for. With SLACK_CONFIG_TOKEN Slack says what they are;
// without it, some of them show in what arrives and what doesn't.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/manifest"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
)

func settings(ctx context.Context, e *Examined) []Finding {
	found, known := e.compared(ctx)
	if e.Config.Install.BotToken == "" {
		found = append(found, e.redirect(ctx, known)...)
	}
	return append(found, e.arrivals(ctx)...)
}

// compared says what differs between the code and Slack. not known: Slack wasn't asked, or didn't say.
func (e *Examined) compared(ctx context.Context) (found []Finding, known bool) {
	const name = "slack_settings"
	id := e.Config.Install.AppID
	switch {
	case e.Offline:
		return []Finding{offline("the app's settings at Slack")}, false
	case !e.Tokens.Given():
		return []Finding{{Name: name, Status: Unknown,
			Text: "Slack shows the app's settings only with SLACK_CONFIG_TOKEN. Without it they are known by what arrives.",
			Fix: "generate a token at " + e.appsPage() + " (Your App Configuration Tokens), and set SLACK_CONFIG_TOKEN and " +
				"SLACK_CONFIG_REFRESH_TOKEN"}}, false
	case id == "":
		return []Finding{{Name: name, Status: Unknown, Text: "SLACK_APP_ID isn't set, so it isn't known which app to ask about.",
			Fix: "copy the App ID from " + e.appsPage() + " into SLACK_APP_ID"}}, false
	}

	ours, err := json.Marshal(e.Manifest)
	if err != nil {
		return []Finding{{Name: name, Status: Failed, Text: "The code's manifest can't be written: " + err.Error() + ".",
			Fix: e.Program + " manifest validate"}}, false
	}
	theirs, err := e.export(ctx, id)
	var wrong *server.ConfigError
	switch {
	case errors.As(err, &wrong):
		p := wrong.Problems[0]
		return []Finding{{Name: "config_token", Status: Warning, Text: p.Setting + " " + p.What + ".", Fix: p.Fix}}, false
	case err != nil:
		return []Finding{e.otherAnswer(name, "the app's settings", slackapi.SlackError(err), err)}, false
	}
	differ, err := manifest.Compare(ours, theirs)
	if err != nil {
		return []Finding{{Name: name, Status: Failed, Text: "What Slack exports can't be compared: " + err.Error() + ".",
			Fix: e.Program + " manifest diff"}}, false
	}
	return e.differences(differ), true
}

// export asks Slack. A renewal of the token on the way is seen through, whatever becomes of the check: the old one is
// spent by then.
func (e *Examined) export(ctx context.Context, app string) (exported json.RawMessage, err error) {
	type answer struct {
		manifest json.RawMessage
		err      error
	}
	got := make(chan answer, 1)
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	e.pending.Go(func() {
		defer cancel()
		client := manifest.Client{Slack: e.slack(), Tokens: e.Tokens}
		m, err := client.Export(ctx, app)
		got <- answer{m, err}
	})
	select {
	case a := <-got:
		return a.manifest, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mostSaid is how many differences of a group are said here.
const mostSaid = 10

// differences are findings, one for each group that has any.
func (e *Examined) differences(c manifest.Comparison) (found []Finding) {
	for _, group := range manifest.Groups {
		f := Finding{Name: "slack_" + group.Name, Status: OK}
		var said []string
		for _, d := range c.Of(group.Name) {
			f.Status = worse(f.Status, gravity(d))
			said = append(said, difference(d))
		}
		if len(said) == 0 {
			continue
		}
		f.Text = group.Title + ": " + strings.Join(said[:min(len(said), mostSaid)], "; ") + "."
		if more := len(said) - mostSaid; more > 0 {
			f.Text += fmt.Sprintf(" And %d more.", more)
		}
		f.Fix = fmt.Sprintf("%s manifest push makes Slack's what the code says (%s manifest diff shows it all); or change it "+
			"at %s", e.Program, e.Program, e.appPage("app-manifest"))
		found = append(found, f)
	}
	if len(found) == 0 {
		found = []Finding{{Name: "slack_settings", Status: OK, Text: "The app's settings at Slack are what its code asks for."}}
	}
	return found
}

// gravity tells what keeps the app from its work from what is only not the same.
func gravity(d manifest.Difference) Status {
	without := d.Change != manifest.Removed
	switch d.Group {
	case "addresses", "permissions", "events", "commands":
		if without {
			return Failed
		}
	case "settings":
		if without && (d.Setting == "Socket Mode" || d.Setting == "interactivity") {
			return Failed
		}
	}
	return Warning
}

// difference is one in words.
func difference(d manifest.Difference) string {
	name := d.Setting
	if d.Item != "" {
		name += " " + d.Item
	}
	switch {
	case d.Change == manifest.Removed && d.Item != "":
		return "Slack has the " + name + ", and the code doesn't"
	case d.Change == manifest.Added && d.Item != "":
		return "Slack doesn't have the " + name
	}
	return fmt.Sprintf("%s is %s at Slack and %s in the code", name, shown(d.Slack), shown(d.Code))
}

// shown is a value of a manifest in words.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "not set"
	case bool:
		return map[bool]string{true: "on", false: "off"}[v]
	case string:
		return v
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "another one"
	}
	return string(raw)
}

// redirectURL is what Slack has to have among its redirect URLs.
func (e *Examined) redirectURL() string { return e.Config.Install.PublicURL + "/slack/oauth_redirect" }

// redirect finds out whether Slack sends people back here, as far as it shows.
// known: Slack has said what its settings are.
func (e *Examined) redirect(ctx context.Context, known bool) []Finding {
	fix := "at " + e.appPage("oauth") + " under Redirect URLs, add exactly " + e.redirectURL() + " and save"
	if !e.Offline && !known && e.refusesRedirect(ctx) {
		return []Finding{{Name: "redirect_url", Status: Failed, Fix: fix,
			Text: "Slack refuses installs with bad_redirect_uri: " + e.redirectURL() + " isn't among the app's redirect URLs."}}
	}

	p, err := e.Process()
	if err != nil {
		return nil // deliveries says so
	}
	started, returned := installs(p)
	switch {
	case started == 0:
		return nil
	case returned == 0:
		return []Finding{{Name: "redirect_url", Status: Warning, Fix: "if Slack shows bad_redirect_uri: " + fix,
			Text: fmt.Sprintf("%s since the process started, and nobody came back from Slack. If somebody is just doing it, that is all.",
				startedInstalls(started))}}
	}
	return []Finding{{Name: "redirect_url", Status: OK, Text: fmt.Sprintf("Slack sends people back after they allow it: "+
		"%d of %s returned.", min(returned, started), Amount(started, "install"))}}
}

func startedInstalls(n int) string {
	if n == 1 {
		return "1 install was started"
	}
	return fmt.Sprintf("%d installs were started", n)
}

// installs are how many a process saw begin, and how many come back from Slack, however they ended.
func installs(p *Process) (started, returned int) {
	for _, m := range p.Metrics["switchboard_install_attempts_total"].GetMetric() {
		reason, outcome := "", ""
		for _, l := range m.GetLabel() {
			switch l.GetName() {
			case "reason":
				reason = l.GetValue()
			case "outcome":
				outcome = l.GetValue()
			}
		}
		n := int(m.GetCounter().GetValue())
		switch {
		case strings.HasPrefix(reason, "started"):
			started += n
		case outcome != "none":
			returned += n
		}
	}
	return started, returned
}

// refusesRedirect reports whether Slack's consent page says that the address to come back to is none of the app's. To
// who isn't signed in Slack may show a sign-in page instead, which says nothing.
func (e *Examined) refusesRedirect(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callBudget)
	defer cancel()
	in := e.Config.Install
	ask := url.Values{"client_id": {in.ClientID}, "scope": {strings.Join(connection.ScopeNames(in.Scopes), ",")},
		"redirect_uri": {e.redirectURL()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, in.SlackURL+"/oauth/v2/authorize?"+ask.Encode(), nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // other checks say that Slack can't be reached
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return err == nil && (strings.Contains(string(page), "bad_redirect_uri") ||
		strings.Contains(string(page), "did not match any configured URIs"))
}

// arrivals tells of settings by what arrives: events, and permissions that were granted.
func (e *Examined) arrivals(ctx context.Context) []Finding {
	db, err := e.Database()
	if err != nil {
		return []Finding{NoDatabase("whether events arrive, and which permissions were granted")}
	}
	seen, err := db.Overview(ctx, e.Config.Install.AppID)
	if err != nil {
		return []Finding{NoDatabase("whether events arrive, and which permissions were granted")}
	}
	if others := e.otherApps(seen.Apps); len(others) > 0 {
		return others
	}
	if seen.Connected == 0 {
		return []Finding{{Name: "events", Status: OK, Text: "No workspace is connected yet, so no events are expected."}}
	}

	return append([]Finding{e.events(seen)}, e.granted(seen)...)
}

// quiet is how long nothing may come from a workspace that has just been connected.
const quiet = 10 * time.Minute

// events says whether any came, of what is connected.
func (e *Examined) events(seen storage.Overview) Finding {
	connected := Amount(seen.Connected, "workspace") + " connected"
	f := Finding{Name: "events", Status: OK}
	if !seen.LastEvent.IsZero() {
		f.Text = connected + "; the last event arrived " + e.ago(seen.LastEvent) + "."
		return f
	}

	age := e.now().Sub(seen.Since)
	f.Text = fmt.Sprintf("%s for %s, and no event has ever arrived.", connected, span(age))
	p, err := e.Process()
	if err == nil && slices.ContainsFunc(e.refused(p), func(f Finding) bool { return f.Status == Failed }) {
		f.Status, f.Fix = Warning, "fix what is said under What Slack sends: it refuses them"
		return f
	}
	f.Status, f.Fix = Warning, e.eventsFix()
	if age < quiet {
		f.Status, f.Fix = Unknown, "write to the app in Slack; if nothing arrives: "+f.Fix
	}
	return f
}

// granted says which workspaces allow less than the app can't do without.
func (e *Examined) granted(seen storage.Overview) []Finding {
	lacking, example := 0, ""
	missing := map[string]bool{}
	for _, g := range seen.Granted {
		lacks := required((connection.Connection{Scopes: g.Scopes}).Missing(e.Config.Install.Scopes))
		if len(lacks) == 0 {
			continue
		}
		lacking += g.Connections
		example = g.Example
		for _, name := range lacks {
			missing[name] = true
		}
	}
	if lacking == 0 {
		return []Finding{{Name: "granted_scopes", Status: OK, Text: "Every connected workspace has granted all " +
			"permissions that aren't optional."}}
	}
	return []Finding{{Name: "granted_scopes", Status: Warning,
		Text: fmt.Sprintf("%s less than the app needs: %s.", lack(lacking), sorted(missing)),
		Fix: fmt.Sprintf("people there are asked by the app itself, or have them open %s/slack/install again; see %s "+
			"connections show %s", e.Config.Install.PublicURL, e.Program, example)}}
}

func lack(n int) string {
	if n == 1 {
		return "1 workspace has granted"
	}
	return fmt.Sprintf("%d workspaces have granted", n)
}

// required are the names of those that people can't untick.
func required(scopes []connection.Scope) (names []string) {
	for _, s := range scopes {
		if !s.Optional {
			names = append(names, s.Name)
		}
	}
	return names
}

// eventsFix is what lets events arrive.
func (e *Examined) eventsFix() string {
	if e.overSockets() {
		return "turn on Socket Mode at " + e.appPage("socket-mode") + " and events at " + e.appPage("event-subscriptions")
	}
	return "at " + e.appPage("event-subscriptions") + " turn events on, with the Request URL " +
		e.Config.Install.PublicURL + "/slack/events, and subscribe to those that " + e.Program + " manifest names"
}

// otherApps says what is in the database for other apps than SLACK_APP_ID: it is not used.
func (e *Examined) otherApps(apps map[string]int) []Finding {
	id := e.Config.Install.AppID
	if id == "" || apps[id] > 0 || len(apps) == 0 {
		return nil
	}
	others := map[string]bool{}
	for other := range apps {
		others[other] = true
	}
	return []Finding{{Name: "app_id", Status: Failed,
		Text: "SLACK_APP_ID is " + id + ", and all connections in the database are of " + sorted(others) + ".",
		Fix: "copy the App ID from " + e.appsPage() + " into SLACK_APP_ID, or check DATABASE_URL; then restart " + e.Program +
			" serve"}}
}
