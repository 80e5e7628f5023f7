package bot

// The gate. Whatever comes, and however it comes, passes here on its way to a handler: whose is it, may this person, is
// the connection good, are the permissions there, then the handler. What came of it is an outcome. Each way in says it
// in its own place, and in the same words.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/words"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// gate lets in whom it may, with the connection opened for them. It may be used from any number of goroutines.
type gate struct {
	install   *install.Installer
	insiders  *insiders
	responses *responses
	audience  *audience
	metrics   *metrics
	tasks     *tasks
	onError   func(ctx context.Context, r *Request, err error) error // nil: errors stay as they are
	log       *slog.Logger
	values    Values  // nil: there are none
	timers    *timers // nil: there are none
	now       func() time.Time
	spans     spans.Tracer
}

// lang is what the app says in.
func (g *gate) lang() *words.Sentences { return g.install.App().Words }

// app is the app's name, for a text in Slack's mrkdwn.
func (g *gate) app() string { return mrkdwn.Escape(g.install.App().Name) }

// say is a sentence about the app, with a reference that leads to what the log has.
func (g *gate) say(key, ref string) Reply {
	return Reply{Text: g.lang().Say(key, "app", g.app(), "reference", ref)}
}

// visit is what passes the gate. Kinds and ways in differ in these fields, not in code.
type visit struct {
	key      connection.Key     // whose connection it is for
	team     string             // the workspace it happened in
	ref      string             // for people to quote
	event    string             // what the inbox calls it; "": it isn't there
	patience time.Duration      // for opening the connection; 0: it isn't opened, because its access is gone already
	patient  bool               // while our records are away nothing is decided, because it can come again
	pressed  *interaction       // what was pressed; nil: nothing was
	fill     func(req *Request) // who acts, and where. The connection is open by then, if it can be

	// find returns the handler, or why there is none: see dropped….
	find func(req *Request) (h *Handler, dropped string)
	run  func(ctx context.Context, h *Handler, req *Request) (Reply, error)
}

// runner runs a handler, recovered.
type runner func(ctx context.Context, h *Handler, req *Request, payload any) (Reply, error)

// outcome is what came of a visit.
type outcome struct {
	req     *Request
	by      *Handler // nil: there is none, or that could not be decided
	dropped string   // why there is none
	begun   bool     // whether the handler ran
	ran     string   // how that ended, or why it wasn't begun: see ran…
	reply   Reply    // the handler's, when it is done
	told    *Reply   // the word for who acted, and nobody else, that they are refused
	missing []string // permissions without which it can't be done
	err     error    // the handler's; of one that wasn't begun, why there is no connection
}

// refused reports whether the handler can't do this for who acted, or not with this connection. Trying again would not
// help.
func (o outcome) refused() bool {
	return o.told != nil || len(o.missing) > 0 || o.ran == ranNotConnected
}

// pass brings v to its handler if that may run. What stands before the handler has to be done before the context before
// ends, the handler itself before run does.
//
// Who acts is asked first of all, because people of other companies hear nothing of the connection.
func (g *gate) pass(before, run context.Context, v visit) outcome {
	req, err := g.request(before, v)
	v.fill(req)
	// Without asking Slack nobody else in a shared channel is known to be of this side.
	req.outsider = req.Shared && sideOf(req.Connection, req.UserTeam) != ours
	o := outcome{req: req, err: err}
	if v.patient && err != nil && !errors.Is(err, connection.ErrNotConnected) {
		return o
	}

	h, dropped := v.find(req)
	if dropped != "" {
		o.dropped = dropped
		return o
	}

	o.by, req.handler = h, h
	if o.told = g.insiders.admit(before, h, req, v.pressed); o.told != nil {
		o.ran = ranNotTheirs
		return o
	}
	if err != nil && !h.always {
		o.ran = unopened(err)
		return o
	}

	if !h.always {
		if o.missing = h.missing(req); len(o.missing) > 0 {
			o.ran = ranNotAllowed
			return o
		}
	}

	o.begun = true
	o.reply, o.err = v.run(run, h, req)
	if h.Kind == KindViewSubmission && o.reply.InChannel {
		g.metrics.idle(req.Log, h.id(), []string{"InChannel"})
	}
	if o.ran = resultOf(run, h, req, o.err); o.err == nil {
		return o
	}

	if word, refused := userWord(o.err); refused {
		o.told = &word
		return o
	}
	o.missing = h.refused(req, o.err)
	return o
}

// words are what who acted reads where the handler has no answer for them.
func (g *gate) words(ctx context.Context, o outcome) Reply {
	switch {
	case o.told != nil:
		return *o.told
	case len(o.missing) > 0:
		return o.req.NotAllowed(o.missing...)
	case !o.begun:
		return g.unavailable(ctx, o.req, o.err)
	}
	return g.failed(ctx, o.req, o.by, o.err)
}

// request opens the connection that v is for, within its patience. Without a usable one the Request has no client, and
// err says why.
func (g *gate) request(ctx context.Context, v visit) (*Request, error) {
	req := &Request{Key: v.key, TeamID: v.team, EnterpriseID: v.key.EnterpriseID, Ref: v.ref, gate: g, timers: g.timers}
	err := connection.ErrNotConnected
	if v.patience > 0 {
		ctx, cancel := context.WithTimeout(ctx, v.patience)
		defer cancel()
		req.Connection, err = g.install.Open(ctx, v.key)
		req.openErr = err
	}

	c := req.Connection
	req.Install = InstallationOf(g.install, v.key, c)
	req.store = Store{values: g.values, of: homeOf(c, v.team), now: g.now}

	about := append(make([]slog.Attr, 0, 4), slog.String("ref", v.ref))
	if err == nil {
		req.Client = g.install.Connections().ClientIn(c, v.team)
		about = append(about, slog.String("connection", c.ID), slog.String("team", cmp.Or(c.TeamID, v.team)))
	} else {
		about = append(about, slog.String("key", v.key.String()))
	}
	if v.event != "" {
		about = append(about, slog.String("event", v.event))
	}
	req.Log = slog.New(g.log.Handler().WithAttrs(about))
	return req, err
}

// timed is call, measured, for as long as h says.
func (g *gate) timed(ctx context.Context, h *Handler, req *Request, payload any) (Reply, error) {
	return g.limited(ctx, h, h.limit, req, payload)
}

// limited is timed with a limit; 0: none. h is everybody's, so it can't be set there.
func (g *gate) limited(ctx context.Context, h *Handler, limit time.Duration, req *Request, payload any) (Reply, error) {
	began := time.Now()
	ctx, span := g.began(ctx, h, req)
	defer span.End()
	defer func() {
		if !h.first {
			g.metrics.tookFor(h, time.Since(began))
		}
	}()
	if limit > 0 {
		bounded, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
		defer cancel()
		ctx = bounded
	}

	r, err := call(ctx, h, req, payload)
	if err != nil && errors.Is(context.Cause(ctx), errTooLong) {
		err = fmt.Errorf("%w: %w", errTooLong, err)
	}
	if err != nil && g.onError != nil && !h.first {
		was := err
		if broken := guard(func() error { err = g.onError(ctx, req, was); return nil }); broken != nil {
			err = errors.Join(was, broken)
		}
	}
	if span.Wanted() {
		result := resultOf(ctx, h, req, err)
		span.Say(spans.Result, result)
		span.Say(spans.Error, slackapi.SlackError(err))
		if result != ranDone && result != ranUserError {
			span.Fail(result)
		}
	}
	return r, err
}

// began is the span of a run of h.
func (g *gate) began(ctx context.Context, h *Handler, req *Request) (context.Context, spans.Span) {
	if !g.spans.On() {
		return ctx, spans.Span{}
	}
	ctx, span := g.spans.Start(ctx, trace.SpanKindInternal, "run", h.id())
	span.Say(spans.Handler, h.id())
	span.Say(spans.Team, cmp.Or(req.TeamID, req.Key.TeamID))
	span.Say(spans.Reference, req.Ref)
	span.Say(spans.Connection, req.Connection.ID)
	return ctx, span
}

// within runs h for as long as events and durable work may take, unless it says otherwise.
func (g *gate) within(ctx context.Context, h *Handler, req *Request, payload any) (Reply, error) {
	usual := eventBudget
	if h.Kind == KindAgentMessage {
		usual = agentBudget
	}
	return g.limited(ctx, h, cmp.Or(h.limit, usual), req, payload)
}

// call runs h, turns a panic into an error, and returns the answer that h recorded.
func call(ctx context.Context, h *Handler, req *Request, payload any) (Reply, error) {
	if err := guard(func() error { return h.runIn(ctx, req, payload) }); err != nil {
		return Reply{}, err
	}
	return req.answer.get(), nil
}

// runIn runs h within its middleware.
func (h *Handler) runIn(ctx context.Context, req *Request, payload any) error {
	if h.chain == nil {
		return h.run(ctx, req, payload)
	}
	req.work = func(ctx context.Context, req *Request) error { return h.run(ctx, req, payload) }
	return h.chain(ctx, req)
}

// unopened names why a handler was not begun, for the numbers.
func unopened(err error) string {
	if errors.Is(err, connection.ErrNotConnected) {
		return ranNotConnected
	}
	return ranUnavailable
}

// resultOf names how a run of h ended, for the numbers.
func resultOf(ctx context.Context, h *Handler, req *Request, err error) string {
	switch {
	case err == nil:
		return ranDone
	case errors.As(err, new(*UserError)):
		return ranUserError
	case slackapi.SlackError(err) == connection.ReasonNotAdded:
		return ranNotConnected
	case len(h.refused(req, err)) > 0:
		return ranNotAllowed
	case errors.As(err, new(*panicError)):
		return ranPanicked
	case context.Cause(ctx) != nil, errors.Is(err, errTooLong):
		return ranEnded
	case classOf(err) == wait, errors.Is(err, connection.ErrRenewing):
		return ranLimited
	}
	return ranFailed
}

// unavailable is what a person reads when there is no connection to work with.
func (g *gate) unavailable(ctx context.Context, req *Request, err error) Reply {
	if req.External() {
		return req.notForOutsiders()
	}

	if errors.Is(err, connection.ErrNotConnected) {
		h := req.Health()
		said := []string{g.lang().Say("bot.cant_here", "app", g.app()), mrkdwn.Escape(h.Sentence)}
		if h.NextStep != "" {
			said = append(said, mrkdwn.Escape(h.NextStep))
		}
		if h.GrantURL != "" {
			said = append(said, g.lang().Say("bot.fix_it", "link", h.GrantURL))
		}
		return Reply{Text: strings.Join(said, " "), private: true}
	}

	if req.Renewing() {
		req.Log.WarnContext(ctx, "open connection", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
		return g.renewing(req)
	}

	g.log.ErrorContext(ctx, "open connection", "ref", req.Ref, "key", req.Key.String(), "cause", err)
	return g.say("bot.records_silent", req.Ref)
}

// renewing is what a person reads when the access ran out and Slack gives no new one just now.
func (g *gate) renewing(req *Request) Reply {
	return g.say("bot.not_renewed", req.Ref)
}

// failed logs a handler's error and returns what the person reads.
func (g *gate) failed(ctx context.Context, req *Request, h *Handler, err error) Reply {
	if r, ok := g.interrupted(ctx, req.Ref); ok {
		req.Log.WarnContext(ctx, "handler ended with its context",
			failure(err, "handler", h.id(), "why", context.Cause(ctx))...)
		return r
	}

	logFailure(ctx, req, h, err)
	if errors.As(err, new(*panicError)) {
		g.metrics.panics.Inc()
	}

	// What a handler did before it failed isn't known here, so nothing is said of that.
	wait, limited := slackapi.RetryAfter(err)
	switch code := slackapi.SlackError(err); {
	case req.External(): // who learns nothing of the workspace, not even that
	case code == connection.ReasonNotAdded:
		link := g.install.Connections().AddToWorkspacesURL(req.Connection.Key)
		return Reply{Text: g.lang().Say("bot.not_added", "app", g.app(), "link", link)}
	case slackapi.Moving(code):
		return g.say("bot.moving", req.Ref)
	case errors.Is(err, connection.ErrRenewing): // of a person's own access: see UserClient
		return g.renewing(req)
	case limited:
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		return Reply{Text: g.lang().Say("bot.slow_down", "app", g.app(), "count", seconds, "reference", req.Ref)}
	}
	return wentWrong(req, err)
}

// wentWrong is what a person reads of err where nothing better can be said.
func wentWrong(req *Request, err error) Reply {
	if errors.Is(err, errTooLong) {
		return Text(req.lang().Say("bot.too_long", "reference", req.Ref))
	}
	return Text(req.lang().Say("bot.failed", "reference", req.Ref))
}

// interrupted is what the person reads whose handler's context ended; false: it did not.
func (g *gate) interrupted(run context.Context, ref string) (Reply, bool) {
	switch cause := context.Cause(run); {
	case errors.Is(cause, errStopping):
		g.metrics.late.WithLabelValues("interrupted").Inc()
		return g.say("bot.restarting", ref), true
	case errors.Is(cause, errTooLong):
		return g.say("bot.too_long_for_slack", ref), true
	}
	return Reply{}, false
}

// broke logs and counts a panic in something that somebody waits for, and returns what they read.
func (g *gate) broke(ctx context.Context, ref string, err error, args ...any) Reply {
	g.metrics.panics.Inc()
	g.log.ErrorContext(ctx, "work panicked: it is given up", failure(err, append(args, "ref", ref)...)...)
	return g.say("bot.failed_at_once", ref)
}

func logFailure(ctx context.Context, req *Request, h *Handler, err error) {
	level := map[class]slog.Level{wait: slog.LevelInfo, final: slog.LevelWarn, later: slog.LevelError}[classOf(err)]
	req.Log.Log(ctx, level, "handler failed", failure(err, "handler", h.id(), "attempt", req.Attempt)...)
}

// failure adds what an operator wants to know of err to the attributes of a log line.
func failure(err error, args ...any) []any {
	args = append(args, "cause", reason(err), "slack_error", slackapi.SlackError(err))
	if details := slackapi.Details(err); details != "" {
		args = append(args, "slack_details", details)
	}
	var p *panicError
	if errors.As(err, &p) {
		args = append(args, "stack", string(p.stack))
	}
	return args
}

// then runs the second part of a reply, as safely as the first.
func then(ctx context.Context, r Reply) (later Reply, err error) {
	ctx, cancel := context.WithTimeout(ctx, afterBudget)
	defer cancel()
	err = guard(func() (err error) { later, err = r.Then(ctx); return err })
	return later, err
}

// next returns the second part of an answer, or what it refuses who waits for it. Not ok: it failed, which is counted,
// and logged with args.
func (g *gate) next(ctx context.Context, log *slog.Logger, r Reply, args ...any) (later Reply, ok bool) {
	later, err := then(ctx, r)
	if told, refused := userWord(err); refused {
		return told, true
	}
	if err != nil {
		g.metrics.lose(lostSecondPart)
		log.WarnContext(ctx, "second part of a reply", failure(err, args...)...)
	}
	return later, err == nil
}
