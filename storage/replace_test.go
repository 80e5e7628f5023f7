package storage

// An entry that its owner is done with must not come back because it was being sealed anew at that moment. The test is inside
// the package because the moment is some microseconds long and only replaceEntry itself is quick enough to hit it.

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"switchboard/storage/storagetest"
)

func TestReplacedEntryStaysGone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db, err := Open(t.Context(), storagetest.SQLite(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.UseJournal(folder); err != nil {
		t.Fatal(err)
	}
	old, content := []byte("old"), []byte("new")
	keep := func() (name, path string) {
		t.Helper()
		name = newEntryName()
		path = filepath.Join(folder, name)
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		return name, path
	}
	empty := func(what string) {
		t.Helper()
		if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
			t.Fatalf("%s: left are %v, %v", what, left, err)
		}
	}

	// How long the race is, so that the other starts at any point of it.
	name, path := keep()
	began := time.Now()
	if replaced, err := db.replaceEntry(name, old, content); !replaced || err != nil {
		t.Fatalf("replaced %v, error %v", replaced, err)
	}
	long := time.Since(began)
	if text, err := os.ReadFile(path); err != nil || string(text) != "new" {
		t.Errorf("replaced by %q, %v", text, err)
	}
	if replaced, err := db.replaceEntry(name, old, content); replaced || err != nil {
		t.Errorf("what somebody else replaced: %v, %v", replaced, err)
	}
	if err := db.Unjournal(name); err != nil {
		t.Error(err)
	}
	empty("alone")
	if replaced, err := db.replaceEntry(name, old, content); replaced || err != nil {
		t.Errorf("what is gone: %v, %v", replaced, err)
	}
	empty("gone")

	// Another process is at it: its draft is the lock. When the entry goes, so does the draft.
	name, path = keep()
	if err := writeDraft(path+draftSuffix, content); err != nil {
		t.Fatal(err)
	}
	if replaced, err := db.replaceEntry(name, old, content); replaced || err != nil {
		t.Errorf("locked: %v, %v", replaced, err)
	}
	if err := db.Unjournal(name); err != nil {
		t.Error(err)
	}
	if err := os.Rename(path+draftSuffix, path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the other process put the entry back: %v", err)
	}
	empty("locked")

	for range 700 {
		name, _ := keep()
		done := make(chan error)
		go func() {
			_, err := db.replaceEntry(name, old, content)
			done <- err
		}()
		for until, began := long/2+rand.N(long), time.Now(); time.Since(began) < until; {
		}
		if err := errors.Join(db.Unjournal(name), <-done); err != nil {
			t.Fatal(err)
		}
		empty("race")
	}
}
