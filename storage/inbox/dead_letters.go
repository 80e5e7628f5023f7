package inbox

// What an operator sees of the inbox, and does about what failed for good.

import (
	"context"
	"errors"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Letter is an event in the inbox as an operator sees it.
type Letter struct {
	ID       int64 // in the inbox
	Event    bot.Delivery
	State    string    // ready, held, waiting, queued, done, dead
	Next     time.Time // waiting: the next attempt; held: the lease ends
	Finished time.Time // done, dead
	Error    string    // of the last attempt
	Readable bool      // its payload can be opened, or there is none any more
}

// Letters returns what is in a state, the newest first, at most n; state "" is all that is not done. Without payloads.
func (t *Table) Letters(ctx context.Context, state string, n int) ([]Letter, error) {
	query := t.withPayloads().Order("id DESC").Limit(n)
	if state == "" {
		query = query.Where("state IN ?", []string{eventReady, eventHeld, eventWaiting, eventQueued, eventDead})
	} else {
		query = query.Where("state = ?", state)
	}
	return db.All(ctx, "list the inbox", query, func(row *inboxRow) Letter {
		l := t.letter(row)
		l.Event.Body = nil
		return l
	})
}

// Letter returns one event with its payload, as far as it is kept. connection.ErrNotFound.
func (t *Table) Letter(ctx context.Context, id int64) (Letter, error) {
	row, err := db.One[inboxRow](t.withPayloads().WithContext(ctx).Where("id = ?", id))
	if err != nil {
		return Letter{}, db.Fault(ctx, "read the inbox", err, connection.ErrNotFound)
	}
	return t.letter(&row), nil
}

func (t *Table) letter(r *inboxRow) Letter {
	l := Letter{ID: r.ID, Event: r.event(), State: r.State, Finished: columns.Moment(r.FinishedAt), Error: r.Error,
		Readable: true}
	if r.State == eventHeld || r.State == eventWaiting {
		l.Next = columns.Moment(r.VisibleAt)
	}
	if len(r.Payload) > 0 {
		var err error
		l.Event.Body, err = t.keys.Open(r.Payload, eventPlace(l.Event.Key, l.Event.ID))
		l.Readable = err == nil
	}
	return l
}

// ErrNotDead: only dead letters are replayed and dropped; the others are on their way.
var ErrNotDead = errors.New("not a dead letter")

// ReplayLetters puts dead letters back into the inbox as if they had just come: one, or with id 0 all. It returns how
// many. connection.ErrNotFound, ErrNotDead.
func (t *Table) ReplayLetters(ctx context.Context, id int64) (int64, error) {
	return t.changeDead(ctx, id, replayed)
}

// replayed: they are due at once, and get a place in the queue like everything that comes back. In an ordering key they
// go back to their place.
const replayed = "state = CASE WHEN lane = '' THEN 'waiting' ELSE 'queued' END, visible_at = 0, failures = 0, " +
	"begun = 0, finished_at = 0"

// DropLetters gives dead letters up: their payload is erased, and only that they came is remembered for a while.
func (t *Table) DropLetters(ctx context.Context, id int64) (int64, error) {
	return t.changeDead(ctx, id, finished, []byte{}, columns.Micros(t.pool.Now()), "")
}

func (t *Table) changeDead(ctx context.Context, id int64, set string, args ...any) (n int64, err error) {
	statement := "UPDATE inbox SET " + set + " WHERE state = 'dead'"
	if id != 0 {
		l, err := t.Letter(ctx, id)
		if err != nil {
			return 0, err
		}
		if l.State != eventDead {
			return 0, ErrNotDead
		}
		statement += " AND id = ?"
		args = append(args, id)
	}

	n, err = t.pool.Change(ctx, statement, args...)
	return n, db.Fault(ctx, "change dead letters", err)
}
