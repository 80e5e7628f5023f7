package storage_test

// What is kept is sealed with the keys that the database was opened with.

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"switchboard/install/connection"
	"switchboard/storage"
	"switchboard/storage/seal"
	"switchboard/storage/storagetest"
)

func ring(t testing.TB, keys ...string) *seal.Keyring {
	t.Helper()
	k, err := seal.ParseKeys(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What signs is derived from what seals: one key for each, in the same order, the same on every replica, and none of them.
func TestSigningKeysFollowTheRing(t *testing.T) {
	a, b := seal.NewKey(), seal.NewKey()
	signing := func(list string) []connection.Secret {
		t.Helper()
		ring, err := seal.ParseKeys(list)
		if err != nil {
			t.Fatal(err)
		}
		db, err := storage.Open(t.Context(), storagetest.SQLite(t), ring)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db.SigningKeys()
	}
	both, other := signing(a+","+b), signing(b+","+a)
	if len(both) != 2 || both[0] != other[1] || both[1] != other[0] || both[0] == both[1] || signing(a)[0] != both[0] {
		t.Error("the keys that sign do not follow those that seal")
	}
	for _, s := range both {
		raw, err := base64.StdEncoding.DecodeString(a)
		if err != nil || len(s) != 32 || s.Reveal() == string(raw) {
			t.Error("a key that seals signs as well")
		}
	}
	db, err := storage.Open(t.Context(), storagetest.SQLite(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if db.SigningKeys() != nil {
		t.Error("something signs without a key")
	}
}

// Events are sealed with the key of their day from the first on, so that no key comes near the number of boxes that it is safe for. What
// an earlier release sealed with the key itself, and where it put it, is handed out, seen by an operator, and sealed anew as well.
func TestInboxDerivesItsKeys(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f fixture) {
		key, clock := seal.NewKey(), newClock()
		db := openWith(t, f.url, ring(t, key))
		in, err := db.Inbox(t.Context(), storage.InboxConfig{Now: clock.now})
		ok(t, err)
		d := desk{in, t}
		d.add(event("first", "T1"), false)
		clock.advance(24 * time.Hour)
		d.add(event("next day", "T1"), false)
		first, next := payload(t, f, "first"), payload(t, f, "next day")
		if first[0] != 2 || next[0] != 2 || bytes.Equal(first[5:9], next[5:9]) {
			t.Errorf("sealed with the keys of %x and %x", first[:9], next[:9])
		}

		d.add(event("of the release before", "T1"), false)
		old := event("of the release before", "T1")
		f.putPayload(t, old.ID, must(ring(t, key).Seal(old.Body, seal.Place{Column: "inbox.payload/" + old.ID,
			App: old.Key.AppID, Enterprise: old.Key.EnterpriseID, Team: old.Key.TeamID})))
		report, err := db.CheckKeys(t.Context())
		if ok(t, err); report.Events != 3 || len(report.Unreadable) != 0 || report.Keys[0].Rows != 3 {
			t.Errorf("%+v", report)
		}
		in.Close()

		fresh := seal.NewKey()
		rotating := openWith(t, f.url, ring(t, fresh, key))
		n, lost, err := rotating.Reseal(t.Context(), false)
		if ok(t, err); n != 3 || lost != 0 {
			t.Errorf("%d sealed anew, %d unreadable", n, lost)
		}
		if box := payload(t, f, old.ID); box[0] != 2 {
			t.Errorf("sealed anew with the key itself: %x", box[:9])
		}
		after := openWith(t, f.url, ring(t, fresh))
		in, err = after.Inbox(t.Context(), storage.InboxConfig{Now: clock.now})
		ok(t, err)
		defer in.Close()
		events := desk{in, t}.claim(10)
		ids(t, "with the new key", events, "first", "next day", old.ID)
		for _, e := range events {
			if string(e.Body) != string(event(e.ID, "T1").Body) {
				t.Errorf("%s: %q", e.ID, e.Body)
			}
		}
	})
}

// payload is what the database keeps of what an event has in it.
func payload(t *testing.T, f fixture, id string) (box []byte) {
	t.Helper()
	query := "SELECT payload FROM inbox WHERE event_id = '" + id + "'"
	if f.Dialect() == "sqlite" {
		query = "SELECT coalesce(p.payload, i.payload) FROM inbox i LEFT JOIN inbox_payloads p ON p.id = i.id WHERE event_id = '" + id + "'"
	}
	if err := f.raw.QueryRow(query).Scan(&box); err != nil {
		t.Fatalf("payload of %s: %v", id, err)
	}
	return box
}

// putPayload puts a box where the release before this one does, on both databases.
func (f fixture) putPayload(t *testing.T, id string, box []byte) {
	t.Helper()
	exec(t, f, fmt.Sprintf("UPDATE inbox SET payload = %s WHERE event_id = '%s'",
		fmt.Sprintf(map[string]string{"postgres": "'\\x%x'", "sqlite": "x'%x'"}[f.Dialect()], box), id))
	if f.Dialect() == "sqlite" {
		exec(t, f, "DELETE FROM inbox_payloads WHERE id = (SELECT id FROM inbox WHERE event_id = '"+id+"')")
	}
}
