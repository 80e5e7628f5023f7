package storage_test

// What people wrote is gone from the database when its event is done or the app is removed, and what is left of an event is small.

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"switchboard/bot"
	"switchboard/install/connection"
	"switchboard/storage"
	"switchboard/storage/storagetest"
)

// payloads counts those that the database holds, wherever they lie.
func (f fixture) payloads(t *testing.T, where string) int {
	t.Helper()
	n := f.count(t, "SELECT count(*) FROM inbox WHERE length(payload) > 0 AND "+where)
	if f.Dialect() == "sqlite" {
		n += f.count(t, "SELECT count(*) FROM inbox_payloads WHERE id IN (SELECT id FROM inbox WHERE "+where+")")
		if lost := f.count(t, "SELECT count(*) FROM inbox_payloads WHERE id NOT IN (SELECT id FROM inbox)"); lost > 0 {
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

// sizeOf is how many bytes of the disk are in use, and how many more the file of SQLite has. On PostgreSQL it is the inbox alone,
// after a vacuum.
func sizeOf(t *testing.T, f fixture) (used, spare int64) {
	t.Helper()
	if f.Dialect() == "postgres" {
		exec(t, f, "VACUUM inbox")
		return int64(f.count(t, "SELECT pg_total_relation_size('inbox')")), 0
	}
	exec(t, f, "PRAGMA wal_checkpoint(TRUNCATE)")
	file, err := os.Stat(strings.TrimPrefix(f.url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	page := f.count(t, "PRAGMA page_size")
	used = int64(page * (f.count(t, "PRAGMA page_count") - f.count(t, "PRAGMA freelist_count")))
	return used, file.Size() - used
}

// burst is a number of events that all wait at once, and then are done. They are named as Slack names them. Where
// some fail it is one in ten, once, with a sentence.
func burst(t *testing.T, in desk, prefix string, n int, like bot.Event, failing bool) {
	t.Helper()
	held := make([]bot.Event, n)
	storagetest.Together(n, func(i int) {
		e := like
		e.ID = fmt.Sprintf("Ev%s%09d", prefix, i*7919%n) // in no order
		held[i], _ = in.add(e, !failing)
	})
	if !failing && like.OrderingKey == "" {
		storagetest.Together(n, func(i int) { ok(t, in.Done(t.Context(), held[i])) })
		return
	}
	for done := 0; done < n && !t.Failed(); {
		ok(t, in.LetAllGo(t.Context()))
		in.LookAtAll()
		claimed := in.claim(n)
		storagetest.Together(len(claimed), func(i int) {
			e := claimed[i]
			if failing && e.Failures == 0 && i%10 == 0 {
				e.Said = []string{"1764435600.000100", "1764435600.000200"}
				ok(t, in.RecordSaid(t.Context(), e))
				ok(t, in.Retry(t.Context(), e, in.Now(), true, "post the answer: Slack did not answer within 10 seconds"))
				claimed[i].Row = 0
				return
			}
			ok(t, in.Done(t.Context(), e))
		})
		for _, e := range claimed {
			if e.Row > 0 {
				done++
			}
		}
	}
}

// usual is an event as Slack sends it, with so many bytes.
func usual(bytes int) bot.Event {
	return bot.Event{Kind: "events_api", Type: "message", Key: key("A0123456789", "E0123456789", "T0123456789"), Received: t0,
		Body: []byte(`{"text":"` + strings.Repeat("x", bytes) + `"}`)}
}

// A done event keeps its name, and not the place of what was in it, however much waited at once.
func TestDoneEventsAreSmall(t *testing.T) {
	t.Parallel()
	slow, ordered := usual(1500), usual(1500)
	slow.Kind, slow.Type = "slash_commands", "/standup"
	ordered.OrderingKey = ordered.Key.String() + "/T0123456789/C0123456789"
	for name, c := range map[string]struct {
		like    bot.Event
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
			f := open(t, storagetest.SQLite(t))
			in := inbox(t, f, newClock())
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
			if n := f.payloads(t, "true"); n > 0 {
				t.Errorf("%d payloads are left", n)
			}
		})
	}
}

// What a done event takes of the disk, on both databases, where many are done and many are under way at once: docs/performance.md has
// the figures.
func TestDiskOfADoneEvent(t *testing.T) {
	storagetest.Long(t)
	eachDatabase(t, func(t *testing.T, f fixture) {
		in := inbox(t, f, newClock())
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

// A file that an earlier release laid out gives nothing back until it is laid out anew, when a program has it for itself.
func TestEarlierFileShrinks(t *testing.T) {
	t.Parallel()
	url := storagetest.SQLite(t)
	raw := rawHandle(t, url)
	for _, statement := range []string{"PRAGMA journal_mode(WAL)", "CREATE TABLE waste (b blob)", "INSERT INTO waste VALUES (zeroblob(2000000))"} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, url)
	exec(t, f, "DROP TABLE waste")
	if _, spare := sizeOf(t, f); spare < 1_900_000 {
		t.Fatalf("%d bytes are free", spare)
	}
	for range 2 {
		in, err := f.Inbox(t.Context(), storage.InboxConfig{Alone: true})
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
		if _, spare := sizeOf(t, f); spare > mostSpare*4096 {
			t.Errorf("%d bytes are free", spare)
		}
	}
	if n := strings.Count(f.log.String(), "laid out anew, once"); n != 1 {
		t.Errorf("laid out %d times:\n%s", n, f.log)
	}
}

// A removal erases what the connection answered for, in every state that it waits in, in the moment in which it erases the tokens; and
// nothing of a connection that lives on.
func TestNoMessageOutlivesTheRemoval(t *testing.T) {
	t.Parallel()
	workspace, organisation := key("A1", "E1", "T1"), key("A1", "E1", "")
	for name, c := range map[string]struct {
		removed      connection.Key
		live         []connection.Key
		erased, kept []connection.Key
	}{
		"a workspace": {
			removed: workspace, live: []connection.Key{key("A2", "E1", "T1"), key("A1", "", "T2")},
			erased: []connection.Key{workspace, key("A1", "", "T1"), key("A1", "E2", "T1")},
			kept:   []connection.Key{key("A2", "E1", "T1"), key("A1", "", "T2"), key("A1", "E1", "T3"), organisation},
		},
		"a workspace of no organisation": {removed: key("A1", "", "T1"), erased: []connection.Key{key("A1", "", "T1"), workspace}},
		"a workspace that is installed anew under another organisation": {
			removed: key("A1", "", "T1"), live: []connection.Key{workspace},
			erased: []connection.Key{key("A1", "", "T1")}, kept: []connection.Key{workspace, key("A1", "E2", "T1")},
		},
		"an organisation": {
			removed: organisation, live: []connection.Key{key("A1", "E1", "T2")},
			erased: []connection.Key{organisation, workspace, key("A1", "E1", "T3")},
			kept:   []connection.Key{key("A1", "E1", "T2"), key("A1", "E2", "T1"), key("A1", "", "T1")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachDatabase(t, func(t *testing.T, f fixture) {
				in := inbox(t, f, newClock())
				for _, k := range append(c.live, c.removed) {
					put(t, f, full(k))
				}
				for _, k := range append(c.erased, c.kept...) {
					inEveryState(t, f, in, k)
				}
				remove(t, f, c.removed)
				for _, k := range c.erased {
					if n := f.payloads(t, where(k)); n > 0 {
						t.Errorf("%d messages of %v outlive the removal", n, k)
					}
				}
				for _, k := range c.kept {
					if n := f.payloads(t, where(k)); n != states {
						t.Errorf("%d messages of %v are left of %d", n, k, states)
					}
				}
				count, err := in.Count(t.Context())
				if ok(t, err); count.Erased != states*len(c.erased) {
					t.Errorf("%d counted as erased", count.Erased)
				}
			})
		})
	}
}

// states is how many events inEveryState makes.
const states = 6

// inEveryState leaves an event of k in each state in which it has a payload, and one as the release before leaves it.
func inEveryState(t *testing.T, f fixture, in desk, k connection.Key) {
	t.Helper()
	named := func(id string) bot.Event {
		e := event(id+k.String(), "")
		e.Key = k
		return e
	}
	in.add(named("held"), true)
	waiting, _ := in.add(named("waiting"), true)
	ok(t, in.Retry(t.Context(), waiting, in.Now().Add(time.Minute), true, "not yet"))
	dead, _ := in.add(named("dead"), true)
	ok(t, in.DeadLetter(t.Context(), dead, "failed"))
	in.add(named("ready"), false)
	old, _ := in.add(named("old"), false)
	f.putPayload(t, old.ID, []byte("as the release before keeps it"))
	queued := named("queued")
	queued.OrderingKey = "lane of " + k.String()
	in.add(queued, false)
	exec(t, f, "UPDATE inbox SET state = 'queued' WHERE event_id = '"+queued.ID+"'")
}

func where(k connection.Key) string {
	return fmt.Sprintf("app_id = '%s' AND enterprise_id = '%s' AND team_id = '%s'", k.AppID, k.EnterpriseID, k.TeamID)
}

func remove(t *testing.T, f fixture, k connection.Key) {
	t.Helper()
	_, err := f.Update(t.Context(), k, func(c *connection.Connection) error {
		c.Erase(connection.Removed, connection.ReasonUninstalled, t0.Add(time.Hour))
		return nil
	})
	ok(t, err)
}

// What Slack says of a removal is worked although it belongs to what is erased. Whoever works a message in that moment learns that it
// is no longer theirs; and what failed only afterwards, or was left by a release that erases nothing, goes as well.
func TestRemovalIsWorked(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, f fixture) {
		c := newClock()
		in, k := inbox(t, f, c), key("A1", "E1", "T1")
		put(t, f, full(k))
		said := event("said", "T1")
		said.Type = "app_uninstalled"
		said, _ = in.add(said, true)
		revoked := event("revoked", "T1")
		revoked.Type = "tokens_revoked"
		in.add(revoked, false)
		message, _ := in.add(event("message", "T1"), true)
		remove(t, f, k)
		for what, err := range map[string]error{"done": in.Done(t.Context(), message), "failed": in.DeadLetter(t.Context(), message, "")} {
			if err != bot.ErrLost {
				t.Errorf("a message that was erased is %s: %v", what, err)
			}
		}
		ok(t, in.Retry(t.Context(), said, c.now(), true, "the database was away"))
		in.LookAtAll()
		for _, e := range in.claim(5) {
			if len(e.Body) == 0 {
				t.Errorf("%s has nothing in it", e.ID)
			}
			if e.ID == "revoked" {
				ok(t, in.DeadLetter(t.Context(), e, "failed for good"))
			} else {
				ok(t, in.Done(t.Context(), e))
			}
		}

		late, _ := in.add(event("late", "T1"), true)
		ok(t, in.DeadLetter(t.Context(), late, "failed"))
		if n := f.payloads(t, "true"); n != 2 {
			t.Errorf("%d payloads, not those of revoked and late", n)
		}
		ok(t, in.Tidy(t.Context()))
		if n := f.payloads(t, "true"); n != 0 {
			t.Errorf("%d payloads of a connection that is removed are left", n)
		}

		// A new install's messages are nobody's business, whatever comes late.
		put(t, f, full(k))
		fresh, _ := in.add(event("fresh", "T1"), true)
		ok(t, in.DeadLetter(t.Context(), fresh, "failed"))
		_, err := f.Update(t.Context(), k, func(c *connection.Connection) error { c.PendingRemoval = connection.Removal{}; return nil })
		ok(t, err)
		c.advance(time.Hour)
		ok(t, in.Tidy(t.Context()))
		if n := f.payloads(t, "true"); n != 1 {
			t.Errorf("%d payloads of the new install are left", n)
		}
	})
}

// An organisation takes the app from one of its workspaces: what came from there until then is erased, and nothing that came after it was
// added again, or from another one.
func TestNoMessageOutlivesALeftWorkspace(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, f fixture) {
		in, organisation := inbox(t, f, newClock()), key("A1", "E1", "")
		put(t, f, full(organisation))
		put(t, f, full(key("A1", "E1", "T3")))
		for _, team := range []string{"T1", "T2", "T3"} {
			inEveryState(t, f, in, key("A1", "E1", team))
		}
		later := event("later", "T1")
		later.Received = t0.Add(time.Minute)
		in.add(later, false)
		_, err := f.Update(t.Context(), organisation, func(c *connection.Connection) error {
			c.Left, c.LeftAt = []string{"T1", "T3"}, t0
			return nil
		})
		ok(t, err)
		for team, want := range map[string]int{"T1": 1, "T2": states, "T3": states} {
			if n := f.payloads(t, where(key("A1", "E1", team))); n != want {
				t.Errorf("%d messages of %s are left, not %d", n, team, want)
			}
		}
	})
}

// How long events wait counts from the oldest that is not done, whichever state it is in. What is dead waits for nobody.
func TestInboxCountsTheOldest(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, f fixture) {
		in := inbox(t, f, newClock())
		oldest := func(when string, want time.Time) {
			t.Helper()
			count, err := in.Count(t.Context())
			if ok(t, err); !count.Oldest.Equal(want) {
				t.Errorf("%s: the oldest is of %v, not %v", when, count.Oldest, want)
			}
		}
		oldest("nothing", time.Time{})
		e := event("Ev1", "T1")
		e.Received = t0.Add(-10 * time.Minute)
		newer := event("Ev2", "T2")
		in.add(newer, false)
		oldest("ready", t0)
		e, _ = in.add(e, true)
		oldest("held", e.Received)
		ok(t, in.Retry(t.Context(), e, in.Now().Add(time.Hour), true, "not yet"))
		oldest("waiting", e.Received)
		queued := laned("Ev3", "T1", "a")
		queued.Received = t0.Add(-time.Hour)
		in.add(queued, false)
		exec(t, f, "UPDATE inbox SET state = 'queued' WHERE event_id = 'Ev3'")
		oldest("queued", queued.Received)
		exec(t, f, "UPDATE inbox SET state = 'dead' WHERE event_id = 'Ev3'")
		oldest("dead", e.Received)
	})
}
