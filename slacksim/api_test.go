package slacksim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

func do(t *testing.T, req *http.Request) answer {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a answer
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// json posts a JSON body with the token in the header.
func (w *world) json(method, token, body string) answer {
	w.T.Helper()
	req, _ := http.NewRequest("POST", w.Sim.URL()+"/api/"+method, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(w.T, req)
}

func TestTokensAndScopes(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin, "chat:write,commands")
	w.WantError("auth.test", "", "not_authed")
	w.WantError("auth.test", "xoxb-nobody", "invalid_auth")
	a := w.WantError("team.info", tok, "missing_scope")
	if a.Str("needed") != "team:read" || a.Str("provided") != "chat:write,commands" {
		t.Errorf("missing_scope says %v", a)
	}
	if b := w.Call("auth.test", "", "token", tok); b["ok"] != true {
		t.Errorf("a token in the form: %v", b)
	}
	req, _ := http.NewRequest("POST", w.Sim.URL()+"/api/team.info", nil)
	req.Header.Set("Authorization", "Bearer "+tok)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.Header.Get("X-Oauth-Scopes") != "chat:write,commands" ||
		res.Header.Get("X-Accepted-Oauth-Scopes") != "team:read" {
		t.Errorf("headers %v", res.Header)
	}
	if b := w.json("auth.test", "", `{"token":"`+tok+`"}`); b.Str("error") != "not_authed" {
		t.Errorf("a token inside JSON: %v", b)
	}
	if b := w.json("chat.postMessage", tok, `{"channel":"`+slacksim.AcmeAdmin+
		`","text":"hi","blocks":[{"type":"divider"}]}`); b["ok"] != true {
		t.Errorf("JSON: %v", b)
	}
	w.WantBreaches()
	req, _ = http.NewRequest("POST", w.Sim.URL()+"/api/auth.test?token="+tok, nil)
	if b := do(t, req); b["ok"] == true {
		t.Error("a token in the address was taken")
	}
	w.WantBreaches(slacksim.RuleTokenInQuery)
	calls := w.Sim.Calls("chat.postMessage")
	if len(calls) != 1 || calls[0].Token != tok || calls[0].TeamID != slacksim.Acme || !calls[0].OK ||
		calls[0].Arg("text") != "hi" || !calls[0].Done {
		t.Errorf("calls %+v", calls)
	}
}

func TestPosting(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	dm := w.Sim.DM(slacksim.AcmeMember)
	w.WantError("chat.postMessage", tok, "no_text", "channel", dm)
	w.WantError("chat.postMessage", tok, "channel_not_found", "channel", "C0NOWHERE", "text", "x")
	w.WantError("chat.postMessage", tok, "channel_not_found", "channel", slacksim.BirchGeneral, "text", "x")
	w.WantError("chat.postMessage", tok, "channel_not_found", "channel", slacksim.BirchAdmin, "text", "x")
	w.WantError("chat.postMessage", tok, "not_in_channel", "channel", slacksim.AcmeGeneral, "text", "x")
	in, _ := w.Sim.Installed(slacksim.Acme)
	if err := w.Sim.Invite(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID); err != nil {
		t.Fatal(err)
	}
	a := w.Call("chat.postMessage", tok, "channel", "#general", "text", "first")
	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeGeneral, "text", "reply", "thread_ts", a.Str("ts"))
	w.WantError("chat.postMessage", tok, "thread_not_found", "channel", slacksim.AcmeGeneral,
		"text", "reply", "thread_ts", "1.1")
	if u := w.Call("chat.update", tok, "channel", slacksim.AcmeGeneral, "ts", a.Str("ts"),
		"text", "second"); u["ok"] != true {
		t.Error(u)
	}
	theirs, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "mine")
	w.WantError("chat.update", tok, "cant_update_message", "channel", slacksim.AcmeGeneral, "ts", theirs, "text", "x")
	w.WantError("chat.delete", tok, "cant_delete_message", "channel", slacksim.AcmeGeneral, "ts", theirs)
	w.WantError("chat.update", tok, "message_not_found", "channel", slacksim.AcmeGeneral, "ts", "1.1", "text", "x")
	w.WantError("chat.postEphemeral", tok, "user_not_in_channel", "channel", slacksim.AcmeGeneral,
		"user", slacksim.BirchAdmin, "text", "x")
	w.Call("chat.postEphemeral", tok, "channel", slacksim.AcmeGeneral, "user", slacksim.AcmeMember, "text", "psst")
	if a := w.Call("reactions.add", tok, "channel", slacksim.AcmeGeneral, "timestamp", theirs,
		"name", "eyes"); a["ok"] != true {
		t.Error(a)
	}
	w.WantError("reactions.add", tok, "already_reacted", "channel", slacksim.AcmeGeneral, "timestamp", theirs,
		"name", "eyes")
	member := w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember)
	admin := w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeAdmin)
	if len(member) != len(admin)+1 {
		t.Errorf("the ephemeral message is not for one: %d, %d", len(member), len(admin))
	}
	last := member[len(member)-1]
	if !last.Ephemeral || last.EphemeralTo != slacksim.AcmeMember || last.Text != "psst" {
		t.Errorf("ephemeral %+v", last)
	}
	if m := admin[1]; m.Text != "second" || !m.Edited {
		t.Errorf("edited %+v", m)
	}
	w.Call("chat.delete", tok, "channel", slacksim.AcmeGeneral, "ts", a.Str("ts"))
	if m := w.Sim.Messages(slacksim.AcmeGeneral, "")[1]; !m.Deleted {
		t.Error("not deleted")
	}
}

func TestBlockLimits(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	long := strings.Repeat("x", 3001)
	button := `{"type":"button","text":{"type":"plain_text","text":"B"},"action_id":"a%d"}`
	var buttons []string
	for i := range 26 {
		buttons = append(buttons, fmt.Sprintf(button, i))
	}
	repeat := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	text := `{"type":"mrkdwn","text":"t"}`
	for name, blocks := range map[string]string{
		"unknown block":    `[{"type":"sparkle"}]`,
		"51 blocks":        `[` + repeat(`{"type":"divider"}`, 51) + `]`,
		"header too long":  `[{"type":"header","text":{"type":"plain_text","text":"` + long[:151] + `"}}]`,
		"header in mrkdwn": `[{"type":"header","text":` + text + `}]`,
		"section too long": `[{"type":"section","text":{"type":"mrkdwn","text":"` + long + `"}}]`,
		"section empty":    `[{"type":"section"}]`,
		"empty text":       `[{"type":"section","text":{"type":"mrkdwn","text":""}}]`,
		"11 fields":        `[{"type":"section","fields":[` + repeat(text, 11) + `]}]`,
		"field too long":   `[{"type":"section","fields":[{"type":"mrkdwn","text":"` + long[:2001] + `"}]}]`,
		"26 elements":      `[{"type":"actions","elements":[` + strings.Join(buttons, ",") + `]}]`,
		"no elements":      `[{"type":"actions","elements":[]}]`,
		"11 in context":    `[{"type":"context","elements":[` + repeat(text, 11) + `]}]`,
		"button too long": `[{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"` +
			long[:76] + `"}}]}]`,
		"value too long": `[{"type":"actions","elements":[{"type":"button","value":"` + long[:2001] +
			`","text":{"type":"plain_text","text":"B"}}]}]`,
		"url too long": `[{"type":"actions","elements":[{"type":"button","url":"` + long +
			`","text":{"type":"plain_text","text":"B"}}]}]`,
		"action_id too long": `[{"type":"actions","elements":[{"type":"button","action_id":"` + long[:256] +
			`","text":{"type":"plain_text","text":"B"}}]}]`,
		"action_id twice": `[{"type":"actions","elements":[` +
			fmt.Sprintf(button, 1) + `,` + fmt.Sprintf(button, 1) + `]}]`,
		"bad style":      `[{"type":"actions","elements":[{"type":"button","style":"huge","text":{"type":"plain_text","text":"B"}}]}]`,
		"no alt_text":    `[{"type":"image","image_url":"https://x.example/a.png"}]`,
		"block_id twice": `[{"type":"divider","block_id":"b"},{"type":"divider","block_id":"b"}]`,
		"menu without":   `[{"type":"actions","elements":[{"type":"static_select","options":[]}]}]`,
		"not an array":   `{"type":"divider"}`,
		"button as input": `[{"type":"input","label":{"type":"plain_text","text":"L"},"element":` +
			fmt.Sprintf(button, 1) + `}]`,
	} {
		a := w.WantError("chat.postMessage", tok, "invalid_blocks", "channel", slacksim.AcmeAdmin, "text", "t",
			"blocks", blocks)
		meta, _ := a["response_metadata"].(map[string]any)
		if msgs, _ := meta["messages"].([]any); len(msgs) == 0 || !strings.Contains(msgs[0].(string),
			"json-pointer:/blocks") {
			t.Errorf("%s: no message with a pointer in %v", name, a)
		}
	}
	fits := `[{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("ü", 150) + `"}}]`
	if a := w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "t", "blocks", fits); a["ok"] != true {
		t.Errorf("150 characters are not 150 bytes: %v", a)
	}
	w.WantBreaches()
	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "blocks", `[{"type":"divider"}]`)
	w.WantBreaches(slacksim.RuleNoText)
}

func TestPeopleAndPlaces(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	u := w.Call("users.info", tok, "user", slacksim.AcmeAdmin)
	if m := u["user"].(map[string]any); m["is_admin"] != true || m["tz"] != "Europe/Berlin" ||
		m["profile"].(map[string]any)["email"] != nil {
		t.Errorf("user %v", m)
	}
	w.WantError("users.info", tok, "user_not_found", "user", "U0NOBODY")
	w.WantError("users.info", tok, "user_not_visible", "user", slacksim.BirchAdmin)
	if a := w.json("users.info", tok, `{"user":"`+slacksim.AcmeAdmin+`"}`); a.Str("error") != "user_not_found" {
		t.Errorf("users.info reads no JSON: %v", a)
	}
	w.Sim.AddChannel(slacksim.Channel{ID: "C0SHARED01", TeamID: slacksim.Acme, Name: "both",
		SharedWith: []string{slacksim.Birch}, Members: []string{slacksim.AcmeAdmin, slacksim.BirchAdmin}})
	if m := w.Call("users.info", tok, "user", slacksim.BirchAdmin)["user"].(map[string]any); m["is_stranger"] != true ||
		m["is_admin"] != nil {
		t.Errorf("a stranger: %v", m)
	}
	team := w.Call("team.info", tok)["team"].(map[string]any)
	icon := team["icon"].(map[string]any)["image_68"].(string)
	res, err := http.Get(icon)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 200 || !strings.HasPrefix(string(b), "\x89PNG") ||
		res.Header.Get("Content-Type") != "image/png" {
		t.Errorf("icon %d %q", res.StatusCode, b)
	}
	a := w.Call("conversations.open", tok, "users", slacksim.AcmeMember)
	if a.Str("channel", "id") != w.Sim.DM(slacksim.AcmeMember) {
		t.Error(a)
	}
	a = w.Call("conversations.list", tok, "limit", "2")
	list := a["channels"].([]any)
	next := a.Str("response_metadata", "next_cursor")
	if len(list) != 2 || next == "" {
		t.Fatalf("page %v", a)
	}
	if b := w.Call("conversations.list", tok, "limit", "2", "cursor", next); len(b["channels"].([]any)) != 1 ||
		b.Str("response_metadata", "next_cursor") != "" {
		t.Errorf("second page %v", b)
	}
	w.WantError("conversations.list", tok, "invalid_cursor", "cursor", "x")
	w.WantError("conversations.list", tok, "missing_scope", "types", "private_channel")
	w.WantError("conversations.info", tok, "channel_not_found", "channel", slacksim.BirchGeneral)
	c := w.Call("conversations.info", tok, "channel", slacksim.AcmeGeneral)["channel"].(map[string]any)
	if c["is_member"] != false || c["name"] != "general" {
		t.Errorf("channel %v", c)
	}
	if m := w.Call("conversations.members", tok, "channel", slacksim.AcmeGeneral); len(m["members"].([]any)) != 2 {
		t.Error(m)
	}
	if c := w.Call("users.conversations", tok); len(c["channels"].([]any)) != 0 {
		t.Error(c)
	}
	if l := w.Call("users.list", tok); len(l["members"].([]any)) != 3 {
		t.Error(l)
	}
	in, _ := w.Sim.Installed(slacksim.Acme)
	if b := w.Call("bots.info", tok, "bot", in.BotID); b.Str("bot", "user_id") != in.BotUserID {
		t.Error(b)
	}
	w.WantError("bots.info", tok, "bot_not_found", "bot", "B0")
	w.WantError("api.test", "", "boom", "error", "boom")
}

func TestFaults(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	birch := w.Install(slacksim.BirchAdmin)
	clear := w.Sim.Inject(slacksim.Fault{Method: "auth.test", TeamID: slacksim.Acme, Error: "ekm_access_denied"})
	w.WantError("auth.test", tok, "ekm_access_denied")
	if a := w.Call("auth.test", birch); a["ok"] != true {
		t.Error("the fault is not for this workspace")
	}
	clear()
	if a := w.Call("auth.test", tok); a["ok"] != true {
		t.Error("the fault was cleared")
	}

	get := func() *http.Response {
		t.Helper()
		req, _ := http.NewRequest("POST", w.Sim.URL()+"/api/auth.test", nil)
		req.Header.Set("Authorization", "Bearer "+tok)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	w.Sim.Inject(slacksim.Fault{Times: 1, RetryAfter: 7})
	if r := get(); r.StatusCode != 429 || r.Header.Get("Retry-After") != "7" {
		t.Errorf("rate limit %v", r)
	}
	w.Sim.Inject(slacksim.Fault{Method: "*", Times: 1, Status: 503, Body: "<html>"})
	if r := get(); r.StatusCode != 503 {
		t.Errorf("status %v", r.Status)
	}
	if r := get(); r.StatusCode != 200 {
		t.Errorf("the fault lasted: %v", r.Status)
	}

	w.Sim.Inject(slacksim.Fault{Method: "chat.postMessage", Times: 1, DropAnswer: true})
	if _, err := w.Try("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "lost"); err == nil {
		t.Error("the answer came")
	}
	if m := w.Sim.Messages(w.Sim.DM(slacksim.AcmeAdmin), slacksim.AcmeAdmin); len(m) != 1 || m[0].Text != "lost" {
		t.Errorf("the work was not done: %v", m)
	}

	w.Sim.Inject(slacksim.Fault{Method: "auth.test", Times: 1, Hang: true})
	ctx, cancel := context.WithCancel(w.Ctx)
	done := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, "POST", w.Sim.URL()+"/api/auth.test", nil)
		_, err := http.DefaultClient.Do(req)
		done <- err
	}()
	hanging := func() bool {
		calls := w.Sim.Calls()
		return !calls[len(calls)-1].Done
	}
	if err := w.Sim.WaitFor(w.Ctx, hanging); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := w.Sim.WaitFor(w.Ctx, func() bool { return !hanging() }); err != nil {
		t.Error("the Sim did not notice that the caller hung up")
	}

	w.Sim.Inject(slacksim.Fault{Method: "auth.test", Times: 1, Delay: time.Millisecond})
	if a := w.Call("auth.test", tok); a["ok"] != true {
		t.Error("a delay changed the answer")
	}
}

func TestBlocksValidate(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	good, bad := `[{"type":"divider"}]`, `[{"type":"divider"},{"type":"alert","text":{"type":"mrkdwn","text":""}}]`
	for _, x := range [][3]string{
		{"blocks", good}, {"message", `{"text":"t","blocks":` + good + `}`}, {"view", modal("T", good)},
		{"blocks", bad, "/1/text/text"}, {"message", `{"blocks":` + bad + `}`, "/blocks/1/type"},
		{"view", modal("T", bad), "/blocks/1/text/text"},
	} {
		a := w.Call("blocks.validate", tok, x[0], x[1])
		if a["ok"] != (x[2] == "") {
			t.Errorf("%s: %v", x[0], a)
		}
		if list, _ := a["errors"].([]any); x[2] != "" && (a.Str("error") != "invalid_"+x[0] || len(list) != 1 ||
			list[0].(map[string]any)["pointer"] != x[2]) {
			t.Errorf("%s: %v, want %s", x[0], a, x[2])
		}
	}
	w.WantError("blocks.validate", tok, "invalid_arguments")
	w.WantError("blocks.validate", tok, "invalid_arguments", "blocks", good, "view", modal("T", good))
}

// Methods refuse what Slack refuses, with Slack's words for it.
func TestWrongArguments(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin, fileScopes+",reactions:write,channels:join")
	in, _ := w.Sim.Installed(slacksim.Acme)
	if err := w.Sim.Invite(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID); err != nil {
		t.Fatal(err)
	}
	const general = slacksim.AcmeGeneral
	root := w.Call("chat.postMessage", tok, "channel", general, "text", "root").Str("ts")
	reply := w.Call("chat.postMessage", tok, "channel", general, "text", "reply", "thread_ts", root).Str("ts")
	gone := w.Call("chat.postMessage", tok, "channel", general, "text", "gone").Str("ts")
	w.Call("chat.delete", tok, "channel", general, "ts", gone)
	dm := w.Sim.DM(slacksim.AcmeMember)
	up := w.Call("files.getUploadURLExternal", tok, "filename", "a.txt", "length", "1")
	post(t, up.Str("upload_url"), "x")
	w.Call("files.completeUploadExternal", tok, "files", `[{"id":"`+up.Str("file_id")+`"}]`)
	if a := w.Call("files.delete", tok, "file", up.Str("file_id")); a["ok"] != true {
		t.Fatal(a)
	}

	for _, x := range []struct {
		method, want string
		args         []string
	}{
		{"reactions.add", "no_item_specified", []string{"name", "eyes"}},
		{"reactions.add", "no_item_specified", []string{"name", "eyes", "channel", general}},
		{"reactions.add", "bad_timestamp", []string{"name", "eyes", "channel", general, "timestamp", "now"}},
		{"reactions.add", "invalid_name", []string{"name", ":eyes:", "channel", general, "timestamp", root}},
		{"reactions.add", "invalid_name", []string{"channel", general, "timestamp", root}},
		{"reactions.add", "message_not_found", []string{"name", "eyes", "channel", general, "timestamp", gone}},
		{"reactions.remove", "no_reaction", []string{"name", "eyes", "channel", general, "timestamp", root}},
		{"chat.postMessage", "cannot_reply_to_message", []string{"channel", general, "text", "x", "thread_ts", reply}},
		{"chat.postMessage", "thread_not_found", []string{"channel", general, "text", "x", "thread_ts", gone}},
		{"chat.postEphemeral", "invalid_arguments", []string{"channel", general, "text", "x"}},
		{"chat.postEphemeral", "user_not_in_channel", []string{"channel", general, "text", "x", "user", "U0NOBODY"}},
		{"chat.postEphemeral", "invalid_attachments", []string{"channel", general, "user", slacksim.AcmeMember,
			"attachments", `[{"blocks":[{"type":"bogus"}]}]`}},
		{"chat.postEphemeral", "missing_scope", []string{"channel", general, "user", slacksim.AcmeMember, "text", "x",
			"username", "Somebody"}},
		{"chat.startStream", "invalid_thread_ts", []string{"channel", general, "thread_ts", reply}},
		{"chat.startStream", "thread_not_found", []string{"channel", general, "thread_ts", gone}},
		{"conversations.join", "channel_not_found", []string{"channel", "C0NOWHERE"}},
		{"conversations.join", "method_not_supported_for_channel_type", []string{"channel", dm}},
		{"conversations.history", "invalid_ts_oldest", []string{"channel", general, "oldest", "yesterday"}},
		{"conversations.replies", "invalid_ts_latest", []string{"channel", general, "ts", root, "latest", "1.1.1"}},
		{"conversations.replies", "thread_not_found", []string{"channel", general, "ts", "1.1"}},
		{"files.info", "file_deleted", []string{"file", up.Str("file_id")}},
		{"files.delete", "file_deleted", []string{"file", up.Str("file_id")}},
		{"files.info", "file_not_found", []string{"file", "F0NOTHING"}},
		{"views.publish", "invalid_arguments", []string{"view", `{"type":"home","blocks":[]}`}},
		{"views.update", "invalid_arguments", []string{"view", modal("T", `[]`)}},
		{"views.update", "not_found", []string{"view", modal("T", `[]`), "view_id", "V0NOTHING"}},
	} {
		if a := w.Call(x.method, tok, x.args...); a.Str("error") != x.want {
			t.Errorf("%s %q: %v, want %s", x.method, x.args, a, x.want)
		}
	}

	w.Sim.SetApp(func(a *slacksim.App) { a.MessagesTab = false })
	for _, args := range [][]string{{"chat.postMessage", "text", "x"}, {"chat.startStream", "thread_ts", "1.1"}} {
		w.WantError(args[0], tok, "messages_tab_disabled", append([]string{"channel", dm}, args[1:]...)...)
	}
}
