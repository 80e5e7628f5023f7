package commands

// The first message: to the person who installed, once, and to nobody else.

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/slack-go/slack"

	"switchboard/install"
)

// Welcome returns the function that install calls once per install. The app's words are fixed at start.
func Welcome(app install.App, slackURL string) func(context.Context, *slack.Client, install.Connection) error {
	needed := Catalogue()
	return func(ctx context.Context, client *slack.Client, c install.Connection) error {
		blocks, text := welcomeBlocks(app, slackURL, c, len(needed)-len(c.Missing(needed)), len(needed))
		// The user's id as the channel: Slack opens the direct message by itself.
		if _, _, err := client.PostMessageContext(ctx, c.InstalledBy, slack.MsgOptionText(text, false), slack.MsgOptionBlocks(blocks...)); err != nil {
			return fmt.Errorf("send welcome message: %w", err)
		}
		return nil
	}
}

func welcomeBlocks(app install.App, slackURL string, c install.Connection, granted, needed int) (blocks []slack.Block, text string) {
	team, first := short(orElse(c.TeamName, "your workspace")), ""
	if c.Org() {
		team, first = place(c), "It answers in a workspace as soon as an admin of the organisation has added it there. "
	}
	text = fmt.Sprintf("%s is now connected to %s. %sType /connection status any time to see whether it works.", app.Name, team, first)
	invite := ""
	if slices.Contains(c.Scopes, "app_mentions:read") {
		invite = " To mention it in a channel, type `/invite @" + escape(app.Name) + "` there first."
	}
	open := slack.NewButtonBlockElement(actionOpen, "", plain("Open the app in Slack"))
	at := url.Values{"app": {c.AppID}}
	if c.TeamID != "" {
		at.Set("team", c.TeamID)
	}
	open.URL = slackURL + "/app_redirect?" + at.Encode()
	test := slack.NewButtonBlockElement(actionTest, "", plain("Send a test message"))
	test.AccessibilityLabel = "Send a test message to yourself"
	foot := "You get this because you installed it. Nobody else was written to."
	if app.Operator != "" {
		foot += " Run by " + brief(app.Operator) + "."
	}
	if app.SupportURL != "" {
		foot += " " + link(app.SupportURL, "Get help")
	}
	blocks = []slack.Block{
		section(fmt.Sprintf("%s is now connected to *%s*, with %d of %d permissions.", escape(app.Name), escape(team), granted, needed)),
		section(sees(c) + "\n" + first + "*First thing to try:* type `/connection status` in any channel." + invite),
		slack.NewActionBlock("", open, test),
		slack.NewContextBlock("", markdown(foot)),
	}
	return blocks, escape(text)
}

// sees says what the app may read, as far as that was allowed.
func sees(c install.Connection) string {
	direct, mentions := slices.Contains(c.Scopes, "im:history"), slices.Contains(c.Scopes, "app_mentions:read")
	switch {
	case direct && mentions:
		return "It sees what you write to it here, and messages that mention it; nothing else."
	case direct:
		return "It sees what you write to it here, and no other messages. It isn't allowed to see messages that mention it."
	case mentions:
		return "It sees messages that mention it, and no others. It isn't allowed to read what you write to it here."
	}
	return "It sees no messages: it isn't allowed to read what you write to it here, nor messages that mention it."
}
