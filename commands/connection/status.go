package connection

// Whether it works: from our records right away, and from Slack a moment later.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// status answers from our records at once, and lets the live answer follow.
func status(_ context.Context, t turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.verbose = slices.ContainsFunc(a.rest, func(w string) bool { return strings.EqualFold(w, "verbose") })
	return statusFor(t, who)
}

// check is status for those who ask again and again.
func check(_ context.Context, t turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.again = true
	return statusFor(t, who)
}

// viewerOf is what is known of the person who asks without asking Slack: that somebody installed the app says nothing
// of what they are by now.
func viewerOf(t turn, a ask) viewer {
	who := viewer{audience: a.to, standing: a.is}
	if t.External() {
		who.standing = stranger
	}
	return who
}

func statusFor(t turn, who viewer) bot.Reply {
	if t.Client == nil && !t.Renewing() {
		// No token to ask with: what we know is all there is.
		return statusReply(t, t.Health(), who, false)
	}
	quick := statusReply(t, t.Health(), who, true)
	quick.Then = func(ctx context.Context) (bot.Reply, error) { return live(ctx, t, who), nil }
	return quick
}

// live asks Slack, about the connection and about the person, and says what came of it.
func live(ctx context.Context, t turn, who viewer) bot.Reply {
	h, asked := look(ctx, t, who.again)
	if who.standing == unknown && who.audience != public {
		who.standing, _ = standingOf(ctx, t) // not knowing shows less, and nothing else
	}
	learn(ctx, t, h, &who)
	r := statusReply(t, h, who, false)
	if !asked {
		confirmed := ""
		if !h.CheckedAt.IsZero() && who.standing >= member {
			confirmed = "; Slack last confirmed the connection " + mrkdwn.Time(h.CheckedAt)
		}
		note := fmt.Sprintf("Slack was asked less than %[1]d seconds ago, so this is the last answer%[2]s. "+
			"Ask again in %[1]d seconds.", int(install.RecheckEvery.Seconds()), confirmed)
		r.Text += " " + note
		r.Blocks = append(r.Blocks, mrkdwn.Section(note))
	}
	return r
}

// look asks Slack how the connection is. With again it does so only now and then; in between the answer is from our
// records, and asked is false.
func look(ctx context.Context, t turn, again bool) (h install.Health, asked bool) {
	if again && !t.Install.MayRecheck(ctx) {
		return t.Health(), false
	}
	return t.Check(ctx), true
}

// learn finds out what a status tells besides the connection's own facts. What can't be found out is left out.
func learn(ctx context.Context, t turn, h install.Health, who *viewer) {
	if !h.Found || who.audience == public || who.standing < member {
		return
	}
	who.permissions = lastPermissions(ctx, t)
	if by := h.Connection.InstalledBy; by != "" && by != t.UserID && t.Client != nil {
		u, err := t.Client.GetUserInfoContext(ctx, by)
		who.installerLeft = err == nil && u.Deleted
	}
}

// lastPermissions is the newest change of the permissions, zero where none is known. It blocks for the store.
func lastPermissions(ctx context.Context, t turn) connection.Change {
	changes, err := t.Install.History(ctx, historyLooked)
	if err != nil {
		t.Log.WarnContext(ctx, "read history", "cause", err)
	}
	for _, c := range changes {
		if c.What == connection.DidPermissions {
			return c
		}
	}
	return connection.Change{}
}

// historyLooked is how many lines are looked through for a change of the permissions.
const historyLooked = 50

// How a state is shown: one set of blocks for the command, the direct message, the mention and the App Home, made from
// what install.Check says and nothing else.

// viewer is who a state is shown to.
type viewer struct {
	audience audience
	standing standing
	verbose  bool // wants what admins see; members get it, too
	again    bool // can ask again and again, so Slack is not asked each time

	permissions   connection.Change // the last change of what is granted; zero: none known
	installerLeft bool              // Slack says that the person who installed it is no longer here
}

const (
	maxSentence = 600  // one that may list things
	maxSpoken   = 3500 // of a message's top-level text, which Slack recommends to keep below 4,000
)

// statusReply shows h to who. checking: the live answer is on its way.
func statusReply(t turn, h install.Health, who viewer, checking bool) bot.Reply {
	app := t.Install.App()
	blocks := []slack.Block{mrkdwn.Header(h.Label)}
	if who.headlineOnly(t) {
		text := mrkdwn.Escape(app.Name+": "+h.Label+".") + asOf(h, checking)
		return bot.Reply{Text: text, Blocks: append(blocks, mrkdwn.Section(text))}
	}

	blocks = append(blocks, mrkdwn.Section(sentence(t, h, who)+asOf(h, checking)))
	if who.audience != public { // in a channel guests read along
		if who.standing == keeper {
			blocks = append(blocks, buttons(t, h, nowButton(t, h), checkButton(app.Name)))
		}
		if h.Found && who.standing >= member {
			blocks = append(blocks, facts(h, who, checking))
			blocks = append(blocks, pastFacts(t, h, who)...)
		}
	}
	blocks = append(blocks, mrkdwn.Context(footer(t, h)))

	text := mrkdwn.Escape(app.Name+" in "+mrkdwn.Short(h.Connection.Place())+": "+h.Label) + standsSo(h)
	for _, more := range []string{h.ReasonText, h.NextStep} {
		text += spaced(mrkdwn.Escape(more))
	}
	text += heldBack(h)
	if h.State != connection.Active {
		text += t.ref()
	}
	return bot.Reply{Text: text + asOf(h, checking), Blocks: blocks}
}

// pastFacts is what goes below facts: more of them, or how to ask for more.
func pastFacts(t turn, h install.Health, who viewer) []slack.Block {
	switch {
	case who.verbose:
		return []slack.Block{mrkdwn.Section(adminFacts(t, h))}
	case who.standing != keeper:
		return nil
	}
	line := "Connection `" + h.Connection.ID + "`"
	if how := asking(t, "status verbose"); how != "" {
		line += " · Data kept, and how to remove the app: " + how
	}
	return []slack.Block{mrkdwn.Context(line)}
}

// headlineOnly: people of another company, and guests, read the state, and nothing of the workspace.
func (who viewer) headlineOnly(t turn) bool {
	return who.standing == stranger || who.standing == guest || who.audience == public && t.Shared
}

// sentence says what the state means, why, since when, and who can do what.
func sentence(t turn, h install.Health, who viewer) string {
	mark := ""
	if h.State == connection.Active && h.Live && h.HeldAt.IsZero() {
		mark = "✅ "
	}
	app, place := t.app(), mrkdwn.Name(h.Connection.Place())
	text := fmt.Sprintf("*%s* in *%s*\n%s*%s*%s", app, place, mark, mrkdwn.Escape(h.Label), standsSo(h))

	lacks := ""
	switch h.State { // in the others the sentence says it already
	case connection.Retrying, connection.Unknown, connection.ReconnectRequired:
		if len(h.Missing) > 0 {
			lacks = mrkdwn.Escape(mrkdwn.Clip(h.Connection.Without("It", h.Missing), maxSentence))
		}
	}
	for _, line := range []string{mrkdwn.Escape(h.ReasonText), strings.TrimSpace(heldBack(h)), known(h), lacks,
		wayOut(t, h, who)} {
		if line != "" {
			text += "\n" + line
		}
	}
	return text
}

// standsSo goes behind the state's label: since when, what that means, and until when it works.
func standsSo(h install.Health) string {
	return since(h) + spaced(mrkdwn.Escape(mrkdwn.Clip(h.Sentence, maxSentence))) + worksUntil(h)
}

// known is what was known before Slack or our records fell silent, "" in every other state.
func known(h install.Health) string {
	said := ""
	if h.State == connection.Unknown && h.LastKnown != "" {
		said = fmt.Sprintf("What we last knew: %s.", mrkdwn.Escape(lastKnown[h.LastKnown]))
	}
	if h.State == connection.Unknown && !h.CheckedAt.IsZero() {
		said += " Last good check " + mrkdwn.Time(h.CheckedAt) + "."
	}
	return strings.TrimSpace(said)
}

// wayOut is the next step, with a link for those who get no button that leads there.
func wayOut(t turn, h install.Health, who viewer) string {
	next := mrkdwn.Escape(h.NextStep)
	switch {
	case next == "" || h.GrantURL == "" || who.standing == keeper || !h.Broken() && h.State != connection.Limited:
		return next
	case !bound(t, h.GrantURL):
		return next + " " + mrkdwn.Link(h.GrantURL, "Open the page for that") + "."
	case h.Broken() || unasked(h, who.standing):
		return next + " " + mrkdwn.Link(everybodys(t), "Open the install page") + "."
	}
	return next
}

// since says when the state began, to go behind its label; a full stop where nobody saw it begin.
func since(h install.Health) string {
	switch {
	case h.Since.IsZero():
		return "."
	case h.State == connection.Active:
		return " since " + mrkdwn.Day(h.Since) + "."
	case h.State == connection.Removed: // that is a moment
		return ", " + mrkdwn.Time(h.Since) + "."
	}
	return " since " + mrkdwn.Time(h.Since) + "."
}

// asOf is a sentence to go behind another: how old an answer is that comes from our records alone, "" when Slack was
// asked.
func asOf(h install.Health, checking bool) string {
	said := ""
	switch {
	case h.Live || h.State == connection.Unknown || !h.Found:
	case h.CheckedAt.IsZero():
		said = " That's what our records say. Slack hasn't confirmed it yet."
	case h.State == connection.Active || h.State == connection.Limited || h.State == connection.Retrying:
		said = " That's as of " + mrkdwn.Time(h.CheckedAt) + ", when Slack last confirmed it."
	default:
		said = " That's what our records say. Slack last confirmed its access " + mrkdwn.Time(h.CheckedAt) + "."
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
func everybodys(t turn) string { return t.Install.StartPage() }

// bound reports whether an address is a link of ours for one connection, which is for those who may act, and not a page
// for all.
func bound(t turn, address string) bool { return strings.HasPrefix(address, everybodys(t)+"?") }

// worksUntil is a sentence to go behind another, "" when there is nothing to say.
func worksUntil(h install.Health) string {
	if h.WorksUntil.IsZero() {
		return ""
	}
	return " It works until " + mrkdwn.Time(h.WorksUntil) + "."
}

// heldBack is a sentence to go behind another while Slack holds back this workspace's events, "" else.
func heldBack(h install.Health) string {
	if h.HeldAt.IsZero() {
		return ""
	}
	return fmt.Sprintf(" Slack has been holding back events from this workspace since %s (last heard %s): there are "+
		"more than it sends in an hour. Until that ends, messages and mentions can go unanswered.",
		mrkdwn.Time(h.HeldSince), mrkdwn.Time(h.HeldAt))
}

var lastKnown = map[connection.State]string{
	connection.Active:            "it worked",
	connection.Retrying:          "it had trouble",
	connection.ReconnectRequired: "it needed reconnecting",
	connection.Removed:           "it was removed from this workspace",
	connection.Paused:            "it was paused",
}

// labels names permissions in the middle of a sentence, escaped; of many the first ones.
func labels(scopes []connection.Scope) string { return mrkdwn.List(connection.Labels(scopes)) }

// nowButton is the one thing to press when a person has to act; nil when nobody has to.
func nowButton(t turn, h install.Health) *slack.ButtonBlockElement {
	if h.GrantURL == "" || !h.Broken() && h.State != connection.Limited {
		return nil
	}
	app, team := t.Install.App().Name, mrkdwn.Short(h.Connection.Place())
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
	b := mrkdwn.Button(messages.ActionGrant, words, spoken)
	b.URL, b.Style = h.GrantURL, slack.StylePrimary
	return b
}

func checkButton(app string) *slack.ButtonBlockElement {
	return mrkdwn.Button(actionCheck, "Check again", "Check again whether "+app+" works")
}

func testButton() *slack.ButtonBlockElement {
	return mrkdwn.Button(actionTest, "Send a test message", "Send a test message to yourself")
}

// buttons are for the installer and workspace admins: first those given, then what can always be asked for.
func buttons(t turn, h install.Health, first ...*slack.ButtonBlockElement) slack.Block {
	var elements []slack.BlockElement
	for _, b := range first {
		if b != nil {
			elements = append(elements, b)
		}
	}
	if !h.Found {
		return slack.NewActionBlock("", elements...)
	}

	elements = append(elements,
		mrkdwn.Button(actionPermissions, "Review permissions", "Review the permissions of "+t.Install.App().Name))
	if works(h) && allowed(h.Connection, "chat:write") {
		elements = append(elements, testButton())
	}

	choice := func(word, words string) *slack.OptionBlockObject {
		return slack.NewOptionBlockObject(word, mrkdwn.Plain(words, mrkdwn.MaxButton), nil)
	}
	more := []*slack.OptionBlockObject{choice("history", "History"), choice("support", "Copy details for support")}
	if h.State != connection.Removed {
		more = append(more, choice("disconnect", "Disconnect…"))
	}
	return slack.NewActionBlock("", append(elements, slack.NewOverflowBlockElement(actionMore, more...))...)
}

// footer says who may see this, how to quote it, and who runs the app.
func footer(t turn, h install.Health) string {
	app := t.Install.App()
	app.SupportURL = supportAt(app.SupportURL, t.Ref)
	var parts []string
	if h.State != connection.Active {
		parts = append(parts, "Ref `"+t.Ref+"`")
	}
	return strings.Join(append(parts, messages.Imprint(app)...), " · ")
}
