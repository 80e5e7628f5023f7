package cli

// One machine, one workspace: the bot token as a setting instead of OAuth, and the files that SQLite's defaults make.

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/commands"
	"github.com/switchboard-go/switchboard/internal/manifest"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// with runs the program once like command, with other settings.
func (w *world) with(extra map[string]string, args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	code = exitCode(&errs, run(ctx, args, w.settings(extra), &out, &errs))
	_, _ = w.Write(out.Bytes())
	_, _ = w.Write(errs.Bytes())
	return out.String(), errs.String(), code
}

// tokenByHand installs the app in Slack as its owner does on Slack's own pages, without us, and returns the bot token.
func (w *world) tokenByHand(userID string) string {
	w.t.Helper()
	// such a token is put into a setting, where it can't be renewed
	w.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
	app := w.slack.App()
	scopes := bot.ScopesOf(commands.All())
	ask := url.Values{"client_id": {app.ClientID}, "scope": {strings.Join(scopes, ",")}, "state": {"by-hand"}}
	back, err := w.slack.Authorize(context.Background(), w.slack.URL()+"/oauth/v2/authorize?"+ask.Encode(), userID,
		slacksim.Choice{})
	if err != nil {
		w.t.Fatal(err)
	}
	form := url.Values{"client_id": {app.ClientID}, "client_secret": {app.ClientSecret},
		"code": {query(w.t, back, "code")}}
	resp, err := http.PostForm(w.slack.URL()+"/api/oauth.v2.access", form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		OK          bool
		Error       string
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || !answer.OK ||
		!strings.HasPrefix(answer.AccessToken, "xoxb-") {
		w.t.Fatalf("oauth.v2.access: %v %s", err, answer.Error)
	}
	return answer.AccessToken
}

// single are the settings of single-workspace mode: no client id, no client secret.
func single(token string) map[string]string {
	return map[string]string{"SLACK_BOT_TOKEN": token, "SLACK_CLIENT_ID": "", "SLACK_CLIENT_SECRET": ""}
}

func TestSingleWorkspace(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		token := w.tokenByHand(slacksim.AcmeAdmin)
		dana := slacksim.AcmeAdmin
		w.start(1, single(token))
		rows := w.connections()
		if len(rows) != 1 || rows[0].TeamID != slacksim.Acme || rows[0].TeamName != "Acme Corp" ||
			rows[0].State != "active" ||
			rows[0].AppID != w.slack.App().ID || rows[0].Installs != 1 || len(rows[0].Scopes) == 0 || rows[0].BotUserID == "" {
			t.Fatalf("rows: %+v", rows)
		}
		first := rows[0]

		works := func(when string) {
			t.Helper()
			w.quick("status "+when, dana, "/connection status", "Working")
			w.wait("the live status "+when, func() bool {
				return strings.Contains(string(w.last(slacksim.AcmeGeneral, dana).Blocks), "Checked with Slack just now")
			})
			dm := w.slack.DM(slacksim.AcmeMember)
			before := len(w.fromApp(dm, slacksim.AcmeMember))
			w.say(slacksim.AcmeMember, dm, "status")
			w.wait("the answer to a direct message "+when, func() bool {
				ours := w.fromApp(dm, slacksim.AcmeMember)
				return len(ours) == before+1 && strings.Contains(string(ours[before].Blocks), "Checked with Slack just now")
			})
			w.settle()
		}
		works("after the start")

		// There is nothing to install, whichever door a person takes.
		b := w.browser()
		landing := b.get(w.proxy.URL + "/")
		if landing.status != http.StatusOK || !strings.Contains(landing.body, "there is nothing to install") ||
			strings.Contains(landing.body, "/slack/install") {
			t.Errorf("landing: %d %s", landing.status, landing.body)
		}
		for _, path := range []string{"/slack/install", "/slack/install?team=" + slacksim.Acme, "/slack/install?link=made-up",
			"/slack/oauth_redirect", "/slack/oauth_redirect?code=1.2.3&state=" + strings.Repeat("A", 43),
			"/slack/oauth_redirect?error=access_denied", "/slack/oauth_redirect?code=1.2.3"} {
			b.accept = "text/html"
			a := b.get(w.proxy.URL + path)
			if a.status != http.StatusForbidden || !strings.Contains(a.body, "Nothing to install: this copy serves one "+
				"workspace") || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
			guarded(t, path, a)
			b.accept = "application/json"
			if p := decodePage(t, b.get(w.proxy.URL+path).body); p.Reason != "single_workspace" ||
				strings.Contains(p.Next.URL, "/slack/install") {
				t.Errorf("%s: %+v", path, p)
			}
		}
		if n := len(w.slack.Calls("oauth.v2.access")); n != 1 { // the one by hand
			t.Errorf("%d codes were exchanged", n)
		}

		// The same token after a restart is no new install. Slack has trouble in that very moment, and it passes.
		w.stop()
		w.slack.Inject(slacksim.Fault{Method: "auth.test", Times: 1, Status: http.StatusServiceUnavailable})
		asked := len(w.slack.Calls("auth.test"))
		w.startOne(single(token))
		if n := len(w.slack.Calls("auth.test")) - asked; n != 2 {
			t.Errorf("Slack was asked %d times at the restart, want 2: the first got no answer", n)
		}
		rows = w.connections()
		if len(rows) != 1 || rows[0].ID != first.ID || rows[0].Installs != 1 || *rows[0].InstalledAt != *first.InstalledAt ||
			rows[0].State != "active" {
			t.Errorf("after the restart: %+v, before it %+v", rows, first)
		}
		works("after the restart")

		// Installed anew by hand, so there is a new token: the same row holds it.
		w.stop()
		if err := w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := w.with(single(token), "serve"); code != 2 || !strings.Contains(errs, "Slack does not accept "+
			"this token") ||
			!slices.Equal(problems(t, errs), []string{"SLACK_BOT_TOKEN"}) || strings.Contains(errs, token) {
			t.Errorf("a token that Slack refuses: exit %d %s", code, errs)
		}
		renewed := w.tokenByHand(slacksim.AcmeAdmin)
		if renewed == token {
			t.Fatal("Slack gave the old token again")
		}
		file := write(t, filepath.Join(t.TempDir(), "token"), renewed+"\n")
		w.startOne(map[string]string{"SLACK_BOT_TOKEN_FILE": file, "SLACK_CLIENT_ID": "", "SLACK_CLIENT_SECRET": ""})
		rows = w.connections()
		if len(rows) != 1 || rows[0].ID != first.ID || rows[0].Installs != 2 || rows[0].State != "active" {
			t.Errorf("with a new token: %+v", rows)
		}
		works("with a new token")
	})
}

// Without PUBLIC_URL and without OAuth there is no address to show, and none is needed.
func TestSingleWorkspaceNeedsNoAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	settings := single(w.tokenByHand(slacksim.AcmeAdmin))
	settings["PUBLIC_URL"], settings["SLACK_APP_ID"] = "", ""
	w.start(1, settings)
	w.quick("status", slacksim.AcmeAdmin, "/connection status", "Working")
	w.settle()
}

// What is not a bot token is told apart by its prefix, and named.
func TestOtherTokensAreRefused(t *testing.T) {
	for token, says := range map[string]string{
		"xoxp-1-2-3-hushhush":                  "user token",
		"xapp-1-A0-1-hushhush":                 "app-level token",
		"xoxa-2-hushhush":                      "retired",
		"xoxr-hushhush":                        "retired",
		"xoxe-1-hushhush":                      "refresh token",
		"xoxe.xoxp-1-hushhush":                 "user or configuration token",
		"xoxs-hushhush":                        "session token",
		"xoxc-hushhush":                        "session token",
		"xwfp-hushhush":                        "workflow token",
		"xoxo-hushhush":                        "not a token of a kind",
		"hushhushgIkuvaNzQIHg97ATvDxqgjtO":     "verification token",
		"Bearer xoxb-1-hushhush":               "not a token of a kind",
		"https://hooks.slack.com/hushhush/T/B": "not a token of a kind",
	} {
		t.Run(token, func(t *testing.T) {
			settings := over(good, single(token))
			settings["PUBLIC_URL"] = ""
			answer := refused(t, settings, "serve")
			if !slices.Equal(problems(t, answer), []string{"SLACK_BOT_TOKEN"}) || !strings.Contains(answer, says) ||
				!strings.Contains(answer, "starts with xoxb-") || strings.Contains(answer, "hushhush") {
				t.Error(answer)
			}
		})
	}
}

func TestBotTokenOfAnotherApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	settings := single(w.tokenByHand(slacksim.AcmeAdmin))
	settings["SLACK_APP_ID"] = "A0OTHER001"
	_, errs, code := w.with(settings, "serve")
	if code != 2 || !slices.Equal(problems(t, errs), []string{"SLACK_BOT_TOKEN"}) ||
		!strings.Contains(errs, w.slack.App().ID) || !strings.Contains(errs, "A0OTHER001") {
		t.Errorf("exit %d %s", code, errs)
	}
	if rows := w.connections(); len(rows) != 0 {
		t.Errorf("it was stored all the same: %+v", rows)
	}
}

// The signing secret is still needed, and everything wrong is said at once here too.
func TestSingleWorkspaceSettings(t *testing.T) {
	answer := refused(t, map[string]string{"SLACK_BOT_TOKEN": "xoxp-hushhush", "PUBLIC_URL": "http://bot.example.com",
		"LISTEN_ADDR": "x"}, "serve")
	if got := problems(t, answer); !slices.Equal(got,
		[]string{"PUBLIC_URL", "SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "LISTEN_ADDR"}) {
		t.Errorf("%v in %s", got, answer)
	}
}

// onDefaults is a world in which the program chooses its database and key file itself.
func onDefaults(t *testing.T) (*world, map[string]string) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "deep", "data")
	w := newWorld(t, "sqlite:"+filepath.Join(data, "switchboard.db"))
	return w, map[string]string{"DATABASE_URL": "", "ENCRYPTION_KEYS": "", "DATA_DIR": data}
}

func TestDefaultFiles(t *testing.T) {
	t.Parallel()
	w, defaults := onDefaults(t)
	data := defaults["DATA_DIR"]
	keyFile := filepath.Join(data, "switchboard.db.key")
	w.start(1, defaults)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	key, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.ParseKeys(string(key)); err != nil {
		t.Errorf("the key file: %v", err)
	}
	for path, want := range map[string]os.FileMode{keyFile: 0o600, filepath.Join(data, "switchboard.db"): 0o600,
		data: 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", path, err, info.Mode(), want)
		}
	}
	for _, name := range names(t, data) { // SQLite's own files beside the database, the journal, and nothing else
		if !strings.HasPrefix(name, "switchboard.db") && !strings.HasPrefix(name, "journal") {
			t.Errorf("left in the data folder: %s", name)
		}
	}

	// A restart: the same key, so the same connection.
	active := func(when string) {
		t.Helper()
		out, errs, code := w.with(defaults, "connections", "list", "--json")
		var rows []record
		if err := json.Unmarshal([]byte(out), &rows); err != nil || code != 0 || len(rows) != 1 || rows[0].State != "active" {
			t.Errorf("%s: exit %d %+v %s", when, code, rows, errs)
		}
		if again, err := os.ReadFile(keyFile); err != nil || !bytes.Equal(again, key) {
			t.Errorf("%s: the key was made anew (%v)", when, err)
		}
	}
	active("while it runs")
	w.stop()
	w.startOne(defaults)
	w.quick("after the restart", slacksim.AcmeAdmin, "/connection status", "Working")
	w.settle()
	active("after the restart")
	w.stop()

	// A key that others may read is no key: said, and the file left alone.
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := w.with(defaults, "serve"); code != 1 || !strings.Contains(errs, "chmod 600") {
		t.Errorf("a key file that others may read: exit %d %s", code, errs)
	}
	// Lost: what is there can't be opened, which is shown; looking at it makes no new key in its place.
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	out, errs, code := w.with(defaults, "connections", "list", "--json")
	if code != 1 || !strings.Contains(out, `"unreadable"`) || !strings.Contains(errs, "put the key file back") {
		t.Errorf("without the key: exit %d %s%s", code, out, errs)
	}
	if _, err := os.Stat(keyFile); err == nil {
		t.Error("looking made a new key")
	}
}

// A key of one's own does not mean that the data folder is there already.
func TestOwnKeyInANewFolder(t *testing.T) {
	t.Parallel()
	w, settings := onDefaults(t)
	settings["ENCRYPTION_KEYS"] = w.keys
	w.start(1, settings)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	if _, err := os.Stat(filepath.Join(settings["DATA_DIR"], "switchboard.db.key")); err == nil {
		t.Error("a key file was made although a key was given")
	}
	if rows := w.connections(); len(rows) != 1 || rows[0].State != "active" {
		t.Errorf("rows: %+v", rows)
	}
}

// Another key than the one that sealed: nobody's token can be used, which is shown to everybody and breaks nothing;
// with the old key behind the new one all is well again.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.start(1, nil)
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		first := w.connections()[0]
		w.stop()
		wrong := map[string]string{"ENCRYPTION_KEYS": seal.NewKey()}
		look := func(keys map[string]string) record {
			t.Helper()
			out, errs, code := w.with(keys, "connections", "list", "--json")
			var rows []record
			if err := json.Unmarshal([]byte(out), &rows); err != nil || code != 0 {
				t.Fatalf("exit %d %v %s%s", code, err, out, errs)
			}
			i := slices.IndexFunc(rows, func(r record) bool { return r.ID == first.ID })
			if i < 0 {
				t.Fatalf("%s is not in %s", first.ID, out)
			}
			return rows[i]
		}
		for _, args := range [][]string{{"connections", "list"}, {"connections", "list", "--json"},
			{"connections", "show", slacksim.Acme}, {"connections", "show", "--json", first.ID},
			{"connections", "history", slacksim.Acme}, {"connections", "history", "--json", slacksim.Acme},
			{"connections", "exchange", "--all"}, {"connections", "exchange", slacksim.Acme},
			{"connections", "disconnect", slacksim.Acme}, {"connections", "disconnect", "--yes", slacksim.Acme},
			{"connections", "disconnect", "--erase-anyway", "--yes", slacksim.Acme},
			{"inbox", "list"}, {"inbox", "show", "1"}, {"inbox", "replay", "--all"}, {"inbox", "drop", "--all"}} {
			_, errs, code := w.with(wrong, args...)
			if code != 1 || !strings.Contains(errs, "none of the keys given opens what is stored here: set") {
				t.Errorf("%v with a wrong key: exit %d %s", args, code, errs)
			}
		}
		// What is no secret can be read all the same, and says which rows can't be opened.
		if out, _, _ := w.with(wrong, "connections", "list"); !strings.Contains(out, "Acme Corp") ||
			!strings.Contains(out, "unreadable") {
			t.Errorf("with a wrong key, in words: %s", out)
		}
		if _, errs, code := w.with(wrong, "connections", "attempts"); code != 0 {
			t.Errorf("attempts hold nothing that is sealed: exit %d %s", code, errs)
		}
		// Keys that open nothing at all are those of another database.
		if _, errs, code := w.with(wrong, "serve"); code != 2 || !strings.Contains(errs, "don't open what is stored") {
			t.Errorf("serve with a wrong key: exit %d %s", code, errs)
		}
		w.sealOne(wrong["ENCRYPTION_KEYS"])
		w.startOne(wrong)
		w.quick("status with a wrong key", slacksim.AcmeAdmin, "/connection status", "Needs reconnecting", "/slack/install")
		w.settle()
		w.stop()

		both := map[string]string{"ENCRYPTION_KEYS": wrong["ENCRYPTION_KEYS"] + "," + w.keys}
		if r := look(both); r.State != "active" {
			t.Errorf("with both keys: %+v", r)
		}
		// Looking changed nothing: with the old key alone it is as it was.
		if r := look(nil); r.State != "active" || r.Installs != first.Installs {
			t.Errorf("with the old key: %+v", r)
		}
		// Connecting again mends it, in the same row.
		w.startOne(wrong)
		if page := w.browser().install(slacksim.AcmeAdmin); page.status != http.StatusOK {
			t.Errorf("reconnect: %d %s", page.status, page.body)
		}
		w.settle()
		if r := look(wrong); r.State != "active" || r.Installs != first.Installs+1 {
			t.Errorf("reconnected: %+v", r)
		}
	})
}

// A token of another workspace makes that one the only connection; the former one is not served any more.
func TestSingleWorkspaceMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	for _, user := range []string{slacksim.AcmeAdmin, slacksim.BirchAdmin} {
		w.browser().install(user)
	}
	w.settle()
	w.stop()
	birch, _ := w.slack.Installed(slacksim.Birch)
	w.startOne(map[string]string{"SLACK_BOT_TOKEN": birch.BotToken, "SLACK_CLIENT_ID": "", "SLACK_CLIENT_SECRET": ""})
	ctx := context.Background()
	if reply, err := w.slack.Command(ctx, slacksim.BirchAdmin, slacksim.BirchGeneral, "/connection status"); err != nil ||
		!strings.Contains(reply.Text, "Working") {
		t.Errorf("Birch: %v %q", err, reply.Text)
	}
	if reply, err := w.slack.Command(ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/connection status"); err != nil ||
		!strings.Contains(reply.Text, "Not connected") {
		t.Errorf("Acme: %v %q", err, reply.Text)
	}
	w.wait("the live status", func() bool {
		return strings.Contains(string(w.last(slacksim.BirchGeneral, slacksim.BirchAdmin).Blocks), "Checked with Slack just now")
	})
}

// keys check tells what a new key still lacks, keys rotate moves it over, and then the old key can go.
func TestKeys(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		w.browser().install(slacksim.AcmeAdmin)
		w.browser().install(slacksim.BirchAdmin)
		w.settle()
		w.keepConfigTokens()
		if out, errs, code := w.command("keys", "check"); code != 0 || !strings.Contains(out, "encrypts and opens") {
			t.Errorf("check: exit %d %s%s", code, out, errs)
		}
		added := seal.NewKey()
		both := map[string]string{"ENCRYPTION_KEYS": added + "," + w.keys}
		alone := map[string]string{"ENCRYPTION_KEYS": added}
		if out, errs, code := w.with(alone, "keys", "check", "--json"); code != 1 ||
			!strings.Contains(out, `"known": false`) || !strings.Contains(errs, "can't be read with these keys") {
			t.Errorf("the new key alone: exit %d %s%s", code, out, errs)
		}
		// Replicas get the longer list before anything is sealed with the new key.
		w.stop()
		w.startOne(both)
		// Of each workspace the row, and the pair in the journal; and the configuration tokens.
		if out, errs, code := w.with(both, "keys", "rotate", "--json"); code != 0 || !strings.Contains(out, `"resealed": 5`) {
			t.Errorf("rotate: exit %d %s%s", code, out, errs)
		}
		w.quick("during", slacksim.AcmeAdmin, "/connection status", "Working")
		if out, _, code := w.with(both, "keys", "check"); code != 0 || !strings.Contains(out, "nothing needs it, so it can "+
			"be removed") {
			t.Errorf("after: exit %d %s", code, out)
		}
		if out, _, code := w.with(alone, "keys", "check", "--json"); code != 0 || !strings.Contains(out, `"config_tokens": 1`) {
			t.Errorf("with the new key alone: exit %d %s", code, out)
		}
		w.settle()
		w.stop()
		w.startOne(alone)
		w.quick("with the new key alone", slacksim.AcmeAdmin, "/connection status", "Working")
		w.keys = added
		w.settle()
	})
}

// keepConfigTokens puts a pair of configuration tokens into the data folder, as manifest push and doctor keep it.
func (w *world) keepConfigTokens() {
	w.t.Helper()
	keys, err := seal.ParseKeys(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	box, err := keys.Seal([]byte(`{"token": "xoxe.xoxp-1", "refresh_token": "xoxe-1"}`), seal.Place{Column: manifest.File})
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := json.Marshal(map[string][]byte{"sealed": box})
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dataDir, manifest.File), raw, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// A key that is lost for good: its rows are given up one command later, and can be connected again.
func TestLostKeyIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	first := w.connections()[0]
	w.settle()
	w.stop()
	w.keys = seal.NewKey()
	if _, errs, code := w.command("serve"); code != 2 || !strings.Contains(errs, "keys rotate --erase-unreadable") {
		t.Errorf("serve: exit %d %s", code, errs)
	}
	if out, errs, code := w.command("keys", "rotate"); code != 1 || !strings.Contains(errs, "let those workspaces "+
		"reconnect") {
		t.Errorf("rotate: exit %d %s%s", code, out, errs)
	}
	if out, errs, code := w.command("keys", "rotate", "--erase-unreadable"); code != 0 ||
		!strings.Contains(out, "Erased 2 row(s)") {
		t.Errorf("erase: exit %d %s%s", code, out, errs)
	}
	w.start(1, nil)
	w.quick("status", slacksim.AcmeAdmin, "/connection status", "Needs reconnecting")
	w.browser().install(slacksim.AcmeAdmin)
	if got := w.connections()[0]; got.State != "active" || got.ID != first.ID {
		t.Errorf("reconnected: %+v", got)
	}
}
