package watch_test

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/watch"
)

// A connection of before this was kept says no time rather than a wrong one, and so does one whose key was lost.
func TestSinceWhenIsNotKnown(t *testing.T) {
	t.Parallel()
	in := watch.New(watch.Config{Mode: watch.ByConsent{}, Links: &links.Links{ClientSecret: "s", Now: time.Now},
		Now: time.Now, Scopes: []connection.Scope{{Name: "chat:write"}, {Name: "users:read", Optional: true}}}).Connections
	march := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	old := connection.Connection{ID: "con_1", State: connection.Active, StateSince: march, InstalledAt: march,
		CheckedAt: march, Scopes: []string{"chat:write"}}
	if h := in.Assess(old, nil); h.State != connection.Limited || !h.Since.IsZero() {
		t.Errorf("%s since %v", h.State, h.Since)
	}
	for name, err := range map[string]error{"our records are silent": connection.ErrRenewing,
		"no row": connection.ErrNotFound} {
		if h := in.Assess(connection.Connection{}, err); !h.Since.IsZero() {
			t.Errorf("%s: since %v", name, h.Since)
		}
	}
}
