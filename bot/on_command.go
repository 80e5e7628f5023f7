package bot

import (
	"context"
	"slices"

	"github.com/slack-go/slack"
)

// Command is a slash command that somebody typed. Request.Text is what stands behind its name.
type Command struct {
	*Request
	responder
	modals
	// Payload is what Slack sent.
	Payload *slack.SlashCommand
}

// OnCommand returns a handler of a slash command, named with its slash: "/weather". Describe is needed with it. The
// permission commands follows by itself.
//
// run is called right away, and what it gives Respond is the answer; without one nothing is said. Slack waits for 3 s.
// A handler that has not returned after 2.5 s is answered for, with a sentence that says so, and runs on: its context
// lives as long as Slack takes an answer (29.5 min), and its answer then takes the place of that sentence. Such work is
// kept nowhere: when the program stops, its context ends after 10 s, and the person is told that it was interrupted; if
// the process dies, they hear nothing. Work that must not be lost is for OnCommandAsync.
//
// An error is told to the person and not tried again: a UserError in its own words, any other as "something went wrong"
// with a reference that is in the log, too.
// https://docs.slack.dev/interactivity/implementing-slash-commands
func OnCommand(name string, run func(ctx context.Context, c *Command) error, options ...Option) Handler {
	return newHandler(KindCommand, name, withCommands(options), func(ctx context.Context, r *Request, payload any) error {
		return run(ctx, &Command{Request: r, responder: responder{r}, modals: modals{r},
			Payload: payload.(*slack.SlashCommand)})
	})
}

// AsyncCommand is a Command that is worked from the inbox.
type AsyncCommand struct {
	*Request
	asyncResponder
	sayer
	// Payload is what Slack sent.
	Payload *slack.SlashCommand
}

// OnCommandAsync returns a handler of a slash command that is acknowledged right away and runs from the inbox, with the
// promises of OnEvent: it survives the process and can run again, 4 times at most. The person sees nothing until it
// answers, by Respond. Slack takes answers for 30 minutes, 5 of them. With OpensModal it opens a modal first.
func OnCommandAsync(name string, run func(ctx context.Context, c *AsyncCommand) error, options ...Option) Handler {
	h := newHandler(KindCommand, name, withCommands(options), func(ctx context.Context, r *Request, payload any) error {
		return run(ctx, &AsyncCommand{
			Request: r, asyncResponder: asyncResponder{r}, sayer: sayer{r}, Payload: payload.(*slack.SlashCommand),
		})
	})
	h.async = true
	return h
}

func withCommands(options []Option) []Option {
	return slices.Concat([]Option{Scopes("commands")}, options)
}
