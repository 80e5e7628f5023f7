package watch_test

import (
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
	"github.com/switchboard-go/switchboard/install/watch"
)

// A connection works, and its workspace doesn't allow all that the app can use.
func ExampleAssessor_Assess() {
	w := watch.New(watch.Config{
		Scopes: []connection.Scope{
			{Name: "chat:write", Label: "Send messages"},
			{Name: "users:read", Label: "See who is who", Feature: "greet people by name", Optional: true},
		},
		Mode:  watch.ByConsent{},
		Links: &links.Links{PublicURL: "https://bot.example.com", ClientSecret: "from Slack", Now: time.Now},
		Now:   time.Now,
	})
	h := w.Connections.Assess(connection.Connection{
		ID: "con_1", Key: connection.Key{AppID: "A1", TeamID: "T1"}, State: connection.Active, Scopes: []string{"chat:write"},
	}, nil)
	fmt.Println(h.Label)
	fmt.Println(h.Sentence)
	fmt.Println(h.NextStep)
	// Output:
	// Working, some features unavailable
	// It can't greet people by name: it doesn't have permission to see who is who.
	// The person who installed it or a workspace admin can allow the rest.
}
