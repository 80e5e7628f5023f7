package bot

// An event of the inbox, on its way to the handler that wants it.

import (
	"cmp"
	"context"
	"strings"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
)

// handle finds the handler of e and runs it. nil: nothing more to do. env is e's decoded body, when the caller has it.
func (b *Bot) handle(ctx context.Context, e *Delivery, env *envelope) error {
	switch {
	case e.Kind == transport.KindTimer:
		return b.handleTimer(ctx, e)
	case e.Kind != transport.KindEvents:
		return b.handleSlow(ctx, e)
	case e.Deaths >= mostDeaths:
		b.tellOfDeaths(ctx, e)
		return errEndsProcess
	}

	if env == nil {
		decoded, err := decodeEnvelope(e.Body)
		if err != nil {
			return &decodeError{err}
		}
		env = &decoded
	}

	from := env.origin(b.cfg.AppID)
	if e.Type == transport.KindUnreadable { // by the release that accepted it
		e.Type, e.Key = env.Inner.Type, from.key
	}

	if !b.routes.hears(e.Type, &env.Inner) {
		e.dropped(b.metrics, droppedUnhandled)
		b.suggestions.unhandled(ctx, b.log, &env.Inner)
		b.traffic.saw(e.Key, from.at)
		return nil
	}

	v := b.visit(e, env, from)
	if done, err := b.seeTo(ctx, e, &v); done || err != nil {
		return err
	}
	if e.Type == "link_shared" {
		return b.handleLinks(ctx, e, v, &env.Inner)
	}
	return b.handled(ctx, e, b.gate.pass(ctx, ctx, v))
}

// visit is how an event comes to its handler.
func (b *Bot) visit(e *Delivery, env *envelope, from origin) visit {
	in := &env.Inner
	v := visit{
		key: e.Key, team: from.teamID, ref: install.NewRef(), event: e.ID, patience: eventOpenBudget, patient: true,
	}
	if lifecycle(e.Type) { // there the token is dead already
		v.patience = 0
	}

	v.fill = func(req *Request) {
		if req.Client != nil {
			b.traffic.saw(req.Connection.Key, from.at)
		}
		b.attempt(req, e)
		env.fill(req)
		req.EventTime, req.Raw = from.at, e.Body
	}

	v.find = func(req *Request) (h *Handler, dropped string) {
		botUser := cmp.Or(req.Connection.BotUserID, from.botUserID)
		if own(e.Type, in, e.Key.AppID, botUser, req.Connection.BotID) {
			return nil, droppedOwn
		}
		if h, req.Matches = b.routes.route(e.Type, in, botUser); h == nil {
			return nil, droppedUnhandled
		}
		req.links, e.by = b.routes.linksOf(in, h), h
		if h.Kind == KindAgentMessage { // which begins a thread, unless it is in one
			req.ThreadTS = cmp.Or(req.ThreadTS, req.written.TS)
		}
		return h, ""
	}

	v.run = func(ctx context.Context, h *Handler, req *Request) (Reply, error) {
		event, err := eventOf(e.Body)
		if err != nil {
			return Reply{}, &decodeError{err}
		}
		return b.gate.within(ctx, h, req, event)
	}
	return v
}

// fill tells a Request what happened, where, and who did it.
func (e *envelope) fill(req *Request) {
	in := &e.Inner
	req.UserID, req.ChannelID, req.ThreadTS = in.where()
	req.UserTeam = cmp.Or(in.UserTeam, in.SourceTeam, text(in.Team))
	req.Text, req.BotID, req.channelType = in.Text, in.BotID, in.ChannelType
	req.Shared, req.context = e.Shared, e.Context

	switch in.Type {
	case "message", "app_mention":
		if m, ok := in.writingOf(); ok {
			req.written, req.Text = m, m.Text
			req.UserID, req.BotID = cmp.Or(m.User, req.UserID), cmp.Or(m.BotID, req.BotID)
		}
	case "app_home_opened":
		req.inHome = in.Tab == "home"
	case "function_executed":
		req.Step = newStep(req, in.Execution, in.callbackID(), in.StepToken, in.StepInputs)
	}
}

// handled is what the inbox is to hear of an event's visit.
func (b *Bot) handled(ctx context.Context, e *Delivery, o outcome) error {
	switch {
	case o.dropped != "":
		e.dropped(b.metrics, o.dropped)
		return nil
	case o.by == nil:
		return &notOpened{o.err} // our records are silent, or its access is being renewed
	}

	e.ran = o.ran
	if o.by.Kind == KindFunction && o.ran != ranDone {
		o.req.Step.settle(ctx, o)
	}

	switch {
	case o.refused():
		b.tellRefused(ctx, e, o)
	case o.begun && o.err != nil:
		logFailure(ctx, o.req, o.by, o.err)
		b.tellOfFailure(ctx, e, o.req, o.err)
		return o.err
	}
	return nil
}

// tellRefused tells who acted why an event came to nothing. Nobody waits for an answer, so what only an operator can
// use is for the log.
func (b *Bot) tellRefused(ctx context.Context, e *Delivery, o outcome) {
	req := o.req
	switch {
	case o.by.Kind == KindFunction && o.ran != ranNotConnected: // said to the workflow: nobody acted
	case o.told != nil:
		b.tell(ctx, req, *o.told)
	case o.begun && o.ran == ranNotConnected:
		req.Log.InfoContext(ctx, "event dropped: the organisation's app was not added to this workspace", "type", e.Type)
	case o.ran == ranNotConnected:
		req.Log.InfoContext(ctx, "event dropped: not connected", "type", e.Type)
	case req.inHome && b.gate.insiders.mayHear(ctx, req):
		b.tell(ctx, req, req.NotAllowed(o.missing...))
	case o.begun || o.by.ofMessages():
		b.gate.whisperNotAllowed(ctx, req, o.missing)
	default: // only what was said to the app has somebody who waits for an answer
		req.Log.InfoContext(ctx, "event dropped: not allowed", "type", e.Type, "missing_scopes", o.missing)
	}
}

// attempt tells a Request which attempt at what it is.
func (b *Bot) attempt(req *Request, e *Delivery) {
	req.EventID, req.Attempt = e.ID, e.Attempt
	req.said = &said{inbox: b.workers.inbox, event: e, now: b.now}
	req.unread = func(parts []string) { b.metrics.leftOut(req.Log, e.Kind, parts) }
}

// dropped notes that e comes to no handler.
func (e *Delivery) dropped(m *metrics, why string) {
	e.ran = why
	m.drop(e.Kind, why)
}

// own reports whether an event is the echo of what this app did itself, by whichever of its ids Slack names it:
// answering those makes loops. Our own joining and leaving of channels is news, though.
func own(kind string, in *inner, appID, botUser, botID string) bool {
	switch {
	case kind == "member_joined_channel" || kind == "member_left_channel":
		return false
	case kind == "message" || kind == "app_mention" || strings.HasPrefix(kind, "message_metadata_"):
		if appID != "" && in.writtenBy() == appID {
			return true
		}
	}

	user, bot := cmp.Or(text(in.User), text(in.UserID)), in.BotID
	if m, ok := in.writingOf(); ok && kind == "message" {
		user, bot = m.User, m.BotID
	}
	return botUser != "" && user == botUser || botID != "" && bot == botID
}
