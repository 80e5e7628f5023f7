package cli

// What Slack was told "received" for is worked, and worked once: with processes that are killed, replicas that come and
// go, a database that restarts and a Slack that hangs.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// reported is an event that takes so long, and is told of there.
type reported struct {
	Ledger string `json:"ledger"`
	Millis int    `json:"millis"`
}

// reporter is a handler that says what it works, to an address in the event.
var reporter = bot.OnEvent("star_added", func(ctx context.Context, t *bot.Event[reported]) error {
	if t.Payload.Millis > 0 {
		select {
		case <-time.After(time.Duration(t.Payload.Millis) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	to := t.Payload.Ledger + "/" + t.EventID + "?attempt=" + strconv.Itoa(t.Attempt)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, nil)
	if err != nil {
		return err
	}
	resp, err := reports.Do(r)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}, bot.WithoutConnection())

var reports = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}

// ledger counts what was worked.
type ledger struct {
	*httptest.Server
	mu     sync.Mutex
	worked map[string]int
	refuse atomic.Bool
	news   chan struct{}
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{worked: map[string]int{}, news: make(chan struct{}, 1)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.refuse.Load() {
			http.Error(w, "no", http.StatusTeapot)
			return
		}
		l.mu.Lock()
		l.worked[strings.TrimPrefix(r.URL.Path, "/")]++
		l.mu.Unlock()
		select {
		case l.news <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(l.Close)
	return l
}

// missing returns which of these were not worked yet.
func (l *ledger) missing(ids []string) (missing []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.worked[id] == 0 {
			missing = append(missing, id)
		}
	}
	return missing
}

// all waits until all of these were worked.
func (l *ledger) all(t *testing.T, what string, ids []string, patience time.Duration) {
	t.Helper()
	end := time.After(patience)
	for {
		missing := l.missing(ids)
		if len(missing) == 0 {
			return
		}
		select {
		case <-l.news:
		case <-end:
			t.Fatalf("%s: %d of %d acknowledged events were never worked, for example %s", what, len(missing), len(ids),
				missing[0])
		}
	}
}

// times returns how many events were worked once, twice and so on.
func (l *ledger) times() map[int]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := map[int]int{}
	for _, n := range l.worked {
		times[n]++
	}
	return times
}

// sender delivers signed events as Slack would.
type sender struct {
	w      *world
	ledger *ledger
	millis int // how long a handler takes
	client *http.Client
	next   atomic.Int64
	run    string

	mu    sync.Mutex
	acked []string
	took  []time.Duration // of the acknowledged
	other map[string]int  // what else came back
}

func (w *world) sender(l *ledger) *sender {
	s := &sender{w: w, ledger: l, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		Timeout: 10 * time.Second},
		run: strconv.FormatInt(time.Now().UnixNano(), 36), other: map[string]int{}}
	w.t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// deliver sends one event and reports whether it was acknowledged.
func (s *sender) deliver(to, id string, team int) bool {
	app := s.w.slack.App()
	body := fmt.Appendf(nil,
		`{"type":"event_callback","api_app_id":%q,"team_id":"T0SENDER%02d","event_id":%q,"event_time":%d,"event":{"type":"star_added","ledger":%q,"millis":%d}}`, app.ID, team, id, time.Now().Unix(), s.ledger.URL, s.millis)
	r, err := http.NewRequest(http.MethodPost, to+"/slack/events", bytes.NewReader(body))
	if err != nil {
		s.w.t.Error(err)
		return false
	}
	now := time.Now().Unix()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Slack-Request-Timestamp", strconv.FormatInt(now, 10))
	r.Header.Set("X-Slack-Signature", slacksim.Sign(app.SigningSecret, now, body))
	began := time.Now()
	resp, err := s.client.Do(r)
	answer := "no answer"
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		answer = resp.Status
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer != "200 OK" {
		s.other[answer]++
		return false
	}
	s.acked, s.took = append(s.acked, id), append(s.took, time.Since(began))
	return true
}

// send delivers n events by some connections until stopped. What is not acknowledged is sent again, as Slack does.
func (s *sender) send(ctx context.Context, n, connections int, again bool) {
	var all sync.WaitGroup
	last := s.next.Load() + int64(n)
	for range connections {
		all.Go(func() {
			for ctx.Err() == nil {
				i := s.next.Add(1)
				if i > last {
					return
				}
				id := fmt.Sprintf("Ev%s-%d", s.run, i)
				for !s.deliver(s.w.replica().public.String(), id, int(i%20)) && again && ctx.Err() == nil {
					select {
					case <-time.After(20 * time.Millisecond): // Slack waits longer
					case <-ctx.Done():
					}
				}
			}
		})
	}
	all.Wait()
}

// percentile of what was acknowledged.
func (s *sender) percentile(p float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s.took))
	return sorted[min(len(sorted)-1, int(float64(len(sorted))*p))]
}

// A thousand events acknowledged, the process killed in the middle of it, another one started: each is worked, and none
// more often than it had processes that could work it.
func TestAcknowledgedEventsSurviveAKill(t *testing.T) {
	t.Parallel()
	// worlds beside each other; with more, a process could be without the processor for a lease
	side := storagetest.Rounds(1, 2)
	for i := range side {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			onEach(t, func(t *testing.T, w *world) { acknowledgedSurvive(t, w, storagetest.Rounds(3, 100)/side) })
		})
	}
}

func acknowledgedSurvive(t *testing.T, w *world, rounds int) {
	w.start(0, nil)
	l := newLedger(t)
	settings := map[string]string{"INBOX_LEASE": "1s", "LOG_LEVEL": "info"}
	db := w.sql()
	defer db.Close()
	acked, kept := 0, 0
	for round := range rounds {
		r, err := w.startProcess(settings)
		if err != nil {
			t.Fatal(err)
		}
		s := w.sender(l)
		s.millis = rand.IntN(6)
		sending, stop := context.WithCancel(context.Background())
		sent := make(chan struct{})
		go func() { s.send(sending, 1000, 16, false); close(sent) }()
		// A random moment, after so many of them.
		moment := rand.IntN(1000)
		eventually(t, "some acknowledgements", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.acked) >= moment
		})
		w.kill(r)
		stop()
		<-sent
		before := len(l.missing(s.acked))
		if _, err = w.startProcess(settings); err != nil {
			t.Fatal(err)
		}
		l.all(t, fmt.Sprintf("round %d", round), s.acked, patience)
		acked, kept = acked+len(s.acked), kept+before
		// What was worked just before the kill runs again, a few at a time: a third process is not to meet it.
		eventually(t, "an inbox that is done", func() bool {
			n := -1
			err := db.QueryRow("SELECT count(*) FROM inbox WHERE state <> 'done'").Scan(&n)
			return err == nil && n == 0
		})
		w.stop()
	}
	times := l.times()
	t.Logf("%d events acknowledged, %d of them not worked when the process was killed; worked so many times: %v", acked,
		kept, times)
	for n := range times {
		if n > 2 { // by the process that was killed, and by the one after it
			t.Errorf("an event was worked %d times", n)
		}
	}
}

// One event, delivered many times at once to two replicas, is worked once.
func TestOneEventOneRun(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fresh(t))
			replicas := map[string]int{"sqlite": 1, "postgres": 2}[name] // SQLite belongs to one process
			w.start(replicas, map[string]string{"LOG_LEVEL": "info"})
			l := newLedger(t)
			s := w.sender(l)
			const deliveries = 20
			events := storagetest.Rounds(10, 100)
			for i := range events {
				var all sync.WaitGroup
				for range deliveries {
					all.Go(func() {
						if !s.deliver(w.replica().public.String(), fmt.Sprintf("Ev%s-%d", s.run, i), i%20) {
							t.Error("not acknowledged")
						}
					})
				}
				all.Wait()
			}
			l.all(t, "all", s.acked, patience)
			w.stop()
			if times := l.times(); times[1] != events || len(times) != 1 {
				t.Errorf("%d events, worked so many times: %v", events, times)
			}
			t.Logf("%d deliveries of %d events; worked so many times: %v", len(s.acked), events, l.times())
		})
	}
}

// The database goes away under load, again and again: what it can't keep is not acknowledged, what was acknowledged is
// worked.
func TestDatabaseGoesUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t)).start(0, nil)
	u, err := url.Parse(w.database)
	if err != nil {
		t.Fatal(err)
	}
	to := newLine(t, u.Host)
	u.Host = to.Addr().String()
	for range 2 {
		w.startOne(map[string]string{"DATABASE_URL": u.String(), "INBOX_LEASE": "2s", "LOG_LEVEL": "info"})
	}
	l := newLedger(t)
	s := w.sender(l)
	sending, stop := context.WithTimeout(context.Background(), time.Duration(storagetest.Rounds(2, 30))*time.Second)
	defer stop()
	sent := make(chan struct{})
	go func() { s.send(sending, 1_000_000, 16, true); close(sent) }()
	for cut := true; sending.Err() == nil; cut = !cut {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-sending.Done():
		}
		to.set(cut && sending.Err() == nil, false)
	}
	to.set(false, false)
	<-sent
	l.all(t, "after the last outage", s.acked, patience)
	// A database that says nothing at all: the answer comes in time to be sent again.
	to.gate.Lock()
	began := time.Now()
	kept := s.deliver(w.replica().public.String(), "EvStalled", 1)
	if took := time.Since(began); kept || took > 3*time.Second {
		t.Errorf("with a silent database: acknowledged %v, after %v", kept, took)
	}
	to.gate.Unlock()
	for !s.deliver(w.replica().public.String(), "EvStalled", 1) {
	}
	l.all(t, "sent again", []string{"EvStalled"}, patience)
	t.Logf("%d acknowledged, other answers: %v; worked so many times: %v", len(s.acked), s.other, l.times())
	if s.other["503 Service Unavailable"] == 0 {
		t.Error("no event was refused: the database was never away")
	}
	w.stop() // before the line to the database ends
}

// Slack's API hangs for some seconds, with every handler waiting for it: acknowledgements do not.
func TestSlackHangsUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, map[string]string{"LOG_LEVEL": "info"})
	w.browser().install(slacksim.AcmeAdmin)
	dm := w.slack.DM(slacksim.AcmeMember)
	w.settle()
	hold := w.slack.Inject(slacksim.Fault{Delay: time.Duration(storagetest.Rounds(4, 10)) * time.Second})
	const hanging = 5
	// Its handlers hang in Slack's API.
	for i := range hanging {
		body := fmt.Appendf(nil,
			`{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":"EvHang%d","event_time":%d,"event":{"type":"message","channel_type":"im","channel":%q,"user":%q,"text":"help","ts":"%d.000100"}}`, w.slack.App().ID, slacksim.Acme, i, time.Now().Unix(), dm, slacksim.AcmeMember, time.Now().Unix())
		if a := w.slack.Sender.Deliver(context.Background(),
			slacksim.Raw{Kind: "event", Body: body}); a.Status != http.StatusOK {
			t.Fatalf("event %d: %d", i, a.Status)
		}
	}
	l := newLedger(t)
	s := w.sender(l)
	sending, stop := context.WithTimeout(context.Background(), time.Duration(storagetest.Rounds(1, 5))*time.Second)
	defer stop()
	s.send(sending, 1_000_000, 8, false)
	early := len(w.fromApp(dm, slacksim.AcmeMember))
	p99, most := s.percentile(.99), s.percentile(1)
	t.Logf("%d acknowledged while Slack's API hung: p50 %v, p99 %v, longest %v", len(s.acked), s.percentile(.5), p99, most)
	if len(s.acked) == 0 || len(s.other) > 0 || most > 3*time.Second {
		t.Errorf("%d acknowledged, the slowest after %v; others: %v", len(s.acked), most, s.other)
	}
	// And who needs no Slack is served meanwhile.
	l.all(t, "others", s.acked, patience)
	hold()
	w.wait("the answers", func() bool { return len(w.fromApp(dm, slacksim.AcmeMember)) >= hanging })
	if early > 0 {
		t.Error("Slack did not hang")
	}
}

// Two replicas are restarted one after the other under load, many times: nothing that was acknowledged is lost.
func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t))
	settings := map[string]string{"INBOX_LEASE": "2s", "LOG_LEVEL": "info"}
	w.start(2, settings)
	l := newLedger(t)
	s := w.sender(l)
	s.millis = 20
	sending, stop := context.WithCancel(context.Background())
	sent := make(chan struct{})
	go func() { s.send(sending, 1_000_000, 8, true); close(sent) }()
	restarts := storagetest.Rounds(5, 100)
	for range restarts {
		w.mu.Lock()
		oldest := w.replicas[0]
		w.replicas = w.replicas[1:] // the load balancer sends it nothing new
		w.mu.Unlock()
		oldest.stop()
		<-oldest.done
		if oldest.err != nil {
			t.Error(oldest.err)
		}
		w.startOne(settings)
	}
	stop()
	<-sent
	l.all(t, "after the restarts", s.acked, patience)
	times := l.times()
	t.Logf("%d restarts, %d acknowledged, other answers: %v; worked so many times: %v", restarts, len(s.acked), s.other,
		times)
	if len(times) != 1 {
		t.Errorf("an orderly stop made events run again: %v", times)
	}
}

// What fails for good can be found, read and replayed by somebody with a shell.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		l := newLedger(t)
		l.refuse.Store(true)
		s := w.sender(l)
		for i := range 3 {
			s.deliver(w.replica().public.String(), fmt.Sprint("EvDead", i), 1)
		}
		state := func() (lines []letterLine) {
			out, errs, code := w.command("inbox", "list", "--json")
			if err := json.Unmarshal([]byte(out), &lines); err != nil || code != 0 {
				t.Fatalf("inbox list: %d %s %v", code, errs, err)
			}
			return lines
		}
		dead := func(want int) func() bool {
			return func() bool {
				n := 0
				for _, line := range state() {
					if line.State == "dead" {
						n++
					}
				}
				return n == want
			}
		}
		db := w.sql()
		defer db.Close()
		// All but the last attempt are over.
		eventually(t, "first attempts", func() bool {
			var n int
			if err := db.QueryRow("SELECT count(*) FROM inbox WHERE state = 'waiting' AND failures = 1").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == 3
		})
		if _, err := db.Exec("UPDATE inbox SET failures = 7, visible_at = 0 WHERE state = 'waiting'"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "dead letters", dead(3))
		lines := state()
		first := lines[0]
		if first.EventID != "EvDead0" || first.Error != "418 I'm a teapot" || first.Attempts != 2 || first.Failures != 8 ||
			first.Payload != nil {
			t.Errorf("%+v", first)
		}
		id := strconv.FormatInt(first.ID, 10)
		out, _, code := w.command("inbox", "show", id)
		if code != 0 || !strings.Contains(out, "418 I'm a teapot") || !strings.Contains(out, "2, of which 8 count") ||
			strings.Contains(out, "ledger") {
			t.Errorf("show: %d %s", code, out)
		}
		if out, _, code = w.command("inbox", "show", id, "--payload"); code != 0 || !strings.Contains(out, `"ledger"`) {
			t.Errorf("show --payload: %d %s", code, out)
		}
		l.refuse.Store(false)
		if out, _, code = w.command("inbox", "replay", id); code != 0 || out != "1 dead letter replayed.\n" {
			t.Errorf("replay: %d %q", code, out)
		}
		l.all(t, "replayed", []string{"EvDead0"}, patience)
		if _, errs, code := w.command("inbox", "replay", id); code != 1 || !strings.Contains(errs, "isn't a dead letter") {
			t.Errorf("replayed twice: %d %q", code, errs)
		}
		if out, _, code = w.command("inbox", "drop", "--all", "--json"); code != 0 ||
			strings.Join(strings.Fields(out), "") != `{"dropped":2}` {
			t.Errorf("drop: %d %q", code, out)
		}
		eventually(t, "an empty inbox", func() bool { return len(state()) == 0 })
		if out, _, _ = w.command("inbox", "list"); out != "The inbox is empty.\n" {
			t.Errorf("list: %q", out)
		}
		// That they came is remembered all the same.
		s.deliver(w.replica().public.String(), "EvDead1", 1)
		w.stop()
		if n := l.times(); n[1] != 1 {
			t.Errorf("worked so many times: %v", n)
		}
	})
}

// eventually looks now and then.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
