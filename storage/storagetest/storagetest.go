// Package storagetest gives tests an empty database of their own, and keeps the one switch for tests that take long.
// Nothing but tests imports it.
package storagetest

// Tests run on the real databases, so that what they prove holds there; this file makes that one call.

import (
	"context"
	"crypto/rand"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"
)

// Postgres returns the address of a fresh, empty schema, which is dropped when the test ends. The server is the one in
// TEST_DATABASE_URL, a postgres:// address whose user may create schemas. Without it the test is skipped, except where
// CI is set: a build that tests one database of two must not look green.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("TEST_DATABASE_URL")
	if server == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("TEST_DATABASE_URL is not set: tests in CI run on PostgreSQL too")
		}
		t.Skip("TEST_DATABASE_URL is not set: no PostgreSQL to test on")
	}
	u, err := url.Parse(server)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		t.Fatal("TEST_DATABASE_URL is not a postgres:// address") // it may hold a password, so it is not shown
	}
	schema := "test_" + strings.ToLower(rand.Text())
	execute(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execute(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

// Long skips a test that needs minutes, another module or a long walk through a browser, unless LONG_TESTS=1 is set, as
// it is in CI. With -short it is skipped in any case.
func Long(t testing.TB) {
	t.Helper()
	if !long() {
		t.Skip("takes long: LONG_TESTS=1 runs it")
	}
}

// Rounds is how often a test does what may go wrong at any moment: a few times, or many with LONG_TESTS=1.
func Rounds(few, many int) int {
	if long() {
		return many
	}
	return few
}

// ManyAtOnce has more of a package's parallel tests run at a time than there are cores, because they wait most of the
// time. -parallel overrules it. A TestMain calls it.
func ManyAtOnce() {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", "8")
	}
}

func long() bool { return os.Getenv("LONG_TESTS") == "1" && !testing.Short() }

// SQLite returns the address of a file that does not exist yet, in a folder that is removed when the test ends.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "switchboard.db")
}

// SameColumns fails the test unless GORM's structs have the columns of the tables that they are for, and nothing that
// GORM fills in by itself.
func SameColumns(t testing.TB, write *gorm.DB, models ...any) {
	t.Helper()
	types := map[schema.DataType]string{schema.String: "text", schema.Int: "int8 integer", schema.Bytes: "bytea blob"}
	for _, model := range models {
		parsed, err := schema.Parse(model, new(sync.Map), write.NamingStrategy)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := write.Migrator().ColumnTypes(model)
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
}

// Together runs fn n times at once and waits for all.
func Together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

func execute(t testing.TB, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to TEST_DATABASE_URL: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
