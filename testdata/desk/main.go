// Command desk is a help desk: tickets come from messages, forms, workflows and other bots, and an agent knows them.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
)

const site = "desk.example.com"

// errAway says that the desk is closed. Handlers return it, and explain says it.
var errAway = errors.New("the desk is closed")

var app = switchboard.App{
	Name: "Desk", Summary: "A help desk.", Handlers: handlers, Use: []bot.Middleware{closed}, OnError: explain,
}

var handlers = []bot.Handler{
	bot.OnMessage(`(?i)^help: (.+)`, report, bot.Scopes("channels:history", "reactions:write"), bot.Bots(), bot.Edits(),
		bot.Deletions()),
	bot.OnMention("(?i)how many", count),
	bot.OnEvent("message.file_share", thank, bot.Scopes("channels:history", "chat:write")),
	bot.OnEvent(bot.NameOf[slackevents.ReactionAddedEvent](), finish, bot.Scopes("reactions:read", "chat:write")),
	bot.OnEvent("^member_(joined|left)_channel$", welcome, bot.Scopes("channels:read", "chat:write")),
	bot.OnHomeOpened(home),
	bot.OnLink(site, preview),

	bot.OnCommand("/desk", nil, bot.Describe("The help desk", "")),
	bot.OnCommand("/desk list", list, bot.Describe("lists the tickets", "")),
	bot.OnCommand("/desk close", shut, bot.Describe("closes the desk", ""), bot.Scopes("users:read"),
		bot.Use(bot.AdminsOnly())),
	bot.OnCommandAsync("/desk export", export, bot.Describe("writes all tickets down", "")),

	bot.OnAction("ticket.take", take),
	bot.OnAction("ticket.drop", drop),
	bot.OnAction("prio.*", prioritise),
	bot.OnAction(`^rate\.(\d)$`, rate),
	bot.OnAction("choose", handOver, bot.InBlock("team")),
	bot.OnActionAsync("ticket.remind", remind),
	bot.OnOptions("choose", teams),

	bot.OnShortcut("ask", ask, bot.Titled("Ask the desk", "Opens a form")),
	bot.OnMessageShortcut("file", file, bot.Titled("Make a ticket", "Files a ticket about this message")),
	bot.OnViewSubmission("ask", describe),
	bot.OnViewSubmission("ask.more", check),
	bot.OnViewSubmission("ask.sure", confirm),
	bot.OnViewSubmissionAsync("ask.later", queue),
	bot.OnViewClosed("ask", giveUp),

	bot.OnFunction("open_ticket", step, bot.Titled("Open a ticket", "Files a ticket once somebody agrees"),
		bot.Outputs(bot.Parameter{Name: "url", Type: "string", Title: "The ticket"}), bot.Scopes("chat:write")),
	bot.OnAction("step.agree", agree),

	bot.OnTimer("remind", reminder, bot.Scopes("chat:write")),
	bot.Every(24*time.Hour, sweep),
	bot.Cron("0 9 * * *", digest, bot.Scopes("chat:write")),

	bot.OnAgentOpened(greet),
	bot.OnAgentMessage("^Where am I", where),
	bot.OnAgentMessage("", answer, bot.WhileBusy(bot.Cancel)),
	bot.OnAgentStopped(stopped),
	bot.OnAgentContext(look),
	bot.OnAgentTitle(renamed),
	bot.OnFeedback(learn),
}

// closed is around every handler.
func closed(next bot.Next) bot.Next {
	return func(ctx context.Context, r *bot.Request) error {
		var away bool
		if _, err := r.Store().Get(ctx, "closed", &away); err != nil {
			return err
		}
		if away && r.Kind() == bot.KindShortcut {
			return errAway
		}
		return next(ctx, r)
	}
}

// explain is App.OnError.
func explain(_ context.Context, _ *bot.Request, err error) error {
	if errors.Is(err, errAway) {
		return &bot.UserError{Text: "The desk is closed. Come back tomorrow."}
	}
	return err
}

func main() { app.Main() }
