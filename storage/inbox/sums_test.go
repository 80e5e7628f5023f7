package inbox_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

// Whatever waits is counted, in whichever state, and dead letters by why they died.
func TestSums(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		event := func(id, team, kind string, late time.Duration) bot.Delivery {
			e := storetest.Event(id, team)
			e.Type, e.Received = kind, storetest.T0.Add(late)
			return e
		}
		for i, id := range []string{"Ev1", "Ev2", "Ev3", "Ev4"} {
			e, _ := in.add(event(id, "T"+id, "message", time.Duration(i)*time.Second), true)
			reason := map[bool]string{true: "not_in_channel", false: "is_archived"}[i < 3]
			storetest.OK(t, in.DeadLetter(t.Context(), e, reason))
		}
		ordered := event("Ev7", "T1", "message", -2*time.Hour)
		ordered.OrderingKey = "C1"
		in.add(ordered, false)
		in.claim(1)
		in.add(event("Ev5", "T1", "app_mention", -time.Hour), false)
		in.add(event("Ev6", "T1", "app_mention", 0), false)
		behind := event("Ev8", "T1", "message", -3*time.Hour)
		behind.OrderingKey = "C1"
		in.add(behind, false)

		waiting, err := f.Backlogs(t.Context())
		storetest.OK(t, err)
		want := []inbox.Backlog{{State: "ready", N: 2, Oldest: storetest.T0.Add(-time.Hour)},
			{State: "held", N: 1, Oldest: storetest.T0.Add(-2 * time.Hour)},
			{State: "queued", N: 1, Oldest: storetest.T0.Add(-3 * time.Hour)}}
		if diff := cmp.Diff(want, waiting, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("what waits (-want +got):\n%s", diff)
		}

		deaths, err := f.DeathsByReason(t.Context(), 1)
		storetest.OK(t, err)
		dead := []inbox.Deaths{{Type: "message", Reason: "not_in_channel", N: 3, Teams: 3, Team: "TEv3", Last: c.now()}}
		if diff := cmp.Diff(dead, deaths, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("what died (-want +got):\n%s", diff)
		}
	})
}
