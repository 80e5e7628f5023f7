package links_test

import (
	"fmt"
	"net/url"
	"time"

	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/install/links"
)

// A link asks somebody to allow one more permission. What it says can be read by any replica, and changed by nobody.
func ExampleLinks_Grant() {
	l := &links.Links{
		PublicURL: "https://bot.example.com",
		Keys:      []connection.Secret{"derived from the app's own keys"},
		Now:       time.Now,
	}
	page := l.Grant(connection.Connection{ID: "con_1"}, links.GrantRequest{Scopes: []string{"reactions:write"}})
	address, err := url.Parse(page)
	if err != nil {
		fmt.Println(err)
		return
	}

	var link links.Link
	signed := address.Query().Get("link")
	fmt.Println(l.Verify("grant", signed, &link), link.Connection, link.Scopes)
	fmt.Println(l.Verify("grant", signed+"x", &link), l.Verify("undo", signed, &link))
	// Output:
	// true con_1 [reactions:write]
	// false false
}
