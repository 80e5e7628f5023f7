package bot

// The permissions in words. A person decides by them on the landing page, an admin by them in /connection status.

import (
	"slices"

	"switchboard/install"
)

// scopeWords holds a label and a reason for the permissions a bot commonly asks for. One that is not here is shown by its
// name. https://docs.slack.dev/reference/scopes
var scopeWords = map[string]install.Scope{
	"app_mentions:read":          {Label: "See messages that mention it", Why: "To answer when you mention it in a channel. It sees no other messages there."},
	"channels:history":           {Label: "Read public channels it is in", Why: "To react to messages in public channels you add it to."},
	"channels:join":              {Label: "Join public channels", Why: "To work in public channels without an invitation."},
	"channels:read":              {Label: "See public channels", Why: "To show and choose public channels by name."},
	"chat:write":                 {Label: "Send messages", Why: "To answer you. It writes only where it was added, and in your direct messages with it."},
	"chat:write.public":          {Label: "Send messages to public channels", Why: "To write in public channels it was not added to."},
	"commands":                   {Label: "Offer slash commands", Why: "So that you can type its commands."},
	"emoji:read":                 {Label: "See custom emoji", Why: "To show your workspace's own emoji."},
	"files:read":                 {Label: "See files shared with it", Why: "To work with files you share in its conversations."},
	"files:write":                {Label: "Send files", Why: "To send files in its answers."},
	"groups:history":             {Label: "Read private channels it is in", Why: "To react to messages in private channels you add it to."},
	"groups:read":                {Label: "See private channels it is in", Why: "To show and choose private channels by name."},
	"im:history":                 {Label: "Read direct messages to it", Why: "To answer when you write to it. It sees no other direct messages.", Feature: "answering direct messages", Optional: true},
	"im:read":                    {Label: "See its direct messages", Why: "To find its conversation with you."},
	"im:write":                   {Label: "Start direct messages", Why: "To write to you first, for example after the install."},
	"incoming-webhook":           {Label: "Post to one channel", Why: "To post to the channel that you choose during the install."},
	"links:read":                 {Label: "See links to known sites", Why: "To show previews of links."},
	"mpim:history":               {Label: "Read group messages it is in", Why: "To react to group messages you add it to."},
	"pins:read":                  {Label: "See pinned messages", Why: "To work with what is pinned in its channels."},
	"reactions:read":             {Label: "See reactions", Why: "To act when somebody reacts to a message."},
	"reactions:write":            {Label: "Add reactions", Why: "To mark messages it has dealt with."},
	"team:read":                  {Label: "See the workspace's name and icon", Why: "To show which workspace it is connected to."},
	"users.profile:read":         {Label: "See profiles", Why: "To show people's names and titles."},
	"users:read":                 {Label: "See who is who", Why: "To tell who is a workspace admin: only they and the installer get its buttons."},
	"users:read.email":           {Label: "See e-mail addresses", Why: "To match people with their accounts elsewhere."},
	"assistant:write":            {Label: "Act as an assistant", Why: "To work in the assistant's panel."},
	"canvases:write":             {Label: "Write canvases", Why: "To create canvases for you."},
	"conversations.connect:read": {Label: "See shared channel invitations", Why: "To follow invitations to shared channels."},
}

// userScopeWords is scopeWords for what people let the app do for them. The same name allows more there than it allows a
// bot (im:history is all of their direct messages), so no words are shared.
var userScopeWords = map[string]install.Scope{
	"chat:write":          {Label: "Send messages as you", Why: "To write in your name when you ask it to."},
	"users.profile:write": {Label: "Change your profile and status", Why: "To set your status when you ask it to."},
}

// DescribeScope returns a permission with its label and reason.
func DescribeScope(name string) install.Scope {
	s, ok := scopeWords[name]
	if !ok {
		s = install.Scope{Label: "Use " + name, Why: "Needed by one of its features."}
	}
	s.Name = name
	return s
}

// Scopes returns the permissions that handlers need together, sorted by name.
func Scopes(handlers []Handler) []install.Scope {
	var names []string
	for _, h := range handlers {
		names = append(names, h.Scopes...)
		if h.Kind == KindCommand {
			names = append(names, "commands")
		}
	}
	return described(names, DescribeScope)
}

// UserScopes returns the permissions that handlers need of a person to act for them, sorted by name.
func UserScopes(handlers []Handler) []install.Scope {
	var names []string
	for _, h := range handlers {
		names = append(names, h.UserScopes...)
	}
	return described(names, func(name string) install.Scope {
		s, ok := userScopeWords[name]
		if !ok {
			s = install.Scope{Label: "Use " + name + " as you", Why: "Needed by one of its features, for people who allow it."}
		}
		s.Name = name
		return s
	})
}

func described(names []string, describe func(string) install.Scope) []install.Scope {
	slices.Sort(names)
	names = slices.Compact(names)
	scopes := make([]install.Scope, len(names))
	for i, n := range names {
		scopes[i] = describe(n)
	}
	return scopes
}
