package connection

// The App Home: the same state as the command shows, kept for the person who opens it. It is rendered anew at each
// opening; between openings it is only as true as the time it names.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// homeLines is how much of the history the tab shows.
const homeLines = 5

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

	who := viewer{audience: direct, standing: is}
	learn(ctx, t, h, &who)
	var newest []connection.Change
	if is == keeper {
		if newest, err = t.Install.History(ctx, homeLines); err != nil {
			t.Log.WarnContext(ctx, "read history", "cause", err)
		}
	}

	blocks := homeBlocks(t, h, who, newest, time.Now(), done)
	view := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: blocks}}
	_, err = t.Client.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: t.UserID, View: view})
	if err != nil {
		return fmt.Errorf("publish home: %w", err)
	}
	return nil
}

// homeBlocks is the tab: the state first, then what the app does and may do, then who can do what about it. newest are
// lines of the history, for the installer and admins.
func homeBlocks(
	t turn, h install.Health, who viewer, newest []connection.Change, now time.Time, done string,
) []slack.Block {
	if who.headlineOnly(t) {
		return statusReply(t, h, who, false).Blocks
	}

	app := t.Install.App()
	blocks := []slack.Block{mrkdwn.Header(h.Label), mrkdwn.Section(sentence(t, h, who))}
	if who.standing == keeper {
		first := nowButton(t, h)
		if first == nil {
			first = checkButton(app.Name)
		}
		blocks = append(blocks, slack.NewActionBlock("", first))
	}
	if done != "" {
		blocks = append(blocks, mrkdwn.Section(done))
	}

	does := strings.TrimSpace(mrkdwn.Escape(mrkdwn.Clip(app.Summary, mrkdwn.MaxText/2)) + "\n" + waysToAsk(t, h))
	blocks = append(blocks,
		mrkdwn.Context(checkedAt(h, now)+" Reopen this tab to refresh."),
		slack.NewDividerBlock(),
		mrkdwn.Header("What it does here"),
		mrkdwn.Section(does),
		mrkdwn.Header("What it may do, and why"),
	)
	blocks = append(blocks, paragraphs(permissionLines(t, h))...)
	blocks = append(blocks, slack.NewDividerBlock())

	switch {
	case who.standing != keeper:
		blocks = append(blocks, homeForOthers(t, h, who)...)
	case h.Found:
		blocks = append(blocks, homeForKeepers(t, h, who, newest)...)
	}
	return append(blocks, mrkdwn.Context(footer(t, h)))
}

// homeForKeepers is what the installer and admins see besides.
func homeForKeepers(t turn, h install.Health, who viewer, newest []connection.Change) []slack.Block {
	var again *slack.ButtonBlockElement
	if nowButton(t, h) != nil { // else it stands at the top
		again = checkButton(t.Install.App().Name)
	}
	blocks := []slack.Block{
		mrkdwn.Header("For admins"), facts(h, who, false), buttons(t, h, again), mrkdwn.Section(adminFacts(t, h)),
	}
	if len(newest) > 0 {
		lines := strings.Join(historyOf(t, newest), "\n")
		blocks = append(blocks, mrkdwn.Header("What happened last"), mrkdwn.Whole(lines))
	}
	return blocks
}

// homeForOthers is what those see who can do nothing about it: whom to ask, and what to send them.
func homeForOthers(t turn, h install.Health, who viewer) []slack.Block {
	var blocks []slack.Block
	if h.Found && who.standing == member {
		blocks = append(blocks, facts(h, who, false))
	}

	ask := h.Connection.Admin()
	if by := h.Connection.InstalledBy; by != "" && !who.installerLeft {
		ask = mrkdwn.Person(by) + ", who connected it, or " + ask
	}
	return append(blocks,
		mrkdwn.Section("If something is wrong, ask "+ask+". This is a message for them to copy:"),
		mrkdwn.Section(preformatted(forAdmin(t, h))))
}

// checkedAt says how old the state is that is shown.
func checkedAt(h install.Health, now time.Time) string {
	switch {
	case h.Live:
		return "Checked " + mrkdwn.Time(now) + "."
	case h.CheckedAt.IsZero():
		return "Slack hasn't confirmed it yet."
	}
	return "Last checked " + mrkdwn.Time(h.CheckedAt) + "."
}

// waysToAsk says where the app answers, as far as it is allowed to.
func waysToAsk(t turn, h install.Health) string {
	var ways []string
	if allowed(h.Connection, "commands") {
		ways = append(ways, "type `"+t.command.Name+" status` in any channel")
	}
	if works(h) && t.command.hears(h.Connection) {
		ways = append(ways, "write to me in *Messages*")
	}
	if works(h) && t.command.hearsMentions(h.Connection) {
		ways = append(ways, "mention me in a channel I am in")
	}
	if len(ways) == 0 {
		return "It doesn't answer here right now."
	}
	return capital(connection.Or(ways)) + "."
}

// works reports whether the app has access that it can answer with, as far as is known.
func works(h install.Health) bool {
	c := h.Connection
	return h.Found && h.State != connection.NotConnected &&
		(c.State == connection.Active || c.State == connection.Retrying || !h.WorksUntil.IsZero())
}

// notAllowed says of a missing permission whether it was there before, and since when it isn't.
func notAllowed(h install.Health, s connection.Scope) string {
	if !h.Connection.TakenAway(s.Name) {
		return "Not allowed"
	}
	return "No longer allowed since " + mrkdwn.Time(h.Connection.MissingSince(s.Name))
}

// permissionLines lists what was asked for, in words, and whether it was granted; what is missing comes first.
func permissionLines(t turn, h install.Health) []string {
	var lines []string
	for _, s := range h.Missing {
		lines = append(lines, "• "+notAllowed(h, s)+": "+permissionLine(s, false))
	}
	return append(lines, grantedLines(t, h)...)
}

// forAdmin is what somebody who can do nothing about it sends to somebody who can.
func forAdmin(t turn, h install.Health) string {
	app := t.Install.App().Name
	text := fmt.Sprintf("Could you look at %s in %s? Slack shows it as: %s.", app, mrkdwn.Short(h.Connection.Place()),
		h.Label)
	if nowButton(t, h) != nil && len(h.Missing) > 0 {
		text += " " + mrkdwn.Clip(h.Sentence, maxSentence)
	}
	if h.ReasonText != "" {
		text += " " + h.ReasonText
	}
	if how := asking(t, "status"); how != "" {
		text += " To see more, " + how
		if nowButton(t, h) != nil {
			text += ", which has the button that fixes it"
		}
		text += "."
	}
	return text + t.ref()
}
