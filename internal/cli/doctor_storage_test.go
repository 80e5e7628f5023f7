package cli

// The faults of databases, keys, journals, work that waits, and of the machine: made for real, and put right by what
// doctor says.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/doctor"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// storedFault is a fault on a database of its own. Without right, what the fix says is done to the letter.
type storedFault struct {
	fault
	on func(testing.TB) string
}

// orders are what a fix can tell somebody to do.
var (
	runSQL   = regexp.MustCompile(`run in the database: (.+)$`)
	runChmod = regexp.MustCompile(`^chmod (\S+) (\S+)$`)
	runServe = regexp.MustCompile(`^start switchboard serve`)
	runUs    = regexp.MustCompile(`switchboard ([a-z]+ [a-z]+(?: --[a-z-]+(?: [a-z_]+)?)?)`)
)

// obey does what a fix says first.
func (w *world) obey(fix string) {
	w.t.Helper()
	if m := runSQL.FindStringSubmatch(fix); m != nil {
		w.execute(m[1])
		return
	}
	if m := runChmod.FindStringSubmatch(fix); m != nil {
		if out, err := exec.Command("chmod", m[1], m[2]).CombinedOutput(); err != nil {
			w.t.Fatalf("%s: %v %s", fix, err, out)
		}
		return
	}
	if runServe.MatchString(fix) {
		w.startOne(nil)
		return
	}
	m := runUs.FindStringSubmatch(fix)
	if m == nil {
		w.t.Fatalf("%q says nothing that can be done", fix)
	}
	if _, errs, code := w.command(strings.Fields(m[1])...); code != 0 {
		w.t.Fatalf("%s: exit %d %s", m[1], code, errs)
	}
}

// execute runs a statement without the program.
func (w *world) execute(statement string) {
	w.t.Helper()
	db := w.sql()
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// tables makes them, with something sealed in one.
func (w *world) tables() {
	w.t.Helper()
	if _, errs, code := w.command("migrate", "up"); code != 0 {
		w.t.Fatal(errs)
	}
	w.sealOne(w.keys)
}

// installed has Acme install the app, and stops.
func (w *world) installed() {
	w.start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
}

// databaseWith adds a parameter to the database's address.
func (w *world) databaseWith(name, value string) string {
	u, err := url.Parse(w.database)
	if err != nil {
		w.t.Fatal(err)
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// event puts one into the inbox that came an hour ago, of a workspace that nobody knows.
func (w *world) event(dead bool) {
	w.t.Helper()
	in, err := w.store().Inbox(w.t.Context(), inbox.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	in.Start()
	defer in.Close()
	e := bot.Delivery{ID: "Ev0OLD", Kind: "events_api", Type: "message", Received: time.Now().Add(-time.Hour),
		Key: connection.Key{AppID: w.slack.App().ID, TeamID: "T0NOBODY01"}, Body: []byte("{}")}
	if _, err := in.Add(w.t.Context(), &e, dead); err != nil {
		w.t.Fatal(err)
	}
	if dead {
		if err := in.DeadLetter(w.t.Context(), e, "not_in_channel"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// journalAs writes an entry as the program does, beside a database.
func (w *world) journalAs(db *storage.DB, p connection.Grant) {
	w.t.Helper()
	if err := db.UseJournal(filepath.Join(w.dataDir, "journal")); err != nil {
		w.t.Fatal(err)
	}
	if _, err := db.Journal(p); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) grantOfNobody() connection.Grant {
	return connection.Grant{
		TokenOwner: connection.TokenOwner{Key: connection.Key{AppID: w.slack.App().ID, TeamID: "T0ELSE0001"}},
		Origin:     connection.Renewal{Spent: "xoxe-1-spent"}, Token: "xoxe.xoxb-1-next", Refresh: "xoxe-1-next",
		Life: 12 * time.Hour, At: time.Now().Add(-time.Hour), Generation: 1,
	}
}

// tlsServer stands before PostgreSQL and offers TLS, at an address that isn't this machine's for certain. It returns
// the address of the database there, and the file of who signed its certificate.
func (w *world) tlsServer(t *testing.T) (address, authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4zero}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	authority = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}

	u, err := url.Parse(w.database)
	if err != nil {
		t.Fatal(err)
	}
	behind := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go relayTLS(conn, behind, config)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	u.Host = "0.0.0.0:" + port
	return u.String(), authority
}

// relayTLS speaks TLS with whoever asks for it, and hands on what is said.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
func relayTLS(conn net.Conn, behind string, config *tls.Config) {
	defer conn.Close()
	first := make([]byte, 8)
	if _, err := io.ReadFull(conn, first); err != nil {
		return
	}
	if bytes.Equal(first, []byte{0, 0, 0, 8, 4, 210, 22, 47}) {
		if _, err := conn.Write([]byte("S")); err != nil {
			return
		}
		conn, first = tls.Server(conn, config), nil
	}

	server, err := net.Dial("tcp", behind)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, io.MultiReader(bytes.NewReader(first), conn))
		_ = server.Close()
	}()
	_, _ = io.Copy(conn, server)
}

func storedFaults() map[string]storedFault {
	sqlite, postgres := storagetest.SQLite, storagetest.Postgres
	keyless := map[string]string{"ENCRYPTION_KEYS": ""}
	other, pooled, clear, readOnly, async, own, second := map[string]string{}, map[string]string{},
		map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}
	rights := map[string]map[string]string{"other": {}, "pooled": {}, "clear": {}}
	var private atomic.Bool // the proxy of own keeps the operators' door to itself

	return map[string]storedFault{
		"there is no database": {on: sqlite, fault: fault{
			check: "database", finding: "reachable", status: doctor.Failed, says: "There is no database at ",
			fix: "switchboard migrate up, or correct", wrong: func(*testing.T, *world) {},
		}},
		"there are no tables": {on: postgres, fault: fault{
			check: "database", finding: "schema", status: doctor.Failed, says: "has no Switchboard tables yet",
			fix: "switchboard migrate up", wrong: func(*testing.T, *world) {},
		}},
		"the tables are of a newer release": {on: sqlite, fault: fault{
			check: "database", finding: "schema", status: doctor.Failed, says: "was written by a newer Switchboard",
			fix: "run the release that wrote it",
			wrong: func(_ *testing.T, w *world) {
				w.tables()
				w.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
				w.execute("UPDATE schema_state SET works_from = 999")
			},
			right: func(_ *testing.T, w *world) {
				w.execute("DELETE FROM goose_db_version WHERE version_id = 999") // that release knows it
			},
		}},
		"the database is read-only": {on: postgres, fault: fault{
			check: "database", finding: "writable", status: doctor.Failed, says: "The database can't be written to",
			fix: "take default_transaction_read_only out of DATABASE_URL", settings: readOnly,
			wrong: func(_ *testing.T, w *world) {
				w.tables()
				readOnly["DATABASE_URL"] = w.databaseWith("default_transaction_read_only", "on")
			},
			right: func(*testing.T, *world) {},
		}},
		"commits aren't waited for": {on: postgres, fault: fault{
			check: "database", finding: "commits", status: doctor.Warning, says: "synchronous_commit is off",
			fix: "take synchronous_commit out of DATABASE_URL", settings: async,
			wrong: func(_ *testing.T, w *world) {
				w.tables()
				async["DATABASE_URL"] = w.databaseWith("synchronous_commit", "off")
			},
			right: func(*testing.T, *world) {},
		}},
		"the index of keys is lost": {on: postgres, fault: fault{
			check: "database", finding: "one_row", status: doctor.Failed, says: "connections_key is missing",
			fix: "run in the database: CREATE UNIQUE INDEX",
			wrong: func(_ *testing.T, w *world) {
				w.tables()
				w.execute("DROP INDEX connections_key")
			},
		}},
		"a pooler, and statements of a session": {on: postgres, fault: fault{
			check: "database", finding: "pooler", status: doctor.Failed, fix: "take default_query_exec_mode out of DATABASE_URL",
			settings: pooled, after: rights["pooled"],
			wrong: func(t *testing.T, w *world) {
				w.tables()
				rights["pooled"]["DATABASE_URL"] = storagetest.Pooled(t, w.database)
				pooled["DATABASE_URL"] = rights["pooled"]["DATABASE_URL"] + "&default_query_exec_mode=cache_statement"
			},
			right: func(*testing.T, *world) {},
		}},
		"the way to the database is open": {on: postgres, fault: fault{
			check: "database", finding: "tls", status: doctor.Warning, says: "including its password",
			fix: "put sslmode=verify-full into DATABASE_URL", settings: clear, after: rights["clear"],
			wrong: func(t *testing.T, w *world) {
				w.tables()
				address, authority := w.tlsServer(t)
				clear["DATABASE_URL"] = address
				rights["clear"]["DATABASE_URL"] = strings.Replace(address, "sslmode=disable",
					"sslmode=verify-full&sslrootcert="+url.QueryEscape(authority), 1)
			},
			right: func(*testing.T, *world) {},
		}},
		"the file is damaged": {on: sqlite, fault: fault{
			check: "database", finding: "integrity", status: doctor.Failed, fix: "stop serve and restore a backup",
			wrong: func(t *testing.T, w *world) {
				w.tables()
				path := strings.TrimPrefix(w.database, "sqlite:")
				if _, errs, code := w.command("backup", path+".backup"); code != 0 {
					t.Fatal(errs)
				}
				file, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				info, _ := file.Stat()
				if _, err := file.WriteAt(bytes.Repeat([]byte{0x5a}, 4096), info.Size()/2/4096*4096); err != nil {
					t.Fatal(err)
				}
			},
			right: func(t *testing.T, w *world) {
				path := strings.TrimPrefix(w.database, "sqlite:")
				if err := os.Rename(path+".backup", path); err != nil {
					t.Fatal(err)
				}
			},
		}},

		"the keys are another database's": {on: sqlite, fault: fault{
			check: "keys", finding: "readable", status: doctor.Failed, says: "None of the keys opens what is stored.",
			fix: "to the end of ENCRYPTION_KEYS", settings: other, after: rights["other"],
			wrong: func(_ *testing.T, w *world) {
				w.tables()
				other["ENCRYPTION_KEYS"] = seal.NewKey()
				rights["other"]["ENCRYPTION_KEYS"] = other["ENCRYPTION_KEYS"] + "," + w.keys
			},
			right: func(*testing.T, *world) {},
		}},
		"a token is damaged": {on: sqlite, fault: fault{
			check: "keys", finding: "readable", status: doctor.Failed, says: "No key opens 1 row: con_",
			fix: "switchboard keys rotate --erase-unreadable",
			wrong: func(_ *testing.T, w *world) {
				w.installed()
				w.execute("UPDATE connections SET token = substr(token, 1, 8) || x'00' WHERE team_id = '" + slacksim.Acme + "'")
				w.sealOne(w.keys)
			},
		}},
		"the key file is lost": {on: sqlite, fault: fault{
			check: "keys", finding: "key_file", status: doctor.Failed, says: "there is no key file",
			fix: "put the key file back", settings: keyless, after: keyless,
			wrong: func(_ *testing.T, w *world) { w.tables() },
			right: func(t *testing.T, w *world) {
				if err := os.WriteFile(strings.TrimPrefix(w.database, "sqlite:")+".key", []byte(w.keys), 0o600); err != nil {
					t.Fatal(err)
				}
			},
		}},
		"others can read the key file": {on: sqlite, fault: fault{
			check: "keys", finding: "key_file", status: doctor.Failed, says: "other people on this machine may read",
			fix: "chmod 600 ", settings: keyless, after: keyless,
			wrong: func(t *testing.T, w *world) {
				w.tables()
				if err := os.WriteFile(strings.TrimPrefix(w.database, "sqlite:")+".key", []byte(w.keys), 0o644); err != nil {
					t.Fatal(err)
				}
			},
		}},

		"others can write to the journal": {on: sqlite, fault: fault{
			check: "journal", finding: "journal", status: doctor.Failed, says: "New tokens can't be kept", fix: "chmod 700 ",
			wrong: func(t *testing.T, w *world) {
				w.tables()
				folder := filepath.Join(w.dataDir, "journal")
				if err := errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, 0o777)); err != nil {
					t.Fatal(err)
				}
			},
		}},
		"the journal is another database's": {on: sqlite, fault: fault{
			check: "journal", finding: "foreign", status: doctor.Failed,
			says: "belongs to another database: this one knows none",
			fix:  "DATA_DIR to a pair that belongs together",
			wrong: func(t *testing.T, w *world) {
				w.tables()
				p := w.grantOfNobody()
				p.Standing = connection.Kept
				w.journalAs(w.store(), p)
			},
			right: func(t *testing.T, w *world) {
				if err := os.Rename(filepath.Join(w.dataDir, "journal"), filepath.Join(w.dataDir, "away")); err != nil {
					t.Fatal(err)
				}
			},
		}},
		"new tokens wait": {on: sqlite, fault: fault{
			check: "journal", finding: "entries", status: doctor.Failed, says: "1 new token is from Slack waiting",
			fix: "start switchboard serve with this DATA_DIR",
			wrong: func(t *testing.T, w *world) {
				w.tables()
				p := w.grantOfNobody()
				p.Journaled = fmt.Sprintf("pair-%020d-aaaaaaaaaaaaaaaa.json", time.Now().Add(-time.Hour).UnixMicro())
				w.journalAs(w.store(), p)
			},
		}},
		"two replicas share a journal": {on: postgres, fault: fault{
			check: "journal", finding: "shared", status: doctor.Failed, says: "Another process serves from ",
			fix: "give each replica a DATA_DIR of its own", settings: second, after: second,
			wrong: func(_ *testing.T, w *world) {
				w.start(2, nil)
				second["ADMIN_ADDR"] = w.replicas[1].admin.Host
			},
			right: func(t *testing.T, w *world) {
				w.stop()
				w.startOne(nil)
				second["DATA_DIR"] = t.TempDir()
				second["ADMIN_ADDR"] = w.startOne(map[string]string{"DATA_DIR": second["DATA_DIR"]}).admin.Host
			},
		}},

		"renewals are overdue": {on: postgres, fault: fault{
			check: "renewals", finding: "renewals", status: doctor.Failed,
			says: "1 renewal is overdue, the first for 3 hours. 1 token has run out", fix: "start switchboard serve",
			wrong: func(_ *testing.T, w *world) {
				w.installed()
				past := func(h int) int64 { return time.Now().Add(-time.Duration(h) * time.Hour).UnixMicro() }
				w.execute(fmt.Sprintf("UPDATE connections SET renew_at = %d, expires_at = %d", past(3), past(1)))
			},
		}},
		"checks are overdue": {on: sqlite, fault: fault{
			check: "renewals", finding: "checks", status: doctor.Warning,
			says: "1 check is overdue, the first for 9 hours. 1 workspace is looked after: 1 check an hour. One replica " +
				"makes 14400, so 1 replica is needed.", fix: "start switchboard serve",
			wrong: func(_ *testing.T, w *world) {
				w.installed()
				w.execute(fmt.Sprintf("UPDATE connections SET check_at = %d", time.Now().Add(-9*time.Hour).UnixMicro()))
			},
		}},
		"an event waits and nobody works": {on: sqlite, fault: fault{
			check: "inbox", finding: "waiting", status: doctor.Failed, says: "1 event is in the state ready, the oldest for 60 ",
			fix:   "start switchboard serve",
			wrong: func(_ *testing.T, w *world) { w.tables(); w.event(false) },
		}},
		"an event failed for good": {on: postgres, fault: fault{
			check: "inbox", finding: "dead_letters", status: doctor.Failed,
			says: "1 event of message failed for good, in T0NOBODY01: not_in_channel.", fix: "switchboard inbox replay --reason not_in_channel; or",
			wrong: func(_ *testing.T, w *world) { w.tables(); w.event(true) },
		}},

		"the operators' door is public": {on: sqlite, fault: fault{
			check: "exposure", finding: "public_routes", status: doctor.Failed,
			says: "Anybody can read /livez, /metrics, /readyz",
			fix:  "out of what the proxy at http://", settings: own, after: own,
			wrong: func(t *testing.T, w *world) {
				r := w.startOne(nil)
				front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
					to := r.public
					if !private.Load() && slices.Contains([]string{"/metrics", "/readyz", "/livez"}, p.In.URL.Path) {
						to = r.admin
					}
					p.SetURL(to)
				}})
				t.Cleanup(front.Close)
				own["PUBLIC_URL"] = front.URL
			},
			right: func(*testing.T, *world) { private.Store(true) },
		}},
		"others can change the data": {on: sqlite, fault: fault{
			check: "exposure", finding: "data_dir", status: doctor.Failed, says: "Anybody on this machine can change",
			fix: "chmod o-w ",
			wrong: func(t *testing.T, w *world) {
				w.tables()
				if err := os.Chmod(w.dataDir, 0o777); err != nil {
					t.Fatal(err)
				}
			},
		}},
		"others can read the database": {on: sqlite, fault: fault{
			check: "exposure", finding: "database_file", status: doctor.Warning, says: "Others on this machine can read",
			fix: "chmod 600 ",
			wrong: func(t *testing.T, w *world) {
				w.tables()
				if err := os.Chmod(strings.TrimPrefix(w.database, "sqlite:"), 0o644); err != nil {
					t.Fatal(err)
				}
			},
		}},
	}
}

func TestDoctorOfWhatIsStored(t *testing.T) {
	t.Parallel()
	for name, f := range storedFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f.on(t))
			f.wrong(t, w)
			report, _ := w.examined(f.settings, f.flags...)
			got := finding(report, f.check, f.finding)
			if got.Status != f.status || !strings.Contains(got.Text, f.says) || !strings.Contains(got.Fix, f.fix) {
				t.Fatalf("%s: %+v\nall: %+v", f.finding, got, report)
			}

			if f.right == nil {
				w.obey(got.Fix)
			} else {
				f.right(t, w)
			}
			until(t, f.finding+" to be green", func() bool {
				report, _ = w.examined(f.after, f.flags...)
				now := finding(report, f.check, f.finding)
				return now.Status == doctor.OK || now.Status == ""
			})
		})
	}
}

// --fix does what loses nobody anything, says what it did, and all is green after it. What takes a decision is left.
func TestDoctorFixes(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	w := newWorld(t, "sqlite:"+filepath.Join(folder, "db", "bot.db"))
	w.dataDir = filepath.Join(folder, "data")
	for _, name := range []string{"db", "data"} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.tables()
	for _, made := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{name: ".env", content: "SLACK_CLIENT_SECRET=" + strings.Repeat("0d", 16) + "\n", mode: 0o644},
		{name: "db/bot.db.key", content: w.keys, mode: 0o644},
		{name: "db/bot.db", mode: 0o640},
		{name: "data/journal", mode: 0o770},
		{name: "data", mode: 0o757},
	} {
		if made.content != "" {
			write(t, made.name, made.content)
		} else if made.name == "data/journal" {
			if err := os.Mkdir(made.name, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(made.name, made.mode); err != nil {
			t.Fatal(err)
		}
	}

	settings := map[string]string{"ENCRYPTION_KEYS": ""}
	before, code := w.examined(settings, "--offline")
	if code != 1 || before.Failed != 3 {
		t.Errorf("before: exit %d, %d failed: %+v", code, before.Failed, before)
	}
	report, code := w.examined(settings, "--offline", "--fix")
	if code != 0 || report.Failed > 0 {
		t.Errorf("after: exit %d, %+v", code, report)
	}
	for check, want := range map[string][]string{
		"keys":    {"ran chmod 600 " + folder + "/db/bot.db.key, which had mode 0644"},
		"journal": {"ran chmod 700 " + w.dataDir + "/journal, which had mode 0770"},
		"exposure": {"ran chmod 600 .env, which had mode 0644", "ran chmod 755 " + w.dataDir + ", which had mode 0757",
			"ran chmod 600 " + folder + "/db/bot.db, which had mode 0640"},
		"database": {}, "inbox": {}, "renewals": {},
	} {
		for _, area := range report.Areas {
			for _, c := range area.Checks {
				if c.Name != check {
					continue
				}
				// SQLite makes its other two files like the first, and they are there or not.
				fixed := slices.DeleteFunc(c.Fixed, func(what string) bool {
					return strings.Contains(what, "bot.db-wal") || strings.Contains(what, "bot.db-shm")
				})
				if !slices.Equal(fixed, want) {
					t.Errorf("%s: fixed %q, want %q", check, fixed, want)
				}
				if check != "renewals" && c.Status != doctor.OK && c.Name != "exposure" {
					t.Errorf("%s: %+v", check, c)
				}
			}
		}
	}

	// A second time there is nothing to do.
	again, _ := w.examined(settings, "--offline", "--fix")
	for _, area := range again.Areas {
		for _, c := range area.Checks {
			if len(c.Fixed) > 0 {
				t.Errorf("again: %s fixed %q", c.Name, c.Fixed)
			}
		}
	}
}

// A file of another user than the one who serves is left as it is: whoever serves may read it by its group.
func TestDoctorLocksNobodyOut(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root can give a folder away: tests in CI do")
		}
		t.Skip("only root can give a folder away")
	}
	folder := t.TempDir()
	t.Chdir(folder)
	w := newWorld(t, "sqlite:"+filepath.Join(folder, "bot.db"))
	w.dataDir = filepath.Join(folder, "data")
	w.tables()
	if err := os.MkdirAll(w.dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, ".env", "SLACK_CLIENT_SECRET="+strings.Repeat("0d", 16)+"\n")
	if err := errors.Join(os.Chmod(".env", 0o640), os.Chown(w.dataDir, 65532, 65532)); err != nil {
		t.Fatal(err)
	}

	w.examined(map[string]string{"ENCRYPTION_KEYS": w.keys}, "--offline", "--fix")
	if info, err := os.Stat(".env"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// Tables are made where there are none. On PostgreSQL, where older replicas can still need them, they aren't changed.
func TestDoctorMakesTables(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		if strings.HasPrefix(w.database, "sqlite:") {
			write(t, strings.TrimPrefix(w.database, "sqlite:"), "")
		}
		report, _ := w.examined(nil, "--offline", "--fix")
		if f := finding(report, "database", "writable"); f.Status != doctor.OK {
			t.Errorf("%+v", report)
		}

		w.execute("DELETE FROM goose_db_version WHERE version_id > 6")
		report, code := w.examined(nil, "--offline")
		if f := finding(report, "database", "schema"); f.Status != doctor.Failed || f.Fix != "switchboard migrate up" || code != 1 {
			t.Errorf("older tables: exit %d %+v", code, f)
		}
	})
}
