package oauth

// A consent that the store could not take when it was given waits in the journal. This file brings it home, if it is
// the one in force. The renewals that wait there are package tokens' own.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// competing are the tokens of consents in the journal, and what stood in the row when they were first compared with it.
type competing struct {
	mu   sync.Mutex
	seen map[connection.Secret]competingConsent
}

// forget drops what was seen of a consent whose fate is decided.
func (c *competing) forget(token connection.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, token)
}

// competingConsent is what stood in the row when a consent from the journal was first compared with it.
type competingConsent struct {
	consent time.Time
	refresh connection.Secret
}

// What became of a consent that is not stored, for the log.
const (
	fateSuperseded = "superseded"
	fateRefused    = "refused"
	fateDead       = "dead" // its app or access is gone
)

// bring stores what the journal has of a consent, a connection's or a person's.
func (cs *consents) bring(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	switch {
	case p.UserID != "":
		stored, fate, err = cs.bringGrant(ctx, p)
	case p.Connection != nil:
		stored, fate, err = cs.bringConsent(ctx, p)
	default:
		fate = tokens.FateNobodys
	}
	if err == nil || errors.Is(err, connection.ErrNotFound) {
		cs.competing.forget(p.Token)
	}
	return stored, fate, err
}

// bringConsent stores a consent that the store could not take when it was given, unless a later one is in force, the
// app was removed since, or Slack does not take its token any more. All of that can happen while Slack is asked, so it
// is stored only over the row that was looked at.
func (cs *consents) bringConsent(
	ctx context.Context, p connection.Grant,
) (stored connection.Grant, fate string, err error) {
	c := *p.Connection
	if p.Standing != connection.Waiting { // renewed since, perhaps
		c.TokenPair = p.Tokens()
	}
	seen, isNew, err := cs.rowFor(ctx, &c)
	if err != nil {
		return p, "", err
	}
	if !isNew {
		stored, fate, err = cs.compare(ctx, p, rival{
			access: &seen, consent: seen.AuthorizedAt, works: seen.Usable(),
			renewable: cs.Mode.Renews(c.Key) && seen.State != connection.Paused,
			over:      seen.State == connection.Removed && !seen.StateSince.Before(c.AuthorizedAt),
		})
		if fate != "" || err != nil {
			return stored, fate, err
		}
	}
	if fate, err = cs.askAgain(ctx, p, &c); fate != "" || err != nil {
		return p, fate, err
	}
	switch {
	case p.Standing == connection.Waiting && cs.refusesLate(ctx, c, seen):
		return p, fateRefused, nil
	case p.Standing != connection.Waiting && !isNew:
		c.Soon(cs.Now()) // a third one may be the one that counts
	}

	now, err := cs.storeOver(ctx, c, seen, isNew)
	if err == nil && p.Standing == connection.Kept {
		cs.Tokens.Delivery.Restored(ctx, p)
	}
	return p.StoredIn(&now), tokens.FateStored, err
}

// rowFor returns the row that c would replace; isNew: there is none. c gets its key, if its workspace joined an
// organisation after this consent.
func (cs *consents) rowFor(
	ctx context.Context, c *connection.Connection,
) (seen connection.Connection, isNew bool, err error) {
	cs.Tokens.Pairs.Rehome(ctx, c.Key)
	seen, err = cs.Store.Lookup(ctx, c.Key)
	if errors.Is(err, connection.ErrNotFound) {
		return seen, true, nil
	}
	if err == nil && c.EnterpriseID == "" && seen.TeamID == c.TeamID {
		c.Key = seen.Key
	}
	return seen, seen.Key != c.Key, err
}

// askAgain is stillGood, and brings what Slack says into c.
func (cs *consents) askAgain(
	ctx context.Context, p connection.Grant, c *connection.Connection,
) (fate string, err error) {
	id, fate, err := cs.stillGood(ctx, p)
	if fate != "" || err != nil {
		return fate, err
	}
	if id.BotID != "" {
		c.BotID, c.TeamURL = id.BotID, id.URL
	}
	if len(id.Scopes) > 0 {
		c.Scopes = id.Scopes
	}
	c.LeftOut(cs.Scopes)
	return "", nil
}

// refusesLate reports whether a consent that waited is one that would not have been stored in its time, and gives it
// back. What was stored once, or stood against what is, is no new workspace and not asked about here: refusing it would
// take the app from one that uses it.
func (cs *consents) refusesLate(ctx context.Context, c, seen connection.Connection) bool {
	var was connection.Connection
	if seen.TeamID == c.TeamID && seen.State != connection.Removed {
		was = seen
	}
	if cs.refuses(c, was) == nil {
		return false
	}
	cs.giveBack(ctx, c, nil)
	return true
}

// storeOver stores c: as a new row, or over the one that was looked at. ErrUndecided when that is another one by now.
func (cs *consents) storeOver(
	ctx context.Context, c, seen connection.Connection, isNew bool,
) (connection.Connection, error) {
	if isNew {
		now, err := cs.Store.Add(ctx, c)
		return now, undecidedIf(err, connection.ErrExists)
	}
	return cs.Store.Update(ctx, c.Key, func(row *connection.Connection) error {
		if row.State != seen.State || row.Token != seen.Token || !row.AuthorizedAt.Equal(seen.AuthorizedAt) {
			return tokens.ErrUndecided
		}
		*row = row.Replaced(c)
		return nil
	})
}

// bringGrant is bringConsent for one person's token.
func (cs *consents) bringGrant(
	ctx context.Context, p connection.Grant,
) (stored connection.Grant, fate string, err error) {
	fresh := cs.isFresh(p)
	seen, err := cs.Store.GetUser(ctx, p.TokenOwner)
	isNew := errors.Is(err, connection.ErrNotFound)
	if err != nil && !isNew {
		return p, "", err
	}
	if !isNew {
		stored, fate, err = cs.compare(ctx, p, rival{
			access: &seen, consent: seen.GrantedAt, works: seen.Token != "" && seen.Reason == connection.ReasonNone,
			renewable: cs.Mode.Renews(p.Key), beaten: fresh,
		})
		if fate != "" || err != nil {
			return stored, fate, err
		}
	}
	if !fresh {
		if _, fate, err := cs.stillGood(ctx, p); fate != "" || err != nil {
			return p, fate, err
		}
	}

	u := connection.UserToken{TokenOwner: p.TokenOwner, Scopes: p.Scopes, TokenPair: p.Tokens(), GrantedAt: p.ConsentAt()}
	if p.Standing != connection.Waiting && !isNew { // as with connections
		u.Soon(cs.Now())
	}
	u.Generation = max(p.Generation, seen.Generation+1)
	u.Note(connection.Change{
		At: p.At, By: connection.Person(p.UserID), What: connection.DidUserGrant,
		Outcome: connection.OutcomeDone, Reason: p.UserID,
	})
	if err := cs.storePersonOver(ctx, &u, seen, isNew); err != nil || fresh {
		return p.StoredIn(&u), tokens.FateStored, err
	}

	// Slack's word that the person took it back may have come while there was no row to erase.
	if _, fate, _ := cs.stillGood(ctx, p); fate != "" {
		_, err = cs.Store.EraseUser(ctx, u, connection.Change{
			At: cs.Now(), By: connection.Actor{Kind: connection.BySlack},
			What: connection.DidUserRevoke, Outcome: connection.OutcomeDone,
		})
		return p, fate, err
	}
	if p.Standing == connection.Kept {
		cs.Tokens.Delivery.Restored(ctx, p)
	}
	return p.StoredIn(&u), tokens.FateStored, nil
}

// isFresh reports whether p comes straight from its callback.
func (cs *consents) isFresh(p connection.Grant) bool {
	age := cs.Now().Sub(p.At)
	return age >= 0 && age < storeBudget && p.Standing == connection.Waiting
}

// storePersonOver is storeOver for one person's token.
func (cs *consents) storePersonOver(
	ctx context.Context, u *connection.UserToken, seen connection.UserToken, isNew bool,
) error {
	if isNew {
		return undecidedIf(cs.Store.AddUser(ctx, *u), connection.ErrExists)
	}
	_, err := cs.Store.UpdateUser(ctx, u.TokenOwner, func(row *connection.UserToken) error {
		if row.Token != seen.Token || !row.GrantedAt.Equal(seen.GrantedAt) {
			return tokens.ErrUndecided
		}
		u.ConnectionID = row.ConnectionID
		*row = *u
		return nil
	})
	return undecidedIf(err, connection.ErrNotFound) // erased meanwhile, perhaps this one with it
}

// undecidedIf is ErrUndecided in the place of an error that says that the row is not what it was.
func undecidedIf(err, changed error) error {
	if errors.Is(err, changed) {
		return tokens.ErrUndecided
	}
	return err
}

// rival is what the store has in the place of a consent from the journal.
type rival struct {
	access    connection.Access
	consent   time.Time // that it goes back to
	works     bool
	renewable bool // a renewal of it will come
	over      bool // it ended after the other consent
	beaten    bool // the connection's own consent said that the other one counts
}

// compare decides between p, of a consent, and the row that it would replace. Without a fate or an error p is worth
// storing, if Slack still takes it.
func (cs *consents) compare(
	ctx context.Context, p connection.Grant, r rival,
) (stored connection.Grant, fate string, err error) {
	pair := r.access.Pair()
	switch {
	case pair.Token == p.Token: // it was stored, and the journal not told
		return p.StoredIn(r.access), tokens.FateStored, nil
	case p.Continues(r.access.Row()):
		return cs.Tokens.Delivery.Offer(ctx, p)
	case p.SameGrant(pair.GrantID, r.consent), r.over: // renewed since, or erased
		return p, fateSuperseded, nil
	case r.beaten:
		return p, "", nil
	}
	switch cs.outdates(p, r) {
	case connection.VerdictNo:
		return p, fateSuperseded, nil
	case connection.VerdictUnclear:
		return p, "", cs.tryOut(ctx, p.TokenOwner, pair)
	}
	return p, "", nil
}

// outdates reports whether p is to replace the token pair of r. At Slack the later of two consents ended the refresh
// token of the other. Where clocks can't tell which that was, a renewal of r can: until then the answer is unclear.
func (cs *consents) outdates(p connection.Grant, r rival) connection.Verdict {
	apart, pair := p.ConsentAt().Truncate(time.Microsecond).Sub(r.consent), r.access.Pair()
	switch {
	case apart <= -tokens.ClocksApart:
		return connection.VerdictNo
	case apart >= tokens.ClocksApart, !r.works, pair.Rejections > 0:
		return connection.VerdictYes
	case pair.RefreshToken == "" || !r.renewable: // long-lived tokens end no others
		if apart > 0 {
			return connection.VerdictYes
		}
		return connection.VerdictNo
	}

	cs.competing.mu.Lock()
	defer cs.competing.mu.Unlock()
	first, known := cs.competing.seen[p.Token]
	if !known || !first.consent.Equal(r.consent) {
		cs.competing.seen[p.Token] = competingConsent{consent: r.consent, refresh: pair.RefreshToken}
		return connection.VerdictUnclear
	}
	if first.refresh != pair.RefreshToken {
		return connection.VerdictNo // Slack has renewed it since
	}
	return connection.VerdictUnclear
}

// tryOut makes a token pair due, unless that is being tried already.
func (cs *consents) tryOut(ctx context.Context, h connection.TokenOwner, pair *connection.TokenPair) error {
	now := cs.Now()
	if pair.Tries > 0 || !pair.RenewAt.After(now) {
		return tokens.ErrUndecided
	}
	err := cs.Tokens.Pairs.Update(ctx, h, func(a connection.Access) error {
		if row := a.Pair(); row.Tries == 0 && row.RefreshToken == pair.RefreshToken {
			row.RenewAt = now
		}
		return nil
	})
	return errors.Join(tokens.ErrUndecided, err)
}

// stillGood asks Slack about a token from the journal. The fate is fateDead, or "" when it is worth storing.
func (cs *consents) stillGood(
	ctx context.Context, p connection.Grant,
) (id connection.Identity, fate string, err error) {
	id, err = cs.Slack.Identify(ctx, p.Token)
	switch slackapi.SlackError(err) {
	case connection.ReasonAccountInactive, connection.ReasonTokenRevoked:
		return id, fateDead, nil
	case connection.ReasonTokenExpired:
		if p.Standing == connection.Aside && p.At.Add(p.Life).After(cs.Now().Add(connection.LateConsent)) {
			return id, fateDead, nil // before its time: two later consents ended it
		}
		return id, "", nil // it waited for long; the refresh token beside it may be good
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", tokens.ErrUnasked, slackapi.Cause(err))
	}
	return id, "", err
}
