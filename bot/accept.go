package bot

// One door for HTTP and Socket Mode: what Slack sent is found its handler or put into the inbox, and only then acknowledged.

import (
	"context"
	"net/url"
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
	event := e.event(b.cfg.AppID)
	event.Body = body
	fresh, err := b.inbox.Add(ctx, event)
	if err != nil {
		// Not durable, so not acknowledged: Slack sends it again.
		b.log.ErrorContext(ctx, "event not accepted", "event", event.ID, "cause", err)
		return answer{}, err
	}
	if !fresh {
		b.log.DebugContext(ctx, "event known", "event", event.ID)
	}
	return answer{}, nil
}
