package storage

// Whether the background work keeps up is counted by the indexes that it works by: what is due is read, the rest is
// only counted.

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// The conditions that hold neither a time nor an app are those of the indexes (migration 00002), word for word.
const (
	overdueRenewals = `
SELECT count(*) AS n, coalesce(min(renew_at), 0) AS since,
	coalesce(sum(CASE WHEN expires_at > 0 AND expires_at <= @now THEN 1 ELSE 0 END), 0) AS expired FROM connections
WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused' AND renew_at <= @by AND (@app = '' OR app_id = @app)
UNION ALL
SELECT count(*), coalesce(min(u.renew_at), 0),
	coalesce(sum(CASE WHEN u.expires_at > 0 AND u.expires_at <= @now THEN 1 ELSE 0 END), 0)
FROM user_tokens u JOIN connections c ON c.id = u.connection_id
WHERE u.renew_at > 0 AND u.renew_at <= @by AND c.state <> 'removed' AND c.state <> 'paused'
	AND (@app = '' OR u.app_id = @app)`

	// What was never checked (0) is due from the consent on.
	overdueChecks = `
SELECT count(*) AS n, coalesce(min(CASE WHEN check_at > 0 THEN check_at ELSE renewed_at END), 0) AS since
FROM connections WHERE length(token) > 0 AND state <> 'removed' AND state <> 'paused' AND check_at <= @by
	AND (check_at > 0 OR renewed_at <= @by) AND (@app = '' OR app_id = @app)`

	lookedAfter = `
SELECT (SELECT count(*) FROM connections WHERE length(token) > 0 AND state <> 'removed' AND state <> 'paused')
	AS checked, (SELECT count(*) FROM connections WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused'
	AND renew_at < @never) + (SELECT count(*) FROM user_tokens WHERE renew_at > 0 AND renew_at < @never) AS renewed`
)

// Late is how much of one kind of work should have been done by now.
type Late struct {
	N       int
	Since   time.Time // when the first of it was due; zero: nothing is late
	Expired int       // of renewals: tokens that ran out meanwhile
}

// Upkept is how much the background work looks after, and how much of it is late.
type Upkept struct {
	Checked, Renewed int // connections that are checked, and token pairs that are renewed, now and then; of all apps
	Checks, Renewals Late
}

// Overdue says what was due before now less grace and wasn't done. app "" is all apps.
func (q questions) Overdue(ctx context.Context, app string, now time.Time, grace time.Duration) (u Upkept, err error) {
	const doing = "count what is overdue"
	read := q.pool.Read.WithContext(ctx)
	values := map[string]any{"app": columns.Text(app), "now": columns.Micros(now), "by": columns.Micros(now.Add(-grace)),
		"never": columns.Micros(neverDue)}
	var renewals, checks []struct{ N, Since, Expired int64 }
	if err := read.Raw(overdueRenewals, values).Scan(&renewals).Error; err != nil {
		return u, db.Fault(ctx, doing, err)
	}
	if err := read.Raw(overdueChecks, values).Scan(&checks).Error; err != nil {
		return u, db.Fault(ctx, doing, err)
	}
	var all struct{ Checked, Renewed int }
	if err := read.Raw(lookedAfter, values).Scan(&all).Error; err != nil {
		return u, db.Fault(ctx, doing, err)
	}

	u.Checked, u.Renewed = all.Checked, all.Renewed
	for _, part := range renewals {
		u.Renewals.add(part.N, part.Since, part.Expired)
	}
	for _, part := range checks {
		u.Checks.add(part.N, part.Since, 0)
	}
	return u, nil
}

func (l *Late) add(n, since, expired int64) {
	l.N, l.Expired = l.N+int(n), l.Expired+int(expired)
	if at := columns.Moment(since); n > 0 && (l.Since.IsZero() || at.Before(l.Since)) {
		l.Since = at
	}
}
