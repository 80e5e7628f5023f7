package inbox_test

// The inbox accepts once, hands out to one, loses nothing, and lets workspaces take turns; on both databases, with
// several processes on one of them.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// desk is a process's view of an inbox, with a clock that stands still.
type desk struct {
	*inbox.Inbox
	t *testing.T
}

// clock is a clock that tests move.
type clock struct{ us atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.us.Load()) }
func (c *clock) advance(d time.Duration) { c.us.Add(int64(d / time.Microsecond)) }

func newClock() *clock {
	c := new(clock)
	c.us.Store(storetest.T0.UnixMicro())
	return c
}

func opened(t *testing.T, f storetest.Fixture, c *clock) desk {
	t.Helper()
	in, err := f.Inbox(t.Context(), inbox.Config{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	in.Start()
	t.Cleanup(in.Close)
	return desk{in, t}
}

func (d desk) add(e bot.Delivery, take bool) (bot.Delivery, bool) {
	d.t.Helper()
	fresh, err := d.Add(d.t.Context(), &e, take)
	if err != nil {
		d.t.Error(err)
	}
	return e, fresh
}

func (d desk) claim(n int, busy ...connection.Key) []bot.Delivery {
	d.t.Helper()
	events, err := d.Claim(d.t.Context(), n, n, busy)
	if err != nil {
		d.t.Error(err)
	}
	return append(events, d.suspects(n-len(events), false)...)
}

// suspects begins events that have deaths: one, or more.
func (d desk) suspects(n int, often bool) []bot.Delivery {
	d.t.Helper()
	if n <= 0 {
		return nil
	}
	events, err := d.ClaimSuspects(d.t.Context(), n, often)
	storetest.OK(d.t, err)
	for _, e := range events {
		storetest.OK(d.t, d.Begin(d.t.Context(), e))
	}
	return events
}

// ids fails the test unless these were handed out.
func ids(t *testing.T, what string, events []bot.Delivery, want ...string) {
	t.Helper()
	got := make([]string, len(events))
	for i, e := range events {
		got[i] = e.ID
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, not %v", what, got, want)
	}
}

// One event, delivered many times at once to two processes, is accepted once; and again once for another app.
func TestInboxAcceptsOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		both := []desk{opened(t, f, c), opened(t, f, c)}
		const events, copies = 50, 10
		var fresh [events]atomic.Int32
		storagetest.Together(events*copies, func(i int) {
			_, first := both[i%2].add(storetest.Event(fmt.Sprint("Ev", i%events), "T1"), i%3 == 0)
			if first {
				fresh[i%events].Add(1)
			}
		})
		for i := range fresh {
			if n := fresh[i].Load(); n != 1 {
				t.Errorf("event %d was accepted %d times", i, n)
			}
		}
		other := storetest.Event("Ev1", "T1")
		other.Key.AppID = "A2"
		if _, fresh := both[0].add(other, false); !fresh {
			t.Error("another app's event of the same name is a duplicate")
		}
		if n := f.CountOf(t, "SELECT count(*) FROM inbox"); n != events+1 {
			t.Errorf("%d rows", n)
		}
	})
}

// A duplicate is known whatever became of the job, for 26 hours and not for ever.
func TestInboxRemembers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		for _, id := range []string{"done", "dead", "dropped", "waiting"} {
			in.add(storetest.Event(id, "T1"), false)
		}
		for _, e := range in.claim(10) {
			switch e.ID {
			case "done":
				storetest.OK(t, in.Done(t.Context(), e))
			case "waiting":
				storetest.OK(t, in.Retry(t.Context(), e, c.now().Add(200*time.Hour), true, "later"))
			default:
				storetest.OK(t, in.DeadLetter(t.Context(), e, "no"))
			}
		}
		letters, err := f.Letters(t.Context(), "dead", 10)
		storetest.OK(t, err)
		for _, l := range letters {
			if l.Event.ID == "dropped" {
				_, err := f.DropLetters(t.Context(), l.ID)
				storetest.OK(t, err)
			}
		}
		known := func(want ...string) {
			t.Helper()
			var fresh []string
			for _, id := range []string{"done", "dead", "dropped", "waiting"} {
				if _, first := in.add(storetest.Event(id, "T1"), false); first {
					fresh = append(fresh, id)
				}
			}
			if !slices.Equal(fresh, want) {
				t.Errorf("new after %v: %v, not %v", c.now().Sub(storetest.T0), fresh, want)
			}
		}
		known()
		c.advance(bot.DedupeFor - time.Second)
		storetest.OK(t, in.Sweep(t.Context()))
		known()
		c.advance(2 * time.Second)
		storetest.OK(t, in.Sweep(t.Context()))
		known("done", "dropped")
		c.advance(90 * 24 * time.Hour)
		storetest.OK(t, in.Sweep(t.Context()))
		if n := f.CountOf(t, "SELECT count(*) FROM inbox WHERE state = 'dead'"); n != 0 {
			t.Errorf("%d dead letters are left after their time", n)
		}
	})
}

// What is handed out is handed to one, whose word alone counts until its lease is over.
func TestInboxHandsOutOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a, b := opened(t, f, c), opened(t, f, c)
		const n = 200
		for i := range n {
			a.add(storetest.Event(fmt.Sprint("Ev", i), fmt.Sprint("T", i%7)), false)
		}
		var mu sync.Mutex
		handed := map[string]int{}
		storagetest.Together(16, func(i int) {
			for {
				events := []desk{a, b}[i%2].claim(5)
				if len(events) == 0 {
					return
				}
				mu.Lock()
				for _, e := range events {
					handed[e.ID]++
				}
				mu.Unlock()
			}
		})
		for id, times := range handed {
			if times != 1 {
				t.Errorf("%s was handed out %d times", id, times)
			}
		}
		if len(handed) != n {
			t.Errorf("%d of %d were handed out", len(handed), n)
		}
	})
}

func TestInboxLease(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a, b := opened(t, f, c), opened(t, f, c)
		a.add(storetest.Event("claimed", "T1"), false)
		first := a.claim(1)[0]
		taken, _ := a.add(storetest.Event("taken", "T1"), true)
		if first.Attempt != 1 || taken.Attempt != 1 || taken.Row == 0 {
			t.Errorf("claimed %+v, taken %+v", first, taken)
		}
		if diff := cmp.Diff(storetest.Event("claimed", "T1").Body, first.Body); diff != "" ||
			!first.Received.Equal(storetest.T0) || first.Key != storetest.Key("A1", "E1", "T1") {
			t.Errorf("claimed %+v", first)
		}
		first.Said = []string{"1.2", "", "response"}
		storetest.OK(t, a.RecordSaid(t.Context(), first))
		c.advance(bot.DefaultLease / 2)
		lost, err := a.ExtendLease(t.Context(), []bot.Delivery{first})
		ids(t, "lost", lost)
		storetest.OK(t, err)
		c.advance(bot.DefaultLease/2 + time.Second)
		stolen := b.claim(5)
		ids(t, "after the lease of one", stolen, "taken")
		for what, err := range map[string]error{
			"done":  a.Done(t.Context(), taken),
			"retry": a.Retry(t.Context(), taken, c.now(), true, ""),
			"bury":  a.DeadLetter(t.Context(), taken, ""),
			"says":  a.RecordSaid(t.Context(), taken),
		} {
			if err != bot.ErrLost {
				t.Errorf("%s of a lost event: %v", what, err)
			}
		}
		lost, err = a.ExtendLease(t.Context(), []bot.Delivery{first, taken})
		ids(t, "lost", lost, "taken")
		storetest.OK(t, err)
		c.advance(bot.DefaultLease + time.Second)
		again := append(b.claim(5), b.suspects(1, true)...)
		ids(t, "after all leases", again, "claimed", "taken")
		for _, e := range again {
			if e.ID == "claimed" && (e.Attempt != 2 || !slices.Equal(e.Said, first.Said)) {
				t.Errorf("again: %+v", e)
			}
			storetest.OK(t, b.Done(t.Context(), e))
		}
		if n := f.CountOf(t, "SELECT count(*) FROM inbox WHERE state = 'done' AND finished_at > 0") - payloads(t, f,
			"state = 'done'"); n != 2 {
			t.Errorf("%d are done and without a payload", n)
		}
		if err := b.Done(t.Context(), again[0]); err != bot.ErrLost {
			t.Errorf("done twice: %v", err)
		}
		// A process that has the database for itself takes up at once what one before it held.
		a.add(storetest.Event("held", "T1"), true)
		alone, err := f.Inbox(t.Context(), inbox.Config{Now: c.now, Alone: true})
		storetest.OK(t, err)
		alone.Start()
		defer alone.Close()
		events, err := alone.ClaimSuspects(t.Context(), 5, false)
		ids(t, "alone", events, "held")
		storetest.OK(t, err)
	})
}

func TestInboxRetry(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		in.add(storetest.Event("Ev1", "T1"), false)
		storetest.OK(t, in.Retry(t.Context(), in.claim(1)[0], c.now().Add(time.Minute), true, "Slack is down"))
		ids(t, "too early", in.claim(1))
		count, err := in.Count(t.Context())
		if storetest.OK(t, err); count.Waiting != 1 || count.Ready != 0 {
			t.Errorf("%+v", count)
		}
		c.advance(time.Minute)
		e := in.claim(1)[0]
		if e.Attempt != 2 || e.Failures != 1 {
			t.Errorf("%+v", e)
		}
		select {
		case <-in.Ready():
		default:
		}
		storetest.OK(t, in.Retry(t.Context(), e, c.now(), false, "limited"))
		select {
		case <-in.Ready():
		default:
			t.Error("nobody is told of an event that is ready again")
		}
		if e = in.claim(1)[0]; e.Attempt != 3 || e.Failures != 1 {
			t.Errorf("an attempt that does not count: %+v", e)
		}
		storetest.OK(t, in.DeadLetter(t.Context(), e, "it is hopeless\x00\xff"))
		letters, err := f.Letters(t.Context(), "", 5)
		if storetest.OK(t, err); len(letters) != 1 || letters[0].State != "dead" ||
			letters[0].Error != "it is hopeless\uFFFD\uFFFD" || letters[0].Event.Failures != 2 ||
			letters[0].Event.Attempt != 3 || letters[0].Event.Body != nil {
			t.Fatalf("%+v", letters)
		}
		l, err := f.Letter(t.Context(), letters[0].ID)
		if storetest.OK(t, err); string(l.Event.Body) != string(storetest.Event("Ev1", "").Body) || !l.Readable {
			t.Errorf("%+v", l)
		}
		if _, err := f.Letter(t.Context(), 12345); err != connection.ErrNotFound {
			t.Errorf("no such letter: %v", err)
		}
		n, err := f.ReplayLetters(t.Context(), l.ID)
		if storetest.OK(t, err); n != 1 {
			t.Errorf("%d replayed", n)
		}
		if _, err := f.ReplayLetters(t.Context(), l.ID); err != inbox.ErrNotDead {
			t.Errorf("replayed twice: %v", err)
		}
		c.advance(time.Second)
		e = in.claim(1)[0]
		if e.Attempt != 4 || e.Failures != 0 {
			t.Errorf("replayed: %+v", e)
		}
		storetest.OK(t, in.DeadLetter(t.Context(), e, "again"))
		if n, err := f.DropLetters(t.Context(), 0); n != 1 || err != nil {
			t.Errorf("%d dropped, %v", n, err)
		}
		if n := payloads(t, f, "true"); n != 0 {
			t.Errorf("%d payloads are left", n)
		}
	})
}

// Events of one ordering key are worked one after the other, in the order of their arrival, by whichever process.
func TestInboxLanes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		a, b := opened(t, f, c), opened(t, f, c)
		for _, id := range []string{"a1", "b1", "a2", "x", "a3", "b2"} {
			e := storetest.Event(id, "T1")
			if e.OrderingKey = id[:1]; id == "x" {
				e.OrderingKey = ""
			}
			a.add(e, true)
		}
		storetest.OK(t, a.LetAllGo(t.Context())) // the acknowledgement does not wait for it
		claim := func(want ...string) map[string]bot.Delivery {
			t.Helper()
			c.advance(time.Second) // another process's doings are seen a moment later
			events := b.claim(10)
			ids(t, "handed out", events, want...)
			byID := map[string]bot.Delivery{}
			for _, e := range events {
				byID[e.ID] = e
			}
			return byID
		}
		now := claim("a1", "b1")
		storetest.OK(t, b.Retry(t.Context(), now["a1"], c.now().Add(time.Minute), true, ""))
		storetest.OK(t, b.Done(t.Context(), now["b1"]))
		claim("b2")
		c.advance(time.Minute) // and the lease of b2 and x is over
		now = claim("a1", "b2", "x")
		storetest.OK(t, b.DeadLetter(t.Context(), now["a1"], "no"))
		now = claim("a2")
		storetest.OK(t, a.Done(t.Context(), now["a2"])) // whoever says so
		// The process dies before it lets the next one go.
		claim("a3")
		storetest.Exec(t, f, "UPDATE inbox SET state = 'queued' WHERE event_id = 'a3'")
		claim()
		storetest.OK(t, a.LetAllGo(t.Context()))
		now = claim("a3")
		// A dead letter that is replayed takes its place in the lane again.
		e := storetest.Event("a4", "T1")
		e.OrderingKey = "a"
		a.add(e, false)
		if n, err := f.ReplayLetters(t.Context(), 0); n != 1 || err != nil {
			t.Errorf("%d replayed, %v", n, err)
		}
		storetest.OK(t, a.LetAllGo(t.Context()))
		claim() // a3 is still being worked
		storetest.OK(t, a.Done(t.Context(), now["a3"]))
		claim("a1")
	})
}

// However much one workspace sends, another one's event is the next.
func TestInboxIsFair(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in := opened(t, f, c)
		for i := range 3 * 512 { // more than a claim looks at
			in.add(storetest.Event(fmt.Sprint("noise", i), "TNOISY"), false)
		}
		for range 10 {
			in.claim(10)
		}
		in.add(storetest.Event("quiet1", "TQUIET"), false)
		in.add(storetest.Event("quiet2", "TQUIET"), false)
		in.add(storetest.Event("other", "TOTHER"), false)
		next := in.claim(8)
		for _, id := range []string{"quiet1", "quiet2", "other"} {
			if !slices.ContainsFunc(next, func(e bot.Delivery) bool { return e.ID == id }) {
				t.Errorf("%s waits behind the noise", id)
			}
		}
		// And who has enough is passed over.
		in.add(storetest.Event("quiet3", "TQUIET"), false)
		ids(t, "the noisy has enough", in.claim(8, storetest.Key("A1", "E1", "TNOISY")), "quiet3")
		ids(t, "both have enough", in.claim(8, storetest.Key("A1", "E1", "TNOISY"), storetest.Key("A1", "E1", "TQUIET")))
		// A process that comes later goes on where the queue is.
		later := opened(t, f, c)
		later.add(storetest.Event("new", "TNEW"), false)
		if !slices.ContainsFunc(later.claim(8), func(e bot.Delivery) bool { return e.ID == "new" }) {
			t.Error("an event waits behind the noise of an earlier process")
		}
	})
}

// What waits is sealed, moves to a new key, and does not open in another workspace's row. What can't be opened is a
// dead letter.
func TestInboxIsSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		with := func(keys ...string) (*storage.DB, desk) {
			db := storetest.OpenWith(t, f.URL, storetest.Ring(t, keys...))
			in, err := db.Inbox(t.Context(), inbox.Config{Now: c.now})
			if err != nil {
				t.Fatal(err)
			}
			in.Start()
			t.Cleanup(in.Close)
			return db, desk{in, t}
		}
		_, old := with(oldKey)
		for i := range 10 {
			old.add(storetest.Event(fmt.Sprint("Ev", i), "T1"), false)
		}
		if bytes.Contains(storetest.Payload(t, f, "Ev7"), []byte("secret")) {
			t.Error("a payload lies open")
		}
		both, _ := with(newKey, oldKey)
		report, err := both.CheckKeys(t.Context())
		if storetest.OK(t, err); report.Events != 10 || len(report.Unreadable) != 0 {
			t.Errorf("%+v", report)
		}
		if n, unreadable, err := both.Reseal(t.Context(), false); n != 10 || unreadable != 0 || err != nil {
			t.Errorf("%d sealed anew, %d unreadable, %v", n, unreadable, err)
		}
		_, in := with(newKey)
		storetest.Exec(t, f, "UPDATE inbox SET team_id = 'T2', failures = 7 WHERE event_id = 'Ev7'")
		if events := in.claim(20); len(events) != 9 {
			t.Errorf("%d of 9 could be opened", len(events))
		}
		letters, err := f.Letters(t.Context(), "dead", 5)
		if storetest.OK(t, err); len(letters) != 1 || letters[0].Event.ID != "Ev7" {
			t.Errorf("%+v", letters)
		}
	})
}

// What was written of one event is not read as another's, though both are the same workspace's.
func TestCopiedPayloadDoesNotOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		in := opened(t, f, newClock())
		in.add(storetest.Event("Ev1", "T1"), false)
		in.add(storetest.Event("Ev2", "T1"), false)
		f.PutPayload(t, "Ev2", storetest.Payload(t, f, "Ev1"))

		ids(t, "with the payload of Ev1 in the row of Ev2", in.claim(5), "Ev1")
	})
}

// An id that the database can't keep is refused, and the others of its commit are not.
func TestInboxRefuses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		in := opened(t, f, newClock())
		storagetest.Together(20, func(i int) {
			e := storetest.Event(fmt.Sprint("Ev", i), "T1")
			if i%2 == 0 {
				e.ID = fmt.Sprint("Ev\x00", i)
			}
			_, err := in.Add(t.Context(), &e, false)
			if (err == nil) != (i%2 != 0) {
				t.Errorf("event %d: %v", i, err)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e := storetest.Event("left", "T1")
		if _, err := in.Add(ctx, &e, false); !errors.Is(err, context.Canceled) && err != nil {
			t.Errorf("who asks has left: %v", err)
		}
		storetest.Exec(t, f, "DROP TABLE inbox")
		e = storetest.Event("gone", "T1")
		if _, err := in.Add(t.Context(), &e, false); err == nil {
			t.Error("accepted without a table")
		}
	})
}

func BenchmarkInbox(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		for _, take := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/take=%v", name, take), func(b *testing.B) {
				f := storetest.Open(b, fresh(b))
				in, err := f.Inbox(b.Context(), inbox.Config{})
				if err != nil {
					b.Fatal(err)
				}
				in.Start()
				defer in.Close()
				body := make([]byte, 1500)
				var n atomic.Int64
				run := time.Now().UnixNano()
				b.SetParallelism(64)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						i := n.Add(1)
						e := bot.Delivery{ID: fmt.Sprintf("Ev%d-%d", run, i), Kind: "events_api", Type: "message",
							Key: storetest.Key("A1", "", fmt.Sprint("T", i%100)), Received: time.Now(), Body: body}
						if _, err := in.Add(b.Context(), &e, take); err != nil {
							b.Fatal(err)
						}
						if take {
							if err := in.Done(b.Context(), e); err != nil {
								b.Fatal(err)
							}
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
