package bottest

// Who there is, and how the app is installed.

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"

	"github.com/switchboard-go/switchboard/slacksim"
)

// Person is somebody in the small Slack.
type Person struct {
	ID   string // U…
	Team string // their workspace
}

// The people. Outsider is of another company than the others, and in one channel with them: #shared.
var (
	Admin    = Person{ID: slacksim.AcmeAdmin, Team: slacksim.Acme}
	Member   = Person{ID: slacksim.AcmeMember, Team: slacksim.Acme}
	Guest    = Person{ID: "U0ACMEMIAG", Team: slacksim.Acme}
	Outsider = Person{ID: slacksim.BirchMember, Team: slacksim.Birch}
	// OtherAdmin can install the app in the Outsider's workspace.
	OtherAdmin = Person{ID: slacksim.BirchAdmin, Team: slacksim.Birch}
)

// populate fills a small Slack. The app has been added to #general and #shared.
func populate(sim *slacksim.Sim) {
	sim.AddSmallWorld()
	sim.AddUser(slacksim.User{
		ID: Guest.ID, TeamID: Guest.Team, Name: "mia", RealName: "Mia Novak", TZ: "Europe/Prague", Guest: true,
	})
	sim.AddChannel(slacksim.Channel{ID: "C0ACMESHAR", TeamID: slacksim.Acme, Name: "shared",
		Members: []string{Admin.ID, Member.ID, Guest.ID, Outsider.ID}, SharedWith: []string{slacksim.Birch}})
}

// install goes the way of somebody who clicks Add to Slack, and adds the app to the channels they are in.
func install(sim *slacksim.Sim, by Person) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}

	app := sim.App()
	start, err := browser.Get(strings.TrimSuffix(app.InstallURL, "/") + "/slack/install")
	if err != nil {
		return err
	}
	_ = start.Body.Close()
	back, err := sim.Authorize(ctx, start.Header.Get("Location"), by.ID, slacksim.Choice{TeamID: by.Team})
	if err != nil {
		return err
	}

	done, err := browser.Get(back)
	if err != nil {
		return err
	}
	_ = done.Body.Close()
	if done.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the app answered %s", done.Status)
	}

	in, _ := sim.Installed(by.Team)
	for _, c := range sim.Directory.Channels(by.Team) {
		if c.Name == "general" || c.Name == "shared" && by.Team == slacksim.Acme {
			if err := sim.Invite(ctx, by.ID, c.ID, in.BotUserID); err != nil {
				return err
			}
		}
	}
	return nil
}
