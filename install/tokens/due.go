package tokens

// Renewals in the background: ahead of the end, a few at a time, within the budget that all replicas share.

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	renewWorkers = 8
	dueAtOnce    = 64
)

// DueStore lists what there is to renew, of one app, or of all when app is "".
type DueStore interface {
	// Due returns token pairs whose RenewAt has come and that nobody holds a lease on, the most urgent first, at most n.
	// Also those with a RenewAt or a lease that only a broken clock can have written.
	Due(ctx context.Context, app string, now time.Time, n int) ([]connection.TokenOwner, error)
	// Leased returns token pairs whose RenewAt has come and that somebody holds a lease on, with its end, at most n
	// bots' and n people's. It looks through all that is due, so it is for when that is little.
	Leased(ctx context.Context, app string, now time.Time, n int) (map[connection.TokenOwner]time.Time, error)
	// LongLived returns bot token pairs that have a token, no refresh token and no RenewAt, at most n: those that
	// could be moved to rotation. Removed and paused connections are left out.
	LongLived(ctx context.Context, app string, n int) ([]connection.TokenOwner, error)
}

// RenewDue renews what is due, and with MoveToRotation exchanges what is long-lived, within the budget that all
// replicas share. It returns how many renewals of its own it finished.
func (kp *Keeper) RenewDue(ctx context.Context) (int, error) {
	n, err := kp.renewAll(ctx, renewRequest{budget: Renewals}, func() ([]connection.TokenOwner, error) {
		due, err := kp.store.Due(ctx, kp.cfg.AppID, kp.cfg.Now(), dueAtOnce)
		if err == nil && len(due) < dueAtOnce {
			err = kp.watchLeases(ctx)
		}
		return due, err
	})
	if err != nil || !kp.cfg.MoveToRotation {
		return n, err
	}

	m, err := kp.renewAll(ctx, renewRequest{budget: exchanges, exchange: true}, func() ([]connection.TokenOwner, error) {
		return kp.store.LongLived(ctx, kp.cfg.AppID, dueAtOnce)
	})
	return n + m, err
}

// watchLeases looks at the leases of other processes, so that one whose holder died is known to be over when its row
// is due again, and doesn't have to be watched for as long then.
func (kp *Keeper) watchLeases(ctx context.Context) error {
	now := kp.cfg.Now()
	leased, err := kp.store.Leased(ctx, kp.cfg.AppID, now, dueAtOnce)
	for h, lease := range leased {
		kp.leases.isOver(h, lease, now)
	}
	return err
}

// renewAll renews what next lists, a few at a time, until there is no more, the budget is spent, or nothing of it
// could be done. It returns how many it renewed.
func (kp *Keeper) renewAll(
	ctx context.Context, w renewRequest, next func() ([]connection.TokenOwner, error),
) (total int, err error) {
	for ctx.Err() == nil {
		due, err := next()
		if err != nil || len(due) == 0 {
			return total, err
		}

		// Every replica reads the same list; in another order each, they seldom meet.
		rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })

		var group errgroup.Group
		group.SetLimit(renewWorkers)
		var done atomic.Int64
		var spent atomic.Bool
		for _, h := range due {
			if ctx.Err() != nil || spent.Load() {
				break
			}
			group.Go(func() error {
				switch err := kp.renew(ctx, h, w); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, ErrSpent):
					spent.Store(true)
				}
				return nil
			})
		}

		_ = group.Wait()
		total += int(done.Load())
		if done.Load() == 0 || spent.Load() || len(due) < dueAtOnce {
			return total, nil
		}
	}
	return total, nil
}
