package watch

// A pause is the operator's word for one workspace: nothing of the app runs there until the operator takes it back,
// whatever Slack says of its token and whoever reconnects meanwhile. Only removing the app ends it.

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/switchboard-go/switchboard/install/connection"
)

var (
	// ErrNotPaused says that there is no pause to end.
	ErrNotPaused = errors.New("not paused")
	// ErrBroken says that a connection needs reconnecting: nothing runs there that could be paused.
	ErrBroken = errors.New("it needs reconnecting")
)

// Pause has the app do nothing in the workspace of exactly k until Resume. Every process notices with the next thing that
// Slack sends. Events that come meanwhile are acknowledged and not handled, timers wait, and tokens stay as they are.
// A second pause changes nothing. connection.ErrNotConnected, ErrBroken, or the store's trouble.
func (cs *Connections) Pause(ctx context.Context, k connection.Key, by connection.Actor) (connection.Connection, error) {
	c, err := cs.store.Update(ctx, k, func(row *connection.Connection) error {
		switch row.State {
		case connection.Removed:
			return connection.ErrNotConnected
		case connection.ReconnectRequired:
			return ErrBroken
		case connection.Paused:
			return errNothingToDo
		}

		now := cs.cfg.Now()
		row.SetState(connection.Paused, connection.ReasonNone, now)
		row.Note(connection.Change{At: now, By: by, What: connection.DidPause, Outcome: connection.OutcomeDone})
		return nil
	})
	if errors.Is(err, errNothingToDo) {
		c, err = cs.store.Lookup(ctx, k)
	}
	if err != nil {
		return c, fmt.Errorf("pause: %w", err)
	}
	return c, nil
}

// Resume ends a pause. What the connection is like now is to be found out (Check): its token may have run out, or been
// refused, during the pause. ErrNotPaused, or the store's trouble.
func (cs *Connections) Resume(ctx context.Context, k connection.Key, by connection.Actor) (connection.Connection, error) {
	c, err := cs.store.Update(ctx, k, func(row *connection.Connection) error {
		if row.State != connection.Paused {
			return ErrNotPaused
		}

		now := cs.cfg.Now()
		switch {
		case row.Token == "": // gone meanwhile, or sealed with a key that isn't here: then it stays as it is
			row.SetState(connection.ReconnectRequired, cmp.Or(row.Reason, connection.ReasonUnreadable), now)
		case row.Dead():
			row.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, now)
		default:
			row.SetState(connection.Active, connection.ReasonNone, now)
		}
		row.CheckAt = now
		row.Note(connection.Change{At: now, By: by, What: connection.DidResume, Outcome: connection.OutcomeDone})
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("resume: %w", err)
	}
	return c, nil
}
