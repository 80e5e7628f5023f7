package connection

// The facts below a state: what is connected, by whom, how fresh what we know is, and what is allowed.

import (
	"cmp"
	"net/url"
	"slices"
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
		blocks = append(blocks, facts(t, h, who))
		blocks = append(blocks, paragraphs(t, missingLines(t, h))...)
		blocks = append(blocks, mrkdwn.Section(moreFacts(t, h)))
	}
	return blocks
}

// missingLines lists what isn't allowed, each permission with its reason.
func missingLines(t turn, h install.Health) []string {
	var lines []string
	for _, s := range h.Missing[:min(missingShown, len(h.Missing))] {
		lines = append(lines, missingLine(t, h, s))
	}
	return lines
}

// missingLine says whether a permission was there before, and since when it isn't.
func missingLine(t turn, h install.Health, s connection.Scope) string {
	line := permissionLine(t, s, false)
	if !h.Connection.TakenAway(s.Name) {
		return t.say("facts.not_allowed", "permission", line)
	}
	return t.say("facts.taken", "time", mrkdwn.Time(t.words(), h.Connection.MissingSince(s.Name)), "permission", line)
}

// explained names the app and the workspace, and says what the status line leaves out.
func explained(t turn, h install.Health) string {
	lines := []string{t.say("facts.name")}
	shown := whatItMeans(h)
	for _, said := range []string{h.Sentence, h.ReasonText} {
		if said != "" && said != shown {
			lines = append(lines, mrkdwn.Escape(mrkdwn.Clip(said, maxSentence)))
		}
	}

	switch h.State { // in the others the status line says it already
	case connection.Retrying, connection.Unknown, connection.ReconnectRequired:
		if len(h.Missing) > 0 {
			lines = append(lines, mrkdwn.Escape(mrkdwn.Clip(h.Connection.Without(t.words(), "", h.Missing), maxSentence)))
		}
	}
	return strings.Join(lines, "\n")
}

// facts are for everybody in the workspace.
func facts(t turn, h install.Health, who viewer) slack.Block {
	c := h.Connection
	field := func(key, value string) *slack.TextBlockObject { return mrkdwn.Field(t.say("facts."+key), value) }
	kind, workspace, how := installedFor(t, h)
	fields := []*slack.TextBlockObject{
		field(kind, workspace),
		field("installed_for", how),
		field("connected_by", installer(t, c, who.installerLeft)),
		field("last_checked", lastChecked(t, h)),
		field("last_message", lastEvent(t, h)),
		field("permissions", permitted(t, h)),
	}
	if c.AuthorizedAt.After(c.InstalledAt) {
		again := t.say("facts.by_person", "person", mrkdwn.Person(c.AuthorizedBy), "day", mrkdwn.Day(c.AuthorizedAt))
		fields = slices.Insert(fields, 3, field("last_reconnected", again))
	}
	if !who.permissions.At.IsZero() {
		changed := sentences(mrkdwn.Day(who.permissions.At)+".", by(t, who.permissions.By))
		fields = append(fields, field("permissions_changed", changed))
	}
	fields = append(fields, field("renewal", renewal(t, h)), field("one", oneConnection(t, c)))
	return slack.NewSectionBlock(nil, fields, nil)
}

// installedFor says what the connection is for: the key of which kind of thing, its name, and how far it reaches.
func installedFor(t turn, h install.Health) (kind, name, how string) {
	c := h.Connection
	if c.Org() {
		how = t.say("facts.for_organisation")
		if h.Workspace != "" {
			how = t.say("facts.for_organisation_here", "workspace", mrkdwn.Name(h.Workspace))
		}
		return "organisation", mrkdwn.Name(cmp.Or(c.EnterpriseName, c.EnterpriseID)), how
	}

	name = mrkdwn.Name(cmp.Or(c.TeamName, c.TeamID))
	if u, err := url.Parse(c.TeamURL); err == nil && u.Host != "" {
		name += "\n" + mrkdwn.Name(u.Host)
	}
	return "workspace", name, t.say("facts.for_workspace")
}

func installer(t turn, c connection.Connection, left bool) string {
	day := mrkdwn.Day(c.InstalledAt)
	switch {
	case c.InstalledBy == "":
		return t.say("facts.by_operator", "day", day)
	case left:
		return t.say("facts.by_person_left", "person", mrkdwn.Person(c.InstalledBy), "day", day)
	}
	return t.say("facts.by_person", "person", mrkdwn.Person(c.InstalledBy), "day", day)
}

func lastChecked(t turn, h install.Health) string {
	switch at := mrkdwn.Time(t.words(), h.CheckedAt); {
	case h.Live && h.State != connection.Unknown:
		return t.say("facts.checked_now")
	case h.State == connection.Unknown:
		return t.say("facts.checked_failed", "time", at)
	default:
		return at
	}
}

func lastEvent(t turn, h install.Health) string {
	at := h.Connection.LastEventAt
	if at.IsZero() {
		return t.say("facts.no_message")
	}
	if silent := t.Now().Sub(at); silent > quietAfter && !h.Broken() {
		return t.say("facts.quiet", "time", mrkdwn.Time(t.words(), at), "count", int(silent.Hours()/24))
	}
	return mrkdwn.Time(t.words(), at)
}

func permitted(t turn, h install.Health) string {
	allowed := h.Needed - len(h.Missing)
	if len(h.Missing) == 0 {
		return t.say("facts.allowed", "allowed", allowed, "all", h.Needed)
	}
	return t.say("facts.allowed_missing", "allowed", allowed, "all", h.Needed, "permissions", labels(t, h.Missing))
}

// renewal says how the access is kept fresh.
func renewal(t turn, h install.Health) string {
	c := h.Connection
	switch {
	case !h.WorksUntil.IsZero():
		return t.say("facts.renewal_ended", "time", mrkdwn.Time(t.words(), h.WorksUntil))
	case c.State == connection.Removed || c.State == connection.ReconnectRequired:
		return t.say("facts.renewal_none")
	case c.ExpiresAt.IsZero():
		return t.say("facts.renewal_never") // though the move to one that is renewed may be failing
	case c.RenewAt.IsZero() && c.Tries == 0:
		return t.say("facts.renewal_ends", "time", mrkdwn.Time(t.words(), c.ExpiresAt))
	case c.Tries == 0:
		return t.say("facts.renewal_next", "time", mrkdwn.Time(t.words(), c.ExpiresAt))
	case c.RenewAt.IsZero():
		return t.say("facts.renewal_failing", "since", mrkdwn.Time(t.words(), c.FailingSince))
	}
	return t.say("facts.renewal_retrying", "since", mrkdwn.Time(t.words(), c.FailingSince), "time", mrkdwn.Time(t.words(), c.RenewAt),
		"tries", c.Tries)
}

// oneConnection explains what surprises people who expect a second install to make a second bot.
func oneConnection(t turn, c connection.Connection) string {
	only := t.say("facts.one_workspace")
	if c.Org() {
		only = t.say("facts.one_organisation")
	}
	switch {
	case c.Installs < 2:
		return only
	case c.Installs == 2:
		return t.say("facts.one_twice", "only", only)
	}
	return t.say("facts.one_often", "only", only, "times", c.Installs, "day", mrkdwn.Day(c.CreatedAt))
}

// moreFacts are those that are sentences.
func moreFacts(t turn, h install.Health) string {
	kept := mrkdwn.Escape(mrkdwn.Clip(t.Install.App().DataKept, mrkdwn.MaxText/2))
	lines := []string{t.say("facts.id", "id", h.Connection.ID), more(t, "history", "facts.history"),
		t.say("facts.data", "data", kept)}

	remove := t.say("facts.remove")
	switch {
	case h.GrantURL == "":
	case t.canType():
		remove = t.say("facts.remove_typed", "typed", t.typed("disconnect"))
	case t.canWrite():
		remove = t.say("facts.remove_message", "word", t.word("disconnect"))
	}
	lines = append(lines, remove)
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return l == "" }), "\n")
}
