package values_test

// What a bot remembers is of one workspace, changes by nobody's hand but its own, and lives as long as the connection.

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func home(c connection.Connection) bot.ValueOwner {
	return bot.ValueOwner{ConnectionID: c.ID, AppID: c.AppID, TeamID: c.TeamID}
}

// connected is the home of a workspace that has just been connected.
func connected(t *testing.T, f storetest.Fixture, app, team string) bot.ValueOwner {
	t.Helper()
	return home(storetest.Put(t, f, storetest.Full(storetest.Key(app, "E1", team))))
}

func put(t *testing.T, db *storage.DB, of bot.ValueOwner, key, data string, until ...time.Time) {
	t.Helper()
	if err := db.Values().Put(t.Context(), of, key, []byte(data), append(until, time.Time{})[0]); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, db *storage.DB, of bot.ValueOwner, key string) bot.Kept {
	t.Helper()
	kept, err := db.Values().Get(t.Context(), of, key)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// clocked has a clock that the test moves.
func clocked(t *testing.T, f storetest.Fixture) (move func(time.Duration)) {
	t.Helper()
	now := storetest.T0
	storetest.OK(t, f.UseClock(t.Context(), func() time.Time { return now }))
	return func(d time.Duration) { now = now.Add(d) }
}

func TestValues(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		mine, others, app := connected(t, f, "A1", "T1"), connected(t, f, "A1", "T2"), connected(t, f, "A2", "T1")
		if kept := get(t, f.DB, mine, "k"); kept.Version != 0 || kept.Data != nil {
			t.Errorf("of nothing: %+v", kept)
		}
		put(t, f.DB, mine, "k", "1")
		put(t, f.DB, others, "k", "2")
		put(t, f.DB, app, "k", "3")
		for of, want := range map[bot.ValueOwner]string{mine: "1", others: "2", app: "3"} {
			if kept := get(t, f.DB, of, "k"); string(kept.Data) != want || kept.Key != "k" {
				t.Errorf("%v has %s", of, kept.Data)
			}
		}

		first := get(t, f.DB, mine, "k")
		put(t, f.DB, mine, "k", "1")
		if again := get(t, f.DB, mine, "k"); again.Version == first.Version {
			t.Error("a write left the version alone")
		}
		if done, err := f.Values().Replace(t.Context(), mine, first, []byte("lost")); done || err != nil {
			t.Errorf("a value that was written since was replaced: %v %v", done, err)
		}

		// Deleted and made anew it is another one, also with the same text.
		seen := get(t, f.DB, mine, "k")
		storetest.OK(t, f.Values().Delete(t.Context(), mine, "k"))
		storetest.OK(t, f.Values().Delete(t.Context(), mine, "k"))
		if done, err := f.Values().Replace(t.Context(), mine, seen, []byte("lost")); done || err != nil {
			t.Errorf("a value that was deleted was replaced: %v %v", done, err)
		}
		put(t, f.DB, mine, "k", "1")
		if done, err := f.Values().Replace(t.Context(), mine, seen, []byte("lost")); done || err != nil {
			t.Errorf("a value of a deleted one's was replaced: %v %v", done, err)
		}

		err := f.Values().Put(t.Context(), bot.ValueOwner{ConnectionID: "con_gone", AppID: "A1", TeamID: "T9"}, "k",
			[]byte("1"), time.Time{})
		if !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("of no connection: %v", err)
		}
	})
}

// Any number of processes count in one value, and none of their steps is lost.
func TestReplaceTogether(t *testing.T) {
	t.Parallel()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		keys := storetest.Ring(t, seal.NewKey())
		replicas := []*storage.DB{storetest.OpenWith(t, url, keys), storetest.OpenWith(t, url, keys)}
		if _, err := replicas[0].Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		of := home(storetest.Put(t, replicas[0], storetest.Full(storetest.Key("A1", "", "T1"))))
		storagetest.Together(storetest.Callers, func(i int) {
			table := replicas[i%2].Values()
			for {
				kept, err := table.Get(t.Context(), of, "n")
				if err != nil {
					t.Error(err)
					return
				}
				kept.Key = "n"
				done, err := table.Replace(t.Context(), of, kept, append(kept.Data, 'x'))
				if err != nil {
					t.Error(err)
				}
				if done || err != nil {
					return
				}
			}
		})
		if kept := get(t, replicas[1], of, "n"); len(kept.Data) != storetest.Callers {
			t.Errorf("%d of %d steps", len(kept.Data), storetest.Callers)
		}
	})
}

func TestValuesEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		move := clocked(t, f)
		of := connected(t, f, "A1", "T1")
		end := storetest.T0.Add(time.Hour)
		put(t, f.DB, of, "short", "1", end)
		put(t, f.DB, of, "kept", "1")
		short := get(t, f.DB, of, "short")
		if done, err := f.Values().Replace(t.Context(), of, short, []byte("2")); !done || err != nil {
			t.Fatal(done, err)
		}
		short = get(t, f.DB, of, "short")

		move(time.Hour)
		if kept := get(t, f.DB, of, "short"); kept.Version != 0 {
			t.Errorf("after its time: %+v", kept)
		}
		if list, err := f.Values().List(t.Context(), of, "", "", 10); err != nil || len(list) != 1 || list[0].Key != "kept" {
			t.Errorf("after its time: %v %v", list, err)
		}
		if done, err := f.Values().Replace(t.Context(), of, short, []byte("3")); done || err != nil {
			t.Errorf("replaced after its time: %v %v", done, err)
		}
		if done, err := f.Values().Replace(t.Context(), of, bot.Kept{Key: "short"}, []byte("4")); !done || err != nil {
			t.Errorf("in the place of what is over: %v %v", done, err)
		}
		if done, err := f.Values().Replace(t.Context(), of, bot.Kept{Key: "short"}, []byte("5")); done || err != nil {
			t.Errorf("in the place of what is not over: %v %v", done, err)
		}

		for i := range 1500 { // more than a step of the sweep
			put(t, f.DB, of, fmt.Sprint("many/", i), "1", end.Add(time.Minute))
		}
		move(time.Minute)
		if _, err := f.Sweep(t.Context(), storetest.T0.Add(-90*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n := f.CountOf(t, "SELECT count(*) FROM bot_values"); n != 2 {
			t.Errorf("%d values after the sweep, want 2", n)
		}
	})
}

func TestListValues(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		of, other := connected(t, f, "A1", "T1"), connected(t, f, "A1", "T2")
		want := []string{"a", "a/B", "a/a", "a/b", "a/é", "a/\U0001F98A", "a0", "b%", "b_"} // in the order of their bytes
		for i := range want {
			put(t, f.DB, of, want[len(want)-1-i], "1")
		}
		put(t, f.DB, other, "a/other", "1")
		list := func(prefix, after string, n int) (keys []string) {
			t.Helper()
			found, err := f.Values().List(t.Context(), of, prefix, after, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, kept := range found {
				keys = append(keys, kept.Key)
			}
			return keys
		}
		for _, test := range []struct {
			prefix, after string
			n             int
			want          []string
		}{
			{"", "", 100, want}, {"a/", "", 100, want[1:6]}, {"a/", "a/a", 2, want[3:5]}, {"b%", "", 9, want[7:8]},
			{"", "b_", 9, nil}, {"c", "", 9, nil},
		} {
			if diff := cmp.Diff(test.want, list(test.prefix, test.after, test.n)); diff != "" {
				t.Errorf("%q after %q: %s", test.prefix, test.after, diff)
			}
		}
	})
}

// Where an organisation's connection took over, a list gives it the values of the workspace, also those that it doesn't
// name.
func TestListedValuesChangeHands(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		own := connected(t, f, "A1", "T1")
		for _, key := range []string{"a/1", "a/2", "b"} {
			put(t, f.DB, own, key, "1")
		}
		org := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "")))
		inside := bot.ValueOwner{ConnectionID: org.ID, AppID: "A1", TeamID: "T1"}

		for range 2 {
			some, err := f.Values().List(t.Context(), inside, "a/", "", 9)
			if storetest.OK(t, err); len(some) != 2 {
				t.Errorf("listed %+v", some)
			}
			if n := f.CountOf(t, "SELECT count(*) FROM bot_values WHERE connection_id = '"+org.ID+"'"); n != 3 {
				t.Errorf("%d of 3 are the organisation's", n)
			}
		}
	})
}

// Values outlive the access: a removal, a re-install, a move into an organisation, an organisation-wide install.
func TestValuesFollowTheWorkspace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		move := clocked(t, f)
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
		put(t, f.DB, home(c), "k", "1")
		line := connection.Change{At: storetest.T0, By: connection.Actor{Kind: connection.BySlack}, What: connection.DidMove}
		moved, err := f.Rekey(t.Context(), c.Key, storetest.Key("A1", "E1", "T1"), c.Token, line)
		if err != nil {
			t.Fatal(err)
		}
		if kept := get(t, f.DB, home(moved), "k"); string(kept.Data) != "1" {
			t.Errorf("after the move: %+v", kept)
		}

		remove := func(k connection.Key) {
			t.Helper()
			if _, err := f.Update(t.Context(), k, func(c *connection.Connection) error {
				c.Erase(connection.Removed, connection.ReasonUninstalled, f.Now())
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		keep := 90 * 24 * time.Hour
		remove(moved.Key)
		move(keep - time.Minute)
		if _, err := f.Sweep(t.Context(), f.Now().Add(-keep)); err != nil {
			t.Fatal(err)
		}
		again := storetest.Full(moved.Key)
		again.AuthorizedAt, again.InstalledAt, again.StateSince = f.Now(), f.Now(), f.Now()
		if back := storetest.Put(t, f, again); string(get(t, f.DB, home(back), "k").Data) != "1" {
			t.Error("a re-install within the time doesn't find it")
		}

		// The organisation takes over, and the workspace's own connection goes.
		org := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "")))
		inside := bot.ValueOwner{ConnectionID: org.ID, AppID: "A1", TeamID: "T1"}
		if kept := get(t, f.DB, inside, "k"); string(kept.Data) != "1" {
			t.Errorf("by the organisation's: %+v", kept)
		}
		remove(moved.Key)
		move(keep + time.Hour)
		sweep := func() {
			t.Helper()
			if _, err := f.Sweep(t.Context(), f.Now().Add(-keep)); err != nil {
				t.Fatal(err)
			}
		}
		sweep()
		if kept := get(t, f.DB, inside, "k"); string(kept.Data) != "1" {
			t.Errorf("after the workspace's own is gone: %+v", kept)
		}
		remove(org.Key)
		move(keep + time.Hour)
		sweep()
		if n := f.CountOf(t, "SELECT count(*) FROM bot_values"); n != 0 {
			t.Errorf("%d values after the last connection is gone", n)
		}
	})
}

// A box that is put into another row does not open there, and nothing of it is in the clear.
func TestValuesAreSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		const secret = "what people wrote"
		mine, others := connected(t, f, "A1", "T1"), connected(t, f, "A1", "T2")
		put(t, f.DB, mine, "k", secret)
		put(t, f.DB, mine, "other", "1")
		put(t, f.DB, others, "k", "1")
		var box []byte
		storetest.OK(t, f.Raw.QueryRow("SELECT value FROM bot_values WHERE team_id = 'T1' AND name = 'k'").Scan(&box))
		if len(box) < len(secret) || bytes.Contains(box, []byte(secret)) {
			t.Error("it lies there in the clear")
		}

		const copied = "UPDATE bot_values SET value = (SELECT value FROM bot_values WHERE team_id = 'T1' AND name = 'k') " +
			"WHERE "
		for of, where := range map[bot.ValueOwner]string{others: "team_id = 'T2'", mine: "name = 'other'"} {
			storetest.Exec(t, f, copied+where)
			key := "k"
			if of == mine {
				key = "other"
			}
			if kept, err := f.Values().Get(t.Context(), of, key); err == nil || len(kept.Data) > 0 {
				t.Errorf("a copy opens: %q %v", kept.Data, err)
			}
		}
	})
}

func TestResealValues(t *testing.T) {
	t.Parallel()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		old := storetest.OpenWith(t, url, storetest.Ring(t, oldKey))
		if _, err := old.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		of := home(storetest.Put(t, old, storetest.Full(storetest.Key("A1", "", "T1"))))
		const n = 600 // more than a batch
		for i := range n {
			put(t, old, of, fmt.Sprint(i), "1")
		}

		both := storetest.OpenWith(t, url, storetest.Ring(t, newKey, oldKey))
		if report, err := both.CheckKeys(t.Context()); err != nil || report.Values != n || report.Keys[1].Rows != n+1 {
			t.Fatalf("before: %+v, %v", report, err)
		}
		// What is written meanwhile, after it was read, stays as it was written.
		meanwhile := func(db, by *storage.DB, erase bool, at int, key string) {
			t.Helper()
			rows := 0
			storetest.OK(t, db.Values().Reseal(t.Context(), erase, func(_, _ bool, err error) error {
				if rows++; rows == at {
					put(t, by, of, key, "2")
				}
				return err
			}))
		}
		meanwhile(both, old, false, 2, "10")
		if sealed, unreadable, err := both.Reseal(t.Context(), false); sealed != 2 || unreadable != 0 || err != nil {
			t.Errorf("%d sealed, %d unreadable, %v; want the connection and what was written meanwhile", sealed, unreadable,
				err)
		}
		if kept := get(t, both, of, "10"); string(kept.Data) != "2" {
			t.Errorf("written meanwhile: %+v", kept)
		}
		fresh := storetest.OpenWith(t, url, storetest.Ring(t, newKey))
		if kept := get(t, fresh, of, "599"); string(kept.Data) != "1" {
			t.Errorf("with the new key alone: %+v", kept)
		}

		put(t, old, of, "lost", "1")
		report, err := fresh.CheckKeys(t.Context())
		if err != nil || len(report.Unreadable) != 1 || report.Unreadable[0] != "values/T1/lost" {
			t.Errorf("%v %v", report.Unreadable, err)
		}
		if _, err := fresh.Values().Get(t.Context(), of, "lost"); err == nil ||
			!strings.Contains(err.Error(), "keys at hand") {
			t.Errorf("what no key opens: %v", err)
		}
		for _, erase := range []bool{false, true} {
			if _, unreadable, err := fresh.Reseal(t.Context(), erase); unreadable != 1 || err != nil {
				t.Errorf("erase %v: %d unreadable, %v", erase, unreadable, err)
			}
		}
		if _, unreadable, err := fresh.Reseal(t.Context(), false); unreadable != 0 || err != nil {
			t.Errorf("after it was erased: %d unreadable, %v", unreadable, err)
		}

		for _, key := range []string{"x", "y", "z"} {
			put(t, old, of, key, "1")
		}
		meanwhile(fresh, fresh, true, n+2, "z")
		if kept := get(t, fresh, of, "z"); string(kept.Data) != "2" || get(t, fresh, of, "y").Version != 0 {
			t.Errorf("written while it was erased: %+v", kept)
		}
	})
}
