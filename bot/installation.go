package bot

// What handlers get of the Installer: everything about their own installation, and no way to another's.

import (
	"context"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

// Installation is what a handler can do with the app's installation in its own workspace or organisation. It is bound
// to that of the delivery that the handler runs for: no method takes a key or a connection, so that none can reach
// another workspace's records or access. It may be used from any number of goroutines.
type Installation struct {
	in  *install.Installer
	key connection.Key        // whose the delivery is
	c   connection.Connection // what was found for it; zero: nothing
}

// InstallationOf is the part of in that is about the connection c, found for k; c is zero where there is none. A Bot
// makes one for each Turn; tests that make a Turn of their own need it.
func InstallationOf(in *install.Installer, k connection.Key, c connection.Connection) Installation {
	return Installation{in: in, key: k, c: c}
}

// App returns how the app presents itself.
func (i Installation) App() install.App { return i.in.App() }

// KeptFor says how long a removed connection's facts are kept: see install.Installer.KeptFor.
func (i Installation) KeptFor() string { return i.in.KeptFor() }

// Scopes returns the catalogue of the app's permissions.
func (i Installation) Scopes() []connection.Scope { return i.in.Scopes() }

// Describe returns the catalogue's words for permissions. One that is not in it goes by its name.
func (i Installation) Describe(names []string) []connection.Scope {
	return i.in.Connections().Describe(names)
}

// StartPage is the page where anybody can install the app; Slack decides there who may.
func (i Installation) StartPage() string {
	return i.in.Links().Grant(connection.Connection{}, links.GrantRequest{})
}

// Grant is a page that reconnects this installation or allows it more: see install.Installer.Grant. It is for one
// person, who has to be somebody that may act (Slack's consent follows). Where nothing is installed it is StartPage.
func (i Installation) Grant(w links.GrantRequest) string { return i.in.Links().Grant(i.c, w) }

// GrantPage is Grant, or "" in single-workspace mode, where nobody can be asked for consent.
func (i Installation) GrantPage(w links.GrantRequest) string {
	return i.in.Connections().GrantPage(i.c, w)
}

// History returns the newest lines of the connection's history, newest first, at most n. It blocks for the store.
func (i Installation) History(ctx context.Context, n int) ([]connection.Change, error) {
	return i.in.History(ctx, i.c, n)
}

// MayRecheck reports whether Slack may be asked about the connection now, for somebody who asks again and again: once
// in install.RecheckEvery, counted over all processes.
func (i Installation) MayRecheck(ctx context.Context) bool {
	return i.in.Connections().MayRecheck(ctx, i.c)
}

// Disconnect has Slack remove the app and erases its access: see install.Installer.Disconnect. Who may do that is for
// the caller to ask.
func (i Installation) Disconnect(ctx context.Context, by connection.Actor) (said string, err error) {
	return i.in.Leaving().Disconnect(ctx, i.c.Key, by)
}
