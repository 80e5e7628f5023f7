package bot_test

// Who reads what when a handler fails: the person who acted, wherever they did, and nobody else.

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// failings are the ways in which a handler fails, by the last word of what was written, and what is read of each.
var failings = map[string]string{
	"error":    "Something went wrong on our side, and trying again didn't help. ",
	"panic":    "Something went wrong on our side, and trying again didn't help. ",
	"refusal":  "There is no such customer.",
	"missing":  "doesn't have permission to",
	"by-slack": "Something went wrong on our side. Check what was done",
}

// failAs fails as text says.
func failAs(ctx context.Context, r *bot.Request, text string) error {
	switch {
	case strings.Contains(text, "panic"):
		panic("broken")
	case strings.Contains(text, "refusal"):
		return &bot.UserError{Text: "There is no such customer."}
	case strings.Contains(text, "missing"):
		return r.Need("files:write")
	case strings.Contains(text, "by-slack"):
		_, _, err := r.Client.PostMessageContext(ctx, "C0NOWHERE01", slack.MsgOptionText("Hello.", false))
		return err
	}
	return errors.New("broken")
}

// A message or a mention whose handler fails for the last time is told to its author alone: once, where they wrote it.
func TestFailedEventsAreTold(t *testing.T) {
	t.Parallel()
	for way, want := range failings {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := play(t,
				bot.OnMention("", func(ctx context.Context, m *bot.Message) error { return failAs(ctx, m.Request, way) },
					bot.OptionalScopes("files:write")),
				bot.OnMessage("", func(ctx context.Context, m *bot.Message) error { return failAs(ctx, m.Request, way) },
					bot.Scopes("im:history")))
			s.forget(t, "files:write")
			in, _ := s.sim.Installed(slacksim.Acme)
			const actor, other = slacksim.AcmeMember, slacksim.AcmeAdmin
			over := func() bool {
				n, err := s.inbox.Count(ctx)
				return err == nil && n.Ready+n.Held+n.Waiting == 0
			}

			root, err := s.sim.Say(ctx, other, slacksim.AcmeGeneral, "What shall we do?")
			if err == nil {
				_, err = s.sim.Reply(ctx, actor, slacksim.AcmeGeneral, root, "<@"+in.BotUserID+"> do it")
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.sim.Settle(ctx); err != nil {
				t.Fatal(err)
			}
			s.hurry(t, over)
			told := s.told(slacksim.AcmeGeneral, actor)
			if len(told) != 1 || !strings.Contains(told[0].Text, want) || told[0].EphemeralTo != actor ||
				told[0].ThreadTS != root {
				t.Errorf("in the thread they read %+v", told)
			}
			if n := len(s.told(slacksim.AcmeGeneral, other)); n != 0 {
				t.Errorf("others read %d messages", n)
			}

			say(t, s.sim, actor, s.sim.DM(actor), "do it")
			s.hurry(t, over)
			if told := s.told(s.sim.DM(actor), actor); way != "missing" && (len(told) != 1 ||
				!strings.Contains(told[0].Text, want)) {
				t.Errorf("in the direct message they read %+v", told)
			}
		})
	}
}

// told is what the app said that a person sees in a conversation.
func (s scene) told(channel, user string) []slacksim.Message {
	return slices.DeleteFunc(s.sim.Messages(channel, user), func(m slacksim.Message) bool { return m.BotID == "" })
}

// forget makes the connection one that hasn't allowed a scope.
func (s scene) forget(t *testing.T, scope string) {
	t.Helper()
	if _, err := s.db.Update(ctx, s.row(t).Key, func(c *connection.Connection) error {
		c.Scopes = slices.DeleteFunc(c.Scopes, func(name string) bool { return name == scope })
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// What fails again and again is told once in a while, and what nobody waits for to nobody.
func TestFailuresAreToldOnce(t *testing.T) {
	t.Parallel()
	fails := func(ctx context.Context, r *bot.Request) error {
		_, _, err := r.Client.PostMessageContext(ctx, "C0NOWHERE01", slack.MsgOptionText("Hello.", false))
		return err
	}
	s := play(t,
		bot.OnMention("", func(ctx context.Context, m *bot.Message) error { return fails(ctx, m.Request) }),
		bot.OnEvent("reaction_added", func(ctx context.Context, e *bot.Event[slackevents.ReactionAddedEvent]) error {
			return fails(ctx, e.Request)
		}, bot.Scopes("reactions:read", "chat:write")),
		bot.OnEvent("user_change", func(ctx context.Context, e *bot.Event[struct{}]) error { return fails(ctx, e.Request) },
			bot.Scopes("users:read", "chat:write")))
	in, _ := s.sim.Installed(slacksim.Acme)
	for range 3 {
		say(t, s.sim, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> do it")
		s.settle(t)
	}
	if n := len(s.told(slacksim.AcmeGeneral, slacksim.AcmeMember)); n != 1 {
		t.Errorf("told %d times", n)
	}
	s.emit(t, "reaction_added", map[string]any{"type": "reaction_added", "user": slacksim.AcmeAdmin, "reaction": "eyes",
		"item": map[string]any{"type": "message", "channel": slacksim.AcmeGeneral, "ts": "1.2"}, "event_ts": "1793611800.1"})
	s.settle(t)
	if told := s.told(slacksim.AcmeGeneral, slacksim.AcmeAdmin); len(told) != 1 ||
		told[0].EphemeralTo != slacksim.AcmeAdmin {
		t.Errorf("who reacted reads %+v", told)
	}
	s.emit(t, "user_change", map[string]any{"type": "user_change", "user": map[string]any{"id": slacksim.AcmeMember},
		"event_ts": "1793611800.1"})
	s.settle(t)
	if n := len(s.told(s.sim.DM(slacksim.AcmeMember), slacksim.AcmeMember)); n != 0 {
		t.Errorf("somebody whose name changed was told %d times", n)
	}
}

// People of another company are told nothing of a failure.
func TestFailuresAreNotForAnotherCompany(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnMention("", func(ctx context.Context, m *bot.Message) error {
		_, _, err := m.Client.PostMessageContext(ctx, "C0NOWHERE01", slack.MsgOptionText("Hello.", false))
		return err
	}))
	for user, team := range map[string]string{slacksim.BirchAdmin: slacksim.Birch, slacksim.AcmeMember: slacksim.Acme} {
		s.emit(t, "app_mention", map[string]any{"type": "app_mention", "user": user, "user_team": team,
			"channel": slacksim.AcmeGeneral, "text": "hello", "ts": "1793611800.000001", "event_ts": "1793611800.000001"})
		s.settle(t)
	}
	calls := s.sim.Calls("chat.postEphemeral")
	if len(calls) != 1 || calls[0].Arg("user") != slacksim.AcmeMember {
		t.Errorf("told: %+v", calls)
	}
}

// Who opens the Home tab reads in it what went wrong.
func TestFailuresOfTheHomeTab(t *testing.T) {
	t.Parallel()
	for way, want := range map[string]string{
		"error": "We couldn't show this page", "panic": "We couldn't show this page",
		"refusal": "There is no such customer.", "missing": "doesn't have permission to",
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := play(t, bot.OnEvent("app_home_opened",
				func(ctx context.Context, e *bot.Event[slackevents.AppHomeOpenedEvent]) error {
					return failAs(ctx, e.Request, way)
				}, bot.OptionalScopes("files:write"), bot.Scopes("chat:write")))
			s.forget(t, "files:write")
			if err := s.sim.OpenHome(ctx, slacksim.AcmeMember, "home"); err != nil {
				t.Fatal(err)
			}
			wait(t, s.sim, "words in the Home tab", func() bool {
				calls := s.sim.Calls("views.publish")
				return len(calls) == 1 && strings.Contains(calls[0].Arg("view"), want)
			})
			s.hurry(t, func() bool { n, err := s.inbox.Count(ctx); return err == nil && n.Ready+n.Held+n.Waiting == 0 })
			if n := len(s.told(s.sim.DM(slacksim.AcmeMember), slacksim.AcmeMember)); n != 0 {
				t.Errorf("%d direct messages besides", n)
			}
		})
	}
}

// A button of the Home tab or of a modal whose permission is missing, or whose durable work fails, opens a window.
func TestFailuresBehindButtons(t *testing.T) {
	t.Parallel()
	for way, want := range map[string]string{
		"error": "Something went wrong", "panic": "Something went wrong", "refusal": "There is no such customer.",
		"missing": "doesn't have permission to", "by-slack": "Something went wrong",
	} {
		for _, id := range []string{"now", "later"} {
			t.Run(way+" "+id, func(t *testing.T) {
				t.Parallel()
				s := play(t,
					bot.OnAction("now", func(ctx context.Context, a *bot.Action) error { return failAs(ctx, a.Request, way) },
						bot.OptionalScopes("files:write"), bot.Scopes("chat:write")),
					bot.OnActionAsync("later", func(ctx context.Context, a *bot.AsyncAction) error {
						return failAs(ctx, a.Request, way)
					}, bot.Scopes("chat:write")))
				s.forget(t, "files:write")
				if _, err := s.sim.PressHome(ctx, slacksim.AcmeMember, s.homeButton(t, id)); err != nil {
					t.Fatal(err)
				}

				opened := func() bool {
					views := s.sim.OpenViews(slacksim.AcmeMember)
					return len(views) == 1 && strings.Contains(string(views[0].Blocks), want)
				}
				told := func() bool { return said(s.sim, s.sim.DM(slacksim.AcmeMember), want) == 1 }
				if !s.hurry(t, func() bool { return opened() || told() }) {
					t.Fatal("nothing is said")
				}
				if tries := way == "error" || way == "panic"; told() && !(tries && id == "later") {
					t.Error("a direct message, and no window")
				}
			})
		}
	}
}

// What goes wrong with a modal that was closed is told in a direct message, and what goes well to nobody.
func TestFailuresOfAClosedModal(t *testing.T) {
	t.Parallel()
	for way, want := range map[string]string{"well": "", "error": "Something went wrong", "panic": "Something went wrong",
		"refusal": "There is no such customer."} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{}, 1)
			s := play(t,
				bot.OnCommand("/form", func(ctx context.Context, c *bot.Command) error {
					view := modal("Sure?")
					view.CallbackID, view.NotifyOnClose = "form", true
					_, err := c.OpenModal(ctx, view)
					return err
				}, bot.Scopes("chat:write"), bot.Describe("opens a form", "")),
				bot.OnViewClosed("form", func(ctx context.Context, v *bot.ViewClosed) error {
					closed <- struct{}{}
					if way == "well" {
						return nil
					}
					return failAs(ctx, v.Request, way)
				}, bot.Scopes("chat:write")))
			if _, err := s.sim.CloseView(ctx, slacksim.AcmeMember, openForm(t, s), false); err != nil {
				t.Fatal(err)
			}
			receive(t, closed, "the handler")
			dm := s.sim.DM(slacksim.AcmeMember)
			if want != "" {
				wait(t, s.sim, "a direct message", func() bool { return said(s.sim, dm, want) == 1 })
			}
			s.settle(t)
			if n := len(s.told(dm, slacksim.AcmeMember)); n != min(1, len(want)) {
				t.Errorf("%d direct messages", n)
			}
		})
	}
}
