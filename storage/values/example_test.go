package values_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// A value is kept for a workspace, and replaced only by who has seen what is there.
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
	if _, err := db.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}

	c, _, err := db.Put(ctx, connection.Connection{
		Key: connection.Key{AppID: "A1", TeamID: "T1"}, State: connection.Active, InstalledAt: time.Now(),
		TokenPair: connection.TokenPair{Token: "xoxb-1-2-3"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	owner := bot.ValueOwner{ConnectionID: c.ID, AppID: c.AppID, TeamID: c.TeamID}

	kept := db.Values()
	if err := kept.Put(ctx, owner, "settings/U1", []byte(`{"emoji":"tada"}`), time.Time{}); err != nil { // for good
		fmt.Println(err)
		return
	}
	seen, err := kept.Get(ctx, owner, "settings/U1")
	fmt.Printf("%s %v\n", seen.Data, err)
	for _, emoji := range []string{"wave", "eyes"} { // the second one has not seen the first one's
		done, err := kept.Replace(ctx, owner, seen, []byte(`{"emoji":"`+emoji+`"}`))
		fmt.Println(emoji, done, err)
	}
	// Output:
	// {"emoji":"tada"} <nil>
	// wave true <nil>
	// eyes false <nil>
}
