package journal_test

import (
	"fmt"
	"os"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage/journal"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// What Slack handed out is on the disk before anything else is tried, and a process that starts later finds it.
func ExampleJournal() {
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}

	j := journal.New(keys)
	if err := j.UseJournal(folder); err != nil {
		fmt.Println(err)
		return
	}
	_, err = j.Journal(connection.Grant{
		TokenOwner: connection.TokenOwner{Key: connection.Key{AppID: "A1", TeamID: "T1"}},
		Origin:     connection.Renewal{Spent: "xoxe-1-old"},
		Token:      "xoxe.xoxb-1-new",
		Refresh:    "xoxe-1-new",
		At:         time.Now(),
	})
	fmt.Println("kept:", err)
	j.Close() // the process ends before the database has it

	next := journal.New(keys)
	defer next.Close()
	if err := next.UseJournal(folder); err != nil {
		fmt.Println(err)
		return
	}
	waiting, err := next.Journaled()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, grant := range waiting {
		fmt.Println(grant.Key, grant.Token, grant.Refresh.Reveal())
	}
	// Output:
	// kept: <nil>
	// A1/-/T1 [secret] xoxe-1-new
}
