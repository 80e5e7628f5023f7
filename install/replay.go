package install

// What Slack hands out it hands out once. So it goes on this machine's disk before the store is tried, is tried again until
// the store has it, and is read again when the program starts. This file brings it home: of a renewal, if the row still holds
// what was spent for it; of a consent, if it is the one in force.

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// keep brings a pair home: onto the disk, into the store, off the disk.
func (in *Installer) keep(ctx context.Context, p Pair) error {
	var err error
	if p.Journaled, err = in.store.Journal(p); err != nil {
		// The disk is full or gone. What the store doesn't take either is held in memory until it does.
		in.log.ErrorContext(ctx, "new tokens are not in the journal: killing this process now would lose them", "key", p.Key.String(), "cause", err)
		in.mu.Lock()
		in.held[p.Holder] = p
		in.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	return in.bring(ctx, p)
}

// bring stores a pair if the row still holds what was spent for it, and forgets the journal's copy when that is decided.
func (in *Installer) bring(ctx context.Context, p Pair) error {
	fate := "stored"
	var err error
	switch {
	case p.Consent != nil:
		fate, err = in.bringConsent(ctx, p)
	case p.Spent == "":
		fate, err = in.bringGrant(ctx, p)
	default:
		err = in.updateChain(ctx, p.Holder, func(row *Chain, c *Connection, u *UserToken) error {
			fate = "stored"
			switch {
			case c != nil && c.Reason == ReasonUnreadable, u != nil && u.Reason == ReasonUnreadable:
				return errUnreadable // what was spent can't be compared until the key is back
			case row.spendable() != p.Spent:
				fate = "superseded" // a re-install, a removal, or another process came first
				return nil
			}
			line := Change{At: p.At, By: Actor{Kind: BySwitchboard}, What: DidRenew, Outcome: OutcomeDone}
			if row.RefreshToken == "" {
				line.What = DidExchange
			}
			*row = started(p.Token, p.Refresh, p.Life, p.At)
			if c != nil {
				c.mended(p)
				c.Note(line)
			} else {
				u.mended(p)
				line.Reason = u.UserID
				u.Note(line)
			}
			return nil
		})
	}
	if errors.Is(err, ErrNotFound) {
		fate, err = "nobody's", nil // swept, or the person's token was erased
	}
	if err != nil {
		return fmt.Errorf("store new tokens: %w", err)
	}
	in.log.DebugContext(ctx, "new tokens", "key", p.Key.String(), "user", p.UserID, "fate", fate)
	if p.Journaled == "" {
		in.mu.Lock()
		if in.held[p.Holder].Token == p.Token {
			delete(in.held, p.Holder)
		}
		in.mu.Unlock()
		return nil
	}
	in.forget(ctx, p.Journaled)
	return nil
}

// forget removes an entry of the journal whose fate is decided. One that can't be removed is remembered as decided.
func (in *Installer) forget(ctx context.Context, entry string) {
	err := in.store.Unjournal(entry)
	in.mu.Lock()
	defer in.mu.Unlock()
	if err == nil {
		delete(in.decided, entry)
		return
	}
	if !in.decided[entry] {
		in.log.ErrorContext(ctx, "an entry of the journal can't be removed", "entry", entry, "cause", err)
	}
	in.decided[entry] = true
}

var errUnreadable = errors.New("the stored access cannot be read with the keys at hand")

// mended brings into c what a good renewal says of a connection.
func (c *Connection) mended(p Pair) {
	c.grantedNow(p.Scopes, p.At)
	switch c.Reason {
	case ReasonRenewalFailing, ReasonRefreshRejected, ReasonTokenExpired:
		if c.State == Retrying || c.State == ReconnectRequired {
			c.SetState(Active, ReasonNone, p.At)
		}
	}
}

func (u *UserToken) mended(p Pair) {
	u.Reason = ReasonNone
	if len(p.Scopes) > 0 {
		u.Scopes = p.Scopes
	}
}

// How much newer than the one in force a consent from the journal must look to replace it: less may be the clocks of two
// machines, and what is in force works.
const clocksApart = 10 * time.Minute

// bringConsent stores a consent that the store could not take when it was given, unless a later one is in force, the app was
// removed since, or Slack does not take its token any more.
func (in *Installer) bringConsent(ctx context.Context, p Pair) (fate string, err error) {
	c := *p.Consent
	now, err := in.store.Find(ctx, c.Key)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && now.Key != c.Key: // a first install
	case err != nil:
		return "", err
	case now.State == Removed && !now.StateSince.Before(c.RenewedAt), !now.RenewedAt.Before(c.RenewedAt),
		now.State == Active && now.Token != "" && c.RenewedAt.Sub(now.RenewedAt) < clocksApart:
		return "superseded", nil
	}
	if fate, err := in.stillGood(ctx, c.Token); fate != "" || err != nil {
		return fate, err
	}
	_, _, err = in.store.Put(ctx, c)
	return "stored", err
}

// stillGood asks Slack about a token from the journal. The fate is "dead" when its app or access is gone, "" when it is worth
// storing.
func (in *Installer) stillGood(ctx context.Context, token Secret) (fate string, err error) {
	_, err = in.identify(ctx, token)
	switch SlackError(err) {
	case ReasonAccountInactive, ReasonTokenRevoked:
		return "dead", nil
	case ReasonTokenExpired: // it waited for long; the refresh token beside it may be good
		return "", nil
	}
	if err == nil {
		return "", nil
	}
	return "", fmt.Errorf("%w: %w", errUnasked, Cause(err))
}

var errUnasked = errors.New("slack could not be asked about tokens in the journal")

// bringGrant is bringConsent for one person's token.
func (in *Installer) bringGrant(ctx context.Context, p Pair) (fate string, err error) {
	now, err := in.store.FindUser(ctx, p.Holder)
	if err == nil && !now.GrantedAt.Before(p.At) {
		return "superseded", nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", err
	}
	if in.now().Sub(p.At) >= storeBudget {
		if fate, err := in.stillGood(ctx, p.Token); fate != "" || err != nil {
			return fate, err // it may have been taken back and erased meanwhile
		}
	}
	u := UserToken{Holder: p.Holder, Scopes: p.Scopes, Chain: started(p.Token, p.Refresh, p.Life, p.At), GrantedAt: p.At}
	u.Note(Change{At: p.At, By: Person(p.UserID), What: DidUserGrant, Outcome: OutcomeDone, Reason: p.UserID})
	return "stored", in.store.PutUser(ctx, u)
}

// restore brings home what the journal of this machine holds for h. waiting: there was something, so what was read of the row
// before must not be spent.
func (in *Installer) restore(ctx context.Context, h Holder) (waiting bool, err error) {
	entries, err := in.store.Journaled()
	if err != nil {
		return false, fmt.Errorf("read journal: %w", err)
	}
	in.mu.Lock()
	if p, ok := in.held[h]; ok {
		entries = append(entries, p)
	}
	in.mu.Unlock()
	for _, p := range entries {
		if p.Holder != h {
			continue
		}
		switch {
		case in.isDecided(p.Journaled):
			continue
		case in.underWay(p):
			waiting = true
			continue
		case p.Token == "": // sealed with a key we don't have; Replay tells the operator
			waiting = waiting || in.now().Sub(p.At) < unopenedPatience
			continue
		}
		waiting = true
		storing, cancel := context.WithTimeout(ctx, keepTimeout)
		err = errors.Join(err, in.bring(storing, p))
		cancel()
	}
	return waiting, err
}

// underWay reports whether p is of a consent that its callback is about to store: doing it twice would count it twice.
func (in *Installer) underWay(p Pair) bool {
	return p.Spent == "" && p.Token != "" && in.now().Sub(p.At) < callbackBudget
}

func (in *Installer) isDecided(entry string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return entry != "" && in.decided[entry]
}

// Replay stores what the journal of this machine holds. It is run at start before anything is renewed, and by Run until the
// journal is empty. It returns how many entries are left and why, not counting those that a callback is about to store.
func (in *Installer) Replay(ctx context.Context) (left int, err error) {
	entries, err := in.store.Journaled()
	if err != nil {
		return 0, fmt.Errorf("read journal: %w", err)
	}
	in.mu.Lock()
	for _, p := range in.held {
		entries = append(entries, p)
	}
	in.mu.Unlock()
	in.metrics.journal.Set(float64(len(entries)))
	for i, p := range entries {
		if in.isDecided(p.Journaled) {
			left++
			in.forget(ctx, p.Journaled)
			continue
		}
		if in.underWay(p) {
			continue
		}
		if p.Token == "" {
			left++
			err = errors.Join(err, fmt.Errorf("journal entry %s cannot be opened with the keys at hand", p.Journaled))
			continue
		}
		storing, cancel := context.WithTimeout(ctx, keepTimeout)
		failed := in.bring(storing, p)
		cancel()
		if failed != nil {
			left++
			err = errors.Join(err, failed)
			if !errors.Is(failed, errUnreadable) && !errors.Is(failed, errUnasked) { // the store is down: the others would fail like this one
				return left + len(entries) - i - 1, err
			}
		}
	}
	in.metrics.journal.Set(float64(left))
	return left, err
}
