// Package server puts the parts of a running app together, and is the one place that knows in which order they start
// and stop.
package server

// A Server, for the real thing and for the demo alike: what it is made of, and what comes before it serves. The order
// is that of Run, serve and run, from top to bottom, and what was begun ends in reverse.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/loopback"
	"github.com/switchboard-go/switchboard/internal/spans"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
)

// Config is everything that a Server needs.
type Config struct {
	Install  install.Config // all but Store, SigningKeys, Metrics and Log
	Bot      bot.Config     // all but Install, AppID, Inbox, Metrics and Log
	Database Database
	// what is acknowledged is lost with the process: to measure what the database costs
	MemoryInbox bool
	ListenAddr  string                  // of the public door; "": there is none, and Handler is served by somebody else
	Listener    net.Listener            // instead of ListenAddr; closed by Run
	AdminAddr   string                  // of /livez, /readyz and /metrics; "": nobody watches
	AdminHosts  []string                // names that AdminAddr answers to, besides addresses and localhost
	DrainDelay  time.Duration           // how long the doors stay open after ErrTerminated
	Routes      map[string]http.Handler // the app's own pages, by the patterns of http.ServeMux
	Background  []func(ctx context.Context) error
	Workspaces  *Workspaces          // for Routes and Background; nil: nobody asks
	Collector   Collector            // of traces
	Traces      trace.TracerProvider // instead of Collector, and its owner's to end; nil: nobody collects
	Log         *slog.Logger
	Clock       func() time.Time // the machine's; nil: time.Now
	Serving     func()           // called when people are let in; nil: nothing

	// Hurry is asked at the beginning of DrainDelay for what ends it early: a context of its argument. nil: nothing does.
	Hurry func(context.Context) (context.Context, context.CancelFunc)
}

// ErrTerminated is why a context ended, where it was by SIGTERM: whoever stops a service sends it, and a person at a
// terminal presses Ctrl-C.
var ErrTerminated = errors.New("terminated by SIGTERM")

// Server is an app that is put together. Make one with New, and run it once.
type Server struct {
	cfg      Config
	log      *slog.Logger
	numbers  *prometheus.Registry
	admin    *adminDoor // nil: nobody watches
	shared   atomic.Bool
	traces   trace.TracerProvider // nil: nobody collects them
	entrance entrance

	// From here on all is nil until the database is open.
	db       *storage.DB
	install  *install.Installer
	only     *connection.Key // of the one connection by BotToken; nil: there are any number
	inbox    *inbox.Inbox    // nil with MemoryInbox
	bot      *bot.Bot
	listener net.Listener
	instance Instance
}

// New checks what can be checked without a database and returns a Server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := checkRoutes(cfg.Routes); err != nil {
		return nil, err
	}
	in := cfg.Install
	if err := bot.CheckCatalogue(in.Scopes, in.UserScopes, cfg.Bot.Handlers); err != nil {
		return nil, err
	}
	numbers := prometheus.NewRegistry()
	numbers.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := &Server{cfg: cfg, log: slog.New(requestLog{cfg.Log.Handler()}), numbers: numbers, listener: cfg.Listener}
	numbers.MustRegister(s.sharedGauge(), buildInfo(in.App.Version))
	return s, nil
}

// check finds what nothing works without. The command line has looked closer by now.
func (cfg Config) check() error {
	var problems []Problem
	need := func(setting string, there bool, fix string) {
		if !there {
			problems = append(problems, Problem{Setting: setting, What: "is not set", Fix: fix})
		}
	}

	in := cfg.Install
	if in.BotToken == "" {
		const basics = "copy it from the app's Basic Information page at https://api.slack.com/apps"
		need("SLACK_CLIENT_ID", in.ClientID != "", basics)
		need("SLACK_CLIENT_SECRET", in.ClientSecret != "", basics)
		need("PUBLIC_URL", in.PublicURL != "", "write the address that people see, for example https://bot.example.com")
	}
	need("SLACK_SIGNING_SECRET", len(cfg.Bot.SigningSecrets) > 0 || cfg.Bot.AppToken != "",
		"copy it from the app's Basic Information page, or use Socket Mode (SLACK_APP_TOKEN)")
	need("SLACK_APP_ID", in.AppID != "" || !NeedsAppID(cfg.Bot.Handlers),
		"copy it from the app's Basic Information page: Slack doesn't say which app a shortcut belongs to")
	need("ENCRYPTION_KEYS", cfg.Database.Keys != "" || cfg.Database.Path() != "",
		"generate a key with: openssl rand -base64 32 and keep a copy of it; PostgreSQL has no default")
	if u, err := url.Parse(in.PublicURL); err != nil || u.Scheme == "http" && !loopback.Is(u.Host) {
		problems = append(problems, Problem{
			Setting: "PUBLIC_URL", What: "is not https, and its host is not this machine",
			Fix: "write the address that people see, for example https://bot.example.com",
		})
	}
	if len(problems) > 0 {
		return &ConfigError{Problems: problems}
	}
	return nil
}

// NeedsAppID reports whether handlers get payloads that don't say which app they are for.
func NeedsAppID(handlers []bot.Handler) bool {
	return slices.ContainsFunc(handlers, func(h bot.Handler) bool {
		return h.Kind == bot.KindShortcut || h.Kind == bot.KindMessageShortcut
	})
}

// Handler is what people and Slack reach, for a program that has a server of its own. Before Run serves, and after, it
// answers 503: Slack sends what it refused again.
func (s *Server) Handler() http.Handler { return &s.entrance }

// Idle reports whether all that came in is worked and no timer is due. It is for tests, while Run serves.
func (s *Server) Idle(ctx context.Context) (bool, error) { return s.bot.Idle(ctx) }

// Run serves until ctx ends and all that was accepted is finished. A stop is no error, whenever it comes.
func (s *Server) Run(ctx context.Context) error {
	if s.cfg.Listener != nil {
		defer func() { _ = s.cfg.Listener.Close() }() // where it wasn't served from
	}
	if s.cfg.AdminAddr == "" {
		return s.serve(ctx)
	}
	l, err := net.Listen("tcp", s.cfg.AdminAddr)
	if err != nil {
		return fmt.Errorf("%w; stop the program that has this address, or set ADMIN_ADDR to another", err)
	}
	s.admin = openAdmin(ctx, l, s.cfg.AdminHosts, s.numbers, s.log)
	return errors.Join(s.serve(ctx), s.admin.close())
}

// serve opens the database and the public door, and runs the app between them until ctx ends. Traces are collected from
// before that until after it.
func (s *Server) serve(ctx context.Context) (err error) {
	var flush func()
	if s.traces, flush, err = s.openTraces(ctx); err != nil {
		return err
	}
	defer flush()
	if err := s.free(); err != nil { // before a database and a key are made
		return err
	}
	if s.cfg.Database.MustExist() != nil {
		s.log.Info("creating a new, empty database", "path", s.cfg.Database.Path())
	}
	err = s.prepare(ctx)
	if ctx.Err() != nil && err != nil && !errors.As(err, new(*ConfigError)) {
		s.log.Info("stopped while starting")
		return nil // whatever was interrupted by that is no failure, and the next start goes on with it
	}
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// free reports whether ListenAddr can be listened on. It stays closed until there is somebody to answer, so that a
// proxy is refused and tries another replica.
func (s *Server) free() error {
	if s.listener != nil || s.cfg.ListenAddr == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.cfg.ListenAddr)
	if err != nil {
		return taken(err)
	}
	return l.Close()
}

func taken(err error) error {
	return fmt.Errorf("%w; stop the program that has this address, or set LISTEN_ADDR to another", err)
}

// prepare does what comes before serving. When ctx ends meanwhile it is an error, and nothing is left open.
func (s *Server) prepare(ctx context.Context) (err error) {
	if s.db, err = s.cfg.Database.openPatiently(ctx, s.log); err != nil {
		return err
	}

	defer func() {
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}()
	if s.cfg.Clock != nil {
		if err := s.db.UseClock(ctx, s.cfg.Clock); err != nil {
			return err
		}
	}

	if s.listener == nil && s.cfg.ListenAddr != "" {
		if s.listener, err = net.Listen("tcp", s.cfg.ListenAddr); err != nil {
			return taken(err)
		}
	}

	if err = s.assemble(); err == nil && s.cfg.Install.BotToken != "" {
		err = s.adopt(ctx)
	}
	if err = cmp.Or(err, ctx.Err()); err != nil { // stopped while Slack was being asked
		s.closeInbox()
		return errors.Join(err, s.closeListener())
	}
	return nil
}

// assemble makes the parts. It starts nothing.
func (s *Server) assemble() (err error) {
	forInstall, forBot := s.cfg.Install, s.cfg.Bot
	forInstall.Store, forInstall.SigningKeys = s.db, s.db.SigningKeys()
	forInstall.Metrics, forInstall.Log, forInstall.Traces = s.numbers, s.log, s.traces
	if s.install, err = install.New(forInstall); err != nil {
		return err
	}
	s.db.LogTo(s.log)
	s.numbers.MustRegister(poolNumbers{s.db}, upkeepNumbers{s.db, forInstall.AppID})

	forBot.Values = s.db.Values()
	forBot.Install, forBot.AppID, forBot.Metrics, forBot.Log = s.install, forInstall.AppID, s.numbers, s.log
	forBot.Traces = s.traces
	if s.cfg.MemoryInbox {
		forBot.Timers = unfired{s.db.Timers(forInstall.AppID, nil).Table}
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		// SQLite belongs to one process: what an earlier one held nobody works any more.
		s.inbox, err = s.db.Inbox(ctx, inbox.Config{App: forInstall.AppID, Lease: forBot.Lease, Keep: forInstall.Keep,
			Alone: s.db.Dialect() == "sqlite"})
		if err != nil {
			return err
		}
		forBot.Inbox, forBot.Timers = s.inbox, s.db.Timers(forInstall.AppID, s.inbox)
	}
	s.bot, err = bot.New(forBot)
	return err
}

func (s *Server) closeListener() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

func (s *Server) closeInbox() {
	if s.inbox != nil {
		s.inbox.Close()
	}
}

// adopt makes SLACK_BOT_TOKEN the one connection. Slack may be slow to answer at the very moment we start; a refusal
// is final.
func (s *Server) adopt(ctx context.Context) error {
	const tries = 4
	var err error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try) * time.Second):
			}
		}

		var c connection.Connection
		if c, err = s.install.Adopt(ctx); err == nil {
			s.only = &c.Key
			s.log.Info("single-workspace mode", "connection", c.ID, "key", c.Key.String(), "team_name", c.TeamName)
			return nil
		}

		var wrong *install.TokenError
		if errors.As(err, &wrong) {
			return Wrong("SLACK_BOT_TOKEN", wrong.Error(), "put a bot token there that Slack accepts")
		}
	}
	return fmt.Errorf("slack could not be asked about SLACK_BOT_TOKEN: %w", err)
}

// public is what people and Slack reach.
func (s *Server) public() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", bounded(s.install.Handler()))
	mux.Handle(eventsPath, s.bot.Handler())
	for pattern, h := range s.cfg.Routes {
		mux.Handle(pattern, h)
	}
	return withRequestLog(s.log, spans.New(s.traces), s.answering(mux))
}
