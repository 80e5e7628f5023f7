package slacksim_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

func withFunctions(c *slacksim.Config) {
	c.App.Functions = []slacksim.Function{{CallbackID: "open_ticket", Title: "Open a ticket",
		Inputs: []slacksim.Parameter{
			{Name: "who", Title: "Who", Type: "slack#/types/user_id", Required: true},
			{Name: "count", Type: "integer"}, {Name: "loud", Type: "boolean"}, {Name: "tags", Type: "array"},
			{Name: "where", Type: "slack#/types/interactivity"},
		},
		Outputs: []slacksim.Parameter{{Name: "ticket", Type: "string", Required: true}, {Name: "weight", Type: "number"}},
	}, {CallbackID: "teams", Outputs: []slacksim.Parameter{{Name: "options", Type: "slack#/types/options_select"}}}}
}

// run starts the step, and returns the event with its token.
func (w *world) run(inputs map[string]any) (e answer, id, token string) {
	w.T.Helper()
	id, err := w.Sim.Workflows.Run(w.Ctx, slacksim.AcmeMember, "open_ticket", inputs)
	if err != nil {
		w.T.Fatal(err)
	}
	w.Settled()
	for _, r := range w.Bot.Events("function_executed") {
		if e = r.Event; e.Str("function_execution_id") == id {
			return e, id, e.Str("bot_access_token")
		}
	}
	w.T.Fatal("no function_executed")
	return nil, "", ""
}

func TestFunctionRunsAndCompletes(t *testing.T) {
	w := newWorld(t, withFunctions)
	bot := w.Install(slacksim.AcmeAdmin)
	e, id, tok := w.run(map[string]any{"who": slacksim.AcmeAdmin, "count": 3, "tags": []string{"a"}})
	in := answer(e["inputs"].(map[string]any))
	if e.Str("function", "callback_id") != "open_ticket" || e.Str("function", "app_id") != "A0SWITCH01" ||
		e.Str("function_execution_id") != id || e.Str("workflow_execution_id") == "" || e.Str("event_ts") == "" ||
		in.Str("who") != slacksim.AcmeAdmin || in["count"] != 3.0 || in["loud"] != nil ||
		in.Str("where", "interactivity_pointer") == "" || in.Str("where", "interactor", "id") != slacksim.AcmeMember ||
		in.Str("where", "interactor", "secret") == "" || !strings.HasPrefix(tok, "xwfp-") {
		t.Errorf("event %v", e)
	}
	params, _ := e["function"].(map[string]any)["input_parameters"].([]any)
	if p := answer(params[0].(map[string]any)); len(params) != 5 || p.Str("name") != "who" || p["is_required"] != true {
		t.Errorf("input_parameters %v", params)
	}
	if outer := w.Bot.Last(t).Outer; outer["team_id"] != slacksim.Acme {
		t.Errorf("envelope %v", outer)
	}
	x, ok := w.Sim.Workflows.Execution(id)
	if !ok || x.State != slacksim.ExecutionRunning || x.Token != tok || x.UserID != slacksim.AcmeMember {
		t.Errorf("%+v %v", x, ok)
	}
	if a := w.Call("auth.test", tok); a.Str("bot_id") == "" {
		t.Errorf("the token says %v", a)
	}
	// The interactivity opens a modal as a trigger_id does.
	if a := w.Call("views.open", tok, "interactivity_pointer", in.Str("where", "interactivity_pointer"),
		"view", modal("A", nameInput)); a["ok"] != true {
		t.Errorf("views.open: %v", a)
	}

	w.Clock.Advance(time.Minute)
	if a := w.Call("functions.completeSuccess", tok, "function_execution_id", id,
		"outputs", `{"ticket":"T-7","weight":1.5}`); a["ok"] != true {
		t.Fatal(a)
	}
	x, _ = w.Sim.Workflows.Execution(id)
	if x.State != slacksim.ExecutionCompleted || x.Outputs["ticket"] != "T-7" || x.Ended.Sub(x.Started) != time.Minute {
		t.Errorf("%+v", x)
	}
	w.WantBreaches()
	w.WantError("auth.test", tok, "token_expired") // it ended with the step
	w.WantError("functions.completeSuccess", bot, "execution_not_in_running_state", "function_execution_id", id,
		"outputs", `{"ticket":"T-8"}`)

	_, id, _ = w.run(map[string]any{"who": slacksim.AcmeAdmin})
	if a := w.json("functions.completeError", bot,
		`{"function_execution_id":"`+id+`","error":"No printer"}`); a["ok"] != true {
		t.Fatal(a)
	}
	x, _ = w.Sim.Workflows.Execution(id)
	if x.State != slacksim.ExecutionFailed || x.Error != "No printer" || len(w.Sim.Workflows.Executions()) != 2 {
		t.Errorf("%+v", x)
	}
	w.WantError("functions.completeError", bot, "execution_not_in_running_state", "function_execution_id", id, "error",
		"x")
}

func TestFunctionErrors(t *testing.T) {
	w := newWorld(t, withFunctions)
	run := func(user, callback string, inputs map[string]any) error {
		_, err := w.Sim.Workflows.Run(w.Ctx, user, callback, inputs)
		return err
	}
	good := map[string]any{"who": slacksim.AcmeAdmin}
	if err := run(slacksim.AcmeAdmin, "open_ticket", good); !errors.Is(err, slacksim.ErrNotInstalled) {
		t.Errorf("before the install: %v", err)
	}
	bot := w.Install(slacksim.AcmeAdmin)
	birch := w.Install(slacksim.BirchAdmin)
	for what, is := range map[string][2]error{
		"nobody":       {run("U0NOBODY", "open_ticket", good), slacksim.ErrNoUser},
		"no function":  {run(slacksim.AcmeAdmin, "other", good), slacksim.ErrNoFunction},
		"none given":   {run(slacksim.AcmeAdmin, "open_ticket", nil), slacksim.ErrInputs},
		"a wrong type": {run(slacksim.AcmeAdmin, "open_ticket", map[string]any{"who": 7}), slacksim.ErrInputs},
		"no integer": {run(slacksim.AcmeAdmin, "open_ticket", map[string]any{"who": "U", "count": 1.5}),
			slacksim.ErrInputs},
		"no boolean": {run(slacksim.AcmeAdmin, "open_ticket", map[string]any{"who": "U", "loud": "yes"}),
			slacksim.ErrInputs},
		"no list": {run(slacksim.AcmeAdmin, "open_ticket", map[string]any{"who": "U", "tags": "a"}),
			slacksim.ErrInputs},
		"no object": {run(slacksim.AcmeAdmin, "open_ticket", map[string]any{"who": "U", "where": "a"}),
			slacksim.ErrInputs},
		"one too many":  {run(slacksim.AcmeAdmin, "open_ticket", map[string]any{"who": "U", "x": 1}), slacksim.ErrInputs},
		"nothing wrong": {run(slacksim.AcmeAdmin, "open_ticket", good), nil},
	} {
		if !errors.Is(is[0], is[1]) {
			t.Errorf("%s: %v, want %v", what, is[0], is[1])
		}
	}

	_, id, tok := w.run(good)
	_, other, otherToken := w.run(good)
	const fine = `{"ticket":"T-7"}`
	success := func(token, want, id, outputs string) answer {
		t.Helper()
		return w.WantError("functions.completeSuccess", token, want, "function_execution_id", id, "outputs", outputs)
	}
	success(tok, "function_execution_not_found", "Fx0NONE", fine)
	success(birch, "access_denied", id, fine)
	success(otherToken, "access_denied", id, fine)
	w.WantError("functions.completeSuccess", tok, "invalid_arguments", "function_execution_id", id)
	w.WantError("functions.completeSuccess", tok, "invalid_arguments", "outputs", fine)
	w.WantError("functions.completeError", tok, "invalid_arguments", "function_execution_id", id)
	for _, outputs := range []string{`{}`, `{"ticket":7}`, `{"ticket":"T","weight":"1"}`, `[]`, `T-7`,
		`{"ticket":"T","x":1}`} {
		a := success(tok, "parameter_validation_failed", id, outputs)
		if meta, _ := a["response_metadata"].(map[string]any); len(meta["messages"].([]any)) != 1 {
			t.Errorf("%s: %v", outputs, a)
		}
	}
	user := w.Call("oauth.v2.access", "", "client_id", "111.222", "client_secret", "client-secret-xyz", "redirect_uri",
		"https://app.example/slack/oauth_redirect", "code",
		w.Code(slacksim.AcmeAdmin, "commands", "user_scope", "chat:write"))
	success(user.Str("authed_user", "access_token"), "not_allowed_token_type", id, fine)
	w.Sim.SetApp(func(a *slacksim.App) { a.ExtraOutputs = true })
	if a := w.Call("functions.completeSuccess", tok, "function_execution_id", id, "outputs",
		`{"ticket":"T","x":1}`); a["ok"] != true {
		t.Errorf("with another output: %v", a)
	}
	w.WantBreaches()

	// After a quarter of an hour the token is dead. The bot's own can still end the step.
	w.Clock.Advance(15*time.Minute - time.Second)
	if a := w.Call("auth.test", otherToken); a["ok"] != true {
		t.Errorf("before its end: %v", a)
	}
	w.Clock.Advance(time.Second)
	success(otherToken, "token_expired", other, fine)
	w.WantBreaches(slacksim.RuleExpiredToken)
	if a := w.Call("functions.completeSuccess", bot, "function_execution_id", other, "outputs", fine); a["ok"] != true {
		t.Errorf("with the bot's token: %v", a)
	}
	_, _, tok = w.run(good)
	if err := w.Sim.Admins.Uninstall(w.Ctx, slacksim.Acme, slacksim.OnlyUninstalled); err != nil {
		t.Fatal(err)
	}
	w.WantError("auth.test", tok, "account_inactive")
}

func TestFunctionWithOptionsEndsBeforeItsAck(t *testing.T) {
	w := newWorld(t, withFunctions)
	bot := w.Install(slacksim.AcmeAdmin)
	run := func() {
		t.Helper()
		if _, err := w.Sim.Workflows.Run(w.Ctx, slacksim.AcmeAdmin, "teams", nil); err != nil {
			t.Fatal(err)
		}
		w.Settled()
	}
	w.Bot.Reply(func(_ http.ResponseWriter, _ *http.Request, q request) {
		w.Call("functions.completeSuccess", bot, "function_execution_id", answer(q.Event).Str("function_execution_id"),
			"outputs", `{"options":{"options":[]}}`)
	})
	run()
	w.WantBreaches()
	w.Bot.Reply(nil)
	run()
	w.WantBreaches(slacksim.RuleFunctionLate)
}

// What is made with the execution's token is part of the execution.
func TestInteractionsOfAFunction(t *testing.T) {
	w := socketWorld(t, withFunctions, func(c *slacksim.Config) { c.App.Events = nil })
	bot := w.Install(slacksim.AcmeAdmin)
	p := w.connect()
	id, err := w.Sim.Workflows.Run(w.Ctx, slacksim.AcmeMember, "open_ticket", map[string]any{"who": slacksim.AcmeAdmin})
	if err != nil {
		t.Fatal(err)
	}
	e := answer(p.next("events_api").Payload["event"].(map[string]any))
	tok, dm := e.Str("bot_access_token"), w.Sim.DM(slacksim.AcmeMember)
	press := func(token string) (ts string, q answer) {
		t.Helper()
		ts = w.Call("chat.postMessage", token, "channel", dm, "text", "t", "blocks", twoButtons).Str("ts")
		w.Settled()
		if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeMember, dm, ts, "go"); err != nil {
			t.Fatal(err)
		}
		return ts, p.next("interactive").Payload
	}
	belongs := func(q answer, interactive bool) (token string) {
		t.Helper()
		token = q.Str("bot_access_token")
		_, hasToken := q["token"]
		_, hasURL := q["response_url"]
		if q.Str("function_data", "execution_id") != id ||
			q.Str("function_data", "function", "callback_id") != "open_ticket" ||
			q.Str("function_data", "inputs", "who") != slacksim.AcmeAdmin || hasToken || hasURL ||
			!strings.HasPrefix(token, "xwfp-") || token == tok ||
			(q.Str("interactivity", "interactivity_pointer") != "") != interactive ||
			(q.Str("interactivity", "interactor", "id") == slacksim.AcmeMember) != interactive {
			t.Errorf("payload %v", q)
		}
		return token
	}

	if _, q := press(bot); q["function_data"] != nil || q["bot_access_token"] != nil || q["response_url"] == nil {
		t.Errorf("with the bot's token: %v", q)
	}
	ts, q := press(tok)
	fresh := belongs(q, true)
	if x, _ := w.Sim.Workflows.Execution(id); x.Token != fresh {
		t.Errorf("the newest token is %s", x.Token)
	}
	if a := w.Call("chat.update", bot, "channel", dm, "ts", ts, "text", "t", "blocks", twoButtons); a["ok"] != true {
		t.Fatal(a)
	}
	if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeMember, dm, ts, "go"); err != nil {
		t.Fatal(err)
	}
	q = p.next("interactive").Payload
	belongs(q, true)

	a := w.Call("views.open", fresh, "interactivity_pointer", q.Str("interactivity", "interactivity_pointer"),
		"view", modal("Owners", `[{"type":"input","block_id":"who","optional":true,"label":{"type":"plain_text",
			"text":"Owners"},
		"element":{"type":"external_select","action_id":"owner","min_query_length":0}}]`))
	view := a.Str("view", "id")
	p.with(map[string]any{"options": []any{}})
	if _, err := w.Sim.Forms.SuggestInView(w.Ctx, slacksim.AcmeMember, view, typed("owner", "")); err != nil {
		t.Fatal(err)
	}
	belongs(p.next("interactive").Payload, false)
	p.with(map[string]any{"response_action": "push", "view": map[string]any{"type": "modal", "notify_on_close": true,
		"title": plainText("B"), "blocks": []any{}}})
	if _, err := w.Sim.SubmitView(w.Ctx, slacksim.AcmeMember, view, nil); err != nil {
		t.Fatal(err)
	}
	belongs(p.next("interactive").Payload, true)
	p.reply(nil)
	open := w.Sim.OpenViews(slacksim.AcmeMember)
	if _, err := w.Sim.CloseView(w.Ctx, slacksim.AcmeMember, open[len(open)-1].ID, false); err != nil || len(open) != 2 {
		t.Fatal(open, err)
	}
	if q := answer(p.next("interactive").Payload); q.Str("type") != "view_closed" {
		t.Errorf("%v", q)
	} else {
		belongs(q, false)
	}
	w.WantBreaches()
}
