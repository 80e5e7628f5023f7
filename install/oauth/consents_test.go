package oauth

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
)

// What works is never refused, what needs reconnecting is not new, and an id that was left empty names nobody.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	scopes := []connection.Scope{{Name: "chat:write"}, {Name: "files:write", Optional: true}}
	workspace := connection.Connection{Key: connection.Key{TeamID: "T1"}, Scopes: []string{"chat:write"}}
	inOrg := connection.Connection{Key: connection.Key{EnterpriseID: "E1", TeamID: "T1"}, Scopes: []string{"chat:write"}}
	lacks := connection.Connection{Key: connection.Key{TeamID: "T1"}, Scopes: []string{"files:write"}}
	var none connection.Connection
	broken := connection.Connection{ID: "con_1"}
	works := connection.Connection{ID: "con_1", TokenPair: connection.TokenPair{Token: "xoxb-1"}}
	for name, test := range map[string]struct {
		closed bool
		admit  []string
		c, was connection.Connection
		want   *outcome
	}{
		"open":                        {false, nil, workspace, none, nil},
		"closed":                      {true, nil, workspace, none, &outcomeClosed},
		"closed, and it works":        {true, nil, workspace, works, nil},
		"closed, and it needs it":     {true, nil, workspace, broken, nil},
		"its workspace is named":      {true, []string{"T2", "T1"}, workspace, none, nil},
		"its organisation is named":   {true, []string{"E1"}, inOrg, none, nil},
		"others are named":            {true, []string{"T2", "E2"}, inOrg, none, &outcomeClosed},
		"nothing is named":            {true, []string{""}, workspace, none, &outcomeClosed},
		"without what is required":    {false, nil, lacks, none, &outcomeRequired},
		"the same, and it needs it":   {false, nil, lacks, broken, &outcomeRequired},
		"the same, and it works":      {false, nil, lacks, works, nil},
		"named, without the required": {true, []string{"T1"}, lacks, none, &outcomeRequired},
	} {
		cs := consents{Config: &Config{Closed: test.closed, Admit: test.admit, Scopes: scopes}}
		if got := cs.refuses(test.c, test.was); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Without an answer of the store nobody knows whether people rely on the app there, so it is not removed.
func TestNotGivenBackInDoubt(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	store := stub{lookup: func(connection.Key) (connection.Connection, error) {
		return connection.Connection{}, errors.New("the disk is full")
	}}
	cs := consents{Config: &Config{App: App{Name: "Hello"}, Store: store, Log: slog.New(slog.DiscardHandler)}}
	facts := cs.giveBack(ended, connection.Connection{Key: connection.Key{TeamID: "T1"}}, nil) // without a Slack to call
	if len(facts) != 1 || facts[0] != "Slack still lists Hello there, because it was connected before." {
		t.Errorf("%q", facts)
	}
}

// The store is asked again where it had trouble, unless the time is over.
func TestInsists(t *testing.T) {
	t.Parallel()
	asked := 0
	full := errors.New("the disk is full")
	ask := func() error {
		if asked++; asked == 1 {
			return full
		}
		return nil
	}
	if err := insist(t.Context(), ask); err != nil || asked != 2 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	asked = 0
	if err := insist(ended, ask); !errors.Is(err, full) || asked != 1 {
		t.Errorf("when the time is over: asked %d times: %v", asked, err)
	}
}
