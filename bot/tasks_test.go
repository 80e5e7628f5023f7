package bot

// Goroutines that others' code runs in: counted, ended in any order, and none takes the process along.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// loggedBot is a Bot with a log to look at.
func loggedBot(t *testing.T, change func(*Config), handlers ...Handler) (*Bot, *lockedBuffer) {
	t.Helper()
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	cfg := Config{Install: in, SigningSecrets: []connection.Secret{docSecret}, Handlers: handlers,
		Log: slog.New(slog.NewTextHandler(log, nil))}
	if change != nil {
		change(&cfg)
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b, log
}

// onGone handles an event that needs no permission and no connection.
func onGone(run func() error, options ...Option) Handler {
	return OnEvent("app_uninstalled", func(context.Context, *Event[struct{}]) error { return run() },
		append(options, WithoutConnection())...)
}

func goneBody(id string) []byte {
	return []byte(`{"type":"event_callback","event_id":"` + id + `","team_id":"T1","event":{"type":"app_uninstalled"}}`)
}

// number is the sum of a counter, over all its labels.
func number(t *testing.T, from *prometheus.Registry, name string) (n float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestTasksBeginWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all tasks
		all.Wait() // there are none
		first, second := make(chan struct{}), make(chan struct{})
		all.Go(func() { <-first })
		idle := all.idle()
		all.Go(func() { <-second })
		close(first)
		synctest.Wait()
		select {
		case <-idle:
			t.Error("idle while one runs")
		default:
		}
		close(second)
		<-idle
		all.Go(func() {})
		all.Wait()
	})
}

func TestTaskThatPanics(t *testing.T) {
	numbers := prometheus.NewRegistry()
	b, log := loggedBot(t, func(c *Config) { c.Metrics = numbers })
	b.tasks.Go(func() { panic("out of luck") })
	b.tasks.Wait()
	if !strings.Contains(log.String(), "out of luck") || !strings.Contains(log.String(), "tasks_test.go") {
		t.Errorf("logged as %q", log.String())
	}
	if n := number(t, numbers, "switchboard_panics_total"); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
}

// What can't be read has nobody who could be told, and nothing to be told by.
func TestUnreadablePressWithoutAddress(t *testing.T) {
	numbers := prometheus.NewRegistry()
	b, log := loggedBot(t, func(c *Config) { c.Metrics = numbers })
	a, err := b.accept(t.Context(), transport.Delivery{Kind: transport.KindInteractive, Body: []byte("7")})
	if err != nil {
		t.Fatal(err)
	}
	if a.After != nil {
		a.After()
	}
	b.tasks.Wait()
	if n := number(t, numbers, "switchboard_panics_total"); n != 0 {
		t.Errorf("%v panics: %s", n, log.String())
	}
}

// Run and the server may end in any order: what comes meanwhile and afterwards ends nothing.
func TestRunEndsWhileCommandsCome(t *testing.T) {
	t.Parallel()
	h := OnCommand("/x", func(ctx context.Context, t *Command) error {
		return t.Respond(ctx, Reply{Text: "x"})
	}, WithoutConnection(), Describe("x", ""))
	for range 20 {
		b, _ := loggedBot(t, nil, h)
		running, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { _ = b.Run(running); close(ended) }()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				after := false
				for n := 0; !after; n++ {
					select {
					case <-ended:
						after = true // one more
					default:
					}
					w := httptest.NewRecorder()
					b.Handler().ServeHTTP(w, request("application/x-www-form-urlencoded",
						[]byte("command=/x&team_id=T1&api_app_id=A1&user_id=U1")))
					if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"x"`) {
						t.Errorf("%d %s", w.Code, w.Body)
						return
					}
					if n == 3 {
						stop()
					}
				}
			})
		}
		all.Wait()
		stop()
	}
}

// What comes after Run has ended is refused, so that Slack sends it again, unless somebody else will find it.
func TestEventAfterRunEnded(t *testing.T) {
	var ran bool
	b, log := loggedBot(t, nil, onGone(func() error { ran = true; return nil }))
	running, stop := context.WithCancel(context.Background())
	stop()
	if err := b.Run(running); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, request("application/json", goneBody("Ev1")))
	if w.Code != http.StatusServiceUnavailable || ran {
		t.Errorf("an event that nobody will ever work is answered with %d", w.Code)
	}
	if strings.Contains(log.String(), "Run. It waits") {
		t.Error("that Run is missing is said of one that ended")
	}
}

// A Bot of which nobody has called Run says so, once.
func TestRunForgotten(t *testing.T) {
	b, log := loggedBot(t, nil, onGone(func() error { return nil }))
	for _, id := range []string{"Ev1", "Ev2"} {
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, request("application/json", goneBody(id)))
		if w.Code != http.StatusOK {
			t.Error(w.Code)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "nobody has called the "+
		"Bot's Run") {
		t.Errorf("warned %d times: %s", n, log.String())
	}
}

// The inbox in memory keeps the Bot's time: with another clock than the machine's a retry comes when it is due.
func TestMemoryInboxKeepsTheBotsTime(t *testing.T) {
	for _, ahead := range []time.Duration{10 * time.Hour, -10 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			runs := make(chan time.Time, 9)
			b, _ := loggedBot(t, func(c *Config) {
				c.Now = func() time.Time { return time.Now().Add(ahead) }
			}, onGone(func() error {
				if runs <- time.Now(); len(runs) == 1 {
					return errors.New("not yet")
				}
				return nil
			}))
			running, stop := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- b.Run(running) }()
			e := gone("Ev1", 0)
			if _, err := b.workers.inbox.Add(running, &e, false); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if len(runs) != 2 {
				t.Fatalf("%d runs in the minute after a failure", len(runs))
			}
			first, second := <-runs, <-runs
			if pause := second.Sub(first); pause < time.Second || pause > 2*time.Second {
				t.Errorf("tried again after %v, want a second and a bit", pause)
			}
			stop()
			<-ended
		})
	}
}
