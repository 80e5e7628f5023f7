package storage_test

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
)

// What is late is counted with what it waits for, and what must be left alone isn't late.
func TestOverdue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		now := storetest.T0.Add(24 * time.Hour)
		put := func(team string, state connection.State, renewAt, expiresAt, checkAt time.Duration) connection.Key {
			c := storetest.Full(storetest.Key("A1", "", team))
			c.State, c.CheckAt, c.AuthorizedAt = state, now.Add(checkAt), now.Add(-3*time.Hour)
			c.TokenPair = connection.TokenPair{Token: "xoxe.xoxb-1", RefreshToken: "xoxe-1", RenewAt: now.Add(renewAt),
				ExpiresAt: now.Add(expiresAt)}
			if checkAt == 0 {
				c.CheckAt = time.Time{}
			}
			return storetest.Put(t, f, c).Key
		}
		late := put("late", connection.Active, -2*time.Hour, 2*time.Hour, -time.Hour)
		put("expired", connection.Retrying, -5*time.Hour, -time.Hour, time.Hour)
		put("unchecked", connection.Active, time.Hour, 2*time.Hour, 0)
		put("in time", connection.Active, -time.Minute, 2*time.Hour, -time.Minute)
		put("paused", connection.Paused, -9*time.Hour, -time.Hour, -9*time.Hour)
		gone := put("gone", connection.Active, -9*time.Hour, -time.Hour, -9*time.Hour)
		storetest.Exec(t, f, "UPDATE connections SET state = 'removed' WHERE team_id = '"+gone.TeamID+"'")
		for user, renewAt := range map[string]time.Duration{"late": -6 * time.Hour, "early": time.Hour} {
			u := person(late, user)
			u.RenewAt, u.ExpiresAt = now.Add(renewAt), now.Add(-time.Minute)
			grant(t, f, u)
		}
		other := storetest.Full(storetest.Key("A2", "", "other"))
		other.RenewAt, other.CheckAt = now.Add(time.Hour), now.Add(time.Hour)
		storetest.Put(t, f, other)

		got, err := f.Overdue(t.Context(), "A1", now, 30*time.Minute)
		storetest.OK(t, err)
		want := storage.Upkept{Checked: 5, Renewed: 7,
			Checks:   storage.Late{N: 2, Since: now.Add(-3 * time.Hour)},
			Renewals: storage.Late{N: 3, Since: now.Add(-6 * time.Hour), Expired: 2}}
		got.Checks.Since, got.Renewals.Since = got.Checks.Since.UTC(), got.Renewals.Since.UTC()
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}

		none, err := f.Overdue(t.Context(), "A2", now, 30*time.Minute)
		if storetest.OK(t, err); none.Checks.N+none.Renewals.N > 0 || !none.Checks.Since.IsZero() {
			t.Errorf("of an app that is in time: %+v", none)
		}
	})
}

// A lost index is noticed, and so are workspaces that came to have two connections.
func TestDoubles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		for _, k := range []connection.Key{{AppID: "A1", TeamID: "T1"}, {AppID: "A1", TeamID: "T2"},
			{AppID: "A2", TeamID: "T1"}, {AppID: "A1", EnterpriseID: "E1"}, {AppID: "A1", EnterpriseID: "E2"}} {
			storetest.Put(t, f, storetest.Full(k))
		}
		look := func(when string, unique bool, doubles ...string) {
			t.Helper()
			is, err := f.UniqueKeys(t.Context())
			if storetest.OK(t, err); is != unique {
				t.Errorf("%s: unique %t", when, is)
			}
			found, err := f.Doubles(t.Context(), 10)
			storetest.OK(t, err)
			if len(found) != len(doubles) {
				t.Fatalf("%s: %v, want %v", when, found, doubles)
			}
			for i, k := range found {
				if k.TeamID != doubles[i] || k.AppID != "A1" {
					t.Errorf("%s: %v, want %v", when, found, doubles)
				}
			}
		}
		look("as it should be", true)

		storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T2")))
		look("in and outside of an organisation", true, "T2")
		storetest.Exec(t, f, "UPDATE connections SET state = 'removed' WHERE enterprise_id = 'E1' AND team_id = 'T2'")
		look("one of the two was removed", true)

		storetest.Exec(t, f, "DROP INDEX connections_key")
		storetest.Exec(t, f, "UPDATE connections SET enterprise_id = '', state = 'active' WHERE team_id = 'T2'")
		look("without the index", false, "T2")
	})
}

// What an operator sees of a database is what it is.
func TestFacts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		facts, err := f.Facts(t.Context())
		storetest.OK(t, err)
		if f.Dialect() == "postgres" && (facts.Version == "" || facts.Pooled || facts.Encrypted || facts.Path != "") ||
			f.Dialect() == "sqlite" && (facts.File == 0 || facts.WAL == 0 || facts.Path == "" || facts.Version != "") {
			t.Errorf("%+v", facts)
		}
		if damage, err := f.QuickCheck(t.Context()); damage != "" || err != nil {
			t.Errorf("quick check: %s %v", damage, err)
		}

		inUse := func(db *storage.DB, want bool) {
			t.Helper()
			if is, err := db.InUse(); is != want || err != nil {
				t.Errorf("in use: %t %v", is, err)
			}
		}
		beside := storetest.OpenWith(t, f.URL, nil)
		inUse(beside, false)
		storetest.OK(t, f.Exclusive())
		inUse(beside, f.Dialect() == "sqlite")
	})
}
