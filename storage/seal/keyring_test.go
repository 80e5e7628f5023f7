package seal_test

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

	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// callers is how many goroutines a race is run with.
const callers = 100

func ring(t testing.TB, keys ...string) *seal.Keyring {
	t.Helper()
	k, err := seal.ParseKeys(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, k *seal.Keyring, secret string, at seal.Place) []byte {
	t.Helper()
	box, err := k.Seal([]byte(secret), at)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

var here = seal.Place{Column: "connections.token", App: "A1", Enterprise: "E1", Team: "T1"}

func TestBoxOpensOnlyInItsPlace(t *testing.T) {
	k := ring(t, seal.NewKey())
	for _, secret := range []string{"", "x", strings.Repeat("long", 1<<18), "\x00\xff"} {
		got, err := k.Open(sealed(t, k, secret, here), here)
		if err != nil || string(got) != secret {
			t.Errorf("%d bytes came back as %d, error %v", len(secret), len(got), err)
		}
	}
	box := sealed(t, k, "xoxb-1", here)
	if bytes.Contains(box, []byte("xoxb")) || bytes.Equal(box, sealed(t, k, "xoxb-1", here)) {
		t.Error("a box shows its secret, or that two are alike")
	}
	for _, at := range []seal.Place{
		{}, {"connections.refresh_token", "A1", "E1", "T1"}, {"connections.token", "A2", "E1", "T1"},
		{"connections.token", "A1", "", "T1"}, {"connections.token", "A1", "E1", "T2"}, {"connections.token", "A1", "E1", ""},
		// The same letters, cut elsewhere.
		{"connections.tokenA", "1", "E1", "T1"}, {"connections.token", "A1E", "1", "T1"},
		{"connections.token", "A1", "E1T", "1"}, {"connections.token", "A1", "T1", "E1"},
		{"connections.token\x02A1", "", "E1", "T1"},
	} {
		if _, err := k.Open(box, at); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("opened at %+v: %v", at, err)
		}
	}
	for i := range box {
		for _, flip := range []byte{1, 0x80} {
			broken := bytes.Clone(box)
			broken[i] ^= flip
			if _, err := k.Open(broken, here); !errors.Is(err, seal.ErrSealed) {
				t.Fatalf("opened with byte %d changed: %v", i, err)
			}
		}
		if _, err := k.Open(box[:i], here); !errors.Is(err, seal.ErrSealed) {
			t.Fatalf("opened %d of %d bytes: %v", i, len(box), err)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	older, newer := seal.NewKey(), seal.NewKey()
	old, both, young := ring(t, older), ring(t, newer, older), ring(t, newer)
	box := sealed(t, old, "xoxb-1", here)
	if got, err := both.Open(box, here); err != nil || string(got) != "xoxb-1" {
		t.Errorf("the second key does not open: %v", err)
	}
	if _, err := young.Open(box, here); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("opened without its key: %v", err)
	}
	if _, err := young.Open(sealed(t, both, "xoxb-2", here), here); err != nil {
		t.Errorf("the first key did not seal: %v", err)
	}
	var none *seal.Keyring
	if _, err := none.Seal([]byte("x"), here); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("sealed without a key: %v", err)
	}
	if _, err := none.Open(box, here); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("opened without a key: %v", err)
	}
}

func TestParseKeys(t *testing.T) {
	good, other := seal.NewKey(), seal.NewKey()
	short := base64.StdEncoding.EncodeToString([]byte("only sixteen b.."))
	for _, list := range []string{good, " " + good + "\n", good + ", " + other} {
		if _, err := seal.ParseKeys(list); err != nil {
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
		strings.NewReplacer("+", "-", "/", "_").
			Replace(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xef, 0xff, 0xff},
				8))): {"key 1 is not standard base64"},
		strings.TrimRight(good, "="): {"key 1 is not standard base64"},
	} {
		_, err := seal.ParseKeys(list)
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
	k := ring(t, seal.NewKey())
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
	rings := make([]*seal.Keyring, callers)
	storagetest.Together(callers, func(i int) {
		var err error
		if rings[i], err = seal.KeyFile(path); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	box := sealed(t, rings[0], "xoxb-1", here)
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
		if _, err := seal.KeyFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
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
		"a file too large":  write("large", strings.Repeat(" ", 1<<20)+seal.NewKey()),
		"a half key":        write("half", seal.NewKey()[:20]),
		"two keys, one bad": write("two", seal.NewKey()+",hunter2hunter2"),
	} {
		if name == "a loose symlink" {
			if err := os.Symlink(filepath.Join(dir, "nowhere"), path); err != nil {
				t.Fatal(err)
			}
		}
		_, err := seal.KeyFile(path)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "empty")); err != nil || len(text) != 0 {
		t.Error("a file that was there was written")
	}
}

func BenchmarkSeal(b *testing.B) {
	k, secret := ring(b, seal.NewKey()), bytes.Repeat([]byte("x"), 144)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(secret, here); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := ring(b, seal.NewKey())
	box := sealed(b, k, strings.Repeat("x", 144), here)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(box, here); err != nil {
			b.Fatal(err)
		}
	}
}

// A day's key, and each purpose's, opens nothing of another's; what was sealed with the key itself still opens.
func TestDerivedKeys(t *testing.T) {
	old := ring(t, seal.NewKey())
	both := ring(t, seal.NewKey())
	day := time.Date(2026, 11, 29, 23, 59, 59, 0, time.UTC)
	places := map[string]seal.Place{
		"tokens":  {Column: "connections.token", App: "A1", Team: "T1"},
		"journal": {Column: "journal.pair/", App: "A1", Team: "T1"},
		"inbox":   {Column: "inbox.payload/Ev1", App: "A1", Team: "T1"},
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
	if _, err := (*seal.Keyring)(nil).SealOn(day, nil, seal.Place{}); err != seal.ErrNoKey {
		t.Errorf("without a key: %v", err)
	}
}

// Two days and two purposes share no key: nonces may meet, and what is sealed with them does not.
func TestDerivedKeysDiffer(t *testing.T) {
	keys, day := seal.NewKey(), time.Unix(0, 0)
	seen := map[string]string{}
	for _, at := range []string{"connections.token", "journal.pair/", "inbox.payload/Ev1"} {
		for n := range 100 { // more than are kept at hand
			raw := seal.DerivedKey(ring(t, keys), day.AddDate(0, 0, n), seal.Place{Column: at})
			if before := seen[raw]; before != "" {
				t.Errorf("%s on day %d has the key of %s", at, n, before)
			}
			seen[raw] = fmt.Sprint(at, n)
		}
	}
	same := func(a, b string) bool {
		return seal.DerivedKey(ring(t, keys), day, seal.Place{Column: a}) == seal.DerivedKey(ring(t, keys), day,
			seal.Place{Column: b})
	}
	if !same("connections.token", "user_tokens.refresh_token/U1") || same("connections.token", "inbox.payload/Ev1") {
		t.Error("purposes are mixed up")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
