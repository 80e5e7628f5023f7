package connection

// What Slack hands out it hands out once: these are the pairs that wait in the journal until the database has them,
// and how they compare with what it has.

import "time"

// Grant is what Slack handed out and the store might not have yet. Slack hands it out once, so it is kept on this
// machine's disk (the journal) until the store has it.
type Grant struct {
	TokenOwner
	Origin  Origin
	Token   Secret
	Refresh Secret
	Life    time.Duration // of Token
	At      time.Time     // when Slack answered
	Scopes  []string      // of Token, nil when Slack did not say

	Generation int64     // see TokenPair; of a consent 0 until it is stored
	GrantID    string    // see TokenPair
	GrantedAt  time.Time // of the consent that it goes back to; zero in entries of the release before
	// Connection is all that is known of the connection of a bot's pair, to store a consent and to make a lost row again.
	// Its own token pair is the pair. A person's has none, nor has a renewal of the release before.
	Connection *Connection

	// The entry's name in the journal, and how it stands there. Neither is part of what is sealed.
	Journaled string
	Standing  Standing
}

// Origin is how Slack came to hand out a Grant: a Renewal, a Consent, or Unopened where that can't be read.
type Origin interface{ isOrigin() }

type (
	// Renewal is the origin of a pair that was bought with another one's token.
	Renewal struct{ Spent Secret }
	// Consent is the origin of a pair that a person's consent brought: the app's, or their own.
	Consent struct{}
	// Unopened is the origin of an entry of the journal that no key at hand opens. Nothing is known of it but its
	// owner, its name, when it was written and how it stands.
	Unopened struct{}
)

func (Renewal) isOrigin()  {}
func (Consent) isOrigin()  {}
func (Unopened) isOrigin() {}

// Opened reports whether p has tokens in it, and not just a name.
func (p Grant) Opened() bool { return p.Origin != Unopened{} }

// Spent is what a renewal spent for p, and "" for all else.
func (p Grant) Spent() Secret {
	renewal, _ := p.Origin.(Renewal)
	return renewal.Spent
}

// Standing is why a pair is in the journal.
type Standing int

// The standings, as the journal has them.
const (
	Waiting Standing = iota // the store might not have it yet
	Kept                    // it is stored, and its owner's newest here: for a commit that gets lost
	Aside                   // of another consent of the same time. A renewal shows which of them counts
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

// Tokens is the token pair that p continues or begins.
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
	return p.Opened() && p.SameGrant(r.GrantID, r.GrantedAt) && p.Generation > r.Generation && !r.Erased
}

// StoredIn is p as a has it in the store, to be kept in the journal.
func (p Grant) StoredIn(a Access) Grant {
	row := a.Pair()
	p.Generation, p.GrantID, p.Token, p.Refresh = row.Generation, row.GrantID, row.Token, row.RefreshToken
	if p.Life == 0 && !row.ExpiresAt.IsZero() {
		p.Life = row.ExpiresAt.Sub(p.At)
	}
	a.complete(&p)
	return p
}

// NewestOf returns which of these pairs the row would hold if nothing had been lost, and false when that is none of
// them.
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
	p := c.grant(TokenOwner{Key: c.Key}, c.AuthorizedAt)
	p.Connection = &c
	return p
}

// Grant is the pair of u as it is stored.
func (u UserToken) Grant() Grant {
	p := u.grant(u.TokenOwner, u.GrantedAt)
	p.Scopes = u.Scopes
	return p
}

// grant is the pair of a consent of a time.
func (c TokenPair) grant(of TokenOwner, at time.Time) Grant {
	p := Grant{TokenOwner: of, Origin: Consent{}, Token: c.Token, Refresh: c.RefreshToken, At: at,
		Generation: c.Generation, GrantID: c.GrantID, GrantedAt: at}
	if !c.ExpiresAt.IsZero() {
		p.Life = c.ExpiresAt.Sub(at)
	}
	return p
}

// Verdict is an answer that may have to wait.
type Verdict int

// The verdicts.
const (
	VerdictUnclear Verdict = iota
	VerdictYes
	VerdictNo
)

// String is the verdict in a word.
func (v Verdict) String() string { return [...]string{"unclear", "yes", "no"}[v] }
