// Command hello answers whoever mentions it.
package main

import (
	"context"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
)

var handlers = []bot.Handler{
	bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		_, err := m.Say(ctx, bot.Text("Hey <@"+m.UserID+">!"))
		return err
	}),
}

func main() { switchboard.App{Name: "Hello", Handlers: handlers}.Main() }
