package cli

// manifest push: Slack's settings become those of the code. What the app may do in a workspace changes only when
// somebody there allows it, so the command says who has to, and the app asks them.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/manifest"
	"github.com/switchboard-go/switchboard/storage"
)

type manifestPushCmd struct {
	settingsFlags
	Yes   bool `help:"Push without asking, for scripts."`
	Prune bool `help:"Take away what only Slack has, too."`
	Tell  bool `default:"true" negatable:"" help:"Have the app ask those who can allow what it needs now, each once. Default: yes."`
	Limit int  `default:"20" placeholder:"N" help:"How many of the workspaces that have to allow more are listed. Default: ${default}."`
}

// Help says what it changes.
func (*manifestPushCmd) Help() string {
	return "Needs SLACK_CONFIG_TOKEN, and the database settings of serve where the app needs permissions that workspaces " +
		"have to allow. Shows what differs, and asks before it changes anything. What only Slack has stays, unless --prune."
}

// pushed is what the command prints as JSON.
type pushed struct {
	difference
	Pushed             bool     `json:"pushed"`
	PermissionsUpdated bool     `json:"permissions_updated"`
	Verify             string   `json:"verify_url"` // the page where Slack has to verify the new address; ""
	Reconsent          consents `json:"reconsent"`
}

// consents are the workspaces that have to allow more than they did.
type consents struct {
	Scopes      []string  `json:"scopes"` // that the app can't do without
	Count       int       `json:"count"`
	Connections []lacking `json:"connections"` // the first of them
	Asked       int       `json:"asked"`       // those whose admins the app asks because of this push
	anew        []string  // of Scopes: new with this push
	selection   storage.Selection
}

// lacking is a connection without a permission that the app can't do without.
type lacking struct {
	ID       string   `json:"id"`
	TeamID   string   `json:"team_id"`
	TeamName string   `json:"team_name"`
	Missing  []string `json:"missing_scopes"`
}

// Run shows what differs, and pushes.
func (c *manifestPushCmd) Run(env *environment) error {
	s := env.source()
	a := c.read(env, s)
	a.needed(s)
	if err := s.err(); err != nil {
		return err
	}
	if c.Limit < 1 {
		return badUsage("--limit must be 1 or more")
	}

	compared, theirs, err := a.compare(env)
	if err != nil {
		return err
	}
	out := pushed{difference: difference{AppID: a.appID, Same: compared.Same(), Comparison: compared}}
	if err := c.consents(env, a, theirs, &out.Reconsent); err != nil {
		return err
	}
	var b strings.Builder
	writeDifferences(&b, a.appID, compared)
	c.writeConsents(&b, env, a, out.Reconsent)
	if err := c.show(env, &b); err != nil {
		return err
	}

	if c.changes(compared) {
		if err := c.confirm(env); err != nil {
			return err
		}
		if err := c.push(env, a, theirs, &out); err != nil {
			return err
		}
	}
	if err := c.ask(env, &out.Reconsent); err != nil {
		return fmt.Errorf("those who have to allow more aren't all asked yet; run this again: %w", err)
	}
	if c.JSON {
		return printJSON(env.stdout, out)
	}
	c.writeDone(&b, env, a, out)
	return c.show(env, &b)
}

// show prints what was written, for people.
func (c *manifestPushCmd) show(env *environment, b *strings.Builder) error {
	defer b.Reset()
	if c.JSON {
		return nil
	}
	_, err := io.WriteString(env.stdout, b.String())
	return err
}

// changes reports whether there is anything to push.
func (c *manifestPushCmd) changes(compared manifest.Comparison) bool {
	return !compared.Same() || c.Prune && len(compared.Kept) > 0
}

// consents finds out who has to allow more. Where nobody does, no database is needed.
func (c *manifestPushCmd) consents(env *environment, a *appSettings, theirs []byte, found *consents) error {
	before, err := manifest.Scopes(theirs)
	if err != nil {
		return err
	}
	ours, err := manifest.Scopes(a.written)
	if err != nil {
		return err
	}
	required := ours.Required
	found.Scopes, found.Connections = required, []lacking{}
	for _, x := range required {
		if !slices.Contains(before.Required, x) {
			found.anew = append(found.anew, x)
		}
	}

	err = c.withStore(env, func(db *storage.DB, in *install.Installer) error {
		found.selection = storage.Selection{States: []connection.State{connection.Limited}}
		for _, x := range required {
			found.selection.Needed = append(found.selection.Needed, connection.Scope{Name: x})
		}
		if found.Count, err = db.CountSelected(env.ctx, found.selection); err != nil {
			return err
		}
		some, err := db.Select(env.ctx, found.selection, storage.Cursor{}, c.Limit)
		for _, x := range some {
			found.Connections = append(found.Connections, lacking{ID: x.ID, TeamID: x.TeamID, TeamName: x.TeamName,
				Missing: connection.ScopeNames(x.Missing(found.selection.Needed))})
		}
		return err
	})
	if err != nil && len(found.anew) == 0 {
		found.selection = storage.Selection{}
		return nil // nothing changes for anybody, so the database isn't needed
	}
	if err != nil && c.Tell {
		return fmt.Errorf("the app needs %s now, and the database that says who has to allow it can't be read; run this "+
			"where serve runs, or add --no-tell: %w", strings.Join(found.anew, ", "), err)
	}
	return nil
}

// writeConsents lists the workspaces that have to allow more, and why.
func (c *manifestPushCmd) writeConsents(b *strings.Builder, env *environment, a *appSettings, found consents) {
	if len(found.anew) > 0 {
		fmt.Fprintf(b, "\nThe app needs what it didn't need before: %s.\n", strings.Join(found.anew, ", "))
	}
	switch {
	case found.selection.States == nil && len(found.anew) > 0:
		b.WriteString("Which workspaces have to allow that isn't known here, without the database.\n")
	case found.Count == 0 && len(found.anew) > 0:
		b.WriteString("No connected workspace has to allow anything for that.\n")
	case found.Count > 0:
		fmt.Fprintf(b, "\n%s to allow more, because the app needs what %s never allowed:\n",
			workspacesHave(found.Count), map[bool]string{true: "it", false: "they"}[found.Count == 1])
		for _, x := range found.Connections {
			fmt.Fprintf(b, "  %s  %s  %s\n", x.ID, printable(x.TeamName), strings.Join(x.Missing, ", "))
		}
		if more := found.Count - len(found.Connections); more > 0 {
			fmt.Fprintf(b, "  and %s more. All of them, page by page: %s connections list --state limited\n", grouped(more),
				env.name)
		}
	}
}

func workspacesHave(n int) string {
	if n == 1 {
		return "1 workspace has"
	}
	return grouped(n) + " workspaces have"
}

// confirm asks the person at the terminal.
func (c *manifestPushCmd) confirm(env *environment) error {
	if c.Yes {
		return nil
	}
	if env.stdin == nil || c.JSON {
		return badUsage("nobody can be asked here. Add --yes to push without asking")
	}
	fmt.Fprint(env.stdout, "\nPush these changes? [y/N] ")
	answer, err := bufio.NewReader(env.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}

// push gives Slack the code's settings.
func (c *manifestPushCmd) push(env *environment, a *appSettings, theirs []byte, out *pushed) error {
	whole, err := manifest.Merge(a.written, theirs, c.Prune)
	if err != nil {
		return err
	}
	if out.PermissionsUpdated, err = a.slack.Update(env.ctx, a.appID, whole); err != nil {
		return err
	}
	out.Pushed = true
	for _, d := range out.Differences {
		if d.Pointer == manifest.EventsURL && d.Code != nil {
			out.Verify = a.page("event-subscriptions")
		}
	}
	return nil
}

// ask marks the connections whose admins the app is to ask.
func (c *manifestPushCmd) ask(env *environment, found *consents) error {
	if !c.Tell || found.Count == 0 {
		return nil
	}
	return c.withStore(env, func(db *storage.DB, in *install.Installer) error {
		var last storage.Cursor
		for {
			some, err := db.Select(env.ctx, found.selection, last, listStep)
			if err != nil {
				return err
			}
			for _, x := range some {
				marked, err := in.Notices().Ask(env.ctx, x.Key, found.Scopes, found.anew)
				if err != nil {
					return err
				}
				if marked {
					found.Asked++
				}
				last = storage.CursorAt(x)
			}
			if len(some) < listStep {
				return nil
			}
		}
	})
}

// writeDone says what was done, and what is still to do.
func (c *manifestPushCmd) writeDone(b *strings.Builder, env *environment, a *appSettings, out pushed) {
	if out.Pushed {
		b.WriteString("Slack has the code's settings now.\n")
	}
	if out.Verify != "" {
		fmt.Fprintf(b, "Slack sends no events to the new address before it was verified. While serve runs, press Verify at\n"+
			"  %s\n", out.Verify)
	}
	switch found := out.Reconsent; {
	case found.Asked > 0:
		fmt.Fprintf(b, "The app asks one person in each of %s, in Slack and once, as soon as the release with these "+
			"permissions runs.\n", plural(found.Asked, "workspace"))
	case found.Count > 0 && c.Tell:
		b.WriteString("Everybody who can allow it was asked before. Nobody is asked twice.\n")
	case found.Count > 0:
		b.WriteString("Nobody is asked, because of --no-tell.\n")
	}
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return grouped(n) + " " + of + "s"
}

// terminal is standard input, if a person is there.
func terminal() io.Reader {
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return os.Stdin
	}
	return nil
}
