package install_test

// Each test here is an order of events that once ended badly: two callers in one moment, clocks that differ, a process
// that dies between two steps, an answer about a token that is no longer the one in force, work that stands in the way
// of other work. Single steps were right in all of them.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func (r *rig) spoil(in replica, k connection.Key) {
	r.T.Helper()
	r.Update(in.db, k, func(c *connection.Connection) { c.RefreshToken += "-gone" })
}

// renewDue and tellAll do what Run does now and then, and must not fail.
func (r *rig) renewDue(in replica) {
	r.T.Helper()
	if _, err := in.RenewDue(r.Ctx); err != nil {
		r.T.Error(err)
	}
}

func (r *rig) tellAll(in replica) {
	r.T.Helper()
	if err := in.TellAll(r.Ctx); err != nil {
		r.T.Error(err)
	}
}

// runUntil lets in work in the background until ok.
func (r *rig) runUntil(in replica, ok func() bool) {
	r.T.Helper()
	ctx, stop := context.WithCancel(r.Ctx)
	done := make(chan struct{})
	go func() { _ = in.Run(ctx); close(done) }()
	for !ok() && r.Ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	<-done
	if r.Ctx.Err() != nil {
		r.T.Fatal("what was waited for did not come")
	}
}

// consent lets a person say yes at Slack and returns what their browser comes back with.
func (r *rig) consent(in replica, path, userID string) *http.Request {
	r.T.Helper()
	start := httptest.NewRecorder()
	in.Handler().ServeHTTP(start, httptest.NewRequest(http.MethodGet, stage.Redirect+path, nil))
	back, err := r.Slack.Authorize(r.Ctx, start.Header().Get("Location"), userID, slacksim.Choice{})
	if err != nil {
		r.T.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, back, nil)
	req.AddCookie(start.Result().Cookies()[0])
	return req
}

// link is the way to connect c's workspace again, without the host.
func link(in replica, c connection.Connection) string {
	return strings.TrimPrefix(in.Links().GrantURL(c), stage.Redirect)
}

// killed is a process that dies while somebody consents: Slack has handed out the tokens, the journal has them, and
// nobody else. Then the callback's time is over.
func (r *rig) killed(userID string, change func(*install.Config)) {
	r.T.Helper()
	in := r.replica(func(cfg *install.Config) {
		cfg.HTTP = stage.Between("auth.test", func(resp *http.Response) {
			_ = resp.Body.Close()
			runtime.Goexit()
		})
		if change != nil {
			change(cfg)
		}
	})
	req := r.consent(in, "/slack/install", userID)
	// Clocks half a minute apart have budgets wait for each other. In a program all go by the database's, and here that is
	// not the point.
	if _, err := r.Raw().Exec("DELETE FROM budgets"); err != nil {
		r.T.Fatal(err)
	}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		in.Handler().ServeHTTP(httptest.NewRecorder(), req)
	}()
	<-dead
	if len(r.Waiting()) == 0 {
		r.T.Fatal("the journal of the dead process is empty")
	}
	r.Clock.Advance(time.Minute)
}

// elsewhere is a replica on another machine, with a journal of its own.
func (r *rig) elsewhere(change func(*install.Config)) replica {
	r.T.Helper()
	was := r.Folder
	defer func() { r.Folder = was }()
	r.Folder = r.T.TempDir() + "/journal"
	return r.replica(change)
}

// settle does what Run does every second, until the journal is empty.
func (r *rig) settle(in replica) {
	r.T.Helper()
	var left int
	var err error
	for range 4 {
		if left, err = in.Replay(r.Ctx); left == 0 {
			break
		}
		r.renewDue(in)
	}
	if left > 0 || err != nil {
		r.T.Errorf("replay: %d left, %v", left, err)
	}
	r.EmptyJournal()
}

// However many use or check a connection while its renewal fails, in one moment that is one failure.
func TestBackoffHoldsForAll(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		replicas := []replica{r.replica(nil), r.replica(nil)}
		in := replicas[0]
		atOnce := func(k connection.Key) {
			t.Helper()
			ctx, cancel := context.WithTimeout(r.Ctx, stage.Patience)
			defer cancel()
			var all sync.WaitGroup
			for i := range 10 {
				all.Go(func() {
					in := replicas[i%2]
					in.Check(ctx, k)
					if _, err := in.Open(ctx, k); !errors.Is(err, connection.ErrRenewing) || ctx.Err() != nil {
						t.Errorf("open: %v", err)
					}
					in.Check(ctx, k)
				})
			}
			all.Wait()
			r.renewDue(in) // a check must not have made it due
		}
		a := r.connect(in, slacksim.AcmeAdmin)
		r.spoil(in, a.Key)
		r.Clock.Advance(stage.Life + time.Second)
		atOnce(a.Key)
		if now := r.Is(in.db, a.Key, connection.Retrying, connection.ReasonRenewalFailing); now.Rejections != 1 {
			t.Errorf("%d rejections in one moment", now.Rejections)
		}
		r.Spent(1)
		r.Clock.Advance(40 * time.Second)
		_, _ = in.Open(r.Ctx, a.Key)
		r.Is(in.db, a.Key, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		r.Spent(2)

		b := r.connect(in, slacksim.BirchAdmin)
		r.Clock.Advance(stage.Life + time.Second)
		r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500})
		atOnce(b.Key)
		if now := r.Row(in.db, b.Key); now.Tries != 1 {
			t.Errorf("%d tries in one moment", now.Tries)
		}
		r.Spent(3)
	})
}

// While the last access token works, and after it, nothing that Slack says of it hides that there will be no other.
func TestDeadChainStaysDead(t *testing.T) {
	r := sqliteRig(t)
	var x stage.Told
	in := r.replica(telling(&x))
	c := r.connect(in, slacksim.AcmeAdmin)
	r.broken(in, c)
	r.tellAll(in)
	was := r.Row(in.db, c.Key)
	still := func(after string) {
		t.Helper()
		r.Clock.Advance(2 * time.Minute)
		r.renewDue(in)
		r.tellAll(in)
		now := r.Is(in.db, c.Key, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		if !now.StateSince.Equal(was.StateSince) || now.Notice != was.Notice || x.Resolved > 0 ||
			!slices.Equal(x.To, []string{slacksim.AcmeAdmin}) {
			t.Errorf("after %s: since %v, told %v, resolved %d times, notice %+v", after, now.StateSince, x.To, x.Resolved,
				now.Notice)
		}
	}
	for _, answer := range []string{"", "invalid_auth", "invalid_auth", "", "token_revoked", "", "ekm_access_denied",
		"token_expired", ""} {
		clear := func() {}
		if answer != "" {
			clear = r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: answer})
		}
		if h := in.Check(r.Ctx, c.Key); h.State != connection.ReconnectRequired {
			t.Errorf("%q is shown as %s", answer, h.State)
		}
		clear()
		still(answer)
	}
	// As an older release left it; and an ordinary call is good.
	r.Update(in.db, c.Key, func(c *connection.Connection) {
		c.SetState(connection.Retrying, "invalid_auth", r.Clock.Now())
	})
	if _, _, err := in.Client(r.Row(in.db, c.Key)).PostMessageContext(r.Ctx, slacksim.AcmeAdmin,
		slack.MsgOptionText("hello", false)); err != nil {
		t.Fatal(err)
	}
	in.Settle()
	if now := r.Row(in.db, c.Key); now.State == connection.Active {
		t.Error("a good call brings it back to life")
	}
	in.Check(r.Ctx, c.Key)
	was.StateSince = r.Row(in.db, c.Key).StateSince
	still("a good call")
	r.Clock.Advance(stage.Life)
	for range 4 {
		r.Clock.Advance(7 * time.Hour)
		if err := in.CheckDue(r.Ctx); err != nil {
			t.Error(err)
		}
		still("its end")
	}
	r.Spent(2)
}

// Slack has several words for a refresh token that buys nothing any more, and as many for what the operator can mend.
func TestWordsOfRejection(t *testing.T) {
	r := sqliteRig(t)
	var x stage.Told
	in := r.replica(telling(&x))
	for i, code := range []string{"invalid_refresh_token", "invalid_grant", "invalid_token", "token_revoked",
		"token_expired", "account_inactive", "authorization_not_found"} {
		c := r.connect(in, slacksim.AcmeAdmin)
		r.tellAll(in)
		r.Due()
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Error: code})
		for range 3 {
			r.renewDue(in)
			r.Clock.Advance(time.Minute)
		}
		clear()
		r.tellAll(in)
		r.Is(in.db, c.Key, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		r.Spent(2 * (i + 1))
		if len(x.To) != i+1 {
			t.Errorf("after %s %d people were told, not %d", code, len(x.To), i+1)
		}
	}
	c := r.connect(in, slacksim.AcmeAdmin)
	r.tellAll(in)
	r.Due()
	was := len(x.To)
	for _, code := range []string{"bad_client_secret", "invalid_client_id"} {
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Error: code})
		for range 10 {
			r.renewDue(in)
			r.tellAll(in)
			r.Clock.Advance(20 * time.Minute)
		}
		clear()
		if now := r.Is(in.db, c.Key, connection.Retrying,
			connection.ReasonRenewalFailing); now.RefreshToken != c.RefreshToken || len(x.To) != was {
			t.Errorf("after %s: told %v", code, x.To[was:])
		}
	}
	if _, err := in.Open(r.Ctx, c.Key); err != nil {
		t.Fatal(err)
	}
	r.Works(r.Is(in.db, c.Key, connection.Active, ""))
}

// The budget's row is locked for longer than a lease. Whoever waited for it does not spend what another process has by
// then.
func TestLockedBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.Postgres(t))
	a, b := r.replica(nil), r.replica(nil)
	c := r.connect(a, slacksim.AcmeAdmin)
	r.Slack.SetApp(func(x *slacksim.App) { x.StrictRefresh, x.RefreshGrace = false, time.Minute })
	if _, err := a.db.Take(r.Ctx, slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second, Burst: 80}, 1,
		r.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	pg := r.Raw()
	lock := func() (waiting func(n int), unlock func()) {
		tx, err := pg.Begin()
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		if err := tx.QueryRow("SELECT pg_backend_pid() FROM budgets FOR UPDATE").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return func(n int) {
			t.Helper()
			for found := -1; found != n; time.Sleep(5 * time.Millisecond) {
				if err := pg.QueryRowContext(r.Ctx, `WITH RECURSIVE w(pid) AS (SELECT $1::int UNION
					SELECT a.pid FROM pg_stat_activity a JOIN w ON w.pid = ANY(pg_blocking_pids(a.pid))) SELECT count(*) - 1 FROM w`, pid).Scan(&found); err != nil {
					t.Fatalf("%d wait: %v", found, err)
				}
			}
		}, func() { _ = tx.Rollback() }
	}

	r.Due()
	waiting, unlock := lock()
	var both sync.WaitGroup
	both.Go(func() { _ = a.Renew(r.Ctx, c.Key) })
	waiting(1)
	if err := b.Renew(r.Ctx, c.Key); err == nil {
		t.Error("renewed though another process holds the lease")
	}
	r.Clock.Advance(31 * time.Second)
	both.Go(func() { _ = b.Renew(r.Ctx, c.Key) })
	waiting(2)
	unlock()
	both.Wait()
	r.Spent(1)
	r.Works(r.Row(a.db, c.Key))

	// A stop does not wait for the lock either.
	r.Due()
	waiting, unlock = lock()
	defer unlock()
	ctx, stop := context.WithCancel(r.Ctx)
	began := time.Now()
	done := make(chan struct{})
	go func() { _, _ = a.RenewDue(ctx); close(done) }()
	waiting(1)
	stop()
	<-done
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the round of renewals ended %v after the stop", took)
	}
	_ = a.Run(ctx)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("Run ended %v after the stop, which may take 20 s in all", took)
	}
	r.Spent(1)
}

// Rows that cannot be read, and those of another app, fill every list of work; what can be done is done all the same.
func TestRowsInTheWay(t *testing.T) {
	r := sqliteRig(t)
	var x stage.Told
	plain := r.replica(nil)
	c := r.connect(plain, slacksim.AcmeAdmin)
	r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
	longLived := r.connect(plain, slacksim.BirchAdmin)
	r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })

	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	unreadable, err := storage.Open(r.Ctx, r.Database, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unreadable.Close() })
	old := r.Clock.Now().Add(-time.Hour)
	put := func(db *storage.DB, app, kind string, i int, state connection.State, chain connection.TokenPair) {
		t.Helper()
		if _, _, err := db.Put(r.Ctx, connection.Connection{Key: connection.Key{AppID: app,
			TeamID: fmt.Sprintf("T%s%03d", kind, i)}, TokenPair: chain,
			State: state, StateSince: old, InstalledAt: old, AuthorizedAt: old}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		refresh := connection.Secret(fmt.Sprint("xoxe-1-", i))
		put(plain.db, "A0OTHERAPP", "BROKEN", i, connection.ReconnectRequired,
			connection.Started("xoxe.xoxb-1-x", refresh, stage.Life, old))
		if i < 64 {
			put(unreadable, "A0RENEWAL1", "LOST", i, connection.Active,
				connection.Started("xoxe.xoxb-1-x", refresh, stage.Life, old))
			put(plain.db, "A0OTHERAPP", "LONG", i, connection.Active, connection.Started("xoxb-1", "", 0, old))
		}
	}
	if _, err := r.Raw().Exec("UPDATE connections SET id = 'con_0' || id WHERE app_id = 'A0OTHERAPP'"); err != nil {
		// first in any order
		t.Fatal(err)
	}
	in := r.replica(func(cfg *install.Config) {
		cfg.Messages = &x
		cfg.AppID, cfg.MoveToRotation = "A0RENEWAL1", true
	})
	r.Due()
	r.renewDue(in)
	r.renewDue(in)
	for _, was := range []connection.Connection{c, longLived} {
		now := r.Row(in.db, was.Key)
		if r.Works(now); now.RefreshToken == was.RefreshToken {
			t.Errorf("the work for %s was not done", was.TeamID)
		}
	}
	for range 64/20 + 2 {
		if err := in.CheckDue(r.Ctx); err != nil {
			t.Fatal(err)
		}
	}
	if now := r.Row(in.db, c.Key); !now.CheckedAt.Equal(r.Clock.Now()) {
		t.Errorf("not checked since %v", now.CheckedAt)
	}
	r.Update(in.db, c.Key, func(c *connection.Connection) {
		c.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, r.Clock.Now())
	})
	r.tellAll(in)
	if len(x.To) != 1 {
		t.Errorf("told %v", x.To)
	}
	if now, err := plain.db.Lookup(r.Ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: "TLOST007"}); err != nil ||
		now.Reason != connection.ReasonUnreadable {
		t.Errorf("what cannot be read is %s (%s) (%v)", now.State, now.Reason, err)
	}
}

// A program leaves alone what belongs to another app, and in single-workspace mode what is left of OAuth: it has no
// credentials for it.
func TestRowsOfOthers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*install.Config){
		"another app": func(cfg *install.Config) { cfg.AppID = "A0OTHERAPP" },
		"single workspace": func(cfg *install.Config) {
			cfg.ClientID, cfg.ClientSecret, cfg.BotToken = "", "", "xoxb-whatever"
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := sqliteRig(t)
			var x stage.Told
			in := r.replica(nil)
			dead := r.connect(in, slacksim.AcmeAdmin)
			r.broken(in, dead)
			due := r.connect(in, slacksim.BirchAdmin)
			r.Due()
			before := []connection.Connection{r.Row(in.db, dead.Key), r.Row(in.db, due.Key)}
			calls := len(r.Slack.Calls())
			other := r.replica(func(cfg *install.Config) {
				cfg.Messages = &x
				change(cfg)
				cfg.MoveToRotation = true
			})
			for range 2 {
				_ = other.Renew(r.Ctx, due.Key)
				_ = other.Exchange(r.Ctx, due.Key)
				r.renewDue(other)
				r.tellAll(other)
				if err := other.CheckDue(r.Ctx); err != nil {
					t.Error(err)
				}
				r.Clock.Advance(10 * time.Minute)
			}
			if n := len(r.Slack.Calls()) - calls; n > 0 || len(x.To) > 0 {
				t.Errorf("%d calls to Slack, told %v", n, x.To)
			}
			if after := []connection.Connection{r.Row(in.db, dead.Key), r.Row(in.db, due.Key)}; !reflect.DeepEqual(before,
				after) {
				t.Errorf("changed: %+v", after)
			}
		})
	}
}

// At Slack a consent ends the refresh token before it, so a callback that ends badly must not cost a connection that
// worked.
func TestConsentThatEndsBadly(t *testing.T) {
	t.Parallel()
	t.Run("Slack has trouble", func(t *testing.T) {
		r := sqliteRig(t)
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Clock.Advance(time.Hour)
		callback := r.consent(in, link(in, c), slacksim.AcmeAdmin)
		r.Slack.Inject(slacksim.Fault{Method: "auth.test", Status: 500, Body: "x", Times: 1})
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, callback)
		if w.Code != http.StatusOK {
			t.Errorf("callback: %d", w.Code)
		}
		r.EmptyJournal()
		now := r.Is(in.db, c.Key, connection.Active, "")
		r.Works(now)
		if now.BotID != c.BotID || now.TeamURL != c.TeamURL || now.Installs != 2 ||
			now.CheckAt.Sub(r.Clock.Now()) > 10*time.Minute {
			t.Errorf("%+v", now)
		}
		r.Due()
		r.renewDue(in)
		r.Works(r.Is(in.db, c.Key, connection.Active, ""))
		r.Spent(1)

		// A first install has nothing to lose, and is not taken for good unseen.
		callback = r.consent(in, "/slack/install", slacksim.BirchAdmin)
		r.Slack.Inject(slacksim.Fault{Method: "auth.test", Status: 500, Body: "x", Times: 1})
		w = httptest.NewRecorder()
		in.Handler().ServeHTTP(w, callback)
		if _, err := in.db.Lookup(r.Ctx, connection.Key{AppID: "A0RENEWAL1",
			TeamID: slacksim.Birch}); w.Code == http.StatusOK || !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("callback: %d, then %v", w.Code, err)
		}
		r.EmptyJournal()
	})
	t.Run("another workspace was chosen", func(t *testing.T) {
		r := sqliteRig(t)
		in := r.replica(forPeople)
		a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		mistake := func() {
			t.Helper()
			r.Clock.Advance(time.Hour)
			w := httptest.NewRecorder()
			in.Handler().ServeHTTP(w, r.consent(in, link(in, a), slacksim.BirchAdmin))
			if body, _ := io.ReadAll(w.Body); w.Code == http.StatusOK || !strings.Contains(string(body), "Birch") {
				t.Errorf("callback: %d %s", w.Code, body)
			}
			r.EmptyJournal()
		}
		mistake()
		r.Due()
		if err := in.Renew(r.Ctx, b.Key); err != nil {
			t.Error(err)
		}
		r.renewDue(in)
		r.Spent(4)
		r.Works(r.Is(in.db, a.Key, connection.Active, ""))
		r.Works(r.Is(in.db, b.Key, connection.Active, ""))
		// Where the app is not connected, a choice by mistake connects nothing.
		r.Update(in.db, b.Key, func(c *connection.Connection) { c.Erase(connection.Removed, "test", r.Clock.Now()) })
		mistake()
		if people, err := in.db.Users(r.Ctx, b.Key); r.Row(in.db, b.Key).Token != "" || len(people) > 0 || err != nil {
			t.Errorf("what was chosen by mistake is connected (%v)", err)
		}
	})
}

// A consent waits in the journal of a process that died. Whatever ends the connection meanwhile, here or on another
// machine, ends that consent too.
func TestReplayResurrectsNothing(t *testing.T) {
	t.Parallel()
	by := connection.Actor{Kind: connection.ByOperator}
	uninstall := func(r *rig) {
		r.T.Helper()
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			r.T.Fatal(err)
		}
	}
	for name, end := range map[string]func(r *rig, in replica, k connection.Key) error{
		"removed in Slack": func(r *rig, in replica, k connection.Key) error {
			uninstall(r)
			return in.Lifecycle().HandleRemoval(r.Ctx, k,
				connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()})
		},
		"found removed": func(r *rig, in replica, k connection.Key) error {
			uninstall(r)
			in.Check(r.Ctx, k)
			return nil
		},
		"disconnected": func(r *rig, in replica, k connection.Key) error {
			_, err := in.Leaving().Disconnect(r.Ctx, k, by)
			return err
		},
		"erased": func(r *rig, in replica, k connection.Key) error { return in.Leaving().EraseAnyway(r.Ctx, k, by) },
	} {
		for _, here := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, here=%v", name, here), func(t *testing.T) {
				r := sqliteRig(t)
				c := r.connect(r.replica(nil), slacksim.AcmeAdmin)
				r.Clock.Advance(time.Hour)
				r.killed(slacksim.AcmeAdmin, nil)
				in := r.replica(nil)
				ending := in
				if !here {
					ending = r.elsewhere(nil)
				}
				if err := end(r, ending, c.Key); err != nil {
					t.Fatal(err)
				}
				if here { // what is erased is erased from the disk, too
					r.EmptyJournal()
				}
				was := r.Row(in.db, c.Key)
				r.Clock.Advance(time.Minute)
				if left, err := in.Replay(r.Ctx); left > 0 || err != nil {
					t.Errorf("replay: %d left, %v", left, err)
				}
				r.EmptyJournal()
				if now := r.Row(in.db, c.Key); now.State != connection.Removed || now.Token != "" || !reflect.DeepEqual(now, was) {
					t.Errorf("resurrected: %+v", now)
				}
			})
		}
	}
	t.Run("removed, and nobody knows", func(t *testing.T) {
		r := sqliteRig(t)
		c := r.connect(r.replica(nil), slacksim.AcmeAdmin)
		r.Clock.Advance(time.Hour)
		r.killed(slacksim.AcmeAdmin, nil)
		r.killed(slacksim.BirchAdmin, nil) // the first install there
		uninstall(r)
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Birch, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		in := r.replica(nil)
		clear := r.Slack.Inject(slacksim.Fault{Method: "auth.test", TeamID: slacksim.Acme, Status: 500, Body: "x"})
		if left, err := in.Replay(r.Ctx); left != 1 || err == nil { // the other one does not wait for it
			t.Errorf("while Slack says nothing of one: %d left, %v", left, err)
		}
		clear()
		if left, err := in.Replay(r.Ctx); left > 0 || err != nil {
			t.Errorf("replay: %d left, %v", left, err)
		}
		r.EmptyJournal()
		if now := r.Row(in.db, c.Key); now.Token != c.Token || now.Installs != 1 {
			t.Errorf("a dead consent was stored: %+v", now)
		}
		if _, err := in.db.Lookup(r.Ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Birch}); !errors.Is(err,
			connection.ErrNotFound) {
			t.Errorf("a dead first install was stored (%v)", err)
		}
	})
	t.Run("a person took it back", func(t *testing.T) {
		r := sqliteRig(t)
		c := r.connect(r.replica(forPeople), slacksim.AcmeAdmin)
		r.Clock.Advance(time.Hour)
		r.killed(slacksim.AcmeAdmin, forPeople)
		if err := r.Slack.Admins.RevokeUser(r.Ctx, slacksim.AcmeAdmin); err != nil {
			t.Fatal(err)
		}
		in := r.replica(forPeople)
		if err := in.Lifecycle().HandleUsersRevoked(r.Ctx, c.Key, []string{slacksim.AcmeAdmin}, r.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		r.EmptyJournal()
		if people, err := in.db.Users(r.Ctx, c.Key); len(people) > 0 || err != nil {
			t.Errorf("%d people's tokens (%v)", len(people), err)
		}
		r.Works(r.Row(in.db, c.Key)) // the bot's half of the same consent is good
	})
}

// A person takes their token back and grants it anew before the first was dealt with.
func TestGrantedAnewMeanwhile(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		other := r.replica(forPeople)
		c := r.connect(other, slacksim.AcmeAdmin)
		r.Clock.Advance(time.Minute)
		if err := r.Slack.Admins.RevokeUser(r.Ctx, slacksim.AcmeAdmin); err != nil {
			t.Fatal(err)
		}
		in := r.replica(func(cfg *install.Config) {
			cfg.HTTP = stage.Between("auth.test", func(*http.Response) {
				r.Clock.Advance(time.Second)
				r.connect(other, slacksim.AcmeAdmin)
			})
		})
		if err := in.Lifecycle().HandleUsersRevoked(r.Ctx, c.Key, []string{slacksim.AcmeAdmin}, r.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		u, err := in.OpenUser(r.Ctx, c.Key, slacksim.AcmeAdmin)
		if at, _ := r.Slack.Installed(c.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
			t.Errorf("the new grant: %v", err)
		}
	})
}

// Slack says that the app is gone, and while we ask, a renewal puts in another token than the one we asked about. That
// is no sign that the app is back.
func TestRemovalDuringRenewal(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		client, answered, goOn := stage.Held()
		renewing := r.replica(func(cfg *install.Config) { cfg.HTTP = client })
		c := r.connect(renewing, slacksim.AcmeAdmin)
		r.Due()
		var renewal sync.WaitGroup
		renewal.Go(func() { _ = renewing.Renew(r.Ctx, c.Key) })
		<-answered
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		in := r.replica(func(cfg *install.Config) {
			cfg.HTTP = stage.Between("auth.test", func(*http.Response) {
				close(goOn)
				renewal.Wait()
			})
		})
		said := connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()}
		if err := in.Lifecycle().HandleRemoval(r.Ctx, c.Key, said); err != nil {
			t.Fatal(err)
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Active || now.PendingRemoval.Reason != said.Reason {
			t.Fatalf("%s, in doubt: %+v", now.State, now.PendingRemoval)
		}
		// or that might find out first
		r.Update(in.db, c.Key, func(c *connection.Connection) { c.CheckAt = r.Clock.Now().Add(time.Hour) })
		r.runUntil(renewing, func() bool { return r.Row(renewing.db, c.Key).State == connection.Removed })
		if now := r.Is(in.db, c.Key, connection.Removed, connection.ReasonUninstalled); now.Token != "" ||
			now.PendingRemoval != (connection.Removal{}) {
			t.Errorf("%+v", now)
		}
	})
}

// A message that certainly did not leave is sent later, once; and not before the time that Slack asked for.
func TestToldLater(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault       slacksim.Fault
		gone        bool          // whoever installed it
		quiet, late time.Duration // nothing is sent before, all is sent by then
	}{
		"people unknown": {slacksim.Fault{Method: "users.info", Status: 503}, false, 50 * time.Second, 70 * time.Second},
		"admins unknown": {slacksim.Fault{Method: "users.list", Status: 503}, true, 50 * time.Second, 70 * time.Second},
		"Slack's trouble": {slacksim.Fault{Method: "chat.postMessage", Error: "internal_error"}, false, 50 * time.Second,
			70 * time.Second},
		"a short limit": {slacksim.Fault{Method: "chat.postMessage", RetryAfter: 11}, false, 50 * time.Second,
			70 * time.Second},
		"a limit": {slacksim.Fault{Method: "chat.postMessage", RetryAfter: 300}, false, 290 * time.Second,
			310 * time.Second},
		"a mad limit": {slacksim.Fault{Method: "chat.postMessage", RetryAfter: 30 * 86400}, false, 14 * time.Minute,
			16 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r := sqliteRig(t)
			var x stage.Told
			in := r.replica(telling(&x))
			c := r.connect(in, slacksim.AcmeMember)
			want := slacksim.AcmeMember
			if test.gone {
				want, x.Refuse = slacksim.AcmeAdmin, map[string]error{
					slacksim.AcmeMember: slack.SlackErrorResponse{Err: "user_disabled"}}
			}
			r.broken(in, c)
			test.fault.Body = "x"
			clear := r.Slack.Inject(test.fault)
			before := len(r.Slack.Calls(test.fault.Method))
			tell := func(d time.Duration) {
				for range d / (10 * time.Second) {
					r.tellAll(in)
					r.Clock.Advance(10 * time.Second)
				}
			}
			tell(test.quiet)
			if n := len(r.Slack.Calls(test.fault.Method)) - before; n != 1 || len(x.To) > 0 {
				t.Errorf("%d calls in %v, told %v", n, test.quiet, x.To)
			}
			clear()
			tell(test.late - test.quiet + 10*time.Second)
			if !slices.Equal(x.To, []string{want}) {
				t.Errorf("told %v", x.To)
			}
			tell(5 * time.Minute)
			lines, err := in.History(r.Ctx, c, 50)
			lines = slices.DeleteFunc(lines, func(l connection.Change) bool { return l.What != connection.DidTell })
			if now := r.Row(in.db, c.Key); err != nil || len(x.To) != 1 || now.Notice.To != want || now.Notice.TS == "" ||
				len(lines) != 1 || lines[0].Outcome != connection.OutcomeDone {
				t.Errorf("told %v; notice %+v; history %+v (%v)", x.To, now.Notice, lines, err)
			}
		})
	}
}

// The program is stopped between the claim of a message and the message: it is sent, and nobody sends another.
func TestToldAtTheStop(t *testing.T) {
	r := sqliteRig(t)
	var x stage.Told
	plain := r.replica(telling(&x))
	a, b := r.connect(plain, slacksim.AcmeMember), r.connect(plain, slacksim.BirchMember)
	r.broken(plain, a)
	r.Update(plain.db, b.Key, func(c *connection.Connection) {
		c.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, r.Clock.Now())
	})
	ctx, stop := context.WithCancel(r.Ctx)
	defer stop()
	in := r.replica(func(cfg *install.Config) {
		cfg.Messages = &x
		cfg.HTTP = stage.Between("users.info", func(*http.Response) { stop() })
	})
	_ = in.TellAll(ctx)
	if len(x.To) != 1 {
		t.Errorf("told %v at the stop, not the one it was at", x.To)
	}
	for range 3 {
		r.tellAll(plain)
	}
	slices.Sort(x.To)
	if !slices.Equal(x.To, []string{slacksim.AcmeMember, slacksim.BirchMember}) {
		t.Errorf("told %v", x.To)
	}
}

// The word that access was withdrawn comes when the token has run out and cannot be renewed: nobody can tell yet.
func TestRevokedWhileExpired(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			r := sqliteRig(t)
			in := r.replica(nil)
			c := r.connect(in, slacksim.AcmeAdmin)
			r.Clock.Advance(stage.Life + time.Minute)
			clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500, Body: "x"})
			if err := in.Lifecycle().HandleRemoval(r.Ctx, c.Key,
				connection.Removal{Reason: connection.ReasonTokenRevoked, At: r.Clock.Now()}); err != nil {
				t.Fatal(err)
			}
			if now := r.Row(in.db, c.Key); now.RefreshToken != c.RefreshToken ||
				now.PendingRemoval.Reason != connection.ReasonTokenRevoked {
				t.Fatalf("decided: %s (%s), in doubt: %+v", now.State, now.Reason, now.PendingRemoval)
			}
			clear()
			if gone { // Slack does not renew it; that is as much as there is to know
				r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Error: "token_revoked"})
				for range 2 {
					r.Clock.Advance(2 * time.Minute)
					r.renewDue(in)
				}
			}
			r.Clock.Advance(2 * time.Minute)
			r.runUntil(in, func() bool { return r.Row(in.db, c.Key).PendingRemoval == connection.Removal{} })
			if gone {
				if now := r.Is(in.db, c.Key, connection.ReconnectRequired, connection.ReasonTokenRevoked); now.RefreshToken != "" {
					t.Error("its access is kept")
				}
			} else {
				r.Works(r.Is(in.db, c.Key, connection.Active, ""))
			}
		})
	}
}

// A person's token is kept with the consent that brought it, and lives on whatever becomes of the bot's.
func TestPersonsTokenStandsAlone(t *testing.T) {
	r := sqliteRig(t)
	r.killed(slacksim.AcmeAdmin, forPeople)
	in := r.replica(forPeople)
	if left := in.Finish(); left > 0 { // as a command that ends does, and Run
		t.Errorf("%d left in the journal", left)
	}
	r.EmptyJournal()
	c := r.Is(in.db, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}, connection.Active, "")
	r.Works(c)
	if _, err := in.OpenUser(r.Ctx, c.Key, slacksim.AcmeAdmin); err != nil {
		t.Errorf("the person's half of the consent: %v", err)
	}

	r.broken(in, c)
	r.Clock.Advance(stage.Life / 2) // the bot's last token has ended, the person's was renewed meanwhile
	if _, err := in.Open(r.Ctx, c.Key); !errors.Is(err, connection.ErrNotConnected) {
		t.Errorf("the bot: %v", err)
	}
	u, err := in.OpenUser(r.Ctx, c.Key, slacksim.AcmeAdmin)
	if at, _ := r.Slack.Installed(c.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
		t.Errorf("the person: %v", err)
	}

	r.Update(in.db, c.Key, func(c *connection.Connection) {
		c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, r.Clock.Now())
	})
	if err := in.Exchange(r.Ctx, c.Key); !errors.Is(err, connection.ErrNotConnected) {
		t.Errorf("exchange of an erased token: %v", err)
	}
}

// A consent waits in the journal of one machine. The person did not wait and consented again on another: that one
// works, whatever the dates say, and whatever Slack says of it for a moment.
func TestConsentComesBackLate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ahead time.Duration // the clock of the first machine
		doubt string        // auth.test, for a moment
	}{
		"a clock ahead": {5 * time.Minute, ""},
		"in doubt":      {0, "org_login_required"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sqliteRig(t)
			other := r.elsewhere(nil)
			r.connect(other, slacksim.AcmeAdmin)
			r.Clock.Advance(time.Hour)
			ahead := func(cfg *install.Config) { cfg.Now = func() time.Time { return r.Clock.Now().Add(test.ahead) } }
			r.killed(slacksim.AcmeAdmin, ahead)
			r.Clock.Advance(time.Minute)
			c := r.connect(other, slacksim.AcmeAdmin)
			if test.doubt != "" {
				r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: test.doubt, Times: 1})
				other.Check(r.Ctx, c.Key)
				r.Is(other.db, c.Key, connection.Retrying, test.doubt)
			}
			r.Clock.Advance(10 * time.Minute)
			in := r.replica(ahead)
			r.settle(in)
			r.Works(r.Row(in.db, c.Key))
			r.Spent(1) // which told
			r.Due()
			r.renewDue(in)
			r.Spent(2)
			in.Check(r.Ctx, c.Key)
			r.Works(r.Is(in.db, c.Key, connection.Active, ""))
		})
	}
}

// While a consent from the journal is brought home, Slack is asked about it; what happens in that moment stays so.
func TestReplayMeetsChanges(t *testing.T) {
	t.Parallel()
	k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
	for name, test := range map[string]struct {
		first  bool // there was no connection before
		ask    int  // the how manieth auth.test it happens in
		happen func(r *rig, other replica)
		then   func(r *rig, in replica)
	}{
		"disconnected": {ask: 1,
			happen: func(r *rig, other replica) {
				if _, err := other.Leaving().Disconnect(r.Ctx, k, connection.Actor{Kind: connection.ByOperator}); err != nil {
					r.T.Error(err)
				}
			},
			then: func(r *rig, in replica) { r.Is(in.db, k, connection.Removed, connection.ReasonDisconnected) }},
		"erased": {ask: 1,
			happen: func(r *rig, other replica) {
				if err := other.Leaving().EraseAnyway(r.Ctx, k, connection.Actor{Kind: connection.ByOperator}); err != nil {
					r.T.Error(err)
				}
			},
			then: func(r *rig, in replica) { r.Is(in.db, k, connection.Removed, connection.ReasonDisconnected) }},
		"a newer consent": {ask: 1,
			happen: func(r *rig, other replica) { r.connect(other, slacksim.AcmeAdmin) },
			then:   func(r *rig, in replica) { r.Works(r.Is(in.db, k, connection.Active, "")) }},
		"the first consent": {first: true, ask: 1,
			happen: func(r *rig, other replica) { r.connect(other, slacksim.AcmeAdmin) },
			then:   func(r *rig, in replica) { r.Works(r.Is(in.db, k, connection.Active, "")) }},
		"a newer grant": {ask: 2,
			happen: func(r *rig, other replica) { r.connect(other, slacksim.AcmeAdmin) },
			then: func(r *rig, in replica) {
				u, err := in.db.GetUser(r.Ctx, connection.TokenOwner{Key: k, UserID: slacksim.AcmeAdmin})
				if at, _ := r.Slack.Installed(k.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
					r.T.Errorf("an older grant was written over a newer one (%v)", err)
				}
			}},
		"taken back":                       {ask: 2, happen: (*rig).takeBack, then: (*rig).nobodyLeft},
		"taken back, with no row to erase": {first: true, ask: 2, happen: (*rig).takeBack, then: (*rig).nobodyLeft},
	} {
		t.Run(name, func(t *testing.T) {
			r := sqliteRig(t)
			other := r.elsewhere(forPeople)
			if !test.first {
				r.connect(other, slacksim.AcmeAdmin)
			}
			r.Clock.Advance(time.Hour)
			r.killed(slacksim.AcmeAdmin, forPeople)
			r.Clock.Advance(time.Minute)
			asked := 0
			in := r.replica(func(cfg *install.Config) {
				forPeople(cfg)
				cfg.HTTP = stage.Between("auth.test", func(*http.Response) {
					if asked++; asked == test.ask {
						test.happen(r, other)
					}
				})
			})
			r.settle(in)
			if asked < test.ask {
				t.Fatal("it did not happen")
			}
			test.then(r, in)
		})
	}
}

// takeBack is a person who takes their token back, and Slack's word of it.
func (r *rig) takeBack(other replica) {
	r.T.Helper()
	if err := r.Slack.Admins.RevokeUser(r.Ctx, slacksim.AcmeAdmin); err != nil {
		r.T.Error(err)
	}
	k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
	if err := other.Lifecycle().HandleUsersRevoked(r.Ctx, k, []string{slacksim.AcmeAdmin}, r.Clock.Now()); err != nil {
		r.T.Error(err)
	}
}

func (r *rig) nobodyLeft(in replica) {
	r.T.Helper()
	if us, err := in.db.Users(r.Ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}); err != nil ||
		len(us) != 0 {
		r.T.Errorf("%d people's tokens are back (%v)", len(us), err)
	}
}

// Two consents within minutes, one of them from the journal: whichever Slack gave last ended the other, whatever the
// clocks of two machines say. Where they can't tell, a renewal does.
func TestWhichConsentIsLater(t *testing.T) {
	t.Parallel()
	k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
	for name, test := range map[string]struct {
		clock    time.Duration // of the machine with the journal
		replayed bool          // its consent is the later one at Slack
		retrying bool
	}{
		"later":                              {replayed: true},
		"later, by a clock behind":           {replayed: true, clock: -8 * time.Minute},
		"later, seconds behind":              {replayed: true, clock: -5*time.Minute - 30*time.Second},
		"earlier":                            {},
		"earlier, by a clock ahead":          {clock: 5 * time.Minute},
		"earlier, ahead, and it is retrying": {clock: 5 * time.Minute, retrying: true},
		"later, and it is retrying":          {replayed: true, retrying: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := sqliteRig(t)
			r.Breaches = test.replayed // the token that the later consent ended is tried
			other := r.elsewhere(forPeople)
			odd := func(cfg *install.Config) {
				forPeople(cfg)
				cfg.Now = func() time.Time { return r.Clock.Now().Add(test.clock) }
			}
			r.connect(other, slacksim.AcmeAdmin)
			r.Clock.Advance(time.Hour)
			if test.replayed {
				r.connect(other, slacksim.AcmeAdmin)
				r.Clock.Advance(5 * time.Minute)
			}
			r.killed(slacksim.AcmeAdmin, odd)
			if !test.replayed {
				r.Clock.Advance(time.Minute)
				r.connect(other, slacksim.AcmeAdmin)
			}
			if test.retrying {
				end := r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: "org_login_required"})
				other.Check(r.Ctx, k)
				r.Is(other.db, k, connection.Retrying, "org_login_required")
				end()
			}
			r.Clock.Advance(10 * time.Minute)
			in := r.replica(odd)
			r.settle(in)
			r.Works(r.Row(in.db, k))
			u, err := in.OpenUser(r.Ctx, k, slacksim.AcmeAdmin)
			if at, _ := r.Slack.Installed(k.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
				t.Errorf("the person's token is not the one that Slack handed out last (%v)", err)
			}
			// And it lasts.
			for range 3 {
				r.Due()
				r.renewDue(in)
				in.Check(r.Ctx, k)
			}
			r.Works(r.Is(in.db, k, connection.Active, ""))
		})
	}
}

// Nobody asks Slack about another app's removals, or with a token from another mode.
func TestRemovalsOfOthers(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	r.Update(in.db, c.Key, func(c *connection.Connection) {
		c.PendingRemoval = connection.Removal{Reason: connection.ReasonUninstalled, At: r.Clock.Now()}
	})
	if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
		t.Fatal(err)
	}
	calls := len(r.Slack.Calls())
	for _, other := range []replica{
		r.replica(func(cfg *install.Config) { cfg.AppID = "A0OTHERAPP" }),
		r.replica(func(cfg *install.Config) { cfg.ClientID, cfg.ClientSecret, cfg.BotToken = "", "", "xoxb-whatever" }),
	} {
		if err := other.RecheckRemovals(r.Ctx); err != nil {
			t.Error(err)
		}
	}
	if n := len(r.Slack.Calls()) - calls; n > 0 {
		t.Errorf("%d calls to Slack", n)
	}
	if err := in.RecheckRemovals(r.Ctx); err != nil {
		t.Error(err)
	}
	r.Is(in.db, c.Key, connection.Removed, connection.ReasonUninstalled)
}

// Slack asks us to wait before the next message: that is for all replicas.
func TestReplicasWaitToTell(t *testing.T) {
	r := sqliteRig(t)
	var x stage.Told
	replicas := []replica{r.replica(telling(&x)), r.replica(telling(&x)), r.replica(telling(&x))}
	c := r.connect(replicas[0], slacksim.AcmeAdmin)
	r.broken(replicas[0], c)
	end := r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", RetryAfter: 300})
	for range 29 {
		for _, in := range replicas {
			r.tellAll(in)
		}
		r.Clock.Advance(10 * time.Second)
	}
	if n := len(r.Slack.Calls("chat.postMessage")); n != 1 {
		t.Errorf("%d posts in 290 s of a Retry-After of 300 s", n)
	}
	end()
	r.Clock.Advance(10 * time.Second)
	for _, in := range replicas {
		r.tellAll(in)
	}
	if n := len(r.Slack.Calls("chat.postMessage")); n != 2 {
		t.Errorf("%d posts after the wait", n)
	}
}
