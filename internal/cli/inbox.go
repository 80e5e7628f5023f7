package cli

// inbox: what Slack sent that was not worked, for whoever is asked at night where an event has gone.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
)

type inboxCmd struct {
	Sums   inboxSumsCmd   `cmd:"" default:"withargs" help:"Say what is in the inbox and why, by state, type, workspace and reason. This is what ${name} inbox does."`
	List   inboxListCmd   `cmd:"" help:"List the events that aren't done; dead letters are those that failed for good."`
	Show   inboxShowCmd   `cmd:"" help:"Show one event."`
	Replay inboxReplayCmd `cmd:"" help:"Try dead letters again."`
	Drop   inboxDropCmd   `cmd:"" help:"Give up on dead letters, and erase their content."`
}

// letterLine is an event as scripts see it. Fields may be added, never renamed.
type letterLine struct {
	ID           int64   `json:"id"`
	EventID      string  `json:"event_id"`
	Kind         string  `json:"kind"`
	Type         string  `json:"type"`
	AppID        string  `json:"app_id"`
	EnterpriseID string  `json:"enterprise_id"`
	TeamID       string  `json:"team_id"`
	State        string  `json:"state"`
	Attempts     int     `json:"attempts"`
	Failures     int     `json:"failures"`
	Error        string  `json:"error"`
	Reason       string  `json:"reason"` // one word for the error, Slack's code where it gave one
	ReceivedAt   *string `json:"received_at"`
	NextAt       *string `json:"next_at"`
	FinishedAt   *string `json:"finished_at"`
	Lane         string  `json:"lane"`
	Readable     bool    `json:"readable"`
	Payload      any     `json:"payload,omitempty"`
}

func letterOf(l inbox.Letter) letterLine {
	e := l.Event
	return letterLine{
		ID: l.ID, EventID: e.ID, Kind: e.Kind, Type: e.Type,
		AppID: e.Key.AppID, EnterpriseID: e.Key.EnterpriseID, TeamID: e.Key.TeamID,
		State: l.State, Attempts: e.Attempt, Failures: e.Failures, Error: l.Error,
		Reason:     inbox.Reason(l.Error),
		ReceivedAt: stamp(e.Received), NextAt: stamp(l.Next), FinishedAt: stamp(l.Finished),
		Lane: e.OrderingKey, Readable: l.Readable,
	}
}

// eventFilter are what an operator picks events by.
type eventFilter struct {
	Type   string `placeholder:"TYPE" help:"Only those of this type, as the list shows it."`
	Team   string `placeholder:"TEAM" help:"Only those of this workspace (T…) or organisation (E…)."`
	Reason string `placeholder:"WORD" help:"Only those that failed for this reason: not_in_channel, timeout, panic, no_handler …"`
	Since  age    `placeholder:"AGE" help:"Only dead letters that were given up in this time, and others that came in it: 2h, 7d."`
}

// given reports whether it picks any.
func (f *eventFilter) given() bool {
	return f.Type != "" || f.Team != "" || f.Reason != "" || f.Since > 0
}

func (f *eventFilter) selection(state string, now time.Time) inbox.Selection {
	return inbox.Selection{State: state, Type: f.Type, Team: f.Team, Reason: f.Reason, Since: f.Since.before(now)}
}

type inboxListCmd struct {
	reportFlags
	eventFilter
	State  string `enum:"all,ready,held,waiting,queued,dead" default:"all" help:"Only these: ready, held (being worked on), waiting (for the next attempt), queued (behind another one in its conversation), dead. Default: ${default}."`
	Newest bool   `help:"The newest first, not the oldest."`
	Limit  int    `default:"50" help:"How many at most. Default: ${default}."`
	After  int64  `placeholder:"ID" help:"Continue a list behind the event with this ID."`
}

// Run prints what is in the inbox.
func (c *inboxListCmd) Run(env *environment) error {
	if c.Limit < 1 {
		return badUsage("--limit must be 1 or more")
	}
	return c.withStore(env, func(db *storage.DB, in *install.Installer) error {
		state := c.State
		if state == "all" {
			state = ""
		}
		selection := c.selection(state, in.Now())

		// In steps, so that a long list takes no more memory than what is printed of it.
		var lines []letterLine
		for after := c.After; len(lines) < c.Limit; {
			step := min(listStep, c.Limit-len(lines))
			letters, err := db.SelectEvents(env.ctx, selection, after, c.Newest, step)
			if err != nil {
				return err
			}
			for _, l := range letters {
				lines, after = append(lines, letterOf(l)), l.ID
			}
			if len(letters) < step {
				break
			}
		}

		none := "The inbox is empty."
		if state != "" || c.given() || c.After != 0 {
			none = "No event fits."
		}
		const heading = "ID  RECEIVED  STATE  TYPE  TEAM  ATTEMPTS  EVENT  REASON  ERROR"
		err := list(env, c.JSON, append([]letterLine{}, lines...), none, heading, func(l letterLine) []string {
			return []string{
				strconv.FormatInt(l.ID, 10), short(l.ReceivedAt), l.State, l.Type, cmp.Or(l.TeamID, l.EnterpriseID),
				strconv.Itoa(l.Attempts), l.EventID, l.Reason, l.Error,
			}
		})
		if err != nil || len(lines) < c.Limit {
			return err
		}
		return c.conclude(env, db, selection, lines)
	})
}

// conclude says how many there are, and how the list goes on. With --json that is not part of the output.
func (c *inboxListCmd) conclude(env *environment, db *storage.DB, selection inbox.Selection, lines []letterLine) error {
	total, err := db.CountEvents(env.ctx, selection)
	if err != nil || total <= len(lines) {
		return err
	}
	to := env.stdout
	if c.JSON {
		to = env.stderr
	}
	_, err = fmt.Fprintf(to, "Showing %s of %s. For the next page, add: --after %d\n", grouped(len(lines)), grouped(total),
		lines[len(lines)-1].ID)
	return err
}

type inboxShowCmd struct {
	reportFlags
	Payload bool  `help:"Also show what Slack sent. It can contain what people wrote; tokens are left out."`
	ID      int64 `arg:"" help:"The event's ID in inbox list."`
}

// Run prints one event.
func (c *inboxShowCmd) Run(env *environment) error {
	return c.withStore(env, func(db *storage.DB, _ *install.Installer) error {
		l, err := db.Letter(env.ctx, c.ID)
		if errors.Is(err, connection.ErrNotFound) {
			return fmt.Errorf("there is no event %d in the inbox", c.ID)
		}
		if err != nil {
			return err
		}
		line := letterOf(l)
		if c.Payload {
			line.Payload = harmless(l.Event.Body)
		}

		readable := "yes"
		if !line.Readable {
			readable = "no: none of the keys opens it"
		}
		err = details(env, c.JSON, line, [][2]string{
			{"ID", strconv.FormatInt(line.ID, 10)},
			{"Event", line.EventID},
			{"Kind", line.Kind},
			{"Type", line.Type},
			{"Connection", l.Event.Key.String()},
			{"State", line.State},
			{"Attempts", fmt.Sprintf("%d, of which %d count as failed", line.Attempts, line.Failures)},
			{"Reason", cmp.Or(line.Reason, "none")},
			{"Error", cmp.Or(line.Error, "none")},
			{"Received", short(line.ReceivedAt)},
			{"Next", short(line.NextAt)},
			{"Finished", short(line.FinishedAt)},
			{"Conversation", cmp.Or(line.Lane, "none: its order doesn't matter")},
			{"Readable", readable},
		})
		if err == nil && c.Payload && !c.JSON {
			err = printJSON(env.stdout, line.Payload)
		}
		return err
	})
}

// secretFields give access for a while, or did once.
var secretFields = map[string]bool{"response_url": true, "response_urls": true, "trigger_id": true,
	"interactivity_pointer": true}

// harmless is a payload without what gives access. One that is not JSON is not shown.
func harmless(body []byte) any {
	if !json.Valid(body) {
		return nil
	}
	read := json.NewDecoder(bytes.NewReader(body))
	read.UseNumber() // a long number would lose its last digits
	var payload any
	if read.Decode(&payload) != nil {
		return nil
	}
	return stripped(payload)
}

func stripped(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			form, isForm := inner.(string)
			switch {
			case secretFields[k] || strings.HasSuffix(k, "token"):
				v[k] = "[secret]"
			case k == "form" && isForm: // a slow command
				values, err := url.ParseQuery(form)
				if err != nil {
					v[k] = nil
					continue
				}
				fields := map[string]any{}
				for name := range values {
					fields[name] = values.Get(name)
				}
				v[k] = stripped(fields)
			default:
				v[k] = stripped(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = stripped(v[i])
		}
	}
	return v
}

// lettersFlags say which dead letters.
type lettersFlags struct {
	reportFlags
	eventFilter
	All    bool    `help:"All dead letters."`
	DryRun bool    `help:"Only say how many it would be."`
	Yes    bool    `help:"Do it, also when what you filter by fits more than one."`
	IDs    []int64 `arg:"" optional:"" name:"id" help:"IDs from inbox list."`
}

// lettersChange is what is done to dead letters.
type lettersChange struct {
	done, verb string // "replayed", "replay"
	one        func(db *storage.DB, id int64) (int64, error)
	selected   func(db *storage.DB, s inbox.Selection) (int64, error)
}

// change does it to the letters that were named, or that fit, and prints how many there were.
func (c *lettersFlags) change(env *environment, what lettersChange) error {
	ways := 0
	for _, given := range []bool{c.All, len(c.IDs) > 0, c.given()} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return badUsage("give the IDs of dead letters, or what to pick them by (--reason, --type, --team, --since), or --all")
	}
	return c.withDatabase(env, func(db *storage.DB, in *install.Installer) error {
		if err := checkKeys(env.ctx, db); err != nil {
			return err // whoever looks at another database than they mean, drops nothing of it
		}
		if len(c.IDs) > 0 {
			return c.changeNamed(env, db, what)
		}

		selection := c.selection("dead", in.Now())
		if c.DryRun || c.given() && !c.Yes {
			n, err := db.CountEvents(env.ctx, selection)
			if err != nil {
				return err
			}
			if c.DryRun || n > 1 {
				return c.would(env, what, n)
			}
		}
		n, err := what.selected(db, selection)
		return errors.Join(err, c.report(env, what, n))
	})
}

// would says what would be done, and how to have it done.
func (c *lettersFlags) would(env *environment, what lettersChange, n int) error {
	if c.JSON {
		return printJSON(env.stdout, map[string]int{"would_be_" + what.done: n})
	}
	_, err := fmt.Fprintf(env.stdout, "This would %s %s. Nothing was changed.\n", what.verb, letters(n))
	if err == nil && !c.DryRun {
		_, err = fmt.Fprintln(env.stdout, "To do it, add --yes.")
	}
	return err
}

// changeNamed does it to each of the letters that were named.
func (c *lettersFlags) changeNamed(env *environment, db *storage.DB, what lettersChange) error {
	if c.DryRun {
		n := 0
		for _, id := range c.IDs {
			if l, err := db.Letter(env.ctx, id); err == nil && l.State == "dead" {
				n++
			} else if err != nil && !errors.Is(err, connection.ErrNotFound) {
				return err
			}
		}
		return c.would(env, what, n)
	}

	var total int64
	var problems []error
	for _, id := range c.IDs {
		n, err := what.one(db, id)
		total += n
		switch {
		case errors.Is(err, connection.ErrNotFound):
			err = fmt.Errorf("there is no event %d in the inbox", id)
		case errors.Is(err, inbox.ErrNotDead):
			err = fmt.Errorf("event %d isn't a dead letter, so it was left alone", id)
		}
		problems = append(problems, err)
	}
	return errors.Join(append(problems, c.report(env, what, total))...)
}

// report says how many it were.
func (c *lettersFlags) report(env *environment, what lettersChange, n int64) error {
	if c.JSON {
		return printJSON(env.stdout, map[string]int64{what.done: n})
	}
	_, err := fmt.Fprintf(env.stdout, "%s %s.\n", letters(int(n)), what.done)
	return err
}

// letters counts dead letters.
func letters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return grouped(n) + " dead letters"
}

type inboxReplayCmd struct{ lettersFlags }

// Run puts dead letters back.
func (c *inboxReplayCmd) Run(env *environment) error {
	return c.change(env, lettersChange{
		done: "replayed", verb: "replay",
		one: func(db *storage.DB, id int64) (int64, error) { return db.ReplayLetters(env.ctx, id) },
		selected: func(db *storage.DB, s inbox.Selection) (int64, error) {
			return db.ReplaySelected(env.ctx, s)
		},
	})
}

type inboxDropCmd struct{ lettersFlags }

// Run gives dead letters up.
func (c *inboxDropCmd) Run(env *environment) error {
	return c.change(env, lettersChange{
		done: "dropped", verb: "drop",
		one:      func(db *storage.DB, id int64) (int64, error) { return db.DropLetters(env.ctx, id) },
		selected: func(db *storage.DB, s inbox.Selection) (int64, error) { return db.DropSelected(env.ctx, s) },
	})
}
