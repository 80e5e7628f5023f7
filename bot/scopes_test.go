package bot

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// What a handler uses and what the catalogue explains are the same, or nothing starts; all that is wrong is said at
// once.
func TestCatalogueIsHeldAgainstHandlers(t *testing.T) {
	t.Parallel()
	words := func(name string, optional bool) connection.Scope {
		return connection.Scope{Name: name, Label: "Do it", Why: "To do it.", Feature: "do it", Optional: optional}
	}
	handlers := []Handler{
		OnCommand("/a", nil, Scopes("chat:write"), Describe("x", ""), OptionalScopes("users:read")),
		OnAction("b", nil, Scopes("files:read"), UserScopes("search:read")),
	}
	good := []connection.Scope{words("chat:write", false), words("commands", false), words("users:read", true),
		words("files:read", true)}
	people := []connection.Scope{words("search:read", true)}
	start := func(scopes, people []connection.Scope) error {
		in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: struct{ install.Store }{}, Scopes: scopes,
			UserScopes: people})
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(Config{Install: in, SigningSecrets: []connection.Secret{"s"}, Handlers: handlers})
		_, manifest := NewManifest(Profile{Name: "App", Scopes: scopes, UserScopes: people}, handlers, "https://a.example")
		if (err == nil) != (manifest == nil) {
			t.Errorf("the bot says %v, the manifest %v", err, manifest)
		}
		return err
	}
	if err := start(good, people); err != nil {
		t.Fatal(err)
	}
	if err := start(nil, nil); err != nil {
		t.Errorf("without a catalogue: %v", err)
	}
	bad := []connection.Scope{words("chat:write", false), words("chat:write", false), words("pins:read", true),
		{Name: "commands", Label: "Type", Why: " "}}
	err := start(bad, nil)
	if err == nil {
		t.Fatal("everything is wrong, and it starts")
	}
	for _, want := range []string{"chat:write is listed twice", "pins:read is used by no handler",
		"commands has no reason", "commands has no feature", "users:read is not in it, and command /a uses it",
		"files:read is not in it, and action b", "search:read is not in it, and action b"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %q in\n%v", want, err)
		}
	}
	m, err := NewManifest(Profile{Name: "App", Scopes: good, UserScopes: people}, handlers, "https://a.example")
	if got := strings.Join(m.OAuthConfig.Scopes.Bot, " ") + " / " + strings.Join(m.OAuthConfig.Scopes.BotOptional, " ") +
		" / " + strings.Join(m.OAuthConfig.Scopes.UserOptional, " "); err != nil ||
		got != "chat:write commands files:read users:read / files:read users:read / search:read" {
		t.Errorf("%s, %v", got, err)
	}
}

// Of what Slack names, people are asked for what the app uses, does not have, and the handler knows of: and for nothing
// when that leaves nothing.
func TestWhatSlackSaysIsMissing(t *testing.T) {
	t.Parallel()
	var catalogue []connection.Scope
	for _, name := range []string{"chat:write", "channels:read", "groups:read", "users:read", "files:read"} {
		catalogue = append(catalogue, connection.Scope{Name: name})
	}
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: struct{ install.Store }{},
		Scopes: catalogue})
	if err != nil {
		t.Fatal(err)
	}
	c := connection.Connection{Scopes: []string{"chat:write", "files:read", "users:read"}}
	turn := &Request{Install: InstallationOf(in, c.Key, c), Connection: c}
	missing := func(needed, provided string) error {
		return fmt.Errorf("list channels: %w", slack.SlackErrorResponse{Err: "missing_scope", Needed: needed,
			Provided: provided})
	}
	h := OnAction("a", nil, Scopes("chat:write"), OptionalScopes("channels:read"), UserScopes("users:read"))
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"one that is declared, of several", missing("channels:read,groups:read,mpim:read,im:read", "chat:write"),
			"[channels:read]"},
		{"one that another handler declared", missing("groups:read", "chat:write"), "[groups:read]"},
		{"one that our records have", missing("files:read", "chat:write"), "[files:read]"},
		{"what it has is not missing", missing("channels:read,groups:read", "channels:read"), "[groups:read]"},
		{"none that the app uses", missing("pins:read", "chat:write"), "[]"},
		{"a person's own", missing("users:read", "identify"), "[]"},
		{"Slack names none", missing("", ""), "[]"},
		{"another error", slack.SlackErrorResponse{Err: "channel_not_found", Needed: "channels:read"}, "[]"},
		{"the handler's own word", fmt.Errorf("list: %w", &NotAllowedError{[]string{"channels:read", "groups:read"}}),
			"[channels:read groups:read]"},
		{"no error of Slack's", errors.New("missing_scope"), "[]"},
		{"none at all", nil, "[]"},
	} {
		if got := fmt.Sprint(h.refused(turn, test.err)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}

	listens := OnMessage(".", nil, Scopes("im:history", "channels:history"))
	for channelType, want := range map[string]string{"im": "[im:history]", "channel": "[channels:history]",
		"": "[im:history channels:history]"} {
		turn.channelType = channelType
		if got := fmt.Sprint(listens.missing(turn)); got != want {
			t.Errorf("in %q: %s, want %s", channelType, got, want)
		}
	}
}

// Where the access is the operator's setting, nobody in Slack can allow anything, and no button pretends it.
func TestNotAllowedInSingleWorkspaceMode(t *testing.T) {
	t.Parallel()
	in, err := install.New(install.Config{App: install.App{Name: "Parrot & Co"}, BotToken: "xoxb-set-by-hand",
		Store:  struct{ install.Store }{},
		Scopes: []connection.Scope{{Name: "files:read", Label: "See files", Feature: "show files"}}})
	if err != nil {
		t.Fatal(err)
	}
	turn := &Request{Install: InstallationOf(in, connection.Key{}, connection.Connection{}),
		Log: slog.New(slog.DiscardHandler), UserID: "U1"}
	want := "Parrot &amp; Co can't show files: it doesn't have permission to see files. Everything else works. The " +
		"people who run the app set its access by hand. They can allow it."
	if r := turn.NotAllowed("files:read"); r.Text != want || len(r.Blocks) != 0 {
		t.Errorf("%q %v", r.Text, r.Blocks)
	}
}
