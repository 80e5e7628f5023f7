package transport

// Socket Mode: what Slack sends comes through WebSockets that we open, several at a time, because Slack ends each of
// them about once an hour. It goes through accept like what comes over HTTP, and is acknowledged, on the connection
// that it came through, once accept has it. https://docs.slack.dev/apis/events-api/using-socket-mode
//
// slack-go opens the connections and names what is in the frames; its managed client does not run them. At Slack's
// warning that one hangs up right away, with the acknowledgements under way; it dials again in a loop without a pause;
// it keeps to itself why Slack hung up, and whether an acknowledgement was written; and an event it can't parse it
// gives back without its envelope.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/lasting"
)

const (
	// UsualSockets is how many connections are enough for the others to carry on when one ends.
	UsualSockets = 2
	// MostSockets is how many connections Slack allows an app, those of all its replicas together.
	MostSockets = 10
	// Slack drops an acknowledgement of 20 KB or more, and one in several frames, without a word.
	// slack-go found that out: https://github.com/slack-go/slack/blob/v0.35.0/socketmode/socketmode.go
	largestSocketAnswer = 19 << 10
	socketWriteBuffer   = 32 << 10
	// AcceptsAtOnce is how many deliveries are being accepted at the same time. Above that Slack's next ones wait in the
	// connection.
	AcceptsAtOnce = 256
	// RefusalsAtStart is how often Slack has refused a token that is probably mistyped. It takes some seconds. Later
	// everything else runs, and isn't ended for that.
	RefusalsAtStart = 3
	theStart        = time.Minute
)

// SocketPace says how long things may take.
type SocketPace struct {
	Dial     time.Duration // apps.connections.open, and then again from the handshake to hello
	Silence  time.Duration // Slack pings every few seconds. After this long without a word it is gone
	Linger   time.Duration // Slack hangs up some 10 s after its warning; after this we do
	Drain    time.Duration // for what is being accepted at the end. Above AckBudget
	Farewell time.Duration // for Slack's half of the closing handshake; it often leaves that out
	Apart    time.Duration // between openings while one is live, so that Slack never ends all at the same moment
	Settled  time.Duration // what ends sooner has failed
	First    time.Duration // the pause after a failure; doubled for each further one
	Most     time.Duration // and no longer than this
	Off      time.Duration // between looks whether Socket Mode was switched on again
	Believed time.Duration // a token that worked is refused for so long before that is believed
	Ceiling  rate.Limit    // of apps.connections.open, whatever else happens. Slack: tier 1, about one a minute
}

var UsualPace = SocketPace{
	Dial: 10 * time.Second, Silence: 30 * time.Second, Linger: 30 * time.Second, Drain: 5 * time.Second,
	Farewell: time.Second, Apart: 15 * time.Second, Settled: 30 * time.Second, First: time.Second, Most: time.Minute,
	Off: time.Minute, Believed: 5 * time.Minute,
	Ceiling: rate.Every(20 * time.Second),
}

// ErrSwitchedOff is Slack's link_disabled.
var ErrSwitchedOff = errors.New("switched off (link_disabled) in the app's settings: switch it on at " +
	"https://api.slack.com/apps, or leave the app-level token out to get everything over HTTP")

// TokenRefused says that Slack will not open a connection with the app-level token.
type TokenRefused struct {
	Code string // Slack's word: invalid_auth …
	what string
}

// Error is for the operator: what is wrong with the token, and where to make one that works.
func (e *TokenRefused) Error() string {
	return "the app-level token " + e.what + " (" + e.Code + "). Make one (xapp-…) with the scope connections:write " +
		"on the app's Basic Information page at https://api.slack.com/apps and put it there, " +
		"or leave it out to get everything over HTTP"
}

// Refusals are the answers of apps.connections.open that are about the token.
// https://docs.slack.dev/reference/methods/apps.connections.open
var Refusals = map[string]string{
	"invalid_auth":           "is not one that Slack knows",
	"not_authed":             "is empty",
	"account_inactive":       "belongs to an app or a workspace that no longer exists",
	"token_revoked":          "was revoked",
	"not_allowed_token_type": "is no app-level token",
	"missing_scope":          "lacks the scope connections:write",
}

// Sockets keeps connections to Slack open. What is exported is required, but for Token and AppID, and doesn't change
// after Run was called.
type Sockets struct {
	Accept  Accept
	Slack   *slackapi.API
	Token   connection.Secret // app-level
	Plain   bool              // ws:// will do, as with a Slack on this machine
	AppID   string            // the token's app has to be this; "": any
	Number  int               // of connections
	Pace    SocketPace
	Numbers Numbers
	Log     *slog.Logger

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

	trouble lasting.Trouble // to open a connection; its words are set by Run
}

// SocketHealth is how Socket Mode is doing.
type SocketHealth struct {
	Begun   bool  // Run was called
	Ended   bool  // and has returned
	Live    int   // connections that are open
	Refused error // the token was, for so long that it is believed
	Problem error // the last one; news while there is no connection. ErrSwitchedOff: it is
}

// Health says how it is doing. It doesn't block.
func (s *Sockets) Health() SocketHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SocketHealth{
		Begun: s.running || s.ran, Ended: s.ran && !s.running, Live: s.live, Refused: s.refused, Problem: s.problem,
	}
}

// Run keeps the connections until ctx ends, and returns when they are closed. A *tokenRefused ends it earlier: see
// refuses.
func (s *Sockets) Run(ctx context.Context) error {
	s.api = slack.New("", slack.OptionAppLevelToken(s.Token.Reveal()),
		slack.OptionHTTPClient(s.Slack.HTTP), slack.OptionAPIURL(s.Slack.Address+"/api/"))
	s.dialer = &websocket.Dialer{Proxy: http.ProxyFromEnvironment, WriteBufferSize: socketWriteBuffer}
	s.ceiling = rate.NewLimiter(s.Pace.Ceiling, s.Number+2)
	s.turn, s.places = make(chan struct{}, 1), make(chan struct{}, AcceptsAtOnce)
	s.trouble.Begins, s.trouble.Ends = "socket not opened; trying again", "sockets are opened again"
	s.mu.Lock()
	s.running, s.began = true, time.Now()
	s.mu.Unlock()

	group, life := errgroup.WithContext(ctx)
	for range s.Number {
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
func (s *Sockets) keep(ctx context.Context) error {
	failures := 0
	for {
		if rest(ctx, s.Pace.pause(failures)) != nil {
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
		if failures++; time.Since(c.since) >= s.Pace.Settled || c.dismissal() == "link_disabled" {
			failures = 0
		}
	}
}

// refuses counts a refusal of the token, and reports whether there is no point in going on.
func (s *Sockets) refuses(err error) (final bool) {
	var refused *TokenRefused
	if !errors.As(err, &refused) {
		return false
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusals++; s.refusals == 1 {
		s.refusedSince = time.Now()
	}

	if !s.lived && time.Since(s.began) < theStart {
		return s.refusals >= RefusalsAtStart
	}
	if since := time.Since(s.refusedSince); since >= s.Pace.Believed && s.refused == nil {
		s.refused = refused
		s.Log.Error("Socket Mode needs somebody: Slack refuses its token; everything else goes on",
			"cause", refused, "for", since.Round(time.Second))
	}
	return false
}

// failed keeps and logs that no connection could be opened.
func (s *Sockets) failed(err error, failures int) {
	s.mu.Lock()
	s.problem = err
	s.mu.Unlock()
	s.Numbers.SocketFailed()
	s.trouble.Note(context.Background(), s.Log, err, "failures", failures)
}

// pause is how long to wait after so many failures in a row, at random, so that many who lost Slack at the same moment
// don't come back at the same moment.
func (p SocketPace) pause(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	d := p.Most
	if n := failures - 1; n < 20 {
		d = min(p.First<<n, p.Most)
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
func (s *Sockets) connect(ctx context.Context) (*socket, error) {
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

	dial, cancel := context.WithTimeout(ctx, s.Pace.Dial)
	defer cancel()
	conn, resp, err := s.dialer.DialContext(dial, address.Reveal(), nil)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("open socket: Slack answered %s", Clip(resp.Status))
		}
		return nil, fmt.Errorf("open socket: %w", slackapi.Cause(err)) // without the address: the ticket in it is a secret
	}

	// A stop does not wait for Slack's first word.
	hangUp := context.AfterFunc(dial, func() { _ = conn.Close() })
	defer hangUp()
	c := &socket{
		Sockets: s, conn: conn, since: time.Now(),
		leaving: make(chan struct{}), unread: make(chan struct{}), noMore: make(chan struct{}),
	}

	conn.SetReadLimit(MaxBody) // of hello; after it, see read
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
	s.trouble.Passed(ctx, s.Log)
	s.Log.Info("socket open", "live", live, "of_all_replicas", first.NumConnections, "host", Clip(first.DebugInfo.Host))
	return c, nil
}

// early is how long to wait before another connection is opened.
func (s *Sockets) early() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := time.Until(s.notBefore)
	if s.fresh > 0 {
		wait = max(wait, time.Until(s.opened.Add(s.Pace.Apart)))
	}
	return wait
}

// address asks Slack where to connect.
func (s *Sockets) address(ctx context.Context) (connection.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Pace.Dial)
	defer cancel()
	_, address, err := s.api.StartSocketModeContext(ctx)
	if err != nil {
		code := slackapi.SlackError(err)
		if what := Refusals[code]; what != "" {
			return "", &TokenRefused{Code: code, what: what}
		}
		if wait, limited := slackapi.RetryAfter(err); limited {
			s.wait(wait)
		}
		return "", fmt.Errorf("apps.connections.open: %w", slackapi.Cause(err))
	}

	u, err := url.Parse(address)
	if err != nil || u.Scheme != "wss" && (u.Scheme != "ws" || !s.Plain) {
		return "", errors.New("apps.connections.open: Slack named no address to connect to")
	}
	return connection.Secret(address), nil
}

// wait holds back the next opening, no longer than anybody is let wait.
func (s *Sockets) wait(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := time.Now().Add(min(d, connection.LongestWait)); at.After(s.notBefore) {
		s.notBefore = at
	}
}

// greeted looks at Slack's first word.
func (s *Sockets) greeted(first socketmode.Request) error {
	switch {
	case first.Type == socketmode.RequestTypeDisconnect && first.Reason == "link_disabled":
		s.wait(s.Pace.Off)
		return ErrSwitchedOff
	case first.Type == socketmode.RequestTypeDisconnect:
		return fmt.Errorf("open socket: Slack refused it: %s", Clip(first.Reason)) // too_many_websockets
	case first.Type != socketmode.RequestTypeHello:
		return fmt.Errorf("open socket: Slack said %q, not hello", Clip(first.Type))
	case s.AppID != "" && first.ConnectionInfo.AppID != "" && first.ConnectionInfo.AppID != s.AppID:
		return &TokenRefused{Code: "app " + Clip(first.ConnectionInfo.AppID),
			what: "belongs to another app than the one that is set"}
	}
	return nil
}
