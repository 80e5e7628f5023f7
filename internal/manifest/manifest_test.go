package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/slacksim"
)

const ofTheCode = `{
 "_metadata": {"major_version": 2},
 "display_information": {"name": "Greeter", "description": "Says hello"},
 "features": {"app_home": {"home_tab_enabled": true, "messages_tab_enabled": true, "messages_tab_read_only_enabled": false},
  "bot_user": {"display_name": "Greeter", "always_online": true},
  "slash_commands": [{"command": "/greet", "description": "Greets", "url": "https://greeter.example/slack/events"}]},
 "oauth_config": {"redirect_urls": ["https://greeter.example/slack/oauth_redirect"],
  "scopes": {"bot": ["chat:write", "commands", "im:history", "users:read"], "bot_optional": ["users:read"]}},
 "settings": {"event_subscriptions": {"request_url": "https://greeter.example/slack/events",
   "bot_events": ["app_home_opened", "message.im"]},
  "interactivity": {"is_enabled": true, "request_url": "https://greeter.example/slack/events"},
  "org_deploy_enabled": true, "token_rotation_enabled": true}
}`

// ofSlack is the same app as somebody left it: with the name, addresses, permissions, events and commands of before,
// and with what no code decides about.
const ofSlack = `{
 "display_information": {"name": "Greeter", "description": "Says hello", "background_color": "#4a154b"},
 "features": {"app_home": {"home_tab_enabled": false, "messages_tab_enabled": true},
  "bot_user": {"display_name": "Greeter", "always_online": true},
  "slash_commands": [{"command": "/greet", "description": "Says hi", "url": "https://greeter.example/slack/events",
   "usage_hint": "[name]"}, {"command": "/old", "description": "Old", "url": "https://greeter.example/slack/events"}]},
 "oauth_config": {"redirect_urls": ["https://old.example/slack/oauth_redirect"], "pkce_enabled": false,
  "scopes": {"bot": ["im:history", "chat:write", "commands", "files:read"]}},
 "settings": {"event_subscriptions": {"request_url": "https://old.example/slack/events",
   "bot_events": ["message.im", "file_shared"], "user_events": ["team_join"]},
  "interactivity": {"is_enabled": true, "request_url": "https://greeter.example/slack/events"},
  "siws_links": {"initiate_uri": "https://greeter.example/login"}, "is_hosted": false,
  "socket_mode_enabled": false, "token_rotation_enabled": true},
 "outgoing_domains": ["greeter.example"]
}`

// Each setting that differs is told once, with the entry it is about and what a push would do. What differs in order or
// in what is left out is no difference.
func TestCompare(t *testing.T) {
	t.Parallel()
	compared, err := Compare(json.RawMessage(ofTheCode), json.RawMessage(ofSlack))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range compared.Differences {
		got = append(got, strings.TrimSpace(string(d.Change)+" "+d.Group+" "+d.Pointer+" "+d.Item))
	}
	want := []string{
		"add addresses /oauth_config/redirect_urls https://greeter.example/slack/oauth_redirect",
		"remove addresses /oauth_config/redirect_urls https://old.example/slack/oauth_redirect",
		"change addresses /settings/event_subscriptions/request_url",
		"add permissions /oauth_config/scopes/bot users:read",
		"remove permissions /oauth_config/scopes/bot files:read",
		"add permissions /oauth_config/scopes/bot_optional users:read",
		"add events /settings/event_subscriptions/bot_events app_home_opened",
		"remove events /settings/event_subscriptions/bot_events file_shared",
		"change commands /features/slash_commands /greet",
		"change commands /features/slash_commands /greet",
		"remove commands /features/slash_commands /old",
		"change features /features/app_home/home_tab_enabled",
		"change settings /settings/org_deploy_enabled",
	}
	if !slices.Equal(got, want) {
		t.Errorf("differences:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	kept := []string{"/outgoing_domains", "/settings/event_subscriptions/user_events", "/settings/siws_links"}
	if !slices.Equal(compared.Kept, kept) || len(compared.Notes) > 0 {
		t.Errorf("kept %v, notes %v", compared.Kept, compared.Notes)
	}

	same, err := Compare(json.RawMessage(ofTheCode), json.RawMessage(ofTheCode))
	if err != nil || !same.Same() {
		t.Errorf("the same differs: %+v, %v", same, err)
	}
}

// A pushed manifest is the code's on top of Slack's: nothing differs after it, and nothing else is gone. With prune only
// the code's is left. Slack takes both.
func TestMerge(t *testing.T) {
	t.Parallel()
	slack, _ := json.Marshal(json.RawMessage(ofSlack))
	for _, prune := range []bool{false, true} {
		pushed, err := Merge(json.RawMessage(ofTheCode), slack, prune)
		if err != nil {
			t.Fatal(err)
		}
		compared, err := Compare(json.RawMessage(ofTheCode), pushed)
		if err != nil || !compared.Same() {
			t.Errorf("after a push: %+v, %v", compared.Differences, err)
		}
		if has := len(compared.Kept) == 3; has == prune || !strings.Contains(string(pushed), "#4a154b") {
			t.Errorf("prune %v: %s", prune, pushed)
		}
		app := slacksim.App{TokenRotation: true}
		if err := app.SetManifest(pushed); err != nil {
			t.Errorf("Slack refuses what is pushed: %v", err)
		}
	}
}

// Rotation can't be turned off. Over sockets no address counts.
func TestCompareWhatCannotBePushed(t *testing.T) {
	t.Parallel()
	steady := strings.Replace(ofTheCode, `, "token_rotation_enabled": true`, ``, 1)
	compared, err := Compare(json.RawMessage(steady), json.RawMessage(ofTheCode))
	if err != nil || !compared.Same() || len(compared.Notes) != 1 {
		t.Errorf("rotation that stays: %+v, %v", compared, err)
	}
	if pushed, err := Merge(json.RawMessage(steady), json.RawMessage(ofTheCode), true); err != nil ||
		!strings.Contains(string(pushed), `"token_rotation_enabled":true`) {
		t.Errorf("pushed without rotation: %s, %v", pushed, err)
	}

	over := strings.Replace(ofTheCode, `"org_deploy_enabled"`, `"socket_mode_enabled": true, "org_deploy_enabled"`, 1)
	over = strings.ReplaceAll(over, `"request_url": "https://greeter.example/slack/events"`, `"request_url": ""`)
	over = strings.ReplaceAll(over, `, "url": "https://greeter.example/slack/events"`, ``)
	if compared, err = Compare(json.RawMessage(over), json.RawMessage(ofTheCode)); err != nil ||
		len(compared.Differences) != 1 || compared.Differences[0].Setting != "Socket Mode" {
		t.Errorf("over sockets: %+v, %v", compared.Differences, err)
	}
}

// stage is a Slack with an app, and somebody's configuration tokens.
type stage struct {
	sim    *slacksim.Sim
	clock  *slacksim.ManualClock
	pair   slacksim.ConfigTokens
	folder string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{clock: slacksim.NewManualClock(time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)),
		folder: filepath.Join(t.TempDir(), "data")}
	app := slacksim.App{ID: "A0GREETER1", ClientID: "1.2", ClientSecret: "client-secret-xyz",
		SigningSecret: "signing-secret-xyz"}
	if err := app.SetManifest([]byte(ofSlack)); err != nil {
		t.Fatal(err)
	}
	s.sim = slacksim.New(slacksim.Config{Clock: s.clock, App: app})
	s.sim.AddSmallWorld()
	if err := s.sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.sim.Close(context.Background()) })

	var err error
	if s.pair, err = s.sim.Settings.Generate(slacksim.AcmeAdmin); err != nil {
		t.Fatal(err)
	}
	return s
}

// client is a process's, with the tokens in its environment.
func (s *stage) client(token, refresh string) *Client {
	api := &slackapi.API{Address: s.sim.URL(), HTTP: slackapi.NewHTTPClient(), Now: s.clock.Now}
	return &Client{Slack: api, Tokens: &Tokens{Token: connection.Secret(token), Refresh: connection.Secret(refresh),
		Folder: s.folder, Slack: api}}
}

func (s *stage) rotations() int { return len(s.sim.Calls("tooling.tokens.rotate")) }

// A pair is renewed when Slack or its end says so, and what followed counts instead of the environment's, in every
// process, until the operator sets a pair of another origin.
func TestTokensAreRenewed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	export := func(token, refresh string) {
		t.Helper()
		if _, err := s.client(token, refresh).Export(t.Context(), "A0GREETER1"); err != nil {
			t.Fatal(err)
		}
	}
	export(s.pair.Token, s.pair.RefreshToken)
	if _, err := os.Stat(s.folder); !errors.Is(err, fs.ErrNotExist) || s.rotations() != 0 {
		t.Errorf("renewed, or wrote something, without need: %v", err)
	}

	s.clock.Advance(13 * time.Hour)
	export(s.pair.Token, s.pair.RefreshToken) // Slack says that it expired
	export(s.pair.Token, s.pair.RefreshToken)
	export("", "")
	if s.rotations() != 1 {
		t.Errorf("%d renewals, want 1", s.rotations())
	}
	info, err := os.Stat(filepath.Join(s.folder, File))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept with %v, %v", info, err)
	}

	s.clock.Advance(11*time.Hour + time.Minute) // its end is known: before Slack refuses it
	export(s.pair.Token, s.pair.RefreshToken)
	if got := s.sim.Calls("apps.manifest.export"); s.rotations() != 2 || got[len(got)-1].Error != "" {
		t.Errorf("%d renewals, the last call %q", s.rotations(), got[len(got)-1].Error)
	}

	other, err := s.sim.Settings.Generate(slacksim.AcmeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	export(other.Token, other.RefreshToken)
	if got := s.sim.Calls("apps.manifest.export"); got[len(got)-1].Arg("token") != other.Token {
		t.Error("a pair that was set anew isn't used")
	}
	if b := s.sim.Breaches(); len(b) > 0 {
		t.Errorf("breaches: %v", b)
	}
}

// However often a pair was renewed, what is still set in the environment is known as what it came from. Another pair
// that Slack refuses replaces nothing.
func TestTokensOutliveManyRenewals(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	export := func(token, refresh string) error {
		_, err := s.client(token, refresh).Export(t.Context(), "A0GREETER1")
		return err
	}
	for range mostAncestry/2 + 2 {
		s.clock.Advance(13 * time.Hour)
		if err := export(s.pair.Token, s.pair.RefreshToken); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.rotations(); got != mostAncestry/2+2 {
		t.Errorf("%d renewals", got)
	}

	if err := export("", "xoxe-1-mistyped"); err == nil {
		t.Error("a refresh token that nobody gave was taken")
	}
	if err := export(s.pair.Token, s.pair.RefreshToken); err != nil {
		t.Errorf("after a wrong one was set: %v", err)
	}
}

// Many processes at once spend a refresh token once.
func TestTokensAreRenewedOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.clock.Advance(13 * time.Hour)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := s.client(s.pair.Token, s.pair.RefreshToken).Export(t.Context(), "A0GREETER1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.rotations() != 1 || len(s.sim.Breaches()) > 0 {
		t.Errorf("%d renewals, %v", s.rotations(), s.sim.Breaches())
	}
}

// Where the next pair can't be kept the refresh token isn't spent, and one whose caller hangs up is kept anyway.
func TestTokensAreKeptFirst(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.clock.Advance(13 * time.Hour)
	if err := os.WriteFile(s.folder, nil, 0o600); err != nil { // where the folder would be
		t.Fatal(err)
	}
	_, err := s.client(s.pair.Token, s.pair.RefreshToken).Export(t.Context(), "A0GREETER1")
	var wrong *server.ConfigError
	if !errors.As(err, &wrong) || wrong.Problems[0].Setting != "DATA_DIR" || s.rotations() != 0 {
		t.Fatalf("%d renewals, %v", s.rotations(), err)
	}

	if err := os.Remove(s.folder); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := s.client(s.pair.Token, s.pair.RefreshToken)
	clear := s.sim.Inject(slacksim.Fault{Method: "tooling.tokens.rotate", Delay: 50 * time.Millisecond})
	defer clear()
	go func() {
		_ = s.sim.WaitFor(t.Context(), func() bool { return s.rotations() == 1 })
		cancel()
	}()
	_, _ = c.Export(ctx, "A0GREETER1")
	if _, err := s.client("", "").Export(t.Context(), "A0GREETER1"); err != nil {
		t.Errorf("the pair of a caller that hung up: %v", err)
	}
	if s.rotations() != 1 {
		t.Errorf("%d renewals", s.rotations())
	}
}

// Every wrong input is told as the setting that is wrong, with where to get the right one, and without the secret.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	spent := s.client("", s.pair.RefreshToken)
	if _, err := spent.Export(t.Context(), "A0GREETER1"); err != nil {
		t.Fatal(err)
	}
	s.folder = t.TempDir() // another machine
	for what, x := range map[string]struct{ token, refresh, app, setting, says string }{
		"nothing":        {setting: "SLACK_CONFIG_TOKEN", says: "is not set"},
		"another kind":   {token: s.pair.RefreshToken, setting: "SLACK_CONFIG_TOKEN", says: "another kind"},
		"unknown":        {token: "xoxe.xoxp-1-nobody", setting: "SLACK_CONFIG_TOKEN", says: "isn't known"},
		"spent refresh":  {refresh: s.pair.RefreshToken, setting: "SLACK_CONFIG_REFRESH_TOKEN", says: "was used already"},
		"no such app":    {token: s.pair.Token, app: "A0OTHER001", setting: "SLACK_APP_ID", says: "no such app"},
		"no id":          {token: s.pair.Token, app: "greeter", setting: "SLACK_APP_ID", says: "no such app"},
		"expired, alone": {token: s.pair.Token, setting: "SLACK_CONFIG_TOKEN", says: "12 hours"},
	} {
		t.Run(what, func(t *testing.T) {
			if strings.HasPrefix(what, "expired") {
				defer s.sim.Inject(slacksim.Fault{Method: "apps.manifest.export", Error: "token_expired"})()
			}
			app := x.app
			if app == "" {
				app = "A0GREETER1"
			}
			_, err := s.client(x.token, x.refresh).Export(t.Context(), app)
			var wrong *server.ConfigError
			if !errors.As(err, &wrong) || wrong.Problems[0].Setting != x.setting || !strings.Contains(err.Error(), x.says) {
				t.Fatalf("%v", err)
			}
			for _, secret := range s.sim.Secrets() {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("tells a secret: %v", err)
				}
			}
		})
	}

	err := s.client(s.pair.Token, "").Validate(t.Context(), "", json.RawMessage(`{"display_information":{},"odd":1}`))
	var refused *Invalid
	if !errors.As(err, &refused) || len(refused.Problems) != 2 ||
		!strings.Contains(err.Error(), "\n  /odd: is not a property of a manifest") {
		t.Errorf("a wrong manifest: %v", err)
	}
}

// Slack takes few of these calls a minute. It is waited for as long as it asks.
func TestPatience(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	defer s.sim.Inject(slacksim.Fault{Method: "apps.manifest.update", RetryAfter: 30, Times: 1})()
	c := s.client(s.pair.Token, "")
	var waited time.Duration
	c.wait = func(_ context.Context, d time.Duration) error { waited += d; return nil }
	permissions, err := c.Update(t.Context(), "A0GREETER1", json.RawMessage(ofTheCode))
	if err != nil || !permissions || waited != 30*time.Second {
		t.Errorf("after %v: %v, %v", waited, permissions, err)
	}
}

// An app that is made can be used with what comes back, and removed.
func TestCreate(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := s.client(s.pair.Token, "")
	if err := c.Delete(t.Context(), "A0GREETER1"); err != nil {
		t.Fatal(err)
	}
	made, err := c.Create(t.Context(), json.RawMessage(ofTheCode))
	if app := s.sim.App(); err != nil || made.AppID != app.ID || made.ClientID != app.ClientID ||
		made.ClientSecret.Reveal() != app.ClientSecret || made.SigningSecret.Reveal() != app.SigningSecret ||
		!strings.HasPrefix(made.AuthorizeURL, s.sim.URL()) {
		t.Errorf("made %+v, %v", made, err)
	}
}
