package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchboard/storage/storagetest"
)

// A journal that was taken away is seen by whoever asks whether the program is ready, and is made anew.
func TestLostJournalIsNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	folder := filepath.Join(w.dataDir, "journal")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(w.replicas[0].admin.String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(said), "journal") {
		t.Errorf("/readyz %d %s", resp.StatusCode, said)
	}
	if _, err := os.Stat(filepath.Join(folder, "journal.db")); err != nil {
		t.Errorf("it was not made anew: %v", err)
	}
}
