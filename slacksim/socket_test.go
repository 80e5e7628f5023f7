package slacksim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/switchboard-go/switchboard/slacksim"
)

const appToken = "xapp-1-A0SWITCH01-secret"

// socketWorld is newWorld with Socket Mode on and no address for HTTP.
func socketWorld(t *testing.T, change ...func(*slacksim.Config)) *world {
	t.Helper()
	return newWorld(t, append([]func(*slacksim.Config){func(c *slacksim.Config) {
		c.App.EventsURL, c.App.SocketMode, c.App.AppToken = "", true, appToken
	}}, change...)...)
}

// frame is a message as a client gets it.
type frame struct {
	Type, Reason string
	ID           string `json:"envelope_id"`
	Accepts      bool   `json:"accepts_response_payload"`
	Attempt      int    `json:"retry_attempt"`
	RetryReason  string `json:"retry_reason"`
	Payload      map[string]any
	Connections  int `json:"num_connections"`
	Info         struct {
		AppID string `json:"app_id"`
	} `json:"connection_info"`
	Debug struct {
		Host string
		Life int `json:"approximate_connection_time"`
	} `json:"debug_info"`
}

// peer is one connection of the app, by another implementation of WebSocket.
type peer struct {
	t     *testing.T
	conn  *websocket.Conn
	first frame
	got   chan frame // everything that is no answer's business
	ended chan error
	pings chan string

	mu     sync.Mutex
	answer func(frame) // nil: acknowledges
}

func (w *world) open() string {
	w.T.Helper()
	a := w.Call("apps.connections.open", appToken)
	if a["ok"] != true {
		w.T.Fatalf("apps.connections.open: %v", a)
	}
	return a.Str("url")
}

func (w *world) dial(url string, writeBuffer int) *peer {
	w.T.Helper()
	d := websocket.Dialer{WriteBufferSize: writeBuffer}
	conn, _, err := d.DialContext(w.Ctx, url, nil)
	if err != nil {
		w.T.Fatal(err)
	}
	p := &peer{t: w.T, conn: conn, got: make(chan frame, 100), ended: make(chan error, 1), pings: make(chan string, 100)}
	conn.SetPingHandler(func(text string) error {
		select {
		case p.pings <- text:
		default: // nobody counts that many
		}
		return conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(time.Second))
	})
	if err := conn.ReadJSON(&p.first); err != nil {
		w.T.Fatal(err)
	}
	stopped := make(chan struct{})
	w.T.Cleanup(func() { conn.Close(); <-stopped })
	go func() {
		defer close(stopped)
		for {
			var f frame
			if err := conn.ReadJSON(&f); err != nil {
				p.ended <- err
				return
			}
			p.mu.Lock()
			answer := p.answer // before anybody sees the frame, and sets the answer to the next
			p.mu.Unlock()
			p.got <- f
			if answer == nil && f.ID != "" {
				answer = func(f frame) { p.send(map[string]any{"envelope_id": f.ID}) }
			}
			if answer != nil {
				answer(f)
			}
		}
	}()
	return p
}

// connect opens a connection and takes hello.
func (w *world) connect() *peer {
	w.T.Helper()
	p := w.dial(w.open(), 32<<10)
	if p.first.Type != "hello" {
		w.T.Fatalf("the first frame is %+v", p.first)
	}
	return p
}

func (p *peer) send(v any) {
	if err := p.conn.WriteJSON(v); err != nil {
		p.t.Error(err)
	}
}

func (p *peer) reply(f func(frame)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// with acknowledges with a payload.
func (p *peer) with(payload any) {
	p.reply(func(f frame) { p.send(map[string]any{"envelope_id": f.ID, "payload": payload}) })
}

func (p *peer) next(typ string) frame {
	p.t.Helper()
	select {
	case f := <-p.got:
		if f.Type != typ {
			p.t.Fatalf("got %+v, want %s", f, typ)
		}
		return f
	case <-time.After(20 * time.Second):
		p.t.Fatalf("no %s came", typ)
		return frame{}
	}
}

// wantClosed waits for the end of the connection: with this code, or for 0 without a word.
func (p *peer) wantClosed(code int) {
	p.t.Helper()
	select {
	case err := <-p.ended:
		var c *websocket.CloseError
		if clean := errors.As(err, &c) && c.Code == code; !clean && code != 0 || code == 0 && errors.As(err, &c) &&
			c.Code == 1000 {
			p.t.Errorf("ended with %v, want code %d", err, code)
		}
	case <-time.After(20 * time.Second):
		p.t.Fatal("the connection was not closed")
	}
}

func (w *world) wantSockets(n int) {
	w.T.Helper()
	if err := w.Sim.WaitFor(w.Ctx, func() bool { return len(w.Sim.Sockets.Live()) == n }); err != nil {
		w.T.Fatalf("sockets %v, want %d", w.Sim.Sockets.Live(), n)
	}
}

const button = `[{"type":"actions","block_id":"b","elements":[{"type":"button","action_id":"go","text":{"type":"plain_text","text":"Go"}}]}]`

func TestSocketModeDelivers(t *testing.T) {
	w := socketWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	p := w.connect()
	if h := p.first; h.Connections != 1 || h.Info.AppID != "A0SWITCH01" || h.Debug.Host == "" || h.Debug.Life != 3600 {
		t.Errorf("hello %+v", h)
	}
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	if _, err := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "hello"); err != nil {
		t.Fatal(err)
	}
	e := p.next("events_api")
	if answer(e.Payload).Str("event", "text") != "hello" || e.ID == "" || e.Accepts || e.Attempt != 0 ||
		e.Payload["type"] != "event_callback" {
		t.Errorf("event %+v", e)
	}

	p.with(map[string]any{"text": "All is well."})
	r, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, dm, "/connection status")
	if err != nil || r.Status != 200 || r.Text != "All is well." || r.Message.EphemeralTo != slacksim.AcmeAdmin {
		t.Errorf("command %+v %v", r, err)
	}
	c := p.next("slash_commands")
	if c.Payload["command"] != "/connection" || c.Payload["text"] != "status" ||
		c.Payload["is_enterprise_install"] != "false" || !c.Accepts ||
		!strings.HasPrefix(answer(c.Payload).Str("response_url"), w.Sim.URL()) {
		t.Errorf("command's envelope %+v", c)
	}
	for text, payload := range map[string]any{"just text": "just text", "": map[string]any{}} {
		p.with(payload)
		if r, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, dm, "/connection"); err != nil || r.Text != text ||
			r.Shown != "" {
			t.Errorf("payload %v: %+v %v", payload, r, err)
		}
		p.next("slash_commands")
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.SocketBooleans = true })
	if _, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, dm, "/connection"); err != nil {
		t.Error(err)
	}
	if c := p.next("slash_commands"); c.Payload["is_enterprise_install"] != false {
		t.Errorf("%T", c.Payload["is_enterprise_install"])
	}

	p.reply(nil)
	ts := w.Call("chat.postMessage", tok, "channel", dm, "text", "t", "blocks", button).Str("ts")
	p.next("events_api")
	ack, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, ts, "go")
	if err != nil || ack.Status != 200 || ack.Shown != "" {
		t.Errorf("press %+v %v", ack, err)
	}
	i := p.next("interactive")
	if i.Payload["type"] != "block_actions" || !i.Accepts {
		t.Errorf("press's envelope %+v", i)
	}
	w.Call("views.open", tok, "trigger_id", answer(i.Payload).Str("trigger_id"), "view",
		`{"type":"modal","title":{"type":"plain_text","text":"T"},"submit":{"type":"plain_text","text":"S"},"blocks":[{"type":"input","block_id":"n","label":{"type":"plain_text","text":"L"},"element":{"type":"plain_text_input","action_id":"a"}}]}`)
	p.with(map[string]any{"response_action": "errors", "errors": map[string]any{"n": "No."}})
	view := w.Sim.OpenViews(slacksim.AcmeAdmin)[0].ID
	if _, err := w.Sim.SubmitView(w.Ctx, slacksim.AcmeAdmin, view,
		map[string]map[string]string{"n": {"a": "x"}}); err != nil {
		t.Fatal(err)
	}
	if i := p.next("interactive"); !i.Accepts {
		t.Error("a submission accepts no payload")
	}
	if v := w.Sim.OpenViews(slacksim.AcmeAdmin); v[0].Errors["n"] != "No." {
		t.Errorf("errors %v", v[0].Errors)
	}

	ok := w.Sim.Sender.Deliver(w.Ctx, slacksim.Raw{Kind: "command", Body: []byte("command=%2Fraw")})
	if c := p.next("slash_commands"); ok.Status != 200 || c.Payload["command"] != "/raw" {
		t.Errorf("raw %+v %+v", ok, c)
	}
	w.Sim.Sender.Deliver(w.Ctx, slacksim.Raw{URL: w.Bot.URL, Body: []byte(`{}`)})
	if n := len(w.Bot.Requests()); n != 1 {
		t.Errorf("%d requests over HTTP: only what names an address goes there", n)
	}
	w.Settled()
	for _, d := range w.Sim.Deliveries()[:3] {
		if d.URL != "socket 1" || d.Status != 200 {
			t.Errorf("recorded %+v", d)
		}
	}
	w.WantBreaches()
}

func TestConnectionsOpen(t *testing.T) {
	w := socketWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	w.WantError("apps.connections.open", "", "not_authed")
	w.WantError("apps.connections.open", "xapp-1-other", "invalid_auth")
	w.WantError("apps.connections.open", tok, "not_allowed_token_type")
	clear := w.Sim.Inject(slacksim.Fault{Method: "apps.connections.open", Error: "internal_error"})
	w.WantError("apps.connections.open", appToken, "internal_error")
	clear()
	req, _ := http.NewRequestWithContext(w.Ctx, "POST", w.Sim.URL()+"/api/apps.connections.open", nil)
	req.Header.Set("Content-Type", "application/json") // and no body, as slack-go asks
	req.Header.Set("Authorization", "Bearer "+appToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a answer
	if json.NewDecoder(res.Body).Decode(&a); a["ok"] != true {
		t.Errorf("without a body: %v", a)
	}
	if n := len(w.Sim.Calls("apps.connections.open")); n != 5 {
		t.Errorf("%d calls on record", n)
	}

	used, old := w.open(), w.open()
	w.dial(used, 0)
	refused := func(name, url string) {
		if _, res, err := websocket.DefaultDialer.Dial(url, nil); err == nil || res == nil ||
			res.StatusCode != http.StatusForbidden {
			t.Errorf("%s ticket: %v", name, err)
		}
	}
	refused("used", used)
	refused("made up", strings.Replace(old, "ticket=", "ticket=x", 1))
	w.Clock.Advance(30 * time.Second)
	refused("old", old)
	res, err = http.Get(strings.Replace(w.open(), "ws://", "http://", 1))
	if err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("without a handshake: %v %v", res, err)
	}
	res.Body.Close()
	w.WantBreaches(slacksim.RuleSocketTicket, slacksim.RuleSocketTicket, slacksim.RuleSocketTicket)
	secrets := strings.Join(w.Sim.Secrets(), " ")
	if !strings.Contains(secrets, appToken) || !strings.Contains(secrets,
		strings.Split(strings.SplitAfter(used, "ticket=")[1], "&")[0]) {
		t.Error("token and ticket are not among the secrets")
	}
}

func TestSocketRetries(t *testing.T) {
	w := socketWorld(t, func(c *slacksim.Config) { c.AckTimeout = 50 * time.Millisecond })
	w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "while nobody listens")
	w.Settled()
	if r, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, dm, "/connection"); err != nil ||
		!strings.Contains(r.Shown, "did not respond") {
		t.Errorf("command without a socket: %+v %v", r, err)
	}
	p := w.connect()
	w.Clock.Advance(time.Minute)
	if e := p.next("events_api"); e.Attempt != 2 || e.RetryReason != "connection_failed" {
		t.Errorf("the event came as %+v", e)
	}
	w.Settled()
	w.WantBreaches()

	p.reply(func(f frame) { // acknowledges second attempts alone
		if f.Attempt > 0 {
			p.send(map[string]any{"envelope_id": f.ID})
		}
	})
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "again")
	a, b := p.next("events_api"), p.next("events_api")
	if b.Attempt != 1 || b.RetryReason != "http_timeout" || b.ID == a.ID ||
		answer(a.Payload).Str("event_id") != answer(b.Payload).Str("event_id") {
		t.Errorf("%+v, then %+v", a, b)
	}
	r, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, dm, "/connection")
	if err != nil || !strings.Contains(r.Shown, "operation_timeout") {
		t.Errorf("late command: %+v %v", r, err)
	}
	c := p.next("slash_commands")
	p.send(map[string]any{"envelope_id": c.ID, "payload": map[string]any{"text": "late"}})
	w.Clock.Advance(time.Hour)
	w.Settled()
	select {
	case f := <-p.got:
		t.Errorf("a command, or what was acknowledged, came again: %+v", f)
	default:
	}
	w.WantBreaches(slacksim.RuleLateAck, slacksim.RuleLateAck)
}

func TestSocketAnswersThatSlackIgnores(t *testing.T) {
	w := socketWorld(t, func(c *slacksim.Config) { c.AckTimeout = 100 * time.Millisecond })
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	command := func(p *peer, want string) {
		t.Helper()
		r, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, dm, "/connection")
		if err != nil || !strings.Contains(r.Text, want) {
			t.Errorf("%+v %v, want %q", r, err, want)
		}
	}
	p := w.connect()
	size := func(f frame) int {
		b, _ := json.Marshal(map[string]any{"envelope_id": f.ID, "payload": map[string]any{"text": ""}})
		return len(b) + 1 // with the line's end that WriteJSON adds
	}
	p.reply(func(f frame) {
		p.send(map[string]any{"envelope_id": f.ID, "payload": map[string]any{"text": strings.Repeat("x", 20<<10-size(f))}})
	})
	command(p, "operation_timeout")
	p.reply(func(f frame) {
		p.send(map[string]any{"envelope_id": f.ID, "payload": map[string]any{"text": strings.Repeat("x", 20<<10-size(f)-1)}})
	})
	command(p, "xxx")
	p.reply(func(f frame) { _ = p.conn.WriteMessage(websocket.TextMessage, []byte("hi")) })
	command(p, "operation_timeout")
	p.with(map[string]any{"text": "not asked for"})
	ts := w.Call("chat.postMessage", tok, "channel", dm, "text", "t", "blocks", button).Str("ts")
	w.Settled()
	if a, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, dm, ts, "go"); err != nil || a.Status != 200 {
		t.Errorf("press %+v %v", a, err)
	}
	w.Sim.Sockets.Drop()

	small := w.dial(w.open(), 200)
	small.with(map[string]any{"text": strings.Repeat("x", 500)})
	command(small, "operation_timeout")
	w.Sim.Sockets.Drop()

	// An acknowledgement over another connection.
	a, b := w.connect(), w.connect()
	a.reply(func(f frame) { b.send(map[string]any{"envelope_id": f.ID}) })
	b.reply(func(f frame) { a.send(map[string]any{"envelope_id": f.ID}) })
	command(a, "operation_timeout")

	w.WantBreaches(slacksim.RuleSocketTooLarge, slacksim.RuleLateAck, slacksim.RuleSocketFrame, slacksim.RuleLateAck,
		slacksim.RuleSocketPayload, slacksim.RuleActionBody, slacksim.RuleSocketFragments, slacksim.RuleLateAck,
		slacksim.RuleLateAck)
}

func TestSocketsAreRefreshed(t *testing.T) {
	w := socketWorld(t)
	w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	old := w.connect()
	if n := w.Sim.Sockets.Refresh(10 * time.Second); n != 1 {
		t.Errorf("%d warned", n)
	}
	if f := old.next("disconnect"); f.Reason != "warning" || f.Debug.Host == "" {
		t.Errorf("%+v", f)
	}
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "one") // the old one still works
	old.next("events_api")
	fresh := w.connect()
	if fresh.first.Connections != 2 {
		t.Errorf("hello counts %d", fresh.first.Connections)
	}
	// What was sent before the end may be acknowledged until the connection is closed.
	last := make(chan frame, 1)
	old.reply(func(f frame) {
		switch {
		case f.ID != "":
			last <- f
		case f.Reason == "refresh_requested":
			old.send(map[string]any{"envelope_id": (<-last).ID})
		}
	})
	fresh.reply(func(f frame) { last <- f; fresh.send(map[string]any{"envelope_id": f.ID}) })
	id, err := w.Sim.Sender.Emit(w.Ctx, slacksim.Event{TeamID: slacksim.Acme, Inner: map[string]any{"type": "odd"}})
	if err != nil {
		t.Fatal(err)
	}
	f := <-last // through one or the other
	if answer(f.Payload).Str("event_id") != id {
		t.Errorf("%+v", f)
	}
	last <- f
	w.Clock.Advance(10 * time.Second)
	old.wantClosed(1000)
	w.Settled()
	w.wantSockets(1)
	fresh.reply(nil)
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "two")
	w.Settled()
	for _, d := range w.Sim.Deliveries() {
		if d.Status != 200 || d.RetryNum != 0 {
			t.Errorf("%+v", d)
		}
	}
	w.WantBreaches()
}

func TestTenSocketsAndNoMore(t *testing.T) {
	w := socketWorld(t)
	w.Install(slacksim.AcmeAdmin)
	var all []*peer
	for i := range 10 {
		p := w.connect()
		if p.first.Connections != i+1 {
			t.Errorf("hello counts %d, want %d", p.first.Connections, i+1)
		}
		all = append(all, p)
	}
	p := w.dial(w.open(), 0)
	if p.first.Type != "disconnect" || p.first.Reason != "too_many_websockets" {
		t.Errorf("the eleventh gets %+v", p.first)
	}
	p.wantClosed(1000)
	if len(w.Sim.Sockets.Live()) != 10 || w.Sim.Sockets.Opened() != 11 {
		t.Errorf("open %v, opened %d", w.Sim.Sockets.Live(), w.Sim.Sockets.Opened())
	}
	// Each delivery goes to one of them.
	for i := range 20 {
		w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), fmt.Sprint(i))
	}
	w.Settled()
	n := 0
	for _, p := range all {
		n += len(p.got)
	}
	if n != 20 {
		t.Errorf("%d deliveries of 20", n)
	}
	w.WantBreaches()
}

func TestSocketModeSwitchedOff(t *testing.T) {
	w := socketWorld(t)
	w.Install(slacksim.AcmeAdmin)
	p := w.connect()
	w.Sim.SetApp(func(a *slacksim.App) { a.SocketMode, a.EventsURL = false, w.Bot.URL })
	if f := p.next("disconnect"); f.Reason != "link_disabled" {
		t.Errorf("%+v", f)
	}
	p.wantClosed(1000)
	if late := w.dial(w.open(), 0); late.first.Reason != "link_disabled" {
		t.Errorf("a new connection gets %+v", late.first)
	}
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "by HTTP")
	w.Settled()
	if n := len(w.Bot.Events("message")); n != 1 {
		t.Errorf("%d events over HTTP", n)
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.SocketMode = true })
	w.connect()
	w.WantBreaches()
}

func TestSocketsDropAndFreeze(t *testing.T) {
	w := socketWorld(t, func(c *slacksim.Config) { c.AckTimeout, c.PingEvery = 200*time.Millisecond, 10*time.Millisecond })
	w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	p := w.connect()
	for range 3 {
		select {
		case <-p.pings:
		case <-w.Ctx.Done():
			t.Fatal("no pings")
		}
	}
	p.reply(func(frame) {})
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "never answered")
	p.next("events_api")
	if n := w.Sim.Sockets.Drop(); n != 1 || len(w.Sim.Sockets.Live()) != 0 {
		t.Errorf("%d dropped, open %v", n, w.Sim.Sockets.Live())
	}
	p.wantClosed(0)
	w.Settled()
	if d := w.Sim.Deliveries(); len(d) != 2 || d[0].Err != "connection_failed" {
		t.Errorf("what the lost connection was to acknowledge: %+v", d)
	}

	cold, warm := w.connect(), w.connect()
	ids := w.Sim.Sockets.Live()
	w.Sim.Sockets.Freeze(ids[0])
	for i := range 4 { // one in two is lost, and comes again through the other
		w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, fmt.Sprint(i))
		w.Settled()
		for i == 1 && len(cold.pings) > 0 { // those that were on their way when it froze
			<-cold.pings
		}
	}
	if len(cold.got) != 0 || len(warm.got) != 4 {
		t.Errorf("the frozen one got %d, the other %d", len(cold.got), len(warm.got))
	}
	if len(w.Sim.Sockets.Live()) != 2 {
		t.Error("a frozen socket is closed")
	}
	if n := len(cold.pings); n > 1 {
		t.Errorf("%d pings from a frozen socket", n)
	}
	w.Settled()
	cold.conn.Close()
	w.wantSockets(1)

	warm.reply(func(f frame) {
		w.Sim.Sockets.Freeze()
		warm.send(map[string]any{"envelope_id": f.ID})
	})
	if r, err := w.Sim.Command(w.Ctx, slacksim.AcmeAdmin, dm, "/connection"); err != nil || r.Status != 0 {
		t.Errorf("a frozen connection takes an acknowledgement: %+v %v", r, err)
	}
}

func TestSendFrame(t *testing.T) {
	w := socketWorld(t)
	p := w.connect()
	if a := w.Sim.Sockets.SendFrame(w.Ctx, `{"type":"news","envelope_id":"e1"}`); a.Status != 200 {
		t.Errorf("%+v", a)
	}
	if f := p.next("news"); f.ID != "e1" {
		t.Errorf("%+v", f)
	}
	if a := w.Sim.Sockets.SendFrame(w.Ctx, `{"type":"greeting"}`); a.Status != 200 {
		t.Errorf("%+v", a)
	}
	p.next("greeting")
	if d := w.Sim.Deliveries(); len(d) != 2 || d[0].Kind != "raw" || d[0].Type != "news" || !d[1].Done {
		t.Errorf("%+v", d)
	}
	if err := p.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""),
		time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	p.wantClosed(1000)
	w.wantSockets(0)

	p = w.connect()
	done := make(chan slacksim.Ack)
	go func() { done <- w.Sim.Sockets.SendFrame(w.Ctx, `{"type":"half", "envelope_id": "e2", "payl`) }()
	<-p.ended // by our own reader, which wants JSON
	p.send(map[string]any{"envelope_id": "e2"})
	if a := <-done; a.Status != 200 {
		t.Errorf("%+v", a)
	}
	w.WantBreaches()
}
