package storage

// The inbox is one table that both databases work in the same way; what came lies beside it on SQLite (payloads.go). What costs is
// the commit, so callers who come together share one; and a row costs three of them in its life at most: it is written, handed
// out, and done with.

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"switchboard/bot"
	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/storage/seal"
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

// InboxConfig is what an inbox needs to know.
type InboxConfig struct {
	App   string        // whose events are handed out; "": all
	Lease time.Duration // how long an event is lent; 0: bot.DefaultLease
	// Keep is how long dead letters are kept; 0: install.DefaultKeep.
	Keep time.Duration
	// Alone says that no other process works this inbox: what one before it held is taken up at once. On SQLite that is
	// made sure of: ErrInUse, until DB.Close.
	Alone bool
	Now   func() time.Time // a test's clock, as DB.UseClock takes it; nil: DB.Now
}

// Inbox is bot.Inbox on a database. Make one with DB.Inbox; Run keeps it tidy.
type Inbox struct {
	db    *DB
	lease time.Duration
	keep  time.Duration
	app   string
	clock *clock
	alone bool
	// shrinks tells that the SQLite file can be shortened.
	shrinks bool
	bytes   atomic.Int64 // that wait for their commit
	leases  atomic.Int64 // that were given, from some number on: see until
	adds    chan *adding
	dones   chan *finishing
	ready   chan struct{}
	stop    chan struct{}
	work    sync.WaitGroup

	mu     sync.Mutex
	tag    int64                    // the place of what was handed out last
	last   map[connection.Key]int64 // workspace → the place of its last event, where that is ahead of tag
	from   int64                    // where the last claim ended
	looked time.Time                // at the whole queue

	unheard  []int64       // the ends of leases that were given by statements whose answer was lost
	caughtUp time.Time     // with other processes
	searched time.Time     // for messages that nobody answers for
	stepped  time.Duration // the steps of the clock that what waits was told of

	// There may be something ready that has ended a process: once, or more often.
	once, often atomic.Bool
}

var _ bot.Inbox = (*Inbox)(nil)

// Inbox returns the inbox in db, and starts what commits. Close ends it. Of any number of inboxes on one database each does its
// part, unless one is Alone: ErrInUse.
func (db *DB) Inbox(ctx context.Context, cfg InboxConfig) (_ *Inbox, err error) {
	take := db.share
	if cfg.Alone {
		take = db.Exclusive
	}
	if err := take(); err != nil {
		return nil, fmt.Errorf("open inbox: %w", err)
	}
	if !cfg.Alone {
		defer func() {
			if err != nil {
				db.unshare()
			}
		}()
	}
	in := &Inbox{db: db, lease: cfg.Lease, keep: cfg.Keep, app: cfg.App, clock: db.clock, alone: cfg.Alone,
		adds: make(chan *adding, mostWaiting), dones: make(chan *finishing, mostWaiting),
		ready: make(chan struct{}, 1), stop: make(chan struct{}), last: map[connection.Key]int64{}}
	if in.lease <= 0 {
		in.lease = bot.DefaultLease
	}
	if in.keep <= 0 {
		in.keep = install.DefaultKeep
	}
	if cfg.Now != nil {
		in.clock = newClock(cfg.Now)
	}
	in.stepped = time.Duration(in.clock.total.Load())
	in.leases.Store(rand.Int64N(leasesApart))
	if err := db.read.WithContext(ctx).Raw("SELECT coalesce((SELECT min(tag) FROM inbox WHERE state = 'ready'), (SELECT max(tag) FROM (SELECT tag FROM inbox ORDER BY id DESC LIMIT 1000) AS newest), 0)").Scan(&in.tag).Error; err != nil {
		return nil, fault(ctx, "open inbox", err)
	}
	if cfg.Alone {
		err := db.exec(ctx, func(g *gorm.DB) error {
			in.suspectSome()
			return g.Exec("UPDATE inbox SET state = 'ready' WHERE state IN ('held', 'waiting') AND state = 'held'").Error
		})
		if err != nil {
			return nil, fault(ctx, "open inbox", err)
		}
	}
	if db.apart() {
		in.makeShrinkable(ctx)
	}
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
	return in, nil
}

// Close waits for commits under way. Nothing may be added after it.
func (in *Inbox) Close() {
	close(in.stop)
	in.work.Wait()
	if !in.alone {
		in.db.unshare()
	}
}

// Ready is bot.Inbox's.
func (in *Inbox) Ready() <-chan struct{} { return in.ready }

func (in *Inbox) wake() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// adding is one event that waits for its insert.
type adding struct {
	ctx   context.Context // the caller's
	event bot.Event       // a copy: the caller may have left
	take  bool
	box   []byte
	fresh bool
	err   error
	done  chan struct{}
	// fate is decided once: by the caller who leaves, or by the commit that has its answer.
	fate atomic.Int32
}

const (
	fateLeft = iota + 1
	fateAnswered
)

// place is what an event's payload is bound to.
func eventPlace(k connection.Key, id string) seal.Place {
	return seal.Place{Column: "inbox.payload/" + id, App: k.AppID, Enterprise: k.EnterpriseID, Team: k.TeamID}
}

// Add is bot.Inbox's.
func (in *Inbox) Add(ctx context.Context, e *bot.Event, take bool) (fresh bool, err error) {
	if !storableKey(e.Key) || !storable(e.ID) || e.ID == "" {
		return false, errors.New("add event: its id or key is not valid text")
	}
	a := &adding{ctx: ctx, event: *e, take: take && e.OrderingKey == "", done: make(chan struct{})}
	if in.bytes.Load() > mostBytes {
		return false, bot.ErrInboxFull
	}
	if a.box, err = in.db.keys.SealOn(in.now(), e.Body, eventPlace(e.Key, e.ID)); err != nil {
		return false, fmt.Errorf("add event: %w", err)
	}
	select {
	case in.adds <- a:
		in.bytes.Add(int64(len(a.box)))
	default:
		return false, bot.ErrInboxFull
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		if a.fate.CompareAndSwap(0, fateLeft) {
			return false, fmt.Errorf("add event: %w", ctx.Err()) // it may be kept or not
		}
		<-a.done
	}
	e.Row, e.Attempt = a.event.Row, a.event.Attempt
	return a.fresh, a.err
}

// group commits what comes through a channel, one commit at a time: who comes meanwhile shares the next one, and linger is how
// long the first one waits for others. The size is a power of two, so that there are few different statements; who is left over
// goes first the next time.
func group[T any](in *Inbox, from <-chan T, linger time.Duration, size func(T) int, commit func([]T)) {
	var pending []T
	for {
		if len(pending) == 0 && linger > 0 {
			select {
			case first := <-from:
				pending = append(pending, first)
				time.Sleep(linger)
			case <-in.stop:
			}
		}
		if len(pending) == 0 {
			select {
			case first := <-from:
				pending = append(pending, first)
			case <-in.stop:
				select {
				case first := <-from: // came before the stop
					pending = append(pending, first)
				default:
					return
				}
			}
		}
	waiting:
		for len(pending) < atOnce {
			select {
			case next := <-from:
				pending = append(pending, next)
			default:
				break waiting
			}
		}
		fits, bytes := 1, size(pending[0])
		for fits < len(pending) && bytes+size(pending[fits]) <= bytesAtOnce {
			bytes += size(pending[fits])
			fits++
		}
		n := 1 << (bits.Len(uint(fits)) - 1)
		commit(slices.Clone(pending[:n]))
		pending = slices.Delete(pending, 0, n)
	}
}

// insertEvent is one row of the insert. Who comes second with an id changes nothing, whatever became of the first.
const (
	insertEvents = "INSERT INTO inbox (app_id, event_id, enterprise_id, team_id, kind, type, lane, state, tag, visible_at, " +
		"attempt, begun, failures, received_at, finished_at, said, error, payload) VALUES "
	insertEvent = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, '', '', ?)"
	// Nearly all batches are of one of these kinds alone. What their rows have in common stands in the statement: a third of the
	// values of a row would otherwise be nothing but that.
	insertReady = "(?, ?, ?, ?, 'events_api', ?, '', 'ready', ?, 0, 0, 0, 0, ?, 0, '', '', ?)"
	insertTaken = "(?, ?, ?, ?, 'events_api', ?, '', 'held', ?, ?, 1, 1, 0, ?, 0, '', '', ?)"
	insertOnce  = " ON CONFLICT (app_id, event_id) DO NOTHING RETURNING id, app_id, event_id"
)

// eventName is what the database knows an event by.
type eventName struct{ app, id string }

func (a *adding) name() eventName { return eventName{a.event.Key.AppID, a.event.ID} }

// inOneOrder brings a batch into one order in all processes, so that two inserts of the same events do not wait for each other.
// Rows are numbered in that order, so the events of one ordering key keep theirs.
func inOneOrder(batch []*adding) {
	lanes := map[string][]*adding{}
	for _, a := range batch {
		if a.event.OrderingKey != "" {
			lanes[a.event.OrderingKey] = append(lanes[a.event.OrderingKey], a)
		}
	}
	slices.SortStableFunc(batch, func(a, b *adding) int {
		return cmp.Or(strings.Compare(a.event.Key.AppID, b.event.Key.AppID), strings.Compare(a.event.ID, b.event.ID))
	})
	for i, a := range batch {
		if lane := lanes[a.event.OrderingKey]; len(lane) > 0 {
			batch[i], lanes[a.event.OrderingKey] = lane[0], lane[1:]
		}
	}
}

// commitAdds inserts a batch and answers its callers.
func (in *Inbox) commitAdds(batch []*adding) {
	// Who left was told that it is not kept, or may not be; so it had better not be.
	batch = slices.DeleteFunc(batch, func(a *adding) bool { return a.fate.Load() == fateLeft })
	if len(batch) == 0 {
		return
	}
	inOneOrder(batch)
	ctx, cancel := context.WithTimeout(context.Background(), commitBudget)
	defer cancel()
	rows, err := in.insert(ctx, batch)
	if err != nil && len(batch) > 1 && refusedRow(err) {
		for i := range batch { // the others are not to suffer for one that the database does not take
			in.commitAdds(batch[i : i+1])
		}
		return
	}
	wake := false
	var lanes []string
	var orphans []int64 // taken by somebody who left meanwhile
	for _, a := range batch {
		if a.err = err; err == nil {
			var row int64
			row, a.fresh = rows[a.name()]
			delete(rows, a.name()) // of the same event twice in a batch one is fresh
			if a.fresh {
				a.event.Row = row
				if a.take {
					a.event.Attempt = 1
				}
				wake = wake || !a.take && a.event.OrderingKey == ""
				if a.event.OrderingKey != "" {
					lanes = append(lanes, a.event.OrderingKey)
				}
			}
		} else {
			a.err = fault(ctx, "add event", err)
		}
		if !a.fate.CompareAndSwap(0, fateAnswered) && a.fresh && a.take {
			orphans = append(orphans, a.event.Row)
		}
		close(a.done)
	}
	if len(orphans) > 0 { // if this fails, their lease runs out
		_ = in.touch(ctx, map[int64]bool{}, stillHeld, "state = 'ready', begun = 0", nil, 1, orphans)
		in.lookAtAll()
	}
	if wake {
		in.wake()
	}
	in.letGo(ctx, lanes)
}

// refusedRow reports whether the database took offence at what is in a row, as against being away.
func refusedRow(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23"))
}

func (in *Inbox) insert(ctx context.Context, batch []*adding) (rows map[eventName]int64, err error) {
	lease := in.until()
	statement, args := in.insertion(batch, lease)
	insert := func(g *gorm.DB) error {
		rows = make(map[eventName]int64, len(batch))
		return each(g, statement, args, func(r *sql.Rows) error {
			var id int64
			var name eventName
			err := r.Scan(&id, &name.app, &name.id)
			rows[name] = id
			return err
		})
	}

	err = in.db.execAs(ctx, acknowledging, func(g *gorm.DB) error {
		if !in.db.apart() {
			return insert(g)
		}
		return g.Transaction(func(tx *gorm.DB) error {
			if err := insert(tx); err != nil {
				return err
			}
			return insertPayloads(tx, rows, batch)
		})
	})
	if err != nil && slices.ContainsFunc(batch, func(a *adding) bool { return a.take }) {
		in.unheardOf(lease, err)
	}
	return rows, err
}

// insertion is the statement that inserts a batch, and what is handed out by it has a lease.
func (in *Inbox) insertion(batch []*adding, lease int64) (string, []any) {
	args := make([]any, 0, len(batch)*14)
	tags := in.tags(batch)
	row := rowOf(batch)
	for i, a := range batch {
		e, box := a.event, a.box
		if in.db.apart() {
			box = []byte{}
		}
		switch row {
		case insertReady:
			args = append(args, e.Key.AppID, e.ID, e.Key.EnterpriseID, e.Key.TeamID, text(e.Type), tags[i], micros(e.Received), box)
			continue
		case insertTaken:
			args = append(args, e.Key.AppID, e.ID, e.Key.EnterpriseID, e.Key.TeamID, text(e.Type), tags[i], lease,
				micros(e.Received), box)
			continue
		}
		state, until, attempt := eventReady, int64(0), 0
		switch {
		case a.event.OrderingKey != "":
			state = eventQueued
		case a.take:
			state, until, attempt = eventHeld, lease, 1
		}
		args = append(args, e.Key.AppID, e.ID, e.Key.EnterpriseID, e.Key.TeamID, text(e.Kind), text(e.Type), text(e.OrderingKey), state,
			tags[i], until, attempt, attempt, micros(e.Received), box) // what is taken is begun
	}
	return insertEvents + row + strings.Repeat(", "+row, len(batch)-1) + insertOnce, args
}

// rowOf is how the rows of a batch are written.
func rowOf(batch []*adding) string {
	for _, a := range batch {
		if a.event.Kind != "events_api" || a.event.OrderingKey != "" || a.take != batch[0].take {
			return insertEvent
		}
	}
	if batch[0].take {
		return insertTaken
	}
	return insertReady
}

// each runs a statement and calls scan for each row it returns.
func each(g *gorm.DB, statement string, args []any, scan func(*sql.Rows) error) error {
	rows, err := g.Raw(statement, args...).Rows()
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tags gives each event its place in the queue (start-time fair queueing): the event of a workspace that has none waiting goes
// to where the queue is being worked now, the next ones of the same workspace behind it by one each. So workspaces take turns
// however much one of them sends, and a claim is a walk along an index.
// P. Goyal, H. Vin, H. Cheng: Start-time Fair Queuing, SIGCOMM 1996.
func (in *Inbox) tags(batch []*adding) []int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.last) > 10_000 {
		maps.DeleteFunc(in.last, func(_ connection.Key, tag int64) bool { return tag < in.tag })
	}
	tags := make([]int64, len(batch))
	for i, a := range batch {
		if a.take {
			tags[i] = in.tag
			continue
		}
		next := in.tag
		if last, waits := in.last[a.event.Key]; waits {
			next = max(next, last+1)
		}
		in.last[a.event.Key], tags[i] = next, next
	}
	return tags
}

// letGo makes the first event of each ordering key ready, unless another one of that key is on its way. That two processes let two of
// an ordering key go is kept from happening by the index inbox_turn: the one that comes second looks again.
func (in *Inbox) letGo(ctx context.Context, lanes []string) {
	if len(lanes) == 0 {
		return
	}
	slices.Sort(lanes)
	lanes = padded(slices.Compact(lanes))
	args := make([]any, len(lanes))
	for i, lane := range lanes {
		args[i] = text(lane)
	}
	statement := "UPDATE inbox SET state = 'ready' WHERE state = 'queued' AND id IN (SELECT (SELECT q.id FROM inbox q WHERE q.lane = l.column1 AND q.lane <> '' " +
		"AND q.state IN ('ready', 'held', 'waiting', 'queued') ORDER BY q.id LIMIT 1) FROM (VALUES (?)" + strings.Repeat(", (?)", len(lanes)-1) + ") AS l " +
		"WHERE NOT EXISTS (SELECT 1 FROM inbox b WHERE b.lane = l.column1 AND b.lane <> '' AND b.state IN ('ready', 'held', 'waiting')))"
	for range maxTries {
		err := in.db.execAs(ctx, working, func(g *gorm.DB) error { return g.Exec(statement, args...).Error })
		if errors.Is(err, gorm.ErrDuplicatedKey) {
			continue
		}
		if err != nil {
			return // Run finds them
		}
		break
	}
	in.lookAtAll()
}

// Claim is bot.Inbox's.
func (in *Inbox) Claim(ctx context.Context, n int, busy []connection.Key) (claimed []bot.Event, err error) {
	if n <= 0 {
		return nil, nil
	}
	from, err := in.comeBack(ctx)
	if err != nil {
		return nil, err
	}
	claimed, err = in.claim(ctx, "begun = 0", true, from, n, busy)
	slices.SortFunc(claimed, func(a, b bot.Event) int { return cmp.Compare(a.Row, b.Row) })
	return claimed, err
}

// Suspects is bot.Inbox's.
func (in *Inbox) Suspects() (once, often bool) { return in.once.Load(), in.often.Load() }

// ClaimSuspects is bot.Inbox's. Suspects are few and have an index of their own.
func (in *Inbox) ClaimSuspects(ctx context.Context, n int, often bool) ([]bot.Event, error) {
	which, hint := "begun > 0 AND begun = 1", &in.once
	if often {
		which, hint = "begun > 0 AND begun > 1", &in.often
	}
	claimed, err := in.claim(ctx, which, false, 0, n, nil)
	if err == nil && len(claimed) < n {
		hint.Store(false) // until some come back
	}
	return claimed, err
}

// claim hands out what is ready and fits, from a place in the queue on. begin is whether that begins it.
func (in *Inbox) claim(ctx context.Context, which string, begin bool, from int64, n int,
	busy []connection.Key) (claimed []bot.Event, err error) {
	statement := "WITH picked AS MATERIALIZED (SELECT id FROM inbox WHERE state = 'ready' AND " + which + " AND tag >= ?"
	args := []any{from}
	if in.app != "" {
		statement += " AND app_id || '' = ?" // not as a column: SQLite would take the index by app and sort all there is
		args = append(args, in.app)
	}
	if len(busy) > 0 {
		statement += " AND tag <= (SELECT max(tag) FROM (SELECT tag FROM inbox WHERE state = 'ready' ORDER BY tag, id LIMIT ?) AS head)"
		args = append(args, claimWindow)
	}
	for _, k := range busy {
		statement += " AND NOT (enterprise_id = ? AND team_id = ?)"
		args = append(args, k.EnterpriseID, k.TeamID)
	}
	statement += " ORDER BY tag, id LIMIT ?"
	args = append(args, n)
	if in.db.dialect == dialectPostgres {
		statement += " FOR UPDATE SKIP LOCKED"
	}
	statement += ") UPDATE inbox SET state = 'held', visible_at = ?, attempt = attempt + 1, begun = begun + ? " +
		"WHERE id IN (SELECT id FROM picked) RETURNING " + in.db.eventColumns()
	now := 0
	if begin {
		now = 1
	}
	lease := in.until()
	args = append(args, lease, now)

	var damaged []bot.Event
	var tag int64
	err = in.db.execAs(ctx, working, func(g *gorm.DB) error {
		claimed, damaged = nil, nil
		return each(g, statement, args, func(r *sql.Rows) error {
			row, err := scanEvent(r)
			if err != nil {
				return err
			}
			tag = max(tag, row.Tag)
			e, readable := in.open(&row)
			e.Deaths -= now
			if !readable {
				damaged = append(damaged, e)
				return nil
			}
			claimed = append(claimed, e)
			return nil
		})
	})
	if err != nil {
		if begin {
			in.unheardOf(lease, err)
		}
		return nil, fault(ctx, "claim events", err)
	}
	in.mu.Lock()
	in.tag = max(in.tag, tag)
	if len(claimed)+len(damaged) > 0 && begin {
		in.from = tag
	}
	in.mu.Unlock()
	return claimed, in.setAside(ctx, damaged)
}

// setAside puts what could not be opened back for a while, and buries it in the end: another replica may have the key
// already.
func (in *Inbox) setAside(ctx context.Context, damaged []bot.Event) error {
	const why = "it can't be opened with the keys at hand"
	for _, e := range damaged {
		var err error
		if e.Failures+1 < unreadableTries {
			err = in.Retry(ctx, e, in.now().Add(unreadableAgain<<e.Failures), true, why)
		} else {
			err = in.DeadLetter(ctx, e, why)
		}
		if err != nil && !errors.Is(err, bot.ErrLost) {
			return err
		}
	}
	return nil
}

// comeBack makes ready whose lease or pause is over, a few times a second at most, and returns from which place in the queue on to
// claim. That is where the last claim ended: before it an index on PostgreSQL is full of what was claimed already and not
// vacuumed yet, a thousand entries for each claim under load. Whatever else lies there (what came back, or was written by
// another process) is found by the claims that look at everything.
func (in *Inbox) comeBack(ctx context.Context) (from int64, err error) {
	now := in.now()
	in.mu.Lock()
	due := now.Sub(in.looked) >= comeBackEvery || now.Before(in.looked)
	if due {
		in.looked = now
	}
	from = in.from
	in.mu.Unlock()
	if !due {
		return from, nil
	}
	if err := in.catchUp(ctx); err != nil {
		return 0, fault(ctx, "look for events whose time has come", err)
	}
	if err := in.takeBack(ctx); err != nil {
		return 0, fault(ctx, "take back events that nobody was handed", err)
	}
	in.mu.Lock()
	tag := in.tag
	in.mu.Unlock()
	which := ""
	if in.clock.movedWithin(in.lease) { // what lives will say so by the new time
		which = "AND state = 'waiting' "
	}
	// They queue up as if they had just come, else one workspace's failures would go before everybody else's events.
	err = in.db.execAs(ctx, working, func(g *gorm.DB) error {
		at := micros(in.now())
		back := g.Exec("WITH due AS (SELECT id, "+
			"row_number() OVER (PARTITION BY app_id, enterprise_id, team_id ORDER BY id) - 1 AS place FROM inbox "+
			"WHERE state IN ('held', 'waiting') AND visible_at <= ? "+which+") "+
			"UPDATE inbox SET state = 'ready', tag = CASE WHEN tag > ? + due.place THEN tag ELSE ? + due.place END "+
			"FROM due WHERE inbox.id = due.id AND inbox.state IN ('held', 'waiting') AND inbox.visible_at <= ?",
			at, tag, tag, at)
		if back.RowsAffected > 0 {
			in.suspectSome()
		}
		return back.Error
	})
	if err != nil {
		return 0, fault(ctx, "look for events whose time has come", err)
	}
	return 0, nil
}

// leasesApart is how many leases that begin in one millisecond end in different microseconds.
const leasesApart = 1000

// until is when a lease ends that begins now, two milliseconds early at most. It tells what one statement of this
// process handed out from what all others did; those of two processes are the same by a rare chance only.
func (in *Inbox) until() int64 {
	ms := in.now().Add(in.lease).UnixMilli() - 1
	return ms*leasesApart + in.leases.Add(1)%leasesApart
}

// unheardOf notes that a statement may have handed out events, with leases until then, of which nobody here knows: the
// connection broke between its commit and its answer. err is what came instead.
func (in *Inbox) unheardOf(until int64, err error) {
	if refusedRow(err) {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.unheard) == mostUnheard {
		in.unheard = slices.Delete(in.unheard, 0, 1) // what that one handed out is a suspect after its lease
	}
	in.unheard = append(in.unheard, until)
}

// takeBack makes ready what was handed out to nobody. It was not begun, so that it is no suspect: else an outage makes
// suspects of all that is handed out in its first moment, of which only a few may run at once. That goes on until the
// leases are over, since the database may come to such a statement late.
func (in *Inbox) takeBack(ctx context.Context) error {
	in.mu.Lock()
	unheard := padded(slices.Clone(in.unheard))
	in.mu.Unlock()
	if len(unheard) == 0 {
		return nil
	}
	now := micros(in.now())
	// Those that are ready are of leases that another process found to be over.
	const statement = "UPDATE inbox SET state = 'ready', " + outlived + " WHERE id IN (" +
		"SELECT id FROM inbox WHERE state IN ('held', 'waiting') AND state = 'held' AND visible_at IN ? " +
		"UNION ALL SELECT id FROM inbox WHERE state = 'ready' AND begun > 0 AND visible_at IN ?) " +
		"AND " + mine + " AND visible_at IN ?"
	err := in.db.execAs(ctx, working, func(g *gorm.DB) error {
		return g.Exec(statement, unheard, unheard, unheard).Error
	})
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.unheard = slices.DeleteFunc(in.unheard, func(until int64) bool { return until <= now })
	return nil
}

// padded repeats the last one up to a power of two, so that there are few different statements.
func padded[T any](some []T) []T {
	for len(some)&(len(some)-1) != 0 {
		some = append(some, some[len(some)-1])
	}
	return some
}

// lookAtAll makes the next claim look at the whole queue, and wakes whoever claims.
func (in *Inbox) lookAtAll() {
	in.mu.Lock()
	in.looked = time.Time{}
	in.mu.Unlock()
	in.wake()
}

// suspectSome makes the next look at the queue look for what has ended a process. Before that it is not said that there
// is any: for one that ended more than one, a process lets everything else end.
func (in *Inbox) suspectSome() {
	in.once.Store(true)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.caughtUp = time.Time{}
}

// catchUp goes on to where other processes are working the queue, once a second at most, and looks for suspects that
// they made ready.
func (in *Inbox) catchUp(ctx context.Context) error {
	now := in.now()
	in.mu.Lock()
	due := now.Sub(in.caughtUp) >= catchUpEvery || now.Before(in.caughtUp)
	if due {
		in.caughtUp = now
	}
	in.mu.Unlock()
	if !due {
		return nil
	}
	var seen struct {
		Tag         int64
		Once, Often bool
	}
	err := in.db.read.WithContext(ctx).Raw("SELECT "+
		"coalesce((SELECT max(tag) FROM inbox WHERE state IN ('held', 'waiting') AND state = 'held'), 0) AS tag, "+
		"EXISTS (SELECT 1 FROM inbox WHERE state = 'ready' AND begun > 0 AND begun = 1 AND ? IN ('', app_id)) AS once, "+
		"EXISTS (SELECT 1 FROM inbox WHERE state = 'ready' AND begun > 0 AND begun > 1 AND ? IN ('', app_id)) AS often",
		in.app, in.app).Scan(&seen).Error
	if err != nil {
		return err
	}
	in.once.Store(seen.Once)
	in.often.Store(seen.Often)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.tag = max(in.tag, seen.Tag)
	return nil
}

// finishing is one event that waits to be done with.
type finishing struct {
	row     int64
	attempt int
	lane    string
	err     error
	done    chan struct{}
}

// Done is bot.Inbox's.
func (in *Inbox) Done(ctx context.Context, e bot.Event) error {
	f := &finishing{row: e.Row, attempt: e.Attempt, lane: e.OrderingKey, done: make(chan struct{})}
	select {
	case in.dones <- f:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitDones says of a batch that it is done. Whoever lost its lease changes nothing.
func (in *Inbox) commitDones(batch []*finishing) {
	ctx, cancel := context.WithTimeout(context.Background(), commitBudget)
	defer cancel()
	byAttempt := map[int][]int64{}
	for _, f := range batch {
		byAttempt[f.attempt] = append(byAttempt[f.attempt], f.row)
	}
	done := map[int64]bool{}
	var err error
	for attempt, rows := range byAttempt {
		slices.Sort(rows) // one order for all
		err = errors.Join(err, in.touch(ctx, done, mine, finished, []any{[]byte{}, micros(in.now()), ""}, attempt, rows))
	}
	var lanes []string
	for _, f := range batch {
		if f.lane != "" && done[f.row] {
			lanes = append(lanes, f.lane)
		}
	}
	in.letGo(ctx, lanes)
	in.giveBack(ctx)
	for _, f := range batch {
		switch {
		case done[f.row]:
		case err != nil:
			f.err = fault(ctx, "finish event", err)
		default:
			f.err = bot.ErrLost
		}
		close(f.done)
	}
}

// outlived takes back that an attempt was begun: its process lives to tell.
const outlived = "begun = CASE WHEN begun > 0 THEN begun - 1 ELSE 0 END"

// Whoever was handed an event may speak of it until somebody else is, also when its lease is over: the attempt is the fence.
const (
	mine      = "state IN ('held', 'ready')"
	stillHeld = "state = 'held'"
)

// touch sets something in those of rows that are still in an attempt, and in a state, and notes which they were.
func (in *Inbox) touch(ctx context.Context, touched map[int64]bool, state, set string, args []any, attempt int, rows []int64) error {
	args = append(slices.Clone(args), padded(rows), attempt)
	var ids []int64
	err := in.db.execAs(ctx, working, func(g *gorm.DB) error {
		ids = ids[:0]
		return each(g, "UPDATE inbox SET "+set+" WHERE id IN ? AND attempt = ? AND "+state+" RETURNING id", args, func(r *sql.Rows) error {
			var id int64
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	if err == nil {
		for _, id := range ids {
			touched[id] = true
		}
	}
	return err
}

// one is touch for a single event. bot.ErrLost.
func (in *Inbox) one(ctx context.Context, doing string, e bot.Event, set string, args ...any) error {
	touched := map[int64]bool{}
	if err := in.touch(ctx, touched, mine, set, args, e.Attempt, []int64{e.Row}); err != nil {
		return fault(ctx, doing, err)
	}
	if !touched[e.Row] {
		return bot.ErrLost
	}
	return nil
}

// Retry is bot.Inbox's.
func (in *Inbox) Retry(ctx context.Context, e bot.Event, at time.Time, counts bool, why string) error {
	state, failures := eventWaiting, 0
	wait := at.Sub(in.now())
	if wait <= 0 {
		state = eventReady
	}
	if counts {
		failures = 1
	}
	err := in.one(ctx, "put event back", e, "state = ?, visible_at = ?, failures = failures + ?, error = ?, "+outlived,
		state, micros(in.now().Add(wait)), failures, text(why))
	if err == nil && state == eventReady {
		in.lookAtAll()
	}
	return err
}

// Begin is bot.Inbox's.
func (in *Inbox) Begin(ctx context.Context, e bot.Event) error {
	touched := map[int64]bool{}
	if err := in.touch(ctx, touched, stillHeld, "begun = begun + 1", nil, e.Attempt, []int64{e.Row}); err != nil {
		return fault(ctx, "begin event", err)
	}
	if !touched[e.Row] {
		return bot.ErrLost
	}
	return nil
}

// Outlived is bot.Inbox's. The attempt is no fence here: somebody else may have the event by now, whose attempt counts
// by itself.
func (in *Inbox) Outlived(ctx context.Context, e bot.Event) error {
	err := in.db.exec(ctx, func(g *gorm.DB) error {
		return g.Exec("UPDATE inbox SET "+outlived+" WHERE id = ?", e.Row).Error
	})
	if err != nil {
		return fault(ctx, "say that the process lives", err)
	}
	return nil
}

// DeadLetter is bot.Inbox's.
func (in *Inbox) DeadLetter(ctx context.Context, e bot.Event, why string) error {
	err := in.one(ctx, "bury event", e, "state = 'dead', finished_at = ?, failures = failures + 1, error = ?",
		micros(in.now()), text(why))
	if err == nil && e.OrderingKey != "" {
		in.letGo(ctx, []string{e.OrderingKey})
	}
	return err
}

// RecordSaid is bot.Inbox's.
func (in *Inbox) RecordSaid(ctx context.Context, e bot.Event) error {
	said, err := json.Marshal(e.Said)
	if err != nil {
		return err
	}
	return in.one(ctx, "keep what was said", e, "said = ?", text(string(said)))
}

// ExtendLease is bot.Inbox's.
func (in *Inbox) ExtendLease(ctx context.Context, held []bot.Event) (lost []bot.Event, err error) {
	byAttempt := map[int][]int64{}
	for _, e := range held {
		byAttempt[e.Attempt] = append(byAttempt[e.Attempt], e.Row)
	}
	touched := map[int64]bool{}
	for attempt, rows := range byAttempt {
		slices.Sort(rows)
		if err := in.touch(ctx, touched, stillHeld, "visible_at = ?", []any{in.until()}, attempt, rows); err != nil {
			return nil, fault(ctx, "hold events", err)
		}
	}
	for _, e := range held {
		if !touched[e.Row] {
			lost = append(lost, e)
		}
	}
	return lost, nil
}

// Count is bot.Inbox's. Each part has an index of its own: what is done is never walked through.
func (in *Inbox) Count(ctx context.Context) (bot.InboxCount, error) {
	var rows []struct {
		State  string
		N      int
		Oldest int64
	}
	const some = ", count(*) AS n, coalesce(min(received_at), 0) AS oldest FROM inbox WHERE "
	err := in.db.read.WithContext(ctx).Raw("SELECT 'ready' AS state" + some + "state = 'ready' " +
		"UNION ALL SELECT state" + some + "state IN ('held', 'waiting') GROUP BY state " +
		"UNION ALL SELECT 'waiting'" + some + "lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') AND state = 'queued' " +
		"UNION ALL SELECT 'dead', count(*), 0 FROM inbox WHERE state = 'dead'").Scan(&rows).Error
	if err != nil {
		return bot.InboxCount{}, fault(ctx, "count events", err)
	}
	count := bot.InboxCount{Erased: int(in.db.erased.Load())}
	for _, r := range rows {
		switch r.State {
		case eventReady:
			count.Ready += r.N
		case eventHeld:
			count.Held += r.N
		case eventWaiting:
			count.Waiting += r.N
		case eventDead:
			count.Dead += r.N
		}
		if oldest := moment(r.Oldest); r.Oldest > 0 && (count.Oldest.IsZero() || oldest.Before(count.Oldest)) {
			count.Oldest = oldest
		}
	}
	return count, nil
}

// Run keeps the inbox tidy until ctx ends: it forgets what is done after bot.DedupeFor, and dead letters after their time, and
// finds conversations that stand still.
func (in *Inbox) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		_ = in.tidy(ctx) // the database being away is told by others; here there is always a next time
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tidy does what Run does now and then.
func (in *Inbox) tidy(ctx context.Context) error {
	err := errors.Join(in.catchUp(ctx), in.afterStep(ctx), in.disbelieve(ctx)) // catching up also where nothing is claimed
	if in.clock.calm() {
		err = errors.Join(err, in.sweep(ctx))
	}
	err = errors.Join(err, in.eraseLeftOver(ctx), in.letAllGo(ctx))
	in.giveBack(ctx)
	return err
}

// now is the database's time.
func (in *Inbox) now() time.Time { return in.clock.Now() }

// afterStep brings forward what waits for its next attempt when the clock was set back: it waits no longer than it was
// to. Where several processes do that, it comes early.
func (in *Inbox) afterStep(ctx context.Context) error {
	total := time.Duration(in.clock.total.Load())
	if back := in.stepped - total; back > 0 {
		err := in.db.exec(ctx, func(g *gorm.DB) error {
			now := micros(in.now())
			return g.Exec("UPDATE inbox SET visible_at = CASE WHEN visible_at - @back > @now THEN visible_at - @back ELSE @now END "+
				"WHERE state IN ('held', 'waiting') AND state = 'waiting' AND visible_at > @now",
				map[string]any{"back": back.Microseconds(), "now": now}).Error
		})
		if err != nil {
			return err
		}
	}
	in.stepped = total
	return nil
}

// disbelieve makes due what is put off, or held, for longer than anything is.
func (in *Inbox) disbelieve(ctx context.Context) error {
	now := in.now()
	const broken = "state IN ('held', 'waiting') AND visible_at > @hold AND (state = 'held' OR visible_at > @wait)"
	bounds := map[string]any{"now": micros(now), "hold": micros(now.Add(longestHold)), "wait": micros(now.Add(longestWait))}
	var some []int64
	err := in.db.read.WithContext(ctx).Raw("SELECT id FROM inbox WHERE "+broken+" LIMIT 1", bounds).Scan(&some).Error
	if err != nil || len(some) == 0 {
		return err
	}
	var n int64
	err = in.db.exec(ctx, func(g *gorm.DB) error {
		due := g.Exec("UPDATE inbox SET visible_at = @now WHERE "+broken, bounds)
		n = due.RowsAffected
		return due.Error
	})
	if err == nil && n > 0 {
		in.db.log().WarnContext(ctx, "events were put off, or held, by a clock that was wrong: they are due now", "events", n)
	}
	return err
}

// sweep deletes what is kept no longer, in steps. Rows lie in the order of their arrival, so the first that is done tells
// whether there is anything to do.
func (in *Inbox) sweep(ctx context.Context) error {
	now := in.now()
	known := micros(in.clock.spared(now.Add(-bot.DedupeFor)))
	dead := micros(in.clock.spared(now.Add(-max(in.keep, bot.DedupeFor))))
	future := micros(now.Add(longestAhead))
	for ctx.Err() == nil {
		var first []struct{ ID, ReceivedAt int64 }
		if err := in.db.read.WithContext(ctx).Raw("SELECT id, received_at FROM inbox WHERE state = 'done' ORDER BY id LIMIT 1").Scan(&first).Error; err != nil {
			return err
		}
		if len(first) > 0 && first[0].ReceivedAt > future { // nothing behind it would ever be swept
			if err := in.receivedNow(ctx, first[0].ID, now); err != nil {
				return err
			}
			break
		}
		if len(first) == 0 || first[0].ReceivedAt >= known {
			break
		}
		var n int64
		err := in.db.exec(ctx, func(g *gorm.DB) error {
			deleted := g.Exec("DELETE FROM inbox WHERE state = 'done' AND received_at < ? AND id >= ? AND id < ?", known, first[0].ID, first[0].ID+pruneAtOnce)
			n = deleted.RowsAffected
			return deleted.Error
		})
		if err != nil || n == 0 {
			return err
		}
	}
	return in.db.exec(ctx, func(g *gorm.DB) error {
		err := g.Exec("UPDATE inbox SET finished_at = ? WHERE state = 'dead' AND finished_at > ?", micros(now), future).Error
		if err != nil {
			return err
		}
		return g.Exec("DELETE FROM inbox WHERE state = 'dead' AND finished_at < ?", dead).Error
	})
}

// receivedNow gives those of a step of the sweep that have not come yet the time of now: they are kept as long as they
// have to be.
func (in *Inbox) receivedNow(ctx context.Context, from int64, now time.Time) error {
	in.db.log().WarnContext(ctx, "events are known since later than now, by a clock that was wrong: "+
		"they are kept as if they came now")
	return in.db.exec(ctx, func(g *gorm.DB) error {
		return g.Exec("UPDATE inbox SET received_at = ? WHERE state = 'done' AND received_at > ? AND id >= ? AND id < ?",
			micros(now), micros(now.Add(longestAhead)), from, from+pruneAtOnce).Error
	})
}

// letAllGo looks for lanes whose first event waits for nobody: a process died between two statements.
func (in *Inbox) letAllGo(ctx context.Context) error {
	var lanes []string
	if err := in.db.read.WithContext(ctx).Raw("SELECT DISTINCT lane FROM inbox q WHERE lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') AND state = 'queued' " +
		"AND NOT EXISTS (SELECT 1 FROM inbox b WHERE b.lane = q.lane AND b.lane <> '' AND b.state IN ('ready', 'held', 'waiting')) LIMIT 128").Scan(&lanes).Error; err != nil {
		return err
	}
	in.letGo(ctx, lanes)
	return nil
}

// inboxRow is a row of inbox.
type inboxRow struct {
	ID                                   int64 `gorm:"primaryKey"`
	AppID, EventID, EnterpriseID, TeamID string
	Kind, Type, Lane, State              string
	Tag, VisibleAt                       int64
	Attempt, Begun, Failures             int
	ReceivedAt, FinishedAt               int64
	Said, Error                          string
	Payload                              []byte // a box, wherever it lies; empty once the event is done
}

func (inboxRow) TableName() string { return "inbox" }

// scanEvent reads eventColumns.
func scanEvent(r *sql.Rows) (row inboxRow, err error) {
	err = r.Scan(&row.ID, &row.AppID, &row.EventID, &row.EnterpriseID, &row.TeamID, &row.Kind, &row.Type, &row.Lane,
		&row.Attempt, &row.Begun, &row.Failures,
		&row.ReceivedAt, &row.Said, &row.Tag, &row.Payload)
	return row, err
}

func (r *inboxRow) key() connection.Key {
	return connection.Key{AppID: r.AppID, EnterpriseID: r.EnterpriseID, TeamID: r.TeamID}
}

func (r *inboxRow) event() bot.Event {
	e := bot.Event{ID: r.EventID, Kind: r.Kind, Type: r.Type, Key: r.key(), OrderingKey: r.Lane, Received: moment(r.ReceivedAt),
		Row: r.ID, Attempt: r.Attempt, Failures: r.Failures, Deaths: r.Begun}
	_ = json.Unmarshal([]byte(r.Said), &e.Said) // ours; without it something may be said twice
	return e
}

// open turns a row into an event. One that can't be opened comes without its body.
func (in *Inbox) open(r *inboxRow) (e bot.Event, readable bool) {
	e = r.event()
	var err error
	e.Body, err = in.db.keys.Open(r.Payload, eventPlace(e.Key, e.ID))
	return e, err == nil
}
