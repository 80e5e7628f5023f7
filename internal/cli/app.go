package cli

// Here the parts are put together, for serve and for the demo alike, and taken down in the reverse order.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"switchboard/bot"
	"switchboard/commands"
	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/storage"
)

// appConfig is everything an app needs to run.
type appConfig struct {
	app            install.App
	also           []bot.Handler // handlers besides those of commands, with no permission of their own
	clientID       string
	clientSecret   connection.Secret
	signingSecrets []connection.Secret
	appID          string
	botToken       connection.Secret
	appToken       connection.Secret // set: Socket Mode
	slackURL       string
	publicURL      string
	moveToRotation bool
	keep           time.Duration // of removed connections' facts and history, and of dead letters
	lease          time.Duration // of events; 0: the usual
	workers        int           // handlers of events at once; 0: the usual, below 0: none
	memory         bool          // the inbox is kept in memory, for measuring
	closed         bool          // to workspaces that are not connected, but for those in admit
	admit          []string
	listen         net.Listener  // owned by the app once run is called
	admin          *adminDoor    // nil: nobody watches
	drainDelay     time.Duration // how long the doors stay open after a SIGTERM
	db             *storage.DB   // closed by run
	log            *slog.Logger
}

// app is a Switchboard that is put together and not yet running.
type app struct {
	cfg     appConfig
	install *install.Installer
	inbox   *storage.Inbox // nil with memory
	bot     *bot.Bot
	shared  atomic.Bool // another process serves from the same DATA_DIR
}

// machineClock is a variable for the tests, in which replicas' clocks differ; nil: this machine's.
var machineClock = func(getenv func(string) string) func() time.Time { return nil }

// handlersOf is a variable for the tests, which add a handler that reports when it runs.
var handlersOf = commands.All

func newApp(cfg appConfig) (*app, error) {
	handlers, profile := handlersOf(), commands.Profile()
	numbers := newNumbers()
	if cfg.admin != nil {
		numbers = cfg.admin.numbers
	}
	in, err := install.New(install.Config{
		App: cfg.app, ClientID: cfg.clientID, ClientSecret: cfg.clientSecret, AppID: cfg.appID, BotToken: cfg.botToken,
		SigningKeys: cfg.db.SigningKeys(), SlackURL: cfg.slackURL, PublicURL: cfg.publicURL,
		Scopes: profile.Scopes, Store: cfg.db, Log: cfg.log,
		UserScopes: profile.UserScopes, MoveToRotation: cfg.moveToRotation, Keep: cfg.keep, Metrics: numbers,
		Closed: cfg.closed, Admit: cfg.admit,
		Welcome: commands.Welcome(cfg.app, cfg.slackURL), Tell: commands.Tell(cfg.app), Resolve: commands.Resolve(cfg.app), TellMissing: commands.TellWanted(cfg.app),
	})
	if err != nil {
		return nil, err
	}
	cfg.db.LogTo(cfg.log)
	a := &app{cfg: cfg, install: in}
	numbers.MustRegister(a.sharedGauge())
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

// How long a stop waits for requests under way; a callback takes 25 s at most.
const drainBudget = 30 * time.Second

// run serves until ctx ends, then stops in this order: no longer ready, doors closed and requests finished, events and
// answers finished, renewals finished, database closed. It returns the first error that was not the stop itself.
func (a *app) run(ctx context.Context) (err error) {
	defer func() {
		a.close()
		err = errors.Join(err, a.cfg.db.Close())
	}()
	a.prepare(ctx)
	if ctx.Err() != nil { // nobody was sent here yet
		return a.cfg.listen.Close()
	}

	visitors := newConns(connLimit(openFiles()))
	group, stopping := errgroup.WithContext(ctx)
	public := server(bounded(lastAnswers(stopping, a.public())), visitors, a.cfg.log)
	// What comes in does so until the doors close, some time after ctx.
	open, closeDoors := context.WithCancel(context.WithoutCancel(ctx))
	defer closeDoors()
	// Work lives longer: it ends only when no request can add to it.
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	// And connections are looked after until no work can use them any more.
	care, endCare := context.WithCancel(context.WithoutCancel(ctx))
	defer endCare()

	group.Go(func() error {
		if err := public.Serve(listener{a.cfg.listen, visitors}); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", a.cfg.listen.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		defer endCare()
		return a.bot.Run(work)
	})
	group.Go(func() error { return a.install.Run(care) })
	group.Go(func() error { return a.cfg.db.Run(care) })
	group.Go(func() error { return a.watchJournal(care) })
	if a.inbox != nil {
		group.Go(func() error { return a.inbox.Run(care) })
	}
	listening := make(chan struct{})
	group.Go(func() error {
		defer close(listening)
		err := a.bot.RunSockets(open)
		if errors.As(err, new(*bot.TokenRefused)) {
			return fmt.Errorf("SLACK_APP_TOKEN: %w", err)
		}
		return err
	})

	if a.cfg.admin != nil {
		a.cfg.admin.serves(a)
		group.Go(func() error { return a.cfg.admin.watch(stopping) })
	}
	a.cfg.log.Info("serving", a.where()...)
	group.Go(func() error {
		<-stopping.Done()
		a.waitForProxies(ctx)
		a.cfg.log.Info("stopping: finishing what was accepted")
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainBudget)
		defer cancel()

		closeDoors()
		visitors.stop()
		err := public.Shutdown(drain)
		select {
		case <-listening: // sockets drain too
		case <-drain.Done():
		}
		endWork()
		return err
	})
	err = group.Wait()
	a.install.Slack().HTTP.CloseIdleConnections()
	a.cfg.log.Info("stopped")
	return err
}

// prepare does what comes before anything uses a token.
func (a *app) prepare(ctx context.Context) {
	if why, err := a.cfg.db.LosesCommits(ctx); err == nil && why != "" {
		a.cfg.log.Warn("the database can lose commits that it confirmed; the replicas' journals keep tokens and nothing else",
			"why", why, "see", "docs/failover.md")
	}

	a.claimJournal()

	// What an earlier process was handed and could not store.
	replay, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if left, err := a.install.Replay(replay); err != nil {
		a.cfg.log.Warn("new tokens wait in the journal", "entries", left, "cause", err) // tried again every second
	}
}

// where is what the log says of a program that serves.
func (a *app) where() []any {
	facts := []any{"listen", a.cfg.listen.Addr().String(), "public_url", a.cfg.publicURL, "install", a.cfg.publicURL + "/",
		"database", a.cfg.db.Dialect(), "version", version}
	if a.cfg.admin != nil {
		facts = append(facts, "admin", a.cfg.admin.addr.String())
	}
	return facts
}

// waitForProxies keeps the doors open for drainDelay after a SIGTERM, because whoever sends people here needs a moment
// to see that /readyz is red. Another signal ends the wait, and the next one the process, as ever.
func (a *app) waitForProxies(ctx context.Context) {
	if a.cfg.drainDelay <= 0 || !errors.Is(context.Cause(ctx), errTerminated) {
		return
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(again)
	a.cfg.log.Info("stopping: /readyz is red, and the doors are still open", "drain_delay", a.cfg.drainDelay.String())
	select {
	case <-again:
		a.cfg.log.Info("stopping: a second signal ends the wait")
	case <-time.After(a.cfg.drainDelay):
	}
}

// lastAnswers ask whoever keeps a connection open to use another one from the moment ctx ends: on a door that is about
// to close the next request could be lost.
func lastAnswers(ctx context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
