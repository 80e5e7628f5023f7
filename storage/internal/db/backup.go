package db

// A copy of a SQLite file that somebody makes while it is written lacks what lies in its -wal file, or is torn. SQLite
// itself can write one that is whole; this file has it do so.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
)

// ErrBackupFile says that there is something already where a backup was to be written.
var ErrBackupFile = errors.New("there is such a file already, and a backup replaces none: name another one")

// Backup writes what is committed into a new file (0600), also while other processes work the database, and returns its
// size in bytes. The name appears when the whole content is on the disk. ErrBackupFile. SQLite alone can do this:
// PostgreSQL has its own means.
func (u *Upkeep) Backup(ctx context.Context, file string) (size int64, err error) {
	const doing = "back up database"
	if u.pool.Dialect != DialectSQLite {
		return 0, fmt.Errorf("%s: only SQLite is one file", doing)
	}
	if _, err := os.Lstat(file); err == nil {
		return 0, fmt.Errorf("%s: %s: %w", doing, file, ErrBackupFile)
	}

	folder, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	draft := filepath.Join(folder, "."+filepath.Base(file)+"."+columns.NewID("new_"))

	// SQLite would make it for everybody to read. It takes an empty file for a new one.
	f, err := os.OpenFile(draft, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	defer func() {
		_ = os.Remove(draft)
		_ = os.Remove(draft + "-journal") // of one that was interrupted
	}()

	_, err = u.pool.handle().ExecContext(ctx, "VACUUM INTO ?", draft)
	if err == nil {
		size, err = f.Seek(0, 2)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, Fault(ctx, doing, err)
	}

	// A link never replaces what is there.
	switch err := os.Link(draft, file); {
	case errors.Is(err, fs.ErrExist):
		return 0, fmt.Errorf("%s: %s: %w", doing, file, ErrBackupFile)
	case err != nil:
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	if err := SyncFolder(folder); err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return size, nil
}

// SyncFolder returns once the names in a folder are on the disk.
func SyncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
