package cli

// migrate: the operator's hand on the database's tables.

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply what is missing. Safe while other replicas do the same."`
	Status migrateStatusCmd `cmd:"" help:"Show which steps were applied. Changes nothing."`
	Copy   migrateCopyCmd   `cmd:"" help:"Copy everything from SQLite to an empty PostgreSQL, or back. serve must be stopped."`
}

type migrateUpCmd struct{ reportFlags }

type migrateStatusCmd struct{ reportFlags }

// open opens the database without keys: the tables' shape needs no secret. ready prepares or refuses the place of a
// SQLite file.
func (f databaseFlags) open(env *environment, ready func(server.Database) error) (*storage.DB, error) {
	s := env.source()
	d := f.read(s, false)
	if err := s.err(); err != nil {
		return nil, err
	}
	if err := ready(d); err != nil {
		return nil, err
	}
	return d.Open(env.ctx, nil)
}

// Run applies what is missing.
func (c *migrateUpCmd) Run(env *environment) (err error) {
	db, err := c.open(env, server.Database.MakeFolder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	n, err := db.Migrate(env.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.stdout, map[string]int{"applied": n})
	}
	if n == 0 {
		_, err = fmt.Fprintln(env.stdout, "The tables are up to date; nothing was changed.")
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "Applied %d step(s). The tables are up to date.\n", n)
	return err
}

// Run shows the steps. It exits with 1 when some are missing.
func (c *migrateStatusCmd) Run(env *environment) (err error) {
	db, err := c.open(env, server.Database.MustExist)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	steps, err := db.MigrationStatus(env.ctx)
	if err != nil {
		return err
	}

	type step struct {
		Version   int64   `json:"version"`
		Name      string  `json:"name"`
		AppliedAt *string `json:"applied_at"`
	}
	rows := make([]step, len(steps))
	for i, m := range steps {
		rows[i] = step{Version: m.Version, Name: m.Name, AppliedAt: stamp(m.AppliedAt)}
	}
	err = list(env, c.JSON, rows, "", "STEP  NAME  APPLIED", func(r step) []string {
		applied := "not yet"
		if r.AppliedAt != nil {
			applied = short(r.AppliedAt)
		}
		return []string{strconv.FormatInt(r.Version, 10), r.Name, applied}
	})
	return cmp.Or(err, db.CheckSchema(env.ctx))
}
