package tokens_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/slackapi"
	"github.com/switchboard-go/switchboard/install/tokens"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// unwatched is an Observer for programs without numbers.
type unwatched struct{}

func (unwatched) Renewed(connection.TokenOwner, connection.TokenPair, error, time.Duration) {}
func (unwatched) Restored()                                                                 {}
func (unwatched) Waiting(int)                                                               {}
func (unwatched) Writable(bool)                                                             {}

// A token ran out an hour ago. Whoever needs it gets the next one, and the database has it by then.
func ExampleKeeper_Good() {
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
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("Slack gets", r.FormValue("refresh_token"))
		fmt.Fprint(w, `{"ok": true, "app_id": "A1", "team": {"id": "T1"}, "token_type": "bot", "expires_in": 43200,
			"access_token": "xoxe.xoxb-2-new", "refresh_token": "xoxe-2-new"}`)
	}))
	defer slack.Close()

	at := db.Now().Add(-13 * time.Hour)
	c, _, err := db.Put(ctx, connection.Connection{
		Key: connection.Key{AppID: "A1", TeamID: "T1"}, State: connection.Active,
		InstalledBy: "U1", InstalledAt: at, AuthorizedBy: "U1", AuthorizedAt: at,
		TokenPair: connection.Started("xoxe.xoxb-1-old", "xoxe-1-old", 12*time.Hour, at),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	keeper := tokens.New(tokens.Config{
		ClientID: "123.456", ClientSecret: "from Slack",
		Renews: func(connection.Key) bool { return true },
		Store:  db,
		Slack: &slackapi.API{
			Address: slack.URL, HTTP: slackapi.NewHTTPClient(), Now: db.Now, Met: func(method, result string) {},
		},
		Log: slog.New(slog.DiscardHandler), Now: db.Now, Observer: unwatched{},
	})
	c, err = keeper.Good(ctx, c)
	fmt.Println(c.Token.Reveal(), err)
	c, err = db.Lookup(ctx, c.Key)
	fmt.Println(c.Token.Reveal(), err)
	// Output:
	// Slack gets xoxe-1-old
	// xoxe.xoxb-2-new <nil>
	// xoxe.xoxb-2-new <nil>
}
