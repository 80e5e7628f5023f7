package slacksim_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// ownerMenu is a message's menu that the app fills, askRow a modal's row with one that asks before anything is typed.
const ownerMenu = `[{"type":"actions","block_id":"row","elements":[{"type":"external_select","action_id":"owner",
 "initial_option":{"text":{"type":"plain_text","text":"Nobody"},"value":"none"}}]}]`

const ownersInput = `[{"type":"input","block_id":"who","label":{"type":"plain_text","text":"Owners"},
 "element":{"type":"multi_external_select","action_id":"owners","min_query_length":0}}]`

const twoOptions = `{"options":[
 {"text":{"type":"plain_text","text":"Ann"},"value":"u7","description":{"type":"plain_text","text":"on call"}},
 {"text":{"type":"plain_text","text":"Anton"},"value":"u8"}]}`

func withOptions(c *slacksim.Config) { c.App.OptionsURL = c.App.EventsURL + "/options" }

func typed(action, text string) slacksim.Form {
	return slacksim.Form{ActionID: action, Value: []string{text}}
}

func TestOptionsInAMessage(t *testing.T) {
	w := newWorld(t, withOptions)
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	ts := w.Call("chat.postMessage", tok, "channel", dm, "text", "Who?", "blocks", ownerMenu).Str("ts")
	w.Settled()
	w.Bot.Reply(jsonReply(twoOptions))
	got, err := w.Sim.Forms.SuggestInMessage(w.Ctx, slacksim.AcmeAdmin, dm, ts, typed("owner", "ann"))
	if err != nil || len(got.Options) != 2 || got.Options[0] != (slacksim.Option{Text: "Ann", Value: "u7",
		Description: "on call"}) {
		t.Fatalf("%+v %v", got, err)
	}
	p := answer(w.Bot.Last(t).Outer)
	if p.Str("type") != "block_suggestion" || p.Str("block_id") != "row" || p.Str("action_id") != "owner" ||
		p.Str("value") != "ann" || p.Str("container", "message_ts") != ts || p.Str("container", "channel_id") != dm ||
		p.Str("channel", "id") != dm || p.Str("message", "ts") != ts || p.Str("api_app_id") == "" {
		t.Errorf("payload %v", p)
	}
	for _, absent := range []string{"trigger_id", "response_url", "state", "actions", "view"} {
		if _, there := p[absent]; there {
			t.Errorf("block_suggestion has %s", absent)
		}
	}
	if d := w.Sim.Deliveries(); !strings.HasSuffix(d[len(d)-1].URL, "/slack/events/options") {
		t.Errorf("asked at %s", d[len(d)-1].URL)
	}

	w.Bot.Reply(nil)
	if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, ts, "owner", "u7"); err != nil {
		t.Fatal(err)
	}
	p = answer(w.Bot.Last(t).Outer)
	action := answer(p["actions"].([]any)[0].(map[string]any))
	if action.Str("selected_option", "value") != "u7" || action.Str("selected_option", "text", "text") != "Ann" ||
		action["selected_option"].(map[string]any)["description"] != nil {
		t.Errorf("chosen %v", action)
	}
	if p.Str("state", "values", "row", "owner", "selected_option", "value") != "none" {
		t.Errorf("state %v", p["state"])
	}
	for _, never := range []string{"u9", "ann"} {
		if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, ts, "owner", never); !errors.Is(err, slacksim.ErrNoOption) {
			t.Errorf("chose %q: %v", never, err)
		}
	}
	for what, is := range map[string][2]any{
		"too short":   {typed("owner", "an"), slacksim.ErrShortQuery},
		"no menu":     {typed("other", "ann"), slacksim.ErrNoAction},
		"other block": {slacksim.Form{BlockID: "x", ActionID: "owner", Value: []string{"ann"}}, slacksim.ErrNoAction},
	} {
		_, err := w.Sim.Forms.SuggestInMessage(w.Ctx, slacksim.AcmeAdmin, dm, ts, is[0].(slacksim.Form))
		if !errors.Is(err, is[1].(error)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.WantBreaches()
	w.Sim.SetApp(func(a *slacksim.App) { a.OptionsURL = "" })
	_, err = w.Sim.Forms.SuggestInMessage(w.Ctx, slacksim.AcmeAdmin, dm, ts, typed("owner", "ann"))
	if !errors.Is(err, slacksim.ErrNoOptionsURL) {
		t.Errorf("without an address: %v", err)
	}
}

func TestOptionsInViewsThroughASocket(t *testing.T) {
	w := socketWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	p := w.connect()
	reply, _ := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/connection")
	if reply.Err != "" {
		t.Fatal(reply.Err)
	}
	trigger := p.next("slash_commands").Payload["trigger_id"].(string)
	id := w.Call("views.open", tok, "trigger_id", trigger, "view", modal("Owners", ownersInput)).Str("view", "id")
	p.with(map[string]any{"option_groups": []any{map[string]any{"label": plainText("Team"), "options": []any{
		map[string]any{"text": plainText("Ann"), "value": "u7"}, map[string]any{"text": plainText("Bo"), "value": "u8"},
	}}}})
	got, err := w.Sim.Forms.SuggestInView(w.Ctx, slacksim.AcmeAdmin, id, typed("owners", ""))
	if err != nil || len(got.Options) != 2 || got.Options[1].Group != "Team" {
		t.Fatalf("%+v %v", got, err)
	}
	f := p.next("interactive")
	if q := answer(f.Payload); !f.Accepts || q.Str("type") != "block_suggestion" || q.Str("view", "id") != id ||
		q.Str("container", "view_id") != id || q["message"] != nil || q.Str("value") != "" {
		t.Errorf("%+v", f)
	}

	p.reply(nil)
	given := func(v ...string) slacksim.Inputs { return slacksim.Inputs{"who": {"owners": {Values: v}}} }
	if _, err := w.Sim.Forms.Submit(w.Ctx, slacksim.AcmeAdmin, id, given("u9")); !errors.Is(err, slacksim.ErrNoOption) {
		t.Errorf("submitted what was not offered: %v", err)
	}
	if _, err := w.Sim.SubmitView(w.Ctx, slacksim.AcmeAdmin, id, map[string]map[string]string{
		"who": {"owners": "u8,u7"}}); err != nil {
		t.Fatal(err)
	}
	state := answer(p.next("interactive").Payload["view"].(map[string]any))["state"].(map[string]any)
	chosen := state["values"].(map[string]any)["who"].(map[string]any)["owners"].(map[string]any)["selected_options"]
	if l, _ := chosen.([]any); len(l) != 2 {
		t.Errorf("state %v", state)
	}

	home := `{"type":"home","blocks":` + ownerMenu + `}`
	w.Call("views.publish", tok, "user_id", slacksim.AcmeAdmin, "view", home)
	p.with(map[string]any{"options": []any{}})
	got, err = w.Sim.Forms.SuggestInView(w.Ctx, slacksim.AcmeAdmin, "", typed("owner", "zzz"))
	if err != nil || got.Options != nil || got.Shown != "" {
		t.Errorf("nothing found: %+v %v", got, err)
	}
	if q := answer(p.next("interactive").Payload); q.Str("view", "type") != "home" {
		t.Errorf("from Home: %v", q)
	}
	w.WantBreaches()
}

func plainText(t string) map[string]any { return map[string]any{"type": "plain_text", "text": t} }

func TestOptionsThatSlackRefuses(t *testing.T) {
	w := newWorld(t, withOptions, func(c *slacksim.Config) { c.AckTimeout = time.Second })
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	ts := w.Call("chat.postMessage", tok, "channel", dm, "text", "Who?", "blocks", ownerMenu).Str("ts")
	w.Settled()
	option := func(text, value string) string {
		return fmt.Sprintf(`{"text":{"type":"plain_text","text":%q},"value":%q}`, text, value)
	}
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(option("a", "b")+",", n), ",") }
	group := func(label, options string) string {
		return `{"label":{"type":"plain_text","text":"` + label + `"},"options":[` + options + `]}`
	}
	long := strings.Repeat("ä", 76)
	for what, body := range map[string]string{
		"101 options":  `{"options":[` + many(101) + `]}`,
		"both":         `{"options":[],"option_groups":[]}`,
		"neither":      `{"response_action":"clear"}`,
		"no JSON":      `ann, anton`,
		"a list":       `[` + many(1) + `]`,
		"a long text":  `{"options":[` + option(long, "v") + `]}`,
		"no text":      `{"options":[` + option("", "v") + `]}`,
		"a long value": `{"options":[` + option("a", strings.Repeat("v", 151)) + `]}`,
		"no value":     `{"options":[{"text":{"type":"plain_text","text":"a"}}]}`,
		"markup":       `{"options":[{"text":{"type":"mrkdwn","text":"a"},"value":"v"}]}`,
		"long description": `{"options":[{"text":{"type":"plain_text","text":"a"},"value":"v","description":` +
			`{"type":"plain_text","text":"` + long + `"}}]}`,
		"101 groups": `{"option_groups":[` + strings.TrimSuffix(strings.Repeat(group("g", option("a", "b"))+",", 101),
			",") + `]}`,
		"a long label":    `{"option_groups":[` + group(long, option("a", "b")) + `]}`,
		"a full group":    `{"option_groups":[` + group("g", many(101)) + `]}`,
		"options as text": `{"options":"a"}`,
		"groups as text":  `{"option_groups":"a"}`,
		"no objects":      `{"options":["a"]}`,
	} {
		w.Bot.Reply(jsonReply(body))
		before := len(w.Sim.Breaches())
		got, err := w.Sim.Forms.SuggestInMessage(w.Ctx, slacksim.AcmeAdmin, dm, ts, typed("owner", "ann"))
		breaches := w.Sim.Breaches()[before:]
		if err != nil || got.Options != nil || got.Shown == "" || len(breaches) != 1 ||
			breaches[0].Rule != slacksim.RuleOptions {
			t.Errorf("%s was taken: %+v %v %v", what, got, err, breaches)
		}
	}
	for what, is := range map[string]struct {
		reply func(http.ResponseWriter, *http.Request, request)
		rule  string
	}{
		"by another type": {func(w http.ResponseWriter, _ *http.Request, _ request) {
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprint(w, twoOptions)
		}, slacksim.RuleOptions},
		"late":   {func(_ http.ResponseWriter, r *http.Request, _ request) { <-r.Context().Done() }, slacksim.RuleLateAck},
		"failed": {status(500), slacksim.RuleActionStatus},
	} {
		w.Bot.Reply(is.reply)
		before := len(w.Sim.Breaches())
		got, err := w.Sim.Forms.SuggestInMessage(w.Ctx, slacksim.AcmeAdmin, dm, ts, typed("owner", "ann"))
		breaches := w.Sim.Breaches()[before:]
		if err != nil || got.Options != nil || got.Shown == "" || len(breaches) != 1 || breaches[0].Rule != is.rule {
			t.Errorf("%s was taken: %+v %v %v", what, got, err, breaches)
		}
	}
	before := len(w.Sim.Breaches())
	w.Bot.Reply(jsonReply(`{"options":[` + many(99) + `,` + option(strings.Repeat("ä", 75), strings.Repeat("v", 150)) +
		`]}`))
	got, err := w.Sim.Forms.SuggestInMessage(w.Ctx, slacksim.AcmeAdmin, dm, ts, typed("owner", "ann"))
	if err != nil || len(got.Options) != 100 || len(w.Sim.Breaches()) != before {
		t.Errorf("the most that is allowed: %d %v %v", len(got.Options), err, w.Sim.Breaches()[before:])
	}
}
