package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A backup of a running SQLite is restored beside the journal. Since it was made one workspace was renewed, one
// consented again, and one was connected. All have Slack's newest pair again, switchboard_journal_restored_total counts
// the three, and the one that the backup has as it is is left alone.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	// Of two consents seconds apart the clocks can't tell which counts: the refresh token in the row is tried.
	w.allowed = append(w.allowed, slacksim.RuleRefreshReused)
	w.rotate(0)
	w.start(1, nil)
	offices := w.offices(3)
	renewed, again, same := offices[0], offices[1], offices[2]
	w.settle()
	file := filepath.Join(t.TempDir(), "backup.db")
	out, errs, code := w.command("backup", file, "--json")
	var said struct{ File, Key, Journal string }
	if err := json.Unmarshal([]byte(out), &said); err != nil || code != 0 || said.File != file ||
		said.Key != "ENCRYPTION_KEYS" {
		t.Fatalf("exit %d %s%s %v", code, out, errs, err)
	}
	if _, errs, code := w.command("backup", file); code != 1 || !strings.Contains(errs, "replaces none") {
		t.Errorf("into the same file: exit %d %s", code, errs)
	}

	w.due([]office{renewed}, time.Now(), 0)
	w.wait("a renewal", func() bool { return len(w.refreshes()) == 1 })
	w.browser().install(again.user)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
	w.replaceBy(file)
	r := w.startOne(nil)
	if a := r.readyz("?verbose"); a.status != http.StatusOK {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
	const restored = "switchboard_journal_restored_total"
	w.expect("three pairs from the journal", patience, func() bool { return w.metrics(r)[restored] == 3 })
	db := w.store()
	for _, team := range []string{renewed.team, again.team, same.team, slacksim.Acme} {
		w.checkNewest(w.row(db, team))
	}
	if calls := w.refreshes(); len(calls) != 2 {
		t.Errorf("%d refresh tokens were presented, not those of the renewal and of the consent that was outdated",
			len(calls))
	}
	w.quick("after the restore", slacksim.AcmeAdmin, "/connection status", "Working")
	if n := w.metrics(r)[restored]; n != 3 {
		t.Errorf("%v pairs were restored from the journal, not 3", n)
	}
}

// replaceBy puts a backup in the place of the database, as docs/backup.md says.
func (w *world) replaceBy(backup string) {
	w.t.Helper()
	path := strings.TrimPrefix(w.database, "sqlite:")
	for _, old := range []string{path, path + "-wal", path + "-shm"} {
		_ = os.Remove(old)
	}
	content, err := os.ReadFile(backup)
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// PostgreSQL has better means, and the answer names them.
func TestBackupOfPostgres(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "backup.db")
	env := over(good, map[string]string{"DATABASE_URL": "postgres://u:hush@127.0.0.1:1/x",
		"ENCRYPTION_KEYS": seal.NewKey()})
	if _, errs, code := try(env, "backup", file); code != 2 || !strings.Contains(errs, "pg_dump") ||
		strings.Contains(errs, "hush") {
		t.Errorf("exit %d %s", code, errs)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it wrote a file")
	}
}
