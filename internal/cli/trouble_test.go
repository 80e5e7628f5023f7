package cli

// What people and Slack get when something is broken or hostile: an answer in time, the truth, and nobody else's token.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// line is a TCP line to a server that can be cut, as networks do.
type line struct {
	net.Listener
	to string

	mu    sync.Mutex
	open  map[net.Conn]bool
	cut   bool // refuse and drop
	stall bool // accept and say nothing

	gate sync.RWMutex // held to freeze the line with everything that is on it
}

// Write passes through only while the line is not frozen.
type gated struct {
	io.Writer
	gate *sync.RWMutex
}

func (g gated) Write(b []byte) (int, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Writer.Write(b)
}

func newLine(t *testing.T, to string) *line {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{Listener: l, to: to, open: map[net.Conn]bool{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			cut, stall := p.cut, p.stall
			p.open[c] = true
			p.mu.Unlock()
			switch {
			case cut:
				_ = c.Close()
			case stall:
			default:
				go p.carry(c)
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); p.set(true, false) })
	return p
}

func (p *line) carry(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer up.Close()
	p.mu.Lock()
	p.open[up] = true
	p.mu.Unlock()
	go func() { _, _ = io.Copy(gated{up, &p.gate}, c); _ = up.Close() }()
	_, _ = io.Copy(gated{c, &p.gate}, up)
}

// set cuts or stalls the line, also for those who use it now.
func (p *line) set(cut, stall bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.stall = cut, stall
	for c := range p.open {
		_ = c.Close()
		delete(p.open, c)
	}
}

// quick types a command and fails unless the answer is there within Slack's 3 s and says all of want.
func (w *world) quick(name, userID, text string, want ...string) slacksim.CommandReply {
	w.t.Helper()
	reply := w.type_(userID, slacksim.AcmeGeneral, text)
	if reply.Status != http.StatusOK || reply.Took > 3*time.Second || reply.Err != "" {
		w.t.Errorf("%s: %d after %v %s", name, reply.Status, reply.Took, reply.Err)
	}
	if reply.Message.Blocks != nil && strings.TrimSpace(reply.Text) == "" {
		w.t.Errorf("%s: blocks without text", name)
	}
	said := reply.Text + string(reply.Message.Blocks)
	for _, s := range want {
		if !strings.Contains(said, s) {
			w.t.Errorf("%s: no %q in %q", name, s, said)
		}
	}
	return reply
}

// raw is a command that Slack would not send by itself, because the app is not installed there.
func (w *world) raw(team, user, text string) slacksim.Ack {
	form := url.Values{"team_id": {team}, "user_id": {user}, "channel_id": {slacksim.AcmeGeneral},
		"command": {"/connection"}, "text": {text},
		"api_app_id": {w.slack.App().ID}, "response_url": {"https://evil.example/steal"}, "trigger_id": {"1.2.3"}}
	return w.slack.Sender.Deliver(context.Background(),
		slacksim.Raw{Kind: "command", Type: "/connection", Body: []byte(form.Encode())})
}

func TestStatusWhenThereIsNoConnection(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		ack := w.raw(slacksim.Acme, slacksim.AcmeAdmin, "status")
		var reply struct{ Text string }
		if err := json.Unmarshal(ack.Body, &reply); err != nil || ack.Status != http.StatusOK {
			t.Fatalf("%d %s", ack.Status, ack.Body)
		}
		if !strings.Contains(reply.Text, "Not connected") ||
			!strings.Contains(string(ack.Body), w.proxy.URL+"/slack/install") {
			t.Errorf("no row: %s", ack.Body)
		}
		// Removed: the row is there, the token is not.
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		if err := w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.UninstalledFirst); err != nil {
			t.Fatal(err)
		}
		w.waitRow("the removal", func(r record) bool { return r.State == "removed" })
		ack = w.raw(slacksim.Acme, slacksim.AcmeAdmin, "")
		// Slack can't be asked any more who may act, so there is no link for few, but the page for all.
		if !strings.Contains(string(ack.Body), "Removed from Slack") ||
			!strings.Contains(string(ack.Body), w.proxy.URL+"/slack/install") || linkIn(string(ack.Body)) != "" {
			t.Errorf("removed: %s", ack.Body)
		}
		// Another workspace's row is never shown or used.
		if ack := w.raw("T0NOBODY01", "U0NOBODY01", "status"); !strings.Contains(string(ack.Body), "Not connected") ||
			strings.Contains(string(ack.Body), "Acme Corp") {
			t.Errorf("a stranger's workspace: %s", ack.Body)
		}
	})
}

func TestStatusWhenTheTokenIsDead(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]struct{ state, label, reason, words string }{
		"token_revoked": {"reconnect_required", "Needs reconnecting", "token_revoked",
			"Its access was withdrawn in Slack."},
		// it has just been renewed, and still
		"token_expired": {"retrying", "Having trouble, retrying", "renewal_failing", "renewed yet"},
		"account_inactive": {"removed", "Removed from Slack", "account_inactive",
			"removed from this workspace, or the workspace was closed"},
		"invalid_auth": {"retrying", "Having trouble, retrying", "invalid_auth", "Slack no longer accepts this connection."},
	} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t, storageURL(t)).start(1, nil)
			w.browser().install(slacksim.AcmeAdmin)
			first := w.connections()[0]
			clear := w.slack.Inject(slacksim.Fault{Method: "auth.test", Error: code})
			w.quick("quick", slacksim.AcmeAdmin, "/connection status", "Working", "Asking Slack")
			w.wait("the truth", func() bool {
				return strings.Contains(string(w.last(slacksim.AcmeGeneral, slacksim.AcmeAdmin).Blocks), want.words)
			})
			m := w.last(slacksim.AcmeGeneral, slacksim.AcmeAdmin)
			if !strings.Contains(string(m.Blocks), want.label) || !strings.Contains(m.Text, want.label) {
				t.Errorf("it says %q %s", m.Text, m.Blocks)
			}
			if got := w.connections()[0]; got.State != want.state || got.Reason != want.reason {
				t.Errorf("row: %+v", got)
			}
			// One invalid_auth kills nothing: the next good answer brings it back.
			clear()
			if want.state == "removed" {
				w.quick("after", slacksim.AcmeAdmin, "/connection status", "Removed from Slack", w.proxy.URL+"/slack/install|")
			} else {
				w.quick("after", slacksim.AcmeAdmin, "/connection status", want.label)
				w.waitRow("recovery", func(r record) bool { return r.State == "active" && r.Reason == "" && r.ID == first.ID })
			}
			// A new install heals every state, and keeps the id. It ends the access with which the live answer of the
			// command before may still be asking who this is.
			w.allowed = append(w.allowed, slacksim.RuleExpiredToken)
			w.browser().install(slacksim.AcmeAdmin)
			if got := w.connections()[0]; got.State != "active" || got.ID != first.ID {
				t.Errorf("after a new install: %+v", got)
			}
		})
	}
}

func TestStatusWhenSlackIsDown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]slacksim.Fault{
		"500":          {Method: "auth.test", Status: 500},
		"rate limited": {Method: "auth.test", RetryAfter: 30},
		"nonsense":     {Method: "auth.test", Body: "<html>"},
		"cut":          {Method: "auth.test", DropAnswer: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, storageURL(t)).start(1, nil)
			w.browser().install(slacksim.AcmeAdmin)
			defer w.slack.Inject(fault)()
			w.quick("quick", slacksim.AcmeAdmin, "/connection status", "Working")
			w.wait("the truth", func() bool {
				return strings.Contains(w.last(slacksim.AcmeGeneral, slacksim.AcmeAdmin).Text, "Couldn't check")
			})
			if m := w.last(slacksim.AcmeGeneral, slacksim.AcmeAdmin); !strings.Contains(string(m.Blocks),
				"Before that, it worked.") {
				t.Errorf("it says %s", m.Blocks)
			}
			if got := w.connections()[0]; got.State != "active" {
				t.Errorf("Slack's trouble changed the row: %+v", got)
			}
		})
	}
}

func TestStatusWhenTheDatabaseIsDown(t *testing.T) {
	t.Parallel()
	// connected is a world with a line to its database that can be cut, where the app is installed.
	connected := func(t *testing.T) (*world, *line) {
		t.Parallel()
		database := storagetest.Postgres(t)
		u, err := url.Parse(database)
		if err != nil {
			t.Fatal(err)
		}
		to := newLine(t, u.Host)
		w := newWorld(t, database).start(0, nil)
		u.Host = to.Addr().String()
		w.startOne(map[string]string{"DATABASE_URL": u.String()})
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		return w, to
	}
	for name, trouble := range map[string]struct{ start, end func(to *line) }{
		"frozen": {func(to *line) { to.gate.Lock() }, func(to *line) { to.gate.Unlock() }},
		"gone":   {func(to *line) { to.set(true, false) }, func(to *line) { to.set(false, false) }},
		"silent": {func(to *line) { to.set(false, true) }, func(to *line) { to.set(false, false) }},
	} {
		t.Run(name, func(t *testing.T) {
			w, to := connected(t)
			trouble.start(to)
			w.quick(name, slacksim.AcmeAdmin, "/connection status", "Couldn't check",
				"We can't reach our own records right now.")
			w.quick(name, slacksim.AcmeAdmin, "/connection help", "Here is what you can ask")

			b := w.browser()
			started := time.Now()
			if a := b.get(w.proxy.URL + "/slack/install"); a.status != http.StatusServiceUnavailable ||
				!strings.Contains(a.body, "reach our records") || time.Since(started) > 3*time.Second {
				t.Errorf("install page: %d after %v", a.status, time.Since(started))
			}
			started = time.Now()
			if a := b.get(w.proxy.URL + "/"); a.status != http.StatusServiceUnavailable ||
				!strings.Contains(a.body, "updating") || time.Since(started) > 3*time.Second {
				t.Errorf("landing page: %d after %v", a.status, time.Since(started))
			}
			if a := b.get(w.replicas[0].admin.String() + "/readyz"); a.status != http.StatusServiceUnavailable {
				t.Errorf("readyz: %d", a.status)
			}
			if a := b.get(w.replicas[0].admin.String() + "/livez"); a.status != http.StatusOK {
				t.Errorf("livez: %d", a.status)
			}
			trouble.end(to)
			until(t, "the records again", func() bool {
				return strings.Contains(w.type_(slacksim.AcmeAdmin, slacksim.AcmeGeneral, "/connection status").Text, "Working")
			})
		})
	}
	// The database goes while Slack answers the exchange: the person is told to press once more, and that works.
	t.Run("after the exchange", func(t *testing.T) {
		w, to := connected(t)
		b := w.browser()
		back := b.consent(b.begin("/slack/install"), slacksim.AcmeAdmin, slacksim.Choice{})
		defer w.slack.Inject(slacksim.Fault{Method: "oauth.v2.access", Times: 1, Delay: 300 * time.Millisecond})()
		asked := len(w.slack.Calls("oauth.v2.access"))
		page := make(chan answer, 1)
		go func() { page <- b.get(back) }()
		w.wait("the exchange", func() bool { return len(w.slack.Calls("oauth.v2.access")) > asked })
		to.set(true, false)
		if a := <-page; a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "Finish connecting") {
			t.Errorf("store down after the exchange: %d %s", a.status, a.body)
		}
		to.set(false, false)
		if a := b.install(slacksim.AcmeAdmin); a.status != http.StatusOK {
			t.Errorf("once more: %d", a.status)
		}
	})
}

// Slack's own door: what is not Slack's is refused, what is Slack's is never answered with anything but 200.
func TestDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	app := w.slack.App().ID
	deliver := func(r slacksim.Raw) slacksim.Ack { return w.slack.Sender.Deliver(context.Background(), r) }
	event := func(inner string) []byte {
		return fmt.Appendf(nil,
			`{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":"Ev%d","event_time":%d,"event":%s}`, app,
			slacksim.Acme, time.Now().UnixNano(), time.Now().Unix(), inner)
	}
	message := event(`{"type":"message","channel":"D1","channel_type":"im","user":"U1","text":"hi","ts":"1.1"}`)
	for _, test := range []struct {
		name string
		raw  slacksim.Raw
		want int
	}{
		{"bad signature", slacksim.Raw{Body: message, BadSignature: true}, 401},
		{"no signature", slacksim.Raw{Body: message, Unsigned: true}, 401},
		{"other secret", slacksim.Raw{Body: message, Secret: "somebody else's secret"}, 401},
		{"six minutes old", slacksim.Raw{Body: message, Skew: -6 * time.Minute}, 401},
		{"six minutes ahead", slacksim.Raw{Body: message, Skew: 6 * time.Minute}, 401},
		{"a body that is too large", slacksim.Raw{Body: make([]byte, 3<<20)}, 413},
		{"unsigned command", slacksim.Raw{Kind: "command", Body: []byte("command=%2Fconnection"), Unsigned: true}, 401},
		{"unknown event", slacksim.Raw{Body: event(`{"type":"moon_landed"}`)}, 200},
		{"event of another shape", slacksim.Raw{Body: event(`{"type":"message","text":7,"blocks":"no"}`)}, 200},
		{"event that is a list", slacksim.Raw{Body: event(`[]`)}, 200},
		{"no event", slacksim.Raw{Body: []byte(`{"type":"event_callback","event_id":"Ev1"}`)}, 200},
		{"not JSON", slacksim.Raw{Body: []byte(`hello`)}, 200},
		{"nothing", slacksim.Raw{Body: []byte{}}, 200},
		{"unknown kind", slacksim.Raw{Body: []byte(`{"type":"greeting"}`)}, 200},
		{"rate limited", slacksim.Raw{Body: []byte(`{"type":"app_rate_limited","team_id":"T1","minute_rate_limited":1}`)},
			200},
		{"not installed", slacksim.Raw{Body: []byte(strings.ReplaceAll(string(message), slacksim.Acme, "T0NOBODY01"))}, 200},
		{"another app", slacksim.Raw{Body: []byte(strings.ReplaceAll(string(message), app, "A0OTHER001"))}, 200},
		{"unknown command", slacksim.Raw{Kind: "command", Body: []byte("command=%2Fbogus&team_id=" + slacksim.Acme)}, 200},
		{"a form with nothing in it", slacksim.Raw{Kind: "command", Body: []byte("x=1")}, 200},
		{"a payload that is not JSON", slacksim.Raw{Kind: "interaction", Body: []byte("payload=%7B")}, 200},
		{"an unknown interaction", slacksim.Raw{Kind: "interaction",
			Body: []byte("payload=" + url.QueryEscape(`{"type":"telepathy"}`))}, 200},
		{"a button nobody knows", slacksim.Raw{Kind: "interaction",
			Body: []byte("payload=" + url.QueryEscape(`{"type":"block_actions","actions":[{"action_id":"bogus"}]}`))}, 200},
		{"form with a charset", slacksim.Raw{Kind: "command", ContentType: "application/x-www-form-urlencoded; charset=utf-8",
			Body: []byte("command=%2Fconnection&text=help")}, 200},
		{"the certificate check, unsigned", slacksim.Raw{Kind: "command", Body: []byte("ssl_check=1&token=x"),
			Unsigned: true}, 200},
	} {
		if ack := deliver(test.raw); ack.Status != test.want {
			t.Errorf("%s: %d, want %d: %s", test.name, ack.Status, test.want, ack.Body)
		}
	}
	// A header that comes twice is nobody's.
	if ack := deliver(slacksim.Raw{Body: message,
		Header: http.Header{"X-Slack-Signature": {"v0=" + strings.Repeat("0", 64)}}}); ack.Status == http.StatusOK {
		t.Error("two signature headers were accepted")
	}
	// A command of another app is not ours to answer.
	if ack := deliver(slacksim.Raw{Kind: "command",
		Body: []byte("command=%2Fconnection&text=help&api_app_id=A0OTHER001&team_id=" + slacksim.Acme)}); len(ack.Body) != 0 {
		t.Errorf("another app's command was answered: %s", ack.Body)
	}
	// The certificate check runs nothing, whatever else it carries.
	if ack := deliver(slacksim.Raw{Kind: "command", Unsigned: true,
		Body: []byte("ssl_check=1&command=%2Fconnection&text=status&team_id=" + slacksim.Acme)}); len(ack.Body) != 0 {
		t.Errorf("ssl_check ran a command: %s", ack.Body)
	}
	// A payload in the address is not signed, so it does not exist.
	if ack := deliver(slacksim.Raw{Kind: "interaction", URL: w.slack.App().EventsURL + "?command=/connection&text=status",
		Body: []byte("x=1")}); len(ack.Body) != 0 {
		t.Errorf("the query was read: %s", ack.Body)
	}
	if err := w.slack.Sender.VerifyURL(context.Background()); err != nil {
		t.Errorf("url_verification: %v", err)
	}
	if a := w.browser().get(w.slack.App().EventsURL); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", a.status)
	}
	w.settle()
	if calls := w.slack.Calls("chat.postMessage"); len(calls) != 1 {
		t.Errorf("%d messages were sent, want the welcome alone", len(calls))
	}
}

func TestEachEventOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	dm := w.slack.DM(slacksim.AcmeMember)
	w.slack.Sender.DeliverTwice(1)
	w.say(slacksim.AcmeMember, dm, "hello")
	w.wait("an answer", func() bool { return len(w.fromApp(dm, slacksim.AcmeMember)) >= 1 })
	w.say(slacksim.AcmeMember, dm, "help") // its answer comes after whatever the second delivery could cause
	w.wait("another answer", func() bool { return len(w.fromApp(dm, slacksim.AcmeMember)) >= 2 })
	w.settle()
	if n := len(w.fromApp(dm, slacksim.AcmeMember)); n != 2 {
		t.Errorf("%d answers to 2 messages", n)
	}
}

// In a channel shared with another company its people can press our buttons; being an admin over there counts for
// nothing.
func TestButtonsAreForOurOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	dana := slacksim.AcmeAdmin
	dm := w.slack.DM(dana)
	welcome := w.fromApp(dm, dana)[0]
	press := func(user, team string) slacksim.Ack {
		payload := fmt.Sprintf(
			`{"type":"block_actions","api_app_id":%q,"team":{"id":%q},"user":{"id":%q,"team_id":%q},"channel":{"id":%q},"container":{"type":"message","message_ts":%q},"actions":[{"action_id":"connection.test"}]}`,
			w.slack.App().ID, slacksim.Acme, user, team, dm, welcome.TS)
		return w.slack.Sender.Deliver(context.Background(),
			slacksim.Raw{Kind: "interaction", Body: []byte("payload=" + url.QueryEscape(payload))})
	}
	tests := func() int {
		n := 0
		for _, c := range w.slack.Calls("chat.postMessage") {
			if strings.Contains(c.Arg("text"), "This is the test message") {
				n++
			}
		}
		return n
	}
	for _, who := range []struct {
		name, user, team string
		may              bool
	}{
		{"a plain member", slacksim.AcmeMember, slacksim.Acme, false},
		{"an admin of another workspace", slacksim.BirchAdmin, slacksim.Birch, false},
		{"somebody with the installer's id from elsewhere", dana, slacksim.Birch, false},
		{"the installer", dana, slacksim.Acme, true},
	} {
		before := tests()
		if ack := press(who.user, who.team); ack.Status != http.StatusOK {
			t.Errorf("%s: %d", who.name, ack.Status)
		}
		if did := tests() > before; did != who.may {
			t.Errorf("%s: the button worked: %v", who.name, did)
		}
	}
}

// A removal that Slack doesn't confirm now is neither believed nor forgotten, over a restart too.
func TestRemovalIsNotForgotten(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.startFor()
		w.browser().install(slacksim.AcmeAdmin)
		w.settle()
		clear := w.slack.Inject(slacksim.Fault{Method: "auth.test", Status: 500})
		if err := w.slack.Admins.Uninstall(context.Background(), slacksim.Acme, slacksim.RevokedFirst); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.stop() // what was accepted is worked off
		if doubted, err := w.store().PendingRemovals(context.Background()); err != nil || len(doubted) != 1 ||
			doubted[0].PendingRemoval.Reason != connection.ReasonUninstalled {
			t.Errorf("the doubt was not written down: %v %v", doubted, err)
		}
		if got := w.connections()[0]; got.State != "active" {
			t.Errorf("a doubt changed the state: %+v", got)
		}
		clear()
		w.startFor()
		w.waitRow("the removal", func(r record) bool { return r.State == "removed" })
		c, err := w.store().Lookup(context.Background(), connection.Key{AppID: w.slack.App().ID, TeamID: slacksim.Acme})
		if err != nil || c.Token != "" {
			t.Errorf("after the removal: %v, token kept: %v", err, c.Token != "")
		}
	})
}

// An old word about the install before this one removes nothing, whatever Slack answers at that moment.
func TestLateRemovalRemovesNothing(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", "invalid_auth", "token_expired", "org_login_required", "team_added_to_org",
		"ekm_access_denied", "zombie_apocalypse"} {
		t.Run("auth.test "+code, func(t *testing.T) {
			w := newWorld(t, storageURL(t)).start(1, nil)
			w.browser().install(slacksim.AcmeAdmin)
			w.settle()
			clear := func() {}
			if code != "" {
				clear = w.slack.Inject(slacksim.Fault{Method: "auth.test", Error: code})
			}
			asked := len(w.slack.Calls("auth.test"))
			for _, inner := range []map[string]any{{"type": "app_uninstalled"},
				{"type": "tokens_revoked", "tokens": map[string]any{"bot": []string{"U0ACME0001BOT"}}}} {
				if _, err := w.slack.Sender.Emit(context.Background(),
					slacksim.Event{TeamID: slacksim.Acme, Inner: inner, NoAuthorizations: true,
						Time: time.Now().Add(-time.Hour)}); err != nil {
					t.Fatal(err)
				}
			}
			w.wait("both to be asked about", func() bool { return len(w.slack.Calls("auth.test")) >= asked+2 })
			w.stop() // what was accepted is worked off
			clear()
			w.start(1, nil)
			w.quick("after", slacksim.AcmeAdmin, "/connection status", "Asking Slack")
			w.waitRow("recovery", func(r record) bool { return r.State == "active" })
		})
	}
}

// With a key that opens nothing the app says so, stays up, and a new install mends it.
func TestUnreadableIsMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	dana := slacksim.AcmeAdmin
	w.browser().install(dana)
	first := w.connections()[0]
	if err := w.slack.OpenHome(context.Background(), dana, "home"); err != nil {
		t.Fatal(err)
	}
	w.wait("the home tab", func() bool { _, ok := w.slack.Home(dana); return ok })
	w.settle()
	w.stop()
	w.keys = seal.NewKey()
	w.sealOne(w.keys)
	w.start(1, nil)
	w.quick("status", dana, "/connection status", "Needs reconnecting", "stored access can't be read",
		w.proxy.URL+"/slack/install|")
	if ack, err := w.slack.PressHome(context.Background(), dana, "connection.check"); err != nil ||
		ack.Status != http.StatusOK {
		t.Errorf("a button in the home tab: %v %d", err, ack.Status)
	}
	if a := w.browser().get(w.replicas[0].admin.String() + "/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz: %d", a.status)
	}
	if page := w.browser().install(dana); !strings.Contains(page.body,
		"Reconnected: Switchboard works again in Acme Corp") {
		t.Errorf("page: %s", page.body)
	}
	w.waitRow("the mended row", func(r record) bool { return r.ID == first.ID && r.State == "active" })
}

// Guests read the state and nothing of the workspace; an admin is not called a stranger because Slack is down.
func TestWhoMayReadAndPress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.slack.AddUser(slacksim.User{ID: "U0ACMEGUES", TeamID: slacksim.Acme, Name: "gus", RealName: "Gus Guest",
		Guest: true})
	w.slack.AddUser(slacksim.User{ID: "U0ACMEADM2", TeamID: slacksim.Acme, Name: "ada", RealName: "Ada Admin",
		Admin: true})
	w.slack.AddChannel(slacksim.Channel{ID: slacksim.AcmeGeneral, TeamID: slacksim.Acme, Name: "general",
		Members: []string{slacksim.AcmeAdmin, "U0ACMEGUES", "U0ACMEADM2"}})
	w.browser().install(slacksim.AcmeAdmin)
	live := func(user string) string {
		t.Helper()
		before := len(w.slack.Calls("response_url"))
		w.quick("details", user, "/connection details", "Working")
		w.wait("the live answer", func() bool {
			return len(w.slack.Calls("response_url")) > before &&
				!strings.Contains(w.last(slacksim.AcmeGeneral, user).Text, "Asking Slack")
		})
		m := w.last(slacksim.AcmeGeneral, user)
		return m.Text + string(m.Blocks)
	}
	if got := live("U0ACMEGUES"); !strings.Contains(got, "Working") || strings.Contains(got, "Connected by") ||
		strings.Contains(got, "button") {
		t.Errorf("a guest reads %s", got)
	}
	if got := live("U0ACMEADM2"); !strings.Contains(got, "Connected by") || !strings.Contains(got, "Check again") {
		t.Errorf("an admin reads %s", got)
	}
	shown := w.last(slacksim.AcmeGeneral, "U0ACMEADM2")
	defer w.slack.Inject(slacksim.Fault{Method: "users.info", Status: 500})()
	if _, err := w.slack.Press(context.Background(), "U0ACMEADM2", slacksim.AcmeGeneral, shown.TS,
		"connection.permissions"); err != nil {
		t.Fatal(err)
	}
	w.wait("the refusal", func() bool {
		return strings.Contains(w.last(slacksim.AcmeGeneral, "U0ACMEADM2").Text,
			"We couldn't ask Slack whether you can do that.")
	})
}

// Where Slack doesn't replace a command's own answer, both answers stand, and each can be read alone.
func TestBothAnswersCanStand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storageURL(t)).start(1, nil)
	w.slack.SetApp(func(a *slacksim.App) { a.CommandAnswersStay = true })
	w.browser().install(slacksim.AcmeAdmin)
	w.quick("quick", slacksim.AcmeAdmin, "/connection status", "Working", "Asking Slack")
	w.wait("the live answer", func() bool { return len(w.fromApp(slacksim.AcmeGeneral, slacksim.AcmeAdmin)) == 2 })
	for i, want := range []string{"Asking Slack", "Checked with Slack just now"} {
		if m := w.fromApp(slacksim.AcmeGeneral, slacksim.AcmeAdmin)[i]; !m.Ephemeral ||
			!strings.Contains(string(m.Blocks), want) {
			t.Errorf("answer %d: %s", i, m.Blocks)
		}
	}
}
