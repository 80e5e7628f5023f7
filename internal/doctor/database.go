package doctor

// Check 5: the database: reachable, writable, schema, one row per workspace, TLS, synchronous_commit, pgbouncer;
// SQLite's file.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
)

const (
	// quickCheck is how long SQLite may read in its file. A gigabyte takes some seconds.
	quickCheck = 2 * time.Second
	// wideWAL is more than SQLite's log grows to (bytes) unless somebody keeps it from being written back.
	wideWAL = 64 << 20
	// mostDoubles are named; one is enough to know.
	mostDoubles = 5
)

// database asks in the order in which one thing hides the next.
func database(ctx context.Context, e *Examined) []Finding {
	db, err := e.Database()
	if err != nil {
		return []Finding{unreachable(e, err)}
	}

	found := []Finding{reached(ctx, e, db)}
	if db.Dialect() == "postgres" {
		found = append(found, way(ctx, e, db)...)
	} else {
		found = append(found, sqliteFile(ctx, e, db)...)
	}
	if e.noTables != nil {
		return append(found, tables(e, db, e.noTables))
	}

	found = append(found, writable(ctx, e, db))
	if db.Dialect() == "postgres" {
		found = append(found, commits(ctx, db))
	}
	return append(found, oneRow(ctx, e, db)...)
}

// unreachable is why the database can't be opened. Its words never hold the address's password.
func unreachable(e *Examined, err error) Finding {
	d := e.Config.Database
	f := Finding{Name: "reachable", Status: Failed, Text: said(err),
		Fix: "start the database, or correct DATABASE_URL"}
	switch path := d.Path(); {
	case strings.Contains(err.Error(), "prepared statement"):
		f.Name, f.Fix = "pooler", poolerFix
	case d.MustExist() != nil:
		f.Fix = e.Program + " migrate up, or correct DATABASE_URL and DATA_DIR"
	case errors.Is(err, fs.ErrPermission):
		f.Fix = "chmod u+rw " + path + ", or run this as the user that serve runs as"
	case errors.Is(err, storage.ErrIncomplete):
		f.Fix = "put the -wal file back next to it, or restore a backup (docs/backup.md)"
	case path != "":
		f.Fix = "restore a backup (docs/backup.md), or correct DATABASE_URL"
	}
	return f
}

// reached says which database it is.
func reached(ctx context.Context, e *Examined, db *storage.DB) Finding {
	f := Finding{Name: "reachable", Status: OK, Text: "SQLite answers: " + e.Config.Database.Path() + "."}
	if db.Dialect() == "postgres" {
		facts, err := db.Facts(ctx)
		if err != nil {
			return unreachable(e, err)
		}
		f.Text = "PostgreSQL " + facts.Version + " answers."
	}
	return f
}

const poolerFix = "take default_query_exec_mode out of DATABASE_URL: behind a pooler the right one is chosen"

// way is what lies between us and PostgreSQL.
func way(ctx context.Context, e *Examined, db *storage.DB) (found []Finding) {
	facts, err := db.Facts(ctx)
	if err != nil {
		return nil // reached said it
	}

	url := e.Config.Database.URL.Reveal()
	tls := Finding{Name: "tls", Status: OK, Text: "The server is on this machine."}
	switch {
	case storage.InTheClear(url):
		tls = Finding{Name: "tls", Status: Warning,
			Text: "The database is on another machine, and its sslmode lets others on the way read what is sent to it, " +
				"including its password.",
			Fix: "put sslmode=verify-full into DATABASE_URL, with the server's certificate authority in sslrootcert"}
	case storage.Unverified(url):
		tls.Text = "The connection is encrypted. Nobody checks the server's certificate, which sslmode=verify-full would do."
	case facts.Encrypted:
		tls.Text = "The connection is encrypted."
	}
	found = append(found, tls)

	pooler := Finding{Name: "pooler", Status: OK,
		Text: "A pooler such as PgBouncer is in between. Statements are sent in a way that works with it."}
	if facts.Reused {
		pooler = Finding{Name: "pooler", Status: Failed,
			Text: "A pooler such as PgBouncer is in between, and DATABASE_URL asks for statements that belong to a session: " +
				"they fail as soon as it hands out another session.", Fix: poolerFix}
	}
	if facts.Pooled {
		found = append(found, pooler)
	}
	return found
}

// tables is a schema that doesn't fit. Tables are made where there are none, and brought up to date where no other
// process can need the old ones: that is SQLite, whose file is locked meanwhile.
func tables(e *Examined, db *storage.DB, err error) Finding {
	words := server.InOperatorsWords(err, e.Config.Install.App.Name, e.Program)
	f := Finding{Name: "schema", Status: Failed, Text: sentence(words), Fix: e.Program + " migrate up"}
	var schema *storage.SchemaError
	switch {
	case !errors.As(err, &schema):
		f.Fix = "start the database, or correct DATABASE_URL"
	case schema.Have > schema.Want:
		f.Fix = "run the release that wrote it, or a newer one (docs/upgrading.md)"
	case schema.Have == 0, db.Dialect() == "sqlite":
		f.Repair = func(ctx context.Context) (string, error) { return migrated(ctx, e, db) }
	}
	return f
}

func migrated(ctx context.Context, e *Examined, db *storage.DB) (string, error) {
	if err := db.Exclusive(); err != nil {
		return "", err
	}
	steps, err := db.Migrate(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ran %s migrate up, which took %d steps", e.Program, steps), nil
}

// writable writes one row, as /readyz does.
func writable(ctx context.Context, e *Examined, db *storage.DB) Finding {
	err := db.Ready(ctx)
	if err == nil {
		return Finding{Name: "writable", Status: OK, Text: "It can be written to, and its tables fit this release."}
	}

	f := Finding{Name: "writable", Status: Failed, Text: "The database can't be written to: " + said(err),
		Fix: "free space on its disk, and let its user write"}
	set, _ := db.Setting(ctx, "default_transaction_read_only")
	switch path := e.Config.Database.Path(); {
	case set.Standby:
		f.Fix = "name the primary in DATABASE_URL, or both servers with a comma in between: this one is a standby"
	case set.Value == "on":
		f.Fix = unset("default_transaction_read_only", set)
	case errors.Is(err, storage.ErrFileGone):
		f.Fix = "put the file back, then restart serve"
	case path != "":
		f.Fix = "free space on the disk of " + path + ", run chmod u+rw " + path + ", or end what keeps it locked (lsof " +
			path + ")"
	}
	return f
}

// unset is how a setting of PostgreSQL's goes back to its default, by where it was set.
func unset(name string, set storage.Setting) string {
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	switch set.Source {
	case "client":
		return "take " + name + " out of DATABASE_URL (and PGOPTIONS)"
	case "database":
		return "run in the database: ALTER DATABASE " + quoted(set.Database) + " RESET " + name
	case "user":
		return "run in the database: ALTER ROLE " + quoted(set.Role) + " RESET " + name
	case "database user":
		return "run in the database: ALTER ROLE " + quoted(set.Role) + " IN DATABASE " + quoted(set.Database) + " RESET " +
			name
	}
	return "run in the database, as its superuser: ALTER SYSTEM RESET " + name + "; SELECT pg_reload_conf()"
}

// commits says whether what the database confirmed can be lost.
func commits(ctx context.Context, db *storage.DB) Finding {
	why, err := db.LosesCommits(ctx)
	switch {
	case err != nil:
		return Finding{Name: "commits", Status: Unknown, Text: said(err), Fix: "run it again"}
	case why == "":
		return Finding{Name: "commits", Status: OK, Text: "What it confirms is on its disk."}
	}

	f := Finding{Name: "commits", Status: Warning, Text: "The database can lose what it confirmed: " + why + ".",
		Fix: "name its standby in synchronous_standby_names, or accept what docs/failover.md says is lost"}
	if set, err := db.Setting(ctx, "synchronous_commit"); err == nil && set.Value == "off" {
		f.Fix = unset("synchronous_commit", set)
	}
	return f
}

// oneRow asks whether each workspace has one connection, and whether the database sees to it.
func oneRow(ctx context.Context, e *Examined, db *storage.DB) []Finding {
	unique, err := db.UniqueKeys(ctx)
	if err != nil {
		return []Finding{{Name: "one_row", Status: Unknown, Text: said(err), Fix: "run it again"}}
	}
	if !unique {
		return []Finding{{Name: "one_row", Status: Failed,
			Text: "The unique index connections_key is missing, so a workspace can come to have two connections.",
			Fix: "run in the database: CREATE UNIQUE INDEX connections_key ON connections (app_id, enterprise_id, " +
				"team_id)"}}
	}

	doubles, err := db.Doubles(ctx, mostDoubles)
	if err != nil {
		return []Finding{{Name: "one_row", Status: Unknown, Text: said(err), Fix: "run it again"}}
	}
	var found []Finding
	for _, k := range doubles {
		found = append(found, Finding{Name: "one_row", Status: Warning,
			Text: k.TeamID + " has two connections in use, one from before it joined an organisation.",
			Fix:  e.Program + " connections show " + k.TeamID + " lists both; disconnect the one that is no longer used"})
	}
	if found == nil {
		found = []Finding{{Name: "one_row", Status: OK, Text: "Each workspace has one connection."}}
	}
	return found
}

// sqliteFile looks at SQLite's file and what lies beside it.
func sqliteFile(ctx context.Context, e *Examined, db *storage.DB) (found []Finding) {
	path := e.Config.Database.Path()
	reading, cancel := context.WithTimeout(ctx, quickCheck)
	defer cancel()
	integrity := Finding{Name: "integrity", Status: OK, Text: "Its file is whole (quick_check)."}
	switch damage, err := db.QuickCheck(reading); {
	case damage != "":
		integrity = Finding{Name: "integrity", Status: Failed, Text: "The file is damaged: " + damage + ".",
			Fix: "stop serve and restore a backup (docs/backup.md)"}
	case reading.Err() != nil:
		integrity = Finding{Name: "integrity", Status: Unknown,
			Text: fmt.Sprintf("The file is too large to be read through within %s.", quickCheck),
			Fix:  "sqlite3 " + path + ` "PRAGMA quick_check"`}
	case err != nil:
		integrity = Finding{Name: "integrity", Status: Failed, Text: said(err),
			Fix: "stop serve and restore a backup (docs/backup.md)"}
	}
	found = append(found, integrity)

	if facts, err := db.Facts(ctx); err == nil && facts.WAL > wideWAL {
		found = append(found, Finding{Name: "wal", Status: Warning,
			Text: fmt.Sprintf("The log beside the file has grown to %d MB: another program reads in it and doesn't end.",
				facts.WAL>>20),
			Fix: "end that program (lsof " + path + "), then run: sqlite3 " + path + ` "PRAGMA wal_checkpoint(TRUNCATE)"`})
	}
	return append(found, worked(e, db))
}

// worked says who works this file. The lock is only tried while no process answers: one may be starting otherwise.
func worked(e *Examined, db *storage.DB) Finding {
	f := Finding{Name: "in_use", Status: OK, Text: "serve works on it."}
	if _, err := e.Process(); err == nil {
		return f
	}
	used, err := db.InUse()
	switch {
	case err != nil:
		f.Status, f.Text, f.Fix = Unknown, said(err), "let this user write to the folder of the database"
	case used:
		f.Text = "A process works on it that doesn't answer at ADMIN_ADDR."
	default:
		f.Text = "No process works on it at the moment."
	}
	return f
}

// said is an error as a sentence on one line.
func said(err error) string { return sentence(err.Error()) }

// sentence begins with a capital letter, ends with a full stop and is on one line.
func sentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return ""
	}
	return strings.TrimSuffix(strings.ToUpper(text[:1])+text[1:], ".") + "."
}
