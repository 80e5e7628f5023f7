package install_test

// Organisations: a workspace that joins one while its token is being renewed, workspaces that were not added, and
// people to write to.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
)

// exchange spends the refresh token of c, as a process does that dies before it has stored what Slack gave.
func (r *rig) exchange(c connection.Connection) connection.Grant {
	r.T.Helper()
	resp, err := http.PostForm(r.Slack.URL()+"/api/oauth.v2.access",
		url.Values{"client_id": {"1.2"}, "client_secret": {"client-secret"},
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
	return connection.Grant{TokenOwner: connection.TokenOwner{Key: c.Key},
		Origin: connection.Renewal{Spent: c.RefreshToken}, Token: connection.Secret(got.Token),
		Refresh: connection.Secret(got.Refresh), Life: stage.Life, At: r.Clock.Now()}
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
		r.Join(slacksim.Birch)
		h := in.Check(r.Ctx, c.Key)
		if h.Connection.EnterpriseID != stage.Grid || h.State != connection.Active {
			t.Fatalf("%+v", h)
		}
		close(goOn)
		renewal.Wait()
		now := r.Row(in.db, c.Key)
		if failed != nil || now.Key != h.Connection.Key || now.ID != c.ID || now.Token == c.Token ||
			!now.LeaseUntil.IsZero() {
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
		r.Join(slacksim.Birch)
		if h := in.Check(r.Ctx, c.Key); h.Connection.EnterpriseID != stage.Grid {
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
				r.Join(slacksim.Birch)
				now := r.connect(in, slacksim.BirchAdmin)
				all, err := in.db.List(r.Ctx)
				if err != nil || len(all) != 1 || now.ID != was.ID || now.EnterpriseID != stage.Grid || now.Installs != 2 ||
					now.State != connection.Active {
					t.Errorf("%d rows, %+v (%v)", len(all), now, err)
				}
				r.Works(now)
			})
		})
	}
}
