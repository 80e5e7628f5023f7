package bot

// One door for HTTP and Socket Mode: what Slack sent is found its handler or put into the inbox, and only then
// acknowledged.

import (
	"context"
	"errors"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// accept takes a delivery in and returns within ackBudget. An error means that it is not durable and must not be
// acknowledged: Slack sends it again. What we cannot use is acknowledged all the same: anything else would be sent
// again, and enough of it switches the app off for every workspace.
func (b *Bot) accept(ctx context.Context, d delivery) (a answer, err error) {
	arrived := b.now()
	defer func() { b.metrics.acks.WithLabelValues(d.kind).Observe(b.now().Sub(arrived).Seconds()) }()
	broken := guard(func() error {
		a, err = b.take(ctx, d)
		return nil
	})
	if broken != nil {
		return b.brokenAnswer(ctx, d, broken)
	}
	return a, err
}

// brokenAnswer is what a delivery is answered with whose handling panicked. Somebody waits for it, unless it is an
// event: that is not acknowledged.
func (b *Bot) brokenAnswer(ctx context.Context, d delivery, cause error) (answer, error) {
	r := b.gate.broke(ctx, install.NewRef(), cause, "type", d.kind)
	switch d.kind {
	case kindCommands:
		return answerOf(r), nil
	case kindInteractive:
		i, _, err := decode[interaction](d.body)
		switch {
		case err != nil:
			return answer{}, nil
		case i.Type == "view_submission":
			return answerOfView(r), nil
		}
		return answer{after: b.answers.after(result{reply: r}, reach{act: b.pressedBy(i)})}, nil
	}
	b.metrics.accepted.WithLabelValues(d.kind, "refused").Inc()
	return answer{}, cause
}

func (b *Bot) take(ctx context.Context, d delivery) (answer, error) {
	switch d.kind {
	case kindEvents:
		return b.acceptEvent(ctx, d.body)
	case kindInteractive:
		return b.acceptInteraction(ctx, d.body)
	case kindCommands:
		return b.acceptCommand(ctx, d.form)
	case kindUnreadable:
		return answer{}, b.keepUnreadable(ctx, d.kind, d.body, errUnreadable)
	}
	b.metrics.drop(kindUnreadable, droppedUnknownKind)
	b.log.InfoContext(ctx, "unknown kind of delivery", "type", clip(d.kind))
	return answer{}, nil
}

// acceptEvent puts one Events API delivery into the inbox.
func (b *Bot) acceptEvent(ctx context.Context, body []byte) (answer, error) {
	e, err := decodeEnvelope(body)
	if err != nil {
		return answer{}, b.keepUnreadable(ctx, kindEvents, body, err)
	}
	switch e.Type {
	case "url_verification":
		return answer{body: []byte(e.Challenge), contentType: "text/plain; charset=utf-8"}, nil
	case "app_rate_limited":
		b.eventsHeld(ctx, e)
		return answer{}, nil
	case "event_callback":
	default:
		b.metrics.drop(kindEvents, droppedUnknownKind)
		b.log.InfoContext(ctx, "unknown kind of delivery", "type", clip(e.Type))
		return answer{}, nil
	}
	if !b.ours(ctx, "event", e.AppID) {
		return answer{}, nil
	}
	from := e.origin(b.cfg.AppID)
	event := Event{ID: e.EventID, Kind: kindEvents, Type: e.Inner.Type, Key: from.key, Received: b.now(), Body: body}
	if b.routes.ordered[event.Type] {
		_, channel, _ := e.Inner.where()
		event.OrderingKey = orderingKey(event.Key, from.teamID, channel)
	}
	if _, err := b.workers.keep(ctx, event, &e); err != nil {
		// Not durable, so not acknowledged: Slack sends it again.
		return answer{}, err
	}
	return answer{}, nil
}

// orderingKey names a conversation. Without a channel everything of a workspace is one.
func orderingKey(k connection.Key, team, channel string) string {
	return k.String() + "/" + team + "/" + channel
}

// errEnded says that Run has ended, and nobody else will work what is accepted here.
var errEnded = errors.New("the Bot's Run has ended")
