package bot

// What became of an attempt, and what follows from it: one place that tells what is final, what waits for Slack's
// limits, and what is tried again.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

// class is what an error asks for.
type class int

const (
	later class = iota // it can pass: everything that is not known to be otherwise
	wait               // Slack's limits: it comes back when Slack takes calls again, and does not count
	final              // trying again would change nothing
)

// limitCodes are those with which Slack asks for time: of every method, and of chat.postMessage for too much in one
// channel.
var limitCodes = []string{"ratelimited", "rate_limited"}

// finalCodes are those with which Slack refuses a call that is not worth another attempt of an event or of slow work.
// All others are tried again: among them internal_error, fatal_error, service_unavailable and request_timeout, what
// says something of the token or the whole workspace (invalid_auth, token_revoked, org_login_required …), which a
// renewal or a person changes, and whatever Slack will say tomorrow. Each by the list of errors on its method's page
// below https://docs.slack.dev/reference/methods/.
var finalCodes = []string{
	// conversations.*, chat.*: the place is gone, or not for the app.
	"channel_not_found", "is_archived", "not_in_channel", "channel_type_not_supported",
	"method_not_supported_for_channel_type", "messages_tab_disabled", "thread_not_found", "thread_locked",
	"cannot_reply_to_message", "duplicate_channel_not_found", "duplicate_message_not_found",

	// chat.postEphemeral, conversations.open, users.info: the person is gone, or can't be written to.
	"user_not_found", "users_not_found", "user_not_in_channel", "user_not_visible", "user_disabled",
	"user_is_restricted", "cannot_dm_bot", "cant_dm_bot", "invalid_user_combination", "too_many_users",
	"not_enough_users",

	// Every method: a rule of the workspace, or of this app's kind of token. missing_scope is not here: it is told to
	// whoever asked.
	"no_permission", "restricted_action", "not_allowed_token_type", "enterprise_is_restricted", "access_denied",
	"not_authorized", "feature_disabled", "file_uploads_disabled", "method_deprecated", "deprecated_endpoint",
	"unknown_method",

	// chat.*: what is said is not fit to be said.
	"msg_too_long", "msg_blocks_too_long", "no_text", "markdown_text_conflict", "invalid_blocks",
	"invalid_blocks_format", "invalid_attachments", "too_many_attachments", "too_many_contact_cards",
	"attachment_payload_limit_exceeded", "invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large",
	"metadata_must_be_sent_from_app", "as_user_not_supported", "invalid_message",

	// chat.update, chat.delete, chat.scheduleMessage: the message is gone, or no longer ours to change.
	"message_not_found", "cant_update_message", "cant_delete_message", "cant_broadcast_message", "edit_window_closed",
	"block_mismatch", "compliance_exports_prevent_deletion", "time_in_past", "time_too_far", "invalid_time",
	"invalid_scheduled_message_id",

	// views.*: the trigger is over, the view is gone or too large.
	"expired_trigger_id", "trigger_expired", "invalid_trigger_id", "trigger_exchanged", "exchanged_trigger_id",
	"view_too_large", "invalid_view", "not_found", "view_not_found", "duplicate_external_id", "push_limit_reached",

	// reactions.*, pins.*, bookmarks.*, files.*: it is so already, or what it was about is gone.
	"already_reacted", "no_reaction", "not_reactable", "too_many_emoji", "too_many_reactions", "bad_timestamp",
	"invalid_name", "already_pinned", "not_pinnable", "no_pin", "no_item_specified", "file_not_found", "file_deleted",

	// functions.*, chat.unfurl: nobody waits for it any more.
	"function_execution_not_found", "execution_not_in_running_state", "parameter_validation_failed",
	"cannot_unfurl_message", "invalid_unfurls_format",

	// Every method: the call itself is wrong.
	"invalid_arguments", "invalid_arg_name", "invalid_array_arg", "invalid_charset", "invalid_form_data",
	"invalid_post_type", "missing_post_type", "missing_argument", "invalid_cursor", "invalid_json", "json_not_object",
}

// classOf sorts an error of a handler.
func classOf(err error) class {
	if errors.As(err, new(*slack.RateLimitedError)) {
		return wait
	}

	switch code := slackapi.SlackError(err); {
	case slices.Contains(limitCodes, code):
		return wait
	case slices.Contains(finalCodes, code), strings.HasPrefix(code, "restricted_action_"),
		strings.HasPrefix(code, "slack_connect_") && strings.HasSuffix(code, "_blocked"):
		return final // those two prefixes are families that grow: restricted_action_read_only_channel …
	}
	return later
}

// patience is how long to wait for Slack's limits. Where it doesn't say: a minute, which is what they count in.
func patience(err error) time.Duration {
	if asked, limited := slackapi.RetryAfter(err); limited {
		return max(asked, shortestLimit)
	}
	return time.Minute
}

// notOpened says that an event never reached its handler: the connection could not be opened just now.
type notOpened struct{ cause error }

func (e *notOpened) Error() string { return e.cause.Error() }
func (e *notOpened) Unwrap() error { return e.cause }

// How attempts end, as switchboard_events_total names it.
const (
	outcomeDone    = "done"
	outcomeRefused = "refused" // by Slack, for good: done with, and noted
	outcomeRetry   = "retry"
	outcomeLimited = "limited" // comes back when Slack takes calls again, and does not count
	outcomePutBack = "put_back"
	outcomeLost    = "lost" // somebody else has it
	outcomeDead    = "dead"
)

// verdict is what the inbox is to be told.
type verdict struct {
	outcome string
	at      time.Time // the next attempt, if there is one
	counts  bool      // whether this one counts against the limit
}

// judge says what follows from how an attempt ended.
func (w *workers) judge(ctx context.Context, e Delivery, err error) verdict {
	var decode *decodeError
	sorted := classOf(err)
	free := e.Attempt - e.Failures // begun, and counted as no failure
	switch {
	case e.Deaths >= mostDeaths, errors.As(err, &decode):
		return verdict{outcome: outcomeDead}
	case err == nil:
		return verdict{outcome: outcomeDone}
	case errors.Is(context.Cause(ctx), errStopping):
		return verdict{outcome: outcomePutBack, at: w.now()}
	case sorted == wait && free <= freeAttempts:
		return verdict{outcome: outcomeLimited, at: w.now().Add(patience(err))}
	case errors.As(err, new(*notOpened)) && free <= freeAttempts:
		pauses := max(free, 1)
		if !errors.Is(err, connection.ErrRenewing) {
			// Our own records were silent. While they are, the inbox hands nothing out either, so it comes back soon.
			pauses = min(pauses, 2)
		}
		return verdict{outcome: outcomePutBack, at: w.now().Add(backoff(pauses))}
	case sorted == final && !lifecycle(e.Type):
		return verdict{outcome: outcomeRefused}
	case e.last() && !lifecycle(e.Type):
		return verdict{outcome: outcomeDead}
	}
	return verdict{outcome: outcomeRetry, at: w.now().Add(backoff(e.Failures + 1)), counts: true}
}
