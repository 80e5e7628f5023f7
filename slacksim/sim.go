package slacksim

// The Sim itself: its settings, its parts, how it starts and stops.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/slacksim/internal/manifest"
)

// App is what Slack knows about the one app of this simulator: what a manifest and the app's settings page would hold.
// docs.slack.dev/reference/app-manifest
type App struct {
	ID, Name, Description                 string
	Color                                 string // #rrggbb, of its icon; "": one that follows from the ID
	ClientID, ClientSecret, SigningSecret string

	// RedirectURLs are the allowed callback addresses: a redirect_uri must equal one or lie below it.
	RedirectURLs []string

	// EventsURL receives events. InteractivityURL and CommandsURL default to it when empty.
	EventsURL, InteractivityURL, CommandsURL string

	// EventsUnverified: Slack has not seen a challenge come back from the EventsURL yet, and sends no event there. So it is
	// when a manifest brings another EventsURL, until Sender.VerifyURL, which plays the press on Verify.
	EventsUnverified bool

	// NoInteractivity: presses, forms and shortcuts are sent nowhere.
	NoInteractivity bool

	// OptionsURL is where Slack asks for the options of menus that are filled from outside: message_menu_options_url in a
	// manifest. It has no default. In Socket Mode none is needed.
	OptionsURL string

	// InstallURL is where *Add to Slack* on the app page leads: the app's own start page, which redirects to the
	// consent page with a state of its own.
	InstallURL string

	// Commands are its slash commands. Anything else that begins with a slash is no valid command.
	Commands []Command

	// Shortcuts are what people find in the menu of a message, or beside the message box.
	Shortcuts []Shortcut

	// Functions are the steps that it offers to workflows.
	Functions []Function

	// UnfurlDomains are those whose links the app shows more of: hosts in lower case, with all below them.
	UnfurlDomains []string

	// Events are the subscribed bot events by their names in a manifest ("app_mention", "message.im", …). Others are
	// never delivered, and each is delivered only where its scope was granted.
	Events []string

	// Agent makes it an agent: what features.agent_view of the manifest says. It needs the MessagesTab. Start refuses one
	// that breaks Slack's limits, and one that SetApp makes such is no agent.
	Agent *AgentView

	// HomeTab and MessagesTab switch the two tabs of the app's conversation on. Without HomeTab views.publish answers
	// not_enabled, and without MessagesTab what posts in a direct message messages_tab_disabled.
	HomeTab, MessagesTab bool

	// TokenRotation makes tokens expire after TokenLife (default 12 h, Slack's figure) and come with refresh tokens.
	TokenRotation bool
	TokenLife     time.Duration

	// StrictRefresh lets a used refresh token die immediately. Without it the token lives on for RefreshGrace and can hand
	// out a second successor. Slack publishes no length. Here 0 means one minute.
	StrictRefresh bool
	RefreshGrace  time.Duration

	// NotDistributed allows installs into HomeTeam alone, the id of a workspace.
	NotDistributed bool
	HomeTeam       string

	// BotScopes and UserScopes are those that a manifest names. An install asks for those in its link, whatever these are.
	BotScopes, UserScopes []string

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

	// StreamsNeedRecipient selects the reading of field reports that chat.startStream wants its recipient in a DM, too.
	// By default only in channels, as documented.
	StreamsNeedRecipient bool

	// StreamsTrimChunks selects the reading of field reports that blanks at the beginning of a chunk are lost.
	StreamsTrimChunks bool

	// OutsidersNameTheirOwn selects the reading in which the payload of a press by a person of another company names that
	// person's own workspace as its team. By default it names the installing one, and only user.team_id tells.
	OutsidersNameTheirOwn bool

	// ResponseURLsInView selects the reading of Slack's sample, where the response_urls of a submission are in its view.
	// By default they stand beside it, as Slack's SDKs have them.
	ResponseURLsInView bool

	// ExtraOutputs selects the reading in which functions.completeSuccess takes outputs that the function doesn't declare.
	// By default they fail as parameter_validation_failed.
	ExtraOutputs bool

	// SocketMode sends everything through the app's WebSockets instead of HTTP. AppToken ("xapp-…") opens them. When
	// SetApp switches it off, those that are open end with link_disabled.
	SocketMode bool
	AppToken   string
	// SocketBooleans makes is_enterprise_install of a command a JSON boolean in Socket Mode. By default it is text, as
	// over HTTP. Both have been seen.
	SocketBooleans bool

	manifest manifest.Document // as last given to SetManifest; never written to
}

// Command is one slash command of the app. Its Name begins with a slash. With ShouldEscape mentions arrive as
// <@U…|name> and <#C…|name>. Without a URL it goes to App.CommandsURL.
type Command struct {
	Name, Description, UsageHint string
	ShouldEscape                 bool
	URL                          string
}

// Config is what New needs. Only App has to be set, and SetApp can do that later.
type Config struct {
	// App is the one app of this Slack.
	App App
	// Clock defaults to SystemClock{}. Token life, codes, trigger ids, response URLs, retries, signatures and message
	// times all go by it.
	Clock Clock
	// Log receives one line per call and delivery at debug level, and one per breach of a rule as a warning, without
	// secrets. Default: nothing is logged.
	Log *slog.Logger
	// Client makes deliveries. Default: one of its own. CheckRedirect is replaced, because Slack follows two redirects.
	Client *http.Client
	// AckTimeout is how long the app may take to acknowledge, in real time. Default 3 s, as in Slack.
	AckTimeout time.Duration
	// Pages makes what browsers get to see at every address that is not an app's: the chat of slacksim/web. Default:
	// nothing, for an app needs none of it.
	Pages func(*Sim) http.Handler
	// PingEvery is how often each WebSocket is pinged, in real time. Default 5 s.
	PingEvery time.Duration
}

// Sim is a small Slack with one app. Make one with New. All methods are safe for concurrent use.
//
// Its own methods are what tests use most: they fill the world, act as its people and read what the app did. What is
// needed less often is grouped by who does it.
//
// All parts share one lock: what happens in Slack is seen whole or not at all.
type Sim struct {
	// Directory looks up workspaces, people and channels.
	Directory *Directory
	// Admins remove the app, withdraw permissions and rearrange organisations.
	Admins *Admins
	// Sockets are the app's connections in Socket Mode.
	Sockets *Sockets
	// Sender delivers what nobody's action here causes.
	Sender *Sender
	// Workflows run the steps that the app offers.
	Workflows *Workflows
	// Links are drafts with links, and what the app shows for them.
	Links *Links
	// Forms act as people do in a browser. They are what slacksim/web is made with.
	Forms *Forms
	// People edit, delete and share, and other bots write among them.
	People *People
	// Files are what the app and people uploaded.
	Files *Files
	// Agents are people who talk to the app as an agent.
	Agents *Agents
	// Settings are Slack's pages for those who make apps.
	Settings *Settings

	*parts
	api     *api
	handler http.Handler
	server  *http.Server
}

// parts are what this Slack is made of. Each knows those it stands on, and none that stands on it. Whoever acts in
// this Slack, be it a person, an admin or the app with a call, has all of them.
type parts struct {
	*engine
	record    *record
	world     *world
	views     *views
	oauth     *oauth
	sockets   *Sockets
	outbox    *outbox
	events    *events
	hooks     *hooks
	files     *Files
	schedule  *schedule
	streams   *streams
	sessions  *sessions
	workflows *Workflows
	links     *Links
	settings  *Settings
}

// New makes a Sim with an empty world (see AddSmallWorld). It starts nothing.
func New(cfg Config) *Sim {
	e := newEngine(cfg)
	r := &record{engine: e}
	w := &world{engine: e, teamByID: map[string]*Workspace{}, userByID: map[string]*User{}, bots: map[string]*bot{},
		contexts: map[string][]Entity{}}
	v := &views{engine: e, world: w, homes: map[string]*View{}, stacks: map[string][]*View{}}
	o := &oauth{engine: e, record: r, world: w, views: v, installs: map[string]*installation{},
		tokens: map[string]*token{}, refreshes: map[string]*refresh{}, codes: map[string]*code{},
		webhooks: map[string]*webhook{}, migrating: map[string]bool{}}

	sockets := &Sockets{engine: e, record: r, pingEvery: cmp.Or(max(cfg.PingEvery, 0), pingEvery),
		tickets: map[string]time.Time{}, waits: map[string]*wait{}}
	out := newOutbox(cfg.Client, r, sockets)
	ev := &events{engine: e, world: w, oauth: o, outbox: out, record: r, contexts: map[string][]*installation{}}
	h := &hooks{engine: e, record: r, world: w, oauth: o, events: ev, byURL: map[string]*hook{},
		triggers: map[string]*trigger{}}

	files := &Files{engine: e, record: r, world: w, oauth: o, events: ev, uploads: map[string]*file{}}
	ses := &sessions{engine: e, world: w, events: ev, prompts: map[string]SuggestedPrompts{}}
	st := &streams{engine: e, world: w, events: ev, sessions: ses, byTS: map[string]*stream{}}
	sched := &schedule{engine: e, world: w, oauth: o, events: ev, record: r}
	p := &parts{engine: e, record: r, world: w, views: v, oauth: o, sockets: sockets, outbox: out, events: ev, hooks: h,
		files: files, schedule: sched, streams: st, sessions: ses,
		links:     &Links{engine: e, world: w, oauth: o, events: ev, shares: map[string]*share{}},
		workflows: &Workflows{engine: e, record: r, world: w, oauth: o, events: ev, hooks: h}}
	p.settings = &Settings{engine: e, record: r, world: w, oauth: o, sockets: sockets,
		tokens: map[string]*configToken{}, refreshes: map[string]*refresh{}}
	s := &Sim{parts: p, Settings: p.settings, Sockets: sockets, Directory: &Directory{p}, Admins: &Admins{p}, Sender: &Sender{p},
		People: &People{p}, Files: files, Workflows: p.workflows, Links: p.links}
	s.Agents = &Agents{parts: p, sim: s}
	s.Forms = &Forms{parts: p, sim: s, offers: map[offerKey][]Option{}}
	s.api = &api{parts: p, methods: methodsOf(p), given: map[string]Answerer{}, rates: newRates(e)}
	s.handler = newHandler(s, cfg.Pages)
	return s
}

// newHandler serves what is at each address. pages, if any, get those that no app calls.
func newHandler(s *Sim, pages func(*Sim) http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", s.api)
	mux.HandleFunc("/hooks/response/{team}/{id}/{secret}", s.hooks.serveResponseURL)
	mux.HandleFunc("/hooks/services/{team}/{id}/{secret}", s.hooks.serveWebhook)
	mux.HandleFunc("POST /upload/v1/{secret}", s.Files.serveUpload)
	mux.HandleFunc("GET /files-pri/{id}/{name}", s.Files.serveDownload)
	mux.HandleFunc("GET /link/", s.sockets.serve)
	mux.HandleFunc("GET /icon/{file}", s.world.icon)
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

// Handler serves everything: the Web API below /api/, the hooks, the sockets and, with Config.Pages, the chat.
func (s *Sim) Handler() http.Handler { return s.handler }

// Start listens on addr, which must be a loopback address such as "127.0.0.1:0", and serves in the background until
// Close. Afterwards URL returns the address.
func (s *Sim) Start(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("start slacksim: %w", err)
	}
	if a := s.App().Agent; a != nil {
		if err := a.check(); err != nil {
			return fmt.Errorf("start slacksim: %w", err)
		}
	}
	// Whoever reaches it can act as anyone in this Slack, so it stays on this machine.
	if !isLoopback(host) {
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

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// SetApp changes the app's settings. They hold from the next request on. fn must not call the Sim.
func (s *Sim) SetApp(fn func(*App)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets.settingsLocked(func() { fn(&s.app) })
}

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

	if s.outbox.transport != nil {
		s.outbox.transport.CloseIdleConnections()
	}
	return err
}

// URL is the address of this Slack, "http://127.0.0.1:port" without a slash at the end. It is empty before Start or
// SetURL.
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

// App returns a copy of the app's settings.
func (s *Sim) App() App {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app
	a.Commands, a.Events = slices.Clone(a.Commands), slices.Clone(a.Events)
	a.UnfurlDomains = slices.Clone(a.UnfurlDomains)
	a.Shortcuts, a.Functions = slices.Clone(a.Shortcuts), slices.Clone(a.Functions)
	if a.Agent != nil {
		v := *a.Agent
		v.Prompts, v.Actions = slices.Clone(v.Prompts), slices.Clone(v.Actions)
		a.Agent = &v
	}
	a.RedirectURLs, a.OptionalScopes = slices.Clone(a.RedirectURLs), slices.Clone(a.OptionalScopes)
	a.BotScopes, a.UserScopes = slices.Clone(a.BotScopes), slices.Clone(a.UserScopes)
	return a
}

// Now is the time by the Sim's clock.
func (s *Sim) Now() time.Time { return s.clock.Now() }

// Changed returns a channel that is closed upon the next call, delivery, message or other change.
func (s *Sim) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// WaitFor returns when ok reports true, looking again after every call, delivery, message or other change. It waits on
// a signal, not on time. ctx bounds it. ok may use the Sim and is called from this goroutine only.
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
