// Package timers keeps what bots are to do at a time: once, or again and again. It is bot.Timers on PostgreSQL and
// SQLite.
//
//	kept := db.Timers(events) // of a storage.DB and its open inbox
//	err := kept.Schedule(ctx, home, bot.Timed{Name: "remind", Key: "U1", At: at})
//	found, err := kept.Fire(ctx, "remind", 100, deliver)
//
// What is due becomes an event of the inbox in the transaction that advances its row, so that it does so once however
// many processes look. A timer hangs on its connection. While that can't be used the timer is parked, and what was due
// meanwhile runs once when it can be used again.
package timers

// The rows, and the statements that schedule and cancel.

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// Table is the table of timers: as connections that come, go and come back, and new keys change it. Timers works it. It
// may be used from any number of goroutines.
type Table struct {
	pool      *db.Pool
	keys      *seal.Keyring
	recurring atomic.Pointer[[]bot.Recurring] // of this process, for new connections
	changed   chan struct{}
}

// NewTable is the table in pool, whose timers are sealed with keys.
func NewTable(pool *db.Pool, keys *seal.Keyring) *Table {
	return &Table{pool: pool, keys: keys, changed: make(chan struct{}, 1)}
}

// Timers is bot.Timers. It may be used from any number of goroutines.
type Timers struct {
	*Table
	app    string
	inbox  *inbox.Inbox
	events *inbox.Table
}

var _ bot.Timers = (*Timers)(nil)

// Timers hands what is due to an inbox, for one app; "": for all.
func (t *Table) Timers(app string, in *inbox.Inbox, events *inbox.Table) *Timers {
	return &Timers{Table: t, app: app, inbox: in, events: events}
}

// row is a row of timers.
type row struct {
	ID           int64 `gorm:"primaryKey"`
	ConnectionID string
	AppID        string
	TeamID       string // the home's
	Name         string
	TimerKey     string // '' for what recurs
	Spec         string // how it recurs; '' = once
	Slot         int64  // the time that it is for
	DueAt        int64  // the slot, or somewhat later where many connections have the same
	Parked       int64  // 1: the connection can't be used
	LastEvent    string // of the slot before: its id
	Payload      []byte // a box; empty where it recurs
}

func (row) TableName() string { return "timers" }

// place binds a payload to its timer. As with values the organisation is no part of it.
func (r *row) place() seal.Place {
	return seal.Place{Column: "timers.payload/" + r.Name + "\x00" + r.TimerKey, App: r.AppID, Team: r.TeamID}
}

func (r *row) report() string { return "timers/" + r.TeamID + "/" + r.Name + "/" + r.TimerKey }

const (
	// One of the same name and key is replaced.
	scheduleStatement = "INSERT INTO timers (connection_id, app_id, team_id, name, timer_key, spec, slot, due_at, " +
		"parked, " +
		"last_event, payload) VALUES (@connection, @app, @team, @name, @key, '', @at, @at, 0, '', @payload) " +
		"ON CONFLICT (connection_id, team_id, name, timer_key) DO UPDATE SET slot = excluded.slot, " +
		"due_at = excluded.due_at, parked = 0, payload = excluded.payload"
	cancelStatement = "DELETE FROM timers WHERE connection_id IN (" + homesQuery + ") AND team_id = @team AND " +
		"name = @name AND timer_key = @key"
	replaceStatement = cancelStatement + " AND connection_id <> @connection"
	dropStatement    = "DELETE FROM timers WHERE id IN (SELECT id FROM timers WHERE parked = 0 AND due_at < @before AND " +
		"name NOT IN @names AND (@app = '' OR app_id = @app) LIMIT @n) AND parked = 0 AND due_at < @before RETURNING name"
)

// droppedAtOnce bounds a step: on SQLite everybody else's writes wait for it.
const droppedAtOnce = 1000

// Schedule is bot.Timers'.
func (t *Table) Schedule(ctx context.Context, of bot.ValueOwner, timed bot.Timed) error {
	at := row{AppID: of.AppID, TeamID: of.TeamID, Name: timed.Name, TimerKey: timed.Key}
	box, err := t.keys.SealOn(t.pool.Now(), timed.Data, at.place())
	if err != nil {
		return fmt.Errorf("schedule timer: %w", err)
	}

	values := names(of, timed.Name, timed.Key)
	values["at"], values["payload"] = columns.Micros(timed.At), box
	err = t.pool.Transact(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec(replaceStatement, values).Error; err != nil {
			return err
		}
		return tx.Exec(scheduleStatement, values).Error
	})
	if errors.Is(err, gorm.ErrForeignKeyViolated) { // swept meanwhile
		return connection.ErrNotFound
	}
	if err == nil {
		t.Wake()
	}
	return db.Fault(ctx, "schedule timer", err)
}

// Cancel is bot.Timers'.
func (t *Table) Cancel(ctx context.Context, of bot.ValueOwner, name, key string) (found bool, err error) {
	n, err := t.pool.Change(ctx, cancelStatement, names(of, name, key))
	return n > 0, db.Fault(ctx, "cancel timer", err)
}

func names(of bot.ValueOwner, name, key string) map[string]any {
	return map[string]any{"connection": columns.Text(of.ConnectionID), "app": columns.Text(of.AppID),
		"team": columns.Text(of.TeamID), "name": columns.Text(name), "key": columns.Text(key)}
}

// Drop is bot.Timers'.
func (t *Timers) Drop(ctx context.Context, names []string, before time.Time) (dropped map[string]int, err error) {
	values := map[string]any{"names": append([]string{""}, names...), "app": t.app, "n": droppedAtOnce,
		"before": columns.Micros(t.pool.Clock.Spared(before))}
	dropped = map[string]int{}
	for more := true; more; {
		var gone []string
		err := t.pool.Exec(ctx, func(g *gorm.DB) error {
			gone = nil
			return g.Raw(dropStatement, values).Scan(&gone).Error
		})
		if err != nil {
			return dropped, db.Fault(ctx, "drop timers", err)
		}
		for _, name := range gone {
			dropped[name]++
		}
		more = len(gone) == droppedAtOnce
	}
	return dropped, nil
}

// Changed is bot.Timers'.
func (t *Table) Changed() <-chan struct{} { return t.changed }

// Wake says that there may be a timer that is due earlier than all that were known.
func (t *Table) Wake() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// Next is bot.Timers'.
func (t *Timers) Next(ctx context.Context, names []string) (map[string]time.Time, error) {
	next := make(map[string]time.Time, len(names))
	for _, name := range names { // each is one step in an index
		var due []int64
		err := t.pool.Read.WithContext(ctx).Raw("SELECT due_at FROM timers WHERE name = @name AND parked = 0 AND "+
			"(@app = '' OR app_id = @app) ORDER BY due_at LIMIT 1", map[string]any{"name": name, "app": t.app}).
			Scan(&due).Error
		if err != nil {
			return nil, db.Fault(ctx, "look for timers", err)
		}
		if len(due) > 0 {
			next[name] = columns.Moment(due[0])
		}
	}
	return next, nil
}
