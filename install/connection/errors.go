package connection

import (
	"errors"
)

// What callers of a store branch on.
var (
	// ErrNotFound: there is no such connection, token or attempt.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is one already.
	ErrExists = errors.New("exists already")
)
