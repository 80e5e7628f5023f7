package slacksim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

// stage is a world with a thread that the app can stream into.
type stage struct {
	*world
	token, dm, root string
}

func newStage(t *testing.T, change ...func(*slacksim.Config)) *stage {
	t.Helper()
	w := newWorld(t, change...)
	s := &stage{world: w, token: w.Install(slacksim.AcmeAdmin, botScopes+",assistant:write"),
		dm: w.Sim.DM(slacksim.AcmeAdmin)}
	s.root = s.say("What is new?", "")
	return s
}

// say has the admin write into the conversation with the app.
func (s *stage) say(text, thread string) (ts string) {
	s.T.Helper()
	ts, err := s.Sim.Reply(s.Ctx, slacksim.AcmeAdmin, s.dm, thread, text)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Settled()
	return ts
}

// start begins a stream in the thread, with more arguments.
func (s *stage) start(more ...string) (ts string) {
	s.T.Helper()
	a := s.Call("chat.startStream", s.token, append([]string{"channel", s.dm, "thread_ts", s.root}, more...)...)
	if a["ok"] != true || a.Str("channel") != s.dm || a.Str("ts") == "" {
		s.T.Fatalf("chat.startStream: %v", a)
	}
	return a.Str("ts")
}

func (s *stage) append(ts string, args ...string) answer {
	s.T.Helper()
	return s.Call("chat.appendStream", s.token, append([]string{"channel", s.dm, "ts", ts}, args...)...)
}

func (s *stage) stop(ts string, args ...string) answer {
	s.T.Helper()
	return s.Call("chat.stopStream", s.token, append([]string{"channel", s.dm, "ts", ts}, args...)...)
}

// read is the message as conversations.replies answers it.
func (s *stage) read(ts string) answer {
	s.T.Helper()
	a := s.Call("conversations.replies", s.token, "channel", s.dm, "ts", s.root)
	list, _ := a["messages"].([]any)
	for _, x := range list {
		if m := answer(x.(map[string]any)); m.Str("ts") == ts {
			return m
		}
	}
	s.T.Fatalf("the thread lacks %s: %v", ts, a)
	return nil
}

// kinds are the types of a message's blocks.
func kinds(m answer) (out []string) {
	list, _ := m["blocks"].([]any)
	for _, b := range list {
		out = append(out, answer(b.(map[string]any)).Str("type"))
	}
	return out
}

// A table is text until it is known to be one, and then a block of its own. Its text is still all there.
func TestTableInAStream(t *testing.T) {
	s := newStage(t)
	ts := s.start("markdown_text", "Two of them:\n| Name | *Age* |\n")
	if got := kinds(s.read(ts)); !slices.Equal(got, []string{"rich_text"}) {
		t.Errorf("half a table: %q", got)
	}
	s.append(ts, "markdown_text", "|---|--:|\n| Ann | 4")
	s.append(ts, "markdown_text", "2 |\n\nThat's all.")

	m := s.read(ts)
	if got := kinds(m); !slices.Equal(got, []string{"rich_text", "table", "rich_text"}) {
		t.Errorf("around a table: %q", got)
	}
	list, _ := m["blocks"].([]any)
	ids := map[any]bool{}
	for _, b := range list {
		ids[b.(map[string]any)["block_id"]] = true
	}
	if len(ids) != 3 || ids[nil] {
		t.Errorf("block ids: %v", ids)
	}
	raw, _ := json.Marshal(list)
	for _, want := range []string{`"column_settings":[{"align":"left"},{"align":"right"}]`, `"text":"Ann"`,
		`"text":"42"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the blocks lack %s: %s", want, raw)
		}
	}
	if text := m.Str("text"); !strings.Contains(text, "| Ann | 42 |") {
		t.Errorf("the text is %q", text)
	}
}

func TestStreamIsWrittenAndRead(t *testing.T) {
	s := newStage(t)
	ts := s.start("recipient_user_id", slacksim.AcmeAdmin, "recipient_team_id", slacksim.Acme)
	s.Settled()
	opener := answer(s.Bot.Last(t).Event)
	if opener["subtype"] != nil || opener["text"] != "" || opener["streaming_state"] != "in_progress" ||
		opener["thread_ts"] != s.root || opener["parent_user_id"] != slacksim.AcmeAdmin || opener.Str("bot_id") == "" {
		t.Errorf("the event of a start: %v", opener)
	}

	s.append(ts, "markdown_text", "It **is")
	if m := s.read(ts); m["streaming_state"] != "in_progress" || m["text"] != "It **is" {
		t.Errorf("in the middle of a word: %v", m)
	}
	s.Settled()
	s.append(ts, "chunks", `[{"type":"markdown_text","text":" done**, says [Leon](https://x.example/) of <@U0ACMELEON>"}]`)
	s.Settled()
	step := answer(s.Bot.Last(t).Event)
	if step["subtype"] != "message_changed" || step["hidden"] != true || step["ts"] == ts ||
		step.Str("message", "ts") != ts || step.Str("message", "streaming_state") != "in_progress" ||
		step.Str("previous_message", "text") != "It **is" {
		t.Errorf("the event of a step: %v", step)
	}

	a := s.stop(ts, "markdown_text", "!", "metadata", `{"event_type":"said","event_payload":{"key":"k"}}`)
	want := "It *is done*, says <https://x.example/|Leon> of <@U0ACMELEON>!"
	if a.Str("message", "text") != want || a.Str("message", "streaming_state") != "completed" || a.Str("ts") != ts {
		t.Errorf("chat.stopStream: %v", a)
	}
	if m := s.read(ts); m["text"] != want || m["streaming_state"] != "completed" ||
		!reflect.DeepEqual(kinds(m), []string{"rich_text"}) || m["edited"] != nil {
		t.Errorf("afterwards: %v", m)
	}
	all := s.Call("conversations.replies", s.token, "channel", s.dm, "ts", s.root, "include_all_metadata", "true",
		"oldest", ts)["messages"].([]any)
	if len(all) != 1 || answer(all[0].(map[string]any)).Str("ts") != s.root {
		t.Errorf("the root comes along, and nothing that is too old: %v", all)
	}
	s.WantError("chat.appendStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", ts,
		"markdown_text", "x")
	s.WantError("chat.stopStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", ts)
	s.WantBreaches()
}

func TestStreamShowsTasksAndBlocks(t *testing.T) {
	s := newStage(t)
	task := func(id, title, status, more string) string {
		return fmt.Sprintf(`{"type":"task_update","id":%q,"title":%q,"status":%q%s}`, id, title, status, more)
	}
	card := func(m answer, i int) answer { return m["blocks"].([]any)[i].(map[string]any) }

	ts := s.start("markdown_text", "Let me look.")
	s.append(ts, "chunks", `[`+task("a", "Read", "in_progress", `,"details":"One"`)+`,`+
		task("b", "Write", "pending", "")+`,{"type":"plan_update","title":"Shown by plans alone"}]`)
	s.append(ts, "chunks", `[`+task("a", "Have read", "complete",
		`,"details":" and two","sources":[{"type":"url","url":"https://x.example/","text":"X"}]`)+
		`,{"type":"markdown_text","text":"Found."},{"type":"blocks","blocks":[{"type":"divider"}]}]`)
	s.stop(ts, "markdown_text", "Bye.", "blocks", twoButtons)
	m := s.read(ts)
	if got := kinds(m); !reflect.DeepEqual(got, []string{"rich_text", "task_card", "task_card", "rich_text", "divider",
		"rich_text", "actions"}) {
		t.Errorf("a timeline: %v", got)
	}
	details, _ := json.Marshal(card(m, 1)["details"])
	if c := card(m, 1); c["task_id"] != "a" || c["title"] != "Have read" || c["status"] != "complete" ||
		!strings.Contains(string(details), "One and two") || c["sources"] == nil {
		t.Errorf("a task that was updated: %v", c)
	}
	if m["text"] != "Let me look.\nFound.\nBye." {
		t.Errorf("its text: %q", m["text"])
	}

	ts = s.start("task_display_mode", "plan")
	s.append(ts, "chunks", `[`+task("a", "Read", "complete", "")+`,`+task("b", "Write", "error", "")+
		`,{"type":"plan_update","title":"The plan"}]`)
	if m = s.read(ts); !reflect.DeepEqual(kinds(m), []string{"plan"}) || card(m, 0)["title"] != "The plan" ||
		len(card(m, 0)["tasks"].([]any)) != 2 {
		t.Errorf("a plan: %v", m)
	}
}

func TestStreamRefusals(t *testing.T) {
	s := newStage(t)
	long := func(n int) string { return strings.Repeat("ä", n) }
	start := func(want string, args ...string) {
		t.Helper()
		s.WantError("chat.startStream", s.token, want, args...)
	}
	start("channel_not_found", "thread_ts", s.root)
	start("invalid_thread_ts", "channel", s.dm)
	start("invalid_thread_ts", "channel", s.dm, "thread_ts", "0")
	start("invalid_thread_ts", "channel", s.dm, "thread_ts", s.say("And what else?", s.root))
	start("thread_not_found", "channel", s.dm, "thread_ts", "1.2")
	start("invalid_arguments", "channel", s.dm, "thread_ts", s.root, "task_display_mode", "wild")
	start("missing_scope", "channel", s.dm, "thread_ts", s.root, "username", "Bob")
	start("user_not_found", "channel", s.dm, "thread_ts", s.root, "recipient_user_id", slacksim.AcmeMember)
	start("user_not_found", "channel", s.dm, "thread_ts", s.root, "recipient_user_id", slacksim.AcmeAdmin,
		"recipient_team_id", slacksim.Birch)

	ts := s.start()
	refused := func(want string, args ...string) {
		t.Helper()
		s.WantError("chat.appendStream", s.token, want, append([]string{"channel", s.dm, "ts", ts}, args...)...)
	}
	refused("no_text")
	refused("no_text", "chunks", `[]`)
	refused("cannot_provide_both_markdown_text_and_chunks", "markdown_text", "x", "chunks", `[]`)
	refused("msg_too_long", "markdown_text", long(12_001))
	refused("msg_too_long", "chunks", `[{"type":"markdown_text","text":"`+long(12_001)+`"}]`)
	for _, bad := range []string{`x`, `{}`, `[null]`, `[1]`, `[{"type":"song"}]`, `[{"type":"markdown_text"}]`,
		`[{"type":"task_update","title":"t","status":"pending"}]`, `[{"type":"task_update","id":"a","status":"pending"}]`,
		`[{"type":"task_update","id":"a","title":"t","status":"done"}]`, `[{"type":"task_update","id":"a","title":"t"}]`,
		`[{"type":"task_update","id":"a","title":"` + long(257) + `","status":"pending"}]`,
		`[{"type":"task_update","id":"a","title":"t","status":"pending","output":"` + long(257) + `"}]`,
		`[{"type":"task_update","id":"a","title":"t","status":"pending","sources":[{"type":"file"}]}]`,
		`[{"type":"plan_update"}]`, `[{"type":"plan_update","title":"` + long(257) + `"}]`,
		`[{"type":"blocks"}]`, `[{"type":"blocks","blocks":[{"type":"song"}]}]`,
		`[{"type":"markdown_text","text":"half"},{"type":"song"}]`} {
		refused("invalid_chunks", "chunks", bad)
	}
	if m := s.read(ts); m["text"] != "" || m["blocks"] != nil {
		t.Errorf("something of a refused call was taken: %v", m)
	}
	if a := s.append(ts, "markdown_text", long(12_000)); a["ok"] != true {
		t.Errorf("12,000 characters: %v", a)
	}
	if a := s.append(ts, "chunks", `[{"type":"markdown_text","text":"`+long(12_000)+`"}]`); a["ok"] != true {
		t.Errorf("the limit is for each chunk: %v", a)
	}
	dividers := strings.TrimSuffix(strings.Repeat(`{"type":"divider"},`, 30), ",")
	s.append(ts, "chunks", `[{"type":"blocks","blocks":[`+dividers+`]}]`)
	if a := s.append(ts, "chunks", `[{"type":"blocks","blocks":[`+dividers+`]}]`); a["warning"] == nil ||
		strings.Count(fmt.Sprint(kinds(s.read(ts))), "divider") != 50 {
		t.Errorf("more than 50 blocks: %v", a)
	}
	s.WantError("chat.stopStream", s.token, "invalid_blocks", "channel", s.dm, "ts", ts, "blocks", `[{"type":"song"}]`)
	s.WantError("chat.stopStream", s.token, "invalid_status", "channel", s.dm, "ts", ts, "session_status", "asleep")
	s.WantError("chat.stopStream", s.token, "invalid_metadata_format", "channel", s.dm, "ts", ts, "metadata", `{}`)
	s.WantError("chat.appendStream", s.token, "message_not_owned_by_app", "channel", s.dm, "ts", s.root,
		"markdown_text", "x")
	s.WantError("chat.appendStream", s.token, "message_not_found", "channel", s.dm, "ts", "1.2", "markdown_text", "x")
	plain := s.Call("chat.postMessage", s.token, "channel", s.dm, "text", "x").Str("ts")
	s.WantError("chat.appendStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", plain,
		"markdown_text", "x")

	s.WantError("chat.update", s.token, "streaming_state_conflict", "channel", s.dm, "ts", ts, "text", "x")
	s.stop(ts)
	if a := s.Call("chat.update", s.token, "channel", s.dm, "ts", ts, "text", "x"); a["ok"] != true {
		t.Errorf("chat.update after the end: %v", a)
	}
	s.Sim.SetApp(func(a *slacksim.App) { a.MessagesTab = false })
	start("messages_tab_disabled", "channel", s.dm, "thread_ts", s.root)
}

func TestStreamNeedsItsRecipient(t *testing.T) {
	s := newStage(t)
	in, _ := s.Sim.Installed(slacksim.Acme)
	if err := s.Sim.Invite(s.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID); err != nil {
		t.Fatal(err)
	}
	root, _ := s.Sim.Say(s.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, "hello")
	at := []string{"channel", slacksim.AcmeGeneral, "thread_ts", root}
	s.WantError("chat.startStream", s.token, "missing_recipient_team_id", at...)
	s.WantError("chat.startStream", s.token, "missing_recipient_user_id",
		append(at, "recipient_team_id", slacksim.Acme)...)
	s.WantError("chat.startStream", s.token, "user_not_found", // who can't see the channel
		append(at, "recipient_team_id", slacksim.Birch, "recipient_user_id", slacksim.BirchMember)...)
	a := s.Call("chat.startStream", s.token,
		append(at, "recipient_team_id", slacksim.Acme, "recipient_user_id", slacksim.AcmeMember)...)
	if a["ok"] != true {
		t.Error(a)
	}
	s.Sim.SetApp(func(a *slacksim.App) { a.StreamsNeedRecipient = true })
	s.WantError("chat.startStream", s.token, "missing_recipient_team_id", "channel", s.dm, "thread_ts", s.root)
}

func TestSlackEndsStreams(t *testing.T) {
	s := newStage(t)
	ts := s.start("markdown_text", "One")
	for range 5 {
		s.Clock.Advance(time.Minute)
		if a := s.append(ts, "markdown_text", ", two"); a["ok"] != true {
			t.Fatal(a)
		}
	}
	s.Settled()
	s.Clock.Advance(6 * time.Second)
	s.WantError("chat.appendStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", ts,
		"markdown_text", "x")
	s.WantError("chat.stopStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", ts)
	s.Settled()
	if e := answer(s.Bot.Last(t).Event); e["subtype"] != "message_changed" ||
		e.Str("message", "streaming_state") != "errored" {
		t.Errorf("its event: %v", e)
	}
	if m := s.read(ts); m["text"] != "One"+strings.Repeat(", two", 5) || m["streaming_state"] != "errored" {
		t.Errorf("what is left: %v", m)
	}
	if a := s.Call("chat.update", s.token, "channel", s.dm, "ts", ts, "text", "Three"); a["ok"] != true {
		t.Error(a)
	}
	again := s.start()
	s.Clock.Advance(305 * time.Second)
	if a := s.append(again, "markdown_text", "x"); a["ok"] != true {
		t.Errorf("305 seconds after the start: %v", a)
	}
}

func TestStreamFaults(t *testing.T) {
	s := newStage(t)
	lost := func(method string) {
		s.Sim.Inject(slacksim.Fault{Method: method, Times: 1, DropAnswer: true})
	}
	count := func() (n int) {
		for _, m := range s.Sim.Messages(s.dm, slacksim.AcmeAdmin) {
			if m.Streaming != "" {
				n++
			}
		}
		return n
	}

	lost("chat.startStream")
	if _, err := s.Try("chat.startStream", s.token, "channel", s.dm, "thread_ts", s.root); err == nil {
		t.Error("the answer came")
	}
	ts := s.start()
	if count() != 2 {
		t.Errorf("a start whose answer was lost leaves %d messages, want an orphan and the second one", count())
	}
	lost("chat.appendStream")
	if _, err := s.Try("chat.appendStream", s.token, "channel", s.dm, "ts", ts, "markdown_text", "said"); err == nil {
		t.Error("the answer came")
	}
	if m := s.read(ts); m["text"] != "said" {
		t.Errorf("after a lost answer: %v", m)
	}
	s.Sim.Inject(slacksim.Fault{Method: "chat.appendStream", Times: 1, Error: "internal_error"})
	s.WantError("chat.appendStream", s.token, "internal_error", "channel", s.dm, "ts", ts, "markdown_text", "not")
	if m := s.read(ts); m["text"] != "said" {
		t.Errorf("after an error: %v", m)
	}
	lost("chat.stopStream")
	if _, err := s.Try("chat.stopStream", s.token, "channel", s.dm, "ts", ts); err == nil {
		t.Error("the answer came")
	}
	s.WantError("chat.stopStream", s.token, "message_not_in_streaming_state", "channel", s.dm, "ts", ts)

	s.Sim.SetApp(func(a *slacksim.App) { a.StreamsTrimChunks = true })
	ts = s.start("markdown_text", " a")
	s.append(ts, "markdown_text", " b")
	if m := s.read(ts); m["text"] != "ab" {
		t.Errorf("chunks without their blanks: %v", m)
	}
	if a := s.Call("chat.delete", s.token, "channel", s.dm, "ts", ts); a["ok"] != true {
		t.Error(a)
	}
	s.WantError("chat.appendStream", s.token, "message_not_found", "channel", s.dm, "ts", ts, "markdown_text", "x")
}

func TestStreamTiers(t *testing.T) {
	s := newStage(t)
	var ts string
	for range 20 {
		ts = s.start()
	}
	req, _ := http.NewRequest("POST", s.Sim.URL()+"/api/chat.startStream?channel="+s.dm+"&thread_ts="+s.root, nil)
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "60" {
		t.Errorf("a 21st start within a minute: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	for range 2 {
		for range 100 {
			if a := s.append(ts, "markdown_text", "x"); a["ok"] != true {
				t.Fatal(a)
			}
		}
		s.WantError("chat.appendStream", s.token, "ratelimited", "channel", s.dm, "ts", ts, "markdown_text", "x")
		s.Clock.Advance(time.Minute)
	}
}
