package storage

// Keys get old, and are shared with people who leave; so a new one is put first, and this file moves every secret over to
// it while the program runs.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/storage/seal"
)

// KeyUse is how much is sealed with one key.
type KeyUse struct {
	ID    string // 8 hexadecimal digits, derived from the key; no secret
	First bool   // it seals what is new
	Known bool   // we have it
	Rows  int    // rows, and entries of the journal, that hold a secret sealed with it
}

// KeyReport says which keys the database, and the journal on this machine, need.
type KeyReport struct {
	Keys       []KeyUse // those we have in their order, then the others that were met
	Rows       int      // connections that hold a secret
	UserTokens int      // people's tokens
	Journal    int      // entries of the journal
	Events     int      // events in the inbox that are not done
	// What no key of ours opens: a connection by its id, a person's token as "con_…/U…", an entry of the journal by its name, an
	// event as "inbox/Ev…".
	Unreadable []string
}

// rowsAtOnce bounds the memory of a walk over all rows.
const rowsAtOnce = 500

// walk calls visit for every connection that holds a secret, in the order of ids, without holding a lock between batches.
// The others, most of them removed, stay in the database: who looks for any secret would read them all first.
func (db *DB) walk(ctx context.Context, visit func(*connectionRow) error) error {
	sealed := db.read.Where("(length(token) > 0 OR length(refresh_token) > 0 OR length(webhook_url) > 0)")
	return walkRows(ctx, sealed.Order("id"), visit, func(rest *gorm.DB, last *connectionRow) *gorm.DB {
		return rest.Where("id > ?", last.ID)
	})
}

// walkUsers is walk for people's tokens.
func (db *DB) walkUsers(ctx context.Context, visit func(*userTokenRow) error) error {
	return walkRows(ctx, db.read.Order("connection_id, user_id"), visit, func(rest *gorm.DB, last *userTokenRow) *gorm.DB {
		return rest.Where("(connection_id, user_id) > (?, ?)", last.ConnectionID, last.UserID)
	})
}

func walkRows[T any](ctx context.Context, all *gorm.DB, visit func(*T) error, after func(rest *gorm.DB, last *T) *gorm.DB) error {
	all = all.WithContext(ctx)
	rest, n := all, 1 // who asks for any secret, as each visit to the landing page does, is done with the first
	for ; ; n = rowsAtOnce {
		var rows []T
		if err := rest.Limit(n).Find(&rows).Error; err != nil {
			return fault(ctx, "read sealed rows", err)
		}
		for i := range rows {
			if err := visit(&rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < n {
			return nil
		}
		rest = after(all, &rows[len(rows)-1])
	}
}

// What holds secrets.
const (
	sealedConnection = iota
	sealedUserToken
	sealedEntry
	sealedEvent
	sealedKinds
)

// walkSealed calls visit for everything that may hold secrets. readable is false when one of its boxes does not open.
func (db *DB) walkSealed(ctx context.Context, visit func(kind int, name string, boxes []*[]byte, readable bool) error) error {
	err := db.walk(ctx, func(row *connectionRow) error {
		_, readable := db.open(row)
		return visit(sealedConnection, row.name(), row.boxes(), readable)
	})
	if err != nil {
		return err
	}
	err = db.walkUsers(ctx, func(row *userTokenRow) error {
		_, readable := db.openUser(row)
		return visit(sealedUserToken, row.name(), row.boxes(), readable)
	})
	if err != nil {
		return err
	}
	err = db.walkJournal(func(e journalEntry) error {
		_, readable := db.unsealEntry(e)
		return visit(sealedEntry, e.name, []*[]byte{&e.Box}, readable)
	})
	if err != nil {
		return err
	}
	return db.walkEvents(ctx, func(row *inboxRow) error {
		_, err := db.keys.Open(row.Payload, eventPlace(row.key(), row.EventID))
		return visit(sealedEvent, row.name(), []*[]byte{&row.Payload}, err == nil)
	})
}

// CheckKeys opens every secret once and says with which keys. It changes nothing.
func (db *DB) CheckKeys(ctx context.Context) (KeyReport, error) {
	var (
		report KeyReport
		counts [sealedKinds]int
		place  = map[string]int{}
	)
	for i, id := range db.keys.IDs() {
		place[id] = len(report.Keys)
		report.Keys = append(report.Keys, KeyUse{ID: id, First: i == 0, Known: true})
	}

	err := db.walkSealed(ctx, func(kind int, name string, boxes []*[]byte, readable bool) error {
		met := map[string]bool{}
		for _, box := range boxes {
			if len(*box) > 0 {
				met[cmp.Or(seal.KeyID(*box), "damaged")] = true
			}
		}
		switch {
		case len(met) == 0 && readable:
			return nil
		case len(met) == 0: // a file in the journal that is no entry
			met["damaged"] = true
		}
		counts[kind]++
		for id := range met {
			i, known := place[id]
			if !known {
				i = len(report.Keys)
				place[id] = i
				report.Keys = append(report.Keys, KeyUse{ID: id})
			}
			report.Keys[i].Rows++
		}
		if !readable {
			report.Unreadable = append(report.Unreadable, name)
		}
		return nil
	})
	report.Rows, report.UserTokens, report.Journal, report.Events = counts[sealedConnection], counts[sealedUserToken], counts[sealedEntry], counts[sealedEvent]
	return report, err
}

// Reseal seals everything anew that is not sealed with the first key, one row or entry of this machine's journal at a time,
// while others read and write. Stopped half-way it goes on where it was. What no key opens is counted, and left as it is; with
// erase it is dropped: connections wait for somebody to reconnect, people's tokens, entries of the journal and events are gone. It
// returns how much it sealed. ErrNoKey.
func (db *DB) Reseal(ctx context.Context, erase bool) (resealed, unreadable int, err error) {
	if len(db.keys.IDs()) == 0 {
		return 0, 0, seal.ErrNoKey
	}
	count := func(changed, readable bool, err error) error {
		switch {
		case errors.Is(err, connection.ErrNotFound): // deleted meanwhile
		case err != nil:
			return fault(ctx, "seal anew", err)
		case !readable:
			unreadable++
		case changed:
			resealed++
		}
		return nil
	}
	err = db.walk(ctx, func(seen *connectionRow) error {
		if _, readable := db.open(seen); readable && !db.keys.Stale(seen.boxes()...) {
			return nil
		}
		return count(db.resealConnection(ctx, seen.key(), erase))
	})
	if err == nil {
		err = db.walkUsers(ctx, func(seen *userTokenRow) error {
			if _, readable := db.openUser(seen); readable && !db.keys.Stale(seen.boxes()...) {
				return nil
			}
			return count(db.resealUser(ctx, seen.holder(), erase))
		})
	}
	if err == nil {
		err = db.walkJournal(func(e journalEntry) error { return count(db.resealEntry(e, erase)) })
	}
	if err == nil {
		err = db.walkEvents(ctx, func(seen *inboxRow) error { return count(db.resealEvent(ctx, seen, erase)) })
	}
	return resealed, unreadable, err
}

// erased is the line for what an operator gave up.
func erased(reason string) connection.Change {
	return connection.Change{By: connection.Actor{Kind: connection.ByOperator}, What: connection.DidErase, Outcome: connection.OutcomeDone, Reason: reason}
}

func (db *DB) resealConnection(ctx context.Context, k connection.Key, erase bool) (changed, readable bool, err error) {
	err = db.transact(ctx, func(tx *gorm.DB) error {
		changed = false
		row, err := lockRow(tx, k) // somebody may have sealed it with the first key since
		if err != nil {
			return err
		}
		var c connection.Connection
		if c, readable = db.open(&row); !readable {
			if !erase {
				return nil
			}
			paused := c
			c.Erase(connection.ReconnectRequired, connection.ReasonUnreadable, db.Now())
			c.StateSince = db.Now()
			if paused.State == connection.Paused { // the operator's word outlives a key
				c.State, c.Reason, c.StateSince = paused.State, paused.Reason, paused.StateSince
			}
			row.Facts = factsOf(c)
			if err := db.writeHistory(tx, row.ID, []connection.Change{erased(connection.ReasonUnreadable)}); err != nil {
				return err
			}
		} else if !db.keys.Stale(row.boxes()...) {
			return nil
		}
		columns, err := db.seal(&row, nil, secretsOf(&c), true)
		if err != nil {
			return err
		}
		changed = true
		return writeRow(tx, &row, columns)
	})
	return changed, readable, err
}

func (db *DB) resealUser(ctx context.Context, h connection.TokenOwner, erase bool) (changed, readable bool, err error) {
	err = db.transact(ctx, func(tx *gorm.DB) error {
		changed = false
		parent, err := lockRow(tx, h.Key)
		if err != nil {
			return err
		}
		row, err := findUserRow(tx, parent.ID, h.UserID)
		if err != nil {
			return err
		}
		var u connection.UserToken
		if u, readable = db.openUser(&row); !readable {
			if !erase {
				return nil
			}
			if err := tx.Delete(&row).Error; err != nil {
				return err
			}
			return db.writeHistory(tx, parent.ID, []connection.Change{erased(h.UserID)})
		}
		if !db.keys.Stale(row.boxes()...) {
			return nil
		}
		columns, err := db.seal(&row, nil, userSecretsOf(&u), true)
		if err != nil {
			return err
		}
		changed = true
		return writeRow(tx, &row, columns)
	})
	return changed, readable, err
}

// walkJournal calls visit for every entry on this machine, oldest first, in batches.
func (db *DB) walkJournal(visit func(journalEntry) error) error {
	files, err := db.takeIn()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	for batch, after := files, ""; ; {
		for _, e := range batch {
			if err := visit(e); err != nil {
				return err
			}
		}
		if batch, err = db.rows("name > ? ORDER BY name LIMIT ?", after, rowsAtOnce); err != nil || len(batch) == 0 {
			return err
		}
		after = batch[len(batch)-1].name
	}
}

// resealEntry leaves what is in the box as it is: it may be another release's. An entry that was replaced or forgotten meanwhile
// is left alone.
func (db *DB) resealEntry(e journalEntry, erase bool) (changed, readable bool, err error) {
	open, readable := db.unsealEntry(e)
	switch {
	case !readable && erase:
		return false, false, db.Unjournal(e.name)
	case !readable || !db.keys.Stale(&e.Box):
		return false, readable, nil
	}
	box, err := db.keys.Seal(open, entryPlace(e.holder()))
	if err != nil {
		return false, true, err
	}
	pool, err := db.journal.use()
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

// ErrWrongKeys is install's: there are secrets, and the keys at hand open none of them.
var ErrWrongKeys = install.ErrWrongKeys

// errEnough ends a walk that has seen what it needs.
var errEnough = errors.New("enough")

// CheckAnyKey looks for one secret that the keys at hand can open. ErrWrongKeys when there are secrets and no such one. It
// reads on only as long as they can't be opened, so with the right keys it is done at once.
func (db *DB) CheckAnyKey(ctx context.Context) error {
	sealed := false
	err := db.walkSealed(ctx, func(_ int, _ string, boxes []*[]byte, readable bool) error {
		if !slices.ContainsFunc(boxes, func(box *[]byte) bool { return len(*box) > 0 }) {
			return nil
		}
		if sealed = true; readable {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err == nil && sealed:
		return ErrWrongKeys
	}
	return err
}
