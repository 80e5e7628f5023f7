package slacksim_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

const gridOne, gridTwo, gridAdmin, gridGeneral = "T0GRIDONE1", "T0GRIDTWO1", "U0GRIDGIA1", "C0GRIDONEG"

// newGrid is a world with an organisation of two workspaces; the app is installed for it, in Acme, and in Birch.
func newGrid(t *testing.T) (w *world, org, acme, birch string) {
	t.Helper()
	w = newWorld(t, func(c *slacksim.Config) {
		c.App.OrgReady, c.App.AppToken = true, "xapp-1-A0SWITCH01-1-secret"
		c.App.Events = append(c.App.Events, "grid_migration_started", "grid_migration_finished", "channel_id_changed")
	})
	for _, id := range []string{gridOne, gridTwo} {
		w.Sim.AddWorkspace(slacksim.Workspace{ID: id, Name: id, EnterpriseID: "E0GRID0001", EnterpriseName: "Grid Inc"})
	}
	w.Sim.AddUser(slacksim.User{ID: gridAdmin, TeamID: gridOne, Name: "gia", Admin: true})
	w.Sim.AddChannel(slacksim.Channel{ID: gridGeneral, TeamID: gridOne, Name: "general", Members: []string{gridAdmin}})
	back, err := w.Sim.Authorize(w.Ctx, w.AuthorizeURL(botScopes+",channels:read"), gridAdmin, slacksim.Choice{Org: true})
	if err != nil {
		t.Fatal(err)
	}
	org = w.Exchange(codeOf(t, back)).Str("access_token")
	if err := w.Sim.Admins.GrantTeam(w.Ctx, gridOne); err != nil {
		t.Fatal(err)
	}
	return w, org, w.Install(slacksim.AcmeAdmin, botScopes+",channels:read"),
		w.Install(slacksim.BirchAdmin, botScopes+",channels:read")
}

// A token that reaches for what another installation can see is noticed, whatever Slack answers; one that stays at
// home is not.
func TestForeignTokens(t *testing.T) {
	w, org, acme, birch := newGrid(t)
	shared := slacksim.Channel{ID: "C0SHARED01", TeamID: slacksim.Acme, Name: "shared",
		SharedWith: []string{slacksim.Birch}, Members: []string{slacksim.AcmeAdmin, slacksim.BirchAdmin}}
	for _, home := range []string{slacksim.Acme, slacksim.Birch} {
		in, _ := w.Sim.Installed(home)
		shared.Members = append(shared.Members, in.BotUserID)
	}
	w.Sim.AddChannel(shared)
	w.Call("chat.postMessage", acme, "channel", slacksim.AcmeAdmin, "text", "hi")
	w.Call("chat.postMessage", acme, "channel", shared.ID, "text", "hi")
	w.Call("chat.postMessage", birch, "channel", shared.ID, "text", "hi")
	w.Call("users.info", birch, "user", slacksim.AcmeAdmin) // seen in the shared channel
	w.Call("users.info", org, "user", gridAdmin, "team_id", gridOne)
	w.WantError("conversations.list", org, "team_access_not_granted", "team_id", gridTwo) // of the organisation, not added
	w.Call("chat.postMessage", acme, "channel", "C0NOTHERE1", "text", "hi")
	w.WantBreaches()

	const foreign = slacksim.RuleForeignToken
	w.WantError("chat.postMessage", birch, "channel_not_found", "channel", slacksim.AcmeGeneral, "text", "hi")
	w.WantError("chat.postMessage", org, "channel_not_found", "channel", slacksim.AcmeAdmin, "text", "hi")
	w.WantError("users.info", org, "user_not_visible", "user", slacksim.AcmeAdmin)
	w.WantError("conversations.open", org, "user_not_found", "users", slacksim.BirchMember)
	w.WantError("views.publish", birch, "user_not_found", "user_id", gridAdmin, "view", `{"type":"home","blocks":[]}`)
	w.WantError("conversations.list", org, "team_access_not_granted", "team_id", slacksim.Acme)
	w.WantError("team.info", acme, "team_not_found", "team", slacksim.Birch)
	w.WantBreaches(foreign, foreign, foreign, foreign, foreign, foreign, foreign)

	// Triggers and views.
	w.command("/connection") // typed by Acme's admin
	trigger := ""
	for _, d := range w.Sim.Deliveries() {
		if d.Kind == "command" {
			trigger = formOf(t, d.Body).Get("trigger_id")
		}
	}
	view := `{"type":"modal","title":{"type":"plain_text","text":"T"},"blocks":[]}`
	w.WantError("views.open", birch, "invalid_trigger_id", "trigger_id", trigger, "view", view)
	opened := w.Call("views.open", acme, "trigger_id", trigger, "view", view)
	w.WantError("views.update", birch, "not_found", "view_id", opened.Str("view", "id"), "view", view)
	w.WantBreaches(foreign, foreign, foreign, foreign, foreign, foreign, foreign, foreign, foreign)
}

func TestMigration(t *testing.T) {
	w, _, _, birch := newGrid(t)
	if err := w.Sim.Admins.StartMigration(w.Ctx, slacksim.Birch, "E0GRID0001"); err != nil {
		t.Fatal(err)
	}
	w.WantError("auth.test", birch, "org_login_required")
	w.WantError("chat.postMessage", birch, "org_login_required", "channel", slacksim.BirchAdmin, "text", "hi")
	if err := w.Sim.Admins.FinishMigration(w.Ctx, slacksim.Birch, "E0GRID0001", "Grid Inc"); err != nil {
		t.Fatal(err)
	}
	if a := w.Call("auth.test", birch); a.Str("enterprise_id") != "E0GRID0001" || a.Str("team_id") != slacksim.Birch ||
		a["is_enterprise_install"] != false {
		t.Errorf("%v", a)
	}
	w.Settled()
	for _, name := range []string{"grid_migration_started", "grid_migration_finished"} {
		if got := w.Bot.Events(name); len(got) != 1 || got[0].Event["enterprise_id"] != "E0GRID0001" {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := w.Sim.Admins.StartMigration(w.Ctx, "T0NOBODY01", "E1"); err == nil {
		t.Error("nobody's workspace is moved")
	}
	w.WantBreaches()
}

func TestChannelChangesItsID(t *testing.T) {
	w, _, acme, _ := newGrid(t)
	if err := w.Sim.Admins.ChangeChannelID(w.Ctx, slacksim.AcmeGeneral, "C0ACMENEW1"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if got := w.Bot.Events("channel_id_changed"); len(got) != 1 ||
		got[0].Event["old_channel_id"] != slacksim.AcmeGeneral || got[0].Event["new_channel_id"] != "C0ACMENEW1" {
		t.Errorf("%v", got)
	}
	w.WantError("chat.postMessage", acme, "channel_not_found", "channel", slacksim.AcmeGeneral, "text", "hi")
	if err := w.Sim.Admins.ChangeChannelID(w.Ctx, "C0ACMENEW1", slacksim.AcmeRandom); err == nil {
		t.Error("two channels of one id")
	}
}

func TestEventAuthorizations(t *testing.T) {
	w, org, acme, birch := newGrid(t)
	const method, app = "apps.event.authorizations.list", "xapp-1-A0SWITCH01-1-secret"
	shared := slacksim.Channel{ID: "C0SHARED01", TeamID: slacksim.Acme, Name: "shared",
		SharedWith: []string{slacksim.Birch, gridOne}, Members: []string{slacksim.AcmeAdmin}}
	for _, home := range []string{slacksim.Acme, slacksim.Birch, gridOne} {
		in, ok := w.Sim.Installed(home)
		if !ok {
			t.Fatal(home)
		}
		shared.Members = append(shared.Members, in.BotUserID)
	}
	w.Sim.AddChannel(shared)
	if _, err := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, shared.ID, "hello"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	events := w.Bot.Events("message")
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	context := contextOf(t, w)
	homes, cursor := map[string]bool{}, ""
	for pages := 1; ; pages++ {
		a := w.Call(method, app, "event_context", context, "limit", "2", "cursor", cursor)
		list, _ := a["authorizations"].([]any)
		for _, x := range list {
			m := x.(map[string]any)
			homes[fmt.Sprint(m["enterprise_id"], "/", m["team_id"])] = true
		}
		if cursor = a.Str("response_metadata", "next_cursor"); cursor == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if len(homes) != 3 || !homes["<nil>/"+slacksim.Acme] || !homes["E0GRID0001/<nil>"] {
		t.Errorf("%v", homes)
	}
	w.WantError(method, app, "invalid_event_context", "event_context", "4-none")
	w.WantError(method, app, "invalid_cursor", "event_context", context, "cursor", "x")
	for _, token := range []string{org, acme, birch} {
		w.WantError(method, token, "not_allowed_token_type", "event_context", context)
	}
	w.WantError(method, "", "not_authed", "event_context", context)
	w.WantBreaches()
}

func codeOf(t *testing.T, back string) string {
	t.Helper()
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("code")
}

func formOf(t *testing.T, body []byte) url.Values {
	t.Helper()
	form, err := url.ParseQuery(string(body))
	if err != nil {
		t.Fatal(err)
	}
	return form
}

// contextOf is the event_context of the newest message.
func contextOf(t *testing.T, w *world) string {
	t.Helper()
	var e struct {
		Context string `json:"event_context"`
	}
	for _, d := range w.Sim.Deliveries() {
		if d.Type == "message.channels" {
			if err := json.Unmarshal(d.Body, &e); err != nil {
				t.Fatal(err)
			}
		}
	}
	return e.Context
}
