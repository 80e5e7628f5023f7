package slacksim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/slacksim"
)

// aManifest has a bit of everything that this Slack acts by, and a key that it only keeps.
const aManifest = `{
 "display_information": {"name": "Greeter", "description": "Says hello", "background_color": "#4a154b"},
 "features": {"app_home": {"home_tab_enabled": true, "messages_tab_enabled": true},
  "bot_user": {"display_name": "greeter", "always_online": true},
  "slash_commands": [{"command": "/greet", "description": "Greets", "url": "%[1]s/commands", "should_escape": true}]},
 "oauth_config": {"redirect_urls": ["https://greeter.example/callback"],
  "scopes": {"bot": ["chat:write", "commands", "im:history", "users:read"], "bot_optional": ["users:read"]}},
 "settings": {"event_subscriptions": {"request_url": "%[1]s/events", "bot_events": ["message.im"]},
  "interactivity": {"is_enabled": true, "request_url": "%[1]s/presses"},
  "siws_links": {"initiate_uri": "https://greeter.example/login"}, "token_rotation_enabled": true}
}`

// manifested has no app yet, and a person's configuration tokens.
func manifested(t *testing.T) (w *world, pair slacksim.ConfigTokens, manifest string) {
	t.Helper()
	w = newWorld(t, func(c *slacksim.Config) { c.App = slacksim.App{} })
	pair, err := w.Sim.Settings.Generate(slacksim.AcmeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	return w, pair, fmt.Sprintf(aManifest, w.Bot.URL)
}

// changed is a manifest with another value at a path.
func changed(t *testing.T, manifest string, v any, path ...string) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(manifest), &doc); err != nil {
		t.Fatal(err)
	}
	at := doc
	for _, name := range path[:len(path)-1] {
		at = at[name].(map[string]any)
	}
	at[path[len(path)-1]] = v
	out, _ := json.Marshal(doc)
	return string(out)
}

// An app that is made from a manifest is installed and written to with the credentials that came back.
func TestAppFromManifest(t *testing.T) {
	t.Parallel()
	w, pair, manifest := manifested(t)
	made := w.Call("apps.manifest.create", pair.Token, "manifest", manifest)
	if made["ok"] != true || made.Str("credentials", "verification_token") == "" {
		t.Fatalf("create: %v", made)
	}
	w.WantError("apps.manifest.create", pair.Token, "failed_creating_app", "manifest", manifest)

	consent, err := url.Parse(made.Str("oauth_authorize_url"))
	if err != nil || consent.Query().Get("client_id") != made.Str("credentials", "client_id") {
		t.Fatalf("the link that installs: %v, %v", consent, err)
	}
	back, err := w.Sim.Authorize(w.Ctx, consent.String(), slacksim.AcmeAdmin, slacksim.Choice{})
	if err != nil || !strings.HasPrefix(back, "https://greeter.example/callback?") {
		t.Fatalf("consent: %q, %v", back, err)
	}
	if _, err := w.Sim.Authorize(w.Ctx, consent.String(), slacksim.BirchAdmin, slacksim.Choice{}); err == nil ||
		!strings.Contains(err.Error(), "invalid_team_for_non_distributed_app") {
		t.Errorf("a new app is distributed: %v", err)
	}
	code, _ := url.Parse(back)
	token := w.Call("oauth.v2.access", "", "client_id", made.Str("credentials", "client_id"), "client_secret",
		made.Str("credentials", "client_secret"), "code", code.Query().Get("code"))
	if token["ok"] != true || token.Str("app_id") != made.Str("app_id") || token.Str("refresh_token") == "" {
		t.Fatalf("install: %v", token)
	}

	// Nothing is sent to an address whose challenge hasn't come back.
	say := func() {
		t.Helper()
		if _, err := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "hello"); err != nil {
			t.Fatal(err)
		}
		w.Settled()
	}
	say()
	if n := len(w.Bot.Requests()); n != 0 {
		t.Errorf("%d deliveries to an address that wasn't verified", n)
	}
	w.Bot.Reply(jsonReply(`{"challenge":"another"}`))
	if err := w.Sim.Sender.VerifyURL(w.Ctx); err == nil || !w.Sim.App().EventsUnverified {
		t.Errorf("verified by another challenge: %v", err)
	}
	w.verify()
	say()
	if _, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/greet"); err != nil {
		t.Error(err)
	}
	last := w.Sim.Deliveries()[len(w.Sim.Deliveries())-1]
	if got := w.Bot.Events("message"); len(got) != 1 || last.URL != w.Bot.URL+"/commands" {
		t.Errorf("%d events, the command to %s", len(got), last.URL)
	}
	want := slacksim.Sign(made.Str("credentials", "signing_secret"), w.Clock.Now().Unix(), last.Body)
	if got := w.Bot.Last(t).Header.Get("X-Slack-Signature"); got != want {
		t.Errorf("signed with another secret: %s", got)
	}
	w.WantBreaches(slacksim.RuleVerification)
}

// verify has the app send challenges back, and Slack ask for one.
func (w *world) verify() {
	w.T.Helper()
	w.Bot.Reply(func(rw http.ResponseWriter, _ *http.Request, r request) {
		if challenge, is := r.Outer["challenge"].(string); is {
			fmt.Fprint(rw, challenge)
		}
	})
	if err := w.Sim.Sender.VerifyURL(w.Ctx); err != nil || w.Sim.App().EventsUnverified {
		w.T.Errorf("not verified: %v", err)
	}
}

// The whole manifest is replaced, and what was changed in it holds from then on.
func TestManifestUpdate(t *testing.T) {
	t.Parallel()
	w, pair, manifest := manifested(t)
	id := w.Call("apps.manifest.create", pair.Token, "manifest", manifest).Str("app_id")
	w.verify()
	update := func(manifest string) answer {
		t.Helper()
		a := w.Call("apps.manifest.update", pair.Token, "app_id", id, "manifest", manifest)
		if a["ok"] != true || a.Str("app_id") != id {
			t.Fatalf("update: %v", a)
		}
		return a
	}

	// Another redirect URL, and nothing else.
	moved := changed(t, manifest, []string{"https://new.example/callback"}, "oauth_config", "redirect_urls")
	if a := update(moved); a["permissions_updated"] != false || w.Sim.App().EventsUnverified {
		t.Errorf("permissions updated, or the address to be verified again: %v", a)
	}
	link := w.Sim.URL() + "/oauth/v2/authorize?scope=chat:write&client_id=" + w.Sim.App().ClientID + "&redirect_uri="
	if _, err := w.Sim.Authorize(w.Ctx, link+"https://greeter.example/callback", slacksim.AcmeAdmin,
		slacksim.Choice{}); err == nil || !strings.Contains(err.Error(), "bad_redirect_uri") {
		t.Errorf("the old redirect URL: %v", err)
	}
	if _, err := w.Sim.Authorize(w.Ctx, link+"https://new.example/callback", slacksim.AcmeAdmin,
		slacksim.Choice{}); err != nil {
		t.Errorf("the new redirect URL: %v", err)
	}

	// Another permission; then the same in another order.
	scopes := []string{"users:read", "chat:write", "commands", "im:history", "reactions:write"}
	more := changed(t, moved, scopes, "oauth_config", "scopes", "bot")
	if a := update(more); a["permissions_updated"] != true {
		t.Errorf("one more permission: %v", a)
	}
	slices.Reverse(scopes)
	if a := update(changed(t, more, scopes, "oauth_config", "scopes", "bot")); a["permissions_updated"] != false {
		t.Errorf("the same permissions: %v", a)
	}

	// Socket Mode takes the addresses away; back over HTTP they have to be verified again.
	sockets := changed(t, more, map[string]any{"bot_events": []string{"message.im"}}, "settings", "event_subscriptions")
	update(changed(t, sockets, true, "settings", "socket_mode_enabled"))
	if a := w.Sim.App(); !a.SocketMode || a.EventsURL != "" {
		t.Errorf("over sockets: %+v", a)
	}
	update(more)
	if !w.Sim.App().EventsUnverified {
		t.Error("an address that was away needs no challenge")
	}

	// What is left out is off, except for the color.
	least := `{"display_information":{"name":"Greeter"},"settings":{"token_rotation_enabled":true}}`
	update(least)
	a := w.Sim.App()
	if a.HomeTab || len(a.Commands)+len(a.Events)+len(a.BotScopes) > 0 || !a.NoInteractivity || a.Color != "#4a154b" {
		t.Errorf("after the least manifest: %+v", a)
	}

	w.Call("apps.manifest.delete", pair.Token, "app_id", id)
	w.WantError("apps.manifest.export", pair.Token, "app_not_found", "app_id", id)
	if w.Sim.App().ID != "" {
		t.Errorf("deleted, and %+v is there", w.Sim.App())
	}
	w.WantBreaches()
}

// What is exported is what was put in, with what was changed on Slack's pages since.
func TestManifestExport(t *testing.T) {
	t.Parallel()
	w, pair, manifest := manifested(t)
	id := w.Call("apps.manifest.create", pair.Token, "manifest", manifest).Str("app_id")
	export := func() map[string]any {
		t.Helper()
		a := w.Call("apps.manifest.export", pair.Token, "app_id", id)
		doc, is := a["manifest"].(map[string]any)
		if !is {
			t.Fatalf("export: %v", a)
		}
		return doc
	}
	var want map[string]any
	_ = json.Unmarshal([]byte(manifest), &want)
	want["settings"].(map[string]any)["org_deploy_enabled"] = false
	want["settings"].(map[string]any)["socket_mode_enabled"] = false
	if d := cmp.Diff(want, export()); d != "" {
		t.Errorf("exported otherwise than put in:\n%s", d)
	}

	w.Sim.SetApp(func(a *slacksim.App) {
		a.RedirectURLs, a.Events, a.Commands = nil, append(a.Events, "app_home_opened"), nil
	})
	got := answer(export())
	if _, there := got["oauth_config"].(map[string]any)["redirect_urls"]; there {
		t.Errorf("still has redirect URLs: %v", got)
	}
	if got.Str("settings", "siws_links", "initiate_uri") == "" {
		t.Errorf("lost what this Slack only keeps: %v", got)
	}
	events := got["settings"].(map[string]any)["event_subscriptions"].(map[string]any)["bot_events"]
	if d := cmp.Diff([]any{"message.im", "app_home_opened"}, events); d != "" {
		t.Error(d)
	}

	// The app of a Sim that was set up by hand has a manifest that Slack takes.
	byHand := newWorld(t)
	pair, err := byHand.Sim.Settings.Generate(slacksim.AcmeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	byHand.Sim.SetApp(func(a *slacksim.App) { a.BotScopes = strings.Split(botScopes+",groups:history", ",") })
	doc, _ := json.Marshal(byHand.Call("apps.manifest.export", pair.Token, "app_id", "A0SWITCH01")["manifest"])
	if a := byHand.Call("apps.manifest.validate", pair.Token, "manifest", string(doc)); a["ok"] != true {
		t.Errorf("%s\nvalidated: %v", doc, a)
	}
}

// Every rule of a manifest, broken, is told with its place.
func TestManifestRefused(t *testing.T) {
	t.Parallel()
	w, pair, manifest := manifested(t)
	for _, x := range []struct {
		pointer string
		v       any
		path    []string
	}{
		{"/display_information/name", strings.Repeat("n", 36), []string{"display_information", "name"}},
		{"/display_information/name", 7, []string{"display_information", "name"}},
		{"/display_information/background_color", "#12345", []string{"display_information", "background_color"}},
		{"/display_information", map[string]any{}, []string{"display_information"}},
		{"/settings/no_such_thing", true, []string{"settings", "no_such_thing"}},
		{"/settings/event_subscriptions", map[string]any{"bot_events": []string{"message.im"}},
			[]string{"settings", "event_subscriptions"}},
		{"/settings/event_subscriptions/bot_events/0", []string{"message.channels"},
			[]string{"settings", "event_subscriptions", "bot_events"}},
		{"/settings/event_subscriptions/bot_events/1", []string{"message.im", "message.im"},
			[]string{"settings", "event_subscriptions", "bot_events"}},
		{"/settings/interactivity", map[string]any{"is_enabled": true}, []string{"settings", "interactivity"}},
		{"/settings/interactivity/request_url", "ftp://x", []string{"settings", "interactivity", "request_url"}},
		{"/features/slash_commands/0", []any{map[string]any{"command": "/x", "description": "d"}},
			[]string{"features", "slash_commands"}},
		{"/features/shortcuts/0/type", []any{map[string]any{"name": "n", "type": "odd", "callback_id": "c",
			"description": "d"}}, []string{"features", "shortcuts"}},
		{"/features/unfurl_domains", []string{"a.b", "b.b", "c.b", "d.b", "e.b", "f.b"},
			[]string{"features", "unfurl_domains"}},
		{"/oauth_config/scopes/bot/0", []string{"no:scope", "im:history", "users:read"},
			[]string{"oauth_config", "scopes", "bot"}},
		{"/oauth_config/scopes/bot_optional/0", []string{"files:read"},
			[]string{"oauth_config", "scopes", "bot_optional"}},
		{"/features", map[string]any{}, []string{"features"}},
		{"/functions/open", map[string]any{"open": map[string]any{"title": "Open"}}, []string{"functions"}},
	} {
		a := w.WantError("apps.manifest.validate", pair.Token, "invalid_manifest", "manifest",
			changed(t, manifest, x.v, x.path...))
		errors, _ := a["errors"].([]any)
		if !slices.ContainsFunc(errors, func(e any) bool {
			m := e.(map[string]any)
			return m["pointer"] == x.pointer && m["message"] != ""
		}) {
			t.Errorf("%v = %v: no error at %s in %v", x.path, x.v, x.pointer, errors)
		}
	}
	w.WantError("apps.manifest.validate", pair.Token, "invalid_manifest", "manifest", "[]")
	w.WantError("apps.manifest.validate", pair.Token, "invalid_arguments")

	// Rotation can't be turned off again, and a refused manifest changes nothing.
	id := w.Call("apps.manifest.create", pair.Token, "manifest", manifest).Str("app_id")
	steady := changed(t, manifest, false, "settings", "token_rotation_enabled")
	for _, method := range []string{"apps.manifest.validate", "apps.manifest.update"} {
		w.WantError(method, pair.Token, "invalid_manifest", "app_id", id, "manifest", steady)
	}
	if a := w.Call("apps.manifest.validate", pair.Token, "manifest", steady); a["ok"] != true {
		t.Errorf("as a new app's: %v", a)
	}
	if !w.Sim.App().TokenRotation {
		t.Error("rotation is off")
	}
	for method, code := range map[string]string{"apps.manifest.update": "invalid_app_id",
		"apps.manifest.export": "app_not_found", "apps.manifest.delete": "app_not_found"} {
		w.WantError(method, pair.Token, code, "app_id", "A0NOBODYS1", "manifest", manifest)
		w.WantError(method, pair.Token, "invalid_app_id", "app_id", "nonsense", "manifest", manifest)
		w.WantError(method, pair.Token, "invalid_arguments", "manifest", manifest)
	}
}

// Configuration tokens live 12 hours, are renewed by a token that works once, and open nothing else.
func TestConfigTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *slacksim.Config) { c.App.AppToken = "xapp-1-A0SWITCH01-2-abc" })
	pair, err := w.Sim.Settings.Generate(slacksim.AcmeMember)
	if err != nil || !strings.HasPrefix(pair.Token, "xoxe.xoxp-") || !strings.HasPrefix(pair.RefreshToken, "xoxe-") {
		t.Fatalf("generated %+v, %v", pair, err)
	}
	bot := w.Install(slacksim.AcmeAdmin)
	export := func(token, code string) {
		t.Helper()
		w.WantError("apps.manifest.export", token, code, "app_id", "A0SWITCH01")
	}
	export(pair.Token, "")
	export("", "not_authed")
	export(bot, "not_allowed_token_type")
	export("xapp-1-A0SWITCH01-2-abc", "not_allowed_token_type")
	export(pair.RefreshToken, "not_allowed_token_type")
	export(pair.Token+"x", "invalid_auth")
	w.WantError("auth.teams.list", pair.Token, "not_allowed_token_type")
	w.WantError("apps.connections.open", pair.Token, "not_allowed_token_type")

	w.Clock.Advance(12*time.Hour - time.Second)
	export(pair.Token, "")
	w.Clock.Advance(time.Second)
	export(pair.Token, "token_expired")

	next := w.Call("tooling.tokens.rotate", "", "refresh_token", pair.RefreshToken)
	if next["ok"] != true || next.Str("user_id") != slacksim.AcmeMember || next.Str("team_id") != slacksim.Acme ||
		next["exp"].(float64)-next["iat"].(float64) != 12*3600 {
		t.Fatalf("rotated: %v", next)
	}
	export(next.Str("token"), "")
	w.WantError("tooling.tokens.rotate", "", "invalid_refresh_token", "refresh_token", pair.RefreshToken)
	w.WantError("tooling.tokens.rotate", "", "invalid_refresh_token", "refresh_token", "xoxe-1-other")
	w.WantError("tooling.tokens.rotate", "", "invalid_arguments")
	w.WantBreaches(slacksim.RuleRefreshReused)

	for _, who := range []string{"U0NOBODY01", w.Sim.AddUser(slacksim.User{TeamID: slacksim.Acme, Guest: true}).ID} {
		if _, err := w.Sim.Settings.Generate(who); err == nil {
			t.Errorf("%s got configuration tokens", who)
		}
	}
	for _, secret := range []string{pair.Token, pair.RefreshToken, next.Str("token"), next.Str("refresh_token")} {
		if !slices.Contains(w.Sim.Secrets(), secret) {
			t.Error("a configuration token isn't among the secrets")
		}
	}
}
