package inbox_test

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

// Slack sends an event twice. It is kept once, handed out once, and done.
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
	in, err := db.Inbox(ctx, inbox.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	in.Start()
	defer in.Close()

	event := bot.Delivery{
		ID: "Ev1", Kind: "events_api", Type: "app_mention", Key: connection.Key{AppID: "A1", TeamID: "T1"},
		Received: time.Now(), Body: []byte(`{"type":"app_mention"}`),
	}
	for range 2 {
		e := event
		fresh, err := in.Add(ctx, &e, false)
		fmt.Println("fresh:", fresh, err)
	}
	claimed, err := in.Claim(ctx, 10, 2, nil)
	if err != nil || len(claimed) != 1 {
		fmt.Println(claimed, err)
		return
	}
	fmt.Printf("%s, attempt %d: %s\n", claimed[0].Type, claimed[0].Attempt, claimed[0].Body)
	fmt.Println("done:", in.Done(ctx, claimed[0]))
	// Output:
	// fresh: true <nil>
	// fresh: false <nil>
	// app_mention, attempt 1: {"type":"app_mention"}
	// done: <nil>
}
