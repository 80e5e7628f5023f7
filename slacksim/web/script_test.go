package web_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

// inChromium serves a page of the Sim to a real browser, 360 px wide, with a script of the test in front of the page's
// own, and returns what that script handed to done(). The page's policy does not apply there.
func (w *world) inChromium(page, script string) string {
	w.T.Helper()
	var exe string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil && exe == "" {
			exe = p
		}
	}
	if exe == "" {
		if os.Getenv("CI") != "" {
			w.T.Fatal("no Chromium on the PATH")
		}
		w.T.Skip("no browser to test with: put chromium or google-chrome on the PATH")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(rw,
			`<!doctype html><p id="out"></p><iframe src="/page" width="360" height="700" style="border:0"></iframe>`)
	})
	mux.HandleFunc("/page", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(rw, strings.Replace(page, "<head>",
			"<head><script>const done = (x) => { parent.document.getElementById('out').textContent = x; };"+
				"addEventListener('error', (e) => done('error: ' + e.message));"+script+"</script>", 1))
	})
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		res, err := http.Get(w.Sim.URL() + r.URL.Path)
		if err != nil {
			return
		}
		defer res.Body.Close()
		rw.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		rw.WriteHeader(res.StatusCode)
		_, _ = io.Copy(rw, res.Body)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	cmd := exec.CommandContext(w.Ctx, exe, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir="+w.T.TempDir(),
		"--virtual-time-budget=3000", "--dump-dom", srv.URL)
	dom, err := cmd.Output()
	if err != nil {
		w.T.Fatalf("chromium: %v", err)
	}
	m := regexp.MustCompile(`(?s)<p id="out">(.*?)</p>`).FindSubmatch(dom)
	if m == nil {
		w.T.Fatalf("no result: %s", dom)
	}
	return html.UnescapeString(string(m[1]))
}

// fedByHand replaces the live connection: the script's feed() is what the server would send.
const fedByHand = `let feed; window.EventSource = class { constructor() { feed = (region, html) => this.onmessage({ data: JSON.stringify({ region, html }) }); } close() {} };`

func TestLiveUpdatesLoseNoClick(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "t", "blocks", twoButtons)
	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", `a & "b" <https://x.example/|link>`)
	page := b.open("/client/T0ACME0001/dm")
	next := b.stream("/client/T0ACME0001/dm")
	same := map[string]string{}
	for range 3 {
		region, html := next()
		same[region] = html
	}
	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "fresh news")
	region, fresh := next()
	if region != "content" {
		t.Fatal(region)
	}
	given, _ := json.Marshal(map[string]any{"same": same, "fresh": fresh})
	got := w.inChromium(page, fedByHand+`const given = `+string(given)+`;
addEventListener("load", async () => {
  const out = [], check = (ok, what) => { if (!ok) out.push(what); };
  const wait = (ms) => new Promise((r) => setTimeout(r, ms));
  const go = () => document.querySelector('[data-action-id="go"]');
  const news = () => document.querySelector("#messages").textContent.includes("fresh news");
  const pointer = (el, type, more) => el.dispatchEvent(new PointerEvent(type, { bubbles: true, ...more }));
  const summary = document.querySelector("#whoami"), first = go();
  summary.parentElement.open = true; // what a person changed is no reason to replace anything
  for (const [r, h] of Object.entries(given.same)) feed(r, h);
  check(go() === first, "equal content was replaced");
  check(document.querySelector("#whoami") === summary, "an equal sidebar was replaced");

  pointer(first, "pointerdown", { buttons: 1 });
  feed("content", given.fresh);
  const box = document.querySelector("#composer-text");
  box.dispatchEvent(new Event("change", { bubbles: true })); // leaving a text box by pressing a button
  await wait(300);
  check(go() === first && !news(), "the held region was replaced");
  feed("sidebar", given.same.sidebar.replace("Direct messages", "Changed"));
  check(document.querySelector("aside").textContent.includes("Changed"), "another region waited, too");
  pointer(first, "pointermove", { buttons: 1 });
  pointer(first, "pointerup");
  check(go() === first, "replaced before the click");
  await wait(300);
  check(go() !== first && news(), "nothing came after the release");

  pointer(go(), "pointerdown", { buttons: 1 }); // the release was swallowed
  feed("content", given.same.content);
  pointer(box, "pointermove", { buttons: 0 });
  await wait(300);
  check(!news(), "still held after a lost release");

  pointer(go(), "pointerdown", { buttons: 1 }); // there and back again: nothing to do
  const last = go();
  feed("content", given.fresh); feed("content", given.same.content);
  pointer(last, "pointerup");
  await wait(300);
  check(go() === last, "an update that was taken back replaced the region");

  feed("content", given.fresh);
  check(news(), "an update without a press waited");
  done(out.join("; ") || "ok");
});`)
	if got != "ok" {
		t.Error(got)
	}
}

// Who searches in a menu that the app fills stays there: with the focus, what they typed, and as far as they scrolled.
func TestSearchKeepsItsPlace(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) { c.App.OptionsURL = c.App.EventsURL })
	tok := w.Install(slacksim.AcmeAdmin)
	b := w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	form := ""
	for i := range 12 {
		form += fmt.Sprintf(`{"type":"input","block_id":"n%d","label":{"type":"plain_text","text":"Name"},"element":`+
			`{"type":"plain_text_input","action_id":"name"}},`, i)
	}
	form = "[" + form + `{"type":"input","block_id":"who","label":{"type":"plain_text","text":"Owner"},"element":` +
		`{"type":"external_select","action_id":"owner","min_query_length":1}}]`
	_, _ = w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/connection")
	id := w.Call("views.open", tok, "trigger_id", w.Bot.Last(t).Form.Get("trigger_id"), "view", modal("A", form)).
		Str("view", "id")
	page, next := b.open("/client/T0ACME0001/dm"), b.stream("/client/T0ACME0001/dm")
	for range 3 {
		next()
	}
	w.Bot.Reply(jsonReply(`{"options":[{"text":{"type":"plain_text","text":"Ann"},"value":"u7"}]}`))
	b.send("/client/T0ACME0001/view/"+id+"/act", "suggest", "who/owner", "q/who/owner", "an")
	region, found := next()
	given, _ := json.Marshal(found)
	got := w.inChromium(page, fedByHand+`const found = `+string(given)+`;
addEventListener("load", () => {
  const field = document.querySelector("[type=search]");
  field.value = "an"; field.focus();
  const before = document.querySelector(".modal-body").scrollTop;
  feed("`+region+`", found);
  const now = document.activeElement, after = document.querySelector(".modal-body").scrollTop;
  done(before > 100 && after === before && now !== field && now.type === "search" && now.value === "an" &&
    document.querySelector("[value=u7]") ? "ok" : [before, after, now.id, now.value].join(" "));
});`)
	if got != "ok" {
		t.Error(got)
	}
}

func TestNarrowScreens(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	w.Sim.AddWorkspace(slacksim.Workspace{ID: slacksim.Birch, Name: "Birch and a very long name of a company that goes on",
		Domain: "birch-co"})
	consent := b.open(strings.TrimPrefix(w.AuthorizeURL(botScopes), w.Sim.URL()))
	if got := w.inChromium(consent, `addEventListener("load", () => {
  const out = [];
  for (const b of document.querySelectorAll("button.set")) b.hidden = false; // as without the script
  for (const el of document.querySelectorAll(".picker label, .picker button")) {
    const range = document.createRange(); range.selectNodeContents(el);
    const lines = new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size;
    if (lines !== 1) out.push(el.textContent + " takes " + lines + " lines");
  }
  if (document.documentElement.scrollWidth > innerWidth) out.push("the page is " + document.documentElement.scrollWidth + " wide");
  done(out.join("; ") || "ok " + innerWidth);
});`); got != "ok 360" {
		t.Error(got)
	}

	b.send("/signin", "user", slacksim.AcmeMember)
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "parent")
	w.Sim.Reply(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "child")
	for at, link := range map[string]string{"": "1 reply", "?thread=" + ts: "Back to #general"} {
		page := b.open("/client/T0ACME0001/C0ACMEGENE" + at)
		got := w.inChromium(page, fedByHand+`addEventListener("load", () => {
  const a = [...document.querySelectorAll("main a")].find((a) => a.textContent === "`+link+`");
  const h = a ? a.getBoundingClientRect().height : 0;
  done(h >= 44 ? "ok" : "`+link+` is " + h + " high");
});`)
		if got != "ok" {
			t.Error(got)
		}
	}
}
