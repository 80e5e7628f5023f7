package slacksim_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

const linkScopes = botScopes + ",links:read,links:write"

func withLinks(c *slacksim.Config) {
	c.App.UnfurlDomains = []string{"tick.example"}
	c.App.Events = []string{"link_shared", "message.im"}
}

const (
	ticketURL = "https://tick.example/7?a=1&b=2"
	ticket    = `{"` + ticketURL + `":{"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*Ticket 7*"}}]}}`
)

func TestLinkIsSharedAndUnfurled(t *testing.T) {
	w := newWorld(t, withLinks)
	tok := w.Install(slacksim.AcmeAdmin, linkScopes)
	root, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral,
		"no link: tick.example/8, https://other.example/9")
	ts, _ := w.Sim.Reply(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, root,
		"see <https://tick.example/7?a=1&amp;b=2|that>, https://eu.tick.example/8. and again https://eu.tick.example/8")
	w.Settled()
	list := w.Bot.Events("link_shared")
	if len(list) != 1 {
		t.Fatalf("%d events", len(list))
	}
	e := answer(list[0].Event)
	links, _ := e["links"].([]any)
	if e.Str("channel") != slacksim.AcmeGeneral || e.Str("message_ts") != ts || e.Str("thread_ts") != root ||
		e.Str("user") != slacksim.AcmeMember || e.Str("source") != "conversations_history" ||
		e["is_bot_user_member"] != false || e.Str("unfurl_id") == "" || len(links) != 2 {
		t.Errorf("event %v", e)
	}
	if l := answer(links[0].(map[string]any)); l.Str("url") != ticketURL || l.Str("domain") != "tick.example" {
		t.Errorf("link %v", l)
	}

	if a := w.Call("chat.unfurl", tok, "channel", slacksim.AcmeGeneral, "ts", ts, "unfurls", ticket); a["ok"] != true {
		t.Fatal(a)
	}
	if a := w.Call("chat.unfurl", tok, "unfurl_id", e.Str("unfurl_id"), "source", e.Str("source"), "unfurls",
		`{"https://eu.tick.example/8":{"title":"Eight","text":"closed"}}`, "metadata",
		`{"entities":[{"entity_type":"slack#/entities/task","app_unfurl_url":"`+ticketURL+`"}]}`); a["ok"] != true {
		t.Fatal(a)
	}
	all := w.Sim.Messages(slacksim.AcmeGeneral, "")
	m := all[len(all)-1]
	first, second := m.Unfurls[ticketURL], m.Unfurls["https://eu.tick.example/8"]
	if !strings.Contains(string(first.Blocks), "*Ticket 7*") || !strings.Contains(string(first.Blocks), "block_id") ||
		first.Entity == nil || !strings.Contains(string(second.Attachment), "closed") || len(m.Unfurls) != 2 {
		t.Errorf("unfurled %+v", m.Unfurls)
	}

	// In a conversation that the app follows, it hears of its own unfurl as of an edit.
	dm := w.Sim.DM(slacksim.AcmeMember)
	ts, _ = w.Sim.Say(w.Ctx, slacksim.AcmeMember, dm, ticketURL)
	w.Settled()
	w.Call("chat.unfurl", tok, "channel", dm, "ts", ts, "unfurls", ticket)
	w.Settled()
	changed := w.Bot.Last(t).Event
	message, _ := changed["message"].(map[string]any)
	if changed["subtype"] != "message_changed" || message["attachments"] == nil || message["text"] != ticketURL {
		t.Errorf("event %v", changed)
	}
	w.WantBreaches()
}

func TestLinksThatAreNotTold(t *testing.T) {
	w := newWorld(t, withLinks)
	w.Sim.AddLargerWorld()
	say := func(user, channel string) int {
		t.Helper()
		before := len(w.Bot.Events("link_shared"))
		if _, err := w.Sim.Say(w.Ctx, user, channel, ticketURL); err != nil {
			t.Fatal(err)
		}
		w.Settled()
		return len(w.Bot.Events("link_shared")) - before
	}
	if say(slacksim.AcmeMember, slacksim.AcmeGeneral) != 0 {
		t.Error("before the install")
	}
	w.Install(slacksim.AcmeAdmin, botScopes)
	if say(slacksim.AcmeMember, slacksim.AcmeGeneral) != 0 {
		t.Error("without links:read")
	}
	w.Install(slacksim.SalesAdmin, linkScopes)
	if say(slacksim.BirchMember, slacksim.NorthwindBirch) != 0 {
		t.Error("of somebody of another company")
	}
	if say(slacksim.SalesMember, slacksim.NorthwindBirch) != 1 {
		t.Error("a member's is not told")
	}
	if id, err := w.Sim.Links.Compose(w.Ctx, slacksim.SalesMember, slacksim.NorthwindBirch, ticketURL); id != "" ||
		err != nil {
		t.Errorf("a draft in an organisation: %q %v", id, err)
	}
	if _, err := w.Sim.Links.Compose(w.Ctx, slacksim.BirchAdmin, slacksim.AcmeGeneral, "x"); !errors.Is(err,
		slacksim.ErrNoChannel) {
		t.Errorf("a draft in a conversation that isn't theirs: %v", err)
	}
}

func TestLinksInADraft(t *testing.T) {
	w := newWorld(t, withLinks)
	tok := w.Install(slacksim.AcmeAdmin, linkScopes)
	id, err := w.Sim.Links.Compose(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "see "+ticketURL)
	if err != nil || id == "" {
		t.Fatal(id, err)
	}
	w.Settled()
	e := answer(w.Bot.Last(t).Event)
	if e.Str("channel") != "COMPOSER" || e.Str("source") != "composer" || e.Str("message_ts") != id ||
		e.Str("unfurl_id") != id || e["thread_ts"] != nil {
		t.Errorf("event %v", e)
	}
	preview := strings.TrimSuffix(ticket, "}}") + `,"preview":{"title":{"type":"plain_text","text":"Ticket 7"}}}}`
	w.WantError("chat.unfurl", tok, "invalid_unfurl_id", "unfurl_id", id, "source", "conversations_history", "unfurls",
		preview)
	if a := w.Call("chat.unfurl", tok, "unfurl_id", id, "source", "composer", "unfurls", preview); a["ok"] != true {
		t.Fatal(a)
	}
	if d, ok := w.Sim.Links.Draft(id); !ok || d.Unfurls[ticketURL].Title != "Ticket 7" ||
		d.ChannelID != slacksim.AcmeGeneral {
		t.Errorf("%+v %v", d, ok)
	}
	if a := w.Call("chat.unfurl", tok, "channel", "COMPOSER", "ts", id, "unfurls", ticket); a["ok"] != true {
		t.Errorf("by channel and ts: %v", a)
	}
	if n := len(w.Sim.Messages(slacksim.AcmeGeneral, "")); n != 0 {
		t.Errorf("%d messages: nothing was sent", n)
	}
	if a := w.Call("chat.unfurl", tok, "unfurl_id", id, "source", "composer", "user_auth_url",
		"https://tick.example/in"); a["ok"] != true {
		t.Fatal(a)
	}
	if d, _ := w.Sim.Links.Draft(id); d.PromptURL != "https://tick.example/in" || d.Prompt == "" {
		t.Errorf("%+v", d)
	}
	if id, _ := w.Sim.Links.Compose(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "nothing"); id != "" {
		t.Errorf("told of a draft without links: %s", id)
	}
}

func TestUnfurlErrors(t *testing.T) {
	w := newWorld(t, withLinks, func(c *slacksim.Config) { c.AckTimeout = 2 * time.Second })
	tok := w.Install(slacksim.AcmeAdmin, linkScopes)
	general := slacksim.AcmeGeneral
	// An app that unfurls before it has acknowledged.
	early := make(chan answer, 1)
	w.Bot.Reply(func(_ http.ResponseWriter, _ *http.Request, q request) {
		select {
		case early <- w.Call("chat.unfurl", tok, "channel", general, "ts", answer(q.Event).Str("message_ts"), "unfurls",
			ticket):
		default:
		}
	})
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, general, ticketURL)
	w.Settled()
	if a := <-early; a.Str("error") != "cannot_unfurl_url" {
		t.Errorf("before the acknowledgement: %v", a)
	}
	w.Bot.Reply(nil)
	if a := w.Call("chat.unfurl", tok, "channel", general, "ts", ts, "unfurls", ticket); a["ok"] != true {
		t.Errorf("after it: %v", a)
	}

	w.Sim.Invite(w.Ctx, slacksim.AcmeAdmin, general, "U0ACME0001BOT")
	own := w.Call("chat.postMessage", tok, "channel", general, "text", ticketURL).Str("ts")
	plain, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, general, "no link")
	id := answer(w.Bot.Events("link_shared")[0].Event).Str("unfurl_id")
	for _, x := range []struct {
		want string
		args []string
	}{
		{"cannot_unfurl_url", []string{"channel", general, "ts", ts, "unfurls", `{"https://tick.example/8":{"text":"x"}}`}},
		{"cannot_unfurl_url", []string{"channel", general, "ts", plain, "unfurls", ticket}},
		{"cannot_unfurl_message", []string{"channel", general, "ts", own, "unfurls", ticket}},
		{"cannot_find_message", []string{"channel", general, "ts", "1.2", "unfurls", ticket}},
		{"cannot_find_channel", []string{"channel", "C0NOWHERE", "ts", ts, "unfurls", ticket}},
		{"cannot_find_channel", []string{"channel", "COMPOSER", "ts", "none", "unfurls", ticket}},
		{"cannot_parse_attachment", []string{"channel", general, "ts", ts, "unfurls",
			`{"` + ticketURL + `":{"blocks":[{"type":"x"}]}}`}},
		{"cannot_parse_attachment", []string{"channel", general, "ts", ts, "unfurls", `{"` + ticketURL + `":{}}`}},
		{"cannot_parse_attachment", []string{"channel", general, "ts", ts, "unfurls", `{"` + ticketURL + `":"x"}`}},
		{"invalid_unfurls_format", []string{"channel", general, "ts", ts, "unfurls", `[]`}},
		{"invalid_metadata_format", []string{"channel", general, "ts", ts, "metadata", `{"entities":[]}`}},
		{"invalid_metadata_format", []string{"channel", general, "ts", ts, "metadata",
			`{"entities":[{"entity_type":"task"}]}`}},
		{"missing_unfurls", []string{"channel", general, "ts", ts}},
		{"missing_channel", []string{"ts", ts, "unfurls", ticket}},
		{"missing_ts", []string{"channel", general, "unfurls", ticket}},
		{"missing_source", []string{"unfurl_id", id, "unfurls", ticket}},
		{"missing_unfurl_id", []string{"source", "composer", "unfurls", ticket}},
		{"invalid_source", []string{"unfurl_id", id, "source", "elsewhere", "unfurls", ticket}},
		{"invalid_unfurl_id", []string{"unfurl_id", "none", "source", "composer", "unfurls", ticket}},
		{"cannot_auth_user", []string{"channel", general, "ts", ts, "user_auth_url", "javascript:x"}},
		{"cannot_prompt", []string{"channel", general, "ts", ts, "user_auth_required", "true", "user_auth_blocks",
			`[{"type":"x"}]`}},
	} {
		w.WantError("chat.unfurl", tok, x.want, x.args...)
	}

	w.Call("chat.unfurl", tok, "channel", general, "ts", ts, "user_auth_required", "true", "user_auth_message",
		"Sign in first")
	all := w.Sim.Messages(general, slacksim.AcmeMember)
	if m := all[len(all)-1]; m.Text != "Sign in first" || m.EphemeralTo != slacksim.AcmeMember {
		t.Errorf("prompted by %+v", m)
	}
	w.WantError("chat.unfurl", tok, "cannot_prompt", "channel", general, "ts", ts, "user_auth_required", "true")
	w.WantError("chat.unfurl", w.Install(slacksim.BirchAdmin, botScopes), "missing_scope", "channel",
		slacksim.BirchGeneral)
	w.WantError("chat.unfurl", w.Install(slacksim.BirchAdmin, linkScopes), "invalid_unfurl_id", // another installation's
		"unfurl_id", id, "source", "conversations_history", "unfurls", ticket)
	w.Sim.SetApp(func(a *slacksim.App) { a.UnfurlDomains = nil })
	w.WantError("chat.unfurl", tok, "cannot_find_service", "channel", general, "ts", ts, "unfurls", ticket)
}

func TestPressInAnUnfurl(t *testing.T) {
	w := newWorld(t, withLinks)
	tok := w.Install(slacksim.AcmeAdmin, linkScopes)
	ts, _ := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, ticketURL+" https://tick.example/1")
	w.Settled()
	if a := w.Call("chat.unfurl", tok, "channel", slacksim.AcmeGeneral, "ts", ts, "unfurls",
		`{"`+ticketURL+`":{"blocks":`+twoButtons+`},"https://tick.example/1":{"text":"one"}}`); a["ok"] != true {
		t.Fatal(a)
	}
	press := func() answer {
		t.Helper()
		if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "go"); err != nil {
			t.Fatal(err)
		}
		return w.Bot.Last(t).Outer
	}
	p := press()
	c := answer(p["container"].(map[string]any))
	if c.Str("type") != "message_attachment" || c["attachment_id"] != 2.0 || c["is_app_unfurl"] != true ||
		c.Str("app_unfurl_url") != ticketURL || c.Str("message_ts") != ts || p["app_unfurl"] == nil ||
		p.Str("message", "user") != slacksim.AcmeMember ||
		p.Str("state", "values", "acts", "pick", "type") != "static_select" {
		t.Errorf("payload %v", p)
	}

	// What is replaced or deleted is what the app shows, never the message.
	answers := func(body string) slacksim.Message {
		t.Helper()
		res, err := http.Post(press().Str("response_url"), "application/json", strings.NewReader(body))
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("response_url: %v %v", res, err)
		}
		res.Body.Close()
		return w.Sim.Messages(slacksim.AcmeGeneral, "")[0]
	}
	m := answers(`{"replace_original":true,"text":"done","blocks":` + twoButtons + `}`)
	if !strings.Contains(string(m.Unfurls[ticketURL].Attachment), "done") || !strings.HasPrefix(m.Text, ticketURL) {
		t.Errorf("replaced %+v", m)
	}
	m = answers(`{"delete_original":true}`)
	if _, there := m.Unfurls[ticketURL]; there || m.Deleted || len(m.Unfurls) != 1 {
		t.Errorf("deleted %+v", m)
	}
	if _, err := w.Sim.Press(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, ts, "go"); !errors.Is(err,
		slacksim.ErrNoAction) {
		t.Errorf("pressed what is gone: %v", err)
	}
	w.WantBreaches()
}
