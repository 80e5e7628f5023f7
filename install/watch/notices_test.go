package watch_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
)

// One person is told once, whoever runs and however often; the message is edited when all is well.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var x stage.Told
		replicas := []replica{r.replica(telling(&x)), r.replica(telling(&x)), r.replica(telling(&x))}
		c := r.connect(replicas[0], slacksim.AcmeAdmin)
		tell := func() {
			var all sync.WaitGroup
			for i := range 30 {
				all.Go(func() {
					if err := replicas[i%3].TellAll(r.Ctx); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		for round := range 2 { // the second trouble is told of anew
			tell()
			if len(x.To) != round {
				t.Fatalf("told %v before anything was wrong", x.To)
			}
			r.Broken(replicas[0].db, replicas[0].Keeper, c)
			tell()
			replicas = append(replicas[:2], r.replica(telling(&x))) // one is started anew
			tell()
			if len(x.To) != round+1 || x.To[round] != slacksim.AcmeAdmin {
				t.Fatalf("told %v", x.To)
			}
			now := r.Row(replicas[0].db, c.Key)
			message := r.Slack.Messages(r.Slack.DM(slacksim.AcmeAdmin), slacksim.AcmeAdmin)
			if n := len(message); n != round+1 || message[n-1].TS != now.Notice.TS {
				t.Errorf("%d messages; the notice is %+v", n, now.Notice)
			}
			r.Clock.Advance(time.Minute)
			r.connect(replicas[0], slacksim.AcmeMember)
			tell()
			tell()
			now = r.Row(replicas[0].db, c.Key)
			if x.Resolved < round+1 || now.Notice != (connection.Notice{}) {
				t.Errorf("resolved %d times; the notice is %+v", x.Resolved, now.Notice)
			}
			if m := r.Slack.Messages(r.Slack.DM(slacksim.AcmeAdmin), slacksim.AcmeAdmin); m[len(m)-1].Text != "Resolved." {
				t.Errorf("the message says %q", m[len(m)-1].Text)
			}
		}
		tells := 0
		lines, err := replicas[0].History(r.Ctx, c, 100)
		for _, l := range lines {
			if l.What == connection.DidTell {
				tells++
			}
		}
		if err != nil || tells != 4 {
			t.Errorf("%d lines about telling (%v)", tells, err)
		}
	})
}

// Whoever installed has left: a workspace admin is told. Nobody can be: the operator's log and metric say it, once.
func TestToldToAnAdmin(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var x stage.Told
		in := r.replica(telling(&x))
		c := r.connect(in, slacksim.AcmeMember)
		x.Refuse = map[string]error{slacksim.AcmeMember: slack.SlackErrorResponse{Err: "user_disabled"}}
		r.Broken(in.db, in.Keeper, c)
		if err := in.TellAll(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.To, []string{slacksim.AcmeAdmin}) {
			t.Errorf("told %v", x.To)
		}
		c = r.connect(in, slacksim.AcmeMember)
		if err := in.TellAll(r.Ctx); err != nil {
			t.Fatal(err)
		}
		x.To, x.Refuse = nil, map[string]error{slacksim.AcmeMember: errors.New("connection reset")}
		r.Broken(in.db, in.Keeper, c)
		for range 3 {
			if err := in.TellAll(r.Ctx); err != nil {
				t.Fatal(err)
			}
		}
		x.Refuse = nil
		if err := in.TellAll(r.Ctx); err != nil || len(x.To) != 0 {
			t.Errorf("a message that may have arrived was sent again, to %v (%v)", x.To, err)
		}
		if now := r.Row(in.db, c.Key); now.Notice.At.IsZero() || now.Notice.TS != "" {
			t.Errorf("notice: %+v", now.Notice)
		}
	})
}

// In an organisation, too, an admin is told when the installer can't be.
func TestToldInAnOrganisation(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var x stage.Told
		in := r.replica(telling(&x))
		org := r.Organisation(in.db)
		r.Slack.AddUser(slacksim.User{ID: stage.GridAdmin, TeamID: stage.GridOne, Name: "gia", Deleted: true})
		r.Broken(in.db, in.Keeper, org)
		if err := in.TellAll(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.To, []string{stage.GridOwner}) {
			t.Errorf("told %v", x.To)
		}
		for _, c := range r.Slack.Calls("users.list") {
			if c.Arg("team_id") != stage.GridOne {
				t.Errorf("in %q", c.Arg("team_id"))
			}
		}
	})
}
