package cli

// init in folders of its own, as a script calls it. On a terminal: init_linux_test.go. All the way to Connected: the
// walk in the module's folder.

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/joho/godotenv"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// runIn runs the program in a folder, with nothing in its environment but settings, and no terminal.
func runIn(t *testing.T, folder string, settings map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = folder, []string{asProgram + "=1"}
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if _, err := cmd.StdinPipe(); err != nil { // stays open as long as we live
		t.Fatal(err)
	}

	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// envIn is the .env in a folder, which only its owner can read.
func envIn(t *testing.T, folder string) (text string, settings map[string]string) {
	t.Helper()
	path := filepath.Join(folder, ".env")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf(".env has mode %v, %v", info.Mode(), err)
	}
	settings, err = godotenv.Unmarshal(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return string(b), settings
}

const (
	testClientSecret  = "0af1e47c11e47c11e47c11e47c11e470"
	testSigningSecret = "1bf1e47c11e47c11e47c11e47c11e471"
)

func TestInitInAScript(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	out, errs, code := runIn(t, folder, nil, "init", "--public-url", "https://bot.example.com/", "--operator-name", "Acme & Co's IT")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	first, settings := envIn(t, folder)
	if settings["PUBLIC_URL"] != "https://bot.example.com" || settings["OPERATOR_NAME"] != "Acme & Co's IT" {
		t.Errorf(".env has %v", settings)
	}
	if _, err := seal.ParseKeys(settings["ENCRYPTION_KEYS"]); err != nil {
		t.Error(err)
	}
	checkManifestLink(t, out, "https://api.slack.com/apps")

	// Half of the credentials, then the others.
	second, errs, code := runIn(t, folder, map[string]string{"SLACK_CLIENT_SECRET": testClientSecret},
		"init", "--slack-app-id", "A0G7H2KQ", "--slack-client-id", "927361.827364")
	if code != 0 || !strings.Contains(second, "Signing Secret (SLACK_SIGNING_SECRET)") ||
		strings.Contains(second, "manifest_json") {
		t.Errorf("exit %d: %s%s", code, second, errs)
	}
	third, errs, code := runIn(t, folder, map[string]string{"SLACK_SIGNING_SECRET": testSigningSecret}, "init")
	if code != 0 || !strings.Contains(third, "switchboard serve") ||
		!strings.Contains(third, "https://api.slack.com/apps/A0G7H2KQ/event-subscriptions") {
		t.Errorf("exit %d: %s%s", code, third, errs)
	}
	last, settings := envIn(t, folder)
	if !strings.HasPrefix(last, first) || settings["SLACK_APP_ID"] != "A0G7H2KQ" ||
		settings["SLACK_CLIENT_ID"] != "927361.827364" || settings["SLACK_CLIENT_SECRET"] != testClientSecret ||
		settings["SLACK_SIGNING_SECRET"] != testSigningSecret {
		t.Error("the credentials weren't added to what was there")
	}

	// It is complete now.
	_, errs, code = runIn(t, folder, nil, "init", "--public-url", "https://other.example.com")
	if now, _ := envIn(t, folder); code != 1 || now != last || !strings.Contains(errs, "nothing was changed") {
		t.Errorf("exit %d: %s", code, errs)
	}
	for _, secret := range []string{settings["ENCRYPTION_KEYS"], testClientSecret, testSigningSecret} {
		if strings.Contains(out+second+third+errs, secret) {
			t.Error("a secret is printed")
		}
	}
}

// checkManifestLink holds the link that init printed against the manifest.
func checkManifestLink(t *testing.T, out, page string) {
	t.Helper()
	link := regexp.MustCompile(`(?m)^http\S+manifest_json=\S+$`).FindString(out)
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(link, page+"?new_app=1&") || strings.Contains(link, "+") || len(link) > longestURL {
		t.Fatalf("no link that can be opened: %v in %s", err, out)
	}
	var linked, want any
	manifest, _, _ := try(nil, "manifest", "--json", "--public-url", "https://bot.example.com")
	if err := errors.Join(json.Unmarshal([]byte(u.Query().Get("manifest_json")), &linked),
		json.Unmarshal([]byte(manifest), &want)); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(linked)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("the link has %s, want %s", a, b)
	}
}

// Whatever is wrong, the folder stays as it was.
func TestInitRefuses(t *testing.T) {
	t.Parallel()
	const ours = "PUBLIC_URL=https://bot.example.com\n"
	for name, test := range map[string]struct {
		files map[string]string
		set   map[string]string
		args  []string
		code  int
		says  string
	}{
		"no address":        {nil, nil, nil, 2, "PUBLIC_URL: is not set"},
		"a wrong address":   {nil, nil, []string{"--public-url", "bot.example.com"}, 2, "is not an address with https://"},
		"a wrong database":  {nil, map[string]string{"DATABASE_URL": "mysql://u:hush@h/x"}, nil, 2, "neither postgres"},
		"a sample":          {map[string]string{".env": ours}, nil, []string{"--slack-app-id", "A0123ABC456"}, 2, "is a sample"},
		"a swapped secret":  {map[string]string{".env": ours}, map[string]string{"SLACK_CLIENT_SECRET": "927361.827364"}, nil, 2, "hexadecimal"},
		"somebody's .env":   {map[string]string{".env": "FOO=bar\n"}, nil, nil, 1, "init didn't write it"},
		"an unreadable one": {map[string]string{".env": "FOO=\"bar\n"}, nil, nil, 2, "NAME=value"},
		"another address": {map[string]string{".env": ours}, nil, []string{"--public-url", "https://x.example.com"}, 2,
			"isn't what .env has"},
		"another app": {map[string]string{".env": ours + "SLACK_APP_ID=A0G7H2KQ\n"}, nil,
			[]string{"--slack-app-id", "A0G7H2KX"}, 2, "isn't what .env has"},
		"a database without its key": {map[string]string{"x.db": "x"}, map[string]string{"PUBLIC_URL": "https://bot.example.com"},
			[]string{"--database-url", "sqlite:x.db"}, 1, "Put that key into ENCRYPTION_KEYS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for name, text := range test.files {
				write(t, filepath.Join(folder, name), text)
			}
			out, errs, code := runIn(t, folder, test.set, append([]string{"init"}, test.args...)...)
			if code != test.code || !strings.Contains(errs, test.says) || out != "" || strings.Contains(errs, "hush") {
				t.Errorf("exit %d, want %d with %q: %s%s", code, test.code, test.says, out, errs)
			}

			if made := names(t, folder); len(made) != len(test.files) {
				t.Errorf("it left %v", made)
			}
			for name, text := range test.files {
				if now, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(now) != text {
					t.Errorf("%s is %q, %v", name, now, err)
				}
			}
		})
	}
}

// Keys that are there already stay the keys, and a secret that comes in a file stays there.
func TestInitKeepsKeys(t *testing.T) {
	t.Parallel()
	key := seal.NewKey()
	for name, test := range map[string]struct {
		files map[string]string
		set   map[string]string
		want  map[string]string
	}{
		"a key file": {map[string]string{"data/switchboard.db.key": key, "data/switchboard.db": "x"}, nil,
			map[string]string{"ENCRYPTION_KEYS": ""}},
		"in the environment": {map[string]string{"data/switchboard.db": "x"}, map[string]string{"ENCRYPTION_KEYS": key},
			map[string]string{"ENCRYPTION_KEYS": key}},
		"in a file": {map[string]string{"key": key}, map[string]string{"ENCRYPTION_KEYS_FILE": "key"},
			map[string]string{"ENCRYPTION_KEYS": "", "ENCRYPTION_KEYS_FILE": "key"}},
		"a secret in a file": {map[string]string{"secret": testClientSecret + "\n"},
			map[string]string{"SLACK_CLIENT_SECRET_FILE": "secret"},
			map[string]string{"SLACK_CLIENT_SECRET": "", "SLACK_CLIENT_SECRET_FILE": "secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for name, text := range test.files {
				path := filepath.Join(folder, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, path, text)
			}
			settings := over(map[string]string{"PUBLIC_URL": "https://bot.example.com"}, test.set)
			if _, errs, code := runIn(t, folder, settings, "init"); code != 0 {
				t.Fatalf("exit %d: %s", code, errs)
			}
			_, got := envIn(t, folder)
			for name, want := range test.want {
				if got[name] != want {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

// What is written comes back, and most of it without quotes, which docker run --env-file would take for a part of it.
func TestEnvFile(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"plain", "Acme IT", "https://x.example.com/?a=b&c=%20", "it's", `say "hi"`, "a $HOME b",
		"#1", "a #b", `back\slash`, " padded ", "Größe", "k3y+/=", `$'"\`} {
		text, err := envText([]envLine{{"A", "x"}, {"OPERATOR_NAME", value}, {"B", "y"}})
		if err != nil {
			t.Logf("%q is refused: %v", value, err)
			continue
		}
		back, err := godotenv.Unmarshal(string(text))
		if err != nil || back["OPERATOR_NAME"] != value || back["A"] != "x" || back["B"] != "y" {
			t.Errorf("%q came back as %q, %v", value, back["OPERATOR_NAME"], err)
		}
	}
	text, err := envText([]envLine{{"OPERATOR_NAME", "Acme IT"}, {"K", seal.NewKey()}})
	if err != nil || strings.ContainsAny(string(text), `'"`) {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := envText([]envLine{{"A", "x\ny"}}); err != nil && strings.Contains(err.Error(), "x\n") {
		t.Error("the refusal has the value in it")
	}

	path := filepath.Join(t.TempDir(), ".env")
	if err := newEnvFile(path, []envLine{{"A", "x"}}); err != nil {
		t.Fatal(err)
	}
	if err := newEnvFile(path, []envLine{{"A", "y"}}); err == nil {
		t.Error("a file was overwritten")
	}
	write(t, path, "A=x") // an editor left the end of the line out
	if err := appendToEnvFile(path, []envLine{{"B", "y"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "A=x\nB=y\n" {
		t.Errorf("%q, %v", got, err)
	}
	if err := appendToEnvFile(path+".gone", []envLine{{"B", "y"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// emptySlack is a Slack in which nobody has made the app yet.
func emptySlack(t *testing.T) *slacksim.Sim {
	t.Helper()
	sim := slacksim.New(slacksim.Config{})
	sim.AddSmallWorld()
	if err := sim.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return sim
}

// withConfigTokens are settings with which init makes the app there.
func withConfigTokens(t *testing.T, sim *slacksim.Sim) map[string]string {
	t.Helper()
	pair, err := sim.Settings.Generate(slacksim.AcmeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"SLACK_URL": sim.URL(), "SLACK_CONFIG_TOKEN": pair.Token,
		"SLACK_CONFIG_REFRESH_TOKEN": pair.RefreshToken, "PUBLIC_URL": "https://bot.example.com"}
}

// With a configuration token one call does it all, and nothing of what Slack tells is printed.
func TestInitMakesTheApp(t *testing.T) {
	t.Parallel()
	sim, folder := emptySlack(t), t.TempDir()
	settings := withConfigTokens(t, sim)
	out, errs, code := runIn(t, folder, settings, "init")
	app := sim.App()
	if code != 0 || app.ID == "" || !strings.Contains(out, "Made the app "+app.ID) || strings.Contains(out, "manifest_json") {
		t.Fatalf("exit %d, app %q: %s%s", code, app.ID, out, errs)
	}
	text, has := envIn(t, folder)
	if has["SLACK_APP_ID"] != app.ID || has["SLACK_CLIENT_ID"] != app.ClientID ||
		has["SLACK_CLIENT_SECRET"] != app.ClientSecret || has["SLACK_SIGNING_SECRET"] != app.SigningSecret {
		t.Error(".env doesn't have what Slack told")
	}
	if want := "https://bot.example.com/slack/events"; app.EventsURL != want {
		t.Errorf("the app's events go to %q, want %q", app.EventsURL, want)
	}
	for _, secret := range []string{app.ClientSecret, app.SigningSecret, settings["SLACK_CONFIG_TOKEN"],
		settings["SLACK_CONFIG_REFRESH_TOKEN"], has["ENCRYPTION_KEYS"]} {
		if strings.Contains(out+errs, secret) {
			t.Error("a secret is printed")
		}
	}

	// There is no second app.
	if _, errs, code := runIn(t, folder, settings, "init"); code != 1 || !strings.Contains(errs, "complete") ||
		len(sim.Calls("apps.manifest.create")) != 1 {
		t.Errorf("exit %d: %s", code, errs)
	}
	if now, _ := envIn(t, folder); now != text {
		t.Error(".env was changed")
	}
}

// What Slack refuses leaves a .env to go on with, and says that there is no app.
func TestInitWithABadToken(t *testing.T) {
	t.Parallel()
	sim, folder := emptySlack(t), t.TempDir()
	settings := withConfigTokens(t, sim)
	settings["SLACK_CONFIG_TOKEN"], settings["SLACK_CONFIG_REFRESH_TOKEN"] = "xoxb-1-hush", ""
	if _, errs, code := runIn(t, folder, settings, "init"); code != 2 || len(names(t, folder)) != 0 ||
		!strings.Contains(errs, "isn't a configuration token") || strings.Contains(errs, "hush") {
		t.Errorf("exit %d: %s", code, errs)
	}

	settings["SLACK_CONFIG_TOKEN"] = "xoxe.xoxp-1-hush"
	if _, errs, code := runIn(t, folder, settings, "init"); code != 2 || sim.App().ID != "" ||
		!strings.Contains(errs, "SLACK_CONFIG_TOKEN: isn't known to Slack") || strings.Contains(errs, "hush") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if out, errs, code := runIn(t, folder, withConfigTokens(t, sim), "init"); code != 0 || sim.App().ID == "" {
		t.Errorf("the next call: exit %d: %s%s", code, out, errs)
	}
}

// The answer that tells the credentials is lost: the app may be there.
func TestInitLosesTheAnswer(t *testing.T) {
	t.Parallel()
	sim, folder := emptySlack(t), t.TempDir()
	defer sim.Inject(slacksim.Fault{Method: "apps.manifest.create", DropAnswer: true})()
	_, errs, code := runIn(t, folder, withConfigTokens(t, sim), "init")
	if code != 1 || !strings.Contains(errs, "Look at "+sim.URL()+"/apps whether it is there") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, has := envIn(t, folder); has["PUBLIC_URL"] == "" {
		t.Error("nothing to go on with")
	}
}
