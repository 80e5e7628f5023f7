package commands

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/bottest"
	"github.com/switchboard-go/switchboard/slacksim"
)

// polls is an app of nothing but polls.
func polls(t *testing.T) *bottest.Suite {
	return bottest.NewApp(t, bottest.App{Handlers: poll().handlers})
}

func TestPollOnOneLine(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon, dana := s.As(bottest.Member), s.As(bottest.Admin)

	leon.Command("#general", `/poll "Lunch?" Pizza, Sushi & more, “Salad, green”`)
	s.Posted("#general").Want("Poll: Lunch? Pizza: no votes. Sushi &amp; more: no votes. Salad, green: no votes.")
	leon.Press("#general", "poll.vote.0")
	s.Posted("#general").Shows("Pizza: 1 vote.…1 person voted.…100%…<@" + leon.ID + ">")
	s.Advance(3 * time.Second)
	dana.Press("#general", "poll.vote.0")
	s.Posted("#general").Shows("Pizza: 2 votes.…<@" + leon.ID + "> and <@" + dana.ID + ">")

	leon.Press("#general", "poll.vote.2") // moves
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Pizza: 1 vote. Sushi &amp; more: no votes. Salad, green: 1 vote. 2 people voted.")
	leon.Press("#general", "poll.vote.2") // back
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Salad, green: no votes. 1 person voted.")

	leon.Press("#general", "poll.close")
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Closed poll: Lunch? Pizza: 1 vote.…<@" + leon.ID + "> closed this poll")
}

func TestPollInTheForm(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon := s.As(bottest.Member)

	leon.Command("#general", "/poll")
	leon.Submit(map[string]string{"question": "Lunch?", "options": "Pizza\n pizza ", "ends": "2020-01-01T10:00"})
	leon.Modal().Want("“pizza” is there twice.").Want("That time has passed.")
	leon.Submit(map[string]string{"question": "Lunch?", "options": "Pizza\n\nSushi",
		"ends": s.Now().Add(2 * time.Hour).UTC().Format("2006-01-02T15:04")})
	s.Posted("#general").Want("Poll: Lunch? Pizza: no votes. Sushi: no votes.")
	leon.Press("#general", "poll.vote.1")
	s.Posted("#general").Shows("Sushi: 1 vote.")
	s.Advance(2*time.Hour + time.Second)
	s.Posted("#general").Shows("Closed poll:…Sushi: 1 vote.…This poll closed")
}

// crowd are n people of Acme Corp who are in #general.
func crowd(s *bottest.Suite, n int) (all []bottest.Person) {
	general, _ := s.Sim.Directory.Channel(slacksim.AcmeGeneral)
	for i := range n {
		u := s.Sim.AddUser(slacksim.User{ID: fmt.Sprintf("U0CROWD%03d", i), TeamID: slacksim.Acme,
			Name: fmt.Sprintf("crowd%d", i)})
		all = append(all, bottest.Person{ID: u.ID, Team: u.TeamID})
		general.Members = append(general.Members, u.ID)
	}
	s.Sim.AddChannel(general)
	return all
}

// together has everybody press buttons of the newest poll in #general at the same time, each their own ones one after
// the other.
func together(t *testing.T, s *bottest.Suite, people []bottest.Person, presses func(i int) []string) {
	t.Helper()
	ts := s.Posted("#general").Newest().TS
	var all sync.WaitGroup
	for i, p := range people {
		all.Go(func() {
			for _, action := range presses(i) {
				ack, err := s.Sim.Press(t.Context(), p.ID, slacksim.AcmeGeneral, ts, action)
				if err != nil || ack.Status != http.StatusOK {
					t.Errorf("%s presses %s: %d %v", p.ID, action, ack.Status, err)
				}
			}
		})
	}
	all.Wait()
	s.Posted("#general").Nothing() // all of them are counted
}

// Fifty people who vote at once, twice each: no vote is lost, and the message is changed a few times, not a hundred.
func TestFiftyPeopleVoteAtOnce(t *testing.T) {
	t.Parallel()
	s := polls(t)
	people := crowd(s, 50)
	s.As(bottest.Member).Command("#general", `/poll several "Lunch?" Pizza, Sushi, Salad`)
	s.Posted("#general").Want("Lunch?")

	together(t, s, people, func(i int) []string {
		return []string{"poll.vote.0", fmt.Sprintf("poll.vote.%d", 1+i%2)}
	})
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Pizza: 50 votes. Sushi: 25 votes. Salad: 25 votes. 50 people voted.")
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Pizza: 50 votes. Sushi: 25 votes. Salad: 25 votes. 50 people voted.")
	if n := len(s.Sim.Calls("chat.update")); n > 5 {
		t.Errorf("a hundred votes changed the message %d times", n)
	}

	// The same buttons again take the votes back.
	together(t, s, people, func(int) []string { return []string{"poll.vote.0"} })
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Pizza: no votes. Sushi: 25 votes. Salad: 25 votes. 50 people voted.")
}

// Of one vote the button that was pressed last counts, and a double click counts once.
func TestFiftyPeopleWithOneVote(t *testing.T) {
	t.Parallel()
	s := polls(t)
	people := crowd(s, 50)
	s.As(bottest.Member).Command("#general", `/poll "Lunch?" Pizza, Sushi`)
	s.Posted("#general").Want("Lunch?")

	together(t, s, people, func(int) []string { return []string{"poll.vote.0", "poll.vote.0"} })
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Pizza: 50 votes. Sushi: no votes. 50 people voted.")

	together(t, s, people, func(i int) []string { return []string{"poll.vote.1"}[:i%2] })
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Pizza: 25 votes. Sushi: 25 votes. 50 people voted.")
	s.Posted("#general").Shows("<@U0CROWD038> and 5 others") // of those who stayed with the first
}

func TestPollLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]pollRecord{
		`"Lunch?" Pizza, Sushi, Salad`:        {Text: "Lunch?", Options: []string{"Pizza", "Sushi", "Salad"}},
		`“Lunch?” “Pizza” „Sushi“ «Salad»`:    {Text: "Lunch?", Options: []string{"Pizza", "Sushi", "Salad"}},
		`"Lunch?", "Fish, chips", Salad,`:     {Text: "Lunch?", Options: []string{"Fish, chips", "Salad"}},
		`"A &amp; B &lt;3?" &gt;1,1 &amp; 2`:  {Text: "A & B <3?", Options: []string{">1", "1 & 2"}},
		`"Who?" <@U1|dana>, <@U2>, <#C1|gen>`: {Text: "Who?", Options: []string{"<@U1>", "<@U2>", "<#C1>"}},
		`"<!here|here>?" <https://a.co|a.co>, <!channel>, <mailto:a@b.co|a@b.co>`: {Text: "@here?",
			Options: []string{"a.co", "@channel", "a@b.co"}},
		`Several anonymous "Lunch?" a, b`: {Text: "Lunch?", Options: []string{"a", "b"}, Several: true, Anonymous: true},
		"\"Lunch\n now?\" a\nb":           {Text: "Lunch now?", Options: []string{"a", "b"}},
		`"Is it 5" or 6?" a, b`:           {Text: "Is it 5", Options: []string{"or 6?\" a", "b"}},
		`Lunch? Pizza, Sushi`:             {},
		`""`:                              {},
		`"Lunch?`:                         {Text: "Lunch?"},
	} {
		var got pollRecord
		readPollLine(line, &got)
		if got.Text != want.Text || strings.Join(got.Options, "|") != strings.Join(want.Options, "|") ||
			got.Several != want.Several || got.Anonymous != want.Anonymous {
			t.Errorf("%s is read as %+v", line, got)
		}
	}
}

func TestBallot(t *testing.T) {
	t.Parallel()
	type press struct {
		option int
		at     float64 // seconds
	}
	for name, test := range map[string]struct {
		several bool
		presses []press
		want    []int
	}{
		"one":                            {false, []press{{0, 0}}, []int{0}},
		"moved":                          {false, []press{{0, 0}, {1, 1}}, []int{1}},
		"moved, the other way round":     {false, []press{{1, 1}, {0, 0}}, []int{1}},
		"taken back":                     {false, []press{{0, 0}, {0, 3}}, nil},
		"a double click":                 {false, []press{{0, 0}, {0, 0.3}}, []int{0}},
		"worked twice":                   {false, []press{{0, 5}, {0, 5}}, []int{0}},
		"worked again after another":     {false, []press{{0, 0}, {1, 5}, {0, 0}}, []int{1}},
		"there and back quickly":         {false, []press{{0, 0}, {1, 0.5}, {0, 1}}, []int{0}},
		"several":                        {true, []press{{1, 0}, {0, 0.1}}, []int{0, 1}},
		"one of several back":            {true, []press{{1, 0}, {0, 0.1}, {1, 9}}, []int{0}},
		"of several, worked again":       {true, []press{{0, 0}, {1, 1}, {0, 0}}, []int{0, 1}},
		"of several, a double click":     {true, []press{{0, 0}, {1, 0.1}, {0, 0.2}}, []int{0, 1}},
		"of several, not in their order": {true, []press{{0, 9}, {0, 0}}, []int{0}},
	} {
		var b ballot
		for _, p := range test.presses {
			b.press(p.option, int64(p.at*1e6)+1, test.several)
		}
		if !slices.Equal(b.Chosen, test.want) {
			t.Errorf("%s: %v, want %v", name, b.Chosen, test.want)
		}
	}
}

func TestPollHelpAndMistakes(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon := s.As(bottest.Member)
	for line, want := range map[string]string{
		"/poll help":                                     "`/poll anonymous \"Question?\" First, Second`",
		"/poll Lunch":                                    "Put the question in quotes, and the options behind it. Type it like this: `/poll \"Lunch?\" Pizza",
		`/poll "Lunch?" Pizza`:                           "A poll needs 2 to 10 options, and this one has 1. Type it like this",
		`/poll "L?" a, b, A`:                             "“A” is there twice.",
		`/poll "L?" a, <!here>, @here`:                   "“@here” is there twice.",
		`/poll "L?" 1,2,3,4,5,6,7,8,9,10,11`:             "A poll has at most 10 options, and this one has 11.",
		`/poll "L?" a, ` + strings.Repeat("x", 76):       "An option has at most 75 characters.",
		`/poll "` + strings.Repeat("x", 301) + `?" a, b`: "A question has at most 300 characters, and this one has 302.",
	} {
		leon.Command("#general", line)
		leon.Reads("#general").Want(want)
	}
	s.Posted("#general").Nothing()
}

// Where the app isn't in the channel it says so, keeps what was typed and posts it when it is.
func TestPollOutsideOfTheChannel(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon := s.As(bottest.Member)

	leon.Command("#project-atlas", `/poll "Lunch?" Pizza, Sushi`)
	leon.Reads("#project-atlas").Want("I'm not in this channel yet. Type /invite @Test there…kept for a day…It asks: Lunch?")
	leon.Press("#project-atlas", "poll.post")
	leon.Reads("#project-atlas").Shows("I'm not in this channel yet.…kept for a day")

	leon.Command("#general", "/poll")
	leon.Submit(map[string]string{"question": "Dinner?", "options": "Pizza\nSushi", "channel": s.Channel("#project-atlas")})
	leon.Modal().Want("channel: I'm not in this channel yet.")

	in, _ := s.Sim.Installed(slacksim.Acme)
	if err := s.Sim.Invite(t.Context(), leon.ID, s.Channel("#project-atlas"), in.BotUserID); err != nil {
		t.Fatal(err)
	}
	leon.Submit(map[string]string{"question": "Dinner?", "options": "Pizza\nSushi", "channel": s.Channel("#project-atlas")})
	s.Posted("#project-atlas").Want("Poll: Dinner?")
	leon.Press("#project-atlas", "poll.post")
	s.Posted("#project-atlas").Want("Poll: Lunch?")
	replaced := func() bool {
		return slices.ContainsFunc(s.Sim.Messages(s.Channel("#project-atlas"), leon.ID), func(m slacksim.Message) bool {
			return m.Text == "Your poll is posted." && m.Blocks == nil
		})
	}
	if err := s.Sim.WaitFor(t.Context(), replaced); err != nil {
		t.Error("the button stays")
	}
	s.Posted("#project-atlas").Nothing()
}

// In a conversation between people it can't be invited. In the one with the app a poll is as good as elsewhere.
func TestPollInADirectMessage(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon := s.As(bottest.Member)
	leon.Command("", `/poll "Lunch?" Pizza, Sushi`)
	leon.Reads("").Want("Poll: Lunch?")
	if says := cantPost(slack.SlackErrorResponse{Err: "channel_not_found"}, "Test", "D0OTHERS"); !strings.Contains(says,
		"I'm not part of it") {
		t.Error(says)
	}
}

func TestPollWithoutPermission(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon := s.As(bottest.Member)
	if err := s.Sim.Admins.Permit(slacksim.Acme, nil, []string{"chat:write"}); err != nil {
		t.Fatal(err)
	}
	leon.Command("#general", `/poll "Lunch?" Pizza, Sushi`)
	leon.Reads("#general").Want("Allow it…Your poll is kept for a day.")
	if err := s.Sim.Admins.Permit(slacksim.Acme, []string{"chat:write"}, nil); err != nil {
		t.Fatal(err)
	}
	s.Posted("#general").Nothing()
}

// Who asked closes a poll, and so does an admin. Everybody else reads who can.
func TestPollIsClosedByWhoCan(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon, dana, mia, sam := s.As(bottest.Member), s.As(bottest.Admin), s.As(bottest.Guest), s.As(bottest.Outsider)
	general := slacksim.AcmeGeneral

	leon.Command("#shared", `/poll "Lunch?" Pizza, Sushi`)
	s.Posted("#shared").Want("Lunch?")
	mia.Press("#shared", "poll.close")
	mia.Reads("#shared").Want("Only <@" + leon.ID + ">, who asked it, and workspace admins can close this poll.")
	sam.Press("#shared", "poll.close")
	sam.Reads("#shared").Want("Only people at Acme Corp can use this button.")
	mia.Press("#shared", "poll.vote.0") // guests and people of other companies can vote
	sam.Press("#shared", "poll.vote.0")
	s.Advance(3 * time.Second)
	s.Posted("#shared").Shows("Pizza: 2 votes.")
	dana.Press("#shared", "poll.close")
	s.Advance(3 * time.Second)
	s.Posted("#shared").Shows("Closed poll: Lunch? Pizza: 2 votes.…<@" + dana.ID + "> closed this poll")

	if err := s.Sim.Admins.Permit(slacksim.Acme, nil, []string{"users:read"}); err != nil {
		t.Fatal(err)
	}
	leon.Command("#general", `/poll "Dinner?" Pizza, Sushi`)
	s.Posted("#general").Want("Dinner?")
	ts := s.Posted("#general").Newest().TS
	dana.Press("#general", "poll.close")
	dana.Reads("#general").Want("Only <@" + leon.ID + ">, who asked it, can close this poll.")
	leon.Press("#general", "poll.close")
	s.Posted("#general").Shows("Closed poll: Dinner?")
	if _, err := s.Sim.Press(t.Context(), leon.ID, general, ts, "poll.vote.0"); err == nil {
		t.Error("a closed poll has buttons")
	}
}
