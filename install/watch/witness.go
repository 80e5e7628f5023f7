package watch

// Every ordinary call to Slack says how its connection is, too.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// How long what one call said of a connection is news.
	witnessEvery = time.Minute
	witnessStale = time.Hour
)

// witness is the HTTP client of one connection's Web API client. It listens to what Slack says of the token.
type witness struct {
	cs *Connections
	c  connection.Connection
}

// Do is http.Client's.
func (w witness) Do(r *http.Request) (*http.Response, error) {
	sent := w.cs.cfg.Now()
	resp, err := w.cs.cfg.Slack.HTTP.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK ||
		!strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))

	var answer struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil && (answer.OK || answer.Error != "") {
		w.cs.witnessed(w.c, answer.Error, connection.SplitScopes(resp.Header.Get("X-OAuth-Scopes")), sent)
	}
	if answer.Error != connection.ReasonAccountInactive && answer.Error != connection.ReasonTokenRevoked {
		return resp, nil
	}

	// The organisation may have the app by now, with an access that took the place of this one.
	gone := w.c
	gone.Token = ""
	if org, ok := w.cs.superseded(r.Context(), gone, w.c.EnterpriseID); ok {
		if next := slackapi.WithArgument(slackapi.WithToken(r, org.Token), "team_id", w.c.TeamID); next != r {
			return witness{w.cs, org}.Do(next)
		}
	}
	return resp, nil
}

// aboutToken reports whether an error code of an ordinary call speaks of the token or of the whole workspace. All
// others say that Slack took the token and refused something else.
func aboutToken(code string) bool {
	switch code {
	case connection.ReasonAccountInactive, connection.ReasonTokenRevoked, connection.ReasonTokenExpired,
		connection.ReasonInvalidAuth, "org_login_required", "team_added_to_org", "ekm_access_denied":
		return true
	}
	return false
}

// RecheckScopes has Slack asked what c may do now, because something that happened doesn't fit our records. It does not
// block, and counts once a minute.
func (cs *Connections) RecheckScopes(c connection.Connection) {
	if c.Token != "" {
		cs.witnessed(c, connection.ReasonMissingScope, nil, cs.cfg.Now())
	}
}

// witnessed takes what a call that was sent at a time said of c's token: a good word is written down, a bad one makes
// us ask auth.test, which alone decides. It does not block; the same word about a connection counts once a minute.
func (cs *Connections) witnessed(c connection.Connection, code string, scopes []string, at time.Time) {
	// What the token may do comes along with every answer. Where it did not, it has to be asked for.
	bad := aboutToken(code) || code == connection.ReasonMissingScope && len(scopes) == 0
	changed := len(scopes) > 0 && !slices.Equal(scopes, c.Scopes)
	word := c.ID
	switch {
	case bad:
		word += " " + code
	case code != "" && !slackapi.Decisive(slack.SlackErrorResponse{Err: code}):
		return // Slack's own trouble
	case changed:
		word += " " + strings.Join(scopes, ",")
	case (c.State == connection.Active || connection.RenewalTrouble(c.Reason)) &&
		connection.Recent(c.CheckedAt, at, witnessStale):
		return // nothing new
	}
	if !cs.isNews(word, at, witnessEvery) {
		return
	}

	cs.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*slackapi.CallTimeout)
		defer cancel()
		if bad {
			cs.Check(ctx, c.Key)
		} else {
			cs.keepWord(ctx, c, scopes, at)
		}
	})
}

// isNews reports whether a word about a connection was not heard within a time, and remembers that it is now.
func (cs *Connections) isNews(word string, at time.Time, within time.Duration) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if len(cs.lastWitnessed) > 100_000 {
		clear(cs.lastWitnessed) // costs one more write for each connection
	}
	if connection.Recent(cs.lastWitnessed[word], at, within) {
		return false
	}
	cs.lastWitnessed[word] = at
	return true
}

// keepWord writes down that Slack took c's token at a time, and what it may do.
func (cs *Connections) keepWord(ctx context.Context, c connection.Connection, scopes []string, at time.Time) {
	var was []string
	now, err := updateRow(ctx, cs.store, c, func(row *connection.Connection) error {
		if row.Token != c.Token || row.State == connection.Removed || row.State == connection.Paused {
			return errNothingToDo
		}
		state, reason := row.State, row.Reason
		was = row.Scopes
		row.Works(scopes, at)
		cs.allowed(row, at)
		row.NoteState(state, reason, at)
		return nil
	})
	if err == nil {
		cs.permissionsChanged(ctx, was, now)
	} else if !errors.Is(err, errNothingToDo) {
		cs.cfg.Log.WarnContext(ctx, "keep what a call said", "connection", c.ID, "cause", err)
	}
}

// permissionsChanged logs that a connection may do more or less than before. Whoever wrote the change calls it, so that
// it is logged once, whatever the number of processes.
func (cs *Connections) permissionsChanged(ctx context.Context, was []string, c connection.Connection) {
	if slices.Equal(was, c.Scopes) {
		return
	}
	cs.cfg.Log.InfoContext(ctx, "permissions changed", "connection", c.ID, "allowed", connection.Difference(c.Scopes, was),
		"no_longer", connection.Difference(was, c.Scopes), "state", string(cs.Assess(c, nil).State))
}
