package storage_test

// The promise to whoever connects a workspace: its token is in no file, no dump, no error, and useless where it does
// not belong.

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// dump returns every byte the database wrote for us: the SQLite files as they lie there, or every row of every table.
func dump(t *testing.T, f storetest.Fixture) (all []byte) {
	t.Helper()
	if path, ok := strings.CutPrefix(f.URL, "sqlite:"); ok {
		files, err := filepath.Glob(path + "*")
		if err != nil || len(files) != 3 {
			t.Fatalf("files %v, error %v", files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		return all
	}
	for _, table := range []string{"connections", "user_tokens", "connection_history", "budgets", "install_attempts",
		"bot_values", "timers", "goose_db_version"} {
		width := len(storetest.Columns(t, f, table))
		rows, err := f.Raw.Query("SELECT * FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		cells, targets := make([]sql.RawBytes, width), make([]any, width)
		for i := range cells {
			targets[i] = &cells[i]
		}
		for rows.Next() {
			if err := rows.Scan(targets...); err != nil {
				t.Fatal(err)
			}
			for _, cell := range cells {
				all = append(append(all, cell...), '\n')
			}
		}
	}
	return all
}

func TestNoSecretInTheDatabase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		var secrets []string
		secret := func(what string) connection.Secret {
			s := fmt.Sprintf("xoxe.xoxb-1-%s-%d-abcdefghijklmnopqrstuvwxyz", what, len(secrets))
			secrets = append(secrets, s)
			return connection.Secret(s)
		}
		for i := range 20 {
			c := storetest.Full(storetest.Key("A1", "E1", fmt.Sprintf("T%d", i)))
			c.TeamName = "in the clear"
			c.Token, c.RefreshToken, c.Webhook.URL = secret("token"), secret("refresh"),
				secret("https://hooks.slack.com/services")
			storetest.Put(t, f, c)
			c.Token, c.AuthorizedAt = secret("again"), storetest.T0.Add(time.Hour)
			storetest.Put(t, f, c)
			if _, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
				c.RefreshToken, c.Webhook.URL = secret("renewed"), secret("hook")
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			u := person(c.Key, "U1")
			u.Token, u.RefreshToken = secret("person"), secret("person-refresh")
			grant(t, f, u)
			updateUser(t, f, u.TokenOwner, func(u *connection.UserToken) { u.RefreshToken = secret("person-renewed") })
		}
		all := dump(t, f)
		if !bytes.Contains(all, []byte("in the clear")) {
			t.Fatal("the dump does not even hold what is not secret")
		}
		for _, s := range secrets {
			for form, text := range map[string]string{
				"clear": s, "base64": base64.StdEncoding.EncodeToString([]byte(s))[:40], "hex": hex.EncodeToString([]byte(s)),
				"HEX": strings.ToUpper(hex.EncodeToString([]byte(s))), "its middle": s[12:30],
			} {
				if bytes.Contains(all, []byte(text)) {
					t.Errorf("a secret lies in the database (%s)", form)
				}
			}
		}
	})
}

// unreadable checks that c is what Find promises for a row nobody can open.
func unreadable(t *testing.T, what string, c connection.Connection, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if c.Token != "" || c.RefreshToken != "" || c.Webhook.URL != "" {
		t.Errorf("%s: it has a secret", what)
	}
	if c.State != connection.ReconnectRequired || c.Reason != connection.ReasonUnreadable || c.TeamName != "Acme" {
		t.Errorf("%s: %s because of %q, of %q", what, c.State, c.Reason, c.TeamName)
	}
}

func TestCopiedSecretDoesNotOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		for name, statement := range map[string]string{
			"another row": "UPDATE connections SET token = (SELECT token FROM connections WHERE team_id = 'T2') " +
				"WHERE team_id = 'T1'",
			"another enterprise": "UPDATE connections SET token = (SELECT token FROM connections WHERE team_id = 'T1' AND " +
				"enterprise_id = 'E2') WHERE team_id = 'T1' AND enterprise_id = 'E1'",
			"another app": "UPDATE connections SET token = (SELECT token FROM connections WHERE app_id = 'A2') " +
				"WHERE app_id = 'A1' AND team_id = 'T1'",
			"the organisation": "UPDATE connections SET webhook_url = (SELECT webhook_url FROM connections WHERE team_id " +
				"= '') WHERE team_id = 'T1'",
			"another column":        "UPDATE connections SET token = refresh_token WHERE team_id = 'T1'",
			"columns changed about": "UPDATE connections SET token = refresh_token, refresh_token = token WHERE team_id = 'T1'",
			"a row moved": "UPDATE connections SET enterprise_id = 'E9' WHERE team_id = 'T1' AND enterprise_id = " +
				"'E1' AND app_id = 'A1'",
			"half a box": "UPDATE connections SET refresh_token = substr(refresh_token, 1, 20)",
		} {
			for _, k := range []connection.Key{storetest.Key("A1", "E1", "T1"), storetest.Key("A1", "E2", "T1"),
				storetest.Key("A1", "E1", "T2"), storetest.Key("A1", "E1", ""), storetest.Key("A2", "E1", "T1")} {
				c := storetest.Full(k)
				c.AuthorizedAt = time.Now() // newer than what the last round left
				storetest.Put(t, f, c)
			}
			if _, err := f.Raw.Exec(statement); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			k := storetest.Key("A1", "E1", "T1")
			if name == "a row moved" {
				k.EnterpriseID = "E9"
			}
			c, err := f.Lookup(t.Context(), k)
			unreadable(t, name+", Find", c, err)
			c, err = f.Get(t.Context(), c.ID)
			unreadable(t, name+", FindID", c, err)
		}
	})
}

func TestLostKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx := t.Context()
		first := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T1")))
		stranger := storetest.OpenWith(t, f.URL, storetest.Ring(t, seal.NewKey()))
		keyless := storetest.OpenWith(t, f.URL, nil)
		for name, db := range map[string]*storage.DB{"other key": stranger, "no key": keyless} {
			c, err := db.Lookup(ctx, first.Key)
			unreadable(t, name, c, err)
			// What needs no secret goes on.
			c, err = db.Update(ctx, first.Key, func(c *connection.Connection) error {
				c.LastEventAt = c.LastEventAt.Add(time.Minute)
				return nil
			})
			unreadable(t, name+", Update", c, err)
			list, err := db.List(ctx)
			if err != nil || len(list) != 1 || list[0].State != connection.ReconnectRequired ||
				list[0].Reason != connection.ReasonUnreadable {
				t.Errorf("%s, List: %v, %v", name, list, err)
			}
		}
		// The key is found again, and nothing is lost: not a secret, not a change, not the state beneath.
		first.LastEventAt = first.LastEventAt.Add(2 * time.Minute)
		c, err := f.Lookup(ctx, first.Key)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "with the key", c, first)

		// Without a key a secret is not kept at all, rather than kept open.
		fresh := storetest.Full(storetest.Key("A1", "E1", "T2"))
		if _, _, err := keyless.Put(ctx, fresh); !errors.Is(err, seal.ErrNoKey) || strings.Contains(err.Error(), "xox") {
			t.Errorf("Put without a key: %v", err)
		}
		if _, err := keyless.Lookup(ctx, fresh.Key); err != connection.ErrNotFound {
			t.Errorf("Put without a key left something: %v", err)
		}

		// A new token makes the row good again, for whoever has the new key, and nothing old is mixed in.
		c, err = stranger.Update(ctx, first.Key, func(c *connection.Connection) error {
			c.Token = "xoxb-new"
			c.SetState(connection.Active, "", storetest.T0)
			return nil
		})
		if err != nil || c.Token != "xoxb-new" || c.RefreshToken != "" || c.Webhook.URL != "" ||
			c.State != connection.Active {
			t.Errorf("after a new token: %+v, %v", c, err)
		}
		c, err = f.Lookup(ctx, first.Key)
		unreadable(t, "with the key of before", c, err)

		// Whoever ends a connection erases its secrets, able to read them or not.
		for _, end := range []connection.State{connection.Removed, connection.ReconnectRequired} {
			again := storetest.Full(first.Key)
			again.AuthorizedAt = storetest.T0.Add(time.Hour)
			storetest.Put(t, f, again)
			c, err = keyless.Update(ctx, first.Key, func(c *connection.Connection) error {
				c.Erase(end, connection.ReasonTokenRevoked, storetest.T0)
				return nil
			})
			if err != nil || c.State != end || c.Reason != connection.ReasonTokenRevoked {
				t.Errorf("ended: %s because of %q, %v", c.State, c.Reason, err)
			}
			if n := f.CountOf(t, "SELECT length(token) + length(refresh_token) + length(webhook_url) FROM connections"); n != 0 {
				t.Errorf("%d sealed bytes are left of a connection that ended as %s", n, end)
			}
		}
	})
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Full(storetest.Key("A1", "E1", "T1"))
		c.Token, c.RefreshToken, c.TeamName = "xoxb-hunter2", "xoxe-hunter2", "hunter2"
		storetest.Put(t, f, c)
		u := person(c.Key, "U1")
		u.Token, u.RefreshToken, u.Reason = "xoxp-hunter2", "xoxe-hunter2", "hunter2"
		grant(t, f, u)
		a := attempt("hunter2", storetest.T0)
		a.StateHash = []byte("hunter2")
		storetest.Exec(t, f, "ALTER TABLE user_tokens RENAME COLUMN granted_at TO gone")
		addUserErr := f.AddUser(t.Context(), u)
		_, updateUserErr := f.UpdateUser(t.Context(), u.TokenOwner, func(u *connection.UserToken) error {
			u.Token += "2"
			return nil
		})
		for _, statement := range []string{"DROP TABLE install_attempts", "ALTER TABLE connections RENAME " +
			"COLUMN team_icon TO gone"} {
			storetest.Exec(t, f, statement)
		}
		_, _, putErr := f.Put(t.Context(), c)
		_, updateErr := f.Update(t.Context(), c.Key, func(c *connection.Connection) error { c.Token += "2"; return nil })
		_, findErr := f.GetAttempt(t.Context(), a.StateHash)
		for name, err := range map[string]error{"Put": putErr, "Update": updateErr, "AddUser": addUserErr,
			"UpdateUser": updateUserErr, "Begin": f.BeginAttempt(t.Context(), a), "Find": findErr} {
			if err == nil {
				t.Errorf("%s worked on a broken schema", name)
				continue
			}
			if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, "hunter2") {
				t.Errorf("%s shows its values: %s", name, text)
			}
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"":                                      "postgres://user:password@host/database or sqlite:PATH",
		"mysql://u:hunter2@h/d":                 "unknown kind",
		"hunter2":                               "unknown kind",
		"postgres:hunter2":                      "unknown kind",
		"sqlite:":                               "needs a file",
		"sqlite::memory:":                       "name a file",
		"sqlite://a.db":                         "without //",
		"sqlite:a.db?mode=ro":                   "no options",
		"sqlite:/nowhere/at/all/a.db":           "no such file",
		"sqlite:/":                              "is a directory",
		"postgres://u:hunter2@127.0.0.1:1/d":    "connect",
		"postgres://u:hunt%2Fer2@127.0.0.1:1/d": "connect",
		"postgresql://127.0.0.1:1/d?user=u&password=hunter2":  "connect",
		"postgres://u:hunter2/hunter2@127.0.0.1:1/d":          "percent-encode",
		"postgres://u:12/hunter2@127.0.0.1:1/d":               "percent-encode",
		"postgres://u:12#hunter2@127.0.0.1:1/d":               "percent-encode",
		"postgres://u:12?hunter2@127.0.0.1:1/d":               "percent-encode",
		"postgres://u:hunter2%zz@127.0.0.1:1/d":               "percent-encode",
		"postgres://u:hunter2@127.0.0.1:port/d":               "percent-encode",
		"postgres://u:hunter2@127.0.0.1:1/d?sslmode=hunter":   "sslmode",
		"postgres://u:hunter2@127.0.0.1:99999/d":              "port",
		"postgres://u:hunter2@/d?host=/nowhere/at/all&port=1": "connect",
	} {
		db, err := storage.Open(t.Context(), url, nil)
		if err == nil {
			t.Errorf("%s was opened", url)
			db.Close()
			continue
		}
		if !strings.HasPrefix(err.Error(), "open database: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q is missing in: %v", url, want, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") ||
			strings.Contains(text, "hunt%2Fer2") || strings.Contains(text, "hunt/er2") {
			t.Errorf("the password shows: %v", err)
		}
	}
}

func TestSQLiteFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odd name%20+&é.db")
	f := storetest.Open(t, "sqlite:"+path)
	storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("others may read %s: %v", filepath.Base(file), info.Mode())
		}
	}
	// An absolute path may also come with the slashes of a URL.
	slashes := storetest.OpenWith(t, "sqlite://"+path, nil)
	if list, err := slashes.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// BenchmarkFind is one token lookup, opened and ready to use, among 20,000 connections.
func BenchmarkFind(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite,
		"postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			f := storetest.Open(b, fresh(b))
			const rows = 20_000
			fill(b, f, rows)
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				c, err := f.Lookup(b.Context(), storetest.Key("A1", "", fmt.Sprintf("T%d", i%rows)))
				if err != nil || c.Token == "" {
					b.Fatal(err)
				}
			}
		})
	}
}

// fill puts n connections, eight at a time.
func fill(b *testing.B, f storetest.Fixture, n int) {
	b.Helper()
	storagetest.Together(8, func(worker int) {
		for i := worker; i < n; i += 8 {
			if _, _, err := f.Put(b.Context(), storetest.Full(storetest.Key("A1", "", fmt.Sprintf("T%d", i)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
