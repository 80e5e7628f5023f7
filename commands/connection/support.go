package connection

// Help from people: who runs the app, and what to tell them so that they find the matter at once.

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// support says who runs the app. Everybody may ask; guests and people of other companies get no facts of the workspace.
func support(ctx context.Context, t turn, a ask) bot.Reply {
	app := t.Install.App()
	text := "The people who run " + mrkdwn.Escape(app.Name) + " didn't say who they are."
	if app.Operator != "" {
		text = mrkdwn.Escape(app.Name) + " is run by " + mrkdwn.Name(app.Operator) + "."
	}
	if app.SupportURL != "" {
		text += " To reach them, " + mrkdwn.Link(supportAt(app.SupportURL, t.Ref), "get help here") + "; the reference is filled in."
	} else {
		text += " They gave no address for help; ask the person who installed it, or an admin."
	}
	ref := "Reference: " + t.Ref + "."
	if is, _ := a.standing(ctx, t); is == stranger || is == guest {
		return bot.Reply{Text: text + " " + ref, Blocks: []slack.Block{mrkdwn.Section(text + " " + ref)}}
	}
	const copies = "Copy these details for them. There is no secret in them."
	return bot.Reply{Text: text + " " + copies + " " + ref, Blocks: []slack.Block{mrkdwn.Section(text), mrkdwn.Section(copies), mrkdwn.Section(preformatted(details(t, time.Now())))}}
}

// details is what an operator needs to find the matter in the logs.
func details(t turn, now time.Time) string {
	app, h := t.Install.App(), t.Health()
	c := h.Connection
	at := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	lines := []string{
		strings.TrimSpace(app.Name + " " + app.Version),
		"Reference: " + t.Ref,
		"Asked: " + at(now),
		"State: " + string(h.State),
		"Reason: " + cmp.Or(h.Reason, "none"),
	}
	if h.Found {
		since := "not known"
		if !h.Since.IsZero() {
			since = at(h.Since)
		}
		lines = append(lines, "Connection: "+c.ID, "Workspace: "+cmp.Or(c.TeamID, "all of the organisation"))
		if c.EnterpriseID != "" {
			lines = append(lines, "Organisation: "+c.EnterpriseID)
		}
		lines = append(lines, "In this state since: "+since, "Installed: "+at(c.InstalledAt), "Last reconnected: "+at(c.AuthorizedAt),
			"Slack last confirmed it: "+at(c.CheckedAt), "Last message from Slack: "+at(c.LastEventAt), fmt.Sprintf("Installs: %d", c.Installs))
		missing := strings.Join(connection.ScopeNames(h.Missing), " ")
		lines = append(lines, fmt.Sprintf("Permissions: %d of %d", h.Needed-len(h.Missing), h.Needed), "Missing: "+cmp.Or(missing, "none"))
	}
	return strings.Join(lines, "\n")
}

// preformatted is text to be copied as it is.
func preformatted(s string) string {
	return "```" + mrkdwn.Escape(mrkdwn.Clip(strings.ReplaceAll(s, "`", "'"), maxCopy)) + "```"
}

// maxCopy leaves room for what escaping adds.
const maxCopy = 1500

// supportAt is where people get help, with a reference filled in: as the subject of a mail, or as ?ref= of a page.
func supportAt(address, ref string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" || ref == "" {
		return address
	}
	q := u.Query()
	if u.Scheme == "mailto" {
		q.Set("subject", "Reference "+ref)
	} else {
		q.Set("ref", ref)
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // in mails a plus stays a plus
	return u.String()
}
