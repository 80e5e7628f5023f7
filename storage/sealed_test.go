package storage_test

// What is kept is sealed with the keys that the database was opened with.

import (
	"encoding/base64"
	"testing"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// What signs is derived from what seals: one key for each, in the same order, the same on every replica, and none of
// them.
func TestSigningKeysFollowTheRing(t *testing.T) {
	a, b := seal.NewKey(), seal.NewKey()
	signing := func(list string) []connection.Secret {
		t.Helper()
		ring, err := seal.ParseKeys(list)
		if err != nil {
			t.Fatal(err)
		}
		db, err := storage.Open(t.Context(), storagetest.SQLite(t), ring)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db.SigningKeys()
	}
	both, other := signing(a+","+b), signing(b+","+a)
	if len(both) != 2 || both[0] != other[1] || both[1] != other[0] || both[0] == both[1] || signing(a)[0] != both[0] {
		t.Error("the keys that sign do not follow those that seal")
	}
	for _, s := range both {
		raw, err := base64.StdEncoding.DecodeString(a)
		if err != nil || len(s) != 32 || s.Reveal() == string(raw) {
			t.Error("a key that seals signs as well")
		}
	}
	db, err := storage.Open(t.Context(), storagetest.SQLite(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if db.SigningKeys() != nil {
		t.Error("something signs without a key")
	}
}
