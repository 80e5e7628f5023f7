package connection_test

import (
	"fmt"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
)

// Slack says that a token works no longer. What that makes of the connection follows from its answer alone.
func ExampleConnection_Judge() {
	c := connection.Connection{TeamName: "Acme Corp", State: connection.Active}
	c.Judge(connection.Identity{}, "token_revoked", time.Now())
	fmt.Println(c.State, c.Reason)
	fmt.Println(connection.ReasonText(nil, c.Reason))
	// Output:
	// reconnect_required token_revoked
	// Its access was withdrawn in Slack.
}

// A workspace left out a permission. What it can't do now is said in the words of the catalogue.
func ExampleConnection_Missing() {
	needed := []connection.Scope{
		{Name: "chat:write", Label: "Send messages", Feature: "send messages"},
		{Name: "reactions:write", Label: "Add reactions", Feature: "react with an emoji", Optional: true},
	}
	c := connection.Connection{Scopes: []string{"chat:write"}}
	fmt.Println(c.Without(nil, "", c.Missing(needed)))
	// Output: It can't react with an emoji: it doesn't have permission to add reactions.
}

// Whatever prints it, and however: a secret stays one.
func ExampleSecret() {
	c := connection.Connection{TokenPair: connection.TokenPair{Token: "xoxb-1-2-3"}}
	fmt.Printf("%v %q %x\n", c.Token, c.Token, c.Token)
	fmt.Println(len(c.Token.Reveal()))
	// Output:
	// [secret] [secret] [secret]
	// 10
}
