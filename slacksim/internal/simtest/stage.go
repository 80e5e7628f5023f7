// Package simtest is the stage on which the simulator itself is tested: a small world, and an app in it that records
// what it gets and answers as told.
package simtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// Start is when the world begins, by its clock.
var Start = time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)

// Request is one delivery as the app got it.
type Request struct {
	Header http.Header
	Body   []byte
	Form   url.Values
	Event  map[string]any // the inner event
	Outer  map[string]any // the envelope, or the interaction's payload
}

// Answerer answers a delivery.
type Answerer func(http.ResponseWriter, *http.Request, Request)

// App is a tiny Slack app: it records what it gets and answers as told.
type App struct {
	mu     sync.Mutex
	got    []Request
	answer Answerer
	*httptest.Server
}

// ServeHTTP takes in one delivery.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	q := Request{Header: r.Header, Body: body}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		_ = json.Unmarshal(body, &q.Outer)
		q.Event, _ = q.Outer["event"].(map[string]any)
	} else {
		q.Form, _ = url.ParseQuery(string(body))
		_ = json.Unmarshal([]byte(q.Form.Get("payload")), &q.Outer)
	}
	a.mu.Lock()
	a.got = append(a.got, q)
	f := a.answer
	a.mu.Unlock()
	if f != nil {
		f(w, r, q)
	}
}

// Reply has deliveries answered by f. nil acknowledges them.
func (a *App) Reply(f Answerer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = f
}

// Requests are all deliveries so far.
func (a *App) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Request(nil), a.got...)
}

// Events are the deliveries with this inner event type.
func (a *App) Events(typ string) (out []Request) {
	for _, r := range a.Requests() {
		if r.Event != nil && r.Event["type"] == typ {
			out = append(out, r)
		}
	}
	return out
}

// Last is the newest delivery.
func (a *App) Last(t *testing.T) Request {
	t.Helper()
	got := a.Requests()
	if len(got) == 0 {
		t.Fatal("the app got nothing")
	}
	return got[len(got)-1]
}

// What the app asks for, and where Slack sends people back to.
const (
	BotScopes = "app_mentions:read,channels:history,channels:read,chat:write,commands,im:history,im:write,im:read," +
		"team:read,users:read,reactions:write"
	Callback = "https://app.example/slack/oauth_redirect"
)

// World is a running Sim with an app.
type World struct {
	Sim   *slacksim.Sim
	Bot   *App
	Clock *slacksim.ManualClock
	Ctx   context.Context
	T     *testing.T
}

// New starts a Sim with the small world and an app that acknowledges everything.
func New(t *testing.T, change ...func(*slacksim.Config)) *World {
	t.Helper()
	a := &App{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)

	clock := slacksim.NewManualClock(Start)
	cfg := slacksim.Config{Clock: clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), App: slacksim.App{
		ID: "A0SWITCH01", Name: "Switchboard", Description: "Keeps connections alive",
		ClientID: "111.222", ClientSecret: "client-secret-xyz", SigningSecret: "signing-secret-xyz",
		RedirectURLs: []string{Callback}, EventsURL: a.URL + "/slack/events", InstallURL: "https://app.example/slack/install",
		Commands: []slacksim.Command{
			{Name: "/connection", Description: "Shows the connection", UsageHint: "[status]", ShouldEscape: true},
		},
		Events: []string{"app_mention", "message.im", "message.channels", "message.groups", "app_home_opened",
			"app_uninstalled", "tokens_revoked", "member_joined_channel"},
		HomeTab: true, MessagesTab: true, HomeTeam: slacksim.Acme,
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
	return &World{Sim: s, Bot: a, Clock: clock, Ctx: ctx, T: t}
}

// Answer is what a method of the Web API answered.
type Answer map[string]any

// Str is the text at a path of the answer, "" where there is none.
func (a Answer) Str(path ...string) string {
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

// Call makes a form call and returns the decoded answer.
func (w *World) Call(method, token string, args ...string) Answer {
	w.T.Helper()
	a, err := w.Try(method, token, args...)
	if err != nil {
		w.T.Fatalf("%s: %v", method, err)
	}
	return a
}

// Try is Call for those who want the error.
func (w *World) Try(method, token string, args ...string) (Answer, error) {
	form := url.Values{}
	for i := 0; i+1 < len(args); i += 2 {
		form.Set(args[i], args[i+1])
	}
	body := strings.NewReader(form.Encode())
	req, _ := http.NewRequestWithContext(w.Ctx, http.MethodPost, w.Sim.URL()+"/api/"+method, body)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var a Answer
	err = json.NewDecoder(res.Body).Decode(&a)
	return a, err
}

// WantError makes a call that must be refused with this error.
func (w *World) WantError(method, token, want string, args ...string) Answer {
	w.T.Helper()
	a := w.Call(method, token, args...)
	if a.Str("error") != want {
		w.T.Errorf("%s(%v) = %v, want error %q", method, args, a, want)
	}
	return a
}

// AuthorizeURL is the consent page for these scopes, with more parameters or others.
func (w *World) AuthorizeURL(scopes string, extra ...string) string {
	q := url.Values{"client_id": {"111.222"}, "scope": {scopes}, "state": {"st4te"}, "redirect_uri": {Callback}}
	for i := 0; i+1 < len(extra); i += 2 {
		q.Set(extra[i], extra[i+1])
	}
	return w.Sim.URL() + "/oauth/v2/authorize?" + q.Encode()
}

// Code plays the consent page and returns the code.
func (w *World) Code(user, scopes string, extra ...string) string {
	w.T.Helper()
	back, err := w.Sim.Authorize(w.Ctx, w.AuthorizeURL(scopes, extra...), user, slacksim.Choice{})
	if err != nil {
		w.T.Fatal(err)
	}
	u, _ := url.Parse(back)
	return u.Query().Get("code")
}

// Exchange gives a code for a token.
func (w *World) Exchange(code string) Answer {
	w.T.Helper()
	return w.Call("oauth.v2.access", "", "client_id", "111.222", "client_secret", "client-secret-xyz",
		"code", code, "redirect_uri", Callback)
}

// Install installs for the user's workspace and returns the bot token.
func (w *World) Install(user string, scopes ...string) string {
	w.T.Helper()
	sc := BotScopes
	if len(scopes) > 0 {
		sc = scopes[0]
	}
	a := w.Exchange(w.Code(user, sc))
	if a["ok"] != true {
		w.T.Fatalf("install: %v", a)
	}
	return a.Str("access_token")
}

// Settled waits until nothing is under way.
func (w *World) Settled() {
	w.T.Helper()
	if err := w.Sim.Settle(w.Ctx); err != nil {
		w.T.Fatal(err)
	}
}

// WantBreaches says which rules the app has broken, and no others.
func (w *World) WantBreaches(rules ...string) {
	w.T.Helper()
	var got []string
	for _, b := range w.Sim.Breaches() {
		got = append(got, b.Rule)
	}
	if strings.Join(got, " ") != strings.Join(rules, " ") {
		w.T.Errorf("breaches = %v, want %v", w.Sim.Breaches(), rules)
	}
}

// JSONReply answers with this body.
func JSONReply(body string) Answerer {
	return func(w http.ResponseWriter, _ *http.Request, _ Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	}
}

// TwoButtons are blocks with a button and a menu.
const TwoButtons = `[{"type":"actions","block_id":"acts","elements":[
 {"type":"button","action_id":"go","value":"v1","text":{"type":"plain_text","text":"Go"}},
 {"type":"static_select","action_id":"pick","options":[
  {"text":{"type":"plain_text","text":"One"},"value":"1"},{"text":{"type":"plain_text","text":"Two"},"value":"2"}]}]}]`

// Modal is a view with these blocks.
func Modal(title, blocks string) string {
	return `{"type":"modal","callback_id":"cb","title":{"type":"plain_text","text":"` + title + `"},` +
		`"submit":{"type":"plain_text","text":"Save"},"notify_on_close":true,"blocks":` + blocks + `}`
}

// NameInput is the blocks of a form with one field.
const NameInput = `[{"type":"input","block_id":"n","label":{"type":"plain_text","text":"Name"},` +
	`"element":{"type":"plain_text_input","action_id":"name"}}]`
