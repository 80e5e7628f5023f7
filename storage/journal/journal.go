package journal

// Slack hands out a pair of tokens once. Between its answer and our database's there are a network and a power cord,
// and after that a failover or yesterday's backup. So a pair goes to this machine's own disk first, sealed, and each
// owner's newest one stays there until the next takes its place. This file keeps it; docs/decisions/0002-journal.md
// has the protocol.
//
// Each replica keeps a journal of its own, so that there is more than one copy of what Slack handed out. Two that
// share a folder by mistake have one. A lock that the kernel keeps tells them. It refuses nobody by itself, because
// in a restart of a replica the old process and the new one overlap.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	neturl "net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// ErrNone: no folder was named to keep a journal in (UseJournal).
var ErrNone = errors.New("no journal")

const (
	journalVersion = 1
	journalFile    = "journal.db"
	// journalOptions are for one connection per process: what is written is on the disk when the statement returns
	// (FULL, with a write-ahead log), nothing that was erased stays in a page of it, other processes on this machine are
	// waited for, in milliseconds, and no connection makes a file in the place of one that was moved (rw).
	journalOptions = "?mode=rw&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=secure_delete(1)&_txlock=immediate"
	journalTables = `
CREATE TABLE IF NOT EXISTS entries (
	name          text    NOT NULL PRIMARY KEY, -- sorts by age; rows of this size lie closer in a table with rowids
	app_id        text    NOT NULL,
	enterprise_id text    NOT NULL,
	team_id       text    NOT NULL,
	user_id       text    NOT NULL,
	standing      integer NOT NULL, -- an install.Standing
	generation    integer NOT NULL, -- as in the box
	box           blob    NOT NULL  -- a sealed pair
);
CREATE INDEX IF NOT EXISTS entries_holder ON entries (app_id, team_id, enterprise_id, user_id);
CREATE INDEX IF NOT EXISTS entries_waiting ON entries (name) WHERE standing = 0;
CREATE TABLE IF NOT EXISTS probe (id integer PRIMARY KEY, at integer NOT NULL);`
	entryColumns = "name, app_id, enterprise_id, team_id, user_id, standing, generation, box"

	// A draft is a file of the release before on its way to become an entry, which takes milliseconds. One this old
	// is left from a crash.
	draftSuffix = ".new"
	draftLife   = time.Minute
	// How long a journal that vanished and was made anew is reported: what it kept is gone, and somebody should see that.
	lossShown = 30 * time.Second
)

// entryName is "pair-", microseconds since 1970 so that names sort by age, a random part, ".json": once the name of a
// file.
var entryName = regexp.MustCompile(`^pair-[0-9]{20}-[a-z2-7]{16}\.json$`)

// Journal is the database of one file in a folder, which UseJournal names. Until then there is none: ErrNone.
type Journal struct {
	keys    *seal.Keyring
	folder  string
	syncDir func(folder string) error // returns once the names in a folder are on the disk
	lock    db.FileLock               // of who serves with it: see ClaimJournal

	mu   sync.Mutex
	pool *sql.DB
	file os.FileInfo // of the file that pool has open
	lost time.Time   // when it was last found gone
}

// newJournal returns a journal whose entries are sealed with keys.
func New(keys *seal.Keyring) *Journal { return &Journal{keys: keys} }

// Empty reports whether there is nothing in it, of whatever kind.
func (j *Journal) Empty() (bool, error) {
	if j.folder == "" {
		return true, nil
	}
	found, err := j.entries("true LIMIT 1")
	return len(found) == 0, err
}

// UseJournal keeps the journal in folder, which is made (0700) when there is none, and removes what crashes left half
// written. A folder that other people on this machine may write to, or that we may not, is refused. Call it before
// anything else uses j. Processes may share a folder, but not machines. Close closes it.
func (j *Journal) UseJournal(folder string) error {
	const doing = "open journal"
	j.folder = folder
	if j.syncDir == nil {
		j.syncDir = db.SyncFolder
	}
	if err := j.openFile(); err != nil {
		j.folder = ""
		return fmt.Errorf("%s: %w", doing, err)
	}

	files, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	for _, file := range files {
		name, isDraft := strings.CutSuffix(file.Name(), draftSuffix)
		if !isDraft || !entryName.MatchString(name) {
			continue
		}
		if info, err := file.Info(); err == nil && time.Since(info.ModTime()) > draftLife {
			_ = os.Remove(filepath.Join(folder, file.Name())) // it does no harm where it is
		}
	}
	return nil
}

// openFile makes what is missing and opens the file. The caller has the lock, or is the only one.
func (j *Journal) openFile() error {
	path := filepath.Join(j.folder, journalFile)
	if err := os.MkdirAll(j.folder, 0o700); err != nil {
		return err
	}

	info, err := os.Stat(j.folder)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("other people on this machine may write to %s (mode %04o): run chmod 700 %s", j.folder, mode,
			j.folder)
	}

	// SQLite would make it for everybody to read.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	made, err := file.Stat()
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}

	pool, err := sql.Open("sqlite", "file:"+(&neturl.URL{Path: path}).EscapedPath()+journalOptions)
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(1)

	// The first pair would be a bad moment to find out that the disk is read-only.
	_, err = pool.Exec(journalTables)
	if err == nil {
		_, err = pool.Exec("INSERT OR REPLACE INTO probe (id, at) VALUES (1, ?)", time.Now().UnixMicro())
	}
	// So that a new file, and a new folder, outlive a power cut. A folder above that we may not read is not new.
	if err == nil {
		err = j.syncDir(j.folder)
		_ = j.syncDir(filepath.Dir(j.folder))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), pool.Close())
	}
	j.pool, j.file = pool, made
	return nil
}

// use returns the open database. Where the folder or the file was taken away meanwhile it is made anew: SQLite would
// go on writing into a file that has no name. ErrNone.
func (j *Journal) use() (*sql.DB, error) {
	if j.folder == "" {
		return nil, ErrNone
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pool != nil {
		info, err := os.Stat(filepath.Join(j.folder, journalFile))
		if err == nil && os.SameFile(info, j.file) {
			return j.pool, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		_ = j.pool.Close()
		j.pool, j.lost = nil, time.Now()
	}
	if err := j.openFile(); err != nil {
		return nil, err
	}
	return j.pool, nil
}

// Close lets go of the file, and of what ClaimJournal took. Whoever writes after all, opens it anew.
func (j *Journal) Close() (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pool != nil {
		err = j.pool.Close()
		j.pool = nil
	}
	return errors.Join(err, j.lock.Release())
}

// JournalReady is install.Store's. It writes to the disk.
func (j *Journal) JournalReady(ctx context.Context) error {
	pool, err := j.use()
	if err == nil {
		_, err = pool.ExecContext(ctx, "INSERT OR REPLACE INTO probe (id, at) VALUES (1, ?)", time.Now().UnixMicro())
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if lost := j.lost; time.Since(lost) < lossShown {
		// The same words for as long as it is shown: who logs it does so once.
		return fmt.Errorf("the journal in %s was taken away at %s; it was made anew, and what it kept is gone",
			j.folder, lost.Format(time.TimeOnly))
	}
	return nil
}

// ErrShared says that another process serves with its journal in the same folder.
var ErrShared = errors.New("another process keeps its journal in this folder")

// ClaimJournal makes this process known, until Close, as the one that serves with this journal; ErrShared while
// another one is. It doesn't wait, and nothing depends on it: both go on. Commands that run beside don't call it.
func (j *Journal) ClaimJournal() error {
	if j.folder == "" {
		return ErrNone
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.lock.Take(filepath.Join(j.folder, journalFile), true)
	if errors.Is(err, db.ErrInUse) {
		return ErrShared
	}
	return err
}
