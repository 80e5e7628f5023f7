package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"time"
)

const (
	// Slack gives 3 s from the moment it sends. Half a second of that is left to the network.
	// https://docs.slack.dev/apis/events-api
	ackBudget = 2500 * time.Millisecond
	// Slack publishes no limit; views with state are the largest payloads and stay well below this (bytes).
	maxBody = 2 << 20
)

// The kinds of deliveries, named as in Socket Mode's envelopes.
// https://docs.slack.dev/apis/events-api/using-socket-mode
const (
	kindEvents      = "events_api"
	kindCommands    = "slash_commands"
	kindInteractive = "interactive"
	kindUnreadable  = "unreadable" // of which not even the kind can be told
)

// delivery is one thing that Slack sent, whichever way it came.
type delivery struct {
	kind string
	body []byte     // events and interactions: JSON as it came
	form url.Values // commands
}

// answer is what goes back with the acknowledgement. The zero answer is an empty one.
type answer struct {
	body        []byte
	contentType string
	after       func() // to be called once the acknowledgement is out; nil: nothing
	// tooLarge delivers body another way, for a transport that can't carry it; nil: there is no other way.
	tooLarge func()
}

// accept takes a delivery in, until ctx ends. An error means that it must not be acknowledged: Slack sends it again.
type accept func(ctx context.Context, d delivery) (answer, error)

// numbers counts what an operator watches. Its methods may be called from any number of goroutines.
type numbers interface {
	Refuse(cause string)    // a request or an envelope that is not taken: see causes
	Repeated(reason string) // a delivery, and why Slack says that it comes again; "": it doesn't
	Unknown()               // an envelope of no kind that this release knows
	Undelivered()           // an answer that its acknowledgement couldn't carry
	SocketFailed()          // a connection that could not be opened
}

// Why something was refused. Up to tooLarge nobody knows yet whether it is Slack's.
const (
	refusedMethod    = "method"
	refusedHeaders   = "headers" // one of the two is missing, or there twice
	refusedStamp     = "timestamp"
	refusedSignature = "signature"
	refusedBody      = "body"     // it did not come, or not in time
	refusedGaveWay   = "gave_way" // too many bodies were under way
	refusedTooLarge  = "too_large"
)

// causes are all of them.
var causes = []string{refusedMethod, refusedHeaders, refusedStamp, refusedSignature, refusedBody, refusedGaveWay,
	refusedTooLarge}

// formOf returns the form in a body, or nil when the body is not one. The address's query is never looked at: Slack's
// signature does not cover it.
func formOf(contentType string, body []byte) url.Values {
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

// formOfJSON makes the form of a command, as it would have come over HTTP, of its JSON object.
func formOfJSON(payload []byte) (url.Values, error) {
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

// clip keeps what comes from outside from flooding a log line.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
