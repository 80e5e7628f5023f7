package commands

// The App Home: the same state as /connection status, kept for the person who opens it. It is rendered anew at each
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
)

// homeLines is how much of the history the tab shows.
const homeLines = 5

var homeOpened = bot.OnEvent("app_home_opened", func(ctx context.Context, t *bot.Turn, e *slackevents.AppHomeOpenedEvent) error {
	t.UserID, t.ChannelID = e.User, e.Channel
	if e.Tab != "home" {
		// Slack delivers no message that the app may not read, so this is where people hear why there would be no answer.
		return t.Need("im:history")
	}
	h, _ := look(ctx, t, false)
	return publishHome(ctx, t, h, "")
}).Uses("users:read")

// publishHome shows h to t.UserID, with a line about what was just done, "" for none. It blocks for three calls to Slack.
func publishHome(ctx context.Context, t *bot.Turn, h install.Health, done string) error {
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
	view := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: homeBlocks(t, h, who, newest, time.Now(), done)}}
	if _, err := t.Slack.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: t.UserID, View: view}); err != nil {
		return fmt.Errorf("publish home: %w", err)
	}
	return nil
}

// homeBlocks is the tab: the state first, then what the app does and may do, then who can do what about it. newest are lines of
// the history, for the installer and admins.
func homeBlocks(t *bot.Turn, h install.Health, who viewer, newest []connection.Change, now time.Time, done string) []slack.Block {
	if who.headlineOnly(t) {
		return statusReply(t, h, who, false).Blocks
	}
	app := t.Install.App()
	blocks := []slack.Block{slack.NewHeaderBlock(plain(h.Label)), section(sentence(t, h, who))}
	if who.standing == keeper {
		first := nowButton(t, h)
		if first == nil {
			first = checkButton(app.Name)
		}
		blocks = append(blocks, slack.NewActionBlock("", first))
	}
	if done != "" {
		blocks = append(blocks, section(done))
	}
	blocks = append(blocks,
		slack.NewContextBlock("", markdown(checkedAt(h, now)+" Reopen this tab to refresh.")),
		slack.NewDividerBlock(),
		slack.NewHeaderBlock(plain("What it does here")),
		section(escape(clip(app.Summary, maxText/2))+"\n"+waysToAsk(h)),
		slack.NewHeaderBlock(plain("What it may do, and why")),
	)
	blocks = append(blocks, paragraphs(permissionLines(t, h))...)
	blocks = append(blocks, slack.NewDividerBlock())
	switch who.standing {
	case keeper:
		if !h.Found {
			break
		}
		blocks = append(blocks, slack.NewHeaderBlock(plain("For admins")), facts(h, who, false))
		var again *slack.ButtonBlockElement
		if nowButton(t, h) != nil {
			again = checkButton(app.Name)
		}
		blocks = append(blocks, buttons(t, h, again), section(adminFacts(t, h)))
		if len(newest) > 0 {
			blocks = append(blocks, slack.NewHeaderBlock(plain("What happened last")), slack.NewSectionBlock(markdown(strings.Join(historyOf(newest), "\n")), nil, nil, slack.SectionBlockOptionExpand(true)))
		}
	default:
		if h.Found && who.standing == member {
			blocks = append(blocks, facts(h, who, false))
		}
		admin := h.Connection.Admin()
		ask := "If something is wrong, ask " + admin + "."
		if by := h.Connection.InstalledBy; by != "" && !who.installerLeft {
			ask = "If something is wrong, ask " + person(by) + ", who connected it, or " + admin + "."
		}
		blocks = append(blocks, section(ask+" This is a message for them to copy:"), section(preformatted(forAdmin(t, h))))
	}
	return append(blocks, slack.NewContextBlock("", markdown(footer(t, h))))
}

// checkedAt says how old the state is that is shown.
func checkedAt(h install.Health, now time.Time) string {
	switch {
	case h.Live:
		return "Checked " + when(now) + "."
	case h.CheckedAt.IsZero():
		return "Slack hasn't confirmed it yet."
	}
	return "Last checked " + when(h.CheckedAt) + "."
}

// waysToAsk says where the app answers, as far as it is allowed to.
func waysToAsk(h install.Health) string {
	var ways []string
	if allowed(h.Connection, "commands") {
		ways = append(ways, "type `/connection status` in any channel")
	}
	if works(h) && allowed(h.Connection, forDirect...) {
		ways = append(ways, "write to me in *Messages*")
	}
	if works(h) && allowed(h.Connection, forMention...) {
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
	return "No longer allowed since " + when(h.Connection.MissingSince(s.Name))
}

// permissionLines lists what was asked for, in words, and whether it was granted; what is missing comes first.
func permissionLines(t *bot.Turn, h install.Health) []string {
	var lines []string
	for _, s := range h.Missing {
		lines = append(lines, "• "+notAllowed(h, s)+": "+permissionLine(s, false))
	}
	return append(lines, grantedLines(t, h)...)
}

// forAdmin is what somebody who can do nothing about it sends to somebody who can.
func forAdmin(t *bot.Turn, h install.Health) string {
	app := t.Install.App().Name
	text := fmt.Sprintf("Could you look at %s in %s? Slack shows it as: %s.", app, place(h.Connection), h.Label)
	if nowButton(t, h) != nil && len(h.Missing) > 0 {
		text += " " + clip(h.Sentence, maxSentence)
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
	return text + " Reference: " + t.Ref + "."
}
