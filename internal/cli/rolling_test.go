package cli

// A rolling restart, as people at the other end of a proxy see it: not at all.

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// presser is a handler for a button that does nothing else.
var presser = bot.OnAction("test.press", func(context.Context, *bot.Action) error { return nil },
	bot.WithoutConnection())

// balancer is a small load balancer. It asks each replica now and then whether it is ready, and hands requests to those
// that are, in turns. It tries nothing twice.
type balancer struct {
	*httptest.Server
	by       readinessProbe
	next     atomic.Int64
	upstream *http.Transport

	mu     sync.Mutex
	rounds int // of probes
	known  []*replica
	failed map[*replica]int // probes one after the other
	ready  []*replica
}

// readinessProbe is what a balancer asks, how often, and how many failures one after the other count.
type readinessProbe struct {
	path     string
	every    time.Duration
	failures int
}

func newBalancer(t *testing.T) *balancer {
	return newBalancerBy(t, readinessProbe{path: "/readyz?exclude=database", every: 500 * time.Millisecond, failures: 1})
}

func newBalancerBy(t *testing.T, by readinessProbe) *balancer {
	b := &balancer{by: by, failed: map[*replica]int{}, upstream: &http.Transport{MaxIdleConnsPerHost: 64}}
	proxy := &httputil.ReverseProxy{
		Transport: b.upstream,
		Rewrite: func(r *httputil.ProxyRequest) {
			if to := b.pick(); to != nil {
				r.SetURL(to.public)
			}
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			status := http.StatusBadGateway
			if b.pick() == nil { // as an Ingress without endpoints
				status = http.StatusServiceUnavailable
			}
			http.Error(w, err.Error(), status)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	b.Server = httptest.NewServer(whole(proxy.ServeHTTP))
	ctx, cancel := context.WithCancel(context.Background())
	var probing sync.WaitGroup
	probing.Go(func() { b.probe(ctx) })
	t.Cleanup(func() { cancel(); probing.Wait(); b.Close() })
	return b
}

func (b *balancer) probe(ctx context.Context) {
	tick := time.NewTicker(b.by.every)
	defer tick.Stop()
	for {
		b.mu.Lock()
		known := slices.Clone(b.known)
		b.mu.Unlock()
		var asked sync.WaitGroup
		for _, r := range known {
			asked.Go(func() { b.judge(r, probe(r.admin.String()+b.by.path).status == http.StatusOK) })
		}
		asked.Wait()
		b.mu.Lock()
		b.rounds++
		b.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// judge takes a replica in after a probe that it passed, and out after enough that it failed.
func (b *balancer) judge(r *replica, passed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed {
		b.failed[r] = 0
		if !slices.Contains(b.ready, r) {
			b.ready = append(b.ready, r)
		}
		return
	}
	if b.failed[r]++; b.failed[r] >= b.by.failures {
		b.ready = slices.DeleteFunc(b.ready, func(x *replica) bool { return x == r })
	}
}

func (b *balancer) pick() *replica {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return nil
	}
	return b.ready[int(b.next.Add(1))%len(b.ready)]
}

// add lets the balancer know a replica, and waits until it found it ready.
func (b *balancer) add(t *testing.T, r *replica) {
	t.Helper()
	b.mu.Lock()
	b.known = append(b.known, r)
	b.mu.Unlock()
	until(t, "a replica to be ready", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Contains(b.ready, r)
	})
}

// crowd sends events, commands and presses for as long as it is told to, and counts what was answered.
type crowd struct {
	w      *world
	to     string
	ledger *ledger

	mu      sync.Mutex
	sent    map[string]int            // by kind
	answers map[string]map[string]int // other than 200, by kind
	events  []string
	worst   time.Duration
}

func (c *crowd) deliver(kind string, n int) {
	app, dana := c.w.slack.App(), slacksim.AcmeAdmin
	raw, id := slacksim.Raw{URL: c.to + "/slack/events", Kind: kind}, fmt.Sprintf("EvRoll%05d", n)
	switch kind {
	case "event":
		raw.Body = fmt.Appendf(nil, `{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":%q,"event_time":%d,`+
			`"event":{"type":"star_added","ledger":%q,"millis":5}}`, app.ID, slacksim.Acme, id, time.Now().Unix(), c.ledger.URL)
	case "command":
		raw.Body = []byte(url.Values{"team_id": {slacksim.Acme}, "user_id": {dana}, "channel_id": {slacksim.AcmeGeneral},
			"command": {"/connection"}, "text": {"help"}, "api_app_id": {app.ID}, "trigger_id": {"1.2.3"}}.Encode())
	case "interaction":
		payload, _ := json.Marshal(map[string]any{"type": "block_actions", "api_app_id": app.ID, "trigger_id": "1.2.3",
			"team": map[string]string{"id": slacksim.Acme}, "user": map[string]string{"id": dana, "team_id": slacksim.Acme},
			"channel": map[string]string{"id": slacksim.AcmeGeneral},
			"actions": []any{map[string]string{"type": "button", "action_id": "test.press", "block_id": "b", "value": "v"}}})
		raw.Body = []byte(url.Values{"payload": {string(payload)}}.Encode())
	}
	ack := c.w.slack.Sender.Deliver(context.Background(), raw)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[kind]++
	c.worst = max(c.worst, ack.Took)
	if ack.Status == http.StatusOK && ack.Err == "" {
		if kind == "event" {
			c.events = append(c.events, id)
		}
		return
	}
	if c.answers[kind] == nil {
		c.answers[kind] = map[string]int{}
	}
	c.answers[kind][fmt.Sprintf("%d %s %s", ack.Status, ack.Err, bytes.TrimSpace(ack.Body))]++
}

// run sends at least so many of each kind, and more until done.
func (c *crowd) run(least int64, done <-chan struct{}) {
	const senders, pace = 4, 25 * time.Millisecond
	var all sync.WaitGroup
	for _, kind := range []string{"event", "command", "interaction"} {
		var sent atomic.Int64
		for range senders {
			all.Go(func() {
				tick := time.NewTicker(pace)
				defer tick.Stop()
				for range tick.C {
					n := sent.Add(1)
					select {
					case <-done:
						if n > least {
							return
						}
					default:
					}
					c.deliver(kind, int(n))
				}
			})
		}
	}
	all.Wait()
}

// Two replicas are restarted one after the other, behind a proxy that probes, while people use the app: nobody is
// answered with anything but 200, and every event is worked.
func TestRollingRestartIsSeenByNobody(t *testing.T) {
	storagetest.Long(t)
	r := rolls(t)
	began := time.Now()
	const restarts = 4
	for range restarts {
		stopping := time.Now()
		r.stopFirst()
		t.Logf("a replica stopped in %v", time.Since(stopping).Round(time.Millisecond))
		r.start()
	}
	t.Logf("%d restarts in %v", restarts, time.Since(began).Round(time.Millisecond))
	r.finish()
}

// A release is taken back under load: the schema is its successor's by then, which says that this one can work with it.
// Nobody sees that either. Where the successor says that it can't, a replica doesn't start, and one that runs says so.
func TestRollbackUnderLoad(t *testing.T) {
	storagetest.Long(t)
	r := rolls(t)
	db, err := sql.Open("pgx", r.w.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tomorrow := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}

	tomorrow("ALTER TABLE inbox ADD COLUMN of_tomorrow text NOT NULL DEFAULT ''",
		"ALTER TABLE connections ADD COLUMN of_tomorrow text NOT NULL DEFAULT ''",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (9998, true)")
	for range 2 {
		r.stopFirst()
		if a := r.start().readyz("?verbose"); a.status != http.StatusOK {
			t.Errorf("/readyz on a newer schema: %d %s", a.status, a.body)
		}
	}
	r.finish()
	if n := r.w.sum(`switchboard_deliveries_total{kind="events_api",result="refused"}`); n != 0 {
		t.Errorf("%v events were refused", n)
	}

	tomorrow("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)",
		"UPDATE schema_state SET works_from = 9999")
	until(t, "/readyz to be red", func() bool {
		a := r.running[0].readyz("")
		return a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "[-]schema failed")
	})
	if _, errs, code := r.w.command("serve"); code != 1 || !strings.Contains(errs, "newer") {
		t.Errorf("serve on a schema that it can't work with: exit %d %s", code, errs)
	}
}

// rolling is two replicas on one PostgreSQL behind a balancer, and people who use the app meanwhile.
type rolling struct {
	w       *world
	b       *balancer
	running []*replica
	crowd   *crowd
	done    chan struct{}
	using   sync.WaitGroup
}

func rolls(t *testing.T) *rolling {
	t.Helper()
	r := &rolling{w: newWorld(t, storagetest.Postgres(t)).start(0, nil), b: newBalancer(t), done: make(chan struct{})}
	r.start()
	r.start()
	r.w.browser().install(slacksim.AcmeAdmin)
	r.w.settle()
	r.crowd = &crowd{w: r.w, to: r.b.URL, ledger: newLedger(t), sent: map[string]int{},
		answers: map[string]map[string]int{}}
	r.using.Go(func() { r.crowd.run(1000, r.done) })
	return r
}

// start starts one more replica and waits until the balancer sends to it.
func (r *rolling) start() *replica {
	r.w.t.Helper()
	n, err := r.w.startProcess(map[string]string{"DRAIN_DELAY": "2s", "LOG_LEVEL": "info", "DATA_DIR": r.w.t.TempDir()})
	if err != nil {
		r.w.t.Fatal(err)
	}
	r.b.add(r.w.t, n)
	r.running = append(r.running, n)
	return n
}

// stopFirst stops the replica that runs for longest.
func (r *rolling) stopFirst() {
	r.w.t.Helper()
	first := r.running[0]
	r.running = r.running[1:]
	r.w.leave(first)
	first.stop()
	r.w.ends(first)
}

// finish ends the use of the app: nobody was answered with anything but 200, and every event was worked.
func (r *rolling) finish() {
	t, c := r.w.t, r.crowd
	t.Helper()
	close(r.done)
	r.using.Wait()
	for kind, answers := range c.answers {
		t.Errorf("%s: answered other than 200: %v", kind, answers)
	}
	c.ledger.all(t, "all", c.events, patience)
	t.Logf("%v sent, the slowest answered after %v; events worked so many times: %v",
		c.sent, c.worst.Round(time.Millisecond), c.ledger.times())
}

// leave takes a replica out of the world, which expects the others to run until its end.
func (w *world) leave(r *replica) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas = slices.DeleteFunc(w.replicas, func(x *replica) bool { return x == r })
}
