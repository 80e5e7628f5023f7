package bot

// From an accepted delivery to a handler that holds the right workspace's token: or to none.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/install/slackapi"
)

// call runs h and turns a panic into an error.
func call(ctx context.Context, h Handler, t *Turn, payload any) (r Reply, err error) {
	err = guard(func() (err error) { r, err = h.run(ctx, t, payload); return err })
	return r, err
}

// then runs the second part of a reply, as safely as the first.
func then(ctx context.Context, r Reply) (later Reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, afterBudget)
	defer cancel()
	err = guard(func() (err error) { later, err = r.Then(ctx); return err })
	return later, err
}

// turn opens the connection for key, within patience, for work in a workspace. Without a usable one the Turn has no client, and err
// says why.
func (b *Bot) turn(ctx context.Context, key connection.Key, team, ref string, patience time.Duration) (*Turn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := b.install.Open(ctx, key)
	t := &Turn{Key: key, TeamID: team, Install: InstallationOf(b.install, key, c), Ref: ref,
		openErr: err, hooks: b.respond, audit: b.viewers, idle: b.idle}
	if err == nil {
		t.Connection = c
		t.Slack = b.install.ClientIn(c, team)
		t.Log = b.log.With("ref", ref, "connection", c.ID, "team", orElse(c.TeamID, team))
		return t, nil
	}
	t.Connection = c
	t.Log = b.log.With("ref", ref, "key", key.String())
	return t, err
}

// acceptCommand runs a slash command's handler at once and answers within Slack's 3 s whatever happens.
// https://docs.slack.dev/interactivity/implementing-slash-commands
func (b *Bot) acceptCommand(ctx context.Context, form url.Values) (answer, error) {
	appID := form.Get("api_app_id")
	if !b.ours(ctx, "command", appID) {
		return answer{}, nil
	}
	key, team := commandKey(form, b.cfg.AppID)
	command := commandOf(form)
	h, ok := b.byName[string(KindCommand)+" "+command.Command]
	if !ok {
		b.metrics.drop(kindCommands, droppedUnhandled)
		b.log.InfoContext(ctx, "unknown command", "command", clip(command.Command))
		return answerOf(Reply{Text: "This app doesn't know that command."}), nil
	}
	fill := fillCommand(command)
	who := asks{team: team}
	if h.slow {
		work := slowWork{Form: form.Encode(), Trigger: command.TriggerID}
		r, closing := b.postpone(ctx, h, key, kindCommands, work, who, fill, &command)
		a := answerOf(r)
		a.after = closing
		return a, nil
	}
	b.metrics.accepted.WithLabelValues(kindCommands, "accepted").Inc()
	r := b.immediate(ctx, h, key, who, fill, &command)
	to := reach{handler: h.id(), key: key, team: team, fill: fill,
		address: connection.Secret(command.ResponseURL), acked: true}
	a := answerOf(r.reply)
	a.after = b.after(r, to)
	a.tooLarge = func() { b.tasks.Go(func() { b.send(r, to, false, false) }) }
	return a, nil
}

// fillCommand tells a Turn where a command was typed and by whom.
func fillCommand(c slack.SlashCommand) func(*Turn) {
	return func(t *Turn) {
		t.TeamID, t.UserID, t.UserTeam = c.TeamID, c.UserID, c.TeamID
		t.ChannelID, t.Text, t.Trigger = c.ChannelID, c.Text, c.TriggerID
		t.address = connection.Secret(c.ResponseURL)
	}
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

// acceptInteraction runs the handler of a button or a form at once. A button's answer goes to the response_url: Slack
// shows nothing of the body of its acknowledgement.
func (b *Bot) acceptInteraction(ctx context.Context, payload []byte) (answer, error) {
	i, _, err := decode[interaction](payload)
	if err != nil {
		return b.unreadablePress(ctx, payload, err)
	}
	if !b.ours(ctx, "interaction", i.AppID) {
		return answer{}, nil
	}
	h, found := b.interactionHandler(*i)
	if !found {
		// A button that is a link also arrives here, and needs no more than the ack.
		b.metrics.drop(kindInteractive, droppedUnhandled)
		b.log.DebugContext(ctx, "interaction without a handler", "type", clip(i.Type))
		return answer{}, nil
	}
	callback, err := b.callback(payload)
	if err != nil {
		return b.unreadablePress(ctx, payload, err)
	}
	key, team := i.key(b.cfg.AppID)
	fill, who := i.fill(team), asks{team: team, pressed: i}
	to := b.reach(i)
	to.handler = h.id()
	if h.slow {
		work := slowWork{Payload: payload, Trigger: i.Trigger}
		r, closing := b.postpone(ctx, h, key, kindInteractive, work, who, fill, callback)
		return answer{after: b.refused(r, closing, to)}, nil
	}
	b.metrics.accepted.WithLabelValues(kindInteractive, "accepted").Inc()
	r := b.immediate(ctx, h, key, who, fill, callback)
	switch h.Kind {
	case KindView:
		a := answerOfView(r.reply)
		to.acked, to.form = true, payload
		a.after = b.after(r, to)
		return a, nil
	case KindClosed:
		return answer{}, nil // there is nothing left to show it in
	}
	return answer{after: b.after(r, to)}, nil
}

// reach is the way to the person who acted.
func (b *Bot) reach(i *interaction) reach {
	key, team := i.key(b.cfg.AppID)
	return reach{key: key, team: team, fill: i.fill(team),
		address: connection.Secret(i.ResponseURL), thread: i.thread(), pressed: i}
}

// refused is what follows the acknowledgement of a slow press that was not begun, for the reason in r: its modal is
// closed with these words, and who pressed reads them.
func (b *Bot) refused(r Reply, closing func(), to reach) func() {
	told := b.after(result{reply: r, ref: install.NewRef()}, to)
	switch {
	case closing == nil:
		return told
	case told == nil || to.address == "": // the modal is there to say it
		return closing
	}
	return func() { closing(); told() }
}

// callback reads an interaction for its handler, without the parts of it that can't be read.
func (b *Bot) callback(payload []byte) (*slack.InteractionCallback, error) {
	callback, left, err := decode[slack.InteractionCallback](payload)
	if len(left) > 0 {
		b.leftOut(b.log, kindInteractive, left)
	}
	return callback, err
}

// leftOut notes what a handler does without, because this release can't read it. The names are of fields, not what
// people wrote.
func (b *Bot) leftOut(log *slog.Logger, kind string, parts []string) {
	const most = 10
	b.metrics.unread.WithLabelValues(kind).Inc()
	log.Warn("parts of a payload can't be read: the handler gets the rest", "kind", kind, "parts", len(parts),
		"first", clip(strings.Join(parts[:min(most, len(parts))], " ")))
}

// interactionHandler finds the handler of an interaction.
func (b *Bot) interactionHandler(i interaction) (h Handler, found bool) {
	switch i.Type {
	case "block_actions":
		for _, a := range i.Actions {
			if h, found = b.byName[string(KindAction)+" "+a.ActionID]; found {
				return h, true
			}
		}
	case "view_submission", "view_closed":
		if i.View == nil {
			return Handler{}, false
		}
		kind := KindView
		if i.Type == "view_closed" {
			kind = KindClosed
		}
		h, found = b.byName[string(kind)+" "+i.View.CallbackID]
	}
	return h, found
}

// broke logs and counts a panic in something that somebody waits for, and returns what they read.
func (b *Bot) broke(ctx context.Context, ref string, err error, args ...any) Reply {
	b.metrics.panics.Inc()
	b.log.ErrorContext(ctx, "work panicked: it is given up", failure(err, append(args, "ref", ref)...)...)
	return Reply{Text: "Something went wrong on our side. Try again in a moment. Reference: " + ref + "."}
}

// unavailable is what a person reads when there is no connection to work with.
func (b *Bot) unavailable(ctx context.Context, t *Turn, err error) Reply {
	app := b.install.App().Name
	if t.outsider {
		return t.notForOutsiders()
	}
	if errors.Is(err, install.ErrNotConnected) {
		h := t.Health()
		text := fmt.Sprintf("%s can't do that here: %s %s", app, h.Sentence, h.NextStep)
		if h.GrantURL != "" {
			text += " Here: " + h.GrantURL
		}
		return Reply{Text: text, private: true}
	}
	if t.Renewing() {
		t.Log.WarnContext(ctx, "open connection", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return b.renewing(t)
	}
	b.log.ErrorContext(ctx, "open connection", "ref", t.Ref, "key", t.Key.String(), "cause", err)
	return Reply{Text: fmt.Sprintf("%s can't reach its records right now. Try again in a few minutes. Reference: %s.",
		app, t.Ref)}
}

// renewing is what a person reads when the access ran out and Slack gives no new one just now.
func (b *Bot) renewing(t *Turn) Reply {
	return Reply{Text: fmt.Sprintf("%s couldn't renew its access with Slack just now. Try again in a minute. "+
		"Reference: %s.", b.install.App().Name, t.Ref)}
}

// failed logs a handler's error and returns what the person reads.
func (b *Bot) failed(ctx context.Context, t *Turn, h Handler, err error) Reply {
	if r, refused := userWord(err); refused {
		return r
	}
	if missing := h.refused(t, err); len(missing) > 0 {
		return b.notAllowed(t, h, missing)
	}
	if r, ok := b.interrupted(ctx, t.Ref); ok {
		t.Log.WarnContext(ctx, "handler ended with its context",
			failure(err, "handler", h.id(), "why", context.Cause(ctx))...)
		return r
	}
	b.logFailure(ctx, t, h, err)
	if errors.As(err, new(*panicError)) {
		b.metrics.panics.Inc()
	}
	// What a handler did before it failed isn't known here, so nothing is said of that.
	wait, limited := slackapi.RetryAfter(err)
	switch code := slackapi.SlackError(err); {
	case t.outsider: // who learns nothing of the workspace, not even that
	case code == connection.ReasonNotAdded:
		return Reply{Text: fmt.Sprintf("Your organisation has %s, this workspace doesn't yet. "+
			"An admin of the organisation can add it here: %s",
			b.install.App().Name, b.install.AddToWorkspacesURL(t.Connection.Key))}
	case install.Moving(code):
		return Reply{Text: fmt.Sprintf("This workspace is being moved into an organisation, and Slack lets %s do nothing "+
			"until that is done. Try again later. Reference: %s.", b.install.App().Name, t.Ref)}
	case errors.Is(err, install.ErrRenewing): // of a person's own access: see AsUser
		return Reply{Text: fmt.Sprintf("%s couldn't renew its access with Slack just now. Try again in a minute. "+
			"Reference: %s.", b.install.App().Name, t.Ref)}
	case limited:
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		return Reply{Text: fmt.Sprintf("Slack asks %s to slow down here. Try again in %d s. Reference: %s.", b.install.App().Name, seconds, t.Ref)}
	}
	return Reply{Text: "Something went wrong on our side. Check what was done before you try again. " +
		"Reference: " + t.Ref + "."}
}

func (b *Bot) logFailure(ctx context.Context, t *Turn, h Handler, err error) {
	level := map[class]slog.Level{wait: slog.LevelInfo, final: slog.LevelWarn, later: slog.LevelError}[classOf(err)]
	t.Log.Log(ctx, level, "handler failed", failure(err, "handler", h.id(), "attempt", t.Attempt)...)
}

// failure adds what an operator wants to know of err to the attributes of a log line.
func failure(err error, args ...any) []any {
	args = append(args, "cause", reason(err), "slack_error", slackapi.SlackError(err))
	var p *panicError
	if errors.As(err, &p) {
		args = append(args, "stack", string(p.stack))
	}
	return args
}

// handle finds the handler of e and runs it. nil: nothing more to do. env is e's decoded body, when the caller has it.
func (b *Bot) handle(ctx context.Context, e *Event, env *envelope) error {
	switch {
	case e.Kind != kindEvents:
		return b.handleSlow(ctx, e)
	case e.Deaths >= mostDeaths:
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
	in := env.Inner
	if e.Type == kindUnreadable { // by the release that accepted it
		e.Type, e.Key = in.Type, from.key
	}
	if !b.hears(e.Type, in) {
		e.dropped(b, droppedUnhandled)
		b.sawTraffic(e.Key, from.at)
		return nil
	}
	ref := install.NewRef()
	t := &Turn{Key: e.Key, Install: InstallationOf(b.install, e.Key, connection.Connection{}), Ref: ref,
		Log: b.log.With("ref", ref, "key", e.Key.String())}
	if !lifecycle(e.Type) { // there the token is dead already
		var err error
		if t, err = b.turn(ctx, e.Key, from.teamID, ref, eventOpenBudget); err != nil && !errors.Is(err, install.ErrNotConnected) {
			return &notOpened{err} // our records are silent, or its access is being renewed
		}
	}
	connected := t.Slack != nil
	botUser := orElse(t.Connection.BotUserID, from.botUserID)
	if connected {
		b.sawTraffic(t.Connection.Key, from.at)
	}
	if own(e.Type, in, e.Key.AppID, botUser, t.Connection.BotID) {
		e.dropped(b, droppedOwn)
		return nil
	}
	h, match, ok := b.route(e.Type, in, botUser)
	if !ok {
		e.dropped(b, droppedUnhandled)
		return nil
	}
	e.by = h
	if !connected && !h.always {
		e.ran = ranNotConnected
		t.Log.InfoContext(ctx, "event dropped: not connected", "type", e.Type, "event", e.ID)
		return nil
	}
	t.TeamID = from.teamID
	t.UserID, t.ChannelID, t.ThreadTS = in.where()
	t.UserTeam = orElse(in.UserTeam, orElse(in.SourceTeam, text(in.Team)))
	t.Text, t.Match, t.Shared, t.At = in.Text, match, env.Shared, from.at
	// Without asking Slack nobody else in a shared channel is known to be of this side.
	t.outsider = t.Shared && (t.UserTeam == "" || t.UserTeam != t.Connection.TeamID && t.UserTeam != t.Connection.EnterpriseID)
	t.context, t.audit = env.Context, b.viewers
	t.channelType, t.BotID = in.ChannelType, in.BotID
	if missing := h.missing(t); len(missing) > 0 && !h.always {
		e.ran = ranNotAllowed
		// Only what was said to the app has somebody who waits for an answer.
		if asked := h.Kind == KindMessage || e.Type == "app_mention"; asked {
			b.whisperNotAllowed(ctx, t, missing)
		} else {
			t.Log.InfoContext(ctx, "event dropped: not allowed", "type", e.Type, "missing_scopes", missing)
		}
		return nil
	}
	b.attempt(t, e)
	event, err := eventOf(e.Body)
	if err != nil {
		return &decodeError{err}
	}
	r, err := b.within(ctx, h, t, event)
	if err == nil {
		err = b.say(ctx, t, b.sound(h, t, r, false))
	}
	e.ran = resultOf(ctx, h, t, err)
	if r, refused := userWord(err); refused {
		b.tellActor(ctx, t, r)
		return nil
	}
	if slackapi.SlackError(err) == connection.ReasonNotAdded {
		t.Log.InfoContext(ctx, "event dropped: the organisation's app was not added to this workspace", "type", e.Type, "event", e.ID)
		return nil
	}
	if missing := h.refused(t, err); len(missing) > 0 {
		b.whisperNotAllowed(ctx, t, missing)
		return nil
	}
	if err != nil {
		b.logFailure(ctx, t, h, err)
	}
	return err
}

// attempt tells a Turn which attempt at what it is.
func (b *Bot) attempt(t *Turn, e *Event) {
	t.EventID, t.Attempt = e.ID, e.Attempt
	t.said = &said{inbox: b.inbox, event: e, now: b.now}
	t.Log = t.Log.With("event", e.ID)
	t.unread = func(parts []string) { b.leftOut(t.Log, e.Kind, parts) }
}

// dropped notes that e comes to no handler.
func (e *Event) dropped(b *Bot, why string) {
	e.ran = why
	b.metrics.drop(e.Kind, why)
}

// resultOf names how a run of h ended, for the numbers.
func resultOf(ctx context.Context, h Handler, t *Turn, err error) string {
	switch {
	case err == nil:
		return ranDone
	case errors.As(err, new(*UserError)):
		return ranUserError
	case slackapi.SlackError(err) == connection.ReasonNotAdded:
		return ranNotConnected
	case len(h.refused(t, err)) > 0:
		return ranNotAllowed
	case errors.As(err, new(*panicError)):
		return ranPanicked
	case context.Cause(ctx) != nil, errors.Is(err, errTooLong):
		return ranEnded
	case classOf(err) == wait, errors.Is(err, install.ErrRenewing):
		return ranLimited
	}
	return ranFailed
}

// timed is call, measured.
func (b *Bot) timed(ctx context.Context, h Handler, t *Turn, payload any) (Reply, error) {
	began := time.Now()
	defer func() { b.metrics.took.WithLabelValues(string(h.Kind)).Observe(time.Since(began).Seconds()) }()
	return call(ctx, h, t, payload)
}

// within runs h for as long as it may take.
func (b *Bot) within(ctx context.Context, h Handler, t *Turn, payload any) (Reply, error) {
	limit := h.limit
	if limit == 0 {
		limit = eventBudget
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	r, err := b.timed(ctx, h, t, payload)
	if err != nil && errors.Is(context.Cause(ctx), errTooLong) {
		err = fmt.Errorf("%w: %w", errTooLong, err)
	}
	return r, err
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
	user := cmp.Or(text(in.User), text(in.UserID))
	return botUser != "" && user == botUser || botID != "" && in.BotID == botID
}

// mentions reports whether a text mentions the user, as <@U1> or <@U1|name>.
func mentions(text, user string) bool {
	return user != "" && (strings.Contains(text, "<@"+user+">") || strings.Contains(text, "<@"+user+"|"))
}

// written reports whether a message is new and somebody wrote it: a person, another bot or a workflow.
func (in inner) written() bool {
	return writtenSubtypes[in.Subtype] && !in.Hidden && (text(in.User) != "" || in.BotID != "")
}

// writtenSubtypes are the message subtypes of what somebody wrote; edits, deletions and joins are not among them.
// https://docs.slack.dev/reference/events/message
var writtenSubtypes = map[string]bool{
	"": true, "bot_message": true, "file_share": true, "me_message": true, "thread_broadcast": true,
}

// hears reports whether any handler could want an event, before anything is looked up for it.
func (b *Bot) hears(kind string, in inner) bool {
	if kind == "message" {
		return len(b.messages) > 0 && in.written()
	}
	_, ok := b.byName[string(KindEvent)+" "+kind]
	return ok
}

// route picks the handler for an event. One message that arrives both as message and as app_mention goes to one of them:
// to the mention's handler in a channel, to the message's in a direct message. That depends on nothing but the event, so
// replicas that see one each agree.
func (b *Bot) route(kind string, in inner, botUser string) (h Handler, match []string, ok bool) {
	mention, mentionable := b.byName[string(KindEvent)+" app_mention"]
	direct := in.ChannelType == "im" || in.ChannelType == "" && strings.HasPrefix(text(in.Channel), "D")
	switch kind {
	case "message":
		if !in.written() {
			return Handler{}, nil, false
		}
		if !direct && mentionable && mentions(in.Text, botUser) {
			return Handler{}, nil, false
		}
		where := in.ChannelType
		if direct {
			where = "im"
		}
		for _, h := range b.messages {
			if !h.listens(where) {
				continue
			}
			if match := h.pattern.FindStringSubmatch(in.Text); match != nil {
				return h, match, true
			}
		}
		return Handler{}, nil, false
	case "app_mention":
		if direct && slices.ContainsFunc(b.messages, func(h Handler) bool { return h.listens("im") }) {
			return Handler{}, nil, false
		}
		return mention, nil, mentionable
	}
	h, ok = b.byName[string(KindEvent)+" "+kind]
	return h, nil, ok
}

// sawTraffic writes down, at most once a minute for each connection, that Slack still sends something.
func (b *Bot) sawTraffic(k connection.Key, at time.Time) {
	const every, most, patience = time.Minute, 100_000, 10 * time.Second
	now := b.now()
	b.mu.Lock()
	last, known := b.seen[k]
	due := !known || now.Sub(last) >= every
	if due {
		if len(b.seen) >= most {
			clear(b.seen) // costs one extra write per connection
		}
		b.seen[k] = now
	}
	b.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.install.SawEvent(ctx, k, at); err != nil && !errors.Is(err, install.ErrNotFound) {
		b.log.WarnContext(ctx, "keep time of last event", "key", k.String(), "cause", err)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
