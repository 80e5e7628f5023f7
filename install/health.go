package install

// Whether a connection works is decided here and nowhere else: the Slack reply, the App Home, the command line and the
// pages all show what Assess returns, so they cannot disagree.

import (
	"context"
	"errors"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Health is the answer to "is it working?", ready to be shown.
type Health struct {
	State      connection.State // what to show; Unknown when we could not find out
	LastKnown  connection.State // the state in our records, "" without a row
	Label      string           // the state in words: "Working"
	Sentence   string           // what it means, without the app's name, to go behind label and time; "" when they say all that is known
	Reason     string           // reason code, "" when all is well
	ReasonText string           // the reason in words
	NextStep   string           // who can do what; "" when nothing is needed
	Since      time.Time        // when State began; zero: nobody saw it begin
	WorksUntil time.Time        // it needs reconnecting and works until then anyway; zero: it doesn't
	CheckedAt  time.Time        // last time Slack confirmed the token
	Live       bool             // Slack was asked just now, and answered
	HeldSince  time.Time        // Slack holds back events of this workspace since then, as of HeldAt; zero: it doesn't
	HeldAt     time.Time
	Missing    []connection.Scope // needed and not granted; Connection.Without says what the app can't do for want of them
	Lacking    bool               // State is Limited, for want of a permission that the app can't do without
	Needed     int                // how many permissions the app needs
	GrantURL   string             // the page that fixes it: install, reconnect or allow more; "" in single-workspace mode
	Connection connection.Connection
	Workspace  string // of an organisation's connection: the name of the workspace asked about, when Slack said it was added there
	Found      bool   // there is a row, and it could be read
}

// Broken reports whether a person has to act before the app works again.
func (h Health) Broken() bool {
	switch h.State {
	case connection.ReconnectRequired, connection.Removed, connection.NotConnected:
		return true
	}
	return h.Lacking
}

// evidence is what was learned while asking, besides the row itself.
type evidence struct {
	recordsErr error // our database did not answer
	asked      bool  // auth.test was called
	slackErr   error // and this came back
}

// assess decides what a connection's state is and says it in words. found tells whether there is a row at all.
func (in *Installer) assess(c connection.Connection, found bool, e evidence) Health {
	h := Health{Connection: c, Found: found, Needed: len(in.cfg.Scopes)}
	if in.mode.consents() {
		h.GrantURL = in.links.GrantURL(c)
	}
	// Nobody who is shown a state has use for a secret.
	h.Connection.Token, h.Connection.RefreshToken, h.Connection.Webhook.URL = "", "", ""
	if e.recordsErr != nil && !errors.Is(e.recordsErr, connection.ErrNotFound) {
		h.State, h.Reason = connection.Unknown, connection.ReasonRecordsSilent
		return in.words(h)
	}
	if !found {
		h.State = connection.NotConnected
		return in.words(h)
	}
	h.State, h.LastKnown = c.State, c.State
	h.Reason, h.CheckedAt = c.Reason, c.CheckedAt
	if connection.Recent(c.EventsHeldAt, in.now(), heldLasts) {
		h.HeldSince, h.HeldAt = c.EventsHeldSince, c.EventsHeldAt
	}
	h.Missing = c.Missing(in.cfg.Scopes)
	h.Live = e.asked && (e.slackErr == nil || slackapi.Decisive(e.slackErr))
	switch lacking := len(c.Missing(connection.Required(in.cfg.Scopes))) > 0; {
	case e.asked && !h.Live:
		h.State, h.Reason = connection.Unknown, connection.ReasonSlackSilent
	case c.State == connection.Active && lacking:
		h.State, h.Reason, h.Lacking = connection.Limited, connection.ReasonMissingScope, true
	case c.State == connection.Active && len(h.Missing) > 0:
		h.State, h.Reason = connection.Limited, connection.ReasonMissingScope
	}
	h.Since = c.Since(h.State, h.Lacking, in.cfg.Scopes)
	if h.State == connection.ReconnectRequired && c.Token != "" && c.Reason == connection.ReasonRefreshRejected && !c.Ended(in.now()) {
		h.WorksUntil = c.ExpiresAt
	}
	return in.words(h)
}

// words fills in what people read for h.State and h.Reason.
func (in *Installer) words(h Health) Health {
	h.ReasonText = connection.ReasonText(h.Reason)
	admin := h.Connection.Admin()
	switch h.State {
	case connection.Active:
		h.Label = "Working"
		switch {
		case !h.HeldAt.IsZero():
			h.Sentence = "Its access works, but not everything reaches it right now."
		case h.Live: // what nobody has asked Slack yet is no reason to do nothing
			h.Sentence = "Nothing to do."
		}
	case connection.Limited:
		h.Label, h.Sentence = "Working, some features off", h.Connection.Without("It", h.Missing)
		h.NextStep = "The person who installed it or " + admin + " can allow the rest."
		h.ReasonText = "" // the sentence is more exact
		switch {
		case h.Lacking:
			h.Label = "Not working, a permission is missing"
			h.NextStep = "The person who installed it or " + admin + " can allow what's missing."
		case h.Live:
			h.Sentence += " Everything else works."
		}
	case connection.Retrying:
		h.Label = "Having trouble, retrying"
		h.Sentence = "Something went wrong that can pass by itself. It's tried again automatically. Nothing to do yet."
	case connection.ReconnectRequired:
		h.Label, h.Sentence = "Needs reconnecting", "It doesn't work until somebody reconnects it. That takes about a minute."
		h.NextStep = "The person who installed it or " + admin + " can reconnect it."
		if !h.WorksUntil.IsZero() {
			h.Sentence = "It still works, but not for long. Reconnecting takes about a minute."
		}
	case connection.Removed:
		h.Label, h.Sentence = "Removed from Slack", "It was removed from this workspace. Installing it again brings it back."
		h.NextStep = "A member who can add apps, or a workspace admin, can install it again."
		if h.Connection.Org() {
			h.Sentence = "It was removed from the whole organisation. Installing it again brings it back."
			h.NextStep = "An admin of the organisation can install it again."
		}
	case connection.Paused:
		h.Label, h.Sentence = "Paused by the people who run the app", "It does nothing in this workspace until they resume it."
		h.NextStep = "The people who run the app can resume it."
	case connection.NotConnected:
		h.Label, h.Sentence = "Not connected", "It isn't connected to this workspace."
		h.NextStep = "A member who can add apps, or a workspace admin, can connect it."
		if h.Reason == connection.ReasonNotAdded {
			h.Label, h.Sentence = "Not added to this workspace", "Your organisation has it. This workspace doesn't."
			h.NextStep = "An admin of the organisation can add it to this workspace."
		}
	case connection.Unknown:
		h.Label = "Couldn't check"
		h.Sentence = "We couldn't find out whether it works. Try again in a few minutes."
	}
	if !in.mode.consents() && h.NextStep != "" && h.State != connection.Paused {
		// Without OAuth nobody in the workspace can fix it: the token is the operator's setting.
		h.NextStep = "The people who run the app set its access by hand. They can fix it."
	}
	return h
}

// Assess returns the state from our records alone: from what a look-up, Open's or the store's, returned.
func (in *Installer) Assess(c connection.Connection, err error) Health {
	if errors.Is(err, connection.ErrNotConnected) || errors.Is(err, connection.ErrRenewing) {
		err = nil // what can't be used is still one to show; a missing one has no id
	}
	return in.assess(c, err == nil && c.ID != "", evidence{recordsErr: err})
}

// Check asks Slack whether the connection for k works, keeps what was learned, and returns the state. A token that ran out is
// renewed first. It never fails: what could not be found out is in the answer. It blocks for four calls to Slack at most, nearly
// always for one.
func (in *Installer) Check(ctx context.Context, k connection.Key) Health {
	c, err := in.store.Lookup(ctx, k)
	if err != nil || c.Token == "" {
		return in.assess(c, err == nil, evidence{recordsErr: err})
	}
	if fresh, err := in.tokens.Good(ctx, c); err == nil {
		c = fresh
	}
	sent := in.now()
	id, slackErr := in.slack.Identify(ctx, c.Token)
	if slackapi.SlackError(slackErr) == connection.ReasonTokenExpired && c.RefreshToken != "" && !c.BacksOff(in.now()) {
		// Before its time by our clock: Slack's counts.
		if err := in.tokens.RenewRefused(ctx, connection.TokenOwner{Key: c.Key}, c.Token); err == nil {
			if fresh, err := in.store.Lookup(ctx, c.Key); err == nil && fresh.Token != "" {
				c, sent = fresh, in.now()
				id, slackErr = in.slack.Identify(ctx, c.Token)
			}
		}
	}
	in.metrics.checks.WithLabelValues(result(slackErr)).Inc()
	if slackErr != nil {
		in.log.InfoContext(ctx, "connection check failed", "connection", c.ID, "slack_error", slackapi.SlackError(slackErr), "cause", slackapi.Cause(slackErr))
	}
	if slackErr == nil || slackapi.Decisive(slackErr) {
		asked := c.Token
		var was []string
		updated, err := in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			if was = row.Scopes; row.Token == asked { // else Slack's answer is about a token that has been replaced meanwhile
				row.Judge(id, slackapi.SlackError(slackErr), sent)
				in.allowed(row, sent)
			}
			return nil
		})
		if err == nil {
			in.permissionsChanged(ctx, was, updated)
			if c = updated; c.State == connection.Removed {
				in.tokens.Reconciler.ForgetErased(ctx, c.Key)
			} else if slackErr == nil {
				c = in.moved(ctx, c, id)
			}
		} else {
			// The answer is still worth showing; the next check will store it.
			in.log.WarnContext(ctx, "keep result of check", "connection", c.ID, "cause", err)
			c.Judge(id, slackapi.SlackError(slackErr), sent)
		}
	}
	return in.assess(c, true, evidence{asked: true, slackErr: slackErr})
}
