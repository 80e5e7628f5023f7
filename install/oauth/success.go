package oauth

// The page of an install that came to its end: what it led to, what to do first, and the names and pictures that make
// it friendly.

import (
	"cmp"
	"context"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// installed is what the success page and the welcome message are made from.
type installed struct {
	now     connection.Connection
	before  *connection.Connection // nil: there was none
	by      string                 // user ID
	again   bool                   // the page is shown a second time; nothing happened
	undo    bool                   // nobody relies on it yet, so whoever installed may take it back
	request links.GrantRequest     // of the link it came by
}

// fresh reports whether this was an install, as against one more consent for a connection that works.
func (i installed) fresh() bool {
	return !i.again && (i.before == nil || i.before.State == connection.Removed)
}

// changed returns the permissions that this consent brought and took.
func (i installed) changed() (gained, lost []string) {
	if i.before == nil {
		return nil, nil
	}
	return connection.Difference(i.now.Scopes, i.before.Scopes), connection.Difference(i.before.Scopes, i.now.Scopes)
}

// byColleague reports whether somebody else connected the workspace while this person was on the way.
func (i installed) byColleague() bool {
	return i.before.AuthorizedBy != "" && i.before.AuthorizedBy != i.by &&
		i.now.AuthorizedAt.Sub(i.before.AuthorizedAt) < 2*links.StateLife
}

// success asks Slack for what makes the page friendly, writes the welcome message, and returns the page. Nothing here
// can fail the install.
func (f *Flow) success(ctx context.Context, i installed, ref string) *page {
	ctx, cancel := context.WithTimeout(ctx, extrasBudget)
	defer cancel()
	var work sync.WaitGroup
	welcomed := true
	heard := &overheard{}
	if i.fresh() && f.cfg.Messages != nil {
		work.Go(func() {
			if err := f.welcome(ctx, i.now, heard); err != nil {
				welcomed = false
				f.cfg.Log.WarnContext(ctx, "welcome message", "ref", ref, "connection", i.now.ID,
					"slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
			}
		})
	}

	c := i.now
	work.Go(func() {
		if c.TeamIcon == "" || c.InstalledByName == "" || i.fresh() {
			f.LearnNames(ctx, &c)
		}
	})
	work.Wait()

	i.now = c
	p := f.pages.success(ctx, i, welcomed, ref)
	if welcome := heard.picture(c); welcomed && welcome.Text != "" {
		drawn := f.pages.draw(welcome)
		p.Welcome = &drawn
	}
	return p
}

// welcome calls Messages.Welcome, again where another install took the token meanwhile. heard keeps what was said.
func (f *Flow) welcome(ctx context.Context, c connection.Connection, heard *overheard) error {
	for {
		client := f.cfg.Watch.Connections.ClientThrough(c, func(next slackapi.Doer) slackapi.Doer {
			heard.next = next
			return heard
		})
		err := f.cfg.Messages.Welcome(ctx, client, c, f.allowPage(c))
		if slackapi.SlackError(err) != connection.ReasonTokenExpired {
			return err
		}
		// Somebody else installed too, twice: that ends this consent's token, and theirs is in the row.
		now, findErr := f.cfg.Store.Lookup(ctx, c.Key)
		if findErr != nil || now.Token == c.Token || now.Token == "" {
			return err
		}
		c = now
	}
}

// allowPage is where the person who got c allows what it lacks, "" when it lacks nothing.
func (f *Flow) allowPage(c connection.Connection) string {
	missing := connection.ScopeNames(c.Missing(f.cfg.Scopes))
	if len(missing) == 0 {
		return ""
	}
	return f.cfg.Watch.Connections.GrantPage(c, links.GrantRequest{Scopes: missing, Stays: true})
}

// names are what people know a connection by.
type names struct{ icon, team, installer string }

// into writes what is known into c.
func (n names) into(c *connection.Connection) {
	c.TeamIcon = cmp.Or(n.icon, c.TeamIcon)
	c.TeamName = cmp.Or(n.team, c.TeamName)
	c.InstalledByName = cmp.Or(n.installer, c.InstalledByName)
}

// LearnNames asks Slack for the workspace's picture and the installer's name, and keeps them. Both are only for people
// to read, so failing is fine.
func (f *Flow) LearnNames(ctx context.Context, c *connection.Connection) {
	learned := f.askNames(ctx, *c)
	if learned == (names{}) {
		return
	}

	learned.into(c)
	by := c.InstalledBy
	if _, err := f.cfg.Store.Update(ctx, c.Key, func(row *connection.Connection) error {
		if row.InstalledBy == by {
			learned.into(row)
		}
		return nil
	}); err != nil {
		f.cfg.Log.WarnContext(ctx, "keep names", "connection", c.ID, "cause", err)
	}
}

// askNames asks Slack for as much as c allows, at the same time.
func (f *Flow) askNames(ctx context.Context, c connection.Connection) (learned names) {
	client := f.cfg.Watch.Connections.Client(c)
	var work sync.WaitGroup
	if slices.Contains(c.Scopes, "team:read") && !c.Org() {
		work.Go(func() {
			info, err := client.GetTeamInfoContext(ctx)
			if err != nil {
				return
			}
			learned.team = info.Name
			for _, size := range []string{"image_132", "image_88", "image_68", "image_34"} {
				if s, ok := info.Icon[size].(string); ok {
					learned.icon = cmp.Or(learned.icon, s)
				}
			}
		})
	}

	if slices.Contains(c.Scopes, "users:read") && c.InstalledBy != "" {
		work.Go(func() {
			if u, err := client.GetUserInfoContext(ctx, c.InstalledBy); err == nil {
				learned.installer = u.RealName
			}
		})
	}
	work.Wait()
	return learned
}

// limitedSuffix ends the reason of a success without all permissions.
const limitedSuffix = "_limited"

// successes are the reasons of success, by outcome. Each is there with limitedSuffix, too.
var successes = map[Outcome][]string{
	OutcomeConnected: {"connected", "connected_org", "connected_again"},
	OutcomeReconnected: {"already_finished", "paused", "reconnected", "permissions_updated", "connected_by_other",
		"already_connected"},
}

// success says what the install led to, and names the workspace so that a wrong pick is seen.
func (ps *pages) success(ctx context.Context, i installed, welcomed bool, ref string) *page {
	c := i.now
	name := cmp.Or(c.TeamName, ps.say("pages.unnamed.your_workspace"))
	missing := c.Missing(ps.Scopes)

	p := ps.headline(i, name)
	p.Status, p.State, p.Ref, p.good = http.StatusOK, "connected", ref, true
	p.Workspace, p.Org, p.ConnectionID, p.Missing = name, c.Org(), c.ID, missing
	p.Initial, p.Icon = initial(name), ps.icon(ctx, c.TeamIcon)
	if i.undo {
		p.undo = c
	}

	needed := len(ps.Scopes)
	allowed := ps.say("pages.fact.allowed", "allowed", needed-len(missing), "needed", needed)
	p.Facts = slices.Insert(p.Facts, 0, allowed)

	ps.whereNext(p, i, missing)
	if len(missing) > 0 {
		ps.limit(p, c, name, missing)
	}
	if !welcomed {
		p.Facts = append(p.Facts, ps.say("pages.fact.not_welcomed", "app", ps.App.Name))
	}
	if i.fresh() {
		p.First = ps.firstSteps(c)
	}
	return p
}

// headline is a page that tells what an install led to, by what was there before, and nothing else yet.
func (ps *pages) headline(i installed, name string) *page {
	c := i.now
	p := &page{outcome: OutcomeReconnected}
	gained, lost := i.changed()
	person := ps.say("pages.unnamed.person")
	key := ""
	switch {
	case i.again:
		p.Reason = "already_finished"
		if c.Org() {
			key = "already_finished_org"
		}
	case i.fresh() && c.Org():
		p.outcome, p.Reason = OutcomeConnected, "connected_org"
	case i.fresh() && i.before == nil:
		p.outcome, p.Reason = OutcomeConnected, "connected"
	case i.fresh():
		p.outcome, p.Reason = OutcomeConnected, "connected_again"
	case c.State == connection.Paused:
		p.Reason = "paused"
	case i.before.State != connection.Active:
		p.Reason = "reconnected"
	case len(gained)+len(lost) > 0:
		p.Reason = "permissions_updated"
		if len(gained) > 0 {
			p.Facts = append(p.Facts, ps.say("pages.fact.gained", "permissions", ps.App.Words.And(ps.labels(gained))))
		}
		if len(lost) > 0 {
			p.Facts = append(p.Facts, ps.say("pages.fact.lost", "permissions", ps.App.Words.And(ps.labels(lost))))
		}
	case i.byColleague():
		p.Reason = "connected_by_other"
		if i.before.AuthorizedBy == i.before.InstalledBy {
			person = cmp.Or(i.before.InstalledByName, person)
		}
	default:
		p.Reason = "already_connected"
	}

	key = "pages.success." + cmp.Or(key, p.Reason)
	params := []any{"app", ps.App.Name, "workspace", name, "person", person}
	p.Title, p.Happened = ps.say(key+".title", params...), ps.say(key+".happened", params...)
	if len(c.Missing(ps.Scopes)) > 0 {
		p.Title = ps.say(key+".title_limited", params...)
		if said, ok := ps.App.Words.Find(key+".happened_limited", params...); ok {
			p.Happened = said
		}
	}
	return p
}

// limit says on p what the app can't do for want of permissions.
func (ps *pages) limit(p *page, c connection.Connection, name string, missing []connection.Scope) {
	p.Reason += limitedSuffix
	facts := c.Without(ps.App.Words, "", missing)
	if needed := c.Missing(connection.Required(ps.Scopes)); len(needed) > 0 {
		p.Title, p.good = ps.say("pages.success.lacking.title",
			"app", ps.App.Name, "workspace", name, "missing", ps.quoted(needed)), false
		p.Happened = ps.say("pages.success.lacking.happened")
	} else {
		facts += " " + ps.say("pages.fact.rest_works")
	}
	p.Facts = append(p.Facts, facts)
}

// firstSteps are what somebody can do right after an install, as far as the app offers it and c allows it.
func (ps *pages) firstSteps(c connection.Connection) (steps []string) {
	app := ps.App
	has := func(scope string) bool {
		return slices.Contains(connection.ScopeNames(ps.Scopes), scope) && slices.Contains(c.Scopes, scope)
	}
	key := "pages.first.status"
	if c.Org() {
		steps = append(steps, ps.say("pages.first.workspaces"))
		key = "pages.first.status_there"
	}
	if len(app.Does) > 0 {
		steps = append(steps, app.Does[0])
	}

	if has("im:history") {
		steps = append(steps, ps.say("pages.first.message", "app", app.Name))
	}
	if has("app_mentions:read") {
		steps = append(steps, ps.say("pages.first.mention", "app", app.Name))
	}
	if app.Commands.Status != "" {
		steps = append(steps, ps.say(key, "status", app.Commands.Status))
	}
	return steps
}

// whereNext fills in where a person goes from the success page: to where they came from, to what is left to do, or to
// the app. The page never goes there by itself, and shows one other way, since not everybody has Slack's own app.
func (ps *pages) whereNext(p *page, i installed, missing []connection.Scope) {
	c := i.now
	another := action{Label: ps.say("pages.step.install_to_another_workspace"), URL: ps.Links.PublicURL + "/slack/install"}
	wanted := links.GrantRequest{Scopes: connection.ScopeNames(missing), Back: i.request.Back}
	rest := action{Label: ps.say("pages.step.allow_rest"), URL: ps.Links.Grant(c, wanted)}
	p.Primary, p.Secondary = action{Label: ps.say("pages.step.open"), URL: ps.slackPage("app", c.AppID, c.TeamID)}, another

	switch {
	case links.ChannelID.MatchString(i.request.Back):
		p.Primary = action{Label: ps.say("pages.step.back"), URL: ps.slackPage("channel", i.request.Back, c.TeamID)}
	case c.Org():
		p.Primary = action{Label: ps.say("pages.step.add_workspaces"), URL: ps.Watch.Connections.AddToWorkspacesURL(c.Key)}
	case len(missing) > 0:
		p.Primary.Label = ps.say("pages.step.continue")
		p.Primary, rest = rest, p.Primary
	}

	switch {
	case len(missing) > 0:
		p.Secondary, p.More = rest, []action{another}
	case !c.Org():
		p.More = []action{{Label: ps.say("pages.step.open_browser"),
			URL: ps.Slack.ClientURL() + "/client/" + url.PathEscape(c.TeamID)}}
	}
}

// slackPage is the address at which Slack itself finds the way to an app or a channel, in its own app or in the
// browser. https://docs.slack.dev/interactivity/deep-linking
func (ps *pages) slackPage(what, id, team string) string {
	query := url.Values{what: {id}}
	if team != "" {
		query.Set("team", team)
	}
	return ps.Slack.Address + "/app_redirect?" + query.Encode()
}

// labels turns scope names into the words people know them by.
func (ps *pages) labels(names []string) []string {
	words := slices.Clone(names)
	for _, s := range ps.Scopes {
		if i := slices.Index(names, s.Name); i >= 0 {
			words[i] = cmp.Or(ps.App.Words.Within(s.Label), s.Name)
		}
	}
	return words
}

// quoted names permissions as Slack's page and ours do.
func (ps *pages) quoted(scopes []connection.Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = ps.say("pages.quoted", "name", cmp.Or(s.Label, s.Name))
	}
	return ps.App.Words.And(names)
}

func initial(name string) string {
	r, _ := utf8.DecodeRuneInString(strings.ToUpper(name))
	return string(r)
}

// A picture is shown at 64 px; Slack's largest is some 20 KB.
const maxIcon = 256 << 10

// icon fetches the workspace's picture and returns it as part of the page, so that the page asks nobody else for it. ""
// when there is none, or it is not a picture that is safe to show.
func (ps *pages) icon(ctx context.Context, address string) template.URL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && !strings.HasPrefix(address, ps.Slack.Address+"/") {
		return ""
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return ""
	}

	resp, err := ps.Slack.HTTP.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()

	body, err := io.ReadAll(io.LimitReader(resp.Body, maxIcon+1))
	if err != nil || resp.StatusCode != http.StatusOK || len(body) > maxIcon {
		return ""
	}
	switch kind := http.DetectContentType(body); kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(body))
	}
	return ""
}
