package commands

// How a state is shown: one set of blocks for the command, the direct message, the mention and the App Home, made from
// what install.Check says and nothing else.

import (
	"cmp"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// viewer is who a state is shown to.
type viewer struct {
	audience audience
	standing standing
	verbose  bool // wants what admins see; members get it, too
	again    bool // can ask again and again, so Slack is not asked each time

	permissions   connection.Change // the last change of what is granted; zero: none known
	installerLeft bool              // Slack says that the person who installed it is no longer here
}

// Slack's limits, in characters: https://docs.slack.dev/reference/block-kit and /reference/views
const (
	maxHeader = 150
	maxField  = 2000
	maxText   = 3000
	maxButton = 75 // a button's or a menu's words, and what is read out for them
	maxTitle  = 24 // a window's title and its buttons
	// Ours: of names from outside, and of a message's top-level text, which Slack recommends to keep below 4,000.
	maxName     = 100
	maxSentence = 600 // one that may list things
	maxSpoken   = 3500
)

// label is plain text of at most so many characters.
func label(s string, most int) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, clip(s, most), false, false)
}

func plain(s string) *slack.TextBlockObject { return label(s, maxHeader) }

func markdown(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.MarkdownType, cut(s, maxText), false, false)
}

func section(s string) slack.Block { return slack.NewSectionBlock(markdown(s), nil, nil) }

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// cut is clip for text with markup: what would be left of a link, a time or an escape is dropped, and code is ended.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	const end = "…```"
	s = string([]rune(s)[:most-len([]rune(end))])
	if i := strings.LastIndexByte(s, '<'); i > strings.LastIndexByte(s, '>') {
		s = s[:i]
	}
	if i := strings.LastIndexByte(s, '&'); i > strings.LastIndexByte(s, ';') {
		s = s[:i]
	}
	s = strings.TrimRight(s, "`") + "…"
	switch block := strings.Count(s, "```"); {
	case block%2 == 1:
		s += "```"
	case (strings.Count(s, "`")-3*block)%2 == 1:
		s += "`"
	}
	return s
}

// escape makes text from outside harmless in mrkdwn. Slack's own escapes in it are kept single.
func escape(s string) string {
	return escapes.Replace(html.UnescapeString(s))
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// short is a name from outside on one line, of a length to be read, and without what would turn the text behind it into code.
func short(s string) string {
	return clip(strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "`", "'"), maxName)
}

// brief is short for text with markup.
func brief(s string) string { return escape(short(s)) }

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

// link is an address to be pressed. What would end it, and what Slack escapes everywhere, is escaped in it, too.
func link(address, label string) string {
	return "<" + strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C", " ", "%20").Replace(address) + "|" + escape(label) + ">"
}

// statusReply shows h to who. checking: the live answer is on its way.
func statusReply(t *bot.Turn, h install.Health, who viewer, checking bool) bot.Reply {
	app := t.Install.App()
	blocks := []slack.Block{slack.NewHeaderBlock(plain(h.Label))}
	if who.headlineOnly(t) {
		text := escape(app.Name+": "+h.Label+".") + asOf(h, checking)
		return bot.Reply{Text: text, Blocks: append(blocks, section(text))}
	}
	team := place(h.Connection)
	blocks = append(blocks, section(sentence(t, h, who)+asOf(h, checking)))
	if who.audience != public { // in a channel guests read along
		if who.standing == keeper {
			blocks = append(blocks, buttons(t, h, nowButton(t, h), checkButton(app.Name)))
		}
		if h.Found && who.standing >= member {
			blocks = append(blocks, facts(h, who, checking))
			switch {
			case who.verbose:
				blocks = append(blocks, section(adminFacts(t, h)))
			case who.standing == keeper:
				line := "Connection `" + h.Connection.ID + "`"
				if how := asking(t, "status verbose"); how != "" {
					line += " · Data kept, and how to remove the app: " + how
				}
				blocks = append(blocks, slack.NewContextBlock("", markdown(line)))
			}
		}
	}
	blocks = append(blocks, slack.NewContextBlock("", markdown(footer(t, h))))
	text := escape(app.Name+" in "+team+": "+h.Label) + since(h) + spaced(escape(clip(h.Sentence, maxSentence))) + worksUntil(h)
	if h.ReasonText != "" {
		text += " " + escape(h.ReasonText)
	}
	if h.NextStep != "" {
		text += " " + escape(h.NextStep)
	}
	text += heldBack(h)
	if h.State != connection.Active {
		text += " Reference: " + t.Ref + "."
	}
	text += asOf(h, checking)
	return bot.Reply{Text: text, Blocks: blocks}
}

// headlineOnly: people of another company, and guests, read the state, and nothing of the workspace.
func (who viewer) headlineOnly(t *bot.Turn) bool {
	return who.standing == stranger || who.standing == guest || who.audience == public && t.Shared
}

// sentence says what the state means, why, since when, and who can do what.
func sentence(t *bot.Turn, h install.Health, who viewer) string {
	app, team := t.Install.App().Name, place(h.Connection)
	var b strings.Builder
	mark := ""
	if h.State == connection.Active && h.Live && h.HeldAt.IsZero() {
		mark = "✅ "
	}
	fmt.Fprintf(&b, "*%s* in *%s*\n%s*%s*%s", escape(app), escape(team), mark, escape(h.Label), since(h))
	b.WriteString(spaced(escape(clip(h.Sentence, maxSentence))) + worksUntil(h))
	if h.ReasonText != "" {
		b.WriteString("\n" + escape(h.ReasonText))
	}
	if held := heldBack(h); held != "" {
		b.WriteString("\n" + strings.TrimSpace(held))
	}
	if h.State == connection.Unknown {
		if h.LastKnown != "" {
			fmt.Fprintf(&b, "\nWhat we last knew: %s.", escape(lastKnown[h.LastKnown]))
		}
		if !h.CheckedAt.IsZero() {
			b.WriteString(" Last good check " + when(h.CheckedAt) + ".")
		}
	}
	switch h.State { // where the sentence doesn't say it already
	case connection.Retrying, connection.Unknown, connection.ReconnectRequired:
		if len(h.Missing) > 0 {
			b.WriteString("\n" + escape(clip(h.Connection.Without("It", h.Missing), maxSentence)))
		}
	}
	if h.NextStep != "" {
		b.WriteString("\n" + escape(h.NextStep))
		switch {
		case h.GrantURL == "" || !h.Broken() && h.State != connection.Limited:
		case who.standing == keeper: // the button leads there
		case !bound(t, h.GrantURL):
			b.WriteString(" " + link(h.GrantURL, "Open the page for that") + ".")
		case h.Broken() || unasked(h, who.standing):
			b.WriteString(" " + link(everybodys(t), "Open the install page") + ".")
		}
	}
	return b.String()
}

// since says when the state began, to go behind its label; a full stop where nobody saw it begin.
func since(h install.Health) string {
	switch {
	case h.Since.IsZero():
		return "."
	case h.State == connection.Active:
		return " since " + day(h.Since) + "."
	case h.State == connection.Removed: // that is a moment
		return ", " + when(h.Since) + "."
	}
	return " since " + when(h.Since) + "."
}

// asOf is a sentence to go behind another: how old an answer is that comes from our records alone, "" when Slack was asked.
func asOf(h install.Health, checking bool) string {
	said := ""
	switch {
	case h.Live || h.State == connection.Unknown || !h.Found:
	case h.CheckedAt.IsZero():
		said = " That's what our records say. Slack hasn't confirmed it yet."
	case h.State == connection.Active || h.State == connection.Limited || h.State == connection.Retrying:
		said = " That's as of " + when(h.CheckedAt) + ", when Slack last confirmed it."
	default:
		said = " That's what our records say. Slack last confirmed its access " + when(h.CheckedAt) + "."
	}
	if checking {
		said += " The live answer follows."
	}
	return said
}

// spaced is s with a space before it, if there is any.
func spaced(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

// unasked reports whether the permission is missing without which nobody can be told from others, so that nobody gets a
// button.
func unasked(h install.Health, is standing) bool {
	return is == unknown && slices.Contains(connection.ScopeNames(h.Missing), "users:read")
}

// everybodys is the install page that everybody may have: Slack decides there who may add apps.
func everybodys(t *bot.Turn) string { return t.Install.StartPage() }

// bound reports whether an address is a link of ours for one connection, which is for those who may act, and not a page for all.
func bound(t *bot.Turn, address string) bool { return strings.HasPrefix(address, everybodys(t)+"?") }

// worksUntil is a sentence to go behind another, "" when there is nothing to say.
func worksUntil(h install.Health) string {
	if h.WorksUntil.IsZero() {
		return ""
	}
	return " It works until " + when(h.WorksUntil) + "."
}

// heldBack is a sentence to go behind another while Slack holds back this workspace's events, "" else.
func heldBack(h install.Health) string {
	if h.HeldAt.IsZero() {
		return ""
	}
	return fmt.Sprintf(" Slack has been holding back events from this workspace since %s (last heard %s): there are "+
		"more than it sends in an hour. Until that ends, messages and mentions can go unanswered.",
		when(h.HeldSince), when(h.HeldAt))
}

var lastKnown = map[connection.State]string{
	connection.Active: "it worked", connection.Retrying: "it had trouble", connection.ReconnectRequired: "it needed reconnecting",
	connection.Removed: "it was removed from this workspace", connection.Paused: "it was paused",
}

// labels names permissions in the middle of a sentence, escaped; of many the first ones.
func labels(scopes []connection.Scope) string {
	var words []string
	for i, s := range scopes {
		if i == named && len(scopes) > named+1 {
			words = append(words, fmt.Sprintf("and %d more", len(scopes)-named))
			break
		}
		first, size := utf8.DecodeRuneInString(s.Label)
		words = append(words, brief(string(unicode.ToLower(first))+s.Label[size:]))
	}
	return strings.Join(words, ", ")
}

// nowButton is the one thing to press when a person has to act; nil when nobody has to.
func nowButton(t *bot.Turn, h install.Health) *slack.ButtonBlockElement {
	if h.GrantURL == "" || !h.Broken() && h.State != connection.Limited {
		return nil
	}
	app, team := t.Install.App().Name, place(h.Connection)
	words, spoken := "Reconnect", "Reconnect "+app+" to "+team
	switch {
	case h.Reason == connection.ReasonNotAdded:
		words, spoken = "Add it to this workspace", "Open Slack's page where an admin of the organisation adds "+app
	case h.State == connection.NotConnected:
		words, spoken = "Connect", "Connect "+app+" to "+team
	case h.State == connection.Limited && !h.Lacking:
		words, spoken = "Allow the rest", "Allow "+app+" the missing permissions in "+team
	case h.Lacking:
		words, spoken = "Allow what's missing", "Allow "+app+" the missing permissions in "+team
	}
	b := slack.NewButtonBlockElement(actionGrant, "", label(words, maxButton))
	b.URL, b.AccessibilityLabel, b.Style = h.GrantURL, clip(spoken, maxButton), slack.StylePrimary
	return b
}

func checkButton(app string) *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(actionCheck, "", label("Check again", maxButton))
	b.AccessibilityLabel = clip("Check again whether "+app+" works", maxButton)
	return b
}

func testButton() *slack.ButtonBlockElement {
	b := slack.NewButtonBlockElement(actionTest, "", label("Send a test message", maxButton))
	b.AccessibilityLabel = "Send a test message to yourself"
	return b
}

// buttons are for the installer and workspace admins: first those given, then what can always be asked for.
func buttons(t *bot.Turn, h install.Health, first ...*slack.ButtonBlockElement) slack.Block {
	var elements []slack.BlockElement
	for _, b := range first {
		if b != nil {
			elements = append(elements, b)
		}
	}
	if !h.Found {
		return slack.NewActionBlock("", elements...)
	}
	review := slack.NewButtonBlockElement(actionPermissions, "", label("Review permissions", maxButton))
	review.AccessibilityLabel = clip("Review the permissions of "+t.Install.App().Name, maxButton)
	elements = append(elements, review)
	if works(h) && allowed(h.Connection, "chat:write") {
		elements = append(elements, testButton())
	}
	choice := func(word, words string) *slack.OptionBlockObject {
		return slack.NewOptionBlockObject(word, label(words, maxButton), nil)
	}
	more := []*slack.OptionBlockObject{choice("history", "History"), choice("support", "Copy details for support")}
	if h.State != connection.Removed {
		more = append(more, choice("disconnect", "Disconnect…"))
	}
	return slack.NewActionBlock("", append(elements, slack.NewOverflowBlockElement(actionMore, more...))...)
}

// quietAfter is how long Slack may send nothing before that is pointed out.
const quietAfter = 72 * time.Hour

// facts are for everybody in the workspace.
func facts(h install.Health, who viewer, checking bool) slack.Block {
	c := h.Connection
	field := func(name, value string) *slack.TextBlockObject {
		return slack.NewTextBlockObject(slack.MarkdownType, cut("*"+name+"*\n"+value, maxField), false, false)
	}
	workspace := brief(cmp.Or(c.TeamName, c.TeamID))
	if u, err := url.Parse(c.TeamURL); err == nil && u.Host != "" {
		workspace += "\n" + brief(u.Host)
	}
	kind, how := "Workspace", "This workspace"
	if c.Org() {
		kind, how = "Organisation", "Whole organisation"
		if h.Workspace != "" {
			how += ", and added to this workspace: " + brief(h.Workspace)
		}
		workspace = brief(cmp.Or(c.EnterpriseName, c.EnterpriseID))
	}
	installer := "The people who run the app"
	if c.InstalledBy != "" {
		installer = person(c.InstalledBy)
	}
	installer += ", " + day(c.InstalledAt)
	if who.installerLeft {
		installer += ". They have left; the connection doesn't depend on them"
	}
	checked := when(h.CheckedAt)
	switch {
	case checking:
		checked = when(h.CheckedAt) + "; the live answer follows"
	case h.Live && h.State != connection.Unknown:
		checked = "Just now, with Slack"
	case h.State == connection.Unknown:
		checked = "Couldn't check now; last good check " + when(h.CheckedAt)
	}
	last := "None yet, which is normal right after installing"
	if !c.LastEventAt.IsZero() {
		last = when(c.LastEventAt)
		if silent := time.Since(c.LastEventAt); silent > quietAfter && !h.Broken() {
			last += ". None for " + count(int(silent.Hours()/24), "day") + ", which is normal where nobody used it"
		}
	}
	permissions := fmt.Sprintf("%d of %d allowed", h.Needed-len(h.Missing), h.Needed)
	if len(h.Missing) > 0 {
		permissions += ". Missing: " + labels(h.Missing)
		if off := features(h.Missing); off != "" {
			permissions += ". It can't " + off
		}
	}
	fields := []*slack.TextBlockObject{
		field(kind, workspace),
		field("Installed for", how),
		field("Connected by", installer),
		field("Last checked", checked),
		field("Last message from Slack", last),
		field("Permissions", permissions),
	}
	if c.AuthorizedAt.After(c.InstalledAt) {
		fields = slices.Insert(fields, 3, field("Last reconnected by", person(c.AuthorizedBy)+", "+day(c.AuthorizedAt)))
	}
	if !who.permissions.At.IsZero() {
		fields = append(fields, field("Permissions changed", day(who.permissions.At)+by(who.permissions.By)))
	}
	if who.standing == keeper || who.verbose {
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
	case c.State == connection.Removed || c.State == connection.ReconnectRequired:
		return "None now"
	case c.ExpiresAt.IsZero():
		return "Doesn't expire" // though the move to one that is renewed may be failing
	case c.RenewAt.IsZero() && c.Tries == 0:
		return "Not automatic. Ends " + when(c.ExpiresAt)
	case c.Tries == 0:
		return "Automatic. Next renewal by " + when(c.ExpiresAt)
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
	return fmt.Sprintf("%s. Installed %d times since %s, all updated this connection", only, c.Installs, day(c.CreatedAt))
}

func adminFacts(t *bot.Turn, h install.Health) string {
	lines := []string{"Connection `" + h.Connection.ID + "`. It doesn't depend on the person who installed it."}
	if how := asking(t, "history"); how != "" {
		lines = append(lines, "*What happened to it:* "+how+".")
	}
	kept := cmp.Or(t.Install.App().DataKept, "The people who run the app didn't say.")
	remove := "its page in Slack, *Configuration*, *Remove App*"
	if how := asking(t, "disconnect"); h.GrantURL != "" && how != "" {
		remove = how + ", or use " + remove
	}
	return strings.Join(append(lines, "*Data kept:* "+escape(clip(kept, maxText/2)), "*To remove the app:* "+remove+"."), "\n")
}

// footer says who may see this, how to quote it, and who runs the app.
func footer(t *bot.Turn, h install.Health) string {
	app := t.Install.App()
	app.SupportURL = supportAt(app.SupportURL, t.Ref)
	var parts []string
	if h.State != connection.Active {
		parts = append(parts, "Ref `"+t.Ref+"`")
	}
	return strings.Join(append(parts, imprint(app)...), " · ")
}

// imprint says who runs the app, and where help is.
func imprint(app install.App) []string {
	var parts []string
	if app.Operator != "" {
		parts = append(parts, "Run by "+brief(app.Operator))
	}
	if app.SupportURL != "" {
		parts = append(parts, link(app.SupportURL, "Get help"))
	}
	if app.PrivacyURL != "" {
		parts = append(parts, link(app.PrivacyURL, "Privacy"))
	}
	return append(parts, brief(cmp.Or(strings.TrimSpace(app.Name+" "+app.Version), "Slack app")))
}

// place names what a connection is for, unescaped.
func place(c connection.Connection) string {
	if c.ID != "" && c.Org() {
		return "the whole organisation " + short(cmp.Or(c.EnterpriseName, c.EnterpriseID))
	}
	return short(cmp.Or(c.TeamName, "this workspace"))
}
