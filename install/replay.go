package install

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

	"switchboard/install/connection"
	"switchboard/install/slackapi"
)

// keep brings the pair of a renewal home: onto the disk, into the store.
func (in *Installer) keep(ctx context.Context, p connection.Grant) error {
	in.journal(ctx, &p)
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	return in.bring(ctx, p)
}

// journal writes p to the disk. What the disk doesn't take, because it is full or gone, is held in memory until the
// store has it.
func (in *Installer) journal(ctx context.Context, p *connection.Grant) {
	name, err := in.store.Journal(*p)
	if err == nil {
		p.Journaled = name
		return
	}
	in.log.ErrorContext(ctx, "new tokens are not in the journal: killing this process now would lose them", "key", p.Key.String(), "cause", err)
	in.mu.Lock()
	in.pending[p.Token] = *p
	in.mu.Unlock()
}

// bring stores a pair if it is the one that counts, and then keeps the journal's copy for the day on which the store
// loses it; or forgets that when the pair counts no longer.
func (in *Installer) bring(ctx context.Context, p connection.Grant) error {
	var stored connection.Grant
	var fate string
	var err error
	isRenewal := p.Spent != "" && p.Standing == connection.Waiting
	switch {
	case isRenewal:
		stored, fate, err = in.bringRenewal(ctx, p)
	case p.UserID != "":
		stored, fate, err = in.bringGrant(ctx, p)
	case p.Consent != nil:
		stored, fate, err = in.bringConsent(ctx, p)
	default:
		fate = "nobody's"
	}
	if errors.Is(err, ErrNotFound) {
		fate, err = "nobody's", nil // swept, or the person's token was erased
	}
	if err != nil {
		return fmt.Errorf("store new tokens: %w", err)
	}

	in.log.DebugContext(ctx, "new tokens", "key", p.Key.String(), "user", p.UserID, "fate", fate)
	in.mu.Lock()
	delete(in.competing, p.Token)
	delete(in.pending, p.Token)
	in.mu.Unlock()
	if fate == fateStored {
		stored.Journaled = p.Journaled
		in.settle(ctx, stored, connection.Kept)
	} else {
		in.forget(ctx, p.Journaled)
	}
	return nil
}

// fateStored is the fate of a pair that the store has.
const fateStored = "stored"

// bringRenewal stores what was bought with the token that the row holds, or with a successor of it that the store has
// lost.
func (in *Installer) bringRenewal(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	err = in.updateTokens(ctx, p.TokenOwner, func(row *connection.TokenPair, c *connection.Connection, u *connection.UserToken) error {
		switch {
		case c != nil && c.Reason == connection.ReasonUnreadable, u != nil && u.Reason == connection.ReasonUnreadable:
			return errUnreadable // what was spent can't be compared until the key is back
		case row.Token == p.Token: // it was stored, and the journal not told
		case row.Spendable() == p.Spent, p.Continues(connection.RowOf(c, u)):
			in.resume(p, c, u, "", p.At)
		default:
			fate = "superseded" // a re-install, a removal, or another process came first
			return nil
		}
		stored, fate = p.StoredIn(c, u), fateStored
		return nil
	})
	return stored, fate, err
}

// resume has the token pair of c or u, one of which is nil, go on with p. why is for the history.
func (in *Installer) resume(p connection.Grant, c *connection.Connection, u *connection.UserToken, why string, at time.Time) {
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

// settle writes into the journal how p stands now.
func (in *Installer) settle(ctx context.Context, p connection.Grant, s connection.Standing) {
	p.Standing = s
	in.conclude(ctx, p.Journaled, func() error {
		_, err := in.store.Journal(p)
		return err
	})
}

// forget removes an entry of the journal whose fate is decided.
func (in *Installer) forget(ctx context.Context, entry string) {
	if entry != "" {
		in.conclude(ctx, entry, func() error { return in.store.Unjournal(entry) })
	}
}

// conclude does with an entry what is left to do when its fate is decided. What can't be done is remembered, and tried
// again by Replay.
func (in *Installer) conclude(ctx context.Context, entry string, do func() error) {
	err := do()
	in.mu.Lock()
	defer in.mu.Unlock()
	if err == nil {
		delete(in.decided, entry)
		return
	}
	if in.decided[entry] == nil {
		in.log.ErrorContext(ctx, "the journal can't be written", "entry", entry, "cause", err)
	}
	if entry != "" { // else it never was in the journal, and the store has it
		in.decided[entry] = do
	}
}

var errUnreadable = errors.New("the stored access cannot be read with the keys at hand")

// Two consents closer than this may have come in the other order than the clocks of two machines say.
const clocksApart = 10 * time.Minute

var (
	errUnasked = errors.New("slack could not be asked about tokens in the journal")
	// errUndecided: which of two consents is the one in force is still to be found out.
	errUndecided = errors.New("which of two consents came last is found out by a renewal")
)

// competingConsent is what stood in the row when a consent from the journal was first compared with it.
type competingConsent struct {
	consent time.Time
	refresh connection.Secret
}

// outdates reports whether p, of a consent from the journal, is to replace the token pair c that another consent began. At Slack
// the later consent ended the refresh token of the other. Where clocks can't tell which that was, a renewal of c can: until
// then the answer is unclear. renewable: there will be one.
func (in *Installer) outdates(p connection.Grant, consent time.Time, c connection.TokenPair, works, renewable bool) verdict {
	apart := p.ConsentAt().Truncate(time.Microsecond).Sub(consent)
	switch {
	case apart <= -clocksApart:
		return verdictNo
	case apart >= clocksApart, !works, c.Rejections > 0:
		return verdictYes
	case c.RefreshToken == "" || !renewable: // long-lived tokens end no others
		if apart > 0 {
			return verdictYes
		}
		return verdictNo
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	first, known := in.competing[p.Token]
	if !known || !first.consent.Equal(consent) {
		in.competing[p.Token] = competingConsent{consent, c.RefreshToken}
		return verdictUnclear
	}
	if first.refresh != c.RefreshToken {
		return verdictNo // Slack has renewed it since
	}
	return verdictUnclear
}

// tryOut makes the token pair of h due, unless that is being tried already.
func (in *Installer) tryOut(ctx context.Context, h connection.TokenOwner, c connection.TokenPair) error {
	now := in.now()
	if c.Tries > 0 || !c.RenewAt.After(now) {
		return errUndecided
	}
	err := in.updateTokens(ctx, h, func(row *connection.TokenPair, _ *connection.Connection, _ *connection.UserToken) error {
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
func (in *Installer) bringConsent(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	c := *p.Consent
	if p.Standing != connection.Waiting { // renewed since, perhaps
		c.TokenPair = p.Tokens()
	}
	in.rehome(ctx, c.Key)
	seen, err := in.store.Lookup(ctx, c.Key)
	if err == nil && c.EnterpriseID == "" && seen.TeamID == c.TeamID {
		c.Key = seen.Key // it joined an organisation after this consent
	}
	isNew := errors.Is(err, ErrNotFound) || err == nil && seen.Key != c.Key
	switch {
	case isNew:
	case err != nil:
		return p, "", err
	case seen.Token == p.Token: // it was stored, and the journal not told
		return p.StoredIn(&seen, nil), fateStored, nil
	case p.Continues(connection.RowOf(&seen, nil)):
		return in.offer(ctx, p)
	case p.SameGrant(seen.GrantID, seen.AuthorizedAt): // renewed since, or erased
		return p, "superseded", nil
	case seen.State == connection.Removed && !seen.StateSince.Before(c.AuthorizedAt):
		return p, "superseded", nil
	default:
		renewable := in.mode.renews(c.Key) && seen.State != connection.Paused
		switch in.outdates(p, seen.AuthorizedAt, seen.TokenPair, seen.Usable(), renewable) {
		case verdictNo:
			return p, "superseded", nil
		case verdictUnclear:
			return p, "", in.tryOut(ctx, p.TokenOwner, seen.TokenPair)
		}
	}
	id, fate, err := in.stillGood(ctx, p)
	if fate != "" || err != nil {
		return p, fate, err
	}
	if id.BotID != "" {
		c.BotID, c.TeamURL = id.BotID, id.URL
	}
	if len(id.Scopes) > 0 {
		c.Scopes = id.Scopes
	}
	c.LeftOut(in.cfg.Scopes)
	var was connection.Connection
	if seen.TeamID == c.TeamID && seen.State != connection.Removed {
		was = seen
	}
	// What was stored once, or stood against what is, is no new workspace: refusing it would take the app from one that
	// uses it.
	if p.Standing == connection.Waiting && in.refuses(c, was) != nil {
		in.giveBack(ctx, c, nil)
		return p, "refused", nil
	}
	if p.Standing != connection.Waiting && !isNew {
		c.Soon(in.now()) // a third one may be the one that counts
	}
	var now connection.Connection
	if isNew {
		now, err = in.store.Add(ctx, c)
		if errors.Is(err, ErrExists) {
			err = errUndecided
		}
	} else {
		now, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			if row.State != seen.State || row.Token != seen.Token || !row.AuthorizedAt.Equal(seen.AuthorizedAt) {
				return errUndecided
			}
			*row = row.Replaced(c)
			return nil
		})
	}
	if err == nil && p.Standing == connection.Kept {
		in.restored(ctx, p)
	}
	return p.StoredIn(&now, nil), fateStored, err
}

// bringGrant is bringConsent for one person's token.
func (in *Installer) bringGrant(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	age := in.now().Sub(p.At)
	fresh := age >= 0 && age < storeBudget && p.Standing == connection.Waiting // straight from its callback
	seen, err := in.store.GetUser(ctx, p.TokenOwner)
	isNew := errors.Is(err, ErrNotFound)
	works := seen.Token != "" && seen.Reason == connection.ReasonNone
	switch {
	case isNew:
	case err != nil:
		return p, "", err
	case seen.Token == p.Token:
		return p.StoredIn(nil, &seen), fateStored, nil
	case p.Continues(connection.RowOf(nil, &seen)):
		return in.offer(ctx, p)
	case p.SameGrant(seen.GrantID, seen.GrantedAt):
		return p, "superseded", nil
	case fresh: // the connection's own consent said that it counts
	default:
		switch in.outdates(p, seen.GrantedAt, seen.TokenPair, works, in.mode.renews(p.Key)) {
		case verdictNo:
			return p, "superseded", nil
		case verdictUnclear:
			return p, "", in.tryOut(ctx, p.TokenOwner, seen.TokenPair)
		}
	}
	if !fresh {
		if _, fate, err := in.stillGood(ctx, p); fate != "" || err != nil {
			return p, fate, err
		}
	}
	u := connection.UserToken{TokenOwner: p.TokenOwner, Scopes: p.Scopes, TokenPair: p.Tokens(), GrantedAt: p.ConsentAt()}
	if p.Standing != connection.Waiting && !isNew { // as with connections
		u.Soon(in.now())
	}
	u.Generation = max(p.Generation, seen.Generation+1)
	u.Note(connection.Change{At: p.At, By: connection.Person(p.UserID), What: connection.DidUserGrant, Outcome: connection.OutcomeDone, Reason: p.UserID})
	if isNew {
		err = in.store.AddUser(ctx, u)
		if errors.Is(err, ErrExists) {
			err = errUndecided
		}
	} else {
		_, err = in.store.UpdateUser(ctx, p.TokenOwner, func(row *connection.UserToken) error {
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
		return p.StoredIn(nil, &u), fateStored, err
	}
	// Slack's word that the person took it back may have come while there was no row to erase.
	if _, fate, _ := in.stillGood(ctx, p); fate != "" {
		_, err = in.store.EraseUser(ctx, u, connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidUserRevoke, Outcome: connection.OutcomeDone})
		return p, fate, err
	}
	if p.Standing == connection.Kept {
		in.restored(ctx, p)
	}
	return p.StoredIn(nil, &u), fateStored, nil
}

// stillGood asks Slack about a token from the journal. The fate is "dead" when its app or access is gone, "" when it is worth
// storing.
func (in *Installer) stillGood(ctx context.Context, p connection.Grant) (id connection.Identity, fate string, err error) {
	id, err = in.slack.Identify(ctx, p.Token)
	switch slackapi.SlackError(err) {
	case connection.ReasonAccountInactive, connection.ReasonTokenRevoked:
		return id, "dead", nil
	case connection.ReasonTokenExpired:
		if p.Standing == connection.Aside && p.At.Add(p.Life).After(in.now().Add(connection.LateConsent)) {
			return id, "dead", nil // before its time: two later consents ended it
		}
		return id, "", nil // it waited for long; the refresh token beside it may be good
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", errUnasked, slackapi.Cause(err))
	}
	return id, "", err
}

// restore brings home what waits in the journal of this machine for h. waiting: there was something, so what was read
// of the row before must not be spent. kept is what the journal has for the day on which the store lost it.
func (in *Installer) restore(ctx context.Context, h connection.TokenOwner) (waiting bool, kept []connection.Grant, err error) {
	entries, err := in.store.JournaledFor(h)
	if err != nil {
		return false, nil, fmt.Errorf("read journal: %w", err)
	}
	for _, p := range append(entries, in.pendingGrants()...) {
		switch {
		case p.TokenOwner != h && !connection.SameOwner(p.TokenOwner, h):
			continue
		case p.Standing != connection.Waiting:
			kept = append(kept, p)
			continue
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
	return waiting, kept, err
}

// pendingGrants are what the journal did not take, oldest first.
func (in *Installer) pendingGrants() []connection.Grant {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.SortedFunc(maps.Values(in.pending), func(a, b connection.Grant) int { return a.At.Compare(b.At) })
}

// underWay reports whether p is of a consent that its callback is about to store: doing it twice would count it twice.
func (in *Installer) underWay(p connection.Grant) bool {
	age := in.now().Sub(p.At)
	return p.Spent == "" && p.Token != "" && age >= 0 && age < callbackBudget
}

func (in *Installer) isDecided(entry string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.decided[entry] != nil
}

// Replay stores what waits in the journal of this machine. It is run at start before anything is renewed, when it also
// compares the store with what the journal kept, and by Run until nothing waits. It returns how many entries are left
// and why, not counting those that a callback is about to store.
func (in *Installer) Replay(ctx context.Context) (left int, err error) {
	entries, err := in.store.Journaled()
	if err != nil {
		return 0, fmt.Errorf("read journal: %w", err)
	}
	entries = append(entries, in.pendingGrants()...)
	in.mu.Lock()
	finishing := maps.Clone(in.decided)
	in.mu.Unlock()
	in.metrics.journal.Set(float64(len(entries)))
	for entry, do := range finishing {
		left++
		in.conclude(ctx, entry, do)
	}

	for i, p := range entries {
		switch {
		case finishing[p.Journaled] != nil, in.underWay(p):
			continue
		case p.Token == "":
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
	return left, errors.Join(err, in.compareFirst(ctx))
}
