package bot_test

// Handlers of one's own, tried against slacksim: what an app's author would write. The stage is a real store and a real
// Slack on loopback.

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestMain(m *testing.M) {
	storagetest.ManyAtOnce()
	os.Exit(m.Run())
}

// scene is a bot on its stage.
type scene struct {
	sim      *slacksim.Sim
	db       *storage.DB
	inbox    *inbox.Inbox
	kept     bot.Inbox // where events lie: in inbox, unless a test has them elsewhere
	bot      *bot.Bot
	install  *install.Installer
	database string
	finish   func()
}

// stage installs a bot with these handlers in Acme and returns the Slack it lives in. finish waits until everything
// that was said is worked off; after it, nothing more happens.
func stage(t *testing.T, handlers ...bot.Handler) (sim *slacksim.Sim, finish func()) {
	t.Helper()
	s := play(t, handlers...)
	return s.sim, s.finish
}

// catalogue has plain words for all that the handlers declare.
func catalogue(handlers []bot.Handler) []connection.Scope {
	var scopes []connection.Scope
	for _, name := range bot.ScopesOf(handlers) {
		scopes = append(scopes, connection.Scope{Name: name, Label: "Use " + name, Why: "To try " + name + ".",
			Feature: "try " + name, Optional: name != "chat:write" && name != "commands"})
	}
	return scopes
}

func play(t testing.TB, handlers ...bot.Handler) (s scene) {
	t.Helper()
	return playOn(t, storagetest.SQLite(t), handlers...)
}

func parameters(m bot.ManifestParameters) (all []slacksim.Parameter) {
	for name, p := range m.Properties {
		all = append(all, slacksim.Parameter{Name: name, Title: p.Title, Type: p.Type})
	}
	return all
}

func playOn(t testing.TB, database string, handlers ...bot.Handler) (s scene) {
	t.Helper()
	return playWith(t, database, func(*bot.Config) {}, handlers...)
}

// playWith is playOn with another configuration.
func playWith(t testing.TB, database string, change func(*bot.Config), handlers ...bot.Handler) (s scene) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	s.database = database
	db, err := storage.Open(ctx, s.database, keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	profile := bot.Profile{Name: "Parrot", Description: "Says what you say."}
	m, err := bot.NewManifest(profile, handlers, "https://bot.example.com")
	if err != nil {
		t.Fatal(err)
	}
	sim := slacksim.New(slacksim.Config{App: slacksim.App{ID: "A0PARROT01", Name: "Parrot", ClientID: "1.2",
		ClientSecret: "client-secret", SigningSecret: "signing-secret",
		RedirectURLs: []string{"https://bot.example.com/"}, Events: m.Settings.EventSubscriptions.BotEvents, HomeTab: true,
		MessagesTab: true}})
	sim.AddSmallWorld()
	if err := sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	in, err := install.New(install.Config{App: install.App{Name: "Parrot"}, SlackURL: sim.URL(),
		PublicURL: "https://bot.example.com", Scopes: catalogue(handlers), Store: db})
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := db.Inbox(ctx, inbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	inbox.Start()
	cfg := bot.Config{Install: in, Handlers: handlers, Inbox: inbox, Values: db.Values(), Timers: db.Timers("", inbox),
		SigningSecrets: []connection.Secret{"signing-secret"}}
	if len(m.Features.Shortcuts) > 0 {
		cfg.AppID = sim.App().ID
	}
	change(&cfg)
	b, err := bot.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewServer(b.Handler())
	sim.SetApp(func(a *slacksim.App) {
		a.EventsURL = door.URL
		for _, c := range m.Features.SlashCommands {
			a.Commands = append(a.Commands, slacksim.Command{Name: c.Command})
		}
		for _, x := range m.Features.Shortcuts {
			a.Shortcuts = append(a.Shortcuts, slacksim.Shortcut{Name: x.Name, CallbackID: x.CallbackID,
				Description: x.Description, OnMessage: x.Type == slack.MessageShortcut})
		}
		for id, step := range m.Functions {
			a.Functions = append(a.Functions, slacksim.Function{CallbackID: id, Title: step.Title,
				Inputs: parameters(step.Inputs), Outputs: parameters(step.Outputs)})
		}
		a.OptionsURL, a.UnfurlDomains = door.URL, m.Features.UnfurlDomains
		if view := m.Features.AgentView; view != nil {
			a.Agent = &slacksim.AgentView{Description: view.Description}
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()

	back, err := sim.Authorize(ctx, sim.URL()+
		"/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=https://bot.example.com/slack/oauth_redirect&scope="+
		strings.Join(m.OAuthConfig.Scopes.Bot, ","), slacksim.AcmeAdmin, slacksim.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	code := strings.Split(strings.SplitAfter(back, "code=")[1], "&")[0]
	granted, err := slack.GetOAuthV2ResponseContext(ctx, in.Slack().HTTP, "1.2", "client-secret", code,
		"https://bot.example.com/slack/oauth_redirect", slack.OAuthOptionAPIURL(sim.URL()+"/api/"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Put(ctx, connection.Connection{Key: connection.Key{AppID: granted.AppID, TeamID: granted.Team.ID},
		TokenPair: connection.TokenPair{Token: connection.Secret(granted.AccessToken)}, BotUserID: granted.BotUserID,
		Scopes: connection.SplitScopes(granted.Scope), State: connection.Active, InstalledAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := sim.Invite(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, granted.BotUserID); err != nil {
		t.Fatal(err)
	}
	settle, stop := context.WithTimeout(context.Background(), time.Minute)
	finish := sync.OnceFunc(func() {
		if err := sim.Settle(settle); err != nil {
			t.Error(err)
		}
		empty := func() bool {
			count, err := s.kept.Count(settle)
			if err != nil {
				t.Error(err)
			}
			return err != nil || count.Ready+count.Held == 0
		}
		for tick := time.NewTicker(5 * time.Millisecond); !empty(); <-tick.C {
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		defer stop()
		finish()
		door.Close()
		in.Slack().HTTP.CloseIdleConnections()
		inbox.Close()
		if err := errors.Join(db.Close(), sim.Close(settle)); err != nil {
			t.Error(err)
		}
		for _, breach := range sim.Breaches() {
			t.Errorf("a rule of Slack's was broken: %s %s", breach.Rule, breach.Detail)
		}
	})
	s.sim, s.db, s.inbox, s.kept, s.bot, s.install, s.finish = sim, db, inbox, cfg.Inbox, b, in, finish
	return s
}

func wait(t *testing.T, sim *slacksim.Sim, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := sim.WaitFor(ctx, ok); err != nil {
		t.Fatalf("waited in vain for %s", what)
	}
}

// receive is what comes through a channel, and the end of the test when that doesn't come.
func receive[T any](t testing.TB, from <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(20 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
	return got
}

func said(sim *slacksim.Sim, channel, text string) int {
	n := 0
	for _, m := range sim.Messages(channel, slacksim.AcmeAdmin) {
		if m.BotID != "" && strings.Contains(m.Text, text) {
			n++
		}
	}
	return n
}

var echo = bot.OnMessage(`^say (.+)`, func(ctx context.Context, t *bot.Message) error {
	_, err := t.Say(ctx, bot.Reply{Text: "message: " + t.Matches[1]})
	return err
}, bot.Scopes("im:history", "channels:history"))

var anything = bot.OnMessage(`.*`, func(ctx context.Context, t *bot.Message) error {
	_, err := t.Say(ctx, bot.Reply{Text: "message: whatever"})
	return err
}, bot.Scopes("channels:history"))

var mentions = bot.OnMention("", func(ctx context.Context, t *bot.Message) error {
	_, err := t.Say(ctx, bot.Reply{Text: "mention: hello"})
	return err
})

// One human message that arrives as message and as app_mention is answered once; of several patterns the first answers.
func TestOneMessageOneAnswer(t *testing.T) {
	t.Parallel()
	sim, finish := stage(t, echo, anything, mentions)
	in, _ := sim.Installed(slacksim.Acme)
	ctx := context.Background()
	for _, text := range []string{"<@" + in.BotUserID + "> say hi", "say hi", "hello"} {
		if _, err := sim.Say(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, text); err != nil {
			t.Fatal(err)
		}
	}
	finish()
	for text, want := range map[string]int{"mention: hello": 1, "message: hi": 1, "message: whatever": 1} {
		if n := said(sim, slacksim.AcmeGeneral, text); n != want {
			t.Errorf("%d answers %q, want %d", n, text, want)
		}
	}
}

// A handler that fails is tried again, one that panics too, and a person's mistake is told once.
func TestFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	var failed, panicked, refused atomic.Int32
	handlers := []bot.Handler{
		bot.OnMessage(`^fail`, func(ctx context.Context, t *bot.Message) error {
			if failed.Add(1); t.Attempt == 1 {
				return errors.New("not yet")
			}
			_, err := t.Say(ctx, bot.Reply{Text: "at last"})
			return err
		}, bot.Scopes("im:history")),
		bot.OnMessage(`^panic`, func(ctx context.Context, t *bot.Message) error {
			if panicked.Add(1); t.Attempt == 1 {
				panic("out of luck")
			}
			_, err := t.Say(ctx, bot.Reply{Text: "recovered"})
			return err
		}, bot.Scopes("im:history")),
		bot.OnMessage(`.*`, func(context.Context, *bot.Message) error {
			refused.Add(1)
			return &bot.UserError{Text: "Say fail or panic."}
		}, bot.Scopes("im:history")),
	}
	sim, _ := stage(t, handlers...)
	dm := sim.DM(slacksim.AcmeAdmin)
	for _, text := range []string{"fail", "panic", "anything"} {
		if _, err := sim.Say(context.Background(), slacksim.AcmeAdmin, dm, text); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, sim, "the answers", func() bool {
		return said(sim, dm, "at last") == 1 && said(sim, dm, "recovered") == 1 && said(sim, dm, "Say fail or panic.") == 1
	})
	if failed.Load() != 2 || panicked.Load() != 2 || refused.Load() != 1 {
		t.Errorf("runs: %d %d %d, want 2 2 1", failed.Load(), panicked.Load(), refused.Load())
	}
}

// A command is answered in time whatever its handler does, and a late answer still arrives.
func TestCommandsAnswerInTime(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	handlers := []bot.Handler{
		bot.OnCommand("/slow", func(ctx context.Context, t *bot.Command) error {
			<-release
			return t.Respond(ctx, bot.Reply{Text: "Here I am."})
		}, bot.Describe("takes its time", "")),
		bot.OnCommand("/panic", func(context.Context, *bot.Command) error {
			panic("out of luck")
		}, bot.Describe("panics", "")),
		bot.OnCommand("/files", func(ctx context.Context, t *bot.Command) error {
			return t.Respond(ctx, bot.Reply{Text: "unreachable"})
		}, bot.Describe("needs more", "")),
		bot.OnCommand("/boom", func(ctx context.Context, t *bot.Command) error {
			return t.Respond(ctx, bot.Reply{Text: "Wait for it.", Then: func(context.Context) (bot.Reply, error) {
				panic("out of luck")
			}})
		}, bot.Describe("panics later", "")),
	}
	sim, _ := stage(t, handlers...)
	reply, err := sim.Command(context.Background(), slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/slow")
	if err != nil || reply.Status != 200 || reply.Took > 3*time.Second ||
		!strings.Contains(reply.Text, "takes longer than Slack lets me wait") {
		t.Errorf("slow: %v %d after %v: %q", err, reply.Status, reply.Took, reply.Text)
	}
	close(release)
	wait(t, sim, "the late answer", func() bool { return said(sim, slacksim.AcmeGeneral, "Here I am.") == 1 })
	reply, err = sim.Command(context.Background(), slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/panic")
	// A panic after the answer costs that answer's second part and no more.
	if boom, err := sim.Command(context.Background(), slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/boom"); err != nil ||
		boom.Text != "Wait for it." {
		t.Errorf("boom: %v %q", err, boom.Text)
	}
	if err != nil || reply.Status != 200 || !strings.Contains(reply.Text, "Something went wrong on our side.") ||
		strings.Contains(reply.Text, "Nothing was changed") || strings.Contains(reply.Text, "luck") {
		t.Errorf("panic: %v %d %q", err, reply.Status, reply.Text)
	}
}
