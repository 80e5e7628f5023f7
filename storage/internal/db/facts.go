package db

// What an operator wants to know about how a database is reached and kept, and can't see from its address.

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// Facts are what is known of an open database. Of the other one's fields all are zero.
type Facts struct {
	// PostgreSQL.
	Version   string // of the server
	Encrypted bool   // the connection that was looked at
	Pooled    bool   // PgBouncer or the like is in between: no connection has a session of its own
	Reused    bool   // and the address asks for statements that belong to a session
	// SQLite, in bytes.
	File, WAL int64
	Path      string
}

// Facts looks at the database. It changes nothing.
func (u *Upkeep) Facts(ctx context.Context) (Facts, error) {
	if u.pool.Dialect == DialectSQLite {
		f := Facts{Path: u.pool.path}
		var err error
		if f.File, err = size(f.Path); err == nil {
			f.WAL, err = size(f.Path + "-wal")
		}
		return f, err
	}

	f := Facts{}
	read := u.pool.Read.WithContext(ctx)
	if err := read.Raw("SELECT current_setting('server_version')").Scan(&f.Version).Error; err != nil {
		return f, Fault(ctx, "look at the database", err)
	}
	conn, err := u.pool.handle().Conn(ctx)
	if err != nil {
		return f, Fault(ctx, "look at the database", err)
	}
	defer func() { _ = conn.Close() }()

	err = conn.Raw(func(raw any) error {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return driver.ErrBadConn
		}
		_, f.Encrypted = c.Conn().PgConn().Conn().(*tls.Conn)
		f.Pooled = u.pool.server.pooled.Load()
		mode := c.Conn().Config().DefaultQueryExecMode
		f.Reused = f.Pooled && (mode == pgx.QueryExecModeCacheStatement || mode == pgx.QueryExecModeDescribeExec)
		return nil
	})
	return f, Fault(ctx, "look at the database", err)
}

// Setting is one of PostgreSQL's settings as our sessions have it, and where it comes from.
type Setting struct {
	Value  string // as pg_settings has it
	Source string // its source: "client" is the address, then "database", "user", "configuration file" …
	// For a statement that changes it.
	Database, Role string
	Standby        bool // the server follows another one, and takes no writes whatever is set
}

// Setting asks PostgreSQL. On SQLite, which has none, it is the zero Setting.
// https://www.postgresql.org/docs/current/view-pg-settings.html
func (u *Upkeep) Setting(ctx context.Context, name string) (s Setting, err error) {
	if u.pool.Dialect != DialectPostgres {
		return s, nil
	}
	err = u.pool.Read.WithContext(ctx).Raw(`SELECT setting AS value, source, current_database() AS database,
		current_user AS role, pg_is_in_recovery() AS standby FROM pg_settings WHERE name = ?`, name).Scan(&s).Error
	return s, Fault(ctx, "look at the database's settings", err)
}

// size of a file; 0 of one that is not there.
func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Use is how this process uses its connections to the database.
type Use struct {
	Most, InUse, Idle int           // connections: what it may have, and has
	Waits             int64         // statements that had to wait for one, since the start
	Waited            time.Duration // all together
}

// Use says how busy the connections are. It asks nobody. On SQLite it is the connections that read and the one that
// writes, with the wait for a turn to write.
func (u *Upkeep) Use() (use Use) {
	use.Waits, use.Waited = u.pool.gate.delays()
	pools := []*gorm.DB{u.pool.Write, u.pool.Read}
	if u.pool.Read == u.pool.Write {
		pools = pools[:1]
	}
	for _, g := range pools {
		handle, err := g.DB()
		if err != nil {
			continue
		}
		s := handle.Stats()
		use.Most, use.InUse, use.Idle = use.Most+s.MaxOpenConnections, use.InUse+s.InUse, use.Idle+s.Idle
		use.Waits, use.Waited = use.Waits+s.WaitCount, use.Waited+s.WaitDuration
	}
	return use
}

// QuickCheck has SQLite read its file and say in a sentence what is damaged; "" is nothing. It takes as long as reading
// the file does, unless ctx ends first. On PostgreSQL there is no such question.
// https://www.sqlite.org/pragma.html#pragma_quick_check
func (u *Upkeep) QuickCheck(ctx context.Context) (damage string, err error) {
	if u.pool.Dialect != DialectSQLite {
		return "", nil
	}
	err = u.pool.Read.WithContext(ctx).Raw("PRAGMA quick_check(1)").Scan(&damage).Error
	if damage == "ok" {
		damage = ""
	}
	return damage, Fault(ctx, "check the database's file", err)
}

// InUse reports whether another process works this SQLite file at the moment. It asks for a lock and gives it back, so
// it isn't for when one may be starting.
func (u *Upkeep) InUse() (bool, error) {
	if u.pool.Dialect != DialectSQLite {
		return false, nil
	}
	if _, err := os.Stat(lockPath(u.pool.path)); errors.Is(err, fs.ErrNotExist) {
		return false, nil // nobody ever did
	}
	err := u.pool.Share()
	if errors.Is(err, ErrInUse) {
		return true, nil
	}
	if err == nil {
		u.pool.Unshare()
	}
	return false, err
}

// Unverified reports whether TLS to a PostgreSQL server on another machine would go to whoever answers there: nobody
// looks at the certificate.
func Unverified(url string) bool {
	config, err := parsePostgres(url)
	if err != nil || InTheClear(url) {
		return false
	}
	return !local(config) && config.TLSConfig != nil && config.TLSConfig.InsecureSkipVerify &&
		config.TLSConfig.VerifyPeerCertificate == nil
}
