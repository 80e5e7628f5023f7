package bot_test

// Every shape of payload that Slack has for a kind of handler, and the one handler that each reaches.

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/slacksim"
)

// shapes are payloads by what is special about them, and the handler that each is for ("" for none). {n} tells one from
// the others: it is in the person's id, and in the event's.
// The fields are those of https://docs.slack.dev/reference/events and
// https://docs.slack.dev/reference/interaction-payloads.
var shapes = []struct{ raw, name, body, handler string }{
	{"event", "of a name", `{"type":"reaction_added",` + reacted, "event reaction_added"},
	{"event", "of a pattern's beginning", `{"type":"reaction_removed",` + reacted, "event reaction_*"},
	{"event", "of a pattern", `{"type":"pin_added","user":"{u}","channel_id":"C1","item":{"type":"message",` +
		`"channel":"C1",` +
		`"message":{"ts":"1.1","text":"x"}},"event_ts":"1.2"}`, "event ^(pin|star)_added$"},
	{"event", "of no handler", `{"type":"pin_removed","user":"{u}","channel_id":"C1","item":{"type":"message"}}`, ""},
	{"event", "a file by its ids", `{"type":"file_shared","file_id":"F1","user_id":"{u}","channel_id":"C1",` +
		`"file":{"id":"F1"},"event_ts":"1.2"}`, "event file_shared"},
	{"event", "a person as an object", `{"type":"team_join","user":{"id":"{u}","team_id":"T1","profile":{}},"cache_ts":1}`,
		"event team_join"},
	{"event", "a channel as an object", `{"type":"channel_created","channel":{"id":"C9","name":"new","created":1,` +
		`"creator":"{u}","context_team_id":"T1"}}`, "event channel_created"},
	{"event", "a channel as an object, another one",
		`{"type":"channel_rename","channel":{"id":"C9","name":"x","created":1}}`,
		"event channel_rename"},
	{"event", "somebody joins", `{"type":"member_joined_channel","user":"{u}","channel":"C1","channel_type":"C",` +
		`"team":"T1",` +
		`"inviter":"U9"}`, "event member_joined_channel"},
	{"event", "a message", `{"type":"message",` + written, "message ^say"},
	{"event", "in a thread", `{"type":"message","thread_ts":"1.0","parent_user_id":"U9",` + written, "message ^say"},
	{"event", "in a direct message", `{"type":"message","user":"{u}","channel":"D1","channel_type":"im","ts":"1.1",` +
		`"text":"say it","client_msg_id":"x"}`, "message ^say"},
	{"event", "with files", `{"type":"message","subtype":"file_share","files":[{"id":"F1","mode":"hosted"}],` +
		`"upload":false,` +
		written, "message ^say"},
	{"event", "also in the channel",
		`{"type":"message","subtype":"thread_broadcast","thread_ts":"1.0","root":{"ts":"1.0"},` +
			written, "message ^say"},
	{"event", "as /me", `{"type":"message","subtype":"me_message",` + written, "message ^say"},
	{"event", "changed", changed("say it", "say that"), "message ^say that"},
	{"event", "changed, in nothing that was written", changed("say that", "say that"), ""},
	{"event", "a reply was counted", `{"type":"message","subtype":"message_replied","hidden":true,"channel":"C1",` +
		`"channel_type":"channel","message":{"user":"{u}","text":"say it","thread_ts":"1.0","reply_count":1},"ts":"1.2"}`,
		""},
	{"event", "deleted", `{"type":"message","subtype":"message_deleted","hidden":true,"channel":"C1",` +
		`"channel_type":"channel",` +
		`"deleted_ts":"1.1","previous_message":{"user":"{u}","text":"say that","ts":"1.1"},"ts":"1.2"}`, "message ^say that"},
	{"event", "a deleted root with replies",
		`{"type":"message","subtype":"message_changed","hidden":true,"channel":"C1",` +
			`"channel_type":"channel","message":{"subtype":"tombstone","user":"USLACKBOT","text":"This message was deleted.",` +
			`"ts":"1.1"},"previous_message":{"user":"{u}","text":"say that","ts":"1.1"},"ts":"1.2"}`,
		"message ^say that"},
	{"event", "of a bot", `{"type":"message","subtype":"bot_message","bot_id":"B9","username":"x","text":"say beep",` +
		`"channel":"C1","channel_type":"channel","ts":"1.1"}`, "message ^say beep"},
	{"event", "of a bot, with a user", `{"type":"message","bot_id":"B9","app_id":"A9","user":"{u}","text":"say beep",` +
		`"channel":"C1","channel_type":"channel","ts":"1.1"}`, "message ^say beep"},
	{"event", "of a bot, for a handler of people", `{"type":"message","bot_id":"B9","user":"{u}","text":"say it",` +
		`"channel":"C1","channel_type":"channel","ts":"1.1"}`, ""},
	{"event", "a subtype by name", `{"type":"message","subtype":"channel_topic","topic":"x",` + written,
		"event message.channel_topic"},
	{"event", "a subtype of no handler", `{"type":"message","subtype":"channel_join","inviter":"U9",` + written, ""},

	{"event", "a mention", `{"type":"app_mention",` + asked, "mention ^ask"},
	{"event", "a mention in a thread", `{"type":"app_mention","thread_ts":"1.0",` + asked, "mention ^ask"},
	{"event", "a mention that was changed", `{"type":"app_mention","edited":{"user":"{u}","ts":"1.2"},` + asked, ""},
	{"event", "a workflow's mention", `{"type":"app_mention","subtype":"bot_message","bot_id":"B9","username":"x",` +
		`"text":"<@{bot}> ask it","channel":"C1","ts":"1.1","event_ts":"1.1"}`, ""},

	{"event", "a link", `{"type":"link_shared","user":"{u}","channel":"C1","message_ts":"1.1","thread_ts":"1.0",` +
		`"unfurl_id":"C1.1","source":"conversations_history","is_bot_user_member":false,` + linked, "link example.com"},
	{"event", "a link in the composer", `{"type":"link_shared","user":"{u}","channel":"COMPOSER","message_ts":"x-1",` +
		`"unfurl_id":"x-1","source":"composer","is_bot_user_member":true,` + linked, "link example.com"},
	{"event", "a step", `{"type":"function_executed","function":{"id":"Fn1","callback_id":"step","type":"app"},` +
		`"inputs":{},"function_execution_id":"Fx{n}","workflow_execution_id":"Wx1","bot_access_token":"xwfp-1"}`,
		"function step"},
	{"event", "another app's step", `{"type":"function_executed","function":{"id":"Fn1","callback_id":"other"},` +
		`"inputs":{},"function_execution_id":"Fx{n}","bot_access_token":"xwfp-1"}`, ""},
	{"event", "Home", `{"type":"app_home_opened","user":"{u}","channel":"D1","tab":"home","view":{"id":"V1",` +
		`"type":"home"}}`,
		"home"},
	{"event", "the messages tab", `{"type":"app_home_opened","user":"{u}","channel":"D1","tab":"messages"}`,
		"agent_opened"},
	{"event", "a message to the agent", `{"type":"message","user":"{u}","channel":"D1","channel_type":"im","ts":"1.1",` +
		`"text":"agent, do it","app_context":{"entities":[{"type":"slack#/types/channel_id","value":"C1"}]}}`,
		"agent_message ^agent"},
	{"event", "stop", `{"type":"agent_session_stopped","user":"{u}","channel":"D1","thread_ts":"1.0",` +
		`"streaming_message_ts":["1.1"],"event_ts":"1.2"}`, "agent_stopped"},
	{"event", "another title", `{"type":"agent_session_title_changed","user":"{u}","channel":"D1","thread_ts":"1.0",` +
		`"title":"x","previous_title":"y"}`, "agent_title"},
	{"event", "another context", `{"type":"app_context_changed","user":"{u}","channel":"D1","context":{}}`,
		"agent_context"},

	{"command", "a command", `command=%2Fdo&text=it`, "command /do"},
	{"command", "a subcommand", `command=%2Fdo&text=more+of+it`, "command /do more"},

	{"interaction", "in a message", pressIn("vote.up", "x", inMessage), "action vote.up"},
	{"interaction", "in a thread", pressIn("vote.up", "x", `"container":{"type":"message","message_ts":"1.1",`+
		`"channel_id":"C1","thread_ts":"1.0"},"channel":{"id":"C1","name":"ops"},"message":{"ts":"1.1","thread_ts":"1.0"}`),
		"action vote.up"},
	{"interaction", "in what one person sees", pressIn("vote.up", "x", `"container":{"type":"message","message_ts":"1.1",`+
		`"channel_id":"C1","is_ephemeral":true},"channel":{"id":"C1","name":"privategroup"}`), "action vote.up"},
	{"interaction", "in an attachment", pressIn("vote.up", "x",
		`"container":{"type":"message_attachment","message_ts":"1.1",`+
			`"attachment_id":1,"channel_id":"C1"},"channel":{"id":"C1","name":"ops"},"message":{"ts":"1.1"}`), "action vote.up"},
	{"interaction", "in what a link shows", pressIn("vote.up", "x", `"container":{"type":"message_attachment",`+
		`"message_ts":"1.1","attachment_id":1,"channel_id":"C1","is_app_unfurl":true,`+
		`"app_unfurl_url":"https://example.com/1"},`+
		`"channel":{"id":"C1","name":"ops"},"message":{"ts":"1.1","user":"U9"},"app_unfurl":{"blocks":[]}`),
		"action vote.up"},
	{"interaction", "in a modal", pressIn("vote.up", "x", `"container":{"type":"view","view_id":"V1"},`+
		`"view":{"id":"V1","type":"modal","callback_id":"form","state":{"values":{}}}`), "action vote.up"},
	{"interaction", "in Home", pressIn("vote.up", "x", `"container":{"type":"view","view_id":"V1"},`+
		`"view":{"id":"V1","type":"home","state":{"values":{}}}`), "action vote.up"},
	{"interaction", "of a step", pressIn("vote.up", "x", inMessage+`,"function_data":{"execution_id":"Fx1","function":`+
		`{"callback_id":"step"},"inputs":{}},"bot_access_token":"xwfp-1","interactivity":{"interactivity_pointer":"1.2.x",`+
		`"interactor":{"id":"{u}","secret":"x"}}`), "action vote.up"},
	{"interaction", "by its beginning", pressIn("vote.down", "x", inMessage), "action vote.*"},
	{"interaction", "by a pattern", pressIn("poll_7", "x", inMessage), `action ^poll_\d$`},
	{"interaction", "by its block", pressIn("vote.up", "row", inMessage), "action vote.up in row"},
	{"interaction", "of no handler", pressIn("link", "x", inMessage), ""},
	{"interaction", "feedback", strings.Replace(pressIn("agent_feedback", "x", inMessage), `"button"`,
		`"feedback_buttons"`, 1), "action agent_feedback"},
	{"interaction", "options in a message", `{"type":"block_suggestion",` + someone + `,` + inMessage +
		`,"block_id":"b","action_id":"menu","value":"a"}`, "options menu"},
	{"interaction", "options in a modal", `{"type":"block_suggestion",` + someone + `,"container":{"type":"view",` +
		`"view_id":"V1"},"view":{"id":"V1","type":"modal"},"block_id":"b","action_id":"menu","value":""}`, "options menu"},
	{"interaction", "a form", `{"type":"view_submission",` + someone + `,"view":{"id":"V1","type":"modal",` +
		`"callback_id":"form","state":{"values":{"due":{"d":{"type":"datepicker","selected_date":null}}}}}}`, "view form"},
	{"interaction", "a form by its beginning", `{"type":"view_submission",` + someone +
		`,"view":{"id":"V1","type":"modal",` +
		`"callback_id":"order.new","state":{"values":{}}}}`, "view order.*"},
	{"interaction", "a closed form", `{"type":"view_closed",` + someone + `,"is_cleared":true,"view":{"id":"V1",` +
		`"type":"modal","callback_id":"form"}}`, "view_closed form"},
	{"interaction", "a shortcut", `{"type":"shortcut",` + someone + `,"callback_id":"cut","action_ts":"1.1"}`,
		"shortcut cut"},
	{"interaction", "a message's shortcut", `{"type":"message_action",` + someone + `,"callback_id":"cut",` +
		`"action_ts":"1.1","message_ts":"1.1","channel":{"id":"C1","name":"ops"},"message":{"type":"message","ts":"1.1",` +
		`"bot_id":"B9"},"response_url":"{url}"}`, "message_shortcut cut"},
}

const (
	reacted = `"user":"{u}","reaction":"eyes","item":{"type":"message","channel":"C1","ts":"1.1"},"event_ts":"1.2"}`
	written = `"user":"{u}","channel":"C1","channel_type":"channel","ts":"1.1","text":"say it","event_ts":"1.1"}`
	asked   = `"user":"{u}","channel":"C1","ts":"1.1","text":"<@{bot}> ask it","event_ts":"1.1"}`
	linked  = `"links":[{"domain":"example.com","url":"https://www.example.com/1"}],"event_ts":"1.2"}`
	someone = `"api_app_id":"A0PARROT01","token":"legacy","team":{"id":"{team}","domain":"acme"},"enterprise":null,` +
		`"user":{"id":"{u}","username":"x","name":"x","team_id":"{team}"},"trigger_id":"t{n}"`
	inMessage = `"container":{"type":"message","message_ts":"1.1","channel_id":"C1","is_ephemeral":false},` +
		`"channel":{"id":"C1","name":"ops"},"message":{"type":"message","ts":"1.1","blocks":[]},"response_url":"{url}"`
)

func changed(was, is string) string {
	return `{"type":"message","subtype":"message_changed","hidden":true,"channel":"C1","channel_type":"channel",` +
		`"ts":"1.2",` +
		`"previous_message":{"user":"{u}","text":"` + was + `","ts":"1.1"},"message":{"user":"{u}","text":"` + is +
		`","ts":"1.1","edited":{"user":"{u}","ts":"1.2"}}}`
}

func pressIn(action, block, where string) string {
	return `{"type":"block_actions",` + someone + `,"actions":[{"type":"button","action_id":"` + action +
		`","block_id":"` +
		block + `","value":"v","action_ts":"1.3"}],` + where + `}`
}

// Each payload reaches its handler and no other, once, over HTTP and through a socket.
func TestEveryPayloadReachesItsHandler(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, play func(...bot.Handler) scene) {
		var mu sync.Mutex
		ran := map[string]int{} // by payload and handler
		note := func(_ context.Context, r *bot.Request) error {
			id := r.UserID
			if n, ok := strings.CutPrefix(r.EventID, "Ev"); ok {
				id = "U0" + n
			}
			if !strings.HasSuffix(id, "Z") { // what the small Slack sends by itself: the bot was invited
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			ran[id+" "+r.Handler()]++
			return nil
		}
		s := play(handlersOfShapes(note)...)

		want := map[string]int{}
		var all sync.WaitGroup
		for i, shape := range shapes {
			n := fmt.Sprintf("%03dZ", i)
			if shape.handler != "" {
				want["U0"+n+" "+shape.handler] = 1
			}
			body := strings.NewReplacer("{u}", "U0"+n, "{n}", n, "{team}", slacksim.Acme, "{bot}", s.row(t).BotUserID, "{url}",
				s.sim.URL()+"/hooks/response/T1/1/"+n).Replace(shape.body)
			switch shape.raw {
			case "event":
				body = fmt.Sprintf(`{"type":"event_callback","event_id":"Ev%s","event_time":1790000003,"team_id":%q,`+
					`"api_app_id":"A0PARROT01","authorizations":[{"team_id":%[2]q,"user_id":"U0PARROT","is_bot":true}],"event":%s}`,
					n, slacksim.Acme, body)
			case "interaction":
				body = url.Values{"payload": {body}}.Encode()
			case "command":
				body += "&api_app_id=A0PARROT01&team_id=" + slacksim.Acme + "&user_id=U0" + n + "&channel_id=C1&trigger_id=t"
			}
			all.Go(func() {
				ack := s.sim.Sender.Deliver(ctx, slacksim.Raw{Kind: shape.raw, Body: []byte(body)})
				if ack.Status != http.StatusOK || ack.Err != "" {
					t.Errorf("%s: acknowledged with %d %s", shape.name, ack.Status, ack.Err)
				}
			})
		}
		all.Wait()
		s.settle(t)
		s.finish()

		mu.Lock()
		defer mu.Unlock()
		for _, id := range slices.Sorted(maps.Keys(ran)) {
			if ran[id] != want[id] {
				t.Errorf("%s ran %d times, want %d: %s", id, ran[id], want[id], shapeOf(id))
			}
		}
		for _, id := range slices.Sorted(maps.Keys(want)) {
			if ran[id] == 0 {
				t.Errorf("%s did not run: %s", id, shapeOf(id))
			}
		}
	})
}

// shapeOf says which payload an id is of.
func shapeOf(id string) string {
	var i int
	if _, err := fmt.Sscanf(id, "U0%03dZ", &i); err != nil {
		return err.Error()
	}
	return shapes[i].raw + " " + shapes[i].name
}

// handlersOfShapes are handlers of every kind, each of which notes its request.
func handlersOfShapes(note bot.Next) []bot.Handler {
	event := func(name, scope string, options ...bot.Option) bot.Handler {
		return bot.OnEvent(name, func(ctx context.Context, e *bot.Event[json.RawMessage]) error {
			return note(ctx, e.Request)
		}, append(options, bot.Scopes(scope))...)
	}
	message := func(pattern string, options ...bot.Option) bot.Handler {
		return bot.OnMessage(pattern, func(ctx context.Context, m *bot.Message) error { return note(ctx, m.Request) },
			append(options, bot.Scopes("channels:history", "im:history"))...)
	}
	action := func(id string, options ...bot.Option) bot.Handler {
		return bot.OnAction(id, func(ctx context.Context, a *bot.Action) error { return note(ctx, a.Request) }, options...)
	}
	command := func(name string) bot.Handler {
		return bot.OnCommand(name, func(ctx context.Context, c *bot.Command) error { return note(ctx, c.Request) },
			bot.Describe("does it", ""))
	}
	form := func(id string) bot.Handler {
		return bot.OnViewSubmission(id, func(ctx context.Context, f *bot.Submission) error { return note(ctx, f.Request) })
	}
	thread := func(ctx context.Context, a *bot.Thread) error { return note(ctx, a.Request) }
	cut := func(ctx context.Context, c *bot.Shortcut) error { return note(ctx, c.Request) }
	titled := bot.Titled("Do it", "Does it.")

	return []bot.Handler{
		event("reaction_added", "reactions:read"), event("reaction_*", "reactions:read"),
		event("^(pin|star)_added$", "pins:read"), event("file_shared", "files:read"), event("team_join", "users:read"),
		event("channel_created", "channels:read"), event("channel_rename", "channels:read"),
		event("member_joined_channel", "channels:read"), event("message.channel_topic", "channels:history"),

		message("^say that", bot.Edits(), bot.Deletions()), message("^say beep", bot.Bots()), message("^say"),
		bot.OnMention("^ask", func(ctx context.Context, m *bot.Message) error { return note(ctx, m.Request) }),
		bot.OnLink("example.com", func(ctx context.Context, l *bot.Link) error { return note(ctx, l.Request) }),
		bot.OnFunction("step", func(ctx context.Context, f *bot.Function[struct{}]) error { return note(ctx, f.Request) },
			titled),
		bot.OnHomeOpened(func(ctx context.Context, h *bot.Home) error { return note(ctx, h.Request) }),
		bot.OnAgentOpened(thread), bot.OnAgentMessage("^agent", thread), bot.OnAgentStopped(thread),
		bot.OnAgentTitle(thread), bot.OnAgentContext(thread),

		command("/do"), command("/do more"), action("vote.up"), action("vote.*"), action(`^poll_\d$`),
		action("vote.up", bot.InBlock("row")),
		bot.OnFeedback(func(ctx context.Context, f *bot.Feedback) error { return note(ctx, f.Request) }),
		bot.OnOptions("menu", func(ctx context.Context, o *bot.Options) error { return note(ctx, o.Request) }),
		form("form"), form("order.*"),
		bot.OnViewClosed("form", func(ctx context.Context, v *bot.ViewClosed) error { return note(ctx, v.Request) }),
		bot.OnShortcut("cut", cut, titled), bot.OnMessageShortcut("cut", cut, titled),
	}
}
