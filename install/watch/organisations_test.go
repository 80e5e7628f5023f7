package watch_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
)

// All replicas find out at once; the connection moves once.
func TestJoinedOnce(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := []replica{r.replica(nil), r.replica(nil), r.replica(nil)}
		c := r.connect(in[0], slacksim.BirchAdmin)
		r.Join(slacksim.Birch)
		k := c.Key
		k.EnterpriseID = stage.Grid
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
			x.Wait()
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

// An organisation's connection works, and a workspace may not have the app yet: all pages of the list are looked
// through.
func TestStatusInAWorkspace(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.Organisation(in.db)
		for i := range 250 {
			id := fmt.Sprintf("T0GRIDX%03d", i)
			r.Slack.AddWorkspace(slacksim.Workspace{ID: id, Name: id, EnterpriseID: stage.Grid, EnterpriseName: "Grid Inc"})
			if err := r.Slack.Admins.GrantTeam(r.Ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		for team, want := range map[string]connection.State{stage.GridOne: connection.Active, "T0GRIDX249": connection.Active,
			stage.GridTwo: connection.NotConnected, "": connection.Active} {
			for _, k := range []connection.Key{org.Key, {AppID: org.AppID, EnterpriseID: stage.Grid, TeamID: stage.GridTwo}} {
				h := in.CheckIn(r.Ctx, k, team)
				if h.State != want || (want == connection.NotConnected) != (h.Reason == connection.ReasonNotAdded) {
					t.Errorf("%s in %q: %s %s", k, team, h.State, h.Reason)
				}
			}
		}
		h := in.CheckIn(r.Ctx, org.Key, stage.GridTwo)
		if h.GrantURL != in.AddToWorkspacesURL(org.Key) ||
			h.Sentence != "Your organisation has it. This workspace doesn't." || h.NextStep == "" ||
			h.LastKnown != connection.Active {
			t.Errorf("%+v", h)
		}
		if h := in.AssessIn(org, nil, stage.GridTwo); h.Reason != connection.ReasonNotAdded {
			t.Errorf("from the records: %+v", h)
		}
		if err := in.HandleTeamAccess(r.Ctx, org.Key, true, []string{stage.GridTwo}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if h := in.AssessIn(org, nil, stage.GridTwo); h.State != connection.Active {
			t.Errorf("after Slack's word: %+v", h)
		}
		if now := r.Row(in.db, org.Key); now.State != connection.Active {
			t.Errorf("the organisation's: %s", now.State)
		}
		// With more pages than are read, not all workspaces are known, and nothing is said of those that are not.
		r.Slack.Inject(slacksim.Fault{Method: "auth.teams.list",
			Body: `{"ok":true,"teams":[{"id":"T1"}],"response_metadata":{"next_cursor":"more"}}`})
		for range 2 {
			if h := in.CheckIn(r.Ctx, org.Key, stage.GridTwo); h.State != connection.Active {
				t.Errorf("endless pages: %+v", h)
			}
		}
	})
}

// A workspace's access that needs a person is not waited for where the organisation's works, unless the operator paused
// it there.
func TestOrganisationTakesOver(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.Organisation(in.db)
		k := connection.Key{AppID: org.AppID, EnterpriseID: stage.Grid, TeamID: stage.GridOne}
		own, _, err := in.db.Put(r.Ctx, connection.Connection{Key: k, State: connection.Active,
			TokenPair: connection.TokenPair{Token: "xoxb-own"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			own, org connection.State
			want     string // the id, "" for none
		}{
			{connection.Active, connection.Active, own.ID}, {connection.Retrying, connection.Active, own.ID},
			{connection.ReconnectRequired, connection.Active, org.ID}, {connection.Removed, connection.Active, org.ID},
			{connection.Paused, connection.Active, ""}, {connection.Active, connection.Removed, own.ID},
			{connection.ReconnectRequired, connection.ReconnectRequired, own.ID}, {connection.Removed, connection.Removed, ""},
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
				if c, err := in.Open(r.Ctx, connection.Key{AppID: k.AppID, EnterpriseID: e, TeamID: stage.GridOne}); err == nil &&
					c.ID != own.ID {
					t.Errorf("named %q: %s", e, c.Key)
				}
			}
			if c, err := in.Open(r.Ctx, org.Key); err == nil && c.ID != org.ID {
				t.Errorf("the organisation alone: %s", c.Key)
			}
		}
		in.Wait()
	})
}
