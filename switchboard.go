package switchboard

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/slack-go/slack"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/words"
	"github.com/switchboard-go/switchboard/internal/cli"
	"github.com/switchboard-go/switchboard/internal/server"
)

// App is a bot: what it does, and how it introduces itself. Only Name and Handlers are needed.
type App struct {
	Name    string // at most 35 characters
	Summary string // one sentence of at most 140 characters: what it does
	About   string // the same at length, for Slack's app directory: 175 to 4,000 characters, or ""
	Color   string // #rrggbb, behind its icon; the install pages are in it, too

	// Does says on the install page, in the welcome and on Home what people can do with it, a sentence for each. What
	// they type stands between backticks. nil: it follows from the handlers.
	Does []string
	// Picture is a real answer of it, which the install page shows. Its zero value: the message that greets whoever
	// installs, if Messages is nil.
	Picture install.Picture
	// DataKept says on the install page what it keeps, for the IT team. How long follows by itself. "": what is kept for
	// every app, and nothing of its own.
	DataKept string
	// Commands are what people can type about the connection. The pages tell people of them; of one that is "" they
	// don't speak.
	Commands install.Commands

	// Words are the library's sentences, as the app says them: in another language, or in another tone. nil: as they are,
	// in English. See words.Parse.
	Words *words.Sentences

	// Handlers answer what Slack sends. The manifest, the permissions and the pages follow from them.
	Handlers []bot.Handler
	// Use is middleware around every handler; the first is outermost.
	Use []bot.Middleware
	// OnError sees what handlers return as an error, and returns what is to be done with it, nil for nothing. nil: errors
	// stay as they are.
	OnError func(ctx context.Context, r *bot.Request, err error) error
	// Scopes and UserScopes are better words for permissions than the built-in ones: why it asks, what it can't do
	// without. Each has to be declared by a handler.
	Scopes, UserScopes []connection.Scope
	// Messages returns what writes to people about their connection; App, Scopes and SlackURL of cfg are there
	// already. nil: package messages does, in plain sentences, if a handler declares chat:write.
	Messages func(cfg install.Config) install.Messages

	// Routes returns its own pages, by the patterns of http.ServeMux, beside ours: / and all below /slack/ are taken. It
	// is called once, before anything is open. The pages get whatever comes from the internet, and have to bound it and
	// to check who asks: all can be had, and nothing of a request says which workspace its sender belongs to.
	Routes func(all *Workspaces) map[string]http.Handler
	// Background is its own work: each begins once the database is open, and is told to end when the last request is
	// answered, 30 s after the stop at most. An error stops the program; nil doesn't. Each replica runs it.
	Background []func(ctx context.Context, all *Workspaces) error

	// LeastInterval is the shortest time between two runs that bot.Every and bot.Cron can ask for: every workspace has a
	// run of its own. 0: 15 minutes.
	LeastInterval time.Duration

	// Agent is what Slack shows of it as an agent, if it has a handler of OnAgentMessage or another of an agent's.
	Agent bot.AgentView
	// What its manifest turns off, and what metadata it hears of: see bot.Profile.
	WorkspacesOnly, NoRotation, NoMessages bool
	Metadata                               []slack.ManifestMetadataSubscription

	// Guide is what the demo's first page proposes. nil: it follows from the handlers.
	Guide []bot.Hint
	// DemoHandlers are those that the demo has besides Handlers.
	DemoHandlers []bot.Handler
	Version      string // "": dev
}

// Main is a whole program: it runs the command line of os.Args (serve, demo, manifest, connections, inbox, keys,
// migrate, backup …) with the settings of the environment, and exits. "help" lists what there is.
func (a App) Main() { os.Exit(cli.Main(a.plain(&Workspaces{}), os.Args)) }

// plain is the App as the command line takes it, with what asks for workspaces bound to all.
func (a App) plain(all *Workspaces) cli.App {
	app := cli.App{
		Name: a.Name, Summary: a.Summary, About: a.About, Color: a.Color,
		Does: a.Does, Picture: a.Picture, DataKept: a.DataKept, Commands: a.Commands,
		Handlers: a.Handlers, Use: a.Use, OnError: a.OnError, Scopes: a.Scopes, UserScopes: a.UserScopes,
		Messages: a.Messages, Guide: a.Guide, DemoHandlers: a.DemoHandlers, Version: a.Version,
		Workspaces: &all.running, LeastInterval: a.LeastInterval,
		Agent: a.Agent, WorkspacesOnly: a.WorkspacesOnly, NoRotation: a.NoRotation, NoMessages: a.NoMessages,
		Metadata: a.Metadata, Words: a.Words,
	}
	if a.Routes != nil {
		app.Routes = a.Routes(all)
	}
	for _, run := range a.Background {
		app.Background = append(app.Background, func(ctx context.Context) error { return run(ctx, all) })
	}
	return app
}

// Config is an App with its settings, for a program that has a main function of its own. In brackets are the names
// that errors call them by: those of the environment, which serve reads.
type Config struct {
	App App

	ClientID       string              // [SLACK_CLIENT_ID] from the app's Basic Information page at Slack
	ClientSecret   connection.Secret   // [SLACK_CLIENT_SECRET]
	SigningSecrets []connection.Secret // [SLACK_SIGNING_SECRET] several while it is being changed; none with AppToken
	AppID          string              // [SLACK_APP_ID] "": what comes for another app isn't told apart
	AppToken       connection.Secret   // [SLACK_APP_TOKEN] set: Socket Mode
	BotToken       connection.Secret   // [SLACK_BOT_TOKEN] set: one workspace, and nobody installs
	SlackURL       string              // [SLACK_URL] "": https://slack.com
	PublicURL      string              // [PUBLIC_URL] https://host, what browsers and Slack see

	DatabaseURL    connection.Secret // [DATABASE_URL] postgres://… or sqlite:PATH; "": SQLite in DataDir
	DataDir        string            // [DATA_DIR] for new tokens until they are stored, one for each process; "": data
	EncryptionKeys connection.Secret // [ENCRYPTION_KEYS] 32 bytes each in base64; "" with SQLite: a file

	ListenAddr string        // [LISTEN_ADDR] "": no door of its own, and Handler is served by you
	AdminAddr  string        // [ADMIN_ADDR] of /livez, /readyz and /metrics, never public; "": none
	AdminHosts []string      // [ADMIN_HOSTS] names that AdminAddr answers to, besides addresses and localhost
	DrainDelay time.Duration // [DRAIN_DELAY] how long requests are still taken after the stop, with /readyz red

	Keep           time.Duration // [KEEP_DAYS] of removed connections' facts and history, and dead letters; 0: 90 days
	InboxLease     time.Duration // [INBOX_LEASE] how long a dead replica's events lie; 0: 30 s
	Workers        int           // [WORKERS] handlers of events at once; 0: 128, below 0: none here
	Closed         bool          // [INSTALLS] only workspaces that are connected, or in Admit, may install
	Admit          []string      // ids of workspaces (T…) and organisations (E…)
	MoveToRotation bool          // [MOVE_TO_ROTATION] exchange long-lived tokens

	Operator   string // [OPERATOR_NAME] who runs this copy
	SupportURL string // [SUPPORT_URL] https://… or mailto:…
	PrivacyURL string // [PRIVACY_URL]
	TermsURL   string // [TERMS_URL]

	Log *slog.Logger // nil: nothing is logged
	// Traces gets OpenTelemetry's spans of what Slack sends, of installs and of renewals. You end it once Run has
	// returned. nil: nobody gets them. Nothing here reads OTEL_… names: App.Main does.
	Traces trace.TracerProvider
}

// Server is an app that is put together. Make one with New, and run it once.
type Server struct {
	running    *server.Server
	workspaces Workspaces
}

// New checks cfg and returns a Server, or an error that names all that is missing. It starts nothing and opens nothing.
func New(cfg Config) (*Server, error) {
	if cfg.App.Name == "" {
		return nil, errors.New("switchboard: the App has no Name")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}

	data := cmp.Or(cfg.DataDir, "data")
	settings := server.Config{
		Install: install.Config{
			App: install.App{
				Operator:   cfg.Operator,
				SupportURL: cfg.SupportURL,
				PrivacyURL: cfg.PrivacyURL,
				TermsURL:   cfg.TermsURL,
			},
			ClientID:       cfg.ClientID,
			ClientSecret:   cfg.ClientSecret,
			AppID:          cfg.AppID,
			BotToken:       cfg.BotToken,
			SlackURL:       cmp.Or(cfg.SlackURL, "https://slack.com"),
			PublicURL:      cfg.PublicURL,
			MoveToRotation: cfg.MoveToRotation,
			Keep:           cmp.Or(cfg.Keep, install.DefaultKeep),
			Closed:         cfg.Closed,
			Admit:          cfg.Admit,
		},
		Bot: bot.Config{
			SigningSecrets: cfg.SigningSecrets,
			AppToken:       cfg.AppToken,
			Lease:          cfg.InboxLease,
			Workers:        cfg.Workers,
		},
		Database: server.Database{
			URL:     cmp.Or(cfg.DatabaseURL, connection.Secret("sqlite:"+filepath.Join(data, "switchboard.db"))),
			DataDir: data,
			Keys:    cfg.EncryptionKeys,
		},
		ListenAddr: cfg.ListenAddr,
		AdminAddr:  cfg.AdminAddr,
		AdminHosts: cfg.AdminHosts,
		DrainDelay: cfg.DrainDelay,
		Log:        cfg.Log,
		Traces:     cfg.Traces,
	}

	cfg.App.Version = cmp.Or(cfg.App.Version, "dev")
	s := &Server{}
	cfg.App.plain(&s.workspaces).Fill(&settings)
	var err error
	if s.running, err = server.New(settings); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler is what people and Slack reach, for a program that has an http.Server of its own: give it "/". Before Run
// serves, and after, it answers 503; Slack sends again what was refused.
func (s *Server) Handler() http.Handler { return s.running.Handler() }

// Workspaces is where the app is connected, for the rest of the program: the same as Routes and Background get.
func (s *Server) Workspaces() *Workspaces { return &s.workspaces }

// Migrate brings the tables of a PostgreSQL database up to date, and returns how many steps that took: 0 when others
// have done it. Any number of replicas may call it at once, also while older ones serve. Run refuses tables of another
// release. With SQLite, which is its own, Run does it by itself, and Migrate does nothing.
func (s *Server) Migrate(ctx context.Context) (applied int, err error) { return s.running.Migrate(ctx) }

// Run opens the database, which it waits for if it is away, and serves until ctx ends and all that was accepted is
// finished; that is no error. With an http.Server of your own, let it run until Run has returned.
func (s *Server) Run(ctx context.Context) error {
	running, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	stop := context.AfterFunc(ctx, func() { end(server.ErrTerminated) })
	defer stop()
	return s.running.Run(running)
}
