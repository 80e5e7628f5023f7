package slackapi

// What went wrong with a call, told apart. What Slack's codes mean for a connection is package connection's to say.

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// RetryAfter returns how long Slack asked to wait (a *slack.RateLimitedError), if it did: from 0 to LongestWait.
func RetryAfter(err error) (wait time.Duration, limited bool) {
	var asked *slack.RateLimitedError
	if !errors.As(err, &asked) {
		return 0, false
	}
	return max(0, min(asked.RetryAfter, connection.LongestWait)), true
}

// SlackError returns the error code that Slack answered with ("token_revoked"), or "" when err is not Slack's word.
func SlackError(err error) string {
	var e slack.SlackErrorResponse
	if errors.As(err, &e) {
		return e.Err
	}
	var limited *slack.RateLimitedError
	if errors.As(err, &limited) {
		return "ratelimited"
	}
	return ""
}

// Cause strips the address from a failed call: an error of net/http prints the whole URL, and a response_url is as good
// as a token.
func Cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("%s: %w", strings.ToLower(u.Op), u.Err)
	}
	return err
}

// Decisive reports whether an error says something about the token, as against Slack or the network having trouble.
func Decisive(err error) bool { return connection.DecisiveCode(SlackError(err)) }
