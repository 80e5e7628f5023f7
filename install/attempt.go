package install

// One try to install, as it is recorded: whoever comes back from Slack with a state that was used hears how that ended.

import (
	"errors"
	"time"

	"github.com/switchboard-go/switchboard/install/links"
)

// ErrStateUsed: the state was used before.
var ErrStateUsed = errors.New("state already used")

// Outcome is how an install attempt ended.
type Outcome string

// The outcomes. An attempt that never came back from Slack has none.
const (
	OutcomeConnected   Outcome = "connected"   // first install, or back after a removal
	OutcomeReconnected Outcome = "reconnected" // one row updated
	OutcomeRefused     Outcome = "refused"     // the person, their workspace or a rule of ours said no
	OutcomeFailed      Outcome = "failed"      // something broke
)

// Attempt is one try to install. It begins when Slack sends the browser back: until then it stands in the state alone.
type Attempt struct {
	Ref         string // short and speakable; shown on the page and written in the log
	StateHash   []byte // SHA-256 of what makes the state in the address the only one
	BrowserHash []byte // SHA-256 of the cookie of the browser that started
	AnswerHash  []byte // SHA-256 of what Slack sent it back with; empty until then
	StartedAt   time.Time
	ExpiresAt   time.Time // the state's, not the record's
	ReturnedAt  time.Time // zero until Slack sent the browser back
	EndedAt     time.Time

	TeamHint string // from ?team=T…: passed on to Slack, never trusted
	BoundTo  string // id of the connection that a link was made for; "" when any workspace will do
	LinkHash []byte // SHA-256 of the link's nonce; empty without a link. The link itself is not kept
	// LinkUntil is the link's end. It is not kept either: the state has it.
	LinkUntil time.Time
	Request   links.GrantRequest // what the link asked for, but for Stays
	Origin    string             // the address as the browser that started named it: scheme, if a proxy told, and host

	Outcome      Outcome
	Reason       string // a reason of outcomes.go
	ConnectionID string
	TeamID       string
	UserID       string
}
