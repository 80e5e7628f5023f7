package bot

// Which events there are, and what Slack asks for before it sends one. A name that never comes is refused with the one
// that was meant; one that is new to this release is let through with a word in the log.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hbollon/go-edlib"
)

// eventScopes are the types of events that Slack sends to a bot, each with the permissions of which it asks for one.
// Those that only a person's or an organisation's permission brings are here without it.
// https://docs.slack.dev/reference/events
var eventScopes = map[string]string{
	"agent_session_stopped":            "",
	"agent_session_title_changed":      "",
	"app_context_changed":              "",
	"app_deleted":                      "",
	"app_home_opened":                  "",
	"app_installed":                    "",
	"app_mention":                      "app_mentions:read",
	"app_requested":                    "",
	"app_uninstalled":                  "",
	"app_uninstalled_team":             "",
	"assistant_thread_context_changed": "assistant:write",
	"assistant_thread_started":         "assistant:write",
	"call_rejected":                    "",
	"channel_archive":                  "channels:read",
	"channel_created":                  "channels:read",
	"channel_deleted":                  "channels:read",
	"channel_history_changed":          "channels:history groups:history mpim:history",
	"channel_id_changed":               "",
	"channel_left":                     "channels:read",
	"channel_rename":                   "channels:read",
	"channel_shared":                   "channels:read groups:read",
	"channel_unarchive":                "channels:read",
	"channel_unshared":                 "channels:read groups:read",
	"dnd_updated":                      "dnd:read",
	"dnd_updated_user":                 "dnd:read",
	"email_domain_changed":             "team:read",
	"emoji_changed":                    "emoji:read",
	"entity_details_requested":         "",
	"file_change":                      "files:read",
	"file_created":                     "files:read",
	"file_deleted":                     "files:read",
	"file_public":                      "files:read",
	"file_shared":                      "files:read",
	"file_unshared":                    "files:read",
	"function_executed":                "",
	"grid_migration_finished":          "",
	"grid_migration_started":           "",
	"group_archive":                    "groups:read",
	"group_close":                      "groups:read",
	"group_deleted":                    "groups:read",
	"group_history_changed":            "groups:history mpim:history",
	"group_left":                       "groups:read",
	"group_open":                       "groups:read",
	"group_rename":                     "groups:read",
	"group_unarchive":                  "groups:read",
	"im_close":                         "im:read",
	"im_created":                       "im:read",
	"im_history_changed":               "im:history",
	"im_open":                          "im:read",
	"invite_requested":                 "",
	"link_shared":                      "links:read",
	"member_joined_channel":            "channels:read groups:read",
	"member_left_channel":              "channels:read groups:read",
	"message_metadata_deleted":         "metadata.message:read",
	"message_metadata_posted":          "metadata.message:read",
	"message_metadata_updated":         "metadata.message:read",
	"pin_added":                        "pins:read",
	"pin_removed":                      "pins:read",
	"reaction_added":                   "reactions:read",
	"reaction_removed":                 "reactions:read",
	"shared_channel_invite_accepted":   "conversations.connect:manage conversations.connect:read",
	"shared_channel_invite_approved":   "conversations.connect:manage conversations.connect:read",
	"shared_channel_invite_declined":   "conversations.connect:manage conversations.connect:read",
	"shared_channel_invite_received":   "conversations.connect:manage conversations.connect:read",
	"shared_channel_invite_requested":  "conversations.connect:manage conversations.connect:read",
	"star_added":                       "",
	"star_removed":                     "",
	"subteam_created":                  "usergroups:read",
	"subteam_members_changed":          "usergroups:read",
	"subteam_self_added":               "usergroups:read",
	"subteam_self_removed":             "usergroups:read",
	"subteam_updated":                  "usergroups:read",
	"team_access_granted":              "",
	"team_access_revoked":              "",
	"team_domain_change":               "team:read",
	"team_join":                        "users:read",
	"team_rename":                      "team:read",
	"tokens_revoked":                   "",
	"user_change":                      "users:read",
	"user_connection":                  "",
	"user_connection_status_requested": "",
	"user_huddle_changed":              "users:read users.profile:read",
	"user_profile_changed":             "users:read users.profile:read",
	"user_status_changed":              "users:read users.profile:read",
}

// Names that are taken for those of events, by what is meant.
const (
	onlySockets = "Slack has it in the old RTM API alone, and sends it to no app of today"
	onlyOuter   = "it isn't an event, and no handler gets it: the Bot sees to it"
	asMessage   = "it comes as a message of that subtype. OnMessage hears what somebody wrote; edits, deletions and " +
		"joins come to no handler"
	asPress = "it isn't an event. Use OnAction, OnView or OnViewClosed"
)

// neverEvents are names under which nothing comes to a handler of an event, and why.
var neverEvents = map[string]string{
	"accounts_changed": onlySockets, "bot_added": onlySockets, "bot_changed": onlySockets, "channel_joined": onlySockets,
	"channel_marked": onlySockets, "commands_changed": onlySockets, "file_comment_added": onlySockets,
	"file_comment_deleted": onlySockets, "file_comment_edited": onlySockets, "goodbye": onlySockets,
	"group_joined": onlySockets, "group_marked": onlySockets, "hello": onlySockets, "im_marked": onlySockets,
	"manual_presence_change": onlySockets, "pref_change": onlySockets, "presence_change": onlySockets,
	"presence_query": onlySockets, "presence_sub": onlySockets, "reconnect_url": onlySockets,
	"team_migration_started": onlySockets, "team_plan_change": onlySockets, "team_pref_change": onlySockets,
	"team_profile_change": onlySockets, "team_profile_delete": onlySockets, "team_profile_reorder": onlySockets,
	"user_typing": onlySockets,

	"app_rate_limited": onlyOuter, "event_callback": onlyOuter, "url_verification": onlyOuter, "disconnect": onlyOuter,

	"bot_message": asMessage, "channel_join": asMessage, "channel_leave": asMessage, "file_share": asMessage,
	"me_message": asMessage, "message_changed": asMessage, "message_deleted": asMessage, "message_replied": asMessage,
	"thread_broadcast": asMessage,

	"block_actions": asPress, "block_suggestion": asPress, "interactive": asPress, "interactive_message": asPress,
	"message_action": asPress, "shortcut": asPress, "view_closed": asPress, "view_submission": asPress,
	"slash_command": "it isn't an event. Use OnCommand", "slash_commands": "it isn't an event. Use OnCommand",
	"message": "use OnMessage, which leaves edits and what the app itself wrote alone",
}

// eventType is the form of a type of events. Those of subscriptions, in a manifest, can have a dot.
var eventType = regexp.MustCompile(`^[a-z][a-z0-9_]{1,99}$`)

// checkEvent finds out why a handler of an event would never run.
func (h Handler) checkEvent() error {
	if why := neverEvents[h.Name]; why != "" {
		return fmt.Errorf("event %s: %s", h.Name, why)
	}
	for _, m := range messageScopes {
		if m.event == h.Name {
			return fmt.Errorf("event %s: that is the name of a subscription. Use OnMessage with the scope %s", h.Name, m.scope)
		}
	}

	need, known := eventScopes[h.Name]
	if !known {
		if meant := nearestEvent(h.Name); meant != "" {
			return fmt.Errorf("event %q: Slack sends none of that name. Did you mean %s?", h.Name, meant)
		}
		if !eventType.MatchString(h.Name) {
			return fmt.Errorf("event %q: the type of an event is lower-case letters, digits and _", h.Name)
		}
	}

	if !anyOf(need, h.Scopes) {
		return fmt.Errorf("event %q: Slack sends it only with the scope %s", h.Name, strings.ReplaceAll(need, " ", " or "))
	}
	return nil
}

// anyOf reports whether one of the needed scopes, separated by spaces, is there. None needed: it is.
func anyOf(need string, scopes []string) bool {
	has := func(s string) bool { return slices.Contains(scopes, s) }
	return need == "" || slices.ContainsFunc(strings.Fields(need), has)
}

// nearestEvent is the type of events that a misspelt one was meant to be; "" when that isn't clear.
func nearestEvent(name string) string {
	name = strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(strings.ToLower(strings.TrimSpace(name)))
	const most = 2 // letters; types that Slack has differ by more, but for a few pairs
	nearest, least := "", most+1
	for known := range eventScopes {
		if d := edlib.OSADamerauLevenshteinDistance(name, known); d < least || d == least && d <= most && known < nearest {
			nearest, least = known, d
		}
	}
	return nearest
}
