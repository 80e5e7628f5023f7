package db

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"gorm.io/gorm"
)

// What the tests of a whole database reach for inside: storage.DB has these methods, too.

// Synchronous asks each of SQLite's connections that write how sure a commit is.
func (u *Upkeep) Synchronous(t *testing.T) map[string]int {
	found := map[string]int{}
	for name, g := range map[string]*gorm.DB{"writer": u.pool.Write, "writer of single statements": u.pool.Single} {
		var level int
		if err := g.WithContext(t.Context()).Raw("PRAGMA synchronous").Scan(&level).Error; err != nil {
			t.Fatal(err)
		}
		found[name] = level
	}
	return found
}

// RefuseWrites has SQLite refuse all writes, as a file system that was mounted read-only does, and FillDisk those that
// need more room than the file has. Again lets them work.
func (u *Upkeep) RefuseWrites(t *testing.T) (again func()) {
	return u.pragma(t, "query_only = 1", "query_only = 0")
}

func (u *Upkeep) FillDisk(t *testing.T) (again func()) {
	return u.pragma(t, "max_page_count = 1", "max_page_count = 1000000") // never below what the file has
}

func (u *Upkeep) pragma(t *testing.T, first, then string) (again func()) {
	set := func(to string) {
		if _, err := u.pool.handle().ExecContext(t.Context(), "PRAGMA "+to); err != nil {
			t.Fatal(err)
		}
	}
	set(first)
	return func() { set(then) }
}

// ForgetWrites has the next Ready ask the database.
func (u *Upkeep) ForgetWrites() {
	u.pool.seen.mu.Lock()
	defer u.pool.seen.mu.Unlock()
	u.pool.seen.wrote = time.Time{}
}

// LeaveReadOnly has the connections that can only read end, as they do in a moment.
func (u *Upkeep) LeaveReadOnly() { u.pool.server.demoted.Store(time.Now().UnixNano()) }

// EachSession runs a statement in so many sessions of PostgreSQL, and returns which they are.
func (u *Upkeep) EachSession(t *testing.T, n int, statement string) (sessions []int) {
	for range n {
		conn, err := u.pool.handle().Conn(t.Context())
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

// LockFile is what keeps other processes from this database.
func (u *Upkeep) LockFile() *os.File { return u.pool.lock.file }

// Queued waits until so many writes wait for their turn, and Transact is a write like others'.
func (u *Upkeep) Queued(t *testing.T, n int) { u.pool.gate.queued(t, n) }

func (u *Upkeep) Transact(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return u.pool.Transact(ctx, fn)
}
