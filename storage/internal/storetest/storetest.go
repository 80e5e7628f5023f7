// Package storetest opens databases for the tests of storage's rooms, with another handle on the same tables. Nothing
// but tests imports it.
package storetest

// Both databases must behave alike down to the last race, so each test that can runs on both.

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Callers is how many goroutines a race is run with.
const Callers = 100

var T0 = time.Date(2026, 11, 20, 9, 30, 0, 123456000, time.UTC)

// Fixture is a migrated database with another, raw handle on the same tables.
type Fixture struct {
	*storage.DB
	URL string
	Raw *sql.DB
	Log *bytes.Buffer // what operators are told; read it when nothing is under way
}

// Each runs test on SQLite and on PostgreSQL at once. It returns before they have ended.
func Each(t *testing.T, test func(t *testing.T, f Fixture)) {
	t.Helper()
	EachFresh(t, func(t *testing.T, url string) { test(t, Open(t, url)) })
}

func Open(t testing.TB, url string) Fixture {
	t.Helper()
	db := OpenWith(t, url, Ring(t, seal.NewKey()))
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	db.LogTo(slog.New(slog.NewTextHandler(log, nil)))
	return Fixture{db, url, RawHandle(t, url), log}
}

func OpenWith(t testing.TB, url string, keys *seal.Keyring) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), url, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { OK(t, db.Close()) })
	return db
}

func RawHandle(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, dsn = "sqlite", path+"?_pragma=busy_timeout(10000)"
	}
	raw, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return raw
}

func (f Fixture) CountOf(t *testing.T, query string) (n int) {
	t.Helper()
	if err := f.Raw.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func Exec(t *testing.T, f Fixture, statement string) {
	t.Helper()
	if _, err := f.Raw.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func Key(app, enterprise, team string) connection.Key {
	return connection.Key{AppID: app, EnterpriseID: enterprise, TeamID: team}
}

// Full is a connection with something in every field.
func Full(k connection.Key) connection.Connection {
	return connection.Connection{
		Key: k, TeamName: "Acme", TeamURL: "https://acme.slack.com/", TeamIcon: "https://img/1.png",
		EnterpriseName: "Acme Group", BotUserID: "U0BOT", BotID: "B0BOT", Scopes: []string{"chat:write", "commands"},
		TokenPair: connection.TokenPair{Token: "xoxe.xoxb-token", RefreshToken: "xoxe-1-refresh",
			ExpiresAt: T0.Add(12 * time.Hour), Generation: 1},
		Webhook: connection.Webhook{URL: "https://hooks.slack.com/services/T/B/secret", Channel: "#general", ChannelID: "C1",
			ConfigurationURL: "https://acme.slack.com/services/B1"},
		InstalledBy: "U1", InstalledByName: "Ann", InstalledAt: T0, AuthorizedBy: "U1", AuthorizedAt: T0,
		State: connection.Active, Reason: "because", StateSince: T0.Add(time.Second), CheckedAt: T0.Add(2 * time.Second),
		LastEventAt: T0.Add(3 * time.Second),
	}
}

func Put(t *testing.T, db install.Store, c connection.Connection) connection.Connection {
	t.Helper()
	now, _, err := db.Put(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func Ring(t testing.TB, keys ...string) *seal.Keyring {
	t.Helper()
	k, err := seal.ParseKeys(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Payload is what the database keeps of what an event has in it.
func Payload(t *testing.T, f Fixture, id string) (box []byte) {
	t.Helper()
	query := "SELECT payload FROM inbox WHERE event_id = '" + id + "'"
	if f.Dialect() == "sqlite" {
		query = "SELECT coalesce(p.payload, i.payload) FROM inbox i LEFT JOIN inbox_payloads p ON p.id = i.id WHERE " +
			"event_id = '" + id + "'"
	}
	if err := f.Raw.QueryRow(query).Scan(&box); err != nil {
		t.Fatalf("payload of %s: %v", id, err)
	}
	return box
}

// PutPayload puts a box where the release before this one does, on both databases.
func (f Fixture) PutPayload(t *testing.T, id string, box []byte) {
	t.Helper()
	Exec(t, f, fmt.Sprintf("UPDATE inbox SET payload = %s WHERE event_id = '%s'",
		fmt.Sprintf(map[string]string{"postgres": "'\\x%x'", "sqlite": "x'%x'"}[f.Dialect()], box), id))
	if f.Dialect() == "sqlite" {
		Exec(t, f, "DELETE FROM inbox_payloads WHERE id = (SELECT id FROM inbox WHERE event_id = '"+id+"')")
	}
}

func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func Event(id, team string) bot.Delivery {
	return bot.Delivery{ID: id, Kind: "events_api", Type: "message", Key: Key("A1", "E1", team), Received: T0,
		Body: []byte(`{"secret of":"` + id + `"}`)}
}

func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// OpenWithout opens a database without keys, as often as a test wants to close it.
func OpenWithout(t *testing.T, address string) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), address, nil)
	OK(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func EachFresh(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

// Columns returns a table's columns, in order.
func Columns(t *testing.T, f Fixture, table string) []string {
	t.Helper()
	rows, err := f.Raw.Query("SELECT * FROM " + table + " LIMIT 0")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	return names
}
