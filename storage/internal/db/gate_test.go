package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// queued waits until so many writes wait for their turn.
func (g *gate) queued(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		g.mu.Lock()
		waiting := 0
		for _, w := range g.waiting {
			waiting += len(w)
		}
		g.mu.Unlock()
		if waiting == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d writes wait, want %d", waiting, n)
		}
		time.Sleep(time.Millisecond)
	}
}

// The most urgent goes first, those of one kind in the order they came, and nobody waits for ever.
func TestGateOrder(t *testing.T) {
	g := &gate{}
	if err := g.enter(t.Context(), ordinary); err != nil {
		t.Fatal(err)
	}
	var order []string
	var all sync.WaitGroup
	waiting := 0
	queue := func(p precedence, name string) {
		all.Go(func() {
			_ = g.enter(t.Context(), p)
			order = append(order, name)
			g.leave()
		})
		waiting++
		g.queued(t, waiting)
	}
	queue(ordinary, "o1")
	queue(ordinary, "o2")
	queue(Working, "w1")
	for i := range mostPassed + 2 {
		queue(Acknowledging, fmt.Sprint("a", i+1))
	}
	gone, leave := context.WithCancel(t.Context())
	all.Go(func() {
		if err := g.enter(gone, Acknowledging); !errors.Is(err, context.Canceled) {
			t.Errorf("entered after its end: %v", err)
		}
	})
	g.queued(t, waiting+1)
	leave()
	g.queued(t, waiting)
	g.leave()
	all.Wait()
	want := []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "o1", "w1", "a9", "a10", "o2"}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

// Who has to wait is counted, and who doesn't isn't.
func TestGateCountsItsDelays(t *testing.T) {
	t.Parallel()
	g := &gate{}
	if err := g.enter(t.Context(), ordinary); err != nil {
		t.Fatal(err)
	}
	if waits, waited := g.delays(); waits != 0 || waited != 0 {
		t.Errorf("before anybody waited: %d, %v", waits, waited)
	}
	came := make(chan error)
	go func() { came <- g.enter(t.Context(), ordinary) }()
	g.queued(t, 1)
	gone, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- g.enter(gone, ordinary) }()
	g.queued(t, 2)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	g.leave()
	if err := <-came; err != nil {
		t.Error(err)
	}
	if waits, waited := g.delays(); waits != 2 || waited <= 0 {
		t.Errorf("two waited: %d, %v", waits, waited)
	}
}
