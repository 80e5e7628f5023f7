package stage

// Who installs, in workspaces and in an organisation of them, and who is written to.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
)

// The organisation, its workspaces, and two people of the first.
const (
	Grid, GridOne, GridTwo = "E0GRID0001", "T0GRIDONE1", "T0GRIDTWO1"
	GridAdmin, GridOwner   = "U0GRIDGIA1", "U0GRIDOWN1"
)

// Consent has a person let the app in, and spends the code that Slack gives for it.
func (s *Stage) Consent(userID string, choice slacksim.Choice, more ...string) (granted slackapi.Granted, code string) {
	s.T.Helper()
	start := url.Values{"client_id": {"1.2"}, "scope": {"chat:write,users:read"}, "redirect_uri": {Redirect},
		"state": {"state"}}
	for _, scope := range more {
		start.Add("user_scope", scope)
	}
	back, err := s.Slack.Authorize(s.Ctx, s.Slack.URL()+"/oauth/v2/authorize?"+start.Encode(), userID, choice)
	if err != nil {
		s.T.Fatal(err)
	}
	to, err := url.Parse(back)
	if err != nil {
		s.T.Fatal(err)
	}

	code = to.Query().Get("code")
	granted, err = s.API(slackapi.NewHTTPClient(), s.Clock.Now).OAuth(s.Ctx, "oauth.v2.access", url.Values{
		"client_id": {"1.2"}, "client_secret": {"client-secret"}, "code": {code}, "redirect_uri": {Redirect}})
	if err != nil {
		s.T.Fatal(err)
	}
	return granted, code
}

// Connect has a person let the app in at a time, and stores what that brings as a callback does.
func (s *Stage) Connect(db *storage.DB, journal *tokens.Journal, userID string, at time.Time) connection.Connection {
	s.T.Helper()
	asked, err := db.Mark(s.Ctx)
	if err != nil {
		s.T.Fatal(err)
	}
	granted, code := s.Consent(userID, slacksim.Choice{})
	c := granted.Connection(at)
	c.Asked, c.GrantID = asked, fmt.Sprint("grant ", code)
	c.CheckedAt, c.CheckAt = at, connection.NextCheck(connection.Active, at, at)
	c.Generation = journal.NextGeneration(s.Ctx, connection.TokenOwner{Key: c.Key})
	p := c.Grant()
	journal.Keep(s.Ctx, &p)
	now, _, err := db.Put(s.Ctx, c)
	if err != nil {
		s.T.Fatal(err)
	}
	journal.NotPending(p.Token)
	journal.Settle(s.Ctx, p.StoredIn(&now), connection.Kept)
	return s.Row(db, c.Key)
}

// Join moves a workspace into the organisation, at Slack.
func (s *Stage) Join(workspace string) {
	s.T.Helper()
	if err := s.Slack.Admins.FinishMigration(s.Ctx, workspace, Grid, "Grid Inc"); err != nil {
		s.T.Fatal(err)
	}
}

// Organisation installs the app for an organisation of two workspaces and adds it to the first.
func (s *Stage) Organisation(db *storage.DB) connection.Connection {
	s.T.Helper()
	s.Slack.SetApp(func(a *slacksim.App) { a.OrgReady = true })
	for _, id := range []string{GridOne, GridTwo} {
		s.Slack.AddWorkspace(slacksim.Workspace{ID: id, Name: id, EnterpriseID: Grid, EnterpriseName: "Grid Inc"})
	}
	s.Slack.AddUser(slacksim.User{ID: GridAdmin, TeamID: GridOne, Name: "gia", Admin: true})
	s.Slack.AddUser(slacksim.User{ID: GridOwner, TeamID: GridOne, Name: "odo", PrimaryOwner: true})
	granted, _ := s.Consent(GridAdmin, slacksim.Choice{Org: true})
	if err := s.Slack.Admins.GrantTeam(s.Ctx, GridOne); err != nil {
		s.T.Fatal(err)
	}

	now := s.Clock.Now()
	token, refresh := connection.Secret(granted.AccessToken), connection.Secret(granted.RefreshToken)
	c, _, err := db.Put(s.Ctx, connection.Connection{Key: connection.Key{AppID: "A0RENEWAL1", EnterpriseID: Grid},
		TeamName: "Grid Inc", State: connection.Active, Scopes: []string{"chat:write", "users:read"},
		TokenPair:   connection.Started(token, refresh, time.Duration(granted.ExpiresIn), now),
		InstalledBy: GridAdmin, InstalledAt: now, AuthorizedAt: now})
	if err != nil {
		s.T.Fatal(err)
	}
	return c
}

// Broken makes the refresh token of c dead, with most of the access token's life before it.
func (s *Stage) Broken(db *storage.DB, keeper *tokens.Keeper, c connection.Connection) {
	s.T.Helper()
	s.Update(db, c.Key, func(row *connection.Connection) { row.RefreshToken += "-gone" })
	s.Due()
	for range 2 {
		if _, err := keeper.RenewDue(s.Ctx); err != nil {
			s.T.Fatal(err)
		}
		s.Clock.Advance(time.Minute)
	}
	if now := s.Row(db, c.Key); now.State != connection.ReconnectRequired {
		s.T.Fatalf("not broken: %s", now.State)
	}
}

// Told is the Messages of a program that remembers whom it told.
type Told struct {
	mu       sync.Mutex
	To       []string
	Resolved int
	Refuse   map[string]error // people who can't be written to, and why
}

// Welcome writes nothing.
func (*Told) Welcome(context.Context, *slack.Client, connection.Connection, string) error { return nil }

// TellMissing fails.
func (*Told) TellMissing(context.Context, *slack.Client, string, watch.MissingScopes) (string, string, error) {
	return "", "", errors.New("no test asks for it")
}

// Tell writes to one person, unless they are in Refuse.
func (x *Told) Tell(ctx context.Context, client *slack.Client, userID string, h watch.Health) (string, string, error) {
	x.mu.Lock()
	refused := x.Refuse[userID]
	x.mu.Unlock()
	if refused != nil {
		return "", "", refused
	}
	channel, ts, err := client.PostMessageContext(ctx, userID, slack.MsgOptionText(h.Sentence+" "+h.GrantURL, false))
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		x.To = append(x.To, userID)
	}
	return channel, ts, err
}

// Resolve edits a message.
func (x *Told) Resolve(ctx context.Context, client *slack.Client, n connection.Notice, _ watch.Health) error {
	_, _, _, err := client.UpdateMessageContext(ctx, n.Channel, n.TS, slack.MsgOptionText("Resolved.", false))
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		x.Resolved++
	}
	return err
}
