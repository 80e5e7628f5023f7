package cli

// An operator who asks for one workspace at night must not wait for all of them, or take the memory of the pod down.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/doctor"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
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

	numbers := fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM "+
		"n) AS numbers", n)
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
	{"connections", "label", slacksim.Acme, "pilot"},
	{"connections", "export", slacksim.Acme},
}

// listsOfMany are lists, of which the first has all there are.
var listsOfMany = [][]string{
	{"connections", "list", "--json"},
	{"connections", "list"},
	{"connections", "list", "--state", "limited"},
	{"connections", "list", "--search", "t0acme"},
}

// Looking at one connection takes as much with many beside it as with none. It doesn't run in parallel, because it
// counts what the whole process allocates.
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
	// And as many that were removed, which come first where something sealed is looked for.
	db := w.sql()
	defer db.Close()
	if _, err := db.Exec("UPDATE connections SET id = 'con_0' || id, token = x'', refresh_token = x'', webhook_url = " +
		"x'', state = 'removed' WHERE id LIKE 'con_zzzz1%'"); err != nil {
		t.Fatal(err)
	}
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
		k := connection.Key{AppID: "A0OTHER001", EnterpriseID: "E0MANY0001", TeamID: fmt.Sprintf("T0MANY%04d", i)}
		c, err := db.Add(t.Context(), connection.Connection{Key: k, TeamName: fmt.Sprintf("Team\x1b %04d", i),
			State: connection.Removed})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	_, errs, code := w.command("connections", "show", "E0MANY0001")
	if missing := inOrder(errs, "could be any of these", ids[0], "T0MANY0000", ids[mostNamed-1], "…"); code != 1 ||
		missing != "" ||
		strings.Contains(errs, "\x1b") || strings.Contains(errs, ids[mostNamed]) {
		t.Errorf("exit %d, no %q: %s", code, missing, errs)
	}
	if out, errs, code := w.command("connections", "show", ids[0]); code != 0 || !strings.Contains(out, "E0MANY0001") {
		t.Errorf("by its id: exit %d %s", code, errs)
	}
}

// What scripts rely on is there, and why a renewal fails is shown as long as it does.
func TestShow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		w.stop()
		show := func(args ...string) map[string]any {
			t.Helper()
			out, errs, code := w.command(append([]string{"connections", "show", "--json"}, args...)...)
			var fields map[string]any
			if err := json.Unmarshal([]byte(out), &fields); err != nil || code != 0 {
				t.Fatalf("exit %d %v %s", code, err, errs)
			}
			return fields
		}
		fields := show(slacksim.Acme)
		for _, name := range []string{"id", "app_id", "enterprise_id", "team_id", "team_name", "state", "reason", "scopes",
			"installed_by", "installed_at", "expires_at", "last_event_at", "state_since"} {
			if _, ok := fields[name]; !ok {
				t.Errorf("no %s in %v", name, fields)
			}
		}
		if since, err := time.Parse(time.RFC3339, fields["state_since"].(string)); err != nil ||
			time.Since(since) > time.Hour {
			t.Errorf("state_since %v: %v", fields["state_since"], err)
		}

		db := w.store()
		failing := time.Now().Add(-time.Minute)
		w.change(db, slacksim.Acme, func(c *connection.Connection) {
			c.AuthorizedAt = failing.Add(-time.Hour)
			c.FailingSince, c.Tries, c.RenewalError = failing, 3, "bad_client_secret"
		})
		if got := show(slacksim.Acme)["renewal_error"]; got != "bad_client_secret" {
			t.Errorf("renewal_error %v", got)
		}
		if out, _, _ := w.command("connections", "show", slacksim.Acme); !strings.Contains(out, "bad_client_secret") {
			t.Errorf("in words: %s", out)
		}
		w.change(db, slacksim.Acme, func(c *connection.Connection) { c.FailingSince, c.Tries = time.Time{}, 0 })
		if got := show(slacksim.Acme)["renewal_error"]; got != "" {
			t.Errorf("renewal_error %v of trouble that is over", got)
		}
	})
}

// peakWanted as the value of asProgram has the program say on standard error how much memory it took. The system's own
// word to the parent includes the parent's memory.
const peakWanted = "peak"

func runAndSayPeak() int {
	code := exitCode(os.Stderr, run(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Fprint(os.Stderr, line)
		}
	}
	return code
}

// measured runs a command in a process of its own and says how long it took, and how much memory it had at most.
func (w *world) measured(args ...string) (took time.Duration, kilobytes, code int, out string) {
	w.t.Helper()
	program, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = []string{asProgram + "=" + peakWanted}
	for name, value := range w.environment(nil) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var said, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &errs
	stdin, err := cmd.StdinPipe() // stays open while it runs
	if err != nil {
		w.t.Fatal(err)
	}
	began := time.Now()
	_ = cmd.Run() // its code tells
	took = time.Since(began)
	_ = stdin.Close()
	_, peak, _ := strings.Cut(errs.String(), "VmHWM:")
	if _, err := fmt.Sscan(peak, &kilobytes); err != nil {
		w.t.Fatalf("%v: %v %s", args, err, errs.String())
	}
	return took, kilobytes, cmd.ProcessState.ExitCode(), said.String()
}

// What looking into an inbox of 100,000 events takes: for docs/performance.md.
func TestInboxOfManyMeasured(t *testing.T) {
	storagetest.Long(t)
	databases := map[string]func(testing.TB) string{"PostgreSQL": storagetest.Postgres, "SQLite": storagetest.SQLite}
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, databases[name](t))
			if _, errs, code := w.command("migrate", "up"); code != 0 {
				t.Fatal(errs)
			}
			dead := lying{team: slacksim.Acme, kind: "message", state: "dead", ago: time.Hour, text: "post: not_in_channel"}
			ready, archived := dead, dead
			ready.state, ready.text, archived.text = "ready", "", "post: is_archived"
			w.lay(slices.Concat(dead.times(10), ready.times(10), archived.times(5))...)
			w.addEvents(4000) // of each
			for _, args := range [][]string{
				{"inbox"}, {"inbox", "list"}, {"inbox", "list", "--reason", "is_archived"},
				{"inbox", "replay", "--reason", "is_archived"}, {"inbox", "replay", "--reason", "is_archived", "--yes"},
			} {
				took, kilobytes, code, _ := w.measured(args...)
				if code != 0 {
					t.Fatalf("%v: exit %d", args, code)
				}
				t.Logf("| %s | %s | %d ms | %d MB |", name, strings.Join(args, " "), took.Milliseconds(), kilobytes>>10)
				if took > 15*time.Second || kilobytes > 192<<10 {
					t.Errorf("%v: %v and %d MB for 100,000 events", args, took, kilobytes>>10)
				}
			}
		})
	}
}

// addEvents copies each event in the inbox until there are n of it.
func (w *world) addEvents(n int) {
	w.t.Helper()
	numbers := fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM "+
		"n) AS numbers", n)
	if strings.HasPrefix(w.database, "postgres") {
		numbers = fmt.Sprintf("generate_series(2, %d) AS numbers(i)", n)
	}
	const same = "enterprise_id, team_id, kind, type, lane, state, tag, visible_at, attempt, failures, received_at, " +
		"finished_at, said, error, payload"
	w.exec("INSERT INTO inbox (app_id, event_id, " + same + ") SELECT app_id, event_id || '-' || i, " + same +
		" FROM inbox, " + numbers)
}

// What looking at one of 100,000 workspaces takes, in a process of its own: for docs/performance.md.
func TestOneConnectionOfManyMeasured(t *testing.T) {
	storagetest.Long(t)
	databases := map[string]func(testing.TB) string{"PostgreSQL": storagetest.Postgres, "SQLite": storagetest.SQLite}
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, databases[name](t)).start(1, nil)
			w.browser().install(slacksim.AcmeAdmin)
			w.settle()
			w.stop()
			w.addConnections(100_000)
			for _, args := range append(slices.Clone(looks), listsOfMany...) {
				took, kilobytes, code, _ := w.measured(args...)
				if code != 0 {
					t.Fatalf("%v: exit %d", args, code)
				}
				t.Logf("| %s | %s | %d ms | %d MB |", name, strings.Join(args, " "), took.Milliseconds(), kilobytes>>10)
				limit := 128 << 10
				if args[1] == "list" {
					limit *= 2 // which on SQLite is the file, mapped into memory
				}
				if kilobytes > limit || took > 2*time.Second && !slices.Equal(args, listsOfMany[0]) {
					t.Errorf("%v: %v and %d MB for one of 100,000", args, took, kilobytes>>10)
				}
			}
		})
	}
}

// doctor looks after 100,000 workspaces without reading them all into memory, and each check ends in its time.
func TestDoctorOfManyMeasured(t *testing.T) {
	storagetest.Long(t)
	databases := map[string]func(testing.TB) string{"PostgreSQL": storagetest.Postgres, "SQLite": storagetest.SQLite}
	most := map[string]int{"PostgreSQL": 128 << 10, "SQLite": 640 << 10} // with the file, mapped by each that reads it
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, databases[name](t)).start(1, nil)
			w.browser().install(slacksim.AcmeAdmin)
			w.settle()
			w.stop()
			w.addConnections(100_000)
			took, kilobytes, code, out := w.measured("doctor", "--json", "--offline")
			t.Logf("| %s | doctor --offline | %d ms | %d MB |", name, took.Milliseconds(), kilobytes>>10)
			if took > 7*time.Second || kilobytes > most[name] || code != 1 { // the copies' secrets don't open
				t.Errorf("exit %d, %v and %d MB for 100,000", code, took, kilobytes>>10)
			}
			var report doctor.Report
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out, `"no_answer"`) {
				t.Errorf("a check had no answer: %+v", report)
			}
		})
	}
}
