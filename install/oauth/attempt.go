package oauth

// One try to install, as it is recorded: whoever comes back from Slack with a state that was used hears how that ended.

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

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
	Trace     string             // where the trace of the start is to go on; the state has it, too
	Origin    string             // the address as the browser that started named it: scheme, if a proxy told, and host

	Outcome      Outcome
	Reason       string // a reason of outcomes.go
	ConnectionID string
	TeamID       string
	UserID       string
}

// attemptOf is the try that s began, as it is recorded when it comes back.
func attemptOf(s links.State) Attempt {
	started := time.UnixMicro(s.Started).UTC()
	a := Attempt{
		Ref: s.Ref, StateHash: links.HashOf(s.Nonce), BrowserHash: s.Browser, TeamHint: s.TeamHint, Origin: s.Origin,
		Trace:     s.Trace,
		StartedAt: started, ExpiresAt: started.Add(links.StateLife),
	}
	if l := s.Link; l.Connection != "" {
		a.BoundTo, a.LinkHash, a.LinkUntil = l.Connection, links.HashOf(l.Nonce), time.Unix(l.Until, 0)
		a.Request = links.GrantRequest{Scopes: l.Scopes, Back: l.Back}
	}
	return a
}

// AttemptStore keeps tries to install.
type AttemptStore interface {
	// BeginAttempt records that a state was used, in one statement: of any number of callers, on all replicas, exactly
	// one gets nil. ErrStateUsed for the others. A state whose attempt has no ReturnedAt is recorded and still unused.
	BeginAttempt(ctx context.Context, a Attempt) error
	// GetAttempt returns the attempt of a state, and is a read. connection.ErrNotFound.
	GetAttempt(ctx context.Context, stateHash []byte) (Attempt, error)
	// EndAttempt writes outcome, reason and what became of it. Without a ReturnedAt the state can be used again.
	// connection.ErrNotFound.
	EndAttempt(ctx context.Context, a Attempt) error
	// SweepAttempts deletes attempts that started before kept, and those in which Slack named nobody (no UserID) and
	// that started before nameless. It returns how many.
	SweepAttempts(ctx context.Context, kept, nameless time.Time) (int64, error)
}

// records keeps how tries ended.
type records struct {
	*Config
	free *rate.Limiter // endings that cost nothing, see endedFree
}

// ended writes how an attempt ended that was begun (Store.BeginAttempt).
func (rs *records) ended(ctx context.Context, a Attempt, p *page) {
	rs.write(ctx, a, p, rs.Store.EndAttempt)
}

// Endings that cost no call to Slack can be had as often as somebody asks. Each process records so many of them, which
// is more than people bring about; the others are shown, logged and counted alone.
const (
	freeEvery = 2 * time.Second
	freeBurst = 100
)

// endedFree records an attempt that ended without a question to Slack, in one statement.
func (rs *records) endedFree(ctx context.Context, a Attempt, p *page) {
	if rs.free.AllowN(rs.Now(), 1) {
		rs.write(ctx, a, p, rs.Store.BeginAttempt)
	}
}

func (rs *records) write(ctx context.Context, a Attempt, p *page, write func(context.Context, Attempt) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordBudget) // the callback's own may be spent
	defer cancel()
	a.Outcome, a.Reason, a.EndedAt = p.outcome, p.Reason, rs.Now()
	if err := write(ctx, a); err != nil && !errors.Is(err, ErrStateUsed) {
		rs.Log.ErrorContext(ctx, "record install attempt", "ref", a.Ref, "cause", err)
	}
}
