package install

// The Web API clients that handlers work with.

import (
	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Client returns a Web API client with c's token. What Slack answers also says how the connection is, and is kept. It is
// cheap: make one for each piece of work. It may be used from several goroutines. Calls keep to Slack's limits: they block
// until their turn, or fail with a *slack.RateLimitedError when that is too far away.
func (in *Installer) Client(c connection.Connection) *slack.Client { return in.ClientIn(c, "") }

// ClientIn is Client for work in one workspace: with an organisation's connection every call that names no workspace (team_id)
// names that one, as Slack asks of such tokens.
func (in *Installer) ClientIn(c connection.Connection, teamID string) *slack.Client {
	return in.slack.Client(c.Token, c.Key, teamID, witness{in, c})
}
