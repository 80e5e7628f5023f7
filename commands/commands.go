// Package commands is the app itself: what people type, press and see. One file for each feature, and one list, All,
// that registers them.
package commands

// The list of all handlers, and how the app introduces itself.

import (
	"slices"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands/connection"
	"github.com/switchboard-go/switchboard/install"
)

// status is /connection, and the same words in the app's conversations and its Home tab.
var status = connection.Command{Name: "/connection", Mentions: true, DirectMessages: true, Home: true}

// All returns every handler of the app. A new feature is a new file and one more line here; the manifest, the
// permission list and the landing page follow from it.
func All() []bot.Handler {
	return slices.Concat(
		status.Handlers(),
	)
}

// Profile is what the manifest says of the app.
func Profile() bot.Profile {
	return bot.Profile{
		Name:        "Switchboard",
		Description: "Tells you in Slack whether an app's connection works, what it may do, and who put it there.",
		LongDescription: "Switchboard keeps exactly one connection for each workspace it is installed in and tells " +
			"everybody how that connection is: whether it works, which permissions it has, who installed it and when " +
			"Slack was last heard from. Type /connection status in any channel, write to it in a direct message, or " +
			"mention it where it was added.",
		Color:  "#0b6b4f",
		Scopes: Catalogue(),
	}
}

// App is how the app introduces itself on the install pages. The caller adds who runs it.
func App() install.App {
	return install.App{
		Name:    Profile().Name,
		Summary: Profile().Description,
		Does: []string{
			"You type /connection status in any channel and see right away whether the app works here, " +
				"and what to do if it doesn't.",
			"You write to it in a direct message, or mention it in a channel, and it answers there.",
			"Its Home tab shows the same facts: permissions and why, who installed it, who can fix it.",
		},
		Commands: status.Commands(),
	}
}

// Messages returns what writes to people about their connection, in the app's words and with the links of cfg.
func Messages(cfg install.Config) install.Messages { return status.Messages(cfg) }
