package cli

// Replicas behind a proxy that probes them as the Kubernetes example says, while their database is away.

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// kubernetesProbe is the readiness probe in a file of deploy/kubernetes.
func kubernetesProbe(t *testing.T, name string) readinessProbe {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "deploy", "kubernetes", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for documents := yaml.NewDecoder(f); ; {
		var object struct {
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct {
							ReadinessProbe struct {
								HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
								PeriodSeconds    int                         `yaml:"periodSeconds"`
								FailureThreshold int                         `yaml:"failureThreshold"`
							} `yaml:"readinessProbe"`
						}
					}
				}
			}
		}
		switch err := documents.Decode(&object); {
		case errors.Is(err, io.EOF):
			t.Fatalf("%s has no readiness probe", name)
		case err != nil:
			t.Fatal(err)
		}
		for _, c := range object.Spec.Template.Spec.Containers {
			if p := c.ReadinessProbe; p.HTTPGet.Port == "admin" && p.PeriodSeconds > 0 && p.FailureThreshold > 0 {
				return readinessProbe{path: p.HTTPGet.Path, every: time.Duration(p.PeriodSeconds) * time.Second,
					failures: p.FailureThreshold}
			}
		}
	}
}

// The database goes under two replicas. The proxy goes on sending to them, and who types reads what is wrong. A proxy
// that asks for the database as well has nobody left to send to, and its bare 503 is all that people get.
func TestDatabaseAwayBehindKubernetes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t))
	w.start(0, nil)
	u, err := url.Parse(w.database)
	if err != nil {
		t.Fatal(err)
	}
	to := newLine(t, u.Host)
	through := *u
	through.Host = to.Addr().String()

	asWritten := kubernetesProbe(t, "switchboard.yaml")
	asWritten.every /= 40 // for a test that is soon over
	b := newBalancerBy(t, asWritten)
	asked := asWritten
	asked.path, _, _ = strings.Cut(asked.path, "?")
	withDatabase := newBalancerBy(t, asked)
	for range 2 {
		r := w.startOne(map[string]string{"DATABASE_URL": through.String(), "DATA_DIR": t.TempDir()})
		b.add(t, r)
		withDatabase.add(t, r)
	}
	w.through(b)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.quick("before", slacksim.AcmeAdmin, "/connection status", "Working")

	for name, cut := range map[string]bool{"refuses": true, "says nothing": false} {
		to.set(cut, !cut)
		until(t, "the other proxy to give up", func() bool { return withDatabase.pick() == nil })
		b.waitRounds(t, 2*asWritten.failures)
		for range 3 { // both replicas
			w.quick(name, slacksim.AcmeAdmin, "/connection status", "Couldn't check",
				"We can't reach our own records right now.")
		}
		if a := w.browser().get(withDatabase.URL + "/"); a.status != http.StatusServiceUnavailable ||
			strings.Contains(a.body, "records") {
			t.Errorf("%s: behind a proxy that asks for the database: %d %s", name, a.status, a.body)
		}
		to.set(false, false)
		until(t, "the database to be back", func() bool { return withDatabase.pick() != nil })
		w.quick("after", slacksim.AcmeAdmin, "/connection status", "Working")
	}
	w.mu.Lock()
	if strings.Contains(w.seen.String(), `"msg":"not ready","check":"journal"`) {
		t.Error("the journal was told of, and only the database was away")
	}
	w.mu.Unlock()
	w.settle()
	w.stop() // while there is a way to the database
}

// waitRounds waits until each replica was probed so many times more.
func (b *balancer) waitRounds(t *testing.T, n int) {
	t.Helper()
	rounds := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.rounds
	}
	least := rounds() + n + 1 // one may be under way
	until(t, "probes", func() bool { return rounds() >= least })
}

// through has Slack and browsers reach the replicas through a balancer. Until the test ends they count as its own.
func (w *world) through(b *balancer) {
	w.t.Helper()
	public, err := url.Parse(b.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	close(ended)
	w.mu.Lock()
	behind := w.replicas
	w.replicas = []*replica{{public: public, done: ended, stop: func() {
		b.upstream.CloseIdleConnections() // as in stop
		for _, r := range behind {
			r.stop()
		}
		for _, r := range behind {
			w.ends(r)
		}
	}}}
	w.mu.Unlock()
}
