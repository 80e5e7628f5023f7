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

// Client returns a Web API client that holds c's token and nothing else of c. It is cheap: make one for each piece of
// work. It may be used from several goroutines.
func (in *Installer) Client(c Connection) *slack.Client { return in.client(c.Token) }

func (in *Installer) client(token Secret) *slack.Client {
	return slack.New(token.Reveal(), slack.OptionHTTPClient(in.http), slack.OptionAPIURL(in.apiURL()))
}

func (in *Installer) apiURL() string { return in.cfg.SlackURL + "/api/" }

// Identity is what auth.test says of a token. slack-go's type lacks half of it.
// https://docs.slack.dev/reference/methods/auth.test
type Identity struct {
	URL                 string `json:"url"`
	Team                string `json:"team"`
	TeamID              string `json:"team_id"` // the E… id for an organisation's token
	UserID              string `json:"user_id"`
	BotID               string `json:"bot_id"` // "" for a token that is not a bot's
	EnterpriseID        string `json:"enterprise_id"`
	IsEnterpriseInstall bool   `json:"is_enterprise_install"`
	AppID               string `json:"app_id"`
	ExpiresIn           int    `json:"expires_in"` // seconds; 0: does not expire
	Scopes              []string
}

// identify asks auth.test about token. An answer of Slack's that is not ok is a slack.SlackErrorResponse, a 429 a
// *slack.RateLimitedError, another HTTP status a slack.StatusCodeError; anything else is the network's trouble.
func (in *Installer) identify(ctx context.Context, token Secret) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, in.apiURL()+"auth.test", nil)
	if err != nil {
		return Identity{}, fmt.Errorf("ask auth.test: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := in.http.Do(req)
	if err != nil {
		return Identity{}, fmt.Errorf("ask auth.test: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		wait, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s")
		if err != nil {
			wait = time.Minute
		}
		return Identity{}, &slack.RateLimitedError{RetryAfter: wait}
	case resp.StatusCode != http.StatusOK:
		return Identity{}, slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
	}
	var answer struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
		Identity
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return Identity{}, fmt.Errorf("read auth.test: %w", err)
	}
	if !answer.OK {
		return Identity{}, slack.SlackErrorResponse{Err: answer.Error}
	}
	answer.Scopes = SplitScopes(resp.Header.Get("X-OAuth-Scopes"))
	return answer.Identity, nil
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
