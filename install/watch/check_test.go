package watch_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/slacksim"
)

// The table of states, by Slack's answers to auth.test, each asked as often as given and a minute and a half apart.
func TestStatesFromAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault slacksim.Fault
		times int
		want  connection.State
		why   string
		live  bool // what is shown is Slack's word
	}{
		{slacksim.Fault{Error: "token_revoked"}, 1, connection.ReconnectRequired, "token_revoked", true},
		{slacksim.Fault{Error: "account_inactive"}, 1, connection.Removed, "account_inactive", true},
		{slacksim.Fault{Error: "invalid_auth"}, 1, connection.Retrying, "invalid_auth", true},
		{slacksim.Fault{Error: "invalid_auth"}, 2, connection.ReconnectRequired, "invalid_auth", true},
		{slacksim.Fault{Error: "org_login_required"}, 3, connection.Retrying, "org_login_required", true},
		{slacksim.Fault{Error: "ekm_access_denied"}, 1, connection.Retrying, "ekm_access_denied", true},
		{slacksim.Fault{Error: "internal_error"}, 3, connection.Active, "", false},
		{slacksim.Fault{Error: "fatal_error"}, 3, connection.Active, "", false},
		{slacksim.Fault{Status: 503, Body: "down"}, 3, connection.Active, "", false},
		{slacksim.Fault{RetryAfter: 3}, 3, connection.Active, "", false},
	} {
		t.Run(fmt.Sprintf("%s%d times %d", test.fault.Error, test.fault.Status, test.times), func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				in := r.replica(nil)
				c := r.connect(in, slacksim.AcmeAdmin)
				fault := test.fault // the two databases run beside each other
				fault.Method = "auth.test"
				clear := r.Slack.Inject(fault)
				var h watch.Health
				for range test.times {
					r.Clock.Advance(90 * time.Second)
					h = in.Check(r.Ctx, c.Key)
				}
				now := r.Row(in.db, c.Key)
				if now.State != test.want || now.Reason != test.why {
					t.Errorf("kept: %s %s, want %s %s", now.State, now.Reason, test.want, test.why)
				}
				if h.Live != test.live || test.live && h.State != test.want || !test.live &&
					(h.State != connection.Unknown || h.LastKnown != connection.Active) {
					t.Errorf("shown: %s, last known %s", h.State, h.LastKnown)
				}
				if now.State != connection.Active && (now.StateSince.IsZero() || h.ReasonText == "") {
					t.Errorf("no time or no words: %v %q", now.StateSince, h.ReasonText)
				}
				if now.State == connection.Removed && (now.Token != "" || now.RefreshToken != "") {
					t.Error("the access of a removed app is kept")
				}
				clear()
				if test.want == connection.Removed {
					// It is not forgotten: no background check brings it back, and an install does, with the same id.
					r.Clock.Advance(24 * time.Hour)
					if err := in.CheckDue(r.Ctx); err != nil || r.Row(in.db, c.Key).State != connection.Removed {
						t.Errorf("after a day: %s (%v)", r.Row(in.db, c.Key).State, err)
					}
				} else if in.Check(r.Ctx, c.Key); r.Row(in.db, c.Key).State != connection.Active {
					t.Errorf("a good answer does not mend it: %s", r.Row(in.db, c.Key).State)
				}
				if back := r.connect(in, slacksim.AcmeMember); back.ID != c.ID || back.State != connection.Active ||
					back.Reason != "" || !back.CreatedAt.Equal(c.CreatedAt) {
					t.Errorf("reconnect: %+v", back)
				}
				lines, err := in.History(r.Ctx, c, 50)
				if err != nil || slices.ContainsFunc(lines, func(l connection.Change) bool {
					return l.What == connection.DidChange
				}) {
					t.Errorf("history: %+v (%v)", lines, err)
				}
			})
		})
	}
}

// The app was removed and the word got lost: the background check finds out, each connection asked by one replica.
func TestBackgroundCheck(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var said strings.Builder // a logger writes one line at a time
		log := slog.New(slog.NewTextHandler(&said, nil))
		logged := func(cfg *config) { cfg.Log = log }
		replicas := []replica{r.replica(logged), r.replica(logged), r.replica(logged)}
		in := replicas[0]
		a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Birch, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		asked := func() int { return len(r.Slack.Calls("auth.test")) }
		before := asked()
		all := func() {
			var wait sync.WaitGroup
			for _, in := range replicas {
				wait.Go(func() {
					if err := in.CheckDue(r.Ctx); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
		}
		all()
		if n := asked() - before; n != 0 {
			t.Errorf("asked %d times right after the install", n)
		}
		r.Clock.Advance(7 * time.Hour)
		all()
		if n := asked() - before; n != 2 {
			t.Errorf("asked %d times about two connections", n)
		}
		if now := r.Row(in.db, a.Key); now.State != connection.Active || !now.CheckedAt.Equal(r.Clock.Now()) {
			t.Errorf("the one that works: %s, checked %v", now.State, now.CheckedAt)
		}
		if now := r.Row(in.db, b.Key); now.State != connection.Removed || now.Reason != "account_inactive" ||
			now.Token != "" {
			t.Errorf("the one that is gone: %s %s", now.State, now.Reason)
		}
		if n := strings.Count(said.String(), `msg="removal handled"`); n != 1 {
			t.Errorf("the removal is in the log %d times: %s", n, &said)
		}
	})
}

// A check and an event that are still to come have not happened: the next ones count.
func TestCheckedByAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, ahead := r.replica(nil), r.off(24*time.Hour)
		c := r.connect(in, slacksim.AcmeAdmin)
		if err := ahead.SawEvent(r.Ctx, c.Key, r.Clock.Now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		ahead.Check(r.Ctx, c.Key)
		if at := r.Row(in.db, c.Key).CheckAt; at.Sub(r.Clock.Now()) < 24*time.Hour {
			t.Fatalf("the clock ahead planned the next check at %v", at)
		}
		now := r.Row(in.db, c.Key)
		if _, err := in.Client(now).AuthTestContext(r.Ctx); err != nil {
			t.Fatal(err)
		}
		in.Wait()
		if at := r.Row(in.db, c.Key).CheckedAt; !at.Equal(r.Clock.Now()) {
			t.Errorf("a call that went well was not noted: checked %v", at)
		}
		if err := in.CheckDue(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if now = r.Row(in.db, c.Key); !now.CheckedAt.Equal(r.Clock.Now()) ||
			now.CheckAt.Sub(r.Clock.Now()) > connection.FurthestCheck {
			t.Errorf("checked %v, next %v", now.CheckedAt, now.CheckAt)
		}
		if err := in.SawEvent(r.Ctx, c.Key, r.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		if at := r.Row(in.db, c.Key).LastEventAt; !at.Equal(r.Clock.Now()) {
			t.Errorf("last event %v", at)
		}
	})
}
