package slacksim_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

func TestAuthorizeRefuses(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, want string
		extra      []string
	}{
		{"client id", "invalid_client_id", []string{"client_id", "9.9"}},
		{"foreign redirect", "bad_redirect_uri", []string{"redirect_uri", "https://evil.example/slack/oauth_redirect"}},
		{"redirect beside", "bad_redirect_uri", []string{"redirect_uri", callback + "er"}},
		{"redirect climbing out", "bad_redirect_uri", []string{"redirect_uri", callback + "/../x"}},
		{"redirect with fragment", "bad_redirect_uri", []string{"redirect_uri", callback + "#x"}},
		{"plain http", "bad_redirect_uri", []string{"redirect_uri", "http://app.example/slack/oauth_redirect"}},
		{"unknown scope", "invalid_scope", []string{"scope", "chat:wirte"}},
		{"bot scope for a user", "invalid_scope", []string{"user_scope", "app_mentions:read"}},
		{"no scope", "no_scopes", []string{"scope", ""}},
		{"pkce", "pkce_not_allowed", []string{"code_challenge", "abc"}},
	} {
		_, err := w.Sim.Authorize(w.Ctx, w.AuthorizeURL("chat:write", c.extra...), slacksim.AcmeAdmin, slacksim.Choice{})
		var refused *slacksim.AuthorizeError
		if !errors.As(err, &refused) || refused.Code != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	below := w.AuthorizeURL("chat:write", "redirect_uri", callback+"/eu")
	if got, err := w.Sim.Authorize(w.Ctx, below, slacksim.AcmeAdmin, slacksim.Choice{}); err != nil ||
		!strings.HasPrefix(got, callback+"/eu?") {
		t.Errorf("a path below a configured one: %q, %v", got, err)
	}
}

func TestAuthorizeChoices(t *testing.T) {
	w := newWorld(t)
	query := func(choice slacksim.Choice, extra ...string) url.Values {
		t.Helper()
		got, err := w.Sim.Authorize(w.Ctx, w.AuthorizeURL("chat:write,im:write", extra...), slacksim.AcmeAdmin, choice)
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(got)
		return u.Query()
	}
	if q := query(slacksim.Choice{Deny: true}, "state", "a b&c"); q.Get("error") != "access_denied" ||
		q.Get("state") != "a b&c" || q.Get("error_description") == "" || q.Has("code") {
		t.Errorf("Cancel: %v", q)
	}
	if q := query(slacksim.Choice{DenyWithoutDescription: true}); q.Get("error") != "access_denied" ||
		q.Has("error_description") {
		t.Errorf("Cancel without description: %v", q)
	}
	if a := w.Exchange(query(slacksim.Choice{Untick: []string{"im:write"}}).Get("code")); a.Str("scope") != "chat:write" {
		t.Errorf("unticked scope was granted: %v", a)
	}
	a := w.Exchange(query(slacksim.Choice{TeamID: slacksim.Birch}).Get("code"))
	if a.Str("team", "id") != slacksim.Birch || a.Str("authed_user", "id") != slacksim.BirchAdmin {
		t.Errorf("another workspace: %v", a)
	}
	w.Sim.AddWorkspace(slacksim.Workspace{ID: slacksim.Acme, Name: "Acme Corp", AppsNeedApproval: true})
	_, err := w.Sim.Authorize(w.Ctx, w.AuthorizeURL("chat:write"), slacksim.AcmeMember, slacksim.Choice{})
	if !errors.Is(err, slacksim.ErrApprovalPending) {
		t.Errorf("approval: %v", err)
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.NotDistributed, a.HomeTeam = true, slacksim.Acme })
	var refused *slacksim.AuthorizeError
	_, err = w.Sim.Authorize(w.Ctx, w.AuthorizeURL("chat:write"), slacksim.BirchAdmin, slacksim.Choice{})
	if !errors.As(err, &refused) || refused.Code != "invalid_team_for_non_distributed_app" {
		t.Errorf("undistributed app: %v", err)
	}
}

func TestCodeLivesTenMinutesAndOnce(t *testing.T) {
	w := newWorld(t)
	creds := []string{"client_id", "111.222", "client_secret", "client-secret-xyz", "redirect_uri", callback}
	code := w.Code(slacksim.AcmeAdmin, "chat:write")
	w.WantError("oauth.v2.access", "", "invalid_client_id", "client_id", "x", "code", code)
	w.WantError("oauth.v2.access", "", "bad_client_secret", "client_id", "111.222", "client_secret", "x", "code", code)
	w.WantError("oauth.v2.access", "", "bad_redirect_uri", "client_id", "111.222", "client_secret", "client-secret-xyz",
		"code", code)
	if a := w.Exchange(code); a["ok"] != true {
		t.Fatal(a)
	}
	w.WantError("oauth.v2.access", "", "invalid_code", append(creds, "code", code)...)
	w.Sim.SetApp(func(a *slacksim.App) { a.UsedCodeError = "code_already_used" })
	w.WantError("oauth.v2.access", "", "code_already_used", append(creds, "code", code)...)
	old := w.Code(slacksim.AcmeAdmin, "chat:write")
	w.Clock.Advance(10 * time.Minute)
	w.WantError("oauth.v2.access", "", "invalid_code", append(creds, "code", old)...)
}

func TestAccessAnswerAndBasicCredentials(t *testing.T) {
	w := newWorld(t)
	form := url.Values{"code": {w.Code(slacksim.AcmeAdmin, "chat:write,commands", "user_scope", "users:read")},
		"redirect_uri": {callback}}
	req, _ := http.NewRequest("POST", w.Sim.URL()+"/api/oauth.v2.access", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("111.222", "client-secret-xyz")
	a := do(t, req)
	if a.Str("team", "id") != slacksim.Acme || a["enterprise"] != nil || a["is_enterprise_install"] != false ||
		a.Str("app_id") != "A0SWITCH01" ||
		a.Str("scope") != "chat:write,commands" || a.Str("token_type") != "bot" ||
		!strings.HasPrefix(a.Str("authed_user", "access_token"), "xoxp-") {
		t.Errorf("answer %v", a)
	}
	if _, ok := a["bot_id"]; ok {
		t.Error("bot_id is not part of the answer")
	}
	if b := w.Call("auth.test", a.Str("access_token")); b.Str("bot_id") == "" ||
		b.Str("user_id") != a.Str("bot_user_id") || !strings.HasSuffix(b.Str("url"), "/client/T0ACME0001/") {
		t.Errorf("auth.test %v", b)
	}
	// Only user scopes: no token at the top.
	only := w.Exchange(w.Code(slacksim.BirchMember, "", "user_scope", "users:read"))
	if only.Str("access_token") != "" || only.Str("authed_user", "access_token") == "" {
		t.Errorf("user scopes alone: %v", only)
	}
	w.WantError("views.publish", only.Str("authed_user", "access_token"), "not_allowed_token_type")
}

func TestReinstallKeepsTokenAndAddsScopes(t *testing.T) {
	w := newWorld(t)
	first := w.Install(slacksim.AcmeAdmin, "chat:write")
	w.WantError("users.info", first, "missing_scope", "user", slacksim.AcmeAdmin)
	a := w.Exchange(w.Code(slacksim.AcmeMember, "users:read"))
	if a.Str("access_token") != first || a.Str("scope") != "chat:write,users:read" ||
		a.Str("authed_user", "id") != slacksim.AcmeMember {
		t.Errorf("re-install %v", a)
	}
	if b := w.Call("users.info", first, "user", slacksim.AcmeAdmin); b["ok"] != true {
		t.Errorf("the old token did not gain the scope: %v", b)
	}
	in, ok := w.Sim.Installed(slacksim.Acme)
	if !ok || in.BotToken != first || in.InstalledBy != slacksim.AcmeMember ||
		!slices.Equal(in.Scopes, []string{"chat:write", "users:read"}) {
		t.Errorf("Installed = %+v", in)
	}
}

func rotating(c *slacksim.Config) { c.App.TokenRotation = true }

func (w *world) refresh(token string) answer {
	w.T.Helper()
	return w.Call("oauth.v2.access", "", "client_id", "111.222", "client_secret", "client-secret-xyz",
		"grant_type", "refresh_token", "refresh_token", token)
}

func TestRotation(t *testing.T) {
	w := newWorld(t, rotating)
	a := w.Exchange(w.Code(slacksim.AcmeAdmin, "chat:write", "user_scope", "users:read"))
	if !strings.HasPrefix(a.Str("access_token"), "xoxe.xoxb-1-") ||
		!strings.HasPrefix(a.Str("refresh_token"), "xoxe-1-") || a["expires_in"] != 43200.0 {
		t.Fatalf("pair %v", a)
	}
	if u := a.Str("authed_user", "access_token"); !strings.HasPrefix(u, "xoxe.xoxp-1-") ||
		a.Str("authed_user", "refresh_token") == a.Str("refresh_token") {
		t.Errorf("the user's chain: %v", a["authed_user"])
	}
	b := w.refresh(a.Str("refresh_token"))
	if b["ok"] != true || b.Str("token_type") != "bot" || b.Str("team", "id") != slacksim.Acme ||
		b.Str("access_token") == a.Str("access_token") {
		t.Fatalf("refresh %v", b)
	}
	if x := w.Call("auth.test", a.Str("access_token")); x["ok"] != true || x["expires_in"] == nil {
		t.Errorf("a refresh killed the older access token: %v", x)
	}
	c := w.refresh(b.Str("refresh_token"))
	w.WantError("auth.test", a.Str("access_token"), "token_expired") // two newer ones exist
	w.Clock.Advance(12 * time.Hour)
	w.WantError("auth.test", c.Str("access_token"), "token_expired")
	w.WantBreaches()
	w.WantError("chat.postMessage", c.Str("access_token"), "token_expired", "channel", slacksim.AcmeAdmin, "text", "x")
	w.WantBreaches(slacksim.RuleExpiredToken)
	if x := w.refresh(c.Str("refresh_token")); x["ok"] != true {
		t.Errorf("a refresh after expiry: %v", x)
	}
	u := w.refresh(a.Str("authed_user", "refresh_token"))
	if u.Str("token_type") != "user" {
		t.Errorf("the user's refresh: %v", u)
	}
}

func TestRefreshTokenReuse(t *testing.T) {
	for _, strict := range []bool{true, false} {
		w := newWorld(t, rotating, func(c *slacksim.Config) {
			c.App.StrictRefresh, c.App.RefreshGrace = strict, 30*time.Second
		})
		a := w.Exchange(w.Code(slacksim.AcmeAdmin, "chat:write"))
		b := w.refresh(a.Str("refresh_token"))
		again := w.refresh(a.Str("refresh_token"))
		w.WantBreaches(slacksim.RuleRefreshReused)
		if strict {
			if again.Str("error") != "invalid_refresh_token" {
				t.Errorf("strict: %v", again)
			}
			continue
		}
		// Within the grace there are two successors, and one survives.
		if again["ok"] != true || w.refresh(b.Str("refresh_token")).Str("error") != "invalid_refresh_token" ||
			w.refresh(again.Str("refresh_token"))["ok"] != true {
			t.Error("grace: not exactly the later successor lives")
		}
		w.Clock.Advance(30 * time.Second)
		if x := w.refresh(a.Str("refresh_token")); x.Str("error") != "invalid_refresh_token" {
			t.Errorf("after the grace: %v", x)
		}
	}
}

func TestLostRefreshAnswerMayBeAskedForAgain(t *testing.T) {
	w := newWorld(t, rotating)
	a := w.Exchange(w.Code(slacksim.AcmeAdmin, "chat:write"))
	w.Sim.Inject(slacksim.Fault{Method: "oauth.v2.access", Times: 1, DropAnswer: true})
	if _, err := w.Try("oauth.v2.access", "", "client_id", "111.222", "client_secret", "client-secret-xyz",
		"grant_type", "refresh_token", "refresh_token", a.Str("refresh_token")); err == nil {
		t.Fatal("the answer was not dropped")
	}
	if b := w.refresh(a.Str("refresh_token")); b["ok"] != true {
		t.Errorf("second try %v", b)
	}
	w.WantBreaches()
}

func TestExchangeLongLivedToken(t *testing.T) {
	w := newWorld(t)
	old := w.Install(slacksim.AcmeAdmin, "chat:write")
	args := []string{"client_id", "111.222", "client_secret", "client-secret-xyz", "token", old}
	w.WantError("oauth.v2.exchange", "", "token_rotation_not_enabled", args...)
	w.Sim.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
	a := w.Call("oauth.v2.exchange", "", args...)
	if !strings.HasPrefix(a.Str("access_token"), "xoxe.xoxb-1-") || a.Str("refresh_token") == "" {
		t.Fatalf("exchange %v", a)
	}
	w.WantError("oauth.v2.exchange", "", "token_already_exchanged", args...)
	if x := w.Call("auth.test", old); x["ok"] != true {
		t.Error("the old token died before the first refresh")
	}
	w.refresh(a.Str("refresh_token"))
	w.WantError("auth.test", old, "token_revoked")
}

func TestRevoke(t *testing.T) {
	t.Run("bot token uninstalls", func(t *testing.T) {
		w := newWorld(t)
		tok := w.Install(slacksim.AcmeAdmin)
		if a := w.Call("auth.revoke", tok, "test", "1"); a["revoked"] != false {
			t.Error(a)
		}
		if a := w.Call("auth.revoke", tok); a["revoked"] != true {
			t.Error(a)
		}
		w.Settled()
		w.WantError("auth.test", tok, "token_revoked")
		if len(w.Bot.Events("app_uninstalled")) != 1 || len(w.Bot.Events("tokens_revoked")) != 1 {
			t.Error("uninstall events did not follow")
		}
	})
	t.Run("or only the token dies", func(t *testing.T) {
		w := newWorld(t, func(c *slacksim.Config) { c.App.RevokeKeepsApp = true })
		w.Call("auth.revoke", w.Install(slacksim.AcmeAdmin))
		w.Settled()
		if len(w.Bot.Events("app_uninstalled")) != 0 || len(w.Bot.Events("tokens_revoked")) != 1 {
			t.Error("want tokens_revoked alone")
		}
	})
	t.Run("rotating token dies alone", func(t *testing.T) {
		w := newWorld(t, rotating)
		a := w.Exchange(w.Code(slacksim.AcmeAdmin, "chat:write"))
		w.Call("auth.revoke", a.Str("access_token"))
		w.Settled()
		w.WantError("auth.test", a.Str("access_token"), "token_revoked")
		if b := w.refresh(a.Str("refresh_token")); b["ok"] != true {
			t.Errorf("the chain died too: %v", b)
		}
		if len(w.Bot.Requests()) != 0 {
			t.Error("an event was sent")
		}
	})
	t.Run("a person's token", func(t *testing.T) {
		w := newWorld(t)
		a := w.Exchange(w.Code(slacksim.AcmeMember, "chat:write", "user_scope", "users:read"))
		if err := w.Sim.Admins.RevokeUser(w.Ctx, slacksim.AcmeMember); err != nil {
			t.Fatal(err)
		}
		w.Settled()
		w.WantError("auth.test", a.Str("authed_user", "access_token"), "token_revoked")
		e := w.Bot.Last(t).Event["tokens"].(map[string]any)
		if len(e["bot"].([]any)) != 0 || e["oauth"].([]any)[0] != slacksim.AcmeMember {
			t.Errorf("tokens = %v", e)
		}
		if x := w.Call("auth.test", a.Str("access_token")); x["ok"] != true {
			t.Error("the workspace's token died")
		}
	})
	t.Run("apps.uninstall", func(t *testing.T) {
		w := newWorld(t)
		tok := w.Install(slacksim.AcmeAdmin)
		w.WantError("apps.uninstall", tok, "bad_client_secret", "client_id", "111.222", "client_secret", "no")
		if a := w.Call("apps.uninstall", tok, "client_id", "111.222", "client_secret", "client-secret-xyz"); a["ok"] != true {
			t.Error(a)
		}
		w.Settled()
		if _, ok := w.Sim.Installed(slacksim.Acme); ok || len(w.Bot.Requests()) != 2 {
			t.Error("still installed, or no events")
		}
	})
}

func TestUninstallVariants(t *testing.T) {
	for _, c := range []struct {
		order slacksim.UninstallOrder
		want  string
	}{
		{slacksim.RevokedFirst, "tokens_revoked app_uninstalled"},
		{slacksim.UninstalledFirst, "app_uninstalled tokens_revoked"},
		{slacksim.OnlyRevoked, "tokens_revoked"}, {slacksim.OnlyUninstalled, "app_uninstalled"},
		{slacksim.NoUninstallEvents, ""},
	} {
		w := newWorld(t)
		w.Install(slacksim.AcmeAdmin)
		if err := w.Sim.Admins.Uninstall(w.Ctx, slacksim.Acme, c.order); err != nil {
			t.Fatal(err)
		}
		w.Settled()
		var got []string
		for _, r := range w.Bot.Requests() {
			got = append(got, r.Event["type"].(string))
			if r.Outer["authorizations"] != nil || r.Outer["team_id"] != slacksim.Acme {
				t.Errorf("envelope %v", r.Outer)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("order %v sent %v", c.order, got)
		}
	}
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	if err := w.Sim.Admins.UninstallLate(w.Ctx, slacksim.Acme, slacksim.OnlyUninstalled, 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	fresh := w.Install(slacksim.AcmeAdmin)
	w.Clock.Advance(2 * time.Minute)
	w.Settled()
	late := w.Bot.Events("app_uninstalled")
	if len(late) != 1 || late[0].Outer["event_time"] != float64(start.Unix()) {
		t.Errorf("the late event: %v", late)
	}
	if a := w.Call("auth.test", fresh); a["ok"] != true {
		t.Error("the new installation is not alive")
	}
	w.Sim.Admins.RepeatUninstallEvents(w.Ctx, slacksim.Acme, slacksim.RevokedFirst)
	w.Settled()
	if len(w.Bot.Events("app_uninstalled")) != 2 {
		t.Error("the events were not repeated")
	}
	if err := w.Sim.Admins.Uninstall(w.Ctx, slacksim.Birch, slacksim.RevokedFirst); err == nil {
		t.Error("uninstalled where nothing was installed")
	}
}

func TestOrganisationWide(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) {
		c.App.OrgReady = true
		c.App.Events = append(c.App.Events, "team_access_granted")
	})
	w.Sim.AddWorkspace(slacksim.Workspace{ID: slacksim.Acme, Name: "Acme Corp", EnterpriseID: "E0GRID0001",
		EnterpriseName: "Acme Group"})
	got, err := w.Sim.Authorize(w.Ctx, w.AuthorizeURL(botScopes), slacksim.AcmeAdmin, slacksim.Choice{Org: true})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(got)
	a := w.Exchange(u.Query().Get("code"))
	if a["team"] != nil || a.Str("enterprise", "id") != "E0GRID0001" || a["is_enterprise_install"] != true ||
		!strings.HasPrefix(a.Str("bot_user_id"), "W") {
		t.Fatalf("answer %v", a)
	}
	tok := a.Str("access_token")
	if x := w.Call("auth.test", tok); x.Str("team_id") != "E0GRID0001" || x["is_enterprise_install"] != true {
		t.Errorf("auth.test %v", x)
	}
	w.WantError("users.list", tok, "missing_argument")
	w.WantError("users.list", tok, "team_access_not_granted", "team_id", slacksim.Acme)
	if err := w.Sim.Admins.GrantTeam(w.Ctx, slacksim.Acme); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if e := w.Bot.Last(t); e.Event["type"] != "team_access_granted" || e.Outer["team_id"] != nil ||
		e.Outer["enterprise_id"] != "E0GRID0001" {
		t.Errorf("grant event %v", e.Outer)
	}
	if x := w.Call("users.list", tok, "team_id", slacksim.Acme); x["ok"] != true {
		t.Error(x)
	}
	if _, err := w.Sim.Say(w.Ctx, slacksim.AcmeMember, w.Sim.DM(slacksim.AcmeMember), "hi"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	auth := w.Bot.Last(t).Outer["authorizations"].([]any)[0].(map[string]any)
	if auth["team_id"] != nil || auth["is_enterprise_install"] != true || w.Bot.Last(t).Outer["team_id"] != slacksim.Acme {
		t.Errorf("authorizations %v", auth)
	}
	if _, err := w.Sim.Command(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "/connection"); err != nil {
		t.Fatal(err)
	}
	if f := w.Bot.Last(t).Form; f.Get("is_enterprise_install") != "true" || f.Get("enterprise_id") != "E0GRID0001" {
		t.Errorf("command form %v", f)
	}
	if x := w.Exchange(w.Code(slacksim.AcmeAdmin, "chat:write")); x.Str("error") != "cannot_install_an_org_installed_app" {
		t.Errorf("a workspace install beside it: %v", x)
	}
	if err := w.Sim.Admins.Uninstall(w.Ctx, "E0GRID0001", slacksim.OnlyUninstalled); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if e := w.Bot.Last(t); e.Outer["team_id"] != nil || e.Outer["enterprise_id"] != "E0GRID0001" {
		t.Errorf("uninstall envelope %v", e.Outer)
	}
}

func TestIncomingWebhook(t *testing.T) {
	w := newWorld(t)
	got, err := w.Sim.Authorize(w.Ctx, w.AuthorizeURL("incoming-webhook,chat:write"), slacksim.AcmeAdmin,
		slacksim.Choice{WebhookChannel: slacksim.AcmeRandom})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(got)
	a := w.Exchange(u.Query().Get("code"))
	if a.Str("incoming_webhook", "channel_id") != slacksim.AcmeRandom {
		t.Fatal(a)
	}
	hook := a.Str("incoming_webhook", "url")
	for _, c := range []struct {
		url, body, want string
		status          int
	}{
		{hook, `{"text":"hi"}`, "ok", 200}, {hook, `{}`, "no_text", 400}, {hook, `nonsense`, "invalid_payload", 400},
		{hook + "x", `{"text":"hi"}`, "invalid_token", 403},
	} {
		if status, body := post(t, c.url, c.body); status != c.status || body != c.want {
			t.Errorf("webhook %s: %d %q", c.body, status, body)
		}
	}
	if m := w.Sim.Messages(slacksim.AcmeRandom, slacksim.AcmeMember); len(m) != 1 || m[0].Text != "hi" {
		t.Errorf("messages %v", m)
	}
	if err := w.Sim.Admins.Uninstall(w.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
		t.Fatal(err)
	}
	if status, body := post(t, hook, `{"text":"hi"}`); status != 404 || body != "no_service" {
		t.Errorf("after uninstall: %d %s", status, body)
	}
}

func TestSecretsAreListed(t *testing.T) {
	w := newWorld(t, rotating)
	code := w.Code(slacksim.AcmeAdmin, botScopes)
	a := w.Exchange(code)
	if _, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/connection"); err != nil {
		t.Fatal(err)
	}
	hook := w.Bot.Last(t).Form.Get("response_url")
	for _, want := range []string{code, a.Str("access_token"), a.Str("refresh_token"), "client-secret-xyz",
		"signing-secret-xyz", hook[strings.LastIndexByte(hook, '/')+1:]} {
		if !slices.Contains(w.Sim.Secrets(), want) {
			t.Errorf("%q is not among the secrets", want)
		}
	}
}
