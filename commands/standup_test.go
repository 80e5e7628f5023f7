package commands

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot/bottest"
)

// The zones of Dana and Leon.
var (
	berlin = location("Europe/Berlin")
	london = location("Europe/London")
)

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
	s := bottest.New(t, standup().handlers...)
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
