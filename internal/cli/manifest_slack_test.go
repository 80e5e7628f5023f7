package cli

// The app's settings at Slack against the code: one command says what differs, one makes them the same and has those
// asked who must allow what is new.

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// needing is the app's next release: with a handler that can't do without a permission that nobody was asked for.
func needing(name string) *program {
	of := ours()
	of.Handlers = append(commands.All(), bot.OnCommand("/react", func(context.Context, *bot.Command) error { return nil },
		bot.Describe("Reacts", ""), bot.Scopes(name)))
	return of
}

// deployer is somebody who runs manifest commands: a release of the app, its settings, and a keyboard.
type deployer struct {
	*world
	of    *program
	extra map[string]string
	types string
}

// deployer prepares one with configuration tokens, beside an app that is the code's.
func (w *world) deployer(of *program) *deployer {
	w.t.Helper()
	pair, err := w.slack.Settings.Generate(slacksim.AcmeAdmin)
	if err != nil {
		w.t.Fatal(err)
	}
	return &deployer{world: w, of: of, extra: map[string]string{"SLACK_CONFIG_TOKEN": pair.Token,
		"SLACK_CONFIG_REFRESH_TOKEN": pair.RefreshToken}}
}

// manifest runs one of the commands.
func (o *deployer) manifest(args ...string) (stdout, stderr string, code int) {
	o.t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	of := *o.of
	if o.types != "" {
		of.stdin = strings.NewReader(o.types)
	}
	code = of.exitCode(&errs, of.run(ctx, append([]string{"manifest"}, args...), o.settings(o.extra), &out, &errs))
	_, _ = o.Write(out.Bytes())
	_, _ = o.Write(errs.Bytes())
	return out.String(), errs.String(), code
}

// says runs one that must end with a code, and say this in this order.
func (o *deployer) says(code int, args string, wants ...string) string {
	o.t.Helper()
	out, errs, got := o.manifest(strings.Fields(args)...)
	if got != code {
		o.t.Fatalf("manifest %s: exit %d, want %d\n%s%s", args, got, code, out, errs)
	}
	if missing := inOrder(out+errs, wants...); missing != "" {
		o.t.Errorf("manifest %s: no %q in its place in\n%s%s", args, missing, out, errs)
	}
	return out
}

// What differs between Slack's settings and the code is answered by one command.
func TestManifestDiff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	of := ours()
	of.Handlers = commands.All()
	o := w.deployer(of)
	o.says(0, "diff", "The settings of A0SWITCHBD at Slack are those of the code.")

	w.slack.SetApp(func(a *slacksim.App) {
		a.RedirectURLs = []string{"https://old.example.com/slack/oauth_redirect"}
		a.Events = slices.DeleteFunc(a.Events, func(e string) bool { return e == "app_mention" })
		a.BotScopes = append(a.BotScopes, "files:read")
		a.Commands[0].Description, a.HomeTab = "Is \x1b[31mred", false
		a.Commands = append(a.Commands[:1:1], append(a.Commands[2:], slacksim.Command{Name: "/old"})...)
	})
	out := o.says(1, "diff", "differ from the code. A push adds (+), removes (-) or changes (~):",
		"Addresses", "+ redirect URL "+w.proxy.URL+"/slack/oauth_redirect",
		"- redirect URL https://old.example.com/slack/oauth_redirect",
		"Permissions", "- permission of the bot files:read", "Events", "+ event app_mention",
		"Commands", "~ command description /", "Is ", ", the code ", "- command /old",
		"Features", "~ Home tab: Slack has off, the code on", "To give Slack the code's settings: switchboard manifest push")
	if strings.Contains(out, "\x1b") {
		t.Errorf("steers the terminal: %q", out)
	}

	raw, _, code := o.manifest("diff", "--json")
	var got struct {
		AppID       string `json:"app_id"`
		Same        bool   `json:"same"`
		Differences []struct {
			Group, Pointer, Setting, Item, Change string
			Code, Slack                           any
		} `json:"differences"`
		Kept, Notes []string
	}
	if err := json.Unmarshal([]byte(raw), &got); err != nil || code != 1 || got.Same || got.AppID != "A0SWITCHBD" ||
		len(got.Differences) == 0 || got.Kept == nil || got.Notes == nil {
		t.Fatalf("exit %d, %v: %s", code, err, raw)
	}
	if d := got.Differences[0]; d.Group != "addresses" || d.Pointer != "/oauth_config/redirect_urls" ||
		d.Change != "add" || d.Slack != nil {
		t.Errorf("the first difference: %+v", d)
	}
}

// Without what a command needs it says which setting is missing or wrong, and where to get it.
func TestManifestSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	o := w.deployer(ours())
	good := o.extra
	for _, x := range []struct {
		args string
		code int
		set  map[string]string
		want []string
	}{
		{"diff", 2, map[string]string{"SLACK_APP_ID": "", "PUBLIC_URL": ""}, []string{"PUBLIC_URL: is not set",
			"SLACK_APP_ID: is not set", "Basic Information page"}},
		{"diff", 2, map[string]string{"SLACK_CONFIG_TOKEN": "", "SLACK_CONFIG_REFRESH_TOKEN": ""},
			[]string{"SLACK_CONFIG_TOKEN: is not set", "Your App Configuration Tokens"}},
		{"diff", 2, map[string]string{"SLACK_CONFIG_TOKEN": "xoxb-1-2"}, []string{"isn't a configuration token"}},
		{"diff", 2, map[string]string{"SLACK_CONFIG_REFRESH_TOKEN": good["SLACK_CONFIG_TOKEN"]},
			[]string{"is the token itself"}},
		{"diff", 2, map[string]string{"SLACK_CONFIG_TOKEN": "xoxe.xoxp-1-unknown"}, []string{"isn't known to Slack"}},
		{"diff", 2, map[string]string{"SLACK_APP_ID": "A0NOBODYS1"}, []string{"SLACK_APP_ID: is A0NOBODYS1, and Slack"}},
		{"push", 2, nil, []string{"Add --yes to push without asking"}},
		{"push --limit=0", 2, nil, []string{"--limit must be 1 or more"}},
		{"validate", 0, map[string]string{"SLACK_CONFIG_TOKEN": "", "SLACK_CONFIG_REFRESH_TOKEN": ""},
			[]string{"valid as far as can be told here"}},
		{"validate", 0, nil, []string{"The manifest is valid, here and at Slack."}},
	} {
		w.slack.SetApp(func(a *slacksim.App) { a.HomeTab = false }) // something to push
		o.extra = map[string]string{}
		for _, from := range []map[string]string{good, x.set} {
			for name, v := range from {
				o.extra[name] = v
			}
		}
		o.says(x.code, x.args, x.want...)
	}

	// What Slack finds wrong is on lines of its own, with its place; what shows here needs no Slack.
	o.extra = good
	clear := w.slack.Inject(slacksim.Fault{Method: "apps.manifest.validate", Times: 2, Body: `{"ok":false,` +
		`"error":"invalid_manifest","errors":[{"message":"Too long","pointer":"/display_information/name"},` +
		`{"message":"Unknown scope","pointer":"/oauth_config/scopes/bot/0"}]}`})
	defer clear()
	o.says(1, "validate", "/display_information/name: Too long\n/oauth_config/scopes/bot/0: Unknown scope\n")
	raw, _, code := o.manifest("validate", "--json")
	if code != 1 || inOrder(raw, `"valid": false`, `"checked_by_slack": true`, `"pointer": "/oauth_config`) != "" {
		t.Errorf("exit %d: %s", code, raw)
	}
	o.extra = map[string]string{"SLACK_APP_ID": ""}
	long := *o.of
	long.Name = strings.Repeat("n", 36)
	o.of = &long
	o.says(1, "validate", "manifest: name has 36 characters, Slack allows 1 to 35")
}

// The tokens in the environment run out, and what follows them is kept beside the database.
func TestManifestKeepsTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	of := ours()
	of.Handlers = commands.All()
	o := w.deployer(of)
	defer w.slack.Inject(slacksim.Fault{Method: "apps.manifest.export", Error: "token_expired", Times: 1})()
	o.says(0, "diff", "are those of the code", "The configuration token was renewed. The new pair is in ",
		"config-tokens.json")
	o.says(0, "diff", "are those of the code")
	if n := w.called("tooling.tokens.rotate"); n != 1 {
		t.Errorf("renewed %d times", n)
	}
	if info, err := os.Stat(filepath.Join(w.dataDir, "config-tokens.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kept as %v, %v", info, err)
	}
}

// A push asks first, leaves what only Slack has, and names what is still to do.
func TestManifestPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	of := ours()
	of.Handlers = commands.All()
	o := w.deployer(of)
	theirs := w.slack.App().Manifest()
	mine := strings.Replace(string(theirs), `"socket_mode_enabled"`,
		`"siws_links":{"initiate_uri":"https://bot.example.com/login"},"socket_mode_enabled"`, 1)
	w.slack.SetApp(func(a *slacksim.App) {
		if err := a.SetManifest([]byte(mine)); err != nil {
			t.Fatal(err)
		}
		a.EventsURL, a.HomeTab, a.EventsUnverified = "https://old.example.com/slack/events", false, false
	})

	o.types = "no\n"
	o.says(1, "push", "~ request URL of events: Slack has https://old.example.com/slack/events, the code "+w.proxy.URL,
		"Only at Slack, and nothing that the code decides: /settings/siws_links", "Push these changes? [y/N]",
		"nothing was changed")
	if n := w.called("apps.manifest.update"); n != 0 {
		t.Errorf("pushed %d times without a yes", n)
	}
	o.types = "Yes\n"
	o.says(0, "push", "Push these changes? [y/N] Slack has the code's settings now.",
		"Slack sends no events to the new address before it was verified. While serve runs, press Verify at",
		"https://api.slack.com/apps/A0SWITCHBD/event-subscriptions")
	if app := w.slack.App(); !app.HomeTab || app.EventsURL != w.proxy.URL+"/slack/events" ||
		!strings.Contains(string(app.Manifest()), "siws_links") {
		t.Errorf("after the push: %s", app.Manifest())
	}
	o.says(0, "diff", "are those of the code")

	o.types = ""
	o.says(0, "push", "are those of the code") // nothing to ask about
	if n := w.called("apps.manifest.update"); n != 1 {
		t.Errorf("pushed %d times", n)
	}
	raw, _, code := o.manifest("push", "--prune", "--yes", "--json")
	if code != 0 || inOrder(raw, `"pushed": true`, `"permissions_updated": false`, `"verify_url": ""`) != "" ||
		strings.Contains(string(w.slack.App().Manifest()), "siws_links") {
		t.Errorf("pruned: exit %d, %s", code, raw)
	}
}

// A release needs a permission that no workspace was asked for. The push says who has to allow it, and the app asks one
// person in each, once, with a link that leads to exactly that. Allowing it resolves the message.
func TestPushAsksForConsent(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		now, next := ours(), needing("reactions:write")
		now.Handlers = commands.All()
		w.of = now
		w.start(1, nil)
		w.browser().install(slacksim.AcmeAdmin)
		w.browser().install(slacksim.BirchAdmin)
		w.settle()

		o, checks := w.deployer(next), w.called("auth.test")
		o.says(0, "push --yes", "+ permission of the bot reactions:write", "+ command /react",
			"The app needs what it didn't need before: reactions:write.",
			"2 workspaces have to allow more, because the app needs what they never allowed:",
			"Acme Corp  reactions:write", "Birch & Co  reactions:write", "Slack has the code's settings now.",
			"The app asks one person in each of 2 workspaces, in Slack and once")
		o.says(0, "push --yes", "2 workspaces have to allow more", "asked before. Nobody is asked twice.")
		if limit := o.says(0, "push --yes --limit 1", "and 1 more. All of them, page by page:"); strings.Contains(limit,
			"Birch") {
			t.Errorf("more than one: %s", limit)
		}

		// The release that runs looks at both and doesn't know the permission. The next one does, and asks.
		w.wait("the checks of the old release", func() bool { return w.called("auth.test") >= checks+2 })
		w.settle()
		asks := func(user string) (found []slacksim.Message) {
			for _, m := range w.fromApp(w.slack.DM(user), user) {
				if strings.Contains(m.Text, "was updated") || strings.Contains(m.Text, "Resolved") {
					found = append(found, m)
				}
			}
			return found
		}
		w.stop()
		w.of = next
		w.start(2, nil)
		w.wait("the messages", func() bool {
			return len(asks(slacksim.AcmeAdmin)) > 0 && len(asks(slacksim.BirchAdmin)) > 0
		})
		m := asks(slacksim.AcmeAdmin)[0]
		if missing := inOrder(m.Text, "was updated. In Acme Corp it isn't allowed to", "yet, and now it needs that.",
			"Slack asks you for exactly that."); missing != "" {
			t.Errorf("no %q in %q", missing, m.Text)
		}

		b := w.browser()
		consent := b.begin(strings.TrimPrefix(allow(t, m), w.proxy.URL))
		if u, err := url.Parse(consent); err != nil || u.Query().Get("scope") != "reactions:write" {
			t.Errorf("Slack is asked for %q", consent)
		}
		b.get(b.consent(consent, slacksim.AcmeAdmin, slacksim.Choice{}))
		w.wait("the message to be resolved", func() bool {
			return strings.Contains(asks(slacksim.AcmeAdmin)[0].Text, "Resolved")
		})

		// Once each: not by another push, and not after a restart.
		o.says(0, "push --yes", "1 workspace has to allow more, because the app needs what it never allowed:", "Birch & Co",
			"asked before. Nobody is asked twice.")
		w.stop()
		w.start(1, nil)
		w.settle()
		for _, user := range []string{slacksim.AcmeAdmin, slacksim.BirchAdmin, slacksim.AcmeMember} {
			want := 1
			if user == slacksim.AcmeMember {
				want = 0
			}
			if got := asks(user); len(got) != want {
				t.Errorf("%s has %d messages, want %d", user, len(got), want)
			}
		}
	})
}

// Where the database can't be read and nobody has to allow more it isn't missed. Otherwise nothing is pushed unless
// nobody is to be asked.
func TestPushWithoutDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	w.database = "sqlite:" + filepath.Join(t.TempDir(), "nowhere.db")
	o := w.deployer(needing("reactions:write"))
	o.says(1, "push --yes", "the app needs reactions:write now, and the database", "or add --no-tell")
	if n := w.called("apps.manifest.update"); n != 0 {
		t.Errorf("pushed %d times", n)
	}
	o.says(0, "push --yes --no-tell", "Which workspaces have to allow that isn't known here, without the database.",
		"Slack has the code's settings now.")
	w.slack.SetApp(func(a *slacksim.App) { a.HomeTab = false })
	o.says(0, "push --yes", "~ Home tab", "Slack has the code's settings now.")
}
