package cli

// connections: what an operator asks first. These read the database and change nothing; for those that act, see
// connections_change.go.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

type connectionsCmd struct {
	List       listCmd       `cmd:"" help:"List connections, all or those that fit."`
	Show       showCmd       `cmd:"" help:"Show one connection."`
	History    historyCmd    `cmd:"" help:"List what happened to one connection: when, who, what, how it ended."`
	Check      checkCmd      `cmd:"" help:"Ask Slack right now whether one connection works."`
	Link       linkCmd       `cmd:"" name:"reconnect-link" help:"Print a link that reconnects one workspace. Whoever has it can use it."`
	Pause      pauseCmd      `cmd:"" help:"Have the app do nothing in one workspace until you resume it."`
	Resume     resumeCmd     `cmd:"" help:"End a pause, and ask Slack whether the connection works."`
	Label      labelCmd      `cmd:"" help:"Note something on a connection that only operators see."`
	Export     exportCmd     `cmd:"" help:"Print everything that is stored of one workspace, without secrets, as JSON."`
	Attempts   attemptsCmd   `cmd:"" help:"List the latest attempts to install, and how they ended."`
	Disconnect disconnectCmd `cmd:"" help:"Remove the app from a workspace, and erase its access."`
	Exchange   exchangeCmd   `cmd:"" help:"Move long-lived tokens to rotation, when the app has token rotation on."`
}

type attemptsCmd struct {
	reportFlags
	Limit int `default:"50" help:"How many, newest first. Default: ${default}."`
}

// attempt is a try to install as scripts see it.
type attempt struct {
	Ref          string  `json:"ref"`
	StartedAt    *string `json:"started_at"`
	ReturnedAt   *string `json:"returned_at"`
	EndedAt      *string `json:"ended_at"`
	Outcome      string  `json:"outcome"` // "" while it is under way
	Reason       string  `json:"reason"`
	ConnectionID string  `json:"connection_id"`
	TeamID       string  `json:"team_id"`
	UserID       string  `json:"user_id"`
}

func attemptOf(a oauth.Attempt) attempt {
	return attempt{
		Ref: a.Ref, StartedAt: stamp(a.StartedAt), ReturnedAt: stamp(a.ReturnedAt), EndedAt: stamp(a.EndedAt),
		Outcome: string(a.Outcome), Reason: a.Reason,
		ConnectionID: a.ConnectionID, TeamID: a.TeamID, UserID: a.UserID,
	}
}

// Run prints the newest attempts. A page's reference finds its line here, and more in the log.
func (c *attemptsCmd) Run(env *environment) error {
	if c.Limit < 1 {
		return badUsage("--limit must be 1 or more")
	}
	return c.withDatabase(env, func(db *storage.DB, _ *install.Installer) error {
		newest, err := db.Attempts(env.ctx, c.Limit)
		if err != nil {
			return err
		}
		rows := make([]attempt, len(newest))
		for i, a := range newest {
			rows[i] = attemptOf(a)
		}

		const heading = "REF  STARTED  OUTCOME  REASON  TEAM  USER  CONNECTION"
		return list(env, c.JSON, rows, "Nobody has tried to install yet.", heading, func(r attempt) []string {
			outcome := cmp.Or(r.Outcome, "not finished")
			return []string{r.Ref, short(r.StartedAt), outcome, r.Reason, r.TeamID, r.UserID, r.ConnectionID}
		})
	})
}

type showCmd struct {
	reportFlags
	Name string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// record is a connection as scripts see it. Fields may be added, never renamed.
type record struct {
	ID           string   `json:"id"`
	AppID        string   `json:"app_id"`
	EnterpriseID string   `json:"enterprise_id"`
	TeamID       string   `json:"team_id"`
	TeamName     string   `json:"team_name"`
	State        string   `json:"state"`
	Label        string   `json:"label"`
	Reason       string   `json:"reason"`
	StateSince   *string  `json:"state_since"`
	Scopes       []string `json:"scopes"`
	Missing      []string `json:"missing_scopes"`
	InstalledBy  string   `json:"installed_by"`
	RenewedBy    string   `json:"renewed_by"`
	RenewedAt    *string  `json:"renewed_at"`
	InstalledAt  *string  `json:"installed_at"`
	CreatedAt    *string  `json:"created_at"`
	Installs     int      `json:"installs"`
	ExpiresAt    *string  `json:"expires_at"`
	RenewAt      *string  `json:"renew_at"`
	FailingSince *string  `json:"renewal_failing_since"`
	RenewalTries int      `json:"renewal_tries"`
	RenewalError string   `json:"renewal_error"` // Slack's word, or no_answer; "" while renewals don't fail
	CheckedAt    *string  `json:"checked_at"`
	LastEventAt  *string  `json:"last_event_at"`
	BotUserID    string   `json:"bot_user_id"`
	Note         string   `json:"operator_label"` // the operator's words; label is the state's
	Cursor       string   `json:"cursor"`         // for --after: the list goes on behind this one
}

// recordOf shows the state as install decides it, the same as people see in Slack.
func recordOf(in *install.Installer, c connection.Connection) record {
	h := in.Assess(c, nil)
	at := stamp
	renewalError := c.RenewalError
	if c.FailingSince.IsZero() { // of trouble that is over
		renewalError = ""
	}
	return record{
		ID: c.ID, AppID: c.AppID, EnterpriseID: c.EnterpriseID, TeamID: c.TeamID, TeamName: c.TeamName,
		State: string(h.State), Label: h.Label, Reason: h.Reason, StateSince: at(h.Since),
		Scopes: append([]string{}, c.Scopes...), Missing: append([]string{}, connection.ScopeNames(h.Missing)...),
		InstalledBy: c.InstalledBy, InstalledAt: at(c.InstalledAt), CreatedAt: at(c.CreatedAt), Installs: c.Installs,
		RenewedBy: c.AuthorizedBy, RenewedAt: at(c.AuthorizedAt), ExpiresAt: at(c.ExpiresAt), RenewAt: at(c.RenewAt),
		FailingSince: at(c.FailingSince), RenewalTries: c.Tries, RenewalError: renewalError,
		CheckedAt: at(c.CheckedAt), LastEventAt: at(c.LastEventAt), BotUserID: c.BotUserID,
		Note: c.OperatorLabel, Cursor: storage.CursorAt(c).String(),
	}
}

// Run prints one connection.
func (c *showCmd) Run(env *environment) error {
	return c.withStore(env, func(db *storage.DB, in *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}

		r := recordOf(in, found)
		story, err := storyOf(env, in, found)
		if err != nil {
			return err
		}
		if !c.JSON {
			if _, err := fmt.Fprintf(env.stdout, "%s\n\n", story); err != nil {
				return err
			}
		}
		facts := [][2]string{
			{"Connection", r.ID},
			{"State", r.Label + " (" + r.State + ")"},
			{"Reason", r.Reason},
			{"Since", short(r.StateSince)},
			{"Workspace", r.TeamName},
			{"Label", r.Note},
			{"Team", r.TeamID},
			{"Organisation", r.EnterpriseID},
			{"App", r.AppID},
			{"Bot user", r.BotUserID},
			{"Installed by", r.InstalledBy},
			{"Installed at", short(r.InstalledAt)},
			{"Reconnected by", r.RenewedBy},
			{"Reconnected at", short(r.RenewedAt)},
			{"First installed", short(r.CreatedAt)},
			{"Installs", fmt.Sprint(r.Installs)},
			{"Permissions", strings.Join(r.Scopes, ", ")},
			{"Missing", strings.Join(r.Missing, ", ")},
			{"Access ends", short(r.ExpiresAt)},
			{"Next renewal", short(r.RenewAt)},
			{"Renewal failing since", short(r.FailingSince)},
			{"Last renewal error", r.RenewalError},
			{"Last checked", short(r.CheckedAt)},
			{"Last event", short(r.LastEventAt)},
		}

		if h := in.Assess(found, nil); !h.HeldAt.IsZero() {
			held := "by Slack since " + short(stamp(h.HeldSince)) + ", as of " + short(stamp(h.HeldAt))
			facts = append(facts, [2]string{"Events held back", held})
		}
		return details(env, c.JSON, shownRecord{r, story}, facts)
	})
}

// shownRecord is a record with all that there is to say of it.
type shownRecord struct {
	record
	Summary string `json:"summary"` // in sentences: what it is like, why, who was told, what to do next
}

// mostNamed bounds the list of what an ambiguous name can mean.
const mostNamed = 20

// lookup returns the one connection of a name: its id, or the workspace's or organisation's.
func (env *environment) lookup(db *storage.DB, name string) (connection.Connection, error) {
	found, err := db.Named(env.ctx, name, mostNamed+1)
	switch {
	case err != nil:
		return connection.Connection{}, err
	case len(found) == 0:
		return connection.Connection{}, fmt.Errorf("there is no connection %q; see: %s connections list", printable(name),
			env.name)
	case len(found) == 1:
		return found[0], nil
	}

	var choice strings.Builder
	table := tabwriter.NewWriter(&choice, 0, 4, 2, ' ', 0)
	for _, c := range found[:min(len(found), mostNamed)] {
		fmt.Fprintf(table, "\n  %s\t%s\t%s\t%s\tapp %s\t%s", c.ID, printable(c.TeamName), cmp.Or(c.TeamID, c.EnterpriseID),
			cmp.Or(c.EnterpriseID, "no organisation"), c.AppID, c.State)
	}
	_ = table.Flush() // into memory
	if len(found) > mostNamed {
		choice.WriteString("\n  …")
	}
	return connection.Connection{}, fmt.Errorf("%q could be any of these. Give the id of one:%s", printable(name),
		choice.String())
}

type historyCmd struct {
	reportFlags
	Limit int    `default:"100" help:"How many, newest first. Default: ${default}."`
	Name  string `arg:"" help:"The connection's id (con_…) or the workspace's (T…, or E… for an organisation)."`
}

// change is a line of history as scripts see it. Fields may be added, never renamed.
type change struct {
	ConnectionID string  `json:"connection_id"`
	At           *string `json:"at"`
	Actor        string  `json:"actor"` // person, operator, slack, switchboard
	ActorID      string  `json:"actor_id"`
	What         string  `json:"what"`
	Outcome      string  `json:"outcome"`
	Reason       string  `json:"reason"`
}

func changeOf(l connection.Change) change {
	return change{
		ConnectionID: l.ConnectionID, At: stamp(l.At), Actor: string(l.By.Kind), ActorID: l.By.ID,
		What: l.What, Outcome: l.Outcome, Reason: l.Reason,
	}
}

// Run prints what happened to a connection.
func (c *historyCmd) Run(env *environment) error {
	if c.Limit < 1 {
		return badUsage("--limit must be 1 or more")
	}
	return c.withStore(env, func(db *storage.DB, in *install.Installer) error {
		found, err := env.lookup(db, c.Name)
		if err != nil {
			return err
		}
		lines, err := in.History(env.ctx, found, c.Limit)
		if err != nil {
			return err
		}
		rows := make([]change, len(lines))
		for i, l := range lines {
			rows[i] = changeOf(l)
		}

		const none = "This connection has no history: it was made before history was kept."
		return list(env, c.JSON, rows, none, "WHEN  WHO  WHAT  OUTCOME  REASON", func(r change) []string {
			return []string{short(r.At), cmp.Or(r.ActorID, r.Actor), r.What, r.Outcome, r.Reason}
		})
	})
}

// withStore is withDatabase for what reads or changes what is sealed. Keys that open nothing of it are a failure: what
// was read says so itself, row by row, and would be taken for the truth.
func (f databaseFlags) withStore(env *environment, do func(*storage.DB, *install.Installer) error) error {
	return f.withDatabase(env, func(db *storage.DB, in *install.Installer) error {
		return errors.Join(do(db, in), checkKeys(env.ctx, db))
	})
}

// checkKeys says what to do about keys that open nothing of what is stored.
func checkKeys(ctx context.Context, db *storage.DB) error {
	err := db.CheckAnyKey(ctx)
	if errors.Is(err, storage.ErrWrongKeys) {
		return errors.New("none of the keys given opens what is stored here: set ENCRYPTION_KEYS to the ones it was " +
			"encrypted with, or put the key file back next to the database")
	}
	return err
}

// withDatabase opens a database that is there, without making one.
func (f databaseFlags) withDatabase(env *environment, do func(*storage.DB, *install.Installer) error) error {
	s := env.source()
	d := f.read(s, true)
	if err := s.err(); err != nil {
		return err
	}
	return use(env, d, install.Config{PublicURL: env.placeholderURL()}, do)
}

// use opens a database that is there, with an Installer on it that knows what cfg says.
func use(env *environment, d server.Database, cfg install.Config,
	do func(*storage.DB, *install.Installer) error) error {
	if err := d.MustExist(); err != nil {
		return err
	}

	// None, where the key file was lost: then it is shown that nothing can be read, and no new key is made.
	var keys *seal.Keyring
	if _, err := os.Stat(d.KeyFile()); d.Keys != "" || !errors.Is(err, fs.ErrNotExist) {
		if keys, err = d.Keyring(); err != nil {
			return err
		}
	}

	db, err := d.Open(env.ctx, keys)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.CheckSchema(env.ctx); err != nil {
		return err
	}

	// A folder that is not there holds no journal, and reading makes none.
	if _, err := os.Stat(d.Journal()); err == nil || cfg.ClientID != "" {
		if err := d.UseJournal(db); err != nil {
			return err
		}
	}

	cfg.App.Name, cfg.App.Commands, cfg.Scopes = env.Name, env.Commands, bot.Catalogue(nil, env.Scopes, env.Handlers)
	cfg.Store, cfg.SigningKeys = db, db.SigningKeys()
	in, err := install.New(cfg)
	if err != nil {
		return err
	}

	before, _ := db.Journaled() // of others, perhaps sealed with a key that is not here
	err = do(db, in)
	if cfg.ClientID == "" {
		return err // it only read
	}

	// What Slack handed out a moment ago, perhaps while Ctrl-C was pressed, belongs into the database.
	if left := in.Finish() - len(before); left > 0 {
		err = errors.Join(err, fmt.Errorf("%d new token(s) could not be stored and wait in %s; run %s serve with this "+
			"DATA_DIR, "+
			"or this command again", left, d.Journal(), env.name))
	}
	return err
}
