package install

// An app comes by its access in one of two ways: people let it in by Slack's consent, any number of workspaces, or an operator gave
// it one bot token. Here is all in which the two differ.

import (
	"sync/atomic"

	"github.com/switchboard-go/switchboard/install/connection"
)

// mode is how the app comes by its access. Its methods ask nobody and may be called from any number of goroutines.
type mode interface {
	// consents reports whether people in Slack can connect the app, reconnect it and allow it more.
	consents() bool
	// opens reports whether a connection in the store is one to work with.
	opens(k connection.Key) bool
	// serves reports whether a connection is looked after here: checked, and its people told.
	serves(k connection.Key) bool
	// renews reports whether the app's credentials renew the tokens of k.
	renews(k connection.Key) bool
}

// byConsent is the mode of an app that installs itself. appID is "" when it isn't known: then it can't be told apart.
type byConsent struct{ appID string }

func (byConsent) consents() bool                 { return true }
func (byConsent) opens(connection.Key) bool      { return true }
func (m byConsent) serves(k connection.Key) bool { return m.appID == "" || k.AppID == m.appID }
func (m byConsent) renews(k connection.Key) bool { return m.serves(k) }

// byToken is the mode of an app with the operator's bot token. What is left over from another token, or from the time before this
// mode, is not touched: there is one connection. Until Adopt has found it there is none.
type byToken struct {
	only atomic.Pointer[connection.Key]
}

func (*byToken) consents() bool                { return false }
func (m *byToken) opens(k connection.Key) bool { return m.serves(k) }
func (*byToken) renews(connection.Key) bool    { return false }
func (m *byToken) serves(k connection.Key) bool {
	only := m.only.Load()
	return only != nil && k == *only
}
