package slacksim

// The Sim itself: its settings, its one lock, how it starts and stops, and how others wait for what happens in it.
// Everything mutable sits behind mu; nothing sends a request or waits while holding it.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// App is what Slack knows about the one app of this simulator: what a manifest and the app's settings page would hold.
// docs.slack.dev/reference/app-manifest
type App struct {
	ID, Name, Description                 string
	ClientID, ClientSecret, SigningSecret string

	// RedirectURLs are the allowed callback addresses: a redirect_uri must equal one or lie below it.
	RedirectURLs []string

	// EventsURL receives events. InteractivityURL and CommandsURL default to it when empty.
	EventsURL, InteractivityURL, CommandsURL string

	// InstallURL is where *Add to Slack* on the app page leads: the app's own start page, which redirects to the
	// consent page with a state of its own.
	InstallURL string

	Commands []Command

	// Events are the subscribed bot events by their names in a manifest ("app_mention", "message.im", …). Others are
	// never delivered, and each is delivered only where its scope was granted.
	Events []string

	// HomeTab and MessagesTab switch the two tabs of the app's conversation on. Without HomeTab views.publish answers
	// not_enabled.
	HomeTab, MessagesTab bool

	// TokenRotation makes tokens expire after TokenLife (default 12 h, Slack's figure) and come with refresh tokens.
	TokenRotation bool
	TokenLife     time.Duration

	// A used refresh token dies at once with StrictRefresh; without, it lives RefreshGrace more (Slack publishes no
	// length; 0 means one minute here) and can hand out a second successor.
	StrictRefresh bool
	RefreshGrace  time.Duration

	// NotDistributed allows installs into HomeTeam only.
	NotDistributed bool
	HomeTeam       string

	// OptionalScopes are those of the requested scopes that the person may untick on the consent page.
	OptionalScopes []string

	// OrgReady allows organisation-wide installs.
	OrgReady bool

	// UsedCodeError is the answer to a code used twice: "invalid_code" (documented, the default) or
	// "code_already_used" (seen in the field).
	UsedCodeError string

	// RevokeKeepsApp selects the older reading of auth.revoke on a bot token: the token dies, the app stays installed
	// and no app_uninstalled is sent. By default the app counts as uninstalled once no user token is left.
	RevokeKeepsApp bool

	// CommandAnswersStay selects the reading of field reports that a command's own answer cannot be replaced or
	// deleted: a post to a command's response_url always adds a new message, replace_original or not, and a
	// delete_original deletes nothing. By default the newest answer is replaced. A button's response_url still replaces
	// the message the button is in.
	CommandAnswersStay bool

	// OutsidersNameTheirOwn selects the reading in which the payload of a press by a person of another company names that person's
	// own workspace as its team. By default it names the installing one, and only user.team_id tells.
	OutsidersNameTheirOwn bool

	// SocketMode sends everything through the app's WebSockets instead of HTTP; AppToken ("xapp-…") opens them. Switching
	// it off through SetApp ends those that are open with link_disabled.
	SocketMode bool
	AppToken   string
	// SocketBooleans makes is_enterprise_install of a command a JSON boolean in Socket Mode. By default it is text, as
	// over HTTP; both have been seen.
	SocketBooleans bool
}

// Command is one slash command of the app. With ShouldEscape mentions arrive as <@U…|name> and <#C…|name>.
type Command struct {
	Name, Description, UsageHint string
	ShouldEscape                 bool
}

// Config is what New needs. Only App has to be set, and even that can come later through SetApp.
type Config struct {
	App App
	// Clock defaults to SystemClock{}. Token life, codes, trigger ids, response URLs, retries, signatures and message
	// times all go by it.
	Clock Clock
	// Log receives one line per call and delivery at debug level; default: nothing is logged. No secrets in it.
	Log *slog.Logger
	// Client makes deliveries. Default: an own client. Its CheckRedirect is replaced (Slack follows two redirects).
	Client *http.Client
	// AckTimeout is how long the app may take to acknowledge, in real time. Default 3 s, as in Slack.
	AckTimeout time.Duration
	// Pages makes what browsers get to see at every address that is not an app's: the chat of slacksim/web. Default:
	// nothing, for an app needs none of it.
	Pages func(*Sim) http.Handler
	// PingEvery is how often each WebSocket is pinged, in real time. Default 5 s.
	PingEvery time.Duration
}

// Sim is a small Slack with one app. Make one with New; all methods are safe for concurrent use.
type Sim struct {
	clock      Clock
	log        *slog.Logger
	client     *http.Client
	transport  *http.Transport // ours to close; nil when the caller brought a client
	ackTimeout time.Duration
	pingEvery  time.Duration
	handler    http.Handler
	life       context.Context
	end        context.CancelFunc
	work       sync.WaitGroup // deliveries and the server's goroutine

	mu       sync.Mutex
	app      App
	url      string
	server   *http.Server
	closed   bool
	changed  chan struct{} // closed and replaced upon each change
	busy     int           // deliveries under way or due now
	timers   map[int]func() bool
	serial   int
	removals int
	lastTS   int64 // microseconds of the newest message: timestamps are unique ids

	worldState
	authState
	recordState
	socketState
	gridState
}

// New makes a Sim with an empty world (see AddSmallWorld). It starts nothing.
func New(cfg Config) *Sim {
	s := &Sim{
		clock: cfg.Clock, log: cfg.Log, ackTimeout: cfg.AckTimeout, pingEvery: cfg.PingEvery, app: cfg.App,
		changed: make(chan struct{}), timers: map[int]func() bool{},
	}
	if s.clock == nil {
		s.clock = SystemClock{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.ackTimeout <= 0 {
		s.ackTimeout = 3 * time.Second
	}
	if s.pingEvery <= 0 {
		s.pingEvery = pingEvery
	}
	client := &http.Client{}
	if cfg.Client != nil {
		*client = *cfg.Client
	} else {
		s.transport = &http.Transport{DialContext: (&net.Dialer{}).DialContext, MaxIdleConnsPerHost: 16}
		client.Transport = s.transport
	}
	client.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if len(via) > 2 {
			return errTooManyRedirects
		}
		return nil
	}
	s.client = client
	s.life, s.end = context.WithCancel(context.Background())
	s.worldState.init()
	s.authState.init()
	s.socketState.init()
	s.gridState.init()
	s.handler = s.routes(cfg.Pages)
	return s
}

func (s *Sim) routes(pages func(*Sim) http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", s.serveAPI)
	mux.HandleFunc("/hooks/response/{team}/{id}/{secret}", s.serveResponseURL)
	mux.HandleFunc("/hooks/services/{team}/{id}/{secret}", s.serveWebhook)
	mux.HandleFunc("GET /link/", s.serveSocket)
	mux.HandleFunc("GET /icon/{file}", s.icon)
	if pages == nil {
		return mux
	}
	chat := pages(s)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		// A page that waits for changes ends with the Sim, whoever serves it.
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.life, cancel)()
		chat.ServeHTTP(w, r.WithContext(ctx))
	})
	return mux
}

var errTooManyRedirects = errors.New("too many redirects")

// Handler serves everything: the Web API below /api/, the hooks, the sockets and, with Config.Pages, the chat.
func (s *Sim) Handler() http.Handler { return s.handler }

// Start listens on addr, which must be a loopback address such as "127.0.0.1:0", and serves in the background until
// Close. Afterwards URL returns the address.
func (s *Sim) Start(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("start slacksim: %w", err)
	}
	// Whoever reaches the pages can act as anyone in this Slack, so it stays on this machine.
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("start slacksim: %q is not a loopback address", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("start slacksim: %w", err)
	}
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return s.life },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.server != nil {
		l.Close()
		return errors.New("start slacksim: already started or closed")
	}
	s.server = srv
	s.url = "http://" + l.Addr().String()
	s.work.Go(func() { _ = srv.Serve(l) })
	return nil
}

// URL is the address of this Slack, "http://127.0.0.1:port" without a slash at the end; "" before Start or SetURL.
func (s *Sim) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// SetURL tells a Sim whose Handler is mounted elsewhere the address it is reached at.
func (s *Sim) SetURL(u string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = strings.TrimRight(u, "/")
}

// SetApp changes the app's settings; they hold from the next request on. fn must not call the Sim.
func (s *Sim) SetApp(fn func(*App)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.app.SocketMode
	fn(&s.app)
	if list := s.pickLocked(nil); was && !s.app.SocketMode && len(list) > 0 {
		s.spawnLocked(func() { s.endSockets(list, "link_disabled") })
	}
	s.noteLocked()
}

// App returns a copy of the app's settings.
func (s *Sim) App() App {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app
	a.Commands = append([]Command(nil), a.Commands...)
	a.Events = append([]string(nil), a.Events...)
	a.RedirectURLs = append([]string(nil), a.RedirectURLs...)
	a.OptionalScopes = append([]string(nil), a.OptionalScopes...)
	return a
}

// Now is the time by the Sim's clock.
func (s *Sim) Now() time.Time { return s.clock.Now() }

// Close stops the server, ends what is being delivered and all retries, and waits until every goroutine of the Sim has
// ended or ctx has. Closing twice is harmless.
func (s *Sim) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for id, stop := range s.timers {
		stop()
		delete(s.timers, id)
	}
	srv := s.server
	s.noteLocked()
	s.mu.Unlock()
	s.end() // ends event streams, hanging answers and deliveries, which Shutdown would wait for
	var err error
	if srv != nil {
		err = srv.Shutdown(ctx)
		if err != nil {
			srv.Close()
		}
	}
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
	return err
}

// noteLocked wakes everyone who waits for Changed, as WaitFor and Settle do.
func (s *Sim) noteLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Changed returns a channel that is closed upon the next call, delivery, message or other change.
func (s *Sim) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// WaitFor returns when ok reports true, looking again after every call, delivery, message or other change. It waits on
// a signal, not on time; ctx bounds it. ok may use the Sim and is called from this goroutine only.
func (s *Sim) WaitFor(ctx context.Context, ok func() bool) error {
	for {
		ch := s.Changed() // taken before looking, so that no change falls between
		if ok() {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Settle waits until no delivery is under way or due now. Retries that wait for the clock do not count.
func (s *Sim) Settle(ctx context.Context) error {
	return s.WaitFor(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.busy == 0
	})
}

// spawnLocked runs f in a goroutine that Close and Settle know of. After Close it does nothing.
func (s *Sim) spawnLocked(f func()) {
	if s.closed {
		return
	}
	s.busy++
	s.work.Go(func() {
		defer func() {
			s.mu.Lock()
			s.busy--
			s.noteLocked()
			s.mu.Unlock()
		}()
		f()
	})
}

// laterLocked runs f like spawnLocked does, when the clock has moved by d.
func (s *Sim) laterLocked(d time.Duration, f func()) {
	if s.closed {
		return
	}
	s.serial++
	id := s.serial
	s.timers[id] = s.clock.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.timers[id]; !ok {
			return // stopped by Close
		}
		delete(s.timers, id)
		s.spawnLocked(f)
	})
}

// idLocked makes an id that is unique here, readable and the same in every run: C0SIM00007.
func (s *Sim) idLocked(prefix string) string {
	s.serial++
	return fmt.Sprintf("%s0SIM%05d", prefix, s.serial)
}

// tsLocked makes the next message timestamp. Slack uses it as the message's id, so it never repeats.
func (s *Sim) tsLocked() string {
	us := s.clock.Now().UnixMicro()
	if us <= s.lastTS {
		us = s.lastTS + 1
	}
	s.lastTS = us
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func randomText(n int) string {
	b := make([]byte, n)
	for i := range b {
		k, _ := rand.Int(rand.Reader, big.NewInt(int64(len(alnum))))
		b[i] = alnum[k.Int64()]
	}
	return string(b)
}

func randomDigits(n int) string {
	k, _ := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n-1)), nil))
	return new(big.Int).Add(k, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n-1)), nil)).String()
}

// maxBody bounds what is read from anyone: generous beside Slack's own limits.
const maxBody = 4 << 20

func readBody(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxBody)) }
