package watch_test

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
)

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
			if err := in.HandleChannelChanged(r.Ctx, c.Key, from, to); err != nil {
				t.Fatal(err)
			}
		}
		if now := r.Row(in.db, c.Key); now.Webhook.ChannelID != "C1" || now.Notice.Channel != "C2" {
			t.Errorf("%s %s", now.Webhook.ChannelID, now.Notice.Channel)
		}
		if err := in.HandleChannelChanged(r.Ctx, connection.Key{AppID: c.AppID, TeamID: "T0NOBODY01"}, "G1",
			"C1"); err != nil {
			t.Error(err)
		}
	})
}

// A workspace that leaves takes nothing from the organisation, whatever state its access is in.
func TestWorkspaceLeavesAlone(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.Organisation(in.db)
		// Slack can't say whether it is gone
		r.Update(in.db, org.Key, func(c *connection.Connection) {
			c.TokenPair = connection.TokenPair{Token: "xoxb-not-known"}
		})
		k := connection.Key{AppID: org.AppID, EnterpriseID: stage.Grid, TeamID: stage.GridOne}
		for _, reason := range []string{connection.ReasonUninstalled, connection.ReasonTokenRevoked} {
			if err := in.HandleRemoval(r.Ctx, k, connection.Removal{Reason: reason, At: r.Clock.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		if now := r.Row(in.db, org.Key); now.State != connection.Active || now.Token == "" ||
			now.PendingRemoval != (connection.Removal{}) {
			t.Errorf("%+v", now)
		}
		if err := in.HandleRemoval(r.Ctx, org.Key,
			connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
		if now := r.Row(in.db, org.Key); now.State != connection.Removed {
			t.Errorf("its own: %+v", now)
		}
	})
}

// A person takes back what they allowed on the organisation's install, and Slack's word names a workspace beside it.
// Nothing but its answer about the token counts then.
func TestPersonOfAnOrganisation(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.Organisation(in.db)
		r.Consent(stage.GridAdmin, slacksim.Choice{Org: true}, "chat:write")
		at, _ := r.Slack.Installed(stage.Grid)
		k := connection.Key{AppID: org.AppID, EnterpriseID: stage.Grid, TeamID: stage.GridOne}
		for id, token := range map[string]string{stage.GridAdmin: at.UserTokens[stage.GridAdmin],
			stage.GridOwner: "xoxp-not-known"} {
			u := connection.UserToken{TokenOwner: connection.TokenOwner{Key: org.Key, UserID: id},
				TokenPair: connection.TokenPair{Token: connection.Secret(token)}, GrantedAt: r.Clock.Now()}
			if err := in.db.AddUser(r.Ctx, u); err != nil {
				t.Fatal(err)
			}
		}
		said := func(want int) {
			t.Helper()
			if err := in.HandleUsersRevoked(r.Ctx, k, []string{stage.GridAdmin, stage.GridOwner},
				r.Clock.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if left, err := in.db.Users(r.Ctx, org.Key); err != nil || len(left) != want {
				t.Errorf("%d are left, want %d (%v)", len(left), want, err)
			}
		}
		said(2)
		if err := r.Slack.Admins.RevokeUser(r.Ctx, stage.GridAdmin); err != nil {
			t.Fatal(err)
		}
		said(1)
	})
}

// Slack's word about a consent is not taken for one about an older consent, because the clock was ahead that dated it.
func TestRemovalOfAConsentByAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		for _, ahead := range []time.Duration{0, time.Hour} {
			c := r.connect(r.off(ahead), slacksim.AcmeAdmin)
			stop := r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: connection.ReasonInvalidAuth})
			if err := in.HandleRemoval(r.Ctx, c.Key,
				connection.Removal{Reason: connection.ReasonTokenRevoked, At: r.Clock.Now()}); err != nil {
				t.Fatal(err)
			}
			stop()
			if now := r.Row(in.db, c.Key); now.Token != "" {
				t.Errorf("%v ahead: revoked, and the token is still there", ahead)
			}
		}
	})
}

// While Slack holds back events of a workspace, its state says since when and as of when, on every replica; afterwards
// nothing.
func TestEventsHeld(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		one, two := r.replica(nil), r.replica(nil)
		c := r.connect(one, slacksim.AcmeMember)
		shows := func(when string, since, at time.Time) {
			t.Helper()
			for _, in := range []replica{one, two} {
				if h := in.Assess(r.Row(in.db, c.Key), nil); !h.HeldSince.Equal(since) || !h.HeldAt.Equal(at) {
					t.Errorf("%s: since %v as of %v, want %v %v", when, h.HeldSince, h.HeldAt, since, at)
				}
			}
		}
		held := func(in replica, minute time.Time) {
			t.Helper()
			// Slack names the workspace and never its organisation.
			if err := in.HandleRateLimited(r.Ctx, connection.Key{AppID: c.AppID, TeamID: c.TeamID}, minute); err != nil {
				t.Error(err)
			}
		}
		shows("before", time.Time{}, time.Time{})
		first := r.Clock.Now().Truncate(time.Minute)
		held(one, first)
		shows("the first minute", first, first)
		r.Clock.Advance(time.Minute)
		second := first.Add(time.Minute)
		held(two, second)
		held(one, second) // twice
		held(one, first)  // late
		shows("the second minute", first, second)
		r.Clock.Advance(3 * time.Minute)
		shows("when it is over", time.Time{}, time.Time{})

		// A minute that Slack doesn't name, or names wrongly, is now; what a broken clock wrote is not believed.
		third := r.Clock.Now().Truncate(time.Minute)
		held(one, time.Unix(0, 0))
		shows("without a minute", third, third)
		if _, err := one.db.Update(r.Ctx, c.Key, func(row *connection.Connection) error {
			row.EventsHeldSince, row.EventsHeldAt = third.Add(9*time.Hour), third.Add(9*time.Hour)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		shows("of tomorrow", time.Time{}, time.Time{})
		r.Clock.Advance(time.Minute)
		held(two, r.Clock.Now().Add(time.Hour))
		shows("after that", third.Add(time.Minute), third.Add(time.Minute))

		if err := one.HandleRateLimited(r.Ctx, connection.Key{AppID: c.AppID, TeamID: "T0NOBODY01"}, third); err != nil {
			t.Errorf("an unknown workspace: %v", err)
		}
	})
}

// Slack's word that the token is gone doesn't end the operator's pause, nor does who then reconnects.
func TestPauseOutlivesTheToken(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, operator := r.replica(nil), connection.Actor{Kind: connection.ByOperator}
		for _, reconnects := range []bool{false, true} {
			c := r.connect(in, slacksim.AcmeAdmin)
			if _, err := in.Connections.Pause(r.Ctx, c.Key, operator); err != nil {
				t.Fatal(err)
			}
			stop := r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: connection.ReasonTokenRevoked})
			if err := in.HandleRemoval(r.Ctx, c.Key,
				connection.Removal{Reason: connection.ReasonTokenRevoked, At: r.Clock.Now()}); err != nil {
				t.Fatal(err)
			}
			stop()
			if now := r.Row(in.db, c.Key); now.State != connection.Paused || now.Token != "" ||
				now.Reason != connection.ReasonTokenRevoked {
				t.Errorf("revoked: %s %s", now.State, now.Reason)
			}

			want, why := connection.ReconnectRequired, connection.ReasonTokenRevoked
			if reconnects {
				r.connect(in, slacksim.AcmeAdmin)
				if now := r.Row(in.db, c.Key); now.State != connection.Paused || now.Token == "" || now.Reason != "" {
					t.Errorf("reconnected: %s %s", now.State, now.Reason)
				}
				want, why = connection.Active, connection.ReasonNone
			}
			if now, err := in.Connections.Resume(r.Ctx, c.Key, operator); err != nil || now.State != want || now.Reason != why {
				t.Errorf("resumed: %s %s, want %s %s (%v)", now.State, now.Reason, want, why, err)
			}
		}
	})
}
