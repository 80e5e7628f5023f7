package db_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/storage/internal/db"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A connection that is opened after the file was moved makes no other one in its place.
func TestNoFileIsMadeAnew(t *testing.T) {
	address := storagetest.SQLite(t)
	path := strings.TrimPrefix(address, "sqlite:")
	pool, err := db.Open(t.Context(), address)
	storetest.OK(t, err)
	t.Cleanup(func() { _ = pool.Close() })
	readers, err := pool.Read.DB()
	storetest.OK(t, err)
	first, err := readers.Conn(t.Context()) // the one that is open already
	storetest.OK(t, err)
	defer first.Close()

	moved := t.TempDir()
	for _, part := range []string{"", "-wal", "-shm"} {
		storetest.OK(t, os.Rename(path+part, filepath.Join(moved, "moved.db"+part)))
	}
	if err := readers.PingContext(t.Context()); err == nil {
		t.Error("a second connection was opened to a file that isn't there")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file again: %v", err)
	}
}
