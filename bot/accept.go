package bot

// One door for HTTP and Socket Mode: what Slack sent is found its handler or put into the inbox, and only then
// acknowledged.

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// accept takes a delivery in and returns within transport.AckBudget. An error means that it is not durable and must not
// be acknowledged: Slack sends it again. What we cannot use is acknowledged anyway: anything else would be sent again,
// and enough of it switches the app off for every workspace.
func (b *Bot) accept(ctx context.Context, d transport.Delivery) (a transport.Answer, err error) {
	arrived := b.now()
	ctx, span := b.spans.Start(ctx, trace.SpanKindInternal, "accept", d.Kind)
	defer span.End()
	defer func() { b.metrics.acked(d.Kind, b.now().Sub(arrived)) }()
	broken := guard(func() error {
		a, err = b.take(ctx, d)
		return nil
	})
	if broken != nil {
		span.Fail(ranPanicked)
		return b.brokenAnswer(ctx, d, broken)
	}
	if err != nil {
		span.Fail("not_kept")
	}
	return a, err
}

// brokenAnswer is what a delivery is answered with whose handling panicked. Somebody waits for it, unless it is an
// event: that is not acknowledged.
func (b *Bot) brokenAnswer(ctx context.Context, d transport.Delivery, cause error) (transport.Answer, error) {
	r := b.gate.broke(ctx, install.NewRef(), cause, "type", d.Kind)
	switch d.Kind {
	case transport.KindCommands:
		return answerOf(b.gate.lang(), r), nil
	case transport.KindInteractive:
		i, _, err := lenient.Decode[interaction](d.Body)
		switch {
		case err != nil:
			return transport.Answer{}, nil
		case i.Type == "view_submission":
			return answerOfView(b.gate.lang(), r), nil
		}
		return transport.Answer{After: b.answers.after(&result{reply: r}, &reach{act: b.pressedBy(i, d.Body), ctx: ctx})}, nil
	}
	b.metrics.delivered(d.Kind, "refused")
	return transport.Answer{}, cause
}

func (b *Bot) take(ctx context.Context, d transport.Delivery) (transport.Answer, error) {
	switch d.Kind {
	case transport.KindEvents:
		return b.acceptEvent(ctx, d.Body)
	case transport.KindInteractive:
		return b.acceptInteraction(ctx, d.Body)
	case transport.KindCommands:
		return b.acceptCommand(ctx, d.Form, d.Body)
	case transport.KindUnreadable:
		return transport.Answer{}, b.keepUnreadable(ctx, d.Kind, d.Body, errUnreadable)
	}

	b.metrics.drop(transport.KindUnreadable, droppedUnknownKind)
	b.log.InfoContext(ctx, "unknown kind of delivery", "type", transport.Clip(d.Kind))
	return transport.Answer{}, nil
}

// acceptEvent puts one Events API delivery into the inbox.
func (b *Bot) acceptEvent(ctx context.Context, body []byte) (transport.Answer, error) {
	e, err := decodeEnvelope(body)
	if err != nil {
		return transport.Answer{}, b.keepUnreadable(ctx, transport.KindEvents, body, err)
	}

	switch e.Type {
	case "url_verification":
		return transport.Answer{Body: []byte(e.Challenge), ContentType: "text/plain; charset=utf-8"}, nil
	case "app_rate_limited":
		b.eventsHeld(ctx, &e)
		return transport.Answer{}, nil
	case "event_callback":
	default:
		b.metrics.drop(transport.KindEvents, droppedUnknownKind)
		b.log.InfoContext(ctx, "unknown kind of delivery", "type", transport.Clip(e.Type))
		return transport.Answer{}, nil
	}

	if !b.ours(ctx, "event", e.AppID) {
		return transport.Answer{}, nil
	}
	from := e.origin(b.cfg.AppID)
	event := Delivery{
		ID: e.EventID, Kind: transport.KindEvents, Type: e.Inner.Type, Key: from.key, Received: b.now(), Body: body,
	}
	if b.routes.ordered[event.Type] {
		_, channel, _ := e.Inner.where()
		event.OrderingKey = orderingKey(event.Key, from.teamID, channel)
	}
	if key := b.routes.threadKey(&e.Inner, event.Key, from.teamID, from.botUserID); key != "" {
		event.OrderingKey = key
	}

	if _, err := b.workers.keep(ctx, event, &e); err != nil {
		// Not durable, so not acknowledged: Slack sends it again.
		return transport.Answer{}, err
	}
	return transport.Answer{}, nil
}

// orderingKey names a conversation. Without a channel everything of a workspace is one.
func orderingKey(k connection.Key, team, channel string) string {
	return k.String() + "/" + team + "/" + channel
}

// errEnded says that Run has ended, and nobody else will work what is accepted here.
var errEnded = errors.New("the Bot's Run has ended")
