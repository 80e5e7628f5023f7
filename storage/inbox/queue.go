package inbox

// Who is worked before whom. People's events and timers each have a queue, so that no number of timers is in the way of
// what people do.

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	// kindTimer is bot.Delivery's Kind of a timer.
	kindTimer = "timer"
	// firstTimer is the first place of timers: behind all of people's, which start at 0 and grow by one for each event of
	// a workspace that has others waiting.
	firstTimer = int64(1) << 48
	// Workspaces that are remembered for the place of their last event, before those that have none waiting go.
	mostRemembered = 10_000
)

// queue gives events their places (start-time fair queueing): the event of a workspace that has none waiting goes to
// where the queue is being worked now, the next ones of the same workspace behind it by one each. So workspaces take
// turns however much one of them sends, and a claim is a walk along an index. P. Goyal, H. Vin, H. Cheng: Start-time
// Fair Queuing, SIGCOMM 1996. It may be used from any number of goroutines.
type queue struct {
	mu   sync.Mutex
	at   int64                    // the place of what was handed out last
	last map[connection.Key]int64 // workspace → the place of its last event, where that is ahead of at
	from int64                    // where the last claim ended
}

func newQueue(at int64) *queue { return &queue{at: at, last: map[connection.Key]int64{}} }

// place returns the place of a workspace's next event. What is taken by its process right away doesn't wait.
func (q *queue) place(k connection.Key, taken bool) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if taken {
		return q.at
	}
	if len(q.last) > mostRemembered {
		maps.DeleteFunc(q.last, func(_ connection.Key, place int64) bool { return place < q.at })
	}

	next := q.at
	if last, waits := q.last[k]; waits {
		next = max(next, last+1)
	}
	q.last[k] = next
	return next
}

// state is where the queue is being worked, and where the last claim ended.
func (q *queue) state() (at, from int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.at, q.from
}

// reached notes that the queue is worked as far as a place by now, and with claimed that a claim ended there.
func (q *queue) reached(place int64, claimed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.at = max(q.at, place)
	if claimed {
		q.from = place
	}
}

// leases gives leases to what is handed out, and remembers those that were given by statements whose answer was lost.
// It may be used from any number of goroutines.
type leases struct {
	length time.Duration
	given  atomic.Int64 // from some number on: see until

	mu      sync.Mutex
	unheard []int64 // their ends
}

func newLeases(length time.Duration) *leases {
	l := &leases{length: length}
	l.given.Store(rand.Int64N(leasesApart))
	return l
}

// until is when a lease ends that begins now, two milliseconds early at most. It tells what one statement of this
// process handed out from what all others did; those of two processes are the same by a rare chance only.
func (l *leases) until(now time.Time) int64 {
	ms := now.Add(l.length).UnixMilli() - 1
	return ms*leasesApart + l.given.Add(1)%leasesApart
}

// unheardOf notes that a statement may have handed out events, with leases until then, of which nobody here knows: the
// connection broke between its commit and its answer. err is what came instead.
func (l *leases) unheardOf(until int64, err error) {
	if refusedRow(err) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unheard) == mostUnheard {
		l.unheard = slices.Delete(l.unheard, 0, 1) // what that one handed out is a suspect after its lease
	}
	l.unheard = append(l.unheard, until)
}

// lost are the ends of leases of which nobody heard.
func (l *leases) lost() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.unheard)
}

// over forgets those that ended by now, in microseconds.
func (l *leases) over(now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unheard = slices.DeleteFunc(l.unheard, func(until int64) bool { return until <= now })
}
