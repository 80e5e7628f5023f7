package commands

import (
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot/bottest"
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
