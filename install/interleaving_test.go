package install_test

// Each test here is an order of events that once ended badly: two callers in one moment, clocks that differ, a process that
// dies between two steps, an answer about a token that is no longer the one in force, work that stands in the way of other
// work. Single steps were right in all of them.

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
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func (r *rig) spoil(in replica, k connection.Key) {
	r.t.Helper()
	r.update(in, k, func(c *connection.Connection) { c.RefreshToken += "-gone" })
}

// renewDue and tellAll do what Run does now and then, and must not fail.
func (r *rig) renewDue(in replica) {
	r.t.Helper()
	if _, err := in.RenewDue(r.ctx); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) tellAll(in replica) {
	r.t.Helper()
	if err := in.TellAll(r.ctx); err != nil {
		r.t.Error(err)
	}
}

// runUntil lets in work in the background until ok.
func (r *rig) runUntil(in replica, ok func() bool) {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() { _ = in.Run(ctx); close(done) }()
	for !ok() && r.ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	<-done
	if r.ctx.Err() != nil {
		r.t.Fatal("what was waited for did not come")
	}
}

// consent lets a person say yes at Slack and returns what their browser comes back with.
func (r *rig) consent(in replica, path, userID string) *http.Request {
	r.t.Helper()
	start := httptest.NewRecorder()
	in.Handler().ServeHTTP(start, httptest.NewRequest(http.MethodGet, redirect+path, nil))
	back, err := r.slack.Authorize(r.ctx, start.Header().Get("Location"), userID, slacksim.Choice{})
	if err != nil {
		r.t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, back, nil)
	req.AddCookie(start.Result().Cookies()[0])
	return req
}

// link is the way to connect c's workspace again, without the host.
func link(in replica, c connection.Connection) string {
	return strings.TrimPrefix(in.Links().GrantURL(c), redirect)
}

// killed is a process that dies while somebody consents: Slack has handed out the tokens, the journal has them, and nobody
// else. Then the callback's time is over.
func (r *rig) killed(userID string, change func(*install.Config)) {
	r.t.Helper()
	in := r.replica(func(cfg *install.Config) {
		cfg.HTTP = between("auth.test", func(resp *http.Response) {
			_ = resp.Body.Close()
			runtime.Goexit()
		})
		if change != nil {
			change(cfg)
		}
	})
	req := r.consent(in, "/slack/install", userID)
	// Clocks half a minute apart have budgets wait for each other. In a program all go by the database's, and here that is not the point.
	if _, err := r.raw().Exec("DELETE FROM budgets"); err != nil {
		r.t.Fatal(err)
	}
	dead := make(chan struct{})
	go func() {
		defer close(dead)
		in.Handler().ServeHTTP(httptest.NewRecorder(), req)
	}()
	<-dead
	if len(r.waiting()) == 0 {
		r.t.Fatal("the journal of the dead process is empty")
	}
	r.clock.Advance(time.Minute)
}

// elsewhere is a replica on another machine, with a journal of its own.
func (r *rig) elsewhere(change func(*install.Config)) replica {
	r.t.Helper()
	was := r.Folder
	defer func() { r.Folder = was }()
	r.Folder = r.t.TempDir() + "/journal"
	return r.replica(change)
}

// settle does what Run does every second, until the journal is empty.
func (r *rig) settle(in replica) {
	r.t.Helper()
	var left int
	var err error
	for range 4 {
		if left, err = in.Replay(r.ctx); left == 0 {
			break
		}
		r.renewDue(in)
	}
	if left > 0 || err != nil {
		r.t.Errorf("replay: %d left, %v", left, err)
	}
	r.emptyJournal()
}

// However many use or check a connection while its renewal fails, in one moment that is one failure.
func TestBackoffHoldsForAll(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		replicas := []replica{r.replica(nil), r.replica(nil)}
		in := replicas[0]
		atOnce := func(k connection.Key) {
			t.Helper()
			ctx, cancel := context.WithTimeout(r.ctx, patience)
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
		r.clock.Advance(life + time.Second)
		atOnce(a.Key)
		if now := r.is(in, a.Key, connection.Retrying, connection.ReasonRenewalFailing); now.Rejections != 1 {
			t.Errorf("%d rejections in one moment", now.Rejections)
		}
		r.spent(1)
		r.clock.Advance(40 * time.Second)
		_, _ = in.Open(r.ctx, a.Key)
		r.is(in, a.Key, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		r.spent(2)

		b := r.connect(in, slacksim.BirchAdmin)
		r.clock.Advance(life + time.Second)
		r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500})
		atOnce(b.Key)
		if now := r.row(in, b.Key); now.Tries != 1 {
			t.Errorf("%d tries in one moment", now.Tries)
		}
		r.spent(3)
	})
}

// While the last access token works, and after it, nothing that Slack says of it hides that there will be no other.
func TestDeadChainStaysDead(t *testing.T) {
	r := sqliteRig(t)
	var x told
	in := r.replica(x.config)
	c := r.connect(in, slacksim.AcmeAdmin)
	r.broken(in, c)
	r.tellAll(in)
	was := r.row(in, c.Key)
	still := func(after string) {
		t.Helper()
		r.clock.Advance(2 * time.Minute)
		r.renewDue(in)
		r.tellAll(in)
		now := r.is(in, c.Key, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		if !now.StateSince.Equal(was.StateSince) || now.Notice != was.Notice || x.resolved > 0 || !slices.Equal(x.to, []string{slacksim.AcmeAdmin}) {
			t.Errorf("after %s: since %v, told %v, resolved %d times, notice %+v", after, now.StateSince, x.to, x.resolved, now.Notice)
		}
	}
	for _, answer := range []string{"", "invalid_auth", "invalid_auth", "", "token_revoked", "", "ekm_access_denied", "token_expired", ""} {
		clear := func() {}
		if answer != "" {
			clear = r.slack.Inject(slacksim.Fault{Method: "auth.test", Error: answer})
		}
		if h := in.Check(r.ctx, c.Key); h.State != connection.ReconnectRequired {
			t.Errorf("%q is shown as %s", answer, h.State)
		}
		clear()
		still(answer)
	}
	// As an older release left it; and an ordinary call is good.
	r.update(in, c.Key, func(c *connection.Connection) { c.SetState(connection.Retrying, "invalid_auth", r.clock.Now()) })
	if _, _, err := in.Client(r.row(in, c.Key)).PostMessageContext(r.ctx, slacksim.AcmeAdmin, slack.MsgOptionText("hello", false)); err != nil {
		t.Fatal(err)
	}
	in.Settle()
	if now := r.row(in, c.Key); now.State == connection.Active {
		t.Error("a good call brings it back to life")
	}
	in.Check(r.ctx, c.Key)
	was.StateSince = r.row(in, c.Key).StateSince
	still("a good call")
	r.clock.Advance(life)
	for range 4 {
		r.clock.Advance(7 * time.Hour)
		if err := in.CheckDue(r.ctx); err != nil {
			t.Error(err)
		}
		still("its end")
	}
	r.spent(2)
}

// Slack has several words for a refresh token that buys nothing any more, and as many for what the operator can mend.
func TestWordsOfRejection(t *testing.T) {
	r := sqliteRig(t)
	var x told
	in := r.replica(x.config)
	for i, code := range []string{"invalid_refresh_token", "invalid_grant", "invalid_token", "token_revoked", "token_expired", "account_inactive", "authorization_not_found"} {
		c := r.connect(in, slacksim.AcmeAdmin)
		r.tellAll(in)
		r.due()
		clear := r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Error: code})
		for range 3 {
			r.renewDue(in)
			r.clock.Advance(time.Minute)
		}
		clear()
		r.tellAll(in)
		r.is(in, c.Key, connection.ReconnectRequired, connection.ReasonRefreshRejected)
		r.spent(2 * (i + 1))
		if len(x.to) != i+1 {
			t.Errorf("after %s %d people were told, not %d", code, len(x.to), i+1)
		}
	}
	c := r.connect(in, slacksim.AcmeAdmin)
	r.tellAll(in)
	r.due()
	was := len(x.to)
	for _, code := range []string{"bad_client_secret", "invalid_client_id"} {
		clear := r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Error: code})
		for range 10 {
			r.renewDue(in)
			r.tellAll(in)
			r.clock.Advance(20 * time.Minute)
		}
		clear()
		if now := r.is(in, c.Key, connection.Retrying, connection.ReasonRenewalFailing); now.RefreshToken != c.RefreshToken || len(x.to) != was {
			t.Errorf("after %s: told %v", code, x.to[was:])
		}
	}
	if _, err := in.Open(r.ctx, c.Key); err != nil {
		t.Fatal(err)
	}
	r.works(r.is(in, c.Key, connection.Active, ""))
}

// The budget's row is locked for longer than a lease. Whoever waited for it does not spend what another process has by then.
func TestLockedBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.Postgres(t))
	a, b := r.replica(nil), r.replica(nil)
	c := r.connect(a, slacksim.AcmeAdmin)
	r.slack.SetApp(func(x *slacksim.App) { x.StrictRefresh, x.RefreshGrace = false, time.Minute })
	if _, err := a.db.Take(r.ctx, slackapi.Budget{Name: "oauth.v2.access", Interval: time.Second, Burst: 80}, 1, r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	pg := r.raw()
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
				if err := pg.QueryRowContext(r.ctx, `WITH RECURSIVE w(pid) AS (SELECT $1::int UNION
					SELECT a.pid FROM pg_stat_activity a JOIN w ON w.pid = ANY(pg_blocking_pids(a.pid))) SELECT count(*) - 1 FROM w`, pid).Scan(&found); err != nil {
					t.Fatalf("%d wait: %v", found, err)
				}
			}
		}, func() { _ = tx.Rollback() }
	}

	r.due()
	waiting, unlock := lock()
	var both sync.WaitGroup
	both.Go(func() { _ = a.Renew(r.ctx, c.Key) })
	waiting(1)
	if err := b.Renew(r.ctx, c.Key); err == nil {
		t.Error("renewed though another process holds the lease")
	}
	r.clock.Advance(31 * time.Second)
	both.Go(func() { _ = b.Renew(r.ctx, c.Key) })
	waiting(2)
	unlock()
	both.Wait()
	r.spent(1)
	r.works(r.row(a, c.Key))

	// A stop does not wait for the lock either.
	r.due()
	waiting, unlock = lock()
	defer unlock()
	ctx, stop := context.WithCancel(r.ctx)
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
	r.spent(1)
}

// Rows that cannot be read, and those of another app, fill every list of work; what can be done is done all the same.
func TestRowsInTheWay(t *testing.T) {
	r := sqliteRig(t)
	var x told
	plain := r.replica(nil)
	c := r.connect(plain, slacksim.AcmeAdmin)
	r.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
	longLived := r.connect(plain, slacksim.BirchAdmin)
	r.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })

	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	unreadable, err := storage.Open(r.ctx, r.Database, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unreadable.Close() })
	old := r.clock.Now().Add(-time.Hour)
	put := func(db *storage.DB, app, kind string, i int, state connection.State, chain connection.TokenPair) {
		t.Helper()
		if _, _, err := db.Put(r.ctx, connection.Connection{Key: connection.Key{AppID: app, TeamID: fmt.Sprintf("T%s%03d", kind, i)}, TokenPair: chain,
			State: state, StateSince: old, InstalledAt: old, AuthorizedAt: old}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		refresh := connection.Secret(fmt.Sprint("xoxe-1-", i))
		put(plain.db, "A0OTHERAPP", "BROKEN", i, connection.ReconnectRequired, connection.Started("xoxe.xoxb-1-x", refresh, life, old))
		if i < 64 {
			put(unreadable, "A0RENEWAL1", "LOST", i, connection.Active, connection.Started("xoxe.xoxb-1-x", refresh, life, old))
			put(plain.db, "A0OTHERAPP", "LONG", i, connection.Active, connection.Started("xoxb-1", "", 0, old))
		}
	}
	if _, err := r.raw().Exec("UPDATE connections SET id = 'con_0' || id WHERE app_id = 'A0OTHERAPP'"); err != nil { // first in any order
		t.Fatal(err)
	}
	in := r.replica(func(cfg *install.Config) {
		x.config(cfg)
		cfg.AppID, cfg.MoveToRotation = "A0RENEWAL1", true
	})
	r.due()
	r.renewDue(in)
	r.renewDue(in)
	for _, was := range []connection.Connection{c, longLived} {
		now := r.row(in, was.Key)
		if r.works(now); now.RefreshToken == was.RefreshToken {
			t.Errorf("the work for %s was not done", was.TeamID)
		}
	}
	for range 64/20 + 2 {
		if err := in.CheckDue(r.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if now := r.row(in, c.Key); !now.CheckedAt.Equal(r.clock.Now()) {
		t.Errorf("not checked since %v", now.CheckedAt)
	}
	r.update(in, c.Key, func(c *connection.Connection) {
		c.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, r.clock.Now())
	})
	r.tellAll(in)
	if len(x.to) != 1 {
		t.Errorf("told %v", x.to)
	}
	if now, err := plain.db.Lookup(r.ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: "TLOST007"}); err != nil || now.Reason != connection.ReasonUnreadable {
		t.Errorf("what cannot be read is %s (%s) (%v)", now.State, now.Reason, err)
	}
}

// A program leaves alone what belongs to another app, and in single-workspace mode what is left of OAuth: it has no
// credentials for it.
func TestRowsOfOthers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*install.Config){
		"another app":      func(cfg *install.Config) { cfg.AppID = "A0OTHERAPP" },
		"single workspace": func(cfg *install.Config) { cfg.ClientID, cfg.ClientSecret, cfg.BotToken = "", "", "xoxb-whatever" },
	} {
		t.Run(name, func(t *testing.T) {
			r := sqliteRig(t)
			var x told
			in := r.replica(nil)
			dead := r.connect(in, slacksim.AcmeAdmin)
			r.broken(in, dead)
			due := r.connect(in, slacksim.BirchAdmin)
			r.due()
			before := []connection.Connection{r.row(in, dead.Key), r.row(in, due.Key)}
			calls := len(r.slack.Calls())
			other := r.replica(func(cfg *install.Config) {
				x.config(cfg)
				change(cfg)
				cfg.MoveToRotation = true
			})
			for range 2 {
				_ = other.Renew(r.ctx, due.Key)
				_ = other.Exchange(r.ctx, due.Key)
				r.renewDue(other)
				r.tellAll(other)
				if err := other.CheckDue(r.ctx); err != nil {
					t.Error(err)
				}
				r.clock.Advance(10 * time.Minute)
			}
			if n := len(r.slack.Calls()) - calls; n > 0 || len(x.to) > 0 {
				t.Errorf("%d calls to Slack, told %v", n, x.to)
			}
			if after := []connection.Connection{r.row(in, dead.Key), r.row(in, due.Key)}; !reflect.DeepEqual(before, after) {
				t.Errorf("changed: %+v", after)
			}
		})
	}
}

// At Slack a consent ends the refresh token before it, so a callback that ends badly must not cost a connection that worked.
func TestConsentThatEndsBadly(t *testing.T) {
	t.Parallel()
	t.Run("Slack has trouble", func(t *testing.T) {
		r := sqliteRig(t)
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.clock.Advance(time.Hour)
		callback := r.consent(in, link(in, c), slacksim.AcmeAdmin)
		r.slack.Inject(slacksim.Fault{Method: "auth.test", Status: 500, Body: "x", Times: 1})
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, callback)
		if w.Code != http.StatusOK {
			t.Errorf("callback: %d", w.Code)
		}
		r.emptyJournal()
		now := r.is(in, c.Key, connection.Active, "")
		r.works(now)
		if now.BotID != c.BotID || now.TeamURL != c.TeamURL || now.Installs != 2 || now.CheckAt.Sub(r.clock.Now()) > 10*time.Minute {
			t.Errorf("%+v", now)
		}
		r.due()
		r.renewDue(in)
		r.works(r.is(in, c.Key, connection.Active, ""))
		r.spent(1)

		// A first install has nothing to lose, and is not taken for good unseen.
		callback = r.consent(in, "/slack/install", slacksim.BirchAdmin)
		r.slack.Inject(slacksim.Fault{Method: "auth.test", Status: 500, Body: "x", Times: 1})
		w = httptest.NewRecorder()
		in.Handler().ServeHTTP(w, callback)
		if _, err := in.db.Lookup(r.ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Birch}); w.Code == http.StatusOK || !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("callback: %d, then %v", w.Code, err)
		}
		r.emptyJournal()
	})
	t.Run("another workspace was chosen", func(t *testing.T) {
		r := sqliteRig(t)
		in := r.replica(forPeople)
		a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		mistake := func() {
			t.Helper()
			r.clock.Advance(time.Hour)
			w := httptest.NewRecorder()
			in.Handler().ServeHTTP(w, r.consent(in, link(in, a), slacksim.BirchAdmin))
			if body, _ := io.ReadAll(w.Body); w.Code == http.StatusOK || !strings.Contains(string(body), "Birch") {
				t.Errorf("callback: %d %s", w.Code, body)
			}
			r.emptyJournal()
		}
		mistake()
		r.due()
		if err := in.Renew(r.ctx, b.Key); err != nil {
			t.Error(err)
		}
		r.renewDue(in)
		r.spent(4)
		r.works(r.is(in, a.Key, connection.Active, ""))
		r.works(r.is(in, b.Key, connection.Active, ""))
		// Where the app is not connected, a choice by mistake connects nothing.
		r.update(in, b.Key, func(c *connection.Connection) { c.Erase(connection.Removed, "test", r.clock.Now()) })
		mistake()
		if people, err := in.db.Users(r.ctx, b.Key); r.row(in, b.Key).Token != "" || len(people) > 0 || err != nil {
			t.Errorf("what was chosen by mistake is connected (%v)", err)
		}
	})
}

// A consent waits in the journal of a process that died. Whatever ends the connection meanwhile, here or on another machine,
// ends that consent too.
func TestReplayResurrectsNothing(t *testing.T) {
	t.Parallel()
	by := connection.Actor{Kind: connection.ByOperator}
	uninstall := func(r *rig) {
		r.t.Helper()
		if err := r.slack.Admins.Uninstall(r.ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			r.t.Fatal(err)
		}
	}
	for name, end := range map[string]func(r *rig, in replica, k connection.Key) error{
		"removed in Slack": func(r *rig, in replica, k connection.Key) error {
			uninstall(r)
			return in.Lifecycle().HandleRemoval(r.ctx, k, connection.Removal{Reason: connection.ReasonUninstalled, At: r.clock.Now()})
		},
		"found removed": func(r *rig, in replica, k connection.Key) error {
			uninstall(r)
			in.Check(r.ctx, k)
			return nil
		},
		"disconnected": func(r *rig, in replica, k connection.Key) error {
			_, err := in.Leaving().Disconnect(r.ctx, k, by)
			return err
		},
		"erased": func(r *rig, in replica, k connection.Key) error { return in.Leaving().EraseAnyway(r.ctx, k, by) },
	} {
		for _, here := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, here=%v", name, here), func(t *testing.T) {
				r := sqliteRig(t)
				c := r.connect(r.replica(nil), slacksim.AcmeAdmin)
				r.clock.Advance(time.Hour)
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
					r.emptyJournal()
				}
				was := r.row(in, c.Key)
				r.clock.Advance(time.Minute)
				if left, err := in.Replay(r.ctx); left > 0 || err != nil {
					t.Errorf("replay: %d left, %v", left, err)
				}
				r.emptyJournal()
				if now := r.row(in, c.Key); now.State != connection.Removed || now.Token != "" || !reflect.DeepEqual(now, was) {
					t.Errorf("resurrected: %+v", now)
				}
			})
		}
	}
	t.Run("removed, and nobody knows", func(t *testing.T) {
		r := sqliteRig(t)
		c := r.connect(r.replica(nil), slacksim.AcmeAdmin)
		r.clock.Advance(time.Hour)
		r.killed(slacksim.AcmeAdmin, nil)
		r.killed(slacksim.BirchAdmin, nil) // the first install there
		uninstall(r)
		if err := r.slack.Admins.Uninstall(r.ctx, slacksim.Birch, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		in := r.replica(nil)
		clear := r.slack.Inject(slacksim.Fault{Method: "auth.test", TeamID: slacksim.Acme, Status: 500, Body: "x"})
		if left, err := in.Replay(r.ctx); left != 1 || err == nil { // the other one does not wait for it
			t.Errorf("while Slack says nothing of one: %d left, %v", left, err)
		}
		clear()
		if left, err := in.Replay(r.ctx); left > 0 || err != nil {
			t.Errorf("replay: %d left, %v", left, err)
		}
		r.emptyJournal()
		if now := r.row(in, c.Key); now.Token != c.Token || now.Installs != 1 {
			t.Errorf("a dead consent was stored: %+v", now)
		}
		if _, err := in.db.Lookup(r.ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Birch}); !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("a dead first install was stored (%v)", err)
		}
	})
	t.Run("a person took it back", func(t *testing.T) {
		r := sqliteRig(t)
		c := r.connect(r.replica(forPeople), slacksim.AcmeAdmin)
		r.clock.Advance(time.Hour)
		r.killed(slacksim.AcmeAdmin, forPeople)
		if err := r.slack.Admins.RevokeUser(r.ctx, slacksim.AcmeAdmin); err != nil {
			t.Fatal(err)
		}
		in := r.replica(forPeople)
		if err := in.Lifecycle().HandleUsersRevoked(r.ctx, c.Key, []string{slacksim.AcmeAdmin}, r.clock.Now()); err != nil {
			t.Fatal(err)
		}
		r.emptyJournal()
		if people, err := in.db.Users(r.ctx, c.Key); len(people) > 0 || err != nil {
			t.Errorf("%d people's tokens (%v)", len(people), err)
		}
		r.works(r.row(in, c.Key)) // the bot's half of the same consent is good
	})
}

// A person takes their token back and grants it anew before the first was dealt with.
func TestGrantedAnewMeanwhile(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		other := r.replica(forPeople)
		c := r.connect(other, slacksim.AcmeAdmin)
		r.clock.Advance(time.Minute)
		if err := r.slack.Admins.RevokeUser(r.ctx, slacksim.AcmeAdmin); err != nil {
			t.Fatal(err)
		}
		in := r.replica(func(cfg *install.Config) {
			cfg.HTTP = between("auth.test", func(*http.Response) {
				r.clock.Advance(time.Second)
				r.connect(other, slacksim.AcmeAdmin)
			})
		})
		if err := in.Lifecycle().HandleUsersRevoked(r.ctx, c.Key, []string{slacksim.AcmeAdmin}, r.clock.Now()); err != nil {
			t.Fatal(err)
		}
		u, err := in.OpenUser(r.ctx, c.Key, slacksim.AcmeAdmin)
		if at, _ := r.slack.Installed(c.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
			t.Errorf("the new grant: %v", err)
		}
	})
}

// Slack says that the app is gone, and while we ask, a renewal puts in another token than the one we asked about. That is no
// sign that the app is back.
func TestRemovalDuringRenewal(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		client, answered, goOn := held()
		renewing := r.replica(func(cfg *install.Config) { cfg.HTTP = client })
		c := r.connect(renewing, slacksim.AcmeAdmin)
		r.due()
		var renewal sync.WaitGroup
		renewal.Go(func() { _ = renewing.Renew(r.ctx, c.Key) })
		<-answered
		if err := r.slack.Admins.Uninstall(r.ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		in := r.replica(func(cfg *install.Config) {
			cfg.HTTP = between("auth.test", func(*http.Response) {
				close(goOn)
				renewal.Wait()
			})
		})
		said := connection.Removal{Reason: connection.ReasonUninstalled, At: r.clock.Now()}
		if err := in.Lifecycle().HandleRemoval(r.ctx, c.Key, said); err != nil {
			t.Fatal(err)
		}
		if now := r.row(in, c.Key); now.State != connection.Active || now.PendingRemoval.Reason != said.Reason {
			t.Fatalf("%s, in doubt: %+v", now.State, now.PendingRemoval)
		}
		r.update(in, c.Key, func(c *connection.Connection) { c.CheckAt = r.clock.Now().Add(time.Hour) }) // or that might find out first
		r.runUntil(renewing, func() bool { return r.row(renewing, c.Key).State == connection.Removed })
		if now := r.is(in, c.Key, connection.Removed, connection.ReasonUninstalled); now.Token != "" || now.PendingRemoval != (connection.Removal{}) {
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
		"people unknown":  {slacksim.Fault{Method: "users.info", Status: 503}, false, 50 * time.Second, 70 * time.Second},
		"admins unknown":  {slacksim.Fault{Method: "users.list", Status: 503}, true, 50 * time.Second, 70 * time.Second},
		"Slack's trouble": {slacksim.Fault{Method: "chat.postMessage", Error: "internal_error"}, false, 50 * time.Second, 70 * time.Second},
		"a short limit":   {slacksim.Fault{Method: "chat.postMessage", RetryAfter: 11}, false, 50 * time.Second, 70 * time.Second},
		"a limit":         {slacksim.Fault{Method: "chat.postMessage", RetryAfter: 300}, false, 290 * time.Second, 310 * time.Second},
		"a mad limit":     {slacksim.Fault{Method: "chat.postMessage", RetryAfter: 30 * 86400}, false, 14 * time.Minute, 16 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			r := sqliteRig(t)
			var x told
			in := r.replica(x.config)
			c := r.connect(in, slacksim.AcmeMember)
			want := slacksim.AcmeMember
			if test.gone {
				want, x.refuse = slacksim.AcmeAdmin, map[string]error{slacksim.AcmeMember: slack.SlackErrorResponse{Err: "user_disabled"}}
			}
			r.broken(in, c)
			test.fault.Body = "x"
			clear := r.slack.Inject(test.fault)
			before := len(r.slack.Calls(test.fault.Method))
			tell := func(d time.Duration) {
				for range d / (10 * time.Second) {
					r.tellAll(in)
					r.clock.Advance(10 * time.Second)
				}
			}
			tell(test.quiet)
			if n := len(r.slack.Calls(test.fault.Method)) - before; n != 1 || len(x.to) > 0 {
				t.Errorf("%d calls in %v, told %v", n, test.quiet, x.to)
			}
			clear()
			tell(test.late - test.quiet + 10*time.Second)
			if !slices.Equal(x.to, []string{want}) {
				t.Errorf("told %v", x.to)
			}
			tell(5 * time.Minute)
			lines, err := in.History(r.ctx, c, 50)
			lines = slices.DeleteFunc(lines, func(l connection.Change) bool { return l.What != connection.DidTell })
			if now := r.row(in, c.Key); err != nil || len(x.to) != 1 || now.Notice.To != want || now.Notice.TS == "" || len(lines) != 1 || lines[0].Outcome != connection.OutcomeDone {
				t.Errorf("told %v; notice %+v; history %+v (%v)", x.to, now.Notice, lines, err)
			}
		})
	}
}

// The program is stopped between the claim of a message and the message: it is sent, and nobody sends another.
func TestToldAtTheStop(t *testing.T) {
	r := sqliteRig(t)
	var x told
	plain := r.replica(x.config)
	a, b := r.connect(plain, slacksim.AcmeMember), r.connect(plain, slacksim.BirchMember)
	r.broken(plain, a)
	r.update(plain, b.Key, func(c *connection.Connection) {
		c.SetState(connection.ReconnectRequired, connection.ReasonRefreshRejected, r.clock.Now())
	})
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	in := r.replica(func(cfg *install.Config) {
		x.config(cfg)
		cfg.HTTP = between("users.info", func(*http.Response) { stop() })
	})
	_ = in.TellAll(ctx)
	if len(x.to) != 1 {
		t.Errorf("told %v at the stop, not the one it was at", x.to)
	}
	for range 3 {
		r.tellAll(plain)
	}
	slices.Sort(x.to)
	if !slices.Equal(x.to, []string{slacksim.AcmeMember, slacksim.BirchMember}) {
		t.Errorf("told %v", x.to)
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
			r.clock.Advance(life + time.Minute)
			clear := r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500, Body: "x"})
			if err := in.Lifecycle().HandleRemoval(r.ctx, c.Key, connection.Removal{Reason: connection.ReasonTokenRevoked, At: r.clock.Now()}); err != nil {
				t.Fatal(err)
			}
			if now := r.row(in, c.Key); now.RefreshToken != c.RefreshToken || now.PendingRemoval.Reason != connection.ReasonTokenRevoked {
				t.Fatalf("decided: %s (%s), in doubt: %+v", now.State, now.Reason, now.PendingRemoval)
			}
			clear()
			if gone { // Slack does not renew it; that is as much as there is to know
				r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Error: "token_revoked"})
				for range 2 {
					r.clock.Advance(2 * time.Minute)
					r.renewDue(in)
				}
			}
			r.clock.Advance(2 * time.Minute)
			r.runUntil(in, func() bool { return r.row(in, c.Key).PendingRemoval == connection.Removal{} })
			if gone {
				if now := r.is(in, c.Key, connection.ReconnectRequired, connection.ReasonTokenRevoked); now.RefreshToken != "" {
					t.Error("its access is kept")
				}
			} else {
				r.works(r.is(in, c.Key, connection.Active, ""))
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
	r.emptyJournal()
	c := r.is(in, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}, connection.Active, "")
	r.works(c)
	if _, err := in.OpenUser(r.ctx, c.Key, slacksim.AcmeAdmin); err != nil {
		t.Errorf("the person's half of the consent: %v", err)
	}

	r.broken(in, c)
	r.clock.Advance(life / 2) // the bot's last token has ended, the person's was renewed meanwhile
	if _, err := in.Open(r.ctx, c.Key); !errors.Is(err, connection.ErrNotConnected) {
		t.Errorf("the bot: %v", err)
	}
	u, err := in.OpenUser(r.ctx, c.Key, slacksim.AcmeAdmin)
	if at, _ := r.slack.Installed(c.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
		t.Errorf("the person: %v", err)
	}

	r.update(in, c.Key, func(c *connection.Connection) {
		c.Erase(connection.ReconnectRequired, connection.ReasonTokenRevoked, r.clock.Now())
	})
	if err := in.Exchange(r.ctx, c.Key); !errors.Is(err, connection.ErrNotConnected) {
		t.Errorf("exchange of an erased token: %v", err)
	}
}

// A consent waits in the journal of one machine. The person did not wait and consented again on another: that one works,
// whatever the dates say, and whatever Slack says of it for a moment.
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
			r.clock.Advance(time.Hour)
			ahead := func(cfg *install.Config) { cfg.Now = func() time.Time { return r.clock.Now().Add(test.ahead) } }
			r.killed(slacksim.AcmeAdmin, ahead)
			r.clock.Advance(time.Minute)
			c := r.connect(other, slacksim.AcmeAdmin)
			if test.doubt != "" {
				r.slack.Inject(slacksim.Fault{Method: "auth.test", Error: test.doubt, Times: 1})
				other.Check(r.ctx, c.Key)
				r.is(other, c.Key, connection.Retrying, test.doubt)
			}
			r.clock.Advance(10 * time.Minute)
			in := r.replica(ahead)
			r.settle(in)
			r.works(r.row(in, c.Key))
			r.spent(1) // which told
			r.due()
			r.renewDue(in)
			r.spent(2)
			in.Check(r.ctx, c.Key)
			r.works(r.is(in, c.Key, connection.Active, ""))
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
				if _, err := other.Leaving().Disconnect(r.ctx, k, connection.Actor{Kind: connection.ByOperator}); err != nil {
					r.t.Error(err)
				}
			},
			then: func(r *rig, in replica) { r.is(in, k, connection.Removed, connection.ReasonDisconnected) }},
		"erased": {ask: 1,
			happen: func(r *rig, other replica) {
				if err := other.Leaving().EraseAnyway(r.ctx, k, connection.Actor{Kind: connection.ByOperator}); err != nil {
					r.t.Error(err)
				}
			},
			then: func(r *rig, in replica) { r.is(in, k, connection.Removed, connection.ReasonDisconnected) }},
		"a newer consent": {ask: 1,
			happen: func(r *rig, other replica) { r.connect(other, slacksim.AcmeAdmin) },
			then:   func(r *rig, in replica) { r.works(r.is(in, k, connection.Active, "")) }},
		"the first consent": {first: true, ask: 1,
			happen: func(r *rig, other replica) { r.connect(other, slacksim.AcmeAdmin) },
			then:   func(r *rig, in replica) { r.works(r.is(in, k, connection.Active, "")) }},
		"a newer grant": {ask: 2,
			happen: func(r *rig, other replica) { r.connect(other, slacksim.AcmeAdmin) },
			then: func(r *rig, in replica) {
				u, err := in.db.GetUser(r.ctx, connection.TokenOwner{Key: k, UserID: slacksim.AcmeAdmin})
				if at, _ := r.slack.Installed(k.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
					r.t.Errorf("an older grant was written over a newer one (%v)", err)
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
			r.clock.Advance(time.Hour)
			r.killed(slacksim.AcmeAdmin, forPeople)
			r.clock.Advance(time.Minute)
			asked := 0
			in := r.replica(func(cfg *install.Config) {
				forPeople(cfg)
				cfg.HTTP = between("auth.test", func(*http.Response) {
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
	r.t.Helper()
	if err := r.slack.Admins.RevokeUser(r.ctx, slacksim.AcmeAdmin); err != nil {
		r.t.Error(err)
	}
	k := connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}
	if err := other.Lifecycle().HandleUsersRevoked(r.ctx, k, []string{slacksim.AcmeAdmin}, r.clock.Now()); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) nobodyLeft(in replica) {
	r.t.Helper()
	if us, err := in.db.Users(r.ctx, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme}); err != nil || len(us) != 0 {
		r.t.Errorf("%d people's tokens are back (%v)", len(us), err)
	}
}

// Two consents within minutes, one of them from the journal: whichever Slack gave last ended the other, whatever the clocks of
// two machines say. Where they can't tell, a renewal does.
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
				cfg.Now = func() time.Time { return r.clock.Now().Add(test.clock) }
			}
			r.connect(other, slacksim.AcmeAdmin)
			r.clock.Advance(time.Hour)
			if test.replayed {
				r.connect(other, slacksim.AcmeAdmin)
				r.clock.Advance(5 * time.Minute)
			}
			r.killed(slacksim.AcmeAdmin, odd)
			if !test.replayed {
				r.clock.Advance(time.Minute)
				r.connect(other, slacksim.AcmeAdmin)
			}
			if test.retrying {
				end := r.slack.Inject(slacksim.Fault{Method: "auth.test", Error: "org_login_required"})
				other.Check(r.ctx, k)
				r.is(other, k, connection.Retrying, "org_login_required")
				end()
			}
			r.clock.Advance(10 * time.Minute)
			in := r.replica(odd)
			r.settle(in)
			r.works(r.row(in, k))
			u, err := in.OpenUser(r.ctx, k, slacksim.AcmeAdmin)
			if at, _ := r.slack.Installed(k.TeamID); err != nil || u.Token.Reveal() != at.UserTokens[slacksim.AcmeAdmin] {
				t.Errorf("the person's token is not the one that Slack handed out last (%v)", err)
			}
			// And it lasts.
			for range 3 {
				r.due()
				r.renewDue(in)
				in.Check(r.ctx, k)
			}
			r.works(r.is(in, k, connection.Active, ""))
		})
	}
}

// Nobody asks Slack about another app's removals, or with a token from another mode.
func TestRemovalsOfOthers(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	r.update(in, c.Key, func(c *connection.Connection) {
		c.PendingRemoval = connection.Removal{Reason: connection.ReasonUninstalled, At: r.clock.Now()}
	})
	if err := r.slack.Admins.Uninstall(r.ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
		t.Fatal(err)
	}
	calls := len(r.slack.Calls())
	for _, other := range []replica{
		r.replica(func(cfg *install.Config) { cfg.AppID = "A0OTHERAPP" }),
		r.replica(func(cfg *install.Config) { cfg.ClientID, cfg.ClientSecret, cfg.BotToken = "", "", "xoxb-whatever" }),
	} {
		if err := other.RecheckRemovals(r.ctx); err != nil {
			t.Error(err)
		}
	}
	if n := len(r.slack.Calls()) - calls; n > 0 {
		t.Errorf("%d calls to Slack", n)
	}
	if err := in.RecheckRemovals(r.ctx); err != nil {
		t.Error(err)
	}
	r.is(in, c.Key, connection.Removed, connection.ReasonUninstalled)
}

// Slack asks us to wait before the next message: that is for all replicas.
func TestReplicasWaitToTell(t *testing.T) {
	r := sqliteRig(t)
	var x told
	replicas := []replica{r.replica(x.config), r.replica(x.config), r.replica(x.config)}
	c := r.connect(replicas[0], slacksim.AcmeAdmin)
	r.broken(replicas[0], c)
	end := r.slack.Inject(slacksim.Fault{Method: "chat.postMessage", RetryAfter: 300})
	for range 29 {
		for _, in := range replicas {
			r.tellAll(in)
		}
		r.clock.Advance(10 * time.Second)
	}
	if n := len(r.slack.Calls("chat.postMessage")); n != 1 {
		t.Errorf("%d posts in 290 s of a Retry-After of 300 s", n)
	}
	end()
	r.clock.Advance(10 * time.Second)
	for _, in := range replicas {
		r.tellAll(in)
	}
	if n := len(r.slack.Calls("chat.postMessage")); n != 2 {
		t.Errorf("%d posts after the wait", n)
	}
}
