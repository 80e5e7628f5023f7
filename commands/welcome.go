package commands

// The first message: to the person who installed, once, and to nobody else.

import (
	"context"
	"fmt"
	"net/url"

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
	team := short(orElse(c.TeamName, "your workspace"))
	text = fmt.Sprintf("%s is now connected to %s. Type /connection status any time to see whether it works.", app.Name, team)
	open := slack.NewButtonBlockElement(actionOpen, "", plain("Open the app in Slack"))
	open.URL = slackURL + "/app_redirect?" + url.Values{"app": {c.AppID}, "team": {c.TeamID}}.Encode()
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
		section("It sees what you write to it here, and messages that mention it; nothing else.\n" +
			"*First thing to try:* type `/connection status` in any channel. To use it in a channel, type `/invite @" + escape(app.Name) + "` there."),
		slack.NewActionBlock("", open, test),
		slack.NewContextBlock("", markdown(foot)),
	}
	return blocks, escape(text)
}
