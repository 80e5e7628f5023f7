package inbox

// The inbox is one table that both databases work in the same way; what came lies beside it on SQLite (payloads.go).
// What costs is the commit, so callers who come together share one; and a row costs three of them in its life at most:
// it is written, handed out, and done with.

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// The states of an event, as the table has them.
const (
	eventReady   = "ready"
	eventHeld    = "held"    // by a process, until visible_at
	eventWaiting = "waiting" // for its next attempt, at visible_at
	eventQueued  = "queued"  // behind another one of its ordering key
	eventDone    = "done"    // kept for a day, so that it is known when it comes again
	eventDead    = "dead"
)

const (
	// A shared commit is for so many at most; a power of two.
	atOnce      = 128
	bytesAtOnce = 4 << 20
	// So many callers, with so many bytes, may wait for one. More than that is more than Slack will wait for.
	mostWaiting = 4096
	mostBytes   = 64 << 20
	// A caller waits less (Slack's 3 s); this is for the database to come to an end with it.
	commitBudget = 5 * time.Second
	// What is done waits this long for others: nobody waits for it, and each commit costs the database the same.
	doneLinger = 5 * time.Millisecond
	// Of so many statements it is known that their answer was lost: some minutes of a database that is away.
	mostUnheard = 256
	// claimWindow is how far into the queue a claim looks past workspaces that have enough.
	claimWindow = 512
	// What can't be opened is tried again after 30 s, 1 min, 2 min …, for an hour altogether.
	unreadableAgain = 30 * time.Second
	unreadableTries = 8
	// Rows in a step of the sweep: other writers wait for it on SQLite.
	pruneAtOnce   = 1000
	tidyEvery     = 5 * time.Second
	comeBackEvery = 200 * time.Millisecond
	catchUpEvery  = time.Second
	// No attempt is put off for longer (bot: an hour and a fifth), and no lease is longer than half of the other
	// (INBOX_LEASE: 10 minutes). What is further ahead was written by a broken clock.
	longestWait = 2 * time.Hour
	longestHold = 20 * time.Minute
	// An event can't come later than now. So far two replicas' clocks never differ.
	longestAhead = time.Hour
)

// Config is what an inbox needs to know.
type Config struct {
	App   string        // whose events are handed out; "": all
	Lease time.Duration // how long an event is lent; 0: bot.DefaultLease
	// Keep is how long dead letters are kept; 0: install.DefaultKeep.
	Keep time.Duration
	// Alone says that no other process works this inbox: what one before it held is taken up at once. On SQLite that is
	// made sure of: ErrInUse, until the database is closed.
	Alone bool
	Now   func() time.Time // a test's clock, as UseClock takes it; nil: the database's
}

// Table is the table of events: as removals, operators and new keys change it. An Inbox works it.
type Table struct {
	pool   *db.Pool
	keys   *seal.Keyring
	erased atomic.Int64 // events, with their connections
}

// NewTable is the table in pool, whose events are sealed with keys.
func NewTable(pool *db.Pool, keys *seal.Keyring) *Table { return &Table{pool: pool, keys: keys} }

// Inbox is bot.Inbox on a database. Table.Inbox makes one, Start begins to commit, Run keeps it tidy, Close ends it.
type Inbox struct {
	table *Table
	pool  *db.Pool
	keep  time.Duration
	app   string
	clock *db.Clock
	alone bool
	// shrinks tells that the SQLite file can be shortened.
	shrinks bool
	bytes   atomic.Int64 // that wait for their commit
	adds    chan *adding
	dones   chan *finishing
	ready   chan struct{}
	stop    chan struct{}
	work    sync.WaitGroup
	tidier  tidier

	leases         *leases
	events, timers *queue // of people, and of timers

	mu       sync.Mutex
	looked   time.Time // at the whole queue
	caughtUp time.Time // with other processes

	// There may be something ready that has ended a process: once, or more often.
	once, often atomic.Bool
}

var _ bot.Inbox = (*Inbox)(nil)

// Inbox opens the inbox: Inbox.Start begins to commit, and Close ends it, started or not. Of any number of inboxes on
// one database each does its part, unless one is Alone: ErrInUse.
func (t *Table) Inbox(ctx context.Context, cfg Config) (_ *Inbox, err error) {
	pool := t.pool
	take := pool.Share
	if cfg.Alone {
		take = pool.Exclusive
	}
	if err := take(); err != nil {
		return nil, fmt.Errorf("open inbox: %w", err)
	}
	if !cfg.Alone {
		defer func() {
			if err != nil {
				pool.Unshare()
			}
		}()
	}

	in := &Inbox{table: t, pool: pool, keep: cfg.Keep, app: cfg.App, clock: pool.Clock, alone: cfg.Alone,
		adds: make(chan *adding, mostWaiting), dones: make(chan *finishing, mostWaiting),
		ready: make(chan struct{}, 1), stop: make(chan struct{}), leases: newLeases(bot.DefaultLease)}
	if cfg.Lease > 0 {
		in.leases.length = cfg.Lease
	}
	if in.keep <= 0 {
		in.keep = install.DefaultKeep
	}
	if cfg.Now != nil {
		in.clock = db.NewClock(cfg.Now)
	}

	in.tidier = tidier{in: in, stepped: in.clock.SteppedBy()}
	if in.events, in.timers, err = openQueues(ctx, pool); err != nil {
		return nil, db.Fault(ctx, "open inbox", err)
	}
	if cfg.Alone {
		err := pool.Exec(ctx, func(g *gorm.DB) error {
			in.suspectSome()
			return g.Exec("UPDATE inbox SET state = 'ready' WHERE state IN ('held', 'waiting') AND state = 'held'").Error
		})
		if err != nil {
			return nil, db.Fault(ctx, "open inbox", err)
		}
	}

	if t.apart() {
		in.shrinks = t.makeShrinkable(ctx, in.alone)
	}
	return in, nil
}

// openQueues goes on where the queues were left.
func openQueues(ctx context.Context, pool *db.Pool) (events, timers *queue, err error) {
	var at struct{ People, Timers int64 }
	const first = "(SELECT min(tag) FROM inbox WHERE state = 'ready' AND tag "
	const last = "(SELECT max(tag) FROM (SELECT tag FROM inbox ORDER BY id DESC LIMIT 1000) AS newest WHERE tag "
	err = pool.Read.WithContext(ctx).Raw("SELECT coalesce("+first+"< @timer), "+last+"< @timer), 0) AS people, "+
		"coalesce("+first+">= @timer), "+last+">= @timer), @timer) AS timers", map[string]any{"timer": firstTimer}).
		Scan(&at).Error
	return newQueue(at.People), newQueue(at.Timers), err
}

// Start begins to commit what is added and done with. Close ends it.
func (in *Inbox) Start() {
	in.work.Go(func() {
		group(in, in.adds, 0, func(a *adding) int { return len(a.box) }, func(batch []*adding) {
			var bytes int64
			for _, a := range batch {
				bytes += int64(len(a.box))
			}
			in.commitAdds(batch)
			in.bytes.Add(-bytes)
		})
	})
	in.work.Go(func() { group(in, in.dones, doneLinger, func(*finishing) int { return 0 }, in.commitDones) })
}

// Close waits for commits under way. Nothing may be added after it.
func (in *Inbox) Close() {
	close(in.stop)
	in.work.Wait()
	if !in.alone {
		in.pool.Unshare()
	}
}

// Ready is bot.Inbox's.
func (in *Inbox) Ready() <-chan struct{} { return in.ready }

// Wake tells whoever claims that there is something new.
func (in *Inbox) Wake() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// Count is bot.Inbox's. Each part has an index of its own: what is done is never walked through.
func (in *Inbox) Count(ctx context.Context) (bot.InboxCount, error) {
	var rows []struct {
		State  string
		N      int
		Oldest int64
	}

	const some = ", count(*) AS n, coalesce(min(received_at), 0) AS oldest FROM inbox WHERE "
	err := in.pool.Read.WithContext(ctx).Raw("SELECT 'ready' AS state" + some + "state = 'ready' " +
		"UNION ALL SELECT state" + some + "state IN ('held', 'waiting') GROUP BY state " +
		"UNION ALL SELECT 'waiting'" + some + "lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') AND state = " +
		"'queued' UNION ALL SELECT 'dead'" + some + "state = 'dead'").Scan(&rows).Error
	if err != nil {
		return bot.InboxCount{}, db.Fault(ctx, "count events", err)
	}

	count := bot.InboxCount{Erased: int(in.table.erased.Load())}
	for _, r := range rows {
		n, oldest := &count.Waiting, &count.OldestWaiting
		switch r.State {
		case eventReady:
			n, oldest = &count.Ready, &count.OldestReady
		case eventHeld:
			n, oldest = &count.Held, &count.OldestHeld
		case eventDead:
			n, oldest = &count.Dead, &count.OldestDead
		}
		*n += r.N
		if r.Oldest == 0 {
			continue
		}

		came := columns.Moment(r.Oldest)
		older(oldest, came)
		if r.State != eventDead { // which waits for nobody
			older(&count.Oldest, came)
		}
	}
	return count, nil
}

// older makes oldest at, if that is earlier or oldest is none.
func older(oldest *time.Time, at time.Time) {
	if oldest.IsZero() || at.Before(*oldest) {
		*oldest = at
	}
}

// now is the database's time.
func (in *Inbox) now() time.Time { return in.clock.Now() }
