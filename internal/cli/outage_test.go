package cli

// What an operator sees, and what Slack and people get, while a replica can keep nothing: its database takes no writes,
// its disk is full, its folder is gone. Each ends by itself, and what was refused comes again.

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// outage is a replica with an installed workspace, before, while and after it can keep nothing.
type outage struct {
	w *world
	r *replica
	s *sender
	b *browser

	refused []string // events, by their ids
}

const refusedEach = 10

func (w *world) outage(r *replica) *outage {
	w.t.Helper()
	w.allowed = append(w.allowed, slacksim.RuleEventStatus) // events are refused
	o := &outage{w: w, r: r, s: w.sender(newLedger(w.t)), b: w.browser()}
	o.b.install(slacksim.AcmeAdmin)
	w.settle()
	if !o.s.deliver(r.public.String(), "EvBefore", 1) {
		w.t.Fatalf("before: %v", o.s.other)
	}
	o.s.ledger.all(w.t, "before", []string{"EvBefore"}, patience)
	until(w.t, "its end to be written down", func() bool {
		return w.metrics(r)[`switchboard_inbox_events{state="held"}`] == 0
	})
	if a := r.readyz("?verbose"); a.status != http.StatusOK {
		w.t.Fatalf("before: %s", a.body)
	}
	return o
}

// lasts looks at everything that is said while nothing can be kept, and sends events that are refused. Red are these
// checks and no others.
func (o *outage) lasts(checks ...string) {
	t := o.w.t
	t.Helper()
	for i := range refusedEach {
		id := "EvWhile" + string(rune('a'+i))
		if o.s.deliver(o.r.public.String(), id, 1) {
			t.Errorf("event %s was acknowledged, and is kept nowhere", id)
		}
		o.refused = append(o.refused, id)
	}
	if n := o.s.other["503 Service Unavailable"]; n != refusedEach {
		t.Errorf("events were answered %v, want 503 %d times", o.s.other, refusedEach)
	}
	for range 3 {
		a := o.r.readyz("")
		t.Logf("/readyz: %d\n%s", a.status, a.body)
		for _, name := range []string{"database", "schema", "journal", "sockets", "stopping"} {
			red := strings.Contains(a.body, "[-]"+name+" failed")
			if want := strings.Contains(strings.Join(checks, " "), name); red != want {
				t.Errorf("check %s is red: %v, want %v", name, red, want)
			}
		}
	}
	o.w.expect("a line for each check that fails for as long", patience, func() bool { // it comes through a pipe
		return o.w.logged("not ready") == len(checks)
	})
	numbers := o.w.metrics(o.r)
	for _, name := range []string{`switchboard_deliveries_total{kind="events_api",result="refused"}`,
		"switchboard_journal_writable", "switchboard_inbox_oldest_seconds"} {
		n, there := numbers[name]
		t.Logf("%s %v (there: %v)", name, n, there)
	}
	for _, name := range server.Checks {
		n, there := numbers[`switchboard_ready{check="`+name+`"}`]
		if red := slices.Contains(checks, name); !there || red != (n == 0) {
			t.Errorf("check %s fails: %v, and its number is %v (there: %v)", name, red, n, there)
		}
	}
	if n := numbers[`switchboard_deliveries_total{kind="events_api",result="refused"}`]; n < refusedEach {
		t.Errorf("%v refused events are counted of %d", n, refusedEach)
	}
	o.w.quick("a person asks meanwhile", slacksim.AcmeAdmin, "/connection help", "Here is what you can ask")
}

// ends waits until the replica is ready again, and lets Slack send again what was refused: each is worked once.
func (o *outage) ends(checks int) {
	t := o.w.t
	t.Helper()
	o.w.expect("/readyz to be green", 2*patience, func() bool { return o.r.readyz("").status == http.StatusOK })
	o.w.expect("a line for each recovery", patience, func() bool { return o.w.logged("ready again") == checks })
	for _, id := range o.refused {
		if !o.s.deliver(o.r.public.String(), id, 1) {
			t.Errorf("event %s was refused again: %v", id, o.s.other)
		}
	}
	o.s.ledger.all(t, "all", append(o.refused, "EvBefore"), patience)
	if bad, good := o.w.logged("not ready"), o.w.logged("ready again"); bad != checks || good != checks {
		t.Errorf("%d lines of the failure and %d of the recovery of %d checks", bad, good, checks)
	}
	if times := o.s.ledger.times(); times[1] != refusedEach+1 {
		t.Errorf("events were worked so many times: %v", times)
	}
}

// ownDatabase is a PostgreSQL database of the test's own, whose settings it may change, and a way to do so.
func ownDatabase(t *testing.T) (address string, exec func(statement string)) {
	t.Helper()
	u, err := url.Parse(storagetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	name := u.Query().Get("search_path")
	server, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	exec = func(statement string) {
		t.Helper()
		if _, err := server.Exec(context.Background(), strings.ReplaceAll(statement, "$name", name)); err != nil {
			t.Error(err)
		}
	}
	exec("CREATE DATABASE $name")
	t.Cleanup(func() {
		exec("DROP DATABASE $name WITH (FORCE)")
		_ = server.Close(context.Background())
	})
	own := *u
	query := own.Query()
	query.Del("search_path")
	own.Path, own.RawQuery = "/"+name, query.Encode()
	return own.String(), exec
}

// A PostgreSQL server that turns read-only under a running replica, as a primary does that was demoted.
func TestReadOnlyDatabase(t *testing.T) {
	storagetest.Long(t)
	t.Parallel()
	address, exec := ownDatabase(t)
	w := newWorld(t, address)
	o := w.outage(w.start(1, nil).replicas[0])

	exec("ALTER DATABASE $name SET default_transaction_read_only = on")
	exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$name'")
	o.lasts("database")
	if a := o.r.readyz("?exclude=database"); a.status != http.StatusOK {
		t.Errorf("/readyz?exclude=database: %s", a.body)
	}

	exec("ALTER DATABASE $name RESET default_transaction_read_only") // the connections are not cut
	o.ends(1)
}

// A replica that starts while its database is read-only serves, and is not ready.
func TestReadyzOnAReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t)).start(0, nil)
	u, err := url.Parse(w.database)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("default_transaction_read_only", "on")
	u.RawQuery = query.Encode()
	r := w.startOne(map[string]string{"DATABASE_URL": u.String()})
	if a := r.readyz(""); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "[-]database failed: ") ||
		!strings.Contains(a.body, "[+]schema ok") {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
}

// The folder of a replica goes while it runs. The database of others is not in it: what comes is kept, and the journal
// is made anew; that one is gone is shown for half a minute.
func TestLostDataDir(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t))
	folder := filepath.Join(t.TempDir(), "data")
	o := w.outage(w.start(1, map[string]string{"DATA_DIR": folder}).replicas[0])
	if err := os.Rename(folder, folder+".away"); err != nil { // in one step: the program makes it anew
		t.Fatal(err)
	}
	a := o.r.readyz("")
	t.Logf("/readyz: %d\n%s", a.status, a.body)
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "[-]journal failed") ||
		!strings.Contains(a.body, "[+]database ok") {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
	if n := w.sum("switchboard_journal_writable"); n != 0 {
		t.Errorf("switchboard_journal_writable %v", n)
	}
	if !o.s.deliver(o.r.public.String(), "EvWhile", 1) {
		t.Errorf("an event was refused, which the database could keep: %v", o.s.other)
	}
	w.rotate(time.Hour)
	if page := w.browser().install(slacksim.BirchAdmin); page.status != http.StatusOK {
		t.Errorf("an install, whose tokens the new journal keeps: %d %s", page.status, page.body)
	}
	if _, err := os.Stat(filepath.Join(folder, "journal", "journal.db")); err != nil {
		t.Errorf("the journal was not made anew: %v", err)
	}
	if n := w.logged("not ready"); n != 1 {
		t.Errorf("%d lines for one folder that is gone", n)
	}
	o.s.ledger.all(t, "all", []string{"EvBefore", "EvWhile"}, patience)
	storagetest.Long(t) // half a minute
	w.expect("/readyz to be green", 3*patience, func() bool { return o.r.readyz("").status == http.StatusOK })
	if n := w.sum("switchboard_journal_writable"); n != 1 {
		t.Errorf("switchboard_journal_writable %v", n)
	}
}

// With SQLite the database goes with the folder. What would be written into a file without a name would be gone at the
// next start, so nothing is taken any longer, until somebody puts the file back and starts again.
func TestLostDataDirWithItsDatabase(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, "sqlite:"+filepath.Join(folder, "switchboard.db"))
	o := w.outage(w.start(1, map[string]string{"DATA_DIR": folder}).replicas[0])
	if err := os.Rename(folder, folder+"-moved"); err != nil {
		t.Fatal(err)
	}
	o.lasts("database", "journal")
	if _, err := os.Stat(filepath.Join(folder, "switchboard.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a database was made anew: %v", err)
	}
}

// How long events wait is a number also when all of them wait for their next attempt.
func TestOldestIsOfWhateverWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	r := w.start(1, nil).replicas[0]
	s := w.sender(newLedger(t))
	s.ledger.refuse.Store(true) // its handler fails
	if !s.deliver(r.public.String(), "EvWaits", 1) {
		t.Fatal(s.other)
	}
	var numbers map[string]float64
	until(t, "the event to wait", func() bool {
		numbers = w.metrics(r)
		return numbers[`switchboard_inbox_events{state="waiting"}`] == 1
	})
	if age := numbers["switchboard_inbox_oldest_seconds"]; age <= 0 {
		t.Errorf("one event waits, and the oldest waits for %v s", age)
	}
}
