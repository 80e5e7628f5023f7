package install

// Single-workspace mode: the operator has a bot token and wants no OAuth. The token becomes the one connection.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/watch"
)

// TokenError says why a token cannot serve as the bot token, in a sentence for the operator. It does not hold the
// token.
type TokenError struct{ Problem string }

// Error is the sentence in Problem.
func (e *TokenError) Error() string { return e.Problem }

const botTokenNeeded = " What is needed is the bot token: in your app's settings, under OAuth & Permissions, " +
	"the Bot User OAuth Token that starts with xoxb-."

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
	return &TokenError{"This is not a token of a kind that Slack gives to apps today " +
		"(perhaps a legacy or a verification token)." + botTokenNeeded}
}

// Adopt makes the bot token of cfg.BotToken the one connection: its kind is checked, then Slack is asked. A *TokenError
// when the token is the wrong one or Slack refuses it; any other error is trouble that can pass. Call it before
// anything else uses the Installer.
func (in *Installer) Adopt(ctx context.Context) (connection.Connection, error) {
	if err := CheckTokenKind(in.cfg.BotToken); err != nil {
		return connection.Connection{}, err
	}
	id, err := in.identify(ctx)
	if err != nil {
		return connection.Connection{}, err
	}
	appID, err := in.adoptedApp(id)
	if err != nil {
		return connection.Connection{}, err
	}

	c, err := in.putAdopted(ctx, appID, id)
	if err != nil {
		return connection.Connection{}, fmt.Errorf("store the connection: %w", err)
	}
	if m, ok := in.mode.(*watch.ByToken); ok {
		m.Adopt(c.Key)
	}
	in.flow.LearnNames(ctx, &c)
	return c, nil
}

// identify asks Slack whose the bot token is.
func (in *Installer) identify(ctx context.Context) (connection.Identity, error) {
	id, err := in.slack.Identify(ctx, in.cfg.BotToken)
	switch {
	case err != nil && slackapi.Decisive(err):
		return id, &TokenError{fmt.Sprintf("Slack does not accept this token (it says %s).%s",
			slackapi.SlackError(err), botTokenNeeded)}
	case err != nil:
		return id, fmt.Errorf("check bot token: %w", slackapi.Cause(err))
	case id.BotID == "":
		return id, &TokenError{"This token works but does not belong to a bot." + botTokenNeeded}
	}
	return id, nil
}

// adoptedApp is the app that the bot token belongs to, by Slack's word and by the setting.
func (in *Installer) adoptedApp(id connection.Identity) (string, error) {
	set := in.cfg.AppID
	switch {
	case set != "" && id.AppID != "" && id.AppID != set:
		return "", &TokenError{fmt.Sprintf("This token belongs to the app %s, and the app's id is set to %s. "+
			"Set the two to the same app.", id.AppID, set)}
	case set == "" && id.AppID == "":
		return "", &TokenError{"Slack did not say which app this token belongs to. Set the app's id, too " +
			"(A…, on your app's Basic Information page)."}
	}
	return cmp.Or(id.AppID, set), nil
}

// putAdopted stores the connection of the bot token.
func (in *Installer) putAdopted(ctx context.Context, appID string, id connection.Identity) (
	connection.Connection, error,
) {
	token, now := in.cfg.BotToken, in.cfg.Now()
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
		in.cfg.Log.WarnContext(ctx, "the bot token expires and cannot be renewed without OAuth", "expires_at", c.ExpiresAt)
	}

	in.tokens.Pairs.Rehome(ctx, c.Key)
	known, err := in.cfg.Store.Lookup(ctx, c.Key)
	switch {
	case err == nil && known.Key == c.Key && known.Token == token && known.State != connection.Removed:
		// The same token after a restart is no new install: only what Slack said of it is kept.
		return in.cfg.Store.Update(ctx, c.Key, func(row *connection.Connection) error {
			row.Judge(id, "", now)
			row.BotUserID, row.BotID = id.UserID, id.BotID
			return nil
		})
	case err == nil, errors.Is(err, connection.ErrNotFound):
		c.LeftOut(in.cfg.Scopes)
		c, _, err = in.cfg.Store.Put(ctx, c)
	}
	return c, err
}
