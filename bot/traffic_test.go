package bot_test

// What Slack sends reaches its handler, whatever else is in it, and the handler knows where it was said.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// tomorrows are blocks with what slack-go doesn't know.
const tomorrows = `[{"type":"actions","elements":[{"type":"element_of_tomorrow","action_id":"x"}]},{"type":"section","text":{"type":"mrkdwn","text":"known"}}]`

// app acts as the bot, past the library.
func (s scene) app(t *testing.T) *slack.Client {
	t.Helper()
	c, err := s.db.Lookup(ctx, s.row(t).Key)
	if err != nil {
		t.Fatal(err)
	}
	return slack.New(c.Token.Reveal(), slack.OptionAPIURL(s.sim.URL()+"/api/"))
}

// button posts a message with a button into #general, in a thread if there is one.
func (s scene) button(t *testing.T, actionID, thread string) (ts string) {
	t.Helper()
	go1 := slack.NewButtonBlockElement(actionID, "1", slack.NewTextBlockObject(slack.PlainTextType, "Go", false, false))
	_, ts, err := s.app(t).PostMessage(slacksim.AcmeGeneral, slack.MsgOptionText("Shall I?", false),
		slack.MsgOptionTS(thread), slack.MsgOptionBlocks(slack.NewActionBlock("", go1)))
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// emit sends an event of Acme.
func (s scene) emit(t *testing.T, name string, inner map[string]any) {
	t.Helper()
	if _, err := s.sim.Sender.Emit(ctx, slacksim.Event{Name: name, TeamID: slacksim.Acme, Inner: inner}); err != nil {
		t.Fatal(err)
	}
}

// interact sends a signed interaction.
func (s scene) interact(t *testing.T, k connection.Key, rest string) {
	t.Helper()
	payload := fmt.Sprintf(`{"api_app_id":%q,"team":{"id":%q},"user":{"id":%q,"team_id":%[2]q},%[4]s}`, k.AppID, k.TeamID,
		slacksim.AcmeMember, rest)
	if ack := s.sim.Sender.Deliver(ctx, slacksim.Raw{Kind: "interaction",
		Body: []byte(url.Values{"payload": {payload}}.Encode())}); ack.Status != 200 {
		t.Errorf("acknowledged with %d", ack.Status)
	}
}

// An element of Block Kit that this release doesn't know costs no handler its message, its press or its form, at once
// or slowly.
func TestUnknownElementsReachTheirHandlers(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 9)
	press := func(req *bot.Request, a *slack.InteractionCallback) error {
		blocks := append(a.Message.Blocks.BlockSet, a.View.Blocks.BlockSet...)
		heard <- fmt.Sprintf("%s by %s in %s, %d blocks", a.Type, req.UserID, req.ChannelID, len(blocks))
		return nil
	}
	s := play(t,
		bot.OnMessage(`.*`, func(_ context.Context, t *bot.Message) error {
			heard <- fmt.Sprintf("%s by %s, %d blocks", t.Payload.Text, t.UserID, len(t.Payload.Blocks.BlockSet))
			return nil
		}, bot.Scopes("im:history")),
		bot.OnAction("go", func(_ context.Context, t *bot.Action) error { return press(t.Request, t.Payload) },
			bot.Scopes("chat:write")),
		bot.OnActionAsync("later", func(_ context.Context, t *bot.AsyncAction) error {
			return press(t.Request, t.Payload)
		}, bot.Scopes("chat:write")),
		bot.OnViewSubmission("form", func(_ context.Context, t *bot.Submission) error {
			return press(t.Request, t.Payload)
		}, bot.Scopes("chat:write")))
	k := s.row(t).Key
	want := func(text string) {
		t.Helper()
		if got := receive(t, heard, text); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}

	s.emit(t, "message.im", map[string]any{"type": "message", "channel": s.sim.DM(slacksim.AcmeMember),
		"channel_type": "im", "user": slacksim.AcmeMember, "ts": "1.1", "text": "help", "blocks": json.RawMessage(tomorrows)})
	want("help by " + slacksim.AcmeMember + ", 2 blocks")
	for _, id := range []string{"go", "later"} {
		s.interact(t, k,
			fmt.Sprintf(
				`"type":"block_actions","channel":{"id":"C1"},"message":{"text":"x","blocks":%s},"actions":[{"type":"button","action_id":%q,"block_id":"b"}]`, tomorrows, id))
		want("block_actions by " + slacksim.AcmeMember + " in C1, 2 blocks")
	}
	s.interact(t, k,
		fmt.Sprintf(`"type":"view_submission","view":{"id":"V1","type":"modal","callback_id":"form","blocks":%s,"hash":7}`,
			tomorrows))
	want("view_submission by " + slacksim.AcmeMember + " in , 2 blocks")
}

// An event says in a place of its own who acted and where, and the Request knows all the same.
func TestWhereAnEventHappened(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ event, user, channel, thread string }{
		{`{"type":"message","user":"U1","channel":"C1","thread_ts":"1.1"}`, "U1", "C1", "1.1"},
		{`{"type":"reaction_added","user":"U1","item_user":"U2","item":{"type":"message","channel":"C1","ts":"1.1"}}`, "U1",
			"C1", ""},
		{`{"type":"reaction_removed","user":"U1","item":{"type":"file","file":"F1"}}`, "U1", "", ""},
		{`{"type":"star_added","user":"U1","item":{"type":"message","channel":"C1","message":{"ts":"1.1"}}}`, "U1", "C1", ""},
		{`{"type":"pin_added","user":"U1","channel_id":"C1","item":{"type":"message","channel":"C1"}}`, "U1", "C1", ""},
		{`{"type":"file_shared","file_id":"F1","user_id":"U1","channel_id":"C1","file":{"id":"F1"}}`, "U1", "C1", ""},
		{
			`{"type":"assistant_thread_started","assistant_thread":{"user_id":"U1","channel_id":"D1","thread_ts":"1.1","context":{"channel_id":"C9"}}}`, "U1", "D1", "1.1"},
		{`{"type":"channel_created","channel":{"id":"C1","name":"new","creator":"U1"}}`, "", "C1", ""},
		{`{"type":"channel_deleted","channel":"C1","actor_id":"U1"}`, "U1", "C1", ""},
		{`{"type":"user_change","user":{"id":"U1","name":"ann"}}`, "U1", "", ""},
		{`{"type":"message_metadata_posted","channel_id":"C1","user_id":"U1","message_ts":"1.1"}`, "U1", "C1", ""},
		{`{"type":"agent_session_stopped","channel":"D1","thread_ts":"1.1","user":"U1"}`, "U1", "D1", "1.1"},
		{`{"type":"message","subtype":"message_changed","channel":"C1","message":{"user":"U1","thread_ts":"1.1"}}`, "", "C1",
			"1.1"},
		{`{"type":"message","subtype":"message_deleted","channel":"C1","previous_message":{"thread_ts":"1.1"}}`, "", "C1",
			"1.1"},
		{`{"type":"link_shared","channel":"COMPOSER","user":"U1"}`, "U1", "", ""},
		{`{"type":"any_of_tomorrow","container":{"channel_id":"C1","thread_ts":"1.1"},"user_id":"U1"}`, "U1", "C1", "1.1"},
		{`{"type":"odd","user":7,"channel":["C1"],"item":"C1","assistant_thread":[],"message":"x"}`, "", "", ""},
	} {
		if user, channel, thread := bot.Where([]byte(test.event)); user != test.user || channel != test.channel ||
			thread != test.thread {
			t.Errorf("%s: %q in %q, thread %q", test.event, user, channel, thread)
		}
	}
}

// A reaction is answered where it was given; a handler needs nothing but Say.
func TestReactionIsAnswered(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnEvent("reaction_added",
		func(ctx context.Context, t *bot.Event[slackevents.ReactionAddedEvent]) error {
			_, err := t.Say(ctx, bot.Reply{Text: "thanks to " + t.UserID})
			return err
		}, bot.Scopes("reactions:read", "chat:write")))
	s.emit(t, "reaction_added", map[string]any{"type": "reaction_added", "user": slacksim.AcmeMember, "reaction": "tada",
		"item": map[string]any{"type": "message", "channel": slacksim.AcmeGeneral, "ts": "1.1"}})
	wait(t, s.sim, "the answer", func() bool {
		return said(s.sim, slacksim.AcmeGeneral, "thanks to "+slacksim.AcmeMember) == 1
	})
}

// A press of a button in a thread is answered there, however the handler answers. Beside a thread it is answered in the
// channel.
func TestPressInAThreadIsAnsweredThere(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnAction("go", func(ctx context.Context, t *bot.Action) error {
		_, err := t.Say(ctx, bot.Reply{Text: "said"})
		if err != nil {
			return err
		}
		return t.Respond(ctx, bot.Reply{Text: "replied"})
	}, bot.Scopes("chat:write")), bot.OnActionAsync("slow", func(ctx context.Context, t *bot.AsyncAction) error {
		for range 5 { // the last two are more than the response_url takes
			if err := t.Respond(ctx, bot.Reply{Text: "responded"}); err != nil {
				return err
			}
		}
		return t.Respond(ctx, bot.Reply{Text: "whispered"})
	}, bot.Scopes("chat:write")))
	top, err := s.sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "where to?")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		action, thread string
		texts          []string
	}{{"go", top, []string{"said", "replied"}}, {"slow", top, []string{"responded", "whispered"}},
		{"go", "", []string{"said", "replied"}}} {
		if _, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, s.button(t, test.action, test.thread),
			test.action); err != nil {
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

// The simulator says where a press was, as Slack does: of a message that only one person sees nothing else does.
func TestSimulatorNamesTheThread(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnAction("go", func(context.Context, *bot.Action) error {
		return nil
	}, bot.Scopes("chat:write")))
	top, err := s.sim.Say(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "where to?")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.sim.Press(ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, s.button(t, "go", top), "go"); err != nil {
		t.Fatal(err)
	}
	all := s.sim.Deliveries()
	form, _ := url.ParseQuery(string(all[len(all)-1].Body))
	var p struct {
		Container struct {
			ThreadTS string `json:"thread_ts"`
		} `json:"container"`
	}
	if err := json.Unmarshal([]byte(form.Get("payload")), &p); err != nil || p.Container.ThreadTS != top {
		t.Errorf("container.thread_ts is %q (%v), want %q", p.Container.ThreadTS, err, top)
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

// What the app did itself is no event for it, by whichever of its ids Slack names it. What other bots and workflows do
// is one, and what they write is heard by who asks for it.
func TestOtherBotsAndOurselves(t *testing.T) {
	t.Parallel()
	reacts := "tada by U0THEIRBOT/"
	if heard, answers := heardOfBots(t); !slices.Equal(heard, []string{reacts}) || answers != 0 {
		t.Errorf("who doesn't ask for it hears %q, and answers %d", heard, answers)
	}

	want := []string{"a workflow's mention by /B0WORKFLOW", "a workflow's message by /B0WORKFLOW", reacts,
		"their mention by U0THEIRBOT/B0THEIRS", "their message by U0THEIRBOT/B0THEIRS"}
	if heard, answers := heardOfBots(t, bot.Bots()); !slices.Equal(heard, want) || answers != 2 {
		t.Errorf("heard %q, want %q; %d answers", heard, want, answers)
	}
}

// heardOfBots is what handlers hear of what bots and workflows write and do, with options for those of what is written,
// and how often they answer.
func heardOfBots(t *testing.T, options ...bot.Option) (got []string, answers int) {
	t.Helper()
	heard := make(chan string, 20)
	note := func(req *bot.Request, what string) { heard <- what + " by " + req.UserID + "/" + req.BotID }
	s := play(t,
		bot.OnMessage(`.*`, func(_ context.Context, t *bot.Message) error {
			note(t.Request, t.Payload.Text)
			return nil
		}, append(options, bot.Scopes("channels:history"))...),
		bot.OnMention("", func(ctx context.Context, t *bot.Message) error {
			note(t.Request, t.Payload.Text)
			_, err := t.Say(ctx, bot.Reply{Text: "answered"})
			return err
		}, options...),
		bot.OnEvent("reaction_added", func(_ context.Context, t *bot.Event[slackevents.ReactionAddedEvent]) error {
			note(t.Request, t.Payload.Reaction)
			return nil
		}, bot.Scopes("reactions:read")))
	at, _ := s.sim.Installed(slacksim.Acme)
	const general = slacksim.AcmeGeneral
	reacted := func(user, what string) map[string]any {
		return map[string]any{"type": "reaction_added", "user": user, "reaction": what,
			"item": map[string]any{"type": "message", "channel": general, "ts": "1.1"}}
	}
	for name, events := range map[string][]map[string]any{
		"message.channels": {
			{"type": "message", "channel": general, "channel_type": "channel", "ts": "1.1", "text": "their message",
				"user": "U0THEIRBOT", "bot_id": "B0THEIRS", "app_id": "A0THEIRS"},
			{"type": "message", "subtype": "bot_message", "channel": general, "channel_type": "channel", "ts": "1.1",
				"text": "a workflow's message", "bot_id": "B0WORKFLOW"},
			{"type": "message", "channel": general, "channel_type": "channel", "ts": "1.1", "text": "our message",
				"user": at.BotUserID, "bot_id": at.BotID},
		},
		"app_mention": {
			{"type": "app_mention", "channel": general, "ts": "1.1", "text": "their mention", "user": "U0THEIRBOT",
				"bot_id": "B0THEIRS", "app_id": "A0THEIRS"},
			{"type": "app_mention", "subtype": "bot_message", "channel": general, "ts": "1.1", "text": "a workflow's mention",
				"bot_id": "B0WORKFLOW"},
			{"type": "app_mention", "channel": general, "ts": "1.1", "text": "our mention", "user": "U0OURS",
				"bot_id": "B0OTHER", "app_id": s.row(t).AppID},
			{"type": "app_mention", "channel": general, "ts": "1.1", "text": "our mention, too", "bot_id": "B0OTHER",
				"bot_profile": map[string]any{"app_id": s.row(t).AppID}},
		},
		"reaction_added": {reacted("U0THEIRBOT", "tada"), reacted(at.BotUserID, "eyes")},
	} {
		for _, inner := range events {
			s.emit(t, name, inner)
		}
	}
	s.finish()
	close(heard)
	for h := range heard {
		got = append(got, h)
	}
	slices.Sort(got)
	return got, said(s.sim, general, "answered")
}

// A second attempt looks for what the first one posted in the fifteen messages that every app is shown. Slack lets some
// apps look once a minute: a handler does not wait for that.
func TestSayDoesNotWaitForALook(t *testing.T) {
	t.Parallel()
	s := play(t, bot.OnMention("", func(ctx context.Context, t *bot.Message) error {
		_, err := t.Say(ctx, bot.Reply{Text: "hello"})
		return err
	}, bot.Scopes("channels:history")))
	s.sim.Inject(slacksim.Fault{Method: "chat.postMessage", DropAnswer: true, Times: 1})
	s.sim.Inject(slacksim.Fault{Method: "conversations.history", RetryAfter: 60})
	in, _ := s.sim.Installed(slacksim.Acme)
	say(t, s.sim, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> go")
	if !s.hurry(t, func() bool { return said(s.sim, slacksim.AcmeGeneral, "hello") == 2 }) {
		t.Fatal("it was not said again")
	}
	looks := s.sim.Calls("conversations.history")
	if len(looks) != 1 || looks[0].Arg("limit") != "15" {
		t.Errorf("looks: %+v", looks)
	}
}

// {"ok":false} without a word is no answer: what was to be said is said at the next attempt. What Slack refuses for
// good is not tried again, and somebody who waits is told.
func TestWhatSlackRefuses(t *testing.T) {
	t.Parallel()
	slow := bot.OnCommandAsync("/post", func(ctx context.Context, t *bot.AsyncCommand) error {
		_, _, err := t.Client.PostMessageContext(ctx, "C0GONE", slack.MsgOptionText("hi", false))
		return err
	}, bot.Scopes("chat:write"), bot.Describe("posts", ""))
	s := play(t, echo, slow)
	dm := s.sim.DM(slacksim.AcmeMember)
	for _, test := range []struct {
		fault   slacksim.Fault
		waiting int
	}{
		{slacksim.Fault{Method: "chat.postMessage", Error: "is_archived", Times: 1}, 0},
		{slacksim.Fault{Method: "chat.postMessage", Body: `{"ok":false}`, Times: 1}, 1},
	} {
		s.sim.Inject(test.fault)
		calls := len(s.sim.Calls("chat.postMessage"))
		say(t, s.sim, slacksim.AcmeMember, dm, "say hi")
		wait(t, s.sim, "the call", func() bool {
			c := s.sim.Calls("chat.postMessage")
			return len(c) > calls && c[calls].Done
		})
		until(t, "its end", func() bool {
			n, err := s.inbox.Count(ctx)
			return err == nil && n.Ready+n.Held == 0 && n.Waiting == test.waiting
		})
	}
	wait(t, s.sim, "the next attempt", func() bool { return said(s.sim, dm, "message: hi") == 1 })

	command(t, s, slacksim.AcmeMember, "/post")
	wait(t, s.sim, "a word for who waits", func() bool {
		c := s.sim.Calls("response_url")
		return len(c) == 1 && strings.Contains(c[0].Arg("text"), "Reference: ")
	})
	until(t, "the end", func() bool {
		n, err := s.inbox.Count(ctx)
		return err == nil && n.Ready+n.Held+n.Waiting+n.Dead == 0
	})
}
