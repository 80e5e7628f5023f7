package watch

// A Watch: what it is put together from, and what it needs of others.

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/words"
	"github.com/switchboard-go/switchboard/internal/lasting"
)

// Store is what looking after connections needs of the database. Its methods can be called from any number of
// goroutines and processes. Each blocks until it is done or ctx ended. Errors other than those named are its trouble.
type Store interface {
	ConnectionStore
	LifecycleStore
	NoticeStore

	// Sweep deletes connections that were removed before a time, with their history, lines about routine renewals
	// (DidRenew, OutcomeDone) from before it, and budgets that have been full since then. It returns how many connections
	// it deleted.
	Sweep(ctx context.Context, before time.Time) (int64, error)
}

// RowStore reads and changes a connection, as tokens.PairStore does.
type RowStore interface {
	Lookup(ctx context.Context, k connection.Key) (connection.Connection, error)
	Update(ctx context.Context, k connection.Key, fn func(c *connection.Connection) error) (connection.Connection, error)
}

// updateRow is store.Update for c's row, which may have moved under its organisation since c was read. fn can run
// twice.
func updateRow(
	ctx context.Context, store RowStore, c connection.Connection, fn func(row *connection.Connection) error,
) (connection.Connection, error) {
	now, err := store.Update(ctx, c.Key, fn)
	if !errors.Is(err, connection.ErrNotFound) {
		return now, err
	}
	moved, lookupErr := store.Lookup(ctx, c.Key)
	if lookupErr != nil || moved.ID != c.ID || moved.Key == c.Key {
		return now, err
	}
	return store.Update(ctx, moved.Key, fn)
}

// Observer is told what is done here, for the numbers that operators watch. It may be called from any number of
// goroutines.
type Observer interface {
	Checked(err error)         // auth.test was called, and came to this
	Told(result string)        // of a connection that needs a person
	ToldMissing(result string) // of permissions that people ask for
}

// Whether a person was told of what needs one.
const (
	ResultTold        = "told"
	ResultUnreachable = "unreachable"
	ResultUnknown     = "unknown"  // it may have arrived
	ResultResolved    = "resolved" // the message is edited: all is well again
)

// Config is what a Watch works with. All of it is required, but for what says otherwise.
type Config struct {
	ClientID     string
	ClientSecret connection.Secret
	AppID        string             // "" when it isn't known: then it works for all apps in the store
	Scopes       []connection.Scope // all that the app can use
	Keep         time.Duration      // how long what is over is kept
	Mode         Mode
	Messages     Messages         // nil: nobody is written to
	Words        *words.Sentences // nil: English
	// SweepAttempts deletes the install attempts that are kept no longer, and returns how many.
	SweepAttempts func(ctx context.Context) (int64, error)

	Store    Store
	Slack    *slackapi.API
	Links    *links.Links
	Tokens   *tokens.Keeper
	Log      *slog.Logger
	Now      func() time.Time
	Observer Observer
}

// Watch is the parts that look after connections, and what runs them. Make one with New. They may be used from any
// number of goroutines, and there may be any number of them, in as many processes, on one database.
type Watch struct {
	Connections *Connections
	Lifecycle   *Lifecycle
	Leaving     *Leaving
	Notices     *Notices

	cfg   Config
	tasks *sync.WaitGroup // what its parts do in the background
}

// New returns a Watch. It starts nothing.
func New(cfg Config) *Watch {
	w := &Watch{cfg: cfg, tasks: new(sync.WaitGroup)}
	w.Connections = &Connections{
		Assessor:      Assessor{cfg: &w.cfg},
		store:         cfg.Store,
		tasks:         w.tasks,
		workspaces:    workspaceLists{cfg: &w.cfg, lists: map[string]workspaces{}},
		lastWitnessed: map[string]time.Time{},
	}
	w.Lifecycle = &Lifecycle{cfg: &w.cfg, connections: w.Connections, store: cfg.Store}
	w.Leaving = &Leaving{cfg: &w.cfg, store: cfg.Store, tasks: w.tasks}
	w.Notices = &Notices{cfg: &w.cfg, connections: w.Connections, store: cfg.Store, tasks: w.tasks}
	w.Connections.askMarked = w.Notices.ask
	return w
}

const (
	// How long the background work may take for one connection.
	oneBudget    = 30 * time.Second
	renewEvery   = time.Second
	tellEvery    = 5 * time.Second
	recheckEvery = time.Minute
	sweepEvery   = time.Hour
)

// Run looks after the connections until ctx ends: it stores what the journal holds, renews tokens ahead of their end,
// checks connections now and then, tells people of trouble, asks again about removals that were left open, and sweeps
// old records. Any number of processes may run it on one database. Renewals under way are finished before it returns.
func (w *Watch) Run(ctx context.Context) error {
	var group errgroup.Group
	every := func(d time.Duration, doing string, do func(context.Context) error) {
		group.Go(func() error {
			w.repeat(ctx, d, doing, do)
			return nil
		})
	}

	kept := w.cfg.Tokens
	if w.cfg.Mode.Consents() { // else there is nothing to renew with
		every(renewEvery, "renew", func(ctx context.Context) error {
			_, err := kept.RenewDue(ctx)
			return err
		})
	}
	// Beside it, since that goes on for as long as anything is due, and a refusal is believed after half a minute.
	every(renewEvery, "journal to store", func(ctx context.Context) error {
		_, err := kept.Reconciler.Replay(ctx)
		return errors.Join(err, kept.Reconciler.OfferRefused(ctx))
	})
	every(tokens.WatchEvery, "journal", kept.Journal.Ready)
	every(tokens.EraseEvery, "erase from the journal", kept.Reconciler.CompareErased)
	every(sweepEvery, "compare the journal", kept.Reconciler.CompareAll)

	every(checkTick, "check connections", w.Connections.CheckDue)
	every(tellEvery, "tell people", w.Notices.TellAll)
	every(sweepEvery, "ask for permissions", w.Notices.AskAll)
	every(recheckEvery, "recheck removals", w.Lifecycle.RecheckRemovals)
	every(sweepEvery, "sweep", w.Sweep)
	_ = group.Wait()
	w.Finish()
	return nil
}

// repeat calls do now and then every d until ctx ends, and logs what goes wrong; a failure that lasts is logged when it
// begins to.
func (w *Watch) repeat(ctx context.Context, d time.Duration, doing string, do func(context.Context) error) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	trouble := lasting.Trouble{Begins: doing, Ends: doing + ": it goes on"}
	for {
		err := do(ctx)
		if ctx.Err() != nil {
			return
		}
		trouble.Note(ctx, w.cfg.Log, err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Wait blocks until nothing goes on in the background.
func (w *Watch) Wait() {
	w.tasks.Wait()
	w.cfg.Tokens.Wait()
}

// Finish waits, for a while, for renewals under way and other work in the background, and then stores what the journal
// still holds, if it can. Run does it at its end; whoever uses a Watch without Run calls it before the store is closed.
// It returns how many entries are left in the journal.
func (w *Watch) Finish() (left int) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		w.Wait()
	}()
	select {
	case <-finished:
	case <-time.After(tokens.StopBudget):
		w.cfg.Log.Warn("stopped while a renewal was under way")
	}
	left, err := w.cfg.Tokens.Finish()
	if left > 0 {
		w.cfg.Log.Warn("new tokens wait in the journal for the next start", "entries", left, "cause", err)
	}
	return left
}

// Sweep deletes what is kept no longer.
func (w *Watch) Sweep(ctx context.Context) error {
	attempts, err := w.cfg.SweepAttempts(ctx)
	removed, sweepErr := w.cfg.Store.Sweep(ctx, w.cfg.Now().Add(-w.cfg.Keep))
	if attempts+removed > 0 {
		w.cfg.Log.InfoContext(ctx, "swept", "install_attempts", attempts, "removed_connections", removed)
	}
	return errors.Join(err, sweepErr)
}
