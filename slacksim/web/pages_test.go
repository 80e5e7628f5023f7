package web_test

import (
	"bufio"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/internal/simtest"
	"github.com/switchboard-go/switchboard/slacksim/web"
)

const (
	botScopes  = simtest.BotScopes
	twoButtons = simtest.TwoButtons
	nameInput  = simtest.NameInput
)

var (
	modal     = simtest.Modal
	jsonReply = simtest.JSONReply
)

type (
	answer  = simtest.Answer
	request = simtest.Request
)

// world is the stage, with people before it.
type world struct{ *simtest.World }

func newWorld(t *testing.T, change ...func(*slacksim.Config)) *world {
	t.Helper()
	pages := func(c *slacksim.Config) { c.Pages = web.Pages() }
	return &world{World: simtest.New(t, append([]func(*slacksim.Config){pages}, change...)...)}
}

// browser is a person without JavaScript: it keeps cookies and follows links and forms.
type browser struct {
	*http.Client
	w  *world
	at string
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{&http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "app.example" {
			return http.ErrUseLastResponse // the app's own pages are not under test here
		}
		return nil
	}}, w, w.Sim.URL()}
}

func (b *browser) read(res *http.Response, err error) (int, string) {
	b.w.T.Helper()
	if err != nil {
		b.w.T.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	b.at = res.Request.URL.Path
	if l := res.Header.Get("Location"); l != "" {
		b.at = l
	}
	return res.StatusCode, string(body)
}

func (b *browser) open(path string) string {
	b.w.T.Helper()
	code, body := b.read(b.Get(b.w.Sim.URL() + path))
	if code != 200 {
		b.w.T.Fatalf("GET %s: %d", path, code)
	}
	b.w.Settled() // the app has heard that a tab was opened
	return body
}

func (b *browser) send(path string, pairs ...string) (int, string) {
	b.w.T.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.read(b.PostForm(b.w.Sim.URL()+path, form))
}

func (b *browser) want(page string, parts ...string) {
	b.w.T.Helper()
	for _, p := range parts {
		if !strings.Contains(page, p) {
			b.w.T.Errorf("the page lacks %s:\n%s", p, page)
		}
	}
}

func hidden(page, name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

func TestPersonInstallsTalksAndRemoves(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.want(b.open("/"), "A small Slack that runs on this machine", "Acme Corp", "Birch &amp; Co", "Dana Reyes",
		`data-user="U0ACMELEON"`, `lang="en"`)
	b.send("/signin", "user", slacksim.AcmeAdmin)
	if b.at != "/client/"+slacksim.Acme+"/"+slacksim.AcmeGeneral {
		t.Errorf("signed in to %s", b.at)
	}
	b.want(b.open("/client/T0ACME0001/app"), `id="add-to-slack" href="https://app.example/slack/install"`, "not installed")
	authorize := strings.TrimPrefix(w.AuthorizeURL(botScopes), w.Sim.URL())
	consent := b.open(authorize)
	b.want(consent, "Switchboard</strong> is asking for permission", "Send messages as the app", `id="allow"`,
		`id="cancel"`, "Dana Reyes (admin)", `<option value="T0BIRCH001">`)
	b.send("/oauth/v2/authorize", "query", hidden(consent, "query"), "team", slacksim.Acme, "do", "allow")
	back, _ := url.Parse(b.at)
	if back.Host != "app.example" || back.Query().Get("state") != "st4te" || back.Query().Get("code") == "" {
		t.Fatalf("Allow led to %s", b.at)
	}
	tok := w.Exchange(back.Query().Get("code")).Str("access_token")
	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "Welcome <@"+slacksim.AcmeAdmin+">")
	page := b.open("/client/T0ACME0001/dm")
	b.want(page, `id="messages"`, `class="message from-app"`, `<span class="mention me">@Dana Reyes</span>`,
		`<span class="badge">APP</span>`, `placeholder="Message Switchboard"`, "Dana Reyes · admin")
	b.want(b.open("/client/T0ACME0001/app"), `id="installed"`, "by Dana Reyes", `data-scope="chat:write"`,
		`id="remove-app"`)

	w.Settled() // the event of the app's own message may be slow
	b.send("/client/T0ACME0001/dm/say", "text", "hi @Leon Okafor <b>")
	w.Settled()
	messages := w.Bot.Events("message")
	if e := messages[len(messages)-1].Event; e["text"] != "hi <@U0ACMELEON> &lt;b&gt;" || e["channel_type"] != "im" {
		t.Errorf("the event %v", e)
	}
	w.Bot.Reply(
		jsonReply(`{"text":"Connected","blocks":[{"type":"header","text":{"type":"plain_text","text":"Status"}}]}`))
	b.send("/client/T0ACME0001/C0ACMEGENE/say", "text", "/connection status")
	page = b.open("/client/T0ACME0001/C0ACMEGENE")
	b.want(page, `ephemeral`, "Only visible to you", `class="block block-header"`, `placeholder="Message #general"`)
	w.Bot.Reply(nil)

	b.send("/client/T0ACME0001/C0ACMEGENE/say", "text", "@Switchboard hello")
	b.want(b.open("/client/T0ACME0001/C0ACMEGENE"), "not in this channel", `data-action-id="slack-invite"`, `id="add-app"`)
	b.send("/client/T0ACME0001/C0ACMEGENE/invite")
	w.Settled()
	if len(w.Bot.Events("app_mention")) != 1 {
		t.Error("no mention after adding the app")
	}
	if page := b.open("/client/T0ACME0001/C0ACMEGENE"); strings.Contains(page, `id="add-app"`) {
		t.Error("the app is still offered")
	}
	b.want(b.open("/client/T0ACME0001/home"), "hasn't put anything here yet")
	w.Settled()
	if len(w.Bot.Events("app_home_opened")) == 0 {
		t.Error("no app_home_opened")
	}

	b.want(b.open("/client/T0ACME0001/app/remove"), "Remove Switchboard?", `id="confirm-yes"`)
	b.send("/client/T0ACME0001/app/remove", "confirmed", "1")
	w.Settled()
	if _, ok := w.Sim.Installed(slacksim.Acme); ok || len(w.Bot.Events("app_uninstalled")) != 1 {
		t.Error("not removed")
	}
	b.want(b.open("/client/T0ACME0001/app"), `id="add-to-slack"`)
	w.WantBreaches()
}

func TestConsentPagePicksAndCancels(t *testing.T) {
	w := newWorld(t)
	w.Sim.SetApp(func(a *slacksim.App) { a.OptionalScopes = []string{"im:write"} })
	b := w.browser()
	path := strings.TrimPrefix(w.AuthorizeURL("chat:write,im:write", "team", slacksim.Birch), w.Sim.URL())
	page := b.open(path)
	b.want(page, "Acme Corp</strong> workspace") // the team parameter counts only for those signed in there
	page = b.open("/oauth/v2/authorize?" + url.Values{"pick_query": {hidden(page, "pick_query")},
		"pick_team": {slacksim.Birch}}.Encode())
	b.want(page, "Birch &amp; Co</strong> workspace", "Ivy Tanaka (admin)", `name="optional" value="im:write" checked`)
	b.send("/oauth/v2/authorize", "query", hidden(page, "query"), "team", slacksim.Birch, "do", "cancel")
	if u, _ := url.Parse(b.at); u.Query().Get("error") != "access_denied" || u.Query().Get("state") != "st4te" {
		t.Errorf("Cancel led to %s", b.at)
	}
	b.send("/oauth/v2/authorize", "query", hidden(page, "query"), "team", slacksim.Birch, "do", "allow") // nothing ticked
	u, _ := url.Parse(b.at)
	if a := w.Exchange(u.Query().Get("code")); a.Str("scope") != "chat:write" || a.Str("team", "id") != slacksim.Birch {
		t.Errorf("%v", a)
	}
	for code, bad := range map[string]string{
		"invalid_client_id": "client_id=x&scope=chat:write",
		"bad_redirect_uri":  "client_id=111.222&scope=chat:write&redirect_uri=https://evil.example/",
		"invalid_scope":     "client_id=111.222&scope=nope",
	} {
		status, page := b.read(b.Get(w.Sim.URL() + "/oauth/v2/authorize?" + bad))
		if status != 400 || !strings.Contains(page, `<code id="error-code">`+code) || strings.Contains(b.at, "evil") {
			t.Errorf("%s: %d %s", bad, status, page)
		}
	}
	w.Sim.AddWorkspace(slacksim.Workspace{ID: slacksim.Acme, Name: "Acme Corp", AppsNeedApproval: true})
	b.send("/signin", "user", slacksim.AcmeMember)
	page = b.open(strings.TrimPrefix(w.AuthorizeURL("chat:write"), w.Sim.URL()))
	if _, page = b.send("/oauth/v2/authorize", "query", hidden(page, "query"), "team", slacksim.Acme,
		"do", "allow"); !strings.Contains(page, "Your request was sent") {
		t.Error(page)
	}
}

func TestButtonsMenusAndModalsByForm(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	m := w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "t", "blocks", `[
	 {"type":"actions","block_id":"a","elements":[
	  {"type":"button","action_id":"off","text":{"type":"plain_text","text":"Off"},"confirm":{"title":{"type":"plain_text","text":"Sure?"},"text":{"type":"plain_text","text":"It ends."},"confirm":{"type":"plain_text","text":"Yes"},"deny":{"type":"plain_text","text":"No"}}},
	  {"type":"static_select","action_id":"pick","options":[{"text":{"type":"plain_text","text":"One"},"value":"1"}]},
	  {"type":"overflow","action_id":"more","options":[{"text":{"type":"plain_text","text":"Two"},"value":"2"}]},
	  {"type":"button","action_id":"link","url":"https://x.example/","text":{"type":"plain_text","text":"Link"}}]}]`)
	act := "/client/T0ACME0001/" + m.Str("channel") + "/" + m.Str("ts") + "/act"
	b.want(b.open("/client/T0ACME0001/dm"), `action="`+act+`"`)
	// Opening the pages causes events of its own, so only interactions are looked at.
	interaction := func() answer {
		var last answer
		for _, r := range w.Bot.Requests() {
			if r.Form.Has("payload") {
				last = r.Outer
			}
		}
		return last
	}
	_, page := b.send(act, "action", "a/off", "back", "/client/T0ACME0001/dm")
	b.want(page, "Sure?", "It ends.", `id="confirm-yes"`, `href="/client/T0ACME0001/dm"`)
	if interaction() != nil {
		t.Error("the button acted before the confirmation")
	}
	b.send(act, "action", "a/off", "confirmed", "1")
	action := func() answer { return interaction()["actions"].([]any)[0].(map[string]any) }
	if a := action(); a.Str("action_id") != "off" {
		t.Errorf("%v", a)
	}
	b.send(act, "action", "a/pick", "v/a/pick", "1")
	if a := action(); a.Str("selected_option", "value") != "1" {
		t.Errorf("%v", a)
	}
	b.send(act, "action", "a/more/2", "v/a/pick", "1")
	if a := action(); a.Str("selected_option", "value") != "2" {
		t.Errorf("%v", a)
	}
	if s := interaction().Str("state", "values", "a", "pick", "selected_option", "value"); s != "1" {
		t.Errorf("state %q", s)
	}
	b.send(act + "?action=a%2Flink") // a ping
	if a := action(); a.Str("url") != "https://x.example/" {
		t.Errorf("%v", a)
	}

	w.Call("views.open", tok, "trigger_id", interaction().Str("trigger_id"), "view", modal("Settings", nameInput))
	page = b.open("/client/T0ACME0001/dm")
	b.want(page, `id="modal"`, `role="dialog"`, `id="modal-submit"`, "Settings")
	to := regexp.MustCompile(`action="(/client/[^"]*/view/[^"]*)"`).FindStringSubmatch(page)[1]
	w.Bot.Reply(jsonReply(`{"response_action":"errors","errors":{"n":"That name is taken"}}`))
	b.send(to, "do", "submit", "v/n/name", `Zed "x"`)
	b.want(b.open("/client/T0ACME0001/dm"), "That name is taken", `aria-invalid="true"`, `value="Zed &#34;x&#34;"`)
	w.Bot.Reply(nil)
	b.send(to, "do", "submit", "v/n/name", "Ann")
	if page := b.open("/client/T0ACME0001/dm"); strings.Contains(page, `id="modal"`) {
		t.Error("the modal is still open")
	}

	w.Call("views.publish", tok, "user_id", slacksim.AcmeAdmin, "view", `{"type":"home","blocks":`+twoButtons+`}`)
	b.want(b.open("/client/T0ACME0001/home"), `data-action-id="go"`, `action="/client/T0ACME0001/home/act"`)
	b.send("/client/T0ACME0001/home/act", "action", "acts/go")
	if a := action(); a.Str("action_id") != "go" {
		t.Errorf("%v", a)
	}
	w.WantBreaches()
}

func TestThreads(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeMember)
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "parent")
	b.send("/client/T0ACME0001/C0ACMEGENE/say", "text", "child", "thread_ts", ts)
	page := b.open("/client/T0ACME0001/C0ACMEGENE")
	b.want(page, "1 reply")
	if strings.Contains(page, ">child<") {
		t.Error("a reply shows in the channel")
	}
	b.want(b.open("/client/T0ACME0001/C0ACMEGENE?thread="+ts), ">child<", ">parent<", `name="thread_ts" value="`+ts+`"`)
}

func TestPagesKeepToThemselves(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	res, err := b.Get(w.Sim.URL() + "/client/T0ACME0001/dm")
	b.read(res, err)
	if b.at != "/" {
		t.Errorf("signed out, one came to %s", b.at)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") ||
		strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	b.send("/signin", "user", slacksim.AcmeMember, "next", "//evil.example/")
	if strings.Contains(b.at, "evil") {
		t.Error("an open redirect")
	}
	w.Sim.AddChannel(slacksim.Channel{ID: "C0SECRET01", TeamID: slacksim.Acme, Name: "secret", Private: true,
		Members: []string{slacksim.AcmeAdmin}})
	for _, p := range []string{"/client/T0ACME0001/C0SECRET01", "/client/T0ACME0001/" + w.Sim.DM(slacksim.AcmeAdmin),
		"/client/T0ACME0001/nope", "/client/T0NOPE/dm"} {
		if code, _ := b.read(b.Get(w.Sim.URL() + p)); code != 404 {
			t.Errorf("%s: %d", p, code)
		}
	}
	req, _ := http.NewRequest("POST", w.Sim.URL()+"/client/T0ACME0001/C0ACMEGENE/say", strings.NewReader("text=forged"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if code, _ := b.read(b.Do(req)); code != 403 {
		t.Errorf("another site's form: %d", code)
	}
	w.Install(slacksim.AcmeAdmin)
	b.send("/client/T0ACME0001/app/remove", "confirmed", "1")
	if _, ok := w.Sim.Installed(slacksim.Acme); !ok {
		t.Error("a plain member removed the app")
	}
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, `<script>alert("x")</script><img src=x onerror=y>`)
	if page := b.open("/client/T0ACME0001/C0ACMEGENE"); strings.Contains(page, "<script>alert") ||
		strings.Contains(page, "<img src=x") {
		t.Error("unescaped")
	}
	b.open("/static/style.css")
	b.open("/static/client.js")
	b.open("/icon/U0ACMEDANA-36.svg")
	b.open("/app/A0SWITCH01")
	for query, want := range map[string]string{"app=A0SWITCH01": "dm",
		"channel=" + slacksim.AcmeGeneral: slacksim.AcmeGeneral, "channel=C0NOWHERE1": "dm"} {
		if b.open("/app_redirect?team=T0ACME0001&" + query); b.at != "/client/T0ACME0001/"+want {
			t.Errorf("app_redirect with %s led to %s", query, b.at)
		}
	}
	if code, _ := b.read(b.Get(w.Sim.URL() + "/live?at=%2F%2Fevil")); code != 400 {
		t.Errorf("live: %d", code)
	}
}

func TestLiveUpdates(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeMember)
	req, _ := http.NewRequestWithContext(w.Ctx, "GET", w.Sim.URL()+"/live?at=/client/T0ACME0001/C0ACMEGENE", nil)
	res, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	next := func() (m struct{ Region, HTML string }) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					t.Fatal(err)
				}
				return m
			}
		}
		t.Fatal("the stream ended")
		return
	}
	for range 3 {
		next() // each region once
	}
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "fresh news")
	if m := next(); m.Region != "content" || !strings.Contains(m.HTML, "fresh news") {
		t.Errorf("%+v", m)
	}
	w.Install(slacksim.AcmeAdmin)
	if m := next(); m.Region != "sidebar" || !strings.Contains(m.HTML, `id="app-dm"`) {
		t.Errorf("%+v", m)
	}
}

func TestCommandInThreadIsRefused(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	b, other := w.browser(), w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	other.send("/signin", "user", slacksim.AcmeMember)
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "parent")
	w.Settled()
	before := len(w.Bot.Requests())
	for _, line := range []string{"/connection status", "/invite @Switchboard"} {
		b.send("/client/T0ACME0001/C0ACMEGENE/say", "text", line, "thread_ts", ts)
	}
	w.Settled()
	if n := len(w.Bot.Requests()); n != before {
		t.Errorf("the app got %d requests", n-before)
	}
	const note = "<code>/connection</code> is not supported in threads. Sorry!"
	thread := "/client/T0ACME0001/C0ACMEGENE?thread=" + ts
	b.want(b.open(thread), note, "<code>/invite</code> is not supported", "Only visible to you", "Slackbot")
	for where, page := range map[string]string{"the channel": b.open("/client/T0ACME0001/C0ACMEGENE"),
		"another person's thread": other.open(thread)} {
		if strings.Contains(page, "not supported in threads") {
			t.Errorf("the note shows in %s", where)
		}
	}
	if code, _ := b.send("/client/T0ACME0001/C0ACMEGENE/say", "text", "/connection",
		"thread_ts", "1.000000"); code != 400 {
		t.Errorf("in a thread that is none: %d", code)
	}
	b.send("/client/T0ACME0001/C0ACMEGENE/say", "text", "/connection status")
	if w.Bot.Last(t).Form.Get("command") != "/connection" {
		t.Error("outside a thread the command was not sent")
	}
	w.WantBreaches()
}

func TestStartPageSaysWhereToBegin(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.want(b.open("/"), "First time here? Sign in as an admin and open <em>Add Switchboard</em> in the sidebar.")
	b.send("/signin", "user", slacksim.AcmeAdmin)
	b.want(b.open("/client/T0ACME0001/C0ACMEGENE"), "</span> Add Switchboard</a>")
}

// stream opens the live updates of a page and returns a function that waits for the next one.
func (b *browser) stream(at string) func() (region, html string) {
	b.w.T.Helper()
	req, _ := http.NewRequestWithContext(b.w.Ctx, "GET", b.w.Sim.URL()+"/live?at="+at, nil)
	res, err := b.Do(req)
	if err != nil {
		b.w.T.Fatal(err)
	}
	b.w.T.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return func() (string, string) {
		b.w.T.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var m struct{ Region, HTML string }
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					b.w.T.Fatal(err)
				}
				return m.Region, m.HTML
			}
		}
		b.w.T.Fatal("the stream ended")
		return "", ""
	}
}

func TestUnreadMark(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	b, other := w.browser(), w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	other.send("/signin", "user", slacksim.AcmeMember)
	const mark, elsewhere, dm = `<span class="hidden">new messages</span>`, "/client/T0ACME0001/C0ACMEGENE",
		"/client/T0ACME0001/dm"
	want := func(who *browser, at string, unread bool) {
		t.Helper()
		if got := strings.Contains(who.open(at), mark); got != unread {
			t.Errorf("%s: mark %v, want %v", at, got, unread)
		}
	}
	want(b, elsewhere, false)
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "my own")
	want(b, elsewhere, false)

	next := b.stream(elsewhere)
	for range 3 {
		next()
	}
	say := func(text string) { w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", text) }
	say("news")
	if region, html := next(); region != "sidebar" || !strings.Contains(html, mark) {
		t.Errorf("live %s: %s", region, html)
	}
	want(b, elsewhere, true)
	want(other, elsewhere, false)
	want(b, "/client/T0ACME0001/home", true) // the Home tab shows no messages
	want(b, dm, false)
	if region, html := next(); region != "sidebar" || strings.Contains(html, mark) {
		t.Errorf("live after reading, %s: %s", region, html)
	}
	want(b, elsewhere, false)

	// Who has the conversation open reads along.
	reading := b.stream(dm)
	for range 3 {
		reading()
	}
	say("read at once")
	if region, html := reading(); region != "content" || !strings.Contains(html, "read at once") {
		t.Errorf("live %s: %s", region, html)
	}
	want(b, elsewhere, false)

	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeMember, "text", "for Leon")
	want(other, elsewhere, true)
	if err := w.Sim.OpenHome(w.Ctx, slacksim.AcmeMember, "messages"); err != nil {
		t.Fatal(err)
	}
	want(other, elsewhere, false)
}

// larger is a world with an organisation, and an app that is ready for it.
func larger(t *testing.T) *world {
	w := newWorld(t, func(c *slacksim.Config) {
		c.App.OrgReady = true
		c.App.Events = append(c.App.Events, "team_access_granted", "team_access_revoked")
		c.Pages = web.Pages(web.Hint{Title: "Look <around>.", Text: "Sign in as anybody."})
	})
	w.Sim.AddLargerWorld()
	return w
}

const manage = "/manage/" + slacksim.Northwind + "/integrations/profile/A0SWITCH01/workspaces/add"

// installWide installs for the whole organisation by the pages and returns the token.
func (b *browser) installWide() string {
	b.w.T.Helper()
	b.send("/signin", "user", slacksim.NorthwindOrgAdmin)
	page := b.open(strings.TrimPrefix(b.w.AuthorizeURL(botScopes), b.w.Sim.URL()))
	b.send("/oauth/v2/authorize", "query", hidden(page, "query"), "team", slacksim.NorthwindSales, "do", "allow",
		"org", "1")
	u, _ := url.Parse(b.at)
	return b.w.Exchange(u.Query().Get("code")).Str("access_token")
}

func TestStartPageSaysWhoIsWho(t *testing.T) {
	w := larger(t)
	b := w.browser()
	page := b.open("/")
	b.want(page, `id="E0NORTHWND"`, "An organisation of 2 workspaces",
		"<strong>Look &lt;around&gt;.</strong> Sign in as anybody.",
		"<strong>Nora Feld</strong><small>organisation admin</small>", "<strong>Tomás Rivera</strong><small>admin</small>",
		"<strong>Priya Nair</strong><small>member</small>",
		"<strong>Max Weber</strong><small>guest, sees #northwind-birch alone</small>",
		"<strong>Sam Lindqvist</strong><small>member, in #northwind-birch with Northwind Sales</small>")
	if strings.Contains(page, "First time here?") || strings.Contains(page, "app installed") {
		t.Errorf("too much on %s", page)
	}
	b.installWide()
	if err := w.Sim.Admins.GrantTeam(w.Ctx, slacksim.NorthwindSales); err != nil {
		t.Fatal(err)
	}
	b.want(b.open("/"), "app installed for all of it", `<span class="tag installed">app installed</span>`,
		"app not added here")
}

// Only an admin of the organisation is offered the organisation, and only they get it.
func TestConsentForTheOrganisation(t *testing.T) {
	w := larger(t)
	const offer = `id="for-org"`
	for _, test := range []struct {
		user, team, says string
		offered          bool
	}{
		{slacksim.NorthwindOrgAdmin, slacksim.NorthwindSales, "For the whole organisation Northwind", true},
		{slacksim.SalesAdmin, slacksim.NorthwindSales, "Only an organisation admin can install it for all of Northwind",
			false},
		{slacksim.LabsMember, slacksim.NorthwindLabs, "Only an organisation admin can install it for all of Northwind",
			false},
		{slacksim.AcmeAdmin, slacksim.Acme, "Dana Reyes (admin)", false},
	} {
		b := w.browser()
		b.send("/signin", "user", test.user)
		page := b.open(strings.TrimPrefix(w.AuthorizeURL(botScopes), w.Sim.URL()))
		b.want(page, test.says, `id="allow"`)
		if got := strings.Contains(page, offer); got != test.offered {
			t.Errorf("%s is offered the organisation: %v", test.user, got)
		}
		code, _ := b.send("/oauth/v2/authorize", "query", hidden(page, "query"), "team", test.team, "do", "allow", "org", "1")
		if allowed := strings.HasPrefix(b.at, "https://app.example/") &&
			strings.Contains(b.at, "code="); allowed != test.offered || !allowed && code != 400 {
			t.Errorf("%s installed for the organisation: %d %s", test.user, code, b.at)
		}
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.OrgReady = false })
	b := w.browser()
	b.send("/signin", "user", slacksim.NorthwindOrgAdmin)
	if page := b.open(strings.TrimPrefix(w.AuthorizeURL(botScopes), w.Sim.URL())); strings.Contains(page, offer) {
		t.Error("an app that is not ready for organisations is offered to one")
	}
}

func TestGuestsCannotInstall(t *testing.T) {
	w := larger(t)
	b := w.browser()
	b.send("/signin", "user", slacksim.SalesGuest)
	if b.at != "/client/"+slacksim.NorthwindSales+"/"+slacksim.NorthwindBirch {
		t.Errorf("a guest of one channel came to %s", b.at)
	}
	page := b.open(strings.TrimPrefix(w.AuthorizeURL(botScopes), w.Sim.URL()))
	b.want(page, "Guests can’t add apps. Ask a member or an admin of Northwind Sales.", `id="cancel"`)
	if strings.Contains(page, `id="allow"`) {
		t.Error("a guest can press Allow")
	}
	if code, page := b.send("/oauth/v2/authorize", "query", hidden(page, "query"), "team", slacksim.NorthwindSales,
		"do", "allow"); code != 400 || !strings.Contains(page, "restricted_action") {
		t.Errorf("a guest installed: %d %s", code, page)
	}
}

// What is optional can be unticked, once; what is required or granted already has no box, and a form that leaves it
// out gets it all the same.
func TestConsentKeepsRequiredAndGranted(t *testing.T) {
	w := newWorld(t)
	w.Sim.SetApp(func(a *slacksim.App) { a.OptionalScopes = []string{"im:write", "users:read"} })
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	consent := func(scopes string) string { return b.open(strings.TrimPrefix(w.AuthorizeURL(scopes), w.Sim.URL())) }
	allow := func(page string, optional ...string) string {
		pairs := []string{"query", hidden(page, "query"), "team", slacksim.Acme, "do", "allow"}
		for _, x := range optional {
			pairs = append(pairs, "optional", x)
		}
		if code, page := b.send("/oauth/v2/authorize", pairs...); code == 400 {
			return page
		}
		u, _ := url.Parse(b.at)
		return w.Exchange(u.Query().Get("code")).Str("scope")
	}
	page := consent("chat:write,im:write,users:read")
	b.want(page, `<span>Send messages as the app</span> <span class="tag">required</span>`,
		`name="optional" value="im:write" checked`)
	if got := allow(page, "im:write"); got != "chat:write,im:write" {
		t.Errorf("granted %s", got)
	}
	page = consent("chat:write,im:write,users:read")
	b.want(page, "Allowed before: 2", `<ul class="permissions" id="held"><li data-scope="chat:write">`,
		`name="optional" value="users:read" checked`)
	if strings.Contains(page, `value="im:write"`) {
		t.Error("what is granted can be unticked")
	}
	if got := allow(page); got != "chat:write,im:write" {
		t.Errorf("granted %s", got)
	}
	if got := allow(consent("users:read")); !strings.Contains(got, "Nothing is left to allow") {
		t.Errorf("nothing ticked: %s", got)
	}
	if got := allow(consent("users:read"), "users:read"); got != "chat:write,im:write,users:read" {
		t.Errorf("granted %s", got)
	}
	page = consent("users:read")
	b.want(page, "It asks for nothing new. Allowed before: 1")
	if got := allow(page); got != "chat:write,im:write,users:read" {
		t.Errorf("nothing new was allowed: %s", got)
	}
}

// The organisation's page adds its app to workspaces and takes it from them, for its admins alone.
func TestOrganisationAddsWorkspaces(t *testing.T) {
	w := larger(t)
	b := w.browser()
	b.send("/signin", "user", slacksim.NorthwindOrgAdmin)
	b.want(b.open(manage), "not installed for the whole organisation", `href="/client/T0NWSALES1/app"`)
	b.send(manage, "do", "add", "team", slacksim.NorthwindSales)
	if _, ok := w.Sim.Installed(slacksim.NorthwindSales); ok {
		t.Fatal("added where nothing is installed")
	}
	b.installWide()
	b.want(b.open(manage), "Installed for the whole organisation by Nora Feld", `aria-label="Add to Northwind Sales"`,
		`aria-label="Add to Northwind Labs"`)
	b.want(b.open("/client/T0NWSALES1/app"), `id="not-here"`, `id="manage-org" href="`+manage+`"`)
	b.want(b.open(strings.TrimPrefix(w.AuthorizeURL(botScopes), w.Sim.URL())),
		`<input type="hidden" name="org" value="1">`, "which has the app already", "It asks for nothing new")

	for _, id := range []string{slacksim.SalesAdmin, slacksim.SalesMember, slacksim.SalesGuest, slacksim.BirchAdmin} {
		other := w.browser()
		other.send("/signin", "user", id)
		if code, page := other.read(other.Get(w.Sim.URL() + manage)); code != 403 ||
			strings.Contains(page, "Add to Northwind") {
			t.Errorf("%s: %d %s", id, code, page)
		}
		if code, _ := other.send(manage, "do", "add", "team", slacksim.NorthwindSales); code != 403 {
			t.Errorf("%s added it: %d", id, code)
		}
		if code, _ := other.send(manage, "do", "uninstall", "confirmed", "1"); code != 403 {
			t.Errorf("%s removed it: %d", id, code)
		}
	}
	if code, _ := b.send(manage, "do", "add", "team", slacksim.Acme); code != 400 {
		t.Errorf("another company's workspace: %d", code)
	}
	b.send(manage, "do", "add", "team", slacksim.NorthwindSales)
	w.Settled()
	if in, ok := w.Sim.Installed(slacksim.NorthwindSales); !ok || !in.Org ||
		len(w.Bot.Events("team_access_granted")) != 1 {
		t.Errorf("not added: %+v", in)
	}
	b.want(b.open("/client/T0NWSALES1/app"), `id="installed"`, "for the whole organisation", `id="manage-org"`)
	if page := b.open("/client/T0NWSALES1/app"); strings.Contains(page, `id="remove-app"`) {
		t.Error("one workspace removes what the whole organisation has")
	}
	b.send("/client/T0NWSALES1/app/remove", "confirmed", "1")
	labs := w.browser()
	labs.send("/signin", "user", slacksim.LabsAdmin)
	labs.want(labs.open(strings.TrimPrefix(w.AuthorizeURL(botScopes), w.Sim.URL())),
		"Only an organisation admin can change what it is allowed to do.")
	page := labs.open("/client/T0NWLABS01/app")
	labs.want(page, "not available in Northwind Labs", `<span class="badge">not here</span>`,
		"An admin of the organisation adds it to workspaces.")
	if strings.Contains(page, `id="add-to-slack"`) || strings.Contains(page, manage) {
		t.Error("what helps nobody is offered")
	}

	b.send(manage, "do", "remove", "team", slacksim.NorthwindSales)
	w.Settled()
	if _, ok := w.Sim.Installed(slacksim.NorthwindSales); ok || len(w.Bot.Events("team_access_revoked")) != 1 {
		t.Error("not taken away")
	}
	_, page = b.send(manage, "do", "uninstall")
	b.want(page, "Remove Switchboard from Northwind?", `name="do" value="uninstall"`)
	if _, ok := w.Sim.Installed(slacksim.Northwind); !ok {
		t.Fatal("removed before it was confirmed")
	}
	b.send(manage, "do", "uninstall", "confirmed", "1")
	w.Settled()
	if _, ok := w.Sim.Installed(slacksim.Northwind); ok || len(w.Bot.Events("app_uninstalled")) != 1 {
		t.Error("not removed")
	}
	for _, p := range []string{"/manage/E0NOBODY/integrations/profile/A0SWITCH01/workspaces/add",
		"/manage/" + slacksim.Acme + "/integrations/profile/A0SWITCH01/workspaces/add",
		"/manage/" + slacksim.Northwind + "/integrations/profile/A0OTHER/workspaces/add"} {
		if code, _ := b.read(b.Get(w.Sim.URL() + p)); code != 404 {
			t.Errorf("%s: %d", p, code)
		}
	}
	w.WantBreaches()
}

// An admin takes a permission away: the token lives on without it.
func TestAdminTakesAPermissionAway(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	in, _ := w.Sim.Installed(slacksim.Acme)
	b, other := w.browser(), w.browser()
	other.send("/signin", "user", slacksim.AcmeMember)
	const at = "/client/T0ACME0001/app/permissions"
	if page := other.open("/client/T0ACME0001/app"); strings.Contains(page, at) {
		t.Error("a member is offered it")
	}
	if other.open(at); other.at != "/client/T0ACME0001/app" {
		t.Errorf("a member came to %s", other.at)
	}
	if code, _ := other.send(at, "scope", "im:write"); code != 403 {
		t.Errorf("a member took one away: %d", code)
	}
	b.send("/signin", "user", slacksim.AcmeAdmin)
	b.want(b.open("/client/T0ACME0001/app"), `href="`+at+`"`)
	b.want(b.open(at), "The real Slack has no page like this", `data-take="im:write"`)
	_, page := b.send(at, "scope", "im:write")
	b.want(page, "Taken away: Start direct messages with people.")
	if strings.Contains(page, `data-take="im:write"`) {
		t.Error("it is still there")
	}
	w.WantError("conversations.open", tok, "missing_scope", "users", slacksim.AcmeAdmin)
	if code, _ := b.send(at, "scope", "im:write"); code != 409 {
		t.Errorf("twice: %d", code)
	}
	for _, x := range in.Scopes {
		b.send(at, "scope", x)
	}
	if in, _ := w.Sim.Installed(slacksim.Acme); len(in.Scopes) != 1 {
		t.Errorf("what is left: %v", in.Scopes)
	}
	if page := b.open(at); strings.Contains(page, "data-take") {
		t.Error("the last one can be taken")
	}
}

// A channel shared with another company says so on both sides, and people of both press buttons in it.
func TestSharedChannel(t *testing.T) {
	w := larger(t)
	tok := w.Install(slacksim.SalesAdmin)
	in, _ := w.Sim.Installed(slacksim.NorthwindSales)
	if err := w.Sim.Invite(w.Ctx, slacksim.SalesAdmin, slacksim.NorthwindBirch, in.BotUserID); err != nil {
		t.Fatal(err)
	}
	ts := w.Call("chat.postMessage", tok, "channel", slacksim.NorthwindBirch, "text", "Vote",
		"blocks", twoButtons).Str("ts")
	w.Settled() // what comes last is the press
	ours, theirs, guest := w.browser(), w.browser(), w.browser()
	ours.send("/signin", "user", slacksim.SalesMember)
	ours.want(ours.open("/client/T0NWSALES1/"+slacksim.NorthwindBirch), "shared with Birch &amp; Co",
		`title="Shared with Birch &amp; Co"`)
	theirs.send("/signin", "user", slacksim.BirchMember)
	page := theirs.open("/client/T0BIRCH001/" + slacksim.NorthwindBirch)
	theirs.want(page, "shared with Northwind Sales", `data-action-id="go"`,
		`<a href="/client/T0BIRCH001/app" id="app-page"><span aria-hidden="true">+</span> Add Switchboard</a>`)
	theirs.send("/client/T0BIRCH001/"+slacksim.NorthwindBirch+"/"+ts+"/act", "action", "acts/go")
	if user, _ := w.Bot.Last(t).Outer["user"].(map[string]any); user["id"] != slacksim.BirchMember ||
		user["team_id"] != slacksim.Birch {
		t.Errorf("pressed by %v", user)
	}
	theirs.send("/client/T0BIRCH001/"+slacksim.NorthwindBirch+"/say", "text", "Hello from Birch")
	guest.send("/signin", "user", slacksim.SalesGuest)
	page = guest.open("/client/T0NWSALES1/" + slacksim.NorthwindBirch)
	guest.want(page, "Sam Lindqvist (Birch &amp; Co)", `data-action-id="go"`)
	if strings.Contains(page, slacksim.SalesGeneral) {
		t.Error("a guest of one channel sees another")
	}
	if code, _ := guest.read(guest.Get(w.Sim.URL() + "/client/T0NWSALES1/" + slacksim.SalesGeneral)); code != 404 {
		t.Errorf("a guest read it: %d", code)
	}
	w.Settled()
	w.WantBreaches()
}
