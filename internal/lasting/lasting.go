// Package lasting logs trouble that lasts by two lines: one when it begins and one when it ends, however often it is met
// in between. At debug each time is a line.
package lasting

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// changesEvery is how long another cause of the same trouble waits for its line: of several that take turns one is
// told.
const changesEvery = time.Minute

// Trouble is what may last. The zero value is none. Its methods may be called from any number of goroutines.
type Trouble struct {
	Begins, Ends string        // what is logged
	Error        bool          // its beginning is an error, not a warning
	Settles      time.Duration // so long it is away until it counts as ended; 0: it ends with the first success

	under atomic.Bool // it is under way

	mu    sync.Mutex
	since time.Time
	last  time.Time // it was met
	said  time.Time // a cause was logged
	cause string    // as sameness looks at it
	times int
}

// sameness is an error's text without its digits: a connection's port, an id or a time in it is no other cause.
func sameness(cause string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, cause)
}

// Note logs what err makes of it, nil of a success, with about: pairs of names and values as slog takes them.
func (t *Trouble) Note(ctx context.Context, log *slog.Logger, err error, about ...any) {
	if err == nil {
		t.Passed(ctx, log)
		return
	}

	level := slog.LevelDebug
	if t.met(err.Error(), time.Now()) {
		level = slog.LevelWarn
		if t.Error {
			level = slog.LevelError
		}
	}
	log.Log(ctx, level, t.Begins, append(about, "cause", err)...)
}

// Passed is Note of a success. It costs next to nothing where there is no trouble.
func (t *Trouble) Passed(ctx context.Context, log *slog.Logger) {
	if !t.under.Load() {
		return
	}

	t.mu.Lock()
	ended := time.Since(t.last) >= t.Settles && t.under.Swap(false)
	times, lasted := t.times, t.last.Sub(t.since)
	if t.Settles == 0 {
		lasted = time.Since(t.since)
	}
	t.mu.Unlock()

	if ended {
		log.InfoContext(ctx, t.Ends, "times", times, "after", lasted.Round(time.Second).String())
	}
}

// met notes that the trouble was met, and reports whether that is worth a line for everybody.
func (t *Trouble) met(cause string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	began := !t.under.Swap(true)
	if began {
		t.since, t.times = now, 0
	}
	t.times++
	t.last = now

	cause = sameness(cause)
	changed := cause != t.cause && now.Sub(t.said) >= changesEvery
	if !began && !changed {
		return false
	}
	t.cause, t.said = cause, now
	return true
}
