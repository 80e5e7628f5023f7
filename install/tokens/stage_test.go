package tokens_test

// The stage of these tests: package stage's, with Keepers on it.

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// rig is a stage with Keepers on it.
type rig struct{ *stage.Stage }

func newRig(t *testing.T, database string) *rig { return &rig{stage.New(t, database)} }

// sqliteRig is for what no database has a part in.
func sqliteRig(t *testing.T) *rig {
	t.Parallel()
	return newRig(t, storagetest.SQLite(t))
}

func eachRig(t *testing.T, test func(t *testing.T, r *rig)) {
	stage.Each(t, func(t *testing.T, s *stage.Stage) { test(t, &rig{s}) })
}

// config is what tests change of a Keeper.
type config struct {
	MoveToRotation bool
	HTTP           *http.Client
	Log            *slog.Logger
	Now            func() time.Time
}

// replica is one process: its own database handle, its own Keeper.
type replica struct {
	*tokens.Keeper
	db  *storage.DB
	api *slackapi.API
	Now func() time.Time
}

// unobserved is an Observer that nobody looks at.
type unobserved struct{}

func (unobserved) Renewed(connection.TokenOwner, connection.TokenPair, error, time.Duration) {}
func (unobserved) Restored()                                                                 {}
func (unobserved) Waiting(int)                                                               {}
func (unobserved) Writable(bool)                                                             {}

func (r *rig) replica(change func(*config)) replica {
	r.T.Helper()
	cfg := config{HTTP: slackapi.NewHTTPClient(), Log: slog.New(slog.DiscardHandler), Now: r.Clock.Now}
	if os.Getenv("SHOW_LOGS") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&cfg)
	}

	in := replica{db: r.Open(), Now: cfg.Now}
	in.api = r.API(cfg.HTTP, cfg.Now)
	in.Keeper = tokens.New(tokens.Config{ClientID: "1.2", ClientSecret: "client-secret",
		MoveToRotation: cfg.MoveToRotation, Renews: func(connection.Key) bool { return true },
		// What is kept goes on in its own grant. Other consents are not these tests' business.
		Consents: func(ctx context.Context, p connection.Grant) (connection.Grant, string, error) {
			return in.Delivery.Offer(ctx, p)
		},
		Store: in.db, Slack: in.api, Log: cfg.Log, Now: cfg.Now, Observer: unobserved{}})
	return in
}

// connect has a person let the app in, and stores what that brings as a callback does.
func (r *rig) connect(in replica, userID string) connection.Connection {
	r.T.Helper()
	return r.Connect(in.db, in.Journal, userID, in.Now())
}

// renewDue does what Run does every second, and must not fail.
func (r *rig) renewDue(in replica) {
	r.T.Helper()
	if _, err := in.RenewDue(r.Ctx); err != nil {
		r.T.Error(err)
	}
}

// Open returns the connection of k with a token that works, as whoever works with it does.
func (in replica) Open(ctx context.Context, k connection.Key) (connection.Connection, error) {
	c, err := in.db.Lookup(ctx, k)
	switch {
	case errors.Is(err, connection.ErrNotFound), err == nil && c.Token == "":
		return c, connection.ErrNotConnected
	case err != nil:
		return c, err
	}
	return in.Good(ctx, c)
}

// Client is Slack as c may use it.
func (in replica) Client(c connection.Connection) *slack.Client {
	return in.api.Client(c.Token, c.Key, "", in.api.HTTP)
}
