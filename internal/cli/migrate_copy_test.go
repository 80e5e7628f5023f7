package cli

// The move to PostgreSQL, as an operator makes it: nobody installs again, and what was begun before is ended after it.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestMoveToPostgres(t *testing.T) {
	t.Parallel()
	to := storagetest.Postgres(t)
	w := newWorld(t, storagetest.SQLite(t))
	w.keys = "" // a key file
	w.rotate(0)
	file := strings.TrimPrefix(w.database, "sqlite:")

	// A life: a workspace with a poll, a standup and a person's access, another one, an event that waits and one that
	// was given up.
	w.start(1, nil)
	b := w.browser()
	b.installWith(slacksim.AcmeAdmin, forPeople)
	second := w.offices(1)[0]
	people := w.crowdIn(3)
	ts := w.ask(`/poll "Lunch?" Pizza, Sushi`)
	w.votes(ts, people[:2], 0)
	w.shows(slacksim.AcmeGeneral, ts, "Pizza: 2 votes. Sushi: no votes.")
	w.setUpStandup()
	s := w.sender(newLedger(t))
	s.ledger.refuse.Store(true) // its handler fails
	for _, id := range []string{"EvWaits", "EvDead"} {
		if !s.deliver(w.replicas[0].public.String(), id, 1) {
			t.Fatal(s.other)
		}
	}
	w.settle()
	until(t, "both events to wait", func() bool { return w.count("SELECT count(*) FROM inbox WHERE state = 'waiting'") == 2 })

	// The lock of serve is respected, and nothing is copied under it.
	if _, errs, code := w.command("migrate", "copy", "--to", to); code != 1 || !strings.Contains(errs, "stop it first") {
		t.Errorf("beside serve: exit %d %s", code, errs)
	}
	w.stop()
	w.exec("UPDATE inbox SET state = 'dead', finished_at = received_at, error = 'teapot' WHERE event_id = 'EvDead'")
	before := w.connections()
	history := map[string][]string{}
	for _, c := range before {
		history[c.ID] = briefs(w.lines(c.ID))
	}
	timers := w.count("SELECT count(*) FROM timers")

	// A new key opens nothing of it, which is told with what helps.
	w.keys = seal.NewKey()
	if _, errs, code := w.command("migrate", "copy", "--to", to); code != 2 || !strings.Contains(errs, "add what is in "+
		file+".key") {
		t.Errorf("with another key: exit %d %s", code, errs)
	}
	w.keys = ""
	report := func(args ...string) (r copyReport) {
		t.Helper()
		out, errs, code := w.command(append([]string{"migrate", "copy", "--to", to, "--json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || errs != "" {
			t.Fatalf("exit %d: %s%s %v", code, out, errs, err)
		}
		return r
	}
	would := report("--dry-run")
	did := report()
	if !slices.Equal(would.Tables, did.Tables) || !would.DryRun || did.DryRun || did.From != "sqlite" ||
		did.To != "postgres" || did.Key != file+".key" || did.Journal != filepath.Join(w.dataDir, "journal") || did.Rows < 20 {
		t.Errorf("would copy %+v, copied %+v", would, did)
	}
	if _, errs, code := w.command("migrate", "copy", "--to", to); code != 1 ||
		!strings.Contains(errs, "nothing was copied: the database to copy to: ") || !strings.Contains(errs, "has content") {
		t.Errorf("a second time: exit %d %s", code, errs)
	}

	// What it says is left to do.
	key, err := os.ReadFile(file + ".key")
	if err != nil {
		t.Fatal(err)
	}
	w.database, w.keys = to, strings.TrimSpace(string(key))
	s.ledger.refuse.Store(false)
	w.start(2, nil)
	if after := w.connections(); len(after) != len(before) {
		t.Errorf("%d connections, and there were %d", len(after), len(before))
	}
	for id, lines := range history {
		if got := briefs(w.lines(id)); !slices.Equal(got, lines) {
			t.Errorf("history of %s: %q, not %q", id, got, lines)
		}
	}
	if n := w.count("SELECT count(*) FROM timers"); n != timers || n == 0 {
		t.Errorf("%d timers, and there were %d", n, timers)
	}

	// It goes on: commands, votes, the event that waited, the one that was given up, renewals, a person's access.
	w.quick("after the move", slacksim.AcmeAdmin, "/connection status", "Working")
	w.votes(ts, people[2:], 0)
	w.shows(slacksim.AcmeGeneral, ts, "Pizza: 3 votes. Sushi: no votes.")
	s.ledger.all(t, "what waited", []string{"EvWaits"}, patience)
	if n := w.dead(); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	calls := len(w.refreshes())
	w.due([]office{second, {team: slacksim.Acme}}, time.Now(), 0)
	w.wait("two renewals", func() bool { return len(w.refreshes()) == calls+2 })
	w.settle()
	db := w.store()
	until(t, "the new tokens", func() bool {
		in, _ := w.slack.Installed(second.team)
		return w.row(db, second.team).Token.Reveal() == in.BotToken
	})
	w.checkNewest(w.row(db, second.team))
	if got := w.secretsOf(slacksim.Acme); !slices.Contains(got, "person") {
		t.Errorf("stored of Acme: %q", got)
	}
	if report, errs, code := w.keysCheck(w.keys); code != 0 || len(report.Unreadable) > 0 {
		t.Errorf("keys check: exit %d %+v %s", code, report, errs)
	}
}

// count asks the database for a number.
func (w *world) count(query string) (n int) {
	w.t.Helper()
	db := w.sql()
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// setUpStandup makes a standup of Dana's in #general.
func (w *world) setUpStandup() {
	w.t.Helper()
	dana := slacksim.AcmeAdmin
	w.type_(dana, slacksim.AcmeGeneral, "/standup")
	w.wait("a window", func() bool { return len(w.slack.OpenViews(dana)) == 1 })
	view := w.slack.OpenViews(dana)[0].ID
	if _, err := w.slack.SubmitView(w.t.Context(), dana, view, map[string]map[string]string{
		"people": {"people": dana}, "days": {"days": "Mon,Tue,Wed,Thu,Fri,Sat,Sun"}}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.slack.CloseView(w.t.Context(), dana, view, true); err != nil { // it says what was done
		w.t.Fatal(err)
	}
}

// Addresses that can't be copied to are refused before anything is made.
func TestMigrateCopyRefusesAddresses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	there := filepath.Join(folder, "there.db")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"sqlite:" + filepath.Join(folder, "new.db"): "same kind",
		"mysql://x":                       "--to: is neither postgres://",
		"postgres://u:hush@127.0.0.1:1/x": "is --to right?",
	} {
		env := over(good, map[string]string{"DATABASE_URL": "sqlite:" + there, "DATA_DIR": folder})
		_, errs, code := try(env, "migrate", "copy", "--to", to)
		if code == 0 || !strings.Contains(errs, want) || strings.Contains(errs, "hush") {
			t.Errorf("%s: exit %d %s", to, code, errs)
		}
	}
	env := over(good, map[string]string{"DATABASE_URL": "postgres://u:hush@127.0.0.1:1/x", "DATA_DIR": folder,
		"ENCRYPTION_KEYS": seal.NewKey()})
	if _, errs, code := try(env, "migrate", "copy", "--to", "sqlite:"+there); code != 2 ||
		!strings.Contains(errs, "there already") {
		t.Errorf("onto a file: exit %d %s", code, errs)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
		t.Errorf("it left %v behind, %v", files, err)
	}
}
