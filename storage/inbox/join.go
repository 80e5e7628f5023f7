package inbox

// Events that come from a transaction of ours, and not from Slack: they are there if, and only if, the rest of it is.

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
)

// AddWith accepts events in the transaction tx. One that was accepted before changes nothing. Call Wake once tx is
// committed.
func (in *Inbox) AddWith(tx *gorm.DB, events []bot.Delivery) error {
	switch {
	case len(events) == 0:
		return nil
	case !storable(events):
		return errors.New("add event: an id or key is not valid text")
	}
	batch := make([]*adding, len(events))
	for i, e := range events {
		box, err := in.table.keys.SealOn(in.now(), e.Body, eventPlace(e.Key, e.ID))
		if err != nil {
			return fmt.Errorf("add event: %w", err)
		}
		batch[i] = &adding{event: e, box: box}
	}

	inOneOrder(batch)
	statement, args := in.insertion(batch, 0)
	rows := make(map[eventName]int64, len(batch))
	err := each(tx, statement, args, func(r *sql.Rows) error {
		var id int64
		var name eventName
		err := r.Scan(&id, &name.app, &name.id)
		rows[name] = id
		return err
	})
	if err != nil || !in.table.apart() {
		return err
	}
	return insertPayloads(tx, rows, batch)
}

// Unfinished returns those of an app's events that are neither done nor dead letters, by their ids.
func (t *Table) Unfinished(tx *gorm.DB, app string, ids []string) (unfinished []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = tx.Raw("SELECT event_id FROM inbox WHERE app_id = ? AND event_id IN ? AND state NOT IN ('done', 'dead')", app,
		ids).Scan(&unfinished).Error
	return unfinished, err
}

// Forget deletes those of an app's events that are done, by their ids: nobody sends them again.
func (t *Table) Forget(tx *gorm.DB, app string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return tx.Exec("DELETE FROM inbox WHERE app_id = ? AND event_id IN ? AND state = 'done'", app, ids).Error
}

// storable reports whether the database takes the names of all events.
func storable(events []bot.Delivery) bool {
	return !slices.ContainsFunc(events, func(e bot.Delivery) bool {
		return e.ID == "" || !columns.Storable(e.ID) || !columns.StorableKey(e.Key)
	})
}
