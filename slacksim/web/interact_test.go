package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

func TestShortcutsWithoutScript(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) {
		c.App.Shortcuts = []slacksim.Shortcut{{Name: "New <ticket>", CallbackID: "new_ticket"},
			{Name: "Make a ticket", CallbackID: "from_message", OnMessage: true}}
	})
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	at := "/client/T0ACME0001/" + slacksim.AcmeGeneral
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "The printer burns")
	if page := b.open(at); strings.Contains(page, "new_ticket") || strings.Contains(page, "from_message") {
		t.Error("shortcuts of an app that is not installed")
	}
	w.Install(slacksim.AcmeAdmin)
	b.want(b.open(at), `action="`+at+`/shortcut"`, `value="new_ticket"`, "New &lt;ticket&gt;",
		`action="`+at+"/"+ts+`/shortcut"`, `value="from_message"`)
	b.want(b.open("/client/T0ACME0001/home"), `action="/client/T0ACME0001/home/shortcut"`)

	b.send(at+"/shortcut", "shortcut", "new_ticket", "back", at)
	if p := w.Bot.Last(t).Outer; p["type"] != "shortcut" || b.at != at {
		t.Errorf("at %s, the app got %v", b.at, p)
	}
	b.send(at+"/"+ts+"/shortcut", "shortcut", "from_message", "back", at)
	if p := w.Bot.Last(t).Outer; p["type"] != "message_action" || p["message_ts"] != ts {
		t.Errorf("the app got %v", p)
	}
	if code, _ := b.send(at+"/shortcut", "shortcut", "other"); code != http.StatusConflict {
		t.Errorf("an unknown one: %d", code)
	}
	w.Bot.Reply(func(w http.ResponseWriter, _ *http.Request, _ request) { w.WriteHeader(http.StatusTeapot) })
	if code, page := b.send(at+"/shortcut", "shortcut", "new_ticket"); code != http.StatusBadGateway ||
		!strings.Contains(page, "responded with an error") {
		t.Errorf("one that fails: %d", code)
	}
}

func TestMenusThatTheAppFillsWithoutScript(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) { c.App.OptionsURL = c.App.EventsURL })
	tok := w.Install(slacksim.AcmeAdmin)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	blocks := `[{"type":"actions","block_id":"row","elements":[{"type":"external_select","action_id":"ow/ner"}]}]`
	ts := w.Call("chat.postMessage", tok, "channel", w.Sim.DM(slacksim.AcmeAdmin), "text", "Who?", "blocks", blocks).
		Str("ts")
	act := "/client/T0ACME0001/" + w.Sim.DM(slacksim.AcmeAdmin) + "/" + ts + "/act"
	page := b.open("/client/T0ACME0001/dm")
	b.want(page, `action="`+act+`"`, `name="q/row/ow%2Fner"`, `name="suggest" value="row/ow%2Fner"`,
		`aria-label="Search: ow/ner"`)
	if strings.Contains(page, `<select id="m`) {
		t.Error("a menu with nothing in it")
	}

	w.Bot.Reply(jsonReply(`{"options":[{"text":{"type":"plain_text","text":"Ann <x>"},"value":"u7"}]}`))
	b.send(act, "suggest", "row/ow%2Fner", "q/row/ow%2Fner", "an")
	if p := w.Bot.Last(t); p.Outer != nil && p.Outer["type"] == "block_suggestion" {
		t.Errorf("asked for two characters: %v", p.Outer)
	}
	b.send(act, "suggest", "row/ow%2Fner", "q/row/ow%2Fner", "ann")
	if p := w.Bot.Last(t).Outer; p["type"] != "block_suggestion" || p["value"] != "ann" || p["action_id"] != "ow/ner" {
		t.Fatalf("the app got %v", p)
	}
	b.want(b.open("/client/T0ACME0001/dm"), `<option value="u7">Ann &lt;x&gt;</option>`)
	w.Bot.Reply(nil)
	b.send(act, "action", "row/ow%2Fner", "v/row/ow%2Fner", "u7")
	if got, _ := json.Marshal(w.Bot.Last(t).Outer["actions"]); !strings.Contains(string(got), `"value":"u7"`) {
		t.Errorf("chosen %s", got)
	}

	// In a modal what was typed elsewhere stays.
	form := `[{"type":"input","block_id":"n","label":{"type":"plain_text","text":"Name"},"element":
		{"type":"plain_text_input","action_id":"name"}},{"type":"input","block_id":"who","label":{"type":"plain_text","text":"Owners"},
		"element":{"type":"multi_external_select","action_id":"owners","min_query_length":1}}]`
	_, _ = w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/connection")
	id := w.Call("views.open", tok, "trigger_id", w.Bot.Last(t).Form.Get("trigger_id"), "view", modal("A", form)).
		Str("view", "id")
	view := "/client/T0ACME0001/view/" + id + "/act"
	search := func(text, answer string) string {
		w.Bot.Reply(jsonReply(answer))
		b.send(view, "suggest", "who/owners", "q/who/owners", text, "v/n/name", "Printer & co", "v/who/owners", "u7")
		return b.open("/client/T0ACME0001/dm")
	}
	b.want(b.open("/client/T0ACME0001/dm"), `<label for="`+id+`-who-search">Owners</label>`, `id="`+id+`-who-search"`)
	search("a", `{"options":[{"text":{"type":"plain_text","text":"Ann"},"value":"u7"}]}`)
	page = search("b", `{"option_groups":[{"label":{"type":"plain_text","text":"Team"},"options":[
		{"text":{"type":"plain_text","text":"Bo"},"value":"u8"}]}]}`)
	b.want(page, `value="Printer &amp; co"`, `<option value="u8">Team: Bo</option>`,
		`<option value="u7" selected>Ann</option>`)
	w.Bot.Reply(nil)
	b.send(view, "do", "submit", "v/n/name", "Printer", "v/who/owners", "u7", "v/who/owners", "u8")
	if got, _ := json.Marshal(w.Bot.Last(t).Outer["view"]); !strings.Contains(string(got), `"value":"u7"`) ||
		!strings.Contains(string(got), `"value":"u8"`) {
		t.Errorf("submitted %s", got)
	}
	w.WantBreaches()

	w.Sim.SetApp(func(a *slacksim.App) { a.OptionsURL = "" })
	if code, page := b.send(act, "suggest", "row/ow%2Fner", "q/row/ow%2Fner", "ann"); code != http.StatusBadGateway ||
		!strings.Contains(page, "No options") {
		t.Errorf("without an address: %d", code)
	}
}

func TestUnfurledLinksAreShown(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) {
		c.App.UnfurlDomains, c.App.Events = []string{"tick.example"}, []string{"link_shared"}
	})
	tok := w.Install(slacksim.AcmeAdmin, botScopes+",links:read,links:write")
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	at := "/client/T0ACME0001/" + slacksim.AcmeGeneral
	b.send(at+"/say", "text", "See https://tick.example/7 and https://tick.example/8")
	w.Settled()
	ts := w.Sim.Messages(slacksim.AcmeGeneral, "")[0].TS
	if a := w.Call("chat.unfurl", tok, "channel", slacksim.AcmeGeneral, "ts", ts, "unfurls", `{
		"https://tick.example/7":{"blocks":`+twoButtons+`},
		"https://tick.example/8":{"title":"<Eight>","text":"*closed*"}}`); a["ok"] != true {
		t.Fatal(a)
	}
	page := b.open(at)
	b.want(page, `data-url="https://tick.example/7"`, `action="`+at+"/"+ts+`/act"`, `data-action-id="go">`,
		"<strong>&lt;Eight&gt;</strong>", "<strong>closed</strong>")
	b.send(at+"/"+ts+"/act", "action", "acts/go", "back", at)
	if p := w.Bot.Last(t).Outer; p["type"] != "block_actions" || p["app_unfurl"] == nil {
		t.Errorf("the app got %v", p)
	}
}
