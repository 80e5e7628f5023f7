package slacksim

// Who has the app, and what a code or refresh token is exchanged for.
// docs.slack.dev/authentication/installing-with-oauth and /authentication/using-token-rotation

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

const codeLife = 10 * time.Minute

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
	swapped bool       // went through oauth.v2.exchange; dies with the first refresh
	run     *execution // of the function it was issued for; nil for all others
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
	if x := s.oauth.installLocked(teamID); x != nil {
		return x.export(), true
	}
	return Installation{}, false
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

// exchangeCodeLocked installs.
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
		in.chain.scopes = unique(slices.Concat(in.chain.scopes, c.scopes))
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
		uc.scopes = unique(slices.Concat(uc.scopes, c.uscopes))
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

// unique keeps the first of each.
func unique(list []string) (out []string) {
	for _, x := range list {
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
	if s.app.TokenRotation {
		s.newPairLocked(c, out)
		return
	}
	if n := len(c.access); n == 0 || c.access[n-1].state != live || !c.access[n-1].expires.IsZero() {
		value := tokenKinds[c.kind] + "-" + randomDigits(12) + "-" + randomDigits(13) + "-" + randomText(24)
		s.newTokenLocked(c, value, time.Time{})
	}
	out["access_token"], out["token_type"], out["scope"] = c.newest(), c.kind, strings.Join(c.scopes, ",")
}

// tokenKinds are what tokens begin with.
var tokenKinds = map[string]string{"bot": "xoxb", "user": "xoxp"}

func (s *oauth) newTokenLocked(c *chain, value string, expires time.Time) {
	t := &token{chain: c, value: s.record.secretLocked(value), expires: expires}
	c.access = append(c.access, t)
	s.tokens[t.value] = t
}

// newPairLocked rotates the chain: a new access token beside at most one older one, and a new refresh token. It puts
// both into the answer.
func (s *oauth) newPairLocked(c *chain, out map[string]any) {
	life := cmp.Or(max(s.app.TokenLife, 0), 12*time.Hour)
	now := s.clock.Now()
	s.newTokenLocked(c, "xoxe."+tokenKinds[c.kind]+"-1-"+randomText(160), now.Add(life))

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

	out["access_token"], out["token_type"], out["scope"] = c.newest(), c.kind, strings.Join(c.scopes, ",")
	out["refresh_token"], out["expires_in"] = c.refresh.value, int(life.Seconds())
}

// rotatedLocked rotates the chain, and is what its holder is answered.
func (s *oauth) rotatedLocked(c *chain) map[string]any {
	out := s.tokenAnswerLocked(c.inst)
	s.newPairLocked(c, out)
	if c.kind == "bot" {
		out["bot_user_id"] = c.userID
	}
	return out
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
		grace := cmp.Or(max(s.app.RefreshGrace, 0), time.Minute)
		if s.app.StrictRefresh || now.Sub(old.used) >= grace {
			return nil, fail("invalid_refresh_token")
		}
	}

	c := old.chain
	// Inside the grace the earlier successor dies: of two pairs handed out for one refresh token, one survives.
	if c.refresh != nil && c.refresh != old {
		c.refresh.dead, c.refresh.used = true, now
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
	return s.rotatedLocked(c), nil
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
	s.noteLocked()
	return s.rotatedLocked(t.chain), nil
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
	for _, c := range in.users {
		kill(c)
	}
	userIDs = slices.Sorted(maps.Keys(in.users))

	for _, c := range s.world.channels {
		c.Members = slices.DeleteFunc(c.Members, func(id string) bool { return id == in.bot.userID })
	}
	maps.DeleteFunc(s.views.homes, func(_ string, v *View) bool { return v.inst == in })

	// Open modals stay on their screens: the answer to a submission under way may still change one. What Slack does is not
	// documented. Nothing can be sent from them any more.
	s.noteLocked()
	return botIDs, userIDs
}

func (s *oauth) newWebhookLocked(in *installation, c *code) map[string]any {
	ch := s.world.channelLocked(c.channel)
	if ch == nil {
		ch = first(s.world.channels, func(x *channel) bool { return !x.im && x.inTeam(c.teamID) })
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
