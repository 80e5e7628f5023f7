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
