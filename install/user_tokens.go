package install

// Where the app asks for user scopes, each person who grants them gives a token of their own. It hangs on the workspace's
// connection and shares nothing else with it: own token pair, own renewal, erased when that person takes it back.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// OpenUser returns the token of one person on the connection for k (found as Open finds it), good to be used now.
// ErrNotConnected when there is none; else as Open.
func (in *Installer) OpenUser(ctx context.Context, k connection.Key, userID string) (connection.UserToken, error) {
	c, err := in.lookup(ctx, k)
	if err != nil {
		return connection.UserToken{}, err
	}
	h := connection.TokenOwner{Key: c.Key, UserID: userID}
	u, err := in.store.GetUser(ctx, h)
	switch {
	case errors.Is(err, connection.ErrNotFound), err == nil && u.Token == "":
		return connection.UserToken{}, connection.ErrNotConnected
	case err != nil:
		return connection.UserToken{}, fmt.Errorf("open user token: %w", err)
	}
	return in.tokens.GoodUser(ctx, u)
}

// UserClient returns a Web API client that acts for the person u belongs to. It keeps to the limits of the workspace, as
// Client does: Slack counts all of an app's tokens together.
func (in *Installer) UserClient(u connection.UserToken) *slack.Client { return in.UserClientIn(u, "") }

// UserClientIn is UserClient for work in one workspace, as ClientIn is Client.
func (in *Installer) UserClientIn(u connection.UserToken, teamID string) *slack.Client {
	return in.slack.Client(u.Token, u.Key, teamID, in.slack.HTTP)
}

// HandleUsersRevoked handles Slack's word (tokens_revoked) that these people took their tokens back. The word may be late or
// repeated, and they may have granted anew, so each token is asked first. An error means that the rest is to be done again:
// the store's trouble, or Slack's.
func (in *Installer) HandleUsersRevoked(ctx context.Context, k connection.Key, userIDs []string, at time.Time) error {
	c, err := in.store.Lookup(ctx, k)
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("handle revoked people: %w", err)
	}
	if c.TeamID != k.TeamID {
		// The organisation's row is another install, whose people Slack may name a workspace for all the same. Then nothing but its
		// answer about a token counts.
		at = time.Time{}
	}
	line := connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidUserRevoke, Outcome: connection.OutcomeDone}
	for _, id := range userIDs {
		u, findErr := in.store.GetUser(ctx, connection.TokenOwner{Key: c.Key, UserID: id})
		if errors.Is(findErr, connection.ErrNotFound) {
			continue
		}
		if findErr != nil {
			err = errors.Join(err, findErr)
			continue
		}
		switch in.isGone(ctx, u.TokenPair, u.GrantedAt, at) {
		case connection.VerdictYes:
			erased, eraseErr := in.store.EraseUser(ctx, u, line)
			err = errors.Join(err, eraseErr)
			if erased {
				in.tokens.Journal.ForgetPerson(ctx, u)
				in.log.InfoContext(ctx, "a person's token is erased", "connection", c.ID, "user", id)
			}
		case connection.VerdictUnclear:
			err = errors.Join(err, fmt.Errorf("slack did not say whether the token of %s is gone", id))
		}
	}
	in.tokens.Reconciler.ForgetErased(ctx, c.Key)
	if err != nil {
		return fmt.Errorf("handle revoked people: %w", err)
	}
	return nil
}
