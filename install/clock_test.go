package install_test

// A machine's clock was wrong for a while, and what it wrote is still there: nobody whose clock is right waits for that time.

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

// off is a replica whose clock is off by d.
func (r *rig) off(d time.Duration) replica {
	return r.replica(func(c *install.Config) { c.Now = func() time.Time { return r.clock.Now().Add(d) } })
}

// renewed has in renew what is due until the token of k is another than before, a few minutes at most.
func (r *rig) renewed(in replica, c connection.Connection) connection.Connection {
	r.t.Helper()
	for range 5 {
		if _, err := in.RenewDue(r.ctx); err != nil {
			r.t.Fatal(err)
		}
		if now := r.row(in, c.Key); now.Token != c.Token {
			return now
		}
		r.clock.Advance(time.Minute)
	}
	r.t.Errorf("%s is not renewed", c.TeamID)
	return r.row(in, c.Key)
}

// One replica renews with a clock that is ahead, once. The budget it spent from is open for the others, and what it planned
// happens when it should.
func TestRenewalsAfterAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		for _, d := range []time.Duration{20 * time.Hour, 24 * time.Hour, 400 * 24 * time.Hour} {
			good, ahead := r.replica(nil), r.off(d)
			c := r.connect(good, slacksim.AcmeAdmin)
			now := r.renewed(ahead, c)
			if wrong := now.RenewAt.Sub(r.clock.Now()); wrong < d {
				t.Fatalf("the clock ahead planned the next renewal in %v", wrong)
			}
			now = r.renewed(good, now)
			if in := now.RenewAt.Sub(r.clock.Now()); in > connection.FurthestRenewal || now.ExpiresAt.Sub(r.clock.Now()) > life {
				t.Errorf("%v ahead: renewed again in %v", d, in)
			}
			r.clock.Advance(time.Second) // the budget counts as emptied by that renewal
			now = r.connect(good, slacksim.BirchAdmin)
			r.due()
			r.works(r.renewed(good, now))
		}
	})
}

// Who took a lease with a clock that was ahead has died: the others take it over as soon as any other.
func TestLeaseOfAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.due()
		r.update(in, c.Key, func(c *connection.Connection) { c.LeaseUntil = r.clock.Now().Add(24 * time.Hour) })
		r.works(r.renewed(in, c))
	})
}

// A process whose own clock is set back, because the database's was: what it remembers of a moment ago holds it up no longer.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var ahead atomic.Int64
		ahead.Store(int64(time.Hour))
		in := r.replica(func(c *install.Config) {
			c.Now = func() time.Time { return r.clock.Now().Add(time.Duration(ahead.Load())) }
		})
		c := r.connect(in, slacksim.AcmeAdmin)
		r.due()
		r.update(in, c.Key, func(c *connection.Connection) { c.RenewAt, c.LeaseUntil = r.clock.Now(), in.Now().Add(time.Minute) })
		if err := in.Renew(r.ctx, c.Key); err == nil {
			t.Error("renewed what another process leases")
		}
		budget := slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second / 8, Burst: 80}
		other := r.connect(in, slacksim.BirchAdmin)
		r.update(in, other.Key, func(c *connection.Connection) { c.RenewAt = in.Now() })
		if ok, err := in.db.Take(r.ctx, budget, budget.Burst-2, in.Now()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if n, _ := in.RenewDue(r.ctx); n != 0 {
			t.Errorf("%d renewed without a budget", n)
		}
		ahead.Store(0)
		r.update(in, other.Key, func(c *connection.Connection) { c.RenewAt = in.Now() })
		r.works(r.renewed(in, other))
		r.works(r.renewed(in, c))
	})
}

// A check and an event that are still to come have not happened: the next ones count.
func TestCheckedByAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, ahead := r.replica(nil), r.off(24*time.Hour)
		c := r.connect(in, slacksim.AcmeAdmin)
		if err := ahead.SawEvent(r.ctx, c.Key, r.clock.Now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		ahead.Check(r.ctx, c.Key)
		if at := r.row(in, c.Key).CheckAt; at.Sub(r.clock.Now()) < 24*time.Hour {
			t.Fatalf("the clock ahead planned the next check at %v", at)
		}
		now := r.row(in, c.Key)
		if _, err := in.Client(now).AuthTestContext(r.ctx); err != nil {
			t.Fatal(err)
		}
		in.Settle()
		if at := r.row(in, c.Key).CheckedAt; !at.Equal(r.clock.Now()) {
			t.Errorf("a call that went well was not noted: checked %v", at)
		}
		if err := in.CheckDue(r.ctx); err != nil {
			t.Fatal(err)
		}
		if now = r.row(in, c.Key); !now.CheckedAt.Equal(r.clock.Now()) || now.CheckAt.Sub(r.clock.Now()) > connection.FurthestCheck {
			t.Errorf("checked %v, next %v", now.CheckedAt, now.CheckAt)
		}
		if err := in.SawEvent(r.ctx, c.Key, r.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if at := r.row(in, c.Key).LastEventAt; !at.Equal(r.clock.Now()) {
			t.Errorf("last event %v", at)
		}
	})
}

// Slack's word about a consent is not taken for one about an older consent, because the clock was ahead that dated it.
func TestRemovalOfAConsentByAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		for _, ahead := range []time.Duration{0, time.Hour} {
			c := r.connect(r.off(ahead), slacksim.AcmeAdmin)
			stop := r.slack.Inject(slacksim.Fault{Method: "auth.test", Error: connection.ReasonInvalidAuth})
			if err := in.HandleRemoval(r.ctx, c.Key, connection.Removal{Reason: connection.ReasonTokenRevoked, At: r.clock.Now()}); err != nil {
				t.Fatal(err)
			}
			stop()
			if now := r.row(in, c.Key); now.Token != "" {
				t.Errorf("%v ahead: revoked, and the token is still there", ahead)
			}
		}
	})
}

// What was not believed is told once, with what it is.
func TestBrokenClockIsTold(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var log bytes.Buffer
		in := r.replica(func(c *install.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		c := r.connect(in, slacksim.AcmeAdmin)
		r.update(in, c.Key, func(c *connection.Connection) { c.RenewAt = c.RenewAt.Add(24 * time.Hour) })
		for range 3 {
			r.renewDue(in)
		}
		if n := strings.Count(log.String(), "a renewal was planned by a clock that was wrong"); n != 1 || !strings.Contains(log.String(), fmt.Sprint(c.Key)) {
			t.Errorf("told %d times:\n%s", n, log.String())
		}
	})
}

// Without a clock that it is given, an Installer goes by the store's.
func TestStoresClockCounts(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(func(c *install.Config) { c.Now = nil })
		if err := in.db.UseClock(r.ctx, func() time.Time { return time.Unix(1, 0) }); err != nil {
			t.Fatal(err)
		}
		if got := in.Now(); !got.Equal(time.Unix(1, 0)) {
			t.Errorf("the time is %v", got)
		}
	})
}
