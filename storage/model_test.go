package storage

// The migrations are written by hand and so are GORM's structs and the queries for work; these tests are what keeps them
// together. They are inside the package because structs and queries are nobody else's business.

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"switchboard/storage/storagetest"
)

func TestSchemaEqualsModels(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), fresh(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			types := map[schema.DataType]string{schema.String: "text", schema.Int: "int8 integer", schema.Bytes: "bytea blob"}
			for _, model := range []any{&connectionRow{}, &userTokenRow{}, &changeRow{}, &attemptRow{}, &inboxRow{}} {
				parsed, err := schema.Parse(model, new(sync.Map), db.write.NamingStrategy)
				if err != nil {
					t.Fatal(err)
				}
				columns, err := db.write.Migrator().ColumnTypes(model)
				if err != nil {
					t.Fatal(err)
				}
				have := map[string]bool{}
				for _, column := range columns {
					have[column.Name()] = true
					field := parsed.FieldsByDBName[column.Name()]
					if field == nil {
						t.Errorf("%s.%s is in no struct", parsed.Table, column.Name())
						continue
					}
					got := strings.ToLower(column.DatabaseTypeName())
					if want := types[field.DataType]; want == "" || !strings.Contains(" "+want+" ", " "+got+" ") {
						t.Errorf("%s.%s is %s in the database and %s in the struct", parsed.Table, column.Name(), got, field.DataType)
					}
				}
				for _, column := range parsed.DBNames {
					if !have[column] {
						t.Errorf("%s.%s is not in the database", parsed.Table, column)
					}
				}
				for _, field := range parsed.Fields {
					if field.AutoCreateTime != 0 || field.AutoUpdateTime != 0 || field.Serializer != nil {
						t.Errorf("GORM writes %s.%s by itself", parsed.Table, field.DBName)
					}
				}
			}
			if db.write.Logger != logger.Discard || db.read.Logger != logger.Discard {
				t.Error("GORM logs statements, and statements hold values")
			}
		})
	}
}

// The queries that are asked all the time read from an index what they need, in its order, and never a whole table.
func TestWorkUsesItsIndexes(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
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
				err := db.write.Transaction(func(tx *gorm.DB) error {
					explain := "EXPLAIN QUERY PLAN "
					if db.dialect == dialectPostgres {
						// In an empty table an index saves nothing. A generic plan is one for any values, as a statement
						// that ran often enough gets it.
						explain = "EXPLAIN (COSTS OFF) "
						for _, set := range []string{"enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_generic_plan"} {
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
						if db.dialect == dialectSQLite {
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
				if db.dialect == dialectSQLite { // which names the index of a primary key so
					text = strings.ReplaceAll(text, "sqlite_autoindex_connections_1", "connections_pkey")
				}
				for _, index := range q.indexes {
					if !strings.Contains(text, index) {
						t.Errorf("%s\ndoes without %s:\n%s", q.query, index, text)
					}
				}
				for _, line := range plan {
					table, _ := strings.CutPrefix(line, "SCAN ")
					made := slices.Contains([]string{"bots", "people", "bots_ahead", "people_ahead", "due", "ahead", "apps"}, table) // by the query itself
					if strings.Contains(line, "Seq Scan") || strings.HasPrefix(line, "SCAN") && !strings.Contains(line, "INDEX") && !made {
						t.Errorf("%s\nreads a whole table:\n%s", q.query, text)
					}
				}
			}
		})
	}
}
