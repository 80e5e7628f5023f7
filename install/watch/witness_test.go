package watch_test

import (
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

// What ordinary calls say counts. A bad word is confirmed before it changes anything.
func TestCallsAreEvidence(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		post := func() error {
			open, err := in.Open(r.Ctx, c.Key)
			if err != nil {
				return err
			}
			_, _, err = in.Client(open).PostMessageContext(r.Ctx, slacksim.AcmeAdmin, slack.MsgOptionText("hello", false))
			in.Wait()
			return err
		}
		checks := func() int { return len(r.Slack.Calls("auth.test")) }

		// A lie of one method is asked about, and found out.
		r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "token_revoked", Times: 1})
		before := checks()
		if err := post(); slackapi.SlackError(err) != "token_revoked" {
			t.Fatal(err)
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Active || checks() != before+1 {
			t.Errorf("after a word that was not confirmed: %s, asked %d times", now.State, checks()-before)
		}
		// What is not about the token says that it works.
		r.Clock.Advance(2 * time.Hour)
		r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "not_in_channel", Times: 1})
		_ = post()
		if now := r.Row(in.db, c.Key); !now.CheckedAt.Equal(r.Clock.Now()) {
			t.Errorf("an answer that took the token is no evidence: checked %v", now.CheckedAt)
		}
		// A good call mends what one bad auth.test put in doubt.
		clear := r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: "invalid_auth"})
		in.Check(r.Ctx, c.Key)
		clear()
		if now := r.Row(in.db, c.Key); now.State != connection.Retrying {
			t.Fatalf("%s", now.State)
		}
		r.Clock.Advance(2 * time.Minute)
		if err := post(); err != nil {
			t.Fatal(err)
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Active {
			t.Errorf("a good call does not mend: %s %s", now.State, now.Reason)
		}
		// A token that Slack calls expired before its time is renewed, and nobody is bothered.
		before = len(r.Slack.Calls("oauth.v2.access"))
		r.Clock.Advance(2 * time.Minute)
		r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "token_expired", Times: 1})
		r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: "token_expired", Times: 1})
		_ = post()
		if _, err := in.RenewDue(r.Ctx); err != nil {
			t.Fatal(err)
		}
		now := r.Row(in.db, c.Key)
		if now.State != connection.Active || now.Token == c.Token || len(r.Slack.Calls("oauth.v2.access")) != before+1 {
			t.Errorf("expired before its time: %s %s", now.State, now.Reason)
		}
		r.Works(now)
		// The app is gone, and a call is the first to hear of it.
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		r.Breaches = true // that call
		if err := post(); err == nil {
			t.Fatal("posted to a workspace that removed the app")
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Removed || now.Token != "" {
			t.Errorf("after the removal: %s %s", now.State, now.Reason)
		}
	})
}

// A workspace may join an organisation between a call and its answer's being written down.
func TestEvidenceFollowsAMovedConnection(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.BirchAdmin)
		open, err := in.Open(r.Ctx, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		client := in.Client(open) // of the connection as it was

		r.Join(slacksim.Birch)
		in.Check(r.Ctx, c.Key)
		moved := c.Key
		moved.EnterpriseID = stage.Grid
		if now := r.Row(in.db, moved); now.ID != c.ID {
			t.Fatalf("%s didn't move", c.ID)
		}

		r.Clock.Advance(2 * time.Hour)
		_, _, err = client.PostMessageContext(r.Ctx, slacksim.BirchAdmin, slack.MsgOptionText("hello", false))
		if err != nil {
			t.Fatal(err)
		}
		in.Wait()
		if now := r.Row(in.db, moved); !now.CheckedAt.Equal(r.Clock.Now()) {
			t.Errorf("what the call said is lost: checked %v, now %v", now.CheckedAt, r.Clock.Now())
		}
	})
}
