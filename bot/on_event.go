package bot

import (
	"context"
	"reflect"

	"github.com/slack-go/slack/slackevents"
)

// Event is one event of the Events API, decoded into E.
type Event[E any] struct {
	*Request
	sayer
	// Payload is the event. A block or a field that this release can't read is left out of it.
	Payload *E
}

// OnEvent returns a handler of one type of event of the Events API, decoded into E: usually the type of that event in
// slack-go's slackevents, or a struct of one's own with the JSON fields that are needed. A type is its name, as in
// "reaction_added". "message.channel_topic" is a message of that subtype. "file_*" and "^(pin|star)_added$" stand for
// several.
//
// run is called after the acknowledgement, and its context ends after a minute (Timeout). It is called at least once
// for each event: a process can die between its last step and our record of it, so the same event can come again, after
// a pause or in another process (Request.Attempt). Event.Say posts once anyway, as far as that can be known. What else
// must happen once can be guarded by Request.EventID.
//
// What run returns decides what follows:
//
//   - nil: the event is done.
//   - A UserError or a NotAllowedError: who acted is told, and the event is done.
//   - What Slack refuses for good (channel_not_found …): the event is done, which is logged, and who acted is told that
//     something went wrong.
//   - A *slack.RateLimitedError: it runs again when Slack takes calls again. That doesn't count as a failure.
//   - Any other error, and a panic: it runs again after growing pauses, 8 times in an hour and a half. Then it is a
//     dead letter: kept in the inbox for an operator to see and replay. Who acted in a conversation is told so, and who
//     opened the Home tab reads it there after the first attempt.
//
// What ends the process (an exit, a panic in a goroutine of the handler's own, no memory) is a dead letter after three
// times.
//
// What the app itself did is no event for it, but for its joining and leaving of channels.
//
// What Slack says of the app's own life (app_uninstalled, tokens_revoked, team_access_granted and _revoked,
// grid_migration_started and _finished, channel_id_changed) the Bot handles for every app. A handler of the app's own
// runs after that. Those of LifecycleEvents run without a connection, and until they succeed.
//
// The types are listed at https://docs.slack.dev/reference/events. Messages and mentions have functions of their own:
// OnMessage and OnMention. New refuses a type that Slack doesn't have, and one without the scope that Slack sends it
// for.
func OnEvent[E any](name string, run func(ctx context.Context, e *Event[E]) error, options ...Option) Handler {
	h := newHandler(KindEvent, name, options, ofEvent(func(ctx context.Context, r *Request, e *E) error {
		return run(ctx, &Event[E]{Request: r, sayer: sayer{r}, Payload: e})
	}))
	h.always = h.always || lifecycle(name)
	return h
}

// NameOf is the type of the events that slack-go decodes into E: NameOf[slackevents.ReactionAddedEvent]() is
// "reaction_added". "" where it has no such type.
func NameOf[E any]() string {
	for name, example := range slackevents.EventsAPIInnerEventMapping {
		if reflect.TypeOf(example) == reflect.TypeFor[E]() {
			return string(name)
		}
	}
	return ""
}
