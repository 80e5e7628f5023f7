package commands

// What the demo has for a newcomer besides the app: what to try, and a command whose button everybody sees.

import (
	"context"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// Guide is what the demo's first page proposes.
func Guide() []bot.Hint {
	return []bot.Hint{
		{
			Title: "Install it for one workspace.",
			Text: "Sign in as Dana Reyes, choose Add Switchboard in the sidebar and follow the buttons. " +
				"Then type /connection status in a channel.",
		},
		{
			Title: "Install it for an organisation.",
			Text: "The same as Nora Feld: choose the organisation on Slack’s page, then add the app to Northwind Sales. " +
				"Ada Brandt of Northwind Labs still can’t use it.",
		},
		{
			Title: "Leave a permission out.",
			Text: "Untick an optional one on Slack’s page, or take one away under Manage Switchboard. " +
				"/connection status says what it can’t do without it, and how to allow it again.",
		},
		{
			Title: "Press a button from another company.",
			Text: "As Priya Nair, type /wave in #northwind-birch. Then press its button as Sam Lindqvist, " +
				"who is in that channel from Birch & Co.",
		},
		{Title: "Remove it and add it again.", Text: "Both are under Manage Switchboard, for admins. Its history is kept."},
	}
}

// DemoHandlers are those that the demo has and the app has not.
func DemoHandlers() []bot.Handler { return []bot.Handler{wave, waveBack} }

// The app itself says nothing with a button in it to a whole channel. The demo has a command that does, because one
// that people of another company can press shows best whom the app listens to.
const actionWave = "demo.wave"

var wave = bot.OnCommand("/wave", func(ctx context.Context, c *bot.Command) error {
	text := "<@" + c.UserID + "> waves at everybody here."
	return c.Respond(ctx, bot.Reply{InChannel: true, Text: text, Blocks: []slack.Block{
		mrkdwn.Section(text), slack.NewActionBlock("", mrkdwn.Button(actionWave, "Wave back", "")),
	}})
}, bot.Describe("Waves at everybody in the channel; the demo has it, the app has not.", ""))

var waveBack = bot.OnAction(actionWave, func(ctx context.Context, a *bot.Action) error {
	return a.Respond(ctx, bot.Reply{InChannel: true, Text: "<@" + a.UserID + "> waves back."})
})
