//go:build unix

package cli

// What each kind of backup is worth: the program is killed under load, its database comes back as that kind keeps it,
// and what is missing then is counted. The table in docs/backup.md is what this prints.

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// safekeeping is a way to keep a database, and what it has to save. -1: it depends on the moment.
type safekeeping struct {
	name           string
	place          func(t *testing.T) *place
	withoutJournal bool
	replicas       int // 0: 1
	reconnect      int // of five workspaces
	lost           int // of the events that were acknowledged
}

// place is where a database is, and how it is kept and comes back. Each of the functions may be nil.
type place struct {
	url     string
	prepare func(w *world)            // once there are tables
	backUp  func(w *world)            // under load
	after   func(w *world)            // once what came after the backup is stored
	strike  func(running []*replica)  // nil: all are killed
	restore func(w *world) (u string) // the database comes back there
}

// restored is a line of the table.
type restored struct {
	safekeeping
	connections, working     int
	acked, lostNow, runTwice int
}

const fiveWorkspaces = 5

// What was lost is told by Slack, which knows whose tokens are the newest, and by a ledger of the events that were worked.
// One workspace is connected after the backup, two of the other four are renewed after it, and events come all the time,
// faster than they are worked.
func TestWhatARestoreCosts(t *testing.T) {
	storagetest.Long(t)
	var mu sync.Mutex
	lines := map[string]restored{}
	all := []safekeeping{
		{name: "SQLite: `backup FILE`", place: sqliteBackup, lost: -1},
		{name: "SQLite: `backup FILE`; the journal is gone", place: sqliteBackup, withoutJournal: true, reconnect: 3, lost: -1},
		{name: "SQLite: the files of the killed process, with `-wal`; the journal is gone", place: sqliteFiles,
			withoutJournal: true},
		{name: "PostgreSQL: `pg_dump`", place: dumped, lost: -1},
		{name: "PostgreSQL: `pg_dump`; the journals are gone", place: dumped, withoutJournal: true, reconnect: 3, lost: -1},
		{name: "PostgreSQL: base backup and archived WAL", place: archived, lost: -1},
		{name: "PostgreSQL: base backup and archived WAL; the journals are gone", place: archived, withoutJournal: true,
			lost: -1},
		{name: "PostgreSQL: an asynchronous standby takes over; the journals are gone", place: streamed,
			withoutJournal: true, lost: -1},
		{name: "One of two replicas is killed; its disk is gone", place: oneKilled, replicas: 2},
		{name: "Two replicas go back by one release", place: oneReleaseBack, replicas: 2},
	}
	t.Run("of", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				line := s.struck(t)
				mu.Lock()
				lines[s.name] = line
				mu.Unlock()
			})
		}
	})

	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "backup.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| what is kept, and what happens | connections | tokens that work | events acknowledged | lost | run " +
		"again | need reconnecting |\n|---|---|---|---|---|---|---|\n")
	for _, s := range all {
		l := lines[s.name]
		said := fmt.Sprintf("| %d |\n", s.reconnect)
		if _, rest, there := strings.Cut(string(page), "\n| "+s.name+" |"); !there || !strings.Contains(rest[:80], said) {
			t.Errorf("docs/backup.md doesn't say of %q that %d need reconnecting", s.name, s.reconnect)
		}
		fmt.Fprintf(&table, "| %s | %d of %d | %d | %d | %d | %d | %d |\n", s.name, l.connections, fiveWorkspaces, l.working,
			l.acked, l.lostNow, l.runTwice, fiveWorkspaces-l.working)
	}
	t.Log("\n" + table.String())
}

// struck goes through one line of the table.
func (s safekeeping) struck(t *testing.T) restored {
	at := s.place(t)
	w := newWorld(t, at.url)
	w.breaches = true // Slack is asked with spent tokens, and hears nothing for a moment
	w.rotate(0)
	w.start(0, nil)
	if at.prepare != nil {
		at.prepare(w)
	}
	folders := []string{w.dataDir, t.TempDir()}[:max(1, s.replicas)]
	running := w.processes(folders, "4") // too few workers, so that events wait
	offices := w.offices(fiveWorkspaces - 1)
	w.settle()
	l := newLedger(t)
	load := w.sender(l)
	load.millis = 40
	stopLoad := load.steadily()
	acked := func(n int) {
		least := load.count() + n
		until(t, "events", func() bool { return load.count() >= least })
	}

	acked(100)
	if at.backUp != nil {
		at.backUp(w)
	}
	w.due(offices[:2], time.Now(), 0)
	w.wait("two renewals", func() bool { return len(w.refreshes()) == 2 })
	w.browser().install(slacksim.AcmeAdmin)
	if at.after != nil {
		at.after(w)
	}
	acked(100)
	if at.strike == nil {
		for _, r := range running {
			w.kill(r)
		}
	} else {
		at.strike(running)
	}
	stopLoad()

	if at.restore != nil {
		w.database = at.restore(w)
	}
	if s.withoutJournal {
		for _, folder := range folders {
			if err := os.RemoveAll(filepath.Join(folder, "journal")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if at.strike == nil {
		w.processes(folders, "64")
	}
	line := restored{safekeeping: s}
	line.count(w, offices, load)
	if got := fiveWorkspaces - line.working; got != s.reconnect {
		t.Errorf("%d workspaces need reconnecting, not %d", got, s.reconnect)
	}
	if s.lost >= 0 && line.lostNow != s.lost {
		t.Errorf("%d of %d acknowledged events are lost", line.lostNow, line.acked)
	}
	return line
}

// processes starts a replica for each folder.
func (w *world) processes(folders []string, workers string) (running []*replica) {
	w.t.Helper()
	for _, folder := range folders {
		r, err := w.startProcess(map[string]string{"DATA_DIR": folder, "WORKERS": workers, "INBOX_LEASE": "1s",
			"LOG_LEVEL": "info"})
		if err != nil {
			w.t.Fatal(err)
		}
		running = append(running, r)
	}
	return running
}

// steadily sends 200 events a second until it is told to stop.
func (s *sender) steadily() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	for range 4 {
		sending.Go(func() {
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				i := s.next.Add(1)
				s.deliver(s.w.replica().public.String(), fmt.Sprintf("Ev%s-%d", s.run, i), int(i%20))
			}
		})
	}
	return func() { cancel(); sending.Wait() }
}

// count is how many events were acknowledged.
func (s *sender) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// count waits until all that can be done is done, and counts what is there.
func (l *restored) count(w *world, offices []office, load *sender) {
	w.t.Helper()
	const open = "SELECT count(*) FROM inbox WHERE state IN ('ready', 'held', 'waiting', 'queued') AND kind <> 'timer'"
	until(w.t, "the inbox to be worked", func() bool { return w.count(open) == 0 })
	everywhere := append([]office{{team: slacksim.Acme}}, offices...)
	w.due(everywhere, time.Now(), 0) // each token is tried
	db := w.store()
	settled := func() bool {
		l.connections, l.working = 0, 0
		refused := 0
		for _, o := range everywhere {
			c, err := db.Lookup(context.Background(), connection.Key{AppID: w.slack.App().ID, TeamID: o.team})
			if err != nil {
				continue
			}
			l.connections++
			in, _ := w.slack.Installed(o.team)
			switch {
			case c.RefreshToken.Reveal() == in.RefreshToken && c.Token.Reveal() == in.BotToken && c.Rejections == 0 &&
				c.RenewAt.After(time.Now()):
				l.working++
			case c.Rejections > 0 || c.State == connection.ReconnectRequired:
				refused++
			}
		}
		return l.working+refused == l.connections && l.working >= fiveWorkspaces-l.reconnect
	}
	until(w.t, "renewals to end", settled)

	load.mu.Lock()
	ids := load.acked
	load.mu.Unlock()
	l.acked, l.lostNow = len(ids), len(load.ledger.missing(ids))
	for times, events := range load.ledger.times() {
		if times > 1 {
			l.runTwice += events
		}
	}
}

// sqliteBackup is restored as docs/backup.md says.
func sqliteBackup(t *testing.T) *place {
	file := filepath.Join(t.TempDir(), "backup.db")
	at := &place{url: storagetest.SQLite(t)}
	at.backUp = func(w *world) {
		if _, errs, code := w.command("backup", file); code != 0 {
			t.Fatalf("backup: exit %d %s", code, errs)
		}
	}
	at.restore = func(w *world) string {
		w.replaceBy(file)
		return at.url
	}
	return at
}

// sqliteFiles are what a killed process leaves, taken to another folder.
func sqliteFiles(t *testing.T) *place {
	from := storagetest.SQLite(t)
	return &place{url: from, restore: func(*world) string {
		to := storagetest.SQLite(t)
		for _, part := range []string{"", "-wal"} {
			content, err := os.ReadFile(strings.TrimPrefix(from, "sqlite:") + part)
			if err == nil {
				err = os.WriteFile(strings.TrimPrefix(to, "sqlite:")+part, content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return to
	}}
}

// dumped is a database that is dumped, dropped and restored.
func dumped(t *testing.T) *place {
	address, exec := ownDatabase(t)
	server := &cluster{t: t, bin: postgresPrograms(t), folder: t.TempDir(), asUs: true}
	file := filepath.Join(server.folder, "dump")
	return &place{url: address,
		backUp: func(*world) { server.run("pg_dump", "--format=custom", "--file="+file, address) },
		restore: func(*world) string {
			exec("DROP DATABASE $name WITH (FORCE)")
			exec("CREATE DATABASE $name")
			server.run("pg_restore", "--no-owner", "--dbname="+address, file)
			return address
		}}
}

// archived is a server whose WAL is archived, and that comes back from it on another disk. What wasn't archived yet is
// gone with the old one: the newest events, while the renewals had the time for it.
func archived(t *testing.T) *place {
	c := newCluster(t)
	archive := c.makeFolder("archive")
	port := c.start("data", "archive_mode=on", "archive_timeout=1", "archive_command=cp %p "+archive+"/%f")
	return &place{url: c.url(port),
		backUp: func(*world) {
			c.run("pg_basebackup", "--host=127.0.0.1", "--port="+port, "--username=postgres", "--pgdata="+c.path("base"),
				"--checkpoint=fast", "--no-sync")
		},
		after: func(w *world) {
			was := w.count("SELECT archived_count FROM pg_stat_archiver")
			until(t, "two more segments in the archive", func() bool { // one may have been under way
				return w.count("SELECT archived_count FROM pg_stat_archiver") >= was+2
			})
		},
		restore: func(*world) string {
			c.kill("data")
			if err := os.WriteFile(c.path("base/recovery.signal"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			return c.url(c.start("base", "hot_standby=off", "restore_command=cp "+archive+"/%f %p"))
		}}
}

// streamed is a server with an asynchronous standby, which takes over.
func streamed(t *testing.T) *place {
	c := newCluster(t)
	port := c.start("data")
	at := &place{url: c.url(port)}
	var standby string
	at.backUp = func(w *world) {
		c.run("pg_basebackup", "--host=127.0.0.1", "--port="+port, "--username=postgres", "--pgdata="+c.path("standby"),
			"--checkpoint=fast", "--no-sync", "--write-recovery-conf")
		standby = c.start("standby")
		until(t, "the standby to stream", func() bool {
			return w.count("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1
		})
	}
	at.restore = func(*world) string {
		c.kill("data")
		c.run("pg_ctl", "--pgdata="+c.path("standby"), "--wait", "promote")
		return c.url(standby)
	}
	return at
}

// oneKilled loses one of two replicas, and its disk.
func oneKilled(t *testing.T) *place {
	at := &place{url: storagetest.Postgres(t)}
	var w *world
	at.prepare = func(of *world) { w = of }
	at.strike = func(running []*replica) { w.kill(running[0]) }
	return at
}

// oneReleaseBack has tables as a next release leaves them (what it adds has a default, docs/upgrading.md). Its replicas
// are stopped one after the other, and those of the release before take over.
func oneReleaseBack(t *testing.T) *place {
	at := &place{url: storagetest.Postgres(t)}
	var w *world
	at.prepare = func(of *world) {
		w = of
		for _, statement := range []string{"ALTER TABLE inbox ADD COLUMN of_tomorrow text NOT NULL DEFAULT ''",
			"ALTER TABLE connections ADD COLUMN of_tomorrow text NOT NULL DEFAULT ''",
			"INSERT INTO goose_db_version (version_id, is_applied) VALUES (9998, true)"} {
			w.exec(statement)
		}
	}
	at.strike = func(running []*replica) {
		for _, r := range running {
			w.leave(r)
			r.stop()
			w.ends(r)
			w.processes([]string{t.TempDir()}, "64")
		}
	}
	return at
}

// cluster is a PostgreSQL server of the test's own, and what is made from it. It runs as the user postgres where the test
// runs as root, as PostgreSQL wants it.
type cluster struct {
	t      *testing.T
	bin    string
	folder string
	asUs   bool
}

// postgresPrograms is the folder of PostgreSQL's own programs.
func postgresPrograms(t *testing.T) string {
	t.Helper()
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal("PostgreSQL's programs (initdb, pg_basebackup) are not installed")
	}
	return filepath.Dir(path)
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, bin: postgresPrograms(t), asUs: os.Getuid() != 0}
	folder, err := os.MkdirTemp("", "cluster-") // a test's own folder is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	c.folder = folder
	c.give(folder)
	c.run("initdb", "--pgdata="+c.path("data"), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
	return c
}

func (c *cluster) path(name string) string { return filepath.Join(c.folder, name) }

func (c *cluster) makeFolder(name string) string {
	c.t.Helper()
	if err := os.Mkdir(c.path(name), 0o700); err != nil {
		c.t.Fatal(err)
	}
	c.give(c.path(name))
	return c.path(name)
}

// give makes a folder PostgreSQL's.
func (c *cluster) give(folder string) {
	c.t.Helper()
	if owner := c.owner(); owner != nil {
		if err := os.Chown(folder, int(owner.Uid), int(owner.Gid)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// owner is whom PostgreSQL's programs run as; nil: as the test.
func (c *cluster) owner() *syscall.Credential {
	c.t.Helper()
	if c.asUs {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		c.t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// run runs one of PostgreSQL's programs.
func (c *cluster) run(name string, args ...string) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner()}
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// start starts a server on a folder and returns its port, once it takes writes or streams.
func (c *cluster) start(folder string, options ...string) (port string) {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	_ = l.Close()

	// Without fsync: none of it has to outlive the machine.
	line := "-p " + port + " -k " + c.folder + " -c listen_addresses=127.0.0.1 -c fsync=off"
	for _, option := range options {
		line += " -c '" + option + "'"
	}
	c.run("pg_ctl", "--pgdata="+c.path(folder), "--wait", "--log="+c.path(folder+".log"), "--options="+line, "start")
	c.t.Cleanup(func() {
		if _, err := os.Stat(c.path(folder + "/postmaster.pid")); err == nil {
			c.kill(folder)
		}
	})
	return port
}

// kill ends a server as a lost machine does: nothing is finished.
func (c *cluster) kill(folder string) {
	c.t.Helper()
	c.run("pg_ctl", "--pgdata="+c.path(folder), "--mode=immediate", "stop")
}

func (c *cluster) url(port string) string {
	return "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
}
