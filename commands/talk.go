package commands

// Conversations: a direct message, and a mention in a channel. Both take the words of /connection.

import (
	"context"

	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
)

// What answering takes in each of them.
var (
	forDirect  = []string{"im:history", "chat:write"}
	forMention = []string{"app_mentions:read", "chat:write"}
)

// directMessage answers everything people write to the app: with its Messages tab on, it must not stay silent.
var directMessage = bot.OnMessage(`(?s).*`, func(ctx context.Context, t *bot.Turn, m *slackevents.MessageEvent) (bot.Reply, error) {
	return answer(ctx, t, m.Text, direct), nil
}, forDirect...)

// mention answers in a thread below the message, so that the channel stays readable.
var mention = bot.OnEvent("app_mention", func(ctx context.Context, t *bot.Turn, e *slackevents.AppMentionEvent) error {
	if t.ThreadTS == "" {
		t.ThreadTS = e.TimeStamp
	}
	reply := answer(ctx, t, e.Text, public)
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
}, forMention...)
