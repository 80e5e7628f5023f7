package cli

// A newcomer's first ten minutes, in a real browser: the demo is started as the README says, and everything is done by
// clicking and typing. With SCREENSHOTS=folder it also takes the README's pictures.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// tab is a browser tab with a newcomer in front of it.
type tab struct {
	t        *testing.T
	ctx      context.Context
	pictures string

	mu         sync.Mutex
	complaints []string // what the browser logged: blocked styles, script errors
}

func newTab(t *testing.T) *tab {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("no Chromium to test with")
		}
		t.Skip("no browser to test with: put chromium or google-chrome on the PATH")
	}
	ctx, closeTab := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.WindowSize(1160, 800), chromedp.UserDataDir(t.TempDir()),
		chromedp.Env("TZ=UTC")))
	b := &tab{t: t, ctx: ctx, pictures: os.Getenv("SCREENSHOTS")}
	if err := chromedp.Do(ctx); err != nil { // starts the browser, which lives as long as ctx
		closeTab()
		t.Fatal(err)
	}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				b.mu.Lock()
				b.complaints = append(b.complaints, m.Text+" "+m.URL)
				b.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		closeTab()
		<-listening
	})
	return b
}

// do runs actions and says what was being done when they fail.
func (b *tab) do(doing string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.fail(doing, err)
	}
}

// ask evaluates a question about the page, again and again until the answer is yes.
func (b *tab) ask(doing, script string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		// While one page gives way to the next there is nothing to ask; that is no answer either.
		yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		if yes {
			return
		}
		select {
		case <-ctx.Done():
			b.fail(doing, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

func (b *tab) fail(doing string, err error) {
	b.t.Helper()
	where, _ := chromedp.Run(b.ctx, chromedp.Location())
	seen, _ := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
	b.picture("failed")
	b.t.Fatalf("%s: %v\nat %s the page says:\n%s", doing, err, where, seen)
}

func (b *tab) open(address string) {
	b.t.Helper()
	b.do("open "+address, chromedp.Navigate(address))
}

// loaded waits until the page has all that it is made of.
func (b *tab) loaded() {
	b.t.Helper()
	b.ask("load the page", `document.readyState === "complete"`)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		b.loaded() // a page that still loads moves, and a click that it gets meanwhile is lost
		err := chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
		switch {
		case err == nil:
			return
		case ctx.Err() != nil || !strings.Contains(err.Error(), "Could not find node"): // its page gave way to the next one
			b.fail("click "+selector, err)
		}
	}
}

// signIn picks a person on the start page.
func (b *tab) signIn(userID string) {
	b.t.Helper()
	b.click(`button[data-user="` + userID + `"]`)
	b.ask("sign in", `location.pathname.startsWith("/client/") && document.readyState === "complete"`)
}

// press clicks something in a part of the page that may be replaced at any moment: found and clicked in one go.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.ask("press "+selector,
		fmt.Sprintf(`(e => { if (!e) return false; e.click(); return true })(document.querySelector(%q))`, selector))
}

// reads waits until the element says all of want.
func (b *tab) reads(selector string, want ...string) {
	b.t.Helper()
	for _, w := range want {
		b.ask(fmt.Sprintf("read %q in %s", w, selector),
			fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.innerText.includes(%q))`, selector, w))
	}
}

// is evaluates a question about the page as it is now.
func (b *tab) is(what, script string) {
	b.t.Helper()
	yes, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script))
	if err != nil {
		b.fail(what, err)
	}
	if !yes {
		b.t.Errorf("not so: %s", what)
	}
}

func (b *tab) title(want string) {
	b.t.Helper()
	b.ask("title "+want, fmt.Sprintf(`document.title === %q`, want))
}

func (b *tab) type_(text string) {
	b.t.Helper()
	const box = chromedp.CSS(`#composer textarea[name=text]`)
	b.do("type "+text, chromedp.WaitVisible(box), chromedp.SendKeys(box, text+"\r"))
}

// picture keeps what the newcomer sees now.
func (b *tab) picture(name string) {
	if b.pictures == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	// The Enter of a driven browser sends what was typed, and is in the composer after that.
	const tidy = `(box => { if (box && !box.value.trim()) { box.value = ""; box.style.height = "" } return true })(
		document.querySelector("#composer textarea"))`
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](tidy))
	if err != nil {
		b.t.Errorf("picture %s: %v", name, err)
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Errorf("picture %s: %v", name, err)
		return
	}
	if err := os.MkdirAll(b.pictures, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.pictures, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// runDemo starts the demo as a person does and returns the address it prints. stop presses Ctrl-C and waits.
func runDemo(t *testing.T) (address string, stop func()) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder) // and so nothing runs beside it
	was := handlersOf
	handlersOf = commands.All // not those of the tests, whose names Slack doesn't know
	t.Cleanup(func() { handlersOf = was })
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	var complaints strings.Builder
	go func() {
		err := run(ctx, []string{"demo", "--addr", "127.0.0.1:0"}, func(string) string { return "" }, in, &complaints)
		_ = in.Close()
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http://") {
			address = line
			break
		}
	}
	if address == "" {
		cancel()
		t.Fatalf("the demo printed no address: %v", <-ended)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return address, func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the demo ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the demo does not end")
		}
		if left, _ := filepath.Glob(filepath.Join(folder, "switchboard-demo-*")); len(left) > 0 {
			t.Errorf("the demo left %v behind", left)
		}
		for line := range strings.Lines(complaints.String()) {
			if !strings.Contains(line, `"event test_report"`) { // which the tests add, and Slack doesn't have
				t.Errorf("the demo complained: %s", line)
			}
		}
	}
}

func TestBrowser(t *testing.T) {
	storagetest.Long(t)
	address, stop := runDemo(t)
	b := newTab(t)
	acme, birch := slacksim.Acme, slacksim.Birch
	b.open(address)
	b.reads("h1", "A small Slack")
	b.reads("main", "Acme Corp", "Birch & Co")

	// Dana, an admin of Acme, finds the app and reads what it asks for.
	b.signIn(slacksim.AcmeAdmin)
	b.click("#app-page")
	b.reads("#not-installed", "not installed")
	b.click("#add-to-slack")
	b.title("Add Switchboard to Slack")
	b.reads("main", "Permissions: 2 required, 6 optional", "If an admin has to approve", "Who runs this")
	b.is("the page's own style applies", `getComputedStyle(document.querySelector(".card")).borderRadius === "18px"`)
	b.is("the page's own script runs", `!document.querySelector("button[data-copy]").hidden`)
	b.is("everything is labelled", `[...document.querySelectorAll("textarea")].every(e => e.labels.length || e.ariaLabel)`)
	b.picture("landing")

	// First she changes her mind.
	b.click("#add-to-slack")
	b.reads("h1", "asking for permission")
	b.click("#cancel")
	b.title("You pressed Cancel")
	b.reads("#unchanged", "Nothing was changed.")
	b.click("#next")
	b.click("#allow")
	b.title("Connected: Switchboard is in Acme Corp")
	b.reads("#workspace", "Acme Corp")
	b.reads("#facts", "Permissions: 8 of 8 allowed.")
	b.is("the workspace's icon is shown", `document.querySelector(".who img").naturalWidth > 0`)
	b.is("the result has the focus", `document.activeElement === document.querySelector("h1")`)
	b.picture("connected")
	b.do("reload", chromedp.Reload())
	b.title("Connected: Switchboard is in Acme Corp")
	b.reads("#happened", "This install finished earlier")

	// The welcome message, and its button.
	b.open(address + "/client/" + acme + "/dm")
	b.reads("#messages", "now connected to Acme Corp", "First thing to try:")
	b.press(`#messages [data-action-id="connection.test"]`)
	b.reads("#messages", "This is the test message you asked for.", "The test message is in your direct messages")
	b.type_("hello")
	b.reads("#messages .message:last-child", "Hi @Dana Reyes.", "is it working?", "Status", "Permissions", "Help")
	b.picture("greeting")
	b.type_("thanks")
	b.reads("#messages .message:last-child", "You're welcome.")
	b.type_("help")
	b.reads("#messages", "Here is what you can ask Switchboard.")
	b.type_("status")
	b.reads("#messages .message:last-child", "Working", "Checked with Slack just now")

	// In a channel: the command, for her eyes only; a mention, for all.
	general := address + "/client/" + acme + "/" + slacksim.AcmeGeneral
	b.open(general)
	b.type_("/connection status")
	b.reads("#messages .ephemeral", "Only visible to you", "✅ Working since", "Nothing to do.",
		"Checked with Slack just now.")
	b.picture("status")
	b.press(`#messages .ephemeral [data-action-id="connection.details"]`)
	b.reads("#messages .ephemeral", "✅ Working since", "8 of 8 allowed", "Dana Reyes", "Just now, with Slack",
		"Check again")
	b.picture("details")
	b.press(`#messages .ephemeral [data-action-id="connection.check"]`)
	b.reads("#messages .ephemeral", "Checked with Slack just now")
	b.type_("/connection help")
	b.reads("#messages .ephemeral:last-child", "whether it works here, and who can fix it")
	b.type_("/connection history")
	b.reads("#messages .ephemeral:last-child", "History", "Installed. By", "Dana Reyes")
	b.picture("history")
	b.type_("/connection frobnicate")
	b.reads("#messages .ephemeral:last-child", "I don't know “frobnicate”")
	b.press("#add-app")
	b.do("the app joins", chromedp.WaitNotPresent(chromedp.CSS("#add-app")))
	b.type_("@Switchboard status")
	b.reads("#messages .replies", "1 reply")
	b.press("#messages .replies a")
	b.reads("#messages .from-app", "✅ Working since")
	b.reads(".thread-bar", "Thread")
	b.is("what everybody reads has no buttons", `!document.querySelector("#messages .from-app button[data-action-id]")`)

	// The Home tab.
	b.open(address + "/client/" + acme + "/dm")
	b.click("#open-home")
	b.reads("#home", "Working", "What you can do with Switchboard", "hecked ")
	b.picture("home")
	b.press(`#home [data-action-id="connection.check"]`)
	b.ask("the answer to the button", `((home) => home.includes("Checked ") ||
		home.includes("Press again in 10 seconds"))(document.querySelector("#home").innerText)`) // by how fast we are

	// Leon, a plain member, sees the state and nothing to press.
	b.open(address)
	b.signIn(slacksim.AcmeMember)
	b.open(general)
	b.type_("/connection")
	b.reads("#messages .ephemeral:last-child", "Working", "Checked with Slack just now")
	b.is("a member gets nothing that acts", `[...document.querySelectorAll("#messages .ephemeral [data-action-id]")]
		.every(e => e.dataset.actionId === "connection.details")`)
	b.is("a member does not see Dana's answers", `document.querySelectorAll("#messages .ephemeral").length === 1`)

	// The second workspace, by its own admin.
	b.open(address)
	b.signIn(slacksim.BirchAdmin)
	b.click("#app-page")
	b.click("#add-to-slack")
	b.title("Add Switchboard to Slack") // a button of the same name is on both pages
	b.click("#add-to-slack")
	b.reads("h1", "Birch & Co")
	b.click("#allow")
	b.title("Connected: Switchboard is in Birch & Co")
	b.open(address + "/client/" + birch + "/dm")
	b.reads("#messages", "now connected to Birch & Co")

	// Removed, and back again.
	b.open(address)
	b.signIn(slacksim.AcmeAdmin)
	b.click("#app-page")
	b.click("#remove-app")
	b.click("#confirm-yes")
	b.reads("#not-installed", "not installed")
	b.click("#add-to-slack")
	b.title("Add Switchboard to Slack") // a button of the same name is on both pages
	b.click("#add-to-slack")
	b.click("#allow")
	b.title("Connected again: Switchboard is back in Acme Corp")
	b.reads("#happened", "Welcome back. It's ready to use again.")
	b.open(general)
	b.type_("/connection status")
	b.reads("#messages .ephemeral:last-child", "Working", "Checked with Slack just now")
	b.press(`#messages .ephemeral:last-child [data-action-id="connection.details"]`)
	b.reads("#messages .ephemeral:last-child", "Installed twice")

	// And removed from within.
	b.type_("/connection disconnect")
	b.reads("#modal", "Its access and messages are erased immediately, everything else after 90 days.")
	b.picture("disconnect")
	b.press("#modal-submit")
	b.reads("#modal", "Slack removed the app")
	b.picture("disconnected")
	b.press("#modal-close")
	b.windowCloses()
	b.open(address)
	b.signIn(slacksim.AcmeAdmin)
	b.click("#app-page")
	b.reads("#not-installed", "not installed")

	b.mu.Lock()
	for _, c := range b.complaints {
		if !strings.Contains(c, "favicon") {
			t.Errorf("the browser complained: %s", c)
		}
	}
	b.mu.Unlock()
	stop()
}
