package storage

// What the database says of itself, as those see it who open one.

import "github.com/switchboard-go/switchboard/storage/internal/db"

type (
	// Migration is one step of the schema.
	Migration = db.Migration
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
	ErrBackupFile  = db.ErrBackupFile
)

// InTheClear reports whether what is sent to a PostgreSQL server on another machine can go without TLS. An address that
// can't be read sends nothing: Open refuses it.
func InTheClear(url string) bool { return db.InTheClear(url) }
