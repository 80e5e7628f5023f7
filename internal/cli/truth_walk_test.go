package cli

// What the app says of its state, read in a browser where it once was false. With SCREENSHOTS=folder it is
// photographed.

import (
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A permission is taken away on Slack's own page; then one that the app can't do without; then both are given back.
// Each place says what is so: what it no longer can, since when, as of when, and only ways to ask that answer.
func TestWalkTruth(t *testing.T) {
	storagetest.Long(t)
	sim := walkDemo(t)
	b := newTab(t)
	general, home := sim.URL()+"/client/"+slacksim.Acme+"/"+slacksim.AcmeGeneral,
		sim.URL()+"/client/"+slacksim.Acme+"/home"
	newest := "#messages .ephemeral:last-child"
	absent := func(what, element string, words ...string) {
		t.Helper()
		for _, w := range words {
			b.is(what+" doesn't say "+w, `!document.querySelector("`+element+`").innerText.includes("`+w+`")`)
		}
	}
	permit := func(grant, take []string) {
		t.Helper()
		if err := sim.Admins.Permit(slacksim.Acme, grant, take); err != nil {
			t.Fatal(err)
		}
	}
	b.be(sim, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	b.add()
	b.click("#allow")
	b.title("Connected: Switchboard is in Acme Corp")
	b.open(general)
	b.type_("/connection status")
	b.reads(newest, "✅ Working since", "Nothing to do.")
	absent("a state that works", newest, "No action needed", "settings")
	b.picture("truth-working")
	b.open(home)
	b.reads("main", "What you can do with Switchboard", "✅ Working since", "Checked ", "Reopen this tab to refresh.",
		"Type /connection status in any channel to ask again. You can also write to me in Messages. "+
			"You can mention me in a channel I am in.")
	b.picture("truth-home-working")

	permit(nil, []string{"im:history"})
	b.open(general)
	b.type_("/connection status")
	b.reads(newest, "Working, some features unavailable since",
		"It can't answer direct messages: it no longer has permission "+
			"to read direct messages to it.", "Everything else works.")
	absent("what was taken away", newest, " yet", "is off,")
	b.picture("truth-taken-away")
	b.type_("/connection help")
	b.reads(newest, "After you mention me in a channel")
	absent("help", newest, "in a direct message with me")
	b.picture("truth-help")
	b.open(home)
	b.reads("main", "it no longer has permission to read direct messages to it",
		"Type /connection status in any channel to ask again. You can mention me in a channel I am in.")
	absent("the Home tab", "main", "Not allowed yet", "write to me in Messages")
	b.picture("truth-home-taken-away")

	permit(nil, []string{"chat:write"})
	b.open(general)
	b.type_("/connection status")
	b.reads(newest, "Not working, a permission is missing since", "answer you",
		"it no longer has permission to send messages", "Allow what's missing")
	absent("an app that may not write", newest, "Working, some", "Everything else works")
	b.picture("truth-silent")
	b.open(home)
	b.reads("main", "Not working, a permission is missing", "Type /connection status in any channel to ask again.")
	absent("the Home tab of an app that may not write", "main", "write to me", "mention me in", "Send a test message")
	b.picture("truth-home-silent")

	permit([]string{"im:history", "chat:write"}, nil)
	b.open(general)
	b.type_("/connection status")
	b.reads(newest, "✅ Working since", "Nothing to do.")
	b.picture("truth-again")
	b.be(sim, slacksim.AcmeMember, slacksim.Acme, slacksim.AcmeGeneral)
	b.type_("/connection history")
	b.reads(newest, "Only @", "who installed it, and workspace admins can see the history.")
	absent("a refusal to read", newest, "Nothing was changed")
	b.picture("truth-refused")
	b.clean()
}
