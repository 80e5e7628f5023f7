package oauth

// The OAuth flow: a start page that sends the browser to Slack, and the callback that Slack sends it back to.
// https://docs.slack.dev/authentication/installing-with-oauth

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/internal/spans"
)

const (
	// A person waits: the start page gives up on the store after this, the callback on everything after the other.
	startBudget  = 2 * time.Second
	extrasBudget = 3 * time.Second // names, icon and welcome message, none of which the install needs
	storeBudget  = 8 * time.Second
	recordBudget = 3 * time.Second

	// How long the record of an install attempt is kept, and of one in which Slack named nobody: anybody can make those,
	// with a code of their own invention.
	attemptsKept = 90 * 24 * time.Hour
	namelessKept = 7 * 24 * time.Hour
)

// Store is what a Flow needs of the database. The methods that tokens.Store and watch.Store have too are as there.
type Store interface {
	AttemptStore
	tokens.PairStore

	// Put makes c the connection of c.Key, in one statement or transaction that is right under any concurrency: one row,
	// one id. A new row gets an id, CreatedAt = c.InstalledAt and Installs = 1; an existing row becomes what its Consent
	// method says. It returns the row as it now is, and as it was before (nil: there was none).
	Put(ctx context.Context, c connection.Connection) (now connection.Connection, before *connection.Connection, err error)
	// Add is Put for a key without a row, which gets c's ID if there is one: it had a row that was lost.
	// connection.ErrExists, and nothing changed, when there is one. A refresh token without a time for its renewal gets
	// one.
	Add(ctx context.Context, c connection.Connection) (connection.Connection, error)
	// AddUser makes u the token of u.TokenOwner, on the connection of exactly u.Key. connection.ErrExists when there is
	// one already; connection.ErrNotFound when there is no such connection, or it is removed.
	AddUser(ctx context.Context, u connection.UserToken) error
	EraseUser(ctx context.Context, u connection.UserToken, line connection.Change) (bool, error)

	Take(ctx context.Context, b slackapi.Budget, n int, now time.Time) (bool, error)
	// Refill makes b full again, as if nobody had spent of it.
	Refill(ctx context.Context, b slackapi.Budget) error
	// Available reports whether Take would give one call now, and takes none.
	Available(ctx context.Context, b slackapi.Budget, now time.Time) (bool, error)
	// Mark returns a place in the order of what is stored: every consent that was stored by now comes before it
	// (Connection.Asked).
	Mark(ctx context.Context) (connection.Mark, error)

	// Ready reports whether the database answers and has the schema this program needs.
	Ready(ctx context.Context) error
	// CheckAnyKey looks for one secret that the keys at hand can open. connection.ErrWrongKeys
	// when there are secrets and no such one.
	CheckAnyKey(ctx context.Context) error
}

// Config is what a Flow works with. All of it is required, but for what says otherwise. It is not changed afterwards.
type Config struct {
	App          App
	ClientID     string
	ClientSecret connection.Secret
	AppID        string             // when set, an install of another app is refused
	Scopes       []connection.Scope // asked for, and compared with what was granted
	UserScopes   []connection.Scope // asked of each person who installs, to act for them; usually none
	Closed       bool               // workspaces that are not connected may not connect, but for those in Admit
	Admit        []string           // ids of workspaces (T…) and organisations (E…)
	Mode         watch.Mode
	Messages     watch.Messages // nil: nobody is written to
	// Ended is told of each page that a person was shown, by outcome ("" where it ends nothing) and reason: see Endings.
	Ended func(o Outcome, reason string)

	Store  Store
	Slack  *slackapi.API
	Links  *links.Links
	Tokens *tokens.Keeper
	Watch  *watch.Watch
	Log    *slog.Logger
	Now    func() time.Time
	Spans  spans.Tracer // of installs; the zero value: nobody collects them
}

// Flow takes a browser from our start page to Slack and back. Make one with New. It may be used from any number of
// goroutines.
type Flow struct {
	cfg      *Config
	pages    *pages
	consents *consents
	exchange *exchange
	records  *records
	undo     *undo
	cookie   cookie

	// Patience is how long a reload waits for the first request, which may wait for Slack as long. It is not changed while
	// somebody waits.
	Patience time.Duration

	crowd   crowd
	strayed *rate.Limiter      // lines about installs that began at another address
	looks   singleflight.Group // see lookAtStore
}

// New returns a Flow. It starts nothing.
func New(cfg Config) *Flow {
	ours := cookie{secure: strings.HasPrefix(cfg.Links.PublicURL, "https://")}
	shown := &pages{Config: &cfg, secure: ours.secure, look: newLook(cfg.App)}
	kept := &consents{Config: &cfg, competing: competing{seen: map[connection.Secret]competingConsent{}}}
	return &Flow{
		cfg: &cfg, pages: shown, consents: kept, cookie: ours,
		exchange: &exchange{Config: &cfg, pages: shown, consents: kept},
		undo:     &undo{Config: &cfg, pages: shown, cookie: ours},
		records:  &records{Config: &cfg, free: rate.NewLimiter(rate.Every(freeEvery), freeBurst)},
		Patience: slackapi.CallTimeout,
		strayed:  rate.NewLimiter(rate.Every(time.Minute), 10),
	}
}

// Bring stores what the journal has of a consent that the store could not take when it was given. It is
// tokens.Config.Consents.
func (f *Flow) Bring(ctx context.Context, p connection.Grant) (stored connection.Grant, fate string, err error) {
	return f.consents.bring(ctx, p)
}

// Callers returns how many callers are remembered: those with something open, and those who brought false codes a
// moment ago.
func (f *Flow) Callers() int {
	f.crowd.mu.Lock()
	defer f.crowd.mu.Unlock()
	return len(f.crowd.callers)
}

// Sweep deletes the attempts that are kept no longer, and returns how many.
func (f *Flow) Sweep(ctx context.Context) (int64, error) {
	now := f.cfg.Now()
	return f.cfg.Store.SweepAttempts(ctx, now.Add(-attemptsKept), now.Add(-namelessKept))
}

// Handler serves the landing page, the start and the callback. Every answer is a whole page (or JSON, for those who ask
// for it), is never cached, and comes within the budgets above.
func (f *Flow) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", f.landing)
	mux.HandleFunc("GET /slack/install", f.start)
	mux.HandleFunc("GET /slack/oauth_redirect", f.callback)
	mux.HandleFunc("GET "+iconPath, f.pages.serveIcon)
	mux.HandleFunc("POST /slack/undo", f.undo.pressed)
	// A pattern for GET also takes HEAD, and a link checker must not use up somebody's state.
	for _, path := range []string{"/slack/install", "/slack/oauth_redirect"} {
		mux.HandleFunc("HEAD "+path, func(w http.ResponseWriter, _ *http.Request) {
			f.pages.guard(w)
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { f.pages.show(w, r, f.pages.of(outcomeNoPage, "")) })
	return mux
}

// cookie is the one that tells whether a browser is the one that began.
type cookie struct{ secure bool } // our address is https

// name is bound to the host by the browser when it begins with __Host-, which browsers accept over https only.
func (c cookie) name() string {
	if c.secure {
		return "__Host-switchboard-install"
	}
	return "switchboard-install"
}

// of returns the cookie of a browser, and the hash that it is known by; nil when it has none of ours.
func (c cookie) of(r *http.Request) (value string, hash []byte) {
	sent, err := r.Cookie(c.name())
	if err != nil {
		return "", nil
	}
	hash, _ = links.HashSecret(sent.Value)
	return sent.Value, hash
}

func (c cookie) set(w http.ResponseWriter, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: c.name(), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// redirect sends the browser on. Unlike http.Redirect it writes no body, which would repeat the state.
func (f *Flow) redirect(w http.ResponseWriter, address string) {
	f.pages.guard(w)
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusFound)
}

// redirectURI is sent at both ends of the flow, where Slack compares the two strings.
func redirectURI(l *links.Links) string { return l.PublicURL + "/slack/oauth_redirect" }
