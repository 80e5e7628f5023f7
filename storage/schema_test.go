package storage_test

// What the database itself must refuse, and how a program behaves that meets a schema it was not written for.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
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

func TestMigrate(t *testing.T) {
	t.Parallel()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		db, raw, ctx := storetest.OpenWith(t, url, nil), storetest.RawHandle(t, url), t.Context()
		if !strings.HasPrefix(url, db.Dialect()+":") {
			t.Errorf("dialect %q", db.Dialect())
		}
		for _, check := range []func(context.Context) error{db.CheckSchema, db.Ready} {
			var state *storage.SchemaError
			if err := check(ctx); !errors.As(err, &state) || state.Have != 0 || !strings.Contains(err.Error(), "DB.Migrate") {
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
	})
}

// Each migration says whose programs can work with what it leaves (docs/upgrading.md), the same on both databases where
// it can.
func TestMigrationsSayWhoCanWorkWithThem(t *testing.T) {
	states := regexp.MustCompile(
		`(?m)^(?:UPDATE schema_state SET works_from = (\d+)|INSERT INTO schema_state \(id, works_from\) VALUES \(1, (\d+)\))`)
	files, err := filepath.Glob("internal/db/migrations/*/*.sql")
	storetest.OK(t, err)
	checked := 0
	for _, file := range files {
		number, err := goose.NumericComponent(file)
		storetest.OK(t, err)
		if number < 6 {
			continue // before the rule
		}
		checked++
		text, err := os.ReadFile(file)
		storetest.OK(t, err)
		said := states.FindAllStringSubmatch(string(text), -1)
		if len(said) != 1 {
			t.Errorf("%s says %d times from which schema version on programs can work with it; docs/upgrading.md has the line",
				file, len(said))
			continue
		}
		if from, err := strconv.ParseInt(said[0][1]+said[0][2], 10, 64); err != nil || from < 5 || from > number {
			t.Errorf("%s says that programs from schema version %d on can work with it, %v", file, from, err)
		}
	}
	if checked < 2 {
		t.Errorf("%d migrations were looked at", checked)
	}
}

func TestSchemaErrorSaysWhatToDo(t *testing.T) {
	for want, e := range map[string]storage.SchemaError{
		"the tables are not there yet: make them (DB.Migrate)": {Have: 0,
			Want: 3},
		"the tables are of an older release (schema version 2, this one needs 3): migrate them (DB.Migrate)": {Have: 2,
			Want: 3},
		"the tables are of a newer release (schema version 4, this one knows 3): run that release or a newer one": {Have: 4,
			Want: 3},
	} {
		if e.Error() != want {
			t.Errorf("%+v: %s", e, e.Error())
		}
	}
}

func TestReplicasMigrateTogether(t *testing.T) {
	t.Parallel()
	for range 3 { // a file migrates in milliseconds: it takes a round or two for two of them to collide
		replicasMigrateTogether(t, storagetest.SQLite(t))
	}
	t.Run("postgres", func(t *testing.T) { replicasMigrateTogether(t, storagetest.Postgres(t)) })
}

func replicasMigrateTogether(t *testing.T, url string) {
	t.Helper()
	const replicas = 8
	var applied atomic.Int64
	storagetest.Together(replicas, func(int) {
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
	steps, err := storetest.OpenWith(t, url, nil).MigrationStatus(t.Context())
	if err != nil || applied.Load() != int64(len(steps)) {
		t.Errorf("%d replicas applied %d migrations of %d, error %v", replicas, applied.Load(), len(steps), err)
	}
}

func TestDatabaseKeepsTheRules(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T1")))
		storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1"))) // "" is a value like any other, and not NULL
		start(t, f, attempt("rules", storetest.T0))

		// A second row with the same key, whoever writes it.
		double := func(table, own, where string) {
			t.Helper()
			names := storetest.Columns(t, f, table)
			values := strings.Join(names, ", ")
			switch own {
			case "": // a copy as it is
			case "id": // the database gives the number
				names, values = names[1:], strings.Join(names[1:], ", ")
			default:
				values = strings.Replace(values, "id,", own+",", 1)
			}
			_, err := f.Raw.Exec(fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s", table, strings.Join(names, ", "),
				values, table, where))
			if err == nil {
				t.Errorf("%s took a second row with one key", table)
			} else if text := strings.ToLower(err.Error()); !strings.Contains(text, "unique") {
				t.Errorf("%s refused a second row, but because: %v", table, err)
			}
		}
		double("connections", "'con_second'", "id = '"+c.ID+"'")
		double("connections", "'con_second'", "enterprise_id = ''")
		double("install_attempts", "id", "ref = 'rules'")
		grant(t, f, person(c.Key, "U1"))
		if storetest.Must(f.Take(t.Context(), slackapi.Budget{Name: "one", Interval: 1, Burst: 1}, 1, storetest.T0)) {
			double("budgets", "", "name = 'one'")
		}
		double("user_tokens", "", "user_id = 'U1'")
		// Nor a second one of another connection for the same key and person.
		if _, err := f.Raw.Exec(strings.Replace("INSERT INTO user_tokens (connection_id, user_id, app_id, enterprise_id, "+
			"team_id, *) "+
			"SELECT (SELECT id FROM connections WHERE enterprise_id = ''), user_id, app_id, enterprise_id, team_id, * FROM "+
			"user_tokens",
			"*", strings.Join(storetest.Columns(t, f, "user_tokens")[5:], ", "), 2)); err == nil ||
			!strings.Contains(strings.ToLower(err.Error()), "unique") {
			t.Errorf("one person has two tokens of one key: %v", err)
		}
		storetest.Exec(t, f, "DELETE FROM budgets WHERE name <> 'one'")

		for _, table := range []string{"connections", "install_attempts", "user_tokens", "connection_history", "budgets"} {
			for _, column := range storetest.Columns(t, f, table) {
				if _, err := f.Raw.Exec("UPDATE " + table + " SET " + column + " = NULL"); err == nil {
					t.Errorf("%s.%s took a NULL", table, column)
				}
			}
		}
		for _, change := range []string{"app_id = ''", "enterprise_id = '', team_id = ''"} {
			if _, err := f.Raw.Exec("UPDATE connections SET " + change + " WHERE id = '" + c.ID + "'"); err == nil {
				t.Errorf("connections took %s", change)
			}
		}
		if _, err := f.Raw.Exec("UPDATE user_tokens SET user_id = ''"); err == nil {
			t.Error("user_tokens took nobody's token")
		}
		if f.Dialect() == "sqlite" {
			storetest.Exec(t, f, "PRAGMA foreign_keys = 1") // as the program does on each connection
			f.Raw.SetMaxOpenConns(1)
		}
		for _, table := range []string{"user_tokens", "connection_history"} {
			if _, err := f.Raw.Exec("UPDATE " + table + " SET connection_id = 'con_nobody'"); err == nil {
				t.Errorf("%s took a row without a connection", table)
			}
		}
	})
}

func TestIndexesArePresent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		query := "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()"
		if f.Dialect() == "sqlite" {
			query = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
		}
		rows, err := f.Raw.Query(query)
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
			{"CREATE INDEX connections_due ", "(renew_at)"},
			{"CREATE INDEX connections_long_lived ", "(id)"},
			{"CREATE INDEX connections_unchecked ", "(check_at)"},
			{"CREATE INDEX connections_untold ", "(state_since)"},
			{"CREATE INDEX connections_removed ", "(state_since)"},
			{"CREATE UNIQUE INDEX user_tokens_key ", "(app_id, enterprise_id, team_id, user_id)"},
			{"CREATE INDEX user_tokens_due ", "(renew_at)"},
			{"CREATE INDEX connection_history_connection ", "(connection_id, id)"},
			{"CREATE INDEX connection_history_routine ", "(at)"},
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

// The first release runs on while 00002 is applied: what it wrote and writes lies right, and it finds what it needs.
func TestOlderReleaseRunsOn(t *testing.T) {
	t.Parallel()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := storetest.OpenWith(t, url, storetest.Ring(t, seal.NewKey()))
		f := storetest.Fixture{DB: db, URL: url, Raw: storetest.RawHandle(t, url)}
		migrateTo(t, f, 1)
		names := storetest.Columns(t, f, "connections")
		if slices.Contains(names, "renew_at") || len(names) < 30 {
			t.Fatalf("these are not the first release's columns: %v", names)
		}
		list := strings.Join(names, ", ")
		write := func(id string) {
			t.Helper()
			values := make([]string, len(names))
			for i, name := range names {
				switch {
				case name == "id" || name == "team_id":
					values[i] = "'" + id + "'"
				case name == "app_id" || name == "state":
					values[i] = "'active'"
				case strings.HasSuffix(name, "_at") || name == "installs" || name == "version" || name == "state_since":
					values[i] = "7"
				default:
					values[i] = "''"
				}
			}
			storetest.Exec(t, f, "INSERT INTO connections ("+list+") VALUES ("+strings.Join(values, ", ")+")")
		}
		write("con_before")
		write("con_rotating")
		ends := storetest.T0.Add(12 * time.Hour)
		storetest.Exec(t, f, fmt.Sprintf("UPDATE connections SET expires_at = %d, refresh_token = 'x' WHERE id = "+
			"'con_rotating'", ends.UnixMicro()))
		// And what was brought in later without a time for its renewal.
		migrateTo(t, f, 4)
		write("con_brought")
		storetest.Exec(t, f, "UPDATE connections SET expires_at = 0, refresh_token = 'x' WHERE id = 'con_brought'")
		storetest.Exec(t, f, `INSERT INTO user_tokens (connection_id, user_id, app_id, enterprise_id, team_id, scopes, token, refresh_token, expires_at, renew_at,
			lease_until, renew_tries, failing_since, rejections, reason, granted_at, version)
			VALUES ('con_brought', 'U1', 'active', '', 'con_brought', '', '', 'x', 0, 0, 0, 0, 0, 0, '', 7, 1)`)
		if n, err := db.Migrate(ctx); n < 1 || err != nil {
			t.Fatalf("%d migrations applied, error %v", n, err)
		}
		write("con_after")
		storetest.Exec(t, f, "UPDATE connections SET team_name = 'theirs', version = version + 1")
		if n := f.CountOf(t, "SELECT count(*) FROM (SELECT "+list+" FROM connections) AS theirs"); n != 4 {
			t.Errorf("the first release sees %d of 4 connections", n)
		}
		if c, err := db.Get(ctx, "con_brought"); err != nil || c.RenewAt.IsZero() || c.RenewAt.After(time.Now()) {
			t.Errorf("what has a refresh token and no end is renewed at %v, %v", c.RenewAt, err)
		}
		if c, err := db.Get(ctx, "con_rotating"); err != nil || !c.RenewAt.Equal(ends.Add(-4*time.Hour)) {
			t.Errorf("what ends at %v is renewed at %v, %v", ends, c.RenewAt, err)
		}
		person := connection.TokenOwner{Key: connection.Key{AppID: "active", TeamID: "con_brought"}, UserID: "U1"}
		if u, err := db.GetUser(ctx, person); err != nil || u.RenewAt.IsZero() || u.RenewAt.After(time.Now()) {
			t.Errorf("a person's, with a refresh token and no end, is renewed at %v, %v", u.RenewAt, err)
		}
		// It puts a new consent beside the failures that the old tokens had with us.
		for id, failing := range map[string]time.Duration{"con_before": -time.Second, "con_after": 0} {
			storetest.Exec(t, f, fmt.Sprintf("UPDATE connections SET renewed_at = %d, failing_since = %d, renew_tries = 3, "+
				"rejections = 2 WHERE id = '%s'",
				storetest.T0.UnixMicro(), storetest.T0.Add(failing).UnixMicro(), id))
			c, err := db.Get(ctx, id)
			if fresh := failing < 0; err != nil || (c.Tries == 0) != fresh || (c.Rejections == 0) != fresh ||
				c.FailingSince.IsZero() != fresh {
				t.Errorf("%s: %d tries, %d rejections since %v, %v", id, c.Tries, c.Rejections, c.FailingSince, err)
			}
		}
		storetest.Exec(t, f, "UPDATE connections SET failing_since = 0, renew_tries = 0, rejections = 0")
		for _, id := range []string{"con_before", "con_after"} {
			c, err := db.Get(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(connection.TokenPair{ExpiresAt: c.ExpiresAt}, c.TokenPair); diff != "" ||
				c.Notice != (connection.Notice{}) || !c.CheckAt.IsZero() || c.TeamName != "theirs" {
				t.Errorf("%s: %+v, %s", id, c, diff)
			}
			update(t, db, c.Key, func(c *connection.Connection) { c.RenewAt = storetest.T0 })
		}
		if due, err := db.Due(ctx, "", ends, 10); err != nil || len(due) != 5 {
			t.Errorf("due: %v, %v", due, err)
		}
	})
}

// migrateTo makes the tables of an older release.
func migrateTo(t *testing.T, f storetest.Fixture, version int64) {
	t.Helper()
	dialect := map[string]goose.Dialect{"postgres": goose.DialectPostgres, "sqlite": goose.DialectSQLite3}[f.Dialect()]
	provider, err := goose.NewProvider(dialect, f.Raw, os.DirFS("internal/db/migrations/"+f.Dialect()),
		goose.WithSlog(slog.New(slog.DiscardHandler)))
	storetest.OK(t, err)
	_, err = provider.UpTo(t.Context(), version)
	storetest.OK(t, err)
}

// A program that was made for the oldest schema that the newest one names (works_from) reads and writes the newest: its
// columns are as they were, those that it doesn't know have a default, and nothing that it writes is refused or turned
// into something else.
func TestReleasesBeforeRunOn(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			newest := storetest.Open(t, fresh(t))
			url := fresh(t)
			before := storetest.Fixture{DB: storetest.OpenWith(t, url, nil), URL: url, Raw: storetest.RawHandle(t, url)}
			from := int64(newest.CountOf(t, "SELECT works_from FROM schema_state"))
			migrateTo(t, before, from)

			was, is := columnsOf(t, before), columnsOf(t, newest)
			if len(was["inbox"]) < 10 || len(was["connections"]) < 30 {
				t.Fatalf("these are not the tables of schema version %d: %v", from, was)
			}
			rulesBefore := rulesOf(t, before)
			for table, columns := range was {
				for column, shape := range columns {
					if is[table][column] != shape {
						t.Errorf("%s.%s was %q and is %q", table, column, shape, is[table][column])
					}
				}
				for column, shape := range is[table] {
					if _, known := columns[column]; !known && strings.HasSuffix(shape, "no default") {
						t.Errorf("%s.%s is new and has no default", table, column)
					}
				}
			}
			for rule := range rulesOf(t, newest) {
				if table, _, _ := strings.Cut(rule, ": "); len(was[table]) > 0 && !rulesBefore[rule] {
					t.Errorf("a rule for what programs of schema version %d write: %s", from, rule)
				}
			}
		})
	}
}

// columnsOf are all tables with their columns: type and default.
func columnsOf(t *testing.T, f storetest.Fixture) map[string]map[string]string {
	t.Helper()
	query := "SELECT table_name, column_name, data_type, coalesce(column_default, CASE WHEN is_identity = 'YES' OR " +
		"is_nullable = 'YES' THEN 'its own' ELSE 'no default' END) FROM information_schema.columns " +
		"WHERE table_schema = current_schema()"
	if f.Dialect() == "sqlite" {
		query = "SELECT m.name, c.name, c.type, coalesce(c.dflt_value, CASE WHEN c.pk > 0 OR c.\"notnull\" = 0 " +
			"THEN 'its own' ELSE 'no default' END) FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
	}

	rows, err := f.Raw.Query(query)
	storetest.OK(t, err)
	defer rows.Close()
	all := map[string]map[string]string{}
	for rows.Next() {
		var table, column, kind, standard string
		storetest.OK(t, rows.Scan(&table, &column, &kind, &standard))
		if all[table] == nil {
			all[table] = map[string]string{}
		}
		all[table][column] = kind + ", " + standard
	}
	storetest.OK(t, rows.Err())
	return all
}

// rulesOf are what the database refuses or does by itself besides, each behind its table.
func rulesOf(t *testing.T, f storetest.Fixture) map[string]bool {
	t.Helper()
	query := "SELECT tablename || ': ' || replace(indexdef, schemaname || '.', '') FROM pg_indexes " +
		"WHERE schemaname = current_schema() AND indexdef LIKE 'CREATE UNIQUE%' UNION ALL " +
		"SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) FROM pg_constraint " +
		"WHERE connamespace = current_schema()::regnamespace AND contype IN ('c', 'f', 'x') UNION ALL " +
		"SELECT tgrelid::regclass || ': trigger ' || tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid " +
		"WHERE c.relnamespace = current_schema()::regnamespace AND NOT tgisinternal"
	if f.Dialect() == "sqlite" {
		query = "SELECT tbl_name || ': ' || sql FROM sqlite_master WHERE type = 'trigger' OR sql LIKE 'CREATE UNIQUE%'"
	}

	rows, err := f.Raw.Query(query)
	storetest.OK(t, err)
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var rule string
		storetest.OK(t, rows.Scan(&rule))
		all[rule] = true
	}
	storetest.OK(t, rows.Err())
	if len(all) < 3 {
		t.Fatalf("only the rules %v", all)
	}
	return all
}

// Columns that a later release adds while this one serves do not fail what it has prepared.
func TestColumnsAddedBesideUs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx := t.Context()
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
		grant(t, f, person(c.Key, "U1"))
		h := connection.TokenOwner{Key: c.Key, UserID: "U1"}
		taken := 0
		use := func() {
			// Often enough and at once, so that every connection to the database has every statement prepared.
			storagetest.Together(storetest.Callers, func(i int) {
				_, _, err := f.Put(ctx, storetest.Full(c.Key))
				if err == nil {
					_, err = f.Get(ctx, c.ID)
				}
				if err == nil {
					_, err = f.UpdateUser(ctx, h, func(u *connection.UserToken) error { u.Tries++; return nil })
				}
				if err == nil {
					_, err = f.GetUser(ctx, h)
				}
				if err == nil {
					_, err = f.History(ctx, c.ID, 1)
				}
				a := attempt(fmt.Sprint(taken, " ", i), storetest.T0)
				if err == nil {
					err = f.BeginAttempt(ctx, a)
				}
				if err == nil {
					err = f.BeginAttempt(ctx, back(a, storetest.T0))
				}
				if err != nil {
					t.Error(err)
				}
			})
			taken++
		}
		use()
		for _, table := range []string{"connections", "user_tokens", "connection_history", "install_attempts"} {
			storetest.Exec(t, f, "ALTER TABLE "+table+" ADD COLUMN of_a_later_release bigint NOT NULL DEFAULT 0")
		}
		use()
	})
}

// Another process may hold a SQLite file. The caller's patience counts then, and what can wait, waits.
func TestSQLiteLockedByAnother(t *testing.T) {
	t.Parallel()
	f := storetest.Open(t, storagetest.SQLite(t))
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
	other, err := f.Raw.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
			c.State = connection.Paused
			return nil
		})
		waits <- err
	}()
	// 300 ms are more than SQLite itself waits, so the one that goes on waiting has to try again.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := f.Update(ctx, c.Key, func(*connection.Connection) error { return nil }); !errors.Is(err,
		context.DeadlineExceeded) {
		t.Errorf("waiting for another process: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the caller had 300 ms and waited %v", took)
	}
	if _, err := f.Lookup(t.Context(), c.Key); err != nil {
		t.Errorf("reading while another process writes: %v", err)
	}
	if _, err := other.ExecContext(t.Context(), "UPDATE connections SET team_name = 'theirs'; COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Error(err)
	}
	if c, err = f.Lookup(t.Context(), c.Key); err != nil || c.TeamName != "theirs" || c.State != connection.Paused {
		t.Errorf("one of two processes' changes is lost: %q, %s, %v", c.TeamName, c.State, err)
	}
}

// Two programs on one SQLite file, as serve and a command line call beside it.
func TestTwoHandlesShareOneFile(t *testing.T) {
	t.Parallel()
	storetest.EachFresh(t, func(t *testing.T, url string) {
		keys, err := seal.ParseKeys(seal.NewKey())
		if err != nil {
			t.Fatal(err)
		}
		handles := []*storage.DB{storetest.OpenWith(t, url, keys), storetest.OpenWith(t, url, keys)}
		if _, err := handles[0].Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		k := storetest.Key("A1", "", "T1")
		storetest.Put(t, handles[0], storetest.Full(k))
		storagetest.Together(storetest.Callers, func(i int) {
			if _, err := handles[i%2].Update(t.Context(), k, func(c *connection.Connection) error {
				c.Installs++
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
		if c, err := handles[1].Lookup(t.Context(), k); err != nil || c.Installs != 1+storetest.Callers {
			t.Errorf("%d of %d changes are there, error %v", c.Installs-1, storetest.Callers, err)
		}
	})
}
