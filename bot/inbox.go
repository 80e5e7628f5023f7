package bot

// Between Slack's delivery and the handler stands the inbox: what it has accepted will be worked, and is accepted once.

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Delivery is one that was accepted: an event, or a command or action whose handler is slow. What is above Row is
// the Bot's, and an inbox keeps it as it is. Row and what is below it is the inbox's.
type Delivery struct {
	ID          string         // Slack's event_id, or a name of our own for slow work; accepted once for an app
	Kind        string         // events_api, slash_commands, interactive or timer
	Type        string         // of the inner event: app_mention, message, …; of slow work the handler's kind and name
	Key         connection.Key // whose connection it is for
	OrderingKey string         // events of one are worked one after the other, as they arrived; "": whenever
	Received    time.Time      // when it came
	Body        []byte         // what came, as it came; of slow work JSON of our own
	Trace       string         // the W3C traceparent that its handling goes on from; "": nobody collects traces

	Row      int64    // the inbox's own name for it
	Attempt  int      // how often it was handed out, this time included
	Failures int      // how many of the earlier attempts count against the limit
	Deaths   int      // how many of them were begun and never ended: their process did
	Said     []string // what earlier attempts posted, see Message.Say
	Joined   []int64  // Rows of events behind it, which its handler took in: they are done when it is

	by  *Handler // who was to handle it in this attempt
	ran string   // and what came of that; or why nobody was
}

// timer reports whether it is a timer whose time has come.
func (e *Delivery) timer() bool { return e.Kind == transport.KindTimer }

var (
	// ErrInboxFull says that the inbox can't take more now. The event is not acknowledged, and Slack sends it again.
	ErrInboxFull = errors.New("inbox is full")
	// ErrLost says that an event is somebody else's by now: its lease ran out.
	ErrLost = errors.New("the event was handed to somebody else")
)

// DedupeFor is how long an inbox knows what it has accepted. Slack's hourly retries go on for 24 hours.
// https://docs.slack.dev/apis/events-api
const DedupeFor = 26 * time.Hour

// DefaultLease is how long the events of a process that died lie before another one takes them, unless Config.Lease
// says otherwise.
const DefaultLease = 30 * time.Second

// Inbox keeps accepted events until they are worked. It may be used from any number of goroutines and, where it is kept
// in a database, processes. Whoever is handed an event holds it for a lease; after that it goes to somebody else, and
// ErrLost is what the first one gets for every word about it.
//
// An attempt is begun when its event is handed out, and ended by Done, Retry, DeadLetter or Outlived. One that was
// begun and never ended is a death (Delivery.Deaths): its process has ended while its handler ran.
type Inbox interface {
	Turns
	// Add accepts e, unless it was accepted before (fresh is false then). Once it returned without an error the event may
	// be acknowledged. With take it is handed to the caller in the same moment, with its Row and Attempt. It blocks until
	// the event is kept or ctx ended. If it was kept anyway, it is handed out when the lease is over.
	Add(ctx context.Context, e *Delivery, take bool) (fresh bool, err error)
	// Claim hands at most n events to the caller that are ready, at most so many timers among them, and no event of the
	// workspaces in busy but timers. Workspaces take turns. What has Deaths is not among them.
	Claim(ctx context.Context, n, timers int, busy []connection.Key) ([]Delivery, error)
	// Suspects reports whether there may be events that are ready and have one death, or more than one. It doesn't
	// block.
	Suspects() (once, often bool)
	// ClaimSuspects hands out at most n of those that have one death, or of those that have more (often). Their attempt
	// counts as begun only from Begin on.
	ClaimSuspects(ctx context.Context, n int, often bool) ([]Delivery, error)
	// Begin says that the handler of a suspect is about to run.
	Begin(ctx context.Context, e Delivery) error
	// Outlived says that this process lives on after an attempt whose end the inbox was not told, or that was somebody
	// else's by then: it counts as no death. It is never ErrLost.
	Outlived(ctx context.Context, e Delivery) error
	// Ready has something in it when there may be something to claim that was not there before.
	Ready() <-chan struct{}
	// ExtendLease makes the leases of these start anew, and returns those that are lost.
	ExtendLease(ctx context.Context, held []Delivery) (lost []Delivery, err error)
	// Done says that e was worked, and with it what it has Joined: all of that or nothing.
	Done(ctx context.Context, e Delivery) error
	// Retry says that e shall come again at a time; counts is whether this attempt counts against the limit. why is for
	// the operator.
	Retry(ctx context.Context, e Delivery, at time.Time, counts bool, why string) error
	// DeadLetter says that e failed for good. It is kept for an operator to see, and to replay.
	DeadLetter(ctx context.Context, e Delivery, why string) error
	// RecordSaid keeps e.Said.
	RecordSaid(ctx context.Context, e Delivery) error
	// Count returns how many events there are in each state, and since when the oldest one waits that is not done.
	Count(ctx context.Context) (InboxCount, error)
}

// InboxCount is how many events an inbox holds, of all processes that share it.
type InboxCount struct {
	Ready   int       // due
	Held    int       // being worked
	Waiting int       // for another attempt, or for an earlier event with their OrderingKey
	Dead    int       // failed for good
	Oldest  time.Time // arrival of the oldest that is due, being worked or waiting; zero: there is none
	Erased  int       // by this process, with the connection they were for, since it started

	// Arrival of the oldest in each state; zero: there is none.
	OldestReady, OldestHeld, OldestWaiting, OldestDead time.Time
}

const (
	memoryQueue = 10_000  // events of some 1.5 KB
	maxIDs      = 200_000 // some 20 MB; older ones are forgotten first
	mostStops   = 1_000
)

// MemoryInbox keeps events in this process: what is accepted and not worked is lost with it. Duplicates are known for
// DedupeFor, or 200,000 events. There are no leases, as there is nobody else, and no deaths that it would survive. It
// is for tests and for measuring.
type MemoryInbox struct {
	mu    sync.Mutex
	ready chan struct{}
	queue []*memoryEvent
	dead  int
	ids   map[string]time.Time
	order []string // ids, oldest first
	rows  int64
	stops []string         // ordering keys of the last presses of stop
	now   func() time.Time // the Bot's
}

type memoryEvent struct {
	Delivery
	at     time.Time // not before
	held   bool
	stream []byte
}

// NewMemoryInbox returns an empty inbox. It keeps the time of the Bot it is given to.
func NewMemoryInbox() *MemoryInbox {
	return &MemoryInbox{ready: make(chan struct{}, 1), ids: map[string]time.Time{}, now: time.Now}
}

// mortal is an inbox that ends with this process.
type mortal interface{ keepTime(now func() time.Time) }

// keepTime makes it use a Bot's clock.
func (m *MemoryInbox) keepTime(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}

// Add implements Inbox. It never blocks: a full queue is ErrInboxFull.
func (m *MemoryInbox) Add(_ context.Context, e *Delivery, take bool) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for len(m.order) > 0 && (len(m.order) > maxIDs || now.Sub(m.ids[m.order[0]]) > DedupeFor) {
		delete(m.ids, m.order[0])
		m.order = m.order[1:]
	}

	id := e.Key.AppID + " " + e.ID
	if _, known := m.ids[id]; known {
		return false, nil
	}

	if len(m.queue) >= memoryQueue {
		return false, ErrInboxFull
	}
	m.ids[id] = now
	m.order = append(m.order, id)
	m.rows++
	e.Row = m.rows
	if take = take && e.OrderingKey == ""; take {
		e.Attempt = 1
	}

	if strings.Contains(e.OrderingKey, StopKey) {
		m.stops = append(m.stops[max(0, len(m.stops)-mostStops):], e.OrderingKey)
	}
	m.queue = append(m.queue, &memoryEvent{Delivery: *e, held: take})
	if !take {
		m.wake()
	}
	return true, nil
}

func (m *MemoryInbox) wake() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// Ready implements Inbox.
func (m *MemoryInbox) Ready() <-chan struct{} { return m.ready }

// Claim implements Inbox.
func (m *MemoryInbox) Claim(_ context.Context, n, timers int, busy []connection.Key) (claimed []Delivery, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	lanes := map[string]bool{}
	for _, e := range m.queue {
		if len(claimed) == n {
			break
		}
		first := e.OrderingKey == "" || !lanes[e.OrderingKey]
		lanes[e.OrderingKey] = true
		if e.held || !first || e.at.After(now) || !e.timer() && slices.Contains(busy, e.Key) {
			continue
		}
		if e.timer() {
			if timers == 0 {
				continue
			}
			timers--
		}
		e.held = true
		e.Attempt++
		claimed = append(claimed, e.Delivery)
	}
	return claimed, nil
}

// Suspects implements Inbox: what ends the process ends the inbox with it.
func (m *MemoryInbox) Suspects() (once, often bool) { return false, false }

// ClaimSuspects implements Inbox.
func (m *MemoryInbox) ClaimSuspects(context.Context, int, bool) ([]Delivery, error) { return nil, nil }

// Begin implements Inbox.
func (m *MemoryInbox) Begin(context.Context, Delivery) error { return nil }

// Outlived implements Inbox.
func (m *MemoryInbox) Outlived(context.Context, Delivery) error { return nil }

// ExtendLease implements Inbox: nobody else is there.
func (m *MemoryInbox) ExtendLease(context.Context, []Delivery) ([]Delivery, error) { return nil, nil }

// change calls fn with the place of a held event in the queue.
func (m *MemoryInbox) change(e Delivery, fn func(i int)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	byRow := func(q *memoryEvent, row int64) int { return cmp.Compare(q.Row, row) }
	i, found := slices.BinarySearchFunc(m.queue, e.Row, byRow)
	if !found || !m.queue[i].held || m.queue[i].Attempt != e.Attempt {
		return ErrLost
	}

	lane := e.OrderingKey
	fn(i)
	if lane != "" {
		m.wake() // for the next of its ordering key
	}
	return nil
}

// Done implements Inbox.
func (m *MemoryInbox) Done(_ context.Context, e Delivery) error {
	return m.change(e, func(i int) {
		m.queue = slices.Delete(m.queue, i, i+1)
		if len(e.Joined) > 0 {
			joined := func(q *memoryEvent) bool { return slices.Contains(e.Joined, q.Row) }
			m.queue = slices.DeleteFunc(m.queue, joined)
		}
	})
}

// DeadLetter implements Inbox: the memory inbox keeps nothing that failed but its number.
func (m *MemoryInbox) DeadLetter(_ context.Context, e Delivery, _ string) error {
	return m.change(e, func(i int) { m.queue, m.dead = slices.Delete(m.queue, i, i+1), m.dead+1 })
}

// Retry implements Inbox.
func (m *MemoryInbox) Retry(_ context.Context, e Delivery, at time.Time, counts bool, _ string) error {
	var wait time.Duration
	err := m.change(e, func(i int) {
		q := m.queue[i]
		if q.held, q.at = false, at; counts {
			q.Failures++
		}
		wait = at.Sub(m.now())
	})
	if err == nil {
		time.AfterFunc(wait, m.wake)
	}
	return err
}

// RecordSaid implements Inbox.
func (m *MemoryInbox) RecordSaid(_ context.Context, e Delivery) error {
	return m.change(e, func(i int) { m.queue[i].Said = slices.Clone(e.Said) })
}

// Behind implements Turns.
func (m *MemoryInbox) Behind(_ context.Context, e Delivery, row int64) (behind []Delivery, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.queue {
		if e.OrderingKey != "" && q.OrderingKey == e.OrderingKey && q.Row > max(e.Row, row) {
			behind = append(behind, q.Delivery)
		}
	}
	return behind, nil
}

// Came implements Turns. It knows the last 1,000.
func (m *MemoryInbox) Came(_ context.Context, prefix, from string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.stops, func(key string) bool {
		return strings.HasPrefix(key, prefix) && key > prefix+from
	}), nil
}

// RecordStream implements Turns.
func (m *MemoryInbox) RecordStream(_ context.Context, e Delivery, state []byte) error {
	return m.change(e, func(i int) { m.queue[i].stream = slices.Clone(state) })
}

// StreamState implements Turns.
func (m *MemoryInbox) StreamState(_ context.Context, e Delivery) (state []byte, err error) {
	err = m.change(e, func(i int) { state = m.queue[i].stream })
	return state, err
}

// Count implements Inbox.
func (m *MemoryInbox) Count(context.Context) (InboxCount, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := InboxCount{Dead: m.dead}
	now := m.now()
	for _, e := range m.queue {
		switch {
		case e.held:
			count.Held++
			older(&count.OldestHeld, e.Received)
		case e.at.After(now):
			count.Waiting++
			older(&count.OldestWaiting, e.Received)
		default:
			count.Ready++
			older(&count.OldestReady, e.Received)
		}
		older(&count.Oldest, e.Received)
	}
	return count, nil
}

// older makes oldest at, if that is earlier or oldest is none.
func older(oldest *time.Time, at time.Time) {
	if oldest.IsZero() || at.Before(*oldest) {
		*oldest = at
	}
}
