// Package tokens keeps tokens good: it renews them ahead of their end, each refresh token once, whoever asks and however many
// replicas there are. What Slack hands out is on this machine's disk before the store is tried, is tried again until the
// store has it, and stays there until the next pair of its owner, for the day on which the store loses a commit.
//
//	keeper := tokens.New(tokens.Config{…})
//	c, err := keeper.Good(ctx, c) // with a token that works now
//	err = keeper.Renew(ctx, key)
package tokens

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// ConsentBudget is how long a callback has for a consent. Until then nobody else stores what it brought.
const ConsentBudget = 25 * time.Second

// Two consents closer than this may have come in the other order than the clocks of two machines say.
const ClocksApart = 10 * time.Minute

// Store is what a Keeper needs of the database, and of the journal on this machine's own disk. The methods are as in
// install.Store.
type Store interface {
	Lookup(ctx context.Context, k connection.Key) (connection.Connection, error)
	Get(ctx context.Context, id string) (connection.Connection, error)
	Update(ctx context.Context, k connection.Key, fn func(c *connection.Connection) error) (connection.Connection, error)
	Rekey(ctx context.Context, from, to connection.Key, token connection.Secret, line connection.Change) (connection.Connection, error)
	GetUser(ctx context.Context, h connection.TokenOwner) (connection.UserToken, error)
	UpdateUser(ctx context.Context, h connection.TokenOwner, fn func(u *connection.UserToken) error) (connection.UserToken, error)

	Due(ctx context.Context, app string, now time.Time, n int) ([]connection.TokenOwner, error)
	LongLived(ctx context.Context, app string, n int) ([]connection.TokenOwner, error)
	Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error)
	ClosedUntil(ctx context.Context, b slackapi.Budget, until time.Time) error

	Journal(p connection.Grant) (name string, err error)
	Journaled() ([]connection.Grant, error)
	JournaledFor(h connection.TokenOwner) ([]connection.Grant, error)
	JournaledUnder(k connection.Key) ([]connection.Grant, error)
	Kept(after string, n int) ([]connection.Grant, error)
	Unjournal(names ...string) error
	JournalReady(ctx context.Context) error

	Rows(ctx context.Context, of []connection.TokenOwner) (map[connection.TokenOwner]connection.Row, error)
	Rejected(ctx context.Context, app string, n int) ([]connection.TokenOwner, error)
	Erased(ctx context.Context, since time.Time) ([]connection.Key, error)
}

// Observer is told what a Keeper does, for the numbers that operators watch. It may be called from any number of goroutines.
type Observer interface {
	Renewed(h connection.TokenOwner, spent connection.TokenPair, err error, took time.Duration)
	Restored()           // the store had lost a pair, and has it again
	Waiting(entries int) // in the journal
	Writable(ok bool)    // whether the journal is
}

// Config is what a Keeper works with. All of it is required.
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
}

// Keeper keeps tokens good. Make one with New. It may be used from any number of goroutines, and there may be any number of
// them, in as many processes, on one database.
type Keeper struct {
	cfg   Config
	store Store
	slack *slackapi.API
	log   *slog.Logger
	now   func() time.Time
	tasks sync.WaitGroup // renewals under way

	mu            sync.Mutex
	renewing      map[connection.TokenOwner]*renewal
	pending       map[connection.Secret]connection.Grant     // new tokens that the journal did not take and the store may not have
	decided       map[string]func() error                    // entries of the journal whose fate is decided, and what is left to do
	compared      time.Time                                  // when the journal was last compared with the store
	leases        map[connection.TokenOwner]leaseObservation // of other processes
	closedBudgets map[slackapi.Budget]time.Time              // budgets that were empty, and until when they are not looked into
}

// New returns a Keeper. It starts nothing.
func New(cfg Config) *Keeper {
	return &Keeper{
		cfg: cfg, store: cfg.Store, slack: cfg.Slack, log: cfg.Log, now: cfg.Now,
		renewing:      map[connection.TokenOwner]*renewal{},
		pending:       map[connection.Secret]connection.Grant{},
		decided:       map[string]func() error{},
		leases:        map[connection.TokenOwner]leaseObservation{},
		closedBudgets: map[slackapi.Budget]time.Time{},
	}
}

// StopBudget is how long a stop waits for renewals under way. What the store doesn't take until then is in the journal.
const StopBudget = exchangeTimeout + 2*keepTimeout

// Finish stores what the journal still holds, if it can. It returns how many entries are left, and why.
func (kp *Keeper) Finish() (left int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	return kp.Replay(ctx)
}

// Wait blocks until the renewals under way have ended.
func (kp *Keeper) Wait() { kp.tasks.Wait() }
