package install

import (
	"slices"
	"testing"
	"time"
)

// Two answers of Slack's can reach the database in the other order. The newer one stands.
func TestLateAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := Connection{State: Active, Scopes: []string{"chat:write"}}
	c.works([]string{"chat:write", "files:read"}, noon)
	c.works([]string{"chat:write"}, noon.Add(-time.Millisecond))
	if !slices.Equal(c.Scopes, []string{"chat:write", "files:read"}) || !c.CheckedAt.Equal(noon) || len(c.Changes) != 1 || c.Changes[0].Reason != "+files:read" {
		t.Errorf("after a late answer: %s, checked %v, %+v", c.Scopes, c.CheckedAt, c.Changes)
	}
	// A clock that was set back by more than a call takes makes no answer late.
	c.works([]string{"chat:write", "pins:read"}, noon.Add(-time.Hour))
	if !slices.Equal(c.Scopes, []string{"chat:write", "pins:read"}) || c.Changes[1].Reason != "+pins:read -files:read" {
		t.Errorf("after the clock was set: %s %+v", c.Scopes, c.Changes)
	}
}

func TestWordsForWhatIsOff(t *testing.T) {
	t.Parallel()
	files := Scope{Label: "See files", Feature: "showing files"}
	also := Scope{Label: "Send files", Feature: "showing files"}
	who := Scope{Label: "See who is who", Feature: "greeting by name"}
	mail := Scope{Label: "See e-mail addresses", Feature: "sending invoices"}
	for _, test := range []struct {
		scopes      []Scope
		off, mayNot string
	}{
		{nil, "a feature is off", ""},
		{[]Scope{files}, "showing files is off", "see files"},
		{[]Scope{files, also}, "showing files is off", "see files and send files"},
		{[]Scope{files, who}, "showing files and greeting by name are off", "see files and see who is who"},
		{[]Scope{files, who, mail}, "showing files, greeting by name and sending invoices are off", "see files, see who is who and see e-mail addresses"},
	} {
		if off, mayNot := Off(test.scopes), MayNot(test.scopes); off != test.off || mayNot != test.mayNot {
			t.Errorf("%q, %q; want %q, %q", off, mayNot, test.off, test.mayNot)
		}
	}
}

// A connection that stops working while the message about what is wanted waits to be resolved still has its person told.
func TestTroubleComesBeforeWhatIsWanted(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := Connection{State: Active, Notice: Notice{Reason: ReasonMissingScope, At: noon, To: "U1", Channel: "D1", TS: "1.1"}}
	c.SetState(ReconnectRequired, ReasonTokenRevoked, noon)
	if !c.Notice.At.IsZero() {
		t.Error("it counts as told")
	}
}
