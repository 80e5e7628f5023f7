package journal

// What an entry of the journal is, on the disk and in its box.

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// entry is an entry as it lies on the disk: a row, or a file of the release before. That one still runs beside this one
// in a rolling update, so the fields of the file stay as they are.
type entry struct {
	name       string
	standing   connection.Standing
	generation int64

	Version      int    `json:"version"`
	AppID        string `json:"app_id"`
	EnterpriseID string `json:"enterprise_id"`
	TeamID       string `json:"team_id"`
	UserID       string `json:"user_id"`
	Box          []byte `json:"box"` // a sealed pair
}

// pair is what is in the box, also for other releases. Secrets are bytes, because connection.Secret never encodes
// what it holds, and text in JSON would lose bytes that are none. Times are microseconds, as in the database.
type pair struct {
	Spent      []byte        `json:"spent,omitempty"`
	Token      []byte        `json:"token,omitempty"`
	Refresh    []byte        `json:"refresh,omitempty"`
	Life       time.Duration `json:"life_ns"`
	At         int64         `json:"at"`
	Scopes     []string      `json:"scopes"`
	Generation int64         `json:"generation,omitempty"`
	Grant      string        `json:"grant,omitempty"`
	GrantedAt  int64         `json:"granted_at,omitempty"`
	Consent    *consentRow   `json:"consent,omitempty"`
}

// consentRow is a row of connections with its secrets open. Facts are encoded under their Go names, which are as
// fixed as the columns' names that come from them.
type consentRow struct {
	ID           string        `json:"id"`
	AppID        string        `json:"app_id"`
	EnterpriseID string        `json:"enterprise_id"`
	TeamID       string        `json:"team_id"`
	Facts        columns.Facts `json:"facts"`
	Token        []byte        `json:"token,omitempty"`
	RefreshToken []byte        `json:"refresh_token,omitempty"`
	WebhookURL   []byte        `json:"webhook_url,omitempty"`
}

func newEntryName() string {
	return columns.NewID(fmt.Sprintf("pair-%020d-", time.Now().UnixMicro())) + ".json"
}

// entryTime is when an entry of this name was made; the zero time where the name doesn't say.
func entryTime(name string) time.Time {
	us, err := strconv.ParseInt(strings.TrimLeft(name[len("pair-"):len("pair-")+20], "0"), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return columns.Moment(us)
}

// Journal is install.Store's. With an error nothing was changed. ErrNone, ErrNoKey.
func (j *Journal) Journal(p connection.Grant) (name string, err error) {
	err = j.transact("journal tokens", func(tx *sql.Tx) error {
		if err := columns.CheckKey(p.Key); err != nil {
			return err
		}
		if !columns.Storable(p.UserID) {
			return errors.New("the user's ID is not valid text")
		}

		name = cmp.Or(p.Journaled, newEntryName())
		e, err := j.sealEntry(name, p)
		if err != nil {
			return err
		}
		if err := e.write(tx); err != nil || p.Standing != connection.Kept {
			return err
		}
		return replaceKept(tx, p, name)
	})
	if err != nil {
		return "", err
	}
	return name, nil
}

// transact runs fn in a transaction, whose end it waits for. ErrNone.
func (j *Journal) transact(doing string, fn func(tx *sql.Tx) error) error {
	pool, err := j.use()
	if errors.Is(err, ErrNone) {
		return err
	}

	var tx *sql.Tx
	if err == nil {
		tx, err = pool.Begin()
	}
	if err == nil {
		defer func() { _ = tx.Rollback() }()
		err = fn(tx)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// replaceKept leaves of what is kept of p's owner the newest: p, which was just written, or one that was stored after
// it and came here before it. A renewal also shows which of several consents counts, so what was put aside goes with
// it.
func replaceKept(tx *sql.Tx, p connection.Grant, name string) error {
	last := connection.Kept
	if _, isRenewal := p.Origin.(connection.Renewal); isRenewal {
		last = connection.Aside
	}
	const owner = "app_id = ? AND team_id = ? AND enterprise_id = ? AND user_id = ?"
	_, err := tx.Exec("DELETE FROM entries WHERE "+owner+" AND standing BETWEEN ? AND ? AND generation <= ? AND name <> ?",
		p.AppID, p.TeamID, p.EnterpriseID, p.UserID, connection.Kept, last, p.Generation, name)
	if err != nil {
		return err
	}
	_, err = tx.Exec("DELETE FROM entries WHERE name = ? AND EXISTS (SELECT 1 FROM entries WHERE "+owner+
		" AND standing = ? AND generation > ?)",
		name, p.AppID, p.TeamID, p.EnterpriseID, p.UserID, connection.Kept, p.Generation)
	return err
}

func (e entry) write(tx interface {
	Exec(query string, args ...any) (sql.Result, error)
}) error {
	_, err := tx.Exec("INSERT OR REPLACE INTO entries ("+entryColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		e.name, e.AppID, e.EnterpriseID, e.TeamID, e.UserID, e.standing, e.generation, e.Box)
	return err
}

// Journaled is install.Store's.
func (j *Journal) Journaled() ([]connection.Grant, error) {
	found, err := j.entries("standing = 0 ORDER BY name")
	return j.openEntries(found), err
}

// JournaledFor is install.Store's.
func (j *Journal) JournaledFor(h connection.TokenOwner) ([]connection.Grant, error) {
	where, team := "app_id = ? AND team_id = ? AND user_id = ? ORDER BY name", h.TeamID
	if h.Org() {
		where, team = "app_id = ? AND team_id = '' AND enterprise_id = ? AND user_id = ? ORDER BY name", h.EnterpriseID
	}
	found, err := j.entries(where, h.AppID, team, h.UserID)
	return slices.DeleteFunc(j.openEntries(found), func(p connection.Grant) bool {
		return p.TokenOwner != h && !connection.SameOwner(p.TokenOwner, h) // of the files all come along
	}), err
}

// JournaledUnder is install.Store's.
func (j *Journal) JournaledUnder(k connection.Key) ([]connection.Grant, error) {
	where, team := "app_id = ? AND team_id = ? AND standing > 0 ORDER BY name", k.TeamID
	if k.Org() {
		where, team = "app_id = ? AND team_id = '' AND enterprise_id = ? AND standing > 0 ORDER BY name", k.EnterpriseID
	}
	found, err := j.rows(where, k.AppID, team)
	return j.openEntries(found), err
}

// Kept is install.Store's.
func (j *Journal) Kept(after string, n int) ([]connection.Grant, error) {
	found, err := j.rows("standing > 0 AND name > ? ORDER BY name LIMIT ?", after, n)
	return j.openEntries(found), err
}

// entries returns those rows, and before them the files of the release before that could not be taken in, which wait.
func (j *Journal) entries(where string, args ...any) ([]entry, error) {
	left, err := j.takeIn()
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	found, err := j.rows(where, args...)
	return append(left, found...), err
}

func (j *Journal) rows(where string, args ...any) (found []entry, err error) {
	pool, err := j.use()
	switch {
	case errors.Is(err, ErrNone):
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
		e := entry{Version: journalVersion}
		if err := rows.Scan(&e.name, &e.AppID, &e.EnterpriseID, &e.TeamID, &e.UserID, &e.standing, &e.generation,
			&e.Box); err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		found = append(found, e)
	}

	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return found, nil
}

// takeIn moves the files of the release before into the database. Those that do not open are left as they are, and
// returned.
func (j *Journal) takeIn() (left []entry, err error) {
	pool, err := j.use()
	switch {
	case errors.Is(err, ErrNone):
		return nil, nil
	case err != nil:
		return nil, err
	}

	files, err := os.ReadDir(j.folder) // sorted
	if err != nil {
		return nil, err
	}

	for _, file := range files {
		if !file.Type().IsRegular() || !entryName.MatchString(file.Name()) {
			continue
		}

		path := filepath.Join(j.folder, file.Name())
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner was done with it
		}
		var e entry
		if err != nil || json.Unmarshal(content, &e) != nil {
			e = entry{}
		}
		e.name = file.Name()
		if !j.openEntry(e).Opened() {
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
func (j *Journal) Unjournal(names ...string) error {
	return j.transact("forget journaled tokens", func(tx *sql.Tx) error {
		for _, name := range names {
			if !entryName.MatchString(name) {
				return fmt.Errorf("%q is not the name of an entry", name)
			}
			if _, err := tx.Exec("DELETE FROM entries WHERE name = ?", name); err != nil {
				return err
			}
			if err := os.Remove(filepath.Join(j.folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// entryPlace binds what is sealed to its owner, so that it cannot be passed off as another's.
func entryPlace(h connection.TokenOwner) seal.Place {
	return seal.Place{Column: "journal.pair/" + h.UserID, App: h.AppID, Enterprise: h.EnterpriseID, Team: h.TeamID}
}

// sealEntry is p as an entry.
func (j *Journal) sealEntry(name string, p connection.Grant) (entry, error) {
	kept := pair{
		Spent: []byte(p.Spent()), Token: []byte(p.Token), Refresh: []byte(p.Refresh),
		Life: p.Life, At: columns.Micros(p.At), Scopes: p.Scopes,
		Generation: p.Generation, Grant: p.GrantID, GrantedAt: columns.Micros(p.GrantedAt),
	}
	if c := p.Connection; c != nil {
		kept.Consent = &consentRow{
			ID: c.ID, AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID, Facts: columns.FactsOf(*c),
			Token: []byte(c.Token), RefreshToken: []byte(c.RefreshToken), WebhookURL: []byte(c.Webhook.URL),
		}
	}
	open, err := json.Marshal(kept)
	if err != nil { // cannot be: there is nothing in it that JSON lacks
		return entry{}, err
	}
	box, err := j.keys.Seal(open, entryPlace(p.TokenOwner))
	return entry{name: name, standing: p.Standing, generation: p.Generation, Version: journalVersion,
		AppID: p.AppID, EnterpriseID: p.EnterpriseID, TeamID: p.TeamID, UserID: p.UserID, Box: box}, err
}

func (e entry) owner() connection.TokenOwner {
	return connection.TokenOwner{Key: connection.Key{AppID: e.AppID, EnterpriseID: e.EnterpriseID, TeamID: e.TeamID},
		UserID: e.UserID}
}

// unsealEntry opens the box of an entry.
func (j *Journal) unsealEntry(e entry) (open []byte, readable bool) {
	open, err := j.keys.Open(e.Box, entryPlace(e.owner()))
	return open, err == nil
}

func (j *Journal) openEntries(found []entry) []connection.Grant {
	pairs := make([]connection.Grant, len(found))
	for i, e := range found {
		pairs[i] = j.openEntry(e)
	}
	return pairs
}

// openEntry turns an entry into a pair, with no more in it than its owner and its age when it cannot be opened.
func (j *Journal) openEntry(e entry) connection.Grant {
	p := connection.Grant{TokenOwner: e.owner(), Origin: connection.Unopened{}, Journaled: e.name, Standing: e.standing}
	p.At = entryTime(e.name)
	open, readable := j.unsealEntry(e)
	var kept pair
	if !readable || e.Version != journalVersion || json.Unmarshal(open, &kept) != nil || len(kept.Token) == 0 {
		return p
	}

	p.Origin = connection.Consent{}
	if len(kept.Spent) > 0 {
		p.Origin = connection.Renewal{Spent: connection.Secret(kept.Spent)}
	}
	p.Token, p.Refresh = connection.Secret(kept.Token), connection.Secret(kept.Refresh)
	p.Life, p.At, p.Scopes = kept.Life, columns.Moment(kept.At), kept.Scopes
	p.Generation, p.GrantID, p.GrantedAt = kept.Generation, kept.Grant, columns.Moment(kept.GrantedAt)
	if kept.Consent != nil {
		p.Connection = kept.Consent.connection()
	}
	return p
}

// connection is the connection of a row.
func (r *consentRow) connection() *connection.Connection {
	c := r.Facts.Connection(connection.Key{AppID: r.AppID, EnterpriseID: r.EnterpriseID, TeamID: r.TeamID}, r.ID)
	c.Token, c.RefreshToken, c.Webhook.URL = connection.Secret(r.Token), connection.Secret(r.RefreshToken),
		connection.Secret(r.WebhookURL)
	return &c
}
