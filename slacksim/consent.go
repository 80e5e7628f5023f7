package slacksim

// What the consent page checks, and what pressing Allow or Cancel does. The page of slacksim/web and Authorize share
// every line of it. docs.slack.dev/authentication/installing-with-oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Choice is what a person does on the consent page. The zero value presses Allow.
type Choice struct {
	// Deny presses Cancel: the callback gets error=access_denied, an error_description and the state.
	// DenyWithoutDescription leaves the description out (both were seen).
	Deny                   bool
	DenyWithoutDescription bool
	// TeamID picks another workspace than the person's own. Nobody can install for a workspace that they are not in, so
	// Slack has them sign in there. Here the first admin of that workspace then acts.
	TeamID string
	// Untick refuses these requested scopes, as a person may do with optional ones.
	Untick []string
	// Org installs for the whole organisation. The person must be one of its admins (User.OrgAdmin).
	Org bool
	// WebhookChannel is the channel picked when the incoming-webhook scope is asked for. Default: the first channel.
	WebhookChannel string
}

// ErrApprovalPending is returned by Authorize when an admin of the workspace has to approve apps first. The person ends
// on Slack's own page, and the callback is never called.
var ErrApprovalPending = errors.New("the request to install the app was sent to the workspace's admins")

// AuthorizeError is what the consent page shows instead of asking, such as an unknown client_id.
type AuthorizeError struct {
	Code   string // "invalid_client_id", "bad_redirect_uri", "invalid_scope", "no_scopes", …
	Detail string // the sentence on the page
}

// Error is the code, and the sentence that a person would read.
func (e *AuthorizeError) Error() string { return e.Code + ": " + e.Detail }

func refused(code, detail string) *AuthorizeError { return &AuthorizeError{Code: code, Detail: detail} }

// AuthorizeRequest is what an authorize URL asks for.
type AuthorizeRequest struct {
	Scopes, UserScopes []string
	RedirectURL        string // the app's callback
	TeamID             string // preselected, never trusted

	sentRedirect string // as in the URL; the exchange must repeat it
	state        string
	hasState     bool
}

// CheckAuthorize applies the consent page's rules to its query. A request that the page refuses is an *AuthorizeError.
func (s *Forms) CheckAuthorize(q url.Values) (AuthorizeRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, bad := s.oauth.checkAuthorizeLocked(q)
	if bad != nil {
		return AuthorizeRequest{}, bad
	}
	return *r, nil
}

func (s *oauth) checkAuthorizeLocked(q url.Values) (*AuthorizeRequest, *AuthorizeError) {
	if q.Get("client_id") == "" || q.Get("client_id") != s.app.ClientID {
		return nil, refused("invalid_client_id", "Invalid client_id parameter")
	}
	r := &AuthorizeRequest{
		Scopes: splitScopes(q.Get("scope")), UserScopes: splitScopes(q.Get("user_scope")),
		sentRedirect: q.Get("redirect_uri"), state: q.Get("state"), hasState: q.Has("state"), TeamID: q.Get("team"),
	}
	const noMatch = "redirect_uri did not match any configured URIs. "
	r.RedirectURL = r.sentRedirect
	if r.RedirectURL == "" {
		if len(s.app.RedirectURLs) == 0 {
			return nil, refused("bad_redirect_uri", noMatch+"None is configured.")
		}
		r.RedirectURL = s.app.RedirectURLs[0]
	}
	if !redirectAllowed(s.app.RedirectURLs, r.RedirectURL) {
		return nil, refused("bad_redirect_uri", noMatch+"Passed URI: "+r.RedirectURL)
	}

	if len(r.Scopes)+len(r.UserScopes) == 0 {
		return nil, refused("no_scopes", "No scopes requested")
	}
	for _, x := range r.Scopes {
		if !knownBotScope(x) {
			return nil, refused("invalid_scope", "Invalid permissions requested: "+x)
		}
	}
	for _, x := range r.UserScopes {
		if !knownUserScope(x) {
			return nil, refused("invalid_scope", "Invalid user permissions requested: "+x)
		}
	}
	if q.Get("code_challenge") != "" {
		return nil, refused("pkce_not_allowed", "PKCE is not enabled for this app")
	}
	return r, nil
}

func splitScopes(v string) []string {
	// Slack documents commas. Spaces are taken too, as the page itself does.
	return unique(strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }))
}

// redirectAllowed: equal to a configured URL or a path below one, https (or http on loopback), no fragment.
func redirectAllowed(configured []string, got string) bool {
	u, err := url.Parse(got)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(got, "#") {
		return false
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return false
	}
	// A path with dots in it could climb out of the configured folder.
	segments := strings.Split(u.Path, "/")
	if slices.Contains(segments, "..") || slices.Contains(segments, ".") {
		return false
	}

	return slices.Contains(configured, got) || slices.ContainsFunc(configured, func(c string) bool {
		base, err := url.Parse(c)
		if err != nil || base.Scheme != u.Scheme || base.Host != u.Host || base.RawQuery != "" {
			return false
		}
		return u.Path == base.Path || strings.HasPrefix(u.Path, strings.TrimRight(base.Path, "/")+"/")
	})
}

// Authorize plays the consent page: userID opens authorizeURL (as the app's start page redirected to it) and makes the
// choice. It returns the callback URL with code and state, or with error=access_denied, for the caller to open. A
// request the page would refuse is an *AuthorizeError. A required approval is ErrApprovalPending. Nothing is sent to
// the app. docs.slack.dev/authentication/installing-with-oauth
func (s *Sim) Authorize(_ context.Context, authorizeURL, userID string, choice Choice) (redirect string, err error) {
	u, err := url.Parse(authorizeURL)
	if err != nil {
		return "", fmt.Errorf("authorize: %w", err)
	}
	if !strings.HasSuffix(u.Path, "/oauth/v2/authorize") {
		return "", refused("oauth_authorization_url_mismatch", "not a consent page: "+u.Path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	req, bad := s.oauth.checkAuthorizeLocked(u.Query())
	if bad != nil {
		return "", bad
	}
	return s.oauth.decideLocked(req, userID, choice)
}

// decideLocked is the press on Allow or Cancel.
func (s *oauth) decideLocked(req *AuthorizeRequest, userID string, choice Choice) (string, error) {
	user := s.world.userLocked(userID)
	if user == nil || user.Deleted {
		return "", refused("user_not_found", "Sign in first")
	}
	if choice.Deny || choice.DenyWithoutDescription {
		v := url.Values{"error": {"access_denied"}}
		if !choice.DenyWithoutDescription {
			v.Set("error_description", "The person pressed Cancel")
		}
		return req.callback(v), nil
	}
	if choice.TeamID != "" && choice.TeamID != user.TeamID {
		user = s.world.firstAdminLocked(choice.TeamID)
		if user == nil {
			return "", refused("invalid_team", "Nobody can sign in to "+choice.TeamID)
		}
	}
	if err := s.mayInstallLocked(user, choice.Org); err != nil {
		return "", err
	}

	keep := func(in []string) []string {
		return slices.DeleteFunc(slices.Clone(in), func(x string) bool { return slices.Contains(choice.Untick, x) })
	}
	value := s.record.secretLocked(randomDigits(11) + "." + randomDigits(13) + "." + randomHex(32))
	s.codes[value] = &code{
		req: req, user: user.ID, teamID: user.TeamID, org: choice.Org, scopes: keep(req.Scopes),
		uscopes: keep(req.UserScopes), channel: choice.WebhookChannel, at: s.clock.Now(),
	}
	s.noteLocked()
	return req.callback(url.Values{"code": {value}}), nil
}

// callback is the address that a browser is sent back to.
func (r *AuthorizeRequest) callback(extra url.Values) string {
	u, _ := url.Parse(r.RedirectURL)
	q := u.Query()
	maps.Copy(q, extra)
	if r.hasState {
		q.Set("state", r.state)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// mayInstallLocked says why a person cannot install the app for their workspace, or for its organisation.
func (s *oauth) mayInstallLocked(user *User, org bool) error {
	team := s.world.teamLocked(user.TeamID)
	switch {
	case team == nil:
		return refused("invalid_team", "No such workspace")
	case s.app.NotDistributed && team.ID != s.app.HomeTeam:
		return refused("invalid_team_for_non_distributed_app", "This app cannot be installed outside its own workspace")
	case user.Guest:
		return refused("restricted_action", "Guests cannot install apps")
	case org && team.EnterpriseID == "":
		return refused("invalid_enterprise", team.Name+" belongs to no organisation")
	case org && !s.app.OrgReady:
		return refused("scope_not_allowed_on_enterprise", "This app is not ready for organisation-wide installs")
	case org && !s.world.runsOrgLocked(user, team.EnterpriseID):
		return refused("restricted_action", "Only an organisation admin can install for the organisation")
	case team.AppsNeedApproval && !user.Admin:
		return ErrApprovalPending
	}
	return nil
}
