package journal

// What is kept must be on the disk when that is said, which takes a power cut to see. So the database is asked how it
// writes, and the sync of the folder is counted.

import (
	"path/filepath"
	"testing"

	"github.com/switchboard-go/switchboard/storage/internal/db"
)

func TestJournalIsSynced(t *testing.T) {
	t.Parallel()
	j := New(nil)
	defer func() { _ = j.Close() }()
	folder := filepath.Join(t.TempDir(), "data", "journal")
	synced := map[string]int{}
	j.syncDir = func(folder string) error {
		synced[folder]++
		return db.SyncFolder(folder)
	}
	if err := j.UseJournal(folder); err != nil {
		t.Fatal(err)
	}
	if synced[folder] != 1 || synced[filepath.Dir(folder)] != 1 {
		t.Errorf("a new file in a new folder: synced %v", synced)
	}
	var synchronous, mode string
	for pragma, to := range map[string]*string{"synchronous": &synchronous, "journal_mode": &mode} {
		if err := j.pool.QueryRow("PRAGMA " + pragma).Scan(to); err != nil {
			t.Fatal(err)
		}
	}
	// 2 is FULL. https://www.sqlite.org/pragma.html#pragma_synchronous
	if synchronous != "2" || mode != "wal" {
		t.Errorf("synchronous is %s, journal_mode %s", synchronous, mode)
	}
}
