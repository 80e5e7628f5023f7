package watch

// Leaving: the app is removed from the workspace at Slack, and what we hold of its access is erased.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// eraseBudget is for erasing access, noteBudget for a line in the history.
	eraseBudget = 8 * time.Second
	noteBudget  = 3 * time.Second
	// noteWait is how long somebody whose time is over still waits for the record of it. They need some of it to be told.
	noteWait = 100 * time.Millisecond
)

// Leaving ends connections: for people in the workspace, for operators, and for an install that is taken back.
type Leaving struct {
	cfg   *Config
	store RowStore
	tasks *sync.WaitGroup
}

// Disconnect uninstalls the app from the workspace of exactly k (apps.uninstall) and erases its access. said is what
// Slack answered: "ok", an error that says the app is gone already, or "" when there was no token left to ask with; in
// these cases the access is erased. With any other answer nothing of ours is changed and err holds it, with
// slackapi.ErrUnclear where Slack may have done it. ErrNotConnected when there is nothing to disconnect, ErrByHand. It
// blocks for one or two calls to Slack. https://docs.slack.dev/reference/methods/apps.uninstall
func (lv *Leaving) Disconnect(ctx context.Context, k connection.Key, by connection.Actor) (said string, err error) {
	if !lv.cfg.Mode.Consents() {
		return "", connection.ErrByHand
	}
	c, err := lv.store.Lookup(ctx, k)
	if errors.Is(err, connection.ErrNotFound) || err == nil && (c.State == connection.Removed || c.Key != k) {
		return "", connection.ErrNotConnected
	}
	if err != nil {
		return "", fmt.Errorf("disconnect: %w", err)
	}
	if c.Token != "" {
		c, err = lv.cfg.Tokens.Good(ctx, c)
	}
	switch {
	case errors.Is(err, connection.ErrNotConnected), c.Token == "":
		// Its access ran out for good, or can't be read: Slack can't be asked.
	case err != nil:
		return "", fmt.Errorf("disconnect: %w", err)
	default:
		said, err = lv.Uninstall(ctx, c)
		if err != nil {
			lv.noteFailure(ctx, c, by, err)
			if slackapi.MaybeDone(err) {
				err = errors.Join(slackapi.ErrUnclear, err)
			}
			return said, fmt.Errorf("disconnect: %w", err)
		}
	}
	// Slack has done its part, so ours no longer depends on who asked staying.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eraseBudget)
	defer cancel()
	consent := c.AuthorizedAt
	_, err = updateRow(ctx, lv.store, c, func(row *connection.Connection) error {
		done := row.State == connection.Removed && row.Reason == connection.ReasonDisconnected
		if done || !row.AuthorizedAt.Equal(consent) {
			return nil // by another of the same moment, or installed again meanwhile
		}
		erase(row, lv.cfg.Now(), by, said)
		return nil
	})
	if err != nil {
		return said, fmt.Errorf("erase access: %w", err)
	}
	lv.cfg.Tokens.Reconciler.ForgetErased(ctx, c.Key)
	lv.cfg.Log.InfoContext(ctx, "disconnected", "connection", c.ID, "key", c.Key.String(),
		"by", string(by.Kind), "slack_said", said)
	return said, nil
}

// erase makes row a removed connection. said is what Slack answered.
func erase(row *connection.Connection, now time.Time, by connection.Actor, said string) {
	row.Erase(connection.Removed, connection.ReasonDisconnected, now)
	row.Note(connection.Change{At: now, By: by,
		What: connection.DidDisconnect, Outcome: connection.OutcomeDone, Reason: said})
}

// Uninstall asks Slack to remove the app, and changes nothing of ours. said is Slack's answer. err is nil when it is
// gone, now or before.
func (lv *Leaving) Uninstall(ctx context.Context, c connection.Connection) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, slackapi.CallTimeout)
	defer cancel()
	form := url.Values{"client_id": {lv.cfg.ClientID}, "client_secret": {lv.cfg.ClientSecret.Reveal()}}
	_, err = lv.cfg.Slack.Post(ctx, "apps.uninstall", c.Token, form, &struct{}{})
	switch code := slackapi.SlackError(err); {
	case err == nil:
		return "ok", nil
	case code == connection.ReasonAccountInactive, code == connection.ReasonTokenRevoked:
		return code, nil
	default:
		return code, err
	}
}

// noteFailure writes into the history that c was not disconnected. It returns when the line is there, so that what is
// done next stands behind it; at ctx's end, or noteWait later than that, the caller has waited enough and the line
// follows, unless c has come to another end meanwhile.
func (lv *Leaving) noteFailure(ctx context.Context, c connection.Connection, by connection.Actor, cause error) {
	failed := connection.Change{At: lv.cfg.Now(), By: by,
		What: connection.DidDisconnect, Outcome: connection.OutcomeFail,
		Reason: cmp.Or(slackapi.SlackError(cause), "no_answer")}
	written := make(chan struct{})
	lv.tasks.Go(func() {
		defer close(written)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteBudget)
		defer cancel()
		if _, err := updateRow(ctx, lv.store, c, func(row *connection.Connection) error {
			if row.State != connection.Removed && row.AuthorizedAt.Equal(c.AuthorizedAt) {
				row.Note(failed)
			}
			return nil
		}); err != nil {
			lv.cfg.Log.WarnContext(ctx, "keep failure to disconnect", "connection", c.ID, "cause", err)
		}
	})

	select {
	case <-written: // within noteBudget
		return
	case <-ctx.Done():
	}
	select {
	case <-written:
	case <-time.After(noteWait):
	}
}

// EraseAnyway erases the access of the connection of exactly k without asking Slack, for an operator who can't: the app
// then stays listed in the workspace until somebody removes it there. ErrNotConnected.
func (lv *Leaving) EraseAnyway(ctx context.Context, k connection.Key, by connection.Actor) error {
	_, err := lv.store.Update(ctx, k, func(row *connection.Connection) error {
		if row.State == connection.Removed {
			return connection.ErrNotConnected
		}
		erase(row, lv.cfg.Now(), by, "slack_not_asked")
		return nil
	})
	if errors.Is(err, connection.ErrNotFound) {
		err = connection.ErrNotConnected
	}
	if err != nil {
		return fmt.Errorf("erase access: %w", err)
	}
	lv.cfg.Tokens.Reconciler.ForgetErased(ctx, k)
	return nil
}
