package commands

// The first message: to the person who installed, once, and to nobody else.

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Welcome greets the person who installed.
func (m messages) Welcome(ctx context.Context, client *slack.Client, c connection.Connection) error {
	blocks, text := welcomeBlocks(m.app, m.slackURL, c, c.Missing(Catalogue()))
	// The user's id as the channel: Slack opens the direct message by itself.
	if _, _, err := client.PostMessageContext(ctx, c.InstalledBy, slack.MsgOptionText(text, false), slack.MsgOptionBlocks(blocks...)); err != nil {
		return fmt.Errorf("send welcome message: %w", err)
	}
	return nil
}

func welcomeBlocks(app install.App, slackURL string, c connection.Connection, missing []connection.Scope) (blocks []slack.Block, text string) {
	team, first := short(cmp.Or(c.TeamName, "your workspace")), ""
	if c.Org() {
		team, first = place(c), "Until an admin of the organisation adds it to workspaces, it won't respond in any. "
	}
	text = fmt.Sprintf("%s is now connected to %s. %sType /connection status any time to see whether it works.", app.Name, team, first)
	invite := ""
	if slices.Contains(c.Scopes, "app_mentions:read") {
		invite = " To mention it in a channel, type `/invite @" + escape(app.Name) + "` there first."
	}
	open := slack.NewButtonBlockElement(actionOpen, "", plain("Open Home"))
	at := url.Values{"app": {c.AppID}}
	if c.TeamID != "" {
		at.Set("team", c.TeamID)
	}
	open.URL = slackURL + "/app_redirect?" + at.Encode()
	test := slack.NewButtonBlockElement(actionTest, "", plain("Send a test message"))
	test.AccessibilityLabel = "Send a test message to yourself"
	foot := "You're getting this because you installed the app. Nobody else was notified."
	if app.Operator != "" {
		foot += " Run by " + brief(app.Operator) + "."
	}
	if app.SupportURL != "" {
		foot += " " + link(app.SupportURL, "Get help")
	}
	connected := fmt.Sprintf("%s is now connected to *%s*.", escape(app.Name), escape(team))
	if len(missing) > 0 {
		connected += " Not allowed: " + labels(missing) + "."
	}
	blocks = []slack.Block{
		section(connected),
		section(sees(c) + "\n" + first + "*First thing to try:* type `/connection status` in any channel." + invite),
		slack.NewActionBlock("", open, test),
		slack.NewContextBlock("", markdown(foot)),
	}
	return blocks, escape(text)
}

// sees says what the app may read, as far as that was allowed.
func sees(c connection.Connection) string {
	direct, mentions := slices.Contains(c.Scopes, "im:history"), slices.Contains(c.Scopes, "app_mentions:read")
	switch {
	case direct && mentions:
		return "It can only read messages you send it here and messages that @mention it."
	case direct:
		return "It can only read messages you send it here. It isn't allowed to read messages that @mention it."
	case mentions:
		return "It can only read messages that @mention it. It isn't allowed to read what you write to it here."
	}
	return "It can't read any messages: neither what you write to it here nor messages that @mention it."
}
