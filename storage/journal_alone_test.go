package storage_test

import (
	"errors"
	"testing"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/journal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Of two that serve with one folder the second is told, until the first has closed it; commands beside them are not in
// the way.
func TestJournalIsShared(t *testing.T) {
	for _, address := range []string{storagetest.SQLite(t), storagetest.Postgres(t)} {
		folder := t.TempDir()
		serves := func() *storage.DB {
			db := storetest.OpenWithout(t, address)
			storetest.OK(t, db.UseJournal(folder))
			return db
		}
		first, second, command := serves(), serves(), serves()
		storetest.OK(t, first.ClaimJournal())
		storetest.OK(t, first.ClaimJournal()) // it has it already
		for range 2 {
			if err := second.ClaimJournal(); !errors.Is(err, journal.ErrShared) {
				t.Errorf("the second one: %v", err)
			}
		}
		storetest.OK(t, command.JournalReady(t.Context()))
		storetest.OK(t, second.JournalReady(t.Context())) // it is told, and not kept from it

		storetest.OK(t, first.Close())
		storetest.OK(t, second.ClaimJournal())
		if err := command.ClaimJournal(); !errors.Is(err, journal.ErrShared) {
			t.Errorf("after the first: %v", err)
		}
		if err := storetest.OpenWithout(t, address).ClaimJournal(); !errors.Is(err, journal.ErrNone) {
			t.Errorf("without a journal: %v", err)
		}
	}
}
