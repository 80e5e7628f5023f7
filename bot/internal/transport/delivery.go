package transport

// What both ways have in common: a delivery, and what it is answered with.

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"time"
)

const (
	// AckBudget is the time from the arrival of a delivery to its acknowledgement. Slack gives 3 s from the moment it
	// sends. Half a second of that is left to the network.
	// https://docs.slack.dev/apis/events-api
	AckBudget = 2500 * time.Millisecond
	// MaxBody is the largest delivery that is taken, in bytes. Slack publishes no limit; views with state are the
	// largest payloads and stay well below this.
	MaxBody = 2 << 20
)

// The kinds of deliveries, named as in Socket Mode's envelopes.
// https://docs.slack.dev/apis/events-api/using-socket-mode
const (
	KindEvents      = "events_api"
	KindCommands    = "slash_commands"
	KindInteractive = "interactive"
	KindTimer       = "timer"      // not from Slack: its time has come
	KindUnreadable  = "unreadable" // of which not even the kind can be told
)

// Delivery is one thing that Slack sent, whichever way it came.
type Delivery struct {
	Kind string     // one of Kind…; what else Slack may have comes to Accept, too
	Body []byte     // events and interactions: JSON as it came; commands: their form, encoded
	Form url.Values // commands
}

// Answer is what goes back with the acknowledgement. The zero Answer is an empty one.
type Answer struct {
	Body        []byte // "" is an acknowledgement and no more
	ContentType string
	After       func() // to be called once the acknowledgement is out; nil: nothing
	// TooLarge delivers Body another way, for a transport that can't carry it; nil: there is no other way.
	TooLarge func()
}

// Accept takes a delivery in, and returns before ctx ends. It is called from any number of goroutines. An error means
// that it must not be acknowledged: Slack sends it again.
type Accept func(ctx context.Context, d Delivery) (Answer, error)

// Numbers counts what an operator watches. Its methods may be called from any number of goroutines.
type Numbers interface {
	Refuse(cause string)    // a request or an envelope that is not taken: see Causes
	Repeated(reason string) // a delivery, and why Slack says that it comes again; "": it doesn't
	Unknown()               // an envelope of no kind that this release knows
	Undelivered()           // an answer that its acknowledgement couldn't carry
	SocketFailed()          // a connection that could not be opened
}

// Why something was refused. Nobody knows yet whether it is Slack's.
const (
	refusedMethod    = "method"
	refusedHeaders   = "headers" // one of the two is missing, or there twice
	refusedStamp     = "timestamp"
	refusedSignature = "signature"
	refusedBody      = "body"     // it did not come, or not in time
	refusedGaveWay   = "gave_way" // too many bodies were under way
	refusedTooLarge  = "too_large"
)

// Causes are all of them, for counters that begin at 0.
var Causes = []string{refusedMethod, refusedHeaders, refusedStamp, refusedSignature, refusedBody, refusedGaveWay,
	refusedTooLarge}

// FormOf returns the form in a body, or nil when the body is not one. The address's query is never looked at: Slack's
// signature does not cover it.
func FormOf(contentType string, body []byte) url.Values {
	if contentType == "application/json" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil
	}

	form, err := url.ParseQuery(string(body))
	if err != nil || form == nil {
		return url.Values{}
	}
	return form
}

// FormOfJSON makes the form of a command, as it would have come over HTTP, of its JSON object.
func FormOfJSON(payload []byte) (url.Values, error) {
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, fmt.Errorf("read command: %w", err)
	}

	form := url.Values{}
	for name, value := range fields {
		switch v := value.(type) {
		case string:
			form.Set(name, v)
		case bool:
			form.Set(name, fmt.Sprint(v))
		}
	}
	return form, nil
}

// Clip keeps what comes from outside from flooding a log line.
func Clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
