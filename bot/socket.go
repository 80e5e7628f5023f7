package bot

// Socket Mode: what Slack sends comes through WebSockets that we open, several at a time, because Slack ends each of
// them about once an hour. It goes through accept like what comes over HTTP, and is acknowledged, on the connection
// that it came through, once accept has it. https://docs.slack.dev/apis/events-api/using-socket-mode
//
// slack-go opens the connections and names what is in the frames; its managed client does not run them. At Slack's
// warning that one hangs up at once, with the acknowledgements under way; it dials again in a loop without a pause; it
// keeps to itself why Slack hung up, and whether an acknowledgement was written; and an event it can't parse it gives
// back without its envelope.

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
)

const (
	// So many that the others carry on when one ends.
	usualSockets = 2
	// Slack allows an app so many, those of all its replicas together.
	mostSockets = 10
	// Slack drops an acknowledgement of 20 KB or more, and one in several frames, without a word.
	// slack-go found that out: https://github.com/slack-go/slack/blob/v0.35.0/socketmode/socketmode.go
	largestSocketAnswer = 19 << 10
	socketWriteBuffer   = 32 << 10
	// How many deliveries are being accepted at once. Above that Slack's next ones wait in the connection.
	acceptsAtOnce = 256
	// At the start a token is probably mistyped when Slack has refused it so often; it takes some seconds. Later
	// everything else runs, and isn't ended for that.
	refusalsAtStart = 3
	theStart        = time.Minute
)

// socketPace says how long things may take.
type socketPace struct {
	dial     time.Duration // apps.connections.open, and then again from the handshake to hello
	silence  time.Duration // Slack pings every few seconds. After this long without a word it is gone
	linger   time.Duration // Slack hangs up some 10 s after its warning; after this we do
	drain    time.Duration // for what is being accepted at the end. Above ackBudget
	farewell time.Duration // for Slack's half of the closing handshake; it often leaves that out
	apart    time.Duration // between openings while one is live, so that Slack never ends all at the same moment
	settled  time.Duration // what ends sooner has failed
	first    time.Duration // the pause after a failure; doubled for each further one
	most     time.Duration // and no longer than this
	off      time.Duration // between looks whether Socket Mode was switched on again
	believed time.Duration // a token that worked is refused for so long before that is believed
	ceiling  rate.Limit    // of apps.connections.open, whatever else happens. Slack: tier 1, about one a minute
}

var usualPace = socketPace{
	dial: 10 * time.Second, silence: 30 * time.Second, linger: 30 * time.Second, drain: 5 * time.Second,
	farewell: time.Second, apart: 15 * time.Second, settled: 30 * time.Second, first: time.Second, most: time.Minute,
	off: time.Minute, believed: 5 * time.Minute,
	ceiling: rate.Every(20 * time.Second),
}

// errSwitchedOff is Slack's link_disabled.
var errSwitchedOff = errors.New("switched off (link_disabled) in the app's settings: switch it on at " +
	"https://api.slack.com/apps, or leave the app-level token out to get everything over HTTP")

// tokenRefused says that Slack will not open a connection with the app-level token.
type tokenRefused struct {
	Code string // Slack's word: invalid_auth …
	what string
}

// Error is for the operator: what is wrong with the token, and where to make one that works.
func (e *tokenRefused) Error() string {
	return "the app-level token " + e.what + " (" + e.Code + "). Make one (xapp-…) with the scope connections:write " +
		"on the app's Basic Information page at https://api.slack.com/apps and put it there, " +
		"or leave it out to get everything over HTTP"
}

// refusals are the answers of apps.connections.open that are about the token.
// https://docs.slack.dev/reference/methods/apps.connections.open
var refusals = map[string]string{
	"invalid_auth":           "is not one that Slack knows",
	"not_authed":             "is empty",
	"account_inactive":       "belongs to an app or a workspace that is no more",
	"token_revoked":          "was revoked",
	"not_allowed_token_type": "is no app-level token",
	"missing_scope":          "lacks the scope connections:write",
}

// sockets keeps connections to Slack open. What is exported is set before run, and doesn't change after it.
type sockets struct {
	accept  accept
	slack   *slackapi.API
	token   connection.Secret // app-level
	plain   bool              // ws:// will do, as with a Slack on this machine
	appID   string            // the token's app has to be this; "": any
	number  int               // of connections
	pace    socketPace
	numbers numbers
	log     *slog.Logger

	api     *slack.Client
	dialer  *websocket.Dialer
	ceiling *rate.Limiter
	turn    chan struct{}  // who has it may open a connection
	places  chan struct{}  // one for each delivery that is being accepted
	open    sync.WaitGroup // connections

	mu        sync.Mutex
	running   bool
	ran       bool      // and does no more
	live      int       // connections that are open
	fresh     int       // those of them that Slack has not announced the end of
	opened    time.Time // when the last one was
	notBefore time.Time // Slack asked for so much patience
	problem   error     // the last one; news while there is no connection

	began        time.Time
	lived        bool      // the token has opened a connection
	refusals     int       // in a row
	refusedSince time.Time // the first of them
	refused      error     // and it is believed
}

// socketHealth is how Socket Mode is doing.
type socketHealth struct {
	begun   bool  // run was called
	ended   bool  // and has returned
	live    int   // connections that are open
	refused error // the token was, for so long that it is believed
	problem error // the last one; news while there is no connection. errSwitchedOff: that it is
}

// health says how it is doing. It doesn't block.
func (s *sockets) health() socketHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	return socketHealth{
		begun: s.running || s.ran, ended: s.ran && !s.running, live: s.live, refused: s.refused, problem: s.problem,
	}
}

// run keeps the connections until ctx ends, and returns when they are closed. A *tokenRefused ends it earlier: see
// refuses.
func (s *sockets) run(ctx context.Context) error {
	s.api = slack.New("", slack.OptionAppLevelToken(s.token.Reveal()),
		slack.OptionHTTPClient(s.slack.HTTP), slack.OptionAPIURL(s.slack.Address+"/api/"))
	s.dialer = &websocket.Dialer{Proxy: http.ProxyFromEnvironment, WriteBufferSize: socketWriteBuffer}
	s.ceiling = rate.NewLimiter(s.pace.ceiling, s.number+2)
	s.turn, s.places = make(chan struct{}, 1), make(chan struct{}, acceptsAtOnce)
	s.mu.Lock()
	s.running, s.began = true, time.Now()
	s.mu.Unlock()
	group, life := errgroup.WithContext(ctx)
	for range s.number {
		group.Go(func() error { return s.keep(life) })
	}
	err := group.Wait()
	s.open.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.ran, s.refused = false, true, err
	return err
}

// keep keeps one connection open until ctx ends. A successor is opened while the one before is still in use, if Slack
// leaves time for it.
func (s *sockets) keep(ctx context.Context) error {
	failures := 0
	for {
		if rest(ctx, s.pace.pause(failures)) != nil {
			return nil
		}
		c, err := s.connect(ctx)
		if ctx.Err() != nil && err != nil {
			return nil
		}
		if s.refuses(err) {
			return err
		}
		if err != nil {
			failures++
			s.failed(err, failures)
			continue
		}
		s.open.Go(func() { c.serve(ctx) })
		<-c.leaving
		if ctx.Err() != nil {
			return nil
		}
		if failures++; time.Since(c.since) >= s.pace.settled || c.dismissal() == "link_disabled" {
			failures = 0
		}
	}
}

// refuses counts a refusal of the token, and reports whether there is no point in going on.
func (s *sockets) refuses(err error) (final bool) {
	var refused *tokenRefused
	if !errors.As(err, &refused) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusals++; s.refusals == 1 {
		s.refusedSince = time.Now()
	}
	if !s.lived && time.Since(s.began) < theStart {
		return s.refusals >= refusalsAtStart
	}
	if since := time.Since(s.refusedSince); since >= s.pace.believed && s.refused == nil {
		s.refused = refused
		s.log.Error("Socket Mode needs somebody: Slack refuses its token; everything else goes on",
			"cause", refused, "for", since.Round(time.Second))
	}
	return false
}

// failed keeps and logs that no connection could be opened.
func (s *sockets) failed(err error, failures int) {
	s.mu.Lock()
	s.problem = err
	s.mu.Unlock()
	s.numbers.SocketFailed()
	s.log.Warn("socket not opened; trying again", "cause", err, "failures", failures)
}

// pause is how long to wait after so many failures in a row, at random, so that many who lost Slack at the same moment
// don't come back at the same moment.
func (p socketPace) pause(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	d := p.most
	if n := failures - 1; n < 20 {
		d = min(p.first<<n, p.most)
	}
	return d/2 + rand.N(d/2+1)
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// connect opens a connection when its time has come, and returns it once Slack has said hello.
func (s *sockets) connect(ctx context.Context) (*socket, error) {
	for {
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		wait := s.early()
		if wait <= 0 {
			break
		}
		<-s.turn
		if err := rest(ctx, wait); err != nil {
			return nil, err
		}
	}
	defer func() { <-s.turn }()
	if err := s.ceiling.Wait(ctx); err != nil {
		return nil, err
	}
	address, err := s.address(ctx)
	if err != nil {
		return nil, err
	}
	dial, cancel := context.WithTimeout(ctx, s.pace.dial)
	defer cancel()
	conn, resp, err := s.dialer.DialContext(dial, address.Reveal(), nil)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("open socket: Slack answered %s", clip(resp.Status))
		}
		return nil, fmt.Errorf("open socket: %w", slackapi.Cause(err)) // without the address: the ticket in it is a secret
	}
	// A stop does not wait for Slack's first word.
	hangUp := context.AfterFunc(dial, func() { _ = conn.Close() })
	defer hangUp()
	c := &socket{
		sockets: s, conn: conn, since: time.Now(),
		leaving: make(chan struct{}), unread: make(chan struct{}), noMore: make(chan struct{}),
	}
	conn.SetReadLimit(maxBody) // of hello; after it, see read
	var first socketmode.Request
	if err := conn.ReadJSON(&first); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("open socket: wait for hello: %w", err)
	}
	if err := s.greeted(first); err != nil {
		c.bye()
		_ = conn.Close()
		return nil, err
	}
	if !hangUp() {
		return nil, fmt.Errorf("open socket: %w", dial.Err())
	}
	s.mu.Lock()
	s.live, s.fresh, s.opened = s.live+1, s.fresh+1, time.Now()
	s.lived, s.refusals, s.refused = true, 0, nil
	live := s.live
	s.mu.Unlock()
	s.log.Info("socket open", "live", live, "of_all_replicas", first.NumConnections, "host", clip(first.DebugInfo.Host))
	return c, nil
}

// early is how long to wait before another connection is opened.
func (s *sockets) early() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := time.Until(s.notBefore)
	if s.fresh > 0 {
		wait = max(wait, time.Until(s.opened.Add(s.pace.apart)))
	}
	return wait
}

// address asks Slack where to connect.
func (s *sockets) address(ctx context.Context) (connection.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, s.pace.dial)
	defer cancel()
	_, address, err := s.api.StartSocketModeContext(ctx)
	if err != nil {
		code := slackapi.SlackError(err)
		if what := refusals[code]; what != "" {
			return "", &tokenRefused{Code: code, what: what}
		}
		if wait, limited := slackapi.RetryAfter(err); limited {
			s.wait(wait)
		}
		return "", fmt.Errorf("apps.connections.open: %w", slackapi.Cause(err))
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "wss" && (u.Scheme != "ws" || !s.plain) {
		return "", errors.New("apps.connections.open: Slack named no address to connect to")
	}
	return connection.Secret(address), nil
}

// wait holds back the next opening, no longer than anybody is let wait.
func (s *sockets) wait(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := time.Now().Add(min(d, connection.LongestWait)); at.After(s.notBefore) {
		s.notBefore = at
	}
}

// greeted looks at Slack's first word.
func (s *sockets) greeted(first socketmode.Request) error {
	switch {
	case first.Type == socketmode.RequestTypeDisconnect && first.Reason == "link_disabled":
		s.wait(s.pace.off)
		return errSwitchedOff
	case first.Type == socketmode.RequestTypeDisconnect:
		return fmt.Errorf("open socket: Slack refused it: %s", clip(first.Reason)) // too_many_websockets
	case first.Type != socketmode.RequestTypeHello:
		return fmt.Errorf("open socket: Slack said %q, not hello", clip(first.Type))
	case s.appID != "" && first.ConnectionInfo.AppID != "" && first.ConnectionInfo.AppID != s.appID:
		return &tokenRefused{Code: "app " + clip(first.ConnectionInfo.AppID),
			what: "belongs to another app than the one that is set"}
	}
	return nil
}

// socket is one connection that Slack has greeted.
type socket struct {
	*sockets
	conn   *websocket.Conn
	since  time.Time
	write1 sync.Mutex // one frame at a time

	leaving   chan struct{} // closed when a successor is wanted
	leaveOnce sync.Once
	unread    chan struct{} // closed when nothing is read any more
	noMore    chan struct{} // closed when nothing is accepted any more
	endOnce   sync.Once
	broken    atomic.Bool // it ended without Slack's word: what is written now seems to go out and goes nowhere

	mu       sync.Mutex
	ending   bool
	accepts  sync.WaitGroup // adds only while not ending
	reason   string         // of Slack's disconnect
	overtime *time.Timer    // ends it when Slack does not
}

// serve reads until the connection ends, by whoever's will, and returns when it is closed.
func (c *socket) serve(ctx context.Context) {
	defer context.AfterFunc(ctx, c.end)()
	c.conn.SetReadLimit(-1)
	// Slack's half of the closing handshake is answered once the acknowledgements under way are out: see end.
	c.conn.SetCloseHandler(func(int, string) error { return nil })
	c.conn.SetPingHandler(func(text string) error {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.pace.silence))
		_ = c.conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(time.Second))
		return nil
	})
	var err error
	for err == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.pace.silence))
		var frame []byte
		if frame, err = c.read(ctx); err == nil && len(frame) > 0 {
			c.take(ctx, frame)
		}
	}
	var farewell *websocket.CloseError
	c.broken.Store(!errors.As(err, &farewell) || farewell.Code == websocket.CloseAbnormalClosure)
	close(c.unread)
	c.leave()
	c.sockets.mu.Lock()
	c.live--
	live := c.live
	if c.problem = errors.New("connection lost"); c.dismissal() == "link_disabled" {
		c.problem = errSwitchedOff
	}
	c.sockets.mu.Unlock()
	c.end()
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		err = errors.New("no word from Slack for too long")
	}
	level := slog.LevelInfo
	if c.dismissal() == "" && ctx.Err() == nil {
		level = slog.LevelWarn
	}
	c.log.Log(context.WithoutCancel(ctx), level, "socket closed", "live", live,
		"lasted", time.Since(c.since).Round(time.Second), "reason", c.dismissal(), "cause", err)
}

// read returns the next frame, nothing of one that is larger than what would be taken over HTTP: such a one is passed
// over, and acknowledged, since sending it again makes it no smaller. It must not cost the connection, and the frames
// behind it.
func (c *socket) read(ctx context.Context) ([]byte, error) {
	_, r, err := c.conn.NextReader()
	if err != nil {
		return nil, err
	}
	frame, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil || len(frame) <= maxBody {
		return frame, err
	}
	c.numbers.Refuse(refusedTooLarge)
	id := envelopeID.FindSubmatch(frame)
	rest, err := io.Copy(io.Discard, r)
	c.log.WarnContext(ctx, "envelope refused: it is too large", "bytes", int64(len(frame))+rest, "limit", maxBody,
		"acknowledged", id != nil)
	if err == nil && id != nil {
		c.write(acknowledgement(string(id[1]), answer{}, false))
	}
	return nil, err
}

// dismissed keeps the reason that Slack gave for the end, and asks for a successor. Until Slack hangs up the connection
// is still in use.
func (c *socket) dismissed(reason string) {
	c.mu.Lock()
	c.reason = reason
	if c.overtime == nil && !c.ending {
		c.overtime = time.AfterFunc(c.pace.linger, c.end)
	}
	c.mu.Unlock()
	c.leave()
}

// leave asks for a successor.
func (c *socket) leave() {
	c.leaveOnce.Do(func() {
		c.sockets.mu.Lock()
		c.fresh--
		c.sockets.mu.Unlock()
		close(c.leaving)
	})
}

// dismissal is the reason that Slack gave for the end, "" while it gave none.
func (c *socket) dismissal() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// end takes nothing new, waits for the acknowledgements of what is being accepted, and closes the connection. When it
// returns that is done.
func (c *socket) end() {
	c.endOnce.Do(func() {
		c.mu.Lock()
		c.ending = true
		if c.overtime != nil {
			c.overtime.Stop()
		}
		c.mu.Unlock()
		close(c.noMore)
		c.log.Debug("socket ends")
		done := make(chan struct{})
		go func() { defer close(done); c.accepts.Wait() }()
		wait := time.NewTimer(c.pace.drain)
		defer wait.Stop()
		select {
		case <-done:
		case <-wait.C:
			c.log.Warn("acknowledgements given up: accepting took too long")
		}
		c.bye()
		// What Slack has sent meanwhile must be read: closing over it would cut off what we have just written.
		wait.Reset(c.pace.farewell)
		select {
		case <-c.unread:
		case <-wait.C:
		}
		_ = c.conn.Close()
	})
}

func (c *socket) bye() {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
}

// envelopeID finds the id in a frame that is no JSON.
var envelopeID = regexp.MustCompile(`"envelope_id"\s*:\s*"([^"\\]{1,200})"`)

// take hands one frame on and returns at once, or as soon as there is a place for it.
func (c *socket) take(ctx context.Context, frame []byte) {
	r, d, err := unpack(frame)
	switch {
	case r.Type == socketmode.RequestTypeDisconnect:
		if r.Reason == "link_disabled" {
			c.wait(c.pace.off)
		}
		c.dismissed(cmp.Or(r.Reason, "unsaid"))
		return
	case r.Type == socketmode.RequestTypeHello:
		return
	case d.kind == "", d.kind != kindUnreadable && r.EnvelopeID == "":
		c.numbers.Unknown()
		c.log.InfoContext(ctx, "envelope could not be read", "type", clip(r.Type), "bytes", len(frame), "cause", err)
		if r.EnvelopeID != "" { // there is nothing to do for it, neither now nor when Slack sends it again
			c.write(acknowledgement(r.EnvelopeID, answer{}, false))
		}
		return
	}

	select {
	case c.places <- struct{}{}:
	case <-c.noMore:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		<-c.places
		return
	}
	arrived := time.Now()
	c.accepts.Go(func() {
		defer func() { <-c.places }()
		ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), arrived.Add(ackBudget))
		defer cancel()
		c.handle(ctx, r, d)
	})
}

// unpack reads what is in a frame. A delivery of no kind is one that this release doesn't know. err is why a part of the
// frame could not be read.
func unpack(frame []byte) (r socketmode.Request, d delivery, err error) {
	err = json.Unmarshal(frame, &r) // with a field of another type than expected it still reads the others
	if err != nil && r.EnvelopeID == "" {
		if m := envelopeID.FindSubmatch(frame); m != nil {
			r.EnvelopeID = string(m[1])
		}
	}

	switch r.Type {
	case kindEvents, kindInteractive:
		return r, delivery{kind: r.Type, body: r.Payload}, err
	case kindCommands:
		form, err := formOfJSON(r.Payload)
		if err != nil {
			return r, delivery{kind: kindUnreadable, body: frame}, err
		}
		return r, delivery{kind: kindCommands, body: r.Payload, form: form}, nil
	}
	if err != nil {
		return r, delivery{kind: kindUnreadable, body: frame}, err
	}
	return r, delivery{}, nil
}

// handle accepts one delivery and acknowledges it. What could not be accepted is not acknowledged: Slack sends it
// again.
func (c *socket) handle(ctx context.Context, r socketmode.Request, d delivery) {
	c.numbers.Repeated(r.RetryReason)
	a, err := c.accepted(ctx, d)
	if err != nil {
		c.log.DebugContext(ctx, "envelope not acknowledged", "type", d.kind, "attempt", r.RetryAttempt, "cause", err)
		return
	}
	if r.EnvelopeID == "" {
		return // it is kept, and Slack can't be told
	}
	frame := acknowledgement(r.EnvelopeID, a, r.AcceptsResponsePayload)
	carried := len(a.body) == 0 || r.AcceptsResponsePayload
	if len(frame) > largestSocketAnswer {
		frame, carried = acknowledgement(r.EnvelopeID, a, false), false
	}
	carried = c.write(frame) && carried
	switch {
	case carried, len(a.body) == 0:
	case a.tooLarge != nil:
		a.tooLarge()
	default:
		c.numbers.Undelivered()
		c.log.WarnContext(ctx, "answer dropped: the acknowledgement can't carry it", "type", d.kind, "bytes", len(a.body))
	}
	if a.after != nil {
		a.after()
	}
}

// accepted is accept, with a panic as an error: the HTTP server would not die of it either.
func (c *socket) accepted(ctx context.Context, d delivery) (a answer, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.log.ErrorContext(ctx, "accept panicked", "type", d.kind, "cause", v, "stack", string(debug.Stack()))
			err = errors.New("accept panicked")
		}
	}()
	return c.accept(ctx, d)
}

// acknowledgement is the frame that acknowledges an envelope, with what the answer says or without.
func acknowledgement(id string, a answer, carry bool) []byte {
	m := socketmode.Response{EnvelopeID: id}
	if carry && len(a.body) > 0 {
		m.Payload = string(a.body)
		if strings.HasPrefix(a.contentType, "application/json") && json.Valid(a.body) {
			m.Payload = json.RawMessage(a.body)
		}
	}
	frame, _ := json.Marshal(m) // of strings and valid JSON
	return frame
}

// write reports whether the frame was written.
func (c *socket) write(frame []byte) bool {
	c.write1.Lock()
	defer c.write1.Unlock()
	if c.broken.Load() {
		return false
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(ackBudget))
	err := c.conn.WriteMessage(websocket.TextMessage, frame)
	if err == nil {
		return true
	}
	c.log.Debug("acknowledgement not written", "cause", err)
	_ = c.conn.Close() // half a frame may be out
	return false
}
