package cli

// What an operator does about one connection that leaves it connected: ask Slack, make a link, pause, resume, note
// something on it.

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/storage"
)

// operator is who acts at the command line.
var operator = connection.Actor{Kind: connection.ByOperator}

// named is what an operator reads for a connection.
func named(c connection.Connection) string {
	return printable(cmp.Or(c.TeamName, c.EnterpriseName, c.TeamID, c.EnterpriseID))
}

type checkCmd struct {
	slackFlags
	JSON bool   `help:"Print JSON."`
	Name string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// checked is what a check found, as scripts see it. Fields may be added, never renamed.
type checked struct {
	record
	Answered  bool   `json:"slack_answered"`
	Sentence  string `json:"sentence"`
	NextStep  string `json:"next_step"`
	WorksTill string `json:"works_until"` // it needs reconnecting and works until then; "" for neither
}

// Run asks Slack.
func (c *checkCmd) Run(env *environment) error {
	return c.withSlack(env, func(db *storage.DB, in *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		return tellCheck(env, in, found, c.JSON)
	})
}

// tellCheck checks a connection and says what came of it. It is an error that the connection can't be used.
func tellCheck(env *environment, in *install.Installer, c connection.Connection, asJSON bool) error {
	h := in.Check(env.ctx, c.Key)
	works := h.State == connection.Active || h.State == connection.Limited && !h.Lacking
	if asJSON {
		now := checked{record: recordOf(in, h.Connection), Answered: h.Live, Sentence: h.Sentence, NextStep: h.NextStep}
		now.State, now.Label, now.Reason = string(h.State), h.Label, h.Reason
		if until := stamp(h.WorksUntil); until != nil {
			now.WorksTill = *until
		}
		if err := printJSON(env.stdout, now); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(env.stdout, "%s: %s\n", named(c), checkWords(h)); err != nil {
		return err
	}
	if works {
		return nil
	}
	return fmt.Errorf("%s doesn't work in %s: %s", env.Name, named(c), cmp.Or(h.Reason, string(h.State)))
}

// checkWords is what a check found, in sentences.
func checkWords(h install.Health) string {
	said := "There is no token that Slack could be asked with."
	switch {
	case h.Live && (h.Reason == "" || h.State == connection.Limited):
		said = "Slack confirmed its access just now."
	case h.Live:
		said = "Slack answered: " + h.Reason + "."
	case h.State == connection.Paused:
		said = "Slack isn't asked during a pause."
	case h.State == connection.Unknown:
		said = "" // the reason says who didn't answer
	}
	return printable(together(h.Label+".", said, h.ReasonText, h.Sentence, h.NextStep))
}

// together joins those that say something, each once.
func together(all ...string) string {
	var kept []string
	for _, s := range all {
		if s != "" && !strings.Contains(strings.Join(kept, " "), s) {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, " ")
}

// longestLink is how long a link can last: that it was used is remembered for longer.
const longestLink = 7 * 24 * time.Hour

type linkCmd struct {
	databaseFlags
	PublicURL string `name:"public-url" placeholder:"URL" help:"PUBLIC_URL: the address that people see."`
	For       age    `placeholder:"AGE" help:"How long the link lasts, 7d at most. Default: 1h."`
	Name      string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// Run prints a link on standard output, and what it is on standard error.
func (c *linkCmd) Run(env *environment) error {
	s := env.source()
	d := c.read(s, true)
	public := publicURL(s, c.PublicURL)
	if public == "" {
		s.bad("PUBLIC_URL", "is not set, so there is no address for a link",
			"set it to the address that people see, as serve has it")
	}
	if s.secret("SLACK_BOT_TOKEN") != "" {
		s.bad("SLACK_BOT_TOKEN", "is set: the workspace's access is set by hand, and no link changes it",
			"put a token that works into SLACK_BOT_TOKEN")
	}
	lasts := time.Duration(cmp.Or(c.For, age(links.LinkLife)))
	if lasts > longestLink {
		return badUsage("--for must be 7d or less")
	}
	if err := s.err(); err != nil {
		return err
	}

	return use(env, d, install.Config{PublicURL: public}, func(db *storage.DB, in *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		if err := checkKeys(env.ctx, db); err != nil {
			return err // serve wouldn't take what is signed with these
		}

		until := in.Now().Add(lasts)
		link := in.Links().GrantUntil(found, links.GrantRequest{}, until)
		if _, err := fmt.Fprintln(env.stdout, link); err != nil {
			return err
		}
		fmt.Fprintf(env.stderr, "This link reconnects %s (%s), and no other workspace. It works once and expires in %s, at %s. "+
			"Treat it as a secret.\n", named(found), found.ID, lifeWords(lasts), short(stamp(until)))
		if found.State == connection.Paused {
			fmt.Fprintf(env.stderr, "The connection is paused, and stays paused. To end that: %s connections resume %s\n",
				env.name, found.ID)
		}
		return nil
	})
}

// lifeWords is a length of time as people say it.
func lifeWords(d time.Duration) string {
	unit, n := "minute", int(d/time.Minute)
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		unit, n = "day", int(d/(24*time.Hour))
	case d >= time.Hour && d%time.Hour == 0:
		unit, n = "hour", int(d/time.Hour)
	case d < time.Minute:
		unit, n = "second", int(d/time.Second)
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

type pauseCmd struct {
	databaseFlags
	Name string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// Run pauses a connection.
func (c *pauseCmd) Run(env *environment) error {
	return c.withDatabase(env, func(db *storage.DB, in *install.Installer) error {
		if err := checkKeys(env.ctx, db); err != nil {
			return err
		}
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		paused, err := in.Connections().Pause(env.ctx, found.Key, operator)
		switch {
		case errors.Is(err, connection.ErrNotConnected):
			return fmt.Errorf("%s is no longer connected, so there is nothing to pause", named(found))
		case errors.Is(err, watch.ErrBroken):
			return fmt.Errorf("%s needs reconnecting, so nothing runs there that could be paused", named(found))
		case err != nil:
			return err
		case found.State == connection.Paused:
			_, err = fmt.Fprintf(env.stdout, "%s is paused already, since %s.\n", named(paused), short(stamp(paused.StateSince)))
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "Paused %s (%s). Running processes notice with the next thing that Slack sends. "+
			"Events that come meanwhile are acknowledged and not handled, timers wait, and people who ask read that it is "+
			"paused.\nTo end the pause: %s connections resume %s\n", named(paused), paused.ID, env.name, paused.ID)
		return err
	})
}

type resumeCmd struct {
	slackFlags
	Name string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// Run ends a pause.
func (c *resumeCmd) Run(env *environment) error {
	return c.withSlack(env, func(db *storage.DB, in *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		resumed, err := in.Connections().Resume(env.ctx, found.Key, operator)
		if errors.Is(err, watch.ErrNotPaused) {
			return fmt.Errorf("%s is not paused", named(found))
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(env.stdout, "Resumed %s (%s).\n", named(resumed), resumed.ID); err != nil {
			return err
		}
		return tellCheck(env, in, resumed, false)
	})
}

// longestLabel is how many characters a label can have: it is a column of a list.
const longestLabel = 80

type labelCmd struct {
	databaseFlags
	Clear bool   `help:"Take the label away."`
	Name  string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
	Text  string `arg:"" optional:"" help:"The label, up to 80 characters."`
}

// Run notes something on a connection.
func (c *labelCmd) Run(env *environment) error {
	text := strings.TrimSpace(c.Text)
	switch {
	case (text == "") != c.Clear:
		return badUsage("give a label, or --clear")
	case utf8.RuneCountInString(text) > longestLabel:
		return badUsage("a label has up to %d characters; this one has %d", longestLabel, utf8.RuneCountInString(text))
	case text != printable(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return badUsage("a label is one line of letters, digits and signs")
	}

	return c.withDatabase(env, func(db *storage.DB, _ *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		_, err = db.Update(env.ctx, found.Key, func(row *connection.Connection) error {
			row.OperatorLabel = text
			return nil
		})
		if err != nil {
			return err
		}
		if text == "" {
			_, err = fmt.Fprintf(env.stdout, "%s (%s) has no label now.\n", named(found), found.ID)
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "Labelled %s (%s): %s\n", named(found), found.ID, text)
		return err
	})
}
