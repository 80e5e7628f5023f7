package server

// The database that an app is served from: opened in an order that makes no file, and no key, where another one is
// missed.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/journal"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// Problem is one thing wrong with a setting, and what to do about it.
type Problem struct{ Setting, What, Fix string }

// ConfigError is a configuration that can't be used, with everything that is wrong with it.
type ConfigError struct{ Problems []Problem }

func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString("the configuration can't be used. Nothing was started.")
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %s: %s\n    Fix: %s", p.Setting, p.What, p.Fix)
	}
	return b.String()
}

// Wrong is a ConfigError with one problem.
func Wrong(setting, what, fix string) error {
	return &ConfigError{Problems: []Problem{{Setting: setting, What: what, Fix: fix}}}
}

// Database is where connections are kept and how their secrets are sealed.
type Database struct {
	URL     connection.Secret // postgres://… or sqlite:PATH; it may hold a password
	DataDir string            // for the journal of new tokens
	Program string            // what is typed to run this, for what an operator is told to do; "": it has no command line
	Keys    connection.Secret // with commas, the first seals; "" with SQLite: KeyFile
}

// Path is the SQLite file, "" with PostgreSQL.
func (d Database) Path() string {
	path, _ := strings.CutPrefix(d.URL.Reveal(), "sqlite:")
	if path == d.URL.Reveal() {
		return ""
	}
	return path
}

// KeyFile is where the keys are with SQLite, if they were not given.
func (d Database) KeyFile() string { return d.Path() + ".key" }

// Journal is the folder that keeps what Slack handed out until it is stored.
func (d Database) Journal() string { return filepath.Join(d.DataDir, "journal") }

// Keyring returns the keys that seal and open. With SQLite and none given they are in KeyFile, which is made at first
// use.
func (d Database) Keyring() (*seal.Keyring, error) {
	if d.Keys != "" {
		return seal.ParseKeys(d.Keys.Reveal())
	}
	return seal.KeyFile(d.KeyFile())
}

// MakeKey makes KeyFile where keys were not given and nothing is sealed yet, for what is about to store something.
func (d Database) MakeKey(ctx context.Context) error {
	if !d.keyMissing() {
		return nil
	}
	if err := d.MustExist(); err != nil {
		return err
	}
	db, err := d.Open(ctx, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(db.CheckSchema(ctx), db.Close()); err != nil { // no other program's file gets our tables
		return err
	}

	if err := d.keyLost(ctx); err != nil {
		return err
	}
	_, err = d.Keyring()
	return err
}

// keyMissing reports whether there are no keys, and a new one can be made.
func (d Database) keyMissing() bool {
	_, err := os.Stat(d.KeyFile())
	return d.Path() != "" && d.Keys == "" && errors.Is(err, fs.ErrNotExist)
}

// MustExist refuses to make an empty SQLite database where the operator expected a full one.
func (d Database) MustExist() error {
	path := d.Path()
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database at %s; %s migrate up creates it, or check DATABASE_URL and DATA_DIR", path,
			d.Program)
	}
	return nil
}

// DataDirFix is what to do about a data folder that can't be used.
const DataDirFix = "name a folder that this process can write to, and that outlives it: " +
	"new tokens wait there while the database is down"

// MakeFolder makes the folder of the SQLite file, for what may make the file itself.
func (d Database) MakeFolder() error {
	path := d.Path()
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		if filepath.Dir(path) == filepath.Clean(d.DataDir) {
			return Wrong("DATA_DIR", "can't be made: "+err.Error(), DataDirFix)
		}
		return Wrong("DATABASE_URL", "names a folder that can't be made: "+err.Error(),
			"name a file in a folder that this process can write to")
	}
	return nil
}

// Open opens the database, and says what to look at when it doesn't answer.
func (d Database) Open(ctx context.Context, keys *seal.Keyring) (*storage.DB, error) {
	raw := d.URL.Reveal()
	db, err := storage.Open(ctx, raw, keys)
	if err == nil {
		return db, nil
	}
	// A password with an unescaped / # or ? reads like a host; then nothing of the address is repeated.
	u, bad := url.Parse(raw)
	if d.Path() == "" && bad == nil && u.Fragment == "" && (u.User != nil || !strings.Contains(raw, "@")) {
		return nil, fmt.Errorf("the database at %s can't be used; is it running, and is DATABASE_URL right?\n%w", u.Host, err)
	}
	return nil, fmt.Errorf("the database can't be used; check DATABASE_URL and DATA_DIR.\n%w", err)
}

// UseJournal lets the database keep in DataDir what Slack handed out until it is stored.
func (d Database) UseJournal(db *storage.DB) error {
	if err := db.UseJournal(d.Journal()); err != nil {
		return Wrong("DATA_DIR", "holds no journal: "+err.Error(), DataDirFix)
	}
	return nil
}

const (
	awayRetry = time.Second      // between tries to reach a database that is away
	awayWords = 30 * time.Second // between lines in the log that say so
)

// openPatiently is openToServe, and waits for a database that is away as long as ctx lives: it is started beside us,
// perhaps, or fails over. What waiting doesn't change (a wrong password, a name that nobody knows) is an error at the
// first try.
func (d Database) openPatiently(ctx context.Context, log *slog.Logger) (*storage.DB, error) {
	var said time.Time
	for {
		db, err := d.openToServe(ctx)
		if !errors.Is(err, storage.ErrAway) {
			return db, err
		}

		if time.Since(said) >= awayWords {
			log.Warn("the database doesn't answer; waiting for it", "cause", err)
			said = time.Now()
		}

		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(awayRetry):
		}
	}
}

// Migrate brings the tables of PostgreSQL up to date and returns how many steps that took. SQLite is left to Run.
func (s *Server) Migrate(ctx context.Context) (applied int, err error) {
	d := s.cfg.Database
	if d.Path() != "" {
		return 0, nil
	}
	db, err := d.Open(ctx, nil) // the tables' shape needs no secret
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Migrate(ctx)
}

// openToServe opens the database. SQLite belongs to this process alone, so it is brought up to date; PostgreSQL is
// shared with other replicas, so that is left to the operator.
func (d Database) openToServe(ctx context.Context) (*storage.DB, error) {
	if err := d.MakeFolder(); err != nil {
		return nil, err
	}
	if err := d.keyLost(ctx); err != nil {
		return nil, err
	}
	keys, err := d.Keyring()
	if err != nil {
		return nil, err
	}
	made := d.MustExist() != nil
	db, err := d.Open(ctx, keys)
	if err != nil {
		return nil, err
	}

	if err := db.Exclusive(); err != nil { // before the tables are touched
		return nil, errors.Join(err, db.Close())
	}
	if err := d.UseJournal(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if d.Path() != "" {
		if err = claimAlone(db); err == nil {
			_, err = db.Migrate(ctx)
		}
	}
	if err == nil {
		err = db.CheckSchema(ctx)
	}
	if err == nil {
		if err = db.CheckAnyKey(ctx); errors.Is(err, storage.ErrWrongKeys) {
			err = Wrong("ENCRYPTION_KEYS", "don't open what is stored; they belong to another database",
				"give the keys it was encrypted with, or put the key file back next to it. If they are lost for good: "+
					d.erasing()+"; every workspace then has to reconnect")
		}
	}
	if err != nil {
		return nil, d.closeRefused(made, db, err)
	}
	return db, nil
}

// claimAlone refuses a DATA_DIR that another running program has. A SQLite file belongs to one process, which we are by
// now, so the other one works for another database: each would take the other's tokens for its own lost ones. Of
// replicas on PostgreSQL two can overlap in a restart, so those go on and say so (claimJournal).
func claimAlone(db *storage.DB) error {
	err := db.ClaimJournal()
	if errors.Is(err, journal.ErrShared) {
		return Wrong("DATA_DIR", "is in use by another program, which has a database of its own",
			"give each program a DATA_DIR of its own")
	}
	return err
}

// keyLost refuses to have a new key file made where something is sealed with the one that is missing: the right one
// could not be put back, and what the new one seals would be lost with it.
func (d Database) keyLost(ctx context.Context) (err error) {
	if !d.keyMissing() {
		return nil
	}
	made := d.MustExist() != nil
	db, err := d.Open(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = d.closeRefused(made, db, err) }()

	if err := db.Exclusive(); err != nil {
		return err
	}
	if err := d.UseJournal(db); err != nil {
		return err
	}
	if _, err := db.Migrate(ctx); err != nil {
		return err
	}
	if err := db.CheckAnyKey(ctx); !errors.Is(err, storage.ErrWrongKeys) {
		return err
	}
	return Wrong("ENCRYPTION_KEYS",
		"is not set, and there is no key file "+d.KeyFile()+". What is stored in the database, or in DATA_DIR, is "+
			"encrypted with the missing key, so no new one is made",
		"put the key file back, give its content as ENCRYPTION_KEYS, or check DATABASE_URL and DATA_DIR. If the key is lost "+
			"for good, give a new one as "+
			"ENCRYPTION_KEYS (openssl rand -base64 32) and run "+d.erasing()+"; "+
			"every workspace then has to reconnect")
}

// erasing is what gives up all that no key opens.
func (d Database) erasing() string {
	if d.Program == "" {
		return "storage.DB.Reseal"
	}
	return d.Program + " keys rotate --erase-unreadable"
}

// closeRefused closes a database that can't be served with, for err. One that was made just now goes again where
// another one is missed: the place has to be free when that one is put back.
func (d Database) closeRefused(made bool, db *storage.DB, err error) error {
	missed := errors.Is(err, storage.ErrMissed) || errors.As(err, new(*ConfigError))
	err = errors.Join(err, db.Close())
	for _, part := range []string{"", "-wal", "-shm"} {
		if made && missed {
			_ = os.Remove(d.Path() + part)
		}
	}
	return err
}

// InOperatorsWords is err with the command that helps, of an app's program, where the library names what a program
// can call.
func InOperatorsWords(err error, app, program string) string {
	var schema *storage.SchemaError
	if !errors.As(err, &schema) || program == "" {
		return err.Error()
	}

	var words string
	switch {
	case schema.Have > schema.Want:
		words = fmt.Sprintf("this database was written by a newer %s (schema version %d, this one knows %d): "+
			"run that version or newer", app, schema.Have, schema.Want)
	case schema.Have == 0:
		words = fmt.Sprintf("this database has no %s tables yet: run %s migrate up", app, program)
	default:
		words = fmt.Sprintf("this database has schema version %d and this %s needs %d: run %s migrate up",
			schema.Have, app, schema.Want, program)
	}
	return strings.ReplaceAll(err.Error(), schema.Error(), words)
}
