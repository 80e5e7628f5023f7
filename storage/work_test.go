package storage_test

// The lists of work leave out what must be left alone, and hand out nothing twice; budgets hold for all processes
// together.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestDue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		now := storetest.T0.Add(time.Hour)
		chain := func(renew, lease time.Duration) connection.TokenPair {
			c := connection.TokenPair{Token: "xoxe.xoxb-1", RefreshToken: "xoxe-1"}
			if renew != 0 {
				c.RenewAt = now.Add(renew)
			}
			if lease != 0 {
				c.LeaseUntil = now.Add(lease)
			}
			return c
		}
		bot := func(team string, state connection.State, chain connection.TokenPair) connection.Key {
			c := storetest.Full(storetest.Key("A1", "", team))
			c.State, c.TokenPair = state, chain
			return storetest.Put(t, f, c).Key
		}
		user := func(k connection.Key, id string, chain connection.TokenPair) {
			u := person(k, id)
			u.TokenPair = chain
			grant(t, f, u)
		}
		third := bot("third", connection.Active, chain(-3*time.Minute, 0))
		user(third, "second", chain(-4*time.Minute, -time.Second))
		first := bot("first", connection.ReconnectRequired, chain(-5*time.Minute, 0))
		update(t, f, first, func(c *connection.Connection) { c.LeaseUntil = now }) // it ends at this moment
		last := bot("last", connection.Retrying, chain(-time.Microsecond, 0))      // (before) the moment it is due
		user(last, "at once", chain(-2*time.Microsecond, 0))
		updateUser(t, f, connection.TokenOwner{Key: last, UserID: "at once"},
			func(u *connection.UserToken) { u.LeaseUntil = now })
		bot("now", connection.Active, connection.TokenPair{Token: "xoxb", RenewAt: now})

		// Not due, leased, not renewed at all, or on a connection to be left alone.
		early := bot("early", connection.Active, chain(time.Microsecond, 0))
		user(early, "early", chain(time.Microsecond, 0))
		leased := bot("leased", connection.Active, chain(-time.Hour, time.Microsecond))
		user(leased, "leased", chain(-time.Hour, time.Microsecond))
		user(bot("never", connection.Active, chain(0, 0)), "never", chain(0, 0))
		user(bot("paused", connection.Paused, chain(-time.Hour, 0)), "paused", chain(-time.Hour, 0))
		gone := bot("gone", connection.Active, chain(-time.Hour, 0))
		user(gone, "gone", chain(-time.Hour, 0))
		// as a release that knows no people does
		storetest.Exec(t, f, "UPDATE connections SET state = 'removed' WHERE team_id = 'gone'")

		holder := func(team, user string) connection.TokenOwner {
			return connection.TokenOwner{Key: storetest.Key("A1", "", team), UserID: user}
		}
		want := []connection.TokenOwner{holder("first", ""), holder("third", "second"), holder("third", ""),
			holder("last", "at once"), holder("last", ""), holder("now", "")}
		for _, index := range []string{"", "connections_due", "user_tokens_due"} {
			if index != "" { // the order is the query's, not the index's
				storetest.Exec(t, f, "DROP INDEX "+index)
			}
			for _, n := range []int{100, 6, 5, 3, 2, 1, 0, -1} {
				got, err := f.Due(t.Context(), "", now, n)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want[:max(0, min(n, len(want)))], got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("the most urgent %d without index %q (-want +got):\n%s", n, index, diff)
				}
			}
		}
		// Another app in the same database has its own work.
		others := storetest.Put(t, f, connection.Connection{Key: storetest.Key("A2", "", "T1"),
			TokenPair: connection.TokenPair{Token: "xoxb", RenewAt: storetest.T0}, State: connection.Active}).Key
		user(others, "U1", connection.TokenPair{Token: "xoxp", RenewAt: storetest.T0.Add(time.Second)})
		theirs := []connection.TokenOwner{{Key: others}, {Key: others, UserID: "U1"}}
		for app, want := range map[string][]connection.TokenOwner{"A1": want, "A2": theirs, "": append(theirs, want...),
			"A3": nil, "\xff": nil} {
			got, err := f.Due(t.Context(), app, now, 100)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("due for app %q, error %v (-want +got):\n%s", app, err, diff)
			}
		}
		if got, err := f.Due(t.Context(), "", time.Time{}, 100); err != nil || len(got) != 0 {
			t.Errorf("due at no time: %v, %v", got, err)
		}
	})
}

// What is due and leased is in one list or the other, until the lease ends.
func TestLeased(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		now := storetest.T0.Add(time.Hour)
		until := now.Add(20 * time.Second)
		put := func(app, team string, state connection.State, renew time.Duration, lease time.Time) connection.TokenOwner {
			c := storetest.Full(storetest.Key(app, "", team))
			c.State, c.TokenPair = state, connection.TokenPair{Token: "xoxe.xoxb-1", RefreshToken: "xoxe-1",
				RenewAt: now.Add(renew), LeaseUntil: lease}
			k := storetest.Put(t, f, c).Key
			u := person(k, "U1")
			u.TokenPair = c.TokenPair
			grant(t, f, u)
			return connection.TokenOwner{Key: k}
		}
		mine, others := put("A1", "T1", connection.Active, -time.Minute, until),
			put("A2", "T1", connection.Retrying, 0, until)
		put("A1", "free", connection.Active, -time.Minute, time.Time{})
		put("A1", "over", connection.Active, -time.Minute, now)
		put("A1", "early", connection.Active, time.Minute, until)
		put("A1", "paused", connection.Paused, -time.Minute, until)
		put("A1", "by a broken clock", connection.Active, -time.Minute, now.Add(24*time.Hour))

		for app, want := range map[string][]connection.TokenOwner{"A1": {mine}, "A2": {others}, "": {mine, others},
			"A3": nil} {
			leased := map[connection.TokenOwner]time.Time{}
			for _, h := range want {
				leased[h] = until
				h.UserID = "U1"
				leased[h] = until
			}
			got, err := f.Leased(t.Context(), app, now, 100)
			if diff := cmp.Diff(leased, got); diff != "" || err != nil {
				t.Errorf("leased for app %q, error %v (-want +got):\n%s", app, err, diff)
			}
		}
		if due, err := f.Due(t.Context(), "", until, 100); err != nil || !slices.Contains(due, mine) {
			t.Errorf("due when the lease ends: %v (%v)", due, err)
		}
	})
}

// A renewal, a lease or a check that is further ahead than any can be was written by a broken clock, and keeps nothing
// from being worked.
func TestWorkPlannedByAClockAhead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		plan := func(team string, life, renew, lease, check time.Duration) connection.Key {
			c := storetest.Full(storetest.Key("A1", "", team))
			c.State, c.RefreshToken = connection.Active, "xoxe-1"
			c.RenewAt, c.ExpiresAt, c.LeaseUntil, c.CheckAt = storetest.T0.Add(renew), storetest.T0.Add(renew+life), time.Time{},
				storetest.T0.Add(check)
			if lease != 0 {
				c.LeaseUntil = storetest.T0.Add(lease)
			}
			k := storetest.Put(t, f, c).Key
			u := person(k, "U1")
			u.TokenPair = c.TokenPair
			grant(t, f, u)
			return k
		}
		const usual, day = 4 * time.Hour, 24 * time.Hour // from the renewal to the end, of Slack's tokens
		plan("right", usual, 8*time.Hour+30*time.Minute, 0, connection.FurthestCheck)
		plan("longer", 8*time.Hour, 17*time.Hour, 0, 6*time.Hour) // a token of a day
		plan("leased", usual, -time.Hour, time.Minute, 6*time.Hour)
		update(t, f, plan("never", 0, day, 0, 6*time.Hour), func(c *connection.Connection) {
			c.RenewAt, c.ExpiresAt = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}
		})
		storetest.Exec(t, f, "DELETE FROM user_tokens WHERE team_id = 'never'")
		if due, checks := storetest.Must(f.Due(t.Context(), "", storetest.T0, 100)),
			storetest.Must(f.Unchecked(t.Context(), "", storetest.T0, 100)); len(due)+len(checks) != 0 {
			t.Errorf("%v are due, and %v unchecked", due, checks)
		}
		want := []connection.Key{plan("renewal", usual, 11*time.Hour, 0, 6*time.Hour),
			plan("day", usual, 24*time.Hour, 0, 6*time.Hour), plan("lease", usual, -time.Minute, time.Hour, 6*time.Hour),
			plan("pause", -usual, 10*time.Hour, 0, 6*time.Hour)}
		checked := plan("check", usual, 8*time.Hour, 0, connection.FurthestCheck+time.Second)
		teams := map[string]int{}
		for _, h := range storetest.Must(f.Due(t.Context(), "", storetest.T0, 100)) {
			teams[h.TeamID]++
		}
		for _, k := range want {
			if teams[k.TeamID] != 2 || len(teams) != len(want) {
				t.Errorf("%s is not due, or another is: %v", k.TeamID, teams)
			}
		}
		if checks := storetest.Must(f.Unchecked(t.Context(), "", storetest.T0, 100)); !slices.Equal(checks,
			[]connection.Key{checked}) {
			t.Errorf("unchecked: %v", checks)
		}
	})
}

// The lease is a column like any other: of any number of callers who find the token pair due one takes it.
func testLeaseOnce(t *testing.T, f storetest.Fixture) {
	c := storetest.Full(storetest.Key("A-lease", "", "T1"))
	c.RenewAt = storetest.T0
	c = storetest.Put(t, f, c)
	u := person(c.Key, "U1")
	u.RenewAt = storetest.T0
	grant(t, f, u)
	for name, claim := range map[string]func(take func(row *connection.TokenPair)) error{
		"bot": func(take func(*connection.TokenPair)) error {
			_, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error { take(&c.TokenPair); return nil })
			return err
		},
		"person": func(take func(*connection.TokenPair)) error {
			_, err := f.UpdateUser(t.Context(), u.TokenOwner, func(u *connection.UserToken) error {
				take(&u.TokenPair)
				return nil
			})
			return err
		},
	} {
		var won atomic.Int64
		storagetest.Together(storetest.Callers, func(i int) {
			mine := false
			if err := claim(func(row *connection.TokenPair) {
				if mine = !row.LeaseUntil.After(storetest.T0); mine {
					row.LeaseUntil = storetest.T0.Add(time.Minute)
				}
			}); err != nil {
				t.Error(err)
			}
			if mine {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%s: %d of %d callers hold the lease", name, won.Load(), storetest.Callers)
		}
	}
}

// every makes a connection of each mixture of what the lists ask for, and returns them in the order of check and
// trouble.
func every(t *testing.T, f storetest.Fixture) (all []connection.Connection) {
	t.Helper()
	times := []time.Time{{}, storetest.T0, storetest.T0.Add(2 * time.Hour)}
	for _, state := range []connection.State{connection.Active, connection.Retrying, connection.ReconnectRequired,
		connection.Removed, connection.Paused} {
		for _, token := range []connection.Secret{"", "xoxb-1"} {
			for _, refresh := range []connection.Secret{"", "xoxe-1"} {
				for _, at := range times {
					for _, noted := range times[:2] {
						i := time.Duration(len(all)) * time.Microsecond
						c := connection.Connection{Key: storetest.Key("A1", "E1", fmt.Sprintf("T%03d", len(all))), State: state,
							StateSince: storetest.T0.Add(-i), TokenPair: connection.TokenPair{Token: token, RefreshToken: refresh},
							Notice: connection.Notice{At: noted}}
						if !at.IsZero() {
							c.CheckAt, c.ExpiresAt = at.Add(-i), at
						}
						all = append(all, storetest.Put(t, f, c))
					}
				}
			}
		}
	}
	told := connection.Connection{Key: storetest.Key("A1", "E1", "told"), State: connection.ReconnectRequired,
		StateSince: storetest.T0, Notice: connection.Notice{At: storetest.T0, TS: "1.1"}}
	all = append(all, storetest.Put(t, f, told))
	renewing := storetest.Full(storetest.Key("A1", "", "renewing"))
	renewing.RefreshToken, renewing.ExpiresAt, renewing.RenewAt, renewing.CheckAt = "", time.Time{}, storetest.T0,
		storetest.T0.Add(6*time.Hour)
	return append(all, storetest.Put(t, f, renewing))
}

func keysOf(all []connection.Connection, order func(a, b connection.Connection) int,
	fits func(c connection.Connection) bool) (keys []connection.Key) {
	for _, c := range slices.SortedStableFunc(slices.Values(all), order) {
		if fits(c) {
			keys = append(keys, c.Key)
		}
	}
	return keys
}

func TestWorkLists(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx, all, now := t.Context(), every(t, f), storetest.T0.Add(time.Hour)
		unordered := func(a, b connection.Connection) int { return 0 }
		left := func(c connection.Connection) bool {
			return c.State == connection.Removed || c.State == connection.Paused
		}

		want := keysOf(all, func(a, b connection.Connection) int {
			return a.CheckAt.Compare(b.CheckAt)
		}, func(c connection.Connection) bool {
			return c.Token != "" && !left(c) && !c.CheckAt.After(now)
		})
		got, err := f.Unchecked(ctx, "", now, 1000)
		firsts := slices.IndexFunc(want, func(k connection.Key) bool { // those never checked are of one age
			return !all[slices.IndexFunc(all, func(c connection.Connection) bool { return c.Key == k })].CheckAt.IsZero()
		})
		byTeam := func(a, b connection.Key) int { return strings.Compare(a.TeamID, b.TeamID) }
		if len(got) >= firsts {
			slices.SortFunc(got[:firsts], byTeam)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil || firsts == 0 || firsts == len(want) {
			t.Errorf("unchecked, error %v (-want +got):\n%s", err, diff)
		}
		if got, err := f.Unchecked(ctx, "", now, firsts+1); err != nil || len(got) != firsts+1 ||
			got[firsts] != want[firsts] {
			t.Errorf("the oldest %d: %v, %v", firsts+1, got, err)
		}

		want = keysOf(all, func(a, b connection.Connection) int {
			return a.StateSince.Compare(b.StateSince)
		}, func(c connection.Connection) bool {
			return c.State == connection.ReconnectRequired && c.Notice.At.IsZero() || c.State == connection.Active &&
				!c.Notice.At.IsZero()
		})
		if got, err := f.Untold(ctx, "", 1000); err != nil || !cmp.Equal(want, got) {
			t.Errorf("untold, error %v (-want +got):\n%s", err, cmp.Diff(want, got))
		}
		if got, err := f.Untold(ctx, "", 3); err != nil || !cmp.Equal(want[:3], got) {
			t.Errorf("three untold, error %v (-want +got):\n%s", err, cmp.Diff(want[:3], got))
		}

		want = keysOf(all, unordered, func(c connection.Connection) bool {
			return c.Token != "" && c.RefreshToken == "" && c.RenewAt.IsZero() && c.ExpiresAt.IsZero() &&
				(c.State == connection.Active || c.State == connection.Retrying)
		})
		holders, err := f.LongLived(ctx, "", 1000)
		var keys []connection.Key
		for _, h := range holders {
			if h.UserID != "" {
				t.Errorf("a person's token is among the bots': %v", h)
			}
			keys = append(keys, h.Key)
		}
		slices.SortFunc(keys, byTeam)
		if diff := cmp.Diff(want, keys); diff != "" || err != nil {
			t.Errorf("long-lived, error %v (-want +got):\n%s", err, diff)
		}
		if holders, err := f.LongLived(ctx, "", 2); err != nil || len(holders) != 2 {
			t.Errorf("two long-lived: %v, %v", holders, err)
		}
		for _, n := range []int{0, -1} {
			unchecked, err1 := f.Unchecked(ctx, "", now, n)
			untold, err2 := f.Untold(ctx, "", n)
			longLived, err3 := f.LongLived(ctx, "", n)
			if len(unchecked)+len(untold)+len(longLived) != 0 || err1 != nil || err2 != nil || err3 != nil {
				t.Errorf("%d of each: %v %v %v", n, unchecked, untold, longLived)
			}
		}

		for app, want := range map[string][3]int{"A1": {1, 1, 1}, "A2": {0, 0, 0}, "": {1, 1, 1}, "\x00": {0, 0, 0}} {
			unchecked, err1 := f.Unchecked(ctx, app, now, 1)
			untold, err2 := f.Untold(ctx, app, 1)
			longLived, err3 := f.LongLived(ctx, app, 1)
			if got := [3]int{len(unchecked), len(untold), len(longLived)}; got != want || err1 != nil || err2 != nil ||
				err3 != nil {
				t.Errorf("for app %q: %v, want %v", app, got, want)
			}
		}

		counts := connection.Counts{States: map[connection.State]int{}, Notices: map[string]int{}}
		for _, c := range all {
			counts.States[c.State]++
			switch {
			case c.State != connection.ReconnectRequired:
			case c.Notice.At.IsZero():
				counts.Notices[connection.NoticeUntold]++
			case c.Notice.TS == "":
				counts.Notices[connection.NoticeUnreachable]++
			default:
				counts.Notices[connection.NoticeTold]++
			}
		}
		if got, err := f.Count(ctx); err != nil || !cmp.Equal(counts, got) {
			t.Errorf("counts, error %v (-want +got):\n%s", err, cmp.Diff(counts, got))
		}
	})
}

// spends calls Spend n times at once and returns how often it was granted.
func spends(t *testing.T, f storetest.Fixture, b slackapi.Budget, n int, at func(i int) time.Time) int {
	t.Helper()
	var granted atomic.Int64
	storagetest.Together(n, func(i int) {
		ok, err := f.Take(t.Context(), b, 1, at(i))
		if err != nil {
			t.Error(err)
		}
		if ok {
			granted.Add(1)
		}
	})
	return int(granted.Load())
}

// Those that somebody is to be asked for come page by page, those that were asked and those that don't work don't.
func TestUnasked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		var want []connection.Key
		for i := range 9 {
			c := storetest.Full(storetest.Key("A1", "", fmt.Sprintf("T%d", i)))
			c.State, c.Notice = connection.Active, connection.AskLater([]string{"chat:write", "reactions:write"})
			switch i {
			case 3:
				c.Notice = connection.Notice{}
			case 4:
				c.Notice = connection.Notice{Reason: connection.ReasonMissingScope, To: "U1", Channel: "D1", TS: "1.2"}
			case 5:
				c.State = connection.ReconnectRequired
			case 6:
				c.AppID = "A2"
			default:
				want = append(want, c.Key)
			}
			storetest.Put(t, f, c)
		}

		var got []connection.Key
		var after connection.Key
		for {
			some := storetest.Must(f.Unasked(t.Context(), "A1", after, 2))
			if len(some) == 0 {
				break
			}
			got, after = append(got, some...), some[len(some)-1]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("to ask (-want +got):\n%s", diff)
		}
		if all := storetest.Must(f.Unasked(t.Context(), "", connection.Key{}, 100)); len(all) != len(want)+1 {
			t.Errorf("of all apps: %v", all)
		}
		now := storetest.Must(f.Lookup(t.Context(), want[0])).Notice.ToAsk()
		if !slices.Equal(now, []string{"chat:write", "reactions:write"}) {
			t.Errorf("to be asked for: %v", now)
		}
	})
}

func TestBudget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx := t.Context()
		b := slackapi.Budget{Name: "one", Interval: time.Second / 8, Burst: 20}
		all := func(now time.Time) func(int) time.Time { return func(int) time.Time { return now } }
		spend := func(b slackapi.Budget, n int, now time.Time) bool {
			t.Helper()
			ok, err := f.Take(ctx, b, n, now)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}

		// The first ones of all make the row, together; then it refills by one every interval, and no further than a burst.
		if n := spends(t, f, b, storetest.Callers, all(storetest.T0)); n != b.Burst {
			t.Errorf("%d calls of a burst of %d", n, b.Burst)
		}
		if n := spends(t, f, b, storetest.Callers, all(storetest.T0.Add(5*b.Interval))); n != 5 {
			t.Errorf("%d calls after 5 intervals", n)
		}
		if n := spends(t, f, b, storetest.Callers, all(storetest.T0.Add(6*b.Interval-time.Microsecond))); n != 0 {
			t.Errorf("%d calls before the next interval was over", n)
		}
		idle := storetest.T0.Add(time.Hour)
		if n := spends(t, f, b, storetest.Callers, all(idle)); n != b.Burst {
			t.Errorf("%d calls after an hour", n)
		}
		if other := (slackapi.Budget{Name: "another", Interval: b.Interval, Burst: 3}); spends(t, f, other, storetest.Callers,
			all(idle)) != 3 {
			t.Error("budgets are not apart")
		}

		// All or nothing, and never more than a burst, also when it has been full for ever.
		later := idle.Add(time.Hour)
		for _, take := range []struct {
			n    int
			want bool
		}{{b.Burst + 1, false}, {-1, false}, {b.Burst - 2, true}, {3, false}, {0, true}, {2, true}, {1, false}} {
			if got := spend(b, take.n, later); got != take.want {
				t.Errorf("take %d: %v", take.n, got)
			}
		}
		if fresh := (slackapi.Budget{Name: "fresh", Interval: time.Second, Burst: 2}); spend(fresh, 3, storetest.T0) ||
			!spend(fresh, 2, storetest.T0) {
			t.Error("a new budget holds more or less than a burst")
		}

		// A clock that is a little behind gets nothing of what is gone, and refills nothing for the others.
		for _, behind := range []time.Duration{time.Microsecond, time.Second} {
			if spend(b, 1, later.Add(-behind)) {
				t.Errorf("a clock %v behind got a call", behind)
			}
		}
		if spend(b, 1, later) {
			t.Error("a clock that was behind refilled the budget")
		}

		// An interval that is no whole number of microseconds is rounded to the slow side.
		thirds := slackapi.Budget{Name: "thirds", Interval: time.Second / 3, Burst: 1}
		if !spend(thirds, 1, storetest.T0) || spend(thirds, 1, storetest.T0.Add(333333*time.Microsecond)) ||
			!spend(thirds, 1, storetest.T0.Add(333334*time.Microsecond)) {
			t.Error("a third of a second is not what it should be")
		}

		// What has been full for long is as good as nothing, and is swept.
		if _, err := f.Sweep(t.Context(), later); err != nil {
			t.Error(err)
		}
		if n := f.CountOf(t, "SELECT count(*) FROM budgets"); n != 1 {
			t.Errorf("%d budgets after the sweep", n)
		}
	})
}

// Replicas whose clocks differ: whatever they ask for, no more is granted than the foremost clock allows, and no less.
func TestBudgetWithSkewedClocks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		b := slackapi.Budget{Name: "skewed", Interval: time.Second, Burst: 10}
		now := storetest.T0
		granted := spends(t, f, b, storetest.Callers, func(int) time.Time { return now })
		for range 20 {
			now = now.Add(2500 * time.Millisecond)
			granted += spends(t, f, b, storetest.Callers, func(i int) time.Time {
				if i%2 == 0 {
					return now
				}
				return now.Add(-time.Duration(i) * time.Millisecond)
			})
		}
		if want := b.Burst + int(now.Sub(storetest.T0)/b.Interval); granted != want {
			t.Errorf("%d calls in %v, want %d", granted, now.Sub(storetest.T0), want)
		}
	})
}

// One spender's clock was far ahead: whoever's clock is right is not kept waiting for that time to come, and gets no
// more than a budget that was emptied this moment holds.
func TestBudgetSpentByAClockAhead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		for _, ahead := range []time.Duration{9 * time.Second, 30 * time.Second, time.Hour, 24 * time.Hour,
			100 * 365 * 24 * time.Hour} {
			b := slackapi.Budget{Name: ahead.String(), Interval: time.Second / 8, Burst: 60}
			storetest.Must(f.Take(t.Context(), b, 1, storetest.T0.Add(ahead)))
			if !storetest.Must(f.Available(t.Context(), b, storetest.T0)) {
				t.Errorf("%v ahead: empty", ahead)
			}
			if n := spends(t, f, b, storetest.Callers, func(int) time.Time { return storetest.T0 }); n != 1 {
				t.Errorf("%v ahead: %d calls in one moment", ahead, n)
			}
			if n := spends(t, f, b, storetest.Callers, func(int) time.Time { return storetest.T0.Add(5 * b.Interval) }); n != 5 {
				t.Errorf("%v ahead: %d calls after 5 intervals", ahead, n)
			}
		}
		// One that is empty for a smaller share of it is not thought to be spent by such a clock.
		all := slackapi.Budget{Name: "shared", Interval: time.Second, Burst: 60}
		part := slackapi.Budget{Name: "shared", Interval: time.Second, Burst: 15, Whole: 60}
		storetest.Must(f.Take(t.Context(), all, 60, storetest.T0))
		if storetest.Must(f.Take(t.Context(), part, 1, storetest.T0)) ||
			storetest.Must(f.Take(t.Context(), part, 1, storetest.T0.Add(45*time.Second))) ||
			!storetest.Must(f.Take(t.Context(), part, 1, storetest.T0.Add(46*time.Second))) {
			t.Error("the smaller share is not what it should be")
		}
		// What was used once stays used, also by a clock as far ahead as the longest signature lives.
		once := slackapi.Budget{Name: "once", Interval: 8 * 24 * time.Hour, Burst: 1}
		storetest.Must(f.Take(t.Context(), once, 1, storetest.T0.Add(7*24*time.Hour)))
		if storetest.Must(f.Take(t.Context(), once, 1, storetest.T0)) ||
			storetest.Must(f.Available(t.Context(), once, storetest.T0)) {
			t.Error("used twice")
		}
		if text := f.Log.String(); strings.Count(text, "a budget was spent by a clock that was wrong") != 5 {
			t.Errorf("not told once each:\n%s", text)
		}
	})
}

// What a clock ahead closed is open, for as long as Slack can't have meant; and can be closed by a clock that is right.
func TestBudgetClosedByAClockAhead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		b := slackapi.Budget{Name: "one", Interval: time.Second, Burst: 5}
		spend := func(at time.Duration) bool {
			t.Helper()
			return storetest.Must(f.Take(t.Context(), b, 1, storetest.T0.Add(at)))
		}
		storetest.OK(t, f.ClosedUntil(t.Context(), b, storetest.T0.Add(connection.LongestClosure)))
		if spend(0) || storetest.Must(f.Available(t.Context(), b, storetest.T0)) || spend(connection.LongestClosure) ||
			!spend(connection.LongestClosure+time.Second) {
			t.Error("the longest closure does not hold, or does not end")
		}
		storetest.OK(t, f.ClosedUntil(t.Context(), b, storetest.T0.Add(24*time.Hour)))
		storetest.OK(t, f.ClosedUntil(t.Context(), b, storetest.T0.Add(time.Minute))) // by a clock that is right
		if spend(0) || spend(59*time.Second) || spend(time.Minute) || !spend(61*time.Second) {
			t.Error("a clock ahead closed it a day before, and what Slack says now does not count")
		}
		storetest.OK(t, f.ClosedUntil(t.Context(), b, storetest.T0.Add(24*time.Hour)))
		if !spend(2*time.Minute) || spend(2*time.Minute) {
			t.Error("closed for a day by a clock ahead: not believed, and empty")
		}
	})
}

// What Available says beforehand is what Take says then, for one call and on the microsecond.
func TestAvailableBudget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		for _, b := range []slackapi.Budget{{Name: "one", Interval: time.Hour, Burst: 1},
			{Name: "many", Interval: time.Second, Burst: 3}} {
			if !storetest.Must(f.Available(t.Context(), b, storetest.T0)) {
				t.Errorf("%s: empty before anybody spent of it", b.Name)
			}
			storetest.Must(f.Take(t.Context(), b, b.Burst, storetest.T0))
			for _, at := range []time.Duration{0, b.Interval - time.Microsecond, b.Interval} {
				if available, taken := storetest.Must(f.Available(t.Context(), b, storetest.T0.Add(at))),
					storetest.Must(f.Take(t.Context(), b, 1, storetest.T0.Add(at))); available != taken {
					t.Errorf("%s, %v later: available %v, and then taken %v", b.Name, at, available, taken)
				}
			}
			if err := f.Refill(t.Context(), b); err != nil || !storetest.Must(f.Take(t.Context(), b, b.Burst, storetest.T0)) {
				t.Errorf("%s: not full after a refill (%v)", b.Name, err)
			}
		}
	})
}

func TestClosedBudget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx := t.Context()
		closed := func(b slackapi.Budget, until time.Time) {
			t.Helper()
			if err := f.ClosedUntil(ctx, b, until); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range []slackapi.Budget{{Name: "new", Interval: time.Second, Burst: 5},
			{Name: "used", Interval: time.Second, Burst: 5}} {
			if b.Name == "used" && !storetest.Must(f.Take(ctx, b, 5, storetest.T0)) {
				t.Error("a new budget is empty")
			}
			until := storetest.T0.Add(time.Minute)
			closed(b, until)
			closed(b, until.Add(-30*time.Second)) // never opens earlier than somebody said
			for _, at := range []time.Duration{-time.Minute, -time.Second, 0, time.Second - time.Microsecond} {
				if storetest.Must(f.Take(ctx, b, 1, until.Add(at))) {
					t.Errorf("%s: a call %v after the end", b.Name, at)
				}
			}
			if !storetest.Must(f.Take(ctx, b, 1, until.Add(time.Second))) ||
				storetest.Must(f.Take(ctx, b, 1, until.Add(time.Second))) {
				t.Errorf("%s: it does not open empty", b.Name)
			}
			closed(b, storetest.T0) // and does not refill what was spent since
			if storetest.Must(f.Take(ctx, b, 1, until.Add(time.Second))) {
				t.Errorf("%s: closing it opened it", b.Name)
			}
		}
	})
}

// On SQLite there is one connection that writes. Whoever has it must not wait for somebody who waits for it: both use
// GORM's cache of prepared statements for the first time.
func TestFirstStatementsMeet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T1")))
		fresh := storetest.OpenWith(t, f.URL, storetest.Ring(t, seal.NewKey()))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var others sync.WaitGroup
		if _, err := fresh.Update(ctx, c.Key, func(c *connection.Connection) error {
			for range 2 { // one prepares, the other waits for it with the cache locked
				others.Go(func() {
					if ok, err := fresh.Take(ctx, slackapi.Budget{Name: "first", Interval: time.Second, Burst: 2}, 1,
						storetest.T0); !ok || err != nil {
						t.Errorf("spend: %v, %v", ok, err)
					}
				})
			}
			time.Sleep(20 * time.Millisecond) // what it waits for can't be seen; too short a time only makes the test blind
			c.TeamName = "held"
			return nil
		}); err != nil {
			t.Error(err)
		}
		others.Wait()
	})
}
