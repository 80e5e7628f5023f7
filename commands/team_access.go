package commands

// What Slack says of an organisation of workspaces, and of channels that change their ids. install decides what it means; a
// connection that is an organisation's never goes because one of its workspaces does.
// https://docs.slack.dev/enterprise/developing-for-enterprise-orgs

import (
	"context"

	"switchboard/bot"
)

// teams lists the workspaces that an organisation's app was added to or taken from.
type teams struct {
	IDs []string `json:"team_ids"`
}

var teamAccessGranted = bot.OnEvent("team_access_granted", func(ctx context.Context, t *bot.Turn, e *teams) error {
	return t.Install.HandleTeamAccess(ctx, true, e.IDs, t.At)
}).Always()

var teamAccessRevoked = bot.OnEvent("team_access_revoked", func(ctx context.Context, t *bot.Turn, e *teams) error {
	return t.Install.HandleTeamAccess(ctx, false, e.IDs, t.At)
}).Always()

// While a workspace is moved Slack may refuse calls. They are tried again as after other trouble; the history says why.
var migrationStarted = bot.OnEvent("grid_migration_started", func(ctx context.Context, t *bot.Turn, _ *struct{}) error {
	return t.Install.HandleMigrationStarted(ctx)
}).Always()

// Afterwards the token tells where it belongs now.
var migrationFinished = bot.OnEvent("grid_migration_finished", func(ctx context.Context, t *bot.Turn, _ *struct{}) error {
	return t.Install.HandleMigrationFinished(ctx)
}).Always()

// channelIDs comes where the app was granted to see channels at all.
type channelIDs struct {
	From string `json:"old_channel_id"`
	To   string `json:"new_channel_id"`
}

var channelIDChanged = bot.OnEvent("channel_id_changed", func(ctx context.Context, t *bot.Turn, e *channelIDs) error {
	return t.Install.HandleChannelChanged(ctx, e.From, e.To)
}).Always()
