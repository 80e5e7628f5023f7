package install

// What an Installer needs to know, and what follows from it.

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/install/words"
)

// DefaultKeep is how long what is over is kept unless somebody chose otherwise: removed connections and their history,
// and dead letters of an inbox.
const DefaultKeep = 90 * 24 * time.Hour

// Config is what an Installer needs to know. It is not changed after New.
type Config struct {
	App          App
	ClientID     string
	ClientSecret connection.Secret
	AppID        string // when set, an install of another app is refused
	SlackURL     string // "" = https://slack.com
	// PublicURL is what browsers see, without a path. It decides the redirect URI and the cookie. Required, unless
	// BotToken is set.
	PublicURL string
	BotToken  connection.Secret // set: one workspace, no OAuth
	// SigningKeys sign what leaves for a browser and comes back: states of installs, links, undo. The first signs, any
	// verifies, and all replicas need the same; package storage derives them from its keys. None: ClientSecret signs.
	SigningKeys []connection.Secret
	Scopes      []connection.Scope // all that the app can use; asked for, and compared with what was granted
	Closed      bool               // workspaces that are not connected may not connect, but for those in Admit
	Admit       []string           // ids of workspaces (T…) and organisations (E…)
	UserScopes  []connection.Scope // what it asks of each person who installs, to act for them; usually none
	Store       Store              // required
	// MoveToRotation exchanges long-lived bot tokens for rotating ones as they are found. The app's settings at Slack must
	// have token rotation on, and that can't be turned off again.
	MoveToRotation bool
	// Keep is how long a removed connection's facts and history are kept, and the lines about routine renewals. 0:
	// DefaultKeep.
	Keep    time.Duration
	Metrics prometheus.Registerer // nil: numbers are kept and not shown
	// Traces gets the spans of installs, renewals and calls to Slack. nil: nobody does, whatever OpenTelemetry's global one.
	Traces trace.TracerProvider
	HTTP   *http.Client
	Log    *slog.Logger
	Now    func() time.Time // nil: the Store's, if it is a Clock, else time.Now
	// Messages writes to people about their connection. nil: nobody is written to.
	Messages Messages
}

// complete checks cfg and fills in what follows from the rest.
func (cfg *Config) complete() error {
	if cfg.PublicURL != "" || cfg.BotToken == "" {
		public, err := url.Parse(cfg.PublicURL)
		if err != nil || public.Host == "" || public.Path != "" && public.Path != "/" {
			return fmt.Errorf("public URL %q is not an address without a path", cfg.PublicURL)
		}
		cfg.PublicURL = public.Scheme + "://" + public.Host
	}
	if cfg.Store == nil {
		return errors.New("no store")
	}

	cfg.SlackURL = strings.TrimRight(cmp.Or(cfg.SlackURL, "https://slack.com"), "/")
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
		if c, ok := cfg.Store.(Clock); ok {
			cfg.Now = c.Now
		}
	}
	if cfg.HTTP == nil {
		cfg.HTTP = slackapi.NewHTTPClient()
	}
	if cfg.Keep <= 0 {
		cfg.Keep = DefaultKeep
	}
	cfg.App.DataKept = strings.TrimSpace(cfg.App.DataKept + " " + keptFor(cfg.App.Words, cfg.Keep))
	if len(cfg.SigningKeys) == 0 && cfg.ClientSecret != "" {
		cfg.SigningKeys = []connection.Secret{cfg.ClientSecret}
	}
	cfg.Messages = watch.Guarded(cfg.Messages, cfg.Log)
	return nil
}

func days(said *words.Sentences, d time.Duration) string {
	const day = 24 * time.Hour
	return said.Say("pages.days", "count", int((d+day-1)/day))
}

// keptFor is what this library keeps of a workspace besides its connection, and for how long it keeps all of it.
func keptFor(said *words.Sentences, keep time.Duration) string {
	return said.Say("pages.kept", "days", days(said, keep))
}
