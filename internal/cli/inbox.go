package cli

// inbox: what Slack sent that was not worked, for whoever is asked at night where an event has gone.

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
)

type inboxCmd struct {
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
		ReceivedAt: stamp(e.Received), NextAt: stamp(l.Next), FinishedAt: stamp(l.Finished),
		Lane: e.OrderingKey, Readable: l.Readable,
	}
}

type inboxListCmd struct {
	reportFlags
	State string `enum:"all,ready,held,waiting,queued,dead" default:"all" help:"Only these: ready, held (being worked on), waiting (for the next attempt), queued (behind another one in its conversation), dead. Default: ${default}."`
	Limit int    `default:"50" help:"How many, newest first. Default: ${default}."`
}

// Run prints what is in the inbox.
func (c *inboxListCmd) Run(env *environment) error {
	if c.Limit < 1 {
		return badUsage("--limit must be 1 or more")
	}
	return c.withStore(env, func(db *storage.DB, _ *install.Installer) error {
		state := c.State
		if state == "all" {
			state = ""
		}
		letters, err := db.Letters(env.ctx, state, c.Limit)
		if err != nil {
			return err
		}
		lines := make([]letterLine, len(letters))
		for i, l := range letters {
			lines[i] = letterOf(l)
		}

		const heading = "ID  RECEIVED  STATE  TYPE  TEAM  ATTEMPTS  EVENT  ERROR"
		return list(env, c.JSON, lines, "The inbox is empty.", heading, func(l letterLine) []string {
			return []string{
				strconv.FormatInt(l.ID, 10), short(l.ReceivedAt), l.State, l.Type, cmp.Or(l.TeamID, l.EnterpriseID),
				strconv.Itoa(l.Attempts), l.EventID, l.Error,
			}
		})
	})
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
	var payload any
	if json.Unmarshal(body, &payload) != nil {
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
	All bool    `help:"All dead letters."`
	IDs []int64 `arg:"" optional:"" name:"id" help:"IDs from inbox list."`
}

// change applies do to each of the letters that were named, or with 0 to all, and prints how many there were.
func (c *lettersFlags) change(env *environment, what string, do func(db *storage.DB, id int64) (int64, error)) error {
	if c.All == (len(c.IDs) > 0) {
		return badUsage("give the IDs of dead letters, or --all")
	}
	return c.withDatabase(env, func(db *storage.DB, _ *install.Installer) error {
		if err := checkKeys(env.ctx, db); err != nil {
			return err // whoever looks at another database than they mean, drops nothing of it
		}

		var total int64
		var problems []error
		ids := c.IDs
		if c.All {
			ids = []int64{0}
		}

		for _, id := range ids {
			n, err := do(db, id)
			total += n
			switch {
			case errors.Is(err, connection.ErrNotFound):
				err = fmt.Errorf("there is no event %d in the inbox", id)
			case errors.Is(err, inbox.ErrNotDead):
				err = fmt.Errorf("event %d isn't a dead letter, so it was left alone", id)
			}
			problems = append(problems, err)
		}

		var err error
		if c.JSON {
			err = printJSON(env.stdout, map[string]int64{what: total})
		} else {
			letters := "dead letters"
			if total == 1 {
				letters = "dead letter"
			}
			_, err = fmt.Fprintf(env.stdout, "%d %s %s.\n", total, letters, what)
		}
		return errors.Join(append(problems, err)...)
	})
}

type inboxReplayCmd struct{ lettersFlags }

// Run puts dead letters back.
func (c *inboxReplayCmd) Run(env *environment) error {
	return c.change(env, "replayed", func(db *storage.DB, id int64) (int64, error) {
		return db.ReplayLetters(env.ctx, id)
	})
}

type inboxDropCmd struct{ lettersFlags }

// Run gives dead letters up.
func (c *inboxDropCmd) Run(env *environment) error {
	return c.change(env, "dropped", func(db *storage.DB, id int64) (int64, error) { return db.DropLetters(env.ctx, id) })
}
