package connection_test

import (
	"context"
	"fmt"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands/connection"
)

var hello = bot.OnCommand("/hello", func(ctx context.Context, c *bot.Command) error {
	return c.Respond(ctx, bot.Text("Hey <@"+c.UserID+">!"))
}, bot.Describe("Says hello to you", ""))

// Another bot, with the command under a name of its own. Its Main would run it.
func Example() {
	status := connection.Command{Name: "/hello-status"}
	app := switchboard.App{
		Name:     "Hello",
		Handlers: append(status.Handlers(), hello),
		Commands: status.Commands(),
		Messages: status.Messages,
	}

	for _, h := range app.Handlers {
		if h.Kind == bot.KindCommand {
			fmt.Println(h.Name+":", h.About)
		}
	}
	fmt.Println("The pages say:", app.Commands.Status)
	// Output:
	// /hello-status: Shows whether this app works here, and what to do if not
	// /hello: Says hello to you
	// The pages say: /hello-status status
}
