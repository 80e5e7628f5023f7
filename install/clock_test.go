package install_test

// A machine's clock was wrong for a while, and what it wrote is still there: nobody whose clock is right waits for that
// time.

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
)

// off is a replica whose clock is off by d.
func (r *rig) off(d time.Duration) replica {
	return r.replica(func(c *install.Config) { c.Now = func() time.Time { return r.Clock.Now().Add(d) } })
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
