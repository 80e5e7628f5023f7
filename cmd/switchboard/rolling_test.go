package main

// A rolling restart, as people at the other end of a proxy see it: not at all.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"switchboard/bot"
	"switchboard/slacksim"
	"switchboard/storage/storagetest"
)

// presser is a handler for a button that does nothing else.
var presser = bot.OnAction("test.press", func(context.Context, *bot.Turn, *slack.InteractionCallback) (bot.Reply, error) {
	return bot.Reply{}, nil
}).Always()

// balancer is a small load balancer. It asks each replica every 500 ms whether it is ready, and hands requests to those
// that were when they were last asked, in turns. It tries nothing twice.
type balancer struct {
	*httptest.Server
	next atomic.Int64

	mu    sync.Mutex
	known []*replica
	ready []*replica
}

const probeEvery = 500 * time.Millisecond

func newBalancer(t *testing.T) *balancer {
	b := &balancer{}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		Rewrite: func(r *httputil.ProxyRequest) {
			if to := b.pick(); to != nil {
				r.SetURL(to.public)
			}
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
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
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		b.mu.Lock()
		known := slices.Clone(b.known)
		b.mu.Unlock()
		var ready []*replica
		for _, r := range known {
			if r.readyz("?exclude=database").status == http.StatusOK {
				ready = append(ready, r)
			}
		}
		b.mu.Lock()
		b.ready = ready
		b.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
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
	ack := c.w.slack.Deliver(context.Background(), raw)

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
	w := newWorld(t, storagetest.Postgres(t)).start(0, nil)
	b := newBalancer(t)
	settings := map[string]string{"DRAIN_DELAY": "2s", "LOG_LEVEL": "info"}
	start := func() *replica {
		own := map[string]string{"DATA_DIR": t.TempDir()}
		for name, value := range settings {
			own[name] = value
		}
		r, err := w.startProcess(own)
		if err != nil {
			t.Fatal(err)
		}
		b.add(t, r)
		return r
	}
	running := []*replica{start(), start()}
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()

	c := &crowd{w: w, to: b.URL, ledger: newLedger(t), sent: map[string]int{}, answers: map[string]map[string]int{}}
	done := make(chan struct{})
	var crowd sync.WaitGroup
	crowd.Go(func() { c.run(1000, done) })
	began := time.Now()
	const restarts = 4
	for i := range restarts {
		r, stopping := running[i], time.Now()
		w.leave(r)
		r.stop()
		w.ends(r)
		t.Logf("a replica stopped in %v", time.Since(stopping).Round(time.Millisecond))
		running = append(running, start())
	}
	t.Logf("%d restarts in %v", restarts, time.Since(began).Round(time.Millisecond))
	close(done)
	crowd.Wait()

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
