// Package manifest knows the app's settings at Slack: they are made from, exported as, compared with and replaced by an
// app manifest, with a configuration token whose renewals it keeps.
//
//	tokens := manifest.Tokens{Token: token, Refresh: refresh, Folder: dataDir, Slack: api}
//	at := manifest.Client{Slack: api, Tokens: &tokens}
//	exported, err := at.Export(ctx, "A0123ABC")
//	compared, err := manifest.Compare(ours, exported)
package manifest

// The calls. What slack-go has for them answers with the manifest as it was sent, so that no key is lost.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/server"
)

// Client calls Slack's methods for manifests. Each call blocks for its answers, and for a minute where Slack asks for
// patience. A setting that is wrong is a *server.ConfigError, a manifest that Slack refuses an *Invalid.
type Client struct {
	Slack  *slackapi.API
	Tokens *Tokens

	wait func(ctx context.Context, d time.Duration) error // for the tests; nil: by the clock
}

// Created is an app that Slack made. Slack tells its secrets this once.
type Created struct {
	AppID         string
	ClientID      string
	ClientSecret  connection.Secret
	SigningSecret connection.Secret
	AuthorizeURL  string // where the app can be installed
}

// Problem is one reason why Slack refuses a manifest, with a JSON pointer to its place.
type Problem struct {
	Message string `json:"message"`
	Pointer string `json:"pointer"`
}

// Invalid is a manifest that Slack refuses.
type Invalid struct{ Problems []Problem }

// Error is every reason, one a line.
func (e *Invalid) Error() string {
	lines := []string{"Slack refuses the manifest"}
	for _, p := range e.Problems {
		at := p.Pointer
		if at == "" {
			at = "/"
		}
		lines = append(lines, "  "+at+": "+p.Message)
	}
	return strings.Join(lines, "\n")
}

// Create makes an app from a manifest, in the workspace of whoever the configuration token belongs to.
func (c *Client) Create(ctx context.Context, manifest json.RawMessage) (Created, error) {
	var made *slack.ManifestResponse
	err := c.call(ctx, "", func(client *slack.Client, token string) (err error) {
		made, err = client.CreateManifestRawContext(ctx, manifest, token)
		return invalid(made, err)
	})
	if err != nil {
		return Created{}, err
	}
	if made.AppId == "" || made.Credentials == nil {
		return Created{}, errors.New("create app: Slack's answer has no app, or no credentials; look at api.slack.com/apps")
	}
	return Created{AppID: made.AppId, ClientID: made.Credentials.ClientId,
		ClientSecret: connection.Secret(made.Credentials.ClientSecret), AuthorizeURL: made.OAuthAuthorizeUrl,
		SigningSecret: connection.Secret(made.Credentials.SigningSecret)}, nil
}

// Update replaces an app's manifest. permissions says that another set of permissions is asked for from now on.
func (c *Client) Update(ctx context.Context, appID string, manifest json.RawMessage) (permissions bool, err error) {
	var done *slack.UpdateManifestResponse
	err = c.call(ctx, appID, func(client *slack.Client, token string) (err error) {
		if done, err = client.UpdateManifestRawContext(ctx, manifest, token, appID); done == nil {
			return err
		}
		return invalid(&done.ManifestResponse, err)
	})
	if err != nil {
		return false, err
	}
	return done.PermissionsUpdated, nil
}

// Validate has Slack check a manifest: as that of an app, or of a new one for "".
func (c *Client) Validate(ctx context.Context, appID string, manifest json.RawMessage) error {
	return c.call(ctx, appID, func(client *slack.Client, token string) error {
		return invalid(client.ValidateManifestRawContext(ctx, manifest, token, appID))
	})
}

// Export is an app's manifest as Slack has it.
func (c *Client) Export(ctx context.Context, appID string) (manifest json.RawMessage, err error) {
	err = c.call(ctx, appID, func(client *slack.Client, token string) (err error) {
		manifest, err = client.ExportManifestRawContext(ctx, token, appID)
		return err
	})
	return manifest, err
}

// Delete removes an app for good, from every workspace.
func (c *Client) Delete(ctx context.Context, appID string) error {
	return c.call(ctx, appID, func(client *slack.Client, token string) error {
		_, err := client.DeleteManifestContext(ctx, token, appID)
		return err
	})
}

// invalid is err, or what an answer says of the manifest.
func invalid(answer *slack.ManifestResponse, err error) error {
	if answer == nil || slackapi.SlackError(err) != "invalid_manifest" {
		return err
	}
	e := &Invalid{}
	for _, p := range answer.Errors {
		e.Problems = append(e.Problems, Problem{Message: p.Message, Pointer: p.Pointer})
	}
	return e
}

// mostPatience is how long Slack may ask to wait: its methods for manifests take one call a minute.
const mostPatience = 65 * time.Second

// call makes a call with a token that is good, renewed if Slack says that it ran out, and again after a pause that Slack
// asks for.
func (c *Client) call(ctx context.Context, appID string, do func(client *slack.Client, token string) error) error {
	token, err := c.Tokens.Good(ctx)
	if err != nil {
		return err
	}
	client := slack.New("", slack.OptionHTTPClient(c.Slack.HTTP), slack.OptionAPIURL(c.Slack.Address+"/api/"))

	err = do(client, token.Reveal())
	if slackapi.SlackError(err) == connection.ReasonTokenExpired {
		if token, err = c.Tokens.Renew(ctx, token); err != nil {
			return err
		}
		err = do(client, token.Reveal())
	}
	if pause, limited := slackapi.RetryAfter(err); limited && pause <= mostPatience {
		if err := c.pause(ctx, pause); err != nil {
			return err
		}
		err = do(client, token.Reveal())
	}
	return explained(err, appID)
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c.wait != nil {
		return c.wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TokensPage is where configuration tokens are made.
const TokensPage = "https://api.slack.com/apps"

const newPair = "make a new pair at " + TokensPage + " under Your App Configuration Tokens, and set SLACK_CONFIG_TOKEN " +
	"and SLACK_CONFIG_REFRESH_TOKEN to it"

// explained is a refusal of Slack's as the setting that is wrong, where it is about one.
func explained(err error, appID string) error {
	var refused *Invalid
	if err == nil || errors.As(err, &refused) {
		return err
	}
	switch code := slackapi.SlackError(err); code {
	case connection.ReasonTokenExpired:
		return server.Wrong("SLACK_CONFIG_TOKEN", "has expired: configuration tokens live for 12 hours", newPair)
	case "not_allowed_token_type", "missing_scope":
		return server.Wrong("SLACK_CONFIG_TOKEN", "is a token of another kind ("+code+"); a configuration token begins with "+
			"xoxe.xoxp-", newPair)
	case "invalid_auth", "token_revoked", "account_inactive", "not_authed":
		return server.Wrong("SLACK_CONFIG_TOKEN", "isn't known to Slack ("+code+")", newPair)
	case "invalid_app_id", "app_not_found":
		return server.Wrong("SLACK_APP_ID", "is "+appID+", and Slack knows no such app ("+code+")",
			"copy it from the app's Basic Information page at "+TokensPage)
	case "no_permission", "access_denied", "app_not_owned_by_manager_app", "app_not_eligible":
		return server.Wrong("SLACK_CONFIG_TOKEN", "belongs to somebody who can't change the app "+appID+" ("+code+")",
			"have one of the app's collaborators make the token, or be added on the app's Collaborators page")
	case "ratelimited":
		return fmt.Errorf("too many calls: try again in a few minutes: %w", err)
	case "":
		return fmt.Errorf("ask Slack: %w", slackapi.Cause(err))
	}
	return fmt.Errorf("refused by Slack: %w", err)
}
