package main

// What a ticket is, and what people do with one.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
)

// Tickets are kept for each workspace, under "ticket/" and the name of the message or the form that they came from.
type ticket struct{ ID, Title, Owner, Prio, Team string }

func (t ticket) key() string { return "ticket/" + t.ID }

func tickets(ctx context.Context, r *bot.Request) (all []ticket, err error) {
	for entry, err := range r.Store().List(ctx, "ticket/") {
		var t ticket
		if err == nil {
			err = entry.Decode(&t)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// change changes the ticket of a pressed button and shows it in the place of the message.
func change(ctx context.Context, a *bot.Action, id string, fn func(t *ticket)) error {
	var now ticket
	err := bot.Update(ctx, a.Store(), ticket{ID: id}.key(), func(t *ticket) error {
		if t.ID == "" {
			return &bot.UserError{Text: "That ticket is done."}
		}
		fn(t)
		now = *t
		return nil
	})
	if err != nil {
		return err
	}
	return a.Update(ctx, now.card())
}

// card shows a ticket, with what can be done about it.
func (t ticket) card() bot.Reply {
	owner := "Nobody has it yet."
	if t.Owner != "" {
		owner = "<@" + t.Owner + "> has it."
	}
	text := strings.TrimSpace(fmt.Sprintf("%s *%s* %s %s", t.Prio, t.Title, owner, t.Team))

	menu := slack.NewOptionsSelectBlockElement(slack.OptTypeExternal, plain("Hand it over"), "choose")
	return bot.Reply{Text: text, InChannel: true, Blocks: []slack.Block{
		section(text),
		slack.NewActionBlock("", button("ticket.take", t.ID, "I'll do it"), button("ticket.remind", t.ID, "Later"),
			button("prio.high", t.ID, "Urgent"), button("rate.5", t.ID, "Well done"), button("ticket.drop", t.ID, "Drop")),
		slack.NewActionBlock("team", menu),
	}}
}

func lines(all []ticket) string {
	text := "Nothing is open."
	for i, t := range all {
		text = strings.TrimPrefix(text, "Nothing is open.") + fmt.Sprintf("%d. %s\n", i+1, t.Title)
	}
	return text
}

func take(ctx context.Context, a *bot.Action) error {
	return change(ctx, a, a.Value, func(t *ticket) { t.Owner = a.UserID })
}

func prioritise(ctx context.Context, a *bot.Action) error {
	return change(ctx, a, a.Value, func(t *ticket) { t.Prio = strings.TrimPrefix(a.Action.ActionID, "prio.") })
}

func handOver(ctx context.Context, a *bot.Action) error {
	team, id, _ := strings.Cut(a.Value, "/")
	return change(ctx, a, id, func(t *ticket) { t.Team = team })
}

func drop(ctx context.Context, a *bot.Action) error {
	if err := a.Store().Delete(ctx, ticket{ID: a.Value}.key()); err != nil {
		return err
	}
	return a.Respond(ctx, bot.Text("Dropped."))
}

func rate(ctx context.Context, a *bot.Action) error {
	return a.Respond(ctx, bot.Text("Stars: "+a.Matches[1]))
}

func teams(_ context.Context, o *bot.Options) error {
	id := o.Payload.Message.ThreadTimestamp
	var found []*slack.OptionBlockObject
	for _, team := range []string{"printers", "networks", "phones"} {
		if strings.HasPrefix(team, o.Value) {
			found = append(found, bot.NewOption(team, team+"/"+id))
		}
	}
	return o.Reply(found...)
}

func remind(ctx context.Context, a *bot.AsyncAction) error {
	if err := a.Schedule(ctx, "remind", a.Value, a.Now().Add(time.Hour), a.UserID); err != nil {
		return err
	}
	return a.Respond(ctx, bot.Text("In an hour."))
}

func reminder(ctx context.Context, t *bot.Timer) error {
	var who string
	if err := t.Decode(&who); err != nil {
		return err
	}
	_, err := t.Say(ctx, who, bot.Text("You wanted to look at something."))
	return err
}

// sweep opens the desk again.
func sweep(ctx context.Context, t *bot.Timer) error { return t.Store().Delete(ctx, "closed") }

func digest(ctx context.Context, t *bot.Timer) error {
	all, err := tickets(ctx, t.Request)
	if err != nil || len(all) == 0 {
		return err
	}
	_, err = t.Say(ctx, t.Connection.InstalledBy, bot.Text("Good morning.\n"+lines(all)))
	return err
}
