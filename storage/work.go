package storage

// The background work asks the database what there is to do; these questions are asked every few seconds and must
// cost as little with a million connections as with ten. What the journals of the replicas hold is compared with the
// rows as often.

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// The conditions that hold neither a time nor an app are those of the indexes (migration 00002), word for word. Few
// databases hold more than one app, so the app is in no index.
const (
	// A renewal that is further ahead than any is made now. never is later than all of them; the time from renew_at
	// to expires_at tells how long a token lives (install.TokenPair).
	dueQuery = `
SELECT * FROM (SELECT app_id, enterprise_id, team_id, '' AS user_id, renew_at FROM connections
	WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused' AND renew_at <= @now
		AND (lease_until <= @now OR lease_until > @lease)
		AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS bots
UNION ALL
SELECT * FROM (SELECT u.app_id, u.enterprise_id, u.team_id, u.user_id, u.renew_at
	FROM user_tokens u JOIN connections c ON c.id = u.connection_id
	WHERE u.renew_at > 0 AND u.renew_at <= @now AND (u.lease_until <= @now OR u.lease_until > @lease)
		AND c.state <> 'removed' AND c.state <> 'paused'
		AND (@app = '' OR u.app_id = @app)
	ORDER BY u.renew_at LIMIT @n) AS people
UNION ALL
SELECT * FROM (SELECT app_id, enterprise_id, team_id, '' AS user_id, renew_at FROM connections
	WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused' AND renew_at > @renewal AND renew_at < @never
		AND renew_at - @now > (expires_at - renew_at) * 18 / 7 AND (lease_until <= @now OR lease_until > @lease)
		AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS bots_ahead
UNION ALL
SELECT * FROM (SELECT u.app_id, u.enterprise_id, u.team_id, u.user_id, u.renew_at
	FROM user_tokens u JOIN connections c ON c.id = u.connection_id
	WHERE u.renew_at > 0 AND u.renew_at > @renewal AND u.renew_at < @never
		AND u.renew_at - @now > (u.expires_at - u.renew_at) * 18 / 7
		AND (u.lease_until <= @now OR u.lease_until > @lease) AND c.state <> 'removed' AND c.state <> 'paused'
		AND (@app = '' OR u.app_id = @app)
	ORDER BY u.renew_at LIMIT @n) AS people_ahead
ORDER BY renew_at LIMIT @n`

	leasedQuery = `
SELECT * FROM (SELECT app_id, enterprise_id, team_id, '' AS user_id, lease_until FROM connections
	WHERE renew_at > 0 AND state <> 'removed' AND state <> 'paused' AND renew_at <= @now AND lease_until > @now
		AND lease_until <= @lease
		AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS bots
UNION ALL
SELECT * FROM (SELECT u.app_id, u.enterprise_id, u.team_id, u.user_id, u.lease_until
	FROM user_tokens u JOIN connections c ON c.id = u.connection_id
	WHERE u.renew_at > 0 AND u.renew_at <= @now AND u.lease_until > @now AND u.lease_until <= @lease
		AND c.state <> 'removed' AND c.state <> 'paused'
		AND (@app = '' OR u.app_id = @app)
	ORDER BY u.renew_at LIMIT @n) AS people`

	longLivedQuery = `
SELECT app_id, enterprise_id, team_id FROM connections
WHERE renew_at = 0 AND expires_at = 0 AND length(token) > 0 AND length(refresh_token) = 0
	AND state IN ('active', 'retrying')
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

	// Asked once an hour and at the start, not every few seconds: it reads the whole table.
	unaskedQuery = `
SELECT app_id, enterprise_id, team_id FROM connections
WHERE state = 'active' AND notice_at = 0 AND notice_ts = '' AND notice_channel LIKE 'ask:%'
	AND (@app = '' OR app_id = @app)
	AND (app_id, enterprise_id, team_id) > (@after_app, @after_enterprise, @after_team)
ORDER BY app_id, enterprise_id, team_id LIMIT @n`
)

// neverDue is before the time that install writes for never, and after all others.
var neverDue = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

// questions are what the background work asks.
type questions struct{ pool *db.Pool }

// Due is install.Store's. The longest overdue is the most urgent.
func (q questions) Due(ctx context.Context, app string, now time.Time, n int) ([]connection.TokenOwner, error) {
	return ask[connection.TokenOwner](ctx, q.pool, "list due renewals", dueQuery, app, now, n)
}

// Leased is install.Store's.
func (q questions) Leased(ctx context.Context, app string, now time.Time,
	n int) (map[connection.TokenOwner]time.Time, error) {
	type row struct {
		connection.TokenOwner
		LeaseUntil int64
	}
	rows, err := ask[row](ctx, q.pool, "list leased renewals", leasedQuery, app, now, n)
	leased := make(map[connection.TokenOwner]time.Time, len(rows))
	for _, r := range rows {
		leased[r.TokenOwner] = columns.Moment(r.LeaseUntil)
	}
	return leased, err
}

// LongLived is install.Store's.
func (q questions) LongLived(ctx context.Context, app string, n int) ([]connection.TokenOwner, error) {
	return ask[connection.TokenOwner](ctx, q.pool, "list long-lived tokens", longLivedQuery, app, time.Time{}, n)
}

// Unchecked is install.Store's. A connection whose CheckAt was never set is the first.
func (q questions) Unchecked(ctx context.Context, app string, now time.Time, n int) ([]connection.Key, error) {
	return ask[connection.Key](ctx, q.pool, "list unchecked connections", uncheckedQuery, app, now, n)
}

// Untold is install.Store's. Those that have waited longest come first. Rows that merely cannot be opened are not among
// them: the kept state counts.
func (q questions) Untold(ctx context.Context, app string, n int) ([]connection.Key, error) {
	return ask[connection.Key](ctx, q.pool, "list connections to tell of", untoldQuery, app, time.Time{}, n)
}

// Unasked is install.Store's.
func (q questions) Unasked(ctx context.Context, app string, after connection.Key, n int) (keys []connection.Key,
	err error) {
	values := map[string]any{"app": columns.Text(app), "n": n, "after_app": columns.Text(after.AppID),
		"after_enterprise": columns.Text(after.EnterpriseID), "after_team": columns.Text(after.TeamID)}
	err = q.pool.Read.WithContext(ctx).Raw(unaskedQuery, values).Scan(&keys).Error
	return keys, db.Fault(ctx, "list connections to ask of", err)
}

// ask runs one of the queries above.
func ask[T any](ctx context.Context, pool *db.Pool, doing, query, app string, now time.Time,
	n int) (found []T, err error) {
	if n <= 0 {
		return nil, nil
	}
	ahead := func(d time.Duration) int64 {
		if now.IsZero() {
			return math.MaxInt64
		}
		return columns.Micros(now.Add(d))
	}
	values := map[string]any{"app": columns.Text(app), "now": columns.Micros(now), "n": n,
		"never": columns.Micros(neverDue), "lease": ahead(connection.LongestLease),
		"renewal": ahead(connection.FurthestRenewal), "check": ahead(connection.FurthestCheck)}
	err = pool.Read.WithContext(ctx).Raw(query, values).Scan(&found).Error
	return found, db.Fault(ctx, doing, err)
}

// Count is install.Store's.
func (q questions) Count(ctx context.Context) (connection.Counts, error) {
	counts := connection.Counts{States: map[connection.State]int{}, Notices: map[string]int{}}
	var rows []struct {
		State  connection.State
		Notice string
		N      int
	}
	err := q.pool.Read.WithContext(ctx).Raw(`
SELECT state, CASE WHEN state <> 'reconnect_required' THEN '' WHEN notice_at = 0 THEN 'untold'
	WHEN notice_ts = '' THEN 'unreachable' ELSE 'told' END AS notice, count(*) AS n
FROM connections GROUP BY 1, 2`).Scan(&rows).Error
	if err != nil {
		return counts, db.Fault(ctx, "count connections", err)
	}

	for _, r := range rows {
		counts.States[r.State] += r.N
		if r.Notice != "" {
			counts.Notices[r.Notice] += r.N
		}
	}
	return counts, nil
}

// The conditions that hold no time are those of the indexes (migration 00005), word for word.
const (
	rejectedQuery = `
SELECT * FROM (SELECT app_id, enterprise_id, team_id, '' AS user_id, renew_at FROM connections
	WHERE rejections > 0 AND renew_at > 0 AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS bots
UNION ALL
SELECT * FROM (SELECT app_id, enterprise_id, team_id, user_id, renew_at FROM user_tokens
	WHERE rejections > 0 AND renew_at > 0 AND (@app = '' OR app_id = @app)
	ORDER BY renew_at LIMIT @n) AS people`

	erasedQuery = `
SELECT app_id, enterprise_id, team_id FROM connections WHERE length(token) = 0 AND state_since >= @now
UNION
SELECT c.app_id, c.enterprise_id, c.team_id FROM connection_history h JOIN connections c ON c.id = h.connection_id
	WHERE h.what = 'user_revoke' AND h.at >= @now`

	latestConsent = `
SELECT COALESCE(MAX(id), 0) FROM connection_history WHERE connection_id = ?
	AND what IN ('install', 'reconnect', 'reinstall')`
)

// Rejected is install.Store's.
func (q questions) Rejected(ctx context.Context, app string, n int) ([]connection.TokenOwner, error) {
	return ask[connection.TokenOwner](ctx, q.pool, "list refused refresh tokens", rejectedQuery, app, time.Time{}, n)
}

// Erased is install.Store's.
func (q questions) Erased(ctx context.Context, since time.Time) ([]connection.Key, error) {
	return ask[connection.Key](ctx, q.pool, "list what was erased", erasedQuery, "", since, math.MaxInt32)
}

// comparedAtOnce bounds a statement's parameters, four for each owner: SQLite takes 32,766, PostgreSQL 65,535.
const comparedAtOnce = 1000

// Rows is install.Store's.
func (q questions) Rows(ctx context.Context,
	of []connection.TokenOwner) (map[connection.TokenOwner]connection.Row, error) {
	rows := make(map[connection.TokenOwner]connection.Row, len(of))
	for part := range slices.Chunk(of, comparedAtOnce) {
		if err := q.addRows(ctx, part, rows); err != nil {
			return nil, db.Fault(ctx, "compare with the journal", err)
		}
	}
	return rows, nil
}

// addRows adds the rows of these owners to rows. One statement for each of the two tables.
func (q questions) addRows(ctx context.Context, of []connection.TokenOwner,
	rows map[connection.TokenOwner]connection.Row) error {
	var bots, people [][]any
	for _, h := range of {
		if !columns.StorableKey(h.Key) || !columns.Storable(h.UserID) {
			continue // nobody's
		}
		bots = append(bots, []any{h.AppID, h.EnterpriseID, h.TeamID})
		if h.UserID != "" {
			people = append(people, []any{h.AppID, h.EnterpriseID, h.TeamID, h.UserID})
		}
	}

	if len(bots) == 0 {
		return nil
	}
	var connections []connectionRow
	err := q.pool.Read.WithContext(ctx).Where("(app_id, enterprise_id, team_id) IN ("+rowList(bots)+")",
		slices.Concat(bots...)...).Find(&connections).Error
	if err != nil {
		return err
	}
	for _, r := range connections {
		h := connection.TokenOwner{Key: r.Key}
		row := r.Facts.TokenPair.Row(len(r.Token) == 0, r.Facts.RenewedAt)
		row.Removed = r.Facts.State == string(connection.Removed)
		rows[h] = row
	}
	if len(people) == 0 {
		return nil
	}
	var tokens []userTokenRow
	err = q.pool.Read.WithContext(ctx).Where("(app_id, enterprise_id, team_id, user_id) IN ("+rowList(people)+")",
		slices.Concat(people...)...).Find(&tokens).Error
	if err != nil {
		return err
	}
	for _, r := range tokens {
		rows[r.owner()] = r.Facts.TokenPair.Row(len(r.Token) == 0, r.Facts.GrantedAt)
	}
	return nil
}

// rowList is a list of rows with their parameters. Both databases understand it; a list without the word SQLite does
// not.
func rowList(rows [][]any) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(rows[0])), ", ") + ")"
	return "VALUES " + strings.TrimSuffix(strings.Repeat(one+", ", len(rows)), ", ")
}

// Mark is install.Store's. Lines of history get their numbers in the order in which they are written, and each
// consent writes one in the transaction that stores it.
func (q questions) Mark(ctx context.Context) (mark connection.Mark, err error) {
	err = q.pool.Read.WithContext(ctx).Raw("SELECT COALESCE(MAX(id), 0) FROM connection_history").Scan(&mark).Error
	return mark, db.Fault(ctx, "mark the order of consents", err)
}

// before reports whether the consent in force was stored before a mark was taken.
func before(tx *gorm.DB, connectionID string, mark connection.Mark) (bool, error) {
	var latest connection.Mark
	err := tx.Raw(latestConsent, connectionID).Scan(&latest).Error
	return latest > 0 && latest <= mark, err
}
