package storage_test

// People's tokens follow the rules of connections, and one more: nobody's opens as another's.

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// person is a token with something in every field.
func person(k connection.Key, userID string) connection.UserToken {
	return connection.UserToken{
		TokenOwner: connection.TokenOwner{Key: k, UserID: userID}, Scopes: []string{"chat:write", "users:read"},
		TokenPair: connection.TokenPair{Token: "xoxe.xoxp-" + connection.Secret(userID),
			RefreshToken: "xoxe-1-" + connection.Secret(userID), ExpiresAt: storetest.T0.Add(12 * time.Hour)},
		GrantedAt: storetest.T0,
	}
}

func grant(t *testing.T, db install.Store, u connection.UserToken) {
	t.Helper()
	if err := db.AddUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}

func findUser(t *testing.T, db install.Store, h connection.TokenOwner) connection.UserToken {
	t.Helper()
	u, err := db.GetUser(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func updateUser(t *testing.T, db install.Store, h connection.TokenOwner,
	fn func(u *connection.UserToken)) connection.UserToken {
	t.Helper()
	u, err := db.UpdateUser(t.Context(), h, func(u *connection.UserToken) error { fn(u); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func sameUser(t *testing.T, what string, got, want connection.UserToken) {
	t.Helper()
	if got.Token.Reveal() != want.Token.Reveal() || got.RefreshToken.Reveal() != want.RefreshToken.Reveal() {
		t.Errorf("%s: a secret differs", what)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testAddUser(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-user", "E1", "T1")))
	storetest.Put(t, f, storetest.Full(storetest.Key("A-user", "", "T1")))
	u := person(c.Key, "U1")
	u.ConnectionID = "con_chosenbycaller"
	u.Note(connection.Change{At: storetest.T0, By: connection.Person("U1"), What: connection.DidUserGrant,
		Outcome: connection.OutcomeDone, Reason: "U1"})
	grant(t, f, u)
	u.ConnectionID, u.Changes = c.ID, nil
	sameUser(t, "put", findUser(t, f, u.TokenOwner), u)

	// Once more: the first stays.
	again := connection.UserToken{TokenOwner: u.TokenOwner, ConnectionID: c.ID,
		TokenPair: connection.TokenPair{Token: "xoxp-again"}, GrantedAt: storetest.T0.Add(time.Hour)}
	if err := f.AddUser(t.Context(), again); err != connection.ErrExists {
		t.Errorf("added twice: %v", err)
	}
	sameUser(t, "added again", findUser(t, f, u.TokenOwner), u)
	// An update can replace all of it.
	updateUser(t, f, u.TokenOwner, func(u *connection.UserToken) {
		*u = again
		u.Note(connection.Change{What: connection.DidUserGrant})
	})
	u = again
	sameUser(t, "replaced", findUser(t, f, u.TokenOwner), u)
	tells(t, "grants", f, c.ID, "install done by personU1 ", "user_grant done by personU1 U1", "user_grant  by  ")
	if n := f.CountOf(t, "SELECT count(*) FROM user_tokens WHERE app_id = 'A-user'"); n != 1 {
		t.Errorf("%d rows for one person", n)
	}

	// On exactly this connection: the others that Lookup would answer with have no token of theirs.
	for _, h := range []connection.TokenOwner{
		{Key: storetest.Key("A-user", "", "T1"), UserID: "U1"}, {Key: storetest.Key("A-user", "E1", ""), UserID: "U1"},
		{Key: c.Key, UserID: "U2"}, {Key: c.Key}, {}, {Key: c.Key, UserID: "u1"}, {Key: c.Key, UserID: "\x00"},
		{Key: storetest.Key("A\xff", "", "T1"), UserID: "U1"},
	} {
		if _, err := f.GetUser(t.Context(), h); err != connection.ErrNotFound {
			t.Errorf("FindUser(%q): %v", h, err)
		}
		if _, err := f.UpdateUser(t.Context(), h, func(*connection.UserToken) error {
			t.Error("fn was called")
			return nil
		}); err != connection.ErrNotFound {
			t.Errorf("UpdateUser(%q): %v", h, err)
		}
	}
	for _, k := range []connection.Key{{}, storetest.Key("A-user", "E2", "T1"), storetest.Key("A-user", "E1", ""),
		storetest.Key("A\x00", "", "T1")} {
		if err := f.AddUser(t.Context(), person(k, "U1")); err != connection.ErrNotFound {
			t.Errorf("AddUser on no connection (%q): %v", k, err)
		}
		if users, err := f.Users(t.Context(), k); err != nil || len(users) != 0 {
			t.Errorf("Users(%q): %v, %v", k, users, err)
		}
	}
	for _, id := range []string{"", "U\x00", "\xff"} {
		if err := f.AddUser(t.Context(), person(c.Key, id)); err == nil || errors.Is(err, connection.ErrNotFound) {
			t.Errorf("AddUser of %q: %v", id, err)
		}
	}
	update(t, f, c.Key, func(c *connection.Connection) { c.State = connection.Paused })
	grant(t, f, person(c.Key, "U2"))
	update(t, f, c.Key, func(c *connection.Connection) {
		c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0)
	})
	if err := f.AddUser(t.Context(), u); err != connection.ErrNotFound {
		t.Errorf("AddUser on a removed connection: %v", err)
	}
}

// However many people a connection has, what there is of all of them can be asked at once.
func TestRowsOfManyPeople(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T1")))
		grant(t, f, person(c.Key, "U1"))
		of := make([]connection.TokenOwner, 17_000)
		for i := range of {
			of[i] = connection.TokenOwner{Key: c.Key, UserID: fmt.Sprintf("W%05d", i)}
		}
		of[len(of)-1].UserID = "U1"
		if rows, err := f.Rows(t.Context(), of); err != nil || len(rows) != 2 {
			t.Errorf("%d rows, not the connection's and one person's (%v)", len(rows), err)
		}
	})
}

// The list is in the order of IDs, in whichever order the database has them.
func TestUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T1")))
		grant(t, f, person(storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1"))).Key, "U0"))
		for _, id := range []string{"U10", "U9", "W1", "Ua", "U1"} {
			grant(t, f, person(c.Key, id))
		}
		storetest.Exec(t, f, "DROP INDEX user_tokens_key") // it would give them sorted, mostly
		users, err := f.Users(t.Context(), c.Key)
		if err != nil || len(users) != 5 {
			t.Fatalf("%d people, error %v", len(users), err)
		}
		for i, id := range []string{"U1", "U10", "U9", "Ua", "W1"} {
			want := person(c.Key, id)
			want.ConnectionID, want.Token, want.RefreshToken = c.ID, "", ""
			sameUser(t, fmt.Sprint("place ", i), users[i], want)
		}
	})
}

func testAddUserTogether(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-user-race", "", "T1")))
	var added atomic.Int64
	storagetest.Together(storetest.Callers, func(i int) {
		u := person(c.Key, fmt.Sprintf("U%d", i%2))
		u.Note(connection.Change{What: connection.DidUserGrant})
		switch err := f.AddUser(t.Context(), u); err {
		case nil:
			added.Add(1)
		case connection.ErrExists:
		default:
			t.Error(err)
		}
	})
	if n := f.CountOf(t, "SELECT sum(version) FROM user_tokens WHERE app_id = 'A-user-race'"); n != 2 ||
		added.Load() != 2 {
		t.Errorf("%d writes for two people, %d said so", n, added.Load())
	}
	if lines := history(t, f, c.ID); len(lines) != 1+2 {
		t.Errorf("%d lines for two grants", len(lines)-1)
	}
}

func testUpdateUserTogether(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-user-update", "", "T1")))
	u := person(c.Key, "U1")
	grant(t, f, u)
	storagetest.Together(storetest.Callers, func(i int) {
		if _, err := f.UpdateUser(t.Context(), u.TokenOwner, func(u *connection.UserToken) error {
			u.Tries++
			u.Scopes = append(u.Scopes, fmt.Sprintf("scope:%d", i))
			u.RefreshToken += "+"
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	got := findUser(t, f, u.TokenOwner)
	if want := u.RefreshToken.Reveal() + strings.Repeat("+", storetest.Callers); got.RefreshToken.Reveal() != want ||
		got.Tries != storetest.Callers || len(got.Scopes) != 2+storetest.Callers {
		t.Errorf("after %d updates: %d tries, %d scopes, %d bytes", storetest.Callers, got.Tries, len(got.Scopes),
			len(got.RefreshToken))
	}
	if n := f.CountOf(t, "SELECT version FROM user_tokens WHERE app_id = 'A-user-update'"); n != 1+storetest.Callers {
		t.Errorf("version %d after %d writes", n, 1+storetest.Callers)
	}
}

func testUpdateUserWritesItsChange(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-user-change", "", "T1")))
	u := person(c.Key, "U1")
	grant(t, f, u)
	u.ConnectionID = c.ID
	boxes := func() (boxes [2]string) {
		t.Helper()
		if err := f.Raw.QueryRow("SELECT token, refresh_token FROM user_tokens WHERE app_id = 'A-user-change'").
			Scan(&boxes[0], &boxes[1]); err != nil {
			t.Fatal(err)
		}
		return boxes
	}
	version := func() int { return f.CountOf(t, "SELECT version FROM user_tokens WHERE app_id = 'A-user-change'") }
	before, want := boxes(), []string{"install done by personU1 "}

	sameUser(t, "nothing changed", updateUser(t, f, u.TokenOwner, func(*connection.UserToken) {}), u)
	if version() != 1 || boxes() != before {
		t.Error("an update without a change wrote something")
	}
	u.LeaseUntil, u.Tries = storetest.T0.Add(time.Minute), 2
	sameUser(t, "facts changed", updateUser(t, f, u.TokenOwner, func(row *connection.UserToken) {
		row.LeaseUntil, row.Tries = u.LeaseUntil, u.Tries
	}), u)
	if version() != 2 || boxes() != before {
		t.Error("a change of facts sealed the secrets again")
	}
	tells(t, "what needs no line", f, c.ID, want...)

	u.Scopes = []string{"changed:in_place", u.Scopes[1]}
	sameUser(t, "a scope changed", updateUser(t, f, u.TokenOwner, func(row *connection.UserToken) {
		row.Scopes[0] = u.Scopes[0]
	}), u)

	u.RefreshToken = "xoxe-1-next"
	sameUser(t, "a secret changed", updateUser(t, f, u.TokenOwner, func(row *connection.UserToken) {
		row.RefreshToken = u.RefreshToken
	}), u)
	if after := boxes(); after[0] != before[0] || after[1] == before[1] {
		t.Error("exactly the refresh token should have been sealed again")
	}
	u.Token = "xoxp-next"
	updateUser(t, f, u.TokenOwner, func(row *connection.UserToken) { row.Token = u.Token })
	u.Reason = connection.ReasonRefreshRejected
	updateUser(t, f, u.TokenOwner, func(row *connection.UserToken) { row.Reason = u.Reason })
	for range 3 {
		want = append(want, "change done by switchboard U1")
	}
	tells(t, "what needs a line", f, c.ID, want...)
	got := updateUser(t, f, u.TokenOwner, func(row *connection.UserToken) {
		if row.Changes != nil {
			t.Error("fn was given lines")
		}
		row.Reason = ""
		row.Note(connection.Change{What: connection.DidRenew, Outcome: connection.OutcomeWorking, Reason: "U1"})
	})
	if u.Reason = ""; got.Changes != nil {
		t.Error("lines came back")
	}
	want = append(want, "renew working by  U1")
	tells(t, "noted", f, c.ID, want...)

	u.Token, u.RefreshToken = "", ""
	sameUser(t, "without a token", updateUser(t, f, u.TokenOwner, func(row *connection.UserToken) {
		row.Token, row.RefreshToken = "", ""
	}), u)
	if boxes() != [2]string{} {
		t.Error("sealed bytes are left")
	}
	want = append(want, "change done by switchboard U1")

	// What fn refuses, and what it may not do, leaves nothing behind.
	mine := errors.New("no, thanks")
	if _, err := f.UpdateUser(t.Context(), u.TokenOwner, func(row *connection.UserToken) error {
		row.Token = "xoxp-never"
		return mine
	}); err != mine {
		t.Errorf("fn's error came back as %v", err)
	}
	for name, fn := range map[string]func(*connection.UserToken){
		"key":        func(row *connection.UserToken) { row.TeamID = "T2" },
		"person":     func(row *connection.UserToken) { row.UserID = "U2" },
		"connection": func(row *connection.UserToken) { row.ConnectionID = "con_other" },
	} {
		if _, err := f.UpdateUser(t.Context(), u.TokenOwner, func(row *connection.UserToken) error {
			row.Note(connection.Change{What: "never"})
			fn(row)
			return nil
		}); err == nil {
			t.Errorf("an update changed the %s", name)
		}
	}
	sameUser(t, "after all that", findUser(t, f, u.TokenOwner), u)
	tells(t, "after all that", f, c.ID, want...)
}

func testEraseUser(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-erase", "", "T1")))
	other := storetest.Put(t, f, storetest.Full(storetest.Key("A-erase", "", "T2")))
	grant(t, f, person(other.Key, "U1"))
	grant(t, f, person(c.Key, "U1"))
	grant(t, f, person(c.Key, "USTAYS"))
	line := connection.Change{At: storetest.T0, By: connection.Actor{Kind: connection.BySlack},
		What: connection.DidUserRevoke, Outcome: connection.OutcomeDone, Reason: "not this"}
	regranted := person(c.Key, "U1")
	regranted.GrantedAt = regranted.GrantedAt.Add(time.Second)
	for name, u := range map[string]connection.UserToken{
		"a stranger's": person(c.Key, "U2"), "nobody's": person(c.Key, ""), "odd": person(c.Key, "\xff"),
		"another grant's": regranted, "no connection's": person(storetest.Key("A-erase", "E1", "T1"), "U1"),
		"an odd connection's": person(storetest.Key("A\x00", "", "T1"), "U1"),
	} {
		if erased, err := f.EraseUser(t.Context(), u, line); erased || err != nil {
			t.Errorf("%s: %v, %v", name, erased, err)
		}
	}
	// Of many who hear the same word one writes it down.
	erased := make([]bool, storetest.Callers)
	storagetest.Together(storetest.Callers, func(i int) {
		var err error
		if erased[i], err = f.EraseUser(t.Context(), person(c.Key, "U1"), line); err != nil {
			t.Error(err)
		}
	})
	total := 0
	for _, done := range erased {
		if done {
			total++
		}
	}
	if total != 1 {
		t.Errorf("%d erased it", total)
	}
	tells(t, "erased", f, c.ID, "install done by personU1 ", "user_revoke done by slack U1")
	users, err := f.Users(t.Context(), c.Key)
	if err != nil || len(users) != 1 || users[0].UserID != "USTAYS" {
		t.Errorf("left: %v, %v", users, err)
	}
	findUser(t, f, connection.TokenOwner{Key: other.Key, UserID: "U1"})
}

// With the app gone nobody's token stays, whoever comes at that moment.
func testRemovedDropsPeople(t *testing.T, f storetest.Fixture) {
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A-gone", "", "T1")))
	other := storetest.Put(t, f, storetest.Full(storetest.Key("A-gone", "", "T2")))
	grant(t, f, person(other.Key, "U1"))
	left := func() int {
		return f.CountOf(t, "SELECT count(*) FROM user_tokens WHERE app_id = 'A-gone' AND team_id = 'T1'")
	}
	grant(t, f, person(c.Key, "U1"))
	grant(t, f, person(c.Key, "U2"))
	for _, end := range []connection.State{connection.ReconnectRequired, connection.Paused, connection.Active} {
		update(t, f, c.Key, func(c *connection.Connection) { c.Erase(end, "some", storetest.T0) })
	}
	if _, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
		c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0)
		return errors.New("no, thanks")
	}); err == nil || left() != 2 {
		t.Errorf("%d of 2 tokens are left of a removal that was not, error %v", left(), err)
	}
	update(t, f, c.Key, func(c *connection.Connection) {
		c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0)
	})
	if left() != 0 {
		t.Errorf("%d tokens are left after a removal", left())
	}

	storetest.Put(t, f, storetest.Full(c.Key))
	storagetest.Together(storetest.Callers, func(i int) {
		var err error
		switch h := (connection.TokenOwner{Key: c.Key, UserID: fmt.Sprintf("U%d", i%10)}); {
		case i == storetest.Callers/2:
			_, err = f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
				c.Erase(connection.Removed, connection.ReasonUninstalled, storetest.T0)
				return nil
			})
		case i%2 == 0:
			err = f.AddUser(t.Context(), person(c.Key, h.UserID))
		default:
			_, err = f.UpdateUser(t.Context(), h, func(u *connection.UserToken) error { u.Token += "+"; return nil })
		}
		if err != nil && !errors.Is(err, connection.ErrNotFound) && err != connection.ErrExists {
			t.Error(err)
		}
	})
	if left() != 0 {
		t.Errorf("%d tokens slipped in beside a removal", left())
	}
	findUser(t, f, connection.TokenOwner{Key: other.Key, UserID: "U1"})
}

func unreadableUser(t *testing.T, what string, u connection.UserToken) {
	t.Helper()
	if u.Token != "" || u.RefreshToken != "" || u.Reason != connection.ReasonUnreadable || len(u.Scopes) != 2 {
		t.Errorf("%s: it opens, or does not say that it does not: %+v", what, u)
	}
}

func TestCopiedUserTokenDoesNotOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		h := connection.TokenOwner{Key: storetest.Key("A1", "E1", "T1"), UserID: "U1"}
		const copied = "UPDATE user_tokens SET token = (SELECT token FROM user_tokens WHERE %s), refresh_token = (SELECT " +
			"refresh_token FROM user_tokens WHERE %[1]s) WHERE app_id = 'A1' AND enterprise_id = 'E1' AND team_id = " +
			"'T1' AND user_id = 'U1'"
		for name, statement := range map[string]string{
			"another person":        fmt.Sprintf(copied, "user_id = 'U2'"),
			"another workspace":     fmt.Sprintf(copied, "team_id = 'T2'"),
			"another enterprise":    fmt.Sprintf(copied, "enterprise_id = 'E2'"),
			"another app":           fmt.Sprintf(copied, "app_id = 'A2'"),
			"columns changed about": "UPDATE user_tokens SET token = refresh_token, refresh_token = token",
			"the bot's": "UPDATE user_tokens SET token = (SELECT token FROM connections WHERE app_id = 'A1' AND " +
				"enterprise_id = 'E1' AND team_id = 'T1')",
			"a row passed on": "UPDATE user_tokens SET user_id = 'U9' WHERE app_id = 'A1' AND enterprise_id = 'E1' AND " +
				"team_id = 'T1' AND user_id = 'U1'",
			"half a box": "UPDATE user_tokens SET refresh_token = substr(refresh_token, 1, 20)",
		} {
			for _, k := range []connection.Key{h.Key, storetest.Key("A1", "E1", "T2"), storetest.Key("A1", "E2", "T1"),
				storetest.Key("A2", "E1", "T1")} {
				storetest.Put(t, f, storetest.Full(k))
				grant(t, f, person(k, "U1"))
			}
			grant(t, f, person(h.Key, "U2"))
			storetest.Exec(t, f, statement)
			at := h
			if name == "a row passed on" {
				at.UserID = "U9"
			}
			unreadableUser(t, name, findUser(t, f, at))
			users, err := f.Users(t.Context(), h.Key)
			if err != nil || !slices.ContainsFunc(users, func(u connection.UserToken) bool {
				return u.TokenOwner == at && u.Reason == connection.ReasonUnreadable
			}) {
				t.Errorf("%s, Users: %v, %v", name, users, err)
			}
			storetest.Exec(t, f, "DELETE FROM user_tokens")
		}
		grant(t, f, person(h.Key, "U1"))
		storetest.Exec(t, f, "UPDATE connections SET token = (SELECT token FROM user_tokens) WHERE app_id = 'A1' AND "+
			"enterprise_id = 'E1' AND team_id = 'T1'")
		c, err := f.Lookup(t.Context(), h.Key)
		unreadable(t, "a person's token as the bot's", c, err)
	})
}

func TestLostKeyOfAPerson(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "E1", "T1")))
		u := person(c.Key, "U1")
		u.Reason = "beneath"
		grant(t, f, u)
		u.ConnectionID = c.ID
		stranger, keyless := storetest.OpenWith(t, f.URL, storetest.Ring(t, seal.NewKey())), storetest.OpenWith(t, f.URL, nil)
		for name, db := range map[string]*storage.DB{"other key": stranger, "no key": keyless} {
			unreadableUser(t, name, findUser(t, db, u.TokenOwner))
			unreadableUser(t, name+", UpdateUser", updateUser(t, db, u.TokenOwner, func(u *connection.UserToken) { u.Tries++ }))
		}
		if err := keyless.AddUser(t.Context(), person(c.Key, "U2")); !errors.Is(err, seal.ErrNoKey) ||
			strings.Contains(err.Error(), "xox") {
			t.Errorf("AddUser without a key: %v", err)
		}
		// The key is found again, and nothing is lost.
		u.Tries = 2
		sameUser(t, "with the key", findUser(t, f, u.TokenOwner), u)

		// A new token makes the row good again for the new key, and nothing old is mixed in.
		got := updateUser(t, stranger, u.TokenOwner, func(u *connection.UserToken) { u.Token, u.Reason = "xoxp-new", "" })
		if got.Token != "xoxp-new" || got.RefreshToken != "" || got.Reason != "" {
			t.Errorf("after a new token: %+v", got)
		}
		unreadableUser(t, "with the key of before", findUser(t, f, u.TokenOwner))
		got = updateUser(t, stranger, u.TokenOwner, func(u *connection.UserToken) { u.RefreshToken = "xoxe-new" })
		if got.Token != "xoxp-new" || got.RefreshToken != "xoxe-new" {
			t.Error("the other secret was lost")
		}

		// A word that the token is dead drops it, readable or not.
		got = updateUser(t, f, u.TokenOwner, func(u *connection.UserToken) { u.Reason = connection.ReasonTokenRevoked })
		if got.Reason != connection.ReasonTokenRevoked {
			t.Errorf("dead because of %q", got.Reason)
		}
		if n := f.CountOf(t, "SELECT length(token) + length(refresh_token) FROM user_tokens"); n != 0 {
			t.Errorf("%d sealed bytes are left of a dead token", n)
		}
	})
}
