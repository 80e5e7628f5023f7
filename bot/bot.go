package bot

// The Bot: its configuration, and the parts that it is made of.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/spans"
)

const (
	// Of transport.AckBudget, this much may be spent on our database: what an outage cannot answer is still to be said in
	// time.
	askBudget = time.Second
	// Slack takes the ack and a post to the response_url on different ways. One that follows too closely can overtake the
	// answer it means to replace, and the person would be left with the older of the two.
	ackSettles = 250 * time.Millisecond
	// So many bytes of an acknowledgement a socket carries, with room for what is around them: Slack takes 20 KB of it.
	largestAck = 18 << 10
	// Each piece of work after the ack: the second part of a reply, or the delivery of an answer. How long a late
	// handler itself may run is lateLife.
	afterBudget = 30 * time.Second
)

// Config is what a Bot needs. It is not changed after New.
type Config struct {
	// Install knows the connections of the workspaces. Required.
	Install *install.Installer
	// Handlers are what the app does, at most one for each Kind and Name.
	Handlers []Handler

	// Use is middleware around every handler; the first is outermost.
	Use []Middleware
	// OnError sees the errors of handlers, and what is left of them after the middleware: it returns what is to be done
	// with them, nil for nothing. r.Handler says whose it is. A panic is an error, too. nil: they stay as they are.
	OnError func(ctx context.Context, r *Request, err error) error

	// SigningSecrets are the app's, from its Basic Information page: what one of them has signed is Slack's. Several while
	// the secret is being changed. Required for Handler; with AppToken none is needed.
	SigningSecrets []connection.Secret
	// AppID is the app's id (A…). What comes for another app is acknowledged and dropped. "": that isn't told apart.
	// With shortcuts it is needed: Slack doesn't say which app they are of.
	AppID string

	// AppToken is an app-level token (xapp-…) with connections:write. It turns Socket Mode on: run RunSockets.
	AppToken connection.Secret
	// Sockets is how many connections of Socket Mode this process keeps. 0: 2. Slack allows an app 10, those of all its
	// processes together, so that there can be five processes of two.
	Sockets int

	// Inbox keeps accepted events until they are worked. nil: NewMemoryInbox, which loses them with the process.
	Inbox Inbox
	// Lease is for how long the inbox lends an event: those of a process that died lie for so long before another one
	// takes them. It is the one that the inbox has. 0: DefaultLease.
	Lease time.Duration
	// Workers is how many handlers of events, slow work and timers run at the same time. One workspace gets half of them
	// at most, and the timers of all workspaces together a quarter. 0: DefaultWorkers; below 0: none, and other processes
	// work what this one accepts.
	Workers int

	// Values is where what handlers put into their Store is kept. nil: nowhere, and a Store's methods return ErrNoStore.
	Values Values
	// Timers is where what is put off, and what recurs, is kept. Required for handlers of timers.
	Timers Timers
	// LeastInterval is the shortest time between two runs that Every and Cron can ask for. 0: DefaultLeastInterval.
	LeastInterval time.Duration

	// Metrics is where the numbers are registered, with names that begin with switchboard_. nil: nowhere.
	Metrics prometheus.Registerer
	// Traces gets the spans of what Slack sends, from the door to the answer: also across processes, if the inbox keeps
	// Delivery.Trace. The context of a handler has the span to begin its own in. Give Install the same. nil: nobody does,
	// not even OpenTelemetry's global one.
	Traces trace.TracerProvider
	// Log gets what an operator has to know. nil: nothing is logged. No line has a token in it.
	Log *slog.Logger
	// Now is the clock that signatures, leases and pauses go by. nil: that of Install.
	Now func() time.Time

	ackWithin time.Duration // for tests; 0: transport.AckBudget
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
	case c.Sockets < 0 || c.Sockets > transport.MostSockets:
		return fmt.Errorf("%d Sockets: Slack allows an app 1 to %d, those of all its replicas together",
			c.Sockets, transport.MostSockets)
	}
	return nil
}

// Bot takes what Slack sends and runs the handlers for it. Make one with New, serve Handler or run RunSockets, and run
// Run beside it. Its methods may be called from any number of goroutines.
type Bot struct {
	cfg     Config
	install *install.Installer
	log     *slog.Logger
	now     func() time.Time

	routes    routes
	gate      *gate
	answers   *answers
	workers   *workers
	traffic   *traffic
	timers    *timers // nil: there are none
	responses *responses
	audience  *audience
	door      *transport.Door
	sockets   *transport.Sockets
	metrics   *metrics
	spans     spans.Tracer

	suggestions suggestions
	apologies   apologies
	tasks       tasks // handlers of events, and work after an acknowledgement
}

// withDefaults fills in what was left to us.
func (c Config) withDefaults() Config {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.Lease = cmp.Or(max(0, c.Lease), DefaultLease)
	c.Workers = max(0, cmp.Or(c.Workers, DefaultWorkers))
	c.ackWithin = cmp.Or(c.ackWithin, transport.AckBudget)
	if c.Now == nil {
		c.Now = c.Install.Now
	}
	c.LeastInterval = cmp.Or(c.LeastInterval, DefaultLeastInterval)
	if c.Inbox == nil {
		c.Inbox = NewMemoryInbox()
	}
	return c
}

// New checks cfg and its handlers, and returns a Bot. It starts nothing and calls nobody. The error names everything
// that is wrong with the handlers: see the On… functions and the options of Handler for what each of them asks for.
func New(cfg Config) (*Bot, error) {
	if cfg.Install == nil {
		return nil, errors.New("no installer")
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b := &Bot{cfg: cfg, install: cfg.Install, log: cfg.Log, now: cfg.Now, spans: spans.New(cfg.Traces)}

	var problems []error
	b.routes, problems = newRoutes(cfg.Handlers, cfg.Use)
	if err := CheckCatalogue(b.install.Scopes(), b.install.UserScopes(), cfg.Handlers); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, cfg.checkTimers()...)
	problems = append(problems, cfg.checkShortcuts()...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}

	for _, h := range cfg.Handlers {
		if words := h.odd(); words != "" {
			b.log.Warn(words, "handler", h.id())
		}
	}

	if m, ok := cfg.Inbox.(mortal); ok {
		m.keepTime(b.now)
	}
	b.metrics = newMetrics(cfg, b.routes.all(), func() float64 { return float64(b.sockets.Health().Live) })
	b.tasks.log, b.tasks.panics = b.log, b.metrics.panics.Inc
	b.assemble()
	return b, nil
}

// assemble makes the parts that know each other.
func (b *Bot) assemble() {
	slack := b.install.Slack()
	b.responses = newResponses(slack)
	b.audience = &audience{slack: slack, token: b.cfg.AppToken}
	b.traffic = &traffic{install: b.install, log: b.log, now: b.now, seen: map[connection.Key]time.Time{}}
	b.traffic.trouble.Begins, b.traffic.trouble.Ends = "keep time of last event", "times of last events are kept again"
	b.timers = newTimers(b.cfg, b.metrics)
	b.gate = &gate{
		install: b.install, responses: b.responses, audience: b.audience, metrics: b.metrics, tasks: &b.tasks,
		onError: b.cfg.OnError, values: b.cfg.Values, timers: b.timers, log: b.log, now: b.install.Now,
		spans:    b.spans,
		insiders: &insiders{install: b.install, now: b.now, known: map[string]time.Time{}},
	}

	b.answers = &answers{
		gate: b.gate, responses: b.responses, traffic: b.traffic, metrics: b.metrics, tasks: &b.tasks,
		log: b.log, now: b.now, spans: b.spans,
	}
	b.answers.stopping, b.answers.stop = context.WithCancel(context.Background())

	b.workers = &workers{
		inbox: b.cfg.Inbox, lease: b.cfg.Lease, handle: b.handle, pool: newWorkerPool(b.cfg.Workers),
		metrics: b.metrics, tasks: &b.tasks, log: b.log, now: b.now, spans: b.spans,
		keeping: keepingTrouble(),
	}

	b.door = &transport.Door{
		Secrets: b.cfg.SigningSecrets, Accept: b.accept, Within: b.cfg.ackWithin,
		Numbers: b.metrics, Log: b.log, Now: b.now,
	}

	b.sockets = &transport.Sockets{
		Accept: b.accept, Slack: slack, Token: b.cfg.AppToken, AppID: b.cfg.AppID,
		Plain:  strings.HasPrefix(slack.Address, "http://"),
		Number: cmp.Or(b.cfg.Sockets, transport.UsualSockets), Pace: transport.UsualPace, Numbers: b.metrics, Log: b.log,
	}
}

// Handler is the door for everything that Slack sends over HTTP: events, commands and interactions alike. Serve it at
// the request URLs of the app's settings, with NewManifest's at POST /slack/events. It answers within Slack's 3 s, and
// refuses what no signing secret has signed. https://docs.slack.dev/authentication/verifying-requests-from-slack
func (b *Bot) Handler() http.Handler { return b.door }

// ours reports whether a delivery is for this app, and notes which it was.
func (b *Bot) ours(ctx context.Context, what, appID string) bool {
	if b.cfg.AppID != "" && appID != "" && appID != b.cfg.AppID {
		b.metrics.Refuse(refusedApp)
		b.log.WarnContext(ctx, what+" for another app dropped: check the app's id (Config.AppID)",
			"got", transport.Clip(appID))
		return false
	}
	b.metrics.good.Set(unixTime(b.now()))
	return true
}
