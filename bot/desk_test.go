package bot

// Leases that end while handlers run, and how fast a backlog is worked.

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"switchboard/install"
)

func botWith(t *testing.T, inbox Inbox, h Handler) *Bot {
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Install: in, Inbox: inbox, SigningSecrets: []install.Secret{"s"}, Handlers: []Handler{h}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func gone(id string, attempt int) Event {
	return Event{ID: id, Kind: kindEvents, Type: "app_uninstalled", Row: 1, Attempt: attempt,
		Body: []byte(`{"type":"event_callback","event_id":"Ev1","event":{"type":"app_uninstalled"}}`)}
}

// scripted hands out the same event twice, as after a time in which the database was away.
type scripted struct {
	*MemoryInbox
	start time.Time
	given atomic.Int32
	away  bool // for good
}

func (s *scripted) Claim(context.Context, int, []install.Key) ([]Event, error) {
	since := time.Since(s.start)
	switch {
	case s.given.CompareAndSwap(0, 1):
		return []Event{gone("Ev1", 1)}, nil
	case s.away:
		return nil, errors.New("away")
	case since > 35*time.Second && s.given.CompareAndSwap(1, 2):
		return []Event{gone("Ev1", 2)}, nil
	}
	return nil, nil
}

func (s *scripted) Hold(_ context.Context, held []Event) (lost []Event, err error) {
	if s.away || time.Since(s.start) < 35*time.Second {
		return nil, errors.New("away")
	}
	for _, e := range held {
		if e.Attempt < int(s.given.Load()) {
			lost = append(lost, e)
		}
	}
	return lost, nil
}

func (s *scripted) Done(_ context.Context, e Event) error { return nil }

// The database was away for longer than a lease; back again, this process is handed its own event: the first handler is
// told that it lost it.
func TestHandedItsOwnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends [3]atomic.Int64
		start := time.Now()
		h := OnEvent("app_uninstalled", func(ctx context.Context, turn *Turn, _ *struct{}) error {
			<-ctx.Done()
			ends[turn.Attempt].Store(int64(time.Since(start)))
			return context.Cause(ctx)
		}).Always().Within(10 * time.Minute)
		b := botWith(t, &scripted{MemoryInbox: NewMemoryInbox(), start: start}, h)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		if ends[1].Load() == 0 {
			t.Error("85 s after the event was handed to the second handler the first one still runs")
		}
		cancel()
		<-ended
		time.Sleep(10 * time.Minute)
	})
}

// The database is away from this replica for good: its handlers end with their leases, because others are handed their events.
func TestHandlerEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var end atomic.Int64
		start := time.Now()
		h := OnEvent("app_uninstalled", func(ctx context.Context, turn *Turn, _ *struct{}) error {
			<-ctx.Done()
			end.Store(int64(time.Since(start)))
			return context.Cause(ctx)
		}).Always().Within(10 * time.Minute)
		b := botWith(t, &scripted{MemoryInbox: NewMemoryInbox(), start: start, away: true}, h)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(5 * time.Minute)
		if end.Load() == 0 {
			t.Errorf("5 min without the database, a lease is %v: the handler still runs", DefaultLease)
		}
		cancel()
		<-ended
		time.Sleep(10 * time.Minute)
	})
}

// One workspace, a backlog, and nothing else: it is worked as fast as its places allow, and not from tick to tick.
func TestBacklogOfOneWorkspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int32
		h := OnEvent("app_uninstalled", func(context.Context, *Turn, *struct{}) error {
			time.Sleep(10 * time.Millisecond)
			done.Add(1)
			return nil
		}).Always()
		m := NewMemoryInbox()
		const n = 2000
		for i := range n {
			e := gone(fmt.Sprint("Ev", i), 0)
			if _, err := m.Add(context.Background(), &e, false); err != nil {
				t.Fatal(err)
			}
		}
		b := botWith(t, m, h)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		start := time.Now()
		go func() { ended <- b.Run(ctx) }()
		for done.Load() < n {
			time.Sleep(time.Millisecond)
		}
		took := time.Since(start)
		cancel()
		<-ended
		if best := n / 64 * 10 * time.Millisecond; took > 4*best {
			t.Errorf("%d events of 10 ms took %v; with 64 places it could be %v", n, took, best)
		}
	})
}
