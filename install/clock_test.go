package install_test

// A machine's clock was wrong for a while, and what it wrote is still there: nobody whose clock is right waits for that time.

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// off is a replica whose clock is off by d.
func (r *rig) off(d time.Duration) replica {
	return r.replica(func(c *install.Config) { c.Now = func() time.Time { return r.clock.Now().Add(d) } })
}

// A check and an event that are still to come have not happened: the next ones count.
func TestCheckedByAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, ahead := r.replica(nil), r.off(24*time.Hour)
		c := r.connect(in, slacksim.AcmeAdmin)
		if err := ahead.Lifecycle().SawEvent(r.ctx, c.Key, r.clock.Now().Add(24*time.Hour)); err != nil {
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
		if err := in.Lifecycle().SawEvent(r.ctx, c.Key, r.clock.Now()); err != nil {
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
			if err := in.Lifecycle().HandleRemoval(r.ctx, c.Key, connection.Removal{Reason: connection.ReasonTokenRevoked, At: r.clock.Now()}); err != nil {
				t.Fatal(err)
			}
			stop()
			if now := r.row(in, c.Key); now.Token != "" {
				t.Errorf("%v ahead: revoked, and the token is still there", ahead)
			}
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
