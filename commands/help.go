package commands

// The answer to help, to a greeting, and to anything not understood.

import (
	"github.com/slack-go/slack"

	"switchboard/bot"
)

// help lists what can be typed. first is a sentence to begin with, "" for none.
func help(t *bot.Turn, first string) bot.Reply {
	app := t.Install.App().Name
	intro := first + "Here is what you can ask " + app + "."
	text := intro + " Type /connection status to see whether it works here, /connection history to see what happened to it," +
		" /connection disconnect to read how it is removed, or /connection help for this list." +
		" The words status, history and help work in a direct message, too, and status and help after a mention."
	list := "`/connection status`  whether it works here, what it may do, and who put it here\n" +
		"`/connection history`  what happened to it, when, and who did it; for the person who installed it and admins\n" +
		"`/connection disconnect`  how to remove it; nothing happens before you confirm\n" +
		"`/connection help`  this list\n" +
		"The same words work in a direct message with me: `status`, `history`, `help`. After you mention me in a channel: `status`, `help`."
	if grant := t.Health().GrantURL; grant != "" {
		list += "\nTo reconnect, or to allow more: " + link(grant, "the install page") + "."
	}
	return bot.Reply{Text: text, Blocks: []slack.Block{section(intro), section(list)}}
}
