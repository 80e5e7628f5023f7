package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// A database in one file: opened, its tables made, and a connection put into it.
func Example() {
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	keys, err := seal.KeyFile(filepath.Join(folder, "key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	db, err := storage.Open(ctx, "sqlite:"+filepath.Join(folder, "bot.db"), keys)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	if err := db.UseJournal(filepath.Join(folder, "journal")); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := db.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}

	key := connection.Key{AppID: "A1", TeamID: "T1"}
	_, before, err := db.Put(ctx, connection.Connection{
		Key: key, TeamName: "Acme Corp", State: connection.Active, Scopes: []string{"chat:write"},
		InstalledBy: "U1", InstalledAt: time.Now(), AuthorizedBy: "U1", AuthorizedAt: time.Now(),
		TokenPair: connection.TokenPair{Token: "xoxb-1-2-3"},
	})
	fmt.Println("the first one:", before == nil, err)
	c, err := db.Lookup(ctx, key)
	fmt.Println(c.TeamName, c.State, c.Token, err)
	// Output:
	// the first one: true <nil>
	// Acme Corp active [secret] <nil>
}
