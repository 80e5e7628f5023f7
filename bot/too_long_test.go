package bot_test

// A handler that takes longer than its own Timeout says so, in words with a next step and a reference.

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

func TestOwnTimeoutIsSaid(t *testing.T) {
	t.Parallel()
	long := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	soon, described := bot.Timeout(10*time.Millisecond), bot.Describe("takes long", "")
	s, _ := hurried(t, asksForForm,
		bot.OnCommand("/long", func(ctx context.Context, _ *bot.Command) error { return long(ctx) }, soon, described),
		bot.OnCommandAsync("/later", func(ctx context.Context, _ *bot.AsyncCommand) error { return long(ctx) }, soon,
			described),
		bot.OnAction("long", func(ctx context.Context, _ *bot.Action) error { return long(ctx) }, soon),
		bot.OnViewSubmission("form", func(ctx context.Context, _ *bot.Submission) error { return long(ctx) }, soon),
		bot.OnMention("", func(ctx context.Context, _ *bot.Message) error { return long(ctx) }, soon),
		bot.OnHomeOpened(func(ctx context.Context, _ *bot.Home) error { return long(ctx) }, soon))
	const ended = "This took too long, so it was ended. Check what was done before you try again. Reference: "
	const gaveUp = "This took too long each time we tried, so we gave up. " +
		"Check what was done before you try again. Reference: "

	if r := command(t, s, slacksim.AcmeMember, "/long"); !strings.HasPrefix(r.Text, ended) {
		t.Errorf("a command is answered %q", r.Text)
	}
	if _, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, s.button(t, "long", ""), "long"); err != nil {
		t.Fatal(err)
	}
	answered(t, s, ended)
	if _, err := s.sim.SubmitView(ctx, slacksim.AcmeMember, openForm(t, s),
		map[string]map[string]string{"size": {"a": "l"}}); err != nil {
		t.Fatal(err)
	}
	if shown := string(s.sim.OpenViews(slacksim.AcmeMember)[0].Blocks); !strings.Contains(shown, ended) {
		t.Errorf("a form shows %s", shown)
	}

	if err := s.sim.OpenHome(ctx, slacksim.AcmeMember, "home"); err != nil {
		t.Fatal(err)
	}
	wait(t, s.sim, "a word in the Home tab", func() bool {
		home, _ := s.sim.Home(slacksim.AcmeMember)
		return strings.Contains(string(home.Blocks),
			"We couldn't show this page: it took too long. Open it again in a minute.")
	})

	// What is tried again says it once it is given up.
	command(t, s, slacksim.AcmeMember, "/later")
	say(t, s.sim, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "<@"+s.row(t).BotUserID+"> work")
	if !s.hurry(t, func() bool { l, _ := s.db.Letters(ctx, "dead", 4); return len(l) == 3 }) {
		t.Fatal("not given up")
	}
	answered(t, s, gaveUp)
	if m := lastOf(s.sim, slacksim.AcmeGeneral, slacksim.AcmeAdmin); !strings.HasPrefix(m.Text, gaveUp) || !m.Ephemeral {
		t.Errorf("who mentioned it reads %+v", m)
	}
}
