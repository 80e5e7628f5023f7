package slacksim_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"switchboard/slacksim"
)

var start = time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)

// request is one delivery as the fake app got it.
type request struct {
	header http.Header
	body   []byte
	form   url.Values
	event  map[string]any // the inner event
	outer  map[string]any // the envelope, or the interaction's payload
}

// app is a tiny Slack app: it records what it gets and answers as told.
type app struct {
	mu     sync.Mutex
	got    []request
	answer func(http.ResponseWriter, *http.Request, request)
	*httptest.Server
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	q := request{header: r.Header, body: body}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		_ = json.Unmarshal(body, &q.outer)
		q.event, _ = q.outer["event"].(map[string]any)
	} else {
		q.form, _ = url.ParseQuery(string(body))
		_ = json.Unmarshal([]byte(q.form.Get("payload")), &q.outer)
	}
	a.mu.Lock()
	a.got = append(a.got, q)
	f := a.answer
	a.mu.Unlock()
	if f != nil {
		f(w, r, q)
	}
}

func (a *app) reply(f func(http.ResponseWriter, *http.Request, request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

func (a *app) requests() []request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]request(nil), a.got...)
}

// events are the requests with this inner event type.
func (a *app) events(typ string) (out []request) {
	for _, r := range a.requests() {
		if r.event != nil && r.event["type"] == typ {
			out = append(out, r)
		}
	}
	return out
}

func (a *app) last(t *testing.T) request {
	t.Helper()
	got := a.requests()
	if len(got) == 0 {
		t.Fatal("the app got nothing")
	}
	return got[len(got)-1]
}

const (
	botScopes = "app_mentions:read,channels:history,channels:read,chat:write,commands,im:history,im:write,im:read,team:read,users:read,reactions:write"
	callback  = "https://app.example/slack/oauth_redirect"
)

type world struct {
	*slacksim.Sim
	app   *app
	clock *slacksim.ManualClock
	ctx   context.Context
	t     *testing.T
}

// newWorld starts a Sim with the small world and a fake app that acknowledges everything.
func newWorld(t *testing.T, change ...func(*slacksim.Config)) *world {
	t.Helper()
	a := &app{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	clock := slacksim.NewManualClock(start)
	cfg := slacksim.Config{Clock: clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), App: slacksim.App{
		ID: "A0SWITCH01", Name: "Switchboard", Description: "Keeps connections alive",
		ClientID: "111.222", ClientSecret: "client-secret-xyz", SigningSecret: "signing-secret-xyz",
		RedirectURLs: []string{callback}, EventsURL: a.URL + "/slack/events", InstallURL: "https://app.example/slack/install",
		Commands: []slacksim.Command{{Name: "/connection", Description: "Shows the connection", UsageHint: "[status]", ShouldEscape: true}},
		Events:   []string{"app_mention", "message.im", "message.channels", "message.groups", "app_home_opened", "app_uninstalled", "tokens_revoked", "member_joined_channel"},
		HomeTab:  true, MessagesTab: true, HomeTeam: slacksim.Acme,
	}}
	for _, f := range change {
		f(&cfg)
	}
	s := slacksim.New(cfg)
	s.AddSmallWorld()
	if err := s.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &world{s, a, clock, ctx, t}
}

type answer map[string]any

func (a answer) str(path ...string) string {
	var v any = map[string]any(a)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[p]
	}
	s, _ := v.(string)
	return s
}

// call makes a form call and returns the decoded answer.
func (w *world) call(method, token string, args ...string) answer {
	w.t.Helper()
	a, err := w.try(method, token, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", method, err)
	}
	return a
}

func (w *world) try(method, token string, args ...string) (answer, error) {
	form := url.Values{}
	for i := 0; i+1 < len(args); i += 2 {
		form.Set(args[i], args[i+1])
	}
	req, _ := http.NewRequestWithContext(w.ctx, "POST", w.URL()+"/api/"+method, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var a answer
	err = json.NewDecoder(res.Body).Decode(&a)
	return a, err
}

func (w *world) wantError(method, token, want string, args ...string) answer {
	w.t.Helper()
	a := w.call(method, token, args...)
	if a.str("error") != want {
		w.t.Errorf("%s(%v) = %v, want error %q", method, args, a, want)
	}
	return a
}

func (w *world) authorizeURL(scopes string, extra ...string) string {
	q := url.Values{"client_id": {"111.222"}, "scope": {scopes}, "state": {"st4te"}, "redirect_uri": {callback}}
	for i := 0; i+1 < len(extra); i += 2 {
		q.Set(extra[i], extra[i+1])
	}
	return w.URL() + "/oauth/v2/authorize?" + q.Encode()
}

// code plays the consent page and returns the code.
func (w *world) code(user, scopes string, extra ...string) string {
	w.t.Helper()
	back, err := w.Authorize(w.ctx, w.authorizeURL(scopes, extra...), user, slacksim.Choice{})
	if err != nil {
		w.t.Fatal(err)
	}
	u, _ := url.Parse(back)
	return u.Query().Get("code")
}

func (w *world) exchange(code string) answer {
	w.t.Helper()
	return w.call("oauth.v2.access", "", "client_id", "111.222", "client_secret", "client-secret-xyz", "code", code, "redirect_uri", callback)
}

// install installs for the user's workspace and returns the bot token.
func (w *world) install(user string, scopes ...string) string {
	w.t.Helper()
	sc := botScopes
	if len(scopes) > 0 {
		sc = scopes[0]
	}
	a := w.exchange(w.code(user, sc))
	if a["ok"] != true {
		w.t.Fatalf("install: %v", a)
	}
	return a.str("access_token")
}

func (w *world) settle() {
	w.t.Helper()
	if err := w.Settle(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantBreaches(rules ...string) {
	w.t.Helper()
	var got []string
	for _, b := range w.Breaches() {
		got = append(got, b.Rule)
	}
	if strings.Join(got, " ") != strings.Join(rules, " ") {
		w.t.Errorf("breaches = %v, want %v", w.Breaches(), rules)
	}
}

func TestInstallTalkAndUninstall(t *testing.T) {
	w := newWorld(t)
	tok := w.install(slacksim.AcmeAdmin)
	if !strings.HasPrefix(tok, "xoxb-") {
		t.Errorf("bot token %q", tok)
	}
	dm := w.DM(slacksim.AcmeAdmin)
	if a := w.call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "Welcome"); a.str("channel") != dm {
		t.Errorf("posting to a user id answered %v", a)
	}
	if _, err := w.Say(w.ctx, slacksim.AcmeAdmin, dm, "hello"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	got := w.app.events("message")
	if len(got) != 2 { // its own welcome comes back, too
		t.Fatalf("%d message events, want 2", len(got))
	}
	for _, r := range got {
		want := slacksim.Sign("signing-secret-xyz", start.Unix(), r.body)
		if r.header.Get("X-Slack-Signature") != want || r.header.Get("X-Slack-Request-Timestamp") != "1793611800" {
			t.Errorf("signature %v", r.header)
		}
		auth := r.outer["authorizations"].([]any)[0].(map[string]any)
		if auth["team_id"] != slacksim.Acme || auth["is_bot"] != true || auth["enterprise_id"] != nil {
			t.Errorf("authorizations[0] = %v", auth)
		}
	}
	if err := w.Uninstall(w.ctx, slacksim.Acme, slacksim.UninstalledFirst); err != nil {
		t.Fatal(err)
	}
	w.settle()
	reqs := w.app.requests()
	if a, b := reqs[len(reqs)-2].event["type"], reqs[len(reqs)-1].event["type"]; a != "app_uninstalled" || b != "tokens_revoked" {
		t.Errorf("uninstall sent %v, %v", a, b)
	}
	w.wantError("auth.test", tok, "account_inactive")
	w.wantBreaches()
	w.wantError("chat.postMessage", tok, "account_inactive", "channel", dm, "text", "x")
	w.wantBreaches(slacksim.RuleRevokedToken)
	if again := w.install(slacksim.AcmeAdmin); again == tok {
		t.Error("the token is the same after an uninstall")
	}
}
