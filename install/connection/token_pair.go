package connection

// Rotating tokens come as a token pair: an access token that ends after hours, and a refresh token that buys the next
// pair once. A bot has one for each connection, and each person who let the app act for them has one. No two share a
// fate. https://docs.slack.dev/authentication/using-token-rotation

import (
	"cmp"
	"math/rand/v2"
	"time"
)

const (
	// Rejections by Slack until a refresh token is taken for dead, and the pause between them: the process whose exchange
	// spent it can still be about to store what it got.
	rejectionsToBelieve = 2
	rejectionPause      = 30 * time.Second
	usualLife           = 12 * time.Hour // of Slack's access tokens, always so far
	configBackoff       = time.Minute    // a wrong client secret is the operator's to fix, who wants to see it work soon

	// LongestWait is the longest that anything waits because somebody else said so, Slack's Retry-After included: an
	// answer that asks for days is a mistake, or not Slack's.
	LongestWait = 15 * time.Minute
	// LeaseLife is how long one caller can be renewing a pair: its budget's statement, the exchange and a quick
	// store. It is short, because the refresh token of a process that died between Slack's answer and its journal can
	// be saved only within Slack's unpublished grace.
	LeaseLife = 30 * time.Second
)

// TokenOwner names one token pair.
type TokenOwner struct {
	Key
	UserID string // the person it acts for; "" is the connection's bot
}

// TokenPair is the token of now and what the next one is bought with. Without a refresh token it is a long-lived
// token, as apps get them that have token rotation off.
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
	// GrantID names the consent that the token pair goes back to, together with that consent's time: the release
	// before knows no names.
	GrantID string
}

// Dead reports whether nothing but a person's consent brings another token: Slack has said often enough that it does
// not know the refresh token.
func (c TokenPair) Dead() bool { return c.Rejections >= rejectionsToBelieve }

// BacksOff reports whether a renewal failed and the next try is still to come.
func (c TokenPair) BacksOff(now time.Time) bool { return c.Tries > 0 && c.RenewAt.After(now) }

// Beyond reports whether RenewAt is further ahead than a right clock puts it: two thirds into a token's life and a bit.
// Of tokens that live longer than Slack's do today, the time from RenewAt to their end tells how long that is: at least
// 7/24 of it.
func (c TokenPair) Beyond(now time.Time) bool {
	most := max(FurthestRenewal, c.ExpiresAt.Sub(c.RenewAt)*18/7)
	return c.RenewAt.Before(neverRenew) && c.RenewAt.Sub(now) > most
}

// Due reports whether a renewal is due by the clock.
func (c TokenPair) Due(now time.Time) bool {
	return !c.RenewAt.IsZero() && (!c.RenewAt.After(now) || c.Beyond(now))
}

// Ended reports whether the access token no longer works at a time.
func (c TokenPair) Ended(at time.Time) bool { return !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(at) }

// Spendable is what the next pair is bought with: the refresh token, or for the move to rotation the long-lived token.
func (c TokenPair) Spendable() Secret {
	return cmp.Or(c.RefreshToken, c.Token)
}

// Started is a token pair that begins with what Slack handed out at a time. life is the token's. 0: Slack did not
// say, which is for ever without a refresh token, and the usual life with one.
func Started(token, refresh Secret, life time.Duration, at time.Time) TokenPair {
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

// Imported is the token pair of tokens that were brought from elsewhere, another program's records for example.
// expiresAt is when token ends; zero: not known, or never. A token with a refresh token is renewed ahead of its end:
// a third of the usual life before it, or within a usual life of at, the time of the import, when the end is not
// known.
func Imported(token, refresh Secret, expiresAt, at time.Time) TokenPair {
	c := Started(token, refresh, 0, at)
	if !expiresAt.IsZero() {
		c.ExpiresAt = expiresAt
		if refresh != "" {
			c.RenewAt = renewalTime(expiresAt.Add(-usualLife), usualLife)
		}
	}
	return c
}

// TakenOver is Imported for the tokens of a program that gives its work to this one: it must not renew them any longer,
// so they are due right away.
func TakenOver(token, refresh Secret, expiresAt, at time.Time) TokenPair {
	c := Imported(token, refresh, expiresAt, at)
	if refresh != "" {
		c.RenewAt = at
	}
	return c
}

// ObtainedAt is when Slack handed out c, as far as that can be told: a usual life before its end, or else with the
// consent of a time.
func (c TokenPair) ObtainedAt(consent time.Time) time.Time {
	if c.RefreshToken == "" || c.ExpiresAt.IsZero() {
		return consent
	}
	return c.ExpiresAt.Add(-usualLife)
}

// renewalTime is two thirds into a token's life, give or take a twenty-fourth of it (half an hour of Slack's twelve),
// so that connections which began together do not stay together.
func renewalTime(at time.Time, life time.Duration) time.Time {
	jitter := time.Duration(0)
	if spread := int64(life / 12); spread > 0 {
		jitter = time.Duration(rand.Int64N(spread)) - life/24
	}
	return at.Add(life*2/3 + jitter)
}

// neverRenew is later than any renewal: for a long-lived token that cannot be exchanged (again).
var neverRenew = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Waits puts off a renewal for as long as Slack asked to wait.
func (c *TokenPair) Waits(wait time.Duration, now time.Time) {
	c.RenewAt = now.Add(wait + time.Second + rand.N(5*time.Second)) // the budget opens at the end of the wait
}

// Failed notes a failed renewal in c and says what it means. code is what Slack answered, "" for nothing.
func (c *TokenPair) Failed(code string, now time.Time) string {
	if c.Tries++; c.Tries == 1 {
		c.FailingSince = now
	}

	exchange := c.RefreshToken == ""
	switch {
	case !exchange && Rejects(code):
		if c.Rejections++; c.Dead() {
			c.RenewAt = time.Time{}
			return DeadPair
		}
		c.RenewAt = now.Add(rejectionPause)
	case exchange && (code == "token_already_exchanged" || code == "invalid_token" || code == "authorization_not_found" ||
		code == "not_allowed_token_type"):
		c.RenewAt = neverRenew
		return leftPair
	case DecisiveCode(code): // bad_client_secret, token_rotation_not_enabled, org_login_required …
		c.RenewAt = now.Add(configBackoff + rand.N(configBackoff/4))
	default:
		// 2, 4, 8 … s: the first again is quick, because an answer that was lost can be had again only within the grace.
		longest := LongestWait
		if c.Ended(now) {
			longest = time.Minute // people wait for it
		}
		wait := min(time.Second<<min(c.Tries, 12), longest)
		c.RenewAt = now.Add(wait + rand.N(wait/4))
	}
	return FailingPair
}

// Rejects reports whether an error code of oauth.v2.access says that a refresh token buys nothing any longer. The
// first is the documented one, the second RFC 6749's. The others are what Slack says of a token whose app or
// workspace is gone.
func Rejects(code string) bool {
	switch code {
	case "invalid_refresh_token", "invalid_grant", "invalid_token", ReasonTokenRevoked, ReasonTokenExpired,
		ReasonAccountInactive, "authorization_not_found":
		return true
	}
	return false
}

// What a failed renewal makes of a token pair.
const (
	LimitedPair = "limited" // Slack asked us to slow down
	FailingPair = "failing" // trouble that can pass
	leftPair    = "left"    // a long-lived token that Slack does not exchange; it works on
	DeadPair    = "dead"    // nothing but a person helps
)

// UserToken lets the app act for one person, who granted user scopes. It hangs on a connection, and has a token pair
// of its own.
type UserToken struct {
	TokenOwner
	ConnectionID string
	Scopes       []string // sorted
	TokenPair
	Reason    string // why it needs the person again; "" when all is well
	GrantedAt time.Time

	Changes []Change // lines for the history of the connection, written with the next write
}

// Note adds a line of history, to be written together with what it is about.
func (u *UserToken) Note(c Change) { u.Changes = append(u.Changes, c) }

// Recovered notes that p is in force, so that the person isn't needed any longer.
func (u *UserToken) Recovered(p Grant) {
	u.Reason = ReasonNone
	if len(p.Scopes) > 0 {
		u.Scopes = p.Scopes
	}
}
