package storage_test

// A key is only as old as the last thing that is sealed with it; so what moves over to a new one is everything,
// wherever it lies, and whatever else goes on.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// onEachDatabase runs a test on an empty, migrated database of each kind.
func onEachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	storetest.EachFresh(t, func(t *testing.T, url string) {
		if _, err := storetest.OpenWith(t, url, nil).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, url)
	})
}

// A new key is put first, everything moves over to it while others write, and then the old one is not needed any more.
func TestReseal(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		ctx := t.Context()
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		old := storetest.OpenWith(t, url, storetest.Ring(t, oldKey))
		const n = 60
		for i := range n {
			storetest.Put(t, old, storetest.Full(storetest.Key("A1", "", fmt.Sprintf("T%02d", i))))
		}
		bare := storetest.Full(storetest.Key("A1", "", "TBARE"))
		bare.Token, bare.RefreshToken, bare.Webhook.URL = "", "", ""
		storetest.Put(t, old, bare)

		both := storetest.OpenWith(t, url, storetest.Ring(t, newKey+","+oldKey))
		report, err := both.CheckKeys(ctx)
		if err != nil || report.Rows != n || len(report.Keys) != 2 || !report.Keys[0].First || report.Keys[0].Rows != 0 ||
			report.Keys[1].Rows != n || len(report.Unreadable) != 0 {
			t.Fatalf("before: %+v, %v", report, err)
		}
		if err := storetest.OpenWith(t, url, storetest.Ring(t, newKey)).CheckAnyKey(ctx); !errors.Is(err,
			storage.ErrWrongKeys) {
			t.Errorf("the new key alone: %v", err)
		}

		// Stopped before it began, it goes on later; two at once and a writer in between lose nothing.
		ended, stop := context.WithCancel(ctx)
		stop()
		if _, _, err := both.Reseal(ended, false); err == nil {
			t.Error("a stopped run said nothing")
		}
		var sealed [2]int
		storagetest.Together(3, func(i int) {
			if i == 2 {
				for j := range n {
					if _, err := both.Update(ctx, storetest.Key("A1", "", fmt.Sprintf("T%02d", j)),
						func(c *connection.Connection) error {
							c.RefreshToken = connection.Secret(fmt.Sprintf("xoxe-renewed-%d", j))
							return nil
						}); err != nil {
						t.Error(err)
					}
				}
				return
			}
			var err error
			if sealed[i], _, err = both.Reseal(ctx, false); err != nil {
				t.Error(err)
			}
		})
		if total := sealed[0] + sealed[1]; total < 1 || total > n {
			t.Errorf("%d rows sealed by two runs", total)
		}
		if again, unreadable, err := both.Reseal(ctx, false); again != 0 || unreadable != 0 || err != nil {
			t.Errorf("once more: %d %d %v", again, unreadable, err)
		}
		fresh := storetest.OpenWith(t, url, storetest.Ring(t, newKey))
		if report, err := fresh.CheckKeys(ctx); err != nil || len(report.Keys) != 1 || report.Keys[0].Rows != n {
			t.Errorf("after: %+v, %v", report, err)
		}
		for j := range n {
			c, err := fresh.Lookup(ctx, storetest.Key("A1", "", fmt.Sprintf("T%02d", j)))
			if err != nil || c.Token.Reveal() != "xoxe.xoxb-token" ||
				c.RefreshToken.Reveal() != fmt.Sprintf("xoxe-renewed-%d", j) {
				t.Fatalf("T%02d with the new key alone: %v, state %s", j, err, c.State)
			}
		}
	})
}

// What no key opens is counted and left alone, until the operator says that the key is lost for good.
func TestResealUnreadable(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		ctx := t.Context()
		lost := storetest.OpenWith(t, url, storetest.Ring(t, seal.NewKey()))
		first := storetest.Put(t, lost, storetest.Full(storetest.Key("A1", "", "T1")))
		mine := storetest.OpenWith(t, url, storetest.Ring(t, seal.NewKey()))
		storetest.Put(t, mine, storetest.Full(storetest.Key("A1", "", "T2")))
		if err := mine.CheckAnyKey(ctx); err != nil {
			t.Errorf("one of two rows opens: %v", err)
		}
		report, err := mine.CheckKeys(ctx)
		if err != nil || len(report.Unreadable) != 1 || report.Unreadable[0] != first.ID || len(report.Keys) != 2 ||
			report.Keys[1].Known {
			t.Errorf("report: %+v, %v", report, err)
		}
		if n, unreadable, err := mine.Reseal(ctx, false); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("reseal: %d %d %v", n, unreadable, err)
		}
		if c, err := lost.Lookup(ctx, first.Key); err != nil || c.Token != first.Token {
			t.Errorf("the lost key, found again: %v, state %s", err, c.State)
		}
		if n, unreadable, err := mine.Reseal(ctx, true); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("erase: %d %d %v", n, unreadable, err)
		}
		// A box that names the first key and doesn't open, a copied one say, is found like any other.
		if _, err := storetest.RawHandle(t, url).
			Exec("UPDATE connections SET team_id = 'T9' WHERE team_id = 'T2'"); err != nil {
			t.Fatal(err)
		}
		if n, unreadable, err := mine.Reseal(ctx, false); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("a copied row: %d %d %v", n, unreadable, err)
		}
		// An operator's pause outlives the key.
		if _, err := mine.Update(ctx, storetest.Key("A1", "", "T9"), func(c *connection.Connection) error {
			c.SetState(connection.Paused, "operator", storetest.T0)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n, unreadable, err := mine.Reseal(ctx, true); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("erase a paused one: %d %d %v", n, unreadable, err)
		}
		if c, err := mine.Lookup(ctx, storetest.Key("A1", "", "T9")); err != nil || c.State != connection.Paused ||
			c.Token != "" {
			t.Errorf("paused: %v %s", err, c.State)
		}
		c, err := lost.Lookup(ctx, first.Key)
		if err != nil || c.Token != "" || c.ID != first.ID || c.State != connection.ReconnectRequired ||
			c.Reason != connection.ReasonUnreadable {
			t.Errorf("erased: %+v, %v", c, err)
		}
		if report, err := mine.CheckKeys(ctx); err != nil || len(report.Unreadable) != 0 {
			t.Errorf("after: %+v, %v", report, err)
		}
	})
}

// People's tokens and the journal move over together with the connections, while somebody writes.
func TestResealPeopleAndJournal(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		ctx, folder := t.Context(), t.TempDir()
		oldKey, newKey := seal.NewKey(), seal.NewKey()
		withJournal := func(keys ...string) *storage.DB {
			t.Helper()
			db := storetest.OpenWith(t, url, storetest.Ring(t, keys...))
			if err := db.UseJournal(folder); err != nil {
				t.Fatal(err)
			}
			return db
		}
		old := withJournal(oldKey)
		c := storetest.Put(t, old, storetest.Full(storetest.Key("A1", "E1", "T1")))
		// More than a batch of people on one connection, and some on many.
		const n = 510
		storagetest.Together(8, func(worker int) {
			for i := worker; i < n; i += 8 {
				if err := old.AddUser(ctx, person(c.Key, fmt.Sprintf("U%04d", i))); err != nil {
					t.Error(err)
				}
			}
		})
		for i := range 20 {
			grant(t, old, person(storetest.Put(t, old, storetest.Full(storetest.Key("A2", "", fmt.Sprintf("T%d", i)))).Key,
				"U1"))
		}
		consent := pair(c.Key, "")
		consent.Connection = &c
		entries := []string{journaledAs(t, old, pair(c.Key, "U1")), journaledAs(t, old, consent)}

		both, fresh := withJournal(newKey, oldKey), withJournal(newKey)
		want := storage.KeyReport{Rows: 21, UserTokens: n + 20, Journal: 2}
		all := want.Rows + want.UserTokens + want.Journal
		report, err := both.CheckKeys(ctx)
		if err != nil || report.Rows != want.Rows || report.UserTokens != want.UserTokens || report.Journal != want.Journal ||
			report.Keys[0].Rows != 0 || report.Keys[1].Rows != all || report.Unreadable != nil {
			t.Fatalf("before: %+v, %v", report, err)
		}
		if report, err := fresh.CheckKeys(ctx); err != nil || len(report.Unreadable) != all ||
			!slices.Contains(report.Unreadable, c.ID+"/U0007") || !slices.Contains(report.Unreadable, entries[1]) {
			t.Errorf("with the new key alone: %d unreadable of %d, error %v", len(report.Unreadable), all, err)
		}
		var sealed [2]int
		storagetest.Together(3, func(i int) {
			var err error
			if i < 2 {
				sealed[i], _, err = both.Reseal(ctx, false)
			} else {
				for j := 0; j < n && err == nil; j += 10 {
					_, err = both.UpdateUser(ctx, connection.TokenOwner{Key: c.Key, UserID: fmt.Sprintf("U%04d", j)},
						func(u *connection.UserToken) error {
							u.RefreshToken = "xoxe-renewed"
							return nil
						})
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
		if total := sealed[0] + sealed[1]; total < 1 || total > all {
			t.Errorf("%d sealed by two runs", total)
		}
		if again, unreadable, err := both.Reseal(ctx, false); again != 0 || unreadable != 0 || err != nil {
			t.Errorf("once more: %d %d %v", again, unreadable, err)
		}
		report, err = fresh.CheckKeys(ctx)
		want.Keys = []storage.KeyUse{{ID: report.Keys[0].ID, First: true, Known: true, Rows: all}}
		if diff := cmp.Diff(want, report); diff != "" || err != nil {
			t.Errorf("after, error %v (-want +got):\n%s", err, diff)
		}
		for j := range n {
			u := person(c.Key, fmt.Sprintf("U%04d", j))
			if u.ConnectionID = c.ID; j%10 == 0 {
				u.RefreshToken = "xoxe-renewed"
			}
			sameUser(t, "with the new key alone", findUser(t, fresh, u.TokenOwner), u)
		}
		pairs := journaled(t, fresh)
		if len(pairs) != 2 || pairs[0].Journaled != entries[0] || pairs[1].Journaled != entries[1] {
			t.Fatalf("entries: %v", pairs)
		}
		consent.Journaled = entries[1]
		samePair(t, "with the new key alone", pairs[1], consent)
	})
}

// What no key opens is dropped when the operator says so, and history tells of it.
func TestResealErases(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		ctx, folder := t.Context(), t.TempDir()
		mineKeys := storetest.Ring(t, seal.NewKey())
		lost, mine := storetest.OpenWith(t, url, storetest.Ring(t, seal.NewKey())), storetest.OpenWith(t, url, mineKeys)
		for _, db := range []*storage.DB{lost, mine} {
			if err := db.UseJournal(folder); err != nil {
				t.Fatal(err)
			}
		}
		f := storetest.Fixture{DB: mine, URL: url, Raw: storetest.RawHandle(t, url)}
		c := storetest.Put(t, lost, storetest.Full(storetest.Key("A1", "", "T1")))
		grant(t, lost, person(c.Key, "U1"))
		grant(t, mine, person(c.Key, "U2"))
		gone := journaledAs(t, lost, pair(c.Key, ""))
		kept := journaledAs(t, mine, pair(c.Key, ""))
		const later = "pair-00000000000000000001-aaaaaaaaaaaaaaaa.json" // its key is ours: a later release's, and no loss
		text := spoilt(t, legacy(t, folder, later, mineKeys, pair(c.Key, "")), func(e *entry) { e.Version = 2 })
		if err := os.WriteFile(filepath.Join(folder, later), text, 0o600); err != nil {
			t.Fatal(err)
		}
		const damaged = "pair-00000000000000000002-aaaaaaaaaaaaaaaa.json"
		if err := os.WriteFile(filepath.Join(folder, damaged), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := mine.CheckKeys(ctx)
		if want := []string{c.ID, c.ID + "/U1", damaged, gone}; err != nil || !slices.Equal(report.Unreadable, want) ||
			report.Journal != 4 || report.UserTokens != 2 {
			t.Errorf("report %+v, want unreadable %v, error %v", report, want, err)
		}
		for _, erase := range []bool{false, true} {
			if n, unreadable, err := mine.Reseal(ctx, erase); n != 0 || unreadable != 4 || err != nil {
				t.Errorf("erase %v: %d sealed, %d unreadable, %v", erase, n, unreadable, err)
			}
			if erase {
				break
			}
			tells(t, "nothing erased", f, c.ID, "install done by personU1 ")
			if len(files(t, folder)) != 2 || len(journaled(t, mine)) != 4 ||
				f.CountOf(t, "SELECT count(*) FROM user_tokens") != 2 {
				t.Error("something was dropped without being asked for")
			}
		}
		tells(t, "erased", f, c.ID, "install done by personU1 ", "erase done by operator unreadable",
			"erase done by operator U1")
		if users, err := mine.Users(ctx, c.Key); err != nil || len(users) != 1 || users[0].UserID != "U2" {
			t.Errorf("people left: %v, %v", users, err)
		}
		if left := journaled(t, mine); len(left) != 2 || left[0].Journaled != later || left[1].Journaled != kept {
			t.Errorf("entries left: %v", left)
		}
		if n, unreadable, err := mine.Reseal(ctx, true); n != 0 || unreadable != 0 || err != nil {
			t.Errorf("once more: %d %d %v", n, unreadable, err)
		}
	})
}

// One secret that opens is enough to know that the keys are right, wherever it lies.
func TestCheckAnyKeyLooksEverywhere(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		ctx, folder := t.Context(), t.TempDir()
		lost, mine := storetest.OpenWith(t, url, storetest.Ring(t, seal.NewKey())),
			storetest.OpenWith(t, url, storetest.Ring(t, seal.NewKey()))
		for _, db := range []*storage.DB{lost, mine} {
			if err := db.UseJournal(folder); err != nil {
				t.Fatal(err)
			}
		}
		check := func(what string, want error) {
			t.Helper()
			if err := mine.CheckAnyKey(ctx); !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, "pair-00000000000000000001-aaaaaaaaaaaaaaaa.json"), []byte("{"),
			0o600); err != nil {
			t.Fatal(err)
		}
		check("no secret", nil)
		name := journaledAs(t, lost, pair(storetest.Key("A1", "", "T1"), ""))
		check("another key's entry", storage.ErrWrongKeys)
		mineToo := journaledAs(t, mine, pair(storetest.Key("A1", "", "T1"), ""))
		check("an entry of ours", nil)
		for _, name := range []string{name, mineToo} {
			if err := mine.Unjournal(name); err != nil {
				t.Fatal(err)
			}
		}
		bare := storetest.Full(storetest.Key("A1", "", "T1"))
		bare.TokenPair, bare.Webhook = connection.TokenPair{}, connection.Webhook{}
		storetest.Put(t, lost, bare)
		check("a connection without secrets", nil)
		grant(t, lost, person(bare.Key, "U1"))
		check("another key's person", storage.ErrWrongKeys)
		grant(t, mine, person(bare.Key, "U2"))
		check("a person of ours", nil)
	})
}
