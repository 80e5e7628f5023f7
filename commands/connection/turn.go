package connection

// One delivery, and what nearly every answer to it says.

import (
	"context"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// turn is one delivery to the command's handlers.
type turn struct {
	*bot.Turn
	command Command
}

// app is the app's name, escaped.
func (t turn) app() string { return mrkdwn.Escape(t.Install.App().Name) }

// place is what the connection is for, escaped.
func (t turn) place() string { return mrkdwn.Name(t.Connection.Place()) }

// ref goes behind other sentences: how people quote this answer, for those who look into the logs.
func (t turn) ref() string { return " Reference: " + t.Ref + "." }

// warn logs what Slack refused.
func (t turn) warn(ctx context.Context, what string, err error) {
	t.Log.WarnContext(ctx, what, "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
}

// refused says that Slack refused something and why. needed are the permissions that it takes.
func (t turn) refused(text string, err error, needed ...string) bot.Reply {
	return bot.Reply{Text: text + " " + slackSaid(t, err, needed...) + t.ref()}
}

// paragraph is a text, shown as such with more blocks below it.
func paragraph(text string, more ...slack.Block) bot.Reply {
	return bot.Reply{Text: text, Blocks: append([]slack.Block{mrkdwn.Section(text)}, more...)}
}
