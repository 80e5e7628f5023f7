package journal

// How much lies in a journal, without opening any of it.

import (
	"errors"
	"fmt"
	"time"
)

// Sums are how many entries there are.
type Sums struct {
	Waiting int       // for the store
	Oldest  time.Time // when the first of these was written
	Kept    int       // of what the store has
}

// JournalSums counts the entries. ErrNone.
func (j *Journal) JournalSums() (s Sums, err error) {
	pool, err := j.use()
	if errors.Is(err, ErrNone) {
		return s, err
	}

	var all int
	var oldest string
	if err == nil {
		err = pool.QueryRow("SELECT (SELECT count(*) FROM entries), count(*), coalesce(min(name), '') FROM entries "+
			"WHERE standing = 0").Scan(&all, &s.Waiting, &oldest)
	}
	if err != nil {
		return s, fmt.Errorf("count journal: %w", err)
	}
	if s.Kept = all - s.Waiting; entryName.MatchString(oldest) {
		s.Oldest = entryTime(oldest)
	}
	return s, nil
}
