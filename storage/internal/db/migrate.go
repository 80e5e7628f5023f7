package db

// Tables are made by reviewable SQL, once, by whoever comes first; a program that meets a schema it was not written for
// must say so instead of guessing. This file does both.

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var migrations embed.FS

// versionTable is where goose writes down what it applied.
const versionTable = goose.DefaultTablename

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string    // the file's name
	AppliedAt time.Time // zero: not yet
}

// SchemaError says that the database's schema is not the one this program needs.
type SchemaError struct {
	Have, Want int64
}

// Is says that it is ErrUnfit.
func (*SchemaError) Is(target error) bool { return target == ErrUnfit }

// Error is a sentence with the next step.
func (e *SchemaError) Error() string {
	switch {
	case e.Have > e.Want:
		return fmt.Sprintf("the tables are of a newer release (schema version %d, this one knows %d): "+
			"run that release or a newer one", e.Have, e.Want)
	case e.Have == 0:
		return "the tables are not there yet: make them (DB.Migrate)"
	default:
		return fmt.Sprintf("the tables are of an older release (schema version %d, this one needs %d): "+
			"migrate them (DB.Migrate)", e.Have, e.Want)
	}
}

// Migrate brings the schema up to date and returns how many steps it took; 0 when others already did. Any number of
// replicas may call it at once: on PostgreSQL they wait for each other for up to two minutes. A database that is newer
// than this program is refused with a *SchemaError and left alone. Before an empty database gets tables, fits says
// whether it is the right one.
func (u *Upkeep) Migrate(ctx context.Context, fits func() error) (applied int, err error) {
	for try := 1; ; try++ {
		var state *SchemaError
		err := u.CheckSchema(ctx)
		if err == nil || !errors.As(err, &state) || state.Have > state.Want {
			return applied, err
		}
		if state.Have == 0 && applied == 0 {
			if err := fits(); err != nil {
				return 0, err
			}
		}

		n, err := u.migrate(ctx)
		applied += n
		if err == nil {
			return applied, nil
		}

		// SQLite has no lock for this: of two processes that start together one loses the race for a table. Then the work is
		// done or being done, so the loser looks again.
		raced := u.pool.Dialect == DialectSQLite && try < MaxTries
		if !again(ctx, err, try) && !(raced && pause(ctx, try)) {
			return applied, Fault(ctx, "migrate database", err)
		}
	}
}

func (u *Upkeep) migrate(ctx context.Context) (int, error) {
	provider, err := goose.NewProvider(gooseNames[u.pool.Dialect], u.pool.handle(), u.steps(),
		goose.WithSlog(slog.New(slog.DiscardHandler)), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, err
	}
	if u.pool.Dialect == DialectPostgres {
		unlock, err := u.lockMigrations(ctx)
		if err != nil {
			return 0, err
		}
		defer unlock()
	}
	// The provider is not closed: that would close our pool.
	done, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) { // what came before the failure stays
		done = partial.Applied
	}
	return len(done), err
}

// lockMigrations waits until nobody else migrates, two minutes at most. The lock belongs to a transaction: a session
// can be shared by a pooler, which would give back the lock of another one. Releases before this one take the same lock
// for their session.
func (u *Upkeep) lockMigrations(ctx context.Context) (unlock func(), err error) {
	tx, err := u.pool.handle().BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()

	// However the server bounds statements and idle transactions: this one waits, and then it waits for us.
	for _, bound := range []string{"lock_timeout = '2min'", "statement_timeout = 0",
		"idle_in_transaction_session_timeout = 0"} {
		if _, err := tx.ExecContext(ctx, "SET LOCAL "+bound); err != nil {
			return nil, err
		}
	}

	// A lock is the whole database's. Its number is made from the schema's name, so that two installations in one database
	// don't wait for each other.
	var schema string
	if err := tx.QueryRowContext(ctx, "SELECT COALESCE(current_schema(), '')").Scan(&schema); err != nil {
		return nil, err
	}
	number := int64(crc32.ChecksumIEEE([]byte("switchboard " + schema)))
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", number); err != nil {
		return nil, err
	}
	return func() { _ = tx.Rollback() }, nil
}

// gooseNames are our dialects as goose names them.
var gooseNames = map[string]goose.Dialect{DialectPostgres: goose.DialectPostgres, DialectSQLite: goose.DialectSQLite3}

// steps is the folder of this database's migrations.
func (u *Upkeep) steps() fs.FS {
	folder, err := fs.Sub(migrations, "migrations/"+u.pool.Dialect)
	if err != nil { // cannot be: the name is valid
		panic(err)
	}
	return folder
}

// known returns the migrations this program carries, oldest first.
func (u *Upkeep) known() ([]Migration, error) {
	files, err := fs.Glob(u.steps(), "*.sql") // sorted, and the numbers have leading zeros
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil {
			return nil, err
		}
		all = append(all, Migration{Version: version, Name: file})
	}
	if len(all) == 0 {
		return nil, errors.New("this program carries no migrations")
	}
	return all, nil
}

// MigrationStatus returns all migrations this program carries, oldest first, and when each was applied; then those that
// newer releases applied. It changes nothing.
func (u *Upkeep) MigrationStatus(ctx context.Context) ([]Migration, error) {
	all, err := u.known()
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	applied, err := u.applied(ctx)
	if err != nil {
		return nil, Fault(ctx, "read migrations", err)
	}
	for i, m := range all {
		all[i].AppliedAt = applied[m.Version]
		delete(applied, m.Version)
	}
	for _, version := range slices.Sorted(maps.Keys(applied)) {
		all = append(all, Migration{Version: version, Name: "(of a newer release)", AppliedAt: applied[version]})
	}
	return all, nil
}

// CheckSchema returns nil when this program can work with the database's schema: the one it was written for, or a newer
// one that says so (docs/upgrading.md). Else a *SchemaError, or the database's trouble. It changes nothing.
func (u *Upkeep) CheckSchema(ctx context.Context) error {
	applied, err := u.applied(ctx)
	if err != nil {
		return Fault(ctx, "read migrations", err)
	}
	var have, worksFrom int64
	for version := range applied {
		have = max(have, version)
	}
	if have >= statedFrom {
		err := u.pool.Read.WithContext(ctx).Raw("SELECT works_from FROM schema_state WHERE id = 1").Scan(&worksFrom).Error
		if err != nil {
			return Fault(ctx, "read migrations", err)
		}
	}
	return u.judge(have, worksFrom)
}

// CheckExactSchema is CheckSchema for what knows each table: also a newer schema that this program can work with is a
// *SchemaError.
func (u *Upkeep) CheckExactSchema(ctx context.Context) error {
	applied, err := u.applied(ctx)
	if err != nil {
		return Fault(ctx, "read migrations", err)
	}
	var have int64
	for version := range applied {
		have = max(have, version)
	}
	return u.judge(have, 0)
}

// statedFrom is the migration from which on each one says whose programs can work with what it leaves.
const statedFrom = 6

// judge returns a *SchemaError unless this program can work with a schema, which works for programs from a version on.
func (u *Upkeep) judge(have, worksFrom int64) error {
	all, err := u.known()
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	want := all[len(all)-1].Version
	if have == want || have > want && worksFrom > 0 && worksFrom <= want {
		return u.pool.seen.saw(nil)
	}
	return u.pool.seen.saw(&SchemaError{Have: have, Want: want})
}

// applied reads goose's table by hand: goose would create it first.
func (u *Upkeep) applied(ctx context.Context) (map[int64]time.Time, error) {
	exists := "SELECT to_regclass('" + versionTable + "') IS NOT NULL"
	if u.pool.Dialect == DialectSQLite {
		exists = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = '" + versionTable + "'"
	}
	tx := u.pool.Read.WithContext(ctx)
	var there bool
	if err := tx.Raw(exists).Scan(&there).Error; err != nil || !there {
		return nil, err
	}
	var rows []struct {
		VersionID int64
		Tstamp    sql.NullTime
	}
	err := tx.Raw("SELECT version_id, tstamp FROM " + versionTable + " WHERE is_applied AND version_id > 0").
		Scan(&rows).Error
	applied := make(map[int64]time.Time, len(rows))
	for _, r := range rows {
		applied[r.VersionID] = r.Tstamp.Time.UTC()
	}
	return applied, err
}
