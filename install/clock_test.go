package install_test

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
)

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
