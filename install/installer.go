package install

// The Installer puts the rooms below together, and is what a program asks.

import (
	"context"
	"net/http"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// What a program gives and is given most is of packages oauth and watch, and goes by these names, too.
type (
	// App is how the app presents itself on the pages.
	App = oauth.App
	// Commands are what people can type in Slack about the connection.
	Commands = oauth.Commands
	// Picture is an answer of the app, as the landing page shows it.
	Picture = oauth.Picture
	// Health is the answer to "is it working?", ready to be shown.
	Health = watch.Health
	// Messages writes to people about their connection, in the app's own words.
	Messages = watch.Messages
	// Installation is what another program's records say of one install of the app.
	Installation = oauth.Installation
	// Tokens are one token of an Installation, and what the next one is bought with.
	Tokens = oauth.Tokens
	// ImportRequest is what to take over from another program.
	ImportRequest = oauth.ImportRequest
	// ImportResult is what became of one installation.
	ImportResult = oauth.ImportResult
	// MissingScopes is what somebody asked for where permissions for it are missing.
	MissingScopes = watch.MissingScopes
)

// RecheckEvery is how often people may have Slack asked about one connection.
const RecheckEvery = watch.RecheckEvery

// Store keeps connections and install attempts. Its methods may be called from any number of goroutines and processes
// at once; each blocks until the database answered or ctx ended. Errors other than those named are the database's
// trouble. What each room needs of it stands there.
type Store interface {
	tokens.Store
	watch.Store
	oauth.Store

	// History returns the newest lines of a connection, newest first, at most n.
	History(ctx context.Context, connectionID string, n int) ([]connection.Change, error)
	CountStore
}

// CountStore is what the numbers for operators need of the database.
type CountStore interface {
	// Count returns how many connections there are, of all apps.
	Count(ctx context.Context) (connection.Counts, error)
}

// Clock is a Store that knows what time it is: the database's time, the one source for what is stored and for what is
// compared with it, on which replicas agree whatever their machines' clocks say. It asks nobody.
type Clock interface{ Now() time.Time }

// Installer connects workspaces and answers for their connections. Make one with New. It may be used from any number of
// goroutines.
type Installer struct {
	cfg    Config
	slack  *slackapi.API
	links  *links.Links
	tokens *tokens.Keeper
	watch  *watch.Watch
	flow   *oauth.Flow
	mode   watch.Mode
}

// New checks cfg and returns an Installer. It starts nothing.
func New(cfg Config) (*Installer, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	in := &Installer{
		cfg:   cfg,
		links: &links.Links{PublicURL: cfg.PublicURL, Keys: cfg.SigningKeys, ClientSecret: cfg.ClientSecret, Now: cfg.Now},
		mode:  watch.ByConsent{AppID: cfg.AppID},
	}
	if cfg.BotToken != "" {
		in.mode = &watch.ByToken{}
	}
	numbers := newMetrics(cfg.Store, cfg.Log, cfg.Metrics)
	spans := spans.New(cfg.Traces)
	in.slack = &slackapi.API{Address: cfg.SlackURL, HTTP: slackapi.Counting(traced(cfg.HTTP, spans), numbers.called),
		Now: cfg.Now, Met: numbers.limited}
	in.tokens = tokens.New(tokens.Config{
		ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, AppID: cfg.AppID, MoveToRotation: cfg.MoveToRotation,
		Renews: in.mode.Renews, Consents: in.bring,
		Store: cfg.Store, Slack: in.slack, Log: cfg.Log, Now: cfg.Now, Observer: numbers, Spans: spans,
	})
	in.watch = watch.New(watch.Config{
		ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, AppID: cfg.AppID, Scopes: cfg.Scopes, Keep: cfg.Keep,
		Mode: in.mode, Messages: cfg.Messages, Words: cfg.App.Words, SweepAttempts: in.sweepAttempts,
		Store: cfg.Store, Slack: in.slack, Links: in.links, Tokens: in.tokens, Log: cfg.Log, Now: cfg.Now, Observer: numbers,
	})
	in.flow = oauth.New(oauth.Config{
		App: cfg.App, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret, AppID: cfg.AppID,
		Scopes: cfg.Scopes, UserScopes: cfg.UserScopes, Closed: cfg.Closed, Admit: cfg.Admit,
		Mode: in.mode, Messages: cfg.Messages, Ended: numbers.ended, Watch: in.watch,
		Store: cfg.Store, Slack: in.slack, Links: in.links, Tokens: in.tokens, Log: cfg.Log, Now: cfg.Now,
		Spans: spans,
	})
	return in, nil
}

// traced is client with a span for each call.
func traced(client *http.Client, spans spans.Tracer) *http.Client {
	if !spans.On() {
		return client
	}
	own := *client
	if own.Transport == nil {
		own.Transport = http.DefaultTransport
	}
	own.Transport = spans.Calls(own.Transport, slackapi.CodeOf)
	return &own
}

// bring and sweepAttempts are the flow's, which is made last.
func (in *Installer) bring(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	return in.flow.Bring(ctx, p)
}

func (in *Installer) sweepAttempts(ctx context.Context) (int64, error) { return in.flow.Sweep(ctx) }

// Handler serves the landing page, the start, the callback and the undo. Every answer is a whole page (or JSON, for
// those who ask for it), is never cached, and comes within some seconds.
func (in *Installer) Handler() http.Handler { return in.flow.Handler() }

// Import takes over what another program kept of this app's installations. What Slack does not take is left out, and so
// is what is older than what is here. It can be called any number of times, and while Run runs. What is renewed is due
// right away, because the other program must not renew it any longer. It returns what became of each. An error says
// that ctx ended before all of them had been looked at. It blocks for one or two calls to Slack for each.
func (in *Installer) Import(ctx context.Context, r ImportRequest) ([]ImportResult, error) {
	return in.flow.Import(ctx, r)
}

// Open returns a connection whose token can be used now, by the look-up rules of Store.Lookup: in a request or outside
// of one. Where the access of a workspace is gone and k names its organisation, the organisation's takes its place. It
// blocks for the store alone, unless the token has run out: then it is renewed, by one caller of all, and awaited until
// ctx ends. ErrNotConnected, ErrRenewing when that took too long or failed, or the store's trouble.
func (in *Installer) Open(ctx context.Context, k connection.Key) (connection.Connection, error) {
	return in.watch.Connections.Open(ctx, k)
}

// OpenUser returns the token of one person on the connection for k (found as Open finds it), good to be used now.
// ErrNotConnected when there is none; else as Open.
func (in *Installer) OpenUser(ctx context.Context, k connection.Key, userID string) (connection.UserToken, error) {
	return in.watch.Connections.OpenUser(ctx, k, userID)
}

// Check asks Slack whether the connection for k works, keeps what was learned, and returns the state. It never fails:
// what could not be found out is in the answer. It blocks for four calls to Slack at most, nearly always for one.
func (in *Installer) Check(ctx context.Context, k connection.Key) Health {
	return in.watch.Connections.Check(ctx, k)
}

// Assess returns the state from our records alone: from what a look-up, Open's or the store's, returned.
func (in *Installer) Assess(c connection.Connection, err error) Health {
	return in.watch.Connections.Assess(c, err)
}

// Client returns a Web API client with c's token, which keeps to Slack's limits. What Slack answers also says how the
// connection is, and is kept. It is cheap: make one for each piece of work.
func (in *Installer) Client(c connection.Connection) *slack.Client {
	return in.watch.Connections.Client(c)
}

// Grant is the page where c is reconnected or allowed more, for one person; see links.Links. "" in single-workspace
// mode, where nobody can be asked for consent.
func (in *Installer) Grant(c connection.Connection, w links.GrantRequest) string {
	return in.watch.Connections.GrantPage(c, w)
}

// Connections returns what opens and checks connections, for what is special about organisations and people's tokens.
func (in *Installer) Connections() *watch.Connections { return in.watch.Connections }

// Lifecycle returns what follows Slack's events about connections.
func (in *Installer) Lifecycle() *watch.Lifecycle { return in.watch.Lifecycle }

// Leaving returns what ends connections.
func (in *Installer) Leaving() *watch.Leaving { return in.watch.Leaving }

// Notices returns what writes to the one person who can do something about a connection.
func (in *Installer) Notices() *watch.Notices { return in.watch.Notices }

// Run looks after the connections until ctx ends: it stores what the journal holds, renews tokens ahead of their end,
// checks connections now and then, tells people of trouble, asks again about removals that were left open, and sweeps
// old records. Any number of processes may run it on one database. Renewals under way are finished before it returns.
func (in *Installer) Run(ctx context.Context) error { return in.watch.Run(ctx) }

// Finish waits, for a while, for renewals under way and other work in the background, and then stores what the journal
// still holds, if it can. Run does it at its end; whoever uses an Installer without Run calls it before the store is
// closed. It returns how many entries are left in the journal.
func (in *Installer) Finish() (left int) { return in.watch.Finish() }

// History returns the newest lines of a connection's history, newest first, at most n.
func (in *Installer) History(ctx context.Context, c connection.Connection, n int) ([]connection.Change, error) {
	return in.cfg.Store.History(ctx, c.ID, n)
}

// App returns how the app presents itself. Its DataKept says for how long, too.
func (in *Installer) App() App { return in.cfg.App }

// KeptFor says in words how long a removed connection's facts and history are kept, and what of a workspace's messages
// could not be handled: "90 days".
func (in *Installer) KeptFor() string { return days(in.cfg.App.Words, in.cfg.Keep) }

// Now is the time of everything that is stored or compared with what is: the database's, as this process knows it.
func (in *Installer) Now() time.Time { return in.cfg.Now() }

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

// PictureWelcome is a picture of the message that m would greet the person with who made c. Slack isn't asked and gets
// nothing, so m must do nothing else than to write.
func PictureWelcome(ctx context.Context, m Messages, c connection.Connection) (Picture, error) {
	return oauth.PictureWelcome(ctx, m, c)
}

// NewRef returns a short reference for a person to quote and an operator to search for.
func NewRef() string { return links.NewRef() }
