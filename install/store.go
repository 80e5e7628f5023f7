package install

// The store is the one thing this package asks of others: a place for connections and install attempts, on PostgreSQL
// or SQLite (package storage).

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// Store keeps connections and install attempts. Its methods may be called from any number of goroutines and processes at
// once; each blocks until the database answered or ctx ended. Errors other than those named are the database's trouble.
// What tokens need of it stands with them.
type Store interface {
	tokens.Store

	// Put makes c the connection of c.Key, in one statement or transaction that is right under any concurrency: one row,
	// one id. A new row gets an id, CreatedAt = c.InstalledAt and Installs = 1; an existing row becomes what its Consent
	// method says. It returns the row as it now is, and as it was before (nil: there was none).
	Put(ctx context.Context, c connection.Connection) (now connection.Connection, before *connection.Connection, err error)
	// Add is Put for a key without a row, which gets c's ID if there is one: it had a row that was lost. ErrExists, and
	// nothing changed, when there is one. A refresh token without a time for its renewal gets one.
	Add(ctx context.Context, c connection.Connection) (connection.Connection, error)
	// List returns all connections without their secrets, in the states that Lookup would give, ordered by TeamName and ID.
	List(ctx context.Context) ([]connection.Connection, error)
	// PendingRemovals is List for those with a PendingRemoval.
	PendingRemovals(ctx context.Context) ([]connection.Connection, error)

	// AddUser makes u the token of u.TokenOwner, on the connection of exactly u.Key. ErrExists when there is one already;
	// ErrNotFound when there is no such connection, or it is removed.
	AddUser(ctx context.Context, u connection.UserToken) error
	// Users returns all people's tokens of a connection without their secrets, ordered by user ID.
	Users(ctx context.Context, k connection.Key) ([]connection.UserToken, error)
	// EraseUser deletes the token of u.TokenOwner and writes line, with the person as its reason; unless it is of another grant
	// than u by now (GrantedAt), or there is none: false.
	EraseUser(ctx context.Context, u connection.UserToken, line connection.Change) (bool, error)

	// The next two list work for one app, or for all when app is "".
	//
	// Unchecked returns the connections whose CheckAt has come, oldest first, at most n, also when only a broken clock
	// can have written it; those without a token, removed or paused are left out.
	Unchecked(ctx context.Context, app string, now time.Time, n int) ([]connection.Key, error)
	// Untold returns connections that need a person who was not told yet (state ReconnectRequired and no Notice.At), and those
	// that are Active again and have one. At most n.
	Untold(ctx context.Context, app string, n int) ([]connection.Key, error)

	// Refill makes b full again, as if nobody had spent of it.
	Refill(ctx context.Context, b slackapi.Budget) error
	// Available reports whether Take would give one call now, and takes none.
	Available(ctx context.Context, b slackapi.Budget, now time.Time) (bool, error)
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

	AttemptStore

	// Ready reports whether the database answers and has the schema this program needs.
	Ready(ctx context.Context) error
	// CheckAnyKey looks for one secret that the keys at hand can open. ErrWrongKeys when there are secrets and no such one.
	CheckAnyKey(ctx context.Context) error
}

// Clock is a Store that knows what time it is: the database's time, the one source for what is stored and for what is
// compared with it, on which replicas agree whatever their machines' clocks say. It asks nobody.
type Clock interface{ Now() time.Time }
