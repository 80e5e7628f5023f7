package bot

// Commands and buttons whose work takes longer than Slack waits: acknowledged once they are in the inbox, answered by
// their response_url.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// slowWork is what the inbox keeps of a slow command or interaction.
type slowWork struct {
	Form    string          `json:"form,omitempty"`    // a command, as it came
	Payload json.RawMessage `json:"payload,omitempty"` // an interaction
	ViewID  string          `json:"view,omitempty"`    // the modal that was opened for it
}

// work is an act as the inbox keeps it.
func (a *act) work() slowWork {
	if a.kind == transport.KindCommands {
		return slowWork{Form: string(a.raw)}
	}
	return slowWork{Payload: a.raw}
}

// triggerLife is how long Slack opens a window for what somebody did.
// https://docs.slack.dev/interactivity/handling-user-interaction
const triggerLife = 3 * time.Second

// openSpare is what opening a modal leaves of the time until the acknowledgement, for keeping the work in the inbox.
const openSpare = 500 * time.Millisecond

// postpone puts an act into the inbox. Where that can't be done, the reply says why nothing was begun, and closing,
// unless it is nil, says the same in the modal that was opened for it, to be called once the acknowledgement is out.
func (b *Bot) postpone(ctx context.Context, h *Handler, a act) (r Reply, closing func()) {
	ref, w := install.NewRef(), a.work()
	var opened opened
	if h.opens != nil {
		opened = b.openFirst(ctx, h, a, ref)
		if r := opened.refusal; r != nil && opened.name != "" {
			return *r, func() { b.tasks.Go(func() { opened.close(*r) }) }
		} else if r != nil {
			return *r, nil
		}
		w.ViewID = opened.id
	}

	body, err := json.Marshal(w)
	if err != nil { // cannot be: all of it was decoded from what Slack sent
		b.log.ErrorContext(ctx, "write slow work", "cause", err)
	}

	at := &Request{}
	a.fill(at)
	e := Delivery{
		ID:   "work-" + strings.ToLower(install.NewRef()+install.NewRef()),
		Kind: a.kind, Type: h.id(), Key: a.key, Received: b.now(), Body: body,
	}

	if h.ordered {
		e.OrderingKey = orderingKey(a.key, at.TeamID, at.ChannelID)
	}
	if _, err := b.workers.keep(ctx, e, nil); err == nil {
		return Reply{}, nil
	}

	r = b.gate.say("bot.not_begun", ref)
	if ctx.Err() != nil {
		r = b.gate.say("bot.perhaps_begun", ref)
	}
	if opened.id != "" {
		closing = func() { b.tasks.Go(func() { opened.close(r) }) }
	}
	return r, closing
}

// opened is a modal that was opened for slow work, or why it was not.
type opened struct {
	req     *Request
	id      string
	name    string // its external_id, instead of id: Slack may have opened it, and its answer was lost
	refusal *Reply
}

// openFirst opens the modal of a slow handler. It returns while there is time to keep the work and to acknowledge,
// whatever the handler's own code does: a modal that is open only after that is closed with words.
func (b *Bot) openFirst(ctx context.Context, h *Handler, a act, ref string) opened {
	limit := b.cfg.ackWithin
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}

	opening, cancel := context.WithTimeout(ctx, limit-min(openSpare, limit/4))
	defer cancel()

	done := make(chan opened, 1)
	b.tasks.Go(func() {
		var o opened
		if err := guard(func() error { o = b.open(opening, h, a, ref); return nil }); err != nil {
			r := b.gate.broke(opening, ref, err, "handler", h.id())
			o = opened{refusal: &r}
		}
		done <- o
	})
	select {
	case o := <-done:
		return o
	case <-opening.Done():
	}

	b.log.WarnContext(ctx, "the window of slow work was not open in time", "handler", h.id(), "ref", ref)
	r := b.gate.say("bot.window_late", ref)
	b.tasks.Go(func() {
		if o := <-done; o.id != "" || o.name != "" {
			o.close(r)
		}
	})
	return opened{refusal: &r}
}

// open opens the modal, until ctx ends. It passes the gate as its handler will, which takes a connection and the
// permissions even if h itself can do without, and h's middleware: whom that refuses gets no modal.
func (b *Bot) open(ctx context.Context, h *Handler, a act, ref string) opened {
	name := ""
	opener := *h
	opener.always = false
	opener.run = func(ctx context.Context, req *Request, _ any) error {
		req.ViewID = ""
		view, err := h.opens(ctx, req)
		if err == nil {
			err = ctx.Err() // with the time over, the person has read that there will be none
		}
		if err != nil {
			return err
		}

		view.ExternalID = cmp.Or(view.ExternalID, "opened-"+strings.ToLower(ref+install.NewRef()))
		shown, err := req.opener().OpenViewContext(ctx, a.trigger, view)
		switch {
		case err == nil:
			req.ViewID = shown.View.ID
		case slackapi.SlackError(err) == "":
			name = view.ExternalID
		}
		return err
	}

	o := b.gate.pass(ctx, ctx, a.visit(&opener, ref, askBudget, call))
	if o.ran != ranDone {
		r := b.gate.words(ctx, o)
		return opened{req: o.req, name: name, refusal: &r}
	}
	return opened{req: o.req, id: o.req.ViewID}
}

// close says in the modal why there will be no work.
func (o opened) close(r Reply) {
	ctx, cancel := context.WithTimeout(context.Background(), afterBudget)
	defer cancel()
	_, err := o.req.Client.UpdateViewContext(ctx, *page(o.req.lang(), r), o.name, "", o.id)
	if err != nil && slackapi.SlackError(err) != "not_found" { // it was not opened, or is closed
		o.req.Log.WarnContext(ctx, "say in a modal that nothing was begun",
			"slack_error", slackapi.SlackError(err), "cause", reason(err))
	}
}

// handleSlow runs the handler of slow work and sends its answer.
func (b *Bot) handleSlow(ctx context.Context, e *Delivery) error {
	if e.Type == transport.KindUnreadable {
		return &decodeError{errUnreadable}
	}
	h := b.routes.byID[e.Type]
	if h == nil { // another release may have it
		return errors.New("there is no handler " + transport.Clip(e.Type) + " here")
	}

	a, err := b.slowAct(e)
	if err != nil {
		return &decodeError{err}
	}

	v := a.visit(h, install.NewRef(), eventOpenBudget, b.gate.within)
	v.event = e.ID
	if e.Deaths >= mostDeaths {
		req, _ := b.gate.request(ctx, v)
		v.fill(req)
		logGivenUp(ctx, req, h)
		_ = b.tellPerson(ctx, req, notBetter(req, errEndsProcess))
		return errEndsProcess
	}

	e.by = h
	o := b.gate.pass(ctx, ctx, v)
	e.ran = o.ran
	return b.handledSlow(ctx, e, o)
}

// handledSlow is what the inbox is to hear of slow work. Somebody waits for its answer, and hears why there is none.
func (b *Bot) handledSlow(ctx context.Context, e *Delivery, o outcome) error {
	req := o.req
	switch {
	case o.ran == ranDone:
		return nil
	case !o.begun && !o.refused() && !e.last():
		return o.err // our records are silent, or its access is being renewed: tried again
	case !o.begun, o.refused():
		return b.tellPerson(ctx, req, b.gate.words(ctx, o))
	case errors.Is(o.err, errSilent): // the work is done, and doing it again would not help
		b.metrics.lose(lostUndelivered)
		req.Log.WarnContext(ctx, "there is no way to deliver the answer", "handler", o.by.id())
		return nil
	}

	logFailure(ctx, req, o.by, o.err)
	if e.last() || classOf(o.err) == final { // the person is told, and the operator finds it
		_ = b.tellPerson(context.WithoutCancel(ctx), req, givenUp(req, o.err))
	}
	return o.err
}

// slowAct reads the act that the inbox kept as e.
func (b *Bot) slowAct(e *Delivery) (a act, err error) {
	var w slowWork
	if err := json.Unmarshal(e.Body, &w); err != nil {
		return act{}, err
	}

	if e.Kind == transport.KindCommands {
		form, err := url.ParseQuery(w.Form)
		if err != nil {
			return act{}, err
		}
		a = b.typed(form, []byte(w.Form))
	} else {
		i, _, err := lenient.Decode[interaction](w.Payload)
		if err != nil {
			return act{}, err
		}
		if a, err = b.pressedIn(i, w.Payload); err != nil {
			return act{}, err
		}
	}

	a.key = e.Key // as it was accepted
	fill := a.fill
	a.fill = func(req *Request) {
		fill(req)
		req.ViewID = w.ViewID
		b.attempt(req, e)
		if req.Client != nil {
			b.traffic.saw(req.Connection.Key, e.Received)
		}
	}
	return a, nil
}

// givenUp is what a person reads whose durable work ended with err for the last time.
func givenUp(req *Request, err error) Reply {
	if errors.As(err, new(*undelivered)) {
		return Text(req.lang().Say("bot.undelivered", "reference", req.Ref))
	}
	return notBetter(req, err)
}

// notBetter is what a person reads whose work is given up after several attempts, of which err is the last.
func notBetter(req *Request, err error) Reply {
	if errors.Is(err, errTooLong) {
		return Text(req.lang().Say("bot.too_long_again", "reference", req.Ref))
	}
	return Text(req.lang().Say("bot.failed_again", "reference", req.Ref))
}

// tellPerson says what the app itself has to say about slow work. It takes none of the places of what the handler says:
// those are for its next attempt, or for when the work is replayed.
func (b *Bot) tellPerson(ctx context.Context, req *Request, r Reply) error {
	own := *req
	if own.said != nil {
		was := req.said.event
		own.said = &said{
			inbox: spoken{b.workers.inbox}, now: b.now,
			event: &Delivery{Said: slices.Clone(was.Said), Received: was.Received},
		}
		own.said.fresh()
	}

	err := own.respondOnTop(ctx, r)
	if errors.Is(err, errSilent) {
		return nil
	}
	return err
}

// respondOnTop is respond, but in a window where there is no response_url: in the one that was opened for the work, or
// in one that the trigger still opens.
func (req *Request) respondOnTop(ctx context.Context, r Reply) error {
	switch {
	case req.address != "" || req.Client == nil || req.said == nil:
	case req.handler != nil && req.handler.opens != nil && req.ViewID != "":
		if err := req.update(ctx, *page(req.lang(), r)); err == nil || slackapi.SlackError(err) == "" {
			return err
		}
	case req.said.now().Sub(req.said.event.Received) < triggerLife:
		return req.showOnTop(ctx, r)
	}
	return req.respond(ctx, r)
}

// spoken is an inbox that keeps no record of what was said.
type spoken struct{ Inbox }

func (spoken) RecordSaid(context.Context, Delivery) error { return nil }
