package install

// People press "Check again" more often than an answer changes, so what they ask Slack for is counted.

import (
	"context"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// RecheckEvery is how often people may have Slack asked about one connection.
const RecheckEvery = 10 * time.Second

// MayRecheck takes the turn to ask Slack about c (Check), which comes once every RecheckEvery for all processes together; false
// when it was taken. It blocks for the store. Where that can't tell, one check more does no harm.
func (in *Installer) MayRecheck(ctx context.Context, c connection.Connection) bool {
	if c.ID == "" || c.Token == "" {
		return true // nobody is asked
	}
	free, err := in.store.Take(ctx, slackapi.Budget{Name: "check " + c.ID, Interval: RecheckEvery, Burst: 1}, 1, in.now())
	return err != nil || free
}
