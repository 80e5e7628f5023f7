package doctor

// Check 8: overdue renewals and checks, against what this number of replicas can do.

import (
	"context"
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/storage"
)

const (
	// late is how long renewals and checks can take to be begun, however many fall due together.
	late = 10 * time.Minute
	// renewEvery is how often a token is renewed that lives as long as Slack's do.
	renewEvery = 8 * time.Hour
)

// renewals counts by the indexes that the work goes by.
func renewals(ctx context.Context, e *Examined) []Finding {
	if e.Config.Install.BotToken != "" {
		return []Finding{{Name: "renewals", Status: OK,
			Text: "SLACK_BOT_TOKEN is the only connection, and such a token isn't renewed."}}
	}
	db, err := e.Tables()
	if err != nil {
		return []Finding{NoDatabase("what is due is in it.")}
	}
	upkept, err := db.Overdue(ctx, e.Config.Install.AppID, db.Now(), late)
	if err != nil {
		return []Finding{{Name: "renewals", Status: Unknown, Text: said(err), Fix: "run it again"}}
	}
	_, away := e.Process()
	return []Finding{renewed(e, db, upkept, away == nil), checked(e, db, upkept, away == nil)}
}

// renewed is about tokens. Slack's limit is the app's, so replicas don't raise it.
func renewed(e *Examined, db *storage.DB, u storage.Upkept, serving bool) Finding {
	most, need := int(time.Hour/tokens.Renewals.Interval), perHour(u.Renewed, renewEvery)
	load := fmt.Sprintf("%s: %s an hour, of %d that Slack allows all replicas together.",
		counted(u.Renewed, "token is renewed", "tokens are renewed"), Amount(need, "renewal"), most)
	switch {
	case u.Renewals.N > 0:
		f := Finding{Name: "renewals", Status: Failed,
			Text: overdue(db, u.Renewals, "renewal is", "renewals are"),
			Fix:  "look in serve's log for “renew”, and at switchboard_renewals_total (docs/metrics.md) for Slack's answers"}
		if u.Renewals.Expired > 0 {
			f.Text += fmt.Sprintf(" %s run out: nothing can be answered with these.",
				counted(u.Renewals.Expired, "token has", "tokens have"))
		}
		if !serving {
			f.Fix = "start " + e.Program + " serve"
		}
		return f
	case need > most:
		return Finding{Name: "renewals", Status: Warning, Text: load, Fix: "ask Slack for a higher limit for the app"}
	}
	return Finding{Name: "renewals", Status: OK, Text: load}
}

// checked is about auth.test, of which each replica makes so many.
func checked(e *Examined, db *storage.DB, u storage.Upkept, serving bool) Finding {
	need := perHour(u.Checked, connection.CheckInterval)
	replicas := max(1, (need+watch.ChecksPerHour-1)/watch.ChecksPerHour)
	load := fmt.Sprintf("%s: %s an hour. One replica makes %d, so %s needed.",
		counted(u.Checked, "workspace is looked after", "workspaces are looked after"), Amount(need, "check"),
		watch.ChecksPerHour, counted(replicas, "replica is", "replicas are"))
	if u.Checks.N == 0 {
		return Finding{Name: "checks", Status: OK, Text: load}
	}

	f := Finding{Name: "checks", Status: Warning,
		Text: overdue(db, u.Checks, "check is", "checks are") + " " + load,
		Fix:  fmt.Sprintf("run %s", counted(replicas, "replica", "replicas"))}
	switch {
	case !serving:
		f.Fix = "start " + e.Program + " serve"
	case replicas == 1:
		f.Fix = "look in serve's log for “check connections”, and whether Slack answers slowly"
	}
	return f
}

// overdue is how much is late, and since when.
func overdue(db *storage.DB, l storage.Late, one, many string) string {
	text := counted(l.N, one, many) + " overdue"
	if since := db.Now().Sub(l.Since); since < 365*24*time.Hour { // a time that old is made up
		text += fmt.Sprintf(", the first for %s", span(since))
	}
	return text + "."
}

// perHour is how often something has to be done in an hour for n, each in such a time. It is rounded up.
func perHour(n int, every time.Duration) int {
	hours := int(every / time.Hour)
	return (n + hours - 1) / hours
}
