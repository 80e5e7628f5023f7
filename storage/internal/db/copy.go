package db

// Who outgrows one database moves to the other with everything that is in it. This file copies tables row by row,
// whatever lies in them, and looks afterwards whether the copy is the same.

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// CopiedTable is a table that Copy copies, all columns of it.
type CopiedTable struct {
	Name     string
	Numbered bool              // its ids come from a sequence, which goes on behind the last one
	Reads    map[string]string // columns that the source keeps elsewhere, each with the SQL that reads it there
}

// TableRows is how many rows of a table were copied.
type TableRows struct {
	Name string
	Rows int64
}

var (
	// ErrOccupied says that the database to copy to has content.
	ErrOccupied = errors.New("it has content already, and a copy replaces nothing: name an empty database or schema")
	// errDiffers is of a copy that isn't one, and was taken back.
	errDiffers = errors.New("the copy isn't what the database holds, so it was taken back")
)

// Copy copies tables, as they are at one moment, into the same tables of another database, where they have to be empty.
// It is one transaction there: all of it is copied and was read back, or nothing is. Tables come after those that they
// refer to. Memory is bounded by the largest row. ErrOccupied.
func Copy(ctx context.Context, from, to *Pool, tables []CopiedTable) ([]TableRows, error) {
	const doing = "copy database"
	source, err := from.asOfNow(ctx)
	if err != nil {
		return nil, Fault(ctx, doing, err)
	}
	defer func() { _ = source.Rollback() }() // it only read

	target, err := to.receive(ctx)
	if err != nil {
		return nil, Fault(ctx, doing, err)
	}
	defer target.close()
	if err := target.claim(ctx, tables); err != nil {
		return nil, Fault(ctx, doing, err)
	}

	var all []TableRows
	for _, table := range tables {
		rows, err := target.copyTable(ctx, from.Dialect, source, table)
		if err != nil {
			return nil, Fault(ctx, doing+": "+table.Name, err)
		}
		all = append(all, TableRows{Name: table.Name, Rows: rows})
	}

	if err := target.tx.Commit(); err != nil {
		return nil, Fault(ctx, doing, err)
	}
	return all, Fault(ctx, "look at the copied tables", target.analyze(ctx, tables))
}

// CountRows is what Copy would copy.
func CountRows(ctx context.Context, from *Pool, tables []CopiedTable) (all []TableRows, err error) {
	source, err := from.asOfNow(ctx)
	if err != nil {
		return nil, Fault(ctx, "count rows", err)
	}
	defer func() { _ = source.Rollback() }()

	for _, table := range tables {
		counted := TableRows{Name: table.Name}
		err := source.QueryRowContext(ctx, "SELECT count(*) FROM "+table.Name).Scan(&counted.Rows)
		if err != nil {
			return nil, Fault(ctx, "count rows", err)
		}
		all = append(all, counted)
	}
	return all, nil
}

// CheckEmpty is ErrOccupied, with the tables' names, where there are rows.
func CheckEmpty(ctx context.Context, in *Pool, tables []CopiedTable) error {
	tx, err := in.asOfNow(ctx)
	if err != nil {
		return Fault(ctx, "look for content", err)
	}
	defer func() { _ = tx.Rollback() }()
	return Fault(ctx, "look for content", empty(ctx, tx, tables))
}

func empty(ctx context.Context, tx *sql.Tx, tables []CopiedTable) error {
	var full []string
	for _, table := range tables {
		var there bool
		err := tx.QueryRowContext(ctx, "SELECT count(*) > 0 FROM (SELECT 1 FROM "+table.Name+" LIMIT 1) AS one").Scan(&there)
		if err != nil {
			return err
		}
		if there {
			full = append(full, table.Name)
		}
	}
	if full != nil {
		return fmt.Errorf("%w (rows in %s)", ErrOccupied, strings.Join(full, ", "))
	}
	return nil
}

// asOfNow begins to read the database as it is at this moment.
func (db *Pool) asOfNow(ctx context.Context) (*sql.Tx, error) {
	pool, err := db.Read.DB()
	if err != nil {
		return nil, err
	}
	options := &sql.TxOptions{}
	if db.Dialect == DialectPostgres { // SQLite's transactions see one moment as they are
		options.Isolation, options.ReadOnly = sql.LevelRepeatableRead, true
	}
	tx, err := pool.BeginTx(ctx, options)
	if err == nil {
		err = db.unbounded(ctx, tx)
	}
	return tx, err
}

// unbounded lifts what the server bounds statements and idle transactions by, in one transaction.
func (db *Pool) unbounded(ctx context.Context, tx *sql.Tx) error {
	if db.Dialect != DialectPostgres {
		return nil
	}
	for _, bound := range []string{"lock_timeout = '2min'", "statement_timeout = 0",
		"idle_in_transaction_session_timeout = 0"} {
		if _, err := tx.ExecContext(ctx, "SET LOCAL "+bound); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return nil
}

// receiver is the database that is copied to, in a transaction.
type receiver struct {
	dialect string
	conn    *sql.Conn
	tx      *sql.Tx // on conn
}

func (db *Pool) receive(ctx context.Context) (*receiver, error) {
	conn, err := db.handle().Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err == nil {
		err = db.unbounded(ctx, tx)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &receiver{dialect: db.Dialect, conn: conn, tx: tx}, nil
}

// close gives up what was not committed.
func (r *receiver) close() {
	_ = r.tx.Rollback()
	_ = r.conn.Close()
}

// claim keeps others from writing into the tables, and looks whether they are empty.
func (r *receiver) claim(ctx context.Context, tables []CopiedTable) error {
	if r.dialect == DialectPostgres { // on SQLite the transaction is the only one that writes
		names := make([]string, len(tables))
		for i, table := range tables {
			names[i] = table.Name
		}
		lock := "LOCK TABLE " + strings.Join(names, ", ") + " IN SHARE ROW EXCLUSIVE MODE"
		if _, err := r.tx.ExecContext(ctx, lock); err != nil {
			return err
		}
	}
	return empty(ctx, r.tx, tables)
}

// copyTable copies one table, and reads back what it wrote.
func (r *receiver) copyTable(ctx context.Context, dialect string, source *sql.Tx, table CopiedTable) (int64, error) {
	theirs, err := columnKinds(ctx, source, table.Name)
	if err != nil {
		return 0, err
	}
	ours, err := columnKinds(ctx, r.tx, table.Name)
	if err != nil {
		return 0, err
	}
	if !maps.Equal(theirs, ours) {
		return 0, errors.New("the two databases don't have the same columns")
	}
	columns := slices.Sorted(maps.Keys(ours))

	read, err := readRows(ctx, source, table, columns, ours, table.Reads)
	if err != nil {
		return 0, err
	}
	defer func() { _ = read.rows.Close() }()
	if err := errors.Join(r.write(ctx, table.Name, columns, read), read.Err()); err != nil {
		return 0, err
	}
	if table.Numbered {
		if err := r.numberOn(ctx, dialect, source, table.Name); err != nil {
			return 0, err
		}
	}

	back, err := readRows(ctx, r.tx, table, columns, ours, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = back.rows.Close() }()
	for back.Next() {
	}
	switch {
	case back.Err() != nil:
		return 0, back.Err()
	case back.count != read.count || back.sum != read.sum:
		return 0, fmt.Errorf("%w: %d rows were read, and %d are there", errDiffers, read.count, back.count)
	}
	return read.count, nil
}

// write writes all rows that are read.
func (r *receiver) write(ctx context.Context, table string, columns []string, rows *rowReader) error {
	if r.dialect == DialectPostgres {
		return r.conn.Raw(func(c any) error {
			_, err := c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, rows)
			return err
		})
	}

	insert, err := r.tx.PrepareContext(ctx, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES (?"+
		strings.Repeat(", ?", len(columns)-1)+")")
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	for rows.Next() {
		if _, err := insert.ExecContext(ctx, rows.values...); err != nil {
			return err
		}
	}
	return nil
}

// numberOn lets the next row of a table get the number that it would have got in the source. Numbers of rows that are
// gone don't come again: others may still name them.
func (r *receiver) numberOn(ctx context.Context, dialect string, source *sql.Tx, table string) error {
	last, err := lastNumber(ctx, dialect, source, table)
	if err != nil || last == 0 {
		return err
	}
	if r.dialect == DialectPostgres {
		_, err = r.tx.ExecContext(ctx, "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)", table, last)
		return err
	}

	counts, err := countsUp(ctx, r.tx, table)
	if err != nil || !counts {
		return err
	}
	if _, err := r.tx.ExecContext(ctx, "DELETE FROM sqlite_sequence WHERE name = ?", table); err != nil {
		return err
	}
	_, err = r.tx.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, last)
	return err
}

// lastNumber is the highest number that a row of a table had; 0: none.
func lastNumber(ctx context.Context, dialect string, tx *sql.Tx, table string) (last int64, err error) {
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM "+table).Scan(&last); err != nil {
		return 0, err
	}

	var given int64
	if dialect == DialectPostgres {
		var sequence string
		err := tx.QueryRowContext(ctx, "SELECT pg_get_serial_sequence($1, 'id')", table).Scan(&sequence)
		if err == nil {
			err = tx.QueryRowContext(ctx, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM "+sequence).Scan(&given)
		}
		return max(last, given), err
	}

	counts, err := countsUp(ctx, tx, table)
	if err == nil && counts {
		err = tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?", table).Scan(&given)
	}
	return max(last, given), err
}

// countsUp reports whether SQLite remembers the last number of a table.
func countsUp(ctx context.Context, tx *sql.Tx, table string) (counts bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE type = 'table' AND name = ?",
		table).Scan(&counts)
	return counts, err
}

// analyze tells PostgreSQL's planner what came: until it looks by itself, it takes the tables for empty ones.
func (r *receiver) analyze(ctx context.Context, tables []CopiedTable) error {
	if r.dialect != DialectPostgres {
		return nil
	}
	for _, table := range tables {
		if _, err := r.conn.ExecContext(ctx, "ANALYZE "+table.Name); err != nil {
			return err
		}
	}
	return nil
}

// The kinds of columns that there are, alike on both databases.
const (
	kindText   = "text"
	kindNumber = "number"
	kindBytes  = "bytes"
)

var kindsOf = map[string]string{"TEXT": kindText, "INT8": kindNumber, "INTEGER": kindNumber, "BYTEA": kindBytes,
	"BLOB": kindBytes}

// columnKinds are the columns of a table.
func columnKinds(ctx context.Context, tx *sql.Tx, table string) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}

	kinds := map[string]string{}
	for _, column := range types {
		kind := kindsOf[strings.ToUpper(column.DatabaseTypeName())]
		if kind == "" {
			return nil, fmt.Errorf("column %s is of a type that isn't copied: %s", column.Name(), column.DatabaseTypeName())
		}
		kinds[column.Name()] = kind
	}
	return kinds, rows.Err()
}

// rowReader reads rows one by one, and adds up what is in them. It is a pgx.CopyFromSource.
type rowReader struct {
	rows   *sql.Rows
	into   []any // pointers into the row
	values []any // the row
	err    error
	count  int64
	sum    uint64 // of all rows, whatever their order
}

func readRows(ctx context.Context, tx *sql.Tx, table CopiedTable, columns []string, kinds,
	instead map[string]string) (*rowReader, error) {
	r := &rowReader{into: make([]any, len(columns)), values: make([]any, len(columns))}
	ask := make([]string, len(columns))
	for i, column := range columns {
		switch ask[i] = column; kinds[column] {
		case kindText:
			r.into[i] = new(string)
		case kindNumber:
			r.into[i] = new(int64)
		default:
			r.into[i] = new([]byte)
		}
		if expression := instead[column]; expression != "" {
			ask[i] = expression
		}
	}

	var err error
	r.rows, err = tx.QueryContext(ctx, "SELECT "+strings.Join(ask, ", ")+" FROM "+table.Name)
	return r, err
}

// Next is pgx.CopyFromSource's.
func (r *rowReader) Next() bool {
	if !r.rows.Next() {
		r.err = errors.Join(r.err, r.rows.Err())
		return false
	}
	if err := r.rows.Scan(r.into...); err != nil {
		r.err = err
		return false
	}

	hash := sha256.New()
	for i, value := range r.into {
		var content []byte
		switch v := value.(type) {
		case *string:
			r.values[i], content = *v, []byte(*v)
		case *int64:
			r.values[i], content = *v, binary.BigEndian.AppendUint64(nil, uint64(*v))
		case *[]byte:
			content = append([]byte{}, *v...) // not nil: that would be NULL
			r.values[i] = content
		}
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(content))))
		hash.Write(content)
	}
	r.sum += binary.BigEndian.Uint64(hash.Sum(nil))
	r.count++
	return true
}

// Values is pgx.CopyFromSource's.
func (r *rowReader) Values() ([]any, error) { return r.values, nil }

// Err is pgx.CopyFromSource's.
func (r *rowReader) Err() error { return r.err }

var _ pgx.CopyFromSource = (*rowReader)(nil)
