package install

// What the program hands in to write to people is its own code: a panic in it costs that message.

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// errPanic is a panic in one of the functions of Config.
type errPanic struct{ value any }

func (e errPanic) Error() string { return fmt.Sprintf("it panicked: %v", e.value) }

// guard puts a recover around each of the functions that the program handed in.
func (cfg *Config) guard(log *slog.Logger) {
	catch := func(ctx context.Context, what string, err *error) {
		if v := recover(); v != nil {
			*err = errPanic{v}
			log.ErrorContext(ctx, "a function of the program panicked", "function", what, "cause", *err, "stack", string(debug.Stack()))
		}
	}
	if welcome := cfg.Welcome; welcome != nil {
		cfg.Welcome = func(ctx context.Context, client *slack.Client, c connection.Connection) (err error) {
			defer catch(ctx, "Welcome", &err)
			return welcome(ctx, client, c)
		}
	}
	if tell := cfg.Tell; tell != nil {
		cfg.Tell = func(ctx context.Context, client *slack.Client, userID string, h Health) (channel, ts string, err error) {
			defer catch(ctx, "Tell", &err)
			return tell(ctx, client, userID, h)
		}
	}
	if tell := cfg.TellMissing; tell != nil {
		cfg.TellMissing = func(ctx context.Context, client *slack.Client, userID string, w MissingScopes) (channel, ts string, err error) {
			defer catch(ctx, "TellWanted", &err)
			return tell(ctx, client, userID, w)
		}
	}
	if resolve := cfg.Resolve; resolve != nil {
		cfg.Resolve = func(ctx context.Context, client *slack.Client, n connection.Notice, h Health) (err error) {
			defer catch(ctx, "Resolve", &err)
			return resolve(ctx, client, n, h)
		}
	}
}
