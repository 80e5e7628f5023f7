package cli

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/slacksim"
)

// another is an app that says nothing but its name.
func another() *program {
	return &program{name: "hello", App: App{Name: "Hello", Handlers: []bot.Handler{
		bot.OnCommand("/hello", func(context.Context, *bot.Command) error { return nil },
			bot.Describe("Says hello to you", "[name]")),
		bot.OnMention("", func(context.Context, *bot.Message) error { return nil }, bot.OptionalScopes("users:read")),
	}}}
}

// What people read of an app follows from its handlers, where it says nothing itself.
func TestWordsFollowFromHandlers(t *testing.T) {
	t.Parallel()
	p := another()
	does := strings.Join(p.does(), "\n")
	if does != "You type `/hello` in any channel: Says hello to you.\n"+
		"You mention it in a channel where it was added, and it answers there." {
		t.Error(does)
	}
	guide := ""
	for _, hint := range p.guide() {
		guide += hint.Title + " " + hint.Text + "\n"
	}
	for _, want := range []string{"choose Add Hello", "Type /hello [name] in a channel.", "@Hello hello", "Manage Hello"} {
		if !strings.Contains(guide, want) {
			t.Errorf("the guide doesn't say %q: %s", want, guide)
		}
	}
	m, err := p.manifest(p.placeholderURL())
	if err != nil {
		t.Fatal(err)
	}
	scopes, at := strings.Join(m.OAuthConfig.Scopes.BotOptional, " "), m.Settings.EventSubscriptions.RequestUrl
	if scopes != "users:read" || at != "https://hello.example.com/slack/events" {
		t.Errorf("%s may be unticked; it is served at %s", scopes, at)
	}
}

// Whatever kind of handler an app has, its pages say what people can do, and the demo how to try it.
func TestWordsOfEveryKind(t *testing.T) {
	t.Parallel()
	command := func(context.Context, *bot.Command) error { return nil }
	shortcut := func(context.Context, *bot.Shortcut) error { return nil }
	thread := func(context.Context, *bot.Thread) error { return nil }
	a := App{Name: "Hello", Handlers: []bot.Handler{
		bot.OnCommand("/rota", nil, bot.Describe("who is on call", "")),
		bot.OnCommand("/rota show", command, bot.Describe("shows one", "")),
		bot.OnShortcut("new", shortcut, bot.Titled("New ticket", "files a ticket")),
		bot.OnMessageShortcut("remember", shortcut, bot.Titled("Remember", "remembers it.")),
		bot.OnFunction("open", func(context.Context, *bot.Function[struct{}]) error { return nil },
			bot.Titled("Open", "Files a ticket")),
		bot.OnLink("t.example", func(context.Context, *bot.Link) error { return nil }),
		bot.OnHomeOpened(func(context.Context, *bot.Home) error { return nil }),
		bot.OnMessage("hi", func(context.Context, *bot.Message) error { return nil }, bot.Scopes("im:history")),
		bot.OnAgentMessage("", thread),
		bot.OnAgentMessage("x", thread),
	}}
	want := []string{
		"You type `/rota` in any channel: who is on call.",
		"You choose “New ticket” from Slack’s shortcuts: files a ticket.",
		"You choose “Remember” from a message’s menu: remembers it.",
		"You add the step “Open” to a workflow: Files a ticket.",
		"You post a link to t.example, and it shows what is there.", "Its Home tab shows what it has for you.",
		"You write to it in a direct message, and it answers there.",
		"You ask it something in a conversation of its own, and it answers in a thread.",
	}
	if does := a.does(); !slices.Equal(does, want) {
		t.Errorf("it does %q", does)
	}

	guide := a.guide()
	guide = guide[1 : len(guide)-1] // the install and the removal
	if len(guide) != len(want) || guide[0] != (bot.Hint{Title: "Type /rota in a channel.", Text: "Who is on call."}) ||
		guide[2] != (bot.Hint{Title: "Use “Remember” on a message.",
			Text: "Remembers it. It is behind the ⋮ beside a message."}) {
		t.Errorf("the guide says %q", guide)
	}
}

// In the demo an app is an agent if its handlers make it one.
func TestDemoPlaysAgents(t *testing.T) {
	t.Parallel()
	agent := bot.OnAgentMessage("", func(context.Context, *bot.Thread) error { return nil })
	for _, also := range [][]bot.Handler{nil, {agent}} {
		app, err := another().simApp("http://127.0.0.1:1", also...)
		if err != nil {
			t.Fatal(err)
		}
		if (app.Agent != nil) != (also != nil) || app.Agent != nil && app.Agent.Description == "" {
			t.Errorf("with %d handlers of an agent it is %+v", len(also), app.Agent)
		}
	}
}

// In the small Slack of the demo, and of tests, an app is what its manifest makes it.
func TestSmallSlackKnowsTheApp(t *testing.T) {
	t.Parallel()
	shortcut := func(context.Context, *bot.Shortcut) error { return nil }
	type inputs struct {
		Who  string `json:"who" title:"Person" slack:"user_id"`
		Note string `json:"note,omitempty" title:"Note"`
	}
	a := App{Name: "Hello", Summary: "Says hello.", NoRotation: true, Agent: bot.AgentView{
		Description: "Answers.", Prompts: []bot.Prompt{{Title: "Who?", Message: "Who is it?"}},
	}, Handlers: []bot.Handler{
		bot.OnCommand("/hello", func(context.Context, *bot.Command) error { return nil }, bot.Describe("Says it", "[name]"),
			bot.OptionalScopes("users:read")),
		bot.OnShortcut("new", shortcut, bot.Titled("New", "Makes one")),
		bot.OnMessageShortcut("keep", shortcut, bot.Titled("Keep", "Keeps it")),
		bot.OnOptions("menu", func(context.Context, *bot.Options) error { return nil }),
		bot.OnLink("t.example", func(context.Context, *bot.Link) error { return nil }),
		bot.OnFunction("open", func(context.Context, *bot.Function[inputs]) error { return nil },
			bot.Titled("Open", "Files one"), bot.Outputs(bot.Parameter{Name: "id", Type: "string", Title: "Number"})),
	}}
	agent := bot.OnAgentMessage("", func(context.Context, *bot.Thread) error { return nil })
	got, err := a.simApp("http://127.0.0.1:1", agent) // a demo's own handlers count, too
	if err != nil {
		t.Fatal(err)
	}

	who := slacksim.Parameter{Name: "who", Title: "Person", Type: "slack#/types/user_id", Required: true}
	note := slacksim.Parameter{Name: "note", Title: "Note", Type: "string"}
	number := slacksim.Parameter{Name: "id", Title: "Number", Type: "string"}
	for what, same := range map[string]bool{
		"its name":  got.Name == "Hello" && got.Description == "Says hello." && got.InstallURL == "http://127.0.0.1:1/",
		"addresses": got.EventsURL == "http://127.0.0.1:1/slack/events" && got.OptionsURL == got.EventsURL,
		"callback":  slices.Equal(got.RedirectURLs, []string{"http://127.0.0.1:1/slack/oauth_redirect"}),
		"optional":  slices.Equal(got.OptionalScopes, []string{"users:read"}),
		"domains":   slices.Equal(got.UnfurlDomains, []string{"t.example"}),
		"commands": slices.Equal(got.Commands, []slacksim.Command{{Name: "/hello", Description: "Says it",
			UsageHint: "[name]", ShouldEscape: true, URL: got.EventsURL}}),
		"shortcuts": slices.Equal(got.Shortcuts, []slacksim.Shortcut{{Name: "New", CallbackID: "new",
			Description: "Makes one"}, {Name: "Keep", CallbackID: "keep", Description: "Keeps it", OnMessage: true}}),
		"steps": reflect.DeepEqual(got.Functions, []slacksim.Function{{CallbackID: "open", Title: "Open",
			Description: "Files one", Inputs: []slacksim.Parameter{note, who}, Outputs: []slacksim.Parameter{number}}}),
		"agent": reflect.DeepEqual(got.Agent, &slacksim.AgentView{Description: "Answers.",
			Prompts: []slacksim.Prompt{{Title: "Who?", Message: "Who is it?"}}}),
		"organisations, and no rotation": got.OrgReady && !got.TokenRotation,
	} {
		if !same {
			t.Errorf("%s: %+v", what, got)
		}
	}

	a.WorkspacesOnly, a.NoRotation, a.Handlers = true, false, a.Handlers[:1]
	if got, err = a.simApp("http://127.0.0.1:1"); err != nil || got.OrgReady || !got.TokenRotation || got.Agent != nil {
		t.Errorf("with rotation, for workspaces alone, without an agent: %v %+v", err, got)
	}
}

// The demo says what to try, has the handlers that are for it alone, and finds a port where the usual one is taken. It
// is open to this machine alone.
func TestDemoOfAnyApp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	p := another()
	p.DemoHandlers = []bot.Handler{bot.OnCommand("/only-here",
		func(context.Context, *bot.Command) error { return nil }, bot.Describe("Is for trying", ""))}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	d, err := p.startDemo(taken.Addr().String(), newLogger(io.Discard, 0, "json"))
	if err != nil {
		t.Fatal(err)
	}

	page, err := http.Get(d.slack.URL())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := io.ReadAll(page.Body)
	_ = page.Body.Close()
	for _, hint := range p.guide() {
		if err != nil || !strings.Contains(html.UnescapeString(string(shown)), hint.Title) {
			t.Errorf("the first page doesn't say %q: %v %s", hint.Title, err, shown)
		}
	}
	if commands := d.slack.App().Commands; len(commands) != 2 || len(d.cfg.Bot.Handlers) != 3 ||
		d.cfg.Database.Program != "hello" {
		t.Errorf("commands %+v, %d handlers, of %s", commands, len(d.cfg.Bot.Handlers), d.cfg.Database.Program)
	}
	if err := errors.Join(d.cfg.Listener.Close(), d.close()); err != nil {
		t.Error(err)
	}
	if left := names(t, os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("it left %q", left)
	}

	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:8080", "8080", ""} {
		if out, errs, code := try(nil, "demo", "--addr="+addr); code != 2 || out != "" || !strings.Contains(errs, "--addr") {
			t.Errorf("--addr %q: exit %d: %s%s", addr, code, out, errs)
		}
	}
}

// What an app says of itself counts, and all of it reaches what runs it.
func TestFillHandsAllOn(t *testing.T) {
	t.Parallel()
	a := *another()
	var used, failed, ran bool
	a.Use = []bot.Middleware{func(next bot.Next) bot.Next { used = true; return next }}
	a.OnError = func(context.Context, *bot.Request, error) error { failed = true; return nil }
	a.Routes = map[string]http.Handler{"/extra": http.NotFoundHandler()}
	a.Background = []func(context.Context) error{func(context.Context) error { ran = true; return nil }}
	a.LeastInterval = time.Second
	a.Does, a.Guide = []string{"You look at it."}, []bot.Hint{{Title: "Look at it."}}
	cfg := server.Config{}
	cfg.Bot.Handlers = []bot.Handler{bot.OnHomeOpened(func(context.Context, *bot.Home) error { return nil })}
	a.Fill(&cfg)
	if len(cfg.Bot.Handlers) != 3 || cfg.Bot.Handlers[0].Name != "/hello" || cfg.Routes["/extra"] == nil ||
		cfg.Bot.LeastInterval != time.Second || cfg.Install.App.Name != "Hello" ||
		cfg.Install.App.DataKept != a.Words.Say("app.data_kept") ||
		!slices.Equal(cfg.Install.App.Does, a.Does) || !slices.Equal(a.guide(), a.Guide) {
		t.Errorf("%+v", cfg)
	}
	if cfg.Bot.Use[0](nil); !used || cfg.Bot.OnError(t.Context(), nil, nil) != nil || !failed ||
		cfg.Background[0](t.Context()) != nil || !ran {
		t.Error("its functions are others")
	}
	a.DataKept = "The name."
	if a.Fill(&cfg); cfg.Install.App.DataKept != "The name." {
		t.Errorf("kept: %s", cfg.Install.App.DataKept)
	}
}

// The command line goes by the name of the program, and says nothing of the app that comes with this module.
func TestAnotherProgramSaysItsName(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"DATA_DIR": t.TempDir()}
	for _, args := range []string{"help", "help serve", "help connections", "version", "manifest",
		"manifest --permissions", "connections list", "serve", "nonsense"} {
		var out bytes.Buffer
		p := another()
		p.exitCode(&out, p.run(t.Context(), strings.Fields(args), func(name string) string { return settings[name] }, &out,
			&out))
		said := strings.ReplaceAll(out.String(), "switchboard.db", "") // the file's name is the same for all
		if strings.Contains(strings.ToLower(said), "switchboard") || strings.Contains(said, "/connection ") || said == "" {
			t.Errorf("hello %s: %s", args, said)
		}
	}
}

// An app that says nothing of its own writes to its people anyway, if it may write; what it says itself counts.
func TestMessagesOfAnyApp(t *testing.T) {
	t.Parallel()
	silent := *another()
	silent.Handlers = silent.Handlers[:1] // what listens to mentions may write
	writes, hasHome, own := silent, silent, silent
	says := bot.OnEvent("message", func(context.Context, *bot.Event[struct{}]) error { return nil },
		bot.Scopes("chat:write"))
	home := bot.OnEvent("app_home_opened", func(context.Context, *bot.Event[struct{}]) error { return nil })
	writes.Handlers = slices.Concat(silent.Handlers, []bot.Handler{says})
	hasHome.Handlers = slices.Concat(writes.Handlers, []bot.Handler{home})
	own.Messages = func(install.Config) install.Messages { return messages.Messages{SlackURL: "its own"} }

	for name, test := range map[string]struct {
		app  App
		want func(m install.Messages) bool
	}{
		"it may not write": {silent.App, func(m install.Messages) bool { return m == nil }},
		"it may write": {writes.App, func(m install.Messages) bool {
			plain, ok := m.(messages.Messages)
			return ok && plain.App.Name == "Hello" && len(plain.Scopes) > 0 && !plain.Home
		}},
		"it has a Home tab": {hasHome.App, func(m install.Messages) bool {
			plain, ok := m.(messages.Messages)
			return ok && plain.Home
		}},
		"it has its own": {own.App, func(m install.Messages) bool { return m.(messages.Messages).SlackURL == "its own" }},
	} {
		var cfg server.Config
		if test.app.Fill(&cfg); !test.want(cfg.Install.Messages) {
			t.Errorf("%s: %#v", name, cfg.Install.Messages)
		}
	}
}

// The people of any app are greeted, and told while it can still be said that their connection needs somebody.
func TestAnyAppTellsItsPeople(t *testing.T) {
	t.Parallel()
	keeping(t, func(t *testing.T, w *world) {
		w.of = another()
		w.of.clock = testClock
		w.of.Handlers = append(w.of.Handlers,
			bot.OnEvent("reaction_added", func(context.Context, *bot.Event[struct{}]) error { return nil },
				bot.Scopes("reactions:read", "chat:write")))
		app, err := w.of.simApp(w.proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		w.slack.SetApp(func(a *slacksim.App) { *a = app })

		dana := slacksim.AcmeAdmin
		dm := w.slack.DM(dana)
		w.start(1, nil)
		w.browser().install(dana)
		w.settle()
		w.sour(w.store(), slacksim.Acme)
		w.wait("the message about the trouble", func() bool { return len(w.fromApp(dm, dana)) == 2 })

		all := w.fromApp(dm, dana)
		for i, want := range []string{"Hello is now connected to Acme Corp.",
			"Hello needs reconnecting in Acme Corp. Its access couldn't be renewed."} {
			if said := asRead(all[i]); !strings.HasPrefix(all[i].Text, want) || strings.Contains(said, "/connection ") ||
				strings.Contains(said, "Switchboard") {
				t.Errorf("want %q first in %s", want, said)
			}
		}
	})
}

// Slack doesn't say which app a shortcut is of. An app that has one and doesn't know its id would find no connection.
func TestShortcutsNeedTheAppID(t *testing.T) {
	t.Chdir(t.TempDir())
	p := another()
	p.Handlers = append(p.Handlers, bot.OnShortcut("new", func(context.Context, *bot.Shortcut) error { return nil },
		bot.Titled("New", "Makes one")))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for id, want := range map[string]int{"": 2, "A0SWITCHBD": 0} {
		var out, errs bytes.Buffer
		settings := over(good, map[string]string{"SLACK_APP_ID": id})
		code := p.exitCode(&errs, p.run(ended, []string{"serve"}, func(name string) string { return settings[name] },
			&out, &errs))
		if said := strings.Contains(errs.String(), "SLACK_APP_ID: is not set"); code != want || said != (want == 2) {
			t.Errorf("with the id %q: exit %d: %s", id, code, &errs)
		}
	}
}
