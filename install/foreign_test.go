package install

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Whatever the program handed in panics in costs that message, and not the process.
func TestFunctionsOfTheProgramThatPanic(t *testing.T) {
	in, err := New(Config{PublicURL: "http://127.0.0.1", Store: struct{ Store }{}, Log: slog.New(slog.DiscardHandler),
		Welcome: func(context.Context, *slack.Client, connection.Connection) error { panic("Welcome") },
		Tell:    func(context.Context, *slack.Client, string, Health) (string, string, error) { panic("Tell") },
		TellMissing: func(context.Context, *slack.Client, string, MissingScopes) (string, string, error) {
			panic("TellWanted")
		},
		Resolve: func(context.Context, *slack.Client, connection.Notice, Health) error { panic("Resolve") },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, _, told := in.cfg.Tell(ctx, nil, "U1", Health{})
	_, _, wanted := in.cfg.TellMissing(ctx, nil, "U1", MissingScopes{})
	for _, err := range []error{in.welcome(ctx, connection.Connection{}), told, wanted, in.cfg.Resolve(ctx, nil, connection.Notice{}, Health{})} {
		if !errors.As(err, new(errPanic)) || slackapi.Decisive(err) {
			t.Errorf("%v", err)
		}
	}
}
