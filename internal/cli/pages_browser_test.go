package cli

// The install pages for everybody: each one that a person can meet, in a real browser, light and dark, on a small
// screen, read by rules and by keyboard. With SCREENSHOTS=folder each is photographed.

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// shown serves pages again as they were answered, headers and all, so that a browser need not go the whole way to each.
type shown struct {
	*httptest.Server
	pages map[string]answer
	names []string
}

func (s *shown) add(name string, a answer) {
	if _, there := s.pages[name]; !there {
		s.names = append(s.names, name)
	}
	s.pages[name] = a
}

func show(t *testing.T) *shown {
	s := &shown{pages: map[string]answer{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, there := s.pages[strings.TrimPrefix(r.URL.Path, "/")]
		if !there {
			http.NotFound(w, r)
			return
		}
		for _, name := range []string{"Content-Type", "Content-Security-Policy", "Cache-Control"} {
			w.Header().Set(name, a.header.Get(name))
		}
		_, _ = w.Write([]byte(a.body))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestPagesForEverybody(t *testing.T) {
	storagetest.Long(t)
	b := newTab(t)
	pages := show(t)
	w := newWorld(t, storageURL(t))
	w.addGrid()
	w.start(1, map[string]string{"PRIVACY_URL": "https://example.com/privacy", "TERMS_URL": "https://example.com/terms"})
	for _, m := range w.meetings() {
		name := m.reason
		if name == "" {
			name = "landing"
		}
		w.afresh()
		pages.add(name, m.visit(w.browser()))
	}
	for name, settings := range map[string]map[string]string{
		"landing-closed": {"INSTALLS": "closed"}, "landing-some": {"INSTALLS": slacksim.Birch},
		"landing-bare": {"OPERATOR_NAME": "", "SUPPORT_URL": ""},
	} {
		w.afresh()
		w.settle()
		w.stop()
		w.start(1, settings)
		pages.add(name, landing(w.browser()))
		if name == "landing-closed" {
			pages.add("closed", atSlack(slacksim.AcmeAdmin, slacksim.Choice{})(w.browser()))
		}
	}
	pages.add("busy", w.crowded(slacksim.BirchAdmin))
	if len(pages.names) < 40 {
		t.Errorf("only %d different pages", len(pages.names))
	}
	for _, name := range pages.names {
		b.open(pages.URL + "/" + name)
		b.ask(name+": the policy lets the page's style in", // and it is there, which takes a moment where much else runs
			`getComputedStyle(document.querySelector(".card")).borderRadius !== "0px"`)
		b.usable(name)
		if strings.HasPrefix(name, "landing") {
			b.short(name)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		t.Errorf("the browser complained: %s", c)
	}
}

// short fails the test when the page takes more than one and a half screens of a laptop while nothing is unfolded.
func (b *tab) short(what string) {
	b.t.Helper()
	b.do("fold and shrink "+what, chromedp.EmulateViewport(1366, 768), chromedp.Reload())
	b.is(what+": nothing is unfolded", `!document.querySelector("details[open]")`)
	b.is(what+": takes one and a half screens at most", `document.documentElement.scrollHeight <= 768 * 1.5`)
	b.whole(what + "-laptop")
	b.wide()
}

// crowded is what somebody reads who comes back from Slack when all calls are taken, for a minute from here on.
func (w *world) crowded(userID string) answer {
	w.t.Helper()
	all := slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second / 8, Burst: 80}
	if err := w.store().ClosedUntil(context.Background(), all, time.Now().Add(time.Minute)); err != nil {
		w.t.Fatal(err)
	}
	a := w.browser().install(userID)
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "Many people are installing right now") {
		w.t.Errorf("all calls are taken: %d %s", a.status, a.body)
	}
	return a
}

// The button is a form: pressed in a browser, it takes the install back.
func TestUndoInTheBrowser(t *testing.T) {
	address, stop := runDemo(t)
	b := newTab(t)
	b.open(address)
	b.signIn(slacksim.AcmeAdmin)
	b.click("#app-page")
	b.click("#add-to-slack")
	b.title("Add Switchboard to Slack") // a button of the same name is on both pages
	b.click("#add-to-slack")
	b.click("#allow")
	b.title("Connected: Switchboard is in Acme Corp")
	b.click("#undo")
	b.title("Undone: Switchboard is no longer in Acme Corp")
	b.reads("#happened", "Its access and its messages are erased.")
	b.picture("undone")
	b.do("back to where the page of success was", chromedp.NavigateBack())
	b.title("You undid this install")
	b.reads("#next", "Install again")
	b.is("it is no trouble", `document.querySelector(".state").matches(".good[role=status]")`)
	b.picture("undone-since")
	b.open(fmt.Sprintf("%s/client/%s/dm", address, slacksim.Acme))
	b.reads("#messages", "now connected to Acme Corp") // what was said stays said
	stop()
}
