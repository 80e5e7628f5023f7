package cli

// The stage of the long walks in a browser: the program as serve runs it, in a small Slack with its chat pages, on one
// clock for both, which the test moves. What the program sends is held against Slack's limits at the end.

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/web"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Who walks besides those of the small world, and where: all of them are in two channels that Acme shares with Birch.
// The app is in one of them.
const (
	walkGuest  = "U0ACMEMIAG"
	walkAbroad = "U0ACMENOAH" // a member
	withApp    = "C0WALKWITH"
	noApp      = "C0WALKNONE"
)

// walk is a test's stage, with somebody in front of a browser.
type walk struct {
	*world
	b     *tab
	clock *slacksim.ManualClock
}

// newWalk runs the app from a time on. Nobody has installed it yet.
func newWalk(t *testing.T, from time.Time) *walk {
	t.Helper()
	clock := slacksim.NewManualClock(from.Round(0)) // without a monotonic reading, which would go on by itself
	w := newWorldIn(t, storagetest.SQLite(t), slacksim.Config{Clock: clock, Pages: web.Pages()})
	w.slack.AddUser(slacksim.User{ID: walkGuest, TeamID: slacksim.Acme, Name: "mia", RealName: "Mia Novak",
		TZ: "Europe/Prague", Guest: true})
	w.slack.AddUser(slacksim.User{ID: walkAbroad, TeamID: slacksim.Acme, Name: "noah", RealName: "Noah Kim",
		TZ: "America/New_York"})
	everybody := []string{slacksim.AcmeAdmin, slacksim.AcmeMember, walkGuest, walkAbroad, slacksim.BirchMember}
	for id, name := range map[string]string{withApp: "with-it", noApp: "without-it"} {
		w.slack.AddChannel(slacksim.Channel{ID: id, TeamID: slacksim.Acme, Name: name, Members: everybody,
			SharedWith: []string{slacksim.Birch}})
	}

	w.of = ours()
	w.of.Handlers = commands.All() // as Slack knows them
	w.of.clock = func(func(string) string) func() time.Time { return clock.Now }
	k := &walk{world: w, clock: clock}
	k.run()
	k.b = newTab(t)
	t.Cleanup(k.withinLimits) // before the world ends
	return k
}

// run starts the program. What it works on stays its own while the clock jumps.
func (k *walk) run() { k.start(1, map[string]string{"INBOX_LEASE": "10m"}) }

// restart ends the program and starts it again.
func (k *walk) restart() {
	k.t.Helper()
	k.rest()
	k.stop()
	k.run()
}

// rest waits until the program has worked all that came in, and every timer that is due.
func (k *walk) rest() {
	k.t.Helper()
	k.settle()
	until(k.t, "the program to have done its work", func() bool {
		var left int
		k.query(&left, `SELECT (SELECT count(*) FROM timers WHERE parked = 0 AND due_at <= ?) +
			(SELECT count(*) FROM inbox WHERE state IN ('ready', 'held', 'queued'))`, k.clock.Now().UnixMicro())
		return left == 0
	})
}

// query reads a number from the program's database.
func (k *walk) query(into *int, query string, args ...any) {
	k.t.Helper()
	db := k.sql()
	defer db.Close()
	if err := db.QueryRow(query, args...).Scan(into); err != nil {
		k.t.Fatal(err)
	}
}

// until moves the clock to a time. What is due on the way comes at its own time, one after the other.
func (k *walk) until(at time.Time) {
	k.t.Helper()
	for {
		k.rest()
		var due int // microseconds since 1970
		k.query(&due, `SELECT coalesce(min(due_at), 0) FROM timers WHERE parked = 0`)
		next := time.UnixMicro(int64(due))
		if due == 0 || next.After(at) {
			break
		}
		k.clock.Advance(max(0, next.Sub(k.clock.Now())))
	}
	k.clock.Advance(max(0, at.Sub(k.clock.Now())))
	k.rest()
}

// pass lets some time pass.
func (k *walk) pass(d time.Duration) {
	k.t.Helper()
	k.rest() // what is under way began before
	k.until(k.clock.Now().Add(d))
}

// be signs in as somebody and goes to a conversation.
func (k *walk) be(userID, place string) {
	k.t.Helper()
	u, _ := k.slack.Directory.User(userID)
	k.b.be(k.slack, userID, u.TeamID, place)
}

// install has an admin of Acme install the app, and add it to one of the channels.
func (k *walk) install() {
	k.t.Helper()
	k.be(slacksim.AcmeAdmin, slacksim.AcmeGeneral)
	k.b.add()
	k.b.click("#allow")
	k.b.title("Connected: Switchboard is in Acme Corp")
	k.be(slacksim.AcmeAdmin, withApp)
	k.b.press("#add-app")
	k.b.do("the app joins", chromedp.WaitNotPresent(chromedp.CSS("#add-app")))
}

// presses clicks one of the app's buttons, and waits until the program has heard of it.
func (k *walk) presses(selector string) {
	k.t.Helper()
	heard := func() (n int) {
		for _, d := range k.slack.Deliveries() {
			if d.Kind == "interaction" && d.Done {
				n++
			}
		}
		return n
	}
	before := heard()
	k.b.press(selector)
	k.wait("the press of "+selector, func() bool { return heard() > before })
	k.b.ask("the page to have heard the answer", `!document.querySelector('form[aria-busy]')`)
}

// puts sets a field of the window that is open, by its action_id: a text, a time, or what is chosen.
func (b *tab) puts(actionID string, values ...string) {
	b.t.Helper()
	b.ask("put "+strings.Join(values, ", ")+" into "+actionID, fmt.Sprintf(`((all, values) => {
		if (!all.length) return false;
		for (const e of all) {
			if (e.type === "checkbox") e.checked = values.includes(e.value);
			else if (e.multiple) for (const o of e.options) o.selected = values.includes(o.value);
			else e.value = values[0];
		}
		return true;
	})([...document.querySelectorAll('#modal [data-action-id=%q]')], %s)`, actionID, array(values)))
}

// submits sends the window that is open, which closes.
func (b *tab) submits() {
	b.t.Helper()
	b.press("#modal-submit")
	b.windowCloses()
}

// windowCloses waits until no window is open.
func (b *tab) windowCloses() {
	b.t.Helper()
	b.do("the window closes", chromedp.WaitNotPresent(chromedp.CSS("#modal")))
}

// permit gives the app permissions in Acme and takes others from it, as an admin does.
func (k *walk) permit(give, take []string) {
	k.t.Helper()
	if err := k.slack.Admins.Permit(slacksim.Acme, give, take); err != nil {
		k.t.Fatal(err)
	}
}

// news are the messages of a conversation from some point on.
type news struct {
	b     *tab
	what  string
	after string // ts of the last message that isn't one of them
}

// says puts a line into the message box, presses Enter and returns what comes of it.
func (b *tab) says(line string) news {
	b.t.Helper()
	n := b.news(line)
	b.ask("say "+line, fmt.Sprintf(`(box => {
		if (!box || document.readyState !== "complete") return false;
		box.value = %q;
		box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true}));
		return true;
	})(document.querySelector("#composer textarea"))`, line))
	return n
}

// news are the messages that come from now on.
func (b *tab) news(what string) news {
	b.t.Helper()
	last, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](
		`[...document.querySelectorAll("#messages .message")].map(e => e.dataset.ts).sort().at(-1) || ""`))
	if err != nil {
		b.fail(what, err)
	}
	return news{b: b, what: what, after: last}
}

// reads waits until one of them says all of want, and nothing of not.
func (n news) reads(want, not []string) {
	n.b.t.Helper()
	n.b.ask(fmt.Sprintf("%s: read %q and not %q", n.what, want, not), fmt.Sprintf(`[...document.querySelectorAll(
		"#messages .message")].some(e => e.dataset.ts > %q && %s.every(s => e.innerText.includes(s)) &&
		!%s.some(s => e.innerText.includes(s)))`, n.after, array(want), array(not)))
}

// nothing fails the test if one of them is the app's.
func (n news) nothing() {
	n.b.t.Helper()
	said, err := chromedp.Run(n.b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`[...document.querySelectorAll(
		"#messages .from-app")].filter(e => e.dataset.ts > %q).map(e => e.innerText).join("\n")`, n.after)))
	if err != nil {
		n.b.fail(n.what, err)
	}
	if said != "" {
		n.b.t.Errorf("%s: the app is to say nothing, and says\n%s", n.what, said)
	}
}

// array is strings as a script has them.
func array(all []string) string {
	if all == nil {
		all = []string{}
	}
	quoted, _ := json.Marshal(all) // strings have no errors
	return string(quoted)
}

// sent is something that the program showed somebody: a message, an answer or a window.
type sent struct {
	Text   string            `json:"text"`
	Blocks []json.RawMessage `json:"blocks"`
	View   json.RawMessage   `json:"view"`
}

// Slack's limits, of which the small Slack refuses what breaks the hard ones. It takes 40,000 characters of text and
// shows 4,000.
const (
	mostText          = 4000
	mostBlocks        = 50
	mostBlocksInViews = 100
)

// sentences is a text that is read out and shown in notifications: it begins like a sentence and ends like one.
var sentences = regexp.MustCompile(`(?s)^[\p{Lu}\p{N}\p{So}“<:*_` + "`" + `].*[.!?:…”)>]$`)

// listItem is a line of a list, below the sentence that says what it is one of.
var listItem = regexp.MustCompile(`\n• .*`)

// withinLimits fails the test for each message, answer and view of the program that Slack refused for its form, or that
// a screen reader has no whole sentence of.
func (k *walk) withinLimits() {
	k.settle()
	messages := 0
	look := func(what string, s sent) {
		if s.Text == "" && s.Blocks == nil && s.View == nil {
			return
		}
		messages++
		k.measure(what, s)
	}

	for _, c := range k.slack.Calls() {
		if strings.HasPrefix(c.Error, "invalid_") || strings.Contains(c.Error, "too_long") || c.Error == "no_text" ||
			strings.HasPrefix(c.Error, "too_many_") {
			k.t.Errorf("%s was refused: %s", c.Method, c.Error)
		}
		if !showing[c.Method] {
			continue
		}
		s := sent{Text: c.Arg("text"), View: json.RawMessage(c.Arg("view"))}
		if blocks := c.Arg("blocks"); blocks != "" {
			if err := json.Unmarshal([]byte(blocks), &s.Blocks); err != nil {
				k.t.Errorf("%s: blocks: %v", c.Method, err)
			}
		}
		look(c.Method, s)
	}
	for _, d := range k.slack.Deliveries() {
		var s sent
		if json.Unmarshal(d.Answer, &s) == nil {
			look("the answer to "+d.Type, s)
		}
	}
	if messages < 3 {
		k.t.Errorf("only %d messages to look at", messages)
	}
}

// showing are the calls that show somebody something.
var showing = map[string]bool{"chat.postMessage": true, "chat.postEphemeral": true, "chat.update": true,
	"response_url": true, "views.open": true, "views.push": true, "views.update": true, "views.publish": true}

func (k *walk) measure(what string, s sent) {
	if len(s.View) > 0 {
		var view struct {
			Blocks []json.RawMessage `json:"blocks"`
		}
		if err := json.Unmarshal(s.View, &view); err != nil || len(view.Blocks) == 0 ||
			len(view.Blocks) > mostBlocksInViews {
			k.t.Errorf("%s: a view of %d blocks, %v", what, len(view.Blocks), err)
		}
		return
	}
	if n := len(s.Blocks); n > mostBlocks {
		k.t.Errorf("%s: %d blocks", what, n)
	}
	switch n := len([]rune(s.Text)); {
	case n > mostText:
		k.t.Errorf("%s: a text of %d characters", what, n)
	case !sentences.MatchString(listItem.ReplaceAllString(s.Text, "")):
		k.t.Errorf("%s: its text is no whole sentence: %q", what, s.Text)
	}
}
