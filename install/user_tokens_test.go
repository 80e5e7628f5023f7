package install_test

// Tokens that act for one person: their own token pair, their own fate.

import (
	"errors"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
)

func forPeople(cfg *install.Config) { cfg.UserScopes = []connection.Scope{{Name: "chat:write"}} }

func TestPeopleHaveTheirOwnTokens(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(forPeople)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.connect(in, slacksim.AcmeMember)
		for _, id := range []string{slacksim.AcmeAdmin, slacksim.AcmeMember} {
			u, err := in.OpenUser(r.Ctx, c.Key, id)
			if err != nil {
				t.Fatal(err)
			}
			who, err := in.Connections().UserClientIn(u, "").AuthTestContext(r.Ctx)
			if err != nil || who.UserID != id || u.ConnectionID != c.ID {
				t.Errorf("the token of %s acts for %+v (%v)", id, who, err)
			}
		}
		if _, err := in.OpenUser(r.Ctx, c.Key, "U0NOBODY"); !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("a token for somebody who granted none: %v", err)
		}
		r.Due()
		n, err := in.RenewDue(r.Ctx)
		if err != nil || n != 3 {
			t.Fatalf("%d chains renewed (%v), not the bot's and two people's", n, err)
		}
		r.Clock.Advance(stage.Life / 2) // the first tokens have ended
		for _, id := range []string{slacksim.AcmeAdmin, slacksim.AcmeMember} {
			u, err := in.OpenUser(r.Ctx, c.Key, id)
			if err != nil {
				t.Fatal(err)
			}
			if at, _ := r.Slack.Installed(c.TeamID); at.UserTokens[id] != u.Token.Reveal() {
				t.Errorf("the token of %s is not the newest", id)
			}
		}
		r.EmptyJournal()
	})
}

// A refresh token of a person that is dead kills nothing but that person's token; and a bot's likewise.
func TestFatesAreSeparate(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(forPeople)
		c := r.connect(in, slacksim.AcmeAdmin)
		h := connection.TokenOwner{Key: c.Key, UserID: slacksim.AcmeAdmin}
		spoil := func(chain *connection.TokenPair) { chain.RefreshToken += "-gone" }
		if _, err := in.db.UpdateUser(r.Ctx, h, func(u *connection.UserToken) error {
			spoil(&u.TokenPair)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		renew := func() {
			r.Due()
			for range 3 {
				if _, err := in.RenewDue(r.Ctx); err != nil {
					t.Fatal(err)
				}
				r.Clock.Advance(time.Minute)
			}
		}
		renew()
		u, err := in.db.GetUser(r.Ctx, h)
		if err != nil || u.Reason != connection.ReasonRefreshRejected || !u.RenewAt.IsZero() {
			t.Errorf("the person's chain: %q %v %v", u.Reason, u.RenewAt, err)
		}
		now := r.Row(in.db, c.Key)
		if now.State != connection.Active {
			t.Errorf("the bot's: %s %s", now.State, now.Reason)
		}
		r.Works(now)

		r.connect(in, slacksim.AcmeAdmin) // both are new
		if _, err := in.db.Update(r.Ctx, c.Key, func(c *connection.Connection) error {
			spoil(&c.TokenPair)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		before, err := in.db.GetUser(r.Ctx, h)
		if err != nil || before.Reason != "" {
			t.Fatalf("granted anew: %q %v", before.Reason, err)
		}
		renew()
		if now := r.Row(in.db, c.Key); now.State != connection.ReconnectRequired ||
			now.Reason != connection.ReasonRefreshRejected {
			t.Errorf("the bot's: %s %s", now.State, now.Reason)
		}
		if u, err := in.db.GetUser(r.Ctx, h); err != nil || u.Reason != "" || u.Token == before.Token {
			t.Errorf("the person's: %q, renewed %v (%v)", u.Reason, u.Token != before.Token, err)
		}
	})
}

// A person takes their token back: it is erased by name, and only if it is gone.
func TestPersonTakesTokenBack(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(forPeople)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.connect(in, slacksim.AcmeMember)
		said := r.Clock.Now()
		both := []string{slacksim.AcmeAdmin, slacksim.AcmeMember}
		if err := in.Lifecycle().HandleUsersRevoked(r.Ctx, c.Key, both, said); err != nil {
			t.Fatal(err)
		}
		if left, _ := in.db.Users(r.Ctx, c.Key); len(left) != 2 {
			t.Fatalf("tokens that Slack still takes were erased: %d left", len(left))
		}
		if err := r.Slack.Admins.RevokeUser(r.Ctx, slacksim.AcmeMember); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the word comes twice
			if err := in.Lifecycle().HandleUsersRevoked(r.Ctx, c.Key, both, said); err != nil {
				t.Fatal(err)
			}
		}
		left, err := in.db.Users(r.Ctx, c.Key)
		if err != nil || len(left) != 1 || left[0].UserID != slacksim.AcmeAdmin {
			t.Errorf("left: %+v (%v)", left, err)
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Active {
			t.Errorf("the bot: %s", now.State)
		}
		lines, err := in.db.History(r.Ctx, c.ID, 20)
		revoked := 0
		for _, l := range lines {
			if l.What == connection.DidUserRevoke {
				revoked++
				if l.Reason != slacksim.AcmeMember || l.By.Kind != connection.BySlack {
					t.Errorf("%+v", l)
				}
			}
		}
		if err != nil || revoked != 1 {
			t.Errorf("%d lines about it (%v)", revoked, err)
		}
		// With the app everybody's token goes.
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		in.Check(r.Ctx, c.Key)
		if now := r.Row(in.db, c.Key); now.State != connection.Removed {
			t.Errorf("the bot: %s", now.State)
		}
		if left, _ := in.db.Users(r.Ctx, c.Key); len(left) != 0 {
			t.Errorf("%d people's tokens outlive the app", len(left))
		}
	})
}

// Without user scopes nobody is asked for anything.
func TestNobodyIsAskedToActFor(t *testing.T) {
	t.Parallel()
	r := newRig(t, "sqlite:"+t.TempDir()+"/x.db")
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	if left, _ := in.db.Users(r.Ctx, c.Key); len(left) != 0 {
		t.Error("a person's token without a user scope")
	}
	if at, _ := r.Slack.Installed(c.TeamID); len(at.UserTokens) != 0 {
		t.Error("Slack gave one too")
	}
}
