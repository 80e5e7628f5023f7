package bot

// What each permission of Slack means to the people who are asked for it. An app that has better words of its own
// gives them; every other one has these. https://docs.slack.dev/reference/scopes

import (
	"cmp"
	"slices"

	"github.com/switchboard-go/switchboard/install/connection"
)

// scopeWords are the words for a permission: what it lets an app do, what the app can't do without it (to go after
// "can't"), and why it asks.
type scopeWords struct{ label, feature, why string }

// builtIn are the words for what Slack lets a bot do.
var builtIn = map[string]scopeWords{
	"app_mentions:read": {"See messages that mention it", "answer mentions",
		"To answer when you mention it. It sees no other messages there."},
	"assistant:write": {"Answer as an assistant", "answer as an assistant",
		"To answer in its own assistant threads."},

	"bookmarks:read": {"See a channel's bookmarks", "read bookmarks", "To read the bookmarks of channels it is in."},
	"bookmarks:write": {"Change a channel's bookmarks", "change bookmarks",
		"To add and change bookmarks in channels it is in."},
	"calls:read":    {"See calls", "read calls", "To see calls and who is in them."},
	"calls:write":   {"Start and manage calls", "manage calls", "To start, change and end calls."},
	"canvases:read": {"Read canvases", "read canvases", "To read canvases that it has access to."},
	"canvases:write": {"Create and change canvases", "change canvases",
		"To create canvases, and change those it has access to."},

	"channels:history": {"Read public channels it is in", "read messages in public channels",
		"To read messages in the public channels it was added to."},
	"channels:join": {"Join public channels", "join public channels",
		"To join public channels without being invited."},
	"channels:manage": {"Manage public channels", "manage public channels",
		"To create public channels, and manage those it is in."},
	"channels:read": {"See public channels", "see public channels",
		"To see which public channels there are, and which it is in."},
	"channels:write.invites": {"Invite people to public channels", "invite people to public channels",
		"To invite people to public channels."},
	"channels:write.topic": {"Set topics of public channels", "set the topic of public channels",
		"To set the description of public channels."},

	"chat:write": {"Send messages", "send messages",
		"To answer you. It writes only where it was added, and in your direct messages with it."},
	"chat:write.customize": {"Send messages under another name", "write under another name",
		"To send messages with a name and picture that fit them."},
	"chat:write.public": {"Send messages to any public channel", "write to channels it isn't in",
		"To write to public channels without being added."},
	"commands": {"Offer commands and shortcuts", "offer its commands and shortcuts",
		"So that you can type its commands and use its shortcuts."},

	"conversations.connect:manage": {"Manage shared channels", "manage shared channels",
		"To approve invitations to channels shared with other companies."},
	"conversations.connect:read": {"See invitations to shared channels", "see invitations to shared channels",
		"To see invitations to channels shared with other companies."},
	"conversations.connect:write": {"Share channels with other companies", "share channels",
		"To invite other companies to channels, and accept theirs."},
	"datastore:read": {"Read its own datastore at Slack", "read its datastore",
		"To read what it keeps at Slack."},
	"datastore:write": {"Write to its own datastore at Slack", "write to its datastore",
		"To keep its own data at Slack."},
	"dnd:read": {"See who has notifications paused", "see who has notifications paused",
		"To disturb nobody who has notifications paused."},
	"emoji:read": {"See custom emoji", "use your emoji", "To use this workspace's own emoji."},

	"files:read": {"See files shared where it is", "read files",
		"To read files that are shared in conversations it is in."},
	"files:write": {"Upload and change files", "send files", "To send files, and change those it sent."},

	"groups:history": {"Read private channels it is in", "read messages in private channels",
		"To read messages in the private channels it was added to."},
	"groups:read": {"See private channels it is in", "see the private channels it is in",
		"To see which private channels it was added to."},
	"groups:write": {"Manage private channels", "manage private channels",
		"To create private channels, and manage those it is in."},
	"groups:write.invites": {"Invite people to private channels", "invite people to private channels",
		"To invite people to private channels it is in."},
	"groups:write.topic": {"Set topics of private channels", "set the topic of private channels",
		"To set the description of private channels it is in."},

	"im:history": {"Read direct messages to it", "answer direct messages",
		"To answer when you write to it. It sees no other direct messages."},
	"im:read": {"See who has a direct message with it", "see its direct messages",
		"To see with whom it has direct messages."},
	"im:write": {"Start direct messages", "start direct messages",
		"To write to people who haven't written to it."},
	"im:write.topic": {"Set topics of direct messages", "set the topic of direct messages",
		"To set the description of its direct messages."},
	"incoming-webhook": {"Write to one channel that you choose", "write to the channel that you choose",
		"To write to the channel that you choose when you install it."},

	"links.embed:write": {"Show videos in messages", "show videos", "To embed players of videos in messages."},
	"links:read": {"See links to its site", "show what is behind a link",
		"To see when somebody shares a link to its site."},
	"links:write": {"Show previews of links", "show previews of links",
		"To show what is behind links to its site."},
	"lists:read": {"Read lists", "read lists", "To read lists that it has access to."},
	"lists:write": {"Create and change lists", "change lists",
		"To create lists, and change those it has access to."},

	"metadata.message:read": {"See what apps attach to messages", "read what apps attach to messages",
		"To see the data that apps attach to messages where it is."},
	"mpim:history": {"Read group messages it is in", "read group messages",
		"To read messages in the group messages it was added to."},
	"mpim:read": {"See group messages it is in", "see the group messages it is in",
		"To see which group messages it was added to."},
	"mpim:write": {"Start group messages", "start group messages", "To write to several people together."},
	"mpim:write.invites": {"Invite people to group messages", "invite people to group messages",
		"To add people to the group messages it is in."},
	"mpim:write.topic": {"Set topics of group messages", "set the topic of group messages",
		"To set the description of group messages it is in."},

	"pins:read": {"See pinned messages", "read what is pinned",
		"To see what is pinned in channels it is in."},
	"pins:write":      {"Pin messages", "pin messages", "To pin and unpin messages in channels it is in."},
	"reactions:read":  {"See reactions", "see reactions", "To see the emoji that people react with where it is."},
	"reactions:write": {"Add reactions", "react with an emoji", "To show with an emoji that it saw a message."},
	"reminders:read":  {"See its reminders", "see reminders", "To see the reminders it made."},
	"reminders:write": {"Create reminders", "create reminders", "To create and complete reminders."},
	"remote_files:read": {"See remote files", "read remote files",
		"To see files elsewhere that were added to Slack."},
	"remote_files:share": {"Share remote files", "share remote files",
		"To share files from elsewhere in conversations."},
	"remote_files:write": {"Add remote files", "add remote files",
		"To add files from elsewhere to Slack, and change them."},

	"search:read.enterprise": {"Search your organisation", "search your organisation",
		"To search your whole organisation for the person who asks."},
	"search:read.files": {"Search files", "search files", "To search files for the person who asks."},
	"search:read.im": {"Search direct messages", "search direct messages",
		"To search the direct messages of the person who asks."},
	"search:read.mpim": {"Search group messages", "search group messages",
		"To search the group messages of the person who asks."},
	"search:read.private": {"Search private channels", "search private channels",
		"To search the private channels of the person who asks."},
	"search:read.public": {"Search public channels", "search public channels",
		"To search public channels for the person who asks."},
	"search:read.users": {"Search people", "search people", "To find people for the person who asks."},

	"team.billing:read": {"See the workspace's plan", "see the workspace's plan",
		"To see which plan this workspace has."},
	"team.preferences:read": {"See the workspace's settings", "see the workspace's settings",
		"To follow this workspace's settings."},
	"team:read": {"See the workspace's name and icon", "show the workspace's name and icon",
		"To show which workspace it is connected to."},
	"tokens.basic": {"Use Slack's basic methods", "use Slack's basic methods",
		"To call what needs no permission of its own."},
	"triggers:read": {"See its workflow triggers", "see its workflow triggers",
		"To see what starts its workflows."},
	"triggers:write":  {"Create workflow triggers", "start workflows", "To set what starts its workflows."},
	"usergroups:read": {"See user groups", "see user groups", "To see user groups and who is in them."},
	"usergroups:write": {"Manage user groups", "manage user groups",
		"To create user groups, and change who is in them."},
	"users.profile:read": {"See profiles", "read profiles", "To see what people write in their profiles."},
	"users:read":         {"See who is who", "see who is who", "To see people's names and roles."},
	"users:read.email": {"See email addresses", "see email addresses",
		"To recognise people by their email addresses."},
	"users:write": {"Set its own status", "show whether it is active", "To show whether it is active."},

	"workflow.steps:execute": {"Add steps to workflows", "work as a step in workflows",
		"To do its part as a step in your workflows."},
	"workflows.templates:read": {"See workflow templates", "read workflow templates",
		"To read templates of workflows."},
	"workflows.templates:write": {"Create workflow templates", "create workflow templates",
		"To create templates of workflows."},
}

// ofPeople are the words for what a person lets an app do for them, where that is something else than what a bot does,
// or something that no bot can. For all else of theirs builtIn has the words.
var ofPeople = map[string]struct{ label, feature string }{
	"admin":                              {"Manage the workspace as you", "manage the workspace for you"},
	"admin.analytics:read":               {"See your organisation's analytics", "read your organisation's analytics"},
	"admin.app_activities:read":          {"See what apps did in your organisation", "see what apps did"},
	"admin.apps:read":                    {"See your organisation's apps", "see your organisation's apps"},
	"admin.apps:write":                   {"Approve and restrict apps", "approve or restrict apps"},
	"admin.barriers:read":                {"See information barriers", "see information barriers"},
	"admin.barriers:write":               {"Change information barriers", "change information barriers"},
	"admin.chat:read":                    {"Read messages in your organisation", "read your organisation's messages"},
	"admin.chat:write":                   {"Change and delete messages in your organisation", "change or delete messages"},
	"admin.conversations:manage_objects": {"Manage channels about records elsewhere", "manage channels about records"},
	"admin.conversations:read":           {"See all channels of your organisation", "see your organisation's channels"},
	"admin.conversations:write":          {"Manage all channels of your organisation", "manage all channels"},
	"admin.invites:read":                 {"See requests to invite people", "see requests to invite people"},
	"admin.invites:write":                {"Decide on requests to invite people", "decide on requests to invite people"},
	"admin.roles:read":                   {"See who has an admin role", "see who has an admin role"},
	"admin.roles:write":                  {"Give and take away admin roles", "give or take away admin roles"},
	"admin.teams:read":                   {"See your organisation's workspaces", "see your organisation's workspaces"},
	"admin.teams:write":                  {"Manage your organisation's workspaces", "manage all workspaces"},
	"admin.usergroups:read":              {"See your organisation's user groups", "see your organisation's user groups"},
	"admin.usergroups:write":             {"Manage your organisation's user groups", "manage all user groups"},
	"admin.users:read":                   {"See everybody's account", "see everybody's account"},
	"admin.users:write":                  {"Manage everybody's account", "manage people's accounts"},
	"admin.workflows:read":               {"See your organisation's workflows", "see your organisation's workflows"},
	"admin.workflows:write":              {"Manage your organisation's workflows", "manage your organisation's workflows"},
	"apps.requests:write":                {"Ask your admins to approve apps", "ask your admins to approve apps"},
	"auditlogs:read":                     {"Read your organisation's audit log", "read the audit log"},

	"channels:history":     {"Read public channels as you", "read public channels for you"},
	"channels:read":        {"See public channels as you", "see public channels for you"},
	"channels:write":       {"Manage your public channels", "manage public channels for you"},
	"chat:write":           {"Send messages as you", "send messages as you"},
	"dnd:write":            {"Pause your notifications", "pause your notifications"},
	"email":                {"See your email address", "see your email address"},
	"files:read":           {"See files that you can see", "read files for you"},
	"files:write":          {"Upload and change files as you", "upload files for you"},
	"groups:history":       {"Read your private channels", "read your private channels"},
	"groups:read":          {"See your private channels", "see your private channels"},
	"groups:write":         {"Manage your private channels", "manage your private channels"},
	"groups:write.invites": {"Invite people to your private channels", "invite people to your private channels"},
	"groups:write.topic":   {"Set topics of your private channels", "set the topic of your private channels"},
	"hosting:read":         {"See your apps that run at Slack", "see your apps that run at Slack"},
	"hosting:write":        {"Manage your apps that run at Slack", "manage your apps that run at Slack"},
	"identify":             {"See who you are", "see who you are"},
	"identity.avatar":      {"See your picture", "see your picture"},
	"identity.basic":       {"See who you are", "see who you are"},
	"identity.email":       {"See your email address", "see your email address"},
	"identity.team":        {"See your workspace's name", "see your workspace's name"},
	"im:history":           {"Read your direct messages", "read your direct messages"},
	"im:read":              {"See who you have direct messages with", "see your direct messages"},
	"im:write":             {"Start direct messages as you", "start direct messages for you"},
	"im:write.topic":       {"Set topics of your direct messages", "set the topic of your direct messages"},
	"mpim:history":         {"Read your group messages", "read your group messages"},
	"mpim:read":            {"See your group messages", "see your group messages"},
	"mpim:write":           {"Start group messages as you", "start group messages for you"},
	"mpim:write.invites":   {"Invite people to your group messages", "invite people to your group messages"},
	"mpim:write.topic":     {"Set topics of your group messages", "set the topic of your group messages"},
	"openid":               {"See who you are", "see who you are"},
	"pins:write":           {"Pin messages as you", "pin messages for you"},
	"profile":              {"See your name and picture", "see your name and picture"},
	"reactions:write":      {"React as you", "react for you"},
	"reminders:read":       {"See your reminders", "see your reminders"},
	"reminders:write":      {"Create reminders for you", "create reminders for you"},
	"remote_files:share":   {"Share remote files as you", "share remote files for you"},
	"search:read":          {"Search what you can see", "search for you"},
	"stars:read":           {"See what you saved", "see what you saved"},
	"stars:write":          {"Save things for you", "save things for you"},
	"triggers:read":        {"See your workflow triggers", "see your workflow triggers"},
	"triggers:write":       {"Create workflow triggers as you", "set what starts your workflows"},
	"users.profile:write":  {"Change your profile", "change your profile"},
	"users:write":          {"Show you as active or away", "show whether you are active"},
}

const whyForYou = "To do this for you, only where you could do it yourself."

// Catalogue completes an app's own words about permissions of the bot. What its handlers declare and own doesn't name
// gets built-in words, in English, and people can untick it if every handler runs without it. own stays in front, in
// its order. A permission that is unknown here stays away, for CheckCatalogue to name.
func Catalogue(own []connection.Scope, handlers []Handler) []connection.Scope {
	return complete(own, ScopesOf(handlers), func(name string) connection.Scope {
		words := builtIn[name]
		needed := slices.ContainsFunc(handlers, func(h Handler) bool {
			return slices.Contains(h.Scopes, name) || name == "commands" && h.Kind == KindCommand
		})
		return connection.Scope{Label: words.label, Why: words.why, Feature: words.feature, Optional: !needed}
	})
}

// UserCatalogue is Catalogue for what handlers need of people to act for them. People can untick all of it.
func UserCatalogue(own []connection.Scope, handlers []Handler) []connection.Scope {
	return complete(own, UserScopesOf(handlers), func(name string) connection.Scope {
		words, found := ofPeople[name]
		if !found {
			words.label, words.feature = builtIn[name].label, builtIn[name].feature
		}
		return connection.Scope{Label: words.label, Why: whyForYou, Feature: words.feature, Optional: true}
	})
}

// complete adds to own what is declared and isn't in it, the required ones first.
func complete(own []connection.Scope, declared []string, describe func(string) connection.Scope) []connection.Scope {
	all := slices.Clone(own)
	for _, name := range declared {
		if slices.ContainsFunc(own, func(s connection.Scope) bool { return s.Name == name }) {
			continue
		}
		if s := describe(name); s.Label != "" {
			s.Name = name
			all = append(all, s)
		}
	}

	slices.SortStableFunc(all[len(own):], func(a, b connection.Scope) int {
		rank := map[bool]int{true: 1}
		return cmp.Compare(rank[a.Optional], rank[b.Optional])
	})
	return all
}
