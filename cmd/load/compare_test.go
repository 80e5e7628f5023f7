package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// compare starts this test binary as its bare handler.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bare" {
		main()
	}
	os.Exit(m.Run())
}

func TestMedian(t *testing.T) {
	for want, of := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(of); got != want {
			t.Errorf("median of %v is %v", of, got)
		}
	}
	// The ratio is taken within a round: a machine that is half as fast in two of them changes nothing.
	rows := summarize([][]result{
		{{figures: figures{CPU: 10, CPUWithWork: 10}, counts: counts{Sent: 5, OK: 5}},
			{figures: figures{CPU: 20, CPUWithWork: 20}, counts: counts{Sent: 5, OK: 5}},
			{figures: figures{CPU: 20, CPUWithWork: 20}, counts: counts{Sent: 5, OK: 5}}},
		{{figures: figures{CPU: 30, CPUWithWork: 40}, counts: counts{Sent: 5, OK: 5}},
			{figures: figures{CPU: 60, CPUWithWork: 80}, counts: counts{Sent: 5, OK: 4, Unavailable: 1}},
			{figures: figures{CPU: 60, CPUWithWork: 80}, counts: counts{Sent: 5, OK: 5}}},
	})
	if r := rows[1]; r.Ratio != 3 || r.RatioWithWork != 4 || r.CPU != 60 || r.Unavailable != 1 || r.Sent != 15 ||
		r.OK != 14 {
		t.Errorf("%+v", r)
	}
}

func TestWrongComparisons(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"compare --rounds 10", "not between 1 and 9"},
		{"compare --database mysql://127.0.0.1/x", "sqlite:FOLDER"},
		{"compare --switchboard no/such/program", "make build"},
	} {
		if out, errs, code := load(t, withSecret, strings.Fields(c.args)...); code != 2 || !strings.Contains(errs, c.says) ||
			out != "" {
			t.Errorf("load %s: exit %d: %s%s", c.args, code, errs, out)
		}
	}
}

// compare, on the databases there are: the real program, installed through its pages, each kind of event, and nothing
// left.
func TestCompare(t *testing.T) {
	storagetest.Long(t) // it builds the program
	program := filepath.Join(t.TempDir(), "switchboard")
	build := exec.Command("go", "build", "-trimpath", "-o", program,
		"github.com/switchboard-go/switchboard/cmd/switchboard")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false") // as make build: found in the cache
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("TMPDIR", t.TempDir())
	server := os.Getenv("TEST_DATABASE_URL")
	before := schemas(t, server)
	databases, sides := []string{"--database", "sqlite:", "--database", "memory:"}, 3
	if server != "" {
		databases, sides = append(databases, "--database", server), 4
	}
	for _, event := range []string{reaction, mention, message} {
		out, errs, code := load(t, withSecret, append([]string{"compare", "--switchboard", program, "--rounds", "1",
			"--count", "12", "--warmup", "0", "--settle", "0", "--connections", "2", "--teams", "2", "--event", event,
			"--commands", "20", "--duplicates", "10", "--markdown"}, databases...)...)
		if code != 0 || strings.Count(out, "\n") != sides || strings.Contains(errs, "it logged") {
			t.Fatalf("%s: exit %d: %s%s", event, code, out, errs)
		}
		for row := range strings.Lines(out) {
			if !strings.HasPrefix(row, "| ") || !strings.HasSuffix(row, " | 0 |\n") ||
				strings.Count(row, "|") != len(columns)+1 {
				t.Errorf("%s: %s", event, row)
			}
		}
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if after := schemas(t, server); after > before {
		t.Errorf("%d schemas more than before", after-before)
	}
}

func schemas(t *testing.T, server string) (n int) {
	t.Helper()
	if server == "" {
		return 0
	}
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'load\\_%'").
		Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A database that exists is somebody's.
func TestDatabasesAreNew(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "their.db")
	if err := os.WriteFile(file, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"sqlite:" + folder, "sqlite:" + filepath.Join(folder, "new.db")} {
		s := &stage{}
		address, err := s.database(t.Context(), wanted)
		if err != nil || !strings.HasPrefix(address, "sqlite:"+filepath.Join(folder, "switchboard-load-")) {
			t.Errorf("%s: %s, %v", wanted, address, err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
	s := &stage{}
	var wrong *usageError
	if _, err := s.database(t.Context(), "sqlite:"+file); !errors.As(err, &wrong) {
		t.Errorf("an existing file: %v", err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// The table's headings are written down where its rows go.
func TestTheTableFitsTheDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	if heading := "| " + strings.Join(columns, " | ") + " |"; !strings.Contains(string(text), heading) {
		t.Errorf("docs/performance.md lacks the heading %s", heading)
	}
}
