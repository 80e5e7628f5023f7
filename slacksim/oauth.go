package slacksim

// Installing the app: what the consent page checks, what pressing Allow does, and what a code or refresh token is
// exchanged for. The consent page and Authorize share every line of it.
// docs.slack.dev/authentication/installing-with-oauth and /authentication/using-token-rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

const codeLife = 10 * time.Minute

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

// Installation is what Slack holds about the app in one workspace or organisation.
type Installation struct {
	TeamID, EnterpriseID string // TeamID is "" for an organisation-wide installation
	Org                  bool
	BotToken             string // the newest one
	RefreshToken         string // "" without rotation
	BotUserID, BotID     string
	Scopes               []string
	InstalledBy          string
	At                   time.Time
	UserTokens           map[string]string // user id → newest token
	Granted              []string          // organisation-wide: the workspaces that the app was added to
}

type installation struct {
	home                 string // TeamID or EnterpriseID
	teamID, enterpriseID string
	org                  bool
	bot                  *bot
	chain                *chain // nil when only user scopes were granted
	users                map[string]*chain
	installedBy          string
	at                   time.Time
	granted              []string // org: workspaces the app was added to
	gone                 bool
}

// chain is the succession of tokens of one kind for one holder. Bot and users have separate ones.
type chain struct {
	inst    *installation
	kind    string // "bot" or "user"
	userID  string // bot user or person
	scopes  []string
	access  []*token
	refresh *refresh // the one that works; nil without rotation
}

type token struct {
	value   string
	chain   *chain
	expires time.Time // zero: never
	state   tokenState
	swapped bool // went through oauth.v2.exchange; dies with the first refresh
}

type tokenState int

const (
	live tokenState = iota
	revoked
	inactive // the installation is gone
	retired  // more than two newer ones exist
)

type refresh struct {
	value string
	chain *chain
	used  time.Time // zero: unused
	dead  bool
	lost  bool // the answer that spent it never arrived: presenting it again is right
}

type code struct {
	req     *AuthorizeRequest
	user    string
	teamID  string
	org     bool
	scopes  []string
	uscopes []string
	channel string
	at      time.Time
	used    bool
}

type webhook struct {
	inst    *installation
	channel string
}

// oauth is who has the app, and what was handed out for it.
type oauth struct {
	*engine
	record    *record
	world     *world
	views     *views
	installs  map[string]*installation
	tokens    map[string]*token
	refreshes map[string]*refresh
	codes     map[string]*code
	webhooks  map[string]*webhook
	migrating map[string]bool // workspaces on their way into an organisation
}

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
	var out []string
	// Slack documents commas. Spaces are taken too, as the page itself does.
	for _, x := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
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

// installLocked is the installation that covers a workspace: its own, else its organisation's if the app was added.
func (s *oauth) installLocked(team string) *installation {
	if in := s.installs[team]; in != nil {
		return in
	}
	t := s.world.teamLocked(team)
	if t == nil || t.EnterpriseID == "" {
		return nil
	}
	if in := s.installs[t.EnterpriseID]; in != nil && slices.Contains(in.granted, team) {
		return in
	}
	return nil
}

func (in *installation) has(scope string) bool {
	return scope == "" || in.chain != nil && slices.Contains(in.chain.scopes, scope)
}

// covers reports whether the installation may act in a workspace.
func (in *installation) covers(team string) bool {
	return !in.org && in.teamID == team || in.org && slices.Contains(in.granted, team)
}

// Installed returns the installation of a workspace, or of an organisation when given an enterprise id. ok is false
// when there is none.
func (s *Sim) Installed(teamID string) (in Installation, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.oauth.installLocked(teamID)
	if x == nil {
		return Installation{}, false
	}
	return x.export(), true
}

func (in *installation) export() Installation {
	out := Installation{
		TeamID: in.teamID, EnterpriseID: in.enterpriseID, Org: in.org, InstalledBy: in.installedBy, At: in.at,
		UserTokens: map[string]string{}, Granted: slices.Clone(in.granted),
	}
	if in.chain != nil {
		out.BotUserID, out.BotID = in.bot.userID, in.bot.botID
		out.Scopes = slices.Clone(in.chain.scopes)
		out.BotToken = in.chain.newest()
		if in.chain.refresh != nil {
			out.RefreshToken = in.chain.refresh.value
		}
	}
	for id, c := range in.users {
		out.UserTokens[id] = c.newest()
	}
	return out
}

func (c *chain) newest() string {
	if len(c.access) == 0 {
		return ""
	}
	return c.access[len(c.access)-1].value
}

// exchangeCodeLocked installs. The caller has checked the client's credentials.
func (s *oauth) exchangeCodeLocked(r *apiRequest) (map[string]any, *apiError) {
	c, err := s.usableCodeLocked(r)
	if err != nil {
		return nil, err
	}
	c.used = true
	in := s.installationForLocked(c)
	in.installedBy, in.at = c.user, s.clock.Now()

	out := s.tokenAnswerLocked(in)
	if len(c.scopes) > 0 {
		if in.chain == nil {
			in.chain = &chain{inst: in, kind: "bot", userID: in.bot.userID}
		}
		in.chain.scopes = union(in.chain.scopes, c.scopes)
		s.issueLocked(in.chain, out)
		out["bot_user_id"] = in.bot.userID
	}

	user := map[string]any{"id": c.user}
	if len(c.uscopes) > 0 {
		uc := in.users[c.user]
		if uc == nil {
			uc = &chain{inst: in, kind: "user", userID: c.user}
			in.users[c.user] = uc
		}
		uc.scopes = union(uc.scopes, c.uscopes)
		s.issueLocked(uc, user)
	}
	out["authed_user"] = user

	if slices.Contains(c.scopes, "incoming-webhook") {
		out["incoming_webhook"] = s.newWebhookLocked(in, c)
	}
	s.noteLocked()
	return out, nil
}

// usableCodeLocked is the code that a call presents, if it can be exchanged.
func (s *oauth) usableCodeLocked(r *apiRequest) (*code, *apiError) {
	c := s.codes[r.arg("code")]
	switch {
	case c == nil || s.clock.Now().Sub(c.at) >= codeLife:
		return nil, fail("invalid_code")
	case c.used:
		return nil, fail(cmp.Or(s.app.UsedCodeError, "invalid_code"))
	case r.arg("redirect_uri") != c.req.sentRedirect:
		return nil, fail("bad_redirect_uri")
	case r.arg("code_verifier") != "":
		return nil, fail("pkce_not_allowed")
	}
	if org := s.world.teamLocked(c.teamID).EnterpriseID; !c.org && org != "" && s.installs[org] != nil {
		return nil, fail("cannot_install_an_org_installed_app")
	}
	if len(c.scopes)+len(c.uscopes) == 0 {
		return nil, fail("no_scopes")
	}
	return c, nil
}

// installationForLocked is the installation that a code is for, made where there is none.
func (s *oauth) installationForLocked(c *code) *installation {
	in := &installation{home: c.teamID, teamID: c.teamID, enterpriseID: s.world.teamLocked(c.teamID).EnterpriseID,
		org: c.org, users: map[string]*chain{}}
	if c.org {
		in.home, in.teamID = in.enterpriseID, ""
	}
	if old := s.installs[in.home]; old != nil {
		return old
	}
	in.bot = s.world.botLocked(in.home)
	s.installs[in.home] = in
	return in
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

// tokenAnswerLocked holds the fields that every oauth.v2.access answer has, with null where Slack says null.
func (s *oauth) tokenAnswerLocked(in *installation) map[string]any {
	out := map[string]any{"app_id": s.app.ID, "team": nil, "enterprise": nil, "is_enterprise_install": in.org}
	if t := s.world.teamLocked(in.teamID); t != nil {
		out["team"] = map[string]any{"id": t.ID, "name": t.Name}
	}
	if in.enterpriseID != "" {
		out["enterprise"] = map[string]any{"id": in.enterpriseID, "name": s.world.enterpriseNameLocked(in.enterpriseID)}
	}
	return out
}

// issueLocked puts a token of the chain into the answer: the same one again, or with rotation a fresh pair.
func (s *oauth) issueLocked(c *chain, out map[string]any) {
	var t *token
	if !s.app.TokenRotation {
		if n := len(c.access); n > 0 && c.access[n-1].state == live && c.access[n-1].expires.IsZero() {
			t = c.access[n-1]
		} else {
			value := tokenKinds[c.kind] + "-" + randomDigits(12) + "-" + randomDigits(13) + "-" + randomText(24)
			t = s.newTokenLocked(c, value, time.Time{})
		}
	} else {
		t = s.newPairLocked(c)
		out["refresh_token"] = c.refresh.value
		out["expires_in"] = int(t.expires.Sub(s.clock.Now()).Seconds())
	}
	out["access_token"] = t.value
	out["token_type"] = c.kind
	out["scope"] = strings.Join(c.scopes, ",")
}

// tokenKinds are what tokens begin with.
var tokenKinds = map[string]string{"bot": "xoxb", "user": "xoxp"}

func (s *oauth) newTokenLocked(c *chain, value string, expires time.Time) *token {
	t := &token{chain: c, value: s.record.secretLocked(value), expires: expires}
	c.access = append(c.access, t)
	s.tokens[t.value] = t
	return t
}

// newPairLocked rotates the chain: a new access token beside at most one older one, and a new refresh token.
func (s *oauth) newPairLocked(c *chain) *token {
	life := s.app.TokenLife
	if life <= 0 {
		life = 12 * time.Hour
	}
	now := s.clock.Now()
	t := s.newTokenLocked(c, "xoxe."+tokenKinds[c.kind]+"-1-"+randomText(160), now.Add(life))

	alive := 0
	for i := len(c.access) - 1; i >= 0; i-- {
		if x := c.access[i]; x.state == live && !x.expires.IsZero() && x.expires.After(now) {
			if alive++; alive > 2 {
				x.state = retired
			}
		}
	}

	if old := c.refresh; old != nil && old.used.IsZero() {
		old.used = now // a re-install spends the previous refresh token like a refresh does
	}
	c.refresh = &refresh{chain: c, value: s.record.secretLocked("xoxe-1-" + randomText(146))}
	s.refreshes[c.refresh.value] = c.refresh
	return t
}

// refreshLocked is oauth.v2.access with grant_type=refresh_token.
func (s *oauth) refreshLocked(r *apiRequest) (map[string]any, *apiError) {
	old := s.refreshes[r.arg("refresh_token")]
	if old == nil || old.dead || old.chain.inst.gone {
		return nil, fail("invalid_refresh_token")
	}

	now := s.clock.Now()
	if !old.used.IsZero() {
		if !old.lost {
			s.record.breachLocked(RuleRefreshReused, "a %s refresh token of %s was presented a second time",
				old.chain.kind, old.chain.inst.home)
		}
		grace := s.app.RefreshGrace
		if grace <= 0 {
			grace = time.Minute
		}
		if s.app.StrictRefresh || now.Sub(old.used) >= grace {
			return nil, fail("invalid_refresh_token")
		}
	}

	c := old.chain
	// Inside the grace the earlier successor dies: of two pairs handed out for one refresh token, one survives.
	if c.refresh != nil && c.refresh != old {
		c.refresh.dead = true
		c.refresh.used = now
	}
	if old.used.IsZero() {
		old.used = now
	}

	r.spent = old
	for _, t := range c.access {
		if t.swapped && t.state == live {
			t.state = revoked
		}
	}

	t := s.newPairLocked(c)
	out := s.tokenAnswerLocked(c.inst)
	out["access_token"], out["token_type"], out["scope"] = t.value, c.kind, strings.Join(c.scopes, ",")
	out["refresh_token"] = c.refresh.value
	out["expires_in"] = int(t.expires.Sub(now).Seconds())
	if c.kind == "bot" {
		out["bot_user_id"] = c.userID
	}
	return out, nil
}

// swapLocked is oauth.v2.exchange: a long-lived token for a first rotating pair, once.
func (s *oauth) swapLocked(r *apiRequest) (map[string]any, *apiError) {
	t := s.tokens[r.arg("token")]
	switch {
	case !s.app.TokenRotation:
		return nil, fail("token_rotation_not_enabled")
	case t == nil || !t.expires.IsZero():
		return nil, fail("invalid_token")
	case t.swapped:
		return nil, fail("token_already_exchanged")
	case t.state != live:
		return nil, fail("authorization_not_found")
	}

	t.swapped = true
	fresh := s.newPairLocked(t.chain)
	out := s.tokenAnswerLocked(t.chain.inst)
	out["access_token"], out["token_type"], out["scope"] = fresh.value, t.chain.kind, strings.Join(t.chain.scopes, ",")
	out["refresh_token"] = t.chain.refresh.value
	out["expires_in"] = int(fresh.expires.Sub(s.clock.Now()).Seconds())
	if t.chain.kind == "bot" {
		out["bot_user_id"] = t.chain.userID
	}
	s.noteLocked()
	return out, nil
}

// removeLocked ends an installation: every token dies now, the bot leaves its channels. It returns the two events'
// contents, since afterwards nobody knows them any more.
func (s *oauth) removeLocked(in *installation) (botIDs, userIDs []string) {
	in.gone = true
	delete(s.installs, in.home)

	kill := func(c *chain) {
		for _, t := range c.access {
			if t.state == live || t.state == retired {
				t.state = inactive
			}
		}
	}

	if in.chain != nil {
		kill(in.chain)
		botIDs = []string{in.bot.userID}
	}
	for id, c := range in.users {
		kill(c)
		userIDs = append(userIDs, id)
	}
	slices.Sort(userIDs)

	for _, c := range s.world.channels {
		c.Members = slices.DeleteFunc(c.Members, func(id string) bool { return id == in.bot.userID })
	}
	for id, v := range s.views.homes {
		if v.inst == in {
			delete(s.views.homes, id)
		}
	}

	// Open modals stay on their screens: the answer to a submission under way may still change one. What Slack does is not
	// documented. Nothing can be sent from them any more.
	s.noteLocked()
	return botIDs, userIDs
}

func (s *oauth) credentialsLocked(r *apiRequest) *apiError {
	id, secret := r.client()
	switch {
	case id == "" || id != s.app.ClientID:
		return fail("invalid_client_id")
	case secret != s.app.ClientSecret:
		return fail("bad_client_secret")
	}
	return nil
}

func (s *oauth) newWebhookLocked(in *installation, c *code) map[string]any {
	ch := s.world.channelLocked(c.channel)
	for _, x := range s.world.channels {
		if ch == nil && !x.im && x.inTeam(c.teamID) {
			ch = x
		}
	}
	if ch == nil {
		return nil
	}
	secret := s.record.secretLocked(randomText(24))
	s.webhooks[secret] = &webhook{inst: in, channel: ch.ID}
	return map[string]any{
		"channel": "#" + ch.Name, "channel_id": ch.ID, "configuration_url": s.url + "/client/" + c.teamID + "/app",
		"url": s.url + "/hooks/services/" + in.home + "/" + in.bot.botID + "/" + secret,
	}
}
