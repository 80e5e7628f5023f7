package connection

// Whether it works: from our records right away, and from Slack a moment later.

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/words"
)

// status answers from our records right away, and lets the live answer follow.
func status(_ context.Context, t turn, a ask) bot.Reply {
	who := viewerOf(t, a)
	w, _, _ := lookupWord(t.words(), a.rest)
	who.details = w.name == "details" // "status verbose"
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
		return statusReply(t, h, who, asOf(t, h))
	}
	quick := statusReply(t, h, who, untilLive(t, h))
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
		return statusReply(t, h, who, asOf(t, h))
	}
	return statusReply(t, h, who, tooSoon(t, h, who))
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
	if who.headlineOnly(t) {
		line := mark(h) + t.say("status.plain", "state", mrkdwn.Escape(h.Label))
		text := t.say("status.headline", "state", mrkdwn.Escape(h.Label))
		return bot.Reply{Text: sentences(text, asOf), Blocks: append([]slack.Block{mrkdwn.Section(line)}, small(asOf)...)}
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
	foot, ref := []string{asOf}, ""
	if h.State != connection.Active {
		foot, ref = append(foot, t.say("status.ref", "ref", t.Ref)), t.ref()
	}
	blocks = append(blocks, small(foot...)...)

	text := sentences(since(t, h, "status.spoken_"), standsSo(t, h), toFix(t, h, who), ref, asOf)
	return bot.Reply{Text: text, Blocks: blocks}
}

// statusLines are the line that a status opens with, and below it who can fix it, if there is something to fix.
func statusLines(t turn, h install.Health, who viewer) string {
	lines := mark(h) + sentences(since(t, h, "status."), standsSo(t, h))
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

// since says what the state is and when it began, as far as somebody saw it, in the sentences whose keys begin so.
func since(t turn, h install.Health, keys string) string {
	label := mrkdwn.Escape(h.Label)
	switch {
	case h.Since.IsZero():
		return t.say(keys+"plain", "state", label)
	case h.State == connection.Active:
		return t.say(keys+"since", "state", label, "time", mrkdwn.Day(h.Since))
	case h.State == connection.Removed: // that is a moment
		return t.say(keys+"moment", "state", label, "time", mrkdwn.Time(t.words(), h.Since))
	}
	return t.say(keys+"since", "state", label, "time", mrkdwn.Time(t.words(), h.Since))
}

// standsSo says why or what that means, and until when it works.
func standsSo(t turn, h install.Health) string {
	until, held := "", ""
	if !h.WorksUntil.IsZero() {
		until = t.say("status.works_until", "time", mrkdwn.Time(t.words(), h.WorksUntil))
	}
	if !h.HeldAt.IsZero() {
		held = t.say("status.held", "since", mrkdwn.Time(t.words(), h.HeldSince), "last", mrkdwn.Time(t.words(), h.HeldAt))
	}
	return sentences(mrkdwn.Escape(mrkdwn.Clip(whatItMeans(h), maxSentence)), until, held, known(t, h))
}

// whatItMeans is what the status line says of a state.
func whatItMeans(h install.Health) string {
	switch h.State { // in the others it says why, too
	case connection.ReconnectRequired, connection.Unknown, connection.Retrying:
		return cmp.Or(h.ReasonText, h.Sentence)
	case connection.Removed:
		if !h.Connection.Org() { // the reason speaks of a workspace
			return cmp.Or(h.ReasonText, h.Sentence)
		}
	}
	return h.Sentence
}

// known is what was known before Slack or our records fell silent, "" in every other state.
func known(t turn, h install.Health) string {
	if h.State != connection.Unknown {
		return ""
	}
	knew, good := "", ""
	if h.LastKnown != "" {
		knew, _ = t.words().Find("connection.status.knew_" + string(h.LastKnown))
	}
	if !h.CheckedAt.IsZero() {
		good = t.say("status.last_good", "time", mrkdwn.Time(t.words(), h.CheckedAt))
	}
	return sentences(knew, good, t.say("status.try_later"))
}

// toFix says who can fix it, by name, and links to the page for that where they get no button; "" when there is
// nothing to fix.
func toFix(t turn, h install.Health, who viewer) string {
	next := mrkdwn.Escape(h.NextStep)
	switch {
	case next == "" || h.GrantURL == "" || !h.Broken() && h.State != connection.Limited:
		return next
	case !bound(t, h.GrantURL):
		return sentences(next, t.say("status.open_page", "address", mrkdwn.Address(h.GrantURL)))
	case h.State == connection.ReconnectRequired, h.State == connection.Limited:
		if who.audience != public { // a name in a channel would call the person there
			next = canFix(t, h, who)
		}
	}
	if who.standing != keeper && (h.Broken() || unasked(h, who.standing)) {
		return sentences(next, t.say("status.open_install_page", "address", mrkdwn.Address(everybodys(t))))
	}
	return next
}

// canFix names who can reconnect it or allow more.
func canFix(t turn, h install.Health, who viewer) string {
	key := "can.rest_"
	switch {
	case h.State == connection.ReconnectRequired:
		key = "can.reconnect_"
	case h.Lacking:
		key = "can.missing_"
	}

	by := h.Connection.InstalledBy
	switch {
	case who.standing == keeper:
		return t.say(key + "you")
	case by == "" || who.installerLeft:
		return t.sayFor(key + "admin")
	}
	return t.sayFor(key+"installer", "installer", mrkdwn.Person(by))
}

// asOf says how old an answer is.
func asOf(t turn, h install.Health) string {
	switch {
	case h.Live:
		return t.say("asof.live")
	case h.State == connection.Unknown || !h.Found:
		return ""
	case h.CheckedAt.IsZero():
		return t.say("asof.records")
	case h.State == connection.Active || h.State == connection.Limited || h.State == connection.Retrying:
		return t.say("asof.confirmed", "time", mrkdwn.Time(t.words(), h.CheckedAt))
	}
	return t.say("asof.access", "time", mrkdwn.Time(t.words(), h.CheckedAt))
}

// untilLive is asOf while the live answer is on its way.
func untilLive(t turn, h install.Health) string {
	if h.CheckedAt.IsZero() || !h.Found {
		return t.say("asof.asking")
	}
	return t.say("asof.asking_since", "time", mrkdwn.Time(t.words(), h.CheckedAt))
}

// tooSoon is asOf for those to whom Slack isn't asked each time.
func tooSoon(t turn, h install.Health, who viewer) string {
	seconds := int(install.RecheckEvery.Seconds())
	if h.CheckedAt.IsZero() || who.standing < member {
		return t.say("asof.too_soon", "seconds", seconds)
	}
	return t.say("asof.too_soon_confirmed", "seconds", seconds, "time", mrkdwn.Time(t.words(), h.CheckedAt))
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

// nowButton is the one thing to press when a person has to act; nil when nobody has to.
func nowButton(t turn, h install.Health) *slack.ButtonBlockElement {
	if h.GrantURL == "" || !h.Broken() && h.State != connection.Limited {
		return nil
	}
	words, spoken := "reconnect", "reconnect"
	switch {
	case h.Reason == connection.ReasonNotAdded:
		words, spoken = "add", "add"
	case h.State == connection.NotConnected:
		words, spoken = "connect", "connect"
	case h.State == connection.Limited && !h.Lacking:
		words, spoken = "allow_rest", "allow_rest"
	case h.Lacking:
		words, spoken = "allow_missing", "allow_rest"
	}
	b := mrkdwn.Button(messages.ActionGrant, t.plain("button."+words), t.plain("spoken."+spoken))
	b.URL, b.Style = h.GrantURL, slack.StylePrimary
	return b
}

func checkButton(t turn) *slack.ButtonBlockElement {
	return mrkdwn.Button(actionCheck, t.plain("button.check"), t.plain("spoken.check"))
}

// testButton says words of an app.
func testButton(said *words.Sentences) *slack.ButtonBlockElement {
	return mrkdwn.Button(actionTest, said.Say("connection.button.test"), said.Say("connection.spoken.test"))
}

// nextSteps are the one thing to press, if there is one, and the way to all that is known.
func nextSteps(t turn, h install.Health, who viewer) (step []slack.BlockElement) {
	grant := nowButton(t, h)
	switch {
	case grant != nil && who.standing == keeper:
		step = append(step, grant)
	case who.details && who.standing == keeper: // has that button below
	case h.State == connection.Unknown, h.State == connection.Retrying:
		step = append(step, checkButton(t))
	}
	if h.Found && !who.details {
		step = append(step, mrkdwn.Button(actionDetails, t.plain("button.details"), t.plain("spoken.details")))
	}
	return step
}

// buttons are for the installer and workspace admins: what can always be asked for.
func buttons(t turn, h install.Health) slack.Block {
	elements := []slack.BlockElement{
		checkButton(t),
		mrkdwn.Button(actionPermissions, t.plain("button.permissions"), t.plain("spoken.permissions")),
	}
	if canTest(h) {
		elements = append(elements, testButton(t.words()))
	}
	return slack.NewActionBlock("", append(elements, keepersMenu(t, h, false))...)
}

// canTest reports whether the app can send a test message, as far as is known.
func canTest(h install.Health) bool { return works(h) && allowed(h.Connection, "chat:write") }

// keepersMenu is what the installer and workspace admins can ask for. all: with what is elsewhere a button.
func keepersMenu(t turn, h install.Health, all bool) *slack.OverflowBlockElement {
	var menu []*slack.OptionBlockObject
	add := func(name string) {
		choice := mrkdwn.Plain(t.plain("button."+name), mrkdwn.MaxButton)
		menu = append(menu, slack.NewOptionBlockObject(name, choice, nil))
	}
	if all {
		add("permissions")
		if canTest(h) {
			add("test")
		}
	}
	add("history")
	add("support")
	if h.State != connection.Removed {
		add("disconnect")
	}
	return slack.NewOverflowBlockElement(actionMore, menu...)
}

// footer says who runs the app, and where to get help with this answer.
func footer(t turn) string {
	app := t.Install.App()
	app.SupportURL = supportAt(app.SupportURL, t.Ref)
	return strings.Join(messages.Imprint(app), " · ")
}
