package values

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// Stored is a value as it lies in the database.
type Stored struct {
	TeamID, Key string
	Value       []byte // nil where no key opens it
	Expires     time.Time
}

// Each calls visit for each value of a workspace; of an organisation's connection for those that it used last.
func (t *Table) Each(ctx context.Context, k connection.Key, connectionID string, visit func(Stored) error) error {
	of := t.pool.Read.Where("app_id = ? AND team_id = ?", columns.Text(k.AppID), columns.Text(k.TeamID))
	if k.Org() {
		of = t.pool.Read.Where("connection_id = ?", columns.Text(connectionID))
	}
	return db.WalkRows(ctx, of.Order("app_id, team_id, name"), func(r *row) error {
		kept := Stored{TeamID: r.TeamID, Key: r.Name, Expires: columns.Moment(r.ExpiresAt)}
		if open, err := t.open(r); err == nil {
			kept.Value = open.Data
		}
		return visit(kept)
	}, func(rest *gorm.DB, last *row) *gorm.DB {
		return rest.Where("(app_id, team_id, name) > (?, ?, ?)", last.AppID, last.TeamID, last.Name)
	})
}
