package oauth

// Every way an install can end, in the words the person reads: what happened, what did not change, and one next step.
// The reason is what logs, the attempt's record and the JSON twin carry.
//
// A headline is about this try. Whether the workspace is connected is another matter, and only said where it is known:
// most tries that come to nothing are of workspaces that are connected.

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/slackapi"
)

// outcome is one ending. {app}, {wanted}, {chosen}, {workspace} and the like are filled in when a page is made from it.
type outcome struct {
	reason    string
	status    int
	outcome   Outcome // "" when it does not end an attempt
	title     string
	happened  string
	typed     string // what can be typed in Slack, with {status}, {reconnect} or {disconnect}: only if the app has those
	otherwise string // instead, where it hasn't
	unchanged string // only what is known
	primary   step
	secondary step
	copyText  bool // offer the message for an admin
	good      bool // nothing is wrong: the workspace is connected
}

// step is what a person can press; where says which page of ours or theirs it leads to.
type step struct {
	label string
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
	tryAgain         = step{"Try again", toStart}
	startAgain       = step{"Start again", toStart}
	installAgain     = step{"Install again", toStart}
	startNew         = step{"Start a new install", toNew}
	installElsewhere = step{"Install to another workspace", toNew}
	tryAnother       = step{"Try another workspace", toNew}
	contact          = step{"Contact the people who run it", toSupport}
	readWhy          = step{"Read what it asks for and why", toPermissions}
	aboutApp         = step{"About this app", toLanding}
	installPage      = step{"Go to the install page", toLanding}
	slackStatus      = step{"See whether Slack has trouble", toSlackStatus}
	openSlack        = step{"Open Slack", toSlack}
)

const (
	unchanged  = "Nothing was changed." // before Slack was asked
	notSaved   = "Nothing was saved."   // after
	forNewLink = "In Slack, type {reconnect} for a new one."
	onlyThey   = "Only the people who run it can fix that; the reference below is in their log."
)

var (
	outcomeCancelled = outcome{
		reason: "cancelled", status: http.StatusOK, outcome: OutcomeRefused,
		title:     "You pressed Cancel",
		happened:  "You pressed Cancel on Slack's page, so nothing was allowed.",
		unchanged: unchanged, primary: tryAgain, secondary: readWhy,
	}
	outcomeDenied = outcome{
		reason: "access_denied", status: http.StatusForbidden, outcome: OutcomeRefused,
		title:     "Slack didn't allow it",
		happened:  "You may need an admin's approval in this workspace.",
		unchanged: unchanged, primary: tryAgain, secondary: tryAnother, copyText: true,
	}
	outcomeExpired = outcome{
		reason: "state_expired", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title: "This link has expired",
		happened: "Links last 10 minutes to keep your workspace safe, and this one is older. That often happens " +
			"while waiting for an admin.",
		unchanged: unchanged, primary: startAgain, secondary: aboutApp,
	}
	outcomeUnknownState = outcome{
		reason: "state_unknown", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title: "We couldn't match this request",
		happened: "We couldn't match this to a request from this browser. It may have begun on another " +
			"page or in another app.",
		unchanged: unchanged, primary: step{"Start again here", toStart}, secondary: aboutApp,
	}
	outcomeOtherBrowser = outcome{
		reason: "other_browser", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title:     "You started in a different browser",
		happened:  "You started in a different browser, or this one doesn't keep cookies. Finish there, or start again here.",
		unchanged: unchanged, primary: startAgain, secondary: aboutApp,
	}
	outcomeOtherAddress = outcome{
		reason: "other_address", status: http.StatusMisdirectedRequest, outcome: OutcomeFailed,
		title: "This install began at another address",
		happened: "The install began at another address than the one {app} is set up for, so this browser couldn't " +
			"be recognised. Start here and it works. If it happens again, only the people who run {app} can fix " +
			"that; the reference below is in their log.",
		primary: step{"Start at the right address", toStart}, secondary: contact,
	}
	outcomeUsed = outcome{
		reason: "state_used", status: http.StatusConflict,
		title:    "This link was already used",
		happened: "Each link works once, and this one has been used, perhaps in another browser or window.",
		primary:  startNew, secondary: aboutApp,
	}
	outcomeUnended = outcome{
		reason: "end_unknown", status: http.StatusConflict,
		title:    "We don't know yet how this install ended",
		happened: "It is still under way, or it was interrupted. Reload this page in a minute.",
		primary:  startNew, secondary: aboutApp,
	}
	outcomeAfterRefusal = outcome{
		reason: "used_after_refusal", status: http.StatusConflict,
		title:    "This link was used up",
		happened: "An earlier try used this link, and each link works once.",
		primary:  startAgain, secondary: aboutApp,
	}
	outcomeSecondAnswer = outcome{
		reason: "second_answer", status: http.StatusConflict,
		title: "You're already connected",
		happened: "{app} is in {workspace}. This page was from an earlier try; nothing changed. To connect another " +
			"workspace, start a new install.",
		primary: startNew, secondary: aboutApp, good: true,
	}
	outcomeUndoneSince = outcome{
		reason: "undone_since", status: http.StatusConflict,
		title:    "You undid this install",
		happened: "Slack removed {app} from {workspace}.",
		primary:  installAgain, secondary: aboutApp, good: true,
	}
	outcomeRemovedSince = outcome{
		reason: "removed_since", status: http.StatusConflict,
		title:    "{app} was removed from {workspace}",
		happened: "This install finished, and {app} was removed afterwards.",
		primary:  installAgain, secondary: aboutApp,
	}
	outcomePausedSince = outcome{
		reason: "paused_since", status: http.StatusConflict,
		title:    "{app} is paused in {workspace}",
		happened: "This install finished. The people who run {app} paused it there afterwards.",
		primary:  contact, secondary: aboutApp,
	}
	outcomeBrokenSince = outcome{
		reason: "broken_since", status: http.StatusConflict,
		title:    "{app} needs reconnecting in {workspace}",
		happened: "This install finished, and it stopped working afterwards.",
		primary:  step{"Reconnect", toStart}, secondary: aboutApp,
	}
	outcomeNothingHere = outcome{
		reason: "nothing_here", status: http.StatusBadRequest,
		title:    "Nothing to do here",
		happened: "This address is where Slack sends people back to. To connect {app}, start from the install page.",
		primary:  installPage,
	}

	outcomeUnknownLink = outcome{
		reason: "link_unknown", status: http.StatusNotFound, outcome: OutcomeRefused,
		title:    "This link no longer works",
		happened: "This link was made for a workspace that we don't know.",
		primary:  startNew, secondary: aboutApp,
	}
	outcomeBrokenLink = outcome{
		reason: "link_broken", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title:    "This link is damaged",
		happened: "This link was cut short or changed on its way to you, or it isn't one of ours.",
		typed:    forNewLink,
		primary:  startNew, secondary: aboutApp,
	}
	outcomeExpiredLink = outcome{
		reason: "link_expired", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title:    "This link has expired",
		happened: "Links like this one last for an hour, some for a week, and this one is older.",
		typed:    forNewLink,
		primary:  startNew, secondary: aboutApp,
	}
	outcomeUsedLink = outcome{
		reason: "link_used", status: http.StatusConflict, outcome: OutcomeRefused,
		title:    "This link was already used",
		happened: "Each link like this one works once, and somebody has finished with it.",
		typed:    "In Slack, type {status} to see how things are, or {reconnect} for a new link.",
		primary:  startNew, secondary: aboutApp,
	}
	outcomeConnectedLink = outcome{
		reason: "link_used", status: http.StatusConflict, outcome: OutcomeRefused,
		title: "You're already connected",
		happened: "{app} is connected to the workspace that this link was for. Each link works once, and somebody " +
			"has finished with this one.",
		typed:   "In Slack, type {status} to see how things are, or {reconnect} for a new link.",
		primary: startNew, secondary: aboutApp, good: true,
	}

	outcomeClosed = outcome{
		reason: "closed", status: http.StatusForbidden, outcome: OutcomeRefused,
		title:     "{app} isn't open to new workspaces right now",
		happened:  "The people who run {app} decide which workspaces can connect, and this one isn't among them.",
		unchanged: notSaved, primary: step{"Ask for access", toSupport}, secondary: aboutApp,
	}
	outcomeRequired = outcome{
		reason: "permission_required", status: http.StatusForbidden, outcome: OutcomeRefused,
		title:     "{app} can't work without {missing}",
		happened:  "On Slack's page, {missing} was left out, and {app} can do nothing without.",
		unchanged: notSaved, primary: tryAgain, secondary: readWhy, copyText: true,
	}
	outcomeWrongWorkspace = outcome{
		reason: "wrong_workspace", status: http.StatusConflict, outcome: OutcomeRefused,
		title: "You chose {chosen}, this link is for {wanted}",
		happened: "You chose {chosen}, but this link is for {wanted}. Check the workspace in the top-right " +
			"menu on Slack's page.",
		unchanged: "{wanted} is as it was.",
		primary:   step{"Choose {wanted}", toStart},
		secondary: step{"Connect {chosen} instead", toNew},
	}
	outcomeBusy = outcome{
		reason: "busy", status: http.StatusServiceUnavailable,
		title: "Many people are installing right now",
		happened: "Slack lets {app} finish only so many installs at a time. Wait {wait} seconds, then reload this " +
			"page to finish.",
		unchanged: unchanged, primary: startAgain, secondary: aboutApp,
	}
	outcomeOddCode = outcome{
		reason: "code_malformed", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title:     "This address is damaged",
		happened:  "The address that Slack sent you back to was changed or cut short on its way, so Slack wasn't asked.",
		unchanged: unchanged, primary: startAgain, secondary: aboutApp,
	}

	outcomeCodeSpent = outcome{
		reason: "code_spent", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title:    "Slack's permission ran out",
		happened: "Slack's permission to finish works once and for 10 minutes, and this one no longer does.",
		primary:  startAgain, secondary: aboutApp,
	}
	outcomeNotSetUp = outcome{
		reason: "not_set_up", status: http.StatusBadGateway, outcome: OutcomeFailed,
		title:     "This app isn't set up correctly yet",
		happened:  onlyThey,
		unchanged: notSaved, primary: contact, secondary: tryAgain,
	}
	outcomeNotDistributed = outcome{
		reason: "not_distributed", status: http.StatusForbidden, outcome: OutcomeRefused,
		title:     "Only its owner's workspace can add it",
		happened:  "Right now this app can only be installed in its owner's workspace.",
		unchanged: notSaved, primary: contact, secondary: tryAnother,
	}
	outcomePermission = outcome{
		reason: "permission_not_allowed", status: http.StatusForbidden, outcome: OutcomeRefused,
		title:     "A permission isn't allowed",
		happened:  "Slack, or your organisation, doesn't allow one of the permissions that {app} asks for.",
		unchanged: notSaved, primary: readWhy, secondary: contact, copyText: true,
	}
	outcomePolicy = outcome{
		reason: "not_allowed_to_install", status: http.StatusForbidden, outcome: OutcomeRefused,
		title:     "Your Slack account can't add apps here",
		happened:  "Ask a member who can, or an admin.",
		unchanged: notSaved, primary: tryAnother, secondary: aboutApp, copyText: true,
	}
	outcomeAccount = outcome{
		reason: "account_not_ready", status: http.StatusForbidden, outcome: OutcomeRefused,
		title: "Slack wants something from you first",
		happened: "Slack wants you to finish setting up your account first: confirm your e-mail address, or turn " +
			"on two-factor sign-in.",
		unchanged: notSaved, primary: tryAgain, secondary: aboutApp,
	}
	outcomeOrgInstalled = outcome{
		reason: "org_has_it", status: http.StatusConflict, outcome: OutcomeRefused,
		title: "Your organisation already has it",
		happened: "Your organisation already has {app}. An organisation admin can add it to this workspace; it " +
			"can't be installed here again.",
		unchanged: notSaved, primary: openSlack, secondary: contact, copyText: true,
	}
	outcomeMoving = outcome{
		reason: "workspace_moving", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		title:     "This workspace is being moved",
		happened:  "Slack is moving this workspace into an organisation. That can take some hours.",
		unchanged: notSaved, primary: tryAgain, secondary: aboutApp,
	}
	outcomeNotActive = outcome{
		reason: "not_active", status: http.StatusBadGateway, outcome: OutcomeFailed,
		title:     "Slack says the app isn't active",
		happened:  "Slack accepted the install, then said the app isn't active in this workspace.",
		unchanged: notSaved, primary: tryAgain, secondary: contact, copyText: true,
	}
	outcomeSlackDown = outcome{
		reason: "slack_down", status: http.StatusBadGateway, outcome: OutcomeFailed,
		title:     "Slack had trouble",
		happened:  "Slack didn't answer properly, so the install isn't finished.",
		unchanged: notSaved, primary: tryAgain, secondary: slackStatus,
	}
	outcomeSlackSlow = outcome{
		reason: "slack_timeout", status: http.StatusGatewayTimeout, outcome: OutcomeFailed,
		title:     "Slack didn't answer in time",
		happened:  "Slack didn't answer in time, so the install isn't finished.",
		unchanged: notSaved, primary: tryAgain, secondary: slackStatus,
	}
	outcomeRateLimited = outcome{
		reason: "slack_rate_limited", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		title:     "Slack asks us to wait",
		happened:  "Slack asked us to slow down. Try again in about {wait} seconds.",
		unchanged: notSaved, primary: step{"Try again in {wait} seconds", toStart}, secondary: aboutApp,
	}
	outcomeUnexpected = outcome{
		reason: "unexpected", status: http.StatusInternalServerError, outcome: OutcomeFailed,
		title:     "Something went wrong",
		happened:  "Slack's answer wasn't what {app} expects, so the install isn't finished.",
		unchanged: notSaved, primary: tryAgain, secondary: contact,
	}
	outcomeNotStored = outcome{
		reason: "not_stored", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		title: "Almost connected: we couldn't finish",
		happened: "Slack shows the app as added, but we couldn't save that yet. We keep trying; if it isn't " +
			"connected in a few minutes, press Finish connecting, and Slack asks you again.",
		primary: step{"Finish connecting", toStart}, secondary: contact,
	}

	outcomeRecordsDown = outcome{
		reason: "records_unavailable", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		title:    "We can't reach our records",
		happened: "We can't reach our own records right now. Try again in a few minutes.",
		primary:  tryAgain, secondary: contact,
	}
	outcomeUpdating = outcome{
		reason: "updating", status: http.StatusServiceUnavailable,
		title:    "{app} isn't ready right now",
		happened: "It can't reach its records, or they're being updated. Come back in a few minutes.",
		primary:  step{"Try again", toLanding}, secondary: contact,
	}
	outcomeNotReady = outcome{
		reason: "not_ready", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		title:    "{app} can't be installed right now",
		happened: onlyThey,
		primary:  contact, secondary: step{"Try again", toLanding},
	}
	outcomeSingleWorkspace = outcome{
		reason: "single_workspace", status: http.StatusForbidden,
		title:    "Nothing to install: this copy serves one workspace",
		happened: "The people who run this copy of {app} connected it to one workspace by hand. It can't be added to others.",
		primary:  contact, secondary: aboutApp,
	}
	outcomeNoPage = outcome{
		reason: "no_such_page", status: http.StatusNotFound,
		title:    "Page not found",
		happened: "Check the address, or start from the install page.",
		primary:  installPage,
	}

	outcomeUndone = outcome{
		reason: "undone", status: http.StatusOK, outcome: undoneOutcome,
		title:     "Undone: {app} is no longer in {workspace}",
		happened:  "Slack removed {app} from {workspace}. Its access and its messages are erased.",
		unchanged: "No other workspace was touched.", primary: installElsewhere, secondary: aboutApp,
	}
	outcomeUndoneUnerased = outcome{
		reason: "undone", status: http.StatusOK, outcome: undoneOutcome,
		title: "Undone: {app} is no longer in {workspace}",
		happened: "Slack removed {app} from {workspace}. We couldn't erase its access from our records yet; that " +
			"is done as soon as they answer.",
		unchanged: "No other workspace was touched.", primary: installElsewhere, secondary: aboutApp,
	}
	outcomeUndoBroken = outcome{
		reason: "undo_broken", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title: "Not undone: we couldn't match this request",
		happened: "What this browser sent is damaged, or not from one of our pages. To remove {app}, open its page " +
			"in Slack, choose Configuration, then Remove App.",
		primary: aboutApp, secondary: contact,
	}
	outcomeUndoExpired = outcome{
		reason: "undo_expired", status: http.StatusBadRequest, outcome: OutcomeRefused,
		title:     "Not undone: that was possible for 30 minutes",
		happened:  "An install can be undone here for 30 minutes.",
		typed:     "To remove {app} now, type {disconnect} in Slack.",
		otherwise: removeByHand,
		primary:   openSlack, secondary: aboutApp,
	}
	outcomeUndoOtherBrowser = outcome{
		reason: "undo_other_browser", status: http.StatusForbidden, outcome: OutcomeRefused,
		title:     "Not undone: this is a different browser",
		happened:  "Only the browser that installed {app} can undo it, and this one doesn't have its cookie.",
		typed:     "To remove {app}, type {disconnect} in Slack.",
		otherwise: removeByHand,
		primary:   openSlack, secondary: aboutApp,
	}
	outcomeUndoUsed = outcome{
		reason: "undo_used", status: http.StatusConflict, outcome: OutcomeRefused,
		title:    "Nothing to undo: {app} is no longer in {workspace}",
		happened: "This install was undone or removed before.",
		primary:  step{"Install again", toNew}, secondary: aboutApp,
	}
	outcomeUndoUnderWay = outcome{
		reason: "undo_under_way", status: http.StatusConflict, outcome: OutcomeRefused,
		title:    "Undo was pressed before",
		happened: "That press is still under way, or its page says what went wrong. Each undo works once.",
		primary:  openSlack, secondary: aboutApp,
	}
	outcomeUndoLater = outcome{
		reason: "undo_reinstalled", status: http.StatusConflict, outcome: OutcomeRefused,
		title:     "Not undone: it was connected again since",
		happened:  "Somebody connected {app} to {workspace} again after your install, and may rely on it.",
		typed:     "To remove it anyway, type {disconnect} in Slack.",
		otherwise: removeByHand,
		primary:   openSlack, secondary: aboutApp,
	}
	outcomeUndoRefused = outcome{
		reason: "undo_refused", status: http.StatusBadGateway, outcome: OutcomeFailed,
		title: "Not undone: Slack didn't remove it",
		happened: "Slack didn't remove {app} from {workspace}. Try again, or open the app's page in Slack, choose " +
			"Configuration, then Remove App.",
		unchanged: "Nothing was erased.", primary: openSlack, secondary: slackStatus,
	}
	outcomeUndoUnclear = outcome{
		reason: "undo_unclear", status: http.StatusBadGateway, outcome: OutcomeFailed,
		title: "Slack gave no clear answer",
		happened: "We don't know whether Slack removed {app} from {workspace}. Try again: that does no harm. Or " +
			"open the app's page in Slack, choose Configuration, then Remove App.",
		primary: openSlack, secondary: slackStatus,
	}
	outcomeUndoRecords = outcome{
		reason: "undo_records", status: http.StatusServiceUnavailable, outcome: OutcomeFailed,
		title: "Not undone: we can't reach our records",
		happened: "We can't reach our own records right now. Try again in a few minutes, or remove {app} in Slack: " +
			"open the app's page, choose Configuration, then Remove App.",
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
	p := ps.of(outcomeRateLimited, ref)
	p.name("wait", strconv.Itoa(seconds))
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
	p := ps.of(outcomeBusy, ref)
	p.retryAfter = int(busyWait / time.Second)
	p.name("wait", strconv.Itoa(p.retryAfter))
	return p
}
