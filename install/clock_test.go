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
	return r.replica(func(c *install.Config) { c.Now = func() time.Time { return r.Clock.Now().Add(d) } })
}

// A check and an event that are still to come have not happened: the next ones count.
func TestCheckedByAClockAhead(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, ahead := r.replica(nil), r.off(24*time.Hour)
		c := r.connect(in, slacksim.AcmeAdmin)
		if err := ahead.Lifecycle().SawEvent(r.Ctx, c.Key, r.Clock.Now().Add(24*time.Hour)); err != nil {
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
		in.Settle()
		if at := r.Row(in.db, c.Key).CheckedAt; !at.Equal(r.Clock.Now()) {
			t.Errorf("a call that went well was not noted: checked %v", at)
		}
		if err := in.CheckDue(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if now = r.Row(in.db, c.Key); !now.CheckedAt.Equal(r.Clock.Now()) || now.CheckAt.Sub(r.Clock.Now()) > connection.FurthestCheck {
			t.Errorf("checked %v, next %v", now.CheckedAt, now.CheckAt)
		}
		if err := in.Lifecycle().SawEvent(r.Ctx, c.Key, r.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		if at := r.Row(in.db, c.Key).LastEventAt; !at.Equal(r.Clock.Now()) {
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
			stop := r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: connection.ReasonInvalidAuth})
			if err := in.Lifecycle().HandleRemoval(r.Ctx, c.Key, connection.Removal{Reason: connection.ReasonTokenRevoked, At: r.Clock.Now()}); err != nil {
				t.Fatal(err)
			}
			stop()
			if now := r.Row(in.db, c.Key); now.Token != "" {
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
		if err := in.db.UseClock(r.Ctx, func() time.Time { return time.Unix(1, 0) }); err != nil {
			t.Fatal(err)
		}
		if got := in.Now(); !got.Equal(time.Unix(1, 0)) {
			t.Errorf("the time is %v", got)
		}
	})
}
