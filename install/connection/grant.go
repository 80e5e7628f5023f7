package connection

// What Slack hands out it hands out once: these are the pairs that wait in the journal until the database has them, and how they
// compare with what it has.

import (
	"time"
)

// Grant is what Slack handed out and the store may not have yet. Slack hands it out once, so it is kept on this machine's
// disk (the journal) until the store has it.
type Grant struct {
	TokenOwner
	Spent   Secret // what it was given for; "" for a consent
	Token   Secret
	Refresh Secret
	Life    time.Duration // of Token
	At      time.Time     // when Slack answered
	Scopes  []string      // of Token, nil when Slack did not say

	Generation int64     // see TokenPair; of a consent 0 until it is stored
	GrantID    string    // see TokenPair
	GrantedAt  time.Time // of the consent that it goes back to; zero in entries of the release before
	// Consent is all that is known of the connection of a bot's pair, to store a consent and to make a lost row again.
	// Its own token pair is the pair.
	Consent   *Connection
	Journaled string // the entry's name in the journal, and how it stands there; neither is part of what is sealed
	Standing  Standing
}

// Standing is why a pair is in the journal.
type Standing int

// The standings, as the journal has them.
const (
	Waiting Standing = iota // the store may not have it yet
	Kept                    // it is stored, and its owner's newest here: for a commit that gets lost
	Aside                   // of another consent of the same time; a renewal shows which of them counts
)

// Row is what decides about a pair in the journal: what the store has of its owner.
type Row struct {
	Removed, Erased bool // the connection is removed; there is no token
	GrantedAt       time.Time
	Generation      int64
	GrantID         string
	RenewAt         time.Time // and these two as in TokenPair
	Tries           int
	Rejections      int
}

// IsDue reports whether a renewal is to come now, or could not be had yet.
func (r Row) IsDue(now time.Time) bool {
	return r.Tries > 0 || !r.RenewAt.IsZero() && !r.RenewAt.After(now)
}

// pair is the token pair that p continues or begins.
func (p Grant) Tokens() TokenPair {
	c := Started(p.Token, p.Refresh, p.Life, p.At)
	c.Generation, c.GrantID = p.Generation, p.GrantID
	return c
}

// ConsentAt is when the person consented that p goes back to.
func (p Grant) ConsentAt() time.Time {
	if p.GrantedAt.IsZero() {
		return p.At // a consent's own, in entries of the release before
	}
	return p.GrantedAt
}

// SameGrant reports whether p goes back to the consent in a row. Both the name and the time have to be the same: the
// release before writes a new consent under the old name.
func (p Grant) SameGrant(grant string, at time.Time) bool {
	return p.GrantID == grant && p.ConsentAt().Truncate(time.Microsecond).Equal(at)
}

// Continues reports whether p is what a row that lost a write would hold.
func (p Grant) Continues(r Row) bool {
	return p.Token != "" && p.SameGrant(r.GrantID, r.GrantedAt) && p.Generation > r.Generation && !r.Erased
}

// TokensIn is the pair of c, or of u where c is nil.
func TokensIn(c *Connection, u *UserToken) *TokenPair {
	if c != nil {
		return &c.TokenPair
	}
	return &u.TokenPair
}

// StoredIn is p as the row has it, to be kept in the journal.
func (p Grant) StoredIn(c *Connection, u *UserToken) Grant {
	row := TokensIn(c, u)
	p.Generation, p.GrantID, p.Token, p.Refresh = row.Generation, row.GrantID, row.Token, row.RefreshToken
	if p.Life == 0 && !row.ExpiresAt.IsZero() {
		p.Life = row.ExpiresAt.Sub(p.At)
	}
	if u != nil {
		p.TokenOwner, p.GrantedAt = u.TokenOwner, u.GrantedAt
		return p
	}
	whole := *c
	whole.TokenPair, whole.Changes = TokenPair{}, nil // p is the token pair
	p.TokenOwner.Key, p.GrantedAt, p.Consent = c.Key, c.AuthorizedAt, &whole
	return p
}

// RowOf is what a pair is compared with: the row of c, or of u where c is nil.
func RowOf(c *Connection, u *UserToken) Row {
	row := Row{}
	if c != nil {
		row = Row{Removed: c.State == Removed, GrantedAt: c.AuthorizedAt}
	} else {
		row.GrantedAt = u.GrantedAt
	}
	chain := TokensIn(c, u)
	row.Erased, row.Generation, row.GrantID = chain.Token == "", chain.Generation, chain.GrantID
	row.RenewAt, row.Tries, row.Rejections = chain.RenewAt, chain.Tries, chain.Rejections
	return row
}

// NewestOf returns which of these pairs the row would hold if nothing had been lost; false when that is none of them.
func NewestOf(kept []Grant, row Row) (newest Grant, lost bool) {
	for _, p := range kept {
		if p.Continues(row) && (!lost || p.Generation > newest.Generation) {
			newest, lost = p, true
		}
	}
	return newest, lost
}

// SameOwner reports whether a and b can be one, whose workspace joined an organisation in between.
func SameOwner(a, b TokenOwner) bool {
	a.EnterpriseID, b.EnterpriseID = "", ""
	return a == b && a.TeamID != ""
}

// Grant is the pair of a consent, which is c.
func (c Connection) Grant() Grant {
	p := Grant{TokenOwner: TokenOwner{Key: c.Key}, Token: c.Token, Refresh: c.RefreshToken, At: c.AuthorizedAt, Consent: &c,
		Generation: c.Generation, GrantID: c.GrantID, GrantedAt: c.AuthorizedAt}
	if !c.ExpiresAt.IsZero() {
		p.Life = c.ExpiresAt.Sub(p.At)
	}
	return p
}

// Grant is the pair of u as it is stored.
func (u UserToken) Grant() Grant {
	p := Grant{TokenOwner: u.TokenOwner, Token: u.Token, Refresh: u.RefreshToken, At: u.GrantedAt, Scopes: u.Scopes,
		Generation: u.Generation, GrantID: u.GrantID, GrantedAt: u.GrantedAt}
	if !u.ExpiresAt.IsZero() {
		p.Life = u.ExpiresAt.Sub(p.At)
	}
	return p
}
