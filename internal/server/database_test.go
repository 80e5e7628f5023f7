package server

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Of processes that start together in a new folder one works there, and the others are told so and leave its key
// alone.
func TestFirstStartOfMany(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	const n = 4
	type opened struct {
		db  *storage.DB
		err error
	}
	results := make(chan opened, n)
	d := Database{URL: connection.Secret("sqlite:" + filepath.Join(data, "switchboard.db")), DataDir: data}
	for range n {
		go func() {
			db, err := d.openToServe(context.Background())
			results <- opened{db, err}
		}()
	}
	var works []*storage.DB
	for range n {
		switch r := <-results; {
		case r.err == nil:
			works = append(works, r.db)
		case !errors.Is(r.err, storage.ErrInUse):
			t.Errorf("one of them: %v", r.err)
		}
	}
	if len(works) != 1 {
		t.Errorf("%d of them work on one file", len(works))
	}
	for _, db := range works {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, data); !slices.Contains(got, "switchboard.db.key") ||
		slices.ContainsFunc(got, func(name string) bool {
			return strings.HasPrefix(name, ".")
		}) {
		t.Errorf("files: %v", got)
	}
}

// Two SQLite files don't share a DATA_DIR: the second program is refused, and leaves no file behind.
func TestOneDataDirForOneSQLiteFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	open := func(name string) (*storage.DB, error) {
		url := connection.Secret("sqlite:" + filepath.Join(folder, name))
		return Database{URL: url, DataDir: filepath.Join(folder, "data"),
			Keys: connection.Secret(seal.NewKey())}.openToServe(t.Context())
	}
	first, err := open("first.db")
	if err != nil {
		t.Fatal(err)
	}
	var wrong *ConfigError
	if _, err := open("second.db"); !errors.As(err, &wrong) || wrong.Problems[0].Setting != "DATA_DIR" {
		t.Errorf("the second: %v", err)
	}
	if got := names(t, folder); slices.Contains(got, "second.db") {
		t.Errorf("files: %v", got)
	}

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := open("second.db")
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// A program without a command line makes the tables of PostgreSQL itself, and is told of no command that it hasn't.
func TestMigrateOfAProgram(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Database.URL = connection.Secret(storagetest.Postgres(t))
	cfg.Database.Keys = connection.Secret(seal.NewKey())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cfg.Serving = stop
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), "not there yet") ||
		strings.Contains(err.Error(), "migrate up") {
		t.Errorf("without tables: %v", err)
	}
	for i := range 2 {
		if applied, err := s.Migrate(ctx); err != nil || (applied > 0) != (i == 0) {
			t.Errorf("the %d. time: %d steps, %v", i+1, applied, err)
		}
	}
	if s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err != nil || ctx.Err() == nil {
		t.Errorf("with tables: %v", err)
	}
}

// names are all files and folders below folder.
func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if path != folder {
			all = append(all, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
