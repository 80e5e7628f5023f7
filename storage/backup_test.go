package storage_test

// A backup is whole, whatever is written meanwhile, and a restore has everything that was committed before it.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestBackupWhileItIsWritten(t *testing.T) {
	t.Parallel()
	f := storetest.Open(t, storagetest.SQLite(t))
	in, err := f.Inbox(t.Context(), inbox.Config{Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	in.Start()
	t.Cleanup(in.Close)
	add := func(id string) {
		e := storetest.Event(id, "T1")
		_, err := in.Add(t.Context(), &e, false)
		storetest.OK(t, err)
	}
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
	for i := range 100 { // they lie in the -wal file
		add(fmt.Sprint("Before", i))
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				add(fmt.Sprint("During", i))
			}
		}
	})

	folder := t.TempDir()
	file := filepath.Join(folder, "backup.db")
	other := storetest.OpenWith(t, f.URL, nil) // as the command does, beside serve
	size, err := other.Backup(t.Context(), file)
	close(stop)
	writing.Wait()
	storetest.OK(t, err)
	info, err := os.Stat(file)
	if err != nil || info.Size() != size || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %d bytes were reported, %v", info, size, err)
	}
	if _, err := other.Backup(t.Context(), file); !errors.Is(err, storage.ErrBackupFile) {
		t.Errorf("a second backup into the same file: %v", err)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
		t.Errorf("it left %v behind, %v", files, err)
	}

	restored := storetest.Open(t, "sqlite:"+file)
	storetest.OK(t, restored.Ready(t.Context()))
	if n := restored.CountOf(t, "SELECT count(*) FROM connections WHERE id = '"+c.ID+"'"); n != 1 {
		t.Errorf("%d connections", n)
	}
	if n := restored.CountOf(t, "SELECT count(*) FROM inbox WHERE event_id LIKE 'Before%'"); n != 100 {
		t.Errorf("%d of 100 events that were acknowledged before", n)
	}
	var verdict string
	if err := restored.Raw.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil ||
		!strings.EqualFold(verdict, "ok") {
		t.Errorf("integrity: %s, %v", verdict, err)
	}
}
