package storage

// A workspace that joins an organisation gets another key, and everything sealed is bound to the key that it had.
// This file moves a connection and its people's tokens.

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Rekey is install.Store's. Of two at once the second waits for the first and then finds nothing.
func (d *DB) Rekey(ctx context.Context, from, to connection.Key, token connection.Secret,
	line connection.Change) (now connection.Connection, err error) {
	const doing = "move connection"
	if err := columns.CheckKey(to); err != nil || !columns.StorableKey(from) || from.AppID != to.AppID ||
		from.TeamID != to.TeamID || to.TeamID == "" {
		return connection.Connection{}, errors.Join(fmt.Errorf("%s: not the same workspace", doing), err)
	}
	err = d.pool.Transact(ctx, func(tx *gorm.DB) error {
		row, err := lockRow(tx, from)
		if err != nil {
			return err
		}
		was, readable := d.open(&row)
		switch {
		case !readable: // a lost key may be found again, and then it opens what is sealed for the old place
			return errUnopened
		case was.Token != token:
			return connection.ErrNotFound
		}
		if err := isFree(tx, to); err != nil {
			return err
		}

		row.EnterpriseID = to.EnterpriseID
		if err := d.moveRow(tx, &row, secretsOf(&was), map[string]any{"id": row.ID}); err != nil {
			return err
		}
		if err := d.movePeople(tx, &row); err != nil {
			return err
		}
		now, _ = d.open(&row)
		return d.writeHistory(tx, row.ID, []connection.Change{line})
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) { // an install of the moment
		err = connection.ErrExists
	}
	if err != nil {
		return connection.Connection{}, db.Fault(ctx, doing, err, connection.ErrNotFound, connection.ErrExists)
	}
	return now, nil
}

// isFree is connection.ErrExists when there is a connection of exactly k.
func isFree(tx *gorm.DB, k connection.Key) error {
	var taken int64
	err := tx.Model(&connectionRow{}).Where("app_id = ? AND enterprise_id = ? AND team_id = ?", k.AppID, k.EnterpriseID,
		k.TeamID).
		Count(&taken).Error
	if err == nil && taken > 0 {
		err = connection.ErrExists
	}
	return err
}

// movePeople gives people's tokens the organisation of their connection.
func (k sealer) movePeople(tx *gorm.DB, parent *connectionRow) error {
	var people []userTokenRow
	if err := tx.Where("connection_id = ?", parent.ID).Find(&people).Error; err != nil {
		return err
	}
	for i := range people {
		u, readable := k.openUser(&people[i])
		if !readable {
			return errUnopened
		}
		people[i].EnterpriseID = parent.EnterpriseID
		if err := k.moveRow(tx, &people[i], userSecretsOf(&u),
			map[string]any{"connection_id": parent.ID, "user_id": u.UserID}); err != nil {
			return err
		}
	}
	return nil
}

var errUnopened = errors.New("its stored access can't be opened with the keys at hand")

// moveRow writes the organisation of a locked row, with its secrets sealed for the new place.
func (k sealer) moveRow(tx *gorm.DB, row sealedRow, secrets []*connection.Secret, where map[string]any) error {
	if _, err := k.seal(row, nil, secrets, true); err != nil {
		return err
	}
	values := map[string]any{"enterprise_id": row.place(0).Enterprise, "version": *row.version() + 1}
	for i, column := range row.sealedColumns() {
		values[column] = *row.boxes()[i]
	}
	update := tx.Model(row).Where(where).Where("version = ?", *row.version()).Updates(values)
	*row.version()++
	return lost(update)
}
