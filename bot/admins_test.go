package bot_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/bot/bottest"
	"github.com/switchboard-go/switchboard/install/mrkdwn"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Who is an admin, as Slack says of everybody who can press a button: also of people of another company, who are none
// here whatever they are there. Without the permission to ask, that is the answer.
func TestIsAdmin(t *testing.T) {
	t.Parallel()
	gone := slacksim.User{ID: "U0ACMEGONE", TeamID: slacksim.Acme, Name: "gil", Admin: true}
	var s *bottest.Suite
	s = bottest.New(t,
		bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
			button := slack.NewActionBlock("", mrkdwn.Button("try", "Try", ""))
			_, err := m.Say(ctx, bot.Reply{Text: "Try it.", Blocks: []slack.Block{button}})
			return err
		}),
		bot.OnActionAsync("try", func(ctx context.Context, a *bot.AsyncAction) error {
			if a.UserID == gone.ID { // deactivated a moment after they pressed it
				gone.Deleted = true
				s.Sim.AddUser(gone)
			}
			admin, err := a.IsAdmin(ctx)
			says := fmt.Sprintf("%s admin: %t", a.UserID, admin)
			if errors.As(err, new(*bot.NotAllowedError)) {
				says, err = says+", as far as I'm allowed to know", nil
			}
			return errors.Join(err, a.Respond(ctx, bot.Text(says)))
		}, bot.External(), bot.OptionalScopes("users:read")))
	s.As(bottest.Member).Mention("#shared", "offer")
	s.Posted("#shared").Want("Try it.")

	theirs, _ := s.Sim.Directory.User(bottest.Outsider.ID)
	theirs.Admin = true
	s.Sim.AddUser(theirs)
	s.Sim.AddUser(gone)
	shared, _ := s.Sim.Directory.Channel(s.Channel("#shared"))
	shared.Members = append(shared.Members, gone.ID)
	s.Sim.AddChannel(shared)
	for person, want := range map[bottest.Person]bool{
		bottest.Admin: true, bottest.Member: false, bottest.Guest: false, bottest.Outsider: false,
		{ID: gone.ID, Team: gone.TeamID}: false,
	} {
		s.As(person).Press("#shared", "try")
		s.As(person).Reads("#shared").Want(fmt.Sprintf("%s admin: %t", person.ID, want))
	}

	if err := s.Sim.Admins.Permit(slacksim.Acme, nil, []string{"users:read"}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // Slack says it first, then it is known
		s.As(bottest.Admin).Press("#shared", "try")
		s.As(bottest.Admin).Reads("#shared").Want("admin: false, as far as I'm allowed to know")
	}
}
