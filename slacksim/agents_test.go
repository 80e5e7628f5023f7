package slacksim_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// asAgent declares the app an agent that hears of everything.
func asAgent(c *slacksim.Config) {
	c.App.Agent = &slacksim.AgentView{Description: "Answers questions", Prompts: []slacksim.Prompt{
		{Title: "Say hello", Message: "Hello & welcome!"}}}
	c.App.Events = append(c.App.Events, "app_context_changed", "agent_session_stopped", "agent_session_title_changed")
}

// status sets what the agent is in the thread.
func (s *stage) status(status string, args ...string) answer {
	s.T.Helper()
	return s.Call("agents.sessions.setStatus", s.token,
		append([]string{"channel_id", s.dm, "thread_ts", s.root, "status", status}, args...)...)
}

// session is what is said of the thread.
func (s *stage) session() slacksim.Session {
	x, _ := s.Sim.Agents.Session(s.dm, s.root)
	return x
}

func TestAgentViewLimits(t *testing.T) {
	good := slacksim.Prompt{Title: "t", Message: "m"}
	for name, x := range map[string]struct {
		view slacksim.AgentView
		fine bool
	}{
		"at the limits": {slacksim.AgentView{Description: strings.Repeat("ä", 300),
			Prompts: []slacksim.Prompt{good, good, good, good}, Actions: []slacksim.AgentAction{{"n", "d"}}}, true},
		"no description":     {slacksim.AgentView{}, false},
		"a long description": {slacksim.AgentView{Description: strings.Repeat("x", 301)}, false},
		"five prompts": {slacksim.AgentView{Description: "d", Prompts: []slacksim.Prompt{good, good, good, good, good}},
			false},
		"an empty prompt": {slacksim.AgentView{Description: "d", Prompts: []slacksim.Prompt{{Title: "t"}}}, false},
		"an empty action": {slacksim.AgentView{Description: "d", Actions: []slacksim.AgentAction{{Name: "n"}}}, false},
	} {
		s := slacksim.New(slacksim.Config{App: slacksim.App{Agent: &x.view}})
		if err := s.Start("127.0.0.1:0"); (err == nil) != x.fine {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestPersonTalksToAgent(t *testing.T) {
	s := newStage(t, asAgent)
	agents, me := s.Sim.Agents, slacksim.AcmeAdmin
	if err := agents.Open(s.Ctx, me); err != nil {
		t.Fatal(err)
	}
	s.Settled()
	if e := answer(s.Bot.Last(t).Event); e["type"] != "app_home_opened" || e["tab"] != "messages" ||
		e["channel"] != s.dm || !reflect.DeepEqual(e["context"], map[string]any{}) {
		t.Errorf("opened: %v", e)
	}

	err := agents.ChangeContext(s.Ctx, me, slacksim.Entity{Type: slacksim.EntityChannel, Value: slacksim.AcmeGeneral,
		TeamID: slacksim.Acme})
	if err != nil {
		t.Fatal(err)
	}
	s.Settled()
	context := map[string]any{"entities": []any{map[string]any{"type": "slack#/types/channel_id",
		"value": slacksim.AcmeGeneral, "team_id": slacksim.Acme}}}
	if e := answer(s.Bot.Last(t).Event); e["type"] != "app_context_changed" || e["user"] != me || e["channel"] != s.dm ||
		!reflect.DeepEqual(e["context"], context) {
		t.Errorf("context changed: %v", e)
	}

	root, err := agents.Write(s.Ctx, me, "", "a question")
	if err != nil {
		t.Fatal(err)
	}
	s.Settled()
	if e := answer(s.Bot.Last(t).Event); e["thread_ts"] != nil || e["ts"] != root || e["channel_type"] != "im" ||
		!reflect.DeepEqual(e["app_context"], context) {
		t.Errorf("the beginning of a thread: %v", e)
	}
	if _, err := agents.Write(s.Ctx, me, root, "and more"); err != nil {
		t.Fatal(err)
	}
	s.Settled()
	if e := answer(s.Bot.Last(t).Event); e["thread_ts"] != root || e["text"] != "and more" {
		t.Errorf("a message in the thread: %v", e)
	}

	if err := agents.ChangeContext(s.Ctx, me); err != nil {
		t.Fatal(err)
	}
	s.Settled()
	if ts, err := agents.PressPrompt(s.Ctx, me, "Say hello"); err != nil || ts == "" {
		t.Fatal(err)
	}
	s.Settled()
	if e := answer(s.Bot.Last(t).Event); e["text"] != "Hello &amp; welcome!" || e["thread_ts"] != nil ||
		e["user"] != me || !reflect.DeepEqual(e["app_context"], map[string]any{}) {
		t.Errorf("a prompt that was pressed: %v", e)
	}
	if _, err := agents.PressPrompt(s.Ctx, me, "Sing"); !errors.Is(err, slacksim.ErrNoPrompt) {
		t.Errorf("a prompt that isn't there: %v", err)
	}

	s.Sim.SetApp(func(a *slacksim.App) { a.Events = a.Events[:len(a.Events)-3] })
	n := len(s.Bot.Requests())
	if err := agents.ChangeContext(s.Ctx, me); err != nil {
		t.Fatal(err)
	}
	s.say("Hm?", "")
	if e := s.Bot.Last(t).Event; len(s.Bot.Requests()) != n+1 || e["app_context"] != nil {
		t.Errorf("without app_context_changed: %v", e)
	}
	s.Sim.SetApp(func(a *slacksim.App) { a.Agent = nil })
	if err := agents.Open(s.Ctx, me); !errors.Is(err, slacksim.ErrNoAgent) {
		t.Errorf("no agent was opened: %v", err)
	}
}

func TestSuggestedPrompts(t *testing.T) {
	s := newStage(t, asAgent)
	suggest := func(prompts string, args ...string) answer {
		t.Helper()
		return s.Call("assistant.threads.setSuggestedPrompts", s.token,
			append([]string{"channel_id", s.dm, "prompts", prompts}, args...)...)
	}
	first := func() string { return s.Sim.Agents.Prompts(slacksim.AcmeAdmin).Prompts[0].Title }
	if first() != "Say hello" {
		t.Errorf("the manifest's prompts: %q", first())
	}
	if a := suggest(`[{"title":"In a thread","message":"m"}]`, "thread_ts", s.root); a["ok"] != true ||
		first() != "Say hello" {
		t.Errorf("with thread_ts it says yes and does nothing: %v", a)
	}
	a := suggest(`[{"title":"One","message":"m"},{"title":"Two","message":"m"}]`, "title", "Try")
	if x := s.Sim.Agents.Prompts(slacksim.AcmeAdmin); a["ok"] != true || x.Title != "Try" || len(x.Prompts) != 2 ||
		first() != "One" {
		t.Errorf("%v made %+v", a, x)
	}
	for _, bad := range []string{`x`, `[]`, `[{"title":"t"}]`, `[{"message":"m"}]`,
		"[" + strings.TrimSuffix(strings.Repeat(`{"title":"t","message":"m"},`, 5), ",") + "]"} {
		if a := suggest(bad); a["error"] != "invalid_arguments" {
			t.Errorf("%s: %v", bad, a)
		}
	}
	s.WantError("assistant.threads.setSuggestedPrompts", s.token, "channel_not_found", "channel_id", "D0",
		"prompts", `[{"title":"t","message":"m"}]`)
	s.Sim.SetApp(func(a *slacksim.App) { a.Agent = nil })
	if a := suggest(`[{"title":"t","message":"m"}]`); a["error"] != "not_agent_app" {
		t.Errorf("no agent: %v", a)
	}
}

func TestSessionStatus(t *testing.T) {
	s := newStage(t, asAgent)
	a := s.status("processing", "title", "A question", "initiator_user_id", slacksim.AcmeAdmin)
	if a["ok"] != true || a["status"] != "processing" || a["agent_status"] != "processing" ||
		a["title"] != "A question" || a["warning"] != nil {
		t.Errorf("setStatus: %v", a)
	}
	s.Settled()
	e := answer(s.Bot.Last(t).Event)
	if e["subtype"] != "message_changed" || e.Str("message", "ts") != s.root ||
		e.Str("message", "text") != e.Str("previous_message", "text") ||
		e.Str("message", "agent_session", "status") != "processing" {
		t.Errorf("the root was changed and its text was not: %v", e)
	}
	if a := s.status("active", "title", "Too late", "initiator_user_id",
		slacksim.AcmeMember); a["title"] != "A question" ||
		s.session().Initiator != slacksim.AcmeAdmin {
		t.Errorf("title and initiator count only at first: %v", a)
	}

	s.status("processing")
	s.Clock.Advance(59 * time.Minute)
	s.status("processing")
	s.Clock.Advance(59 * time.Minute)
	if x := s.session(); x.Status != "processing" || !x.Stoppable {
		t.Errorf("saying it again begins a new hour: %+v", x)
	}
	s.Clock.Advance(time.Minute)
	if x := s.session(); x.Status != "active" || x.Stoppable {
		t.Errorf("after an hour: %+v", x)
	}
	s.status("suspended")
	s.Clock.Advance(2 * time.Hour)
	if s.session().Status != "suspended" || s.read(s.root).Str("agent_session", "status") != "suspended" {
		t.Error("an agent that waits was taken for one that doesn't")
	}

	refused := func(want string, args ...string) {
		t.Helper()
		s.WantError("agents.sessions.setStatus", s.token, want, args...)
	}
	refused("invalid_status", "channel_id", s.dm, "thread_ts", s.root, "status", "tired")
	refused("channel_not_found", "channel_id", "C0", "thread_ts", s.root, "status", "active")
	refused("thread_ts_required", "channel_id", s.dm, "status", "active")
	refused("thread_not_found", "channel_id", s.dm, "thread_ts", "1.2", "status", "active")
	refused("user_not_found", "channel_id", s.dm, "thread_ts", s.root, "status", "active", "initiator_user_id", "U0")
	refused("not_authorized", "channel_id", slacksim.AcmeGeneral, "thread_ts", s.root, "status", "active")
	s.Sim.AddChannel(slacksim.Channel{ID: "C0HIDDEN01", TeamID: slacksim.Acme, Name: "hidden", Private: true,
		Members: []string{slacksim.AcmeAdmin}})
	refused("channel_not_found", "channel_id", "C0HIDDEN01", "thread_ts", s.root, "status", "active")
	refused("invalid_arguments", "channel_id", s.dm, "thread_ts", s.root, "status", "active",
		"title", strings.Repeat("x", 201))
	refused("missing_scope", "channel_id", s.dm, "thread_ts", s.root, "status", "active", "username", "Bob")

	s.Sim.SetApp(func(a *slacksim.App) { a.Events = []string{"message.im"} })
	a = s.status("processing")
	if a["ok"] != true || a["warning"] != "missing_agent_session_stopped_event_subscription" || s.session().Stoppable {
		t.Errorf("without the event: %v", a)
	}
	s.Sim.SetApp(func(a *slacksim.App) { a.Agent = nil })
	refused("not_authorized", "channel_id", s.dm, "thread_ts", s.root, "status", "active")
}

func TestSessionOfSeveralAgents(t *testing.T) {
	s := newStage(t, asAgent)
	s.Sim.AddChannel(slacksim.Channel{ID: "C0SHARED01", TeamID: slacksim.Acme, Name: "shared",
		SharedWith: []string{slacksim.Birch}, Members: []string{slacksim.AcmeAdmin, slacksim.BirchAdmin}})
	other := s.Install(slacksim.BirchAdmin, botScopes+",assistant:write")
	for _, team := range []string{slacksim.Acme, slacksim.Birch} {
		in, _ := s.Sim.Installed(team)
		if err := s.Sim.Invite(s.Ctx, slacksim.AcmeAdmin, "C0SHARED01", in.BotUserID); err != nil {
			t.Fatal(err)
		}
	}
	root, _ := s.Sim.Say(s.Ctx, slacksim.AcmeAdmin, "C0SHARED01", "you two")
	set := func(token, status string) answer {
		return s.Call("agents.sessions.setStatus", token, "channel_id", "C0SHARED01", "thread_ts", root, "status", status)
	}
	set(s.token, "processing")
	for _, x := range [][2]string{{"closed", "processing"}, {"active", "processing"}, {"suspended", "suspended"}} {
		if a := set(other, x[0]); a["agent_status"] != x[0] || a["status"] != x[1] {
			t.Errorf("one works, the other is %s: %v", x[0], a)
		}
	}

	a := s.Call("chat.startStream", other, "channel", "C0SHARED01", "thread_ts", root,
		"recipient_user_id", slacksim.BirchAdmin, "recipient_team_id", slacksim.Birch)
	set(other, "active")
	if err := s.Sim.Agents.Stop(s.Ctx, slacksim.AcmeAdmin, "C0SHARED01", root); err != nil {
		t.Fatal(err)
	}
	if b := s.Call("chat.appendStream", other, "channel", "C0SHARED01", "ts", a.Str("ts"),
		"markdown_text", "x"); b["ok"] != true {
		t.Errorf("a stop meant the agent that works: %v", b)
	}
}

func TestSessionTitle(t *testing.T) {
	s := newStage(t, asAgent)
	rename := func(title string, args ...string) answer {
		t.Helper()
		return s.Call("agents.sessions.rename", s.token,
			append([]string{"channel_id", s.dm, "title", title}, args...)...)
	}
	if a := rename("New", "thread_ts", s.root); a["error"] != "session_not_found" {
		t.Errorf("no session yet: %v", a)
	}
	if err := s.Sim.Agents.Rename(s.Ctx, slacksim.AcmeAdmin, s.dm, s.root, "x"); !errors.Is(err, slacksim.ErrNoSession) {
		t.Errorf("no session yet: %v", err)
	}
	note := s.Call("chat.postMessage", s.token, "channel", s.dm, "text", "By the way").Str("ts")
	if a := rename("A note", "thread_ts", note); a["ok"] != true || a["title"] != "A note" {
		t.Errorf("what the app said outside a thread: %v", a)
	}

	s.status("active", "title", "Old")
	for _, bad := range []string{"", strings.Repeat("x", 201)} {
		if a := rename(bad, "thread_ts", s.root); a["error"] != "invalid_name" {
			t.Errorf("%q: %v", bad, a)
		}
		if err := s.Sim.Agents.Rename(s.Ctx, slacksim.AcmeAdmin, s.dm, s.root, bad); !errors.Is(err, slacksim.ErrTitle) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if a := rename("The app's", "thread_ts", s.root); a["title"] != "The app's" || s.session().Title != "The app's" {
		t.Error(a)
	}
	s.Settled()
	if got := s.Bot.Events("agent_session_title_changed"); got != nil {
		t.Errorf("the app hears of its own title: %v", got)
	}
	if err := s.Sim.Agents.Rename(s.Ctx, slacksim.AcmeAdmin, s.dm, s.root, "Mine"); err != nil {
		t.Fatal(err)
	}
	s.Settled()
	got := s.Bot.Events("agent_session_title_changed")
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	if e := got[0].Event; e["channel"] != s.dm || e["thread_ts"] != s.root || e["user"] != slacksim.AcmeAdmin ||
		e["title"] != "Mine" || e["previous_title"] != "The app's" || e["team_id"] != slacksim.Acme {
		t.Errorf("the event: %v", e)
	}
}

func TestPersonStopsAgent(t *testing.T) {
	s := newStage(t, asAgent)
	stop := func() error { return s.Sim.Agents.Stop(s.Ctx, slacksim.AcmeAdmin, s.dm, s.root) }
	if err := stop(); !errors.Is(err, slacksim.ErrNoSession) {
		t.Errorf("nothing to stop: %v", err)
	}
	elsewhere := s.Call("chat.startStream", s.token, "channel", s.dm, "thread_ts", s.say("Another", "")).Str("ts")
	ts := s.start("markdown_text", "One, ")
	done := s.start("markdown_text", "Done")
	s.Call("chat.stopStream", s.token, "channel", s.dm, "ts", done, "session_status", "processing")
	if x := s.session(); x.Status != "processing" || x.Initiator != slacksim.AcmeAdmin || !x.Stoppable {
		t.Errorf("a stream began: %+v", x)
	}
	s.Settled()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.Settled()
	got := s.Bot.Events("agent_session_stopped")
	if len(got) != 1 {
		t.Fatalf("%d events", len(got))
	}
	if e := got[0].Event; e["channel"] != s.dm || e["thread_ts"] != s.root || e["user"] != slacksim.AcmeAdmin ||
		!reflect.DeepEqual(e["streaming_message_ts"], []any{ts}) || got[0].Outer["team_id"] != slacksim.Acme ||
		e["team_id"] != nil {
		t.Errorf("the event: %v", e)
	}
	if m := s.read(ts); m["streaming_state"] != "completed" || m["text"] != "One, " {
		t.Errorf("Slack has ended the stream: %v", m)
	}
	s.WantError("chat.appendStream", s.token, "stopped_by_user", "channel", s.dm, "ts", ts, "markdown_text", "two")
	s.WantError("chat.stopStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", ts)
	s.WantError("chat.appendStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", done,
		"markdown_text", "x")
	if a := s.append(elsewhere, "markdown_text", "x"); a["ok"] != true {
		t.Errorf("in another thread: %v", a)
	}
	if s.session().Status != "processing" {
		t.Error("a stop changes the status, which is for the app to do")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.Settled()
	got = s.Bot.Events("agent_session_stopped")
	if e := got[len(got)-1].Event; !reflect.DeepEqual(e["streaming_message_ts"], []any{}) {
		t.Errorf("a stop without a stream: %v", e)
	}
	s.status("closed")
	if err := stop(); !errors.Is(err, slacksim.ErrNoStop) {
		t.Errorf("no agent works: %v", err)
	}
}

func TestStreamsSetTheSession(t *testing.T) {
	s := newStage(t, asAgent)
	ts := s.start()
	s.WantError("chat.stopStream", s.token, "invalid_status", "channel", s.dm, "ts", ts, "session_status", "tired")
	s.stop(ts)
	if x := s.session(); x.Status != "active" {
		t.Errorf("after chat.stopStream: %+v", x)
	}
	s.stop(s.start(), "session_status", "suspended")
	if x := s.session(); x.Status != "suspended" {
		t.Errorf("after chat.stopStream with suspended: %+v", x)
	}
	s.start()
	s.Clock.Advance(306 * time.Second)
	if x := s.session(); x.Status != "active" {
		t.Errorf("after Slack ended a stream: %+v", x)
	}
	s.Sim.SetApp(func(a *slacksim.App) { a.Agent = nil })
	other := s.say("Another thread", "")
	if a := s.Call("chat.startStream", s.token, "channel", s.dm, "thread_ts", other); a["ok"] != true {
		t.Errorf("a stream of an app that is no agent: %v", a)
	}
	if x, ok := s.Sim.Agents.Session(s.dm, other); ok {
		t.Errorf("it has a session: %+v", x)
	}
}

func TestFeedback(t *testing.T) {
	s := newStage(t, asAgent)
	ts := s.start("markdown_text", "Here you are.")
	s.stop(ts, "blocks", `[{"type":"context_actions","block_id":"rate","elements":[{"type":"feedback_buttons",
		"action_id":"fb","positive_button":{"text":{"type":"plain_text","text":"Good"},"value":"good"},
		"negative_button":{"text":{"type":"plain_text","text":"Bad"},"value":"bad"}},
		{"type":"icon_button","icon":"trash","action_id":"drop","text":{"type":"plain_text","text":"Drop"},"value":"v"}]}]`)
	s.Settled()
	for good, word := range map[bool]string{true: "Good", false: "Bad"} {
		if ack, err := s.Sim.Agents.Feedback(s.Ctx, slacksim.AcmeAdmin, s.dm, ts, good); err != nil || ack.Status != 200 {
			t.Fatalf("feedback: %+v %v", ack, err)
		}
		p := answer(s.Bot.Last(t).Outer)
		act := answer(p["actions"].([]any)[0].(map[string]any))
		if p.Str("type") != "block_actions" || p.Str("container", "thread_ts") != s.root ||
			p.Str("message", "ts") != ts || act.Str("type") != "feedback_buttons" || act.Str("action_id") != "fb" ||
			act.Str("block_id") != "rate" || act.Str("value") != strings.ToLower(word) || act.Str("text", "text") != word {
			t.Errorf("the payload: %v", p)
		}
		if state := p["state"].(map[string]any)["values"].(map[string]any); len(state) != 0 {
			t.Errorf("buttons have no state: %v", state)
		}
	}
	if _, err := s.Sim.Press(s.Ctx, slacksim.AcmeAdmin, s.dm, ts, "drop"); err != nil {
		t.Fatal(err)
	}
	p := answer(s.Bot.Last(t).Outer)
	if act := answer(p["actions"].([]any)[0].(map[string]any)); act["icon"] != "trash" || act["value"] != "v" {
		t.Errorf("an icon button: %v", act)
	}
	if _, err := s.Sim.Press(s.Ctx, slacksim.AcmeAdmin, s.dm, ts, "fb", "great"); !errors.Is(err, slacksim.ErrNoAction) {
		t.Errorf("neither side: %v", err)
	}
	if _, err := s.Sim.Agents.Feedback(s.Ctx, slacksim.AcmeAdmin, s.dm, s.root, true); err == nil {
		t.Error("feedback where there are no buttons")
	}
	s.WantBreaches()
}

func TestAgentThroughSockets(t *testing.T) {
	w := socketWorld(t, asAgent)
	s := &stage{world: w, token: w.Install(slacksim.AcmeAdmin, botScopes+",assistant:write"),
		dm: w.Sim.DM(slacksim.AcmeAdmin)}
	p := w.connect()
	wanted := func(typ string) {
		t.Helper()
		if e := p.next("events_api").Payload["event"].(map[string]any); e["type"] != typ {
			t.Errorf("got %v, want %s", e, typ)
		}
	}

	if err := w.Sim.Agents.Open(w.Ctx, slacksim.AcmeAdmin); err != nil {
		t.Fatal(err)
	}
	wanted("app_home_opened")
	s.root = s.say("Hello", "")
	wanted("message")
	s.status("processing")
	wanted("message") // the root has changed
	if err := w.Sim.Agents.Stop(w.Ctx, slacksim.AcmeAdmin, s.dm, s.root); err != nil {
		t.Fatal(err)
	}
	wanted("agent_session_stopped")
	s.Settled() // the acknowledgement has arrived, too
}
