package main

// The agent that people ask.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/bot"
)

func greet(ctx context.Context, t *bot.Thread) error {
	return t.Suggest(ctx, "Ask me", bot.Prompt{Title: "What's open?", Message: "What is open?"})
}

// answer says what is open, line by line.
func answer(ctx context.Context, t *bot.Thread) error {
	all, err := tickets(ctx, t.Request)
	if err != nil {
		return err
	}
	s, err := t.Stream(ctx)
	if err != nil || s.Closed() {
		return err
	}
	for line := range strings.Lines(strings.TrimPrefix("This is open:\n\n"+lines(all), s.Written())) {
		if err := s.Write(ctx, line); err != nil {
			return err
		}
	}
	if t.Text == "Wait for me" {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.Close(ctx, t.FeedbackButtons())
}

func stopped(ctx context.Context, t *bot.Thread) error {
	_, err := t.Say(ctx, bot.Text("As you wish."))
	return err
}

// look remembers what somebody has open beside the conversation.
func look(ctx context.Context, t *bot.Thread) error {
	if len(t.Context) == 0 {
		return nil
	}
	return t.Store().Put(ctx, "open/"+t.UserID, t.Context[0].Value, time.Hour)
}

func where(ctx context.Context, t *bot.Thread) error {
	var open string
	if _, err := t.Store().Get(ctx, "open/"+t.UserID, &open); err != nil {
		return err
	}
	_, err := t.Say(ctx, bot.Text("You look at <#"+open+">."))
	return err
}

func renamed(ctx context.Context, t *bot.Thread) error {
	_, err := t.Say(ctx, bot.Text("Now it's “"+t.NewTitle+"”."))
	return err
}

func learn(ctx context.Context, f *bot.Feedback) error {
	return f.Respond(ctx, bot.Text(fmt.Sprint("Good: ", f.Good)))
}
