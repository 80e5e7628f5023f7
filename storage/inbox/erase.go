package inbox

// When a connection is removed, so is what people wrote to it.

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/columns"
)

// unfinished are the events that are not done and meet a condition. Each state has an index of its own.
func unfinished(condition string) string {
	states := []string{"state = 'ready'", "state IN ('held', 'waiting')", "state = 'dead'",
		"lane <> '' AND state IN ('ready', 'held', 'waiting', 'queued') AND state = 'queued'"}
	for i, state := range states {
		states[i] = "SELECT id FROM inbox WHERE " + state + " AND " + condition
	}
	return strings.Join(states, " UNION ALL ")
}

const (
	// The messages of a connection that is removed are those that it answered for (Lookup): of a workspace's, whatever
	// organisation it was in when they came, unless another connection of the workspace lives on; of an organisation's,
	// those of the workspaces that have none of their own.
	messagesOfTeam = "app_id = @app AND team_id = @team AND (enterprise_id = @enterprise OR NOT EXISTS (" +
		"SELECT 1 FROM connections c WHERE c.app_id = @app AND c.team_id = @team AND c.state <> 'removed'))"
	messagesOfOrg = "app_id = @app AND enterprise_id = @enterprise AND NOT EXISTS (SELECT 1 FROM connections c WHERE " +
		"c.app_id = @app AND c.team_id = inbox.team_id AND c.team_id <> '' AND c.state <> 'removed')"

	// Messages that nobody answers for any longer: what came after the removal, or was there when a release removed the
	// connection that erases nothing.
	messagesOfNobody = "(EXISTS (SELECT 1 FROM connections c WHERE c.app_id = inbox.app_id AND c.team_id = inbox.team_id " +
		"AND c.team_id <> '' AND c.state = 'removed') OR EXISTS (" + orgsConnection + " AND c.state = 'removed')) " +
		"AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.app_id = inbox.app_id AND c.team_id = inbox.team_id " +
		"AND c.team_id <> '' AND c.state <> 'removed') AND NOT EXISTS (" + orgsConnection + " AND c.state <> 'removed')"
	orgsConnection = "SELECT 1 FROM connections c WHERE c.app_id = inbox.app_id AND c.enterprise_id = " +
		"inbox.enterprise_id AND c.enterprise_id <> '' AND c.team_id = ''"
)

// EraseMessages erases what waits or failed for a connection that is being removed.
func (t *Table) EraseMessages(tx *gorm.DB, k connection.Key) (int64, error) {
	whose := messagesOfTeam
	if k.TeamID == "" {
		whose = messagesOfOrg
	}
	return t.erase(tx, unfinished(whose), map[string]any{"app": k.AppID, "enterprise": k.EnterpriseID, "team": k.TeamID})
}

// EraseLeft erases what waits or failed for an organisation's connection and came until a time from workspaces that it
// was taken from. Slack's clock has whole seconds.
func (t *Table) EraseLeft(tx *gorm.DB, k connection.Key, teamIDs []string, at time.Time) (int64, error) {
	return t.erase(tx, unfinished(messagesOfOrg+" AND team_id IN @teams AND received_at < @until"), map[string]any{
		"app": k.AppID, "enterprise": k.EnterpriseID, "teams": teamIDs, "until": columns.Micros(at.Add(time.Second))})
}

// eraseLeftOver erases the messages of nobody that are not about to be worked, once a minute.
func (t *tidier) eraseLeftOver(ctx context.Context) (err error) {
	now := t.in.now()
	if now.Sub(t.searched) < time.Minute && !now.Before(t.searched) {
		return nil
	}
	t.searched = now
	if err := t.takeUpTimers(ctx); err != nil {
		return err
	}

	const left = "SELECT id FROM inbox WHERE state = 'dead' AND " + messagesOfNobody +
		" UNION ALL SELECT id FROM inbox WHERE state IN ('held', 'waiting') AND state = 'waiting' AND " + messagesOfNobody
	var some []int64
	if err := t.in.pool.Read.WithContext(ctx).Raw("SELECT id FROM (" + left + ") AS messages LIMIT 1").
		Scan(&some).Error; err != nil || len(some) == 0 {
		return err
	}
	var n int64
	err = t.in.pool.Exec(ctx, func(g *gorm.DB) error {
		n, err = t.in.table.erase(g, left, map[string]any{})
		return err
	})
	t.in.table.NoteErased(ctx, n)
	return err
}

// erase gives up events, except what Slack says of the removal itself as long as it is to be worked. Whoever has one of
// them in hand finds that it is somebody else's (bot.ErrLost).
func (t *Table) erase(tx *gorm.DB, which string, values map[string]any) (int64, error) {
	values["none"], values["now"], values["why"], values["lifecycle"] = []byte{}, columns.Micros(t.pool.Now()), erasedWith,
		bot.LifecycleEvents()
	erased := tx.Exec("UPDATE inbox SET state = 'done', payload = @none, visible_at = 0, said = '', stream = '', "+
		"finished_at = @now, "+
		"error = @why "+
		"WHERE state <> 'done' AND NOT (state <> 'dead' AND kind = 'events_api' AND type IN @lifecycle) AND id IN ("+which+
		")", values)
	return erased.RowsAffected, erased.Error
}

// NoteErased counts what was erased, and tells operators of it.
func (t *Table) NoteErased(ctx context.Context, n int64) {
	if n == 0 {
		return
	}
	t.erased.Add(n)
	t.pool.Log().InfoContext(ctx, "messages of a removed connection are erased", "events", n)
}
