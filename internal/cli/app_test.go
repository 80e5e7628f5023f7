package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
)

// another is an app that says nothing but its name.
func another() *program {
	return &program{name: "hello", App: App{Name: "Hello", Handlers: []bot.Handler{
		bot.OnCommand("/hello", func(context.Context, *bot.Turn, *slack.SlashCommand) (bot.Reply, error) {
			return bot.Reply{}, nil
		}).Describe("Says hello to you", "[name]"),
		bot.OnEvent("app_mention", func(context.Context, *bot.Turn, *struct{}) error { return nil },
			"app_mentions:read").Uses("users:read"),
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

// The command line goes by the name of the program, and says nothing of the app that comes with this module.
func TestAnotherProgramSaysItsName(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"DATA_DIR": t.TempDir()}
	for _, args := range []string{"help", "help serve", "help connections", "version", "manifest",
		"manifest --permissions", "connections list", "serve", "nonsense"} {
		var out bytes.Buffer
		p := another()
		p.exitCode(&out, p.run(t.Context(), strings.Fields(args), func(name string) string { return settings[name] }, &out, &out))
		said := strings.ReplaceAll(out.String(), "switchboard.db", "") // the file's name is the same for all
		if strings.Contains(strings.ToLower(said), "switchboard") || strings.Contains(said, "/connection ") || said == "" {
			t.Errorf("hello %s: %s", args, said)
		}
	}
}
