package slackapi

// Calls keep to Slack's limits by waiting. Where a test is about time it goes by the clock of a synctest bubble, in
// which slacksim is called without a network: seconds pass at once, and to the nanosecond.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// direct calls a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// traffic is an app in two workspaces, and what it has sent since the beginning.
type traffic struct {
	*testing.T
	slack       *slacksim.Sim
	api         *API
	numbers     map[string]int // how many calls met a limit, by method and result
	began       time.Time
	acme, birch connection.Connection
	person      connection.UserToken // of AcmeAdmin

	work   sync.WaitGroup
	mu     sync.Mutex
	failed []error // what went wrong with the calls that each began
}

func newTraffic(t *testing.T, change func(*API)) *traffic {
	x := &traffic{T: t, numbers: map[string]int{}, began: time.Now()}
	x.slack = slacksim.New(slacksim.Config{App: slacksim.App{ID: "A1", ClientID: "1.2", ClientSecret: "s",
		SigningSecret: "s", RedirectURLs: []string{"http://127.0.0.1:9"}, MessagesTab: true}})
	x.slack.SetURL("http://slack.test")
	x.slack.AddSmallWorld()
	x.api = &API{Address: x.slack.URL(), HTTP: &http.Client{Transport: direct{x.slack.Handler()}}, Now: time.Now,
		Met: x.met}
	if change != nil {
		change(x.api)
	}
	x.acme = x.grant(slacksim.Acme, slacksim.AcmeAdmin)
	x.birch = x.grant(slacksim.Birch, slacksim.BirchAdmin)
	at, _ := x.slack.Installed(slacksim.Acme)
	other, _ := x.slack.Installed(slacksim.Birch)
	if err := errors.Join(x.slack.Invite(ctx, slacksim.AcmeAdmin, general, at.BotUserID),
		x.slack.Invite(ctx, slacksim.AcmeAdmin, project, at.BotUserID),
		x.slack.Invite(ctx, slacksim.BirchAdmin, elsewhere, other.BotUserID)); err != nil {
		t.Fatal(err)
	}
	x.person = connection.UserToken{TokenOwner: connection.TokenOwner{Key: x.acme.Key, UserID: slacksim.AcmeAdmin},
		TokenPair: connection.TokenPair{Token: connection.Secret(at.UserTokens[slacksim.AcmeAdmin])}}
	return x
}

func (x *traffic) grant(team, user string) connection.Connection {
	x.Helper()
	query := url.Values{"client_id": {"1.2"}, "state": {"s"}, "redirect_uri": {"http://127.0.0.1:9"},
		"scope": {"chat:write,users:read,team:read"}, "user_scope": {"users:read"}}
	back, err := x.slack.Authorize(context.Background(), x.slack.URL()+"/oauth/v2/authorize?"+query.Encode(), user,
		slacksim.Choice{})
	if err != nil {
		x.Fatal(err)
	}
	u, _ := url.Parse(back)
	got, err := x.api.OAuth(context.Background(), "oauth.v2.access",
		url.Values{"client_id": {"1.2"}, "client_secret": {"s"}, "code": {u.Query().Get("code")},
			"redirect_uri": {"http://127.0.0.1:9"}})
	if err != nil {
		x.Fatal(err)
	}
	at, _ := x.slack.Installed(team)
	return connection.Connection{Key: connection.Key{AppID: "A1", TeamID: team}, ID: "of " + team, BotID: at.BotID,
		State: connection.Active, CheckedAt: x.api.Now(), Scopes: connection.SplitScopes(string(got.Scope)),
		TokenPair: connection.TokenPair{Token: connection.Secret(got.AccessToken)}}
}

func (x *traffic) post(ctx context.Context, c connection.Connection, channel, text string) error {
	_, _, err := x.client(c).PostMessageContext(ctx, channel, slack.MsgOptionText(text, false))
	return err
}

func (x *traffic) user(ctx context.Context, c connection.Connection) error {
	_, err := x.client(c).GetUserInfoContext(ctx,
		map[string]string{slacksim.Acme: slacksim.AcmeMember, slacksim.Birch: slacksim.BirchMember}[c.TeamID])
	return err
}

// each begins n calls in this order and keeps their errors.
func (x *traffic) each(n int, call func(i int) error) {
	for i := range n {
		x.work.Go(func() {
			if err := call(i); err != nil {
				x.mu.Lock()
				x.failed = append(x.failed, err)
				x.mu.Unlock()
			}
		})
		synctest.Wait() // it is sent, or waits
	}
}

// done waits for the calls that each began; all must have worked.
func (x *traffic) done() {
	x.Helper()
	x.work.Wait()
	x.fine(x.failed...)
}

func (x *traffic) fine(errs ...error) {
	x.Helper()
	for _, err := range errs {
		if err != nil {
			x.Error(err)
		}
	}
}

// limited fails the test unless err says to come back after left.
func (x *traffic) limited(err error, left time.Duration) {
	x.Helper()
	var limited *slack.RateLimitedError
	if !errors.As(err, &limited) || (limited.RetryAfter-left).Abs() > time.Millisecond {
		x.Errorf("%v, not that it is possible after %v", err, left)
	}
}

// sent fails the test unless Slack got the calls of a method at these seconds. Of messages those of a channel are
// meant.
func (x *traffic) sent(method, team, channel string, want ...float64) {
	x.Helper()
	var got []float64
	for _, c := range x.slack.Calls(method) {
		if c.TeamID == team && c.Arg("channel") == channel && !c.At.Before(x.began) {
			got = append(got, c.At.Sub(x.began).Round(time.Millisecond).Seconds())
		}
	}
	if !slices.Equal(got, want) {
		x.Errorf("%s %s of %s: sent at %v, not at %v", method, channel, team, got, want)
	}
}

// met counts what became of a call, for count.
func (x *traffic) met(method, result string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.numbers[method+" "+result]++
}

// count is how many calls met a limit with this result.
func (x *traffic) count(method, result string) float64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return float64(x.numbers[method+" "+result])
}

func (x *traffic) client(c connection.Connection) *slack.Client {
	return x.api.Client(c.Token, c.Key, "", x.api.HTTP)
}

func (x *traffic) userClient(u connection.UserToken) *slack.Client {
	return x.api.Client(u.Token, u.Key, "", x.api.HTTP)
}

const (
	general, project = slacksim.AcmeGeneral, slacksim.AcmeRandom
	elsewhere        = slacksim.BirchGeneral
)

var ctx = context.Background()

func bubble(t *testing.T, name string, change func(*API), test func(x *traffic)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(newTraffic(t, change)) }) })
}

func TestCallsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	bubble(t, "a message a second", nil, func(x *traffic) {
		x.each(12, func(i int) error { return x.post(ctx, x.acme, general, fmt.Sprint("message ", i)) })
		// Nobody else waits for this channel: not another one, not another method or workspace.
		x.fine(x.post(ctx, x.acme, project, "a"), x.post(ctx, x.birch, elsewhere, "b"), x.user(ctx, x.acme))
		x.sent(postMessage, slacksim.Acme, project, 0)
		x.sent(postMessage, slacksim.Birch, elsewhere, 0)
		x.sent("users.info", slacksim.Acme, "", 0)
		x.done()
		x.sent(postMessage, slacksim.Acme, general, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7)
		var texts []string
		for _, m := range x.slack.Messages(general, slacksim.AcmeAdmin) {
			if strings.HasPrefix(m.Text, "message ") {
				texts = append(texts, m.Text)
			}
		}
		if len(texts) != 12 || texts[0] != "message 0" || texts[11] != "message 11" {
			x.Errorf("posted %q, not each in its turn", texts)
		}
		if n := x.count(postMessage, "waited"); n != 7 {
			x.Errorf("%v waited", n)
		}
		time.Sleep(10 * time.Second) // after a quiet while some may go at once again
		x.began = time.Now()
		x.each(6, func(int) error { return x.post(ctx, x.acme, general, "later") })
		x.done()
		x.sent(postMessage, slacksim.Acme, general, 0, 0, 0, 0, 0, 1)
	})
	bubble(t, "the workspace's ceiling", nil, func(x *traffic) {
		people := make([]string, posts.burst+2)
		for i := range people {
			people[i] = x.slack.AddUser(slacksim.User{ID: fmt.Sprintf("U0ACME%04d", i), TeamID: slacksim.Acme,
				Name: fmt.Sprint("p", i)}).ID
		}
		x.each(len(people), func(i int) error { return x.post(ctx, x.acme, people[i], "to all") })
		x.fine(x.post(ctx, x.birch, elsewhere, "b"))
		x.done()
		x.sent(postMessage, slacksim.Birch, elsewhere, 0)
		x.sent(postMessage, slacksim.Acme, people[posts.burst-1], 0)
		x.sent(postMessage, slacksim.Acme, people[posts.burst], .2)
		x.sent(postMessage, slacksim.Acme, people[posts.burst+1], .4)
	})
	bubble(t, "a method", nil, func(x *traffic) {
		client := x.client(x.acme)
		x.each(tier3.burst+2, func(int) error { _, err := client.GetTeamInfoContext(ctx); return err })
		x.fine(x.user(ctx, x.acme)) // other methods are counted separately
		x.sent("users.info", slacksim.Acme, "", 0)
		x.done()
		want := make([]float64, tier3.burst)
		x.sent("team.info", slacksim.Acme, "", append(want, 1.2, 2.4)...)
	})
	bubble(t, "a method that handlers brought", nil, func(x *traffic) {
		x.each(tier3.burst+1, func(int) error {
			_, err := x.client(x.acme).GetBotInfoContext(ctx, slack.GetBotInfoParameters{Bot: x.acme.BotID})
			return err
		})
		x.done()
		x.sent("bots.info", slacksim.Acme, "", append(make([]float64, tier3.burst), 1.2)...)
		if n := x.count("other", "waited"); n != 1 {
			x.Errorf("%v waited", n)
		}
	})
	bubble(t, "a person's token counts for the workspace", nil, func(x *traffic) {
		x.each(tier4.burst, func(int) error { return x.user(ctx, x.acme) })
		_, err := x.userClient(x.person).GetUserInfoContext(ctx, slacksim.AcmeMember)
		x.fine(err)
		x.done()
		x.sent("users.info", slacksim.Acme, "", append(make([]float64, tier4.burst), .6)...)
	})
	// The turns that were waited for have come, whatever the clock says.
	fixed := time.Now()
	bubble(t, "a clock that stands still", func(a *API) { a.Now = func() time.Time { return fixed } }, func(x *traffic) {
		for range 8 {
			x.fine(x.post(ctx, x.acme, general, "hello"))
		}
		x.sent(postMessage, slacksim.Acme, general, 0, 0, 0, 0, 0, 1, 2, 3)
	})
}

func TestTurnsTooFarAway(t *testing.T) {
	t.Parallel()
	bubble(t, "patience", nil, func(x *traffic) {
		x.each(15, func(int) error { return x.post(ctx, x.acme, general, "hello") })
		x.limited(x.post(ctx, x.acme, general, "one more"), 11*time.Second)
		if took := time.Since(x.began); took > 0 {
			x.Errorf("it took %v to say so", took)
		}
		if n := x.count(postMessage, "turned_away"); n != 1 {
			x.Errorf("%v turned away", n)
		}
		x.done()
		time.Sleep(time.Second)
		x.fine(x.post(ctx, x.acme, general, "one more")) // when it was told to
		x.sent(postMessage, slacksim.Acme, general, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
	})
	bubble(t, "a deadline", nil, func(x *traffic) {
		x.each(6, func(int) error { return x.post(ctx, x.acme, general, "hello") })
		short, cancel := context.WithTimeout(ctx, 2*time.Second+turnSpare-1)
		defer cancel()
		x.limited(x.post(short, x.acme, general, "with too little time for the answer"), 2*time.Second)
		long, cancel := context.WithTimeout(ctx, 2*time.Second+turnSpare)
		defer cancel()
		x.fine(x.post(long, x.acme, general, "just in time"))
		x.done()
		x.sent(postMessage, slacksim.Acme, general, 0, 0, 0, 0, 0, 1, 2)
	})
	bubble(t, "hangs up while it waits", nil, func(x *traffic) {
		x.each(5, func(int) error { return x.post(ctx, x.acme, general, "hello") })
		gone, hangUp := context.WithCancel(ctx)
		x.each(1, func(int) error {
			if err := x.post(gone, x.acme, general, "never mind"); !errors.Is(err, context.Canceled) {
				x.Errorf("hung up: %v", err)
			}
			return nil
		})
		hangUp()
		synctest.Wait()
		x.fine(x.post(ctx, x.acme, general, "in its place"))
		x.done()
		x.sent(postMessage, slacksim.Acme, general, 0, 0, 0, 0, 0, 1)
	})
}

func TestSlackRefuses(t *testing.T) {
	t.Parallel()
	bubble(t, "a method", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "users.info", TeamID: slacksim.Acme, RetryAfter: 3, Times: 1})
		x.each(1, func(int) error { return x.user(ctx, x.acme) })
		// Everybody who wants the same waits, and no more: the one after the other then.
		x.each(1, func(int) error { return x.user(ctx, x.acme) })
		x.each(1, func(int) error {
			_, err := x.userClient(x.person).GetUserInfoContext(ctx, slacksim.AcmeMember)
			return err
		})
		_, err := x.client(x.acme).GetTeamInfoContext(ctx)
		x.fine(err, x.user(ctx, x.birch))
		x.sent("team.info", slacksim.Acme, "", 0)
		x.sent("users.info", slacksim.Birch, "", 0)
		x.done()
		x.sent("users.info", slacksim.Acme, "", 0, 3, 3.6, 4.2)
		if waited, refused := x.count("users.info", "waited"), x.count("users.info", "refused"); waited != 3 || refused != 1 {
			x.Errorf("%v waited, %v refused", waited, refused)
		}
	})
	bubble(t, "calls that wait already", nil, func(x *traffic) {
		x.each(6, func(int) error { return x.post(ctx, x.acme, general, "hello") })
		x.slack.Inject(slacksim.Fault{Method: postMessage, RetryAfter: 3, Times: 1}) // meets the sixth, after a second
		x.each(2, func(int) error { return x.post(ctx, x.acme, general, "hello") })
		x.done()
		x.sent(postMessage, slacksim.Acme, general, 0, 0, 0, 0, 0, 1, 4, 5, 6)
	})
	bubble(t, "a channel", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: postMessage, RetryAfter: 5, Times: 1})
		x.each(2, func(int) error { return x.post(ctx, x.acme, general, "hello") })
		x.fine(x.post(ctx, x.acme, project, "another channel"))
		x.sent(postMessage, slacksim.Acme, project, 0)
		x.done()
		x.sent(postMessage, slacksim.Acme, general, 0, 5, 6)
	})
	bubble(t, "two channels: the workspace", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: postMessage, TeamID: slacksim.Acme, RetryAfter: 5, Times: 2})
		x.each(1, func(int) error { return x.post(ctx, x.acme, general, "hello") })
		x.each(1, func(int) error { return x.post(ctx, x.acme, project, "hello") })
		x.each(1, func(int) error { return x.post(ctx, x.acme, slacksim.AcmeMember, "hello") })
		x.fine(x.post(ctx, x.birch, elsewhere, "hello"))
		x.sent(postMessage, slacksim.Birch, elsewhere, 0)
		x.done()
		// Five a second from then on.
		x.sent(postMessage, slacksim.Acme, project, 0, 5)
		x.sent(postMessage, slacksim.Acme, slacksim.AcmeMember, 5.2)
		x.sent(postMessage, slacksim.Acme, general, 0, 5.4)
	})
	bubble(t, "for longer than anybody waits", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "users.info", RetryAfter: 30, Times: 1})
		x.limited(x.user(ctx, x.acme), 30*time.Second)
		time.Sleep(10 * time.Second)
		x.limited(x.user(ctx, x.acme), 20*time.Second)
		time.Sleep(20 * time.Second)
		x.fine(x.user(ctx, x.acme))
		x.sent("users.info", slacksim.Acme, "", 0, 30)
	})
	bubble(t, "until a deadline", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "users.info", RetryAfter: 3, Times: 1})
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		x.limited(x.user(short, x.acme), 3*time.Second)
		if took := time.Since(x.began); took > 0 {
			x.Errorf("it took %v to say so", took)
		}
	})
	bubble(t, "for a month", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "users.info", RetryAfter: 30 * 86400, Times: 1})
		x.limited(x.user(ctx, x.acme), 15*time.Minute)
		time.Sleep(15 * time.Minute)
		x.fine(x.user(ctx, x.acme))
	})
	bubble(t, "again and again", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "users.info", RetryAfter: 2})
		x.limited(x.user(ctx, x.acme), 2*time.Second)
		x.sent("users.info", slacksim.Acme, "", 0, 2, 4, 6)
	})
	bubble(t, "again, and then there is no patience left", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "users.info", RetryAfter: 4})
		x.limited(x.user(ctx, x.acme), 4*time.Second)
		x.sent("users.info", slacksim.Acme, "", 0, 4, 8)
	})
	for _, code := range []string{"ratelimited", "rate_limited"} {
		bubble(t, "with 200 and "+code, nil, func(x *traffic) {
			x.slack.Inject(slacksim.Fault{Method: "users.info", Error: code, Times: 1})
			x.limited(x.user(ctx, x.acme), time.Minute) // it doesn't say how long
			x.limited(x.user(ctx, x.acme), time.Minute)
			x.sent("users.info", slacksim.Acme, "", 0)
		})
	}
	bubble(t, "nothing", nil, func(x *traffic) {
		for _, f := range []slacksim.Fault{{Error: "user_not_found"}, {Status: 503, Body: "x"},
			{Body: strings.Repeat("ratelimited ", 200)}} {
			f.Method, f.Times = "users.info", 1
			x.slack.Inject(f)
			var limited *slack.RateLimitedError
			if err := x.user(ctx, x.acme); err == nil || errors.As(err, &limited) {
				x.Errorf("%+v: %v", f, err)
			}
		}
		x.fine(x.user(ctx, x.acme), x.post(ctx, x.acme, general, `{"ok":false,"error":"ratelimited"}`))
		x.fine(x.post(ctx, x.acme, general, "ratelimited "+strings.Repeat("long ", 2000)))
	})
	// The installer's own calls have their own budgets.
	bubble(t, "nobody else", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "auth.test", RetryAfter: 300, Times: 1})
		_, err := x.client(x.acme).AuthTestContext(ctx)
		x.limited(err, 5*time.Minute)
		if _, err := x.api.Identify(ctx, x.acme.Token); err != nil {
			x.Error(err)
		}
		x.grant(slacksim.Acme, slacksim.AcmeMember)
	})
}

// Over a network, and with the body of a message.
// An app that is distributed commercially and not in Slack's Marketplace reads a conversation once a minute. That is
// learnt by Slack's first refusal, for that method in that workspace: nobody else waits.
func TestHistoryIsReadSeldom(t *testing.T) {
	read := func(x *traffic, c connection.Connection) error {
		_, err := x.client(c).GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{ChannelID: general})
		return err
	}
	unlisted := slacksim.Fault{Method: history, TeamID: slacksim.Acme, RetryAfter: 60, Times: 1}
	bubble(t, "learnt", nil, func(x *traffic) {
		for range 5 { // until Slack says so
			if err := read(x, x.acme); SlackError(err) != "missing_scope" {
				x.Error(err)
			}
		}
		x.slack.Inject(unlisted)
		x.limited(read(x, x.acme), time.Minute)
		for range 3 {
			time.Sleep(time.Minute)
			if err := read(x, x.acme); SlackError(err) != "missing_scope" {
				x.Error(err)
			}
			x.limited(read(x, x.acme), time.Minute) // at once, and without a call
		}
		x.fine(x.user(ctx, x.acme))
		_, _, _, err := x.client(x.acme).GetConversationRepliesContext(ctx,
			&slack.GetConversationRepliesParameters{ChannelID: general, Timestamp: "1.1"})
		for range 3 {
			err = errors.Join(err, read(x, x.birch))
		}
		var limited *slack.RateLimitedError
		if errors.As(err, &limited) {
			x.Errorf("others wait too: %v", err)
		}
		x.sent(history, slacksim.Acme, general, 0, 0, 0, 0, 0, 0, 60, 120, 180)
	})
	bubble(t, "of another method a minute teaches nothing", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Method: "users.info", TeamID: slacksim.Acme, RetryAfter: 60, Times: 1})
		x.limited(x.user(ctx, x.acme), time.Minute)
		time.Sleep(time.Minute)
		x.each(3, func(int) error { return x.user(ctx, x.acme) }) // as after any refusal: no burst, and its usual pace
		x.done()
		x.sent("users.info", slacksim.Acme, "", 0, 60, 60.6, 61.2)
	})
	bubble(t, "a shorter refusal teaches nothing", nil, func(x *traffic) {
		unlisted.RetryAfter = 30
		x.slack.Inject(unlisted)
		x.limited(read(x, x.acme), 30*time.Second)
		time.Sleep(30 * time.Second)
		for range 2 {
			if err := read(x, x.acme); SlackError(err) != "missing_scope" {
				x.Error(err)
			}
		}
	})
}

func TestRefusedCallIsRepeated(t *testing.T) {
	t.Parallel()
	x := newTraffic(t, nil)
	if err := x.slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.slack.Close(ctx) })
	x.api = &API{Address: x.slack.URL(), HTTP: NewHTTPClient(), Now: time.Now, Met: x.met}
	t.Cleanup(x.api.HTTP.CloseIdleConnections)
	x.slack.Inject(slacksim.Fault{Method: postMessage, RetryAfter: 1, Times: 2})
	x.fine(x.post(ctx, x.acme, general, "third time"))
	calls := x.slack.Calls(postMessage)
	if len(calls) != 3 || calls[1].At.Sub(calls[0].At) < time.Second || calls[2].At.Sub(calls[1].At) < time.Second {
		t.Errorf("calls: %+v", calls)
	}
	if last := calls[len(calls)-1]; !last.OK || last.Arg("text") != "third time" {
		t.Errorf("the last: %+v", last)
	}
}

func TestArgumentOfACall(t *testing.T) {
	t.Parallel()
	form, plain := "application/x-www-form-urlencoded", "text/plain"
	for name, test := range map[string]struct{ kind, query, body, want string }{
		"a form":             {form, "", "blocks=%5B%5D&channel=C1&text=x", "C1"},
		"at the front":       {form, "", "channel=C1", "C1"},
		"escaped":            {form, "", "channel=%23general", "#general"},
		"another's end":      {form, "", "subchannel=C2&text=channel%3DC3&channel=C1", "C1"},
		"none":               {form, "", "text=channel", ""},
		"JSON":               {"application/json; charset=utf-8", "", `{"text":"x","channel":"C1"}`, "C1"},
		"no text in JSON":    {"application/json", "", `{"channel":7}`, ""},
		"broken JSON":        {"application/json", "", `{"channel":"C1"`, ""},
		"another kind":       {plain, "", "channel=C1", ""},
		"in the address":     {form, "?channel=C1", "", "C1"},
		"longer than looked": {form, "", "text=" + strings.Repeat("x", longestBody) + "&channel=C1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPost, "https://slack.com/api/chat.postMessage"+test.query,
				strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.kind)
			if got := argument(r, "channel"); got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != test.body {
				t.Errorf("%d bytes are left of %d (%v)", len(body), len(test.body), err)
			}
		})
	}
}

// stream is a body that can be read once.
type stream struct {
	io.Reader
	closed bool
}

func (s *stream) Close() error {
	s.closed = true
	return nil
}

func TestStreams(t *testing.T) {
	t.Parallel()
	bubble(t, "", nil, func(x *traffic) {
		do := func(path string) (body *stream, err error) {
			body = &stream{Reader: strings.NewReader("a file")}
			r, err := http.NewRequest(http.MethodPost, x.slack.URL()+path, body)
			if err != nil {
				x.Fatal(err)
			}
			resp, err := limited{x.api, x.acme.Key, "", x.api.HTTP}.Do(r)
			if err == nil {
				_ = resp.Body.Close()
			}
			return body, err
		}
		x.slack.Inject(slacksim.Fault{Method: "files.upload", RetryAfter: 1, Times: 1})
		_, err := do("/api/files.upload")
		x.limited(err, time.Second) // and isn't repeated
		time.Sleep(time.Second)
		x.slack.Inject(slacksim.Fault{Method: "files.upload", RetryAfter: 60, Times: 1})
		_, err = do("/api/files.upload")
		x.limited(err, time.Minute)
		body, err := do("/api/files.upload")
		x.limited(err, time.Minute)
		if !body.closed {
			x.Error("what was not sent is not closed")
		}
		before := time.Now()
		for range 100 {
			_, err := do("/upload/v1/abc")
			x.fine(err)
		}
		if took := time.Since(before); took > 0 {
			x.Errorf("files waited for %v", took)
		}
	})
}

// The answer is whole, whatever was read of it before.
func TestRefusal(t *testing.T) {
	t.Parallel()
	limit := `{"ok":false,"error":"ratelimited"}`
	for name, test := range map[string]struct {
		status      int
		after, body string
		want        time.Duration
	}{
		"fine":                    {200, "", `{"ok":true}`, 0},
		"empty":                   {200, "", "", 0},
		"another error":           {400, "7", limit, 0},
		"as long as is looked at": {200, "", limit + strings.Repeat(" ", 256-len(limit)), time.Minute},
		"longer":                  {200, "", `{"ok":true,"text":"ratelimited` + strings.Repeat("x", 1000) + `"}`, 0},
		"said with 200":           {200, "7", limit, 7 * time.Second},
		"no word of when":         {429, "", limit, time.Minute},
		"no sense":                {429, "soon", limit, time.Minute},
		"the past":                {429, "-1", limit, time.Minute},
		"at once":                 {429, "0", limit, time.Second},
		"a month":                 {429, "2592000", limit, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &http.Response{StatusCode: test.status, Header: http.Header{"Retry-After": {test.after}},
				Body: io.NopCloser(strings.NewReader(test.body))}
			if got, err := verdictOf(resp); got != test.want || err != nil {
				t.Errorf("%v %v, not %v", got, err, test.want)
			}
			if body, err := io.ReadAll(iotest.OneByteReader(resp.Body)); err != nil || string(body) != test.body {
				t.Errorf("%q is left (%v)", body, err)
			}
		})
	}
}

// An answer that is neither ok nor an error is a failure, of every method and with every kind of token.
func TestNoWordIsNoSuccess(t *testing.T) {
	for body, want := range map[string]error{
		`{"ok":false}`:                      errNoWord,
		` { "ok" : false , "error" : "" } `: errNoWord,
		`{"ok":false,"error":" "}`:          errNoWord,
		`{"ok":null}`:                       errNoWord,
		`{}`:                                errNoWord,
		`null`:                              errNoWord,
		`{"warning":"` + strings.Repeat("x", 999) + `"}`: errNoWord,
		`{"ok":false,"message":{"ok":true}}`:             errNoWord,
		`{"ok":false,"error":"channel_not_found"}`:       nil,
		`{"ts":"1","ok":true}`:                           nil,
		`{"ok":true}`:                                    nil,
		`<html>`:                                         nil, // slack-go says so
	} {
		resp := &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}
		if _, err := verdictOf(resp); err != want {
			t.Errorf("%s: %v, not %v", body, err, want)
		}
	}

	bubble(t, "", nil, func(x *traffic) {
		x.slack.Inject(slacksim.Fault{Body: `{"ok":false}`})
		ctx := context.Background()
		one, another := x.client(x.acme), x.userClient(x.person)
		_, _, err := one.PostMessageContext(ctx, "C1", slack.MsgOptionText("hi", false))
		_, err2 := another.GetUserInfoContext(ctx, "U1")
		err3 := one.DeleteReminderContext(ctx, "R1")
		for _, err := range []error{err, err2, err3} {
			if !errors.Is(err, errNoWord) {
				t.Errorf("taken for %v", err)
			}
		}
	})
}

// An organisation has one token for all its workspaces.
func TestWorkspacesOfAnOrganisation(t *testing.T) {
	t.Parallel()
	bubble(t, "", nil, func(x *traffic) {
		l := limited{x.api, connection.Key{AppID: "A1", EnterpriseID: "E1"}, "", x.api.HTTP}
		do := func(team string) error {
			r, err := http.NewRequest(http.MethodPost, x.api.Address+"/api/users.list",
				strings.NewReader(url.Values{"team_id": {team}}.Encode()))
			if err != nil {
				return err
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := l.Do(r)
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		}
		x.slack.Inject(slacksim.Fault{Method: "users.list", RetryAfter: 60, Times: 1})
		x.limited(do("T1"), time.Minute)
		x.limited(do("T1"), time.Minute)
		x.fine(do("T2"))
	})
}

// What is idle is forgotten, and what is not is kept.
func TestLimitsStaySmall(t *testing.T) {
	t.Parallel()
	var l limits
	now := time.Now()
	use := func(team int, method string) *call {
		c := l.call(connection.Key{AppID: "A1", TeamID: fmt.Sprint("T", team)}, method, "C1")
		if wait, ok := c.take(now, 0); !ok || wait > 0 {
			t.Fatalf("wait of %v for a first call", wait)
		}
		return c
	}
	slow, shut := use(-2, postMessage), use(-1, postMessage)
	shut.refused(now, 10*time.Minute)
	most := 0
	for team := range 100_000 {
		use(team, postMessage)
		now = now.Add(time.Millisecond)
		if team%1000 == 0 {
			n := 0
			for i := range l.shards {
				n += len(l.shards[i].buckets)
			}
			most = max(most, n)
		}
	}
	// A message's buckets are full again after a second, and there are a thousand messages a second.
	if most > 10_000 {
		t.Errorf("%d buckets", most)
	}
	again := func(channel string) time.Duration {
		wait, _ := l.call(shut.places[0].Key, postMessage, channel).take(now, 0)
		return wait.Truncate(time.Minute)
	}
	if c1, c2 := again("C1"), again("C2"); c1 != 8*time.Minute || c2 != 0 {
		t.Errorf("the channel that was refused waits for %v, another for %v", c1, c2)
	}
	l.call(shut.places[0].Key, postMessage, "C2").refused(now, 5*time.Minute)
	if c3 := again("C3"); c3 != 5*time.Minute {
		t.Errorf("after the second channel all wait for %v", c3)
	}
	l.call(shut.places[0].Key, postMessage, "C3").refused(now, time.Second)
	if c3 := again("C3"); c3 != 5*time.Minute {
		t.Errorf("a later, shorter word leaves %v", c3)
	}
	slow.refused(now, time.Minute) // its buckets were forgotten while Slack took its time
	if wait, ok := slow.take(now, 0); ok || wait != time.Minute {
		t.Errorf("a slow call that was refused goes again after %v (%v)", wait, ok)
	}
	one := newBucket(pace{1, 1})
	if one.close(pace{1, 1}, now.Add(time.Minute)); one.idle(now) {
		t.Error("closed, and idle")
	}
}

// What a free turn costs a call, for workspaces that all call now and then (a hundred thousand: each call begins a
// bucket) and all the time (a hundred). A message of 2.5 kB is looked through for its channel.
func BenchmarkTurn(b *testing.B) {
	message := url.Values{"blocks": {strings.Repeat(`{"type":"x"}`, 100)}, "channel": {"C1"}, "text": {"x"}}.Encode()
	for _, bench := range []struct {
		name, method, body string
		workspaces         int
	}{
		{"call", "users.info", "user=U1", 100},
		{"call, 100,000 workspaces", "users.info", "user=U1", 100_000},
		{"message", postMessage, message, 100},
		{"message, 100,000 workspaces", postMessage, message, 100_000},
	} {
		b.Run(bench.name, func(b *testing.B) {
			now := time.Now()
			api := &API{Address: "https://slack.com", Now: func() time.Time { return now }, Met: func(method, result string) {}}
			keys := make([]connection.Key, bench.workspaces)
			for i := range keys {
				keys[i] = connection.Key{AppID: "A1", TeamID: fmt.Sprint("T", i)}
			}
			answer := &answers{http.Response{StatusCode: http.StatusOK, Header: http.Header{}},
				bytes.NewReader([]byte(`{"ok":true}`))}
			r, err := http.NewRequest(http.MethodPost, api.Address+"/api/"+bench.method, strings.NewReader(bench.body))
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				now = now.Add(max(time.Second/time.Duration(len(keys)), 100*time.Microsecond)) // at most 10,000 calls a second
				if _, err := (limited{api, keys[i%len(keys)], "", answer}).Do(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// answers is a Slack that costs nothing.
type answers struct {
	http.Response
	body *bytes.Reader
}

func (a *answers) Do(*http.Request) (*http.Response, error) {
	_, _ = a.body.Seek(0, io.SeekStart)
	a.Body = io.NopCloser(a.body)
	return &a.Response, nil
}
