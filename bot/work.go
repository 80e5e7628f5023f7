package bot

// The work behind the acknowledgement: events are handed out by the inbox, a bounded number of handlers runs at once,
// no workspace takes all of them, and what fails is tried again until it counts as failed for good.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// DefaultWorkers is how many handlers of events run at once. They mostly wait for Slack, some 100 ms for each call, so
	// there are many more of them than processors. One workspace gets at most half of them, so that one whose calls hang
	// leaves room for the others.
	DefaultWorkers = 128
	mostClaimed    = 64
	// What other processes left behind, and what waits for its next attempt, is looked for this often.
	claimEvery = 500 * time.Millisecond
	// Holding again is an order of magnitude quicker than a lease is long, which the inbox knows: see Config.Lease.
	holdsInLease = 4

	// How long a handler may take unless it says otherwise (Within).
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
	// However little Slack asks for: an attempt that does not count is not made at once.
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
func (e *Event) last() bool {
	if e.Kind == kindEvents {
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

// workerPool is where handlers get their place. Its methods may be called from any number of goroutines.
type workerPool struct {
	places int // so many handlers at once
	share  int // and of one workspace so many

	mu      sync.Mutex
	open    bool // the process takes work
	ended   bool // and will take no more
	alone   bool // what runs is to end, and nothing else to begin, because of a suspect
	backlog bool // there is more in the inbox than places
	taken   int
	each    map[connection.Key]int
	running map[int64]*running // by Event.Row
	free    chan struct{}      // has something in it when a place became free
	idle    chan struct{}      // closed when nothing is taken any more; made by close
}

// running is an event with a handler.
type running struct {
	event Event
	stop  context.CancelCauseFunc
	held  time.Time // since when its lease runs, as far as known
}

func newWorkerPool(places int) *workerPool {
	return &workerPool{
		places: places, share: max(1, places/2),
		each: map[connection.Key]int{}, running: map[int64]*running{}, free: make(chan struct{}, 1),
	}
}

// acquire reserves a place for an event that just came. Not while others wait for one.
func (d *workerPool) acquire(k connection.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open || d.alone || d.backlog || d.taken >= d.places || d.each[k] >= d.share {
		return false
	}
	d.taken++
	d.each[k]++
	return true
}

// reserve takes up to n places for whatever the inbox will hand out, and says which workspaces have enough.
func (d *workerPool) reserve(n int) (got int, busy []connection.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open || d.alone {
		return 0, nil
	}
	got = max(0, min(n, d.places-d.taken)) // a suspect takes a place whether there is one or not
	d.taken += got
	for k, n := range d.each {
		if n >= d.share {
			busy = append(busy, k)
		}
	}
	return got, busy
}

// suspects returns how many more events with a death may run.
func (d *workerPool) suspects() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	more := mostSuspects
	for _, r := range d.running {
		if r.event.Deaths > 0 {
			more--
		}
	}
	return more
}

// clear lets nothing begin until reopen. The channel is closed once all places are free.
func (d *workerPool) clear() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alone = true
	return d.whenIdle()
}

// reopen ends what clear began.
func (d *workerPool) reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alone = false
}

// occupy takes a place whether there is one or not.
func (d *workerPool) occupy(k connection.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken++
	d.each[k]++
}

// assign gives one of the reserved places to a workspace.
func (d *workerPool) assign(k connection.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.each[k]++
}

// releaseReserved gives back n places that were reserved and not given to anybody. more: the inbox may have more.
func (d *workerPool) releaseReserved(n int, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backlog = more
	d.taken -= n
	d.settled()
}

// release gives a place back.
func (d *workerPool) release(k connection.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken--
	if d.each[k]--; d.each[k] <= 0 {
		delete(d.each, k)
	}
	d.settled()
	select {
	case d.free <- struct{}{}:
	default:
	}
}

func (d *workerPool) settled() {
	if d.idle != nil && d.taken == 0 {
		close(d.idle)
		d.idle = nil
	}
}

// begins lets work in.
func (d *workerPool) begins() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open, d.ended, d.alone = true, false, false
}

// state reports whether work is taken, and whether it was and is no more.
func (d *workerPool) state() (open, ended bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open, d.ended
}

// close lets nothing in any more. The channel is closed once all places are free.
func (d *workerPool) close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open, d.ended = false, true
	return d.whenIdle()
}

// whenIdle returns what is closed once nothing is taken. The caller holds the lock.
func (d *workerPool) whenIdle() <-chan struct{} {
	if d.idle == nil {
		d.idle = make(chan struct{})
	}
	idle := d.idle
	d.settled()
	return idle
}

func (d *workerPool) begin(e Event, stop context.CancelCauseFunc, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.running[e.Row]; before != nil { // it was handed out anew, to ourselves
		before.stop(ErrLost)
	}
	d.running[e.Row] = &running{e, stop, now}
}

func (d *workerPool) end(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.running[e.Row]; r != nil && r.event.Attempt == e.Attempt {
		delete(d.running, e.Row)
	}
}

// held returns what has a handler.
func (d *workerPool) held() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make([]Event, 0, len(d.running))
	for _, r := range d.running {
		held = append(held, r.event)
	}
	return held
}

// renewed notes whose leases began anew at a time, and returns those whose lease has been over since before another.
func (d *workerPool) renewed(events []Event, at, over time.Time) (ended []Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range events {
		if r := d.running[e.Row]; r != nil && r.event.Attempt == e.Attempt {
			r.held = at
		}
	}
	for _, r := range d.running {
		if r.held.Before(over) {
			ended = append(ended, r.event)
		}
	}
	return ended
}

// interrupt ends the contexts of these, or of all.
func (d *workerPool) interrupt(cause error, events []Event, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if all {
		for _, r := range d.running {
			r.stop(cause)
		}
	}
	for _, e := range events {
		if r := d.running[e.Row]; r != nil && r.event.Attempt == e.Attempt {
			r.stop(cause)
		}
	}
}

// ErrGaveUp says that Run ended while a handler was still running.
var ErrGaveUp = errors.New("handlers still run; what they were doing is given up, and done again by whoever finds it")

// Run works the inbox until ctx ends, then takes nothing more, lets handlers finish for a while, ends the others and
// puts their events back. ErrGaveUp when a handler does not even end then. Whatever is left lies in the inbox.
func (b *Bot) Run(ctx context.Context) error {
	b.pool.begins()
	forgotten := time.AfterFunc(socketsForgotten, b.sayNoSockets)
	defer forgotten.Stop()
	holding, endHolding := context.WithCancel(context.WithoutCancel(ctx))
	defer endHolding()
	var keepers sync.WaitGroup
	keepers.Go(func() { b.hold(holding) })
	defer keepers.Wait()
	defer endHolding()

	b.hand(ctx)
	time.AfterFunc(lateStop, b.stop)

	idle := b.pool.close()
	select {
	case <-idle:
	case <-time.After(stopBudget):
		b.pool.interrupt(errStopping, nil, true)
		select {
		case <-idle:
		case <-time.After(putBackAfter):
			// The process is about to end, and not by their doing.
			b.outlived(b.pool.held()...)
			b.sayOutlived(context.Background())
			return ErrGaveUp
		}
	}
	b.sayOutlived(context.Background())
	select {
	case <-b.tasks.idle():
		return nil
	case <-time.After(stopBudget):
		return ErrGaveUp
	}
}

// sayNoSockets tells whoever forgot RunSockets that nothing will come.
func (b *Bot) sayNoSockets() {
	b.sockets.mu.Lock()
	defer b.sockets.mu.Unlock()
	if b.cfg.AppToken != "" && !b.sockets.running && !b.sockets.ran {
		b.log.Warn("Socket Mode is on (Config.AppToken) and nobody has called the Bot's RunSockets: " +
			"nothing comes in through it")
	}
}

// hand gives what the inbox has to handlers, until ctx ends.
func (b *Bot) hand(ctx context.Context) {
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	var trouble string
	for ctx.Err() == nil {
		b.sayOutlived(ctx)
		again, more, err := b.claim(ctx)
		if err == nil {
			err = b.confront(ctx)
		}
		switch {
		case err == nil:
			trouble = ""
		case err.Error() != trouble: // once for each trouble, not twice a second
			trouble = err.Error()
			b.log.WarnContext(ctx, "look into the inbox", "cause", err)
		}
		if again {
			continue
		}
		if once, _ := b.inbox.Suspects(); once { // there were no places for them
			more = true
		}
		var free <-chan struct{}
		if more {
			free = b.pool.free
		}
		select {
		case <-ctx.Done():
		case <-b.inbox.Ready():
		case <-free:
		case <-tick.C:
		}
	}
}

// claim begins what is ready, as far as there are places. again: there is more, and places; more: there is more once a
// place becomes free.
func (b *Bot) claim(ctx context.Context) (again, more bool, err error) {
	n, busy := b.pool.reserve(max(1, min(mostClaimed, b.pool.share)))
	if n == 0 {
		return false, true, nil
	}
	// Not ctx: what was handed out in the moment of the stop has to be known here.
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventOpenBudget)
	defer cancel()
	events, err := b.inbox.Claim(claiming, n, busy)
	for _, e := range events {
		b.pool.assign(e.Key)
		b.start(e, nil)
	}
	full := len(events) == n
	b.pool.releaseReserved(n-len(events), full)
	// Whoever has enough may have more waiting: look again when a place becomes free.
	return full, len(busy) > 0, err
}

// confront begins events with deaths: those with one among others, those with more alone.
func (b *Bot) confront(ctx context.Context) error {
	if b.pool.places == 0 {
		return nil
	}
	once, often := b.inbox.Suspects()
	if n := b.pool.suspects(); once && n > 0 {
		if _, err := b.claimSuspects(ctx, n, false); err != nil {
			return err
		}
	}
	if !often {
		return nil
	}

	defer b.pool.reopen()
	patience := time.NewTimer(alonePatience)
	defer patience.Stop()
	select {
	case <-b.pool.clear():
	case <-patience.C:
	case <-ctx.Done():
		return nil
	}
	ended, err := b.claimSuspects(ctx, 1, true)
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
func (b *Bot) claimSuspects(ctx context.Context, n int, often bool) (ended []<-chan struct{}, err error) {
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventOpenBudget)
	defer cancel()
	events, err := b.inbox.ClaimSuspects(claiming, n, often)
	for _, e := range events {
		if e.Deaths < mostDeaths {
			if err := b.inbox.Begin(claiming, e); err != nil {
				b.log.WarnContext(ctx, "begin an event that has ended a process", "event", e.ID, "cause", err)
				b.unbegin(claiming, e)
				continue
			}
			b.log.WarnContext(ctx, "an event during which a process ended runs again",
				"event", e.ID, "type", e.Type, "deaths", e.Deaths, "alone", often)
		}
		b.pool.occupy(e.Key)
		ended = append(ended, b.start(e, nil))
	}
	return ended, err
}

// unbegin puts back what the inbox may have been told is begun, and is not. If not even that can be done its lease runs
// out, and the word that it was outlived follows: else the database would count deaths that were none until it is a
// dead letter.
func (b *Bot) unbegin(ctx context.Context, e Event) {
	if err := b.inbox.Retry(ctx, e, b.now(), false, ""); err != nil && !errors.Is(err, ErrLost) {
		b.outlived(e)
	}
}

// hold keeps the leases of what has a handler, until ctx ends.
func (b *Bot) hold(ctx context.Context) {
	tick := time.NewTicker(b.cfg.Lease / holdsInLease)
	defer tick.Stop()
	trouble := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		held := b.pool.held()
		if len(held) == 0 {
			continue
		}
		asked := time.Now()
		holding, cancel := context.WithTimeout(ctx, b.cfg.Lease/2)
		lost, err := b.inbox.ExtendLease(holding, held)
		cancel()
		if err != nil {
			held = nil
		}
		// Whoever could not hold an event for as long as a lease has lost it: it may run elsewhere by now.
		lost = append(lost, b.pool.renewed(held, asked, time.Now().Add(-b.cfg.Lease))...)
		if err != nil && !trouble && ctx.Err() == nil {
			b.log.WarnContext(ctx, "hold events that are being worked: somebody else may take them",
				"events", len(held), "cause", err)
		}
		trouble = err != nil
		b.pool.interrupt(ErrLost, lost, false)
	}
}

// start runs the handler of an event that has a place. env is its decoded body, when the caller has it. The channel is
// closed when all of it has ended.
func (b *Bot) start(e Event, env *envelope) <-chan struct{} {
	ctx, stop := context.WithCancelCause(context.Background())
	b.pool.begin(e, stop, time.Now())
	ended := make(chan struct{})
	b.tasks.Go(func() {
		defer close(ended)
		defer b.pool.release(e.Key)
		defer b.pool.end(e)
		defer stop(nil)
		b.work(ctx, e, env)
	})
	return ended
}

// work brings one event to its handler and tells the inbox how it went.
func (b *Bot) work(ctx context.Context, e Event, env *envelope) {
	b.metrics.began(e, b.now())
	began := time.Now()
	err := guard(func() error { return b.handle(ctx, &e, env) })
	if errors.Is(context.Cause(ctx), ErrLost) {
		b.log.WarnContext(ctx, "event was handed to somebody else while its handler ran", "event", e.ID, "type", e.Type)
		b.metrics.ended(outcomeLost)
		b.followed(ctx, e, outcomeLost, began)
		b.outlived(e)
		return
	}
	if errors.As(err, new(*panicError)) {
		b.metrics.panics.Inc()
	}
	v := b.judge(ctx, e, err)
	why := ""
	if err != nil {
		why = reason(err)
	}
	if v.outcome == outcomeDead {
		b.log.ErrorContext(ctx, "event given up: it is in the inbox as a dead letter",
			"event", e.ID, "type", e.Type, "attempts", e.Attempt, "deaths", e.Deaths, "cause", why)
	}
	if v.outcome == outcomeRefused {
		b.log.WarnContext(ctx, "event given up: Slack refuses what its handler asks for, and will again",
			"event", e.ID, "type", e.Type, "cause", why)
	}
	b.metrics.ended(v.outcome)
	b.followed(ctx, e, v.outcome, began)
	b.tell(e, v.outcome, func(ctx context.Context) error {
		switch v.outcome {
		case outcomeDone, outcomeRefused:
			return b.inbox.Done(ctx, e)
		case outcomeDead:
			return b.inbox.DeadLetter(ctx, e, why)
		}
		return b.inbox.Retry(ctx, e, v.at, v.counts, why)
	})
}

// followed counts an attempt, and writes the one line by which an event can be followed.
func (b *Bot) followed(ctx context.Context, e Event, outcome string, began time.Time) {
	handler := ""
	if e.by.Kind != "" {
		handler = e.by.id()
		b.metrics.ran.WithLabelValues(string(e.by.Kind), cmp.Or(e.ran, ranPanicked)).Inc()
	}
	b.log.DebugContext(ctx, "event ended", "event", e.ID, "type", e.Type, "team", cmp.Or(e.Key.TeamID, e.Key.EnterpriseID),
		"handler", handler, "result", e.ran, "outcome", outcome, "attempt", e.Attempt,
		"took", time.Since(began).Round(time.Microsecond))
}

// outlived notes that this process lives on after attempts of whose end the inbox knows nothing.
func (b *Bot) outlived(events ...Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range events {
		if e.Deaths < mostDeaths { // which was not even begun
			b.unsaid = append(b.unsaid, e)
		}
	}
}

// sayOutlived tells the inbox of them. What it can't be told now it is told the next time.
func (b *Bot) sayOutlived(ctx context.Context) {
	b.mu.Lock()
	events := b.unsaid
	b.unsaid = nil
	b.mu.Unlock()
	if len(events) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askBudget)
	defer cancel()
	for i, e := range events {
		if err := b.inbox.Outlived(ctx, e); err != nil {
			b.outlived(events[i:]...)
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
func (b *Bot) tell(e Event, outcome string, say func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), verdictBudget)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := say(ctx)
		switch {
		case err == nil:
			return
		case errors.Is(err, ErrLost):
			b.outlived(e)
			return
		}
		select {
		case <-ctx.Done():
			b.outlived(e)
			b.metrics.untold.Inc()
			b.log.ErrorContext(ctx, "the inbox was not told what became of an event: it runs again",
				"event", e.ID, "outcome", outcome, "cause", err)
			return
		case <-time.After(wait):
		}
	}
}
