package install_test

// What becomes of a connection when Slack says something about it, and who is told.

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Two who disconnect in one moment both read that it is done, and history tells it once.
func TestDisconnectedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Breaches = true // the second one asks with a token that the first one ended
		first := r.replica(func(cfg *install.Config) {
			cfg.HTTP = stage.Between("apps.uninstall", func(*http.Response) {
				said, err := in.Leaving().Disconnect(r.Ctx, c.Key, connection.Person(slacksim.AcmeMember))
				if said != "account_inactive" || err != nil {
					t.Errorf("the second: %q %v", said, err)
				}
			})
		})
		if said, err := first.Leaving().Disconnect(r.Ctx, c.Key, connection.Person(slacksim.AcmeAdmin)); said != "ok" ||
			err != nil {
			t.Errorf("the first: %q %v", said, err)
		}

		lines, err := in.History(r.Ctx, c, 5)
		if err != nil || len(lines) != 2 || lines[0].What != connection.DidDisconnect ||
			lines[1].What != connection.DidInstall {
			t.Errorf("history: %+v (%v)", lines, err)
		}
	})
}

// The answer to an exchange is lost on the way. Within Slack's grace the old refresh token buys another pair; after
// that the connection needs a person, and what is left of its access works to its end.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Slack.SetApp(func(a *slacksim.App) { a.StrictRefresh, a.RefreshGrace = false, time.Minute })
		r.Due()
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", DropAnswer: true})
		if err := in.Renew(r.Ctx, c.Key); !errors.Is(err, connection.ErrRenewing) {
			t.Fatalf("renew: %v", err)
		}
		clear()
		now := r.Row(in.db, c.Key)
		if now.State != connection.Retrying || now.Reason != connection.ReasonRenewalFailing ||
			now.RenewAt.Sub(r.Clock.Now()) > 5*time.Second {
			t.Fatalf("after a lost answer: %s %s, again in %v", now.State, now.Reason, now.RenewAt.Sub(r.Clock.Now()))
		}
		r.Clock.Advance(5 * time.Second)
		if err := in.Renew(r.Ctx, c.Key); err != nil {
			t.Fatal(err)
		}
		now = r.Row(in.db, c.Key)
		if now.State != connection.Active || now.Tries != 0 {
			t.Errorf("after the second try: %s %s", now.State, now.Reason)
		}
		r.Works(now)

		r.Slack.SetApp(func(a *slacksim.App) { a.StrictRefresh = true })
		r.Due()
		clear = r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", DropAnswer: true})
		_ = in.Renew(r.Ctx, c.Key)
		clear()
		for range 2 {
			r.Clock.Advance(time.Minute)
			_ = in.Renew(r.Ctx, c.Key)
		}
		now = r.Row(in.db, c.Key)
		if now.State != connection.ReconnectRequired || now.Reason != connection.ReasonRefreshRejected {
			t.Fatalf("a refresh token that is gone: %s %s", now.State, now.Reason)
		}
		if open, err := in.Open(r.Ctx, c.Key); err != nil || open.Token != now.Token {
			t.Errorf("its last access token is not used to its end: %v", err)
		}
		if h := in.Check(r.Ctx, c.Key); h.State != connection.ReconnectRequired || h.WorksUntil.IsZero() {
			t.Errorf("a good auth.test hides that it needs a person: %s", h.State)
		}
		asked, _ := r.Exchanges()
		_ = in.Renew(r.Ctx, c.Key)
		if again, _ := r.Exchanges(); again != asked {
			t.Error("a dead refresh token is presented on and on")
		}
		r.Clock.Advance(stage.Life)
		if _, err := in.Open(r.Ctx, c.Key); !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("open after the end: %v", err)
		}
		if c := r.connect(in, slacksim.AcmeAdmin); c.ID != now.ID || c.State != connection.Active {
			t.Errorf("reconnect: %+v", c)
		}
	})
}

// Slack's OAuth is down when a token has ended: requests are told so, and don't each ask Slack again.
func TestExpiredInTrouble(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Clock.Advance(stage.Life + time.Hour)
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500})
		for range 20 {
			if _, err := in.Open(r.Ctx, c.Key); !errors.Is(err, connection.ErrRenewing) {
				t.Fatalf("open: %v", err)
			}
		}
		if asked, _ := r.Exchanges(); asked != 1 {
			t.Errorf("%d calls for 20 requests in one moment", asked)
		}
		for range 20 {
			r.Clock.Advance(2 * time.Minute)
			_, _ = in.Open(r.Ctx, c.Key)
		}
		if asked, _ := r.Exchanges(); asked != 21 {
			t.Errorf("%d calls, one for each two minutes and the first are 21", asked)
		}
		if h := in.Assess(in.Open(r.Ctx, c.Key)); h.State != connection.Retrying ||
			h.Reason != connection.ReasonRenewalFailing {
			t.Errorf("shown as %s %s", h.State, h.Reason)
		}
		clear()
		r.Clock.Advance(2 * time.Minute)
		now, err := in.Open(r.Ctx, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		r.Works(now)
	})
}
