package storage

// A person who let the app act for them trusts us with more than a workspace does: their token hangs on one
// connection, is sealed for them alone, and is gone when the connection is. This file keeps it.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Every write of a person's token takes the lock on the connection's row first, as Update does: one order for all, so
// that no two wait for each other, and no token is written to a connection that is being removed.

// findUserRow reads a person's token on a connection whose row is locked. ErrNotFound.
func findUserRow(tx *gorm.DB, connectionID, userID string) (userTokenRow, error) {
	return db.One[userTokenRow](tx.Where("connection_id = ? AND user_id = ?", connectionID, userID))
}

// AddUser is install.Store's.
func (d *DB) AddUser(ctx context.Context, u connection.UserToken) error {
	const doing = "add user token"
	switch {
	case u.UserID == "" || !columns.Storable(u.UserID):
		return fmt.Errorf("%s: there is no such user", doing)
	case !columns.StorableKey(u.Key):
		return connection.ErrNotFound
	}

	err := d.pool.Transact(ctx, func(tx *gorm.DB) error {
		parent, err := lockRow(tx, u.Key)
		if err != nil {
			return err
		}
		if parent.Facts.State == string(connection.Removed) {
			return connection.ErrNotFound
		}

		switch _, err := findUserRow(tx, parent.ID, u.UserID); {
		case err == nil:
			return connection.ErrExists
		case !errors.Is(err, connection.ErrNotFound):
			return err
		}

		row := userTokenRow{ConnectionID: parent.ID, UserID: u.UserID, Key: u.Key, Facts: userTokenFactsOf(u), Version: 1}
		if _, err := d.seal(&row, nil, userSecretsOf(&u), true); err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return d.writeHistory(tx, parent.ID, u.Changes)
	})
	return db.Fault(ctx, doing, err, connection.ErrNotFound, connection.ErrExists)
}

// GetUser is install.Store's.
func (d *DB) GetUser(ctx context.Context, h connection.TokenOwner) (connection.UserToken, error) {
	if !columns.StorableKey(h.Key) || !columns.Storable(h.UserID) {
		return connection.UserToken{}, connection.ErrNotFound
	}
	row, err := db.One[userTokenRow](d.pool.Read.WithContext(ctx).
		Where("app_id = ? AND enterprise_id = ? AND team_id = ? AND user_id = ?", h.AppID, h.EnterpriseID, h.TeamID,
			h.UserID))
	if err != nil {
		return connection.UserToken{}, db.Fault(ctx, "find user token", err, connection.ErrNotFound)
	}
	u, _ := d.openUser(&row)
	return u, nil
}

// Users returns all people's tokens of a connection without their secrets, ordered by user ID.
func (d *DB) Users(ctx context.Context, k connection.Key) ([]connection.UserToken, error) {
	if !columns.StorableKey(k) {
		return nil, nil
	}
	query := d.pool.Read.Where("app_id = ? AND enterprise_id = ? AND team_id = ?", k.AppID, k.EnterpriseID, k.TeamID)
	list, err := db.All(ctx, "list user tokens", query, func(row *userTokenRow) connection.UserToken {
		u, _ := d.openUser(row)
		blank(userSecretsOf(&u))
		return u
	})
	// Sorted here, because databases differ in how they order letters.
	slices.SortFunc(list, func(a, b connection.UserToken) int { return cmp.Compare(a.UserID, b.UserID) })
	return list, err
}

// UpdateUser is install.Store's. The connection's row stays locked while fn runs, so fn must be quick and must not
// call the network.
func (d *DB) UpdateUser(ctx context.Context, h connection.TokenOwner,
	fn func(u *connection.UserToken) error) (connection.UserToken, error) {
	if !columns.StorableKey(h.Key) || !columns.Storable(h.UserID) {
		return connection.UserToken{}, connection.ErrNotFound
	}

	var (
		result connection.UserToken
		fnErr  error
	)
	err := d.pool.Transact(ctx, func(tx *gorm.DB) error {
		parent, err := lockRow(tx, h.Key)
		if err != nil {
			return err
		}
		row, err := findUserRow(tx, parent.ID, h.UserID)
		if err != nil {
			return err
		}
		was, readable := d.openUser(&row)
		u := was
		u.Scopes = slices.Clone(was.Scopes)
		if fnErr = fn(&u); fnErr != nil {
			return fnErr
		}
		if u.TokenOwner != was.TokenOwner || u.ConnectionID != was.ConnectionID {
			return errors.New("an update cannot give a token to somebody else")
		}

		if err := d.changeUser(tx, &row, &was, &u, readable); err != nil {
			return err
		}
		if len(u.Changes) == 0 && (was.Token != u.Token || was.RefreshToken != u.RefreshToken || was.Reason != u.Reason) {
			u.Note(unexplained(u.UserID))
		}
		result, _ = d.openUser(&row)
		return d.writeHistory(tx, parent.ID, u.Changes)
	})
	if err != nil {
		return connection.UserToken{}, db.Fault(ctx, "update user token", err, fnErr, connection.ErrNotFound)
	}
	return result, nil
}

// changeUser is change for a person's token.
func (k sealer) changeUser(tx *gorm.DB, row *userTokenRow, was, u *connection.UserToken, readable bool) error {
	old, facts := userTokenFactsOf(*was), userTokenFactsOf(*u)
	write := facts != old
	// As with connections: what cannot be read stays, and the reason beneath ours, until somebody knows better.
	replace := false
	if !readable {
		replace = u.Token != "" || u.RefreshToken != "" || u.Reason != connection.ReasonUnreadable &&
			u.Reason != connection.ReasonNone
		if !replace && facts.Reason == old.Reason {
			facts.Reason = row.Facts.Reason
		}
	}
	row.Facts = facts
	return k.rewrite(tx, row, userSecretsOf(was), userSecretsOf(u), replace, write)
}

// EraseUser is install.Store's.
func (d *DB) EraseUser(ctx context.Context, u connection.UserToken, line connection.Change) (bool, error) {
	if !columns.StorableKey(u.Key) || !columns.Storable(u.UserID) {
		return false, nil
	}

	var erased bool
	err := d.pool.Transact(ctx, func(tx *gorm.DB) error {
		parent, err := lockRow(tx, u.Key)
		if err != nil {
			return err
		}
		deleted := tx.Where("connection_id = ? AND user_id = ? AND granted_at = ?", parent.ID, u.UserID,
			columns.Micros(u.GrantedAt)).Delete(&userTokenRow{})
		if erased = deleted.RowsAffected == 1; deleted.Error != nil || !erased {
			return deleted.Error
		}
		line.Reason = u.UserID
		return d.writeHistory(tx, parent.ID, []connection.Change{line})
	})
	if errors.Is(err, connection.ErrNotFound) { // without such a connection there was nobody's token
		return false, nil
	}
	return erased && err == nil, db.Fault(ctx, "erase user token", err)
}
