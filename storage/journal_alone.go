package storage

// Each replica keeps a journal of its own, so that there is more than one copy of what Slack handed out. Two that share
// a folder by mistake have one. A lock that the kernel keeps tells them; it refuses nobody, because in a restart the old
// process and the new one overlap.

import (
	"errors"
	"path/filepath"
)

// ErrJournalShared says that another process serves with its journal in the same folder.
var ErrJournalShared = errors.New("another process keeps its journal in this folder")

// ClaimJournal makes this process known, until Close, as the one that serves with this journal; ErrJournalShared while
// another one is. It doesn't wait, and nothing depends on it: both go on. Commands that run beside don't call it.
func (db *DB) ClaimJournal() error {
	j := &db.journal
	if j.folder == "" {
		return ErrNoJournal
	}
	j.lock.mu.Lock()
	defer j.lock.mu.Unlock()
	err := j.lock.take(filepath.Join(j.folder, journalFile), true)
	if errors.Is(err, ErrInUse) {
		return ErrJournalShared
	}
	return err
}

// unclaim gives back what ClaimJournal took.
func (j *journal) unclaim() error {
	j.lock.mu.Lock()
	defer j.lock.mu.Unlock()
	return j.lock.release()
}
