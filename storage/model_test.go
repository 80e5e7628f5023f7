package storage

// The migrations are written by hand and so are GORM's structs and the queries for work; these tests are what keeps
// them together. They are inside the package because structs and queries are nobody else's business.

import (
	"slices"
	"strings"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestSchemaEqualsModels(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), fresh(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			storagetest.SameColumns(t, db.pool.Write, &connectionRow{}, &userTokenRow{}, &changeRow{}, &attemptRow{})
			if db.pool.Write.Logger != logger.Discard || db.pool.Read.Logger != logger.Discard {
				t.Error("GORM logs statements, and statements hold values")
			}
		})
	}
}

// The queries that are asked all the time read from an index what they need, in its order, and never a whole table.
func TestWorkUsesItsIndexes(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), fresh(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, q := range []struct {
				query   string
				indexes []string
			}{
				{dueQuery, []string{"connections_due", "user_tokens_due"}},
				{leasedQuery, []string{"connections_due", "user_tokens_due"}},
				{longLivedQuery, []string{"connections_long_lived"}},
				{uncheckedQuery, []string{"connections_unchecked"}},
				{untoldQuery, []string{"connections_untold"}},
				{sweepLines, []string{"connection_history_routine"}},
				{sweepConnections, []string{"connections_removed"}},
				{appsQuery, []string{"connections_team"}},
				{namedQuery, []string{"connections_pkey", "connections_team"}},
				{ofOrganisationQuery, []string{"connections_key"}},
			} {
				var plan []string
				err := db.pool.Write.Transaction(func(tx *gorm.DB) error {
					explain := "EXPLAIN QUERY PLAN "
					if db.Dialect() == "postgres" {
						// In an empty table an index saves nothing. A generic plan is one for any values, as a statement
						// that ran often enough gets it.
						explain = "EXPLAIN (COSTS OFF) "
						for _, set := range []string{"enable_seqscan = off", "enable_bitmapscan = off",
							"plan_cache_mode = force_generic_plan"} {
							if err := tx.Exec("SET LOCAL " + set).Error; err != nil {
								return err
							}
						}
					}
					var values []any
					if strings.Contains(q.query, "@") {
						values = append(values, map[string]any{"app": "", "name": "x", "apps": []string{"A1", "A2"}, "now": 1,
							"before": 1, "n": 1, "lease": 1, "renewal": 1, "check": 1, "never": 1})
					}
					rows, err := tx.Raw(explain+q.query, values...).Rows()
					if err != nil {
						return err
					}
					defer rows.Close()
					for rows.Next() {
						var (
							line  string
							ids   [3]int
							cells = []any{&line}
						)
						if db.Dialect() == "sqlite" {
							cells = []any{&ids[0], &ids[1], &ids[2], &line}
						}
						if err := rows.Scan(cells...); err != nil {
							return err
						}
						plan = append(plan, line)
					}
					return rows.Err()
				})
				if err != nil {
					t.Fatal(err)
				}
				text := strings.Join(plan, "\n")
				if db.Dialect() == "sqlite" { // which names the index of a primary key so
					text = strings.ReplaceAll(text, "sqlite_autoindex_connections_1", "connections_pkey")
				}
				for _, index := range q.indexes {
					if !strings.Contains(text, index) {
						t.Errorf("%s\ndoes without %s:\n%s", q.query, index, text)
					}
				}
				for _, line := range plan {
					table, _ := strings.CutPrefix(line, "SCAN ")
					// by the query itself
					made := slices.Contains([]string{"bots", "people", "bots_ahead", "people_ahead", "due", "ahead", "apps"}, table)
					if strings.Contains(line, "Seq Scan") || strings.HasPrefix(line, "SCAN") && !strings.Contains(line, "INDEX") &&
						!made {
						t.Errorf("%s\nreads a whole table:\n%s", q.query, text)
					}
				}
			}
		})
	}
}
