package slacksim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

func (w *world) command(line string) slacksim.CommandReply {
	w.T.Helper()
	r, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, line)
	if err != nil {
		w.T.Fatal(err)
	}
	return r
}

func TestCommandForm(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	w.command("/connection  tell @Leon Okafor & #general <x>")
	f := w.Bot.Last(t).Form
	for k, want := range map[string]string{
		"command": "/connection", "text": "tell <@U0ACMELEON|leon> &amp; <#C0ACMEGENE|general> &lt;x&gt;",
		"team_id":     slacksim.Acme,
		"team_domain": "acme-corp", "channel_id": slacksim.AcmeGeneral, "channel_name": "general",
		"user_id":    slacksim.AcmeAdmin,
		"api_app_id": "A0SWITCH01", "is_enterprise_install": "false", "enterprise_id": "",
	} {
		if f.Get(k) != want {
			t.Errorf("%s = %q, want %q", k, f.Get(k), want)
		}
	}
	if !strings.HasPrefix(f.Get("response_url"), w.Sim.URL()+"/hooks/") || f.Get("trigger_id") == "" {
		t.Errorf("form %v", f)
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.Commands[0].ShouldEscape = false })
	w.command("/connection tell @leon")
	if got := w.Bot.Last(t).Form.Get("text"); got != "tell @leon" {
		t.Errorf("unescaped text %q", got)
	}
	w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "/connection")
	if got := w.Bot.Last(t).Form.Get("channel_name"); got != "directmessage" {
		t.Errorf("channel_name %q", got)
	}
}

func TestCommandReplies(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) { c.AckTimeout = 60 * time.Millisecond })
	w.Install(slacksim.AcmeAdmin)
	if r := w.command("/connection"); r.Text != "" || r.Message.TS != "" {
		t.Errorf("an empty reply showed %+v", r)
	}
	w.Bot.Reply(jsonReply(`{"text":"for you"}`))
	if r := w.command("/connection"); !r.Message.Ephemeral || r.Message.EphemeralTo != slacksim.AcmeAdmin ||
		r.Text != "for you" {
		t.Errorf("%+v", r)
	}
	w.Bot.Reply(jsonReply(`{"text":"for all","response_type":"in_channel"}`))
	if r := w.command("/connection"); r.Message.Ephemeral {
		t.Errorf("%+v", r)
	}
	w.WantBreaches()
	w.Bot.Reply(status(500))
	if r := w.command("/connection"); !strings.Contains(r.Shown, "http_service_error") ||
		r.Message.User != slacksim.Slackbot {
		t.Errorf("%+v", r)
	}
	w.WantBreaches(slacksim.RuleCommandStatus)
	w.Bot.Reply(jsonReply(`{"text":"t","blocks":[{"type":"section"}]}`))
	if r := w.command("/connection"); !strings.Contains(r.Shown, "invalid_blocks") {
		t.Errorf("%+v", r)
	}
	w.Bot.Reply(jsonReply(`{oops`))
	if r := w.command("/connection"); !strings.Contains(r.Shown, "invalid_command_response") {
		t.Errorf("%+v", r)
	}
	w.Bot.Reply(func(rw http.ResponseWriter, _ *http.Request, _ request) { fmt.Fprint(rw, `{"text":"raw"}`) })
	if r := w.command("/connection"); r.Text != `{"text":"raw"}` {
		t.Errorf("%+v", r)
	}
	w.WantBreaches(slacksim.RuleCommandStatus, slacksim.RuleCommandBody, slacksim.RuleCommandBody,
		slacksim.RuleCommandBody)
	w.Bot.Reply(func(_ http.ResponseWriter, r *http.Request, _ request) { <-r.Context().Done() })
	if r := w.command("/connection"); !strings.Contains(r.Shown, "operation_timeout") || r.Err != "http_timeout" {
		t.Errorf("%+v", r)
	}
	if b := w.Sim.Breaches(); b[len(b)-1].Rule != slacksim.RuleLateAck {
		t.Errorf("breaches %v", b)
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.CommandsURL = "http://127.0.0.1:1/" })
	if r := w.command("/connection"); !strings.Contains(r.Shown, "did not respond") {
		t.Errorf("%+v", r)
	}
	if _, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/nope"); err == nil {
		t.Error("an unknown command was sent")
	}
	if _, err := w.Sim.Command(w.Ctx, slacksim.BirchAdmin, slacksim.BirchGeneral, "/connection"); err == nil {
		t.Error("a command without installation was sent")
	}
}

func TestResponseURL(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	w.Bot.Reply(jsonReply(`{"text":"Checking"}`))
	w.command("/connection")
	hook := w.Bot.Last(t).Form.Get("response_url")
	if code, body := post(t, hook, `{"text":"Done","replace_original":true}`); code != 200 ||
		!strings.Contains(body, `"ok":true`) {
		t.Errorf("%d %s", code, body)
	}
	visible := func() (out []string) {
		for _, m := range w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeAdmin) {
			if !m.Deleted {
				out = append(out, m.Text)
			}
		}
		return out
	}
	if got := visible(); len(got) != 1 || got[0] != "Done" {
		t.Errorf("replace_original: %v", got)
	}
	post(t, hook, `{"text":"For all","response_type":"in_channel"}`)
	if got := w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember); len(got) != 1 || got[0].Text != "For all" {
		t.Errorf("in_channel: %v", got)
	}
	post(t, hook, `{"delete_original":true}`)
	if got := visible(); len(got) != 1 {
		t.Errorf("delete_original: %v", got)
	}
	if code, body := post(t, hook, `{"text":"t","blocks":[{"type":"section"}]}`); code != 400 ||
		!strings.Contains(body, "invalid_blocks") {
		t.Errorf("%d %s", code, body)
	}
	w.WantBreaches(slacksim.RuleHookBody)
	post(t, hook, `{"text":"fifth"}`)
	if code, body := post(t, hook, `{"text":"sixth"}`); code != 404 || !strings.Contains(body, "used_url") {
		t.Errorf("a sixth use: %d %s", code, body)
	}
	w.WantBreaches(slacksim.RuleHookBody, slacksim.RuleHookOverused)
	w.command("/connection")
	hook = w.Bot.Last(t).Form.Get("response_url")
	w.Clock.Advance(30*time.Minute - time.Second)
	if code, _ := post(t, hook, `{"text":"in time"}`); code != 200 {
		t.Error("within 30 minutes")
	}
	w.Clock.Advance(time.Second)
	if code, body := post(t, hook, `{"text":"late"}`); code != 404 || !strings.Contains(body, "expired_url") {
		t.Errorf("after 30 minutes: %d %s", code, body)
	}
	w.WantBreaches(slacksim.RuleHookBody, slacksim.RuleHookOverused, slacksim.RuleHookExpired)
	if code, _ := post(t, hook+"x", `{"text":"x"}`); code != 404 {
		t.Error("an unknown URL was taken")
	}
	w.command("/connection")
	hook = w.Bot.Last(t).Form.Get("response_url")
	w.Sim.Inject(slacksim.Fault{Method: "response_url", Times: 1, Status: 502})
	if code, _ := post(t, hook, `{"text":"x"}`); code != 502 {
		t.Error("the fault did not hit the response_url")
	}
	w.Sim.Admins.Uninstall(w.Ctx, slacksim.Acme, slacksim.NoUninstallEvents)
	if code, _ := post(t, hook, `{"text":"x"}`); code != 404 {
		t.Error("after the uninstall")
	}
	if b := w.Sim.Breaches(); b[len(b)-1].Rule != slacksim.RuleUninstalledHook {
		t.Error(b)
	}
	if n := len(w.Sim.Calls("response_url")); n != 11 {
		t.Errorf("%d recorded posts", n)
	}
}

func TestCommandAnswersStay(t *testing.T) {
	for _, stay := range []bool{false, true} {
		w := newWorld(t)
		w.Sim.SetApp(func(a *slacksim.App) { a.CommandAnswersStay = stay })
		w.Install(slacksim.AcmeAdmin)
		visible := func(user string) string {
			var out []string
			for _, m := range w.Sim.Messages(slacksim.AcmeGeneral, user) {
				if !m.Deleted {
					out = append(out, m.Text)
				}
			}
			return strings.Join(out, "|")
		}
		want := func(user, replaced, stays string) {
			t.Helper()
			if stay {
				replaced = stays
			}
			if got := visible(user); got != replaced {
				t.Errorf("stay %v: %s sees %q, want %q", stay, user, got, replaced)
			}
		}
		w.Bot.Reply(jsonReply(`{"text":"Checking","blocks":` + twoButtons + `}`))
		first := w.command("/connection").Message.TS
		hook := w.Bot.Last(t).Form.Get("response_url")
		w.Bot.Reply(nil)

		// The hook of a button in the answer replaces it under either reading.
		if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, first, "go"); err != nil {
			t.Fatal(err)
		}
		post(t, answer(w.Bot.Last(t).Outer).Str("response_url"), `{"text":"Pressed","replace_original":true}`)
		want(slacksim.AcmeAdmin, "Pressed", "Pressed")

		post(t, hook, `{"text":"Done","replace_original":true}`)
		want(slacksim.AcmeAdmin, "Done", "Pressed|Done")
		post(t, hook, `{"text":"For all","response_type":"in_channel","replace_original":true}`)
		want(slacksim.AcmeAdmin, "For all", "Pressed|Done|For all")
		want(slacksim.AcmeMember, "", "For all") // a replaced answer stays with the one who reads it
		post(t, hook, `{"delete_original":true}`)
		want(slacksim.AcmeAdmin, "", "Pressed|Done|For all")
		w.WantBreaches()
	}
}

func TestPress(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	a := w.Call("chat.postMessage", tok, "channel", dm, "text", "t", "blocks", twoButtons)
	w.Settled()
	if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, a.Str("ts"), "go"); err != nil {
		t.Fatal(err)
	}
	p := answer(w.Bot.Last(t).Outer)
	act := p["actions"].([]any)[0].(map[string]any)
	if p.Str("type") != "block_actions" || act["value"] != "v1" || act["block_id"] != "acts" ||
		p.Str("container", "message_ts") != a.Str("ts") ||
		p.Str("user", "id") != slacksim.AcmeAdmin || p.Str("team", "id") != slacksim.Acme || p.Str("message", "text") != "t" {
		t.Errorf("payload %v", p)
	}
	if code, _ := post(t, p.Str("response_url"), `{"text":"Replaced","replace_original":true}`); code != 200 {
		t.Error(code)
	}
	if m := w.Sim.Messages(dm, slacksim.AcmeAdmin)[0]; m.Text != "Replaced" || m.Blocks != nil {
		t.Errorf("message %+v", m)
	}
	if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, a.Str("ts"), "go"); err == nil {
		t.Error("a button that is gone was pressed")
	}
	b := w.Call("chat.postMessage", tok, "channel", dm, "text", "t", "blocks", twoButtons)
	w.Settled()
	if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, b.Str("ts"), "pick", "2"); err != nil {
		t.Fatal(err)
	}
	p = answer(w.Bot.Last(t).Outer)
	act = p["actions"].([]any)[0].(map[string]any)
	if answer(act).Str("selected_option", "value") != "2" {
		t.Errorf("menu %v", act)
	}
	if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeMember, dm, b.Str("ts"), "go"); err == nil {
		t.Error("another person pressed a button in this DM")
	}
	w.Bot.Reply(status(500))
	ack, _ := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, b.Str("ts"), "go")
	if ack.Shown == "" {
		t.Error("the person sees nothing of the failure")
	}
	w.WantBreaches(slacksim.RuleActionStatus)
}

func TestTriggerIDs(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	other := w.Install(slacksim.BirchAdmin)
	trigger := func() string {
		w.command("/connection")
		return w.Bot.Last(t).Form.Get("trigger_id")
	}
	view := modal("A", nameInput)
	id := trigger()
	w.WantError("views.open", tok, "invalid_arguments", "trigger_id", id, "view", `{"type":"modal"}`)
	w.WantError("views.open", other, "invalid_trigger_id", "trigger_id", id, "view", view)
	if a := w.Call("views.open", tok, "trigger_id", id, "view", view); a.Str("view", "callback_id") != "cb" ||
		a.Str("view", "hash") == "" {
		t.Fatal(a)
	}
	w.WantError("views.open", tok, "exchanged_trigger_id", "trigger_id", id, "view", view)
	named := strings.Replace(view, `"callback_id"`, `"external_id":"mine","callback_id"`, 1)
	w.Call("views.open", tok, "trigger_id", trigger(), "view", named)
	w.WantError("views.open", tok, "duplicate_external_id", "trigger_id", trigger(), "view", named)
	id = trigger()
	w.Clock.Advance(3 * time.Second)
	w.WantError("views.open", tok, "expired_trigger_id", "trigger_id", id, "view", view)
	w.WantError("views.open", tok, "invalid_trigger_id", "trigger_id", "x", "view", view)
	w.WantError("views.open", tok, "view_too_large", "trigger_id", trigger(),
		"view", modal("A", `[]`)+strings.Repeat(" ", 250_000))
	w.WantError("views.open", tok, "invalid_arguments", "trigger_id", trigger(),
		"view", modal(strings.Repeat("t", 25), nameInput))
	w.WantError("views.open", tok, "invalid_arguments", "trigger_id", trigger(),
		"view", strings.Replace(view, `"submit":{"type":"plain_text","text":"Save"},`, "", 1))
}

func TestViewSubmission(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	open := func() string {
		t.Helper()
		w.Bot.Reply(nil)
		w.command("/connection")
		return w.Call("views.open", tok, "trigger_id", w.Bot.Last(t).Form.Get("trigger_id"),
			"view", modal("A", nameInput)).Str("view", "id")
	}
	submit := func(id, reply string) slacksim.Ack {
		t.Helper()
		w.Bot.Reply(jsonReply(reply))
		ack, err := w.Sim.SubmitView(w.Ctx, slacksim.AcmeAdmin, id, map[string]map[string]string{"n": {"name": "Zed"}})
		if err != nil {
			t.Fatal(err)
		}
		return ack
	}
	id := open()
	if ack, _ := w.Sim.SubmitView(w.Ctx, slacksim.AcmeAdmin, id, nil); ack.Err != "incomplete" ||
		w.Sim.OpenViews(slacksim.AcmeAdmin)[0].Errors["n"] == "" {
		t.Error("an empty required field was sent")
	}
	submit(id, ``)
	p := answer(w.Bot.Last(t).Outer)
	if p.Str("type") != "view_submission" || p.Str("view", "state", "values", "n", "name", "value") != "Zed" ||
		p.Str("view", "id") != id || p.Str("view", "app_installed_team_id") != slacksim.Acme {
		t.Errorf("payload %v", p)
	}
	if len(w.Sim.OpenViews(slacksim.AcmeAdmin)) != 0 {
		t.Error("an empty body did not close the view")
	}
	id = open()
	submit(id, `{"response_action":"errors","errors":{"n":"taken"}}`)
	if v := w.Sim.OpenViews(slacksim.AcmeAdmin); len(v) != 1 || v[0].Errors["n"] != "taken" {
		t.Errorf("errors: %+v", v)
	}
	submit(id, `{"response_action":"update","view":`+modal("B", nameInput)+`}`)
	if v := w.Sim.OpenViews(slacksim.AcmeAdmin); v[0].Title != "B" || v[0].ID != id || v[0].Errors != nil {
		t.Errorf("update: %+v", v)
	}
	submit(id, `{"response_action":"push","view":`+modal("C", nameInput)+`}`)
	v := w.Sim.OpenViews(slacksim.AcmeAdmin)
	if len(v) != 2 || v[1].Title != "C" || v[1].PreviousViewID != id || v[1].RootViewID != id {
		t.Errorf("push: %+v", v)
	}
	w.WantBreaches()
	for _, bad := range []string{`ok`, `{"foo":1}`, `{"response_action":"errors","errors":{"zzz":"no such block"}}`,
		`{"response_action":"errors"}`, `{"response_action":"dance"}`, `{"response_action":"update","view":{}}`} {
		before := len(w.Sim.Breaches())
		if ack := submit(v[1].ID, bad); ack.Shown == "" || len(w.Sim.Breaches()) != before+1 ||
			w.Sim.Breaches()[before].Rule != slacksim.RuleViewAck {
			t.Errorf("%s was taken: %+v", bad, ack)
		}
	}
	submit(v[1].ID, `{"response_action":"clear"}`)
	if len(w.Sim.OpenViews(slacksim.AcmeAdmin)) != 0 {
		t.Error("clear")
	}
	id = open()
	if _, err := w.Sim.CloseView(w.Ctx, slacksim.AcmeAdmin, id, false); err != nil {
		t.Fatal(err)
	}
	if p := w.Bot.Last(t).Outer; p["type"] != "view_closed" || p["is_cleared"] != false {
		t.Errorf("closed %v", p)
	}
}

func TestViewUpdateAndPush(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	trigger := func() string { w.command("/connection"); return w.Bot.Last(t).Form.Get("trigger_id") }
	button := `[{"type":"actions","elements":[{"type":"button","action_id":"more","text":{"type":"plain_text","text":"More"}}]}]`
	a := w.Call("views.open", tok, "trigger_id", trigger(), "view", modal("A", button))
	id := a.Str("view", "id")
	w.WantError("views.update", tok, "hash_conflict", "view_id", id, "hash", "stale", "view", modal("B", button))
	b := w.Call("views.update", tok, "view_id", id, "hash", a.Str("view", "hash"), "view", modal("B", button))
	if b.Str("view", "id") != id || b.Str("view", "hash") == a.Str("view", "hash") {
		t.Error(b)
	}
	w.WantError("views.update", tok, "not_found", "view_id", "V0", "view", modal("B", button))
	for range 2 {
		if _, err := w.Sim.Forms.PressInView(w.Ctx, slacksim.AcmeAdmin, w.Sim.OpenViews(slacksim.AcmeAdmin)[0].ID,
			slacksim.Form{ActionID: "more"}); err != nil {
			t.Fatal(err)
		}
		if c := w.Call("views.push", tok, "trigger_id", w.Bot.Last(t).Outer["trigger_id"].(string),
			"view", modal("P", button)); c["ok"] != true {
			t.Error(c)
		}
	}
	w.Sim.Forms.PressInView(w.Ctx, slacksim.AcmeAdmin, id, slacksim.Form{ActionID: "more"})
	w.WantError("views.push", tok, "push_limit_reached", "trigger_id", w.Bot.Last(t).Outer["trigger_id"].(string),
		"view", modal("P", button))
}

func TestHome(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	home := `{"type":"home","blocks":` + twoButtons + `}`
	if err := w.Sim.OpenHome(w.Ctx, slacksim.AcmeAdmin, "home"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if e := w.Bot.Last(t).Event; e["type"] != "app_home_opened" || e["tab"] != "home" || e["view"] != nil ||
		e["channel"] != w.Sim.DM(slacksim.AcmeAdmin) {
		t.Errorf("first opening %v", e)
	}
	a := w.Call("views.publish", tok, "user_id", slacksim.AcmeAdmin, "view", home)
	w.WantError("views.publish", tok, "hash_conflict", "user_id", slacksim.AcmeAdmin, "hash", "stale", "view", home)
	if b := w.Call("views.publish", tok, "user_id", slacksim.AcmeAdmin, "hash", a.Str("view", "hash"),
		"view", home); b["ok"] != true {
		t.Error(b)
	}
	w.WantError("views.publish", tok, "user_not_found", "user_id", slacksim.BirchAdmin, "view", home)
	w.WantError("views.publish", tok, "invalid_arguments", "user_id", slacksim.AcmeAdmin, "view", modal("A", nameInput))
	w.Sim.OpenHome(w.Ctx, slacksim.AcmeAdmin, "home")
	w.Settled()
	if e := w.Bot.Last(t).Event; e["view"] == nil {
		t.Error("the published view does not come along")
	}
	if _, err := w.Sim.PressHome(w.Ctx, slacksim.AcmeAdmin, "go"); err != nil {
		t.Fatal(err)
	}
	if p := w.Bot.Last(t).Outer; p["channel"] != nil || p["response_url"] != nil ||
		answer(p).Str("view", "type") != "home" {
		t.Errorf("payload %v", p)
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.HomeTab = false })
	w.WantError("views.publish", tok, "not_enabled", "user_id", slacksim.AcmeAdmin, "view", home)
}

// A modal's menu of conversations can bring a response_url for what is chosen in it.
func TestSubmissionWithResponseURLs(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	menu := func(block, kind string, enabled bool) string {
		return fmt.Sprintf(`{"type":"input","optional":true,"block_id":%q,"label":{"type":"plain_text","text":"To"},
			"element":{"type":%q,"action_id":"conv","response_url_enabled":%v}}`, block, kind, enabled)
	}
	blocks := "[" + menu("to", "conversations_select", true) + "," + menu("also", "channels_select", true) + "," +
		menu("empty", "channels_select", true) + "," + menu("plain", "channels_select", false) + "]"
	submit := func() answer {
		w.command("/connection")
		a := w.Call("views.open", tok, "trigger_id", w.Bot.Last(t).Form.Get("trigger_id"), "view", modal("A", blocks))
		values := map[string]map[string]string{"to": {"conv": slacksim.AcmeGeneral}, "also": {"conv": slacksim.AcmeRandom},
			"plain": {"conv": slacksim.AcmeRandom}}
		if _, err := w.Sim.SubmitView(w.Ctx, slacksim.AcmeAdmin, a.Str("view", "id"), values); err != nil {
			t.Fatal(err)
		}
		return w.Bot.Last(t).Outer
	}
	p := submit()
	urls, _ := p["response_urls"].([]any)
	if len(urls) != 2 || p["view"].(map[string]any)["response_urls"] != nil {
		t.Fatalf("payload %v", p)
	}
	to := answer(urls[0].(map[string]any))
	if to.Str("block_id") != "to" || to.Str("action_id") != "conv" || to.Str("channel_id") != slacksim.AcmeGeneral ||
		answer(p["view"].(map[string]any)).Str("app_installed_team_id") != slacksim.Acme {
		t.Errorf("%v", p)
	}
	res, err := http.Post(to.Str("response_url"), "application/json",
		strings.NewReader(`{"response_type":"in_channel","text":"From the form"}`))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("response_url: %v %v", res, err)
	}
	res.Body.Close()
	all := w.Sim.Messages(slacksim.AcmeGeneral, "")
	if m := all[len(all)-1]; m.Text != "From the form" || m.Ephemeral {
		t.Errorf("posted %+v", m)
	}

	w.Sim.SetApp(func(a *slacksim.App) { a.ResponseURLsInView = true })
	p = submit()
	if l, _ := p["view"].(map[string]any)["response_urls"].([]any); len(l) != 2 || p["response_urls"] != nil {
		t.Errorf("in the view: %v", p)
	}
}

func TestViewStackLimit(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	w.command("/connection")
	w.Call("views.open", tok, "trigger_id", w.Bot.Last(t).Form.Get("trigger_id"), "view", modal("A", nameInput))
	push := func(view string) slacksim.Ack {
		t.Helper()
		w.Bot.Reply(jsonReply(`{"response_action":"push","view":` + view + `}`))
		open := w.Sim.OpenViews(slacksim.AcmeAdmin)
		ack, err := w.Sim.SubmitView(w.Ctx, slacksim.AcmeAdmin, open[len(open)-1].ID,
			map[string]map[string]string{"n": {"name": "x"}})
		if err != nil {
			t.Fatal(err)
		}
		return ack
	}
	named := strings.Replace(modal("B", nameInput), `"callback_id"`, `"external_id":"mine","callback_id"`, 1)
	push(named)
	w.WantBreaches()
	if ack := push(named); ack.Shown == "" {
		t.Errorf("an external_id twice: %+v", ack)
	}
	push(modal("C", nameInput))
	w.WantBreaches(slacksim.RuleViewAck)
	if ack := push(modal("D", nameInput)); ack.Shown == "" || len(w.Sim.OpenViews(slacksim.AcmeAdmin)) != 3 {
		t.Errorf("a fourth: %+v", ack)
	}
	w.WantBreaches(slacksim.RuleViewAck, slacksim.RuleViewAck)
	w.Bot.Reply(jsonReply(`{"response_action":"clear"}`))
	top := w.Sim.OpenViews(slacksim.AcmeAdmin)[2]
	if _, err := w.Sim.SubmitView(w.Ctx, slacksim.AcmeAdmin, top.ID,
		map[string]map[string]string{"n": {"name": "x"}}); err != nil || len(w.Sim.OpenViews(slacksim.AcmeAdmin)) != 0 {
		t.Errorf("clear leaves %v, %v", w.Sim.OpenViews(slacksim.AcmeAdmin), err)
	}
}
