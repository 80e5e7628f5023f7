package connection

// The answer to help, to a greeting, and to anything not understood.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// help lists the words, or says more about the one that is named.
func help(_ context.Context, t turn, a ask) bot.Reply {
	if len(a.rest) == 0 {
		return listed(t)
	}
	w, _, ok := lookupWord(a.rest)
	if !ok {
		return notUnderstood(a.rest, a.to)
	}
	typed := before(t) + w.name
	return bot.Reply{
		Text:   fmt.Sprintf("%s: %s. %s", typed, w.does, w.more),
		Blocks: []slack.Block{mrkdwn.Section(fmt.Sprintf("`%s`  %s.\n%s", typed, w.does, w.more))},
	}
}

// listed lists what can be typed.
func listed(t turn) bot.Reply {
	intro := "Here is what you can ask " + t.app() + "."
	text, list, typed := intro, "", before(t)
	if typed != "" {
		text += fmt.Sprintf(" Type %[1]s and one of these words, for example %[1]s help.", t.command.Name)
	}
	for _, w := range vocabulary() {
		text += fmt.Sprintf(" %s: %s.", w.name, w.does)
		list += fmt.Sprintf("`%s%s`  %s\n", typed, w.name, w.does)
	}

	blocks := []slack.Block{mrkdwn.Section(intro), mrkdwn.Section(strings.TrimSpace(list))}
	if elsewhere := elsewhere(t); elsewhere != "" {
		text, blocks = text+" "+elsewhere, append(blocks, mrkdwn.Section(elsewhere))
	}
	return bot.Reply{Text: text, Blocks: blocks}
}

// before is what is typed before a word: the command, unless it is known not to be allowed.
func before(t turn) string {
	if t.Connection.ID == "" || allowed(t.Connection, "commands") {
		return t.command.Name + " "
	}
	return ""
}

// asking says how a word is asked for, in the middle of a sentence: "type /hello-status status"; "" where nothing would
// answer.
func asking(t turn, words string) string {
	switch {
	case before(t) != "":
		return "type " + before(t) + words
	case t.Slack != nil && t.command.hears(t.Connection):
		return "write “" + words + "” to me in a direct message"
	}
	return ""
}

// more is asking as a sentence to go behind another: " Type /hello-status status to see more."
func more(t turn, words, what string) string {
	how := asking(t, words)
	if how == "" {
		return ""
	}
	return " " + capital(how) + " " + what + "."
}

// elsewhere says where else the words work, which takes access and permissions.
func elsewhere(t turn) string {
	var places []string
	if t.Slack != nil && t.command.hears(t.Connection) {
		places = append(places, "The same words work in a direct message with me.")
	}
	if t.Slack != nil && t.command.hearsMentions(t.Connection) {
		places = append(places, "After you mention me in a channel, `status`, `check` and `help` work, too.")
	}
	return strings.Join(places, " ")
}

// allowed reports whether c has all of these permissions.
func allowed(c connection.Connection, scopes ...string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// capital is s as the beginning of a sentence.
func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}
