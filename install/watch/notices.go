package watch

// When a connection needs a person, one person is told once, while the old token can still carry the message; and the
// message is edited when all is well again. Who was told is written in the row before the message is sent: a crash in
// between costs the message, never a second one. The log line and the metric tell the operator in every case.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
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
}

// Notices writes to the one person who can do something about a connection.
type Notices struct {
	connections *Connections
	messages    Messages // nil: nobody is written to
	store       NoticeStore
	tokens      *tokens.Keeper
	log         *slog.Logger
	observer    Observer
	tasks       *sync.WaitGroup

	mu           sync.Mutex
	lastReported map[connection.Key]time.Time // what needs a person → since when, in the log line that said so
}

func (n *Notices) now() time.Time { return n.connections.now() }

// TellAll deals with every connection that needs a person who was not told, and with those that work again. Run does it
// all the time.
func (n *Notices) TellAll(ctx context.Context) error {
	keys, err := n.store.Untold(ctx, n.connections.appID, toldAtOnce)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if !n.connections.mode.Serves(k) || ctx.Err() != nil {
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
	now := n.now().Truncate(time.Microsecond)
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
	if n.messages != nil {
		told = n.reach(ctx, c, func(client *slack.Client, userID string) (channel, ts string, err error) {
			return n.messages.Tell(ctx, client, userID, h)
		})
	}
	if told.err != nil {
		n.log.WarnContext(ctx, "nobody could be told in Slack", "connection", c.ID,
			"slack_error", slackapi.SlackError(told.err), "cause", slackapi.Cause(told.err))
	}
	if told.passes() { // it certainly did not arrive, and may the next time
		wait, _ := slackapi.RetryAfter(told.err)
		if err := n.store.ClosedUntil(ctx, tries(c), now.Add(wait-tellAgain)); err != nil {
			n.log.WarnContext(ctx, "keep Slack's rate limit", "cause", err)
		}
		return n.keep(ctx, k, now, connection.Notice{}, nil)
	}

	outcome, why, label := told.result()
	n.mu.Lock()
	delete(n.lastReported, k)
	n.mu.Unlock()
	n.observer.Told(label)
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
	n.mu.Lock()
	reported := n.lastReported[c.Key].Equal(c.StateSince)
	n.lastReported[c.Key] = c.StateSince
	n.mu.Unlock()
	if reported {
		return
	}
	page, _, _ := strings.Cut(grantURL, "?") // what makes it a link is not for the log
	n.log.ErrorContext(ctx, "a connection needs a person", "connection", c.ID, "key", c.Key.String(),
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
	return connection.Change{At: n.now(), By: by, What: what, Outcome: outcome, Reason: reason}
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
	if told.TS != "" && n.messages != nil {
		if c, err = n.tokens.Good(ctx, c); err == nil {
			err = n.messages.Resolve(ctx, n.connections.Client(c), told, n.connections.Assess(c, nil))
		}
		over := c.StateSince
		if ofMissing {
			over = told.At
		}
		if err != nil && !slackapi.Decisive(err) && connection.Recent(over, n.now(), resolvePatience) {
			return fmt.Errorf("edit message to resolved: %w", slackapi.Cause(err)) // tried again
		}
		if err != nil {
			n.log.InfoContext(ctx, "message could not be edited to resolved", "connection", c.ID,
				"slack_error", slackapi.SlackError(err))
		}
	}

	n.log.InfoContext(ctx, "a connection works again", "connection", c.ID, "key", c.Key.String(), "was", told.Reason)
	what, count := connection.DidTell, n.observer.Told
	if ofMissing {
		what, count = connection.DidTellMissing, n.observer.ToldMissing
	}
	first := false
	_, err = n.store.Update(ctx, c.Key, func(row *connection.Connection) error {
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
