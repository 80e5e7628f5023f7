// Package doctor finds out why an app doesn't work, and says what to do about it: ten checks, each of which looks at one
// thing from the outside, as the person who is called at night would, and ends in sentences with a command or a page.
package doctor

// The checks and how they run. None waits for another, each ends in time, and one that breaks says so in its own place.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Status says how something is. Only Failed makes the command fail.
type Status string

// What a finding can be, from good to bad. Unknown is what couldn't be looked at, and the finding says why.
const (
	OK      Status = "ok"
	Unknown Status = "unknown"
	Warning Status = "warning"
	Failed  Status = "failed"
)

// worst orders them.
var worst = []Status{OK, Unknown, Warning, Failed}

// Finding is one thing that a check saw. Its JSON is a contract: docs/operating.md.
type Finding struct {
	Name   string `json:"name"` // lower_snake, and stable: scripts look for it
	Status Status `json:"status"`
	Text   string `json:"text"` // a sentence, without anything secret
	Fix    string `json:"fix"`  // the exact command, setting or page; "" with OK

	// Repair does what Fix says, for --fix, and returns what it did in a sentence. nil: it isn't safe to do unasked.
	Repair func(ctx context.Context) (string, error) `json:"-"`

	unfixed string // why Repair failed
}

// Check looks at one thing.
type Check struct {
	Name  string // lower_snake, and stable
	Title string
	look  func(ctx context.Context, e *Examined) []Finding
}

// Area is a group of checks.
type Area struct {
	Name   string // lower_snake, and stable
	Title  string
	Checks []Check
}

// Areas are all checks, in the order in which they are told: what Slack sends comes first, because that is what people
// miss.
func Areas() []Area {
	return []Area{
		{Name: "slack", Title: "Slack", Checks: []Check{
			{Name: "deliveries", Title: "What Slack sends", look: deliveries},
			{Name: "address", Title: "The public address", look: address},
			{Name: "credentials", Title: "Credentials", look: credentials},
			{Name: "settings", Title: "The app's settings at Slack", look: settings},
		}},
		{Name: "storage", Title: "Storage", Checks: []Check{
			{Name: "database", Title: "Database", look: database},
			{Name: "keys", Title: "Encryption keys", look: keys},
			{Name: "journal", Title: "Journal of new tokens", look: journalOf},
		}},
		{Name: "work", Title: "Work", Checks: []Check{
			{Name: "renewals", Title: "Renewals and checks of connections", look: renewals},
			{Name: "inbox", Title: "Inbox", look: inboxOf},
		}},
		{Name: "machine", Title: "This machine", Checks: []Check{
			{Name: "exposure", Title: "Public routes, disk and files", look: exposure},
		}},
	}
}

// Result is what a check found.
type Result struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Status   Status    `json:"status"` // the worst of its findings
	Findings []Finding `json:"findings"`
	Fixed    []string  `json:"fixed"` // what --fix did, before it was looked again
}

// AreaResult is what the checks of an area found.
type AreaResult struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Status Status   `json:"status"` // the worst of its checks
	Checks []Result `json:"checks"`
}

// Report is all that was found.
type Report struct {
	Status   Status       `json:"status"` // the worst of all areas
	Failed   int          `json:"failed"` // findings
	Warnings int          `json:"warnings"`
	Unknown  int          `json:"unknown"`
	Areas    []AreaResult `json:"areas"`
}

// budget is how long a check may take. A machine that hangs somewhere is told about in time, too.
const budget = 5 * time.Second

// Examine makes all checks at the same time. fix: what is safe to repair is repaired, and all is looked at again,
// because one thing that is wrong can hide another. Afterwards e is to be closed.
func Examine(ctx context.Context, e *Examined, fix bool) Report {
	return examine(ctx, Areas, e, fix)
}

func examine(ctx context.Context, areas func() []Area, e *Examined, fix bool) Report {
	first := e.look()
	report := lookAt(ctx, areas(), first)
	if !fix || !report.repair(ctx) {
		return report
	}

	first.close() // and with it the lock that a repair took
	again := lookAt(ctx, areas(), e.look())
	for i, area := range report.Areas {
		for j, was := range area.Checks {
			result := &again.Areas[i].Checks[j]
			result.Fixed = was.Fixed
			result.unfixed(was.Findings)
		}
	}
	return again
}

// lookAt makes all checks.
func lookAt(ctx context.Context, areas []Area, e *Examined) Report {
	report := Report{Areas: make([]AreaResult, len(areas))}
	var checking sync.WaitGroup
	for i, area := range areas {
		report.Areas[i] = AreaResult{Name: area.Name, Title: area.Title, Checks: make([]Result, len(area.Checks))}
		for j, check := range area.Checks {
			checking.Go(func() { report.Areas[i].Checks[j] = check.run(ctx, e, budget) })
		}
	}
	checking.Wait()
	report.count()
	return report
}

// repair does what is safe, one after the other: two repairs of the same thing would meet. It reports whether anything
// was done.
func (r *Report) repair(ctx context.Context) (done bool) {
	for i := range r.Areas {
		for j := range r.Areas[i].Checks {
			done = r.Areas[i].Checks[j].repair(ctx) || done
		}
	}
	return done
}

// unfixed adds to the findings why they couldn't be fixed.
func (r *Result) unfixed(before []Finding) {
	for i, f := range r.Findings {
		for _, was := range before {
			if was.Name == f.Name && was.unfixed != "" {
				r.Findings[i].Text += was.unfixed
			}
		}
	}
}

// run makes a check within a time, and takes what it found by then.
func (c Check) run(ctx context.Context, e *Examined, within time.Duration) Result {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	found := make(chan []Finding, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				found <- []Finding{broken(v)}
			}
		}()
		found <- c.look(ctx, e)
	}()

	result := Result{Name: c.Name, Title: c.Title, Status: OK, Findings: []Finding{}, Fixed: []string{}}
	select {
	case result.Findings = <-found:
	case <-ctx.Done():
		// A check that heeds ctx has its own words for what kept it.
		select {
		case result.Findings = <-found:
		case <-time.After(grace):
			result.Findings = []Finding{unfinished(ctx, within)}
		}
	}
	for _, f := range result.Findings {
		result.Status = worse(result.Status, f.Status)
	}
	return result
}

// grace is how long a check has for its words once its time is over.
const grace = 200 * time.Millisecond

// unfinished is what is said instead of a check that doesn't end.
func unfinished(ctx context.Context, within time.Duration) Finding {
	if errors.Is(ctx.Err(), context.Canceled) {
		return Finding{Name: "interrupted", Status: Unknown, Text: "This check was interrupted.", Fix: "run it again"}
	}
	return Finding{Name: "no_answer", Status: Failed,
		Text: fmt.Sprintf("This check had no answer within %s.", within),
		Fix:  "look for a disk, a database or a network that hangs, then run it again"}
}

// broken is what is said instead of a check that panicked. Only the runtime's own words are shown: others could quote
// a secret.
func broken(v any) Finding {
	words := "This check itself is broken"
	if err, ok := v.(runtime.Error); ok {
		words += ": " + err.Error()
	}
	return Finding{Name: "broken", Status: Failed, Text: words + ".",
		Fix: "report it with this line and the version; the other checks are not affected"}
}

// repair does what is safe of what a check asks for. It reports whether anything was done.
func (r *Result) repair(ctx context.Context) (done bool) {
	for i, f := range r.Findings {
		if f.Repair == nil || f.Status == OK {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, budget)
		did, err := f.Repair(ctx)
		cancel()
		if err != nil {
			r.Findings[i].unfixed = " It couldn't be fixed: " + err.Error() + "."
			r.Findings[i].Text += r.Findings[i].unfixed
			continue
		}
		r.Fixed = append(r.Fixed, did)
		done = true
	}
	return done
}

// count fills in what follows from the findings.
func (r *Report) count() {
	r.Status = OK
	for i, area := range r.Areas {
		status := OK
		for _, check := range area.Checks {
			status = worse(status, check.Status)
			for _, f := range check.Findings {
				switch f.Status {
				case Failed:
					r.Failed++
				case Warning:
					r.Warnings++
				case Unknown:
					r.Unknown++
				}
			}
		}
		r.Areas[i].Status = status
		r.Status = worse(r.Status, status)
	}
}

// worse is the worse of two.
func worse(a, b Status) Status {
	if slices.Index(worst, b) > slices.Index(worst, a) {
		return b
	}
	return a
}
