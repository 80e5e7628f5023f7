package connection

// Whether it works: from our records right away, and from Slack a moment later.

import (
	"cmp"
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

// status answers from our records right away, and lets the live answer follow.
func status(_ context.Context, t turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.details = slices.ContainsFunc(a.rest, func(w string) bool { return strings.EqualFold(w, "verbose") })
	return statusFor(t, who)
}

// details is status with all that is known.
func details(_ context.Context, t turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	who.details = true
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
	h := t.Health()
	if t.Client == nil && !t.Renewing() {
		who.answered = true // there is no token to ask with: what we know is all there is
		return statusReply(t, h, who, asOf(h))
	}
	quick := statusReply(t, h, who, untilLive(h))
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
	who.answered = true
	if asked {
		return statusReply(t, h, who, asOf(h))
	}
	return statusReply(t, h, who, tooSoon(h, who))
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
	if who.details {
		who.permissions = lastPermissions(ctx, t)
	}
	if by := h.Connection.InstalledBy; by != "" && by != t.UserID && t.Client != nil && (who.details || h.NextStep != "") {
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

// How a state is shown: one line, the next step to press, and behind a button all that is known. The command, the
// direct message, the mention and the Home tab show the same, made from what install.Check says and nothing else.

// viewer is who a state is shown to.
type viewer struct {
	audience audience
	standing standing
	details  bool // wants all that is known
	again    bool // can ask again and again, so Slack is not asked each time
	answered bool // nothing follows: Slack was asked, or can't be

	permissions   connection.Change // the last change of what is granted; zero: none known
	installerLeft bool              // Slack says that the person who installed it is no longer here
}

const (
	maxSentence = 600  // one that may list things
	maxSpoken   = 3500 // of a message's top-level text, which Slack recommends to keep below 4,000
)

// statusReply shows h to who. asOf says how old that is, "" for nothing.
func statusReply(t turn, h install.Health, who viewer, asOf string) bot.Reply {
	app := t.Install.App()
	if who.headlineOnly(t) {
		line := mark(h) + "*" + mrkdwn.Escape(h.Label) + "*."
		text := mrkdwn.Escape(app.Name+": "+h.Label+".") + spaced(asOf)
		return bot.Reply{Text: text, Blocks: append([]slack.Block{mrkdwn.Section(line)}, small(asOf)...)}
	}

	blocks := []slack.Block{mrkdwn.Section(statusLines(t, h, who))}
	if who.answered && who.audience != public { // in a channel guests read along
		if step := nextSteps(t, h, who); len(step) > 0 {
			blocks = append(blocks, slack.NewActionBlock("", step...))
		}
		if who.details {
			blocks = append(blocks, detailBlocks(t, h, who)...)
		}
	}
	foot := []string{asOf}
	if h.State != connection.Active {
		foot = append(foot, "Ref `"+t.Ref+"`")
	}
	blocks = append(blocks, small(foot...)...)

	text := mrkdwn.Escape(app.Name+" in "+mrkdwn.Short(h.Connection.Place(t.Install.App().Words))+": "+h.Label) + standsSo(h) +
		spaced(toFix(t, h, who))
	if h.State != connection.Active {
		text += t.ref()
	}
	return bot.Reply{Text: text + spaced(asOf), Blocks: blocks}
}

// statusLines are the line that a status opens with, and below it who can fix it, if there is something to fix.
func statusLines(t turn, h install.Health, who viewer) string {
	lines := mark(h) + "*" + mrkdwn.Escape(h.Label) + "*" + standsSo(h)
	if fix := toFix(t, h, who); fix != "" {
		lines += "\n" + fix
	}
	return lines
}

// small is one line of small print, of those parts that say something.
func small(parts ...string) []slack.Block {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return nil
	}
	return []slack.Block{mrkdwn.Context(strings.Join(parts, " · "))}
}

// mark is what one sees first. That it works is marked only once Slack said so.
func mark(h install.Health) string {
	switch {
	case h.Broken():
		return "⛔ "
	case h.State != connection.Active || !h.HeldAt.IsZero():
		return "⚠️ "
	case h.Live:
		return "✅ "
	}
	return ""
}

// headlineOnly: people of another company, and guests, read the state, and nothing of the workspace.
func (who viewer) headlineOnly(t turn) bool {
	return who.standing == stranger || who.standing == guest || who.audience == public && t.Shared
}

// standsSo goes behind the state's label: since when, why or what that means, and until when it works.
func standsSo(h install.Health) string {
	said := h.Sentence
	switch h.State { // in the others it says why, too
	case connection.ReconnectRequired, connection.Unknown, connection.Retrying:
		said = cmp.Or(h.ReasonText, h.Sentence)
	case connection.Removed:
		if !h.Connection.Org() { // the reason speaks of a workspace
			said = cmp.Or(h.ReasonText, h.Sentence)
		}
	}
	return since(h) + spaced(mrkdwn.Escape(mrkdwn.Clip(said, maxSentence))) + worksUntil(h) + heldBack(h) +
		spaced(known(h))
}

// known is what was known before Slack or our records fell silent, "" in every other state.
func known(h install.Health) string {
	if h.State != connection.Unknown {
		return ""
	}
	said := ""
	if h.LastKnown != "" {
		said = fmt.Sprintf("What we last knew: %s. ", mrkdwn.Escape(lastKnown[h.LastKnown]))
	}
	if !h.CheckedAt.IsZero() {
		said += "Last good check " + mrkdwn.Time(h.CheckedAt) + ". "
	}
	return said + "Try again in a few minutes."
}

// toFix says who can fix it, by name, and links to the page for that where they get no button; "" when there is
// nothing to fix.
func toFix(t turn, h install.Health, who viewer) string {
	next := mrkdwn.Escape(h.NextStep)
	switch {
	case next == "" || h.GrantURL == "" || !h.Broken() && h.State != connection.Limited:
		return next
	case !bound(t, h.GrantURL):
		return next + " " + mrkdwn.Link(h.GrantURL, "Open the page for that") + "."
	case h.State == connection.ReconnectRequired, h.State == connection.Limited:
		if who.audience != public { // a name in a channel would call the person there
			next = canFix(t, h, who)
		}
	}
	if who.standing != keeper && (h.Broken() || unasked(h, who.standing)) {
		next += " " + mrkdwn.Link(everybodys(t), "Open the install page") + "."
	}
	return next
}

// canFix names who can reconnect it or allow more.
func canFix(t turn, h install.Health, who viewer) string {
	by, what := h.Connection.InstalledBy, "allow the rest"
	switch {
	case h.State == connection.ReconnectRequired:
		what = "reconnect it"
	case h.Lacking:
		what = "allow what's missing"
	}
	switch {
	case who.standing == keeper:
		return "You can " + what + "."
	case by == "" || who.installerLeft:
		return capital(h.Connection.Admin(t.Install.App().Words)) + " can " + what + "."
	}
	return mrkdwn.Person(by) + ", who installed it, or " + h.Connection.Admin(t.Install.App().Words) + " can " + what + "."
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

// asOf says how old an answer is.
func asOf(h install.Health) string {
	switch {
	case h.Live:
		return "Checked with Slack just now."
	case h.State == connection.Unknown || !h.Found:
		return ""
	case h.CheckedAt.IsZero():
		return "That's what our records say. Slack hasn't confirmed it yet."
	case h.State == connection.Active || h.State == connection.Limited || h.State == connection.Retrying:
		return "As of " + mrkdwn.Time(h.CheckedAt) + ", when Slack last confirmed it."
	}
	return "That's what our records say. Slack last confirmed its access " + mrkdwn.Time(h.CheckedAt) + "."
}

// untilLive is asOf while the live answer is on its way.
func untilLive(h install.Health) string {
	if h.CheckedAt.IsZero() || !h.Found {
		return "Asking Slack…"
	}
	return "As of " + mrkdwn.Time(h.CheckedAt) + ". Asking Slack…"
}

// tooSoon is asOf for those to whom Slack isn't asked each time.
func tooSoon(h install.Health, who viewer) string {
	seconds := int(install.RecheckEvery.Seconds())
	if h.CheckedAt.IsZero() || who.standing < member {
		return fmt.Sprintf("Slack was asked less than %[1]d seconds ago. Ask again in %[1]d seconds.", seconds)
	}
	return fmt.Sprintf("Slack was asked less than %[1]d seconds ago and last confirmed it %[2]s. "+
		"Ask again in %[1]d seconds.", seconds, mrkdwn.Time(h.CheckedAt))
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
	app, team := t.Install.App().Name, mrkdwn.Short(h.Connection.Place(t.Install.App().Words))
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

// nextSteps are the one thing to press, if there is one, and the way to all that is known.
func nextSteps(t turn, h install.Health, who viewer) (step []slack.BlockElement) {
	grant := nowButton(t, h)
	switch {
	case grant != nil && who.standing == keeper:
		step = append(step, grant)
	case who.details && who.standing == keeper: // has that button below
	case h.State == connection.Unknown, h.State == connection.Retrying:
		step = append(step, checkButton(t.Install.App().Name))
	}
	if h.Found && !who.details {
		step = append(step, mrkdwn.Button(actionDetails, "Details", "Details of "+t.Install.App().Name+"'s connection"))
	}
	return step
}

// buttons are for the installer and workspace admins: what can always be asked for.
func buttons(t turn, h install.Health) slack.Block {
	elements := []slack.BlockElement{
		checkButton(t.Install.App().Name),
		mrkdwn.Button(actionPermissions, "Review permissions", "Review the permissions of "+t.Install.App().Name),
	}
	if canTest(h) {
		elements = append(elements, testButton())
	}
	return slack.NewActionBlock("", append(elements, keepersMenu(t, h, false))...)
}

// canTest reports whether the app can send a test message, as far as is known.
func canTest(h install.Health) bool { return works(h) && allowed(h.Connection, "chat:write") }

// keepersMenu is what the installer and workspace admins can ask for. all: with what is elsewhere a button.
func keepersMenu(t turn, h install.Health, all bool) *slack.OverflowBlockElement {
	var menu []*slack.OptionBlockObject
	add := func(word, words string) {
		menu = append(menu, slack.NewOptionBlockObject(word, mrkdwn.Plain(words, mrkdwn.MaxButton), nil))
	}
	if all {
		add("permissions", "Review permissions")
		if canTest(h) {
			add("test", "Send a test message")
		}
	}
	add("history", "History")
	add("support", "Copy details for support")
	if h.State != connection.Removed {
		add("disconnect", "Disconnect…")
	}
	return slack.NewOverflowBlockElement(actionMore, menu...)
}

// footer says who runs the app, and where to get help with this answer.
func footer(t turn) string {
	app := t.Install.App()
	app.SupportURL = supportAt(app.SupportURL, t.Ref)
	return strings.Join(messages.Imprint(app), " · ")
}
