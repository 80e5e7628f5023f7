package switchboard_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard"
	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
)

var hello = bot.OnCommand("/hello", func(_ context.Context, _ *bot.Turn, c *slack.SlashCommand) (bot.Reply, error) {
	return bot.Reply{Text: "Hey <@" + c.UserID + ">!"}, nil
}).Describe("Says hello to you", "")

// A program with a server of its own, and an app in it.
func ExampleNew() {
	folder, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	s, err := switchboard.New(switchboard.Config{
		App:      switchboard.App{Name: "Hello", Handlers: []bot.Handler{hello}},
		ClientID: "123.456", ClientSecret: "from Slack", SigningSecrets: []connection.Secret{"from Slack, too"},
		PublicURL: "https://bot.example.com",
		DataDir:   folder,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mine := httptest.NewServer(s.Handler())
	defer mine.Close()

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for page := ""; !strings.Contains(page, "Hello"); time.Sleep(10 * time.Millisecond) { // 503 until it serves
		resp, err := http.Get(mine.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		page = string(text)
	}
	stop()
	fmt.Println("the install page was there; Run returned", <-ended)
	// Output: the install page was there; Run returned <nil>
}
