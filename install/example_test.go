package install_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// An Installer on a database in one file. Nobody has installed the app yet, and its page invites them to.
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

	in, err := install.New(install.Config{
		App:      install.App{Name: "Hello", Summary: "Says hello."},
		ClientID: "123.456", ClientSecret: "from Slack",
		PublicURL: "https://bot.example.com",
		Store:     db, SigningKeys: db.SigningKeys(),
		Scopes: []connection.Scope{{Name: "chat:write", Label: "Send messages", Why: "To answer you.", Feature: "answer"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	page := httptest.NewRecorder()
	in.Handler().ServeHTTP(page, httptest.NewRequest("GET", "https://bot.example.com/", nil))
	fmt.Println(page.Code, strings.Contains(page.Body.String(), "To answer you."))

	key := connection.Key{AppID: "A1", TeamID: "T1"}
	_, err = in.Open(ctx, key)
	fmt.Println(errors.Is(err, connection.ErrNotConnected), in.Check(ctx, key).State)
	// Output:
	// 200 true
	// true not_connected
}
