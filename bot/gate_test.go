package bot_test

// What is the same for every kind, whichever way it comes.

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// Where the organisation's app was not added to a workspace slow work says so right away, as a quick command does.
func TestSlowWorkWhereTheAppWasNotAdded(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	far := bot.OnCommandAsync("/far", func(context.Context, *bot.AsyncCommand) error {
		runs.Add(1)
		return slack.SlackErrorResponse{Err: "team_access_not_granted"}
	}, bot.Scopes("chat:write"), bot.Describe("reaches far", ""))
	s := play(t, far)

	command(t, s, slacksim.AcmeMember, "/far")
	answered(t, s, "this workspace doesn't yet")
	s.settle(t)
	if n := runs.Load(); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// Who is of another company by the payload's word isn't told why a handler refuses them, shared channel or not.
func TestUserErrorIsNotForAnotherCompany(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnMention("", func(context.Context, *bot.Message) error {
		return &bot.UserError{Text: "Acme has no such customer."}
	}))
	told := func() (n int) {
		for _, method := range []string{"chat.postEphemeral", "chat.postMessage"} {
			for _, c := range s.sim.Calls(method) {
				if strings.Contains(c.Arg("text"), "no such customer") {
					n++
				}
			}
		}
		return n
	}
	for _, test := range []struct {
		user, team string
		want       int
	}{
		{user: slacksim.BirchAdmin, team: slacksim.Birch, want: 0},
		{user: slacksim.AcmeMember, team: slacksim.Acme, want: 1},
	} {
		mention := map[string]any{
			"type": "app_mention", "user": test.user, "user_team": test.team, "channel": slacksim.AcmeGeneral,
			"text": "hello", "ts": "1793611800.000001", "event_ts": "1793611800.000001",
		}
		if _, err := s.sim.Sender.Emit(ctx, slacksim.Event{TeamID: slacksim.Acme, Inner: mention}); err != nil {
			t.Fatal(err)
		}
		s.settle(t)
		if n := told(); n != test.want {
			t.Errorf("for %s of %s it was said %d times, want %d", test.user, test.team, n, test.want)
		}
	}
}
