package storage_test

import (
	"errors"
	"os"
	process "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"switchboard/storage"
	"switchboard/storage/storagetest"
)

// openWithout opens a database without keys, as often as a test wants to close it.
func openWithout(t *testing.T, address string) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), address, nil)
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Of two that would work one SQLite file the second is refused, by whatever name it knows the file, and until the first has closed it.
func TestOneProcessWorksAFile(t *testing.T) {
	address := storagetest.SQLite(t)
	first, second := openWithout(t, address), openWithout(t, address)
	_, err := first.Migrate(t.Context())
	ok(t, err)
	ok(t, first.Exclusive())
	ok(t, first.Exclusive()) // it has it already

	link := filepath.Join(t.TempDir(), "link.db")
	ok(t, os.Symlink(strings.TrimPrefix(address, "sqlite:"), link))
	for name, db := range map[string]*storage.DB{"the same name": second, "a link": openWithout(t, "sqlite:"+link)} {
		if err := db.Exclusive(); !errors.Is(err, storage.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
		for _, alone := range []bool{true, false} {
			if _, err := db.Inbox(t.Context(), storage.InboxConfig{Alone: alone}); !errors.Is(err, storage.ErrInUse) {
				t.Errorf("%s, an inbox, alone %t: %v", name, alone, err)
			}
		}
	}
	ok(t, second.CheckSchema(t.Context())) // reading needs no lock

	ok(t, first.Close())
	ok(t, second.Exclusive())
}

// Inboxes that say that there are others run side by side, and keep out one that wants to be alone.
func TestInboxesShareAFile(t *testing.T) {
	address := storagetest.SQLite(t)
	one, other := openWithout(t, address), openWithout(t, address)
	_, err := one.Migrate(t.Context())
	ok(t, err)
	a, err := one.Inbox(t.Context(), storage.InboxConfig{})
	ok(t, err)
	b, err := other.Inbox(t.Context(), storage.InboxConfig{})
	ok(t, err)
	if _, err := other.Inbox(t.Context(), storage.InboxConfig{Alone: true}); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("alone beside another: %v", err)
	}
	b.Close()
	if err := other.Exclusive(); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("alone beside the one that is left: %v", err)
	}
	a.Close()
	ok(t, other.Exclusive())
}

// A child that was started a moment ago may still have all files of this process: that keeps nothing locked.
func TestALockEndsWithItsOwner(t *testing.T) {
	address := storagetest.SQLite(t)
	first, second := openWithout(t, address), openWithout(t, address)
	_, err := first.Migrate(t.Context())
	ok(t, err)
	ok(t, first.Exclusive())
	child := process.Command("cat")
	child.ExtraFiles = []*os.File{first.LockFile()}
	hold, err := child.StdinPipe()
	ok(t, err)
	ok(t, child.Start())
	defer func() { ok(t, errors.Join(hold.Close(), child.Wait())) }()

	ok(t, first.Close())
	ok(t, second.Exclusive())
}
