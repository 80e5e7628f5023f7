package install_test

// Organisations: a workspace that joins one while its token is being renewed, workspaces that were not added, and people to write to.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
)

const (
	gridID, gridOne, gridTwo = "E0GRID0001", "T0GRIDONE1", "T0GRIDTWO1"
	gridAdmin, gridOwner     = "U0GRIDGIA1", "U0GRIDOWN1"
)

// join moves a workspace into the organisation, at Slack.
func (r *rig) join(workspace string) {
	r.T.Helper()
	if err := r.Slack.Admins.FinishMigration(r.Ctx, workspace, gridID, "Grid Inc"); err != nil {
		r.T.Fatal(err)
	}
}

// organisation installs the app for an organisation of two workspaces and adds it to the first.
func (r *rig) organisation(in replica) connection.Connection {
	r.T.Helper()
	r.Slack.SetApp(func(a *slacksim.App) { a.OrgReady = true })
	for _, id := range []string{gridOne, gridTwo} {
		r.Slack.AddWorkspace(slacksim.Workspace{ID: id, Name: id, EnterpriseID: gridID, EnterpriseName: "Grid Inc"})
	}
	r.Slack.AddUser(slacksim.User{ID: gridAdmin, TeamID: gridOne, Name: "gia", Admin: true})
	r.Slack.AddUser(slacksim.User{ID: gridOwner, TeamID: gridOne, Name: "odo", PrimaryOwner: true})
	back, err := r.Slack.Authorize(r.Ctx, r.Slack.URL()+"/oauth/v2/authorize?client_id=1.2&state=s&scope=chat:write,users:read&redirect_uri="+stage.Redirect, gridAdmin, slacksim.Choice{Org: true})
	if err != nil {
		r.T.Fatal(err)
	}
	pair, err := install.ExchangeCode(r.Slack, back, stage.Redirect, "client-secret")
	if err != nil {
		r.T.Fatal(err)
	}
	if err := r.Slack.Admins.GrantTeam(r.Ctx, gridOne); err != nil {
		r.T.Fatal(err)
	}
	now := r.Clock.Now()
	c, _, err := in.db.Put(r.Ctx, connection.Connection{Key: connection.Key{AppID: "A0RENEWAL1", EnterpriseID: gridID}, TeamName: "Grid Inc", State: connection.Active, Scopes: []string{"chat:write", "users:read"},
		TokenPair: connection.Started(pair.Token, pair.Refresh, pair.Life, now), InstalledBy: gridAdmin, InstalledAt: now, AuthorizedAt: now})
	if err != nil {
		r.T.Fatal(err)
	}
	return c
}

// exchange spends the refresh token of c, as a process does that dies before it has stored what Slack gave.
func (r *rig) exchange(c connection.Connection) connection.Grant {
	r.T.Helper()
	resp, err := http.PostForm(r.Slack.URL()+"/api/oauth.v2.access", url.Values{"client_id": {"1.2"}, "client_secret": {"client-secret"},
		"grant_type": {"refresh_token"}, "refresh_token": {c.RefreshToken.Reveal()}})
	if err != nil {
		r.T.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Token   string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Refresh == "" {
		r.T.Fatal(err, got.Refresh)
	}
	return connection.Grant{TokenOwner: connection.TokenOwner{Key: c.Key}, Origin: connection.Renewal{Spent: c.RefreshToken}, Token: connection.Secret(got.Token), Refresh: connection.Secret(got.Refresh), Life: stage.Life, At: r.Clock.Now()}
}

// The pair that Slack hands out while the row changes its key is stored in that row.
func TestJoinDuringRenewal(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		client, answered, goOn := stage.Held()
		renewing := r.replica(func(cfg *install.Config) { cfg.HTTP = client })
		in := r.replica(nil)
		c := r.connect(renewing, slacksim.BirchAdmin)
		r.Due()
		var renewal sync.WaitGroup
		var failed error
		renewal.Go(func() { failed = renewing.Renew(r.Ctx, c.Key) })
		<-answered
		r.join(slacksim.Birch)
		h := in.Check(r.Ctx, c.Key)
		if h.Connection.EnterpriseID != gridID || h.State != connection.Active {
			t.Fatalf("%+v", h)
		}
		close(goOn)
		renewal.Wait()
		now := r.Row(in.db, c.Key)
		if failed != nil || now.Key != h.Connection.Key || now.ID != c.ID || now.Token == c.Token || !now.LeaseUntil.IsZero() {
			t.Errorf("%v: %+v", failed, now)
		}
		r.Works(now)
		r.EmptyJournal()
	})
}

// What waits in the journal under the old key comes home, and is not spent again before.
func TestJoinWithAJournal(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.BirchAdmin)
		r.Due()
		asked, _ := r.Exchanges()
		pair := r.exchange(c) // Slack's answer, which a process that is gone now had written into the journal
		if _, err := in.db.Journal(pair); err != nil {
			t.Fatal(err)
		}
		r.join(slacksim.Birch)
		if h := in.Check(r.Ctx, c.Key); h.Connection.EnterpriseID != gridID {
			t.Fatalf("%+v", h)
		}
		now := r.Row(in.db, c.Key)
		if err := in.Renew(r.Ctx, now.Key); err != nil {
			t.Log(err) // it was renewed elsewhere
		}
		if _, err := in.Replay(r.Ctx); err != nil {
			t.Error(err)
		}
		now = r.Row(in.db, now.Key)
		r.Works(now)
		if n, _ := r.Exchanges(); n != asked+1 {
			t.Errorf("%d exchanges", n-asked)
		}
		r.EmptyJournal()
	})
}

// All replicas find out at once; the connection moves once.
func TestJoinedOnce(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := []replica{r.replica(nil), r.replica(nil), r.replica(nil)}
		c := r.connect(in[0], slacksim.BirchAdmin)
		r.join(slacksim.Birch)
		k := c.Key
		k.EnterpriseID = gridID
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				// The payload names the organisation: the connection is found at once, and moves in the background.
				got, err := in[i%3].Open(r.Ctx, k)
				if err != nil || got.ID != c.ID || got.Token != c.Token {
					t.Errorf("%s %v", got.Key, err)
				}
			})
		}
		all.Wait()
		for _, x := range in {
			x.Settle()
		}
		now := r.Row(in[0].db, k)
		lines, err := in[0].db.History(r.Ctx, c.ID, 100)
		moved := len(slices.DeleteFunc(lines, func(l connection.Change) bool { return l.What != connection.DidMove }))
		if now.Key != k || now.Token != c.Token || err != nil || moved != 1 {
			t.Errorf("%s, %d lines, %v", now.Key, moved, err)
		}
		if n := len(r.Slack.Calls("auth.test")); n > 1+len(in) { // one was the install's
			t.Errorf("asked %d times", n)
		}
	})
}

// An organisation's connection works, and a workspace may not have the app yet: all pages of the list are looked through.
func TestStatusInAWorkspace(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.organisation(in)
		for i := range 250 {
			id := fmt.Sprintf("T0GRIDX%03d", i)
			r.Slack.AddWorkspace(slacksim.Workspace{ID: id, Name: id, EnterpriseID: gridID, EnterpriseName: "Grid Inc"})
			if err := r.Slack.Admins.GrantTeam(r.Ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		for team, want := range map[string]connection.State{gridOne: connection.Active, "T0GRIDX249": connection.Active, gridTwo: connection.NotConnected, "": connection.Active} {
			for _, k := range []connection.Key{org.Key, {AppID: org.AppID, EnterpriseID: gridID, TeamID: gridTwo}} {
				h := in.Connections().CheckIn(r.Ctx, k, team)
				if h.State != want || (want == connection.NotConnected) != (h.Reason == connection.ReasonNotAdded) {
					t.Errorf("%s in %q: %s %s", k, team, h.State, h.Reason)
				}
			}
		}
		h := in.Connections().CheckIn(r.Ctx, org.Key, gridTwo)
		if h.GrantURL != in.Connections().AddToWorkspacesURL(org.Key) || h.Sentence != "Your organisation has it. This workspace doesn't." || h.NextStep == "" || h.LastKnown != connection.Active {
			t.Errorf("%+v", h)
		}
		if h := in.Connections().AssessIn(org, nil, gridTwo); h.Reason != connection.ReasonNotAdded {
			t.Errorf("from the records: %+v", h)
		}
		if err := in.Lifecycle().HandleTeamAccess(r.Ctx, org.Key, true, []string{gridTwo}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if h := in.Connections().AssessIn(org, nil, gridTwo); h.State != connection.Active {
			t.Errorf("after Slack's word: %+v", h)
		}
		if now := r.Row(in.db, org.Key); now.State != connection.Active {
			t.Errorf("the organisation's: %s", now.State)
		}
		// With more pages than are read, not all workspaces are known, and nothing is said of those that are not.
		r.Slack.Inject(slacksim.Fault{Method: "auth.teams.list", Body: `{"ok":true,"teams":[{"id":"T1"}],"response_metadata":{"next_cursor":"more"}}`})
		for range 2 {
			if h := in.Connections().CheckIn(r.Ctx, org.Key, gridTwo); h.State != connection.Active {
				t.Errorf("endless pages: %+v", h)
			}
		}
	})
}

// The channel of what was told, and of the webhook, is followed where it goes.
func TestChannelMoved(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Update(in.db, c.Key, func(c *connection.Connection) {
			c.Webhook.ChannelID, c.Notice = "G1", connection.Notice{Channel: "G2", TS: "1.1", At: r.Clock.Now()}
		})
		for from, to := range map[string]string{"G1": "C1", "G2": "C2", "G3": "C3", "": "C4"} {
			if err := in.Lifecycle().HandleChannelChanged(r.Ctx, c.Key, from, to); err != nil {
				t.Fatal(err)
			}
		}
		if now := r.Row(in.db, c.Key); now.Webhook.ChannelID != "C1" || now.Notice.Channel != "C2" {
			t.Errorf("%s %s", now.Webhook.ChannelID, now.Notice.Channel)
		}
		if err := in.Lifecycle().HandleChannelChanged(r.Ctx, connection.Key{AppID: c.AppID, TeamID: "T0NOBODY01"}, "G1", "C1"); err != nil {
			t.Error(err)
		}
	})
}

// In an organisation, too, an admin is told when the installer can't be.
func TestToldInAnOrganisation(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var x told
		in := r.replica(x.config)
		org := r.organisation(in)
		r.Slack.AddUser(slacksim.User{ID: gridAdmin, TeamID: gridOne, Name: "gia", Deleted: true})
		r.broken(in, org)
		if err := in.TellAll(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.to, []string{gridOwner}) {
			t.Errorf("told %v", x.to)
		}
		for _, c := range r.Slack.Calls("users.list") {
			if c.Arg("team_id") != gridOne {
				t.Errorf("in %q", c.Arg("team_id"))
			}
		}
	})
}

// A workspace's access that needs a person is not waited for where the organisation's works, unless the operator paused it there.
func TestOrganisationTakesOver(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.organisation(in)
		k := connection.Key{AppID: org.AppID, EnterpriseID: gridID, TeamID: gridOne}
		own, _, err := in.db.Put(r.Ctx, connection.Connection{Key: k, State: connection.Active, TokenPair: connection.TokenPair{Token: "xoxb-own"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			own, org connection.State
			want     string // the id, "" for none
		}{
			{connection.Active, connection.Active, own.ID}, {connection.Retrying, connection.Active, own.ID}, {connection.ReconnectRequired, connection.Active, org.ID},
			{connection.Removed, connection.Active, org.ID}, {connection.Paused, connection.Active, ""},
			{connection.Active, connection.Removed, own.ID}, {connection.ReconnectRequired, connection.ReconnectRequired, own.ID}, {connection.Removed, connection.Removed, ""},
			{connection.ReconnectRequired, connection.Paused, own.ID}, {connection.Removed, connection.Paused, ""},
		} {
			for key, state := range map[connection.Key]connection.State{k: test.own, org.Key: test.org} {
				r.Update(in.db, key, func(c *connection.Connection) { c.SetState(state, "", r.Clock.Now()) })
			}
			if c, err := in.Open(r.Ctx, k); err == nil && c.ID != test.want || err != nil && test.want != "" {
				t.Errorf("own %s, the organisation's %s: %s %v", test.own, test.org, c.Key, err)
			}
			// A payload that names another organisation, or none, never gets this one's.
			for _, e := range []string{"", "E0OTHER001"} {
				if c, err := in.Open(r.Ctx, connection.Key{AppID: k.AppID, EnterpriseID: e, TeamID: gridOne}); err == nil && c.ID != own.ID {
					t.Errorf("named %q: %s", e, c.Key)
				}
			}
			if c, err := in.Open(r.Ctx, org.Key); err == nil && c.ID != org.ID {
				t.Errorf("the organisation alone: %s", c.Key)
			}
		}
		in.Settle()
	})
}

// A workspace that leaves takes nothing from the organisation, whatever state its access is in.
func TestWorkspaceLeavesAlone(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.organisation(in)
		r.Update(in.db, org.Key, func(c *connection.Connection) { c.TokenPair = connection.TokenPair{Token: "xoxb-not-known"} }) // Slack can't say whether it is gone
		k := connection.Key{AppID: org.AppID, EnterpriseID: gridID, TeamID: gridOne}
		for _, reason := range []string{connection.ReasonUninstalled, connection.ReasonTokenRevoked} {
			if err := in.Lifecycle().HandleRemoval(r.Ctx, k, connection.Removal{Reason: reason, At: r.Clock.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		if now := r.Row(in.db, org.Key); now.State != connection.Active || now.Token == "" || now.PendingRemoval != (connection.Removal{}) {
			t.Errorf("%+v", now)
		}
		if err := in.Lifecycle().HandleRemoval(r.Ctx, org.Key, connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
		if now := r.Row(in.db, org.Key); now.State != connection.Removed {
			t.Errorf("its own: %+v", now)
		}
	})
}

// A consent after the workspace joined an organisation renews the connection that there is, also one that was removed.
func TestReinstallAfterJoining(t *testing.T) {
	t.Parallel()
	for _, removed := range []bool{false, true} {
		t.Run(fmt.Sprintf("removed=%v", removed), func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				in := r.replica(nil)
				was := r.connect(in, slacksim.BirchAdmin)
				if removed {
					if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Birch, slacksim.NoUninstallEvents); err != nil {
						t.Fatal(err)
					}
					r.Clock.Advance(time.Minute)
					if h := in.Check(r.Ctx, was.Key); h.State != connection.Removed {
						t.Fatalf("%+v", h)
					}
				}
				r.join(slacksim.Birch)
				now := r.connect(in, slacksim.BirchAdmin)
				all, err := in.db.List(r.Ctx)
				if err != nil || len(all) != 1 || now.ID != was.ID || now.EnterpriseID != gridID || now.Installs != 2 || now.State != connection.Active {
					t.Errorf("%d rows, %+v (%v)", len(all), now, err)
				}
				r.Works(now)
			})
		})
	}
}

// A person takes back what they allowed on the organisation's install, and Slack's word names a workspace beside it. Nothing but its
// answer about the token counts then.
func TestPersonOfAnOrganisation(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.organisation(in)
		back, err := r.Slack.Authorize(r.Ctx, r.Slack.URL()+"/oauth/v2/authorize?client_id=1.2&state=s&scope=chat:write&user_scope=chat:write&redirect_uri="+stage.Redirect, gridAdmin, slacksim.Choice{Org: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := install.ExchangeCode(r.Slack, back, stage.Redirect, "client-secret"); err != nil {
			t.Fatal(err)
		}
		at, _ := r.Slack.Installed(gridID)
		k := connection.Key{AppID: org.AppID, EnterpriseID: gridID, TeamID: gridOne}
		for id, token := range map[string]string{gridAdmin: at.UserTokens[gridAdmin], gridOwner: "xoxp-not-known"} {
			u := connection.UserToken{TokenOwner: connection.TokenOwner{Key: org.Key, UserID: id}, TokenPair: connection.TokenPair{Token: connection.Secret(token)}, GrantedAt: r.Clock.Now()}
			if err := in.db.AddUser(r.Ctx, u); err != nil {
				t.Fatal(err)
			}
		}
		said := func(want int) {
			t.Helper()
			if err := in.Lifecycle().HandleUsersRevoked(r.Ctx, k, []string{gridAdmin, gridOwner}, r.Clock.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if left, err := in.db.Users(r.Ctx, org.Key); err != nil || len(left) != want {
				t.Errorf("%d are left, want %d (%v)", len(left), want, err)
			}
		}
		said(2)
		if err := r.Slack.Admins.RevokeUser(r.Ctx, gridAdmin); err != nil {
			t.Fatal(err)
		}
		said(1)
	})
}
