package commands

// Every permission the app can use is here, once. The manifest, the install page, /connection, the App Home, the table
// in docs/running.md and what people read where one is missing all say what stands here, so that they cannot disagree.

import (
	"github.com/switchboard-go/switchboard/install/connection"
)

// Catalogue returns all permissions of the app, the required ones first. A handler can declare no other, and each one
// here has to be declared by a handler: the app does not start otherwise. https://docs.slack.dev/reference/scopes
func Catalogue() []connection.Scope {
	return []connection.Scope{
		{
			Name: "chat:write", Label: "Send messages", Feature: "answer you",
			Why: "To answer you. It writes only where it was added, and in your direct messages with it.",
		},
		{
			Name: "commands", Label: "Offer slash commands", Feature: "offer the command /connection",
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
			Name: "team:read", Label: "See the workspace's name and icon", Feature: "show the workspace's icon", Optional: true,
			Why: "To show which workspace it is connected to.",
		},
		{
			Name: "channels:read", Label: "See public channels", Feature: "list the public channels it is in", Optional: true,
			Why: "To list the public channels it is in.",
		},
		{
			Name: "groups:read", Label: "See private channels it is in", Feature: "list the private channels it is in",
			Optional: true, Why: "To list the private channels it is in.",
		},
	}
}
