package messages_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/messages"
)

// One person is told that the connection needs them, in the app's name.
func ExampleMessages_Tell() {
	small := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path, "to", r.FormValue("channel"))
		fmt.Println(strings.Contains(r.FormValue("text"), "Parrot"))
		fmt.Fprint(w, `{"ok":true,"channel":"D1","ts":"1.1"}`)
	}))
	defer small.Close()
	client := slack.New("xoxb-1", slack.OptionAPIURL(small.URL+"/"))

	m := messages.New(install.Config{App: install.App{Name: "Parrot"}})
	_, ts, err := m.Tell(context.Background(), client, "U1", install.Health{GrantURL: "https://bot.example.com/grant"})
	fmt.Println(ts, err)
	// Output:
	// /chat.postMessage to U1
	// true
	// 1.1 <nil>
}
