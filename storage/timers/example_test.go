package timers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/inbox"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// A timer that is due becomes one event of the inbox, however often it is looked for.
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
	in, err := db.Inbox(ctx, inbox.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	in.Start()
	defer in.Close()

	timers := db.Timers("A1", in)
	at := time.Now().Add(-time.Minute)
	lunch := bot.Timed{Name: "remind", Key: "lunch", At: at, Data: []byte(`"Lunch is over"`)}
	if err := timers.Schedule(ctx, owner, lunch); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		found, err := timers.Fire(ctx, "remind", 10, func(d bot.Due) bot.Delivery {
			return bot.Delivery{
				ID: d.Name + " " + d.Timed.Key, Kind: "timer", Type: "timer " + d.Name, Key: d.Key,
				Received: d.At, Body: d.Data,
			}
		})
		fmt.Println("due:", found, err)
	}
	events, err := in.Claim(ctx, 10, 10, nil)
	for _, e := range events {
		fmt.Printf("%s: %s\n", e.Type, e.Body)
	}
	fmt.Println(err)
	// Output:
	// due: 1 <nil>
	// due: 0 <nil>
	// timer remind: "Lunch is over"
	// <nil>
}
