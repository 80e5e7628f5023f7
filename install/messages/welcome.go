package messages

// The first message: to the person who installed, once, and to nobody else.

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
)

// stepsShown is how much of what people can do with the app is proposed.
const stepsShown = 3

// Welcome greets the person who installed.
func (m Messages) Welcome(ctx context.Context, client *slack.Client, c connection.Connection) error {
	_, _, err := m.welcome(c).post(ctx, client, c.InstalledBy)
	return err
}

// welcome says what is connected, what the app can read, and what to try first.
func (m Messages) welcome(c connection.Connection) message {
	place, ahead := mrkdwn.Name(cmp.Or(c.TeamName, "your workspace")), ""
	if c.Org() {
		place = mrkdwn.Name(c.Place())
		ahead = "Until an admin of the organisation adds it to workspaces, it won't respond in any. "
	}
	app := mrkdwn.Escape(m.App.Name)
	text := strings.TrimSpace(fmt.Sprintf("%s is now connected to %s. %s", app, place, ahead))
	if command := m.App.Commands.Status; command != "" {
		text += " Type " + mrkdwn.Escape(command) + " any time to see whether it works."
	}

	connected := fmt.Sprintf("%s is now connected to *%s*.", app, place)
	if missing := c.Missing(m.Scopes); len(missing) > 0 {
		connected += " Not allowed: " + mrkdwn.List(connection.Labels(missing)) + "."
	}
	blocks := []slack.Block{mrkdwn.Section(connected), mrkdwn.Section(sees(c) + "\n" + ahead + m.tryFirst(c))}
	if buttons := m.buttons(c); len(buttons) > 0 {
		blocks = append(blocks, slack.NewActionBlock("", buttons...))
	}

	foot := "You're getting this because you installed the app. Nobody else was notified."
	if m.App.Operator != "" {
		foot += " Run by " + mrkdwn.Name(m.App.Operator) + "."
	}
	if m.App.SupportURL != "" {
		foot += " " + mrkdwn.Link(m.App.SupportURL, "Get help")
	}
	return message{text: text, blocks: append(blocks, mrkdwn.Context(foot))}
}

// tryFirst says what to begin with: the command that shows whether it works, or else what the app does.
func (m Messages) tryFirst(c connection.Connection) string {
	first := "*First thing to try:* type `" + mrkdwn.Escape(m.App.Commands.Status) + "` in any channel."
	if m.App.Commands.Status == "" {
		steps := m.App.Does[:min(stepsShown, len(m.App.Does))]
		first = mrkdwn.Escape(mrkdwn.Clip(strings.Join(steps, "\n"), maxSentence))
	}
	if slices.Contains(c.Scopes, "app_mentions:read") {
		first += " To mention it in a channel, type `/invite @" + mrkdwn.Escape(m.App.Name) + "` there first."
	}
	return strings.TrimSpace(first)
}

func (m Messages) buttons(c connection.Connection) []slack.BlockElement {
	if !m.Home {
		return m.Buttons
	}
	at := url.Values{"app": {c.AppID}}
	if c.TeamID != "" {
		at.Set("team", c.TeamID)
	}
	open := mrkdwn.Button("connection.open", "Open Home", "")
	open.URL = cmp.Or(m.SlackURL, "https://slack.com") + "/app_redirect?" + at.Encode()
	return slices.Concat([]slack.BlockElement{open}, m.Buttons)
}

// sees says what the app may read, as far as that was allowed.
func sees(c connection.Connection) string {
	direct, mentions := slices.Contains(c.Scopes, "im:history"), slices.Contains(c.Scopes, "app_mentions:read")
	var wide []string
	for _, in := range []struct{ scope, read string }{
		{"channels:history", "public channels"},
		{"groups:history", "private channels"},
		{"mpim:history", "group messages"},
	} {
		if slices.Contains(c.Scopes, in.scope) {
			wide = append(wide, in.read)
		}
	}

	all := "all messages in " + connection.And(wide) + " that it was added to."
	switch {
	case len(wide) > 0 && direct:
		return "It can read messages you send it here, and " + all
	case len(wide) > 0:
		return "It can read " + all
	case direct && mentions:
		return "It can only read messages you send it here and messages that @mention it."
	case direct:
		return "It can only read messages you send it here. It isn't allowed to read messages that @mention it."
	case mentions:
		return "It can only read messages that @mention it. It isn't allowed to read what you write to it here."
	}
	return "It can't read any messages: neither what you write to it here nor messages that @mention it."
}
