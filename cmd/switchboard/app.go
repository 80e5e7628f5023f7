package main

// Here the parts are put together, for serve and for the demo alike, and taken down in the reverse order.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"switchboard/bot"
	"switchboard/commands"
	"switchboard/install"
	"switchboard/storage"
)

// appConfig is everything an app needs to run.
type appConfig struct {
	app            install.App
	also           []bot.Handler // handlers besides those of commands, with no permission of their own
	clientID       string
	clientSecret   install.Secret
	signingSecrets []install.Secret
	appID          string
	botToken       install.Secret
	appToken       install.Secret // set: Socket Mode
	slackURL       string
	publicURL      string
	moveToRotation bool
	keep           time.Duration // of removed connections' facts and history, and of dead letters
	lease          time.Duration // of events; 0: the usual
	workers        int           // handlers of events at once; 0: the usual, below 0: none
	memory         bool          // the inbox is kept in memory, for measuring
	closed         bool          // to workspaces that are not connected, but for those in admit
	admit          []string
	listen, admin  net.Listener // owned by the app once run is called
	adminHosts     []string     // names that admin answers to, besides addresses and localhost
	db             *storage.DB  // closed by run
	log            *slog.Logger
}

// app is a Switchboard that is put together and not yet running.
type app struct {
	cfg      appConfig
	numbers  *prometheus.Registry
	install  *install.Installer
	inbox    *storage.Inbox // nil with memory
	bot      *bot.Bot
	stopping atomic.Bool
}

// machineClock is a variable for the tests, in which replicas' clocks differ; nil: this machine's.
var machineClock = func(getenv func(string) string) func() time.Time { return nil }

// handlersOf is a variable for the tests, which add a handler that reports when it runs.
var handlersOf = commands.All

func newApp(cfg appConfig) (*app, error) {
	handlers, profile := handlersOf(), commands.Profile()
	numbers := prometheus.NewRegistry()
	numbers.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	in, err := install.New(install.Config{
		App: cfg.app, ClientID: cfg.clientID, ClientSecret: cfg.clientSecret, AppID: cfg.appID, BotToken: cfg.botToken,
		SigningKeys: cfg.db.SigningKeys(), SlackURL: cfg.slackURL, PublicURL: cfg.publicURL,
		Scopes: profile.Scopes, Store: cfg.db, Log: cfg.log,
		UserScopes: profile.UserScopes, MoveToRotation: cfg.moveToRotation, Keep: cfg.keep, Metrics: numbers,
		Closed: cfg.closed, Admit: cfg.admit,
		Welcome: commands.Welcome(cfg.app, cfg.slackURL), Tell: commands.Tell(cfg.app), Resolve: commands.Resolve(cfg.app), TellWanted: commands.TellWanted(cfg.app),
	})
	if err != nil {
		return nil, err
	}
	cfg.db.LogTo(cfg.log)
	a := &app{cfg: cfg, numbers: numbers, install: in}
	settings := bot.Config{Install: in, Handlers: slices.Concat(handlers, cfg.also), SigningSecrets: cfg.signingSecrets, AppID: cfg.appID, AppToken: cfg.appToken, Lease: cfg.lease, Workers: cfg.workers, Metrics: numbers, Log: cfg.log}
	if !cfg.memory {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		// SQLite belongs to one process: what an earlier one held nobody works any more.
		a.inbox, err = cfg.db.Inbox(ctx, storage.InboxConfig{App: cfg.appID, Lease: cfg.lease, Keep: cfg.keep, Alone: cfg.db.Dialect() == "sqlite"})
		if err != nil {
			return nil, err
		}
		settings.Inbox = a.inbox
	}
	if a.bot, err = bot.New(settings); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// close ends what newApp started.
func (a *app) close() {
	if a.inbox != nil {
		a.inbox.Close()
	}
}

// public is what people and Slack reach.
func (a *app) public() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", a.install.Handler())
	mux.Handle(eventsPath, a.bot.Handler())
	return withRequestLog(a.cfg.log, mux)
}

// adminRoutes are for whoever watches this process.
func (a *app) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.numbers, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if words := a.notReady(r.Context()); words != "" {
			http.Error(w, words, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// notReady says what keeps this process from serving, and logs its cause; "" when nothing does. It blocks for the
// database and the disk, 2 s at most.
func (a *app) notReady(ctx context.Context) string {
	if a.stopping.Load() {
		return "stopping"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()

	if err := a.cfg.db.Ready(ctx); err != nil {
		a.cfg.log.WarnContext(ctx, "not ready", "cause", err)
		var schema *storage.SchemaError
		if errors.As(err, &schema) {
			return "not ready: " + schema.Error()
		}
		return "not ready: the database does not answer"
	}
	if err := a.cfg.db.JournalReady(ctx); err != nil {
		a.cfg.log.WarnContext(ctx, "not ready", "cause", err)
		return "not ready: the journal in DATA_DIR can't be written, or was deleted a moment ago"
	}
	if _, state, err := a.bot.SocketHealth(); state != bot.SocketsOff && state != bot.SocketsLive {
		a.cfg.log.WarnContext(ctx, "not ready", "sockets", state, "cause", err)
		var refused *bot.TokenRefused
		if errors.As(err, &refused) {
			return "not ready: " + socketWords[bot.SocketsRefused] + " (" + refused.Code + "); it is tried again"
		}
		return "not ready: " + socketWords[state]
	}
	return ""
}

// socketWords say how Socket Mode is, to whoever asks whether this process is ready.
var socketWords = map[string]string{
	bot.SocketsConnecting: "no connection to Slack yet (Socket Mode)",
	bot.SocketsDisabled:   "Socket Mode is switched off in the app's settings at Slack",
	bot.SocketsRefused:    "Slack refuses SLACK_APP_TOKEN",
}

// How long a stop waits for requests under way; a callback takes 25 s at most.
const drainBudget = 30 * time.Second

// run serves until ctx ends, then stops in this order: no longer ready, requests finished, events and answers finished,
// renewals finished, database closed. It returns the first error that was not the stop itself.
func (a *app) run(ctx context.Context) (err error) {
	defer func() {
		a.close()
		err = errors.Join(err, a.cfg.db.Close())
	}()

	if why, err := a.cfg.db.LosesCommits(ctx); err == nil && why != "" {
		a.cfg.log.Warn("the database can lose commits that it confirmed; the replicas' journals keep tokens and nothing else",
			"why", why, "see", "docs/failover.md")
	}

	// Before anything uses a token: what an earlier process was handed and could not store.
	replay, cancel := context.WithTimeout(ctx, 30*time.Second)
	if left, err := a.install.Replay(replay); err != nil {
		a.cfg.log.Warn("new tokens wait in the journal", "entries", left, "cause", err) // tried again every second
	}
	cancel()

	visitors, operators := newConns(connLimit(openFiles())), newConns(adminConns)
	public := server(bounded(a.public()), visitors, a.cfg.log)
	admin := server(bounded(adminOnly(a.cfg.adminHosts, a.adminRoutes())), operators, a.cfg.log)
	// Work lives longer than ctx: it ends only when no request can add to it.
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	// And connections are looked after until no work can use them any more.
	care, endCare := context.WithCancel(context.WithoutCancel(ctx))
	defer endCare()

	group, serving := errgroup.WithContext(ctx)
	serve := func(s *http.Server, l net.Listener) func() error {
		return func() error {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		}
	}
	group.Go(serve(public, listener{a.cfg.listen, visitors}))
	if a.cfg.admin != nil {
		group.Go(serve(admin, listener{a.cfg.admin, operators}))
	}
	group.Go(func() error {
		defer endCare()
		return a.bot.Run(work)
	})
	group.Go(func() error { return a.install.Run(care) })
	group.Go(func() error { return a.cfg.db.Run(care) })
	if a.inbox != nil {
		group.Go(func() error { return a.inbox.Run(care) })
	}
	listening := make(chan struct{})
	group.Go(func() error {
		defer close(listening)
		return a.bot.RunSockets(serving)
	})
	group.Go(func() error {
		<-serving.Done()
		a.stopping.Store(true)
		a.cfg.log.Info("stopping: finishing what was accepted")
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainBudget)
		defer cancel()
		visitors.stop()
		operators.stop()
		err := public.Shutdown(drain)
		select {
		case <-listening: // sockets drain too
		case <-drain.Done():
		}
		endWork()
		return errors.Join(err, admin.Shutdown(drain))
	})
	err = group.Wait()
	a.install.HTTPClient().CloseIdleConnections()
	a.cfg.log.Info("stopped")
	return err
}
