package bot

// Goroutines that run what others wrote: none of them takes the process along, whichever part of its work panics.

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// panicError is a panic in a handler's work, so that it costs that work and no more.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.value) }

// guard calls fn and turns its panic into a *panicError.
func guard(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return fn()
}

// tasks counts goroutines. Unlike with a sync.WaitGroup more may begin while somebody waits, and after that: Run and
// the server may end in any order.
type tasks struct {
	log    *slog.Logger
	panics func() // counts one

	mu   sync.Mutex
	n    int
	none chan struct{} // closed when n is 0; nil: nobody waits
}

// Go runs fn in a goroutine. A panic in it is logged, and ends nothing else.
func (t *tasks) Go(fn func()) {
	t.mu.Lock()
	t.n++
	t.mu.Unlock()
	go func() {
		defer t.ended()
		if err := guard(func() error { fn(); return nil }); err != nil {
			t.panics()
			t.log.Error("work of a handler panicked: it is given up", failure(err)...)
		}
	}()
}

// Wait blocks until there was a moment at which nothing ran.
func (t *tasks) Wait() { <-t.idle() }

func (t *tasks) ended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	t.settle()
}

// settle tells who waits. The caller holds the lock.
func (t *tasks) settle() {
	if t.n == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

// idle returns a channel that is closed once there was a moment at which nothing ran.
func (t *tasks) idle() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.none == nil {
		t.none = make(chan struct{})
	}
	none := t.none
	t.settle()
	return none
}
