package storage_test

// A pair of tokens that is in the journal is there after a crash, opens for us and for nobody else, and goes when it is
// told to.

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/journal"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// journaling opens a database with a journal in folder. It has no tables: the journal needs none.
func journaling(t testing.TB, folder string, keys *seal.Keyring) *storage.DB {
	t.Helper()
	db := storetest.OpenWith(t, storagetest.SQLite(t), keys)
	if err := db.UseJournal(folder); err != nil {
		t.Fatal(err)
	}
	return db
}

func journaledAs(t testing.TB, db *storage.DB, p connection.Grant) string {
	t.Helper()
	name, err := db.Journal(p)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func journaled(t testing.TB, db *storage.DB) []connection.Grant {
	t.Helper()
	pairs, err := db.Journaled()
	if err != nil {
		t.Fatal(err)
	}
	return pairs
}

func pair(k connection.Key, userID string) connection.Grant {
	return connection.Grant{
		TokenOwner: connection.TokenOwner{Key: k, UserID: userID}, Origin: connection.Renewal{Spent: "xoxe-1-spent"},
		Token: "xoxe.xoxb-next", Refresh: "xoxe-1-next", Life: 12 * time.Hour, At: storetest.T0,
		Scopes: []string{"chat:write", "commands"},
	}
}

func samePair(t *testing.T, what string, got, want connection.Grant) {
	t.Helper()
	for name, s := range map[string][2]connection.Secret{"spent": {got.Spent(), want.Spent()},
		"token": {got.Token, want.Token}, "refresh": {got.Refresh, want.Refresh}} {
		if s[0].Reveal() != s[1].Reveal() {
			t.Errorf("%s: %s differs (%d and %d bytes)", what, name, len(s[0]), len(s[1]))
		}
	}
	if got.Connection != nil && want.Connection != nil {
		same(t, what, *got.Connection, *want.Connection)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// legacy writes a pair as the release before this one does: a file by itself.
func legacy(t testing.TB, folder, name string, keys *seal.Keyring, p connection.Grant) []byte {
	t.Helper()
	scratch := t.TempDir()
	db := journaling(t, scratch, keys)
	journaledAs(t, db, p)
	var e entry
	disk := onDisk(t, scratch)
	if err := disk.QueryRow("SELECT app_id, enterprise_id, team_id, user_id, box FROM entries").Scan(&e.App, &e.Org,
		&e.Team, &e.User, &e.Box); err != nil {
		t.Fatal(err)
	}
	e.Version = 1
	content, err := json.Marshal(e)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// onDisk is the journal without our code.
func onDisk(t testing.TB, folder string) *sql.DB {
	t.Helper()
	disk, err := sql.Open("sqlite", filepath.Join(folder, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = disk.Close() })
	return disk
}

// files returns what is in a folder, but for the journal's database.
func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if !strings.HasPrefix(file.Name(), "journal.db") {
			names = append(names, file.Name())
		}
	}
	return names
}

func TestJournal(t *testing.T) {
	t.Parallel()
	folder, keys := filepath.Join(t.TempDir(), "data", "journal"), storetest.Ring(t, seal.NewKey())
	db := journaling(t, folder, keys)
	if pairs := journaled(t, db); len(pairs) != 0 {
		t.Errorf("a new journal has %d entries", len(pairs))
	}
	k := storetest.Key("A1", "E1", "T1")
	renewal, person := pair(k, ""), pair(k, "U1")
	person.Scopes = nil
	binary := pair(storetest.Key("A1", "E1", ""), "")
	binary.Origin, binary.Token, binary.Refresh, binary.Scopes = connection.Consent{}, "\x00\xff\x00",
		connection.Secret(strings.Repeat("xoxe", 100_000)), []string{}
	consent := pair(k, "")
	c := storetest.Full(k)
	consent.Origin, consent.Connection = connection.Consent{}, &c
	every := filled[connection.Grant]() // a field that somebody adds and forgets to keep is found here
	every.Connection.FailingSince = every.Connection.AuthorizedAt.Add(time.Hour)
	every.Connection.Asked, every.Connection.Contested, every.Connection.Left, every.Connection.LeftAt = 0, false, nil,
		time.Time{}
	every.Standing = connection.Waiting
	want := []connection.Grant{renewal, person, binary, consent, every}
	for i := range want {
		want[i].Journaled = ""
		want[i].Journaled = journaledAs(t, db, want[i])
		if !regexp.MustCompile(`^pair-\d{20}-[a-z2-7]{16}\.json$`).MatchString(want[i].Journaled) {
			t.Errorf("name %q", want[i].Journaled)
		}
	}

	// Another process on the same folder, as after a restart.
	for what, db := range map[string]*storage.DB{"same": db, "restarted": journaling(t, folder, keys)} {
		got := journaled(t, db)
		if len(got) != len(want) {
			t.Fatalf("%s: %d of %d entries", what, len(got), len(want))
		}
		for i := range want {
			samePair(t, fmt.Sprint(what, " ", i), got[i], want[i])
		}
	}
	if names := files(t, folder); len(names) != 0 {
		t.Errorf("files: %v", names)
	}

	for range 2 { // one that is gone already is fine
		if err := db.Unjournal(want[1].Journaled); err != nil {
			t.Error(err)
		}
	}
	if got := journaled(t, db); len(got) != 4 || got[0].Journaled != want[0].Journaled ||
		got[1].Journaled != want[2].Journaled {
		t.Errorf("%d entries are left", len(got))
	}
	outside := filepath.Join(filepath.Dir(folder), want[0].Journaled)
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../" + want[0].Journaled, "./" + want[0].Journaled,
		folder + "/" + want[0].Journaled, want[0].Journaled + "/", want[0].Journaled + "\x00", want[0].Journaled + "\n",
		strings.ToUpper(want[0].Journaled), "*", "switchboard.key"} {
		if err := db.Unjournal(name); err == nil {
			t.Errorf("%q was taken away", name)
		}
	}
	if len(journaled(t, db)) != 4 || !slices.Contains(files(t, filepath.Dir(folder)), want[0].Journaled) {
		t.Error("something else was taken away")
	}
}

func TestJournalIsForUsAlone(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "journal")
	db := journaling(t, folder, storetest.Ring(t, seal.NewKey()))
	journaledAs(t, db, pair(storetest.Key("A1", "", "T1"), ""))
	for path, want := range map[string]os.FileMode{folder: os.ModeDir | 0o700, filepath.Join(folder, "journal.db"): 0o600,
		filepath.Join(folder, "journal.db-wal"): 0o600, filepath.Join(folder, "journal.db-shm"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, error %v", filepath.Base(path), info.Mode(), err)
		}
	}
	for _, mode := range []os.FileMode{0o777, 0o770, 0o720, 0o702, 0o1777} {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		if err := db.UseJournal(folder); err == nil || !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(folder, 0o755); err != nil { // others may look: what they see is sealed
		t.Fatal(err)
	}
	if err := db.UseJournal(folder); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", file, filepath.Join(file, "below"), "/proc/nowhere"} {
		if err := db.UseJournal(path); err == nil {
			t.Errorf("%q became a journal", path)
		}
	}
}

func TestJournalHoldsNoSecretInTheClear(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := journaling(t, folder, storetest.Ring(t, seal.NewKey()))
	var secrets []string
	secret := func(what string) connection.Secret {
		secrets = append(secrets, fmt.Sprintf("xoxe.xoxb-1-%s-%d-abcdefghijklmnopqrstuvwxyz", what, len(secrets)))
		return connection.Secret(secrets[len(secrets)-1])
	}
	for range 10 {
		c := storetest.Full(storetest.Key("A1", "", "T1"))
		c.Token, c.RefreshToken, c.Webhook.URL = secret("bot"), secret("refresh"), secret("https://hooks.slack.com/services")
		p := pair(c.Key, "U1")
		p.Origin, p.Token, p.Refresh, p.Connection = connection.Renewal{Spent: secret("spent")}, secret("token"),
			secret("next"), &c
		journaledAs(t, db, p)
	}
	var all []byte
	for _, name := range []string{"journal.db", "journal.db-wal"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	if !bytes.Contains(all, []byte("T1U1")) {
		t.Fatal("what was searched is not the journal")
	}
	for _, s := range secrets {
		for form, text := range map[string]string{
			"clear": s, "base64": base64.StdEncoding.EncodeToString([]byte(s))[:40], "hex": hex.EncodeToString([]byte(s)),
			"its middle": s[12:30],
		} {
			if bytes.Contains(all, []byte(text)) {
				t.Errorf("a secret lies in the journal (%s)", form)
			}
		}
	}
}

// entry is a file of the journal, for tests to spoil.
type entry struct {
	Version int    `json:"version"`
	App     string `json:"app_id"`
	Org     string `json:"enterprise_id"`
	Team    string `json:"team_id"`
	User    string `json:"user_id"`
	Box     []byte `json:"box"`
}

func spoilt(t *testing.T, content []byte, spoil func(*entry)) []byte {
	t.Helper()
	var e entry
	if err := json.Unmarshal(content, &e); err != nil {
		t.Fatal(err)
	}
	spoil(&e)
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What cannot be opened is listed and stays; what is none of ours is left alone.
func TestJournalWithDamage(t *testing.T) {
	t.Parallel()
	folder, lost, ours := t.TempDir(), storetest.Ring(t, seal.NewKey()), storetest.Ring(t, seal.NewKey())
	db := journaling(t, folder, ours)
	h := connection.TokenOwner{Key: storetest.Key("A1", "E1", "T1"), UserID: "U1"}
	content := legacy(t, folder, "pair-00000000000000000097-aaaaaaaaaaaaaaaa.json", ours, pair(h.Key, h.UserID))
	good := journaled(t, db)[0] // from now on it is in the database
	if left := files(t, folder); len(left) != 0 {
		t.Fatalf("taken in, and left behind: %v", left)
	}
	other := connection.TokenOwner{Key: storetest.Key("A1", "E1", "T2"), UserID: "U1"}
	bot := connection.TokenOwner{Key: h.Key}
	bad := map[string]connection.TokenOwner{journaledAs(t, journaling(t, folder, lost), pair(h.Key, h.UserID)): h}
	n := 0
	add := func(text []byte, want connection.TokenOwner) {
		t.Helper()
		n++
		name := fmt.Sprintf("pair-%020d-aaaaaaaaaaaaaaaa.json", n)
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		bad[name] = want
	}
	for _, text := range [][]byte{nil, []byte("null"), []byte("[]"), []byte("{"), []byte("\x00\xff"),
		content[:len(content)/2], content[1:], append(slices.Clone(content), '}')} {
		add(text, connection.TokenOwner{})
	}
	add(spoilt(t, content, func(e *entry) { e.Box[len(e.Box)-1] ^= 1 }), h)
	add(spoilt(t, content, func(e *entry) { e.Box = e.Box[:20] }), h)
	add(spoilt(t, content, func(e *entry) { e.Box = nil }), h)
	add(spoilt(t, content, func(e *entry) { e.Team = "T2" }), other) // passed off as another's
	add(spoilt(t, content, func(e *entry) { e.User = "" }), bot)
	add(spoilt(t, content, func(e *entry) { e.Org = "" }),
		connection.TokenOwner{Key: storetest.Key("A1", "", "T1"), UserID: "U1"})
	add(spoilt(t, content, func(e *entry) { e.Version = 2 }), h) // of a release to come
	for _, name := range []string{"README", "pair-1.json", "pair-00000000000000000001-aaaaaaaaaaaaaaaa.json.new",
		".pair-00000000000000000001-aaaaaaaaaaaaaaaa.json", "pair-00000000000000000001-aaaaaaaaaaaaaaaa.json.bak"} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "pair-00000000000000000099-aaaaaaaaaaaaaaaa.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(folder,
		"pair-00000000000000000098-aaaaaaaaaaaaaaaa.json")); err != nil {
		t.Fatal(err)
	}

	before := files(t, folder)
	pairs := journaled(t, db)
	if len(pairs) != len(bad)+1 {
		t.Errorf("%d entries of %d", len(pairs), len(bad)+1)
	}
	for _, p := range pairs {
		if p.Journaled == good.Journaled {
			samePair(t, "the good one", p, good)
			continue
		}
		want, known := bad[p.Journaled]
		var us int64
		if _, err := fmt.Sscanf(p.Journaled, "pair-%d-", &us); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(connection.Grant{TokenOwner: want, Origin: connection.Unopened{}, Journaled: p.Journaled,
			At: time.UnixMicro(us).UTC()}, p); diff != "" || !known || p.Token+p.Refresh+p.Spent() != "" {
			t.Errorf("%s (-want +got):\n%s", p.Journaled, diff)
		}
	}
	if !slices.Equal(files(t, folder), before) {
		t.Error("reading changed the folder")
	}
	for name := range bad {
		if err := db.Unjournal(name); err != nil {
			t.Error(err)
		}
	}
	if pairs := journaled(t, db); len(pairs) != 1 {
		t.Errorf("%d entries are left", len(pairs))
	}
}

func TestJournalRefuses(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "journal")
	p := pair(storetest.Key("A1", "", "T1"), "")
	none := storetest.OpenWith(t, storagetest.SQLite(t), storetest.Ring(t, seal.NewKey()))
	if name, err := none.Journal(p); !errors.Is(err, journal.ErrNone) || name != "" {
		t.Errorf("without a journal: %q, %v", name, err)
	}
	if pairs, err := none.Journaled(); err != nil || len(pairs) != 0 {
		t.Errorf("without a journal: %v, %v", pairs, err)
	}
	if err := none.Unjournal("pair-00000000000000000001-aaaaaaaaaaaaaaaa.json"); !errors.Is(err, journal.ErrNone) {
		t.Errorf("without a journal: %v", err)
	}

	keyless, db := journaling(t, folder, nil), journaling(t, folder, storetest.Ring(t, seal.NewKey()))
	quiet := func(what string, name string, err error, want error) {
		t.Helper()
		if err == nil || name != "" || want != nil && !errors.Is(err, want) ||
			strings.Contains(fmt.Sprintf("%v %+v", err, err), "xox") {
			t.Errorf("%s: %q, %v", what, name, err)
		}
	}
	name, err := keyless.Journal(p)
	quiet("no key", name, err, seal.ErrNoKey)
	for _, k := range []connection.Key{{}, storetest.Key("A1", "", ""), storetest.Key("A1", "", "\xff")} {
		name, err := db.Journal(pair(k, ""))
		quiet("no key of anybody", name, err, nil)
	}
	name, err = db.Journal(pair(p.Key, "U\x00"))
	quiet("odd user", name, err, nil)
	if left := files(t, folder); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What a crash left half written goes, and what another process is writing stays.
func TestJournalDrafts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, age := range map[string]time.Duration{
		"pair-00000000000000000001-aaaaaaaaaaaaaaaa.json.new": 2 * time.Minute,
		"pair-00000000000000000002-aaaaaaaaaaaaaaaa.json.new": 30 * time.Second,
		"pair-00000000000000000003-aaaaaaaaaaaaaaaa.json":     time.Hour,
		"somebody-else's.json.new":                            time.Hour,
	} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	journaling(t, folder, nil)
	want := []string{"pair-00000000000000000002-aaaaaaaaaaaaaaaa.json.new",
		"pair-00000000000000000003-aaaaaaaaaaaaaaaa.json", "somebody-else's.json.new"}
	if left := files(t, folder); !slices.Equal(left, want) {
		t.Errorf("left: %v", left)
	}
}

// Many at once, in two processes, while others read and take away: nothing is lost, doubled or in the way.
func TestJournalTogether(t *testing.T) {
	t.Parallel()
	folder, keys := t.TempDir(), storetest.Ring(t, seal.NewKey())
	both := []*storage.DB{journaling(t, folder, keys), journaling(t, folder, keys)}
	storagetest.Together(storetest.Callers, func(i int) {
		db := both[i%2]
		p := pair(storetest.Key("A1", "", fmt.Sprintf("T%d", i)), "")
		name, err := db.Journal(p)
		if err != nil {
			t.Error(err)
			return
		}
		pairs, err := both[1-i%2].Journaled()
		if err != nil {
			t.Error(err)
		}
		mine := slices.IndexFunc(pairs, func(p connection.Grant) bool { return p.Journaled == name })
		if mine < 0 || pairs[mine].TeamID != p.TeamID || pairs[mine].Token != p.Token {
			t.Errorf("entry %d is not there when Journal returned", i)
		}
		for _, p := range pairs {
			if p.Token == "" {
				t.Errorf("an entry was seen half written")
			}
		}
		if i%2 == 0 {
			if err := both[1].Unjournal(name); err != nil {
				t.Error(err)
			}
		}
	})
	if pairs := journaled(t, both[0]); len(pairs) != storetest.Callers/2 {
		t.Errorf("%d entries are left of %d", len(pairs), storetest.Callers/2)
	}
}

// A new program opens what an older one left in the journal. The file was written by the first release that had one;
// the key is a test's.
func TestJournalOfAnOlderRelease(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db := journaling(t, folder, storetest.Ring(t, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="))
	content, err := os.ReadFile("testdata/journal-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	const name = "pair-00000000000000000001-aaaaaaaaaaaaaaaa.json"
	if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	k := storetest.Key("A1", "E1", "T1")
	p := pair(k, "U1")
	p.Journaled = name
	p.Connection = &connection.Connection{
		Key: k, ID: "con_1", TeamName: "Acme", TeamURL: "https://acme.slack.com/", TeamIcon: "https://img/1.png",
		EnterpriseName: "Acme Group", BotUserID: "U0BOT", BotID: "B0BOT", Scopes: []string{"chat:write", "commands"},
		TokenPair: connection.TokenPair{Token: "xoxe.xoxb-token", RefreshToken: "xoxe-1-refresh",
			ExpiresAt: storetest.T0.Add(12 * time.Hour),
			// its failures are from before the consent
			RenewAt: storetest.T0.Add(8 * time.Hour), LeaseUntil: storetest.T0.Add(time.Minute)},
		Webhook: connection.Webhook{URL: "https://hooks.slack.com/services/T/B/secret", Channel: "#general", ChannelID: "C1",
			ConfigurationURL: "https://acme.slack.com/services/B1"},
		InstalledBy: "U1", InstalledByName: "Ann", InstalledAt: storetest.T0, AuthorizedBy: "U2",
		AuthorizedAt: storetest.T0.Add(time.Second), CreatedAt: storetest.T0.Add(-time.Hour), Installs: 2,
		State: connection.Active, Reason: "because", StateSince: storetest.T0.Add(2 * time.Second),
		PendingRemoval: connection.Removal{Reason: "app_uninstalled", At: storetest.T0},
		CheckedAt:      storetest.T0.Add(3 * time.Second), CheckAt: storetest.T0.Add(time.Hour),
		LastEventAt: storetest.T0.Add(4 * time.Second),
		Notice:      connection.Notice{Reason: "token_revoked", At: storetest.T0, To: "U1", Channel: "D1", TS: "1.2"},
	}
	pairs := journaled(t, db)
	if len(pairs) != 1 {
		t.Fatalf("%d entries", len(pairs))
	}
	samePair(t, "an older release's", pairs[0], p)
	if left := files(t, folder); len(left) != 0 {
		t.Errorf("taken in, and left behind: %v", left)
	}
}

// FuzzJournal feeds the journal whatever may lie in its folder under the name of an entry of the release before.
func FuzzJournal(f *testing.F) {
	folder, keys := f.TempDir(), storetest.Ring(f, seal.NewKey())
	db := journaling(f, folder, keys)
	if _, err := db.Migrate(f.Context()); err != nil {
		f.Fatal(err)
	}
	c := storetest.Full(storetest.Key("A1", "E1", "T1"))
	p := pair(c.Key, "U1")
	p.Connection = &c
	const name = "pair-00000000000000000001-aaaaaaaaaaaaaaaa.json"
	path := filepath.Join(folder, name)
	good := legacy(f, folder, name, keys, p)
	for _, seed := range []string{string(good), string(good[:40]), "", "{}", "null", `{"version":1,"box":""}`,
		`{"version":1,"app_id":"A1","box":"AQ=="}`, `{"version":"1"}`, `{"box":[1]}`, `[[[[`,
		`{"version":1,"box":"` + strings.Repeat("AQAA", 30) + `"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		pairs := journaled(t, db)
		if len(pairs) != 1 || pairs[0].Journaled != name {
			t.Fatalf("%d entries", len(pairs))
		}
		report, err := db.CheckKeys(t.Context())
		if err != nil || report.Journal != 1 || pairs[0].Token != "" && report.Unreadable != nil {
			t.Errorf("report: %+v, %v", report, err)
		}
		if got := pairs[0]; got.Token+got.Refresh+got.Spent() != "" || got.Connection != nil {
			// Only what we sealed opens, and all of it; and then it is taken in.
			p.Journaled = name
			samePair(t, "opened", got, p)
			if err := db.Unjournal(name); err != nil {
				t.Error(err)
			}
			return
		}
		if _, _, err := db.Reseal(t.Context(), false); err != nil {
			t.Error(err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("what lay there was changed: %v", err)
		}
	})
}

// BenchmarkJournal is what a renewal pays for not losing its pair: written and synced, read, and taken away.
func BenchmarkJournal(b *testing.B) {
	db := journaling(b, b.TempDir(), storetest.Ring(b, seal.NewKey()))
	p := pair(storetest.Key("A1", "", "T1"), "")
	b.ReportAllocs()
	for b.Loop() {
		name, err := db.Journal(p)
		if err == nil {
			err = db.Unjournal(name)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// Each owner's newest pair is kept until the next one takes its place, in whatever order two of them arrive; what
// another consent brought stays beside it until a renewal.
func TestJournalKeepsTheNewest(t *testing.T) {
	t.Parallel()
	db := journaling(t, t.TempDir(), storetest.Ring(t, seal.NewKey()))
	keep := func(p connection.Grant, s connection.Standing, generation int64) connection.Grant {
		t.Helper()
		p.Standing, p.Generation = s, generation
		p.Journaled = journaledAs(t, db, p)
		return p
	}
	has := func(what string, want ...connection.Grant) {
		t.Helper()
		got, err := db.Kept("", 100)
		if err != nil {
			t.Fatal(err)
		}
		names := func(pairs []connection.Grant) (names []string) {
			for _, p := range pairs {
				names = append(names, p.Journaled)
			}
			slices.Sort(names)
			return names
		}
		if !slices.Equal(names(got), names(want)) {
			t.Errorf("%s: %d pairs are kept, not %d", what, len(got), len(want))
		}
	}
	k := storetest.Key("A1", "E1", "T1")
	renewal, person := pair(k, ""), keep(pair(k, "U1"), connection.Kept, 1)
	consent := renewal
	consent.Origin = connection.Consent{}

	first := keep(consent, connection.Kept, 1)
	aside := keep(consent, connection.Aside, 0)
	waiting := keep(renewal, connection.Waiting, 2)
	has("a renewal that waits", person, first, aside)
	again := keep(consent, connection.Kept, 2)
	has("another consent", person, again, aside)
	keep(consent, connection.Kept, 1)
	has("an older one that comes late", person, again, aside)
	waiting.Standing, waiting.Generation = connection.Kept, 3
	journaledAs(t, db, waiting)
	has("a renewal", person, waiting)
	if left := journaled(t, db); len(left) != 0 {
		t.Errorf("%d wait", len(left))
	}

	for h, n := range map[connection.TokenOwner]int{renewal.TokenOwner: 1, person.TokenOwner: 1,
		{Key: storetest.Key("A1", "", "T1")}: 1, {Key: storetest.Key("A1", "", "T2")}: 0,
		{Key: storetest.Key("A2", "E1", "T1")}: 0} {
		if got, err := db.JournaledFor(h); err != nil || len(got) != n {
			t.Errorf("%v: %d pairs (%v), not %d", h, len(got), err, n)
		}
	}
	if got, err := db.JournaledUnder(k); err != nil || len(got) != 2 {
		t.Errorf("under %v: %d pairs (%v)", k, len(got), err)
	}
}

// A journal whose folder is taken away while it is open is made anew, and that is not kept secret.
func TestJournalTakenAway(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "journal")
	db := journaling(t, folder, storetest.Ring(t, seal.NewKey()))
	p := pair(storetest.Key("A1", "", "T1"), "")
	journaledAs(t, db, p)
	if err := db.JournalReady(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	journaledAs(t, db, p)
	if left := journaled(t, journaling(t, folder, storetest.Ring(t, seal.NewKey()))); len(left) != 1 {
		t.Errorf("%d entries are on the disk, not the one that was written after it", len(left))
	}
	if err := db.JournalReady(t.Context()); err == nil || !strings.Contains(err.Error(), "taken away") {
		t.Errorf("ready: %v", err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.JournalReady(t.Context()); err == nil || strings.Contains(err.Error(), "taken away") {
		t.Errorf("a file where the folder was: %v", err)
	}
	if name, err := db.Journal(p); err == nil {
		t.Errorf("written as %s, where nothing can be", name)
	}
}

// What 100,000 owners cost on the disk, and a start that compares all of them with the database.
func TestJournalOfManyOwners(t *testing.T) {
	storagetest.Long(t)
	const owners = 100_000
	folder := t.TempDir()
	db := journaling(t, folder, storetest.Ring(t, seal.NewKey()))
	if _, err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range owners {
		c := storetest.Full(storetest.Key("A1", "", fmt.Sprintf("T%09d", i)))
		p := pair(c.Key, "")
		p.Token, p.Refresh = connection.Secret(strings.Repeat("t", 180)), connection.Secret(strings.Repeat("r", 150))
		p.Standing, p.Generation, p.Connection = connection.Kept, 1, &c
		journaledAs(t, db, p)
	}
	written := time.Since(began)
	info, err := os.Stat(filepath.Join(folder, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	read := 0
	for after := ""; ; {
		pairs, err := db.Kept(after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(pairs) == 0 {
			break
		}
		holders := make([]connection.TokenOwner, len(pairs))
		for i, p := range pairs {
			holders[i] = p.TokenOwner
		}
		if _, err := db.Rows(t.Context(), holders); err != nil {
			t.Fatal(err)
		}
		read, after = read+len(pairs), pairs[len(pairs)-1].Journaled
	}
	compared := time.Since(began)
	began = time.Now()
	if _, err := db.JournaledFor(connection.TokenOwner{Key: storetest.Key("A1", "", "T000050000")}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d owners: %d MB, %v to write (%v each), %v to compare, %v to find one",
		read, info.Size()>>20, written.Round(time.Second), (written / owners).Round(time.Microsecond),
		compared.Round(time.Millisecond), time.Since(began).Round(time.Microsecond))
	if read != owners {
		t.Errorf("%d owners, not %d", read, owners)
	}
}
