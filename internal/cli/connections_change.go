package cli

// The connections commands that change something: each asks Slack, says what Slack answered, and leaves a line of
// history.

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
)

// slackFlags are for commands that talk to Slack as the app.
type slackFlags struct {
	databaseFlags
	ClientID string `name:"slack-client-id" placeholder:"ID" help:"SLACK_CLIENT_ID: from your app's Basic Information page."`
	SlackURL string `name:"slack-url" placeholder:"URL" help:"SLACK_URL: https://slack.com, or https://slack-gov.com."`
}

// Help names what has no flag.
func (slackFlags) Help() string {
	return "Needs SLACK_CLIENT_ID and SLACK_CLIENT_SECRET, and the database settings that serve runs with. Safe " +
		"while serve runs."
}

// app collects them, and says everything that is wrong with them at once.
func (f slackFlags) app(env *environment) (server.Database, install.Config, error) {
	s := env.source()
	d := f.read(s, true)
	cfg := install.Config{
		PublicURL: env.placeholderURL(), SlackURL: slackURL(s, f.SlackURL),
		ClientID: s.get(f.ClientID, "SLACK_CLIENT_ID", ""), ClientSecret: s.secret("SLACK_CLIENT_SECRET"),
		Log: newLogger(env.stderr, slog.LevelWarn, ""),
	}
	credentials(s, cfg.ClientID, cfg.ClientSecret)
	return d, cfg, s.err()
}

func (f slackFlags) withSlack(env *environment, do func(*storage.DB, *install.Installer) error) error {
	d, cfg, err := f.app(env)
	if err != nil {
		return err
	}
	return use(env, d, cfg, func(db *storage.DB, in *install.Installer) error {
		// First: what can't be opened looks as if there were nothing to ask Slack with.
		if err := checkKeys(env.ctx, db); err != nil {
			return err
		}
		return do(db, in)
	})
}

type disconnectCmd struct {
	slackFlags
	EraseAnyway bool   `help:"Erase our access without asking Slack, when Slack can't be asked. The app stays listed in the workspace until somebody removes it there."`
	Yes         bool   `help:"Do it. Without this, the command only says what would happen."`
	Name        string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// Run removes the app from a workspace.
func (c *disconnectCmd) Run(env *environment) error {
	return c.withSlack(env, func(db *storage.DB, in *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		team := printable(cmp.Or(found.TeamName, found.TeamID))
		if found.State == connection.Removed {
			return fmt.Errorf("%s is no longer connected; nothing was changed", team)
		}

		if !c.Yes {
			_, err := fmt.Fprintf(env.stdout, "This would remove the app from %s (%s) and erase its access and messages "+
				"immediately. "+
				"Everything else stays for KEEP_DAYS.\nNothing was changed. To do it, add --yes.\n", team, found.ID)
			return err
		}

		if c.EraseAnyway {
			if err := in.Leaving().EraseAnyway(env.ctx, found.Key, operator); err != nil {
				return err
			}
			_, err := fmt.Fprintf(env.stdout, "Erased the access to %s. Slack was not asked: the app is listed there until "+
				"somebody removes it on its page in Slack.\n", team)
			return err
		}

		said, err := in.Leaving().Disconnect(env.ctx, found.Key, operator)
		if err != nil {
			return notRemoved(team, said, err)
		}
		_, err = fmt.Fprintln(env.stdout, removed(team, said))
		return err
	})
}

// notRemoved says why the app wasn't removed from team, and what to do about it.
func notRemoved(team, said string, err error) error {
	switch {
	case errors.Is(err, connection.ErrNotConnected):
		return fmt.Errorf("%s is no longer connected; nothing was changed", team)
	case errors.Is(err, slackapi.ErrUnclear):
		return fmt.Errorf("slack gave no clear answer, so we don't know whether the app was removed from %s: %w\n"+
			"Run it again. If Slack has removed the app, it says so", team, slackapi.Cause(err))
	case slackapi.SlackError(err) != "":
		return fmt.Errorf("slack refused to remove the app from %s: %s. Nothing was changed.\n"+
			"Remove it on the app's page in Slack, or erase only our access with --erase-anyway", team, said)
	}
	return fmt.Errorf("%s was not disconnected: %w\nRun it again", team, slackapi.Cause(err))
}

// removed says how the app left team, by Slack's word for it: "" is none.
func removed(team, said string) string {
	switch said {
	case "ok":
		return "Slack removed the app from " + team + ", and its access is erased."
	case "":
		return "There was no token left to ask Slack with. What was stored about " + team + " is erased. If the app is " +
			"still listed there, remove it on its page in Slack."
	}
	return "Slack says (" + said + ") that the app was already gone from " + team + ". Its access is erased."
}

type exchangeCmd struct {
	slackFlags
	All  bool   `help:"All connections that have a long-lived token."`
	Name string `arg:"" optional:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// connections are those to move.
func (c *exchangeCmd) connections(env *environment, db *storage.DB) ([]connection.Connection, error) {
	if c.All {
		return db.List(env.ctx)
	}
	found, err := env.lookup(db, c.Name)
	return []connection.Connection{found}, err
}

// Run moves long-lived tokens to rotation.
func (c *exchangeCmd) Run(env *environment) error {
	if c.All == (c.Name != "") {
		return badUsage("name one connection, or give --all")
	}
	return c.withSlack(env, func(db *storage.DB, in *install.Installer) error {
		chosen, err := c.connections(env, db)
		if err != nil {
			return err
		}

		moved, failed := 0, 0
		for _, con := range chosen {
			team := printable(cmp.Or(con.TeamName, con.TeamID))
			nothing, err := exchange(env, in, con)
			switch {
			case nothing != "":
				if c.Name != "" { // with --all it is to be expected of some
					fmt.Fprintf(env.stdout, "%s: nothing to move: %s.\n", team, nothing)
				}
			case err == nil:
				moved++
				fmt.Fprintf(env.stdout, "%s: moved to rotation.\n", team)
			case env.ctx.Err() != nil:
				return fmt.Errorf("stopped while %s was being moved; what Slack answers is kept. Run it again to continue", team)
			default:
				failed++
				fmt.Fprintf(env.stderr, "%s: not moved; its token keeps working as it is: %s\n", team,
					cmp.Or(slackapi.SlackError(err), slackapi.Cause(err).Error()))
			}
		}

		fmt.Fprintf(env.stdout, "Moved %d connection(s).\n", moved)
		if failed > 0 {
			return fmt.Errorf("%d connection(s) were not moved", failed)
		}
		return nil
	})
}

// exchange moves one connection's token, or says why there is nothing to move.
func exchange(env *environment, in *install.Installer, c connection.Connection) (nothing string, err error) {
	switch {
	case c.State == connection.Removed:
		return "it is not connected", nil
	case c.State == connection.Paused:
		return "it is paused", nil
	case !c.ExpiresAt.IsZero():
		return "its token already rotates", nil
	}
	err = in.Tokens().Exchange(env.ctx, c.Key)
	if errors.Is(err, connection.ErrNotConnected) {
		return "it has no usable token, and needs reconnecting", nil
	}
	return "", err
}
