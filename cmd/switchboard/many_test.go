//go:build linux

package main

// An operator who asks for one workspace at night must not wait for all of them, or take the memory of the pod down.

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchboard/install"
	"switchboard/slacksim"
	"switchboard/storage/storagetest"
)

// addConnections copies the one of Acme until there are n more, each of another workspace. Their secrets
// don't open; trying costs what opening costs.
func (w *world) addConnections(n int) {
	w.t.Helper()
	db := w.sql()
	defer db.Close()
	rows, err := db.Query("SELECT * FROM connections LIMIT 0")
	if err != nil {
		w.t.Fatal(err)
	}
	columns, err := rows.Columns()
	if err != nil {
		w.t.Fatal(err)
	}
	_ = rows.Close()
	values := slices.Clone(columns)
	values[slices.Index(columns, "id")] = "'con_zzzz' || i" // behind Acme's, which opens: what is checked first
	values[slices.Index(columns, "team_id")] = "'T0COPY' || i"

	numbers := fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n) AS numbers", n)
	tidy := "PRAGMA wal_checkpoint(TRUNCATE)"
	if strings.HasPrefix(w.database, "postgres") {
		numbers, tidy = fmt.Sprintf("generate_series(1, %d) AS numbers(i)", n), "VACUUM ANALYZE connections"
	}
	fill := "INSERT INTO connections (" + strings.Join(columns, ", ") + ") SELECT " + strings.Join(values, ", ") +
		" FROM connections, " + numbers + " WHERE team_id = '" + slacksim.Acme + "'"
	for _, statement := range []string{fill, tidy} {
		if _, err := db.Exec(statement); err != nil {
			w.t.Fatal(err)
		}
	}
}

// looks are the commands that look at one connection, or act on it; disconnect only says what it would do.
var looks = [][]string{
	{"connections", "show", slacksim.Acme},
	{"connections", "show", "--json", slacksim.Acme},
	{"connections", "history", slacksim.Acme},
	{"connections", "exchange", slacksim.Acme},
	{"connections", "disconnect", slacksim.Acme},
}

// Looking at one connection takes as much with many beside it as with none. It doesn't run in parallel, because it counts
// what the whole process allocates.
func TestOneConnectionOfMany(t *testing.T) {
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
	take := func() map[string]uint64 {
		allocated := map[string]uint64{}
		for _, args := range looks {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, errs, code := w.command(args...); code != 0 {
				t.Fatalf("%v: exit %d %s", args, code, errs)
			}
			runtime.ReadMemStats(&after)
			allocated[strings.Join(args, " ")] = after.TotalAlloc - before.TotalAlloc
		}
		return allocated
	}
	take() // the first ones warm up
	few := take()
	w.addConnections(2000)
	many := take()
	for args, was := range few {
		if now := many[args]; now > was*3/2 {
			t.Errorf("%s: %d KB beside 2,000 others, %d KB without", args, now>>10, was>>10)
		}
	}
}

// A name that can mean several connections lists them, with what tells them apart.
func TestAmbiguousName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	if _, errs, code := w.command("migrate", "up"); code != 0 {
		t.Fatal(errs)
	}
	db := w.store()
	var ids []string
	for i := range mostNamed + 2 {
		k := install.Key{AppID: "A0OTHER001", EnterpriseID: "E0MANY0001", TeamID: fmt.Sprintf("T0MANY%04d", i)}
		c, err := db.Add(t.Context(), install.Connection{Key: k, TeamName: fmt.Sprintf("Team\x1b %04d", i), State: install.Removed})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	_, errs, code := w.command("connections", "show", "E0MANY0001")
	if missing := inOrder(errs, "can mean any of these", ids[0], "T0MANY0000", ids[mostNamed-1], "…"); code != 1 || missing != "" ||
		strings.Contains(errs, "\x1b") || strings.Contains(errs, ids[mostNamed]) {
		t.Errorf("exit %d, no %q: %s", code, missing, errs)
	}
	if out, errs, code := w.command("connections", "show", ids[0]); code != 0 || !strings.Contains(out, "E0MANY0001") {
		t.Errorf("by its id: exit %d %s", code, errs)
	}
}

// What looking at one of 100,000 workspaces takes, as the system sees the whole program: for docs/performance.md.
func TestOneConnectionOfManyMeasured(t *testing.T) {
	storagetest.Long(t)
	program := filepath.Join(t.TempDir(), "switchboard")
	if out, err := exec.Command("go", "build", "-o", program, "switchboard/cmd/switchboard").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	databases := map[string]func(testing.TB) string{"PostgreSQL": storagetest.Postgres, "SQLite": storagetest.SQLite}
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, databases[name](t)).start(1, nil)
			w.browser().install(slacksim.AcmeAdmin)
			w.settle()
			w.stop()
			w.addConnections(100_000)
			for _, args := range looks {
				cmd := exec.Command(program, args...)
				cmd.Env = os.Environ()
				for name, value := range w.environment(nil) {
					cmd.Env = append(cmd.Env, name+"="+value)
				}
				began := time.Now()
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v %s", args, err, out)
				}
				took := time.Since(began)
				kilobytes := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // bytes elsewhere than on Linux
				t.Logf("| %s | %s | %d ms | %d MB |", name, strings.Join(args, " "), took.Milliseconds(), kilobytes>>10)
				if took > 2*time.Second || kilobytes > 128<<10 {
					t.Errorf("%v: %v and %d MB for one of 100,000", args, took, kilobytes>>10)
				}
			}
		})
	}
}
