package storage

// What the journals of the replicas hold is compared with the rows again and again; these are the questions, each
// answered by an index however many connections there are.

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
SELECT COALESCE(MAX(id), 0) FROM connection_history WHERE connection_id = ? AND what IN ('install', 'reconnect', 'reinstall')`
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
func (q questions) Rows(ctx context.Context, of []connection.TokenOwner) (map[connection.TokenOwner]connection.Row, error) {
	rows := make(map[connection.TokenOwner]connection.Row, len(of))
	for part := range slices.Chunk(of, comparedAtOnce) {
		if err := q.addRows(ctx, part, rows); err != nil {
			return nil, db.Fault(ctx, "compare with the journal", err)
		}
	}
	return rows, nil
}

// addRows adds the rows of these owners to rows. One statement for each of the two tables.
func (q questions) addRows(ctx context.Context, of []connection.TokenOwner, rows map[connection.TokenOwner]connection.Row) error {
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
	err := q.pool.Read.WithContext(ctx).Where("(app_id, enterprise_id, team_id) IN ("+values(bots)+")", slices.Concat(bots...)...).Find(&connections).Error
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
	err = q.pool.Read.WithContext(ctx).Where("(app_id, enterprise_id, team_id, user_id) IN ("+values(people)+")", slices.Concat(people...)...).Find(&tokens).Error
	if err != nil {
		return err
	}
	for _, r := range tokens {
		rows[r.owner()] = r.Facts.TokenPair.Row(len(r.Token) == 0, r.Facts.GrantedAt)
	}
	return nil
}

// values is a list of rows with their parameters. Both databases understand it; a list without the word SQLite does
// not.
func values(rows [][]any) string {
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
