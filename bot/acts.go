package bot

// What people do: they type commands, press buttons, submit and close forms. Their handlers run right away, or, if they
// are slow, from the inbox.

import (
	"context"
	"net/url"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// act is one such thing.
type act struct {
	kind    string             // of the delivery
	key     connection.Key     // whose connection it is for
	team    string             // the workspace it happened in
	fill    func(req *Request) // who did it, and where
	payload any                // for the handler
	raw     []byte             // as it came: a form, or JSON
	trigger string             // opens one modal, within 3 s
	address connection.Secret  // the response_url; "" in the Home tab and in modals
	thread  string             // to answer in
	pressed *interaction       // nil: a command
}

// visit is how an act comes to its handler.
func (a act) visit(h *Handler, ref string, patience time.Duration, run runner) visit {
	return visit{
		key: a.key, team: a.team, ref: ref, patience: patience, pressed: a.pressed, fill: a.fill,
		find: func(*Request) (*Handler, string) { return h, "" },
		run:  func(ctx context.Context, h *Handler, req *Request) (Reply, error) { return run(ctx, h, req, a.payload) },
	}
}

// acceptCommand takes a slash command. https://docs.slack.dev/interactivity/implementing-slash-commands
func (b *Bot) acceptCommand(ctx context.Context, form url.Values, raw []byte) (transport.Answer, error) {
	if !b.ours(ctx, "command", form.Get("api_app_id")) {
		return transport.Answer{}, nil
	}
	name := form.Get("command")
	h := b.routes.command(name, form.Get("text"))
	if h == nil {
		b.metrics.drop(transport.KindCommands, droppedUnhandled)
		b.suggestions.suggest(ctx, b.log, KindCommand, name)
		return answerOf(b.gate.lang(), Text(b.gate.lang().Say("bot.no_such_command"))), nil
	}
	return b.acted(ctx, h, b.typed(form, raw)), nil
}

// acceptInteraction takes a button or a form.
func (b *Bot) acceptInteraction(ctx context.Context, payload []byte) (transport.Answer, error) {
	i, _, err := lenient.Decode[interaction](payload)
	if err != nil {
		return b.unreadablePress(ctx, payload, err)
	}

	if !b.ours(ctx, "interaction", i.AppID) {
		return transport.Answer{}, nil
	}
	h := b.routes.pressed(i)
	if h == nil {
		// A button that is a link also arrives here, and needs no more than the ack.
		b.metrics.drop(transport.KindInteractive, droppedUnhandled)
		b.suggestions.unheard(ctx, b.log, i)
		return transport.Answer{}, nil
	}

	a, err := b.pressedIn(i, payload)
	if err != nil {
		return b.unreadablePress(ctx, payload, err)
	}
	return b.acted(ctx, h, a), nil
}

// typed is a command as an act.
func (b *Bot) typed(form url.Values, raw []byte) act {
	key, team := commandKey(form, b.cfg.AppID)
	c := commandOf(form)
	fill := func(req *Request) {
		req.Raw = raw
		req.TeamID, req.UserID, req.UserTeam = c.TeamID, c.UserID, c.TeamID
		req.ChannelID, req.Text, req.TriggerID = c.ChannelID, c.Text, c.TriggerID
		req.address = connection.Secret(c.ResponseURL)
	}
	return act{
		kind: transport.KindCommands, key: key, team: team, fill: fill, payload: &c, raw: raw,
		trigger: c.TriggerID, address: connection.Secret(c.ResponseURL),
	}
}

// pressedIn is an interaction as an act.
func (b *Bot) pressedIn(i *interaction, payload []byte) (act, error) {
	callback, left, err := lenient.Decode[slack.InteractionCallback](payload)
	if len(left) > 0 {
		b.metrics.leftOut(b.log, transport.KindInteractive, left)
	}
	a := b.pressedBy(i, payload)
	a.payload = callback
	return a, err
}

// pressedBy is pressedIn without what the handler reads: enough to answer.
func (b *Bot) pressedBy(i *interaction, payload []byte) act {
	key, team := i.key(b.cfg.AppID)
	return act{
		kind: transport.KindInteractive, key: key, team: team, fill: i.fill(team, payload), raw: payload, trigger: i.Trigger,
		address: connection.Secret(i.ResponseURL), thread: i.thread(), pressed: i,
	}
}

// acted runs the handler of what somebody did, or keeps it for later if that is slow. It answers within Slack's 3 s
// whatever happens.
func (b *Bot) acted(ctx context.Context, h *Handler, a act) transport.Answer {
	lang := b.gate.lang()
	to := &reach{act: a, handler: h.id(), ctx: ctx}
	span := b.spans.Current(ctx)
	span.Say(spans.Handler, to.handler)
	span.Say(spans.Team, a.team)
	if h.async {
		r, closing := b.postpone(ctx, h, a)
		switch h.Kind {
		case KindAction:
			return transport.Answer{After: b.answers.refused(r, closing, to)}
		case KindViewSubmission:
			return answerOfView(lang, r)
		}
		ack := answerOf(lang, r)
		ack.After = closing
		return ack
	}

	b.metrics.delivered(a.kind, "accepted")
	r := b.answers.immediate(ctx, h, a)
	var ack transport.Answer
	switch h.Kind {
	case KindCommand:
		ack, to.acked = answerOf(lang, r.reply), true
		ack.TooLarge = func() {
			first := &result{reply: r.reply.parts(lang)[0], ref: r.ref, req: r.req}
			b.tasks.Go(func() { b.answers.send(first, to, false, false) })
		}
	case KindViewSubmission:
		ack, to.acked, to.form = answerOfView(lang, r.reply), true, a.raw
		if len(ack.Body) > largestAck && !r.reply.push { // a socket carries no more, and would close the window
			ack, to.acked = answerOfView(lang, Text(lang.Say("bot.moment"))), false
		}
	case KindOptions: // what comes too late, and what went wrong, has no place
		return answerOfOptions(r.reply)
	}

	// A button's answer goes to the response_url: Slack shows nothing of the body of its acknowledgement. Of a modal that
	// was closed only what went wrong is left to be said.
	ack.After = b.answers.after(r, to)
	return ack
}

func commandOf(form url.Values) slack.SlashCommand {
	return slack.SlashCommand{
		TeamID: form.Get("team_id"), TeamDomain: form.Get("team_domain"),
		EnterpriseID: form.Get("enterprise_id"), EnterpriseName: form.Get("enterprise_name"),
		IsEnterpriseInstall: form.Get("is_enterprise_install") == "true",
		ChannelID:           form.Get("channel_id"), ChannelName: form.Get("channel_name"),
		UserID: form.Get("user_id"), UserName: form.Get("user_name"),
		Command: form.Get("command"), Text: form.Get("text"),
		ResponseURL: form.Get("response_url"), TriggerID: form.Get("trigger_id"), APIAppID: form.Get("api_app_id"),
	}
}
