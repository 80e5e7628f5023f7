package switchboard

import (
	"context"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/server"
)

// ErrNotServing is what Workspaces answers before the database is open, and after it is closed.
var ErrNotServing = server.ErrNotServing

// Workspaces are those that the app is connected to, for its own pages and jobs. Handlers need none of it: a Request
// has the client of its own workspace, and no other.
//
// It gives out one workspace's access at a time, by the key of that workspace, and never a token. What it gives belongs
// to whoever that workspace trusts: a page first has to know that its reader is one of them. It may be used from any
// number of goroutines.
type Workspaces struct{ running server.Workspaces }

// List returns the app's connections, ordered by name: all but those that were removed, whether they work now or not
// (State). They come without their tokens. It reads all of them from the database.
func (w *Workspaces) List(ctx context.Context) ([]connection.Connection, error) {
	return w.running.List(ctx)
}

// Client returns a client with the token of k's workspace, which is renewed first if it ran out. It is for the work at
// hand, within minutes: ask again for the next. Calls keep to Slack's limits, and what Slack answers to them is noted
// as evidence of how the connection is. With the key of a workspace whose organisation installed the app for all, the
// client works with the organisation's token in that workspace.
//
// It is connection.ErrNotConnected where nothing is connected for k or the app was removed, and connection.ErrRenewing
// where the token ran out and can't be renewed now. It never falls back to another workspace's.
func (w *Workspaces) Client(ctx context.Context, k connection.Key) (*slack.Client, error) {
	return w.running.Client(ctx, k)
}
