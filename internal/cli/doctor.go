package cli

// doctor: why it doesn't work, and what to do about it. What is looked at is in internal/doctor; this prints it.

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/doctor"
	"github.com/switchboard-go/switchboard/internal/manifest"
)

type doctorCmd struct {
	serveFlags
	JSON    bool `help:"Print JSON."`
	Offline bool `help:"Ask nobody but the database and this machine: not Slack, and not PUBLIC_URL."`
	Fix     bool `help:"Fix what can be fixed safely, and say what was done."`
}

// errFound ends the command with 1. What was found is printed by then, with its fixes.
var errFound = errors.New("something is wrong")

// Help says what the exit code means.
func (*doctorCmd) Help() string {
	return "Run it with the settings of serve, in the same folder, whether serve runs or not. Exit codes: 0 nothing is " +
		"wrong, warnings aside; 1 something is; 2 the settings can't be used."
}

// Run makes all checks and prints what they found.
func (c *doctorCmd) Run(env *environment) error {
	s := env.source()
	cfg := c.config(env, s)
	tokens := &manifest.Tokens{Token: s.secret("SLACK_CONFIG_TOKEN"), Refresh: s.secret("SLACK_CONFIG_REFRESH_TOKEN")}
	if err := s.err(); err != nil {
		return err
	}
	ours, err := env.manifest(cfg.Install.PublicURL)
	if err != nil {
		return err
	}
	if cfg.Bot.AppToken != "" {
		ours = ours.OverSockets()
	}

	slack := &slackapi.API{Address: cfg.Install.SlackURL, HTTP: slackapi.NewHTTPClient(), Now: time.Now}
	tokens.Folder, tokens.Slack = cfg.Database.DataDir, slack
	tokens.Keys = manifest.KeysOf(cfg.Database)
	examined := &doctor.Examined{Program: env.name, Config: cfg, Warnings: s.warnings, Manifest: ours,
		Tokens: tokens, Offline: c.Offline}
	defer examined.Close()
	report := doctor.Examine(env.ctx, examined, c.Fix)

	if c.JSON {
		err = printJSON(env.stdout, report)
	} else {
		err = writeReport(env.stdout, report)
	}
	if err == nil && report.Status == doctor.Failed {
		err = errFound
	}
	return err
}

// writeReport prints areas, their checks, and what each found with its fix.
func writeReport(w io.Writer, report doctor.Report) error {
	var b strings.Builder
	for _, area := range report.Areas {
		fmt.Fprintln(&b, area.Title)
		for _, check := range area.Checks {
			fmt.Fprintf(&b, "  %s %s\n", marks[check.Status], check.Title)
			for _, did := range check.Fixed {
				fmt.Fprintf(&b, "    [fixed] %s\n", printable(did))
			}
			for _, f := range check.Findings {
				fmt.Fprintf(&b, "    %s %s\n", marks[f.Status], printable(f.Text))
				if f.Fix != "" && f.Status != doctor.OK {
					fmt.Fprintf(&b, "           Fix: %s\n", printable(f.Fix))
				}
			}
		}
	}
	fmt.Fprintf(&b, "\n%s\n", summary(report))
	_, err := io.WriteString(w, b.String())
	return err
}

// marks are as wide as each other, so that what follows them stands in one column.
var marks = map[doctor.Status]string{
	doctor.OK: "[ ok ]", doctor.Unknown: "[ -- ]", doctor.Warning: "[warn]", doctor.Failed: "[FAIL]",
}

// summary is the last line: what most people read first.
func summary(r doctor.Report) string {
	words := "Nothing is wrong."
	if r.Failed+r.Warnings > 0 {
		words = fmt.Sprintf("%d failed, %s.", r.Failed, doctor.Amount(r.Warnings, "warning"))
	}
	if r.Unknown > 0 {
		words += fmt.Sprintf(" Not checked: %d.", r.Unknown)
	}
	return words
}
