package watch

// An app comes by its access in one of two ways: workspaces install it and consent to what it may do, or the operator
// sets one bot token by hand. Here is all in which the two differ.

import (
	"sync/atomic"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Mode is how the app comes by its access. Its methods ask nobody and may be called from any number of goroutines.
type Mode interface {
	// Consents reports whether people in Slack can connect the app, reconnect it and allow it more.
	Consents() bool
	// Opens reports whether a connection in the store is one to work with.
	Opens(k connection.Key) bool
	// Serves reports whether a connection is looked after here: checked, and its people told.
	Serves(k connection.Key) bool
	// Renews reports whether the app's credentials renew the tokens of k.
	Renews(k connection.Key) bool
}

// ByConsent is the mode of an app that installs itself. AppID is "" when it isn't known: then it can't be told apart.
type ByConsent struct{ AppID string }

// Consents is always true.
func (ByConsent) Consents() bool { return true }

// Opens is true for every connection.
func (ByConsent) Opens(connection.Key) bool { return true }

// Serves is true for the connections of this app.
func (m ByConsent) Serves(k connection.Key) bool { return m.AppID == "" || k.AppID == m.AppID }

// Renews is true for the connections of this app.
func (m ByConsent) Renews(k connection.Key) bool { return m.Serves(k) }

// ByToken is the mode of an app with the operator's bot token. What is left over from another token, or from the time
// before this mode, is not touched: there is one connection. Until Adopt names it there is none. The zero value is
// ready for use.
type ByToken struct {
	only atomic.Pointer[connection.Key]
}

// Adopt makes the connection of k the one there is.
func (m *ByToken) Adopt(k connection.Key) { m.only.Store(&k) }

// Consents is always false.
func (*ByToken) Consents() bool { return false }

// Opens is true for the one connection.
func (m *ByToken) Opens(k connection.Key) bool { return m.Serves(k) }

// Renews is always false: nothing renews a token without OAuth.
func (*ByToken) Renews(connection.Key) bool { return false }

// Serves is true for the one connection.
func (m *ByToken) Serves(k connection.Key) bool {
	only := m.only.Load()
	return only != nil && k == *only
}
