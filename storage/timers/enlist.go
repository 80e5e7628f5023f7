package timers

// Each connection has one row for each thing that recurs: new ones from the moment they are there, old ones by a walk
// in steps, and all of them again when a connection can be used again.

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

const (
	// enlistedAtOnce bounds a step of the walk: a read of so many connections, and one insert for those without a row.
	enlistedAtOnce = 200
	// A slot that is further ahead than this behind the next one was written by a broken clock.
	furthestAhead = 2 * time.Hour

	// Removed connections have rows, too: they are parked when they are due, and there when it comes back.
	enlistQuery = "SELECT c.id AS connection_id, c.app_id, c.enterprise_id, c.team_id AS own_team_id, " +
		"coalesce(t.spec, '') AS spec, coalesce(t.slot, 0) AS slot FROM " +
		"(SELECT id, app_id, enterprise_id, team_id FROM connections WHERE id > @after ORDER BY id LIMIT @n) AS c " +
		"LEFT JOIN timers t ON t.connection_id = c.id AND t.name = @name AND t.timer_key = '' ORDER BY c.id"

	enlistInsert = "INSERT INTO timers (connection_id, app_id, team_id, name, timer_key, spec, slot, due_at, parked, " +
		"last_event, payload) VALUES "
	enlistRow = "(?, ?, ?, ?, '', ?, ?, ?, 0, '', ?)"
	enlistOld = " ON CONFLICT (connection_id, team_id, name, timer_key) DO UPDATE SET spec = excluded.spec, " +
		"slot = excluded.slot, due_at = excluded.due_at " +
		"WHERE timers.spec <> excluded.spec OR timers.slot > excluded.slot + "

	reviveStatement = "UPDATE timers SET parked = 0 WHERE connection_id = ? AND parked = 1"
)

// Recur is bot.Timers'.
func (t *Table) Recur(recurring []bot.Recurring) {
	known := slices.Clone(recurring)
	t.recurring.Store(&known)
}

// Enlist is bot.Timers'. Each process does it: who comes second finds nothing to do.
func (t *Timers) Enlist(ctx context.Context) error {
	for _, r := range t.known() {
		if err := t.enlistAll(ctx, r); err != nil {
			return db.Fault(ctx, "list connections for timers", err)
		}
	}
	// A timer may have been parked in the moment in which its heir came.
	err := t.pool.Transact(ctx, func(tx *gorm.DB) error { return t.pass(tx, parked, 0) })
	t.Wake()
	return db.Fault(ctx, "pass timers on", err)
}

func (t *Timers) enlistAll(ctx context.Context, r bot.Recurring) error {
	for after := ""; ; {
		var page []dueRow
		err := t.pool.Read.WithContext(ctx).Raw(enlistQuery, map[string]any{"after": after, "n": enlistedAtOnce,
			"name": r.Name}).Scan(&page).Error
		if err != nil {
			return err
		}

		missing := slices.DeleteFunc(slices.Clone(page), func(c dueRow) bool {
			right := c.Timer.Spec == r.Spec && columns.Moment(c.Timer.Slot).Sub(t.pool.Now()) < furthestAhead
			return right || t.app != "" && c.Timer.AppID != t.app
		})
		err = t.pool.Exec(ctx, func(g *gorm.DB) error { return t.enlist(g, r, missing) })
		switch {
		case errors.Is(err, gorm.ErrForeignKeyViolated): // one of them was swept: look again
			continue
		case err != nil:
			return err
		case len(page) < enlistedAtOnce:
			return nil
		}
		after = page[len(page)-1].Timer.ConnectionID
	}
}

// enlist writes rows for connections that have none, or a wrong one.
func (t *Table) enlist(g *gorm.DB, r bot.Recurring, connections []dueRow) error {
	if len(connections) == 0 {
		return nil
	}

	now := t.pool.Now()
	values := make([]any, 0, 8*len(connections))
	for _, c := range connections {
		slot, due := r.Next(c.Timer.ConnectionID, now)
		values = append(values, c.Timer.ConnectionID, c.Timer.AppID, cmp.Or(c.OwnTeamID, c.EnterpriseID), r.Name,
			r.Spec, columns.Micros(slot), columns.Micros(due), []byte{})
	}
	rows := enlistRow + strings.Repeat(", "+enlistRow, len(connections)-1)
	return g.Exec(enlistInsert+rows+enlistOld+"?", append(values, furthestAhead.Microseconds())...).Error
}

// Connected gives a new connection its rows, in the transaction that makes it.
func (t *Table) Connected(tx *gorm.DB, id string, k connection.Key) error {
	c := dueRow{Timer: row{ConnectionID: id, AppID: k.AppID}, EnterpriseID: k.EnterpriseID, OwnTeamID: k.TeamID}
	for _, r := range t.known() {
		if err := t.enlist(tx, r, []dueRow{c}); err != nil {
			return err
		}
	}
	return t.pass(tx, theirs, id)
}

// Moved takes up again what is parked when a connection, whose row tx has locked, went from a state in which it
// couldn't be used to one in which it can.
func (t *Table) Moved(tx *gorm.DB, id, was, now string) error {
	if runs(was) || !runs(now) {
		return nil
	}
	t.Wake() // or the next look finds it
	if err := tx.Exec(reviveStatement, id).Error; err != nil {
		return err
	}
	return t.pass(tx, theirs, id)
}
