package install_test

// What becomes of a connection when Slack says something about it, and who is told.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
)

// The table of states, by Slack's answers to auth.test, each asked as often as given and a minute and a half apart.
func TestStatesFromAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault slacksim.Fault
		times int
		want  connection.State
		why   string
		live  bool // what is shown is Slack's word
	}{
		{slacksim.Fault{Error: "token_revoked"}, 1, connection.ReconnectRequired, "token_revoked", true},
		{slacksim.Fault{Error: "account_inactive"}, 1, connection.Removed, "account_inactive", true},
		{slacksim.Fault{Error: "invalid_auth"}, 1, connection.Retrying, "invalid_auth", true},
		{slacksim.Fault{Error: "invalid_auth"}, 2, connection.ReconnectRequired, "invalid_auth", true},
		{slacksim.Fault{Error: "org_login_required"}, 3, connection.Retrying, "org_login_required", true},
		{slacksim.Fault{Error: "ekm_access_denied"}, 1, connection.Retrying, "ekm_access_denied", true},
		{slacksim.Fault{Error: "internal_error"}, 3, connection.Active, "", false},
		{slacksim.Fault{Error: "fatal_error"}, 3, connection.Active, "", false},
		{slacksim.Fault{Status: 503, Body: "down"}, 3, connection.Active, "", false},
		{slacksim.Fault{RetryAfter: 3}, 3, connection.Active, "", false},
	} {
		t.Run(fmt.Sprintf("%s%d times %d", test.fault.Error, test.fault.Status, test.times), func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				in := r.replica(nil)
				c := r.connect(in, slacksim.AcmeAdmin)
				fault := test.fault // the two databases run beside each other
				fault.Method = "auth.test"
				clear := r.Slack.Inject(fault)
				var h install.Health
				for range test.times {
					r.Clock.Advance(90 * time.Second)
					h = in.Check(r.Ctx, c.Key)
				}
				now := r.Row(in.db, c.Key)
				if now.State != test.want || now.Reason != test.why {
					t.Errorf("kept: %s %s, want %s %s", now.State, now.Reason, test.want, test.why)
				}
				if h.Live != test.live || test.live && h.State != test.want || !test.live && (h.State != connection.Unknown || h.LastKnown != connection.Active) {
					t.Errorf("shown: %s, last known %s", h.State, h.LastKnown)
				}
				if now.State != connection.Active && (now.StateSince.IsZero() || h.ReasonText == "") {
					t.Errorf("no time or no words: %v %q", now.StateSince, h.ReasonText)
				}
				if now.State == connection.Removed && (now.Token != "" || now.RefreshToken != "") {
					t.Error("the access of a removed app is kept")
				}
				clear()
				if test.want == connection.Removed {
					// It is not forgotten: no background check brings it back, and an install does, with the same id.
					r.Clock.Advance(24 * time.Hour)
					if err := in.CheckDue(r.Ctx); err != nil || r.Row(in.db, c.Key).State != connection.Removed {
						t.Errorf("after a day: %s (%v)", r.Row(in.db, c.Key).State, err)
					}
				} else if in.Check(r.Ctx, c.Key); r.Row(in.db, c.Key).State != connection.Active {
					t.Errorf("a good answer does not mend it: %s", r.Row(in.db, c.Key).State)
				}
				if back := r.connect(in, slacksim.AcmeMember); back.ID != c.ID || back.State != connection.Active || back.Reason != "" || !back.CreatedAt.Equal(c.CreatedAt) {
					t.Errorf("reconnect: %+v", back)
				}
				lines, err := in.History(r.Ctx, c, 50)
				if err != nil || slices.ContainsFunc(lines, func(l connection.Change) bool { return l.What == connection.DidChange }) {
					t.Errorf("history: %+v (%v)", lines, err)
				}
			})
		})
	}
}

// The app was removed and the word got lost: the background check finds out, each connection asked by one replica.
func TestBackgroundCheck(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		replicas := []replica{r.replica(nil), r.replica(nil), r.replica(nil)}
		in := replicas[0]
		a, b := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Birch, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		asked := func() int { return len(r.Slack.Calls("auth.test")) }
		before := asked()
		all := func() {
			var wait sync.WaitGroup
			for _, in := range replicas {
				wait.Go(func() {
					if err := in.CheckDue(r.Ctx); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
		}
		all()
		if n := asked() - before; n != 0 {
			t.Errorf("asked %d times right after the install", n)
		}
		r.Clock.Advance(7 * time.Hour)
		all()
		if n := asked() - before; n != 2 {
			t.Errorf("asked %d times about two connections", n)
		}
		if now := r.Row(in.db, a.Key); now.State != connection.Active || !now.CheckedAt.Equal(r.Clock.Now()) {
			t.Errorf("the one that works: %s, checked %v", now.State, now.CheckedAt)
		}
		if now := r.Row(in.db, b.Key); now.State != connection.Removed || now.Reason != "account_inactive" || now.Token != "" {
			t.Errorf("the one that is gone: %s %s", now.State, now.Reason)
		}
	})
}

// What ordinary calls say counts. A bad word is confirmed before it changes anything.
func TestCallsAreEvidence(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		post := func() error {
			open, err := in.Open(r.Ctx, c.Key)
			if err != nil {
				return err
			}
			_, _, err = in.Client(open).PostMessageContext(r.Ctx, slacksim.AcmeAdmin, slack.MsgOptionText("hello", false))
			in.Settle()
			return err
		}
		checks := func() int { return len(r.Slack.Calls("auth.test")) }

		// A lie of one method is asked about, and found out.
		r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "token_revoked", Times: 1})
		before := checks()
		if err := post(); slackapi.SlackError(err) != "token_revoked" {
			t.Fatal(err)
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Active || checks() != before+1 {
			t.Errorf("after a word that was not confirmed: %s, asked %d times", now.State, checks()-before)
		}
		// What is not about the token says that it works.
		r.Clock.Advance(2 * time.Hour)
		r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "not_in_channel", Times: 1})
		_ = post()
		if now := r.Row(in.db, c.Key); !now.CheckedAt.Equal(r.Clock.Now()) {
			t.Errorf("an answer that took the token is no evidence: checked %v", now.CheckedAt)
		}
		// A good call mends what one bad auth.test put in doubt.
		clear := r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: "invalid_auth"})
		in.Check(r.Ctx, c.Key)
		clear()
		if now := r.Row(in.db, c.Key); now.State != connection.Retrying {
			t.Fatalf("%s", now.State)
		}
		r.Clock.Advance(2 * time.Minute)
		if err := post(); err != nil {
			t.Fatal(err)
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Active {
			t.Errorf("a good call does not mend: %s %s", now.State, now.Reason)
		}
		// A token that Slack calls expired before its time is renewed, and nobody is bothered.
		before = len(r.Slack.Calls("oauth.v2.access"))
		r.Clock.Advance(2 * time.Minute)
		r.Slack.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "token_expired", Times: 1})
		r.Slack.Inject(slacksim.Fault{Method: "auth.test", Error: "token_expired", Times: 1})
		_ = post()
		if _, err := in.RenewDue(r.Ctx); err != nil {
			t.Fatal(err)
		}
		now := r.Row(in.db, c.Key)
		if now.State != connection.Active || now.Token == c.Token || len(r.Slack.Calls("oauth.v2.access")) != before+1 {
			t.Errorf("expired before its time: %s %s", now.State, now.Reason)
		}
		r.Works(now)
		// The app is gone, and a call is the first to hear of it.
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		r.Breaches = true // that call
		if err := post(); err == nil {
			t.Fatal("posted to a workspace that removed the app")
		}
		if now := r.Row(in.db, c.Key); now.State != connection.Removed || now.Token != "" {
			t.Errorf("after the removal: %s %s", now.State, now.Reason)
		}
	})
}

// told is the Messages of a program that remembers whom it told.
type told struct {
	mu       sync.Mutex
	to       []string
	resolved int
	refuse   map[string]error
}

func (x *told) config(cfg *install.Config) { cfg.Messages = x }

func (*told) Welcome(context.Context, *slack.Client, connection.Connection) error { return nil }

func (*told) TellMissing(context.Context, *slack.Client, string, install.MissingScopes) (string, string, error) {
	return "", "", errors.New("no test asks for it")
}

func (x *told) Tell(ctx context.Context, client *slack.Client, userID string, h install.Health) (string, string, error) {
	x.mu.Lock()
	refused := x.refuse[userID]
	x.mu.Unlock()
	if refused != nil {
		return "", "", refused
	}
	channel, ts, err := client.PostMessageContext(ctx, userID, slack.MsgOptionText(h.Sentence+" "+h.GrantURL, false))
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		x.to = append(x.to, userID)
	}
	return channel, ts, err
}

func (x *told) Resolve(ctx context.Context, client *slack.Client, n connection.Notice, h install.Health) error {
	_, _, _, err := client.UpdateMessageContext(ctx, n.Channel, n.TS, slack.MsgOptionText("Resolved.", false))
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		x.resolved++
	}
	return err
}

// broken makes the refresh token of c dead, with most of the access token's life before it.
func (r *rig) broken(in replica, c connection.Connection) {
	r.T.Helper()
	if _, err := in.db.Update(r.Ctx, c.Key, func(row *connection.Connection) error {
		row.RefreshToken += "-gone"
		row.Note(connection.Change{What: "test"})
		return nil
	}); err != nil {
		r.T.Fatal(err)
	}
	r.Due()
	for range 2 {
		if _, err := in.RenewDue(r.Ctx); err != nil {
			r.T.Fatal(err)
		}
		r.Clock.Advance(time.Minute)
	}
	if now := r.Row(in.db, c.Key); now.State != connection.ReconnectRequired {
		r.T.Fatalf("not broken: %s", now.State)
	}
}

// One person is told once, whoever runs and however often; the message is edited when all is well.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var x told
		replicas := []replica{r.replica(x.config), r.replica(x.config), r.replica(x.config)}
		c := r.connect(replicas[0], slacksim.AcmeAdmin)
		tell := func() {
			var all sync.WaitGroup
			for i := range 30 {
				all.Go(func() {
					if err := replicas[i%3].TellAll(r.Ctx); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		for round := range 2 { // the second trouble is told of anew
			tell()
			if len(x.to) != round {
				t.Fatalf("told %v before anything was wrong", x.to)
			}
			r.broken(replicas[0], c)
			tell()
			replicas = append(replicas[:2], r.replica(x.config)) // one is started anew
			tell()
			if len(x.to) != round+1 || x.to[round] != slacksim.AcmeAdmin {
				t.Fatalf("told %v", x.to)
			}
			now := r.Row(replicas[0].db, c.Key)
			message := r.Slack.Messages(r.Slack.DM(slacksim.AcmeAdmin), slacksim.AcmeAdmin)
			if n := len(message); n != round+1 || message[n-1].TS != now.Notice.TS {
				t.Errorf("%d messages; the notice is %+v", n, now.Notice)
			}
			r.Clock.Advance(time.Minute)
			r.connect(replicas[0], slacksim.AcmeMember)
			tell()
			tell()
			now = r.Row(replicas[0].db, c.Key)
			if x.resolved < round+1 || now.Notice != (connection.Notice{}) {
				t.Errorf("resolved %d times; the notice is %+v", x.resolved, now.Notice)
			}
			if m := r.Slack.Messages(r.Slack.DM(slacksim.AcmeAdmin), slacksim.AcmeAdmin); m[len(m)-1].Text != "Resolved." {
				t.Errorf("the message says %q", m[len(m)-1].Text)
			}
		}
		tells := 0
		lines, err := replicas[0].History(r.Ctx, c, 100)
		for _, l := range lines {
			if l.What == connection.DidTell {
				tells++
			}
		}
		if err != nil || tells != 4 {
			t.Errorf("%d lines about telling (%v)", tells, err)
		}
	})
}

// Whoever installed has left: a workspace admin is told. Nobody can be: the operator's log and metric say it, once.
func TestToldToAnAdmin(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		var x told
		in := r.replica(x.config)
		c := r.connect(in, slacksim.AcmeMember)
		x.refuse = map[string]error{slacksim.AcmeMember: slack.SlackErrorResponse{Err: "user_disabled"}}
		r.broken(in, c)
		if err := in.TellAll(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.to, []string{slacksim.AcmeAdmin}) {
			t.Errorf("told %v", x.to)
		}
		c = r.connect(in, slacksim.AcmeMember)
		if err := in.TellAll(r.Ctx); err != nil {
			t.Fatal(err)
		}
		x.to, x.refuse = nil, map[string]error{slacksim.AcmeMember: errors.New("connection reset")}
		r.broken(in, c)
		for range 3 {
			if err := in.TellAll(r.Ctx); err != nil {
				t.Fatal(err)
			}
		}
		x.refuse = nil
		if err := in.TellAll(r.Ctx); err != nil || len(x.to) != 0 {
			t.Errorf("a message that may have arrived was sent again, to %v (%v)", x.to, err)
		}
		if now := r.Row(in.db, c.Key); now.Notice.At.IsZero() || now.Notice.TS != "" {
			t.Errorf("notice: %+v", now.Notice)
		}
	})
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		by := connection.Person(slacksim.AcmeAdmin)

		for _, f := range []slacksim.Fault{{Error: "bad_client_secret"}, {Status: 500, Body: "x"}, {RetryAfter: 5}} {
			f.Method = "apps.uninstall"
			clear := r.Slack.Inject(f)
			if _, err := in.Leaving().Disconnect(r.Ctx, c.Key, by); err == nil || r.Row(in.db, c.Key).Token != c.Token {
				t.Errorf("%+v: %v", f, err)
			}
			if lines, err := in.History(r.Ctx, c, 1); err != nil || len(lines) != 1 || lines[0].What != connection.DidDisconnect || lines[0].Outcome != connection.OutcomeFail {
				t.Errorf("%+v: history: %+v (%v)", f, lines, err)
			}
			clear()
		}
		r.Clock.Advance(stage.Life + time.Hour) // its token ran out: it is renewed for this
		said, err := in.Leaving().Disconnect(r.Ctx, c.Key, by)
		if err != nil || said != "ok" {
			t.Fatalf("%q %v", said, err)
		}
		if _, there := r.Slack.Installed(c.TeamID); there {
			t.Error("the app is still installed")
		}
		now := r.Row(in.db, c.Key)
		if now.State != connection.Removed || now.Reason != connection.ReasonDisconnected || now.Token != "" || now.RefreshToken != "" || now.ID != c.ID {
			t.Errorf("%+v", now)
		}
		// Slack's own two events follow, and change nothing.
		for _, reason := range []string{connection.ReasonTokenRevoked, connection.ReasonUninstalled, connection.ReasonTokenRevoked} {
			if err := in.Lifecycle().HandleRemoval(r.Ctx, c.Key, connection.Removal{Reason: reason, At: r.Clock.Now()}); err != nil {
				t.Error(err)
			}
		}
		if again := r.Row(in.db, c.Key); again.Reason != connection.ReasonDisconnected {
			t.Errorf("%s", again.Reason)
		}
		if _, err := in.Leaving().Disconnect(r.Ctx, c.Key, by); !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("twice: %v", err)
		}
		lines, err := in.History(r.Ctx, c, 10)
		if err != nil || lines[0].What != connection.DidDisconnect || lines[0].By != by || lines[0].Outcome != connection.OutcomeDone || lines[0].Reason != "ok" {
			t.Errorf("history: %+v (%v)", lines, err)
		}
		if back := r.connect(in, slacksim.AcmeAdmin); back.ID != c.ID || back.State != connection.Active {
			t.Errorf("back: %+v", back)
		}
		// Removed in Slack meanwhile, and the word is lost.
		if err := r.Slack.Admins.Uninstall(r.Ctx, slacksim.Acme, slacksim.NoUninstallEvents); err != nil {
			t.Fatal(err)
		}
		r.Breaches = true // the dead token is used once more, to ask
		if said, err := in.Leaving().Disconnect(r.Ctx, c.Key, by); err != nil || said != "account_inactive" || r.Row(in.db, c.Key).Token != "" {
			t.Errorf("%q %v", said, err)
		}
	})
}

// slowNotes is a database that hangs, once, on the line of a disconnect that failed.
type slowNotes struct {
	*storage.DB
	reached, goOn chan struct{}
	once          sync.Once
}

func (s *slowNotes) Update(ctx context.Context, k connection.Key, change func(*connection.Connection) error) (connection.Connection, error) {
	s.once.Do(func() { close(s.reached); <-s.goOn })
	return s.DB.Update(ctx, k, change)
}

// A person waits a moment for the record of what failed, not for ever. What comes after that isn't followed by it: the history
// never says "not disconnected" of what is.
func TestFailureStandsBehindNoSuccess(t *testing.T) {
	r := sqliteRig(t)
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	slow := &slowNotes{DB: in.db, reached: make(chan struct{}), goOn: make(chan struct{})}
	waiting := r.replica(func(cfg *install.Config) { cfg.Store = slow })
	by := connection.Person(slacksim.AcmeAdmin)

	r.Slack.Inject(slacksim.Fault{Method: "apps.uninstall", Error: "internal_error", Times: 1})
	ctx, leave := context.WithCancel(r.Ctx)
	go func() { <-slow.reached; leave() }()
	if said, err := waiting.Leaving().Disconnect(ctx, c.Key, by); said != "internal_error" || err == nil {
		t.Fatalf("%q %v", said, err)
	}
	if said, err := in.Leaving().Disconnect(r.Ctx, c.Key, by); said != "ok" || err != nil {
		t.Fatalf("%q %v", said, err)
	}
	close(slow.goOn)
	waiting.Settle()

	lines, err := in.History(r.Ctx, c, 5)
	if err != nil || len(lines) != 2 || lines[0].What != connection.DidDisconnect || lines[0].Outcome != connection.OutcomeDone {
		t.Errorf("history: %+v (%v)", lines, err)
	}
}

// Two who disconnect in one moment both read that it is done, and history tells it once.
func TestDisconnectedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Breaches = true // the second one asks with a token that the first one ended
		first := r.replica(func(cfg *install.Config) {
			cfg.HTTP = stage.Between("apps.uninstall", func(*http.Response) {
				said, err := in.Leaving().Disconnect(r.Ctx, c.Key, connection.Person(slacksim.AcmeMember))
				if said != "account_inactive" || err != nil {
					t.Errorf("the second: %q %v", said, err)
				}
			})
		})
		if said, err := first.Leaving().Disconnect(r.Ctx, c.Key, connection.Person(slacksim.AcmeAdmin)); said != "ok" || err != nil {
			t.Errorf("the first: %q %v", said, err)
		}

		lines, err := in.History(r.Ctx, c, 5)
		if err != nil || len(lines) != 2 || lines[0].What != connection.DidDisconnect || lines[1].What != connection.DidInstall {
			t.Errorf("history: %+v (%v)", lines, err)
		}
	})
}

// Facts and history of a removed connection are kept for a time, and then gone.
func TestRemovedIsSwept(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(func(cfg *install.Config) { cfg.Keep = 30 * 24 * time.Hour })
		c, other := r.connect(in, slacksim.AcmeAdmin), r.connect(in, slacksim.BirchAdmin)
		if _, err := in.Leaving().Disconnect(r.Ctx, c.Key, connection.Actor{Kind: connection.ByOperator}); err != nil {
			t.Fatal(err)
		}
		r.Clock.Advance(29 * 24 * time.Hour)
		if err := in.Sweep(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if lines, err := in.History(r.Ctx, c, 10); err != nil || len(lines) != 2 {
			t.Errorf("after 29 days: %d lines (%v)", len(lines), err)
		}
		r.Clock.Advance(2 * 24 * time.Hour)
		if err := in.Sweep(r.Ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := in.db.Get(r.Ctx, c.ID); !errors.Is(err, connection.ErrNotFound) {
			t.Errorf("after 31 days: %v", err)
		}
		if lines, err := in.History(r.Ctx, c, 10); err != nil || len(lines) != 0 {
			t.Errorf("after 31 days: %d lines (%v)", len(lines), err)
		}
		if _, err := in.db.Get(r.Ctx, other.ID); err != nil {
			t.Error(err)
		}
	})
}

// The answer to an exchange is lost on the way. Within Slack's grace the old refresh token buys another pair; after that the
// connection needs a person, and what is left of its access works to its end.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Slack.SetApp(func(a *slacksim.App) { a.StrictRefresh, a.RefreshGrace = false, time.Minute })
		r.Due()
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", DropAnswer: true})
		if err := in.Renew(r.Ctx, c.Key); !errors.Is(err, connection.ErrRenewing) {
			t.Fatalf("renew: %v", err)
		}
		clear()
		now := r.Row(in.db, c.Key)
		if now.State != connection.Retrying || now.Reason != connection.ReasonRenewalFailing || now.RenewAt.Sub(r.Clock.Now()) > 5*time.Second {
			t.Fatalf("after a lost answer: %s %s, again in %v", now.State, now.Reason, now.RenewAt.Sub(r.Clock.Now()))
		}
		r.Clock.Advance(5 * time.Second)
		if err := in.Renew(r.Ctx, c.Key); err != nil {
			t.Fatal(err)
		}
		now = r.Row(in.db, c.Key)
		if now.State != connection.Active || now.Tries != 0 {
			t.Errorf("after the second try: %s %s", now.State, now.Reason)
		}
		r.Works(now)

		r.Slack.SetApp(func(a *slacksim.App) { a.StrictRefresh = true })
		r.Due()
		clear = r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", DropAnswer: true})
		_ = in.Renew(r.Ctx, c.Key)
		clear()
		for range 2 {
			r.Clock.Advance(time.Minute)
			_ = in.Renew(r.Ctx, c.Key)
		}
		now = r.Row(in.db, c.Key)
		if now.State != connection.ReconnectRequired || now.Reason != connection.ReasonRefreshRejected {
			t.Fatalf("a refresh token that is gone: %s %s", now.State, now.Reason)
		}
		if open, err := in.Open(r.Ctx, c.Key); err != nil || open.Token != now.Token {
			t.Errorf("its last access token is not used to its end: %v", err)
		}
		if h := in.Check(r.Ctx, c.Key); h.State != connection.ReconnectRequired || h.WorksUntil.IsZero() {
			t.Errorf("a good auth.test hides that it needs a person: %s", h.State)
		}
		asked, _ := r.Exchanges()
		_ = in.Renew(r.Ctx, c.Key)
		if again, _ := r.Exchanges(); again != asked {
			t.Error("a dead refresh token is presented on and on")
		}
		r.Clock.Advance(stage.Life)
		if _, err := in.Open(r.Ctx, c.Key); !errors.Is(err, connection.ErrNotConnected) {
			t.Errorf("open after the end: %v", err)
		}
		if c := r.connect(in, slacksim.AcmeAdmin); c.ID != now.ID || c.State != connection.Active {
			t.Errorf("reconnect: %+v", c)
		}
	})
}

// Slack's OAuth is down when a token has ended: requests are told so, and don't each ask Slack again.
func TestExpiredInTrouble(t *testing.T) {
	t.Parallel()
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		r.Clock.Advance(stage.Life + time.Hour)
		clear := r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Status: 500})
		for range 20 {
			if _, err := in.Open(r.Ctx, c.Key); !errors.Is(err, connection.ErrRenewing) {
				t.Fatalf("open: %v", err)
			}
		}
		if asked, _ := r.Exchanges(); asked != 1 {
			t.Errorf("%d calls for 20 requests in one moment", asked)
		}
		for range 20 {
			r.Clock.Advance(2 * time.Minute)
			_, _ = in.Open(r.Ctx, c.Key)
		}
		if asked, _ := r.Exchanges(); asked != 21 {
			t.Errorf("%d calls, one for each two minutes and the first are 21", asked)
		}
		if h := in.Assess(in.Open(r.Ctx, c.Key)); h.State != connection.Retrying || h.Reason != connection.ReasonRenewalFailing {
			t.Errorf("shown as %s %s", h.State, h.Reason)
		}
		clear()
		r.Clock.Advance(2 * time.Minute)
		now, err := in.Open(r.Ctx, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		r.Works(now)
	})
}
