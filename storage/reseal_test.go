package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"switchboard/install"
	"switchboard/storage"
)

// onEachDatabase runs a test on an empty, migrated database of each kind.
func onEachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	eachFresh(t, func(t *testing.T, url string) {
		if _, err := openWith(t, url, nil).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		test(t, url)
	})
}

// A new key is put first, everything moves over to it while others write, and then the old one is not needed any more.
func TestReseal(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, url string) {
		ctx := t.Context()
		oldKey, newKey := storage.NewKey(), storage.NewKey()
		old := openWith(t, url, ring(t, oldKey))
		const n = 60
		for i := range n {
			put(t, old, full(key("A1", "", fmt.Sprintf("T%02d", i))))
		}
		bare := full(key("A1", "", "TBARE"))
		bare.Token, bare.RefreshToken, bare.Webhook.URL = "", "", ""
		put(t, old, bare)

		both := openWith(t, url, ring(t, newKey+","+oldKey))
		report, err := both.CheckKeys(ctx)
		if err != nil || report.Rows != n || len(report.Keys) != 2 || !report.Keys[0].First || report.Keys[0].Rows != 0 || report.Keys[1].Rows != n || len(report.Unreadable) != 0 {
			t.Fatalf("before: %+v, %v", report, err)
		}
		if err := openWith(t, url, ring(t, newKey)).CheckAnyKey(ctx); !errors.Is(err, storage.ErrWrongKeys) {
			t.Errorf("the new key alone: %v", err)
		}

		// Stopped before it began, it goes on later; two at once and a writer in between lose nothing.
		ended, stop := context.WithCancel(ctx)
		stop()
		if _, _, err := both.Reseal(ended, false); err == nil {
			t.Error("a stopped run said nothing")
		}
		var sealed [2]int
		together(3, func(i int) {
			if i == 2 {
				for j := range n {
					if _, err := both.Update(ctx, key("A1", "", fmt.Sprintf("T%02d", j)), func(c *install.Connection) error {
						c.RefreshToken = install.Secret(fmt.Sprintf("xoxe-renewed-%d", j))
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
		fresh := openWith(t, url, ring(t, newKey))
		if report, err := fresh.CheckKeys(ctx); err != nil || len(report.Keys) != 1 || report.Keys[0].Rows != n {
			t.Errorf("after: %+v, %v", report, err)
		}
		for j := range n {
			c, err := fresh.Find(ctx, key("A1", "", fmt.Sprintf("T%02d", j)))
			if err != nil || c.Token.Reveal() != "xoxe.xoxb-token" || c.RefreshToken.Reveal() != fmt.Sprintf("xoxe-renewed-%d", j) {
				t.Fatalf("T%02d with the new key alone: %v, state %s", j, err, c.State)
			}
		}
	})
}

// What no key opens is counted and left alone, until the operator says that the key is lost for good.
func TestResealUnreadable(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, url string) {
		ctx := t.Context()
		lost := openWith(t, url, ring(t, storage.NewKey()))
		first := put(t, lost, full(key("A1", "", "T1")))
		mine := openWith(t, url, ring(t, storage.NewKey()))
		put(t, mine, full(key("A1", "", "T2")))
		if err := mine.CheckAnyKey(ctx); err != nil {
			t.Errorf("one of two rows opens: %v", err)
		}
		report, err := mine.CheckKeys(ctx)
		if err != nil || len(report.Unreadable) != 1 || report.Unreadable[0] != first.ID || len(report.Keys) != 2 || report.Keys[1].Known {
			t.Errorf("report: %+v, %v", report, err)
		}
		if n, unreadable, err := mine.Reseal(ctx, false); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("reseal: %d %d %v", n, unreadable, err)
		}
		if c, err := lost.Find(ctx, first.Key); err != nil || c.Token != first.Token {
			t.Errorf("the lost key, found again: %v, state %s", err, c.State)
		}
		if n, unreadable, err := mine.Reseal(ctx, true); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("erase: %d %d %v", n, unreadable, err)
		}
		// A box that names the first key and doesn't open, a copied one say, is found like any other.
		if _, err := rawHandle(t, url).Exec("UPDATE connections SET team_id = 'T9' WHERE team_id = 'T2'"); err != nil {
			t.Fatal(err)
		}
		if n, unreadable, err := mine.Reseal(ctx, false); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("a copied row: %d %d %v", n, unreadable, err)
		}
		// An operator's pause outlives the key.
		if _, err := mine.Update(ctx, key("A1", "", "T9"), func(c *install.Connection) error {
			c.SetState(install.Paused, "operator", t0)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n, unreadable, err := mine.Reseal(ctx, true); n != 0 || unreadable != 1 || err != nil {
			t.Errorf("erase a paused one: %d %d %v", n, unreadable, err)
		}
		if c, err := mine.Find(ctx, key("A1", "", "T9")); err != nil || c.State != install.Paused || c.Token != "" {
			t.Errorf("paused: %v %s", err, c.State)
		}
		c, err := lost.Find(ctx, first.Key)
		if err != nil || c.Token != "" || c.ID != first.ID || c.State != install.ReconnectRequired || c.Reason != install.ReasonUnreadable {
			t.Errorf("erased: %+v, %v", c, err)
		}
		if report, err := mine.CheckKeys(ctx); err != nil || len(report.Unreadable) != 0 {
			t.Errorf("after: %+v, %v", report, err)
		}
	})
}
