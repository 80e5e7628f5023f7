package watch

// Whom to write to: the person who installed the app, or an admin when that one is gone.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	adminPages = 5 // of 200 people; an admin is nearly always among them
	adminTries = 3
)

var (
	errNoAccess = errors.New("no access left to send a message with")
	errNobody   = errors.New("there is nobody to write to")
)

// delivery is what became of a message to people.
type delivery struct {
	notice connection.Notice // whom it was sent to, and where it is
	err    error             // nil: it was sent
	// sent is whether it arrived: unclear when Slack did not answer.
	sent connection.Verdict
}

func notSent(err error) delivery { return delivery{err: err, sent: connection.VerdictNo} }

// passes reports whether a message certainly was not sent, for a reason that passes.
func (d delivery) passes() bool {
	if d.err == nil || d.sent == connection.VerdictUnclear {
		return false
	}
	_, limited := slackapi.RetryAfter(d.err)
	return limited || !slackapi.Decisive(d.err) && !errors.Is(d.err, errNoAccess) && !errors.Is(d.err, errNobody)
}

// result is d for the history (an outcome and a reason), and for numbers.
func (d delivery) result() (outcome, reason, label string) {
	switch {
	case d.err == nil:
		return connection.OutcomeDone, d.notice.To, ResultTold
	case d.sent == connection.VerdictUnclear: // it may have arrived, so it is not sent again
		return connection.OutcomeFail, "no_answer", ResultUnknown
	}
	return connection.OutcomeFail, cmp.Or(slackapi.SlackError(d.err), "no_access"), ResultUnreachable
}

// writer writes to one person, and says where the message is.
type writer func(client *slack.Client, userID string) (channel, ts string, err error)

// reach has write write to the installer, or to a workspace admin when the installer is gone.
func (n *Notices) reach(ctx context.Context, c connection.Connection, write writer) delivery {
	if c.Token == "" || c.Ended(n.now()) {
		return notSent(errNoAccess)
	}
	team, unlisted := n.anyWorkspace(ctx, c)
	client := n.connections.ClientIn(c, team)
	gone, err := isAway(ctx, client, c.InstalledBy)
	if err != nil && !slackapi.Decisive(err) {
		return notSent(err)
	}
	last := notSent(errNobody)
	if !gone {
		if last = write.to(client, c.InstalledBy); !cannotReceive(last.err) {
			return last
		}
	}

	if c.Org() && team == "" {
		return notSent(unlisted)
	}
	ids, err := admins(ctx, client, c)
	if err != nil {
		return notSent(err)
	}
	for _, id := range ids[:min(len(ids), adminTries)] {
		if last = write.to(client, id); !cannotReceive(last.err) {
			return last
		}
	}
	return last
}

// to writes to one person.
func (write writer) to(client *slack.Client, userID string) delivery {
	channel, ts, err := write(client, userID)
	switch {
	case err == nil:
		return delivery{notice: connection.Notice{To: userID, Channel: channel, TS: ts}, sent: connection.VerdictYes}
	case slackapi.SlackError(err) == "":
		return delivery{err: err, sent: connection.VerdictUnclear}
	}
	return notSent(err)
}

// anyWorkspace returns a workspace of an organisation to find people in: any will do. Without one the app is nowhere,
// and there is nothing to be missed. "" for a workspace's own connection.
func (n *Notices) anyWorkspace(ctx context.Context, c connection.Connection) (teamID string, err error) {
	if !c.Org() {
		return "", nil
	}
	all, err := n.connections.Workspaces(ctx, c)
	if err == nil && len(all) == 0 {
		err = errNobody
	}
	if err != nil {
		return "", err
	}
	return all[0].ID, nil
}

// isAway reports whether a person is no full member of the workspace any more: the message has a link to reconnect,
// which is not for guests. What Slack doesn't say counts as no: the message will tell, and behind the link Slack
// decides.
func isAway(ctx context.Context, client *slack.Client, userID string) (bool, error) {
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
	case "user_not_found", "user_disabled", "users_not_found", "channel_not_found", "is_archived", "cannot_dm_bot",
		"user_not_visible", "user_not_in_channel":
		return true
	}
	return false
}

// admins lists who can act for the workspace: owners first.
func admins(ctx context.Context, client *slack.Client, c connection.Connection) ([]string, error) {
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
	slices.SortFunc(found, func(a, b slack.User) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID))
	})
	ids := make([]string, len(found))
	for i, u := range found {
		ids[i] = u.ID
	}
	if len(ids) == 0 {
		return nil, errNobody
	}
	return ids, nil
}
