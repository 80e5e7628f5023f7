package storage_test

// What the database itself must refuse, and how a program behaves that meets a schema it was not written for.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/install"
	"switchboard/storage"
	"switchboard/storage/storagetest"
)

// tables counts what there is, goose's table included.
func tables(t *testing.T, raw *sql.DB, dialect string) (n int) {
	t.Helper()
	query := "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()"
	if dialect == "sqlite" {
		query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	}
	if err := raw.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func eachFresh(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, storagetest.SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, storagetest.Postgres(t)) })
}

func TestMigrate(t *testing.T) {
	eachFresh(t, func(t *testing.T, url string) {
		db, raw, ctx := openWith(t, url, nil), rawHandle(t, url), t.Context()
		if !strings.HasPrefix(url, db.Dialect()+":") {
			t.Errorf("dialect %q", db.Dialect())
		}
		for _, check := range []func(context.Context) error{db.CheckSchema, db.Ready} {
			var state *storage.SchemaError
			if err := check(ctx); !errors.As(err, &state) || state.Have != 0 || !strings.Contains(err.Error(), "run switchboard migrate up") {
				t.Errorf("an empty database: %v", err)
			}
		}
		steps, err := db.MigrationStatus(ctx)
		if err != nil || len(steps) == 0 {
			t.Fatalf("%d migrations, error %v", len(steps), err)
		}
		for i, step := range steps {
			if !step.AppliedAt.IsZero() || step.Version != int64(i+1) || step.Name == "" {
				t.Errorf("pending migration %+v", step)
			}
		}
		if n := tables(t, raw, db.Dialect()); n != 0 {
			t.Errorf("looking made %d tables", n)
		}

		before := time.Now().Add(-time.Minute)
		if n, err := db.Migrate(ctx); err != nil || n != len(steps) {
			t.Errorf("%d of %d migrations applied, error %v", n, len(steps), err)
		}
		if n, err := db.Migrate(ctx); err != nil || n != 0 {
			t.Errorf("the second time %d migrations were applied, error %v", n, err)
		}
		if err := errors.Join(db.CheckSchema(ctx), db.Ready(ctx)); err != nil {
			t.Error(err)
		}
		steps, err = db.MigrationStatus(ctx)
		for _, step := range steps {
			if err != nil || step.AppliedAt.Before(before) || step.AppliedAt.After(time.Now().Add(time.Minute)) {
				t.Errorf("applied migration %+v, error %v", step, err)
			}
		}

		if _, err := raw.Exec("INSERT INTO goose_db_version (version_id, is_applied, tstamp) VALUES (999, true, CURRENT_TIMESTAMP)"); err != nil {
			t.Fatal(err)
		}
		newer := func(err error) {
			t.Helper()
			var state *storage.SchemaError
			if !errors.As(err, &state) || state.Have != 999 || !strings.Contains(err.Error(), "newer Switchboard") {
				t.Errorf("a newer database: %v", err)
			}
		}
		newer(db.CheckSchema(ctx))
		n, err := db.Migrate(ctx)
		newer(err)
		if n != 0 {
			t.Errorf("%d migrations applied to a newer database", n)
		}
		if err := db.Ready(ctx); err != nil {
			t.Errorf("a program that was ready stopped because a newer one came: %v", err)
		}
		newer(openWith(t, url, nil).Ready(ctx))
	})
}

func TestSchemaErrorSaysWhatToDo(t *testing.T) {
	for want, e := range map[string]storage.SchemaError{
		"this database has no Switchboard tables yet: run switchboard migrate up":                                          {Have: 0, Want: 3},
		"this database has schema version 2 and this Switchboard needs 3: run switchboard migrate up":                      {Have: 2, Want: 3},
		"this database was written by a newer Switchboard (schema version 4, this one knows 3): run that version or newer": {Have: 4, Want: 3},
	} {
		if e.Error() != want {
			t.Errorf("%+v: %s", e, e.Error())
		}
	}
}

func TestReplicasMigrateTogether(t *testing.T) {
	for range 3 { // a file migrates in milliseconds: it takes a round or two for two of them to collide
		replicasMigrateTogether(t, storagetest.SQLite(t))
	}
	t.Run("postgres", func(t *testing.T) { replicasMigrateTogether(t, storagetest.Postgres(t)) })
}

func replicasMigrateTogether(t *testing.T, url string) {
	t.Helper()
	const replicas = 8
	var applied atomic.Int64
	together(replicas, func(int) {
		db, err := storage.Open(t.Context(), url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		n, err := db.Migrate(t.Context())
		applied.Add(int64(n))
		if err := errors.Join(err, db.Ready(t.Context()), db.Close()); err != nil {
			t.Error(err)
		}
	})
	steps, err := openWith(t, url, nil).MigrationStatus(t.Context())
	if err != nil || applied.Load() != int64(len(steps)) {
		t.Errorf("%d replicas applied %d migrations of %d, error %v", replicas, applied.Load(), len(steps), err)
	}
}

// columns returns a table's columns, in order.
func columns(t *testing.T, f fixture, table string) []string {
	t.Helper()
	rows, err := f.raw.Query("SELECT * FROM " + table + " LIMIT 0")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestDatabaseKeepsTheRules(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f fixture) {
		c := put(t, f, full(key("A1", "E1", "T1")))
		put(t, f, full(key("A1", "", "T1"))) // "" is a value like any other, and not NULL
		start(t, f, attempt("rules", t0))

		// A second row with the same key, whoever writes it.
		double := func(table, own, where string) {
			t.Helper()
			names := columns(t, f, table)
			values := strings.Join(names, ", ")
			if own == "id" { // the database gives the number
				names, values = names[1:], strings.Join(names[1:], ", ")
			} else {
				values = strings.Replace(values, "id,", own+",", 1)
			}
			_, err := f.raw.Exec(fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s", table, strings.Join(names, ", "), values, table, where))
			if err == nil {
				t.Errorf("%s took a second row with one key", table)
			} else if text := strings.ToLower(err.Error()); !strings.Contains(text, "unique") {
				t.Errorf("%s refused a second row, but because: %v", table, err)
			}
		}
		double("connections", "'con_second'", "id = '"+c.ID+"'")
		double("connections", "'con_second'", "enterprise_id = ''")
		double("install_attempts", "id", "ref = 'rules'")

		for _, table := range []string{"connections", "install_attempts"} {
			for _, column := range columns(t, f, table) {
				if _, err := f.raw.Exec("UPDATE " + table + " SET " + column + " = NULL"); err == nil {
					t.Errorf("%s.%s took a NULL", table, column)
				}
			}
		}
		for _, change := range []string{"app_id = ''", "enterprise_id = '', team_id = ''"} {
			if _, err := f.raw.Exec("UPDATE connections SET " + change + " WHERE id = '" + c.ID + "'"); err == nil {
				t.Errorf("connections took %s", change)
			}
		}
	})
}

func TestIndexesArePresent(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f fixture) {
		query := "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()"
		if f.Dialect() == "sqlite" {
			query = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
		}
		rows, err := f.raw.Query(query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var all strings.Builder
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			all.WriteString(text + "\n")
		}
		for _, want := range [][2]string{
			{"CREATE UNIQUE INDEX connections_key ", "(app_id, enterprise_id, team_id)"},
			{"CREATE INDEX connections_team ", "(app_id, team_id)"},
			{"CREATE UNIQUE INDEX install_attempts_state ", "(state_hash)"},
			{"CREATE INDEX install_attempts_started ", "(started_at)"},
		} {
			found := false
			for line := range strings.Lines(all.String()) {
				found = found || strings.HasPrefix(line, want[0]) && strings.Contains(line, want[1])
			}
			if !found {
				t.Errorf("no %s… on %s in:\n%s", want[0], want[1], all.String())
			}
		}
	})
}

// Another process may hold a SQLite file. The caller's patience counts then, and what can wait, waits.
func TestSQLiteLockedByAnother(t *testing.T) {
	f := open(t, storagetest.SQLite(t))
	c := put(t, f, full(key("A1", "", "T1")))
	other, err := f.raw.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := f.Update(t.Context(), c.Key, func(c *install.Connection) error { c.State = install.Paused; return nil })
		waits <- err
	}()
	// 300 ms are more than SQLite itself waits, so the one that goes on waiting has to try again.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := f.Update(ctx, c.Key, func(*install.Connection) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for another process: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the caller had 300 ms and waited %v", took)
	}
	if _, err := f.Find(t.Context(), c.Key); err != nil {
		t.Errorf("reading while another process writes: %v", err)
	}
	if _, err := other.ExecContext(t.Context(), "UPDATE connections SET team_name = 'theirs'; COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Error(err)
	}
	if c, err = f.Find(t.Context(), c.Key); err != nil || c.TeamName != "theirs" || c.State != install.Paused {
		t.Errorf("one of two processes' changes is lost: %q, %s, %v", c.TeamName, c.State, err)
	}
}

// Two programs on one SQLite file, as serve and a command line call beside it.
func TestTwoHandlesShareOneFile(t *testing.T) {
	eachFresh(t, func(t *testing.T, url string) {
		keys, err := storage.ParseKeys(storage.NewKey())
		if err != nil {
			t.Fatal(err)
		}
		handles := []*storage.DB{openWith(t, url, keys), openWith(t, url, keys)}
		if _, err := handles[0].Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		k := key("A1", "", "T1")
		put(t, handles[0], full(k))
		together(callers, func(i int) {
			if _, err := handles[i%2].Update(t.Context(), k, func(c *install.Connection) error { c.Installs++; return nil }); err != nil {
				t.Error(err)
			}
		})
		if c, err := handles[1].Find(t.Context(), k); err != nil || c.Installs != 1+callers {
			t.Errorf("%d of %d changes are there, error %v", c.Installs-1, callers, err)
		}
	})
}
