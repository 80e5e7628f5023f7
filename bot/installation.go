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
// makes one for each Request. Only tests that make a Request of their own need it.
func InstallationOf(in *install.Installer, k connection.Key, c connection.Connection) Installation {
	return Installation{in: in, key: k, c: c}
}

// App returns how the app presents itself.
func (i Installation) App() install.App { return i.in.App() }

// KeptFor says in words how long a removed connection's facts and history are kept: "90 days".
func (i Installation) KeptFor() string { return i.in.KeptFor() }

// Scopes returns the catalogue of the app's permissions.
func (i Installation) Scopes() []connection.Scope { return i.in.Scopes() }

// Describe returns the catalogue's words for permissions, in the order of names. One that is not in it goes by its
// name.
func (i Installation) Describe(names []string) []connection.Scope {
	return i.in.Connections().Describe(names)
}

// StartPage is the address where anybody can install the app. Slack decides there who may.
func (i Installation) StartPage() string {
	return i.in.Links().Grant(connection.Connection{}, links.GrantRequest{})
}

// Grant returns the address of a page that reconnects this installation or allows it more: one click, then Slack asks
// for consent. Each call makes a new link. It is for one person, who has to be somebody that may act: it works once,
// and for an hour, or for 7 days when w.Stays. It leads to no other workspace than this. Where nothing is installed it
// is StartPage. It asks nobody.
func (i Installation) Grant(w links.GrantRequest) string { return i.in.Links().Grant(i.c, w) }

// GrantPage is Grant, or "" where the app was given its one token by hand, and nobody can be asked for consent.
func (i Installation) GrantPage(w links.GrantRequest) string {
	return i.in.Grant(i.c, w)
}

// History returns the newest lines of the connection's history, newest first, at most n. It blocks for the database.
func (i Installation) History(ctx context.Context, n int) ([]connection.Change, error) {
	return i.in.History(ctx, i.c, n)
}

// MayRecheck reports whether Slack may be asked about the connection now (Request.Check), for somebody who asks again
// and again: once in 10 s, counted over all processes. It blocks for the database. Where that can't tell it says yes.
func (i Installation) MayRecheck(ctx context.Context) bool {
	return i.in.Connections().MayRecheck(ctx, i.c)
}

// Disconnect has Slack remove the app from the workspace, and erases its access; by is who is named for that in the
// history. said is what Slack answered: "ok", an error that says that the app is gone already, or "" when there was no
// token left to ask with. In these cases the access is erased. With any other answer nothing is changed, and err holds
// it. err is connection.ErrNotConnected when there is nothing to disconnect, and connection.ErrByHand where the app was
// given its token by hand. Who may do that is for the caller to ask. It blocks for one or two calls to Slack.
// https://docs.slack.dev/reference/methods/apps.uninstall
func (i Installation) Disconnect(ctx context.Context, by connection.Actor) (said string, err error) {
	return i.in.Leaving().Disconnect(ctx, i.c.Key, by)
}
