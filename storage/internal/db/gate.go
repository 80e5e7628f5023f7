package db

// SQLite has one writer, and everybody needs it: events that Slack waits for, installs that strangers start, sweeps
// that nobody waits for. Who is next must not be a matter of who came first.

import (
	"context"
	"slices"
	"sync"
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

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting[p], turn); i >= 0 {
		g.waiting[p] = slices.Delete(g.waiting[p], i, i+1)
	} else {
		g.next() // the turn came in the same moment
	}
	return ctx.Err()
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
