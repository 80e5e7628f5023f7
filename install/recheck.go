package install

// People press "Check again" more often than an answer changes, so what they ask Slack for is counted.

import (
	"context"
	"time"
)

// RecheckEvery is how often Recheck asks Slack about one connection.
const RecheckEvery = 10 * time.Second

// Recheck is Check for people who can ask again and again: Slack is asked about one connection at most every RecheckEvery, by
// all processes together. In between the state is the one in our records, and asked is false.
func (in *Installer) Recheck(ctx context.Context, k Key) (h Health, asked bool) {
	c, err := in.store.Find(ctx, k)
	if err == nil && c.Token != "" {
		free, err := in.store.Spend(ctx, Budget{Name: "check " + c.ID, Interval: RecheckEvery, Burst: 1}, 1, in.now())
		if err == nil && !free { // where the database can't tell, one check more does no harm
			return in.Assess(c, nil), false
		}
	}
	return in.Check(ctx, k), true
}
