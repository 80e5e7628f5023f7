package timers_test

// A timer becomes one event, whoever looks, and none while its connection can't be used.

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
	"github.com/switchboard-go/switchboard/storage/timers"
)

// replica is a process that works the timers.
type replica struct {
	*storage.DB
	timers *timers.Timers
	inbox  *inbox.Inbox
}

// stage is a database with replicas, and one clock that the test moves.
type stage struct {
	storetest.Fixture
	replicas []replica
	now      *atomic.Int64 // microseconds since 1970
}

func (s stage) move(d time.Duration) { s.now.Add(d.Microseconds()) }
func (s stage) time() time.Time      { return time.UnixMicro(s.now.Load()).UTC() }

// each runs test with two replicas on each database.
func each(t *testing.T, test func(t *testing.T, s stage)) {
	t.Helper()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		keys := storetest.Ring(t, seal.NewKey())
		s := stage{now: new(atomic.Int64)}
		s.now.Store(storetest.T0.UnixMicro())
		for range 2 {
			db := storetest.OpenWith(t, url, keys)
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			storetest.OK(t, db.UseClock(t.Context(), s.time))
			in, err := db.Inbox(t.Context(), inbox.Config{Now: s.time})
			if err != nil {
				t.Fatal(err)
			}
			in.Start()
			t.Cleanup(in.Close)
			s.replicas = append(s.replicas, replica{db, db.Timers("", in), in})
		}
		s.Fixture = storetest.Fixture{DB: s.replicas[0].DB, URL: url, Raw: storetest.RawHandle(t, url),
			Log: new(bytes.Buffer)}
		test(t, s)
	})
}

func homeOf(c connection.Connection) bot.ValueOwner {
	return bot.ValueOwner{ConnectionID: c.ID, AppID: c.AppID, TeamID: c.TeamID}
}

// connect connects a workspace.
func (s stage) connect(t *testing.T, team string) connection.Connection {
	t.Helper()
	return storetest.Put(t, s.Fixture, storetest.Full(storetest.Key("A1", "E1", team)))
}

func (s stage) schedule(t *testing.T, of bot.ValueOwner, key string, at time.Time, data string) {
	t.Helper()
	storetest.OK(t, s.replicas[0].timers.Schedule(t.Context(), of, bot.Timed{Name: "remind", Key: key, At: at,
		Data: []byte(data)}))
}

// deliver makes the event that a timer becomes.
func deliver(d bot.Due) bot.Delivery {
	id := strings.Join([]string{d.Name, d.ConnectionID, d.TeamID, d.Timed.Key, strconv.FormatInt(d.At.UnixMicro(), 10)},
		" ")
	return bot.Delivery{ID: id, Kind: "timer", Type: "timer " + d.Name, Key: d.Key, Received: d.At, Body: d.Data}
}

// fire has all that is due become events, by each replica at once, and returns how many there were.
func (s stage) fire(t *testing.T, name string) int {
	t.Helper()
	var fired atomic.Int64
	storagetest.Together(8, func(i int) {
		for {
			n, err := s.replicas[i%2].timers.Fire(t.Context(), name, 50, deliver)
			if err != nil {
				t.Error(err)
			}
			if fired.Add(int64(n)); n == 0 {
				return
			}
		}
	})
	return int(fired.Load())
}

// work claims what is ready, and says that it is done.
func (s stage) work(t *testing.T) (events []bot.Delivery) {
	t.Helper()
	for {
		s.move(time.Second) // after which a claim looks at what other processes added
		some, err := s.replicas[1].inbox.Claim(t.Context(), 64, 64, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range some {
			storetest.OK(t, s.replicas[1].inbox.Done(t.Context(), e))
		}
		if events = append(events, some...); len(some) == 0 {
			return events
		}
	}
}

// hourly recurs every hour, for each connection at its own minute.
func hourly(spec string) bot.Recurring {
	return bot.Recurring{Name: "hourly", Spec: spec, Next: func(id string, now time.Time) (slot, due time.Time) {
		late := time.Duration(id[len(id)-1]%10) * time.Minute
		slot = now.Add(-late).Truncate(time.Hour).Add(time.Hour)
		return slot, slot.Add(late)
	}}
}

// recur has both replicas know of what recurs.
func (s stage) recur(t *testing.T) {
	t.Helper()
	storagetest.Together(2, func(i int) {
		s.replicas[i].timers.Recur([]bot.Recurring{hourly("1h")})
		storetest.OK(t, s.replicas[i].timers.Enlist(t.Context()))
	})
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		c, other := homeOf(s.connect(t, "T1")), homeOf(s.connect(t, "T2"))
		soon := s.time().Add(time.Hour)
		s.schedule(t, c, "U1", soon, "first")
		s.schedule(t, c, "U1", soon.Add(time.Hour), "second") // in its place
		s.schedule(t, other, "U1", soon, "others")
		s.schedule(t, c, "U2", soon, "cancelled")
		for i, want := range []bool{true, false} {
			if found, err := s.replicas[i].timers.Cancel(t.Context(), c, "remind", "U2"); found != want || err != nil {
				t.Errorf("cancelled the %d. time: %v %v", i+1, found, err)
			}
		}
		next, err := s.replicas[1].timers.Next(t.Context(), []string{"remind", "hourly"})
		if err != nil || len(next) != 1 || !next["remind"].Equal(soon) {
			t.Errorf("next: %v %v", next, err)
		}
		if n := s.fire(t, "remind"); n != 0 {
			t.Errorf("%d before their time", n)
		}

		s.move(time.Hour)
		if n := s.fire(t, "remind"); n != 1 {
			t.Errorf("%d at the first time", n)
		}
		events := s.work(t)
		if len(events) != 1 || events[0].Key != storetest.Key("A1", "E1", "T2") || string(events[0].Body) != "others" {
			t.Errorf("%+v", events)
		}
		s.move(24 * time.Hour) // away for a day
		s.fire(t, "remind")
		if events := s.work(t); len(events) != 1 || string(events[0].Body) != "second" || events[0].Type != "timer remind" {
			t.Errorf("%+v", events)
		}
		if n := s.CountOf(t, "SELECT count(*) FROM timers"); n != 0 {
			t.Errorf("%d timers are left", n)
		}

		gone := bot.ValueOwner{ConnectionID: "con_gone", AppID: "A1", TeamID: "T1"}
		if err := s.replicas[0].timers.Schedule(t.Context(), gone, bot.Timed{Name: "remind", Key: "k"}); err !=
			connection.ErrNotFound {
			t.Errorf("of no connection: %v", err)
		}
	})
}

// A moment that many share makes one event of each, however many processes look.
func TestFireTogether(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		const n = 400
		for i := range n {
			s.schedule(t, homeOf(s.connect(t, fmt.Sprint("T", i%20))), fmt.Sprint(i), s.time(), "1")
		}
		if fired := s.fire(t, "remind"); fired != n {
			t.Errorf("%d of %d fired", fired, n)
		}
		seen := map[string]bool{}
		for _, e := range s.work(t) {
			if seen[e.ID] {
				t.Errorf("%s twice", e.ID)
			}
			seen[e.ID] = true
		}
		if len(seen) != n {
			t.Errorf("%d of %d events", len(seen), n)
		}
	})
}

// Where the events can't be kept the timers stay, and where they are kept the timers are gone: one transaction.
func TestFireIsOneStep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		for i := range 3 {
			s.schedule(t, homeOf(s.connect(t, "T1")), fmt.Sprint(i), s.time(), "1")
		}
		bad := func(d bot.Due) bot.Delivery {
			e := deliver(d)
			if d.Timed.Key == "1" {
				e.ID = "\x00"
			}
			return e
		}
		if _, err := s.replicas[0].timers.Fire(t.Context(), "remind", 10, bad); err == nil {
			t.Error("an event that can't be kept was kept")
		}
		if timers, events := s.CountOf(t, "SELECT count(*) FROM timers"),
			s.CountOf(t, "SELECT count(*) FROM inbox"); timers !=
			3 || events != 0 {
			t.Errorf("%d timers and %d events", timers, events)
		}
	})
}

// Each connection has its own row, those of before and those that come; a day that was missed is made up for once, and
// what is over leaves nothing behind.
func TestRecur(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		const n = 420 // more than two steps of the walk
		keys := storetest.Ring(t, seal.NewKey())
		before := storetest.OpenWith(t, s.URL, keys) // a process that knows nothing of what recurs
		for i := range n {
			if _, _, err := before.Put(t.Context(), storetest.Full(storetest.Key("A1", "", fmt.Sprint("T", i)))); err != nil {
				t.Fatal(err)
			}
		}
		s.recur(t)
		storetest.Put(t, s.Fixture, storetest.Full(storetest.Key("A1", "E1", ""))) // one that comes, of an organisation
		const all = n + 1
		if rows := s.CountOf(t, "SELECT count(*) FROM timers WHERE name = 'hourly'"); rows != all {
			t.Fatalf("%d rows of %d connections", rows, all)
		}
		if n := s.fire(t, "hourly"); n != 0 {
			t.Errorf("%d before their time", n)
		}

		for round := range 3 {
			s.move(90 * time.Minute) // some time passes in each round, and a day before the second
			if round == 1 {
				s.move(24 * time.Hour)
			}
			if fired := s.fire(t, "hourly"); fired != all {
				t.Errorf("round %d: %d of %d fired", round, fired, all)
			}
			if events := s.work(t); len(events) != all {
				t.Errorf("round %d: %d events, want %d", round, len(events), all)
			}
		}
		if rows := s.CountOf(t, "SELECT count(*) FROM inbox"); rows != all {
			t.Errorf("%d rows are left in the inbox, want those of the last time: %d", rows, all)
		}
	})
}

// A run that isn't finished takes the place of the next.
func TestRecurWhileItRuns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		s.recur(t)
		s.connect(t, "T1")
		for range 30 {
			s.move(time.Hour)
			s.fire(t, "hourly")
		}
		events := s.work(t)
		if len(events) != 1 {
			t.Fatalf("%d wait after 30 hours", len(events))
		}
		s.move(time.Hour)
		s.fire(t, "hourly")
		if events := s.work(t); len(events) != 1 {
			t.Errorf("%d after it was finished", len(events))
		}
	})
}

// While a connection can't be used its timers wait, however long, and then each runs once.
func TestParked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		s.recur(t)
		set := func(k connection.Key, state connection.State, reason string) {
			t.Helper()
			if _, err := s.Update(t.Context(), k, func(c *connection.Connection) error {
				if state == connection.Removed {
					c.Erase(state, reason, s.time())
				}
				c.State, c.Reason, c.StateSince = state, reason, s.time()
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		for team, state := range map[string]connection.State{"T1": connection.Paused, "T2": connection.Removed,
			"T3": connection.ReconnectRequired} {
			c := s.connect(t, team)
			s.schedule(t, homeOf(c), "U1", s.time().Add(time.Minute), "1")
			set(c.Key, state, "")
			for range 3 {
				s.move(24 * time.Hour)
				s.fire(t, "remind")
				s.fire(t, "hourly")
			}
			if events := s.work(t); len(events) != 0 {
				t.Errorf("%s: %d events", state, len(events))
			}
			if next, err := s.replicas[1].timers.Next(t.Context(), []string{"remind", "hourly"}); err != nil || len(next) > 0 {
				t.Errorf("%s: %v %v", state, next, err)
			}

			if state == connection.Removed {
				again := storetest.Full(c.Key)
				again.AuthorizedAt, again.InstalledAt = s.time(), s.time()
				storetest.Put(t, s.Fixture, again)
			} else {
				set(c.Key, connection.Active, "")
			}
			if fired := s.fire(t, "remind") + s.fire(t, "hourly"); fired != 2 {
				t.Errorf("%s: %d fired when it was over", state, fired)
			}
			if events := s.work(t); len(events) != 2 {
				t.Errorf("%s: %d events when it was over", state, len(events))
			}
			set(c.Key, connection.Paused, "") // out of the way
			s.move(2 * time.Hour)
			s.fire(t, "hourly")
		}
	})
}

// Whoever looks in the moment in which a connection can be used again leaves nothing parked.
func TestParkedInTheMomentOfComingBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		c := s.connect(t, "T1")
		set := func(state connection.State) {
			if _, err := s.replicas[1].Update(t.Context(), c.Key, func(c *connection.Connection) error {
				c.State = state
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		for round := range storagetest.Rounds(30, 300) {
			set(connection.Paused)
			s.schedule(t, homeOf(c), fmt.Sprint(round), s.time(), "1")
			storagetest.Together(2, func(i int) {
				if i == 0 {
					set(connection.Active)
					return
				}
				_, err := s.replicas[0].timers.Fire(t.Context(), "remind", 10, deliver)
				storetest.OK(t, err)
			})
			s.fire(t, "remind")
			if n := s.CountOf(t, "SELECT count(*) FROM timers"); n != 0 {
				t.Fatalf("round %d: %d are left", round, n)
			}
		}
	})
}

// With another time for the same name, and after a clock that was wrong, the times are made anew.
func TestRecurAnew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		recur := func(r bot.Recurring) time.Time {
			t.Helper()
			s.replicas[0].timers.Recur([]bot.Recurring{r})
			storetest.OK(t, s.replicas[0].timers.Enlist(t.Context()))
			next, err := s.replicas[0].timers.Next(t.Context(), []string{"hourly"})
			if err != nil {
				t.Fatal(err)
			}
			return next["hourly"]
		}
		s.connect(t, "T1")
		weekly := hourly("week")
		weekly.Next = func(string, time.Time) (slot, due time.Time) {
			slot = storetest.T0.Add(7 * 24 * time.Hour)
			return slot, slot
		}
		if next := recur(weekly); next.Sub(s.time()) != 7*24*time.Hour {
			t.Errorf("a week: %s", next)
		}
		soon := recur(hourly("1h"))
		if soon.Sub(s.time()) > 70*time.Minute {
			t.Errorf("an hour: %s", soon)
		}
		if again := recur(hourly("1h")); !again.Equal(soon) {
			t.Errorf("the same again: %s, was %s", again, soon)
		}
		storetest.Exec(t, s.Fixture, fmt.Sprintf("UPDATE timers SET slot = %d, due_at = %[1]d",
			s.time().Add(365*24*time.Hour).UnixMicro()))
		if next := recur(hourly("1h")); !next.Equal(soon) {
			t.Errorf("after a broken clock: %s, want %s", next, soon)
		}
	})
}

// A clock that is set back makes nothing run twice, and nothing waits longer than until that time comes again.
func TestClockIsSetBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		s.recur(t)
		c := s.connect(t, "T1")
		s.schedule(t, homeOf(c), "U1", s.time().Add(time.Hour), "1")
		s.move(90 * time.Minute)
		if n := s.fire(t, "hourly") + s.fire(t, "remind"); n != 2 || len(s.work(t)) != 2 {
			t.Fatalf("%d fired", n)
		}

		s.move(-80 * time.Minute)
		s.recur(t)
		for range 15 {
			if n := s.fire(t, "hourly") + s.fire(t, "remind"); n != 0 {
				t.Errorf("%d fired again at %s", n, s.time())
			}
			s.move(5 * time.Minute)
		}
		s.move(time.Hour + 5*time.Minute)
		if n := s.fire(t, "hourly"); n != 1 || len(s.work(t)) != 1 {
			t.Errorf("%d fired at the next hour", n)
		}
	})
}

// Timers go with the connection. Those that no handler is there for go by themselves, those that wait for their
// connection don't.
func TestTimersEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		s.recur(t)
		c, parked := s.connect(t, "T1"), s.connect(t, "T2")
		s.schedule(t, homeOf(c), "soon", s.time().Add(time.Minute), "1")
		s.schedule(t, homeOf(c), "later", s.time().Add(365*24*time.Hour), "1")
		s.schedule(t, homeOf(parked), "waits", s.time().Add(time.Minute), "1")
		end := func(c connection.Connection, state connection.State) {
			t.Helper()
			if _, err := s.Update(t.Context(), c.Key, func(c *connection.Connection) error {
				if c.State = state; state == connection.Removed {
					c.Erase(state, connection.ReasonUninstalled, s.time())
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		end(parked, connection.Paused)
		s.move(time.Hour)
		if n := s.fire(t, "remind"); n != 2 {
			t.Errorf("%d fired", n)
		}
		s.schedule(t, homeOf(c), "soon", s.time(), "1")

		s.move(24 * time.Hour)
		drop := func(names ...string) map[string]int {
			t.Helper()
			dropped, err := s.replicas[1].timers.Drop(t.Context(), names, s.time().Add(-time.Hour))
			storetest.OK(t, err)
			return dropped
		}
		if dropped := drop("remind", "hourly"); len(dropped) > 0 {
			t.Errorf("of handlers that are there %v", dropped)
		}
		if dropped := drop("remind"); len(dropped) != 1 || dropped["hourly"] != 2 {
			t.Errorf("without one of them %v", dropped)
		}
		if dropped := drop(); len(dropped) != 1 || dropped["remind"] != 1 {
			t.Errorf("without any %v", dropped)
		}
		if n := s.CountOf(t, "SELECT count(*) FROM timers"); n != 2 {
			t.Errorf("%d timers, want the one that isn't due and the one that waits for its connection", n)
		}

		keep := 90 * 24 * time.Hour
		for _, c := range []connection.Connection{c, parked} {
			end(c, connection.Removed)
		}
		s.move(keep + time.Hour)
		if _, err := s.Sweep(t.Context(), s.time().Add(-keep)); err != nil {
			t.Fatal(err)
		}
		if n := s.CountOf(t, "SELECT count(*) FROM timers"); n != 0 {
			t.Errorf("%d timers of no connection", n)
		}
	})
}

// What a timer brings along opens in its own place alone, and moves to a new key.
func TestTimersAreSealed(t *testing.T) {
	t.Parallel()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		open := func(keys ...string) (*storage.DB, *timers.Timers) {
			db := storetest.OpenWith(t, url, storetest.Ring(t, keys...))
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			in, err := db.Inbox(t.Context(), inbox.Config{})
			if err != nil {
				t.Fatal(err)
			}
			in.Start()
			t.Cleanup(in.Close)
			return db, db.Timers("", in)
		}
		old, before := open(oldKey)
		of := homeOf(storetest.Put(t, old, storetest.Full(storetest.Key("A1", "", "T1"))))
		at := time.Now()
		for _, key := range []string{"a", "b"} {
			timed := bot.Timed{Name: "remind", Key: key, At: at, Data: []byte("what people wrote to " + key)}
			storetest.OK(t, before.Schedule(t.Context(), of, timed))
		}
		raw := storetest.RawHandle(t, url)
		var box []byte
		storetest.OK(t, raw.QueryRow("SELECT payload FROM timers WHERE timer_key = 'a'").Scan(&box))
		if len(box) < 20 || bytes.Contains(box, []byte("what people wrote")) {
			t.Error("it lies there in the clear")
		}

		both, _ := open(newKey, oldKey)
		if report, err := both.CheckKeys(t.Context()); err != nil || report.Timers != 2 {
			t.Errorf("%+v %v", report, err)
		}
		if sealed, unreadable, err := both.Reseal(t.Context(), false); sealed != 3 || unreadable != 0 || err != nil {
			t.Errorf("%d sealed, %d unreadable, %v", sealed, unreadable, err)
		}

		// In another place it doesn't open, and is put off; the others don't wait for it.
		_, err := raw.Exec("UPDATE timers SET payload = (SELECT payload FROM timers WHERE timer_key = 'a') WHERE " +
			"timer_key = 'b'")
		storetest.OK(t, err)
		fresh, after := open(newKey)
		var got []string
		deliver := func(d bot.Due) bot.Delivery {
			got = append(got, string(d.Data))
			return deliver(d)
		}
		if n, err := after.Fire(t.Context(), "remind", 10, deliver); n != 2 || err != nil || len(got) != 1 ||
			got[0] != "what people wrote to a" {
			t.Errorf("%d fired: %q, %v", n, got, err)
		}
		if n, err := after.Fire(t.Context(), "remind", 10, deliver); n != 0 || err != nil {
			t.Errorf("what can't be opened is looked at again at once: %d, %v", n, err)
		}
		if _, unreadable, err := fresh.Reseal(t.Context(), true); unreadable != 1 || err != nil {
			t.Errorf("%d unreadable, %v", unreadable, err)
		}
		if report, err := fresh.CheckKeys(t.Context()); err != nil || report.Timers != 0 {
			t.Errorf("%+v %v", report, err)
		}
	})
}

// What is scheduled anew while all is sealed anew, after it was read, stays as it was scheduled.
func TestResealMeetsASchedule(t *testing.T) {
	t.Parallel()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		open := func(keys ...string) *timers.Timers {
			db := storetest.OpenWith(t, url, storetest.Ring(t, keys...))
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			in, err := db.Inbox(t.Context(), inbox.Config{})
			storetest.OK(t, err)
			in.Start()
			t.Cleanup(in.Close)
			return db.Timers("", in)
		}
		db := storetest.OpenWith(t, url, storetest.Ring(t, oldKey))
		if _, err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		of := homeOf(storetest.Put(t, db, storetest.Full(storetest.Key("A1", "", "T1"))))
		old, both, fresh := open(oldKey), open(newKey, oldKey), open(newKey)
		schedule := func(by *timers.Timers, key, data string) {
			t.Helper()
			timed := bot.Timed{Name: "remind", Key: key, At: time.Now().Add(-time.Minute), Data: []byte(data)}
			storetest.OK(t, by.Schedule(t.Context(), of, timed))
		}

		for _, test := range []struct {
			reseals, meanwhile *timers.Timers
			erase              bool
			left               []string
		}{{both, old, false, []string{"a", "b", "new c"}}, {fresh, fresh, true, []string{"new c"}}} {
			for _, key := range []string{"a", "b", "c"} {
				schedule(old, key, key)
			}
			rows := 0
			storetest.OK(t, test.reseals.Reseal(t.Context(), test.erase, func(_, _ bool, err error) error {
				if rows++; rows == 2 { // the third one was read with it
					schedule(test.meanwhile, "c", "new c")
				}
				return err
			}))

			var left []string
			if _, err := both.Fire(t.Context(), "remind", 10, func(d bot.Due) bot.Delivery {
				left = append(left, string(d.Data))
				return deliver(d)
			}); err != nil {
				t.Fatal(err)
			}
			if slices.Sort(left); !slices.Equal(left, test.left) {
				t.Errorf("erase %v: %q, want %q", test.erase, left, test.left)
			}
		}
	})
}

// A process works the timers of its own app, and leaves the others alone. Whoever waits for timers hears of new ones.
func TestTimersOfOneApp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s stage) {
		a1 := s.replicas[0].DB.Timers("A1", s.replicas[0].inbox)
		heard := func(of string, want bool) {
			t.Helper()
			select {
			case <-a1.Changed():
				want = !want
			default:
			}
			if want {
				t.Errorf("%s: heard of it is not as it should be", of)
			}
		}
		mine := homeOf(s.connect(t, "T1"))
		other := homeOf(storetest.Put(t, s.Fixture, storetest.Full(storetest.Key("A2", "", "T2"))))
		a1.Recur([]bot.Recurring{hourly("1h")})
		storetest.OK(t, a1.Enlist(t.Context()))
		heard("what recurs", true)
		s.schedule(t, other, "U1", s.time().Add(-time.Hour), "1")
		s.schedule(t, mine, "U1", s.time(), "1")
		heard("what is scheduled", true)
		heard("nothing", false)
		if n := s.CountOf(t, "SELECT count(*) FROM timers WHERE name = 'hourly'"); n != 1 {
			t.Errorf("%d rows for what recurs, of one app", n)
		}

		next, err := a1.Next(t.Context(), []string{"remind"})
		if err != nil || !next["remind"].Equal(s.time()) {
			t.Errorf("next: %v %v", next, err)
		}
		if n, err := a1.Fire(t.Context(), "remind", 10, deliver); n != 1 || err != nil {
			t.Errorf("%d fired, %v", n, err)
		}
		drop := func() map[string]int {
			t.Helper()
			dropped, err := a1.Drop(t.Context(), []string{"hourly"}, s.time())
			storetest.OK(t, err)
			return dropped
		}
		if dropped := drop(); len(dropped) > 0 {
			t.Errorf("of another app %v", dropped)
		}

		// All that nobody works go, however many.
		storetest.Exec(t, s.Fixture, fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "+
			"WHERE i < 1001) INSERT INTO timers (connection_id, app_id, team_id, name, timer_key, spec, slot, due_at, parked, "+
			"last_event, payload) SELECT '%s', 'A1', 'T1', 'gone', CAST(i AS text), '', 1, 1, 0, '', '' FROM n",
			mine.ConnectionID))
		if dropped := drop(); dropped["gone"] != 1001 || len(dropped) != 1 {
			t.Errorf("of 1001 %v", dropped)
		}
	})
}
