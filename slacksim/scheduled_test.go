package slacksim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

func at(d time.Duration) string { return fmt.Sprint(start.Add(d).Unix()) }

func TestScheduledMessages(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	schedule := func(when string, more ...string) answer {
		return w.Call("chat.scheduleMessage", tok, append([]string{"channel", slacksim.AcmeAdmin, "text", "Later",
			"post_at", when}, more...)...)
	}
	for when, want := range map[string]string{"soon": "invalid_time", "": "invalid_time", at(0): "time_in_past",
		at(121 * 24 * time.Hour): "time_too_far"} {
		if a := schedule(when); a.Str("error") != want {
			t.Errorf("at %s: %v, want %s", when, a, want)
		}
	}
	w.WantError("chat.scheduleMessage", tok, "no_text", "channel", dm, "post_at", at(time.Hour))

	first := schedule(at(time.Hour))
	second := schedule(at(2 * time.Hour))
	if first["ok"] != true || first.Str("message", "type") != "delayed_message" || first.Str("channel") != dm {
		t.Fatal(first)
	}
	list := w.Call("chat.scheduledMessages.list", tok, "channel", dm, "latest", at(90*time.Minute))
	if got, _ := list["scheduled_messages"].([]any); len(got) != 1 ||
		answer(got[0].(map[string]any)).Str("id") != first.Str("scheduled_message_id") {
		t.Errorf("listed %v", list)
	}
	if got := w.Sim.Directory.Scheduled(); len(got) != 2 || got[1].Message.Text != "Later" {
		t.Errorf("scheduled %+v", got)
	}
	w.WantError("chat.scheduledMessages.list", tok, "invalid_channel", "channel", "C0NOWHERE")

	w.Clock.Advance(time.Hour)
	w.Settled()
	if got := w.Sim.Messages(dm, ""); len(got) != 1 || got[0].Text != "Later" || got[0].At != start.Add(time.Hour) {
		t.Errorf("posted %+v", got)
	}
	id := second.Str("scheduled_message_id")
	w.WantError("chat.deleteScheduledMessage", tok, "invalid_scheduled_message_id", "channel", dm,
		"scheduled_message_id", first.Str("scheduled_message_id"))
	w.Clock.Advance(59*time.Minute + 30*time.Second)
	w.WantError("chat.deleteScheduledMessage", tok, "invalid_scheduled_message_id", "channel", dm,
		"scheduled_message_id", id) // too late
	third := schedule(at(5 * time.Hour))
	if a := w.Call("chat.deleteScheduledMessage", tok, "channel", dm, "scheduled_message_id",
		third.Str("scheduled_message_id")); a["ok"] != true {
		t.Error(a)
	}
	w.Clock.Advance(9 * time.Hour)
	w.Settled()
	if got := w.Sim.Messages(dm, ""); len(got) != 2 {
		t.Errorf("posted %+v", got)
	}
	w.WantBreaches()
}

func TestScheduledMessagesThatAreNeverPosted(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	schedule := func(when time.Duration, more ...string) answer {
		return w.Call("chat.scheduleMessage", tok, append([]string{"channel", dm, "text", "Later", "post_at",
			at(when)}, more...)...)
	}
	schedule(time.Hour, "metadata", `{"event_type":"e","event_payload":{}}`)
	w.Clock.Advance(time.Hour)
	w.Settled()
	w.WantBreaches(slacksim.RuleNeverPosted)

	for i := range 30 {
		if a := schedule(2*time.Hour + time.Duration(i)*time.Second); a["ok"] != true {
			t.Fatal(a)
		}
	}
	if a := schedule(2*time.Hour - time.Minute); a.Str("error") != "restricted_too_many" {
		t.Error(a)
	}
	if a := schedule(3 * time.Hour); a["ok"] != true {
		t.Error(a)
	}

	in, _ := w.Sim.Installed(slacksim.Acme)
	private := slacksim.Channel{ID: "G0PRIVATE1", TeamID: slacksim.Acme, Name: "private", Private: true,
		Members: []string{slacksim.AcmeAdmin, in.BotUserID}}
	w.Sim.AddChannel(private)
	one := w.Call("chat.scheduleMessage", tok, "channel", private.ID, "text", "Later", "post_at", at(90*time.Minute))
	w.WantError("chat.deleteScheduledMessage", tok, "invalid_scheduled_message_id", "channel", dm,
		"scheduled_message_id", one.Str("scheduled_message_id"))
	private.Members = private.Members[:1]
	w.Sim.AddChannel(private)
	w.Clock.Advance(30 * time.Minute)
	w.Settled()
	if got := w.Sim.Messages(private.ID, ""); len(got) != 0 {
		t.Errorf("posted in a channel that the app left: %+v", got)
	}

	w.Sim.Admins.Uninstall(w.Ctx, slacksim.Acme, slacksim.RevokedFirst)
	w.Clock.Advance(3 * time.Hour)
	w.Settled()
	if got := w.Sim.Messages(dm, ""); len(got) != 0 {
		t.Errorf("posted %+v", got)
	}
}

func TestWhatAMessageTakes(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	post := func(args ...string) answer {
		return w.Call("chat.postMessage", tok, append([]string{"channel", dm}, args...)...)
	}
	for _, x := range [][]string{
		{"markdown_text_conflict", "text", "t", "markdown_text", "**t**"},
		{"msg_too_long", "markdown_text", strings.Repeat("ü", 12001)},
		{"too_many_attachments", "attachments", "[" + strings.TrimSuffix(strings.Repeat("{},", 101), ",") + "]"},
		{"invalid_attachments", "attachments", "{}"},
		{"invalid_attachments", "attachments", `[{"blocks":[{"type":"alert"}]}]`},
		{"missing_scope", "text", "t", "username", "Somebody"},
		{"invalid_metadata_format", "text", "t", "metadata", `{"event_type":"e"}`},
		{"invalid_metadata_schema", "text", "t", "metadata", `{"event_type":"` + strings.Repeat("e", 51) +
			`","event_payload":{}}`},
		{"metadata_too_large", "text", "t", "metadata", `{"event_type":"e","event_payload":{"k":"` +
			strings.Repeat("v", 16000) + `"}}`},
		{"thread_not_found", "text", "t", "thread_ts", "1.2"},
	} {
		if a := post(x[1:]...); a.Str("error") != x[0] {
			t.Errorf("%.80v: %v, want %s", x[1:], a, x[0])
		}
	}

	root := post("markdown_text", "**root**", "unfurl_links", "false", "unfurl_media", "false",
		"unfurl_app_links", "false", "attachments", `[{"text":"a"}]`, "metadata", `{"entities":[{}]}`)
	if root["ok"] != true || root["message"].(map[string]any)["attachments"] == nil {
		t.Fatal(root)
	}
	reply := post("text", "reply", "thread_ts", root.Str("ts"), "reply_broadcast", "true")
	if reply.Str("message", "subtype") != "thread_broadcast" || reply.Str("message", "root", "ts") != root.Str("ts") {
		t.Errorf("%v", reply)
	}
	if a := post("text", "t", "thread_ts", reply.Str("ts")); a.Str("error") != "cannot_reply_to_message" {
		t.Errorf("a reply to a reply: %v", a)
	}

	// An update keeps what it leaves out, but for the blocks when there is text.
	blocks := `[{"type":"divider"}]`
	if list := w.Call("conversations.history", tok, "channel", dm)["messages"].([]any); len(list) != 2 {
		t.Errorf("a reply that is broadcast is not in the history: %v", list)
	}
	one := post("text", "one", "blocks", blocks, "attachments", `[{"text":"a"}]`, "metadata",
		`{"event_type":"e","event_payload":{}}`)
	update := func(args ...string) slacksim.Message {
		t.Helper()
		a := w.Call("chat.update", tok, append([]string{"channel", dm, "ts", one.Str("ts")}, args...)...)
		if a["ok"] != true {
			t.Fatal(a)
		}
		all := w.Sim.Messages(dm, "")
		return all[len(all)-1]
	}
	if m := update("blocks", blocks); m.Text != "one" || m.Blocks == nil || m.Metadata == nil || m.Attachments == nil {
		t.Errorf("%+v", m)
	}
	if m := update("text", strings.Repeat("ü", 4000)); m.Blocks != nil || m.Metadata == nil {
		t.Errorf("%+v", m)
	}
	if m := update("text", "two", "metadata", `{}`); m.Metadata != nil {
		t.Errorf("%+v", m)
	}
	w.WantError("chat.update", tok, "msg_too_long", "channel", dm, "ts", one.Str("ts"), "text", strings.Repeat("ü", 4001))
}

func TestConversationPages(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	var ts []string
	for i := range 5 {
		a := w.Call("chat.postMessage", tok, "channel", dm, "text", fmt.Sprint(i))
		ts = append(ts, a.Str("ts"))
	}
	texts := func(a answer) (out string) {
		list, _ := a["messages"].([]any)
		for _, m := range list {
			out += answer(m.(map[string]any)).Str("text")
		}
		return out
	}
	history := func(args ...string) answer {
		return w.Call("conversations.history", tok, append([]string{"channel", dm}, args...)...)
	}
	for want, args := range map[string][]string{
		"43210": nil, "43": {"limit", "2"}, "432": {"oldest", ts[1]}, "4321": {"oldest", ts[1], "inclusive", "true"},
		"21": {"oldest", ts[0], "latest", ts[3]}, "10": {"limit", "2", "cursor", "offset:3"},
	} {
		if got := texts(history(args...)); got != want {
			t.Errorf("%v: %s, want %s", args, got, want)
		}
	}
	if a := history("limit", "3"); a["has_more"] != true || a.Str("response_metadata", "next_cursor") != "offset:3" {
		t.Errorf("%v", a)
	}
	w.WantError("conversations.history", tok, "invalid_cursor", "channel", dm, "cursor", "x")

	var last string
	for i := range 3 {
		a := w.Call("chat.postMessage", tok, "channel", dm, "text", string(rune('a'+i)), "thread_ts", ts[2])
		last = a.Str("ts")
	}
	replies := func(ts string, args ...string) answer {
		return w.Call("conversations.replies", tok, append([]string{"channel", dm, "ts", ts}, args...)...)
	}
	if got := texts(replies(last)); got != "2abc" {
		t.Errorf("by a reply: %s", got)
	}
	a := replies(ts[2], "limit", "3")
	next := a.Str("response_metadata", "next_cursor")
	if b := replies(ts[2], "limit", "3", "cursor", next); texts(a) != "2ab" || texts(b) != "2c" || b["has_more"] != false {
		t.Errorf("pages %v, %v", a, b)
	}
	w.WantError("conversations.replies", tok, "thread_not_found", "channel", dm, "ts", "1.2")
}
