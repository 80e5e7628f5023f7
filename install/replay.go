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
	in.mu.Lock()
	delete(in.contests, p.Token)
	in.mu.Unlock()
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

// Two consents closer than this may have come in the other order than the clocks of two machines say.
const clocksApart = 10 * time.Minute

var (
	errUnasked = errors.New("slack could not be asked about tokens in the journal")
	// errUndecided: which of two consents is the one in force is still to be found out.
	errUndecided = errors.New("which of two consents came last is found out by a renewal")
)

// contest is what stood in the row when a consent from the journal was first compared with it.
type contest struct {
	consent time.Time
	refresh Secret
}

// outdates reports whether p, of a consent from the journal, is to replace the chain c that another consent began. At Slack
// the later consent ended the refresh token of the other. Where clocks can't tell which that was, a renewal of c can: until
// then the answer is unclear. renewable: there will be one.
func (in *Installer) outdates(p Pair, consent time.Time, c Chain, works, renewable bool) verdict {
	apart := p.At.Truncate(time.Microsecond).Sub(consent)
	switch {
	case apart == 0: // it was stored, and the database's word of that was lost
		return no
	case apart <= -clocksApart:
		return no
	case apart >= clocksApart, !works, c.Rejections > 0:
		return yes
	case c.RefreshToken == "" || !renewable: // long-lived tokens end no others
		if apart > 0 {
			return yes
		}
		return no
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	first, known := in.contests[p.Token]
	if !known || !first.consent.Equal(consent) {
		in.contests[p.Token] = contest{consent, c.RefreshToken}
		return unclear
	}
	if first.refresh != c.RefreshToken {
		return no // Slack has renewed it since
	}
	return unclear
}

// tryOut makes the chain of h due, unless that is being tried already.
func (in *Installer) tryOut(ctx context.Context, h Holder, c Chain) error {
	now := in.now()
	if c.Tries > 0 || !c.RenewAt.After(now) {
		return errUndecided
	}
	err := in.updateChain(ctx, h, func(row *Chain, _ *Connection, _ *UserToken) error {
		if row.Tries == 0 && row.RefreshToken == c.RefreshToken {
			row.RenewAt = now
		}
		return nil
	})
	return errors.Join(errUndecided, err)
}

// bringConsent stores a consent that the store could not take when it was given, unless a later one is in force, the app was
// removed since, or Slack does not take its token any more. All of that can happen while Slack is asked, so it is stored only
// over the row that was looked at.
func (in *Installer) bringConsent(ctx context.Context, p Pair) (fate string, err error) {
	c := *p.Consent
	in.rehome(ctx, c.Key)
	seen, err := in.store.Find(ctx, c.Key)
	if err == nil && c.EnterpriseID == "" && seen.TeamID == c.TeamID {
		c.Key = seen.Key // it joined an organisation after this consent
	}
	isNew := errors.Is(err, ErrNotFound) || err == nil && seen.Key != c.Key
	switch {
	case isNew:
	case err != nil:
		return "", err
	case seen.State == Removed && !seen.StateSince.Before(c.RenewedAt):
		return "superseded", nil
	default:
		renewable := in.cfg.BotToken == "" && in.ours(c.Key) && seen.State != Paused
		switch in.outdates(p, seen.RenewedAt, seen.Chain, seen.usable(), renewable) {
		case no:
			return "superseded", nil
		case unclear:
			return "", in.tryOut(ctx, p.Holder, seen.Chain)
		}
	}
	id, fate, err := in.stillGood(ctx, c.Token)
	if fate != "" || err != nil {
		return fate, err
	}
	if id.BotID != "" {
		c.BotID, c.TeamURL = id.BotID, id.URL
	}
	if len(id.Scopes) > 0 {
		c.Scopes = id.Scopes
	}
	var was Connection
	if seen.TeamID == c.TeamID && seen.State != Removed {
		was = seen
	}
	if in.refuses(c, was) != nil {
		in.giveBack(ctx, c, nil)
		return "refused", nil
	}
	if isNew {
		if _, err = in.store.Add(ctx, c); errors.Is(err, ErrExists) {
			err = errUndecided
		}
		return "stored", err
	}
	_, err = in.store.Update(ctx, c.Key, func(row *Connection) error {
		if row.State != seen.State || row.Token != seen.Token || !row.RenewedAt.Equal(seen.RenewedAt) {
			return errUndecided
		}
		*row = row.replaced(c)
		return nil
	})
	return "stored", err
}

// bringGrant is bringConsent for one person's token.
func (in *Installer) bringGrant(ctx context.Context, p Pair) (fate string, err error) {
	age := in.now().Sub(p.At)
	fresh := age >= 0 && age < storeBudget // straight from its callback
	seen, err := in.store.FindUser(ctx, p.Holder)
	isNew := errors.Is(err, ErrNotFound)
	works := seen.Token != "" && seen.Reason == ReasonNone
	switch {
	case isNew:
	case err != nil:
		return "", err
	case fresh:
		if late := seen.GrantedAt.Sub(p.At); works && late > 0 && late < lateConsent {
			return "superseded", nil
		}
	default:
		switch in.outdates(p, seen.GrantedAt, seen.Chain, works, in.cfg.BotToken == "" && in.ours(p.Key)) {
		case no:
			return "superseded", nil
		case unclear:
			return "", in.tryOut(ctx, p.Holder, seen.Chain)
		}
	}
	if !fresh {
		if _, fate, err := in.stillGood(ctx, p.Token); fate != "" || err != nil {
			return fate, err
		}
	}
	u := UserToken{Holder: p.Holder, Scopes: p.Scopes, Chain: started(p.Token, p.Refresh, p.Life, p.At), GrantedAt: p.At}
	u.Note(Change{At: p.At, By: Person(p.UserID), What: DidUserGrant, Outcome: OutcomeDone, Reason: p.UserID})
	if isNew {
		err = in.store.AddUser(ctx, u)
		if errors.Is(err, ErrExists) {
			err = errUndecided
		}
	} else {
		_, err = in.store.UpdateUser(ctx, p.Holder, func(row *UserToken) error {
			if row.Token != seen.Token || !row.GrantedAt.Equal(seen.GrantedAt) {
				return errUndecided
			}
			u.ConnectionID = row.ConnectionID
			*row = u
			return nil
		})
		if errors.Is(err, ErrNotFound) {
			err = errUndecided // erased meanwhile, perhaps this one with it
		}
	}
	if err != nil || fresh {
		return "stored", err
	}
	// Slack's word that the person took it back may have come while there was no row to erase.
	if _, fate, _ := in.stillGood(ctx, p.Token); fate != "" {
		_, err = in.store.EraseUser(ctx, u, Change{At: in.now(), By: Actor{Kind: BySlack}, What: DidUserRevoke, Outcome: OutcomeDone})
		return fate, err
	}
	return "stored", nil
}

// stillGood asks Slack about a token from the journal. The fate is "dead" when its app or access is gone, "" when it is worth
// storing.
func (in *Installer) stillGood(ctx context.Context, token Secret) (id Identity, fate string, err error) {
	id, err = in.identify(ctx, token)
	switch SlackError(err) {
	case ReasonAccountInactive, ReasonTokenRevoked:
		return id, "dead", nil
	case ReasonTokenExpired: // it waited for long; the refresh token beside it may be good
		return id, "", nil
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", errUnasked, Cause(err))
	}
	return id, "", err
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
		if p.Holder != h && !sameHolder(p.Holder, h) {
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
		storing, cancel := context.WithTimeout(ctx, keepTimeout)
		brought := in.bring(storing, p)
		cancel()
		if errors.Is(brought, errUndecided) {
			continue // a renewal of what is in the row will tell
		}
		waiting, err = true, errors.Join(err, brought)
	}
	return waiting, err
}

// underWay reports whether p is of a consent that its callback is about to store: doing it twice would count it twice.
func (in *Installer) underWay(p Pair) bool {
	age := in.now().Sub(p.At)
	return p.Spent == "" && p.Token != "" && age >= 0 && age < callbackBudget
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
			if !errors.Is(failed, errUnreadable) && !errors.Is(failed, errUnasked) && !errors.Is(failed, errUndecided) { // the store is down: the others would fail like this one
				return left + len(entries) - i - 1, err
			}
		}
	}
	in.metrics.journal.Set(float64(left))
	return left, err
}
