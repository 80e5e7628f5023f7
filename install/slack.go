package install

// What this package asks of Slack itself, with limits on time and size that slack-go's defaults do not have.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"switchboard/install/connection"
)

const (
	// Slack answers in some 100 ms; a person waits for a page or a command, so no single call may take longer than this.
	callTimeout = 8 * time.Second
	// No answer we use comes near this; an unbounded one would be read into memory whole.
	maxAnswer = 8 << 20
)

// NewHTTPClient returns the client for all calls to Slack: with a timeout, a bound on the size of an answer, and enough
// idle connections for many callers (the default keeps two per host and opens a new one for each call beyond them).
func NewHTTPClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 128
	return &http.Client{Timeout: 15 * time.Second, Transport: bounded{t}}
}

type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport inside.
func (b bounded) CloseIdleConnections() {
	if c, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Client returns a Web API client with c's token. What Slack answers also says how the connection is, and is kept. It is
// cheap: make one for each piece of work. It may be used from several goroutines. Calls keep to Slack's limits: they block
// until their turn, or fail with a *slack.RateLimitedError when that is too far away.
func (in *Installer) Client(c connection.Connection) *slack.Client { return in.ClientIn(c, "") }

// ClientIn is Client for work in one workspace: with an organisation's connection every call that names no workspace (team_id)
// names that one, as Slack asks of such tokens.
func (in *Installer) ClientIn(c connection.Connection, teamID string) *slack.Client {
	return in.client(c.Token, limited{in, c.Key, teamID, witness{in, c}})
}

func (in *Installer) client(token connection.Secret, h limited) *slack.Client {
	return slack.New(token.Reveal(), slack.OptionHTTPClient(h), slack.OptionAPIURL(in.apiURL()))
}

func (in *Installer) apiURL() string { return in.cfg.SlackURL + "/api/" }

// identify asks auth.test about token. Errors as in post.
func (in *Installer) identify(ctx context.Context, token connection.Secret) (connection.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var answer connection.Identity
	header, err := in.post(ctx, "auth.test", token, nil, &answer)
	if err != nil {
		return connection.Identity{}, err
	}
	answer.Scopes = connection.SplitScopes(header.Get("X-OAuth-Scopes"))
	return answer, nil
}

// ask calls an OAuth method with the app's own credentials in form.
func (in *Installer) ask(ctx context.Context, method string, form url.Values) (granted, error) {
	var answer granted
	_, err := in.post(ctx, method, "", form, &answer)
	return answer, err
}

// Call calls a Web API method that slack-go lacks, or of which it drops a part, and decodes its answer. It blocks for the call. Errors
// are as slack-go's: slack.SlackErrorResponse, *slack.RateLimitedError, slack.StatusCodeError, or the network's, without the address.
func (in *Installer) Call(ctx context.Context, method string, token connection.Secret, form url.Values, answer any) error {
	if _, err := in.post(ctx, method, token, form, answer); err != nil {
		return Cause(err)
	}
	return nil
}

// post calls a Web API method and decodes its answer. An answer of Slack's that is not ok is a slack.SlackErrorResponse, a
// 429 a *slack.RateLimitedError, another HTTP status a slack.StatusCodeError; anything else is the network's trouble.
func (in *Installer) post(ctx context.Context, method string, token connection.Secret, form url.Values, answer any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, in.apiURL()+method, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp, err := in.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusTooManyRequests {
		return nil, &slack.RateLimitedError{RetryAfter: refusedFor(resp)}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", method, err)
	}
	var verdict struct {
		OK       flag `json:"ok"`
		Error    word `json:"error"`
		Needed   word `json:"needed"` // with missing_scope
		Provided word `json:"provided"`
	}
	// An error may come with a status of 400; a page of a proxy in between is none of Slack's words.
	bad := json.Unmarshal(body, &verdict)
	switch {
	case bad == nil && !bool(verdict.OK) && verdict.Error != "" && resp.StatusCode < 500:
		return nil, slack.SlackErrorResponse{Err: string(verdict.Error), Needed: string(verdict.Needed), Provided: string(verdict.Provided)}
	case resp.StatusCode != http.StatusOK:
		return nil, slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
	case bad != nil:
		return nil, fmt.Errorf("read %s: %w", method, bad)
	case !bool(verdict.OK):
		return nil, fmt.Errorf("read %s: neither ok nor an error", method)
	}
	var odd *json.UnmarshalTypeError // one field of another type than expected; the others are decoded all the same
	if err := json.Unmarshal(body, answer); err != nil && !errors.As(err, &odd) {
		return nil, fmt.Errorf("read %s: %w", method, err)
	}
	return resp.Header, nil
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

// Cause strips the address from a failed call: an error of net/http prints the whole URL, and a response_url is as good
// as a token.
func Cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("%s: %w", strings.ToLower(u.Op), u.Err)
	}
	return err
}

// decisive reports whether an error says something about the token, as against Slack or the network having trouble.
func decisive(err error) bool { return connection.DecisiveCode(SlackError(err)) }
