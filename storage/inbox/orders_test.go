package inbox_test

// Orders of events in which the inbox once lost its promises: lanes, turns between workspaces and replicas, leases that
// end.

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// until looks until ok, for what tells nobody when it happens.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for end := time.After(20 * time.Second); !ok(); {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func laned(id, team, lane string) bot.Delivery {
	e := storetest.Event(id, team)
	e.OrderingKey = lane
	return e
}

// Two messages of one conversation that share a commit are worked in the order of their arrival, not of their ids.
func TestInboxLaneOrderInABatch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		tx, err := f.Raw.BeginTx(t.Context(), nil) // the database is slow for a moment
		storetest.OK(t, err)
		if f.Dialect() == "postgres" {
			_, err = tx.Exec("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
		} else {
			_, err = tx.Exec("UPDATE inbox SET error = error")
			if err == nil {
				_, err = tx.Exec("DELETE FROM inbox")
			}
		}
		storetest.OK(t, err)
		var all sync.WaitGroup
		all.Go(func() { in.add(storetest.Event("EvBlocker", "T9"), false) })
		until(t, "the first commit to begin", in.Committing)
		for i, id := range []string{"Ev9", "Ev5", "Ev1"} {
			all.Go(func() { in.add(laned(id, "T1", "a"), false) })
			until(t, "it to wait", func() bool { return in.Queued() == i+1 })
		}
		storetest.OK(t, tx.Rollback())
		all.Wait()
		storetest.OK(t, in.LetAllGo(t.Context()))
		var order []string
		for len(order) < 3 {
			got := false
			for _, e := range in.claim(10) {
				got = true
				if e.OrderingKey != "" {
					order = append(order, e.ID)
				}
				storetest.OK(t, in.Done(t.Context(), e))
			}
			if !got {
				storetest.OK(t, in.LetAllGo(t.Context()))
			}
		}
		if want := []string{"Ev9", "Ev5", "Ev1"}; !slices.Equal(order, want) {
			t.Errorf("arrived %v, worked %v", want, order)
		}
	})
}

// A dead letter that is replayed while another event of its ordering key is being worked waits for it.
func TestInboxOneOfALane(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		in.add(laned("a1", "T1", "a"), false)
		in.add(laned("a2", "T1", "a"), false)
		storetest.OK(t, in.LetAllGo(t.Context()))
		storetest.OK(t, in.DeadLetter(t.Context(), in.claim(1)[0], "no"))
		storetest.OK(t, in.LetAllGo(t.Context()))
		ids(t, "being worked", in.claim(5), "a2")
		_, err := f.ReplayLetters(t.Context(), 0)
		storetest.OK(t, err)
		storetest.OK(t, in.LetAllGo(t.Context()))
		ids(t, "beside a2, which is held", in.claim(5))
	})
}

// PostgreSQL: the row with the smaller id becomes visible after the one with the larger id was handed out; it waits.
func TestInboxOneOfALaneLateCommit(t *testing.T) {
	t.Parallel()
	f := storetest.Open(t, storagetest.Postgres(t))
	c := newClock()
	a, b := opened(t, f, c), opened(t, f, c)
	// Replica A's insert is made and not yet committed: its id is the smaller one.
	tx, err := f.Raw.BeginTx(t.Context(), nil)
	storetest.OK(t, err)
	_, err = tx.Exec(`INSERT INTO inbox (app_id, event_id, enterprise_id, team_id, kind, type, lane, state, tag, visible_at, attempt, failures, received_at, finished_at, said, error, payload)
		VALUES ('A1', 'slow', 'E1', 'T1', 'events_api', 'message', 'a', 'queued', 0, 0, 0, 0, 0, 0, '', '', '')`)
	storetest.OK(t, err)
	b.add(laned("quick", "T1", "a"), false)
	storetest.OK(t, b.LetAllGo(t.Context()))
	ids(t, "B works", b.claim(5), "quick")
	storetest.OK(t, tx.Commit())
	storetest.OK(t, a.LetAllGo(t.Context())) // as A's commitAdds does
	var n int
	storetest.OK(t, f.Raw.QueryRow("SELECT count(*) FROM inbox WHERE lane = 'a' AND state IN ('ready', 'held')").Scan(&n))
	if n != 1 {
		t.Errorf("%d events of one conversation are let go at once", n)
	}
}

// One workspace's failed events come back behind the others' new ones, and do not hide them from the claim when it has
// enough.
func TestInboxRetriesStarveNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		for i := range 600 {
			in.add(storetest.Event(fmt.Sprint("noise", i), "TNOISY"), false)
		}
		for {
			events := in.claim(32)
			if len(events) == 0 {
				break
			}
			for _, e := range events {
				storetest.OK(t, in.Retry(t.Context(), e, c.now().Add(time.Minute), true, "fails"))
			}
		}
		in.add(storetest.Event("quiet", "TQUIET"), false)
		c.advance(time.Minute + time.Second)
		ids(t, "the noisy has enough", in.claim(32, storetest.Key("A1", "E1", "TNOISY")), "quiet")
		in.add(storetest.Event("quiet2", "TQUIET2"), false)
		seen := 0
		for range 600 / 32 {
			for _, e := range in.claim(32) {
				if e.ID == "quiet2" {
					return
				}
				seen++
			}
		}
		t.Errorf("the quiet workspace waited behind %d retries of the noisy one", seen)
	})
}

// The same with inbox replay --all.
func TestInboxReplayStarvesNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		for i := range 600 {
			in.add(storetest.Event(fmt.Sprint("noise", i), "TNOISY"), false)
		}
		storetest.Exec(t, f, "UPDATE inbox SET state = 'dead'")
		in.add(storetest.Event("other", "TOTHER"), false)
		in.add(storetest.Event("other2", "TOTHER"), false)
		in.claim(2)
		in.add(storetest.Event("quiet", "TQUIET"), false)
		_, err := f.ReplayLetters(t.Context(), 0)
		storetest.OK(t, err)
		ids(t, "the noisy has enough", in.claim(32, storetest.Key("A1", "E1", "TNOISY")), "quiet")
	})
}

// A replica that started on an empty queue takes its place from the older ones: what it accepts does not go before
// everything that they accept.
func TestInboxTagsOfReplicas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		old := opened(t, f, c)
		for i := range 1000 { // an earlier busy hour, long over
			old.add(storetest.Event(fmt.Sprint("past", i), "TPAST"), false)
		}
		for {
			events := old.claim(100)
			if len(events) == 0 {
				break
			}
		}
		storetest.Exec(t, f, "UPDATE inbox SET state = 'done'")
		young := opened(t, f, c) // a rolling restart
		for i := range 500 {
			young.add(storetest.Event(fmt.Sprint("noise", i), "TNOISY"), false)
		}
		old.add(storetest.Event("quiet", "TQUIET"), false) // the load balancer chose the other replica
		seen := 0
		for {
			events := young.claim(32)
			if len(events) == 0 {
				t.Fatal("not found")
			}
			for _, e := range events {
				if e.ID == "quiet" {
					if seen > 64 {
						t.Errorf("the quiet workspace's only event was handed out after %d of the noisy one's", seen)
					}
					return
				}
				if strings.HasPrefix(e.ID, "noise") {
					seen++
				}
			}
			// the noise goes on
			for i := range 32 {
				if seen < 400 {
					young.add(storetest.Event(fmt.Sprint("more", seen, i), "TNOISY"), false)
				}
			}
		}
	})
}

// The holder says that it is done, a moment after its lease ended, and nobody else has the event: that counts.
func TestInboxDoneAfterTheLease(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a, b := opened(t, f, c), opened(t, f, c)
		first, _ := a.add(storetest.Event("first", "T1"), true)
		second, _ := a.add(storetest.Event("second", "T1"), true)
		c.advance(bot.DefaultLease + time.Second)
		got := b.claim(1) // some replica looks, takes one, and makes the other ready
		if len(got) != 1 {
			t.Fatal(got)
		}
		free := second
		if got[0].ID == "second" {
			free = first
		}
		if err := a.Done(t.Context(), free); err != nil {
			t.Errorf("nobody else has it, its work is done, and it will run again: %v", err)
		}
	})
}

// More queued lanes than one look takes: the one that stands still is found all the same.
func TestInboxStuckLane(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		storetest.Exec(t, f, `INSERT INTO inbox (app_id, event_id, enterprise_id, team_id, kind, type, lane, state, tag, visible_at, attempt, failures, received_at, finished_at, said, error, payload)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2400)
			SELECT 'A1', 'Ev' || i, 'E1', 'T1', 'events_api', 'message', 'a' || (10000 + i/2), CASE WHEN i % 2 = 0 THEN 'waiting' ELSE 'queued' END, 0, 9000000000000000, 0, 0, 0, 0, '', '', '' FROM n`)
		in.add(laned("stuck", "T1", "z"), false)
		state := func() (state string) {
			storetest.OK(t, f.Raw.QueryRow("SELECT state FROM inbox WHERE event_id = 'stuck'").Scan(&state))
			return state
		}
		until(t, "its own process to let it go", func() bool { return state() == "ready" })
		storetest.Exec(t, f, "UPDATE inbox SET state = 'queued' WHERE event_id = 'stuck'") // as if that had died before
		for range 3 {
			storetest.OK(t, in.LetAllGo(t.Context()))
		}
		if got := state(); got != "ready" {
			t.Errorf("the lane stands still: %s", got)
		}
	})
}

// A replica that does not have the new key yet leaves what others accept to them.
func TestInboxKeyNotHereYet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		with := func(keys ...string) desk {
			in, err := storetest.OpenWith(t, f.URL, storetest.Ring(t, keys...)).Inbox(t.Context(), inbox.Config{Now: c.now})
			storetest.OK(t, err)
			in.Start()
			t.Cleanup(in.Close)
			return desk{in, t}
		}
		fresh, stale := with(newKey, oldKey), with(oldKey)
		fresh.add(storetest.Event("Ev1", "T1"), false)
		stale.claim(5)
		c.advance(time.Hour)
		ids(t, "by the replica that has the key", fresh.claim(5), "Ev1")
	})
}
