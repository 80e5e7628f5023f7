package bot

// One door for HTTP and Socket Mode: what Slack sent is found its handler or put into the inbox, and only then
// acknowledged.

import (
	"context"
	"errors"
	"net/url"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// The kinds of deliveries, named as in Socket Mode's envelopes.
// https://docs.slack.dev/apis/events-api/using-socket-mode
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
	r := b.broke(ctx, install.NewRef(), cause, "type", d.kind)
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
		return answer{after: b.after(result{reply: r}, reach{act: b.pressedBy(i)})}, nil
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
	if b.ordered[event.Type] {
		_, channel, _ := e.Inner.where()
		event.OrderingKey = orderingKey(event.Key, from.teamID, channel)
	}
	if _, err := b.keep(ctx, event, &e); err != nil {
		// Not durable, so not acknowledged: Slack sends it again.
		return answer{}, err
	}
	return answer{}, nil
}

// orderingKey names a conversation. Without a channel everything of a workspace is one.
func orderingKey(k connection.Key, team, channel string) string {
	return k.String() + "/" + team + "/" + channel
}

// keep puts e into the inbox, and to its handler at once when there is a place for it. With an error it may be kept or
// not.
func (b *Bot) keep(ctx context.Context, e Event, env *envelope) (fresh bool, err error) {
	take := e.OrderingKey == "" && b.pool.acquire(e.Key)
	if err = b.worked(ctx); err == nil {
		fresh, err = b.inbox.Add(ctx, &e, take)
	}
	if take && fresh && err == nil {
		b.start(e, env)
	} else if take {
		b.pool.release(e.Key)
	}
	switch {
	case err != nil:
		b.log.ErrorContext(ctx, "event not accepted", "event", e.ID, "cause", err)
		b.metrics.accepted.WithLabelValues(e.Kind, "refused").Inc()
	case !fresh:
		b.log.DebugContext(ctx, "event known", "event", e.ID)
		b.metrics.accepted.WithLabelValues(e.Kind, "duplicate").Inc()
	case e.Type == kindUnreadable:
		b.metrics.accepted.WithLabelValues(e.Kind, "unreadable").Inc()
	default:
		b.metrics.accepted.WithLabelValues(e.Kind, "accepted").Inc()
	}
	return fresh, err
}

// errEnded says that Run has ended, and nobody else will work what is accepted here.
var errEnded = errors.New("the Bot's Run has ended")

// worked is errEnded when what is accepted now would be lost. That nobody works it yet is said once.
func (b *Bot) worked(ctx context.Context) error {
	open, ended := b.pool.state()
	if _, dies := b.inbox.(mortal); dies && ended {
		return errEnded
	}
	if !open && !ended && b.pool.places > 0 {
		b.unworked.Do(func() {
			b.log.WarnContext(ctx, "an event was accepted and is not worked: nobody has called the Bot's Run. "+
				"It waits in the inbox until then")
		})
	}
	return nil
}
