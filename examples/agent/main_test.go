package main

import (
	"context"
	"testing"

	"github.com/switchboard-go/switchboard/bot/bottest"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	s := bottest.New(t, handlers(parrot)...)
	leon := s.As(bottest.Member)
	leon.AgentMessage("hello")
	leon.Reads("").Want("You said: …hello…nothing to add")
	leon.Feedback(true)
	leon.Reads("").Want("I'm glad.")
}

// A press of stop ends the answer that is being written.
func TestStop(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	endless := func(ctx context.Context, _, _ string, write func(string) error) error {
		if err := write("Well …"); err != nil {
			return err
		}
		close(begun)
		<-ctx.Done()
		return context.Cause(ctx)
	}

	s := bottest.New(t, handlers(endless)...)
	leon := s.As(bottest.Member)
	thread := leon.AgentMessage("hello")
	<-begun
	leon.Stop(thread)
	leon.Reads("").Want("Stopped.")
}
