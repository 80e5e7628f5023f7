package bot

// What went wrong with an event is told to who acted: once, when it is certain, in a place that only they read.

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Who heard that something went wrong with a handler is not told again for so long: when all of them fail, people
// needn't read that of each of their messages.
const apologyEvery = 10 * time.Minute

// apologies remembers who was told, in this process.
type apologies struct {
	mu   sync.Mutex
	told map[string]time.Time // handler and person
}

// first reports whether who acted in req may be told now.
func (a *apologies) first(req *Request, now time.Time) bool {
	who := req.Handler() + " " + req.Key.String() + " " + req.UserID
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, known := a.told[who]; known && now.Sub(at) < apologyEvery {
		return false
	}
	if a.told == nil || len(a.told) > 10_000 {
		a.told = map[string]time.Time{}
	}
	a.told[who] = now
	return true
}

// tell says r to who acted in an event, and to nobody else: in the Home tab if that is what they opened, else as
// tellActor does.
func (b *Bot) tell(ctx context.Context, req *Request, r Reply) {
	if req.inHome && req.Client != nil && b.gate.insiders.mayHear(ctx, req) {
		home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: r.viewBlocks(req.lang())}}
		_, err := req.Client.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: req.UserID, View: home})
		if err != nil {
			req.Log.WarnContext(ctx, "say in the Home tab what went wrong",
				"slack_error", slackapi.SlackError(err), "cause", reason(err))
		}
		return
	}
	b.gate.tellActor(ctx, req, r)
}

// tellOfFailure tells who acted that their event's handler failed with err, if that is the last of it. The Home tab
// says so after the first attempt: who opened it looks at it now, and one that succeeds later puts its view there.
func (b *Bot) tellOfFailure(ctx context.Context, e *Delivery, req *Request, err error) {
	ctx = context.WithoutCancel(ctx)
	switch v := b.workers.judge(ctx, *e, err); {
	case req.inHome:
		if e.Failures == 0 && v.outcome != outcomePutBack && v.outcome != outcomeLimited {
			key := "bot.home_failed"
			if errors.Is(err, errTooLong) {
				key = "bot.home_too_long"
			}
			b.tell(ctx, req, b.gate.say(key, req.Ref))
		}
	case v.outcome == outcomeDead && e.Attempt > 1:
		b.apologize(ctx, req, notBetter(req, err))
	case v.outcome == outcomeDead, v.outcome == outcomeRefused:
		b.apologize(ctx, req, wentWrong(req, err))
	}
}

// tellOfDeaths tells who acted that their event is given up, because it ended the process each time. A workflow that
// waits for it hears that its step failed.
func (b *Bot) tellOfDeaths(ctx context.Context, e *Delivery) {
	env, err := decodeEnvelope(e.Body)
	if err != nil || e.Type == transport.KindUnreadable {
		return
	}
	v := b.visit(e, &env, env.origin(b.cfg.AppID))
	req, err := b.gate.request(ctx, v)
	if err != nil {
		return
	}
	v.fill(req)
	h, dropped := v.find(req)
	if dropped != "" {
		return
	}

	req.handler = h
	logGivenUp(ctx, req, h)
	if h.Kind == KindFunction {
		req.Step.giveUp(ctx, wentWrong(req, errEndsProcess).Text)
		return
	}
	b.apologize(ctx, req, notBetter(req, errEndsProcess))
}

// logGivenUp writes the line that the reference which people read leads to.
func logGivenUp(ctx context.Context, req *Request, h *Handler) {
	req.Log.ErrorContext(ctx, "handler given up", "handler", h.id(), "cause", errEndsProcess)
}

// apologize says r to a person who did something in a conversation. Of all else that happens there is nobody who waits
// for an answer.
func (b *Bot) apologize(ctx context.Context, req *Request, r Reply) {
	if req.Client == nil || req.UserID == "" || req.BotID != "" || req.ChannelID == "" ||
		len(req.Missing("chat:write")) > 0 {
		return
	}
	if b.apologies.first(req, b.now()) {
		b.tell(ctx, req, r)
	}
}
