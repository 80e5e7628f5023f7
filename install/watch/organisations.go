package watch

// What is different in an organisation of workspaces (Enterprise Grid): one access for all of them, which stands beside
// older ones of single workspaces; workspaces that are added to it and taken away; and workspaces that join an
// organisation and keep their access. https://docs.slack.dev/enterprise/developing-for-enterprise-orgs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
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

// workspaceLists are the workspaces of organisations, as Slack said them lately.
type workspaceLists struct {
	cfg *Config

	mu    sync.Mutex
	lists map[string]workspaces // by the connection's id
}

// Workspaces returns the workspaces that c's app was added to, all pages, as Slack said them in the last ten minutes:
// none for an organisation whose admins have added it nowhere. It blocks for the calls.
// https://docs.slack.dev/reference/methods/auth.teams.list
func (cs *Connections) Workspaces(ctx context.Context, c connection.Connection) ([]Workspace, error) {
	if list, ok := cs.workspaces.known(c.ID); ok {
		return list, nil
	}
	return cs.workspaces.ask(ctx, c)
}

// known returns what Slack said of a connection, if that was lately.
func (ws *workspaceLists) known(connectionID string) ([]Workspace, bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	last, ok := ws.lists[connectionID]
	return last.list, ok && connection.Recent(last.at, ws.cfg.Now(), workspacesKept)
}

func (ws *workspaceLists) forget(connectionID string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.lists, connectionID)
}

// ask asks Slack, and remembers the answer.
func (ws *workspaceLists) ask(ctx context.Context, c connection.Connection) ([]Workspace, error) {
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
		if _, err := ws.cfg.Slack.Post(ctx, "auth.teams.list", c.Token, form, &answer); err != nil {
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

	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.lists) > 10_000 {
		clear(ws.lists) // costs one more call for each organisation
	}
	ws.lists[c.ID] = workspaces{ws.cfg.Now(), list}
	return list, nil
}

// superseded returns the organisation's connection if it is the one to use where c is not: the organisation-wide
// install took the place of what the workspace had before. A pause, of either, is the operator's word and goes for the
// workspace all the same.
func (cs *Connections) superseded(ctx context.Context, c connection.Connection, enterpriseID string) (
	connection.Connection, bool,
) {
	standsAlone := c.Org() && c.ID != "" || c.Usable() || c.State == connection.Paused
	if enterpriseID == "" || standsAlone || !cs.cfg.Mode.Consents() {
		return connection.Connection{}, false
	}
	org, err := cs.store.Lookup(ctx, connection.Key{AppID: c.AppID, EnterpriseID: enterpriseID})
	return org, err == nil && org.Usable() && org.State != connection.Paused
}

// maybeMoved asks Slack, in the background and now and then, about a connection that was found for a key with another
// organisation than ours has: a workspace that joined one.
func (cs *Connections) maybeMoved(c connection.Connection, k connection.Key) {
	joined := k.EnterpriseID != "" && c.EnterpriseID != k.EnterpriseID && !c.Org() && c.TeamID == k.TeamID
	if !joined || c.Token == "" || !cs.cfg.Mode.Consents() {
		return
	}
	if !cs.isNews(c.ID+" moved", cs.cfg.Now(), movedEvery) {
		return
	}
	cs.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), oneBudget)
		defer cancel()
		cs.Check(ctx, c.Key)
	})
}

// moved gives c the key that Slack's own word about its token (auth.test) makes it have. Nothing but that word moves a
// connection: a payload can only make us ask. It returns c as it now is. When there is a connection for the new key
// already, nothing is moved.
func (cs *Connections) moved(
	ctx context.Context, c connection.Connection, id connection.Identity,
) connection.Connection {
	joined := id.EnterpriseID != "" && id.EnterpriseID != c.EnterpriseID && id.TeamID == c.TeamID
	if !joined || c.Org() || id.IsEnterpriseInstall || !cs.cfg.Mode.Consents() {
		return c
	}
	now, err := cs.cfg.Tokens.Pairs.Join(ctx, c, id.EnterpriseID)
	switch {
	case err == nil:
		cs.cfg.Log.InfoContext(ctx, "a workspace joined an organisation", "connection", c.ID,
			"was", c.Key.String(), "key", now.Key.String())
		return now
	case errors.Is(err, connection.ErrExists), errors.Is(err, connection.ErrNotFound):
		// Of an own consent since, or another replica was first.
		cs.cfg.Log.DebugContext(ctx, "connection not moved", "connection", c.ID, "cause", err)
	default:
		// The next check tries again.
		cs.cfg.Log.WarnContext(ctx, "move connection to its organisation", "connection", c.ID, "cause", err)
	}
	return c
}

// notAdded is h for a workspace of the organisation that the app was not added to.
func (a *Assessor) notAdded(h Health) Health {
	h.State, h.Reason, h.Since = connection.NotConnected, connection.ReasonNotAdded, time.Time{}
	h.GrantURL = a.AddToWorkspacesURL(h.Connection.Key)
	return a.words(h)
}

// AddToWorkspacesURL is the page of Slack's on which an admin of the organisation adds its app to workspaces.
// https://docs.slack.dev/enterprise/organization-ready-apps
func (a *Assessor) AddToWorkspacesURL(k connection.Key) string {
	return a.cfg.Slack.ClientURL() + "/manage/" + url.PathEscape(k.EnterpriseID) +
		"/integrations/profile/" + url.PathEscape(k.AppID) + "/workspaces/add"
}

// addedTo is h for a workspace of the organisation, by the list of those that the app was added to.
func (a *Assessor) addedTo(h Health, teamID string, list []Workspace) Health {
	at := slices.IndexFunc(list, func(w Workspace) bool { return w.ID == teamID })
	if at < 0 {
		return a.notAdded(h)
	}
	h.Workspace = list[at].Name
	return h
}

// CheckIn is Check for one workspace: an organisation's connection can work and the workspace not have the app yet.
// Then the state is NotConnected, the reason ReasonNotAdded, and GrantURL is where an admin of the organisation adds
// it. It blocks for one or two calls more.
func (cs *Connections) CheckIn(ctx context.Context, k connection.Key, teamID string) Health {
	h := cs.Check(ctx, k)
	if h.Broken() && !h.Lacking {
		// What is shown holds no token, so it counts as not usable.
		if org, ok := cs.superseded(ctx, h.Connection, k.EnterpriseID); ok {
			h = cs.Check(ctx, org.Key)
		}
	}
	if !h.differsIn(teamID) {
		return h
	}
	c, err := cs.store.Lookup(ctx, h.Connection.Key)
	if err != nil || c.Token == "" {
		return h
	}
	list, err := cs.workspaces.ask(ctx, c)
	if err != nil && slackapi.SlackError(err) != connection.ReasonNotAdded {
		return h // Slack did not say
	}
	return cs.addedTo(h, teamID, list)
}

// AssessIn is Assess for one workspace, without asking anybody: what Slack said of the organisation's workspaces lately
// counts.
func (cs *Connections) AssessIn(c connection.Connection, err error, teamID string) Health {
	h := cs.Assess(c, err)
	if !h.differsIn(teamID) {
		return h
	}
	if list, ok := cs.workspaces.known(c.ID); ok {
		return cs.addedTo(h, teamID, list)
	}
	return h
}

// differsIn reports whether what h says of an organisation's connection may not go for one of its workspaces.
func (h Health) differsIn(teamID string) bool {
	if !h.Found || !h.Connection.Org() || teamID == "" || h.State == connection.Paused || h.State == connection.Unknown {
		return false
	}
	return !h.Broken() || h.Lacking
}
