package tokens_test

// What Slack allows is shared by all, and nobody writes while they wait for it.

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Slack asks to wait for a month. No renewal of any workspace is put off for longer than a quarter of an hour.
func TestMadRetryAfter(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
	r.Due()
	r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", RetryAfter: 30 * 86400, Times: 1})
	_ = in.Renew(r.Ctx, a.Key)
	r.Clock.Advance(15*time.Minute - time.Second)
	r.renewDue(in)
	_ = in.Renew(r.Ctx, b.Key)
	r.Spent(1)
	r.Clock.Advance(time.Minute)
	next := r.replica(nil)
	r.renewDue(next)
	r.Spent(3)
	r.Works(r.Row(next.db, a.Key))
	r.Works(r.Row(next.db, b.Key))
}

// The budget is empty and many wait for it. They look now and then, and write nothing.
func TestWaitingForTheBudget(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	var keys []connection.Key
	for _, id := range []string{slacksim.AcmeAdmin, slacksim.BirchAdmin} {
		keys = append(keys, r.connect(in, id).Key)
	}
	r.Clock.Advance(stage.Life + time.Hour)
	if err := in.db.ClosedUntil(r.Ctx, slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second / 8, Burst: 100},
		r.Clock.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	raw := r.Raw()
	writes := func() (n int) {
		t.Helper()
		if err := raw.QueryRow("SELECT sum(version) FROM connections").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := in.Renew(r.Ctx, keys[0]); err == nil { // the first finds out
		t.Error("renewed without a budget")
	}
	before := writes()
	ctx, cancel := context.WithTimeout(r.Ctx, 500*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if _, err := in.Open(ctx, keys[i%len(keys)]); err == nil || ctx.Err() == nil {
				t.Errorf("did not wait: %v", err)
			}
		})
	}
	all.Wait()
	in.Wait()
	if n := writes() - before; n > 0 {
		t.Errorf("50 who waited for half a second wrote %d times", n)
	}
	r.Spent(0)
	r.Clock.Advance(2 * time.Minute)
	for _, k := range keys {
		if _, err := in.Open(r.Ctx, k); err != nil {
			t.Error(err)
		}
	}
}
