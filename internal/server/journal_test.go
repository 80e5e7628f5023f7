package server

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// Two that serve from one DATA_DIR run on; the second says so once, with what to do, and that it has ended.
func TestSharedDataDir(t *testing.T) {
	t.Parallel()
	folder, address := t.TempDir(), storagetest.SQLite(t)
	serves := func(log *bytes.Buffer) *Server {
		db, err := storage.Open(t.Context(), address, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if err := db.UseJournal(filepath.Join(folder, "journal")); err != nil {
			t.Fatal(err)
		}
		return &Server{db: db, log: slog.New(slog.NewTextHandler(log, nil))}
	}
	shared := func(a *Server) float64 {
		numbers := prometheus.NewRegistry()
		numbers.MustRegister(a.sharedGauge())
		found, err := numbers.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return found[0].GetMetric()[0].GetGauge().GetValue()
	}

	var log, other bytes.Buffer
	first, second := serves(&other), serves(&log)
	for range 2 {
		first.claimJournal()
		second.claimJournal()
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "give each process a DATA_DIR "+
		"of its own") ||
		shared(second) != 1 || shared(first) != 0 || other.Len() > 0 {
		t.Errorf("%v and %v; logged by the first %s, by the second %s", shared(first), shared(second), &other, &log)
	}

	if err := first.db.Close(); err != nil {
		t.Fatal(err)
	}
	second.claimJournal()
	if shared(second) != 0 || !strings.Contains(log.String(), "this process's own now") {
		t.Errorf("after the first has ended: %v, %s", shared(second), &log)
	}
}
