// Command hello answers whoever mentions it.
package main

import (
	"context"

	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
)

func main() {
	switchboard.App{Name: "Hello", Handlers: []bot.Handler{
		bot.OnEvent("app_mention", func(ctx context.Context, t *bot.Request, e *slackevents.AppMentionEvent) error {
			_, err := t.Say(ctx, bot.Reply{Text: "Hey <@" + e.User + ">!"})
			return err
		}, "app_mentions:read", "chat:write"),
	}}.Main()
}
