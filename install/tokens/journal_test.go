package tokens_test

// What the store doesn't have, or has lost, and what can't be read or removed: none of it costs a token, and none of it
// holds up others.

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// An entry of the journal that no key at hand opens may hold the successor of what is in the row. It is waited for, but
// not for ever, and by nobody else.
func TestEntryThatCannotBeOpened(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
	own := r.Keys
	r.Keys = seal.NewKey()
	if _, err := r.replica(nil).db.Journal(connection.Grant{TokenOwner: connection.TokenOwner{Key: a.Key},
		Origin: connection.Renewal{Spent: "x"}, Token: "y", Refresh: "z", Life: stage.Life, At: r.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	r.Keys = own
	for _, c := range []connection.Connection{a, b} {
		r.Update(in.db, c.Key, func(c *connection.Connection) { c.RenewAt = r.Clock.Now() })
	}
	r.Clock.Advance(50 * time.Minute)
	if left, err := in.Reconciler.Replay(r.Ctx); left != 1 || err == nil {
		t.Errorf("replay: %d left, %v", left, err)
	}
	r.renewDue(in)
	r.Spent(1)
	r.Works(r.Row(in.db, b.Key))
	if _, err := in.Open(r.Ctx, a.Key); err != nil {
		t.Errorf("its token of now: %v", err)
	}
	r.Clock.Advance(20 * time.Minute) // the entry's age is by the machine's clock
	r.renewDue(in)
	r.Spent(2)
	r.Works(r.Row(in.db, a.Key))
	if left, _ := in.Reconciler.Replay(r.Ctx); left != 1 {
		t.Error("the entry is gone, and the key might have come back")
	}
}

// An entry of the journal is stored and cannot be removed. It is done with: it holds up neither other entries nor later
// renewals of its own owner, and is removed when that works.
func TestEntryThatCannotBeRemoved(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
	r.Breaches = true // these pairs are ours, not Slack's
	journal := func(c connection.Connection) {
		t.Helper()
		if _, err := in.db.Journal(connection.Grant{TokenOwner: connection.TokenOwner{Key: c.Key},
			Origin: connection.Renewal{Spent: c.RefreshToken}, Token: "xoxe.xoxb-1-new", Refresh: c.RefreshToken + "-new",
			Life: stage.Life, At: r.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	journal(a)
	journal(b)
	disk, err := sql.Open("sqlite", filepath.Join(r.Folder, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = disk.Close() }()
	do := func(statement string) {
		t.Helper()
		if _, err := disk.ExecContext(r.Ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TRIGGER stuck BEFORE INSERT ON entries WHEN NEW.standing = 1 AND NEW.team_id = '" + a.TeamID +
		"' BEGIN SELECT RAISE(ABORT, 'disk full'); END")
	replay := func(want int) {
		t.Helper()
		if left, err := in.Reconciler.Replay(r.Ctx); left != want || err != nil {
			t.Errorf("replay: %d left, %v", left, err)
		}
	}
	replay(0)
	replay(1)
	for _, c := range []connection.Connection{a, b} {
		if now := r.Row(in.db, c.Key); now.RefreshToken != c.RefreshToken+"-new" {
			t.Errorf("the pair of %s is not stored", c.TeamID)
		}
	}
	r.Update(in.db, a.Key, func(c *connection.Connection) { c.RefreshToken = a.RefreshToken })
	r.Due()
	r.Clock.Advance(stage.Life) // somebody waits for it
	ctx, cancel := context.WithTimeout(r.Ctx, 5*time.Second)
	defer cancel()
	if c, err := in.Open(ctx, a.Key); err != nil {
		t.Errorf("its holder is not renewed any more: %v", err)
	} else {
		r.Works(c)
	}
	do("DROP TRIGGER stuck")
	replay(2) // and the newer one
	r.EmptyJournal()
	for _, p := range r.Kept() {
		if p.TeamID == a.TeamID && p.Token != r.Row(in.db, a.Key).Token {
			t.Error("what is kept is not what is stored")
		}
	}
}

// The disk takes nothing and the database is away: what Slack handed out waits in memory, and is stored when the
// database is back.
func TestPairThatOnlyMemoryHas(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	var lock *sql.Conn
	in := r.replica(func(cfg *config) {
		cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
			if !stage.IsRefresh(resp.Request) {
				return
			}
			if err := os.RemoveAll(r.Folder); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(r.Folder, nil, 0o600); err != nil { // so that it can't be made anew
				t.Error(err)
			}
			var err error
			if lock, err = r.Raw().Conn(r.Ctx); err == nil {
				_, err = lock.ExecContext(r.Ctx, "BEGIN EXCLUSIVE")
			}
			if err != nil {
				t.Error(err)
			}
		})
	})
	c := r.connect(in, slacksim.AcmeAdmin)
	r.Due()
	short, cancel := context.WithTimeout(r.Ctx, 100*time.Millisecond)
	_ = in.Renew(short, c.Key)
	cancel()
	in.Wait()
	if err := in.db.JournalReady(r.Ctx); err == nil {
		t.Error("the journal can be written")
	}
	if _, err := lock.ExecContext(r.Ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.Folder); err != nil {
		t.Fatal(err)
	}
	if left, err := in.Reconciler.Replay(r.Ctx); left > 0 || err != nil {
		t.Errorf("replay: %d left, %v", left, err)
	}
	r.Works(r.Is(in.db, c.Key, connection.Active, ""))
	r.Spent(1)
	if kept := r.Kept(); len(kept) != 1 || kept[0].Token != r.Row(in.db, c.Key).Token {
		t.Errorf("%d pairs in the journal that was made anew", len(kept))
	}
}

// A journal that takes nothing is one error in the log, however many tokens it doesn't take, and none of them is in it.
// That it takes them again is told by the next look, not by the next token.
func TestJournalThatTakesNothingIsSaidOnce(t *testing.T) {
	r := sqliteRig(t)
	var out bytes.Buffer
	in := r.replica(func(cfg *config) { cfg.Log = slog.New(slog.NewTextHandler(&out, nil)) })
	a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
	disk, err := sql.Open("sqlite", filepath.Join(r.Folder, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = disk.Close() }()
	do := func(statement string) {
		t.Helper()
		if _, err := disk.ExecContext(r.Ctx, statement); err != nil {
			t.Fatal(err)
		}
	}

	do("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'disk full'); END")
	for _, c := range []connection.Connection{a, b, a} {
		in.Journal.Keep(r.Ctx, &connection.Grant{TokenOwner: connection.TokenOwner{Key: c.Key},
			Origin: connection.Renewal{Spent: c.RefreshToken}, Token: c.Token, Refresh: c.RefreshToken, At: r.Clock.Now()})
	}
	if n := strings.Count(out.String(), "the journal can't be written"); n != 1 ||
		!strings.Contains(out.String(), "level=ERROR") || !strings.Contains(out.String(), "disk full") {
		t.Errorf("%d lines:\n%s", n, &out)
	}
	for _, secret := range []connection.Secret{a.Token, a.RefreshToken, b.Token, b.RefreshToken} {
		if strings.Contains(out.String(), secret.Reveal()) {
			t.Error("a token is in the log")
		}
	}

	do("DROP TRIGGER full")
	for range 2 {
		if err := in.Journal.Ready(r.Ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), `level=INFO msg="the journal can be written again" times=3`); n != 1 {
		t.Errorf("its end is told %d times:\n%s", n, &out)
	}
}

// Whoever is about to renew first offers what the store has lost, whether or not anything was compared since.
func TestRenewalOffersFirst(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		if err := in.Reconciler.CompareAll(r.Ctx); err != nil {
			t.Fatal(err)
		}
		r.Due()
		back := r.Snapshot()
		r.renewDue(in)
		newest := r.Row(in.db, c.Key)
		back()
		r.renewDue(in)
		if now := r.Row(in.db, c.Key); now.Token != newest.Token || now.Generation != newest.Generation {
			t.Errorf("generation %d is in the row, not %d", now.Generation, newest.Generation)
		}
		r.Works(r.Row(in.db, c.Key))
		r.Spent(1) // nothing that was spent is tried
	})
}
