package bot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Whatever a payload looks like, it opens no connection of a workspace or organisation that it does not name.
func FuzzWhose(f *testing.F) {
	for _, s := range bot.Seeds() {
		f.Add(s.Kind, s.Body)
	}
	f.Add(byte(2), []byte(`{"command":"/go","team_id":"T1","enterprise_id":"E1","is_enterprise_install":true}`))
	f.Add(byte(3), []byte(`{"type":"block_actions","team":{"id":"E1"},"user":{"team_id":"T3"},"enterprise":{"id":"T2"}}`))
	f.Add(byte(1), []byte("command=%2Fgo&team_id=T9&enterprise_id=E9"))
	f.Add(byte(1), []byte("command=%2Fgo&team_id=T9&enterprise_id=E1"))
	f.Add(byte(1), []byte("command=%2Fgo&team_id=T1&enterprise_id=E9&is_enterprise_install=true"))
	const app = "A0PARROT01"
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		f.Fatal(err)
	}
	db, err := storage.Open(f.Context(), storagetest.SQLite(f), keys)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(f.Context()); err != nil {
		f.Fatal(err)
	}
	in, err := install.New(install.Config{PublicURL: "https://bot.example.com", Store: db, SlackURL: "http://127.0.0.1:1",
		Now: func() time.Time {
			return time.Unix(1793611800, 0)
		}})
	if err != nil {
		f.Fatal(err)
	}
	for _, k := range []connection.Key{{TeamID: "T1"}, {EnterpriseID: "E1", TeamID: "T3"}, {EnterpriseID: "E1"},
		{EnterpriseID: "E2", TeamID: "T2"}, {EnterpriseID: "E2"}, {TeamID: "T4"}} {
		k.AppID = app
		if _, err := db.Add(f.Context(), connection.Connection{Key: k, State: connection.Active,
			TokenPair: connection.TokenPair{Token: connection.Secret("of " + k.String())}}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		k, team, ok := bot.Whose(kind%4, body, app)
		if !ok {
			return
		}
		named := func(id string) bool { return id == "" || names(kind%4, body, id) }
		if !named(k.EnterpriseID) || !named(k.TeamID) || !named(team) {
			t.Fatalf("%q has the key %s in %q", body, k, team)
		}
		c, err := in.Open(context.Background(), k)
		if errors.Is(err, connection.ErrNotConnected) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.AppID != k.AppID || c.TeamID != "" && !named(c.TeamID) || c.TeamID == "" && !named(c.EnterpriseID) ||
			c.Token != connection.Secret("of "+c.Key.String()) {
			t.Fatalf("%q, key %s, opened %s", body, k, c.Key)
		}
	})
}

// names reports whether id stands in a payload as a whole value.
func names(kind byte, body []byte, id string) bool {
	if kind == 1 {
		form, _ := url.ParseQuery(string(body))
		for _, values := range form {
			if slices.Contains(values, id) {
				return true
			}
		}
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	for {
		token, err := d.Token()
		if fmt.Sprint(token) == id { // also a number or a flag, which is read as text
			return true
		}
		if err != nil {
			// The decoder of events takes some JSON that this one does not.
			return bytes.Contains(body, []byte(`"`+id+`"`)) || bytes.ContainsRune(body, '\\')
		}
	}
}
