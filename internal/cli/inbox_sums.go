package cli

// inbox sums: why the inbox grows, in one answer.

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
)

type inboxSumsCmd struct {
	reportFlags
	Limit int `default:"10" help:"How many types, workspaces, reasons and conversations at most, the most events first. Default: ${default}."`
}

// inboxSums is what is in the inbox, as scripts see it. Fields may be added, never renamed.
type inboxSums struct {
	Why         []string        `json:"why"` // in sentences
	States      []stateSum      `json:"states"`
	ByType      []eventSum      `json:"by_type"`
	ByWorkspace []eventSum      `json:"by_workspace"`
	ByReason    []eventSum      `json:"by_reason"`
	Queues      []conversations `json:"conversations"`
	NextAttempt *string         `json:"next_attempt_at"`
	Workers     int             `json:"workers"` // by the settings that this command was given
}

// stateSum is how many events are in one state.
type stateSum struct {
	State  string  `json:"state"`
	Events int     `json:"events"`
	Oldest *string `json:"oldest_at"`
}

// eventSum is how many events have a type, a workspace or a reason in common. dead: they are dead letters.
type eventSum struct {
	Dead         bool    `json:"dead"`
	Type         string  `json:"type,omitempty"`
	AppID        string  `json:"app_id,omitempty"`
	EnterpriseID string  `json:"enterprise_id,omitempty"`
	TeamID       string  `json:"team_id,omitempty"`
	TeamName     string  `json:"team_name,omitempty"`
	Reason       string  `json:"reason,omitempty"`
	Events       int     `json:"events"`
	Oldest       *string `json:"oldest_at"`
}

// conversations are events that wait for an earlier one of their conversation.
type conversations struct {
	Events int         `json:"events"`
	Oldest *string     `json:"oldest_at"`
	Behind *letterLine `json:"behind"` // null: it ended this moment
}

// backlog is what the sentences are made of.
type backlog struct {
	now     time.Time
	states  map[string]inbox.Backlog
	sums    inbox.Sums
	queues  []inbox.Queue
	next    time.Time
	workers int
	names   map[connection.Key]string
	program string
}

// Run prints the sums.
func (c *inboxSumsCmd) Run(env *environment) error {
	if c.Limit < 1 {
		return badUsage("--limit must be 1 or more")
	}
	// What is wrong with WORKERS is serve's to say.
	s := env.source()
	workers, err := strconv.Atoi(s.get("", "WORKERS", strconv.Itoa(bot.DefaultWorkers)))
	if err != nil {
		workers = bot.DefaultWorkers
	}

	return c.withDatabase(env, func(db *storage.DB, in *install.Installer) error {
		b := backlog{now: in.Now(), states: map[string]inbox.Backlog{}, workers: workers,
			names: map[connection.Key]string{}, program: env.name}
		if err := b.read(env, db, c.Limit); err != nil {
			return err
		}
		return b.print(env, c.JSON)
	})
}

// read asks the database, and keeps the first n of everything.
func (b *backlog) read(env *environment, db *storage.DB, n int) error {
	states, err := db.Backlogs(env.ctx)
	if err != nil {
		return err
	}
	for _, s := range states {
		b.states[s.State] = s
	}
	if b.sums, err = db.SumEvents(env.ctx, inbox.Selection{}); err != nil {
		return err
	}
	for _, sum := range b.sums.ByType {
		if sum.State == "dead" {
			dead := b.states["dead"]
			if dead.N += sum.N; dead.Oldest.IsZero() || sum.Oldest.Before(dead.Oldest) {
				dead.Oldest = sum.Oldest
			}
			b.states["dead"] = dead
		}
	}
	if b.queues, err = db.Queues(env.ctx, n); err != nil {
		return err
	}
	if b.next, err = db.NextAttempt(env.ctx); err != nil {
		return err
	}

	b.sums.ByType, b.sums.ByReason = first(b.sums.ByType, n), first(b.sums.ByReason, n)
	b.sums.ByWorkspace = first(b.sums.ByWorkspace, n)
	for _, sum := range b.sums.ByWorkspace {
		c, err := db.Lookup(env.ctx, sum.Key)
		if err != nil && !errors.Is(err, connection.ErrNotFound) {
			return err
		}
		b.names[sum.Key] = c.TeamName
	}
	return nil
}

// first are the first n of what waits, and of what is dead.
func first(sums []inbox.Sum, n int) (kept []inbox.Sum) {
	seen := map[string]int{}
	for _, s := range sums {
		if seen[s.State]++; seen[s.State] <= n {
			kept = append(kept, s)
		}
	}
	return kept
}

// ageWords is how long ago something was, as people say it.
func ageWords(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return lifeWords(d.Truncate(24 * time.Hour))
	case d >= 2*time.Hour:
		return lifeWords(d.Truncate(time.Hour))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d seconds", max(d, 0)/time.Second)
}

// events counts events.
func events(n int) string {
	if n == 1 {
		return "1 event"
	}
	return grouped(n) + " events"
}

// verb is "waits" for one, "wait" for several.
func verb(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

// slow is how long something lies ready before that is worth a word.
const slow = 10 * time.Second

// why says in sentences what is in the inbox and what it waits for.
func (b *backlog) why() (said []string) {
	open, oldest := 0, b.now
	for state, s := range b.states {
		if state == "dead" {
			continue
		}
		if open += s.N; s.Oldest.Before(oldest) {
			oldest = s.Oldest
		}
	}

	ready, held, waiting, queued, dead := b.states["ready"], b.states["held"], b.states["waiting"], b.states["queued"],
		b.states["dead"]
	switch {
	case open == 0 && dead.N == 0:
		return []string{"The inbox is empty."}
	case open == 0:
		said = append(said, "Nothing waits.")
	default:
		said = append(said, fmt.Sprintf("%s %s not done. The oldest came %s ago.", events(open), verb(open, "is", "are"),
			ageWords(b.now.Sub(oldest))))
	}

	if ready.N > 0 && b.now.Sub(ready.Oldest) >= slow {
		said = append(said, b.whyReady(ready, held)...)
	}
	if waiting.N > 0 {
		said = append(said, fmt.Sprintf("%s %s for the next attempt after one that came to nothing%s. %s",
			events(waiting.N), verb(waiting.N, "waits", "wait"), b.because(), b.nextWords()))
	}
	if queued.N > 0 {
		said = append(said, b.whyQueued(queued)...)
	}
	if dead.N > 0 {
		said = append(said, fmt.Sprintf("%s: %s inbox list --state dead shows %s. To try %s again: %s inbox replay "+
			"--reason WORD", letters(dead.N), b.program, verb(dead.N, "it", "them"), verb(dead.N, "it", "them"), b.program))
	}
	return said
}

// whyReady says why nobody takes what could be worked right away.
func (b *backlog) whyReady(ready, held inbox.Backlog) (said []string) {
	switch {
	case b.workers == 0:
		said = append(said, fmt.Sprintf("%s could be worked right away, and WORKERS is 0 in these settings: a %s serve with "+
			"them works none.", events(ready.N), b.program))
	case held.N == 0:
		said = append(said, fmt.Sprintf("%s could be worked right away, and no process takes any. Is %s serve running, with "+
			"WORKERS above 0?", events(ready.N), b.program))
	default:
		said = append(said, fmt.Sprintf("%s could be worked right away, and workers are busy: %s %s in hand, the oldest came "+
			"%s ago.", events(ready.N), events(held.N), verb(held.N, "is", "are"), ageWords(b.now.Sub(held.Oldest))))
	}

	for _, sum := range b.sums.ByWorkspace {
		if sum.State == "" && sum.N*2 > ready.N && sum.N > 1 {
			said = append(said, fmt.Sprintf("%s of what isn't done came from %s. One workspace gets half of the workers at most.",
				grouped(sum.N), b.workspace(sum.Key)))
			break
		}
	}
	return said
}

// workspace is what an operator reads for a key.
func (b *backlog) workspace(k connection.Key) string {
	id := cmp.Or(k.TeamID, k.EnterpriseID)
	if name := printable(b.names[k]); name != "" {
		return name + " (" + id + ")"
	}
	return id
}

// because is the most frequent reason of what waits.
func (b *backlog) because() string {
	for _, sum := range b.sums.ByReason {
		if sum.State == "" {
			return fmt.Sprintf(", most often %s (%s)", printable(sum.Reason), grouped(sum.N))
		}
	}
	return ""
}

// nextWords says when the next attempt is.
func (b *backlog) nextWords() string {
	switch until := b.next.Sub(b.now); {
	case b.next.IsZero():
		return ""
	case until < -slow:
		return "It has been due for " + ageWords(-until) + ", so no process takes events."
	case until < time.Second:
		return "The next one is due now."
	default:
		return "The next one is due in " + ageWords(until) + "."
	}
}

// whyQueued says what events wait for that come behind another one.
func (b *backlog) whyQueued(queued inbox.Backlog) []string {
	said := fmt.Sprintf("%s %s for an earlier one of %s conversation.", events(queued.N), verb(queued.N, "waits", "wait"),
		verb(queued.N, "its", "their"))
	for _, q := range b.queues {
		if q.First.ID == 0 {
			continue
		}
		e, does := q.First.Event, "which could be worked right away"
		switch q.First.State {
		case "held":
			does = "which is being worked in attempt " + strconv.Itoa(e.Attempt)
		case "waiting":
			does = "whose next attempt is at " + short(stamp(q.First.Next))
			if reason := inbox.Reason(q.First.Error); reason != "" {
				does += ", because of " + reason
			}
		}
		said += fmt.Sprintf(" %s %s behind event %d (%s of %s, %s old), %s.", grouped(q.N), verb(q.N, "is", "are"),
			q.First.ID, printable(e.Type), b.workspace(e.Key), ageWords(b.now.Sub(e.Received)), does)
		break // the longest tells most
	}
	return []string{said}
}

// print says it all.
func (b *backlog) print(env *environment, asJSON bool) error {
	whole := inboxSums{
		Why: b.why(), States: []stateSum{}, ByType: b.lines(b.sums.ByType), ByWorkspace: b.lines(b.sums.ByWorkspace),
		ByReason: b.lines(b.sums.ByReason), Queues: []conversations{}, NextAttempt: stamp(b.next), Workers: b.workers,
	}
	for _, state := range []string{"ready", "held", "waiting", "queued", "dead"} {
		if s := b.states[state]; s.N > 0 {
			whole.States = append(whole.States, stateSum{State: state, Events: s.N, Oldest: stamp(s.Oldest)})
		}
	}
	for _, q := range b.queues {
		line := conversations{Events: q.N, Oldest: stamp(q.Oldest)}
		if q.First.ID != 0 {
			behind := letterOf(q.First)
			line.Behind = &behind
		}
		whole.Queues = append(whole.Queues, line)
	}
	if asJSON {
		return printJSON(env.stdout, whole)
	}

	if _, err := fmt.Fprintln(env.stdout, strings.Join(whole.Why, "\n")); err != nil || len(whole.States) == 0 {
		return err
	}
	table := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "\nSTATE\tEVENTS\tOLDEST")
	for _, s := range whole.States {
		printRow(table, []string{s.State, grouped(s.Events), short(s.Oldest)})
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, part := range []struct {
		heading string
		sums    []eventSum
		name    func(s eventSum) string
	}{
		{"TYPE", whole.ByType, func(s eventSum) string { return s.Type }},
		{"WORKSPACE", whole.ByWorkspace, func(s eventSum) string {
			return strings.TrimSpace(cmp.Or(s.TeamID, s.EnterpriseID) + " " + s.TeamName)
		}},
		{"REASON", whole.ByReason, func(s eventSum) string { return s.Reason }},
	} {
		if err := printSums(env, part.heading, part.sums, part.name); err != nil {
			return err
		}
	}
	return nil
}

// printSums prints a table of sums that have something in common.
func printSums(env *environment, heading string, sums []eventSum, name func(s eventSum) string) error {
	if len(sums) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(env.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(table, "\n%s\tEVENTS\tDEAD\tOLDEST\n", heading)
	for _, s := range sums {
		dead := ""
		if s.Dead {
			dead = "dead"
		}
		printRow(table, []string{name(s), grouped(s.Events), dead, short(s.Oldest)})
	}
	return table.Flush()
}

// lines are sums as scripts see them.
func (b *backlog) lines(sums []inbox.Sum) []eventSum {
	lines := make([]eventSum, len(sums))
	for i, s := range sums {
		lines[i] = eventSum{
			Dead: s.State == "dead", Type: s.Type, AppID: s.Key.AppID, EnterpriseID: s.Key.EnterpriseID,
			TeamID: s.Key.TeamID, TeamName: b.names[s.Key], Reason: s.Reason, Events: s.N, Oldest: stamp(s.Oldest),
		}
	}
	return lines
}
