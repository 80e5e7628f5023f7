package install_test

// What strangers can't do to those who install: every start is free, every state works once and for whoever began, and
// nobody waits for somebody else's code. Against slacksim over HTTP, on both databases where the database decides.

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/internal/stage"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// rows counts what is in a table.
func (r *rig) rows(table string) (n int) {
	r.T.Helper()
	if err := r.Raw().QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		r.T.Fatal(err)
	}
	return n
}

// back goes to Slack and says yes there.
func (v *visitor) back(link, userID string) string {
	v.r.T.Helper()
	authorize, _ := v.asks(link)
	return v.allows(authorize, userID, slacksim.Choice{})
}

// madeUp is where a browser goes that begins and makes up Slack's answer.
func (v *visitor) madeUp(answer string) string {
	v.r.T.Helper()
	authorize, _ := v.asks(start)
	u, err := url.Parse(authorize)
	if err != nil {
		v.r.T.Fatal(err)
	}
	return "/slack/oauth_redirect?" + answer + "&state=" + url.QueryEscape(u.Query().Get("state"))
}

// withCode is the address that Slack sent somebody back to, with another code.
func withCode(back, code string) string {
	u, err := url.Parse(back)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	q.Set("code", code)
	u.RawQuery = q.Encode()
	return u.String()
}

// codes are how often a code was presented to Slack.
func (r *rig) codes() (n int) {
	for _, c := range r.Slack.Calls("oauth.v2.access") {
		if c.Form.Get("grant_type") != "refresh_token" {
			n++
		}
	}
	return n
}

// exchanging is a client whose calls of oauth.v2.access with a code pass through do.
func exchanging(do func(req *http.Request, code string, next http.RoundTripper) (*http.Response,
	error)) func(*install.Config) {
	client := slackapi.NewHTTPClient()
	next := client.Transport
	client.Transport = stage.RoundTripper(func(req *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(req.URL.Path, "/oauth.v2.access") || stage.IsRefresh(req) {
			return next.RoundTrip(req)
		}
		body, _ := req.GetBody()
		var form bytes.Buffer
		_, _ = form.ReadFrom(body)
		values, _ := url.ParseQuery(form.String())
		return do(req, values.Get("code"), next)
	})
	return func(cfg *install.Config) { cfg.HTTP = client }
}

// Whoever begins and does not come back leaves nothing, whatever the link; nor does a state that is made up.
func TestStartsLeaveNothing(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		c := r.connect(in, slacksim.AcmeAdmin)
		good := in.Links().GrantURL(c)
		attempts, budgets, calls := r.rows("install_attempts"), r.rows("budgets"), len(r.Slack.Calls())
		for i := range 20 {
			for _, address := range []string{start, start + "?team=T0123", good, start + "?link=abc",
				start + "?connection=" + c.ID, in.Links().Grant(connection.Connection{ID: "con_gone"}, links.GrantRequest{}),
				"/slack/oauth_redirect?code=1.2&state=" + strings.Repeat("A", 43),
				fmt.Sprintf("/slack/oauth_redirect?code=1.2&state=%d", i), "/slack/oauth_redirect?error=access_denied",
				"/slack/oauth_redirect?code=1.2"} {
				r.visitor(in).get(address)
			}
		}
		if a, b := r.rows("install_attempts"), r.rows("budgets"); a != attempts || b != budgets {
			t.Errorf("%d attempts and %d budgets more than before", a-attempts, b-budgets)
		}
		if n := len(r.Slack.Calls()) - calls; n != 0 {
			t.Errorf("Slack was called %d times", n)
		}
	})
}

// A state works once, on whichever replica, with any of the keys; elsewhere and signed by nobody's key it works never.
func TestStateWorksOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		first, second := r.Keys, seal.NewKey()
		r.Keys = first + "," + second
		old := r.replica(nil)
		r.Keys = second + "," + first // the new key signs, the old one still verifies
		rotated := r.replica(nil)
		stranger := r.replica(func(cfg *install.Config) { cfg.SigningKeys = []connection.Secret{"a key of nobody"} })

		v := r.visitor(old)
		back := v.back(start, slacksim.AcmeAdmin)
		v.in = stranger
		v.get(back).is(t, "a key of nobody", 400, "state_unknown")
		v.in = rotated
		r.visitor(rotated).get(back).is(t, "another browser", 400, "other_browser")
		ref := v.get(back).is(t, "after the rotation", 200, "connected").Connection
		v.in = old
		if p := v.get(back).is(t, "once more, on the other replica", 200, "already_finished"); p.Connection != ref {
			t.Errorf("%+v", p)
		}
		r.visitor(rotated).get(back).is(t, "its address elsewhere", 409, "state_used")

		// With no key for signing the client secret signs; that is for a program that has no other, and no replica with keys
		// takes it.
		bare := r.replica(func(cfg *install.Config) { cfg.SigningKeys = nil })
		w := r.visitor(bare)
		back = w.back(start, slacksim.AcmeAdmin)
		w.in = old
		w.get(back).is(t, "signed with the client secret", 400, "state_unknown")
		w.in = bare
		w.get(back).is(t, "where it began", 200, "already_connected")

		// Ten minutes, to the second.
		v = r.visitor(old)
		back = v.back(start, slacksim.AcmeAdmin)
		r.Clock.Advance(10*time.Minute - time.Second)
		v.get(back).is(t, "in time", 200, "already_connected")
		back = v.back(start, slacksim.AcmeAdmin)
		r.Clock.Advance(10 * time.Minute)
		v.get(back).is(t, "too late", 400, "state_expired")
	})
}

// Eight tabs of one browser bring one state at the same moment, to two replicas: one code is spent, and all say the
// same.
func TestDoubleClicksAreOne(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		replicas := []replica{r.replica(nil), r.replica(nil)}
		v := r.visitor(replicas[0])
		back := v.back(start, slacksim.AcmeAdmin)
		var all sync.WaitGroup
		for i := range 8 {
			w := &visitor{r: r, in: replicas[i%2], cookie: v.cookie, header: http.Header{}}
			all.Go(func() {
				if p := w.get(back); p.status != 200 || p.Reason != "connected" && p.Reason != "already_finished" {
					t.Errorf("%d %+v", p.status, p)
				}
			})
		}
		all.Wait()
		if n := r.codes(); n != 1 {
			t.Errorf("%d codes were spent", n)
		}
	})
}

// A reload while the first request is under way waits for it, and writes nothing: the database's only writer is
// somebody else's then.
func TestReloadWaits(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	asked, answer := make(chan struct{}), make(chan struct{})
	in := r.replica(exchanging(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
		close(asked)
		<-answer
		return next.RoundTrip(req)
	}))
	v := r.visitor(in)
	back := v.back(start, slacksim.AcmeAdmin)
	reload := &visitor{r: r, in: in, cookie: v.cookie, header: http.Header{}}
	var all sync.WaitGroup
	all.Go(func() { v.get(back).is(t, "the first", 200, "connected") })
	<-asked

	raw := r.Raw()
	raw.SetMaxOpenConns(1)
	if _, err := raw.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	in.WaitForEndings(300 * time.Millisecond)
	short := reload.get(back)
	in.WaitForEndings(stage.Patience)
	if _, err := raw.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	short.is(t, "a browser that waits for a moment", 409, "end_unknown")

	all.Go(func() { reload.get(back).is(t, "the reload", 200, "already_finished") })
	close(answer)
	all.Wait()
}

// lookedAt is a store that says when it has shown somebody an attempt.
type lookedAt struct {
	install.Store
	shown chan struct{}
}

func (s lookedAt) GetAttempt(ctx context.Context, stateHash []byte) (oauth.Attempt, error) {
	a, err := s.Store.GetAttempt(ctx, stateHash)
	if err == nil {
		select {
		case s.shown <- struct{}{}:
		default:
		}
	}
	return a, err
}

// A reload that waits for a first request which comes to nothing hears the same, and can try the same again.
func TestReloadHearsOfTrouble(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	asked, answer := make(chan struct{}), make(chan struct{})
	looked := make(chan struct{}, 1)
	in := r.replica(func(cfg *install.Config) {
		exchanging(func(*http.Request, string, http.RoundTripper) (*http.Response, error) {
			close(asked)
			<-answer
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("too many open files")}
		})(cfg)
		cfg.Store = lookedAt{cfg.Store, looked}
	})
	c := r.connect(r.replica(nil), slacksim.AcmeAdmin)
	v := r.visitor(in)
	back := v.back(in.Links().GrantURL(c), slacksim.AcmeAdmin)
	reload := &visitor{r: r, in: in, cookie: v.cookie, header: http.Header{}}
	var all sync.WaitGroup
	all.Go(func() { v.get(back).is(t, "the first", 502, "slack_down") })
	<-asked
	all.Go(func() {
		if p := reload.get(back).is(t, "the reload", 502, "slack_down"); !strings.Contains(p.Next.URL, "link=") {
			t.Errorf("the reload leads to %s", p.Next.URL)
		}
	})
	<-looked
	close(answer)
	all.Wait()
}

// A state of the release before: a row from the start on. It finishes here, once, for its own browser and in its ten
// minutes.
func TestStateOfTheReleaseBefore(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		in := r.replica(nil)
		secret := func() (plain string, hash []byte) {
			b := make([]byte, 32)
			_, _ = rand.Read(b)
			sum := sha256.Sum256(b)
			return base64.RawURLEncoding.EncodeToString(b), sum[:]
		}
		begun := func(boundTo string, choice slacksim.Choice) (v *visitor, back string) {
			t.Helper()
			v = r.visitor(in)
			now, state, browser := r.Clock.Now(), "", ""
			a := oauth.Attempt{Ref: install.NewRef(), StartedAt: now, ExpiresAt: now.Add(10 * time.Minute), BoundTo: boundTo}
			state, a.StateHash = secret()
			browser, a.BrowserHash = secret()
			if err := in.db.BeginAttempt(r.Ctx, a); err != nil {
				t.Fatal(err)
			}
			authorize, _ := v.asks(start)
			v.cookie = "switchboard-install=" + browser
			u, _ := url.Parse(authorize)
			q := u.Query()
			q.Set("state", state)
			u.RawQuery = q.Encode()
			return v, v.allows(u.String(), slacksim.AcmeAdmin, choice)
		}
		v, back := begun("", slacksim.Choice{})
		r.visitor(in).get(back).is(t, "another browser", 400, "other_browser")
		v.get(back).is(t, "its own", 200, "connected")
		v.get(back).is(t, "again", 200, "already_finished")
		v, back = begun("", slacksim.Choice{})
		r.Clock.Advance(10 * time.Minute)
		v.get(back).is(t, "too late", 400, "state_expired")

		// What its link asked for can be tried again.
		v, back = begun(r.Row(in.db, acmeKey).ID, slacksim.Choice{Deny: true})
		if p := v.get(back).is(t, "cancelled", 200, "cancelled"); !strings.Contains(p.Next.URL, "link=") {
			t.Errorf("try again leads to %s", p.Next.URL)
		}
	})
}

// A link of the release before, signed with the client secret, works as long as it said.
func TestLinkOfTheReleaseBefore(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	in, before := r.replica(nil), r.replica(func(cfg *install.Config) { cfg.SigningKeys = nil })
	c := r.connect(in, slacksim.AcmeAdmin)
	r.visitor(in).installs(before.Links().GrantURL(c), slacksim.AcmeAdmin, slacksim.Choice{}).is(t, "a link", 200,
		"already_connected")
}

// What ended without a question to Slack has used nothing up: a reload does it, with the same state, code and link.
func TestStateIsGivenBack(t *testing.T) {
	t.Parallel()
	broken := func(statement, undo string) func(r *rig, _ replica) func() {
		return func(r *rig, _ replica) func() {
			do := func(s string) {
				r.T.Helper()
				if _, err := r.Raw().Exec(s); err != nil {
					r.T.Fatal(err)
				}
			}
			do(statement)
			return func() { do(undo) }
		}
	}
	for name, test := range map[string]struct {
		status int
		reason string
		during func(r *rig, in replica) (after func())
	}{
		"nothing left in the budget": {503, "busy", func(r *rig, in replica) func() {
			if ok, err := in.db.Take(r.Ctx, install.Installs, install.Installs.Burst-1, r.Clock.Now()); !ok || err != nil {
				r.T.Fatal(ok, err)
			}
			return func() { r.Clock.Advance(2 * time.Second) }
		}},
		"the attempts are away": {503, "records_unavailable",
			broken("ALTER TABLE install_attempts RENAME TO away", "ALTER TABLE away RENAME TO install_attempts")},
		"the budgets are away": {503, "records_unavailable",
			broken("ALTER TABLE budgets RENAME TO away", "ALTER TABLE away RENAME TO budgets")},
		"the connection is away": {503, "records_unavailable",
			broken("ALTER TABLE connections RENAME TO away", "ALTER TABLE away RENAME TO connections")},
		"Slack can't be reached": {502, "slack_down", func(*rig, replica) func() { return func() {} }},
		"Slack asks to wait": {503, "slack_rate_limited", func(r *rig, _ replica) func() {
			r.Slack.Inject(slacksim.Fault{Method: "oauth.v2.access", RetryAfter: 7, Times: 1})
			return func() { r.Clock.Advance(20 * time.Second) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, storagetest.SQLite(t))
			unreachable := false
			in := r.replica(exchanging(func(req *http.Request, _ string, next http.RoundTripper) (*http.Response, error) {
				if unreachable {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("too many open files")}
				}
				return next.RoundTrip(req)
			}))
			c := r.connect(in, slacksim.AcmeAdmin)
			asked := r.codes()
			v := r.visitor(in)
			back := v.back(in.Links().GrantURL(c), slacksim.AcmeAdmin)
			after := test.during(r, in)
			unreachable = test.status == 502
			for range 2 {
				if p := v.get(back); p.status != test.status || p.Reason != test.reason && p.Reason != "busy" {
					t.Errorf("%d %s, not %d %s", p.status, p.Reason, test.status, test.reason)
				}
			}
			after()
			unreachable = false
			v.get(back).is(t, "then", 200, "already_connected")
			if n := r.codes() - asked; test.reason != "slack_rate_limited" && n != 1 {
				t.Errorf("%d codes were spent", n)
			}
			v.get(back).is(t, "and once only", 200, "already_finished")
		})
	}
}

// An answer that breaks off may have been one: the code is not tried again.
func TestCodeIsSpentInDoubt(t *testing.T) {
	t.Parallel()
	r := newRig(t, storagetest.SQLite(t))
	sent := 0
	in := r.replica(exchanging(func(*http.Request, string, http.RoundTripper) (*http.Response, error) {
		sent++
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: fmt.Errorf("connection reset by peer")}
	}))
	v := r.visitor(in)
	back := v.back(start, slacksim.AcmeAdmin)
	for _, what := range []string{"it breaks off", "a reload"} {
		v.get(back).is(t, what, 502, "slack_down")
	}
	if sent != 1 {
		t.Errorf("the code was sent %d times", sent)
	}
}

// A code that can't be one is never sent to Slack, never written down, and costs the state nothing.
func TestCodesThatCannotBe(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	var log bytes.Buffer
	in := r.replica(func(cfg *install.Config) {
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	v := r.visitor(in)
	back := v.back(start, slacksim.AcmeAdmin)
	for _, code := range []string{strings.Repeat("7", 513), strings.Repeat("7", 60_000), "secret code", "secret\ncode",
		"secret\x00code", "sécret", "secret/code", "secret+code", "secret%20code", "secret&client_id=1", "secret=code",
		"<secret>", "secret,code", "secret:code", "secret\r"} {
		v.get(withCode(back, code)).is(t, fmt.Sprintf("%.20q", code), 400, "code_malformed")
	}
	if n := r.codes(); n != 0 || r.rows("install_attempts") != 0 {
		t.Errorf("Slack was asked %d times", n)
	}
	if strings.Contains(log.String(), "secret") || strings.Contains(log.String(), "7777777") {
		t.Error("a code is in the log")
	}
	v.get(back).is(t, "the code of Slack", 200, "connected")
	r.Breaches = true
	for _, code := range []string{strings.Repeat("7", 512), "aZ0._-"} {
		v.get(withCode(v.back(start, slacksim.AcmeAdmin), code)).is(t, "what could be one", 400, "code_spent")
	}
	if n := r.codes(); n != 3 {
		t.Errorf("%d codes were presented, not 3", n)
	}
}

// However long Slack takes for strangers' codes, a person who consented waits for nobody.
func TestStrangersHoldUpNobody(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	r.Breaches = true // codes that Slack does not know
	slow, asked := make(chan struct{}), make(chan struct{}, 100)
	in := r.replica(exchanging(func(req *http.Request, code string, next http.RoundTripper) (*http.Response, error) {
		if strings.HasPrefix(code, "made-up") {
			asked <- struct{}{}
			<-slow
		}
		return next.RoundTrip(req)
	}))
	person := r.visitor(in)
	back := person.back(start, slacksim.AcmeAdmin)
	var all sync.WaitGroup
	const strangers = 20
	for range strangers {
		v := r.visitor(in)
		address := v.madeUp("code=made-up")
		all.Go(func() { v.get(address) })
	}
	for range strangers {
		<-asked // none waits for another either
	}
	person.get(back).is(t, "a person", 200, "connected")
	close(slow)
	all.Wait()
}

// Installs and renewals share one limit of Slack's, and neither takes it all.
func TestInstallsShareTheBudget(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	shared := install.Renewals
	if full, err := in.db.Take(r.Ctx, shared, shared.Burst, r.Clock.Now()); full || err != nil {
		t.Errorf("an install took nothing from what renewals have (%v)", err)
	}
	r.Due()

	// All that installs may take is taken, on all replicas together: a renewal goes on.
	other := r.replica(nil)
	for i := 0; ; i++ {
		v := r.visitor([]replica{in, other}[i%2])
		if p := v.get(v.madeUp(fmt.Sprintf("code=%d.2.3", i))); p.Reason == "busy" {
			break
		}
		if i > install.Installs.Burst {
			t.Fatalf("%d codes went to Slack in one moment", i)
		}
	}
	r.Breaches = true
	if n, err := in.RenewDue(r.Ctx); n != 1 || err != nil {
		t.Errorf("%d renewed, %v", n, err)
	}
	r.Works(r.Row(in.db, c.Key))

	// All that renewals may take is taken: an install goes on.
	r.Clock.Advance(time.Minute)
	if ok, err := in.db.Take(r.Ctx, shared, shared.Burst, r.Clock.Now()); !ok || err != nil {
		t.Fatal(ok, err)
	}
	r.visitor(in).installs(start, slacksim.BirchAdmin, slacksim.Choice{}).is(t, "an install", 200, "connected")
}

// Whoever brings codes that Slack does not know shares a part with others like them, and what is left is everybody
// else's.
func TestFalseCodesHaveASmallerPart(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	r.Breaches = true
	in := r.replica(nil)
	liar := func(i int) seen {
		v := r.visitor(in)
		v.header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.9, 2001:db8:0:1::%x", i)) // one network
		return v.get(v.madeUp(fmt.Sprintf("code=%d.2.3", i)))
	}
	i := 0
	for ; liar(i).Reason != "busy"; i++ {
		if i > install.Installs.Burst {
			t.Fatal("there is no end to it")
		}
	}
	if i > install.Installs.Burst/2 {
		t.Errorf("%d false codes of one caller went to Slack in one moment", i)
	}
	person := r.visitor(in)
	person.header.Set("X-Forwarded-For", "2001:db8:0:2::1")
	person.installs(start, slacksim.AcmeAdmin, slacksim.Choice{}).is(t, "somebody else", 200, "connected")
	r.Clock.Advance(time.Minute)
	liar(1000).is(t, "a minute later", 400, "code_spent")
}

// So many callbacks at once, and no more of one caller than leaves room for others. Whoever is turned away has lost
// nothing.
func TestCallbacksAreBounded(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	const each, all = 32, 128
	slow, asked := make(chan struct{}), make(chan struct{}, all)
	in := r.replica(func(cfg *install.Config) {
		exchanging(func(req *http.Request, code string, next http.RoundTripper) (*http.Response, error) {
			if code == "slow" {
				asked <- struct{}{}
				<-slow
				return nil, fmt.Errorf("cut off")
			}
			return next.RoundTrip(req)
		})(cfg)
	})
	var under sync.WaitGroup
	from := func(caller string, n int) {
		for range n {
			v := r.visitor(in)
			v.header.Set("X-Forwarded-For", caller)
			address := v.madeUp("code=slow")
			r.Clock.Advance(time.Second) // so that the budget is not what bounds them
			under.Go(func() { v.get(address) })
			<-asked
		}
	}
	visit := func(caller string) (*visitor, string) {
		v := r.visitor(in)
		v.header.Set("X-Forwarded-For", caller)
		return v, v.back(start, slacksim.AcmeAdmin)
	}
	from("198.51.100.1", each)
	same, back := visit("198.51.100.1")
	same.get(back).is(t, "one more of that caller", 503, "busy")
	other, otherBack := visit("198.51.100.2")
	other.get(otherBack).is(t, "another caller", 200, "connected")

	for i := 2; i <= all/each; i++ {
		from(fmt.Sprintf("198.51.100.%d", i), each)
	}
	third, thirdBack := visit("198.51.100.77")
	before := r.rows("install_attempts")
	p := third.get(thirdBack).is(t, "one more than all", 503, "busy")
	if r.rows("install_attempts") != before || p.Next.URL == "" {
		t.Errorf("%+v", p)
	}
	known := in.Callers()
	for i := range 10 {
		v := r.visitor(in)
		v.header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
		v.get(v.madeUp("code=1.2.3")).is(t, "a stranger more than all", 503, "busy")
	}
	if now := in.Callers(); now != known {
		t.Errorf("of ten who were turned away %d are kept in memory", now-known)
	}
	close(slow)
	under.Wait()
	same.get(back).is(t, "when the others are done", 200, "already_connected")
	third.get(thirdBack).is(t, "when the others are done", 200, "already_connected")
}

// A link for an hour is a way in for an hour, however often its owner tries again.
func TestTryAgainEndsWithTheLink(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	link := in.Links().GrantURL(c)
	for minutes := 0; minutes < 60; minutes += 9 {
		p := r.visitor(in).installs(link, slacksim.AcmeAdmin, slacksim.Choice{Deny: true}).is(t, "cancelled", 200,
			"cancelled")
		if link = p.Next.URL; !strings.Contains(link, "link=") {
			t.Fatalf("after %d minutes: %s", minutes, link)
		}
		r.Clock.Advance(9 * time.Minute)
	}
	r.visitor(in).get(link).is(t, "after 63 minutes", 400, "link_expired")

	// An attempt that ends after its link did leads to no link at all.
	v := r.visitor(in)
	link = in.Links().GrantURL(c)
	r.Clock.Advance(55 * time.Minute)
	authorize, _ := v.asks(link)
	back := v.allows(authorize, slacksim.AcmeAdmin, slacksim.Choice{Deny: true})
	r.Clock.Advance(6 * time.Minute)
	if p := v.get(back).is(t, "after the link's end", 200, "cancelled"); strings.Contains(p.Next.URL, "link=") {
		t.Errorf("a link that ended made another: %s", p.Next.URL)
	}
}

// The page of an expired state has a fresh link for the browser that began, and for no other that got hold of the
// address.
func TestFreshLinkIsForWhoBegan(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(nil)
	c := r.connect(in, slacksim.AcmeAdmin)
	v := r.visitor(in)
	back := v.back(in.Links().GrantURL(c), slacksim.AcmeAdmin)
	r.Clock.Advance(11 * time.Minute)
	other := r.visitor(in)
	other.get(start) // with a cookie of its own
	for what, w := range map[string]*visitor{"another browser": other, "a browser without a cookie": r.visitor(in)} {
		if p := w.get(back).is(t, what, 400, "state_expired"); strings.Contains(p.Next.URL, "link=") {
			t.Errorf("%s gets a link", what)
		}
	}
	p := v.get(back).is(t, "who began", 400, "state_expired")
	if _, scopes := v.asks(p.Next.URL); scopes != "chat:write,users:read" || !strings.Contains(p.Next.URL, "link=") {
		t.Errorf("%+v", p.Next)
	}
}

// Endings that cost no call to Slack are recorded as often as people bring them about, and not as often as a program
// can.
func TestFreeEndingsAreNotRecordedForEver(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	in := r.replica(nil)
	v := r.visitor(in)
	for range 160 {
		v.get(v.madeUp("error=access_denied")).is(t, "refused", 403, "access_denied")
	}
	if n := r.rows("install_attempts"); n == 0 || n > 130 {
		t.Errorf("%d rows", n)
	}
}

// Whoever names another address with every start writes a few lines that page the operator, and no more.
func TestStrangersPageNobody(t *testing.T) {
	r := newRig(t, storagetest.SQLite(t))
	var log bytes.Buffer
	in := r.replica(func(cfg *install.Config) {
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	for i := range 100 {
		v := r.visitor(in)
		v.header.Set("X-Forwarded-Host", fmt.Sprintf("evil-%d.example.com", i))
		back := v.madeUp("code=1.2")
		v.cookie, v.header = "", http.Header{}
		v.get(back).is(t, "another address", 421, "other_address")
	}
	if n := strings.Count(log.String(), "level=ERROR"); n == 0 || n > 20 {
		t.Errorf("%d lines of 100 strangers page the operator", n)
	}
}
