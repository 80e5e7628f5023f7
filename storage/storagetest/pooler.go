package storagetest

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
)

// Pooled returns the address of a PgBouncer in transaction mode before the server of another address.
func Pooled(t testing.TB, address string) string {
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
	ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ok(t, l.Close())

	folder, err := os.MkdirTemp("", "pooler-") // of root's tests, and read by another user
	ok(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	ok(t, os.Chmod(folder, 0o755))
	ini := filepath.Join(folder, "ini")
	users := filepath.Join(folder, "users")
	ok(t, os.WriteFile(users, fmt.Appendf(nil, "%q \"\"\n", u.User.Username()), 0o644))
	// Few sessions, so that transactions change theirs all the time. The schema is the server's side's.
	ok(t, os.WriteFile(ini, fmt.Appendf(nil, `[databases]
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
	ok(t, err)
	ok(t, cmd.Start())
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

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
