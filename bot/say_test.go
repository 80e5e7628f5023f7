package bot_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// What is for one person is read by that person alone, wherever they asked: here a link that lets the app act for them,
// and one that allows what is missing. The handler that refuses runs once.
func TestOnlyTheActorReads(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	refuse := func(ctx context.Context, req *bot.Request) error {
		runs.Add(1)
		if strings.Contains(req.Text, "nowhere") {
			req.ChannelID = ""
		}
		_, err := req.UserClient(ctx)
		return err
	}
	s := play(t,
		bot.OnMention("", func(ctx context.Context, t *bot.Message) error { return refuse(ctx, t.Request) }),
		bot.OnMessage("^act", func(ctx context.Context, t *bot.Message) error {
			return refuse(ctx, t.Request)
		}, bot.Scopes("im:history")),
		bot.OnMessage("^allow", func(ctx context.Context, t *bot.Message) error {
			_, err := t.Say(ctx, t.NotAllowed("files:read"))
			return err
		}, bot.Scopes("channels:history"), bot.OptionalScopes("files:read")))
	const actor, other, shared = slacksim.AcmeMember, slacksim.AcmeAdmin, "C0SHARED01"
	in, _ := s.sim.Installed(slacksim.Acme)
	s.sim.AddChannel(slacksim.Channel{ID: shared, TeamID: slacksim.Acme, Name: "both",
		SharedWith: []string{slacksim.Birch}, Members: []string{actor, other, slacksim.BirchAdmin, in.BotUserID}})
	mention := "<@" + in.BotUserID + "> act for me"

	reads := func(user, channel string) int {
		n := 0
		for _, m := range s.sim.Messages(channel, user) {
			if m.BotID != "" && strings.Contains(m.Text, "/slack/install") {
				n++
			}
		}
		return n
	}
	for _, test := range []struct {
		name, by, in, says string
		thread             bool
		told               string // where who asked reads it; "" nowhere
	}{
		{"in a channel", actor, slacksim.AcmeGeneral, mention, false, slacksim.AcmeGeneral},
		{"in a thread", actor, slacksim.AcmeGeneral, mention, true, slacksim.AcmeGeneral},
		{"in the direct message", actor, s.sim.DM(actor), "act for me", false, s.sim.DM(actor)},
		{"where there is no channel", actor, slacksim.AcmeGeneral, mention + " nowhere", false, s.sim.DM(actor)},
		{"in a shared channel", actor, shared, mention, false, shared},
		{"by a person of the other company", slacksim.BirchAdmin, shared, mention, false, ""},
		{"not allowed", actor, slacksim.AcmeGeneral, "allow it", false, slacksim.AcmeGeneral},
	} {
		before, ran := reads(test.by, test.told), runs.Load()
		root := ""
		var err error
		if test.thread {
			if root, err = s.sim.Say(ctx, other, test.in, "What shall we do?"); err == nil {
				_, err = s.sim.Reply(ctx, test.by, test.in, root, test.says)
			}
		} else {
			_, err = s.sim.Say(ctx, test.by, test.in, test.says)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.settle(t)
		if test.told != "" {
			if m := lastOf(s.sim, test.told, test.by); reads(test.by, test.told) != before+1 || m.ThreadTS != root {
				t.Errorf("%s: who asked reads %q in thread %q", test.name, m.Text, m.ThreadTS)
			}
		}
		for _, channel := range []string{slacksim.AcmeGeneral, shared} {
			if reads(other, channel) != 0 || reads(slacksim.BirchAdmin, channel) != 0 {
				t.Errorf("%s: others in %s read the link", test.name, channel)
			}
		}
		if strings.Contains(test.says, "act") && runs.Load() != ran+1 {
			t.Errorf("%s: the handler ran %d times", test.name, runs.Load()-ran)
		}
	}
	for _, m := range s.sim.Messages(shared, slacksim.BirchAdmin) {
		if m.BotID != "" && (m.EphemeralTo != "" || strings.Contains(m.Text, "may not act")) {
			t.Errorf("the other company reads %q", m.Text)
		}
	}
}

// Who can't be told is not told later: a refusal is no failure.
func TestRefusalIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	s := play(t, bot.OnMention("", func(context.Context, *bot.Message) error {
		runs.Add(1)
		return &bot.UserError{Text: "Not this one."}
	}))
	in, _ := s.sim.Installed(slacksim.Acme)
	s.sim.Inject(slacksim.Fault{Method: "chat.postEphemeral", Error: "user_not_in_channel"})
	s.sim.Inject(slacksim.Fault{Method: "chat.postMessage", Error: "cannot_dm_bot"})
	say(t, s.sim, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> do it")
	s.settle(t)
	if n := runs.Load(); n != 1 {
		t.Errorf("%d runs", n)
	}
	if n := len(s.sim.Calls("chat.postMessage")); n != 1 {
		t.Errorf("tried %d times by direct message", n)
	}
}

// What is for one person takes the place of nothing that others read, whatever the handler asks for: not as the second
// part of a public answer, not as a public answer itself, and not in the words of an error.
func TestPrivateAnswersStayPrivate(t *testing.T) {
	t.Parallel()
	notAllowed := func(req *bot.Request) bot.Reply {
		r := req.NotAllowed("files:read")
		r.InChannel = true
		return r
	}
	// later is a public answer with a private second part.
	later := func(req *bot.Request, refuse bool) bot.Reply {
		return bot.Reply{Text: "One moment.", InChannel: true, Then: func(ctx context.Context) (bot.Reply, error) {
			if !refuse {
				return notAllowed(req), nil
			}
			_, err := req.UserClient(ctx)
			return bot.Reply{Text: "Done.", InChannel: true}, fmt.Errorf("act for them: %w", err)
		}}
	}
	type made func(req *bot.Request) bot.Reply
	second := func(req *bot.Request) bot.Reply { return later(req, false) }
	refused := func(req *bot.Request) bot.Reply { return later(req, true) }
	heard := func(pattern string, makes made, options ...bot.Option) bot.Handler {
		return bot.OnMessage(pattern, func(ctx context.Context, t *bot.Message) error {
			_, err := t.Say(ctx, makes(t.Request))
			return err
		}, append(options, bot.Scopes("channels:history"))...)
	}
	typed := func(name string, makes made) bot.Handler {
		return bot.OnCommand(name, func(ctx context.Context, t *bot.Command) error {
			return t.Respond(ctx, makes(t.Request))
		}, bot.Scopes("chat:write"), bot.Describe("x", ""))
	}
	typedAsync := func(name string, makes made) bot.Handler {
		return bot.OnCommandAsync(name, func(ctx context.Context, t *bot.AsyncCommand) error {
			return t.Respond(ctx, makes(t.Request))
		}, bot.Scopes("chat:write"), bot.Describe("x", ""))
	}
	s := play(t,
		heard("^later", second, bot.OptionalScopes("files:read")), heard("^refuse", refused),
		bot.OnMessage("^aloud", func(ctx context.Context, t *bot.Message) error {
			_, err := t.UserClient(ctx)
			_, said := t.Say(ctx, bot.Reply{Text: "That failed: " + err.Error()})
			return errors.Join(err, said)
		}, bot.Scopes("channels:history")),
		typed("/first", notAllowed), typed("/second", second), typed("/refused", refused),
		typedAsync("/slow-second", second), typedAsync("/slow-refused", refused),
		bot.OnAction("press", func(ctx context.Context, t *bot.Action) error {
			return t.Update(ctx, notAllowed(t.Request))
		}, bot.Scopes("chat:write")))
	const actor, other = slacksim.AcmeMember, slacksim.AcmeAdmin
	links := func(user string) (n int) {
		for _, m := range s.sim.Messages(slacksim.AcmeGeneral, user) {
			if strings.Contains(m.Text+string(m.Blocks), "/slack/install") {
				n++
			}
		}
		return n
	}

	acts := map[string]func(){"a press that asks to replace the message": func() {
		if _, err := s.sim.Press(ctx, actor, slacksim.AcmeGeneral, s.button(t, "press", ""), "press"); err != nil {
			t.Fatal(err)
		}
	}}
	for _, text := range []string{"later", "refuse", "aloud"} {
		acts["a message: "+text] = func() { say(t, s.sim, actor, slacksim.AcmeGeneral, text) }
	}
	for _, line := range []string{"/first", "/second", "/refused", "/slow-second", "/slow-refused"} {
		acts["a command: "+line] = func() { command(t, s, actor, line) }
	}
	for name, act := range acts {
		before := links(actor)
		act()
		wait(t, s.sim, name+": who asked reads the link", func() bool { return links(actor) == before+1 })
		s.settle(t)
		if n := links(other); n != 0 {
			t.Fatalf("%s: others read %d links", name, n)
		}
	}
}
