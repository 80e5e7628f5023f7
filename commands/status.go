package commands

import (
	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands/connection"
	installed "github.com/switchboard-go/switchboard/install/connection"
)

// status is /connection, and the same words in the app's conversations and its Home tab: is it working, what can it do,
// who put it here, how do I remove it?
func status() feature {
	command := connection.Command{Name: "/connection", Mentions: true, DirectMessages: true, Home: true}
	return feature{
		closing: "an honest answer to “is it working?”",
		does: []string{
			"Type `/connection status` in any channel: you see whether the app works here, and what to do if it doesn't.",
		},
		about: "Type /connection status in any channel, or ask in a direct message: you read whether the app works in " +
			"your workspace, which permissions it has, who installed it, and how to fix or remove it.",
		try: []bot.Hint{{
			Title: "Ask whether it works.",
			Text: "Type /connection status in a channel. Take a permission away under Manage Switchboard and ask again: " +
				"it says what it can't do without it, and how to allow it.",
		}},
		handlers: command.Handlers(),
		commands: command.Commands(),
		messages: command.Messages,
		scopes: []installed.Scope{
			{
				Name: "chat:write", Label: "Send messages", Feature: "answer you",
				Why: "To answer you. It writes only where it was added, and in your direct messages with it.",
			},
			{
				Name: "commands", Label: "Offer slash commands", Feature: "offer its commands",
				Why: "So that you can type its commands.",
			},
			{
				Name: "app_mentions:read", Label: "See messages that mention it", Feature: "answer mentions", Optional: true,
				Why: "To answer when you mention it in a channel. It sees no other messages there.",
			},
			{
				Name: "im:history", Label: "Read direct messages to it", Feature: "answer direct messages", Optional: true,
				Why: "To answer when you write to it. It sees no other direct messages.",
			},
			{
				Name: "users:read", Label: "See who is who", Feature: "show admins their buttons", Optional: true,
				Why: "To tell who may manage it: admins, and the person who installed it while they are a full member.",
			},
			{
				Name: "team:read", Label: "See the workspace's name and icon", Feature: "show the workspace's icon",
				Optional: true, Why: "To show which workspace it is connected to.",
			},
			{
				Name: "channels:read", Label: "See public channels", Feature: "list the public channels it is in",
				Optional: true, Why: "To list the public channels it is in.",
			},
			{
				Name: "groups:read", Label: "See private channels it is in", Optional: true,
				Feature: "list the private channels it is in", Why: "To list the private channels it is in.",
			},
		},
	}
}
