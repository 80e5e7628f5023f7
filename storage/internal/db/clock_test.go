package db

// The database's time goes on by itself, whatever this machine's clock is set to; what it is measured by can change,
// and is followed.

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// jumping is a machine's clock that is set ahead or back.
type jumping struct{ ahead atomic.Int64 }

func (j *jumping) set(ahead time.Duration) { j.ahead.Store(int64(ahead)) }
func (j *jumping) now() time.Time          { return time.Now().Add(time.Duration(j.ahead.Load())) }

// carried is newClock where tests move time: there it has no monotonic readings.
func carried(machine *jumping) *Clock {
	c, began := NewClock(machine.now), time.Now()
	c.running = func() time.Duration { return time.Since(began) }
	return c
}

// near fails the test unless a clock says about what it should.
func near(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want); d.Abs() > 500*time.Millisecond {
		t.Errorf("%s: the clock is %v from where it should be", what, d)
	}
}

func TestClockOfThisMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		machine := new(jumping)
		c := carried(machine)
		c.log.Store(slog.New(slog.NewTextHandler(&log, nil)))
		for what, jump := range map[string]time.Duration{"a day ahead": 27 * time.Hour, "an hour back": -time.Hour} {
			machine.set(jump)
			near(t, what, c.Now(), time.Now())
			for range 3 { // until it would have been followed
				c.Look()
				time.Sleep(lookEvery - time.Millisecond)
				near(t, what+", seen", c.Now(), time.Now())
			}
			if c.Calm() || c.total.Load() != 0 {
				t.Errorf("%s: calm, or followed", what)
			}
			machine.set(0)
			c.Look()
			near(t, what+" and mended", c.Now(), time.Now())
		}
		// It is drift that is followed at once.
		machine.set(900 * time.Millisecond)
		c.Look()
		near(t, "drift", c.Now(), time.Now().Add(900*time.Millisecond))

		if n := strings.Count(log.String(), "this machine's clock jumped"); n != 2 ||
			strings.Count(log.String(), "is back where it was") != 2 {
			t.Errorf("told of %d jumps:\n%s", n, log.String())
		}
	})
}

// A computer that slept, or whose clock was wrong at the start, has a new time that lasts.
func TestClockThatWasSetIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := new(jumping)
		c := carried(machine)
		time.Sleep(calmTime)
		if !c.Calm() {
			t.Error("not calm after a while")
		}
		limit := func(age time.Duration) time.Duration { return c.Now().Sub(c.Spared(c.Now().Add(-age))) }
		follow := func(to time.Duration) {
			t.Helper()
			machine.set(to)
			c.Look()
			time.Sleep(settleTime)
			c.Look()
			near(t, "after a step", c.Now(), time.Now().Add(to))
			if c.Calm() || !c.MovedWithin(time.Minute) {
				t.Error("calm right after a step")
			}
		}
		follow(8 * time.Hour)
		// What was written before the step looks eight hours older than it is, until it is older than anything that is kept.
		if got := limit(26 * time.Hour); got != 34*time.Hour {
			t.Errorf("what is kept for 26 hours goes after %v", got)
		}
		follow(-2 * time.Hour)
		if got := limit(26 * time.Hour); got != 34*time.Hour {
			t.Errorf("and after a step back, %v", got)
		}
		time.Sleep(40 * time.Hour)
		if got := limit(26 * time.Hour); got != 26*time.Hour || !c.Calm() {
			t.Errorf("long after the steps %v, calm %v", got, c.Calm())
		}
		if got := limit(90 * 24 * time.Hour); got != (90*24+8)*time.Hour {
			t.Errorf("what is kept for 90 days goes after %v", got)
		}
		for range 2 * mostSteps {
			follow(0)
			follow(time.Hour)
		}
		if got := limit(90 * 24 * time.Hour); got < (90*24+8+2*mostSteps)*time.Hour || len(c.steps) > mostSteps {
			t.Errorf("after many steps %v, of which %d are remembered", got, len(c.steps))
		}
	})
}

// A database's answer counts for the middle of the time it took, is followed at once, and only if it came soon.
func TestClockOfTheDatabase(t *testing.T) {
	var log bytes.Buffer
	machine := new(jumping)
	machine.set(time.Hour) // this machine's is wrong
	c := NewClock(machine.now)
	c.log.Store(slog.New(slog.NewTextHandler(&log, nil)))
	heard := func(ahead, took time.Duration) {
		at := c.elapsed()
		c.heard(time.Now().Add(ahead), at-took/2, at+took/2)
	}
	heard(0, 100*time.Millisecond)
	near(t, "at connect", c.Now(), time.Now())
	machine.set(-time.Hour)
	near(t, "this machine's clock was set", c.Now(), time.Now())
	heard(time.Hour, 2*time.Second)
	near(t, "an answer that took long", c.Now(), time.Now())
	before := c.ahead.Load()
	heard(100*time.Millisecond, 300*time.Millisecond)
	if c.ahead.Load() != before {
		t.Error("an answer that agrees with what is known moved it")
	}
	heard(200*time.Millisecond, 0)
	near(t, "drift", c.Now(), time.Now().Add(200*time.Millisecond))
	if log.Len() > 0 {
		t.Errorf("told of:\n%s", log.String())
	}
	heard(-40*time.Second, 0)
	near(t, "another primary", c.Now(), time.Now().Add(-40*time.Second))
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "by=-40") ||
		!c.MovedWithin(time.Minute) {
		t.Errorf("told of:\n%s", text)
	}
	// One that tests move by hand is nobody else's.
	at := time.UnixMicro(1)
	hand := NewClock(func() time.Time { return at })
	hand.Look()
	at = at.Add(time.Hour)
	if hand.Now() != at || !hand.Calm() {
		t.Errorf("moved by hand: %v", hand.Now())
	}
}

// Three processes whose machines' clocks differ agree on the time, when they connect and whenever they measure.
func TestProcessesAgreeOnTheTime(t *testing.T) {
	url := storagetest.Postgres(t)
	for _, off := range []time.Duration{0, -40 * time.Second, time.Hour, -30 * 24 * time.Hour} {
		pool, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = pool.Close() }()
		db := NewUpkeep(pool)
		near(t, "as opened", db.Now(), time.Now())
		machine := new(jumping)
		machine.set(off)
		if err := db.UseClock(t.Context(), machine.now); err != nil {
			t.Fatal(err)
		}
		near(t, off.String(), db.Now(), time.Now())
		pool.Clock.ahead.Add(int64(time.Minute)) // the primary before had another clock
		pool.handle().SetMaxIdleConns(0)         // its connections are gone
		if err := db.Ready(t.Context()); err == nil {
			t.Fatal("there is no schema")
		}
		near(t, "after a reconnect", db.Now(), time.Now())
	}
}

// Whoever wants to know the time asks no database and waits for no lock.
func BenchmarkNow(b *testing.B) {
	c := NewClock(nil)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = c.Now()
		}
	})
}
