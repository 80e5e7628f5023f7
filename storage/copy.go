package storage

// SQLite is where most bots begin, and PostgreSQL where those go that need several replicas. This file takes everything
// along, so that nobody installs again and nothing that was acknowledged is lost.

import (
	"context"
	"errors"
	"fmt"

	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// copiedTables are all tables with content, those that others refer to first. What is sealed is bound to the row's key
// and not to the database, so boxes are copied as they are. Left out are goose_db_version and schema_state, which the
// migrations fill in on each database, and SQLite's inbox_payloads, which are read as a column of inbox.
func copiedTables(dialect string) []db.CopiedTable {
	return []db.CopiedTable{
		{Name: "connections"},
		{Name: "user_tokens"},
		{Name: "connection_history", Numbered: true},
		{Name: "bot_values"},
		{Name: "timers", Numbered: true},
		{Name: "inbox", Numbered: true, Reads: map[string]string{"payload": inbox.PayloadColumn(dialect)}},
		{Name: "install_attempts", Numbered: true},
		{Name: "budgets"},
	}
}

var (
	// ErrSameKind says that a copy would be one on the same kind of database.
	ErrSameKind = errors.New("both databases are of the same kind, which has better means of its own")
	// ErrUnopened says that there are secrets that no key at hand opens.
	ErrUnopened = errors.New("with these keys some of what is stored can't be opened")
	// ErrOccupied says that the database to copy to has content.
	ErrOccupied = db.ErrOccupied
)

// CopyReport is what CopyTo copied, or would copy.
type CopyReport struct {
	Tables []CopiedTable
	Rows   int64 // of all tables
}

// CopiedTable is one table of a CopyReport.
type CopiedTable = db.TableRows

// CopyTo copies everything to an empty database of the other kind, and makes the tables there if there are none. All of
// it is copied, in one transaction that reads it back, or nothing is. With dryRun it only looks. Both databases have to
// have exactly this program's schema (*SchemaError), the keys have to open everything that is sealed (ErrUnopened), and
// no other process may work either: on SQLite that is ErrInUse, on PostgreSQL the caller sees to it. The journal isn't
// copied: it stays where it is.
func (d *DB) CopyTo(ctx context.Context, to *DB, dryRun bool) (CopyReport, error) {
	if d.Dialect() == to.Dialect() {
		return CopyReport{}, ErrSameKind
	}
	if err := d.canBeCopied(ctx); err != nil {
		return CopyReport{}, fmt.Errorf("the database to copy: %w", err)
	}
	if err := to.canReceive(ctx, dryRun); err != nil {
		return CopyReport{}, fmt.Errorf("the database to copy to: %w", err)
	}

	var report CopyReport
	var err error
	if tables := copiedTables(d.Dialect()); dryRun {
		report.Tables, err = db.CountRows(ctx, d.pool, tables)
	} else {
		report.Tables, err = db.Copy(ctx, d.pool, to.pool, tables)
	}
	for _, table := range report.Tables {
		report.Rows += table.Rows
	}
	return report, err
}

// canBeCopied is an error unless nobody works the database, all its tables are known, and all its secrets open.
func (d *DB) canBeCopied(ctx context.Context) error {
	if err := d.Exclusive(); err != nil {
		return err
	}
	if err := d.CheckExactSchema(ctx); err != nil {
		return err
	}
	found, err := d.CheckKeys(ctx)
	if err == nil && len(found.Unreadable) > 0 {
		err = fmt.Errorf("%w: %d rows", ErrUnopened, len(found.Unreadable))
	}
	return err
}

// canReceive is an error unless nobody works the database and its tables are empty. It makes them where there are none,
// unless this is a dryRun.
func (d *DB) canReceive(ctx context.Context, dryRun bool) error {
	if err := d.Exclusive(); err != nil {
		return err
	}

	err := d.CheckExactSchema(ctx)
	var state *SchemaError
	if none := errors.As(err, &state) && state.Have == 0; none && dryRun {
		return nil
	} else if none {
		_, err = d.upkeep.Migrate(ctx, func() error { return nil })
	}
	if err != nil {
		return err
	}
	return db.CheckEmpty(ctx, d.pool, copiedTables(d.Dialect()))
}
