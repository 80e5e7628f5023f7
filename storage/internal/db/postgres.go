package db

// A PostgreSQL server is on the other side of a network: it fails over, turns read-only, and may stand behind a pooler.
// This file is where connections to it are made, kept and given up.

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"maps"
	neturl "net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"

	"github.com/switchboard-go/switchboard/internal/loopback"
)

const (
	// postgresConns is the most connections one process takes. A PostgreSQL server allows 100 unless told otherwise, so
	// this leaves room for five replicas and a person with psql.
	postgresConns = 16
	// connectTimeout is for one attempt to reach the server, unless the address has a connect_timeout of its own.
	connectTimeout = 5 * time.Second
	// readOnlyLife is how long a connection that can only read is used. After that a server that takes writes is looked
	// for again.
	readOnlyLife = time.Second
)

// What a connection's CustomData holds.
const (
	connBorn     = "switchboard.born" // when it was made, a time.Time
	connReadOnly = "switchboard.read_only"
)

// server is what is known about a PostgreSQL server. The zero value is right for SQLite.
type server struct {
	pooled  atomic.Bool  // a pooler is in between: no connection has a session of its own
	demoted atomic.Int64 // nanoseconds since 1970: when a connection that could write was refused a write
}

func (db *Pool) openPostgres(ctx context.Context, url string) error {
	config, err := parsePostgres(url)
	if err != nil {
		return err
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, connectTimeout)
	// UTC, because the migration table has times without a zone.
	defaults := map[string]string{"application_name": "switchboard", "timezone": "UTC"}
	maps.Copy(defaults, config.RuntimeParams)
	config.RuntimeParams = defaults
	config.OnPgError = db.server.keeps

	pool := sql.OpenDB(db.connectorFor(config, given(url, "target_session_attrs"), given(url, "default_query_exec_mode")))
	pool.SetMaxOpenConns(postgresConns)
	pool.SetMaxIdleConns(postgresConns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour) // so that a new primary or a changed DNS name is found some day
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close()
		said := errors.New(scrub(err.Error(), config.Password))
		if errors.Is(kindOf(err), ErrAway) {
			return &ofKind{error: said, kind: ErrAway}
		}
		return said
	}
	db.Dialect = DialectPostgres
	// pgx caches statements by itself; GORM's cache on top gains nothing and gets in the way of shared transactions.
	db.Write, err = openGORM(postgres.New(postgres.Config{Conn: pool}), false)
	if err != nil {
		_ = pool.Close()
		return err
	}
	db.Read, db.Single = db.Write, db.Write
	return nil
}

// given reports whether an address sets a parameter itself.
func given(url, name string) bool {
	u, err := neturl.Parse(url)
	return err == nil && u.Query().Has(name)
}

// connector makes connections that can write. Where there is no server for that, one that can only read is better than
// none: who is connected can still be told. It doesn't live long.
type connector struct {
	driver.Connector                  // to a server that takes writes
	any              driver.Connector // nil: the address says itself which servers will do
}

// errPooled says that a connection was made in a way that doesn't work behind a pooler.
var errPooled = errors.New("there is a pooler in between")

// Connect is driver.Connector's.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if errors.Is(err, errPooled) { // now it is known
		conn, err = c.Connector.Connect(ctx)
	}
	if c.any != nil && errors.Is(err, pgconn.ErrReadOnlyConnection) {
		conn, err = c.any.Connect(ctx)
	}
	return conn, err
}

// connectorFor returns what makes connections. The caller says whether the address chooses the servers, and the way of
// sending statements, itself.
func (db *Pool) connectorFor(config *pgx.ConnConfig, choosesServers, choosesMode bool) connector {
	options := func(readOnly bool) []stdlib.OptionOpenDB {
		return []stdlib.OptionOpenDB{
			stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
				// A statement with a name belongs to a session. One without is parsed each time, by whatever session gets it.
				if db.server.pooled.Load() && !choosesMode {
					c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
				}
				return nil
			}),
			stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
				conn.PgConn().CustomData()[connBorn] = time.Now()
				conn.PgConn().CustomData()[connReadOnly] = readOnly
				err := db.meet(ctx, conn)
				if err != nil {
					_ = conn.Close(ctx) // nobody else has it
				}
				return err
			}),
			stdlib.OptionResetSession(func(_ context.Context, conn *pgx.Conn) error { return db.server.reuse(conn.PgConn()) }),
		}
	}

	if choosesServers {
		return connector{Connector: stdlib.GetConnector(*config, options(false)...)}
	}

	writes := *config
	writes.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	return connector{
		Connector: stdlib.GetConnector(writes, options(false)...),
		any:       stdlib.GetConnector(*config, options(true)...),
	}
}

// meet learns what there is to know of a connection that was just made. A pooler gives us a number of its own for the
// session, and not that of the server's process. errPooled.
func (db *Pool) meet(ctx context.Context, conn *pgx.Conn) error {
	session, err := db.measureOn(ctx, conn)
	if err != nil || session == conn.PgConn().PID() {
		return err
	}
	if db.server.pooled.CompareAndSwap(false, true) {
		return errPooled
	}
	return nil
}

// keeps reports whether a connection is any good after an error of the server. One that could write and can't any more
// belongs to a server that was demoted, and so do those that were made before.
func (s *server) keeps(conn *pgconn.PgConn, err *pgconn.PgError) bool {
	if readOnly, _ := conn.CustomData()[connReadOnly].(bool); err.Code == codeReadOnly && !readOnly {
		s.demoted.Store(time.Now().UnixNano())
		return false
	}
	return !strings.EqualFold(err.Severity, "FATAL")
}

// reuse says whether a connection that waited in the pool may be used again.
func (s *server) reuse(conn *pgconn.PgConn) error {
	born, _ := conn.CustomData()[connBorn].(time.Time)
	readOnly, _ := conn.CustomData()[connReadOnly].(bool)
	if readOnly && time.Since(born) > readOnlyLife || born.UnixNano() < s.demoted.Load() {
		return driver.ErrBadConn
	}
	return nil
}

// parsePostgres parses url. A raw "/", "#" or "?" in a password cuts the address in the wrong place and leaves pieces
// of the password in the host or path, so an address like that is refused without quoting any of it.
func parsePostgres(url string) (*pgx.ConnConfig, error) {
	odd := errors.New("the address is not a valid URL: percent-encode special characters in user and password " +
		"(for example / as %2F, @ as %40, # as %23)")
	u, err := neturl.Parse(url)
	if err != nil || u.Fragment != "" || (u.User == nil && strings.Contains(url, "@")) {
		return nil, odd
	}
	config, err := pgx.ParseConfig(url)
	if err == nil && !u.Query().Has("sslmode") && !local(config) {
		insist(config)
	}
	if err != nil {
		var known *pgconn.ParseConfigError
		if !errors.As(err, &known) {
			return nil, odd
		}
		password, _ := u.User.Password()
		return nil, errors.New(scrub(known.Error(), password, u.Query().Get("password"), u.Query().Get("sslpassword")))
	}
	return config, nil
}

// insist takes from config what pgx would do where nobody chose an sslmode (prefer): go on without TLS where the server
// has none, or where somebody on the way says so. What PGSSLMODE or a service file chose stays as it is, verify-full
// and disable alike.
func insist(config *pgx.ConnConfig) {
	before := pgconn.FallbackConfig{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}
	config.Fallbacks = slices.DeleteFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool {
		gaveUp := f.TLSConfig == nil && before.TLSConfig != nil && f.Host == before.Host && f.Port == before.Port
		before = *f
		return gaveUp
	})
}

// InTheClear reports whether what is sent to a PostgreSQL server on another machine can go without TLS. An address that
// can't be read sends nothing: Open refuses it.
func InTheClear(url string) bool {
	config, err := parsePostgres(url)
	if err != nil {
		return false
	}
	plain := func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil && !offNetwork(f.Host) }
	return config.TLSConfig == nil && !offNetwork(config.Host) || slices.ContainsFunc(config.Fallbacks, plain)
}

// local reports whether all servers are reached without a network.
func local(config *pgx.ConnConfig) bool {
	away := func(f *pgconn.FallbackConfig) bool { return !offNetwork(f.Host) }
	return offNetwork(config.Host) && !slices.ContainsFunc(config.Fallbacks, away)
}

// offNetwork reports whether a host is reached over loopback or a Unix socket.
func offNetwork(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || loopback.Is(host)
}

// scrub removes secrets from text that libraries wrote, as they are and as they stand in an address.
func scrub(text string, secrets ...string) string {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		for _, form := range []string{s, neturl.QueryEscape(s), neturl.PathEscape(s),
			neturl.UserPassword("", s).String()[1:]} {
			text = strings.ReplaceAll(text, form, "[secret]")
		}
	}
	return text
}
