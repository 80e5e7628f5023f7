package install

// A consent that the store could not take when it was given waits in the journal. This file brings it home, if it is the one in
// force. The renewals that wait there are package tokens' own.

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

// bringWaiting stores what the journal has of a consent, a connection's or a person's. It is tokens.Config.Consents.
func (in *Installer) bringWaiting(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	switch {
	case p.UserID != "":
		stored, fate, err = in.bringGrant(ctx, p)
	case p.Connection != nil:
		stored, fate, err = in.bringConsent(ctx, p)
	default:
		fate = tokens.FateNobodys
	}
	if err == nil || errors.Is(err, connection.ErrNotFound) {
		in.competing.forget(p.Token)
	}
	return stored, fate, err
}

// competingConsent is what stood in the row when a consent from the journal was first compared with it.
type competingConsent struct {
	consent time.Time
	refresh connection.Secret
}

// outdates reports whether p, of a consent from the journal, is to replace the token pair c that another consent began. At Slack
// the later consent ended the refresh token of the other. Where clocks can't tell which that was, a renewal of c can: until
// then the answer is unclear. renewable: there will be one.
func (in *Installer) outdates(p connection.Grant, consent time.Time, c connection.TokenPair, works, renewable bool) connection.Verdict {
	apart := p.ConsentAt().Truncate(time.Microsecond).Sub(consent)
	switch {
	case apart <= -tokens.ClocksApart:
		return connection.VerdictNo
	case apart >= tokens.ClocksApart, !works, c.Rejections > 0:
		return connection.VerdictYes
	case c.RefreshToken == "" || !renewable: // long-lived tokens end no others
		if apart > 0 {
			return connection.VerdictYes
		}
		return connection.VerdictNo
	}
	in.competing.mu.Lock()
	defer in.competing.mu.Unlock()
	first, known := in.competing.seen[p.Token]
	if !known || !first.consent.Equal(consent) {
		in.competing.seen[p.Token] = competingConsent{consent, c.RefreshToken}
		return connection.VerdictUnclear
	}
	if first.refresh != c.RefreshToken {
		return connection.VerdictNo // Slack has renewed it since
	}
	return connection.VerdictUnclear
}

// tryOut makes the token pair of h due, unless that is being tried already.
func (in *Installer) tryOut(ctx context.Context, h connection.TokenOwner, c connection.TokenPair) error {
	now := in.now()
	if c.Tries > 0 || !c.RenewAt.After(now) {
		return tokens.ErrUndecided
	}
	err := in.tokens.Pairs.Update(ctx, h, func(a connection.Access) error {
		if row := a.Pair(); row.Tries == 0 && row.RefreshToken == c.RefreshToken {
			row.RenewAt = now
		}
		return nil
	})
	return errors.Join(tokens.ErrUndecided, err)
}

// bringConsent stores a consent that the store could not take when it was given, unless a later one is in force, the app was
// removed since, or Slack does not take its token any more. All of that can happen while Slack is asked, so it is stored only
// over the row that was looked at.
func (in *Installer) bringConsent(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	c := *p.Connection
	if p.Standing != connection.Waiting { // renewed since, perhaps
		c.TokenPair = p.Tokens()
	}
	in.tokens.Pairs.Rehome(ctx, c.Key)
	seen, err := in.store.Lookup(ctx, c.Key)
	if err == nil && c.EnterpriseID == "" && seen.TeamID == c.TeamID {
		c.Key = seen.Key // it joined an organisation after this consent
	}
	isNew := errors.Is(err, connection.ErrNotFound) || err == nil && seen.Key != c.Key
	switch {
	case isNew:
	case err != nil:
		return p, "", err
	case seen.Token == p.Token: // it was stored, and the journal not told
		return p.StoredIn(&seen), tokens.FateStored, nil
	case p.Continues(seen.Row()):
		return in.tokens.Delivery.Offer(ctx, p)
	case p.SameGrant(seen.GrantID, seen.AuthorizedAt): // renewed since, or erased
		return p, "superseded", nil
	case seen.State == connection.Removed && !seen.StateSince.Before(c.AuthorizedAt):
		return p, "superseded", nil
	default:
		renewable := in.mode.renews(c.Key) && seen.State != connection.Paused
		switch in.outdates(p, seen.AuthorizedAt, seen.TokenPair, seen.Usable(), renewable) {
		case connection.VerdictNo:
			return p, "superseded", nil
		case connection.VerdictUnclear:
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
		if errors.Is(err, connection.ErrExists) {
			err = tokens.ErrUndecided
		}
	} else {
		now, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			if row.State != seen.State || row.Token != seen.Token || !row.AuthorizedAt.Equal(seen.AuthorizedAt) {
				return tokens.ErrUndecided
			}
			*row = row.Replaced(c)
			return nil
		})
	}
	if err == nil && p.Standing == connection.Kept {
		in.tokens.Delivery.Restored(ctx, p)
	}
	return p.StoredIn(&now), tokens.FateStored, err
}

// bringGrant is bringConsent for one person's token.
func (in *Installer) bringGrant(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	age := in.now().Sub(p.At)
	fresh := age >= 0 && age < storeBudget && p.Standing == connection.Waiting // straight from its callback
	seen, err := in.store.GetUser(ctx, p.TokenOwner)
	isNew := errors.Is(err, connection.ErrNotFound)
	works := seen.Token != "" && seen.Reason == connection.ReasonNone
	switch {
	case isNew:
	case err != nil:
		return p, "", err
	case seen.Token == p.Token:
		return p.StoredIn(&seen), tokens.FateStored, nil
	case p.Continues(seen.Row()):
		return in.tokens.Delivery.Offer(ctx, p)
	case p.SameGrant(seen.GrantID, seen.GrantedAt):
		return p, "superseded", nil
	case fresh: // the connection's own consent said that it counts
	default:
		switch in.outdates(p, seen.GrantedAt, seen.TokenPair, works, in.mode.renews(p.Key)) {
		case connection.VerdictNo:
			return p, "superseded", nil
		case connection.VerdictUnclear:
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
		if errors.Is(err, connection.ErrExists) {
			err = tokens.ErrUndecided
		}
	} else {
		_, err = in.store.UpdateUser(ctx, p.TokenOwner, func(row *connection.UserToken) error {
			if row.Token != seen.Token || !row.GrantedAt.Equal(seen.GrantedAt) {
				return tokens.ErrUndecided
			}
			u.ConnectionID = row.ConnectionID
			*row = u
			return nil
		})
		if errors.Is(err, connection.ErrNotFound) {
			err = tokens.ErrUndecided // erased meanwhile, perhaps this one with it
		}
	}
	if err != nil || fresh {
		return p.StoredIn(&u), tokens.FateStored, err
	}
	// Slack's word that the person took it back may have come while there was no row to erase.
	if _, fate, _ := in.stillGood(ctx, p); fate != "" {
		_, err = in.store.EraseUser(ctx, u, connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidUserRevoke, Outcome: connection.OutcomeDone})
		return p, fate, err
	}
	if p.Standing == connection.Kept {
		in.tokens.Delivery.Restored(ctx, p)
	}
	return p.StoredIn(&u), tokens.FateStored, nil
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
		err = fmt.Errorf("%w: %w", tokens.ErrUnasked, slackapi.Cause(err))
	}
	return id, "", err
}
