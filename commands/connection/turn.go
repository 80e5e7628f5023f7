package connection

// One delivery, and what nearly every answer to it says.

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
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
func (t turn) place() string { return mrkdwn.Name(t.Connection.Place(t.Install.App().Words)) }

// ref goes behind other sentences: how people quote this answer, for those who look into the logs.
func (t turn) ref() string { return " Reference: " + t.Ref + "." }

// warn logs what Slack refused.
func (t turn) warn(ctx context.Context, what string, err error) {
	t.Log.WarnContext(ctx, what, "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
}

// refused says that Slack refused something and why. needed are the permissions that it takes.
func (t turn) refused(text string, err error, needed ...string) bot.Reply {
	return bot.Reply{Text: text + " " + slackSaid(t, err, needed...) + t.ref()}
}

// paragraph is a text, shown as such with more blocks below it.
func paragraph(text string, more ...slack.Block) bot.Reply {
	return bot.Reply{Text: text, Blocks: append([]slack.Block{mrkdwn.Section(text)}, more...)}
}

// What Slack refuses, in words: one table for every answer that has to tell of it.

// slackSaid says in whole sentences, escaped, why a call of ours to Slack failed. needed are the permissions that the
// call takes, for when one is missing. https://docs.slack.dev/reference/methods
func slackSaid(t turn, err error, needed ...string) string {
	app := t.app()
	again := " Try again in a minute."
	asked, limited := slackapi.RetryAfter(err)
	switch reason := slackapi.SlackError(err); reason {
	case "":
		return "Slack didn't answer in time." + again
	case "not_in_channel", "channel_not_found":
		return fmt.Sprintf("I'm not in that channel. Type `/invite @%s` there.", app)
	case "is_archived":
		return "That channel is archived, so nothing can be sent there."
	case "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
		"restricted_action_non_threadable_channel", "restricted_action_thread_locked",
		"ekm_access_denied", "access_denied", "no_permission", "not_allowed", "team_access_not_granted":
		return "Your workspace's rules stop this. An admin can change that."
	case "org_login_required", "team_added_to_org":
		return "Your workspace's rules stop this: it is being moved into an organisation, which can take some hours. " +
			"An admin can say when that is done."
	case "missing_scope", "no_scope":
		return lacking(t, needed)
	case "messages_tab_disabled", "cannot_dm_bot", "user_disabled":
		return "Slack doesn't take direct messages between you and " + app + " here. An admin can change that."
	case "expired_trigger_id", "trigger_expired", "exchanged_trigger_id", "trigger_exchanged", "invalid_trigger_id":
		return "Slack opens a window only within 3 seconds, and this took longer. Try again."
	case "ratelimited":
		wait := time.Minute
		if limited {
			wait = max(time.Second, asked)
		}
		if wait > 5*time.Minute {
			return fmt.Sprintf("Slack asked us to slow down. Try again in %d minutes.", int(math.Ceil(wait.Minutes())))
		}
		return fmt.Sprintf("Slack asked us to slow down. Try again in %d seconds.", int(math.Ceil(wait.Seconds())))
	case "internal_error", "fatal_error", "service_unavailable", "server_error", "request_timeout":
		return "Slack had trouble of its own." + again
	default:
		if words := connection.ReasonText(t.Install.App().Words, reason); words != "" {
			return mrkdwn.Escape(words) + more(t, "status", "to see what to do")
		}
		return "Slack said " + mrkdwn.Code(reason) + "."
	}
}

// lacking says which permissions are missing and what can't be done without them, in whole sentences.
func lacking(t turn, names []string) string {
	if len(names) == 0 {
		return "It isn't allowed to do that here." + more(t, "permissions", "to see more")
	}
	return mrkdwn.Escape(t.Connection.Without(t.Install.App().Words, "", t.Install.Describe(names))) + more(t, "permissions", "to see more")
}

// whyUnasked says, to go behind "because it", why there is nothing to ask Slack with.
func whyUnasked(t turn) string {
	if t.Renewing() {
		return "couldn't renew its access just now"
	}
	switch h := t.Health(); {
	case h.Reason == connection.ReasonNotAdded:
		return "wasn't added to this workspace"
	case h.State == connection.Unknown:
		return "can't reach its records right now"
	case h.State == connection.Paused:
		return "is paused by the people who run it"
	case h.State == connection.Removed:
		return "was removed from Slack"
	case h.State == connection.ReconnectRequired:
		return "needs reconnecting"
	}
	return "isn't connected here"
}

// featuresNamed is how many of them a sentence names.
const featuresNamed = 3

// features lists what the app can't do without these permissions, escaped; "" when that is not known.
func features(scopes []connection.Scope) string {
	var off []string
	for _, s := range scopes {
		if f := mrkdwn.Escape(mrkdwn.Clip(s.Feature, mrkdwn.MaxName)); f != "" && !slices.Contains(off, f) {
			off = append(off, f)
		}
	}
	if n := len(off); n > featuresNamed {
		off = append(off[:featuresNamed], count(n-featuresNamed, "more thing"))
	}
	return connection.Or(off)
}
