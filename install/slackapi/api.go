package slackapi

// The calls, and what an answer is worth.

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

	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	// Slack answers in some 100 ms; a person waits for a page or a command, so no single call may take longer than this.
	CallTimeout = 8 * time.Second
	// No answer we use comes near this; an unbounded one would be read into memory whole.
	maxAnswer = 8 << 20
)

// API calls Slack for one app. Its methods block for the call and may be used from several goroutines.
type API struct {
	Address string           // Slack's, without a slash at the end
	HTTP    *http.Client     // see NewHTTPClient
	Now     func() time.Time // the clock that Slack's limits are counted by
	// Met is told of each call that met one of Slack's limits: by one of Methods, and Waited, Refused or TurnedAway.
	Met func(method, result string)

	limits limits
}

// ClientURL is where Slack in the browser is: Slack's own has a host for it.
func (a *API) ClientURL() string {
	for _, host := range []string{"slack.com", "slack-gov.com"} {
		if a.Address == "https://"+host {
			return "https://app." + host
		}
	}
	return a.Address
}

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

// Client returns a Web API client with a token, for the workspace of k. It keeps to Slack's limits: calls block until
// their turn, or fail with a *slack.RateLimitedError when that is too far away. team is the workspace that calls with
// an organisation's token are about, "" when none is known. What is sent goes through next.
func (a *API) Client(token connection.Secret, k connection.Key, team string, next Doer) *slack.Client {
	h := limited{api: a, key: k, team: team, next: next}
	return slack.New(token.Reveal(), slack.OptionHTTPClient(h), slack.OptionAPIURL(a.Address+"/api/"))
}

// Identify asks auth.test about token. Errors as in post.
func (a *API) Identify(ctx context.Context, token connection.Secret) (connection.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	var answer connection.Identity
	header, err := a.Post(ctx, "auth.test", token, nil, &answer)
	if err != nil {
		return connection.Identity{}, err
	}
	answer.Scopes = connection.SplitScopes(header.Get("X-OAuth-Scopes"))
	return answer, nil
}

// ask calls an OAuth method with the app's own credentials in form.
func (a *API) OAuth(ctx context.Context, method string, form url.Values) (Granted, error) {
	var answer Granted
	_, err := a.Post(ctx, method, "", form, &answer)
	return answer, err
}

// Call calls a Web API method that slack-go lacks, or of which it drops a part, and decodes its answer. It blocks for
// the call. Errors are as slack-go's: slack.SlackErrorResponse, *slack.RateLimitedError, slack.StatusCodeError, or the
// network's, without the address.
func (a *API) Call(ctx context.Context, method string, token connection.Secret, form url.Values, answer any) error {
	if _, err := a.Post(ctx, method, token, form, answer); err != nil {
		return Cause(err)
	}
	return nil
}

// Post calls a Web API method and decodes its answer. An answer of Slack's that is not ok is a
// slack.SlackErrorResponse, a 429 a *slack.RateLimitedError, another HTTP status a slack.StatusCodeError; anything else
// is the network's trouble.
func (a *API) Post(ctx context.Context, method string, token connection.Secret, form url.Values,
	answer any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Address+"/api/"+method,
		strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp, err := a.HTTP.Do(req)
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
		return nil, slack.SlackErrorResponse{Err: string(verdict.Error), Needed: string(verdict.Needed),
			Provided: string(verdict.Provided)}
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
