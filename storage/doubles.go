package storage

// One workspace has one connection: a unique index sees to it. Here it is asked whether that is still so, for a
// database that somebody restored by hand, or whose index was lost.

import (
	"context"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

const (
	// PostgreSQL keeps an index that could not be built, and doesn't use it (indisvalid).
	uniquePostgres = `
SELECT count(*) > 0 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass('connections') AND c.relname = 'connections_key' AND i.indisunique AND i.indisvalid`
	uniqueSQLite = `
SELECT count(*) > 0 FROM pragma_index_list('connections') WHERE name = 'connections_key' AND "unique" = 1`

	// Along the index of teams; the rows of those that come twice are read, and no others. The same team under two
	// organisations is the same workspace.
	doublesQuery = `
SELECT min(app_id) AS app_id, max(enterprise_id) AS enterprise_id, min(team_id) AS team_id FROM connections
WHERE (app_id, team_id) IN (SELECT app_id, team_id FROM connections WHERE team_id <> ''
	GROUP BY app_id, team_id HAVING count(*) > 1) AND state <> 'removed'
GROUP BY app_id, team_id HAVING count(*) > 1 ORDER BY 1, 3 LIMIT @n`
)

// UniqueKeys reports whether the database itself still refuses a second connection with the same key.
func (d *DB) UniqueKeys(ctx context.Context) (unique bool, err error) {
	query := uniquePostgres
	if d.Dialect() == db.DialectSQLite {
		query = uniqueSQLite
	}
	err = d.pool.Read.WithContext(ctx).Raw(query).Scan(&unique).Error
	return unique, db.Fault(ctx, "look for the index of keys", err)
}

// Doubles returns workspaces that have more than one connection in use, at most n.
func (d *DB) Doubles(ctx context.Context, n int) (keys []connection.Key, err error) {
	err = d.pool.Read.WithContext(ctx).Raw(doublesQuery, map[string]any{"n": n}).Scan(&keys).Error
	return keys, db.Fault(ctx, "look for workspaces with two connections", err)
}
