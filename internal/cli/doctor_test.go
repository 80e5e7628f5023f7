package cli

// Each failure that doctor tells of is made by a fault, and what it says to do, done to the letter, turns that line
// green.

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/doctor"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/web"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// examined is what doctor --json prints, with these settings and flags, and its exit code.
func (w *world) examined(extra map[string]string, flags ...string) (doctor.Report, int) {
	w.t.Helper()
	settings := map[string]string{"ADMIN_ADDR": "127.0.0.1:1"} // nobody listens there
	w.mu.Lock()
	if len(w.replicas) > 0 {
		settings["ADMIN_ADDR"] = w.replicas[0].admin.Host
	}
	w.mu.Unlock()
	maps.Copy(settings, extra)
	out, errs, code := w.doctor(settings, append([]string{"--json"}, flags...)...)
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		w.t.Fatalf("doctor: exit %d, %v: %s%s", code, err, out, errs)
	}
	return report, code
}

// doctor runs it, for the app that Slack knows.
func (w *world) doctor(settings map[string]string, flags ...string) (stdout, stderr string, code int) {
	return w.as(settings, append([]string{"doctor"}, flags...)...)
}

// finding is one that a check has, the zero one when it has none of this name.
func finding(r doctor.Report, check, name string) doctor.Finding {
	for _, area := range r.Areas {
		for _, c := range area.Checks {
			for _, f := range c.Findings {
				if c.Name == check && f.Name == name {
					return f
				}
			}
		}
	}
	return doctor.Finding{}
}

// fault is something that is wrong, and what doctor has to say of it.
type fault struct {
	check, finding string
	status         doctor.Status
	says, fix      string            // parts of its words
	settings       map[string]string // that doctor is run with, and serve, while it is wrong
	flags          []string
	pages          bool // Slack has its pages for browsers

	// wrong makes it so, and right does what the fix says: then the same doctor, with the corrected settings, is content.
	wrong func(t *testing.T, w *world)
	right func(t *testing.T, w *world)
	// after are the settings once they are corrected; nil: none.
	after map[string]string
}

// restart is what a fix asks for after a setting changed.
func (w *world) restart(settings map[string]string) {
	w.stop()
	w.startOne(settings)
}

// greet has somebody write to the app, so that Slack sends an event, and waits until that is over.
func (w *world) greet() {
	w.say(slacksim.AcmeAdmin, w.slack.DM(slacksim.AcmeAdmin), "hello")
	w.settle()
}

// amend changes what is stored of Acme's connection.
func (w *world) amend(t *testing.T, change func(*connection.Connection)) {
	t.Helper()
	key := connection.Key{AppID: w.slack.App().ID, TeamID: slacksim.Acme}
	if _, err := w.store().Update(t.Context(), key, func(c *connection.Connection) error {
		change(c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// examinedFor is one finding, with the settings that are right.
func (w *world) examinedFor(check, name string) doctor.Finding {
	report, _ := w.examined(nil)
	return finding(report, check, name)
}

// refusals are what Slack holds against an app that refuses what it sends.
func (w *world) refusals() {
	w.breaches = true
}

func faults() map[string]fault {
	wrongSecret := map[string]string{"SLACK_SIGNING_SECRET": strings.Repeat("0f", 16)}
	otherApp := map[string]string{"SLACK_APP_ID": "A0OTHER00"}
	early := map[string]string{clockAhead: "10m30s"}
	badClient := map[string]string{"SLACK_CLIENT_ID": "2873461905.7719034562"}
	badSecret := map[string]string{"SLACK_CLIENT_SECRET": strings.Repeat("0e", 16)}
	nowhere := map[string]string{"SLACK_URL": "http://127.0.0.1:1"}
	refused := map[string]string{"PUBLIC_URL": "http://127.0.0.1:1"}
	sockets := map[string]string{"SLACK_APP_TOKEN": "xapp-1-A0TEST-" + strings.Repeat("f", 40)}
	oldToken := map[string]string{"SLACK_APP_TOKEN": "xapp-1-A0TEST-" + strings.Repeat("e", 40)}
	oldBot, bot := map[string]string{"SLACK_BOT_TOKEN": "xoxb-2873461905-7719034562-erased"}, map[string]string{}

	configured := map[string]string{}

	return map[string]fault{
		"the signing secret is another app's": {
			check: "deliveries", finding: "refused_signature", status: doctor.Failed,
			says: "deliveries were refused because their signature doesn't match SLACK_SIGNING_SECRET, the last one just now.",
			fix:  "/general into SLACK_SIGNING_SECRET, then restart switchboard serve", settings: wrongSecret,
			wrong: func(_ *testing.T, w *world) {
				w.refusals()
				w.startOne(wrongSecret)
				w.browser().install(slacksim.AcmeAdmin)
				w.greet()
				w.greet()
			},
			right: func(t *testing.T, w *world) {
				// Corrected in .env alone, it does nothing yet.
				report, _ := w.examined(nil)
				if f := finding(report, "deliveries", "stale_settings"); f.Status != doctor.Failed ||
					!strings.HasSuffix(f.Text, " for: SLACK_SIGNING_SECRET.") {
					t.Errorf("before the restart: %+v", f)
				}
				w.restart(nil)
				w.greet()
				report, _ = w.examined(nil)
				if f := finding(report, "deliveries", "last_delivery"); f.Status != doctor.OK ||
					!strings.HasPrefix(f.Text, "The last good delivery was ") {
					t.Errorf("after the restart: %+v", f)
				}
			},
		},
		"the app's id is another one's": {
			check: "deliveries", finding: "refused_app_id", status: doctor.Failed,
			says: "because they are for another app than SLACK_APP_ID (A0OTHER00)", fix: "into SLACK_APP_ID, then restart",
			settings: otherApp,
			wrong: func(_ *testing.T, w *world) {
				w.refusals()
				w.startOne(nil)
				w.browser().install(slacksim.AcmeAdmin)
				w.settle()
				w.restart(otherApp)
				w.greet()
			},
			right: func(_ *testing.T, w *world) { w.restart(nil) },
		},
		"the app's id is not that of the connections": {
			check: "settings", finding: "app_id", status: doctor.Failed,
			says: "SLACK_APP_ID is A0OTHER00, and all connections in the database are of ", fix: "into SLACK_APP_ID",
			settings: otherApp,
			wrong: func(_ *testing.T, w *world) {
				w.startOne(nil)
				w.browser().install(slacksim.AcmeAdmin)
			},
			right: func(*testing.T, *world) {},
		},
		"the clock is wrong": {
			check: "deliveries", finding: "refused_timestamp", status: doctor.Failed,
			says: "because their time is more than 5 minutes from the clock here", fix: "timedatectl set-ntp true",
			settings: early,
			wrong: func(_ *testing.T, w *world) {
				w.refusals()
				w.startOne(early)
				w.browser().install(slacksim.AcmeAdmin)
				w.greet()
			},
			right: func(_ *testing.T, w *world) { w.restart(nil) },
		},
		"the clock is wrong by Slack's": {
			check: "address", finding: "clock", status: doctor.Failed,
			says: "is 10 minutes ahead of Slack's.", fix: "timedatectl set-ntp true", settings: early,
			wrong: func(*testing.T, *world) {}, right: func(*testing.T, *world) {},
		},
		"it isn't running": {
			check: "deliveries", finding: "serving", status: doctor.Warning,
			says: "It isn't running here: nothing answers at ADMIN_ADDR (127.0.0.1:1).", fix: "start it: switchboard serve.",
			wrong: func(*testing.T, *world) {}, right: func(_ *testing.T, w *world) { w.startOne(nil) },
		},
		"the proxy has nobody to send to": {
			check: "address", finding: "public_url", status: doctor.Failed,
			says: "A proxy answers at http://127.0.0.1:", fix: "start it: switchboard serve.",
			wrong: func(*testing.T, *world) {}, right: func(_ *testing.T, w *world) { w.startOne(nil) },
		},
		"nothing answers at the public address": {
			check: "address", finding: "public_url", status: doctor.Failed,
			says: "Nothing answers at http://127.0.0.1:1: dial tcp 127.0.0.1:1:", fix: "or correct PUBLIC_URL", settings: refused,
			wrong: func(_ *testing.T, w *world) { w.startOne(refused) },
			right: func(_ *testing.T, w *world) { w.restart(nil) },
		},
		"the keys are another app's": {
			check: "address", finding: "public_url", status: doctor.Failed, says: "leads to a process with other ENCRYPTION_KEYS",
			fix: "stop that one, or point the proxy", settings: map[string]string{"ENCRYPTION_KEYS": seal.NewKey()},
			wrong: func(_ *testing.T, w *world) { w.startOne(nil) }, right: func(*testing.T, *world) {},
		},
		"serve runs with other keys": {
			check: "deliveries", finding: "stale_settings", status: doctor.Failed,
			says: "has another value than the settings here for: ENCRYPTION_KEYS.", fix: "restart switchboard serve",
			settings: map[string]string{"ENCRYPTION_KEYS": seal.NewKey()},
			wrong:    func(_ *testing.T, w *world) { w.startOne(nil) }, right: func(*testing.T, *world) {},
		},
		"the client id is unknown": {
			check: "credentials", finding: "client", status: doctor.Failed,
			says: "Slack knows no app with SLACK_CLIENT_ID (2873461905.7719034562).", fix: "/general into SLACK_CLIENT_ID",
			settings: badClient,
			wrong:    func(*testing.T, *world) {}, right: func(*testing.T, *world) {},
		},
		"the client secret is another one": {
			check: "credentials", finding: "client", status: doctor.Failed,
			says: "SLACK_CLIENT_SECRET isn't the secret of SLACK_CLIENT_ID", fix: "/general into SLACK_CLIENT_SECRET",
			settings: badSecret,
			wrong:    func(*testing.T, *world) {}, right: func(*testing.T, *world) {},
		},
		"Slack can't be reached": {
			check: "credentials", finding: "client", status: doctor.Failed,
			says: "Slack can't be reached at http://127.0.0.1:1: dial tcp", fix: "let this machine open connections",
			settings: nowhere,
			wrong:    func(*testing.T, *world) {}, right: func(*testing.T, *world) {},
		},
		"the redirect URL at Slack is an old one": differs("slack_addresses", doctor.Failed,
			"Addresses: Slack doesn't have the redirect URL http://127.0.0.1:", func(a *slacksim.App) {
				a.RedirectURLs = []string{"https://old.example.com/slack/oauth_redirect"}
			}),
		"Slack sends events to an old address": differs("slack_addresses", doctor.Failed,
			"request URL of events is https://old.example.com/slack/events at Slack and http://127.0.0.1:",
			func(a *slacksim.App) { a.EventsURL = "https://old.example.com/slack/events" }),
		"Slack sends no mentions": differs("slack_events", doctor.Failed, "Events: Slack doesn't have the event app_mention.",
			func(a *slacksim.App) {
				a.Events = slices.DeleteFunc(slices.Clone(a.Events), func(e string) bool { return e == "app_mention" })
			}),
		"a permission is missing at Slack": differs("slack_permissions", doctor.Failed,
			"Slack doesn't have the permission of the bot chat:write", func(a *slacksim.App) {
				a.BotScopes = slices.DeleteFunc(slices.Clone(a.BotScopes), func(s string) bool { return s == "chat:write" })
			}),
		"Slack sends through sockets that nobody opens": differs("slack_settings", doctor.Failed,
			"Settings: Socket Mode is on at Slack and off in the code.", func(a *slacksim.App) { a.SocketMode = true }),
		"tokens don't rotate": differs("slack_settings", doctor.Warning,
			"token rotation is off at Slack and on in the code", func(a *slacksim.App) { a.TokenRotation = false }),
		"the configuration token is unknown": {
			check: "settings", finding: "config_token", status: doctor.Warning,
			says: "SLACK_CONFIG_TOKEN isn't known to Slack (invalid_auth).", fix: "make a new pair at https://api.slack.com/apps",
			settings: map[string]string{"SLACK_CONFIG_TOKEN": "xoxe.xoxp-1-unknown"}, after: configured,
			wrong: func(*testing.T, *world) {},
			right: func(t *testing.T, w *world) { w.configure(t, configured) },
		},
		"Socket Mode is turned off": {
			check: "deliveries", finding: "sockets", status: doctor.Failed,
			says: "Nothing comes in through Socket Mode: Socket Mode is turned off in the app's settings in Slack.",
			fix:  "turn Socket Mode on at https://api.slack.com/apps/", settings: sockets, after: sockets,
			wrong: func(t *testing.T, w *world) {
				w.overSockets(1)
				w.slack.SetApp(func(a *slacksim.App) { a.SocketMode = false })
				eventually(t, "readyz to be red", func() bool { return w.ready() == http.StatusServiceUnavailable })
			},
			right: func(_ *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.SocketMode = true })
				w.restart(sockets)
				w.wait("a connection", func() bool { return len(w.slack.Sockets.Live()) >= 1 })
				eventually(w.t, "readyz to be green", func() bool { return w.ready() == http.StatusOK })
			},
		},
		"the app-level token was replaced": {
			check: "credentials", finding: "app_token", status: doctor.Failed,
			says: "Slack refuses SLACK_APP_TOKEN: invalid_auth.", fix: "put it into SLACK_APP_TOKEN, and restart switchboard serve",
			settings: oldToken, after: sockets,
			wrong: func(_ *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.SocketMode, a.AppToken = true, sockets["SLACK_APP_TOKEN"] })
			},
			right: func(*testing.T, *world) {},
		},
		"the bot token was revoked": {
			check: "credentials", finding: "bot_token", status: doctor.Failed,
			says: "Slack refuses SLACK_BOT_TOKEN: invalid_auth.", fix: "copy the Bot User OAuth Token into SLACK_BOT_TOKEN",
			settings: oldBot, after: bot,
			wrong: func(*testing.T, *world) {},
			right: func(_ *testing.T, w *world) { bot["SLACK_BOT_TOKEN"] = w.tokenByHand(slacksim.AcmeAdmin) },
		},
		"Slack's page says bad_redirect_uri": {
			check: "settings", finding: "redirect_url", status: doctor.Failed, pages: true,
			says: "Slack refuses installs with bad_redirect_uri: http://127.0.0.1:",
			fix:  "/oauth under Redirect URLs, add exactly http://127.0.0.1:",
			wrong: func(_ *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.RedirectURLs = []string{"https://old.example.com/slack/oauth_redirect"} })
			},
			right: func(_ *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.RedirectURLs = []string{w.proxy.URL + "/slack/oauth_redirect"} })
			},
		},
		"a workspace has granted too little": {
			check: "settings", finding: "granted_scopes", status: doctor.Warning,
			says: "1 workspace has granted less than the app needs: chat:write", fix: "/slack/install again",
			wrong: func(t *testing.T, w *world) {
				w.startOne(nil)
				w.browser().install(slacksim.AcmeAdmin)
				w.settle()
				w.amend(t, func(c *connection.Connection) { c.Scopes = []string{"commands"} })
			},
			right: func(_ *testing.T, w *world) { w.browser().install(slacksim.AcmeAdmin) },
		},
		"nobody comes back from Slack": {
			check: "settings", finding: "redirect_url", status: doctor.Warning,
			says: "1 install was started since the process started, and nobody came back from Slack.",
			fix:  "/oauth under Redirect URLs, add exactly http://127.0.0.1:",
			wrong: func(t *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.RedirectURLs = []string{"https://old.example.com/slack/oauth_redirect"} })
				w.startOne(nil)
				authorize := w.browser().begin("/slack/install")
				if _, err := w.slack.Authorize(context.Background(), authorize, slacksim.AcmeAdmin,
					slacksim.Choice{}); err == nil || !strings.Contains(err.Error(), "bad_redirect_uri") {
					t.Fatalf("Slack says %v", err)
				}
			},
			right: func(_ *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.RedirectURLs = []string{w.proxy.URL + "/slack/oauth_redirect"} })
				w.browser().install(slacksim.AcmeAdmin)
			},
		},
		"no event ever arrives": {
			check: "settings", finding: "events", status: doctor.Warning,
			says: "1 workspace connected for 20 minutes, and no event has ever arrived.",
			fix:  "turn events on, with the Request URL http://127.0.0.1:",
			wrong: func(t *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.EventsUnverified = true })
				w.startOne(nil)
				w.browser().install(slacksim.AcmeAdmin)
				w.greet()
				if f := w.examinedFor("settings", "events"); f.Status != doctor.Unknown {
					t.Errorf("right after the install: %+v", f)
				}
				w.amend(t, func(c *connection.Connection) { c.InstalledAt = c.InstalledAt.Add(-20 * time.Minute) })
			},
			right: func(_ *testing.T, w *world) {
				w.slack.SetApp(func(a *slacksim.App) { a.EventsUnverified = false })
				w.greet()
			},
		},
	}
}

// configure puts configuration tokens into settings.
func (w *world) configure(t *testing.T, settings map[string]string) {
	t.Helper()
	pair, err := w.slack.Settings.Generate(slacksim.AcmeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	settings["SLACK_CONFIG_TOKEN"], settings["SLACK_CONFIG_REFRESH_TOKEN"] = pair.Token, pair.RefreshToken
}

// differs is a setting at Slack that isn't what the code asks for.
func differs(finding string, status doctor.Status, says string, change func(*slacksim.App)) fault {
	settings := map[string]string{}
	return fault{
		check: "settings", finding: finding, status: status, says: says, settings: settings, after: settings,
		fix: "switchboard manifest push makes Slack's what the code says",
		wrong: func(t *testing.T, w *world) {
			w.configure(t, settings)
			w.slack.SetApp(change)
		},
		right: func(t *testing.T, w *world) {
			w.startOne(nil) // Slack asks the address whether it is ours
			if out, errs, code := w.as(settings, "manifest", "push", "--yes"); code != 0 {
				t.Errorf("manifest push: exit %d: %s%s", code, out, errs)
			}
		},
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	for name, f := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slack := slacksim.Config{}
			if f.pages {
				slack.Pages = web.Pages()
			}
			w := newWorldIn(t, storageURL(t), slack)
			f.wrong(t, w)
			report, code := w.examined(f.settings, f.flags...)
			got := finding(report, f.check, f.finding)
			if got.Status != f.status || !strings.Contains(got.Text, f.says) || !strings.Contains(got.Fix, f.fix) {
				t.Fatalf("%s: %+v\nall: %+v", f.finding, got, report)
			}
			if want := map[bool]int{true: 1}[report.Status == doctor.Failed]; code != want {
				t.Errorf("exit %d with status %q", code, report.Status)
			}

			f.right(t, w)
			report, _ = w.examined(f.after, f.flags...)
			if got := finding(report, f.check, f.finding); got.Status != doctor.OK && got.Status != "" {
				t.Errorf("after the fix %s says %+v", f.finding, got)
			}
		})
	}
}

// Something else that answers at PUBLIC_URL is told apart by what it is.
func TestDoctorAsksWhoAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	w.startOne(nil)
	var answer http.HandlerFunc
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { answer(rw, r) }))
	t.Cleanup(other.Close)

	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"another program": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Server", "nginx")
			http.NotFound(rw, nil)
		}, "/slack/events (status 404, from nginx)."},
		"a redirect": {func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Location", "https://www.example.com/x?code=secret")
			rw.WriteHeader(http.StatusMovedPermanently)
		}, "redirects to https://www.example.com, and"},
		"other keys": {func(rw http.ResponseWriter, _ *http.Request) {
			http.Error(rw, "The signature does not match.", http.StatusUnauthorized)
		}, "leads to a process with other ENCRYPTION_KEYS"},
		"an echo": {func(rw http.ResponseWriter, r *http.Request) {
			_, _ = rw.Write([]byte(r.Header.Get("X-Instance-Question")))
		}, "Something else answers at"},
	} {
		answer = test.answer
		report, code := w.examined(map[string]string{"PUBLIC_URL": other.URL})
		if f := finding(report, "address", "public_url"); f.Status != doctor.Failed || !strings.Contains(f.Text, test.want) ||
			f.Fix == "" || code != 1 {
			t.Errorf("%s: exit %d, %+v", name, code, f)
		}
	}

	report, _ := w.examined(nil)
	if f := finding(report, "address", "public_url"); f.Text != w.proxy.URL+" leads to this process." {
		t.Errorf("the right address: %+v", f)
	}
}

// The proxy in front sends to one of two replicas, and never to the one that is asked about.
func TestDoctorOfAReplicaThatNobodyReaches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.Postgres(t))
	w.start(2, nil)
	left := w.replicas[1]
	w.leave(left)
	here := map[string]string{"ADMIN_ADDR": left.admin.Host}
	report, _ := w.examined(here) // that the two share a DATA_DIR is another check's to say
	if f := finding(report, "address", "public_url"); f.Status != doctor.Warning ||
		!strings.Contains(f.Text, " led to another process of this app 6 times, and never to this one.") {
		t.Errorf("%+v", f)
	}

	w.mu.Lock()
	w.replicas = append(w.replicas, left) // the proxy sends to it, too
	w.mu.Unlock()
	report, _ = w.examined(here)
	if f := finding(report, "address", "public_url"); f.Text != w.proxy.URL+" leads to this process." {
		t.Errorf("after the fix: %+v", f)
	}
}

// A setting that can't be used is the call's fault: all of them are told, and nothing is checked.
func TestDoctorOfAWrongCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	out, errs, code := w.doctor(map[string]string{"SLACK_CLIENT_ID": "x", "PUBLIC_URL": "ftp://x"})
	if code != 2 || out != "" || !strings.Contains(errs, "SLACK_CLIENT_ID: ") || !strings.Contains(errs, "PUBLIC_URL: ") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// Nothing leaves the machine with --offline, and what a healthy app gets is nothing but good.
func TestDoctorOfAHealthyApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	w.startOne(nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.greet()

	token := map[string]string{}
	w.configure(t, token)
	report, code := w.examined(token)
	passing := 0 // tests can lie in memory, or in a container
	if finding(report, "journal", "lasting").Status == doctor.Warning {
		passing = 1
	}
	if code != 0 || report.Failed+report.Warnings+report.Unknown != passing {
		t.Errorf("exit %d: %+v", code, report)
	}
	names := []string{}
	for _, area := range report.Areas {
		for _, check := range area.Checks {
			names = append(names, check.Name)
		}
	}
	if want := []string{"deliveries", "address", "credentials", "settings", "database", "keys", "journal", "renewals",
		"inbox", "exposure"}; !slices.Equal(names, want) {
		t.Errorf("checks %q", names)
	}

	token["ADMIN_ADDR"] = w.replicas[0].admin.Host
	out, errs, code := w.doctor(token)
	ends := []string{"\nNothing is wrong.\n", "\n0 failed, 1 warning.\n"}[passing]
	const begins = "Slack\n  [ ok ] What Slack sends\n    [ ok ] It's running, and answers at http://127.0.0.1:"
	for _, want := range []string{begins, ends} {
		if !strings.Contains(out, want) {
			t.Errorf("exit %d: %s%s\nlacks %q", code, out, errs, want)
		}
	}

	before := len(w.slack.Calls())
	report, code = w.examined(map[string]string{"PUBLIC_URL": "http://127.0.0.1:1"}, "--offline")
	if code != 1 { // the process runs with another address
		t.Errorf("--offline: exit %d, %+v", code, report)
	}
	if f := finding(report, "address", "offline"); f.Status != doctor.Unknown {
		t.Errorf("--offline asks at PUBLIC_URL: %+v", f)
	}
	if calls := w.slack.Calls(); len(calls) != before {
		t.Errorf("--offline calls Slack: %+v", calls[before:])
	}
}

// The five questions that an operator is asked, each answered by one command.
func TestFiveQuestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	w.refusals()
	lost := map[string]string{"SLACK_SIGNING_SECRET": strings.Repeat("0f", 16)}
	w.slack.SetApp(func(a *slacksim.App) { a.Name = "Old" })
	w.startOne(lost)
	w.browser().install(slacksim.AcmeAdmin)
	w.greet()
	answers := func(question string, settings map[string]string, args []string, code int, want ...string) {
		t.Helper()
		out, errs, got := w.as(settings, args...)
		if missing := inOrder(out, want...); missing != "" || got != code {
			t.Errorf("%s: exit %d, no %q in what %q says:\n%s%s", question, got, missing, args, out, errs)
		}
	}
	settings := map[string]string{"ADMIN_ADDR": w.replicas[0].admin.Host}
	maps.Copy(settings, lost)
	w.configure(t, settings)
	answers("why do events not arrive", settings, []string{"doctor"}, 1,
		"[FAIL] What Slack sends", "signature doesn't match SLACK_SIGNING_SECRET", "Fix: copy the Signing Secret from")

	w.amend(t, func(c *connection.Connection) {
		c.State, c.Reason, c.StateSince = connection.ReconnectRequired, connection.ReasonTokenRevoked, time.Now()
	})
	answers("why did this workspace stop", settings, []string{"connections", "show", slacksim.Acme}, 0,
		"reconnect_required", "token_revoked")

	w.slack.SetApp(func(a *slacksim.App) { a.RedirectURLs = []string{"https://old.example.com/slack/oauth_redirect"} })
	answers("why does an install end in bad_redirect_uri", settings, []string{"doctor"}, 1,
		"Addresses: Slack doesn't have the redirect URL "+w.proxy.URL+"/slack/oauth_redirect")

	answers("what differs between Slack's settings and the code", settings, []string{"manifest", "diff"}, 1,
		"redirect URL", w.proxy.URL+"/slack/oauth_redirect", "name", "Old")

	w.stop()
	w.lay(lying{team: slacksim.Acme, kind: "message", state: "ready", ago: time.Hour}.times(3)...)
	answers("why does the inbox grow", settings, []string{"inbox"}, 0, "3 events are not done.", "no process takes any")
}

// as runs the program of the app that Slack knows: without the handlers that tests add.
func (w *world) as(settings map[string]string, args ...string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	of := ours()
	of.Handlers = commands.All()
	var out, errs bytes.Buffer
	err := of.run(ctx, args, w.settings(settings), &out, &errs)
	code = of.exitCode(&errs, err)
	_, _ = w.Write(out.Bytes())
	_, _ = w.Write(errs.Bytes())
	return out.String(), errs.String(), code
}

// What scripts look for is documented, and what is documented is there.
func TestFindingsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "<!-- findings -->")
	table, _, _ = strings.Cut(table, "<!-- /findings -->")
	named := regexp.MustCompile("(?:Name:|name =|Name =) *\"([a-z_]+)\"")
	files, err := filepath.Glob(filepath.Join("..", "doctor", "*.go"))
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "doctor.go" {
			continue
		}
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(code), -1) {
			if found[m[1]] = true; !strings.HasSuffix(m[1], "_") && !strings.Contains(table, "`"+m[1]+"`") {
				t.Errorf("%s has the finding %q, and docs/operating.md doesn't", file, m[1])
			}
		}
	}
	if len(found) < 30 {
		t.Errorf("only %d names of findings in the code", len(found))
	}
}
