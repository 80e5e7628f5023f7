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

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

func botWith(t *testing.T, inbox Inbox, h Handler) *Bot {
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Install: in, Inbox: inbox, SigningSecrets: []connection.Secret{"s"}, Handlers: []Handler{h}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func gone(id string, attempt int) Delivery {
	return Delivery{ID: id, Kind: transport.KindEvents, Type: "app_uninstalled", Row: 1, Attempt: attempt,
		Body: []byte(`{"type":"event_callback","event_id":"Ev1","event":{"type":"app_uninstalled"}}`)}
}

// scripted hands out the same event twice, as after a time in which the database was away.
type scripted struct {
	*MemoryInbox
	start time.Time
	given atomic.Int32
	away  bool // for good

	outlived atomic.Int32 // said so
}

func (s *scripted) Outlived(_ context.Context, e Delivery) error {
	if s.away || time.Since(s.start) < 35*time.Second {
		return errors.New("away")
	}
	if e.Attempt == 1 {
		s.outlived.Add(1)
	}
	return nil
}

func (s *scripted) Claim(context.Context, int, int, []connection.Key) ([]Delivery, error) {
	since := time.Since(s.start)
	switch {
	case s.given.CompareAndSwap(0, 1):
		return []Delivery{gone("Ev1", 1)}, nil
	case s.away:
		return nil, errors.New("away")
	case since > 35*time.Second && s.given.CompareAndSwap(1, 2):
		return []Delivery{gone("Ev1", 2)}, nil
	}
	return nil, nil
}

func (s *scripted) ExtendLease(_ context.Context, held []Delivery) (lost []Delivery, err error) {
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

func (s *scripted) Done(_ context.Context, e Delivery) error { return nil }

// The database was away for longer than a lease; back again, this process is handed its own event: the first handler is
// told that it lost it.
func TestHandedItsOwnEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ends [3]atomic.Int64
		start := time.Now()
		h := OnEvent("app_uninstalled", func(ctx context.Context, turn *Event[struct{}]) error {
			<-ctx.Done()
			ends[turn.Attempt].Store(int64(time.Since(start)))
			return context.Cause(ctx)
		}, WithoutConnection(), Timeout(10*time.Minute))
		inbox := &scripted{MemoryInbox: NewMemoryInbox(), start: start}
		b := botWith(t, inbox, h)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		if ends[1].Load() == 0 {
			t.Error("85 s after the event was handed to the second handler the first one still runs")
		}
		if n := inbox.outlived.Load(); n != 1 {
			t.Errorf("that this process outlived the first attempt was said %d times: it would count as a death", n)
		}
		cancel()
		<-ended
		time.Sleep(10 * time.Minute)
	})
}

// The database is away from this replica for good: its handlers end with their leases, because others are handed their
// events.
func TestHandlerEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var end atomic.Int64
		start := time.Now()
		h := OnEvent("app_uninstalled", func(ctx context.Context, turn *Event[struct{}]) error {
			<-ctx.Done()
			end.Store(int64(time.Since(start)))
			return context.Cause(ctx)
		}, WithoutConnection(), Timeout(10*time.Minute))
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
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int32
		h := OnEvent("app_uninstalled", func(context.Context, *Event[struct{}]) error {
			time.Sleep(10 * time.Millisecond)
			done.Add(1)
			return nil
		}, WithoutConnection())
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

// haunted has one event that has ended two processes, and otherwise what is added to it.
type haunted struct {
	*MemoryInbox
	suspect  atomic.Bool // it is there
	claimed  chan struct{}
	begun    atomic.Bool
	withMore atomic.Bool // something was handed out while the suspect ran
	working  atomic.Bool
}

func (h *haunted) Suspects() (once, often bool) { return false, h.suspect.Load() }

func (h *haunted) ClaimSuspects(_ context.Context, _ int, often bool) ([]Delivery, error) {
	if !often || !h.suspect.CompareAndSwap(true, false) {
		return nil, nil
	}
	close(h.claimed)
	e := gone("EvSuspect", 3)
	e.Row, e.Deaths = 1000, 2
	return []Delivery{e}, nil
}

func (h *haunted) Begin(_ context.Context, e Delivery) error {
	h.begun.Store(e.ID == "EvSuspect")
	return nil
}

func (h *haunted) Add(ctx context.Context, e *Delivery, take bool) (bool, error) {
	h.withMore.Store(h.withMore.Load() || take && h.working.Load())
	return h.MemoryInbox.Add(ctx, e, take)
}

func (h *haunted) Claim(ctx context.Context, n, timers int, busy []connection.Key) ([]Delivery, error) {
	events, err := h.MemoryInbox.Claim(ctx, n, timers, busy)
	h.withMore.Store(h.withMore.Load() || len(events) > 0 && h.working.Load())
	return events, err
}

// What has ended two processes runs alone: after what runs has ended, and before anything else begins.
func TestSuspectRunsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := &haunted{MemoryInbox: NewMemoryInbox(), claimed: make(chan struct{})}
		others, suspect := make(chan struct{}), make(chan struct{})
		var finished atomic.Int32
		h := OnEvent("app_uninstalled", func(_ context.Context, turn *Event[struct{}]) error {
			switch turn.Attempt {
			case 3:
				inbox.working.Store(true)
				<-suspect
				inbox.working.Store(false)
			default:
				<-others
				finished.Add(1)
			}
			return nil
		}, WithoutConnection())
		b := botWith(t, inbox, h)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		keep := func(id string) {
			e := gone(id, 0)
			if _, err := b.workers.keep(ctx, e, nil); err != nil {
				t.Fatal(err)
			}
		}

		synctest.Wait()
		keep("Ev1")
		inbox.suspect.Store(true)
		time.Sleep(time.Minute)
		if !inbox.suspect.Load() {
			t.Fatal("it was handed out beside another event")
		}
		close(others)
		<-inbox.claimed
		synctest.Wait()
		keep("Ev2")
		time.Sleep(time.Minute)
		if !inbox.begun.Load() || inbox.withMore.Load() || finished.Load() != 1 {
			t.Errorf("begun %v; another one was begun beside it %v; %d others worked", inbox.begun.Load(), inbox.withMore.Load(),
				finished.Load())
		}
		close(suspect)
		time.Sleep(time.Second)
		if finished.Load() != 2 {
			t.Error("its neighbour was not worked after it")
		}
		cancel()
		<-ended
	})
}

// A suspect that hangs, whatever becomes of its context, has ended nothing: the others are worked again after a while.
func TestSuspectThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inbox := &haunted{MemoryInbox: NewMemoryInbox(), claimed: make(chan struct{})}
		inbox.suspect.Store(true)
		worked, ever := make(chan struct{}), make(chan struct{})
		b := botWith(t, inbox, OnEvent("app_uninstalled", func(_ context.Context, turn *Event[struct{}]) error {
			if turn.EventID == "EvSuspect" {
				<-ever
			} else {
				close(worked)
			}
			return nil
		}, WithoutConnection()))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		<-inbox.claimed
		synctest.Wait()
		e := gone("Ev1", 0)
		if _, err := b.workers.keep(ctx, e, nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-worked:
		case <-time.After(alonePatience + time.Minute):
			t.Error("its neighbour was not worked")
		}
		close(ever)
		cancel()
		<-ended
	})
}

// broken is an inbox whose answers are lost when a suspect is to begin, and a moment later.
type broken struct {
	*haunted
	outlived chan Delivery
}

func (b *broken) Begin(context.Context, Delivery) error { return errors.New("away") }

func (b *broken) Retry(context.Context, Delivery, time.Time, bool, string) error {
	return errors.New("away")
}

func (b *broken) Outlived(_ context.Context, e Delivery) error {
	b.outlived <- e
	return nil
}

// What may be begun in the eyes of the inbox, and is not, is no death: three outages would make a dead letter of it.
func TestSuspectThatDidNotBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inbox := &broken{&haunted{MemoryInbox: NewMemoryInbox(), claimed: make(chan struct{})}, make(chan Delivery, 1)}
		inbox.suspect.Store(true)
		b := botWith(t, inbox, onGone(func() error { return nil }))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		select {
		case e := <-inbox.outlived:
			if e.ID != "EvSuspect" {
				t.Errorf("%s was outlived", e.ID)
			}
		case <-time.After(time.Minute):
			t.Error("the inbox never hears that this process lives")
		}
		cancel()
		<-ended
	})
}

// A suspect takes a place whether there is one or not; that leaves none for others, and not fewer.
func TestNoPlacesAreReservedBehindSuspects(t *testing.T) {
	d := newWorkerPool(1)
	d.begins()
	k := connection.Key{TeamID: "T1"}
	if !d.acquire(k) {
		t.Fatal("no place")
	}
	d.occupy(&Delivery{Key: k})
	if n, _, _ := d.reserve(5); n != 0 || d.taken != 2 {
		t.Errorf("%d places are reserved, %d taken", n, d.taken)
	}
}
