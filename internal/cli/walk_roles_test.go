package cli

// Every command, asking in a browser by everybody there is, where the app is and where it isn't, with each permission
// missing: what each of them reads is a table.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// roles are who there is: an admin, who installed the app, a member, a guest, and somebody at another company that
// doesn't have the app.
var roles = []string{slacksim.AcmeAdmin, slacksim.AcmeMember, walkGuest, slacksim.BirchMember}

// cell is one situation that a command is asking in.
type cell struct {
	who     string
	in      bool   // the app is in the channel
	missing string // a permission; "": none
}

// lacks reports whether one of these permissions is missing.
func (c cell) lacks(scopes ...string) bool { return slices.Contains(scopes, c.missing) }

func (c cell) guest() bool { return c.who == walkGuest && !c.lacks("users:read") }

// manages reports whether they get the buttons: who they are can be found out, and they are an admin.
func (c cell) manages() bool { return c.who == slacksim.AcmeAdmin && !c.lacks("users:read") }

// asking is a command with what is to be read after it.
type asking struct {
	line  string
	says  func(c cell) (want, not []string)
	opens func(c cell) bool // whether that is in a window; nil: no
}

// always is what everybody reads everywhere.
func always(want ...string) func(c cell) (want, not []string) {
	return func(cell) ([]string, []string) { return want, nil }
}

// mayWrite reports whether the app may send messages.
func mayWrite(c cell) bool { return !c.lacks("chat:write") }

const (
	lunch     = `/poll "Lunch?" Pizza, Sushi & more`
	draftKept = "Your poll is kept for a day. Press Post it when that is done."
	noMember  = "You're not in any standup here."
)

// aboutPolls are polls that are asked. Where the app can't post one it says why, and keeps what was typed.
var aboutPolls = []asking{
	{line: lunch, says: func(c cell) (want, not []string) {
		switch {
		case !mayWrite(c):
			return []string{"it no longer has permission to send messages", draftKept, "Post it"}, nil
		case !c.in:
			return []string{"I'm not in this channel yet. Type /invite @Switchboard there, and post it again.", draftKept,
				"Post it"}, nil
		}
		return []string{"Lunch?", "Pizza", "Sushi & more", "no votes", "Close poll", "You have one vote."},
			[]string{"Only visible to you"}
	}},
	{line: `/poll "Lunch?" Pizza`, says: always("A poll needs 2 to 10 options, and this one has 1. Type it like this:")},
	{line: "/poll lunch", says: always("Put the question in quotes, and the options behind it.")},
	{line: "/poll", opens: mayWrite, says: func(c cell) (want, not []string) {
		if !mayWrite(c) {
			return []string{"it no longer has permission to send messages"}, nil
		}
		return []string{"Ask a question", "Closes at"}, nil
	}},
	{line: "/poll help", says: always("asks without showing who voted for what")},
}

// aboutStandups are the words of /standup where nobody has set one up.
var aboutStandups = []asking{
	{line: "/standup", opens: mayWrite, says: func(c cell) (want, not []string) {
		switch {
		case !mayWrite(c):
			return []string{"it no longer has permission to send messages"}, nil
		case c.lacks("users:read"):
			return []string{"Set up a standup", "In which time zone?"}, nil
		}
		return []string{"Set up a standup", "In everybody's own time zone."}, []string{"In which time zone?"}
	}},
	{line: "/standup show", says: always("There's no standup in #", "To set one up, type /standup there.")},
	{line: "/standup answer", says: always("There's no standup in this channel. To set one up, type /standup.")},
	{line: "/standup skip", says: always(noMember)},
	{line: "/standup back", says: always(noMember)},
	{line: "/standup leave", says: always("There's no standup in #")},
	{line: "/standup stop", says: always("There's no standup in #")},
	{line: "/standup weather", says: func(c cell) (want, not []string) {
		if !mayWrite(c) {
			return []string{"it no longer has permission to send messages"}, nil
		}
		return []string{"I don't know “weather”."}, nil
	}},
	{line: "/standup help", says: always("Sets up this channel's standup, or changes it")},
}

// aboutConnection are the words of /connection.
var aboutConnection = []asking{
	{line: "/connection status", says: func(c cell) (want, not []string) {
		want, not = []string{state(c), "Checked with Slack just now."}, []string{"Asking Slack"}
		switch {
		case c.guest():
			return want, append(not, "Acme Corp", "Dana Reyes", "since")
		case c.missing == "":
			return append(want, "✅ Working since today. Nothing to do."), append(not, "Allow")
		case optional(c.missing):
			want = append(want, "can't "+feature(c.missing), "Everything else works.")
		}
		if c.manages() {
			return append(want, "You can allow", "Details"), not
		}
		return append(want, "@Dana Reyes, who installed it, or a workspace admin can allow"), not
	}},
	{line: "/connection details", says: func(c cell) (want, not []string) {
		switch {
		case c.guest():
			return []string{state(c)}, []string{"Asking Slack", "Acme Corp", "Dana Reyes", "Check again"}
		case c.lacks("users:read"):
			return []string{state(c), "Checked with Slack just now."}, []string{"Asking Slack", "Check again"}
		}
		of := "8 of 8 allowed"
		if c.missing != "" {
			of = "7 of 8 allowed"
		}
		if c.manages() {
			return []string{state(c), of, "Just now, with Slack", "Check again"}, []string{"Asking Slack"}
		}
		return []string{state(c), of, "Just now, with Slack"}, []string{"Asking Slack", "Check again"}
	}},
	{line: "/connection permissions", says: func(c cell) (want, not []string) {
		switch {
		case c.guest():
			return []string{state(c)}, []string{"Acme Corp", "Allow it"}
		case c.missing == "":
			return []string{"has all", "Nothing to do."}, []string{"Allow it"}
		case c.manages():
			return []string{"Not allowed", "Without it, it can't " + feature(c.missing), "Allow it"}, nil
		}
		return []string{"Not allowed", "Without it, it can't " + feature(c.missing)}, []string{"Allow it"}
	}},
	{line: "/connection channels", says: func(c cell) (want, not []string) {
		add := "To add it to a channel, type /invite @Switchboard there."
		switch {
		case c.guest():
			return []string{"Only members of the workspace can see that."}, []string{"with-it"}
		case c.lacks("channels:read"):
			return []string{"can't list the public channels", add}, []string{"with-it"}
		case c.lacks("users:read"):
			return []string{"Public channels: 1", add}, []string{"with-it"}
		}
		return []string{"Public channels: 1: #with-it", add}, []string{"without-it"}
	}},
	{line: "/connection history", says: keepersOnly("see the history", "Installed. By @Dana Reyes")},
	{line: "/connection reconnect", says: func(c cell) (want, not []string) {
		if c.lacks("users:read") { // the public page, where Slack decides
			return []string{"Slack couldn't be asked who you are", "Open the install page"}, nil
		}
		return keepersOnly("reconnect it", "This link is for you. It works once and expires in an hour.")(c)
	}},
	{line: "/connection support", says: func(c cell) (want, not []string) { return []string{"Acme IT"}, nil }},
	{line: "/connection help", says: func(c cell) (want, not []string) {
		return []string{"Here is what you can ask Switchboard."}, nil
	}},
	{line: "/connection weather", says: always("I don't know “weather”.")},
}

// keepersOnly is what is for admins and whoever installed the app: doing completes "Only admins can".
func keepersOnly(doing string, theirs ...string) func(c cell) (want, not []string) {
	return func(c cell) (want, not []string) {
		switch {
		case c.lacks("users:read"):
			return []string{"couldn't be asked whether you can " + doing}, theirs
		case c.who == slacksim.AcmeAdmin:
			return theirs, nil
		case c.who == walkGuest:
			return []string{"Guests can't " + doing + ".", "Dana Reyes"}, theirs
		}
		return []string{"Only @Dana Reyes, who installed it, and workspace admins can " + doing + "."}, theirs
	}
}

// state is the app's state in a word.
func state(c cell) string {
	switch {
	case c.missing == "":
		return "Working"
	case optional(c.missing):
		return "Working, some features unavailable"
	}
	return "Not working"
}

func optional(scope string) bool {
	for _, s := range commands.Catalogue() {
		if s.Name == scope {
			return s.Optional
		}
	}
	return false
}

// feature is what the app can't do without a permission.
func feature(scope string) string {
	for _, s := range commands.Catalogue() {
		if s.Name == scope {
			return s.Feature
		}
	}
	return ""
}

// reads types all lines in one situation.
func (k *walk) reads(c cell, lines []asking) {
	k.t.Helper()
	for _, l := range lines {
		want, not := l.says(c)
		name, _, _ := strings.Cut(l.line, " ")
		if c.who == slacksim.BirchMember || c.lacks("commands") {
			k.b.says(l.line).reads([]string{name + " is not a valid command."}, nil)
			continue
		}
		n := k.b.says(l.line)
		if l.opens == nil || !l.opens(c) {
			n.reads(want, not)
			continue
		}
		k.b.reads("#modal", want...)
		for _, words := range not {
			k.b.is("the window doesn't say "+words,
				fmt.Sprintf(`!document.querySelector("#modal").innerText.includes(%q)`, words))
		}
		k.b.press("#modal-x")
		k.b.windowCloses()
	}
}

// walkRoles goes through the situations of one permission that is missing.
func (k *walk) walkRoles(missing string) {
	k.t.Helper()
	if missing != "" {
		k.permit(nil, []string{missing})
		k.restart()    // and nobody told it
		defer func() { // Slack tells nobody that it was allowed again: asking does
			k.permit([]string{missing}, nil)
			k.be(slacksim.AcmeAdmin, withApp)
			k.b.says("/connection status").reads([]string{"✅ Working since today. Nothing to do."}, nil)
		}()
	}
	for _, who := range roles {
		for _, in := range []bool{true, false} {
			place := map[bool]string{true: withApp, false: noApp}[in]
			k.clock.Advance(time.Minute) // Slack takes only so many calls in one
			k.be(who, place)
			k.b.is("the page says where the app is", `!document.querySelector("#add-app") === `+
				map[bool]string{true: "true", false: "false"}[in || who == slacksim.BirchMember])
			c := cell{who: who, in: in, missing: missing}
			for _, lines := range [][]asking{aboutConnection, aboutPolls, aboutStandups} {
				k.reads(c, lines[:storagetest.Rounds(2, len(lines))])
			}
			if missing == "" && storagetest.Rounds(0, 1) > 0 {
				k.b.axe("what " + who + " reads in a channel")
			}
			k.mentions(c)
		}
		if who != slacksim.BirchMember {
			k.inPrivate(cell{who: who, missing: missing})
		}
	}
}

// mentions is the app addressed in a channel: it answers in a thread, for everybody to read, where it is and may.
func (k *walk) mentions(c cell) {
	k.t.Helper()
	in, _ := k.slack.Installed(slacksim.Acme)
	n := k.b.says("<@" + in.BotUserID + "> status")
	switch {
	case !c.in && c.who != slacksim.BirchMember:
		n.reads([]string{"Add to channel"}, nil)
	case !c.in, c.lacks("app_mentions:read", "chat:write"):
		k.settle()
		n.nothing()
	default:
		n.reads([]string{"1 reply"}, nil)
		k.b.ask("open the thread", fmt.Sprintf(`(all => { if (!all.length) return false; all.at(-1).click(); return true })(
			[...document.querySelectorAll("#messages .message")].filter(e => e.dataset.ts > %q)
				.map(e => e.querySelector(".replies a")).filter(e => e))`, n.after))
		k.b.reads("#messages .from-app", state(c))
		k.b.is("what everybody reads has no buttons and no facts", `[...document.querySelectorAll("#messages .from-app")]
			.every(e => !e.querySelector("[data-action-id]") && !e.innerText.includes("Last checked"))`)
	}
}

// inPrivate is the app asked in a direct message, and its Home tab.
func (k *walk) inPrivate(c cell) {
	k.t.Helper()
	k.be(c.who, "dm")
	n := k.b.says("status")
	switch {
	case c.lacks("chat:write"):
		k.settle()
		n.nothing()
	case c.lacks("im:history"): // it says so when they come
		k.b.reads("#messages .from-app", "Switchboard can't "+feature(c.missing)+": it no longer has permission")
	default:
		n.reads([]string{state(c)}, []string{"Asking Slack"})
	}
	k.be(c.who, "home")
	k.b.reads("#home", state(c))
}

// Everybody, in a channel with the app and in one without it, with all permissions. With LONG_TESTS=1 that is all there
// is to type, and without each permission, too.
func TestWalkRoles(t *testing.T) {
	missing := []string{""}
	for _, s := range commands.Catalogue() {
		missing = append(missing, s.Name)
	}
	const inOneWorld = 3
	for some := range slices.Chunk(missing[:storagetest.Rounds(1, len(missing))], inOneWorld) {
		t.Run("without "+strings.Join(some, " "), func(t *testing.T) {
			t.Parallel()
			k := newWalk(t, time.Now())
			k.install()
			for _, scope := range some {
				k.walkRoles(scope)
			}
		})
	}
}
