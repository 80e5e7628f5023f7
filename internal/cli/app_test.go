package cli

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

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
	if does != "You type /hello in any channel: Says hello to you.\n"+
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
		"You type /rota in any channel: who is on call.",
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
