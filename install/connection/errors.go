package connection

import "errors"

// What callers of a store branch on.
var (
	// ErrNotFound: there is no such connection, token or attempt.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is one already.
	ErrExists = errors.New("exists already")
	// ErrWrongKeys: there are secrets, and the keys at hand open none of them.
	ErrWrongKeys = errors.New("none of the stored secrets opens with these keys")
)

// Why a connection can't be worked with.
var (
	// ErrNotConnected says that a workspace has no connection that could be used: none, a removed or a paused one, or one
	// without a readable token.
	ErrNotConnected = errors.New("not connected")
	// ErrRenewing says that the token of a connection ran out and could not be renewed just now; that is tried on.
	ErrRenewing = errors.New("access is being renewed")
	// ErrByHand says that in single-workspace mode there are no OAuth credentials to remove the app with.
	ErrByHand = errors.New("the app was connected by hand and is removed on its page in Slack")
)
