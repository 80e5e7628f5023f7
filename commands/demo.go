package commands

// What the demo has for a newcomer besides the app: what to try, and a command whose button everybody sees.

import (
	"context"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// Guide is what the demo's first page proposes: to install it, what each feature has to try, and to remove it.
func Guide() []bot.Hint {
	hints := []bot.Hint{{
		Title: "Install it for one workspace.",
		Text: "Sign in as Dana Reyes, choose Add Switchboard in the sidebar and follow the buttons. " +
			"You can untick an optional permission on Slack’s page.",
	}}
	for _, f := range features() {
		hints = append(hints, f.try...)
	}
	return append(hints, []bot.Hint{
		{
			Title: "Install it for an organisation.",
			Text: "The same as Nora Feld: choose the organisation on Slack’s page, then add the app to Northwind Sales. " +
				"Ada Brandt of Northwind Labs still can’t use it.",
		},
		{
			Title: "Press a button from another company.",
			Text: "As Priya Nair, type /wave in #northwind-birch. Then press its button as Sam Lindqvist, " +
				"who is in that channel from Birch & Co.",
		},
		{Title: "Remove it and add it again.", Text: "Both are under Manage Switchboard, for admins. Its history is kept."},
	}...)
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
