package storage

// Slack hands out a pair of tokens once. Between its answer and our database's there are a network and a power cord, so a
// pair goes to this machine's own disk first, sealed; this file keeps it there.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"switchboard/install"
)

// ErrNoJournal: no folder was named to keep a journal in (UseJournal).
var ErrNoJournal = errors.New("no journal")

const (
	journalVersion = 1
	// A draft is a file on its way to become an entry, which takes milliseconds. One this old is left from a crash.
	draftSuffix = ".new"
	draftLife   = time.Minute
)

// entryName is "pair-", microseconds since 1970 so that names sort by age, a random part, ".json".
var entryName = regexp.MustCompile(`^pair-[0-9]{20}-[a-z2-7]{16}\.json$`)

// journalEntry is a file of the journal. Releases read each other's files: fields may be added, never renamed.
type journalEntry struct {
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
	Spent   []byte            `json:"spent,omitempty"`
	Token   []byte            `json:"token,omitempty"`
	Refresh []byte            `json:"refresh,omitempty"`
	Life    time.Duration     `json:"life_ns"`
	At      int64             `json:"at"`
	Scopes  []string          `json:"scopes"`
	Consent *journaledConsent `json:"consent,omitempty"`
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
// anything else uses db. Processes may share a folder, but not machines.
func (db *DB) UseJournal(folder string) error {
	const doing = "open journal"
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s: other people on this machine may write to %s (mode %04o): run chmod 700 %s", doing, folder, mode, folder)
	}
	// The first pair would be a bad moment to find out that the disk is read-only.
	probe := filepath.Join(folder, newEntryName()+draftSuffix)
	if err := writeDraft(probe, nil); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := os.Remove(probe); err != nil {
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
	_ = syncFolder(filepath.Dir(folder)) // so that a new folder outlives a power cut; one we may not read is not new
	db.journal = folder
	return nil
}

func newEntryName() string {
	return newID(fmt.Sprintf("pair-%020d-", time.Now().UnixMicro())) + ".json"
}

// Journal is install.Store's. With an error there is no entry. ErrNoJournal, ErrNoKey.
func (db *DB) Journal(p install.Pair) (name string, err error) {
	const doing = "journal tokens"
	if db.journal == "" {
		return "", ErrNoJournal
	}
	if err := checkKey(p.Key); err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	if !storable(p.UserID) {
		return "", fmt.Errorf("%s: the user's ID is not valid text", doing)
	}
	content, err := db.sealEntry(p)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	name = newEntryName()
	path := filepath.Join(db.journal, name)
	draft := path + draftSuffix
	err = writeDraft(draft, content)
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err == nil {
		err = syncFolder(db.journal)
	}
	if err != nil {
		// What the caller was told is not there must not turn up later.
		_, _ = os.Remove(draft), os.Remove(path)
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return name, nil
}

// Journaled is install.Store's.
func (db *DB) Journaled() ([]install.Pair, error) {
	var pairs []install.Pair
	err := db.walkJournal(func(name string, content []byte) error {
		p := db.openEntry(name, content)
		pairs = append(pairs, p)
		return nil
	})
	return pairs, err
}

// walkJournal calls visit for every entry on this machine, oldest first. One that vanishes meanwhile is left out, one that
// can't be read comes without content.
func (db *DB) walkJournal(visit func(name string, content []byte) error) error {
	if db.journal == "" {
		return nil
	}
	files, err := os.ReadDir(db.journal) // sorted
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	for _, file := range files {
		if !file.Type().IsRegular() || !entryName.MatchString(file.Name()) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(db.journal, file.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := visit(file.Name(), content); err != nil {
			return err
		}
	}
	return nil
}

// Unjournal is install.Store's.
func (db *DB) Unjournal(name string) error {
	const doing = "forget journaled tokens"
	switch {
	case db.journal == "":
		return ErrNoJournal
	case !entryName.MatchString(name):
		return fmt.Errorf("%s: %q is not the name of an entry", doing, name)
	}
	// Another process may be sealing the entry anew (replaceEntry), and must not bring it back. It makes a draft, then sees
	// that the entry is there, then renames the draft: taken away in this order, one of the three steps fails for it, or
	// the last removal here finds what it made.
	path := filepath.Join(db.journal, name)
	for _, file := range []string{path, path + draftSuffix, path} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	if err := syncFolder(db.journal); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// replaceEntry gives an entry new content. It reports false when the old one is not there any more, or another process is
// at it: the draft is the lock.
func (db *DB) replaceEntry(name string, old, content []byte) (bool, error) {
	path := filepath.Join(db.journal, name)
	draft := path + draftSuffix
	err := writeDraft(draft, content)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err == nil {
		var now []byte
		if now, err = os.ReadFile(path); err == nil && !bytes.Equal(now, old) {
			err = fs.ErrNotExist
		}
	}
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err == nil {
		return true, syncFolder(db.journal)
	}
	_ = os.Remove(draft)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // its owner was done with it
	}
	return false, err
}

// writeDraft writes a new file (0600) and returns once its content is on the disk. fs.ErrExist.
func writeDraft(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder returns once the names in a folder are on the disk.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// entryPlace binds what is sealed to its holder, so that it cannot be passed off as another's.
func entryPlace(h install.Holder) Place {
	return Place{Column: "journal.pair/" + h.UserID, App: h.AppID, Enterprise: h.EnterpriseID, Team: h.TeamID}
}

// sealEntry is p as a file.
func (db *DB) sealEntry(p install.Pair) ([]byte, error) {
	kept := journaledPair{
		Spent: []byte(p.Spent), Token: []byte(p.Token), Refresh: []byte(p.Refresh), Life: p.Life, At: micros(p.At), Scopes: p.Scopes,
	}
	if c := p.Consent; c != nil {
		kept.Consent = &journaledConsent{
			ID: c.ID, AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID, Facts: factsOf(*c),
			Token: []byte(c.Token), RefreshToken: []byte(c.RefreshToken), WebhookURL: []byte(c.Webhook.URL),
		}
	}
	open, err := json.Marshal(kept)
	if err != nil { // cannot be: there is nothing in it that JSON lacks
		return nil, err
	}
	box, err := db.keys.Seal(open, entryPlace(p.Holder))
	if err != nil {
		return nil, err
	}
	return json.Marshal(journalEntry{
		Version: journalVersion, AppID: p.AppID, EnterpriseID: p.EnterpriseID, TeamID: p.TeamID, UserID: p.UserID, Box: box,
	})
}

func (e journalEntry) holder() install.Holder {
	return install.Holder{Key: install.Key{AppID: e.AppID, EnterpriseID: e.EnterpriseID, TeamID: e.TeamID}, UserID: e.UserID}
}

// unsealEntry opens the box in a file. One that is no entry at all comes back without a holder and without a box.
func (db *DB) unsealEntry(content []byte) (entry journalEntry, open []byte, readable bool) {
	if json.Unmarshal(content, &entry) != nil {
		return journalEntry{}, nil, false
	}
	open, err := db.keys.Open(entry.Box, entryPlace(entry.holder()))
	return entry, open, err == nil
}

// openEntry turns a file into a pair, with no more in it than its holder and its age when it cannot be opened.
func (db *DB) openEntry(name string, content []byte) install.Pair {
	entry, open, readable := db.unsealEntry(content)
	p := install.Pair{Holder: entry.holder(), Journaled: name}
	if us, err := strconv.ParseInt(strings.TrimLeft(name[len("pair-"):len("pair-")+20], "0"), 10, 64); err == nil {
		p.At = moment(us)
	}
	var kept journaledPair
	if !readable || entry.Version != journalVersion || json.Unmarshal(open, &kept) != nil {
		return p
	}
	p.Spent, p.Token, p.Refresh = install.Secret(kept.Spent), install.Secret(kept.Token), install.Secret(kept.Refresh)
	p.Life, p.At, p.Scopes = kept.Life, moment(kept.At), kept.Scopes
	if c := kept.Consent; c != nil {
		row := connectionRow{ID: c.ID, AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID, Facts: c.Facts}
		consent := row.connection()
		consent.Token, consent.RefreshToken, consent.Webhook.URL = install.Secret(c.Token), install.Secret(c.RefreshToken), install.Secret(c.WebhookURL)
		p.Consent = &consent
	}
	return p
}
