package server

// Where the app is connected, for its own pages and jobs. They run for no delivery of Slack's, so nobody has said yet
// whose they are: each piece of work names its workspace, and gets that one's client or none.

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// ErrNotServing says that there is nothing to ask: the app hasn't opened its database yet, or has closed it.
var ErrNotServing = errors.New("the app isn't serving")

// Workspaces answers while a Server that has it serves. The zero value is ready, and may be used from any number of
// goroutines.
type Workspaces struct{ serving atomic.Pointer[Server] }

// List returns the connections of the app that weren't removed, without their tokens, by name.
func (w *Workspaces) List(ctx context.Context) ([]connection.Connection, error) {
	s := w.serving.Load()
	if s == nil {
		return nil, ErrNotServing
	}

	all, err := s.db.List(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c connection.Connection) bool {
		return c.State == connection.Removed || !s.serves(c.Key)
	}), nil
}

// Client returns a client with the token for k, or an error. Errors are those of install.Installer.Open.
func (w *Workspaces) Client(ctx context.Context, k connection.Key) (*slack.Client, error) {
	s := w.serving.Load()
	switch {
	case s == nil:
		return nil, ErrNotServing
	case !s.serves(k):
		return nil, connection.ErrNotConnected
	}

	c, err := s.install.Open(ctx, k)
	if err != nil {
		return nil, err
	}
	return s.install.Connections().ClientIn(c, k.TeamID), nil
}

// serves reports whether a key is this app's: others may be in the same database, and with a token given by hand what
// is left over from before.
func (s *Server) serves(k connection.Key) bool {
	if s.only != nil {
		return k == *s.only
	}
	app := s.cfg.Install.AppID
	return app == "" || k.AppID == app
}
