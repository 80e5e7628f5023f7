package bot

import (
	"slices"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/lenient"
	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Whose is the key that a delivery's connection is looked up by, for tests from outside the package. kind 0 is an
// event, 1 a command in a form, 2 a command in a socket's JSON, 3 an interaction; false: it could not be read, so
// nothing is looked up.
func Whose(kind byte, body []byte, appID string) (k connection.Key, team string, ok bool) {
	switch kind {
	case 0:
		e, err := decodeEnvelope(body)
		if err != nil || e.Type != "event_callback" {
			return connection.Key{}, "", false
		}
		from := e.origin(appID)
		return from.key, from.teamID, true
	case 1:
		form := transport.FormOf("application/x-www-form-urlencoded", body)
		k, team = commandKey(form, appID)
	case 2:
		form, err := transport.FormOfJSON(body)
		if err != nil {
			return connection.Key{}, "", false
		}
		k, team = commandKey(form, appID)
	case 3:
		i, _, err := lenient.Decode[interaction](body)
		if err != nil {
			return connection.Key{}, "", false
		}
		k, team = i.key(appID)
	}
	return k, team, true
}

// Seed is a row of the table of shapes, for Whose.
type Seed struct {
	Kind byte
	Body []byte
}

// Seeds returns all rows.
func Seeds() []Seed {
	kinds := map[string]byte{transport.KindEvents: 0, transport.KindCommands: 1, transport.KindInteractive: 3}
	var seeds []Seed
	for _, s := range shapes {
		seeds = append(seeds, Seed{kinds[s.kind], []byte(s.body)})
	}
	return seeds
}

// Where is who did what an event tells of, and where.
func Where(event []byte) (user, channel, thread string) {
	body := slices.Concat([]byte(`{"type":"event_callback","event_id":"Ev1","event":`), event, []byte("}"))
	e, err := decodeEnvelope(body)
	if err != nil {
		return err.Error(), "", ""
	}
	return e.Inner.where()
}

// ThreadOf is the thread that an interaction is answered in.
func ThreadOf(payload []byte) string {
	i, _, err := lenient.Decode[interaction](payload)
	if err != nil {
		return err.Error()
	}
	return i.thread()
}

// AckWithin makes a Bot answer for a late handler after d already.
func AckWithin(d time.Duration) func(*Config) { return func(c *Config) { c.ackWithin = d } }

// Interrupt does to handlers that run at once what a stop does to them after a while.
func Interrupt(b *Bot) { b.answers.stop() }

// TextOf is the text of r's first message.
func TextOf(r Reply) string { return r.parts(nil)[0].Text }

// PartsOf are how many blocks each message of r has.
func PartsOf(r Reply) (blocks []int) {
	for _, p := range r.parts(nil) {
		blocks = append(blocks, len(p.Blocks))
	}
	return blocks
}

// NextOf is when a handler that recurs has its next time for a connection.
func NextOf(h Handler, connectionID string, now time.Time) (slot, due time.Time) {
	return h.recurring().Next(connectionID, now)
}

// NoTimers is for a Bot whose timers nobody uses.
type NoTimers struct{ Timers }

func (NoTimers) Recur([]Recurring) {}

// Unsaid is all that an attempt has given of a task with more of it, and what of that no attempt before has given.
func Unsaid(known, given, more string) (all, fresh string) { return unsaid(known, given, more) }
