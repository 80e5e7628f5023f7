package journal

// Each replica keeps a journal of its own, so that there is more than one copy of what Slack handed out. Two that
// share a folder by mistake have one. A lock that the kernel keeps tells them. It refuses nobody by itself, because
// in a restart of a replica the old process and the new one overlap.

import (
	"errors"
	"path/filepath"

	"github.com/switchboard-go/switchboard/storage/internal/db"
)

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

// unclaim gives back what ClaimJournal took.
func (j *Journal) unclaim() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lock.Release()
}
