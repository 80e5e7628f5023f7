package bot

// Which events there are, and what Slack asks for before it sends one. A name that never comes is refused with the one
// that was meant; one that is new to this release is let through with a word in the log.

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hbollon/go-edlib"
)

// eventsOf are the types of events that Slack sends to a bot, by the permissions of which it asks for one. Those that
// only a person's or an organisation's permission brings are here without it.
// https://docs.slack.dev/reference/events
var eventsOf = map[string][]string{
	"": {
		"agent_session_stopped", "agent_session_title_changed", "app_context_changed", "app_deleted",
		"app_home_opened", "app_installed", "app_requested", "app_uninstalled", "app_uninstalled_team",
		"call_rejected", "channel_id_changed", "entity_details_requested", "function_executed",
		"grid_migration_finished", "grid_migration_started", "invite_requested", "star_added", "star_removed",
		"team_access_granted", "team_access_revoked", "tokens_revoked", "user_connection",
		"user_connection_status_requested",
	},
	"app_mentions:read": {"app_mention"},
	"assistant:write":   {"assistant_thread_context_changed", "assistant_thread_started"},
	"channels:history groups:history mpim:history": {"channel_history_changed"},
	"channels:read": {
		"channel_archive", "channel_created", "channel_deleted", "channel_left", "channel_rename",
		"channel_unarchive",
	},
	"channels:read groups:read": {
		"channel_shared", "channel_unshared", "member_joined_channel", "member_left_channel",
	},
	"conversations.connect:manage conversations.connect:read": {
		"shared_channel_invite_accepted", "shared_channel_invite_approved", "shared_channel_invite_declined",
		"shared_channel_invite_received", "shared_channel_invite_requested",
	},
	"dnd:read":   {"dnd_updated", "dnd_updated_user"},
	"emoji:read": {"emoji_changed"},
	"files:read": {
		"file_change", "file_created", "file_deleted", "file_public", "file_shared", "file_unshared",
	},
	"groups:history mpim:history": {"group_history_changed"},
	"groups:read": {
		"group_archive", "group_close", "group_deleted", "group_left", "group_open", "group_rename",
		"group_unarchive",
	},
	"im:history": {"im_history_changed"},
	"im:read":    {"im_close", "im_created", "im_open"},
	"links:read": {"link_shared"},
	"metadata.message:read": {
		"message_metadata_deleted", "message_metadata_posted", "message_metadata_updated",
	},
	"pins:read":      {"pin_added", "pin_removed"},
	"reactions:read": {"reaction_added", "reaction_removed"},
	"team:read":      {"email_domain_changed", "team_domain_change", "team_rename"},
	"usergroups:read": {
		"subteam_created", "subteam_members_changed", "subteam_self_added", "subteam_self_removed",
		"subteam_updated",
	},
	"users:read":                    {"team_join", "user_change"},
	"users:read users.profile:read": {"user_huddle_changed", "user_profile_changed", "user_status_changed"},
}

// eventScopes has the permissions of each of them.
var eventScopes = func() map[string]string {
	scopes := map[string]string{}
	for need, events := range eventsOf {
		for _, e := range events {
			scopes[e] = need
		}
	}
	return scopes
}()

// Names that are taken for those of events, by what is meant.
const (
	onlySockets = "Slack has it in the old RTM API alone, and sends it to no app of today"
	onlyOuter   = "it isn't an event, and no handler gets it: the Bot sees to it"
	asMessage   = "it comes as a message of that subtype. OnMessage hears what somebody wrote, and with Edits and " +
		"Deletions what became of that; for everything else put \"message.\" before the subtype"
	asPress = "it isn't an event. Use OnAction, OnViewSubmission or OnViewClosed"
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
	"message":     "use OnMessage, which leaves what the app itself wrote alone",
	"app_mention": "use OnMention",
}

// eventType is the form of a type of events. Those of subscriptions, in a manifest, can have a dot.
var eventType = regexp.MustCompile(`^[a-z][a-z0-9_]{1,99}$`)

// messageSubtype is the subtype of messages that a name of events stands for; "" when it stands for another event.
func messageSubtype(name string) string {
	subtype, _ := strings.CutPrefix(name, "message.")
	if subtype == name {
		return ""
	}
	return subtype
}

// checkEvent finds out why a handler of an event would never run.
func (h *Handler) checkEvent() error {
	if why := neverEvents[h.Name]; why != "" {
		return errors.New(why)
	}
	for _, m := range messageScopes {
		if m.event == h.Name {
			return fmt.Errorf("that is the name of a subscription. Use OnMessage with the scope %s", m.scope)
		}
	}

	if h.pattern != nil || messageSubtype(h.Name) != "" {
		if len(h.subscriptions()) == 0 {
			return errors.New("none of these comes with the scopes that it has")
		}
		return nil
	}

	need, known := eventScopes[h.Name]
	if !known {
		if meant := nearestEvent(h.Name); meant != "" {
			return fmt.Errorf("no event of that name comes from Slack. Did you mean %s?", meant)
		}
		if !eventType.MatchString(h.Name) {
			return errors.New("the type of an event is lower-case letters, digits and _")
		}
	}

	if !anyOf(need, h.Scopes) {
		return fmt.Errorf("it comes only with the scope %s", strings.ReplaceAll(need, " ", " or "))
	}
	return nil
}

// subscriptions are the types of events that a handler of events asks Slack for, as a manifest names them.
func (h *Handler) subscriptions() (events []string) {
	switch {
	case h.ofAgents():
		return h.agentSubscriptions()
	case h.Kind == KindMention:
		return []string{"app_mention"}
	case h.Kind == KindLink:
		return []string{"link_shared"}
	case h.Kind == KindFunction:
		return []string{"function_executed"}
	case h.Kind == KindHome:
		return []string{"app_home_opened"}
	case h.Kind == KindMessage, h.Kind == KindEvent && messageSubtype(h.Name) != "":
		return messageEvents(h.Scopes)
	case h.Kind != KindEvent:
		return nil
	case !severalNames(h.Name):
		return []string{h.Name}
	}

	several, err := regexp.Compile(namePattern(h.Name))
	if err != nil {
		return nil
	}
	for name, need := range eventScopes {
		if several.MatchString(name) && neverEvents[name] == "" && anyOf(need, h.Scopes) {
			events = append(events, name)
		}
	}
	slices.Sort(events)
	return events
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
