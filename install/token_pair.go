package install

// Rotating tokens come as a token pair: an access token that ends after hours, and a refresh token that buys the next pair once.
// A bot has one for each connection, and each person who let the app act for them has one; no two share a fate.
// https://docs.slack.dev/authentication/using-token-rotation

import (
	"math/rand/v2"
	"time"
)

const (
	// Rejections by Slack until a refresh token is taken for dead, and the pause between them: the process whose exchange
	// spent it may still be about to store what it got.
	rejectionsToBelieve = 2
	rejectionPause      = 30 * time.Second
	usualLife           = 12 * time.Hour // of Slack's access tokens, always so far
	configBackoff       = time.Minute    // a wrong client secret is the operator's to fix, who wants to see it work soon

	// LongestWait is the longest that anything waits because somebody else said so, Slack's Retry-After included: an answer
	// that asks for days is a mistake, or not Slack's.
	LongestWait = 15 * time.Minute
	// leaseLife is how long one caller may be renewing a pair: its budget's statement, the exchange and a quick store. It is
	// short, because the refresh token of a process that died between Slack's answer and its journal can be saved only
	// within Slack's unpublished grace.
	leaseLife = 30 * time.Second
)

// TokenOwner names one token pair.
type TokenOwner struct {
	Key
	UserID string // the person it acts for; "" is the connection's bot
}

// TokenPair is the token of now and what the next one is bought with. Without a refresh token it is a long-lived token, as apps
// get them that have token rotation off.
type TokenPair struct {
	Token        Secret
	RefreshToken Secret
	ExpiresAt    time.Time // zero: the token does not expire
	RenewAt      time.Time // when to renew it; zero: never
	LeaseUntil   time.Time // one caller is renewing it until then; zero: nobody is
	Tries        int       // renewals that failed since the last good one
	FailingSince time.Time // the first of them
	Rejections   int       // those of them in which Slack did not know the refresh token

	// Generation is raised by each consent and each renewal, so that of two pairs the newer is known. 0: from before it
	// was counted.
	Generation int64
	// GrantID names the consent that the token pair goes back to, together with that consent's time: the release before knows
	// no names.
	GrantID string
}

// dead reports whether nothing but a person's consent brings another token: Slack has said often enough that it does not know
// the refresh token.
func (c TokenPair) dead() bool { return c.Rejections >= rejectionsToBelieve }

// backsOff reports whether a renewal failed and the next try is still to come.
func (c TokenPair) backsOff(now time.Time) bool { return c.Tries > 0 && c.RenewAt.After(now) }

// beyond reports whether RenewAt is further ahead than a right clock puts it: two thirds into a token's life and a bit.
// Of tokens that live longer than Slack's do today, the time from RenewAt to their end tells how long that is: at least
// 7/24 of it.
func (c TokenPair) beyond(now time.Time) bool {
	most := max(FurthestRenewal, c.ExpiresAt.Sub(c.RenewAt)*18/7)
	return c.RenewAt.Before(neverRenew) && c.RenewAt.Sub(now) > most
}

// due reports whether a renewal is due by the clock.
func (c TokenPair) due(now time.Time) bool {
	return !c.RenewAt.IsZero() && (!c.RenewAt.After(now) || c.beyond(now))
}

// ended reports whether the access token does not work any more at a time.
func (c TokenPair) ended(at time.Time) bool { return !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(at) }

// spendable is what the next pair is bought with: the refresh token, or for the move to rotation the long-lived token.
func (c TokenPair) spendable() Secret {
	if c.RefreshToken != "" {
		return c.RefreshToken
	}
	return c.Token
}

// started is a token pair that begins with what Slack handed out at a time. life is the token's; 0: Slack did not say, which
// is for ever without a refresh token, and the usual life with one.
func started(token, refresh Secret, life time.Duration, at time.Time) TokenPair {
	c := TokenPair{Token: token, RefreshToken: refresh}
	if life <= 0 && refresh != "" {
		life = usualLife
	}
	if life > 0 {
		c.ExpiresAt = at.Add(life)
		if refresh != "" {
			c.RenewAt = renewalTime(at, life)
		}
	}
	return c
}

// Imported is the token pair of tokens that were brought from elsewhere, another program's records for example. expiresAt is
// when token ends; zero: not known, or never. A token with a refresh token is renewed ahead of its end: a third of the
// usual life before it, or within a usual life of at, the time of the import, when the end is not known.
func Imported(token, refresh Secret, expiresAt, at time.Time) TokenPair {
	c := started(token, refresh, 0, at)
	if !expiresAt.IsZero() {
		c.ExpiresAt = expiresAt
		if refresh != "" {
			c.RenewAt = renewalTime(expiresAt.Add(-usualLife), usualLife)
		}
	}
	return c
}

// pair is the token pair that p continues or begins.
func (p Grant) tokens() TokenPair {
	c := started(p.Token, p.Refresh, p.Life, p.At)
	c.Generation, c.GrantID = p.Generation, p.GrantID
	return c
}

// renewalTime is two thirds into a token's life, give or take a twenty-fourth of it (half an hour of Slack's twelve), so
// that connections which began together do not stay together.
func renewalTime(at time.Time, life time.Duration) time.Time {
	jitter := time.Duration(0)
	if spread := int64(life / 12); spread > 0 {
		jitter = time.Duration(rand.Int64N(spread)) - life/24
	}
	return at.Add(life*2/3 + jitter)
}

// Grant is what Slack handed out and the store may not have yet. Slack hands it out once, so it is kept on this machine's
// disk (Store.Journal) until the store has it.
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

// isDue reports whether a renewal is to come now, or could not be had yet.
func (r Row) isDue(now time.Time) bool {
	return r.Tries > 0 || !r.RenewAt.IsZero() && !r.RenewAt.After(now)
}

// consentAt is when the person consented that p goes back to.
func (p Grant) consentAt() time.Time {
	if p.GrantedAt.IsZero() {
		return p.At // a consent's own, in entries of the release before
	}
	return p.GrantedAt
}

// sameGrant reports whether p goes back to the consent in a row. Both the name and the time have to be the same: the
// release before writes a new consent under the old name.
func (p Grant) sameGrant(grant string, at time.Time) bool {
	return p.GrantID == grant && p.consentAt().Truncate(time.Microsecond).Equal(at)
}

// continues reports whether p is what a row that lost a write would hold.
func (p Grant) continues(r Row) bool {
	return p.Token != "" && p.sameGrant(r.GrantID, r.GrantedAt) && p.Generation > r.Generation && !r.Erased
}

// UserToken lets the app act for one person, who granted user scopes. It hangs on a connection, and has a token pair of its own.
type UserToken struct {
	TokenOwner
	ConnectionID string
	Scopes       []string // sorted
	TokenPair
	Reason    string // why it needs the person again; "" when all is well
	GrantedAt time.Time

	Changes []Change // lines for the history of the connection, written with the next write
}

// grant is the pair of u as it is stored.
func (u UserToken) grant() Grant {
	p := Grant{TokenOwner: u.TokenOwner, Token: u.Token, Refresh: u.RefreshToken, At: u.GrantedAt, Scopes: u.Scopes,
		Generation: u.Generation, GrantID: u.GrantID, GrantedAt: u.GrantedAt}
	if !u.ExpiresAt.IsZero() {
		p.Life = u.ExpiresAt.Sub(p.At)
	}
	return p
}

// Note adds a line of history, to be written together with what it is about.
func (u *UserToken) Note(c Change) { u.Changes = append(u.Changes, c) }

// neverRenew is later than any renewal: for a long-lived token that cannot be exchanged (again).
var neverRenew = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// waits puts off a renewal for as long as Slack asked to wait.
func (c *TokenPair) waits(wait time.Duration, now time.Time) {
	c.RenewAt = now.Add(wait + time.Second + rand.N(5*time.Second)) // the budget opens at the end of the wait
}

// failed notes a failed renewal in c and says what it means. code is what Slack answered, "" for nothing.
func (c *TokenPair) failed(code string, now time.Time) string {
	if c.Tries++; c.Tries == 1 {
		c.FailingSince = now
	}
	exchange := c.RefreshToken == ""
	switch {
	case !exchange && rejects(code):
		if c.Rejections++; c.dead() {
			c.RenewAt = time.Time{}
			return deadPair
		}
		c.RenewAt = now.Add(rejectionPause)
	case exchange && (code == "token_already_exchanged" || code == "invalid_token" || code == "authorization_not_found" || code == "not_allowed_token_type"):
		c.RenewAt = neverRenew
		return leftPair
	case decisiveCode(code): // bad_client_secret, token_rotation_not_enabled, org_login_required …
		c.RenewAt = now.Add(configBackoff + rand.N(configBackoff/4))
	default:
		// 2, 4, 8 … s: the first again is quick, because an answer that was lost can be had again only within the grace.
		longest := LongestWait
		if c.ended(now) {
			longest = time.Minute // people wait for it
		}
		wait := min(time.Second<<min(c.Tries, 12), longest)
		c.RenewAt = now.Add(wait + rand.N(wait/4))
	}
	return failingPair
}

// rejects reports whether an error code of oauth.v2.access says that a refresh token buys nothing any more. The first is the
// documented one, the second RFC 6749's; the others are what Slack says of a token whose app or workspace is gone.
func rejects(code string) bool {
	switch code {
	case "invalid_refresh_token", "invalid_grant", "invalid_token", ReasonTokenRevoked, ReasonTokenExpired, ReasonAccountInactive, "authorization_not_found":
		return true
	}
	return false
}

// What a failed renewal makes of a token pair.
const (
	limitedPair = "limited" // Slack asked us to slow down
	failingPair = "failing" // trouble that can pass
	leftPair    = "left"    // a long-lived token that Slack does not exchange; it works on
	deadPair    = "dead"    // nothing but a person helps
)

func tokensIn(c *Connection, u *UserToken) *TokenPair {
	if c != nil {
		return &c.TokenPair
	}
	return &u.TokenPair
}

// storedIn is p as the row has it, to be kept in the journal.
func (p Grant) storedIn(c *Connection, u *UserToken) Grant {
	row := tokensIn(c, u)
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

func rowOf(c *Connection, u *UserToken) Row {
	row := Row{}
	if c != nil {
		row = Row{Removed: c.State == Removed, GrantedAt: c.AuthorizedAt}
	} else {
		row.GrantedAt = u.GrantedAt
	}
	chain := tokensIn(c, u)
	row.Erased, row.Generation, row.GrantID = chain.Token == "", chain.Generation, chain.GrantID
	row.RenewAt, row.Tries, row.Rejections = chain.RenewAt, chain.Tries, chain.Rejections
	return row
}

// newestOf returns which of these pairs the row would hold if nothing had been lost; false when that is none of them.
func newestOf(kept []Grant, row Row) (newest Grant, lost bool) {
	for _, p := range kept {
		if p.continues(row) && (!lost || p.Generation > newest.Generation) {
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

// grant is the pair of a consent, which is c.
func (c Connection) grant() Grant {
	p := Grant{TokenOwner: TokenOwner{Key: c.Key}, Token: c.Token, Refresh: c.RefreshToken, At: c.AuthorizedAt, Consent: &c,
		Generation: c.Generation, GrantID: c.GrantID, GrantedAt: c.AuthorizedAt}
	if !c.ExpiresAt.IsZero() {
		p.Life = c.ExpiresAt.Sub(p.At)
	}
	return p
}

// Mark is a place in the order of what is stored. 0 is before everything.
type Mark int64

// How far ahead of now times can be that are written by a right clock. What is further ahead was written by a broken
// one, and is not believed: it counts as due, over or unspent.
const (
	FurthestRenewal = usualLife * 3 / 4 // of RenewAt, see beyond
	FurthestCheck   = 7 * time.Hour     // of CheckAt: every six hours, and a tenth
	LongestLease    = 2 * leaseLife     // of LeaseUntil
	LongestClosure  = LongestWait       // of a budget that Slack closed
	ClockSlack      = time.Minute       // of what happened: replicas agree to less
)

// recent reports whether what happened at a time is less than d old. What is still to come can't have happened: a clock
// was wrong, and it counts as old.
func recent(at, now time.Time, d time.Duration) bool {
	age := now.Sub(at)
	return age < d && age > -ClockSlack
}
