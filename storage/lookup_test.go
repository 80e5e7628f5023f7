package storage_test

// A look-up stands before every event and every command, so it must cost the same with a million connections as with a
// thousand.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// fillConnections makes n connections of one, by one statement: a tenth of them workspaces of organisations with 100 of
// ours each, and as many organisation-wide ones as there are organisations. The copies' secrets don't open; trying
// costs what opening costs.
func fillConnections(b *testing.B, f storetest.Fixture, n int) {
	b.Helper()
	c := connection.Connection{Key: connection.Key{AppID: "A1", TeamID: "T-template"}, TeamName: strings.Repeat("n", 20),
		Scopes: []string{"app_mentions:read", "chat:write", "commands", "im:history", "team:read", "users:read"},
		State:  connection.Active, TokenPair: connection.TokenPair{Token: connection.Secret(strings.Repeat("x", 180)),
			RefreshToken: connection.Secret(strings.Repeat("y", 160)), ExpiresAt: storetest.T0, RenewAt: storetest.T0}}
	if _, _, err := f.Put(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	rows, err := f.Raw.Query("SELECT * FROM connections LIMIT 0")
	if err != nil {
		b.Fatal(err)
	}
	columns, err := rows.Columns()
	rows.Close()
	if err != nil {
		b.Fatal(err)
	}
	values := slices.Clone(columns)
	for i, name := range columns {
		switch name {
		case "id":
			values[i] = "'con_' || i"
		case "enterprise_id":
			values[i] = "CASE WHEN i % 10 = 0 OR i % 1000 = 1 THEN 'E' || (i / 1000) ELSE '' END"
		case "team_id":
			values[i] = "CASE WHEN i % 1000 = 1 THEN '' ELSE 'T' || i END"
		}
	}
	numbers := fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM "+
		"n) AS numbers", n-1)
	if strings.HasPrefix(f.URL, "postgres") {
		numbers = fmt.Sprintf("generate_series(0, %d) AS numbers(i)", n-1)
	}
	if _, err := f.Raw.Exec("INSERT INTO connections (" + strings.Join(columns, ", ") + ") SELECT " + strings.Join(values,
		", ") +
		" FROM connections, " + numbers + " WHERE team_id = 'T-template'"); err != nil {
		b.Fatal(err)
	}
	// What each database does by itself in time: a log of a whole gigabyte is none of its daily life.
	tidy := "PRAGMA wal_checkpoint(TRUNCATE)"
	if strings.HasPrefix(f.URL, "postgres") {
		tidy = "VACUUM ANALYZE connections"
	}
	if _, err := f.Raw.Exec(tidy); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkLookup(b *testing.B) {
	lookups := []struct {
		name string
		key  func(i int) connection.Key // for any number below that of the connections
		want func(k connection.Key) connection.Key
	}{
		{"workspace", func(i int) connection.Key {
			return connection.Key{AppID: "A1", TeamID: fmt.Sprint("T", i/10*10+2)}
		}, nil},
		{"in an organisation", func(i int) connection.Key {
			return connection.Key{AppID: "A1", EnterpriseID: fmt.Sprint("E", i/1000), TeamID: fmt.Sprint("T", i/10*10)}
		}, nil},
		{"joined an organisation", func(i int) connection.Key {
			return connection.Key{AppID: "A1", EnterpriseID: "E-new", TeamID: fmt.Sprint("T", i/10*10+2)}
		}, func(k connection.Key) connection.Key { k.EnterpriseID = ""; return k }},
		{"added to the organisation's", func(i int) connection.Key {
			return connection.Key{AppID: "A1", EnterpriseID: fmt.Sprint("E", i/1000), TeamID: "T-granted"}
		}, func(k connection.Key) connection.Key { k.TeamID = ""; return k }},
	}
	sizes := []int{1_000, 100_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			filled := make([]storetest.Fixture, len(sizes))
			for i, n := range sizes {
				filled[i] = storetest.Open(b, fresh(b))
				fillConnections(b, filled[i], n)
			}
			for _, l := range lookups {
				// The sizes take turns, and medians are compared: so what else the machine does is the same for all.
				b.Run(l.name, func(b *testing.B) {
					random := rand.New(rand.NewPCG(1, 2))
					took := make([][]time.Duration, len(sizes))
					b.ReportAllocs()
					for b.Loop() {
						for i, n := range sizes {
							k := l.key(random.IntN(n))
							began := time.Now()
							c, err := filled[i].Lookup(b.Context(), k)
							took[i] = append(took[i], time.Since(began))
							want := k
							if l.want != nil {
								want = l.want(k)
							}
							if err != nil || c.Key != want {
								b.Fatal(k, c.Key, err)
							}
						}
					}
					for i, n := range sizes {
						slices.Sort(took[i])
						median := took[i][len(took[i])/2]
						b.ReportMetric(float64(median.Nanoseconds()), fmt.Sprintf("ns-of-%d", n))
						b.ReportMetric(float64(median)/float64(took[0][len(took[0])/2]), fmt.Sprintf("x-of-%d", n))
					}
				})
			}
		})
	}
}
