package commands

// What happened to the connection, for those who look after it: "who did that, and when?" answered without asking anybody.

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	historyLines = 15
	// Slack takes 3,000 characters in a section. Lines are cut so that a section always holds this many.
	linesInSection = 5
	maxLine        = maxText/linesInSection - 1 // and a line break
	// How many permissions of a kind a line names, each of at most 50 characters and some words.
	named = 3
)

// history shows the newest lines to the installer and to admins.
func history(ctx context.Context, t *bot.Turn, a ask) bot.Reply {
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

func historyReply(t *bot.Turn, changes []connection.Change) bot.Reply {
	app, team := escape(t.Install.App().Name), escape(place(t.Connection))
	if len(changes) == 0 {
		return bot.Reply{Text: fmt.Sprintf("There is no history of %s in %s yet. It is kept from this version on, and begins with the next change.", app, team)}
	}
	intro := fmt.Sprintf("This is what happened to %s in %s, newest first.", app, team)
	blocks := []slack.Block{slack.NewHeaderBlock(plain("History")), section(intro)}
	lines := historyOf(changes)
	for i := 0; i < len(lines); i += linesInSection {
		text := strings.Join(lines[i:min(i+linesInSection, len(lines))], "\n")
		blocks = append(blocks, slack.NewSectionBlock(markdown(text), nil, nil, slack.SectionBlockOptionExpand(true)))
	}
	blocks = append(blocks, slack.NewContextBlock("", markdown(fmt.Sprintf("Only you can see this. It shows the newest %d changes at most.", historyLines))))
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
func historyOf(changes []connection.Change) []string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = cut("• "+when(c.At)+": "+told(c), maxLine)
	}
	return lines
}

// happened says in words what a line is about.
var happened = map[[2]string]string{
	{connection.DidInstall, connection.OutcomeDone}:        "Installed",
	{connection.DidReinstall, connection.OutcomeDone}:      "Installed again after a removal",
	{connection.DidReconnect, connection.OutcomeDone}:      "Reconnected",
	{connection.DidRenew, connection.OutcomeDone}:          "Access renewed automatically",
	{connection.DidRenew, connection.OutcomeFail}:          "Access not renewed",
	{connection.DidExchange, connection.OutcomeDone}:       "Access exchanged for one that is renewed automatically",
	{connection.DidExchange, connection.OutcomeFail}:       "Access not exchanged for one that is renewed automatically, so it works on as it was",
	{connection.DidCheck, connection.OutcomeFail}:          "Trouble",
	{connection.DidCheck, connection.OutcomeWorking}:       "Works again",
	{connection.DidRemove, connection.OutcomeDone}:         "Removed",
	{connection.DidDisconnect, connection.OutcomeDone}:     "Disconnected",
	{connection.DidDisconnect, connection.OutcomeFail}:     "Not disconnected",
	{connection.DidPermissions, connection.OutcomeDone}:    "Permissions changed",
	{connection.DidTell, connection.OutcomeDone}:           "A person was told that it needs reconnecting",
	{connection.DidTell, connection.OutcomeFail}:           "Nobody could be told that it needs reconnecting",
	{connection.DidTell, connection.OutcomeWorking}:        "Trouble over, of which nobody had been told",
	{connection.DidTellMissing, connection.OutcomeDone}:    "A person was told that somebody asked for what isn't allowed",
	{connection.DidTellMissing, connection.OutcomeFail}:    "Nobody could be told that somebody asked for what isn't allowed",
	{connection.DidTellMissing, connection.OutcomeWorking}: "All is allowed that somebody had asked for",
	{connection.DidUserGrant, connection.OutcomeDone}:      "Allowed to act for a person",
	{connection.DidUserRevoke, connection.OutcomeDone}:     "No longer allowed to act for a person",
	{connection.DidErase, connection.OutcomeDone}:          "Unreadable access erased",
	{connection.DidMove, connection.OutcomeBegun}:          "The workspace is being moved into an organisation",
	{connection.DidMove, connection.OutcomeDone}:           "The workspace joined an organisation, and the connection moved with it",
	{connection.DidWorkspaces, connection.OutcomeAdded}:    "Added to workspaces of the organisation",
	{connection.DidWorkspaces, connection.OutcomeLeft}:     "Taken from workspaces of the organisation",
	{connection.DidChange, connection.OutcomeDone}:         "Changed",
}

// happenedSo is happened, and what follows from it, for lines whose reason changes what they mean.
var happenedSo = map[[3]string][2]string{
	{connection.DidRemove, connection.OutcomeDone, connection.ReasonTokenRevoked}: {"Access withdrawn", ""},
	{connection.DidDisconnect, connection.OutcomeFail, "no_answer"}:               {"Disconnecting tried", "Slack gave no clear answer, so it may have happened."},
	{connection.DidTellMissing, connection.OutcomeFail, "no_answer"}:              {"A message sent that somebody asked for what isn't allowed", "Slack didn't answer, so it may not have arrived."},
	{connection.DidTell, connection.OutcomeFail, "no_answer"}:                     {"A message sent that it needs reconnecting", "Slack didn't answer, so it may not have arrived."},
}

// happenedTo is happened for lines whose reason is the person they are about.
var happenedTo = map[[2]string]string{
	{connection.DidRenew, connection.OutcomeDone}:          "Access to act for %s renewed",
	{connection.DidRenew, connection.OutcomeFail}:          "Access to act for %s not renewed, so they have to allow it again",
	{connection.DidExchange, connection.OutcomeDone}:       "Access to act for %s exchanged for one that is renewed automatically",
	{connection.DidTell, connection.OutcomeDone}:           "%s was told that it needs reconnecting",
	{connection.DidTell, connection.OutcomeWorking}:        "%s was told that it works again",
	{connection.DidTellMissing, connection.OutcomeDone}:    "%s was told that somebody asked for what isn't allowed",
	{connection.DidTellMissing, connection.OutcomeWorking}: "%s was told that all of it is allowed now",
	{connection.DidUserGrant, connection.OutcomeDone}:      "Allowed to act for %s",
	{connection.DidUserRevoke, connection.OutcomeDone}:     "No longer allowed to act for %s",
}

var userID = regexp.MustCompile(`^[UW][A-Z0-9]{1,40}$`)

// told says one line of history in words: what, by whom, and why.
func told(c connection.Change) string {
	kind := [2]string{c.What, c.Outcome}
	if what, ok := happenedTo[kind]; ok && userID.MatchString(c.Reason) {
		return fmt.Sprintf(what, person(c.Reason)) + by(c.By) + "."
	}
	if so, ok := happenedSo[[3]string{c.What, c.Outcome, c.Reason}]; ok {
		return strings.TrimSpace(so[0] + by(c.By) + ". " + so[1])
	}
	what, ok := happened[kind]
	if !ok { // of a newer version, which ran on this database
		what = code(c.What + " " + c.Outcome)
	}
	return strings.TrimSpace(what + by(c.By) + ". " + because(c))
}

// by names who did it, behind what was done. What Slack reports was mostly somebody's doing, and Slack doesn't say whose; what
// nobody is named for, the app did by itself.
func by(a connection.Actor) string {
	switch a.Kind {
	case connection.ByPerson:
		if userID.MatchString(a.ID) {
			return ", by " + person(a.ID)
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
func because(c connection.Change) string {
	switch {
	case c.What == connection.DidPermissions:
		return permissionChanges(strings.Fields(c.Reason))
	case c.What == connection.DidDisconnect && c.Outcome == connection.OutcomeDone:
		return disconnectSaid(c.Reason)
	case c.What == connection.DidMove && c.Reason != "", c.What == connection.DidWorkspaces && c.Reason != "":
		return "Slack names " + code(c.Reason) + "."
	case c.What == connection.DidChange && c.Reason != "":
		return "It is now " + code(c.Reason) + "."
	case c.Reason == "no_answer":
		return "Slack didn't answer."
	case c.Reason == "no_access":
		return "There was nobody to write to, or no access to write with."
	case c.Reason == "":
		return ""
	}
	return cmp.Or(escape(connection.ReasonText(c.Reason)), "Slack said "+code(c.Reason)+".")
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

// permissionChanges says "+chat:write -team:read" in words.
func permissionChanges(changes []string) string {
	list := func(sign, title string) string {
		var scopes []connection.Scope
		for _, c := range changes {
			if name, ok := strings.CutPrefix(c, sign); ok && name != "" {
				scopes = append(scopes, describe(clip(name, 50)))
			}
		}
		switch n := len(scopes); {
		case n == 0:
			return ""
		case n > named:
			return fmt.Sprintf("%s: %s, and %d more. ", title, labels(scopes[:named]), n-named)
		}
		return title + ": " + labels(scopes) + ". "
	}
	return strings.TrimSpace(list("+", "Allowed now") + list("-", "No longer allowed"))
}

// code is a word of Slack's as it came, for those who look it up.
func code(s string) string {
	return "`" + strings.ReplaceAll(escape(clip(s, 60)), "`", "'") + "`"
}
