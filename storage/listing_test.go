package storage_test

// What an operator filters by is decided in SQL, and means what the program says of each connection.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// needed are the permissions of an app; one's name is the beginning of another's.
var needed = []connection.Scope{{Name: "chat:write"}, {Name: "im:history", Optional: true}, {Name: "im:history.read"}}

// one picks by chance.
func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// anyConnection is as odd as what can be stored.
func anyConnection(r *rand.Rand, i int) connection.Connection {
	ago := func() time.Time {
		return one(r, time.Time{}, storetest.T0, storetest.T0.Add(-time.Duration(r.IntN(100))*time.Hour))
	}
	c := connection.Connection{
		Key:            storetest.Key("A1", one(r, "", "E1"), fmt.Sprintf("T%03d", i)),
		TeamName:       one(r, "", "Acme", "acme corp", "Ärzte", "ärzte", "50% off_now", "Zebra", "日本"),
		TeamURL:        one(r, "", "https://acme.slack.com/"),
		EnterpriseName: one(r, "", "Acme Group"), OperatorLabel: one(r, "", "VIP", "vip, call first", "a_b"),
		InstalledBy: one(r, "U1", "U2"), InstalledAt: ago(), LastEventAt: ago(), StateSince: ago(),
		State: one(r, connection.Active, connection.Active, connection.Retrying, connection.ReconnectRequired,
			connection.Removed, connection.Paused),
		Reason: one(r, "", connection.ReasonTokenRevoked, connection.ReasonMissingScope),
	}
	for _, s := range needed {
		if r.IntN(4) > 0 {
			c.Scopes = append(c.Scopes, s.Name)
		}
	}
	if c.State != connection.Removed {
		c.Token = "xoxb-1"
	}
	return c
}

func anySelection(r *rand.Rand) storage.Selection {
	s := storage.Selection{Needed: one(r, needed, needed, nil)}
	for range 1 + r.IntN(2) {
		switch r.IntN(8) {
		case 0, 1:
			s.States = []connection.State{one(r, connection.Active, connection.Limited, connection.ReconnectRequired,
				connection.Paused), one(r, connection.Limited, connection.Removed, connection.Retrying)}
		case 2:
			s.Reason = one(r, connection.ReasonMissingScope, connection.ReasonUnreadable, connection.ReasonTokenRevoked)
		case 3:
			s.Missing = one(r, "im:history", "chat:write", "im:history.read", "other")
		case 4:
			s.InstalledBy, s.Label = one(r, "U1", ""), one(r, "vip", "A_B", "%")
		case 5:
			s.Search = one(r, "ACME", "ä", "_", "%", "t01", "con_", "E1", "日")
		case 6:
			s.Changed = storetest.T0.Add(-time.Duration(r.IntN(100)) * time.Hour)
		case 7:
			s.Quiet = storetest.T0.Add(-time.Duration(r.IntN(100)) * time.Hour)
		}
	}
	return s
}

func TestSelectionsMeanTheSameInSQL(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		r := rand.New(rand.NewPCG(15, 16))
		lost := storetest.OpenWith(t, f.URL, storetest.Ring(t, seal.NewKey())) // whose key nobody has any more
		for i := range 150 {
			by := f.DB
			if i%6 == 0 {
				by = lost
			}
			if _, err := by.Add(t.Context(), anyConnection(r, i)); err != nil {
				t.Fatal(err)
			}
		}

		all, err := f.List(t.Context())
		if err != nil || len(all) != 150 {
			t.Fatalf("%d connections, %v", len(all), err)
		}
		seen := map[connection.State]int{}
		for _, c := range all {
			state, _ := c.Shown(needed)
			seen[state]++
		}
		if len(seen) != 6 {
			t.Fatalf("states %v", seen)
		}

		some := 0
		for range 300 {
			s := anySelection(r)
			var want []string
			for _, c := range all {
				if s.Fits(c) {
					want = append(want, c.ID)
				}
			}
			got := pages(t, f.DB, s, 1+r.IntN(60))
			n, err := f.CountSelected(t.Context(), s)
			if !slices.Equal(got, want) || n != len(want) || err != nil {
				t.Errorf("%+v: %d in SQL, counted %d (%v), %d in Go", s, len(got), n, err, len(want))
			}
			if len(want) > 0 && len(want) < len(all) {
				some++
			}
		}
		if some < 150 {
			t.Errorf("only %d selections chose some of all", some)
		}
	})
}

// pages reads a list page by page, by cursors as they are typed.
func pages(t *testing.T, db *storage.DB, s storage.Selection, n int) (ids []string) {
	t.Helper()
	var after storage.Cursor
	for {
		page, err := db.Select(t.Context(), s, after, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page {
			if c.Token != "" {
				t.Error("a list has a token")
			}
			ids = append(ids, c.ID)
		}
		if len(page) < n {
			return ids
		}
		typed := storage.CursorAt(page[n-1]).String()
		if after, err = storage.ParseCursor(typed); err != nil {
			t.Fatalf("%s: %v", typed, err)
		}
	}
}

func TestCursorsOfNobody(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"", "x", "con_1", "Cg", storage.Cursor{}.String(),
		storage.Cursor{ID: "con_\x00", TeamName: "x"}.String()} {
		if at, err := storage.ParseCursor(typed); err == nil {
			t.Errorf("%q is %+v", typed, at)
		}
	}
}

// A page of a list is read along its index, however many rows there are and wherever it begins.
func TestListsAreReadByIndex(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		statement := map[string]string{
			"sqlite": "EXPLAIN QUERY PLAN SELECT * FROM connections WHERE (team_name, id) > ('m', 'c') " +
				"ORDER BY team_name, id LIMIT 50",
			"postgres": "EXPLAIN (COSTS OFF) SELECT * FROM connections WHERE (team_name COLLATE \"C\", id COLLATE \"C\") > " +
				"('m', 'c') ORDER BY team_name COLLATE \"C\", id COLLATE \"C\" LIMIT 50",
		}[f.Dialect()]
		f.Raw.SetMaxOpenConns(1)
		if f.Dialect() == "postgres" {
			// There are too few rows for an index to pay.
			storetest.Exec(t, f, "SET enable_seqscan = off")
			storetest.Exec(t, f, "SET enable_bitmapscan = off")
		}
		rows, err := f.Raw.Query(statement)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		storetest.OK(t, err)
		var plan strings.Builder
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(string)
			}
			storetest.OK(t, rows.Scan(values...))
			fmt.Fprintln(&plan, *values[len(values)-1].(*string))
		}
		if text := plan.String(); !strings.Contains(text, "connections_listed") || strings.Contains(text, "SCAN") ||
			strings.Contains(text, "Sort") || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("the plan:\n%s", text)
		}
	})
}
