package tokens

// A Keeper: what it is put together from, and what it needs of others.

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/lasting"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// Store is what a Keeper needs of the database, and of the journal on this machine's own disk. Its methods can be
// called from any number of goroutines and processes. Each blocks until it is done or ctx ended. Errors other than
// those named are its trouble.
type Store interface {
	DueStore
	BudgetStore
	JournalStore
	PairStore
	ReconcileStore
}

// Observer is told what a Keeper does, for the numbers that operators watch. It can be called from any number of
// goroutines.
type Observer interface {
	Renewed(h connection.TokenOwner, spent connection.TokenPair, err error, took time.Duration)
	Restored()           // the store had lost a pair, and has it again
	Waiting(entries int) // in the journal
	Writable(ok bool)    // whether the journal is
}

// Config is what a Keeper works with. All of it is required, but for Spans.
type Config struct {
	ClientID     string
	ClientSecret connection.Secret
	AppID        string // "" when it isn't known: then it works for all apps in the store
	// MoveToRotation exchanges long-lived tokens for rotating ones.
	MoveToRotation bool
	// Renews reports whether the app's credentials renew the tokens of a key.
	Renews func(k connection.Key) bool
	// Consents stores what waits in the journal of a consent, and says what became of it.
	Consents func(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error)

	Store    Store
	Slack    *slackapi.API
	Log      *slog.Logger
	Now      func() time.Time
	Observer Observer
	Spans    spans.Tracer // of renewals; the zero value: nobody collects them
}

// Keeper keeps tokens good. Make one with New. It can be used from any number of goroutines, and there can be any
// number of them, in as many processes, on one database.
type Keeper struct {
	Journal    *Journal    // what Slack handed out, on this machine's disk
	Delivery   *Delivery   // brings that into the store
	Reconciler *Reconciler // compares the two
	Pairs      *Pairs      // the token pairs in the store
	Budgets    *Budgets    // the calls that all replicas can make

	cfg    Config
	store  DueStore
	leases leases
	tasks  sync.WaitGroup // renewals under way

	mu       sync.Mutex
	renewing map[connection.TokenOwner]*renewal
}

// New returns a Keeper. It starts nothing.
func New(cfg Config) *Keeper {
	kp := &Keeper{
		cfg:      cfg,
		store:    cfg.Store,
		leases:   leases{seen: map[connection.TokenOwner]leaseObservation{}},
		renewing: map[connection.TokenOwner]*renewal{},
	}
	kp.Journal = &Journal{
		cfg:     &kp.cfg,
		disk:    cfg.Store,
		pending: map[connection.Secret]connection.Grant{},
		decided: map[string]func() error{},
		trouble: lasting.Trouble{
			Begins: "the journal can't be written: new tokens that the database hasn't stored would go with this process",
			Ends:   "the journal can be written again",
			Error:  true,
		},
	}
	kp.Pairs = &Pairs{cfg: &kp.cfg, store: cfg.Store}
	kp.Budgets = &Budgets{cfg: &kp.cfg, store: cfg.Store, empty: map[slackapi.Budget]time.Time{}}
	kp.Delivery = &Delivery{cfg: &kp.cfg, journal: kp.Journal, pairs: kp.Pairs}
	kp.Reconciler = &Reconciler{
		cfg: &kp.cfg, store: cfg.Store, journal: kp.Journal, pairs: kp.Pairs, delivery: kp.Delivery,
	}
	kp.Reconciler.compared.Store(new(time.Time))
	return kp
}

// StopBudget is how long a stop waits for renewals under way. What the store doesn't take until then is in the journal.
const StopBudget = exchangeTimeout + 2*keepTimeout

// Finish stores what the journal still holds, if it can. It returns how many entries are left, and why.
func (kp *Keeper) Finish() (left int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	return kp.Reconciler.Replay(ctx)
}

// Wait blocks until the renewals under way have ended.
func (kp *Keeper) Wait() { kp.tasks.Wait() }
