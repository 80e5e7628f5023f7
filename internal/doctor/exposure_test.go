package doctor

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/internal/server"
)

// A disk that fills up is told of before it is full.
func TestSpace(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, test := range map[string]struct {
		disk Disk
		err  error
		want Status
		says string
		fix  string
	}{
		"enough":         {Disk{Free: 5 << 30, Files: 1e6}, nil, OK, "5.0 GB left", ""},
		"little":         {Disk{Free: 900 << 20, Files: 1e6}, nil, Warning, "Only 900 MB left", "free space on the disk of " + folder},
		"hardly any":     {Disk{Free: 20 << 20, Files: 1e6}, nil, Failed, "no event and no new token can be kept", "free space"},
		"no more files":  {Disk{Free: 5 << 30, Files: 3}, nil, Warning, "Only 3 more files fit", "df -i " + folder},
		"files as space": {Disk{Free: 5 << 30, NoLimit: true}, nil, OK, "5.0 GB left", ""},
		"not known":      {Disk{}, errors.ErrUnsupported, Unknown, "can't be told here", "df " + folder},
	} {
		e := &Examined{DiskOf: func(string) (Disk, error) { return test.disk, test.err }}
		e.Config.Database = server.Database{DataDir: filepath.Join(folder, "data"), // not made yet
			URL: connection.Secret("sqlite:" + filepath.Join(folder, "x.db"))}
		found := space(e)
		if len(found) != 1 || found[0].Status != test.want || !strings.Contains(found[0].Text, test.says) ||
			!strings.Contains(found[0].Fix, test.fix) || test.want == OK && found[0].Fix != "" {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// What lies in memory goes with the machine.
func TestInMemory(t *testing.T) {
	t.Parallel()
	e := &Examined{DiskOf: func(string) (Disk, error) { return Disk{Passing: "memory (tmpfs)"}, nil }}
	if f, is := inMemory(e, "data/journal"); !is || f.Status != Warning || !strings.Contains(f.Text, "memory (tmpfs)") ||
		!strings.Contains(f.Fix, "DATA_DIR") {
		t.Errorf("%+v", f)
	}
	e.DiskOf = func(string) (Disk, error) { return Disk{}, nil }
	if f, is := inMemory(e, "data/journal"); is {
		t.Errorf("a disk: %+v", f)
	}
}

// The operators' door listens where only operators are.
func TestAdminAddr(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]Status{
		"127.0.0.1:3001": OK, "localhost:3001": OK, "[::1]:3001": OK, "10.1.2.3:3001": OK, "100.64.3.2:3001": OK,
		"[fd12::1]:3001": OK, "[fe80::1]:3001": OK, "metrics:3001": OK,
		"203.0.113.7:3001": Warning, "[2001:db8::7]:3001": Warning, "[::ffff:203.0.113.7]:3001": Warning,
	} {
		e := &Examined{}
		e.Config.AdminAddr = addr
		if f := adminDoor(e); f.Status != want || want != OK && !strings.Contains(f.Fix, "ADMIN_ADDR=127.0.0.1:3001") {
			t.Errorf("%s: %+v", addr, f)
		}
	}
}

// Settings that nobody knows are told once, and those that other checks tell of aren't.
func TestNames(t *testing.T) {
	t.Parallel()
	found := names([]server.Problem{{What: "these names in .env aren't settings: LOGLEVEL", Fix: "check"},
		{Setting: "DATABASE_URL", What: "sslmode"}, {Setting: ".env", What: "can be read by others"}})
	if len(found) != 1 || found[0].Status != Warning || found[0].Text != "These names in .env aren't settings: LOGLEVEL." ||
		found[0].Fix != "check" {
		t.Errorf("%+v", found)
	}
}
