package storage

// One workspace must have one connection however many people click at once, and must never get another workspace's
// token; the statements that see to that are here.

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// keyColumns are the unique index.
var keyColumns = []clause.Column{{Name: "app_id"}, {Name: "enterprise_id"}, {Name: "team_id"}}

// Put is install.Store's. The insert decides who was first: all others wait for it in the database, then lock the row
// and see it as it was before them.
func (d *DB) Put(ctx context.Context, c connection.Connection) (now connection.Connection, seen *connection.Connection,
	err error) {
	const doing = "put connection"
	if err := columns.CheckKey(c.Key); err != nil {
		return connection.Connection{}, nil, fmt.Errorf("%s: %w", doing, err)
	}

	err = d.pool.Transact(ctx, func(tx *gorm.DB) error {
		seen = nil
		now, err = d.insert(tx, c, columns.NewID("con_"))
		if !errors.Is(err, connection.ErrExists) {
			return err
		}

		old, err := lockRow(tx, c.Key)
		if err != nil {
			return err
		}
		was, readable := d.open(&old)
		later, err := before(tx, old.ID, c.Asked)
		if err != nil {
			return err
		}

		seen = &was
		next := was.Consent(c, later)
		row := old
		row.Facts = columns.FactsOf(next)
		if err := d.rewrite(tx, &row, secretsOf(&was), secretsOf(&next), !readable, true); err != nil {
			return err
		}

		if err := d.timers.Moved(tx, row.ID, old.Facts.State, row.Facts.State); err != nil {
			return err
		}

		now, _ = d.open(&row)
		now.Contested = next.Contested
		return d.writeHistory(tx, row.ID, next.Changes)
	})
	if err != nil {
		return connection.Connection{}, nil, db.Fault(ctx, doing, err)
	}
	d.timers.Wake()
	return now, seen, nil
}

// Add is install.Store's.
func (d *DB) Add(ctx context.Context, c connection.Connection) (now connection.Connection, err error) {
	const doing = "add connection"
	if err := columns.CheckKey(c.Key); err != nil {
		return connection.Connection{}, fmt.Errorf("%s: %w", doing, err)
	}
	if c.RefreshToken != "" && c.RenewAt.IsZero() && c.Rejections == 0 {
		// Brought from elsewhere. A token pair that is never due is a workspace that stops answering some quiet day.
		c.RenewAt = connection.Imported(c.Token, c.RefreshToken, c.ExpiresAt, c.InstalledAt).RenewAt
	}

	err = d.pool.Transact(ctx, func(tx *gorm.DB) error {
		id := c.ID
		if id == "" {
			id = columns.NewID("con_")
		}
		now, err = d.insert(tx, c, id)
		return err
	})
	if err != nil {
		return connection.Connection{}, db.Fault(ctx, doing, err, connection.ErrExists)
	}
	d.timers.Wake()
	return now, nil
}

// insert writes the row of a key that has none. ErrExists, when it has one.
func (d *DB) insert(tx *gorm.DB, c connection.Connection, id string) (connection.Connection, error) {
	fresh := c.First(id)
	row := connectionRow{ID: fresh.ID, Key: c.Key, Facts: columns.FactsOf(fresh), Version: 1}
	if _, err := d.seal(&row, nil, secretsOf(&fresh), true); err != nil {
		return connection.Connection{}, err
	}
	insert := tx.Clauses(clause.OnConflict{Columns: keyColumns, DoNothing: true}).Create(&row)
	switch {
	case insert.Error != nil:
		return connection.Connection{}, insert.Error
	case insert.RowsAffected == 0:
		return connection.Connection{}, connection.ErrExists
	}
	now, _ := d.open(&row)
	if err := d.timers.Connected(tx, row.ID, row.Key); err != nil {
		return connection.Connection{}, err
	}
	return now, d.writeHistory(tx, row.ID, fresh.Changes)
}

// Update is install.Store's. The row stays locked while fn runs, so fn must be quick and must not call the network.
func (d *DB) Update(ctx context.Context, k connection.Key,
	fn func(c *connection.Connection) error) (connection.Connection, error) {
	if !columns.StorableKey(k) {
		return connection.Connection{}, connection.ErrNotFound
	}
	var (
		result connection.Connection
		fnErr  error
		erased int64
	)

	err := d.pool.Transact(ctx, func(tx *gorm.DB) error {
		row, err := lockRow(tx, k)
		if err != nil {
			return err
		}
		was, readable := d.open(&row)
		c := was
		c.Scopes = slices.Clone(was.Scopes)
		if fnErr = fn(&c); fnErr != nil {
			return fnErr
		}
		if c.Key != was.Key || c.ID != was.ID {
			return errors.New("an update cannot change a connection's key or id")
		}

		kept := row.Facts.State
		if err := d.change(tx, &row, &was, &c, readable); err != nil {
			return err
		}
		if err := d.timers.Moved(tx, row.ID, kept, row.Facts.State); err != nil {
			return err
		}
		if erased, err = d.eraseWith(tx, &row, &was, &c); err != nil {
			return err
		}

		if was.Unrecorded(c) {
			c.Note(unexplained(string(c.State)))
		}
		result, _ = d.open(&row)
		return d.writeHistory(tx, row.ID, c.Changes)
	})
	if err != nil {
		return connection.Connection{}, db.Fault(ctx, "update connection", err, fnErr, connection.ErrNotFound)
	}
	d.NoteErased(ctx, erased)
	return result, nil
}

// eraseWith erases what goes with the access that c lost since it was was: people's tokens, and messages. It returns
// how many of these.
func (d *DB) eraseWith(tx *gorm.DB, row *connectionRow, was, c *connection.Connection) (messages int64, err error) {
	if c.State == connection.Removed {
		if err := tx.Where("connection_id = ?", row.ID).Delete(&userTokenRow{}).Error; err != nil {
			return 0, err
		}
	}
	if c.State == connection.Removed && was.State != connection.Removed {
		if messages, err = d.EraseMessages(tx, row.Key); err != nil {
			return 0, err
		}
	}
	if len(c.Left) > 0 {
		messages, err = d.EraseLeft(tx, row.Key, c.Left, c.LeftAt)
	}
	return messages, err
}

// change writes into row what differs between was and c, if anything does.
func (k sealer) change(tx *gorm.DB, row *connectionRow, was, c *connection.Connection, readable bool) error {
	old, facts := columns.FactsOf(*was), columns.FactsOf(*c)
	write := facts != old

	// The secrets of an unreadable row stay, since the lost key may be found again, and so does the state beneath the one
	// we made up for it. Until somebody brings a new secret, removes the connection, or learns that its secrets are dead
	// anyway: then all of it is replaced.
	replace := false
	if !readable {
		replace = c.State == connection.Removed || c.State == connection.ReconnectRequired &&
			c.Reason != connection.ReasonUnreadable
		for _, s := range secretsOf(c) {
			replace = replace || *s != ""
		}
		if !replace && facts.State == old.State && facts.Reason == old.Reason {
			facts.State, facts.Reason, facts.StateSince = row.Facts.State, row.Facts.Reason, row.Facts.StateSince
		}
	}
	row.Facts = facts
	return k.rewrite(tx, row, secretsOf(was), secretsOf(c), replace, write)
}

// lockRow reads the row of exactly k and keeps everybody else from writing it until the transaction ends. SQLite has no
// row locks; there the transaction holds the lock on the whole file since it began.
func lockRow(tx *gorm.DB, k connection.Key) (connectionRow, error) {
	return db.One[connectionRow](tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("app_id = ? AND enterprise_id = ? AND team_id = ?", k.AppID, k.EnterpriseID, k.TeamID))
}
