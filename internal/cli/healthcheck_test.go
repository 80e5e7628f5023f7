package cli

// What healthcheck says of a program that serves, that can't work, and that isn't there.

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	admin := w.replicas[0].admin.Host
	ask := func(want int, says string, args ...string) {
		t.Helper()
		out, errs, code := try(map[string]string{"ADMIN_ADDR": admin}, append([]string{"healthcheck"}, args...)...)
		if said := out + errs; code != want || !strings.Contains(said, says) || strings.Count(said, "\n") != 1 {
			t.Errorf("healthcheck %v: exit %d, want %d and %q: %s", args, code, want, says, said)
		}
	}

	ask(0, "It is ready.")
	ask(0, "It runs.", "--live")

	w.noJournal()
	ask(1, "switchboard: not healthy: the journal in DATA_DIR can't be written to")
	ask(0, "It is ready.", "--exclude", "journal")
	ask(0, "It is ready.", "--exclude", "database,journal")
	ask(1, "the journal", "--exclude", "database")
	ask(0, "It runs.", "--live")

	w.stop()
	ask(1, "not healthy: no answer at "+admin+" (ADMIN_ADDR)")
}

// Serve listens at what these name, and a probe beside it finds it there.
func TestHealthcheckFindsTheDoor(t *testing.T) {
	t.Parallel()
	var asked string
	door := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = r.Host + r.URL.Path
	}))
	defer door.Close()
	_, port, err := net.SplitHostPort(door.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}

	for _, host := range []string{"", "0.0.0.0", "[::]", "127.0.0.1", "localhost"} {
		_, errs, code := try(nil, "healthcheck", "--admin-addr", host+":"+port)
		if code != 0 || asked != "localhost/readyz" {
			t.Errorf("%s:%s: exit %d, asked %q: %s", host, port, code, asked, errs)
		}
		asked = ""
	}
}

// Docker keeps exit code 2 for itself, so no setting brings it about.
func TestHealthcheckEndsWithOne(t *testing.T) {
	t.Parallel()
	for addr, says := range map[string]string{":0": "nobody knows where serve listens", "3001": "is not host:port"} {
		if _, errs, code := try(map[string]string{"ADMIN_ADDR": addr}, "healthcheck"); code != 1 ||
			!strings.Contains(errs, says) {
			t.Errorf("%s: exit %d: %s", addr, code, errs)
		}
	}

	// Somebody else answers there.
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	settings := map[string]string{"ADMIN_ADDR": other.Listener.Addr().String()}
	if _, errs, code := try(settings, "healthcheck", "--live"); code != 1 ||
		!strings.Contains(errs, "said 404, and no serve does") {
		t.Errorf("exit %d: %s", code, errs)
	}

	// A call that can't be understood is the image's fault, and seen when it is built.
	for _, args := range [][]string{{"--exclude", "databse"}, {"--live", "--exclude", "database"}} {
		if _, errs, code := try(nil, append([]string{"healthcheck"}, args...)...); code != 2 {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
}
