package cli

// init: from an empty folder to an app that serve can run, without an editor. What .env has already is never changed:
// a first call writes the file, a later one adds what Slack tells only once the app is there.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/loopback"
	"github.com/switchboard-go/switchboard/internal/manifest"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage/seal"
)

type initCmd struct {
	databaseFlags
	operatorFlags
	PublicURL string `name:"public-url" placeholder:"URL" help:"PUBLIC_URL: the address that browsers and Slack see."`
	Sockets   bool   `name:"socket-mode" help:"For Socket Mode: Slack sends through connections that serve opens, not to an address."`
	AppID     string `name:"slack-app-id" placeholder:"ID" help:"SLACK_APP_ID: from the app's Basic Information page, once there is an app."`
	ClientID  string `name:"slack-client-id" placeholder:"ID" help:"SLACK_CLIENT_ID: from the same page."`
	SlackURL  string `name:"slack-url" placeholder:"URL" help:"SLACK_URL: https://slack.com, or https://slack-gov.com."`
}

// Help says what it does for whom.
func (*initCmd) Help() string {
	return "On a terminal it asks for what is missing. In a script, secrets come from the environment, each also as " +
		"NAME_FILE: DATABASE_URL, ENCRYPTION_KEYS, SLACK_CLIENT_SECRET, SLACK_SIGNING_SECRET, and SLACK_APP_TOKEN for " +
		"Socket Mode. It writes .env, which only you can read, and prints a link that makes the app in Slack. Run it again " +
		"to add the app's credentials. It never changes what .env has already."
}

// setup is one call of init.
type setup struct {
	*initCmd
	env    *environment
	s      *source
	ask    *asker
	found  bool // .env is here from an earlier call
	public string
	data   server.Database
	slack  string
	lines  []envLine // for .env, not written yet
}

// Run writes .env and says what is to be done in Slack.
func (c *initCmd) Run(env *environment) error {
	in := &setup{initCmd: c, env: env, s: env.source(), ask: newAsker(env)}
	defer in.ask.close()
	if err := in.look(); err != nil {
		return err
	}

	m, err := in.settle()
	if err != nil {
		return err
	}
	if !in.found {
		if err := in.writeNew(); err != nil {
			return err
		}
	}
	return in.connect(m)
}

// look refuses a .env that isn't one to go on with.
func (in *setup) look() error {
	_, err := os.Lstat(".env")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return in.s.err()
	case err != nil:
		return fmt.Errorf("look at .env: %w", err)
	}

	in.found = true
	if err := in.s.err(); err != nil {
		return err
	}
	if in.s.dotenv["PUBLIC_URL"] == "" {
		return errors.New("there is a .env in this folder, and init didn't write it: it has no PUBLIC_URL. Nothing was " +
			"changed. Move it away, or go to another folder")
	}
	if len(in.missing()) == 0 {
		return fmt.Errorf("the .env in this folder is complete, and nothing was changed. Start the app with: %s serve. "+
			"To begin anew, move .env away, but keep its ENCRYPTION_KEYS: without them the stored tokens are lost",
			in.env.name)
	}
	return in.differs()
}

// differs refuses flags that say something else than .env.
func (in *setup) differs() error {
	for _, given := range in.plain() {
		if has := in.s.dotenv[given.name]; given.value != "" && given.value != has {
			in.s.bad(given.name, "isn't what .env has, and init changes nothing there",
				"correct it in .env, or leave the flag out")
		}
	}
	return in.s.err()
}

// plain are the settings that are no credentials, by their flags.
func (in *setup) plain() []envLine {
	return []envLine{
		{"PUBLIC_URL", strings.TrimRight(in.PublicURL, "/")}, {"SLACK_URL", strings.TrimRight(in.SlackURL, "/")},
		{"DATABASE_URL", in.DatabaseURL}, {"DATA_DIR", in.DataDir}, {"OPERATOR_NAME", in.Operator},
		{"SUPPORT_URL", in.SupportURL}, {"PRIVACY_URL", in.PrivacyURL}, {"TERMS_URL", in.TermsURL},
	}
}

// credentialNames are what Slack tells once the app is there.
func (in *setup) credentialNames() []string {
	last := "SLACK_SIGNING_SECRET"
	if in.Sockets || in.s.getenv("SLACK_APP_TOKEN") != "" || in.s.getenv("SLACK_APP_TOKEN_FILE") != "" ||
		in.has("SLACK_APP_TOKEN") {
		last = "SLACK_APP_TOKEN"
	}
	return []string{"SLACK_APP_ID", "SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET", last}
}

func (in *setup) has(name string) bool {
	return in.s.dotenv[name] != "" || in.s.dotenv[name+"_FILE"] != ""
}

// missing are the credentials that .env doesn't have.
func (in *setup) missing() []string {
	return slices.DeleteFunc(in.credentialNames(), in.has)
}

// settle learns every setting but the credentials, and makes the manifest of them. Nothing is written.
func (in *setup) settle() (m bot.Manifest, err error) {
	s := in.s
	if token := s.secret("SLACK_CONFIG_TOKEN"); token != "" && !strings.HasPrefix(token.Reveal(), "xoxe.xoxp-") {
		s.bad("SLACK_CONFIG_TOKEN", "isn't a configuration token, which begins with xoxe.xoxp-",
			"copy it from Your App Configuration Tokens at "+manifest.TokensPage)
		return m, s.err()
	}
	if err := in.askForSettings(); err != nil {
		return m, err
	}

	in.slack = slackURL(s, in.SlackURL)
	in.ask.imitated = s.imitated
	if in.public = publicURL(s, in.PublicURL); in.public == "" {
		s.bad("PUBLIC_URL", "is not set",
			"add --public-url with the address that people see, for example https://bot.example.com")
	}
	in.data = in.databaseFlags.read(s, false)
	var about install.App
	in.operatorFlags.read(s, &about)
	if err := s.err(); err != nil {
		return m, err
	}
	if overHTTP(in.public) && !in.Sockets && !s.imitated {
		fmt.Fprintf(in.env.stderr, "%s: %s.\n", httpWarning, httpFix)
	}

	if m, err = in.env.manifest(in.public); err != nil {
		return m, err
	}
	if in.Sockets {
		m = m.OverSockets()
	}
	if in.found {
		return m, nil
	}
	return m, in.compose(about)
}

// askForSettings asks for what flags and environment leave open.
func (in *setup) askForSettings() (err error) {
	if in.found || !in.ask.can {
		return nil
	}

	if in.s.get(in.PublicURL, "PUBLIC_URL", "") == "" {
		in.PublicURL, err = in.ask.until("The public address of the app, for example https://bot.example.com: ", false,
			func(s *source, v string) {
				if publicURL(s, v) == "" {
					s.bad("PUBLIC_URL", "is needed", "write the address that people see")
				}
			})
		if err != nil {
			return err
		}
	}

	if _, given := in.s.asGiven("DATABASE_URL", in.DatabaseURL); given == "" {
		const question = "The database: press Enter for SQLite in a file, or write postgres for PostgreSQL: "
		kind, err := in.ask.until(question, false, func(s *source, v string) {
			if v != "" && v != "sqlite" && v != "postgres" {
				s.bad("DATABASE_URL", "is neither", "press Enter, or write postgres")
			}
		})
		if err != nil {
			return err
		}
		if kind == "postgres" {
			in.DatabaseURL, err = in.ask.until("Its address, postgres://… (not shown): ", true, func(s *source, v string) {
				databaseFlags{DatabaseURL: cmp.Or(v, "-")}.read(s, false)
			})
			if err != nil {
				return err
			}
		}
	}

	if in.s.get(in.Operator, "OPERATOR_NAME", "") == "" {
		in.Operator, err = in.ask.until("Who runs it, shown to people, for example Acme IT (Enter: nobody): ", false, nil)
	}
	return err
}

// compose collects the lines of a new .env.
func (in *setup) compose(about install.App) error {
	s, data := in.s, in.data
	add := func(name, value string) {
		if value != "" {
			in.lines = append(in.lines, envLine{name, value})
		}
	}

	add("PUBLIC_URL", in.public)
	add(s.asGiven("DATABASE_URL", in.DatabaseURL))
	add("DATA_DIR", s.get(in.DataDir, "DATA_DIR", ""))
	add("OPERATOR_NAME", about.Operator)
	add("SUPPORT_URL", about.SupportURL)
	add("PRIVACY_URL", about.PrivacyURL)
	add("TERMS_URL", about.TermsURL)
	if in.slack != "https://slack.com" {
		add("SLACK_URL", in.slack)
	}

	name, keys := s.asGiven("ENCRYPTION_KEYS", "")
	switch {
	case keys != "":
		add(name, keys)
	case data.Path() == "":
		add("ENCRYPTION_KEYS", seal.NewKey())
	case exists(data.KeyFile()): // it is the key of what is stored there
	case exists(data.Path()):
		return fmt.Errorf("%s is here already, and the key that it is encrypted with isn't. Nothing was written. Put that "+
			"key into ENCRYPTION_KEYS, or name another file with --database-url", data.Path())
	default:
		add("ENCRYPTION_KEYS", seal.NewKey())
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// asGiven is a setting as the flag or the environment has it: a secret that comes as NAME_FILE stays in its file.
func (s *source) asGiven(name, flag string) (as, value string) {
	if file := strings.TrimSpace(s.getenv(name + "_FILE")); flag == "" && file != "" {
		return name + "_FILE", file
	}
	return name, cmp.Or(strings.TrimSpace(flag), strings.TrimSpace(s.getenv(name)))
}

// writeNew makes .env, and reads it as serve will.
func (in *setup) writeNew() error {
	if err := newEnvFile(".env", in.lines); err != nil {
		return err
	}
	written := newSource(func(string) string { return "" })
	if err := written.err(); err != nil { // of the folder it is in
		return errors.Join(err, os.Remove(".env"))
	}

	out := in.env.stdout
	fmt.Fprintf(out, "Wrote .env, which only you can read: %s.\n", namesOf(in.lines))
	if slices.ContainsFunc(in.lines, func(l envLine) bool { return l.name == "ENCRYPTION_KEYS" }) {
		fmt.Fprintln(out, "Keep a copy of ENCRYPTION_KEYS somewhere else. Without it the stored tokens are lost.")
	}
	in.lines = nil
	return nil
}

// connect gets the credentials of the app, and adds them to .env.
func (in *setup) connect(m bot.Manifest) error {
	if err := in.given(); err != nil {
		return err
	}
	if in.withToken() {
		if err := in.makeApp(m); err != nil {
			return err
		}
	}
	if len(in.pending()) > 0 {
		if err := in.sayHow(m); err != nil {
			return err
		}
		if err := in.askForCredentials(); err != nil {
			return err
		}
	}

	if len(in.lines) > 0 {
		if err := appendToEnvFile(".env", in.lines); err != nil {
			return err
		}
		fmt.Fprintf(in.env.stdout, "Added to .env: %s.\n", namesOf(in.lines))
	}
	return in.sayNext()
}

// given takes the credentials that flags and environment have and .env hasn't.
func (in *setup) given() error {
	s := in.s
	flags := map[string]string{"SLACK_APP_ID": in.AppID, "SLACK_CLIENT_ID": in.ClientID}
	for _, name := range in.credentialNames() {
		as, value := s.asGiven(name, flags[name])
		switch {
		case value == "":
		case !in.has(name):
			if as == name {
				checkCredential(s, name, value)
			} else {
				checkCredential(s, name, s.secret(name).Reveal())
			}
			in.lines = append(in.lines, envLine{as, value})
		case value != s.dotenv[as]:
			s.bad(name, "isn't what .env has, and init changes nothing there",
				"correct it in .env, or don't set it for init")
		}
	}
	return s.err()
}

// withToken reports whether Slack can be asked to make the app: there is a configuration token, and no app yet.
func (in *setup) withToken() bool {
	return len(in.lines) == 0 && !in.has("SLACK_APP_ID") && !in.has("SLACK_CLIENT_ID") &&
		(in.s.secret("SLACK_CONFIG_TOKEN") != "" || in.s.secret("SLACK_CONFIG_REFRESH_TOKEN") != "")
}

// makeApp has Slack make the app, and keeps its credentials before anything else: Slack tells them this once.
func (in *setup) makeApp(m bot.Manifest) error {
	api := &slackapi.API{Address: in.slack, HTTP: slackapi.NewHTTPClient(), Now: time.Now}
	client := manifest.Client{Slack: api, Tokens: &manifest.Tokens{Token: in.s.secret("SLACK_CONFIG_TOKEN"),
		Refresh: in.s.secret("SLACK_CONFIG_REFRESH_TOKEN"), Folder: in.data.DataDir, Slack: api,
		Keys: manifest.KeysOf(in.data)}}
	written, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}

	made, err := client.Create(in.env.ctx, written)
	var wrong *server.ConfigError
	var refused *manifest.Invalid
	switch {
	case errors.As(err, &wrong), errors.As(err, &refused), err != nil && slackapi.SlackError(err) != "":
		return fmt.Errorf("no app was made: %w", err)
	case err != nil: // the answer may be what was lost
		return fmt.Errorf("make the app: %w. Look at %s whether it is there, before you try again", err, appsPage(in.slack))
	}
	fmt.Fprintf(in.env.stdout, "\nMade the app %s in Slack.\n", made.AppID)

	lines := []envLine{{"SLACK_APP_ID", made.AppID}, {"SLACK_CLIENT_ID", made.ClientID},
		{"SLACK_CLIENT_SECRET", made.ClientSecret.Reveal()}, {"SLACK_SIGNING_SECRET", made.SigningSecret.Reveal()}}
	if err := appendToEnvFile(".env", lines); err != nil {
		return in.keepElsewhere(made.AppID, lines, err)
	}
	fmt.Fprintf(in.env.stdout, "Added to .env: %s.\n", namesOf(lines))
	in.reread()
	return nil
}

// keepElsewhere saves the credentials of an app that Slack has made when .env doesn't take them.
func (in *setup) keepElsewhere(app string, lines []envLine, why error) error {
	page := appsPage(in.slack) + "/" + app + "/general"
	folder, err := os.MkdirTemp("", in.env.name+"-init-") // for us alone
	path := filepath.Join(folder, "credentials")
	if err == nil {
		err = newEnvFile(path, lines)
	}
	if err != nil {
		return fmt.Errorf("%w. The app's credentials are at %s. Run init again without SLACK_CONFIG_TOKEN, and paste them",
			why, page)
	}
	return fmt.Errorf("%w. The app's credentials are in %s, and at %s. Add that file's lines to .env and delete it", why,
		path, page)
}

// reread learns what .env has now.
func (in *setup) reread() { in.s.dotenv = newSource(in.env.getenv).dotenv }

// checkCredential refuses what Slack's values don't look like.
func checkCredential(s *source, name, value string) {
	switch name {
	case "SLACK_APP_ID":
		checkAppID(s, value)
	case "SLACK_CLIENT_ID":
		checkClientID(s, value)
	case "SLACK_APP_TOKEN":
		checkAppToken(s, s.checked(name, value))
	default:
		checkSecret(s, name, s.checked(name, value))
	}
}

// labels are the names under which Slack's page shows the credentials.
var labels = map[string]string{
	"SLACK_APP_ID": "App ID", "SLACK_CLIENT_ID": "Client ID", "SLACK_CLIENT_SECRET": "Client Secret",
	"SLACK_SIGNING_SECRET": "Signing Secret", "SLACK_APP_TOKEN": "App-level token",
}

// pending are the credentials that neither .env nor the lines for it have.
func (in *setup) pending() []string {
	return slices.DeleteFunc(in.missing(), func(name string) bool {
		return slices.ContainsFunc(in.lines, func(l envLine) bool { return strings.TrimSuffix(l.name, "_FILE") == name })
	})
}

// longestURL is what servers and browsers take for certain.
const longestURL = 8000

// sayHow says how to make the app, and where its credentials are shown.
func (in *setup) sayHow(m bot.Manifest) error {
	link, err := manifestLink(in.slack, m)
	if err != nil {
		return err
	}
	out := in.env.stdout
	if !in.has("SLACK_APP_ID") && !in.has("SLACK_CLIENT_ID") && len(in.lines) == 0 { // there is no app yet
		if len(link) <= longestURL {
			fmt.Fprintf(out, "\nMake the Slack app: open this link, pick a workspace, press Next and then Create.\n\n%s\n\n",
				link)
		} else {
			fmt.Fprintf(out, "\nMake the Slack app: at %s press Create New App, choose From a manifest, pick a workspace,\n"+
				"and paste what this prints: %s manifest%s\n\n", appsPage(in.slack), in.env.name,
				map[bool]string{true: " --socket-mode"}[in.Sockets])
		}
	}

	var wanted []string
	for _, name := range in.pending() {
		wanted = append(wanted, labels[name]+" ("+name+")")
	}
	fmt.Fprintf(out, "The app's Basic Information page shows what is still missing: %s.\n", inWords(wanted))
	if slices.Contains(in.pending(), "SLACK_APP_TOKEN") {
		fmt.Fprintln(out, "Generate the App-level token there, with the scope connections:write.")
	}
	if !in.ask.can {
		fmt.Fprintf(out, "Then run %s init again. On a terminal it asks for them. In a script, put them into the "+
			"environment.\n", in.env.name)
	}
	return nil
}

// appsPage is where Slack shows people their apps.
func appsPage(slack string) string {
	u, err := url.Parse(slack)
	if err == nil && !loopback.Is(u.Host) {
		u.Host = "api." + u.Host
	}
	return u.String() + "/apps"
}

// manifestLink opens the page on which Slack makes an app of m.
// https://docs.slack.dev/app-manifests/configuring-apps-with-app-manifests
func manifestLink(slack string, m bot.Manifest) (string, error) {
	var text bytes.Buffer
	written := json.NewEncoder(&text)
	written.SetEscapeHTML(false)
	if err := written.Encode(m); err != nil {
		return "", fmt.Errorf("write manifest: %w", err)
	}
	escaped := strings.ReplaceAll(url.QueryEscape(strings.TrimSpace(text.String())), "+", "%20")
	return appsPage(slack) + "?new_app=1&manifest_json=" + escaped, nil
}

// askForCredentials asks for what is still missing. Who has it not at hand presses Enter.
func (in *setup) askForCredentials() error {
	if !in.ask.can {
		return nil
	}
	fmt.Fprintf(in.env.stdout, "Paste each here, or press Enter to do that later with %s init.\n", in.env.name)
	for _, name := range in.pending() {
		secret := slices.Contains(secretNames, name)
		question := labels[name] + ": "
		if secret {
			question = labels[name] + " (not shown): "
		}
		value, err := in.ask.until(question, secret, func(s *source, v string) {
			if v != "" {
				checkCredential(s, name, v)
			}
		})
		if err != nil {
			return err
		}
		if value == "" {
			break
		}
		in.lines = append(in.lines, envLine{name, value})
	}
	return nil
}

// sayNext says what is left to do.
func (in *setup) sayNext() error {
	if in.reread(); len(in.missing()) > 0 {
		return nil
	}

	out, name := in.env.stdout, in.env.name
	fmt.Fprint(out, "\n.env is complete. Next:\n\n")
	if in.data.Path() == "" {
		fmt.Fprintf(out, "  %s migrate up\n", name)
	}
	fmt.Fprintf(out, "  %s serve\n\n", name)
	if !in.Sockets && !slices.Contains(in.credentialNames(), "SLACK_APP_TOKEN") {
		fmt.Fprintf(out, "While it runs, press Retry next to the Request URL on this page, so that Slack verifies it:\n"+
			"%s/%s/event-subscriptions\n", appsPage(in.slack), in.s.dotenv["SLACK_APP_ID"])
	}
	_, err := fmt.Fprintf(out, "Then open %s/ and add the app.\n", in.public)
	return err
}

// inWords is a, b and c.
func inWords(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

func namesOf(lines []envLine) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.name)
	}
	return inWords(all)
}
