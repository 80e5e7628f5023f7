package tokens

// A refresh token is spent once, whoever asks and however many replicas there are; and what Slack hands out for it is on
// disk before anything else is tried. This file is where both are seen to:
//
//	claim a lease in the row → ask Slack, off the caller's context and with no transaction open →
//	write the pair to the journal → store it if the row still holds what was spent → keep the journal's copy until the next
//
// The lease saves work; the comparison at the end is what makes it right.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// Slack answers in some 100 ms. One that takes longer than this is taken for silent; the answer may be lost then.
	exchangeTimeout = 10 * time.Second
	// How long a renewal waits for the store. After that the pair waits in the journal.
	keepTimeout = 5 * time.Second
	// An access token that ends this soon is not handed out any more without trying to renew it.
	lastMoments = 5 * time.Second

	renewWorkers    = 8
	dueAtOnce       = 64
	unreadablePause = time.Hour   // until a row that can't be read is looked at again
	spentPause      = time.Second // until a process looks into an empty budget again
	// An entry of the journal that can't be opened keeps its owner's refresh token from being spent for this long: the key
	// may come back, and then the token is found to be spent already.
	unopenedPatience = time.Hour
)

// Slack allows 600 calls of oauth.v2.access a minute, for renewals and installs together. All replicas make at most
// 20 + 60 + 60*8 = 560 in any minute. Anybody can bring a code, so of the 8 a second installs take 4 at the most,
// whatever comes: the rest is there for renewals, some 345,000 a day, which is three for each of 115,000 connections.
// And renewals in the background leave the last 20 of a burst to installs and to tokens that somebody waits for.
// oauth.v2.exchange is in tier 3, some 50 a minute.
// https://docs.slack.dev/apis/web-api/rate-limits
var (
	Renewals = slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second / 8, Burst: 60, Whole: 80}
	// For a token that somebody waits for there is a little more in the same budget.
	RenewalsInUse = slackapi.Budget{Name: Renewals.Name, Interval: Renewals.Interval, Burst: Renewals.Burst + 20}
	Installs      = slackapi.Budget{Name: "oauth.v2.access installs", Interval: time.Second / 4, Burst: 60}
	// For callers who brought codes that Slack did not know: what others leave of the burst.
	installsSuspect = slackapi.Budget{Name: Installs.Name, Interval: Installs.Interval, Burst: Installs.Burst / 4, Whole: Installs.Burst}
	exchanges       = slackapi.Budget{Name: "oauth.v2.exchange", Interval: 1500 * time.Millisecond, Burst: 10}
)

var (
	// errElsewhere: another process holds the lease.
	errElsewhere = errors.New("renewed elsewhere")
	// errCurrent: there is nothing to renew (any more).
	errCurrent = errors.New("nothing to renew")
	// errSpent: the calls that all replicas may make at the moment are made.
	ErrSpent = errors.New("no call left in the budget")
)

// renewRequest is why somebody wants a renewal.
type renewRequest struct {
	budget   slackapi.Budget
	refused  connection.Secret // a token that Slack called expired: due now, whatever the clock says
	exchange bool              // a long-lived token is to be moved to rotation
}

// Renew renews the bot token of exactly k now if it is due, and waits for that until ctx ends; the renewal itself goes on.
// nil: the token is good, or a token pair that needs no renewal. It may be called from several goroutines and processes.
func (kp *Keeper) Renew(ctx context.Context, k connection.Key) error {
	err := kp.renew(ctx, connection.TokenOwner{Key: k}, renewRequest{budget: RenewalsInUse})
	if errors.Is(err, errCurrent) {
		return nil
	}
	return err
}

// renewal is one under way, for all in this process who wait for it.
type renewal struct {
	done chan struct{}
	err  error
}

// Exchange moves the long-lived bot token of exactly k to rotation: Slack gives a pair for it, once. The old token is not
// revoked, which could take the app down; it ends with the first renewal. nil also when it rotates already; ErrNotFound,
// ErrNotConnected when there is no token.
// It blocks for one call to Slack, and until the budget has room for it. https://docs.slack.dev/reference/methods/oauth.v2.exchange
func (kp *Keeper) Exchange(ctx context.Context, k connection.Key) error {
	const look = 250 * time.Millisecond // two calls' worth of the budget
	for {
		err := kp.renew(ctx, connection.TokenOwner{Key: k}, renewRequest{budget: exchanges, exchange: true})
		switch {
		case errors.Is(err, errCurrent):
			c, err := kp.store.Lookup(ctx, k)
			if err == nil && c.Token == "" {
				err = connection.ErrNotConnected
			}
			return err
		case !errors.Is(err, ErrSpent):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
}

// renew makes sure that one renewal of h runs in this process, and waits for it until ctx ends.
func (kp *Keeper) renew(ctx context.Context, h connection.TokenOwner, w renewRequest) error {
	kp.mu.Lock()
	r := kp.renewing[h]
	if r == nil {
		r = &renewal{done: make(chan struct{})}
		kp.renewing[h] = r
		kp.tasks.Go(func() {
			// The refresh token is spent the moment Slack reads it: the caller may leave, this stays.
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

// renewOnce is the whole way of one renewal. Errors: errElsewhere, errCurrent, errSpent, the store's trouble, or ErrRenewing
// with Slack's.
func (kp *Keeper) renewOnce(ctx context.Context, h connection.TokenOwner, w renewRequest) error {
	// What the journal holds for h was bought with the refresh token that is still in the row.
	waiting, kept, err := kp.restore(ctx, h)
	if err != nil || waiting {
		return errors.Join(errElsewhere, err)
	}
	if kp.isClosed(w.budget) {
		return ErrSpent // before anything is written
	}
	claimed, next, err := kp.claim(ctx, h, w, kept)
	if err != nil {
		return err
	}
	// Only now, so that replicas which meet at one row take one call from the budget.
	err = kp.take(ctx, w.budget)
	if err == nil && claimed.LeaseUntil.Sub(kp.now()) < exchangeTimeout+keepTimeout {
		err = errElsewhere // the database took so long that another process may have the lease by the time Slack answers
	}
	if err != nil {
		return errors.Join(err, kp.release(ctx, h, claimed))
	}
	began := time.Now()
	p, err := kp.exchange(ctx, next, claimed)
	kp.cfg.Observer.Renewed(h, claimed, err, time.Since(began))
	if err != nil {
		return kp.notRenewed(ctx, h, claimed, err)
	}
	return kp.keep(ctx, p)
}

// RenewRefused renews the tokens of h although their time has not come: Slack called this one expired.
func (kp *Keeper) RenewRefused(ctx context.Context, h connection.TokenOwner, token connection.Secret) error {
	return kp.renew(ctx, h, renewRequest{budget: RenewalsInUse, refused: token})
}

// take takes one call from a budget. errSpent; then this process does not look again for a moment.
func (kp *Keeper) take(ctx context.Context, b slackapi.Budget) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	ok, err := kp.store.Take(ctx, b, 1, kp.now())
	if err != nil || ok {
		return err
	}
	kp.mu.Lock()
	kp.closedBudgets[b] = kp.now().Add(spentPause)
	kp.mu.Unlock()
	return ErrSpent
}

// TakeInstall takes one call for an install: from the part that installs have, and from what they share with renewals.
// errSpent.
func (kp *Keeper) TakeInstall(ctx context.Context, suspect bool) error {
	own := Installs
	if suspect {
		own = installsSuspect
	}
	for _, b := range []slackapi.Budget{own, RenewalsInUse} {
		if kp.isClosed(b) {
			return ErrSpent // before anything is written
		}
	}
	for _, b := range []slackapi.Budget{own, RenewalsInUse} {
		if err := kp.take(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// KeepLimit keeps a budget shut for as long as Slack asked, on all replicas: the limit is the app's.
func (kp *Keeper) KeepLimit(ctx context.Context, b slackapi.Budget, wait time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	if err := kp.store.ClosedUntil(ctx, b, kp.now().Add(wait)); err != nil {
		kp.log.WarnContext(ctx, "keep Slack's rate limit", "cause", err)
	}
}

func (kp *Keeper) isClosed(b slackapi.Budget) bool {
	kp.mu.Lock()
	defer kp.mu.Unlock()
	left := kp.closedBudgets[b].Sub(kp.now())
	return left > 0 && left <= spentPause // a clock that was set back keeps nothing shut
}

// claim takes the lease and returns the token pair with it, and what is known beforehand of the next pair. That it could be
// written also proves that the database takes writes at this moment. Where the store has lost what the journal kept,
// that is stored instead.
func (kp *Keeper) claim(ctx context.Context, h connection.TokenOwner, w renewRequest, kept []connection.Grant) (claimed connection.TokenPair, next connection.Grant, err error) {
	if !kp.cfg.Renews(h.Key) {
		return connection.TokenPair{}, connection.Grant{}, errCurrent // what is left of another mode or app can't be renewed with our credentials
	}
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	var verdict error
	var planned time.Time // by a clock that was wrong
	var brought bool
	err = kp.UpdateTokens(ctx, h, func(row *connection.TokenPair, c *connection.Connection, u *connection.UserToken) error {
		now := kp.now()
		verdict, planned = nil, time.Time{}
		next, brought = connection.NewestOf(kept, connection.RowOf(c, u))
		if brought && kp.leaseIsOver(h, row.LeaseUntil, now) {
			kp.resume(next, c, u, "journal", now)
			verdict = errElsewhere
			return nil
		}
		brought = false
		due := row.Due(now)
		if due && row.Beyond(now) {
			planned = row.RenewAt
		}
		switch {
		case row.Spendable() == "" && (due || w.exchange && c != nil && c.Reason == connection.ReasonUnreadable):
			// Its secrets can't be opened. It makes room for the others, and writing that needs no secret.
			row.RenewAt, verdict = now.Add(unreadablePause), errCurrent
			return nil
		case row.RefreshToken != "":
			inUse := row.Ended(now.Add(lastMoments)) || w.refused != "" && w.refused == row.Token
			due = due || inUse && !row.BacksOff(now)
		default:
			// A long-lived token is due when somebody wishes it, or did before and Slack had trouble.
			due = (due || w.exchange) && row.ExpiresAt.IsZero()
		}
		switch {
		case row.Spendable() == "" || !due || row.Dead():
			return errCurrent
		case !kp.leaseIsOver(h, row.LeaseUntil, now):
			return errElsewhere
		}
		row.LeaseUntil = now.Add(connection.LeaseLife).Truncate(time.Microsecond) // as the database keeps it
		claimed = *row
		next = connection.Grant{TokenOwner: h, Spent: row.Spendable()}.StoredIn(c, u)
		next.Generation++
		return nil
	})
	if err != nil {
		return claimed, next, err
	}
	if !planned.IsZero() {
		kp.log.WarnContext(ctx, "a renewal was planned by a clock that was wrong: it is made now",
			"key", h.Key.String(), "user", h.UserID, "planned", planned)
	}
	if brought {
		kp.Restored(ctx, next)
	}
	return claimed, next, verdict
}

// leaseObservation is a lease of another process and when it was first seen here.
type leaseObservation struct{ lease, first time.Time }

// leaseIsOver reports whether whoever took a lease may be taken for dead. The clocks of replicas differ, so the time in the
// row is only a name for the lease: it is over when this process has seen the same one for as long as a lease lives.
func (kp *Keeper) leaseIsOver(h connection.TokenOwner, lease, now time.Time) bool {
	kp.mu.Lock()
	defer kp.mu.Unlock()
	if lease.IsZero() {
		delete(kp.leases, h)
		return true
	}
	seen, known := kp.leases[h]
	if !known || !seen.lease.Equal(lease) || seen.first.After(now) {
		if len(kp.leases) > 100_000 {
			clear(kp.leases) // costs those whose owner died one more wait
		}
		kp.leases[h] = leaseObservation{lease, now}
		return false
	}
	return now.Sub(seen.first) >= connection.LeaseLife
}

// release gives a lease back unused.
func (kp *Keeper) release(ctx context.Context, h connection.TokenOwner, claimed connection.TokenPair) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	return kp.UpdateTokens(ctx, h, func(row *connection.TokenPair, _ *connection.Connection, _ *connection.UserToken) error {
		if row.LeaseUntil.Equal(claimed.LeaseUntil) {
			row.LeaseUntil = time.Time{}
		}
		return nil
	})
}

// UpdateTokens is Store.Update for either kind of token pair. Of c and u one is nil.
func (kp *Keeper) UpdateTokens(ctx context.Context, h connection.TokenOwner, fn func(row *connection.TokenPair, c *connection.Connection, u *connection.UserToken) error) error {
	update := func() (err error) {
		if h.UserID == "" {
			_, err = kp.store.Update(ctx, h.Key, func(c *connection.Connection) error { return fn(&c.TokenPair, c, nil) })
		} else {
			_, err = kp.store.UpdateUser(ctx, h, func(u *connection.UserToken) error { return fn(&u.TokenPair, nil, u) })
		}
		return err
	}
	err := update()
	if errors.Is(err, connection.ErrNotFound) {
		var moved bool
		if h, moved = kp.readdress(ctx, h); moved { // its workspace joined an organisation meanwhile
			err = update()
		}
	}
	return err
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
	granted, err := kp.slack.OAuth(ctx, method, form)
	if err != nil {
		return connection.Grant{}, err
	}
	p.Token, p.Refresh = connection.Secret(granted.AccessToken), connection.Secret(granted.RefreshToken)
	p.Life, p.At, p.Scopes = time.Duration(granted.ExpiresIn), kp.now(), connection.SplitScopes(string(granted.Scope))
	if p.Token == "" || p.Refresh == "" {
		return connection.Grant{}, fmt.Errorf("%s: the answer has no whole pair of tokens", method)
	}
	return p, nil
}

// notRenewed writes down why there is no new pair, and when to try again. Nothing but Slack's own repeated word about this
// refresh token declares it dead, and only if the row still holds it.
func (kp *Keeper) notRenewed(ctx context.Context, h connection.TokenOwner, claimed connection.TokenPair, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	code := slackapi.SlackError(cause)
	now := kp.now()
	wait, limited := slackapi.RetryAfter(cause)
	if limited {
		budget := RenewalsInUse // the largest of those that share a name
		if claimed.RefreshToken == "" {
			budget = exchanges
		}
		kp.KeepLimit(ctx, budget, wait)
	}
	var state string
	err := kp.UpdateTokens(ctx, h, func(row *connection.TokenPair, c *connection.Connection, u *connection.UserToken) error {
		if row.Spendable() != claimed.Spendable() {
			return errCurrent // somebody else renewed it; what we heard is about a token of the past
		}
		if row.LeaseUntil.Equal(claimed.LeaseUntil) {
			row.LeaseUntil = time.Time{}
		}
		if state = connection.LimitedPair; limited {
			row.Waits(wait, now)
		} else {
			state = row.Failed(code, now)
		}
		if code == "token_rotation_not_enabled" {
			// That is for the operator to turn on, and to ask for again: with the setting, once an hour.
			row.RenewAt = time.Time{}
			if kp.cfg.MoveToRotation {
				row.RenewAt = now.Add(time.Hour)
			}
		}
		line := connection.Change{At: now, By: connection.Actor{Kind: connection.BySwitchboard}, What: connection.DidRenew, Outcome: connection.OutcomeFail, Reason: cmp.Or(code, "no_answer")}
		if row.RefreshToken == "" {
			line.What = connection.DidExchange
		}
		switch {
		case c != nil && c.State != connection.Removed && c.State != connection.Paused:
			before := *c
			switch {
			case state == connection.DeadPair:
				c.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, now)
			case state == connection.FailingPair && row.RefreshToken != "" && (c.State == connection.Active || c.State == connection.Retrying):
				c.SetState(connection.Retrying, connection.ReasonRenewalFailing, now)
			}
			another := code != "" && code != before.RenewalError
			if state != connection.LimitedPair {
				c.RenewalError = line.Reason
			}
			if before.State != c.State || before.Reason != c.Reason || row.Tries == 1 || another && state != connection.LimitedPair {
				c.Note(line) // the first of a row of failures, another cause, and what changes the state
			}
		case u != nil && state == connection.DeadPair:
			u.Reason, line.Reason = connection.ReasonRefreshRejected, u.UserID
			u.Note(line)
		}
		return nil
	})
	if errors.Is(err, errCurrent) {
		return nil
	}
	level := kp.log.WarnContext
	if state == connection.DeadPair {
		level = kp.log.ErrorContext
	}
	level(ctx, "not renewed", "key", h.Key.String(), "user", h.UserID, "slack_error", code, "verdict", state, "cause", slackapi.Cause(cause))
	if err != nil && !errors.Is(err, connection.ErrNotFound) {
		kp.log.WarnContext(ctx, "keep result of renewal", "key", h.Key.String(), "cause", err) // the lease runs out by itself
	}
	return fmt.Errorf("%w: %w", connection.ErrRenewing, cause)
}

// RenewDue renews what is due, and with MoveToRotation exchanges what is long-lived, within the budget that all replicas
// share. It returns how many renewals of its own it finished.
func (kp *Keeper) RenewDue(ctx context.Context) (int, error) {
	n, err := kp.renewAll(ctx, renewRequest{budget: Renewals}, func() ([]connection.TokenOwner, error) { return kp.store.Due(ctx, kp.cfg.AppID, kp.now(), dueAtOnce) })
	if err != nil || !kp.cfg.MoveToRotation {
		return n, err
	}
	m, err := kp.renewAll(ctx, renewRequest{budget: exchanges, exchange: true}, func() ([]connection.TokenOwner, error) { return kp.store.LongLived(ctx, kp.cfg.AppID, dueAtOnce) })
	return n + m, err
}

// renewAll renews what next lists, a few at a time, until there is no more, the budget is spent, or nothing of it could be
// done. It returns how many it renewed.
func (kp *Keeper) renewAll(ctx context.Context, w renewRequest, next func() ([]connection.TokenOwner, error)) (total int, err error) {
	for ctx.Err() == nil {
		due, err := next()
		if err != nil || len(due) == 0 {
			return total, err
		}
		// Every replica reads the same list; in another order each, they seldom meet.
		rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
		var group errgroup.Group
		group.SetLimit(renewWorkers)
		var done atomic.Int64
		var spent atomic.Bool
		for _, h := range due {
			if ctx.Err() != nil || spent.Load() {
				break
			}
			group.Go(func() error {
				switch err := kp.renew(ctx, h, w); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, ErrSpent):
					spent.Store(true)
				}
				return nil
			})
		}
		_ = group.Wait()
		total += int(done.Load())
		if done.Load() == 0 || spent.Load() || len(due) < dueAtOnce {
			return total, nil
		}
	}
	return total, nil
}

// Good returns c with a token that can be used now, renewing it first if it has ended, and waiting for whoever does so. The
// old token is handed out as long as it lives.
func (kp *Keeper) Good(ctx context.Context, c connection.Connection) (connection.Connection, error) {
	err := kp.GoodTokens(ctx, connection.TokenOwner{Key: c.Key}, c.TokenPair, func() (connection.TokenPair, error) {
		fresh, err := kp.store.Get(ctx, c.ID)
		if err == nil {
			c = fresh
		}
		return c.TokenPair, err
	})
	return c, err
}

// GoodTokens is good for either kind of token pair; reread looks at the row again.
func (kp *Keeper) GoodTokens(ctx context.Context, h connection.TokenOwner, c connection.TokenPair, reread func() (connection.TokenPair, error)) error {
	const look = 100 * time.Millisecond // how often somebody who waits for another process, or for the budget, looks
	for {
		now := kp.now()
		if !c.Ended(now.Add(lastMoments)) {
			return nil
		}
		if c.Ended(now) && c.BacksOff(now) {
			return connection.ErrRenewing // asking Slack for each request would not help it
		}
		err := connection.ErrNotConnected // nothing but a person helps
		if c.RefreshToken != "" && !c.Dead() {
			err = kp.renew(ctx, h, renewRequest{budget: RenewalsInUse})
		}
		waiting := errors.Is(err, errElsewhere) || errors.Is(err, errCurrent) || errors.Is(err, ErrSpent)
		switch {
		case err != nil && !c.Ended(now):
			return nil // it works for some seconds more, and is being renewed or reported meanwhile
		case err == connection.ErrNotConnected:
			return err
		case waiting:
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", connection.ErrRenewing, ctx.Err())
			case <-time.After(look):
			}
		case err != nil && !errors.Is(err, connection.ErrRenewing):
			return fmt.Errorf("%w: %w", connection.ErrRenewing, err)
		case err != nil:
			return err
		}
		if c, err = reread(); err != nil {
			return fmt.Errorf("open connection: %w", err)
		}
		if c.Token == "" {
			return connection.ErrNotConnected
		}
	}
}
