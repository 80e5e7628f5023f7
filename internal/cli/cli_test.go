package cli

// What an operator types and sets: every mistake is answered at once, with its fix and without a secret, and what only
// looks changes nothing.

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/goccy/go-yaml"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// secretSettings may come as NAME_FILE, and nothing ever prints them.
var secretSettings = []string{"SLACK_CLIENT_SECRET", "SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN",
	"ENCRYPTION_KEYS", "DATABASE_URL"}

// try runs the program once with these settings and no others. It may be called from any goroutine.
func try(settings map[string]string, args ...string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return tryUntil(ctx, settings, args...)
}

func tryUntil(ctx context.Context, settings map[string]string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = exitCode(&errs, run(ctx, args, func(name string) string { return settings[name] }, &out, &errs))
	return out.String(), errs.String(), code
}

// over returns the settings with changes on top.
func over(settings, changes map[string]string) map[string]string {
	both := maps.Clone(settings)
	maps.Copy(both, changes)
	return both
}

// refused runs a call whose settings are wrong and returns what is said about them. The context has ended already, so a
// call that is not refused fails soon after instead of serving.
func refused(t *testing.T, settings map[string]string, args ...string) string {
	t.Helper()
	folder := t.TempDir()
	t.Chdir(folder)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	out, errs, code := tryUntil(ended, settings, args...)
	if code != 2 || out != "" {
		t.Errorf("exit %d, want 2: %s%s", code, out, errs)
	}
	if made := names(t, folder); len(made) != 0 {
		t.Errorf("a refused configuration left %v behind", made)
	}
	for _, name := range secretSettings {
		for secret := range strings.SplitSeq(settings[name]+","+settings[name+"_FILE"], ",") {
			if secret = strings.TrimSpace(secret); len(secret) > len("sqlite:") && strings.Contains(errs, secret) {
				t.Errorf("the value of %s is printed: %s", name, errs)
			}
		}
	}
	return errs
}

// problems returns the settings that an answer complains about, and fails when one comes without a fix.
func problems(t *testing.T, answer string) []string {
	t.Helper()
	var found []string
	lines := strings.Split(answer, "\n")
	for i, line := range lines {
		if m := problemLine.FindStringSubmatch(line); m != nil {
			found = append(found, m[1])
			if i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "    Fix: ") {
				t.Errorf("%s comes without a fix: %s", m[1], answer)
			}
		}
	}
	return found
}

var problemLine = regexp.MustCompile(`^  (\S+): \S`)

func names(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if path != folder {
			all = append(all, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// good is enough to serve with.
var good = map[string]string{
	"SLACK_CLIENT_ID": "123.456", "SLACK_CLIENT_SECRET": "c11e47c11e47c11e47c11e47c11e4700",
	"SLACK_SIGNING_SECRET": "516a516a516a516a516a516a516a516a",
	"PUBLIC_URL":           "https://bot.example.com", "LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0",
}

func TestWrongConfiguration(t *testing.T) {
	const postgres = "postgres://u:hush-password@db.example.com/x"
	key := seal.NewKey()
	gone := filepath.Join(t.TempDir(), "gone")
	empty := write(t, filepath.Join(t.TempDir(), "empty"), " \n")

	// What the cases below start from is not refused: it only ends because its context has.
	t.Chdir(t.TempDir())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, errs, code := tryUntil(ended, good, "serve"); code != 0 {
		t.Fatalf("the good settings: exit %d: %s", code, errs)
	}

	for name, test := range map[string]struct {
		set  map[string]string
		want []string // the settings complained about
		says string
	}{
		"no signing secret": {map[string]string{"SLACK_SIGNING_SECRET": ""}, []string{"SLACK_SIGNING_SECRET"},
			"Basic Information"},
		"only commas": {map[string]string{"SLACK_SIGNING_SECRET": " , ,"}, []string{"SLACK_SIGNING_SECRET"},
			"is not set"},
		"no client id": {map[string]string{"SLACK_CLIENT_ID": ""}, []string{"SLACK_CLIENT_ID"}, "is not set"},
		"an app id as client id": {map[string]string{"SLACK_CLIENT_ID": "A0123456"}, []string{"SLACK_CLIENT_ID"},
			"123.456"},
		"no client secret": {map[string]string{"SLACK_CLIENT_SECRET": " "}, []string{"SLACK_CLIENT_SECRET"},
			"is not set"},
		"a client id as app id": {map[string]string{"SLACK_APP_ID": "123.456"}, []string{"SLACK_APP_ID"}, "A…"},
		"no address": {map[string]string{"PUBLIC_URL": ""}, []string{"PUBLIC_URL"},
			"https://bot.example.com"},
		"an address with a path": {map[string]string{"PUBLIC_URL": "https://bot.example.com/slack"},
			[]string{"PUBLIC_URL"}, "more than a scheme and a host"},
		"an address with both": {map[string]string{"PUBLIC_URL": "http://bot.example.com/slack"},
			[]string{"PUBLIC_URL", "PUBLIC_URL"}, "more than a scheme and a host"},
		"an address with a query": {map[string]string{"PUBLIC_URL": "https://bot.example.com?x=1"},
			[]string{"PUBLIC_URL"}, "more than"},
		"an address with a user": {map[string]string{"PUBLIC_URL": "https://me:pw@bot.example.com"},
			[]string{"PUBLIC_URL"}, "more than"},
		"http on a public host": {map[string]string{"PUBLIC_URL": "http://bot.example.com"}, []string{"PUBLIC_URL"},
			"not https"},
		"a host alone": {map[string]string{"PUBLIC_URL": "bot.example.com"}, []string{"PUBLIC_URL"},
			"https://"},
		"a port alone": {map[string]string{"PUBLIC_URL": "https://:3000"}, []string{"PUBLIC_URL"}, "host"},
		"another scheme": {map[string]string{"PUBLIC_URL": "ftp://bot.example.com"}, []string{"PUBLIC_URL"},
			"https://"},
		"Slack without a scheme": {map[string]string{"SLACK_URL": "slack.com"}, []string{"SLACK_URL"},
			"https://slack-gov.com"},
		"Slack's API address": {map[string]string{"SLACK_URL": "https://slack.com/api/"}, []string{"SLACK_URL"},
			"more than a scheme and a host"},
		"Slack over http": {map[string]string{"SLACK_URL": "http://slack.com"}, []string{"SLACK_URL"},
			"not https"},
		"a port to listen on": {map[string]string{"LISTEN_ADDR": "3000"}, []string{"LISTEN_ADDR"}, "host:port"},
		"a host to listen on": {map[string]string{"LISTEN_ADDR": "127.0.0.1:"}, []string{"LISTEN_ADDR"},
			"host:port"},
		"a port that is none": {map[string]string{"LISTEN_ADDR": "127.0.0.1:70000"}, []string{"LISTEN_ADDR"},
			"host:port"},
		"an address to listen on": {map[string]string{"ADMIN_ADDR": "http://127.0.0.1"}, []string{"ADMIN_ADDR"},
			"host:port"},
		"one address for both": {map[string]string{"LISTEN_ADDR": ":3000", "ADMIN_ADDR": ":3000"},
			[]string{"ADMIN_ADDR"}, "same as LISTEN_ADDR"},
		"a database of another kind": {map[string]string{"DATABASE_URL": "mysql://u:hush-password@h/x"},
			[]string{"DATABASE_URL"}, "postgres://"},
		"a database without a kind": {map[string]string{"DATABASE_URL": "data/switchboard.db"}, []string{"DATABASE_URL"},
			"sqlite:PATH"},
		"a database without a file": {map[string]string{"DATABASE_URL": "sqlite:"}, []string{"DATABASE_URL"},
			"names no file"},
		"a database in memory": {map[string]string{"DATABASE_URL": "sqlite::memory:"}, []string{"DATABASE_URL"},
			"not in memory"},
		"a database with options": {map[string]string{"DATABASE_URL": "sqlite:x.db?mode=ro"}, []string{"DATABASE_URL"},
			"plain path"},
		"a database as a web address": {map[string]string{"DATABASE_URL": "sqlite://x.db"}, []string{"DATABASE_URL"},
			"plain path"},
		"PostgreSQL without keys": {map[string]string{"DATABASE_URL": postgres}, []string{"ENCRYPTION_KEYS"},
			"openssl rand -base64 32"},
		"a key that is too short": {map[string]string{"ENCRYPTION_KEYS": "aHVzaC1rZXk="}, []string{"ENCRYPTION_KEYS"},
			"key 1 has 8 bytes, not 32"},
		"a key that is not base64": {map[string]string{"ENCRYPTION_KEYS": key + ",hush-key-!"},
			[]string{"ENCRYPTION_KEYS"}, "key 2 is not standard base64"},
		"a key twice": {map[string]string{"ENCRYPTION_KEYS": key + "," + key}, []string{"ENCRYPTION_KEYS"},
			"key 2 is the same as key 1"},
		"a log level that is none": {map[string]string{"LOG_LEVEL": "loud"}, []string{"LOG_LEVEL"},
			"debug, info, warn or error"},
		"a log format that is none": {map[string]string{"LOG_FORMAT": "xml"}, []string{"LOG_FORMAT"}, "text or json"},
		"a script as support address": {map[string]string{"SUPPORT_URL": "javascript:alert(1)"}, []string{"SUPPORT_URL"},
			"mailto:"},
		"http as privacy address": {map[string]string{"PRIVACY_URL": "http://example.com/p"}, []string{"PRIVACY_URL"},
			"https://"},
		"Socket Mode": {map[string]string{"SLACK_APP_TOKEN": "xoxb-1-hush"}, []string{"SLACK_APP_TOKEN"},
			"connections:write"},
		"a secret and its file": {map[string]string{"SLACK_CLIENT_SECRET_FILE": gone}, []string{"SLACK_CLIENT_SECRET"},
			"keep one of the two"},
		"a bot token and its file": {map[string]string{"SLACK_BOT_TOKEN": "xoxb-hush-1", "SLACK_BOT_TOKEN_FILE": gone},
			[]string{"SLACK_BOT_TOKEN"}, "keep one of the two"},
		"a file of keys that is gone": {map[string]string{"ENCRYPTION_KEYS_FILE": gone}, []string{"ENCRYPTION_KEYS_FILE"},
			"no such file"},
		"an empty file of keys": {map[string]string{"ENCRYPTION_KEYS_FILE": empty}, []string{"ENCRYPTION_KEYS_FILE"},
			"is empty"},
		"an empty file with database": {map[string]string{"DATABASE_URL_FILE": empty}, []string{"DATABASE_URL_FILE"},
			"is empty"},
		"an empty file with bot token": {map[string]string{"SLACK_BOT_TOKEN_FILE": empty}, []string{"SLACK_BOT_TOKEN_FILE"},
			"is empty"},
		"a folder as a file": {map[string]string{"ENCRYPTION_KEYS_FILE": os.TempDir()},
			[]string{"ENCRYPTION_KEYS_FILE"}, "is a directory"},
		"no days to keep":         {map[string]string{"KEEP_DAYS": "0"}, []string{"KEEP_DAYS"}, "from 1 to 3650"},
		"too many days to keep":   {map[string]string{"KEEP_DAYS": "3651"}, []string{"KEEP_DAYS"}, "from 1 to 3650"},
		"days that are no number": {map[string]string{"KEEP_DAYS": "90d"}, []string{"KEEP_DAYS"}, "write for example 90"},
		"a move that is perhaps": {map[string]string{"MOVE_TO_ROTATION": "perhaps"}, []string{"MOVE_TO_ROTATION"},
			"neither true nor false"},
		"a move of a token by hand": {map[string]string{"MOVE_TO_ROTATION": "true", "SLACK_BOT_TOKEN": "xoxb-hush-1"},
			[]string{"MOVE_TO_ROTATION"}, "leave one of the two out"},
		"a file as data folder": {map[string]string{"DATA_DIR": empty}, []string{"DATA_DIR"}, "is not a folder"},
		"a data folder below a file": {map[string]string{"DATA_DIR": filepath.Join(empty, "data")}, []string{"DATA_DIR"},
			"is not a folder"},
		"a file as folder for others": {map[string]string{"DATA_DIR": empty, "DATABASE_URL": "sqlite:x.db"},
			[]string{"DATA_DIR"}, "can write to"},
		"a database below a file": {map[string]string{"DATABASE_URL": "sqlite:" + filepath.Join(empty, "x.db")},
			[]string{"DATABASE_URL"}, "can't be made"},
		// Somebody took NAME_FILE for NAME, so the value is the secret and not the name of a file.
		"a secret in place of its file": {map[string]string{"ENCRYPTION_KEYS_FILE": "hush-" + key},
			[]string{"ENCRYPTION_KEYS_FILE"}, "name a file"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := refused(t, over(good, test.set), "serve")
			if got := problems(t, answer); !slices.Equal(got, test.want) || !strings.Contains(answer, test.says) {
				t.Errorf("complains of %v, want %v with %q:\n%s", got, test.want, test.says, answer)
			}
		})
	}

	t.Run("all at once", func(t *testing.T) {
		answer := refused(t, map[string]string{
			"LOG_LEVEL": "loud", "LOG_FORMAT": "xml", "DATABASE_URL": "oracle:hush-password", "ENCRYPTION_KEYS": "hush-key",
			"SLACK_CLIENT_SECRET_FILE": gone, "PUBLIC_URL": "http://bot.example.com/x", "SUPPORT_URL": "nowhere",
			"PRIVACY_URL": "nowhere", "SLACK_APP_TOKEN": "hush-app", "INBOX_LEASE": "x", "DRAIN_DELAY": "2m", "WORKERS": "x",
			"INBOX": "x", "SLACK_APP_ID": "x", "SLACK_CLIENT_ID": "x", "SLACK_URL": "x", "LISTEN_ADDR": "x", "ADMIN_ADDR": "y",
			"KEEP_DAYS": "x", "MOVE_TO_ROTATION": "x", "DATA_DIR": empty,
		}, "serve")
		want := []string{"LOG_LEVEL", "LOG_FORMAT", "DATABASE_URL", "ENCRYPTION_KEYS", "SLACK_CLIENT_SECRET_FILE",
			"PUBLIC_URL", "SUPPORT_URL", "PRIVACY_URL", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN", "SLACK_APP_ID",
			"SLACK_CLIENT_ID", "SLACK_URL", "LISTEN_ADDR", "ADMIN_ADDR", "KEEP_DAYS", "MOVE_TO_ROTATION", "DATA_DIR",
			"INBOX_LEASE", "DRAIN_DELAY", "WORKERS", "INBOX"}
		got := problems(t, answer)
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("%s is missing from:\n%s", name, answer)
			}
		}
		if !strings.Contains(answer, "Nothing was started") || strings.Contains(answer, "init") {
			t.Error(answer)
		}
	})

	t.Run("nothing is set yet", func(t *testing.T) {
		if answer := refused(t, nil, "serve"); !strings.Contains(answer, "switchboard init asks for what is needed") {
			t.Error(answer)
		}
	})

	// The commands beside serve hold the same view.
	for _, args := range [][]string{{"connections", "list"}, {"connections", "show", "T1"},
		{"connections", "history", "T1"}, {"keys", "check"}, {"keys", "rotate"}, {"migrate", "up"}, {"migrate", "status"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			answer := refused(t, map[string]string{"DATABASE_URL": "mysql://u:hush-password@h/x", "ENCRYPTION_KEYS": "hush-key"},
				args...)
			if got := problems(t, answer); !slices.Equal(got, []string{"DATABASE_URL", "ENCRYPTION_KEYS"}) {
				t.Errorf("%v in %s", got, answer)
			}
		})
	}
	for _, args := range [][]string{{"connections", "disconnect", "T1"}, {"connections", "disconnect", "--yes", "T1"},
		{"connections", "exchange", "--all"}, {"import", "bolt", "--from", empty}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			answer := refused(t, map[string]string{"DATABASE_URL": "mysql://u:hush-password@h/x", "ENCRYPTION_KEYS": "hush-key",
				"SLACK_CLIENT_ID": "A1", "SLACK_URL": "http://slack.com", "DATA_DIR": empty}, args...)
			got := problems(t, answer)
			slices.Sort(got)
			if want := []string{"DATABASE_URL", "DATA_DIR", "ENCRYPTION_KEYS", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET",
				"SLACK_URL"}; !slices.Equal(got, want) {
				t.Errorf("%v in %s", got, answer)
			}
		})
	}
}

// A secret that a flag could take would be in every list of processes.
func TestSecretsHaveNoFlags(t *testing.T) {
	for _, flag := range []string{"--slack-client-secret", "--slack-signing-secret", "--slack-bot-token",
		"--encryption-keys"} {
		if answer := refused(t, good, "serve", flag+"=hush-hush"); !strings.Contains(answer, "unknown flag "+flag) ||
			strings.Contains(answer, "hush-hush") {
			t.Errorf("%s: %s", flag, answer)
		}
	}
}

func TestFlagBeforeEnvironmentBeforeFile(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	dotenv := filepath.Join(folder, ".env")
	for _, test := range []struct{ flag, env, file, want string }{
		{"https://flag.example", "https://env.example", "https://file.example", "https://flag.example"},
		{"", "https://env.example", "https://file.example", "https://env.example"},
		{"", "", "https://file.example", "https://file.example"},
		{"", "", "", placeholderURL},
		// what is not used is not judged
		{"https://flag.example", "not an address", "not an address", "https://flag.example"},
	} {
		write(t, dotenv, "# settings\nPUBLIC_URL="+test.file+"\n")
		args := []string{"manifest", "--json"}
		if test.flag != "" {
			args = append(args, "--public-url", test.flag)
		}
		out, errs, code := try(map[string]string{"PUBLIC_URL": test.env}, args...)
		if code != 0 || !strings.Contains(out, `"`+test.want+`/slack/events"`) {
			t.Errorf("%+v: exit %d %s", test, code, errs)
		}
	}

	// Every flag of serve is before its setting: as a wrong one, and as the one that mends it.
	flags := map[string]string{
		"slack-client-id": "SLACK_CLIENT_ID", "slack-app-id": "SLACK_APP_ID", "slack-url": "SLACK_URL",
		"public-url": "PUBLIC_URL", "listen-addr": "LISTEN_ADDR", "admin-addr": "ADMIN_ADDR", "database-url": "DATABASE_URL",
		"support-url": "SUPPORT_URL", "privacy-url": "PRIVACY_URL", "log-level": "LOG_LEVEL", "log-format": "LOG_FORMAT",
		"keep-days": "KEEP_DAYS", "move-to-rotation": "MOVE_TO_ROTATION",
	}
	right := over(good, map[string]string{"SLACK_APP_ID": "A0SWITCHBD", "SLACK_URL": "https://slack.com",
		"DATABASE_URL": "sqlite:x.db",
		"SUPPORT_URL":  "https://example.com", "PRIVACY_URL": "https://example.com", "LOG_LEVEL": "debug",
		"LOG_FORMAT": "text", "KEEP_DAYS": "30", "MOVE_TO_ROTATION": "true"})
	wrong := maps.Clone(right)
	wrongArgs, rightArgs := []string{"serve"}, []string{"serve"}
	for flag, name := range flags {
		wrongArgs = append(wrongArgs, "--"+flag+"=!"+name)
		rightArgs = append(rightArgs, "--"+flag+"="+right[name])
		wrong[name] = "!" + name
	}
	got := problems(t, refused(t, right, wrongArgs...))
	want := slices.Collect(maps.Values(flags))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("wrong flags over right settings: %v, want %v", got, want)
	}
	wrong["SLACK_SIGNING_SECRET"] = "" // so that it is refused, and for nothing else
	if got := problems(t, refused(t, wrong, rightArgs...)); !slices.Equal(got, []string{"SLACK_SIGNING_SECRET"}) {
		t.Errorf("right flags over wrong settings: %v", got)
	}

	// Secrets: the environment's file comes before the value in .env, as the environment does.
	t.Chdir(folder)
	key := write(t, filepath.Join(t.TempDir(), "keys"), seal.NewKey()+"\n")
	write(t, dotenv, "ENCRYPTION_KEYS=hush-key\nDATA_DIR="+filepath.Join(folder, "of-file")+"\n")
	if _, errs, code := try(nil, "migrate", "up"); code != 2 || !strings.Contains(errs, "ENCRYPTION_KEYS") ||
		strings.Contains(errs, "hush-key") {
		t.Errorf("the key in .env was not read: exit %d %s", code, errs)
	}
	for _, test := range []struct {
		name, made string
		env        map[string]string
		flags      []string
	}{
		{"of .env", "of-file", nil, nil},
		{"of the environment", "of-env", map[string]string{"DATA_DIR": filepath.Join(folder, "of-env")}, nil},
		{"of the flag", "of-flag", map[string]string{"DATA_DIR": filepath.Join(folder, "of-env")},
			[]string{"--data-dir", filepath.Join(folder, "of-flag")}},
	} {
		env := over(map[string]string{"ENCRYPTION_KEYS_FILE": key}, test.env)
		if _, errs, code := try(env, append([]string{"migrate", "up"}, test.flags...)...); code != 0 {
			t.Errorf("%s: exit %d %s", test.name, code, errs)
		}
		if _, err := os.Stat(filepath.Join(folder, test.made, "switchboard.db")); err != nil {
			t.Errorf("the folder %s was not used: %v", test.name, err)
		}
		_ = os.RemoveAll(filepath.Join(folder, test.made))
	}
}

// A line that cannot be read may be a secret, so the file's content is never quoted.
func TestBrokenDotenvIsNotQuoted(t *testing.T) {
	folder := t.TempDir()
	for _, args := range [][]string{{"serve"}, {"manifest"}, {"demo"}, {"connections", "list"}, {"migrate", "up"},
		{"migrate", "status"}} {
		t.Chdir(folder)
		write(t, filepath.Join(folder, ".env"), "SLACK_CLIENT_SECRET hush-client\n\"hush-two\n")
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		out, errs, code := tryUntil(ended, good, args...)
		if code != 2 || !slices.Equal(problems(t, errs), []string{".env"}) || strings.Contains(out+errs, "hush") {
			t.Errorf("%v: exit %d %s%s", args, code, out, errs)
		}
		if made := names(t, folder); !slices.Equal(made, []string{".env"}) {
			t.Errorf("%v: made %v", args, made)
		}
	}
}

// Every secret may come as the name of a file, with the line end that editors add; the bot token's is in
// single_test.go.
func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		folder := t.TempDir()
		app := w.slack.App()
		fromFiles := map[string]string{}
		for name, secret := range map[string]string{
			"SLACK_CLIENT_SECRET":  app.ClientSecret,
			"SLACK_SIGNING_SECRET": good["SLACK_SIGNING_SECRET"] + ", " + app.SigningSecret, "ENCRYPTION_KEYS": w.keys,
			"DATABASE_URL": w.database,
		} {
			fromFiles[name] = ""
			fromFiles[name+"_FILE"] = write(t, filepath.Join(folder, name), secret+"\r\n")
		}
		w.start(1, fromFiles)
		if page := w.browser().install(slacksim.AcmeAdmin); !strings.Contains(page.body,
			"Connected: Switchboard is in Acme Corp") {
			t.Errorf("install: %d %s", page.status, page.body)
		}
		w.quick("a signed command", slacksim.AcmeAdmin, "/connection help", "/connection")
		// The same database and the same keys as when they are given directly.
		if rows := w.connections(); len(rows) != 1 || rows[0].State != "active" {
			t.Errorf("rows: %+v", rows)
		}
	})
}

func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, test := range []struct {
		args []string
		code int
		says []string
	}{
		{nil, 0, []string{"Usage: switchboard <command>", "demo", "serve", "manifest", "connections list",
			"connections history", "connections disconnect", "connections exchange", "import bolt", "keys check", "migrate up",
			"version",
			"NAME_FILE"}},
		{[]string{"help"}, 0, []string{"Usage: switchboard <command>", "demo"}},
		{[]string{"--help"}, 0, []string{"Usage: switchboard <command>"}},
		{[]string{"-h"}, 0, []string{"Usage: switchboard <command>"}},
		{[]string{"help", "serve"}, 0, []string{"Usage: switchboard serve", "SLACK_CLIENT_ID", "PUBLIC_URL", "--listen-addr",
			"127.0.0.1:3000."}},
		{[]string{"serve", "--help"}, 0, []string{"Usage: switchboard serve", "--listen-addr"}},
		{[]string{"help", "connections", "list"}, 0, []string{"Usage: switchboard connections list", "--json"}},
		{[]string{"version"}, 0, []string{"switchboard dev", "go1."}},
		{[]string{"bogus"}, 2, []string{"bogus", "Try: switchboard help\n"}},
		{[]string{"help", "bogus"}, 2, []string{"bogus", "Try: switchboard help"}},
		{[]string{"serve", "--bogus"}, 2, []string{"--bogus", "Try: switchboard help serve\n"}},
		{[]string{"serve", "extra"}, 2, []string{"extra", "Try: switchboard help"}},
		{[]string{"serve", "--listen-addr"}, 2, []string{"--listen-addr", "Try: switchboard help"}},
		{[]string{"help", "connections", "history"}, 0,
			[]string{"Usage: switchboard connections history", "--limit", "--json", "when, who, what"}},
		{[]string{"help", "connections", "disconnect"}, 0,
			[]string{"Usage: switchboard connections disconnect", "--yes", "--erase-anyway", "SLACK_CLIENT_SECRET"}},
		{[]string{"help", "connections", "exchange"}, 0,
			[]string{"Usage: switchboard connections exchange", "--all", "SLACK_CLIENT_SECRET"}},
		{[]string{"help", "import", "bolt"}, 0,
			[]string{"Usage: switchboard import bolt", "--from", "--dry-run", "--json", "SLACK_CLIENT_SECRET"}},
		{[]string{"import"}, 2, []string{"bolt", "Try: switchboard help"}},
		{[]string{"import", "bolt"}, 2, []string{"--from", "Try: switchboard help import bolt\n"}},
		{[]string{"help", "keys", "rotate"}, 0, []string{"Usage: switchboard keys rotate", "--erase-unreadable"}},
		{[]string{"connections"}, 2, []string{"list", "show", "history", "check", "Try: switchboard help"}},
		{[]string{"connections", "show"}, 2, []string{"<name>", "Try: switchboard help"}},
		{[]string{"connections", "history"}, 2, []string{"<name>", "Try: switchboard help"}},
		{[]string{"connections", "history", "--limit", "0", "T1"}, 2,
			[]string{"--limit must be 1 or more", "Try: switchboard help"}},
		{[]string{"connections", "disconnect"}, 2, []string{"<name>", "Try: switchboard help"}},
		{[]string{"connections", "exchange"}, 2,
			[]string{"name one connection, or give --all", "Try: switchboard help connections exchange\n"}},
		{[]string{"connections", "exchange", "--all", "T1"}, 2,
			[]string{"name one connection, or give --all", "Try: switchboard help"}},
		{[]string{"keys"}, 2, []string{"check", "rotate", "Try: switchboard help"}},
		{[]string{"migrate", "sideways"}, 2, []string{"sideways", "Try: switchboard help"}},
	} {
		out, errs, code := try(nil, test.args...)
		asked, silent := out, errs // what was asked for is output, a mistake is an error
		if test.code != 0 {
			asked, silent = errs, out
		}
		if code != test.code || silent != "" {
			t.Errorf("%q: exit %d, want %d; %q", test.args, code, test.code, silent)
		}
		for _, want := range test.says {
			if !strings.Contains(asked, want) {
				t.Errorf("%q: no %q in %s", test.args, want, asked)
			}
		}
	}

	out, _, code := try(nil, "version", "--json")
	var info map[string]string
	if err := json.Unmarshal([]byte(out), &info); err != nil || code != 0 || info["version"] != version ||
		info["go"] == "" {
		t.Errorf("version --json: exit %d %v %s", code, err, out)
	}
	if made := names(t, "."); len(made) != 0 {
		t.Errorf("asking for help made %v", made)
	}
}

// A fault of ours must end in a stack and a bad exit code; help and usage leave through the same recover.
func TestPanicIsNotSuccess(t *testing.T) {
	t.Parallel()
	defer func() {
		if v := recover(); v != "broken" {
			t.Errorf("the panic became %v", v)
		}
	}()
	err := run(context.Background(), []string{"serve"}, func(string) string { panic("broken") }, &bytes.Buffer{},
		&bytes.Buffer{})
	t.Errorf("the panic was taken for %v", err)
}

func TestManifestCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	const public = "https://bot.example.com:8443"
	env := map[string]string{"PUBLIC_URL": public + "/"}

	out, errs, code := try(env, "manifest", "--json")
	var asJSON, asYAML any
	if err := json.Unmarshal([]byte(out), &asJSON); err != nil || code != 0 || errs != "" {
		t.Fatalf("--json: exit %d %v %s%s", code, err, out, errs)
	}
	text, errs, code := try(env, "manifest")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d %s", code, errs)
	}
	if err := yaml.Unmarshal([]byte(text), &asYAML); err != nil {
		t.Fatal(err)
	}
	// One manifest in two spellings.
	a, _ := json.Marshal(asJSON)
	b, _ := json.Marshal(asYAML)
	if !bytes.Equal(a, b) {
		t.Errorf("the YAML differs from the JSON:\n%s\n%s", a, b)
	}
	// The address stands everywhere where Slack wants one, and no placeholder is left.
	var m bot.Manifest
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatal(err)
	}
	if got := m.Settings.EventSubscriptions.RequestUrl; got != public+"/slack/events" {
		t.Errorf("events go to %q", got)
	}
	for _, want := range []string{`"request_url": "` + public + `/slack/events"`, `"` + public + `/slack/oauth_redirect"`,
		`"url": "` + public + `/slack/events"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	if strings.Contains(out+text, placeholderURL) {
		t.Error("a placeholder is left")
	}

	// Without an address it still prints, and says what to replace where a redirect into a file does not hide it.
	out, errs, code = try(nil, "manifest")
	if code != 0 || !strings.Contains(out, placeholderURL) || !strings.Contains(errs, "PUBLIC_URL is not set") ||
		strings.Contains(out, "is not set") {
		t.Errorf("without PUBLIC_URL: exit %d %s", code, errs)
	}
	for _, address := range []string{"http://bot.example.com", "https://bot.example.com/path", "bot.example.com"} {
		if answer := refused(t, map[string]string{"PUBLIC_URL": address}, "manifest"); !slices.Contains(problems(t, answer),
			"PUBLIC_URL") {
			t.Errorf("%s: %s", address, answer)
		}
	}
}

// On this machine http may do, and manifest and serve say the same of it.
func TestPublicAddressOverHTTP(t *testing.T) {
	t.Chdir(t.TempDir())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	local := map[string]string{"PUBLIC_URL": "http://localhost:3000"}
	for name, test := range map[string]struct {
		set    map[string]string
		args   []string
		warned bool
	}{
		"manifest":                 {local, []string{"manifest"}, true},
		"manifest for Socket Mode": {local, []string{"manifest", "--socket-mode"}, false},
		"manifest over https":      {good, []string{"manifest"}, false},
		"serve":                    {over(good, local), []string{"serve"}, true},
		"serve in Socket Mode": {over(over(good, local), map[string]string{"SLACK_APP_TOKEN": "xapp-1-A0SWITCHBD-ab12"}),
			[]string{"serve"}, false},
		"serve with a small Slack": {over(over(good, local), map[string]string{"SLACK_URL": "http://127.0.0.1:9"}),
			[]string{"serve"}, false},
		"serve over https": {good, []string{"serve"}, false},
	} {
		out, errs, code := tryUntil(ended, test.set, test.args...)
		if code == 2 || strings.Contains(errs, httpWarning) != test.warned {
			t.Errorf("%s: exit %d %s", name, code, errs)
		}
		if test.args[0] == "manifest" && (code != 0 ||
			!strings.Contains(out, test.set["PUBLIC_URL"]+"/slack/oauth_redirect")) {
			t.Errorf("%s: exit %d %s %s", name, code, errs, out)
		}
	}
}

// tables counts what is in a test's database.
func tables(t *testing.T, database string) int {
	t.Helper()
	driver, address, count := "pgx", database, "SELECT count(*) FROM information_schema.tables WHERE table_schema = "+
		"current_schema()"
	if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
		driver, address, count = "sqlite", path, "SELECT count(*) FROM sqlite_master"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow(count).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

type migrationStep struct {
	Version   int64
	Name      string
	AppliedAt *string `json:"applied_at"`
}

func migrationSteps(t *testing.T, out string) []migrationStep {
	t.Helper()
	var steps []migrationStep
	if err := json.Unmarshal([]byte(out), &steps); err != nil || len(steps) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	return steps
}

func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"DATABASE_URL": database(t), "DATA_DIR": t.TempDir()}
			if path, ok := strings.CutPrefix(env["DATABASE_URL"], "sqlite:"); ok {
				// Looking must not make what the operator mistyped.
				if out, errs, code := try(env, "migrate", "status"); code != 1 ||
					!strings.Contains(errs, "there is no database at "+path) {
					t.Errorf("status of nothing: exit %d %s%s", code, out, errs)
				}
				if made := names(t, filepath.Dir(path)); len(made) != 0 {
					t.Errorf("status made %v", made)
				}
				write(t, path, "")
			}

			out, errs, code := try(env, "migrate", "status", "--json")
			if code != 1 || !strings.Contains(errs, "run switchboard migrate up") {
				t.Errorf("status before: exit %d %s", code, errs)
			}
			steps := migrationSteps(t, out)
			for _, s := range steps {
				if s.AppliedAt != nil || s.Version == 0 || s.Name == "" {
					t.Errorf("before: %+v", s)
				}
			}
			if out, _, code := try(env, "migrate", "status"); code != 1 || strings.Count(out, "not yet") != len(steps) {
				t.Errorf("status before, in words: exit %d %s", code, out)
			}
			if n := tables(t, env["DATABASE_URL"]); n != 0 {
				t.Errorf("status made %d tables", n)
			}

			if out, errs, code := try(env, "migrate", "up"); code != 0 ||
				!strings.Contains(out, fmt.Sprintf("Applied %d step", len(steps))) {
				t.Errorf("up: exit %d %s%s", code, out, errs)
			}
			if out, errs, code := try(env, "migrate", "up"); code != 0 || !strings.Contains(out, "nothing was changed") {
				t.Errorf("up again: exit %d %s%s", code, out, errs)
			}
			if out, errs, code := try(env, "migrate", "up", "--json"); code != 0 ||
				strings.Join(strings.Fields(out), "") != `{"applied":0}` {
				t.Errorf("up once more: exit %d %s%s", code, out, errs)
			}
			out, errs, code = try(env, "migrate", "status", "--json")
			if code != 0 || errs != "" {
				t.Errorf("status after: exit %d %s", code, errs)
			}
			for _, s := range migrationSteps(t, out) {
				if s.AppliedAt == nil {
					t.Errorf("after: %+v", s)
				}
			}
			if out, errs, code := try(env, "migrate", "status"); code != 0 || strings.Contains(out, "not yet") {
				t.Errorf("status after, in words: exit %d %s%s", code, out, errs)
			}
		})
	}
}

// Two deployments that start together: each step is taken once.
func TestMigrateUpTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"DATABASE_URL": database(t), "DATA_DIR": t.TempDir()}
			const n = 2
			type result struct {
				out, errs string
				code      int
			}
			results := make(chan result, n)
			for range n {
				go func() {
					out, errs, code := try(env, "migrate", "up", "--json")
					results <- result{out, errs, code}
				}()
			}
			applied := 0
			for range n {
				r := <-results
				var answer struct{ Applied int }
				if err := json.Unmarshal([]byte(r.out), &answer); err != nil || r.code != 0 {
					t.Errorf("exit %d %v %s", r.code, err, r.errs)
				}
				applied += answer.Applied
			}
			out, _, code := try(env, "migrate", "status", "--json")
			if steps := migrationSteps(t, out); code != 0 || applied != len(steps) {
				t.Errorf("%d steps were applied, want %d; status exits with %d", applied, len(steps), code)
			}
		})
	}
}

// A program and a database that do not fit each other: PostgreSQL is shared, so only a person changes it; SQLite is
// this program's own, so it is brought up to date, and never taken back.
func TestServeNeedsTheRightSchema(t *testing.T) {
	t.Parallel()
	newer := func(t *testing.T, env map[string]string) {
		t.Helper()
		driver, address := "pgx", env["DATABASE_URL"]
		if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
			driver, address = "sqlite", path
		}
		db, err := sql.Open(driver, address)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range []string{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)",
			"UPDATE schema_state SET works_from = 9999"} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		for _, args := range [][]string{{"serve"}, {"connections", "list"}, {"migrate", "up"}, {"migrate", "status"}} {
			if out, errs, code := try(env, args...); code != 1 || !strings.Contains(errs, "written by a newer Switchboard") ||
				!strings.Contains(errs, "run that version or newer") {
				t.Errorf("%v on a newer schema: exit %d %s%s", args, code, out, errs)
			}
		}
	}
	t.Run("postgres", func(t *testing.T) {
		env := over(good, map[string]string{"DATABASE_URL": storagetest.Postgres(t), "ENCRYPTION_KEYS": seal.NewKey(),
			"DATA_DIR": t.TempDir()})
		for _, args := range [][]string{{"serve"}, {"connections", "list"}} {
			if _, errs, code := try(env, args...); code != 1 || !strings.Contains(errs, "run switchboard migrate up") {
				t.Errorf("%v without tables: exit %d %s", args, code, errs)
			}
		}
		if n := tables(t, env["DATABASE_URL"]); n != 0 {
			t.Errorf("serve made %d tables in a database that is shared", n)
		}
		if _, errs, code := try(env, "migrate", "up"); code != 0 {
			t.Fatalf("migrate up: exit %d %s", code, errs)
		}
		newer(t, env)
	})
	t.Run("sqlite", func(t *testing.T) {
		w := newWorld(t, storagetest.SQLite(t)).start(1, nil) // nobody ran migrate up
		if _, errs, code := w.command("migrate", "status"); code != 0 {
			t.Errorf("after serve: exit %d %s", code, errs)
		}
		w.stop()
		newer(t, over(good, map[string]string{"DATABASE_URL": w.database, "DATA_DIR": w.dataDir, "ENCRYPTION_KEYS": w.keys}))
	})
	t.Run("no server", func(t *testing.T) {
		env := over(good, map[string]string{"DATABASE_URL": "postgres://u:hush-password@127.0.0.1:1/x",
			"ENCRYPTION_KEYS": seal.NewKey()})
		for _, args := range [][]string{{"migrate", "up"}, {"connections", "list"}} { // serve waits
			if _, errs, code := try(env, args...); code != 1 || !strings.Contains(errs, "open database") ||
				strings.Contains(errs, "hush") {
				t.Errorf("%v: exit %d %s", args, code, errs)
			}
		}
	})
}

// What is wrong with the tables is said with the command that helps, wherever the error comes through.
func TestTheTablesAreSaidToOperators(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]storage.SchemaError{
		"this database has no Switchboard tables yet: run switchboard migrate up":                                          {Have: 0, Want: 3},
		"this database has schema version 2 and this Switchboard needs 3: run switchboard migrate up":                      {Have: 2, Want: 3},
		"this database was written by a newer Switchboard (schema version 4, this one knows 3): run that version or newer": {Have: 4, Want: 3},
	} {
		var errs strings.Builder
		if code := exitCode(&errs, fmt.Errorf("open database: %w", &e)); code != 1 ||
			errs.String() != "switchboard: open database: "+want+"\n" {
			t.Errorf("%+v: exit %d %q", e, code, errs.String())
		}
	}
}

func TestConnectionsOfNothing(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	// No database: a new, empty one would look as if all connections were lost.
	for _, args := range [][]string{{"connections", "list"}, {"connections", "list", "--json"},
		{"connections", "show", "T1"}} {
		if out, errs, code := try(nil, args...); code != 1 || out != "" ||
			!strings.Contains(errs, filepath.Join("data", "switchboard.db")) || !strings.Contains(errs, "DATABASE_URL") {
			t.Errorf("%v: exit %d %s%s", args, code, out, errs)
		}
	}
	if made := names(t, folder); len(made) != 0 {
		t.Errorf("looking made %v", made)
	}
	if _, errs, code := try(nil, "migrate", "up"); code != 0 {
		t.Fatalf("migrate up in a new folder: exit %d %s", code, errs)
	}
	if out, errs, code := try(nil, "connections", "list", "--json"); code != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("empty, as JSON: exit %d %s%s", code, out, errs)
	}
	if out, errs, code := try(nil, "connections", "list"); code != 0 || out != "No workspace is connected yet.\n" {
		t.Errorf("empty: exit %d %s%s", code, out, errs)
	}
	// Looking makes no key either: an operator whose key file is lost must not get one that opens nothing.
	if slices.ContainsFunc(names(t, folder), func(name string) bool { return strings.HasSuffix(name, ".key") }) {
		t.Errorf("looking made a key: %v", names(t, folder))
	}
}

// A workspace's name is chosen by a stranger, and a terminal obeys what is in it.
func TestNamesDoNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	const name = "Ev\x1b[31mil\x07\u009b2J\x7f\tCo\nT0FAKE\u202egnp.exe 🦊 é"
	w := newWorld(t, storagetest.SQLite(t))
	w.slack.AddWorkspace(slacksim.Workspace{ID: slacksim.Acme, Name: name, Domain: "acme"})
	w.start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	for _, args := range [][]string{{"connections", "list"}, {"connections", "show", slacksim.Acme},
		{"connections", "list", "--json"}, {"connections", "show", "--json", slacksim.Acme}} {
		out, errs, code := w.command(args...)
		if code != 0 || !strings.Contains(out, "🦊 é") {
			t.Errorf("%v: exit %d %s%s", args, code, out, errs)
		}
		asJSON := slices.Contains(args, "--json")
		for _, r := range out {
			if unicode.IsControl(r) && r != '\n' || r == '\u202e' && !asJSON {
				t.Errorf("%v: %U reaches the terminal", args, r)
			}
		}
	}
	if out, _, _ := w.command("connections", "list"); strings.Count(out, "\n") != 3 { // with the heading and the sum
		t.Errorf("a name makes lines of its own:\n%s", out)
	}
	if got := w.connections()[0].TeamName; got != name {
		t.Errorf("a script reads %q", got)
	}
	if _, errs, code := w.command("connections", "show", "\x1b[31m"); code != 1 || strings.Contains(errs, "\x1b") {
		t.Errorf("an odd name to look for: exit %d %q", code, errs)
	}
}

func TestLogsHideWhatLooksLikeASecret(t *testing.T) {
	t.Parallel()
	hidden := []string{
		"xoxb-1234567890-abcDEF", "xoxp-1-2-3-abc", "xapp-1-A0-1-abc", "xoxe-1-My0xLTM", "xoxe.xoxb-1-Mi0yLTM",
		"xoxe.xoxp-1-Mi0yLTM", "xoxa-2-abcdef", "xoxr-123", "xoxs-123", "xoxc-123", "xoxd-ab%2Bcd%3D", "xwfp-123",
		"https://hooks.slack.com/commands/T0ACME0001/123456/Kx9aB_c-d",
		"https://hooks.slack.com/actions/T0ACME0001/123456/Kx9aBcd",
		"https://hooks.slack.com/app-actions/T0ACME0001/123456/Kx9aBcd",
		"https://hooks.slack-gov.com/app/T0ACME0001/1/Kx9aBcd",
		"https://hooks.slack.com/services/T0ACME0001/B01/Kx9aBcd", "https://hooks.slack.com/triggers/E0ACME0001/1/Kx9aBcd",
		"/hooks/response/T0ACME0001/123456/Kx9aBcd", "/commands/T0ACME0001/123456/Kx9aBcd",
		"/app-actions/T0ACME0001/123456/Kx9aBcd", "/app/E0ACME0001/123456/Kx9aBcd",
	}
	kept := []string{"connection con_abcdef", "/slack/oauth_redirect", "/src/commands/statusview.go:12",
		"/app/commands/commands.go", "team T0ACME0001", "foxb-12"}
	for _, format := range []string{"json", "text"} {
		for _, secret := range append(slices.Clone(hidden), kept...) {
			var out bytes.Buffer
			log := newLogger(&out, slog.LevelDebug, format)
			cause := fmt.Errorf("post: %w", errors.Join(errors.New("first"), fmt.Errorf("Post %q: refused", secret)))
			log.Info("said "+secret, "plain", secret, "cause", cause,
				slog.Group("group", "plain", secret, slog.Group("deep", "cause", cause)))
			log.With("plain", "a "+secret).WithGroup("later").Warn("kept", "cause", cause, "plain", secret)
			log.Debug("any", slog.Any("plain", any(secret)), slog.Any("cause", any(cause)))
			want := !slices.Contains(hidden, secret)
			if got := strings.Contains(out.String(), secret); got != want {
				t.Errorf("%s: %q printed: %v, want %v:\n%s", format, secret, got, want, out.String())
			}
			if !want && (strings.Contains(out.String(), "Kx9aB") || !strings.Contains(out.String(), "[secret]")) {
				t.Errorf("%s: a part of %q is printed:\n%s", format, secret, out.String())
			}
			// Around the secret the text stays, or the line would be of no use.
			for _, s := range []string{"said ", "group", "refused", "first"} {
				if !strings.Contains(out.String(), s) {
					t.Errorf("%s: %q is gone from %s", format, s, out.String())
				}
			}
		}
	}
}

// A password with a character that should have been escaped reads like a host or a port, and is not repeated either.
func TestOddPasswordsAreNotPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t))
	for _, address := range []string{"postgres://bob:12345/hunter@127.0.0.1:1/db",
		"postgres://bob:12345#hunter@127.0.0.1:1/db", "postgres://bob:12345?hunter@127.0.0.1:1/db",
		"postgres://bob:12345hunter@127.0.0.1:1/db"} {
		out, errs, code := w.with(map[string]string{"DATABASE_URL": address}, "connections", "list")
		if said := out + errs; code == 0 || strings.Contains(said, "12345") || strings.Contains(said, "hunter") {
			t.Errorf("exit %d: %s", code, said)
		}
	}
}
