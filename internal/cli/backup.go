package cli

// backup: one file that holds what SQLite holds, while serve runs.

import (
	"errors"
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/internal/server"
)

type backupCmd struct {
	reportFlags
	File string `arg:"" help:"The file to write. It must not exist yet."`
}

// errBackUpPostgres is said instead of a backup that would be a worse one.
var errBackUpPostgres = errors.New("backup is for SQLite. Back up PostgreSQL with its own tools: point-in-time " +
	"recovery (a base backup and archived WAL) or a standby, so that no renewed token is lost. Simpler, but it loses " +
	"what came after it: pg_dump --format=custom --file=FILE, with the database's address. See docs/backup.md")

// Run writes the backup and says what else a restore needs.
func (c *backupCmd) Run(env *environment) (err error) {
	var d server.Database
	db, err := c.open(env, func(given server.Database) error { // without keys: what is sealed stays sealed
		if d = given; d.Path() == "" {
			return &usageError{err: errBackUpPostgres}
		}
		return d.MustExist()
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	at := time.Now() // what was committed until now is in it
	size, err := db.Backup(env.ctx, c.File)
	if err != nil {
		return err
	}

	key := d.KeyFile()
	if d.Keys != "" {
		key = "ENCRYPTION_KEYS"
	}
	journal := d.Journal()
	if c.JSON {
		return printJSON(env.stdout, map[string]any{"file": c.File, "bytes": size, "at": stamp(at), "key": key,
			"journal": journal})
	}
	_, err = fmt.Fprintf(env.stdout, `Wrote %s: %d bytes, the database as of %s.
Not in it, and needed for a restore:
  %s, without which nothing in it can be opened. Keep a copy, somewhere other than the backup.
  %s, which has the tokens that were renewed since. Leave it where it is, and restore next to it.
A backup that is older than a renewal (some eight hours) holds spent refresh tokens: without the journal those
workspaces have to reconnect. docs/backup.md says how to restore.
`, c.File, size, short(stamp(at)), key, journal)
	return err
}
