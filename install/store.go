package install

// The store is the one thing this package asks of others: a place for connections and install attempts, on PostgreSQL
// or SQLite (package storage).

import (
	"context"
	"errors"
	"time"
)

// What callers of a Store branch on.
var (
	// ErrNotFound: there is no such connection or attempt.
	ErrNotFound = errors.New("not found")
	// ErrStateUsed: the state was consumed before. TakeAttempt returns the attempt along with it.
	ErrStateUsed = errors.New("state already used")
	// ErrStateExpired: the state was never consumed and is too old. TakeAttempt returns the attempt along with it.
	ErrStateExpired = errors.New("state expired")
	// ErrOtherBrowser: the state is good, and was started in another browser, which can still use it.
	ErrOtherBrowser = errors.New("state belongs to another browser")
)

// Store keeps connections and install attempts. Its methods may be called from any number of goroutines and processes at
// once; each blocks until the database answered or ctx ended. Errors other than those named are the database's trouble.
type Store interface {
	// Put makes c the connection of c.Key, in one statement or transaction that is right under any concurrency: one row,
	// one id. A new row gets an id, CreatedAt = c.InstalledAt and Installs = 1; an existing row becomes what its Consent
	// method says. It returns the row as it now is, and as it was before (nil: there was none).
	Put(ctx context.Context, c Connection) (now Connection, before *Connection, err error)
	// Find returns the connection that answers for k. A key without a team means the organisation-wide row and no other.
	// Else: the exact row; a row of the same app and team under another or no enterprise (the workspace moved into or out
	// of a Grid); the organisation's row. A removed row is returned only when no other fits. ErrNotFound.
	// A row whose secrets cannot be opened comes back without them, in state ReconnectRequired, reason ReasonUnreadable.
	Find(ctx context.Context, k Key) (Connection, error)
	// FindID is Find by the connection's public id, removed or not. ErrNotFound.
	FindID(ctx context.Context, id string) (Connection, error)
	// List returns all connections without their secrets, in the states that Find would give, ordered by TeamName and ID.
	List(ctx context.Context) ([]Connection, error)
	// Doubted is List for those with a Doubt.
	Doubted(ctx context.Context) ([]Connection, error)
	// Update reads the row of exactly k, calls fn, and writes what fn changed; nobody else's write in between is lost. fn
	// may run more than once and must touch nothing but c; its error ends the update and comes back. ErrNotFound.
	Update(ctx context.Context, k Key, fn func(c *Connection) error) (Connection, error)

	// StartAttempt keeps a new attempt. Its StateHash must be new.
	StartAttempt(ctx context.Context, a Attempt) error
	// TakeAttempt consumes the state that r brings back, in one statement: of any number of callers exactly one gets it
	// without an error. ErrNotFound, ErrStateUsed, ErrStateExpired, ErrOtherBrowser; with the last three the attempt comes
	// along, and nothing was consumed.
	TakeAttempt(ctx context.Context, r Return) (Attempt, error)
	// EndAttempt writes outcome, reason and what became of it. ErrNotFound.
	EndAttempt(ctx context.Context, a Attempt) error
	// Attempts returns the newest attempts, newest first, at most n.
	Attempts(ctx context.Context, n int) ([]Attempt, error)
	// SweepAttempts deletes attempts that started before kept, and those that never came back from Slack and started
	// before abandoned. It returns how many.
	SweepAttempts(ctx context.Context, kept, abandoned time.Time) (int64, error)

	// Ready reports whether the database answers and has the schema this program needs.
	Ready(ctx context.Context) error
}

// Return is a browser that Slack sent back.
type Return struct {
	StateHash   []byte
	BrowserHash []byte // of its cookie; nil when it has none
	AnswerHash  []byte // of the code or the refusal that it brings, to tell a reload from another answer
	At          time.Time
}

// Outcome is how an install attempt ended.
type Outcome string

// The outcomes. An attempt that never came back from Slack has none.
const (
	OutcomeConnected   Outcome = "connected"   // first install, or back after a removal
	OutcomeReconnected Outcome = "reconnected" // one row updated
	OutcomeRefused     Outcome = "refused"     // the person, their workspace or a rule of ours said no
	OutcomeFailed      Outcome = "failed"      // something broke
)

// Attempt is one try to install, from the click to the last page. It carries the OAuth state: one row, of which only the
// hash is kept, that can be consumed once.
type Attempt struct {
	Ref         string // short and speakable; shown on the page and written in the log
	StateHash   []byte // SHA-256 of the state in the address
	BrowserHash []byte // SHA-256 of the cookie of the browser that started
	AnswerHash  []byte // SHA-256 of what Slack sent it back with; empty until then
	StartedAt   time.Time
	ExpiresAt   time.Time // the state's, not the record's
	ReturnedAt  time.Time // zero until Slack sent the browser back
	EndedAt     time.Time

	TeamHint string // from ?team=T…: passed on to Slack, never trusted
	BoundTo  string // connection id a reconnect link was made for; "" when any workspace will do

	Outcome      Outcome
	Reason       string // a reason of situations.go
	ConnectionID string
	TeamID       string
	UserID       string
}
