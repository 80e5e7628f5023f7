package cli

// What happens between the call and "serving": a stop in that time is no failure, and a database that is away is waited
// for.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// stoppable are settings with which serve gets as far as its database.
func stoppable(t *testing.T, database string) map[string]string {
	t.Helper()
	return over(good, map[string]string{"DATA_DIR": t.TempDir(), "DATABASE_URL": database,
		"ENCRYPTION_KEYS": seal.NewKey(), "LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0"})
}

// A stop is answered with exit code 0, whatever was under way: nothing yet, tables being made, a database that is
// waited for.
func TestStopDuringStartIsNoFailure(t *testing.T) {
	t.Parallel()
	databases := map[string]func(t *testing.T) string{
		"sqlite":     func(t *testing.T) string { return storagetest.SQLite(t) },
		"postgres":   func(t *testing.T) string { return migrated(t, storagetest.Postgres(t)) },
		"no answer":  func(*testing.T) string { return "postgres://u:hush@127.0.0.1:1/x" },
		"key is new": func(*testing.T) string { return "" },
	}
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range storagetest.Rounds(10, 60) {
				settings := stoppable(t, fresh(t))
				if name == "key is new" {
					settings["ENCRYPTION_KEYS"] = ""
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*7*time.Millisecond)
				_, said, code := tryUntil(ctx, settings, "serve")
				cancel()
				if code != 0 {
					t.Errorf("stopped after %d ms: exit %d: %s", i*7, code, said)
				}
			}
		})
	}
	t.Run("demo", func(t *testing.T) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if _, said, code := tryUntil(ended, nil, "demo", "--addr", "127.0.0.1:0"); code != 0 {
			t.Errorf("exit %d: %s", code, said)
		}
	})
}

// A start that was stopped anywhere leaves something with which the next one begins.
func TestStartAfterAStoppedStart(t *testing.T) {
	t.Parallel()
	settings := stoppable(t, storagetest.SQLite(t))
	for i := range 10 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*5*time.Millisecond)
		if _, said, code := tryUntil(ctx, settings, "serve"); code != 0 {
			t.Errorf("start %d: exit %d: %s", i, code, said)
		}
		cancel()
	}
	if _, said, code := try(settings, "migrate", "up"); code != 0 {
		t.Errorf("exit %d: %s", code, said)
	}
}

// A PostgreSQL that is started after us, or fails over, is waited for. The operators' door says so meanwhile.
func TestServeWaitsForItsDatabase(t *testing.T) {
	t.Parallel()
	address := storagetest.Postgres(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	way := newLine(t, u.Host)
	way.set(true, false)
	u.Host = way.Addr().String()
	w := newWorld(t, address).start(0, nil)

	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{stop: cancel, done: make(chan struct{})}
	lines := &lineReader{to: w, line: make(chan []byte, 1)}
	go func() {
		defer close(r.done)
		r.err = run(ctx, []string{"serve"}, w.settings(map[string]string{"DATABASE_URL": u.String()}), io.Discard, lines)
	}()
	until(t, "a line about the database", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(w.seen.String(), "the database doesn't answer; waiting for it")
	})
	way.set(false, false)
	if err := w.serving(r, lines, patience); err != nil {
		t.Fatal(err)
	}
	if a := r.readyz(""); a.status != http.StatusOK {
		t.Errorf("/readyz %d %s", a.status, a.body)
	}
}

// What waiting can't change is said right away.
func TestServeDoesNotWaitForAWrongAddress(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(storagetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/no_such_database"
	for _, address := range []string{u.String(), fmt.Sprintf("postgres://u:hush@%s/x?sslmode=disable", "db.invalid")} {
		if _, said, code := try(stoppable(t, address), "serve"); code != 1 || !strings.Contains(said, "can't be used") ||
			strings.Contains(said, "hush") {
			t.Errorf("exit %d: %s", code, said)
		}
	}
}

// migrated is the address of a database with its tables.
func migrated(t *testing.T, address string) string {
	t.Helper()
	if _, said, code := try(over(good, map[string]string{"DATABASE_URL": address}), "migrate", "up"); code != 0 {
		t.Fatal(said)
	}
	return address
}
