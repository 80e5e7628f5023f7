package cli

// import: an app that was built on something else moves here with the workspaces it has, and nobody installs again.

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/bolt"
)

type importCmd struct {
	Bolt importBoltCmd `cmd:"" help:"Take over the installations that an app built on Bolt for JavaScript or Python keeps."`
}

type importBoltCmd struct {
	slackFlags
	From   string `required:"" placeholder:"FILE|DIR|URL" help:"Where Bolt keeps them: the folder of its file store, one file, sqlite:PATH or postgres://…. It is only read."`
	AppID  string `name:"slack-app-id" placeholder:"ID" help:"SLACK_APP_ID: installations of any other app are left out."`
	DryRun bool   `help:"Ask Slack, say what would happen, and store nothing."`
	JSON   bool   `help:"Print JSON."`
}

// importReport is the report as scripts see it. Fields may be added, never renamed.
type importReport struct {
	DryRun        bool         `json:"dry_run"`
	Imported      int          `json:"imported"`
	Unchanged     int          `json:"unchanged"`
	Skipped       int          `json:"skipped"`
	Failed        int          `json:"failed"`
	Installations []importLine `json:"installations"`
}

type importLine struct {
	Result       string `json:"result"` // imported, unchanged, skipped, failed
	From         string `json:"from"`
	AppID        string `json:"app_id"`
	EnterpriseID string `json:"enterprise_id"`
	TeamID       string `json:"team_id"`
	TeamName     string `json:"team_name"`
	UserID       string `json:"user_id"` // whom the access acts for; "" is the bot
	ConnectionID string `json:"connection_id"`
	Renews       bool   `json:"renews"`
	Reason       string `json:"reason"`
}

// Run takes over what Bolt keeps.
func (c *importBoltCmd) Run(env *environment) error {
	d, cfg, err := c.app(env)
	if err != nil {
		return err
	}
	cfg.AppID = env.source().get(c.AppID, "SLACK_APP_ID", "")
	request := install.ImportRequest{ClientID: cfg.ClientID, DryRun: c.DryRun}
	if request.Installations, err = c.read(env); err != nil {
		return err
	}
	if c.DryRun {
		cfg.ClientID = "" // without it nothing is stored, the journal included
	} else if err := d.MakeKey(env.ctx); err != nil {
		return err
	}

	return use(env, d, cfg, func(db *storage.DB, in *install.Installer) error {
		if err := checkKeys(env.ctx, db); err != nil {
			return err
		}
		results, stopped := in.Import(env.ctx, request)
		report := importReport{DryRun: c.DryRun, Installations: []importLine{}}
		for _, r := range results {
			report.add(r)
		}
		err := report.print(env, c.JSON)

		switch {
		case stopped != nil:
			return fmt.Errorf("stopped before all of them were looked at: %w. Run it again to continue", stopped)
		case err == nil && report.Failed > 0 && c.DryRun:
			return fmt.Errorf("%d of them couldn't be looked at now. Run it again", report.Failed)
		case err == nil && report.Failed > 0:
			return fmt.Errorf("%d of them couldn't be imported now. Run it again: what was imported stays", report.Failed)
		}
		return err
	})
}

// read reads what Bolt keeps. All that is wrong with it is told at once, and nothing was done.
func (c *importBoltCmd) read(env *environment) ([]install.Installation, error) {
	found, err := bolt.Read(env.ctx, c.From)
	var wrong *bolt.Error
	if !errors.As(err, &wrong) {
		return found, err
	}
	return nil, server.Wrong("--from", strings.Join(wrong.Problems, "\n    "), wrong.Fix)
}

func (r *importReport) add(one install.ImportResult) {
	counts := map[string]*int{"imported": &r.Imported, "unchanged": &r.Unchanged, "skipped": &r.Skipped,
		"failed": &r.Failed}
	*counts[string(one.Outcome)]++
	r.Installations = append(r.Installations, importLine{
		Result: string(one.Outcome), From: one.From, TeamName: one.TeamName, UserID: one.UserID,
		AppID: one.Key.AppID, EnterpriseID: one.Key.EnterpriseID, TeamID: one.Key.TeamID,
		ConnectionID: one.ConnectionID, Renews: one.Renews, Reason: one.Reason,
	})
}

// print prints the report, for people with what to do next.
func (r *importReport) print(env *environment, asJSON bool) error {
	if asJSON {
		return printJSON(env.stdout, r)
	}

	const heading = "RESULT  WORKSPACE  TEAM  ACTS FOR  FROM  WHY"
	renews := false
	err := list(env, false, r.Installations, "There are no installations.", heading, func(l importLine) []string {
		renews = renews || l.Renews && l.Result == "imported"
		team := cmp.Or(l.TeamID, l.EnterpriseID, "-")
		return []string{l.Result, cmp.Or(l.TeamName, "-"), team, cmp.Or(l.UserID, "the bot"), l.From, l.Reason}
	})
	if err != nil {
		return err
	}

	done := "Imported"
	if r.DryRun {
		done = "Would import"
	}
	fmt.Fprintf(env.stdout, "%s %d, left %d unchanged, skipped %d, failed %d.\n", done, r.Imported, r.Unchanged, r.Skipped,
		r.Failed)
	switch {
	case r.DryRun:
		_, err = fmt.Fprintln(env.stdout, "Nothing was stored. To import, leave out --dry-run.")
	case r.Imported == 0:
		_, err = fmt.Fprintln(env.stdout, "Nothing was changed.")
	case renews:
		_, err = fmt.Fprintf(env.stdout, "%s serve renews the imported tokens right away. The old app must stop "+
			"renewing them: stop it now.\n", env.name)
	}
	return err
}
