package server

// /readyz: what keeps this process from its work, in the words and the manner of Kubernetes' own.
// https://kubernetes.io/docs/reference/using-api/health-checks/

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage"
)

// How long a probe waits for the database and the disk, which are asked at the same time.
const probeBudget = 2 * time.Second

// readiness answers /readyz. Red are a start, a stop, and every check that fails.
type readiness struct {
	stop   context.Context // ended: this process stops
	log    *slog.Logger
	server atomic.Pointer[Server] // nil: it doesn't serve yet
	asking singleflight.Group     // a disk that hangs is asked once, however many probes come

	mu   sync.Mutex
	said map[string]lastingFault // what fails, by check, as it was last logged
}

// fault is what a check found. The zero value is nothing.
type fault struct {
	words string // for whoever asks
	cause error  // for the log
}

type lastingFault struct {
	words string
	since time.Time
}

// Checks are what /readyz looks at, in the order in which they are told.
var Checks = []string{"database", "schema", "journal", "sockets", "stopping"}

// ServeHTTP knows ?verbose and ?exclude=CHECK, which may be repeated. What is excluded isn't asked.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	excluded := query["exclude"]
	found := r.look(req.Context(), excluded)
	ready := r.server.Load() != nil

	var lines strings.Builder
	for _, name := range Checks {
		switch words := found[name].words; {
		case slices.Contains(excluded, name):
			fmt.Fprintf(&lines, "[+]%s excluded: ok\n", name)
		case words == "":
			fmt.Fprintf(&lines, "[+]%s ok\n", name)
		default:
			fmt.Fprintf(&lines, "[-]%s failed: %s\n", name, words)
			ready = false
		}
	}
	unknown := slices.DeleteFunc(slices.Clone(excluded), func(name string) bool { return slices.Contains(Checks, name) })
	if len(unknown) > 0 {
		fmt.Fprintf(&lines, "warn: some checks cannot be excluded: no matches for %q\n", unknown)
	}

	switch {
	case !ready:
		http.Error(w, lines.String()+"readyz check failed", http.StatusServiceUnavailable)
	case query.Has("verbose"):
		fmt.Fprint(w, lines.String(), "readyz check passed\n")
	default:
		fmt.Fprintln(w, "ok")
	}
}

// look makes the checks that are not excluded, within probeBudget, and logs what changed.
func (r *readiness) look(ctx context.Context, excluded []string) map[string]fault {
	found := map[string]fault{}
	if r.stop.Err() != nil {
		found["stopping"] = fault{words: "this process is stopping"}
	}
	s := r.server.Load()
	if s == nil {
		for _, name := range Checks[:4] {
			found[name] = fault{words: "this process is starting"}
		}
		return found
	}

	ctx, cancel := context.WithTimeout(ctx, probeBudget)
	defer cancel()
	answers := map[string]func() fault{}
	for name, check := range map[string]func(context.Context) fault{"database": s.askDatabase, "journal": s.askJournal} {
		if !slices.Contains(excluded, name) {
			answers[name] = r.ask(ctx, name, check)
		}
	}
	for name, answer := range answers {
		found[name] = answer()
	}
	found["schema"], found["sockets"] = s.schema(), s.sockets()
	for _, name := range excluded {
		delete(found, name)
	}
	r.note(ctx, found, excluded)
	return found
}

// ask begins a check, unless an earlier probe still waits for the same, and returns what waits for its answer.
func (r *readiness) ask(ctx context.Context, name string, check func(context.Context) fault) func() fault {
	answer := r.asking.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeBudget)
		defer cancel()
		return check(ctx), nil
	})
	return func() fault {
		select {
		case a := <-answer:
			return a.Val.(fault)
		case <-ctx.Done():
		}
		select { // who waited for another check until the end may have this one's answer, too
		case a := <-answer:
			return a.Val.(fault)
		default:
			return fault{"no answer within " + probeBudget.String(), ctx.Err()}
		}
	}
}

// note logs a check that began to fail, and one that doesn't any longer: a state that lasts is one line, however often
// it is asked about.
func (r *readiness) note(ctx context.Context, found map[string]fault, excluded []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range Checks {
		f, before := found[name], r.said[name]
		switch {
		case name == "stopping", slices.Contains(excluded, name), f.words == before.words:
		case f.words == "":
			delete(r.said, name)
			r.log.InfoContext(ctx, "ready again", "check", name, "after", time.Since(before.since).Round(time.Second).String())
		default:
			if before.words == "" {
				before.since = time.Now()
			}
			r.said[name] = lastingFault{f.words, before.since}
			r.log.WarnContext(ctx, "not ready", "check", name, "reason", f.words, "cause", f.cause)
		}
	}
}

// askDatabase asks whether the database takes what this process has to keep.
func (s *Server) askDatabase(ctx context.Context) fault {
	switch err := s.db.Ready(ctx); {
	case err == nil, errors.Is(err, storage.ErrUnfit): // that one is schema's
		return fault{}
	case errors.Is(err, storage.ErrFileGone):
		return fault{"the database's file was deleted, moved or replaced while it was open", err}
	case errors.Is(err, storage.ErrNotWritable):
		return fault{"the database answers but can't be written to: it is read-only, or its disk is full", err}
	default:
		return fault{"the database doesn't answer", err}
	}
}

// schema is what the database said of its tables when it was last asked.
func (s *Server) schema() fault {
	if err := s.db.SchemaSeen(); err != nil {
		return fault{InOperatorsWords(err, s.cfg.Install.App.Name, s.cfg.Database.Program), err}
	}
	return fault{}
}

func (s *Server) askJournal(ctx context.Context) fault {
	if err := s.install.Tokens().Journal.Ready(ctx); err != nil {
		return fault{"the journal in DATA_DIR can't be written to, or was deleted a moment ago", err}
	}
	return fault{}
}

func (s *Server) sockets() fault {
	_, state, err := s.bot.SocketHealth()
	words := socketWords[state]
	var refused *bot.TokenRefused
	if errors.As(err, &refused) {
		words = socketWords[bot.SocketsRefused] + " (" + refused.Code + "); trying again"
	}
	return fault{words, err}
}

// socketWords say how Socket Mode is where it is not as it should be.
var socketWords = map[string]string{
	bot.SocketsConnecting: "no connection to Slack yet (Socket Mode)",
	bot.SocketsDisabled:   "Socket Mode is turned off in the app's settings in Slack",
	bot.SocketsRefused:    "Slack refuses SLACK_APP_TOKEN",
}
