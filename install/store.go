package install

// The store is the one thing this package asks of others: a place for connections and install attempts, on PostgreSQL
// or SQLite (package storage).

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Store keeps connections and install attempts. Its methods may be called from any number of goroutines and processes at
// once; each blocks until the database answered or ctx ended. Errors other than those named are the database's trouble.
type Store interface {
	// Put makes c the connection of c.Key, in one statement or transaction that is right under any concurrency: one row,
	// one id. A new row gets an id, CreatedAt = c.InstalledAt and Installs = 1; an existing row becomes what its Consent
	// method says. It returns the row as it now is, and as it was before (nil: there was none).
	Put(ctx context.Context, c connection.Connection) (now connection.Connection, before *connection.Connection, err error)
	// Add is Put for a key without a row, which gets c's ID if there is one: it had a row that was lost. ErrExists, and
	// nothing changed, when there is one. A refresh token without a time for its renewal gets one.
	Add(ctx context.Context, c connection.Connection) (connection.Connection, error)
	// Lookup returns the connection that answers for k. A key without a team means the organisation-wide row and no other.
	// Else: the exact row; a row of the same app and team under another or no enterprise (the workspace moved into or out
	// of a Grid); the organisation's row. A removed row is returned only when no other fits. ErrNotFound.
	// A row whose secrets cannot be opened comes back without them, in state ReconnectRequired, reason ReasonUnreadable.
	Lookup(ctx context.Context, k connection.Key) (connection.Connection, error)
	// Get is Lookup by the connection's public id, removed or not. ErrNotFound.
	Get(ctx context.Context, id string) (connection.Connection, error)
	// List returns all connections without their secrets, in the states that Lookup would give, ordered by TeamName and ID.
	List(ctx context.Context) ([]connection.Connection, error)
	// PendingRemovals is List for those with a PendingRemoval.
	PendingRemovals(ctx context.Context) ([]connection.Connection, error)
	// Update reads the row of exactly k, calls fn, and writes what fn changed; nobody else's write in between is lost. fn
	// may run more than once and must touch nothing but c; its error ends the update and comes back. The lines in c.Changes
	// are written along; a change that history must tell of (Unrecorded) and that has no line gets one, DidChange.
	// A connection that becomes Removed loses its people's tokens. ErrNotFound.
	Update(ctx context.Context, k connection.Key, fn func(c *connection.Connection) error) (connection.Connection, error)

	// Rekey gives the connection of exactly from the key to, of the same app and workspace under another organisation, and people's
	// tokens with it: what is sealed for the old key is sealed anew, in one transaction. token must still be the connection's: what
	// is known of to was learned with it. Id and everything else stay; line is written along. ErrExists, and nothing changed, when
	// there is a connection of to; ErrNotFound when there is none of from (any more), or it has another token by now.
	Rekey(ctx context.Context, from, to connection.Key, token connection.Secret, line connection.Change) (connection.Connection, error)

	// AddUser makes u the token of u.TokenOwner, on the connection of exactly u.Key. ErrExists when there is one already;
	// ErrNotFound when there is no such connection, or it is removed.
	AddUser(ctx context.Context, u connection.UserToken) error
	// GetUser returns one person's token, on the connection of exactly h.Key. One that cannot be opened comes without its
	// secrets and with ReasonUnreadable. ErrNotFound.
	GetUser(ctx context.Context, h connection.TokenOwner) (connection.UserToken, error)
	// Users returns all people's tokens of a connection without their secrets, ordered by user ID.
	Users(ctx context.Context, k connection.Key) ([]connection.UserToken, error)
	// UpdateUser is Update for one person's token. ErrNotFound.
	UpdateUser(ctx context.Context, h connection.TokenOwner, fn func(u *connection.UserToken) error) (connection.UserToken, error)
	// EraseUser deletes the token of u.TokenOwner and writes line, with the person as its reason; unless it is of another grant
	// than u by now (GrantedAt), or there is none: false.
	EraseUser(ctx context.Context, u connection.UserToken, line connection.Change) (bool, error)

	// The next four list work for one app, or for all when app is "".
	//
	// Due returns token pairs whose RenewAt has come and that nobody holds a lease on, the most urgent first, at most n;
	// also those with a RenewAt or a lease that only a broken clock can have written.
	Due(ctx context.Context, app string, now time.Time, n int) ([]connection.TokenOwner, error)
	// LongLived returns bot token pairs that have a token, no refresh token and no RenewAt, at most n: those that could be moved
	// to rotation. Removed and paused connections are left out.
	LongLived(ctx context.Context, app string, n int) ([]connection.TokenOwner, error)
	// Unchecked returns the connections whose CheckAt has come, oldest first, at most n, also when only a broken clock
	// can have written it; those without a token, removed or paused are left out.
	Unchecked(ctx context.Context, app string, now time.Time, n int) ([]connection.Key, error)
	// Untold returns connections that need a person who was not told yet (state ReconnectRequired and no Notice.At), and those
	// that are Active again and have one. At most n.
	Untold(ctx context.Context, app string, n int) ([]connection.Key, error)
	// Take takes n calls from a budget that all processes share, or none (false) when there is not enough in it. A budget
	// refills by one call every interval and never holds more than burst. ClosedUntil keeps it shut until a time,
	// LongestClosure ahead at most. A budget that is empty for longer than a burst takes, and that Slack did not close,
	// was spent by a broken clock: it counts as one that was emptied now, after this call.
	Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error)
	ClosedUntil(ctx context.Context, b slackapi.Budget, until time.Time) error
	// Refill makes b full again, as if nobody had spent of it.
	Refill(ctx context.Context, b slackapi.Budget) error
	// Available reports whether Take would give one call now, and takes none.
	Available(ctx context.Context, b slackapi.Budget, now time.Time) (bool, error)

	// Journal keeps p on this machine's own disk, sealed, and returns once it is there for good. It needs no database.
	// With a name (Grant.Journaled) it takes that entry's place. What becomes Kept replaces what was Kept of the same
	// owner, and as a renewal also what was put Aside.
	Journal(p connection.Grant) (name string, err error)
	// Journaled returns what waits in the journal of this machine, oldest first. An entry that cannot be opened comes
	// with its owner, its name and At alone. Cheap when there is nothing.
	Journaled() ([]connection.Grant, error)
	// JournaledFor returns all that the journal holds of h, also under the key from before its workspace joined an
	// organisation.
	JournaledFor(h connection.TokenOwner) ([]connection.Grant, error)
	// JournaledUnder returns what is Kept or Aside of the connection of k and its people, also under the key from
	// before its workspace joined an organisation.
	JournaledUnder(k connection.Key) ([]connection.Grant, error)
	// Kept returns the next n of all that is Kept or Aside, after a name.
	Kept(after string, n int) ([]connection.Grant, error)
	// Unjournal forgets entries. One that is gone already is fine.
	Unjournal(names ...string) error
	// JournalReady reports whether the journal can be written, by writing to it, and for half a minute that it was
	// taken away.
	JournalReady(ctx context.Context) error

	// Rows returns what there is of these holders, for comparison with the journal. Holders without a row are not in
	// it.
	Rows(ctx context.Context, of []connection.TokenOwner) (map[connection.TokenOwner]connection.Row, error)
	// Rejected returns token pairs whose refresh token Slack refused and that are not given up yet, at most n.
	Rejected(ctx context.Context, app string, n int) ([]connection.TokenOwner, error)
	// Erased returns the connections that lost their access since a time, or one of whose people took theirs back.
	Erased(ctx context.Context, since time.Time) ([]connection.Key, error)
	// Mark returns a place in the order of what is stored: every consent that was stored by now comes before it
	// (Connection.Asked).
	Mark(ctx context.Context) (connection.Mark, error)

	// History returns the newest lines of a connection, newest first, at most n.
	History(ctx context.Context, connectionID string, n int) ([]connection.Change, error)
	// Count returns how many connections there are in each kept state.
	Count(ctx context.Context) (map[connection.State]int, error)
	// Sweep deletes connections that were removed before a time, with their history, lines about routine renewals (DidRenew,
	// OutcomeDone) from before it, and budgets that have been full since then. It returns how many connections it deleted.
	Sweep(ctx context.Context, before time.Time) (int64, error)

	// BeginAttempt records that a state was used, in one statement: of any number of callers, on all replicas, exactly
	// one gets nil. ErrStateUsed for the others. A state whose attempt has no ReturnedAt is recorded and still unused.
	BeginAttempt(ctx context.Context, a Attempt) error
	// GetAttempt returns the attempt of a state, and is a read. ErrNotFound.
	GetAttempt(ctx context.Context, stateHash []byte) (Attempt, error)
	// EndAttempt writes outcome, reason and what became of it. Without a ReturnedAt the state can be used again.
	// ErrNotFound.
	EndAttempt(ctx context.Context, a Attempt) error
	// Attempts returns the newest attempts, newest first, at most n.
	Attempts(ctx context.Context, n int) ([]Attempt, error)
	// SweepAttempts deletes attempts that started before kept, and those in which Slack named nobody (no UserID) and
	// that started before nameless. It returns how many.
	SweepAttempts(ctx context.Context, kept, nameless time.Time) (int64, error)

	// Ready reports whether the database answers and has the schema this program needs.
	Ready(ctx context.Context) error
	// CheckAnyKey looks for one secret that the keys at hand can open. ErrWrongKeys when there are secrets and no such one.
	CheckAnyKey(ctx context.Context) error
}

// Clock is a Store that knows what time it is: the database's time, the one source for what is stored and for what is
// compared with it, on which replicas agree whatever their machines' clocks say. It asks nobody.
type Clock interface{ Now() time.Time }
