package bot_test

// What Slack sends reaches its handler, whatever else is in it, and the handler knows where it was said.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"switchboard/bot"
	"switchboard/install"
	"switchboard/slacksim"
)

// tomorrows are blocks with what slack-go doesn't know.
const tomorrows = `[{"type":"actions","elements":[{"type":"element_of_tomorrow","action_id":"x"}]},{"type":"section","text":{"type":"mrkdwn","text":"known"}}]`

// app acts as the bot, past the library.
func (s scene) app(t *testing.T) *slack.Client {
	t.Helper()
	c, err := s.db.Find(ctx, s.row(t).Key)
	if err != nil {
		t.Fatal(err)
	}
	return slack.New(c.Token.Reveal(), slack.OptionAPIURL(s.sim.URL()+"/api/"))
}

// button posts a message with a button into #general, in a thread if there is one.
func (s scene) button(t *testing.T, actionID, thread string) (ts string) {
	t.Helper()
	go1 := slack.NewButtonBlockElement(actionID, "1", slack.NewTextBlockObject(slack.PlainTextType, "Go", false, false))
	_, ts, err := s.app(t).PostMessage(slacksim.AcmeGeneral, slack.MsgOptionText("Shall I?", false), slack.MsgOptionTS(thread), slack.MsgOptionBlocks(slack.NewActionBlock("", go1)))
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// emit sends an event of Acme.
func (s scene) emit(t *testing.T, name string, inner map[string]any) {
	t.Helper()
	if _, err := s.sim.Emit(ctx, slacksim.Event{Name: name, TeamID: slacksim.Acme, Inner: inner}); err != nil {
		t.Fatal(err)
	}
}

// interact sends a signed interaction.
func (s scene) interact(t *testing.T, k install.Key, rest string) {
	t.Helper()
	payload := fmt.Sprintf(`{"api_app_id":%q,"team":{"id":%q},"user":{"id":%q,"team_id":%[2]q},%[4]s}`, k.AppID, k.TeamID, slacksim.AcmeMember, rest)
	if ack := s.sim.Deliver(ctx, slacksim.Raw{Kind: "interaction", Body: []byte(url.Values{"payload": {payload}}.Encode())}); ack.Status != 200 {
		t.Errorf("acknowledged with %d", ack.Status)
	}
}

// An element of Block Kit that this release doesn't know costs no handler its message, its press or its form, at once or slowly.
func TestUnknownElementsReachTheirHandlers(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 9)
	press := func(_ context.Context, t *bot.Turn, a *slack.InteractionCallback) (bot.Reply, error) {
		blocks := append(a.Message.Blocks.BlockSet, a.View.Blocks.BlockSet...)
		heard <- fmt.Sprintf("%s by %s in %s, %d blocks", a.Type, t.UserID, t.ChannelID, len(blocks))
		return bot.Reply{}, nil
	}
	s := play(t,
		bot.OnMessage(`.*`, func(_ context.Context, t *bot.Turn, m *slackevents.MessageEvent) (bot.Reply, error) {
			heard <- fmt.Sprintf("%s by %s, %d blocks", m.Text, t.UserID, len(m.Blocks.BlockSet))
			return bot.Reply{}, nil
		}, "im:history", "chat:write"),
		bot.OnAction("go", press, "chat:write"), bot.OnAction("later", press, "chat:write").Slow(), bot.OnView("form", press, "chat:write"))
	k := s.row(t).Key
	want := func(text string) {
		t.Helper()
		if got := <-heard; got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}

	s.emit(t, "message.im", map[string]any{"type": "message", "channel": s.sim.DM(slacksim.AcmeMember), "channel_type": "im", "user": slacksim.AcmeMember,
		"ts": "1.1", "text": "help", "blocks": json.RawMessage(tomorrows)})
	want("help by " + slacksim.AcmeMember + ", 2 blocks")
	for _, id := range []string{"go", "later"} {
		s.interact(t, k, fmt.Sprintf(`"type":"block_actions","channel":{"id":"C1"},"message":{"text":"x","blocks":%s},"actions":[{"type":"button","action_id":%q,"block_id":"b"}]`, tomorrows, id))
		want("block_actions by " + slacksim.AcmeMember + " in C1, 2 blocks")
	}
	s.interact(t, k, fmt.Sprintf(`"type":"view_submission","view":{"id":"V1","type":"modal","callback_id":"form","blocks":%s,"hash":7}`, tomorrows))
	want("view_submission by " + slacksim.AcmeMember + " in , 2 blocks")
}

// An event says in a place of its own who acted and where, and the Turn knows all the same.
func TestWhereAnEventHappened(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ event, user, channel, thread string }{
		{`{"type":"message","user":"U1","channel":"C1","thread_ts":"1.1"}`, "U1", "C1", "1.1"},
		{`{"type":"reaction_added","user":"U1","item_user":"U2","item":{"type":"message","channel":"C1","ts":"1.1"}}`, "U1", "C1", ""},
		{`{"type":"reaction_removed","user":"U1","item":{"type":"file","file":"F1"}}`, "U1", "", ""},
		{`{"type":"star_added","user":"U1","item":{"type":"message","channel":"C1","message":{"ts":"1.1"}}}`, "U1", "C1", ""},
		{`{"type":"pin_added","user":"U1","channel_id":"C1","item":{"type":"message","channel":"C1"}}`, "U1", "C1", ""},
		{`{"type":"file_shared","file_id":"F1","user_id":"U1","channel_id":"C1","file":{"id":"F1"}}`, "U1", "C1", ""},
		{`{"type":"assistant_thread_started","assistant_thread":{"user_id":"U1","channel_id":"D1","thread_ts":"1.1","context":{"channel_id":"C9"}}}`, "U1", "D1", "1.1"},
		{`{"type":"channel_created","channel":{"id":"C1","name":"new","creator":"U1"}}`, "", "C1", ""},
		{`{"type":"channel_deleted","channel":"C1","actor_id":"U1"}`, "U1", "C1", ""},
		{`{"type":"user_change","user":{"id":"U1","name":"ann"}}`, "U1", "", ""},
		{`{"type":"message_metadata_posted","channel_id":"C1","user_id":"U1","message_ts":"1.1"}`, "U1", "C1", ""},
		{`{"type":"agent_session_stopped","channel":"D1","thread_ts":"1.1","user":"U1"}`, "U1", "D1", "1.1"},
		{`{"type":"message","subtype":"message_changed","channel":"C1","message":{"user":"U1","thread_ts":"1.1"}}`, "", "C1", "1.1"},
		{`{"type":"message","subtype":"message_deleted","channel":"C1","previous_message":{"thread_ts":"1.1"}}`, "", "C1", "1.1"},
		{`{"type":"link_shared","channel":"COMPOSER","user":"U1"}`, "U1", "", ""},
		{`{"type":"any_of_tomorrow","container":{"channel_id":"C1","thread_ts":"1.1"},"user_id":"U1"}`, "U1", "C1", "1.1"},
		{`{"type":"odd","user":7,"channel":["C1"],"item":"C1","assistant_thread":[],"message":"x"}`, "", "", ""},
	} {
		if user, channel, thread := bot.Where([]byte(test.event)); user != test.user || channel != test.channel || thread != test.thread {
			t.Errorf("%s: %q in %q, thread %q", test.event, user, channel, thread)
		}
	}
}

// A reaction is answered where it was given; a handler needs nothing but Say.
func TestReactionIsAnswered(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnEvent("reaction_added", func(ctx context.Context, t *bot.Turn, _ *slackevents.ReactionAddedEvent) error {
		_, err := t.Say(ctx, bot.Reply{Text: "thanks to " + t.UserID})
		return err
	}, "reactions:read", "chat:write"))
	s.emit(t, "reaction_added", map[string]any{"type": "reaction_added", "user": slacksim.AcmeMember, "reaction": "tada", "item": map[string]any{"type": "message", "channel": slacksim.AcmeGeneral, "ts": "1.1"}})
	wait(t, s.sim, "the answer", func() bool { return said(s.sim, slacksim.AcmeGeneral, "thanks to "+slacksim.AcmeMember) == 1 })
}

// A press of a button in a thread is answered there, however the handler answers. Beside a thread it is answered in the channel.
func TestPressInAThreadIsAnsweredThere(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnAction("go", func(ctx context.Context, t *bot.Turn, _ *slack.InteractionCallback) (bot.Reply, error) {
		_, err := t.Say(ctx, bot.Reply{Text: "said"})
		return bot.Reply{Text: "replied"}, err
	}, "chat:write"), bot.OnAction("slow", func(ctx context.Context, t *bot.Turn, _ *slack.InteractionCallback) (bot.Reply, error) {
		for range 5 { // the last two are more than the response_url takes
			if err := t.Respond(ctx, bot.Reply{Text: "responded"}); err != nil {
				return bot.Reply{}, err
			}
		}
		return bot.Reply{Text: "whispered"}, nil
	}, "chat:write").Slow())
	top, err := s.sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "where to?")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		action, thread string
		texts          []string
	}{{"go", top, []string{"said", "replied"}}, {"slow", top, []string{"responded", "whispered"}}, {"go", "", []string{"said", "replied"}}} {
		if _, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, s.button(t, test.action, test.thread), test.action); err != nil {
			t.Fatal(err)
		}
		for _, text := range test.texts {
			wait(t, s.sim, text+" in "+test.thread, func() bool {
				for _, m := range s.sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember) {
					if m.Text == text && m.ThreadTS == test.thread {
						return true
					}
				}
				return false
			})
		}
	}
}

// The message that a thread is about stands in the channel.
func TestThreadOfAPress(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		`{"container":{"message_ts":"2.2","thread_ts":"1.1"},"message":{"ts":"2.2","thread_ts":"1.1"}}`: "1.1",
		`{"container":{"message_ts":"2.2","thread_ts":"1.1","is_ephemeral":true}}`:                      "1.1",
		`{"container":{"message_ts":"2.2"},"message":{"ts":"2.2","thread_ts":"1.1"}}`:                   "1.1",
		`{"container":{"message_ts":"1.1","thread_ts":"1.1"},"message":{"ts":"1.1","thread_ts":"1.1"}}`: "",
		`{"container":{"message_ts":"1.1"},"message":{"ts":"1.1"}}`:                                     "",
		`{"container":{"type":"view","view_id":"V1"}}`:                                                  "",
	} {
		if got := bot.ThreadOf([]byte(payload)); got != want {
			t.Errorf("%s: thread %q, want %q", payload, got, want)
		}
	}
}
