package storage

// Keys get old, and are shared with people who leave; so a new one is put first, and this file moves every secret over to
// it while the program runs.

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"time"

	"gorm.io/gorm"

	"switchboard/install"
)

// KeyUse is how much is sealed with one key.
type KeyUse struct {
	ID    string // 8 hexadecimal digits, derived from the key; no secret
	First bool   // it seals what is new
	Known bool   // we have it
	Rows  int    // rows that hold a secret sealed with it
}

// KeyReport says which keys the database needs.
type KeyReport struct {
	Keys       []KeyUse // those we have in their order, then the others that were met
	Rows       int      // rows that hold a secret
	Unreadable []string // ids of connections with a secret that no key of ours opens
}

// name is the key's id as KeyReport has it.
func (k ringKey) name() string { return hex.EncodeToString(k.id[:]) }

// rowsAtOnce bounds the memory of a walk over all rows.
const rowsAtOnce = 500

// walk calls visit for every row, in the order of ids, without holding a lock between batches.
func (db *DB) walk(ctx context.Context, visit func(*connectionRow) error) error {
	for last := ""; ; {
		var rows []connectionRow
		if err := db.read.WithContext(ctx).Where("id > ?", last).Order("id").Limit(rowsAtOnce).Find(&rows).Error; err != nil {
			return fault(ctx, "read connections", err)
		}
		for i := range rows {
			if err := visit(&rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < rowsAtOnce {
			return nil
		}
		last = rows[len(rows)-1].ID
	}
}

// CheckKeys opens every secret once and says with which keys. It changes nothing.
func (db *DB) CheckKeys(ctx context.Context) (KeyReport, error) {
	var report KeyReport
	place := map[string]int{}
	if db.keys != nil {
		for i, k := range db.keys.keys {
			place[k.name()] = len(report.Keys)
			report.Keys = append(report.Keys, KeyUse{ID: k.name(), First: i == 0, Known: true})
		}
	}
	err := db.walk(ctx, func(row *connectionRow) error {
		met := map[string]bool{}
		for _, box := range row.boxes() {
			if len(*box) >= boxHeader {
				met[hex.EncodeToString((*box)[1:boxHeader])] = true
			} else if len(*box) > 0 {
				met["damaged"] = true
			}
		}
		if len(met) == 0 {
			return nil
		}
		report.Rows++
		for id := range met {
			i, known := place[id]
			if !known {
				i = len(report.Keys)
				place[id] = i
				report.Keys = append(report.Keys, KeyUse{ID: id})
			}
			report.Keys[i].Rows++
		}
		if _, readable := db.open(row); !readable {
			report.Unreadable = append(report.Unreadable, row.ID)
		}
		return nil
	})
	return report, err
}

// Reseal seals every secret anew that is not sealed with the first key, one row at a time, while others read and write.
// Stopped half-way it goes on where it was. Rows that no key opens are counted, and left as they are; with erase their
// secrets are dropped, and they wait for somebody to reconnect. It returns how many rows it sealed. ErrNoKey.
func (db *DB) Reseal(ctx context.Context, erase bool) (resealed, unreadable int, err error) {
	if db.keys == nil || len(db.keys.keys) == 0 {
		return 0, 0, ErrNoKey
	}
	first := db.keys.keys[0].id[:]
	old := func(row *connectionRow) (columns []int) {
		for i, box := range row.boxes() {
			if len(*box) > 0 && (len(*box) < boxHeader || !bytes.Equal((*box)[1:boxHeader], first)) {
				columns = append(columns, i)
			}
		}
		return columns
	}
	err = db.walk(ctx, func(seen *connectionRow) error {
		if _, readable := db.open(seen); readable && old(seen) == nil {
			return nil
		}
		k := install.Key{AppID: seen.AppID, EnterpriseID: seen.EnterpriseID, TeamID: seen.TeamID}
		changed, readable := false, true
		err := db.transact(ctx, func(tx *gorm.DB) error {
			row, err := lockRow(tx, k) // somebody may have sealed it with the first key since
			if err != nil {
				return err
			}
			columns := old(&row)
			var c install.Connection
			if c, readable = db.open(&row); !readable {
				if !erase {
					return nil
				}
				columns = []int{0, 1, 2}
				paused := c
				c.Erase(install.ReconnectRequired, install.ReasonUnreadable, time.Now())
				c.StateSince = time.Now()
				if paused.State == install.Paused { // the operator's word outlives a key
					c.State, c.Reason, c.StateSince = paused.State, paused.Reason, paused.StateSince
				}
				row.Facts = factsOf(c)
			}
			if changed = columns != nil; !changed {
				return nil
			}
			for _, i := range columns {
				if err := db.seal(&row, &c, i); err != nil {
					return err
				}
			}
			return writeRow(tx, &row, columns)
		})
		switch {
		case errors.Is(err, install.ErrNotFound): // rows are never deleted today
			return nil
		case err != nil:
			return fault(ctx, "seal connection anew", err)
		case !readable:
			unreadable++
		case changed:
			resealed++
		}
		return nil
	})
	return resealed, unreadable, err
}

// ErrWrongKeys: there are secrets, and the keys at hand open none of them.
var ErrWrongKeys = errors.New("none of the stored secrets opens with these keys")

// errEnough ends a walk that has seen what it needs.
var errEnough = errors.New("enough")

// CheckAnyKey looks for one row that the keys at hand can open. ErrWrongKeys when there are secrets and no such row. It
// reads on only as long as rows can't be opened, so with the right keys it is done at once.
func (db *DB) CheckAnyKey(ctx context.Context) error {
	sealed := false
	err := db.walk(ctx, func(row *connectionRow) error {
		for _, box := range row.boxes() {
			sealed = sealed || len(*box) > 0
		}
		if !sealed {
			return nil
		}
		if c, readable := db.open(row); readable && c.Token != "" {
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
