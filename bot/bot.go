// Package bot takes what Slack sends in, checks it, and brings it to handlers that hold the right workspace's token and
// no other. It knows install for connections; it stores nothing itself.
package bot

// The Bot: its configuration, the one HTTP door, and the workers behind it.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"switchboard/install"
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
	// Work after the ack: a response_url lives 30 minutes, but nobody waits that long for a status.
	afterBudget = 30 * time.Second
	// How long an event's handler may take.
	eventBudget     = time.Minute
	eventOpenBudget = 10 * time.Second
	stopBudget      = time.Minute
	workers         = 16
	maxAttempts     = 4
)

// Config is what a Bot needs. It is not changed after New.
type Config struct {
	Install        *install.Installer // required
	Handlers       []Handler          // two of one kind and name are an error
	SigningSecrets []install.Secret   // at least one; several while the secret is being changed
	AppID          string             // when set, deliveries for another app are dropped
	Inbox          Inbox              // nil: NewMemoryInbox
	Log            *slog.Logger
	Now            func() time.Time
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
	tasks    sync.WaitGroup     // work after an ack

	mu   sync.Mutex
	seen map[string]time.Time // connection id → when its last event was written down
}

// New checks the handlers and returns a Bot. It starts nothing.
func New(cfg Config) (*Bot, error) {
	b := &Bot{cfg: cfg, install: cfg.Install, inbox: cfg.Inbox, log: cfg.Log, now: cfg.Now,
		byName: map[string]Handler{}, seen: map[string]time.Time{}}
	if b.install == nil {
		return nil, errors.New("no installer")
	}
	if len(cfg.SigningSecrets) == 0 {
		return nil, errors.New("no signing secret")
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.now == nil {
		b.now = time.Now
	}
	if b.inbox == nil {
		b.inbox = NewMemoryInbox()
	}
	var problems []error
	for _, h := range cfg.Handlers {
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
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	b.hooks = &http.Client{
		Transport:     b.install.HTTPClient().Transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b, nil
}

// ErrGaveUp says that Run ended while a handler was still running.
var ErrGaveUp = errors.New("handlers still run; what they were doing is given up")

// Run works the inbox until ctx ends, then finishes what was accepted before, and returns: ErrGaveUp if that takes longer
// than a minute.
func (b *Bot) Run(ctx context.Context) error {
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for {
				e, err := b.inbox.Next(ctx)
				if err != nil {
					return // ctx ended and nothing accepted is left
				}
				b.work(e)
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		working.Wait()
		b.tasks.Wait()
	}()
	<-ctx.Done()
	select {
	case <-finished:
		return nil
	case <-time.After(stopBudget):
		return ErrGaveUp
	}
}

// Handler is the door for everything Slack sends over HTTP: events, commands, interactions.
func (b *Bot) Handler() http.Handler { return http.HandlerFunc(b.receive) }

func (b *Bot) receive(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Slack sends POST requests here.", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, "The request is too large.", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "The request could not be read.", http.StatusBadRequest)
		return
	}
	form := formOf(r.Header.Get("Content-Type"), body)
	if form.Get("ssl_check") == "1" {
		// Slack tests the certificate, unsigned. Nothing is run for it, signed or not.
		w.WriteHeader(http.StatusOK)
		return
	}
	if err := verify(r.Header, body, b.cfg.SigningSecrets, b.now()); err != nil {
		b.log.WarnContext(r.Context(), "request refused", "cause", err, "bytes", len(body))
		http.Error(w, "The signature does not match.", http.StatusUnauthorized)
		return
	}
	// From here on the request is Slack's. What we cannot use is answered with 200 all the same: anything else would be
	// sent again, and enough of it switches the app off for every workspace.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), arrived.Add(ackBudget))
	defer cancel()
	switch {
	case form == nil:
		b.receiveEvent(ctx, w, body)
	case form.Has("payload"):
		b.receiveInteraction(ctx, w, []byte(form.Get("payload")))
	case form.Has("command"):
		b.receiveCommand(ctx, w, form)
	default:
		b.log.InfoContext(ctx, "unknown kind of request")
		w.WriteHeader(http.StatusOK)
	}
}

// receiveEvent accepts one Events API delivery: it is acknowledged once the inbox has it.
func (b *Bot) receiveEvent(ctx context.Context, w http.ResponseWriter, body []byte) {
	e, err := decodeEnvelope(body)
	if err != nil {
		b.log.InfoContext(ctx, "event could not be read", "cause", err, "bytes", len(body))
		w.WriteHeader(http.StatusOK)
		return
	}
	switch e.Type {
	case "url_verification":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, e.Challenge)
		return
	case "app_rate_limited":
		b.log.WarnContext(ctx, "Slack holds events back: more than 30,000 in an hour for one workspace", "team", e.TeamID)
		w.WriteHeader(http.StatusOK)
		return
	case "event_callback":
	default:
		b.log.InfoContext(ctx, "unknown kind of delivery", "type", clip(e.Type))
		w.WriteHeader(http.StatusOK)
		return
	}
	if b.foreign(e.AppID) {
		b.log.WarnContext(ctx, "delivery for another app dropped: check SLACK_APP_ID", "got", clip(e.AppID))
		w.WriteHeader(http.StatusOK)
		return
	}
	event := e.event(b.cfg.AppID)
	event.Body = body
	fresh, err := b.inbox.Add(ctx, event)
	if err != nil {
		// Not durable, so not acknowledged: Slack sends it again.
		b.log.ErrorContext(ctx, "event not accepted", "event", event.ID, "cause", err)
		http.Error(w, "Try again.", http.StatusServiceUnavailable)
		return
	}
	if !fresh {
		b.log.DebugContext(ctx, "event known", "event", event.ID)
	}
	w.WriteHeader(http.StatusOK)
}

func (b *Bot) foreign(appID string) bool {
	return b.cfg.AppID != "" && appID != "" && appID != b.cfg.AppID
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
	own, err := url.Parse(b.install.SlackURL())
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
