package storage

// What an operator sees of the inbox, and does about what failed for good.

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"switchboard/bot"
	"switchboard/install/connection"
)

// Letter is an event in the inbox as an operator sees it.
type Letter struct {
	ID       int64 // in the inbox
	Event    bot.Event
	State    string    // ready, held, waiting, queued, done, dead
	Next     time.Time // waiting: the next attempt; held: the lease ends
	Finished time.Time // done, dead
	Error    string    // of the last attempt
	Readable bool      // its payload can be opened, or there is none any more
}

// Letters returns what is in a state, the newest first, at most n; state "" is all that is not done. Without payloads.
func (db *DB) Letters(ctx context.Context, state string, n int) ([]Letter, error) {
	query := db.withPayloads().WithContext(ctx).Order("id DESC").Limit(n)
	if state == "" {
		query = query.Where("state IN ?", []string{eventReady, eventHeld, eventWaiting, eventQueued, eventDead})
	} else {
		query = query.Where("state = ?", state)
	}
	var rows []inboxRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, fault(ctx, "list the inbox", err)
	}
	letters := make([]Letter, len(rows))
	for i := range rows {
		letters[i] = db.letter(&rows[i])
		letters[i].Event.Body = nil
	}
	return letters, nil
}

// Letter returns one event with its payload, as far as it is kept. install.ErrNotFound.
func (db *DB) Letter(ctx context.Context, id int64) (Letter, error) {
	var rows []inboxRow
	if err := db.withPayloads().WithContext(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Letter{}, fault(ctx, "read the inbox", err)
	}
	if len(rows) == 0 {
		return Letter{}, connection.ErrNotFound
	}
	return db.letter(&rows[0]), nil
}

func (db *DB) letter(r *inboxRow) Letter {
	l := Letter{ID: r.ID, Event: r.event(), State: r.State, Finished: moment(r.FinishedAt), Error: r.Error, Readable: true}
	if r.State == eventHeld || r.State == eventWaiting {
		l.Next = moment(r.VisibleAt)
	}
	if len(r.Payload) > 0 {
		var err error
		l.Event.Body, err = db.keys.Open(r.Payload, eventPlace(l.Event.Key, l.Event.ID))
		l.Readable = err == nil
	}
	return l
}

// ErrNotDead: only dead letters are replayed and dropped; the others are on their way.
var ErrNotDead = errors.New("not a dead letter")

// ReplayLetters puts dead letters back into the inbox as if they had just come: one, or with id 0 all. It returns how many.
// install.ErrNotFound, ErrNotDead.
func (db *DB) ReplayLetters(ctx context.Context, id int64) (int64, error) {
	// They are due at once, and get a place in the queue like everything that comes back. In an ordering key they go back to their place.
	return db.changeDead(ctx, id, "state = CASE WHEN lane = '' THEN 'waiting' ELSE 'queued' END, visible_at = 0, "+
		"failures = 0, begun = 0, finished_at = 0")
}

// DropLetters gives dead letters up: their payload is erased, and only that they came is remembered for a while.
func (db *DB) DropLetters(ctx context.Context, id int64) (int64, error) {
	return db.changeDead(ctx, id, finished, []byte{}, micros(db.Now()), "")
}

func (db *DB) changeDead(ctx context.Context, id int64, set string, args ...any) (n int64, err error) {
	if id != 0 {
		l, err := db.Letter(ctx, id)
		if err != nil {
			return 0, err
		}
		if l.State != eventDead {
			return 0, ErrNotDead
		}
	}
	statement := "UPDATE inbox SET " + set + " WHERE state = 'dead'"
	if id != 0 {
		statement += " AND id = ?"
		args = append(args, id)
	}
	err = db.exec(ctx, func(g *gorm.DB) error {
		change := g.Exec(statement, args...)
		n = change.RowsAffected
		return change.Error
	})
	if err != nil {
		return 0, fault(ctx, "change dead letters", err)
	}
	return n, nil
}

// Events are sealed like connections, and walked like them.

func (r *inboxRow) name() string { return "inbox/" + r.EventID }

func (db *DB) walkEvents(ctx context.Context, visit func(*inboxRow) error) error {
	return walkRows(ctx, db.withPayloads().Where("state IN ?", []string{eventReady, eventHeld, eventWaiting, eventQueued, eventDead}).Order("id"), visit,
		func(rest *gorm.DB, last *inboxRow) *gorm.DB { return rest.Where("id > ?", last.ID) })
}

// resealEvent seals the payload of seen anew. One that no key opens is given up with erase.
func (db *DB) resealEvent(ctx context.Context, seen *inboxRow, erase bool) (changed, readable bool, err error) {
	place := eventPlace(seen.key(), seen.EventID)
	open, err := db.keys.Open(seen.Payload, place)
	if err != nil {
		if !erase {
			return false, false, nil
		}
		// Unless somebody worked it, or sealed it anew, in the meantime.
		err := db.exec(ctx, func(g *gorm.DB) error {
			return g.Exec("UPDATE inbox SET "+finished+" WHERE id = ? AND state <> 'done' AND "+db.payload()+" = ?",
				[]byte{}, micros(db.Now()), "erased: no key opens it", seen.ID, seen.Payload).Error
		})
		return false, false, err
	}
	if !db.keys.Stale(&seen.Payload) {
		return false, true, nil
	}
	box, err := db.keys.SealOn(db.Now(), open, place)
	if err != nil {
		return false, true, err
	}
	err = db.exec(ctx, func(g *gorm.DB) error {
		changed, err = db.replacePayload(g, seen.ID, seen.Payload, box) // done in the meantime, it has none any longer
		return err
	})
	return changed, true, err
}
