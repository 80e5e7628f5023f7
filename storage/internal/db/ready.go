package db

// Whoever sends traffic here asks whether it can be taken. A database that can be read and not written takes none:
// events can't be kept. So the answer is what became of writing.

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/switchboard-go/switchboard/storage/internal/columns"
)

// What Ready's errors are, and what errors of other calls are where it can be told. A *SchemaError is ErrUnfit.
var (
	ErrAway        = errors.New("the database doesn't answer")
	ErrNotWritable = errors.New("the database answers and can't be written")
	ErrUnfit       = errors.New("the database's tables are not those that this release needs")
	// ErrUnseen says that the database wasn't asked for its schema yet.
	ErrUnseen = errors.New("the database's tables were not looked at yet")
)

const (
	// writeCounts is how long a write that worked stands for the next one. Probes come twice a second, from several
	// places.
	writeCounts = time.Second
	// refusalCounts is how long a write that was refused stands against it: on a full disk a small one can work where the
	// next event finds no room.
	refusalCounts = 3 * time.Second
	// schemaLook is how often the schema is looked at while writes work without a probe.
	schemaLook = 10 * time.Second
)

// PostgreSQL's codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	codeReadOnly         = "25006" // read_only_sql_transaction
	codeDiskFull         = "53100"
	codeIO               = "58030"
	codeTooManyConns     = "53300"
	classBrokenConn      = "08"
	classOperator        = "57" // stopped, starting, cancelled
	codeUnsupportedParam = "08P01"
)

// ofKind is an error with what it means for the whole database. Its text is the error's.
type ofKind struct {
	error
	kind error
}

func (e *ofKind) Unwrap() []error { return []error{e.error, e.kind} }

// kindOf is ErrAway or ErrNotWritable where err says so of the whole database, else nil.
func kindOf(err error) error {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return ErrNotWritable
	case errors.As(err, &pg):
		switch {
		case pg.Code == codeReadOnly, pg.Code == codeDiskFull, pg.Code == codeIO:
			return ErrNotWritable
		case pg.Code == codeTooManyConns, strings.HasPrefix(pg.Code, classOperator),
			strings.HasPrefix(pg.Code, classBrokenConn) && pg.Code != codeUnsupportedParam:
			return ErrAway
		}
	case passes(err):
		return ErrAway
	}

	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR:
		return ErrNotWritable
	}
	return nil
}

// passes reports whether a server that couldn't be reached may be reached later without anybody changing an address: it
// is down, or starts, or the way to it is cut. A name that nobody knows is rather a misspelt one.
func passes(err error) bool {
	var dns *net.DNSError
	var network *net.OpError
	var connect *pgconn.ConnectError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &connect) && errors.Is(err, context.DeadlineExceeded)
}

// health is what is known of the database without asking it. Its methods may be called from any number of goroutines.
type health struct {
	probing chan struct{} // holds one while somebody asks

	mu      sync.Mutex
	wrote   time.Time // when a write last worked
	refused time.Time // when one was last refused, since then
	why     error
	looked  time.Time // at the schema; zero: never
	schema  error     // what was seen: nil or a *SchemaError
}

// note takes how a write ended.
func (h *health) note(p precedence, err error) {
	kind := kindOf(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && p == Acknowledging: // what is less urgent can have nothing to write
		h.wrote, h.refused, h.why = time.Now(), time.Time{}, nil
	case kind == ErrAway:
		h.wrote = time.Time{}
	case kind == ErrNotWritable:
		h.wrote, h.refused, h.why = time.Time{}, time.Now(), err
	}
}

// saw takes what the schema is.
func (h *health) saw(schema error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked, h.schema = time.Now(), schema
	return schema
}

// verdict is what Ready says without asking, where what happened a moment ago is enough.
func (h *health) verdict() (err error, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case time.Since(h.refused) < refusalCounts:
		return &ofKind{error: h.why, kind: ErrNotWritable}, true
	case h.looked.IsZero() || h.schema != nil || time.Since(h.looked) > schemaLook:
		return nil, false
	}
	return nil, time.Since(h.wrote) < writeCounts
}

// SchemaSeen is how the schema was when the database was last asked: nil, a *SchemaError, or ErrUnseen. It asks nobody.
func (u *Upkeep) SchemaSeen() error {
	u.pool.seen.mu.Lock()
	defer u.pool.seen.mu.Unlock()
	if u.pool.seen.looked.IsZero() {
		return ErrUnseen
	}
	return u.pool.seen.schema
}

// Ready returns nil when the database can be written and has a schema that this program can work with. Its error is
// ErrAway, ErrNotWritable or a *SchemaError, which is ErrUnfit. It writes one row, at most once a second, and not at
// all while events are being kept.
func (u *Upkeep) Ready(ctx context.Context) error {
	select {
	case u.pool.seen.probing <- struct{}{}:
		defer func() { <-u.pool.seen.probing }()
	case <-ctx.Done():
		return u.unready(ctx, ctx.Err())
	}

	if err := u.pool.fileThere(); err != nil {
		return err
	}

	switch err, known := u.pool.seen.verdict(); {
	case err != nil:
		return err
	case known:
		var one int
		if err := u.pool.Read.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error; err != nil {
			return u.unready(ctx, err)
		}
		return nil
	}

	if u.SchemaSeen() != nil {
		if err := u.CheckSchema(ctx); errors.Is(err, ErrUnfit) {
			return err
		} else if err != nil {
			return u.unready(ctx, err)
		}
	}
	return u.probe(ctx)
}

// probe writes what changes nothing, and looks at the schema in the same statement.
func (u *Upkeep) probe(ctx context.Context) error {
	const statement = `
UPDATE schema_state SET probed_at = ? WHERE id = 1
RETURNING works_from, (SELECT max(version_id) FROM ` + versionTable + ` WHERE is_applied) AS have`
	var found struct{ WorksFrom, Have int64 }
	err := u.pool.ExecAs(ctx, Acknowledging, func(g *gorm.DB) error {
		return g.Raw(statement, columns.Micros(u.pool.Now())).Scan(&found).Error
	})
	if err != nil {
		return u.unready(ctx, err)
	}
	return u.judge(found.Have, found.WorksFrom)
}

// unready is an error of the database that keeps us from being ready, with what it means.
func (u *Upkeep) unready(ctx context.Context, err error) error {
	kind := kindOf(err)
	var pg *pgconn.PgError
	if kind == nil {
		kind = ErrAway
		if u.pool.Dialect == DialectSQLite || errors.As(err, &pg) {
			kind = ErrNotWritable // it is here, and something keeps us from it
		}
	}
	return &ofKind{error: Fault(ctx, "ask whether database can be written", err), kind: kind}
}
