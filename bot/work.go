package bot

// The work behind the acknowledgement: events are handed out by the inbox, a bounded number of handlers runs at a time,
// no workspace takes all of them, and what fails is tried again until it counts as failed for good.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/lasting"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// DefaultWorkers is how many handlers of events run at the same time, unless Config.Workers says otherwise. They mostly
// wait for Slack, some 100 ms for each call, so there are many more of them than processors. One workspace gets at most
// half of them, so that one whose calls hang leaves room for the others. Timers of all workspaces together get a
// quarter at most, and one where that is none, so that nothing that people do waits for slow timers.
const DefaultWorkers = 128

const (
	// So many events are handed out by the inbox in one go.
	mostClaimed = 64
	// What other processes left behind, and what waits for its next attempt, is looked for this often.
	claimEvery = 500 * time.Millisecond
	// Holding again is an order of magnitude quicker than a lease is long, which the inbox knows: see Config.Lease.
	holdsInLease = 4

	// How long a handler may take unless it says otherwise (Timeout).
	eventBudget     = time.Minute
	eventOpenBudget = 10 * time.Second
	// How long a stop waits for handlers before it ends their contexts and puts their events back.
	stopBudget   = 20 * time.Second
	putBackAfter = 5 * time.Second
	// So long after Run began RunSockets counts as forgotten.
	socketsForgotten = 10 * time.Second
	// How long it is tried to tell the inbox what became of an event.
	verdictBudget = 30 * time.Second

	// Attempts that count until an event is a dead letter: the last one comes 1 h 25 min after the first.
	maxAttempts    = 8
	longestBackoff = time.Hour
	// Slack's limit is no failure, but a handler that meets it each time never ends.
	freeAttempts = 20
	// However little Slack asks for: an attempt that does not count is not made right away.
	shortestLimit = time.Second
	// Behind slow work somebody waits: they hear after half a minute that it came to nothing.
	slowAttempts = 4

	// An event is a dead letter once so many of its attempts were begun and their process ended meanwhile. Who is to
	// blame of all that ran there is found by taking care: after one death it runs among at most so many others with
	// one, after two alone.
	mostDeaths   = 3
	mostSuspects = 4
	// So long a suspect waits until nothing else runs. What runs longer than that was not begun lately, and has ended
	// nothing yet.
	alonePatience = 2 * eventBudget
)

// last reports whether a failure of this attempt is the one too many.
func (e *Delivery) last() bool {
	if e.Kind == transport.KindEvents || e.Kind == transport.KindTimer {
		return e.Failures+1 >= maxAttempts
	}
	return e.Failures+1 >= slowAttempts
}

// backoff is the pause after a number of failures: 1, 4, 16 s … up to an hour, and up to a fifth more by chance.
func backoff(failures int) time.Duration {
	wait := min(time.Second<<(2*min(failures-1, 10)), longestBackoff)
	return wait + rand.N(wait/5)
}

// Reasons for which a handler's context ends before its time.
var (
	errStopping = errors.New("the program stops")
	errTooLong  = errors.New("the handler took longer than it may")
)

// errEndsProcess is why an event with mostDeaths is given up.
var errEndsProcess = fmt.Errorf("the process ended %d times while its handler ran "+
	"(a panic in a goroutine of its own, an exit, or no memory)", mostDeaths)

// ErrGaveUp says that Run ended while a handler was still running. What it was doing is done again by whoever finds it.
var ErrGaveUp = errors.New("handlers still run; what they were doing is given up, and done again by whoever finds it")

// Run works the inbox until ctx ends: it hands events and slow work to their handlers, each in a goroutine of its own,
// Config.Workers of them at a time. Then it takes nothing more, lets handlers finish for 20 s, ends the contexts of the
// others, puts their events back and waits for 5 s. It blocks until all that is done. ErrGaveUp when a handler does not
// even end then. Whatever is left lies in the inbox.
//
// Handlers that somebody waits for (commands, presses, forms) run without it. Their contexts end 10 s after ctx did,
// so the server that Handler is in should be shut down before.
func (b *Bot) Run(ctx context.Context) error {
	if b.timers != nil && b.cfg.Workers > 0 {
		var looking sync.WaitGroup
		looking.Go(func() { b.timers.run(ctx) })
		defer looking.Wait()
	}

	forgotten := time.AfterFunc(socketsForgotten, b.sayNoSockets)
	defer forgotten.Stop()
	return b.workers.run(ctx, func() { time.AfterFunc(lateStop, b.answers.stop) })
}

// Idle reports whether Run has nothing to do: each connection has its timers, none of them is due, and no event is due
// or being worked, and what follows an acknowledgement has ended. What waits for its next attempt is not due. It is for
// tests, and blocks for a look at the timers and the inbox, in this order: what leaves the ones is in the other.
func (b *Bot) Idle(ctx context.Context) (bool, error) {
	if b.timers != nil && b.cfg.Workers > 0 {
		if idle, err := b.timers.idle(ctx); err != nil || !idle {
			return false, err
		}
	}

	count, err := b.cfg.Inbox.Count(ctx)
	if err != nil || count.Ready+count.Held > 0 {
		return false, err
	}

	select {
	case <-b.tasks.idle():
		return true, nil
	default:
		return false, nil
	}
}

// workers bring what the inbox has to its handlers. They may be used from any number of goroutines.
type workers struct {
	inbox   Inbox
	lease   time.Duration
	handle  func(ctx context.Context, e *Delivery, env *envelope) error // nil: nothing more to do
	pool    *workerPool
	metrics *metrics
	tasks   *tasks
	log     *slog.Logger
	now     func() time.Time
	spans   spans.Tracer

	unworked sync.Once // it was said that nobody runs them
	keeping  *lasting.Trouble

	mu     sync.Mutex
	unsaid []Delivery // attempts that this process outlived, of which the inbox is to hear
}

// run works until ctx ends, calls stopping, and ends as Bot.Run says.
func (w *workers) run(ctx context.Context, stopping func()) error {
	w.pool.begins()
	holding, endHolding := context.WithCancel(context.WithoutCancel(ctx))
	var keepers sync.WaitGroup
	keepers.Go(func() { w.hold(holding) })
	defer keepers.Wait()
	defer endHolding()

	w.hand(ctx)
	stopping()

	idle := w.pool.close()
	select {
	case <-idle:
	case <-time.After(stopBudget):
		w.pool.interrupt(errStopping, nil, true)
		select {
		case <-idle:
		case <-time.After(putBackAfter):
			// The process is about to end, and not by their doing.
			w.outlived(w.pool.held()...)
			w.sayOutlived(context.Background())
			return ErrGaveUp
		}
	}
	w.sayOutlived(context.Background())

	select {
	case <-w.tasks.idle():
		return nil
	case <-time.After(stopBudget):
		return ErrGaveUp
	}
}

// hand gives what the inbox has to handlers, until ctx ends.
func (w *workers) hand(ctx context.Context) {
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	trouble := lasting.Trouble{Begins: "the inbox can't be looked into", Ends: "the inbox can be looked into again"}
	for ctx.Err() == nil {
		w.sayOutlived(ctx)
		again, more, err := w.claim(ctx)
		if err == nil {
			err = w.confront(ctx)
		}

		trouble.Note(ctx, w.log, err)
		if again {
			continue
		}

		if once, _ := w.inbox.Suspects(); once { // there were no places for them
			more = true
		}
		var free <-chan struct{}
		if more {
			free = w.pool.free
		}

		select {
		case <-ctx.Done():
		case <-w.inbox.Ready():
		case <-free:
		case <-tick.C:
		}
	}
}

// claim begins what is ready, as far as there are places. again: there is more, and places; more: there is more once a
// place becomes free.
func (w *workers) claim(ctx context.Context) (again, more bool, err error) {
	n, timers, busy := w.pool.reserve(max(1, min(mostClaimed, w.pool.share)))
	if n == 0 {
		return false, true, nil
	}

	// Not ctx: what was handed out in the moment of the stop has to be known here.
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventOpenBudget)
	defer cancel()
	events, err := w.inbox.Claim(claiming, n, timers, busy)
	enough := timers
	for _, e := range events {
		if e.timer() {
			enough--
		}
		w.pool.assign(&e)
		w.start(e, nil)
	}

	full := len(events) == n
	w.pool.releaseReserved(n-len(events), full)
	// Whoever has enough may have more waiting: look again when a place becomes free.
	return full || w.pool.places == 1 && timers == 0, len(busy) > 0 || enough == 0, err
}

// confront begins events with deaths: those with one among others, those with more alone.
func (w *workers) confront(ctx context.Context) error {
	if w.pool.places == 0 {
		return nil
	}
	once, often := w.inbox.Suspects()
	if n := w.pool.suspects(); once && n > 0 {
		if _, err := w.claimSuspects(ctx, n, false); err != nil {
			return err
		}
	}

	if !often {
		return nil
	}

	defer w.pool.reopen()
	patience := time.NewTimer(alonePatience)
	defer patience.Stop()
	select {
	case <-w.pool.clear():
	case <-patience.C:
	case <-ctx.Done():
		return nil
	}

	ended, err := w.claimSuspects(ctx, 1, true)
	patience.Reset(alonePatience) // one that hangs has ended nothing, and holds up the others no longer
	for _, end := range ended {
		select {
		case <-end:
		case <-patience.C:
		case <-ctx.Done():
		}
	}
	return err
}

// claimSuspects begins at most n events with deaths. The channels are closed when they have ended.
func (w *workers) claimSuspects(ctx context.Context, n int, often bool) (ended []<-chan struct{}, err error) {
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventOpenBudget)
	defer cancel()
	events, err := w.inbox.ClaimSuspects(claiming, n, often)
	for _, e := range events {
		if e.Deaths < mostDeaths {
			if err := w.inbox.Begin(claiming, e); err != nil {
				w.log.WarnContext(ctx, "begin an event that has ended a process", "event", e.ID, "cause", err)
				w.unbegin(claiming, e)
				continue
			}
			w.log.WarnContext(ctx, "an event during which a process ended runs again",
				"event", e.ID, "type", e.Type, "deaths", e.Deaths, "alone", often)
		}
		w.pool.occupy(&e)
		ended = append(ended, w.start(e, nil))
	}
	return ended, err
}

// unbegin puts back what the inbox may have been told is begun, and is not. If not even that can be done its lease runs
// out, and the word that it was outlived follows: else the database would count deaths that were none until it is a
// dead letter.
func (w *workers) unbegin(ctx context.Context, e Delivery) {
	if err := w.inbox.Retry(ctx, e, w.now(), false, ""); err != nil && !errors.Is(err, ErrLost) {
		w.outlived(e)
	}
}

// hold keeps the leases of what has a handler, until ctx ends.
func (w *workers) hold(ctx context.Context) {
	tick := time.NewTicker(w.lease / holdsInLease)
	defer tick.Stop()
	trouble := lasting.Trouble{
		Begins: "hold events that are being worked: somebody else may take them", Ends: "events are held again",
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		held := w.pool.held()
		if len(held) == 0 {
			continue
		}

		asked := time.Now()
		holding, cancel := context.WithTimeout(ctx, w.lease/2)
		lost, err := w.inbox.ExtendLease(holding, held)
		cancel()
		if err != nil {
			held = nil
		}
		// Whoever could not hold an event for as long as a lease has lost it: it may run elsewhere by now.
		lost = append(lost, w.pool.renewed(held, asked, time.Now().Add(-w.lease))...)

		if ctx.Err() == nil {
			trouble.Note(ctx, w.log, err)
		}
		w.pool.interrupt(ErrLost, lost, false)
	}
}

// start runs the handler of an event that has a place. env is its decoded body, when the caller has it. The channel is
// closed when all of it has ended.
func (w *workers) start(e Delivery, env *envelope) <-chan struct{} {
	ctx, stop := context.WithCancelCause(context.Background())
	w.pool.begin(e, stop, time.Now())
	ended := make(chan struct{})
	w.tasks.Go(func() {
		defer close(ended)
		defer w.pool.release(&e)
		defer w.pool.end(e)
		defer stop(nil)
		w.work(ctx, e, env)
	})
	return ended
}

// work brings one event to its handler and tells the inbox how it went.
func (w *workers) work(ctx context.Context, e Delivery, env *envelope) {
	w.metrics.began(e, w.now())
	began := time.Now()
	ctx, span := w.begun(ctx, e)
	defer span.End()

	err := guard(func() error { return w.handle(ctx, &e, env) })
	if errors.Is(context.Cause(ctx), ErrLost) {
		w.log.WarnContext(ctx, "event was handed to somebody else while its handler ran", "event", e.ID, "type", e.Type)
		w.metrics.ended(outcomeLost)
		w.followed(ctx, e, outcomeLost, began)
		w.outlived(e)
		return
	}

	if errors.As(err, new(*panicError)) {
		w.metrics.panics.Inc()
	}
	v := w.judge(ctx, e, err)
	why := ""
	if err != nil {
		why = reason(err)
	}

	if v.outcome == outcomeDead {
		w.log.ErrorContext(ctx, "event given up: it is in the inbox as a dead letter",
			"event", e.ID, "type", e.Type, "attempts", e.Attempt, "deaths", e.Deaths, "cause", why)
	}
	if v.outcome == outcomeRefused {
		w.log.WarnContext(ctx, "event given up: Slack refuses what its handler asks for, and will again",
			"event", e.ID, "type", e.Type, "cause", why)
	}

	w.metrics.ended(v.outcome)
	w.followed(ctx, e, v.outcome, began)
	w.tell(e, v.outcome, func(ctx context.Context) error {
		switch v.outcome {
		case outcomeDone, outcomeRefused:
			return w.inbox.Done(ctx, e)
		case outcomeDead:
			return w.inbox.DeadLetter(ctx, e, why)
		}
		return w.inbox.Retry(ctx, e, v.at, v.counts, why)
	})
}

// begun is the span of an attempt, which goes on with the trace of the delivery, and the line that says it begins.
func (w *workers) begun(ctx context.Context, e Delivery) (context.Context, spans.Span) {
	waited := max(0, w.now().Sub(e.Received))
	var span spans.Span
	if w.spans.On() {
		ctx, span = w.spans.Start(spans.Continue(ctx, e.Trace), trace.SpanKindConsumer, "handle", e.Type)
		span.Say(spans.EventID, e.ID)
		span.Say(spans.EventType, e.Type)
		span.Say(spans.Team, e.Key.TeamID)
		span.Say(spans.Enterprise, e.Key.EnterpriseID)
		span.Number(spans.Attempt, e.Attempt)
		span.Number(spans.Waited, int(waited.Milliseconds()))
	}

	if w.log.Enabled(ctx, slog.LevelDebug) {
		w.log.DebugContext(ctx, "event claimed", "event", e.ID, "type", e.Type, "team", e.team(), "attempt", e.Attempt,
			"failures", e.Failures, "deaths", e.Deaths, "waited", waited.Round(time.Millisecond))
	}
	return ctx, span
}

// team is the workspace that e is for, or the organisation.
func (e *Delivery) team() string { return cmp.Or(e.Key.TeamID, e.Key.EnterpriseID) }

// followed counts an attempt, and writes the one line by which an event can be followed.
func (w *workers) followed(ctx context.Context, e Delivery, outcome string, began time.Time) {
	if span := w.spans.Current(ctx); span.Wanted() {
		span.Say(spans.Outcome, outcome)
		span.Say(spans.Result, e.ran)
		span.Say(spans.Handler, e.by.id())
		if outcome == outcomeDead || outcome == outcomeRetry {
			span.Fail(cmp.Or(e.ran, outcome))
		}
	}
	if e.by != nil {
		w.metrics.ranAs(e.by, cmp.Or(e.ran, ranPanicked))
	}
	w.log.LogAttrs(ctx, slog.LevelDebug, "event ended", slog.String("event", e.ID), slog.String("type", e.Type),
		slog.String("team", e.team()), slog.String("handler", e.by.id()),
		slog.String("result", e.ran), slog.String("outcome", outcome), slog.Int("attempt", e.Attempt),
		slog.Duration("took", time.Since(began).Round(time.Microsecond)))
}

// outlived notes that this process lives on after attempts of whose end the inbox knows nothing.
func (w *workers) outlived(events ...Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		if e.Deaths < mostDeaths { // which was not even begun
			w.unsaid = append(w.unsaid, e)
		}
	}
}

// sayOutlived tells the inbox of them. What it can't be told now it is told the next time.
func (w *workers) sayOutlived(ctx context.Context) {
	w.mu.Lock()
	events := w.unsaid
	w.unsaid = nil
	w.mu.Unlock()
	if len(events) == 0 {
		return
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askBudget)
	defer cancel()
	for i, e := range events {
		if err := w.inbox.Outlived(ctx, e); err != nil {
			w.outlived(events[i:]...)
			return
		}
	}
}

var (
	addresses    = regexp.MustCompile(`https?://[^\s"']+`)
	tokenPattern = regexp.MustCompile(`\b(xox[a-z.]*|xapp|xwfp)-[^\s"']+`)
)

// reason is an error for an operator to read, in the log and with the event: its cause, without addresses (a
// response_url lets anybody answer) and tokens, and no longer than a few lines.
func reason(err error) string {
	const most = 300
	s := tokenPattern.ReplaceAllString(addresses.ReplaceAllString(fmt.Sprint(slackapi.Cause(err)), "[address]"), "[token]")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// tell says to the inbox what became of an event, and again while it can't be reached: until somebody else has the
// event.
func (w *workers) tell(e Delivery, outcome string, say func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), verdictBudget)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := say(ctx)
		switch {
		case err == nil:
			return
		case errors.Is(err, ErrLost):
			w.outlived(e)
			return
		}

		select {
		case <-ctx.Done():
			w.outlived(e)
			w.metrics.untold.Inc()
			w.log.ErrorContext(ctx, "the inbox was not told what became of an event: it runs again",
				"event", e.ID, "outcome", outcome, "cause", err)
			return
		case <-time.After(wait):
		}
	}
}

// keep puts e into the inbox, and to its handler right away when there is a place for it. With an error it may be kept
// or not.
func (w *workers) keep(ctx context.Context, e Delivery, env *envelope) (fresh bool, err error) {
	ctx, span := w.spans.Start(ctx, trace.SpanKindProducer, "keep", e.Type)
	defer span.End()
	if w.spans.On() {
		e.Trace = spans.Carried(ctx)
		span.Say(spans.EventID, e.ID)
		span.Say(spans.EventType, e.Type)
		span.Say(spans.Team, e.Key.TeamID)
		span.Say(spans.Enterprise, e.Key.EnterpriseID)
	}

	take := e.OrderingKey == "" && w.pool.acquire(e.Key)
	if err = w.worked(ctx); err == nil {
		fresh, err = w.inbox.Add(ctx, &e, take)
	}

	if take && fresh && err == nil {
		w.start(e, env)
	} else if take {
		w.pool.release(&e)
	}

	result := keptAs(e, fresh, err)
	w.metrics.delivered(e.Kind, result)
	span.Say(spans.Outcome, result)
	if err != nil {
		span.Fail("not_kept")
	}
	w.noteKept(ctx, e, result, err)
	return fresh, err
}

// keptAs is what became of a delivery at the door, as switchboard_deliveries_total names it.
func keptAs(e Delivery, fresh bool, err error) string {
	switch {
	case err != nil:
		return keptRefused
	case !fresh:
		return "duplicate"
	case e.Type == transport.KindUnreadable:
		return "unreadable"
	}
	return "accepted"
}

// worked is errEnded when what is accepted now would be lost. That nobody works it yet is said once.
func (w *workers) worked(ctx context.Context) error {
	open, ended := w.pool.state()
	if _, dies := w.inbox.(mortal); dies && ended {
		return errEnded
	}

	if !open && !ended && w.pool.places > 0 {
		w.unworked.Do(func() {
			w.log.WarnContext(ctx, "an event was accepted and is not worked: nobody has called the Bot's Run. "+
				"It waits in the inbox until then")
		})
	}
	return nil
}
