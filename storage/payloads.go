package storage

// What people wrote lies in the database until its event is done or the app is removed, and no longer. This file knows where,
// and that on SQLite the space goes back to the disk.

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"switchboard/bot"
	"switchboard/install/connection"
)

const (
	// payloadApart finds a payload where SQLite has it: in the table of payloads or, written by an earlier release, in the row.
	payloadApart = "CASE WHEN length(inbox.payload) > 0 THEN inbox.payload " +
		"ELSE coalesce((SELECT p.payload FROM inbox_payloads p WHERE p.id = inbox.id), x'') END"

	// finished is what an event that is done keeps: its name, to be known when it comes again. The trigger inbox_done deletes
	// a payload that lies apart. Its values: no payload, and the time.
	finished = "state = 'done', payload = ?, visible_at = 0, said = '', finished_at = ?, error = ?"

	// erasedWith is why an event is done whose connection was removed.
	erasedWith = "erased: the app was removed"
)

// sparePages of the file are kept for the next events, and so many at most are given back in one step: others wait for it.
const (
	sparePages   = 32
	backInOneGo  = 256
	autoVacuum   = "PRAGMA auto_vacuum"
	shrinkInPart = 2 // what that pragma says of a file that can be shortened step by step
)

// apart reports whether payloads have a table of their own. On PostgreSQL, where replicas of an earlier release can work the
// same inbox, they lie in the rows: an update writes a row anew and its old place is used again.
func (db *DB) apart() bool { return db.dialect == dialectSQLite }

// payload is the box of a row of inbox, empty once there is none.
func (db *DB) payload() string {
	if db.apart() {
		return payloadApart
	}
	return "payload"
}

// eventColumns are what scanEvent reads.
func (db *DB) eventColumns() string {
	return "id, app_id, event_id, enterprise_id, team_id, kind, type, lane, attempt, begun, failures, received_at, said, tag, " +
		db.payload() + " AS payload"
}

// withPayloads are rows of the inbox with their payloads.
func (db *DB) withPayloads() *gorm.DB {
	return db.read.Model(&inboxRow{}).Select(db.eventColumns() + ", state, visible_at, finished_at, error")
}

// insertPayloads writes what the events have in them that are new.
func insertPayloads(tx *gorm.DB, rows map[eventName]int64, batch []*adding) error {
	args := make([]any, 0, 2*len(rows))
	written := make(map[int64]bool, len(rows)) // of the same event twice in a batch the first is the row's
	for _, a := range batch {
		if id, fresh := rows[a.name()]; fresh && !written[id] {
			written[id] = true
			args = append(args, id, a.box)
		}
	}
	if len(args) == 0 {
		return nil
	}
	return tx.Exec("INSERT INTO inbox_payloads (id, payload) VALUES (?, ?)"+strings.Repeat(", (?, ?)", len(args)/2-1), args...).Error
}

// replacePayload writes another box where one lies, and reports whether it still lay there.
func (db *DB) replacePayload(g *gorm.DB, id int64, old, box []byte) (bool, error) {
	write := g.Exec("UPDATE inbox SET payload = ? WHERE id = ? AND payload = ?", box, id, old)
	if write.Error == nil && write.RowsAffected == 0 && db.apart() {
		write = g.Exec("UPDATE inbox_payloads SET payload = ? WHERE id = ? AND payload = ?", box, id, old)
	}
	return write.RowsAffected == 1, write.Error
}

// unfinished are the events that are not done and meet a condition. Each state has an index of its own.
func unfinished(condition string) string {
	states := []string{"state = 'ready'", "state IN ('held', 'waiting')", "state = 'dead'",
		"lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') AND state = 'queued'"}
	for i, state := range states {
		states[i] = "SELECT id FROM inbox WHERE " + state + " AND " + condition
	}
	return strings.Join(states, " UNION ALL ")
}

const (
	// The messages of a connection that is removed are those that it answered for (Lookup): of a workspace's, whatever organisation
	// it was in when they came, unless another connection of the workspace lives on; of an organisation's, those of the
	// workspaces that have none of their own.
	messagesOfTeam = "app_id = @app AND team_id = @team AND (enterprise_id = @enterprise OR NOT EXISTS (" +
		"SELECT 1 FROM connections c WHERE c.app_id = @app AND c.team_id = @team AND c.state <> 'removed'))"
	messagesOfOrg = "app_id = @app AND enterprise_id = @enterprise AND NOT EXISTS (" +
		"SELECT 1 FROM connections c WHERE c.app_id = @app AND c.team_id = inbox.team_id AND c.team_id <> '' AND c.state <> 'removed')"

	// Messages that nobody answers for any longer: what came after the removal, or was there when a release removed the connection
	// that erases nothing.
	messagesOfNobody = "(EXISTS (SELECT 1 FROM connections c WHERE c.app_id = inbox.app_id AND c.team_id = inbox.team_id " +
		"AND c.team_id <> '' AND c.state = 'removed') OR EXISTS (" + orgsConnection + " AND c.state = 'removed')) " +
		"AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.app_id = inbox.app_id AND c.team_id = inbox.team_id " +
		"AND c.team_id <> '' AND c.state <> 'removed') AND NOT EXISTS (" + orgsConnection + " AND c.state <> 'removed')"
	orgsConnection = "SELECT 1 FROM connections c WHERE c.app_id = inbox.app_id AND c.enterprise_id = inbox.enterprise_id " +
		"AND c.enterprise_id <> '' AND c.team_id = ''"
)

// eraseMessages erases what waits or failed for a connection that is being removed.
func (db *DB) eraseMessages(tx *gorm.DB, k connection.Key) (int64, error) {
	whose := messagesOfTeam
	if k.TeamID == "" {
		whose = messagesOfOrg
	}
	return db.erase(tx, unfinished(whose), map[string]any{"app": k.AppID, "enterprise": k.EnterpriseID, "team": k.TeamID})
}

// eraseLeft erases what waits or failed for an organisation's connection and came until a time from workspaces that it was taken from.
// Slack's clock has whole seconds.
func (db *DB) eraseLeft(tx *gorm.DB, k connection.Key, teamIDs []string, at time.Time) (int64, error) {
	return db.erase(tx, unfinished(messagesOfOrg+" AND team_id IN @teams AND received_at < @until"), map[string]any{
		"app": k.AppID, "enterprise": k.EnterpriseID, "teams": teamIDs, "until": micros(at.Add(time.Second))})
}

// eraseLeftOver erases the messages of nobody that are not about to be worked, once a minute.
func (in *Inbox) eraseLeftOver(ctx context.Context) (err error) {
	now := in.now()
	if now.Sub(in.searched) < time.Minute && !now.Before(in.searched) {
		return nil
	}
	in.searched = now
	const left = "SELECT id FROM inbox WHERE state = 'dead' AND " + messagesOfNobody +
		" UNION ALL SELECT id FROM inbox WHERE state IN ('held', 'waiting') AND state = 'waiting' AND " + messagesOfNobody
	var some []int64
	if err := in.db.read.WithContext(ctx).Raw("SELECT id FROM (" + left + ") AS messages LIMIT 1").Scan(&some).Error; err != nil || len(some) == 0 {
		return err
	}
	var n int64
	err = in.db.exec(ctx, func(g *gorm.DB) error {
		n, err = in.db.erase(g, left, map[string]any{})
		return err
	})
	in.db.noteErased(ctx, n)
	return err
}

// erase gives up events, except what Slack says of the removal itself as long as it is to be worked. Whoever has one of them in hand
// finds that it is somebody else's (bot.ErrLost).
func (db *DB) erase(tx *gorm.DB, which string, values map[string]any) (int64, error) {
	values["none"], values["now"], values["why"], values["lifecycle"] = []byte{}, micros(db.Now()), erasedWith, bot.LifecycleEvents()
	erased := tx.Exec("UPDATE inbox SET state = 'done', payload = @none, visible_at = 0, said = '', finished_at = @now, error = @why "+
		"WHERE state <> 'done' AND NOT (state <> 'dead' AND kind = 'events_api' AND type IN @lifecycle) AND id IN ("+which+")", values)
	return erased.RowsAffected, erased.Error
}

// noteErased counts what was erased, and tells operators of it.
func (db *DB) noteErased(ctx context.Context, n int64) {
	if n == 0 {
		return
	}
	db.erased.Add(n)
	db.log().InfoContext(ctx, "messages of a removed connection are erased", "events", n)
}

// makeShrinkable lays out a file of an earlier release anew, once, so that what is freed in it can go back to the disk. It needs the
// room for a copy; without it the file stays as long as it is, and is used again from within.
func (in *Inbox) makeShrinkable(ctx context.Context) {
	mode, err := in.vacuumMode(ctx)
	if in.shrinks = mode == shrinkInPart; in.shrinks || err != nil || !in.alone {
		return
	}
	in.db.log().InfoContext(ctx, "the database file is laid out anew, once: it will be as small as what is in it")
	err = in.db.exec(ctx, func(g *gorm.DB) error {
		if err := g.Exec(fmt.Sprintf("%s = %d", autoVacuum, shrinkInPart)).Error; err != nil {
			return err
		}
		return g.Exec("VACUUM").Error
	})
	if err != nil {
		in.db.log().WarnContext(ctx, "the database file can't be laid out anew: it keeps its size, and the next start tries again", "cause", err)
		return
	}
	mode, err = in.vacuumMode(ctx)
	in.shrinks = err == nil && mode == shrinkInPart
}

func (in *Inbox) vacuumMode(ctx context.Context) (mode int, err error) {
	err = in.db.single.WithContext(ctx).Raw(autoVacuum).Scan(&mode).Error
	return mode, err
}

// giveBack shortens SQLite's file by the pages that are free, while nobody waits for a commit.
func (in *Inbox) giveBack(ctx context.Context) {
	for in.shrinks && len(in.adds) == 0 && len(in.dones) == 0 {
		var free int
		if err := in.db.read.WithContext(ctx).Raw("PRAGMA freelist_count").Scan(&free).Error; err != nil || free <= sparePages {
			return
		}
		step := fmt.Sprintf("PRAGMA incremental_vacuum(%d)", min(free-sparePages, backInOneGo))
		err := in.db.exec(ctx, func(g *gorm.DB) error {
			return each(g, step, nil, func(*sql.Rows) error { return nil }) // a row for each page
		})
		if err != nil {
			return
		}
	}
}
