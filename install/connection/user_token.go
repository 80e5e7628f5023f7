package connection

// A person's token hangs on the workspace's connection and shares nothing else with it.

import (
	"time"
)

// UserToken lets the app act for one person, who granted user scopes. It hangs on a connection, and has a token pair
// of its own.
type UserToken struct {
	TokenOwner
	ConnectionID string
	Scopes       []string // sorted
	TokenPair
	Reason    string // why it needs the person again; "" when all is well
	GrantedAt time.Time

	Changes []Change // lines for the history of the connection, written with the next write
}

// Note adds a line of history, to be written together with what it is about.
func (u *UserToken) Note(c Change) { u.Changes = append(u.Changes, c) }

// Mended notes that p is in force, so that the person isn't needed any longer.
func (u *UserToken) Mended(p Grant) {
	u.Reason = ReasonNone
	if len(p.Scopes) > 0 {
		u.Scopes = p.Scopes
	}
}
