package storage_test

// Both databases must behave alike down to the last race, so there is one suite, and both run it.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// same compares connections, secrets included (cmp would print them hidden and alike).
func same(t *testing.T, what string, got, want connection.Connection) {
	t.Helper()
	for name, s := range map[string][2]connection.Secret{
		"token": {got.Token, want.Token}, "refresh token": {got.RefreshToken, want.RefreshToken},
		"webhook": {got.Webhook.URL, want.Webhook.URL},
	} {
		if s[0].Reveal() != s[1].Reveal() {
			t.Errorf("%s: the %s differs (%d and %d bytes)", what, name, len(s[0]), len(s[1]))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		for name, test := range map[string]func(*testing.T, storetest.Fixture){
			"PutAndReadBack":        testPutAndReadBack,
			"PutAgain":              testPutAgain,
			"PutOlderConsent":       testPutOlderConsent,
			"PutTogether":           testPutTogether,
			"PutTogetherNewerWins":  testPutTogetherNewerWins,
			"PutRefusesBrokenKeys":  testPutRefusesBrokenKeys,
			"Add":                   testAdd,
			"IDSurvives":            testIDSurvives,
			"UpdateTogether":        testUpdateTogether,
			"UpdateAndPutTogether":  testUpdateAndPutTogether,
			"UpdateWritesItsChange": testUpdateWritesItsChange,
			"UpdateRefuses":         testUpdateRefuses,
			"UpdateEnds":            testUpdateEnds,
			"FindOrder":             testFindOrder,
			"FindNothing":           testFindNothing,
			"List":                  testList,
			"Overview":              testOverview,
			"OddValues":             testOddValues,
			"EveryField":            testEveryField,
			"HistoryOfPut":          testHistoryOfPut,
			"HistoryTogether":       testHistoryTogether,
			"HistoryOfUpdate":       testHistoryOfUpdate,
			"AddUser":               testAddUser,
			"AddUserTogether":       testAddUserTogether,
			"UpdateUserTogether":    testUpdateUserTogether,
			"UpdateUserChange":      testUpdateUserWritesItsChange,
			"EraseUser":             testEraseUser,
			"RemovedDropsPeople":    testRemovedDropsPeople,
			"LeaseOnce":             testLeaseOnce,
			"Attempts":              testAttempts,
			"BeginAttempt":          testBeginAttempt,
			"BeginAttemptOnce":      testBeginAttemptOnce,
			"SweepAttempts":         testSweepAttempts,
			"EndedContext":          testEndedContext,
			"Ready":                 testReady,
		} {
			t.Run(name, func(t *testing.T) {
				// Each test has its own app and so its own connections; those that count all rows empty the tables.
				test(t, f)
			})
		}
	})
}

func testPutAndReadBack(t *testing.T, f storetest.Fixture) {
	c := storetest.Full(storetest.Key("A-read", "E1", "T1"))
	c.ID, c.CreatedAt, c.Installs = "con_chosenbycaller", storetest.T0.Add(-time.Hour), 17 // not the caller's to choose
	now, before, err := f.Put(t.Context(), c)
	if err != nil || before != nil {
		t.Fatalf("Put: before %v, error %v", before, err)
	}
	if !regexp.MustCompile(`^con_[a-z2-7]{16}$`).MatchString(now.ID) {
		t.Errorf("id %q", now.ID)
	}
	want := c
	want.ID, want.CreatedAt, want.Installs = now.ID, storetest.T0, 1
	same(t, "Put", now, want)
	found, err := f.Lookup(t.Context(), c.Key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Find", found, want)
	found, err = f.Get(t.Context(), now.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "FindID", found, want)
}

func testPutAgain(t *testing.T, f storetest.Fixture) {
	first := storetest.Put(t, f, storetest.Full(storetest.Key("A-again", "E1", "T1")))
	again := connection.Connection{Key: first.Key, TeamName: "Acme 2", TokenPair: connection.TokenPair{Token: "xoxb-2"},
		InstalledBy: "U2", InstalledAt: storetest.T0.Add(time.Minute), AuthorizedBy: "U2",
		AuthorizedAt: storetest.T0.Add(time.Minute), State: connection.Active}
	now, before, err := f.Put(t.Context(), again)
	if err != nil || before == nil {
		t.Fatalf("Put: before %v, error %v", before, err)
	}
	same(t, "before", *before, first)
	want := again
	want.ID, want.CreatedAt, want.Installs, want.Generation = first.ID, first.CreatedAt, 2, 2
	// What Slack did not repeat stays, and so does the installer.
	want.LastEventAt, want.TeamIcon, want.Webhook = first.LastEventAt, first.TeamIcon, first.Webhook
	want.StateSince = first.StateSince // it worked before
	for _, s := range first.Scopes {
		want.Beginnings = append(want.Beginnings, connection.Beginning{Of: "-" + s, At: again.AuthorizedAt})
	}
	want.BotID, want.TeamURL, want.CheckedAt = first.BotID, first.TeamURL, first.CheckedAt
	want.InstalledBy, want.InstalledByName, want.InstalledAt = first.InstalledBy, first.InstalledByName, first.InstalledAt
	same(t, "now", now, want)
	found, err := f.Lookup(t.Context(), first.Key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Find", found, want)
}

func testPutOlderConsent(t *testing.T, f storetest.Fixture) {
	first := storetest.Put(t, f, storetest.Full(storetest.Key("A-older", "", "T1")))
	for name, at := range map[string]time.Time{"a microsecond older": storetest.T0.Add(-time.Microsecond),
		"a callback's time older": storetest.T0.Add(-30 * time.Second)} {
		late := storetest.Full(first.Key)
		late.Token, late.AuthorizedAt, late.TeamName = "xoxb-late", at, "Late"
		now, before, err := f.Put(t.Context(), late)
		if err != nil || before == nil {
			t.Fatalf("%s: before %v, error %v", name, before, err)
		}
		first.Installs++
		if !now.Contested {
			t.Errorf("%s: nobody is told that the other may count", name)
		}
		now.Contested = false
		same(t, name, now, first)
	}
	tie := storetest.Full(first.Key)
	tie.Token = "xoxb-tie"
	if now := storetest.Put(t, f, tie); now.Token != "xoxb-tie" || now.Installs != 4 {
		t.Errorf("a consent of the same moment was not taken: %d installs", now.Installs)
	}
	// A clock that was set back is no late consent, and neither is anything when there is no token to keep.
	back := storetest.Full(first.Key)
	back.Token, back.AuthorizedAt = "xoxb-back", storetest.T0.Add(-time.Hour)
	if now := storetest.Put(t, f, back); now.Token != "xoxb-back" {
		t.Error("a consent by a clock that was set back was dropped")
	}
	if _, err := f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	back.Token, back.AuthorizedAt = "xoxb-again", back.AuthorizedAt.Add(-time.Second)
	if now := storetest.Put(t, f, back); now.Token != "xoxb-again" || now.State != connection.Active {
		t.Error("a removed connection kept a new install out")
	}
	// An operator's pause outlives a re-install.
	if _, err := f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.SetState(connection.Paused, "operator", storetest.T0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if now := storetest.Put(t, f, storetest.Full(first.Key)); now.State != connection.Paused || now.Token == "" {
		t.Errorf("a paused connection became %s", now.State)
	}
}

func testPutTogether(t *testing.T, f storetest.Fixture) {
	k := storetest.Key("A-together", "E1", "T1")
	race := func(what string, first func(before *connection.Connection) bool) {
		var mu sync.Mutex
		ids, firsts := map[string]int{}, 0
		storagetest.Together(storetest.Callers, func(i int) {
			c := storetest.Full(k)
			c.Token = connection.Secret(fmt.Sprintf("xoxb-%d", i))
			now, before, err := f.Put(t.Context(), c)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[now.ID]++
			if first(before) {
				firsts++
			}
		})
		if len(ids) != 1 {
			t.Errorf("%s: %d ids for one workspace", what, len(ids))
		}
		if firsts != 1 {
			t.Errorf("%s: %d of %d callers were the first", what, firsts, storetest.Callers)
		}
		if n := f.CountOf(t, "SELECT count(*) FROM connections WHERE app_id = 'A-together'"); n != 1 {
			t.Errorf("%s: %d rows", what, n)
		}
	}
	race("empty", func(before *connection.Connection) bool { return before == nil })
	if _, err := f.Update(t.Context(), k, func(c *connection.Connection) error {
		c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	race("removed", func(before *connection.Connection) bool {
		return before != nil && before.State == connection.Removed
	})
	c, err := f.Lookup(t.Context(), k)
	if err != nil || c.Installs != 2*storetest.Callers {
		t.Errorf("%d installs counted of %d, error %v", c.Installs, 2*storetest.Callers, err)
	}
}

func testPutTogetherNewerWins(t *testing.T, f storetest.Fixture) {
	k := storetest.Key("A-newer", "", "T1")
	storagetest.Together(storetest.Callers, func(i int) {
		c := storetest.Full(k)
		c.AuthorizedAt = storetest.T0.Add(time.Duration(i) * time.Microsecond)
		c.Token = connection.Secret(fmt.Sprintf("xoxb-%d", i))
		if _, _, err := f.Put(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
	c, err := f.Lookup(t.Context(), k)
	if err != nil || c.Token.Reveal() != fmt.Sprintf("xoxb-%d", storetest.Callers-1) || c.Installs != storetest.Callers {
		t.Errorf("consent of %v is in force after %d installs, error %v", c.AuthorizedAt, c.Installs, err)
	}
}

// Of any number of callers one adds, and the others change nothing.
func testAdd(t *testing.T, f storetest.Fixture) {
	k := storetest.Key("A-add", "E1", "T1")
	var added atomic.Int64
	storagetest.Together(storetest.Callers, func(i int) {
		c := storetest.Full(k)
		c.Token = connection.Secret(fmt.Sprintf("xoxb-%d", i))
		now, err := f.Add(t.Context(), c)
		switch {
		case err == nil:
			added.Add(1)
			if now.ID == "" || now.Installs != 1 || now.Token != c.Token {
				t.Errorf("added: %+v", now)
			}
		case err != connection.ErrExists || now.ID != "":
			t.Error(err)
		}
	})
	if n := f.CountOf(t, "SELECT sum(version) FROM connections WHERE app_id = 'A-add'"); n != 1 || added.Load() != 1 {
		t.Errorf("%d writes, %d said so", n, added.Load())
	}
	c, err := f.Lookup(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	tells(t, "added", f, c.ID, "install done by personU1 ")
	for _, k := range []connection.Key{{}, storetest.Key("A", "", ""), storetest.Key("A", "", "T\x00")} {
		if _, err := f.Add(t.Context(), storetest.Full(k)); err == nil || err == connection.ErrExists {
			t.Errorf("Add(%q): %v", k, err)
		}
	}
}

func testPutRefusesBrokenKeys(t *testing.T, f storetest.Fixture) {
	for _, k := range []connection.Key{{}, storetest.Key("A", "", ""), storetest.Key("", "E", "T"),
		storetest.Key("A", "", "T\x00"), storetest.Key("A", "\xff", "T")} {
		if _, _, err := f.Put(t.Context(), storetest.Full(k)); err == nil {
			t.Errorf("%q was kept", k)
		}
	}
}

func testIDSurvives(t *testing.T, f storetest.Fixture) {
	first := storetest.Put(t, f, storetest.Full(storetest.Key("A-id", "E1", "T1")))
	for round := range 5 {
		at := storetest.T0.Add(time.Duration(round) * time.Hour)
		removed, err := f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
			c.Erase(connection.Removed, connection.ReasonTokenRevoked, at)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if removed.Token != "" || removed.RefreshToken != "" || removed.Webhook.URL != "" ||
			removed.State != connection.Removed {
			t.Error("a removed connection kept a secret or its state")
		}
		if n := f.CountOf(t, "SELECT length(token) + length(refresh_token) + length(webhook_url) FROM connections WHERE "+
			"app_id = 'A-id'"); n != 0 {
			t.Errorf("%d sealed bytes are left after a removal", n)
		}
		c := storetest.Full(first.Key)
		c.InstalledAt, c.AuthorizedAt = at, at
		back := storetest.Put(t, f, c)
		if back.ID != first.ID || !back.CreatedAt.Equal(first.CreatedAt) || back.State != connection.Active ||
			back.Installs != round+2 {
			t.Errorf("round %d: %s since %v, %s, %d installs", round, back.ID, back.CreatedAt, back.State, back.Installs)
		}
	}
}

func testUpdateTogether(t *testing.T, f storetest.Fixture) {
	k := storetest.Key("A-update", "", "T1")
	storetest.Put(t, f, storetest.Full(k))
	storagetest.Together(storetest.Callers, func(i int) {
		_, err := f.Update(t.Context(), k, func(c *connection.Connection) error {
			c.Installs++
			c.Scopes = append(c.Scopes, fmt.Sprintf("scope:%d", i))
			c.Token += "+" // a secret is read, changed and written under the same rule
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	c, err := f.Lookup(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if want := "xoxe.xoxb-token" + strings.Repeat("+", storetest.Callers); c.Token.Reveal() != want {
		t.Errorf("%d of %d changes of the token are there", len(c.Token)-len("xoxe.xoxb-token"), storetest.Callers)
	}
	if c.Installs != 1+storetest.Callers || len(c.Scopes) != 2+storetest.Callers {
		t.Errorf("%d installs and %d scopes after %d updates", c.Installs, len(c.Scopes), storetest.Callers)
	}
	if n := f.CountOf(t, "SELECT version FROM connections WHERE app_id = 'A-update'"); n != 1+storetest.Callers {
		t.Errorf("version %d after %d writes", n, 1+storetest.Callers)
	}
}

// A renewal and a re-install meet: neither may undo the other.
func testUpdateAndPutTogether(t *testing.T, f storetest.Fixture) {
	k := storetest.Key("A-mixed", "", "T1")
	storetest.Put(t, f, storetest.Full(k))
	var updates atomic.Int64
	storagetest.Together(storetest.Callers, func(i int) {
		if i%2 == 0 {
			c := storetest.Full(k)
			c.CheckedAt = storetest.T0
			if _, _, err := f.Put(t.Context(), c); err != nil {
				t.Error(err)
			}
			return
		}
		if _, err := f.Update(t.Context(), k, func(c *connection.Connection) error {
			c.Installs += 1000
			return nil
		}); err != nil {
			t.Error(err)
		}
		updates.Add(1000)
	})
	c, err := f.Lookup(t.Context(), k)
	if want := 1 + storetest.Callers/2 + int(updates.Load()); err != nil || c.Installs != want {
		t.Errorf("%d counted, want %d, error %v", c.Installs, want, err)
	}
}

func testUpdateWritesItsChange(t *testing.T, f storetest.Fixture) {
	first := storetest.Put(t, f, storetest.Full(storetest.Key("A-change", "E1", "T1")))
	boxes := func() (boxes [3]string) {
		t.Helper()
		row := f.Raw.QueryRow("SELECT token, refresh_token, webhook_url FROM connections WHERE app_id = 'A-change'")
		if err := row.Scan(&boxes[0], &boxes[1], &boxes[2]); err != nil {
			t.Fatal(err)
		}
		return boxes
	}
	version := func() int { return f.CountOf(t, "SELECT version FROM connections WHERE app_id = 'A-change'") }
	before := boxes()

	got, err := f.Update(t.Context(), first.Key, func(*connection.Connection) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	same(t, "nothing changed", got, first)
	if version() != 1 || boxes() != before {
		t.Error("an update without a change wrote something")
	}

	want := first
	want.State, want.Reason, want.LastEventAt = connection.Paused, "", storetest.T0.Add(time.Hour)
	got, err = f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.State, c.Reason, c.LastEventAt = want.State, want.Reason, want.LastEventAt
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "facts changed", got, want)
	if version() != 2 || boxes() != before {
		t.Error("a change of facts sealed the secrets again")
	}

	want.Scopes = []string{"changed:in_place", want.Scopes[1]}
	got, err = f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.Scopes[0] = want.Scopes[0]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "a scope changed", got, want)

	want.RefreshToken = "xoxe-1-next"
	got, err = f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.RefreshToken = want.RefreshToken
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "a secret changed", got, want)
	after := boxes()
	if after[0] != before[0] || after[2] != before[2] || after[1] == before[1] {
		t.Error("exactly the refresh token should have been sealed again")
	}
	found, err := f.Lookup(t.Context(), first.Key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Find", found, want)
}

func testUpdateRefuses(t *testing.T, f storetest.Fixture) {
	first := storetest.Put(t, f, storetest.Full(storetest.Key("A-refuse", "E1", "T1")))
	mine := errors.New("no, thanks")
	if _, err := f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.Token = "xoxb-never"
		return mine
	}); err != mine {
		t.Errorf("fn's error came back as %v", err)
	}
	if _, err := f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.TeamID = "T2"
		return nil
	}); err == nil {
		t.Error("an update moved a connection to another workspace")
	}
	if _, err := f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		c.ID = "con_other"
		return nil
	}); err == nil {
		t.Error("an update changed an id")
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
			c.Token = "xoxb-never"
			panic("fn")
		})
	}()
	found, err := f.Lookup(t.Context(), first.Key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "after all that", found, first)

	// Update is for the exact row, also where Find would answer with another.
	for _, k := range []connection.Key{storetest.Key("A-refuse", "", "T1"), storetest.Key("A-refuse", "E2", "T1"),
		storetest.Key("A-refuse", "E1", "T2"), {}, storetest.Key("A\x00", "", "T")} {
		if _, err := f.Update(t.Context(), k, func(*connection.Connection) error {
			t.Error("fn was called")
			return nil
		}); err != connection.ErrNotFound {
			t.Errorf("%q: %v", k, err)
		}
	}
}

// An update that ends in the middle leaves nothing behind, neither a change nor a lock.
func testUpdateEnds(t *testing.T, f storetest.Fixture) {
	first := storetest.Put(t, f, storetest.Full(storetest.Key("A-ends", "E1", "T1")))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := f.Update(ctx, first.Key, func(c *connection.Connection) error {
		c.Token = "xoxb-never"
		cancel()
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended update said %v", err)
	}

	// While one holds the row, another waits no longer than it wants to.
	if _, err := f.Update(t.Context(), first.Key, func(c *connection.Connection) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if _, err := f.Update(ctx, first.Key, func(*connection.Connection) error { return nil }); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Errorf("a waiting update said %v", err)
		}
		if _, err := f.Lookup(t.Context(), first.Key); err != nil {
			t.Errorf("reading while a row is locked: %v", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	found, err := f.Lookup(t.Context(), first.Key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "after all that", found, first)
}

// testFindOrder tries every mixture of rows, each absent, working or removed, against the rule as its comment states
// it.
func testFindOrder(t *testing.T, f storetest.Fixture) {
	rows := []struct{ enterprise, team string }{{"E1", "T1"}, {"", "T1"}, {"E1", ""}, {"E2", ""}, {"E1", "T2"}}
	asked := []struct{ enterprise, team string }{{"E1", "T1"}, {"", "T1"}, {"E1", ""}, {"E2", ""}, {"E2", "T1"},
		{"E1", "T3"}, {"", "T3"}}
	mixtures := 1
	for range rows {
		mixtures *= 3
	}
	for m := range mixtures {
		app := fmt.Sprintf("A-find-%d", m)
		var have []connection.Connection
		for i, rest := 0, m; i < len(rows); i, rest = i+1, rest/3 {
			// Of two rows that fit alike the latest consent is the one that counts, so the first is the latest.
			c := connection.Connection{Key: storetest.Key(app, rows[i].enterprise, rows[i].team),
				AuthorizedAt: storetest.T0.Add(-time.Duration(i) * time.Second), State: connection.Active}
			switch rest % 3 {
			case 0:
				continue
			case 1:
				c.State = connection.Removed
			}
			have = append(have, storetest.Put(t, f, c))
		}
		for _, a := range asked {
			k := storetest.Key(app, a.enterprise, a.team)
			got, err := f.Lookup(t.Context(), k)
			want := answer(have, k)
			switch {
			case want == "" && err != connection.ErrNotFound:
				t.Errorf("%v has no row, but Find said %v, %v", k, got.Key, err)
			case want != "" && err != nil:
				t.Errorf("Find(%v): %v", k, err)
			case want != got.ID:
				t.Errorf("Find(%v) is %v (%s), of %v", k, got.Key, got.State, have)
			}
		}
	}

	// Rows under two organisations, neither of them the one asked for: the latest consent.
	old, latest := storetest.Full(storetest.Key("A-two", "E1", "T1")), storetest.Full(storetest.Key("A-two", "E2", "T1"))
	latest.AuthorizedAt = storetest.T0.Add(time.Second)
	storetest.Put(t, f, latest)
	storetest.Put(t, f, old)
	if c, err := f.Lookup(t.Context(), storetest.Key("A-two", "", "T1")); err != nil || c.EnterpriseID != "E2" {
		t.Errorf("of two organisations' rows: %v, %v", c.Key, err)
	}
}

// answer says which of have answers for k, by the words of install.Store.
func answer(have []connection.Connection, k connection.Key) (id string) {
	pick := func(removed bool, fits func(c connection.Key) bool) {
		for _, c := range have {
			if id == "" && (c.State == connection.Removed) == removed && fits(c.Key) {
				id = c.ID
			}
		}
	}
	for _, removed := range []bool{false, true} {
		pick(removed, func(c connection.Key) bool { return c == k })
		if k.TeamID == "" {
			continue
		}
		pick(removed, func(c connection.Key) bool { return c.TeamID == k.TeamID })
		if k.EnterpriseID != "" {
			pick(removed, func(c connection.Key) bool { return c.EnterpriseID == k.EnterpriseID && c.TeamID == "" })
		}
	}
	return id
}

func testFindNothing(t *testing.T, f storetest.Fixture) {
	storetest.Put(t, f, storetest.Full(storetest.Key("A-none", "E1", "T1")))
	for _, k := range []connection.Key{
		{}, storetest.Key("A-none", "", ""), storetest.Key("", "E1", "T1"), storetest.Key("A-none", "E1", "T2"),
		storetest.Key("A-none", "E1", ""), storetest.Key("A-other", "E1", "T1"), storetest.Key("A-none", "E1", "t1"),
		storetest.Key("A-none", "", "T%"), storetest.Key("A-none", "", "T\x00"), storetest.Key("A-none", "", "\xff"),
	} {
		if c, err := f.Lookup(t.Context(), k); err != connection.ErrNotFound {
			t.Errorf("%q: %v, %v", k, c.Key, err)
		}
	}
	for _, id := range []string{"", "con_", "con_%", "\x00", "\xff"} {
		if _, err := f.Get(t.Context(), id); err != connection.ErrNotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func testList(t *testing.T, f storetest.Fixture) {
	names := []string{"zebra", "Älpler", "acme", "Zürich", "acme", "🦊", ""}
	var want []connection.Connection
	for i, name := range names {
		c := storetest.Full(storetest.Key("A-list", "", fmt.Sprintf("T%d", i)))
		c.TeamName = name
		if i == 3 {
			c.State = connection.Removed
		}
		c = storetest.Put(t, f, c)
		c.Token, c.RefreshToken, c.Webhook.URL = "", "", ""
		want = append(want, c)
	}
	slices.SortFunc(want, func(a, b connection.Connection) int {
		if c := strings.Compare(a.TeamName, b.TeamName); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	all, err := f.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(all, func(c connection.Connection) bool { return c.AppID != "A-list" })
	if len(got) != len(want) {
		t.Fatalf("%d of %d connections", len(got), len(want))
	}
	for i := range got {
		same(t, fmt.Sprintf("place %d", i), got[i], want[i])
	}
	doubt := connection.Removal{Reason: connection.ReasonUninstalled, At: storetest.T0}
	if _, err := f.Update(t.Context(), want[2].Key, func(c *connection.Connection) error {
		c.PendingRemoval = doubt
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	doubted, err := f.PendingRemovals(t.Context())
	doubted = slices.DeleteFunc(doubted, func(c connection.Connection) bool { return c.AppID != "A-list" })
	if err != nil || len(doubted) != 1 || doubted[0].ID != want[2].ID || doubted[0].PendingRemoval != doubt {
		t.Errorf("doubted: %v, %v", doubted, err)
	}
}

func testOverview(t *testing.T, f storetest.Fixture) {
	at := func(minutes int) time.Time { return storetest.T0.Add(time.Duration(minutes) * time.Minute) }
	for i, test := range []struct {
		app, scopes string
		state       connection.State
		token       connection.Secret
		event       time.Time
		installed   time.Time
	}{
		{"A-overview", "a,b", connection.Active, "xoxb-1", at(3), at(1)},
		{"A-overview", "a,b", connection.Retrying, "xoxb-1", at(7), at(2)},
		{"A-overview", "a", connection.Active, "xoxb-1", time.Time{}, at(3)},
		{"A-overview", "a", connection.ReconnectRequired, "xoxb-1", at(5), at(0)}, // can't be used, but Slack sent
		{"A-overview", "c", connection.Removed, "", at(9), at(0)},
		{"A-overview2", "c", connection.Active, "xoxb-1", at(8), at(0)},
	} {
		c := storetest.Full(storetest.Key(test.app, "", fmt.Sprintf("T%d", i)))
		c.Scopes, c.State, c.LastEventAt = strings.Split(test.scopes, ","), test.state, test.event
		c.Token, c.InstalledAt = test.token, test.installed
		storetest.Put(t, f, c)
	}

	got, err := f.Overview(t.Context(), "A-overview")
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Granted {
		got.Granted[i].Example = ""
	}
	want := storage.Overview{Connected: 3, Since: at(1), LastEvent: at(7), Apps: got.Apps, Granted: []storage.GrantedScopes{
		{Scopes: []string{"a", "b"}, Connections: 2}, {Scopes: []string{"a"}, Connections: 1},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Apps["A-overview"] != 4 || got.Apps["A-overview2"] != 1 {
		t.Errorf("apps: %v", got.Apps)
	}
}

func testOddValues(t *testing.T, f storetest.Fixture) {
	long := connection.Secret(strings.Repeat("xoxe.xoxb-", 100_000)) // 1 MB
	for name, c := range map[string]connection.Connection{
		"nothing but a key": {},
		"unicode": {TeamName: "Ünïcødé 東京 🦊 '; DROP TABLE connections; --", InstalledByName: "\u202eevil",
			TokenPair: connection.TokenPair{Token: "xoxb-ß"}},
		"long": {TeamName: strings.Repeat("é", 10_000),
			TokenPair: connection.TokenPair{Token: long, RefreshToken: long}, Webhook: connection.Webhook{URL: long}},
		"binary secret": {TokenPair: connection.TokenPair{Token: "\x00\xff\x00"}},
		"old and new times": {CreatedAt: storetest.T0, InstalledAt: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC),
			TokenPair: connection.TokenPair{ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)}},
	} {
		c.Key = storetest.Key("A-odd", "", "T "+name)
		now := storetest.Put(t, f, c)
		want := c
		want.ID, want.CreatedAt, want.Installs, want.Generation = now.ID, c.InstalledAt, 1, 1
		found, err := f.Lookup(t.Context(), c.Key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name, found, want)
	}

	zone := storetest.Full(storetest.Key("A-odd", "", "T zone"))
	zone.InstalledAt = storetest.T0.Add(789).In(time.FixedZone("east", 5*3600)) // nanoseconds are cut off
	if now := storetest.Put(t, f, zone); now.InstalledAt != storetest.T0 {
		t.Errorf("%v became %v", zone.InstalledAt, now.InstalledAt)
	}
	const odd, even = "a\x00b\xffc", "a\uFFFDb\uFFFDc"
	dirty := storetest.Full(storetest.Key("A-odd", "", "T dirty"))
	dirty.TeamName, dirty.AuthorizedBy, dirty.Notice = odd, odd,
		connection.Notice{Reason: odd, To: odd, Channel: odd, TS: odd}
	now := storetest.Put(t, f, dirty)
	if now.TeamName != even || now.Notice != (connection.Notice{Reason: even, To: even, Channel: even, TS: even}) {
		t.Errorf("text that is none became %q", now.TeamName)
	}
	user := person(dirty.Key, "U1")
	user.Scopes, user.Reason = []string{odd}, odd
	user.Note(connection.Change{At: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), By: connection.Actor{Kind: odd, ID: odd},
		What: odd, Outcome: odd, Reason: odd})
	grant(t, f, user)
	if got := findUser(t, f, user.TokenOwner); got.Reason != even || got.Scopes[0] != even {
		t.Errorf("text that is none became %q", got.Reason)
	}
	if lines := history(t, f, now.ID); len(lines) != 2 || lines[0].By.ID != even || lines[1].What != even ||
		lines[1].By.ID != even || lines[1].At.Year() != 1 {
		t.Errorf("text that is none became %+v", lines)
	}
	if !storetest.Must(f.Take(t.Context(), slackapi.Budget{Name: odd, Interval: time.Second, Burst: 1}, 1, storetest.T0)) {
		t.Error("a budget with an odd name is empty")
	}
}

// filled puts something else into every field of a struct, however deep, except for lines of history.
func filled[T any]() T {
	var (
		v    T
		n    int
		fill func(v reflect.Value)
	)
	fill = func(v reflect.Value) {
		n++
		switch v.Interface().(type) {
		case time.Time:
			v.Set(reflect.ValueOf(storetest.T0.Add(time.Duration(n) * time.Second)))
			return
		case []connection.Change:
			return
		}
		switch v.Kind() {
		case reflect.Interface: // an Origin: the one that has a field
			v.Set(reflect.ValueOf(filled[connection.Renewal]()))
		case reflect.String:
			v.SetString(fmt.Sprintf("value %d", n))
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(n))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0))
			fill(v.Index(1))
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		default:
			panic("no value for a " + v.Kind().String())
		}
	}
	fill(reflect.ValueOf(&v).Elem())
	return v
}

// A field that somebody adds and forgets to keep is found here.
func testEveryField(t *testing.T, f storetest.Fixture) {
	c := filled[connection.Connection]()
	c.FailingSince = c.AuthorizedAt.Add(time.Hour) // failures from before a consent are an older release's leftovers
	now := storetest.Put(t, f, c)
	c.ID, c.CreatedAt, c.Installs = now.ID, c.InstalledAt, 1
	c.Asked, c.Contested, c.Left, c.LeftAt = 0, false, nil, time.Time{} // of no row
	found, err := f.Lookup(t.Context(), c.Key)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "connection", found, c)

	u := filled[connection.UserToken]()
	u.Key = c.Key
	grant(t, f, u)
	u.ConnectionID = c.ID
	sameUser(t, "user token", findUser(t, f, u.TokenOwner), u)

	line := filled[connection.Change]()
	update(t, f, c.Key, func(c *connection.Connection) { c.Note(line) })
	line.ConnectionID = c.ID
	if lines := history(t, f, c.ID); len(lines) != 2 || lines[1] != line {
		t.Errorf("history: %+v, want %+v", lines, line)
	}
}

func attempt(name string, started time.Time) oauth.Attempt {
	state, browser := sha256.Sum256([]byte(name)), sha256.Sum256([]byte("browser "+name))
	return oauth.Attempt{Ref: name, StateHash: state[:], BrowserHash: browser[:], StartedAt: started,
		ExpiresAt: started.Add(10 * time.Minute), TeamHint: "T1", BoundTo: "con_1",
		LinkHash: []byte("link"), Request: links.GrantRequest{Scopes: []string{"chat:write", "files:write"}, Back: "C1"},
		Origin: "https://bot.example.com"}
}

// back is a, with its browser sent back by Slack.
func back(a oauth.Attempt, at time.Time) oauth.Attempt {
	a.ReturnedAt, a.AnswerHash = at, []byte("answer")
	return a
}

func start(t *testing.T, db install.Store, a oauth.Attempt) oauth.Attempt {
	t.Helper()
	if err := db.BeginAttempt(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func testAttempts(t *testing.T, f storetest.Fixture) {
	clearAttempts(t, f)
	var want []oauth.Attempt
	for i := range 5 {
		// The last two start at the same moment: then the later call is the newer attempt.
		a := start(t, f, attempt(fmt.Sprintf("list-%d", i), storetest.T0.Add(time.Duration(min(i, 3))*time.Second)))
		want = slices.Insert(want, 0, a)
	}
	ended := want[2]
	ended.EndedAt, ended.Outcome, ended.Reason = storetest.T0.Add(time.Minute), oauth.OutcomeRefused, "access_denied"
	ended.ConnectionID, ended.TeamID, ended.UserID = "con_2", "T2", "U2"
	want[2] = ended
	ended.Ref, ended.TeamHint, ended.BrowserHash = "not", "written", nil
	if err := f.EndAttempt(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{5, 3, 1, 0, -1, 100} {
		got, err := f.Attempts(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[:max(0, min(n, 5))], append([]oauth.Attempt{}, got...), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("the newest %d (-want +got):\n%s", n, diff)
		}
	}
	if err := f.EndAttempt(t.Context(), attempt("nobody's", storetest.T0)); err != connection.ErrNotFound {
		t.Errorf("ending an unknown attempt: %v", err)
	}
	if err := f.BeginAttempt(t.Context(), oauth.Attempt{Ref: "x", StartedAt: storetest.T0}); err == nil {
		t.Error("an attempt without a state was kept")
	}
	hint := attempt("hint", storetest.T0)
	hint.TeamHint = "\x00\xff" // anybody may write ?team=%00%ff
	start(t, f, hint)
}

func testBeginAttempt(t *testing.T, f storetest.Fixture) {
	found := func(what string, want oauth.Attempt) {
		t.Helper()
		got, err := f.GetAttempt(t.Context(), want.StateHash)
		if err != nil {
			t.Fatal(what, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	// One that was recorded from its start on, as the release before did; and one that begins when it comes back.
	old, fresh := start(t, f, attempt("old", storetest.T0)), attempt("fresh", storetest.T0)
	found("unused", old)
	for _, a := range []oauth.Attempt{old, fresh} {
		a = start(t, f, back(a, storetest.T0.Add(time.Minute)))
		found("used", a)
		// Used stays used, and what was written down first stays.
		for _, at := range []time.Time{storetest.T0.Add(2 * time.Minute), {}} {
			later := back(a, at)
			later.Ref, later.AnswerHash = "later", []byte("another")
			if err := f.BeginAttempt(t.Context(), later); err != oauth.ErrStateUsed {
				t.Errorf("the second time: %v", err)
			}
			found("the second time", a)
		}
		// Given back, because Slack was not asked: it is recorded how that ended, and it can be used again, once.
		a.ReturnedAt, a.AnswerHash, a.EndedAt, a.Outcome, a.Reason = time.Time{}, nil, storetest.T0.Add(time.Hour),
			oauth.OutcomeFailed, "records_unavailable"
		if err := f.EndAttempt(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		found("given back", a)
		a.EndedAt, a.Outcome, a.Reason = time.Time{}, "", ""
		a = start(t, f, back(a, storetest.T0.Add(3*time.Minute)))
		found("used again", a)
		if err := f.BeginAttempt(t.Context(), a); err != oauth.ErrStateUsed {
			t.Errorf("used again, twice: %v", err)
		}
	}
	for _, hash := range [][]byte{nil, {}, []byte("unknown"), fresh.StateHash[:31]} {
		if _, err := f.GetAttempt(t.Context(), hash); err != connection.ErrNotFound {
			t.Errorf("hash %x: %v", hash, err)
		}
	}
}

func testBeginAttemptOnce(t *testing.T, f storetest.Fixture) {
	const rounds, callers = 100, 8
	for round := range rounds {
		a := attempt(fmt.Sprintf("once-%d", round), storetest.T0)
		if round%2 == 0 {
			start(t, f, a)
		}
		var won atomic.Int64
		storagetest.Together(callers, func(i int) {
			switch err := f.BeginAttempt(t.Context(), back(a, storetest.T0.Add(time.Duration(i+1)*time.Second))); {
			case err == nil:
				won.Add(1)
			case err != oauth.ErrStateUsed:
				t.Errorf("round %d: %v", round, err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("round %d: %d of %d callers got the state", round, won.Load(), callers)
		}
	}
}

func testSweepAttempts(t *testing.T, f storetest.Fixture) {
	clearAttempts(t, f)
	for i := range 10 {
		start(t, f, attempt(fmt.Sprintf("sweep-%d", i), storetest.T0.Add(time.Duration(i)*time.Second)))
	}
	n, err := f.SweepAttempts(t.Context(), storetest.T0.Add(4*time.Second), time.Time{})
	if err != nil || n != 4 {
		t.Errorf("swept %d, error %v", n, err)
	}
	left, err := f.Attempts(t.Context(), 100)
	if err != nil || len(left) != 6 || left[5].Ref != "sweep-4" {
		t.Errorf("%d are left, error %v", len(left), err)
	}
	if n, err = f.SweepAttempts(t.Context(), time.Time{}, time.Time{}); err != nil || n != 0 {
		t.Errorf("swept %d before the zero time, error %v", n, err)
	}
	// One in which Slack named somebody is kept longer than those of strangers, whose codes were their own inventions.
	named := start(t, f, back(left[0], storetest.T0.Add(time.Minute)))
	named.UserID, named.Outcome = "U1", oauth.OutcomeRefused
	if err := f.EndAttempt(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	start(t, f, back(left[1], storetest.T0.Add(time.Minute)))
	if n, err = f.SweepAttempts(t.Context(), time.Time{}, storetest.T0.AddDate(1, 0, 0)); err != nil || n != 5 {
		t.Errorf("swept %d of strangers, error %v", n, err)
	}
	if left, err = f.Attempts(t.Context(), 100); err != nil || len(left) != 1 || left[0].UserID != "U1" {
		t.Errorf("%d are left, error %v", len(left), err)
	}
}

func clearAttempts(t *testing.T, f storetest.Fixture) {
	t.Helper()
	if _, err := f.SweepAttempts(t.Context(), storetest.T0.AddDate(100, 0, 0), time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func testEndedContext(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-ctx", "", "T1")))
	a := start(t, f, attempt("ctx", storetest.T0))
	u := connection.TokenOwner{Key: c.Key, UserID: "U1"}
	grant(t, f, person(c.Key, "U1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Put":    func() error { _, _, err := f.Put(ctx, c); return err },
		"Add":    func() error { _, err := f.Add(ctx, c); return err },
		"Find":   func() error { _, err := f.Lookup(ctx, c.Key); return err },
		"FindID": func() error { _, err := f.Get(ctx, c.ID); return err },
		"List":   func() error { _, err := f.List(ctx); return err },
		"Update": func() error {
			_, err := f.Update(ctx, c.Key, func(*connection.Connection) error { return nil })
			return err
		},
		"AddUser":  func() error { return f.AddUser(ctx, person(c.Key, "U1")) },
		"FindUser": func() error { _, err := f.GetUser(ctx, u); return err },
		"Users":    func() error { _, err := f.Users(ctx, c.Key); return err },
		"UpdateUser": func() error {
			_, err := f.UpdateUser(ctx, u, func(*connection.UserToken) error { return nil })
			return err
		},
		"EraseUser": func() error { _, err := f.EraseUser(ctx, person(c.Key, "U1"), connection.Change{}); return err },
		"Due":       func() error { _, err := f.Due(ctx, "", storetest.T0, 1); return err },
		"Leased":    func() error { _, err := f.Leased(ctx, "", storetest.T0, 1); return err },
		"LongLived": func() error { _, err := f.LongLived(ctx, "", 1); return err },
		"Unchecked": func() error { _, err := f.Unchecked(ctx, "", storetest.T0, 1); return err },
		"Untold":    func() error { _, err := f.Untold(ctx, "", 1); return err },
		"Unasked":   func() error { _, err := f.Unasked(ctx, "", connection.Key{}, 1); return err },
		"Spend": func() error {
			_, err := f.Take(ctx, slackapi.Budget{Name: "ctx", Interval: time.Second, Burst: 1}, 1, storetest.T0)
			return err
		},
		"Closed": func() error {
			return f.ClosedUntil(ctx, slackapi.Budget{Name: "ctx", Interval: time.Second, Burst: 1}, storetest.T0)
		},
		"Empty": func() error {
			_, err := f.Available(ctx, slackapi.Budget{Name: "ctx", Interval: time.Second, Burst: 1}, storetest.T0)
			return err
		},
		"Refill":    func() error { return f.Refill(ctx, slackapi.Budget{Name: "ctx", Interval: time.Second, Burst: 1}) },
		"History":   func() error { _, err := f.History(ctx, c.ID, 1); return err },
		"Count":     func() error { _, err := f.Count(ctx); return err },
		"SweepOld":  func() error { _, err := f.Sweep(ctx, storetest.T0); return err },
		"CheckKeys": func() error { _, err := f.CheckKeys(ctx); return err },
		"Reseal":    func() error { _, _, err := f.Reseal(ctx, false); return err },
		"Begin":     func() error { return f.BeginAttempt(ctx, back(a, storetest.T0)) },
		"FindTry":   func() error { _, err := f.GetAttempt(ctx, a.StateHash); return err },
		"End":       func() error { return f.EndAttempt(ctx, a) },
		"Attempts":  func() error { _, err := f.Attempts(ctx, 1); return err },
		"Sweep":     func() error { _, err := f.SweepAttempts(ctx, storetest.T0, storetest.T0); return err },
		"Ready":     func() error { return f.Ready(ctx) },
		"Schema":    func() error { return f.CheckSchema(ctx) },
		"Status":    func() error { _, err := f.MigrationStatus(ctx); return err },
		"Migrate":   func() error { _, err := f.Migrate(ctx); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the caller left: %v", name, err)
		}
	}
	if err := f.BeginAttempt(t.Context(), back(a, storetest.T0)); err != nil {
		t.Errorf("the state was consumed for a caller who had left: %v", err)
	}
}

func testReady(t *testing.T, f storetest.Fixture) {
	for range 2 { // the second time the schema's answer is remembered
		if err := f.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
