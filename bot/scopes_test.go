package bot

import (
	"strings"
	"testing"

	"switchboard/install"
)

// What a handler uses and what the catalogue explains are the same, or nothing starts; all that is wrong is said at once.
func TestCatalogueIsHeldAgainstHandlers(t *testing.T) {
	words := func(name string, optional bool) install.Scope {
		return install.Scope{Name: name, Label: "Do it", Why: "To do it.", Feature: "doing it", Optional: optional}
	}
	handlers := []Handler{
		OnCommand("/a", nil, "chat:write").Describe("x", "").Uses("users:read"),
		OnAction("b", nil, "files:read").ActsFor("search:read"),
	}
	good := []install.Scope{words("chat:write", false), words("commands", false), words("users:read", true), words("files:read", true)}
	people := []install.Scope{words("search:read", true)}
	start := func(scopes, people []install.Scope) error {
		in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: struct{ install.Store }{}, Scopes: scopes, UserScopes: people})
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(Config{Install: in, SigningSecrets: []install.Secret{"s"}, Handlers: handlers})
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
	bad := []install.Scope{words("chat:write", false), words("chat:write", false), words("pins:read", true), {Name: "commands", Label: "Type", Why: " "}}
	err := start(bad, nil)
	if err == nil {
		t.Fatal("everything is wrong, and it starts")
	}
	for _, want := range []string{"chat:write is listed twice", "pins:read is used by no handler", "commands has no reason", "commands has no feature",
		"users:read is not in it, and command /a uses it", "files:read is not in it, and action b", "search:read is not in it, and action b"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %q in\n%v", want, err)
		}
	}
	m, err := NewManifest(Profile{Name: "App", Scopes: good, UserScopes: people}, handlers, "https://a.example")
	if got := strings.Join(m.OAuth.Scopes.Bot, " ") + " / " + strings.Join(m.OAuth.Scopes.BotOptional, " ") + " / " + strings.Join(m.OAuth.Scopes.UserOptional, " "); err != nil ||
		got != "chat:write commands files:read users:read / files:read users:read / search:read" {
		t.Errorf("%s, %v", got, err)
	}
}
