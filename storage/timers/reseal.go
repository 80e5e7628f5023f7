package timers

// What a timer brings along is sealed like tokens, and moves over to a new key like them.

import (
	"context"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// WalkBoxes calls visit for every timer that brings something along: with a name for reports, its box, and whether the
// keys at hand open it.
func (t *Table) WalkBoxes(ctx context.Context, visit func(name string, box *[]byte, readable bool) error) error {
	return t.walk(ctx, func(r *row) error {
		_, err := t.keys.Open(r.Payload, r.place())
		return visit(r.report(), &r.Payload, err == nil)
	})
}

// Reseal seals anew what is not sealed with the first key, and counts what became of each timer. What no key opens is
// deleted with erase.
func (t *Table) Reseal(ctx context.Context, erase bool, count func(changed, readable bool, err error) error) error {
	return t.walk(ctx, func(r *row) error { return count(t.reseal(ctx, r, erase)) })
}

func (t *Table) walk(ctx context.Context, visit func(*row) error) error {
	return db.WalkRows(ctx, t.pool.Read.Where("length(payload) > 0").Order("id"), visit,
		func(rest *gorm.DB, last *row) *gorm.DB { return rest.Where("id > ?", last.ID) })
}

// reseal seals what a timer brings along anew, unless it was scheduled again in the meantime: with the first key, as
// all are.
func (t *Table) reseal(ctx context.Context, seen *row, erase bool) (changed, readable bool, err error) {
	data, err := t.keys.Open(seen.Payload, seen.place())
	if err != nil {
		if !erase {
			return false, false, nil
		}
		_, err := t.pool.Change(ctx, "DELETE FROM timers WHERE id = ? AND payload = ?", seen.ID, seen.Payload)
		return false, false, err
	}

	if !t.keys.Stale(&seen.Payload) {
		return false, true, nil
	}
	box, err := t.keys.SealOn(t.pool.Now(), data, seen.place())
	if err != nil {
		return false, true, err
	}
	n, err := t.pool.Change(ctx, "UPDATE timers SET payload = ? WHERE id = ? AND payload = ?", box, seen.ID, seen.Payload)
	return n == 1, true, err
}
