package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

func TestHandlersAreChecked(t *testing.T) {
	t.Parallel()
	command := func(name string) Handler { return OnCommand(name, nil, Describe("does it", "")) }
	event := func(name string, scopes ...string) Handler { return OnEvent[struct{}](name, nil, Scopes(scopes...)) }
	for _, test := range []struct {
		name     string
		handlers []Handler
		want     string
	}{
		{"two commands of one name", []Handler{command("/a"), command("/a")}, "two handlers for command /a"},
		{"two events of one name", []Handler{event("team_join", "users:read"), event("team_join", "users:read")},
			"two handlers"},
		{"a command without a slash", []Handler{command("a")}, "a slash"},
		{"a command without words", []Handler{OnCommand("/a", nil)}, "no description"},
		{"an event without its scope", []Handler{event("reaction_added")}, "reactions:read"},
		{"message as an event", []Handler{event("message")}, "use OnMessage"},
		{"a message handler that listens nowhere", []Handler{OnMessage(".", nil)}, "no scope that says where"},
		{"a user scope with a space", []Handler{OnAction("a", nil, UserScopes("chat:write "))}, `scope "chat:write "`},
		{"an action without an id", []Handler{OnAction("", nil)}, "1 to 255"},
	} {
		in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: struct{ install.Store }{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Install: in, SigningSecrets: []connection.Secret{"s"},
			Handlers: test.handlers}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestManifestRules(t *testing.T) {
	t.Parallel()
	profile := Profile{Name: "App", Description: "An app."}
	ok := []Handler{OnCommand("/a", nil, Scopes("chat:write"), Describe("does it", "[x]")),
		OnMessage(".", nil, Scopes("im:history"))}
	m, err := NewManifest(profile, ok, "https://bot.example.com/")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %s %s", m.OAuthConfig.Scopes.Bot, m.Settings.EventSubscriptions.BotEvents,
		m.Settings.EventSubscriptions.RequestUrl); got != "[chat:write commands im:history] [app_uninstalled "+
		"grid_migration_finished grid_migration_started message.im team_access_granted team_access_revoked tokens_revoked] "+
		"https://bot.example.com/slack/events" {
		t.Errorf("manifest: %s", got)
	}
	if len(m.OAuthConfig.Scopes.User) > 0 {
		t.Errorf("user scopes that nobody declared: %s", m.OAuthConfig.Scopes.User)
	}
	sockets := m.OverSockets()
	if out, err := json.Marshal(sockets); err != nil || strings.Contains(string(out), "/slack/events") ||
		!sockets.Settings.SocketModeEnabled || m.Features.SlashCommands[0].Url == "" {
		t.Errorf("over sockets: %s %v", out, err)
	}
	long := strings.Repeat("x", 200)
	each := func(n int, of func(i int) Handler) (all []Handler) {
		for i := range n {
			all = append(all, of(i))
		}
		return all
	}
	for _, test := range []struct {
		name     string
		profile  Profile
		handlers []Handler
		url      string
		want     string
	}{
		{"a long name", Profile{Name: long}, ok, "https://a.example", "name has 200"},
		{"a long description", Profile{Name: "a", Description: long}, ok, "https://a.example", "description has 200"},
		{"a short long description", Profile{Name: "a", LongDescription: "short"}, ok, "https://a.example",
			"long_description"},
		{"a colour's name", Profile{Name: "a", Color: "green"}, ok, "https://a.example", "background_color"},
		{"plain http", profile, ok, "http://a.example", "https address"},
		{"no scopes", profile, nil, "https://a.example", "Slack installs no app without one"},
		{"a scope that is none", profile, []Handler{OnAction("a", nil, Scopes("Chat Write"))}, "https://a.example",
			"not a scope's name"},
		{"a user scope that is none", profile, []Handler{OnAction("a", nil, Scopes("chat:write"), UserScopes("Search Read"))},
			"https://a.example", "not a scope's name"},
		{"an event without its scope", profile, []Handler{OnEvent[struct{}]("reaction_added", nil, Scopes("chat:write"))},
			"https://a.example", `event "reaction_added" needs the scope reactions:read`},
		{"many domains", profile, each(6, func(i int) Handler { return OnLink(fmt.Sprintf("a%d.example", i), nil) }),
			"https://a.example", "6 domains of links, Slack allows 5"},
		{"many shortcuts", profile, each(11, func(i int) Handler {
			return OnShortcut(fmt.Sprint(i), nil, Titled("Do it", "Does it."), Scopes("chat:write"))
		}), "https://a.example", "11 shortcuts, Slack allows 10"},
		{"many steps", profile, each(51, func(i int) Handler {
			return OnFunction[struct{}](fmt.Sprint(i), nil, Titled("Do it", "Does it."), Scopes("chat:write"))
		}), "https://a.example", "51 steps of workflows, Slack allows 50"},
	} {
		if _, err := NewManifest(test.profile, test.handlers, test.url); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestMemoryInbox(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m := NewMemoryInbox()
	const n, copies = 200, 8
	var fresh sync.Map
	var adding sync.WaitGroup
	for i := range n * copies {
		adding.Go(func() {
			id := fmt.Sprint("Ev", i%n)
			if ok, err := m.Add(ctx, &Delivery{ID: id}, false); err != nil {
				t.Error(err)
			} else if ok {
				if _, twice := fresh.LoadOrStore(id, true); twice {
					t.Errorf("%s was accepted twice", id)
				}
			}
		})
	}
	adding.Wait()
	claim := func(n int) []Delivery {
		t.Helper()
		events, err := m.Claim(ctx, n, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	all := claim(2 * n)
	if len(all) != n || all[0].Attempt != 1 || len(claim(1)) != 0 {
		t.Fatalf("%d claimed", len(all))
	}
	for _, e := range all[1:] {
		if err := m.Done(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(m.Retry(ctx, all[0], time.Now(), true, "")); err != nil {
		t.Fatal(err)
	}
	if again := claim(n); len(again) != 1 || again[0].Attempt != 2 || again[0].Failures != 1 {
		t.Errorf("after a retry: %+v", again)
	} else if err := errors.Join(m.Done(ctx, again[0]), m.Done(ctx, again[0])); !errors.Is(err, ErrLost) {
		t.Errorf("done twice: %v", err)
	}
	for i := range memoryQueue {
		if _, err := m.Add(ctx, &Delivery{ID: fmt.Sprint("Full", i)}, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Add(ctx, &Delivery{ID: "one more"}, false); !errors.Is(err, ErrInboxFull) {
		t.Errorf("a full inbox says %v", err)
	}
	if err := m.Done(ctx, claim(1)[0]); err != nil {
		t.Fatal(err)
	}
	if ok, err := m.Add(ctx, &Delivery{ID: "one more"}, false); err != nil || !ok {
		t.Errorf("an event that was refused must be accepted later: %v %v", ok, err)
	}
}

// The oldest is that of all that is not done: due, being worked or put off.
func TestMemoryInboxCountsTheOldest(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	m := NewMemoryInbox()
	old := Delivery{ID: "old", Received: now.Add(-time.Hour)}
	for _, e := range []*Delivery{{ID: "new", Received: now}, &old} {
		if _, err := m.Add(ctx, e, true); err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func() error{
		"held":    func() error { return nil },
		"waiting": func() error { return m.Retry(ctx, old, now.Add(time.Hour), true, "") },
	} {
		err := change()
		if count, _ := m.Count(ctx); err != nil || !count.Oldest.Equal(old.Received) {
			t.Errorf("%s: the oldest is of %v, error %v", what, count.Oldest, err)
		}
	}
}

// Ordered counts for the handler that has it, and not for an event that has its name.
func TestOrderedIsOfOneKind(t *testing.T) {
	press := func(options ...Option) Handler {
		return OnActionAsync("app_uninstalled", func(context.Context, *AsyncAction) error { return nil }, options...)
	}
	gone := func(options ...Option) Handler { return onGone(func() error { return nil }, options...) }
	happened := transport.Delivery{Kind: transport.KindEvents, Body: goneBody("Ev1")}
	pressed := transport.Delivery{Kind: transport.KindInteractive, Body: []byte(`{"type":"block_actions",` +
		`"team":{"id":"T1"},"user":{"id":"U1"},"channel":{"id":"C1"},"actions":[{"type":"button",` +
		`"action_id":"app_uninstalled"}]}`)}
	for what, test := range map[string]struct {
		press, gone Handler
		comes       transport.Delivery
		laned       bool
	}{
		"an event beside an action": {press(Ordered()), gone(), happened, false},
		"an event":                  {press(), gone(Ordered()), happened, true},
		"an action beside an event": {press(), gone(Ordered()), pressed, false},
		"an action":                 {press(Ordered()), gone(), pressed, true},
	} {
		b, _ := loggedBot(t, nil, test.press, test.gone)
		if _, err := b.accept(t.Context(), test.comes); err != nil {
			t.Fatal(err)
		}
		events, err := b.workers.inbox.Claim(t.Context(), 1, 0, nil)
		if err != nil || len(events) != 1 || (events[0].OrderingKey != "") != test.laned {
			t.Errorf("%s is in order: %+v %v", what, events, err)
		}
	}
}

// A modal is opened with a connection alone, also for a handler that can do without one.
func TestNoModalWithoutAConnection(t *testing.T) {
	t.Parallel()
	built := false
	b, _ := loggedBot(t, nil, OnCommandAsync("/x", func(context.Context, *AsyncCommand) error { return nil },
		Describe("x", ""), WithoutConnection(), OpensModal(func(context.Context, *Request) (slack.ModalViewRequest, error) {
			built = true
			return slack.ModalViewRequest{}, nil
		})))
	a, err := b.accept(t.Context(), transport.Delivery{Kind: transport.KindCommands,
		Form: url.Values{"command": {"/x"}, "team_id": {"T1"}}})
	if err != nil || built || !strings.Contains(string(a.Body), "can't do that here") {
		t.Errorf("built %v, answered with %s, %v", built, a.Body, err)
	}
}

// What is kept belongs to the workspace that a delivery is from, in an organisation-wide install, too.
func TestHomeOf(t *testing.T) {
	t.Parallel()
	workspace := connection.Connection{ID: "con_1", Key: connection.Key{AppID: "A1", EnterpriseID: "E1", TeamID: "T1"}}
	org := connection.Connection{ID: "con_1", Key: connection.Key{AppID: "A1", EnterpriseID: "E1"}}
	for _, test := range []struct {
		c          connection.Connection
		team, home string
	}{{workspace, "T1", "T1"}, {workspace, "T9", "T1"}, {workspace, "", "T1"}, {org, "T1", "T1"}, {org, "", "E1"}} {
		want := ValueOwner{ConnectionID: "con_1", AppID: "A1", TeamID: test.home}
		if got := homeOf(test.c, test.team); got != want {
			t.Errorf("%s from %q: %+v", test.c.Key, test.team, got)
		}
	}
}

func TestCallSurvivesAPanic(t *testing.T) {
	t.Parallel()
	h := OnCommand("/a", func(context.Context, *Command) error { panic("out of luck") })
	_, err := call(context.Background(), &h, &Request{handler: &h}, &slack.SlashCommand{})
	var p *panicError
	if !errors.As(err, &p) || !strings.Contains(err.Error(), "out of luck") || len(p.stack) == 0 {
		t.Errorf("got %v", err)
	}
}

func TestEventsAreDecodedForTheHandler(t *testing.T) {
	t.Parallel()
	var got string
	h := OnMention("", func(_ context.Context, t *Message) error {
		got = t.Payload.Text
		return nil
	})
	if _, err := call(context.Background(), &h, &Request{handler: &h},
		json.RawMessage(`{"type":"app_mention","text":"hi"}`)); err != nil || got != "hi" {
		t.Errorf("got %q, %v", got, err)
	}
	var decode *decodeError
	if _, err := call(context.Background(), &h, &Request{handler: &h}, json.RawMessage(`["text"]`)); !errors.As(err,
		&decode) {
		t.Errorf("a payload of another shape: %v", err)
	}
}

func TestResponseURLHosts(t *testing.T) {
	t.Parallel()
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", SlackURL: "http://127.0.0.1:9",
		Store: struct{ install.Store }{}})
	if err != nil {
		t.Fatal(err)
	}
	b := &Bot{responses: newResponses(in.Slack())}
	for address, ok := range map[string]bool{
		"https://hooks.slack.com/commands/T1/2/3":     true,
		"https://hooks.slack-gov.com/commands/T1/2/3": true,
		"http://127.0.0.1:9/hooks/response/x":         true,
		"http://hooks.slack.com/commands/T1/2/3":      false,
		"https://hooks.slack.com.evil.example/x":      false,
		"https://evil.example/hooks.slack.com":        false,
		"https://hooks.slack.com@evil.example/":       false,
		"http://127.0.0.1:10/x":                       false,
		"https://127.0.0.1:9/x":                       false,
		"":                                            false,
		"::":                                          false,
	} {
		if _, err := b.responses.address(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// What the app says goes to the address that Slack gave, and to none that somebody there points to: 307 and 308 would
// take the words along.
func TestResponseIsNotRedirected(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	var status atomic.Int64
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, int(status.Load()))
	}))
	defer hooks.Close()
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", SlackURL: hooks.URL, Store: noStore{}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Install: in, SigningSecrets: []connection.Secret{"s"}})
	if err != nil {
		t.Fatal(err)
	}

	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		status.Store(int64(code))
		err := b.responses.post(t.Context(), connection.Secret(hooks.URL+"/response"), message{Text: "for one person"})
		if err == nil || !strings.Contains(err.Error(), strconv.Itoa(code)) {
			t.Errorf("%d: %v", code, err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d posts went elsewhere", n)
	}
}

// A handler that never ends holds a stop up for a while, not for ever.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, release := make(chan struct{}), make(chan struct{})
		stuck := OnEvent("app_uninstalled", func(context.Context, *Event[struct{}]) error {
			close(started)
			<-release // whatever its context says
			return nil
		})
		in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(Config{Install: in, SigningSecrets: []connection.Secret{"s"}, Handlers: []Handler{stuck}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		body := []byte(`{"type":"event_callback","event_id":"Ev1","event":{"type":"app_uninstalled"}}`)
		if _, err := b.workers.inbox.Add(ctx, &Delivery{ID: "Ev1", Kind: transport.KindEvents, Type: "app_uninstalled",
			Body: body}, false); err != nil {
			t.Fatal(err)
		}
		<-started
		cancel()
		before := time.Now()
		if err := <-ended; !errors.Is(err, ErrGaveUp) || time.Since(before) != stopBudget+putBackAfter {
			t.Errorf("after %v: %v", time.Since(before), err)
		}
		close(release)
	})
}
