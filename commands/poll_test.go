package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
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
	leon.Reads("#project-atlas").Want("I'm not in this channel yet. Type /invite @Test there, and post it again." +
		"…kept for a day…It asks: Lunch?")
	leon.Press("#project-atlas", "poll.post")
	leon.Reads("#project-atlas").Shows("I'm not in this channel yet.…kept for a day")

	leon.Command("#general", "/poll")
	leon.Submit(map[string]string{"question": "Dinner?", "options": "Pizza\nSushi",
		"channel": s.Channel("#project-atlas")})
	leon.Modal().Want("channel: I'm not in this channel yet.")

	in, _ := s.Sim.Installed(slacksim.Acme)
	if err := s.Sim.Invite(t.Context(), leon.ID, s.Channel("#project-atlas"), in.BotUserID); err != nil {
		t.Fatal(err)
	}
	leon.Submit(map[string]string{"question": "Dinner?", "options": "Pizza\nSushi",
		"channel": s.Channel("#project-atlas")})
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
	pressedAgain(t, s, pollPost, s.Now().Add(time.Second)) // a double click
	s.Posted("#project-atlas").Nothing()
	if !replaced() {
		t.Error("who pressed twice reads that the poll isn't kept")
	}
}

// Post is pressed again while Slack is slow: one of the two messages stays.
func TestPollPostedTwice(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon := s.As(bottest.Member)
	leon.Command("#general", "/poll")
	leon.Modal().Want("Ask a question")

	var calls atomic.Int32
	both := make(chan struct{})
	s.Handle("chat.postMessage", func(slacksim.Call) (map[string]any, error) {
		n := calls.Add(1)
		if n == 2 {
			close(both)
		}
		<-both
		return map[string]any{"channel": slacksim.AcmeGeneral, "ts": fmt.Sprintf("1790000000.00000%d", n)}, nil
	})
	s.Handle("chat.delete", func(slacksim.Call) (map[string]any, error) { return nil, nil })

	view := s.Sim.OpenViews(leon.ID)[0].ID
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			_, _ = s.Sim.SubmitView(t.Context(), leon.ID, view, map[string]map[string]string{ // the window may be closed
				"question": {"text": "Lunch?"}, "options": {"text": "Pizza\nSushi"},
			})
		})
	}
	all.Wait()
	if n := len(s.Sim.Calls("chat.delete")); n != 1 {
		t.Errorf("of %d messages %d are deleted", calls.Load(), n)
	}
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
	s.Posted("#general").Nothing() // what was pressed is done before the clock moves, and stands still again
	s.Advance(3 * time.Second)
	s.Posted("#shared").Shows("Pizza: 2 votes.")
	dana.Press("#shared", "poll.close")
	s.Posted("#general").Nothing()
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

// kept is what an app's Store has, by key.
type kept map[string]string

// says reports whether a word is anywhere in it.
func (k kept) says(word string) bool {
	for key, value := range k {
		if strings.Contains(key, word) || strings.Contains(value, word) {
			return true
		}
	}
	return false
}

// pollsAndStore is polls, with a look at what they keep.
func pollsAndStore(t *testing.T) (s *bottest.Suite, look func() kept) {
	found := make(chan kept, 1)
	peek := bot.OnCommand("/peek", func(ctx context.Context, c *bot.Command) error {
		all := kept{}
		for entry, err := range c.Store().List(ctx, "") {
			var value json.RawMessage
			if err := errors.Join(err, entry.Decode(&value)); err != nil {
				return err
			}
			all[entry.Key] = string(value)
		}
		found <- all
		return nil
	}, bot.Describe("looks", ""))
	s = bottest.New(t, append(poll().handlers, peek)...)
	return s, func() kept {
		s.As(bottest.Admin).Command("#project-atlas", "/peek")
		return <-found
	}
}

// pressedAgain sends the newest press of a kind of button again, made at another time; zero: at the same.
func pressedAgain(t *testing.T, s *bottest.Suite, button string, at time.Time) {
	t.Helper()
	for _, d := range slices.Backward(s.Sim.Deliveries()) {
		form, err := url.ParseQuery(string(d.Body))
		if err != nil || d.Kind != "interaction" {
			continue
		}
		var press map[string]any
		if err := json.Unmarshal([]byte(form.Get("payload")), &press); err != nil {
			t.Fatal(err)
		}
		action := press["actions"].([]any)[0].(map[string]any)
		if !strings.HasPrefix(action["action_id"].(string), button) {
			continue
		}
		if !at.IsZero() {
			action["action_ts"] = fmt.Sprintf("%d.000000", at.Unix())
		}
		payload, err := json.Marshal(press)
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(url.Values{"payload": {string(payload)}}.Encode())
		if ack := s.Sim.Sender.Deliver(t.Context(), slacksim.Raw{Kind: "interaction", Body: body}); ack.Status != 200 {
			t.Errorf("answered %d", ack.Status)
		}
		return
	}
	t.Fatal("nothing was pressed")
}

// An anonymous poll shows no names and keeps none, and what it kept goes soon after it closed. The result stays.
func TestAnonymousPoll(t *testing.T) {
	t.Parallel()
	s, look := pollsAndStore(t)
	leon, dana := s.As(bottest.Member), s.As(bottest.Admin)
	dana.Command("#general", `/poll anonymous "Lunch?" Pizza, Sushi`)
	s.Posted("#general").Want("Lunch?…Anonymous: nobody sees who voted for what.")

	leon.Press("#general", "poll.vote.0")
	s.Posted("#general").Shows("Pizza: 1 vote.")
	leon.Reads("#general").Want("You voted for Pizza. Press a button again to take its vote back.")
	if m := s.Posted("#general").Newest(); strings.Contains(m.Text+string(m.Blocks), leon.ID) {
		t.Errorf("it names who voted: %s", m.Blocks)
	}
	if all := look(); len(all) != 3 || all.says(leon.ID) {
		t.Errorf("kept: %v", all)
	}
	pressedAgain(t, s, pollVote, time.Time{}) // as if the process had died with it
	leon.Reads("#general").Want("You voted for Pizza.")

	s.Advance(pollGrace)
	dana.Press("#general", "poll.close")
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Closed poll: Lunch? Pizza: 1 vote.")
	s.Advance(pollGrace)
	s.Posted("#general").Nothing()
	if all := look(); len(all) != 1 || all.says("Secret") {
		t.Errorf("kept of a poll that is over: %v", all)
	}

	pressedAgain(t, s, pollVote, s.Now())
	leon.Reads("#general").Want("This poll closed…so your vote came too late.")
	s.Posted("#general").Nothing()
	s.Posted("#general").Shows("Closed poll: Lunch? Pizza: 1 vote.")
	// First comes the time at which it would have closed by itself.
	for _, later := range []time.Duration{pollMemory - pollGrace*3/2, pollGrace, pollGrace} {
		s.Advance(later)
		s.Posted("#general").Nothing()
	}
	if all := look(); len(all) != 0 {
		t.Errorf("kept for ever: %v", all)
	}
}

// Somebody deletes the message: nothing of the poll is kept.
func TestPollWhoseMessageIsGone(t *testing.T) {
	t.Parallel()
	s, look := pollsAndStore(t)
	leon := s.As(bottest.Member)
	leon.Command("#general", `/poll "Lunch?" Pizza, Sushi`)
	s.Posted("#general").Want("Lunch?")
	s.Sim.Inject(slacksim.Fault{Method: "chat.update", Error: "message_not_found"})
	leon.Press("#general", "poll.vote.0")
	s.Posted("#general").Nothing()
	if all := look(); len(all) != 0 {
		t.Errorf("kept: %v", all)
	}
	leon.Press("#general", "poll.vote.0") // in what they still see
	leon.Reads("#general").Want("This poll is over.")
}

// Where the app can't change its message any longer, who votes reads that.
func TestPollThatCannotBeShown(t *testing.T) {
	t.Parallel()
	s := polls(t)
	leon, dana := s.As(bottest.Member), s.As(bottest.Admin)
	leon.Command("#general", `/poll "Lunch?" Pizza, Sushi`)
	s.Posted("#general").Want("Lunch?")
	s.Sim.Inject(slacksim.Fault{Method: "chat.update", Error: "channel_not_found", Times: 1})
	leon.Press("#general", "poll.vote.0")
	s.Posted("#general").Nothing()
	dana.Press("#general", "poll.vote.1")
	dana.Reads("#general").Want("You voted for Sushi.…It is counted, but this message can't show it. " +
		"I'm not in this channel yet.")
	s.Advance(3 * time.Second)
	s.Posted("#general").Shows("Pizza: 1 vote. Sushi: 1 vote.")
}

// As much as a poll can hold: Slack takes the message, and all of its text is read out.
func TestLargestPoll(t *testing.T) {
	t.Parallel()
	q := pollRecord{Text: strings.Repeat("&", pollQuestion), By: bottest.Admin.ID, Several: true, Ends: time.Now()}
	var people []string
	for i := range 500 {
		people = append(people, fmt.Sprintf("U0CROWD%04d", i))
	}
	full := tally{Voters: len(people)}
	for i := range pollOptions {
		q.Options = append(q.Options, strings.Repeat("<", pollOption-1)+strconv.Itoa(i))
		full.Votes, full.Names = append(full.Votes, len(people)), append(full.Names, people)
	}
	anonymous := q
	anonymous.Anonymous, anonymous.Timed = true, true
	closed := q
	closed.Closed, closed.ClosedBy = time.Now(), bottest.Admin.ID

	ref := pollRef{team: bottest.Admin.Team, id: strings.Repeat("x", 16)}
	all := []bot.Reply{q.reply(ref, full), anonymous.reply(ref, full), closed.reply(ref, full)}
	s := bottest.New(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		for _, r := range all {
			if _, err := m.Say(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}))
	s.As(bottest.Admin).Mention("#general", "")
	s.Posted("#general").Want("500 votes").Want("500 votes").Want("Closed poll").Nothing()
	for i, r := range all {
		if n := utf8.RuneCountInString(r.Text); n > pollSpoken || len(r.Blocks) > 50 {
			t.Errorf("%d: %d characters, %d blocks", i, n, len(r.Blocks))
		}
		var said int
		for _, b := range r.Blocks {
			if section, ok := b.(*slack.SectionBlock); ok && strings.Contains(section.Text.Text, "and 480 others") {
				said++
			}
		}
		if said != pollOptions {
			t.Errorf("%d: %d options are whole", i, said)
		}
	}
}
