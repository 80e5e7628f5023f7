package storage

// What the tests of the inbox reach for inside.

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"
)

// Sweep and LetAllGo do what Run does now and then.
func (in *Inbox) Sweep(ctx context.Context) error    { return in.sweep(ctx) }
func (in *Inbox) LetAllGo(ctx context.Context) error { return in.letAllGo(ctx) }

// Queued is how many events wait for the next shared commit; Committing reports that one is under way and none waits.
func (in *Inbox) Queued() int      { return len(in.adds) }
func (in *Inbox) Committing() bool { return in.bytes.Load() > 0 && len(in.adds) == 0 }

// Tidy does what Run does now and then. Step is the clock being set, and followed.
func (in *Inbox) Tidy(ctx context.Context) error { return in.tidy(ctx) }

func (in *Inbox) Step(by time.Duration) {
	in.clock.mu.Lock()
	defer in.clock.mu.Unlock()
	in.clock.follow(by)
	in.clock.ahead.Add(int64(by))
}

// Now is the inbox's time, and LookAtAll has the next claim look at everything.
func (in *Inbox) Now() time.Time { return in.now() }
func (in *Inbox) LookAtAll()     { in.lookAtAll() }

// Look compares the clock with this machine's.
func (in *Inbox) Look() { in.clock.look() }

// Synchronous asks each of SQLite's connections that write how sure a commit is.
func (db *DB) Synchronous(t *testing.T) map[string]int {
	found := map[string]int{}
	for name, g := range map[string]*gorm.DB{"writer": db.write, "writer of single statements": db.single} {
		var level int
		if err := g.WithContext(t.Context()).Raw("PRAGMA synchronous").Scan(&level).Error; err != nil {
			t.Fatal(err)
		}
		found[name] = level
	}
	return found
}

// LoseAnswers has what changes and returns rows committed, and its answer lost while lose is set, as when a connection
// breaks in that moment. It is called before anything else uses db.
func (db *DB) LoseAnswers(lose *atomic.Bool) error {
	if db.dialect == dialectSQLite {
		pool := losingPool{db.single.ConnPool.(*sql.DB), lose}
		db.single.ConnPool, db.single.Statement.ConnPool = pool, pool
	}
	return db.single.Callback().Row().After("gorm:row").Register("test:lost", func(tx *gorm.DB) {
		rows, returned := tx.Statement.Dest.(*sql.Rows)
		_, within := tx.Statement.ConnPool.(gorm.TxCommitter) // which has an answer of its own
		if !lose.Load() || !returned || tx.Error != nil || within || strings.HasPrefix(tx.Statement.SQL.String(), "SELECT") {
			return
		}
		for rows.Next() { // only then SQLite has committed
		}
		_ = tx.AddError(rows.Close())
		_ = tx.AddError(io.ErrUnexpectedEOF)
	})
}

// RefuseWrites has SQLite refuse all writes, as a file system that was mounted read-only does, and FillDisk those that need more
// room than the file has. Again lets them work.
func (db *DB) RefuseWrites(t *testing.T) (again func()) {
	return db.pragma(t, "query_only = 1", "query_only = 0")
}

func (db *DB) FillDisk(t *testing.T) (again func()) {
	return db.pragma(t, "max_page_count = 1", "max_page_count = 1000000") // never below what the file has
}

func (db *DB) pragma(t *testing.T, first, then string) (again func()) {
	set := func(to string) {
		if _, err := db.pool().ExecContext(t.Context(), "PRAGMA "+to); err != nil {
			t.Fatal(err)
		}
	}
	set(first)
	return func() { set(then) }
}

// ForgetWrites has the next Ready ask the database.
func (db *DB) ForgetWrites() {
	db.seen.mu.Lock()
	defer db.seen.mu.Unlock()
	db.seen.wrote = time.Time{}
}

// LeaveReadOnly has the connections that can only read end, as they do in a moment.
func (db *DB) LeaveReadOnly() { db.server.demoted.Store(time.Now().UnixNano()) }

// EachSession runs a statement in so many sessions of PostgreSQL, and returns which they are.
func (db *DB) EachSession(t *testing.T, n int, statement string) (sessions []int) {
	for range n {
		conn, err := db.pool().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		var session int
		_, err = conn.ExecContext(t.Context(), statement)
		if err := errors.Join(err, conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&session)); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, session)
	}
	return sessions
}

// losingPool loses the answers to commits.
type losingPool struct {
	*sql.DB
	lose *atomic.Bool
}

func (p losingPool) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, options)
	return &losingTx{tx, p.lose}, err
}

type losingTx struct {
	*sql.Tx
	lose *atomic.Bool
}

func (tx *losingTx) Commit() error {
	err := tx.Tx.Commit()
	if err == nil && tx.lose.Load() {
		return io.ErrUnexpectedEOF
	}
	return err
}

// LockFile is what keeps other processes from this database.
func (db *DB) LockFile() *os.File { return db.lock.file }
