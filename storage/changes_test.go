package storage_test

// A line of history and what it tells of are written together or not at all, once, whatever happens in between.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// history returns all lines of a connection, oldest first.
func history(t *testing.T, f storetest.Fixture, connectionID string) []connection.Change {
	t.Helper()
	lines, err := f.History(t.Context(), connectionID, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(lines)
	return lines
}

// told is what history says, without when.
func told(t *testing.T, f storetest.Fixture, connectionID string) (lines []string) {
	t.Helper()
	for _, c := range history(t, f, connectionID) {
		lines = append(lines, fmt.Sprint(c.What, " ", c.Outcome, " by ", c.By.Kind, c.By.ID, " ", c.Reason))
	}
	return lines
}

func tells(t *testing.T, what string, f storetest.Fixture, connectionID string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, told(t, f, connectionID), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func update(t *testing.T, db install.Store, k connection.Key, fn func(c *connection.Connection)) connection.Connection {
	t.Helper()
	c, err := db.Update(t.Context(), k, func(c *connection.Connection) error { fn(c); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testHistoryOfPut(t *testing.T, f storetest.Fixture) {
	consent := func(by string, after time.Duration) connection.Connection {
		c := storetest.Full(storetest.Key("A-told", "", "T1"))
		c.AuthorizedBy, c.AuthorizedAt = by, storetest.T0.Add(after)
		c.Note(connection.Change{What: "the caller's own"}) // the store knows better
		return c
	}
	first := storetest.Put(t, f, consent("U1", 0))
	other := storetest.Put(t, f, storetest.Full(storetest.Key("A-told", "", "T2")))
	late := storetest.Put(t, f, consent("U2", -time.Second))
	again, before, err := f.Put(t.Context(), consent("", time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]connection.Connection{"first": first, "late": late, "again": again,
		"before": *before} {
		if c.Changes != nil {
			t.Errorf("%s: %d lines came back", what, len(c.Changes))
		}
	}
	update(t, f, first.Key, func(c *connection.Connection) {
		c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0.Add(time.Hour))
		c.Note(connection.Change{At: storetest.T0.Add(time.Hour), By: connection.Actor{Kind: connection.BySlack},
			What: connection.DidRemove, Outcome: connection.OutcomeDone, Reason: connection.ReasonUninstalled})
	})
	storetest.Put(t, f, consent("U3", 2*time.Hour))
	tells(t, "installs", f, first.ID, "install done by personU1 ", "reconnect done by personU2 ",
		"reconnect done by operator ", "remove done by slack app_uninstalled", "reinstall done by personU3 ")
	tells(t, "another connection", f, other.ID, "install done by personU1 ")

	lines, err := f.History(t.Context(), first.ID, 2)
	want := []connection.Change{
		{ConnectionID: first.ID, At: storetest.T0.Add(2 * time.Hour), By: connection.Person("U3"),
			What: connection.DidReinstall, Outcome: connection.OutcomeDone},
		{ConnectionID: first.ID, At: storetest.T0.Add(time.Hour), By: connection.Actor{Kind: connection.BySlack},
			What: connection.DidRemove, Outcome: connection.OutcomeDone, Reason: connection.ReasonUninstalled},
	}
	if diff := cmp.Diff(want, lines); diff != "" || err != nil {
		t.Errorf("the newest two, error %v (-want +got):\n%s", err, diff)
	}
	for _, id := range []string{"", "con_nobody", "\x00", "\xff"} {
		if lines, err := f.History(t.Context(), id, 9); err != nil || len(lines) != 0 {
			t.Errorf("history of %q: %v, %v", id, lines, err)
		}
	}
	for _, n := range []int{0, -1} {
		if lines, err := f.History(t.Context(), first.ID, n); err != nil || len(lines) != 0 {
			t.Errorf("%d lines: %v, %v", n, lines, err)
		}
	}
}

// Whoever loses the race for a row writes one line for what they did do, and none for what they did not.
func testHistoryTogether(t *testing.T, f storetest.Fixture) {
	k := storetest.Key("A-told-race", "", "T1")
	storagetest.Together(storetest.Callers, func(i int) {
		c := storetest.Full(k)
		c.AuthorizedBy = fmt.Sprintf("U%d", i)
		if _, _, err := f.Put(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
	c, err := f.Lookup(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	whats, people := map[string]int{}, map[string]int{}
	lines := history(t, f, c.ID)
	for _, line := range lines {
		whats[line.What]++
		people[line.By.ID]++
	}
	if len(lines) != storetest.Callers || lines[0].What != connection.DidInstall || whats[connection.DidInstall] != 1 ||
		len(people) != storetest.Callers {
		t.Errorf("%d lines by %d people: %v", len(lines), len(people), whats)
	}
}

func testHistoryOfUpdate(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-noted", "", "T1")))
	line := func(what string) connection.Change {
		return connection.Change{At: storetest.T0, By: connection.Actor{Kind: connection.ByOperator}, What: what,
			Outcome: connection.OutcomeDone}
	}
	want := []string{"install done by personU1 "}

	// Several lines, in their order, also when nothing else is to be written.
	got := update(t, f, c.Key, func(c *connection.Connection) {
		if c.Changes != nil {
			t.Error("fn was given lines")
		}
		c.Note(line("one"))
		c.Note(line("two"))
	})
	if got.Changes != nil {
		t.Error("lines came back")
	}
	want = append(want, "one done by operator ", "two done by operator ")
	tells(t, "two lines", f, c.ID, want...)

	// What needs a line and has none gets one; what needs none gets none.
	for name, change := range map[string]func(c *connection.Connection){
		"state":         func(c *connection.Connection) { c.State = connection.Retrying },
		"reason":        func(c *connection.Connection) { c.Reason = "other" },
		"token":         func(c *connection.Connection) { c.Token += "2" },
		"refresh token": func(c *connection.Connection) { c.RefreshToken += "2" },
		"scopes":        func(c *connection.Connection) { c.Scopes = append(c.Scopes, "files:read") },
	} {
		now := update(t, f, c.Key, change)
		want = append(want, fmt.Sprintf("change done by switchboard %s", now.State))
		tells(t, name, f, c.ID, want...)
	}
	update(t, f, c.Key, func(c *connection.Connection) {
		c.LastEventAt, c.CheckAt, c.LeaseUntil = storetest.T0.Add(time.Hour), storetest.T0.Add(time.Hour),
			storetest.T0.Add(time.Hour)
	})
	update(t, f, c.Key, func(c *connection.Connection) { c.State = connection.Active; c.Note(line("noted")) })
	want = append(want, "noted done by operator ")
	tells(t, "noted", f, c.ID, want...)

	// A line without a time is of now.
	before := f.Now().Truncate(time.Microsecond)
	update(t, f, c.Key, func(c *connection.Connection) {
		c.Note(connection.Change{What: "now", ConnectionID: "con_another"})
	})
	want = append(want, "now  by  ")
	tells(t, "without a time", f, c.ID, want...)
	lines := history(t, f, c.ID)
	if at := lines[len(lines)-1].At; at.Before(before) || at.After(f.Now()) {
		t.Errorf("a line without a time is of %v", at)
	}

	// Nothing is told of what did not happen.
	for name, fn := range map[string]func(c *connection.Connection) error{
		"an error":    func(c *connection.Connection) error { return errors.New("no, thanks") },
		"another key": func(c *connection.Connection) error { c.TeamID = "T2"; return nil },
	} {
		if _, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
			c.Note(line("never"))
			return fn(c)
		}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := f.Update(ctx, c.Key, func(c *connection.Connection) error {
		c.Note(line("never"))
		cancel()
		return nil
	}); err == nil {
		t.Error("an ended update ended well")
	}
	tells(t, "nothing happened", f, c.ID, want...)

	// A transaction that starts over starts with no lines.
	tries := 0
	if _, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
		if len(c.Changes) != 0 {
			t.Error("the second try found lines of the first")
		}
		c.Note(line("once"))
		if tries++; tries < 3 {
			return &pgconn.PgError{Code: "40001"} // serialization_failure
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("%d tries, error %v", tries, err)
	}
	want = append(want, "once done by operator ")
	tells(t, "started over", f, c.ID, want...)
}

// A line that cannot be written takes back what it tells of, and the other way round.
func TestHistoryIsInTheTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
		u := person(c.Key, "U1")
		grant(t, f, u)
		storetest.Exec(t, f, "ALTER TABLE connection_history RENAME COLUMN actor_id TO gone")
		if _, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
			c.State = connection.Paused
			return nil
		}); err == nil {
			t.Error("an update went without its line")
		}
		if _, _, err := f.Put(t.Context(), storetest.Full(storetest.Key("A1", "", "T2"))); err == nil {
			t.Error("an install went without its line")
		}
		again := storetest.Full(c.Key)
		again.Token = "xoxb-never"
		if _, _, err := f.Put(t.Context(), again); err == nil {
			t.Error("a consent went without its line")
		}
		line := connection.Change{What: connection.DidUserRevoke}
		if erased, err := f.EraseUser(t.Context(), u, line); err == nil || erased {
			t.Errorf("a token was erased without a line: %v, error %v", erased, err)
		}
		if _, err := f.UpdateUser(t.Context(), u.TokenOwner, func(u *connection.UserToken) error {
			u.Reason = "gone"
			return nil
		}); err == nil {
			t.Error("a person's token was changed without a line")
		}
		never := person(c.Key, "U2")
		never.Note(line)
		if err := f.AddUser(t.Context(), never); err == nil {
			t.Error("a person's token was kept without its line")
		}
		storetest.Exec(t, f, "ALTER TABLE connection_history RENAME COLUMN gone TO actor_id")
		if n := f.CountOf(t, "SELECT count(*) FROM connections"); n != 1 {
			t.Errorf("%d connections", n)
		}
		found, err := f.Lookup(t.Context(), c.Key)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "after all that", found, c)
		tells(t, "after all that", f, c.ID, "install done by personU1 ")
		if users, err := f.Users(t.Context(), c.Key); err != nil || len(users) != 1 || users[0].Reason != "" {
			t.Errorf("people: %v, %v", users, err)
		}
	})
}

// What we make up for a row that cannot be read is no change; what somebody does to it is.
func TestHistoryOfUnreadableRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
		grant(t, f, person(c.Key, "U1"))
		stranger := storetest.OpenWith(t, f.URL, storetest.Ring(t, seal.NewKey()))
		update(t, stranger, c.Key, func(c *connection.Connection) { c.LastEventAt = storetest.T0.Add(time.Hour) })
		updateUser(t, stranger, connection.TokenOwner{Key: c.Key, UserID: "U1"}, func(u *connection.UserToken) {
			u.LeaseUntil = storetest.T0
		})
		tells(t, "nothing that matters", f, c.ID, "install done by personU1 ")
		update(t, stranger, c.Key, func(c *connection.Connection) {
			c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, storetest.T0)
		})
		tells(t, "erased", f, c.ID, "install done by personU1 ", "change done by switchboard reconnect_required")
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx, before := t.Context(), storetest.T0.Add(time.Hour)
		// More than two batches of each.
		const gone, lines = 250, 2500
		for i := range gone {
			c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", fmt.Sprintf("T%d", i))))
			grant(t, f, person(c.Key, "U1"))
			grant(t, f, person(c.Key, "U2"))
		}
		kept := map[string]connection.Connection{}
		for name, state := range map[string]connection.State{"works": connection.Active,
			"broken": connection.ReconnectRequired, "paused": connection.Paused, "removed since": connection.Removed} {
			c := storetest.Full(storetest.Key("A2", "", name))
			c.State, c.StateSince = state, storetest.T0
			if state == connection.Removed {
				c.StateSince = before
			}
			kept[name] = storetest.Put(t, f, c)
		}
		grant(t, f, person(kept["works"].Key, "U1"))
		// as a release that knows no people does
		storetest.Exec(t, f, "UPDATE connections SET state = 'removed' WHERE app_id = 'A1'")
		line := func(what, outcome string, at time.Time) connection.Change {
			return connection.Change{At: at, What: what, Outcome: outcome}
		}
		update(t, f, kept["works"].Key, func(c *connection.Connection) {
			for range lines {
				c.Note(line(connection.DidRenew, connection.OutcomeDone, before.Add(-time.Microsecond)))
			}
			c.Note(line(connection.DidRenew, connection.OutcomeFail, storetest.T0))
			c.Note(line(connection.DidExchange, connection.OutcomeDone, storetest.T0))
			c.Note(line(connection.DidRenew, connection.OutcomeDone, before))
		})

		if n, err := f.Sweep(ctx, time.Time{}); n != 0 || err != nil {
			t.Errorf("swept %d before the zero time, error %v", n, err)
		}
		if n := f.CountOf(t, "SELECT count(*) FROM connection_history WHERE what = 'renew'"); n != lines+2 {
			t.Errorf("%d lines before the sweep", n)
		}
		if n, err := f.Sweep(ctx, before); n != gone || err != nil {
			t.Errorf("swept %d of %d, error %v", n, gone, err)
		}
		if n := f.CountOf(t, "SELECT count(*) FROM connections"); n != len(kept) {
			t.Errorf("%d connections are left of %d", n, len(kept))
		}
		if n := f.CountOf(t, "SELECT count(*) FROM user_tokens"); n != 1 {
			t.Errorf("%d people's tokens are left", n)
		}
		if n := f.CountOf(t, "SELECT count(*) FROM connection_history"); n != len(kept)+3 {
			t.Errorf("%d lines are left", n)
		}
		tells(t, "routine", f, kept["works"].ID, "install done by personU1 ", "renew failed by  ", "exchange done by  ",
			"renew done by  ")
		if n, err := f.Sweep(ctx, before); n != 0 || err != nil {
			t.Errorf("swept %d once more, error %v", n, err)
		}
	})
}

// A connection that comes back while the sweep waits for its row stays.
func TestSweepMeetsAReinstall(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx := t.Context()
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
		update(t, f, c.Key, func(c *connection.Connection) {
			c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0)
		})
		other, err := f.Raw.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		begin := "BEGIN"
		if f.Dialect() == "sqlite" {
			begin = "BEGIN IMMEDIATE"
		}
		for _, statement := range []string{begin, "UPDATE connections SET state = 'active', version = version + 1"} {
			if _, err := other.ExecContext(ctx, statement); err != nil {
				t.Fatal(err)
			}
		}
		swept := make(chan int64)
		go func() {
			n, err := f.Sweep(ctx, storetest.T0.Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			swept <- n
		}()
		// On PostgreSQL the statement has chosen its rows when it waits for ours. SQLite does not even let it begin.
		for waiting := 0; f.Dialect() == "postgres" && waiting == 0; {
			if err := other.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = "+
				"ANY(pg_blocking_pids(pid))").Scan(&waiting); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := other.ExecContext(ctx, "COMMIT"); err != nil {
			t.Fatal(err)
		}
		if n := <-swept; n != 0 {
			t.Errorf("swept %d", n)
		}
		if found, err := f.Lookup(ctx, c.Key); err != nil || found.State != connection.Active {
			t.Errorf("a connection that came back is gone: %v", err)
		}
	})
}
