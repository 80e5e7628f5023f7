package commands

// What Slack says when the app leaves a workspace. Both events come at an uninstall, in any order, perhaps late; install
// decides what they mean. https://docs.slack.dev/reference/events/tokens_revoked

import (
	"context"
	"errors"

	"switchboard/bot"
	"switchboard/install/connection"
)

var uninstalled = bot.OnEvent("app_uninstalled", func(ctx context.Context, t *bot.Turn, _ *struct{}) error {
	return t.Install.HandleRemoval(ctx, connection.Removal{Reason: connection.ReasonUninstalled, At: t.At})
})

// revoked lists the users whose tokens are gone, never the tokens.
type revoked struct {
	Tokens struct {
		Bot    []string `json:"bot"`
		People []string `json:"oauth"`
	} `json:"tokens"`
}

var tokensRevoked = bot.OnEvent("tokens_revoked", func(ctx context.Context, t *bot.Turn, e *revoked) error {
	// Either list may be missing: a person who takes back what they allowed leaves the bot's access alone. Both are handled
	// whatever becomes of the other, and the event comes again until both are; doing one twice changes nothing.
	var ours, theirs error
	if len(e.Tokens.Bot) > 0 {
		ours = t.Install.HandleRemoval(ctx, connection.Removal{Reason: connection.ReasonTokenRevoked, At: t.At})
	}
	if len(e.Tokens.People) > 0 {
		theirs = t.Install.HandleUsersRevoked(ctx, e.Tokens.People, t.At)
	}
	return errors.Join(ours, theirs)
}).Always()
