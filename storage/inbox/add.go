package inbox

// Slack is told that an event is kept once it is committed, and who comes together shares a commit.

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// adding is one event that waits for its insert.
type adding struct {
	event bot.Delivery // a copy: the caller may have left
	take  bool
	box   []byte
	fresh bool
	err   error
	done  chan struct{}
	// fate is decided once: by the caller who leaves, or by the commit that has its answer.
	fate atomic.Int32
}

const (
	fateLeft = iota + 1
	fateAnswered
)

// place is what an event's payload is bound to.
func eventPlace(k connection.Key, id string) seal.Place {
	return seal.Place{Column: "inbox.payload/" + id, App: k.AppID, Enterprise: k.EnterpriseID, Team: k.TeamID}
}

// Add is bot.Inbox's.
func (in *Inbox) Add(ctx context.Context, e *bot.Delivery, take bool) (fresh bool, err error) {
	if !columns.StorableKey(e.Key) || !columns.Storable(e.ID) || e.ID == "" {
		return false, errors.New("add event: its id or key is not valid text")
	}
	a := &adding{event: *e, take: take && e.OrderingKey == "", done: make(chan struct{})}
	if in.bytes.Load() > mostBytes {
		return false, bot.ErrInboxFull
	}

	if a.box, err = in.table.keys.SealOn(in.now(), e.Body, eventPlace(e.Key, e.ID)); err != nil {
		return false, fmt.Errorf("add event: %w", err)
	}

	select {
	case in.adds <- a:
		in.bytes.Add(int64(len(a.box)))
	default:
		return false, bot.ErrInboxFull
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		if a.fate.CompareAndSwap(0, fateLeft) {
			return false, fmt.Errorf("add event: %w", ctx.Err()) // it may be kept or not
		}
		<-a.done
	}
	e.Row, e.Attempt = a.event.Row, a.event.Attempt
	return a.fresh, a.err
}

// group commits what comes through a channel, one commit at a time: who comes meanwhile shares the next one, and linger
// is how long the first one waits for others. The size is a power of two, so that there are few different statements;
// who is left over goes first the next time.
func group[T any](in *Inbox, from <-chan T, linger time.Duration, size func(T) int, commit func([]T)) {
	var pending []T
	for {
		if len(pending) == 0 && linger > 0 {
			select {
			case first := <-from:
				pending = append(pending, first)
				time.Sleep(linger) // too short to be woken from by a stop
			case <-in.stop:
			}
		}

		if len(pending) == 0 {
			select {
			case first := <-from:
				pending = append(pending, first)
			case <-in.stop:
				select {
				case first := <-from: // came before the stop
					pending = append(pending, first)
				default:
					return
				}
			}
		}

	waiting:
		for len(pending) < atOnce {
			select {
			case next := <-from:
				pending = append(pending, next)
			default:
				break waiting
			}
		}

		fits, bytes := 1, size(pending[0])
		for fits < len(pending) && bytes+size(pending[fits]) <= bytesAtOnce {
			bytes += size(pending[fits])
			fits++
		}
		n := 1 << (bits.Len(uint(fits)) - 1)
		commit(slices.Clone(pending[:n]))
		pending = slices.Delete(pending, 0, n)
	}
}

// insertEvent is one row of the insert. Who comes second with an id changes nothing, whatever became of the first.
const (
	insertEvents = "INSERT INTO inbox (app_id, event_id, enterprise_id, team_id, kind, type, lane, state, tag, " +
		"visible_at, attempt, begun, failures, received_at, finished_at, said, error, payload, trace) VALUES "
	insertEvent = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, '', '', ?, ?)"
	// Nearly all batches are of one of these kinds alone. What their rows have in common stands in the statement: a third
	// of the values of a row would otherwise be nothing but that.
	insertReady = "(?, ?, ?, ?, 'events_api', ?, '', 'ready', ?, 0, 0, 0, 0, ?, 0, '', '', ?, '')"
	insertTaken = "(?, ?, ?, ?, 'events_api', ?, '', 'held', ?, ?, 1, 1, 0, ?, 0, '', '', ?, '')"
	insertOnce  = " ON CONFLICT (app_id, event_id) DO NOTHING RETURNING id, app_id, event_id"
)

// eventName is what the database knows an event by.
type eventName struct{ app, id string }

func (a *adding) name() eventName { return eventName{a.event.Key.AppID, a.event.ID} }

// inOneOrder brings a batch into one order in all processes, so that two inserts of the same events do not wait for
// each other. Rows are numbered in that order, so the events of one ordering key keep theirs.
func inOneOrder(batch []*adding) {
	queues := map[string][]*adding{}
	for _, a := range batch {
		if a.event.OrderingKey != "" {
			queues[a.event.OrderingKey] = append(queues[a.event.OrderingKey], a)
		}
	}
	slices.SortStableFunc(batch, func(a, b *adding) int {
		return cmp.Or(strings.Compare(a.event.Key.AppID, b.event.Key.AppID), strings.Compare(a.event.ID, b.event.ID))
	})
	for i, a := range batch {
		if rest := queues[a.event.OrderingKey]; len(rest) > 0 {
			batch[i], queues[a.event.OrderingKey] = rest[0], rest[1:]
		}
	}
}

// commitAdds inserts a batch and answers its callers.
func (in *Inbox) commitAdds(batch []*adding) {
	// Who left was told that it is not kept, or may not be; so it had better not be.
	batch = slices.DeleteFunc(batch, func(a *adding) bool { return a.fate.Load() == fateLeft })
	if len(batch) == 0 {
		return
	}
	inOneOrder(batch)
	ctx, cancel := context.WithTimeout(context.Background(), commitBudget)
	defer cancel()
	rows, err := in.insert(ctx, batch)
	if err != nil && len(batch) > 1 && refusedRow(err) {
		for i := range batch { // the others are not to suffer for one that the database does not take
			in.commitAdds(batch[i : i+1])
		}
		return
	}
	if err != nil {
		err = db.Fault(ctx, "add event", err)
	}

	wake := false
	var orderingKeys []string
	var orphans []int64 // taken by somebody who left meanwhile
	for _, a := range batch {
		if left := a.answer(rows, err); left && a.take {
			orphans = append(orphans, a.event.Row)
		}
		switch {
		case !a.fresh:
		case a.event.OrderingKey != "":
			orderingKeys = append(orderingKeys, a.event.OrderingKey)
		case !a.take:
			wake = true
		}
	}

	if len(orphans) > 0 { // if this fails, their lease runs out
		_ = in.touch(ctx, map[int64]bool{}, stillHeld, "state = 'ready', begun = 0", nil, 1, orphans)
		in.lookAtAll()
	}
	if wake {
		in.Wake()
	}
	in.letGo(ctx, orderingKeys)
}

// answer tells the caller of a whether it is kept. rows are the new ones. left: the caller is gone, and a row is new.
func (a *adding) answer(rows map[eventName]int64, err error) (left bool) {
	if a.err = err; err == nil {
		var row int64
		row, a.fresh = rows[a.name()]
		delete(rows, a.name()) // of the same event twice in a batch one is fresh
		if a.fresh {
			a.event.Row = row
		}
		if a.fresh && a.take {
			a.event.Attempt = 1
		}
	}
	left = !a.fate.CompareAndSwap(0, fateAnswered) && a.fresh
	close(a.done)
	return left
}

// refusedRow reports whether the database took offence at what is in a row, as against being away.
func refusedRow(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23"))
}

func (in *Inbox) insert(ctx context.Context, batch []*adding) (rows map[eventName]int64, err error) {
	lease := in.leases.until(in.now())
	statement, args := in.insertion(batch, lease)
	insert := func(g *gorm.DB) error {
		rows = make(map[eventName]int64, len(batch))
		return each(g, statement, args, func(r *sql.Rows) error {
			var id int64
			var name eventName
			err := r.Scan(&id, &name.app, &name.id)
			rows[name] = id
			return err
		})
	}

	err = in.pool.ExecAs(ctx, db.Acknowledging, func(g *gorm.DB) error {
		if !in.table.apart() {
			return insert(g)
		}
		return g.Transaction(func(tx *gorm.DB) error {
			if err := insert(tx); err != nil {
				return err
			}
			return insertPayloads(tx, rows, batch)
		})
	})
	if err != nil && slices.ContainsFunc(batch, func(a *adding) bool { return a.take }) {
		in.leases.unheardOf(lease, err)
	}
	return rows, err
}

// insertion is the statement that inserts a batch, and what is handed out by it has a lease.
func (in *Inbox) insertion(batch []*adding, lease int64) (string, []any) {
	args := make([]any, 0, len(batch)*15)
	row := rowOf(batch)
	for _, a := range batch {
		e, box, waits := a.event, a.box, in.events
		if e.Kind == kindTimer {
			waits = in.timers
		}
		tag := waits.place(e.Key, a.take)
		if in.table.apart() {
			box = []byte{}
		}

		switch row {
		case insertReady:
			args = append(args, e.Key.AppID, e.ID, e.Key.EnterpriseID, e.Key.TeamID, columns.Text(e.Type), tag,
				columns.Micros(e.Received), box)
			continue
		case insertTaken:
			args = append(args, e.Key.AppID, e.ID, e.Key.EnterpriseID, e.Key.TeamID, columns.Text(e.Type), tag, lease,
				columns.Micros(e.Received), box)
			continue
		}

		state, until, attempt := eventReady, int64(0), 0
		switch {
		case a.event.OrderingKey != "":
			state = eventQueued
		case a.take:
			state, until, attempt = eventHeld, lease, 1
		}
		args = append(args, e.Key.AppID, e.ID, e.Key.EnterpriseID, e.Key.TeamID, columns.Text(e.Kind), columns.Text(e.Type),
			columns.Text(e.OrderingKey), state,
			tag, until, attempt, attempt, columns.Micros(e.Received), box,
			columns.Text(e.Trace)) // what is taken is begun
	}
	return insertEvents + row + strings.Repeat(", "+row, len(batch)-1) + insertOnce, args
}

// rowOf is how the rows of a batch are written.
func rowOf(batch []*adding) string {
	for _, a := range batch {
		if a.event.Kind != "events_api" || a.event.OrderingKey != "" || a.event.Trace != "" || a.take != batch[0].take {
			return insertEvent
		}
	}
	if batch[0].take {
		return insertTaken
	}
	return insertReady
}

// each runs a statement and calls scan for each row it returns.
func each(g *gorm.DB, statement string, args []any, scan func(*sql.Rows) error) error {
	rows, err := g.Raw(statement, args...).Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
