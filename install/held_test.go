package install_test

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// While Slack holds back events of a workspace, its state says since when and as of when, on every replica; afterwards nothing.
func TestEventsHeld(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		one, two := r.replica(nil), r.replica(nil)
		c := r.connect(one, slacksim.AcmeMember)
		shows := func(when string, since, at time.Time) {
			t.Helper()
			for _, in := range []replica{one, two} {
				if h := in.Assess(r.Row(in.db, c.Key), nil); !h.HeldSince.Equal(since) || !h.HeldAt.Equal(at) {
					t.Errorf("%s: since %v as of %v, want %v %v", when, h.HeldSince, h.HeldAt, since, at)
				}
			}
		}
		held := func(in replica, minute time.Time) {
			t.Helper()
			// Slack names the workspace and never its organisation.
			if err := in.Lifecycle().HandleRateLimited(r.Ctx, connection.Key{AppID: c.AppID, TeamID: c.TeamID}, minute); err != nil {
				t.Error(err)
			}
		}
		shows("before", time.Time{}, time.Time{})
		first := r.Clock.Now().Truncate(time.Minute)
		held(one, first)
		shows("the first minute", first, first)
		r.Clock.Advance(time.Minute)
		second := first.Add(time.Minute)
		held(two, second)
		held(one, second) // twice
		held(one, first)  // late
		shows("the second minute", first, second)
		r.Clock.Advance(3 * time.Minute)
		shows("when it is over", time.Time{}, time.Time{})

		// A minute that Slack doesn't name, or names wrongly, is now; what a broken clock wrote is not believed.
		third := r.Clock.Now().Truncate(time.Minute)
		held(one, time.Unix(0, 0))
		shows("without a minute", third, third)
		if _, err := one.db.Update(r.Ctx, c.Key, func(row *connection.Connection) error {
			row.EventsHeldSince, row.EventsHeldAt = third.Add(9*time.Hour), third.Add(9*time.Hour)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		shows("of tomorrow", time.Time{}, time.Time{})
		r.Clock.Advance(time.Minute)
		held(two, r.Clock.Now().Add(time.Hour))
		shows("after that", third.Add(time.Minute), third.Add(time.Minute))

		if err := one.Lifecycle().HandleRateLimited(r.Ctx, connection.Key{AppID: c.AppID, TeamID: "T0NOBODY01"}, third); err != nil {
			t.Errorf("an unknown workspace: %v", err)
		}
	})
}
