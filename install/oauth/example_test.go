package oauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/oauth"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/watch"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// Somebody presses "Add to Slack". They go to Slack's page with a state that this browser alone can come back with, and
// the database has nothing of it.
func ExampleFlow_Handler() {
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

	flow := oauth.New(oauth.Config{
		App:      oauth.App{Name: "Hello"},
		ClientID: "123.456", ClientSecret: "from Slack",
		Scopes: []connection.Scope{{Name: "chat:write", Label: "Send messages", Why: "To answer you."}},
		Mode:   watch.ByConsent{},
		Ended:  func(o oauth.Outcome, reason string) { fmt.Println("counted:", reason) },
		Store:  db,
		Slack:  &slackapi.API{Address: "https://slack.com", Now: db.Now},
		Links:  &links.Links{PublicURL: "https://bot.example.com", Keys: db.SigningKeys(), Now: db.Now},
		Log:    slog.New(slog.DiscardHandler), Now: db.Now,
	})
	answer := httptest.NewRecorder()
	flow.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "https://bot.example.com/slack/install", nil))

	to, err := url.Parse(answer.Header().Get("Location"))
	if err != nil {
		fmt.Println(err)
		return
	}
	begun, err := db.Attempts(ctx, 10)
	fmt.Println(answer.Code, to.Host+to.Path, to.Query().Get("scope"), to.Query().Has("state"))
	fmt.Println(answer.Result().Cookies()[0].Name, len(begun), err)
	// Output:
	// counted: started
	// 302 slack.com/oauth/v2/authorize chat:write true
	// __Host-switchboard-install 0 <nil>
}
