package cli

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// clockAhead is the setting by which a test's replica has a machine whose clock differs from everybody's.
const clockAhead = "TEST_CLOCK_AHEAD"

func testClock(getenv func(string) string) func() time.Time {
	ahead, err := time.ParseDuration(getenv(clockAhead))
	if err != nil {
		return nil
	}
	return func() time.Time { return time.Now().Add(ahead) }
}

// Two replicas 40 s apart, one an hour ahead and one a month behind install, answer, renew and undo together as if
// their clocks were one: each step of an install is made by another one.
func TestReplicasWhoseClocksDiffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t))
	w.rotate(0)
	w.start(0, nil)
	clocks := []string{"0s", "-40s", "1h", "-720h"}
	for _, ahead := range clocks {
		w.startOne(map[string]string{clockAhead: ahead})
	}
	db := w.store()
	offices := w.offices(len(clocks))
	near := func(what string, got time.Time, want time.Duration) {
		t.Helper()
		if d := time.Until(got) - want; d.Abs() > time.Minute {
			t.Errorf("%s: %v from where it should be", what, d)
		}
	}
	for _, o := range offices {
		c := w.row(db, o.team)
		near(o.team+" was installed", c.InstalledAt, 0)
		near(o.team+" expires", c.ExpiresAt, 12*time.Hour)
		for range clocks {
			if reply := w.type_(o.user, o.channel, "/connection status"); reply.Status != http.StatusOK ||
				!strings.Contains(reply.Text, "Working since") {
				t.Errorf("%s: /connection status: %+v", o.team, reply)
			}
		}
	}

	// All of it falls due at once, for all of them.
	w.due(offices, time.Now(), 0)
	w.wait("all renewals", func() bool { return len(w.refreshes()) == len(offices) })
	w.expect("all of it stored", patience, func() bool {
		return !slices.ContainsFunc(offices, func(o office) bool { return time.Until(w.row(db, o.team).RenewAt) < time.Hour })
	})
	for _, calls := range w.refreshes() {
		if len(calls) != 1 || !calls[0].OK {
			t.Errorf("a refresh token was presented %d times: %s", len(calls), outcomes(calls))
		}
	}
	for _, o := range offices {
		c := w.row(db, o.team)
		near(o.team+" expires after its renewal", c.ExpiresAt, 12*time.Hour)
		if !c.LeaseUntil.IsZero() {
			t.Errorf("%s is still leased", o.team)
		}
	}

	// Links and what a success page offers to undo are made by one of them and used at others.
	for range 2 {
		link := w.link(w.row(db, offices[0].team), links.GrantRequest{})
		b := w.browser()
		if a := b.get(b.consent(b.begin(link), offices[0].user, slacksim.Choice{})); a.status != http.StatusOK {
			t.Errorf("a link: %d %s", a.status, a.body)
		}
		b = w.browser()
		b.accept = "text/html"
		a := b.install(slacksim.AcmeAdmin)
		signed := signedUndo.FindStringSubmatch(a.body)
		if len(signed) < 2 {
			t.Fatalf("nothing to undo: %d %s", a.status, a.body)
		}
		if a := b.undo(signed[1]); a.status != http.StatusOK {
			t.Errorf("undo: %d %s", a.status, a.body)
		}
		if _, there := w.slack.Installed(slacksim.Acme); there {
			t.Error("undone, and still there")
		}
		if err := w.slack.Settle(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(w.seen.String(), "a clock that was wrong") {
		t.Error("something was not believed")
	}
}
