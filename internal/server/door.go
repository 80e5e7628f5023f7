package server

// The doors: who may come in, how many at once, and how long they may take. Behind them nobody has to ask that again.
// The operators' door tells whether this process can do its work, and its numbers. It opens before everything else and
// closes last, so that a start and a stop can be watched, too.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// Connections at once, if the limit of open files allows it. Slack, or the proxy in front, has some hundreds at
	// most.
	usualConns = 1024
	adminConns = 16
	// Files that are kept for the database, the journal and calls to Slack; no more than half of them all.
	reservedFiles = 256
	// A connection on which nothing was asked for so long is the first to give way.
	firstWord = time.Second
	// What people send is a short form, and that is the time for it.
	largestForm = 64 << 10
	formBudget  = 2 * time.Second
	// Slack's own door.
	eventsPath = "/slack/events"
)

// connLimit is how many connections the public door has with so many files that may be open.
func connLimit(files uint64) int {
	spare := files - min(reservedFiles, files/2)
	return int(min(usualConns, max(spare, 2*adminConns)-adminConns))
}

// server is an HTTP server whose slow and oversized requests end. conns are its connections.
func server(h http.Handler, conns *conns, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ConnState:         conns.note,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      40 * time.Second, // above the longest answer, the install's callback
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients that hang up
	}
}

// conns knows the connections of a server, and keeps them below a limit: above it, the one that has been without a
// request for longest gives way, and where all have one, the next waits.
type conns struct {
	most int

	mu      sync.Mutex
	changed sync.Cond // of all and done
	all     map[net.Conn]connState
	done    bool
}

type connState struct {
	http.ConnState
	since time.Time
}

func newConns(most int) *conns {
	c := &conns{most: most, all: map[net.Conn]connState{}}
	c.changed.L = &c.mu
	return c
}

// note is told of every change of a connection.
func (c *conns) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case state == http.StateClosed || state == http.StateHijacked:
		delete(c.all, conn)
	case state == http.StateNew && c.done:
		_ = conn.Close()
	default:
		if before, known := c.all[conn]; !known && state != http.StateNew {
			return // it gave way
		} else if before.ConnState == state && known {
			return
		}
		c.all[conn] = connState{state, time.Now()}
	}
	c.changed.Broadcast()
}

// stop closes the connections on which nothing was asked yet. Browsers and proxies keep such spares, and a server that
// stops would wait 5 s for each of them to speak.
func (c *conns) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	for conn, state := range c.all {
		if state.ConnState == http.StateNew {
			_ = conn.Close()
		}
	}
	c.changed.Broadcast()
}

// room waits until there is room for one more connection.
func (c *conns) room() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.done && len(c.all) >= c.most {
		if spare := c.spareLocked(time.Now()); spare != nil {
			delete(c.all, spare)
			_ = spare.Close()
			continue
		}
		c.changed.Wait()
	}
}

// spareLocked is the connection that is to give way: nil while all are busy.
func (c *conns) spareLocked(now time.Time) net.Conn {
	var oldest net.Conn
	var found connState
	silent := func(s connState) bool { return s.ConnState == http.StateNew && now.Sub(s.since) > firstWord }
	for conn, state := range c.all {
		switch {
		case state.ConnState == http.StateActive:
		case oldest == nil, silent(state) && !silent(found),
			silent(state) == silent(found) && state.since.Before(found.since):
			oldest, found = conn, state
		}
	}
	return oldest
}

// listener lets in what conns has room for.
type listener struct {
	net.Listener
	conns *conns
}

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.conns.room()
	}
	return conn, err
}

// entrance hands requests on while there is somebody to answer them, and knows when the last one is answered.
type entrance struct {
	mu     sync.Mutex
	app    http.Handler // nil: closed
	inside sync.WaitGroup
}

func (e *entrance) open(app http.Handler) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.app = app
}

// close lets nobody in any more, and waits until those inside are answered or ctx ends.
func (e *entrance) close(ctx context.Context) {
	e.open(nil)
	empty := make(chan struct{})
	go func() {
		defer close(empty)
		e.inside.Wait()
	}()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// enter is the app, nil when it is closed. Whoever got it calls inside.Done.
func (e *entrance) enter() http.Handler {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.app != nil {
		e.inside.Add(1)
	}
	return e.app
}

func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app := e.enter()
	if app == nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "not serving: starting or stopping", http.StatusServiceUnavailable)
		return
	}
	defer e.inside.Done()
	app.ServeHTTP(w, r)
}

// bounded keeps strangers from holding a connection with a body that nobody asked for, or that doesn't end. The door
// for Slack sees to that itself: a body there may be larger, and has a signature.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.URL.Path != eventsPath {
			wait := formBudget
			if r.Method != http.MethodPost {
				wait = 0 // it is answered, and its body never read
			}
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait))
			r.Body = http.MaxBytesReader(w, r.Body, largestForm)
		}
		next.ServeHTTP(w, r)
	})
}

// adminOnly answers addresses, localhost and the names in hosts. A page in somebody's browser can have its own name
// lead to this machine (DNS rebinding), and would read what is here; it can't choose what stands in the Host header. A
// probe may leave that out.
func adminOnly(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
		_, notAnAddress := netip.ParseAddr(host)
		if host != "" && host != "localhost" && notAnAddress != nil && !slices.Contains(hosts, host) {
			const words = "ADMIN_ADDR answers to IP addresses and localhost. If this name is right, add it to ADMIN_HOSTS."
			http.Error(w, words, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

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
		readiness: &readiness{stop: ctx, log: log, said: map[string]lastingFault{}},
		stopping:  stopping,
		addr:      l.Addr(),
		conns:     newConns(adminConns),
		failed:    make(chan error, 1),
	}
	numbers.MustRegister(d.readiness)
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
	mux.HandleFunc("GET "+instancePath, d.readiness.tellInstance)
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
