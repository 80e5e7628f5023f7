package watch_test

// The stage of these tests: package stage's, with Watches on it.

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// rig is a stage with Watches on it.
type rig struct{ *stage.Stage }

// sqliteRig is for what no database has a part in.
func sqliteRig(t *testing.T) *rig {
	t.Parallel()
	return &rig{stage.New(t, storagetest.SQLite(t))}
}

func eachRig(t *testing.T, test func(t *testing.T, r *rig)) {
	stage.Each(t, func(t *testing.T, s *stage.Stage) { test(t, &rig{s}) })
}

// config is what tests change of a Watch.
type config struct {
	Keep     time.Duration
	Messages watch.Messages
	Store    watch.Store // nil: the replica's own database
	Now      func() time.Time
	Log      *slog.Logger
}

// telling has a Watch write by m.
func telling(m *stage.Told) func(*config) {
	return func(cfg *config) { cfg.Messages = m }
}

// off has a clock that is off by d.
func (r *rig) off(d time.Duration) replica {
	return r.replica(func(c *config) { c.Now = func() time.Time { return r.Clock.Now().Add(d) } })
}

// replica is one process: its own database handle, its own Watch and Keeper.
type replica struct {
	*watch.Connections
	*watch.Lifecycle
	*watch.Leaving
	*watch.Notices
	*tokens.Keeper
	watch *watch.Watch
	db    *storage.DB
	now   func() time.Time
}

// Wait blocks until nothing goes on in the background.
func (in replica) Wait() { in.watch.Wait() }

// Sweep deletes what is kept no longer.
func (in replica) Sweep(ctx context.Context) error { return in.watch.Sweep(ctx) }

// History returns the newest lines of a connection's history.
func (in replica) History(ctx context.Context, c connection.Connection, n int) ([]connection.Change, error) {
	return in.db.History(ctx, c.ID, n)
}

// unobserved is an Observer that nobody looks at.
type unobserved struct{}

func (unobserved) Renewed(connection.TokenOwner, connection.TokenPair, error, time.Duration) {}
func (unobserved) Restored()                                                                 {}
func (unobserved) Waiting(int)                                                               {}
func (unobserved) Writable(bool)                                                             {}
func (unobserved) Checked(error)                                                             {}
func (unobserved) Told(string)                                                               {}
func (unobserved) ToldMissing(string)                                                        {}

func (r *rig) replica(change func(*config)) replica {
	r.T.Helper()
	in := replica{db: r.Open()}
	cfg := config{Keep: 90 * 24 * time.Hour, Store: in.db, Now: r.Clock.Now, Log: slog.New(slog.DiscardHandler)}
	if os.Getenv("SHOW_LOGS") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&cfg)
	}

	in.now = cfg.Now
	api := r.API(slackapi.NewHTTPClient(), cfg.Now)
	in.Keeper = tokens.New(tokens.Config{ClientID: "1.2", ClientSecret: "client-secret",
		Renews: func(connection.Key) bool { return true },
		// What is kept goes on in its own grant. Other consents are not these tests' business.
		Consents: func(ctx context.Context, p connection.Grant) (connection.Grant, string, error) {
			return in.Delivery.Offer(ctx, p)
		},
		Store: in.db, Slack: api, Log: cfg.Log, Now: cfg.Now, Observer: unobserved{}})
	in.watch = watch.New(watch.Config{ClientID: "1.2", ClientSecret: "client-secret", Mode: watch.ByConsent{},
		Scopes: []connection.Scope{{Name: "chat:write"}, {Name: "users:read"}}, Keep: cfg.Keep, Messages: cfg.Messages,
		SweepAttempts: func(context.Context) (int64, error) { return 0, nil },
		Links:         &links.Links{PublicURL: stage.Redirect, Keys: in.db.SigningKeys(), Now: cfg.Now},
		Store:         cfg.Store, Slack: api, Tokens: in.Keeper, Log: cfg.Log, Now: cfg.Now, Observer: unobserved{}})
	in.Connections, in.Lifecycle = in.watch.Connections, in.watch.Lifecycle
	in.Leaving, in.Notices = in.watch.Leaving, in.watch.Notices
	return in
}

// connect has a person let the app in, and stores what that brings as a callback does.
func (r *rig) connect(in replica, userID string) connection.Connection {
	r.T.Helper()
	return r.Connect(in.db, in.Keeper.Journal, userID, in.now())
}
