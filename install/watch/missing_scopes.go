package watch

// The app can't do something while a permission for it is missing. Whoever asks for it hears of it there and then
// (package bot). Here are the words for it, and the one message a day to the person who can change it: at most one for
// each connection, whatever the number of people, processes and restarts.

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// How often one person hears of one feature that is off.
	offAgain = time.Hour
	// How often somebody who can change it hears that people ask for what is off.
	tellMissingEvery = 24 * time.Hour
	// How long is waited for the store before what people were told counts as said.
	countTimeout = 5 * time.Second
)

// MissingScopes is what somebody asked for where permissions for it are missing.
type MissingScopes struct {
	Connection connection.Connection // without its secrets
	Scopes     []connection.Scope    // what is missing, with the features that it is missing for
	By         string                // user ID of who asked
	Updated    bool                  // nobody asked: the app was updated, and needs it now
	GrantURL   string                // the page that allows exactly this
}

// ShouldTellMissing reports whether userID is to be told now that these permissions are missing: once an hour for each
// person and feature, counted over all processes. It blocks for the store; its trouble means no, for nobody waits for
// these words.
func (n *Notices) ShouldTellMissing(
	ctx context.Context, c connection.Connection, userID string, missing []connection.Scope,
) bool {
	what := strings.Join(connection.ScopeNames(missing), ",")
	return n.first(ctx, slackapi.Budget{Name: "off " + c.ID + " " + userID + " " + what, Interval: offAgain, Burst: 1})
}

// first reports whether nobody took b's one call before, in its interval. The store's trouble counts as no.
func (n *Notices) first(ctx context.Context, b slackapi.Budget) bool {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	ok, err := n.store.Take(ctx, b, 1, n.cfg.Now())
	if err != nil {
		n.cfg.Log.WarnContext(ctx, "count what people were told", "cause", err)
	}
	return ok && err == nil
}

// NotifyMissing has one person who can allow it told, once a day, that people ask for what these permissions are
// missing for: the installer, or an admin when the installer is gone. Somebody who asked that themselves knows already,
// and in single-workspace mode nobody in Slack can allow anything. It does not block.
func (n *Notices) NotifyMissing(c connection.Connection, missing []connection.Scope, by string) {
	if n.cfg.Messages == nil || !n.cfg.Mode.Consents() || c.ID == "" || len(missing) == 0 || by == c.InstalledBy {
		return
	}
	n.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), tellBudget)
		defer cancel()
		if n.first(ctx, slackapi.Budget{Name: "wanted " + c.ID, Interval: tellMissingEvery, Burst: 1}) {
			n.tellMissing(ctx, c, missing, by)
		}
	})
}

// errAsker: the one to be told is the one who asked.
var errAsker = errors.New("they know, for they asked themselves")

func (n *Notices) tellMissing(ctx context.Context, c connection.Connection, missing []connection.Scope, by string) {
	names := connection.ScopeNames(missing)
	told := n.writeMissing(ctx, MissingScopes{Connection: c, Scopes: missing, By: by})
	if errors.Is(told.err, errAsker) {
		return
	}

	outcome, why, label := told.result()
	if told.err != nil {
		n.cfg.Log.WarnContext(ctx, "nobody could be told what is wanted and not allowed", "connection", c.ID,
			"slack_error", slackapi.SlackError(told.err), "cause", slackapi.Cause(told.err))
	}
	n.cfg.Log.InfoContext(ctx, "people ask for what is not allowed", "connection", c.ID,
		"missing_scopes", names, "told", label)
	n.cfg.Observer.ToldMissing(label)
	line := n.line(connection.DidTellMissing, outcome, why)
	_, err := updateRow(ctx, n.store, c, func(row *connection.Connection) error {
		row.Note(line)
		if told.notice.TS != "" && (row.Notice == connection.Notice{} || row.AwaitsScopes()) && row.Notice.ToAsk() == nil {
			row.Notice = told.notice
			row.Notice.Reason = connection.ReasonMissingScope
		}
		return nil
	})
	if err != nil {
		n.cfg.Log.WarnContext(ctx, "keep whom we told of what is wanted", "connection", c.ID, "cause", err)
	}
}

// writeMissing writes to the one person who can allow what is missing.
func (n *Notices) writeMissing(ctx context.Context, w MissingScopes) delivery {
	c := w.Connection
	wanted := links.GrantRequest{Scopes: connection.ScopeNames(w.Scopes), Stays: true}
	w.GrantURL = n.connections.GrantPage(c, wanted)
	w.Connection.Token, w.Connection.RefreshToken, w.Connection.Webhook.URL = "", "", ""
	return n.reach(ctx, c, func(client *slack.Client, userID string) (channel, ts string, err error) {
		if !w.Updated && userID == w.By {
			return "", "", errAsker
		}
		return n.cfg.Messages.TellMissing(ctx, client, userID, w)
	})
}
