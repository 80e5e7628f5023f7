package cli

// What the app is for, at work in the demo and in a real browser: a poll that people vote in, and a standup with its
// summary. With SCREENSHOTS=folder both are photographed.

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// colleagues are people at Acme besides Dana and Leon, so that a poll has voters and a standup somebody to ask.
var colleagues = []slacksim.User{
	{ID: "U0ACMEMARA", Name: "mara", RealName: "Mara Voss"},
	{ID: "U0ACMEJONA", Name: "jonas", RealName: "Jonas Weber"},
	{ID: "U0ACMEAIKO", Name: "aiko", RealName: "Aiko Mori"},
}

// hire adds the colleagues to Acme Corp and its channel. They live where Dana does.
func hire(t *testing.T, slack *slacksim.Sim) {
	t.Helper()
	general := slacksim.Channel{ID: slacksim.AcmeGeneral, TeamID: slacksim.Acme, Name: "general",
		Members: []string{slacksim.AcmeAdmin, slacksim.AcmeMember}}
	for _, u := range colleagues {
		u.TeamID, u.TZ = slacksim.Acme, "Europe/Berlin"
		slack.AddUser(u)
		general.Members = append(general.Members, u.ID)
	}
	slack.AddChannel(general)
}

// invite brings the app, which was installed, into Acme's channel.
func invite(t *testing.T, slack *slacksim.Sim) {
	t.Helper()
	in, _ := slack.Installed(slacksim.Acme)
	if err := slack.Invite(t.Context(), slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID); err != nil {
		t.Fatal(err)
	}
}

// voteFor presses the button of an option of the newest poll, as somebody.
func voteFor(t *testing.T, slack *slacksim.Sim, userID string, option int) {
	t.Helper()
	said := slack.Messages(slacksim.AcmeGeneral, userID)
	_, err := slack.Press(t.Context(), userID, slacksim.AcmeGeneral, said[len(said)-1].TS,
		fmt.Sprintf("poll.vote.%d", option))
	if err != nil {
		t.Fatal(err)
	}
}

// submit types a command that opens a modal, as somebody, and submits that.
func submit(t *testing.T, slack *slacksim.Sim, userID, command string, values map[string]map[string]string) {
	t.Helper()
	if _, err := slack.Command(t.Context(), userID, slacksim.AcmeGeneral, command); err != nil {
		t.Fatal(err)
	}
	views := slack.OpenViews(userID)
	if len(views) == 0 {
		t.Fatalf("%s opens no modal", command)
	}
	if _, err := slack.SubmitView(t.Context(), userID, views[len(views)-1].ID, values); err != nil {
		t.Fatal(err)
	}
}

func TestFeaturesAtWork(t *testing.T) {
	storagetest.Long(t)
	slack := walkDemo(t)
	hire(t, slack)
	b := newTab(t)
	b.be(slack, slacksim.AcmeAdmin, slacksim.Acme, slacksim.AcmeGeneral)
	b.add()
	b.click("#allow")
	b.title("Connected: Switchboard is in Acme Corp")
	invite(t, slack)
	general := slack.URL() + "/client/" + slacksim.Acme + "/" + slacksim.AcmeGeneral
	b.open(general)

	b.type_(`/poll "Where do we meet for lunch?" Ramen at Kuro, Pizza, Salad bar`)
	b.reads("#messages .from-app:last-child", "Where do we meet for lunch?")
	for i, u := range colleagues {
		voteFor(t, slack, u.ID, []int{0, 1, 0}[i])
	}
	b.press(`#messages [data-action-id="poll.vote.0"]`)
	b.reads("#messages .from-app:last-child", "4 people voted")
	b.picture("poll")

	b.standup(slack)
	b.picture("standup")
	b.clean()
}

// standup has the people of #general answer in one, which everybody reads there.
func (b *tab) standup(slack *slacksim.Sim) {
	t := b.t
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := slack.Now().In(berlin)
	if b.pictures != "" {
		at = at.Add(time.Minute) // everybody is asked before anybody answers, so that nobody is late
	}

	// Every day of the week, so that there is one today.
	people := []string{slacksim.AcmeAdmin}
	for _, u := range colleagues {
		people = append(people, u.ID)
	}
	submit(t, slack, slacksim.AcmeAdmin, "/standup", map[string]map[string]string{
		"people": {"people": strings.Join(people, ",")}, "days": {"days": "Mon,Tue,Wed,Thu,Fri,Sat,Sun"},
		"at": {"at": at.Format("15:04")},
	})
	b.reads("#messages .from-app:last-child", "set up a standup here")
	for _, who := range people {
		if b.pictures != "" {
			asked(t, slack, who)
		}
	}

	said := map[string][3]string{
		slacksim.AcmeAdmin: {"Shipped the new pricing page", "Rollout notes for support", ""},
		colleagues[0].ID: {"Invoices for October", "The export that accounting asked for",
			"Waiting for access to the archive"},
		colleagues[1].ID: {"Fixed the flaky upload test", "Pairing with Aiko on search", ""},
		colleagues[2].ID: {"Search: synonyms work", "Search: ranking", ""},
	}
	for _, who := range people {
		submit(t, slack, who, "/standup answer", map[string]map[string]string{"yesterday": {"text": said[who][0]},
			"today": {"text": said[who][1]}, "blockers": {"text": said[who][2]}})
	}
	b.reads("#messages .from-app:last-child", "Standup of", "Search: ranking")
	b.do("reload, which closes what she has open", chromedp.Reload())
	b.press("#modal-close")
	b.windowCloses()
}

// asked waits until somebody was asked for their standup.
func asked(t *testing.T, slack *slacksim.Sim, userID string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := slack.WaitFor(ctx, func() bool {
		return slices.ContainsFunc(slack.Messages(slack.DM(userID), userID), func(m slacksim.Message) bool {
			return strings.Contains(m.Text, "It's time for the standup")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
