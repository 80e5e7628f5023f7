package db_test

import (
	"fmt"
	"testing"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Replicas behind a pooler migrate together, accept events and change connections.
func TestBehindAPooler(t *testing.T) {
	t.Parallel()
	address := storagetest.Postgres(t)
	through := storagetest.Pooled(t, address)
	keys := storetest.Ring(t, seal.NewKey())
	replicas := []*storage.DB{storetest.OpenWith(t, through, keys), storetest.OpenWith(t, through, keys)}
	storagetest.Together(len(replicas), func(i int) {
		_, err := replicas[i].Migrate(t.Context())
		storetest.OK(t, err)
	})
	var inboxes []*inbox.Inbox
	for _, db := range replicas {
		in, err := db.Inbox(t.Context(), inbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		in.Start()
		t.Cleanup(in.Close)
		inboxes = append(inboxes, in)
		storetest.OK(t, db.Ready(t.Context()))
	}
	storagetest.Together(storetest.Callers, func(i int) {
		for n := range 5 {
			e := storetest.Event(fmt.Sprintf("Ev%d-%d", i, n), "T1")
			_, err := inboxes[i%2].Add(t.Context(), &e, false)
			storetest.OK(t, err)
			_, _, err = replicas[i%2].Put(t.Context(), storetest.Full(storetest.Key("A1", "", fmt.Sprint("T", i))))
			storetest.OK(t, err)
		}
	})
	direct := storetest.Fixture{Raw: storetest.RawHandle(t, address)}
	if n := direct.CountOf(t, "SELECT count(*) FROM inbox"); n != 5*storetest.Callers {
		t.Errorf("%d of %d events", n, 5*storetest.Callers)
	}
}
