package connection_test

import (
	"slices"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Two answers of Slack's can reach the database in the other order. The newer one stands.
func TestLateAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := connection.Connection{State: connection.Active, Scopes: []string{"chat:write"}}
	c.Works([]string{"chat:write", "files:read"}, noon)
	c.Works([]string{"chat:write"}, noon.Add(-time.Millisecond))
	if !slices.Equal(c.Scopes, []string{"chat:write", "files:read"}) || !c.CheckedAt.Equal(noon) || len(c.Changes) != 1 ||
		c.Changes[0].Reason != "+files:read" {
		t.Errorf("after a late answer: %s, checked %v, %+v", c.Scopes, c.CheckedAt, c.Changes)
	}
	// A clock that was set back by more than a call takes makes no answer late.
	c.Works([]string{"chat:write", "pins:read"}, noon.Add(-time.Hour))
	if !slices.Equal(c.Scopes, []string{"chat:write", "pins:read"}) || c.Changes[1].Reason != "+pins:read -files:read" {
		t.Errorf("after the clock was set: %s %+v", c.Scopes, c.Changes)
	}
}

// A good word about a token that was sent before Slack refused it doesn't bring the connection back; one that was sent
// after does, and so does one from before a clock was set.
func TestLateAnswerMendsNothing(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for sent, want := range map[time.Duration]connection.State{
		-time.Second: connection.ReconnectRequired, time.Second: connection.Active, -time.Hour: connection.Active,
	} {
		c := connection.Connection{State: connection.Active}
		c.SetState(connection.ReconnectRequired, connection.ReasonTokenRevoked, noon)
		c.Works(nil, noon.Add(sent))
		if c.State != want {
			t.Errorf("sent %v from the refusal: %s, want %s", sent, c.State, want)
		}
	}
}

// What was taken away and what never was allowed are two things, and "or" stands between what isn't.
func TestWithoutPermissions(t *testing.T) {
	t.Parallel()
	files := connection.Scope{Name: "files:read", Label: "See files", Feature: "show files"}
	also := connection.Scope{Name: "files:write", Label: "Send files", Feature: "show files"}
	who := connection.Scope{Name: "users:read", Label: "See who is who", Feature: "greet by name"}
	bare := connection.Scope{Name: "pins:read", Label: "See pins"}
	c := connection.Connection{Scopes: []string{"pins:read"},
		Beginnings: []connection.Beginning{{Of: "-files:read"}, {Of: "-files:write"}, {Of: "~users:read"}}}
	for _, test := range []struct {
		scopes []connection.Scope
		want   string
	}{
		{nil, ""},
		{[]connection.Scope{files}, "Bot can't show files: it no longer has permission to see files."},
		{[]connection.Scope{who}, "Bot can't greet by name: it doesn't have permission to see who is who."},
		{[]connection.Scope{bare}, "Bot no longer has permission to see pins."}, // Slack says so before the record does
		{[]connection.Scope{files, also}, "Bot can't show files: it no longer has permission to see files or send files."},
		{[]connection.Scope{who, files}, "Bot can't show files: it no longer has permission to see files. " +
			"It can't greet by name: it doesn't have permission to see who is who."},
	} {
		if got := c.Without(nil, "Bot", test.scopes); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if got := connection.Or([]string{"a", "b", "c"}); got != "a, b or c" {
		t.Error(got)
	}
}

// A connection that stops working while the message about what is wanted waits to be resolved still has its person
// told.
func TestTroubleComesBeforeWhatIsWanted(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := connection.Connection{State: connection.Active,
		Notice: connection.Notice{Reason: connection.ReasonMissingScope, At: noon, To: "U1", Channel: "D1", TS: "1.1"}}
	c.SetState(connection.ReconnectRequired, connection.ReasonTokenRevoked, noon)
	if !c.Notice.At.IsZero() {
		t.Error("it counts as told")
	}
}
