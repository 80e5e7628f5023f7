package connection

// One delivery, and what nearly every answer to it says.

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/words"
)

// turn is one delivery to the command's handlers.
type turn struct {
	*bot.Request
	command Command
	windows modals // nil where none can be opened, as after a message
}

// modals opens windows. What was typed or pressed can.
type modals interface {
	OpenModal(ctx context.Context, view slack.ModalViewRequest) (*slack.View, error)
}

// app is the app's name, escaped.
func (t turn) app() string { return mrkdwn.Escape(t.Install.App().Name) }

// place is what the connection is for, escaped.
func (t turn) place() string { return mrkdwn.Name(t.Connection.Place(t.words())) }

// words are the library's sentences as the app says them.
func (t turn) words() *words.Sentences { return t.Install.App().Words }

// say is a sentence of ours in mrkdwn. Besides its parameters, which the caller escapes, it knows {app} and {place}.
func (t turn) say(key string, params ...any) string {
	params = append(params, "app", t.app(), "place", t.place())
	return t.words().Say("connection."+key, params...)
}

// plain is a sentence of ours without markup, for buttons, titles and what is read out.
func (t turn) plain(key string, params ...any) string {
	params = append(params, "app", t.Install.App().Name, "place", mrkdwn.Short(t.Connection.Place(t.words())))
	return t.words().Say("connection."+key, params...)
}

// sayFor is say in the words for an organisation where the connection is for one.
func (t turn) sayFor(key string, params ...any) string {
	if t.Connection.Everywhere() {
		key += "_everywhere"
	}
	return t.say(key, params...)
}

// list names things in the middle of a sentence; of many the first ones. They are escaped here.
func (t turn) list(things []string) string {
	const listed = 3
	var names []string
	for i, thing := range things {
		if i == listed && len(things) > listed+1 {
			names = append(names, t.say("facts.more", "count", len(things)-listed))
			break
		}
		names = append(names, mrkdwn.Name(thing))
	}
	return t.words().And(names)
}

// sentences puts whole sentences behind each other. Empty ones are left out.
func sentences(said ...string) string {
	return strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), " ")
}

// ref is how people quote an answer, for those who look into the logs.
func (t turn) ref() string { return t.say("status.reference", "ref", t.Ref) }

// warn logs what Slack refused.
func (t turn) warn(ctx context.Context, what string, err error) {
	t.Log.WarnContext(ctx, what, "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
}

// refused says that Slack refused something and why. needed are the permissions that it takes.
func (t turn) refused(text string, err error, needed ...string) bot.Reply {
	return bot.Reply{Text: sentences(text, slackSaid(t, err, needed...), t.ref())}
}

// paragraph is a text, shown as such with more blocks below it.
func paragraph(text string, more ...slack.Block) bot.Reply {
	return bot.Reply{Text: text, Blocks: append([]slack.Block{mrkdwn.Section(text)}, more...)}
}

// What Slack refuses, in words: one table for every answer that has to tell of it.

// slackSaid says in whole sentences, escaped, why a call of ours to Slack failed. needed are the permissions that the
// call takes, for when one is missing. https://docs.slack.dev/reference/methods
func slackSaid(t turn, err error, needed ...string) string {
	switch reason := slackapi.SlackError(err); reason {
	case "":
		return t.say("slack.silent")
	case "not_in_channel", "channel_not_found":
		return t.say("slack.not_in_channel")
	case "is_archived":
		return t.say("slack.archived")
	case "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
		"restricted_action_non_threadable_channel", "restricted_action_thread_locked",
		"ekm_access_denied", "access_denied", "no_permission", "not_allowed", "team_access_not_granted":
		return t.say("slack.rules")
	case "org_login_required", "team_added_to_org":
		return t.say("slack.moving")
	case "missing_scope", "no_scope":
		return lacking(t, needed)
	case "messages_tab_disabled", "cannot_dm_bot", "user_disabled":
		return t.say("slack.no_messages")
	case "expired_trigger_id", "trigger_expired", "exchanged_trigger_id", "trigger_exchanged", "invalid_trigger_id":
		return t.say("slack.too_late")
	case "ratelimited":
		return slowDown(t, err)
	case "internal_error", "fatal_error", "service_unavailable", "server_error", "request_timeout":
		return t.say("slack.trouble")
	default:
		if words := connection.ReasonText(t.words(), reason); words != "" {
			return sentences(mrkdwn.Escape(words), more(t, "status", "ask.fix"))
		}
		return t.say("slack.said", "code", mrkdwn.Code(reason))
	}
}

// slowDown says how long Slack wants to be left alone.
func slowDown(t turn, err error) string {
	wait := time.Minute
	if asked, limited := slackapi.RetryAfter(err); limited {
		wait = max(time.Second, asked)
	}
	if wait > 5*time.Minute {
		return t.say("slack.minutes", "count", int(math.Ceil(wait.Minutes())))
	}
	return t.say("slack.seconds", "count", int(math.Ceil(wait.Seconds())))
}

// lacking says which permissions are missing and what can't be done without them, in whole sentences.
func lacking(t turn, names []string) string {
	said := t.say("permissions.nothing")
	if len(names) > 0 {
		said = mrkdwn.Escape(t.Connection.Without(t.words(), "", t.Install.Describe(names)))
	}
	return sentences(said, more(t, "permissions", "ask.more"))
}

// whyUnasked says why there is nothing to ask Slack with.
func whyUnasked(t turn) string {
	if t.Renewing() {
		return t.say("why.renewing")
	}
	switch h := t.Health(); {
	case h.Reason == connection.ReasonNotAdded:
		return t.say("why.not_added")
	case h.State == connection.Unknown:
		return t.say("why.unknown")
	case h.State == connection.Paused:
		return t.say("why.paused")
	case h.State == connection.Removed:
		return t.say("why.removed")
	case h.State == connection.ReconnectRequired:
		return t.say("why.reconnect")
	}
	return t.say("why.not_connected")
}

// recordsSilent says that our own records don't answer.
func recordsSilent(t turn) bot.Reply {
	return bot.Reply{Text: sentences(t.say("why.records"), t.ref())}
}
