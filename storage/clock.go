package storage

// Stored times are compared between machines and over days, while machines' clocks differ, are set, and jump. So there is one
// source of time: the database's clock, as each process knows it. PostgreSQL is asked on every new connection and once a minute. With
// SQLite the database's clock is this machine's. In between the monotonic clock carries it, which no setting of a clock moves.

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	measureEvery = time.Minute // PostgreSQL's clock
	lookEvery    = 10 * time.Second
	// Less than a step is drift: it is followed without a word. An answer that took longer tells nothing.
	leastStep = time.Second
	// This machine's clock is followed when it has stood by its new time for so long. A computer that slept wakes up with a
	// step as well, since the monotonic clock slept along: until then Slack's signatures look old.
	settleTime = 30 * time.Second
	// Nothing is swept so soon after the start and after a step: a machine that starts with a wrong clock sets it within minutes.
	calmTime = 10 * time.Minute
	// Steps that are remembered apart; older ones are added up.
	mostSteps = 32
)

// askPostgres is the time at this moment; now() would be when the transaction began.
const askPostgres = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// askSession is the same, with the process of the server that answered.
const askSession = askPostgres + ", pg_backend_pid()"

// clock is the database's time. Its methods may be called from any number of goroutines; Now takes no lock.
type clock struct {
	machine func() time.Time
	wall    time.Time            // what machine said when the clock was made
	running func() time.Duration // since then, by the monotonic clock; nil: machine has none
	ahead   atomic.Int64
	total   atomic.Int64 // of all steps, in nanoseconds
	log     atomic.Pointer[slog.Logger]

	mu       sync.Mutex
	measured bool
	stepped  bool
	moved    time.Duration // when the last step was followed, by running
	steps    []step        // forward ones, oldest first
	doubtful time.Duration // SQLite: how far this machine's clock jumped, not followed yet
	since    time.Duration // when that was seen first
}

// step is a jump ahead of the clock that was followed.
type step struct {
	at time.Time // the time after it
	by time.Duration
}

// newClock returns a clock that begins as machine's (nil: time.Now). A time without a monotonic reading is a test's, which moves
// it by hand: then it is taken as it is.
func newClock(machine func() time.Time) *clock {
	if machine == nil {
		machine = time.Now
	}
	first := machine()
	c := &clock{machine: machine, wall: first.Round(0)}
	if first != first.Round(0) {
		began := time.Now()
		c.running = func() time.Duration { return time.Since(began) }
	}
	c.log.Store(slog.New(slog.DiscardHandler))
	return c
}

// byHand reports whether a test moves the clock.
func (c *clock) byHand() bool { return c.running == nil }

// elapsed is how long the clock has been running, whatever was set meanwhile.
func (c *clock) elapsed() time.Duration {
	if c.byHand() {
		return c.machine().Sub(c.wall)
	}
	return c.running()
}

// Now is the database's time, as far as known.
func (c *clock) Now() time.Time { return c.wall.Add(c.elapsed() + time.Duration(c.ahead.Load())) }

// heard takes the time of the database's own clock, which was asked at one moment of ours and had answered at another.
func (c *clock) heard(t time.Time, asked, answered time.Duration) {
	ahead := t.Sub(c.wall.Add(asked + (answered-asked)/2))
	c.mu.Lock()
	defer c.mu.Unlock()
	by := ahead - time.Duration(c.ahead.Load())
	switch {
	case !c.measured:
		c.measured = true
	case answered-asked >= leastStep, by.Abs() <= (answered-asked)/2: // it tells nothing, or nothing new
		return
	case by.Abs() >= leastStep: // its administrator set it, or the database moved to another machine
		c.follow(by)
	}
	c.ahead.Store(int64(ahead))
}

// look compares the clock with this machine's, which is the database's on SQLite. A jump is noticed, and followed once it lasts.
func (c *clock) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.elapsed()
	ahead := c.machine().Round(0).Sub(c.wall.Add(at))
	by := ahead - time.Duration(c.ahead.Load())
	switch {
	case by.Abs() < leastStep:
		if c.doubtful != 0 {
			c.log.Load().Warn("this machine's clock is back where it was: its jump was not followed", "by", c.doubtful.Round(time.Second).String())
		}
		c.doubtful = 0
	case (by - c.doubtful).Abs() >= leastStep:
		c.doubtful, c.since = by, at
		c.log.Load().Warn("this machine's clock jumped: not followed unless it stays so", "by", by.Round(time.Second).String())
		return
	case at-c.since < settleTime:
		return
	default:
		c.doubtful = 0
		c.follow(by)
	}
	c.ahead.Store(int64(ahead))
}

// follow notes a step of the clock. c.mu is locked.
func (c *clock) follow(by time.Duration) {
	c.log.Load().Warn("the database's clock was set, or is another machine's now: followed", "by", by.Round(time.Millisecond).String())
	c.moved, c.stepped = c.elapsed(), true
	c.total.Add(int64(by))
	if by < 0 {
		return // what is kept for a time is kept longer
	}
	if len(c.steps) == mostSteps {
		c.steps[1].by += c.steps[0].by
		c.steps = slices.Delete(c.steps, 0, 1)
	}
	c.steps = append(c.steps, step{c.Now().Add(by), by})
}

// spared is the limit of what is kept until its age is over. What was written before a step ahead looks older than it is: the limit
// is moved by that much, as long as there can be something of that time.
func (c *clock) spared(limit time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range slices.Backward(c.steps) {
		if s.at.After(limit) {
			limit = limit.Add(-s.by)
		}
	}
	return limit
}

// movedWithin reports whether the clock followed a step less than d ago.
func (c *clock) movedWithin(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stepped && c.elapsed()-c.moved < d
}

// calm reports whether the clock has been running for a while, without a step.
func (c *clock) calm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byHand() || c.doubtful == 0 && c.elapsed()-c.moved >= calmTime
}

// Now is the database's time, as this process knows it: the one source for every time that is stored, or compared with one that
// was. It asks nobody. Slack's own times are Slack's, and compared with it.
func (db *DB) Now() time.Time { return db.clock.Now() }

// LogTo has db tell log what only operators can mend: clocks that jump, and stored times that only a broken clock can have
// written. By default nobody is told.
func (db *DB) LogTo(log *slog.Logger) { db.clock.log.Store(log) }

// log is where LogTo said.
func (db *DB) log() *slog.Logger { return db.clock.log.Load() }

// UseClock has db take machine for this machine's clock: a test's, whose clock differs from others' or jumps. A clock without
// monotonic readings is moved by hand, and taken for the database's. It is called before anything else uses db.
func (db *DB) UseClock(ctx context.Context, machine func() time.Time) error {
	log := db.log()
	db.clock = newClock(machine)
	db.clock.log.Store(log)
	return db.measure(ctx)
}

// Run keeps the time until ctx ends. Without it the clock drifts, and no step is noticed but at a reconnect.
func (db *DB) Run(ctx context.Context) error {
	every := lookEvery
	if db.dialect == dialectPostgres {
		every = measureEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_ = db.measure(ctx) // the database being away is told by others; here there is always a next time
	}
}

// measure asks the database for its time.
func (db *DB) measure(ctx context.Context) error {
	c := db.clock
	switch {
	case c.byHand():
		return nil
	case db.dialect != dialectPostgres:
		c.look()
		return nil
	}
	var us int64
	asked := c.elapsed()
	if err := db.read.WithContext(ctx).Raw(askPostgres).Scan(&us).Error; err != nil {
		return fault(ctx, "ask for the time", err)
	}
	c.heard(time.UnixMicro(us), asked, c.elapsed())
	return nil
}

// measureOn is measure on a connection that was just made: to a new primary, perhaps, on a machine with another clock. The same
// answer tells whether a pooler is in between (session). The simple protocol leaves no prepared statement behind.
func (db *DB) measureOn(ctx context.Context, conn *pgx.Conn) (session uint32, err error) {
	c := db.clock
	var us int64
	asked := c.elapsed()
	if err := conn.QueryRow(ctx, askSession, pgx.QueryExecModeSimpleProtocol).Scan(&us, &session); err != nil {
		return 0, err
	}
	if !c.byHand() {
		c.heard(time.UnixMicro(us), asked, c.elapsed())
	}
	return session, nil
}
