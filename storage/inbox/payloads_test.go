package inbox_test

// What people wrote is gone from the database when its event is done or the app is removed, and what is left of an
// event is small.

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// payloads counts those that the database holds, wherever they lie.
func payloads(t *testing.T, f storetest.Fixture, where string) int {
	t.Helper()
	n := f.CountOf(t, "SELECT count(*) FROM inbox WHERE length(payload) > 0 AND "+where)
	if f.Dialect() == "sqlite" {
		n += f.CountOf(t, "SELECT count(*) FROM inbox_payloads WHERE id IN (SELECT id FROM inbox WHERE "+where+")")
		if lost := f.CountOf(t, "SELECT count(*) FROM inbox_payloads WHERE id NOT IN (SELECT id FROM inbox)"); lost > 0 {
			t.Errorf("%d payloads of no event", lost)
		}
	}
	return n
}

const (
	// mostLeft is what a done event may take on SQLite (bytes): its name, known for 26 hours, in a row and an index.
	mostLeft = 300
	// mostSpare is how many pages of the file may be free.
	mostSpare = 32
)

// sizeOf is how many bytes of the disk are in use, and how many more the file of SQLite has. On PostgreSQL it is the
// inbox alone, after a vacuum.
func sizeOf(t *testing.T, f storetest.Fixture) (used, spare int64) {
	t.Helper()
	if f.Dialect() == "postgres" {
		storetest.Exec(t, f, "VACUUM inbox")
		return int64(f.CountOf(t, "SELECT pg_total_relation_size('inbox')")), 0
	}
	storetest.Exec(t, f, "PRAGMA wal_checkpoint(TRUNCATE)")
	file, err := os.Stat(strings.TrimPrefix(f.URL, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	page := f.CountOf(t, "PRAGMA page_size")
	used = int64(page * (f.CountOf(t, "PRAGMA page_count") - f.CountOf(t, "PRAGMA freelist_count")))
	return used, file.Size() - used
}

// burst is a number of events that all wait at once, and then are done. They are named as Slack names them. Where
// some fail it is one in ten, once, with a sentence.
func burst(t *testing.T, in desk, prefix string, n int, like bot.Delivery, failing bool) {
	t.Helper()
	held := make([]bot.Delivery, n)
	storagetest.Together(n, func(i int) {
		e := like
		e.ID = fmt.Sprintf("Ev%s%09d", prefix, i*7919%n) // in no order
		held[i], _ = in.add(e, !failing)
	})
	if !failing && like.OrderingKey == "" {
		storagetest.Together(n, func(i int) { storetest.OK(t, in.Done(t.Context(), held[i])) })
		return
	}
	for done := 0; done < n && !t.Failed(); {
		storetest.OK(t, in.LetAllGo(t.Context()))
		in.LookAtAll()
		claimed := in.claim(n)
		storagetest.Together(len(claimed), func(i int) {
			e := claimed[i]
			if failing && e.Failures == 0 && i%10 == 0 {
				e.Said = []string{"1764435600.000100", "1764435600.000200"}
				storetest.OK(t, in.RecordSaid(t.Context(), e))
				storetest.OK(t, in.Retry(t.Context(), e, in.Now(), true, "post the answer: Slack did not answer within 10 seconds"))
				claimed[i].Row = 0
				return
			}
			storetest.OK(t, in.Done(t.Context(), e))
		})
		for _, e := range claimed {
			if e.Row > 0 {
				done++
			}
		}
	}
}

// usual is an event as Slack sends it, with so many bytes.
func usual(bytes int) bot.Delivery {
	return bot.Delivery{Kind: "events_api", Type: "message",
		Key: storetest.Key("A0123456789", "E0123456789", "T0123456789"), Received: storetest.T0,
		Body: []byte(`{"text":"` + strings.Repeat("x", bytes) + `"}`)}
}

// A done event keeps its name, and not the place of what was in it, however much waited at once.
func TestDoneEventsAreSmall(t *testing.T) {
	t.Parallel()
	slow, ordered := usual(1500), usual(1500)
	slow.Kind, slow.Type = "slash_commands", "/standup"
	ordered.OrderingKey = ordered.Key.String() + "/T0123456789/C0123456789"
	for name, c := range map[string]struct {
		like    bot.Delivery
		n       int
		failing bool
	}{
		"small":             {like: usual(200), n: 1000},
		"usual":             {like: usual(1500), n: 1000},
		"large":             {like: usual(40_000), n: 300},
		"slow work":         {like: slow, n: 500},
		"some fail":         {like: usual(1500), n: 500, failing: true},
		"of a conversation": {like: ordered, n: 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := storetest.Open(t, storagetest.SQLite(t))
			in := opened(t, f, newClock())
			burst(t, in, "0", c.n, c.like, c.failing)
			before, _ := sizeOf(t, f)
			burst(t, in, "1", c.n, c.like, c.failing)
			after, spare := sizeOf(t, f)
			if each := (after - before) / int64(c.n); each > mostLeft {
				t.Errorf("a done event takes %d bytes of the file, not %d", each, mostLeft)
			}
			if spare > mostSpare*4096 {
				t.Errorf("%d bytes of the file are free", spare)
			}
			if n := payloads(t, f, "true"); n > 0 {
				t.Errorf("%d payloads are left", n)
			}
		})
	}
}

// What a done event takes of the disk, on both databases, where many are done and many are under way at once:
// docs/performance.md has the figures.
func TestDiskOfADoneEvent(t *testing.T) {
	storagetest.Long(t)
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		in := opened(t, f, newClock())
		const bursts, each = 20, 1000
		first, _ := sizeOf(t, f)
		for i := range bursts {
			burst(t, in, fmt.Sprintf("%02d", i), each, usual(1500), false)
		}
		half, _ := sizeOf(t, f)
		for i := range bursts {
			burst(t, in, fmt.Sprintf("%02d", bursts+i), each, usual(1500), false)
		}
		last, spare := sizeOf(t, f)
		t.Logf("%s: a done event takes %d bytes of the first %d, %d of the next; %d bytes are free", f.Dialect(),
			(half-first)/(bursts*each), bursts*each, (last-half)/(bursts*each), spare)
	})
}

// A file that an earlier release laid out gives nothing back until it is laid out anew, when a program has it for
// itself.
func TestEarlierFileShrinks(t *testing.T) {
	t.Parallel()
	url := storagetest.SQLite(t)
	raw := storetest.RawHandle(t, url)
	for _, statement := range []string{"PRAGMA journal_mode(WAL)", "CREATE TABLE waste (b blob)",
		"INSERT INTO waste VALUES (zeroblob(2000000))"} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	f := storetest.Open(t, url)
	storetest.Exec(t, f, "DROP TABLE waste")
	if _, spare := sizeOf(t, f); spare < 1_900_000 {
		t.Fatalf("%d bytes are free", spare)
	}
	for range 2 {
		in, err := f.Inbox(t.Context(), inbox.Config{Alone: true})
		if err != nil {
			t.Fatal(err)
		}
		in.Start()
		in.Close()
		if _, spare := sizeOf(t, f); spare > mostSpare*4096 {
			t.Errorf("%d bytes are free", spare)
		}
	}
	if n := strings.Count(f.Log.String(), "laid out anew, once"); n != 1 {
		t.Errorf("laid out %d times:\n%s", n, f.Log)
	}
}

// A removal erases what the connection answered for, in every state that it waits in, in the moment in which it erases
// the tokens; and nothing of a connection that lives on.
func TestNoMessageOutlivesTheRemoval(t *testing.T) {
	t.Parallel()
	workspace, organisation := storetest.Key("A1", "E1", "T1"), storetest.Key("A1", "E1", "")
	for name, c := range map[string]struct {
		removed      connection.Key
		live         []connection.Key
		erased, kept []connection.Key
	}{
		"a workspace": {
			removed: workspace, live: []connection.Key{storetest.Key("A2", "E1", "T1"), storetest.Key("A1", "", "T2")},
			erased: []connection.Key{workspace, storetest.Key("A1", "", "T1"), storetest.Key("A1", "E2", "T1")},
			kept: []connection.Key{storetest.Key("A2", "E1", "T1"), storetest.Key("A1", "", "T2"),
				storetest.Key("A1", "E1", "T3"), organisation},
		},
		"a workspace of no organisation": {removed: storetest.Key("A1", "", "T1"),
			erased: []connection.Key{storetest.Key("A1", "", "T1"), workspace}},
		"a workspace that is installed anew under another organisation": {
			removed: storetest.Key("A1", "", "T1"), live: []connection.Key{workspace},
			erased: []connection.Key{storetest.Key("A1", "", "T1")},
			kept:   []connection.Key{workspace, storetest.Key("A1", "E2", "T1")},
		},
		"an organisation": {
			removed: organisation, live: []connection.Key{storetest.Key("A1", "E1", "T2")},
			erased: []connection.Key{organisation, workspace, storetest.Key("A1", "E1", "T3")},
			kept: []connection.Key{storetest.Key("A1", "E1", "T2"), storetest.Key("A1", "E2", "T1"),
				storetest.Key("A1", "", "T1")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
				in := opened(t, f, newClock())
				for _, k := range append(c.live, c.removed) {
					storetest.Put(t, f, storetest.Full(k))
				}
				for _, k := range append(c.erased, c.kept...) {
					inEveryState(t, f, in, k)
				}
				remove(t, f, c.removed)
				for _, k := range c.erased {
					if n := payloads(t, f, where(k)); n > 0 {
						t.Errorf("%d messages of %v outlive the removal", n, k)
					}
				}
				for _, k := range c.kept {
					if n := payloads(t, f, where(k)); n != states {
						t.Errorf("%d messages of %v are left of %d", n, k, states)
					}
				}
				count, err := in.Count(t.Context())
				if storetest.OK(t, err); count.Erased != states*len(c.erased) {
					t.Errorf("%d counted as erased", count.Erased)
				}
			})
		})
	}
}

// states is how many events inEveryState makes.
const states = 6

// inEveryState leaves an event of k in each state in which it has a payload, and one as the release before leaves it.
func inEveryState(t *testing.T, f storetest.Fixture, in desk, k connection.Key) {
	t.Helper()
	named := func(id string) bot.Delivery {
		e := storetest.Event(id+k.String(), "")
		e.Key = k
		return e
	}
	in.add(named("held"), true)
	waiting, _ := in.add(named("waiting"), true)
	storetest.OK(t, in.Retry(t.Context(), waiting, in.Now().Add(time.Minute), true, "not yet"))
	dead, _ := in.add(named("dead"), true)
	storetest.OK(t, in.DeadLetter(t.Context(), dead, "failed"))
	in.add(named("ready"), false)
	old, _ := in.add(named("old"), false)
	f.PutPayload(t, old.ID, []byte("as the release before keeps it"))
	queued := named("queued")
	queued.OrderingKey = "lane of " + k.String()
	in.add(queued, false)
	storetest.Exec(t, f, "UPDATE inbox SET state = 'queued' WHERE event_id = '"+queued.ID+"'")
}

func where(k connection.Key) string {
	return fmt.Sprintf("app_id = '%s' AND enterprise_id = '%s' AND team_id = '%s'", k.AppID, k.EnterpriseID, k.TeamID)
}

func remove(t *testing.T, f storetest.Fixture, k connection.Key) {
	t.Helper()
	_, err := f.Update(t.Context(), k, func(c *connection.Connection) error {
		c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0.Add(time.Hour))
		return nil
	})
	storetest.OK(t, err)
}

// What Slack says of a removal is worked although it belongs to what is erased. Whoever works a message in that moment
// learns that it is no longer theirs; and what failed only afterwards, or was left by a release that erases nothing,
// goes as well.
func TestRemovalIsWorked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := newClock()
		in, k := opened(t, f, c), storetest.Key("A1", "E1", "T1")
		storetest.Put(t, f, storetest.Full(k))
		said := storetest.Event("said", "T1")
		said.Type = "app_uninstalled"
		said, _ = in.add(said, true)
		revoked := storetest.Event("revoked", "T1")
		revoked.Type = "tokens_revoked"
		in.add(revoked, false)
		message, _ := in.add(storetest.Event("message", "T1"), true)
		remove(t, f, k)
		for what, err := range map[string]error{"done": in.Done(t.Context(), message),
			"failed": in.DeadLetter(t.Context(), message, "")} {
			if err != bot.ErrLost {
				t.Errorf("a message that was erased is %s: %v", what, err)
			}
		}
		storetest.OK(t, in.Retry(t.Context(), said, c.now(), true, "the database was away"))
		in.LookAtAll()
		for _, e := range in.claim(5) {
			if len(e.Body) == 0 {
				t.Errorf("%s has nothing in it", e.ID)
			}
			if e.ID == "revoked" {
				storetest.OK(t, in.DeadLetter(t.Context(), e, "failed for good"))
			} else {
				storetest.OK(t, in.Done(t.Context(), e))
			}
		}

		late, _ := in.add(storetest.Event("late", "T1"), true)
		storetest.OK(t, in.DeadLetter(t.Context(), late, "failed"))
		if n := payloads(t, f, "true"); n != 2 {
			t.Errorf("%d payloads, not those of revoked and late", n)
		}
		storetest.OK(t, in.Tidy(t.Context()))
		if n := payloads(t, f, "true"); n != 0 {
			t.Errorf("%d payloads of a connection that is removed are left", n)
		}

		// A new install's messages are nobody's business, whatever comes late.
		storetest.Put(t, f, storetest.Full(k))
		fresh, _ := in.add(storetest.Event("fresh", "T1"), true)
		storetest.OK(t, in.DeadLetter(t.Context(), fresh, "failed"))
		_, err := f.Update(t.Context(), k, func(c *connection.Connection) error {
			c.PendingRemoval = connection.Removal{}
			return nil
		})
		storetest.OK(t, err)
		c.advance(time.Hour)
		storetest.OK(t, in.Tidy(t.Context()))
		if n := payloads(t, f, "true"); n != 1 {
			t.Errorf("%d payloads of the new install are left", n)
		}
	})
}

// An organisation takes the app from one of its workspaces: what came from there until then is erased, and nothing that
// came after it was added again, or from another one.
func TestNoMessageOutlivesALeftWorkspace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		in, organisation := opened(t, f, newClock()), storetest.Key("A1", "E1", "")
		storetest.Put(t, f, storetest.Full(organisation))
		storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T3")))
		for _, team := range []string{"T1", "T2", "T3"} {
			inEveryState(t, f, in, storetest.Key("A1", "E1", team))
		}
		later := storetest.Event("later", "T1")
		later.Received = storetest.T0.Add(time.Minute)
		in.add(later, false)
		_, err := f.Update(t.Context(), organisation, func(c *connection.Connection) error {
			c.Left, c.LeftAt = []string{"T1", "T3"}, storetest.T0
			return nil
		})
		storetest.OK(t, err)
		for team, want := range map[string]int{"T1": 1, "T2": states, "T3": states} {
			if n := payloads(t, f, where(storetest.Key("A1", "E1", team))); n != want {
				t.Errorf("%d messages of %s are left, not %d", n, team, want)
			}
		}
	})
}

// How long events wait counts from the oldest that is not done, whichever state it is in. What is dead waits for
// nobody.
func TestInboxCountsTheOldest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		in := opened(t, f, newClock())
		oldest := func(when string, want time.Time, ready, held, waiting, dead time.Time) {
			t.Helper()
			count, err := in.Count(t.Context())
			if storetest.OK(t, err); !count.Oldest.Equal(want) {
				t.Errorf("%s: the oldest is of %v, not %v", when, count.Oldest, want)
			}
			got := []time.Time{count.OldestReady, count.OldestHeld, count.OldestWaiting, count.OldestDead}
			if of := []time.Time{ready, held, waiting, dead}; !slices.EqualFunc(got, of, time.Time.Equal) {
				t.Errorf("%s: the oldest of each state are of %v, not %v", when, got, of)
			}
		}
		var none time.Time
		oldest("nothing", none, none, none, none, none)
		e := storetest.Event("Ev1", "T1")
		e.Received = storetest.T0.Add(-10 * time.Minute)
		newer := storetest.Event("Ev2", "T2")
		in.add(newer, false)
		oldest("ready", storetest.T0, storetest.T0, none, none, none)
		e, _ = in.add(e, true)
		oldest("held", e.Received, storetest.T0, e.Received, none, none)
		storetest.OK(t, in.Retry(t.Context(), e, in.Now().Add(time.Hour), true, "not yet"))
		oldest("waiting", e.Received, storetest.T0, none, e.Received, none)
		queued := laned("Ev3", "T1", "a")
		queued.Received = storetest.T0.Add(-time.Hour)
		in.add(queued, false)
		storetest.Exec(t, f, "UPDATE inbox SET state = 'queued' WHERE event_id = 'Ev3'")
		oldest("queued", queued.Received, storetest.T0, none, queued.Received, none)
		storetest.Exec(t, f, "UPDATE inbox SET state = 'dead' WHERE event_id = 'Ev3'")
		oldest("dead", e.Received, storetest.T0, none, e.Received, queued.Received)
	})
}

// Events are sealed with the key of their day from the first on, so that no key comes near the number of boxes that it
// is safe for. What an earlier release sealed with the key itself, and where it put it, is handed out, seen by an
// operator, and sealed anew as well.
func TestInboxDerivesItsKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		key, clock := seal.NewKey(), newClock()
		db := storetest.OpenWith(t, f.URL, storetest.Ring(t, key))
		in, err := db.Inbox(t.Context(), inbox.Config{Now: clock.now})
		storetest.OK(t, err)
		in.Start()
		d := desk{in, t}
		d.add(storetest.Event("first", "T1"), false)
		clock.advance(24 * time.Hour)
		d.add(storetest.Event("next day", "T1"), false)
		first, next := storetest.Payload(t, f, "first"), storetest.Payload(t, f, "next day")
		if first[0] != 2 || next[0] != 2 || bytes.Equal(first[5:9], next[5:9]) {
			t.Errorf("sealed with the keys of %x and %x", first[:9], next[:9])
		}

		d.add(storetest.Event("of the release before", "T1"), false)
		old := storetest.Event("of the release before", "T1")
		f.PutPayload(t, old.ID, storetest.Must(storetest.Ring(t, key).Seal(old.Body,
			seal.Place{Column: "inbox.payload/" + old.ID,
				App: old.Key.AppID, Enterprise: old.Key.EnterpriseID, Team: old.Key.TeamID})))
		report, err := db.CheckKeys(t.Context())
		if storetest.OK(t, err); report.Events != 3 || len(report.Unreadable) != 0 || report.Keys[0].Rows != 3 {
			t.Errorf("%+v", report)
		}
		in.Close()

		fresh := seal.NewKey()
		rotating := storetest.OpenWith(t, f.URL, storetest.Ring(t, fresh, key))
		n, lost, err := rotating.Reseal(t.Context(), false)
		if storetest.OK(t, err); n != 3 || lost != 0 {
			t.Errorf("%d sealed anew, %d unreadable", n, lost)
		}
		if box := storetest.Payload(t, f, old.ID); box[0] != 2 {
			t.Errorf("sealed anew with the key itself: %x", box[:9])
		}
		after := storetest.OpenWith(t, f.URL, storetest.Ring(t, fresh))
		in, err = after.Inbox(t.Context(), inbox.Config{Now: clock.now})
		storetest.OK(t, err)
		in.Start()
		defer in.Close()
		events := desk{in, t}.claim(10)
		ids(t, "with the new key", events, "first", "next day", old.ID)
		for _, e := range events {
			if string(e.Body) != string(storetest.Event(e.ID, "T1").Body) {
				t.Errorf("%s: %q", e.ID, e.Body)
			}
		}
	})
}

// What is being written moves over to a new key with the event that it answers. What no key opens is counted and left
// alone, until the operator says that the key is lost for good: then the event is answered from the beginning.
func TestResealStream(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		with := func(keys ...string) (*storage.DB, desk) {
			t.Helper()
			db := storetest.OpenWith(t, f.URL, storetest.Ring(t, keys...))
			in, err := db.Inbox(t.Context(), inbox.Config{})
			storetest.OK(t, err)
			in.Start()
			t.Cleanup(in.Close)
			return db, desk{in, t}
		}
		_, old := with(oldKey)
		e, _ := old.add(storetest.Event("Ev1", "T1"), true)
		storetest.OK(t, old.RecordStream(t.Context(), e, []byte("half of an answer")))

		both, _ := with(newKey, oldKey)
		report, err := both.CheckKeys(t.Context())
		if storetest.OK(t, err); report.Events != 1 || report.Keys[1].Rows != 1 || len(report.Unreadable) > 0 {
			t.Errorf("before: %+v", report)
		}
		if n, unreadable, err := both.Reseal(t.Context(), false); n != 1 || unreadable != 0 || err != nil {
			t.Errorf("%d sealed anew, %d unreadable, %v", n, unreadable, err)
		}
		fresh, in := with(newKey)
		report, err = fresh.CheckKeys(t.Context())
		if storetest.OK(t, err); report.Events != 1 || report.Keys[0].Rows != 1 || len(report.Unreadable) > 0 {
			t.Errorf("after: %+v", report)
		}
		if state, err := in.StreamState(t.Context(), e); err != nil || string(state) != "half of an answer" {
			t.Errorf("with the new key alone: %q, %v", state, err)
		}

		storetest.OK(t, old.RecordStream(t.Context(), e, []byte("of a key that is lost")))
		for _, erase := range []bool{false, true} {
			if n, unreadable, err := fresh.Reseal(t.Context(), erase); n != 0 || unreadable != 1 || err != nil {
				t.Errorf("erase %t: %d sealed anew, %d unreadable, %v", erase, n, unreadable, err)
			}
			left := f.CountOf(t, "SELECT count(*) FROM inbox WHERE length(stream) > 0")
			if gone := left == 0; gone != erase {
				t.Errorf("erase %t: %d left", erase, left)
			}
		}
		if state, err := in.StreamState(t.Context(), e); err != nil || len(state) > 0 {
			t.Errorf("erased: %q, %v", state, err)
		}
	})
}
