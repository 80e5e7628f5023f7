package web_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
)

// agentWorld has an agent in Acme, and the admin before the chat.
func agentWorld(t *testing.T) (w *world, b *browser, token string) {
	t.Helper()
	w = newWorld(t, func(c *slacksim.Config) {
		c.App.Agent = &slacksim.AgentView{Description: "d", Prompts: []slacksim.Prompt{{Title: "Hi there", Message: "Hi!"}}}
		c.App.Events = append(c.App.Events, "agent_session_stopped", "agent_session_title_changed", "app_context_changed")
	})
	token = w.Install(slacksim.AcmeAdmin, botScopes+",assistant:write")
	b = w.browser()
	b.send("/signin", "user", slacksim.AcmeAdmin)
	return w, b, token
}

// thread is the one that the browser was led to.
func (b *browser) thread(page string) string {
	b.w.T.Helper()
	m := regexp.MustCompile(`action="/client/T0ACME0001/D0ACMEDANA/([0-9.]+)/stop"`).FindStringSubmatch(page)
	if m == nil {
		b.w.T.Fatalf("no thread of an agent: %s", page)
	}
	return m[1]
}

func TestPersonAndAgent(t *testing.T) {
	w, b, token := agentWorld(t)
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	b.open("/client/T0ACME0001/" + slacksim.AcmeGeneral)
	b.want(b.open("/client/T0ACME0001/dm"), "Try one of these", `name="title" value="Hi there"`)
	w.Settled()
	if e := w.Bot.Events("app_context_changed"); len(e) != 1 {
		t.Errorf("looking at a channel told of %d contexts", len(e))
	}

	_, page := b.send("/client/T0ACME0001/dm/prompt", "title", "Hi there")
	b.want(page, `class="thread-bar"`, "Hi!")
	w.Settled()
	all := w.Sim.Messages(dm, slacksim.AcmeAdmin)
	root := all[len(all)-1].TS

	ts := w.Call("chat.startStream", token, "channel", dm, "thread_ts", root,
		"markdown_text", "1. It\n\nIt **grows**").Str("ts")
	w.Call("agents.sessions.rename", token, "channel_id", dm, "thread_ts", root, "title", "A <chat>")
	page = b.open("/client/T0ACME0001/dm?thread=" + root)
	b.want(page, "<ol><li><div>It</div></li></ol>", "<strong>grows</strong>", "Writing…", ">Working…</span>",
		`id="agent-stop"`, `value="A &lt;chat&gt;"`, "Refresh")
	if b.thread(page) != root {
		t.Errorf("the stop button is that of %s, want %s", b.thread(page), root)
	}
	b.want(b.open("/client/T0ACME0001/dm"), "A &lt;chat&gt; · Working…")

	next, live := b.stream("/client/T0ACME0001/dm?thread="+root), map[string]string{}
	for len(live) < 4 {
		region, html := next()
		live[region] = html
	}
	w.Call("chat.appendStream", token, "channel", dm, "ts", ts, "markdown_text", " and grows")
	if region, html := next(); region != "content" || !strings.Contains(html, "</strong> and grows") {
		t.Errorf("what changed while somebody looked: %s %s", region, html)
	}

	if code, _ := b.send("/client/T0ACME0001/"+dm+"/"+root+"/stop", "back", "/client/T0ACME0001/dm"); code != 200 {
		t.Errorf("stop: %d", code)
	}
	w.WantError("chat.appendStream", token, "stopped_by_user", "channel", dm, "ts", ts, "markdown_text", "x")
	b.send("/client/T0ACME0001/"+dm+"/"+root+"/rename", "title", "Mine")
	if x, _ := w.Sim.Agents.Session(dm, root); x.Title != "Mine" {
		t.Errorf("renamed: %+v", x)
	}
	if code, _ := b.send("/client/T0ACME0001/"+dm+"/"+root+"/rename", "title", " "); code != http.StatusBadRequest {
		t.Errorf("an empty title: %d", code)
	}

	ts = w.Call("chat.startStream", token, "channel", dm, "thread_ts", root).Str("ts")
	w.Call("chat.stopStream", token, "channel", dm, "ts", ts, "markdown_text", "|Name|Age|\n|-|-:|\n|Ann|42|\n\nDone.",
		"session_status", "suspended", "blocks", `[{"type":"context_actions","block_id":"rate","elements":[{"type":"feedback_buttons","action_id":"fb",
		"positive_button":{"text":{"type":"plain_text","text":"Good"},"value":"good"},
		"negative_button":{"text":{"type":"plain_text","text":"Bad"},"value":"bad"}}]}]`)
	page = b.open("/client/T0ACME0001/dm?thread=" + root)
	b.want(page, "<table><tr><th><div>Name</div></th>", `<td align="right"><div>42</div></td>`, "Done.", "Waiting for you",
		">Good<")
	if strings.Contains(page, `id="agent-stop"`) || strings.Contains(page, "Writing…") {
		t.Error("nothing is being written, and there is a stop button")
	}
	w.Settled()
	b.send("/client/T0ACME0001/"+dm+"/"+ts+"/act", "action", "rate/fb/bad")
	p := answer(w.Bot.Last(t).Outer)
	if acts, _ := p["actions"].([]any); len(acts) != 1 || acts[0].(map[string]any)["value"] != "bad" {
		t.Errorf("feedback: %v", p)
	}
	w.WantBreaches()
}

// What a person writes to an agent begins a thread, and the page that shows it is where they go on.
func TestWritingToAgentLeadsToItsThread(t *testing.T) {
	w, b, _ := agentWorld(t)
	_, page := b.send("/client/T0ACME0001/dm/say", "text", "a question", "back", "/client/T0ACME0001/dm")
	b.want(page, `class="thread-bar"`, "a question", `name="thread_ts"`)

	req, _ := http.NewRequestWithContext(w.Ctx, "POST", w.Sim.URL()+"/client/T0ACME0001/dm/say",
		strings.NewReader(url.Values{"text": {"another"}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Requested-With", "fetch")
	res, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if !strings.HasPrefix(res.Header.Get("X-Next"), "/client/T0ACME0001/dm?thread=") {
		t.Errorf("the script is led to %q", res.Header.Get("X-Next"))
	}

	w.Sim.SetApp(func(a *slacksim.App) { a.Agent = nil })
	_, page = b.send("/client/T0ACME0001/dm/say", "text", "to no agent", "back", "/client/T0ACME0001/dm")
	if strings.Contains(page, `class="thread-bar"`) {
		t.Error("what one writes to an app that is no agent begins no thread")
	}
}
