package cli

// The demo's longer walks, in a real browser: an organisation-wide install, a permission left out and allowed later,
// and a press by somebody from another company. With SCREENSHOTS=folder they take pictures of Slack's pages, too.

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// walkDemo starts the demo and returns its Slack. What breaks a rule of Slack's there fails the test.
func walkDemo(t *testing.T) *slacksim.Sim {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	d, err := ours().startDemo("127.0.0.1:0", nil)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	d.cfg.Log = newLogger(io.Discard, 0, "json")
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
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

// looks checks how the page does by axe's rules, on a narrow screen and in the dark, and takes a picture of each.
func (b *tab) looks(name string) {
	b.t.Helper()
	b.picture(name)
	b.axe(name)
	dark := func(scheme string) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme},
					{Name: "prefers-reduced-motion", Value: "reduce"}}})
			return err
		})
	}
	b.do("switch the light off", dark("dark"))
	b.picture(name + "-dark")
	b.axe(name + ", dark")
	b.do("use a narrow screen", chromedp.EmulateViewport(320, 640))
	b.is(name+" fits 320 px", `document.documentElement.scrollWidth <= 320`)
	b.is("on "+name+" every control has a name", `[...document.querySelectorAll("button:not([hidden], [aria-hidden]), a, input:not([type=hidden]), select, textarea")]
		.every(e => (e.ariaLabel || e.innerText || e.textContent || e.title || e.alt || "").trim() || e.labels && e.labels.length || e.querySelector("img[alt]"))`)
	b.axe(name + ", narrow")
	b.picture(name + "-narrow")
	b.byKeyboard(name)
	b.do("back to normal", chromedp.EmulateViewport(1160, 657), dark("light"))
}

// clean fails the test if the browser complained about a page, but for a page that says by its status, too, that a link
// was used.
func (b *tab) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		if !strings.Contains(c, "favicon") && !strings.Contains(c, "409 (Conflict)") {
			b.t.Errorf("the browser complained: %s", c)
		}
	}
}

// addToOrganisation installs for all of Northwind, as its admin, and adds the app to Northwind Sales.
func (b *tab) addToOrganisation(slack *slacksim.Sim, look func(page string)) {
	b.t.Helper()
	b.be(slack, slacksim.NorthwindOrgAdmin, slacksim.NorthwindSales, "app")
	b.add()
	look("consent-org")
	b.click("#for-org")
	b.click("#allow")
	b.title("Installed for Northwind (organisation)")
	b.reads("#happened", "Next: add it to workspaces.")
	look("connected-org")
	b.click("#next")
	b.reads("#installed", "Installed for the whole organisation by Nora Feld")
	b.reads("#"+slacksim.NorthwindSales, "Not added")
	b.click(`button[aria-label="Add to Northwind Sales"]`)
	b.do("added", chromedp.WaitVisible(chromedp.CSS(`button[aria-label="Remove from Northwind Sales"]`)))
	look("workspaces")
}

// An organisation's admin installs for all of it and adds the app to one workspace: there it works, in the other it is
// said to be missing, and it stops where it is taken away.
func TestWalkOrganisation(t *testing.T) {
	storagetest.Long(t)
	slack := walkDemo(t)
	b := newTab(t)
	b.open(slack.URL())
	b.reads("#guide-title", "Five minutes with Switchboard")
	b.looks("start")
	b.addToOrganisation(slack, b.looks)

	b.be(slack, slacksim.SalesMember, slacksim.NorthwindSales, slacksim.SalesGeneral)
	b.type_("/connection status")
	b.reads("#messages .ephemeral", "Working", "Checked with Slack just now.")
	b.press(`#messages .ephemeral [data-action-id="connection.details"]`)
	b.reads("#messages .ephemeral", "Whole organisation, and added to this workspace: Northwind Sales")
	b.picture("status-org")
	b.open(slack.URL())
	b.looks("start-org")

	b.be(slack, slacksim.LabsAdmin, slacksim.NorthwindLabs, "app")
	b.reads("#not-here", "not available in Northwind Labs")
	b.looks("not-here")

	b.be(slack, slacksim.NorthwindOrgAdmin, slacksim.NorthwindSales, "app")
	b.looks("app-org")
	b.click("#manage-org")
	b.click(`button[aria-label="Remove from Northwind Sales"]`)
	b.reads("#"+slacksim.NorthwindSales, "Not added")
	b.be(slack, slacksim.SalesMember, slacksim.NorthwindSales, "app")
	b.reads("#not-here", "not available in Northwind Sales")
	b.clean()
}

// An optional permission left out: the app says what it can't do, and the way back asks for that permission alone. The
// same when an admin takes one away later.
func TestWalkLimited(t *testing.T) {
	storagetest.Long(t)
	slack := walkDemo(t)
	b := newTab(t)
	b.be(slack, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	b.add()
	b.is("what it can't do without has no box", `!document.querySelector("[data-scope='chat:write'] input")`)
	b.click(`#asked input[value="im:history"]`)
	b.looks("consent-optional")
	b.click("#allow")
	b.title("Connected, with some features unavailable: Switchboard is in Acme Corp")
	b.reads("#facts", "read direct messages to it")
	b.is("nobody gives help, so nothing promises it", `!document.querySelector("#help")`)
	b.picture("connected-limited")
	b.open(slack.URL() + "/client/" + slacksim.Acme + "/home")
	b.reads("main", "Working, some features unavailable", "it doesn't have permission to read direct messages to it",
		"Allow")
	b.looks("home-limited")
	b.open(slack.URL() + "/client/" + slacksim.Acme + "/dm")
	b.reads("#messages", "First thing to try:", "It can't answer direct messages: it doesn't have permission", "Allow it")
	b.looks("dm-limited")
	b.allowTheRest(slack, "im:history", "read direct messages to it", "can't answer direct messages: it doesn't have "+
		"permission")

	b.click("#app-page")
	b.click("#limit-app")
	b.reads("h1", "What Switchboard can do")
	b.looks("permissions")
	b.click(`button[data-take="app_mentions:read"]`)
	b.reads("#taken", "Taken away: View messages that directly mention the app")
	b.is("it is gone", `!document.querySelector("[data-take='app_mentions:read']")`)
	b.allowTheRest(slack, "app_mentions:read", "see messages that mention it",
		"can't answer mentions: it no longer has permission")

	// And away with it, by the window that asks first.
	b.type_("/connection disconnect")
	b.reads("#modal", "This removes Switchboard from Acme Corp, for everybody.",
		"Its access and messages are erased immediately, everything else after 90 days.")
	b.looks("disconnect")
	b.press("#modal-submit")
	b.reads("#modal", "Switchboard is disconnected from Acme Corp.", "its access is erased")
	b.axe("disconnected")
	b.clean()
}

// allowTheRest reads in /connection status that a permission is missing and what it can't do for want of it, follows
// the link, which asks for that permission alone, allows it and reads that all is well. It ends in the channel it
// starts from.
func (b *tab) allowTheRest(slack *slacksim.Sim, scope, words, feature string) {
	b.t.Helper()
	channel := slack.URL() + "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral
	b.open(channel)
	b.type_("/connection status")
	b.reads("#messages .ephemeral:last-child", "features unavailable", words, feature)
	b.picture("limited-" + strings.NewReplacer(":", "-").Replace(scope))
	// The link opens a tab of its own; here it is followed in this one.
	b.ask("follow the link", `(a => { if (!a) return false; location.href = a.href; return true })(
		[...document.querySelectorAll("#messages .ephemeral:last-child a.button")].find(a => a.innerText.startsWith("Allow")))`)
	b.reads("h1", "asking for permission")
	b.is("one permission is asked for",
		`[...document.querySelectorAll("#asked li")].map(e => e.dataset.scope).join() === "`+scope+`"`)
	b.looks("consent-rest")
	b.click("#allow")
	b.title("Permissions updated: Switchboard in Acme Corp")
	b.open(channel)
	b.type_("/connection status")
	b.reads("#messages .ephemeral:last-child", "✅ Working since", "Nothing to do.", "Checked with Slack just now")
}

// What is said on the way is so at that moment: of a workspace that is connected nothing says that it isn't, nothing is
// promised that isn't there, and how long things are kept is a number.
func TestWalkTrueWords(t *testing.T) {
	storagetest.Long(t)
	slack := walkDemo(t)
	b := newTab(t)
	channel := slack.URL() + "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral
	b.be(slack, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	b.click("#app-page")
	b.click("#add-to-slack")
	b.title("Add Switchboard to Slack")
	b.reads("ol", "Check the workspace in the top-right menu", "Untick anything optional", "Wrong workspace? Undo it.")
	b.is("the IT team reads how long",
		`document.querySelector("#it").value.includes("these messages are erased immediately, everything else after 90 days.")`)
	b.looks("true-landing")

	b.click("#add-to-slack")
	b.click("#allow")
	b.title("Connected: Switchboard is in Acme Corp")
	b.do("back to Slack's page", chromedp.NavigateBack())
	b.reads("h1", "asking for permission")
	b.click("#allow") // again, with the state that was used
	b.title("You're already connected")
	b.reads("#happened", "Switchboard is in Acme Corp. This page was from an earlier try. Nothing changed.")
	b.is("it is no trouble", `document.querySelector(".state").matches(".good[role=status]")`)
	b.looks("true-second-answer")

	b.open(slack.URL() + "/client/" + slacksim.Acme + "/dm")
	b.reads("#messages", "It can only read messages you send it here and messages that @mention it.", "Open Home",
		"You're getting this because you installed the app. Nobody else was notified.")
	b.picture("true-welcome")
	b.open(channel)
	b.type_("/connection weather")
	b.reads("#messages .ephemeral:last-child", "I don't know “weather”.")
	b.picture("true-unknown-word")
	b.press(`#messages .ephemeral:last-child [data-action-id="connection.say.permissions"]`)
	b.reads("#messages .ephemeral:last-child", "all 8 permissions")
	b.type_("/connection reconnect")
	b.reads("#messages .ephemeral:last-child", "This link is for you. It works once and expires in an hour.",
		"It stays the same connection, with its history.")
	b.is("no settings are promised",
		`!/settings/i.test(document.querySelector("#messages .ephemeral:last-child").innerText)`)
	b.picture("true-reconnect")

	link, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
		`[...document.querySelectorAll("#messages .ephemeral:last-child a.button")].find(a => a.innerText.startsWith("Reconnect")).href`))
	if err != nil {
		t.Fatal(err)
	}
	b.open(link)
	b.click("#cancel")
	b.title("You pressed Cancel")
	b.reads("#unchanged", "Acme Corp stays connected.")
	b.looks("true-cancelled")
	b.open(link)
	b.click("#allow")
	b.title("Already connected: Switchboard is in Acme Corp")
	b.open(link)
	b.title("You're already connected")
	b.reads("#happened", "Switchboard is connected to the workspace that this link was for.", "/connection reconnect")
	b.looks("true-used-link")

	b.open(channel)
	b.type_("/connection disconnect")
	b.reads("#modal", "its commands, messages and Home tab stop working",
		"Its access and messages are erased immediately, everything else after 90 days.")
	b.looks("true-disconnect")
	b.clean()
}

// Somebody of another company presses the app's button in a shared channel: refused in one sentence that says nothing
// of the workspace the app is in. The same button works for the people of that workspace, its guests among them.
func TestWalkOutsider(t *testing.T) {
	storagetest.Long(t)
	for _, wide := range []bool{false, true} {
		t.Run(map[bool]string{false: "workspace", true: "organisation"}[wide], func(t *testing.T) {
			slack := walkDemo(t)
			b := newTab(t)
			if wide {
				b.addToOrganisation(slack, func(string) {})
			} else {
				b.be(slack, slacksim.SalesAdmin, slacksim.NorthwindSales, "app")
				b.add()
				b.reads("#only-team", "Only an organisation admin can install it for all of Northwind.")
				b.click("#allow")
				b.title("Connected: Switchboard is in Northwind Sales")
			}
			b.be(slack, slacksim.SalesMember, slacksim.NorthwindSales, slacksim.NorthwindBirch)
			b.reads("header", "shared with Birch & Co")
			b.type_("/wave")
			b.reads("#messages .from-app", "Priya Nair waves at everybody here.")
			b.looks("shared")

			b.be(slack, slacksim.BirchMember, slacksim.Birch, slacksim.NorthwindBirch)
			b.reads("header", "shared with Northwind Sales")
			b.reads("#messages .from-app", "waves at everybody here.")
			b.press(`#messages [data-action-id="demo.wave"]`)
			b.reads("#messages .ephemeral", "Only visible to you", "Only people at Northwind", "can use this button.")
			b.looks("refused")
			b.is("the refusal names the company alone",
				`!/Nora|Tomás|Priya/.test(document.querySelector("#messages .ephemeral .text, #messages .ephemeral .blocks").innerText)`)
			b.is("nobody waved back", `!document.querySelector("#messages").innerText.includes("waves back")`)

			for id, name := range map[string]string{slacksim.SalesAdmin: "Tomás Rivera", slacksim.SalesGuest: "Max Weber"} {
				b.be(slack, id, slacksim.NorthwindSales, slacksim.NorthwindBirch)
				b.press(`#messages [data-action-id="demo.wave"]`)
				b.reads("#messages", name+" waves back.")
			}
			b.clean()
		})
	}
}
