package tokens

// What Slack hands out it hands out once. So it goes on this machine's disk before the store is tried. This file is
// the way there, and what is done where the disk is full or gone.

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/lasting"
)

// JournalStore is the journal on this machine's own disk.
type JournalStore interface {
	// Journal keeps p on this machine's own disk, sealed, and returns once it is there for good. It needs no database.
	// With a name (Grant.Journaled) it takes that entry's place. What becomes Kept replaces what was Kept of the same
	// owner, and as a renewal also what was put Aside.
	Journal(p connection.Grant) (name string, err error)
	// Journaled returns what waits in the journal of this machine, oldest first. An entry that cannot be opened comes
	// with its owner, its name and At alone. Cheap when there is nothing.
	Journaled() ([]connection.Grant, error)
	// JournaledFor returns all that the journal holds of h, also under the key from before its workspace joined an
	// organisation.
	JournaledFor(h connection.TokenOwner) ([]connection.Grant, error)
	// JournaledUnder returns what is Kept or Aside of the connection of k and its people, also under the key from
	// before its workspace joined an organisation.
	JournaledUnder(k connection.Key) ([]connection.Grant, error)
	// Kept returns the next n of all that is Kept or Aside, after a name.
	Kept(after string, n int) ([]connection.Grant, error)
	// Unjournal forgets entries. One that is gone already is fine.
	Unjournal(names ...string) error
	// JournalReady reports whether the journal can be written, by writing to it, and for half a minute that it was
	// taken away.
	JournalReady(ctx context.Context) error
}

// Journal is what Slack handed out and the store might not have, or lose: on this machine's disk, and in memory what
// the disk didn't take.
type Journal struct {
	cfg     *Config
	disk    JournalStore
	trouble lasting.Trouble // to write to the disk

	mu      sync.Mutex
	pending map[connection.Secret]connection.Grant // what the disk didn't take and the store might not have, by its token
	decided map[string]func() error                // entries whose fate is decided, and what is left to do
}

// Keep writes p to the disk, and its entry's name into p. What the disk doesn't take, because it is full or gone, is
// kept in memory until the store has it.
func (j *Journal) Keep(ctx context.Context, p *connection.Grant) {
	name, err := j.disk.Journal(*p)
	if err == nil {
		j.trouble.Passed(ctx, j.cfg.Log)
		p.Journaled = name
		return
	}

	j.trouble.Note(ctx, j.cfg.Log, err, "key", p.Key.String())
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending[p.Token] = *p
}

// Settle writes into the journal how p stands now.
func (j *Journal) Settle(ctx context.Context, p connection.Grant, s connection.Standing) {
	p.Standing = s
	j.conclude(ctx, p.Journaled, func() error {
		_, err := j.disk.Journal(p)
		return err
	})
}

// Drop forgets a pair that is not to be stored.
func (j *Journal) Drop(ctx context.Context, p connection.Grant) {
	j.NotPending(p.Token)
	j.forget(ctx, p.Journaled)
}

// NotPending forgets what was held in memory of a pair: the store has it, or somebody's who came later.
func (j *Journal) NotPending(token connection.Secret) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.pending, token)
}

// ForgetPerson takes from this machine's disk what it kept of the access that one person just took back.
func (j *Journal) ForgetPerson(ctx context.Context, u connection.UserToken) {
	kept, err := j.disk.JournaledFor(u.TokenOwner)
	for _, p := range kept {
		if p.Standing != connection.Waiting && !p.ConsentAt().After(u.GrantedAt) {
			err = errors.Join(err, j.disk.Unjournal(p.Journaled))
		}
	}
	if err != nil {
		j.cfg.Log.WarnContext(ctx, "journal after erasing", "key", u.Key.String(), "user", u.UserID, "cause", err)
	}
}

// NextGeneration is above all that the journal of this machine has of h. The row can be lower: a backup was restored,
// and what the journal kept would count as newer than a consent of today.
func (j *Journal) NextGeneration(ctx context.Context, h connection.TokenOwner) (next int64) {
	kept, err := j.disk.JournaledFor(h)
	if err != nil {
		j.cfg.Log.WarnContext(ctx, "generation of a consent", "key", h.Key.String(), "cause", err) // the row's own will do
	}
	for _, p := range kept {
		next = max(next, p.Generation+1)
	}
	return next
}

// Ready looks whether the journal can be written, by writing to it, and keeps the answer for the metrics. Whoever asks
// whether the process is ready does it now and then. It also ends trouble: the next new token can be hours away.
func (j *Journal) Ready(ctx context.Context) error {
	err := j.disk.JournalReady(ctx)
	if err == nil {
		j.trouble.Passed(ctx, j.cfg.Log)
	}
	j.cfg.Observer.Writable(err == nil)
	return err
}

// forget removes an entry whose fate is decided.
func (j *Journal) forget(ctx context.Context, entry string) {
	if entry != "" {
		j.conclude(ctx, entry, func() error { return j.disk.Unjournal(entry) })
	}
}

// conclude does with an entry what is left to do when its fate is decided. What can't be done is remembered, and tried
// again by Replay.
func (j *Journal) conclude(ctx context.Context, entry string, do func() error) {
	err := do()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.trouble.Passed(ctx, j.cfg.Log)
		delete(j.decided, entry)
		return
	}
	if j.decided[entry] == nil {
		j.trouble.Note(ctx, j.cfg.Log, err, "entry", entry)
	}
	if entry != "" { // else it never was in the journal, and the store has it
		j.decided[entry] = do
	}
}

// pendingGrants are what the disk did not take, oldest first.
func (j *Journal) pendingGrants() []connection.Grant {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.SortedFunc(maps.Values(j.pending), func(a, b connection.Grant) int { return a.At.Compare(b.At) })
}

// undone are the entries whose fate is decided, and what is left to do with each.
func (j *Journal) undone() map[string]func() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.decided)
}

func (j *Journal) isDecided(entry string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.decided[entry] != nil
}
