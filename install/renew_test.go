package install_test

// The promises about tokens, each against slacksim over HTTP and both databases: spent once, never lost, never given up
// for trouble that passes.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

const (
	redirect = "http://127.0.0.1:9"
	life     = 12 * time.Hour
	patience = 20 * time.Second
)

// rig is a small Slack with rotation on and single-use refresh tokens, a clock that stands still, and a database.
type rig struct {
	t        *testing.T
	ctx      context.Context
	slack    *slacksim.Sim
	clock    *slacksim.ManualClock
	database string
	keys     string
	folder   string // the journal's
	breaches bool   // some are expected
}

func eachRig(t *testing.T, test func(t *testing.T, r *rig)) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, fresh(t)))
		})
	}
}

func newRig(t *testing.T, database string) *rig {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	// Whole seconds, and of today: Slack signs and dates with them.
	clock := slacksim.NewManualClock(time.Now().Truncate(time.Second))
	r := &rig{t: t, ctx: ctx, clock: clock, database: database, keys: seal.NewKey(), folder: t.TempDir() + "/journal"}
	r.slack = slacksim.New(slacksim.Config{Clock: clock, App: slacksim.App{ID: "A0RENEWAL1", Name: "Renewal", ClientID: "1.2", ClientSecret: "client-secret",
		SigningSecret: "signing-secret", RedirectURLs: []string{redirect}, TokenRotation: true, StrictRefresh: true, MessagesTab: true}})
	r.slack.AddSmallWorld()
	if err := r.slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, b := range r.slack.Breaches() {
			if !r.breaches {
				t.Errorf("a rule of Slack's was broken: %s: %s", b.Rule, b.Detail)
			}
		}
		end, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.slack.Close(end); err != nil {
			t.Error(err)
		}
	})
	return r
}

// replica is one process: its own database handle, its own Installer.
type replica struct {
	*install.Installer
	db *storage.DB
}

func (r *rig) replica(change func(*install.Config)) replica {
	r.t.Helper()
	keys, err := seal.ParseKeys(r.keys)
	if err != nil {
		r.t.Fatal(err)
	}
	db, err := storage.Open(r.ctx, r.database, keys)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	if err := db.UseJournal(r.folder); err != nil {
		r.t.Fatal(err)
	}
	cfg := install.Config{ClientID: "1.2", ClientSecret: "client-secret", SlackURL: r.slack.URL(), PublicURL: redirect, Store: db, Now: r.clock.Now, SigningKeys: db.SigningKeys(),
		Scopes: []connection.Scope{{Name: "chat:write"}, {Name: "users:read"}}}
	if os.Getenv("SHOW_LOGS") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if change != nil {
		change(&cfg)
	}
	in, err := install.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(in.Slack().HTTP.CloseIdleConnections)
	return replica{in, db}
}

// connect installs the app as a person does, and returns the connection.
func (r *rig) connect(in replica, userID string) connection.Connection {
	r.t.Helper()
	page := func(address, cookie string) *http.Response {
		req := httptest.NewRequest(http.MethodGet, address, nil)
		req.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		in.Handler().ServeHTTP(w, req)
		return w.Result()
	}
	start := page(redirect+"/slack/install", "")
	if start.StatusCode != http.StatusFound {
		r.t.Fatalf("start: %s", start.Status)
	}
	back, err := r.slack.Authorize(r.ctx, start.Header.Get("Location"), userID, slacksim.Choice{})
	if err != nil {
		r.t.Fatal(err)
	}
	if done := page(back, start.Cookies()[0].Name+"="+start.Cookies()[0].Value); done.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(done.Body)
		r.t.Fatalf("callback: %s %s", done.Status, body)
	}
	for _, u := range r.slack.Directory.Users("") {
		if u.ID == userID {
			return r.row(in, connection.Key{AppID: "A0RENEWAL1", TeamID: u.TeamID})
		}
	}
	r.t.Fatal("no such user")
	return connection.Connection{}
}

// row is the connection as the database has it.
func (r *rig) row(in replica, k connection.Key) connection.Connection {
	r.t.Helper()
	c, err := in.db.Lookup(r.ctx, k)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// due moves the clock to where every token is to be renewed, and none has ended.
func (r *rig) due() { r.clock.Advance(life * 17 / 24) }

// exchanges returns how often a refresh token was presented, and how often Slack gave a pair for one.
func (r *rig) exchanges() (asked, given int) {
	for _, c := range r.slack.Calls("oauth.v2.access") {
		if c.Form.Get("grant_type") == "refresh_token" {
			asked++
			if c.OK {
				given++
			}
		}
	}
	return asked, given
}

// works fails the test unless Slack takes the token, and unless it is the newest of the newest token pair.
func (r *rig) works(c connection.Connection) {
	r.t.Helper()
	at, ok := r.slack.Installed(c.TeamID)
	if !ok || at.BotToken != c.Token.Reveal() || at.RefreshToken != c.RefreshToken.Reveal() {
		r.t.Errorf("the tokens of %s are not the ones that Slack handed out last", c.TeamID)
	}
}

// waiting returns what the store may not have yet.
func (r *rig) waiting() []connection.Grant {
	r.t.Helper()
	pairs, err := r.replica(nil).db.Journaled()
	if err != nil {
		r.t.Fatal(err)
	}
	return pairs
}

// kept returns what the journal keeps for the day on which the store loses it.
func (r *rig) kept() []connection.Grant {
	r.t.Helper()
	pairs, err := r.replica(nil).db.Kept("", 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	return pairs
}

// emptyJournal fails the test when something in it waits.
func (r *rig) emptyJournal() {
	r.t.Helper()
	if left := r.waiting(); len(left) > 0 {
		r.t.Errorf("%d pairs wait in the journal", len(left))
	}
}

// between is an HTTP client that calls do when Slack has answered a method and before the caller learns of it: where the
// things happen that tests are about.
func between(method string, do func(*http.Response)) *http.Client {
	client := slackapi.NewHTTPClient()
	next := client.Transport
	client.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil && strings.HasSuffix(req.URL.Path, "/api/"+method) {
			do(resp)
		}
		return resp, err
	})
	return client
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refresh reports whether a request spends a refresh token.
func refresh(r *http.Request) bool {
	if r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	if err != nil {
		return false
	}
	form, _ := io.ReadAll(body)
	return strings.Contains(string(form), "grant_type=refresh_token")
}

func TestRenewsAheadOfTheEnd(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		if early, late := life*15/24, life*17/24; c.RenewAt.Before(r.clock.Now().Add(early)) || c.RenewAt.After(r.clock.Now().Add(late)) {
			t.Errorf("a token of %v is renewed after %v, not after two thirds of that", life, c.RenewAt.Sub(r.clock.Now()))
		}
		for generation := range 3 {
			if err := in.Renew(r.ctx, c.Key); err != nil {
				t.Fatal(err)
			}
			if now := r.row(in, c.Key); now.Token != c.Token {
				t.Fatal("renewed before its time")
			}
			r.due()
			if err := in.Renew(r.ctx, c.Key); err != nil {
				t.Fatal(err)
			}
			now := r.row(in, c.Key)
			if now.Token == c.Token || now.ID != c.ID || now.State != connection.Active || !now.LeaseUntil.IsZero() || !now.ExpiresAt.Equal(r.clock.Now().Add(life)) {
				t.Fatalf("generation %d: %+v", generation, now)
			}
			r.works(now)
			c = now
		}
		if asked, given := r.exchanges(); asked != 3 || given != 3 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
		}
		r.emptyJournal()
		lines, err := in.db.History(r.ctx, c.ID, 10)
		if err != nil || len(lines) != 4 || lines[0].What != connection.DidRenew || lines[0].By.Kind != connection.BySwitchboard || lines[3].What != connection.DidInstall {
			t.Errorf("history: %+v (%v)", lines, err)
		}
	})
}

// However many replicas and callers, one refresh token is spent once. Without the lease they would all spend it.
func TestOneExchangeForAll(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		replicas := []replica{r.replica(nil), r.replica(nil), r.replica(nil)}
		c := r.connect(replicas[0], slacksim.AcmeAdmin)
		r.due()
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() { _ = replicas[i%3].Renew(r.ctx, c.Key) }) // those who find it leased say so
		}
		all.Wait()
		if asked, given := r.exchanges(); asked != 1 || given != 1 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
		}
		r.works(r.row(replicas[0], c.Key))
	})
}

// An expired token in use is renewed at once by one caller; the others get what it brought home.
func TestExpiredInUse(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		replicas := []replica{r.replica(nil), r.replica(nil), r.replica(nil)}
		c := r.connect(replicas[0], slacksim.AcmeAdmin)
		r.clock.Advance(life + time.Hour)
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				in := replicas[i%3]
				got, err := in.Open(r.ctx, c.Key)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := in.Client(got).AuthTestContext(r.ctx); err != nil {
					t.Errorf("the token that was opened does not work: %v", err)
				}
			})
		}
		all.Wait()
		if asked, given := r.exchanges(); asked != 1 || given != 1 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
		}
	})
}

// The caller hangs up while Slack answers: what Slack handed out is kept all the same.
func TestCallerHangsUp(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		ctx, hangUp := context.WithCancel(r.ctx)
		in := r.replica(func(cfg *install.Config) {
			cfg.HTTP = between("oauth.v2.access", func(resp *http.Response) {
				if refresh(resp.Request) {
					hangUp()
				}
			})
		})
		c := r.connect(in, slacksim.AcmeAdmin)
		r.clock.Advance(life + time.Hour)
		if _, err := in.Open(ctx, c.Key); err == nil {
			t.Fatal("the caller waited on after it hung up")
		}
		// Whoever asks next joins the renewal, or finds it done.
		now, err := in.Open(r.ctx, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		r.works(now)
		if asked, _ := r.exchanges(); asked != 1 {
			t.Errorf("%d exchanges", asked)
		}
		r.emptyJournal()
	})
}

// A re-install that comes while Slack answers a renewal is newer than what the renewal brings.
func TestReinstallDuringRenewal(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		other := r.replica(nil)
		var c connection.Connection
		in := r.replica(func(cfg *install.Config) {
			cfg.HTTP = between("oauth.v2.access", func(resp *http.Response) {
				if refresh(resp.Request) {
					c = r.connect(other, slacksim.AcmeAdmin)
				}
			})
		})
		was := r.connect(other, slacksim.AcmeAdmin)
		r.due()
		_ = in.Renew(r.ctx, was.Key)
		now := r.row(in, was.Key)
		if now.Token != c.Token || now.RefreshToken != c.RefreshToken || now.State != connection.Active {
			t.Error("the renewal wrote over a newer install")
		}
		r.works(now)
		r.emptyJournal()
	})
}

// Slack refuses a refresh token that somebody else has spent meanwhile: nothing is dead.
func TestRejectionOfThePast(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		other := r.replica(nil)
		in := r.replica(func(cfg *install.Config) {
			next := slackapi.NewHTTPClient().Transport
			cfg.HTTP = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				if refresh(req) {
					r.connect(other, slacksim.AcmeAdmin) // spends the refresh token that is on its way
				}
				return next.RoundTrip(req)
			})}
		})
		r.breaches = true // it is presented though it is spent; that can't be known
		was := r.connect(other, slacksim.AcmeAdmin)
		r.due()
		for range 3 { // as often as it takes to be believed
			_ = in.Renew(r.ctx, was.Key)
			r.due()
		}
		now := r.row(in, was.Key)
		if now.State != connection.Active {
			t.Errorf("declared %s (%s) though it was installed anew", now.State, now.Reason)
		}
		r.works(now)
	})
}

// The database goes away between Slack's answer and the store, and the process is killed. What Slack handed out is in the
// journal, and home after the next start.
func TestDatabaseGoneAndKilled(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var in replica
		in = r.replica(func(cfg *install.Config) {
			cfg.HTTP = between("oauth.v2.access", func(resp *http.Response) {
				if refresh(resp.Request) {
					_ = in.db.Close()
				}
			})
		})
		c := r.connect(in, slacksim.AcmeAdmin)
		r.due()
		if err := in.Renew(r.ctx, c.Key); err == nil {
			t.Fatal("a closed database took the pair")
		}
		if left := r.waiting(); len(left) != 1 {
			t.Fatalf("%d pairs wait in the journal", len(left))
		}

		again := r.replica(nil)
		r.clock.Advance(time.Minute) // the dead process's lease is over, so the row looks due
		// Whatever comes first, a renewal or the replay: the spent token is not spent again.
		_ = again.Renew(r.ctx, c.Key)
		if left, err := again.Replay(r.ctx); left != 0 || err != nil {
			t.Errorf("replay: %d left, %v", left, err)
		}
		now := r.row(again, c.Key)
		if now.State != connection.Active || now.Token == c.Token {
			t.Errorf("after the replay: %s %s", now.State, now.Reason)
		}
		r.works(now)
		r.emptyJournal()
		if asked, given := r.exchanges(); asked != 1 || given != 1 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
		}
	})
}

// A first install that the database could not take is stored later, unless the person was faster.
func TestInstallIsJournaled(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("again=%v", again), func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				var in replica
				in = r.replica(func(cfg *install.Config) {
					cfg.HTTP = between("auth.test", func(*http.Response) { _ = in.db.Close() })
				})
				start := httptest.NewRecorder()
				in.Handler().ServeHTTP(start, httptest.NewRequest(http.MethodGet, redirect+"/slack/install", nil))
				back, err := r.slack.Authorize(r.ctx, start.Header().Get("Location"), slacksim.AcmeAdmin, slacksim.Choice{})
				if err != nil {
					t.Fatal(err)
				}
				callback := httptest.NewRequest(http.MethodGet, back, nil)
				callback.AddCookie(start.Result().Cookies()[0])
				w := httptest.NewRecorder()
				in.Handler().ServeHTTP(w, callback)
				if w.Code != http.StatusServiceUnavailable {
					t.Fatalf("callback: %d", w.Code)
				}

				next := r.replica(nil)
				if again {
					r.clock.Advance(time.Second)
					r.connect(next, slacksim.AcmeAdmin)
				}
				r.clock.Advance(time.Minute)
				r.settle(next)
				c := r.row(next, connection.Key{AppID: "A0RENEWAL1", TeamID: slacksim.Acme})
				if c.State != connection.Active || c.InstalledBy != slacksim.AcmeAdmin || c.Installs != 1 {
					t.Errorf("%+v", c)
				}
				r.works(c)
				r.emptyJournal()
			})
		})
	}
}

// The answer to an exchange is lost on the way. Within Slack's grace the old refresh token buys another pair; after that the
// connection needs a person, and what is left of its access works to its end.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.slack.SetApp(func(a *slacksim.App) { a.StrictRefresh, a.RefreshGrace = false, time.Minute })
		r.due()
		clear := r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", DropAnswer: true})
		if err := in.Renew(r.ctx, c.Key); !errors.Is(err, connection.ErrRenewing) {
			t.Fatalf("renew: %v", err)
		}
		clear()
		now := r.row(in, c.Key)
		if now.State != connection.Retrying || now.Reason != connection.ReasonRenewalFailing || now.RenewAt.Sub(r.clock.Now()) > 5*time.Second {
			t.Fatalf("after a lost answer: %s %s, again in %v", now.State, now.Reason, now.RenewAt.Sub(r.clock.Now()))
		}
		r.clock.Advance(5 * time.Second)
		if err := in.Renew(r.ctx, c.Key); err != nil {
			t.Fatal(err)
		}
		now = r.row(in, c.Key)
		if now.State != connection.Active || now.Tries != 0 {
			t.Errorf("after the second try: %s %s", now.State, now.Reason)
		}
		r.works(now)

		r.slack.SetApp(func(a *slacksim.App) { a.StrictRefresh = true })
		r.due()
		clear = r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", DropAnswer: true})
		_ = in.Renew(r.ctx, c.Key)
		clear()
		for range 2 {
			r.clock.Advance(time.Minute)
			_ = in.Renew(r.ctx, c.Key)
		}
		now = r.row(in, c.Key)
		if now.State != connection.ReconnectRequired || now.Reason != connection.ReasonRefreshRejected {
			t.Fatalf("a refresh token that is gone: %s %s", now.State, now.Reason)
		}
		if open, err := in.Open(r.ctx, c.Key); err != nil || open.Token != now.Token {
			t.Errorf("its last access token is not used to its end: %v", err)
		}
		if h := in.Check(r.ctx, c.Key); h.State != connection.ReconnectRequired || h.WorksUntil.IsZero() {
			t.Errorf("a good auth.test hides that it needs a person: %s", h.State)
		}
		asked, _ := r.exchanges()
		_ = in.Renew(r.ctx, c.Key)
		if again, _ := r.exchanges(); again != asked {
			t.Error("a dead refresh token is presented on and on")
		}
		r.clock.Advance(life)
		if _, err := in.Open(r.ctx, c.Key); !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("open after the end: %v", err)
		}
		if c := r.connect(in, slacksim.AcmeAdmin); c.ID != now.ID || c.State != connection.Active {
			t.Errorf("reconnect: %+v", c)
		}
	})
}

// Trouble of Slack's or of the network never declares anything dead, however long it lasts.
func TestTroubleIsNotDeath(t *testing.T) {
	t.Parallel()
	faults := map[string]slacksim.Fault{
		"500":                  {Status: 500, Body: "oops"},
		"503 with an error":    {Status: 503, Error: "invalid_refresh_token"},
		"429":                  {RetryAfter: 7},
		"cut":                  {Status: 200, Body: `{"ok":true,"access_tok`},
		"a proxy's page":       {Body: "<html>sign in to the network</html>"},
		"internal_error":       {Error: "internal_error"},
		"a wrong secret":       {Error: "bad_client_secret"},
		"something unheard of": {Error: "team_is_on_fire"},
		"half a pair":          {Body: `{"ok":true,"access_token":"xoxe.xoxb-1-half"}`},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				in := r.replica(nil)
				c := r.connect(in, slacksim.AcmeAdmin)
				r.due()
				fault := fault // both databases at once
				fault.Method = "oauth.v2.access"
				clear := r.slack.Inject(fault)
				var last time.Duration
				for range 12 {
					_ = in.Renew(r.ctx, c.Key)
					now := r.row(in, c.Key)
					wait := now.RenewAt.Sub(r.clock.Now())
					if now.State != connection.Active && now.State != connection.Retrying || now.RefreshToken != c.RefreshToken || wait <= 0 || wait > 20*time.Minute {
						t.Fatalf("%s %s, again in %v", now.State, now.Reason, wait)
					}
					if fault.RetryAfter > 0 && wait < 7*time.Second {
						t.Fatalf("asked to wait 7 s, waits %v", wait)
					}
					last = wait
					r.clock.Advance(wait)
				}
				if fault.Status == 500 && last < 10*time.Minute {
					t.Errorf("after 12 failures the pause is still %v", last)
				}
				clear()
				r.clock.Advance(time.Hour) // the old token may have ended meanwhile; that is no reason either
				if err := in.Renew(r.ctx, c.Key); err != nil {
					t.Fatal(err)
				}
				now := r.row(in, c.Key)
				if now.State != connection.Active || now.Reason != "" || now.Tries != 0 || !now.FailingSince.IsZero() {
					t.Errorf("after the trouble: %s %s", now.State, now.Reason)
				}
				r.works(now)
			})
		})
	}
}

// Why a renewal fails is kept as long as it fails, and a new cause is a line of history.
func TestFailingRenewalSaysWhy(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.due()
		for _, step := range []struct {
			fault slacksim.Fault
			want  string
		}{
			{slacksim.Fault{Status: 500}, "no_answer"}, {slacksim.Fault{Error: "bad_client_secret"}, "bad_client_secret"},
			{slacksim.Fault{Error: "bad_client_secret"}, "bad_client_secret"}, {slacksim.Fault{RetryAfter: 1}, "bad_client_secret"},
			{slacksim.Fault{Status: 502}, "no_answer"},
		} {
			step.fault.Method = "oauth.v2.access"
			clear := r.slack.Inject(step.fault)
			_ = in.Renew(r.ctx, c.Key)
			clear()
			if got := r.row(in, c.Key); got.RenewalError != step.want || got.FailingSince.IsZero() {
				t.Errorf("after %+v: %q since %v", step.fault, got.RenewalError, got.FailingSince)
			}
			r.clock.Advance(time.Hour)
		}
		lines, err := in.History(r.ctx, c, 10)
		if err != nil {
			t.Fatal(err)
		}
		var causes []string
		for _, l := range lines {
			if l.What == connection.DidRenew && l.Outcome == connection.OutcomeFail {
				causes = append(causes, l.Reason)
			}
		}
		if want := []string{"bad_client_secret", "no_answer"}; !slices.Equal(causes, want) {
			t.Errorf("history says %q, newest first, want %q", causes, want)
		}
	})
}

// Slack's OAuth is down when a token has ended: requests are told so, and don't each ask Slack again.
func TestExpiredInTrouble(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.clock.Advance(life + time.Hour)
		clear := r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500})
		for range 20 {
			if _, err := in.Open(r.ctx, c.Key); !errors.Is(err, connection.ErrRenewing) {
				t.Fatalf("open: %v", err)
			}
		}
		if asked, _ := r.exchanges(); asked != 1 {
			t.Errorf("%d calls for 20 requests in one moment", asked)
		}
		for range 20 {
			r.clock.Advance(2 * time.Minute)
			_, _ = in.Open(r.ctx, c.Key)
		}
		if asked, _ := r.exchanges(); asked != 21 {
			t.Errorf("%d calls, one for each two minutes and the first are 21", asked)
		}
		if h := in.Assess(in.Open(r.ctx, c.Key)); h.State != connection.Retrying || h.Reason != connection.ReasonRenewalFailing {
			t.Errorf("shown as %s %s", h.State, h.Reason)
		}
		clear()
		r.clock.Advance(2 * time.Minute)
		now, err := in.Open(r.ctx, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		r.works(now)
	})
}

// A 429 is for the whole app: no other token pair is renewed before its time is over, by no replica.
func TestRateLimitHoldsAll(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, other := r.replica(nil), r.replica(nil)
		a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		r.due()
		r.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", RetryAfter: 30, Times: 1})
		_ = in.Renew(r.ctx, a.Key)
		if err := other.Renew(r.ctx, b.Key); err == nil {
			t.Error("renewed while Slack asked to wait")
		}
		if asked, _ := r.exchanges(); asked != 1 {
			t.Errorf("%d calls", asked)
		}
		r.clock.Advance(40 * time.Second)
		for _, c := range []connection.Connection{a, b} {
			if err := other.Renew(r.ctx, c.Key); err != nil {
				t.Error(err)
			}
			r.works(r.row(in, c.Key))
		}
	})
}

// A long-lived token is moved to rotation once, and keeps working until the first renewal.
func TestMoveToRotation(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		r.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
		c := r.connect(in, slacksim.AcmeAdmin)
		if !c.ExpiresAt.IsZero() || c.RefreshToken != "" || !c.RenewAt.IsZero() {
			t.Fatalf("not long-lived: %+v", c.TokenPair)
		}
		if err := in.Renew(r.ctx, c.Key); err != nil || r.row(in, c.Key).Token != c.Token {
			t.Fatalf("a long-lived token is renewed (%v)", err)
		}
		if err := in.Exchange(r.ctx, c.Key); slackapi.SlackError(err) != "token_rotation_not_enabled" {
			t.Fatalf("exchange without rotation: %v", err)
		}
		if now := r.row(in, c.Key); now.State != connection.Active || now.Token != c.Token {
			t.Errorf("a refused exchange changed the connection: %s", now.State)
		}
		r.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		if err := in.Exchange(r.ctx, c.Key); err != nil {
			t.Fatal(err)
		}
		now := r.row(in, c.Key)
		if now.ExpiresAt.IsZero() || now.RefreshToken == "" || now.RenewAt.IsZero() {
			t.Fatalf("not moved: %+v", now.TokenPair)
		}
		r.works(now)
		if err := in.Exchange(r.ctx, c.Key); err != nil {
			t.Errorf("exchange of what rotates already: %v", err)
		}
		r.due()
		if err := in.Renew(r.ctx, c.Key); err != nil {
			t.Fatal(err)
		}
		r.works(r.row(in, c.Key))
		if n := len(r.slack.Calls("oauth.v2.exchange")); n != 2 {
			t.Errorf("%d exchanges", n)
		}
		if n := len(r.slack.Calls("auth.revoke")); n != 0 {
			t.Error("the old token was revoked")
		}
		r.emptyJournal()
	})
}

// A move whose answer is lost can't be repeated. The long-lived token works on.
func TestLostMove(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		r.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
		c := r.connect(in, slacksim.AcmeAdmin)
		r.slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		clear := r.slack.Inject(slacksim.Fault{Method: "oauth.v2.exchange", DropAnswer: true})
		_ = in.Exchange(r.ctx, c.Key)
		clear()
		r.clock.Advance(time.Minute)
		if err := in.Exchange(r.ctx, c.Key); slackapi.SlackError(err) != "token_already_exchanged" {
			t.Fatalf("second exchange: %v", err)
		}
		open, err := in.Open(r.ctx, c.Key)
		if err != nil || open.Token != c.Token || open.State != connection.Active {
			t.Fatalf("%+v %v", open.State, err)
		}
		if _, err := in.Client(open).AuthTestContext(r.ctx); err != nil {
			t.Error(err)
		}
		if list, err := in.db.LongLived(r.ctx, "", 10); err != nil || len(list) > 0 {
			t.Errorf("it is to be moved again: %v %v", list, err)
		}
	})
}
