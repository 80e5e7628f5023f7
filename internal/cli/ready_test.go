package cli

// What /readyz says, and that a stop is seen before it is felt.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// probe asks as a proxy does, on a connection of its own. Status 0: nobody answers.
func probe(address string) answer {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(address)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// readyz is what a replica says to a probe with this query.
func (r *replica) readyz(query string) answer { return probe(r.admin.String() + "/readyz" + query) }

// The manner is that of Kubernetes' own: short when all is well, the whole list when something isn't or somebody asks,
// and a warning about a name that is no check's.
func TestReadyzListsItsChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	r := w.replicas[0]
	for query, want := range map[string]string{
		"":         "ok\n",
		"?verbose": "[+]database ok\n[+]schema ok\n[+]journal ok\n[+]sockets ok\n[+]stopping ok\nreadyz check passed\n",
		"?verbose&exclude=database&exclude=sockets": "[+]database excluded: ok\n[+]schema ok\n[+]journal ok\n" +
			"[+]sockets excluded: ok\n[+]stopping ok\nreadyz check passed\n",
		"?verbose&exclude=databse": "[+]database ok\n[+]schema ok\n[+]journal ok\n[+]sockets ok\n[+]stopping ok\n" +
			"warn: some checks cannot be excluded: no matches for [\"databse\"]\nreadyz check passed\n",
		"?exclude=databse": "ok\n",
	} {
		if a := r.readyz(query); a.status != http.StatusOK || a.body != want {
			t.Errorf("%q: %d %q, want %q", query, a.status, a.body, want)
		}
	}

	w.noJournal()
	const list = "[+]database ok\n[+]schema ok\n[-]journal failed: the journal in DATA_DIR can't be written to, or was " +
		"deleted a moment ago\n" +
		"[+]sockets ok\n[+]stopping ok\nreadyz check failed\n"
	for _, query := range []string{"", "?verbose", "?exclude=nothing"} {
		got := r.readyz(query)
		said := strings.Replace(got.body, "warn: some checks cannot be excluded: no matches for [\"nothing\"]\n", "", 1)
		if got.status != http.StatusServiceUnavailable || said != list {
			t.Errorf("%q without a journal: %d %q, want %q", query, got.status, got.body, list)
		}
	}
	if a := r.readyz("?exclude=journal"); a.status != http.StatusOK {
		t.Errorf("without a journal, which was excluded: %d %s", a.status, a.body)
	}
	if n := w.logged("not ready"); n != 1 {
		t.Errorf("four probes met one fault that lasts, and %d lines are logged", n)
	}
}

// noJournal puts a file where the journal's folder was.
func (w *world) noJournal() {
	w.t.Helper()
	folder := filepath.Join(w.dataDir, "journal")
	for i := 0; ; i++ { // the program may make it anew in between
		if err := os.Rename(folder, fmt.Sprint(folder, ".away", i)); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(folder, nil, 0o600); err == nil {
			return
		}
	}
}

// A journal that was taken away is seen by whoever asks whether the program is ready, and is made anew.
func TestLostJournalIsNotReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	folder := filepath.Join(w.dataDir, "journal")
	if err := os.Rename(folder, folder+".away"); err != nil { // in one step: the program makes it anew
		t.Fatal(err)
	}
	for range 3 {
		if a := w.replicas[0].readyz(""); a.status != http.StatusServiceUnavailable ||
			!strings.Contains(a.body, "[-]journal failed") {
			t.Errorf("/readyz %d %s", a.status, a.body)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "journal.db")); err != nil {
		t.Errorf("it was not made anew: %v", err)
	}
	if n := w.logged("not ready"); n != 1 {
		t.Errorf("%d lines for one journal that was taken away", n)
	}
	if n := w.sum("switchboard_journal_writable"); n != 0 {
		t.Errorf("switchboard_journal_writable %v", n)
	}
}

// A database that is away for a while is one line when it goes and one when it is back, however often a probe asks. Who
// left it out of the question is not told of it.
func TestOneLineForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t))
	u, err := url.Parse(w.database)
	if err != nil {
		t.Fatal(err)
	}
	to := newLine(t, u.Host)
	through := *u
	through.Host = to.Addr().String()
	r := w.start(1, map[string]string{"DATABASE_URL": through.String()}).replicas[0]

	to.set(true, false)
	for range 5 {
		a := r.readyz("")
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "[-]database failed") ||
			!strings.Contains(a.body, "[+]schema ok") {
			t.Errorf("/readyz: %d %s", a.status, a.body)
		}
		w.metrics(r)
		w.refused(t)
	}
	if n := w.logged("count connections"); n != 1 {
		t.Errorf("%d lines for numbers that can't be had for as long", n)
	}
	if a := r.readyz("?exclude=database"); a.status != http.StatusOK {
		t.Errorf("/readyz?exclude=database: %d %s", a.status, a.body)
	}
	if n := w.logged("not ready"); n != 1 || w.logged("ready again") != 0 {
		t.Errorf("%d lines of one database that is away", n)
	}

	to.set(false, false)
	until(t, "/readyz to be green", func() bool { return r.readyz("").status == http.StatusOK })
	if n := w.logged("ready again"); n != 1 || w.logged("not ready") != 1 {
		t.Errorf("%d lines of its return", n)
	}

	until(t, "the inbox to be looked into", func() bool { return w.logged("the inbox can be looked into again") == 1 })
	for message, level := range map[string]string{
		"event not accepted: Slack sends it again": "ERROR", "the inbox can't be looked into": "WARN",
	} {
		loud := 0
		for line := range strings.Lines(w.seen.String()) {
			if strings.Contains(line, `"msg":"`+message+`"`) && !strings.Contains(line, `"level":"DEBUG"`) {
				loud++
				if !strings.Contains(line, `"level":"`+level+`"`) {
					t.Errorf("not %s: %s", level, line)
				}
			}
		}
		if loud != 1 {
			t.Errorf("%d lines %q of one database that was away", loud, message)
		}
	}
}

// refused has Slack send an event that can't be kept.
func (w *world) refused(t *testing.T) {
	t.Helper()
	event := fmt.Sprintf(`{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":"EvAway%d","event_time":1,`+
		`"event":{"type":"message","channel_type":"im","channel":"D1","user":"U1","text":"help","ts":"1.1"}}`,
		w.slack.App().ID, slacksim.Acme, w.next.Add(1))
	ack := w.slack.Sender.Deliver(t.Context(), slacksim.Raw{Kind: "event", Type: "message", Body: []byte(event)})
	if ack.Status != http.StatusServiceUnavailable {
		t.Errorf("an event that can't be kept is answered %d", ack.Status)
	}
}

// The operators' door is open while the program starts, and red, whatever is left out of the question. Here it starts
// for as long as a database says nothing.
func TestReadyzIsRedWhileStarting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)) // not used
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := "http://" + free.Addr().String()
	_ = free.Close()
	settings := w.settings(map[string]string{
		"ADMIN_ADDR":   strings.TrimPrefix(admin, "http://"),
		"DATABASE_URL": "postgres://u@" + silent.Addr().String() + "/x?sslmode=disable", "ENCRYPTION_KEYS": seal.NewKey(),
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"serve"}, settings, io.Discard, w) }()
	asked, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	const all = "?exclude=database&exclude=schema&exclude=journal&exclude=sockets"
	for path, want := range map[string]int{
		"/livez": http.StatusOK, "/metrics": http.StatusOK,
		"/readyz": http.StatusServiceUnavailable, "/readyz" + all: http.StatusServiceUnavailable,
	} {
		if a := probe(admin + path); a.status != want {
			t.Errorf("%s while the program starts: %d, want %d: %s", path, a.status, want, a.body)
		}
	}
	stop()
	<-ended
}

// After a SIGTERM proxies have DRAIN_DELAY to see the red before they would be refused. Another signal ends the wait.
func TestStopIsSeenBeforeTheDoorCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	r, err := w.startProcess(map[string]string{"DRAIN_DELAY": "1m"})
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	until(t, "the red", func() bool { return strings.Contains(r.readyz("?exclude=database").body, "[-]stopping failed") })
	if door := probe(r.public.String() + "/"); door.status != http.StatusOK {
		t.Errorf("the public door, while /readyz is red: %d %s", door.status, door.body)
	}
	kept, err := http.Get(r.public.String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = kept.Body.Close()
	if !kept.Close {
		t.Error("a proxy is not told to use this connection no longer")
	}
	select {
	case <-r.done:
		t.Fatal("it did not wait: ", r.err)
	default:
	}

	r.stop()
	w.ends(r)
	if door := probe(r.public.String() + "/"); door.status != 0 {
		t.Errorf("the public door of an ended process: %d", door.status)
	}
}

// ends waits for the end of a replica, which has to be a good one.
func (w *world) ends(r *replica) {
	w.t.Helper()
	select {
	case <-r.done:
		if r.err != nil {
			w.t.Errorf("it ended with %v", r.err)
		}
	case <-time.After(patience):
		w.t.Error("it does not end")
	}
}

// The wait is as long as it was set, and there is none on Ctrl-C: whoever pressed it looks on.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	const delay = 300 * time.Millisecond
	for name, test := range map[string]struct {
		signal syscall.Signal
		delay  time.Duration
		least  time.Duration
	}{
		"SIGTERM": {signal: syscall.SIGTERM, delay: delay, least: delay},
		"Ctrl-C":  {signal: syscall.SIGINT, delay: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storagetest.SQLite(t))
			r, err := w.startProcess(map[string]string{"DRAIN_DELAY": test.delay.String()})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := r.process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			w.ends(r)
			if took := time.Since(began); took < test.least {
				t.Errorf("it ended after %v", took)
			}
		})
	}
}

// Where nothing comes through the public door nobody has to be sent elsewhere.
func TestNoDrainDelayWithoutAPublicDoor(t *testing.T) {
	t.Parallel()
	sockets := map[string]string{"SLACK_APP_TOKEN": "xapp-1-A0TEST-" + strings.Repeat("f", 40)}
	for want, settings := range map[time.Duration]map[string]string{
		5 * time.Second: over(good, sockets), // its pages are on the door
		0:               over(sockets, map[string]string{"SLACK_BOT_TOKEN": "xoxb-1-" + strings.Repeat("f", 24)}),
	} {
		s := newSource(func(name string) string { return settings[name] })
		cfg := server.Config{Install: install.Config{BotToken: s.secret("SLACK_BOT_TOKEN")}, ListenAddr: ":1",
			AdminAddr: ":2", DrainDelay: drainDelay(s, "")}
		(&serveCmd{}).check(s, &cfg)
		if cfg.DrainDelay != want {
			t.Errorf("%v, want %v", cfg.DrainDelay, want)
		}
	}
}
