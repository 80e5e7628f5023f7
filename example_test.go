package switchboard_test

import (
	"context"
	"crypto/subtle"
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

var hello = bot.OnCommand("/hello", func(ctx context.Context, c *bot.Command) error {
	return c.Respond(ctx, bot.Text("Hey <@"+c.UserID+">!"))
}, bot.Describe("Says hello to you", ""))

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
	for page := ""; !strings.Contains(page, "Hello"); { // 503 until it serves
		select {
		case err := <-ended:
			fmt.Println("Run ended too early:", err)
			return
		case <-time.After(10 * time.Millisecond):
		}
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

// A job that writes to every workspace each morning, and a page for the team that runs the bot.
func ExampleWorkspaces() {
	const password = "from your settings"
	mornings := make(chan time.Time) // a scheduler's
	greet := func(ctx context.Context, all *switchboard.Workspaces) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-mornings:
			}
			connected, err := all.List(ctx)
			if err != nil {
				return err
			}
			for _, c := range connected {
				client, err := all.Client(ctx, c.Key)
				if err != nil {
					continue // it doesn't work just now; its people were told
				}
				_, _, _ = client.PostMessageContext(ctx, "#general", slack.MsgOptionText("Good morning!", false))
			}
		}
	}
	count := func(all *switchboard.Workspaces) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, given, _ := r.BasicAuth()
			if subtle.ConstantTimeCompare([]byte(given), []byte(password)) == 0 {
				http.Error(w, "This page is for our team.", http.StatusUnauthorized)
				return
			}
			connected, err := all.List(r.Context())
			if err != nil {
				http.Error(w, "Ask again in a minute.", http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintf(w, "%d workspaces\n", len(connected))
		})
	}

	app := switchboard.App{
		Name:       "Hello",
		Handlers:   []bot.Handler{hello},
		Background: []func(context.Context, *switchboard.Workspaces) error{greet},
		Routes: func(all *switchboard.Workspaces) map[string]http.Handler {
			return map[string]http.Handler{"GET /team": count(all)}
		},
	}
	fmt.Println(app.Name, "has", len(app.Background), "job of its own")
	// Output: Hello has 1 job of its own
}
