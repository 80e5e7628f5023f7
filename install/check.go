package install

// Nothing tells us when an app was removed and the word got lost; so every connection is asked about now and then, and every
// ordinary call to Slack counts as an answer too.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// checksAtOnce every checkTick are 240 calls a minute for one replica; auth.test takes hundreds a minute from each
	// workspace, so this bounds our own work rather than Slack's.
	checkTick    = 5 * time.Second
	checksAtOnce = 20
	checkWorkers = 4
	// How long what one call said of a connection is news.
	witnessEvery = time.Minute
	witnessStale = time.Hour
)

// errNothingToDo ends an update of a row that somebody else saw to.
var errNothingToDo = errors.New("nothing to do any more")

// checkDue asks about the connections whose time has come, each by one replica.
func (in *Installer) checkDue(ctx context.Context) error {
	keys, err := in.store.Unchecked(ctx, in.cfg.AppID, in.now(), checksAtOnce)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(checkWorkers)
	for _, k := range keys {
		if ctx.Err() != nil {
			break
		}
		if !in.mode.serves(k) {
			continue
		}
		group.Go(func() error {
			_, err := in.store.Update(ctx, k, func(c *connection.Connection) error {
				now := in.now()
				if c.CheckAt.After(now) && c.CheckAt.Sub(now) <= connection.FurthestCheck {
					return errNothingToDo // another replica was first
				}
				c.CheckAt = now.Add(connection.CheckAgain + rand.N(connection.CheckAgain/10))
				return nil
			})
			switch {
			case err == nil:
				asking, cancel := context.WithTimeout(ctx, oneBudget)
				in.Check(asking, k)
				cancel()
			case errors.Is(err, errNothingToDo), errors.Is(err, connection.ErrNotFound):
			default:
				return fmt.Errorf("claim check: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// witness is the HTTP client of one connection's Web API client. It listens to what Slack says of the token.
type witness struct {
	in *Installer
	c  connection.Connection
}

// Do is http.Client's.
func (w witness) Do(r *http.Request) (*http.Response, error) {
	sent := w.in.now()
	resp, err := w.in.slack.HTTP.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var verdict struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &verdict) == nil && (verdict.OK || verdict.Error != "") {
		w.in.witnessed(w.c, verdict.Error, connection.SplitScopes(resp.Header.Get("X-OAuth-Scopes")), sent)
	}
	if verdict.Error != connection.ReasonAccountInactive && verdict.Error != connection.ReasonTokenRevoked {
		return resp, nil
	}
	// The organisation may have the app by now, with an access that took the place of this one.
	gone := w.c
	gone.Token = ""
	if org, ok := w.in.superseded(r.Context(), gone, w.c.EnterpriseID); ok {
		if next := slackapi.WithArgument(slackapi.WithToken(r, org.Token), "team_id", w.c.TeamID); next != r {
			return witness{w.in, org}.Do(next)
		}
	}
	return resp, nil
}

// aboutToken reports whether an error code of an ordinary call speaks of the token or of the whole workspace. All others say
// that Slack took the token and refused something else.
func aboutToken(code string) bool {
	switch code {
	case connection.ReasonAccountInactive, connection.ReasonTokenRevoked, connection.ReasonTokenExpired, connection.ReasonInvalidAuth,
		"org_login_required", "team_added_to_org", "ekm_access_denied":
		return true
	}
	return false
}

// RecheckScopes has Slack asked what c may do now, because something that happened doesn't fit our records. It does not block, and
// counts once a minute.
func (in *Installer) RecheckScopes(c connection.Connection) {
	if c.Token != "" {
		in.witnessed(c, connection.ReasonMissingScope, nil, in.now())
	}
}

// witnessed takes what a call that was sent at a time said of c's token: a good word is written down, a bad one makes us ask auth.test, which alone
// decides. It does not block; the same word about a connection counts once a minute.
func (in *Installer) witnessed(c connection.Connection, code string, scopes []string, at time.Time) {
	// What the token may do comes along with every answer. Where it did not, it has to be asked for.
	bad := aboutToken(code) || code == connection.ReasonMissingScope && len(scopes) == 0
	changed := len(scopes) > 0 && !slices.Equal(scopes, c.Scopes)
	switch {
	case code != "" && !bad && !slackapi.Decisive(slack.SlackErrorResponse{Err: code}):
		return // Slack's own trouble
	case !bad && (c.State == connection.Active || connection.RenewalTrouble(c.Reason)) && connection.Recent(c.CheckedAt, at, witnessStale) &&
		!changed:
		return // nothing new
	}
	word := c.ID + " " + code
	switch {
	case changed && !bad:
		word = c.ID + " " + strings.Join(scopes, ",")
	case !bad:
		word = c.ID
	}
	in.mu.Lock()
	if len(in.lastWitnessed) > 100_000 {
		clear(in.lastWitnessed) // costs one more write for each connection
	}
	known := connection.Recent(in.lastWitnessed[word], at, witnessEvery)
	if !known {
		in.lastWitnessed[word] = at
	}
	in.mu.Unlock()
	if known {
		return
	}
	in.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*slackapi.CallTimeout)
		defer cancel()
		if bad {
			in.Check(ctx, c.Key)
			return
		}
		var was []string
		now, err := in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			if row.Token != c.Token || row.State == connection.Removed || row.State == connection.Paused {
				return errNothingToDo
			}
			state, reason := row.State, row.Reason
			was = row.Scopes
			row.Works(scopes, at)
			in.allowed(row, at)
			row.NoteState(state, reason, at)
			return nil
		})
		if err == nil {
			in.permissionsChanged(ctx, was, now)
		} else if !errors.Is(err, errNothingToDo) {
			in.log.WarnContext(ctx, "keep what a call said", "connection", c.ID, "cause", err)
		}
	})
}

// permissionsChanged logs that a connection may do more or less than before. Whoever wrote the change calls it, so that it is
// logged once, whatever the number of processes.
func (in *Installer) permissionsChanged(ctx context.Context, was []string, c connection.Connection) {
	if slices.Equal(was, c.Scopes) {
		return
	}
	in.log.InfoContext(ctx, "permissions changed", "connection", c.ID, "allowed", connection.Difference(c.Scopes, was), "no_longer", connection.Difference(was, c.Scopes),
		"state", string(in.Assess(c, nil).State))
}
