package slacksim

// Socket Mode: apps.connections.open, the WebSockets, what goes over them and what goes wrong with them.
// docs.slack.dev/apis/events-api/using-socket-mode

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	maxSockets = 10
	ticketLife = 30 * time.Second
	// Slack ignores an answer of this size or more without saying so.
	maxSocketAnswer = 20 << 10
	socketLife      = time.Hour        // what hello promises; sockets end by Refresh alone
	writePatience   = 5 * time.Second  // for a peer that does not read
	closePatience   = 1 * time.Second  // for a peer's half of the closing handshake
	pingEvery       = 5 * time.Second  // unless Config.PingEvery says otherwise
	socketHost      = "applink-sim-01" // in every debug_info
)

// The rules of Socket Mode whose breaches are recorded.
const (
	RuleSocketTicket    = "socket-ticket"    // a ticket used twice, or too late, or made up
	RuleSocketFrame     = "socket-frame"     // a frame that is no acknowledgement, or breaks RFC 6455
	RuleSocketFragments = "socket-fragments" // an acknowledgement in several frames: ignored
	RuleSocketTooLarge  = "socket-too-large" // an acknowledgement of 20 KB or more: ignored
	RuleSocketPayload   = "socket-payload"   // a payload where the envelope accepts none: ignored
)

// Sockets are the app's connections in Socket Mode. Numbers say which: they count from 1 and are not used again.
type Sockets struct {
	*engine
	record    *record
	pingEvery time.Duration
	tickets   map[string]time.Time // unused ones, and when they were handed out
	sockets   []*socket            // open ones that get deliveries, oldest first
	waits     map[string]*wait     // by envelope id
	turn      int
	opened    int
}

// wait is an envelope whose acknowledgement has not come.
type wait struct {
	socket  *socket
	accepts bool
	answer  chan Ack // buffered
}

// connectionsOpen is apps.connections.open. docs.slack.dev/reference/methods/apps.connections.open
func (s appMethods) connectionsOpen(r *apiRequest) (map[string]any, *apiError) {
	ticket := s.record.secretLocked(randomHex(8) + "-" + randomHex(8))
	s.sockets.tickets[ticket] = s.clock.Now()
	address := "ws" + strings.TrimPrefix(s.url, "http") + "/link/?ticket=" + ticket + "&app_id=" + s.app.ID
	return map[string]any{"url": address}, nil
}

// serve is the address behind the ticket.
func (s *Sockets) serve(w http.ResponseWriter, r *http.Request) {
	if !s.spendTicket(r.URL.Query().Get("ticket")) {
		http.Error(w, "invalid ticket", http.StatusForbidden)
		return
	}
	if !asksForWebSocket(r.Header) {
		http.Error(w, "not a WebSocket", http.StatusBadRequest)
		return
	}
	conn, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "cannot speak WebSocket here", http.StatusInternalServerError)
		return
	}
	defer conn.Close()

	_ = conn.SetDeadline(time.Time{})
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(accept[:]))
	if err != nil {
		return
	}

	c := &socket{conn: conn, in: rest.Reader, gone: make(chan struct{})}
	hello, refuse, ok := s.admit(c)
	if !ok {
		return
	}
	defer s.work.Done()
	defer context.AfterFunc(s.life, func() { conn.Close() })()

	err = s.welcome(c, hello, refuse)
	for err == nil {
		err = s.listen(c)
	}
	if errors.Is(err, errFrame) {
		s.record.breach(RuleSocketFrame, "%v", err)
	}

	conn.Close()
	s.mu.Lock()
	s.forgetLocked(c)
	close(c.gone)
	s.noteLocked()
	s.mu.Unlock()
	s.log.Debug("socket closed", "socket", c.id)
}

func (s *Sockets) spendTicket(ticket string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.tickets[ticket]
	delete(s.tickets, ticket)
	if !ok || s.clock.Now().Sub(at) >= ticketLife {
		s.record.breachLocked(RuleSocketTicket, "a ticket that is used, too old or not ours")
		return false
	}
	return true
}

// admit counts a socket in, or says why not. It keeps write1, since nothing goes out before hello. ok is false once the
// Sim is closed.
func (s *Sockets) admit(c *socket) (hello []byte, refuse string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, "", false
	}
	s.work.Add(1) // like spawnLocked: before closed is set
	s.opened++
	c.id = s.opened
	hello, _ = json.Marshal(map[string]any{
		"type": "hello", "num_connections": len(s.sockets) + 1, "connection_info": map[string]any{"app_id": s.app.ID},
		"debug_info": map[string]any{"host": socketHost, "build_number": 1,
			"approximate_connection_time": int(socketLife.Seconds())},
	})

	c.write1.Lock()
	switch {
	case !s.app.SocketMode:
		return hello, "link_disabled", true
	case len(s.sockets) >= maxSockets:
		return hello, "too_many_websockets", true
	}
	s.sockets = append(s.sockets, c)
	return hello, "", true
}

func (s *Sockets) welcome(c *socket, hello []byte, refuse string) error {
	if refuse != "" {
		c.write1.Unlock()
		s.log.Debug("socket refused", "reason", refuse)
		c.disconnect(refuse)
		c.leave()
		return nil // until the peer has answered
	}

	err := c.frame(opText, hello)
	c.write1.Unlock()
	s.log.Debug("socket open", "socket", c.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noteLocked()
	s.work.Go(func() { s.pings(c) })
	return err
}

// forgetLocked takes a socket out of those that get deliveries.
func (s *Sockets) forgetLocked(c *socket) {
	s.sockets = slices.DeleteFunc(slices.Clone(s.sockets), func(x *socket) bool { return x == c })
	s.noteLocked()
}

func (s *Sockets) pings(c *socket) {
	t := time.NewTicker(s.pingEvery)
	defer t.Stop()
	for {
		if c.write(opPing, []byte("Ping from "+socketHost)) != nil {
			return
		}
		select {
		case <-t.C:
		case <-c.gone:
			return
		}
	}
}

// listen takes in one message.
func (s *Sockets) listen(c *socket) error {
	op, body, parts, err := c.read()
	if err != nil || c.frozen.Load() {
		return err
	}
	switch op {
	case opText, opBinary:
		s.answered(c, body, parts)
	case opPing:
		return c.write(opPong, body)
	case opClose:
		s.mu.Lock()
		s.forgetLocked(c)
		s.mu.Unlock()
		c.leave()
		return io.EOF
	}
	return nil
}

// answered looks at what the app sent: acknowledgements, and nothing else.
func (s *Sockets) answered(c *socket, body []byte, parts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case parts > 1:
		s.record.breachLocked(RuleSocketFragments, "an acknowledgement came in %d frames", parts)
		return
	case len(body) >= maxSocketAnswer:
		s.record.breachLocked(RuleSocketTooLarge, "an acknowledgement has %d bytes; from %d on Slack ignores it",
			len(body), maxSocketAnswer)
		return
	}

	var a struct {
		ID      string          `json:"envelope_id"`
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(body, &a) != nil || a.ID == "" {
		s.record.breachLocked(RuleSocketFrame, "a message of %d bytes that acknowledges nothing", len(body))
		return
	}
	w := s.waits[a.ID]
	if w == nil || w.socket != c {
		// Late, a second one, or not where the envelope went: nobody knows whether Slack takes that, so it does not count.
		return
	}

	ack := Ack{Status: http.StatusOK}
	var text string
	switch p := strings.TrimSpace(string(a.Payload)); {
	case p == "", p == "null", p == "{}", p == `""`:
	case !w.accepts:
		s.record.breachLocked(RuleSocketPayload, "an acknowledgement with a payload that the envelope does not accept")
	case json.Unmarshal(a.Payload, &text) == nil:
		ack.Body = []byte(text)
	default:
		ack.Body, ack.Header = a.Payload, http.Header{"Content-Type": {"application/json"}}
	}

	delete(s.waits, a.ID)
	w.answer <- ack
}

// sendEnvelope is one attempt through a socket. Slack picks any of the open ones: here each in turn.
func (s *Sockets) sendEnvelope(ctx context.Context, o *outgoing, how sending, d *Delivery) Ack {
	e := map[string]any{"envelope_id": clientMsgID(), "accepts_response_payload": false}
	payload := o.body

	switch o.kind {
	case "command":
		e["type"], e["accepts_response_payload"] = "slash_commands", true
		form, _ := url.ParseQuery(string(o.body))
		m := map[string]any{}
		for k := range form {
			m[k] = form.Get(k)
		}
		s.mu.Lock()
		if org := form.Get("is_enterprise_install"); org != "" && s.app.SocketBooleans {
			m["is_enterprise_install"] = org == "true"
		}
		s.mu.Unlock()
		payload, _ = json.Marshal(m)
	case "interaction":
		e["type"], e["accepts_response_payload"] = "interactive", true
		form, _ := url.ParseQuery(string(o.body))
		payload = []byte(form.Get("payload"))
	default:
		e["type"], e["retry_attempt"], e["retry_reason"] = "events_api", how.num, how.reason
	}

	if !json.Valid(payload) {
		payload, _ = json.Marshal(string(payload))
	}
	e["payload"] = json.RawMessage(payload)
	frame, _ := json.Marshal(e)
	return s.throughSocket(ctx, frame, e["envelope_id"].(string), e["accepts_response_payload"] == true, d)
}

// throughSocket writes a frame and waits for the acknowledgement of id. Without an id it waits for nothing.
func (s *Sockets) throughSocket(ctx context.Context, frame []byte, id string, accepts bool, d *Delivery) Ack {
	ctx, cancel := context.WithTimeout(ctx, s.ackTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()

	w := &wait{accepts: accepts, answer: make(chan Ack, 1)}
	defer func() {
		s.mu.Lock()
		if s.waits[id] == w {
			delete(s.waits, id)
		}
		s.mu.Unlock()
	}()

	for err := errLeft; errors.Is(err, errLeft); {
		s.mu.Lock()
		if len(s.sockets) == 0 {
			s.mu.Unlock()
			return Ack{Err: "connection_failed"}
		}
		s.turn++
		w.socket = s.sockets[s.turn%len(s.sockets)]
		if id != "" {
			s.waits[id] = w
		}
		d.URL = fmt.Sprintf("socket %d", w.socket.id)
		s.mu.Unlock()
		err = w.socket.write(opText, frame)
		if err != nil && !errors.Is(err, errLeft) {
			return Ack{Err: "connection_failed"}
		}
	}

	if id == "" {
		return Ack{Status: http.StatusOK}
	}
	select {
	case ack := <-w.answer:
		return ack
	case <-w.socket.gone:
		select {
		case ack := <-w.answer: // the last thing that came over it
			return ack
		default:
			return Ack{Err: "connection_failed"}
		}
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return Ack{Err: "http_timeout"}
		}
		return Ack{Err: "connection_failed"}
	}
}

// someID finds the id in what only looks like an envelope.
var someID = regexp.MustCompile(`"envelope_id"\s*:\s*"([^"]+)"`)

// SendFrame sends any text through one of the open sockets. If there is an envelope_id in it, SendFrame waits for its
// acknowledgement, once, like Slack does. Without one it returns immediately with status 200.
func (s *Sockets) SendFrame(ctx context.Context, frame string) Ack {
	var e struct {
		ID      string `json:"envelope_id"`
		Type    string `json:"type"`
		Accepts bool   `json:"accepts_response_payload"`
	}
	if err := json.Unmarshal([]byte(frame), &e); err != nil && e.ID == "" {
		if m := someID.FindStringSubmatch(frame); m != nil {
			e.ID = m[1]
		}
	}
	return s.record.recorded(&Delivery{Kind: "raw", Type: e.Type, Body: []byte(frame)}, func(d *Delivery) Ack {
		return s.throughSocket(ctx, []byte(frame), e.ID, e.Accepts, d)
	})
}

// Live returns the numbers of the connections that get deliveries, oldest first. Delivery.URL says through which one a
// delivery went: "socket 3".
func (s *Sockets) Live() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]int, len(s.sockets))
	for i, c := range s.sockets {
		out[i] = c.id
	}
	return out
}

// Opened counts the connections that were ever made, those that were refused included.
func (s *Sockets) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// pickLocked returns the sockets with these numbers, all without any.
func (s *Sockets) pickLocked(ids []int) []*socket {
	var out []*socket
	for _, c := range s.sockets {
		if len(ids) == 0 || slices.Contains(ids, c.id) {
			out = append(out, c)
		}
	}
	return out
}

// settingsLocked changes the app's settings. Connections end when that switches Socket Mode off.
func (s *Sockets) settingsLocked(change func()) {
	was := s.app.SocketMode
	change()
	if list := s.pickLocked(nil); was && !s.app.SocketMode && len(list) > 0 {
		s.spawnLocked(func() { s.endSockets(list, "link_disabled") })
	}
	s.noteLocked()
}

func (s *Sockets) pick(ids []int) []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pickLocked(ids)
}

// Refresh does what Slack does to each connection about once an hour: it says disconnect with the reason
// warning, and after grace, by the Sim's clock (Slack leaves some 10 s), refresh_requested, and closes. Until then
// deliveries still go through it. It returns the number of connections, all of them when no numbers are given.
func (s *Sockets) Refresh(grace time.Duration, ids ...int) int {
	list := s.pick(ids)
	for _, c := range list {
		c.disconnect("warning")
	}
	end := func() { s.endSockets(list, "refresh_requested") }
	if grace <= 0 {
		end()
		return len(list)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.laterLocked(grace, end)
	return len(list)
}

// endSockets says why, and closes. An acknowledgement that is under way still counts.
func (s *Sockets) endSockets(list []*socket, reason string) {
	s.mu.Lock()
	for _, c := range list {
		s.forgetLocked(c)
	}
	s.mu.Unlock()
	for _, c := range list {
		c.disconnect(reason)
		c.leave()
	}
}

// Drop cuts connections without a word, as a network does, and returns their number once they are gone.
func (s *Sockets) Drop(ids ...int) int {
	list := s.pick(ids)
	for _, c := range list {
		c.conn.Close()
	}
	for _, c := range list {
		<-c.gone
	}
	return len(list)
}

// Freeze makes connections fall silent for good: nothing is sent or taken any more, but they stay open, and
// deliveries are still lost in them. It returns their number.
func (s *Sockets) Freeze(ids ...int) int {
	list := s.pick(ids)
	for _, c := range list {
		c.frozen.Store(true)
	}
	return len(list)
}
