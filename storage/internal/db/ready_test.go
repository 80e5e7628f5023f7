package db_test

// Ready is asked by whoever sends traffic here, often, and must not be wrong.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A database that was opened when it could be read and not written serves reads and is not ready.
func TestReadOnlyFromTheStart(t *testing.T) {
	t.Parallel()
	f := storetest.Open(t, storagetest.Postgres(t))
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
	u, err := url.Parse(f.URL)
	storetest.OK(t, err)
	query := u.Query()
	query.Set("default_transaction_read_only", "on")
	u.RawQuery = query.Encode()

	db := storetest.OpenWith(t, u.String(), nil)
	for range 2 { // the first answer is another question than the later ones
		if err := db.Ready(t.Context()); !errors.Is(err, storage.ErrNotWritable) || errors.Is(err, storage.ErrAway) {
			t.Errorf("Ready: %v", err)
		}
	}
	if err := db.SchemaSeen(); err != nil {
		t.Errorf("its schema: %v", err)
	}
	if found, err := db.Get(t.Context(), c.ID); err != nil || found.Key != c.Key {
		t.Errorf("read: %v, %v", found.Key, err)
	}
}

// A database that stops taking writes under a running program is not ready any longer, and is ready again with the
// first write that works. One write that was refused is enough to know, even where a smaller one would find room.
func TestNotWritableIsNotReady(t *testing.T) {
	t.Parallel()
	sqlite := func(stop func(*storage.DB, *testing.T) func()) func(t *testing.T) (storetest.Fixture, func() func()) {
		return func(t *testing.T) (storetest.Fixture, func() func()) {
			f := storetest.Open(t, storagetest.SQLite(t))
			return f, func() func() { return stop(f.DB, t) }
		}
	}
	for name, start := range map[string]func(t *testing.T) (f storetest.Fixture, stop func() (again func())){
		"read-only SQLite": sqlite((*storage.DB).RefuseWrites),
		"full disk":        sqlite((*storage.DB).FillDisk),
		"read-only PostgreSQL": func(t *testing.T) (storetest.Fixture, func() func()) {
			address, way := relayed(t, storagetest.Postgres(t))
			return storetest.Open(t, address), func() func() {
				way.readOnly.Store(true)
				way.interrupt()
				return func() { way.readOnly.Store(false) }
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, stop := start(t)
			in, err := f.Inbox(t.Context(), inbox.Config{})
			if err != nil {
				t.Fatal(err)
			}
			in.Start()
			t.Cleanup(in.Close)
			add := func(e bot.Delivery) error {
				_, err := in.Add(t.Context(), &e, false)
				return err
			}
			storetest.OK(t, add(storetest.Event("Ev1", "T1")))
			storetest.OK(t, f.Ready(t.Context()))

			again := stop()
			big := storetest.Event("Ev2", "T1")
			big.Body = []byte(strings.Repeat("x", 100_000))
			for errors.Is(err, storage.ErrAway) || err == nil { // the sessions that were interrupted
				err = add(big)
			}
			if !errors.Is(err, storage.ErrNotWritable) {
				t.Errorf("an event that could not be kept: %v", err)
			}
			for range 2 {
				if err := f.Ready(t.Context()); !errors.Is(err, storage.ErrNotWritable) {
					t.Errorf("Ready: %v", err)
				}
			}
			again()
			f.LeaveReadOnly()
			storetest.OK(t, add(big))
			storetest.OK(t, f.Ready(t.Context()))
		})
	}
}

// Connections to a server that was demoted are given up with the first write that it refuses. The write goes to its
// successor.
func TestDemotedServerIsLeft(t *testing.T) {
	t.Parallel()
	f := storetest.Open(t, storagetest.Postgres(t))
	const sessions = 4
	demoted := f.EachSession(t, sessions, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
	storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
	storetest.OK(t, f.Ready(t.Context()))
	for _, session := range f.EachSession(t, sessions, "SELECT 1") {
		if slices.Contains(demoted, session) {
			t.Errorf("session %d, of the demoted server, is still used", session)
		}
	}
}

// Of two servers the one that takes writes is used, whichever stands first in the address.
func TestServerThatTakesWritesIsFound(t *testing.T) {
	t.Parallel()
	address := storetest.Open(t, storagetest.Postgres(t)).URL
	standby, way := relayed(t, address)
	way.readOnly.Store(true)
	u, err := url.Parse(address)
	storetest.OK(t, err)
	at := u.Host
	for _, hosts := range []string{hostOf(t, standby) + "," + at, at + "," + hostOf(t, standby)} {
		u.Host = hosts
		if err := storetest.OpenWith(t, u.String(), nil).Ready(t.Context()); err != nil {
			t.Errorf("one of the two servers takes writes: %v", err)
		}
	}
}

// Two replicas, each asked by many at once, write a row a second at most, and none while events are kept.
func TestReadyWritesSeldom(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		storetest.Exec(t, f, "CREATE TABLE probes (at integer)")
		if f.Dialect() == "sqlite" {
			storetest.Exec(t, f, "CREATE TRIGGER counted AFTER UPDATE ON schema_state BEGIN INSERT INTO probes VALUES (1); END")
		} else {
			storetest.Exec(t, f,
				`CREATE FUNCTION count_probe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO probes VALUES (1); RETURN new; END $$`)
			storetest.Exec(t, f, "CREATE TRIGGER counted AFTER UPDATE ON schema_state FOR EACH ROW EXECUTE FUNCTION "+
				"count_probe()")
		}
		began := time.Now()
		storagetest.Together(storetest.Callers, func(int) {
			for range 5 {
				storetest.OK(t, f.Ready(t.Context()))
			}
		})
		most := 1 + int(time.Since(began)/time.Second)
		if n := f.CountOf(t, "SELECT count(*) FROM probes"); n < 1 || n > most {
			t.Errorf("%d writes in %v, want 1 to %d", n, time.Since(began), most)
		}
	})
}

// A database that is away is told from one that refuses to write.
func TestAwayIsNotReady(t *testing.T) {
	t.Parallel()
	address, way := relayed(t, storetest.Open(t, storagetest.Postgres(t)).URL)
	db := storetest.OpenWith(t, address, nil)
	storetest.OK(t, db.Ready(t.Context()))

	way.cut()
	db.ForgetWrites()
	if err := db.Ready(t.Context()); !errors.Is(err, storage.ErrAway) || errors.Is(err, storage.ErrNotWritable) {
		t.Errorf("Ready: %v", err)
	}
	if err := db.SchemaSeen(); err != nil {
		t.Errorf("the schema at the last contact was right: %v", err)
	}
	if _, err := storage.Open(t.Context(), address, nil); !errors.Is(err, storage.ErrAway) {
		t.Errorf("Open: %v", err)
	}
}

// What nobody can wait for is not away: a wrong name of the host, or of the database.
func TestWrongAddressIsNotAway(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(storagetest.Postgres(t))
	storetest.OK(t, err)
	wrong := *u
	wrong.Path = "/no_such_database"
	unknown := *u
	unknown.Host = "db.invalid:5432"
	for _, address := range []string{wrong.String(), unknown.String()} {
		if _, err := storage.Open(t.Context(), address, nil); err == nil || errors.Is(err, storage.ErrAway) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// relay passes connections on to a PostgreSQL server until it is cut.
type relay struct {
	net.Listener
	to       string
	readOnly atomic.Bool // new sessions can't write

	mu   sync.Mutex
	open []net.Conn
}

// relayed returns the address of a relay to the server of another address.
func relayed(t *testing.T, address string) (through string, r *relay) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r = &relay{Listener: l, to: u.Host}
	go r.run()
	t.Cleanup(r.cut)
	u.Host = l.Addr().String()
	return u.String(), r
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	storetest.OK(t, err)
	return u.Host
}

func (r *relay) run() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.open = append(r.open, client, server)
		r.mu.Unlock()
		go func() {
			if err := r.begin(client, server); err == nil {
				_, _ = io.Copy(server, client)
			}
			_ = server.Close()
		}()
		go func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		}()
	}
}

// begin passes the first message on, which asks for a session: its length, and names with their values.
func (r *relay) begin(client io.Reader, server io.Writer) error {
	var length [4]byte
	if _, err := io.ReadFull(client, length[:]); err != nil {
		return err
	}
	rest := make([]byte, binary.BigEndian.Uint32(length[:])-4)
	if _, err := io.ReadFull(client, rest); err != nil {
		return err
	}
	if r.readOnly.Load() && len(rest) > 4+8 { // a cancellation has no names
		rest = append(rest[:len(rest)-1], "default_transaction_read_only\x00on\x00\x00"...)
		binary.BigEndian.PutUint32(length[:], uint32(len(rest)+4))
	}
	_, err := server.Write(append(length[:], rest...))
	return err
}

// interrupt ends all connections.
func (r *relay) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.open {
		_ = conn.Close()
	}
	r.open = nil
}

// cut ends them, and takes no more.
func (r *relay) cut() {
	_ = r.Close()
	r.interrupt()
}

// What is written into a SQLite file that was moved away would be gone at the next start. So nothing is, and who asks
// is told, until the file is back in its place; another one in that place is not it.
func TestFileGoneIsNotWritable(t *testing.T) {
	t.Parallel()
	f := storetest.Open(t, storagetest.SQLite(t))
	c := storetest.Put(t, f, storetest.Full(storetest.Key("A1", "", "T1")))
	path := strings.TrimPrefix(f.URL, "sqlite:")
	gone := func(how string) {
		t.Helper()
		_, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error {
			c.TeamName = "written nowhere"
			return nil
		})
		for _, err := range []error{err, f.Ready(t.Context())} {
			if !errors.Is(err, storage.ErrFileGone) || !errors.Is(err, storage.ErrNotWritable) {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
	storetest.OK(t, f.Ready(t.Context()))
	storetest.OK(t, os.Rename(path, path+".moved"))
	gone("moved away")
	storetest.OK(t, os.WriteFile(path, nil, 0o600))
	gone("replaced")
	storetest.OK(t, os.Rename(path+".moved", path))
	_, err := f.Update(t.Context(), c.Key, func(c *connection.Connection) error { return nil })
	f.ForgetWrites()
	if err := errors.Join(err, f.Ready(t.Context())); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// The release before starts and runs on a schema that is newer, as long as the newer migrations say that it can work
// with it.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, f storetest.Fixture) {
		ctx := t.Context()
		steps, err := f.MigrationStatus(ctx)
		storetest.OK(t, err)
		own := steps[len(steps)-1].Version
		newer := func(version, worksFrom int64) {
			t.Helper()
			storetest.Exec(t, f, fmt.Sprintf("INSERT INTO goose_db_version (version_id, is_applied, tstamp) VALUES (%d, true, "+
				"CURRENT_TIMESTAMP)", version))
			storetest.Exec(t, f, fmt.Sprintf("UPDATE schema_state SET works_from = %d", worksFrom))
			f.ForgetWrites()
		}
		storetest.OK(t, f.Ready(ctx))

		newer(own+1, own)
		starts := storetest.OpenWith(t, f.URL, nil)
		n, err := starts.Migrate(ctx)
		if err := errors.Join(err, f.Ready(ctx), f.SchemaSeen(), starts.Ready(ctx), starts.SchemaSeen()); err != nil ||
			n != 0 {
			t.Errorf("with migration %d, which works from %d on: %d migrations applied, %v", own+1, own, n, err)
		}
		if steps, err := f.MigrationStatus(ctx); err != nil || len(steps) != int(own)+1 || steps[own].Version != own+1 ||
			steps[own].AppliedAt.IsZero() {
			t.Errorf("%+v, %v", steps, err)
		}

		newer(own+2, own+1)
		starts = storetest.OpenWith(t, f.URL, nil)
		n, err = starts.Migrate(ctx)
		for i, err := range []error{err, f.Ready(ctx), f.SchemaSeen(), starts.Ready(ctx), starts.SchemaSeen()} {
			var state *storage.SchemaError
			if !errors.As(err, &state) || state.Have != own+2 || !errors.Is(err, storage.ErrUnfit) ||
				!strings.Contains(err.Error(), "newer release") {
				t.Errorf("%d: with migration %d, which works from %d on: %v", i, own+2, own+1, err)
			}
		}
		if n != 0 {
			t.Errorf("%d migrations applied to a newer database", n)
		}
	})
}
