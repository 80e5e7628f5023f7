package journal

// Entries are sealed like rows, and sealed anew like them.

import "fmt"

// entriesAtOnce bounds the memory of a walk over all entries.
const entriesAtOnce = 500

// WalkBoxes calls visit for every entry on this machine: with its name, its box, and whether the keys at hand open it.
func (j *Journal) WalkBoxes(visit func(name string, box *[]byte, readable bool) error) error {
	return j.walk(func(e entry) error {
		_, readable := j.unsealEntry(e)
		return visit(e.name, &e.Box, readable)
	})
}

// Reseal seals anew what is not sealed with the first key, and counts what became of each entry. What no key opens is
// forgotten with erase.
func (j *Journal) Reseal(erase bool, count func(changed, readable bool, err error) error) error {
	return j.walk(func(e entry) error { return count(j.reseal(e, erase)) })
}

// walk calls visit for every entry on this machine, oldest first, in batches.
func (j *Journal) walk(visit func(entry) error) error {
	files, err := j.takeIn()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	for batch, after := files, ""; ; {
		for _, e := range batch {
			if err := visit(e); err != nil {
				return err
			}
		}
		if batch, err = j.rows("name > ? ORDER BY name LIMIT ?", after, entriesAtOnce); err != nil || len(batch) == 0 {
			return err
		}
		after = batch[len(batch)-1].name
	}
}

// reseal leaves what is in the box as it is: it may be another release's. An entry that was replaced or forgotten
// meanwhile is left alone.
func (j *Journal) reseal(e entry, erase bool) (changed, readable bool, err error) {
	open, readable := j.unsealEntry(e)
	switch {
	case !readable && erase:
		return false, false, j.Unjournal(e.name)
	case !readable || !j.keys.Stale(&e.Box):
		return false, readable, nil
	}

	box, err := j.keys.Seal(open, entryPlace(e.owner()))
	if err != nil {
		return false, true, err
	}

	pool, err := j.use()
	if err != nil {
		return false, true, err
	}
	update, err := pool.Exec("UPDATE entries SET box = ? WHERE name = ? AND box = ?", box, e.name, e.Box)
	if err != nil {
		return false, true, err
	}
	n, err := update.RowsAffected()
	return n > 0, true, err
}
