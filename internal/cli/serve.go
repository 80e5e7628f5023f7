package cli

// serve: the app for real.

import (
	"fmt"
	"strings"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/server"
)

type serveCmd struct{ serveFlags }

// serveFlags are the settings that serve runs with, for all that has to see them as it does.
type serveFlags struct {
	databaseFlags
	operatorFlags
	logFlags
	ClientID   string `name:"slack-client-id" placeholder:"ID" help:"SLACK_CLIENT_ID: from your app's Basic Information page."`
	AppID      string `name:"slack-app-id" placeholder:"ID" help:"SLACK_APP_ID: refuses installs and events of any other app."`
	SlackURL   string `name:"slack-url" placeholder:"URL" help:"SLACK_URL: https://slack.com, or https://slack-gov.com."`
	PublicURL  string `name:"public-url" placeholder:"URL" help:"PUBLIC_URL: the address that browsers and Slack see."`
	ListenAddr string `name:"listen-addr" placeholder:"HOST:PORT" help:"LISTEN_ADDR: where to listen. Default: 127.0.0.1:3000."`
	AdminAddr  string `name:"admin-addr" placeholder:"HOST:PORT" help:"ADMIN_ADDR: where /livez, /readyz and /metrics are; never public. Default: 127.0.0.1:3001."`
	AdminHosts string `name:"admin-hosts" placeholder:"NAMES" help:"ADMIN_HOSTS: host names that ADMIN_ADDR answers to, separated by commas; IP addresses and localhost always work."`
	DrainDelay string `name:"drain-delay" placeholder:"DURATION" help:"DRAIN_DELAY: how long requests are still taken after SIGTERM, with /readyz red, so that a proxy finds out before they are refused; 0 on Ctrl-C. Default: 5s."`
	KeepDays   string `name:"keep-days" placeholder:"DAYS" help:"KEEP_DAYS: how long facts and history of a removed connection are kept, and dead letters. Default: 90."`
	Lease      string `name:"inbox-lease" placeholder:"DURATION" help:"INBOX_LEASE: how long the events of a replica that died wait before another one takes them. Default: 30s."`
	Workers    string `name:"workers" placeholder:"N" help:"WORKERS: how many events are handled at a time, at most half of them for one workspace; 0 accepts events and leaves the work to other replicas. Default: 128."`
	Inbox      string `name:"inbox" placeholder:"WHERE" help:"INBOX: database, or memory to measure what the database costs; with memory, what was acknowledged is lost with the process. Default: database."`
	Installs   string `name:"installs" placeholder:"WHO" help:"INSTALLS: open; closed to workspaces that are not connected yet; or the ids of those that can connect (T… and E…, separated by commas). Default: open."`
	Move       string `name:"move-to-rotation" placeholder:"BOOL" help:"MOVE_TO_ROTATION: true exchanges long-lived tokens for rotating ones. Your app must have token rotation on. Default: false."`
}

// Help names what has no flag.
func (*serveCmd) Help() string {
	return "Only from the environment or .env, each also as NAME_FILE: SLACK_CLIENT_SECRET, SLACK_SIGNING_SECRET " +
		"(several with commas), ENCRYPTION_KEYS (needed with PostgreSQL), SLACK_APP_TOKEN for Socket Mode, and for one " +
		"workspace without OAuth SLACK_BOT_TOKEN. OTEL_EXPORTER_OTLP_ENDPOINT turns OpenTelemetry traces on."
}

// Run serves until the context ends.
func (c *serveCmd) Run(env *environment) error {
	s := env.source()
	level, format := c.logFlags.read(s, "info")
	cfg := c.config(env, s)
	if err := s.err(); err != nil {
		return err
	}

	cfg.Log = newLogger(env.stderr, level, format)
	s.tell(cfg.Log)

	served, err := server.New(cfg)
	if err != nil {
		return err
	}
	return s.named(served.Run(env.ctx))
}

// config reads all settings but those of the log, with the app in them.
func (c *serveFlags) config(env *environment, s *source) server.Config {
	data := c.databaseFlags.read(s, true)
	cfg := server.Config{
		Install: install.Config{
			ClientID:       s.get(c.ClientID, "SLACK_CLIENT_ID", ""),
			ClientSecret:   s.secret("SLACK_CLIENT_SECRET"),
			AppID:          s.get(c.AppID, "SLACK_APP_ID", ""),
			BotToken:       s.secret("SLACK_BOT_TOKEN"),
			SlackURL:       slackURL(s, c.SlackURL),
			PublicURL:      publicURL(s, c.PublicURL),
			MoveToRotation: boolean(s, c.Move, "MOVE_TO_ROTATION"),
			Keep:           keepDays(s, c.KeepDays),
		},
		Bot:        bot.Config{Lease: lease(s, c.Lease), Workers: workers(s, c.Workers)},
		Database:   data,
		ListenAddr: s.get(c.ListenAddr, "LISTEN_ADDR", "127.0.0.1:3000"),
		AdminAddr:  s.get(c.AdminAddr, "ADMIN_ADDR", "127.0.0.1:3001"),
		AdminHosts: hosts(s, c.AdminHosts),
		DrainDelay: drainDelay(s, c.DrainDelay),
		Hurry:      secondSignal,
	}

	if env.clock != nil {
		cfg.Clock = env.clock(env.getenv)
	}

	switch where := s.get(c.Inbox, "INBOX", "database"); where {
	case "database":
	case "memory":
		cfg.MemoryInbox = true
	default:
		s.bad("INBOX", fmt.Sprintf("is %q", where), "write database, or memory for a measurement")
	}

	cfg.Collector = collector(s, env.App)
	cfg.Install.Closed, cfg.Install.Admit = installs(s, c.Installs)
	c.operatorFlags.read(s, &cfg.Install.App)
	c.check(s, &cfg)
	if cfg.Install.AppID == "" && server.NeedsAppID(env.Handlers) {
		s.bad("SLACK_APP_ID", "is not set: Slack doesn't say which app a shortcut belongs to", basics)
	}
	env.Fill(&cfg)
	return cfg
}

// check collects everything that is wrong with the settings.
func (c *serveFlags) check(s *source, cfg *server.Config) {
	signing := s.secret("SLACK_SIGNING_SECRET")
	for secret := range strings.SplitSeq(signing.Reveal(), ",") {
		if secret = strings.TrimSpace(secret); secret != "" {
			cfg.Bot.SigningSecrets = append(cfg.Bot.SigningSecrets, connection.Secret(secret))
			checkSecret(s, "SLACK_SIGNING_SECRET", connection.Secret(secret))
		}
	}

	cfg.Bot.AppToken = s.secret("SLACK_APP_TOKEN")
	checkAppToken(s, cfg.Bot.AppToken)
	sockets := strings.HasPrefix(cfg.Bot.AppToken.Reveal(), "xapp-")
	if len(cfg.Bot.SigningSecrets) == 0 && !sockets { // through sockets nothing is signed
		checkSecret(s, "SLACK_SIGNING_SECRET", "")
	}

	checkAppID(s, cfg.Install.AppID)
	checkAccess(s, cfg.Install)
	if overHTTP(cfg.Install.PublicURL) && !sockets && !overHTTP(cfg.Install.SlackURL) {
		s.warn("PUBLIC_URL", httpWarning, httpFix)
	}
	if cfg.Bot.AppToken != "" && cfg.Install.BotToken != "" {
		cfg.DrainDelay = 0 // nobody comes through the public door: nothing to install, and Slack sends through sockets
	}

	checkListen(s, "LISTEN_ADDR", cfg.ListenAddr)
	checkListen(s, "ADMIN_ADDR", cfg.AdminAddr)
	if cfg.ListenAddr == cfg.AdminAddr && !strings.HasSuffix(cfg.ListenAddr, ":0") {
		s.bad("ADMIN_ADDR", "is the same as LISTEN_ADDR", "give it a port of its own that is not public")
	}
}

// checkAccess collects what is wrong with how the app comes by its access: a token given by hand, or installs.
func checkAccess(s *source, in install.Config) {
	if in.BotToken == "" {
		credentials(s, in.ClientID, in.ClientSecret)
		if in.PublicURL == "" {
			s.bad("PUBLIC_URL", "is not set", "write the address that people see, for example https://bot.example.com")
		}
		return
	}

	if in.MoveToRotation {
		s.bad("MOVE_TO_ROTATION", "is set together with SLACK_BOT_TOKEN, and a token given by hand can't be renewed",
			"leave one of the two out")
	}
	const fix = "put the bot token there, or leave it out to let workspaces install the app themselves"
	if err := install.CheckTokenKind(in.BotToken); err != nil {
		s.bad("SLACK_BOT_TOKEN", err.Error(), fix)
	} else if sampleToken(in.BotToken) {
		s.bad("SLACK_BOT_TOKEN", "is a sample", fix)
	}
}
