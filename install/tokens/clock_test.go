package tokens_test

// A machine's clock was wrong for a while, and what it wrote is still there: nobody whose clock is right waits for that
// time.

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

// renewed has in renew what is due until the token of k is another than before, a few minutes at most.
func (r *rig) renewed(in replica, c connection.Connection) connection.Connection {
	r.T.Helper()
	for range 5 {
		if _, err := in.RenewDue(r.Ctx); err != nil {
			r.T.Fatal(err)
		}
		if now := r.Row(in.db, c.Key); now.Token != c.Token {
			return now
		}
		r.Clock.Advance(time.Minute)
	}
	r.T.Errorf("%s is not renewed", c.TeamID)
	return r.Row(in.db, c.Key)
}

// One replica renews with a clock that is ahead, once. The budget it spent from is open for the others, and what it
// planned happens when it should.
func TestRenewalsAfterAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		for _, d := range []time.Duration{20 * time.Hour, 24 * time.Hour, 400 * 24 * time.Hour} {
			good, ahead := r.replica(nil), r.replica(func(cfg *config) {
				cfg.Now = func() time.Time { return r.Clock.Now().Add(d) }
			})
			c := r.connect(good, slacksim.AcmeAdmin)
			now := r.renewed(ahead, c)
			if wrong := now.RenewAt.Sub(r.Clock.Now()); wrong < d {
				t.Fatalf("the clock ahead planned the next renewal in %v", wrong)
			}
			now = r.renewed(good, now)
			if in := now.RenewAt.Sub(r.Clock.Now()); in > connection.FurthestRenewal ||
				now.ExpiresAt.Sub(r.Clock.Now()) > stage.Life {
				t.Errorf("%v ahead: renewed again in %v", d, in)
			}
			r.Clock.Advance(time.Second) // the budget counts as emptied by that renewal
			now = r.connect(good, slacksim.BirchAdmin)
			r.Due()
			r.Works(r.renewed(good, now))
		}
	})
}

// Who took a lease with a clock that was ahead has died: the others take it over as soon as any other.
func TestLeaseOfAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Due()
		r.Update(in.db, c.Key, func(c *connection.Connection) { c.LeaseUntil = r.Clock.Now().Add(24 * time.Hour) })
		r.Works(r.renewed(in, c))
	})
}

// A process whose own clock is set back, because the database's was: what it remembers of a moment ago holds it up no
// longer.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var ahead atomic.Int64
		ahead.Store(int64(time.Hour))
		in := r.replica(func(c *config) {
			c.Now = func() time.Time { return r.Clock.Now().Add(time.Duration(ahead.Load())) }
		})
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Due()
		r.Update(in.db, c.Key, func(c *connection.Connection) {
			c.RenewAt, c.LeaseUntil = r.Clock.Now(), in.Now().Add(time.Minute)
		})
		if err := in.Renew(r.Ctx, c.Key); err == nil {
			t.Error("renewed what another process leases")
		}
		budget := slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second / 8, Burst: 80}
		other := r.connect(in, slacksim.BirchAdmin)
		r.Update(in.db, other.Key, func(c *connection.Connection) { c.RenewAt = in.Now() })
		if ok, err := in.db.Take(r.Ctx, budget, budget.Burst-2, in.Now()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if n, _ := in.RenewDue(r.Ctx); n != 0 {
			t.Errorf("%d renewed without a budget", n)
		}
		ahead.Store(0)
		r.Update(in.db, other.Key, func(c *connection.Connection) { c.RenewAt = in.Now() })
		r.Works(r.renewed(in, other))
		r.Works(r.renewed(in, c))
	})
}

// What was not believed is told once, with what it is.
func TestBrokenClockIsTold(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var log bytes.Buffer
		in := r.replica(func(c *config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Update(in.db, c.Key, func(c *connection.Connection) { c.RenewAt = c.RenewAt.Add(24 * time.Hour) })
		for range 3 {
			r.renewDue(in)
		}
		if n := strings.Count(log.String(), "a renewal was planned by a clock that was wrong"); n != 1 ||
			!strings.Contains(log.String(), fmt.Sprint(c.Key)) {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
	})
}
