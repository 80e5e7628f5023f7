package inbox

import (
	"context"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// EachOf calls visit for each event of a workspace, or of an organisation, with its payload as far as it is kept: of what
// is done only the name is, for a day. It reads the whole inbox.
func (t *Table) EachOf(ctx context.Context, k connection.Key, visit func(Letter) error) error {
	of := t.withPayloads().Where("app_id = ? AND team_id = ?", columns.Text(k.AppID), columns.Text(k.TeamID))
	if k.Org() {
		of = t.withPayloads().Where("app_id = ? AND enterprise_id = ?", columns.Text(k.AppID), columns.Text(k.EnterpriseID))
	}
	return db.WalkRows(ctx, of.Order("id"), func(r *inboxRow) error { return visit(t.letter(r)) },
		func(rest *gorm.DB, last *inboxRow) *gorm.DB { return rest.Where("id > ?", last.ID) })
}
