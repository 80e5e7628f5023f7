package install

// The Installer ties the store, Slack's OAuth and the pages together; everything else in this package hangs off it.

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// App is how the app presents itself on the pages.
type App struct {
	Name       string
	Summary    string   // one sentence: what it does
	Does       []string // the same in steps a newcomer can picture
	DataKept   string   // one or two sentences for the IT team
	Operator   string   // who runs this copy; "" is said as such
	SupportURL string   // https://… or mailto:…; "" when there is none
	PrivacyURL string
	Version    string
}

// Config is what an Installer needs to know. It is not changed after New.
type Config struct {
	App          App
	ClientID     string
	ClientSecret Secret
	AppID        string  // when set, an install of another app is refused
	SlackURL     string  // "" = https://slack.com
	PublicURL    string  // what browsers see, without a path; decides the redirect URI and the cookie. Required, unless BotToken is set
	BotToken     Secret  // set: one workspace, no OAuth
	Scopes       []Scope // what the app needs; asked for, and compared with what was granted
	Store        Store   // required
	HTTP         *http.Client
	Log          *slog.Logger
	Now          func() time.Time
	// Welcome writes to the person who installed, once per install. nil: nobody is written to. Its error is shown on the
	// success page as "you find the app under Apps"; it fails nothing.
	Welcome func(ctx context.Context, client *slack.Client, c Connection) error
}

// Installer connects workspaces and answers for their connections. Make one with New. It may be used from any number of
// goroutines.
type Installer struct {
	cfg    Config
	store  Store
	http   *http.Client
	log    *slog.Logger
	now    func() time.Time
	secure bool // PublicURL is https
	only   Key  // single-workspace mode: the one connection, once Adopt has found it
}

// ErrNotConnected says that a workspace has no connection that could be used: none, a removed or a paused one, or one
// without a readable token.
var ErrNotConnected = errors.New("not connected")

// New checks cfg and returns an Installer. It starts nothing.
func New(cfg Config) (*Installer, error) {
	var secure bool
	if cfg.PublicURL != "" || cfg.BotToken == "" {
		public, err := url.Parse(cfg.PublicURL)
		if err != nil || public.Host == "" || public.Path != "" && public.Path != "/" {
			return nil, fmt.Errorf("public URL %q is not an address without a path", cfg.PublicURL)
		}
		cfg.PublicURL, secure = public.Scheme+"://"+public.Host, public.Scheme == "https"
	}
	if cfg.SlackURL == "" {
		cfg.SlackURL = "https://slack.com"
	}
	cfg.SlackURL = strings.TrimRight(cfg.SlackURL, "/")
	if cfg.Store == nil {
		return nil, errors.New("no store")
	}
	in := &Installer{cfg: cfg, store: cfg.Store, http: cfg.HTTP, log: cfg.Log, now: cfg.Now, secure: secure}
	if in.http == nil {
		in.http = NewHTTPClient()
	}
	if in.log == nil {
		in.log = slog.New(slog.DiscardHandler)
	}
	if in.now == nil {
		in.now = time.Now
	}
	return in, nil
}

// Open returns a connection whose token can be used now, by the look-up rules of Store.Find. It blocks for the store
// alone. ErrNotConnected, or the store's trouble.
func (in *Installer) Open(ctx context.Context, k Key) (Connection, error) {
	c, err := in.store.Find(ctx, k)
	switch {
	case errors.Is(err, ErrNotFound):
		return Connection{}, ErrNotConnected
	case err != nil:
		return Connection{}, fmt.Errorf("open connection: %w", err)
	case c.Token == "" || c.State == Removed || c.State == Paused:
		return c, ErrNotConnected
	case in.cfg.BotToken != "" && c.Key != in.only:
		// Left over from another token, or from the time before this mode: there is one connection now.
		return Connection{}, ErrNotConnected
	}
	return c, nil
}

// GrantURL is the page that connects, reconnects or allows more: one click for a person, bound to c's workspace when c is
// known. The id in it is no secret; Slack asks the person for consent.
func (in *Installer) GrantURL(c Connection) string {
	if c.ID == "" {
		return in.cfg.PublicURL + "/slack/install"
	}
	return in.cfg.PublicURL + "/slack/install?connection=" + url.QueryEscape(c.ID)
}

// App returns how the app presents itself.
func (in *Installer) App() App { return in.cfg.App }

// Scopes returns the permissions the app needs.
func (in *Installer) Scopes() []Scope { return in.cfg.Scopes }

// SlackURL returns the address of Slack, without a slash at the end.
func (in *Installer) SlackURL() string { return in.cfg.SlackURL }

// HTTPClient returns the client that all calls to Slack go through.
func (in *Installer) HTTPClient() *http.Client { return in.http }

// SawEvent keeps when Slack last sent an event for c. Callers limit how often.
func (in *Installer) SawEvent(ctx context.Context, k Key, at time.Time) error {
	_, err := in.store.Update(ctx, k, func(c *Connection) error {
		if at.After(c.LastEventAt) {
			c.LastEventAt = at
		}
		return nil
	})
	return err
}

// Removal is Slack's word that the app (ReasonUninstalled) or its bot token alone (ReasonTokenRevoked) is gone.
type Removal struct {
	Reason string
	At     time.Time // event_time, whole seconds of Slack's clock
}

// RemovalSaid handles Slack's word that the connection of exactly k is gone. The word may come late, twice, and after a
// re-install, so the token we hold is asked first. What Slack's answer leaves open is written down and asked again by Run;
// only the store's own trouble is an error. An unknown or removed connection is fine.
func (in *Installer) RemovalSaid(ctx context.Context, k Key, said Removal) error {
	c, err := in.store.Find(ctx, k)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("handle removal: %w", err)
	}
	if c.State == Removed || c.TeamID != k.TeamID {
		// An organisation's row is not removed because one of its workspaces left.
		return nil
	}
	gone := in.isGone(ctx, c, said)
	asked := c.Token
	c, err = in.store.Update(ctx, c.Key, func(row *Connection) error {
		switch {
		case row.State == Removed || row.Token != asked && row.Token != "":
			// The other of the two events was first, or a re-install came in between.
			row.Doubt = Removal{}
		case gone == yes && said.Reason == ReasonTokenRevoked:
			row.Erase(ReconnectRequired, said.Reason, in.now()) // if the app went with it, Slack says so in a second event
		case gone == yes:
			row.Erase(Removed, said.Reason, in.now())
		case gone == no:
			row.Doubt = Removal{}
		case row.Doubt.Reason != ReasonUninstalled: // of two words the graver one stays
			row.Doubt = said
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("handle removal: %w", err)
	}
	in.log.InfoContext(ctx, "removal handled", "connection", c.ID, "key", c.Key.String(), "reason", said.Reason, "confirmed", gone.String(), "state", string(c.State))
	return nil
}

type verdict int

const (
	unclear verdict = iota
	yes
	no
)

func (v verdict) String() string { return [...]string{"unclear", "yes", "no"}[v] }

// isGone asks Slack about the token we hold.
func (in *Installer) isGone(ctx context.Context, c Connection, said Removal) verdict {
	// event_time has whole seconds: a word of the same second may be about this install.
	about := yes
	if said.At.Before(c.RenewedAt.Truncate(time.Second)) {
		about = no // it is about an older one
	}
	if c.Token == "" {
		return about
	}
	_, err := in.identify(ctx, c.Token)
	if err == nil {
		return no
	}
	switch SlackError(err) {
	case ReasonAccountInactive, ReasonTokenRevoked:
		return yes
	case ReasonTokenExpired, ReasonInvalidAuth:
		return about // it says nothing of the app: the token ran out, or our address isn't allowed
	}
	in.log.InfoContext(ctx, "confirm removal", "connection", c.ID, "slack_error", SlackError(err), "cause", Cause(err))
	return unclear
}

// recheckRemovals asks again about the removals that Slack left open.
func (in *Installer) recheckRemovals(ctx context.Context) error {
	doubted, err := in.store.Doubted(ctx)
	if err != nil {
		return err
	}
	for _, c := range doubted {
		err = errors.Join(err, in.RemovalSaid(ctx, c.Key, c.Doubt))
	}
	return err
}

const (
	recheckEvery = time.Minute
	sweepEvery   = time.Hour
	// How long the record of an install attempt is kept, and of one that never came back from Slack: anybody can start one.
	attemptsKept  = 90 * 24 * time.Hour
	abandonedKept = 7 * 24 * time.Hour
)

// Run asks again about removals that were left open, and sweeps old install attempts, until ctx ends.
func (in *Installer) Run(ctx context.Context) error {
	recheck, sweep := time.NewTicker(recheckEvery), time.NewTicker(sweepEvery)
	defer recheck.Stop()
	defer sweep.Stop()
	quietly := func(doing string, err error) {
		if err != nil && ctx.Err() == nil {
			in.log.WarnContext(ctx, doing, "cause", err)
		}
	}
	sweepNow := func() {
		now := in.now()
		n, err := in.store.SweepAttempts(ctx, now.Add(-attemptsKept), now.Add(-abandonedKept))
		quietly("sweep install attempts", err)
		if n > 0 {
			in.log.InfoContext(ctx, "swept install attempts", "count", n)
		}
	}
	quietly("recheck removals", in.recheckRemovals(ctx))
	sweepNow()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-recheck.C:
			quietly("recheck removals", in.recheckRemovals(ctx))
		case <-sweep.C:
			sweepNow()
		}
	}
}

// refAlphabet has no letters that sound or look alike, so that a reference survives a telephone call.
const refAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// NewRef returns a short reference for a person to quote and an operator to search for. 32^7 of them make two the same in
// a log unlikely; nothing depends on it.
func NewRef() string {
	b := make([]byte, 7)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = refAlphabet[int(b[i])%len(refAlphabet)]
	}
	return string(b)
}

// Loopback reports whether host (with or without a port) is this machine.
func Loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
