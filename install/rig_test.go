package install_test

// The stage that most tests of this package stand on: package stage's, with Installers on it.

import (
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

// rig is a stage with Installers on it.
type rig struct{ *stage.Stage }

func newRig(t *testing.T, database string) *rig { return &rig{stage.New(t, database)} }

func eachRig(t *testing.T, test func(t *testing.T, r *rig)) {
	stage.Each(t, func(t *testing.T, s *stage.Stage) { test(t, &rig{s}) })
}

// sqliteRig is for what no database has a part in.
func sqliteRig(t *testing.T) *rig {
	t.Parallel()
	return newRig(t, storagetest.SQLite(t))
}

// replica is one process: its own database handle, its own Installer.
type replica struct {
	*install.Installer
	db *storage.DB
}

func (r *rig) replica(change func(*install.Config)) replica {
	r.T.Helper()
	db := r.Open()
	cfg := install.Config{ClientID: "1.2", ClientSecret: "client-secret", SlackURL: r.Slack.URL(),
		PublicURL: stage.Redirect, Store: db, Now: r.Clock.Now, SigningKeys: db.SigningKeys(),
		Scopes: []connection.Scope{{Name: "chat:write"}, {Name: "users:read"}}}
	if os.Getenv("SHOW_LOGS") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&cfg)
	}
	in, err := install.New(cfg)
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(in.Slack().HTTP.CloseIdleConnections)
	return replica{in, db}
}

// telling has an Installer write by m.
func telling(m *stage.Told) func(*install.Config) {
	return func(cfg *install.Config) { cfg.Messages = m }
}

// broken makes the refresh token of c dead, with most of the access token's life before it.
func (r *rig) broken(in replica, c connection.Connection) {
	r.T.Helper()
	r.Broken(in.db, in.Tokens(), c)
}

// connect installs the app as a person does, and returns the connection.
func (r *rig) connect(in replica, userID string) connection.Connection {
	r.T.Helper()
	page := func(address, cookie string) *http.Response {
		req := httptest.NewRequest(http.MethodGet, address, nil)
		req.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, req)
		return w.Result()
	}
	start := page(stage.Redirect+"/slack/install", "")
	if start.StatusCode != http.StatusFound {
		r.T.Fatalf("start: %s", start.Status)
	}
	back, err := r.Slack.Authorize(r.Ctx, start.Header.Get("Location"), userID, slacksim.Choice{})
	if err != nil {
		r.T.Fatal(err)
	}
	if done := page(back, start.Cookies()[0].Name+"="+start.Cookies()[0].Value); done.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(done.Body)
		r.T.Fatalf("callback: %s %s", done.Status, body)
	}
	for _, u := range r.Slack.Directory.Users("") {
		if u.ID == userID {
			return r.Row(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: u.TeamID})
		}
	}
	r.T.Fatal("no such user")
	return connection.Connection{}
}
