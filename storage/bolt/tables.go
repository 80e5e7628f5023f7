package bolt

// The tables that Bolt for Python makes, through SQLAlchemy or straight in a SQLite file. The columns about renewal are
// missing in old ones.

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/storage/internal/db"
)

// columns are those of both tables. What a table lacks is taken for empty, but for those that mark it as Bolt's.
var columns = []string{
	"id", "client_id", "app_id", "enterprise_id", "enterprise_name", "team_id", "team_name",
	"bot_token", "bot_scopes", "bot_refresh_token", "bot_token_expires_at",
	"user_id", "user_token", "user_scopes", "user_refresh_token", "user_token_expires_at",
	"incoming_webhook_url", "incoming_webhook_channel", "incoming_webhook_channel_id",
	"incoming_webhook_configuration_url", "is_enterprise_install", "installed_at",
}

// tables are Bolt's, each with the columns without which it is another one of that name.
var tables = []struct {
	name  string
	needs []string
}{
	{name: "slack_installations", needs: []string{"client_id", "app_id", "bot_token", "user_id", "installed_at"}},
	{name: "slack_bots", needs: []string{"client_id", "app_id", "bot_token", "installed_at"}},
}

// readTables reads both tables as they are at one moment.
func readTables(ctx context.Context, url string) (found []install.Installation, err error) {
	unreadable := fixServer
	if strings.HasPrefix(url, "sqlite:") {
		unreadable = fixPlace
	}
	pool, dialect, err := db.OpenReadOnly(ctx, url)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refused(fixPlace, "there is no file %s", strings.TrimPrefix(url, "sqlite:"))
	case err != nil:
		return nil, refused(unreadable, "the database can't be read: %v", err)
	}
	defer func() { _ = pool.Close() }()

	options := &sql.TxOptions{}
	if dialect == db.DialectPostgres { // SQLite's transactions see one moment as they are
		options.Isolation, options.ReadOnly = sql.LevelRepeatableRead, true
	}
	tx, err := pool.BeginTx(ctx, options)
	if err != nil {
		return nil, refused(unreadable, "the database can't be read: %v", err)
	}
	defer func() { _ = tx.Rollback() }() // it only read

	known := 0
	for _, table := range tables {
		there, err := isThere(ctx, tx, dialect, table.name)
		if err == nil && there {
			known++
			var rows []install.Installation
			rows, err = readTable(ctx, tx, table.name, table.needs)
			found = append(found, rows...)
		}
		if err != nil {
			return nil, refused(fixContent, "the table %s %v", table.name, err)
		}
	}
	if known == 0 {
		return nil, refused(fixPlace, "the database has neither of the tables slack_installations and slack_bots")
	}
	return found, nil
}

// isThere reports whether there is a table of a name.
func isThere(ctx context.Context, tx *sql.Tx, dialect, name string) (there bool, err error) {
	ask := "SELECT count(*) > 0 FROM sqlite_master WHERE name = $1"
	if dialect == db.DialectPostgres {
		ask = "SELECT to_regclass($1) IS NOT NULL"
	}
	if err := tx.QueryRowContext(ctx, ask, name).Scan(&there); err != nil {
		return false, fmt.Errorf("can't be looked for: %w", err)
	}
	return there, nil
}

// readTable reads all rows of a table. Everything is asked for as text: the same column holds a number, a time or text,
// depending on what wrote it.
func readTable(ctx context.Context, tx *sql.Tx, table string, needs []string) ([]install.Installation, error) {
	has, err := columnsOf(ctx, tx, table)
	if err != nil {
		return nil, err
	}
	for _, name := range needs {
		if !slices.Contains(has, name) {
			return nil, fmt.Errorf("has no column %s, so it isn't Bolt's", name)
		}
	}

	wanted := slices.DeleteFunc(slices.Clone(columns), func(name string) bool { return !slices.Contains(has, name) })
	ask := make([]string, len(wanted))
	for i, name := range wanted {
		ask[i] = "CAST(" + name + " AS TEXT)"
	}
	query := "SELECT " + strings.Join(ask, ", ") + " FROM " + table
	if slices.Contains(has, "id") {
		query += " ORDER BY id" // of two rows of one second the later one counts
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	defer func() { _ = rows.Close() }()

	var found []install.Installation
	values := make([]sql.NullString, len(wanted))
	into := make([]any, len(wanted))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("can't be read: %w", err)
		}
		get := func(name string) string {
			if i := slices.Index(wanted, name); i >= 0 {
				return strings.TrimSpace(values[i].String)
			}
			return ""
		}
		row := get("id")
		if row == "" {
			row = strconv.Itoa(len(found) + 1)
		}
		one, err := ofPython(get)
		if err != nil {
			return nil, fmt.Errorf("has a row %s that %w", row, err)
		}
		one.From = table + " " + row
		found = append(found, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	return found, nil
}

// columnsOf are the names of a table's columns.
func columnsOf(ctx context.Context, tx *sql.Tx, table string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT * FROM "+table+" WHERE 1 = 0")
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	return names, rows.Err()
}
