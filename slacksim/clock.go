package slacksim

// Time is injected so that a ten-minute code, a twelve-hour token and a five-minute retry can be tested in a
// millisecond. Only waiting for the app's answer (three seconds) uses real time, because the app runs in real time.

import (
	"slices"
	"sync"
	"time"
)

// Clock tells the time and calls back later. Both methods must be safe for concurrent use and must not block.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once, in any goroutine, when d has passed. stop reports whether it prevented the call.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// SystemClock is the machine's own clock.
type SystemClock struct{}

// Now is time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc is time.AfterFunc.
func (SystemClock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// ManualClock stands still until Advance moves it. It is safe for concurrent use.
type ManualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*manualTimer // in no order: there are few
}

type manualTimer struct {
	at time.Time
	f  func()
}

// NewManualClock returns a clock that shows start.
func NewManualClock(start time.Time) *ManualClock { return &ManualClock{now: start} }

// Now returns the time the clock shows.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc registers f for the time the clock shows plus d. It runs inside the Advance that passes that time.
func (c *ManualClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &manualTimer{at: c.now.Add(d), f: f}
	c.timers = append(c.timers, t)
	return func() bool { return c.take(t) }
}

func (c *ManualClock) take(t *manualTimer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := len(c.timers)
	c.timers = slices.DeleteFunc(c.timers, func(x *manualTimer) bool { return x == t })
	return len(c.timers) < had
}

// Advance moves the clock by d and calls every function that falls due on the way, earliest first, each at its own
// time. It returns when they have returned. Functions they register inside the span run too.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.now.Add(d)
	c.mu.Unlock()

	for {
		c.mu.Lock()
		var next *manualTimer
		for _, t := range c.timers {
			if !t.at.After(end) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}

		if next == nil {
			c.now = end
			c.mu.Unlock()
			return
		}
		if next.at.After(c.now) {
			c.now = next.at
		}
		c.mu.Unlock()

		// The function runs without the lock: it may well ask for the time.
		if c.take(next) {
			next.f()
		}
	}
}
