package storage

// The background work asks the database what there is to do; these questions are asked every few seconds and must cost as
// little with a million connections as with ten.

import (
	"context"
	"time"

	"gorm.io/gorm"

	"switchboard/install"
)

// The conditions that hold neither a time nor an app are those of the indexes (migration 00002), word for word. Few databases
// hold more than one app, so the app is in no index.
const (
	dueQuery = `
SELECT * FROM (SELECT app_id, enterprise_id, team_id, '' AS user_id, renew_at FROM connections
	WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused' AND renew_at <= @now AND lease_until <= @now
		AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS bots
UNION ALL
SELECT * FROM (SELECT u.app_id, u.enterprise_id, u.team_id, u.user_id, u.renew_at
	FROM user_tokens u JOIN connections c ON c.id = u.connection_id
	WHERE u.renew_at > 0 AND u.renew_at <= @now AND u.lease_until <= @now AND c.state <> 'removed' AND c.state <> 'paused'
		AND (@app = '' OR u.app_id = @app)
	ORDER BY u.renew_at LIMIT @n) AS people
ORDER BY renew_at LIMIT @n`

	longLivedQuery = `
SELECT app_id, enterprise_id, team_id FROM connections
WHERE renew_at = 0 AND expires_at = 0 AND length(token) > 0 AND length(refresh_token) = 0 AND state IN ('active', 'retrying')
	AND (@app = '' OR app_id = @app)
ORDER BY id LIMIT @n`

	uncheckedQuery = `
SELECT app_id, enterprise_id, team_id FROM connections
WHERE length(token) > 0 AND state <> 'removed' AND state <> 'paused' AND check_at <= @now
	AND (@app = '' OR app_id = @app)
ORDER BY check_at LIMIT @n`

	untoldQuery = `
SELECT app_id, enterprise_id, team_id FROM connections
WHERE (state = 'reconnect_required' AND notice_at = 0 OR state = 'active' AND notice_at > 0)
	AND (@app = '' OR app_id = @app)
ORDER BY state_since LIMIT @n`
)

// Due is install.Store's. The longest overdue is the most urgent.
func (db *DB) Due(ctx context.Context, app string, now time.Time, n int) ([]install.Holder, error) {
	return ask[install.Holder](ctx, db, "list due renewals", dueQuery, app, now, n)
}

// LongLived is install.Store's.
func (db *DB) LongLived(ctx context.Context, app string, n int) ([]install.Holder, error) {
	return ask[install.Holder](ctx, db, "list long-lived tokens", longLivedQuery, app, time.Time{}, n)
}

// Unchecked is install.Store's. A connection whose CheckAt was never set is the first.
func (db *DB) Unchecked(ctx context.Context, app string, now time.Time, n int) ([]install.Key, error) {
	return ask[install.Key](ctx, db, "list unchecked connections", uncheckedQuery, app, now, n)
}

// Untold is install.Store's. Those that have waited longest come first. Rows that merely cannot be opened are not among
// them: the kept state counts.
func (db *DB) Untold(ctx context.Context, app string, n int) ([]install.Key, error) {
	return ask[install.Key](ctx, db, "list connections to tell of", untoldQuery, app, time.Time{}, n)
}

// ask runs one of the queries above.
func ask[T any](ctx context.Context, db *DB, doing, query, app string, now time.Time, n int) (found []T, err error) {
	if n <= 0 {
		return nil, nil
	}
	if err := db.read.WithContext(ctx).Raw(query, map[string]any{"app": text(app), "now": micros(now), "n": n}).Scan(&found).Error; err != nil {
		return nil, fault(ctx, doing, err)
	}
	return found, nil
}

// Count is install.Store's.
func (db *DB) Count(ctx context.Context) (map[install.State]int, error) {
	var rows []struct {
		State install.State
		N     int
	}
	if err := db.read.WithContext(ctx).Raw("SELECT state, count(*) AS n FROM connections GROUP BY state").Scan(&rows).Error; err != nil {
		return nil, fault(ctx, "count connections", err)
	}
	counts := make(map[install.State]int, len(rows))
	for _, r := range rows {
		counts[r.State] = r.N
	}
	return counts, nil
}

// A budget is one number, the time at which it would be full again (GCRA, the leaky bucket of ATM networks): a call moves it
// on by one interval, and what would move it further than a burst past now is refused. The number never moves back, so a
// process whose clock is behind gets less and refills nothing, and one whose clock is ahead takes its lead once.
const (
	spendStatement = `
INSERT INTO budgets (name, free_at) VALUES (@name, @first)
ON CONFLICT (name) DO UPDATE SET free_at = CASE WHEN budgets.free_at > @now THEN budgets.free_at + @cost ELSE @first END
WHERE budgets.free_at <= @latest`

	closeStatement = `
INSERT INTO budgets (name, free_at) VALUES (@name, @until)
ON CONFLICT (name) DO UPDATE SET free_at = excluded.free_at WHERE budgets.free_at < excluded.free_at`
)

// Spend is install.Store's. It takes all n or nothing, in one statement.
func (db *DB) Spend(ctx context.Context, b install.Budget, n int, now time.Time) (bool, error) {
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
	if err != nil {
		return false, fault(ctx, "spend from budget", err)
	}
	return granted, nil
}

// Refill is install.Store's.
func (db *DB) Refill(ctx context.Context, b install.Budget) error {
	if err := db.exec(ctx, func(g *gorm.DB) error { return g.Exec("DELETE FROM budgets WHERE name = ?", text(b.Name)).Error }); err != nil {
		return fault(ctx, "refill budget", err)
	}
	return nil
}

// Empty is install.Store's.
func (db *DB) Empty(ctx context.Context, b install.Budget, now time.Time) (bool, error) {
	var full int64 // when it would be full again; 0: nobody has spent of it
	if err := db.read.WithContext(ctx).Raw("SELECT COALESCE(MAX(free_at), 0) FROM budgets WHERE name = ?", text(b.Name)).Scan(&full).Error; err != nil {
		return false, fault(ctx, "look into budget", err)
	}
	return full > micros(now)+int64(b.Burst-1)*interval(b), nil
}

// ClosedUntil is install.Store's. The budget is empty at that time, not full. Of budgets that share a name, close the one with
// the largest Burst: it would open first.
func (db *DB) ClosedUntil(ctx context.Context, b install.Budget, until time.Time) error {
	err := db.exec(ctx, func(g *gorm.DB) error {
		return g.Exec(closeStatement, map[string]any{"name": text(b.Name), "until": micros(until) + int64(b.Burst)*interval(b)}).Error
	})
	if err != nil {
		return fault(ctx, "close budget", err)
	}
	return nil
}

// interval is b's in microseconds, rounded up: never faster than it says.
func interval(b install.Budget) int64 {
	return int64((b.Interval + time.Microsecond - 1) / time.Microsecond)
}
