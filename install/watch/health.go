package watch

// Whether a connection works is decided here and nowhere else: the Slack reply, the App Home, the command line and the
// pages all show what Assess returns, so they cannot disagree.

import (
	"errors"
	"slices"
	"strings"
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
		scopes[i] = connection.Scope{Name: name, Label: a.cfg.Words.Say("connections.unnamed_scope", "permission", name)}
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
	h.State, h.Reason = c.Shown(a.cfg.Scopes)
	h.LastKnown, h.CheckedAt = c.State, c.CheckedAt
	if connection.Recent(c.EventsHeldAt, a.cfg.Now(), heldLasts) {
		h.HeldSince, h.HeldAt = c.EventsHeldSince, c.EventsHeldAt
	}
	h.Missing = c.Missing(a.cfg.Scopes)
	h.Live = e.asked && (e.slackErr == nil || slackapi.Decisive(e.slackErr))

	if e.asked && !h.Live {
		h.State, h.Reason = connection.Unknown, connection.ReasonSlackSilent
	}
	h.Lacking = h.State == connection.Limited && len(c.Missing(connection.Required(a.cfg.Scopes))) > 0

	h.Since = c.Since(h.State, h.Lacking, a.cfg.Scopes)
	lives := c.Token != "" && !c.Ended(a.cfg.Now())
	if lives && h.State == connection.ReconnectRequired && c.Reason == connection.ReasonRefreshRejected {
		h.WorksUntil = c.ExpiresAt
	}
}

// words fills in what people read for h.State and h.Reason.
func (a *Assessor) words(h Health) Health {
	said := a.cfg.Words
	h.ReasonText = connection.ReasonText(said, h.Reason)
	label, means, next := h.outcome()
	h.Label = said.Say("connections.state." + label)

	var sentences []string
	if h.State == connection.Limited {
		sentences = append(sentences, h.Connection.Without(said, "", h.Missing))
		h.ReasonText = "" // that is more exact
	}
	if means != "" {
		sentences = append(sentences, said.Say("connections.means."+means))
	}
	h.Sentence = strings.Join(sentences, " ")

	if next != "" && !a.cfg.Mode.Consents() && h.State != connection.Paused {
		next = "by_hand" // without OAuth nobody in the workspace can fix it: the token is the operator's setting
	}
	if next != "" {
		h.NextStep = said.Say("connections.next." + next)
	}
	return h
}

// outcome is which of the words are for h: its label, what it means, and who can do what. "" says nothing.
func (h *Health) outcome() (label, means, next string) {
	label = string(h.State)
	everywhere := ""
	if h.Found && h.Connection.Org() {
		everywhere = "_everywhere"
	}

	switch h.State {
	case connection.Active:
		switch {
		case !h.HeldAt.IsZero():
			return label, "events_held", ""
		case h.Live: // what nobody has asked Slack yet is no reason to do nothing
			return label, "checked", ""
		}
		return label, "", ""
	case connection.Limited:
		switch {
		case h.Lacking:
			return "lacking", "", "allow" + everywhere
		case h.Live:
			return label, "rest_works", "allow_rest" + everywhere
		}
		return label, "", "allow_rest" + everywhere
	case connection.ReconnectRequired:
		if !h.WorksUntil.IsZero() {
			return label, "still_works", "reconnect" + everywhere
		}
		return label, label, "reconnect" + everywhere
	case connection.Removed:
		return label, label + everywhere, "install" + everywhere
	case connection.Paused:
		return label, label, "resume"
	case connection.NotConnected:
		if h.Reason == connection.ReasonNotAdded {
			return "not_added", "not_added", "add"
		}
		return label, label, "connect"
	}
	return label, label, "" // Retrying, Unknown
}
