package connection

// The Home tab: what people can do with the app, and below it the connection in one line, as the command shows it. It
// is made anew at each opening; between openings it is only as true as the time it names.

import (
	"context"
	"fmt"
	"strings"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// homeOpened shows the state of the connection.
func (c Command) homeOpened() bot.Handler {
	return bot.OnEvent("app_home_opened", func(ctx context.Context, e *bot.Event[slackevents.AppHomeOpenedEvent]) error {
		t := turn{Request: e.Request, command: c}
		t.UserID, t.ChannelID = e.Payload.User, e.Payload.Channel
		switch {
		case e.Payload.Tab == "home":
			h, _ := look(ctx, t, false)
			return publishHome(ctx, t, h, "")
		case c.DirectMessages:
			// Slack delivers no message that the app may not read, so this is where people hear why there would be no
			// answer.
			return t.Need("im:history")
		}
		return nil
	}, bot.OptionalScopes("users:read"))
}

// publishHome shows h to t.UserID, with a line about what was just done, "" for none. It blocks for three calls to
// Slack.
func publishHome(ctx context.Context, t turn, h install.Health, done string) error {
	is, err := standingOf(ctx, t)
	if err != nil {
		is = unknown
	}

	who := viewer{audience: direct, standing: is, answered: true}
	learn(ctx, t, h, &who)

	blocks := homeBlocks(t, h, who, done)
	view := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: blocks}}
	_, err = t.Client.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: t.UserID, View: view})
	if err != nil {
		return fmt.Errorf("publish home: %w", err)
	}
	return nil
}

// homeBlocks is the tab. An app that doesn't work says that first.
func homeBlocks(t turn, h install.Health, who viewer, done string) []slack.Block {
	first, second := homeDoes(t), homeConnection(t, h, who, done)
	if h.Broken() {
		first, second = second, first
	}

	blocks := first
	if len(first) > 0 && len(second) > 0 {
		blocks = append(blocks, slack.NewDividerBlock())
	}
	blocks = append(blocks, second...)
	if who.headlineOnly(t) {
		return blocks
	}
	return append(blocks, mrkdwn.Context(footer(t)))
}

// doesShown is how much of what people can do with the app the tab lists.
const doesShown = 10

// homeDoes is what people can do with the app.
func homeDoes(t turn) []slack.Block {
	app := t.Install.App()
	var lines []string
	for _, does := range app.Does[:min(doesShown, len(app.Does))] {
		lines = append(lines, t.say("home.does", "does", mrkdwn.Sentence(does, 2*mrkdwn.MaxName)))
	}
	if len(lines) == 0 && app.Summary != "" {
		lines = []string{mrkdwn.Escape(mrkdwn.Clip(app.Summary, maxSentence))}
	}
	if len(lines) == 0 {
		return nil
	}
	return []slack.Block{
		mrkdwn.Header(t.plain("title.home")), mrkdwn.Whole(strings.Join(lines, "\n")),
	}
}

// homeConnection is the state in short: one line, one thing to press, and the way to all the rest.
func homeConnection(t turn, h install.Health, who viewer, done string) []slack.Block {
	blocks := []slack.Block{mrkdwn.Header(t.plain("title.connection"))}
	if who.headlineOnly(t) {
		return append(blocks, statusReply(t, h, who, checkedAt(t, h)).Blocks...)
	}

	blocks = append(blocks, mrkdwn.Section(statusLines(t, h, who)))
	if done != "" {
		blocks = append(blocks, mrkdwn.Section(done))
	}
	if press := homeButtons(t, h, who); len(press) > 0 {
		blocks = append(blocks, slack.NewActionBlock("", press...))
	}

	if h.NextStep != "" && who.standing != keeper {
		blocks = append(blocks,
			mrkdwn.Section(t.say("home.for_them")),
			mrkdwn.Section(preformatted(forAdmin(t, h))))
	}
	return append(blocks, mrkdwn.Context(sentences(checkedAt(t, h), waysToAsk(t, h))))
}

// homeButtons are the next step and Details, and for the installer and admins a menu of the rest.
func homeButtons(t turn, h install.Health, who viewer) []slack.BlockElement {
	press := nextSteps(t, h, who)
	if !h.Found || who.standing != keeper {
		return press
	}
	if h.State != connection.Unknown && h.State != connection.Retrying { // else it is the next step
		press = append(press, checkButton(t))
	}
	return append(press, keepersMenu(t, h, true))
}

// detailsAtHome are the details in the window that the Home tab opens, which can only be closed. It blocks for Slack
// and the store, not for long: the window has to be open soon.
func detailsAtHome(ctx context.Context, t turn) bot.Reply {
	ctx, cancel := context.WithTimeout(ctx, personBudget)
	defer cancel()
	who := viewer{audience: direct, details: true, answered: true}
	who.standing, _ = standingOf(ctx, t) // not knowing shows less
	h := t.Health()
	learn(ctx, t, h, &who)
	return detailsInWindow(t, h, who)
}

// detailsInWindow are status and details without what has to be pressed.
func detailsInWindow(t turn, h install.Health, who viewer) bot.Reply {
	if who.headlineOnly(t) {
		return statusReply(t, h, who, asOf(t, h))
	}
	blocks := append([]slack.Block{mrkdwn.Section(statusLines(t, h, who))}, factBlocks(t, h, who)...)
	return bot.Reply{Text: h.Label + ".", Blocks: append(append(blocks, small(asOf(t, h))...), mrkdwn.Context(footer(t)))}
}

// checkedAt says how old the state is that is shown.
func checkedAt(t turn, h install.Health) string {
	switch {
	case h.Live:
		return t.say("asof.checked", "time", mrkdwn.Time(t.words(), t.Now()))
	case h.CheckedAt.IsZero():
		return t.say("asof.unconfirmed")
	}
	return t.say("asof.last_checked", "time", mrkdwn.Time(t.words(), h.CheckedAt))
}

// waysToAsk says where the app answers, as far as it is allowed to.
func waysToAsk(t turn, h install.Health) string {
	var ways []string
	if allowed(h.Connection, "commands") {
		ways = append(ways, t.say("home.way_command", "typed", t.typed("status")))
	}
	if works(h) && t.command.hears(h.Connection) {
		ways = append(ways, t.say("home.way_message"))
	}
	if works(h) && t.command.hearsMentions(h.Connection) {
		ways = append(ways, t.say("home.way_mention"))
	}
	if len(ways) == 0 {
		return t.say("home.no_way")
	}
	return sentences(ways...)
}

// works reports whether the app has access that it can answer with, as far as is known.
func works(h install.Health) bool {
	c := h.Connection
	return h.Found && h.State != connection.NotConnected &&
		(c.State == connection.Active || c.State == connection.Retrying || !h.WorksUntil.IsZero())
}

// forAdmin is what somebody who can do nothing about it sends to somebody who can.
func forAdmin(t turn, h install.Health) string {
	sentence := ""
	if nowButton(t, h) != nil && len(h.Missing) > 0 {
		sentence = mrkdwn.Clip(h.Sentence, maxSentence)
	}
	key := "home.more"
	if nowButton(t, h) != nil {
		key = "home.more_button"
	}
	return sentences(t.plain("home.look", "state", h.Label), sentence, h.ReasonText, more(t, "status", key), t.ref())
}
