package timers

// What a workspace scheduled with its own connection outlives it where its organisation has the app, too: the
// organisation's connection takes over, as it does for the workspace's values. What recurs it has of its own.

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

const (
	// The timers t of a connection c that is of no use any longer, and the connection o of its organisation. One that is
	// paused keeps them: the pause is the operator's word for the workspace.
	inherited = "FROM timers t JOIN connections c ON c.id = t.connection_id " +
		"JOIN connections o ON o.app_id = c.app_id AND o.enterprise_id = c.enterprise_id AND o.team_id = '' " +
		"WHERE t.spec = '' AND c.team_id <> '' AND c.enterprise_id <> '' AND c.state IN @dead AND o.state IN @running AND "

	// One that was scheduled with the organisation's since is newer.
	dropInherited = "DELETE FROM timers WHERE id IN (SELECT t.id " + inherited + "%s AND EXISTS (" +
		"SELECT 1 FROM timers n WHERE n.connection_id = o.id AND n.team_id = t.team_id AND n.name = t.name AND " +
		"n.timer_key = t.timer_key))"
	inherit = "UPDATE timers SET parked = 0, connection_id = (SELECT o.id FROM connections c JOIN connections o " +
		"ON o.app_id = c.app_id AND o.enterprise_id = c.enterprise_id AND o.team_id = '' " +
		"WHERE c.id = timers.connection_id) WHERE id IN (SELECT t.id " + inherited + "%s)"

	// A home's timers hang on the workspace's own connection, or on its organisation's.
	homesQuery = "SELECT id FROM connections WHERE app_id = @app AND team_id = @team UNION ALL " +
		"SELECT o.id FROM connections mine JOIN connections o ON o.app_id = mine.app_id AND " +
		"o.enterprise_id = mine.enterprise_id AND o.team_id = '' " +
		"WHERE mine.id = @connection AND mine.enterprise_id <> '' UNION ALL SELECT @connection"
)

// dead are the states of a connection whose organisation's takes its place.
var dead = []string{string(connection.Removed), string(connection.ReconnectRequired)}

// Which timers are looked at for an heir.
const (
	theirs    = "o.id = @which"          // those of an organisation that can be used now
	parked    = "t.parked = 1"           // those that wait
	thatAreIn = "t.id IN @which"         // some
	sweptSoon = "c.state_since < @which" // those whose connection is about to go
)

// pass gives timers to the organisation's connection where that takes the place of the workspace's own.
func (t *Table) pass(tx *gorm.DB, where string, which any) error {
	values := map[string]any{"dead": dead, "running": running, "which": which}
	if err := tx.Exec(fmt.Sprintf(dropInherited, where), values).Error; err != nil {
		return err
	}
	return tx.Exec(fmt.Sprintf(inherit, where), values).Error
}

// BeforeSweep passes on what connections have that were removed before a time, in microseconds since 1970.
func (t *Table) BeforeSweep(ctx context.Context, before int64) error {
	err := t.pool.Transact(ctx, func(tx *gorm.DB) error { return t.pass(tx, sweptSoon, before) })
	return db.Fault(ctx, "pass timers on", err)
}
