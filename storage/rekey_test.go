package storage_test

// A workspace that joined an organisation keeps its connection: the same row under another key, with what is sealed for
// that key.

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestRekey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		from, to := storetest.Key("A1", "", "T1"), storetest.Key("A1", "E1", "T1")
		line := connection.Change{At: storetest.T0, By: connection.Actor{Kind: connection.BySlack}, What: connection.DidMove,
			Outcome: connection.OutcomeDone, Reason: "E1"}
		first := storetest.Put(t, f, storetest.Full(from))
		person := connection.UserToken{TokenOwner: connection.TokenOwner{Key: from, UserID: "U1"},
			TokenPair: connection.TokenPair{Token: "xoxp-1", RefreshToken: "xoxe-1"}, Scopes: []string{"chat:write"},
			GrantedAt: storetest.T0}
		if err := f.AddUser(t.Context(), person); err != nil {
			t.Fatal(err)
		}
		before, err := f.History(t.Context(), first.ID, 100)
		if err != nil {
			t.Fatal(err)
		}

		// What must not move it.
		for name, test := range map[string]struct {
			from, to connection.Key
			token    connection.Secret
		}{
			"nobody's":            {storetest.Key("A1", "", "T9"), storetest.Key("A1", "E1", "T9"), first.Token},
			"another token":       {from, to, "xoxb-of-before"},
			"another workspace":   {from, storetest.Key("A1", "E1", "T2"), first.Token},
			"another app":         {from, storetest.Key("A2", "E1", "T1"), first.Token},
			"the organisation's":  {from, storetest.Key("A1", "E1", ""), first.Token},
			"text that can't be":  {from, storetest.Key("A1", "E\x00", "T1"), first.Token},
			"from nowhere at all": {storetest.Key("A1", "\xff", "T1"), to, first.Token},
		} {
			if _, err := f.Rekey(t.Context(), test.from, test.to, test.token, line); err == nil {
				t.Errorf("%s: moved", name)
			}
		}
		if c, err := f.Lookup(t.Context(), from); err != nil || cmp.Diff(first, c) != "" {
			t.Fatalf("it changed: %v %s", err, cmp.Diff(first, c))
		}

		// A hundred replicas at once.
		var moved, late atomic.Int32
		storagetest.Together(storetest.Callers, func(int) {
			now, err := f.Rekey(t.Context(), from, to, first.Token, line)
			switch {
			case err == nil:
				moved.Add(1)
				want := first
				want.Key = to
				if diff := cmp.Diff(want, now); diff != "" {
					t.Error(diff)
				}
			case errors.Is(err, connection.ErrNotFound):
				late.Add(1)
			default:
				t.Error(err)
			}
		})
		if moved.Load() != 1 || late.Load() != storetest.Callers-1 {
			t.Errorf("%d moved, %d came late", moved.Load(), late.Load())
		}
		for _, k := range []connection.Key{from, to, storetest.Key("A1", "E2", "T1")} {
			if c, err := f.Lookup(t.Context(), k); err != nil || c.ID != first.ID || c.Key != to || c.Token != first.Token ||
				c.RefreshToken != first.RefreshToken || c.Webhook.URL != first.Webhook.URL {
				t.Errorf("by %s: %s %v", k, c.Key, err)
			}
		}
		if u, err := f.GetUser(t.Context(), connection.TokenOwner{Key: to, UserID: "U1"}); err != nil ||
			u.Token != "xoxp-1" || u.RefreshToken != "xoxe-1" || u.ConnectionID != first.ID {
			t.Errorf("a person's token: %+v %v", u, err)
		}
		if _, err := f.GetUser(t.Context(), person.TokenOwner); !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("a person's token under the old key: %v", err)
		}
		after, err := f.History(t.Context(), first.ID, 100)
		if line.ConnectionID = first.ID; err != nil || len(after) != len(before)+1 || cmp.Diff(line, after[0]) != "" {
			t.Errorf("history: %v %s", err, cmp.Diff(line, after[0]))
		}
		// It is a row like others.
		if _, err := f.Update(t.Context(), to, func(c *connection.Connection) error {
			c.TeamName = "Acme of One"
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

// An install that gave the new key a row of its own stays, and so does what is there under the old one.
func TestRekeyTaken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		for i := range 20 {
			from, to := storetest.Key("A1", "", "T1"), storetest.Key("A1", "E1", "T1")
			from.TeamID += string(rune('a' + i))
			to.TeamID = from.TeamID
			first := storetest.Put(t, f, storetest.Full(from))
			var moved, installed error
			storagetest.Together(2, func(i int) {
				if i == 0 {
					_, moved = f.Rekey(t.Context(), from, to, first.Token,
						connection.Change{At: storetest.T0, What: connection.DidMove, Outcome: connection.OutcomeDone})
				} else {
					_, installed = f.Add(t.Context(), connection.Connection{Key: to, State: connection.Active,
						TokenPair: connection.TokenPair{Token: "xoxb-new"}, AuthorizedAt: storetest.T0.Add(time.Hour)})
				}
			})
			if (moved == nil) == (installed == nil) || moved != nil && !errors.Is(moved, connection.ErrExists) ||
				installed != nil && !errors.Is(installed, connection.ErrExists) {
				t.Fatalf("moved: %v, installed: %v", moved, installed)
			}
			c, err := f.Lookup(t.Context(), to)
			if want := map[bool]connection.Secret{true: first.Token, false: "xoxb-new"}[moved == nil]; err != nil ||
				c.Token != want {
				t.Errorf("%v %v", c.Key, err)
			}
			if _, err := f.Rekey(t.Context(), from, to, first.Token, connection.Change{}); err == nil {
				t.Error("moved again")
			}
		}
	})
}

// What can't be opened now can't be sealed anew, and a key that is found again opens it only where it lies.
func TestRekeyUnreadable(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		from, to := storetest.Key("A1", "", "T1"), storetest.Key("A1", "E1", "T1")
		first := storetest.Put(t, f, storetest.Full(from))
		keys, err := seal.ParseKeys(seal.NewKey())
		if err != nil {
			t.Fatal(err)
		}
		other := storetest.OpenWith(t, f.URL, keys)
		if _, err := other.Rekey(t.Context(), from, to, first.Token, connection.Change{}); err == nil {
			t.Error("moved without its key")
		}
		if c, err := f.Lookup(t.Context(), from); err != nil || cmp.Diff(first, c) != "" {
			t.Errorf("%v %s", err, cmp.Diff(first, c))
		}
	})
}
