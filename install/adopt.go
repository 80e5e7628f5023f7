package install

// Single-workspace mode: the operator has a bot token and wants no OAuth. The token becomes the one connection.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/watch"
)

// TokenError says why a token cannot serve as the bot token, in a sentence for the operator. It does not hold the token.
type TokenError struct{ Problem string }

// Error is the sentence in Problem.
func (e *TokenError) Error() string { return e.Problem }

const botTokenNeeded = " What is needed is the bot token: in your app's settings, under OAuth & Permissions, the Bot User OAuth Token " +
	"that starts with xoxb-."

// CheckTokenKind refuses, from its prefix alone, a token that cannot be a bot's. A *TokenError.
// https://docs.slack.dev/authentication/tokens
func CheckTokenKind(token connection.Secret) error {
	t := token.Reveal()
	kinds := []struct{ prefix, problem string }{
		{"xoxb-", ""},
		{"xoxe.xoxb-", ""},
		{"xoxe.xoxp-", "This is a user or configuration token (xoxe.xoxp-): it acts for a person, or edits app settings."},
		{"xoxe-", "This is a refresh token (xoxe-): it can only be exchanged for another token."},
		{"xoxp-", "This is a user token (xoxp-): it acts for a person, not for the app's bot."},
		{"xapp-", "This is an app-level token (xapp-): it opens sockets but cannot act in a workspace."},
		{"xoxa-", "This is a token of a workspace app (xoxa-), a kind that Slack retired in 2021."},
		{"xoxr-", "This is a refresh token of a workspace app (xoxr-), a kind that Slack retired in 2021."},
		{"xoxs-", "This is a session token of Slack's own client (xoxs-), which apps may not use."},
		{"xoxc-", "This is a session token of Slack's own client (xoxc-), which apps may not use."},
		{"xwfp-", "This is a workflow token (xwfp-): it ends with the workflow step it was made for."},
	}
	for _, k := range kinds {
		if strings.HasPrefix(t, k.prefix) {
			if k.problem == "" {
				return nil
			}
			return &TokenError{k.problem + botTokenNeeded}
		}
	}
	return &TokenError{"This is not a token of a kind that Slack gives to apps today (perhaps a legacy or a verification token)." + botTokenNeeded}
}

// Adopt makes the bot token of cfg.BotToken the one connection: its kind is checked, then Slack is asked. A *TokenError
// when the token is the wrong one or Slack refuses it; any other error is trouble that can pass. Call it before anything
// else uses the Installer.
func (in *Installer) Adopt(ctx context.Context) (connection.Connection, error) {
	token := in.cfg.BotToken
	if err := CheckTokenKind(token); err != nil {
		return connection.Connection{}, err
	}
	id, err := in.slack.Identify(ctx, token)
	if err != nil {
		if slackapi.Decisive(err) {
			return connection.Connection{}, &TokenError{fmt.Sprintf("Slack does not accept this token (it says %s).%s", slackapi.SlackError(err), botTokenNeeded)}
		}
		return connection.Connection{}, fmt.Errorf("check bot token: %w", slackapi.Cause(err))
	}
	if id.BotID == "" {
		return connection.Connection{}, &TokenError{"This token works but does not belong to a bot." + botTokenNeeded}
	}
	appID := id.AppID
	if in.cfg.AppID != "" && appID != "" && appID != in.cfg.AppID {
		return connection.Connection{}, &TokenError{fmt.Sprintf("This token belongs to the app %s, and the app's id is set to %s. "+
			"Set the two to the same app.", appID, in.cfg.AppID)}
	}
	if appID == "" {
		appID = in.cfg.AppID
	}
	if appID == "" {
		return connection.Connection{}, &TokenError{"Slack did not say which app this token belongs to. Set the app's id, too " +
			"(A…, on your app's Basic Information page)."}
	}
	now := in.now()
	c := connection.Connection{
		Key:       connection.Key{AppID: appID, EnterpriseID: id.EnterpriseID, TeamID: id.TeamID},
		TeamName:  id.Team,
		TeamURL:   id.URL,
		BotUserID: id.UserID,
		BotID:     id.BotID,
		Scopes:    id.Scopes,
		TokenPair: connection.Started(token, "", time.Duration(id.ExpiresIn)*time.Second, now),

		InstalledAt:  now,
		AuthorizedAt: now,
		State:        connection.Active,
		StateSince:   now,
		CheckedAt:    now,
	}
	if id.IsEnterpriseInstall {
		c.TeamID = ""
	}
	if id.ExpiresIn > 0 {
		in.log.WarnContext(ctx, "the bot token expires and cannot be renewed without OAuth", "expires_at", c.ExpiresAt)
	}
	in.tokens.Pairs.Rehome(ctx, c.Key)
	known, err := in.store.Lookup(ctx, c.Key)
	if err == nil && known.Key == c.Key && known.Token == token && known.State != connection.Removed {
		// The same token after a restart is no new install: only what Slack said of it is kept.
		c, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			row.Judge(id, "", now)
			row.BotUserID, row.BotID = id.UserID, id.BotID
			return nil
		})
	} else if err == nil || errors.Is(err, connection.ErrNotFound) {
		c.LeftOut(in.cfg.Scopes)
		c, _, err = in.store.Put(ctx, c)
	}
	if err != nil {
		return connection.Connection{}, fmt.Errorf("store the connection: %w", err)
	}
	if m, ok := in.mode.(*watch.ByToken); ok {
		m.Adopt(c.Key)
	}
	in.flow.LearnNames(ctx, &c)
	return c, nil
}
