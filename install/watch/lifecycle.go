package watch

// What becomes of a connection at Slack: the app is removed, people take their tokens back, an organisation's app is
// added to workspaces, a workspace moves into an organisation. Slack tells of it by events, which can come late, twice,
// or about what was before a re-install; where it matters, Slack is asked.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// LifecycleStore is what a Lifecycle needs of the database. Methods without a comment are as in tokens.Store.
type LifecycleStore interface {
	RowStore
	GetUser(ctx context.Context, h connection.TokenOwner) (connection.UserToken, error)
	// EraseUser deletes the token of u.TokenOwner and writes line, with the person as its reason; unless it is of another
	// grant than u by now (GrantedAt), or there is none: false.
	EraseUser(ctx context.Context, u connection.UserToken, line connection.Change) (bool, error)
	// PendingRemovals returns the connections with a PendingRemoval, without their secrets.
	PendingRemovals(ctx context.Context) ([]connection.Connection, error)
}

// Lifecycle follows what Slack says that became of connections.
type Lifecycle struct {
	cfg         *Config
	connections *Connections
	store       LifecycleStore
}

// HandleRemoval handles Slack's word that the connection of exactly k is gone. The word may come late, twice, and after
// a re-install, so the token we hold is asked first. What Slack's answer leaves open is written down and asked again by
// Run; only the store's own trouble is an error. An unknown or removed connection is fine.
func (lc *Lifecycle) HandleRemoval(ctx context.Context, k connection.Key, said connection.Removal) error {
	c, err := lc.store.Lookup(ctx, k)
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("handle removal: %w", err)
	}
	if c.State == connection.Removed || c.TeamID != k.TeamID {
		// An organisation's row is not removed because one of its workspaces left.
		return nil
	}

	if fresh, err := lc.cfg.Tokens.Good(ctx, c); err == nil {
		c = fresh // a token that ran out could not tell
	}
	asked := c
	gone := lc.isGone(ctx, c.TokenPair, c.AuthorizedAt, said.At)
	c, err = updateRow(ctx, lc.store, c, func(row *connection.Connection) error {
		if gone != connection.VerdictNo && row.Token != asked.Token && row.Token != "" {
			gone = connection.VerdictUnclear // renewed meanwhile: what Slack said is about the token before
		}
		if row.State == connection.Removed || !row.AuthorizedAt.Equal(asked.AuthorizedAt) {
			// The other of the two events was first, or a re-install came in between.
			row.PendingRemoval = connection.Removal{}
			return nil
		}
		lc.removed(row, said, gone)
		return nil
	})
	if err != nil {
		return fmt.Errorf("handle removal: %w", err)
	}

	if c.Token == "" {
		lc.cfg.Tokens.Reconciler.ForgetErased(ctx, c.Key)
	}
	lc.cfg.Log.InfoContext(ctx, "removal handled", "connection", c.ID, "key", c.Key.String(), "reason", said.Reason,
		"confirmed", gone.String(), "state", string(c.State))
	return nil
}

// removed is what Slack's word of a removal, and its answer to whether that is so, make of a connection. It is run
// inside Store.Update.
func (lc *Lifecycle) removed(row *connection.Connection, said connection.Removal, gone connection.Verdict) {
	switch {
	case gone == connection.VerdictYes:
		state, reason := row.State, row.Reason
		end := connection.Removed
		if said.Reason == connection.ReasonTokenRevoked {
			end = connection.ReconnectRequired // if the app went with it, Slack says so in a second event
			if row.State == connection.Paused {
				end = row.State // else whoever reconnects would end the operator's pause
			}
		}
		row.Erase(end, said.Reason, lc.cfg.Now())
		if row.State != state || row.Reason != reason {
			row.Note(lc.line(connection.DidRemove, connection.OutcomeDone, said.Reason))
		}
	case gone == connection.VerdictNo:
		row.PendingRemoval = connection.Removal{}
	case row.PendingRemoval.Reason != connection.ReasonUninstalled: // of two words the graver one stays
		row.PendingRemoval = said
	}
}

// line is a line of the history about what Slack did.
func (lc *Lifecycle) line(what, outcome, reason string) connection.Change {
	by := connection.Actor{Kind: connection.BySlack}
	return connection.Change{At: lc.cfg.Now(), By: by, What: what, Outcome: outcome, Reason: reason}
}

// isGone asks Slack about the token of a token pair that a consent of a time began, and that Slack said at another time
// was gone.
func (lc *Lifecycle) isGone(ctx context.Context, c connection.TokenPair, consent, said time.Time) connection.Verdict {
	// event_time has whole seconds: a word of the same second may be about this consent.
	about := connection.VerdictYes
	if said.Before(consent.Truncate(time.Second)) && consent.Sub(lc.cfg.Now()) <= connection.ClockSlack {
		about = connection.VerdictNo // it is about an older one, unless that one is of a clock that was wrong
	}
	if c.Token == "" {
		return about
	}
	_, err := lc.cfg.Slack.Identify(ctx, c.Token)
	if err == nil {
		return connection.VerdictNo
	}
	switch code := slackapi.SlackError(err); {
	case code == connection.ReasonAccountInactive, code == connection.ReasonTokenRevoked:
		return connection.VerdictYes
	case code == connection.ReasonTokenExpired && c.RefreshToken != "" && !c.Dead():
		return connection.VerdictUnclear // the next one will tell
	case code == connection.ReasonTokenExpired, code == connection.ReasonInvalidAuth:
		return about // it says nothing of the app: the token ran out, or our address isn't allowed
	}
	lc.cfg.Log.InfoContext(ctx, "confirm removal", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
	return connection.VerdictUnclear
}

// RecheckRemovals asks again about the removals that Slack left open. Run does it all the time.
func (lc *Lifecycle) RecheckRemovals(ctx context.Context) error {
	pending, err := lc.store.PendingRemovals(ctx)
	if err != nil {
		return err
	}
	for _, c := range pending {
		if !lc.cfg.Mode.Serves(c.Key) {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, oneBudget)
		err = errors.Join(err, lc.HandleRemoval(asking, c.Key, c.PendingRemoval))
		cancel()
	}
	return err
}

// HandleUsersRevoked handles Slack's word (tokens_revoked) that these people took their tokens back. The word may be
// late or repeated, and they may have granted anew, so each token is asked first. An error means that the rest is to be
// done again: the store's trouble, or Slack's.
func (lc *Lifecycle) HandleUsersRevoked(ctx context.Context, k connection.Key, userIDs []string, at time.Time) error {
	c, err := lc.store.Lookup(ctx, k)
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("handle revoked people: %w", err)
	}
	if c.TeamID != k.TeamID {
		// The organisation's row is another install, whose people Slack may name a workspace for all the same. Then nothing
		// but its answer about a token counts.
		at = time.Time{}
	}
	line := lc.line(connection.DidUserRevoke, connection.OutcomeDone, "")
	for _, id := range userIDs {
		u, findErr := lc.store.GetUser(ctx, connection.TokenOwner{Key: c.Key, UserID: id})
		if errors.Is(findErr, connection.ErrNotFound) {
			continue
		}
		if findErr != nil {
			err = errors.Join(err, findErr)
			continue
		}
		switch lc.isGone(ctx, u.TokenPair, u.GrantedAt, at) {
		case connection.VerdictYes:
			erased, eraseErr := lc.store.EraseUser(ctx, u, line)
			err = errors.Join(err, eraseErr)
			if erased {
				lc.cfg.Tokens.Journal.ForgetPerson(ctx, u)
				lc.cfg.Log.InfoContext(ctx, "a person's token is erased", "connection", c.ID, "user", id)
			}
		case connection.VerdictUnclear:
			err = errors.Join(err, fmt.Errorf("slack did not say whether the token of %s is gone", id))
		}
	}
	lc.cfg.Tokens.Reconciler.ForgetErased(ctx, c.Key)
	if err != nil {
		return fmt.Errorf("handle revoked people: %w", err)
	}
	return nil
}

// HandleTeamAccess handles Slack's word that an organisation's app was added to workspaces (team_access_granted), or
// taken from them (team_access_revoked), at a time by Slack's clock. The organisation's connection stays as it is
// either way: the history tells of it, and messages from a workspace that it was taken from are erased.
func (lc *Lifecycle) HandleTeamAccess(
	ctx context.Context, k connection.Key, added bool, teamIDs []string, at time.Time,
) error {
	outcome := connection.OutcomeAdded
	if !added {
		outcome = connection.OutcomeLeft
	}
	const named = 20 // in one line
	line := lc.line(connection.DidWorkspaces, outcome, strings.Join(teamIDs[:min(len(teamIDs), named)], " "))
	org := connection.Key{AppID: k.AppID, EnterpriseID: k.EnterpriseID}
	return lc.change(ctx, "handle workspaces", org, func(c connection.Connection) bool {
		lc.connections.workspaces.forget(c.ID)
		return true
	}, func(row *connection.Connection) {
		row.Note(line)
		if !added {
			row.Left, row.LeftAt = teamIDs, at
		}
	})
}

// change changes the connection that answers for k, if there is one that it goes for. It can be run more than once.
func (lc *Lifecycle) change(
	ctx context.Context, doing string, k connection.Key,
	goesFor func(c connection.Connection) bool, change func(row *connection.Connection),
) error {
	c, err := lc.store.Lookup(ctx, k)
	if err == nil && goesFor(c) {
		_, err = updateRow(ctx, lc.store, c, func(row *connection.Connection) error {
			change(row)
			return nil
		})
	}
	if err != nil && !errors.Is(err, connection.ErrNotFound) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// HandleChannelChanged handles Slack's word (channel_id_changed) that a channel has another id from now on.
func (lc *Lifecycle) HandleChannelChanged(ctx context.Context, k connection.Key, from, to string) error {
	if from == "" || to == "" {
		return nil
	}
	return lc.change(ctx, "handle changed channel", k, func(c connection.Connection) bool {
		return c.Webhook.ChannelID == from || c.Notice.Channel == from
	}, func(row *connection.Connection) {
		if row.Webhook.ChannelID == from {
			row.Webhook.ChannelID = to
		}
		if row.Notice.Channel == from {
			row.Notice.Channel = to
		}
	})
}

// HandleMigrationStarted handles Slack's word (grid_migration_started) that a workspace is being moved into an
// organisation.
func (lc *Lifecycle) HandleMigrationStarted(ctx context.Context, k connection.Key) error {
	return lc.change(ctx, "handle begin of move", k, func(c connection.Connection) bool {
		return c.TeamID == k.TeamID
	}, func(row *connection.Connection) {
		row.Note(lc.line(connection.DidMove, connection.OutcomeBegun, ""))
	})
}

// HandleMigrationFinished handles Slack's word (grid_migration_finished) that a workspace belongs to an organisation
// now: its token is asked which one that is. An error means that Slack has not said it yet and is to be asked again; it
// blocks for one or two calls.
func (lc *Lifecycle) HandleMigrationFinished(ctx context.Context, k connection.Key) error {
	c, err := lc.store.Lookup(ctx, k)
	switch {
	case errors.Is(err, connection.ErrNotFound), err == nil && (c.TeamID != k.TeamID || c.Token == ""):
		return nil
	case err != nil:
		return fmt.Errorf("handle end of move: %w", err)
	}
	if h := lc.connections.Check(ctx, c.Key); h.State == connection.Unknown || slackapi.Moving(h.Reason) {
		return fmt.Errorf("handle end of move: slack said %s", h.Reason)
	}
	return nil
}

// SawEvent keeps when Slack last sent an event for c. Callers limit how often.
func (lc *Lifecycle) SawEvent(ctx context.Context, k connection.Key, at time.Time) error {
	_, err := lc.store.Update(ctx, k, func(c *connection.Connection) error {
		ahead := c.LastEventAt.Sub(at) > connection.ClockSlack // later than now: by a clock that was wrong
		if at.After(c.LastEventAt) || ahead {
			c.LastEventAt = at
		}
		return nil
	})
	return err
}

// heldLasts is for how long a minute in which Slack held back events says something of now. Slack tells of each such
// minute.
const heldLasts = 3 * time.Minute

// HandleRateLimited handles Slack's word (app_rate_limited) that in the minute that begins at a time it held back
// events of k's workspace, because there were too many within an hour. Status shows it. It is stored once for each
// minute; an unknown workspace is fine, and so is one that has no connection of its own: that of an organisation has no
// such minutes. https://docs.slack.dev/reference/events/app_rate_limited
func (lc *Lifecycle) HandleRateLimited(ctx context.Context, k connection.Key, minute time.Time) error {
	now := lc.cfg.Now()
	if minute.Unix() <= 0 || minute.After(now) {
		minute = now.Truncate(time.Minute) // it is Slack's clock, or none
	}
	known := func(c connection.Connection) bool {
		return !minute.After(c.EventsHeldAt) && c.EventsHeldAt.Sub(now) <= connection.ClockSlack
	}
	return lc.change(ctx, "keep that events are held back", k, func(c connection.Connection) bool {
		return c.TeamID == k.TeamID && !known(c)
	}, func(row *connection.Connection) {
		if known(*row) {
			return
		}
		if !connection.Recent(row.EventsHeldAt, minute, heldLasts) {
			row.EventsHeldSince = minute
		}
		row.EventsHeldAt = minute
	})
}
