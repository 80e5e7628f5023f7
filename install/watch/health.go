package watch

// Whether a connection works is decided here and nowhere else: the Slack reply, the App Home, the command line and the
// pages all show what Assess returns, so they cannot disagree.

import (
	"errors"
	"slices"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Health is the answer to "is it working?", ready to be shown.
type Health struct {
	State      connection.State // what to show; Unknown when we could not find out
	LastKnown  connection.State // the state in our records, "" without a row
	Label      string           // the state in words: "Working"
	Sentence   string           // what it means, without the app's name, to go behind label and time; "" for nothing more
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
	Workspace  string // of an organisation's connection: the workspace asked about, when Slack said it was added there
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

// Assessor says what state a connection is in, and in which words, from what is known of it. It asks nobody.
type Assessor struct{ cfg *Config }

// Assess returns the state from our records alone: from what a look-up, Open's or the store's, returned.
func (a *Assessor) Assess(c connection.Connection, err error) Health {
	if errors.Is(err, connection.ErrNotConnected) || errors.Is(err, connection.ErrRenewing) {
		err = nil // what can't be used is still one to show; a missing one has no id
	}
	return a.assess(c, err == nil && c.ID != "", evidence{recordsErr: err})
}

// Describe returns the catalogue's words for permissions of the bot. One that is not in it goes by its name.
func (a *Assessor) Describe(names []string) []connection.Scope {
	scopes := make([]connection.Scope, len(names))
	for i, name := range names {
		scopes[i] = connection.Scope{Name: name, Label: "use " + name}
		if at := slices.IndexFunc(a.cfg.Scopes, func(s connection.Scope) bool { return s.Name == name }); at >= 0 {
			scopes[i] = a.cfg.Scopes[at]
		}
	}
	return scopes
}

// GrantPage is the page where c is reconnected or allowed more, or "" in single-workspace mode, where nobody can be
// asked for consent.
func (a *Assessor) GrantPage(c connection.Connection, w links.GrantRequest) string {
	if !a.cfg.Mode.Consents() {
		return ""
	}
	return a.cfg.Links.Grant(c, w)
}

// evidence is what was learned while asking, besides the row itself.
type evidence struct {
	recordsErr error // our database did not answer
	asked      bool  // auth.test was called
	slackErr   error // and this came back
}

// assess decides what a connection's state is and says it in words. found tells whether there is a row at all.
func (a *Assessor) assess(c connection.Connection, found bool, e evidence) Health {
	h := Health{Connection: c, Found: found, Needed: len(a.cfg.Scopes), GrantURL: a.GrantPage(c, links.GrantRequest{})}
	// Nobody who is shown a state has use for a secret.
	h.Connection.Token, h.Connection.RefreshToken, h.Connection.Webhook.URL = "", "", ""

	switch {
	case e.recordsErr != nil && !errors.Is(e.recordsErr, connection.ErrNotFound):
		h.State, h.Reason = connection.Unknown, connection.ReasonRecordsSilent
	case !found:
		h.State = connection.NotConnected
	default:
		a.judge(&h, c, e)
	}
	return a.words(h)
}

// judge decides the state of a connection that was found.
func (a *Assessor) judge(h *Health, c connection.Connection, e evidence) {
	h.State, h.LastKnown = c.State, c.State
	h.Reason, h.CheckedAt = c.Reason, c.CheckedAt
	if connection.Recent(c.EventsHeldAt, a.cfg.Now(), heldLasts) {
		h.HeldSince, h.HeldAt = c.EventsHeldSince, c.EventsHeldAt
	}
	h.Missing = c.Missing(a.cfg.Scopes)
	h.Live = e.asked && (e.slackErr == nil || slackapi.Decisive(e.slackErr))

	switch lacking := len(c.Missing(connection.Required(a.cfg.Scopes))) > 0; {
	case e.asked && !h.Live:
		h.State, h.Reason = connection.Unknown, connection.ReasonSlackSilent
	case c.State == connection.Active && lacking:
		h.State, h.Reason, h.Lacking = connection.Limited, connection.ReasonMissingScope, true
	case c.State == connection.Active && len(h.Missing) > 0:
		h.State, h.Reason = connection.Limited, connection.ReasonMissingScope
	}

	h.Since = c.Since(h.State, h.Lacking, a.cfg.Scopes)
	lives := c.Token != "" && !c.Ended(a.cfg.Now())
	if lives && h.State == connection.ReconnectRequired && c.Reason == connection.ReasonRefreshRejected {
		h.WorksUntil = c.ExpiresAt
	}
}

// words fills in what people read for h.State and h.Reason.
func (a *Assessor) words(h Health) Health {
	h.ReasonText = connection.ReasonText(h.Reason)
	switch h.State {
	case connection.Active:
		h.sayWorking()
	case connection.Limited:
		h.sayLimited()
	case connection.Retrying:
		h.Label = "Having trouble, retrying"
		h.Sentence = "Something went wrong that can pass by itself. It's tried again automatically. Nothing to do yet."
	case connection.ReconnectRequired:
		h.Label, h.Sentence = "Needs reconnecting", "It doesn't work until somebody reconnects it. That takes about a minute."
		h.NextStep = "The person who installed it or " + h.Connection.Admin() + " can reconnect it."
		if !h.WorksUntil.IsZero() {
			h.Sentence = "It still works, but not for long. Reconnecting takes about a minute."
		}
	case connection.Removed:
		h.sayRemoved()
	case connection.Paused:
		h.Label = "Paused by the people who run the app"
		h.Sentence = "It does nothing in this workspace until they resume it."
		h.NextStep = "The people who run the app can resume it."
	case connection.NotConnected:
		h.sayNotConnected()
	case connection.Unknown:
		h.Label = "Couldn't check"
		h.Sentence = "We couldn't find out whether it works. Try again in a few minutes."
	}

	if !a.cfg.Mode.Consents() && h.NextStep != "" && h.State != connection.Paused {
		// Without OAuth nobody in the workspace can fix it: the token is the operator's setting.
		h.NextStep = "The people who run the app set its access by hand. They can fix it."
	}
	return h
}

func (h *Health) sayWorking() {
	h.Label = "Working"
	switch {
	case !h.HeldAt.IsZero():
		h.Sentence = "Its access works, but not everything reaches it right now."
	case h.Live: // what nobody has asked Slack yet is no reason to do nothing
		h.Sentence = "Nothing to do."
	}
}

func (h *Health) sayLimited() {
	h.Label, h.Sentence = "Working, some features off", h.Connection.Without("It", h.Missing)
	h.NextStep = "The person who installed it or " + h.Connection.Admin() + " can allow the rest."
	h.ReasonText = "" // the sentence is more exact
	switch {
	case h.Lacking:
		h.Label = "Not working, a permission is missing"
		h.NextStep = "The person who installed it or " + h.Connection.Admin() + " can allow what's missing."
	case h.Live:
		h.Sentence += " Everything else works."
	}
}

func (h *Health) sayRemoved() {
	h.Label, h.Sentence = "Removed from Slack", "It was removed from this workspace. Installing it again brings it back."
	h.NextStep = "A member who can add apps, or a workspace admin, can install it again."
	if h.Connection.Org() {
		h.Sentence = "It was removed from the whole organisation. Installing it again brings it back."
		h.NextStep = "An admin of the organisation can install it again."
	}
}

func (h *Health) sayNotConnected() {
	h.Label, h.Sentence = "Not connected", "It isn't connected to this workspace."
	h.NextStep = "A member who can add apps, or a workspace admin, can connect it."
	if h.Reason == connection.ReasonNotAdded {
		h.Label, h.Sentence = "Not added to this workspace", "Your organisation has it. This workspace doesn't."
		h.NextStep = "An admin of the organisation can add it to this workspace."
	}
}
