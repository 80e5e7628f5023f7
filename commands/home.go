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

	"switchboard/bot"
	"switchboard/install"
)

var homeOpened = bot.OnEvent("app_home_opened", func(ctx context.Context, t *bot.Turn, e *slackevents.AppHomeOpenedEvent) error {
	t.UserID, t.ChannelID = e.User, e.Channel
	if e.Tab != "home" {
		// Slack delivers no message that the app may not read, so this is where people hear why there would be no answer.
		return t.Need("im:history")
	}
	return publishHome(ctx, t, t.Check(ctx), "")
}).Uses("users:read")

// publishHome shows h to t.UserID, with a line about what was just done, "" for none. It blocks for two calls to Slack.
func publishHome(ctx context.Context, t *bot.Turn, h install.Health, done string) error {
	is, err := standingOf(ctx, t)
	if err != nil {
		is = unknown
	}
	who := viewer{audience: direct, standing: is}
	view := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: homeBlocks(t, h, who, time.Now(), done)}}
	if _, err := t.Slack.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: t.UserID, View: view}); err != nil {
		return fmt.Errorf("publish home: %w", err)
	}
	return nil
}

func homeBlocks(t *bot.Turn, h install.Health, who viewer, now time.Time, done string) []slack.Block {
	app := t.Install.App()
	blocks := statusReply(t, h, who, false).Blocks
	if who.standing == stranger {
		return blocks
	}
	if done != "" {
		blocks = append(blocks, section(escape(done)))
	}
	blocks = append(blocks,
		slack.NewContextBlock("", markdown("As of "+when(now)+". Open this tab again for the state at that time.")),
		slack.NewDividerBlock(),
		slack.NewHeaderBlock(plain("What it does here")),
		section(escape(app.Summary)+"\nType `/connection status` in any channel, write to me in *Messages*, or mention me in a channel I am in."),
		slack.NewHeaderBlock(plain("What it may do, and why")),
		section(permissions(t, h)),
	)
	if who.standing == keeper {
		return append(blocks, slack.NewDividerBlock(), slack.NewHeaderBlock(plain("For admins")), section(adminFacts(h, app)))
	}
	ask := "Ask a workspace admin if something is wrong."
	if by := h.Connection.InstalledBy; by != "" {
		ask = "If something is wrong, ask " + person(by) + ", who connected it, or a workspace admin."
	}
	return append(blocks, slack.NewDividerBlock(), section(ask))
}

// permissions lists what was asked for, in words, and whether it was granted.
func permissions(t *bot.Turn, h install.Health) string {
	missing := map[string]bool{}
	for _, s := range h.Missing {
		missing[s.Name] = true
	}
	var b strings.Builder
	for _, s := range t.Install.Scopes() {
		state := "allowed"
		if missing[s.Name] {
			state = "not allowed yet"
		}
		fmt.Fprintf(&b, "• *%s* (%s): %s\n", escape(s.Label), state, escape(s.Why))
	}
	return b.String()
}
