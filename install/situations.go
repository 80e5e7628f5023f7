package install

// Every way an install can end, in the words the person reads: what happened, what did not change, and one next step. The
// reason is what logs, the attempt's record and the JSON twin carry.

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"

	"github.com/slack-go/slack"
)

// situation is one ending. {app}, {wanted} and {chosen} are filled in when a page is made from it.
type situation struct {
	reason    string
	status    int
	outcome   Outcome // "" when it does not end an attempt
	title     string  // the state first
	happened  string
	unchanged string
	primary   step
	secondary step
	copyText  bool // offer the message for an admin
}

// step is what a person can press; where says which page of ours or theirs it leads to.
type step struct {
	label string
	where destination
}

type destination int

const (
	nowhere destination = iota
	toStart             // begin the install again, with the same wish
	toNew               // begin an install of whatever workspace
	toLanding
	toPermissions // the permission list on the landing page
	toSupport
	toSlackStatus
	toSlack
)

var (
	tryAgain   = step{"Try again", toStart}
	startAgain = step{"Start again", toStart}
	contact    = step{"Contact the people who run it", toSupport}
	readWhy    = step{"Read what it asks for and why", toPermissions}
	aboutApp   = step{"About this app", toLanding}
)

const nothing = "Nothing was changed."

var (
	situationCancelled = situation{"cancelled", http.StatusOK, OutcomeRefused,
		"Not connected: you pressed Cancel", "You pressed Cancel on Slack's page, so {app} was not added.", nothing, tryAgain, readWhy, false}
	situationDenied = situation{"access_denied", http.StatusForbidden, OutcomeRefused,
		"Not connected: Slack didn't allow it", "Slack didn't allow this. You may need an admin's approval in this workspace.", nothing, tryAgain, step{"Try another workspace", toNew}, true}
	situationExpired = situation{"state_expired", http.StatusBadRequest, OutcomeRefused,
		"Not connected: this link has expired", "Links last 10 minutes to keep your workspace safe, and this one is older. That often happens while waiting for an admin.", nothing, startAgain, aboutApp, false}
	situationUnknownState = situation{"state_unknown", http.StatusBadRequest, OutcomeRefused,
		"Not connected: we couldn't match this request", "We couldn't match this to a request from this browser. It may have begun on another page or in another app.", nothing, step{"Start again here", toStart}, aboutApp, false}
	situationOtherBrowser = situation{"other_browser", http.StatusBadRequest, OutcomeRefused,
		"Not connected: you started in a different browser", "You started in a different browser, or this one doesn't keep cookies. Finish there, or start again here.", nothing, startAgain, aboutApp, false}
	situationUsed = situation{"state_used", http.StatusConflict, "",
		"Not connected here: this link was already used", "Each link works once, and this one has been used, perhaps in another browser or window.", "An install that finished with it still stands.", startAgain, aboutApp, false}
	situationSecondAnswer = situation{"second_answer", http.StatusConflict, "",
		"Not connected: this link was already used", "This link had been used before, for {first}, and each works once. What you allowed just now was not added.", "{first} stays connected.", step{"Continue with Slack once more", toStart}, aboutApp, false}
	situationAfterRefusal = situation{"used_after_refusal", http.StatusConflict, "",
		"Not connected yet: this link was used up", "The first try with this link ended without a connection, and each link works once.", nothing, startAgain, aboutApp, false}
	situationNothingHere = situation{"nothing_here", http.StatusBadRequest, "",
		"Nothing to do here", "This address is where Slack sends people back to. To connect {app}, start from the install page.", nothing, step{"Go to the install page", toLanding}, step{}, false}
	situationUnknownLink = situation{"link_unknown", http.StatusNotFound, OutcomeRefused,
		"Not connected: this link no longer works", "This link was made for a workspace that we don't know.", nothing, step{"Start without it", toNew}, aboutApp, false}
	situationBrokenLink = situation{"link_broken", http.StatusBadRequest, OutcomeRefused,
		"Not connected: this link is damaged", "This link was cut short or changed on its way to you, or it is not one of ours. In Slack, type /connection reconnect for a new one.", nothing, step{"Start without it", toNew}, aboutApp, false}
	situationExpiredLink = situation{"link_expired", http.StatusBadRequest, OutcomeRefused,
		"Not connected: this link has expired", "Links like this one last for an hour, some for a week, and this one is older. In Slack, type /connection reconnect for a new one.", nothing, step{"Start without it", toNew}, aboutApp, false}
	situationUsedLink = situation{"link_used", http.StatusConflict, OutcomeRefused,
		"Not connected: this link was already used", "Each link like this one works once, and somebody has finished with it. In Slack, type /connection to see how things are, or /connection reconnect for a new link.", nothing, step{"Start without it", toNew}, aboutApp, false}
	situationClosed = situation{"closed", http.StatusForbidden, OutcomeRefused,
		"Not connected: {app} isn't open to new workspaces right now", "The people who run {app} decide which workspaces may connect, and this one isn't among them. What you allowed was given back.", "Nothing was saved.", step{"Ask for access", toSupport}, aboutApp, false}
	situationRequired = situation{"permission_required", http.StatusForbidden, OutcomeRefused,
		"Not connected: without {missing} {app} can't work", "On Slack's page, {missing} was left out, and {app} can do nothing without. What you allowed was given back.", "Nothing was saved.", tryAgain, readWhy, true}
	situationOtherAddress = situation{"other_address", http.StatusMisdirectedRequest, OutcomeFailed,
		"Not connected: the install began at another address", "The install began at another address than the one {app} is set up for, so this browser couldn't be recognised. Begin here and it works. If it happens again, only the people who run {app} can mend that; the reference below is in their log.", nothing, step{"Start at the right address", toStart}, contact, false}

	situationUndone = situation{"undone", http.StatusOK, outcomeUndone,
		"Undone: {app} is not in {workspace} any more", "Slack removed {app} from {workspace}, and its access was erased.", "Nothing else in Slack was changed, and no other workspace's connection.", step{"Install to another workspace", toNew}, aboutApp, false}
	situationUndoBroken = situation{"undo_broken", http.StatusBadRequest, OutcomeRefused,
		"Not undone: we couldn't match this request", "What this browser sent is damaged, or not from one of our pages. To remove {app}, open its page in Slack, choose Configuration, then Remove App.", nothing, aboutApp, contact, false}
	situationUndoExpired = situation{"undo_expired", http.StatusBadRequest, OutcomeRefused,
		"Not undone: that was possible for 30 minutes", "An install can be undone here for 30 minutes. To remove {app} now, type /connection disconnect in Slack.", "{app} is still connected.", step{"Open Slack", toSlack}, aboutApp, false}
	situationUndoUsed = situation{"undo_used", http.StatusConflict, OutcomeRefused,
		"Already undone", "This install was undone before, or that is under way. Each undo works once.", "Nothing more was changed.", step{"Install to another workspace", toNew}, aboutApp, false}
	situationUndoOtherBrowser = situation{"undo_other_browser", http.StatusForbidden, OutcomeRefused,
		"Not undone: this is a different browser", "Only the browser that installed {app} can undo it, and this one doesn't have its cookie. To remove {app}, type /connection disconnect in Slack.", "{app} is still connected.", step{"Open Slack", toSlack}, aboutApp, false}
	situationUndoLater = situation{"undo_reinstalled", http.StatusConflict, OutcomeRefused,
		"Not undone: it was connected again since", "Somebody connected {app} to {workspace} again after your install, and may rely on it. To remove it all the same, type /connection disconnect in Slack.", "{app} is still connected.", step{"Open Slack", toSlack}, aboutApp, false}
	situationUndoRefused = situation{"undo_refused", http.StatusBadGateway, OutcomeFailed,
		"Not undone: Slack didn't remove it", "Slack didn't remove {app} from {workspace}. Try once more, or open the app's page in Slack, choose Configuration, then Remove App.", "Its access is as it was; nothing was erased.", step{"Open Slack", toSlack}, step{"See whether Slack has trouble", toSlackStatus}, false}
	situationUndoRecords = situation{"undo_records", http.StatusServiceUnavailable, OutcomeFailed,
		"Not undone: we can't reach our records", "We can't reach our own records right now, so we can't tell whether {app} is still there. Try once more in a few minutes, or remove it in Slack: open the app's page, choose Configuration, then Remove App.", "", step{"Open Slack", toSlack}, contact, false}

	situationCodeSpent = situation{"code_spent", http.StatusBadRequest, OutcomeRefused,
		"Not connected: Slack's permission ran out", "Slack's permission to finish works once and for 10 minutes, and this one no longer does.", nothing, startAgain, aboutApp, false}
	situationOddCode = situation{"code_malformed", http.StatusBadRequest, OutcomeRefused,
		"Not connected: this address is damaged", "The address that Slack sent you back to was changed or cut short on its way, so Slack wasn't asked.", nothing, startAgain, aboutApp, false}
	situationBusy = situation{"busy", http.StatusServiceUnavailable, "",
		"Not connected yet: many people are installing right now", "Slack lets {app} finish only so many installs at a time. Wait {wait} seconds, then reload this page to finish.", nothing, step{"Start again", toStart}, aboutApp, false}
	situationNotSetUp = situation{"not_set_up", http.StatusBadGateway, OutcomeFailed,
		"Not connected: this app isn't set up correctly yet", "This app isn't set up correctly yet. Only the people who run it can mend that; the reference below is in their log.", nothing, contact, tryAgain, false}
	situationNotDistributed = situation{"not_distributed", http.StatusForbidden, OutcomeRefused,
		"Not connected: only its owner's workspace can add it", "Right now this app can only be installed in its owner's workspace.", nothing, contact, step{"Try another workspace", toNew}, false}
	situationPermission = situation{"permission_not_allowed", http.StatusForbidden, OutcomeRefused,
		"Not connected: a permission isn't allowed", "Slack, or your organisation, doesn't allow one of the permissions that {app} asks for.", nothing, readWhy, contact, true}
	situationPolicy = situation{"not_allowed_to_install", http.StatusForbidden, OutcomeRefused,
		"Not connected: your Slack account can't add apps here", "Your Slack account can't add apps here. Ask a member who can, or an admin.", nothing, step{"Try another workspace", toNew}, aboutApp, true}
	situationAccount = situation{"account_not_ready", http.StatusForbidden, OutcomeRefused,
		"Not connected: Slack wants something from you first", "Slack wants you to finish setting up your account first: confirm your e-mail address, or turn on two-factor sign-in.", nothing, tryAgain, aboutApp, false}
	situationOrgInstalled = situation{"org_has_it", http.StatusConflict, OutcomeRefused,
		"Not connected: your organisation already has it", "Your organisation has {app} already. An organisation admin can add it to this workspace; installing it here once more isn't possible.", nothing, step{"Open Slack", toSlack}, contact, true}
	situationMoving = situation{"workspace_moving", http.StatusServiceUnavailable, OutcomeFailed,
		"Not connected: this workspace is being moved", "Slack is moving this workspace into an organisation. That can take some hours.", nothing, tryAgain, aboutApp, false}
	situationWrongWorkspace = situation{"wrong_workspace", http.StatusConflict, OutcomeRefused,
		"Not connected: you chose {chosen}, this link is for {wanted}", "You chose {chosen}, but this link is for {wanted}. Slack's page has a menu for the workspace in its top right corner.", "Nothing was changed in either workspace's connection.", step{"Choose {wanted}", toStart}, step{"Connect {chosen} instead", toNew}, false}
	situationNotActive = situation{"not_active", http.StatusBadGateway, OutcomeFailed,
		"Not connected: Slack says the app isn't active", "Slack accepted the install, then said the app isn't active in this workspace.", "Nothing was saved.", tryAgain, contact, true}
	situationSlackDown = situation{"slack_down", http.StatusBadGateway, OutcomeFailed,
		"Not connected: Slack had trouble", "Slack didn't answer properly.", "Nothing was saved on our side.", tryAgain, step{"See whether Slack has trouble", toSlackStatus}, false}
	situationSlackSlow = situation{"slack_timeout", http.StatusGatewayTimeout, OutcomeFailed,
		"Not connected: Slack didn't answer in time", "Slack didn't answer in time.", "Nothing was saved on our side.", tryAgain, step{"See whether Slack has trouble", toSlackStatus}, false}
	situationRateLimited = situation{"slack_rate_limited", http.StatusServiceUnavailable, OutcomeFailed,
		"Not connected: Slack asks us to wait", "Slack asked us to slow down. Try again in about {wait} seconds.", "Nothing was saved on our side.", step{"Try again in {wait} seconds", toStart}, aboutApp, false}
	situationNotStored = situation{"not_stored", http.StatusServiceUnavailable, OutcomeFailed,
		"Almost connected: we couldn't finish", "Slack shows the app as added, but we couldn't finish on our side. We keep trying; if it isn't connected in a few minutes, press Finish connecting, and Slack will ask once more.", "A connection that worked before still works.", step{"Finish connecting", toStart}, contact, false}
	situationRecordsDown = situation{"records_unavailable", http.StatusServiceUnavailable, OutcomeFailed,
		"Not connected: we can't reach our records", "We can't reach our own records right now. Try again in a few minutes.", nothing, tryAgain, contact, false}
	situationUpdating = situation{"updating", http.StatusServiceUnavailable, "",
		"Not ready: we're updating", "We're updating {app}. It will be back in a few minutes.", nothing, step{"Try again", toLanding}, contact, false}
	situationNotReady = situation{"not_ready", http.StatusServiceUnavailable, OutcomeFailed,
		"Not ready: {app} can't be installed yet", "{app} isn't ready to be installed. Only the people who run it can mend that; the reference below is in their log.", nothing, contact, step{"Try again", toLanding}, false}
	situationSingleWorkspace = situation{"single_workspace", http.StatusForbidden, "",
		"Nothing to install: this copy serves one workspace", "The people who run this copy of {app} connected it to one workspace by hand. It can't be added to others.", nothing, contact, aboutApp, false}
	situationUnexpected = situation{"unexpected", http.StatusInternalServerError, OutcomeFailed,
		"Not connected: something went wrong on our side", "Something went wrong on our side.", nothing, tryAgain, contact, false}
	situationNoPage = situation{"no_such_page", http.StatusNotFound, "",
		"There is no such page", "There is nothing at this address.", nothing, step{"Go to the install page", toLanding}, step{}, false}
)

// situations are the endings that a reload has to find again by their reason.
var situations = []situation{situationCancelled, situationDenied, situationExpired, situationCodeSpent, situationNotSetUp, situationNotDistributed,
	situationPermission, situationPolicy, situationClosed, situationRequired, situationUsedLink, situationAccount, situationOrgInstalled, situationMoving, situationNotActive, situationSlackDown,
	situationSlackSlow, situationRateLimited, situationRecordsDown, situationNotStored, situationUnexpected}

// refusals maps what Slack says, on the redirect or at the exchange, to what the person reads. Codes that are not here are
// unexpected. https://docs.slack.dev/reference/methods/oauth.v2.access
var refusals = map[string]situation{
	"access_denied": situationDenied,

	"invalid_code":          situationCodeSpent,
	"code_already_used":     situationCodeSpent,
	"code_expired":          situationCodeSpent,
	"invalid_code_verifier": situationCodeSpent,

	"bad_client_secret":                situationNotSetUp,
	"bad_redirect_uri":                 situationNotSetUp,
	"invalid_client_id":                situationNotSetUp,
	"client_id_token_mismatch":         situationNotSetUp,
	"oauth_authorization_url_mismatch": situationNotSetUp,
	"no_scopes":                        situationNotSetUp,
	"pkce_not_allowed":                 situationNotSetUp,
	"invalid_grant_type":               situationNotSetUp,

	"invalid_team_for_non_distributed_app": situationNotDistributed,

	"invalid_scope":                   situationPermission,
	"invalid_scope_requested":         situationPermission,
	"unapproved_scope":                situationPermission,
	"scope_not_allowed_on_enterprise": situationPermission,

	"app_not_approved":         situationPolicy,
	"restricted_action":        situationPolicy,
	"user_is_restricted":       situationPolicy,
	"user_is_ultra_restricted": situationPolicy,
	"not_allowed":              situationPolicy,
	"access_not_allowed":       situationPolicy,

	"user_email_unverified":     situationAccount,
	"two_factor_setup_required": situationAccount,

	"cannot_install_an_org_installed_app": situationOrgInstalled,

	"org_login_required": situationMoving,
	"team_added_to_org":  situationMoving,

	"account_inactive": situationNotActive,
	"invalid_auth":     situationNotActive,
	"token_revoked":    situationNotActive,
	"token_expired":    situationNotActive,

	"internal_error":      situationSlackDown,
	"fatal_error":         situationSlackDown,
	"service_unavailable": situationSlackDown,
	"server_error":        situationSlackDown,
	"request_timeout":     situationSlackSlow,
}

// refused is the page for an error that Slack put on the redirect. The code is looked up, never shown: it comes from
// the address, which anybody can write.
func (in *Installer) refused(back arrival, ref string) page {
	if back.refusal == "access_denied" && back.described {
		return in.page(situationCancelled, ref)
	}
	if s, ok := refusals[back.refusal]; ok {
		return in.page(s, ref)
	}
	return in.page(situationDenied, ref)
}

func (in *Installer) rateLimited(seconds int, ref string) page {
	p := in.page(situationRateLimited, ref)
	p.name("wait", strconv.Itoa(seconds))
	p.retryAfter = seconds
	return p
}

// slackRefused is the page for a call to Slack that failed, and logs the cause.
func (in *Installer) slackRefused(ctx context.Context, doing string, err error, ref string) page {
	code := SlackError(err)
	in.log.WarnContext(ctx, doing, "ref", ref, "slack_error", code, "cause", Cause(err))
	wait, limited := RetryAfter(err)
	var status slack.StatusCodeError
	var network net.Error
	switch {
	case limited:
		return in.rateLimited(max(1, int(wait.Seconds())), ref)
	case code == "ratelimited":
		return in.rateLimited(60, ref)
	case code != "":
		if s, ok := refusals[code]; ok {
			return in.page(s, ref)
		}
		return in.page(situationUnexpected, ref)
	case errors.As(err, &status):
		return in.page(situationSlackDown, ref)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return in.page(situationSlackSlow, ref)
	}
	return in.page(situationSlackDown, ref)
}
