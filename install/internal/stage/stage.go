// Package stage is what tests of installs and their tokens stand on: a small Slack that gives rotating tokens and
// takes each refresh token once, a clock that stands still, and a database that processes share.
package stage

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const (
	// Redirect is where Slack sends browsers back to.
	Redirect = "http://127.0.0.1:9"
	// Life is how long an access token lives.
	Life = 12 * time.Hour
	// Patience bounds how long a test waits for anything.
	Patience = 20 * time.Second
)

// Stage is the Slack, the clock and the database of one test.
type Stage struct {
	T        *testing.T
	Ctx      context.Context
	Slack    *slacksim.Sim
	Clock    *slacksim.ManualClock
	Database string
	Keys     string
	Folder   string // the journal's, of processes that are opened from now on
	Breaches bool   // some are expected
}

// Each runs a test on every database.
func Each(t *testing.T, test func(t *testing.T, s *Stage)) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, New(t, fresh(t)))
		})
	}
}

// New is a Stage on a database. It ends with the test, which fails when a rule of Slack's was broken.
func New(t *testing.T, database string) *Stage {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)

	// Whole seconds, and of today: Slack signs and dates with them.
	clock := slacksim.NewManualClock(time.Now().Truncate(time.Second))
	s := &Stage{T: t, Ctx: ctx, Clock: clock, Database: database, Keys: seal.NewKey(), Folder: t.TempDir() + "/journal"}

	s.Slack = slacksim.New(slacksim.Config{Clock: clock, App: slacksim.App{ID: "A0RENEWAL1", Name: "Renewal",
		ClientID: "1.2", ClientSecret: "client-secret", SigningSecret: "signing-secret", RedirectURLs: []string{Redirect},
		TokenRotation: true, StrictRefresh: true, MessagesTab: true}})
	s.Slack.AddSmallWorld()
	if err := s.Slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		for _, b := range s.Slack.Breaches() {
			if !s.Breaches {
				t.Errorf("a rule of Slack's was broken: %s: %s", b.Rule, b.Detail)
			}
		}
		end, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := s.Slack.Close(end); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Open opens the database as a process does, with the journal in Folder.
func (s *Stage) Open() *storage.DB {
	s.T.Helper()
	keys, err := seal.ParseKeys(s.Keys)
	if err != nil {
		s.T.Fatal(err)
	}
	db, err := storage.Open(s.Ctx, s.Database, keys)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(s.Ctx); err != nil {
		s.T.Fatal(err)
	}
	if err := db.UseJournal(s.Folder); err != nil {
		s.T.Fatal(err)
	}
	return db
}

// Due moves the clock to where every token is to be renewed, and none has ended.
func (s *Stage) Due() { s.Clock.Advance(Life * 17 / 24) }

// Exchanges returns how often a refresh token was presented, and how often Slack gave a pair for one.
func (s *Stage) Exchanges() (asked, given int) {
	for _, c := range s.Slack.Calls("oauth.v2.access") {
		if c.Form.Get("grant_type") == "refresh_token" {
			asked++
			if c.OK {
				given++
			}
		}
	}
	return asked, given
}

// Spent fails the test unless refresh tokens were presented n times so far.
func (s *Stage) Spent(n int) {
	s.T.Helper()
	if asked, _ := s.Exchanges(); asked != n {
		s.T.Errorf("%d exchanges, not %d", asked, n)
	}
}

// Works fails the test unless Slack takes the token, and unless it is the newest of the newest token pair.
func (s *Stage) Works(c connection.Connection) {
	s.T.Helper()
	at, ok := s.Slack.Installed(c.TeamID)
	if !ok || at.BotToken != c.Token.Reveal() || at.RefreshToken != c.RefreshToken.Reveal() {
		s.T.Errorf("the tokens of %s are not the ones that Slack handed out last", c.TeamID)
	}
}

// Row is the connection as the database has it.
func (s *Stage) Row(db *storage.DB, k connection.Key) connection.Connection {
	s.T.Helper()
	c, err := db.Lookup(s.Ctx, k)
	if err != nil {
		s.T.Fatal(err)
	}
	return c
}

// Is fails the test when the row of k is in another state.
func (s *Stage) Is(db *storage.DB, k connection.Key, state connection.State, reason string) connection.Connection {
	s.T.Helper()
	c := s.Row(db, k)
	if c.State != state || c.Reason != reason {
		s.T.Errorf("%s is %s (%s), not %s (%s)", k, c.State, c.Reason, state, reason)
	}
	return c
}

// Update changes a row behind everybody's back, and a moment later than all that was asked before, whose answers may
// still be on their way to it.
func (s *Stage) Update(db *storage.DB, k connection.Key, change func(c *connection.Connection)) {
	s.T.Helper()
	s.Clock.Advance(time.Millisecond)
	if _, err := db.Update(s.Ctx, k, func(c *connection.Connection) error {
		change(c)
		c.Note(connection.Change{What: "test"})
		return nil
	}); err != nil {
		s.T.Fatal(err)
	}
}

// Waiting returns what the store might not have yet.
func (s *Stage) Waiting() []connection.Grant {
	s.T.Helper()
	pairs, err := s.Open().Journaled()
	if err != nil {
		s.T.Fatal(err)
	}
	return pairs
}

// Kept returns what the journal keeps for the day on which the store loses it.
func (s *Stage) Kept() []connection.Grant {
	s.T.Helper()
	pairs, err := s.Open().Kept("", 1000)
	if err != nil {
		s.T.Fatal(err)
	}
	return pairs
}

// EmptyJournal fails the test when something in it waits.
func (s *Stage) EmptyJournal() {
	s.T.Helper()
	if left := s.Waiting(); len(left) > 0 {
		s.T.Errorf("%d pairs wait in the journal", len(left))
	}
}

// Raw is the database without our code.
func (s *Stage) Raw() *sql.DB {
	s.T.Helper()
	driver, source := "pgx", s.Database
	if path, ok := strings.CutPrefix(s.Database, "sqlite:"); ok {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { _ = db.Close() })
	return db
}

// Snapshot keeps what the database says of connections, as a backup does or a standby that lags. back puts it in place.
func (s *Stage) Snapshot() (back func()) {
	s.T.Helper()
	raw := s.Raw()
	do := func(statements ...string) {
		s.T.Helper()
		for _, statement := range statements {
			if _, err := raw.ExecContext(s.Ctx, statement); err != nil {
				s.T.Fatalf("%s: %v", statement, err)
			}
		}
	}

	do("CREATE TABLE old_connections AS SELECT * FROM connections", "CREATE TABLE old_users AS SELECT * FROM user_tokens",
		"CREATE TABLE old_lines AS SELECT id FROM connection_history")

	return func() {
		s.T.Helper()
		do("DELETE FROM connection_history WHERE id NOT IN (SELECT id FROM old_lines)", "DELETE FROM user_tokens",
			"DELETE FROM connections WHERE id NOT IN (SELECT id FROM old_connections)")

		// A row is put back in place, or its history would go with it.
		columns := []string{}
		rows, err := raw.QueryContext(s.Ctx, "SELECT * FROM old_connections WHERE 1 = 0")
		if err == nil {
			columns, err = rows.Columns()
		}
		if err := errors.Join(err, rows.Close()); err != nil {
			s.T.Fatal(err)
		}
		list := strings.Join(columns, ", ")
		do("UPDATE connections SET ("+list+") = (SELECT "+list+" FROM old_connections o WHERE o.id = connections.id)",
			"INSERT INTO user_tokens SELECT * FROM old_users")
	}
}

// RoundTripper is a function as one.
type RoundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Between is an HTTP client that calls do when Slack has answered a method and before the caller learns of it: where
// the things happen that tests are about.
func Between(method string, do func(*http.Response)) *http.Client {
	client := slackapi.NewHTTPClient()
	next := client.Transport
	client.Transport = RoundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil && strings.HasSuffix(req.URL.Path, "/api/"+method) {
			do(resp)
		}
		return resp, err
	})
	return client
}

// IsRefresh reports whether a request spends a refresh token.
func IsRefresh(r *http.Request) bool {
	if r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	if err != nil {
		return false
	}
	form, _ := io.ReadAll(body)
	return strings.Contains(string(form), "grant_type=refresh_token")
}

// Held is an HTTP client that keeps the answer to its first renewal back: answered is closed when Slack has given it,
// and it is passed on when goOn is closed.
func Held() (client *http.Client, answered, goOn chan struct{}) {
	answered, goOn = make(chan struct{}), make(chan struct{})
	var once sync.Once
	return Between("oauth.v2.access", func(resp *http.Response) {
		if IsRefresh(resp.Request) {
			once.Do(func() { close(answered); <-goOn })
		}
	}), answered, goOn
}

// API calls the Slack of s.
func (s *Stage) API(client *http.Client, now func() time.Time) *slackapi.API {
	s.T.Cleanup(client.CloseIdleConnections)
	return &slackapi.API{Address: s.Slack.URL(), HTTP: client, Now: now, Met: func(string, string) {}}
}
