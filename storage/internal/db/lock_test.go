package db_test

import (
	"errors"
	"os"
	process "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Of two that would work one SQLite file the second is refused, by whatever name it knows the file, and until the first
// has closed it.
func TestOneProcessWorksAFile(t *testing.T) {
	address := storagetest.SQLite(t)
	first, second := storetest.OpenWithout(t, address), storetest.OpenWithout(t, address)
	_, err := first.Migrate(t.Context())
	storetest.OK(t, err)
	storetest.OK(t, first.Exclusive())
	storetest.OK(t, first.Exclusive()) // it has it already

	link := filepath.Join(t.TempDir(), "link.db")
	storetest.OK(t, os.Symlink(strings.TrimPrefix(address, "sqlite:"), link))
	for name, db := range map[string]*storage.DB{"the same name": second,
		"a link": storetest.OpenWithout(t, "sqlite:"+link)} {
		if err := db.Exclusive(); !errors.Is(err, storage.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
		for _, alone := range []bool{true, false} {
			if _, err := db.Inbox(t.Context(), inbox.Config{Alone: alone}); !errors.Is(err, storage.ErrInUse) {
				t.Errorf("%s, an inbox, alone %t: %v", name, alone, err)
			}
		}
	}
	storetest.OK(t, second.CheckSchema(t.Context())) // reading needs no lock

	storetest.OK(t, first.Close())
	storetest.OK(t, second.Exclusive())
}

// Inboxes that say that there are others run side by side, and keep out one that wants to be alone.
func TestInboxesShareAFile(t *testing.T) {
	address := storagetest.SQLite(t)
	one, other := storetest.OpenWithout(t, address), storetest.OpenWithout(t, address)
	_, err := one.Migrate(t.Context())
	storetest.OK(t, err)
	a, err := one.Inbox(t.Context(), inbox.Config{})
	storetest.OK(t, err)
	a.Start()
	b, err := other.Inbox(t.Context(), inbox.Config{})
	storetest.OK(t, err)
	b.Start()
	if _, err := other.Inbox(t.Context(), inbox.Config{Alone: true}); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("alone beside another: %v", err)
	}
	b.Close()
	if err := other.Exclusive(); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("alone beside the one that is left: %v", err)
	}
	a.Close()
	storetest.OK(t, other.Exclusive())
}

// A child that was started a moment ago may still have all files of this process: that keeps nothing locked.
func TestALockEndsWithItsOwner(t *testing.T) {
	address := storagetest.SQLite(t)
	first, second := storetest.OpenWithout(t, address), storetest.OpenWithout(t, address)
	_, err := first.Migrate(t.Context())
	storetest.OK(t, err)
	storetest.OK(t, first.Exclusive())
	child := process.Command("cat")
	child.ExtraFiles = []*os.File{first.LockFile()}
	hold, err := child.StdinPipe()
	storetest.OK(t, err)
	storetest.OK(t, child.Start())
	defer func() { storetest.OK(t, errors.Join(hold.Close(), child.Wait())) }()

	storetest.OK(t, first.Close())
	storetest.OK(t, second.Exclusive())
}
