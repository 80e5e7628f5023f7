package db

// SQLite allows one writer at a time and its pure Go driver is not the one GORM's dialect was written for; this file is
// where both facts are dealt with.

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	moderncsqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// sqliteReaders is enough for two cores; each connection has a page cache of its own (2 MB).
	sqliteReaders = 4
	// sqliteWait is how long SQLite itself waits for another process. It does not notice meanwhile that the caller left,
	// so it is short, and the rest of the waiting is done where that is noticed (again).
	sqliteWait = 100 * time.Millisecond
	// sqliteOptions: pragmas belong to a connection, so they go into the address and not into a statement after opening.
	// FULL, because "saved" must survive a power cut; NORMAL may lose the last commits. No connection makes a file: one
	// that is opened after the file was moved would make an empty one in its place (rw).
	sqliteOptions = "?mode=rw&_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)"
	// Readers map this much of the file (bytes; SQLite takes a little less) and read the rest as ever: copying each page
	// made a look-up among a million connections 1.2 times as long as among a thousand; it is 1.14 so. What it costs: the
	// operating system counts the mapped pages as the process's memory, once for each reader, though they are its file
	// cache and given up when memory is short; and a disk that fails, or a file that another program cuts short, ends the
	// process instead of a query. SQLite itself never shortens what a reader still looks at.
	sqliteMapped = 2 << 30
)

// openSQLite opens the file at path twice: one connection that writes, and a few that can only read and never wait for
// it.
func (db *Pool) openSQLite(ctx context.Context, path string) error {
	path, err := sqlitePath(path)
	if err != nil {
		return err
	}
	db.path = path
	if strayWAL(path) {
		return fmt.Errorf("%s: %w", path, ErrStrayWAL)
	}
	bare := withoutWAL(ctx, path)
	isNew, err := db.makeFile()
	if err != nil {
		return err
	}
	writer, reader, err := openHandles(path, db.file.Size() == 0)
	if err != nil {
		return err
	}

	err = db.useHandles(ctx, writer, reader)
	if err == nil && bare {
		var content bool
		if content, err = hasContent(ctx, reader); err != nil || !content {
			err = fmt.Errorf("%s: %w", path, cmp.Or(err, ErrIncomplete))
		}
	}
	if err == nil {
		return nil
	}
	if isNew {
		_ = markEmpty(writer) // whoever stops us here must be able to start again
	}
	return errors.Join(err, reader.Close(), writer.Close())
}

// sqlitePath is the path in an address, which is what follows "sqlite:".
func sqlitePath(path string) (string, error) {
	if strings.HasPrefix(path, "///") {
		path = path[2:]
	}
	switch {
	case path == "":
		return "", errors.New("sqlite: needs a file after the colon, for example sqlite:data/switchboard.db")
	case path == ":memory:":
		return "", errors.New("sqlite::memory: is not possible, because reading and writing have a " +
			"connection each: name a file")
	case strings.HasPrefix(path, "//"):
		return "", errors.New("sqlite: takes a path without //, for example sqlite:data/switchboard.db")
	case strings.ContainsAny(path, "?#"):
		return "", errors.New("sqlite: takes a path and no options; ? and # cannot be in it")
	}
	return path, nil
}

// makeFile makes the file where there is none. SQLite would create it readable by everyone. The files beside it (-wal,
// -shm) take over its mode. isNew: there is nothing in it.
func (db *Pool) makeFile() (isNew bool, err error) {
	info, err := os.Stat(db.path)
	isNew = errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
	f, err := os.OpenFile(db.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, err
	}
	db.file, err = f.Stat()
	return isNew, errors.Join(err, f.Close())
}

// openHandles opens the file for one who writes and for those who read. Every transaction of the writer takes the write
// lock when it begins (immediate); a lock taken later fails at once when another process has it, whatever the busy
// timeout says.
func openHandles(path string, isEmpty bool) (writer, reader *sql.DB, err error) {
	dsn := "file:" + (&neturl.URL{Path: path}).EscapedPath() + fmt.Sprintf(sqliteOptions, sqliteWait.Milliseconds())
	writes := dsn + "&_txlock=immediate"
	if isEmpty { // before anything else: a file is laid out once
		writes = strings.Replace(writes, "&_pragma=journal_mode", "&_pragma=auto_vacuum(incremental)&_pragma=journal_mode", 1)
	}
	if writer, err = sql.Open("sqlite", writes); err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(1)

	reader, err = sql.Open("sqlite", dsn+fmt.Sprintf("&_query_only=1&_pragma=mmap_size(%d)", int64(sqliteMapped)))
	if err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(sqliteReaders)
	reader.SetMaxIdleConns(sqliteReaders)
	return writer, reader, nil
}

// useHandles connects both and puts GORM above them. The writer goes first: it is the one that may turn a new file into
// a WAL database, which fails at once when another process is doing it.
func (db *Pool) useHandles(ctx context.Context, writer, reader *sql.DB) error {
	for _, handle := range []*sql.DB{writer, reader} {
		for try := 1; ; try++ {
			err := handle.PingContext(ctx)
			if err == nil {
				break
			}
			if !again(ctx, err, try) {
				return fmt.Errorf("%s: %w", db.path, err)
			}
		}
	}

	db.Dialect, db.gate = DialectSQLite, &gate{}
	for _, use := range []struct {
		as      **gorm.DB
		handle  *sql.DB
		prepare bool
	}{
		{as: &db.Write, handle: writer, prepare: true},
		{as: &db.Single, handle: writer},
		{as: &db.Read, handle: reader, prepare: true},
	} {
		g, err := openGORM(sqliteDialector{sqlite.New(sqlite.Config{Conn: use.handle})}, use.prepare)
		if err != nil {
			return err
		}
		*use.as = g
	}
	return nil
}

// ErrFileGone says that a SQLite file was deleted, moved or replaced while it was open. It is an ErrNotWritable.
var ErrFileGone error = &ofKind{kind: ErrNotWritable,
	error: errors.New("the database's file was deleted, moved or replaced while it was open: put it back, or start again")}

// fileThere is ErrFileGone where what is written would go into a file without a name, and be lost with this process. It
// costs a look at the folder, some microseconds. Who asks gets it right away, and until the file is back: nothing of it
// is remembered.
func (db *Pool) fileThere() error {
	if db.file == nil {
		return nil // PostgreSQL
	}
	info, err := os.Stat(db.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, db.file) {
		return ErrFileGone
	}
	return nil
}

// ErrIncomplete says that a file holds no tables, and is not a new one either.
var ErrIncomplete = errors.New("this file was a database in use, and what was in it is missing: what is written last " +
	"lies in the -wal file beside it. Copy a database only when the program is stopped, or with: sqlite3 FILE \"VACUUM " +
	"INTO 'COPY'\". If nothing was ever in it, remove the file, and a new one is made")

// ErrStrayWAL says that a -wal file holds data and the database that it belongs to isn't next to it.
var ErrStrayWAL = errors.New("this database is missing or empty, and the -wal file next to it holds data: it belongs to " +
	"another file. Put that one back, from a backup without this -wal file or from where it was with it. If neither is " +
	"needed any longer, move the -wal file away")

// walHeader is how long a -wal file is that holds nothing (bytes): https://www.sqlite.org/fileformat2.html#walformat
const walHeader = 32

// strayWAL reports whether SQLite would delete a -wal file that holds data: it does where the file that it belongs to is
// empty. No database is empty while it has one: SQLite writes the first page before.
func strayWAL(path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // as SQLite names the files beside it
	}
	// In this order: a database that another process makes at this moment has its first page before its -wal file.
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() <= walHeader {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Size() == 0 || errors.Is(err, fs.ErrNotExist)
}

const (
	// closedEmpty is the user_version of a database that was closed before it had tables. Before that, the file of a new
	// database looks like a copy of the file alone of one in use.
	closedEmpty = 1
	// A file without tables is one page; this is the largest that SQLite has (bytes).
	onePage = 64 << 10
)

// withoutWAL reports whether the file at path holds at most a page, and lies there without the -wal file that it has in
// use. Another process that is making both right now gets the time for it.
func withoutWAL(ctx context.Context, path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // as SQLite names the files beside it
	}
	for try := 1; ; try++ {
		info, err := os.Stat(path)
		if err != nil || info.Size() == 0 || info.Size() > onePage {
			return false
		}
		if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if try == MaxTries || !pause(ctx, try) {
			return true
		}
	}
}

// hasContent reports whether there are tables, or whether it is known that there never were any.
func hasContent(ctx context.Context, pool *sql.DB) (bool, error) {
	var tables, version int
	err := errors.Join(pool.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables),
		pool.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version))
	return tables > 0 || version == closedEmpty, err
}

// markEmpty writes down, before the end, that there is nothing to be missed.
func markEmpty(writer *sql.DB) error {
	ctx := context.Background()
	if content, err := hasContent(ctx, writer); err != nil || content {
		return err
	}
	_, err := writer.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", closedEmpty))
	return err
}

// sqliteDialector is GORM's own dialect, except that it understands the errors of the driver we use.
type sqliteDialector struct{ gorm.Dialector }

// Translate makes a duplicate, and a row without the one that it hangs on, the errors GORM has for them on every
// database.
func (d sqliteDialector) Translate(err error) error {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return gorm.ErrDuplicatedKey
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return gorm.ErrForeignKeyViolated
	}
	return err
}

// busy reports whether SQLite gave up waiting for another process.
func busy(err error) bool {
	code := sqliteCode(err) & 0xff // the low byte is the primary code
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

// sqliteCode is SQLite's extended result code, 0 when err is not SQLite's.
func sqliteCode(err error) int {
	var e *moderncsqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code()
}
