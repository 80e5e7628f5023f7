package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"switchboard/bot"
	"switchboard/install/connection"
	"switchboard/storage/seal"
	"switchboard/storage/storagetest"
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

// While strangers' writes queue up for SQLite's writer, an event is the next one to be written, whoever came first.
func TestEventsGoBeforeOtherWrites(t *testing.T) {
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), storagetest.SQLite(t), keys)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, err := db.Inbox(t.Context(), InboxConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()

	var before atomic.Int32 // strangers' writes that went before the event
	var writers sync.WaitGroup
	begun, release := make(chan struct{}), make(chan struct{})
	writers.Go(func() {
		_ = db.transact(t.Context(), func(*gorm.DB) error {
			close(begun)
			<-release
			return nil
		})
	})
	<-begun
	const strangers = 32
	for range strangers {
		writers.Go(func() {
			err := db.transact(t.Context(), func(tx *gorm.DB) error {
				var there int
				err := tx.Raw("SELECT count(*) FROM inbox").Scan(&there).Error
				if there == 0 {
					before.Add(1)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	db.gate.queued(t, strangers)
	writers.Go(func() {
		e := bot.Event{ID: "Ev1", Kind: "events_api", Key: connection.Key{AppID: "A1", TeamID: "T1"}, Body: []byte("{}"), Received: time.Now()}
		if fresh, err := in.Add(t.Context(), &e, false); !fresh || err != nil {
			t.Error(fresh, err)
		}
	})
	db.gate.queued(t, strangers+1)
	close(release)
	writers.Wait()
	if n := before.Load(); n > 0 {
		t.Errorf("the event was written behind %d others that can wait", n)
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
	queue(working, "w1")
	for i := range mostPassed + 2 {
		queue(acknowledging, fmt.Sprint("a", i+1))
	}
	gone, leave := context.WithCancel(t.Context())
	all.Go(func() {
		if err := g.enter(gone, acknowledging); !errors.Is(err, context.Canceled) {
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
