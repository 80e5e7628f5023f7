package slacksim

// Slack's pages for those who make apps, api.slack.com/apps: configuration tokens, and the methods that work on the
// app's manifest with them. docs.slack.dev/app-manifests/configuring-apps-with-app-manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/manifest"
)

// configTokenLife is how long a configuration token lives. docs.slack.dev/reference/methods/tooling.tokens.rotate
const configTokenLife = 12 * time.Hour

// Settings are Slack's pages for those who make apps.
type Settings struct {
	*engine
	record    *record
	world     *world
	oauth     *oauth
	sockets   *Sockets
	tokens    map[string]*configToken
	refreshes map[string]*refresh // single-use; their chains' userID is whose they are
}

// ConfigTokens is a pair as Slack's page shows it.
type ConfigTokens struct {
	Token        string // "xoxe.xoxp-…", for 12 hours
	RefreshToken string // "xoxe-…", for tooling.tokens.rotate, once
}

type configToken struct {
	user    *User
	expires time.Time
}

// Generate makes a pair of configuration tokens for a person, as the button on Slack's page of apps does.
func (s *Settings) Generate(userID string) (ConfigTokens, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.userLocked(userID)
	switch {
	case u == nil || u.Deleted:
		return ConfigTokens{}, fmt.Errorf("generate configuration tokens: %w", ErrNoUser)
	case u.Guest:
		return ConfigTokens{}, errors.New("generate configuration tokens: a guest makes no apps")
	}
	return s.generateLocked(u), nil
}

func (s *Settings) generateLocked(u *User) ConfigTokens {
	pair := ConfigTokens{
		Token:        s.record.secretLocked("xoxe.xoxp-1-" + randomText(160)),
		RefreshToken: s.record.secretLocked("xoxe-1-" + randomText(146)),
	}
	s.tokens[pair.Token] = &configToken{user: u, expires: s.clock.Now().Add(configTokenLife)}
	s.refreshes[pair.RefreshToken] = &refresh{value: pair.RefreshToken, chain: &chain{kind: "config", userID: u.ID}}
	return pair
}

// admitLocked checks a configuration token.
func (s *Settings) admitLocked(r *apiRequest, sent string) *apiError {
	t := s.tokens[sent]
	switch {
	case t == nil && s.refreshes[sent] != nil:
		return fail("not_allowed_token_type")
	case t == nil:
		return fail("invalid_auth")
	case !s.clock.Now().Before(t.expires):
		return fail("token_expired")
	case t.user.Deleted:
		return fail("account_inactive")
	}
	r.config = t
	return nil
}

// rotateLocked is tooling.tokens.rotate: a refresh token for a new pair, once. The older token lives out its 12 hours.
func (s *Settings) rotateLocked(r *apiRequest) (map[string]any, *apiError) {
	old := s.refreshes[r.arg("refresh_token")]
	switch {
	case r.arg("refresh_token") == "":
		return nil, missingArgument("refresh_token")
	case old == nil:
		return nil, fail("invalid_refresh_token")
	case !old.used.IsZero():
		if !old.lost {
			s.record.breachLocked(RuleRefreshReused, "a configuration refresh token was presented a second time")
		}
		return nil, fail("invalid_refresh_token")
	}

	u := s.world.userLocked(old.chain.userID)
	old.used, r.spent = s.clock.Now(), old
	pair := s.generateLocked(u)
	return map[string]any{"token": pair.Token, "refresh_token": pair.RefreshToken, "team_id": u.TeamID, "user_id": u.ID,
		"iat": s.clock.Now().Unix(), "exp": s.clock.Now().Add(configTokenLife).Unix()}, nil
}

func missingArgument(name string) *apiError {
	return failWith("invalid_arguments", "[ERROR] missing required field: "+name)
}

var appID = regexp.MustCompile(`^A[A-Z0-9]{2,20}$`)

// appLocked checks that a call is about the app. unknown is what the method says of another.
func (s *Settings) appLocked(r *apiRequest, unknown string) *apiError {
	switch id := r.arg("app_id"); {
	case id == "":
		return missingArgument("app_id")
	case !appID.MatchString(id):
		return fail("invalid_app_id")
	case id != s.app.ID:
		return fail(unknown)
	}
	return nil
}

// applyManifest makes a call's manifest that of app.
func applyManifest(r *apiRequest, app *App) *apiError {
	raw := r.arg("manifest")
	if raw == "" {
		return missingArgument("manifest")
	}
	var wrong *ManifestError
	if err := app.SetManifest([]byte(raw)); errors.As(err, &wrong) {
		return &apiError{code: "invalid_manifest", extra: map[string]any{"errors": wrong.Problems}}
	}
	return nil
}

// createLocked makes the app. There is one in this Slack: while it is there, no second one can be made.
func (s *Settings) createLocked(r *apiRequest) (map[string]any, *apiError) {
	made := s.app
	made.TokenRotation = false
	if err := applyManifest(r, &made); err != nil {
		return nil, err
	}
	team := r.config.user.TeamID
	switch asked := r.arg("team_id"); {
	case s.app.ID != "":
		return nil, fail("failed_creating_app")
	case asked != "" && s.world.teamLocked(asked) == nil:
		return nil, fail("invalid_team_id")
	case asked != "" && asked != team:
		return nil, fail("not_in_team")
	}

	made.ID = s.world.idLocked("A")
	made.ClientID = randomDigits(13) + "." + randomDigits(13)
	made.ClientSecret = s.record.secretLocked(randomHex(16))
	made.SigningSecret = s.record.secretLocked(randomHex(16))
	made.NotDistributed, made.HomeTeam = true, team // until Manage Distribution is turned on
	s.sockets.settingsLocked(func() { s.app = made })
	return map[string]any{
		"app_id": made.ID, "team_id": team, "team_domain": s.world.teamLocked(team).Domain,
		"credentials": map[string]any{"client_id": made.ClientID, "client_secret": made.ClientSecret,
			"signing_secret": made.SigningSecret, "verification_token": s.record.secretLocked(randomText(24))},
		"oauth_authorize_url": s.authorizeURLLocked(),
	}, nil
}

// authorizeURLLocked is the link that asks for what the manifest names.
func (s *Settings) authorizeURLLocked() string {
	q := url.Values{"client_id": {s.app.ClientID}, "scope": {strings.Join(s.app.BotScopes, ",")}}
	if len(s.app.UserScopes) > 0 {
		q.Set("user_scope", strings.Join(s.app.UserScopes, ","))
	}
	return s.url + "/oauth/v2/authorize?" + q.Encode()
}

func (s *Settings) updateLocked(r *apiRequest) (map[string]any, *apiError) {
	if err := s.appLocked(r, "invalid_app_id"); err != nil {
		return nil, err
	}
	changed := s.app
	if err := applyManifest(r, &changed); err != nil {
		return nil, err
	}
	updated := changed.permissions() != s.app.permissions()
	s.sockets.settingsLocked(func() { s.app = changed })
	return map[string]any{"app_id": s.app.ID, "permissions_updated": updated}, nil
}

// validateLocked checks a manifest, with an app_id also whether it can be that app's.
func (s *Settings) validateLocked(r *apiRequest) (map[string]any, *apiError) {
	var tried App
	if r.has("app_id") {
		if err := s.appLocked(r, "invalid_app_id"); err != nil {
			return nil, err
		}
		tried = s.app
	}
	return map[string]any{}, applyManifest(r, &tried)
}

func (s *Settings) exportLocked(r *apiRequest) (map[string]any, *apiError) {
	if err := s.appLocked(r, "app_not_found"); err != nil {
		return nil, err
	}
	return map[string]any{"manifest": json.RawMessage(s.app.Manifest())}, nil
}

// deleteLocked ends the app: everywhere, without a word to it. How this Slack behaves (UsedCodeError and its like)
// stays.
func (s *Settings) deleteLocked(r *apiRequest) (map[string]any, *apiError) {
	if err := s.appLocked(r, "app_not_found"); err != nil {
		return nil, err
	}
	for _, in := range s.oauth.installs {
		s.oauth.removeLocked(in)
	}

	gone := s.app
	s.record.secrets = append(s.record.secrets, gone.ClientSecret, gone.SigningSecret, gone.AppToken)
	gone.TokenRotation, gone.Color = false, ""
	_ = gone.SetManifest([]byte(`{"display_information":{"name":"Deleted"}}`))
	gone.ID, gone.Name, gone.ClientID, gone.ClientSecret, gone.SigningSecret, gone.AppToken = "", "", "", "", "", ""
	gone.manifest = manifest.Document{}
	s.sockets.settingsLocked(func() { s.app = gone })
	return nil, nil
}
