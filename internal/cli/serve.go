package cli

// serve: the app for real.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"switchboard/commands"
	"switchboard/install"
	"switchboard/install/connection"
	"switchboard/storage"
)

type serveCmd struct {
	databaseFlags
	operatorFlags
	logFlags
	ClientID   string `name:"slack-client-id" placeholder:"ID" help:"SLACK_CLIENT_ID: from your app's Basic Information page."`
	AppID      string `name:"slack-app-id" placeholder:"ID" help:"SLACK_APP_ID: refuses installs and events of any other app."`
	SlackURL   string `name:"slack-url" placeholder:"URL" help:"SLACK_URL: https://slack.com, or https://slack-gov.com."`
	PublicURL  string `name:"public-url" placeholder:"URL" help:"PUBLIC_URL: the address that browsers and Slack see."`
	ListenAddr string `name:"listen-addr" placeholder:"HOST:PORT" help:"LISTEN_ADDR: where to listen. Default: 127.0.0.1:3000."`
	AdminAddr  string `name:"admin-addr" placeholder:"HOST:PORT" help:"ADMIN_ADDR: where /livez, /readyz and /metrics are; never public. Default: 127.0.0.1:3001."`
	AdminHosts string `name:"admin-hosts" placeholder:"NAMES" help:"ADMIN_HOSTS: names that ADMIN_ADDR answers to, with commas; it answers to IP addresses and localhost anyway."`
	DrainDelay string `name:"drain-delay" placeholder:"DURATION" help:"DRAIN_DELAY: how long requests are still taken after SIGTERM, with /readyz red, so that a proxy finds out before they are refused; 0 on Ctrl-C. Default: 5s."`
	KeepDays   string `name:"keep-days" placeholder:"DAYS" help:"KEEP_DAYS: how long facts and history of a removed connection are kept, and dead letters. Default: 90."`
	Lease      string `name:"inbox-lease" placeholder:"DURATION" help:"INBOX_LEASE: how long the events of a replica that died lie before another one takes them. Default: 30s."`
	Workers    string `name:"workers" placeholder:"N" help:"WORKERS: how many events are worked at once, at most half of them of one workspace; 0 accepts events and leaves the work to other replicas. Default: 128."`
	Inbox      string `name:"inbox" placeholder:"WHERE" help:"INBOX: database, or memory to measure what the database costs; memory loses what it acknowledged with the process. Default: database."`
	Installs   string `name:"installs" placeholder:"WHO" help:"INSTALLS: open; closed to workspaces that are not connected yet; or the ids of those that may connect (T… and E…, with commas). Default: open."`
	Move       string `name:"move-to-rotation" placeholder:"BOOL" help:"MOVE_TO_ROTATION: true exchanges long-lived tokens for rotating ones. Your app must have token rotation on. Default: false."`
}

// Help names what has no flag.
func (*serveCmd) Help() string {
	return "Only from the environment or .env, each also as NAME_FILE: SLACK_CLIENT_SECRET, SLACK_SIGNING_SECRET (several with commas), " +
		"ENCRYPTION_KEYS (needed with PostgreSQL), SLACK_APP_TOKEN for Socket Mode, and for one workspace without OAuth SLACK_BOT_TOKEN."
}

// Run serves until the context ends.
func (c *serveCmd) Run(env *environment) error {
	s := newSource(env.getenv)
	level, format := c.logFlags.read(s, "info")
	data := c.databaseFlags.read(s, true)
	cfg := appConfig{
		app:          commands.App(),
		clientID:     s.get(c.ClientID, "SLACK_CLIENT_ID", ""),
		clientSecret: s.secret("SLACK_CLIENT_SECRET"),
		appID:        s.get(c.AppID, "SLACK_APP_ID", ""),
		botToken:     s.secret("SLACK_BOT_TOKEN"),
		slackURL:     slackURL(s, c.SlackURL),
		publicURL:    publicURL(s, c.PublicURL),
		keep:         keepDays(s, c.KeepDays),
	}
	cfg.lease, cfg.workers = lease(s, c.Lease), workers(s, c.Workers)
	cfg.drainDelay = drainDelay(s, c.DrainDelay)
	switch where := s.get(c.Inbox, "INBOX", "database"); where {
	case "database":
	case "memory":
		cfg.memory = true
	default:
		s.bad("INBOX", fmt.Sprintf("is %q", where), "write database, or memory for a measurement")
	}
	cfg.closed, cfg.admit = installs(s, c.Installs)
	cfg.moveToRotation = boolean(s, c.Move, "MOVE_TO_ROTATION")
	adminHosts := hosts(s, c.AdminHosts)
	c.operatorFlags.read(s, &cfg.app)
	listen := s.get(c.ListenAddr, "LISTEN_ADDR", "127.0.0.1:3000")
	admin := s.get(c.AdminAddr, "ADMIN_ADDR", "127.0.0.1:3001")
	c.check(s, &cfg, listen, admin)
	if err := s.err(); err != nil {
		return err
	}
	cfg.log = newLogger(env.stderr, level, format)
	s.tell(cfg.log)

	l, err := net.Listen("tcp", admin)
	if err != nil {
		return fmt.Errorf("%w; stop the program that has this address, or set ADMIN_ADDR to another", err)
	}
	cfg.admin = openAdmin(env.ctx, l, adminHosts, cfg.log)
	return errors.Join(s.named(serve(env, data, cfg, listen)), cfg.admin.close())
}

// serve opens the database and the public door, and runs the app between them until the context ends.
func serve(env *environment, data database, cfg appConfig, listen string) error {
	if err := free(listen); err != nil { // before a database and a key are made
		return err
	}
	if data.mustExist() != nil {
		cfg.log.Info("making a new, empty database", "path", data.path)
	}
	a, err := prepare(env, data, cfg, listen)
	var wrong *configError
	if env.ctx.Err() != nil && !errors.As(err, &wrong) {
		cfg.log.Info("stopped while starting")
		return nil // whatever was interrupted by that is no failure, and the next start goes on with it
	}
	if err != nil {
		return err
	}
	return a.run(env.ctx)
}

// prepare does what comes before serving. When the context ends meanwhile it is an error, and nothing is left open.
func prepare(env *environment, data database, cfg appConfig, listen string) (a *app, err error) {
	db, err := openPatiently(env.ctx, data, cfg.log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	cfg.db = db
	if clock := machineClock(env.getenv); clock != nil {
		if err := db.UseClock(env.ctx, clock); err != nil {
			return nil, err
		}
	}
	if cfg.listen, err = net.Listen("tcp", listen); err != nil {
		return nil, taken(err)
	}
	if a, err = newApp(cfg); err != nil {
		return nil, errors.Join(err, cfg.listen.Close())
	}
	if cfg.botToken != "" {
		err = adopt(env.ctx, a)
	}
	if err = cmp.Or(err, env.ctx.Err()); err != nil { // stopped while Slack was being asked
		a.close()
		return nil, errors.Join(err, cfg.listen.Close())
	}
	return a, nil
}

const (
	awayRetry = time.Second      // between tries to reach a database that is away
	awayWords = 30 * time.Second // between lines in the log that say so
)

// openPatiently is openToServe, and waits for a database that is away as long as ctx lives: it is started beside us, perhaps, or
// fails over. What waiting doesn't change (a wrong password, a name that nobody knows) is an error at the first try.
func openPatiently(ctx context.Context, d database, log *slog.Logger) (*storage.DB, error) {
	var said time.Time
	for {
		db, err := openToServe(ctx, d)
		if !errors.Is(err, storage.ErrAway) {
			return db, err
		}
		if time.Since(said) >= awayWords {
			log.Warn("the database doesn't answer; waiting for it", "cause", err)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(awayRetry):
		}
	}
}

// free reports whether LISTEN_ADDR can be listened on. It stays closed until there is somebody to answer, so that a proxy is
// refused and tries another replica.
func free(listen string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return taken(err)
	}
	return l.Close()
}

func taken(err error) error {
	return fmt.Errorf("%w; stop the program that has this address, or set LISTEN_ADDR to another", err)
}

// check collects everything that is wrong with the settings.
func (c *serveCmd) check(s *source, cfg *appConfig, listen, admin string) {
	signing := s.secret("SLACK_SIGNING_SECRET")
	for secret := range strings.SplitSeq(signing.Reveal(), ",") {
		if secret = strings.TrimSpace(secret); secret != "" {
			cfg.signingSecrets = append(cfg.signingSecrets, connection.Secret(secret))
			checkSecret(s, "SLACK_SIGNING_SECRET", connection.Secret(secret))
		}
	}
	cfg.appToken = s.secret("SLACK_APP_TOKEN")
	checkAppToken(s, cfg.appToken)
	sockets := strings.HasPrefix(cfg.appToken.Reveal(), "xapp-")
	if len(cfg.signingSecrets) == 0 && !sockets { // through sockets nothing is signed
		checkSecret(s, "SLACK_SIGNING_SECRET", "")
	}
	checkAppID(s, cfg.appID)
	if cfg.moveToRotation && cfg.botToken != "" {
		s.bad("MOVE_TO_ROTATION", "is set together with SLACK_BOT_TOKEN, and a token given by hand can't be renewed", "leave one of the two out")
	}
	if cfg.botToken != "" {
		if err := install.CheckTokenKind(cfg.botToken); err != nil {
			s.bad("SLACK_BOT_TOKEN", err.Error(), "put the bot token there, or leave it out to let workspaces install the app themselves")
		} else if sampleToken(cfg.botToken) {
			s.bad("SLACK_BOT_TOKEN", "is a sample", "put the bot token there, or leave it out to let workspaces install the app themselves")
		}
	} else {
		credentials(s, cfg.clientID, cfg.clientSecret)
		if cfg.publicURL == "" {
			s.bad("PUBLIC_URL", "is not set", "write the address that people see, for example https://bot.example.com")
		}
	}
	if overHTTP(cfg.publicURL) && !sockets && !overHTTP(cfg.slackURL) {
		s.warn(httpWarning, httpFix)
	}
	if cfg.appToken != "" && cfg.botToken != "" {
		cfg.drainDelay = 0 // nobody comes through the public door: nothing to install, and Slack sends through sockets
	}
	checkListen(s, "LISTEN_ADDR", listen)
	checkListen(s, "ADMIN_ADDR", admin)
	if listen == admin && !strings.HasSuffix(listen, ":0") {
		s.bad("ADMIN_ADDR", "is the same as LISTEN_ADDR", "give it a port of its own that is not public")
	}
}

// openToServe opens the database. SQLite belongs to this process alone, so it is brought up to date; PostgreSQL is shared
// with other replicas, so that is left to the operator.
func openToServe(ctx context.Context, d database) (*storage.DB, error) {
	if err := d.makeFolder(); err != nil {
		return nil, err
	}
	if err := d.keyLost(ctx); err != nil {
		return nil, err
	}
	keys, err := d.keyring()
	if err != nil {
		return nil, err
	}
	made := d.mustExist() != nil
	db, err := d.open(ctx, keys)
	if err != nil {
		return nil, err
	}
	if err := db.Exclusive(); err != nil { // before the tables are touched
		return nil, errors.Join(err, db.Close())
	}
	if err := d.useJournal(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if d.path != "" {
		_, err = db.Migrate(ctx)
	}
	if err == nil {
		err = db.CheckSchema(ctx)
	}
	if err == nil {
		if err = db.CheckAnyKey(ctx); errors.Is(err, storage.ErrWrongKeys) {
			err = &configError{[]problem{{"ENCRYPTION_KEYS", "open nothing of what is stored; these are the keys of another database",
				"give the keys it was sealed with, or put the key file back beside it. If they are lost for good: switchboard keys rotate --erase-unreadable; every workspace then has to reconnect"}}}
		}
	}
	if err != nil {
		return nil, d.closeRefused(made, db, err)
	}
	return db, nil
}

// adopt makes SLACK_BOT_TOKEN the one connection. Slack may be slow to answer at the very moment we start; a refusal is
// final.
func adopt(ctx context.Context, a *app) error {
	const tries = 4
	var err error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try) * time.Second):
			}
		}
		var c connection.Connection
		if c, err = a.install.Adopt(ctx); err == nil {
			a.cfg.log.Info("single-workspace mode", "connection", c.ID, "key", c.Key.String(), "team_name", c.TeamName)
			return nil
		}
		var wrong *install.TokenError
		if errors.As(err, &wrong) {
			return &configError{[]problem{{"SLACK_BOT_TOKEN", wrong.Error(), "put a bot token there that Slack accepts"}}}
		}
	}
	return fmt.Errorf("slack could not be asked about SLACK_BOT_TOKEN: %w", err)
}
