package bot

// Socket Mode over real WebSockets, with slacksim at the other end.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/slacksim"
)

const socketToken = "xapp-1-A0PARROT01-a-secret"

// quickPace is for a Slack on this machine. Nothing in it keeps a test waiting; a test that is about one of these times
// sets it.
var quickPace = transport.SocketPace{
	Dial: 20 * time.Second, Silence: 20 * time.Second, Linger: 20 * time.Second, Drain: 20 * time.Second,
	Farewell: 20 * time.Second, First: time.Millisecond, Most: 20 * time.Millisecond, Off: 20 * time.Millisecond,
	Ceiling: rate.Inf, Believed: 20 * time.Second,
}

// socketStage is a Slack in Socket Mode, with the app installed in Acme, and a bot that is not connected yet.
type socketStage struct {
	*slacksim.Sim
	t     *testing.T
	ctx   context.Context
	clock *slacksim.ManualClock
	token string // the bot's
	dm    string // of Acme's admin
	log   *lockedBuffer
	allow []string // rules that are bound to be broken
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newSocketStage(t *testing.T, change ...func(*slacksim.Config)) *socketStage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	w := &socketStage{t: t, ctx: ctx, log: &lockedBuffer{}, clock: slacksim.NewManualClock(time.Unix(1793611800, 0))}
	cfg := slacksim.Config{Clock: w.clock, PingEvery: 20 * time.Millisecond, AckTimeout: 20 * time.Second,
		App: slacksim.App{
			ID: "A0PARROT01", Name: "Parrot", ClientID: "1.2", ClientSecret: "client-secret", SigningSecret: "signing-secret",
			RedirectURLs: []string{"https://bot.example.com/"}, Events: []string{"message.im"},
			Commands: []slacksim.Command{{Name: "/say"}}, HomeTab: true, MessagesTab: true, SocketMode: true,
			AppToken: socketToken,
		}}
	for _, f := range change {
		f(&cfg)
	}
	w.Sim = slacksim.New(cfg)
	w.AddSmallWorld()
	if err := w.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		if err := w.Close(ctx); err != nil {
			t.Error(err)
		}
	breaches:
		for _, b := range w.Breaches() {
			for _, rule := range w.allow {
				if rule == b.Rule {
					continue breaches
				}
			}
			t.Errorf("a rule of Slack's was broken: %s %s", b.Rule, b.Detail)
		}
		for _, secret := range append(w.Secrets(), socketToken) {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("a secret in the log: %.12s…", secret)
			}
		}
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	back,
		err := w.Authorize(ctx,
		w.URL()+
			"/oauth/v2/authorize?client_id=1.2&state=s&redirect_uri=https://bot.example.com/cb&scope=chat:write,commands,im:history", slacksim.AcmeAdmin, slacksim.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	code := strings.Split(strings.SplitAfter(back, "code=")[1], "&")[0]
	granted, err := slack.GetOAuthV2ResponseContext(ctx, slackapi.NewHTTPClient(), "1.2", "client-secret", code,
		"https://bot.example.com/cb", slack.OAuthOptionAPIURL(w.URL()+"/api/"))
	if err != nil {
		t.Fatal(err)
	}
	w.token, w.dm = granted.AccessToken, w.DM(slacksim.AcmeAdmin)
	return w
}

// bot is a Bot that speaks Socket Mode and has nobody in its store.
func (w *socketStage) bot(handlers ...Handler) *Bot {
	w.t.Helper()
	in, err := install.New(install.Config{App: install.App{Name: "Parrot"}, SlackURL: w.URL(),
		PublicURL: "https://bot.example.com", Store: noStore{}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(in.Slack().HTTP.CloseIdleConnections)
	b, err := New(Config{Install: in, Handlers: handlers, SigningSecrets: []connection.Secret{"signing-secret"},
		AppID: "A0PARROT01", AppToken: socketToken,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// connect runs a bot's sockets until the test ends or stop is called, and returns what they ended with.
func (w *socketStage) connect(b *Bot, change func(*transport.Sockets)) (stop func() error) {
	w.t.Helper()
	s := b.sockets
	s.Pace = quickPace
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	w.t.Cleanup(func() {
		if err := stop(); err != nil {
			w.t.Errorf("sockets ended: %v", err)
		}
		if live, state, _ := b.SocketHealth(); live != 0 || state != SocketsOff {
			w.t.Errorf("after the end %d connections, %s", live, state)
		}
	})
	return stop
}

// wait waits for what is to happen in Slack or in the bot, of which Slack hears nothing.
func (w *socketStage) wait(what string, ok func() bool) {
	w.t.Helper()
	for !ok() {
		select {
		case <-w.ctx.Done():
			w.t.Fatalf("waited in vain for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func (w *socketStage) connected(n int) {
	w.t.Helper()
	if err := w.WaitFor(w.ctx, func() bool { return len(w.Sockets.Live()) == n }); err != nil {
		w.t.Fatalf("%d connections, want %d", len(w.Sockets.Live()), n)
	}
}

func (w *socketStage) command(line string) slacksim.CommandReply {
	w.t.Helper()
	r, err := w.Command(w.ctx, slacksim.AcmeAdmin, w.dm, line)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *socketStage) event() string {
	w.t.Helper()
	id, err := w.Sender.Emit(w.ctx, slacksim.Event{TeamID: slacksim.Acme,
		Inner: map[string]any{"type": "odd_event", "text": "a <b> & c"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *socketStage) settle() {
	w.t.Helper()
	if err := w.Settle(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

// taken counts what was accepted, by event id or command text.
type taken struct {
	mu sync.Mutex
	n  map[string]int
}

func (k *taken) add(d transport.Delivery) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n == nil {
		k.n = map[string]int{}
	}
	id := d.Form.Get("text")
	if d.Kind == transport.KindEvents {
		e, _ := decodeEnvelope(d.Body)
		id = e.EventID
	}
	k.n[id]++
}

func (k *taken) count(id string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.n[id]
}

func jsonAnswer(text string) transport.Answer {
	body, _ := json.Marshal(map[string]string{"text": text})
	return transport.Answer{Body: body, ContentType: "application/json; charset=utf-8"}
}

// echoes acknowledges everything and answers commands with their text.
func (k *taken) echoes(_ context.Context, d transport.Delivery) (transport.Answer, error) {
	k.add(d)
	if d.Kind == transport.KindCommands {
		return jsonAnswer("you said " + d.Form.Get("text")), nil
	}
	return transport.Answer{}, nil
}

func TestSocketsDeliver(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	b := w.bot()
	var got transport.Delivery
	var after atomic.Int32
	w.connect(b, func(s *transport.Sockets) {
		s.Accept = func(_ context.Context, d transport.Delivery) (transport.Answer, error) {
			got = d
			a := jsonAnswer("<hello> & welcome")
			a.After = func() { after.Add(1) }
			if d.Kind != transport.KindCommands {
				a = transport.Answer{After: a.After}
			}
			return a, nil
		}
	})
	w.connected(2)
	w.wait("the bot to know", func() bool {
		live, state, err := b.SocketHealth()
		return live == 2 && state == SocketsLive && err == nil
	})

	for _, booleans := range []bool{false, true} {
		w.SetApp(func(a *slacksim.App) { a.SocketBooleans = booleans })
		if r := w.command("/say what"); r.Text != "<hello> & welcome" || r.Shown != "" {
			t.Errorf("%+v", r)
		}
		f := got.Form
		if got.Kind != transport.KindCommands || f.Get("command") != "/say" || f.Get("text") != "what" ||
			f.Get("team_id") != slacksim.Acme || f.Get("is_enterprise_install") != "false" ||
			f.Get("response_url") == "" || f.Get("trigger_id") == "" || f.Get("user_id") != slacksim.AcmeAdmin {
			t.Errorf("%+v", got)
		}
	}
	// As it came, byte for byte, whatever slack-go thinks of it.
	id := w.event()
	w.settle()
	sent := w.Deliveries()[len(w.Deliveries())-1]
	if got.Kind != transport.KindEvents || !bytes.Equal(got.Body, sent.Body) || sent.EventID != id || sent.Status != 200 {
		t.Errorf("%s %s, sent %s", got.Kind, got.Body, sent.Body)
	}
	w.Sender.Deliver(w.ctx, slacksim.Raw{Body: []byte(
		`{"type":"event_callback","event":{"type":"message","blocks":[{"type":7}]}}`)})
	if !strings.Contains(string(got.Body), `"type":7`) {
		t.Errorf("what slack-go can't parse: %s", got.Body)
	}
	// The envelope of a button accepts a payload that means nothing; slacksim counts one as a breach.
	_, ts, err := slack.New(w.token, slack.OptionAPIURL(w.URL()+"/api/")).PostMessageContext(w.ctx, w.dm,
		slack.MsgOptionText("t", false),
		slack.MsgOptionBlocks(slack.NewActionBlock("b",
			slack.NewButtonBlockElement("go", "1", slack.NewTextBlockObject("plain_text", "Go", false, false)))))
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	ack, err := w.Press(w.ctx, slacksim.AcmeAdmin, w.dm, ts, "go")
	var i interaction
	if err != nil || ack.Status != 200 || got.Kind != transport.KindInteractive || json.Unmarshal(got.Body, &i) != nil ||
		i.Actions[0].ActionID != "go" {
		t.Errorf("%+v %v %s", ack, err, got.Body)
	}
	// It follows the acknowledgement, which is what the press waited for.
	w.wait("what follows the acknowledgements", func() bool { return after.Load() == 6 })
}

// What nobody can use is acknowledged, so that it does not come again.
func TestSocketsAcknowledgeWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	kinds := make(chan string, 20)
	w.connect(w.bot(), func(s *transport.Sockets) {
		s.Number = 1
		s.Accept = func(_ context.Context, d transport.Delivery) (transport.Answer, error) {
			kinds <- d.Kind
			return transport.Answer{}, nil
		}
	})
	w.connected(1)
	for name, frame := range map[string]string{
		"a type of tomorrow":       `{"type":"tomorrow","envelope_id":"e1","payload":{}}`,
		"a type that is a number":  `{"type":7,"envelope_id":"e2","payload":{}}`,
		"no JSON":                  `{"payload":{"a":}, "envelope_id" : "e3"}`,
		"cut off":                  `{"envelope_id":"e4","type":"events_api","payload":{"type":"event_`,
		"a command that is a list": `{"type":"slash_commands","envelope_id":"e5","payload":[]}`,
	} {
		if a := w.Sockets.SendFrame(w.ctx, frame); a.Status != 200 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for _, frame := range []string{`{"type":"tomorrow"}`, `hi`, `{"type":"hello"}`, `{"type":"events_api","payload":{}}`} {
		w.Sockets.SendFrame(w.ctx, frame)
	}
	if a := w.Sockets.SendFrame(w.ctx,
		`{"type":"events_api","envelope_id":"e6","accepts_response_payload":"?","retry_attempt":"x"}`); a.Status != 200 {
		t.Errorf("a field of another type: %+v", a)
	}
	// What can't be read is kept, by its frame; what is only unknown is not.
	accepted := map[string]int{}
	w.wait("six to be accepted", func() bool { return len(kinds) >= 6 })
	for range 6 {
		accepted[<-kinds]++
	}
	if accepted[transport.KindEvents] != 1 || accepted[transport.KindUnreadable] != 5 || len(kinds) > 0 ||
		w.Sockets.Opened() != 1 {
		t.Errorf("accepted %v and %d more on %d connections", accepted, len(kinds), w.Sockets.Opened())
	}
}

// Slack renews connections under load, fifty times: everything comes once, at the first attempt, and every command is
// answered.
func TestSocketsRefreshedUnderLoad(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	var k taken
	b := w.bot()
	w.connect(b, func(s *transport.Sockets) { s.Accept = k.echoes })
	w.connected(2)
	load, stop := context.WithCancel(w.ctx)
	var loading sync.WaitGroup
	var events sync.Map
	var commands atomic.Int64
	for i := range 4 {
		loading.Go(func() {
			for n := 0; load.Err() == nil; n++ {
				events.Store(w.event(), true)
				text := fmt.Sprintf("%d-%d", i, n)
				if r := w.command("/say " + text); r.Text != "you said "+text {
					t.Errorf("command %s: %+v", text, r)
				}
				commands.Add(1)
			}
		})
	}
	for range 50 {
		old := w.Sockets.Live()
		w.Sockets.Refresh(10*time.Second, old...)
		w.connected(4) // the old ones are in use until Slack ends them
		w.clock.Advance(10 * time.Second)
		w.connected(2)
	}
	stop()
	loading.Wait()
	w.settle()
	n := 0
	events.Range(func(id, _ any) bool {
		n++
		if k.count(id.(string)) != 1 {
			t.Errorf("%s was accepted %d times", id, k.count(id.(string)))
		}
		return true
	})
	for _, d := range w.Deliveries() {
		if d.Status != 200 || d.RetryNum > 0 {
			t.Errorf("%s %s: attempt %d, %d %s", d.Kind, d.EventID, d.RetryNum, d.Status, d.Err)
		}
	}
	t.Logf("%d events, %d commands, %d connections", n, commands.Load(), w.Sockets.Opened())
}

// Connections that end without a warning lose nothing that Slack sends again.
func TestSocketsDroppedUnderLoad(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	var k taken
	w.connect(w.bot(), func(s *transport.Sockets) { s.Accept = k.echoes })
	w.connected(2)
	var ids []string
	for i := range 20 {
		for range 5 {
			ids = append(ids, w.event())
		}
		if i%2 == 0 {
			w.Sockets.Drop()
		} else {
			w.Sockets.Refresh(0)
		}
	}
	for range 3 { // Slack's own retries: at once, after one minute, after five
		w.connected(2)
		w.settle()
		w.clock.Advance(5 * time.Minute)
	}
	w.settle()
	for _, id := range ids {
		if k.count(id) == 0 {
			t.Errorf("%s is lost", id)
		}
	}
}

// What is not durable is not acknowledged; Slack sends it again, and then it is accepted.
func TestSocketsDoNotAcknowledgeWhatIsNotKept(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t, func(c *slacksim.Config) { c.AckTimeout = time.Second })
	w.allow = []string{slacksim.RuleLateAck}
	var k taken
	var refuse atomic.Int32
	var panics atomic.Bool
	w.connect(w.bot(), func(s *transport.Sockets) {
		s.Accept = func(ctx context.Context, d transport.Delivery) (transport.Answer, error) {
			if panics.Swap(false) {
				panic("out of luck")
			}
			if refuse.Add(-1) >= 0 {
				return transport.Answer{After: func() {
					t.Error("something follows what was not accepted")
				}}, errors.New("the database is down")
			}
			return k.echoes(ctx, d)
		}
	})
	w.connected(2)
	refuse.Store(2)
	id := w.event()
	w.settle()
	if k.count(id) != 0 {
		t.Fatal("accepted all the same")
	}
	w.clock.Advance(time.Minute)
	w.settle()
	var attempts []string
	for _, d := range w.Deliveries() {
		attempts = append(attempts, fmt.Sprint(d.RetryNum, d.Status))
	}
	if fmt.Sprint(attempts) != "[0 0 1 0 2 200]" || k.count(id) != 1 {
		t.Errorf("attempts %v, accepted %d times", attempts, k.count(id))
	}
	panics.Store(true)
	if id = w.event(); true {
		w.settle()
	}
	if k.count(id) != 1 {
		t.Error("a panic was acknowledged, or ended it all")
	}
}

// refusing is an inbox whose database is down for a while.
type refusing struct {
	*MemoryInbox
	left atomic.Int32
}

func (r *refusing) Add(ctx context.Context, e *Delivery, take bool) (bool, error) {
	if r.left.Add(-1) >= 0 {
		return false, errors.New("the database is down")
	}
	return r.MemoryInbox.Add(ctx, e, take)
}

// The same with a real inbox and a handler, which hears each event once, however often it came.
func TestSocketsAndTheInbox(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t, func(c *slacksim.Config) { c.AckTimeout = time.Second })
	w.allow = []string{slacksim.RuleLateAck}
	var mu sync.Mutex
	heard := map[string]int{}
	b := w.bot(OnEvent("odd_event", func(_ context.Context, turn *Event[struct{}]) error {
		mu.Lock()
		defer mu.Unlock()
		heard[turn.EventID]++
		return nil
	}, WithoutConnection()))
	inbox := &refusing{MemoryInbox: NewMemoryInbox()}
	b.workers.inbox = inbox
	w.connect(b, nil)
	b.cfg.AppToken = "" // Run is here for the inbox alone
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	w.connected(2)
	inbox.left.Store(1)
	first := w.event()
	w.settle()
	w.Sender.DeliverTwice(1)
	second := w.event()
	w.settle()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if heard[first] != 1 || heard[second] != 1 || len(heard) != 2 || len(w.Deliveries()) != 4 {
		t.Errorf("%d deliveries, heard %v", len(w.Deliveries()), heard)
	}
}

// One that takes long holds up nothing else, on its connection or another.
func TestSocketsAcceptConcurrently(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	started, release := make(chan struct{}, 1), make(chan struct{})
	var k taken
	w.connect(w.bot(), func(s *transport.Sockets) {
		s.Number = 1
		s.Accept = func(ctx context.Context, d transport.Delivery) (transport.Answer, error) {
			if d.Form.Get("text") == "slow" {
				started <- struct{}{}
				<-release
			}
			return k.echoes(ctx, d)
		}
	})
	w.connected(1)
	var slow slacksim.CommandReply
	done := make(chan struct{})
	go func() { defer close(done); slow = w.command("/say slow") }()
	w.wait("the slow one to begin", func() bool { return len(started) > 0 })
	for i := range 100 {
		if r := w.command(fmt.Sprint("/say ", i)); r.Status != 200 {
			t.Fatalf("%+v", r)
		}
	}
	close(release)
	<-done
	if slow.Text != "you said slow" {
		t.Errorf("%+v", slow)
	}
}

// More than there are places for waits in the connection and is accepted later.
func TestSocketsAcceptSoManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	var now, most atomic.Int64
	release := make(chan struct{})
	w.connect(w.bot(), func(s *transport.Sockets) {
		s.Accept = func(context.Context, transport.Delivery) (transport.Answer, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			<-release
			return transport.Answer{}, nil
		}
	})
	w.connected(2)
	for range transport.AcceptsAtOnce + 100 {
		w.event()
	}
	w.wait("all places to be taken", func() bool { return now.Load() == transport.AcceptsAtOnce })
	close(release)
	w.settle()
	for _, d := range w.Deliveries() {
		if d.Status != 200 {
			t.Fatalf("%+v", d)
		}
	}
	if most.Load() != transport.AcceptsAtOnce {
		t.Errorf("%d at once", most.Load())
	}
}

func TestSocketsNoticeSilence(t *testing.T) {
	t.Parallel()
	const silence = time.Second
	w := newSocketStage(t)
	var k taken
	w.connect(w.bot(), func(s *transport.Sockets) {
		s.Accept, s.Pace.Silence, s.Pace.Farewell = k.echoes, silence, 10*time.Millisecond
	})
	w.connected(2)
	ids := w.Sockets.Live()
	w.Sockets.Freeze(ids...)
	if err := w.WaitFor(w.ctx, func() bool {
		now := w.Sockets.Live()
		return len(now) == 2 && now[0] > ids[1]
	}); err != nil {
		t.Fatalf("silent connections are kept: %v", w.Sockets.Live())
	}
	// Pings alone are enough to be alive.
	calm := w.Sockets.Live()
	through(t, silence*3/2, silence/2, func() {})
	if now := w.Sockets.Live(); fmt.Sprint(now) != fmt.Sprint(calm) {
		t.Errorf("connections %v became %v though Slack pings", calm, now)
	}
	if r := w.command("/say hi"); r.Text != "you said hi" {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(w.log.String(), "no word from Slack") {
		t.Error("the log does not say why")
	}
}

// through lets time pass in which nothing is to happen, and does something meanwhile. If the machine stood still for
// longer than most, it skips the rest of the test.
func through(t *testing.T, d, most time.Duration, do func()) {
	t.Helper()
	for start := time.Now(); time.Since(start) < d; {
		before := time.Now()
		do()
		time.Sleep(most / 10)
		if time.Since(before) > most {
			t.Skip("this machine is too slow to tell")
		}
	}
}

func TestSocketsAreAliveWhileMessagesCome(t *testing.T) {
	t.Parallel()
	const silence = time.Second
	w := newSocketStage(t, func(c *slacksim.Config) { c.PingEvery = time.Hour })
	w.connect(w.bot(), func(s *transport.Sockets) { s.Number, s.Pace.Silence = 1, silence })
	w.connected(1)
	through(t, silence*3/2, silence/2, func() { w.Sockets.SendFrame(w.ctx, `{"type":"tomorrow"}`) })
	if n := w.Sockets.Opened(); n != 1 {
		t.Errorf("%d connections opened", n)
	}
}

// A Slack that takes the connection and never says a word is given up, too.
func TestSocketsDoNotWaitForHelloForEver(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var silent []net.Conn
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			silent = append(silent, c)
		}
	}()
	t.Cleanup(func() {
		_ = mute.Close()
		<-listening
		for _, c := range silent {
			_ = c.Close()
		}
	})
	w.Inject(slacksim.Fault{Method: "apps.connections.open", Times: 2,
		Body: `{"ok":true,"url":"ws://` + mute.Addr().String() + `/link/?ticket=t"}`})
	w.connect(w.bot(), func(s *transport.Sockets) { s.Pace.Dial = 200 * time.Millisecond })
	w.connected(2)
}

// Slack takes every connection and drops it at once: it is asked for another a few times a minute and no more.
func TestSocketsInADropLoop(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	b := w.bot()
	w.connect(b, func(s *transport.Sockets) {
		s.Pace.Ceiling = rate.Every(50 * time.Millisecond)
		s.Pace.Settled, s.Pace.First, s.Pace.Most = time.Minute, 10*time.Millisecond, 80*time.Millisecond
	})
	start := time.Now()
	for n := 0; n < 20; {
		if err := w.WaitFor(w.ctx, func() bool { return len(w.Sockets.Live()) > 0 }); err != nil {
			t.Fatal(err)
		}
		n += w.Sockets.Drop()
	}
	calls := len(w.Calls("apps.connections.open"))
	if most := 4 + int(time.Since(start)/(50*time.Millisecond)) + 1; calls > most {
		t.Errorf("apps.connections.open was called %d times in %v, at most %d were expected", calls, time.Since(start), most)
	}
	w.connected(2)
}

// A Slack that hangs up right after hello, and one that can't be reached, are given more and more time.
func TestSocketsBackOff(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(w *socketStage) int{
		"open and drop": func(w *socketStage) int {
			for range 12 {
				w.connected(1)
				w.Sockets.Drop()
			}
			return 12
		},
		"open and refresh": func(w *socketStage) int {
			for range 12 {
				w.connected(1)
				w.Sockets.Refresh(0)
			}
			return 12
		},
		"an error": func(w *socketStage) int {
			w.Inject(slacksim.Fault{Method: "apps.connections.open", Error: "internal_error", Times: 12})
			return 12
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSocketStage(t)
			start := time.Now()
			n := 0
			if name == "an error" {
				n = trouble(w)
			}
			w.connect(w.bot(), func(s *transport.Sockets) {
				s.Number = 1
				s.Pace.Settled, s.Pace.First, s.Pace.Most = time.Minute, 16*time.Millisecond, 64*time.Millisecond
			})
			if n == 0 {
				n = trouble(w)
			}
			w.connected(1)
			// At least half of 16, 32, and then 64 ms each.
			if least := 8*time.Millisecond + 16*time.Millisecond +
				time.Duration(n-2)*32*time.Millisecond; time.Since(start) < least {
				t.Errorf("%d failures within %v, less than %v", n, time.Since(start), least)
			}
		})
	}
}

// Several that are lost at the same moment do not come back at the same moment, so that Slack does not end them at the
// same moment again.
func TestSocketsStayApart(t *testing.T) {
	t.Parallel()
	const apart = 150 * time.Millisecond
	w := newSocketStage(t, func(c *slacksim.Config) { c.Clock = slacksim.SystemClock{} })
	w.connect(w.bot(), func(s *transport.Sockets) { s.Number, s.Pace.Apart = 3, apart })
	w.connected(3)
	w.Sockets.Refresh(time.Hour) // warned, all of them
	w.connected(6)
	calls := w.Calls("apps.connections.open")
	for i, c := range calls {
		if i%3 > 0 && c.At.Sub(calls[i-1].At) < apart-5*time.Millisecond {
			t.Errorf("opening %d came %v after the one before", i, c.At.Sub(calls[i-1].At))
		}
	}
	if d := calls[3].At.Sub(calls[2].At); len(calls) != 6 || d > 5*time.Second {
		t.Errorf("%d calls; with none that lasts, the next came after %v", len(calls), d)
	}
}

// With none left there is nothing to stay apart from.
func TestSocketsDoNotWaitWithNone(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	w.connect(w.bot(), func(s *transport.Sockets) { s.Number, s.Pace.Apart = 1, time.Hour })
	for range 3 {
		w.connected(1)
		w.Sockets.Refresh(time.Second)
		w.connected(2)
		w.Sockets.Drop()
	}
	w.connected(1)
}

// One that Slack warned of and then forgets is ended by us.
func TestSocketsEndWhatSlackForgets(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	w.connect(w.bot(), func(s *transport.Sockets) { s.Pace.Linger = 50 * time.Millisecond })
	w.connected(2)
	old := w.Sockets.Live()
	w.Sockets.Refresh(time.Hour)
	if err := w.WaitFor(w.ctx, func() bool {
		now := w.Sockets.Live()
		return len(now) == 2 && now[0] > old[1]
	}); err != nil {
		t.Errorf("%v, at first %v", w.Sockets.Live(), old)
	}
}

func TestSocketModeSwitchedOffAndOn(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	b := w.bot()
	w.connect(b, func(s *transport.Sockets) { s.Pace.Off = 200 * time.Millisecond })
	w.connected(2)
	w.SetApp(func(a *slacksim.App) { a.SocketMode = false })
	w.wait("the bot to know", func() bool { _, state, _ := b.SocketHealth(); return state == SocketsDisabled })
	if live, _, err := b.SocketHealth(); live != 0 || err == nil || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("%d %v", live, err)
	}
	start, calls := time.Now(), len(w.Calls("apps.connections.open"))
	if err := w.WaitFor(w.ctx, func() bool { return len(w.Calls("apps.connections.open")) == calls+4 }); err != nil {
		t.Fatal("it is not looked for again")
	}
	if d := time.Since(start); d < 3*200*time.Millisecond-20*time.Millisecond {
		t.Errorf("4 looks within %v", d)
	}
	if _, state, _ := b.SocketHealth(); state != SocketsDisabled {
		t.Errorf("state %s while it is off", state)
	}
	w.SetApp(func(a *slacksim.App) { a.SocketMode = true })
	w.connected(2)
	w.wait("the bot to know", func() bool {
		live, state, err := b.SocketHealth()
		return live == 2 && state == SocketsLive && err == nil
	})
}

// That it was switched off is known at once, not only when it is looked for again.
func TestSocketModeSwitchedOffIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	b := w.bot()
	w.connect(b, func(s *transport.Sockets) { s.Pace.Off = time.Hour })
	w.connected(2)
	w.SetApp(func(a *slacksim.App) { a.SocketMode = false })
	w.wait("the bot to know", func() bool { _, state, _ := b.SocketHealth(); return state == SocketsDisabled })
	if n := len(w.Calls("apps.connections.open")); n != 2 {
		t.Errorf("apps.connections.open was called %d times", n)
	}
}

func TestSocketTokenRefused(t *testing.T) {
	t.Parallel()
	type test struct{ answer, wrong, appID string }
	tests := map[string]test{
		"another token": {wrong: "xapp-1-of-somebody"}, "another kind of token": {wrong: "bot"},
		"another app": {appID: "A0OTHER001"},
	}
	for code := range transport.Refusals {
		tests[code] = test{answer: code}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newSocketStage(t)
			b := w.bot()
			switch test.wrong {
			case "":
			case "bot":
				b.sockets.Token = connection.Secret(w.token)
			default:
				b.sockets.Token = connection.Secret(test.wrong)
			}
			if test.appID != "" {
				b.sockets.AppID = test.appID
			}
			if test.answer != "" {
				w.Inject(slacksim.Fault{Method: "apps.connections.open", Error: test.answer})
			}
			b.sockets.Pace = quickPace
			err := b.RunSockets(w.ctx)
			var refused *TokenRefused
			if !errors.As(err, &refused) || test.answer != "" && refused.Code != test.answer ||
				!strings.Contains(err.Error(), "the app-level token") || !strings.Contains(err.Error(), "connections:write") {
				t.Fatalf("ended with %v", err)
			}
			if strings.Contains(err.Error(), b.sockets.Token.Reveal()) ||
				strings.Contains(w.log.String(), b.sockets.Token.Reveal()) {
				t.Error("the token is in the error or the log")
			}
			if live, state, health := b.SocketHealth(); live != 0 || state != SocketsRefused || health == nil {
				t.Errorf("%d %s %v", live, state, health)
			}
			if n := len(w.Calls("apps.connections.open")); n < transport.RefusalsAtStart || n > transport.RefusalsAtStart+1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	// Without a token there is nothing to do.
	w := newSocketStage(t)
	b := w.bot()
	b.cfg.AppToken = ""
	if err := b.RunSockets(w.ctx); err != nil || len(w.Calls()) != 1 { // the install's
		t.Error(err, w.Calls())
	}
	if _, state, _ := b.SocketHealth(); state != SocketsOff {
		t.Error(state)
	}
}

// A refusal that passes ends nothing, whichever it is, at the start or later: connections are opened again.
func TestSocketRefusalThatPasses(t *testing.T) {
	for code := range transport.Refusals {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := newSocketStage(t)
			w.Inject(slacksim.Fault{Method: "apps.connections.open", Error: code, Times: transport.RefusalsAtStart - 1})
			b := w.bot()
			w.connect(b, nil)
			w.connected(2)

			w.Inject(slacksim.Fault{Method: "apps.connections.open", Error: code, Times: 2 * transport.RefusalsAtStart})
			w.Sockets.Drop(w.Sockets.Live()...)
			w.wait("both to be opened again", func() bool { return w.Sockets.Opened() == 4 && len(w.Sockets.Live()) == 2 })
			w.wait("the bot to know", func() bool {
				_, state, err := b.SocketHealth()
				return state == SocketsLive && err == nil
			})
		})
	}
}

// A token that worked and is refused for minutes is said to be, tried all the same, and good again once Slack takes it.
func TestSocketTokenRefusedLater(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	b := w.bot()
	w.connect(b, func(s *transport.Sockets) { s.Pace.Believed = 50 * time.Millisecond })
	w.connected(2)
	clear := w.Inject(slacksim.Fault{Method: "apps.connections.open", Error: "token_revoked"})
	w.Sockets.Drop(w.Sockets.Live()...)
	w.wait("the refusal to be believed", func() bool { _, state, _ := b.SocketHealth(); return state == SocketsRefused })
	var refused *TokenRefused
	if live, _, err := b.SocketHealth(); live != 0 || !errors.As(err, &refused) || refused.Code != "token_revoked" {
		t.Errorf("%d live: %v", live, err)
	}
	asked := len(w.Calls("apps.connections.open"))
	w.wait("it to be tried again", func() bool { return len(w.Calls("apps.connections.open")) > asked+1 })
	if n := strings.Count(w.log.String(), "Socket Mode needs somebody"); n != 1 ||
		strings.Contains(w.log.String(), socketToken) {
		t.Errorf("the operator was told %d times", n)
	}
	clear()
	w.connected(2)
	w.wait("the bot to know", func() bool { _, state, err := b.SocketHealth(); return state == SocketsLive && err == nil })
}

// An envelope above what is taken costs that envelope. The connection, and what comes through it afterwards, do not
// suffer.
func TestSocketEnvelopeTooLarge(t *testing.T) {
	w := newSocketStage(t)
	b := w.bot()
	accepted := make(chan struct{}, 1)
	w.connect(b, func(s *transport.Sockets) {
		s.Number = 1
		s.Accept = func(context.Context, transport.Delivery) (transport.Answer, error) {
			accepted <- struct{}{}
			return transport.Answer{}, nil
		}
	})
	w.connected(1)
	body := fmt.Appendf(nil, `{"type":"event_callback","event_id":"EvLarge","event":{"type":"message","text":%q}}`,
		strings.Repeat("x", transport.MaxBody))
	if d := w.Sender.Deliver(w.ctx, slacksim.Raw{Kind: "event", Body: body}); d.Status != 200 {
		t.Errorf("the large one is not acknowledged, and will come again: %+v", d.Status)
	}
	if len(accepted) > 0 {
		t.Error("the large one was taken in")
	}
	w.event()
	w.wait("the next one to be accepted", func() bool { return len(accepted) > 0 })
	if n := w.Sockets.Opened(); n != 1 {
		t.Errorf("%d connections were opened, want the one that there was", n)
	}
}

// Whatever else Slack or the network says is trouble that passes.
func TestSocketTroubleThatPasses(t *testing.T) {
	for name, fault := range map[string]slacksim.Fault{
		"an error": {Error: "internal_error"}, "an error nobody knows": {Error: "not_today"}, "HTTP 500": {Status: 500},
		"HTTP 404": {Status: 404}, "no JSON": {Body: "<html>"},
		"cut off": {DropAnswer: true}, "no address": {Body: `{"ok":true}`},
		"an odd address":          {Body: `{"ok":true,"url":"http://127.0.0.1:1/?ticket=sesame"}`},
		"nobody there":            {Body: `{"ok":true,"url":"ws://127.0.0.1:1/?ticket=sesame"}`},
		"an address that is none": {Body: `{"ok":true,"url":"ws://a b/?ticket=sesame"}`}, "a used ticket": {Body: `TICKET`},
		"slow": {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSocketStage(t)
			if fault.Body == "TICKET" {
				fault.Body = `{"ok":true,"url":"ws` + strings.TrimPrefix(w.URL(), "http") + `/link/?ticket=sesame"}`
				w.allow = []string{slacksim.RuleSocketTicket}
			}
			fault.Method, fault.Times = "apps.connections.open", 3
			w.Inject(fault)
			b := w.bot()
			w.connect(b, func(s *transport.Sockets) {
				if fault.Hang {
					s.Pace.Dial = 200 * time.Millisecond
				}
			})
			w.connected(2)
			if strings.Contains(w.log.String(), "sesame") {
				t.Error("a ticket in the log")
			}
		})
	}
	t.Run("too many calls", func(t *testing.T) {
		w := newSocketStage(t)
		w.Inject(slacksim.Fault{Method: "apps.connections.open", RetryAfter: 1, Times: 1})
		start := time.Now()
		w.connect(w.bot(), nil)
		w.connected(2)
		if d := time.Since(start); d < time.Second {
			t.Errorf("Slack asked for a second, and was asked again within %v", d)
		}
	})
	t.Run("without TLS", func(t *testing.T) {
		w := newSocketStage(t)
		b := w.bot()
		w.connect(b, func(s *transport.Sockets) { s.Plain = false })
		w.wait("the bot to refuse", func() bool { _, _, err := b.SocketHealth(); return err != nil })
		if _, _, err := b.SocketHealth(); !strings.Contains(err.Error(), "no address") || w.Sockets.Opened() != 0 {
			t.Errorf("a real Slack's connections without TLS: %v, %d opened", err, w.Sockets.Opened())
		}
	})
	t.Run("health", func(t *testing.T) {
		w := newSocketStage(t)
		clear := w.Inject(slacksim.Fault{Method: "apps.connections.open", Error: "internal_error"})
		b := w.bot()
		w.connect(b, nil)
		w.wait("the bot to know", func() bool {
			live, state, err := b.SocketHealth()
			return live == 0 && state == SocketsConnecting && err != nil && strings.Contains(err.Error(), "internal_error")
		})
		clear()
		w.connected(2)
	})
}

// Others hold all the connections that the app may have.
func TestSocketsWhenThereAreTooMany(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	stop := w.connect(w.bot(), func(s *transport.Sockets) { s.Number = 10 })
	w.connected(10)
	b := w.bot()
	w.connect(b, func(s *transport.Sockets) { s.Number = 1 })
	w.wait("the bot to know", func() bool {
		_, state, err := b.SocketHealth()
		return state == SocketsConnecting && err != nil && strings.Contains(err.Error(), "too_many_websockets")
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	w.connected(1)
}

// What an acknowledgement can't carry goes another way.
func TestSocketsBigAnswers(t *testing.T) {
	t.Parallel()
	answer := func(text, words string, n int) Reply {
		r := Text(text)
		for range n {
			r.Blocks = append(r.Blocks, mrkdwn.Section(strings.Repeat(words, 3000/len(words))))
		}
		return r
	}
	w := newSocketStage(t)
	say := OnCommand("/say", func(ctx context.Context, turn *Command) error {
		if turn.Text == "big" {
			return turn.Respond(ctx, answer("Big.", "<&>", 2)) // JSON needs six bytes for each of these
		}
		return turn.Respond(ctx, answer("Small.", "x", 6))
	}, Scopes("chat:write"), Describe("says it", ""), WithoutConnection())
	b := w.bot(say)
	w.connect(b, nil)
	w.connected(2)
	if r := w.command("/say small"); len(r.Body) < 18_000 || r.Text != "Small." {
		t.Errorf("below the limit: %d bytes, %+v", len(r.Body), r.Ack)
	}
	if r := w.command("/say big"); r.Status != 200 || len(r.Body) != 0 || r.Shown != "" {
		t.Errorf("%+v", r.Ack)
	}
	if err := w.WaitFor(w.ctx, func() bool {
		for _, m := range w.Messages(w.dm, slacksim.AcmeAdmin) {
			if m.Text == "Big." && m.EphemeralTo == slacksim.AcmeAdmin {
				return true
			}
		}
		return false
	}); err != nil {
		t.Error("the big answer did not come by response_url")
	}
	b.tasks.Wait()
}

// A connection that ends before its acknowledgement is written: the answer goes another way, too.
func TestSocketsAnswersThatComeTooLateForTheirConnection(t *testing.T) {
	t.Parallel()
	// With nothing unread on Slack's side the end looks orderly, and the next write succeeds.
	w := newSocketStage(t, func(c *slacksim.Config) { c.PingEvery = time.Hour })
	started, release, otherwise := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	w.connect(w.bot(), func(s *transport.Sockets) {
		s.Number = 1
		s.Accept = func(context.Context, transport.Delivery) (transport.Answer, error) {
			started <- struct{}{}
			<-release
			a := jsonAnswer("late")
			a.TooLarge = func() { close(otherwise) }
			return a, nil
		}
	})
	w.connected(1)
	for range 20 {
		w.Sockets.SendFrame(w.ctx, `{"type":"tomorrow","envelope_id":"e"}`) // until the one ping is answered
	}
	done := make(chan struct{})
	go func() { defer close(done); w.command("/say late") }()
	w.wait("the late one to begin", func() bool { return len(started) > 0 })
	w.Sockets.Drop()
	<-done
	w.connected(1) // the next one, which does not wait for the answer
	close(release)
	select {
	case <-otherwise:
	case <-w.ctx.Done():
		t.Error("the answer is lost")
	}
}

// At a stop what is being accepted is finished and acknowledged; nothing new is taken; Slack hears a proper farewell.
func TestSocketsStopUnderLoad(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	var k taken
	var began atomic.Int64
	release := make(chan struct{})
	b := w.bot()
	stop := w.connect(b, func(s *transport.Sockets) {
		s.Accept = func(ctx context.Context, d transport.Delivery) (transport.Answer, error) {
			began.Add(1)
			<-release
			return k.echoes(ctx, d)
		}
	})
	w.connected(2)
	ids := map[string]bool{}
	for range 40 {
		ids[w.event()] = true
	}
	w.wait("all to be under way", func() bool { return began.Load() == 40 })
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	w.wait("the stop to begin", func() bool { return strings.Count(w.log.String(), "socket ends") == 2 })
	for range 40 {
		w.event()
	}
	if len(stopped) > 0 {
		t.Error("it does not wait for what is being accepted")
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := strings.Count(w.log.String(), "close 1000"); n != 2 {
		t.Errorf("%d connections were closed with a word from both sides", n)
	}
	w.settle()
	for _, d := range w.Deliveries() {
		if ids[d.EventID] != (d.Status == 200) {
			t.Errorf("%s: under way %v, %d %s", d.EventID, ids[d.EventID], d.Status, d.Err)
		}
	}
	if n := began.Load(); n != 40 {
		t.Errorf("%d accepted after the stop began", n-40)
	}
}

// The wait at a stop is bounded.
func TestSocketsStopIsBounded(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	release := make(chan struct{})
	started := make(chan struct{}, 4)
	stop := w.connect(w.bot(), func(s *transport.Sockets) {
		s.Pace.Drain = 50 * time.Millisecond
		s.Accept = func(context.Context, transport.Delivery) (transport.Answer, error) {
			started <- struct{}{}
			<-release
			return transport.Answer{}, nil
		}
	})
	w.connected(2)
	w.event()
	w.wait("it to begin", func() bool { return len(started) > 0 })
	before := time.Now()
	if err := stop(); err != nil || time.Since(before) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(before))
	}
	close(release)
}

func TestSocketsStopWhileConnecting(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*slacksim.Fault{"asking": {Hang: true}, "waiting": {Error: "internal_error"}} {
		w := newSocketStage(t)
		fault.Method = "apps.connections.open"
		w.Inject(*fault)
		stop := w.connect(w.bot(), func(s *transport.Sockets) { s.Pace.First, s.Pace.Most = time.Hour, time.Hour })
		w.wait("the first call", func() bool { return len(w.Calls("apps.connections.open")) > 0 })
		if err := stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
