package tokens

// A refresh token is spent once, whoever asks and however many replicas there are. What Slack hands out for it is on
// disk before anything else is tried. This file is where both are seen to:
//
//	claim a lease in the row → ask Slack, off the caller's context and with no transaction open →
//	write the pair to the journal → store it if the row still holds what was spent → keep the journal's copy until the next
//
// The lease saves work. The comparison at the end is what makes it right.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/spans"
)

const (
	// Slack answers in some 100 ms. One that takes longer than this is taken for silent. The answer can be lost then.
	exchangeTimeout = 10 * time.Second
	// How long a renewal waits for the store. After that the pair waits in the journal.
	keepTimeout = 5 * time.Second
	// An access token that ends this soon is not handed out without trying to renew it.
	lastMoments = 5 * time.Second
)

var (
	// errElsewhere: another process holds the lease.
	errElsewhere = errors.New("renewed elsewhere")
	// errCurrent: there is nothing to renew (any longer).
	errCurrent = errors.New("nothing to renew")
)

// renewRequest is why somebody wants a renewal.
type renewRequest struct {
	budget   slackapi.Budget
	refused  connection.Secret // a token that Slack called expired: due now, whatever the clock says
	exchange bool              // a long-lived token is to be moved to rotation
}

// Renew renews the bot token of exactly k now if it is due, and waits for that until ctx ends. The renewal itself
// goes on. nil: the token is good, or a token pair that needs no renewal. It can be called from several goroutines
// and processes.
func (kp *Keeper) Renew(ctx context.Context, k connection.Key) error {
	return unless(kp.renew(ctx, connection.TokenOwner{Key: k}, renewRequest{budget: RenewalsInUse}), errCurrent)
}

// renewal is one under way, for all in this process who wait for it.
type renewal struct {
	done chan struct{}
	err  error
}

// Exchange moves the long-lived bot token of exactly k to rotation: Slack gives a pair for it, once. The old token is
// not revoked, which could take the app down: it ends with the first renewal. nil also when it rotates already.
// ErrNotFound, ErrNotConnected when there is no token. It blocks for one call to Slack, and until the budget has room
// for it. https://docs.slack.dev/reference/methods/oauth.v2.exchange
func (kp *Keeper) Exchange(ctx context.Context, k connection.Key) error {
	const look = 250 * time.Millisecond // two calls' worth of the budget
	for {
		err := kp.renew(ctx, connection.TokenOwner{Key: k}, renewRequest{budget: exchanges, exchange: true})
		switch {
		case errors.Is(err, errCurrent):
			c, err := kp.Pairs.store.Lookup(ctx, k)
			if err == nil && c.Token == "" {
				err = connection.ErrNotConnected
			}
			return err
		case !errors.Is(err, ErrSpent):
			return err
		}
		if err := pause(ctx, look); err != nil {
			return err
		}
	}
}

// pause waits, or returns why ctx ended first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// RenewRefused renews the tokens of h although their time has not come: Slack called this one expired.
func (kp *Keeper) RenewRefused(ctx context.Context, h connection.TokenOwner, token connection.Secret) error {
	return kp.renew(ctx, h, renewRequest{budget: RenewalsInUse, refused: token})
}

// renew makes sure that one renewal of h runs in this process, and waits for it until ctx ends.
func (kp *Keeper) renew(ctx context.Context, h connection.TokenOwner, w renewRequest) error {
	kp.mu.Lock()
	r := kp.renewing[h]
	if r == nil {
		r = &renewal{done: make(chan struct{})}
		kp.renewing[h] = r
		kp.tasks.Go(func() {
			// The refresh token is spent the moment Slack reads it: the caller can leave, this stays.
			r.err = kp.renewOnce(context.WithoutCancel(ctx), h, w)
			kp.mu.Lock()
			delete(kp.renewing, h)
			kp.mu.Unlock()
			close(r.done)
		})
	}
	kp.mu.Unlock()

	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// renewOnce is the whole way of one renewal. Errors: errElsewhere, errCurrent, ErrSpent, the store's trouble, or
// ErrRenewing with Slack's.
func (kp *Keeper) renewOnce(ctx context.Context, h connection.TokenOwner, w renewRequest) (err error) {
	ctx, span := kp.cfg.Spans.Start(ctx, trace.SpanKindInternal, "renew tokens", "")
	defer func() {
		span.Say(spans.Outcome, renewed(err))
		span.End()
	}()
	span.Say(spans.Team, h.TeamID)
	span.Say(spans.Enterprise, h.EnterpriseID)
	span.Say(spans.User, h.UserID)

	// What the journal holds for h was bought with the refresh token that is still in the row.
	waiting, kept, err := kp.Delivery.bringFor(ctx, h)
	if err != nil || waiting {
		return errors.Join(errElsewhere, err)
	}
	if kp.Budgets.isEmpty(w.budget) {
		return ErrSpent // before anything is written
	}
	claimed, next, err := kp.claim(ctx, h, w, kept)
	if err != nil {
		return err
	}

	// Only now, so that replicas which meet at one row take one call from the budget.
	err = kp.Budgets.take(ctx, w.budget)
	if err == nil && claimed.LeaseUntil.Sub(kp.cfg.Now()) < exchangeTimeout+keepTimeout {
		err = errElsewhere // the database took so long that another process might have the lease by the time Slack answers
	}
	if err != nil {
		return errors.Join(err, kp.release(ctx, h, claimed))
	}

	began := time.Now()
	p, err := kp.exchange(ctx, next, claimed)
	kp.cfg.Observer.Renewed(h, claimed, err, time.Since(began))
	if err != nil {
		span.Fail(cmp.Or(slackapi.SlackError(err), "no_answer"))
		return kp.notRenewed(ctx, h, claimed, err)
	}
	if claimed.Tries > 0 {
		kp.cfg.Log.InfoContext(ctx, "renewed again", "key", h.Key.String(), "user", h.UserID, "failures", claimed.Tries,
			"after", kp.cfg.Now().Sub(claimed.FailingSince).Round(time.Second).String())
	}
	return kp.keep(ctx, p)
}

// keep has the journal and then the store keep what Slack gave.
func (kp *Keeper) keep(ctx context.Context, p connection.Grant) error {
	_, writing := kp.cfg.Spans.Start(ctx, trace.SpanKindInternal, "write journal", "")
	kp.Journal.Keep(ctx, &p)
	writing.End()

	ctx, storing := kp.cfg.Spans.Start(ctx, trace.SpanKindInternal, "store tokens", "")
	defer storing.End()
	err := kp.Delivery.bringSoon(ctx, p)
	if err != nil {
		storing.Fail("not_stored")
	}
	return err
}

// levelOf is how loud it is said that claimed was not renewed. That it begins to fail is said once, and once that
// nothing but a person helps. Slack's limits are nobody's fault.
func levelOf(verdict string, claimed connection.TokenPair) slog.Level {
	switch {
	case verdict == connection.DeadPair:
		return slog.LevelError
	case verdict == connection.LimitedPair:
		return slog.LevelInfo
	case claimed.Tries > 0:
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// renewed is what a renewal came to, for its span.
func renewed(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, errElsewhere):
		return "elsewhere"
	case errors.Is(err, errCurrent):
		return "current"
	case errors.Is(err, ErrSpent):
		return "limited"
	}
	return "failed"
}

// exchange spends what c can be renewed with, and completes p, the next pair. It blocks for one call to Slack. An
// answer that is not a whole pair counts as one that was lost.
func (kp *Keeper) exchange(ctx context.Context, p connection.Grant, c connection.TokenPair) (connection.Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()

	form := url.Values{"client_id": {kp.cfg.ClientID}, "client_secret": {kp.cfg.ClientSecret.Reveal()}}
	method := "oauth.v2.access"
	if c.RefreshToken != "" {
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", c.RefreshToken.Reveal())
	} else {
		method = "oauth.v2.exchange"
		form.Set("token", c.Token.Reveal())
	}

	granted, err := kp.cfg.Slack.OAuth(ctx, method, form)
	if err != nil {
		return connection.Grant{}, err
	}

	p.Token, p.Refresh = connection.Secret(granted.AccessToken), connection.Secret(granted.RefreshToken)
	p.Life, p.At, p.Scopes = time.Duration(granted.ExpiresIn), kp.cfg.Now(), connection.SplitScopes(string(granted.Scope))
	if p.Token == "" || p.Refresh == "" {
		return connection.Grant{}, fmt.Errorf("%s: the answer has no whole pair of tokens", method)
	}
	return p, nil
}

// notRenewed writes down why there is no new pair, and when to try again. Nothing but Slack's own repeated word about
// this refresh token declares it dead, and only if the row still holds it.
func (kp *Keeper) notRenewed(
	ctx context.Context, h connection.TokenOwner, claimed connection.TokenPair, cause error,
) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	code, now := slackapi.SlackError(cause), kp.cfg.Now()
	wait, limited := slackapi.RetryAfter(cause)
	if limited {
		budget := RenewalsInUse // the largest of those that share a name
		if claimed.RefreshToken == "" {
			budget = exchanges
		}
		kp.Budgets.KeepLimit(ctx, budget, wait)
	}

	var verdict string
	err := kp.Pairs.Update(ctx, h, func(a connection.Access) error {
		row := a.Pair()
		if row.Spendable() != claimed.Spendable() {
			return errCurrent // somebody else renewed it: what we heard is about a token of the past
		}
		if row.LeaseUntil.Equal(claimed.LeaseUntil) {
			row.LeaseUntil = time.Time{}
		}
		if verdict = connection.LimitedPair; limited {
			row.Waits(wait, now)
		} else {
			verdict = row.Failed(code, now)
		}
		if code == "token_rotation_not_enabled" {
			// That is for the operator to turn on, and to ask for again: with the setting, once an hour.
			row.RenewAt = time.Time{}
			if kp.cfg.MoveToRotation {
				row.RenewAt = now.Add(time.Hour)
			}
		}
		a.NotRenewed(verdict, code, now)
		return nil
	})
	if errors.Is(err, errCurrent) {
		return nil
	}

	kp.cfg.Log.Log(ctx, levelOf(verdict, claimed), "not renewed", "key", h.Key.String(), "user", h.UserID,
		"slack_error", code, "verdict", verdict, "cause", slackapi.Cause(cause))
	if err != nil && !errors.Is(err, connection.ErrNotFound) {
		// The lease runs out by itself.
		kp.cfg.Log.WarnContext(ctx, "keep result of renewal", "key", h.Key.String(), "cause", err)
	}
	return fmt.Errorf("%w: %w", connection.ErrRenewing, cause)
}
