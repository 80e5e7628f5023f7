package tokens

// Whoever renews a pair takes a lease on it first, in its row: of any number of processes one asks Slack. A lease whose
// process died has to end by itself.

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install/connection"
)

// unreadablePause is how long a row that can't be read is not looked at again.
const unreadablePause = time.Hour

// isDue reports whether row is to be renewed, by the clock or because w asks for it.
func (w renewRequest) isDue(row *connection.TokenPair, now time.Time) bool {
	if row.RefreshToken == "" {
		// A long-lived token is due when somebody asks for it, or did before and Slack had trouble.
		return (row.Due(now) || w.exchange) && row.ExpiresAt.IsZero()
	}
	inUse := row.Ended(now.Add(lastMoments)) || w.refused != "" && w.refused == row.Token
	return row.Due(now) || inUse && !row.BacksOff(now)
}

// isInTheWay reports whether the secrets of a can't be opened, and it would be looked at again and again.
func (w renewRequest) isInTheWay(a connection.Access, now time.Time) bool {
	row := a.Pair()
	return row.Spendable() == "" && (row.Due(now) || w.exchange && a.Unreadable())
}

// claim takes the lease and returns the token pair with it, and what is known beforehand of the next pair. That it
// could be written also proves that the database takes writes at this moment. Where the store has lost what the
// journal kept, that is stored instead. errElsewhere, errCurrent.
func (kp *Keeper) claim(
	ctx context.Context, h connection.TokenOwner, w renewRequest, kept []connection.Grant,
) (claimed connection.TokenPair, next connection.Grant, err error) {
	if !kp.cfg.Renews(h.Key) {
		return claimed, next, errCurrent // what is left of another mode or app can't be renewed with our credentials
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	ctx, span := kp.cfg.Spans.Start(ctx, trace.SpanKindInternal, "claim tokens", "")
	defer span.End()

	var verdict error
	var planned time.Time // by a clock that was wrong
	var brought bool
	err = kp.Pairs.Update(ctx, h, func(a connection.Access) error {
		now, row := kp.cfg.Now(), a.Pair()
		verdict, planned = nil, time.Time{}
		free := kp.leases.isOver(h, row.LeaseUntil, now)
		next, brought = connection.NewestOf(kept, a.Row())
		if brought = brought && free; brought {
			connection.Resume(a, next, "journal", now)
			verdict = errElsewhere
			return nil
		}

		if row.Due(now) && row.Beyond(now) {
			planned = row.RenewAt
		}
		switch {
		case w.isInTheWay(a, now):
			// It makes room for the others, and writing that needs no secret.
			row.RenewAt, verdict = now.Add(unreadablePause), errCurrent
			return nil
		case row.Spendable() == "" || !w.isDue(row, now) || row.Dead():
			return errCurrent
		case !free:
			return errElsewhere
		}
		row.LeaseUntil = now.Add(connection.LeaseLife).Truncate(time.Microsecond) // as the database keeps it
		claimed = *row
		next = connection.Grant{TokenOwner: h, Origin: connection.Renewal{Spent: row.Spendable()}}.StoredIn(a)
		next.Generation++
		return nil
	})
	if err != nil {
		return claimed, next, err
	}

	if !planned.IsZero() {
		kp.cfg.Log.WarnContext(ctx, "a renewal was planned by a clock that was wrong: it is made now",
			"key", h.Key.String(), "user", h.UserID, "planned", planned)
	}
	if brought {
		kp.Delivery.Restored(ctx, next)
	}
	return claimed, next, verdict
}

// release gives a lease back unused.
func (kp *Keeper) release(ctx context.Context, h connection.TokenOwner, claimed connection.TokenPair) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	return kp.Pairs.Update(ctx, h, func(a connection.Access) error {
		row := a.Pair()
		if row.LeaseUntil.Equal(claimed.LeaseUntil) {
			row.LeaseUntil = time.Time{}
		}
		return nil
	})
}

// leaseObservation is a lease of another process and when it was first seen here.
type leaseObservation struct{ lease, first time.Time }

// mostLeases bounds the memory for leases of other processes.
const mostLeases = 10_000

// leases are those that were seen in rows.
type leases struct {
	mu   sync.Mutex
	seen map[connection.TokenOwner]leaseObservation
}

// isOver reports whether whoever took a lease can be taken for dead. The clocks of replicas differ, so the time in the
// row is only a name for the lease: it is over when this process has seen the same one for as long as a lease lives.
func (ls *leases) isOver(h connection.TokenOwner, lease, now time.Time) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if lease.IsZero() {
		delete(ls.seen, h)
		return true
	}

	o, known := ls.seen[h]
	if !known || !o.lease.Equal(lease) || o.first.After(now) {
		if len(ls.seen) > mostLeases {
			clear(ls.seen) // costs those whose owner died one more wait
		}
		ls.seen[h] = leaseObservation{lease: lease, first: now}
		return false
	}
	return now.Sub(o.first) >= connection.LeaseLife
}
