package connection

// What happened to a connection, one line for each change, so that "who did that, and when?" has an answer a year
// later. Lines are written in the same transaction as what they tell of.

import (
	"slices"
	"time"
)

// ActorKind is who can change a connection.
type ActorKind string

// The kinds of actors.
const (
	ByPerson      ActorKind = "person"   // of the workspace; the ID is a Slack user's
	ByOperator    ActorKind = "operator" // at the command line
	BySlack       ActorKind = "slack"
	BySwitchboard ActorKind = "switchboard"
)

// Actor is who did it.
type Actor struct {
	Kind ActorKind
	ID   string // of a person; "" for the others
}

// Person is the actor for a Slack user, or the operator when Slack named nobody (single-workspace mode).
func Person(userID string) Actor {
	if userID == "" {
		return Actor{Kind: ByOperator}
	}
	return Actor{ByPerson, userID}
}

// What happened.
const (
	DidInstall     = "install"     // a first install
	DidReinstall   = "reinstall"   // back after a removal
	DidReconnect   = "reconnect"   // one more consent
	DidRenew       = "renew"       // a new pair of tokens
	DidExchange    = "exchange"    // a long-lived token became a rotating one
	DidCheck       = "check"       // Slack was asked, or answered a call, and the state changed by it
	DidRemove      = "remove"      // the app, or its access, is gone
	DidDisconnect  = "disconnect"  // from Slack or the command line
	DidPermissions = "permissions" // what is granted changed
	DidTell        = "tell"        // a person was written to
	DidTellMissing = "tell_wanted" // a person was written to, because somebody asked for what is not allowed
	DidUserGrant   = "user_grant"  // a person let the app act for them; the subject is the reason
	DidUserRevoke  = "user_revoke"
	DidMove        = "move" // the workspace joined an organisation, whose id is the reason
	// an organisation's app was added to workspaces or taken from them; their ids are the reason
	DidWorkspaces = "workspaces"
	DidImport     = "import" // another program's access was taken over; of a person's, who is the reason
	DidErase      = "erase"  // unreadable secrets were dropped
	DidPause      = "pause"  // by the operator
	DidResume     = "resume"
	DidChange     = "change" // something that told nobody what it did; there should be no such line
)

// How it ended.
const (
	OutcomeDone    = "done"
	OutcomeFail    = "failed"
	OutcomeWorking = "working" // a connection that had trouble works again
	OutcomeBegun   = "begun"
	OutcomeAdded   = "added"
	OutcomeLeft    = "left"
)

// Change is one line of history. It holds no secret.
type Change struct {
	ConnectionID string // filled in by the store
	At           time.Time
	By           Actor
	What         string
	Outcome      string
	Reason       string // a reason code, Slack's error, or whom it is about; "" for none
}

// Unrecorded reports whether now differs from was in something that history must tell of: the state, what is granted,
// or the access itself.
func (c Connection) Unrecorded(now Connection) bool {
	if len(now.Changes) > 0 {
		return false
	}
	return c.State != now.State || c.Reason != now.Reason || c.Token != now.Token || c.RefreshToken != now.RefreshToken ||
		!slices.Equal(c.Scopes, now.Scopes)
}
