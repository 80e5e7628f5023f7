package main

// What is said in channels, and what is typed there.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
)

func report(ctx context.Context, m *bot.Message) error {
	t := ticket{ID: m.TS, Title: m.Matches[1]}
	if m.Deleted {
		return m.Store().Delete(ctx, t.key())
	}
	if err := m.Store().Put(ctx, t.key(), t, 0); err != nil || m.Edited {
		return err
	}
	if m.BotID == "" {
		if err := m.React(ctx, "ticket"); err != nil {
			return err
		}
	}
	_, err := m.InThread().Say(ctx, t.card())
	return err
}

func count(ctx context.Context, m *bot.Message) error {
	all, err := tickets(ctx, m.Request)
	if err != nil {
		return err
	}
	_, err = m.Say(ctx, bot.Text(fmt.Sprintf("Tickets: %d.", len(all))))
	return err
}

func thank(ctx context.Context, e *bot.Event[slackevents.MessageEvent]) error {
	_, err := e.Say(ctx, bot.Text("Thanks for the file."))
	return err
}

func finish(ctx context.Context, e *bot.Event[slackevents.ReactionAddedEvent]) error {
	if e.Payload.Reaction != "white_check_mark" {
		return nil
	}
	var t ticket
	found, err := e.Store().Get(ctx, ticket{ID: e.Payload.Item.Timestamp}.key(), &t)
	if err != nil || !found {
		return err
	}
	if _, err := e.Cancel(ctx, "remind", t.ID); err != nil {
		return err
	}
	if _, err := e.Say(ctx, bot.Text("Done: "+t.Title)); err != nil {
		return err
	}
	return e.Store().Delete(ctx, t.key())
}

func welcome(ctx context.Context, e *bot.Event[struct{ User string }]) error {
	if e.Matches[1] == "left" || e.Payload.User == e.Connection.BotUserID {
		return nil
	}
	_, err := e.Say(ctx, bot.Text("Welcome, <@"+e.Payload.User+">. Write `help: …` if you need any."))
	return err
}

func home(ctx context.Context, h *bot.Home) error {
	all, err := tickets(ctx, h.Request)
	if err != nil {
		return err
	}
	return h.Publish(ctx, slack.HomeTabViewRequest{Blocks: slack.Blocks{BlockSet: []slack.Block{section(lines(all))}}})
}

func preview(ctx context.Context, l *bot.Link) error {
	shown := map[string][]slack.Block{}
	for _, url := range l.URLs {
		var t ticket
		if found, err := l.Store().Get(ctx, "ticket/"+url[strings.LastIndex(url, "/")+1:], &t); err != nil {
			return err
		} else if found {
			shown[url] = []slack.Block{section(t.Title)}
		}
	}
	return l.Unfurl(ctx, shown)
}

func list(ctx context.Context, c *bot.Command) error {
	all, err := tickets(ctx, c.Request)
	if err != nil {
		return err
	}
	return c.Respond(ctx, bot.Text(lines(all)))
}

func shut(ctx context.Context, c *bot.Command) error {
	if err := c.Store().Put(ctx, "closed", true, 12*time.Hour); err != nil {
		return err
	}
	return c.Respond(ctx, bot.Text("The desk is closed."))
}

func export(ctx context.Context, c *bot.AsyncCommand) error {
	all, err := tickets(ctx, c.Request)
	if err != nil {
		return err
	}
	return c.Respond(ctx, bot.Markdown("# Tickets\n\n"+lines(all)))
}
