package slackapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/switchboard-go/switchboard/install/slackapi"
)

// Whether an error is Slack's word about the token decides what becomes of a connection.
func ExampleDecisive() {
	answer := `{"ok": false, "error": "token_revoked"}`
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, answer)
	}))
	defer slack.Close()
	api := &slackapi.API{
		Address: slack.URL,
		HTTP:    slackapi.NewHTTPClient(),
		Now:     time.Now,
		Met:     func(method, result string) {},
	}

	_, err := api.Identify(context.Background(), "xoxb-1-2-3")
	fmt.Println(slackapi.SlackError(err), slackapi.Decisive(err))

	answer = "<html>Bad gateway</html>" // a proxy's, which knows nothing of tokens
	_, err = api.Identify(context.Background(), "xoxb-1-2-3")
	fmt.Println(slackapi.SlackError(err), slackapi.Decisive(err))
	// Output:
	// token_revoked true
	//  false
}
