package db

// SQLite has one writer, and everybody needs it: events that Slack waits for, installs that strangers start, sweeps
// that nobody waits for. Who is next must not be a matter of who came first.

import (
	"context"
	"slices"
	"sync"
	"time"
)

// precedence is how urgent a write is. The first goes first.
type precedence int

const (
	Acknowledging precedence = iota // Slack waits for it, 3 s
	Working                         // the inbox's own: what is claimed and done
	ordinary                        // everything else
	precedences
)

// mostPassed is how many writes may go before one that has waited longer. The less urgent is slowed down, and never
// stands still.
const mostPassed = 8

// gate lets one write through at a time. The zero value is open; a nil one lets everybody through at once.
type gate struct {
	mu      sync.Mutex
	taken   bool
	waiting [precedences][]chan struct{} // in the order of their arrival
	passed  [precedences]int             // how many went before the first of those since it could have gone
	waits   int64                        // how many had to wait since the start
	waited  time.Duration                // and for how long, all together
}

// enter waits for the caller's turn; leave gives it to the next one. The error is ctx's.
func (g *gate) enter(ctx context.Context, p precedence) error {
	if g == nil {
		return nil
	}

	g.mu.Lock()
	if !g.taken {
		g.taken = true
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting[p] = append(g.waiting[p], turn)
	g.mu.Unlock()

	began, came := time.Now(), false
	select {
	case <-turn:
		came = true
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waits, g.waited = g.waits+1, g.waited+time.Since(began)
	if came {
		return nil
	}
	if i := slices.Index(g.waiting[p], turn); i >= 0 {
		g.waiting[p] = slices.Delete(g.waiting[p], i, i+1)
	} else {
		g.next() // the turn came in the same moment
	}
	return ctx.Err()
}

// delays are how often somebody had to wait, and for how long all together.
func (g *gate) delays() (waits int64, waited time.Duration) {
	if g == nil {
		return 0, 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waits, g.waited
}

func (g *gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next()
}

// next lets in who is to be next. Callers hold mu.
func (g *gate) next() {
	chosen := precedences
	for p := range g.waiting {
		if len(g.waiting[p]) > 0 && (chosen == precedences || g.passed[p] >= mostPassed) {
			chosen = precedence(p)
		}
	}
	if g.taken = chosen < precedences; !g.taken {
		return
	}
	for p := range g.waiting {
		if g.passed[p]++; precedence(p) == chosen || len(g.waiting[p]) == 0 {
			g.passed[p] = 0
		}
	}
	turn := g.waiting[chosen][0]
	g.waiting[chosen] = g.waiting[chosen][1:]
	close(turn)
}
