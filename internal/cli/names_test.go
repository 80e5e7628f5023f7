package cli

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// unset is an environment without settings.
func unset(string) string { return "" }

func TestMisspeltNamesInDotenv(t *testing.T) {
	for name, ours := range map[string]string{
		"SLACK_SIGNING_SECERT": "SLACK_SIGNING_SECRET", "SLACK_SIGNINGSECRET": "SLACK_SIGNING_SECRET",
		"SLACK_SIGNING_SECRETS": "SLACK_SIGNING_SECRET", "slack_signing_secret": "SLACK_SIGNING_SECRET",
		"SLACK.CLIENT.ID": "SLACK_CLIENT_ID", "SLACK_ID_CLIENT": "SLACK_CLIENT_ID",
		"SLACK_CLEINT_SECRET": "SLACK_CLIENT_SECRET", "SWITCHBOARD_PUBLIC_URL": "PUBLIC_URL", "PUBLC_URL": "PUBLIC_URL",
		"PUBLIC_URI": "PUBLIC_URL", "DATABSE_URL": "DATABASE_URL", "DATABASE_URLFILE": "DATABASE_URL_FILE",
		"LISTEN_ADDRESS": "LISTEN_ADDR", "LISTEN_ADD": "LISTEN_ADDR", "ENCRYPTION_KEY": "ENCRYPTION_KEYS",
		"ENCRYPTION_KEY_FILE": "ENCRYPTION_KEYS_FILE", "WORKER": "WORKERS", "LOGLEVEL": "LOG_LEVEL", "KEEPDAYS": "KEEP_DAYS",
	} {
		t.Chdir(t.TempDir())
		write(t, ".env", name+"=hush-hush\n")
		s := newSource(unset)
		if err := s.err(); err == nil || !strings.Contains(err.Error(), "misspelt "+ours+"\n") ||
			strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		} else if got := problems(t, err.Error()); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What may be another program's is told, and nothing is refused for it. What may be a secret is not repeated.
func TestUnknownNames(t *testing.T) {
	for text, says := range map[string]string{
		"COMPOSE_PROJECT_NAME=x\nPOSTGRES_PASSWORD=hush\n": "COMPOSE_PROJECT_NAME, POSTGRES_PASSWORD",
		"SLACK_WEBHOOK_URL=hush\n":                         "SLACK_WEBHOOK_URL",
		"SLACK_API_TOKEN=hush\n":                           "SLACK_API_TOKEN",
		"SIGNING_SECRET=hush\n": "SIGNING_SECRET (misspelt " +
			"SLACK_SIGNING_SECRET?)",
		"husha3VzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaA=\n":                         "one that isn't shown",
		"SLACK_URL=https://slack.com\nDRAIN_DELAY=1s\nDATABASE_URL_FILE=hush\n": "",
	} {
		t.Chdir(t.TempDir())
		write(t, ".env", text)
		s := newSource(unset)
		if err := s.err(); err != nil {
			t.Errorf("%q is refused: %v", text, err)
		}
		said := ""
		for _, w := range s.warnings {
			said += w.What
		}
		if says == "" && said != "" || !strings.Contains(said, says) || strings.Contains(said, "hush") {
			t.Errorf("%q: warned %q, want %q", text, said, says)
		}
	}
}

// In the environment stands much that is nobody's business here; what begins with SLACK_ is.
func TestNamesInTheEnvironment(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, test := range []struct{ name, refused, warned string }{
		{"SLACK_SIGNING_SECERT", "SLACK_SIGNING_SECRET", ""}, {"SLACK_WEBHOOK_URL", "", "SLACK_WEBHOOK_URL"},
		{"DATABASE_URI", "", "DATABASE_URI (misspelt DATABASE_URL?)"}, {"TEST_SOMETHING_ELSE", "", ""},
	} {
		t.Setenv(test.name, "x")
		s := newSource(func(name string) string {
			if name == test.name {
				return os.Getenv(name)
			}
			return ""
		})
		err := s.err()
		if (err != nil) != (test.refused != "") || err != nil && !strings.Contains(err.Error(), test.refused) {
			t.Errorf("%s: %v", test.name, err)
		}
		if len(s.warnings) > 0 != (test.warned != "") || test.warned != "" &&
			!strings.Contains(s.warnings[0].What, test.warned) {
			t.Errorf("%s: warned of %v", test.name, s.warnings)
		}
	}
}

// Whatever is looked up, or stands in the table of docs/running.md, is known: it would be refused in .env as another's
// otherwise.
func TestAllSettingsAreKnown(t *testing.T) {
	running, err := os.ReadFile(filepath.Join("..", "..", "docs", "running.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(running), "| setting | what it is | default |")
	table, _, _ = strings.Cut(table, "\n\n")
	var found []string
	for line := range strings.Lines(table) {
		cells := strings.SplitN(line, "|", 3)
		if len(cells) > 1 {
			found = append(found, regexp.MustCompile(`[A-Z]+(_[A-Z]+)*`).FindAllString(cells[1], -1)...)
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lookup := regexp.MustCompile(`(?:\bget\([^,()]+, |\bsecret\(|contact\([^,()]+, |boolean\(s, [^,()]+, )"([A-Z_]+)"`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range lookup.FindAllStringSubmatch(string(text), -1) {
			found = append(found, m[1])
		}
	}
	if len(found) < 50 {
		t.Fatalf("only %q", found)
	}
	for _, name := range found {
		if !slices.Contains(settingNames, name) {
			t.Errorf("%s is no setting", name)
		}
	}
	for _, name := range settingNames {
		if base := strings.TrimSuffix(name, "_FILE"); !slices.Contains(found, base) {
			t.Errorf("%s is looked up nowhere", name)
		}
		if ours, certain := meant(name); ours != name || !certain {
			t.Errorf("%s is taken for %s", name, ours)
		}
	}
}

// A sample is as wrong as nothing, and so is what Slack never gives as that value.
func TestSamples(t *testing.T) {
	t.Chdir(t.TempDir())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, values := range map[string]struct{ wrong, right []string }{
		"SLACK_APP_ID": {
			[]string{"A0123456789", "A1234567890", "AXXXXXXXXXX", "A0000000000", "A0123ABC456", "ABCDEFGH", "app", "T0ACME0001",
				"1234.5678"},
			[]string{"", "A0SWITCHBD", "A0123K7QX2P", "A1F5TNPC2", "A06ABCJ8Q2X", "A12"}},
		"SLACK_CLIENT_ID": {
			[]string{"1234567890.1234567890", "123456789012.123456789012", "1234567890.0987654321", "0000000000.0000000000",
				"1234567890", "…"},
			[]string{"123.456", "2154628723.2163465780", "1000000000001.2000000000002"}},
		"SLACK_CLIENT_SECRET": {
			[]string{"…", "hello", "0123456789abcdef0123456789abcdef", strings.Repeat("x", 32), strings.Repeat("0", 32),
				"your-client-secret", "gIkuvaNzQIHg97ATvDxqgjtO", strings.Repeat("0a", 15), "xoxb-1-abcdef"},
			[]string{strings.Repeat("0a", 16), "8f742231b10e8888abcd99eff0aa85a5", "8F742231B10E8888ABCD99EFF0AA85A5"}},
		"SLACK_SIGNING_SECRET": {
			[]string{"…", "hello", "your_signing_secret", "8f742231b10e8888abcd99yyyzzz85a5", strings.Repeat("f", 32),
				strings.Repeat("0a", 16) + ",hello", "gIkuvaNzQIHg97ATvDxqgjtO"},
			[]string{strings.Repeat("0a", 16), "8f742231b10e8888abcd99eff0aa85a5, " + strings.Repeat("0b", 16)}},
		"SLACK_APP_TOKEN": {
			[]string{"xapp-…", "xapp-1-A0123456789-1234567890123-abcdef", "xapp-your-token-here", "xapp-xxxxx", "xapp-",
				"xapp-1-…", "app_level_one"},
			[]string{"xapp-1-A0SWITCHBD-1234567890123-5f3a9c", "xapp-1-another-one"}},
		"SLACK_BOT_TOKEN": {
			[]string{"xoxb-…", "xoxb-your-token", "xoxb-xxxxxxxxxxxx-xxxxxxxxxxxx-xxxxxxxxxxxxxxxxxxxxxxxx",
				"xoxb-not-a-real-token", "xoxb-YOUR_BOT_TOKEN", "xoxe.xoxb-1-…"},
			[]string{"xoxb-2154628723-2163465780123-pdFZKVeTuE8sk7oOcHrzzqgy", "xoxe.xoxb-1-Mi0yLTM4NzQ", "xoxb-hush-1"}},
	} {
		for _, value := range values.wrong {
			if got := problems(t, refused(t, over(good, map[string]string{name: value}), "serve")); !slices.Contains(got, name) {
				t.Errorf("%s=%s is taken", name, value)
			}
		}
		for _, value := range values.right {
			settings := over(good, map[string]string{name: value, "DATA_DIR": t.TempDir()})
			if _, said, _ := tryUntil(ended, settings, "serve"); slices.Contains(problems(t, said), name) {
				t.Errorf("%s=%s is refused: %s", name, value, said)
			}
		}
	}
	// An imitation of Slack on this machine gives out what it likes.
	imitation := map[string]string{"SLACK_URL": "http://127.0.0.1:1", "SLACK_CLIENT_SECRET": "c0ffee",
		"SLACK_SIGNING_SECRET": "0123456789abcdef0123456789abcdef", "DATA_DIR": t.TempDir()}
	if _, said, code := tryUntil(ended, over(good, imitation), "serve"); code != 0 {
		t.Errorf("with an imitation of Slack: %s", said)
	}
	// The commands that ask Slack hold the same view.
	settings := over(good, map[string]string{"SLACK_CLIENT_ID": "1234567890.1234567890",
		"SLACK_CLIENT_SECRET": "hello-hello"})
	if got := problems(t, refused(t, settings, "connections", "exchange", "--all")); !slices.Equal(got,
		[]string{"SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"}) {
		t.Errorf("exchange complains of %q", got)
	}
}

// What is wrong with a value from a file is said of the setting that names the file: the other one isn't set.
func TestFaultsOfFilesNameTheirSetting(t *testing.T) {
	folder := t.TempDir()
	for name, value := range map[string]string{
		"SLACK_CLIENT_SECRET": "hello", "SLACK_SIGNING_SECRET": "…", "SLACK_BOT_TOKEN": "xoxp-hushhush",
		"SLACK_APP_TOKEN": "xoxb-hushhush", "ENCRYPTION_KEYS": "hushhush", "DATABASE_URL": "mysql:hushhush",
	} {
		for _, file := range []string{write(t, filepath.Join(folder, name), value+"\n"), filepath.Join(folder, "gone")} {
			answer := refused(t, over(good, map[string]string{name: "", name + "_FILE": file}), "serve")
			if got := problems(t, answer); !slices.Equal(got, []string{name + "_FILE"}) {
				t.Errorf("%s from %s: complains of %q", name, file, got)
			}
		}
	}
	// And what only turns out later: keys of another database.
	t.Chdir(t.TempDir())
	db, err := storage.Open(t.Context(), "sqlite:x.db", mustKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := connection.Key{AppID: "A0SWITCHBD", TeamID: "T1"}
	_, err = db.Add(t.Context(), connection.Connection{Key: k, TokenPair: connection.TokenPair{Token: "xoxb-1"}})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(folder, "other keys"), seal.NewKey())
	_, errs, code := try(over(good, map[string]string{"DATABASE_URL": "sqlite:x.db", "ENCRYPTION_KEYS_FILE": file}),
		"serve")
	if got := problems(t, errs); code != 2 || !slices.Equal(got, []string{"ENCRYPTION_KEYS_FILE"}) {
		t.Errorf("keys of another database: exit %d %s", code, errs)
	}
}

func mustKeys(t *testing.T) *seal.Keyring {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// A port that somebody has is found out before a database and a key are made.
func TestPortInUseLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, setting := range []string{"LISTEN_ADDR", "ADMIN_ADDR"} {
		folder := t.TempDir()
		t.Chdir(folder)
		_, errs, code := try(over(good, map[string]string{setting: l.Addr().String()}), "serve")
		if made := names(t, folder); code != 1 || !strings.Contains(errs, "set "+setting+" to another") || len(made) != 0 {
			t.Errorf("%s in use: exit %d, left %q: %s", setting, code, made, errs)
		}
	}
}

// A .env that can be opened and not read is not taken for one with odd lines.
func TestDotenvThatCantBeRead(t *testing.T) {
	const unreadable = "/proc/self/mem" // at its beginning
	if _, err := os.Stat(unreadable); err != nil {
		t.Skip("no file here opens and then can't be read, as Linux has one: ", err)
	}
	t.Chdir(t.TempDir())
	if err := os.Symlink(unreadable, ".env"); err != nil {
		t.Fatal(err)
	}
	if err := newSource(unset).err(); err == nil || !strings.Contains(err.Error(), "can't be read: input/output error") {
		t.Errorf("said: %v", err)
	}
	t.Chdir(t.TempDir())
	write(t, ".env", "\ufeffSLACK_URL=https://slack-gov.com\r\n")
	if s := newSource(unset); s.err() != nil || s.get("", "SLACK_URL", "") != "https://slack-gov.com" {
		t.Errorf("with a byte order mark: %v", s.err())
	}
}
