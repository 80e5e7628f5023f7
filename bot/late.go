package bot

// A command, a press or a form is acknowledged within Slack's 3 s, whether its handler is done or not. The handler
// itself runs on, for as long as Slack takes its answer, and what it comes to is brought to the person behind the
// acknowledgement.

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/words"
	"github.com/switchboard-go/switchboard/internal/spans"
)

const (
	// So long a handler that runs right away can run: Slack takes its answer for 30 minutes, half a minute of which is for
	// posting it. For a form, whose window could be changed for longer, it is the same.
	lateLife = responseLife - 30*time.Second
	// So long it may run when the program stops. Its person is told then.
	lateStop = 10 * time.Second
	// One that keeps to its context is done this soon after that ended.
	lateGrace = time.Second
)

// result is what an immediate handler came to.
type result struct {
	reply Reply
	ref   string
	req   *Request        // nil: the handler had none
	ran   string          // how that ended, for the numbers
	late  <-chan *result  // set when the handler was still running: what it comes to
	run   context.Context // the handler's, when it is late
}

// reach is the way to the person who acted, behind the acknowledgement.
type reach struct {
	act
	handler string
	acked   bool            // the acknowledgement carries the first answer
	form    []byte          // the payload of a form that was submitted; nil: it was none
	posts   atomic.Int32    // how often the response_url was used
	ctx     context.Context // of the delivery: what follows belongs to its trace
}

// answers runs handlers that somebody waits for, and brings what they come to behind the acknowledgement.
type answers struct {
	gate      *gate
	responses *responses
	traffic   *traffic
	metrics   *metrics
	tasks     *tasks
	log       *slog.Logger
	now       func() time.Time
	spans     spans.Tracer

	stopping context.Context // ended by stop: handlers that still run are to end
	stop     context.CancelFunc
}

// lifetime is the context of a handler whose acknowledgement waits for it until ctx ends: it goes on behind that. The
// program's stop ends it, but not before the acknowledgement.
func (s *answers) lifetime(ctx context.Context) (run context.Context, end context.CancelFunc) {
	bounded, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), lateLife, errTooLong)
	run, interrupt := context.WithCancelCause(bounded)
	disarm := context.AfterFunc(s.stopping, func() {
		<-ctx.Done()
		interrupt(errStopping)
	})
	return run, func() { disarm(); interrupt(nil); cancel() }
}

// immediate runs h and waits for it until ctx's deadline. It returns in time in every case.
func (s *answers) immediate(ctx context.Context, h *Handler, a act) *result {
	ref := install.NewRef()
	// Buffered, so that a handler nobody waits for any more still ends.
	done := make(chan *result, 1)
	run, end := s.lifetime(ctx)
	s.tasks.Go(func() {
		defer end()
		r, began := &result{ref: ref}, time.Now()
		err := guard(func() error { s.attend(ctx, run, h, a, r); return nil })
		if err != nil {
			r.reply, r.ran = s.gate.broke(run, ref, err, "handler", h.id()), ranPanicked
		}
		s.metrics.ranAs(h, r.ran)
		s.log.LogAttrs(run, slog.LevelDebug, "handler ended", slog.String("ref", ref), slog.String("handler", h.id()),
			slog.String("team", a.team), slog.String("result", r.ran),
			slog.Duration("took", time.Since(began).Round(time.Microsecond)))
		done <- r

		if req := r.req; req != nil && req.openErr == nil {
			s.traffic.saw(req.Connection.Key, s.now())
		}
	})

	select {
	case r := <-done:
		return r
	case <-ctx.Done():
		s.log.WarnContext(ctx, "handler is late: answered for it", "handler", h.id(), "ref", ref)
		return &result{reply: s.gate.say("bot.late", ref), ref: ref, late: done, run: run}
	}
}

// attend runs h if it may run, and puts its answer into r, or the sentence that says why there is none. What stands
// before it has to be done before ctx's deadline, h itself before run ends.
func (s *answers) attend(ctx, run context.Context, h *Handler, a act, r *result) {
	before, cancel := run, context.CancelFunc(func() {})
	deadline, bounded := ctx.Deadline()
	if bounded {
		before, cancel = context.WithDeadline(run, deadline)
	}
	defer cancel()

	v := a.visit(h, r.ref, askBudget, s.gate.timed)
	v.fill = func(req *Request) {
		a.fill(req)
		req.AckBy, req.answer, r.req = deadline, &recorded{}, req
	}

	o := s.gate.pass(before, run, v)
	r.reply, r.ran = o.reply, o.ran
	if o.ran != ranDone {
		r.reply = s.gate.words(run, o)
	}
}

// after returns what is to be sent behind the ack: the answer of a button, the second part of a reply, or a late
// answer; nil when that is nothing.
func (s *answers) after(r *result, to *reach) func() {
	if r.late == nil && r.reply.Then == nil && len(to.more(s.gate.lang(), r.reply)) == 0 && (to.acked || !r.reply.says()) {
		return nil
	}
	return func() { s.tasks.Go(func() { s.follow(r, to) }) }
}

// refused is what follows the acknowledgement of a slow press that was not begun, for the reason in r: its modal is
// closed with these words, and who pressed reads them.
func (s *answers) refused(r Reply, closing func(), to *reach) func() {
	told := s.after(&result{reply: r, ref: install.NewRef()}, to)
	switch {
	case closing == nil:
		return told
	case told == nil || to.address == "": // the modal is there to say it
		return closing
	}
	return func() { closing(); told() }
}

// more are the messages of an answer that the acknowledgement carried the first of.
func (to *reach) more(lang *words.Sentences, r Reply) []Reply {
	if !to.acked || to.form != nil || r.messages() <= 1 {
		return nil
	}
	return r.parts(lang)[1:]
}

// follow sends it. It blocks until all is sent: a late answer can take as long as lateLife.
func (s *answers) follow(r *result, to *reach) {
	settled := time.After(ackSettles)
	// Whether others read what an answer would take the place of: what is for one person is not put there.
	public := !to.acked || r.reply.InChannel
	late := r.late != nil
	if late {
		r = s.await(r)
	}
	if to.address != "" || to.form != nil { // what comes ahead of the acknowledgement, that replaces
		<-settled
	}

	send := func(replace, late bool) { s.send(r, to, replace && !(public && r.reply.private), late) }
	replace := r.reply.replace || late && to.acked
	if late || !to.acked {
		send(replace, late)
	} else {
		for _, part := range to.more(s.gate.lang(), r.reply) {
			s.send(&result{reply: part, ref: r.ref, req: r.req}, to, false, false)
		}
	}

	for r.reply.Then != nil {
		if r = s.second(r, to); r == nil {
			return
		}
		send(replace || to.acked, false)
	}
}

// behind is the context of what follows the acknowledgement: the request is over, and its trace goes on.
func (s *answers) behind(to *reach) context.Context {
	if !s.spans.On() {
		return context.Background()
	}
	return context.WithoutCancel(to.ctx)
}

// second is what follows an answer, nil for nothing.
func (s *answers) second(r *result, to *reach) *result {
	next, ok := s.gate.next(s.behind(to), s.log, r.reply, "handler", to.handler, "ref", r.ref)
	if !ok {
		return nil
	}
	if to.form != nil && next.InChannel {
		s.metrics.idle(s.log, to.handler, []string{"InChannel"})
	}
	return &result{reply: next, ref: r.ref, req: r.req}
}

// await blocks until a late handler has answered, or may run no longer.
func (s *answers) await(r *result) *result {
	select {
	case done := <-r.late:
		return done
	case <-r.run.Done():
	}

	select {
	case done := <-r.late:
		return done
	case <-time.After(lateGrace):
		reply, _ := s.gate.interrupted(r.run, r.ref)
		return &result{reply: reply, ref: r.ref}
	}
}

// send brings a reply to the person. One that can't be delivered is logged, and counted when it was promised.
func (s *answers) send(r *result, to *reach, replace, late bool) {
	if !r.reply.says() && !(late && to.form != nil) {
		return
	}

	ctx, cancel := context.WithTimeout(s.behind(to), afterBudget)
	defer cancel()
	ctx, span := s.spans.Start(ctx, trace.SpanKindInternal, "answer", to.handler)
	defer span.End()
	err := guard(func() error { return s.deliver(ctx, r, to, replace) })
	if errors.As(err, new(*panicError)) { // what the handler returned can't be written
		r = &result{reply: s.gate.broke(ctx, r.ref, err, "handler", to.handler), ref: r.ref, req: r.req}
		err = s.deliver(ctx, r, to, replace)
	}
	if err != nil {
		span.Fail(cmp.Or(slackapi.SlackError(err), "undelivered"))
		s.log.WarnContext(ctx, "answer not delivered", "handler", to.handler, "ref", r.ref, "late", late,
			"slack_error", slackapi.SlackError(err), "cause", reason(err))
	}

	switch {
	case late && err != nil:
		s.metrics.late.WithLabelValues("lost").Inc()
	case late:
		s.metrics.late.WithLabelValues("delivered").Inc()
	case err != nil:
		s.metrics.lose(lostUndelivered)
	}
}

func (s *answers) deliver(ctx context.Context, r *result, to *reach, replace bool) error {
	if to.form == nil && to.address != "" {
		for i, part := range r.reply.parts(s.gate.lang()) {
			err := errSilent
			if to.posts.Add(1) <= responseUses {
				err = s.responses.post(ctx, to.address, part.message(replace && i == 0, to.thread))
			}
			if (errors.Is(err, errSilent) || over(err)) && r.req != nil {
				err = r.req.whisper(ctx, part)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}

	req := s.requestAgain(ctx, r, to)
	switch {
	case req.Client == nil:
		return connection.ErrNotConnected
	case to.form != nil:
		return req.showInForm(ctx, to.form, r.reply)
	case req.pressedTS != "" && req.ChannelID != "":
		r.reply.replace = replace
		return req.answerBeside(ctx, r.reply)
	}
	return req.showOnTop(ctx, r.reply)
}

// requestAgain is the Request of what was acted, with a token that is good now: the handler may have run for long.
// While our records are away, the one it had must do.
func (s *answers) requestAgain(ctx context.Context, r *result, to *reach) *Request {
	req, err := s.gate.request(ctx, visit{key: to.key, team: to.team, ref: r.ref, patience: eventOpenBudget})
	to.fill(req)
	if err != nil && r.req != nil && r.req.Client != nil {
		return r.req
	}
	return req
}

// answerBeside answers what was pressed in a message that has no response_url, as those of a workflow's step have none:
// in the place of the message, beside it for everybody, or for who pressed alone. The workspace's client does that,
// because the step's token may have ended with the step.
func (req *Request) answerBeside(ctx context.Context, r Reply) error {
	switch {
	case r.private:
	case r.replace:
		err := req.change(ctx, []string{req.pressedTS}, r)
		if slackapi.SlackError(err) == "" {
			return err
		}
		req.Log.InfoContext(ctx, "a message isn't replaced: the answer is shown beside it",
			"slack_error", slackapi.SlackError(err))
	case r.InChannel:
		return r.each(req.lang(), func(part Reply) error {
			_, _, err := req.Client.PostMessageContext(ctx, req.ChannelID, part.forEverybody(req.ThreadTS, false)...)
			return err
		})
	}
	if req.External() { // who may not be in that channel, as far as this workspace's token can tell
		return req.showOnTop(ctx, r)
	}
	return req.whisper(ctx, r)
}

// showOnTop shows r in a window to somebody who pressed a button where Slack takes no answer: in the Home tab, or in a
// modal, which keeps what is written there. Where the press is too long ago for a window, r comes as a direct message.
func (req *Request) showOnTop(ctx context.Context, r Reply) error {
	if req.TriggerID != "" {
		show := req.Client.OpenViewContext
		if req.inModal {
			show = req.Client.PushViewContext
		}
		if _, err := show(ctx, req.TriggerID, *page(req.lang(), r)); err == nil || slackapi.SlackError(err) == "" {
			return err
		}
	}
	return req.direct(ctx, r)
}

// direct says r to the person who acted in a direct message; to nobody of another company, who are no business of this
// token.
func (req *Request) direct(ctx context.Context, r Reply) error {
	if req.Client == nil || req.UserID == "" || req.External() {
		return errSilent
	}
	return r.each(req.lang(), func(part Reply) error {
		_, _, err := req.Client.PostMessageContext(ctx, req.UserID, part.posted("")...)
		return err
	})
}
