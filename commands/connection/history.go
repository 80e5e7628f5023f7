package connection

// What happened to the connection, for those who look after it: "who did that, and when?" answered without asking
// anybody.

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

const (
	historyLines = 15
	// Slack takes 3,000 characters in a section. Lines are cut so that a section always holds this many.
	linesInSection = 5
	maxLine        = mrkdwn.MaxText/linesInSection - 1 // and a line break
)

// history shows the newest lines to the installer and to admins.
func history(ctx context.Context, t turn, a ask) bot.Reply {
	if no, may := a.mayAct(ctx, t, "history"); !may {
		return no
	}
	changes, err := t.Install.History(ctx, historyLines)
	if err != nil {
		t.Log.ErrorContext(ctx, "read history", "cause", err)
		return recordsSilent(t)
	}
	return historyReply(t, changes)
}

func historyReply(t turn, changes []connection.Change) bot.Reply {
	if len(changes) == 0 {
		return bot.Reply{Text: t.say("history.none")}
	}

	intro := t.say("history.intro")
	blocks := []slack.Block{mrkdwn.Header(t.plain("title.history")), mrkdwn.Section(intro)}
	lines := historyOf(t, changes)
	for part := range slices.Chunk(lines, linesInSection) {
		blocks = append(blocks, mrkdwn.Whole(strings.Join(part, "\n")))
	}
	blocks = append(blocks, mrkdwn.Context(t.say("history.foot", "lines", historyLines)))

	// Screen readers get the text and not the blocks, so it holds the same, as far as it fits.
	text := intro
	for i, l := range lines {
		if len([]rune(text+l)) > maxSpoken {
			text += "\n" + t.say("history.older", "count", len(lines)-i)
			break
		}
		text += "\n" + l
	}
	return bot.Reply{Text: text, Blocks: blocks}
}

// historyOf says changes in a line each.
func historyOf(t turn, changes []connection.Change) []string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = mrkdwn.Cut(t.say("history.line", "time", mrkdwn.Time(t.words(), c.At), "what", told(t, c)), maxLine)
	}
	return lines
}

var userID = regexp.MustCompile(`^[UW][A-Z0-9]{1,40}$`)

// told says one line of history in words: what, by whom, and why. What a line is about has a sentence of its own where
// its reason is the person it is about, or changes what it means.
func told(t turn, c connection.Change) string {
	said := t.words()
	kind := "connection.happened." + c.What + "_" + c.Outcome
	if userID.MatchString(c.Reason) {
		if what, ok := said.Find(kind+"_person", "person", mrkdwn.Person(c.Reason)); ok {
			return sentences(what, by(t, c.By))
		}
	}
	if what, ok := said.Find(kind + "_" + c.Reason); ok {
		so, _ := said.Find(kind + "_" + c.Reason + "_so")
		return sentences(what, by(t, c.By), so)
	}

	what, ok := said.Find(kind)
	if !ok { // of a newer version, which ran on this database
		what = t.say("history.unknown", "code", mrkdwn.Code(c.What+" "+c.Outcome))
	}
	return sentences(what, by(t, c.By), because(t, c))
}

// by names who did it. What Slack reports was mostly somebody's doing, and Slack doesn't say whose. What nobody is
// named for, the app did by itself.
func by(t turn, a connection.Actor) string {
	switch a.Kind {
	case connection.ByPerson:
		if userID.MatchString(a.ID) {
			return t.say("history.by_person", "person", mrkdwn.Person(a.ID))
		}
		return t.say("history.by_somebody")
	case connection.ByOperator:
		return t.say("history.by_operator")
	case connection.BySlack:
		return t.say("history.by_slack")
	}
	return ""
}

// because is the reason of a line in a sentence, "" when there is none.
func because(t turn, c connection.Change) string {
	code := mrkdwn.Code(c.Reason)
	switch {
	case c.What == connection.DidPermissions:
		return permissionChanges(t, c)
	case c.What == connection.DidDisconnect && c.Outcome == connection.OutcomeDone:
		return disconnectSaid(t, c.Reason)
	case c.What == connection.DidMove && c.Reason != "", c.What == connection.DidWorkspaces && c.Reason != "":
		return t.say("history.names", "code", code)
	case c.What == connection.DidChange && c.Reason != "":
		return t.say("history.is_now", "code", code)
	case c.Reason == "no_answer":
		return t.say("history.no_answer")
	case c.Reason == "no_access":
		return t.say("history.no_access")
	case c.Reason == "":
		return ""
	}
	return cmp.Or(mrkdwn.Escape(connection.ReasonText(t.words(), c.Reason)), t.say("history.said", "code", code))
}

// disconnectSaid is what Slack answered to a disconnect that went through.
func disconnectSaid(t turn, said string) string {
	switch said {
	case "ok":
		return t.say("disconnect.said_ok")
	case "":
		return t.say("disconnect.said_no_access")
	case "slack_not_asked":
		return t.say("disconnect.said_not_asked")
	}
	return t.say("disconnect.said_gone")
}

// permissionChanges says "+chat:write -team:read", the reason of c, in words.
func permissionChanges(t turn, c connection.Change) string {
	var said []string
	for _, part := range []struct{ sign, key string }{{"+", "permissions.now"}, {"-", "permissions.no_longer"}} {
		var names []string
		for _, change := range strings.Fields(c.Reason) {
			if name, ok := strings.CutPrefix(change, part.sign); ok && name != "" {
				names = append(names, mrkdwn.Clip(name, 50))
			}
		}
		if len(names) > 0 {
			said = append(said, t.say(part.key, "permissions", labels(t, t.Install.Describe(names))))
		}
	}
	return sentences(said...)
}
