package install

// The Installer ties the store, Slack's OAuth and the pages together; everything else in this package hangs off it.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
)

// DefaultKeep is how long what is over is kept unless somebody chose otherwise: removed connections and their history, and dead
// letters of an inbox.
const DefaultKeep = 90 * 24 * time.Hour

// Config is what an Installer needs to know. It is not changed after New.
type Config struct {
	App          App
	ClientID     string
	ClientSecret connection.Secret
	AppID        string            // when set, an install of another app is refused
	SlackURL     string            // "" = https://slack.com
	PublicURL    string            // what browsers see, without a path; decides the redirect URI and the cookie. Required, unless BotToken is set
	BotToken     connection.Secret // set: one workspace, no OAuth
	// SigningKeys sign what leaves for a browser and comes back: states of installs, links, undo. The first signs, any verifies, and all
	// replicas need the same; package storage derives them from its keys. None: ClientSecret signs.
	SigningKeys []connection.Secret
	Scopes      []connection.Scope // all that the app can use; asked for, and compared with what was granted
	Closed      bool               // workspaces that are not connected may not connect, but for those in Admit
	Admit       []string           // ids of workspaces (T…) and organisations (E…)
	UserScopes  []connection.Scope // what it asks of each person who installs, to act for them; usually none
	Store       Store              // required
	// MoveToRotation exchanges long-lived bot tokens for rotating ones as they are found. The app's settings at Slack must
	// have token rotation on, and that can't be turned off again.
	MoveToRotation bool
	// Keep is how long a removed connection's facts and history are kept, and the lines about routine renewals. 0: DefaultKeep.
	Keep    time.Duration
	Metrics prometheus.Registerer // nil: numbers are kept and not shown
	HTTP    *http.Client
	Log     *slog.Logger
	Now     func() time.Time // nil: the Store's, if it is a Clock, else time.Now
	// Messages writes to people about their connection. nil: nobody is written to.
	Messages Messages
}

// Installer connects workspaces and answers for their connections. Make one with New. It may be used from any number of
// goroutines.
type Installer struct {
	cfg    Config
	store  Store
	slack  *slackapi.API
	links  *links.Links
	tokens *tokens.Keeper
	flow   *flow
	mode   mode
	log    *slog.Logger
	now    func() time.Time

	metrics       *metrics
	tasks         sync.WaitGroup // renewals under way, and what calls said
	mu            sync.Mutex
	lastReported  map[connection.Key]time.Time // connections that need a person → since when, in the log line that said so
	lastWitnessed map[string]time.Time         // what calls said → when that was last written down

	teams map[string]workspaces // connection ids of organisations → what Slack said of their workspaces
}

// New checks cfg and returns an Installer. It starts nothing.
func New(cfg Config) (*Installer, error) {
	if cfg.PublicURL != "" || cfg.BotToken == "" {
		public, err := url.Parse(cfg.PublicURL)
		if err != nil || public.Host == "" || public.Path != "" && public.Path != "/" {
			return nil, fmt.Errorf("public URL %q is not an address without a path", cfg.PublicURL)
		}
		cfg.PublicURL = public.Scheme + "://" + public.Host
	}
	if cfg.SlackURL == "" {
		cfg.SlackURL = "https://slack.com"
	}
	cfg.SlackURL = strings.TrimRight(cfg.SlackURL, "/")
	if cfg.Store == nil {
		return nil, errors.New("no store")
	}
	in := &Installer{cfg: cfg, store: cfg.Store, log: cfg.Log, now: cfg.Now,
		lastReported: map[connection.Key]time.Time{}, lastWitnessed: map[string]time.Time{}, teams: map[string]workspaces{}}
	if in.log == nil {
		in.log = slog.New(slog.DiscardHandler)
	}
	if in.now == nil {
		in.now = time.Now
		if c, ok := cfg.Store.(Clock); ok {
			in.now = c.Now
		}
	}
	if in.cfg.Keep <= 0 {
		in.cfg.Keep = DefaultKeep
	}
	in.cfg.App.DataKept = strings.TrimSpace(in.cfg.App.DataKept + " " + keptFor(in.cfg.Keep))
	if len(in.cfg.SigningKeys) == 0 && cfg.ClientSecret != "" {
		in.cfg.SigningKeys = []connection.Secret{cfg.ClientSecret}
	}
	if cfg.Messages != nil {
		in.cfg.Messages = guarded{cfg.Messages, in.log}
	}
	in.links = &links.Links{PublicURL: cfg.PublicURL, Keys: in.cfg.SigningKeys, ClientSecret: cfg.ClientSecret, Now: in.now}
	in.mode = byConsent{appID: cfg.AppID}
	if cfg.BotToken != "" {
		in.mode = &byToken{}
	}
	in.metrics = newMetrics(in, cfg.Metrics)
	in.slack = &slackapi.API{Address: cfg.SlackURL, HTTP: cfg.HTTP, Now: in.now, Met: in.metrics.limited}
	if in.slack.HTTP == nil {
		in.slack.HTTP = slackapi.NewHTTPClient()
	}
	in.tokens = tokens.New(tokens.Config{
		ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, AppID: cfg.AppID, MoveToRotation: cfg.MoveToRotation,
		Renews: in.mode.renews, Consents: in.bring,
		Store: in.store, Slack: in.slack, Log: in.log, Now: in.now, Observer: in.metrics,
	})
	in.flow = newFlow(flowConfig{
		App: in.cfg.App, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, AppID: cfg.AppID,
		Scopes: cfg.Scopes, UserScopes: cfg.UserScopes, Closed: cfg.Closed, Admit: cfg.Admit,
		ByConsent: in.mode.consents(), Renews: in.mode.renews, Messages: in.cfg.Messages, Ended: in.metrics.ended,
		Store: in.store, Slack: in.slack, Links: in.links, Tokens: in.tokens, Watch: in, Log: in.log, Now: in.now,
	})
	return in, nil
}

// bring stores what waits in the journal of a consent. It is tokens.Config.Consents, which is needed before there is a flow.
func (in *Installer) bring(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	return in.flow.Bring(ctx, p)
}

// Handler serves the landing page, the start, the callback and the undo. Every answer is a whole page (or JSON, for those who ask
// for it), is never cached, and comes within some seconds.
func (in *Installer) Handler() http.Handler { return in.flow.Handler() }

// Open returns a connection whose token can be used now, by the look-up rules of Store.Lookup: in a request or outside of one. Where
// the access of a workspace is gone and k names its organisation, the organisation's takes its place.
// It blocks for the store alone, unless the token has run out: then it is renewed, by one caller of all, and awaited until
// ctx ends. ErrNotConnected, ErrRenewing when that took too long or failed, or the store's trouble.
func (in *Installer) Open(ctx context.Context, k connection.Key) (connection.Connection, error) {
	c, err := in.lookup(ctx, k)
	if err != nil {
		return c, err
	}
	if c.Token == "" {
		return c, connection.ErrNotConnected
	}
	return in.tokens.Good(ctx, c)
}

// lookup returns the connection that may be used for k, if there is one, whatever its token is like.
func (in *Installer) lookup(ctx context.Context, k connection.Key) (connection.Connection, error) {
	c, err := in.store.Lookup(ctx, k)
	if err == nil {
		if org, ok := in.superseded(ctx, c, k.EnterpriseID); ok {
			return org, nil
		}
		in.maybeMoved(c, k)
	}
	switch {
	case errors.Is(err, connection.ErrNotFound):
		return connection.Connection{}, connection.ErrNotConnected
	case err != nil:
		return connection.Connection{}, fmt.Errorf("open connection: %w", err)
	case c.State == connection.Removed || c.State == connection.Paused:
		return c, connection.ErrNotConnected
	case !in.mode.opens(c.Key):
		return connection.Connection{}, connection.ErrNotConnected
	}
	return c, nil
}

// History returns the newest lines of a connection's history, newest first, at most n.
func (in *Installer) History(ctx context.Context, c connection.Connection, n int) ([]connection.Change, error) {
	return in.store.History(ctx, c.ID, n)
}

// App returns how the app presents itself. Its DataKept says for how long, too.
func (in *Installer) App() App { return in.cfg.App }

// KeptFor says in words how long a removed connection's facts and history are kept, and what of a workspace's messages could
// not be handled: "90 days".
func (in *Installer) KeptFor() string { return days(in.cfg.Keep) }

func days(d time.Duration) string {
	const day = 24 * time.Hour
	if n := (d + day - 1) / day; n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}

// keptFor is what this library keeps of a workspace besides its connection, and for how long it keeps all of it.
func keptFor(keep time.Duration) string {
	return fmt.Sprintf("What people send to the app is kept, encrypted, until it is handled; what couldn't be handled, for up to "+
		"%[1]s. When the app is removed, its access and these messages are erased immediately, everything else after %[1]s.", days(keep))
}

// Now is the time of everything that is stored or compared with what is: the database's, as this process knows it.
func (in *Installer) Now() time.Time { return in.now() }

// Tokens returns what keeps the tokens good.
func (in *Installer) Tokens() *tokens.Keeper { return in.tokens }

// Links returns what makes and checks links.
func (in *Installer) Links() *links.Links { return in.links }

// Slack returns what calls Slack for this app.
func (in *Installer) Slack() *slackapi.API { return in.slack }

// Scopes returns the catalogue of the app's permissions.
func (in *Installer) Scopes() []connection.Scope { return in.cfg.Scopes }

// UserScopes returns the catalogue of what people let the app do for them.
func (in *Installer) UserScopes() []connection.Scope { return in.cfg.UserScopes }

// SawEvent keeps when Slack last sent an event for c. Callers limit how often.
func (in *Installer) SawEvent(ctx context.Context, k connection.Key, at time.Time) error {
	_, err := in.store.Update(ctx, k, func(c *connection.Connection) error {
		if at.After(c.LastEventAt) || c.LastEventAt.Sub(at) > connection.ClockSlack { // later than now: by a clock that was wrong
			c.LastEventAt = at
		}
		return nil
	})
	return err
}

// heldLasts is for how long a minute in which Slack held back events says something of now. Slack tells of each such minute.
const heldLasts = 3 * time.Minute

// HandleRateLimited handles Slack's word (app_rate_limited) that in the minute that begins at a time it held back events of k's workspace,
// because there were too many within an hour. Status shows it. It is stored once for each minute; an unknown workspace is fine, and
// so is one that has no connection of its own: that of an organisation has no such minutes.
// https://docs.slack.dev/reference/events/app_rate_limited
func (in *Installer) HandleRateLimited(ctx context.Context, k connection.Key, minute time.Time) error {
	now := in.now()
	if minute.Unix() <= 0 || minute.After(now) {
		minute = now.Truncate(time.Minute) // it is Slack's clock, or none
	}
	known := func(c connection.Connection) bool {
		return !minute.After(c.EventsHeldAt) && c.EventsHeldAt.Sub(now) <= connection.ClockSlack
	}
	c, err := in.store.Lookup(ctx, k)
	if err == nil && c.TeamID == k.TeamID && !known(c) {
		_, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
			if known(*row) {
				return nil
			}
			if !connection.Recent(row.EventsHeldAt, minute, heldLasts) {
				row.EventsHeldSince = minute
			}
			row.EventsHeldAt = minute
			return nil
		})
	}
	if err != nil && !errors.Is(err, connection.ErrNotFound) {
		return fmt.Errorf("keep that events are held back: %w", err)
	}
	return nil
}

// HandleRemoval handles Slack's word that the connection of exactly k is gone. The word may come late, twice, and after a
// re-install, so the token we hold is asked first. What Slack's answer leaves open is written down and asked again by Run;
// only the store's own trouble is an error. An unknown or removed connection is fine.
func (in *Installer) HandleRemoval(ctx context.Context, k connection.Key, said connection.Removal) error {
	c, err := in.store.Lookup(ctx, k)
	if errors.Is(err, connection.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("handle removal: %w", err)
	}
	if c.State == connection.Removed || c.TeamID != k.TeamID {
		// An organisation's row is not removed because one of its workspaces left.
		return nil
	}
	if fresh, err := in.tokens.Good(ctx, c); err == nil {
		c = fresh // a token that ran out could not tell
	}
	gone := in.isGone(ctx, c.TokenPair, c.AuthorizedAt, said.At)
	asked, consent := c.Token, c.AuthorizedAt
	c, err = in.store.Update(ctx, c.Key, func(row *connection.Connection) error {
		if gone != connection.VerdictNo && row.Token != asked && row.Token != "" {
			gone = connection.VerdictUnclear // renewed meanwhile: what Slack said is about the token before
		}
		switch {
		case row.State == connection.Removed || !row.AuthorizedAt.Equal(consent):
			// The other of the two events was first, or a re-install came in between.
			row.PendingRemoval = connection.Removal{}
		case gone == connection.VerdictYes:
			state, reason := row.State, row.Reason
			end := connection.Removed
			if said.Reason == connection.ReasonTokenRevoked {
				end = connection.ReconnectRequired // if the app went with it, Slack says so in a second event
			}
			row.Erase(end, said.Reason, in.now())
			if row.State != state || row.Reason != reason {
				row.Note(connection.Change{At: in.now(), By: connection.Actor{Kind: connection.BySlack}, What: connection.DidRemove, Outcome: connection.OutcomeDone, Reason: said.Reason})
			}
		case gone == connection.VerdictNo:
			row.PendingRemoval = connection.Removal{}
		case row.PendingRemoval.Reason != connection.ReasonUninstalled: // of two words the graver one stays
			row.PendingRemoval = said
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("handle removal: %w", err)
	}
	if c.Token == "" {
		in.tokens.Reconciler.ForgetErased(ctx, c.Key)
	}
	in.log.InfoContext(ctx, "removal handled", "connection", c.ID, "key", c.Key.String(), "reason", said.Reason, "confirmed", gone.String(), "state", string(c.State))
	return nil
}

// isGone asks Slack about the token of a token pair that a consent of a time began, and that Slack said at another time was gone.
func (in *Installer) isGone(ctx context.Context, c connection.TokenPair, consent, said time.Time) connection.Verdict {
	// event_time has whole seconds: a word of the same second may be about this consent.
	about := connection.VerdictYes
	if said.Before(consent.Truncate(time.Second)) && consent.Sub(in.now()) <= connection.ClockSlack {
		about = connection.VerdictNo // it is about an older one, unless that one is of a clock that was wrong
	}
	if c.Token == "" {
		return about
	}
	_, err := in.slack.Identify(ctx, c.Token)
	if err == nil {
		return connection.VerdictNo
	}
	switch code := slackapi.SlackError(err); {
	case code == connection.ReasonAccountInactive, code == connection.ReasonTokenRevoked:
		return connection.VerdictYes
	case code == connection.ReasonTokenExpired && c.RefreshToken != "" && !c.Dead():
		return connection.VerdictUnclear // the next one will tell
	case code == connection.ReasonTokenExpired, code == connection.ReasonInvalidAuth:
		return about // it says nothing of the app: the token ran out, or our address isn't allowed
	}
	in.log.InfoContext(ctx, "confirm removal", "slack_error", slackapi.SlackError(err), "cause", slackapi.Cause(err))
	return connection.VerdictUnclear
}

// recheckRemovals asks again about the removals that Slack left open.
func (in *Installer) recheckRemovals(ctx context.Context) error {
	doubted, err := in.store.PendingRemovals(ctx)
	if err != nil {
		return err
	}
	for _, c := range doubted {
		if !in.mode.serves(c.Key) {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, oneBudget)
		err = errors.Join(err, in.HandleRemoval(asking, c.Key, c.PendingRemoval))
		cancel()
	}
	return err
}

const (
	// How long the background work may take for one connection.
	oneBudget    = 30 * time.Second
	renewEvery   = time.Second
	tellEvery    = 5 * time.Second
	recheckEvery = time.Minute
	sweepEvery   = time.Hour
)

// Run looks after the connections until ctx ends: it stores what the journal holds, renews tokens ahead of their end, checks
// connections now and then, tells people of trouble, asks again about removals that were left open, and sweeps old records.
// Any number of processes may run it on one database. Renewals under way are finished before it returns.
func (in *Installer) Run(ctx context.Context) error {
	var group errgroup.Group
	// every calls do now and then every d, and logs what goes wrong; a failure that lasts is logged when it begins to.
	every := func(d time.Duration, doing string, do func(context.Context) error) {
		group.Go(func() error {
			tick := time.NewTicker(d)
			defer tick.Stop()
			last := ""
			for {
				err := do(ctx)
				switch {
				case ctx.Err() != nil:
					return nil
				case err == nil:
					last = ""
				case err.Error() != last:
					last = err.Error()
					in.log.WarnContext(ctx, doing, "cause", err)
				}
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
			}
		})
	}
	if in.mode.consents() { // else there is nothing to renew with
		every(renewEvery, "renew", func(ctx context.Context) error {
			_, err := in.tokens.RenewDue(ctx)
			return err
		})
	}
	// Beside it, since that goes on for as long as anything is due, and a refusal is believed after half a minute.
	every(renewEvery, "journal to store", func(ctx context.Context) error {
		_, err := in.tokens.Reconciler.Replay(ctx)
		return errors.Join(err, in.tokens.Reconciler.OfferRefused(ctx))
	})
	every(tokens.WatchEvery, "journal", in.tokens.Journal.Ready)
	every(tokens.EraseEvery, "erase from the journal", in.tokens.Reconciler.CompareErased)
	every(sweepEvery, "compare the journal", in.tokens.Reconciler.CompareAll)
	every(checkTick, "check connections", in.checkDue)
	every(tellEvery, "tell people", in.tellAll)
	every(recheckEvery, "recheck removals", in.recheckRemovals)
	every(sweepEvery, "sweep", in.sweep)
	_ = group.Wait()
	in.Finish()
	return nil
}

// Finish waits, for a while, for renewals under way and other work in the background, and then stores what the journal still
// holds, if it can. Run does it at its end; whoever uses an Installer without Run calls it before the store is closed. It
// returns how many entries are left in the journal.
func (in *Installer) Finish() (left int) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		in.tasks.Wait()
		in.tokens.Wait()
	}()
	select {
	case <-finished:
	case <-time.After(tokens.StopBudget):
		in.log.Warn("stopped while a renewal was under way")
	}
	left, err := in.tokens.Finish()
	if left > 0 {
		in.log.Warn("new tokens wait in the journal for the next start", "entries", left, "cause", err)
	}
	return left
}

// sweep deletes what is kept no longer.
func (in *Installer) sweep(ctx context.Context) error {
	attempts, err := in.flow.Sweep(ctx)
	removed, sweepErr := in.store.Sweep(ctx, in.now().Add(-in.cfg.Keep))
	if attempts+removed > 0 {
		in.log.InfoContext(ctx, "swept", "install_attempts", attempts, "removed_connections", removed)
	}
	return errors.Join(err, sweepErr)
}

// NewRef returns a short reference for a person to quote and an operator to search for.
func NewRef() string { return links.NewRef() }
