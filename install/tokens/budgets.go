package tokens

// Slack allows 600 calls of oauth.v2.access a minute, for renewals and installs together. All replicas make at most
// 20 + 60 + 60*8 = 560 in any minute. Anybody can bring a code, so of the 8 a second installs take 4 at the most,
// whatever comes: the rest is there for renewals, some 345,000 a day, which is three for each of 115,000 connections.
// And renewals in the background leave the last 20 of a burst to installs and to tokens that somebody waits for.
// oauth.v2.exchange is in tier 3, some 50 a minute.
// https://docs.slack.dev/apis/web-api/rate-limits

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/slackapi"
)

var (
	// Renewals is the budget of renewals in the background.
	Renewals = slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second / 8, Burst: 60, Whole: 80}
	// RenewalsInUse is the same budget for a token that somebody waits for, with a little more in it.
	RenewalsInUse = slackapi.Budget{Name: Renewals.Name, Interval: Renewals.Interval, Burst: Renewals.Burst + 20}
	// Installs is the part of it that installs can take.
	Installs = slackapi.Budget{Name: "oauth.v2.access installs", Interval: time.Second / 4, Burst: 60}
	// For callers who brought codes that Slack did not know: what others leave of the burst.
	installsSuspect = slackapi.Budget{Name: Installs.Name, Interval: Installs.Interval,
		Burst: Installs.Burst / 4, Whole: Installs.Burst}
	exchanges = slackapi.Budget{Name: "oauth.v2.exchange", Interval: 1500 * time.Millisecond, Burst: 10}
)

// ErrSpent says that the calls are made that all replicas can make at the moment.
var ErrSpent = errors.New("no call left in the budget")

// spentPause is how long a process doesn't look into a budget that was empty.
const spentPause = time.Second

// BudgetStore is what Budgets need of the database.
type BudgetStore interface {
	// Take takes n calls from a budget that all processes share, or none (false) when there is not enough in it. A budget
	// refills by one call every interval and never holds more than burst. ClosedUntil keeps it shut until a time,
	// LongestClosure ahead at most. A budget that is empty for longer than a burst takes, and that Slack did not close,
	// was spent by a broken clock: it counts as one that was emptied now, after this call.
	Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error)
	ClosedUntil(ctx context.Context, b slackapi.Budget, until time.Time) error
}

// Budgets are the calls that all replicas together make of Slack's OAuth methods.
type Budgets struct {
	cfg   *Config
	store BudgetStore

	mu    sync.Mutex
	empty map[slackapi.Budget]time.Time // until when a budget is not looked into
}

// TakeInstall takes one call for an install: from the part that installs have, and from what they share with
// renewals. suspect callers get what others leave. ErrSpent.
func (bs *Budgets) TakeInstall(ctx context.Context, suspect bool) error {
	own := Installs
	if suspect {
		own = installsSuspect
	}

	for _, b := range []slackapi.Budget{own, RenewalsInUse} {
		if bs.isEmpty(b) {
			return ErrSpent // before anything is written
		}
	}
	for _, b := range []slackapi.Budget{own, RenewalsInUse} {
		if err := bs.take(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// take takes one call from a budget. After ErrSpent this process does not look again for a moment.
func (bs *Budgets) take(ctx context.Context, b slackapi.Budget) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	ok, err := bs.store.Take(ctx, b, 1, bs.cfg.Now())
	if err != nil || ok {
		return err
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.empty[b] = bs.cfg.Now().Add(spentPause)
	return ErrSpent
}

func (bs *Budgets) isEmpty(b slackapi.Budget) bool {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	left := bs.empty[b].Sub(bs.cfg.Now())
	return left > 0 && left <= spentPause // a clock that was set back keeps nothing shut
}

// KeepLimit keeps a budget shut for as long as Slack asked, on all replicas: the limit is the app's.
func (bs *Budgets) KeepLimit(ctx context.Context, b slackapi.Budget, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	if err := bs.store.ClosedUntil(ctx, b, bs.cfg.Now().Add(wait)); err != nil {
		bs.cfg.Log.WarnContext(ctx, "keep Slack's rate limit", "cause", err)
	}
}
