package bolt_test

// What the two Bolts write is understood, and what isn't theirs is refused whole, with each problem named.

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/bolt"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const (
	javaScript = `{"team":{"id":"T1","name":"Acme"},"enterprise":{"id":"E1","name":"Grid"},"appId":"A1",
		"user":{"token":"xoxp-1","refreshToken":"xoxe-2","expiresAt":1700000000,"scopes":["search:read","chat:write"],
			"id":"U1"},
		"bot":{"token":"xoxb-1","refreshToken":"xoxe-1","expiresAt":1700000001,"scopes":["commands"],"userId":"U2","id":"B1"},
		"incomingWebhook":{"url":"https://hooks.slack.com/1","channel":"#general","channelId":"C1",
			"configurationUrl":"https://x"},
		"tokenType":"bot","authVersion":"v2","isEnterpriseInstall":false,"metadata":null}`
	python = `{"app_id":"A1","enterprise_id":"E1","enterprise_name":"Grid","team_id":"T1","team_name":"Acme",
		"bot_token":"xoxb-1","bot_id":"B1","bot_user_id":"U2","bot_scopes":["commands"],"bot_refresh_token":"xoxe-1",
		"bot_token_expires_at":1700000001,"user_id":"U1","user_token":"xoxp-1","user_scopes":["search:read","chat:write"],
		"user_refresh_token":"xoxe-2","user_token_expires_at":1700000000,"incoming_webhook_url":"https://hooks.slack.com/1",
		"incoming_webhook_channel":"#general","incoming_webhook_channel_id":"C1",
		"incoming_webhook_configuration_url":"https://x","is_enterprise_install":false,"installed_at":1690000000.25,
		"custom_values":{}}`
)

// whole is what both of them say.
var whole = install.Installation{
	AppID: "A1", EnterpriseID: "E1", EnterpriseName: "Grid", TeamID: "T1", TeamName: "Acme", UserID: "U1",
	Bot: install.Tokens{Token: "xoxb-1", RefreshToken: "xoxe-1", ExpiresAt: time.Unix(1700000001, 0).UTC(),
		Scopes: []string{"commands"}},
	User: install.Tokens{Token: "xoxp-1", RefreshToken: "xoxe-2", ExpiresAt: time.Unix(1700000000, 0).UTC(),
		Scopes: []string{"chat:write", "search:read"}},
	Webhook: connection.Webhook{URL: "https://hooks.slack.com/1", Channel: "#general", ChannelID: "C1",
		ConfigurationURL: "https://x"},
}

// tree writes files, by their path, and returns the folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t *testing.T, from string) []install.Installation {
	t.Helper()
	found, err := bolt.Read(context.Background(), from)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestFilesOfBoth(t *testing.T) {
	t.Parallel()
	saved := time.UnixMilli(1691111111111).UTC()
	for name, test := range map[string]struct {
		content string
		want    func(i *install.Installation)
	}{
		"1.2/E1-T1/app-1691111111111": {content: javaScript, want: func(i *install.Installation) { i.SavedAt = saved }},
		"1.2/E1-T1/user-U1-1691111111111": {content: javaScript, want: func(i *install.Installation) {
			i.SavedAt, i.Bot = saved, install.Tokens{}
		}},
		"1.2/E1-T1/installer-latest": {content: python, want: func(i *install.Installation) {
			i.SavedAt = time.UnixMilli(1690000000250).UTC()
		}},
		"1.2/E1-T1/bot-1690000000.25": {content: python, want: func(i *install.Installation) {
			i.SavedAt = time.UnixMilli(1690000000250).UTC()
		}},
	} {
		found := read(t, tree(t, map[string]string{name: test.content, "1.2/E1-T1/.DS_Store": "x", "README": "x"}))
		want := whole
		want.From, want.ClientID = name, "1.2"
		test.want(&want)
		if len(found) != 1 || !reflect.DeepEqual(found[0], want) {
			t.Errorf("%s:\n%+v, not\n%+v", name, found, want)
		}
	}
}

// An organisation's install has no team, whatever stands there, and a file without a date is as old as it is.
func TestOrganisationAndAge(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"E1/app-latest": strings.Replace(javaScript, `Install":false`, `Install":true`, 1)})
	at := time.Unix(1695555555, 0).UTC()
	if err := os.Chtimes(filepath.Join(root, "E1", "app-latest"), at, at); err != nil {
		t.Fatal(err)
	}
	if found := read(t, root); len(found) != 1 || found[0].TeamID != "" || !found[0].SavedAt.Equal(at) ||
		found[0].ClientID != "" {
		t.Errorf("%+v", found)
	}
}

// @slack/oauth 4.0.0 leaves out a slash, so that workspaces lie beside their store.
func TestJoinedFolders(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{"storeT1/app-latest": javaScript, "store/E1-T1/app-latest": javaScript,
		"store/1.2T1/app-latest": javaScript, "storeroom/app-latest": "{", "storeT1.bak/app-latest": "{"})
	var from []string
	for _, i := range read(t, filepath.Join(root, "store")) {
		from = append(from, i.From+" "+i.ClientID)
	}
	if want := []string{"1.2T1/app-latest 1.2", "E1-T1/app-latest ", "../storeT1/app-latest "}; !slices.Equal(from, want) {
		t.Errorf("%q, not %q", from, want)
	}
}

// A list of installations, as somebody writes one from a database of their own.
func TestListInOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(tree(t, map[string]string{"all.json": "[" + javaScript + ",\n" + python + "]"}), "all.json")
	found := read(t, path)
	if len(found) != 2 || found[0].From != "all.json, entry 1" || found[1].Bot.Token != "xoxb-1" {
		t.Errorf("%+v", found)
	}
}

func TestWhatIsNotBolts(t *testing.T) {
	t.Parallel()
	file := func(name, content string) string {
		return filepath.Join(tree(t, map[string]string{name: content}), name)
	}
	const place, server = "name the folder", "check the address"
	for name, test := range map[string]struct {
		from string
		says []string
		fix  string // "": of its content
	}{
		"nothing": {from: "", says: []string{"names nothing"}, fix: place},
		"no file": {
			from: "/nowhere/at/all",
			says: []string{"there is no file or folder /nowhere/at/all"},
			fix:  place,
		},
		"another database": {from: "mysql://u:hush@h/x", says: []string{"mysql:// is no kind of store"}, fix: place},
		"empty folder":     {from: t.TempDir(), says: []string{"holds no installation that Bolt wrote"}, fix: place},
		"empty file":       {from: file("a.json", ""), says: []string{"is empty"}},
		"half a file":      {from: file("a.json", javaScript[:200]), says: []string{"ends in the middle"}},
		"two in one":       {from: file("a.json", "{}{"), says: []string{"goes on after its end"}},
		"no JSON":          {from: file("a.json", "xoxb-hush"), says: []string{"is not JSON"}},
		"another's": {
			from: file("a.json", `{"access_token":"xoxb-hush"}`),
			says: []string{"is not an installation"},
		},
		"an entry": {
			from: file("a.json", "["+python+",7]"),
			says: []string{"entry (number 2) that is not an installation"},
		},
		"an odd time": {
			from: file("a.json", `{"bot_token":"xoxb-hush","installed_at":"soon"}`),
			says: []string{"installed_at that is no time"},
		},
		"an odd end": {
			from: file("a.json", `{"bot":{"token":"xoxb-hush","expiresAt":-1}}`),
			says: []string{"bot.expiresAt that is no time"},
		},
		"several": {
			from: tree(t, map[string]string{"T1/app-latest": "{", "T2/bot-latest": "hush", "T3/bot-latest": python}),
			says: []string{"T1/app-latest ends in the middle", "T2/bot-latest is not JSON"},
		},
		"no database": {
			from: "sqlite:" + filepath.Join(t.TempDir(), "none.db"),
			says: []string{"there is no file"},
			fix:  place,
		},
		"a database as a file": {
			from: strings.TrimPrefix(sqlite(t, bots), "sqlite:"),
			says: []string{"is a SQLite database: name it as sqlite:PATH"},
			fix:  place,
		},
		"neither table, as SQLAlchemy says it": {
			from: strings.Replace(sqlite(t, "create table other (id integer)"), "sqlite:", "sqlite+pysqlite:///", 1),
			says: []string{"neither of the tables"},
			fix:  place,
		},
		"no SQLite": {
			from: "sqlite:" + file("a.db", python),
			says: []string{"is not a SQLite database"},
			fix:  place,
		},
		"no server": {
			from: "postgres://u:hush@127.0.0.1:1/x?sslmode=disable",
			says: []string{"the database can't be read"},
			fix:  server,
		},
		"an address": {
			from: "postgresql+asyncpg://u:hu/sh@h/x",
			says: []string{"the database can't be read"},
			fix:  server,
		},
		"neither table": {
			from: sqlite(t, "create table other (id integer)"),
			says: []string{"neither of the tables"},
			fix:  place,
		},
		"another's table": {
			from: sqlite(t, "create table slack_bots (id integer, bot_token text)"),
			says: []string{"slack_bots has no column client_id, so it isn't Bolt's"},
		},
		"an odd time in it": {
			from: sqlite(t, bots, "insert into slack_bots values ('1.2', 'A1', 'xoxb-hush', 'soon')"),
			says: []string{"slack_bots has a row 1 that has a installed_at that is no time"},
		},
	} {
		found, err := bolt.Read(context.Background(), test.from)
		var wrong *bolt.Error
		if !errors.As(err, &wrong) || found != nil {
			t.Errorf("%s: %v %v", name, found, err)
			continue
		}
		for _, want := range test.says {
			if !slices.ContainsFunc(wrong.Problems, func(p string) bool { return strings.Contains(p, want) }) {
				t.Errorf("%s: no %q in %q", name, want, wrong.Problems)
			}
		}
		if fix := cmp.Or(test.fix, "copy it again"); !strings.Contains(wrong.Fix, fix) {
			t.Errorf("%s: no %q in %q", name, fix, wrong.Fix)
		}
		if len(wrong.Problems) != len(test.says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %q", name, wrong.Problems)
		}
	}
}

// bots is a table of before tokens could be renewed.
const bots = "create table slack_bots (client_id text, app_id text, bot_token text, installed_at datetime)"

// sqlite makes a database and returns its address.
func sqlite(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bolt.db")
	fill(t, "sqlite", path, statements...)
	return "sqlite:" + path
}

func fill(t *testing.T, driver, address string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

// A table with the columns of before, read where it lies: nothing is written, and nothing appears beside it, also in
// the mode in which a reader leaves files there.
func TestTablesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"delete", "wal"} {
		from := sqlite(t, "pragma journal_mode="+mode, bots,
			"insert into slack_bots values ('1.2', 'A1', 'xoxb-1', '2023-07-22 04:26:40.250000')")
		path := strings.TrimPrefix(from, "sqlite:")
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := read(t, from)
		if len(found) != 1 || found[0].Bot.Token != "xoxb-1" || !found[0].SavedAt.Equal(time.UnixMilli(1690000000250)) {
			t.Errorf("%s: %+v", mode, found)
		}
		after, err := os.ReadFile(path)
		beside, bad := os.ReadDir(filepath.Dir(path))
		if err != nil || bad != nil || string(after) != string(before) || len(beside) != 1 {
			t.Errorf("%s: changed %v, beside it %v", mode, string(after) != string(before), beside)
		}
	}
}

// What a program that runs has written and not yet put into the file itself is read, too.
func TestTablesInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bolt.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for _, s := range []string{"pragma journal_mode=wal", bots,
		"insert into slack_bots values ('1.2', 'A1', 'xoxb-1', 1690000000)"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if found := read(t, "sqlite:"+path); len(found) != 1 {
		t.Errorf("%+v", found)
	}
}

// The server is told that nothing is to be written, and times have no zone there.
func TestPostgresTables(t *testing.T) {
	t.Parallel()
	address := storagetest.Postgres(t)
	more := "timestamptz, is_enterprise_install boolean, team_id text"
	fill(t, "pgx", address, strings.Replace(bots, "datetime", more, 1),
		"insert into slack_bots values ('1.2', 'A1', 'xoxb-1', '2023-07-22 06:26:40.25+02', true, 'T1')")
	found := read(t, strings.Replace(address, "postgres://", "postgresql+psycopg2://", 1))
	if len(found) != 1 || !found[0].SavedAt.Equal(time.UnixMilli(1690000000250)) || found[0].TeamID != "" ||
		found[0].From != "slack_bots 1" {
		t.Errorf("%+v", found)
	}
}

// Whatever a file holds: it is refused, or understood, and never a panic or a token in an error.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{javaScript, python, "[" + python + "]", javaScript[:100], "", "[[]]", "null", "{}",
		`{"bot":{"token":["xoxb-1"],"expiresAt":1e400}}`, `{"user_token":null,"installed_at":"2023-07-22T04:26:40Z"}`} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "app-latest")
	f.Fuzz(func(t *testing.T, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := bolt.Read(context.Background(), path)
		if err != nil {
			var wrong *bolt.Error
			if !errors.As(err, &wrong) || found != nil || strings.Contains(err.Error(), "xoxb-") {
				t.Errorf("%v %v", found, err)
			}
			return
		}
		for _, i := range found {
			for _, at := range []time.Time{i.SavedAt, i.Bot.ExpiresAt, i.User.ExpiresAt} {
				if year := at.Year(); !at.IsZero() && (year < 1 || year > 9999) {
					t.Errorf("a time in the year %d", year)
				}
			}
		}
	})
}
