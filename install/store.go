package install

// The store is the one thing this package asks of others: a place for connections and install attempts, on PostgreSQL
// or SQLite (package storage).

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/watch"
)

// Store keeps connections and install attempts. Its methods may be called from any number of goroutines and processes at
// once; each blocks until the database answered or ctx ended. Errors other than those named are the database's trouble.
// What each room needs of it stands there.
type Store interface {
	tokens.Store
	watch.Store
	oauth.Store

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
