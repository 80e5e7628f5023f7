package db

// A database of another program's is only looked at: it is never written to, and nothing appears beside its file.

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	neturl "net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
)

// OpenReadOnly opens the database at url, which can be another program's: "postgres://…", "postgresql://…" or
// "sqlite:PATH". It makes no file and changes none. TLS and errors are as with Open.
func OpenReadOnly(ctx context.Context, url string) (pool *sql.DB, dialect string, err error) {
	scheme, path, _ := strings.Cut(url, ":")
	if scheme == "sqlite" {
		pool, err = readSQLite(path)
		dialect = DialectSQLite
	} else {
		pool, err = readPostgres(url)
		dialect = DialectPostgres
	}
	if err != nil {
		return nil, "", err
	}

	pool.SetMaxOpenConns(1)
	if err := pool.PingContext(ctx); err != nil {
		return nil, "", errors.Join(scrubbed(url, err), pool.Close())
	}
	return pool, dialect, nil
}

// scrubbed is what a server or a driver said, without the password of the address.
func scrubbed(url string, err error) error {
	u, bad := neturl.Parse(url)
	if bad != nil || u.User == nil {
		return err
	}
	password, _ := u.User.Password()
	return errors.New(scrub(err.Error(), password, u.Query().Get("password"), u.Query().Get("sslpassword")))
}

// What a SQLite file begins with, and where in it the two bytes are that tell how it is written.
const (
	sqliteMagic  = "SQLite format 3\x00"
	sqliteHeader = 20
	sqliteWAL    = 2 // in both of the last two bytes of the header
)

// readSQLite opens a file that is there. In WAL mode even a reader makes files beside it, unless it is told that nobody
// writes: which is so where there is no -wal file, as whoever uses such a database has one.
func readSQLite(path string) (*sql.DB, error) {
	path, err := sqlitePath(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	header := make([]byte, sqliteHeader)
	_, err = io.ReadFull(f, header)
	_ = f.Close() // it was only read
	if err != nil || !bytes.HasPrefix(header, []byte(sqliteMagic)) {
		return nil, fmt.Errorf("%s is not a SQLite database", path)
	}

	options := "?mode=ro&_pragma=busy_timeout(5000)&_query_only=1"
	if _, err := os.Stat(path + "-wal"); err != nil && header[sqliteHeader-1] == sqliteWAL {
		options += "&immutable=1"
	}
	return sql.Open("sqlite", "file:"+(&neturl.URL{Path: path}).EscapedPath()+options)
}

// readPostgres opens a server's database. That each transaction can only read is asked of the server, too.
func readPostgres(url string) (*sql.DB, error) {
	config, err := parsePostgres(url)
	if err != nil {
		return nil, err
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, connectTimeout)
	config.RuntimeParams["default_transaction_read_only"] = "on"
	return stdlib.OpenDB(*config), nil
}
