package tokens

// What Slack hands out it hands out once. So it goes on this machine's disk before the store is tried, is tried again until
// the store has it, and is read again when the program starts. This file brings it home: of a renewal, if the row still holds
// what was spent for it; of a consent, if it is the one in force. What is home stays on the disk; kept.go is about
// that.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// keep brings the pair of a renewal home: onto the disk, into the store.
func (kp *Keeper) keep(ctx context.Context, p connection.Grant) error {
	kp.Journal(ctx, &p)
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	return kp.Bring(ctx, p)
}

// Journal writes p to the disk. What the disk doesn't take, because it is full or gone, is held in memory until the
// store has it.
func (kp *Keeper) Journal(ctx context.Context, p *connection.Grant) {
	name, err := kp.store.Journal(*p)
	if err == nil {
		p.Journaled = name
		return
	}
	kp.log.ErrorContext(ctx, "new tokens are not in the journal: killing this process now would lose them", "key", p.Key.String(), "cause", err)
	kp.mu.Lock()
	kp.pending[p.Token] = *p
	kp.mu.Unlock()
}

// Bring stores a pair if it is the one that counts, and then keeps the journal's copy for the day on which the store
// loses it; or forgets that when the pair counts no longer.
func (kp *Keeper) Bring(ctx context.Context, p connection.Grant) error {
	var stored connection.Grant
	var fate string
	var err error
	isRenewal := p.Spent != "" && p.Standing == connection.Waiting
	switch {
	case isRenewal:
		stored, fate, err = kp.bringRenewal(ctx, p)
	default:
		stored, fate, err = kp.cfg.Consents(ctx, p)
	}
	if errors.Is(err, connection.ErrNotFound) {
		fate, err = FateNobodys, nil // swept, or the person's token was erased
	}
	if err != nil {
		return fmt.Errorf("store new tokens: %w", err)
	}

	kp.log.DebugContext(ctx, "new tokens", "key", p.Key.String(), "user", p.UserID, "fate", fate)
	kp.mu.Lock()
	delete(kp.pending, p.Token)
	kp.mu.Unlock()
	if fate == FateStored {
		stored.Journaled = p.Journaled
		kp.Settle(ctx, stored, connection.Kept)
	} else {
		kp.forget(ctx, p.Journaled)
	}
	return nil
}

// What becomes of a pair in the journal: the store has it, or there is nobody who could use it. Any other word is for the log.
const (
	FateStored  = "stored"
	FateNobodys = "nobody's"
)

// bringRenewal stores what was bought with the token that the row holds, or with a successor of it that the store has
// lost.
func (kp *Keeper) bringRenewal(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	err = kp.UpdateTokens(ctx, p.TokenOwner, func(row *connection.TokenPair, c *connection.Connection, u *connection.UserToken) error {
		switch {
		case c != nil && c.Reason == connection.ReasonUnreadable, u != nil && u.Reason == connection.ReasonUnreadable:
			return errUnreadable // what was spent can't be compared until the key is back
		case row.Token == p.Token: // it was stored, and the journal not told
		case row.Spendable() == p.Spent, p.Continues(connection.RowOf(c, u)):
			kp.resume(p, c, u, "", p.At)
		default:
			fate = "superseded" // a re-install, a removal, or another process came first
			return nil
		}
		stored, fate = p.StoredIn(c, u), FateStored
		return nil
	})
	return stored, fate, err
}

// resume has the token pair of c or u, one of which is nil, go on with p. why is for the history.
func (kp *Keeper) resume(p connection.Grant, c *connection.Connection, u *connection.UserToken, why string, at time.Time) {
	row := connection.TokensIn(c, u)
	line := connection.Change{At: at, By: connection.Actor{Kind: connection.BySwitchboard}, What: connection.DidRenew, Outcome: connection.OutcomeDone, Reason: why}
	if row.RefreshToken == "" {
		line.What = connection.DidExchange
	}
	next := p.Tokens()
	next.Generation, next.GrantID = max(p.Generation, row.Generation+1), row.GrantID
	*row = next
	if c != nil {
		c.Mended(p, at)
		c.Note(line)
		return
	}
	u.Mended(p)
	line.Reason = u.UserID
	u.Note(line)
}

// Settle writes into the journal how p stands now.
func (kp *Keeper) Settle(ctx context.Context, p connection.Grant, s connection.Standing) {
	p.Standing = s
	kp.conclude(ctx, p.Journaled, func() error {
		_, err := kp.store.Journal(p)
		return err
	})
}

// forget removes an entry of the journal whose fate is decided.
func (kp *Keeper) forget(ctx context.Context, entry string) {
	if entry != "" {
		kp.conclude(ctx, entry, func() error { return kp.store.Unjournal(entry) })
	}
}

// conclude does with an entry what is left to do when its fate is decided. What can't be done is remembered, and tried
// again by Replay.
func (kp *Keeper) conclude(ctx context.Context, entry string, do func() error) {
	err := do()
	kp.mu.Lock()
	defer kp.mu.Unlock()
	if err == nil {
		delete(kp.decided, entry)
		return
	}
	if kp.decided[entry] == nil {
		kp.log.ErrorContext(ctx, "the journal can't be written", "entry", entry, "cause", err)
	}
	if entry != "" { // else it never was in the journal, and the store has it
		kp.decided[entry] = do
	}
}

var (
	// ErrUnasked says that Slack didn't answer, so nothing was decided.
	ErrUnasked = errors.New("slack could not be asked about tokens in the journal")
	// errUndecided: which of two consents is the one in force is still to be found out.
	ErrUndecided = errors.New("which of two consents came last is found out by a renewal")
)

var errUnreadable = errors.New("the stored access cannot be read with the keys at hand")

// restore brings home what waits in the journal of this machine for h. waiting: there was something, so what was read
// of the row before must not be spent. kept is what the journal has for the day on which the store lost it.
func (kp *Keeper) restore(ctx context.Context, h connection.TokenOwner) (waiting bool, kept []connection.Grant, err error) {
	entries, err := kp.store.JournaledFor(h)
	if err != nil {
		return false, nil, fmt.Errorf("read journal: %w", err)
	}
	for _, p := range append(entries, kp.pendingGrants()...) {
		switch {
		case p.TokenOwner != h && !connection.SameOwner(p.TokenOwner, h):
			continue
		case p.Standing != connection.Waiting:
			kept = append(kept, p)
			continue
		case kp.isDecided(p.Journaled):
			continue
		case kp.underWay(p):
			waiting = true
			continue
		case p.Token == "": // sealed with a key we don't have; Replay tells the operator
			waiting = waiting || kp.now().Sub(p.At) < unopenedPatience
			continue
		}
		storing, cancel := context.WithTimeout(ctx, keepTimeout)
		brought := kp.Bring(storing, p)
		cancel()
		if errors.Is(brought, ErrUndecided) {
			continue // a renewal of what is in the row will tell
		}
		waiting, err = true, errors.Join(err, brought)
	}
	return waiting, kept, err
}

// pendingGrants are what the journal did not take, oldest first.
func (kp *Keeper) pendingGrants() []connection.Grant {
	kp.mu.Lock()
	defer kp.mu.Unlock()
	return slices.SortedFunc(maps.Values(kp.pending), func(a, b connection.Grant) int { return a.At.Compare(b.At) })
}

// underWay reports whether p is of a consent that its callback is about to store: doing it twice would count it twice.
func (kp *Keeper) underWay(p connection.Grant) bool {
	age := kp.now().Sub(p.At)
	return p.Spent == "" && p.Token != "" && age >= 0 && age < ConsentBudget
}

func (kp *Keeper) isDecided(entry string) bool {
	kp.mu.Lock()
	defer kp.mu.Unlock()
	return kp.decided[entry] != nil
}

// Replay stores what waits in the journal of this machine. It is run at start before anything is renewed, when it also
// compares the store with what the journal kept, and by Run until nothing waits. It returns how many entries are left
// and why, not counting those that a callback is about to store.
func (kp *Keeper) Replay(ctx context.Context) (left int, err error) {
	entries, err := kp.store.Journaled()
	if err != nil {
		return 0, fmt.Errorf("read journal: %w", err)
	}
	entries = append(entries, kp.pendingGrants()...)
	kp.mu.Lock()
	finishing := maps.Clone(kp.decided)
	kp.mu.Unlock()
	kp.cfg.Observer.Waiting(len(entries))
	for entry, do := range finishing {
		left++
		kp.conclude(ctx, entry, do)
	}

	for i, p := range entries {
		switch {
		case finishing[p.Journaled] != nil, kp.underWay(p):
			continue
		case p.Token == "":
			left++
			err = errors.Join(err, fmt.Errorf("journal entry %s cannot be opened with the keys at hand", p.Journaled))
			continue
		}
		storing, cancel := context.WithTimeout(ctx, keepTimeout)
		failed := kp.Bring(storing, p)
		cancel()
		if failed != nil {
			left++
			err = errors.Join(err, failed)
			if !errors.Is(failed, errUnreadable) && !errors.Is(failed, ErrUnasked) && !errors.Is(failed, ErrUndecided) { // the store is down: the others would fail like this one
				return left + len(entries) - i - 1, err
			}
		}
	}
	kp.cfg.Observer.Waiting(left)
	return left, errors.Join(err, kp.compareFirst(ctx))
}

// Drop forgets a pair that is not to be stored.
func (kp *Keeper) Drop(ctx context.Context, p connection.Grant) {
	kp.NotPending(p.Token)
	kp.forget(ctx, p.Journaled)
}

// NotPending forgets what was held in memory of a pair: the store has it, or somebody's who came later.
func (kp *Keeper) NotPending(token connection.Secret) {
	kp.mu.Lock()
	defer kp.mu.Unlock()
	delete(kp.pending, token)
}
