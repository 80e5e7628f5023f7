package slacksim_test

// An app against the small Slack, from the consent page to an answered message.

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// call is one call of the Web API, as any client makes it.
func call(slack, method string, arguments url.Values) (answer struct {
	AccessToken string `json:"access_token"`
}) {
	response, err := http.PostForm(slack+"/api/"+method, arguments)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	return answer
}

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	// A Slack that knows an app.
	sim := slacksim.New(slacksim.Config{App: slacksim.App{
		ID: "A0GREETER1", Name: "Greeter", ClientID: "1.2", ClientSecret: "secret", SigningSecret: "signing-secret",
		RedirectURLs: []string{"https://greeter.example/callback"}, Events: []string{"app_mention"},
	}})
	sim.AddSmallWorld()
	if err := sim.Start("127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	defer sim.Close(ctx)

	// The app greets whoever mentions it. A real one checks the signature first.
	var token string
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var delivery struct {
			Event struct{ User, Channel string }
		}
		if err := json.NewDecoder(r.Body).Decode(&delivery); err != nil {
			log.Fatal(err)
		}
		call(sim.URL(), "chat.postMessage", url.Values{"token": {token}, "channel": {delivery.Event.Channel},
			"text": {"Hello, <@" + delivery.Event.User + ">!"}})
	}))
	defer app.Close()
	sim.SetApp(func(a *slacksim.App) { a.EventsURL = app.URL })

	// An admin presses Allow on the consent page. The app gets a code, and a token for it.
	consent := sim.URL() + "/oauth/v2/authorize?client_id=1.2&scope=app_mentions:read,chat:write"
	back, err := sim.Authorize(ctx, consent, slacksim.AcmeAdmin, slacksim.Choice{})
	if err != nil {
		log.Fatal(err)
	}
	callback, err := url.Parse(back)
	if err != nil {
		log.Fatal(err)
	}
	token = call(sim.URL(), "oauth.v2.access", url.Values{"client_id": {"1.2"}, "client_secret": {"secret"},
		"code": {callback.Query().Get("code")}}).AccessToken

	// A member adds the app to a channel, and mentions it.
	installed, _ := sim.Installed(slacksim.Acme)
	if err := sim.Invite(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, installed.BotUserID); err != nil {
		log.Fatal(err)
	}
	_, err = sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+installed.BotUserID+"> hi")
	if err != nil {
		log.Fatal(err)
	}
	if err := sim.Settle(ctx); err != nil {
		log.Fatal(err)
	}

	for _, m := range sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember) {
		author, _ := sim.Directory.Name(m.User)
		fmt.Printf("%s: %s\n", author, m.Text)
	}
	fmt.Println("rules broken:", len(sim.Breaches()))
	// Output:
	// Greeter: was added to #general by <@U0ACMELEON>
	// Leon Okafor: <@U0ACME0001BOT> hi
	// Greeter: Hello, <@U0ACMELEON>!
	// rules broken: 0
}
