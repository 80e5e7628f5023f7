package watch

// Nothing tells us when an app was removed and the word got lost; so every connection is asked about now and then, and
// when people ask.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// RecheckEvery is how often people may have Slack asked about one connection.
	RecheckEvery = 10 * time.Second
	// checksAtOnce every checkTick are 240 calls a minute for one replica; auth.test takes hundreds a minute from each
	// workspace, so this bounds our own work rather than Slack's.
	checkTick    = 5 * time.Second
	checksAtOnce = 20
	checkWorkers = 4

	// ChecksPerHour is how many connections one replica asks Slack about.
	ChecksPerHour = int(time.Hour / checkTick * checksAtOnce)
)

// errNothingToDo ends an update of a row that somebody else saw to.
var errNothingToDo = errors.New("nothing to do any more")

// Check asks Slack whether the connection for k works, keeps what was learned, and returns the state. A token that ran
// out is renewed first. It never fails: what could not be found out is in the answer. Of a paused one Slack isn't asked.
// It blocks for four calls to Slack at most, nearly always for one.
func (cs *Connections) Check(ctx context.Context, k connection.Key) Health {
	c, err := cs.store.Lookup(ctx, k)
	if err != nil || c.Token == "" || c.State == connection.Paused {
		return cs.assess(c, err == nil, evidence{recordsErr: err})
	}
	if fresh, err := cs.cfg.Tokens.Good(ctx, c); err == nil {
		c = fresh
	}

	c, said := cs.ask(ctx, c)
	cs.cfg.Observer.Checked(said.err)
	if said.err != nil {
		cs.cfg.Log.InfoContext(ctx, "connection check failed", "connection", c.ID,
			"slack_error", slackapi.SlackError(said.err), "cause", slackapi.Cause(said.err))
	}
	if said.err == nil || slackapi.Decisive(said.err) {
		c = cs.keepVerdict(ctx, c, said)
	}
	return cs.assess(c, true, evidence{asked: true, slackErr: said.err})
}

// verdict is what auth.test said of a token that it was asked about at a time.
type verdict struct {
	id   connection.Identity
	err  error
	sent time.Time
}

// ask calls auth.test with c's token, or with the next one when Slack says that it ran out. It returns c as it then is.
func (cs *Connections) ask(ctx context.Context, c connection.Connection) (connection.Connection, verdict) {
	said := verdict{sent: cs.cfg.Now()}
	said.id, said.err = cs.cfg.Slack.Identify(ctx, c.Token)
	if slackapi.SlackError(said.err) != connection.ReasonTokenExpired || c.RefreshToken == "" || c.BacksOff(cs.cfg.Now()) {
		return c, said
	}

	// Before its time by our clock: Slack's counts.
	if err := cs.cfg.Tokens.RenewRefused(ctx, connection.TokenOwner{Key: c.Key}, c.Token); err != nil {
		return c, said
	}
	fresh, err := cs.store.Lookup(ctx, c.Key)
	if err != nil || fresh.Token == "" {
		return c, said
	}
	said.sent = cs.cfg.Now()
	said.id, said.err = cs.cfg.Slack.Identify(ctx, fresh.Token)
	return fresh, said
}

// keepVerdict writes down what Slack said of c's token, and returns c as it now is.
func (cs *Connections) keepVerdict(ctx context.Context, c connection.Connection, said verdict) connection.Connection {
	code := slackapi.SlackError(said.err)
	var was []string
	gone := false
	now, err := updateRow(ctx, cs.store, c, func(row *connection.Connection) error {
		before := row.State
		if was = row.Scopes; row.Token == c.Token { // else Slack's answer is about a token that has been replaced meanwhile
			row.Judge(said.id, code, said.sent)
			cs.allowed(row, said.sent)
		}
		gone = before != connection.Removed && row.State == connection.Removed
		return nil
	})
	if err != nil {
		// The answer is still worth showing; the next check will store it.
		cs.cfg.Log.WarnContext(ctx, "keep result of check", "connection", c.ID, "cause", err)
		c.Judge(said.id, code, said.sent)
		return c
	}

	cs.permissionsChanged(ctx, was, now)
	if gone { // Slack's event of it comes after, and finds nothing to do
		cs.cfg.Log.InfoContext(ctx, "removal handled", "connection", now.ID, "key", now.Key.String(), "reason", now.Reason,
			"confirmed", connection.VerdictYes.String(), "state", string(now.State))
	}
	if now.State == connection.Removed {
		cs.cfg.Tokens.Reconciler.ForgetErased(ctx, now.Key)
	} else if said.err == nil {
		now = cs.moved(ctx, now, said.id)
	}
	return now
}

// allowed has the message about missing permissions edited, once all of them are granted. It is run inside
// Store.Update.
func (cs *Connections) allowed(c *connection.Connection, at time.Time) {
	if asked := c.Notice.ToAsk(); asked != nil { // nobody was told yet
		if !slices.ContainsFunc(asked, func(name string) bool { return !slices.Contains(c.Scopes, name) }) {
			c.Notice = connection.Notice{}
		}
		return
	}
	if c.AwaitsScopes() && c.State == connection.Active && len(c.Missing(cs.cfg.Scopes)) == 0 {
		c.Notice.At = at
	}
}

// CheckDue asks about the connections whose time has come, each by one replica. Run does it all the time.
func (cs *Connections) CheckDue(ctx context.Context) error {
	keys, err := cs.store.Unchecked(ctx, cs.cfg.AppID, cs.cfg.Now(), checksAtOnce)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(checkWorkers)
	for _, k := range keys {
		if ctx.Err() != nil {
			break
		}
		if cs.cfg.Mode.Serves(k) {
			group.Go(func() error { return cs.checkOne(ctx, k) })
		}
	}
	return group.Wait()
}

// checkOne claims the check that is due, and makes it.
func (cs *Connections) checkOne(ctx context.Context, k connection.Key) error {
	_, err := cs.store.Update(ctx, k, func(c *connection.Connection) error {
		now := cs.cfg.Now()
		if c.CheckAt.After(now) && c.CheckAt.Sub(now) <= connection.FurthestCheck {
			return errNothingToDo // another replica was first
		}
		c.CheckAt = now.Add(connection.CheckAgain + rand.N(connection.CheckAgain/10))
		return nil
	})
	switch {
	case errors.Is(err, errNothingToDo), errors.Is(err, connection.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("claim check: %w", err)
	}

	asking, cancel := context.WithTimeout(ctx, oneBudget)
	defer cancel()
	cs.Check(asking, k)

	// With a time of its own: the mark is taken before the message is sent, and then it has to be.
	telling, end := context.WithTimeout(context.WithoutCancel(ctx), tellBudget)
	defer end()
	return cs.askMarked(telling, k)
}

// MayRecheck takes the turn to ask Slack about c (Check), which comes once every RecheckEvery for all processes
// together: people press "Check again" more often than an answer changes. false when it was taken. It blocks for the
// store. Where that can't tell, one check more does no harm.
func (cs *Connections) MayRecheck(ctx context.Context, c connection.Connection) bool {
	if c.ID == "" || c.Token == "" {
		return true // nobody is asked
	}
	turn := slackapi.Budget{Name: "check " + c.ID, Interval: RecheckEvery, Burst: 1}
	free, err := cs.store.Take(ctx, turn, 1, cs.cfg.Now())
	return err != nil || free
}
