package cli

// Settings: flags before the environment before .env, every problem reported at once with its fix.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/joho/godotenv"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/loopback"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// source looks settings up and collects what is wrong with them.
type source struct {
	getenv   func(string) string
	dotenv   map[string]string
	files    map[string]bool // secrets that came as NAME_FILE, readable or not
	problems []server.Problem
	warnings []server.Problem // of what works, and is not as it should be
	program  string           // what is typed to run it
	imitated bool             // SLACK_URL is an imitation on this machine, whose secrets look as they like
}

func newSource(getenv func(string) string) *source {
	s := &source{getenv: getenv, files: map[string]bool{}}
	s.readDotenv(".env")
	s.checkNames()
	return s
}

// readDotenv reads the file, if it is there and nobody else can have written it: who can, says where our secrets are
// sent.
func (s *source) readDotenv(name string) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.bad(".env", "the file in this folder can't be read: "+causeOf(err), "let this process read it, or move it away")
		return
	}

	defer func() { _ = f.Close() }()
	if what, fix := writableByOthers(f, name); what != "" {
		s.bad(".env", what+", and it says where secrets are sent", fix)
		return
	}

	text, err := io.ReadAll(f)
	if err != nil {
		s.bad(".env", "the file in this folder can't be read: "+causeOf(err), "let this process read it, or move it away")
		return
	}

	text = bytes.TrimPrefix(text, []byte("\ufeff")) // editors on Windows put it there
	if s.dotenv, err = godotenv.UnmarshalBytes(text); err != nil {
		// The error could quote a line, and a line could hold a secret.
		s.bad(".env", "the file in this folder can't be read as NAME=value lines", "correct it, or move it away")
		return
	}

	info, err := f.Stat()
	readable := err == nil && info.Mode().Perm()&0o044 != 0 && runtime.GOOS != "windows"
	if secrets := s.dotenvSecrets(); readable && len(secrets) > 0 {
		s.warn(".env", ".env can be read by others on this machine, and holds "+strings.Join(secrets, ", "), "run chmod 600 .env")
	}
}

// causeOf is the system's word for what is wrong with a file, without its name: that may be a secret, put into the
// wrong setting.
func causeOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// dotenvSecrets are the names of the secrets that stand in .env.
func (s *source) dotenvSecrets() (names []string) {
	for _, name := range secretNames {
		if v := s.dotenv[name]; v != "" && !strings.HasPrefix(v, "sqlite:") {
			names = append(names, name)
		}
	}
	return names
}

// writableByOthers says who besides us and root can change the file f, which was found as name, and what to do about
// it; "" is nobody.
func writableByOthers(f *os.File, name string) (what, fix string) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "was moved while it was being read", "start again, or move it away"
	}

	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return "is not a file", "move it away"
	}

	mode := info.Mode().Perm()
	link, err := os.Lstat(name)
	switch {
	case runtime.GOOS == "windows": // has no such modes
		return "", ""
	case err != nil || !trusted(info) || !trusted(link):
		return "belongs to another user", "look through it, then chown it to the user that runs this, or move it away"
	case mode&0o022 != 0:
		what = fmt.Sprintf("can be written by others on this machine (mode %04o)", mode)
		return what, "look through it, then run: chmod go-w .env"
	}

	for _, folder := range []string{filepath.Dir(name), filepath.Dir(real)} {
		if in, err := os.Stat(folder); err != nil || in.Mode().Perm()&0o002 != 0 && in.Mode()&fs.ModeSticky == 0 {
			return "can be replaced by others on this machine, who can write to its folder",
				"look through it, then run chmod o-w on the folder it is in"
		}
	}
	return "", ""
}

func (s *source) bad(setting, what, fix string) {
	s.problems = append(s.problems, server.Problem{Setting: s.given(setting), What: what, Fix: fix})
}

// given is the name under which a setting was given: NAME_FILE, where a secret came from a file.
func (s *source) given(setting string) string {
	if s.files[setting] {
		return setting + "_FILE"
	}
	return setting
}

// named puts the names under which the settings were given into what was found out later.
func (s *source) named(err error) error {
	var wrong *server.ConfigError
	if errors.As(err, &wrong) {
		for i, p := range wrong.Problems {
			wrong.Problems[i].Setting = s.given(p.Setting)
		}
	}
	return err
}

// warn notes what works, and is not as it should be. setting is "" for what is none, or is several.
func (s *source) warn(setting, what, fix string) {
	s.warnings = append(s.warnings, server.Problem{Setting: setting, What: what, Fix: fix})
}

// tell logs the warnings.
func (s *source) tell(log *slog.Logger) {
	for _, w := range s.warnings {
		log.Warn(w.What, "fix", w.Fix)
	}
}

func (s *source) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	return &server.ConfigError{Problems: s.problems}
}

// get returns a setting: the flag, else the environment, else .env, else fallback.
func (s *source) get(flag, name, fallback string) string {
	for _, v := range []string{flag, s.getenv(name), s.dotenv[name]} {
		if v = strings.TrimSpace(v); v != "" {
			return v
		}
	}
	return fallback
}

// secret returns a setting that may also come as the name of a file, NAME_FILE.
func (s *source) secret(name string) connection.Secret {
	for _, from := range []func(string) string{s.getenv, func(n string) string { return s.dotenv[n] }} {
		direct, file := strings.TrimSpace(from(name)), strings.TrimSpace(from(name+"_FILE"))
		switch {
		case direct != "" && file != "":
			s.bad(name, "is set, and so is "+name+"_FILE", "keep one of the two")
			return connection.Secret(direct)
		case direct != "":
			return s.checked(name, direct)
		case file != "":
			s.files[name] = true
			b, err := os.ReadFile(file)
			v := strings.TrimSpace(string(b))
			switch {
			case err != nil:
				s.bad(name, "the file can't be read: "+causeOf(err), "name a file that this process can read")
			case v == "":
				// Taken for "not set" it would quietly change what runs: another database, a new key, another mode.
				s.bad(name, "the file is empty", "write the secret into it, or leave "+name+"_FILE out")
			}
			return s.checked(name, v)
		}
	}
	return ""
}

// odd reports a character that no secret has.
func odd(r rune) bool { return r < ' ' || r > '~' }

// checked refuses what no secret of ours looks like: the example of docs/running.md, pasted as it stands.
func (s *source) checked(name, v string) connection.Secret {
	if strings.ContainsFunc(v, odd) {
		s.bad(name, "is an example, or has a character that such a value never has", "put the real value there")
	}
	return connection.Secret(v)
}

// databaseFlags are for every command that opens the database.
type databaseFlags struct {
	DatabaseURL string `name:"database-url" placeholder:"URL" help:"DATABASE_URL: postgres://… or sqlite:PATH. Default: SQLite in the data folder."`
	DataDir     string `name:"data-dir" placeholder:"DIR" help:"DATA_DIR: folder for files: the journal of new tokens; with SQLite the database and its key. Default: data."`
}

// reportFlags are for the commands that say what they found, or what they did.
type reportFlags struct {
	databaseFlags
	JSON bool `help:"Print JSON."`
}

// read collects them. withKeys: the command seals or opens secrets, so it needs the keys.
func (f databaseFlags) read(s *source, withKeys bool) server.Database {
	d := server.Database{
		Program: s.program, DataDir: s.get(f.DataDir, "DATA_DIR", "data"), Keys: s.secret("ENCRYPTION_KEYS"),
	}
	raw := strings.TrimSpace(f.DatabaseURL)
	if raw == "" {
		raw = s.secret("DATABASE_URL").Reveal()
	}
	if raw == "" {
		raw = "sqlite:" + filepath.Join(d.DataDir, "switchboard.db")
	}
	d.URL = connection.Secret(raw)
	if info, err := os.Stat(d.DataDir); err == nil && !info.IsDir() || errors.Is(err, syscall.ENOTDIR) {
		s.bad("DATA_DIR", "is not a folder", server.DataDirFix)
	}

	switch {
	case strings.HasPrefix(raw, "sqlite:"):
		checkFile(s, d.Path())
	case strings.HasPrefix(raw, "postgres://"), strings.HasPrefix(raw, "postgresql://"):
		if withKeys && d.Keys == "" && !s.files["ENCRYPTION_KEYS"] {
			s.bad("ENCRYPTION_KEYS", "is not set, and with PostgreSQL there is no default",
				"generate a key with: openssl rand -base64 32 and keep a copy of it; without it the stored tokens are lost")
		}
		d.URL = connection.Secret(encrypted(s, raw))
	default:
		s.bad("DATABASE_URL", "is neither postgres://… nor sqlite:PATH",
			"write one of the two, or leave it out for SQLite in the data folder")
	}

	if d.Keys != "" {
		if _, err := seal.ParseKeys(d.Keys.Reveal()); err != nil {
			s.bad("ENCRYPTION_KEYS", err.Error(),
				"give one or more keys, separated by commas, each 32 random bytes in base64: openssl rand -base64 32")
		}
	}
	return d
}

// checkFile refuses what storage would, before anything is made on the disk.
func checkFile(s *source, path string) {
	const fix = "write sqlite:PATH, for example sqlite:data/switchboard.db"
	host := strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///")
	switch {
	case path == "":
		s.bad("DATABASE_URL", "names no file after sqlite:", fix)
	case path == ":memory:", strings.ContainsAny(path, "?#"), host:
		s.bad("DATABASE_URL", "has to be sqlite: and a plain path, without //, ? or #, and not in memory", fix)
	}
}

// encrypted returns the address with the sslmode that PGSSLMODE names, if it has none of its own; storage's default is
// to insist on TLS. One that does without, outside of this machine, is worth a warning, wherever that was chosen.
func encrypted(s *source, raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw // refused when it is opened
	}

	query := u.Query()
	if env := strings.TrimSpace(s.getenv("PGSSLMODE")); env != "" && !query.Has("sslmode") {
		query.Set("sslmode", env)
		u.RawQuery = query.Encode()
		raw = u.String()
	}

	if storage.InTheClear(raw) {
		s.warn("DATABASE_URL",
			"the database is on another machine, and sslmode lets others read what is sent to it, including its password",
			"put sslmode=verify-full into DATABASE_URL, with the server's certificate authority in sslrootcert; "+
				"require at least")
	}
	return raw
}

// workers reads WORKERS; -1 is none.
func workers(s *source, flag string) int {
	given := s.get(flag, "WORKERS", strconv.Itoa(bot.DefaultWorkers))
	n, err := strconv.Atoi(given)
	switch {
	case err != nil || n < 0 || n > 10_000:
		s.bad("WORKERS", fmt.Sprintf("is %q", given), "write a number from 0 to 10000, for example 128")
		return 0
	case n == 0:
		return -1
	}
	return n
}

var workspaceID = regexp.MustCompile(`^[TE][A-Z0-9]{2,20}$`)

// installs reads INSTALLS: whether workspaces that are not connected yet may connect, or which of them.
func installs(s *source, flag string) (closed bool, admit []string) {
	given := s.get(flag, "INSTALLS", "open")
	switch given {
	case "open":
		return false, nil
	case "closed":
		return true, nil
	}
	for id := range strings.SplitSeq(given, ",") {
		if id = strings.TrimSpace(id); !workspaceID.MatchString(id) {
			s.bad("INSTALLS", fmt.Sprintf("holds %q, which is not the id of a workspace or an organisation", id),
				"write open, closed, or ids with commas, for example T0123ABC,E0456DEF")
			continue
		}
		admit = append(admit, id)
	}
	return true, admit
}

// lease reads INBOX_LEASE. Below a second replicas would take each other's work; above ten minutes a crash is felt too
// long.
func lease(s *source, flag string) time.Duration {
	return duration(s, flag, "INBOX_LEASE", "30s", time.Second, 10*time.Minute,
		"write a duration from 1s to 10m, for example 30s")
}

// drainDelay reads DRAIN_DELAY. A minute is more than any proxy needs, and whoever stops the program waits as long.
func drainDelay(s *source, flag string) time.Duration {
	return duration(s, flag, "DRAIN_DELAY", "5s", 0, time.Minute, "write a duration from 0s to 1m, for example 5s")
}

// duration reads a setting that has bounds.
func duration(s *source, flag, name, fallback string, least, most time.Duration, fix string) time.Duration {
	given := s.get(flag, name, fallback)
	d, err := time.ParseDuration(given)
	if err != nil || d < least || d > most {
		s.bad(name, fmt.Sprintf("is %q", given), fix)
		return 0
	}
	return d
}

// keepDays reads KEEP_DAYS.
func keepDays(s *source, flag string) time.Duration {
	days, err := strconv.Atoi(s.get(flag, "KEEP_DAYS", "90"))
	if err != nil || days < 1 || days > 3650 {
		s.bad("KEEP_DAYS", "is not a number of days from 1 to 3650", "write for example 90, or leave it out")
	}
	return time.Duration(days) * 24 * time.Hour
}

// boolean reads a setting that is true or false, and false when it is not there.
func boolean(s *source, flag, name string) bool {
	v, err := strconv.ParseBool(s.get(flag, name, "false"))
	if err != nil {
		s.bad(name, "is neither true nor false", "write one of the two, or leave it out")
	}
	return v
}

// operatorFlags say who runs this copy, to the people who decide about installing it.
type operatorFlags struct {
	Operator   string `name:"operator-name" placeholder:"NAME" help:"OPERATOR_NAME: who runs this copy, shown to people."`
	SupportURL string `name:"support-url" placeholder:"URL" help:"SUPPORT_URL: where people get help, https://… or mailto:…"`
	PrivacyURL string `name:"privacy-url" placeholder:"URL" help:"PRIVACY_URL: your privacy policy."`
	TermsURL   string `name:"terms-url" placeholder:"URL" help:"TERMS_URL: the terms people agree to."`
}

func (f operatorFlags) read(s *source, app *install.App) {
	app.Operator = s.get(f.Operator, "OPERATOR_NAME", "")
	contact := func(flag, name string) string {
		v := s.get(flag, name, "")
		if u, err := url.Parse(v); v != "" && (err != nil || u.Scheme != "mailto" && (u.Scheme != "https" || u.Host == "")) {
			s.bad(name, "is neither an https:// nor a mailto: address",
				"write for example https://example.com/help or mailto:help@example.com")
		}
		return v
	}
	app.SupportURL, app.PrivacyURL = contact(f.SupportURL, "SUPPORT_URL"), contact(f.PrivacyURL, "PRIVACY_URL")
	app.TermsURL = contact(f.TermsURL, "TERMS_URL")
}

// logFlags choose how much is logged, and how.
type logFlags struct {
	Level  string `name:"log-level" placeholder:"LEVEL" help:"LOG_LEVEL: debug, info, warn or error. Default: info."`
	Format string `name:"log-format" placeholder:"FORMAT" help:"LOG_FORMAT: text or json. Default: text on a terminal, else json."`
}

func (f logFlags) read(s *source, level string) (slog.Level, string) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s.get(f.Level, "LOG_LEVEL", level))); err != nil {
		s.bad("LOG_LEVEL", "is not a level", "use debug, info, warn or error")
	}
	format := s.get(f.Format, "LOG_FORMAT", "")
	if format != "" && format != "text" && format != "json" {
		s.bad("LOG_FORMAT", "is not a format", "use text or json, or leave it out")
	}
	return l, format
}

// publicURL reads PUBLIC_URL. Slack and browsers insist on https; plain http is for this machine alone.
func publicURL(s *source, flag string) string {
	raw := strings.TrimRight(s.get(flag, "PUBLIC_URL", ""), "/")
	if raw == "" {
		return ""
	}
	checkOrigin(s, "PUBLIC_URL", raw, "write the address that people see, for example https://bot.example.com")
	return raw
}

// credentials checks what the app calls Slack's OAuth methods with.
func credentials(s *source, id string, secret connection.Secret) {
	checkClientID(s, id)
	checkSecret(s, "SLACK_CLIENT_SECRET", secret)
}

// slackURL reads SLACK_URL.
func slackURL(s *source, flag string) string {
	address := strings.TrimRight(s.get(flag, "SLACK_URL", "https://slack.com"), "/")
	checkOrigin(s, "SLACK_URL", address, "leave it out, or use https://slack-gov.com for GovSlack")
	u, err := url.Parse(address)
	s.imitated = err == nil && loopback.Is(u.Host)
	return address
}

// checkOrigin insists on scheme and host alone, over https unless it is this machine.
func checkOrigin(s *source, name, raw, fix string) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		s.bad(name, "is not an address with https:// and a host", fix)
		return
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		s.bad(name, "has more than a scheme and a host", fix)
	}
	if u.Scheme == "http" && !loopback.Is(u.Host) {
		s.bad(name, "is not https, and its host is not this machine", fix)
	}
}

// Slack sends to https alone. On this machine http may do, with Socket Mode, a tunnel, or no real Slack.
const (
	httpWarning = "PUBLIC_URL is not https, and Slack only sends to https"
	httpFix     = "put a proxy or a tunnel with https in front and write its address, or use Socket Mode"
)

// overHTTP reports whether a public address is plain http.
func overHTTP(public string) bool { return strings.HasPrefix(strings.ToLower(public), "http:") }

func checkListen(s *source, name, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port) // a number in range, or a name such as http
	}
	if err != nil || port == "" {
		s.bad(name, fmt.Sprintf("%q is not host:port", addr),
			"write for example 127.0.0.1:3000, or :3000 for all addresses of this machine")
	}
}

// hosts reads ADMIN_HOSTS.
func hosts(s *source, flag string) (names []string) {
	for name := range strings.SplitSeq(s.get(flag, "ADMIN_HOSTS", ""), ",") {
		if name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), ".")); name == "" {
			continue
		}
		if strings.ContainsAny(name, "/:*@ ") {
			s.bad("ADMIN_HOSTS", fmt.Sprintf("holds %q, which is not a name", name),
				"write only names, without port or scheme, for example bot.internal,metrics; "+
					"IP addresses always work")
			continue
		}
		names = append(names, name)
	}
	return names
}
