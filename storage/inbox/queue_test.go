package inbox_test

// People's events and timers don't wait for each other.

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

func timerOf(id, team string) bot.Delivery {
	return bot.Delivery{ID: id, Kind: "timer", Type: "timer remind", Key: storetest.Key("A1", "", team),
		Received: storetest.T0, Body: []byte("{}")}
}

// However many timers there are, and whatever became of them: who takes none of them is handed what people do, and of
// timers nobody is handed more than asked for.
func TestTimersAreInNobodysWay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a, b := opened(t, f, c), opened(t, f, c)
		const timers = 600 // more than a claim looks past
		for i := range timers {
			a.add(timerOf(fmt.Sprint("timer ", i), "T1"), false)
		}
		claim := func(d desk, n, timers int) []bot.Delivery {
			t.Helper()
			c.advance(2 * time.Second) // after which it looks at everything
			events, err := d.Claim(t.Context(), n, timers, nil)
			storetest.OK(t, err)
			return events
		}
		if n := len(claim(a, 64, 16)); n != 16 {
			t.Errorf("%d timers where 16 were asked for", n)
		}

		event := timerOf("Ev1", "T2")
		event.Kind, event.Type = "events_api", "message"
		b.add(event, false)
		a.add(timerOf("timer of T2", "T2"), false)
		got := claim(b, 3, 2)
		ids(t, "an event that came last, and timers of workspaces in turn", got, "Ev1", "timer 16", "timer of T2")

		for i, e := range got { // they come back
			storetest.OK(t, []desk{b, a}[i%2].Retry(t.Context(), e, c.now().Add(time.Second), true, "not yet"))
		}
		ids(t, "without timers, after they came back", claim(a, 64, 0), "Ev1")
		if n := len(claim(b, timers, timers)); n != timers-16+1 {
			t.Errorf("%d timers of those that are left", n)
		}
	})
}

// What the release before gave up, because it has no timers, runs. What this one gave up stays.
func TestTimersThatWereGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a := opened(t, f, c)
		for i, failures := range []int{4, 8} {
			id := fmt.Sprint("of ", failures)
			a.add(timerOf(id, "T1"), false)
			storetest.OK(t, a.DeadLetter(t.Context(), a.claim(1)[0], "there is no handler timer remind here"))
			storetest.Exec(t, f, fmt.Sprintf("UPDATE inbox SET failures = %d WHERE event_id = '%s'", failures, id))
			storetest.OK(t, a.Tidy(t.Context()))
			c.advance(2 * time.Minute)
			if got := a.claim(2); len(got) != 1-i || len(got) > 0 && got[0].Failures != 0 {
				t.Errorf("%s failures: %+v", id, got)
			} else if len(got) > 0 {
				storetest.OK(t, a.Done(t.Context(), got[0]))
			}
		}
	})
}

// A replica of the release before gives the places of timers to what people do. It is found there.
func TestEventsAmongTimers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a := opened(t, f, c)
		event := timerOf("Ev1", "T2")
		event.Kind, event.Type = "events_api", "message"
		a.add(event, false)
		a.add(timerOf("timer 1", "T1"), false)
		storetest.Exec(t, f, "UPDATE inbox SET tag = (SELECT max(tag) + 1 FROM inbox) WHERE kind = 'events_api'")

		c.advance(time.Second)
		got := a.claim(3)
		ids(t, "both", got, "Ev1", "timer 1")
		for _, e := range got {
			storetest.OK(t, a.Retry(t.Context(), e, c.now().Add(time.Second), true, "not yet"))
		}
		c.advance(2 * time.Second)
		events, err := a.Claim(t.Context(), 3, 0, nil)
		storetest.OK(t, err)
		ids(t, "back among events", events, "Ev1")
	})
}
