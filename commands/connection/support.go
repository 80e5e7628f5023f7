package connection

// Help from people: who runs the app, and what to tell them so that they find the matter at once.

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// support says who runs the app. Everybody may ask; guests and people of other companies get no facts of the workspace.
func support(ctx context.Context, t turn, a ask) bot.Reply {
	app := t.Install.App()
	text := "The people who run " + t.app() + " didn't say who they are."
	if app.Operator != "" {
		text = t.app() + " is run by " + mrkdwn.Name(app.Operator) + "."
	}
	is, _ := a.standing(ctx, t)
	switch {
	case app.SupportURL != "":
		text += " To reach them, " + mrkdwn.Link(supportAt(app.SupportURL, t.Ref), "get help here") +
			". The reference is filled in."
	case is < guest: // only people of the workspace read who installed it
		text += " No support contact is set. Ask " + t.Connection.Admin(t.Install.App().Words) + "."
	default:
		text += " No support contact is set. " + whoCan(t)
	}

	if is == stranger || is == guest {
		return paragraph(text + t.ref())
	}
	const copies = "Copy these details for them. There is no secret in them."
	r := paragraph(text, mrkdwn.Section(copies), mrkdwn.Section(preformatted(toCopy(t, time.Now()))))
	r.Text += " " + copies + t.ref()
	return r
}

// toCopy is what an operator needs to find the matter in the logs.
func toCopy(t turn, now time.Time) string {
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
	if !h.Found {
		return strings.Join(lines, "\n")
	}

	since := "not known"
	if !h.Since.IsZero() {
		since = at(h.Since)
	}
	lines = append(lines, "Connection: "+c.ID, "Workspace: "+cmp.Or(c.TeamID, "all of the organisation"))
	if c.EnterpriseID != "" {
		lines = append(lines, "Organisation: "+c.EnterpriseID)
	}
	lines = append(lines,
		"In this state since: "+since,
		"Installed: "+at(c.InstalledAt),
		"Last reconnected: "+at(c.AuthorizedAt),
		"Slack last confirmed it: "+at(c.CheckedAt),
		"Last message from Slack: "+at(c.LastEventAt),
		fmt.Sprintf("Installs: %d", c.Installs),
		fmt.Sprintf("Permissions: %d of %d", h.Needed-len(h.Missing), h.Needed),
		"Missing: "+cmp.Or(strings.Join(connection.ScopeNames(h.Missing), " "), "none"))
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
