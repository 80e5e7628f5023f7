package cli

// manifest validate and diff: the manifest against Slack's rules, and against the app's settings at Slack.

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/manifest"
)

// settingsFlags are for the commands that compare the manifest with the app's settings at Slack.
type settingsFlags struct {
	databaseFlags
	PublicURL string `name:"public-url" placeholder:"URL" help:"PUBLIC_URL: the address that Slack sends to."`
	AppID     string `name:"slack-app-id" placeholder:"ID" help:"SLACK_APP_ID: the app at Slack."`
	SlackURL  string `name:"slack-url" placeholder:"URL" help:"SLACK_URL: Slack's address. Default: https://slack.com."`
	Sockets   bool   `name:"socket-mode" help:"For Socket Mode. Default: whether SLACK_APP_TOKEN is set."`
	JSON      bool   `help:"Print JSON."`
}

// appSettings is what those commands work with.
type appSettings struct {
	appID, public, slackURL string
	code                    bot.Manifest
	written                 json.RawMessage // code as JSON
	wrong                   error           // what is wrong with code; nil: nothing that shows here
	slack                   *manifest.Client
}

// now is the clock that the command goes by.
func (env *environment) now() func() time.Time {
	if env.clock != nil {
		if clock := env.clock(env.getenv); clock != nil {
			return clock
		}
	}
	return time.Now
}

// read collects them. A setting that is wrong is in s.
func (f settingsFlags) read(env *environment, s *source) *appSettings {
	database := f.databaseFlags.read(s, false)
	a := &appSettings{public: publicURL(s, f.PublicURL), slackURL: slackURL(s, f.SlackURL),
		appID: s.get(f.AppID, "SLACK_APP_ID", "")}
	checkAppID(s, a.appID)
	token, refresh := s.secret("SLACK_CONFIG_TOKEN"), s.secret("SLACK_CONFIG_REFRESH_TOKEN")
	if strings.HasPrefix(refresh.Reveal(), "xoxe.") {
		s.bad("SLACK_CONFIG_REFRESH_TOKEN", "is the token itself; the refresh token begins with xoxe-", swapped)
	}
	if token != "" && !strings.HasPrefix(token.Reveal(), "xoxe.xoxp-") {
		s.bad("SLACK_CONFIG_TOKEN", "isn't a configuration token, which begins with xoxe.xoxp-", swapped)
	}

	api := &slackapi.API{Address: a.slackURL, HTTP: slackapi.NewHTTPClient(), Now: env.now()}
	a.slack = &manifest.Client{Slack: api, Tokens: &manifest.Tokens{Token: token, Refresh: refresh, Slack: api,
		Folder: database.DataDir, Keys: manifest.KeysOf(database), Renewed: func(file string) {
			fmt.Fprintf(env.stderr, "The configuration token was renewed. The new pair is in %s, and counts from now on.\n", file)
		}}}

	a.code, a.wrong = env.manifest(cmp.Or(a.public, env.placeholderURL()))
	if f.Sockets || s.secret("SLACK_APP_TOKEN") != "" {
		a.code = a.code.OverSockets()
	}
	a.written, _ = json.Marshal(a.code) // plain values
	return a
}

const swapped = "copy both from Your App Configuration Tokens at " + manifest.TokensPage

// needed are the settings without which there is nothing to compare.
func (a *appSettings) needed(s *source) {
	if a.public == "" {
		s.bad("PUBLIC_URL", "is not set, and the app's addresses at Slack can't be compared without it",
			"write the address that people see, for example https://bot.example.com")
	}
	if a.appID == "" {
		s.bad("SLACK_APP_ID", "is not set, so it isn't clear which app's settings are meant",
			"copy it from the app's Basic Information page at "+manifest.TokensPage)
	}
}

// compare asks Slack, and compares.
func (a *appSettings) compare(env *environment) (manifest.Comparison, json.RawMessage, error) {
	if a.wrong != nil {
		return manifest.Comparison{}, nil, a.wrong
	}
	theirs, err := a.slack.Export(env.ctx, a.appID)
	if err != nil {
		return manifest.Comparison{}, nil, err
	}
	compared, err := manifest.Compare(a.written, theirs)
	return compared, theirs, err
}

// page is one of Slack's pages about the app.
func (a *appSettings) page(name string) string {
	host := "https://api.slack.com"
	if a.slackURL == "https://slack-gov.com" {
		host = "https://api.slack-gov.com"
	}
	return host + "/apps/" + a.appID + "/" + name
}

type manifestValidateCmd struct{ settingsFlags }

// Help says what the exit code means.
func (*manifestValidateCmd) Help() string {
	return "Exit codes: 0 the manifest is valid; 1 it isn't, and each error is on a line of its own; 2 the settings can't be " +
		"used. Without SLACK_CONFIG_TOKEN Slack isn't asked."
}

// validation is what the command prints as JSON.
type validation struct {
	Valid   bool               `json:"valid"`
	BySlack bool               `json:"checked_by_slack"`
	Errors  []manifest.Problem `json:"errors"`
}

// Run checks the manifest here, then has Slack check it.
func (c *manifestValidateCmd) Run(env *environment) error {
	s := env.source()
	a := c.read(env, s)
	if err := s.err(); err != nil {
		return err
	}

	v := validation{Errors: []manifest.Problem{}}
	if a.wrong != nil {
		for line := range strings.SplitSeq(a.wrong.Error(), "\n") {
			v.Errors = append(v.Errors, manifest.Problem{Message: strings.TrimPrefix(line, "manifest: ")})
		}
	}
	if a.slack.Tokens.Given() {
		err := a.slack.Validate(env.ctx, a.appID, a.written)
		var refused *manifest.Invalid
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		v.BySlack = true
		if refused != nil {
			v.Errors = append(v.Errors, refused.Problems...)
		}
	}
	v.Valid = len(v.Errors) == 0

	var err error
	if c.JSON {
		err = printJSON(env.stdout, v)
	} else {
		err = writeValidation(env.stdout, v)
	}
	if err == nil && !v.Valid {
		err = errFound
	}
	return err
}

func writeValidation(w io.Writer, v validation) error {
	var b strings.Builder
	for _, p := range v.Errors {
		fmt.Fprintf(&b, "%s: %s\n", cmp.Or(p.Pointer, "manifest"), printable(p.Message))
	}
	switch {
	case !v.Valid:
	case v.BySlack:
		b.WriteString("The manifest is valid, here and at Slack.\n")
	default:
		b.WriteString("The manifest is valid as far as can be told here. With SLACK_CONFIG_TOKEN Slack checks it, too.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type manifestDiffCmd struct{ settingsFlags }

// Help says what the exit code means.
func (*manifestDiffCmd) Help() string {
	return "Needs SLACK_CONFIG_TOKEN. Exit codes: 0 the code and Slack have the same; 1 they differ, or Slack couldn't be " +
		"asked; 2 the settings can't be used."
}

// difference is what diff prints as JSON.
type difference struct {
	AppID string `json:"app_id"`
	Same  bool   `json:"same"`
	manifest.Comparison
}

// Run prints what differs.
func (c *manifestDiffCmd) Run(env *environment) error {
	s := env.source()
	a := c.read(env, s)
	a.needed(s)
	if err := s.err(); err != nil {
		return err
	}
	compared, _, err := a.compare(env)
	if err != nil {
		return err
	}

	if c.JSON {
		err = printJSON(env.stdout, difference{AppID: a.appID, Same: compared.Same(), Comparison: compared})
	} else {
		var b strings.Builder
		writeDifferences(&b, a.appID, compared)
		if !compared.Same() {
			fmt.Fprintf(&b, "\nTo give Slack the code's settings: %s manifest push\n", env.name)
		}
		_, err = io.WriteString(env.stdout, b.String())
	}
	if err == nil && !compared.Same() {
		err = errFound
	}
	return err
}

// signs are what a push does with a setting at Slack.
var signs = map[manifest.Change]string{manifest.Added: "+", manifest.Removed: "-", manifest.Changed: "~"}

// writeDifferences prints them by groups, what is kept, and what no push can change.
func writeDifferences(b *strings.Builder, appID string, compared manifest.Comparison) {
	if compared.Same() {
		fmt.Fprintf(b, "The settings of %s at Slack are those of the code.\n", appID)
	} else {
		fmt.Fprintf(b, "The settings of %s at Slack differ from the code. A push adds (+), removes (-) or changes (~):\n",
			appID)
	}
	for _, g := range manifest.Groups {
		found := compared.Of(g.Name)
		if len(found) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n%s\n", g.Title)
		for _, d := range found {
			fmt.Fprintf(b, "  %s %s\n", signs[d.Change], printable(sentenceOf(d)))
		}
	}

	if len(compared.Kept) > 0 {
		fmt.Fprintf(b, "\nOnly at Slack, and nothing that the code decides: %s\n",
			printable(strings.Join(compared.Kept, ", ")))
	}
	for _, note := range compared.Notes {
		fmt.Fprintf(b, "\nNote: %s\n", note)
	}
}

// sentenceOf is a difference in one line.
func sentenceOf(d manifest.Difference) string {
	what := d.Setting
	if d.Item != "" {
		what += " " + d.Item
	}
	switch {
	case d.Change != manifest.Changed && d.Item != "":
		return what
	case d.Change == manifest.Added:
		return what + ": " + valueText(d.Code)
	case d.Change == manifest.Removed:
		return what + ": Slack has " + valueText(d.Slack) + ", the code nothing"
	}
	return what + ": Slack has " + valueText(d.Slack) + ", the code " + valueText(d.Code)
}

// valueText is a value as people read it.
func valueText(v any) string {
	const most = 200
	switch v := v.(type) {
	case nil:
		return "nothing"
	case bool:
		return map[bool]string{true: "on", false: "off"}[v]
	case string:
		if r := []rune(v); len(r) > most {
			v = string(r[:most]) + "…"
		}
		if strings.HasPrefix(v, "https://") || strings.HasPrefix(v, "http://") {
			return v
		}
		return fmt.Sprintf("%q", v)
	}
	raw, _ := json.Marshal(v)
	if r := []rune(string(raw)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(raw)
}
