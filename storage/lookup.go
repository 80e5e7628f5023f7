package storage

// An event names its workspace, and perhaps an organisation; an operator names either. This file finds the connection
// that is meant, and never another workspace's.

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

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
// organisation's. Where the organisation has no install of its own, those of its workspaces. Order and secrets are as
// in List.
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
	row, err := db.One[connectionRow](d.pool.Read.WithContext(ctx).Where("id = ?", id))
	if err != nil {
		return connection.Connection{}, db.Fault(ctx, "find connection", err, connection.ErrNotFound)
	}
	c, _ := d.open(&row)
	return c, nil
}

// List returns all connections without their secrets, in the states that Lookup would give, ordered by TeamName and
// ID. Secrets are opened (a fifth of a microsecond each) only to learn whether they can be, and dropped.
func (d *DB) List(ctx context.Context) ([]connection.Connection, error) {
	return d.list(ctx, d.pool.Read)
}

// PendingRemovals is install.Store's.
func (d *DB) PendingRemovals(ctx context.Context) ([]connection.Connection, error) {
	return d.list(ctx, d.pool.Read.Where("doubt_at <> 0"))
}

func (d *DB) list(ctx context.Context, query *gorm.DB) ([]connection.Connection, error) {
	list, err := db.All(ctx, "list connections", query, d.withoutSecrets)
	// Sorted here, because databases differ in how they order letters.
	slices.SortFunc(list, func(a, b connection.Connection) int {
		return cmp.Or(cmp.Compare(a.TeamName, b.TeamName), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}
