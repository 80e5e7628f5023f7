package inbox

// How much of what waits, or failed for good, is of one kind: what one line can say of ten thousand letters.

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Backlog is how much waits in one state.
type Backlog struct {
	State  string // ready, held, waiting or queued
	N      int
	Oldest time.Time // when the first of it came
}

// Backlogs are the states in which something waits. Each part has an index of its own: what is done is never walked
// through.
func (t *Table) Backlogs(ctx context.Context) ([]Backlog, error) {
	var rows []struct {
		State  string
		N      int
		Oldest int64
	}
	const some = ", count(*) AS n, coalesce(min(received_at), 0) AS oldest FROM inbox WHERE "
	err := t.pool.Read.WithContext(ctx).Raw("SELECT 'ready' AS state" + some + "state = 'ready' " +
		"UNION ALL SELECT state" + some + "state IN ('held', 'waiting') GROUP BY state " +
		"UNION ALL SELECT 'queued'" + some + "lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') AND state = " +
		"'queued'").Scan(&rows).Error
	if err != nil {
		return nil, db.Fault(ctx, "count events", err)
	}

	var all []Backlog
	for _, r := range rows {
		if r.N > 0 {
			all = append(all, Backlog{State: r.State, N: r.N, Oldest: columns.Moment(r.Oldest)})
		}
	}
	return all, nil
}

// Deaths are dead letters that failed for the same reason.
type Deaths struct {
	Type, Reason string // of the event; the last attempt's error
	N            int
	Teams        int       // in how many workspaces
	Team         string    // one of them
	Last         time.Time // when the newest was given up
}

// DeathsByReason sums dead letters up, the most frequent reasons first, at most n. It reads no letters but dead ones,
// and no payloads.
func (t *Table) DeathsByReason(ctx context.Context, n int) ([]Deaths, error) {
	var rows []struct {
		Type, Reason, Team string
		N, Teams           int
		Last               int64
	}
	err := t.pool.Read.WithContext(ctx).Raw(`
SELECT type, error AS reason, count(*) AS n, count(DISTINCT team_id) AS teams, max(team_id) AS team,
	max(finished_at) AS last FROM inbox
WHERE state = 'dead' GROUP BY type, error ORDER BY 3 DESC, 1, 2 LIMIT @n`, map[string]any{"n": n}).Scan(&rows).Error
	if err != nil {
		return nil, db.Fault(ctx, "sum up dead letters", err)
	}

	all := make([]Deaths, len(rows))
	for i, r := range rows {
		all[i] = Deaths{Type: r.Type, Reason: r.Reason, N: r.N, Teams: r.Teams, Team: r.Team,
			Last: columns.Moment(r.Last)}
	}
	return all, nil
}
