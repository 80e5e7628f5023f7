// Command agent answers questions in a thread, bit by bit, and can be stopped.
package main

import (
	"context"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
)

// A model writes an answer, of which written is there already, bit by bit.
type model func(ctx context.Context, question, written string, write func(more string) error) error

// parrot stands for a language model. It takes its time.
func parrot(ctx context.Context, question, written string, write func(more string) error) error {
	answer := "You said: **" + question + "**. I have nothing to add to that."
	for _, word := range strings.SplitAfter(strings.TrimPrefix(answer, written), " ") {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := write(word); err != nil {
			return err
		}
	}
	return nil
}

func handlers(answer model) []bot.Handler {
	return []bot.Handler{
		bot.OnAgentOpened(greet),
		bot.OnAgentMessage("", answer.run, bot.WhileBusy(bot.Cancel)),
		bot.OnAgentStopped(stopped),
		bot.OnFeedback(thank),
	}
}

// greet offers what somebody could ask.
func greet(ctx context.Context, t *bot.Thread) error {
	return t.Suggest(ctx, "Ask me something",
		bot.Prompt{Title: "The weather", Message: "Will it rain tomorrow?"},
		bot.Prompt{Title: "The news", Message: "What happened this week?"})
}

// run answers a message. Where a process ended halfway it goes on from what is in the thread.
func (answer model) run(ctx context.Context, t *bot.Thread) error {
	if t.ThreadTS == t.TS { // it begins a thread
		if err := t.Title(ctx, t.Text); err != nil {
			return err
		}
	}

	s, err := t.Stream(ctx)
	if err != nil || s.Closed() {
		return err
	}
	err = answer(ctx, t.Text, s.Written(), func(more string) error { return s.Write(ctx, more) })
	if err != nil {
		return err
	}
	return s.Close(ctx, t.FeedbackButtons())
}

// stopped says that the person was heard. The answer has ended by itself.
func stopped(ctx context.Context, t *bot.Thread) error {
	_, err := t.Say(ctx, bot.Text("Stopped. Ask me something else."))
	return err
}

func thank(ctx context.Context, f *bot.Feedback) error {
	if f.Good {
		return f.Respond(ctx, bot.Text("I'm glad."))
	}
	return f.Respond(ctx, bot.Text("Thank you. I'll try to do better."))
}

func main() {
	switchboard.App{Name: "Parrot", Summary: "Answers questions.", Handlers: handlers(parrot)}.Main()
}
