package tokens

// Whoever works with a connection gets a token that works now. Nobody waits for a renewal as long as the old one lives.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Good returns c with a token that can be used now, renewing it first if it has ended, and waiting for whoever does
// so. The old token is handed out as long as it lives. connection.ErrNotConnected where nothing but a person's
// consent helps, connection.ErrRenewing where ctx ended before, or Slack has trouble.
func (kp *Keeper) Good(ctx context.Context, c connection.Connection) (connection.Connection, error) {
	err := kp.good(ctx, connection.TokenOwner{Key: c.Key}, c.TokenPair, func() (connection.TokenPair, error) {
		fresh, err := kp.Pairs.store.Get(ctx, c.ID)
		if err == nil {
			c = fresh
		}
		return c.TokenPair, err
	})
	return c, err
}

// GoodUser is Good for a person's token.
func (kp *Keeper) GoodUser(ctx context.Context, u connection.UserToken) (connection.UserToken, error) {
	err := kp.good(ctx, u.TokenOwner, u.TokenPair, func() (connection.TokenPair, error) {
		fresh, err := kp.Pairs.store.GetUser(ctx, u.TokenOwner)
		if err == nil {
			u = fresh
		}
		return u.TokenPair, err
	})
	return u, err
}

// good is Good for either kind of token pair. reread looks at the row again.
func (kp *Keeper) good(
	ctx context.Context, h connection.TokenOwner, pair connection.TokenPair, reread func() (connection.TokenPair, error),
) error {
	const look = 100 * time.Millisecond // how often somebody who waits for another process, or for the budget, looks
	for {
		now := kp.cfg.Now()
		if !pair.Ended(now.Add(lastMoments)) {
			return nil
		}

		err := kp.renewEnding(ctx, h, pair, now)
		switch {
		case err != nil && !pair.Ended(now):
			return nil // it works for some seconds more, and is being renewed or reported meanwhile
		case isWaiting(err):
			if err := pause(ctx, look); err != nil {
				return fmt.Errorf("%w: %w", connection.ErrRenewing, err)
			}
		case err != nil:
			return err
		}

		if pair, err = reread(); err != nil {
			return fmt.Errorf("open connection: %w", err)
		}
		if pair.Token == "" {
			return connection.ErrNotConnected
		}
	}
}

// renewEnding renews a pair that somebody waits for. What isWaiting is worth another look. All else is for the caller.
func (kp *Keeper) renewEnding(
	ctx context.Context, h connection.TokenOwner, pair connection.TokenPair, now time.Time,
) error {
	switch {
	case pair.Ended(now) && pair.BacksOff(now):
		return connection.ErrRenewing // asking Slack for each request would not help it
	case pair.RefreshToken == "" || pair.Dead():
		return connection.ErrNotConnected // nothing but a person helps
	}
	err := kp.renew(ctx, h, renewRequest{budget: RenewalsInUse})
	if err == nil || isWaiting(err) || errors.Is(err, connection.ErrRenewing) {
		return err
	}
	return fmt.Errorf("%w: %w", connection.ErrRenewing, err)
}

// isWaiting reports whether a renewal didn't happen because of other processes, which might have it by now.
func isWaiting(err error) bool {
	return errors.Is(err, errElsewhere) || errors.Is(err, errCurrent) || errors.Is(err, ErrSpent)
}
