package storage_test

import (
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/internal/storetest"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A database that reports commits before they are on a disk is told of.
func TestLosesCommits(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, url string) {
		db := storetest.OpenWith(t, url, nil)
		if why, err := db.LosesCommits(t.Context()); err != nil || strings.Contains(why, "off") {
			t.Errorf("%q, %v", why, err)
		}
	})
	url := storagetest.Postgres(t)
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	db, err := storage.Open(t.Context(), url+separator+"synchronous_commit=off", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if why, err := db.LosesCommits(t.Context()); err != nil || !strings.Contains(why, "synchronous_commit is off") {
		t.Errorf("%q, %v", why, err)
	}
}
