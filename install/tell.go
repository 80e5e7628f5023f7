package install

// When a connection needs a person, one person is told once, while the old token can still carry the message; and the
// message is edited when all is well again. Who was told is written in the row before the message is sent: a crash in
// between costs the message, never a second one. The log line and the metric tell the operator in every case.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slack-go/slack"
)

const (
	toldAtOnce = 20
	tellBudget = 20 * time.Second
	adminPages = 5 // of 200 people; an admin is nearly always among them
	adminTries = 3
)

// tellAll deals with every connection that needs a person who was not told, and with those that work again.
func (in *Installer) tellAll(ctx context.Context) error {
	keys, err := in.store.Untold(ctx, toldAtOnce)
	if err != nil {
		return err
	}
	for _, k := range keys {
		working, cancel := context.WithTimeout(ctx, tellBudget)
		err = errors.Join(err, in.tell(working, k))
		cancel()
	}
	return err
}

func (in *Installer) tell(ctx context.Context, k Key) error {
	now := in.now().Truncate(time.Microsecond)
	var before Notice
	c, err := in.store.Update(ctx, k, func(c *Connection) error {
		before = c.Notice
		switch {
		case c.State == ReconnectRequired && c.Notice == Notice{}:
			c.Notice = Notice{Reason: c.Reason, At: now}
		case c.State == Active && c.Notice != Notice{}:
			// Editing twice is harmless, so this needs no claim.
		default:
			return errCurrent // another replica was first
		}
		return nil
	})
	if errors.Is(err, errCurrent) || errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell of %s: %w", k, err)
	}
	if c.State == Active {
		return in.resolve(ctx, c, before)
	}
	h := in.Assess(c, nil)
	in.log.ErrorContext(ctx, "a connection needs a person", "connection", c.ID, "key", c.Key.String(), "team_name", c.TeamName,
		"reason", c.Reason, "since", c.StateSince, "access_ends", c.ExpiresAt, "mend", h.GrantURL)
	notice, failure := in.reach(ctx, c, h)
	notice.Reason, notice.At = c.Reason, now
	outcome, why, label := OutcomeDone, notice.To, "told"
	if failure != nil {
		outcome, why, label = OutcomeFail, orElse(SlackError(failure), "no_access"), "unreachable"
		if unanswered(failure) {
			why, label = "no_answer", "unknown" // it may have arrived, so it is not sent again
		}
		in.log.WarnContext(ctx, "nobody could be told in Slack", "connection", c.ID, "slack_error", SlackError(failure), "cause", Cause(failure))
	}
	if _, limited := retryAfter(failure); limited {
		notice = Notice{} // Slack did not take it: it is tried again
	} else {
		in.metrics.notices.WithLabelValues(label).Inc()
	}
	_, err = in.store.Update(context.WithoutCancel(ctx), k, func(row *Connection) error {
		if !row.Notice.At.Equal(now) {
			return errCurrent
		}
		row.Notice = notice
		if notice != (Notice{}) {
			row.Note(Change{At: in.now(), By: Actor{Kind: BySwitchboard}, What: DidTell, Outcome: outcome, Reason: why})
		}
		return nil
	})
	if err != nil && !errors.Is(err, errCurrent) {
		return fmt.Errorf("keep whom we told of %s: %w", k, err)
	}
	return nil
}

// errNoAccess: there is no token to write to anybody with.
var errNoAccess = errors.New("no access left to send a message with")

// unanswered reports whether a call's fate is unknown: Slack did not answer it.
func unanswered(err error) bool {
	return err != nil && SlackError(err) == "" && !errors.Is(err, errNoAccess) && !errors.Is(err, errNobody)
}

var errNobody = errors.New("there is nobody to write to")

// reach writes to the installer, or to a workspace admin when the installer is gone.
func (in *Installer) reach(ctx context.Context, c Connection, h Health) (Notice, error) {
	if in.cfg.Tell == nil || c.Token == "" || c.ended(in.now()) {
		return Notice{}, errNoAccess
	}
	client := in.Client(c)
	err := errNobody
	if gone, _ := in.isAway(ctx, client, c.InstalledBy); !gone {
		var n Notice
		if n.Channel, n.TS, err = in.cfg.Tell(ctx, client, c.InstalledBy, h); err == nil {
			n.To = c.InstalledBy
			return n, nil
		}
		if !cannotReceive(err) {
			return Notice{}, err
		}
	}
	admins, listErr := in.admins(ctx, client, c)
	if listErr != nil {
		return Notice{}, listErr
	}
	for i, id := range admins {
		if i == adminTries {
			break
		}
		n := Notice{To: id}
		if n.Channel, n.TS, err = in.cfg.Tell(ctx, client, id, h); err == nil {
			return n, nil
		}
		if !cannotReceive(err) {
			return Notice{}, err
		}
	}
	return Notice{}, err
}

// isAway reports whether a person has left the workspace. What Slack doesn't say counts as no: the message will tell.
func (in *Installer) isAway(ctx context.Context, client *slack.Client, userID string) (bool, error) {
	if userID == "" {
		return true, nil
	}
	u, err := client.GetUserInfoContext(ctx, userID)
	if err != nil {
		return SlackError(err) == "user_not_found", err
	}
	return u.Deleted, nil
}

// cannotReceive reports whether an error is about the person, as against the token, the app or the network.
// https://docs.slack.dev/reference/methods/chat.postMessage
func cannotReceive(err error) bool {
	switch SlackError(err) {
	case "user_not_found", "user_disabled", "users_not_found", "channel_not_found", "is_archived", "cannot_dm_bot", "user_not_visible", "user_not_in_channel":
		return true
	}
	return false
}

// admins lists who can act for the workspace: owners first.
func (in *Installer) admins(ctx context.Context, client *slack.Client, c Connection) ([]string, error) {
	options := []slack.GetUsersOption{slack.GetUsersOptionLimit(200)}
	if c.Org() {
		return nil, errNobody // which of the organisation's workspaces to ask in is not known here
	}
	var found []slack.User
	page := client.GetUsersPaginated(options...)
	for range adminPages {
		var err error
		if page, err = page.Next(ctx); page.Done(err) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list admins: %w", err)
		}
		for _, u := range page.Users {
			if (u.IsAdmin || u.IsOwner || u.IsPrimaryOwner) && !u.Deleted && !u.IsBot && u.ID != c.InstalledBy {
				found = append(found, u)
			}
		}
	}
	rank := func(u slack.User) int {
		switch {
		case u.IsPrimaryOwner:
			return 0
		case u.IsOwner:
			return 1
		}
		return 2
	}
	slices.SortFunc(found, func(a, b slack.User) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID)) })
	ids := make([]string, len(found))
	for i, u := range found {
		ids[i] = u.ID
	}
	if len(ids) == 0 {
		return nil, errNobody
	}
	return ids, nil
}

// resolve edits the message that told of trouble which is over.
func (in *Installer) resolve(ctx context.Context, c Connection, n Notice) error {
	var err error
	if n.TS != "" && in.cfg.Resolve != nil {
		if c, err = in.good(ctx, c); err == nil {
			err = in.cfg.Resolve(ctx, in.Client(c), n, in.Assess(c, nil))
		}
		if err != nil && !decisive(err) {
			return fmt.Errorf("edit message to resolved: %w", Cause(err)) // tried again
		}
		if err != nil {
			in.log.InfoContext(ctx, "message could not be edited to resolved", "connection", c.ID, "slack_error", SlackError(err))
		}
	}
	in.log.InfoContext(ctx, "a connection works again", "connection", c.ID, "key", c.Key.String(), "was", n.Reason)
	first := false
	_, err = in.store.Update(ctx, c.Key, func(row *Connection) error {
		if first = row.Notice == n; first {
			row.Notice = Notice{}
			row.Note(Change{At: in.now(), By: Actor{Kind: BySwitchboard}, What: DidTell, Outcome: OutcomeWorking, Reason: n.To})
		}
		return nil
	})
	if first && err == nil {
		in.metrics.notices.WithLabelValues("resolved").Inc()
	}
	return err
}
