// Package db opens PostgreSQL and SQLite and runs statements on them through GORM: their connections, their clock,
// their schema, and what their errors mean. It knows nothing of what lies in the tables.
package db

// This file opens a database from its address, because the address alone decides which of the two it is.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// The dialects, as Dialect names them. They are also the folders of the migrations.
const (
	DialectPostgres = "postgres"
	DialectSQLite   = "sqlite"
)

const (
	// MaxTries bounds how often a transaction starts over after the database asked for it. Rows are locked before they
	// are changed, so even the second try is rare.
	MaxTries = 10
	// maxBusyTries is the same for a SQLite file that another process keeps locked: about 10 s with sqliteWait.
	maxBusyTries = 100
	// maxDemoted is the same for a server that became read-only: the connection to it is gone, and the next one is made to
	// a server that takes writes, if there is one.
	maxDemoted = 2
)

// Pool is an open database. It runs statements, again where the database asks for it, and knows the database's time.
// Its methods may be called from any number of goroutines at once.
type Pool struct {
	Dialect string
	Write   *gorm.DB
	// Single is Write for statements that are a transaction by themselves. On SQLite it keeps no prepared statements:
	// whoever waits in GORM's cache for one keeps the cache locked, and it would be prepared on the only connection that
	// writes, whose transaction may wait for the cache.
	Single *gorm.DB
	Read   *gorm.DB // the same as Write on PostgreSQL
	Clock  *Clock
	path   string      // of the SQLite file
	file   os.FileInfo // of the file that is open there
	lock   FileLock
	gate   *gate // in front of SQLite's writer; nil on PostgreSQL
	server server
	seen   health
}

// Open connects to the database at url: "postgres://…", "postgresql://…" or "sqlite:PATH". A PostgreSQL server on
// another machine has to have TLS, unless an sslmode says otherwise. It creates an empty SQLite file (0600) when there
// is none, and changes nothing else: Upkeep.Migrate makes the tables. No error holds the address's password.
func Open(ctx context.Context, url string) (*Pool, error) {
	db := &Pool{Clock: NewClock(nil), seen: health{probing: make(chan struct{}, 1)}}
	var err error
	switch scheme, rest, _ := strings.Cut(url, ":"); {
	case scheme == "sqlite":
		err = db.openSQLite(ctx, rest)
	case (scheme == "postgres" || scheme == "postgresql") && strings.HasPrefix(rest, "//"):
		err = db.openPostgres(ctx, url)
	case url == "":
		err = errors.New("no address given: use postgres://user:password@host/database or sqlite:PATH")
	default:
		err = errors.New("unknown kind of address: use postgres://user:password@host/database or sqlite:PATH")
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return db, nil
}

// openGORM is the one set of options both databases run with.
func openGORM(dialector gorm.Dialector, prepare bool) (*gorm.DB, error) {
	return gorm.Open(dialector, &gorm.Config{
		// GORM's logger prints statements with their values in them, so it prints nothing at all.
		Logger:                 logger.Discard,
		PrepareStmt:            prepare,
		SkipDefaultTransaction: true, // one statement is a transaction already
		DisableAutomaticPing:   true,
		TranslateError:         true,
		// Columns by their names: after a migration adds one, PostgreSQL fails a prepared SELECT * once on each connection.
		QueryFields: true,
	})
}

// Close gives up what exclusive took, too.
func (db *Pool) Close() error {
	var errs []error
	if db.Dialect == DialectSQLite {
		_ = markEmpty(db.handle()) // nothing is lost without it
	}
	for _, g := range []*gorm.DB{db.Read, db.Write} {
		if pool, err := g.DB(); err == nil {
			errs = append(errs, pool.Close()) // again, on PostgreSQL: that does nothing
		}
	}
	db.lock.mu.Lock()
	defer db.lock.mu.Unlock()
	return errors.Join(append(errs, db.lock.Release())...)
}

// handle is the handle below GORM that may write.
func (db *Pool) handle() *sql.DB {
	pool, err := db.Write.DB()
	if err != nil { // cannot be: openGORM was given one
		panic(err)
	}
	return pool
}

// Now is the database's time, as this process knows it. It asks nobody.
func (db *Pool) Now() time.Time { return db.Clock.Now() }

// Log is where Upkeep.LogTo said.
func (db *Pool) Log() *slog.Logger { return db.Clock.log.Load() }

// ErrLost says that the row changed between our reading and our writing it. It starts the transaction over.
var ErrLost = errors.New("the row was changed by somebody else")

// Transact runs fn in a transaction and starts over, a bounded number of times, when the database gave up on it for
// reasons that pass: a deadlock, a failed serialisation, a locked file. fn therefore may run more than once.
func (db *Pool) Transact(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return db.retry(ctx, ordinary, db.Write, func(g *gorm.DB) error { return g.Transaction(fn) })
}

// Exec is transact for one statement, which is a transaction by itself.
func (db *Pool) Exec(ctx context.Context, do func(g *gorm.DB) error) error {
	return db.ExecAs(ctx, ordinary, do)
}

// ExecAs is exec for a statement that is more urgent than others where only one can write.
func (db *Pool) ExecAs(ctx context.Context, p precedence, do func(g *gorm.DB) error) error {
	return db.retry(ctx, p, db.Single, do)
}

// Change is exec for a statement that is known by the number of rows that it changed.
func (db *Pool) Change(ctx context.Context, statement string, values ...any) (changed int64, err error) {
	err = db.Exec(ctx, func(g *gorm.DB) error {
		done := g.Exec(statement, values...)
		changed = done.RowsAffected
		return done.Error
	})
	return changed, err
}

func (db *Pool) retry(ctx context.Context, p precedence, handle *gorm.DB, do func(g *gorm.DB) error) error {
	turn := func() error {
		if err := db.gate.enter(ctx, p); err != nil {
			return err
		}
		defer db.gate.leave()
		if err := db.fileThere(); err != nil {
			return err
		}
		return do(handle.WithContext(ctx))
	}
	for try := 1; ; try++ {
		err := turn()
		if err == nil || !again(ctx, err, try) {
			db.seen.note(p, err)
			return err
		}
	}
}

// again reports whether what failed with err may be tried once more, and waits before it says yes.
func again(ctx context.Context, err error, try int) bool {
	var pg *pgconn.PgError
	limit := 0
	switch {
	case busy(err):
		limit = maxBusyTries
	case errors.Is(err, ErrLost):
		limit = MaxTries
	case errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01"): // serialization_failure, deadlock_detected
		limit = MaxTries
	case pg != nil && pg.Code == codeReadOnly:
		limit = maxDemoted
	}
	return try < limit && pause(ctx, try)
}

// pause waits up to 2, 4, 8 … 100 ms, by chance, so that two that collided do not collide again. It reports false when
// ctx ended first.
func pause(ctx context.Context, try int) bool {
	timer := time.NewTimer(rand.N(min(time.Millisecond<<min(try, 10), 100*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Fault wraps an error of the database. When ctx ended, it says so even where the driver called it something else (a
// transaction that was rolled back, an interrupted statement).
//
// No error, and one that asIs tells callers to look for, is returned as it is.
func Fault(ctx context.Context, doing string, err error, asIs ...error) error {
	if err == nil || slices.ContainsFunc(asIs, func(known error) bool { return errors.Is(err, known) }) {
		return err
	}
	if kind := kindOf(err); kind != nil && !errors.Is(err, kind) {
		err = &ofKind{error: err, kind: kind}
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%s: %w (%v)", doing, cause, err) //nolint:errorlint // what the driver calls it is to be read, not compared
	}
	return fmt.Errorf("%s: %w", doing, err)
}
