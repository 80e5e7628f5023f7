package bot

// The work behind the acknowledgement: events are handed out by the inbox, a bounded number of handlers runs at once, no
// workspace takes all of them, and what fails is tried again until it counts as failed for good.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"switchboard/install"
)

const (
	// DefaultWorkers is how many handlers of events run at once. They mostly wait for Slack, some 100 ms for each call, so there
	// are many more of them than processors. One workspace gets at most half of them, so that one whose calls hang leaves room
	// for the others.
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

// desk is where handlers get their place. Its methods may be called from any number of goroutines.
type desk struct {
	places int // so many handlers at once
	share  int // and of one workspace so many

	mu      sync.Mutex
	open    bool // the process takes work
	backlog bool // there is more in the inbox than places
	taken   int
	each    map[install.Key]int
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

func newDesk(places int) *desk {
	return &desk{places: places, share: max(1, places/2), each: map[install.Key]int{}, running: map[int64]*running{}, free: make(chan struct{}, 1)}
}

// take reserves a place for an event that just came. Not while others wait for one.
func (d *desk) take(k install.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open || d.backlog || d.taken >= d.places || d.each[k] >= d.share {
		return false
	}
	d.taken++
	d.each[k]++
	return true
}

// reserve takes up to n places for whatever the inbox will hand out, and says which workspaces have enough.
func (d *desk) reserve(n int) (got int, busy []install.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open {
		return 0, nil
	}
	got = min(n, d.places-d.taken)
	d.taken += got
	for k, n := range d.each {
		if n >= d.share {
			busy = append(busy, k)
		}
	}
	return got, busy
}

// seat gives one of the reserved places to a workspace.
func (d *desk) seat(k install.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.each[k]++
}

// unreserve gives back n places that were reserved and not given to anybody. more: the inbox may have more.
func (d *desk) unreserve(n int, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backlog = more
	d.taken -= n
	d.settled()
}

// leave gives a place back.
func (d *desk) leave(k install.Key) {
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

func (d *desk) settled() {
	if d.idle != nil && d.taken == 0 {
		close(d.idle)
		d.idle = nil
	}
}

// close lets nothing in any more. The channel is closed once all places are free.
func (d *desk) close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = false
	idle := make(chan struct{})
	d.idle = idle
	d.settled()
	return idle
}

func (d *desk) begin(e Event, stop context.CancelCauseFunc, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before := d.running[e.Row]; before != nil { // it was handed out anew, to ourselves
		before.stop(ErrLost)
	}
	d.running[e.Row] = &running{e, stop, now}
}

func (d *desk) end(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.running[e.Row]; r != nil && r.event.Attempt == e.Attempt {
		delete(d.running, e.Row)
	}
}

// held returns what has a handler.
func (d *desk) held() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make([]Event, 0, len(d.running))
	for _, r := range d.running {
		held = append(held, r.event)
	}
	return held
}

// renewed notes whose leases began anew at a time, and returns those whose lease has been over since before another.
func (d *desk) renewed(events []Event, at, over time.Time) (ended []Event) {
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
func (d *desk) interrupt(cause error, events []Event, all bool) {
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

// Run works the inbox until ctx ends, then takes nothing more, lets handlers finish for a while, ends the others and puts
// their events back. ErrGaveUp when a handler does not even end then. Whatever is left lies in the inbox.
func (b *Bot) Run(ctx context.Context) error {
	b.desk.mu.Lock()
	b.desk.open = true
	b.desk.mu.Unlock()
	holding, endHolding := context.WithCancel(context.WithoutCancel(ctx))
	defer endHolding()
	var keepers sync.WaitGroup
	keepers.Go(func() { b.hold(holding) })
	defer keepers.Wait()
	defer endHolding()

	b.hand(ctx)

	idle := b.desk.close()
	select {
	case <-idle:
	case <-time.After(stopBudget):
		b.desk.interrupt(errStopping, nil, true)
		select {
		case <-idle:
		case <-time.After(putBackAfter):
			return ErrGaveUp
		}
	}
	finished := make(chan struct{})
	go func() { b.tasks.Wait(); close(finished) }()
	select {
	case <-finished:
		return nil
	case <-time.After(stopBudget):
		return ErrGaveUp
	}
}

// hand gives what the inbox has to handlers, until ctx ends.
func (b *Bot) hand(ctx context.Context) {
	tick := time.NewTicker(claimEvery)
	defer tick.Stop()
	var trouble string
	for ctx.Err() == nil {
		n, busy := b.desk.reserve(max(1, min(mostClaimed, b.desk.share)))
		full := n == 0
		if n > 0 {
			// Not ctx: what was handed out in the moment of the stop has to be known here.
			claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventOpenBudget)
			events, err := b.inbox.Claim(claiming, n, busy)
			cancel()
			// Whoever has enough may have more waiting: look again when a place becomes free.
			full = len(events) == n
			more := full || len(busy) > 0
			for _, e := range events {
				b.desk.seat(e.Key)
				b.start(e, nil)
			}
			b.desk.unreserve(n-len(events), full)
			switch {
			case err == nil:
				trouble = ""
			case err.Error() != trouble: // once for each trouble, not twice a second
				trouble = err.Error()
				b.log.WarnContext(ctx, "look into the inbox", "cause", err)
			}
			if full {
				continue
			}
			full = more
		}
		var free <-chan struct{}
		if full {
			free = b.desk.free
		}
		select {
		case <-ctx.Done():
		case <-b.inbox.Ready():
		case <-free:
		case <-tick.C:
		}
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
		held := b.desk.held()
		if len(held) == 0 {
			continue
		}
		asked := time.Now()
		holding, cancel := context.WithTimeout(ctx, b.cfg.Lease/2)
		lost, err := b.inbox.Hold(holding, held)
		cancel()
		if err != nil {
			held = nil
		}
		// Whoever could not hold an event for as long as a lease has lost it: it may run elsewhere by now.
		lost = append(lost, b.desk.renewed(held, asked, time.Now().Add(-b.cfg.Lease))...)
		if err != nil && !trouble && ctx.Err() == nil {
			b.log.WarnContext(ctx, "hold events that are being worked: somebody else may take them", "events", len(held), "cause", err)
		}
		trouble = err != nil
		b.desk.interrupt(ErrLost, lost, false)
	}
}

// start runs the handler of an event that has a place. env is its decoded body, when the caller has it.
func (b *Bot) start(e Event, env *envelope) {
	ctx, stop := context.WithCancelCause(context.Background())
	b.desk.begin(e, stop, time.Now())
	b.tasks.Go(func() {
		defer b.desk.leave(e.Key)
		defer b.desk.end(e)
		defer stop(nil)
		b.work(ctx, e, env)
	})
}

// work brings one event to its handler and tells the inbox how it went.
func (b *Bot) work(ctx context.Context, e Event, env *envelope) {
	b.metrics.began(e, b.now())
	err := b.handle(ctx, &e, env)
	var decode *decodeError
	var limited *slack.RateLimitedError
	say := func(ctx context.Context) error { return b.inbox.Done(ctx, e) }
	outcome := "done"
	why := ""
	if err != nil {
		why = reason(err)
	}
	retry := func(after time.Duration, counts bool) func(context.Context) error {
		at := b.now().Add(after)
		return func(ctx context.Context) error { return b.inbox.Retry(ctx, e, at, counts, why) }
	}
	switch cause := context.Cause(ctx); {
	case err == nil:
	case errors.Is(cause, ErrLost):
		b.log.WarnContext(ctx, "event was handed to somebody else while its handler ran", "event", e.ID, "type", e.Type)
		b.metrics.ended("lost")
		return
	case errors.Is(cause, errStopping):
		outcome, say = "put_back", retry(0, false)
	case errors.As(err, &decode):
		outcome, say = "dead", func(ctx context.Context) error { return b.inbox.Bury(ctx, e, why) }
	case errors.As(err, &limited) && e.Attempt-e.Failures <= freeAttempts:
		outcome, say = "limited", retry(max(limited.RetryAfter, shortestLimit), false)
	case e.last() && !lifecycle(e.Type):
		b.log.ErrorContext(ctx, "event given up: it is in the inbox as a dead letter", "event", e.ID, "type", e.Type, "attempts", e.Attempt)
		outcome, say = "dead", func(ctx context.Context) error { return b.inbox.Bury(ctx, e, why) }
	default:
		outcome, say = "retry", retry(backoff(e.Failures+1), true)
	}
	b.metrics.ended(outcome)
	b.tell(e, outcome, say)
}

var (
	addresses = regexp.MustCompile(`https?://[^\s"']+`)
	tokens    = regexp.MustCompile(`\b(xox[a-z.]*|xapp|xwfp)-[^\s"']+`)
)

// reason is an error for an operator to read, in the log and with the event: its cause, without addresses (a response_url lets
// anybody answer) and tokens, and no longer than a few lines.
func reason(err error) string {
	const most = 300
	s := tokens.ReplaceAllString(addresses.ReplaceAllString(fmt.Sprint(install.Cause(err)), "[address]"), "[token]")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// tell says to the inbox what became of an event, and again while it can't be reached: until somebody else has the event.
func (b *Bot) tell(e Event, outcome string, say func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), verdictBudget)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := say(ctx)
		if err == nil || errors.Is(err, ErrLost) {
			return
		}
		select {
		case <-ctx.Done():
			b.log.ErrorContext(ctx, "the inbox was not told what became of an event: it runs again", "event", e.ID, "outcome", outcome, "cause", err)
			return
		case <-time.After(wait):
		}
	}
}

// lifecycle events say that the app left. Nothing else will say it again, so they are tried until they are handled.
func lifecycle(kind string) bool { return kind == "app_uninstalled" || kind == "tokens_revoked" }
