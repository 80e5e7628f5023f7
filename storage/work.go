package storage

// The background work asks the database what there is to do; these questions are asked every few seconds and must cost as
// little with a million connections as with ten.

import (
	"context"
	"math"
	"time"

	"gorm.io/gorm"

	"switchboard/install/connection"
	"switchboard/install/slackapi"
)

// The conditions that hold neither a time nor an app are those of the indexes (migration 00002), word for word. Few databases
// hold more than one app, so the app is in no index.
const (
	// A renewal that is further ahead than any is made now. never is later than all of them; the time from renew_at to expires_at tells how
	// long a token lives (install.TokenPair).
	dueQuery = `
SELECT * FROM (SELECT app_id, enterprise_id, team_id, '' AS user_id, renew_at FROM connections
	WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused' AND renew_at <= @now AND (lease_until <= @now OR lease_until > @lease)
		AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS bots
UNION ALL
SELECT * FROM (SELECT u.app_id, u.enterprise_id, u.team_id, u.user_id, u.renew_at
	FROM user_tokens u JOIN connections c ON c.id = u.connection_id
	WHERE u.renew_at > 0 AND u.renew_at <= @now AND (u.lease_until <= @now OR u.lease_until > @lease) AND c.state <> 'removed' AND c.state <> 'paused'
		AND (@app = '' OR u.app_id = @app)
	ORDER BY u.renew_at LIMIT @n) AS people
UNION ALL
SELECT * FROM (SELECT app_id, enterprise_id, team_id, '' AS user_id, renew_at FROM connections
	WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused' AND renew_at > @renewal AND renew_at < @never
		AND renew_at - @now > (expires_at - renew_at) * 18 / 7 AND (lease_until <= @now OR lease_until > @lease) AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS bots_ahead
UNION ALL
SELECT * FROM (SELECT u.app_id, u.enterprise_id, u.team_id, u.user_id, u.renew_at
	FROM user_tokens u JOIN connections c ON c.id = u.connection_id
	WHERE u.renew_at > 0 AND u.renew_at > @renewal AND u.renew_at < @never AND u.renew_at - @now > (u.expires_at - u.renew_at) * 18 / 7
		AND (u.lease_until <= @now OR u.lease_until > @lease) AND c.state <> 'removed' AND c.state <> 'paused'
		AND (@app = '' OR u.app_id = @app)
	ORDER BY u.renew_at LIMIT @n) AS people_ahead
ORDER BY renew_at LIMIT @n`

	longLivedQuery = `
SELECT app_id, enterprise_id, team_id FROM connections
WHERE renew_at = 0 AND expires_at = 0 AND length(token) > 0 AND length(refresh_token) = 0 AND state IN ('active', 'retrying')
	AND (@app = '' OR app_id = @app)
ORDER BY id LIMIT @n`

	uncheckedQuery = `
SELECT * FROM (SELECT app_id, enterprise_id, team_id, check_at FROM connections
	WHERE length(token) > 0 AND state <> 'removed' AND state <> 'paused' AND check_at <= @now
		AND (@app = '' OR app_id = @app)
	ORDER BY check_at LIMIT @n) AS due
UNION ALL
SELECT * FROM (SELECT app_id, enterprise_id, team_id, check_at FROM connections
	WHERE length(token) > 0 AND state <> 'removed' AND state <> 'paused' AND check_at > @check
		AND (@app = '' OR app_id = @app)
	ORDER BY check_at LIMIT @n) AS ahead
ORDER BY check_at LIMIT @n`

	untoldQuery = `
SELECT app_id, enterprise_id, team_id FROM connections
WHERE (state = 'reconnect_required' AND notice_at = 0 OR state = 'active' AND notice_at > 0)
	AND (@app = '' OR app_id = @app)
ORDER BY state_since LIMIT @n`
)

// neverDue is before the time that install writes for never, and after all others.
var neverDue = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

// Due is install.Store's. The longest overdue is the most urgent.
func (db *DB) Due(ctx context.Context, app string, now time.Time, n int) ([]connection.TokenOwner, error) {
	return ask[connection.TokenOwner](ctx, db, "list due renewals", dueQuery, app, now, n)
}

// LongLived is install.Store's.
func (db *DB) LongLived(ctx context.Context, app string, n int) ([]connection.TokenOwner, error) {
	return ask[connection.TokenOwner](ctx, db, "list long-lived tokens", longLivedQuery, app, time.Time{}, n)
}

// Unchecked is install.Store's. A connection whose CheckAt was never set is the first.
func (db *DB) Unchecked(ctx context.Context, app string, now time.Time, n int) ([]connection.Key, error) {
	return ask[connection.Key](ctx, db, "list unchecked connections", uncheckedQuery, app, now, n)
}

// Untold is install.Store's. Those that have waited longest come first. Rows that merely cannot be opened are not among
// them: the kept state counts.
func (db *DB) Untold(ctx context.Context, app string, n int) ([]connection.Key, error) {
	return ask[connection.Key](ctx, db, "list connections to tell of", untoldQuery, app, time.Time{}, n)
}

// ask runs one of the queries above.
func ask[T any](ctx context.Context, db *DB, doing, query, app string, now time.Time, n int) (found []T, err error) {
	if n <= 0 {
		return nil, nil
	}
	ahead := func(d time.Duration) int64 {
		if now.IsZero() {
			return math.MaxInt64
		}
		return micros(now.Add(d))
	}
	values := map[string]any{"app": text(app), "now": micros(now), "n": n, "never": micros(neverDue),
		"lease": ahead(connection.LongestLease), "renewal": ahead(connection.FurthestRenewal), "check": ahead(connection.FurthestCheck)}
	if err := db.read.WithContext(ctx).Raw(query, values).Scan(&found).Error; err != nil {
		return nil, fault(ctx, doing, err)
	}
	return found, nil
}

// Count is install.Store's.
func (db *DB) Count(ctx context.Context) (map[connection.State]int, error) {
	var rows []struct {
		State connection.State
		N     int
	}
	if err := db.read.WithContext(ctx).Raw("SELECT state, count(*) AS n FROM connections GROUP BY state").Scan(&rows).Error; err != nil {
		return nil, fault(ctx, "count connections", err)
	}
	counts := make(map[connection.State]int, len(rows))
	for _, r := range rows {
		counts[r.State] = r.N
	}
	return counts, nil
}

// A budget is one number, the time at which it would be full again (GCRA, the leaky bucket of ATM networks): a call moves it
// on by one interval, and what would move it further than a burst past now is refused. The number never moves back, unless only a broken clock can have
// written it. What Slack closed for a time has a second number, because it is further ahead than what is spent.
const (
	spendStatement = `
INSERT INTO budgets (name, free_at) VALUES (@name, @first)
ON CONFLICT (name) DO UPDATE SET free_at = CASE WHEN budgets.free_at > @now THEN budgets.free_at + @cost ELSE @first END
WHERE budgets.free_at <= @latest`

	resetStatement = "UPDATE budgets SET free_at = @full, closed_until = 0 WHERE name = @name AND free_at = @seen"

	closeStatement = `
INSERT INTO budgets (name, free_at, closed_until) VALUES (@name, @full, @until)
ON CONFLICT (name) DO UPDATE SET free_at = excluded.free_at, closed_until = excluded.closed_until
WHERE budgets.free_at < excluded.free_at OR budgets.free_at > @most`
)

// Take is install.Store's. It takes all n or nothing, in one statement.
func (db *DB) Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error) {
	if n <= 0 || n > b.Burst { // more than there ever is
		return n == 0, nil
	}
	var granted bool
	cost, full, us := int64(n)*interval(b), int64(b.Burst)*interval(b), micros(now)
	err := db.exec(ctx, func(g *gorm.DB) error {
		spend := g.Exec(spendStatement, map[string]any{
			"name": text(b.Name), "now": us, "cost": cost, "first": us + cost, "latest": us + full - cost})
		granted = spend.RowsAffected == 1
		return spend.Error
	})
	if err == nil && !granted {
		granted, err = db.reset(ctx, b, now)
	}
	if err != nil {
		return false, fault(ctx, "spend from budget", err)
	}
	return granted, nil
}

// reset empties a budget that was spent by a broken clock, and reports whether it did: what is spent with that is all there is.
func (db *DB) reset(ctx context.Context, b slackapi.Budget, now time.Time) (done bool, err error) {
	row, err := db.budget(ctx, b)
	if err != nil || row.believable(b, now) {
		return false, err
	}
	err = db.exec(ctx, func(g *gorm.DB) error {
		reset := g.Exec(resetStatement, map[string]any{"name": text(b.Name), "seen": row.FreeAt, "full": micros(now) + whole(b)})
		done = reset.RowsAffected == 1 // of several who see it one
		return reset.Error
	})
	if done {
		db.log().WarnContext(ctx, "a budget was spent by a clock that was wrong: that is not believed", "budget", b.Name, "empty_until", moment(row.FreeAt))
	}
	return done, err
}

// budgetRow is a row of budgets.
type budgetRow struct{ FreeAt, ClosedUntil int64 }

// budget reads b; nothing was spent of one that has no row.
func (db *DB) budget(ctx context.Context, b slackapi.Budget) (row budgetRow, err error) {
	err = db.read.WithContext(ctx).Raw("SELECT free_at, closed_until FROM budgets WHERE name = ?", text(b.Name)).Scan(&row).Error
	return row, err
}

// believable reports whether a clock that is right can have spent what is gone of b: replicas agree to a second. A budget of one call
// is a mark that something was done, as a link was used; that is believed of a clock twice as far ahead as the mark is kept, since
// nothing is to be done twice.
func (r budgetRow) believable(b slackapi.Budget, now time.Time) bool {
	if closed := moment(r.ClosedUntil); closed.After(now) && closed.Sub(now) <= connection.LongestClosure {
		return true
	}
	agree := time.Second
	if b.Burst == 1 {
		agree = b.Interval
	}
	return r.FreeAt <= micros(now.Add(agree))+whole(b)
}

// whole is how long b takes to fill, in microseconds, with all that share its name.
func whole(b slackapi.Budget) int64 { return int64(max(b.Burst, b.Whole)) * interval(b) }

// Refill is install.Store's.
func (db *DB) Refill(ctx context.Context, b slackapi.Budget) error {
	if err := db.exec(ctx, func(g *gorm.DB) error { return g.Exec("DELETE FROM budgets WHERE name = ?", text(b.Name)).Error }); err != nil {
		return fault(ctx, "refill budget", err)
	}
	return nil
}

// Available is install.Store's.
func (db *DB) Available(ctx context.Context, b slackapi.Budget, now time.Time) (bool, error) {
	row, err := db.budget(ctx, b)
	if err != nil {
		return false, fault(ctx, "look into budget", err)
	}
	empty := row.FreeAt > micros(now)+int64(b.Burst-1)*interval(b) && row.believable(b, now)
	return !empty, nil
}

// ClosedUntil is install.Store's. The budget is empty at that time, not full, for all that share its name.
func (db *DB) ClosedUntil(ctx context.Context, b slackapi.Budget, until time.Time) error {
	full := micros(until) + whole(b)
	err := db.exec(ctx, func(g *gorm.DB) error {
		return g.Exec(closeStatement, map[string]any{"name": text(b.Name), "until": micros(until), "full": full,
			"most": full + connection.LongestClosure.Microseconds()}).Error
	})
	if err != nil {
		return fault(ctx, "close budget", err)
	}
	return nil
}

// interval is b's in microseconds, rounded up: never faster than it says.
func interval(b slackapi.Budget) int64 {
	return int64((b.Interval + time.Microsecond - 1) / time.Microsecond)
}
