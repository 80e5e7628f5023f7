package commands

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/bot/bottest"
	"github.com/switchboard-go/switchboard/slacksim"
)

// berlin is the zone of Dana.
var berlin = location("Europe/Berlin")

// standupSuite is the feature at Acme Corp, where Dana has read that it is installed.
func standupSuite(t *testing.T) *bottest.Suite {
	t.Helper()
	s := bottest.New(t, standup().handlers...)
	s.As(bottest.Admin).Reads("").Want("is now connected")
	return s
}

// monday moves the clock to the next Monday, at a time in Berlin, which is an hour ahead of London.
func monday(s *bottest.Suite, hour, minute int) (at time.Time) {
	now := s.Now().In(berlin)
	at = time.Date(now.Year(), now.Month(), now.Day()+1, hour, minute, 0, 0, berlin)
	for at.Weekday() != time.Monday {
		at = at.AddDate(0, 0, 1)
	}
	s.Advance(at.Sub(s.Now()))
	return at
}

// said is what a form of answers is filled with.
func said(yesterday, today, blockers string) map[string]string {
	return map[string]string{"yesterday": yesterday, "today": today, "blockers": blockers}
}

// One day, from the setup to an answer that comes late: two people in two zones, and one message in the channel.
func TestStandup(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 8, 0)

	dana.Command("#general", "/standup")
	dana.Submit(map[string]string{"people": dana.ID + "," + leon.ID})
	dana.Modal().Want("Saved.…<@" + dana.ID + "> and <@" + leon.ID + "> are asked")
	dana.Close()
	s.Posted("#general").Want("<@" + dana.ID + "> set up a standup here.…at 09:30 in their own time zone, on weekdays.")

	s.Advance(90 * time.Minute)
	dana.Reads("").Want("It's time for the standup of <#" + s.Channel("#general") + ">, Monday")
	leon.Reads("").Nothing()
	s.Advance(time.Hour)
	leon.Reads("").Want("It's time for the standup")

	dana.Press("", standupAnswer)
	dana.Submit(said(" ", "Plumbing", ""))
	dana.Modal().Want("Write a few words.")
	dana.Submit(said("Painting", "Plumbing", ""))
	dana.Reads("").Shows("✅ Thanks. Your answers for Monday")
	s.Posted("#general").Nothing()

	s.Advance(119 * time.Minute)
	s.Posted("#general").Nothing()
	s.Advance(time.Minute)
	s.Posted("#general").Want("Standup of Monday…1 of 2 answered.…missing: <@" + leon.ID + ">…Painting…Plumbing")

	s.Advance(time.Minute)
	leon.Press("", standupAnswer)
	leon.Submit(said("Golf", "Tennis", "No <@U0ACMEDANA> balls"))
	s.Posted("#general").Shows("2 of 2 answered.…<@" + dana.ID + ">\n*Yesterday:* Painting…<@" + leon.ID +
		"> _(late)_…Blockers:* No &lt;@U0ACMEDANA&gt; balls")
	s.Posted("#general").Nothing()
}

// at moves the clock to a moment.
func at(s *bottest.Suite, moment time.Time) {
	s.Advance(moment.Sub(s.Now()))
}

// somebody is another member of Acme Corp.
func somebody(s *bottest.Suite, id, zone string) *bottest.Actor {
	s.Sim.AddUser(slacksim.User{ID: id, TeamID: slacksim.Acme, Name: id, RealName: id, TZ: zone})
	return s.As(bottest.Person{ID: id, Team: slacksim.Acme})
}

// begin sets up a standup in a channel.
func begin(by *bottest.Actor, channel string, form map[string]string) {
	by.Command(channel, "/standup")
	by.Submit(form)
	by.Modal().Want("Saved.")
	by.Close()
}

const asked = "It's time for the standup"

// Weekends and days off are skipped, also while the app is away, and nobody is asked twice.
func TestStandupOnWeekdays(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana := s.As(bottest.Admin)
	first := monday(s, 9, 0)
	off := first.AddDate(0, 0, 1).Format(time.DateOnly)

	dana.Command("#general", "/standup")
	dana.Submit(map[string]string{"people": dana.ID, "off": off + "\n2026-02-30"})
	dana.Modal().Want("“2026-02-30” is no date.")
	dana.Submit(map[string]string{"people": dana.ID, "off": off})
	dana.Modal().Want("Saved.")
	dana.Close()

	for day := range 8 {
		morning := first.AddDate(0, 0, day)
		at(s, morning.Add(29*time.Minute))
		dana.Reads("").Nothing()
		switch s.Restart(time.Minute); day {
		case 0, 2, 3, 4, 7:
			dana.Reads("").Want(asked + "…" + dayOf(morning).words())
		}
		s.Restart(time.Minute)
		dana.Reads("").Nothing()
	}
}

// Who is asked at half past nine is asked then on both sides of a change of clocks, and a time that clocks show twice
// or not at all comes once.
func TestStandupWhenClocksChange(t *testing.T) {
	t.Parallel()
	for zone, clock := range map[string]time.Duration{
		"America/New_York": 9*time.Hour + 30*time.Minute, "Europe/Berlin": 2*time.Hour + 30*time.Minute,
	} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			s := standupSuite(t)
			leon := somebody(s, "U0ACMEZONE", zone)
			in := location(zone)

			for range 2 { // forward and back
				_, change := s.Now().In(in).ZoneBounds()
				at(s, change.Add(-20*time.Hour))
				begin(leon, "#general", map[string]string{
					"people": leon.ID, "at": clockWords(clock), "days": strings.Join(weekdays, ","),
				})
				for range 3 {
					now := s.Now().In(in)
					want := dayOf(now).at(clock, in)
					if !want.After(now) {
						want = dayOf(now).add(1).at(clock, in)
					}
					at(s, want.Add(-time.Second))
					leon.Reads("").Nothing()
					s.Advance(time.Second)
					leon.Reads("").Want(asked + "…" + dayOf(want.In(in)).words())
				}
				leon.Command("#general", "/standup leave") // else they are asked as soon as the clock has moved on
				leon.Reads("#general").Want("You've left the standup")
			}
		})
	}
}

// When clocks show a time, by hand.
func TestClockTimes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ day, clock, zone, want string }{
		{"2026-03-28", "09:30", "Europe/Berlin", "2026-03-28T08:30:00Z"},
		{"2026-03-29", "09:30", "Europe/Berlin", "2026-03-29T07:30:00Z"},
		{"2026-03-29", "02:30", "Europe/Berlin", "2026-03-29T01:00:00Z"}, // skipped: when they are set forward
		{"2026-10-25", "02:30", "Europe/Berlin", "2026-10-25T00:30:00Z"}, // twice: the first time
		{"2026-10-25", "03:00", "Europe/Berlin", "2026-10-25T02:00:00Z"},
		{"2026-10-25", "01:59", "Europe/Berlin", "2026-10-24T23:59:00Z"},
		{"2026-03-08", "02:30", "America/New_York", "2026-03-08T07:00:00Z"},
		{"2026-03-08", "03:00", "America/New_York", "2026-03-08T07:00:00Z"},
		{"2026-11-01", "01:30", "America/New_York", "2026-11-01T05:30:00Z"},
		{"2026-11-01", "09:30", "America/New_York", "2026-11-01T14:30:00Z"},
		{"2026-09-06", "00:15", "America/Santiago", "2026-09-06T04:00:00Z"}, // no midnight
		{"2026-10-04", "02:15", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"},
		{"2026-04-05", "01:45", "Australia/Lord_Howe", "2026-04-04T14:45:00Z"}, // half an hour twice
		{"2026-11-30", "09:30", "Asia/Kolkata", "2026-11-30T04:00:00Z"},
		{"2026-11-30", "09:30", "UTC", "2026-11-30T09:30:00Z"},
	} {
		clock, err := time.Parse("15:04", test.clock)
		if err != nil {
			t.Fatal(err)
		}
		since := time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
		got := day(test.day).at(since, location(test.zone)).UTC().Format(time.RFC3339)
		if got != test.want {
			t.Errorf("%s %s in %s: %s, want %s", test.day, test.clock, test.zone, got, test.want)
		}
	}
}

// A Monday is everybody's own. One summary has it all, so long after the last of them was asked.
func TestStandupInZonesFarApart(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana := s.As(bottest.Admin)
	aiko, zoe := somebody(s, "U0ACMEAIKO", "Asia/Tokyo"), somebody(s, "U0ACMEZOEH", "America/Los_Angeles")
	first := dayOf(monday(s, 0, 0))
	begin(dana, "#general", map[string]string{"people": aiko.ID + "," + zoe.ID, "wait": "60"})
	s.Posted("#general").Want("set up a standup here")

	at(s, first.at(9*time.Hour+30*time.Minute, location("Asia/Tokyo")))
	aiko.Reads("").Want(asked + "…" + first.words())
	aiko.Press("", standupAnswer)
	aiko.Submit(said("Sushi", "Ramen", ""))
	aiko.Reads("").Shows("Thanks.")
	zoe.Reads("").Nothing()

	last := first.at(9*time.Hour+30*time.Minute, location("America/Los_Angeles"))
	at(s, last)
	zoe.Reads("").Want(asked + "…" + first.words())
	at(s, last.Add(59*time.Minute))
	s.Posted("#general").Nothing()
	at(s, last.Add(time.Hour))
	s.Posted("#general").Want("Standup of " + first.words() + ": 1 of 2 answered.…missing: <@" + zoe.ID + ">").Nothing()

	second := first.add(1).at(9*time.Hour+30*time.Minute, location("Asia/Tokyo"))
	at(s, second)
	aiko.Reads("").Want(asked + "…" + first.add(1).words())
	zoe.Press("", standupAnswer) // still Monday there
	zoe.Submit(said("Surf", "Sun", ""))
	s.Posted("#general").Shows("Standup of " + first.words() + ": 2 of 2 answered.…Ramen…Surf").Nothing()
}

// When everybody has answered there is nothing to wait for. Answers can be changed, which the summary shows.
func TestStandupIsCompleteEarly(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 10, 0)
	begin(dana, "#general", map[string]string{"people": dana.ID + "," + leon.ID, "at": "11:00"})
	s.Posted("#general").Want("set up a standup here")

	dana.Command("#general", "/standup answer") // before it is time
	dana.Submit(said("Painting", "Plumbing", "Rain"))
	dana.Modal().Want("Thanks.")
	dana.Close()
	s.Advance(time.Hour)
	dana.Reads("").Nothing()
	s.Advance(time.Hour)
	leon.Reads("").Want(asked)
	leon.Press("", standupOff)
	leon.Reads("").Shows("You're away on Monday")
	s.Posted("#general").Want("1 of 1 answered. Away: <@" + leon.ID + ">.…Blockers:* Rain")

	s.Advance(time.Minute)
	dana.Press("#general", standupAnswer)
	dana.Submit(map[string]string{"blockers": ""}) // the rest is what it was
	dana.Modal().Want("Thanks.")
	dana.Close()
	s.Posted("#general").Shows("<@" + dana.ID + "> _(edited)_\n*Yesterday:* Painting\n*Today:* Plumbing\n")

	leon.Press("", standupAnswer)
	leon.Submit(said("Golf", "Tennis", ""))
	s.Posted("#general").Shows("2 of 2 answered.…Golf").Nothing()
	s.Advance(24 * time.Hour)
	s.Posted("#general").Nothing()
}

// Many answer at the same time, and each twice: all answers are kept, and the one message has them.
func TestStandupAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana := s.As(bottest.Admin)
	monday(s, 9, 0)
	var people []*bottest.Actor
	var ids []string
	for i := range 12 {
		people = append(people, somebody(s, fmt.Sprintf("U0ACMETEAM%02d", i), "Europe/Berlin"))
		ids = append(ids, people[i].ID)
	}
	begin(dana, "#general", map[string]string{"people": strings.Join(ids, ",")})
	s.Posted("#general").Want("set up a standup here")
	s.Advance(30 * time.Minute)
	for _, p := range people {
		p.Reads("").Want(asked)
		p.Press("", standupAnswer)
	}

	var all sync.WaitGroup
	for i, p := range people {
		view := s.Sim.OpenViews(p.ID)[0].ID
		for _, try := range []string{"first", "second"} {
			all.Go(func() {
				words := fmt.Sprintf("%s %02d", try, i)
				_, _ = s.Sim.SubmitView(t.Context(), p.ID, view, map[string]map[string]string{ // the window may be closed
					"yesterday": {"text": words}, "today": {"text": words}, "blockers": {"text": ""},
				})
			})
		}
	}
	all.Wait()
	s.Posted("#general").Want("12 of 12 answered.").Nothing()
	shown := string(s.Posted("#general").Newest().Blocks)
	for i := range people {
		if n := strings.Count(shown, fmt.Sprintf(" %02d\\n*Today", i)); n != 1 {
			t.Errorf("the answer of person %d is there %d times", i, n)
		}
	}
}

// crossing works two deliveries at the same time: the second while the first waits for the answer to its first call of
// a method of Slack's. It returns all calls of it.
func crossing(t *testing.T, method string, work func(ctx context.Context, delivery *bot.Timer) error) []slacksim.Call {
	t.Helper()
	called, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s := bottest.New(t, append(standup().handlers, bot.OnCommandAsync("/both",
		func(ctx context.Context, c *bot.AsyncCommand) error {
			first, second := *c.Request, *c.Request
			first.EventID, second.EventID = "first", "second"
			worked := make(chan error, 1)
			go func() { worked <- work(ctx, &bot.Timer{Request: &first}) }()
			<-called
			err := work(ctx, &bot.Timer{Request: &second})
			close(release)
			done <- errors.Join(err, <-worked)
			return nil
		}, bot.Describe("works both", "")))...)
	dana := s.As(bottest.Admin)
	dana.Reads("").Want("is now connected")

	before := len(s.Sim.Calls(method))
	var calls atomic.Int32
	s.Handle(method, func(slacksim.Call) (map[string]any, error) {
		if calls.Add(1) == 1 {
			close(called)
			<-release
		}
		return map[string]any{"channel": slacksim.AcmeGeneral, "ts": "1790000000.000100"}, nil
	})
	dana.Command("#general", "/both")
	if err := <-done; err != nil {
		t.Error(err)
	}
	return s.Sim.Calls(method)[before:]
}

// mondayOf is a standup of Dana in #general, on a day on which she answered something.
func mondayOf(ctx context.Context, store bot.Store, answer string) (day standupDay, err error) {
	day = standupDay{channel: slacksim.AcmeGeneral, day: "2026-11-30"}
	day.plan = standupPlan{By: slacksim.AcmeAdmin, Days: weekdays, People: []participant{{ID: slacksim.AcmeAdmin}}}
	reply := standupReply{Yesterday: answer, Today: answer, At: time.Unix(1_790_000_000, 0)}
	return day, errors.Join(
		store.Put(ctx, planKey(day.channel), day.plan, 0),
		store.Put(ctx, repliesKey(day.channel, day.day)+slacksim.AcmeAdmin, reply, 0),
	)
}

// Of two deliveries that are to ask somebody one does.
func TestStandupAsksOnce(t *testing.T) {
	t.Parallel()
	calls := crossing(t, "chat.postMessage", func(ctx context.Context, delivery *bot.Timer) error {
		plan := standupPlan{By: slacksim.AcmeAdmin}
		return ask(ctx, delivery, slacksim.AcmeGeneral, &plan, "2026-11-30", slacksim.AcmeMember)
	})
	if len(calls) != 1 {
		t.Errorf("asked %d times", len(calls))
	}
}

// Of two deliveries that are to post a summary one does.
func TestStandupPostsOneSummary(t *testing.T) {
	t.Parallel()
	calls := crossing(t, "chat.postMessage", func(ctx context.Context, delivery *bot.Timer) error {
		day, err := mondayOf(ctx, delivery.Store(), "Painting")
		if err != nil {
			return err
		}
		posted, err := postSummary(ctx, delivery, &day, day.summary())
		if want := delivery.EventID == "first"; posted != want {
			t.Errorf("the %s delivery posted: %v", delivery.EventID, posted)
		}
		return err
	})
	if len(calls) != 1 {
		t.Errorf("posted %d times", len(calls))
	}
}

// A change of the summary that reaches Slack after a newer one is made up for.
func TestStandupSummaryShowsTheLast(t *testing.T) {
	t.Parallel()
	calls := crossing(t, "chat.update", func(ctx context.Context, delivery *bot.Timer) error {
		day, err := mondayOf(ctx, delivery.Store(), "by the "+delivery.EventID)
		if err != nil {
			return err
		}
		return keepCurrent(ctx, delivery, &day, bot.Reply{})
	})
	byWhom := regexp.MustCompile(`by the \w+`)
	var says []string
	for _, c := range calls {
		says = append(says, byWhom.FindString(c.Arg("blocks")))
	}
	if strings.Join(says, ", ") != "by the first, by the second, by the second" {
		t.Errorf("the summary was changed to the answer of: %v", says)
	}
}

// Who presses Start twice has one standup, of which the channel reads once; who changes it is announced, too, and who
// was asked already isn't asked again.
func TestStandupSetUpTwice(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 8, 0)
	form := map[string]string{"people": leon.ID, "at": "09:00"}
	begin(dana, "#general", form)
	begin(dana, "#general", form)
	s.Posted("#general").Want("set up a standup here").Nothing()
	s.Advance(2 * time.Hour) // it is nine in London
	leon.Reads("").Want(asked).Nothing()

	leon.Command("#general", "/standup show")
	leon.Press("#general", standupChange)
	leon.Modal().Want("Change the standup")
	leon.Submit(map[string]string{"people": leon.ID + "," + dana.ID, "at": "11:00", "days": "Mon,Tue,Sun"})
	leon.Modal().Want("Saved.…at 11:00 in their own time zone, on Mon, Tue and Sun.")
	leon.Close()
	leon.Command("#project-atlas", "/standup") // where there is none the form begins as ever
	leon.Submit(map[string]string{"people": leon.ID})
	leon.Modal().Want("at 09:30 in their own time zone, on weekdays.")
	leon.Command("#project-atlas", "/standup leave")
	s.Posted("#general").Want("<@" + leon.ID + "> changed the standup").Nothing()
	s.Advance(time.Hour)
	dana.Reads("").Want(asked)
	s.Advance(time.Hour)
	leon.Reads("").Nothing()
	s.Advance(23 * time.Hour)
	dana.Reads("").Want(asked)
}

// A channel that the app isn't in takes no summary: who sets it up reads that right away, and once when it is so.
func TestStandupOutsideOfTheChannel(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	first := monday(s, 8, 0)
	dana.Command("#project-atlas", "/standup")
	dana.Submit(map[string]string{"people": leon.ID, "wait": "30"})
	dana.Modal().Want("Test isn't in <#" + slacksim.AcmeRandom + ">…Type `/invite @Test` in the channel.")

	at(s, first.Add(150*time.Minute))
	leon.Reads("").Want(asked)
	s.Advance(30 * time.Minute)
	dana.Reads("").Want("The standup of Monday…has no summary.…`/invite @Test`").Nothing()
	at(s, first.Add(26*time.Hour+30*time.Minute))
	leon.Reads("").Want(asked)
	s.Advance(30 * time.Minute)
	dana.Reads("").Nothing()

	dana.Press("", standupPost)
	dana.Reads("").Want("The standup of Monday…has no summary.").Nothing()
	in, _ := s.Sim.Installed(slacksim.Acme)
	if err := s.Sim.Invite(t.Context(), dana.ID, slacksim.AcmeRandom, in.BotUserID); err != nil {
		t.Fatal(err)
	}
	dana.Press("", standupPost)
	s.Posted("#project-atlas").Want("Standup of Monday…0 of 1 answered.…missing: <@" + leon.ID + ">").Nothing()
}

// A channel that takes none for five days gets none any longer.
func TestStandupNobodyCouldRead(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	first := monday(s, 8, 0)
	begin(dana, "#project-atlas", map[string]string{"people": leon.ID, "wait": "30"})
	for day := range 5 {
		at(s, first.AddDate(0, 0, day).Add(150*time.Minute))
		leon.Reads("").Want(asked)
		s.Advance(30 * time.Minute)
		switch day {
		case 0:
			dana.Reads("").Want("has no summary.…Then press Post it.")
		case 4:
			dana.Reads("").Want("has no summary.…I've ended this standup")
		}
		dana.Reads("").Nothing()
	}
	at(s, first.AddDate(0, 0, 7).Add(150*time.Minute))
	leon.Reads("").Nothing()
}

// An archived channel ends its standup.
func TestStandupOfAnArchivedChannel(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 9, 30)
	begin(dana, "#general", map[string]string{"people": leon.ID, "wait": "30"})
	s.Posted("#general").Want("set up a standup here")
	s.Advance(time.Hour)
	leon.Reads("").Want(asked)
	s.Sim.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "is_archived", Times: 1})
	s.Advance(30 * time.Minute)
	dana.Reads("").Want("is archived…I've ended this standup").Nothing()
	leon.Press("", standupAnswer)
	leon.Reads("").Want("There's no standup in <#" + s.Channel("#general") + ">.")
}

// In a channel where only some people write who set it up reads that, too.
func TestStandupWhereOnlySomeWrite(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 9, 30)
	begin(dana, "#general", map[string]string{"people": leon.ID, "wait": "30"})
	s.Advance(time.Hour)
	leon.Reads("").Want(asked)
	s.Sim.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "restricted_action_read_only_channel", Times: 1})
	s.Advance(30 * time.Minute)
	dana.Reads("").Want("has no summary. Only some people can post in <#").Nothing()
}

// Somebody ends a standup in the moment in which it asks: nothing of it comes back.
func TestStandupEndsWhileItAsks(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 9, 30)
	begin(dana, "#general", map[string]string{"people": leon.ID})
	asking, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.Handle("users.info", func(slacksim.Call) (map[string]any, error) {
		once.Do(func() { close(asking) })
		<-release
		moved := map[string]any{"id": leon.ID, "team_id": slacksim.Acme, "tz": "America/New_York"}
		return map[string]any{"user": moved}, nil
	})
	s.Advance(time.Hour)
	<-asking
	dana.Command("#general", "/standup stop")
	dana.Press("#general", standupStop)
	s.Posted("#general").Want("ended the standup of this channel.")
	close(release)
	s.Posted("#general").Nothing()
	dana.Command("#general", "/standup show")
	dana.Reads("#general").Want("There's no standup in")
}

// Who leaves is no longer missing in the summary that is there, whoever is left.
func TestStandupLeftByAll(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 9, 30)
	begin(dana, "#general", map[string]string{"people": leon.ID, "wait": "30"})
	s.Advance(time.Hour)
	leon.Reads("").Want(asked)
	s.Advance(30 * time.Minute)
	s.Posted("#general").Want("0 of 1 answered. Still missing: <@" + leon.ID + ">.")
	leon.Command("#general", "/standup leave")
	s.Posted("#general").Shows("0 of 0 answered.")
}

// More can have answered than are asked: some have left since, and others came. Slack takes the message, and names all.
func TestStandupAnsweredByMore(t *testing.T) {
	t.Parallel()
	day := standupDay{channel: slacksim.AcmeGeneral, day: "2026-11-30", replies: map[string]standupReply{}}
	for i := range 60 {
		reply := standupReply{Yesterday: "Painting", Today: "Plumbing", At: time.Unix(1_790_000_000, 0)}
		if i >= 57 { // of each kind
			reply = []standupReply{{}, {Away: true}, {Unreached: true}}[i-57]
			day.plan.People = append(day.plan.People, participant{ID: fmt.Sprintf("U0TEAM%03d", i)})
		}
		day.replies[fmt.Sprintf("U0TEAM%03d", i)] = reply
	}
	said := day.summary()
	if len(said.Blocks) > 50 || !strings.Contains(said.Text, "Answered, too: <@U0TEAM044>") ||
		!strings.Contains(said.Text, "and <@U0TEAM056>. Still missing: <@U0TEAM057>.") {
		t.Errorf("%d blocks: %s", len(said.Blocks), said.Text)
	}
}

// Without users:read everybody is asked by the zone that the form asks for.
func TestStandupWithoutZones(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	monday(s, 8, 0)
	if err := s.Sim.Admins.Permit(slacksim.Acme, nil, []string{"users:read"}); err != nil {
		t.Fatal(err)
	}
	dana.Command("#general", "/standup stop") // an answer of Slack's says what is allowed
	leon.Command("#general", "/standup")
	leon.Submit(map[string]string{"people": leon.ID, "zone": "Berlin"})
	leon.Modal().Want("zone: …I don't know this time zone.")
	leon.Submit(map[string]string{"people": leon.ID, "zone": "Europe/Berlin"})
	leon.Modal().Want("is asked at 09:30 (Europe/Berlin), on weekdays.…I don't know the time zone of <@" + leon.ID +
		">, so I go by Europe/Berlin there.")
	s.Advance(89 * time.Minute)
	leon.Reads("").Nothing()
	s.Advance(time.Minute)
	leon.Reads("").Want(asked)
}

// Who can't be asked is refused in the form: people of another company, apps, deactivated accounts.
func TestStandupOfOthers(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana := s.As(bottest.Admin)
	s.Sim.AddUser(slacksim.User{ID: "U0ACMEGONE", TeamID: slacksim.Acme, RealName: "Gil Gone", Deleted: true})
	in, _ := s.Sim.Installed(slacksim.Acme)
	dana.Command("#general", "/standup")
	dana.Submit(map[string]string{
		"people": strings.Join([]string{bottest.Outsider.ID, "U0ACMEGONE", in.BotUserID, "U0NOBODY", bottest.Guest.ID}, ","),
	})
	dana.Modal().Want("Sam Lindqvist is at another company. Gil Gone has a deactivated account. Test is an app. " +
		"Somebody isn't in this workspace. Only people of this workspace can be asked.")
	dana.Submit(map[string]string{"people": bottest.Guest.ID})
	dana.Modal().Want("Saved.")
}

// Whose account is deactivated isn't asked any longer, and who set it up reads that once. Who flew to another zone is
// asked by the clock there. Whom Slack delivers nothing to is in the summary.
func TestStandupWhenPeopleChange(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	first := monday(s, 8, 0)
	gil, mover := somebody(s, "U0ACMEGILG", "Europe/Berlin"), somebody(s, "U0ACMEMOVE", "Europe/Berlin")
	begin(dana, "#general", map[string]string{"people": gil.ID + "," + mover.ID + "," + leon.ID})
	s.Posted("#general").Want("set up a standup here")

	s.Sim.AddUser(slacksim.User{ID: gil.ID, TeamID: slacksim.Acme, RealName: "Gil Gone", Deleted: true})
	somebody(s, mover.ID, "America/New_York")
	at(s, first.Add(90*time.Minute))
	dana.Reads("").Want("Gil Gone (<@" + gil.ID + ">) has a deactivated account").Nothing()
	mover.Reads("").Nothing()
	s.Sim.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "messages_tab_disabled", Times: 1})
	s.Advance(time.Hour)
	leon.Reads("").Nothing()
	at(s, dayOf(first).at(9*time.Hour+30*time.Minute, location("America/New_York")))
	mover.Reads("").Want(asked)
	s.Advance(2 * time.Hour)
	s.Posted("#general").Want("0 of 2 answered. Still missing: <@" + mover.ID + ">. I couldn't write to: <@" + leon.ID +
		">.").Nothing()
	at(s, first.AddDate(0, 0, 1).Add(90*time.Minute))
	gil.Reads("").Nothing()
	dana.Reads("").Nothing()
}

// People say that they are away until a date, that they are back, and that they leave.
func TestStandupWithoutMe(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	first := monday(s, 8, 0)
	dana.Command("#general", "/standup skip")
	dana.Reads("#general").Want("You're not in any standup here.")
	begin(dana, "#general", map[string]string{"people": dana.ID + "," + leon.ID, "wait": "30"})
	s.Posted("#general").Want("set up a standup here")

	dana.Command("#general", "/standup skip yesterday")
	dana.Reads("#general").Want("Until when? Write a date from today on")
	dana.Command("#general", "/standup skip "+string(dayOf(first).add(-1)))
	dana.Reads("#general").Want("Until when?")
	dana.Command("#general", "/standup skip "+string(dayOf(first).add(1)))
	dana.Reads("#general").Want("You're away until Tuesday")
	at(s, first.Add(90*time.Minute))
	dana.Reads("").Nothing()
	s.Advance(time.Hour)
	leon.Reads("").Want(asked)
	s.Advance(30 * time.Minute)
	s.Posted("#general").Want("0 of 1 answered. Still missing: <@" + leon.ID + ">. Away: <@" + dana.ID + ">.")
	leon.Command("#general", "/standup skip")
	leon.Reads("#general").Want("You're away today")
	s.Posted("#general").Shows("0 of 0 answered. Away: <@" + dana.ID + "> and <@" + leon.ID + ">.").Nothing()

	at(s, first.AddDate(0, 0, 1).Add(10*time.Minute))
	dana.Command("#general", "/standup back")
	dana.Reads("#general").Want("Welcome back.")
	s.Advance(80 * time.Minute)
	dana.Reads("").Want(asked)
	dana.Press("", standupLeave)
	dana.Reads("").Shows("You've left the standup")
	dana.Command("#general", "/standup answer")
	dana.Reads("#general").Want("You're not in the standup")
	s.Advance(time.Hour)
	leon.Reads("").Want(asked)
	leon.Command("#general", "/standup leave")
	leon.Reads("#general").Want("You've left the standup")
	s.Advance(24 * time.Hour)
	s.Posted("#general").Nothing()
	dana.Command("#general", "/standup show")
	dana.Reads("#general").Want("Nobody is asked.")
}

// Where everybody is away from the start nobody reads a summary.
func TestStandupWithNobody(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	leon := s.As(bottest.Member)
	monday(s, 8, 0)
	begin(leon, "#general", map[string]string{"people": leon.ID})
	s.Posted("#general").Want("set up a standup here")
	leon.Command("#general", "/standup skip")
	s.Advance(10 * time.Hour)
	s.Posted("#general").Nothing()
	leon.Reads("").Nothing()
}

// Whoever ends it is asked whether they are sure. Then nothing of it is left, and what is pressed later says so.
func TestStandupStops(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	dana, leon := s.As(bottest.Admin), s.As(bottest.Member)
	dana.Command("#general", "/standup stop")
	dana.Reads("#general").Want("There's no standup in")
	monday(s, 9, 0)
	begin(dana, "#general", map[string]string{"people": leon.ID})
	s.Posted("#general").Want("set up a standup here")
	s.Advance(90 * time.Minute)
	leon.Reads("").Want(asked)
	leon.Press("", standupAnswer)
	dana.Command("#general", "/standup stop")
	dana.Press("#general", standupStop)
	s.Posted("#general").Want("<@" + dana.ID + "> ended the standup of this channel.")
	leon.Submit(said("Golf", "Tennis", ""))
	leon.Modal().Want("There's no standup in <#")
	s.Advance(24 * time.Hour)
	leon.Reads("").Nothing()
	s.Posted("#general").Nothing()
}

// Forty people who write as much as they can fit into one message, and each answer can be read in full. After thirty
// days it is gone.
func TestStandupIsWithinLimits(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	leon := s.As(bottest.Member)
	monday(s, 9, 0)
	ids := []string{leon.ID}
	for i := range standupPeople {
		ids = append(ids, somebody(s, fmt.Sprintf("U0ACMETEAM%02d", i), "Europe/London").ID)
	}
	leon.Command("#general", "/standup")
	leon.Submit(map[string]string{"people": strings.Join(ids, ",")})
	leon.Modal().Want("Choose at most 40 people.")
	leon.Submit(map[string]string{"people": strings.Join(ids[:standupPeople], ",")})
	leon.Modal().Want("Saved.")
	leon.Close()
	s.Posted("#general").Want("set up a standup here")

	long := strings.Repeat("<&", standupLetters/2)
	for _, id := range ids[1:standupPeople] {
		p := s.As(bottest.Person{ID: id, Team: slacksim.Acme})
		p.Command("#general", "/standup answer")
		p.Submit(said(long, long, long))
		p.Modal().Want("Thanks.")
	}
	s.Advance(90 * time.Minute)
	leon.Reads("").Want(asked)
	leon.Press("", standupAnswer)
	leon.Submit(said(long, "short", ""))
	s.Posted("#general").Want("40 of 40 answered.")
	leon.Press("#general", standupRead)
	leon.Modal().Want("<@" + leon.ID + ">…Yesterday…&lt;&amp;&lt;&amp;…Today…short")
	leon.Close()

	s.Advance(6 * 7 * 24 * time.Hour)
	begin(leon, "#general", map[string]string{"people": leon.ID})
	leon.Command("#general", "/standup answer")
	leon.Submit(said("Golf", "Tennis", ""))
	leon.Modal().Want("Thanks.")
	leon.Close()
	s.Posted("#general").Want("1 of 1 answered.").Nothing()
	leon.Press("#general", standupRead)
	leon.Reads("#general").Want("Answers are kept for 30 days, so this one is gone.")
	all := s.Sim.Messages(s.Channel("#general"), leon.ID)
	if !slices.ContainsFunc(all, func(m slacksim.Message) bool {
		return strings.HasPrefix(m.Text, "Standup of Monday, 7 December: 40 of 40 answered.")
	}) {
		t.Errorf("what was posted six weeks ago is no longer there: %+v", all)
	}
}

// What the form and the commands say where they are used in the wrong place.
func TestStandupInTheWrongPlace(t *testing.T) {
	t.Parallel()
	s := standupSuite(t)
	leon := s.As(bottest.Member)
	leon.Command("", "/standup")
	leon.Reads("").Want("Type `/standup` in the channel that is to get the summary.")
	leon.Command("#general", "/standup dance")
	leon.Reads("#general").Want("I don't know “dance”.")
	leon.Command("#general", "/standup help")
	leon.Reads("#general").Want("`/standup`: Sets up…`/standup skip [2026-12-24]`…`/standup stop`")
	leon.Command("#general", "/standup answer")
	leon.Reads("#general").Want("There's no standup in this channel.")
}

// Days off as people write them.
func TestDaysOff(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"2026-12-24": "2026-12-24", " 2026-12-24 to 2027-01-01 ": "2026-12-24 to 2027-01-01",
		"2026-12-24 - 2026-12-26": "2026-12-24 to 2026-12-26", "2026-12-24–2026-12-26": "2026-12-24 to 2026-12-26",
		"2026-12-24 to 2026-12-01": "", "2026-13-01": "", "24.12.2026": "", "tomorrow": "", "2026-02-29": "",
	} {
		s, ok := parseSpan(words)
		if ok != (want != "") || ok && s.String() != want {
			t.Errorf("%q: %s, %v", words, s, ok)
		}
	}
}
