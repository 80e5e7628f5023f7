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

	if !b.routes.hears(e.Type, env.Inner) {
		e.dropped(b.metrics, droppedUnhandled)
		b.suggestions.unhandled(ctx, b.log, env.Inner)
		b.traffic.saw(e.Key, from.at)
		return nil
	}

	v := b.visit(e, env, from)
	if done, err := b.seeTo(ctx, e, &v); done || err != nil {
		return err
	}
	return b.handled(ctx, e, b.gate.pass(ctx, ctx, v))
}

// visit is how an event comes to its handler.
func (b *Bot) visit(e *Delivery, env *envelope, from origin) visit {
	in := env.Inner
	v := visit{key: e.Key, team: from.teamID, ref: install.NewRef(), patience: eventOpenBudget, patient: true}
	if lifecycle(e.Type) { // there the token is dead already
		v.patience = 0
	}

	v.fill = func(req *Request) {
		if req.Client != nil {
			b.traffic.saw(req.Connection.Key, from.at)
		}
		req.UserID, req.ChannelID, req.ThreadTS = in.where()
		req.UserTeam = cmp.Or(in.UserTeam, in.SourceTeam, text(in.Team))
		req.Text, req.Shared, req.EventTime = in.Text, env.Shared, from.at
		req.context, req.channelType, req.BotID, req.Raw = env.Context, in.ChannelType, in.BotID, e.Body
		req.inHome = e.Type == "app_home_opened" && in.Tab == "home"
		if m, ok := in.writingOf(); ok && (e.Type == "message" || e.Type == "app_mention") {
			req.written, req.Text = m, m.Text
			req.UserID, req.BotID = cmp.Or(m.User, req.UserID), cmp.Or(m.BotID, req.BotID)
		}
		if e.Type == "function_executed" {
			req.Step = newStep(req, in.Execution, in.callbackID(), in.StepToken)
		}
		b.attempt(req, e)
	}

	v.find = func(req *Request) (h Handler, dropped string) {
		botUser := cmp.Or(req.Connection.BotUserID, from.botUserID)
		if own(e.Type, in, e.Key.AppID, botUser, req.Connection.BotID) {
			return Handler{}, droppedOwn
		}
		h, match, found := b.routes.route(e.Type, in, botUser)
		if !found {
			return Handler{}, droppedUnhandled
		}
		req.Matches, e.by = match, h
		if h.Kind == KindAgentMessage { // which begins a thread, unless it is in one
			req.ThreadTS = cmp.Or(req.ThreadTS, req.written.TS)
		}
		return h, ""
	}

	v.run = func(ctx context.Context, h Handler, req *Request) (Reply, error) {
		event, err := eventOf(e.Body)
		if err != nil {
			return Reply{}, &decodeError{err}
		}
		return b.gate.within(ctx, h, req, event)
	}
	return v
}

// handled is what the inbox is to hear of an event's visit. Nobody waits for an answer, but who was refused is told.
func (b *Bot) handled(ctx context.Context, e *Delivery, o outcome) error {
	switch {
	case o.dropped != "":
		e.dropped(b.metrics, o.dropped)
		return nil
	case o.by.Kind == "":
		return &notOpened{o.err} // our records are silent, or its access is being renewed
	}

	e.ran = o.ran
	req := o.turn
	if o.by.Kind == KindFunction && o.ran != ranDone {
		req.Step.settle(ctx, o)
	}

	switch {
	case o.by.Kind == KindFunction && (o.told != nil || len(o.missing) > 0): // said to the workflow: nobody acted
		return nil
	case o.told != nil:
		b.tell(ctx, req, *o.told)
	case o.begun && o.ran == ranNotConnected:
		req.Log.InfoContext(ctx, "event dropped: the organisation's app was not added to this workspace", "type", e.Type)
	case o.ran == ranNotConnected:
		req.Log.InfoContext(ctx, "event dropped: not connected", "type", e.Type)
	case len(o.missing) > 0 && req.inHome && b.gate.insiders.mayHear(ctx, req):
		b.tell(ctx, req, req.NotAllowed(o.missing...))
	case len(o.missing) > 0 && (o.begun || o.by.ofMessages()):
		b.gate.whisperNotAllowed(ctx, req, o.missing)
	case len(o.missing) > 0: // only what was said to the app has somebody who waits for an answer
		req.Log.InfoContext(ctx, "event dropped: not allowed", "type", e.Type, "missing_scopes", o.missing)
	case o.err != nil && o.begun:
		logFailure(ctx, req, o.by, o.err)
		b.tellOfFailure(ctx, e, req, o.err)
		return o.err
	}
	return nil
}

// attempt tells a Request which attempt at what it is.
func (b *Bot) attempt(req *Request, e *Delivery) {
	req.EventID, req.Attempt = e.ID, e.Attempt
	req.said = &said{inbox: b.workers.inbox, event: e, now: b.now}
	req.Log = req.Log.With("event", e.ID)
	req.unread = func(parts []string) { b.metrics.leftOut(req.Log, e.Kind, parts) }
}

// dropped notes that e comes to no handler.
func (e *Delivery) dropped(m *metrics, why string) {
	e.ran = why
	m.drop(e.Kind, why)
}

// own reports whether an event is the echo of what this app did itself, by whichever of its ids Slack names it:
// answering those makes loops. Our own joining and leaving of channels is news, though.
func own(kind string, in inner, appID, botUser, botID string) bool {
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
