package db_test

// A pooler in transaction mode hands each transaction to whatever session is free.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// pooled returns the address of a PgBouncer in transaction mode before the server of another address.
func pooled(t *testing.T, address string) string {
	t.Helper()
	program, err := osexec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pgbouncer is not installed: tests in CI run behind it too")
		}
		t.Skip("pgbouncer is not installed")
	}
	u, err := url.Parse(address)
	storetest.OK(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	storetest.OK(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	storetest.OK(t, l.Close())

	folder, err := os.MkdirTemp("", "pooler-") // of root's tests, and read by another user
	storetest.OK(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	storetest.OK(t, os.Chmod(folder, 0o755))
	ini := filepath.Join(folder, "ini")
	users := filepath.Join(folder, "users")
	storetest.OK(t, os.WriteFile(users, fmt.Appendf(nil, "%q \"\"\n", u.User.Username()), 0o644))
	// Few sessions, so that transactions change theirs all the time. The schema is the server's side's.
	storetest.OK(t, os.WriteFile(ini, fmt.Appendf(nil, `[databases]
* = host=%s port=%s connect_query='SET search_path TO %s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 4
`, u.Hostname(), u.Port(), u.Query().Get("search_path"), port, users), 0o644))
	args := []string{ini}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	cmd := osexec.Command(program, args...)
	log, err := cmd.StderrPipe()
	storetest.OK(t, err)
	storetest.OK(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	query := u.Query()
	query.Del("search_path")
	u.RawQuery, u.Host = query.Encode(), "127.0.0.1:"+port

	said, lines := "", bufio.NewScanner(log)
	for lines.Scan() {
		if said += lines.Text() + "\n"; strings.Contains(said, "process up") {
			go func() { _, _ = io.Copy(io.Discard, log) }() // it must not wait for a reader
			return u.String()
		}
	}
	t.Fatalf("pgbouncer ended: %s", said)
	return ""
}

// Replicas behind a pooler migrate together, accept events and change connections.
func TestBehindAPooler(t *testing.T) {
	t.Parallel()
	address := storagetest.Postgres(t)
	through := pooled(t, address)
	keys := storetest.Ring(t, seal.NewKey())
	replicas := []*storage.DB{storetest.OpenWith(t, through, keys), storetest.OpenWith(t, through, keys)}
	storagetest.Together(len(replicas), func(i int) {
		_, err := replicas[i].Migrate(t.Context())
		storetest.OK(t, err)
	})
	var inboxes []*inbox.Inbox
	for _, db := range replicas {
		in, err := db.Inbox(t.Context(), inbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		in.Start()
		t.Cleanup(in.Close)
		inboxes = append(inboxes, in)
		storetest.OK(t, db.Ready(t.Context()))
	}
	storagetest.Together(storetest.Callers, func(i int) {
		for n := range 5 {
			e := storetest.Event(fmt.Sprintf("Ev%d-%d", i, n), "T1")
			_, err := inboxes[i%2].Add(t.Context(), &e, false)
			storetest.OK(t, err)
			_, _, err = replicas[i%2].Put(t.Context(), storetest.Full(storetest.Key("A1", "", fmt.Sprint("T", i))))
			storetest.OK(t, err)
		}
	})
	direct := storetest.Fixture{Raw: storetest.RawHandle(t, address)}
	if n := direct.CountOf(t, "SELECT count(*) FROM inbox"); n != 5*storetest.Callers {
		t.Errorf("%d of %d events", n, 5*storetest.Callers)
	}
}
