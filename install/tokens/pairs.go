package tokens

// A token pair is found by the key of its connection, and a workspace that joins an organisation gets another one.
// This file finds pairs under the key that they have by now.

import (
	"context"
	"errors"

	"github.com/switchboard-go/switchboard/install/connection"
)

// PairStore is what Pairs need of the database.
type PairStore interface {
	// Lookup returns the connection that answers for k. A key without a team means the organisation-wide row and no
	// other. Else the exact row, or a row of the same app and team under another or no enterprise (the workspace
	// moved into or out of a Grid), or the organisation's row. A removed row is returned only when no other fits.
	// ErrNotFound. A row whose secrets cannot be opened comes back without them, in state ReconnectRequired, reason
	// ReasonUnreadable.
	Lookup(ctx context.Context, k connection.Key) (connection.Connection, error)
	// Get is Lookup by the connection's public id, removed or not. ErrNotFound.
	Get(ctx context.Context, id string) (connection.Connection, error)
	// Update reads the row of exactly k, calls fn, and writes what fn changed. Nobody else's write in between is
	// lost. fn can run more than once and must touch nothing but c. Its error ends the update and comes back. The
	// lines in c.Changes are written along. A change that history must tell of (Unrecorded) and that has no line gets
	// one, DidChange. A connection that becomes Removed loses its people's tokens. ErrNotFound.
	Update(ctx context.Context, k connection.Key, fn func(c *connection.Connection) error) (connection.Connection, error)
	// Rekey gives the connection of exactly from the key to, of the same app and workspace under another
	// organisation, and people's tokens with it: what is sealed for the old key is sealed anew, in one transaction.
	// token must still be the connection's: what is known of to was learned with it. Id and everything else stay.
	// line is written along. ErrExists, and nothing changed, when there is a connection of to. ErrNotFound when there
	// is none of from (any longer), or it has another token by now.
	Rekey(
		ctx context.Context, from, to connection.Key, token connection.Secret, line connection.Change,
	) (connection.Connection, error)
	// GetUser returns one person's token, on the connection of exactly h.Key. One that cannot be opened comes without its
	// secrets and with ReasonUnreadable. ErrNotFound.
	GetUser(ctx context.Context, h connection.TokenOwner) (connection.UserToken, error)
	// UpdateUser is Update for one person's token. ErrNotFound.
	UpdateUser(
		ctx context.Context, h connection.TokenOwner, fn func(u *connection.UserToken) error,
	) (connection.UserToken, error)
}

// Pairs are the token pairs in the store: those of bots and those of people.
type Pairs struct {
	cfg   *Config
	store PairStore
}

// Update reads the access of h, calls fn, and writes what fn changed, as Store.Update and UpdateUser do: fn can run
// more than once. Where the workspace of h joined an organisation meanwhile, it is the one under the new key.
// connection.ErrNotFound.
func (ps *Pairs) Update(ctx context.Context, h connection.TokenOwner, fn func(a connection.Access) error) error {
	err := ps.updateExact(ctx, h, fn)
	if errors.Is(err, connection.ErrNotFound) {
		if moved, ok := ps.readdress(ctx, h); ok {
			err = ps.updateExact(ctx, moved, fn)
		}
	}
	return err
}

func (ps *Pairs) updateExact(ctx context.Context, h connection.TokenOwner, fn func(a connection.Access) error) error {
	if h.UserID == "" {
		_, err := ps.store.Update(ctx, h.Key, func(c *connection.Connection) error { return fn(c) })
		return err
	}
	_, err := ps.store.UpdateUser(ctx, h, func(u *connection.UserToken) error { return fn(u) })
	return err
}

// get returns the access of exactly h. connection.ErrNotFound.
func (ps *Pairs) get(ctx context.Context, h connection.TokenOwner) (connection.Access, error) {
	if h.UserID != "" {
		u, err := ps.store.GetUser(ctx, h)
		return &u, err
	}
	c, err := ps.store.Lookup(ctx, h.Key)
	if err == nil && c.Key != h.Key {
		err = connection.ErrNotFound
	}
	return &c, err
}

// readdress returns h with the key that its connection has by now, if that is another one.
func (ps *Pairs) readdress(ctx context.Context, h connection.TokenOwner) (connection.TokenOwner, bool) {
	if h.TeamID == "" {
		return h, false
	}
	c, err := ps.store.Lookup(ctx, h.Key)
	if err != nil || c.TeamID != h.TeamID || c.Key == h.Key {
		return h, false
	}
	h.Key = c.Key
	return h, true
}

// Rehome gives the connection of k's workspace the key k, which Slack itself named it by in a consent or for its
// token: so a consent after the workspace joined an organisation renews the connection that there is. What can't be
// moved stays, and gets company.
func (ps *Pairs) Rehome(ctx context.Context, k connection.Key) {
	if k.EnterpriseID == "" || k.Org() {
		return
	}
	c, err := ps.store.Lookup(ctx, k)
	if err != nil || c.TeamID != k.TeamID || c.Key == k {
		return
	}

	_, err = ps.Join(ctx, c, k.EnterpriseID)
	if err != nil && !errors.Is(err, connection.ErrExists) && !errors.Is(err, connection.ErrNotFound) {
		ps.cfg.Log.WarnContext(ctx, "move connection to its organisation", "connection", c.ID, "cause", err)
	}
}

// Join gives the connection of a workspace the key that it has as one of an organisation. Errors are Store.Rekey's.
func (ps *Pairs) Join(
	ctx context.Context, c connection.Connection, enterpriseID string,
) (connection.Connection, error) {
	to := c.Key
	to.EnterpriseID = enterpriseID
	return ps.store.Rekey(ctx, c.Key, to, c.Token, connection.Change{
		At: ps.cfg.Now(), By: connection.Actor{Kind: connection.BySlack},
		What: connection.DidMove, Outcome: connection.OutcomeDone, Reason: enterpriseID,
	})
}
