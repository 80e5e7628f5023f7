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
func (in *Inbox) Claim(ctx context.Context, n, timers int, busy []connection.Key) (claimed []bot.Delivery, err error) {
	if n <= 0 {
		return nil, nil
	}
	everything, err := in.comeBack(ctx)
	if err != nil {
		return nil, err
	}

	_, from := in.events.state()
	_, fromTimer := in.timers.state()
	if everything {
		from, fromTimer = 0, 0
	}
	due, args := in.pick("begun = 0 AND tag >= ?", []any{max(fromTimer, firstTimer)}, min(n, timers))
	which, values := "begun = 0 AND tag >= ? AND tag < ?", []any{from, firstTimer}
	if len(busy) > 0 {
		which += " AND tag <= (SELECT max(tag) FROM (SELECT tag FROM inbox WHERE state = 'ready' ORDER BY tag, id " +
			"LIMIT ?) AS head)"
		values = append(values, claimWindow)
	}
	for _, k := range busy {
		which += " AND NOT (enterprise_id = ? AND team_id = ?)"
		values = append(values, k.EnterpriseID, k.TeamID)
	}
	people, values := in.pick(which, values, n)

	// Timers come first, or they would never come while people keep all workers busy. They are few by their share.
	claimed, err = in.claim(ctx, "WITH due AS MATERIALIZED ("+due+"), people AS MATERIALIZED ("+people+"), "+
		"picked AS MATERIALIZED (SELECT id FROM (SELECT id, tag, 0 AS turn FROM due UNION ALL SELECT id, tag, 1 FROM "+
		"people) AS ready ORDER BY turn, tag, id LIMIT ?)", append(append(args, values...), n), 1)
	slices.SortFunc(claimed, func(a, b bot.Delivery) int { return cmp.Compare(a.Row, b.Row) })
	return claimed, err
}

// pick is a query for the next n that are ready and meet a condition.
func (in *Inbox) pick(which string, args []any, n int) (string, []any) {
	query := "SELECT id, tag FROM inbox WHERE state = 'ready' AND " + which
	if in.app != "" {
		query += " AND app_id || '' = ?" // not as a column: SQLite would take the index by app and sort all there is
		args = append(args, in.app)
	}
	query += " ORDER BY tag, id LIMIT ?"
	if in.pool.Dialect == db.DialectPostgres {
		query += " FOR UPDATE SKIP LOCKED"
	}
	return query, append(args, n)
}

// claim hands out what is picked. begins is how many attempts that begins: 1, or 0 where Begin says so later.
func (in *Inbox) claim(ctx context.Context, picked string, args []any, begins int) (claimed []bot.Delivery, err error) {
	statement := picked + " UPDATE inbox SET state = 'held', visible_at = ?, attempt = attempt + 1, begun = begun + ? " +
		"WHERE id IN (SELECT id FROM picked) RETURNING " + in.table.eventColumns()
	lease := in.leases.until(in.now())
	args = append(args, lease, begins)

	var damaged []bot.Delivery
	var tag, timer int64
	err = in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error {
		claimed, damaged, tag, timer = nil, nil, 0, 0
		return each(g, statement, args, func(r *sql.Rows) error {
			row, err := scanEvent(r)
			if err != nil {
				return err
			}
			if row.Tag < firstTimer {
				tag = max(tag, row.Tag)
			} else {
				timer = max(timer, row.Tag)
			}
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
			in.leases.unheardOf(lease, err)
		}
		return nil, db.Fault(ctx, "claim events", err)
	}

	in.events.reached(tag, tag > 0 && begins > 0)
	in.timers.reached(timer, timer > 0 && begins > 0)
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

// comeBack makes ready whose lease or pause is over, a few times a second at most, and says whether to claim from the
// queues' beginning on. Else that is where the last claim ended: before it an index on PostgreSQL is full of what was
// claimed already and not vacuumed yet, a thousand entries for each claim under load. Whatever else lies there (what
// came back, or was written by another process) is found by the claims that look at everything.
func (in *Inbox) comeBack(ctx context.Context) (everything bool, err error) {
	now := in.now()
	in.mu.Lock()
	due := now.Sub(in.looked) >= comeBackEvery || now.Before(in.looked)
	if due {
		in.looked = now
	}
	in.mu.Unlock()

	if !due {
		return false, nil
	}
	if err := in.catchUp(ctx); err != nil {
		return false, db.Fault(ctx, "look for events whose time has come", err)
	}
	if err := in.takeBack(ctx); err != nil {
		return false, db.Fault(ctx, "take back events that nobody was handed", err)
	}

	tag, _ := in.events.state()
	timer, _ := in.timers.state()
	which := ""
	if in.clock.MovedWithin(in.leases.length) { // what lives will say so by the new time
		which = "AND state = 'waiting' "
	}

	// They queue up as if they had just come, else one workspace's failures would go before everybody else's events.
	err = in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error {
		back := g.Exec("WITH due AS (SELECT id, kind = @kind AS timed, CASE WHEN kind = @kind THEN CAST(@timer AS bigint) "+
			"ELSE CAST(@tag AS bigint) END + "+
			"row_number() OVER (PARTITION BY app_id, enterprise_id, team_id, kind = @kind ORDER BY id) - 1 AS place "+
			"FROM inbox WHERE state IN ('held', 'waiting') AND visible_at <= @at "+which+") "+
			"UPDATE inbox SET state = 'ready', "+
			"tag = CASE WHEN tag > due.place AND (timed OR tag < @first) THEN tag ELSE due.place END "+
			"FROM due WHERE inbox.id = due.id AND inbox.state IN ('held', 'waiting') AND inbox.visible_at <= @at",
			map[string]any{"kind": kindTimer, "tag": tag, "timer": timer, "first": firstTimer,
				"at": columns.Micros(in.now())})
		if back.RowsAffected > 0 {
			in.suspectSome()
		}
		return back.Error
	})
	return err == nil, db.Fault(ctx, "look for events whose time has come", err)
}

// leasesApart is how many leases that begin in one millisecond end in different microseconds.
const leasesApart = 1000

// takeBack makes ready what was handed out to nobody. It was not begun, so that it is no suspect: else an outage makes
// suspects of all that is handed out in its first moment, of which only a few may run at once. That goes on until the
// leases are over, since the database may come to such a statement late.
func (in *Inbox) takeBack(ctx context.Context) error {
	unheard := padded(in.leases.lost())
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

	in.leases.over(now)
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
	in.Wake()
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
		Tag, Timer  int64
		Once, Often bool
	}
	const held = "coalesce((SELECT max(tag) FROM inbox WHERE state IN ('held', 'waiting') AND state = 'held' AND tag "
	err := in.pool.Read.WithContext(ctx).Raw("SELECT "+held+"< ?), 0) AS tag, "+held+">= ?), 0) AS timer, "+
		"EXISTS (SELECT 1 FROM inbox WHERE state = 'ready' AND begun > 0 AND begun = 1 AND ? IN ('', app_id)) AS once, "+
		"EXISTS (SELECT 1 FROM inbox WHERE state = 'ready' AND begun > 0 AND begun > 1 AND ? IN ('', app_id)) AS often",
		firstTimer, firstTimer, in.app, in.app).Scan(&seen).Error
	if err != nil {
		return err
	}

	in.once.Store(seen.Once)
	in.often.Store(seen.Often)
	in.events.reached(seen.Tag, false)
	in.timers.reached(seen.Timer, false)
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
	query, args := in.pick(which, nil, n)
	claimed, err := in.claim(ctx, "WITH picked AS MATERIALIZED ("+query+")", args, 0)
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
