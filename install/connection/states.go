package connection

// What an answer of Slack's makes of a connection. Nothing here asks anybody.

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/words"
)

// Shown is the state that people are shown of c, and the reason code, by what is stored: one that works with less than
// the app needs is Limited.
func (c Connection) Shown(needed []Scope) (State, string) {
	if c.State == Active && len(c.Missing(needed)) > 0 {
		return Limited, ReasonMissingScope
	}
	return c.State, c.Reason
}

// CheckInterval is how often Slack is asked about a connection that works.
const CheckInterval = 6 * time.Hour

// ReasonText says a reason code in words; "" when there are none for it.
func ReasonText(said *words.Sentences, code string) string {
	text, _ := said.Find("connections.reason." + code)
	return text
}

// RenewalTrouble reports whether a reason is about what the next token is bought with. A token of now that works says
// nothing against it.
func RenewalTrouble(reason string) bool {
	return reason == ReasonRenewalFailing || reason == ReasonRefreshRejected
}

// Judge changes c by what auth.test said of its token at a time: who it is, or an error code that is decisive. It may
// run twice.
func (c *Connection) Judge(id Identity, code string, at time.Time) {
	if c.State == Paused || c.State == Removed {
		return
	}

	state, reason := c.State, c.Reason
	if code == "" {
		c.Works(id.Scopes, at)
		c.TeamName, c.TeamURL = cmp.Or(id.Team, c.TeamName), cmp.Or(id.URL, c.TeamURL)
	} else if !c.Dead() || code == ReasonAccountInactive {
		c.refused(code, at)
	}

	if c.Dead() && c.State != Removed {
		c.SetState(ReconnectRequired, ReasonRefreshRejected, at) // nothing that a token of now says is stronger
	}

	c.CheckAt = NextCheck(c.State, c.StateSince, at)
	c.NoteState(state, reason, at)
}

// lateAnswer bounds how much older than what is written down an answer of Slack's can be and still be out of date:
// calls take less. What differs by more differs because a clock was set.
const lateAnswer = time.Minute

// late reports whether a call that was sent at a time is older than what is known since then.
func late(at, since time.Time) bool {
	by := since.Sub(at)
	return by > 0 && by < lateAnswer
}

// Works is what a call says of c that Slack accepted the token for. at is when it was sent: the answer is no older
// than that, and of two that overlap nothing says which is newer.
func (c *Connection) Works(scopes []string, at time.Time) {
	if late(at, c.CheckedAt) {
		return // the answer to a later call was written down first
	}
	c.CheckedAt = at
	if (c.State == Retrying || c.State == ReconnectRequired) && !RenewalTrouble(c.Reason) && !c.Dead() &&
		!late(at, c.StateSince) { // what came of a later call is not undone by this one
		c.SetState(Active, ReasonNone, at)
	}
	c.grantedNow(scopes, at)
}

// grantedNow keeps the permissions that the token has today, if Slack said; an admin may have changed them.
func (c *Connection) grantedNow(scopes []string, at time.Time) {
	if len(scopes) == 0 || slices.Equal(scopes, c.Scopes) {
		return
	}
	c.Note(Change{At: at, By: Actor{Kind: BySlack}, What: DidPermissions, Outcome: OutcomeDone,
		Reason: permissionsApart(c.Scopes, scopes)})
	c.Beginnings = noteScopes(c.Beginnings, c.Scopes, scopes, at)
	c.Scopes = scopes
}

// refused is what Slack's error code, about the token, makes of c.
func (c *Connection) refused(code string, at time.Time) {
	switch code {
	case ReasonAccountInactive:
		// The token of an app that is gone. It never works again, so it is not kept.
		c.Erase(Removed, code, at)
	case ReasonTokenExpired:
		switch {
		case c.RefreshToken == "":
			c.SetState(ReconnectRequired, code, at)
		case !c.Dead():
			if !c.BacksOff(at) {
				c.RenewAt = at // by whoever comes first
			}
			c.SetState(Retrying, ReasonRenewalFailing, at)
		}
	case ReasonTokenRevoked:
		c.SetState(ReconnectRequired, code, at)
	case ReasonNotAdded: // it is about one workspace of the organisation
	case ReasonInvalidAuth:
		// It is also what a caller outside the app's allowed addresses gets, so one answer kills nothing.
		doubted := c.State == Retrying && c.Reason == ReasonInvalidAuth && at.Sub(c.StateSince) >= time.Minute
		if doubted || c.State == ReconnectRequired {
			c.SetState(ReconnectRequired, code, at)
		} else {
			c.SetState(Retrying, code, at)
		}
	default:
		if c.State != ReconnectRequired {
			c.SetState(Retrying, code, at)
		}
	}
}

// NoteState writes a line about what became of the state, if it changed.
func (c *Connection) NoteState(state State, reason string, at time.Time) {
	if c.State == state && c.Reason == reason {
		return
	}
	line := Change{At: at, By: Actor{Kind: BySlack}, What: DidCheck, Outcome: OutcomeFail, Reason: c.Reason}
	switch c.State {
	case Active:
		line.Outcome = OutcomeWorking
	case Removed:
		line.What, line.Outcome = DidRemove, OutcomeDone
	}
	c.Note(line)
}

// CheckAgain is how long after a check that came to nothing the next one comes.
const CheckAgain = 5 * time.Minute

// NextCheck is when to ask again about a connection that has been in a state since a time: trouble is looked at soon,
// then ever more seldom.
func NextCheck(s State, since, at time.Time) time.Time {
	wait := CheckInterval
	if s == Retrying || s == ReconnectRequired {
		wait = min(max(at.Sub(since), 90*time.Second), CheckInterval)
	}
	return at.Add(wait + rand.N(wait/10))
}

// Recovered brings into c what a good renewal says of a connection.
func (c *Connection) Recovered(p Grant, at time.Time) {
	c.grantedNow(p.Scopes, p.At)
	switch c.Reason {
	case ReasonRenewalFailing, ReasonRefreshRejected, ReasonTokenExpired:
		if c.State == Retrying || c.State == ReconnectRequired {
			c.SetState(Active, ReasonNone, at)
		}
	}
}

// AwaitsScopes reports whether somebody was told of what people ask for, and it is not allowed yet as far as is known.
func (c *Connection) AwaitsScopes() bool {
	return c.Notice.Reason == ReasonMissingScope && c.Notice.At.IsZero()
}

// AskLater is the mark on a connection that somebody is to be asked for permissions that the app needs now.
func AskLater(scopes []string) Notice {
	return Notice{Reason: ReasonMissingScope, Channel: toAsk + strings.Join(scopes, ",")}
}

// toAsk begins what stands in a notice's Channel as long as there is no message.
const toAsk = "ask:"

// ToAsk are the permissions that somebody is to be asked for; nil when the notice is no such mark.
func (n Notice) ToAsk() []string {
	if scopes, is := strings.CutPrefix(n.Channel, toAsk); is && n.TS == "" {
		return strings.Split(scopes, ",")
	}
	return nil
}

// Removal is Slack's word that the app (ReasonUninstalled) or its bot token alone (ReasonTokenRevoked) is gone.
type Removal struct {
	Reason string
	At     time.Time // event_time, whole seconds of Slack's clock
}

// Identity is what auth.test says of a token. slack-go's type lacks half of it.
// https://docs.slack.dev/reference/methods/auth.test
type Identity struct {
	URL                 string `json:"url"`
	Team                string `json:"team"`
	TeamID              string `json:"team_id"` // the E… id for an organisation's token
	UserID              string `json:"user_id"`
	BotID               string `json:"bot_id"` // "" for a token that is not a bot's
	EnterpriseID        string `json:"enterprise_id"`
	IsEnterpriseInstall bool   `json:"is_enterprise_install"`
	AppID               string `json:"app_id"`
	ExpiresIn           int    `json:"expires_in"` // seconds; 0: does not expire
	Scopes              []string
}

// DecisiveCode reports whether an error code says something about the token, as against Slack or the network having
// trouble. "": Slack said nothing.
func DecisiveCode(code string) bool {
	switch code {
	case "", "ratelimited", "internal_error", "fatal_error", "service_unavailable", "server_error", "request_timeout",
		"not_authed":
		return false
	}
	return true
}
