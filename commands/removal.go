package commands

// What Slack says when the app leaves a workspace. Both events come at an uninstall, in any order, perhaps late; install
// decides what they mean. https://docs.slack.dev/reference/events/tokens_revoked

import (
	"context"

	"switchboard/bot"
	"switchboard/install"
)

var uninstalled = bot.OnEvent("app_uninstalled", func(ctx context.Context, t *bot.Turn, _ *struct{}) error {
	return t.Install.RemovalSaid(ctx, t.Key, install.Removal{Reason: install.ReasonUninstalled, At: t.At})
}).Always()

// revoked lists the users whose tokens are gone, never the tokens.
type revoked struct {
	Tokens struct {
		Bot []string `json:"bot"`
	} `json:"tokens"`
}

var tokensRevoked = bot.OnEvent("tokens_revoked", func(ctx context.Context, t *bot.Turn, e *revoked) error {
	if len(e.Tokens.Bot) == 0 {
		return nil // a person took back their own token; the bot's still works
	}
	return t.Install.RemovalSaid(ctx, t.Key, install.Removal{Reason: install.ReasonTokenRevoked, At: t.At})
}).Always()
