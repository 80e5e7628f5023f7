package main

// The demo's longer walks, in a real browser: an organisation-wide install, a permission left out and allowed later, and a
// press by somebody from another company. With SCREENSHOTS=folder they take pictures of Slack's pages, too.

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"switchboard/slacksim"
)

// walkDemo starts the demo and returns its Slack. What breaks a rule of Slack's there fails the test.
func walkDemo(t *testing.T) *slacksim.Sim {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	d, err := startDemo(ctx, "127.0.0.1:0")
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	d.cfg.log = newLogger(io.Discard, 0, "json")
	a, err := newApp(d.cfg)
	if err != nil {
		cancel()
		t.Fatal(err, d.close())
	}
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	t.Cleanup(func() {
		for _, b := range d.slack.Breaches() {
			t.Errorf("a rule of Slack's was broken: %s: %s", b.Rule, b.Detail)
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the app ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the app does not end")
		}
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d.slack
}

// be signs in as somebody, from the start page, and goes to a conversation.
func (b *tab) be(slack *slacksim.Sim, userID, team, channel string) {
	b.t.Helper()
	b.open(slack.URL())
	b.signIn(userID)
	b.open(slack.URL() + "/client/" + team + "/" + channel)
}

// add goes from the app's page in Slack to the consent page.
func (b *tab) add() {
	b.t.Helper()
	b.click("#app-page")
	b.click("#add-to-slack")
	b.title("Add Switchboard to Slack")
	b.click("#add-to-slack")
	b.reads("h1", "asking for permission")
}

func TestWalkOrganisation(t *testing.T) {
	slack := walkDemo(t)
	slack.SetApp(func(a *slacksim.App) { a.OrgReady = true })
	b := newTab(t)
	b.open(slack.URL())
	b.picture("start")
	b.signIn(slacksim.NorthwindOrgAdmin)
	b.add()
	b.picture("consent-org")
	b.click("#for-org")
	b.click("#allow")
	b.title("Connected: Switchboard is in the organisation Northwind")
	b.reads("#happened", "an organisation admin adds it to workspaces")
	b.picture("connected-org")
	b.click("#next")
	b.reads("#installed", "Installed for the whole organisation by Nora Feld")
	b.click(`button[aria-label="Add to Northwind Sales"]`)
	b.reads("#"+slacksim.NorthwindSales, "Added")
	b.picture("workspaces")

	b.be(slack, slacksim.SalesMember, slacksim.NorthwindSales, slacksim.SalesGeneral)
	b.type_("/connection status")
	b.reads("#messages .ephemeral", "Working", "Whole organisation")

	b.be(slack, slacksim.LabsAdmin, slacksim.NorthwindLabs, "app")
	b.reads("#not-here", "not available in Northwind Labs")
	b.picture("not-here")

	// Priya greets the other company, and Sam of that company answers by a button.
	b.be(slack, slacksim.SalesMember, slacksim.NorthwindSales, slacksim.NorthwindBirch)
	b.reads("header", "shared with Birch & Co")
	b.type_("/wave")
	b.reads("#messages .from-app", "Priya Nair waves at everybody here.")
	b.picture("shared")
	b.be(slack, slacksim.BirchMember, slacksim.Birch, slacksim.NorthwindBirch)
	b.reads("header", "shared with Northwind Sales")
	b.press(`#messages [data-action-id="demo.wave"]`)
	b.reads("#messages .ephemeral", "Only visible to you")
	b.picture("refused")
	b.is("the refusal reveals nothing", `!document.querySelector("#messages .ephemeral .text, #messages .ephemeral .blocks").innerText.includes("Northwind")`)
	b.is("nobody waved back", `!document.querySelector("#messages").innerText.includes("waves back")`)

	// Inside the organisation the same button works.
	b.be(slack, slacksim.SalesAdmin, slacksim.NorthwindSales, slacksim.NorthwindBirch)
	b.press(`#messages [data-action-id="demo.wave"]`)
	b.reads("#messages", "Tomás Rivera waves back.")
}

func TestWalkLimited(t *testing.T) {
	slack := walkDemo(t)
	slack.SetApp(func(a *slacksim.App) { a.OptionalScopes = []string{"app_mentions:read"} })
	b := newTab(t)
	b.be(slack, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	b.add()
	b.click(`#asked input[value="app_mentions:read"]`)
	b.picture("consent-optional")
	b.click("#allow")
	b.title("Connected, with some features off: Switchboard is in Acme Corp")
	b.picture("connected-limited")
	b.be(slack, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	b.type_("/connection status")
	b.reads("#messages .ephemeral", "Limited")
	b.picture("limited")
	b.do("follow the link", chromedp.Navigate(slack.URL()))
	b.mu.Lock()
	for _, c := range b.complaints {
		if !strings.Contains(c, "favicon") {
			t.Errorf("the browser complained: %s", c)
		}
	}
	b.mu.Unlock()
}
