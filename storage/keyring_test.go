package storage_test

// What is sealed opens in its own place, with its own key, and nowhere else; and keys never show.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchboard/install/connection"
	"switchboard/storage"
	"switchboard/storage/storagetest"
)

func ring(t testing.TB, keys ...string) *storage.Keyring {
	t.Helper()
	k, err := storage.ParseKeys(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, k *storage.Keyring, secret string, at storage.Place) []byte {
	t.Helper()
	box, err := k.Seal([]byte(secret), at)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

var here = storage.Place{Column: "connections.token", App: "A1", Enterprise: "E1", Team: "T1"}

func TestBoxOpensOnlyInItsPlace(t *testing.T) {
	k := ring(t, storage.NewKey())
	for _, secret := range []string{"", "x", strings.Repeat("long", 1<<18), "\x00\xff"} {
		got, err := k.Open(seal(t, k, secret, here), here)
		if err != nil || string(got) != secret {
			t.Errorf("%d bytes came back as %d, error %v", len(secret), len(got), err)
		}
	}
	box := seal(t, k, "xoxb-1", here)
	if bytes.Contains(box, []byte("xoxb")) || bytes.Equal(box, seal(t, k, "xoxb-1", here)) {
		t.Error("a box shows its secret, or that two are alike")
	}
	for _, at := range []storage.Place{
		{}, {"connections.refresh_token", "A1", "E1", "T1"}, {"connections.token", "A2", "E1", "T1"},
		{"connections.token", "A1", "", "T1"}, {"connections.token", "A1", "E1", "T2"}, {"connections.token", "A1", "E1", ""},
		// The same letters, cut elsewhere.
		{"connections.tokenA", "1", "E1", "T1"}, {"connections.token", "A1E", "1", "T1"}, {"connections.token", "A1", "E1T", "1"},
		{"connections.token", "A1", "T1", "E1"}, {"connections.token\x02A1", "", "E1", "T1"},
	} {
		if _, err := k.Open(box, at); !errors.Is(err, storage.ErrSealed) {
			t.Errorf("opened at %+v: %v", at, err)
		}
	}
	for i := range box {
		for _, flip := range []byte{1, 0x80} {
			broken := bytes.Clone(box)
			broken[i] ^= flip
			if _, err := k.Open(broken, here); !errors.Is(err, storage.ErrSealed) {
				t.Fatalf("opened with byte %d changed: %v", i, err)
			}
		}
		if _, err := k.Open(box[:i], here); !errors.Is(err, storage.ErrSealed) {
			t.Fatalf("opened %d of %d bytes: %v", i, len(box), err)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	older, newer := storage.NewKey(), storage.NewKey()
	old, both, young := ring(t, older), ring(t, newer, older), ring(t, newer)
	box := seal(t, old, "xoxb-1", here)
	if got, err := both.Open(box, here); err != nil || string(got) != "xoxb-1" {
		t.Errorf("the second key does not open: %v", err)
	}
	if _, err := young.Open(box, here); !errors.Is(err, storage.ErrSealed) {
		t.Errorf("opened without its key: %v", err)
	}
	if _, err := young.Open(seal(t, both, "xoxb-2", here), here); err != nil {
		t.Errorf("the first key did not seal: %v", err)
	}
	var none *storage.Keyring
	if _, err := none.Seal([]byte("x"), here); !errors.Is(err, storage.ErrNoKey) {
		t.Errorf("sealed without a key: %v", err)
	}
	if _, err := none.Open(box, here); !errors.Is(err, storage.ErrSealed) {
		t.Errorf("opened without a key: %v", err)
	}
}

func TestParseKeys(t *testing.T) {
	good, other := storage.NewKey(), storage.NewKey()
	short := base64.StdEncoding.EncodeToString([]byte("only sixteen b.."))
	for _, list := range []string{good, " " + good + "\n", good + ", " + other} {
		if _, err := storage.ParseKeys(list); err != nil {
			t.Error(err)
		}
	}
	for list, wants := range map[string][]string{
		"":                       {"there is none"},
		" \n":                    {"there is none"},
		good + ",":               {"key 2 is empty"},
		"hunter2," + good:        {"key 1 is not standard base64"},
		good + "," + short:       {"key 2 has 16 bytes, not 32"},
		good + ",x," + good:      {"key 2 is not", "key 3 is the same as key 1"},
		"hunter2!,,AAAA," + good: {"key 1 is not", "key 2 is empty", "key 3 has 3 bytes"},
		strings.NewReplacer("+", "-", "/", "_").Replace(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xef, 0xff, 0xff}, 8))): {"key 1 is not standard base64"},
		strings.TrimRight(good, "="): {"key 1 is not standard base64"},
	} {
		_, err := storage.ParseKeys(list)
		if err == nil {
			t.Errorf("%q was taken", list)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing in: %v", want, err)
			}
		}
		for entry := range strings.SplitSeq(list, ",") {
			if len(entry) > 2 && strings.Contains(err.Error(), entry) {
				t.Errorf("the error shows a key: %v", err)
			}
		}
	}
	if len(good) != 44 || good == other {
		t.Errorf("NewKey made %d characters", len(good))
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := ring(t, storage.NewKey())
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keys", k)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keys", k)
	text, err := json.Marshal(map[string]any{"keys": k})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "{}") || string(text) != `{"keys":{}}` {
		t.Errorf("logged as %s, encoded as %s", log.String(), text)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "[keys]" {
			t.Errorf("%s printed %s", verb, got)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "switchboard.key")
	rings := make([]*storage.Keyring, callers)
	together(callers, func(i int) {
		var err error
		if rings[i], err = storage.KeyFile(path); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	box := seal(t, rings[0], "xoxb-1", here)
	for i, k := range rings {
		if _, err := k.Open(box, here); err != nil {
			t.Errorf("process %d started with another key: %v", i, err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("%v are left, error %v", files, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}

	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := storage.KeyFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestKeyFileRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, path := range map[string]string{
		"a folder":          dir,
		"an empty file":     write("empty", ""),
		"no key":            write("text", "hunter2hunter2"),
		"no folder":         filepath.Join(dir, "none", "key"),
		"a loose symlink":   filepath.Join(dir, "link"),
		"a file too large":  write("large", strings.Repeat(" ", 1<<20)+storage.NewKey()),
		"a half key":        write("half", storage.NewKey()[:20]),
		"two keys, one bad": write("two", storage.NewKey()+",hunter2hunter2"),
	} {
		if name == "a loose symlink" {
			if err := os.Symlink(filepath.Join(dir, "nowhere"), path); err != nil {
				t.Fatal(err)
			}
		}
		_, err := storage.KeyFile(path)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "empty")); err != nil || len(text) != 0 {
		t.Error("a file that was there was written")
	}
}

func BenchmarkSeal(b *testing.B) {
	k, secret := ring(b, storage.NewKey()), bytes.Repeat([]byte("x"), 144)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(secret, here); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := ring(b, storage.NewKey())
	box := seal(b, k, strings.Repeat("x", 144), here)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(box, here); err != nil {
			b.Fatal(err)
		}
	}
}

// What signs is derived from what seals: one key for each, in the same order, the same on every replica, and none of them.
func TestSigningKeysFollowTheRing(t *testing.T) {
	a, b := storage.NewKey(), storage.NewKey()
	signing := func(list string) []connection.Secret {
		t.Helper()
		ring, err := storage.ParseKeys(list)
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

// A day's key, and each purpose's, opens nothing of another's; what was sealed with the key itself still opens.
func TestDerivedKeys(t *testing.T) {
	old := ring(t, storage.NewKey())
	both := ring(t, storage.NewKey())
	day := time.Date(2026, 11, 29, 23, 59, 59, 0, time.UTC)
	places := map[string]storage.Place{
		"tokens": {Column: "connections.token", App: "A1", Team: "T1"}, "journal": {Column: "journal.pair/", App: "A1", Team: "T1"},
		"inbox": {Column: "inbox.payload/Ev1", App: "A1", Team: "T1"},
	}
	for name, at := range places {
		plain := must(both.Seal([]byte("secret"), at))
		for _, on := range []time.Time{{}, day, day.Add(time.Second)} {
			box := must(both.SealOn(on, []byte("secret"), at))
			if got, err := both.Open(box, at); string(got) != "secret" || err != nil {
				t.Errorf("%s on %v: %q, %v", name, on, got, err)
			}
			if box[0] == plain[0] || !bytes.Equal(box[1:5], plain[1:5]) {
				t.Errorf("%s: not another version of the same key", name)
			}
			if _, err := old.Open(box, at); err == nil {
				t.Errorf("%s: another key opens it", name)
			}
			for other, there := range places {
				if _, err := both.Open(box, there); other != name && err == nil {
					t.Errorf("%s opens as %s", name, other)
				}
			}
			for i := range box { // version, key, day, nonce and content
				spoilt := bytes.Clone(box)
				spoilt[i] ^= 1
				if _, err := both.Open(spoilt, at); err == nil {
					t.Errorf("%s: opens with another byte %d", name, i)
				}
				if _, err := both.Open(box[:i], at); err == nil {
					t.Errorf("%s: opens with %d bytes", name, i)
				}
			}
		}
		if got, err := both.Open(plain, at); string(got) != "secret" || err != nil {
			t.Errorf("%s of the release before: %q, %v", name, got, err)
		}
	}
	if _, err := (*storage.Keyring)(nil).SealOn(day, nil, storage.Place{}); err != storage.ErrNoKey {
		t.Errorf("without a key: %v", err)
	}
}

// Two days and two purposes share no key: nonces may meet, and what is sealed with them does not.
func TestDerivedKeysDiffer(t *testing.T) {
	keys, day := storage.NewKey(), time.Unix(0, 0)
	seen := map[string]string{}
	for _, at := range []string{"connections.token", "journal.pair/", "inbox.payload/Ev1"} {
		for n := range 100 { // more than are kept at hand
			raw := storage.DerivedKey(ring(t, keys), day.AddDate(0, 0, n), storage.Place{Column: at})
			if before := seen[raw]; before != "" {
				t.Errorf("%s on day %d has the key of %s", at, n, before)
			}
			seen[raw] = fmt.Sprint(at, n)
		}
	}
	same := func(a, b string) bool {
		return storage.DerivedKey(ring(t, keys), day, storage.Place{Column: a}) == storage.DerivedKey(ring(t, keys), day, storage.Place{Column: b})
	}
	if !same("connections.token", "user_tokens.refresh_token/U1") || same("connections.token", "inbox.payload/Ev1") {
		t.Error("purposes are mixed up")
	}
}

// Events are sealed with the key of their day from the first on, so that no key comes near the number of boxes that it is safe for. What
// an earlier release sealed with the key itself, and where it put it, is handed out, seen by an operator, and sealed anew as well.
func TestInboxDerivesItsKeys(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f fixture) {
		key, clock := storage.NewKey(), newClock()
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
		f.putPayload(t, old.ID, must(ring(t, key).Seal(old.Body, storage.Place{Column: "inbox.payload/" + old.ID,
			App: old.Key.AppID, Enterprise: old.Key.EnterpriseID, Team: old.Key.TeamID})))
		report, err := db.CheckKeys(t.Context())
		if ok(t, err); report.Events != 3 || len(report.Unreadable) != 0 || report.Keys[0].Rows != 3 {
			t.Errorf("%+v", report)
		}
		in.Close()

		fresh := storage.NewKey()
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
