package inbox_test

// What a machine's clock is set to, ahead or back, makes the inbox forget nothing, hand nothing out twice, and keep
// nothing waiting.

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// set is a machine's clock that is set ahead or back, beside a monotonic one that is not.
type set struct{ ahead atomic.Int64 }

func (s *set) to(ahead time.Duration) { s.ahead.Store(int64(ahead)) }
func (s *set) now() time.Time         { return time.Now().Add(time.Duration(s.ahead.Load())) }

// onClock is an inbox of which nobody else works anything, on a machine whose clock is set.
func onClock(t *testing.T, f storetest.Fixture, c *set) desk {
	t.Helper()
	storetest.OK(t, f.UseClock(t.Context(), c.now))
	in, err := f.Inbox(t.Context(), inbox.Config{Alone: f.Dialect() == "sqlite"})
	storetest.OK(t, err)
	in.Start()
	t.Cleanup(in.Close)
	return desk{in, t}
}

// stage fills an inbox with an event that is done, one whose handler runs, one that waits for ten minutes, and a dead
// letter.
func stage(t *testing.T, in desk) (held bot.Delivery) {
	t.Helper()
	fresh := func(id string) bot.Delivery { e := storetest.Event(id, "T1"); e.Received = in.Now(); return e }
	done, _ := in.add(fresh("done"), true)
	storetest.OK(t, in.Done(t.Context(), done))
	dead, _ := in.add(fresh("dead"), true)
	storetest.OK(t, in.DeadLetter(t.Context(), dead, "no"))
	waits, _ := in.add(fresh("waits"), true)
	storetest.OK(t, in.Retry(t.Context(), waits, in.Now().Add(10*time.Minute), true, "later"))
	held, _ = in.add(fresh("held"), true)
	return held
}

// known fails the test unless what stage left is as it was: known, and handed to nobody.
func known(t *testing.T, what string, in desk) {
	t.Helper()
	ids(t, what, in.claim(10))
	for _, id := range []string{"done", "dead", "waits", "held"} {
		if _, fresh := in.add(storetest.Event(id, "T1"), false); fresh {
			t.Errorf("%s: %q is new", what, id)
		}
	}
}

func tidy(t *testing.T, in desk) {
	t.Helper()
	in.LookAtAll()
	storetest.OK(t, in.Tidy(t.Context()))
	storetest.OK(t, in.Sweep(t.Context()))
}

// This machine's clock jumps by a day, or by years, and is put right: nothing of it is seen in the inbox.
func TestInboxAfterAClockJump(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := new(set)
		in := onClock(t, f, c)
		stage(t, in)
		for _, jump := range []time.Duration{27 * time.Hour, -27 * time.Hour, 100 * 24 * time.Hour,
			20 * 365 * 24 * time.Hour} {
			for _, to := range []time.Duration{jump, 0} {
				c.to(to)
				in.Look()
				tidy(t, in)
				known(t, fmt.Sprint("set to ", to), in)
			}
		}
	})
}

// A jump that lasts is followed; what is kept for a time is kept as long as it is, and what runs is handed to nobody
// else.
func TestInboxAfterTheClockWasSet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		in := onClock(t, f, new(set))
		held := stage(t, in)
		for _, step := range []time.Duration{27 * time.Hour, -27 * time.Hour, 100 * 24 * time.Hour, -99 * 24 * time.Hour,
			time.Hour, -time.Hour} {
			in.Step(step)
			in.LookAtAll()
			tidy(t, in)
			// What waits for ten minutes may come early, and not by hours late.
			for _, e := range in.claim(10) {
				if e.ID != "waits" {
					t.Errorf("after a step of %v %q was handed out", step, e.ID)
				}
				storetest.OK(t, in.Retry(t.Context(), e, in.Now().Add(10*time.Minute), true, "later"))
			}
			known(t, fmt.Sprint("a step of ", step), in)
			if lost, err := in.ExtendLease(t.Context(), []bot.Delivery{held}); err != nil || len(lost) != 0 {
				t.Errorf("after a step of %v its holder lost it: %v", step, err)
			}
			if n := f.CountOf(t, fmt.Sprintf("SELECT count(*) FROM inbox WHERE state = 'waiting' AND visible_at > %d",
				in.Now().Add(10*time.Minute).UnixMicro())); n != 0 {
				t.Errorf("after a step of %v it waits longer than it was to", step)
			}
		}
	})
}

// What a clock that was wrong has written is not believed: a lease or a pause that is longer than any, an arrival that
// is still to come. Others wait as long as they were to.
func TestInboxDoesNotBelieveABrokenClock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		for _, id := range []string{"held", "waits", "waits rightly", "done", "done before", "dead"} {
			in.add(storetest.Event(id, "T1"), false)
		}
		before := c.now()
		for _, e := range in.claim(10) {
			switch e.ID {
			case "waits":
				storetest.OK(t, in.Retry(t.Context(), e, c.now().Add(24*time.Hour), true, "by a clock a day ahead"))
			case "waits rightly":
				storetest.OK(t, in.Retry(t.Context(), e, c.now().Add(72*time.Minute), true, "the longest back-off"))
			case "dead":
				storetest.OK(t, in.DeadLetter(t.Context(), e, "no"))
			case "done", "done before":
				storetest.OK(t, in.Done(t.Context(), e))
			}
		}
		year := before.Add(365 * 24 * time.Hour).UnixMicro()
		storetest.Exec(t, f, fmt.Sprintf("UPDATE inbox SET visible_at = %d WHERE event_id = 'held'",
			before.Add(time.Hour).UnixMicro()))
		storetest.Exec(t, f, fmt.Sprintf("UPDATE inbox SET received_at = %d WHERE event_id = 'done'", year))
		storetest.Exec(t, f, fmt.Sprintf("UPDATE inbox SET finished_at = %d WHERE event_id = 'dead'", year))
		for range 2 {
			tidy(t, in)
		}
		ids(t, "at once", in.claim(10), "held", "waits")
		if text := f.Log.String(); strings.Count(text, "events were put off, or held, by a clock that was wrong") != 1 ||
			strings.Count(text, "events are known since later than now") != 1 {
			t.Errorf("not told once each:\n%s", text)
		}
		c.advance(bot.DedupeFor + time.Minute)
		tidy(t, in)
		if n := f.CountOf(t, "SELECT count(*) FROM inbox WHERE state = 'done'"); n != 0 {
			t.Errorf("%d are known for ever", n)
		}
		c.advance(90 * 24 * time.Hour)
		tidy(t, in)
		if n := f.CountOf(t, "SELECT count(*) FROM inbox WHERE state = 'dead'"); n != 0 {
			t.Errorf("%d dead letters are kept for ever", n)
		}
	})
}

// The sweep of connections and of their history reckons with steps as well.
func TestSweepAfterTheClockWasSet(t *testing.T) {
	f := storetest.Open(t, storagetest.SQLite(t))
	in := onClock(t, f, new(set))
	gone := storetest.Full(storetest.Key("A1", "E1", "T1"))
	gone.State, gone.StateSince = "removed", f.Now()
	storetest.Put(t, f, gone)
	attempt := oauth.Attempt{Ref: "R", StateHash: []byte{1}, BrowserHash: []byte{2}, StartedAt: f.Now()}
	storetest.OK(t, f.BeginAttempt(t.Context(), attempt))
	const keep = 90 * 24 * time.Hour
	in.Step(keep + time.Hour)
	if n, err := f.DB.Sweep(t.Context(), f.Now().Add(-keep)); n != 0 || err != nil {
		t.Errorf("%d connections that were just removed are forgotten (%v)", n, err)
	}
	if n, err := f.SweepAttempts(t.Context(), f.Now().Add(-keep), f.Now().Add(-keep)); n != 0 || err != nil {
		t.Errorf("%d attempts that just began are forgotten (%v)", n, err)
	}
	if n, err := f.DB.Sweep(t.Context(), f.Now().Add(-time.Minute)); n != 0 || err != nil {
		t.Errorf("and %d (%v)", n, err)
	}
}

// Nothing is swept right after the start: the clock may be about to be put right.
func TestNothingIsSweptAtTheStart(t *testing.T) {
	f := storetest.Open(t, storagetest.SQLite(t))
	in := onClock(t, f, new(set))
	old := storetest.Event("old", "T1")
	old.Received = in.Now().Add(-27 * time.Hour)
	done, _ := in.add(old, true)
	storetest.OK(t, in.Done(t.Context(), done))
	storetest.OK(t, in.Tidy(t.Context()))
	if n := f.CountOf(t, "SELECT count(*) FROM inbox"); n != 1 {
		t.Error("swept at the start")
	}
	storetest.OK(t, in.Sweep(t.Context()))
	if n := f.CountOf(t, "SELECT count(*) FROM inbox"); n != 0 {
		t.Error("never swept")
	}
}
