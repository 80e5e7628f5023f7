package inbox

// Events are sealed like connections, and walked and sealed anew like them.

import (
	"context"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// WalkBoxes calls visit for every event that is not done: with a name for reports, its box, and whether the keys at hand open it.
func (t *Table) WalkBoxes(ctx context.Context, visit func(name string, box *[]byte, readable bool) error) error {
	return t.walk(ctx, func(row *inboxRow) error {
		_, readable := t.openRow(row)
		return visit(row.name(), &row.Payload, readable)
	})
}

// Reseal seals anew what is not sealed with the first key, and counts what became of each event. What no key opens is given
// up with erase.
func (t *Table) Reseal(ctx context.Context, erase bool, count func(changed, readable bool, err error) error) error {
	return t.walk(ctx, func(row *inboxRow) error { return count(t.reseal(ctx, row, erase)) })
}

func (t *Table) walk(ctx context.Context, visit func(*inboxRow) error) error {
	return db.WalkRows(ctx, t.withPayloads().Where("state IN ?", []string{eventReady, eventHeld, eventWaiting, eventQueued, eventDead}).Order("id"), visit,
		func(rest *gorm.DB, last *inboxRow) *gorm.DB { return rest.Where("id > ?", last.ID) })
}

// reseal seals the payload of seen anew. One that no key opens is given up with erase.
func (t *Table) reseal(ctx context.Context, seen *inboxRow, erase bool) (changed, readable bool, err error) {
	place := eventPlace(seen.Key, seen.EventID)
	open, err := t.keys.Open(seen.Payload, place)
	if err != nil {
		if !erase {
			return false, false, nil
		}
		// Unless somebody worked it, or sealed it anew, in the meantime.
		_, err := t.pool.Change(ctx, "UPDATE inbox SET "+finished+" WHERE id = ? AND state <> 'done' AND "+t.payload()+" = ?",
			[]byte{}, columns.Micros(t.pool.Now()), "erased: no key opens it", seen.ID, seen.Payload)
		return false, false, err
	}

	if !t.keys.Stale(&seen.Payload) {
		return false, true, nil
	}
	box, err := t.keys.SealOn(t.pool.Now(), open, place)
	if err != nil {
		return false, true, err
	}
	err = t.pool.Exec(ctx, func(g *gorm.DB) error {
		changed, err = t.replacePayload(g, seen.ID, seen.Payload, box) // done in the meantime, it has none any longer
		return err
	})
	return changed, true, err
}
