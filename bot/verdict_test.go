package bot

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
)

// What Slack refuses for good is tried once, what asks for time waits for it and does not count, all else is tried
// again.
func TestVerdicts(t *testing.T) {
	now := time.Unix(1793611800, 0)
	b, _ := loggedBot(t, func(c *Config) { c.Now = func() time.Time { return now } })
	said := func(code string) error { return fmt.Errorf("post reply: %w", slack.SlackErrorResponse{Err: code}) }
	limited := func(d time.Duration) error {
		return fmt.Errorf("post reply: %w", &slack.RateLimitedError{RetryAfter: d})
	}
	stopping, stop := context.WithCancelCause(t.Context())
	stop(errStopping)

	for _, test := range []struct {
		name     string
		ctx      context.Context
		event    Delivery
		err      error
		outcome  string
		min, max time.Duration // until the next attempt
		counts   bool
	}{
		{name: "it went well", outcome: outcomeDone},
		{name: "the channel is gone", err: said("channel_not_found"), outcome: outcomeRefused},
		{name: "a thread is closed", err: said("restricted_action_thread_locked"), outcome: outcomeRefused},
		{name: "a kind of channel of tomorrow", err: said("restricted_action_quiet_channel"), outcome: outcomeRefused},
		{name: "files stay in the company", err: said("slack_connect_file_upload_sharing_blocked"), outcome: outcomeRefused},
		{name: "blocks of no kind", err: said("invalid_blocks"), outcome: outcomeRefused},
		{name: "nobody may write to bots", err: said("cannot_dm_bot"), outcome: outcomeRefused},
		{name: "the app leaves, whatever is refused", event: Delivery{Type: "app_uninstalled"},
			err: said("channel_not_found"), outcome: outcomeRetry, min: time.Second, max: 2 * time.Second, counts: true},
		{name: "Slack's trouble", err: said("internal_error"), outcome: outcomeRetry, min: time.Second, max: 2 * time.Second,
			counts: true},
		{name: "a code of tomorrow", err: said("code_of_tomorrow"), outcome: outcomeRetry, min: time.Second,
			max: 2 * time.Second, counts: true},
		{name: "a token that can be renewed", err: said("token_expired"), outcome: outcomeRetry, min: time.Second,
			max: 2 * time.Second, counts: true},
		{name: "our own trouble", err: errors.New("no"), event: Delivery{Failures: 2}, outcome: outcomeRetry,
			min: 16 * time.Second, max: 20 * time.Second, counts: true},
		{name: "our own trouble, for the eighth time", err: errors.New("no"),
			event: Delivery{Kind: transport.KindEvents, Failures: 7}, outcome: outcomeDead},
		{name: "a limit", err: limited(7 * time.Second), outcome: outcomeLimited, min: 7 * time.Second, max: 7 * time.Second},
		{name: "a limit that is none", err: limited(-time.Hour), outcome: outcomeLimited, min: time.Second, max: time.Second},
		{name: "a limit of days", err: limited(1000 * time.Hour), outcome: outcomeLimited, min: 15 * time.Minute,
			max: 15 * time.Minute},
		{name: "a limit in words", err: said("ratelimited"), outcome: outcomeLimited, min: time.Minute, max: time.Minute},
		{name: "a channel's limit in words", err: said("rate_limited"), outcome: outcomeLimited, min: time.Minute,
			max: time.Minute},
		{name: "a limit at each of many attempts", event: Delivery{Kind: transport.KindEvents, Attempt: 21},
			err: limited(time.Second), outcome: outcomeRetry, min: time.Second, max: 2 * time.Second, counts: true},
		{name: "our records are silent", event: Delivery{Attempt: 1}, err: &notOpened{errors.New("no")},
			outcome: outcomePutBack, min: time.Second, max: 2 * time.Second},
		{name: "our records are silent again", event: Delivery{Attempt: 7, Failures: 1}, err: &notOpened{errors.New("no")},
			outcome: outcomePutBack, min: 4 * time.Second, max: 5 * time.Second},
		{name: "its access is being renewed again", event: Delivery{Attempt: 4, Failures: 1},
			err: &notOpened{fmt.Errorf("open: %w", connection.ErrRenewing)}, outcome: outcomePutBack, min: 16 * time.Second,
			max: 20 * time.Second},
		{name: "our records are never there", event: Delivery{Attempt: 21}, err: &notOpened{errors.New("no")},
			outcome: outcomeRetry, min: time.Second, max: 2 * time.Second, counts: true},
		{name: "what can't be read", err: &decodeError{errors.New("no")}, outcome: outcomeDead},
		{name: "the program stops", ctx: stopping, err: context.Canceled, outcome: outcomePutBack},
		{name: "three deaths, whatever was said", ctx: stopping, event: Delivery{Deaths: 3}, err: said("internal_error"),
			outcome: outcomeDead},
	} {
		ctx := test.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		v := b.workers.judge(ctx, test.event, test.err)
		pause := time.Duration(0)
		if !v.at.IsZero() {
			pause = v.at.Sub(now)
		}
		if v.outcome != test.outcome || v.counts != test.counts || pause < test.min || pause > test.max {
			t.Errorf("%s: %s in %v, counts %v; want %s in %v to %v, counts %v", test.name, v.outcome, pause, v.counts,
				test.outcome, test.min, test.max, test.counts)
		}
	}
}
