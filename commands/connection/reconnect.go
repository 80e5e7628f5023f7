package connection

// Reconnecting: a link to Slack's consent, and what will come of it.

import (
	"context"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// reconnect gives those who may act a link of their own. Where Slack can't be asked who they are, everybody gets the public one:
// it shows nothing, and at its end Slack decides who may.
func reconnect(ctx context.Context, t turn, a ask) bot.Reply {
	h := t.Health()
	app, team := mrkdwn.Escape(t.Install.App().Name), mrkdwn.Name(t.Connection.Place())
	if h.Reason == connection.ReasonRecordsSilent {
		return bot.Reply{Text: recordsSilent(t)}
	}
	is, err := a.standing(ctx, t)
	switch {
	case is != keeper && is != unknown:
		return refusal(t, is, err, "reconnect it")
	case h.GrantURL == "":
		return bot.Reply{Text: fmt.Sprintf("%s was connected to %s by hand, so there is no link that reconnects it. The people who run it can do that.", app, team)}
	case h.State == connection.Paused:
		return bot.Reply{Text: fmt.Sprintf("%s is paused in %s by the people who run it, and reconnecting doesn't change that. They can resume it.", app, team)}
	}
	address, words := t.Install.Grant(links.GrantRequest{Back: t.ChannelID}), "Reconnect"
	first := fmt.Sprintf("%s is connected to %s. You don't have to do anything, but you can reconnect it.", app, team)
	what := "Slack asks you again what the app can do. It stays the same connection, with its history. " +
		"Nothing changes before you agree on Slack's page."
	last := "This link is for you. It works once and expires in an hour."
	switch {
	case !bound(t, h.GrantURL): // there is no connection yet, or Slack has a page of its own for what is missing
		address, words = h.GrantURL, "Open the page for that"
		first = fmt.Sprintf("%s isn't connected here.", app)
		what = strings.TrimSpace(mrkdwn.Escape(h.Sentence) + " " + mrkdwn.Escape(h.NextStep))
		last = "Slack decides who can, and asks an admin where that takes one."
	case is == unknown:
		address, words = everybodys(t), "Open the install page"
		first = fmt.Sprintf("Slack couldn't be asked who you are, so this is the link that everybody can have. It connects %s to %s again.", app, team)
		last = "Slack decides who can add apps, and asks an admin where that takes one."
	case h.Broken():
		first = fmt.Sprintf("%s isn't working in %s, and this link reconnects it.", app, team)
		if !h.WorksUntil.IsZero() {
			first = fmt.Sprintf("%s stops working in %s soon, and this link reconnects it.", app, team)
		}
	case h.State == connection.Limited:
		first = fmt.Sprintf("%s is connected to %s, and a permission is missing. Reconnecting also asks for that.", app, team)
	case h.State != connection.Active:
		first = fmt.Sprintf("%s has trouble in %s that can pass by itself. You can reconnect it anyway.", app, team)
	}
	button := mrkdwn.Button(messages.ActionGrant, words,
		fmt.Sprintf("%s: %s in %s", words, t.Install.App().Name, mrkdwn.Short(t.Connection.Place())))
	button.URL = address
	if h.Broken() {
		button.Style = slack.StylePrimary
	}
	return bot.Reply{Text: first + " " + what + " " + last + " " + mrkdwn.Link(address, words) + ".",
		Blocks: []slack.Block{mrkdwn.Section(first), mrkdwn.Section(what + "\n" + last), slack.NewActionBlock("", button)}}
}
