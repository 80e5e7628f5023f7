package db

// A SQLite file is worked by one process: what an earlier one held is handed out again when the next one starts. Two of
// them would work the same events. A lock that the kernel keeps says who it is; it ends with the process, however that
// ends.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// ErrInUse says that another process works this SQLite file.
var ErrInUse = errors.New("another process works on this database: stop it first; SQLite belongs to one " +
	"(PostgreSQL is what several share)")

// errLocked says that somebody else has a lock.
var errLocked = errors.New("locked")

// FileLock is a lock on the file beside the database. The file stays when the lock is given back: who removed it would
// let in somebody who has it open already.
type FileLock struct {
	mu    sync.Mutex
	file  *os.File // nil: not locked
	alone bool
	users int // inboxes that share it
}

// lockPath is the name of the lock's file: one for each database, by whatever links it was found.
func lockPath(database string) string {
	if real, err := filepath.EvalSymlinks(database); err == nil {
		database = real
	}
	return database + ".lock"
}

// Exclusive is Upkeep.Exclusive.
func (db *Pool) Exclusive() error { return db.take(true) }

// Share keeps Exclusive from others while an inbox is open that is not the only one. Close of the inbox calls unshare.
func (db *Pool) Share() error { return db.take(false) }

func (db *Pool) take(alone bool) error {
	if db.Dialect != DialectSQLite {
		return nil
	}
	db.lock.mu.Lock()
	defer db.lock.mu.Unlock()
	err := db.lock.Take(db.path, alone)
	if err == nil && !alone {
		db.lock.users++
	}
	return err
}

func (db *Pool) Unshare() {
	if db.Dialect != DialectSQLite {
		return
	}
	db.lock.mu.Lock()
	defer db.lock.mu.Unlock()
	if db.lock.users--; db.lock.users == 0 && !db.lock.alone {
		_ = db.lock.Release()
	}
}

// Take locks, or makes a shared lock one for us alone. Callers hold mu.
func (l *FileLock) Take(database string, alone bool) error {
	if l.file != nil && (l.alone || !alone) {
		return nil
	}

	f := l.file
	if f == nil {
		var err error
		if f, err = os.OpenFile(lockPath(database), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return fmt.Errorf("lock database: %w", err)
		}
	}

	err := lockFile(f, alone)
	switch {
	case err == nil:
		l.file, l.alone = f, alone
		return nil
	case l.file == nil:
		_ = f.Close()
	default:
		_ = lockFile(f, false) // who fails to get more may have lost what it had
	}

	if errors.Is(err, errLocked) {
		return fmt.Errorf("%s: %w", database, ErrInUse)
	}
	return fmt.Errorf("lock database: %w", err)
}

// Release gives the lock back. Callers hold mu.
func (l *FileLock) Release() error {
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file, l.alone = nil, false
	// Closing alone leaves the lock to a child that this process is just about to start: until that has become another
	// program it has all our files.
	return errors.Join(unlockFile(f), f.Close())
}
