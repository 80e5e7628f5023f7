package inbox_test

// What ends its process is found among what ran beside it, and given up; the others are not. On both databases.

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

// die ends the leases of what was handed out, as a process does that is no more.
func (c *clock) die() { c.advance(bot.DefaultLease + time.Second) }

// hints returns what an inbox knows of suspects after it has looked.
func (d desk) hints(c *clock) (once, often bool) {
	d.t.Helper()
	for range 2 { // the first look makes them ready
		if events, err := d.Claim(d.t.Context(), 1, 1, nil); err != nil || len(events) > 0 {
			d.t.Errorf("something fresh: %v %v", events, err)
		}
		c.advance(time.Second)
	}
	return d.Suspects()
}

// An attempt that was begun and never ended is a death of its event, however it was handed out.
func TestInboxCountsDeaths(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a, b := opened(t, f, c), opened(t, f, c)
		a.add(storetest.Event("taken", "T1"), true)
		a.add(storetest.Event("claimed", "T2"), false)
		ids(t, "claimed", a.claim(5), "claimed")
		c.die()

		once, _ := b.hints(c)
		if !once {
			t.Error("nothing says that there are suspects")
		}
		again, err := b.ClaimSuspects(t.Context(), 5, false)
		storetest.OK(t, err)
		ids(t, "after a death", again, "taken", "claimed")
		for _, e := range again {
			if e.Deaths != 1 || e.Attempt != 2 {
				t.Errorf("%s has %d deaths in attempt %d", e.ID, e.Deaths, e.Attempt)
			}
			storetest.OK(t, b.Begin(t.Context(), e))
		}
		c.die()

		if once, often := a.hints(c); !often {
			t.Errorf("nothing says that there are some with two deaths: %v %v", once, often)
		}
		more, err := a.ClaimSuspects(t.Context(), 5, false)
		storetest.OK(t, err)
		ids(t, "with one death", more)
		more, err = a.ClaimSuspects(t.Context(), 5, true)
		storetest.OK(t, err)
		ids(t, "with two", more, "taken", "claimed")
		for _, e := range more {
			if e.Deaths != 2 {
				t.Errorf("%s has %d deaths", e.ID, e.Deaths)
			}
		}
		if err := b.Begin(t.Context(), again[0]); err != bot.ErrLost {
			t.Errorf("begun by somebody else: %v", err)
		}
	})
}

// What comes back for its next attempt is no suspect: nothing else has to end for it.
func TestInboxRetriesAreNoSuspects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		e, _ := in.add(storetest.Event("Ev1", "T1"), true)
		storetest.OK(t, in.Retry(t.Context(), e, c.now().Add(time.Minute), true, "not yet"))
		c.advance(2 * time.Minute)
		ids(t, "due", in.claim(1), "Ev1")
		if _, often := in.Suspects(); often {
			t.Error("a retry is taken for what has ended two processes")
		}
	})
}

// What another app's events have ended is no matter of this one's.
func TestInboxSuspectsOfAnotherApp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		in.add(storetest.Event("Ev1", "T1"), true)
		c.die()
		in.hints(c)
		in.suspects(1, false)
		c.die()
		if _, often := in.hints(c); !often {
			t.Fatal("it has no two deaths")
		}
		other, err := f.Inbox(t.Context(), inbox.Config{App: "A2", Now: c.now})
		storetest.OK(t, err)
		other.Start()
		defer other.Close()
		if once, often := (desk{other, t}).hints(c); once || often {
			t.Errorf("suspects of app A1 are app A2's: %v %v", once, often)
		}
	})
}

// Whatever a process says of an attempt, it lived to say it: no death is counted, neither then nor for what comes
// later.
func TestInboxForgetsWhatWasOutlived(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		e, _ := in.add(storetest.Event("Ev1", "T1"), true)
		for range 5 { // failures and interruptions, and what was handed to somebody else during an outage
			storetest.OK(t, in.Retry(t.Context(), e, c.now(), true, "not yet"))
			e = in.claim(1)[0]
			if e.Deaths != 0 {
				t.Fatalf("after a failure: %d deaths", e.Deaths)
			}
			c.die()
			in.hints(c)
			storetest.OK(t, in.Outlived(t.Context(), e))
			e = in.claim(1)[0]
			if e.Deaths != 0 {
				t.Fatalf("after an outage: %d deaths", e.Deaths)
			}
		}

		// Also when the word comes after somebody else has it.
		lost := e
		c.die()
		in.hints(c)
		e = in.suspects(1, false)[0]
		storetest.OK(t, in.Outlived(t.Context(), lost))
		c.die()
		in.hints(c)
		if got := in.suspects(1, false); len(got) != 1 || got[0].Deaths != 1 {
			t.Errorf("%+v, of whose deaths one was none", got)
		}
	})
}

// What is handed out and not begun has no death of it. Replayed, a dead letter begins from none.
func TestInboxBeginsAtBegin(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		in.add(storetest.Event("Ev1", "T1"), true)
		for range 2 {
			c.die()
			in.hints(c)
			got, err := in.ClaimSuspects(t.Context(), 1, false)
			storetest.OK(t, err)
			if len(got) != 1 || got[0].Deaths != 1 {
				t.Fatalf("handed out and not begun: %+v", got)
			}
		}
		c.die()
		in.hints(c)
		e := in.suspects(1, false)[0]
		storetest.OK(t, in.DeadLetter(t.Context(), e, "no"))
		_, err := f.ReplayLetters(t.Context(), 0)
		storetest.OK(t, err)
		c.die()
		if got := in.claim(1); len(got) != 1 || got[0].Deaths != 0 {
			t.Errorf("replayed: %+v", got)
		}
	})
}

// A suspect of a conversation holds its place there.
func TestInboxSuspectsKeepTheirPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		in.add(laned("a1", "T1", "a"), false)
		in.add(laned("a2", "T1", "a"), false)
		storetest.OK(t, in.LetAllGo(t.Context()))
		ids(t, "first", in.claim(5), "a1")
		c.die()
		ids(t, "after a death", in.claim(5), "a1")
		c.die()
		ids(t, "while a1 has two", in.claim(5))
		e := in.suspects(1, true)[0]
		storetest.OK(t, in.DeadLetter(t.Context(), e, "no"))
		ids(t, "its neighbour", in.claim(5), "a2")
	})
}

// The connection breaks after a commit: what was handed out is nobody's. It is there again at once, and was not begun;
// else an outage makes suspects of all that was on its way, of which a few run at once. What runs is not touched.
func TestInboxTakesBackWhatNobodyWasHanded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		var lose atomic.Bool
		storetest.OK(t, f.LoseAnswers(&lose))
		c := newClock()
		in, other := opened(t, f, c), opened(t, f, c)
		running, _ := in.add(storetest.Event("running", "T1"), true)
		for i := range 3 {
			in.add(storetest.Event(fmt.Sprint("claimed", i), "T1"), false)
		}
		lost := func(when string) {
			t.Helper()
			lose.Store(true)
			defer lose.Store(false)
			if _, err := in.Claim(t.Context(), 5, 5, nil); err == nil {
				t.Errorf("%s: the answer of a claim was not lost", when)
			}
			e := storetest.Event("taken "+when, "T2")
			if _, err := in.Add(t.Context(), &e, true); err == nil {
				t.Errorf("%s: the answer of an acceptance was not lost", when)
			}
		}
		back := func(when string) {
			t.Helper()
			events, err := in.Claim(t.Context(), 10, 10, nil)
			storetest.OK(t, err)
			ids(t, when, events, "claimed0", "claimed1", "claimed2", "taken "+when)
			for _, e := range events {
				if e.Deaths != 0 {
					t.Errorf("%s: %s has %d deaths", when, e.ID, e.Deaths)
				}
				if e.Key.TeamID == "T2" {
					storetest.OK(t, in.Done(t.Context(), e))
				} else {
					storetest.OK(t, in.Retry(t.Context(), e, c.now(), false, ""))
				}
			}
		}

		lost("within its lease")
		c.advance(time.Second)
		back("within its lease")

		// The same when another process has found the leases over.
		lost("after its lease")
		c.advance(bot.DefaultLease - time.Second)
		held, err := in.ExtendLease(t.Context(), []bot.Delivery{running})
		storetest.OK(t, err)
		c.advance(time.Second)
		if once, _ := other.hints(c); !once || len(held) > 0 {
			t.Errorf("another process sees no suspects, or %v is lost", held)
		}
		back("after its lease")
		storetest.OK(t, in.Done(t.Context(), running))
	})
}
