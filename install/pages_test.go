package install_test

// What every answer of the installer carries, and what looking at one does not do.

import (
	"encoding/json"
	"html"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/messages"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// No cache keeps an answer, no site frames it, nothing runs on it that isn't ours, and it sends nothing elsewhere.
func TestEveryAnswerIsGuarded(t *testing.T) {
	t.Parallel()
	for public, secure := range map[string]bool{stage.Redirect: false, "https://bot.example.com": true} {
		r := newRig(t, storagetest.SQLite(t))
		in := r.replica(func(cfg *install.Config) { cfg.PublicURL = public })
		for _, request := range []string{"GET /", "GET /slack/install", "HEAD /slack/install", "HEAD /slack/oauth_redirect",
			"GET /slack/oauth_redirect", "GET /slack/oauth_redirect?code=1.2", "POST /slack/undo", "GET /nowhere"} {
			for _, accept := range []string{"text/html", "application/json"} {
				method, path, _ := strings.Cut(request, " ")
				req := httptest.NewRequest(method, path, nil)
				req.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				in.Handler().ServeHTTP(w, req)

				for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
					"X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex"} {
					if got := w.Header().Get(name); got != want {
						t.Errorf("%s as %s: %s is %q", request, accept, name, got)
					}
				}
				policy := w.Header().Get("Content-Security-Policy")
				for _, want := range []string{"default-src 'none'", "img-src data:", "form-action 'self'", "base-uri 'none'",
					"frame-ancestors 'none'"} {
					if !strings.Contains(policy, want) || strings.Contains(policy, "unsafe") {
						t.Errorf("%s as %s: no %s in the policy %q", request, accept, want, policy)
					}
				}
				if got := w.Header().Get("Strict-Transport-Security"); (got != "") != secure {
					t.Errorf("%s at %s: Strict-Transport-Security is %q", request, public, got)
				}
			}
		}
	}
}

// Whoever asks for the head of an address, as link checkers do, has used up nothing of it.
func TestHeadUsesNothingUp(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	v := r.visitor(in)
	back := v.back(start, slacksim.AcmeAdmin)
	for _, address := range []string{back, stage.Redirect + start} {
		req := httptest.NewRequest(http.MethodHead, address, nil)
		req.Header.Set("Cookie", v.cookie)
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, req)
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != http.MethodGet ||
			len(w.Result().Cookies()) != 0 {
			t.Errorf("%s: %d, allowed is %q", address, w.Code, w.Header().Get("Allow"))
		}
	}
	if n := r.codes(); n != 0 {
		t.Errorf("%d codes were spent", n)
	}
	v.get(back).is(t, "then", 200, "connected")
}

// presented is an app with all that its landing page can say, one permission of which can be left out.
func presented(cfg *install.Config) {
	cfg.App = install.App{Name: "Renewal", Color: "#7a3e9d", Summary: "Says hello.", Operator: "Acme IT", DataKept: "The name.",
		SupportURL: "https://help.example.com", PrivacyURL: "https://privacy.example.com"}
	cfg.Scopes = []connection.Scope{{Name: "chat:write", Label: "Send messages", Why: "To answer."},
		{Name: "files:write", Label: "Send files", Why: "To answer with one.", Optional: true}}
}

// What an IT team reads before it approves, and what an admin is sent, names each permission and whether it can be left
// out.
func TestLandingForAdmins(t *testing.T) {
	r := sqliteRig(t)
	page := html.UnescapeString(r.visitor(r.replica(presented)).html("/"))
	for _, want := range []string{
		"Renewal, a Slack app\nSays hello.\n\nRun by: Acme IT\n\nPermissions (bot):\n" +
			"- chat:write: Send messages. To answer.\n- files:write, optional: Send files. To answer with one.\n\n" +
			"Data kept: The name. ",
		"\nServers: this app runs at 127.0.0.1:9 and talks to " + strings.TrimPrefix(r.Slack.URL(), "http://") + " only.\n",
		"then Remove App.\nPrivacy: https://privacy.example.com\nSupport: https://help.example.com\n",
		"It is installed from " + stage.Redirect + "/, where each permission is explained.\nIt asks for:\n" +
			"- Send messages (chat:write): To answer.\n- Send files (files:write, optional): To answer with one.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
}

// Whoever gets a link to the landing page sees what it is of before they follow it: words, and a picture that is ours.
func TestLinkPreview(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(presented)
	page := r.visitor(in).html("/")
	for name, want := range map[string]string{"og:title": "Add Renewal to Slack", "og:description": "Says hello.",
		"og:type": "website", "og:url": stage.Redirect + "/", "og:image": stage.Redirect + "/slack/icon.png",
		"og:image:alt": "The icon of Renewal"} {
		if !strings.Contains(page, `<meta property="`+name+`" content="`+want+`">`) {
			t.Errorf("no %s with %q in %s", name, want, page)
		}
	}

	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/slack/icon.png", nil))
	picture, err := png.Decode(w.Body)
	if err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/png" ||
		!strings.HasPrefix(w.Header().Get("Cache-Control"), "public") {
		t.Fatalf("the picture: %d %v %v", w.Code, w.Header(), err)
	}
	seen := map[color.Color]int{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			seen[color.RGBAModel.Convert(picture.At(x, y))]++
		}
	}
	if ground, ink := seen[color.RGBA{0x7a, 0x3e, 0x9d, 0xff}], seen[color.RGBA{0xff, 0xff, 0xff, 0xff}]; ground < ink ||
		ink < 5000 {
		t.Errorf("the picture has %d pixels in the app's colour, and %d of its initial", ground, ink)
	}
}

// What the app says is on the landing page as a picture, without anything that could be pressed, and in words for those
// who don't see it.
func TestLandingPicture(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	page := r.visitor(r.replica(func(cfg *install.Config) {
		presented(cfg)
		button := slack.NewButtonBlockElement("x", "", slack.NewTextBlockObject("plain_text", "Press <me>", false, false))
		cfg.App.Picture = install.Picture{
			By: "Dana Reyes", Asked: "/renew", Text: "*Renewed* for <@U1> &amp; <#C1|general>.",
			Names: map[string]string{"U1": "Leon"}, Blocks: []slack.Block{
				mrkdwn.Section("*Renewed* for <@U1> &amp; <#C1|general>: `1 < 2`, <https://example.com|more>, " +
					"<!date^1^{date}|3 March>"),
				slack.NewActionBlock("", button),
			},
		}
	})).html("/")
	for _, want := range []string{
		`<figure class="picture" role="img" aria-label="Dana Reyes types /renew. Renewal answers: Renewed for @Leon ` +
			`&amp; #general.">`,
		`<p><strong>Renewed</strong> for <span class="mention">@Leon</span> &amp; <span class="mention">#general</span>: ` +
			`<code>1 &lt; 2</code>, <span class="link">more</span>, 3 March</p>`,
		`<span class="press">Press &lt;me&gt;</span>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	if strings.Contains(page, "https://example.com") {
		t.Error("the picture leads elsewhere")
	}
}

// After an install people see the message that awaits them, as it was sent: once, and not where it couldn't be sent.
func TestWelcomeIsPictured(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(func(cfg *install.Config) {
		named("Renewal")(cfg)
		cfg.App.Does = []string{"Type `/renew` <now>."}
		cfg.Messages = messages.New(*cfg)
	})
	const pictured = `<figure class="picture" role="img" aria-label="Renewal says: Renewal is now connected to Acme Corp.`
	v := r.visitor(in)
	back := v.back(start, slacksim.AcmeAdmin)
	page := v.html(back)
	if strings.Count(page, pictured) != 1 || strings.Contains(page, "xoxb-") {
		t.Errorf("no picture of the welcome: %s", page)
	}
	// What people type is code on both pages, and one fact is no list.
	const typed = "<li>Type <code>/renew</code> &lt;now&gt;.</li>"
	if !strings.Contains(page, typed) || !strings.Contains(page, `<p id="facts">Permissions: `) ||
		!strings.Contains(v.html("/"), typed) {
		t.Errorf("no code, or a list of one: %s", page)
	}
	if page := v.html(back); strings.Contains(page, pictured) {
		t.Error("a reload shows it as if it was sent again")
	}

	r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "restricted_action"})
	w := r.visitor(in)
	if page := w.html(w.back(start, slacksim.BirchAdmin)); strings.Contains(page, "<figure") ||
		!strings.Contains(page, "couldn&#39;t send you a message") && !strings.Contains(page, "couldn't send you a message") {
		t.Errorf("it wasn't sent: %s", page)
	}
}

// What people come to read is unfolded, and nothing else.
func TestLandingUnfolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	v := r.visitor(r.replica(presented))
	if page := v.html("/"); strings.Contains(page, "<details open") || strings.Contains(page, `" open>`) ||
		!strings.Contains(page, "<summary>Permissions: 1 required, 1 optional</summary>") {
		t.Errorf("unfolded, or not counted: %s", page)
	}
	cancelled := v.installs(start, slacksim.AcmeAdmin, slacksim.Choice{Deny: true})
	address, part, _ := strings.Cut(cancelled.Other.URL, "#")
	page := v.html(address)
	if strings.Count(page, `" open>`) != 1 || !strings.Contains(page, `<details id="permissions" open>`) ||
		part != "permissions" {
		t.Errorf("%s leads to %s", cancelled.Other.URL, page)
	}
}

// The landing page for tools says what it asks for, and where it is installed: unless it can't be, and then why.
func TestLandingForTools(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change      func(cfg *install.Config)
		reason, url any
	}{
		"open":     {func(*install.Config) {}, nil, stage.Redirect + "/slack/install"},
		"closed":   {func(cfg *install.Config) { cfg.Closed = true }, "closed", stage.Redirect + "/slack/install"},
		"one team": {func(cfg *install.Config) { cfg.BotToken = "xoxb-1-2-three" }, "single_workspace", nil},
	} {
		r := newRig(t, storagetest.SQLite(t))
		in := r.replica(func(cfg *install.Config) { presented(cfg); test.change(cfg) })
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Accept", "application/json")
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, req)

		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %v %s", name, w.Code, err, w.Body)
		}
		want := map[string]any{"app": "Renewal", "summary": "Says hello.", "operator": "Acme IT",
			"support_url": "https://help.example.com", "privacy_url": "https://privacy.example.com", "terms_url": "",
			"scopes": []any{
				map[string]any{"scope": "chat:write", "label": "Send messages", "why": "To answer.", "optional": false},
				map[string]any{"scope": "files:write", "label": "Send files", "why": "To answer with one.", "optional": true},
			}}
		for field, value := range map[string]any{"reason": test.reason, "install_url": test.url} {
			if value != nil {
				want[field] = value
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, not %v", name, got, want)
		}
	}
}
