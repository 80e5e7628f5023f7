package commands

// How a state is shown: one set of blocks for the command, the direct message, the mention and the App Home, made from
// what install.Check says and nothing else.

import (
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"switchboard/bot"
	"switchboard/install"
)

// viewer is who a state is shown to.
type viewer struct {
	audience audience
	standing standing
}

// Slack's limits: https://docs.slack.dev/reference/block-kit/blocks
const (
	maxHeader = 150
	maxField  = 2000
	maxText   = 3000
)

func plain(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, clip(s, maxHeader), false, false)
}

func markdown(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, clip(s, maxText), false, false)
}

func section(s string) slack.Block { return slack.NewSectionBlock(markdown(s), nil, nil) }

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// escape makes text from outside harmless in mrkdwn. Slack's own escapes in it are kept single.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(html.UnescapeString(s))
}

// when is a time in the reader's own zone, with UTC for those who read the plain text.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return fmt.Sprintf("<!date^%d^{date_short_pretty} at {time}|%s>", t.Unix(), t.UTC().Format("2006-01-02 15:04 UTC"))
}

// day is when without the time of day.
func day(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty}|%s>", t.Unix(), t.UTC().Format("2006-01-02"))
}

func person(id string) string {
	if id == "" {
		return "unknown"
	}
	return "<@" + id + ">"
}

func link(address, label string) string { return "<" + address + "|" + escape(label) + ">" }

// statusReply shows h to who. checking: the live answer is on its way.
func statusReply(t *bot.Turn, h install.Health, who viewer, checking bool) bot.Reply {
	app := t.Install.App()
	team := orElse(h.Connection.TeamName, "this workspace")
	blocks := []slack.Block{slack.NewHeaderBlock(plain(h.Label))}
	if who.standing == stranger || who.audience == public && t.Shared {
		// People of another company, and guests, may read this: the state, and nothing of the workspace.
		text := app.Name + ": " + h.Label + "."
		return bot.Reply{Text: text, Blocks: append(blocks, section(escape(text)))}
	}
	blocks = append(blocks, section(sentence(h, app.Name, team)))
	if who.audience != public { // in a channel guests read along
		if who.standing == keeper {
			blocks = append(blocks, buttons(h, app.Name, team))
		}
		if h.Found && who.standing >= member {
			blocks = append(blocks, facts(h, who, checking))
		}
	}
	blocks = append(blocks, slack.NewContextBlock("", markdown(footer(t, h))))
	text := escape(fmt.Sprintf("%s in %s: %s. %s", app.Name, team, h.Label, h.Sentence)) + worksUntil(h)
	if h.ReasonText != "" {
		text += " " + escape(h.ReasonText)
	}
	if h.NextStep != "" {
		text += " " + escape(h.NextStep)
	}
	if checking {
		text += " The live answer follows."
	}
	return bot.Reply{Text: text, Blocks: blocks}
}

// sentence says what the state means, why, since when, and who can do what.
func sentence(h install.Health, app, team string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s* in *%s*: %s%s", escape(app), escape(team), escape(h.Sentence), worksUntil(h))
	if h.ReasonText != "" {
		b.WriteString("\n" + escape(h.ReasonText))
		if !h.Since.IsZero() && h.State != install.Unknown {
			b.WriteString(" Since " + when(h.Since) + ".")
		}
	}
	if h.State == install.Unknown {
		if h.LastKnown != "" {
			fmt.Fprintf(&b, "\nWhat we last knew: %s.", escape(string(lastKnown[h.LastKnown])))
		}
		if !h.CheckedAt.IsZero() {
			b.WriteString(" Last good check " + when(h.CheckedAt) + ".")
		}
	}
	if len(h.Missing) > 0 {
		b.WriteString("\nNot allowed yet: " + labels(h.Missing) + ". What needs them is off.")
	}
	if h.NextStep != "" {
		b.WriteString("\n" + escape(h.NextStep))
		if h.GrantURL != "" && (h.Broken() || h.State == install.Limited) {
			b.WriteString(" " + link(h.GrantURL, "Open the page for that") + ".")
		}
	}
	return b.String()
}

// worksUntil is a sentence to go behind another, "" when there is nothing to say.
func worksUntil(h install.Health) string {
	if h.WorksUntil.IsZero() {
		return ""
	}
	return " It works until " + when(h.WorksUntil) + "."
}

var lastKnown = map[install.State]string{
	install.Active: "it worked", install.Retrying: "it had trouble", install.ReconnectRequired: "it needed reconnecting",
	install.Removed: "it was removed from this workspace", install.Paused: "it was paused",
}

func labels(scopes []install.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = strings.ToLower(s.Label[:1]) + s.Label[1:]
	}
	return escape(strings.Join(words, ", "))
}

// buttons are for the installer and workspace admins.
func buttons(h install.Health, app, team string) slack.Block {
	var elements []slack.BlockElement
	grant := func(label, spoken string, style slack.Style) {
		b := slack.NewButtonBlockElement(actionGrant, "", plain(label))
		b.URL, b.AccessibilityLabel, b.Style = h.GrantURL, clip(spoken, 75), style
		elements = append(elements, b)
	}
	switch {
	case h.GrantURL == "":
	case h.Broken():
		grant("Reconnect", "Reconnect "+app+" to "+team, slack.StylePrimary)
	case h.State == install.Limited:
		grant("Allow the rest", "Allow "+app+" the missing permissions in "+team, slack.StylePrimary)
	}
	check := slack.NewButtonBlockElement(actionCheck, "", plain("Check again"))
	check.AccessibilityLabel = clip("Check again whether "+app+" works", 75)
	elements = append(elements, check)
	if !h.Broken() && h.Found {
		test := slack.NewButtonBlockElement(actionTest, "", plain("Send a test message"))
		test.AccessibilityLabel = "Send a test message to yourself"
		elements = append(elements, test)
	}
	return slack.NewActionBlock("", elements...)
}

// facts are for everybody in the workspace.
func facts(h install.Health, who viewer, checking bool) slack.Block {
	c := h.Connection
	field := func(name, value string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.MarkdownType, clip("*"+name+"*\n"+value, maxField), false, false)
	}
	workspace := escape(orElse(c.TeamName, c.TeamID))
	if u, err := url.Parse(c.TeamURL); err == nil && u.Host != "" {
		workspace += "\n" + escape(u.Host)
	}
	how := "This workspace"
	if c.Org() {
		how = "Whole organisation"
		workspace = escape(orElse(c.EnterpriseName, c.EnterpriseID))
	}
	by := "The people who run the app"
	if c.InstalledBy != "" {
		by = person(c.InstalledBy)
	}
	by += ", " + day(c.InstalledAt)
	checked := when(h.CheckedAt)
	switch {
	case checking:
		checked = when(h.CheckedAt) + "; the live answer follows"
	case h.Live && h.State != install.Unknown:
		checked = "Just now, with Slack"
	case h.State == install.Unknown:
		checked = "Couldn't check now; last good check " + when(h.CheckedAt)
	}
	last := "None yet, which is normal right after installing"
	if !c.LastEventAt.IsZero() {
		last = when(c.LastEventAt)
	}
	permissions := fmt.Sprintf("%d of %d allowed", h.Needed-len(h.Missing), h.Needed)
	if len(h.Missing) > 0 {
		permissions += ". Missing: " + labels(h.Missing)
	}
	fields := []*slack.TextBlockObject{
		field("Workspace", workspace),
		field("Installed for", how),
		field("Connected by", by),
		field("Last checked", checked),
		field("Last message from Slack", last),
		field("Permissions", permissions),
	}
	if c.RenewedAt.After(c.InstalledAt) {
		fields = slices.Insert(fields, 3, field("Last reconnected by", person(c.RenewedBy)+", "+day(c.RenewedAt)))
	}
	if who.standing == keeper {
		fields = append(fields, field("Access renewal", renewal(h)), field("One connection", oneConnection(c)))
	}
	return slack.NewSectionBlock(nil, fields, nil)
}

// renewal says how the access is kept fresh.
func renewal(h install.Health) string {
	c := h.Connection
	switch {
	case !h.WorksUntil.IsZero():
		return "Ended. What is left works until " + when(h.WorksUntil)
	case c.State == install.Removed || c.State == install.ReconnectRequired:
		return "None now"
	case c.ExpiresAt.IsZero():
		return "Doesn't expire" // though the move to one that is renewed may be failing
	case c.RenewAt.IsZero() && c.Tries == 0:
		return "Not automatic. Ends " + when(c.ExpiresAt)
	case c.Tries == 0:
		return "Automatic. Next before " + when(c.ExpiresAt)
	case c.RenewAt.IsZero():
		return "Failing since " + when(c.FailingSince)
	}
	return fmt.Sprintf("Failing since %s, trying again at %s (%s time)", when(c.FailingSince), when(c.RenewAt), nth(c.Tries+1))
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
func oneConnection(c install.Connection) string {
	const only = "The only one for this workspace"
	if c.Installs < 2 {
		return only
	}
	return fmt.Sprintf("%s. Of %d installs (first: %s) each updated this same connection.", only, c.Installs, day(c.CreatedAt))
}

func adminFacts(h install.Health, app install.App) string {
	remove := "its page in Slack, *Configuration*, *Remove App*"
	if h.GrantURL != "" {
		remove = "type `/connection disconnect`, or use " + remove
	}
	return fmt.Sprintf("Connection `%s`. It doesn't depend on the person who installed it.\n*What happened to it:* type `/connection history`.\n*Data kept:* %s\n*To remove the app:* %s.",
		h.Connection.ID, escape(app.DataKept), remove)
}

// footer says who may see this, how to quote it, and who runs the app.
func footer(t *bot.Turn, h install.Health) string {
	app := t.Install.App()
	var parts []string
	if h.State != install.Active {
		parts = append(parts, "Ref `"+t.Ref+"`")
	}
	return strings.Join(append(parts, imprint(app)...), " · ")
}

// imprint says who runs the app, and where help is.
func imprint(app install.App) []string {
	var parts []string
	if app.Operator != "" {
		parts = append(parts, "Run by "+escape(app.Operator))
	}
	if app.SupportURL != "" {
		parts = append(parts, link(app.SupportURL, "Get help"))
	}
	if app.PrivacyURL != "" {
		parts = append(parts, link(app.PrivacyURL, "Privacy"))
	}
	return append(parts, escape(strings.TrimSpace(app.Name+" "+app.Version)))
}

// place names what a connection is for.
func place(c install.Connection) string {
	if c.ID != "" && c.Org() {
		return "the whole organisation " + orElse(c.EnterpriseName, c.EnterpriseID)
	}
	return orElse(c.TeamName, "this workspace")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
