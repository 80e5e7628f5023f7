// Package values keeps what bots remember of a workspace: small sealed values under keys. It is bot.Values on
// PostgreSQL and SQLite.
//
//	kept := db.Values() // of a storage.DB
//	err := kept.Put(ctx, home, "settings/U1", []byte(`{"zone":"Europe/Vienna"}`), time.Time{})
//	value, err := kept.Get(ctx, home, "settings/U1")
//
// A value belongs to an app in a workspace, and goes with the connection that used it last. So it outlives a removal
// for as long as that connection's record does.
package values

// Where the values lie, and the statements that read and write them.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// Table is the table of values. It may be used from any number of goroutines.
type Table struct {
	pool *db.Pool
	keys *seal.Keyring
}

var _ bot.Values = (*Table)(nil)

// NewTable is the table in pool, whose values are sealed with keys.
func NewTable(pool *db.Pool, keys *seal.Keyring) *Table { return &Table{pool: pool, keys: keys} }

// row is a row of bot_values.
type row struct {
	AppID        string `gorm:"primaryKey"`
	TeamID       string `gorm:"primaryKey"`
	Name         string `gorm:"primaryKey"`
	ConnectionID string
	Value        []byte // a box
	ExpiresAt    int64
	Version      int64
}

func (row) TableName() string { return "bot_values" }

// place binds a value to its app, workspace and key. The organisation is no part of it: the values of a workspace that
// joins one move by themselves, also where a release does it that knows nothing of them.
func (r *row) place() seal.Place {
	return seal.Place{Column: "bot_values.value/" + r.Name, App: r.AppID, Team: r.TeamID}
}

func (r *row) report() string { return "values/" + r.TeamID + "/" + r.Name }

const (
	thisValue = "app_id = @app AND team_id = @team AND name = @key"
	current   = "(expires_at = 0 OR expires_at > @now)"

	insertValue = "INSERT INTO bot_values (app_id, team_id, name, connection_id, value, expires_at, version) " +
		"VALUES (@app, @team, @key, @connection, @value, @until, @version) " +
		"ON CONFLICT (app_id, team_id, name) DO UPDATE SET connection_id = excluded.connection_id, " +
		"value = excluded.value, expires_at = excluded.expires_at, version = excluded.version"
	insertWhereNone = insertValue + " WHERE bot_values.expires_at > 0 AND bot_values.expires_at <= @now"

	// Compare and set, in one statement. A version is a random number and not a count, so that a value that was deleted
	// and written anew is not taken for the one that was read.
	replaceValue = "UPDATE bot_values SET connection_id = @connection, value = @value, version = @version WHERE " +
		thisValue + " AND version = @seen AND " + current

	adoptValues = "UPDATE bot_values SET connection_id = @connection WHERE app_id = @app AND team_id = @team AND " +
		"connection_id <> @connection AND EXISTS (SELECT 1 FROM connections c WHERE c.id = @connection)"

	sweepExpired = "DELETE FROM bot_values WHERE (app_id, team_id, name) IN (SELECT app_id, team_id, name FROM " +
		"bot_values WHERE expires_at > 0 AND expires_at <= @before ORDER BY expires_at LIMIT @n) " +
		"AND expires_at > 0 AND expires_at <= @before"
)

// sweptAtOnce bounds a step of the sweep: on SQLite everybody else's writes wait for it.
const sweptAtOnce = 1000

// Get is bot.Values'.
func (t *Table) Get(ctx context.Context, of bot.ValueOwner, key string) (bot.Kept, error) {
	found, err := db.One[row](t.current(ctx, of).Where("name = ?", columns.Text(key)).Limit(1))
	switch {
	case errors.Is(err, connection.ErrNotFound):
		return bot.Kept{}, nil
	case err != nil:
		return bot.Kept{}, db.Fault(ctx, "read value", err)
	}

	t.adopt(ctx, of, &found)
	return t.open(&found)
}

// List is bot.Values'.
func (t *Table) List(ctx context.Context, of bot.ValueOwner, prefix, after string, n int) ([]bot.Kept, error) {
	// No key has this last of all characters, which isn't printable.
	const behind = "\U0010FFFF"
	var rows []row
	query := t.current(ctx, of).Where("name >= ? AND name < ?", columns.Text(prefix), columns.Text(prefix)+behind)
	if err := query.Where("name > ?", columns.Text(after)).Order("name").Limit(n).Find(&rows).Error; err != nil {
		return nil, db.Fault(ctx, "list values", err)
	}

	others := func(r row) bool { return r.ConnectionID != of.ConnectionID }
	if i := slices.IndexFunc(rows, others); i >= 0 {
		t.adopt(ctx, of, &rows[i]) // and all others of the workspace with it
	}
	all := make([]bot.Kept, len(rows))
	for i := range rows {
		kept, err := t.open(&rows[i])
		if err != nil {
			return nil, err
		}
		all[i] = kept
	}
	return all, nil
}

// Put is bot.Values'.
func (t *Table) Put(ctx context.Context, of bot.ValueOwner, key string, data []byte, until time.Time) error {
	_, err := t.write(ctx, "put value", insertValue, of, bot.Kept{Key: key}, data, until)
	return err
}

// Replace is bot.Values'.
func (t *Table) Replace(ctx context.Context, of bot.ValueOwner, was bot.Kept, data []byte) (done bool, err error) {
	statement := replaceValue
	if was.Version == 0 {
		statement = insertWhereNone
	}
	return t.write(ctx, "replace value", statement, of, was, data, time.Time{})
}

// Delete is bot.Values'.
func (t *Table) Delete(ctx context.Context, of bot.ValueOwner, key string) error {
	_, err := t.pool.Change(ctx, "DELETE FROM bot_values WHERE "+thisValue, t.names(of, key))
	return db.Fault(ctx, "delete value", err)
}

// SweepExpired deletes the values whose time was over at a time.
func (t *Table) SweepExpired(ctx context.Context, at time.Time) error {
	for {
		n, err := t.pool.Change(ctx, sweepExpired, map[string]any{"before": columns.Micros(at), "n": sweptAtOnce})
		if err != nil || n < sweptAtOnce {
			return db.Fault(ctx, "sweep values", err)
		}
	}
}

// current are the values of a home that are not over.
func (t *Table) current(ctx context.Context, of bot.ValueOwner) *gorm.DB {
	return t.pool.Read.WithContext(ctx).Where("app_id = ? AND team_id = ? AND (expires_at = 0 OR expires_at > ?)",
		columns.Text(of.AppID), columns.Text(of.TeamID), columns.Micros(t.pool.Now()))
}

// names are the values of thisValue.
func (t *Table) names(of bot.ValueOwner, key string) map[string]any {
	return map[string]any{"app": columns.Text(of.AppID), "team": columns.Text(of.TeamID), "key": columns.Text(key),
		"connection": columns.Text(of.ConnectionID), "now": columns.Micros(t.pool.Now())}
}

// write seals data and runs a statement that writes one row, or none.
func (t *Table) write(ctx context.Context, doing, statement string, of bot.ValueOwner, was bot.Kept, data []byte,
	until time.Time) (written bool, err error) {
	at := row{AppID: of.AppID, TeamID: of.TeamID, Name: was.Key}
	box, err := t.keys.SealOn(t.pool.Now(), data, at.place())
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}

	values := t.names(of, was.Key)
	values["value"], values["until"] = box, columns.Micros(until)
	values["seen"], values["version"] = was.Version, 1+rand.Int64N(1<<62)
	n, err := t.pool.Change(ctx, statement, values)
	if errors.Is(err, gorm.ErrForeignKeyViolated) { // swept meanwhile
		return false, connection.ErrNotFound
	}
	return n == 1, db.Fault(ctx, doing, err)
}

// adopt makes the values of a workspace those of the connection that they are used by: another one than before where an
// organisation-wide install took over. Else they would go with the old one. What can't be done now is done at the next
// look.
func (t *Table) adopt(ctx context.Context, of bot.ValueOwner, found *row) {
	if found.ConnectionID == of.ConnectionID {
		return
	}
	if _, err := t.pool.Change(ctx, adoptValues, t.names(of, "")); err != nil {
		t.pool.Log().WarnContext(ctx, "values of a workspace could not be given to its new connection",
			"connection", of.ConnectionID, "cause", err)
	}
}

func (t *Table) open(r *row) (bot.Kept, error) {
	data, err := t.keys.Open(r.Value, r.place())
	if err != nil {
		return bot.Kept{}, fmt.Errorf("the value of %q can't be opened with the keys at hand: %w", r.Name, err)
	}
	return bot.Kept{Key: r.Name, Data: data, Version: r.Version}, nil
}
