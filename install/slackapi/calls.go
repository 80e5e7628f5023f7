package slackapi

// Every call to Slack is counted in one place, below everything that makes one.

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// What a call came to.
const (
	CallOK            = "ok"
	CallRefused       = "refused"        // by an error of Slack's about this call
	CallAccessRefused = "access_refused" // by one about the token, or the whole workspace
	CallLimited       = "ratelimited"
	CallFailed        = "slack_failed" // Slack says that the trouble is its own, or answers with a status of 5xx
	CallNoAnswer      = "no_answer"    // none came in time, or none that can be read
)

// CallResults are all of them.
func CallResults() []string {
	return []string{CallOK, CallRefused, CallAccessRefused, CallLimited, CallFailed, CallNoAnswer}
}

// accessCodes are Slack's errors about the token or the whole workspace.
var accessCodes = []string{connection.ReasonAccountInactive, connection.ReasonTokenRevoked,
	connection.ReasonTokenExpired, connection.ReasonInvalidAuth, "not_authed", "org_login_required", "team_added_to_org",
	"ekm_access_denied"}

// unpaced are methods that are called, and counted by name, without a pace of their own in paces.
var unpaced = []string{"agents.sessions.setStatus", "apps.connections.open",
	"apps.event.authorizations.list", "apps.uninstall", "assistant.threads.setSuggestedPrompts", "assistant.threads.setTitle", "auth.revoke",
	"auth.teams.list", "chat.unfurl", "files.completeUploadExternal", "files.getUploadURLExternal",
	"functions.completeError", "functions.completeSuccess", "oauth.v2.access", "oauth.v2.exchange",
	"users.conversations"}

// CalledMethods returns the names by which calls are counted, in order, Other last.
func CalledMethods() []string {
	return append(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(paces)), unpaced))), Other)
}

// Counting returns a client like c that tells called of every call of a method: its name, one of CalledMethods, one of
// CallResults, and how long it took until the answer could be judged. What else is fetched isn't told.
func Counting(c *http.Client, called func(method, result string, took time.Duration)) *http.Client {
	counting := *c
	next := c.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	counting.Transport = countedCalls{next: next, called: called}
	return &counting
}

type countedCalls struct {
	next   http.RoundTripper
	called func(method, result string, took time.Duration)
}

// RoundTrip is http.RoundTripper's.
func (t countedCalls) RoundTrip(r *http.Request) (*http.Response, error) {
	_, method, isCall := strings.Cut(r.URL.Path, "/api/")
	if !isCall {
		return t.next.RoundTrip(r)
	}

	began := time.Now()
	resp, err := t.next.RoundTrip(r)
	result := CallNoAnswer
	if err == nil {
		if result, err = resultOf(resp); err != nil {
			resp = nil // its body broke off, and is closed
		}
	}
	if _, known := paces[method]; !known && !slices.Contains(unpaced, method) {
		method = Other
	}
	if !errors.Is(err, context.Canceled) { // else nobody wanted the answer any longer
		t.called(method, result, time.Since(began))
	}
	return resp, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport inside.
func (t countedCalls) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// resultOf is what an answer comes to. Its body can still be read, unless there is an error.
func resultOf(resp *http.Response) (string, error) {
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return CallLimited, nil
	case resp.StatusCode >= 500:
		return CallFailed, nil
	case resp.StatusCode != http.StatusOK:
		return CallRefused, nil
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json"): // a proxy's, perhaps
		return CallNoAnswer, nil
	}

	code, err := errorOf(resp)
	switch {
	case errors.Is(err, errNoWord):
		return CallNoAnswer, nil
	case err != nil:
		return CallNoAnswer, err
	case code == "":
		return CallOK, nil
	case code == "ratelimited" || code == "rate_limited":
		return CallLimited, nil
	case slices.Contains(accessCodes, code):
		return CallAccessRefused, nil
	case MaybeDone(slack.SlackErrorResponse{Err: code}):
		return CallFailed, nil
	}
	return CallRefused, nil
}
