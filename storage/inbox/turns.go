package inbox

// What an agent is writing, kept with the event that it answers, and what came meanwhile in the same conversation.

import (
	"context"
	"database/sql"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// A handler that ends its process each time, however far it comes, is not begun for ever: behind so many attempts its
// deaths count again.
const attemptsThatGetAhead = 20

// So many messages that wait are looked at in one go.
const mostBehind = 10

// streamPlace is what the text that answers an event is bound to.
func streamPlace(k connection.Key, id string) seal.Place {
	place := eventPlace(k, id)
	place.Column = "inbox.stream/" + id
	return place
}

// Behind is bot.Turns'.
func (in *Inbox) Behind(ctx context.Context, e bot.Delivery, row int64) (behind []bot.Delivery, err error) {
	const query = " FROM inbox WHERE lane = ? AND lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') " +
		"AND state = 'queued' AND id > ? ORDER BY id LIMIT ?"
	args := []any{columns.Text(e.OrderingKey), max(e.Row, row), mostBehind}
	err = each(in.pool.Read.WithContext(ctx), "SELECT "+in.table.eventColumns()+query, args, func(r *sql.Rows) error {
		found, err := scanEvent(r)
		if err != nil {
			return err
		}
		next, _ := in.table.openRow(&found) // one that can't be opened is there, too, without its body
		behind = append(behind, next)
		return nil
	})
	return behind, db.Fault(ctx, "look for the next message", err)
}

// Came is bot.Turns'.
func (in *Inbox) Came(ctx context.Context, prefix, from string) (bool, error) {
	lane := "lane"
	if in.pool.Dialect == db.DialectPostgres {
		lane = `(lane COLLATE "C")`
	}
	return exists(ctx, in.pool, "look for a press of stop",
		"SELECT id FROM inbox WHERE type = 'agent_session_stopped' AND "+lane+" > ? AND "+lane+" < ? LIMIT 1",
		columns.Text(prefix+from), columns.Text(prefix+"~"))
}

// exists reports whether a query finds a row.
func exists(ctx context.Context, pool *db.Pool, doing, query string, args ...any) (bool, error) {
	var ids []int64
	err := pool.Read.WithContext(ctx).Raw(query, args...).Scan(&ids).Error
	return len(ids) > 0, db.Fault(ctx, doing, err)
}

// RecordStream is bot.Turns'.
func (in *Inbox) RecordStream(ctx context.Context, e bot.Delivery, state []byte) error {
	box, err := in.table.keys.SealOn(in.now(), state, streamPlace(e.Key, e.ID))
	if err != nil {
		return err
	}
	return in.one(ctx, "keep what is written", e, stillHeld,
		"stream = ?, visible_at = ?, begun = CASE WHEN attempt <= ? THEN 1 ELSE begun END", box, in.leases.until(in.now()),
		attemptsThatGetAhead)
}

// StreamState is bot.Turns'.
func (in *Inbox) StreamState(ctx context.Context, e bot.Delivery) ([]byte, error) {
	var rows []inboxRow
	err := in.pool.Read.WithContext(ctx).Raw("SELECT stream FROM inbox WHERE id = ?", e.Row).Scan(&rows).Error
	if err != nil || len(rows) == 0 || len(rows[0].Stream) == 0 {
		return nil, db.Fault(ctx, "read what was written", err)
	}
	return in.table.keys.Open(rows[0].Stream, streamPlace(e.Key, e.ID))
}
