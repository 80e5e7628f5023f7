package commands

// The answer to help, to a greeting, and to anything not understood.

import (
	"github.com/slack-go/slack"

	"switchboard/bot"
)

// help lists what can be typed. unknown is a word that was not understood, "" for none.
func help(t *bot.Turn, unknown string, to audience) bot.Reply {
	app := t.Install.App().Name
	intro := "Here is what you can ask " + app + "."
	if unknown != "" {
		intro = "I don't know “" + escape(clip(unknown, 40)) + "”. " + intro
	}
	text := intro + " Type /connection status to see whether it works here, or /connection help for this list." +
		" The same words work in a direct message and after a mention."
	list := "`/connection status`  whether it works here, what it may do, and who put it here\n" +
		"`/connection help`  this list\n" +
		"The same words work in a direct message with me, and after you mention me in a channel: `status`, `help`."
	blocks := []slack.Block{section(intro), section(list)}
	if to == private {
		blocks = append(blocks, slack.NewContextBlock("", markdown("Only you can see this")))
	}
	return bot.Reply{Text: text, Blocks: blocks}
}
