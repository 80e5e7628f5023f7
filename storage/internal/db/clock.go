package db

// Stored times are compared between machines and over days, while machines' clocks differ, are set, and jump. So there
// is one source of time: the database's clock, as each process knows it. PostgreSQL is asked on every new connection
// and once a minute. With SQLite the database's clock is this machine's. In between the monotonic clock carries it,
// which no setting of a clock moves.

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
	// This machine's clock is followed when it has stood by its new time for so long. A computer that slept wakes up with
	// a step as well, since the monotonic clock slept along: until then Slack's signatures look old.
	settleTime = 30 * time.Second
	// Nothing is swept so soon after the start and after a step: a machine that starts with a wrong clock sets it within
	// minutes.
	calmTime = 10 * time.Minute
	// Steps that are remembered apart; older ones are added up.
	mostSteps = 32
)

// askPostgres is the time at this moment; now() would be when the transaction began.
const askPostgres = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

// askSession is the same, with the process of the server that answered.
const askSession = askPostgres + ", pg_backend_pid()"

// Clock is the database's time. Its methods may be called from any number of goroutines; Now takes no lock.
type Clock struct {
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

// NewClock returns a clock that begins as machine's (nil: time.Now). A time without a monotonic reading is a test's,
// which moves it by hand: then it is taken as it is.
func NewClock(machine func() time.Time) *Clock {
	if machine == nil {
		machine = time.Now
	}
	first := machine()
	c := &Clock{machine: machine, wall: first.Round(0)}
	if first != first.Round(0) {
		began := time.Now()
		c.running = func() time.Duration { return time.Since(began) }
	}
	c.log.Store(slog.New(slog.DiscardHandler))
	return c
}

// byHand reports whether a test moves the clock.
func (c *Clock) byHand() bool { return c.running == nil }

// elapsed is how long the clock has been running, whatever was set meanwhile.
func (c *Clock) elapsed() time.Duration {
	if c.byHand() {
		return c.machine().Sub(c.wall)
	}
	return c.running()
}

// Now is the database's time, as far as known.
func (c *Clock) Now() time.Time { return c.wall.Add(c.elapsed() + time.Duration(c.ahead.Load())) }

// heard takes the time of the database's own clock, which was asked at one moment of ours and had answered at another.
func (c *Clock) heard(t time.Time, asked, answered time.Duration) {
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

// Look compares the clock with this machine's, which is the database's on SQLite. A jump is noticed, and followed once
// it lasts.
func (c *Clock) Look() {
	c.mu.Lock()
	defer c.mu.Unlock()

	at := c.elapsed()
	ahead := c.machine().Round(0).Sub(c.wall.Add(at))
	by := ahead - time.Duration(c.ahead.Load())

	switch {
	case by.Abs() < leastStep:
		if c.doubtful != 0 {
			c.log.Load().Warn("this machine's clock is back where it was: its jump was not followed", "by",
				c.doubtful.Round(time.Second).String())
		}
		c.doubtful = 0
	case (by - c.doubtful).Abs() >= leastStep:
		c.doubtful, c.since = by, at
		c.log.Load().Warn("this machine's clock jumped: not followed unless it stays so", "by",
			by.Round(time.Second).String())
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
func (c *Clock) follow(by time.Duration) {
	c.log.Load().Warn("the database's clock was set, or is another machine's now: followed", "by",
		by.Round(time.Millisecond).String())
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

// Spared is the limit of what is kept until its age is over. What was written before a step ahead looks older than it
// is: the limit is moved by that much, as long as there can be something of that time.
func (c *Clock) Spared(limit time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range slices.Backward(c.steps) {
		if s.at.After(limit) {
			limit = limit.Add(-s.by)
		}
	}
	return limit
}

// MovedWithin reports whether the clock followed a step less than d ago.
func (c *Clock) MovedWithin(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stepped && c.elapsed()-c.moved < d
}

// Step is the clock being set, and followed.
func (c *Clock) Step(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(by)
	c.ahead.Add(int64(by))
}

// SteppedBy is the sum of all steps that were followed, ahead and back.
func (c *Clock) SteppedBy() time.Duration { return time.Duration(c.total.Load()) }

// Calm reports whether the clock has been running for a while, without a step.
func (c *Clock) Calm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byHand() || c.doubtful == 0 && c.elapsed()-c.moved >= calmTime
}

// measureOn is measure on a connection that was just made: to a new primary, perhaps, on a machine with another clock.
// The same answer tells whether a pooler is in between (session). The simple protocol leaves no prepared statement
// behind.
func (db *Pool) measureOn(ctx context.Context, conn *pgx.Conn) (session uint32, err error) {
	c := db.Clock
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
