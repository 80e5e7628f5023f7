package bot

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/install/connection"
)

// scopesOfSlack are the names in testdata/scopes.txt, and of whom each can be asked: a bot, a person or both.
func scopesOfSlack(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/scopes.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			all[words[0]] = words[1:]
		}
	}
	return all
}

// wordedScopes are the names of permissions that there are built-in words for.
func wordedScopes(t *testing.T, of string) []string {
	t.Helper()
	var file struct{ Scopes map[string]any }
	english, err := os.ReadFile("../install/words/english/scopes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(english, &file); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(file.Scopes[of].(map[string]any)))
}

// Each permission of Slack has words, and nothing else has; they are whole, and read well where they are put.
func TestEveryScopeHasWords(t *testing.T) {
	t.Parallel()
	all, ofBots, ofPeople := scopesOfSlack(t), wordedScopes(t, "bot"), wordedScopes(t, "person")
	for name, of := range all {
		if known := slices.Contains(ofBots, name); known != slices.Contains(of, "bot") {
			t.Errorf("%s is asked of %v, and a bot has words for it: %v", name, of, known)
		}
		handler := OnAction("x", nil, UserScopes(name))
		if words := UserCatalogue(nil, nil, []Handler{handler}); slices.Contains(of, "user") &&
			(len(words) != 1 || words[0].Label == "" || words[0].Feature == "" || words[0].Why == "") {
			t.Errorf("%s for a person: %+v", name, words)
		}
	}
	for _, name := range ofPeople {
		if !slices.Contains(all[name], "user") {
			t.Errorf("%s can't be asked of a person", name)
		}
	}

	var needed []string
	for _, need := range eventScopes {
		needed = append(needed, strings.Fields(need)...)
	}
	for _, s := range messageScopes {
		needed = append(needed, s.scope)
	}
	for _, name := range needed {
		if !slices.Contains(all[name], "bot") {
			t.Errorf("%s is needed for an event, and is no permission of a bot", name)
		}
	}
	upper := func(s string) bool { return s != "" && s[0] >= 'A' && s[0] <= 'Z' }
	for _, name := range ofBots {
		w, person := wordsOfScope(nil, "scopes.bot."+name), wordsOfScope(nil, "scopes.person."+name)
		if !scopeName.MatchString(name) || w.Label == "" || w.Feature == "" || !strings.HasSuffix(w.Why, ".") {
			t.Errorf("%s: %+v", name, w)
		}
		if upper(w.Feature) || upper(person.Feature) {
			t.Errorf("%s: %q and %q go after \"can't\"", name, w.Feature, person.Feature)
		}
	}
}

// A first bot needs no catalogue; one of its own comes first and is not changed.
func TestCatalogueIsCompleted(t *testing.T) {
	t.Parallel()
	handlers := []Handler{
		OnMention("", nil, OptionalScopes("users:read"), UserScopes("search:read")),
		OnEvent("team_join", func(context.Context, *Event[struct{}]) error { return nil }, Scopes("users:read")),
		OnEvent("emoji_changed", func(context.Context, *Event[struct{}]) error { return nil }, Scopes("chat:write"),
			OptionalScopes("emoji:read", "new:scope")),
	}
	own := []connection.Scope{{Name: "chat:write", Label: "Shout", Why: "To be heard.", Feature: "shout"}}
	got := Catalogue(nil, own, handlers)
	if names := connection.ScopeNames(got); !slices.Equal(names,
		[]string{"chat:write", "app_mentions:read", "users:read", "emoji:read"}) {
		t.Errorf("%v", names)
	}
	if got[0] != own[0] || got[2].Optional || !got[3].Optional {
		t.Errorf("%+v", got)
	}
	people := UserCatalogue(nil, nil, handlers)
	if len(people) != 1 || people[0].Name != "search:read" || people[0].Label == "" || !people[0].Optional {
		t.Errorf("%+v", people)
	}
	if err := CheckCatalogue(got, people, handlers); err == nil || !strings.Contains(err.Error(), "new:scope") {
		t.Errorf("an unknown permission: %v", err)
	}
}
