package db

// What concerns the database and none of its rows.

import (
	"context"
	"log/slog"
	"time"
)

// Upkeep is what a program and its operators do about a database as a whole: its tables, its clock, whether it can be
// written, a copy of it.
type Upkeep struct{ pool *Pool }

// NewUpkeep is the upkeep of pool.
func NewUpkeep(pool *Pool) *Upkeep { return &Upkeep{pool: pool} }

// Dialect is "postgres" or "sqlite".
func (u *Upkeep) Dialect() string { return u.pool.Dialect }

// Exclusive makes this process the only one that works the database, until that is closed; ErrInUse when another one
// does. It does not wait. Commands that read, or change single rows, need no lock and run beside. On PostgreSQL, which
// many share, there is nothing to do.
func (u *Upkeep) Exclusive() error { return u.pool.Exclusive() }

// LogTo names the log for what only operators can fix: clocks that jump, and stored times that only a broken clock can
// have written. By default nobody is told.
func (u *Upkeep) LogTo(log *slog.Logger) { u.pool.Clock.log.Store(log) }

// Now is the database's time, as this process knows it: the one source for every time that is stored, or compared with
// one that was. It asks nobody. Slack's own times are Slack's, and compared with it.
func (u *Upkeep) Now() time.Time { return u.pool.Now() }

// UseClock takes machine for this machine's clock: a test's, whose clock differs from others' or jumps. A clock without
// monotonic readings is moved by hand, and taken for the database's. It is called before anything else uses u.
func (u *Upkeep) UseClock(ctx context.Context, machine func() time.Time) error {
	log := u.pool.Log()
	u.pool.Clock = NewClock(machine)
	u.pool.Clock.log.Store(log)
	return u.measure(ctx)
}

// Run keeps the time until ctx ends. Without it the clock drifts, and no step is noticed but at a reconnect.
func (u *Upkeep) Run(ctx context.Context) error {
	every := lookEvery
	if u.pool.Dialect == DialectPostgres {
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
		_ = u.measure(ctx) // the database being away is told by others; here there is always a next time
	}
}

// measure asks the database for its time.
func (u *Upkeep) measure(ctx context.Context) error {
	c := u.pool.Clock
	switch {
	case c.byHand():
		return nil
	case u.pool.Dialect != DialectPostgres:
		c.Look()
		return nil
	}
	var us int64
	asked := c.elapsed()
	if err := u.pool.Read.WithContext(ctx).Raw(askPostgres).Scan(&us).Error; err != nil {
		return Fault(ctx, "ask for the time", err)
	}
	c.heard(time.UnixMicro(us), asked, c.elapsed())
	return nil
}

// LosesCommits says in a sentence why a commit that this database reported can be lost, as far as it can be told from
// here; "" when nothing is known against it. On SQLite it is always "": what is committed is on this machine's disk.
// https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
func (u *Upkeep) LosesCommits(ctx context.Context) (why string, err error) {
	if u.pool.Dialect != DialectPostgres {
		return "", nil
	}
	var seen struct {
		Commit, Names string
		Standbys      int // streaming; others than superusers see that they are there, and nothing else of them
	}
	err = u.pool.Read.WithContext(ctx).Raw(`SELECT current_setting('synchronous_commit') AS commit,
		current_setting('synchronous_standby_names') AS names, (SELECT count(*) FROM pg_stat_replication) AS standbys`).Scan(&seen).Error
	switch {
	case err != nil:
		return "", Fault(ctx, "look how commits are kept", err)
	case seen.Commit == "off":
		return "synchronous_commit is off: a crash of the database loses the last commits", nil
	case seen.Standbys > 0 && (seen.Names == "" || seen.Commit == "local"):
		return "its standby is asynchronous: a failover can lose the last commits", nil
	}
	return "", nil
}
