package watch

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

type panicking struct{}

func (panicking) Welcome(context.Context, *slack.Client, connection.Connection, string) error {
	panic("Welcome")
}
func (panicking) Tell(context.Context, *slack.Client, string, Health) (string, string, error) {
	panic("Tell")
}
func (panicking) TellMissing(context.Context, *slack.Client, string, MissingScopes) (string, string, error) {
	panic("TellMissing")
}
func (panicking) Resolve(context.Context, *slack.Client, connection.Notice, Health) error {
	panic("Resolve")
}

// Whatever the program handed in panics in costs that message, and not the process.
func TestFunctionsOfTheProgramThatPanic(t *testing.T) {
	ctx, messages := t.Context(), Guarded(panicking{}, slog.New(slog.DiscardHandler))
	welcome := messages.Welcome(ctx, nil, connection.Connection{}, "")
	_, _, told := messages.Tell(ctx, nil, "U1", Health{})
	_, _, missing := messages.TellMissing(ctx, nil, "U1", MissingScopes{})
	for _, err := range []error{welcome, told, missing, messages.Resolve(ctx, nil, connection.Notice{}, Health{})} {
		if !errors.As(err, new(errPanic)) || slackapi.Decisive(err) {
			t.Errorf("%v", err)
		}
	}
}
