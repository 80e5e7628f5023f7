package tokens_test

// The promises about tokens, each against slacksim over HTTP and both databases: spent once, never lost, never given up
// for trouble that passes.

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

func TestRenewsAheadOfTheEnd(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		if early, late := stage.Life*15/24, stage.Life*17/24; c.RenewAt.Before(r.Clock.Now().Add(early)) ||
			c.RenewAt.After(r.Clock.Now().Add(late)) {
			t.Errorf("a token of %v is renewed after %v, not after two thirds of that", stage.Life, c.RenewAt.Sub(r.Clock.Now()))
		}
		for generation := range 3 {
			if err := in.Renew(r.Ctx, c.Key); err != nil {
				t.Fatal(err)
			}
			if now := r.Row(in.db, c.Key); now.Token != c.Token {
				t.Fatal("renewed before its time")
			}
			r.Due()
			if err := in.Renew(r.Ctx, c.Key); err != nil {
				t.Fatal(err)
			}
			now := r.Row(in.db, c.Key)
			if now.Token == c.Token || now.ID != c.ID || now.State != connection.Active || !now.LeaseUntil.IsZero() ||
				!now.ExpiresAt.Equal(r.Clock.Now().Add(stage.Life)) {
				t.Fatalf("generation %d: %+v", generation, now)
			}
			r.Works(now)
			c = now
		}
		if asked, given := r.Exchanges(); asked != 3 || given != 3 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
		}
		r.EmptyJournal()
		lines, err := in.db.History(r.Ctx, c.ID, 10)
		if err != nil || len(lines) != 4 || lines[0].What != connection.DidRenew ||
			lines[0].By.Kind != connection.BySwitchboard || lines[3].What != connection.DidInstall {
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
		r.Due()
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() { _ = replicas[i%3].Renew(r.Ctx, c.Key) }) // those who find it leased say so
		}
		all.Wait()
		if asked, given := r.Exchanges(); asked != 1 || given != 1 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
		}
		r.Works(r.Row(replicas[0].db, c.Key))
	})
}

// An expired token in use is renewed at once by one caller; the others get what it brought home.
func TestExpiredInUse(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		replicas := []replica{r.replica(nil), r.replica(nil), r.replica(nil)}
		c := r.connect(replicas[0], slacksim.AcmeAdmin)
		r.Clock.Advance(stage.Life + time.Hour)
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				in := replicas[i%3]
				got, err := in.Open(r.Ctx, c.Key)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := in.Client(got).AuthTestContext(r.Ctx); err != nil {
					t.Errorf("the token that was opened does not work: %v", err)
				}
			})
		}
		all.Wait()
		if asked, given := r.Exchanges(); asked != 1 || given != 1 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
		}
	})
}

// The caller hangs up while Slack answers: what Slack handed out is kept all the same.
func TestCallerHangsUp(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		ctx, hangUp := context.WithCancel(r.Ctx)
		in := r.replica(func(cfg *config) {
			cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
				if stage.IsRefresh(resp.Request) {
					hangUp()
				}
			})
		})
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Clock.Advance(stage.Life + time.Hour)
		if _, err := in.Open(ctx, c.Key); err == nil {
			t.Fatal("the caller waited on after it hung up")
		}
		// Whoever asks next joins the renewal, or finds it done.
		now, err := in.Open(r.Ctx, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		r.Works(now)
		if asked, _ := r.Exchanges(); asked != 1 {
			t.Errorf("%d exchanges", asked)
		}
		r.EmptyJournal()
	})
}

// A re-install that comes while Slack answers a renewal is newer than what the renewal brings.
func TestReinstallDuringRenewal(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		other := r.replica(nil)
		var c connection.Connection
		in := r.replica(func(cfg *config) {
			cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
				if stage.IsRefresh(resp.Request) {
					c = r.connect(other, slacksim.AcmeAdmin)
				}
			})
		})
		was := r.connect(other, slacksim.AcmeAdmin)
		r.Due()
		_ = in.Renew(r.Ctx, was.Key)
		now := r.Row(in.db, was.Key)
		if now.Token != c.Token || now.RefreshToken != c.RefreshToken || now.State != connection.Active {
			t.Error("the renewal wrote over a newer install")
		}
		r.Works(now)
		r.EmptyJournal()
	})
}

// Slack refuses a refresh token that somebody else has spent meanwhile: nothing is dead.
func TestRejectionOfThePast(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		other := r.replica(nil)
		in := r.replica(func(cfg *config) {
			next := slackapi.NewHTTPClient().Transport
			cfg.HTTP = &http.Client{Transport: stage.RoundTripper(func(req *http.Request) (*http.Response, error) {
				if stage.IsRefresh(req) {
					r.connect(other, slacksim.AcmeAdmin) // spends the refresh token that is on its way
				}
				return next.RoundTrip(req)
			})}
		})
		r.Breaches = true // it is presented though it is spent; that can't be known
		was := r.connect(other, slacksim.AcmeAdmin)
		r.Due()
		for range 3 { // as often as it takes to be believed
			_ = in.Renew(r.Ctx, was.Key)
			r.Due()
		}
		now := r.Row(in.db, was.Key)
		if now.State != connection.Active {
			t.Errorf("declared %s (%s) though it was installed anew", now.State, now.Reason)
		}
		r.Works(now)
	})
}

// The database goes away between Slack's answer and the store, and the process is killed. What Slack handed out is in
// the journal, and home after the next start.
func TestDatabaseGoneAndKilled(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var in replica
		in = r.replica(func(cfg *config) {
			cfg.HTTP = stage.Between("oauth.v2.access", func(resp *http.Response) {
				if stage.IsRefresh(resp.Request) {
					_ = in.db.Close()
				}
			})
		})
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Due()
		if err := in.Renew(r.Ctx, c.Key); err == nil {
			t.Fatal("a closed database took the pair")
		}
		if left := r.Waiting(); len(left) != 1 {
			t.Fatalf("%d pairs wait in the journal", len(left))
		}

		again := r.replica(nil)
		r.Clock.Advance(time.Minute) // the dead process's lease is over, so the row looks due
		// Whatever comes first, a renewal or the replay: the spent token is not spent again.
		_ = again.Renew(r.Ctx, c.Key)
		if left, err := again.Reconciler.Replay(r.Ctx); left != 0 || err != nil {
			t.Errorf("replay: %d left, %v", left, err)
		}
		now := r.Row(again.db, c.Key)
		if now.State != connection.Active || now.Token == c.Token {
			t.Errorf("after the replay: %s %s", now.State, now.Reason)
		}
		r.Works(now)
		r.EmptyJournal()
		if asked, given := r.Exchanges(); asked != 1 || given != 1 {
			t.Errorf("%d exchanges, %d pairs", asked, given)
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
				r.Due()
				fault := fault // both databases at once
				fault.Method = "oauth.v2.access"
				clear := r.Slack.Inject(fault)
				var last time.Duration
				for range 12 {
					_ = in.Renew(r.Ctx, c.Key)
					now := r.Row(in.db, c.Key)
					wait := now.RenewAt.Sub(r.Clock.Now())
					if now.State != connection.Active && now.State != connection.Retrying || now.RefreshToken != c.RefreshToken ||
						wait <= 0 || wait > 20*time.Minute {
						t.Fatalf("%s %s, again in %v", now.State, now.Reason, wait)
					}
					if fault.RetryAfter > 0 && wait < 7*time.Second {
						t.Fatalf("asked to wait 7 s, waits %v", wait)
					}
					last = wait
					r.Clock.Advance(wait)
				}
				if fault.Status == 500 && last < 10*time.Minute {
					t.Errorf("after 12 failures the pause is still %v", last)
				}
				clear()
				r.Clock.Advance(time.Hour) // the old token may have ended meanwhile; that is no reason either
				if err := in.Renew(r.Ctx, c.Key); err != nil {
					t.Fatal(err)
				}
				now := r.Row(in.db, c.Key)
				if now.State != connection.Active || now.Reason != "" || now.Tries != 0 || !now.FailingSince.IsZero() {
					t.Errorf("after the trouble: %s %s", now.State, now.Reason)
				}
				r.Works(now)
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
		r.Due()
		for _, step := range []struct {
			fault slacksim.Fault
			want  string
		}{
			{slacksim.Fault{Status: 500}, "no_answer"}, {slacksim.Fault{Error: "bad_client_secret"}, "bad_client_secret"},
			{slacksim.Fault{Error: "bad_client_secret"}, "bad_client_secret"},
			{slacksim.Fault{RetryAfter: 1}, "bad_client_secret"}, {slacksim.Fault{Status: 502}, "no_answer"},
		} {
			step.fault.Method = "oauth.v2.access"
			clear := r.Slack.Inject(step.fault)
			_ = in.Renew(r.Ctx, c.Key)
			clear()
			if got := r.Row(in.db, c.Key); got.RenewalError != step.want || got.FailingSince.IsZero() {
				t.Errorf("after %+v: %q since %v", step.fault, got.RenewalError, got.FailingSince)
			}
			r.Clock.Advance(time.Hour)
		}
		lines, err := in.db.History(r.Ctx, c.ID, 10)
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

// A renewal that fails for hours is one line when it begins and one when it ends. Slack's limits are no fault.
func TestFailingRenewalIsTwoLines(t *testing.T) {
	r := sqliteRig(t)
	var log bytes.Buffer
	in := r.replica(func(c *config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	c := r.connect(in, slacksim.AcmeAdmin)
	r.Due()
	for range 6 {
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500})
		_ = in.Renew(r.Ctx, c.Key)
		clear()
		r.Clock.Advance(time.Hour)
	}
	r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", RetryAfter: 7, Times: 1})
	_ = in.Renew(r.Ctx, c.Key)
	r.Clock.Advance(time.Minute)
	if err := in.Renew(r.Ctx, c.Key); err != nil {
		t.Fatal(err)
	}

	count := func(words string) int { return strings.Count(log.String(), words) }
	if count("level=WARN") != 1 || count(`level=WARN msg="not renewed"`) != 1 || count("level=ERROR") != 0 ||
		count(`level=INFO msg="renewed again"`) != 1 || count("failures=6") != 1 {
		t.Errorf("a renewal that failed six times, met a limit and was made:\n%s", &log)
	}
}

// A 429 is for the whole app: no other token pair is renewed before its time is over, by no replica.
func TestRateLimitHoldsAll(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in, other := r.replica(nil), r.replica(nil)
		a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		r.Due()
		r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", RetryAfter: 30, Times: 1})
		_ = in.Renew(r.Ctx, a.Key)
		if err := other.Renew(r.Ctx, b.Key); err == nil {
			t.Error("renewed while Slack asked to wait")
		}
		if asked, _ := r.Exchanges(); asked != 1 {
			t.Errorf("%d calls", asked)
		}
		r.Clock.Advance(40 * time.Second)
		for _, c := range []connection.Connection{a, b} {
			if err := other.Renew(r.Ctx, c.Key); err != nil {
				t.Error(err)
			}
			r.Works(r.Row(in.db, c.Key))
		}
	})
}

// A long-lived token is moved to rotation once, and keeps working until the first renewal.
func TestMoveToRotation(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
		c := r.connect(in, slacksim.AcmeAdmin)
		if !c.ExpiresAt.IsZero() || c.RefreshToken != "" || !c.RenewAt.IsZero() {
			t.Fatalf("not long-lived: %+v", c.TokenPair)
		}
		if err := in.Renew(r.Ctx, c.Key); err != nil || r.Row(in.db, c.Key).Token != c.Token {
			t.Fatalf("a long-lived token is renewed (%v)", err)
		}
		if err := in.Exchange(r.Ctx, c.Key); slackapi.SlackError(err) != "token_rotation_not_enabled" {
			t.Fatalf("exchange without rotation: %v", err)
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Active || now.Token != c.Token {
			t.Errorf("a refused exchange changed the connection: %s", now.State)
		}
		r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		if err := in.Exchange(r.Ctx, c.Key); err != nil {
			t.Fatal(err)
		}
		now := r.Row(in.db, c.Key)
		if now.ExpiresAt.IsZero() || now.RefreshToken == "" || now.RenewAt.IsZero() {
			t.Fatalf("not moved: %+v", now.TokenPair)
		}
		r.Works(now)
		if err := in.Exchange(r.Ctx, c.Key); err != nil {
			t.Errorf("exchange of what rotates already: %v", err)
		}
		r.Due()
		if err := in.Renew(r.Ctx, c.Key); err != nil {
			t.Fatal(err)
		}
		r.Works(r.Row(in.db, c.Key))
		if n := len(r.Slack.Calls("oauth.v2.exchange")); n != 2 {
			t.Errorf("%d exchanges", n)
		}
		if n := len(r.Slack.Calls("auth.revoke")); n != 0 {
			t.Error("the old token was revoked")
		}
		r.EmptyJournal()
	})
}

// A move whose answer is lost can't be repeated. The long-lived token works on.
func TestLostMove(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = false })
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Slack.SetApp(func(a *slacksim.App) { a.TokenRotation = true })
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.exchange", DropAnswer: true})
		_ = in.Exchange(r.Ctx, c.Key)
		clear()
		r.Clock.Advance(time.Minute)
		if err := in.Exchange(r.Ctx, c.Key); slackapi.SlackError(err) != "token_already_exchanged" {
			t.Fatalf("second exchange: %v", err)
		}
		open, err := in.Open(r.Ctx, c.Key)
		if err != nil || open.Token != c.Token || open.State != connection.Active {
			t.Fatalf("%+v %v", open.State, err)
		}
		if _, err := in.Client(open).AuthTestContext(r.Ctx); err != nil {
			t.Error(err)
		}
		if list, err := in.db.LongLived(r.Ctx, "", 10); err != nil || len(list) > 0 {
			t.Errorf("it is to be moved again: %v %v", list, err)
		}
	})
}
