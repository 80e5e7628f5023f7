package inbox

// What was begun when a process ended is a suspect: few of them run at once, and after some deaths none.

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

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

// suspectSome makes the next look at the queue look for what has ended a process. Before that it is not said that there
// is any: for one that ended more than one, a process lets everything else end.
func (in *Inbox) suspectSome() {
	in.once.Store(true)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.caughtUp = time.Time{}
}

// outlived takes back that an attempt was begun: its process lives to tell.
const outlived = "begun = CASE WHEN begun > 0 THEN begun - 1 ELSE 0 END"

// Begin is bot.Inbox's.
func (in *Inbox) Begin(ctx context.Context, e bot.Event) error {
	return in.one(ctx, "begin event", e, stillHeld, "begun = begun + 1")
}

// Outlived is bot.Inbox's. The attempt is no fence here: somebody else may have the event by now, whose attempt counts
// by itself.
func (in *Inbox) Outlived(ctx context.Context, e bot.Event) error {
	_, err := in.pool.Change(ctx, "UPDATE inbox SET "+outlived+" WHERE id = ?", e.Row)
	return db.Fault(ctx, "say that the process lives", err)
}
