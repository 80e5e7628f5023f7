package inbox

// What people wrote lies in the database until its event is done or the app is removed, and no longer. This file knows
// where, and that on SQLite the space goes back to the disk. It is sealed like connections, and walked and sealed anew
// like them.

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

const (
	// payloadApart finds a payload where SQLite has it: in the table of payloads or, written by an earlier release, in the
	// row.
	payloadApart = "CASE WHEN length(inbox.payload) > 0 THEN inbox.payload " +
		"ELSE coalesce((SELECT p.payload FROM inbox_payloads p WHERE p.id = inbox.id), x'') END"

	// finished is what an event that is done keeps: its name, to be known when it comes again. The trigger inbox_done
	// deletes a payload that lies apart. Its values: no payload, and the time.
	finished = "state = 'done', payload = ?, visible_at = 0, said = '', stream = '', finished_at = ?, error = ?"

	// erasedWith is why an event is done whose connection was removed.
	erasedWith = "erased: the app was removed"
)

// sparePages of the file are kept for the next events, and so many at most are given back in one step: others wait for
// it.
const (
	sparePages   = 32
	backInOneGo  = 256
	autoVacuum   = "PRAGMA auto_vacuum"
	shrinkInPart = 2 // what that pragma says of a file that can be shortened step by step
)

// apart reports whether payloads have a table of their own. On PostgreSQL, where replicas of an earlier release can
// work the same inbox, they lie in the rows: an update writes a row anew and its old place is used again.
func (t *Table) apart() bool { return t.pool.Dialect == db.DialectSQLite }

// payload is the box of a row of inbox, empty once there is none.
func (t *Table) payload() string { return PayloadColumn(t.pool.Dialect) }

// PayloadColumn is the SQL that reads the box of a row of inbox in a dialect, wherever that keeps it.
func PayloadColumn(dialect string) string {
	if dialect == db.DialectSQLite {
		return payloadApart
	}
	return "payload"
}

// eventColumns are what scanEvent reads.
func (t *Table) eventColumns() string {
	return "id, app_id, event_id, enterprise_id, team_id, kind, type, lane, attempt, begun, failures, received_at, " +
		"said, tag, trace, " +
		t.payload() + " AS payload"
}

// withPayloads are rows of the inbox with their payloads.
func (t *Table) withPayloads() *gorm.DB {
	return t.pool.Read.Model(&inboxRow{}).Select(t.eventColumns() + ", stream, state, visible_at, finished_at, error")
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
	return tx.Exec("INSERT INTO inbox_payloads (id, payload) VALUES (?, ?)"+strings.Repeat(", (?, ?)", len(args)/2-1),
		args...).Error
}

// replacePayload writes another box where one lies, and reports whether it still lay there.
func (t *Table) replacePayload(g *gorm.DB, id int64, old, box []byte) (bool, error) {
	write := g.Exec("UPDATE inbox SET payload = ? WHERE id = ? AND payload = ?", box, id, old)
	if write.Error == nil && write.RowsAffected == 0 && t.apart() {
		write = g.Exec("UPDATE inbox_payloads SET payload = ? WHERE id = ? AND payload = ?", box, id, old)
	}
	return write.RowsAffected == 1, write.Error
}

// makeShrinkable lays out a file of an earlier release anew, once, so that what is freed in it can go back to the disk.
// It needs the room for a copy; without it the file stays as long as it is, and is used again from within. It reports
// whether the file can be shortened.
func (t *Table) makeShrinkable(ctx context.Context, alone bool) (shrinks bool) {
	mode, err := t.vacuumMode(ctx)
	if shrinks = mode == shrinkInPart; shrinks || err != nil || !alone {
		return shrinks
	}
	t.pool.Log().InfoContext(ctx, "the database file is laid out anew, once: it will be as small as what is in it")
	err = t.pool.Exec(ctx, func(g *gorm.DB) error {
		if err := g.Exec(fmt.Sprintf("%s = %d", autoVacuum, shrinkInPart)).Error; err != nil {
			return err
		}
		return g.Exec("VACUUM").Error
	})
	if err != nil {
		t.pool.Log().WarnContext(ctx, "the database file can't be laid out anew: it keeps its size, and the next start "+
			"tries again", "cause", err)
		return false
	}
	mode, err = t.vacuumMode(ctx)
	return err == nil && mode == shrinkInPart
}

func (t *Table) vacuumMode(ctx context.Context) (mode int, err error) {
	err = t.pool.Single.WithContext(ctx).Raw(autoVacuum).Scan(&mode).Error
	return mode, err
}

// giveBack shortens SQLite's file by the pages that are free, while nobody waits for a commit.
func (in *Inbox) giveBack(ctx context.Context) {
	for in.shrinks && len(in.adds) == 0 && len(in.dones) == 0 {
		var free int
		if err := in.pool.Read.WithContext(ctx).Raw("PRAGMA freelist_count").Scan(&free).Error; err != nil ||
			free <= sparePages {
			return
		}
		step := fmt.Sprintf("PRAGMA incremental_vacuum(%d)", min(free-sparePages, backInOneGo))
		err := in.pool.Exec(ctx, func(g *gorm.DB) error {
			return each(g, step, nil, func(*sql.Rows) error { return nil }) // a row for each page
		})
		if err != nil {
			return
		}
	}
}

// WalkBoxes calls visit for every event that is not done: with a name for reports, its boxes, and whether the keys at
// hand open them.
func (t *Table) WalkBoxes(ctx context.Context, visit func(name string, boxes []*[]byte, readable bool) error) error {
	return t.walk(ctx, func(row *inboxRow) error {
		_, readable := t.openRow(row)
		if len(row.Stream) > 0 {
			_, err := t.keys.Open(row.Stream, streamPlace(row.Key, row.EventID))
			readable = readable && err == nil
		}
		return visit(row.name(), []*[]byte{&row.Payload, &row.Stream}, readable)
	})
}

// Reseal seals anew what is not sealed with the first key, and counts what became of each event. What no key opens is
// given up with erase.
func (t *Table) Reseal(ctx context.Context, erase bool, count func(changed, readable bool, err error) error) error {
	return t.walk(ctx, func(row *inboxRow) error { return count(t.reseal(ctx, row, erase)) })
}

func (t *Table) walk(ctx context.Context, visit func(*inboxRow) error) error {
	return db.WalkRows(ctx, t.withPayloads().Where("state IN ?",
		[]string{eventReady, eventHeld, eventWaiting, eventQueued, eventDead}).Order("id"), visit,
		func(rest *gorm.DB, last *inboxRow) *gorm.DB { return rest.Where("id > ?", last.ID) })
}

// reseal seals the payload of seen anew. One that no key opens is given up with erase.
func (t *Table) reseal(ctx context.Context, seen *inboxRow, erase bool) (changed, readable bool, err error) {
	place := eventPlace(seen.Key, seen.EventID)
	open, err := t.keys.Open(seen.Payload, place)
	if err != nil {
		if !erase {
			return false, false, nil
		}
		// Unless somebody worked it, or sealed it anew, in the meantime.
		_, err := t.pool.Change(ctx, "UPDATE inbox SET "+finished+" WHERE id = ? AND state <> 'done' AND "+t.payload()+" = ?",
			[]byte{}, columns.Micros(t.pool.Now()), "erased: no key opens it", seen.ID, seen.Payload)
		return false, false, err
	}

	changed, readable, err = t.resealStream(ctx, seen, erase)
	if err != nil || !t.keys.Stale(&seen.Payload) {
		return changed, readable, err
	}
	box, err := t.keys.SealOn(t.pool.Now(), open, place)
	if err != nil {
		return changed, readable, err
	}
	err = t.pool.Exec(ctx, func(g *gorm.DB) error {
		// Done in the meantime, it has none any longer.
		replaced, err := t.replacePayload(g, seen.ID, seen.Payload, box)
		changed = changed || replaced
		return err
	})
	return changed, readable, err
}

// resealStream seals anew what is being written in answer to seen. What no key opens is given up with erase: then the
// event is answered from the beginning.
func (t *Table) resealStream(ctx context.Context, seen *inboxRow, erase bool) (changed, readable bool, err error) {
	if len(seen.Stream) == 0 {
		return false, true, nil
	}
	place := streamPlace(seen.Key, seen.EventID)
	open, err := t.keys.Open(seen.Stream, place)
	readable = err == nil
	var box []byte
	switch {
	case readable && !t.keys.Stale(&seen.Stream), !readable && !erase:
		return false, readable, nil
	case readable:
		if box, err = t.keys.SealOn(t.pool.Now(), open, place); err != nil {
			return false, true, err
		}
	default:
		box = []byte{}
	}

	n, err := t.pool.Change(ctx, "UPDATE inbox SET stream = ? WHERE id = ? AND stream = ?", box, seen.ID, seen.Stream)
	return readable && n > 0, readable, err
}
