package connection

// The facts below a state: what is connected, by whom, how fresh what we know is, and what is allowed.

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// quietAfter is how long Slack may send nothing before that is pointed out.
const quietAfter = 72 * time.Hour

// detailBlocks are all that is known of h, as far as who may read it, with what can always be asked for.
func detailBlocks(t turn, h install.Health, who viewer) []slack.Block {
	blocks := factBlocks(t, h, who)
	if h.Found && who.standing == keeper {
		blocks = append(blocks, buttons(t, h))
	}
	return append(blocks, mrkdwn.Context(footer(t)))
}

// factBlocks are what can be read of it.
func factBlocks(t turn, h install.Health, who viewer) []slack.Block {
	blocks := []slack.Block{mrkdwn.Section(explained(t, h))}
	if h.Found && who.standing >= member {
		blocks = append(blocks, facts(h, who))
		blocks = append(blocks, paragraphs(missingLines(h))...)
		blocks = append(blocks, mrkdwn.Section(moreFacts(t, h)))
	}
	return blocks
}

// missingLines lists what isn't allowed, each permission with its reason.
func missingLines(h install.Health) []string {
	var lines []string
	for _, s := range h.Missing[:min(missingShown, len(h.Missing))] {
		lines = append(lines, "• "+notAllowed(h, s)+": "+permissionLine(s, false))
	}
	return lines
}

// notAllowed says of a missing permission whether it was there before, and since when it isn't.
func notAllowed(h install.Health, s connection.Scope) string {
	if !h.Connection.TakenAway(s.Name) {
		return "Not allowed"
	}
	return "No longer allowed since " + mrkdwn.Time(h.Connection.MissingSince(s.Name))
}

// explained names the app and the workspace, and says what the status line leaves out.
func explained(t turn, h install.Health) string {
	lines := []string{fmt.Sprintf("*%s* in *%s*", t.app(), mrkdwn.Name(h.Connection.Place(t.Install.App().Words)))}
	if shown := standsSo(h); h.ReasonText != "" && !strings.Contains(shown, mrkdwn.Escape(h.ReasonText)) {
		lines = append(lines, mrkdwn.Escape(h.ReasonText))
	} else if h.Sentence != "" && !strings.Contains(shown, mrkdwn.Escape(mrkdwn.Clip(h.Sentence, maxSentence))) {
		lines = append(lines, mrkdwn.Escape(mrkdwn.Clip(h.Sentence, maxSentence)))
	}

	switch h.State { // in the others the status line says it already
	case connection.Retrying, connection.Unknown, connection.ReconnectRequired:
		if len(h.Missing) > 0 {
			lines = append(lines, mrkdwn.Escape(mrkdwn.Clip(h.Connection.Without(t.Install.App().Words, "", h.Missing), maxSentence)))
		}
	}
	return strings.Join(lines, "\n")
}

// facts are for everybody in the workspace.
func facts(h install.Health, who viewer) slack.Block {
	c := h.Connection
	kind, workspace, how := installedFor(h)
	fields := []*slack.TextBlockObject{
		mrkdwn.Field(kind, workspace),
		mrkdwn.Field("Installed for", how),
		mrkdwn.Field("Connected by", installer(c, who.installerLeft)),
		mrkdwn.Field("Last checked", lastChecked(h)),
		mrkdwn.Field("Last message from Slack", lastEvent(h)),
		mrkdwn.Field("Permissions", permitted(h)),
	}
	if c.AuthorizedAt.After(c.InstalledAt) {
		again := mrkdwn.Person(c.AuthorizedBy) + ", " + mrkdwn.Day(c.AuthorizedAt)
		fields = slices.Insert(fields, 3, mrkdwn.Field("Last reconnected by", again))
	}
	if !who.permissions.At.IsZero() {
		changed := mrkdwn.Day(who.permissions.At) + by(who.permissions.By)
		fields = append(fields, mrkdwn.Field("Permissions changed", changed))
	}
	fields = append(fields, mrkdwn.Field("Access renewal", renewal(h)), mrkdwn.Field("One connection", oneConnection(c)))
	return slack.NewSectionBlock(nil, fields, nil)
}

// installedFor names what the connection is for: which kind of thing, its name, and how far it reaches.
func installedFor(h install.Health) (kind, name, how string) {
	c := h.Connection
	if c.Org() {
		how = "Whole organisation"
		if h.Workspace != "" {
			how += ", and added to this workspace: " + mrkdwn.Name(h.Workspace)
		}
		return "Organisation", mrkdwn.Name(cmp.Or(c.EnterpriseName, c.EnterpriseID)), how
	}

	name = mrkdwn.Name(cmp.Or(c.TeamName, c.TeamID))
	if u, err := url.Parse(c.TeamURL); err == nil && u.Host != "" {
		name += "\n" + mrkdwn.Name(u.Host)
	}
	return "Workspace", name, "This workspace"
}

func installer(c connection.Connection, left bool) string {
	by := "The people who run the app"
	if c.InstalledBy != "" {
		by = mrkdwn.Person(c.InstalledBy)
	}
	by += ", " + mrkdwn.Day(c.InstalledAt)
	if left {
		by += ". They have left; the connection doesn't depend on them"
	}
	return by
}

func lastChecked(h install.Health) string {
	switch at := mrkdwn.Time(h.CheckedAt); {
	case h.Live && h.State != connection.Unknown:
		return "Just now, with Slack"
	case h.State == connection.Unknown:
		return "Couldn't check now. Last good check " + at
	default:
		return at
	}
}

func lastEvent(h install.Health) string {
	at := h.Connection.LastEventAt
	if at.IsZero() {
		return "None yet, which is normal right after installing"
	}
	said := mrkdwn.Time(at)
	if silent := time.Since(at); silent > quietAfter && !h.Broken() {
		said += ". None for " + count(int(silent.Hours()/24), "day") + ", which is normal where nobody used it"
	}
	return said
}

func permitted(h install.Health) string {
	said := fmt.Sprintf("%d of %d allowed", h.Needed-len(h.Missing), h.Needed)
	if len(h.Missing) > 0 {
		said += ". Missing: " + labels(h.Missing)
		if off := features(h.Missing); off != "" {
			said += ". It can't " + off
		}
	}
	return said
}

// renewal says how the access is kept fresh.
func renewal(h install.Health) string {
	c := h.Connection
	switch {
	case !h.WorksUntil.IsZero():
		return "Ended. What is left works until " + mrkdwn.Time(h.WorksUntil)
	case c.State == connection.Removed || c.State == connection.ReconnectRequired:
		return "None now"
	case c.ExpiresAt.IsZero():
		return "Doesn't expire" // though the move to one that is renewed may be failing
	case c.RenewAt.IsZero() && c.Tries == 0:
		return "Not automatic. Ends " + mrkdwn.Time(c.ExpiresAt)
	case c.Tries == 0:
		return "Automatic. Next renewal by " + mrkdwn.Time(c.ExpiresAt)
	case c.RenewAt.IsZero():
		return "Failing since " + mrkdwn.Time(c.FailingSince)
	}
	return fmt.Sprintf("Failing since %s, trying again at %s (%s time)",
		mrkdwn.Time(c.FailingSince), mrkdwn.Time(c.RenewAt), nth(c.Tries+1))
}

// nth is 1st, 2nd, 3rd, 4th.
func nth(n int) string {
	end := "th"
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return strconv.Itoa(n) + end
}

// oneConnection explains what surprises people who expect a second install to make a second bot.
func oneConnection(c connection.Connection) string {
	only := "The only one for this workspace"
	if c.Org() {
		only = "The only one for all workspaces of the organisation"
	}
	switch {
	case c.Installs < 2:
		return only
	case c.Installs == 2:
		return only + ". Installed twice, both updated this connection"
	}
	return fmt.Sprintf("%s. Installed %d times since %s, all updated this connection", only, c.Installs,
		mrkdwn.Day(c.CreatedAt))
}

// moreFacts are those that are sentences.
func moreFacts(t turn, h install.Health) string {
	lines := []string{"Connection `" + h.Connection.ID + "`. It doesn't depend on the person who installed it."}
	if how := asking(t, "history"); how != "" {
		lines = append(lines, "*What happened to it:* "+how+".")
	}

	kept := cmp.Or(t.Install.App().DataKept, "The people who run the app didn't say.")
	remove := "its page in Slack, *Configuration*, *Remove App*"
	if how := asking(t, "disconnect"); h.GrantURL != "" && how != "" {
		remove = how + ", or use " + remove
	}
	lines = append(lines,
		"*Data kept:* "+mrkdwn.Escape(mrkdwn.Clip(kept, mrkdwn.MaxText/2)), "*To remove the app:* "+remove+".")
	return strings.Join(lines, "\n")
}
