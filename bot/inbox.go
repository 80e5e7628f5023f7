package bot

// Between Slack's delivery and the handler stands the inbox: what it has accepted will be worked, and is accepted once.

import (
	"context"
	"errors"
	"sync"
	"time"

	"switchboard/install"
)

// Event is one delivery that was accepted.
type Event struct {
	ID        string      // Slack's event_id; the inbox accepts each once
	Type      string      // of the inner event: app_mention, message, …
	Key       install.Key // whose connection it is for
	TeamID    string      // the workspace it happened in; with an organisation's connection this is not in Key
	BotUserID string      // our own user there, when Slack said so
	At        time.Time   // event_time, whole seconds
	Body      []byte      // the envelope as it came
	Attempt   int         // 1 for the first
}

// ErrInboxFull says that the inbox cannot take more now; Slack will send the event again.
var ErrInboxFull = errors.New("inbox is full")

// Inbox keeps accepted events until they are worked. It may be used from any number of goroutines.
type Inbox interface {
	// Add accepts e, unless it was accepted before (fresh is false then). Once it returned without an error the event may
	// be acknowledged. It blocks until the event is kept or ctx ended.
	Add(ctx context.Context, e Event) (fresh bool, err error)
	// Next waits for an event that is due and hands it to this caller alone. After ctx ended it still hands out what was
	// accepted and is due, then returns ctx's error.
	Next(ctx context.Context) (Event, error)
	// Done says that e was worked and must not come again.
	Done(ctx context.Context, e Event) error
	// Retry says that e failed and shall come again at the given time, with Attempt one higher.
	Retry(ctx context.Context, e Event, at time.Time) error
	// Bury says that e failed for good.
	Bury(ctx context.Context, e Event, cause error) error
}

const (
	memoryQueue = 10_000         // events of some 1.5 KB
	memoryOfIDs = 26 * time.Hour // Slack's hourly retries go on for 24 h
	maxIDs      = 200_000        // some 20 MB; older ones are forgotten first
)

// MemoryInbox keeps events in this process: what is accepted, or waits for another try, is lost when the process is
// killed. Duplicates are known for 26 hours or 200,000 events.
type MemoryInbox struct {
	queue chan Event
	mu    sync.Mutex
	ids   map[string]time.Time
	order []string // ids, oldest first
}

// NewMemoryInbox returns an empty inbox.
func NewMemoryInbox() *MemoryInbox {
	return &MemoryInbox{queue: make(chan Event, memoryQueue), ids: map[string]time.Time{}}
}

// Add implements Inbox. It never blocks: a full queue is ErrInboxFull.
func (m *MemoryInbox) Add(_ context.Context, e Event) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(m.order) > 0 && (len(m.order) > maxIDs || now.Sub(m.ids[m.order[0]]) > memoryOfIDs) {
		delete(m.ids, m.order[0])
		m.order = m.order[1:]
	}
	if _, known := m.ids[e.ID]; known {
		return false, nil
	}
	e.Attempt = 1
	select {
	case m.queue <- e:
	default:
		return false, ErrInboxFull
	}
	m.ids[e.ID] = now
	m.order = append(m.order, e.ID)
	return true, nil
}

// Next implements Inbox.
func (m *MemoryInbox) Next(ctx context.Context) (Event, error) {
	select {
	case e := <-m.queue:
		return e, nil
	default:
	}
	select {
	case e := <-m.queue:
		return e, nil
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// Done implements Inbox.
func (m *MemoryInbox) Done(context.Context, Event) error { return nil }

// Bury implements Inbox: the memory inbox keeps nothing that failed.
func (m *MemoryInbox) Bury(context.Context, Event, error) error { return nil }

// Retry implements Inbox. Retries that wait when the process stops are lost.
func (m *MemoryInbox) Retry(_ context.Context, e Event, at time.Time) error {
	e.Attempt++
	time.AfterFunc(time.Until(at), func() {
		select {
		case m.queue <- e:
		default:
			again := e
			again.Attempt-- // a full queue is no attempt
			_ = m.Retry(context.Background(), again, time.Now().Add(time.Second))
		}
	})
	return nil
}
