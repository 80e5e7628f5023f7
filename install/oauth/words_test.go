package oauth

import (
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/install/words/wordstest"
)

var (
	// Code is what people type, which nobody translates.
	tags   = regexp.MustCompile(`(?s)<style>.*?</style>|<script>.*?</script>|<code>.*?</code>|<[^>]*>`)
	spoken = regexp.MustCompile(`(?:aria-label|content|data-copied)="([^"]*)"`)
	// What is left when this is taken away is said by the pages themselves: what comes from the app (¤), addresses,
	// permissions, numbers, and the codes for support.
	others = regexp.MustCompile(`¤\S*|https?://\S+|[a-z_]+:[a-z]+|(bot\.example|slack)\.com|REF|[0-9:]+|` +
		`^(website|summary|width=device-width, initial-scale=1)$`)
	plain = regexp.MustCompile(`[A-Za-z]`)
)

// All that a page says, in text and for screen readers, stands in words, or comes from the app.
func TestPagesSayNothingOfTheirOwn(t *testing.T) {
	t.Parallel()
	ps := &pages{Config: &Config{
		App: App{Name: "¤App", Summary: "¤Does", Does: []string{"¤1", "¤2", "¤3", "¤4"}, DataKept: "¤kept",
			Commands: Commands{"¤status", "¤reconnect", "¤disconnect"}, Operator: "¤we", SupportURL: "https://example.com/help",
			PrivacyURL: "https://example.com/privacy", TermsURL: "https://example.com/terms", Version: "¤1",
			Words: wordstest.MadeUp(),
			Picture: Picture{By: "¤Dana", Asked: "¤/app", Private: true, Text: "¤answer",
				Blocks: []slack.Block{mrkdwn.Section("¤answer")}}},
		Scopes: []connection.Scope{{Name: "chat:write", Label: "¤Write", Why: "¤why"},
			{Name: "im:history", Label: "¤Read", Why: "¤why", Feature: "¤feature", Optional: true},
			{Name: "app_mentions:read", Label: "¤Hear", Why: "¤why", Feature: "¤feature", Optional: true}},
		Mode:  watch.ByConsent{},
		Links: &links.Links{PublicURL: "https://bot.example.com", Keys: []connection.Secret{"k"}, Now: time.Now},
		Slack: &slackapi.API{Address: "https://slack.com", HTTP: http.DefaultClient}, Log: slog.New(slog.DiscardHandler),
		Ended: func(Outcome, string) {},
	}}
	ps.look = newLook(ps.App)
	ps.Watch = watch.New(watch.Config{Slack: ps.Slack, Mode: ps.Mode})

	codes := map[string]bool{}
	for _, e := range Endings() {
		codes[e.Reason] = true
	}
	looked := 0
	look := func(what string, show func(w http.ResponseWriter, r *http.Request)) {
		t.Helper()
		looked++
		w := httptest.NewRecorder()
		show(w, httptest.NewRequest(http.MethodGet, "/", nil))
		body, _ := io.ReadAll(w.Body)
		if !strings.Contains(string(body), `<html lang="de">`) {
			t.Errorf("%s: isn't in the language of its words: %.40s", what, body)
		}
		said := strings.Split(tags.ReplaceAllString(string(body), "\n"), "\n")
		for _, m := range spoken.FindAllStringSubmatch(string(body), -1) {
			said = append(said, m[1])
		}
		for _, line := range said {
			line = strings.TrimSpace(html.UnescapeString(line))
			if !codes[line] && plain.MatchString(others.ReplaceAllString(line, "")) {
				t.Errorf("%s: says %q by itself", what, line)
			}
		}
	}

	params := []any{"workspace", "¤Acme", "missing", "¤m", "wait", 7, "chosen", "¤c", "wanted", "¤w"}
	for _, s := range everySituation {
		look(s.reason, func(w http.ResponseWriter, r *http.Request) {
			p := ps.of(s, "REF", params...)
			p.Undo = "undo"
			ps.show(w, r, p)
		})
	}
	for _, welcomed := range []bool{true, false} {
		for _, scopes := range [][]string{{"chat:write", "im:history", "app_mentions:read"}, {"chat:write"}, {"im:history"}} {
			for _, k := range []connection.Key{{AppID: "A1", TeamID: "T1"}, {AppID: "A1", EnterpriseID: "E1"}} {
				was := connection.Connection{ID: "con_1", Key: k, State: connection.Active, AuthorizedAt: noon, AuthorizedBy: "U2",
					Scopes: []string{"chat:write", "im:history"}}
				now := was
				now.Scopes, now.AuthorizedBy = scopes, "U1"
				paused, removed, same := was, was, was
				paused.State, removed.State, same.Scopes = connection.Paused, connection.Removed, scopes
				for what, i := range map[string]installed{"new": {now: now}, "again": {now: now, before: &removed, by: "U1"},
					"reload": {now: now, before: &was, again: true}, "changed": {now: now, before: &was, by: "U1"},
					"reconnected": {now: now, before: &paused, by: "U1"}, "same": {now: now, before: &same, by: "U1"},
					"other": {now: now, before: &same, by: "U3"}} {
					look(what, func(w http.ResponseWriter, r *http.Request) {
						p := ps.success(t.Context(), i, welcomed, "REF")
						p.Undo = "undo"
						drawn := ps.draw(ps.App.Picture)
						p.Welcome = &drawn
						ps.show(w, r, p)
					})
				}
			}
		}
	}
	for _, change := range []func(){func() {}, func() { ps.Closed = true }, func() { ps.App.Commands = Commands{} },
		func() { ps.Admit = []string{"T1"} }, func() { ps.App.Operator = "" }, func() { ps.Mode = &watch.ByToken{} }} {
		change()
		look("landing", ps.landing)
	}
	if looked < 130 {
		t.Errorf("looked at %d pages", looked)
	}
}

// Each ending has its sentences, and none of them names what it isn't given.
func TestEveryEndingHasItsSentences(t *testing.T) {
	t.Parallel()
	ps := &pages{Config: &Config{App: App{Name: "Hello", Commands: Commands{"/s", "/r", "/d"}},
		Links: &links.Links{}, Slack: &slackapi.API{}}}
	params := []any{"workspace", "Acme", "missing", "m", "wait", 7, "chosen", "Beta", "wanted", "Acme"}
	for _, s := range everySituation {
		p := ps.of(s, "REF", params...)
		for what, said := range map[string]string{"title": p.Title, "happened": p.Happened, "unchanged": p.Unchanged,
			"next": p.Primary.Label, "other": p.Secondary.Label} {
			if strings.HasPrefix(said, "pages.") || strings.ContainsAny(said, "{}") || said == "" && what != "unchanged" &&
				!(what == "other" && s.secondary.where == nowhere) {
				t.Errorf("%s: %s is %q", s.reason, what, said)
			}
		}
		if len(s.types) > 0 {
			if typed := ps.typed(s, append(params, "app", "Hello")); !strings.HasSuffix(p.Happened, typed) || typed == "" {
				t.Errorf("%s: what can be typed is %q", s.reason, typed)
			}
		}
	}
}
