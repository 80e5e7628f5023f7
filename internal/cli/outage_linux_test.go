package cli

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A process that may write no file any longer gets this signal besides the error, and would end.
func init() {
	if os.Getenv(asProgram) != "" {
		signal.Ignore(syscall.SIGXFSZ)
	}
}

// The disk that SQLite and the journal are on is full: here the process may make no file longer, and write none.
func TestFullDisk(t *testing.T) {
	storagetest.Long(t)
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t))
	r, err := w.startProcess(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := w.outage(r)
	fill := func(bytes uint64) {
		t.Helper()
		limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
		if err := unix.Prlimit(r.process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
			t.Fatal(err)
		}
	}
	fill(0)
	o.lasts("database", "journal")

	fill(unix.RLIM_INFINITY)
	o.ends(2)
}
