package connection

// Reconnecting: a link to Slack's consent, and what will come of it.

import (
	"context"

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
		return recordsSilent(t)
	}

	is, err := a.standing(ctx, t)
	switch {
	case is != keeper && is != unknown:
		return refusal(t, is, err, "reconnect")
	case h.GrantURL == "":
		return bot.Reply{Text: t.say("reconnect.by_hand")}
	case h.State == connection.Paused:
		return bot.Reply{Text: t.say("reconnect.paused")}
	}

	way := wayBack(t, h, is)
	button := mrkdwn.Button(messages.ActionGrant, t.plain("button."+way.button), t.plain("spoken."+way.button))
	button.URL = way.address
	if h.Broken() {
		button.Style = slack.StylePrimary
	}
	r := paragraph(way.first, mrkdwn.Section(way.what+"\n"+way.last), slack.NewActionBlock("", button))
	r.Text = sentences(r.Text, way.what, way.last, way.link)
	return r
}

// way leads to a page that connects the app again: what there is to say about it, and the key of the button's words.
type way struct{ address, button, first, what, last, link string }

func wayBack(t turn, h install.Health, is standing) way {
	w := way{
		address: t.Install.Grant(links.GrantRequest{Back: t.ChannelID}), button: "reconnect",
		first: t.say("reconnect.works"), what: t.say("reconnect.same"), last: t.say("reconnect.once"),
	}
	link := "reconnect.link"
	switch {
	case !bound(t, h.GrantURL): // there is no connection yet, or Slack has a page of its own for what is missing
		w = way{
			address: h.GrantURL, button: "page", first: t.say("reconnect.not_connected"),
			what: sentences(mrkdwn.Escape(h.Sentence), mrkdwn.Escape(h.NextStep)), last: t.say("reconnect.slack_decides"),
		}
		link = "reconnect.link_page"
	case is == unknown:
		w.address, w.button = everybodys(t), "install_page"
		w.first, w.last, link = t.say("reconnect.unknown"), t.say("reconnect.slack_decides"), "reconnect.link_install_page"
	case h.Broken() && !h.WorksUntil.IsZero():
		w.first = t.say("reconnect.ending")
	case h.Broken():
		w.first = t.say("reconnect.broken")
	case h.State == connection.Limited:
		w.first = t.say("reconnect.limited")
	case h.State != connection.Active:
		w.first = t.say("reconnect.trouble")
	}
	w.link = t.say(link, "address", mrkdwn.Address(w.address))
	return w
}
