package bot

// What became of an attempt, and what follows from it: one place that tells what is final, what waits for Slack's
// limits, and what is tried again.

import (
	"context"
	"errors"
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

// classes has the codes with which Slack refuses a call that are not worth another attempt of an event or of slow work,
// and those that ask for time. All others are tried again: among them internal_error, fatal_error, service_unavailable
// and request_timeout, what says something of the token or the whole workspace (invalid_auth, token_revoked,
// org_login_required …), which a renewal or a person changes, and whatever Slack will say tomorrow. Each by the list of
// errors on its method's page below
// https://docs.slack.dev/reference/methods/.
var classes = map[string]class{
	"ratelimited":  wait, // every method
	"rate_limited": wait, // chat.postMessage: too much in one channel

	// conversations.*, chat.*: the place is gone, or not for the app.
	"channel_not_found":                     final,
	"is_archived":                           final,
	"not_in_channel":                        final,
	"channel_type_not_supported":            final,
	"method_not_supported_for_channel_type": final,
	"messages_tab_disabled":                 final,
	"thread_not_found":                      final,
	"thread_locked":                         final,
	"cannot_reply_to_message":               final,
	"duplicate_channel_not_found":           final,
	"duplicate_message_not_found":           final,

	// chat.postEphemeral, conversations.open, users.info: the person is gone, or can't be written to.
	"user_not_found":           final,
	"users_not_found":          final,
	"user_not_in_channel":      final,
	"user_not_visible":         final,
	"user_disabled":            final,
	"user_is_restricted":       final,
	"cannot_dm_bot":            final,
	"cant_dm_bot":              final,
	"invalid_user_combination": final,
	"too_many_users":           final,
	"not_enough_users":         final,

	// Every method: a rule of the workspace, or of this app's kind of token. missing_scope is not here: it is told to
	// whoever asked.
	"no_permission":            final,
	"restricted_action":        final, // and those that begin with it: see classOf
	"not_allowed_token_type":   final,
	"enterprise_is_restricted": final,
	"access_denied":            final,
	"not_authorized":           final,
	"feature_disabled":         final,
	"file_uploads_disabled":    final,
	"method_deprecated":        final,
	"deprecated_endpoint":      final,
	"unknown_method":           final,

	// chat.*: what is said is not fit to be said.
	"msg_too_long":                      final,
	"msg_blocks_too_long":               final,
	"no_text":                           final,
	"markdown_text_conflict":            final,
	"invalid_blocks":                    final,
	"invalid_blocks_format":             final,
	"invalid_attachments":               final,
	"too_many_attachments":              final,
	"too_many_contact_cards":            final,
	"attachment_payload_limit_exceeded": final,
	"invalid_metadata_format":           final,
	"invalid_metadata_schema":           final,
	"metadata_too_large":                final,
	"metadata_must_be_sent_from_app":    final,
	"as_user_not_supported":             final,
	"invalid_message":                   final,

	// chat.update, chat.delete, chat.scheduleMessage: the message is gone, or no longer ours to change.
	"message_not_found":                   final,
	"cant_update_message":                 final,
	"cant_delete_message":                 final,
	"cant_broadcast_message":              final,
	"edit_window_closed":                  final,
	"block_mismatch":                      final,
	"compliance_exports_prevent_deletion": final,
	"time_in_past":                        final,
	"time_too_far":                        final,
	"invalid_time":                        final,
	"invalid_scheduled_message_id":        final,

	// views.*: the trigger is over, the view is gone or too large.
	"expired_trigger_id":    final,
	"trigger_expired":       final,
	"invalid_trigger_id":    final,
	"trigger_exchanged":     final,
	"exchanged_trigger_id":  final,
	"view_too_large":        final,
	"invalid_view":          final,
	"not_found":             final,
	"view_not_found":        final,
	"duplicate_external_id": final,
	"push_limit_reached":    final,

	// reactions.*, pins.*, bookmarks.*, files.*: it is so already, or what it was about is gone.
	"already_reacted":    final,
	"no_reaction":        final,
	"not_reactable":      final,
	"too_many_emoji":     final,
	"too_many_reactions": final,
	"bad_timestamp":      final,
	"invalid_name":       final,
	"already_pinned":     final,
	"not_pinnable":       final,
	"no_pin":             final,
	"no_item_specified":  final,
	"file_not_found":     final,
	"file_deleted":       final,

	// functions.*, chat.unfurl: nobody waits for it any more.
	"function_execution_not_found":   final,
	"execution_not_in_running_state": final,
	"parameter_validation_failed":    final,
	"cannot_unfurl_message":          final,
	"invalid_unfurls_format":         final,

	// Every method: the call itself is wrong.
	"invalid_arguments": final,
	"invalid_arg_name":  final,
	"invalid_array_arg": final,
	"invalid_charset":   final,
	"invalid_form_data": final,
	"invalid_post_type": final,
	"missing_post_type": final,
	"missing_argument":  final,
	"invalid_cursor":    final,
	"invalid_json":      final,
	"json_not_object":   final,
}

// classOf sorts an error of a handler.
func classOf(err error) class {
	if errors.As(err, new(*slack.RateLimitedError)) {
		return wait
	}
	code := slackapi.SlackError(err)
	if strings.HasPrefix(code, "restricted_action_") ||
		strings.HasPrefix(code, "slack_connect_") && strings.HasSuffix(code, "_blocked") {
		return final // a family that grows: restricted_action_read_only_channel …
	}
	return classes[code]
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
func (w *workers) judge(ctx context.Context, e Event, err error) verdict {
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
