package bot

// Answers to what somebody did go to the response_url that came with it, and to no other place.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// responses posts to response_urls.
type responses struct {
	client *http.Client
	slack  string // where our own Slack is: an address there is as good as one on Slack's hosts for them
}

func newResponses(slack *slackapi.API) *responses {
	return &responses{slack: slack.Address, client: &http.Client{
		Transport: slack.HTTP.Transport,
		Timeout:   10 * time.Second,
		// A redirect would lead to a host that nobody has looked at.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post answers through a response_url. Slack takes 5 posts within 30 minutes. Its errors do not hold the address.
func (r *responses) post(ctx context.Context, address connection.Secret, m message) error {
	if address == "" {
		return errors.New("respond: no response_url")
	}
	u, err := r.address(address.Reveal())
	if err != nil {
		return fmt.Errorf("respond: response_url: %w", err)
	}

	body, err := encode(m)
	if err != nil {
		return fmt.Errorf("respond: %w", err)
	}

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("respond: response_url is not usable")
	}

	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("respond: %w", slackapi.Cause(err))
	}

	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("respond: Slack answered %d %s", resp.StatusCode, transport.Clip(string(answer)))
	}
	return nil
}

// address is where a response_url leads, on one of Slack's hosts for them; posting anywhere else would hand out what we
// say.
func (r *responses) address(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("not an address")
	}

	if u.Scheme == "https" && (u.Host == "hooks.slack.com" || u.Host == "hooks.slack-gov.com") {
		return u, nil
	}
	own, err := url.Parse(r.slack)
	if err == nil && u.Scheme == own.Scheme && u.Host == own.Host {
		return u, nil
	}
	return nil, fmt.Errorf("host %q is not Slack's", transport.Clip(u.Host))
}
