package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchboard/slacksim"
	"switchboard/storage"
	"switchboard/storage/storagetest"
)

// A backup of a running SQLite is restored: what it holds works, and /readyz and /metrics say so.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	before := w.connections()[0]
	file := filepath.Join(t.TempDir(), "backup.db")
	out, errs, code := w.command("backup", file, "--json")
	var said struct{ File, Key, Journal string }
	if err := json.Unmarshal([]byte(out), &said); err != nil || code != 0 || said.File != file || said.Key != "ENCRYPTION_KEYS" {
		t.Fatalf("exit %d %s%s %v", code, out, errs, err)
	}
	if _, errs, code := w.command("backup", file); code != 1 || !strings.Contains(errs, "replaces none") {
		t.Errorf("into the same file: exit %d %s", code, errs)
	}
	w.stop()

	path := strings.TrimPrefix(w.database, "sqlite:")
	for _, old := range []string{path, path + "-wal", path + "-shm"} {
		_ = os.Remove(old)
	}
	content, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := w.startOne(nil)
	if a := r.readyz("?verbose"); a.status != http.StatusOK {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
	w.quick("after the restore", slacksim.AcmeAdmin, "/connection status", "Working")
	if n, there := w.metrics(r)["switchboard_journal_restored_total"]; n != 0 || !there {
		t.Errorf("%v pairs were restored from the journal; nothing was renewed since", n)
	}
	w.waitRow("the connection", func(r record) bool { return r.ID == before.ID && r.State == "active" })
}

// PostgreSQL has better means, and the answer names them.
func TestBackupOfPostgres(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.db")
	env := over(good, map[string]string{"DATABASE_URL": "postgres://u:hush@127.0.0.1:1/x", "ENCRYPTION_KEYS": storage.NewKey()})
	if _, errs, code := try(env, "backup", file); code != 2 || !strings.Contains(errs, "pg_dump") || strings.Contains(errs, "hush") {
		t.Errorf("exit %d %s", code, errs)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it wrote a file")
	}
}
