package db_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// What was written last lies beside SQLite's file. A copy of the file alone is not taken for a new database.
func TestCopyOfTheFileAloneIsRefused(t *testing.T) {
	for _, step := range []string{"opened", "with tables and a connection"} {
		t.Run(step, func(t *testing.T) {
			address := storagetest.SQLite(t)
			db := storetest.OpenWith(t, address, storetest.Ring(t, seal.NewKey()))
			if step != "opened" {
				_, err := db.Migrate(t.Context())
				storetest.OK(t, err)
				_, _, err = db.Put(t.Context(), connection.Connection{Key: storetest.Key("A1", "", "T1"), State: connection.Active,
					InstalledAt: time.Now(), AuthorizedAt: time.Now()})
				storetest.OK(t, err)
			}
			content, err := os.ReadFile(strings.TrimPrefix(address, "sqlite:"))
			storetest.OK(t, err)
			copied := filepath.Join(t.TempDir(), "copied.db")
			storetest.OK(t, os.WriteFile(copied, content, 0o600))
			if _, err := storage.Open(t.Context(), "sqlite:"+copied, nil); !errors.Is(err, storage.ErrIncomplete) {
				t.Errorf("a copy of %d bytes: %v", len(content), err)
			}
		})
	}
}

// What was written last isn't thrown away because the rest is missing: SQLite would delete it.
func TestStrayWALIsLeftAlone(t *testing.T) {
	t.Parallel()
	address := storagetest.SQLite(t)
	path := strings.TrimPrefix(address, "sqlite:")
	f := storetest.Open(t, address)
	storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
	wal, err := os.ReadFile(path + "-wal")
	storetest.OK(t, err)

	for name, content := range map[string][]byte{"missing": nil, "empty": {}} {
		other := filepath.Join(t.TempDir(), "other.db")
		storetest.OK(t, os.WriteFile(other+"-wal", wal, 0o600))
		if content != nil {
			storetest.OK(t, os.WriteFile(other, content, 0o600))
		}
		if _, err := storage.Open(t.Context(), "sqlite:"+other, nil); !errors.Is(err, storage.ErrStrayWAL) {
			t.Errorf("the database is %s: %v", name, err)
		}
		if left, err := os.ReadFile(other + "-wal"); err != nil || !bytes.Equal(left, wal) {
			t.Errorf("the database is %s: %d bytes are left of %d, %v", name, len(left), len(wal), err)
		}
		if _, err := os.Stat(other); content == nil && err == nil {
			t.Error("it made a file")
		}
	}
}

// Whatever a first start left behind when it was stopped is no copy: the next one goes on from there.
func TestFirstStartGoesOn(t *testing.T) {
	address := storagetest.SQLite(t)
	path := strings.TrimPrefix(address, "sqlite:")
	storetest.OK(t, os.WriteFile(path, nil, 0o600))
	for _, left := range []string{"an empty file", "one that was opened and closed", "the same again"} {
		db, err := storage.Open(t.Context(), address, nil)
		if err != nil {
			t.Fatalf("%s: %v", left, err)
		}
		storetest.OK(t, db.Close())
	}
	// A process that was killed leaves the other files, too.
	running := storetest.OpenWithout(t, address)
	killed := filepath.Join(t.TempDir(), "killed.db")
	for _, part := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + part)
		storetest.OK(t, err)
		storetest.OK(t, os.WriteFile(killed+part, content, 0o600))
	}
	next, err := storage.Open(t.Context(), "sqlite:"+killed, nil)
	if err != nil {
		t.Fatal("after a kill:", err)
	}
	_, err = next.Migrate(t.Context())
	storetest.OK(t, errors.Join(err, next.Close(), running.Close()))
}

// An empty database beside a journal of tokens is not the one that the journal belongs to.
func TestJournalOfAnotherDatabase(t *testing.T) {
	journal, keys := filepath.Join(t.TempDir(), "journal"), storetest.Ring(t, seal.NewKey())
	first := storetest.OpenWith(t, storagetest.SQLite(t), keys)
	storetest.OK(t, first.UseJournal(journal))
	_, err := first.Migrate(t.Context()) // nothing is in the journal yet
	storetest.OK(t, err)
	_, err = first.Journal(connection.Grant{TokenOwner: connection.TokenOwner{Key: storetest.Key("A1", "", "T1")},
		Token: "xoxe.xoxb-1", Refresh: "xoxe-1"})
	storetest.OK(t, err)
	storetest.OK(t, first.Close())

	other := storetest.OpenWith(t, storagetest.SQLite(t), keys)
	storetest.OK(t, other.UseJournal(journal))
	if _, err := other.Migrate(t.Context()); !errors.Is(err, storage.ErrMissed) {
		t.Errorf("an empty database beside another one's journal: %v", err)
	}
}

// "Saved" means that a power cut doesn't take it back.
func TestSQLiteCommitsAreOnTheDisk(t *testing.T) {
	const full = 2
	for name, got := range storetest.OpenWithout(t, storagetest.SQLite(t)).Synchronous(t) {
		if got != full {
			t.Errorf("PRAGMA synchronous of the %s is %d, want %d (FULL)", name, got, full)
		}
	}
}
