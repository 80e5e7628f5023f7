package web_test

import (
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

func TestPersonEditsDeletesAndReadsFiles(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeMember)
	at := "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "helo")
	theirs, _ := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "not yours")
	page := b.open(at)
	b.want(page, at+"/"+ts+"/change")
	if strings.Contains(page, theirs+"/change") {
		t.Error("a member is offered to change another's message")
	}
	if code, _ := b.send(at+"/"+theirs+"/change", "do", "delete"); code != 409 {
		t.Errorf("a member deleted another's message: %d", code)
	}

	b.want(b.open(at+"/"+ts+"/change"), ">helo</textarea>")
	_, page = b.send(at+"/"+ts+"/change", "do", "save", "text", "hello @Dana Reyes")
	b.want(page, "hello", "(edited)")
	if m := w.Sim.Messages(slacksim.AcmeGeneral, "")[0]; m.Text != "hello <@"+slacksim.AcmeAdmin+">" {
		t.Errorf("it says %q", m.Text)
	}

	w.Sim.Reply(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "a reply")
	_, page = b.send(at+"/"+ts+"/change", "do", "delete")
	b.want(page, "This message was deleted.")
	if strings.Contains(page, "Dana Reyes</span>") {
		t.Error("the deleted text is there")
	}

	w.Sim.People.Share(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "", "", slacksim.Upload{Name: "a.txt",
		Content: []byte("its content")})
	w.Sim.People.PostAs(w.Ctx, slacksim.OtherBot{Name: "Standup"}, slacksim.AcmeGeneral, "", "from a workflow")
	page = b.open(at)
	b.want(page, "a.txt", "Standup", "from a workflow")
	link := "/client/" + slacksim.Acme + "/files/" + w.Sim.Files.All()[0].ID
	if got := b.open(link); got != "its content" {
		t.Errorf("the file is %q", got)
	}
	w.Sim.AddChannel(slacksim.Channel{ID: slacksim.AcmeGeneral, TeamID: slacksim.Acme, Name: "general", Private: true,
		Members: []string{slacksim.AcmeAdmin}})
	if code, _ := b.read(b.Get(w.Sim.URL() + link)); code != 404 {
		t.Errorf("an outsider reads the file: %d", code)
	}
}

func TestComposedBlocksShowAndAct(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	text := func(s string) string { return `{"type":"plain_text","text":"` + s + `"}` }
	button := func(id string) string {
		return `{"type":"button","action_id":"` + id + `","value":"v","text":` + text("Press "+id) + `}`
	}
	card := `{"type":"card","title":` + text("Card title") + `,"body":` + text("Card body") + `,"actions":[` +
		button("card") + `]}`
	a := w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "t", "blocks", `[`+card+`,
		{"type":"carousel","elements":[`+card+`]},
		{"type":"container","title":`+text("Box")+`,"is_collapsible":true,"child_blocks":[{"type":"actions","elements":[`+
		button("box")+`]}]},
		{"type":"layout","label":"Grid","is_label_visible":true,"rows":[{"items":[{"width":"wide","block":{"type":"actions",
			"elements":[`+button("grid")+`]}}]}]},
		{"type":"data_table","caption":"People","rows":[[{"type":"raw_text","text":"Name"}],[{"type":"raw_text",
			"text":"Ann <b>"}]]},
		{"type":"table","rows":[[{"type":"raw_number","value":4.5}]]},
		{"type":"data_visualization","title":"Share","chart":{"type":"pie","segments":[{"label":"Half","value":50}]}},
		{"type":"plan","title":"The plan","tasks":[{"type":"task_card","task_id":"1","title":"First","status":"complete",
			"sources":[{"type":"url","url":"https://x.example","text":"a source"}]}]},
		{"type":"video","video_url":"https://v.example","thumbnail_url":"https://v.example","alt_text":"a","title":`+
		text("A film")+`},
		{"type":"context_actions","elements":[{"type":"feedback_buttons","action_id":"fb","positive_button":{"text":`+
		text("Good")+`,"value":"1"},"negative_button":{"text":`+text("Bad")+`,"value":"0"}},
			{"type":"icon_button","action_id":"bin","icon":"trash","text":`+text("Remove")+`,
			"visible_to_user_ids":["`+slacksim.AcmeMember+`"]}]}]`)
	if a["ok"] != true {
		t.Fatal(a)
	}

	page := b.open("/client/" + slacksim.Acme + "/dm")
	b.want(page, "Card title", "Card body", "<summary><strong>Box", `<div class="wide">`, "<caption>People",
		"Ann &lt;b&gt;", "<td>4.5</td>", "<th>Half</th><td>50</td>", `aria-label="complete">✓</span> <strong>First`,
		"a source", "▶ A film", ">Good</button>", ">Bad</button>")
	if strings.Contains(page, "Remove") || strings.Contains(page, "not shown here") {
		t.Error("a button for somebody else shows, or a block doesn't")
	}
	for _, id := range []string{"card", "box", "grid"} {
		if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), a.Str("ts"), id); err != nil {
			t.Errorf("press %s: %v", id, err)
		}
	}
	w.WantBreaches()
}
