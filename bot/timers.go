package bot

// What a bot does at a time and not because somebody acted: once, every so often, or by a calendar. Timers are rows, so
// they survive restarts; what is due goes through the inbox, like everything else.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/schedule"
	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/lasting"
)

const (
	// DefaultLeastInterval is the shortest time between two runs that Every and Cron take, unless Config.LeastInterval
	// says otherwise. With it, 100,000 workspaces are 111 runs a second.
	DefaultLeastInterval = 15 * time.Minute

	// So many timers become events in one transaction.
	firedAtOnce = 128
	// Another process schedules and dies, or its clock differs: the table is looked at this often even if nothing is due.
	timersEvery = 30 * time.Second
	// The clock is compared with the next time this often. That asks nobody.
	clockEvery = 100 * time.Millisecond
	// What is due and can't be had is being taken by another process.
	timersBusy = 200 * time.Millisecond
	// Connections that another process made, which doesn't know what recurs here, are looked for this soon after the
	// start, when the release before this one may still take installs, and then less and less often.
	enlistSoon  = time.Minute
	enlistEvery = time.Hour
	// A timer that no handler was there for in this time after it was due is dropped. Until then another release, or the
	// one before, may have the handler.
	handlerGone = 7 * 24 * time.Hour
)

// ErrNoTimer says that no handler was made by OnTimer for a name that was scheduled.
var ErrNoTimer = errors.New("no handler OnTimer has this name")

// Timed is something to be done at a time.
type Timed struct {
	Name string    // of the handler
	Key  string    // which one of the handler's; "" for what recurs
	At   time.Time // when
	Data []byte    // the Bot's own
}

// Recurring is something to be done again and again, for each connection.
type Recurring struct {
	Name string // of the handler
	Spec string // how it recurs; with another one the times are made anew
	// Next returns the first time that is due for a connection after now, and when that is: not all connections have the
	// same moment.
	Next func(connectionID string, now time.Time) (slot, due time.Time)
}

// recurring is how h recurs.
func (h *Handler) recurring() Recurring {
	return Recurring{Name: h.Name, Spec: h.calendar.String(),
		Next: func(connectionID string, now time.Time) (slot, due time.Time) {
			return schedule.Next(h.calendar, h.Name+"/"+connectionID, now)
		}}
}

// Due is a timer whose time has come.
type Due struct {
	ValueOwner
	Timed
	Key       connection.Key // of the connection
	Recurring bool
}

// Timers keeps what is to be done at a time. It may be used from any number of goroutines and processes.
//
// The timers of a connection that is removed, paused or has to be reconnected wait. What was due meanwhile is due once
// when it can be used again. They are deleted with the connection's record.
type Timers interface {
	// Schedule keeps t, in the place of one with the same owner, name and key. connection.ErrNotFound when there is no
	// such connection.
	Schedule(ctx context.Context, of ValueOwner, t Timed) error
	// Cancel deletes a timer. It reports whether there was one that had not become an event.
	Cancel(ctx context.Context, of ValueOwner, name, key string) (found bool, err error)
	// Recur says what recurs: every connection has it that this process makes from then on. It doesn't block.
	Recur(recurring []Recurring)
	// Enlist makes sure that all other connections have it, too. It blocks for reading all of them, in steps.
	Enlist(ctx context.Context) error
	// Drop deletes timers that were due before a time and that none of these handlers is for. It returns how many of each
	// name.
	Drop(ctx context.Context, names []string, before time.Time) (dropped map[string]int, err error)
	// Next returns when the first timer of each of these handlers is due; none for those that have no timer.
	Next(ctx context.Context, names []string) (map[string]time.Time, error)
	// Fire makes events of at most n timers of a handler that are due, and returns how many it found. Where the event
	// of the time before is still to be worked, that one takes the place of this.
	Fire(ctx context.Context, name string, n int, deliver func(Due) Delivery) (found int, err error)
	// Changed has something in it when there may be a timer that is due earlier than Next said.
	Changed() <-chan struct{}
}

// timed is what the inbox keeps of a timer whose time has come.
type timedWork struct {
	Name string          `json:"name"`
	Key  string          `json:"key,omitempty"`
	Team string          `json:"team,omitempty"`
	At   int64           `json:"at"` // microseconds since 1970
	Kept json.RawMessage `json:"kept,omitempty"`
}

// keptTimer is what a row keeps for a handler.
type keptTimer struct {
	Zone    string          `json:"zone,omitempty"` // of the time that was given
	Payload json.RawMessage `json:"payload,omitempty"`
}

// eventOfTimer is the delivery that a timer becomes. Its id is the same whoever makes it.
func eventOfTimer(d Due) Delivery {
	at := d.At.UnixMicro()
	id := "timer " + d.Name + " " + d.ConnectionID
	if !d.Recurring {
		id += " " + d.TeamID + " " + d.Timed.Key
	}
	work := timedWork{Name: d.Name, Key: d.Timed.Key, Team: d.TeamID, At: at, Kept: d.Data}
	if d.Key.Org() && d.TeamID == d.Key.EnterpriseID {
		work.Team = ""
	}
	body, err := json.Marshal(work)
	if err != nil { // cannot be: Kept was made by Schedule
		panic(err)
	}
	return Delivery{
		ID: id + " " + strconv.FormatInt(at, 10), Kind: transport.KindTimer, Type: string(KindTimer) + " " + d.Name,
		Key: d.Key, Received: d.At, Body: body,
	}
}

// timers hands what is due to the inbox. Its run is called once.
type timers struct {
	kept      Timers
	names     []string // of handlers
	recurring []Recurring
	now       func() time.Time
	log       *slog.Logger
	metrics   *metrics
	trouble   lasting.Trouble
	enlistAt  time.Time     // when connections without their timers are looked for next
	pause     time.Duration // before that
	enlisted  atomic.Bool   // each connection had its timers once
}

// newTimers is nil where there is nowhere to keep timers.
func newTimers(cfg Config, m *metrics) *timers {
	t := &timers{kept: cfg.Timers, now: cfg.Now, log: cfg.Log, metrics: m}
	t.trouble.Begins, t.trouble.Ends = "look for timers that are due", "timers that are due are found again"
	for _, h := range cfg.Handlers {
		if h.Kind != KindTimer {
			continue
		}
		t.names = append(t.names, h.Name)
		if h.calendar != nil {
			t.recurring = append(t.recurring, h.recurring())
		}
	}
	if t.kept == nil {
		return nil
	}
	t.kept.Recur(t.recurring) // before anybody can install through this Bot
	return t
}

// run looks for timers that are due until ctx ends.
func (t *timers) run(ctx context.Context) {
	for ctx.Err() == nil {
		enlistErr := t.enlist(ctx)

		next, err := t.kept.Next(ctx, t.names)
		err = errors.Join(enlistErr, err)
		fired, due := 0, false
		for name, at := range next {
			if at.After(t.now()) {
				continue
			}
			due = true
			n, fireErr := t.kept.Fire(ctx, name, firedAtOnce, t.deliver)
			fired += n
			err = errors.Join(err, fireErr)
		}

		switch ok := t.noted(ctx, err); {
		case !ok:
			t.wait(ctx, time.Time{}, time.Second)
		case fired == 0 && due:
			t.wait(ctx, time.Time{}, timersBusy)
		case fired == 0:
			first := earliest(next)
			if first.IsZero() || t.enlistAt.Before(first) {
				first = t.enlistAt
			}
			t.wait(ctx, first, timersEvery)
		}
	}
}

// enlist gives their timers to connections that have none, when it is time to.
func (t *timers) enlist(ctx context.Context) error {
	now := t.now()
	if until := t.enlistAt.Sub(now); 0 < until && until <= enlistEvery { // more only if the clock was set back
		return nil
	}
	if err := errors.Join(t.kept.Enlist(ctx), t.drop(ctx)); err != nil {
		return fmt.Errorf("give connections their timers: %w", err)
	}

	t.pause = min(max(enlistSoon, 2*t.pause), enlistEvery)
	t.enlistAt = now.Add(t.pause)
	t.enlisted.Store(true)
	return nil
}

// idle reports whether no timer is due.
func (t *timers) idle(ctx context.Context) (bool, error) {
	next, err := t.kept.Next(ctx, t.names)
	first := earliest(next)
	return t.enlisted.Load() && (first.IsZero() || first.After(t.now())), err
}

// drop drops timers whose handler is gone.
func (t *timers) drop(ctx context.Context) error {
	dropped, err := t.kept.Drop(ctx, t.names, t.now().Add(-handlerGone))
	for name, n := range dropped {
		t.log.WarnContext(ctx, "timers are dropped: there is no handler for them any longer", "name", name, "timers", n)
	}
	return err
}

// deliver is eventOfTimer, as of now: whoever watches how long events wait is to see what the inbox does.
func (t *timers) deliver(d Due) Delivery {
	e := eventOfTimer(d)
	e.Received = t.now()
	t.metrics.delivered(transport.KindTimer, "accepted")
	return e
}

func earliest(next map[string]time.Time) (first time.Time) {
	for _, at := range next {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// wait returns at a time of the Bot's clock (zero: never), when there may be something earlier, and after most.
func (t *timers) wait(ctx context.Context, until time.Time, most time.Duration) {
	enough := time.NewTimer(most)
	defer enough.Stop()
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-enough.C:
			return
		case <-t.kept.Changed():
			return
		case <-tick.C:
			if !until.IsZero() && !until.After(t.now()) {
				return
			}
		}
	}
}

// noted reports whether err is none, and logs trouble.
func (t *timers) noted(ctx context.Context, err error) (ok bool) {
	if ctx.Err() == nil {
		t.trouble.Note(ctx, t.log, err)
	}
	return err == nil
}

// handleTimer runs the handler of a timer whose time has come.
func (b *Bot) handleTimer(ctx context.Context, e *Delivery) error {
	if e.Deaths >= mostDeaths {
		return errEndsProcess
	}
	h := b.routes.byID[e.Type]
	if h == nil { // another release may have it
		return errors.New("there is no handler " + transport.Clip(e.Type) + " here")
	}
	var work timedWork
	var kept keptTimer
	err := json.Unmarshal(e.Body, &work)
	if err == nil && len(work.Kept) > 0 {
		err = json.Unmarshal(work.Kept, &kept)
	}
	if err != nil {
		return &decodeError{err}
	}

	e.by = h
	v := visit{
		key: e.Key, team: work.Team, ref: install.NewRef(), event: e.ID, patience: eventOpenBudget, patient: true,
	}
	v.fill = func(req *Request) {
		req.EventTime = time.UnixMicro(work.At).In(zone(kept.Zone))
		b.attempt(req, e)
	}
	v.find = func(*Request) (*Handler, string) { return h, "" }
	v.run = func(ctx context.Context, h *Handler, req *Request) (Reply, error) {
		return b.gate.within(ctx, h, req, &Timer{Key: work.Key, At: req.EventTime, Payload: kept.Payload})
	}
	return b.handled(ctx, e, b.gate.pass(ctx, ctx, v))
}

// zone is the zone of a name, UTC where this machine doesn't know it.
func zone(name string) *time.Location {
	if in, err := time.LoadLocation(name); err == nil {
		return in
	}
	return time.UTC
}

// Schedule has the handler OnTimer(name) run at a time, with payload as JSON, for the workspace that t is from. One
// that waits under the same name and key is replaced. A time that has passed is now. The handler runs once, whatever
// number of processes there is, and also when all of them were away at that time: then as soon as one is back. It gets
// the time in the zone that at has.
//
// It doesn't run while the connection is removed, paused or has to be reconnected. If it can be used again, what was
// due meanwhile runs then.
func (req *Request) Schedule(ctx context.Context, name, key string, at time.Time, payload any) error {
	if err := req.checkTimer(name, key); err != nil {
		return err
	}
	if at.IsZero() {
		return fmt.Errorf("schedule %s: no time is given", name)
	}
	data, err := encodeValue(key, payload)
	if err != nil {
		return err
	}

	kept := keptTimer{Payload: data}
	if in := at.Location().String(); in != time.UTC.String() && in != time.Local.String() {
		kept.Zone = in
	}
	if data, err = json.Marshal(kept); err != nil {
		return fmt.Errorf("schedule %s: %w", name, err)
	}
	return req.timers.kept.Schedule(ctx, req.store.of, Timed{Name: name, Key: key, At: at, Data: data})
}

// Cancel deletes what waits under a name and a key. It reports whether there was something: what is about to run, or
// has run, can't be cancelled.
func (req *Request) Cancel(ctx context.Context, name, key string) (found bool, err error) {
	if err := req.checkTimer(name, key); err != nil {
		return false, err
	}
	return req.timers.kept.Cancel(ctx, req.store.of, name, key)
}

func (req *Request) checkTimer(name, key string) error {
	switch {
	case req.timers == nil:
		return ErrNoStore
	case req.store.of.ConnectionID == "" || req.store.of.TeamID == "":
		return connection.ErrNotConnected
	case !slices.Contains(req.timers.names, name) ||
		slices.ContainsFunc(req.timers.recurring, func(r Recurring) bool { return r.Name == name }):
		return fmt.Errorf("schedule %q: %w", name, ErrNoTimer)
	}
	return checkKey(key)
}

// Timer is what a handler of a timer works with. Nobody acted, so there is no UserID and no ChannelID.
type Timer struct {
	*Request
	Key     string    // that it was scheduled with; "" for Every and Cron
	At      time.Time // that it was scheduled for: now, or earlier
	Payload json.RawMessage
}

// Decode decodes the payload into into, a pointer.
func (t *Timer) Decode(into any) error {
	if err := json.Unmarshal(t.Payload, into); err != nil {
		return fmt.Errorf("read the payload of a timer: %w", err)
	}
	return nil
}

// Say posts reply in a channel, or to a person (U…), once across attempts: see Message.Say.
func (t *Timer) Say(ctx context.Context, channelID string, reply Reply) (ts string, err error) {
	there := *t.Request
	there.ChannelID, there.ThreadTS = channelID, ""
	return there.sayAll(ctx, reply)
}
