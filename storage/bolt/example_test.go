package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/switchboard-go/switchboard/storage/bolt"
)

// What Bolt for JavaScript's FileInstallationStore has written is read. Tokens print nowhere.
func ExampleRead() {
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "installation.json")
	const written = `{"team":{"id":"T1","name":"Acme"},"appId":"A1","tokenType":"bot","authVersion":"v2",
		"user":{"id":"U1"},"bot":{"token":"xoxb-1","scopes":["commands"],"userId":"U2","id":"B1"},
		"isEnterpriseInstall":false}`
	if err := os.WriteFile(file, []byte(written), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	found, err := bolt.Read(context.Background(), file)
	for _, i := range found {
		fmt.Println(i.TeamName, i.Bot.Scopes, i.Bot.Token)
	}
	fmt.Println(err)
	// Output:
	// Acme [commands] [secret]
	// <nil>
}
