package connection

// Reconnecting: a link to Slack's consent, and what will come of it.

import (
	"context"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// reconnect gives those who may act a link of their own. Where Slack can't be asked who they are, everybody gets the
// public one: it shows nothing, and at its end Slack decides who may.
func reconnect(ctx context.Context, t turn, a ask) bot.Reply {
	h := t.Health()
	if h.Reason == connection.ReasonRecordsSilent {
		return bot.Reply{Text: recordsSilent(t)}
	}

	is, err := a.standing(ctx, t)
	switch {
	case is != keeper && is != unknown:
		return refusal(t, is, err, "reconnect it")
	case h.GrantURL == "":
		return bot.Reply{Text: fmt.Sprintf("%s was connected to %s by hand, so there is no link that reconnects it. "+
			"The people who run it can do that.", t.app(), t.place())}
	case h.State == connection.Paused:
		return bot.Reply{Text: fmt.Sprintf("%s is paused in %s by the people who run it, "+
			"and reconnecting doesn't change that. They can resume it.", t.app(), t.place())}
	}

	way := wayBack(t, h, is)
	button := mrkdwn.Button(messages.ActionGrant, way.words,
		fmt.Sprintf("%s: %s in %s", way.words, t.Install.App().Name, mrkdwn.Short(t.Connection.Place(t.Install.App().Words))))
	button.URL = way.address
	if h.Broken() {
		button.Style = slack.StylePrimary
	}
	r := paragraph(way.first, mrkdwn.Section(way.what+"\n"+way.last), slack.NewActionBlock("", button))
	r.Text += " " + way.what + " " + way.last + " " + mrkdwn.Link(way.address, way.words) + "."
	return r
}

// way leads to a page that connects the app again: what there is to say about it, and the button's words.
type way struct{ address, words, first, what, last string }

func wayBack(t turn, h install.Health, is standing) way {
	w := way{
		address: t.Install.Grant(links.GrantRequest{Back: t.ChannelID}), words: "Reconnect",
		first: "%s is connected to %s. You don't have to do anything, but you can reconnect it.",
		what: "Slack asks you again what the app can do. It stays the same connection, with its history. " +
			"Nothing changes before you agree on Slack's page.",
		last: "This link is for you. It works once and expires in an hour.",
	}
	switch {
	case !bound(t, h.GrantURL): // there is no connection yet, or Slack has a page of its own for what is missing
		return way{
			address: h.GrantURL, words: "Open the page for that",
			first: t.app() + " isn't connected here.",
			what:  strings.TrimSpace(mrkdwn.Escape(h.Sentence) + " " + mrkdwn.Escape(h.NextStep)),
			last:  "Slack decides who can, and asks an admin where that takes one.",
		}
	case is == unknown:
		w.address, w.words = everybodys(t), "Open the install page"
		w.first = "Slack couldn't be asked who you are, so this is the link that everybody can have. It " +
			"connects %s to %s again."
		w.last = "Slack decides who can add apps, and asks an admin where that takes one."
	case h.Broken() && !h.WorksUntil.IsZero():
		w.first = "%s stops working in %s soon, and this link reconnects it."
	case h.Broken():
		w.first = "%s isn't working in %s, and this link reconnects it."
	case h.State == connection.Limited:
		w.first = "%s is connected to %s, and a permission is missing. Reconnecting also asks for that."
	case h.State != connection.Active:
		w.first = "%s has trouble in %s that can pass by itself. You can reconnect it anyway."
	}
	w.first = fmt.Sprintf(w.first, t.app(), t.place())
	return w
}
