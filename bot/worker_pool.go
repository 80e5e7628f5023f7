package bot

// The places of handlers: a bounded number runs at a time, and neither a workspace nor timers take all of them.

import (
	"context"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// workerPool is where handlers get their place. Its methods may be called from any number of goroutines.
type workerPool struct {
	places int // so many handlers at a time
	share  int // and of one workspace so many
	timers int // and of timers, whosever they are, so many

	mu      sync.Mutex
	open    bool // the process takes work
	ended   bool // and takes none any longer
	alone   bool // what runs is to end, and nothing else to begin, because of a suspect
	backlog bool // there is more in the inbox than places
	taken   int
	timed   int  // of them by timers
	yields  bool // the only place was a timer's: what people do comes next
	each    map[connection.Key]int
	running map[int64]*running // by Delivery.Row
	free    chan struct{}      // has something in it when a place became free
	idle    chan struct{}      // closed when nothing is taken any more; made by close
}

// running is an event with a handler.
type running struct {
	event Delivery
	stop  context.CancelCauseFunc
	held  time.Time // since when its lease runs, as far as known
}

func newWorkerPool(places int) *workerPool {
	return &workerPool{
		places: places, share: max(1, places/2), timers: max(1, places/4),
		each: map[connection.Key]int{}, running: map[int64]*running{}, free: make(chan struct{}, 1),
	}
}

// acquire reserves a place for an event that just came. Not while others wait for one.
func (d *workerPool) acquire(k connection.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open || d.alone || d.backlog || d.taken >= d.places || d.each[k] >= d.share {
		return false
	}
	d.taken++
	d.each[k]++
	return true
}

// reserve takes up to n places for whatever the inbox will hand out, and says how many of them timers can have and
// which workspaces have enough.
func (d *workerPool) reserve(n int) (got, timers int, busy []connection.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open || d.alone {
		return 0, 0, nil
	}

	got = max(0, min(n, d.places-d.taken)) // a suspect takes a place whether there is one or not
	d.taken += got
	for k, n := range d.each {
		if n >= d.share {
			busy = append(busy, k)
		}
	}
	if timers = max(0, min(got, d.timers-d.timed)); d.yields {
		timers, d.yields = 0, false
	}
	return got, timers, busy
}

// suspects returns how many more events with a death may run.
func (d *workerPool) suspects() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	more := mostSuspects
	for _, r := range d.running {
		if r.event.Deaths > 0 {
			more--
		}
	}
	return more
}

// clear lets nothing begin until reopen. The channel is closed once all places are free.
func (d *workerPool) clear() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alone = true
	return d.whenIdle()
}

// reopen ends what clear began.
func (d *workerPool) reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alone = false
}

// occupy takes a place whether there is one or not.
func (d *workerPool) occupy(e *Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken++
	d.count(e, 1)
}

// assign gives one of the reserved places to an event.
func (d *workerPool) assign(e *Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count(e, 1)
	d.yields = d.places == 1 && e.timer()
}

// count adds to what the workspace of an event has, and timers have. The caller holds the lock.
func (d *workerPool) count(e *Delivery, n int) {
	if e.timer() {
		d.timed += n
	}
	if d.each[e.Key] += n; d.each[e.Key] <= 0 {
		delete(d.each, e.Key)
	}
}

// releaseReserved gives back n places that were reserved and not given to anybody. more: the inbox may have more.
func (d *workerPool) releaseReserved(n int, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backlog = more
	d.taken -= n
	d.settled()
}

// release gives a place back.
func (d *workerPool) release(e *Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken--
	d.count(e, -1)
	d.settled()

	select {
	case d.free <- struct{}{}:
	default:
	}
}

// settled tells who waits for all places to be free. The caller holds the lock.
func (d *workerPool) settled() {
	if d.idle != nil && d.taken == 0 {
		close(d.idle)
		d.idle = nil
	}
}

// begins lets work in.
func (d *workerPool) begins() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open, d.ended, d.alone = true, false, false
}

// state reports whether work is taken, and whether it was and won't be again.
func (d *workerPool) state() (open, ended bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open, d.ended
}

// close lets nothing in any more. The channel is closed once all places are free.
func (d *workerPool) close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open, d.ended = false, true
	return d.whenIdle()
}

// whenIdle returns what is closed once nothing is taken. The caller holds the lock.
func (d *workerPool) whenIdle() <-chan struct{} {
	if d.idle == nil {
		d.idle = make(chan struct{})
	}
	idle := d.idle
	d.settled()
	return idle
}

// begin notes that an event has a handler from now on, whose context stop ends.
func (d *workerPool) begin(e Delivery, stop context.CancelCauseFunc, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.running[e.Row]; before != nil { // it was handed out anew, to ourselves
		before.stop(ErrLost)
	}
	d.running[e.Row] = &running{e, stop, now}
}

// end notes that an attempt at an event is over. One that was handed out anew meanwhile goes on.
func (d *workerPool) end(e Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.running[e.Row]; r != nil && r.event.Attempt == e.Attempt {
		delete(d.running, e.Row)
	}
}

// held returns what has a handler.
func (d *workerPool) held() []Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make([]Delivery, 0, len(d.running))
	for _, r := range d.running {
		held = append(held, r.event)
	}
	return held
}

// renewed notes whose leases began anew at a time, and returns those whose lease has been over since before another.
func (d *workerPool) renewed(events []Delivery, at, over time.Time) (ended []Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		if r := d.running[e.Row]; r != nil && r.event.Attempt == e.Attempt {
			r.held = at
		}
	}

	for _, r := range d.running {
		if r.held.Before(over) {
			ended = append(ended, r.event)
		}
	}
	return ended
}

// interrupt ends the contexts of these, or of all.
func (d *workerPool) interrupt(cause error, events []Delivery, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if all {
		for _, r := range d.running {
			r.stop(cause)
		}
	}

	for _, e := range events {
		if r := d.running[e.Row]; r != nil && r.event.Attempt == e.Attempt {
			r.stop(cause)
		}
	}
}
