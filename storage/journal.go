package storage

// Slack hands out a pair of tokens once. Between its answer and our database's there are a network and a power cord, and after
// that a failover or yesterday's backup. So a pair goes to this machine's own disk first, sealed, and each owner's newest one
// stays there until the next takes its place. This file keeps it; docs/decisions/0002-journal.md has the protocol.

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	neturl "net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"switchboard/install/connection"
	"switchboard/storage/seal"
)

// ErrNoJournal: no folder was named to keep a journal in (UseJournal).
var ErrNoJournal = errors.New("no journal")

const (
	journalVersion = 1
	journalFile    = "journal.db"
	// journalOptions are for one connection per process: what is written is on the disk when the statement returns (FULL, with a
	// write-ahead log), and other processes on this machine are waited for, in milliseconds.
	journalOptions = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(1)&_txlock=immediate"
	journalTables  = `
CREATE TABLE IF NOT EXISTS entries (
	name          text    NOT NULL PRIMARY KEY, -- sorts by age; rows of this size lie closer in a table with rowids
	app_id        text    NOT NULL,
	enterprise_id text    NOT NULL,
	team_id       text    NOT NULL,
	user_id       text    NOT NULL,
	standing      integer NOT NULL, -- an install.Standing
	generation    integer NOT NULL, -- as in the box
	box           blob    NOT NULL  -- a sealed journaledPair
);
CREATE INDEX IF NOT EXISTS entries_holder ON entries (app_id, team_id, enterprise_id, user_id);
CREATE INDEX IF NOT EXISTS entries_waiting ON entries (name) WHERE standing = 0;
CREATE TABLE IF NOT EXISTS probe (id integer PRIMARY KEY, at integer NOT NULL);`
	entryColumns = "name, app_id, enterprise_id, team_id, user_id, standing, generation, box"

	// A draft is a file of the release before on its way to become an entry, which takes milliseconds. One this old is left from
	// a crash.
	draftSuffix = ".new"
	draftLife   = time.Minute
	// How long a journal that vanished and was made anew is reported: what it kept is gone, and somebody should see that.
	lossShown = 30 * time.Second
)

// entryName is "pair-", microseconds since 1970 so that names sort by age, a random part, ".json": once the name of a file.
var entryName = regexp.MustCompile(`^pair-[0-9]{20}-[a-z2-7]{16}\.json$`)

// journal is the database of one file in a folder. The zero value is none.
type journal struct {
	folder  string
	syncDir func(folder string) error // returns once the names in a folder are on the disk
	lock    fileLock                  // of who serves with it: see ClaimJournal

	mu   sync.Mutex
	pool *sql.DB
	file os.FileInfo // of the file that pool has open
	lost time.Time   // when it was last found gone
}

// journalEntry is an entry as it lies on the disk: a row, or a file of the release before. That one still runs beside this one
// in a rolling update, so the fields of the file stay as they are.
type journalEntry struct {
	name       string
	standing   connection.Standing
	generation int64

	Version      int    `json:"version"`
	AppID        string `json:"app_id"`
	EnterpriseID string `json:"enterprise_id"`
	TeamID       string `json:"team_id"`
	UserID       string `json:"user_id"`
	Box          []byte `json:"box"` // a sealed journaledPair
}

// journaledPair is what is in the box, also for other releases. Secrets are bytes, because install.Secret never encodes
// what it holds, and text in JSON would lose bytes that are none. Times are microseconds, as in the database.
type journaledPair struct {
	Spent      []byte            `json:"spent,omitempty"`
	Token      []byte            `json:"token,omitempty"`
	Refresh    []byte            `json:"refresh,omitempty"`
	Life       time.Duration     `json:"life_ns"`
	At         int64             `json:"at"`
	Scopes     []string          `json:"scopes"`
	Generation int64             `json:"generation,omitempty"`
	Grant      string            `json:"grant,omitempty"`
	GrantedAt  int64             `json:"granted_at,omitempty"`
	Consent    *journaledConsent `json:"consent,omitempty"`
}

// journaledConsent is a row of connections with its secrets open. Facts are encoded under their Go names, which are as
// fixed as the columns' names that come from them.
type journaledConsent struct {
	ID           string `json:"id"`
	AppID        string `json:"app_id"`
	EnterpriseID string `json:"enterprise_id"`
	TeamID       string `json:"team_id"`
	Facts        facts  `json:"facts"`
	Token        []byte `json:"token,omitempty"`
	RefreshToken []byte `json:"refresh_token,omitempty"`
	WebhookURL   []byte `json:"webhook_url,omitempty"`
}

// UseJournal keeps the journal in folder, which is made (0700) when there is none, and removes what crashes left half
// written. A folder that other people on this machine may write to, or that we may not, is refused. Call it before
// anything else uses db. Processes may share a folder, but not machines. Close closes it.
func (db *DB) UseJournal(folder string) error {
	const doing = "open journal"
	db.journal.folder = folder
	if db.journal.syncDir == nil {
		db.journal.syncDir = syncFolder
	}
	if err := db.journal.open(); err != nil {
		db.journal.folder = ""
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

// open makes what is missing and opens the file. The caller has the lock, or is the only one.
func (j *journal) open() error {
	path := filepath.Join(j.folder, journalFile)
	if err := os.MkdirAll(j.folder, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(j.folder)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("other people on this machine may write to %s (mode %04o): run chmod 700 %s", j.folder, mode, j.folder)
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

// use returns the open database. Where the folder or the file was taken away meanwhile it is made anew: SQLite would go on
// writing into a file that has no name. ErrNoJournal.
func (j *journal) use() (*sql.DB, error) {
	if j.folder == "" {
		return nil, ErrNoJournal
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
	if err := j.open(); err != nil {
		return nil, err
	}
	return j.pool, nil
}

// close lets go of the file. Whoever writes after all, opens it anew.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pool == nil {
		return nil
	}
	err := j.pool.Close()
	j.pool = nil
	return err
}

// JournalReady is install.Store's. It writes to the disk.
func (db *DB) JournalReady(ctx context.Context) error {
	pool, err := db.journal.use()
	if err == nil {
		_, err = pool.ExecContext(ctx, "INSERT OR REPLACE INTO probe (id, at) VALUES (1, ?)", time.Now().UnixMicro())
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	db.journal.mu.Lock()
	defer db.journal.mu.Unlock()
	if lost := db.journal.lost; time.Since(lost) < lossShown {
		// The same words for as long as it is shown: who logs it does so once.
		return fmt.Errorf("the journal in %s was taken away at %s; it was made anew, and what it kept is gone",
			db.journal.folder, lost.Format(time.TimeOnly))
	}
	return nil
}

func newEntryName() string {
	return newID(fmt.Sprintf("pair-%020d-", time.Now().UnixMicro())) + ".json"
}

// Journal is install.Store's. With an error nothing was changed. ErrNoJournal, ErrNoKey.
func (db *DB) Journal(p connection.Grant) (name string, err error) {
	const doing = "journal tokens"
	pool, err := db.journal.use()
	switch {
	case errors.Is(err, ErrNoJournal):
		return "", err
	case err != nil:
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	if err := checkKey(p.Key); err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	if !storable(p.UserID) {
		return "", fmt.Errorf("%s: the user's ID is not valid text", doing)
	}
	if name = p.Journaled; name == "" {
		name = newEntryName()
	}
	e, err := db.sealEntry(name, p)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}

	tx, err := pool.Begin()
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := e.write(tx); err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	if p.Standing == connection.Kept {
		if err := replaceKept(tx, p, name); err != nil {
			return "", fmt.Errorf("%s: %w", doing, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return name, nil
}

// replaceKept leaves of what is kept of p's owner the newest: p, which was just written, or one that was stored after it and came
// here before it. A renewal also shows which of several consents counts, so what was put aside goes with it.
func replaceKept(tx *sql.Tx, p connection.Grant, name string) error {
	last := connection.Kept
	if p.Spent != "" {
		last = connection.Aside
	}
	const holder = "app_id = ? AND team_id = ? AND enterprise_id = ? AND user_id = ?"
	_, err := tx.Exec("DELETE FROM entries WHERE "+holder+" AND standing BETWEEN ? AND ? AND generation <= ? AND name <> ?",
		p.AppID, p.TeamID, p.EnterpriseID, p.UserID, connection.Kept, last, p.Generation, name)
	if err != nil {
		return err
	}
	_, err = tx.Exec("DELETE FROM entries WHERE name = ? AND EXISTS (SELECT 1 FROM entries WHERE "+holder+" AND standing = ? AND generation > ?)",
		name, p.AppID, p.TeamID, p.EnterpriseID, p.UserID, connection.Kept, p.Generation)
	return err
}

func (e journalEntry) write(tx interface {
	Exec(query string, args ...any) (sql.Result, error)
}) error {
	_, err := tx.Exec("INSERT OR REPLACE INTO entries ("+entryColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		e.name, e.AppID, e.EnterpriseID, e.TeamID, e.UserID, e.standing, e.generation, e.Box)
	return err
}

// Journaled is install.Store's.
func (db *DB) Journaled() ([]connection.Grant, error) {
	found, err := db.entries("standing = 0 ORDER BY name")
	if err != nil {
		return nil, err
	}
	return db.openEntries(found), nil
}

// JournaledFor is install.Store's.
func (db *DB) JournaledFor(h connection.TokenOwner) ([]connection.Grant, error) {
	where, team := "app_id = ? AND team_id = ? AND user_id = ? ORDER BY name", h.TeamID
	if h.Org() {
		where, team = "app_id = ? AND team_id = '' AND enterprise_id = ? AND user_id = ? ORDER BY name", h.EnterpriseID
	}
	found, err := db.entries(where, h.AppID, team, h.UserID)
	if err != nil {
		return nil, err
	}
	var pairs []connection.Grant
	for _, p := range db.openEntries(found) {
		if p.TokenOwner == h || connection.SameOwner(p.TokenOwner, h) { // of the files all come along
			pairs = append(pairs, p)
		}
	}
	return pairs, nil
}

// JournaledUnder is install.Store's.
func (db *DB) JournaledUnder(k connection.Key) ([]connection.Grant, error) {
	where, team := "app_id = ? AND team_id = ? AND standing > 0 ORDER BY name", k.TeamID
	if k.Org() {
		where, team = "app_id = ? AND team_id = '' AND enterprise_id = ? AND standing > 0 ORDER BY name", k.EnterpriseID
	}
	found, err := db.rows(where, k.AppID, team)
	return db.openEntries(found), err
}

// Kept is install.Store's.
func (db *DB) Kept(after string, n int) ([]connection.Grant, error) {
	found, err := db.rows("standing > 0 AND name > ? ORDER BY name LIMIT ?", after, n)
	return db.openEntries(found), err
}

// entries returns those rows, and before them the files of the release before that could not be taken in, which wait.
func (db *DB) entries(where string, args ...any) ([]journalEntry, error) {
	left, err := db.takeIn()
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	found, err := db.rows(where, args...)
	return append(left, found...), err
}

func (db *DB) rows(where string, args ...any) (found []journalEntry, err error) {
	pool, err := db.journal.use()
	switch {
	case errors.Is(err, ErrNoJournal):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read journal: %w", err)
	}
	rows, err := pool.Query("SELECT "+entryColumns+" FROM entries WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		e := journalEntry{Version: journalVersion}
		if err := rows.Scan(&e.name, &e.AppID, &e.EnterpriseID, &e.TeamID, &e.UserID, &e.standing, &e.generation, &e.Box); err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		found = append(found, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return found, nil
}

// takeIn moves the files of the release before into the database. Those that do not open are left as they are, and returned.
func (db *DB) takeIn() (left []journalEntry, err error) {
	pool, err := db.journal.use()
	switch {
	case errors.Is(err, ErrNoJournal):
		return nil, nil
	case err != nil:
		return nil, err
	}
	files, err := os.ReadDir(db.journal.folder) // sorted
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if !file.Type().IsRegular() || !entryName.MatchString(file.Name()) {
			continue
		}
		path := filepath.Join(db.journal.folder, file.Name())
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner was done with it
		}
		var e journalEntry
		if err != nil || json.Unmarshal(content, &e) != nil {
			e = journalEntry{}
		}
		e.name = file.Name()
		if p := db.openEntry(e); p.Token == "" {
			left = append(left, e)
			continue
		}
		if err := e.write(pool); err != nil {
			return nil, err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return left, nil
}

// Unjournal is install.Store's.
func (db *DB) Unjournal(names ...string) error {
	const doing = "forget journaled tokens"
	pool, err := db.journal.use()
	switch {
	case errors.Is(err, ErrNoJournal):
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	tx, err := pool.Begin()
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, name := range names {
		if !entryName.MatchString(name) {
			return fmt.Errorf("%s: %q is not the name of an entry", doing, name)
		}
		if _, err := tx.Exec("DELETE FROM entries WHERE name = ?", name); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		if err := os.Remove(filepath.Join(db.journal.folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// syncFolder returns once the names in a folder are on the disk.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// entryPlace binds what is sealed to its owner, so that it cannot be passed off as another's.
func entryPlace(h connection.TokenOwner) seal.Place {
	return seal.Place{Column: "journal.pair/" + h.UserID, App: h.AppID, Enterprise: h.EnterpriseID, Team: h.TeamID}
}

// sealEntry is p as an entry.
func (db *DB) sealEntry(name string, p connection.Grant) (journalEntry, error) {
	kept := journaledPair{
		Spent: []byte(p.Spent), Token: []byte(p.Token), Refresh: []byte(p.Refresh), Life: p.Life, At: micros(p.At), Scopes: p.Scopes,
		Generation: p.Generation, Grant: p.GrantID, GrantedAt: micros(p.GrantedAt),
	}
	if c := p.Consent; c != nil {
		kept.Consent = &journaledConsent{
			ID: c.ID, AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID, Facts: factsOf(*c),
			Token: []byte(c.Token), RefreshToken: []byte(c.RefreshToken), WebhookURL: []byte(c.Webhook.URL),
		}
	}
	open, err := json.Marshal(kept)
	if err != nil { // cannot be: there is nothing in it that JSON lacks
		return journalEntry{}, err
	}
	box, err := db.keys.Seal(open, entryPlace(p.TokenOwner))
	return journalEntry{name: name, standing: p.Standing, generation: p.Generation, Version: journalVersion,
		AppID: p.AppID, EnterpriseID: p.EnterpriseID, TeamID: p.TeamID, UserID: p.UserID, Box: box}, err
}

func (e journalEntry) holder() connection.TokenOwner {
	return connection.TokenOwner{Key: connection.Key{AppID: e.AppID, EnterpriseID: e.EnterpriseID, TeamID: e.TeamID}, UserID: e.UserID}
}

// unsealEntry opens the box of an entry.
func (db *DB) unsealEntry(e journalEntry) (open []byte, readable bool) {
	open, err := db.keys.Open(e.Box, entryPlace(e.holder()))
	return open, err == nil
}

func (db *DB) openEntries(found []journalEntry) []connection.Grant {
	pairs := make([]connection.Grant, len(found))
	for i, e := range found {
		pairs[i] = db.openEntry(e)
	}
	return pairs
}

// openEntry turns an entry into a pair, with no more in it than its owner and its age when it cannot be opened.
func (db *DB) openEntry(e journalEntry) connection.Grant {
	p := connection.Grant{TokenOwner: e.holder(), Journaled: e.name, Standing: e.standing}
	if us, err := strconv.ParseInt(strings.TrimLeft(e.name[len("pair-"):len("pair-")+20], "0"), 10, 64); err == nil {
		p.At = moment(us)
	}
	open, readable := db.unsealEntry(e)
	var kept journaledPair
	if !readable || e.Version != journalVersion || json.Unmarshal(open, &kept) != nil {
		return p
	}
	p.Spent, p.Token, p.Refresh = connection.Secret(kept.Spent), connection.Secret(kept.Token), connection.Secret(kept.Refresh)
	p.Life, p.At, p.Scopes = kept.Life, moment(kept.At), kept.Scopes
	p.Generation, p.GrantID, p.GrantedAt = kept.Generation, kept.Grant, moment(kept.GrantedAt)
	if c := kept.Consent; c != nil {
		row := connectionRow{ID: c.ID, AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID, Facts: c.Facts}
		consent := row.connection()
		consent.Token, consent.RefreshToken, consent.Webhook.URL = connection.Secret(c.Token), connection.Secret(c.RefreshToken), connection.Secret(c.WebhookURL)
		p.Consent = &consent
	}
	return p
}
