package values

// Values are sealed like tokens, and move over to a new key like them.

import (
	"context"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// WalkBoxes calls visit for every value: with a name for reports, its box, and whether the keys at hand open it.
func (t *Table) WalkBoxes(ctx context.Context, visit func(name string, box *[]byte, readable bool) error) error {
	return t.walk(ctx, func(r *row) error {
		_, err := t.open(r)
		return visit(r.report(), &r.Value, err == nil)
	})
}

// Reseal seals anew what is not sealed with the first key, and counts what became of each value. What no key opens is
// deleted with erase.
func (t *Table) Reseal(ctx context.Context, erase bool, count func(changed, readable bool, err error) error) error {
	return t.walk(ctx, func(r *row) error { return count(t.reseal(ctx, r, erase)) })
}

func (t *Table) walk(ctx context.Context, visit func(*row) error) error {
	return db.WalkRows(ctx, t.pool.Read.Order("app_id, team_id, name"), visit,
		func(rest *gorm.DB, last *row) *gorm.DB {
			return rest.Where("(app_id, team_id, name) > (?, ?, ?)", last.AppID, last.TeamID, last.Name)
		})
}

// reseal seals a value anew, unless somebody wrote it in the meantime: with the first key, as all do.
func (t *Table) reseal(ctx context.Context, seen *row, erase bool) (changed, readable bool, err error) {
	const asSeen = " WHERE app_id = ? AND team_id = ? AND name = ? AND version = ? AND value = ?"
	kept, err := t.open(seen)
	if err != nil {
		if !erase {
			return false, false, nil
		}
		_, err := t.pool.Change(ctx, "DELETE FROM bot_values"+asSeen, seen.AppID, seen.TeamID, seen.Name, seen.Version,
			seen.Value)
		return false, false, err
	}

	if !t.keys.Stale(&seen.Value) {
		return false, true, nil
	}
	box, err := t.keys.SealOn(t.pool.Now(), kept.Data, seen.place())
	if err != nil {
		return false, true, err
	}
	n, err := t.pool.Change(ctx, "UPDATE bot_values SET value = ?"+asSeen, box, seen.AppID, seen.TeamID, seen.Name,
		seen.Version, seen.Value)
	return n == 1, true, err
}
