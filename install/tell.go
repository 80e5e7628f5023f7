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
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	toldAtOnce = 100
	tellBudget = 20 * time.Second
	adminPages = 5 // of 200 people; an admin is nearly always among them
	adminTries = 3
	// When a message certainly was not sent, because Slack or the database had trouble, it is tried again after this.
	tellAgain = time.Minute
	// How long it is tried to edit a message to resolved.
	resolvePatience = time.Hour
)

// tellAll deals with every connection that needs a person who was not told, and with those that work again.
func (in *Installer) tellAll(ctx context.Context) error {
	keys, err := in.store.Untold(ctx, in.cfg.AppID, toldAtOnce)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if !in.mode.serves(k) || ctx.Err() != nil {
			continue
		}
		// A message that is on its way when the program stops must be written down.
		working, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellBudget)
		err = errors.Join(err, in.tell(working, k))
		cancel()
	}
	return err
}

// tell tells of one connection, or that its trouble is over.
func (in *Installer) tell(ctx context.Context, k connection.Key) error {
	now := in.now().Truncate(time.Microsecond)
	c, err := in.store.Lookup(ctx, k)
	if err == nil {
		var ok bool
		if ok, err = in.store.Take(ctx, tries(c), 1, now); err == nil && !ok {
			return nil
		}
	}
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell of %s: %w", k, err)
	}
	var before connection.Notice
	c, err = in.store.Update(ctx, k, func(c *connection.Connection) error {
		before = c.Notice
		switch {
		case c.State == connection.ReconnectRequired && c.Notice.At.IsZero(): // one about what is wanted makes room
			c.Notice = connection.Notice{Reason: c.Reason, At: now}
		case c.State == connection.Active && !c.Notice.At.IsZero():
			// Editing twice is harmless, so this needs no claim.
		default:
			return errNothingToDo // another replica was first
		}
		return nil
	})
	if errors.Is(err, errNothingToDo) || errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tell of %s: %w", k, err)
	}
	if c.State == connection.Active {
		return in.resolve(ctx, c, before)
	}
	h := in.Assess(c, nil)
	if h.GrantURL != "" {
		h.GrantURL = in.links.Grant(c, links.GrantRequest{Stays: true}) // who is told may be away for the weekend
	}
	in.mu.Lock()
	logged := in.lastReported[k].Equal(c.StateSince)
	in.lastReported[k] = c.StateSince
	in.mu.Unlock()
	if !logged {
		page, _, _ := strings.Cut(h.GrantURL, "?") // what makes it a link is not for the log
		in.log.ErrorContext(ctx, "a connection needs a person", "connection", c.ID, "key", c.Key.String(), "team_name", c.TeamName,
			"reason", c.Reason, "since", c.StateSince, "access_ends", c.ExpiresAt, "mend", page)
	}
	notice, sent, failure := connection.Notice{}, connection.VerdictNo, errNoAccess
	if in.cfg.Messages != nil {
		notice, sent, failure = in.reach(ctx, c, func(client *slack.Client, userID string) (channel, ts string, err error) {
			return in.cfg.Messages.Tell(ctx, client, userID, h)
		})
	}
	notice.Reason, notice.At = c.Reason, now
	outcome, why, label := connection.OutcomeDone, notice.To, toldOne
	if failure != nil {
		in.log.WarnContext(ctx, "nobody could be told in Slack", "connection", c.ID, "slack_error", slackapi.SlackError(failure), "cause", slackapi.Cause(failure))
		outcome, why, label = connection.OutcomeFail, cmp.Or(slackapi.SlackError(failure), "no_access"), toldUnreachable
		switch wait, limited := slackapi.RetryAfter(failure); {
		case sent == connection.VerdictUnclear: // it may have arrived, so it is not sent again
			why, label = "no_answer", toldUnknown
		case limited, !slackapi.Decisive(failure) && !errors.Is(failure, errNoAccess) && !errors.Is(failure, errNobody):
			notice = connection.Notice{} // it certainly did not arrive, and may the next time
			if err := in.store.ClosedUntil(ctx, tries(c), now.Add(wait-tellAgain)); err != nil {
				in.log.WarnContext(ctx, "keep Slack's rate limit", "cause", err)
			}
		}
	}
	if notice != (connection.Notice{}) {
		in.mu.Lock()
		delete(in.lastReported, k)
		in.mu.Unlock()
		in.metrics.notices.WithLabelValues(label).Inc()
	}
	_, err = in.store.Update(ctx, k, func(row *connection.Connection) error {
		if !row.Notice.At.Equal(now) {
			return errNothingToDo
		}
		row.Notice = notice
		if notice != (connection.Notice{}) {
			row.Note(connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySwitchboard}, What: connection.DidTell, Outcome: outcome, Reason: why})
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNothingToDo) {
		return fmt.Errorf("keep whom we told of %s: %w", k, err)
	}
	return nil
}

// tries bounds how often all replicas together set out to tell of c, or that it works again: once a minute.
func tries(c connection.Connection) slackapi.Budget {
	what := "tell"
	if c.State == connection.Active {
		what = "resolve"
	}
	return slackapi.Budget{Name: what + " " + c.ID, Interval: tellAgain, Burst: 1}
}

var (
	errNoAccess = errors.New("no access left to send a message with")
	errNobody   = errors.New("there is nobody to write to")
)

// reach has write write to the installer, or to a workspace admin when the installer is gone. sent is unclear when Slack did
// not answer a message.
func (in *Installer) reach(ctx context.Context, c connection.Connection, write func(client *slack.Client, userID string) (channel, ts string, err error)) (n connection.Notice, sent connection.Verdict, err error) {
	if c.Token == "" || c.Ended(in.now()) {
		return connection.Notice{}, connection.VerdictNo, errNoAccess
	}
	team, unlisted := "", errNobody
	if c.Org() {
		// Any of its workspaces will do to find people in. Without one the app is nowhere, and there is nothing to be missed.
		all, err := in.Workspaces(ctx, c)
		if err != nil {
			unlisted = err
		} else if len(all) > 0 {
			team = all[0].ID
		}
	}
	client := in.ClientIn(c, team)
	// try writes to one person; next says that somebody else is to be tried.
	try := func(userID string) (next bool) {
		n.To = userID
		n.Channel, n.TS, err = write(client, userID)
		switch {
		case err == nil:
			sent = connection.VerdictYes
			return false
		case cannotReceive(err):
			n, sent = connection.Notice{}, connection.VerdictNo
			return true
		case slackapi.SlackError(err) == "":
			sent = connection.VerdictUnclear
		default:
			sent = connection.VerdictNo
		}
		n = connection.Notice{}
		return false
	}
	gone, err := in.isAway(ctx, client, c.InstalledBy)
	if err != nil && !slackapi.Decisive(err) {
		return connection.Notice{}, connection.VerdictNo, err
	}
	err = errNobody
	if !gone && !try(c.InstalledBy) {
		return n, sent, err
	}
	if c.Org() && team == "" {
		return connection.Notice{}, connection.VerdictNo, unlisted
	}
	admins, listErr := in.admins(ctx, client, c)
	if listErr != nil {
		return connection.Notice{}, connection.VerdictNo, listErr
	}
	for _, id := range admins[:min(len(admins), adminTries)] {
		if !try(id) {
			return n, sent, err
		}
	}
	return connection.Notice{}, connection.VerdictNo, err
}

// isAway reports whether a person is no full member of the workspace any more: the message has a link to reconnect, which is not for
// guests. What Slack doesn't say counts as no: the message will tell, and behind the link Slack decides.
func (in *Installer) isAway(ctx context.Context, client *slack.Client, userID string) (bool, error) {
	if userID == "" {
		return true, nil
	}
	u, err := client.GetUserInfoContext(ctx, userID)
	if err != nil {
		return slackapi.SlackError(err) == "user_not_found", err
	}
	return u.Deleted || u.IsRestricted || u.IsUltraRestricted || u.IsStranger || u.IsBot, nil
}

// cannotReceive reports whether an error is about the person, as against the token, the app or the network.
// https://docs.slack.dev/reference/methods/chat.postMessage
func cannotReceive(err error) bool {
	switch slackapi.SlackError(err) {
	case "user_not_found", "user_disabled", "users_not_found", "channel_not_found", "is_archived", "cannot_dm_bot", "user_not_visible", "user_not_in_channel":
		return true
	}
	return false
}

// admins lists who can act for the workspace: owners first.
func (in *Installer) admins(ctx context.Context, client *slack.Client, c connection.Connection) ([]string, error) {
	options := []slack.GetUsersOption{slack.GetUsersOptionLimit(200)}
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
func (in *Installer) resolve(ctx context.Context, c connection.Connection, n connection.Notice) error {
	var err error
	if n.TS != "" && in.cfg.Messages != nil {
		if c, err = in.tokens.Good(ctx, c); err == nil {
			err = in.cfg.Messages.Resolve(ctx, in.Client(c), n, in.Assess(c, nil))
		}
		over := c.StateSince
		if n.Reason == connection.ReasonMissingScope {
			over = n.At
		}
		if err != nil && !slackapi.Decisive(err) && connection.Recent(over, in.now(), resolvePatience) {
			return fmt.Errorf("edit message to resolved: %w", slackapi.Cause(err)) // tried again
		}
		if err != nil {
			in.log.InfoContext(ctx, "message could not be edited to resolved", "connection", c.ID, "slack_error", slackapi.SlackError(err))
		}
	}
	in.log.InfoContext(ctx, "a connection works again", "connection", c.ID, "key", c.Key.String(), "was", n.Reason)
	first := false
	_, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
		if first = row.Notice == n; first {
			row.Notice = connection.Notice{}
			what := connection.DidTell
			if n.Reason == connection.ReasonMissingScope {
				what = connection.DidTellMissing
			}
			row.Note(connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySwitchboard}, What: what, Outcome: connection.OutcomeWorking, Reason: n.To})
		}
		return nil
	})
	if first && err == nil {
		counter := in.metrics.notices
		if n.Reason == connection.ReasonMissingScope {
			counter = in.metrics.tellMissing
		}
		counter.WithLabelValues(toldResolved).Inc()
	}
	return err
}
