package bot

// One door for HTTP and Socket Mode: what Slack sent is found its handler or put into the inbox, and only then acknowledged.

import (
	"context"
	"net/url"

	"switchboard/install"
)

// The kinds of deliveries, named as in Socket Mode's envelopes. https://docs.slack.dev/apis/events-api/using-socket-mode
const (
	kindEvents      = "events_api"
	kindCommands    = "slash_commands"
	kindInteractive = "interactive"
)

// delivery is one thing that Slack sent, whichever way it came.
type delivery struct {
	kind string
	body []byte     // events and interactions: JSON as it came
	form url.Values // commands
}

// answer is what goes back with the acknowledgement. The zero answer is an empty one.
type answer struct {
	body        []byte
	contentType string
	after       func() // to be called once the acknowledgement is out; nil: nothing
	// tooLarge delivers body another way, for a transport that can't carry it; nil: there is no other way.
	tooLarge func()
}

// accept takes a delivery in and returns within ackBudget. An error means that it is not durable and must not be
// acknowledged: Slack sends it again. What we cannot use is acknowledged all the same: anything else would be sent again, and
// enough of it switches the app off for every workspace.
func (b *Bot) accept(ctx context.Context, d delivery) (answer, error) {
	arrived := b.now()
	defer func() { b.metrics.acks.WithLabelValues(d.kind).Observe(b.now().Sub(arrived).Seconds()) }()
	switch d.kind {
	case kindEvents:
		return b.acceptEvent(ctx, d.body)
	case kindInteractive:
		return b.acceptInteraction(ctx, d.body)
	case kindCommands:
		return b.acceptCommand(ctx, d.form)
	}
	b.log.InfoContext(ctx, "unknown kind of delivery", "type", clip(d.kind))
	return answer{}, nil
}

// acceptEvent puts one Events API delivery into the inbox.
func (b *Bot) acceptEvent(ctx context.Context, body []byte) (answer, error) {
	e, err := decodeEnvelope(body)
	if err != nil {
		b.log.InfoContext(ctx, "event could not be read", "cause", err, "bytes", len(body))
		return answer{}, nil
	}
	switch e.Type {
	case "url_verification":
		return answer{body: []byte(e.Challenge), contentType: "text/plain; charset=utf-8"}, nil
	case "app_rate_limited":
		b.log.WarnContext(ctx, "Slack holds events back: more than 30,000 in an hour for one workspace", "team", e.TeamID)
		return answer{}, nil
	case "event_callback":
	default:
		b.log.InfoContext(ctx, "unknown kind of delivery", "type", clip(e.Type))
		return answer{}, nil
	}
	if b.foreign(e.AppID) {
		b.log.WarnContext(ctx, "delivery for another app dropped: check SLACK_APP_ID", "got", clip(e.AppID))
		return answer{}, nil
	}
	from := e.origin(b.cfg.AppID)
	event := Event{ID: e.EventID, Kind: kindEvents, Type: e.Inner.Type, Key: from.key, Received: b.now(), Body: body}
	if b.ordered[event.Type] {
		_, channel, _ := e.Inner.where()
		event.Lane = lane(event.Key, from.teamID, channel)
	}
	if _, err := b.keep(ctx, event, &e); err != nil {
		// Not durable, so not acknowledged: Slack sends it again.
		return answer{}, err
	}
	return answer{}, nil
}

// lane names a conversation. Without a channel everything of a workspace is one.
func lane(k install.Key, team, channel string) string { return k.String() + "/" + team + "/" + channel }

// keep puts e into the inbox, and to its handler at once when there is a place for it. With an error it may be kept or not.
func (b *Bot) keep(ctx context.Context, e Event, env *envelope) (fresh bool, err error) {
	take := e.Lane == "" && b.desk.take(e.Key)
	fresh, err = b.inbox.Add(ctx, &e, take)
	if take && fresh && err == nil {
		b.start(e, env)
	} else if take {
		b.desk.leave(e.Key)
	}
	switch {
	case err != nil:
		b.log.ErrorContext(ctx, "event not accepted", "event", e.ID, "cause", err)
		b.metrics.accepted.WithLabelValues(e.Kind, "refused").Inc()
	case !fresh:
		b.log.DebugContext(ctx, "event known", "event", e.ID)
		b.metrics.accepted.WithLabelValues(e.Kind, "duplicate").Inc()
	default:
		b.metrics.accepted.WithLabelValues(e.Kind, "accepted").Inc()
	}
	return fresh, err
}
