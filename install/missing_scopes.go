package install

// The app can't do something while a permission for it is missing. Whoever asks for it hears of it there and then (package bot). Here are
// the words for it, and the one message a day to the person who can change it: at most one for each connection, whatever the
// number of people, processes and restarts.

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
	// How long is waited for the store before what people were told counts as said.
	countTimeout     = 5 * time.Second
	tellMissingEvery = 24 * time.Hour
)

// MissingScopes is what somebody asked for where permissions for it are missing.
type MissingScopes struct {
	Connection connection.Connection // without its secrets
	Scopes     []connection.Scope    // what is missing, with the features that it is missing for
	By         string                // user ID of who asked
	GrantURL   string                // the page that allows exactly this
}

// Describe returns the catalogue's words for permissions of the bot. One that is not in it goes by its name.
func (in *Installer) Describe(names []string) []connection.Scope {
	scopes := make([]connection.Scope, len(names))
	for i, name := range names {
		scopes[i] = connection.Scope{Name: name, Label: "use " + name}
		if at := slices.IndexFunc(in.cfg.Scopes, func(s connection.Scope) bool { return s.Name == name }); at >= 0 {
			scopes[i] = in.cfg.Scopes[at]
		}
	}
	return scopes
}

// GrantPage is Grant, or "" in single-workspace mode, where nobody can be asked for consent.
func (in *Installer) GrantPage(c connection.Connection, w links.GrantRequest) string {
	if !in.mode.consents() {
		return ""
	}
	return in.links.Grant(c, w)
}

// ShouldTellMissing reports whether userID is to be told now that these permissions are missing: once an hour for each person and
// feature, counted over all processes. It blocks for the store; its trouble means no, for nobody waits for these words.
func (in *Installer) ShouldTellMissing(ctx context.Context, c connection.Connection, userID string, missing []connection.Scope) bool {
	b := slackapi.Budget{Name: "off " + c.ID + " " + userID + " " + strings.Join(connection.ScopeNames(missing), ","), Interval: offAgain, Burst: 1}
	return in.first(ctx, b)
}

// first reports whether nobody took b's one call before, in its interval. The store's trouble counts as no.
func (in *Installer) first(ctx context.Context, b slackapi.Budget) bool {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	ok, err := in.store.Take(ctx, b, 1, in.now())
	if err != nil {
		in.log.WarnContext(ctx, "count what people were told", "cause", err)
	}
	return ok && err == nil
}

// NotifyMissing has one person who can allow it told, once a day, that people ask for what these permissions are missing for: the
// installer, or an admin when the installer is gone. Somebody who asked that themselves knows already, and in single-workspace
// mode nobody in Slack can allow anything. It does not block.
func (in *Installer) NotifyMissing(c connection.Connection, missing []connection.Scope, by string) {
	if in.cfg.Messages == nil || !in.mode.consents() || c.ID == "" || len(missing) == 0 || by == c.InstalledBy {
		return
	}
	in.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), tellBudget)
		defer cancel()
		if in.first(ctx, slackapi.Budget{Name: "wanted " + c.ID, Interval: tellMissingEvery, Burst: 1}) {
			in.tellMissing(ctx, c, missing, by)
		}
	})
}

// errAsker: the one to be told is the one who asked.
var errAsker = errors.New("they know, for they asked themselves")

func (in *Installer) tellMissing(ctx context.Context, c connection.Connection, missing []connection.Scope, by string) {
	w := MissingScopes{Connection: c, Scopes: missing, By: by, GrantURL: in.links.Grant(c, links.GrantRequest{Scopes: connection.ScopeNames(missing), Stays: true})}
	w.Connection.Token, w.Connection.RefreshToken, w.Connection.Webhook.URL = "", "", ""
	notice, sent, err := in.reach(ctx, c, func(client *slack.Client, userID string) (channel, ts string, err error) {
		if userID == by {
			return "", "", errAsker
		}
		return in.cfg.Messages.TellMissing(ctx, client, userID, w)
	})
	line := connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySwitchboard}, What: connection.DidTellMissing, Outcome: connection.OutcomeDone, Reason: notice.To}
	label := toldOne
	switch {
	case errors.Is(err, errAsker):
		return
	case err != nil && sent == connection.VerdictUnclear:
		line.Outcome, line.Reason, label = connection.OutcomeFail, "no_answer", toldUnknown
	case err != nil:
		line.Outcome, line.Reason, label = connection.OutcomeFail, cmp.Or(slackapi.SlackError(err), "no_access"), toldUnreachable
	}
	if err != nil {
		in.log.WarnContext(ctx, "nobody could be told what is wanted and not allowed", "connection", c.ID, "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
	}
	in.log.InfoContext(ctx, "people ask for what is not allowed", "connection", c.ID, "missing_scopes", connection.ScopeNames(missing), "told", label)
	in.metrics.tellMissing.WithLabelValues(label).Inc()
	_, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
		row.Note(line)
		if notice.TS != "" && (row.Notice == connection.Notice{} || row.AwaitsScopes()) {
			row.Notice = connection.Notice{Reason: connection.ReasonMissingScope, To: notice.To, Channel: notice.Channel, TS: notice.TS}
		}
		return nil
	})
	if err != nil {
		in.log.WarnContext(ctx, "keep whom we told of what is wanted", "connection", c.ID, "cause", err)
	}
}

// allowed has the message about what is wanted edited, once all of it is allowed. It is run inside Store.Update.
func (in *Installer) allowed(c *connection.Connection, at time.Time) {
	if c.AwaitsScopes() && c.State == connection.Active && len(c.Missing(in.cfg.Scopes)) == 0 {
		c.Notice.At = at
	}
}
