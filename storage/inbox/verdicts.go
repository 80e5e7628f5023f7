package inbox

// What became of an event that was handed out.

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// finishing is one event that waits to be done with.
type finishing struct {
	row         int64
	attempt     int
	orderingKey string
	joined      []int64 // what is done with it
	err         error
	done        chan struct{}
}

// Done is bot.Inbox's.
func (in *Inbox) Done(ctx context.Context, e bot.Delivery) error {
	f := &finishing{row: e.Row, attempt: e.Attempt, orderingKey: e.OrderingKey, joined: e.Joined,
		done: make(chan struct{})}
	select {
	case in.dones <- f:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitDones says of a batch that it is done. Whoever lost its lease changes nothing.
func (in *Inbox) commitDones(batch []*finishing) {
	ctx, cancel := context.WithTimeout(context.Background(), commitBudget)
	defer cancel()

	byAttempt := map[int][]int64{}
	done := map[int64]bool{}
	var err error
	for _, f := range batch {
		if len(f.joined) > 0 {
			err = errors.Join(err, in.finishJoined(ctx, done, f))
			continue
		}
		byAttempt[f.attempt] = append(byAttempt[f.attempt], f.row)
	}

	for attempt, rows := range byAttempt {
		slices.Sort(rows) // one order for all
		err = errors.Join(err, in.touch(ctx, done, mine, finished, []any{[]byte{}, columns.Micros(in.now()), ""}, attempt,
			rows))
	}

	var orderingKeys []string
	for _, f := range batch {
		if f.orderingKey != "" && done[f.row] {
			orderingKeys = append(orderingKeys, f.orderingKey)
		}
	}
	in.letGo(ctx, orderingKeys)
	in.giveBack(ctx)

	for _, f := range batch {
		switch {
		case done[f.row]:
		case err != nil:
			f.err = db.Fault(ctx, "finish event", err)
		default:
			f.err = bot.ErrLost
		}
		close(f.done)
	}
}

// finishJoined says of an event, and of those that its handler took in, that they are done: of all or of none, else a
// message would be answered twice, or never.
func (in *Inbox) finishJoined(ctx context.Context, done map[int64]bool, f *finishing) error {
	const finish = "UPDATE inbox SET " + finished + " WHERE id IN ? AND "
	now := columns.Micros(in.now())
	var ids []int64
	err := in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error {
		return g.Transaction(func(tx *gorm.DB) error {
			ids = nil
			err := tx.Raw(finish+"attempt = ? AND "+mine+" RETURNING id", []byte{}, now, "", []int64{f.row}, f.attempt).
				Scan(&ids).Error
			if err != nil || len(ids) == 0 {
				return err
			}
			return tx.Exec(finish+"lane = ? AND state = 'queued'", []byte{}, now, "", f.joined,
				columns.Text(f.orderingKey)).Error
		})
	})
	if err == nil && len(ids) > 0 {
		done[f.row] = true
	}
	return err
}

// Whoever was handed an event may speak of it until somebody else is, also when its lease is over: the attempt is the
// fence.
const (
	mine      = "state IN ('held', 'ready')"
	stillHeld = "state = 'held'"
)

// touch sets something in those of rows that are still in an attempt, and in a state, and notes which they were.
func (in *Inbox) touch(ctx context.Context, touched map[int64]bool, state, set string, args []any, attempt int,
	rows []int64) error {
	args = append(slices.Clone(args), padded(rows), attempt)
	var ids []int64
	err := in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error {
		ids = nil
		return g.Raw("UPDATE inbox SET "+set+" WHERE id IN ? AND attempt = ? AND "+state+" RETURNING id", args...).
			Scan(&ids).Error
	})
	if err == nil {
		for _, id := range ids {
			touched[id] = true
		}
	}
	return err
}

// one is touch for a single event. bot.ErrLost.
func (in *Inbox) one(ctx context.Context, doing string, e bot.Delivery, state, set string, args ...any) error {
	touched := map[int64]bool{}
	err := in.touch(ctx, touched, state, set, args, e.Attempt, []int64{e.Row})
	if err == nil && !touched[e.Row] {
		return bot.ErrLost
	}
	return db.Fault(ctx, doing, err)
}

// Retry is bot.Inbox's.
func (in *Inbox) Retry(ctx context.Context, e bot.Delivery, at time.Time, counts bool, why string) error {
	state, failures := eventWaiting, 0
	wait := at.Sub(in.now())
	if wait <= 0 {
		state = eventReady
	}
	if counts {
		failures = 1
	}
	err := in.one(ctx, "put event back", e, mine,
		"state = ?, visible_at = ?, failures = failures + ?, error = ?, "+outlived, state, columns.Micros(in.now().Add(wait)),
		failures, columns.Text(why))
	if err == nil && state == eventReady {
		in.lookAtAll()
	}
	return err
}

// DeadLetter is bot.Inbox's.
func (in *Inbox) DeadLetter(ctx context.Context, e bot.Delivery, why string) error {
	err := in.one(ctx, "bury event", e, mine, "state = 'dead', finished_at = ?, failures = failures + 1, error = ?",
		columns.Micros(in.now()), columns.Text(why))
	if err == nil && e.OrderingKey != "" {
		in.letGo(ctx, []string{e.OrderingKey})
	}
	return err
}

// RecordSaid is bot.Inbox's.
func (in *Inbox) RecordSaid(ctx context.Context, e bot.Delivery) error {
	said, err := json.Marshal(e.Said)
	if err != nil {
		return err
	}
	return in.one(ctx, "keep what was said", e, mine, "said = ?", columns.Text(string(said)))
}

// ExtendLease is bot.Inbox's.
func (in *Inbox) ExtendLease(ctx context.Context, held []bot.Delivery) (lost []bot.Delivery, err error) {
	byAttempt := map[int][]int64{}
	for _, e := range held {
		byAttempt[e.Attempt] = append(byAttempt[e.Attempt], e.Row)
	}
	touched := map[int64]bool{}
	for attempt, rows := range byAttempt {
		slices.Sort(rows)
		if err := in.touch(ctx, touched, stillHeld, "visible_at = ?", []any{in.leases.until(in.now())}, attempt,
			rows); err != nil {
			return nil, db.Fault(ctx, "hold events", err)
		}
	}
	for _, e := range held {
		if !touched[e.Row] {
			lost = append(lost, e)
		}
	}
	return lost, nil
}

// letGo makes the first event of each ordering key ready, unless another one of that key is on its way. That two
// processes let two of an ordering key go is kept from happening by the index inbox_turn: the one that comes second
// looks again.
func (in *Inbox) letGo(ctx context.Context, orderingKeys []string) {
	if len(orderingKeys) == 0 {
		return
	}

	slices.Sort(orderingKeys)
	orderingKeys = padded(slices.Compact(orderingKeys))
	args := make([]any, len(orderingKeys))
	for i, orderingKey := range orderingKeys {
		args[i] = columns.Text(orderingKey)
	}

	statement := "UPDATE inbox SET state = 'ready' WHERE state = 'queued' AND id IN (SELECT (SELECT q.id FROM inbox q " +
		"WHERE q.lane = l.column1 AND q.lane <> '' " +
		"AND q.state IN ('ready', 'held', 'waiting', 'queued') ORDER BY q.id LIMIT 1) FROM (VALUES (?)" +
		strings.Repeat(", (?)", len(orderingKeys)-1) + ") AS l " +
		"WHERE NOT EXISTS (SELECT 1 FROM inbox b WHERE b.lane = l.column1 AND b.lane <> '' AND b.state IN ('ready', " +
		"'held', 'waiting')))"

	for range db.MaxTries {
		err := in.pool.ExecAs(ctx, db.Working, func(g *gorm.DB) error { return g.Exec(statement, args...).Error })
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			continue
		}
		if err != nil {
			return // Run finds them
		}
		break
	}
	in.lookAtAll()
}
