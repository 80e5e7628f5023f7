package install_test

// What people wrote goes with the connection that it came for, however that ends, and not with an older one.

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/inbox"
)

// letter keeps a message of k as a dead letter, and returns how many such can be read.
func (r *rig) letter(in replica, k connection.Key, id string) (readable func() int) {
	r.T.Helper()
	inbox, err := in.db.Inbox(r.Ctx, inbox.Config{Now: r.Clock.Now})
	if err != nil {
		r.T.Fatal(err)
	}
	inbox.Start()
	defer inbox.Close()
	e := bot.Delivery{ID: id, Kind: "events_api", Type: "message", Key: k, Received: r.Clock.Now(),
		Body: []byte("between us")}
	if _, err := inbox.Add(r.Ctx, &e, true); err != nil {
		r.T.Fatal(err)
	}
	if err := inbox.DeadLetter(r.Ctx, e, "failed"); err != nil {
		r.T.Fatal(err)
	}
	return func() (n int) {
		letters, err := in.db.Letters(r.Ctx, "", 10)
		if err != nil {
			r.T.Fatal(err)
		}
		for _, l := range letters {
			if l, err := in.db.Letter(r.Ctx, l.ID); err == nil && l.Event.Key == k && len(l.Event.Body) > 0 {
				n++
			}
		}
		return n
	}
}

func TestMessagesGoWithTheirConnection(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		ours := connection.Actor{Kind: connection.ByOperator}
		for name, end := range map[string]func(k connection.Key) error{
			"Slack says so": func(k connection.Key) error {
				if err := r.Slack.Admins.Uninstall(r.Ctx, k.TeamID, slacksim.NoUninstallEvents); err != nil {
					return err
				}
				return in.Lifecycle().HandleRemoval(r.Ctx, k,
					connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()})
			},
			"somebody disconnects it": func(k connection.Key) error {
				_, err := in.Leaving().Disconnect(r.Ctx, k, ours)
				return err
			},
			"an operator gives it up": func(k connection.Key) error { return in.Leaving().EraseAnyway(r.Ctx, k, ours) },
		} {
			c := r.connect(in, slacksim.AcmeAdmin)
			readable := r.letter(in, c.Key, name)
			if err := in.Lifecycle().HandleRemoval(r.Ctx, c.Key,
				connection.Removal{Reason: connection.ReasonUninstalled, At: c.AuthorizedAt.Add(-time.Minute)}); err != nil {
				t.Fatal(err)
			}
			if n := readable(); n != 1 {
				t.Errorf("%s: a late word about an older install leaves %d messages of the new one", name, n)
			}
			if err := end(c.Key); err != nil {
				t.Fatal(err)
			}
			if n := readable(); n != 0 || r.Row(in.db, c.Key).State != connection.Removed {
				t.Errorf("%s: %d messages are left", name, n)
			}
		}
	})
}

// The organisation keeps its connection, and what came from a workspace that it took the app from is erased.
func TestMessagesOfALeftWorkspaceGo(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		org := r.Organisation(in.db)
		left := connection.Key{AppID: org.AppID, EnterpriseID: stage.Grid, TeamID: stage.GridTwo}
		stays := connection.Key{AppID: org.AppID, EnterpriseID: stage.Grid, TeamID: stage.GridOne}
		gone, kept := r.letter(in, left, "left"), r.letter(in, stays, "stays")
		for _, c := range []struct {
			added bool
			at    time.Time
			want  int
		}{{true, r.Clock.Now(), 1}, {false, r.Clock.Now().Add(-time.Minute), 1}, {false, r.Clock.Now(), 0}} {
			if err := in.Lifecycle().HandleTeamAccess(r.Ctx, org.Key, c.added, []string{stage.GridTwo}, c.at); err != nil {
				t.Fatal(err)
			}
			if gone() != c.want || kept() != 1 {
				t.Errorf("added %v at %v: %d messages of the workspace are left, %d of the other", c.added, c.at, gone(), kept())
			}
		}
	})
}
