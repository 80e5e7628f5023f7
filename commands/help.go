package commands

// The answer to help, to a greeting, and to anything not understood.

import (
	"context"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"switchboard/bot"
)

// help lists the words, or says more about the one that is named.
func help(_ context.Context, t *bot.Turn, a ask) bot.Reply {
	if len(a.rest) == 0 {
		return listed(t, "")
	}
	w, _, ok := find(a.rest)
	if !ok {
		return notUnderstood(a.rest, a.to)
	}
	text := fmt.Sprintf("/connection %s: %s.", w.name, w.does)
	return bot.Reply{Text: text + " " + w.more, Blocks: []slack.Block{section(fmt.Sprintf("`/connection %s`  %s.\n%s", w.name, w.does, w.more))}}
}

// listed lists what can be typed. first is what to begin with, "" or whole sentences and a space.
func listed(t *bot.Turn, first string) bot.Reply {
	intro := first + "Here is what you can ask " + escape(t.Install.App().Name) + "."
	text, list := intro+" Type /connection and one of these words, for example /connection help.", ""
	for _, w := range vocabulary() {
		text += fmt.Sprintf(" %s: %s.", w.name, w.does)
		list += fmt.Sprintf("`/connection %s`  %s\n", w.name, w.does)
	}
	blocks := []slack.Block{section(intro), section(strings.TrimSpace(list))}
	if elsewhere := elsewhere(t); elsewhere != "" {
		text, blocks = text+" "+elsewhere, append(blocks, section(elsewhere))
	}
	return bot.Reply{Text: text, Blocks: blocks}
}

// elsewhere says where else the words work. Where what that takes is known not to be allowed, it isn't promised.
func elsewhere(t *bot.Turn) string {
	var places []string
	if t.Connection.ID == "" || len(t.Missing("im:history")) == 0 {
		places = append(places, "The same words work in a direct message with me.")
	}
	if t.Connection.ID == "" || len(t.Missing("app_mentions:read")) == 0 {
		places = append(places, "After you mention me in a channel, `status`, `check` and `help` work, too.")
	}
	return strings.Join(places, " ")
}
