package install

// The store is the one thing this package asks of others: a place for connections and install attempts, on PostgreSQL
// or SQLite (package storage).

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/watch"
)

// Store keeps connections and install attempts. Its methods may be called from any number of goroutines and processes at
// once; each blocks until the database answered or ctx ended. Errors other than those named are the database's trouble.
// What each room needs of it stands there.
type Store interface {
	tokens.Store
	watch.Store

	// Put makes c the connection of c.Key, in one statement or transaction that is right under any concurrency: one row,
	// one id. A new row gets an id, CreatedAt = c.InstalledAt and Installs = 1; an existing row becomes what its Consent
	// method says. It returns the row as it now is, and as it was before (nil: there was none).
	Put(ctx context.Context, c connection.Connection) (now connection.Connection, before *connection.Connection, err error)
	// Add is Put for a key without a row, which gets c's ID if there is one: it had a row that was lost. ErrExists, and
	// nothing changed, when there is one. A refresh token without a time for its renewal gets one.
	Add(ctx context.Context, c connection.Connection) (connection.Connection, error)
	// AddUser makes u the token of u.TokenOwner, on the connection of exactly u.Key. ErrExists when there is one already;
	// ErrNotFound when there is no such connection, or it is removed.
	AddUser(ctx context.Context, u connection.UserToken) error

	// Refill makes b full again, as if nobody had spent of it.
	Refill(ctx context.Context, b slackapi.Budget) error
	// Available reports whether Take would give one call now, and takes none.
	Available(ctx context.Context, b slackapi.Budget, now time.Time) (bool, error)
	// Mark returns a place in the order of what is stored: every consent that was stored by now comes before it
	// (Connection.Asked).
	Mark(ctx context.Context) (connection.Mark, error)

	AttemptStore

	// Ready reports whether the database answers and has the schema this program needs.
	Ready(ctx context.Context) error
	// CheckAnyKey looks for one secret that the keys at hand can open. ErrWrongKeys when there are secrets and no such one.
	CheckAnyKey(ctx context.Context) error

	// History returns the newest lines of a connection, newest first, at most n.
	History(ctx context.Context, connectionID string, n int) ([]connection.Change, error)
	CountStore
}

// CountStore is what the numbers for operators need of the database.
type CountStore interface {
	// Count returns how many connections there are in each kept state.
	Count(ctx context.Context) (map[connection.State]int, error)
}

// Clock is a Store that knows what time it is: the database's time, the one source for what is stored and for what is
// compared with it, on which replicas agree whatever their machines' clocks say. It asks nobody.
type Clock interface{ Now() time.Time }
