package connection

// Help from people: who runs the app, and what to tell them so that they find the matter at once.

import (
	"cmp"
	"context"
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
	text := t.say("support.unknown")
	if app.Operator != "" {
		text = t.say("support.run_by", "operator", mrkdwn.Name(app.Operator))
	}
	is, _ := a.standing(ctx, t)
	switch {
	case app.SupportURL != "":
		address := mrkdwn.Address(supportAt(app.SupportURL, t.Ref))
		text = sentences(text, t.say("support.reach", "address", address))
	case is < guest: // only people of the workspace read who installed it
		text = sentences(text, t.say("support.no_contact"), t.sayFor("can.ask_admin"))
	default:
		text = sentences(text, t.say("support.no_contact"), whoCan(t))
	}

	if is == stranger || is == guest {
		return paragraph(sentences(text, t.ref()))
	}
	copies := t.say("support.copy")
	r := paragraph(text, mrkdwn.Section(copies), mrkdwn.Section(preformatted(toCopy(t))))
	r.Text = sentences(r.Text, copies, t.ref())
	return r
}

// toCopy is what an operator needs to find the matter in the logs.
func toCopy(t turn) string {
	app, h := t.Install.App(), t.Health()
	c := h.Connection
	line := func(key string, params ...any) string { return t.plain("support.d_"+key, params...) }
	at := func(of time.Time) string {
		if of.IsZero() {
			return line("never")
		}
		return of.UTC().Format("2006-01-02 15:04:05 UTC")
	}

	lines := []string{
		strings.TrimSpace(app.Name + " " + app.Version),
		line("reference", "ref", t.Ref),
		line("asked", "time", at(t.Now())),
		line("state", "state", h.State),
		line("reason", "reason", cmp.Or(h.Reason, line("none"))),
	}
	if !h.Found {
		return strings.Join(lines, "\n")
	}

	since := line("unknown")
	if !h.Since.IsZero() {
		since = at(h.Since)
	}
	lines = append(lines, line("connection", "id", c.ID))
	if c.TeamID == "" {
		lines = append(lines, line("workspaces"))
	} else {
		lines = append(lines, line("workspace", "id", c.TeamID))
	}
	if c.EnterpriseID != "" {
		lines = append(lines, line("organisation", "id", c.EnterpriseID))
	}
	missing := cmp.Or(strings.Join(connection.ScopeNames(h.Missing), " "), line("none"))
	lines = append(lines,
		line("since", "time", since),
		line("installed", "time", at(c.InstalledAt)),
		line("reconnected", "time", at(c.AuthorizedAt)),
		line("confirmed", "time", at(c.CheckedAt)),
		line("message", "time", at(c.LastEventAt)),
		line("installs", "number", c.Installs),
		line("permissions", "allowed", h.Needed-len(h.Missing), "all", h.Needed),
		line("missing", "permissions", missing))
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
