package watch

// A new release can need permissions that nobody was asked for. Whoever runs the app says so (manifest push), which
// leaves a mark on each connection that lacks them. The app then writes once to one person for each, when it has checked
// with Slack that they are still missing.

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Ask marks a connection: one person who can allow it is to be asked for these permissions, by whichever process runs
// the app. It reports false where there is nobody to ask, or where somebody was asked and that is still open: for all of
// these permissions, unless some of them are anew. It blocks for the store.
func (n *Notices) Ask(ctx context.Context, k connection.Key, scopes, anew []string) (marked bool, err error) {
	_, err = n.store.Update(ctx, k, func(c *connection.Connection) error {
		marked = false
		lacks := func(name string) bool { return !slices.Contains(c.Scopes, name) }
		missing := slices.DeleteFunc(slices.Clone(scopes), func(name string) bool { return !lacks(name) })
		open := c.AwaitsScopes() && !slices.ContainsFunc(anew, lacks)
		if c.State != connection.Active || len(missing) == 0 || open || slices.Equal(c.Notice.ToAsk(), missing) {
			return errNothingToDo
		}
		marked = true
		c.Notice = connection.AskLater(missing)
		c.CheckAt = n.cfg.Now() // which is when it is looked at
		return nil
	})
	if errors.Is(err, errNothingToDo) || errors.Is(err, connection.ErrNotFound) {
		return false, nil
	}
	return marked && err == nil, err
}

const (
	askStep    = 500
	askWorkers = 4
)

// AskAll writes for every mark. Run does it when it starts, which is when a release comes that knows what an older one
// didn't, and now and then.
func (n *Notices) AskAll(ctx context.Context) error {
	var after connection.Key
	for {
		keys, err := n.store.Unasked(ctx, n.cfg.AppID, after, askStep)
		if err != nil {
			return err
		}
		var group errgroup.Group
		group.SetLimit(askWorkers)
		for _, k := range keys {
			after = k
			if n.cfg.Mode.Serves(k) && ctx.Err() == nil {
				group.Go(func() error {
					// A message that is on its way when the program stops must be written down.
					working, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellBudget)
					defer cancel()
					return n.ask(working, k)
				})
			}
		}
		if err := group.Wait(); err != nil || len(keys) < askStep || ctx.Err() != nil {
			return err
		}
	}
}

// ask writes to one person for the mark on a connection, if there is one. Permissions that this release of the app
// doesn't know wait for one that does.
func (n *Notices) ask(ctx context.Context, k connection.Key) error {
	c, err := n.store.Lookup(ctx, k)
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil || c.Notice.ToAsk() == nil || c.State != connection.Active ||
		n.cfg.Messages == nil || !n.cfg.Mode.Consents() {
		return err
	}
	mark, missing := c.Notice, c.Missing(n.cfg.Scopes)
	missing = slices.DeleteFunc(missing, func(s connection.Scope) bool {
		return !slices.Contains(mark.ToAsk(), s.Name)
	})
	known := connection.ScopeNames(n.cfg.Scopes)
	if slices.ContainsFunc(mark.ToAsk(), func(name string) bool { return !slices.Contains(known, name) }) ||
		len(missing) == 0 {
		return nil
	}

	// Taken off before the message is sent: a crash in between costs the message, never a second one.
	claimed := connection.Notice{Reason: connection.ReasonMissingScope}
	if ok, err := n.replace(ctx, c, mark, claimed, nil); err != nil || !ok {
		return err
	}
	told := n.writeMissing(ctx, MissingScopes{Connection: c, Scopes: missing, Updated: true})
	if told.passes() {
		_, err := n.replace(ctx, c, claimed, mark, nil)
		return err
	}

	outcome, why, label := told.result()
	n.cfg.Observer.ToldMissing(label)
	n.cfg.Log.InfoContext(ctx, "asked for permissions that the app needs now", "connection", c.ID,
		"missing_scopes", connection.ScopeNames(missing), "told", label, "slack_error", slackapi.SlackError(told.err))
	after := connection.Notice{}
	if told.notice.TS != "" {
		after = told.notice
		after.Reason = connection.ReasonMissingScope
	}
	line := n.line(connection.DidTellMissing, outcome, why)
	_, err = n.replace(ctx, c, claimed, after, &line)
	return err
}

// replace puts a notice in the place of another, unless that has changed meanwhile. A mark that is put back is looked at
// again soon.
func (n *Notices) replace(
	ctx context.Context, c connection.Connection, was, now connection.Notice, line *connection.Change,
) (ok bool, err error) {
	_, err = n.store.Update(ctx, c.Key, func(row *connection.Connection) error {
		if row.Notice != was || row.State != connection.Active {
			return errNothingToDo
		}
		row.Notice = now
		if now.ToAsk() != nil {
			row.CheckAt = n.cfg.Now().Add(connection.CheckAgain)
		}
		if line != nil {
			row.Note(*line)
		}
		return nil
	})
	if errors.Is(err, errNothingToDo) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("keep whom we asked of %s: %w", c.Key, err)
	}
	return true, nil
}
