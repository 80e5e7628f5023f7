package connection

// What happened to the connection, for those who look after it: "who did that, and when?" answered without asking
// anybody.

import (
	"cmp"
	"context"
	"fmt"
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
	if no, may := a.mayAct(ctx, t, "see its history"); !may {
		return no
	}
	changes, err := t.Install.History(ctx, historyLines)
	if err != nil {
		t.Log.ErrorContext(ctx, "read history", "cause", err)
		return bot.Reply{Text: recordsSilent(t)}
	}
	return historyReply(t, changes)
}

func historyReply(t turn, changes []connection.Change) bot.Reply {
	if len(changes) == 0 {
		return bot.Reply{Text: fmt.Sprintf("There is no history of %s in %s yet. "+
			"It is kept from this version on, and begins with the next change.", t.app(), t.place())}
	}

	intro := fmt.Sprintf("This is what happened to %s in %s, newest first.", t.app(), t.place())
	blocks := []slack.Block{mrkdwn.Header("History"), mrkdwn.Section(intro)}
	lines := historyOf(t, changes)
	for part := range slices.Chunk(lines, linesInSection) {
		blocks = append(blocks, mrkdwn.Whole(strings.Join(part, "\n")))
	}
	foot := fmt.Sprintf("Only you can see this. It shows the newest %d changes at most.", historyLines)
	blocks = append(blocks, mrkdwn.Context(foot))

	// Screen readers get the text and not the blocks, so it holds the same, as far as it fits.
	text := intro
	for i, l := range lines {
		if len([]rune(text+l)) > maxSpoken {
			text += fmt.Sprintf("\nThe %d older ones are in the message.", len(lines)-i)
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
		lines[i] = mrkdwn.Cut("• "+mrkdwn.Time(c.At)+": "+told(t, c), maxLine)
	}
	return lines
}

// happened says in words what a line is about.
var happened = map[[2]string]string{
	{connection.DidInstall, connection.OutcomeDone}:   "Installed",
	{connection.DidReinstall, connection.OutcomeDone}: "Installed again after a removal",
	{connection.DidReconnect, connection.OutcomeDone}: "Reconnected",
	{connection.DidRenew, connection.OutcomeDone}:     "Access renewed automatically",
	{connection.DidRenew, connection.OutcomeFail}:     "Access not renewed",
	{connection.DidExchange, connection.OutcomeDone}:  "Access exchanged for one that is renewed automatically",
	{connection.DidExchange, connection.OutcomeFail}: "Access not exchanged for one that is renewed " +
		"automatically, so it works on as it was",
	{connection.DidCheck, connection.OutcomeFail}:       "Trouble",
	{connection.DidCheck, connection.OutcomeWorking}:    "Works again",
	{connection.DidRemove, connection.OutcomeDone}:      "Removed",
	{connection.DidDisconnect, connection.OutcomeDone}:  "Disconnected",
	{connection.DidDisconnect, connection.OutcomeFail}:  "Not disconnected",
	{connection.DidPermissions, connection.OutcomeDone}: "Permissions changed",
	{connection.DidTell, connection.OutcomeDone}:        "A person was told that it needs reconnecting",
	{connection.DidTell, connection.OutcomeFail}:        "Nobody could be told that it needs reconnecting",
	{connection.DidTell, connection.OutcomeWorking}:     "Trouble over, of which nobody had been told",
	{connection.DidTellMissing, connection.OutcomeDone}: "A person was told that somebody asked for what isn't allowed",
	{connection.DidTellMissing, connection.OutcomeFail}: "Nobody could be told that somebody asked for what isn't " +
		"allowed",
	{connection.DidTellMissing, connection.OutcomeWorking}: "All is allowed that somebody had asked for",
	{connection.DidUserGrant, connection.OutcomeDone}:      "Allowed to act for a person",
	{connection.DidUserRevoke, connection.OutcomeDone}:     "No longer allowed to act for a person",
	{connection.DidImport, connection.OutcomeDone}:         "Taken over from the program that ran the app before",
	{connection.DidErase, connection.OutcomeDone}:          "Unreadable access erased",
	{connection.DidMove, connection.OutcomeBegun}:          "The workspace is being moved into an organisation",
	{connection.DidMove, connection.OutcomeDone}: "The workspace joined an organisation, and the connection " +
		"moved with it",
	{connection.DidWorkspaces, connection.OutcomeAdded}: "Added to workspaces of the organisation",
	{connection.DidWorkspaces, connection.OutcomeLeft}:  "Taken from workspaces of the organisation",
	{connection.DidChange, connection.OutcomeDone}:      "Changed",
}

// happenedSo is happened, and what follows from it, for lines whose reason changes what they mean.
var happenedSo = map[[3]string][2]string{
	{connection.DidRemove, connection.OutcomeDone, connection.ReasonTokenRevoked}: {"Access withdrawn", ""},
	{connection.DidDisconnect, connection.OutcomeFail, "no_answer"}: {
		"Disconnecting tried", "Slack gave no clear answer, so it may have happened."},
	{connection.DidTellMissing, connection.OutcomeFail, "no_answer"}: {
		"A message sent that somebody asked for what isn't allowed", "Slack didn't answer, so it may not have arrived."},
	{connection.DidTell, connection.OutcomeFail, "no_answer"}: {
		"A message sent that it needs reconnecting", "Slack didn't answer, so it may not have arrived."},
}

// happenedTo is happened for lines whose reason is the person they are about.
var happenedTo = map[[2]string]string{
	{connection.DidRenew, connection.OutcomeDone}: "Access to act for %s renewed",
	{connection.DidRenew, connection.OutcomeFail}: "Access to act for %s not renewed, so they have to allow it again",
	{connection.DidExchange, connection.OutcomeDone}: "Access to act for %s exchanged for one that is " +
		"renewed automatically",
	{connection.DidTell, connection.OutcomeDone}:           "%s was told that it needs reconnecting",
	{connection.DidTell, connection.OutcomeWorking}:        "%s was told that it works again",
	{connection.DidTellMissing, connection.OutcomeDone}:    "%s was told that somebody asked for what isn't allowed",
	{connection.DidTellMissing, connection.OutcomeWorking}: "%s was told that all of it is allowed now",
	{connection.DidUserGrant, connection.OutcomeDone}:      "Allowed to act for %s",
	{connection.DidUserRevoke, connection.OutcomeDone}:     "No longer allowed to act for %s",
	{connection.DidImport, connection.OutcomeDone}:         "Access to act for %s taken over from the program before",
}

var userID = regexp.MustCompile(`^[UW][A-Z0-9]{1,40}$`)

// told says one line of history in words: what, by whom, and why.
func told(t turn, c connection.Change) string {
	kind := [2]string{c.What, c.Outcome}
	if what, ok := happenedTo[kind]; ok && userID.MatchString(c.Reason) {
		return fmt.Sprintf(what, mrkdwn.Person(c.Reason)) + by(c.By) + "."
	}
	if so, ok := happenedSo[[3]string{c.What, c.Outcome, c.Reason}]; ok {
		return strings.TrimSpace(so[0] + by(c.By) + ". " + so[1])
	}
	what, ok := happened[kind]
	if !ok { // of a newer version, which ran on this database
		what = mrkdwn.Code(c.What + " " + c.Outcome)
	}
	return strings.TrimSpace(what + by(c.By) + ". " + because(t, c))
}

// by names who did it, behind what was done. What Slack reports was mostly somebody's doing, and Slack doesn't say
// whose; what nobody is named for, the app did by itself.
func by(a connection.Actor) string {
	switch a.Kind {
	case connection.ByPerson:
		if userID.MatchString(a.ID) {
			return ", by " + mrkdwn.Person(a.ID)
		}
		return ", by a person"
	case connection.ByOperator:
		return ", by the people who run the app"
	case connection.BySlack:
		return ", according to Slack"
	}
	return ""
}

// because is the reason of a line in a sentence, "" when there is none.
func because(t turn, c connection.Change) string {
	switch {
	case c.What == connection.DidPermissions:
		return permissionChanges(t, c)
	case c.What == connection.DidDisconnect && c.Outcome == connection.OutcomeDone:
		return disconnectSaid(c.Reason)
	case c.What == connection.DidMove && c.Reason != "", c.What == connection.DidWorkspaces && c.Reason != "":
		return "Slack names " + mrkdwn.Code(c.Reason) + "."
	case c.What == connection.DidChange && c.Reason != "":
		return "It is now " + mrkdwn.Code(c.Reason) + "."
	case c.Reason == "no_answer":
		return "Slack didn't answer."
	case c.Reason == "no_access":
		return "There was nobody to write to, or no access to write with."
	case c.Reason == "":
		return ""
	}
	return cmp.Or(mrkdwn.Escape(connection.ReasonText(t.Install.App().Words, c.Reason)), "Slack said "+mrkdwn.Code(c.Reason)+".")
}

// disconnectSaid is what Slack answered to a disconnect that went through.
func disconnectSaid(said string) string {
	switch said {
	case "ok":
		return "Slack removed the app, and its access is erased."
	case "":
		return "Its access is erased. There was none left to ask Slack with."
	case "slack_not_asked":
		return "Its access is erased. Slack was not asked."
	}
	return "The app was gone from Slack already. Its access is erased."
}

// permissionChanges says "+chat:write -team:read", the reason of c, in words.
func permissionChanges(t turn, c connection.Change) string {
	said := ""
	for _, part := range []struct{ sign, title string }{{"+", "Allowed now"}, {"-", "No longer allowed"}} {
		var names []string
		for _, change := range strings.Fields(c.Reason) {
			if name, ok := strings.CutPrefix(change, part.sign); ok && name != "" {
				names = append(names, mrkdwn.Clip(name, 50))
			}
		}
		if len(names) > 0 {
			said += part.title + ": " + labels(t.Install.Describe(names)) + ". "
		}
	}
	return strings.TrimSpace(said)
}
