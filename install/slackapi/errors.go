package slackapi

// What went wrong with a call, told apart. What Slack's codes mean for a connection is package connection's to say.

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// ErrUnclear says that Slack was asked, and that its answer doesn't say whether it did what it was asked.
var ErrUnclear = errors.New("no clear answer from Slack")

// MaybeDone reports whether a call that failed may have done its work: no answer came back, or one of those of which
// Slack says so. https://docs.slack.dev/reference/methods/apps.uninstall#errors
func MaybeDone(err error) bool {
	var dial *net.OpError
	switch SlackError(err) {
	case "":
		return err != nil && !(errors.As(err, &dial) && dial.Op == "dial")
	case "internal_error", "fatal_error", "service_unavailable", "server_error", "request_timeout":
		return true
	}
	return false
}

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

// Details are what Slack said besides the code, such as which block it refuses and why; "" for nothing. They are for
// whoever writes the app. https://docs.slack.dev/apis/web-api#responses
func Details(err error) string {
	const most = 500
	var e slack.SlackErrorResponse
	if !errors.As(err, &e) {
		return ""
	}
	said := []rune(strings.Join(e.ResponseMetadata.Messages, "; "))
	return string(said[:min(len(said), most)])
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

// Moving reports whether Slack refuses calls because a workspace is being moved into an organisation. That passes by
// itself, and takes minutes to hours. https://docs.slack.dev/enterprise/developing-for-enterprise-orgs
func Moving(code string) bool { return code == "org_login_required" || code == "team_added_to_org" }
