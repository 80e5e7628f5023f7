package watch

// What the program hands in to write to people is its own code: a panic in it costs that message.

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Messages writes to people about their connection, in the app's own words. Whom to write to, and when, is decided
// here. Its methods may be called from any number of goroutines; client acts for the workspace they speak of.
type Messages interface {
	// Welcome writes to the person who installed, once per install. grantURL is the page that allows what is missing, ""
	// when nothing is. Its error is shown on the success page as "you find the app under Apps"; it fails nothing.
	Welcome(ctx context.Context, client *slack.Client, c connection.Connection, grantURL string) error
	// Tell writes to one person that the connection needs them, and says where the message is.
	Tell(ctx context.Context, client *slack.Client, userID string, h Health) (channel, ts string, err error)
	// TellMissing writes to one person that people ask for what is not allowed, or that the app needs it now (w.Updated),
	// and says where the message is.
	TellMissing(ctx context.Context, client *slack.Client, userID string, w MissingScopes) (channel, ts string, err error)
	// Resolve edits the message that Tell or TellMissing wrote, once the trouble is over.
	Resolve(ctx context.Context, client *slack.Client, n connection.Notice, h Health) error
}

// errPanic is a panic in one of the program's Messages.
type errPanic struct{ value any }

func (e errPanic) Error() string { return fmt.Sprintf("it panicked: %v", e.value) }

// Guarded returns m with a recover around each of its methods, which logs and gives back an error. nil stays nil.
func Guarded(m Messages, log *slog.Logger) Messages {
	if m == nil {
		return nil
	}
	return guarded{m, log}
}

// guarded is the program's Messages with a recover around each.
type guarded struct {
	messages Messages
	log      *slog.Logger
}

func (g guarded) catch(ctx context.Context, what string, err *error) {
	if v := recover(); v != nil {
		*err = errPanic{v}
		g.log.ErrorContext(ctx, "a function of the program panicked",
			"function", what, "cause", *err, "stack", string(debug.Stack()))
	}
}

func (g guarded) Welcome(
	ctx context.Context, client *slack.Client, c connection.Connection, grantURL string,
) (err error) {
	defer g.catch(ctx, "Welcome", &err)
	return g.messages.Welcome(ctx, client, c, grantURL)
}

func (g guarded) Tell(ctx context.Context, client *slack.Client, userID string, h Health) (
	channel, ts string, err error,
) {
	defer g.catch(ctx, "Tell", &err)
	return g.messages.Tell(ctx, client, userID, h)
}

func (g guarded) TellMissing(ctx context.Context, client *slack.Client, userID string, w MissingScopes) (
	channel, ts string, err error,
) {
	defer g.catch(ctx, "TellMissing", &err)
	return g.messages.TellMissing(ctx, client, userID, w)
}

func (g guarded) Resolve(ctx context.Context, client *slack.Client, n connection.Notice, h Health) (err error) {
	defer g.catch(ctx, "Resolve", &err)
	return g.messages.Resolve(ctx, client, n, h)
}
