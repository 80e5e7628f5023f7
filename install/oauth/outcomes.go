package oauth

// Every way an install can end, in the words the person reads: what happened, what did not change, and one next step.
// The reason is what logs, the attempt's record and the JSON twin carry.
//
// A headline is about this try. Whether the workspace is connected is another matter, and only said where it is known:
// most tries that come to nothing are of workspaces that are connected.

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/slackapi"
)

// outcome is one ending. Its sentences are those of pages.outcome under its key: title and happened always, typed and
// otherwise only of some.
type outcome struct {
	reason    string
	key       string // "": the reason
	status    int
	outcome   Outcome  // "" when it does not end an attempt
	types     []string // commands that its sentence typed tells people to type: it is only said if the app has them all
	unchanged string   // a key of pages.unchanged; "": nothing is known to be unchanged
	primary   step
	secondary step
	copyText  bool // offer the message for an admin
	good      bool // nothing is wrong: the workspace is connected
}

// sentence is the key of one of its sentences.
func (s outcome) sentence(name string) string {
	return "pages.outcome." + cmp.Or(s.key, s.reason) + "." + name
}

// step is what a person can press; where says which page of ours or theirs it leads to.
type step struct {
	label string // a key of pages.step
	where destination
}

type destination int

const (
	nowhere destination = iota
	toStart             // begin the install again, for the same request
	toNew               // begin an install of whatever workspace
	toLanding
	toPermissions // the permission list on the landing page
	toSupport
	toSlackStatus
	toSlack
)

var (
	tryAgain         = step{"try_again", toStart}
	startAgain       = step{"start_again", toStart}
	installAgain     = step{"install_again", toStart}
	startNew         = step{"start_a_new_install", toNew}
	installElsewhere = step{"install_to_another_workspace", toNew}
	tryAnother       = step{"try_another_workspace", toNew}
	contact          = step{"contact_the_people_who_run_it", toSupport}
	readWhy          = step{"read_what_it_asks_for_and_why", toPermissions}
	aboutApp         = step{"about_this_app", toLanding}
	installPage      = step{"go_to_the_install_page", toLanding}
	slackStatus      = step{"see_whether_slack_has_trouble", toSlackStatus}
	openSlack        = step{"open_slack", toSlack}
)

var (
	outcomeCancelled = outcome{
		reason: "cancelled", status: http.StatusOK, outcome: OutcomeRefused,
		unchanged: "changed", primary: tryAgain, secondary: readWhy,
	}
	outcomeDenied = outcome{
		reason: "access_denied", status: http.StatusForbidden, outcome: OutcomeRefused,
		unchanged: "changed", primary: tryAgain, secondary: tryAnother, copyText: true,
	}
	outcomeExpired = outcome{
		reason: "state_expired", status: http.StatusBadRequest, outcome: OutcomeRefused,
		unchanged: "changed", primary: startAgain, secondary: aboutApp,
	}
	outcomeUnknownState = outcome{
		reason: "state_unknown", status: http.StatusBadRequest, outcome: OutcomeRefused,
		unchanged: "changed", primary: step{"start_again_here", toStart}, secondary: aboutApp,
	}
	outcomeOtherBrowser = outcome{
		reason: "other_browser", status: http.StatusBadRequest, outcome: OutcomeRefused,
		unchanged: "changed", primary: startAgain, secondary: aboutApp,
	}
	outcomeOtherAddress = outcome{
		reason: "other_address", status: http.StatusMisdirectedRequest, outcome: OutcomeFailed,
		primary: step{"start_at_the_right_address", toStart}, secondary: contact,
	}
	outcomeUsed = outcome{
		reason: "state_used", status: http.StatusConflict,
		primary: startNew, secondary: aboutApp,
	}
	outcomeUnended = outcome{
		reason: "end_unknown", status: http.StatusConflict,
		primary: startNew, secondary: aboutApp,
	}
	outcomeAfterRefusal = outcome{
		reason: "used_after_refusal", status: http.StatusConflict,
		primary: startAgain, secondary: aboutApp,
	}
	outcomeSecondAnswer = outcome{
		reason: "second_answer", status: http.StatusConflict,
		primary: startNew, secondary: aboutApp, good: true,
	}
	outcomeUndoneSince = outcome{
		reason: "undone_since", status: http.StatusConflict,
		primary: installAgain, secondary: aboutApp, good: true,
	}
	outcomeRemovedSince = outcome{
		reason: "removed_since", status: http.StatusConflict,
		primary: installAgain, secondary: aboutApp,
	}
	outcomePausedSince = outcome{
		reason: "paused_since", status: http.StatusConflict,
		primary: contact, secondary: aboutApp,
	}
	outcomeBrokenSince = outcome{
		reason: "broken_since", status: http.StatusConflict,
		primary: step{"reconnect", toStart}, secondary: aboutApp,
	}
	outcomeNothingHere = outcome{
		reason: "nothing_here", status: http.StatusBadRequest,
		primary: installPage,
	}

	outcomeUnknownLink = outcome{
		reason: "link_unknown", status: http.StatusNotFound, outcome: OutcomeRefused,
		primary: startNew, secondary: aboutApp,
	}
	outcomeBrokenLink = outcome{
		reason: "link_broken", status: http.StatusBadRequest, outcome: OutcomeRefused,
		types: []string{"reconnect"}, primary: startNew, secondary: aboutApp,
	}
	outcomeExpiredLink = outcome{
		reason: "link_expired", status: http.StatusBadRequest, outcome: OutcomeRefused,
		types: []string{"reconnect"}, primary: startNew, secondary: aboutApp,
	}
	outcomeUsedLink = outcome{
		reason: "link_used", status: http.StatusConflict, outcome: OutcomeRefused,
		types: []string{"status", "reconnect"}, primary: startNew, secondary: aboutApp,
	}
	outcomeConnectedLink = outcome{
		reason: "link_used", key: "link_used_connected", status: http.StatusConflict, outcome: OutcomeRefused,
		types: []string{"status", "reconnect"}, primary: startNew, secondary: aboutApp, good: true,
	}

	outcomeClosed = outcome{
		reason: "closed", status: http.StatusForbidden, outcome: OutcomeRefused,
		unchanged: "saved", primary: step{"ask_for_access", toSupport}, secondary: aboutApp,
	}
	outcomeRequired = outcome{
		reason: "permission_required", status: http.StatusForbidden, outcome: OutcomeRefused,
		unchanged: "saved", primary: tryAgain, secondary: readWhy, copyText: true,
	}
	outcomeWrongWorkspace = outcome{
		reason: "wrong_workspace", status: http.StatusConflict, outcome: OutcomeRefused,
		unchanged: "as_it_was", primary: step{"choose", toStart}, secondary: step{"connect_instead", toNew},
	}
	outcomeBusy = outcome{
		reason: "busy", status: http.StatusServiceUnavailable,
		unchanged: "changed", primary: startAgain, secondary: aboutApp,
	}
	outcomeOddCode = outcome{
		reason: "code_malformed", status: http.StatusBadRequest, outcome: OutcomeRefused,
		unchanged: "changed", primary: startAgain, secondary: aboutApp,
	}

	outcomeCodeSpent = outcome{
		reason: "code_spent", status: http.StatusBadRequest, outcome: OutcomeRefused,
		primary: startAgain, secondary: aboutApp,
	}
	outcomeNotSetUp = outcome{
		reason: "not_set_up", status: http.StatusBadGateway, outcome: OutcomeFailed,
		unchanged: "saved", primary: contact, secondary: tryAgain,
	}
	outcomeNotDistributed = outcome{
		reason: "not_distributed", status: http.StatusForbidden, outcome: OutcomeRefused,
		unchanged: "saved", primary: contact, secondary: tryAnother,
	}
	outcomePermission = outcome{
		reason: "permission_not_allowed", status: http.StatusForbidden, outcome: OutcomeRefused,
		unchanged: "saved", primary: readWhy, secondary: contact, copyText: true,
	}
	outcomePolicy = outcome{
		reason: "not_allowed_to_install", status: http.StatusForbidden, outcome: OutcomeRefused,
		unchanged: "saved", primary: tryAnother, secondary: aboutApp, copyText: true,
	}
	outcomeAccount = outcome{
		reason: "account_not_ready", status: http.StatusForbidden, outcome: OutcomeRefused,
		unchanged: "saved", primary: tryAgain, secondary: aboutApp,
	}
	outcomeOrgInstalled = outcome{
		reason: "org_has_it", status: http.StatusConflict, outcome: OutcomeRefused,
		unchanged: "saved", primary: openSlack, secondary: contact, copyText: true,
	}
	outcomeMoving = outcome{
		reason: "workspace_moving", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		unchanged: "saved", primary: tryAgain, secondary: aboutApp,
	}
	outcomeNotActive = outcome{
		reason: "not_active", status: http.StatusBadGateway, outcome: OutcomeFailed,
		unchanged: "saved", primary: tryAgain, secondary: contact, copyText: true,
	}
	outcomeSlackDown = outcome{
		reason: "slack_down", status: http.StatusBadGateway, outcome: OutcomeFailed,
		unchanged: "saved", primary: tryAgain, secondary: slackStatus,
	}
	outcomeSlackSlow = outcome{
		reason: "slack_timeout", status: http.StatusGatewayTimeout, outcome: OutcomeFailed,
		unchanged: "saved", primary: tryAgain, secondary: slackStatus,
	}
	outcomeRateLimited = outcome{
		reason: "slack_rate_limited", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		unchanged: "saved", primary: step{"try_again_in_seconds", toStart}, secondary: aboutApp,
	}
	outcomeUnexpected = outcome{
		reason: "unexpected", status: http.StatusInternalServerError, outcome: OutcomeFailed,
		unchanged: "saved", primary: tryAgain, secondary: contact,
	}
	outcomeNotStored = outcome{
		reason: "not_stored", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		primary: step{"finish_connecting", toStart}, secondary: contact,
	}

	outcomeRecordsDown = outcome{
		reason: "records_unavailable", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		primary: tryAgain, secondary: contact,
	}
	outcomeUpdating = outcome{
		reason: "updating", status: http.StatusServiceUnavailable,
		primary: step{"try_again", toLanding}, secondary: contact,
	}
	outcomeNotReady = outcome{
		reason: "not_ready", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		primary: contact, secondary: step{"try_again", toLanding},
	}
	outcomeSingleWorkspace = outcome{
		reason: "single_workspace", status: http.StatusForbidden,
		primary: contact, secondary: aboutApp,
	}
	outcomeNoPage = outcome{
		reason: "no_such_page", status: http.StatusNotFound,
		primary: installPage,
	}

	outcomeUndone = outcome{
		reason: "undone", status: http.StatusOK, outcome: undoneOutcome,
		unchanged: "others", primary: installElsewhere, secondary: aboutApp,
	}
	outcomeUndoneUnerased = outcome{
		reason: "undone", key: "undone_unerased", status: http.StatusOK, outcome: undoneOutcome,
		unchanged: "others", primary: installElsewhere, secondary: aboutApp,
	}
	outcomeUndoBroken = outcome{
		reason: "undo_broken", status: http.StatusBadRequest, outcome: OutcomeRefused,
		primary: aboutApp, secondary: contact,
	}
	outcomeUndoExpired = outcome{
		reason: "undo_expired", status: http.StatusBadRequest, outcome: OutcomeRefused,
		types: []string{"disconnect"}, primary: openSlack, secondary: aboutApp,
	}
	outcomeUndoOtherBrowser = outcome{
		reason: "undo_other_browser", status: http.StatusForbidden, outcome: OutcomeRefused,
		types: []string{"disconnect"}, primary: openSlack, secondary: aboutApp,
	}
	outcomeUndoUsed = outcome{
		reason: "undo_used", status: http.StatusConflict, outcome: OutcomeRefused,
		primary: step{"install_again", toNew}, secondary: aboutApp,
	}
	outcomeUndoUnderWay = outcome{
		reason: "undo_under_way", status: http.StatusConflict, outcome: OutcomeRefused,
		primary: openSlack, secondary: aboutApp,
	}
	outcomeUndoLater = outcome{
		reason: "undo_reinstalled", status: http.StatusConflict, outcome: OutcomeRefused,
		types: []string{"disconnect"}, primary: openSlack, secondary: aboutApp,
	}
	outcomeUndoRefused = outcome{
		reason: "undo_refused", status: http.StatusBadGateway, outcome: OutcomeFailed,
		unchanged: "erased", primary: openSlack, secondary: slackStatus,
	}
	outcomeUndoUnclear = outcome{
		reason: "undo_unclear", status: http.StatusBadGateway, outcome: OutcomeFailed,
		primary: openSlack, secondary: slackStatus,
	}
	outcomeUndoRecords = outcome{
		reason: "undo_records", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		primary: openSlack, secondary: contact,
	}
)

// outcomes are the endings that a reload has to find again by their reason.
var outcomes = []outcome{
	outcomeCancelled, outcomeDenied, outcomeExpired, outcomeCodeSpent, outcomeNotSetUp, outcomeNotDistributed,
	outcomePermission, outcomePolicy, outcomeClosed, outcomeRequired, outcomeUsedLink, outcomeAccount,
	outcomeOrgInstalled, outcomeMoving, outcomeNotActive, outcomeSlackDown, outcomeSlackSlow, outcomeRateLimited,
	outcomeRecordsDown, outcomeNotStored, outcomeUnexpected,
}

// everySituation is all of them, for the numbers.
var everySituation = slices.Concat(outcomes, []outcome{
	outcomeUnknownState, outcomeOtherBrowser, outcomeOtherAddress, outcomeUsed, outcomeUnended, outcomeAfterRefusal,
	outcomeSecondAnswer, outcomeUndoneSince, outcomeRemovedSince, outcomePausedSince, outcomeBrokenSince,
	outcomeNothingHere, outcomeUnknownLink, outcomeBrokenLink, outcomeExpiredLink, outcomeConnectedLink,
	outcomeWrongWorkspace, outcomeBusy, outcomeOddCode, outcomeUpdating, outcomeNotReady, outcomeSingleWorkspace,
	outcomeNoPage, outcomeUndone, outcomeUndoneUnerased, outcomeUndoBroken, outcomeUndoExpired,
	outcomeUndoOtherBrowser, outcomeUndoUsed, outcomeUndoUnderWay, outcomeUndoLater, outcomeUndoRefused,
	outcomeUndoUnclear, outcomeUndoRecords,
})

// Ending is what Config.Ended is told.
type Ending struct {
	Outcome Outcome
	Reason  string
}

// Endings are all that Config.Ended can be told, so that a number for each can begin at 0.
func Endings() []Ending {
	all := []Ending{{Reason: attemptStarted}, {Reason: attemptStartedAgain}}
	for _, s := range everySituation {
		all = append(all, Ending{Outcome: s.outcome, Reason: s.reason})
	}
	for o, reasons := range successes {
		for _, reason := range reasons {
			all = append(all, Ending{Outcome: o, Reason: reason}, Ending{Outcome: o, Reason: reason + limitedSuffix})
		}
	}
	return all
}

// refusal is what the person reads for what Slack says, on the redirect or at the exchange; otherwise, for a code that
// is not here. https://docs.slack.dev/reference/methods/oauth.v2.access
func refusal(code string, otherwise outcome) outcome {
	switch code {
	case "access_denied":
		return outcomeDenied
	case "invalid_code", "code_already_used", "code_expired", "invalid_code_verifier":
		return outcomeCodeSpent
	case "bad_client_secret", "bad_redirect_uri", "invalid_client_id", "client_id_token_mismatch",
		"oauth_authorization_url_mismatch", "no_scopes", "pkce_not_allowed", "invalid_grant_type":
		return outcomeNotSetUp
	case "invalid_team_for_non_distributed_app":
		return outcomeNotDistributed
	case "invalid_scope", "invalid_scope_requested", "unapproved_scope", "scope_not_allowed_on_enterprise":
		return outcomePermission
	case "app_not_approved", "restricted_action", "user_is_restricted", "user_is_ultra_restricted", "not_allowed",
		"access_not_allowed":
		return outcomePolicy
	case "user_email_unverified", "two_factor_setup_required":
		return outcomeAccount
	case "cannot_install_an_org_installed_app":
		return outcomeOrgInstalled
	case "org_login_required", "team_added_to_org":
		return outcomeMoving
	case "account_inactive", "invalid_auth", "token_revoked", "token_expired":
		return outcomeNotActive
	case "internal_error", "fatal_error", "service_unavailable", "server_error":
		return outcomeSlackDown
	case "request_timeout":
		return outcomeSlackSlow
	}
	return otherwise
}

// refused is the page for an error that Slack put on the redirect. The code is looked up, never shown: it comes from
// the address, which anybody can write.
func (ps *pages) refused(back arrival, ref string) *page {
	if back.refusal == "access_denied" && back.described {
		return ps.of(outcomeCancelled, ref)
	}
	return ps.of(refusal(back.refusal, outcomeDenied), ref)
}

func (ps *pages) rateLimited(seconds int, ref string) *page {
	p := ps.of(outcomeRateLimited, ref, "wait", seconds)
	p.retryAfter = seconds
	return p
}

// slackRefused is the page for a call to Slack that failed, and logs the cause.
func (ps *pages) slackRefused(ctx context.Context, doing string, err error, ref string) *page {
	code := slackapi.SlackError(err)
	ps.Log.WarnContext(ctx, doing, "ref", ref, "slack_error", code, "cause", slackapi.Cause(err))
	wait, limited := slackapi.RetryAfter(err)
	var status slack.StatusCodeError
	var network net.Error
	switch {
	case limited:
		return ps.rateLimited(max(1, int(wait.Seconds())), ref)
	case code == "ratelimited":
		return ps.rateLimited(60, ref)
	case code != "":
		return ps.of(refusal(code, outcomeUnexpected), ref)
	case errors.As(err, &status):
		return ps.of(outcomeSlackDown, ref)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return ps.of(outcomeSlackSlow, ref)
	}
	return ps.of(outcomeSlackDown, ref)
}

// busy is the page for somebody who has to wait for others. Nothing was used up, so a reload goes on where it stopped.
func (ps *pages) busy(ref string) *page {
	wait := int(busyWait / time.Second)
	p := ps.of(outcomeBusy, ref, "wait", wait)
	p.retryAfter = wait
	return p
}
