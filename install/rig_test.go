package install_test

// The stage that most tests of this package stand on: package stage's, with Installers on it.

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const (
	redirect = stage.Redirect
	life     = stage.Life
	patience = stage.Patience
)

type roundTrip = stage.RoundTripper

var between, refresh, held = stage.Between, stage.IsRefresh, stage.Held

// rig is a stage with Installers on it.
type rig struct {
	*stage.Stage
	t     *testing.T
	ctx   context.Context
	slack *slacksim.Sim
	clock *slacksim.ManualClock
}

func rigOn(s *stage.Stage) *rig {
	return &rig{Stage: s, t: s.T, ctx: s.Ctx, slack: s.Slack, clock: s.Clock}
}

func newRig(t *testing.T, database string) *rig { return rigOn(stage.New(t, database)) }

func eachRig(t *testing.T, test func(t *testing.T, r *rig)) {
	stage.Each(t, func(t *testing.T, s *stage.Stage) { test(t, rigOn(s)) })
}

// sqliteRig is for what no database has a part in.
func sqliteRig(t *testing.T) *rig {
	t.Parallel()
	return newRig(t, storagetest.SQLite(t))
}

func (r *rig) due()                          { r.Due() }
func (r *rig) exchanges() (asked, given int) { return r.Exchanges() }
func (r *rig) spent(n int)                   { r.t.Helper(); r.Spent(n) }
func (r *rig) works(c connection.Connection) { r.t.Helper(); r.Works(c) }
func (r *rig) waiting() []connection.Grant   { r.t.Helper(); return r.Waiting() }
func (r *rig) kept() []connection.Grant      { r.t.Helper(); return r.Kept() }
func (r *rig) emptyJournal()                 { r.t.Helper(); r.EmptyJournal() }
func (r *rig) raw() *sql.DB                  { r.t.Helper(); return r.Raw() }
func (r *rig) snapshot() (back func())       { r.t.Helper(); return r.Snapshot() }

func (r *rig) row(in replica, k connection.Key) connection.Connection {
	r.t.Helper()
	return r.Row(in.db, k)
}

func (r *rig) update(in replica, k connection.Key, change func(c *connection.Connection)) {
	r.t.Helper()
	r.Update(in.db, k, change)
}

func (r *rig) is(in replica, k connection.Key, state connection.State, reason string) connection.Connection {
	r.t.Helper()
	return r.Is(in.db, k, state, reason)
}

// replica is one process: its own database handle, its own Installer.
type replica struct {
	*install.Installer
	db *storage.DB
}

func (r *rig) replica(change func(*install.Config)) replica {
	r.t.Helper()
	db := r.Open()
	cfg := install.Config{ClientID: "1.2", ClientSecret: "client-secret", SlackURL: r.slack.URL(), PublicURL: redirect, Store: db, Now: r.clock.Now, SigningKeys: db.SigningKeys(),
		Scopes: []connection.Scope{{Name: "chat:write"}, {Name: "users:read"}}}
	if os.Getenv("SHOW_LOGS") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&cfg)
	}
	in, err := install.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(in.Slack().HTTP.CloseIdleConnections)
	return replica{in, db}
}

// connect installs the app as a person does, and returns the connection.
func (r *rig) connect(in replica, userID string) connection.Connection {
	r.t.Helper()
	page := func(address, cookie string) *http.Response {
		req := httptest.NewRequest(http.MethodGet, address, nil)
		req.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, req)
		return w.Result()
	}
	start := page(redirect+"/slack/install", "")
	if start.StatusCode != http.StatusFound {
		r.t.Fatalf("start: %s", start.Status)
	}
	back, err := r.slack.Authorize(r.ctx, start.Header.Get("Location"), userID, slacksim.Choice{})
	if err != nil {
		r.t.Fatal(err)
	}
	if done := page(back, start.Cookies()[0].Name+"="+start.Cookies()[0].Value); done.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(done.Body)
		r.t.Fatalf("callback: %s %s", done.Status, body)
	}
	for _, u := range r.slack.Directory.Users("") {
		if u.ID == userID {
			return r.row(in, connection.Key{AppID: "A0RENEWAL1", TeamID: u.TeamID})
		}
	}
	r.t.Fatal("no such user")
	return connection.Connection{}
}
