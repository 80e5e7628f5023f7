package server

// The operators' door: whether this process can do its work, and its numbers. It opens before everything else and
// closes last, so that a start and a stop can be watched, too.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// How long the operators' door waits at the very end for who still reads an answer.
const adminDrain = 2 * time.Second

// adminDoor is what answers at ADMIN_ADDR.
type adminDoor struct {
	readiness *readiness
	stopping  context.CancelFunc // /readyz is red from now on
	addr      net.Addr
	server    *http.Server
	conns     *conns
	failed    chan error // why it doesn't answer any longer
}

// openAdmin opens the door at l, which it owns, to addresses and the names in hosts. /readyz is red until a Server
// serves, and from the moment ctx ends.
func openAdmin(ctx context.Context, l net.Listener, hosts []string, numbers *prometheus.Registry,
	log *slog.Logger) *adminDoor {
	ctx, stopping := context.WithCancel(ctx)
	d := &adminDoor{
		readiness: &readiness{stop: ctx, log: log, said: map[string]lasting{}},
		stopping:  stopping,
		addr:      l.Addr(),
		conns:     newConns(adminConns),
		failed:    make(chan error, 1),
	}
	d.server = server(bounded(adminOnly(hosts, d.routes(numbers))), d.conns, log)
	go func() {
		if err := d.server.Serve(listener{l, d.conns}); !errors.Is(err, http.ErrServerClosed) {
			d.failed <- fmt.Errorf("serve %s: %w", d.addr, err)
		}
	}()
	return d
}

func (d *adminDoor) routes(numbers *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(numbers, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /readyz", d.readiness)
	return mux
}

// serves ends the start: from now on /readyz says how s is.
func (d *adminDoor) serves(s *Server) { d.readiness.server.Store(s) }

// watch waits until ctx ends, which is when /readyz turns red for good. It returns why the door itself failed.
func (d *adminDoor) watch(ctx context.Context) error {
	defer d.stopping()
	select {
	case err := <-d.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// close is the last thing that an app needs.
func (d *adminDoor) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), adminDrain)
	defer cancel()
	d.stopping()
	d.conns.stop()
	return d.server.Shutdown(ctx)
}
