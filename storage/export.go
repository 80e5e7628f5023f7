package storage

// Everything that is stored of one workspace, for who asks what is known of it. Each part is read in steps, so that it
// takes as much memory for a year's history as for a day's.

import (
	"context"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/timers"
)

// EachChange calls visit for each line of a connection's history, the oldest first.
func (d *DB) EachChange(ctx context.Context, connectionID string, visit func(connection.Change) error) error {
	lines := d.pool.Read.Where("connection_id = ?", columns.Text(connectionID)).Order("id")
	return db.WalkRows(ctx, lines, func(row *changeRow) error { return visit(row.change()) },
		func(rest *gorm.DB, last *changeRow) *gorm.DB { return rest.Where("id > ?", last.ID) })
}

// EachAttempt calls visit for each attempt to install that ended in a connection, the oldest first.
func (d *DB) EachAttempt(ctx context.Context, connectionID string, visit func(oauth.Attempt) error) error {
	tries := d.pool.Read.Where("connection_id = ? AND connection_id <> ''", columns.Text(connectionID)).Order("id")
	return db.WalkRows(ctx, tries, func(row *attemptRow) error { return visit(row.attempt()) },
		func(rest *gorm.DB, last *attemptRow) *gorm.DB { return rest.Where("id > ?", last.ID) })
}

// EachUser calls visit for each person who lets the app act for them on a connection, without their tokens.
func (d *DB) EachUser(ctx context.Context, connectionID string, visit func(connection.UserToken) error) error {
	people := d.pool.Read.Where("connection_id = ?", columns.Text(connectionID)).Order("user_id")
	return db.WalkRows(ctx, people, func(row *userTokenRow) error {
		u, _ := d.openUser(row)
		blank(userSecretsOf(&u))
		return visit(u)
	}, func(rest *gorm.DB, last *userTokenRow) *gorm.DB { return rest.Where("user_id > ?", last.UserID) })
}

// EachTimer calls visit for each timer of a connection.
func (d *DB) EachTimer(ctx context.Context, connectionID string, visit func(timers.Stored) error) error {
	return d.timers.Each(ctx, connectionID, visit)
}
