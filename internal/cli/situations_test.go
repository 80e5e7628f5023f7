package cli

// What one install leads to after another in the same workspace and the same browser, and what the start page promises.

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// store opens the test's database beside the program.
func (w *world) store() *storage.DB {
	w.t.Helper()
	keys, err := seal.ParseKeys(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	db, err := storage.Open(context.Background(), w.database, keys)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

// attempt finds the record of a page's reference.
func (w *world) attempt(db *storage.DB, ref string) oauth.Attempt {
	w.t.Helper()
	all, err := db.Attempts(context.Background(), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range all {
		if a.Ref == ref {
			return a
		}
	}
	return oauth.Attempt{}
}

// jsonPage is the twin that tools read.
type jsonPage struct {
	State, Reason, Title, Message, Unchanged, Ref string
	Next                                          struct{ Label, URL string }
	Connection, Workspace                         string
	Facts                                         []string
}

func decodePage(t *testing.T, body string) jsonPage {
	t.Helper()
	var p jsonPage
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return p
}

// link is the path of a link as any replica makes it, from what all replicas know.
func (w *world) link(c connection.Connection, wish links.GrantRequest) string {
	w.t.Helper()
	return strings.TrimPrefix(w.elsewhere(time.Now).Links().Grant(c, wish), w.proxy.URL)
}

// elsewhere is what another replica makes links and states with, by its own clock.
func (w *world) elsewhere(now func() time.Time) *install.Installer {
	w.t.Helper()
	db := w.store()
	in, err := install.New(install.Config{ClientID: w.slack.App().ClientID, SlackURL: w.slack.URL(),
		PublicURL: w.proxy.URL, Store: db, Scopes: commands.Catalogue(), SigningKeys: db.SigningKeys(), Now: now})
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

// begunBefore is where Slack's page is for an install that b began some time ago.
func (b *browser) begunBefore(ago time.Duration) string {
	b.w.t.Helper()
	b.begin("/slack/install") // for the cookie
	req := httptest.NewRequest(http.MethodGet, b.w.proxy.URL+"/slack/install", nil)
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.w.elsewhere(func() time.Time { return time.Now().Add(-ago) }).Handler().ServeHTTP(w, req)
	return w.Header().Get("Location")
}

var linkLike = regexp.MustCompile(`http[^ |<>"]+/slack/install\?link=[A-Za-z0-9_-]+`)

// linkIn finds a link in what somebody reads; "" when there is none.
func linkIn(text string) string { return linkLike.FindString(text) }

// b6 makes Slack answer the exchange with an error.
func b6(code string) func(*browser) answer {
	return faulty(slacksim.Fault{Method: "oauth.v2.access", Times: 1, Error: code})
}

func faulty(f slacksim.Fault) func(*browser) answer {
	return func(b *browser) answer {
		back := b.consent(b.begin("/slack/install"), slacksim.AcmeAdmin, slacksim.Choice{})
		defer b.w.slack.Inject(f)()
		return b.get(back)
	}
}

// stranger is a browser with the same taste and no cookies.
func (w *world) stranger(b *browser) *browser {
	other := w.browser()
	other.accept = b.accept
	return other
}

// guarded holds a page against what every page must have.
func guarded(t *testing.T, name string, a answer) {
	t.Helper()
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
	} {
		if got := a.header.Get(header); got != want {
			t.Errorf("%s: %s is %q", name, header, got)
		}
	}
	csp := a.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe-inline") {
		t.Errorf("%s: policy %q", name, csp)
	}
	if strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "goroutine") {
		t.Errorf("%s: the page reflects input or shows a stack", name)
	}
	for _, want := range []string{`<html lang="en">`, "<h1", "<main>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s: no %s", name, want)
		}
	}
	if strings.Count(a.body, "<h1") != 1 {
		t.Errorf("%s: more than one h1", name)
	}
}

func TestSuccessSituations(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		db := w.store()
		b := w.browser()
		b.accept = "application/json"
		dana, leon, ivy := slacksim.AcmeAdmin, slacksim.AcmeMember, slacksim.BirchAdmin
		reason := func(name string, a answer, want string) jsonPage {
			t.Helper()
			p := decodePage(t, a.body)
			if a.status != http.StatusOK || p.Reason != want {
				t.Errorf("%s: %d %q, want %q", name, a.status, p.Reason, want)
			}
			return p
		}
		back := b.consent(b.begin("/slack/install"), dana, slacksim.Choice{})
		first := reason("first", b.get(back), "connected")
		if got := w.attempt(db, first.Ref); got.Outcome != oauth.OutcomeConnected || got.ConnectionID != first.Connection ||
			got.UserID != dana {
			t.Errorf("record: %+v", got)
		}
		reason("reload", b.get(back), "already_finished")
		if p := decodePage(t, w.stranger(b).get(back).body); p.Reason != "state_used" || p.Connection != "" {
			t.Errorf("the address in another browser: %+v", p)
		}
		// Back, and another answer with the same state: that one was not looked at, and the page says so.
		if a := b.get(strings.Replace(back, "code=", "code=7", 1)); a.status != http.StatusConflict ||
			decodePage(t, a.body).Reason != "second_answer" || !strings.Contains(a.body, "Switchboard is in Acme Corp.") {
			t.Errorf("another code with a used state: %d %s", a.status, a.body)
		}
		// Cancel, then back: a reload shows the same ending, another answer says that the link is used up.
		cancelled := b.consent(b.begin("/slack/install"), dana, slacksim.Choice{Deny: true})
		for range 2 {
			reason("cancelled, and reloaded", b.get(cancelled), "cancelled")
		}
		if a := b.get(w.proxy.URL + "/slack/oauth_redirect?code=1.2.3&state=" + query(t, cancelled,
			"state")); a.status != http.StatusConflict || decodePage(t, a.body).Reason != "used_after_refusal" {
			t.Errorf("a code after a refusal: %d %s", a.status, a.body)
		}
		// The same where the ending named what is not kept: it is told in general, and never as something that may have
		// worked.
		used := b.consent(b.begin(w.link(connection.Connection{ID: first.Connection}, links.GrantRequest{})),
			slacksim.BirchAdmin, slacksim.Choice{})
		for _, want := range []string{"wrong_workspace", "used_after_refusal"} {
			if a := b.get(used); a.status != http.StatusConflict || decodePage(t, a.body).Reason != want {
				t.Errorf("the wrong workspace: %d, and no %s: %s", a.status, want, a.body)
			}
		}
		// Opened elsewhere first, by a scanner perhaps: the browser that started still finishes.
		scanned := b.consent(b.begin("/slack/install"), dana, slacksim.Choice{})
		if p := decodePage(t, w.stranger(b).get(scanned).body); p.Reason != "other_browser" {
			t.Errorf("another browser: %+v", p)
		}
		reason("again", b.get(scanned), "already_connected")
		if p := reason("a colleague right after", b.install(leon), "connected_by_other"); !strings.Contains(p.Message,
			"Dana Reyes connected this workspace a moment ago") {
			t.Errorf("message: %q", p.Message)
		}

		// A reconnect link is bound to its workspace.
		link := func() string { return w.link(connection.Connection{ID: first.Connection}, links.GrantRequest{}) }
		start := b.begin(link())
		if team := query(t, start, "team"); team != slacksim.Acme {
			t.Errorf("the link suggests %q", team)
		}
		a := b.get(b.consent(start, ivy, slacksim.Choice{TeamID: slacksim.Birch}))
		p := decodePage(t, a.body)
		if a.status != http.StatusConflict || p.Reason != "wrong_workspace" ||
			!strings.Contains(p.Title, "You chose Birch & Co, this link is for Acme Corp") || linkIn(p.Next.URL) == "" {
			t.Errorf("wrong workspace: %d %+v", a.status, p)
		}
		if rows := w.connections(); len(rows) != 1 {
			t.Errorf("rows: %+v", rows)
		}
		if got := w.connections()[0]; got.InstalledBy != dana || got.RenewedBy != leon {
			t.Errorf("a colleague who installs again became the installer: %+v", got)
		}
		reason("right workspace", b.get(b.consent(b.begin(strings.TrimPrefix(p.Next.URL, w.proxy.URL)), leon,
			slacksim.Choice{})), "already_connected")

		// ?team= is a hint and nothing more: the answer decides.
		hinted := b.begin("/slack/install?team=" + slacksim.Acme)
		p = reason("hint", b.get(b.consent(hinted, ivy, slacksim.Choice{TeamID: slacksim.Birch})), "connected")
		if p.Workspace != "Birch & Co" {
			t.Errorf("workspace: %q", p.Workspace)
		}
		if team := query(t, b.begin("/slack/install?team=%3Cscript%3E"), "team"); team != "" {
			t.Errorf("the hint %q was passed on", team)
		}

		// Without a state the flow starts again, and the code is left alone.
		before := len(w.slack.Calls("oauth.v2.access"))
		bare := b.consent(b.begin("/slack/install"), dana, slacksim.Choice{})
		u, _ := url.Parse(bare)
		q := u.Query()
		q.Del("state")
		u.RawQuery = q.Encode()
		if a := b.get(u.String()); a.status != http.StatusFound || a.location != w.proxy.URL+"/slack/install" {
			t.Errorf("no state: %d %q", a.status, a.location)
		}
		if n := len(w.slack.Calls("oauth.v2.access")); n != before {
			t.Error("a code without a state was exchanged")
		}

		// Fewer permissions than asked for.
		w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.RevokedFirst)
		w.waitRow("the removal", func(r record) bool { return r.State == "removed" })
		// A reload of the first page claims nothing of an install that is over.
		if p := decodePage(t, b.get(back).body); p.Reason != "removed_since" {
			t.Errorf("reload after the removal: %+v", p)
		}
		p = reason("limited", b.get(b.consent(b.begin("/slack/install"), dana,
			slacksim.Choice{Untick: []string{"im:history"}})), "connected_again_limited")
		if !strings.Contains(strings.Join(p.Facts, " "), "it doesn't have permission to read direct messages to it") {
			t.Errorf("facts: %q", p.Facts)
		}
		limited := w.waitRow("limited", func(r record) bool { return r.State == "limited" })
		if limited.ID != first.Connection || len(limited.Missing) != 1 || limited.Reason != "missing_scope" {
			t.Errorf("limited: %+v", limited)
		}
		p = reason("the rest allowed", b.install(dana), "permissions_updated")
		if !strings.Contains(strings.Join(p.Facts, " "), "Now allowed: read direct messages to it") {
			t.Errorf("facts: %q", p.Facts)
		}

		// The welcome message fails; the install does not.
		w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.UninstalledFirst)
		w.waitRow("the removal", func(r record) bool { return r.State == "removed" })
		clear := w.slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "restricted_action"})
		p = reason("no welcome", b.install(dana), "connected_again")
		clear()
		if !strings.Contains(strings.Join(p.Facts, " "), "couldn't send you a message") {
			t.Errorf("facts: %q", p.Facts)
		}
	})
}

func query(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// What the start page promises about the state and the cookie.
func TestStateAndCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	db := w.store()
	b := w.browser()
	a := b.get(w.proxy.URL + "/slack/install")
	for _, want := range []string{"switchboard-install=", "HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=600"} {
		if got := a.header.Get("Set-Cookie"); !strings.Contains(got, want) {
			t.Errorf("cookie without %s", want)
		}
	}
	u, err := url.Parse(a.location)
	if err != nil || u.Path != "/oauth/v2/authorize" || !strings.HasPrefix(a.location, w.slack.URL()) {
		t.Fatalf("location %q", a.location)
	}
	if q := u.Query(); q.Get("redirect_uri") != w.proxy.URL+"/slack/oauth_redirect" || q.Get("client_id") == "" ||
		len(q.Get("state")) < 200 || len(q.Get("state")) > 600 || !strings.Contains(q.Get("scope"), "chat:write") {
		t.Errorf("query %v", q)
	}
	// Nothing is kept of what was only begun.
	if all, err := db.Attempts(context.Background(), 1); err != nil || len(all) != 0 {
		t.Errorf("attempts: %v %+v", err, all)
	}
	// Expired: it began eleven minutes ago, as if the person had waited for an admin.
	expired := b.consent(b.begunBefore(11*time.Minute), slacksim.AcmeAdmin, slacksim.Choice{})
	b.accept = "application/json"
	if got := b.get(expired); got.status != http.StatusBadRequest || decodePage(t, got.body).Reason != "state_expired" {
		t.Errorf("expired: %d %s", got.status, got.body)
	}
	// Two tabs of one browser both finish.
	one := b.consent(b.begin("/slack/install"), slacksim.AcmeAdmin, slacksim.Choice{})
	two := b.consent(b.begin("/slack/install"), slacksim.AcmeAdmin, slacksim.Choice{})
	for _, back := range []string{one, two} {
		if got := b.get(back); got.status != http.StatusOK {
			t.Errorf("two tabs: %d %s", got.status, got.body)
		}
	}
	if n := len(w.slack.Calls("oauth.v2.access")); n != 2 {
		t.Errorf("%d exchanges, want 2: an expired state must not be exchanged", n)
	}
}

// Over https the cookie cannot be set by another host.
func TestCookieOverHTTPS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, map[string]string{"PUBLIC_URL": "https://bot.example.com"})
	a := w.browser().get(w.proxy.URL + "/slack/install")
	if got := a.header.Get("Set-Cookie"); !strings.HasPrefix(got, "__Host-switchboard-install=") ||
		!strings.Contains(got, "Secure") {
		t.Error("the cookie is not bound to its host")
	}
	if got := query(t, a.location, "redirect_uri"); got != "https://bot.example.com/slack/oauth_redirect" {
		t.Errorf("redirect_uri %q comes from somewhere else than PUBLIC_URL", got)
	}
	if a.header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
}

// The redirect of another app's install, perhaps of a second one in the operator's settings, is not stored as ours.
func TestInstallOfAnotherApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, map[string]string{"SLACK_APP_ID": "A0ANOTHER1"})
	b := w.browser()
	b.accept = "application/json"
	if a := b.install(slacksim.AcmeAdmin); a.status != http.StatusBadGateway ||
		decodePage(t, a.body).Reason != "not_set_up" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if rows := w.connections(); len(rows) != 0 {
		t.Errorf("stored: %+v", rows)
	}
}

// Organisation-wide: one row without a team, and a page that says what is left to do.
func TestInstallForAnOrganisation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.slack.SetApp(func(a *slacksim.App) { a.OrgReady = true })
	w.slack.AddWorkspace(slacksim.Workspace{ID: "T0GRID0001", Name: "Grid One", Domain: "grid-one",
		EnterpriseID: "E0GRID0001", EnterpriseName: "Grid Inc"})
	w.slack.AddUser(slacksim.User{ID: "U0GRIDADM1", TeamID: "T0GRID0001", Name: "gia", RealName: "Gia Park", Admin: true})
	b := w.browser()
	b.accept = "application/json"
	back := b.consent(b.begin("/slack/install"), "U0GRIDADM1", slacksim.Choice{Org: true})
	a := b.get(back)
	if p := decodePage(t, a.body); a.status != http.StatusOK || p.Reason != "connected_org" ||
		p.Title != "Installed for Grid Inc (organisation)" {
		t.Errorf("%d %+v", a.status, p)
	}
	if p := decodePage(t, b.get(back).body); p.Reason != "already_finished" ||
		p.Title != "Installed for Grid Inc (organisation)" || !strings.Contains(p.Message, "adds it to workspaces") {
		t.Errorf("reloaded: %+v", p)
	}
	if rows := w.connections(); len(rows) != 1 || rows[0].TeamID != "" || rows[0].EnterpriseID != "E0GRID0001" {
		t.Errorf("rows: %+v", rows)
	}
}

// An incoming webhook that Slack grants along with the install is kept, its address sealed like a token.
func TestIncomingWebhookIsKept(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		b := w.browser()
		start := strings.Replace(b.begin("/slack/install"), "chat%3Awrite", "chat%3Awrite%2Cincoming-webhook", 1)
		b.get(b.consent(start, slacksim.AcmeAdmin, slacksim.Choice{WebhookChannel: slacksim.AcmeGeneral}))
		c, err := w.store().Lookup(context.Background(), connection.Key{AppID: w.slack.App().ID, TeamID: slacksim.Acme})
		if err != nil || !strings.HasPrefix(c.Webhook.URL.Reveal(), w.slack.URL()+"/hooks/services/") ||
			c.Webhook.ChannelID != slacksim.AcmeGeneral {
			t.Errorf("%v %+v", err, c.Webhook)
		}
	}) // what is in the database in clear is searched when the test ends
}
