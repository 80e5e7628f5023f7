// Package bot takes what Slack sends in, checks it, and brings it to handlers that hold the right workspace's token and
// no other. It knows install for connections; it stores nothing itself.
package bot

// The Bot: its configuration, the one HTTP door, and the workers behind it.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

const (
	// Slack gives 3 s from the moment it sends. Half a second of that is left to the network.
	// https://docs.slack.dev/apis/events-api
	ackBudget = 2500 * time.Millisecond
	// Slack publishes no limit; views with state are the largest payloads and stay well below this.
	maxBody = 2 << 20
	// Of it, this much may be spent on our database: what an outage cannot answer is still to be said in time.
	askBudget = time.Second
	// Slack takes the ack and a post to the response_url on different ways. One that follows too closely can overtake the
	// answer it means to replace, and the person would be left with the older of the two.
	ackSettles = 250 * time.Millisecond
	// Each piece of work after the ack: the second part of a reply, or the delivery of an answer. How long a late
	// handler itself may run is lateLife.
	afterBudget = 30 * time.Second
)

// Config is what a Bot needs. It is not changed after New.
type Config struct {
	Install        *install.Installer  // required
	Handlers       []Handler           // two of one kind and name are an error
	SigningSecrets []connection.Secret // at least one; several while the secret is being changed
	AppID          string              // when set, deliveries for another app are dropped
	AppToken       connection.Secret   // set: Socket Mode
	Sockets        int                 // connections of Socket Mode. 0: 2
	Inbox          Inbox               // nil: NewMemoryInbox
	Lease          time.Duration       // how long the inbox lends an event; 0: 30 s
	Workers        int                 // handlers of events at once; 0: DefaultWorkers, below 0: none, others work it
	Metrics        prometheus.Registerer
	Log            *slog.Logger
	Now            func() time.Time // nil: Install.Now

	ackWithin time.Duration // for tests; 0: ackBudget
}

// check finds what would let in anybody, and what does nothing.
func (c Config) check() error {
	switch {
	case len(c.SigningSecrets) == 0 && c.AppToken == "":
		return errors.New("no signing secret")
	case slices.Contains(c.SigningSecrets, ""):
		return errors.New("an empty signing secret: anybody could sign with it")
	case c.Sockets != 0 && c.AppToken == "":
		return errors.New("field Sockets does nothing without an AppToken: set it for Socket Mode")
	case c.Sockets < 0 || c.Sockets > mostSockets:
		return fmt.Errorf("%d Sockets: Slack allows an app 1 to %d, those of all its replicas together",
			c.Sockets, mostSockets)
	}
	return nil
}

// Bot routes Slack's traffic to handlers. Make one with New; serve Handler and run Run.
type Bot struct {
	cfg      Config
	install  *install.Installer
	inbox    Inbox
	log      *slog.Logger
	now      func() time.Time
	byName   map[string]Handler // kind and name
	messages []Handler          // in order; the first that matches runs
	hooks    *http.Client       // posts to response_urls: never follows a redirect
	tasks    tasks              // handlers of events, and work after an ack
	pool     *workerPool
	metrics  *metrics
	ordered  map[string]bool // types of events that a handler wants in their order
	sockets  sockets
	stopped  context.Context // ends lateStop after Run was told to end: see lifetime
	stop     context.CancelFunc
	bodies   bodies

	mu       sync.Mutex
	unworked sync.Once                    // it was said that Run isn't running
	unsaid   []Event                      // attempts that this process outlived, of which the inbox is to hear
	seen     map[connection.Key]time.Time // whose → when its last event was written down
	insiders map[string]time.Time         // connection, workspace and person → when Slack said that they belong together
}

// withDefaults fills in what was left to us.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = c.Install.Now
	}
	if c.Inbox == nil {
		c.Inbox = NewMemoryInbox()
	}
	if c.ackWithin <= 0 {
		c.ackWithin = ackBudget
	}
	if c.Lease <= 0 {
		c.Lease = DefaultLease
	}
	c.Workers = max(0, cmp.Or(c.Workers, DefaultWorkers))
	return c
}

// New checks the handlers and returns a Bot. It starts nothing.
func New(cfg Config) (*Bot, error) {
	if cfg.Install == nil {
		return nil, errors.New("no installer")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b := &Bot{
		cfg: cfg, install: cfg.Install, inbox: cfg.Inbox, log: cfg.Log, now: cfg.Now,
		byName: map[string]Handler{}, ordered: map[string]bool{},
		seen: map[connection.Key]time.Time{}, insiders: map[string]time.Time{},
		pool: newWorkerPool(cfg.Workers),
	}
	b.stopped, b.stop = context.WithCancel(context.Background())
	if m, ok := b.inbox.(mortal); ok {
		m.keepTime(b.now)
	}
	b.metrics = newMetrics(b, cfg.Metrics)
	b.tasks.log, b.tasks.panics = b.log, b.metrics.panics.Inc
	if err := b.register(cfg.Handlers); err != nil {
		return nil, err
	}

	b.hooks = &http.Client{
		Transport:     b.install.Slack().HTTP.Transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b, nil
}

// register takes the handlers in. The error has everything that is wrong with them.
func (b *Bot) register(handlers []Handler) error {
	var problems []error
	for _, h := range handlers {
		if err := h.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		if _, double := b.byName[h.id()]; double {
			problems = append(problems, fmt.Errorf("two handlers for %s %q", h.Kind, h.Name))
		}
		b.byName[h.id()] = h
		if h.Kind == KindMessage {
			b.messages = append(b.messages, h)
		}
		switch {
		case h.inOrder && h.Kind == KindMessage:
			b.ordered["message"] = true
		case h.inOrder && h.Kind == KindEvent: // a command or an action has its ordering key by itself, see postpone
			b.ordered[h.Name] = true
		}
	}
	problems = append(problems, shadowed(b.messages)...)
	if err := CheckCatalogue(b.install.Scopes(), b.install.UserScopes(), handlers); err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}

	for _, h := range handlers {
		if words := h.odd(); words != "" {
			b.log.Warn(words, "handler", h.id())
		}
	}
	return nil
}

// Handler is the door for everything Slack sends over HTTP: events, commands, interactions.
func (b *Bot) Handler() http.Handler { return http.HandlerFunc(b.receive) }

func (b *Bot) receive(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	if r.Method != http.MethodPost {
		b.metrics.refuse(refusedMethod)
		unread(w)
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Slack sends POST requests here.", http.StatusMethodNotAllowed)
		return
	}
	sent, err := readSignature(r.Header, b.now())
	if err != nil {
		if b.certificateCheck(w, r, arrived) {
			w.WriteHeader(http.StatusOK)
			return
		}
		b.refuse(w, r, err)
		return
	}
	body, err := b.bodies.read(w, r, maxBody, arrived.Add(ackBudget))
	switch {
	case errors.Is(err, errTooLarge):
		b.metrics.refuse(refusedTooLarge)
		unread(w)
		http.Error(w, "The request is too large.", http.StatusRequestEntityTooLarge)
		return
	case errors.Is(err, errGaveWay):
		b.metrics.refuse(refusedGaveWay)
		http.Error(w, "Try again.", http.StatusServiceUnavailable)
		return
	case err != nil:
		b.metrics.refuse(refusedBody)
		http.Error(w, "The request could not be read.", http.StatusBadRequest)
		return
	}
	form := formOf(r.Header.Get("Content-Type"), body)
	if form.Get("ssl_check") == "1" { // nothing is run for it, signed or not
		w.WriteHeader(http.StatusOK)
		return
	}
	if err := sent.verify(body, b.cfg.SigningSecrets); err != nil {
		b.refuse(w, r, err)
		return
	}
	b.metrics.repeated(r.Header.Get("X-Slack-Retry-Reason"))
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), arrived.Add(b.cfg.ackWithin))
	defer cancel()
	d := delivery{kind: kindEvents, body: body}
	switch {
	case form == nil:
	case form.Has("payload"):
		d = delivery{kind: kindInteractive, body: []byte(form.Get("payload"))}
	case form.Has("command"):
		d = delivery{kind: kindCommands, form: form}
	default:
		d = delivery{kind: kindUnreadable, body: body}
	}
	ack, err := b.accept(ctx, d)
	if err != nil {
		http.Error(w, "Try again.", http.StatusServiceUnavailable)
		return
	}
	if ack.contentType != "" {
		w.Header().Set("Content-Type", ack.contentType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(ack.body)
	if ack.after != nil {
		_ = http.NewResponseController(w).Flush() // the ack must be out before anything that builds on it
		ack.after()
	}
}

// certificateCheck reports whether a request without a signature is Slack's test of the certificate: a short form.
// Nothing else of what is not signed is looked at.
func (b *Bot) certificateCheck(w http.ResponseWriter, r *http.Request, arrived time.Time) bool {
	if r.Header.Values(signatureHeader) != nil || r.Header.Values(stampHeader) != nil ||
		r.ContentLength <= 0 || r.ContentLength > largestCheck ||
		formOf(r.Header.Get("Content-Type"), nil) == nil {
		return false
	}
	body, err := b.bodies.read(w, r, largestCheck, arrived.Add(unreadLinger))
	return err == nil && formOf(r.Header.Get("Content-Type"), body).Get("ssl_check") == "1"
}

// refuse answers what is not Slack's.
func (b *Bot) refuse(w http.ResponseWriter, r *http.Request, cause error) {
	why := refusedSignature
	var known *refusal
	if errors.As(cause, &known) {
		why = known.cause
	}
	b.metrics.refuse(why)
	b.log.WarnContext(r.Context(), "request refused", "cause", cause, "bytes", r.ContentLength)
	unread(w)
	http.Error(w, "The signature does not match.", http.StatusUnauthorized)
}

// unread keeps the server from waiting long for the rest of a body that nobody wants.
func unread(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unreadLinger))
}

// ours reports whether a delivery is for this app, and notes which it was.
func (b *Bot) ours(ctx context.Context, what, appID string) bool {
	if b.cfg.AppID != "" && appID != "" && appID != b.cfg.AppID {
		b.metrics.refuse(refusedApp)
		b.log.WarnContext(ctx, what+" for another app dropped: check the app's id (Config.AppID)", "got", clip(appID))
		return false
	}
	b.metrics.good.Set(float64(b.now().Unix()))
	return true
}

// responseHosts are where a response_url may lead; posting anywhere else would hand out what we say.
func (b *Bot) responseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("not an address")
	}
	if u.Scheme == "https" && (u.Host == "hooks.slack.com" || u.Host == "hooks.slack-gov.com") {
		return u, nil
	}
	own, err := url.Parse(b.install.Slack().Address)
	if err == nil && u.Scheme == own.Scheme && u.Host == own.Host {
		return u, nil
	}
	return nil, fmt.Errorf("host %q is not Slack's", clip(u.Host))
}

// clip keeps what comes from outside from flooding a log line.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
