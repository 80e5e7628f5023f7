package db_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// While strangers' writes queue up for SQLite's writer, an event is the next one to be written, whoever came first.
func TestEventsGoBeforeOtherWrites(t *testing.T) {
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(t.Context(), storagetest.SQLite(t), keys)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, err := db.Inbox(t.Context(), inbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	in.Start()
	defer in.Close()

	var before atomic.Int32 // strangers' writes that went before the event
	var writers sync.WaitGroup
	begun, release := make(chan struct{}), make(chan struct{})
	writers.Go(func() {
		_ = db.Transact(t.Context(), func(*gorm.DB) error {
			close(begun)
			<-release
			return nil
		})
	})
	<-begun
	const strangers = 32
	for range strangers {
		writers.Go(func() {
			err := db.Transact(t.Context(), func(tx *gorm.DB) error {
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
	db.Queued(t, strangers)
	writers.Go(func() {
		e := bot.Delivery{ID: "Ev1", Kind: "events_api", Key: connection.Key{AppID: "A1", TeamID: "T1"}, Body: []byte("{}"),
			Received: time.Now()}
		if fresh, err := in.Add(t.Context(), &e, false); !fresh || err != nil {
			t.Error(fresh, err)
		}
	})
	db.Queued(t, strangers+1)
	close(release)
	writers.Wait()
	if n := before.Load(); n > 0 {
		t.Errorf("the event was written behind %d others that can wait", n)
	}
}
