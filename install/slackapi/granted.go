package slackapi

// What Slack answers to a code or a refresh token. The code is spent and the tokens live the moment Slack answers, so
// nothing in the answer may throw them away: a field of another JSON type than the documented one is read as what it
// says, or left out.

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// word is text. Numbers and booleans are read as they are written, a list as its words with commas between.
type word string

// UnmarshalJSON never fails: what is no text at all is "".
func (w *word) UnmarshalJSON(raw []byte) error {
	*w = ""
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || raw[0] == '{' || string(raw) == "null":
	case raw[0] == '[':
		var parts []word
		_ = json.Unmarshal(raw, &parts)
		texts := make([]string, len(parts))
		for i, p := range parts {
			texts[i] = string(p)
		}
		*w = word(strings.Join(texts, ","))
	case raw[0] == '"':
		var text string
		_ = json.Unmarshal(raw, &text)
		*w = word(strings.TrimSpace(text))
	default:
		*w = word(raw)
	}
	return nil
}

// flag is a boolean, also as text or as a number: "true", "1", 1, 1.0.
type flag bool

// UnmarshalJSON never fails: what is no yes is a no.
func (f *flag) UnmarshalJSON(raw []byte) error {
	var w word
	_ = w.UnmarshalJSON(raw)
	yes, err := strconv.ParseBool(strings.ToLower(string(w)))
	if err != nil {
		number, err := strconv.ParseFloat(string(w), 64)
		yes = err == nil && number != 0 && number == number
	}
	*f = flag(yes)
	return nil
}

// span is a number of seconds, also as text. What is none, or can't be a token's life, is 0: not known.
type span time.Duration

// longestLife is far beyond the twelve hours of Slack's rotating tokens, and far from where a time.Duration ends.
const longestLife = 10 * 365 * 24 * time.Hour

// UnmarshalJSON never fails.
func (s *span) UnmarshalJSON(raw []byte) error {
	var w word
	_ = w.UnmarshalJSON(raw)
	*s = 0
	if number, err := strconv.ParseFloat(string(w), 64); err == nil && number > 0 && number <= longestLife.Seconds() {
		*s = span(number * float64(time.Second))
	}
	return nil
}

// named is a workspace or an organisation; null in an answer for the other of the two.
type named struct {
	ID   word `json:"id"`
	Name word `json:"name"`
}

// Granted is what oauth.v2.access and oauth.v2.exchange answer. A renewal needs the first part of it alone.
// https://docs.slack.dev/reference/methods/oauth.v2.access
type Granted struct {
	AccessToken  word `json:"access_token"`
	RefreshToken word `json:"refresh_token"`
	ExpiresIn    span `json:"expires_in"`
	Scope        word `json:"scope"`

	TokenType           word  `json:"token_type"`
	AppID               word  `json:"app_id"`
	BotUserID           word  `json:"bot_user_id"`
	Team                named `json:"team"`
	Enterprise          named `json:"enterprise"`
	IsEnterpriseInstall flag  `json:"is_enterprise_install"`
	IncomingWebhook     struct {
		URL              word `json:"url"`
		Channel          word `json:"channel"`
		ChannelID        word `json:"channel_id"`
		ConfigurationURL word `json:"configuration_url"`
	} `json:"incoming_webhook"`
	AuthedUser struct {
		ID           word `json:"id"`
		AccessToken  word `json:"access_token"`
		RefreshToken word `json:"refresh_token"`
		ExpiresIn    span `json:"expires_in"`
		Scope        word `json:"scope"`
	} `json:"authed_user"`
}

// of is the connection that a consent at a time is for. A field that Slack left out, or that could not be read, is
// empty.
func (g Granted) Connection(at time.Time) connection.Connection {
	c := connection.Connection{
		Key: connection.Key{AppID: string(g.AppID), EnterpriseID: string(g.Enterprise.ID),
			TeamID: string(g.Team.ID)},
		TeamName:       string(g.Team.Name),
		EnterpriseName: string(g.Enterprise.Name),
		BotUserID:      string(g.BotUserID),
		Scopes:         connection.SplitScopes(string(g.Scope)),
		TokenPair: connection.Started(connection.Secret(g.AccessToken), connection.Secret(g.RefreshToken),
			time.Duration(g.ExpiresIn), at),
		Webhook: connection.Webhook{
			URL: connection.Secret(g.IncomingWebhook.URL), Channel: string(g.IncomingWebhook.Channel),
			ChannelID: string(g.IncomingWebhook.ChannelID), ConfigurationURL: string(g.IncomingWebhook.ConfigurationURL),
		},
		InstalledBy:  string(g.AuthedUser.ID),
		InstalledAt:  at,
		AuthorizedBy: string(g.AuthedUser.ID),
		AuthorizedAt: at,
		State:        connection.Active,
		StateSince:   at,
	}
	if g.IsEnterpriseInstall {
		// Even if Slack names a team: the token is the organisation's.
		c.TeamID = ""
		c.TeamName = c.EnterpriseName
	}
	return c
}
