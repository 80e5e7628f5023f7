package watch

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
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	toldAtOnce = 100
	tellBudget = 20 * time.Second
	// When a message certainly was not sent, because Slack or the database had trouble, it is tried again after this.
	tellAgain = time.Minute
	// How long it is tried to edit a message to resolved.
	resolvePatience = time.Hour
)

// NoticeStore is what Notices need of the database. Methods without a comment are as in tokens.Store.
type NoticeStore interface {
	RowStore
	Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error)
	ClosedUntil(ctx context.Context, b slackapi.Budget, until time.Time) error
	// Untold returns connections that need a person who was not told yet (state ReconnectRequired and no Notice.At), and
	// those that are Active again and have one. At most n, of one app or of all ("").
	Untold(ctx context.Context, app string, n int) ([]connection.Key, error)
	// Unasked returns active connections with a mark (connection.AskLater) behind a key, by their keys. At most n, of one
	// app or of all ("").
	Unasked(ctx context.Context, app string, after connection.Key, n int) ([]connection.Key, error)
}

// Notices writes to the one person who can do something about a connection.
type Notices struct {
	cfg         *Config
	connections *Connections
	store       NoticeStore
	tasks       *sync.WaitGroup

	lastReported sync.Map // connection.Key of what needs a person → time.Time since when, in the log line that said so
}

// TellAll deals with every connection that needs a person who was not told, and with those that work again. Run does it
// all the time.
func (n *Notices) TellAll(ctx context.Context) error {
	keys, err := n.store.Untold(ctx, n.cfg.AppID, toldAtOnce)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if !n.cfg.Mode.Serves(k) || ctx.Err() != nil {
			continue
		}
		// A message that is on its way when the program stops must be written down.
		working, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellBudget)
		err = errors.Join(err, n.tell(working, k))
		cancel()
	}
	return err
}

// tell tells of one connection, or that its trouble is over.
func (n *Notices) tell(ctx context.Context, k connection.Key) error {
	now := n.cfg.Now().Truncate(time.Microsecond)
	c, before, err := n.claim(ctx, k, now)
	switch {
	case errors.Is(err, errNothingToDo), errors.Is(err, connection.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("tell of %s: %w", k, err)
	case c.State == connection.Active:
		return n.resolve(ctx, c, before)
	}

	h := n.connections.Assess(c, nil)
	h.GrantURL = n.connections.GrantPage(c, links.GrantRequest{Stays: true}) // who is told may be away for the weekend
	n.report(ctx, c, h.GrantURL)
	told := notSent(errNoAccess)
	if n.cfg.Messages != nil {
		told = n.reach(ctx, c, func(client *slack.Client, userID string) (channel, ts string, err error) {
			return n.cfg.Messages.Tell(ctx, client, userID, h)
		})
	}
	if told.err != nil {
		n.cfg.Log.WarnContext(ctx, "nobody could be told in Slack", "connection", c.ID,
			"slack_error", slackapi.SlackError(told.err), "cause", slackapi.Cause(told.err))
	}
	if told.passes() { // it certainly did not arrive, and may the next time
		wait, _ := slackapi.RetryAfter(told.err)
		if err := n.store.ClosedUntil(ctx, tries(c), now.Add(wait-tellAgain)); err != nil {
			n.cfg.Log.WarnContext(ctx, "keep Slack's rate limit", "cause", err)
		}
		return n.keep(ctx, k, now, connection.Notice{}, nil)
	}

	outcome, why, label := told.result()
	n.lastReported.Delete(k)
	n.cfg.Observer.Told(label)
	told.notice.Reason, told.notice.At = c.Reason, now
	line := n.line(connection.DidTell, outcome, why)
	return n.keep(ctx, k, now, told.notice, &line)
}

// claim takes the turn to tell of a connection, or that it works again, and returns it with what was told of it before.
// errNothingToDo when that is not to be done now, or by somebody else.
func (n *Notices) claim(ctx context.Context, k connection.Key, now time.Time) (
	c connection.Connection, before connection.Notice, err error,
) {
	if c, err = n.store.Lookup(ctx, k); err != nil {
		return c, before, err
	}
	ok, err := n.store.Take(ctx, tries(c), 1, now)
	if err != nil {
		return c, before, err
	}
	if !ok {
		return c, before, errNothingToDo
	}

	c, err = n.store.Update(ctx, k, func(c *connection.Connection) error {
		before = c.Notice
		switch {
		case c.State == connection.ReconnectRequired && c.Notice.At.IsZero(): // one about missing permissions makes room
			c.Notice = connection.Notice{Reason: c.Reason, At: now}
		case c.State == connection.Active && !c.Notice.At.IsZero():
			// Editing twice is harmless, so this needs no claim.
		default:
			return errNothingToDo // another replica was first
		}
		return nil
	})
	return c, before, err
}

// report has the log say, once for each trouble, that a connection needs a person.
func (n *Notices) report(ctx context.Context, c connection.Connection, grantURL string) {
	last, _ := n.lastReported.Swap(c.Key, c.StateSince)
	if since, _ := last.(time.Time); since.Equal(c.StateSince) {
		return
	}
	page, _, _ := strings.Cut(grantURL, "?") // what makes it a link is not for the log
	n.cfg.Log.ErrorContext(ctx, "a connection needs a person", "connection", c.ID, "key", c.Key.String(),
		"team_name", c.TeamName, "reason", c.Reason, "since", c.StateSince, "access_ends", c.ExpiresAt, "mend", page)
}

// keep writes down what became of the message that was claimed at a time. Without a line nobody was told, and that is
// tried again.
func (n *Notices) keep(
	ctx context.Context, k connection.Key, claimed time.Time, notice connection.Notice, line *connection.Change,
) error {
	_, err := n.store.Update(ctx, k, func(row *connection.Connection) error {
		if !row.Notice.At.Equal(claimed) {
			return errNothingToDo
		}
		row.Notice = notice
		if line != nil {
			row.Note(*line)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNothingToDo) {
		return fmt.Errorf("keep whom we told of %s: %w", k, err)
	}
	return nil
}

// line is a line of the history about a message.
func (n *Notices) line(what, outcome, reason string) connection.Change {
	by := connection.Actor{Kind: connection.BySwitchboard}
	return connection.Change{At: n.cfg.Now(), By: by, What: what, Outcome: outcome, Reason: reason}
}

// tries bounds how often all replicas together set out to tell of c, or that it works again: once a minute.
func tries(c connection.Connection) slackapi.Budget {
	what := "tell"
	if c.State == connection.Active {
		what = "resolve"
	}
	return slackapi.Budget{Name: what + " " + c.ID, Interval: tellAgain, Burst: 1}
}

// resolve edits the message that told of trouble which is over.
func (n *Notices) resolve(ctx context.Context, c connection.Connection, told connection.Notice) error {
	ofMissing := told.Reason == connection.ReasonMissingScope
	var err error
	if told.TS != "" && n.cfg.Messages != nil {
		if c, err = n.cfg.Tokens.Good(ctx, c); err == nil {
			err = n.cfg.Messages.Resolve(ctx, n.connections.Client(c), told, n.connections.Assess(c, nil))
		}
		over := c.StateSince
		if ofMissing {
			over = told.At
		}
		if err != nil && !slackapi.Decisive(err) && connection.Recent(over, n.cfg.Now(), resolvePatience) {
			return fmt.Errorf("edit message to resolved: %w", slackapi.Cause(err)) // tried again
		}
		if err != nil {
			n.cfg.Log.InfoContext(ctx, "message could not be edited to resolved", "connection", c.ID,
				"slack_error", slackapi.SlackError(err))
		}
	}

	n.cfg.Log.InfoContext(ctx, "a connection works again", "connection", c.ID, "key", c.Key.String(), "was", told.Reason)
	what, count := connection.DidTell, n.cfg.Observer.Told
	if ofMissing {
		what, count = connection.DidTellMissing, n.cfg.Observer.ToldMissing
	}
	first := false
	_, err = updateRow(ctx, n.store, c, func(row *connection.Connection) error {
		if first = row.Notice == told; first {
			row.Notice = connection.Notice{}
			row.Note(n.line(what, connection.OutcomeWorking, told.To))
		}
		return nil
	})
	if first && err == nil {
		count(ResultResolved)
	}
	return err
}

// Whom to write to: the person who installed the app, or an admin when that one is gone.

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
	if c.Token == "" || c.Ended(n.cfg.Now()) {
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
	var found []slack.User
	page := client.GetUsersPaginated(slack.GetUsersOptionLimit(200))
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
