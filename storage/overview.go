package storage

// What an operator is told of all connections of an app at once: sums, made in the database.

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Overview sums up an app's connections.
type Overview struct {
	Apps      map[string]int // connections that weren't removed, by the id of their app: of all apps
	Connected int            // those of this app with access to their workspace
	Since     time.Time      // when the one that was installed first of these was
	LastEvent time.Time      // when Slack last sent something for one of them; zero: it never did
	Granted   []GrantedScopes
}

// GrantedScopes are permissions, and how many connections have exactly these.
type GrantedScopes struct {
	Scopes      []string
	Connections int
	Example     string // the id of one of them
}

// grantedRow is a group of connections with the same permissions.
type grantedRow struct {
	AppID, Scopes, Example string
	N, Able                int
	LastEventAt, Since     int64
}

const overviewQuery = `
SELECT app_id, scopes, MIN(id) AS example, COUNT(*) AS n,
	SUM(CASE WHEN length(token) > 0 AND state IN ('active', 'retrying') THEN 1 ELSE 0 END) AS able,
	MAX(last_event_at) AS last_event_at, MIN(installed_at) AS since
FROM connections WHERE state <> 'removed'
GROUP BY app_id, scopes, CASE WHEN length(token) > 0 AND state IN ('active', 'retrying') THEN 1 ELSE 0 END
ORDER BY n DESC, example`

// Overview sums up the connections of app; "" is any. It reads all rows of connections once, and none of their secrets.
func (q questions) Overview(ctx context.Context, app string) (Overview, error) {
	var rows []grantedRow
	if err := q.pool.Read.WithContext(ctx).Raw(overviewQuery).Scan(&rows).Error; err != nil {
		return Overview{}, db.Fault(ctx, "sum up connections", err)
	}

	found := Overview{Apps: map[string]int{}}
	for _, r := range rows {
		found.Apps[r.AppID] += r.N
		if app != "" && r.AppID != app {
			continue
		}
		if last := columns.Moment(r.LastEventAt); last.After(found.LastEvent) {
			found.LastEvent = last
		}
		if r.Able == 0 {
			continue
		}
		if since := columns.Moment(r.Since); found.Since.IsZero() || since.Before(found.Since) {
			found.Since = since
		}
		found.Connected += r.Able
		found.Granted = append(found.Granted,
			GrantedScopes{Scopes: columns.Scopes(r.Scopes), Connections: r.Able, Example: r.Example})
	}
	return found, nil
}
