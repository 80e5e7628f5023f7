package cli

// migrate copy: from SQLite to PostgreSQL, or back, with everything that is stored.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

type migrateCopyCmd struct {
	reportFlags
	To     string `required:"" placeholder:"URL" help:"The empty database to copy to: postgres://… or sqlite:PATH. A password can come from PGPASSWORD instead."`
	DryRun bool   `help:"Check everything, count the rows, and copy nothing."`
}

// copyReport is the report as scripts see it. Fields may be added, never renamed.
type copyReport struct {
	DryRun  bool       `json:"dry_run"`
	From    string     `json:"from"` // sqlite or postgres, like the next
	To      string     `json:"to"`
	Tables  []copyLine `json:"tables"`
	Rows    int64      `json:"rows"`
	Key     string     `json:"key"`     // where the keys are that open the copy: ENCRYPTION_KEYS, or a file
	Journal string     `json:"journal"` // not copied, and needed
}

type copyLine struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Run copies the database and says what is left to do.
func (c *migrateCopyCmd) Run(env *environment) (err error) {
	s := env.source()
	d := c.read(s, true)
	target := c.target(s)
	if err := s.err(); err != nil {
		return err
	}
	if err := c.fit(d, target); err != nil {
		return err
	}

	keys, err := keysAtHand(d)
	if err != nil {
		return err
	}
	from, err := d.Open(env.ctx, keys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := storage.Open(env.ctx, target.URL.Reveal(), keys)
	if err != nil {
		return fmt.Errorf("the database to copy to can't be used; is it running, and is --to right?\n%w", err)
	}
	defer func() {
		err = errors.Join(err, to.Close())
		if target.Path() != "" && (c.DryRun || err != nil) { // fit saw that there was no such file
			for _, part := range []string{"", "-wal", "-shm", ".lock"} {
				_ = os.Remove(target.Path() + part)
			}
		}
	}()

	copied, err := from.CopyTo(env.ctx, to, c.DryRun)
	if err != nil {
		return c.refused(d, err)
	}
	report := copyReport{DryRun: c.DryRun, From: from.Dialect(), To: to.Dialect(), Rows: copied.Rows,
		Key: "ENCRYPTION_KEYS", Journal: d.Journal(), Tables: []copyLine{}}
	if d.Keys == "" {
		report.Key = d.KeyFile()
	}
	for _, table := range copied.Tables {
		report.Tables = append(report.Tables, copyLine{Table: table.Name, Rows: table.Rows})
	}
	return report.print(env, c.JSON, d)
}

// target is the database to copy to. What is wrong with its address is told of --to.
func (c *migrateCopyCmd) target(s *source) server.Database {
	before := len(s.problems)
	d := databaseFlags{DatabaseURL: c.To, DataDir: c.DataDir}.read(s, false)
	found := s.problems[before:]
	s.problems = s.problems[:before]
	for _, p := range found {
		if p.Setting == s.given("DATABASE_URL") { // the others were told of the first database
			p.Setting = "--to"
			s.problems = append(s.problems, p)
		}
	}
	return d
}

// fit refuses what can't be a copy, before anything is opened or made.
func (c *migrateCopyCmd) fit(from, to server.Database) error {
	if (from.Path() == "") == (to.Path() == "") {
		return server.Wrong("--to", "is the same kind of database as DATABASE_URL",
			"copy SQLite with backup FILE, and PostgreSQL with pg_dump and pg_restore")
	}
	if err := from.MustExist(); err != nil {
		return err
	}
	if _, err := os.Stat(to.Path()); to.Path() != "" && !errors.Is(err, fs.ErrNotExist) {
		return server.Wrong("--to", "names a file that is there already", "name a new one")
	}
	return to.MakeFolder()
}

// refused is err with what to do about it.
func (c *migrateCopyCmd) refused(d server.Database, err error) error {
	if !errors.Is(err, storage.ErrUnopened) {
		return fmt.Errorf("nothing was copied: %w", err)
	}
	fix := "give the keys that it was encrypted with; " + d.Program + " keys check lists what they don't open. What is " +
		"lost for good can be given up first, with " + d.Program + " keys rotate --erase-unreadable"
	if _, there := os.Stat(d.KeyFile()); d.Path() != "" && d.Keys != "" && there == nil {
		fix = "add what is in " + d.KeyFile() + ", after a comma; or leave ENCRYPTION_KEYS out for now. " +
			"Nothing is encrypted anew by a copy"
	}
	return server.Wrong("ENCRYPTION_KEYS", "don't open all that would be copied, so nothing was copied ("+err.Error()+")", fix)
}

// keysAtHand are the keys that are there; nil where a key file was lost. It makes none.
func keysAtHand(d server.Database) (*seal.Keyring, error) {
	if _, err := os.Stat(d.KeyFile()); d.Keys == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return d.Keyring()
}

// print prints the report, for people with what is left to do.
func (r *copyReport) print(env *environment, asJSON bool, from server.Database) error {
	if asJSON {
		return printJSON(env.stdout, r)
	}
	err := list(env, false, r.Tables, "", "TABLE  ROWS", func(l copyLine) []string {
		return []string{l.Table, strconv.FormatInt(l.Rows, 10)}
	})
	if err != nil {
		return err
	}

	if r.DryRun {
		_, err = fmt.Fprintf(env.stdout, "Would copy %d rows. Nothing was copied. To copy, leave out --dry-run.\n", r.Rows)
		return err
	}
	old := cmp.Or(from.Path(), "the old database")
	if from.Path() != "" {
		old += ", and the -wal and -shm files next to it,"
	}
	keys := "ENCRYPTION_KEYS: leave it as it is."
	if r.Key != "ENCRYPTION_KEYS" {
		keys = "ENCRYPTION_KEYS: set it to what is in " + r.Key + ". Without it nothing that was copied can be opened."
	}
	_, err = fmt.Fprintf(env.stdout, `Copied %d rows. Each table was read back, and is the same.
Left to do, with %s serve stopped until then:
  1. DATABASE_URL: set it to the address that you gave with --to.
  2. %s
  3. DATA_DIR: leave it as it is. %s has tokens that the new database may need.
  4. Start %s serve, and run: %s connections list
  5. Move %s away. A second serve on it would spend tokens that the new one needs.
`, r.Rows, env.name, keys, r.Journal, env.name, env.name, old)
	return err
}
