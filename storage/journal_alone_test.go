package storage_test

import (
	"errors"
	"testing"

	"switchboard/storage"
	"switchboard/storage/storagetest"
)

// Of two that serve with one folder the second is told, until the first has closed it; commands beside them are not in
// the way.
func TestJournalIsShared(t *testing.T) {
	for _, address := range []string{storagetest.SQLite(t), storagetest.Postgres(t)} {
		folder := t.TempDir()
		serves := func() *storage.DB {
			db := openWithout(t, address)
			ok(t, db.UseJournal(folder))
			return db
		}
		first, second, command := serves(), serves(), serves()
		ok(t, first.ClaimJournal())
		ok(t, first.ClaimJournal()) // it has it already
		for range 2 {
			if err := second.ClaimJournal(); !errors.Is(err, storage.ErrJournalShared) {
				t.Errorf("the second one: %v", err)
			}
		}
		ok(t, command.JournalReady(t.Context()))
		ok(t, second.JournalReady(t.Context())) // it is told, and not kept from it

		ok(t, first.Close())
		ok(t, second.ClaimJournal())
		if err := command.ClaimJournal(); !errors.Is(err, storage.ErrJournalShared) {
			t.Errorf("after the first: %v", err)
		}
		if err := openWithout(t, address).ClaimJournal(); !errors.Is(err, storage.ErrNoJournal) {
			t.Errorf("without a journal: %v", err)
		}
	}
}
