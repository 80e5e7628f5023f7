package tokens_test

// One process renews a pair at a time, and rows that can't be renewed stand in nobody's way.

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// The clocks of two machines are a minute apart, one way or the other: a lease holds all the same, and it ends all the
// same.
func TestLeaseWithClocksApart(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{time.Minute, -time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			eachRig(t, func(t *testing.T, r *rig) {
				client, answered, goOn := stage.Held()
				a := r.replica(func(cfg *config) { cfg.HTTP = client })
				b := r.replica(func(cfg *config) { cfg.Now = func() time.Time { return r.Clock.Now().Add(skew) } })
				c := r.connect(a, slacksim.AcmeAdmin)
				r.Slack.SetApp(func(x *slacksim.App) { x.StrictRefresh, x.RefreshGrace = false, time.Minute })
				r.Due()
				r.Clock.Advance(2 * time.Minute)
				var holder sync.WaitGroup
				holder.Go(func() {
					if err := a.Renew(r.Ctx, c.Key); err != nil {
						t.Error(err)
					}
				})
				<-answered
				for range 3 {
					if err := b.Renew(r.Ctx, c.Key); err == nil {
						t.Error("renewed though another process holds the lease")
					}
					r.renewDue(b)
					r.Clock.Advance(9 * time.Second)
				}
				close(goOn)
				holder.Wait()
				r.Spent(1)
				r.Works(r.Row(a.db, c.Key))

				// Who took this one is dead. The other sees that by its own clock.
				r.Due()
				r.Clock.Advance(2 * time.Minute)
				taken := r.Clock.Now()
				r.Update(a.db, c.Key, func(c *connection.Connection) { c.LeaseUntil = taken.Add(30 * time.Second) })
				was := r.Row(a.db, c.Key).Token
				for r.Row(a.db, c.Key).Token == was && r.Clock.Now().Sub(taken) < 5*time.Minute {
					r.renewDue(b)
					r.Clock.Advance(5 * time.Second)
				}
				if took := r.Clock.Now().Sub(taken); took < 30*time.Second || took > 3*time.Minute {
					t.Errorf("the lease of a dead process was over after %v", took)
				}
				r.Spent(2)
				r.Works(r.Row(a.db, c.Key))
			})
		})
	}
}

// Who took a lease was killed before Slack answered. Another process, which runs on, takes over when the lease ends: it
// doesn't begin to watch the lease then.
func TestLeaseOfADeadProcess(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Due()
		taken := r.Clock.Now()
		r.Update(in.db, c.Key, func(c *connection.Connection) { c.LeaseUntil = taken.Add(connection.LeaseLife) })
		for r.Row(in.db, c.Key).Token == c.Token && r.Clock.Now().Sub(taken) < time.Minute {
			r.Clock.Advance(time.Second)
			r.renewDue(in)
		}
		if took := r.Clock.Now().Sub(taken); took < connection.LeaseLife || took > connection.LeaseLife+2*time.Second {
			t.Errorf("the lease of a dead process was over after %v", took)
		}
		r.Spent(1)
		r.Works(r.Row(in.db, c.Key))
	})
}

// However many rows can't be opened, the others are moved to rotation.
func TestUnreadableMakeRoom(t *testing.T) {
	r := sqliteRig(t)
	r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
	in := r.replica(func(cfg *config) { cfg.MoveToRotation = true })
	c := r.connect(in, slacksim.AcmeAdmin)
	r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := storage.Open(r.Ctx, r.Database, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Close() })
	for i := range 200 {
		if _, err := stranger.Add(r.Ctx, connection.Connection{Key: connection.Key{AppID: c.AppID,
			TeamID: fmt.Sprintf("TLL%04d", i)},
			TokenPair: connection.Started("xoxb-1", "", 0, r.Clock.Now()), State: connection.Active, InstalledAt: r.Clock.Now(),
			AuthorizedAt: r.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if _,
		err := r.Raw().ExecContext(r.Ctx,
		"UPDATE connections SET id = 'con_0' || team_id WHERE team_id LIKE 'TLL%'"); err != nil {
		// before c
		t.Fatal(err)
	}
	for range 5 {
		r.renewDue(in)
		r.Clock.Advance(time.Second)
	}
	if r.Row(in.db, c.Key).RefreshToken == "" {
		t.Error("never moved")
	}
}
