package oauth

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

// Where our records can't say whether the workspace is connected, nothing is decided: what came waits in the journal.
// What its organisation has is not the workspace's own.
func TestMeet(t *testing.T) {
	t.Parallel()
	var found connection.Connection
	var trouble error
	cfg := &Config{Links: &links.Links{}, Log: slog.New(slog.DiscardHandler)}
	cfg.Store = stub{lookup: func(connection.Key) (connection.Connection, error) { return found, trouble }}
	ex := &exchange{Config: cfg, pages: &pages{Config: cfg}, consents: &consents{Config: cfg}}
	got := consent{c: connection.Connection{Key: connection.Key{EnterpriseID: "E1", TeamID: "T1"}}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	trouble = errors.New("the disk is full")
	if p := ex.meet(ended, &got, "REF"); p == nil || p.Reason != "not_stored" || p.Ref != "REF" {
		t.Errorf("without an answer: %+v", p)
	}
	trouble, found = nil, connection.Connection{ID: "con_1", Key: connection.Key{EnterpriseID: "E1"}}
	if p := ex.meet(t.Context(), &got, "REF"); p != nil || got.was.ID != "" {
		t.Errorf("its organisation's: %+v %+v", p, got.was)
	}
	found.TeamID = "T1"
	if p := ex.meet(t.Context(), &got, "REF"); p != nil || got.was.ID != "con_1" {
		t.Errorf("its own: %+v %+v", p, got.was)
	}
}

// A link is for the workspace, the organisation and the app that it was made for.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	key := func(enterprise, team string) connection.Key {
		return connection.Key{AppID: "A1", EnterpriseID: enterprise, TeamID: team}
	}
	for name, test := range map[string]struct {
		bound     connection.Key
		got       connection.Key
		elsewhere bool
	}{
		"the same workspace":              {key("", "T1"), key("", "T1"), false},
		"it joined an organisation since": {key("", "T1"), key("E1", "T1"), false},
		"another workspace":               {key("", "T1"), key("", "T2"), true},
		"another app":                     {key("", "T1"), connection.Key{AppID: "A2", TeamID: "T1"}, true},
		"the same organisation":           {key("E1", ""), key("E1", ""), false},
		"another organisation":            {key("E1", ""), key("E2", ""), true},
		"a workspace of the organisation": {key("E1", ""), key("E1", "T1"), true},
		"the organisation of a workspace": {key("E1", "T1"), key("E1", ""), true},
	} {
		got := consent{c: connection.Connection{Key: test.got}}
		if got.isElsewhere(connection.Connection{ID: "con_1", Key: test.bound}) != test.elsewhere {
			t.Errorf("%s: elsewhere is not %v", name, test.elsewhere)
		}
		if got.isElsewhere(connection.Connection{}) {
			t.Errorf("%s: elsewhere without a link", name)
		}
	}
}
