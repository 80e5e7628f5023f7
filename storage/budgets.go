package storage

// What replicas may spend together lies in one number for each budget.

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// A budget is one number, the time at which it would be full again (GCRA, the leaky bucket of ATM networks): a call
// moves it on by one interval, and what would move it further than a burst past now is refused. The number never
// moves back, unless only a broken clock can have written it. What Slack closed for a time has a second number,
// because it is further ahead than what is spent.
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

// budgets are what is shared by all replicas: so many calls in a time.
type budgets struct{ pool *db.Pool }

// Take is install.Store's. It takes all n or nothing, in one statement.
func (s budgets) Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error) {
	if n <= 0 || n > b.Burst { // more than there ever is
		return n == 0, nil
	}
	cost, full, us := int64(n)*interval(b), int64(b.Burst)*interval(b), columns.Micros(now)
	spent, err := s.pool.Change(ctx, spendStatement, map[string]any{
		"name": columns.Text(b.Name), "now": us, "cost": cost, "first": us + cost, "latest": us + full - cost})
	granted := err == nil && spent == 1
	if err == nil && !granted {
		granted, err = s.reset(ctx, b, now)
	}
	return granted, db.Fault(ctx, "spend from budget", err)
}

// reset empties a budget that was spent by a broken clock, and reports whether it did: what is spent with that is all
// there is.
func (s budgets) reset(ctx context.Context, b slackapi.Budget, now time.Time) (done bool, err error) {
	row, err := s.budget(ctx, b)
	if err != nil || row.believable(b, now) {
		return false, err
	}
	reset, err := s.pool.Change(ctx, resetStatement,
		map[string]any{"name": columns.Text(b.Name), "seen": row.FreeAt, "full": columns.Micros(now) + whole(b)})
	if done = err == nil && reset == 1; done { // of several who see it one
		s.pool.Log().WarnContext(ctx, "a budget was spent by a clock that was wrong: that is not believed", "budget", b.Name,
			"empty_until", columns.Moment(row.FreeAt))
	}
	return done, err
}

// budgetRow is a row of budgets.
type budgetRow struct{ FreeAt, ClosedUntil int64 }

// budget reads b; nothing was spent of one that has no row.
func (s budgets) budget(ctx context.Context, b slackapi.Budget) (row budgetRow, err error) {
	err = s.pool.Read.WithContext(ctx).Raw("SELECT free_at, closed_until FROM budgets WHERE name = ?",
		columns.Text(b.Name)).Scan(&row).Error
	return row, err
}

// believable reports whether a clock that is right can have spent what is gone of b: replicas agree to a second. A
// budget of one call is a mark that something was done, as a link was used; that is believed of a clock twice as far
// ahead as the mark is kept, since nothing is to be done twice.
func (r budgetRow) believable(b slackapi.Budget, now time.Time) bool {
	if closed := columns.Moment(r.ClosedUntil); closed.After(now) && closed.Sub(now) <= connection.LongestClosure {
		return true
	}
	agree := time.Second
	if b.Burst == 1 {
		agree = b.Interval
	}
	return r.FreeAt <= columns.Micros(now.Add(agree))+whole(b)
}

// whole is how long b takes to fill, in microseconds, with all that share its name.
func whole(b slackapi.Budget) int64 { return int64(max(b.Burst, b.Whole)) * interval(b) }

// Refill is install.Store's.
func (s budgets) Refill(ctx context.Context, b slackapi.Budget) error {
	_, err := s.pool.Change(ctx, "DELETE FROM budgets WHERE name = ?", columns.Text(b.Name))
	return db.Fault(ctx, "refill budget", err)
}

// Available is install.Store's.
func (s budgets) Available(ctx context.Context, b slackapi.Budget, now time.Time) (bool, error) {
	row, err := s.budget(ctx, b)
	if err != nil {
		return false, db.Fault(ctx, "look into budget", err)
	}
	empty := row.FreeAt > columns.Micros(now)+int64(b.Burst-1)*interval(b) && row.believable(b, now)
	return !empty, nil
}

// ClosedUntil is install.Store's. The budget is empty at that time, not full, for all that share its name.
func (s budgets) ClosedUntil(ctx context.Context, b slackapi.Budget, until time.Time) error {
	full := columns.Micros(until) + whole(b)
	_, err := s.pool.Change(ctx, closeStatement,
		map[string]any{"name": columns.Text(b.Name), "until": columns.Micros(until), "full": full,
			"most": full + connection.LongestClosure.Microseconds()})
	return db.Fault(ctx, "close budget", err)
}

// interval is b's in microseconds, rounded up: never faster than it says.
func interval(b slackapi.Budget) int64 {
	return int64((b.Interval + time.Microsecond - 1) / time.Microsecond)
}
