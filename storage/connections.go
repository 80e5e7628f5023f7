package storage

// One workspace must have one connection however many people click at once, and must never get another workspace's
// token; the statements that see to that are here.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// keyColumns are the unique index.
var keyColumns = []clause.Column{{Name: "app_id"}, {Name: "enterprise_id"}, {Name: "team_id"}}

// Put is install.Store's. The insert decides who was first: all others wait for it in the database, then lock the row
// and see it as it was before them.
func (d *DB) Put(ctx context.Context, c connection.Connection) (now connection.Connection, seen *connection.Connection, err error) {
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
		changed, err := d.seal(&row, secretsOf(&was), secretsOf(&next), !readable)
		if err != nil {
			return err
		}
		if err := writeRow(tx, &row, changed); err != nil {
			return err
		}
		now, _ = d.open(&row)
		now.Contested = next.Contested
		return d.writeHistory(tx, row.ID, next.Changes)
	})
	if err != nil {
		return connection.Connection{}, nil, db.Fault(ctx, doing, err)
	}
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
	switch {
	case errors.Is(err, connection.ErrExists):
		return connection.Connection{}, err
	case err != nil:
		return connection.Connection{}, db.Fault(ctx, doing, err)
	}
	return now, nil
}

// insert writes the row of a key that has none. ErrExists, when it has one.
func (d *DB) insert(tx *gorm.DB, c connection.Connection, id string) (connection.Connection, error) {
	fresh := c.First(id)
	row := connectionRow{
		ID: fresh.ID, AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID, Facts: columns.FactsOf(fresh), Version: 1,
	}
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
	return now, d.writeHistory(tx, row.ID, fresh.Changes)
}

// connectionsWhere is a statement that can be put together with others like it.
var connectionsWhere = func() string {
	parsed, err := schema.Parse(&connectionRow{}, &sync.Map{}, schema.NamingStrategy{})
	if err != nil {
		panic(err) // cannot be: the struct is known
	}
	return "SELECT " + strings.Join(parsed.DBNames, ", ") + " FROM connections WHERE "
}()

var (
	// findEither is two look-ups, each by its own index. As one condition with an OR, SQLite reads all connections of the
	// app.
	findEither = connectionsWhere + "app_id = ? AND team_id = ? UNION ALL " +
		connectionsWhere + "app_id = ? AND enterprise_id = ? AND team_id = ''"

	// appsQuery takes one step in an index for each app, and there are few, however many connections they have.
	appsQuery = `
WITH RECURSIVE apps (app_id) AS (
	SELECT MIN(app_id) FROM connections
	UNION ALL
	SELECT (SELECT MIN(later.app_id) FROM connections AS later WHERE later.app_id > apps.app_id)
		FROM apps WHERE apps.app_id IS NOT NULL
) SELECT app_id FROM apps WHERE app_id IS NOT NULL`

	namedQuery = connectionsWhere + "id = @name UNION ALL " +
		connectionsWhere + "app_id IN @apps AND team_id = @name UNION ALL " +
		connectionsWhere + "app_id IN @apps AND enterprise_id = @name AND team_id = '' LIMIT @n"
	ofOrganisationQuery = connectionsWhere + "app_id IN @apps AND enterprise_id = @name LIMIT @n"
)

// Named returns the connections that an operator can mean by name, at most n: a connection's id, a workspace's or an
// organisation's. Where the organisation has no install of its own, those of its workspaces. Order and secrets are as in
// List.
func (d *DB) Named(ctx context.Context, name string, n int) ([]connection.Connection, error) {
	if name == "" || !columns.Storable(name) {
		return nil, nil
	}
	// Every index but the primary key's begins with the app, and who types a name doesn't say which app is meant.
	var apps []string
	if err := d.pool.Read.WithContext(ctx).Raw(appsQuery).Scan(&apps).Error; err != nil {
		return nil, db.Fault(ctx, "list apps", err)
	}
	for _, query := range []string{namedQuery, ofOrganisationQuery} {
		asked := d.pool.Read.Raw(query, map[string]any{"name": name, "apps": apps, "n": n})
		found, err := d.list(ctx, asked)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, nil
}

// Lookup is install.Store's.
func (d *DB) Lookup(ctx context.Context, k connection.Key) (connection.Connection, error) {
	if k.AppID == "" || (k.EnterpriseID == "" && k.TeamID == "") || !columns.StorableKey(k) {
		return connection.Connection{}, connection.ErrNotFound
	}
	// One statement, so that a row that moves between two looks is not missed.
	rows := make([]connectionRow, 0, 3) // GORM would take room for 20
	query := d.pool.Read.WithContext(ctx)
	switch {
	case k.TeamID == "":
		query = query.Where("app_id = ? AND enterprise_id = ? AND team_id = ''", k.AppID, k.EnterpriseID)
	case k.EnterpriseID == "":
		query = query.Where("app_id = ? AND team_id = ?", k.AppID, k.TeamID)
	default:
		query = query.Raw(findEither, k.AppID, k.TeamID, k.AppID, k.EnterpriseID)
	}
	if err := query.Find(&rows).Error; err != nil {
		return connection.Connection{}, db.Fault(ctx, "find connection", err)
	}
	if len(rows) == 0 {
		return connection.Connection{}, connection.ErrNotFound
	}
	// The last of these is for a workspace with rows under two organisations: the latest consent is the one that counts.
	best := slices.MinFunc(rows, func(a, b connectionRow) int {
		return cmp.Or(
			cmp.Compare(distance(a, k), distance(b, k)),
			cmp.Compare(b.Facts.RenewedAt, a.Facts.RenewedAt),
			cmp.Compare(a.ID, b.ID),
		)
	})
	c, _ := d.open(&best)
	return c, nil
}

// distance says how far r is from being the row of k: 0 to 2 for working rows, 3 to 5 for removed ones.
func distance(r connectionRow, k connection.Key) int {
	d := 2 // the organisation's
	switch {
	case r.TeamID == k.TeamID && r.EnterpriseID == k.EnterpriseID:
		d = 0
	case r.TeamID == k.TeamID:
		d = 1
	}
	if r.Facts.State == string(connection.Removed) {
		d += 3
	}
	return d
}

// Get is install.Store's.
func (d *DB) Get(ctx context.Context, id string) (connection.Connection, error) {
	if !columns.Storable(id) {
		return connection.Connection{}, connection.ErrNotFound
	}
	rows := make([]connectionRow, 0, 1)
	if err := d.pool.Read.WithContext(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return connection.Connection{}, db.Fault(ctx, "find connection", err)
	}
	if len(rows) == 0 {
		return connection.Connection{}, connection.ErrNotFound
	}
	c, _ := d.open(&rows[0])
	return c, nil
}

// List is install.Store's. Secrets are opened (a fifth of a microsecond each) only to learn whether they can be, and dropped.
func (d *DB) List(ctx context.Context) ([]connection.Connection, error) {
	return d.list(ctx, d.pool.Read)
}

// PendingRemovals is install.Store's.
func (d *DB) PendingRemovals(ctx context.Context) ([]connection.Connection, error) {
	return d.list(ctx, d.pool.Read.Where("doubt_at <> 0"))
}

func (d *DB) list(ctx context.Context, query *gorm.DB) ([]connection.Connection, error) {
	var rows []connectionRow
	if err := query.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, db.Fault(ctx, "list connections", err)
	}
	list := make([]connection.Connection, len(rows))
	for i := range rows {
		list[i], _ = d.open(&rows[i])
		blank(secretsOf(&list[i]))
	}
	// Sorted here, because databases differ in how they order letters.
	slices.SortFunc(list, func(a, b connection.Connection) int {
		return cmp.Or(cmp.Compare(a.TeamName, b.TeamName), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Update is install.Store's. The row stays locked while fn runs, so fn must be quick and must not call the network.
func (d *DB) Update(ctx context.Context, k connection.Key, fn func(c *connection.Connection) error) (connection.Connection, error) {
	if !columns.StorableKey(k) {
		return connection.Connection{}, connection.ErrNotFound
	}
	var (
		result connection.Connection
		fnErr  error
		erased int64
	)
	err := d.pool.Transact(ctx, func(tx *gorm.DB) error {
		erased = 0
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
		write, changed, err := d.change(&row, &was, &c, readable)
		if err != nil {
			return err
		}
		if write {
			if err := writeRow(tx, &row, changed); err != nil {
				return err
			}
		}
		if c.State == connection.Removed {
			if err := tx.Where("connection_id = ?", row.ID).Delete(&userTokenRow{}).Error; err != nil {
				return err
			}
		}
		if c.State == connection.Removed && was.State != connection.Removed {
			if erased, err = d.EraseMessages(tx, row.key()); err != nil {
				return err
			}
		}
		if len(c.Left) > 0 {
			if erased, err = d.EraseLeft(tx, row.key(), c.Left, c.LeftAt); err != nil {
				return err
			}
		}
		if was.Unrecorded(c) {
			c.Note(unexplained(string(c.State)))
		}
		result, _ = d.open(&row)
		return d.writeHistory(tx, row.ID, c.Changes)
	})
	switch {
	case err == nil:
		d.NoteErased(ctx, erased)
		return result, nil
	case fnErr != nil && errors.Is(err, fnErr), errors.Is(err, connection.ErrNotFound):
		return connection.Connection{}, err
	}
	return connection.Connection{}, db.Fault(ctx, "update connection", err)
}

// Rekey is install.Store's. Of two at once the second waits for the first and then finds nothing.
func (d *DB) Rekey(ctx context.Context, from, to connection.Key, token connection.Secret, line connection.Change) (now connection.Connection, err error) {
	const doing = "move connection"
	if err := columns.CheckKey(to); err != nil || !columns.StorableKey(from) || from.AppID != to.AppID || from.TeamID != to.TeamID || to.TeamID == "" {
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
		var taken int64
		if err := tx.Model(&connectionRow{}).Where("app_id = ? AND enterprise_id = ? AND team_id = ?", to.AppID, to.EnterpriseID, to.TeamID).
			Count(&taken).Error; err != nil {
			return err
		}
		if taken > 0 {
			return connection.ErrExists
		}
		row.EnterpriseID = to.EnterpriseID
		if err := d.moveRow(tx, &row, secretsOf(&was), map[string]any{"id": row.ID}); err != nil {
			return err
		}
		var people []userTokenRow
		if err := tx.Where("connection_id = ?", row.ID).Find(&people).Error; err != nil {
			return err
		}
		for i := range people {
			u, readable := d.openUser(&people[i])
			if !readable {
				return errUnopened
			}
			people[i].EnterpriseID = to.EnterpriseID
			if err := d.moveRow(tx, &people[i], userSecretsOf(&u), map[string]any{"connection_id": row.ID, "user_id": u.UserID}); err != nil {
				return err
			}
		}
		now, _ = d.open(&row)
		return d.writeHistory(tx, row.ID, []connection.Change{line})
	})
	switch {
	case err == nil:
		return now, nil
	case errors.Is(err, gorm.ErrDuplicatedKey): // an install of the moment
		return connection.Connection{}, connection.ErrExists
	case errors.Is(err, connection.ErrNotFound), errors.Is(err, connection.ErrExists):
		return connection.Connection{}, err
	}
	return connection.Connection{}, db.Fault(ctx, doing, err)
}

var errUnopened = errors.New("its stored access can't be opened with the keys at hand")

// moveRow writes the organisation of a locked row, with its secrets sealed for the new place.
func (d *DB) moveRow(tx *gorm.DB, row sealedRow, secrets []*connection.Secret, where map[string]any) error {
	if _, err := d.seal(row, nil, secrets, true); err != nil {
		return err
	}
	values := map[string]any{"enterprise_id": row.place(0).Enterprise, "version": *row.version() + 1}
	for i, column := range row.sealedColumns() {
		values[column] = *row.boxes()[i]
	}
	update := tx.Model(row).Where(where).Where("version = ?", *row.version()).Updates(values)
	*row.version()++
	if update.Error != nil {
		return update.Error
	}
	if update.RowsAffected != 1 {
		return db.ErrLost
	}
	return nil
}

// change brings into row what differs between was and c. It reports whether there is anything to write and which sealed
// columns belong to it.
func (d *DB) change(row *connectionRow, was, c *connection.Connection, readable bool) (write bool, changed []int, err error) {
	old, facts := columns.FactsOf(*was), columns.FactsOf(*c)
	write = facts != old

	// The secrets of an unreadable row stay, since the lost key may be found again, and so does the state beneath the one
	// we made up for it. Until somebody brings a new secret, removes the connection, or learns that its secrets are dead
	// anyway: then all of it is replaced.
	replace := false
	if !readable {
		replace = c.State == connection.Removed || c.State == connection.ReconnectRequired && c.Reason != connection.ReasonUnreadable
		for _, s := range secretsOf(c) {
			replace = replace || *s != ""
		}
		if !replace && facts.State == old.State && facts.Reason == old.Reason {
			facts.State, facts.Reason, facts.StateSince = row.Facts.State, row.Facts.Reason, row.Facts.StateSince
		}
	}
	if changed, err = d.seal(row, secretsOf(was), secretsOf(c), replace); err != nil {
		return false, nil, err
	}
	row.Facts = facts
	return write || changed != nil, changed, nil
}

// lockRow reads the row of exactly k and keeps everybody else from writing it until the transaction ends. SQLite has no
// row locks; there the transaction holds the lock on the whole file since it began.
func lockRow(tx *gorm.DB, k connection.Key) (connectionRow, error) {
	rows := make([]connectionRow, 0, 1)
	err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).
		Where("app_id = ? AND enterprise_id = ? AND team_id = ?", k.AppID, k.EnterpriseID, k.TeamID).Find(&rows).Error
	if err != nil {
		return connectionRow{}, err
	}
	if len(rows) == 0 {
		return connectionRow{}, connection.ErrNotFound
	}
	return rows[0], nil
}
