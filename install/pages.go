package install

// The pages people see while they install: plain HTML that works without JavaScript, from one template, with a JSON twin
// for tools. Nothing on them comes from another host.

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

//go:embed pages
var pageFiles embed.FS

var (
	templates  = template.Must(template.ParseFS(pageFiles, "pages/*.html"))
	pageStyle  = mustRead("pages/style.css")
	pageScript = mustRead("pages/copy.js")
	// The style and the script are the only ones that may run: the policy names their hashes.
	pagePolicy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		sourceHash(pageStyle), sourceHash(pageScript))
)

func mustRead(name string) string {
	b, err := pageFiles.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of the program
	}
	return string(b)
}

func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// action is a link that looks like a button.
type action struct {
	Label string `json:"label"`
	URL   string `json:"url"`
	again bool   // it begins the same install again
}

// Href is where it leads. Slack's own app has addresses of a kind that a page would not let through.
func (a action) Href() template.URL {
	if strings.HasPrefix(a.URL, "slack://app?") || strings.HasPrefix(a.URL, "https://") || strings.HasPrefix(a.URL, "http://") {
		return template.URL(a.URL)
	}
	return ""
}

// page is one answer, as HTML or as JSON.
type page struct {
	Status    int      `json:"-"`
	State     string   `json:"state"` // connected, refused, failed, or "" for pages that end nothing
	Reason    string   `json:"reason"`
	Title     string   `json:"title"`
	Happened  string   `json:"message"`
	Unchanged string   `json:"unchanged,omitempty"`
	Primary   action   `json:"next"`
	Secondary action   `json:"other"`
	More      []action `json:"more,omitempty"`
	Ref       string   `json:"ref,omitempty"`
	Copy      string   `json:"copy,omitempty"` // a message to hand on
	Facts     []string `json:"facts,omitempty"`

	Workspace    string             `json:"workspace,omitempty"`
	Org          bool               `json:"organisation,omitempty"` // Workspace is the name of a whole organisation
	ConnectionID string             `json:"connection,omitempty"`
	Missing      []connection.Scope `json:"missing,omitempty"`
	Undo         string             `json:"undo,omitempty"` // what the button that undoes this install sends
	First        []string           `json:"first_steps,omitempty"`
	Icon         template.URL       `json:"-"` // data: only
	Initial      string             `json:"-"`

	outcome    Outcome
	good       bool                  // nothing is wrong
	retryAfter int                   // seconds
	unasked    bool                  // Slack was not asked, so the state can be used again
	undo       connection.Connection // what Undo is made for; no id: nothing to undo
}

// fill writes the app's commands into a sentence that tells people to type them. Where the app doesn't have one of them the
// sentence is otherwise.
func (c Commands) fill(sentence, otherwise string) string {
	for name, command := range map[string]string{"{status}": c.Status, "{reconnect}": c.Reconnect, "{disconnect}": c.Disconnect} {
		if command == "" && strings.Contains(sentence, name) {
			return otherwise
		}
		sentence = strings.ReplaceAll(sentence, name, command)
	}
	return sentence
}

// page makes the answer for an outcome.
func (in *Installer) page(s outcome, ref string) page {
	p := page{
		Status: s.status, State: string(s.outcome), Reason: s.reason, Title: s.title, Unchanged: s.unchanged,
		Happened: strings.TrimSpace(s.happened + " " + in.cfg.App.Commands.fill(s.typed, s.otherwise)),
		Ref:      ref, outcome: s.outcome, good: s.good || s.status == http.StatusOK && s.outcome != OutcomeRefused,
	}
	p.Primary, p.Secondary = in.action(s.primary, ref), in.action(s.secondary, ref)
	if s.copyText {
		p.Copy = in.adminMessage()
		if s.reason == outcomeOrgInstalled.reason {
			p.Copy = in.addMessage()
		}
	}
	if s.status == http.StatusServiceUnavailable {
		p.retryAfter = 60
	}
	p.name("app", in.cfg.App.Name)
	return p
}

// name fills in {what}, in every text of p.
func (p *page) name(what, value string) {
	for _, text := range []*string{&p.Title, &p.Happened, &p.Unchanged, &p.Primary.Label, &p.Secondary.Label} {
		*text = strings.ReplaceAll(*text, "{"+what+"}", value)
	}
}

// action resolves where a step leads. A step that leads nowhere (there is no support address) is dropped.
func (in *Installer) action(s step, ref string) action {
	switch s.where {
	case toStart:
		return action{Label: s.label, URL: in.cfg.PublicURL + "/slack/install", again: true}
	case toNew:
		return action{Label: s.label, URL: in.cfg.PublicURL + "/slack/install"}
	case toLanding:
		return action{Label: s.label, URL: in.cfg.PublicURL + "/"}
	case toPermissions:
		return action{Label: s.label, URL: in.cfg.PublicURL + "/#permissions"}
	case toSupport:
		if in.cfg.App.SupportURL != "" {
			return action{Label: s.label, URL: in.support(ref)}
		}
		return action{Label: "Who runs this app", URL: in.cfg.PublicURL + "/#operator"}
	case toSlackStatus:
		if in.slack.ClientURL() == in.cfg.SlackURL { // a Slack of somebody's own, of which that site knows nothing
			return action{Label: s.label, URL: in.cfg.SlackURL}
		}
		return action{Label: s.label, URL: "https://slack-status.com"}
	case toSlack:
		return action{Label: s.label, URL: in.cfg.SlackURL}
	}
	return action{}
}

// support is where people get help, with the reference filled in: as the subject of a mail, or as ?ref= for a site that cares.
func (in *Installer) support(ref string) string {
	u, err := url.Parse(in.cfg.App.SupportURL)
	if err != nil || ref == "" || in.cfg.App.SupportURL == "" {
		return in.cfg.App.SupportURL
	}
	query := u.Query()
	if u.Scheme == "mailto" {
		query.Set("subject", in.cfg.App.Name+" for Slack, reference "+ref)
	} else {
		query.Set("ref", ref)
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // mail programs don't know the plus
	return u.String()
}

// How people take the app out of a workspace in Slack itself.
const removeByHand = "To remove {app}, open its page in Slack, choose Configuration, then Remove App."

// addMessage is what somebody can send to an admin of their organisation, which has the app already.
func (in *Installer) addMessage() string {
	return fmt.Sprintf("Our organisation has the Slack app %s already. Could you add it to our workspace, too? That is done in Slack's settings of the "+
		"organisation, on the app's page; nothing has to be installed again.\n", in.cfg.App.Name)
}

// adminMessage is what a member can send to an admin who has to approve.
func (in *Installer) adminMessage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Could you approve the Slack app %s for our workspace? %s\n", in.cfg.App.Name, in.cfg.App.Summary)
	fmt.Fprintf(&b, "It is installed from %s, where each permission is explained.\nIt asks for:\n", in.cfg.PublicURL+"/")
	for _, s := range in.cfg.Scopes {
		fmt.Fprintf(&b, "- %s (%s%s): %s\n", s.Label, s.Name, canBeLeftOut(s), s.Why)
	}
	return b.String()
}

func canBeLeftOut(s connection.Scope) string {
	if s.Optional {
		return ", optional"
	}
	return ""
}

// itBlock is what an IT team wants to know before it approves.
func (in *Installer) itBlock() string {
	app := in.cfg.App
	var b strings.Builder
	fmt.Fprintf(&b, "%s, a Slack app\n%s\n\nRun by: %s\n", app.Name, app.Summary, cmp.Or(app.Operator, "not stated by the people who run this copy"))
	b.WriteString("\nPermissions (bot):\n")
	for _, s := range in.cfg.Scopes {
		fmt.Fprintf(&b, "- %s%s: %s. %s\n", s.Name, canBeLeftOut(s), s.Label, s.Why)
	}
	host := func(raw string) string {
		if u, err := url.Parse(raw); err == nil {
			return u.Host
		}
		return raw
	}
	fmt.Fprintf(&b, "\nData kept: %s\n", app.DataKept)
	fmt.Fprintf(&b, "Servers: this app runs at %s and talks to %s only.\n", host(in.cfg.PublicURL), host(in.cfg.SlackURL))
	b.WriteString("To remove it: in Slack, open the app's page, choose Configuration, then Remove App.\n")
	if app.PrivacyURL != "" {
		fmt.Fprintf(&b, "Privacy: %s\n", app.PrivacyURL)
	}
	if app.TermsURL != "" {
		fmt.Fprintf(&b, "Terms: %s\n", app.TermsURL)
	}
	if app.SupportURL != "" {
		fmt.Fprintf(&b, "Support: %s\n", app.SupportURL)
	}
	return b.String()
}

// lookAtStore reports whether the store is ready for installs. All who ask at one moment share one look, so that however many
// strangers open our pages, they take one connection of the database.
func (in *Installer) lookAtStore(ctx context.Context) error {
	look := in.looks.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startBudget)
		defer cancel()
		err := in.store.Ready(ctx)
		if err == nil {
			err = in.store.CheckAnyKey(ctx)
		}
		return nil, err
	})
	select {
	case seen := <-look:
		return seen.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unready returns what people are told when an install could not be finished now: down, where the records can't be reached;
// nil: it could.
func (in *Installer) unready(ctx context.Context, ref string, down *outcome) *outcome {
	err := in.lookAtStore(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, connection.ErrWrongKeys):
		down = &outcomeNotReady
	}
	in.log.ErrorContext(ctx, "not ready for installs", "ref", ref, "cause", err)
	return down
}

// landing answers GET /: what the app does, what it asks for, who runs it, and the button.
func (in *Installer) landing(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), startBudget)
	defer cancel()
	ref := links.NewRef()
	if s := in.unready(ctx, ref, &outcomeUpdating); s != nil {
		in.show(w, r, in.page(*s, ref))
		return
	}
	view := struct {
		App          App
		Scopes       []connection.Scope
		InstallURL   string
		Single       bool
		Closed, Some bool // nobody new may connect; some may
		Ask          string
		IT, Request  string
		Style        template.CSS
		Script       template.JS
	}{
		App: in.cfg.App, Scopes: in.cfg.Scopes, InstallURL: in.cfg.PublicURL + "/slack/install", Single: !in.mode.consents(),
		Closed: in.cfg.Closed && len(in.cfg.Admit) == 0, Some: in.cfg.Closed && len(in.cfg.Admit) > 0, Ask: in.support(""),
		IT: in.itBlock(), Request: in.adminMessage(), Style: template.CSS(pageStyle), Script: template.JS(pageScript),
	}
	in.guard(w)
	if wantsJSON(r) {
		type scope struct {
			Scope    string `json:"scope"`
			Label    string `json:"label"`
			Why      string `json:"why"`
			Optional bool   `json:"optional"`
		}
		scopes := make([]scope, len(in.cfg.Scopes))
		for i, s := range in.cfg.Scopes {
			scopes[i] = scope{s.Name, s.Label, s.Why, s.Optional}
		}
		facts := map[string]any{"app": in.cfg.App.Name, "summary": in.cfg.App.Summary, "operator": in.cfg.App.Operator,
			"install_url": view.InstallURL, "scopes": scopes, "support_url": in.cfg.App.SupportURL, "privacy_url": in.cfg.App.PrivacyURL, "terms_url": in.cfg.App.TermsURL}
		switch {
		case view.Single:
			delete(facts, "install_url")
			facts["reason"] = outcomeSingleWorkspace.reason
		case in.cfg.Closed:
			facts["reason"] = outcomeClosed.reason
		}
		writeJSON(w, http.StatusOK, facts)
		return
	}
	in.render(w, http.StatusOK, "landing.html", view)
}

// successPage says what the install led to, and names the workspace so that a wrong pick is seen.
func (in *Installer) successPage(ctx context.Context, i installed, welcomed bool, ref string) page {
	c, app := i.now, in.cfg.App
	name := cmp.Or(c.TeamName, "your workspace")
	missing := c.Missing(in.cfg.Scopes)
	p := page{
		Status: http.StatusOK, State: "connected", Reason: "connected", Ref: ref, outcome: OutcomeReconnected, good: true,
		Workspace: name, Org: c.Org(), ConnectionID: c.ID, Missing: missing, Initial: initial(name),
	}
	if i.undo {
		p.undo = c
	}
	p.Icon = in.icon(ctx, c.TeamIcon)
	needed := len(in.cfg.Scopes)
	p.Facts = append(p.Facts, fmt.Sprintf("Permissions: %d of %d allowed.", needed-len(missing), needed))
	var gained, lost []string
	if i.before != nil {
		gained, lost = connection.Difference(c.Scopes, i.before.Scopes), connection.Difference(i.before.Scopes, c.Scopes)
	}
	switch {
	case i.again:
		p.Reason = "already_finished"
		p.Title, p.Happened = "Connected: "+app.Name+" is in "+name, "This install finished earlier. Nothing to do."
		if c.Org() {
			p.Title, p.Happened = "Installed for "+name+" (organisation)", "This install finished earlier. "+
				"An organisation admin adds it to workspaces; it doesn't respond in others."
		}
	case c.Org() && i.fresh():
		p.outcome, p.Reason = OutcomeConnected, "connected_org"
		p.Title = "Installed for " + name + " (organisation)"
		p.Happened = "Next: add it to workspaces. An organisation admin does that in Slack. " +
			"Until then it won't respond in any workspace."
	case i.before == nil:
		p.outcome = OutcomeConnected
		p.Title, p.Happened = "Connected: "+app.Name+" is in "+name, "It can use this workspace now."
	case i.before.State == connection.Removed:
		p.outcome, p.Reason = OutcomeConnected, "connected_again"
		p.Title, p.Happened = "Connected again: "+app.Name+" is back in "+name, "Welcome back. It can use this workspace again."
	case c.State == connection.Paused:
		p.Reason = "paused"
		p.Title, p.Happened = "Connected, but paused: "+app.Name+" in "+name, "The access was renewed. The people who run the app have paused it here; until they resume it, it does nothing."
	case i.before.State != connection.Active:
		p.Reason = "reconnected"
		p.Title, p.Happened = "Reconnected: "+app.Name+" works again in "+name, "It can use this workspace again."
	case len(gained)+len(lost) > 0:
		p.Reason = "permissions_updated"
		p.Title, p.Happened = "Permissions updated: "+app.Name+" in "+name, "Its permissions in this workspace were updated. Nothing else changed."
		if len(gained) > 0 {
			p.Facts = append(p.Facts, "Now allowed: "+bullets(in.labels(gained))+".")
		}
		if len(lost) > 0 {
			p.Facts = append(p.Facts, "No longer allowed: "+bullets(in.labels(lost))+".")
		}
	case i.before.AuthorizedBy != "" && i.before.AuthorizedBy != i.by && c.AuthorizedAt.Sub(i.before.AuthorizedAt) < 2*links.StateLife:
		p.Reason = "connected_by_other"
		p.Title = "Already connected: " + app.Name + " is in " + name
		other := "Somebody else"
		if i.before.AuthorizedBy == i.before.InstalledBy {
			other = cmp.Or(i.before.InstalledByName, other)
		}
		p.Happened = other + " connected this workspace a moment ago. There is one connection per workspace."
	default:
		p.Reason = "already_connected"
		p.Title, p.Happened = "Already connected: "+app.Name+" is in "+name, "Nothing to do."
		if len(missing) > 0 {
			p.Happened = "It is connected as before."
		}
	}
	in.whereNext(&p, i, missing)
	if len(missing) > 0 {
		p.Reason += limitedSuffix
		facts := c.Without("It", missing)
		if needed := c.Missing(connection.Required(in.cfg.Scopes)); len(needed) > 0 {
			p.Title, p.good = app.Name+" can't work in "+name+" without "+quoted(needed), false
			p.Happened = "It is connected, and a permission that it needs isn't allowed."
		} else {
			facts += " Everything else works."
			p.Title = strings.Replace(p.Title, ":", ", with some features off:", 1)
		}
		p.Facts = append(p.Facts, facts)
	}
	if !welcomed {
		p.Facts = append(p.Facts, "We couldn't send you a message in Slack. You'll find "+app.Name+" there under Apps.")
	}
	if i.fresh() {
		p.First = in.firstSteps(c)
	}
	return p
}

// firstSteps are what somebody can do right after an install, as far as the app offers it and c allows it.
func (in *Installer) firstSteps(c connection.Connection) (steps []string) {
	app := in.cfg.App
	has := func(scope string) bool {
		return slices.Contains(connection.ScopeNames(in.cfg.Scopes), scope) && slices.Contains(c.Scopes, scope)
	}
	status := app.Commands.fill("In Slack, type {status} any time to see whether it works.", "")
	if c.Org() {
		steps = append(steps, "Add it to workspaces, with the button above.")
		status = app.Commands.fill("There, type {status} any time to see whether it works.", "")
	}
	if status != "" {
		steps = append(steps, status)
	}
	if has("im:history") {
		steps = append(steps, "Send "+app.Name+" a direct message; it answers there.")
	}
	if has("app_mentions:read") {
		steps = append(steps, "Add it to a channel with /invite @"+app.Name+", and mention it there.")
	}
	return steps
}

// whereNext fills in where a person goes from the success page: to where they came from, to what is left to do, or to the app.
// The page never goes there by itself, and shows each way, since not everybody has Slack's own app.
func (in *Installer) whereNext(p *page, i installed, missing []connection.Scope) {
	c := i.now
	another := action{Label: "Install to another workspace", URL: in.cfg.PublicURL + "/slack/install"}
	rest := action{Label: "Allow the rest", URL: in.links.Grant(c, links.GrantRequest{Scopes: connection.ScopeNames(missing), Back: i.request.Back})}
	p.Primary, p.Secondary = action{Label: "Open in Slack", URL: in.slackPage("app", c.AppID, c.TeamID)}, another
	switch {
	case links.ChannelID.MatchString(i.request.Back):
		p.Primary = action{Label: "Back to where you were in Slack", URL: in.slackPage("channel", i.request.Back, c.TeamID)}
	case c.Org():
		p.Primary = action{Label: "Add it to workspaces", URL: in.AddToWorkspacesURL(c.Key)}
	case len(missing) > 0:
		p.Primary.Label = "Continue in Slack"
		p.Primary, rest = rest, p.Primary
	}
	if len(missing) > 0 {
		p.Secondary = rest
		p.More = append(p.More, another)
	}
	if !c.Org() {
		p.More = append(p.More,
			action{Label: "Open in the Slack app", URL: "slack://app?" + url.Values{"team": {c.TeamID}, "id": {c.AppID}, "tab": {"home"}}.Encode()},
			action{Label: "Open Slack in the browser", URL: in.slack.ClientURL() + "/client/" + url.PathEscape(c.TeamID)})
	}
}

// slackPage is the address at which Slack itself finds the way to an app or a channel, in its own app or in the browser.
// https://docs.slack.dev/interactivity/deep-linking
func (in *Installer) slackPage(what, id, team string) string {
	query := url.Values{what: {id}}
	if team != "" {
		query.Set("team", team)
	}
	return in.cfg.SlackURL + "/app_redirect?" + query.Encode()
}

// labels turns scope names into the words people know them by.
func (in *Installer) labels(names []string) []string {
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = name
		for _, s := range in.cfg.Scopes {
			if s.Name == name {
				words[i] = cmp.Or(connection.LowerFirst(s.Label), name)
			}
		}
	}
	return words
}

// bullets writes several things into a sentence.
func bullets(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// quoted names permissions as Slack's page and ours do.
func quoted(scopes []connection.Scope) string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = "“" + cmp.Or(s.Label, s.Name) + "”"
	}
	return bullets(names)
}

func initial(name string) string {
	r, _ := utf8.DecodeRuneInString(strings.ToUpper(name))
	return string(r)
}

// A picture is shown at 64 px; Slack's largest is some 20 KB.
const maxIcon = 256 << 10

// icon fetches the workspace's picture and returns it as part of the page, so that the page asks nobody else for it. ""
// when there is none, or it is not a picture that is safe to show.
func (in *Installer) icon(ctx context.Context, address string) template.URL {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && !strings.HasPrefix(address, in.cfg.SlackURL+"/") {
		return ""
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return ""
	}
	resp, err := in.slack.HTTP.Do(req)
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

// guard sets what every answer of the installer carries.
func (in *Installer) guard(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	if in.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// show writes p as the visitor likes it. Every ending passes here, so here each is counted and logged by its reason.
func (in *Installer) show(w http.ResponseWriter, r *http.Request, p page) {
	level := slog.LevelInfo
	switch {
	case p.outcome == OutcomeFailed:
		level = slog.LevelWarn
	case p.Ref == "": // scanners and bookmarks
		level = slog.LevelDebug
	}
	in.log.Log(r.Context(), level, "install page", "ref", p.Ref, "outcome", string(p.outcome), "reason", p.Reason, "status", p.Status, "connection", p.ConnectionID)
	in.metrics.installs.WithLabelValues(cmp.Or(string(p.outcome), attemptNone), p.Reason).Inc()
	in.guard(w)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if wantsJSON(r) {
		writeJSON(w, p.Status, p)
		return
	}
	in.render(w, p.Status, "page.html", struct {
		page
		App    App
		Good   bool
		Help   string // where to get it, with the reference
		Style  template.CSS
		Script template.JS
	}{p, in.cfg.App, p.good, in.support(p.Ref), template.CSS(pageStyle), template.JS(pageScript)})
}

func (in *Installer) render(w http.ResponseWriter, status int, name string, view any) {
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name, view); err != nil {
		in.log.Error("render page", "page", name, "cause", err)
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, b.String()) // the visitor may be gone
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the visitor may be gone
}

// wantsJSON reports whether the visitor is a tool: it accepts JSON and did not put HTML first.
func wantsJSON(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		switch kind, _, _ := mime.ParseMediaType(strings.TrimSpace(part)); kind {
		case "application/json":
			return true
		case "text/html", "*/*":
			return false
		}
	}
	return false
}
