package cli

// What people see first of the app, one after the other: the install page, what comes after it, the welcome message,
// the answer to "is it working?", and the Home tab. With SCREENSHOTS=folder each is photographed, light, dark and
// narrow.

import (
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// The first five screens are for everybody: each passes axe's rules, light and dark, fits 320 px and is used by
// keyboard.
func TestWalkFirstImpression(t *testing.T) {
	storagetest.Long(t)
	slack := walkDemo(t)
	b := newTab(t)
	b.be(slack, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	b.click("#app-page")
	b.click("#add-to-slack")
	b.title("Add Switchboard to Slack")
	b.loaded()
	b.looks("first-1-landing")
	b.whole("first-1-landing-whole")

	b.click("#add-to-slack")
	b.click("#allow")
	b.title("Connected: Switchboard is in Acme Corp")
	b.loaded()
	b.looks("first-2-success")
	b.whole("first-2-success-whole")

	b.open(slack.URL() + "/client/" + slacksim.Acme + "/dm")
	b.reads("#messages", "Acme Corp")
	b.looks("first-3-welcome")

	b.open(slack.URL() + "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral)
	b.type_("/connection status")
	b.reads("#messages .ephemeral:last-child", "with Slack")
	b.looks("first-4-status")

	b.open(slack.URL() + "/client/" + slacksim.Acme + "/home")
	b.reads("#home", "hecked ")
	b.looks("first-5-home")
	b.clean()
}
