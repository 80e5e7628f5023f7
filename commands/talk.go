package commands

// Conversations: a direct message, and a mention in a channel. Both take the words of /connection.

import (
	"context"
	"regexp"

	"github.com/slack-go/slack/slackevents"

	"switchboard/bot"
)

// directMessage answers everything people write to the app: with its Messages tab on, it must not stay silent.
var directMessage = bot.OnMessage(`(?s).*`, func(ctx context.Context, t *bot.Turn, m *slackevents.MessageEvent) (bot.Reply, error) {
	return answer(ctx, t, words(m.Text), direct), nil
}, "im:history", "chat:write")

// mention answers in a thread below the message, so that the channel stays readable.
var mention = bot.OnEvent("app_mention", func(ctx context.Context, t *bot.Turn, e *slackevents.AppMentionEvent) error {
	if t.ThreadTS == "" {
		t.ThreadTS = e.TimeStamp
	}
	reply := answer(ctx, t, words(e.Text), public)
	if reply.Then != nil {
		// Everybody reads this one, and an edit notifies nobody: say the live answer only.
		live, err := reply.Then(ctx)
		if err != nil {
			return err
		}
		reply = live
	}
	_, err := t.Say(ctx, reply)
	return err
}, "app_mentions:read", "chat:write")

var mentioned = regexp.MustCompile(`<@[UW][A-Z0-9]+(\|[^>]*)?>`)

// words is what a message says besides whom it is for. People also type the command's name where commands don't work.
func words(text string) string {
	text = mentioned.ReplaceAllString(text, " ")
	return commandWord.ReplaceAllString(text, "")
}

var commandWord = regexp.MustCompile(`(?i)^\s*/?connection(\s+|$)`)
