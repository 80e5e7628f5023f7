package web_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/slacksim/web"
)

// A Slack with pages to look at. The hints tell whoever opens them where to begin.
func ExamplePages() {
	sim := slacksim.New(slacksim.Config{
		App:   slacksim.App{ID: "A0GREETER1", Name: "Greeter"},
		Pages: web.Pages(web.Hint{Title: "Meet the app", Text: "Sign in as Dana and open Greeter in the sidebar."}),
	})
	sim.AddSmallWorld()
	if err := sim.Start("127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	defer sim.Close(context.Background())

	page, err := http.Get(sim.URL())
	if err != nil {
		log.Fatal(err)
	}
	defer page.Body.Close()
	fmt.Println(page.Status, page.Header.Get("Content-Type"))
	// Output: 200 OK text/html; charset=utf-8
}
