package install

// What is different in an organisation of workspaces (Enterprise Grid): one access for all of them, which stands beside older ones
// of single workspaces; workspaces that are added to it and taken away; and workspaces that join an organisation and keep their
// access. https://docs.slack.dev/enterprise/developing-for-enterprise-orgs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (

	// How long it is remembered which workspaces an organisation's app was added to; Slack tells of changes by events.
	workspacesKept = 10 * time.Minute
	workspacePages = 20 // of 200
	// How often a payload that names another organisation than our record makes us ask Slack about it.
	movedEvery = 10 * time.Minute
)

// Workspace is one that an organisation's app was added to.
type Workspace struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// workspaces is what auth.teams.list said of a connection at a time.
type workspaces struct {
	at   time.Time
	list []Workspace
}

// Workspaces returns the workspaces that c's app was added to, all pages, as Slack said them in the last ten minutes: none for an
// organisation whose admins have added it nowhere. It blocks for the calls. https://docs.slack.dev/reference/methods/auth.teams.list
func (in *Installer) Workspaces(ctx context.Context, c connection.Connection) ([]Workspace, error) {
	in.mu.Lock()
	known, ok := in.teams[c.ID]
	in.mu.Unlock()
	if ok && connection.Recent(known.at, in.now(), workspacesKept) {
		return known.list, nil
	}
	return in.askWorkspaces(ctx, c)
}

func (in *Installer) askWorkspaces(ctx context.Context, c connection.Connection) ([]Workspace, error) {
	ctx, cancel := context.WithTimeout(ctx, slackapi.CallTimeout)
	defer cancel()
	list, cursor := []Workspace{}, ""
	for range workspacePages {
		var answer struct {
			Teams []Workspace `json:"teams"`
			Next  struct {
				Cursor string `json:"next_cursor"`
			} `json:"response_metadata"`
		}
		form := url.Values{"limit": {"200"}}
		if cursor != "" {
			form.Set("cursor", cursor)
		}
		if _, err := in.slack.Post(ctx, "auth.teams.list", c.Token, form, &answer); err != nil {
			return nil, fmt.Errorf("list workspaces: %w", err)
		}
		list = append(list, answer.Teams...)
		if cursor = answer.Next.Cursor; cursor == "" {
			break
		}
	}
	if cursor != "" { // a part of them would make the others look as if they had no app
		return nil, errors.New("list workspaces: there is no end of pages")
	}
	in.mu.Lock()
	if len(in.teams) > 10_000 {
		clear(in.teams) // costs one more call for each organisation
	}
	in.teams[c.ID] = workspaces{in.now(), list}
	in.mu.Unlock()
	return list, nil
}

// HandleTeamAccess handles Slack's word that an organisation's app was added to workspaces (team_access_granted), or taken from them
// (team_access_revoked), at a time by Slack's clock. The organisation's connection stays as it is either way: the history tells of it,
// and messages from a workspace that it was taken from are erased.
func (in *Installer) HandleTeamAccess(ctx context.Context, k connection.Key, added bool, teamIDs []string, at time.Time) error {
	c, err := in.store.Lookup(ctx, connection.Key{AppID: k.AppID, EnterpriseID: k.EnterpriseID})
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("handle workspaces: %w", err)
	}
	in.mu.Lock()
	delete(in.teams, c.ID)
	in.mu.Unlock()
	line := connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidWorkspaces, Outcome: connection.OutcomeAdded}
	if !added {
		line.Outcome = connection.OutcomeLeft
	}
	const named = 20 // in one line
	line.Reason = strings.Join(teamIDs[:min(len(teamIDs), named)], " ")
	_, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
		row.Note(line)
		if !added {
			row.Left, row.LeftAt = teamIDs, at
		}
		return nil
	})
	if err != nil && !errors.Is(err, connection.ErrNotFound) {
		return fmt.Errorf("handle workspaces: %w", err)
	}
	return nil
}

// HandleChannelChanged handles Slack's word (channel_id_changed) that a channel has another id from now on.
func (in *Installer) HandleChannelChanged(ctx context.Context, k connection.Key, from, to string) error {
	if from == "" || to == "" {
		return nil
	}
	c, err := in.store.Lookup(ctx, k)
	if err == nil && c.Webhook.ChannelID != from && c.Notice.Channel != from {
		return nil
	}
	if err == nil {
		_, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			if row.Webhook.ChannelID == from {
				row.Webhook.ChannelID = to
			}
			if row.Notice.Channel == from {
				row.Notice.Channel = to
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, connection.ErrNotFound) {
		return fmt.Errorf("handle changed channel: %w", err)
	}
	return nil
}

// HandleMigrationStarted handles Slack's word (grid_migration_started) that a workspace is being moved into an organisation.
func (in *Installer) HandleMigrationStarted(ctx context.Context, k connection.Key) error {
	c, err := in.store.Lookup(ctx, k)
	if err == nil && c.TeamID == k.TeamID {
		_, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			row.Note(connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidMove, Outcome: connection.OutcomeBegun})
			return nil
		})
	}
	if err != nil && !errors.Is(err, connection.ErrNotFound) {
		return fmt.Errorf("handle begin of move: %w", err)
	}
	return nil
}

// HandleMigrationFinished handles Slack's word (grid_migration_finished) that a workspace belongs to an organisation now: its token is asked which
// one that is. An error means that Slack has not said it yet and is to be asked again; it blocks for one or two calls.
func (in *Installer) HandleMigrationFinished(ctx context.Context, k connection.Key) error {
	c, err := in.store.Lookup(ctx, k)
	switch {
	case errors.Is(err, connection.ErrNotFound), err == nil && (c.TeamID != k.TeamID || c.Token == ""):
		return nil
	case err != nil:
		return fmt.Errorf("handle end of move: %w", err)
	}
	if h := in.Check(ctx, c.Key); h.State == connection.Unknown || Moving(h.Reason) {
		return fmt.Errorf("handle end of move: slack said %s", h.Reason)
	}
	return nil
}

// Moving reports whether Slack refuses calls because a workspace is being moved into an organisation. That passes by itself, and
// takes minutes to hours. https://docs.slack.dev/enterprise/developing-for-enterprise-orgs
func Moving(code string) bool { return code == "org_login_required" || code == "team_added_to_org" }

// superseded returns the organisation's connection if it is the one to use where c is not: the organisation-wide install took the
// place of what the workspace had before. A pause, of either, is the operator's word and goes for the workspace all the same.
func (in *Installer) superseded(ctx context.Context, c connection.Connection, enterpriseID string) (connection.Connection, bool) {
	if enterpriseID == "" || c.Org() && c.ID != "" || c.Usable() || c.State == connection.Paused || !in.mode.consents() {
		return connection.Connection{}, false
	}
	org, err := in.store.Lookup(ctx, connection.Key{AppID: c.AppID, EnterpriseID: enterpriseID})
	return org, err == nil && org.Usable() && org.State != connection.Paused
}

// maybeMoved asks Slack, in the background and now and then, about a connection that was found for a key with another organisation
// than ours has: a workspace that joined one.
func (in *Installer) maybeMoved(c connection.Connection, k connection.Key) {
	if k.EnterpriseID == "" || c.Org() || c.EnterpriseID == k.EnterpriseID || c.TeamID != k.TeamID || c.Token == "" || !in.mode.consents() {
		return
	}
	word := c.ID + " moved"
	in.mu.Lock()
	now := in.now()
	last, asked := in.lastWitnessed[word]
	due := !asked || now.Sub(last) >= movedEvery
	if due {
		in.lastWitnessed[word] = now
	}
	in.mu.Unlock()
	if !due {
		return
	}
	in.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), oneBudget)
		defer cancel()
		in.Check(ctx, c.Key)
	})
}

// moved gives c the key that Slack's own word about its token (auth.test) makes it have. Nothing but that word moves a connection:
// a payload can only make us ask. It returns c as it now is. When there is a connection for the new key already, nothing is moved.
func (in *Installer) moved(ctx context.Context, c connection.Connection, id connection.Identity) connection.Connection {
	if c.Org() || id.IsEnterpriseInstall || id.TeamID != c.TeamID || id.EnterpriseID == "" || id.EnterpriseID == c.EnterpriseID || !in.mode.consents() {
		return c
	}
	to := c.Key
	to.EnterpriseID = id.EnterpriseID
	line := connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidMove, Outcome: connection.OutcomeDone, Reason: id.EnterpriseID}
	now, err := in.store.Rekey(ctx, c.Key, to, c.Token, line)
	switch {
	case err == nil:
		in.log.InfoContext(ctx, "a workspace joined an organisation", "connection", c.ID, "was", c.Key.String(), "key", now.Key.String())
		return now
	case errors.Is(err, connection.ErrExists), errors.Is(err, connection.ErrNotFound): // of an own consent since, or another replica was first
		in.log.DebugContext(ctx, "connection not moved", "connection", c.ID, "cause", err)
	default:
		in.log.WarnContext(ctx, "move connection to its organisation", "connection", c.ID, "cause", err) // the next check tries again
	}
	return c
}

// notAdded is h for a workspace of the organisation that the app was not added to.
func (in *Installer) notAdded(h Health) Health {
	h.State, h.Reason, h.Since = connection.NotConnected, connection.ReasonNotAdded, time.Time{}
	h.GrantURL = in.AddToWorkspacesURL(h.Connection.Key)
	return in.words(h)
}

// AddToWorkspacesURL is the page of Slack's on which an admin of the organisation adds its app to workspaces.
// https://docs.slack.dev/enterprise/organization-ready-apps
func (in *Installer) AddToWorkspacesURL(k connection.Key) string {
	return in.slack.ClientURL() + "/manage/" + url.PathEscape(k.EnterpriseID) + "/integrations/profile/" + url.PathEscape(k.AppID) + "/workspaces/add"
}

// addedTo is h for a workspace of the organisation, by the list of those that the app was added to.
func (in *Installer) addedTo(h Health, teamID string, list []Workspace) Health {
	at := slices.IndexFunc(list, func(w Workspace) bool { return w.ID == teamID })
	if at < 0 {
		return in.notAdded(h)
	}
	h.Workspace = list[at].Name
	return h
}

// CheckIn is Check for one workspace: an organisation's connection can work and the workspace not have the app yet. Then the state
// is NotConnected, the reason ReasonNotAdded, and GrantURL is where an admin of the organisation adds it. It blocks for one or two
// calls more.
func (in *Installer) CheckIn(ctx context.Context, k connection.Key, teamID string) Health {
	h := in.Check(ctx, k)
	if h.Broken() && !h.Lacking {
		// What is shown holds no token, so it counts as not usable.
		if org, ok := in.superseded(ctx, h.Connection, k.EnterpriseID); ok {
			h = in.Check(ctx, org.Key)
		}
	}
	if !h.Found || !h.Connection.Org() || teamID == "" || h.Broken() && !h.Lacking || h.State == connection.Paused || h.State == connection.Unknown {
		return h
	}
	c, err := in.store.Lookup(ctx, h.Connection.Key)
	if err != nil || c.Token == "" {
		return h
	}
	list, err := in.askWorkspaces(ctx, c)
	if err != nil && slackapi.SlackError(err) != connection.ReasonNotAdded {
		return h // Slack did not say
	}
	return in.addedTo(h, teamID, list)
}

// AssessIn is Assess for one workspace, without asking anybody: what Slack said of the organisation's workspaces lately counts.
func (in *Installer) AssessIn(c connection.Connection, err error, teamID string) Health {
	h := in.Assess(c, err)
	if !h.Found || !c.Org() || teamID == "" || h.Broken() && !h.Lacking || h.State == connection.Paused || h.State == connection.Unknown {
		return h
	}
	in.mu.Lock()
	known, ok := in.teams[c.ID]
	in.mu.Unlock()
	if ok && connection.Recent(known.at, in.now(), workspacesKept) {
		return in.addedTo(h, teamID, known.list)
	}
	return h
}
