package cli

// connections list: those that an operator asks for, page by page, however many there are.

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
)

const (
	// listLimit is how many lines of a list people are shown unless they say so.
	listLimit = 50
	// listStep is how many are read at a time, which bounds the memory.
	listStep = 500
)

type listCmd struct {
	reportFlags
	State       []string `placeholder:"STATE" enum:"active,limited,retrying,reconnect_required,removed,paused" help:"Only those in one of these states: ${enum}."`
	Reason      string   `placeholder:"CODE" help:"Only those with this reason, as the list shows it."`
	Missing     string   `placeholder:"SCOPE" help:"Only those that don't have this permission: chat:write."`
	InstalledBy string   `placeholder:"USER" help:"Only those that this person installed: U…."`
	Since       age      `placeholder:"AGE" help:"Only those whose state or reason changed in this time: 2h, 7d."`
	QuietFor    age      `placeholder:"AGE" help:"Only those that Slack has sent nothing for in this time, and that were there before: 30d."`
	Label       string   `placeholder:"TEXT" help:"Only those with this in the label that you gave them."`
	Search      string   `placeholder:"TEXT" help:"Only those with this in their name, their address in Slack, an ID or your label."`
	Limit       int      `placeholder:"N" help:"How many at most. Default: 50, with --json all."`
	After       string   `placeholder:"CURSOR" help:"Continue a list. What stands here is printed at the end of each page, and in each object of --json."`
}

// age is how long ago something was, as an operator types it: Go's durations, and days.
type age time.Duration

// UnmarshalText reads 90m, 2h or 7d.
func (a *age) UnmarshalText(text []byte) error {
	typed := string(text)
	d, err := time.ParseDuration(typed)
	if days, isDays := strings.CutSuffix(typed, "d"); isDays {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
		if n > 100*365 {
			err = errors.New("too long")
		}
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is no length of time: write 90m, 2h or 7d", typed)
	}
	*a = age(d)
	return nil
}

// before is the time that long before now; zero for none.
func (a age) before(now time.Time) time.Time {
	if a == 0 {
		return time.Time{}
	}
	return now.Add(-time.Duration(a))
}

// selection is what was asked for.
func (c *listCmd) selection(in *install.Installer) (s storage.Selection, after storage.Cursor, err error) {
	now := in.Now()
	s = storage.Selection{
		Needed: in.Scopes(), Reason: c.Reason, Missing: c.Missing, InstalledBy: c.InstalledBy, Label: c.Label,
		Search: c.Search, Changed: c.Since.before(now), Quiet: c.QuietFor.before(now),
	}
	for _, state := range c.State {
		s.States = append(s.States, connection.State(state))
	}

	if c.After != "" {
		if after, err = storage.ParseCursor(c.After); err != nil {
			return s, after, badUsage("--after %s: that isn't what a list ended with", printable(c.After))
		}
	}
	if c.Limit < 0 {
		return s, after, badUsage("--limit must be 1 or more")
	}
	return s, after, nil
}

// filtered reports whether it isn't all connections that were asked for.
func (c *listCmd) filtered() bool {
	return len(c.State) > 0 || cmp.Or(c.Reason, c.Missing, c.InstalledBy, c.Label, c.Search, c.After) != "" ||
		c.Since > 0 || c.QuietFor > 0
}

// lister prints records as they come.
type lister interface {
	add(r record) error
	page() error // after some
	end() error
}

// Run prints connections.
func (c *listCmd) Run(env *environment) error {
	return c.withStore(env, func(db *storage.DB, in *install.Installer) error {
		selection, after, err := c.selection(in)
		if err != nil {
			return err
		}

		out := bufio.NewWriter(env.stdout)
		var print lister = &listJSON{jsonList{out: out}}
		limit := c.Limit
		if !c.JSON {
			print = &listTable{out: out, table: tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
			limit = cmp.Or(limit, listLimit)
		}

		n, last, err := c.print(env, db, in, print, selection, after, limit)
		err = errors.Join(err, out.Flush())
		if err != nil || limit == 0 || n == 0 && c.JSON {
			return err
		}
		return c.conclude(env, db, selection, n, limit, last)
	})
}

// print prints a page of a limit (0: all there is), and returns how many there were and where it ended.
func (c *listCmd) print(env *environment, db *storage.DB, in *install.Installer, print lister,
	selection storage.Selection, after storage.Cursor, limit int) (n int, last storage.Cursor, err error) {
	last = after
	for {
		step := listStep
		if limit > 0 {
			step = min(step, limit-n)
		}
		some, err := db.Select(env.ctx, selection, last, step)
		if err != nil {
			return n, last, err
		}
		for _, con := range some {
			if err := print.add(recordOf(in, con)); err != nil {
				return n, last, err
			}
			n, last = n+1, storage.CursorAt(con)
		}

		if len(some) < step || n == limit {
			return n, last, print.end()
		}
		if err := print.page(); err != nil {
			return n, last, err
		}
	}
}

// conclude says how many there are, and how the list goes on. With --json that is not part of the output.
func (c *listCmd) conclude(env *environment, db *storage.DB, selection storage.Selection, n, limit int,
	last storage.Cursor) error {
	to := env.stdout
	if c.JSON {
		to = env.stderr
	}
	switch {
	case n == 0 && c.filtered():
		_, err := fmt.Fprintln(to, "No connection fits.")
		return err
	case n == 0:
		_, err := fmt.Fprintln(to, "No workspace is connected yet.")
		return err
	}

	total, err := db.CountSelected(env.ctx, selection)
	if err != nil || total <= n && c.JSON {
		return err
	}
	if total <= n {
		_, err = fmt.Fprintln(to, connectionsWord(n)+".")
		return err
	}
	line := fmt.Sprintf("Showing %s of %s.", grouped(n), grouped(total))
	if n == limit {
		line += " For the next page, add: --after " + last.String()
	}
	_, err = fmt.Fprintln(to, line)
	return err
}

// connectionsWord counts connections.
func connectionsWord(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return grouped(n) + " connections"
}

type listJSON struct{ jsonList }

func (l *listJSON) add(r record) error { return l.jsonList.add(r) }
func (l *listJSON) page() error        { return l.out.Flush() }

func (l *listJSON) end() error {
	if err := l.jsonList.end(); err != nil {
		return err
	}
	return l.out.WriteByte('\n')
}

type listTable struct {
	out   *bufio.Writer
	table *tabwriter.Writer
	n     int
}

func (l *listTable) add(r record) error {
	if l.n == 0 {
		printRow(l.table, []string{"ID", "WORKSPACE", "TEAM", "STATE", "REASON", "INSTALLED", "LAST EVENT", "LABEL"})
	}
	l.n++
	printRow(l.table, []string{r.ID, r.TeamName, cmp.Or(r.TeamID, r.EnterpriseID), r.State, r.Reason,
		short(r.InstalledAt), short(r.LastEventAt), r.Note})
	return nil
}

func (l *listTable) page() error { return errors.Join(l.table.Flush(), l.out.Flush()) }
func (l *listTable) end() error  { return l.table.Flush() }
