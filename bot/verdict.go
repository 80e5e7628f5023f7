package bot

// What became of an attempt, and what follows from it: one place that tells what is final, what waits for Slack's limits, and what is
// tried again.

import (
	"context"
	"errors"
	"time"

	"switchboard/install"
)

// How attempts end, as switchboard_events_total names it.
const (
	outcomeDone    = "done"
	outcomeRetry   = "retry"
	outcomeLimited = "limited" // comes back when Slack takes calls again, and does not count
	outcomePutBack = "put_back"
	outcomeLost    = "lost" // somebody else has it
	outcomeDead    = "dead"
)

// verdict is what the inbox is to be told.
type verdict struct {
	outcome string
	at      time.Time // the next attempt, if there is one
	counts  bool      // whether this one counts against the limit
}

// judge says what follows from how an attempt ended.
func (b *Bot) judge(ctx context.Context, e Event, err error) verdict {
	var decode *decodeError
	wait, limited := install.RetryAfter(err)
	switch {
	case e.Deaths >= mostDeaths, errors.As(err, &decode):
		return verdict{outcome: outcomeDead}
	case err == nil:
		return verdict{outcome: outcomeDone}
	case errors.Is(context.Cause(ctx), errStopping):
		return verdict{outcome: outcomePutBack, at: b.now()}
	case limited && e.Attempt-e.Failures <= freeAttempts:
		return verdict{outcome: outcomeLimited, at: b.now().Add(max(wait, shortestLimit))}
	case e.last() && !lifecycle(e.Type):
		return verdict{outcome: outcomeDead}
	}
	return verdict{outcome: outcomeRetry, at: b.now().Add(backoff(e.Failures + 1)), counts: true}
}
