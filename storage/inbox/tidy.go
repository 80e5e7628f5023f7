package inbox

// What nobody waits for: old rows, times that only a broken clock can have written, conversations that stand still.

import (
	"context"
	"errors"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
)

// Run keeps the inbox tidy until ctx ends: it forgets what is done after bot.DedupeFor, and dead letters after their
// time, and finds conversations that stand still.
func (in *Inbox) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		_ = in.tidier.tidy(ctx) // the database being away is told by others; here there is always a next time
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tidier is what Run does now and then. It is used by one goroutine.
type tidier struct {
	in       *Inbox
	searched time.Time     // for messages that nobody answers for
	stepped  time.Duration // the steps of the clock that what waits was told of
}

// tidy does it once.
func (t *tidier) tidy(ctx context.Context) error {
	err := errors.Join(t.in.catchUp(ctx), t.afterStep(ctx), t.disbelieve(ctx)) // catching up also where nothing is claimed
	if t.in.clock.Calm() {
		err = errors.Join(err, t.sweep(ctx))
	}
	err = errors.Join(err, t.eraseLeftOver(ctx), t.letAllGo(ctx))
	t.in.giveBack(ctx)
	return err
}

// afterStep brings forward what waits for its next attempt when the clock was set back: it waits no longer than it was
// to. Where several processes do that, it comes early.
func (t *tidier) afterStep(ctx context.Context) error {
	total := t.in.clock.SteppedBy()
	if back := t.stepped - total; back > 0 {
		_, err := t.in.pool.Change(ctx, "UPDATE inbox SET visible_at = CASE WHEN visible_at - @back > @now THEN visible_at "+
			"- @back ELSE @now END "+
			"WHERE state IN ('held', 'waiting') AND state = 'waiting' AND visible_at > @now",
			map[string]any{"back": back.Microseconds(), "now": columns.Micros(t.in.now())})
		if err != nil {
			return err
		}
	}
	t.stepped = total
	return nil
}

// disbelieve makes due what is put off, or held, for longer than anything is.
func (t *tidier) disbelieve(ctx context.Context) error {
	now := t.in.now()
	const broken = "state IN ('held', 'waiting') AND visible_at > @hold AND (state = 'held' OR visible_at > @wait)"
	bounds := map[string]any{"now": columns.Micros(now), "hold": columns.Micros(now.Add(longestHold)),
		"wait": columns.Micros(now.Add(longestWait))}
	var some []int64
	err := t.in.pool.Read.WithContext(ctx).Raw("SELECT id FROM inbox WHERE "+broken+" LIMIT 1", bounds).Scan(&some).Error
	if err != nil || len(some) == 0 {
		return err
	}
	n, err := t.in.pool.Change(ctx, "UPDATE inbox SET visible_at = @now WHERE "+broken, bounds)
	if err == nil && n > 0 {
		t.in.pool.Log().WarnContext(ctx, "events were put off, or held, by a clock that was wrong: they are due now",
			"events", n)
	}
	return err
}

// sweep deletes what is kept no longer, in steps. Rows lie in the order of their arrival, so the first that is done
// tells whether there is anything to do.
func (t *tidier) sweep(ctx context.Context) error {
	now := t.in.now()
	known := columns.Micros(t.in.clock.Spared(now.Add(-bot.DedupeFor)))
	dead := columns.Micros(t.in.clock.Spared(now.Add(-max(t.in.keep, bot.DedupeFor))))
	future := columns.Micros(now.Add(longestAhead))

	for ctx.Err() == nil {
		var first []struct{ ID, ReceivedAt int64 }
		if err := t.in.pool.Read.WithContext(ctx).Raw("SELECT id, received_at FROM inbox WHERE state = 'done' ORDER BY id " +
			"LIMIT 1").Scan(&first).Error; err != nil {
			return err
		}

		if len(first) > 0 && first[0].ReceivedAt > future { // nothing behind it would ever be swept
			if err := t.receivedNow(ctx, first[0].ID, now); err != nil {
				return err
			}
			break
		}
		if len(first) == 0 || first[0].ReceivedAt >= known {
			break
		}

		n, err := t.in.pool.Change(ctx, "DELETE FROM inbox WHERE state = 'done' AND received_at < ? AND id >= ? AND id < ?",
			known, first[0].ID, first[0].ID+pruneAtOnce)
		if err != nil || n == 0 {
			return err
		}
	}

	_, err := t.in.pool.Change(ctx, "UPDATE inbox SET finished_at = ? WHERE state = 'dead' AND finished_at > ?",
		columns.Micros(now), future)
	if err == nil {
		_, err = t.in.pool.Change(ctx, "DELETE FROM inbox WHERE state = 'dead' AND finished_at < ?", dead)
	}
	return err
}

// receivedNow gives those of a step of the sweep that have not come yet the time of now: they are kept as long as they
// have to be.
func (t *tidier) receivedNow(ctx context.Context, from int64, now time.Time) error {
	t.in.pool.Log().WarnContext(ctx, "events are known since later than now, by a clock that was wrong: "+
		"they are kept as if they came now")
	_, err := t.in.pool.Change(ctx, "UPDATE inbox SET received_at = ? WHERE state = 'done' AND received_at > ? AND id "+
		">= ? AND id < ?",
		columns.Micros(now), columns.Micros(now.Add(longestAhead)), from, from+pruneAtOnce)
	return err
}

// takeUpTimers makes due what the release before gave up, which knows no timers: after four attempts, where this one
// ends after eight.
func (t *tidier) takeUpTimers(ctx context.Context) error {
	n, err := t.in.pool.Change(ctx, "UPDATE inbox SET state = 'waiting', visible_at = 0, failures = 0, begun = 0, "+
		"finished_at = 0 WHERE state = 'dead' AND kind = ? AND failures = 4 AND error LIKE 'there is no handler %'",
		kindTimer)
	if n > 0 {
		t.in.pool.Log().InfoContext(ctx, "timers that the release before gave up are taken up again", "timers", n)
	}
	return err
}

// letAllGo looks for ordering keys whose first event waits for nobody: a process died between two statements.
func (t *tidier) letAllGo(ctx context.Context) error {
	var orderingKeys []string
	if err := t.in.pool.Read.WithContext(ctx).Raw("SELECT DISTINCT lane FROM inbox q WHERE lane <> '' AND state IN " +
		"('ready', 'held', 'waiting', 'queued') AND state = 'queued' " +
		"AND NOT EXISTS (SELECT 1 FROM inbox b WHERE b.lane = q.lane AND b.lane <> '' AND b.state IN ('ready', 'held', " +
		"'waiting')) LIMIT 128").Scan(&orderingKeys).Error; err != nil {
		return err
	}
	t.in.letGo(ctx, orderingKeys)
	return nil
}
