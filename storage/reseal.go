package storage

// Keys get old, and are shared with people who leave; so a new one is put first, and this file moves every secret
// over to it while the program runs.

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/seal"
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
	Values     int      // what bots remember
	Timers     int      // what they put off
	// What no key of ours opens: a connection by its id, a person's token as "con_…/U…", an entry of the journal by
	// its name, an event as "inbox/Ev…", a value
	// as "values/T…/KEY", a timer as "timers/T…/NAME/KEY".
	Unreadable []string
}

// Sealed is how much there is of all kinds.
func (r KeyReport) Sealed() int {
	return r.Rows + r.UserTokens + r.Journal + r.Events + r.Values + r.Timers
}

// walk calls visit for every connection that holds a secret, in the order of ids, without holding a lock between
// batches. The others, most of them removed, stay in the database: who looks for any secret would read them all
// first.
func (d *DB) walk(ctx context.Context, visit func(*connectionRow) error) error {
	sealed := d.pool.Read.Where("(length(token) > 0 OR length(refresh_token) > 0 OR length(webhook_url) > 0)")
	return db.WalkRows(ctx, sealed.Order("id"), visit, func(rest *gorm.DB, last *connectionRow) *gorm.DB {
		return rest.Where("id > ?", last.ID)
	})
}

// walkUsers is walk for people's tokens.
func (d *DB) walkUsers(ctx context.Context, visit func(*userTokenRow) error) error {
	return db.WalkRows(ctx, d.pool.Read.Order("connection_id, user_id"), visit,
		func(rest *gorm.DB, last *userTokenRow) *gorm.DB {
			return rest.Where("(connection_id, user_id) > (?, ?)", last.ConnectionID, last.UserID)
		})
}

// What holds secrets.
const (
	sealedConnection = iota
	sealedUserToken
	sealedEntry
	sealedEvent
	sealedValue
	sealedTimer
	sealedKinds
)

// walkSealed calls visit for everything that may hold secrets. readable is false when one of its boxes does not open.
func (d *DB) walkSealed(ctx context.Context,
	visit func(kind int, name string, boxes []*[]byte, readable bool) error) error {
	err := d.walk(ctx, func(row *connectionRow) error {
		_, readable := d.open(row)
		return visit(sealedConnection, row.name(), row.boxes(), readable)
	})
	if err != nil {
		return err
	}

	err = d.walkUsers(ctx, func(row *userTokenRow) error {
		_, readable := d.openUser(row)
		return visit(sealedUserToken, row.name(), row.boxes(), readable)
	})
	if err != nil {
		return err
	}

	err = d.handedOut.WalkBoxes(func(name string, box *[]byte, readable bool) error {
		return visit(sealedEntry, name, []*[]byte{box}, readable)
	})
	if err != nil {
		return err
	}

	err = d.events.WalkBoxes(ctx, func(name string, boxes []*[]byte, readable bool) error {
		return visit(sealedEvent, name, boxes, readable)
	})
	if err != nil {
		return err
	}

	err = d.values.WalkBoxes(ctx, func(name string, box *[]byte, readable bool) error {
		return visit(sealedValue, name, []*[]byte{box}, readable)
	})
	if err != nil {
		return err
	}

	return d.timers.WalkBoxes(ctx, func(name string, box *[]byte, readable bool) error {
		return visit(sealedTimer, name, []*[]byte{box}, readable)
	})
}

// CheckKeys opens every secret once and says with which keys. It changes nothing.
func (d *DB) CheckKeys(ctx context.Context) (KeyReport, error) {
	var (
		report KeyReport
		counts [sealedKinds]int
		place  = map[string]int{}
	)
	for i, id := range d.sealer.keys.IDs() {
		place[id] = len(report.Keys)
		report.Keys = append(report.Keys, KeyUse{ID: id, First: i == 0, Known: true})
	}

	err := d.walkSealed(ctx, func(kind int, name string, boxes []*[]byte, readable bool) error {
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
	report.Rows, report.UserTokens, report.Journal, report.Events = counts[sealedConnection], counts[sealedUserToken],
		counts[sealedEntry], counts[sealedEvent]
	report.Values, report.Timers = counts[sealedValue], counts[sealedTimer]
	return report, err
}

// Reseal seals everything anew that is not sealed with the first key, one row or entry of this machine's journal at a
// time, while others read and write. Stopped half-way it goes on where it was. What no key opens is counted, and left
// as it is; with erase it is dropped: connections wait for somebody to reconnect, people's tokens, entries of the
// journal, events, what bots remember and what they put off are gone. It returns how much it sealed. ErrNoKey.
func (d *DB) Reseal(ctx context.Context, erase bool) (resealed, unreadable int, err error) {
	if len(d.sealer.keys.IDs()) == 0 {
		return 0, 0, seal.ErrNoKey
	}

	count := func(changed, readable bool, err error) error {
		switch {
		case errors.Is(err, connection.ErrNotFound): // deleted meanwhile
		case err != nil:
			return db.Fault(ctx, "encrypt again", err)
		case !readable:
			unreadable++
		case changed:
			resealed++
		}
		return nil
	}

	err = d.walk(ctx, func(seen *connectionRow) error {
		if _, readable := d.open(seen); readable && !d.sealer.keys.Stale(seen.boxes()...) {
			return nil
		}
		return count(d.resealConnection(ctx, seen.Key, erase))
	})
	if err == nil {
		err = d.walkUsers(ctx, func(seen *userTokenRow) error {
			if _, readable := d.openUser(seen); readable && !d.sealer.keys.Stale(seen.boxes()...) {
				return nil
			}
			return count(d.resealUser(ctx, seen.owner(), erase))
		})
	}
	if err == nil {
		err = d.handedOut.Reseal(erase, count)
	}
	if err == nil {
		err = d.events.Reseal(ctx, erase, count)
	}
	if err == nil {
		err = d.values.Reseal(ctx, erase, count)
	}
	if err == nil {
		err = d.timers.Reseal(ctx, erase, count)
	}
	return resealed, unreadable, err
}

// erased is the line for what an operator gave up.
func erased(reason string) connection.Change {
	return connection.Change{By: connection.Actor{Kind: connection.ByOperator}, What: connection.DidErase,
		Outcome: connection.OutcomeDone, Reason: reason}
}

func (d *DB) resealConnection(ctx context.Context, k connection.Key, erase bool) (changed, readable bool, err error) {
	err = d.pool.Transact(ctx, func(tx *gorm.DB) error {
		changed = false
		row, err := lockRow(tx, k) // somebody may have sealed it with the first key since
		if err != nil {
			return err
		}

		var c connection.Connection
		if c, readable = d.open(&row); !readable {
			if !erase {
				return nil
			}
			paused := c
			c.Erase(connection.ReconnectRequired, connection.ReasonUnreadable, d.Now())
			c.StateSince = d.Now()
			if paused.State == connection.Paused { // the operator's word outlives a key
				c.State, c.Reason, c.StateSince = paused.State, paused.Reason, paused.StateSince
			}
			row.Facts = columns.FactsOf(c)
			if err := d.writeHistory(tx, row.ID, []connection.Change{erased(connection.ReasonUnreadable)}); err != nil {
				return err
			}
		} else if !d.sealer.keys.Stale(row.boxes()...) {
			return nil
		}

		changed = true
		return d.rewrite(tx, &row, nil, secretsOf(&c), true, true)
	})
	return changed, readable, err
}

func (d *DB) resealUser(ctx context.Context, h connection.TokenOwner, erase bool) (changed, readable bool, err error) {
	err = d.pool.Transact(ctx, func(tx *gorm.DB) error {
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
		if u, readable = d.openUser(&row); !readable {
			if !erase {
				return nil
			}
			if err := tx.Delete(&row).Error; err != nil {
				return err
			}
			return d.writeHistory(tx, parent.ID, []connection.Change{erased(h.UserID)})
		}

		if !d.sealer.keys.Stale(row.boxes()...) {
			return nil
		}
		changed = true
		return d.rewrite(tx, &row, nil, userSecretsOf(&u), true, true)
	})
	return changed, readable, err
}

// ErrWrongKeys is package connection's: there are secrets, and the keys at hand open none of them.
var ErrWrongKeys = connection.ErrWrongKeys

// errEnough ends a walk that has seen what it needs.
var errEnough = errors.New("enough")

// CheckAnyKey looks for one secret that the keys at hand can open. ErrWrongKeys when there are secrets and no such
// one. It reads on only as long as they can't be opened, so with the right keys it is done at once.
func (d *DB) CheckAnyKey(ctx context.Context) error {
	sealed := false
	err := d.walkSealed(ctx, func(_ int, _ string, boxes []*[]byte, readable bool) error {
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
