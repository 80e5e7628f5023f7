package watch

// Which connection answers for a workspace, and the tokens and Web API clients to work with it.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// ConnectionStore is what Connections need of the database. Methods without a comment are as in tokens.Store.
type ConnectionStore interface {
	RowStore
	GetUser(ctx context.Context, h connection.TokenOwner) (connection.UserToken, error)
	Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error)
	// Unchecked returns the connections whose CheckAt has come, oldest first, at most n, also when only a broken clock
	// can have written it; those without a token, removed or paused are left out. app "" means all apps.
	Unchecked(ctx context.Context, app string, now time.Time, n int) ([]connection.Key, error)
}

// Connections opens connections, and finds out whether they work. Whatever is done with one says something of it: what
// Slack answers to the calls of its clients is kept, too.
type Connections struct {
	Assessor

	store      ConnectionStore
	tasks      *sync.WaitGroup
	workspaces workspaceLists
	askMarked  func(ctx context.Context, k connection.Key) error // Notices.ask

	mu            sync.Mutex
	lastWitnessed map[string]time.Time // what calls said → when that was last acted on
}

// Open returns a connection whose token can be used now, by the look-up rules of Store.Lookup: in a request or outside
// of one. Where the access of a workspace is gone and k names its organisation, the organisation's takes its place. It
// blocks for the store alone, unless the token has run out: then it is renewed, by one caller of all, and awaited until
// ctx ends. ErrNotConnected, ErrRenewing when that took too long or failed, or the store's trouble.
func (cs *Connections) Open(ctx context.Context, k connection.Key) (connection.Connection, error) {
	c, err := cs.lookup(ctx, k)
	if err != nil {
		return c, err
	}
	if c.Token == "" {
		return c, connection.ErrNotConnected
	}
	return cs.cfg.Tokens.Good(ctx, c)
}

// OpenUser returns the token of one person on the connection for k (found as Open finds it), good to be used now. It
// hangs on the workspace's connection and shares nothing else with it: own token pair, own renewal, erased when that
// person takes it back. ErrNotConnected when there is none; else as Open.
func (cs *Connections) OpenUser(ctx context.Context, k connection.Key, userID string) (connection.UserToken, error) {
	c, err := cs.lookup(ctx, k)
	if err != nil {
		return connection.UserToken{}, err
	}

	h := connection.TokenOwner{Key: c.Key, UserID: userID}
	u, err := cs.store.GetUser(ctx, h)
	switch {
	case errors.Is(err, connection.ErrNotFound), err == nil && u.Token == "":
		return connection.UserToken{}, connection.ErrNotConnected
	case err != nil:
		return connection.UserToken{}, fmt.Errorf("open user token: %w", err)
	}

	return cs.cfg.Tokens.GoodUser(ctx, u)
}

// lookup returns the connection that may be used for k, if there is one, whatever its token is like.
func (cs *Connections) lookup(ctx context.Context, k connection.Key) (connection.Connection, error) {
	c, err := cs.store.Lookup(ctx, k)
	if err == nil {
		if org, ok := cs.superseded(ctx, c, k.EnterpriseID); ok {
			return org, nil
		}
		cs.maybeMoved(c, k)
	}
	switch {
	case errors.Is(err, connection.ErrNotFound):
		return connection.Connection{}, connection.ErrNotConnected
	case err != nil:
		return connection.Connection{}, fmt.Errorf("open connection: %w", err)
	case c.State == connection.Removed || c.State == connection.Paused:
		return c, connection.ErrNotConnected
	case !cs.cfg.Mode.Opens(c.Key):
		return connection.Connection{}, connection.ErrNotConnected
	}
	return c, nil
}

// Client returns a Web API client with c's token. What Slack answers also says how the connection is, and is kept. It
// is cheap: make one for each piece of work. It may be used from several goroutines. Calls keep to Slack's limits: they
// block until their turn, or fail with a *slack.RateLimitedError when that is too far away.
func (cs *Connections) Client(c connection.Connection) *slack.Client { return cs.ClientIn(c, "") }

// ClientIn is Client for work in one workspace: with an organisation's connection every call that names no workspace
// (team_id) names that one, as Slack asks of such tokens.
func (cs *Connections) ClientIn(c connection.Connection, teamID string) *slack.Client {
	return cs.cfg.Slack.Client(c.Token, c.Key, teamID, witness{cs, c})
}

// ClientThrough is Client with through around what sends its calls.
func (cs *Connections) ClientThrough(
	c connection.Connection, through func(slackapi.Doer) slackapi.Doer,
) *slack.Client {
	return cs.cfg.Slack.Client(c.Token, c.Key, "", through(witness{cs, c}))
}

// UserClientIn returns a Web API client that acts for the person u belongs to, in one workspace as ClientIn's does. It
// keeps to the limits of the workspace: Slack counts all of an app's tokens together.
func (cs *Connections) UserClientIn(u connection.UserToken, teamID string) *slack.Client {
	return cs.cfg.Slack.Client(u.Token, u.Key, teamID, cs.cfg.Slack.HTTP)
}
