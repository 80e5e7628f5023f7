package connection

// A bot and each person who lets the app act for them have a token pair of their own. What happens to a pair is the
// same for both. Here is what they do of it each in their own way.

import (
	"cmp"
	"time"
)

// Access is what Slack granted to one owner of a token pair: to the app's bot (*Connection), or to act for a person
// (*UserToken).
type Access interface {
	// Pair is its token pair, to be changed in place.
	Pair() *TokenPair
	// Row is what a Grant in the journal is compared with.
	Row() Row
	// Unreadable reports whether no key at hand opens its tokens.
	Unreadable() bool
	// NotRenewed notes what TokenPair.Failed said of a renewal (verdict). code is what Slack answered, "" for nothing.
	NotRenewed(verdict, code string, at time.Time)

	// renewed notes in it that its token pair went on with p.
	renewed(p Grant, line Change)
	// complete adds to p whose it is, by what is stored.
	complete(p *Grant)
}

var (
	_ Access = (*Connection)(nil)
	_ Access = (*UserToken)(nil)
)

// Resume has the token pair of a go on with p. why is for the history of a connection.
func Resume(a Access, p Grant, why string, at time.Time) {
	pair := a.Pair()
	line := pair.renewalLine(at)
	line.Outcome, line.Reason = OutcomeDone, why

	next := p.Tokens()
	next.Generation, next.GrantID = max(p.Generation, pair.Generation+1), pair.GrantID
	*pair = next
	a.renewed(p, line)
}

// renewalLine is a line of history about the renewal of c.
func (c TokenPair) renewalLine(at time.Time) Change {
	line := Change{At: at, By: Actor{Kind: BySwitchboard}, What: DidRenew}
	if c.RefreshToken == "" {
		line.What = DidExchange
	}
	return line
}

// Pair is c itself: what holds a token pair is an Access by it.
func (c *TokenPair) Pair() *TokenPair { return c }

// row is what a Row says of a token pair, which a consent of a time began.
func (c TokenPair) row(granted time.Time) Row {
	return Row{Erased: c.Token == "", GrantedAt: granted, Generation: c.Generation, GrantID: c.GrantID,
		RenewAt: c.RenewAt, Tries: c.Tries, Rejections: c.Rejections}
}

// Row is what a Grant in the journal is compared with.
func (c *Connection) Row() Row {
	row := c.row(c.AuthorizedAt)
	row.Removed = c.State == Removed
	return row
}

// Unreadable reports whether no key at hand opens the secrets of c.
func (c *Connection) Unreadable() bool { return c.Reason == ReasonUnreadable }

// NotRenewed notes why there is no new token pair. Of failures in a row it notes the first, those with another cause,
// and what changes the state.
func (c *Connection) NotRenewed(verdict, code string, at time.Time) {
	if c.State == Removed || c.State == Paused {
		return
	}

	state, reason := c.State, c.Reason
	switch {
	case verdict == DeadPair:
		c.SetState(ReconnectRequired, ReasonRefreshRejected, at)
	case verdict == FailingPair && c.RefreshToken != "" && (c.State == Active || c.State == Retrying):
		c.SetState(Retrying, ReasonRenewalFailing, at)
	}

	line := c.renewalLine(at)
	line.Outcome, line.Reason = OutcomeFail, cmp.Or(code, "no_answer")
	another := false
	if verdict != LimitedPair {
		another = code != "" && code != c.RenewalError
		c.RenewalError = line.Reason
	}
	if state != c.State || reason != c.Reason || c.Tries == 1 || another {
		c.Note(line)
	}
}

func (c *Connection) renewed(p Grant, line Change) {
	c.Recovered(p, line.At)
	c.Note(line)
}

func (c *Connection) complete(p *Grant) {
	whole := *c
	whole.TokenPair, whole.Changes = TokenPair{}, nil // p is the token pair
	p.TokenOwner.Key, p.GrantedAt, p.Connection = c.Key, c.AuthorizedAt, &whole
}

// Row is what a Grant in the journal is compared with.
func (u *UserToken) Row() Row { return u.row(u.GrantedAt) }

// Unreadable reports whether no key at hand opens the token.
func (u *UserToken) Unreadable() bool { return u.Reason == ReasonUnreadable }

// NotRenewed notes that the person is needed, once nothing else helps.
func (u *UserToken) NotRenewed(verdict, _ string, at time.Time) {
	if verdict != DeadPair {
		return
	}
	u.Reason = ReasonRefreshRejected
	line := u.renewalLine(at)
	line.Outcome, line.Reason = OutcomeFail, u.UserID
	u.Note(line)
}

func (u *UserToken) renewed(p Grant, line Change) {
	u.Recovered(p)
	line.Reason = u.UserID
	u.Note(line)
}

func (u *UserToken) complete(p *Grant) { p.TokenOwner, p.GrantedAt = u.TokenOwner, u.GrantedAt }
