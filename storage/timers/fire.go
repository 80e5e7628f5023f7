package timers

// What is due becomes an event, and its row goes or moves on, in one transaction.

import (
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// sealedAgain is how long a timer that no key of ours opens is put off: another process may have the key.
const sealedAgain = time.Hour

// dueRow is a timer with what is to be known of its connection.
type dueRow struct {
	Timer        row `gorm:"embedded"`
	EnterpriseID string
	OwnTeamID    string
	State        string
}

const (
	dueColumns = "t.id, t.connection_id, t.app_id, t.team_id, t.name, t.timer_key, t.spec, t.slot, t.due_at, " +
		"t.last_event, " +
		"t.payload, c.enterprise_id, c.team_id AS own_team_id, c.state"
	dueQuery = "SELECT " + dueColumns + " FROM timers t JOIN connections c ON c.id = t.connection_id " +
		"WHERE t.name = @name AND t.parked = 0 AND t.due_at <= @now AND (@app = '' OR t.app_id = @app) " +
		"ORDER BY t.due_at LIMIT @n"

	// The connection is looked at again with its row locked. Whoever makes it usable in this moment holds that lock, and
	// takes up what is parked before.
	lockConnections = "SELECT id FROM connections WHERE id IN ? AND state NOT IN ? ORDER BY id"
	parkStatement   = "UPDATE timers SET parked = 1 WHERE id IN ? AND connection_id IN ?"
)

// running are the states of a connection in which its timers run.
var running = []string{string(connection.Active), string(connection.Retrying)}

// runs reports whether timers of a connection in this state run.
func runs(state string) bool { return state == running[0] || state == running[1] }

// Fire is bot.Timers'.
func (t *Timers) Fire(ctx context.Context, name string, n int,
	deliver func(bot.Due) bot.Delivery) (found int, err error) {
	now := t.pool.Now()
	err = t.pool.Transact(ctx, func(tx *gorm.DB) error {
		var due []dueRow
		query := dueQuery
		if t.pool.Dialect == db.DialectPostgres {
			query += " FOR UPDATE OF t SKIP LOCKED" // of several processes each takes others
		}
		err := tx.Raw(query, map[string]any{"name": name, "now": columns.Micros(now), "app": t.app, "n": n}).
			Scan(&due).Error
		if found = len(due); err != nil || found == 0 {
			return err
		}

		fires, err := t.usable(tx, due)
		if err != nil {
			return err
		}
		return t.fire(tx, now, fires, deliver)
	})
	if err == nil && found > 0 {
		t.inbox.Wake()
	}
	return found, db.Fault(ctx, "fire timers", err)
}

// usable returns the timers whose connection can be used. It parks the others, or passes them on: then they are found
// again right away.
func (t *Timers) usable(tx *gorm.DB, due []dueRow) (fires []*dueRow, err error) {
	var idle []int64
	var connections []string
	for i := range due {
		if runs(due[i].State) {
			fires = append(fires, &due[i])
			continue
		}
		idle = append(idle, due[i].Timer.ID)
		connections = append(connections, due[i].Timer.ConnectionID)
	}
	if len(idle) == 0 {
		return fires, nil
	}

	query := lockConnections
	if t.pool.Dialect == db.DialectPostgres {
		query += " FOR SHARE"
	}
	var unusable []string
	if err := tx.Raw(query, connections, running).Scan(&unusable).Error; err != nil || len(unusable) == 0 {
		return fires, err
	}
	if err := tx.Exec(parkStatement, idle, unusable).Error; err != nil {
		return fires, err
	}
	return fires, t.pass(tx, thatAreIn, idle)
}

// fire hands timers to the inbox, deletes those that were for once, and moves on the others.
func (t *Timers) fire(tx *gorm.DB, now time.Time, due []*dueRow, deliver func(bot.Due) bot.Delivery) error {
	unfinished, err := t.unfinished(tx, due)
	if err != nil {
		return err
	}

	var b batch
	past := map[string][]string{} // the events of the slots before, by app
	for _, r := range due {
		recurs, known := t.recurs(r)
		d := bot.Due{ValueOwner: bot.ValueOwner{ConnectionID: r.Timer.ConnectionID, AppID: r.Timer.AppID,
			TeamID: r.Timer.TeamID},
			Key:       connection.Key{AppID: r.Timer.AppID, EnterpriseID: r.EnterpriseID, TeamID: r.OwnTeamID},
			Timed:     bot.Timed{Name: r.Timer.Name, Key: r.Timer.TimerKey, At: columns.Moment(r.Timer.Slot)},
			Recurring: r.Timer.Spec != ""}

		switch {
		case r.Timer.Spec != "" && !known: // of another release
			b.move(r, r.Timer.Slot, columns.Micros(now.Add(sealedAgain)), r.Timer.LastEvent)
		case r.Timer.Spec != "" && unfinished[r.Timer.LastEvent]: // that one takes the place of this
			slot, at := recurs.Next(r.Timer.ConnectionID, now)
			b.move(r, columns.Micros(slot), columns.Micros(at), r.Timer.LastEvent)
		case r.Timer.Spec != "":
			e := deliver(d)
			b.events = append(b.events, e)
			past[r.Timer.AppID] = append(past[r.Timer.AppID], r.Timer.LastEvent)
			slot, at := recurs.Next(r.Timer.ConnectionID, now)
			b.move(r, columns.Micros(slot), columns.Micros(at), e.ID)
		default:
			if d.Data, err = t.keys.Open(r.Timer.Payload, r.Timer.place()); err != nil {
				t.pool.Log().Warn("a timer can't be opened with the keys at hand: it is put off", "timer", r.Timer.report())
				b.move(r, r.Timer.Slot, columns.Micros(now.Add(sealedAgain)), "")
				continue
			}
			b.events = append(b.events, deliver(d))
			b.over = append(b.over, r.Timer.ID)
		}
	}

	for app, ids := range past {
		if err := t.events.Forget(tx, app, ids); err != nil {
			return err
		}
	}
	if err := t.inbox.AddWith(tx, b.events); err != nil {
		return err
	}
	return b.write(tx)
}

// unfinished returns which of the events of the slots before are still to be worked.
func (t *Timers) unfinished(tx *gorm.DB, due []*dueRow) (map[string]bool, error) {
	last := map[string][]string{}
	for _, r := range due {
		if r.Timer.LastEvent != "" {
			last[r.Timer.AppID] = append(last[r.Timer.AppID], r.Timer.LastEvent)
		}
	}

	unfinished := map[string]bool{}
	for app, ids := range last {
		some, err := t.events.Unfinished(tx, app, ids)
		if err != nil {
			return nil, err
		}
		for _, id := range some {
			unfinished[id] = true
		}
	}
	return unfinished, nil
}

// recurs is how a timer recurs by this process.
func (t *Table) recurs(r *dueRow) (recurring bot.Recurring, known bool) {
	all := t.known()
	i := slices.IndexFunc(all, func(r2 bot.Recurring) bool { return r2.Name == r.Timer.Name })
	if i < 0 {
		return bot.Recurring{}, false
	}
	return all[i], true
}

// known is what recurs by this process.
func (t *Table) known() []bot.Recurring {
	if all := t.recurring.Load(); all != nil {
		return *all
	}
	return nil
}

// batch is what becomes of the timers of one transaction.
type batch struct {
	events []bot.Delivery
	over   []int64
	moved  []any // four values for each
}

func (b *batch) move(r *dueRow, slot, due int64, lastEvent string) {
	b.moved = append(b.moved, r.Timer.ID, slot, due, lastEvent)
}

func (b *batch) write(tx *gorm.DB) error {
	if len(b.over) > 0 {
		if err := tx.Exec("DELETE FROM timers WHERE id IN ?", b.over).Error; err != nil {
			return err
		}
	}
	if len(b.moved) == 0 {
		return nil
	}
	const one = "(CAST(? AS bigint), CAST(? AS bigint), CAST(? AS bigint), CAST(? AS text))"
	rows := one + strings.Repeat(", "+one, len(b.moved)/4-1)
	return tx.Exec("UPDATE timers SET slot = v.column2, due_at = v.column3, last_event = v.column4 FROM (VALUES "+rows+
		") AS v WHERE timers.id = v.column1", b.moved...).Error
}
