package storage

// A DB: what it is put together from, how it is opened and closed, and what it says of itself.

import (
	"context"
	"errors"
	"fmt"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/journal"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/timers"
	"github.com/switchboard-go/switchboard/storage/values"
)

// What DB is put together from, each with the methods that it gives it.
type (
	upkeep    = db.Upkeep
	handedOut = journal.Journal
	events    = inbox.Table
)

// DB is an open database, with what it keeps. Its methods may be called from any number of goroutines at once.
type DB struct {
	*upkeep
	*handedOut
	*events
	attempts
	budgets
	questions
	sealer
	pool   *db.Pool
	values *values.Table
	timers *timers.Table
}

var (
	_ install.Store = (*DB)(nil)
	_ install.Clock = (*DB)(nil)
)

// Open connects to the database at url: "postgres://…", "postgresql://…" or "sqlite:PATH". A PostgreSQL server on
// another machine has to have TLS, unless an sslmode says otherwise. It creates an empty SQLite file (0600) when
// there is none, and changes nothing else: Migrate makes the tables. Without keys (nil) everything but secrets can be
// read and written. No error holds the address's password.
func Open(ctx context.Context, url string, keys *seal.Keyring) (*DB, error) {
	pool, err := db.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	return &DB{upkeep: db.NewUpkeep(pool), handedOut: journal.New(keys), events: inbox.NewTable(pool, keys),
		attempts: attempts{pool: pool}, budgets: budgets{pool: pool}, questions: questions{pool: pool},
		sealer: sealer{keys: keys}, pool: pool, values: values.NewTable(pool, keys), timers: timers.NewTable(pool, keys)}, nil
}

// Close closes the database and the journal, and gives up what Exclusive took. Call it last: everything else needs it.
func (d *DB) Close() error {
	if err := errors.Join(d.handedOut.Close(), d.pool.Close()); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// Values is where bots keep what they remember, for bot.Config.
func (d *DB) Values() *values.Table { return d.values }

// Timers hands what bots put off, and what recurs, to an inbox of this database, for one app ("": all of them). It is
// for bot.Config.
func (d *DB) Timers(app string, in *inbox.Inbox) *timers.Timers {
	return d.timers.Timers(app, in, d.events)
}

// SigningKeys are what install.Config asks for, derived from the keys that seal.
func (d *DB) SigningKeys() []connection.Secret { return d.sealer.keys.SigningKeys() }

// Migrate brings the schema up to date and returns how many steps it took; 0 when others already did. Any number of
// replicas may call it at once: on PostgreSQL they wait for each other for up to two minutes. A database that is newer
// than this program is refused with a *SchemaError and left alone. ErrMissed.
func (d *DB) Migrate(ctx context.Context) (applied int, err error) {
	return d.upkeep.Migrate(ctx, d.checkMissed)
}

// ErrMissed says that the journal of new tokens knows connections that an empty database does not.
var ErrMissed = errors.New("this database is empty, and the journal of new tokens is not: it belongs to another " +
	"database. Put that one back; or if it is lost for good, move the journal's folder away")

// checkMissed keeps an empty SQLite file from being taken for a new one where there was another: its tokens would be
// given up.
func (d *DB) checkMissed() error {
	if d.Dialect() != db.DialectSQLite {
		return nil
	}
	empty, err := d.handedOut.Empty()
	if err == nil && !empty {
		err = ErrMissed
	}
	return err
}

type (
	// Migration is one step of the schema.
	Migration = db.Migration
	// Facts are what is known of how a database is reached and kept.
	Facts = db.Facts
	// Setting is one of PostgreSQL's settings, and where it comes from.
	Setting = db.Setting
	// SchemaError says that the database's schema is not the one this program needs.
	SchemaError = db.SchemaError
)

// What errors are, where it can be told. ErrFileGone is an ErrNotWritable, a *SchemaError is ErrUnfit.
var (
	ErrAway        = db.ErrAway
	ErrNotWritable = db.ErrNotWritable
	ErrFileGone    = db.ErrFileGone
	ErrUnfit       = db.ErrUnfit
	ErrUnseen      = db.ErrUnseen
	ErrInUse       = db.ErrInUse
	ErrIncomplete  = db.ErrIncomplete
	ErrStrayWAL    = db.ErrStrayWAL
	ErrBackupFile  = db.ErrBackupFile
)

// Unverified reports whether TLS to a PostgreSQL server on another machine would go to whoever answers there: nobody
// looks at the certificate.
func Unverified(url string) bool { return db.Unverified(url) }

// InTheClear reports whether what is sent to a PostgreSQL server on another machine can go without TLS. An address that
// can't be read sends nothing: Open refuses it.
func InTheClear(url string) bool { return db.InTheClear(url) }
