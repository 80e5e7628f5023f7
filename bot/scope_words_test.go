package bot

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Each permission that an event or a message asks for has words; they are whole, and read well where they are put.
func TestEveryScopeHasWords(t *testing.T) {
	t.Parallel()
	var names []string
	for _, need := range eventScopes {
		names = append(names, strings.Fields(need)...)
	}
	for _, s := range messageScopes {
		names = append(names, s.scope)
	}
	for _, name := range names {
		if _, known := builtIn[name]; !known {
			t.Errorf("%s has no words", name)
		}
	}
	for name, w := range builtIn {
		if !scopeName.MatchString(name) || w.label == "" || w.feature == "" || !strings.HasSuffix(w.why, ".") {
			t.Errorf("%s: %+v", name, w)
		}
		if w.feature != "" && w.feature[0] >= 'A' && w.feature[0] <= 'Z' {
			t.Errorf("%s: %q goes after \"can't\"", name, w.feature)
		}
	}
}

// A first bot needs no catalogue; one of its own comes first and is not changed.
func TestCatalogueIsCompleted(t *testing.T) {
	t.Parallel()
	handlers := []Handler{
		OnEvent("app_mention", func(context.Context, *Turn, *struct{}) error { return nil }, "app_mentions:read").Uses("users:read").ActsFor("search:read"),
		OnEvent("team_join", func(context.Context, *Turn, *struct{}) error { return nil }, "users:read"),
		OnEvent("emoji_changed", func(context.Context, *Turn, *struct{}) error { return nil }, "chat:write").Uses("emoji:read", "new:scope"),
	}
	own := []connection.Scope{{Name: "chat:write", Label: "Shout", Why: "To be heard.", Feature: "shout"}}
	got := Catalogue(own, handlers)
	if names := connection.ScopeNames(got); !slices.Equal(names, []string{"chat:write", "app_mentions:read", "users:read", "emoji:read"}) {
		t.Errorf("%v", names)
	}
	if got[0] != own[0] || got[2].Optional || !got[3].Optional {
		t.Errorf("%+v", got)
	}
	people := UserCatalogue(nil, handlers)
	if len(people) != 1 || people[0].Name != "search:read" || people[0].Label == "" || !people[0].Optional {
		t.Errorf("%+v", people)
	}
	if err := CheckCatalogue(got, people, handlers); err == nil || !strings.Contains(err.Error(), "new:scope") {
		t.Errorf("an unknown permission: %v", err)
	}
}
