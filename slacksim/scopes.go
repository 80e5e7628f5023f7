package slacksim

// The permissions this Slack knows: their names, the words the consent page uses, and which event needs which.
// docs.slack.dev/reference/scopes

import (
	"cmp"
	"slices"
)

// scopeWords is the sentence the consent page shows for a bot scope.
var scopeWords = map[string]string{
	"app_mentions:read":           "View messages that directly mention the app in conversations that it is in",
	"assistant:write":             "Act as an App Agent",
	"bookmarks:read":              "List bookmarks",
	"bookmarks:write":             "Create, edit and remove bookmarks",
	"calls:read":                  "View information about ongoing and past calls",
	"calls:write":                 "Start and manage calls in a workspace",
	"canvases:read":               "Access contents of canvases",
	"canvases:write":              "Create, edit and remove canvases",
	"channels:history":            "View messages and other content in public channels that the app has been added to",
	"channels:join":               "Join public channels in a workspace",
	"channels:manage":             "Manage public channels that the app has been added to and create new ones",
	"channels:read":               "View basic information about public channels in a workspace",
	"chat:write":                  "Send messages as the app",
	"chat:write.customize":        "Send messages as the app with a customised username and avatar",
	"chat:write.public":           "Send messages to channels the app is not a member of",
	"commands":                    "Add shortcuts and/or slash commands that people can use",
	"conversations.connect:read":  "Receive Slack Connect invite events sent to the channels the app is in",
	"conversations.connect:write": "Create Slack Connect invitations for channels the app is in",
	"dnd:read":                    "View Do Not Disturb settings for people in a workspace",
	"emoji:read":                  "View custom emoji in a workspace",
	"files:read":                  "View files shared in channels and conversations that the app has been added to",
	"files:write":                 "Upload, edit and delete files as the app",
	"groups:history":              "View messages and other content in private channels that the app has been added to",
	"groups:read":                 "View basic information about private channels that the app has been added to",
	"groups:write":                "Manage private channels that the app has been added to and create new ones",
	"im:history":                  "View messages and other content in direct messages that the app has been added to",
	"im:read":                     "View basic information about direct messages that the app has been added to",
	"im:write":                    "Start direct messages with people",
	"incoming-webhook":            "Post messages to one specific channel",
	"links:read":                  "View URLs in messages",
	"links:write":                 "Show previews of URLs in messages",
	"lists:read":                  "View information about lists",
	"lists:write":                 "Create, edit and remove lists",
	"metadata.message:read":       "Read message metadata in channels the app has been added to",
	"mpim:history": "View messages and other content in group direct messages that the app has been " +
		"added to",
	"mpim:read":  "View basic information about group direct messages that the app has been added to",
	"mpim:write": "Start group direct messages with people",
	"pins:read":  "View pinned content in channels and conversations that the app has been added to",
	"pins:write": "Add and remove pinned messages and files",
	"reactions:read": "View emoji reactions and their content in channels and conversations that the " +
		"app has been added to",
	"reactions:write":        "Add and edit emoji reactions",
	"reminders:read":         "View reminders created by the app",
	"reminders:write":        "Add, remove or mark reminders as complete",
	"remote_files:read":      "View remote files added by the app in a workspace",
	"remote_files:share":     "Share remote files on the app's behalf",
	"remote_files:write":     "Add, edit and delete remote files on the app's behalf",
	"search:read.public":     "Search public channels",
	"team.billing:read":      "Read the billing plan of the workspace",
	"team.preferences:read":  "Read the preferences of the workspace",
	"team:read":              "View the name, email domain and icon of the workspace",
	"usergroups:read":        "View user groups in a workspace",
	"usergroups:write":       "Create and manage user groups",
	"users.profile:read":     "View profile details about people in a workspace",
	"users:read":             "View people in a workspace",
	"users:read.email":       "View email addresses of people in a workspace",
	"users:write":            "Set presence for the app",
	"workflow.steps:execute": "Add steps that people can use in workflows",
}

// userOnlyScopes exist for user tokens alone.
var userOnlyScopes = []string{
	"channels:write", "chat:write:user", "dnd:write", "email", "identify", "identity.basic", "openid", "profile",
	"search:read", "stars:read", "stars:write", "users.profile:write",
}

// notForUsers are bot scopes a user token cannot have.
var notForUsers = []string{"app_mentions:read", "channels:join", "channels:manage", "chat:write.customize",
	"chat:write.public", "incoming-webhook", "commands"}

func knownBotScope(x string) bool { return scopeWords[x] != "" }

func knownUserScope(x string) bool {
	return slices.Contains(userOnlyScopes, x) || knownBotScope(x) && !slices.Contains(notForUsers, x)
}

// ScopeWords is what a bot scope is called on Slack's pages: a sentence, or the scope itself where Slack has none.
func ScopeWords(scope string) string { return cmp.Or(scopeWords[scope], scope) }

// eventScopes: any one of the listed scopes lets the subscribed event through. Events not listed need none.
// docs.slack.dev/reference/events
var eventScopes = map[string][]string{
	"app_mention":           {"app_mentions:read"},
	"message.channels":      {"channels:history"},
	"message.groups":        {"groups:history"},
	"message.im":            {"im:history"},
	"message.mpim":          {"mpim:history"},
	"member_joined_channel": {"channels:read", "groups:read"},
	"member_left_channel":   {"channels:read", "groups:read"},
	"channel_created":       {"channels:read"},
	"channel_rename":        {"channels:read"},
	"channel_archive":       {"channels:read"},
	"channel_id_changed":    {"channels:read", "groups:read", "im:read", "mpim:read"},
	"reaction_added":        {"reactions:read"},
	"reaction_removed":      {"reactions:read"},
	"team_join":             {"users:read"},
	"user_change":           {"users:read"},
	"team_rename":           {"team:read"},
	"link_shared":           {"links:read"},
	"file_shared":           {"files:read"},
	"pin_added":             {"pins:read"},
	"emoji_changed":         {"emoji:read"},

	"app_context_changed":         {"assistant:write"},
	"agent_session_stopped":       {"chat:write"},
	"agent_session_title_changed": {"chat:write"},
}
