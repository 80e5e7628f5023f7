package doctor

// Check 9: the inbox: the oldest that waits in any state, and dead letters by reason.

import (
	"context"
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
)

// patience is how long an event can be in a state while all is well. A failed one waits up to an hour and a fifth for
// its next attempt.
var patience = map[string]time.Duration{
	"ready": 5 * time.Minute, "queued": 2 * time.Hour, "held": time.Hour, "waiting": 2 * time.Hour,
}

const (
	// mostReasons are told.
	mostReasons = 5
	// What died within this time fails the check; what is older is left to the operator's leisure.
	fresh = 24 * time.Hour
)

// inboxOf counts by the inbox's own indexes.
func inboxOf(ctx context.Context, e *Examined) []Finding {
	db, err := e.Tables()
	if err != nil {
		return []Finding{NoDatabase("the inbox is in it.")}
	}
	backlogs, err := db.Backlogs(ctx)
	if err != nil {
		return []Finding{{Name: "waiting", Status: Unknown, Text: said(err), Fix: "run it again"}}
	}
	deaths, err := db.DeathsByReason(ctx, mostReasons)
	if err != nil {
		return []Finding{{Name: "dead_letters", Status: Unknown, Text: said(err), Fix: "run it again"}}
	}
	return append(waiting(e, db, backlogs), dead(e, db, deaths)...)
}

// waiting names each state in which something waits too long.
func waiting(e *Examined, db *storage.DB, backlogs []inbox.Backlog) (found []Finding) {
	n := 0
	for _, b := range backlogs {
		n += b.N
		age := db.Now().Sub(b.Oldest)
		if age <= patience[b.State] {
			continue
		}
		found = append(found, Finding{Name: "waiting", Status: Failed,
			Text: fmt.Sprintf("%s in the state %s, the oldest for %s.", counted(b.N, "event is", "events are"), b.State,
				span(age)),
			Fix: slow(e, b.State)})
	}
	if found == nil {
		found = []Finding{{Name: "waiting", Status: OK,
			Text: counted(n, "event is", "events are") + " under way, none for too long."}}
	}
	return found
}

// slow is what helps against a backlog.
func slow(e *Examined, state string) string {
	if _, err := e.Process(); err != nil {
		return "start " + e.Program + " serve"
	}
	switch {
	case e.Config.Bot.Workers < 0:
		return "set WORKERS above 0 on a replica: this one leaves the work to others"
	case state == "ready":
		return "add a replica, or raise WORKERS; see which handler is slow with switchboard_handler_seconds (docs/metrics.md)"
	}
	return e.Program + " inbox list --state " + state + " shows why"
}

// dead sums up what failed for good.
func dead(e *Examined, db *storage.DB, deaths []inbox.Deaths) (found []Finding) {
	for _, d := range deaths {
		where := d.Team
		if d.Teams > 1 {
			where = fmt.Sprintf("%d workspaces, such as %s", d.Teams, d.Team)
		}
		status := Warning
		if db.Now().Sub(d.Last) < fresh {
			status = Failed
		}
		found = append(found, Finding{Name: "dead_letters", Status: status,
			Text: fmt.Sprintf("%s of %s failed for good, in %s: %s. The last one %s.",
				Amount(d.N, "event"), d.Type, where, d.Reason, e.ago(d.Last)),
			Fix: "remove the cause, then run " + e.Program + " inbox replay --reason " + inbox.Reason(d.Reason) +
				"; or give them up: inbox drop"})
	}
	if found == nil {
		found = []Finding{{Name: "dead_letters", Status: OK, Text: "There are no dead letters."}}
	}
	return found
}
