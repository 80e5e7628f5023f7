package inbox

// Events are handed out in the order of their places in the queue, each to one worker, for as long as a lease. What was
// begun when a process ended is a suspect: few of them run at once, and after some deaths none.

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Claim is bot.Inbox's.
func (in *Inbox) Claim(ctx context.Context, n int, busy []connection.Key) (claimed []bot.Delivery, err error) {
	if n <= 0 {
		return nil, nil
	}
	from, err := in.comeBack(ctx)
	if err != nil {
		return nil, err
	}
	claimed, err = in.claim(ctx, "begun = 0", 1, from, n, busy)
	slices.SortFunc(claimed, func(a, b bot.Delivery) int { return cmp.Compare(a.Row, b.Row) })
	return claimed, err
}

// claim hands out what is ready and fits, from a place in the queue on. begins is how many
// attempts that begins: 1, or 0 where Begin says so later.
func (in *Inbox) claim(ctx context.Context, which string, begins int, from int64, n int,
	busy []connection.Key) (claimed []bot.Delivery, err error) {
	statement := "WITH picked AS MATERIALIZED (SELECT id FROM inbox WHERE state = 'ready' AND " + which + " AND tag >= ?"
	args := []any{from}
	if in.app != "" {
		statement += " AND app_id || '' = ?" // not as a column: SQLite would take the index by app and sort all there is
		args = append(args, in.app)
	}
	if len(busy) > 0 {
		statement += " AND tag <= (SELECT max(tag) FROM (SELECT tag FROM inbox WHERE state = 'ready' ORDER BY tag, id " +
			"LIMIT ?) AS head)"
		args = append(args, claimWindow)
	}
	for _, k := range busy {
		statement += " AND NOT (enterprise_id = ? AND team_id = ?)"
		args = append(args, k.EnterpriseID, k.TeamID)
	}

	statement += " ORDER BY tag, id LIMIT ?"
	args = append(args, n)
	if in.pool.Dialect == db.DialectPostgres {
		statement += " FOR UPDATE SKIP LOCKED"
	}

	statement += ") UPDATE inbox SET state = 'held', visible_at = ?, attempt = attempt + 1, begun = begun + ? " +
		"WHERE id IN (SELECT id FROM picked) RETURNING " + in.table.eventColumns()
	lease := in.until()
	args = append(args, lease, begins)

	var damaged []bot.Delivery
	var tag int64
	err = in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error {
		claimed, damaged = nil, nil
		return each(g, statement, args, func(r *sql.Rows) error {
			row, err := scanEvent(r)
			if err != nil {
				return err
			}
			tag = max(tag, row.Tag)
			e, readable := in.table.openRow(&row)
			e.Deaths -= begins
			if !readable {
				damaged = append(damaged, e)
				return nil
			}
			claimed = append(claimed, e)
			return nil
		})
	})
	if err != nil {
		if begins > 0 {
			in.unheardOf(lease, err)
		}
		return nil, db.Fault(ctx, "claim events", err)
	}

	in.mu.Lock()
	in.tag = max(in.tag, tag)
	if len(claimed)+len(damaged) > 0 && begins > 0 {
		in.from = tag
	}
	in.mu.Unlock()
	return claimed, in.setAside(ctx, damaged)
}

// setAside puts what could not be opened back for a while, and buries it in the end: another replica may have the key
// already.
func (in *Inbox) setAside(ctx context.Context, damaged []bot.Delivery) error {
	const why = "it can't be opened with the keys at hand"
	for _, e := range damaged {
		var err error
		if e.Failures+1 < unreadableTries {
			err = in.Retry(ctx, e, in.now().Add(unreadableAgain<<e.Failures), true, why)
		} else {
			err = in.DeadLetter(ctx, e, why)
		}
		if err != nil && !errors.Is(err, bot.ErrLost) {
			return err
		}
	}
	return nil
}

// comeBack makes ready whose lease or pause is over, a few times a second at most, and returns from which place in the
// queue on to claim. That is where the last claim ended: before it an index on PostgreSQL is full of what was claimed
// already and not vacuumed yet, a thousand entries for each claim under load. Whatever else lies there (what came back,
// or was written by another process) is found by the claims that look at everything.
func (in *Inbox) comeBack(ctx context.Context) (from int64, err error) {
	now := in.now()
	in.mu.Lock()
	due := now.Sub(in.looked) >= comeBackEvery || now.Before(in.looked)
	if due {
		in.looked = now
	}
	from = in.from
	in.mu.Unlock()

	if !due {
		return from, nil
	}
	if err := in.catchUp(ctx); err != nil {
		return 0, db.Fault(ctx, "look for events whose time has come", err)
	}
	if err := in.takeBack(ctx); err != nil {
		return 0, db.Fault(ctx, "take back events that nobody was handed", err)
	}

	in.mu.Lock()
	tag := in.tag
	in.mu.Unlock()

	which := ""
	if in.clock.MovedWithin(in.lease) { // what lives will say so by the new time
		which = "AND state = 'waiting' "
	}

	// They queue up as if they had just come, else one workspace's failures would go before everybody else's events.
	err = in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error {
		at := columns.Micros(in.now())
		back := g.Exec("WITH due AS (SELECT id, "+
			"row_number() OVER (PARTITION BY app_id, enterprise_id, team_id ORDER BY id) - 1 AS place FROM inbox "+
			"WHERE state IN ('held', 'waiting') AND visible_at <= ? "+which+") "+
			"UPDATE inbox SET state = 'ready', tag = CASE WHEN tag > ? + due.place THEN tag ELSE ? + due.place END "+
			"FROM due WHERE inbox.id = due.id AND inbox.state IN ('held', 'waiting') AND inbox.visible_at <= ?",
			at, tag, tag, at)
		if back.RowsAffected > 0 {
			in.suspectSome()
		}
		return back.Error
	})
	if err != nil {
		return 0, db.Fault(ctx, "look for events whose time has come", err)
	}
	return 0, nil
}

// leasesApart is how many leases that begin in one millisecond end in different microseconds.
const leasesApart = 1000

// until is when a lease ends that begins now, two milliseconds early at most. It tells what one statement of this
// process handed out from what all others did; those of two processes are the same by a rare chance only.
func (in *Inbox) until() int64 {
	ms := in.now().Add(in.lease).UnixMilli() - 1
	return ms*leasesApart + in.leases.Add(1)%leasesApart
}

// unheardOf notes that a statement may have handed out events, with leases until then, of which nobody here knows: the
// connection broke between its commit and its answer. err is what came instead.
func (in *Inbox) unheardOf(until int64, err error) {
	if refusedRow(err) {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.unheard) == mostUnheard {
		in.unheard = slices.Delete(in.unheard, 0, 1) // what that one handed out is a suspect after its lease
	}
	in.unheard = append(in.unheard, until)
}

// takeBack makes ready what was handed out to nobody. It was not begun, so that it is no suspect: else an outage makes
// suspects of all that is handed out in its first moment, of which only a few may run at once. That goes on until the
// leases are over, since the database may come to such a statement late.
func (in *Inbox) takeBack(ctx context.Context) error {
	in.mu.Lock()
	unheard := padded(slices.Clone(in.unheard))
	in.mu.Unlock()
	if len(unheard) == 0 {
		return nil
	}

	now := columns.Micros(in.now())
	// Those that are ready are of leases that another process found to be over.
	const statement = "UPDATE inbox SET state = 'ready', " + outlived + " WHERE id IN (" +
		"SELECT id FROM inbox WHERE state IN ('held', 'waiting') AND state = 'held' AND visible_at IN ? " +
		"UNION ALL SELECT id FROM inbox WHERE state = 'ready' AND begun > 0 AND visible_at IN ?) " +
		"AND " + mine + " AND visible_at IN ?"
	err := in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error {
		return g.Exec(statement, unheard, unheard, unheard).Error
	})
	if err != nil {
		return err
	}

	in.mu.Lock()
	defer in.mu.Unlock()
	in.unheard = slices.DeleteFunc(in.unheard, func(until int64) bool { return until <= now })
	return nil
}

// padded repeats the last one up to a power of two, so that there are few different statements.
func padded[T any](some []T) []T {
	for len(some)&(len(some)-1) != 0 {
		some = append(some, some[len(some)-1])
	}
	return some
}

// lookAtAll makes the next claim look at the whole queue, and wakes whoever claims.
func (in *Inbox) lookAtAll() {
	in.mu.Lock()
	in.looked = time.Time{}
	in.mu.Unlock()
	in.wake()
}

// catchUp goes on to where other processes are working the queue, once a second at most, and looks for suspects that
// they made ready.
func (in *Inbox) catchUp(ctx context.Context) error {
	now := in.now()
	in.mu.Lock()
	due := now.Sub(in.caughtUp) >= catchUpEvery || now.Before(in.caughtUp)
	if due {
		in.caughtUp = now
	}
	in.mu.Unlock()

	if !due {
		return nil
	}

	var seen struct {
		Tag         int64
		Once, Often bool
	}
	err := in.pool.Read.WithContext(ctx).Raw("SELECT "+
		"coalesce((SELECT max(tag) FROM inbox WHERE state IN ('held', 'waiting') AND state = 'held'), 0) AS tag, "+
		"EXISTS (SELECT 1 FROM inbox WHERE state = 'ready' AND begun > 0 AND begun = 1 AND ? IN ('', app_id)) AS once, "+
		"EXISTS (SELECT 1 FROM inbox WHERE state = 'ready' AND begun > 0 AND begun > 1 AND ? IN ('', app_id)) AS often",
		in.app, in.app).Scan(&seen).Error
	if err != nil {
		return err
	}

	in.once.Store(seen.Once)
	in.often.Store(seen.Often)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.tag = max(in.tag, seen.Tag)
	return nil
}

// Suspects is bot.Inbox's.
func (in *Inbox) Suspects() (once, often bool) { return in.once.Load(), in.often.Load() }

// ClaimSuspects is bot.Inbox's. Suspects are few and have an index of their own.
func (in *Inbox) ClaimSuspects(ctx context.Context, n int, often bool) ([]bot.Delivery, error) {
	which, hint := "begun > 0 AND begun = 1", &in.once
	if often {
		which, hint = "begun > 0 AND begun > 1", &in.often
	}
	claimed, err := in.claim(ctx, which, 0, 0, n, nil)
	if err == nil && len(claimed) < n {
		hint.Store(false) // until some come back
	}
	return claimed, err
}

// suspectSome makes the next look at the queue look for what has ended a process. Before that it is not said that there
// is any: for one that ended more than one, a process lets everything else end.
func (in *Inbox) suspectSome() {
	in.once.Store(true)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.caughtUp = time.Time{}
}

// outlived takes back that an attempt was begun: its process lives to tell.
const outlived = "begun = CASE WHEN begun > 0 THEN begun - 1 ELSE 0 END"

// Begin is bot.Inbox's.
func (in *Inbox) Begin(ctx context.Context, e bot.Delivery) error {
	return in.one(ctx, "begin event", e, stillHeld, "begun = begun + 1")
}

// Outlived is bot.Inbox's. The attempt is no fence here: somebody else may have the event by now, whose attempt counts
// by itself.
func (in *Inbox) Outlived(ctx context.Context, e bot.Delivery) error {
	_, err := in.pool.Change(ctx, "UPDATE inbox SET "+outlived+" WHERE id = ?", e.Row)
	return db.Fault(ctx, "say that the process lives", err)
}
