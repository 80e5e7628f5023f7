package server

// Serving, and the stop: no longer ready, doors closed and requests finished, events and answers finished, renewals
// finished, database closed.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/bot"
)

// How long a stop waits for requests under way; a callback takes 25 s at most.
const drainBudget = 30 * time.Second

// run serves until ctx ends, and stops. It returns the first error that was not the stop itself.
func (s *Server) run(ctx context.Context) (err error) {
	defer func() {
		s.closeInbox()
		err = errors.Join(err, s.db.Close())
	}()
	s.catchUp(ctx)
	if ctx.Err() != nil { // nobody was sent here yet
		return s.closeListener()
	}

	group, stopping := errgroup.WithContext(ctx)
	// What comes in does so until the doors close, some time after ctx.
	open, closeDoors := context.WithCancel(context.WithoutCancel(ctx))
	defer closeDoors()
	// Work lives longer: it ends only when no request can add to it.
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	// And connections are looked after until no work can use them any more.
	care, endCare := context.WithCancel(context.WithoutCancel(ctx))
	defer endCare()

	if s.inbox != nil {
		s.inbox.Start()
	}
	if w := s.cfg.Workspaces; w != nil {
		w.serving.Store(s)
		defer w.serving.Store(nil) // before the database is closed
	}
	s.instance = s.newInstance()
	s.entrance.open(lastAnswers(stopping, s.public()))
	closePublic := s.openPublic(group)
	var working sync.WaitGroup
	for _, run := range append([]func(context.Context) error{s.bot.Run}, s.background()...) {
		working.Add(1)
		group.Go(func() error {
			defer working.Done()
			return run(work)
		})
	}
	group.Go(func() error {
		defer endCare()
		working.Wait()
		return nil
	})
	s.lookAfter(care, group)
	listening := make(chan struct{})
	group.Go(func() error {
		defer close(listening)
		return s.runSockets(open)
	})

	if s.admin != nil {
		s.admin.serves(s)
		group.Go(func() error { return s.admin.watch(stopping) })
	}
	s.log.Info("serving", s.where()...)
	if s.cfg.Serving != nil {
		s.cfg.Serving()
	}
	group.Go(func() error {
		<-stopping.Done()
		s.waitForProxies(ctx)
		s.log.Info("stopping: finishing what was accepted")
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainBudget)
		defer cancel()

		closeDoors()
		err := closePublic(drain)
		s.entrance.close(drain)
		select {
		case <-listening: // sockets drain too
		case <-drain.Done():
		}
		endWork()
		return err
	})
	err = group.Wait()
	s.install.Slack().HTTP.CloseIdleConnections()
	s.log.Info("stopped")
	return err
}

// catchUp does what comes before anything uses a token: an earlier process may have left something.
func (s *Server) catchUp(ctx context.Context) {
	if why, err := s.db.LosesCommits(ctx); err == nil && why != "" {
		s.log.Warn("the database can lose commits that it confirmed; the replicas' journals keep tokens and nothing else",
			"why", why, "see", "docs/failover.md")
	}

	s.claimJournal()

	// What an earlier process was handed and could not store.
	replay, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if left, err := s.install.Tokens().Reconciler.Replay(replay); err != nil {
		s.log.Warn("new tokens wait in the journal", "entries", left, "cause", err) // tried again every second
	}
}

// openPublic serves at the public address, if there is one, and returns what ends that once requests are finished.
func (s *Server) openPublic(group *errgroup.Group) (closePublic func(context.Context) error) {
	if s.listener == nil {
		return func(context.Context) error { return nil }
	}
	visitors := newConns(connLimit(openFiles()))
	public := server(&s.entrance, visitors, s.log)
	group.Go(func() error {
		if err := public.Serve(listener{s.listener, visitors}); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", s.listener.Addr(), err)
		}
		return nil
	})
	return func(ctx context.Context) error {
		visitors.stop()
		return public.Shutdown(ctx)
	}
}

// lookAfter starts what keeps connections and the database in order, until care ends.
func (s *Server) lookAfter(care context.Context, group *errgroup.Group) {
	group.Go(func() error { return s.install.Run(care) })
	group.Go(func() error { return s.db.Run(care) })
	group.Go(func() error { return s.watchJournal(care) })
	if s.inbox != nil {
		group.Go(func() error { return s.inbox.Run(care) })
	}
}

func (s *Server) runSockets(ctx context.Context) error {
	err := s.bot.RunSockets(ctx)
	if errors.As(err, new(*bot.TokenRefused)) {
		return fmt.Errorf("SLACK_APP_TOKEN: %w", err)
	}
	return err
}

// where is what the log says of a program that serves.
func (s *Server) where() []any {
	public := s.cfg.Install.PublicURL
	facts := []any{"public_url", public, "install", public + "/",
		"database", s.db.Dialect(), "version", s.cfg.Install.App.Version}
	if s.listener != nil {
		facts = append([]any{"listen", s.listener.Addr().String()}, facts...)
	}
	if s.admin != nil {
		facts = append(facts, "admin", s.admin.addr.String())
	}
	return facts
}

// waitForProxies keeps the doors open for DrainDelay after a SIGTERM, because whoever sends people here needs a moment
// to see that /readyz is red.
func (s *Server) waitForProxies(ctx context.Context) {
	if s.cfg.DrainDelay <= 0 || !errors.Is(context.Cause(ctx), ErrTerminated) {
		return
	}
	wait, done := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainDelay)
	defer done()
	if s.cfg.Hurry != nil {
		hurried, stop := s.cfg.Hurry(wait)
		defer stop()
		wait = hurried
	}

	s.log.Info("stopping: /readyz is red, and requests are still taken", "drain_delay", s.cfg.DrainDelay.String())
	<-wait.Done()
	if !errors.Is(wait.Err(), context.DeadlineExceeded) {
		s.log.Info("stopping: the wait was ended early")
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
