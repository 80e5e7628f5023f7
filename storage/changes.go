package storage

// Who did what to a connection is asked a year later, when nothing but these lines can tell; so they are written
// together with what they tell of, and leave together with the connection.

import (
	"context"
	"math"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// writeHistory adds lines to a connection's history, in the transaction that makes them true. The caller holds the
// lock on the connection's row, so that the lines lie in the order of the changes.
func (d *DB) writeHistory(tx *gorm.DB, connectionID string, lines []connection.Change) error {
	if len(lines) == 0 {
		return nil
	}
	rows := make([]changeRow, len(lines))
	for i, line := range lines {
		if line.At.IsZero() {
			line.At = d.Now()
		}
		rows[i] = changeRowOf(connectionID, line)
	}
	return tx.Create(&rows).Error
}

// unexplained is the line for a change that came without one.
func unexplained(reason string) connection.Change {
	return connection.Change{By: connection.Actor{Kind: connection.BySwitchboard}, What: connection.DidChange,
		Outcome: connection.OutcomeDone, Reason: reason}
}

// History is install.Store's.
func (d *DB) History(ctx context.Context, connectionID string, n int) ([]connection.Change, error) {
	if n <= 0 || !columns.Storable(connectionID) {
		return nil, nil
	}
	newest := d.pool.Read.Where("connection_id = ?", connectionID).Order("id DESC").Limit(n)
	return db.All(ctx, "read history", newest, (*changeRow).change)
}

const (
	// A batch of the sweep is one transaction, which holds its rows and, on SQLite, everybody else's writes. A connection
	// takes its lines and its people's tokens along, so there are fewer of them in a batch.
	linesAtOnce       = 1000
	connectionsAtOnce = 100

	// The conditions are those of the indexes connection_history_routine and connections_removed, word for word.
	sweepLines = "DELETE FROM connection_history WHERE id IN (SELECT id FROM connection_history " +
		"WHERE what = 'renew' AND outcome = 'done' AND at < @before ORDER BY at LIMIT @n)"
	// One that has been full for so long is as good as none.
	sweepBudgets = "DELETE FROM budgets WHERE free_at < @before"
	// The condition stands here twice: a connection that came back while the statement waited for its row is not removed
	// any more. The database deletes what hangs on the row.
	sweepConnections = "DELETE FROM connections WHERE id IN (SELECT id FROM connections " +
		"WHERE state = 'removed' AND state_since < @before ORDER BY state_since LIMIT @n) AND state = 'removed' AND " +
		"state_since < @before"
)

// Sweep is install.Store's. It works in batches; with an error it says how many connections were deleted until then.
func (d *DB) Sweep(ctx context.Context, before time.Time) (int64, error) {
	before = d.pool.Clock.Spared(before)
	if _, err := d.sweep(ctx, sweepLines, before, linesAtOnce); err != nil {
		return 0, db.Fault(ctx, "sweep history", err)
	}
	if _, err := d.sweep(ctx, sweepBudgets, before, math.MaxInt64); err != nil {
		return 0, db.Fault(ctx, "sweep budgets", err)
	}
	if err := d.values.SweepExpired(ctx, d.pool.Clock.Spared(d.Now())); err != nil {
		return 0, err
	}
	if err := d.timers.BeforeSweep(ctx, columns.Micros(before)); err != nil {
		return 0, err
	}
	swept, err := d.sweep(ctx, sweepConnections, before, connectionsAtOnce)
	return swept, db.Fault(ctx, "sweep connections", err)
}

// sweep runs statement until there is less than a batch left.
func (d *DB) sweep(ctx context.Context, statement string, before time.Time, batch int64) (swept int64, err error) {
	for {
		n, err := d.pool.Change(ctx, statement, map[string]any{"before": columns.Micros(before), "n": batch})
		if swept += n; err != nil || n < batch {
			return swept, err
		}
	}
}
