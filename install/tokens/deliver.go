package tokens

// What is in the journal is tried again until the store has it, and read again when the program starts. This file
// brings it home: of a renewal, if the row still holds what was spent for it. Of a consent, if it is the one in
// force. What is home stays on the disk: reconcile.go is about that.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// What becomes of a pair in the journal: the store has it, or there is nobody who could use it. Any other word is for
// the log.
const (
	FateStored  = "stored"
	FateNobodys = "nobody's"
)

var (
	// ErrUnasked says that Slack didn't answer, so nothing was decided.
	ErrUnasked = errors.New("slack could not be asked about tokens in the journal")
	// ErrUndecided says that it is still to be found out which of two consents is the one in force.
	ErrUndecided = errors.New("which of two consents came last is found out by a renewal")

	errUnreadable = errors.New("the stored access cannot be read with the keys at hand")
)

const (
	// ConsentBudget is how long a callback has for a consent. Until then nobody else stores what it brought.
	ConsentBudget = 25 * time.Second

	// An entry of the journal that can't be opened keeps its owner's refresh token from being spent for this long: the key
	// can come back, and then the token is found to be spent already.
	unopenedPatience = time.Hour
)

// Delivery brings home what is in the journal.
type Delivery struct {
	cfg     *Config
	journal *Journal
	pairs   *Pairs
}

// Bring stores a pair if it is the one that counts, and then keeps the journal's copy for the day on which the store
// loses it. When the pair counts no longer it forgets that. ErrUnasked and ErrUndecided leave it where it is.
func (d *Delivery) Bring(ctx context.Context, p connection.Grant) error {
	bring := d.cfg.Consents
	if _, isRenewal := p.Origin.(connection.Renewal); isRenewal && p.Standing == connection.Waiting {
		bring = d.bringRenewal
	}
	stored, fate, err := bring(ctx, p)
	if errors.Is(err, connection.ErrNotFound) {
		fate, err = FateNobodys, nil // swept, or the person's token was erased
	}
	if err != nil {
		return fmt.Errorf("store new tokens: %w", err)
	}

	d.cfg.Log.DebugContext(ctx, "new tokens", "key", p.Key.String(), "user", p.UserID, "fate", fate)
	d.journal.NotPending(p.Token)
	if fate == FateStored {
		stored.Journaled = p.Journaled
		d.journal.Settle(ctx, stored, connection.Kept)
	} else {
		d.journal.forget(ctx, p.Journaled)
	}
	return nil
}

// bringSoon is Bring with as much time as one pair gets.
func (d *Delivery) bringSoon(ctx context.Context, p connection.Grant) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	return d.Bring(ctx, p)
}

// bringRenewal stores what was bought with the token that the row holds, or with a successor of it that the store has
// lost.
func (d *Delivery) bringRenewal(
	ctx context.Context, p connection.Grant,
) (stored connection.Grant, fate string, err error) {
	err = d.pairs.Update(ctx, p.TokenOwner, func(a connection.Access) error {
		row := a.Pair()
		switch {
		case a.Unreadable():
			return errUnreadable // what was spent can't be compared until the key is back
		case row.Token == p.Token: // it was stored, and the journal not told
		case row.Spendable() == p.Spent(), p.Continues(a.Row()):
			connection.Resume(a, p, "", p.At)
		default:
			fate = "superseded" // a re-install, a removal, or another process came first
			return nil
		}
		stored, fate = p.StoredIn(a), FateStored
		return nil
	})
	return stored, fate, err
}

// Offer gives the store what it has lost, unless somebody is asking Slack about the token pair at the moment.
func (d *Delivery) Offer(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	err = d.pairs.Update(ctx, p.TokenOwner, func(a connection.Access) error {
		if !p.Continues(a.Row()) {
			stored, fate = p, "superseded"
			return nil
		}
		if left := a.Pair().LeaseUntil.Sub(d.cfg.Now()); left > 0 && left <= connection.LongestLease {
			return ErrUndecided
		}
		connection.Resume(a, p, "journal", d.cfg.Now())
		stored, fate = p.StoredIn(a), FateStored
		return nil
	})
	if err == nil && fate == FateStored {
		d.Restored(ctx, p)
	}
	return stored, fate, err
}

// Restored tells the operator that the store had lost something.
func (d *Delivery) Restored(ctx context.Context, p connection.Grant) {
	d.cfg.Observer.Restored()
	d.cfg.Log.WarnContext(ctx, "the database had lost tokens that the journal of this machine kept: brought back",
		"key", p.Key.String(), "user", p.UserID, "generation", p.Generation)
}

// bringFor brings home what waits in the journal of this machine for h. waiting: there was something, so what was read
// of the row before must not be spent. kept is what the journal has for the day on which the store lost it.
func (d *Delivery) bringFor(
	ctx context.Context, h connection.TokenOwner,
) (waiting bool, kept []connection.Grant, err error) {
	entries, err := d.journal.disk.JournaledFor(h)
	if err != nil {
		return false, nil, fmt.Errorf("read journal: %w", err)
	}

	for _, p := range append(entries, d.journal.pendingGrants()...) {
		switch {
		case p.TokenOwner != h && !connection.SameOwner(p.TokenOwner, h):
			continue
		case p.Standing != connection.Waiting:
			kept = append(kept, p)
			continue
		case d.journal.isDecided(p.Journaled):
			continue
		case d.isUnderWay(p):
			waiting = true
			continue
		case !p.Opened(): // Replay tells the operator
			waiting = waiting || d.cfg.Now().Sub(p.At) < unopenedPatience
			continue
		}
		brought := d.bringSoon(ctx, p)
		if errors.Is(brought, ErrUndecided) {
			continue // a renewal of what is in the row will tell
		}
		waiting, err = true, errors.Join(err, brought)
	}
	return waiting, kept, err
}

// isUnderWay reports whether p is of a consent that its callback is about to store: doing it twice would count it
// twice.
func (d *Delivery) isUnderWay(p connection.Grant) bool {
	age := d.cfg.Now().Sub(p.At)
	return p.Origin == connection.Consent{} && age >= 0 && age < ConsentBudget
}

// bringAll stores what waits in the journal of this machine. It returns how many entries are left and why, not
// counting those that a callback is about to store. tried: each of them was.
func (d *Delivery) bringAll(ctx context.Context) (left int, tried bool, err error) {
	entries, err := d.journal.disk.Journaled()
	if err != nil {
		return 0, false, fmt.Errorf("read journal: %w", err)
	}
	entries = append(entries, d.journal.pendingGrants()...)
	d.cfg.Observer.Waiting(len(entries))

	undone := d.journal.undone()
	for entry, do := range undone {
		left++
		d.journal.conclude(ctx, entry, do)
	}

	for i, p := range entries {
		switch {
		case undone[p.Journaled] != nil, d.isUnderWay(p):
			continue
		case !p.Opened():
			left++
			err = errors.Join(err, fmt.Errorf("journal entry %s cannot be opened with the keys at hand", p.Journaled))
			continue
		}
		failed := d.bringSoon(ctx, p)
		if failed == nil {
			continue
		}
		left++
		err = errors.Join(err, failed)
		if !errors.Is(failed, errUnreadable) && !errors.Is(failed, ErrUnasked) && !errors.Is(failed, ErrUndecided) {
			return left + len(entries) - i - 1, false, err // the store is down: the others would fail like this one
		}
	}
	d.cfg.Observer.Waiting(left)
	return left, true, err
}
