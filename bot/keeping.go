package bot

// What becomes of deliveries at the door, in the log: each by a line for whoever follows one. That the inbox takes none
// is a state, and said once.

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keptRefused is what a delivery is that the inbox did not take.
	keptRefused = "refused"
	// So long no delivery is refused until it is said that they are taken again: a database that comes and goes is one
	// trouble.
	keepingSettled = 5 * time.Second
)

// keeping notes what became of deliveries. Its method may be called from any number of goroutines.
type keeping struct {
	failing atomic.Bool

	mu      sync.Mutex
	since   time.Time // it was failing
	last    time.Time // something was refused
	refused int       // since it was failing
}

// note logs what became of e: a result of keptAs.
func (k *keeping) note(ctx context.Context, log *slog.Logger, e Delivery, result string, err error) {
	if err != nil {
		level := slog.LevelDebug
		if k.refuses() {
			level = slog.LevelError
		}
		log.LogAttrs(ctx, level, "event not accepted: Slack sends it again", slog.String("event", e.ID),
			slog.String("type", e.Type), slog.String("team", e.team()), slog.Any("cause", err))
		return
	}

	if k.failing.Load() {
		if refused, after := k.takes(); refused > 0 {
			log.InfoContext(ctx, "events are accepted again", "refused", refused, "after", after.Round(time.Second).String())
		}
	}
	if log.Enabled(ctx, slog.LevelDebug) {
		log.DebugContext(ctx, "event received", "event", e.ID, "type", e.Type, "team", e.team(), "result", result)
	}
}

// refuses notes that something was refused. first: nothing was for a while.
func (k *keeping) refuses() (first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = time.Now()
	if first = !k.failing.Swap(true); first {
		k.since, k.refused = k.last, 0
	}
	k.refused++
	return first
}

// takes ends the trouble, once it is over for a while: it returns how many were refused in it, and how long it was.
// 0: it may go on.
func (k *keeping) takes() (refused int, after time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.last) < keepingSettled || !k.failing.Swap(false) {
		return 0, 0
	}
	return k.refused, k.last.Sub(k.since)
}
