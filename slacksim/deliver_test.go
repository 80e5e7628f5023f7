package slacksim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
)

func status(code int) func(http.ResponseWriter, *http.Request, request) {
	return func(w http.ResponseWriter, _ *http.Request, _ request) { w.WriteHeader(code) }
}

func TestRetries(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	w.Bot.Reply(status(500))
	if _, err := w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "hi"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if n := len(w.Bot.Requests()); n != 2 {
		t.Fatalf("%d attempts before the clock moved, want the first and one at once", n)
	}
	w.Clock.Advance(59 * time.Second)
	w.Settled()
	if n := len(w.Bot.Requests()); n != 2 {
		t.Fatalf("%d attempts after 59 s", n)
	}
	w.Clock.Advance(time.Second)
	w.Settled()
	w.Clock.Advance(5 * time.Minute)
	w.Settled()
	w.Clock.Advance(24 * time.Hour)
	w.Settled()
	got := w.Bot.Requests()
	if len(got) != 4 {
		t.Fatalf("%d attempts in all, want 4", len(got))
	}
	for i, r := range got {
		if i > 0 && (r.Header.Get("X-Slack-Retry-Num") != fmt.Sprint(i) ||
			r.Header.Get("X-Slack-Retry-Reason") != "http_error") {
			t.Errorf("attempt %d: %v", i, r.Header)
		}
		if i == 0 && r.Header.Get("X-Slack-Retry-Num") != "" {
			t.Error("the first attempt claims to be a retry")
		}
		if string(r.Body) != string(got[0].Body) {
			t.Error("a retry differs")
		}
		var ts int64
		fmt.Sscan(r.Header.Get("X-Slack-Request-Timestamp"), &ts)
		if r.Header.Get("X-Slack-Signature") != slacksim.Sign("signing-secret-xyz", ts, r.Body) {
			t.Errorf("attempt %d is signed wrongly", i)
		}
	}
	if got[3].Header.Get("X-Slack-Request-Timestamp") == got[0].Header.Get("X-Slack-Request-Timestamp") {
		t.Error("the last retry carries the first timestamp")
	}
	w.WantBreaches(slacksim.RuleEventStatus, slacksim.RuleEventStatus, slacksim.RuleEventStatus, slacksim.RuleEventStatus)
}

func TestRetryEndsWhenAcknowledgedOrDeclined(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	w.Bot.Reply(func(rw http.ResponseWriter, _ *http.Request, r request) {
		if r.Header.Get("X-Slack-Retry-Num") == "" {
			rw.WriteHeader(503)
		}
	})
	dm := w.Sim.DM(slacksim.AcmeAdmin)
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "one")
	w.Settled()
	w.Clock.Advance(time.Hour)
	w.Settled()
	if n := len(w.Bot.Requests()); n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
	w.Bot.Reply(func(rw http.ResponseWriter, _ *http.Request, _ request) {
		rw.Header().Set("X-Slack-No-Retry", "1")
		rw.WriteHeader(500)
	})
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, dm, "two")
	w.Settled()
	w.Clock.Advance(time.Hour)
	w.Settled()
	if n := len(w.Bot.Requests()); n != 3 {
		t.Errorf("%d attempts, want 3: no-retry was ignored", n)
	}
}

func TestLateAckIsABreachAndRetried(t *testing.T) {
	w := newWorld(t, func(c *slacksim.Config) { c.AckTimeout = 50 * time.Millisecond })
	w.Install(slacksim.AcmeAdmin)
	w.Bot.Reply(func(_ http.ResponseWriter, r *http.Request, q request) {
		if q.Header.Get("X-Slack-Retry-Num") == "" {
			<-r.Context().Done() // the Sim hangs up after AckTimeout
		}
	})
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "hi")
	w.Settled()
	if got := w.Bot.Last(t); got.Header.Get("X-Slack-Retry-Reason") != "http_timeout" {
		t.Errorf("retry %v", got.Header)
	}
	w.WantBreaches(slacksim.RuleLateAck)
	if d := w.Sim.Deliveries(); len(d) != 2 || d[0].Err != "http_timeout" || d[1].Status != 200 || d[1].RetryNum != 1 {
		t.Errorf("deliveries %+v", d)
	}
}

func TestConnectionRefusedIsRetried(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	w.Sim.SetApp(func(a *slacksim.App) { a.EventsURL = "http://127.0.0.1:1/" })
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "hi")
	w.Settled()
	if d := w.Sim.Deliveries(); len(d) != 2 || d[0].Err != "connection_failed" {
		t.Errorf("deliveries %+v", d)
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.EventsURL = w.Bot.URL })
	w.Clock.Advance(time.Minute)
	w.Settled()
	if w.Bot.Last(t).Header.Get("X-Slack-Retry-Reason") != "connection_failed" {
		t.Error("not delivered after the app came up")
	}
	w.WantBreaches()
}

func TestRedirectsFollowedTwice(t *testing.T) {
	w := newWorld(t)
	w.Bot.Reply(func(rw http.ResponseWriter, r *http.Request, _ request) {
		http.Redirect(rw, r, r.URL.Path, http.StatusTemporaryRedirect)
	})
	if a := w.Sim.Sender.Deliver(w.Ctx, slacksim.Raw{Body: []byte(`{}`)}); a.Err != "too_many_redirects" {
		t.Errorf("ack %+v", a)
	}
	if n := len(w.Bot.Requests()); n != 3 {
		t.Errorf("%d requests, want the first and two redirects", n)
	}
}

func TestEventsNeedSubscriptionScopeAndMembership(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin, "chat:write,app_mentions:read") // no im:history
	in, _ := w.Sim.Installed(slacksim.Acme)
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "hi")
	ts, err := w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> hi")
	if err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if n := len(w.Bot.Requests()); n != 0 {
		t.Errorf("%d deliveries without scope or membership", n)
	}
	note := w.Sim.Messages(slacksim.AcmeGeneral, slacksim.AcmeMember)
	if last := note[len(note)-1]; last.User != slacksim.Slackbot || !last.Ephemeral {
		t.Errorf("Slack did not offer to add the app: %+v", last)
	}
	if err := w.Sim.Invite(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, in.BotUserID); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	got := w.Bot.Events("app_mention")
	if len(got) != 1 || got[0].Event["ts"] != ts {
		t.Fatalf("the mention did not follow the invitation: %v", got)
	}
	w.Sim.SetApp(func(a *slacksim.App) { a.Events = nil })
	w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "<@"+in.BotUserID+"> again")
	w.Settled()
	if n := len(w.Bot.Requests()); n != 1 {
		t.Error("an event without subscription")
	}
}

func TestMentionAndMessageAreTwoEvents(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	in, _ := w.Sim.Installed(slacksim.Acme)
	if err := w.Sim.Invite(w.Ctx, slacksim.AcmeAdmin, slacksim.AcmeGeneral, in.BotUserID); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	if len(w.Bot.Events("member_joined_channel")) != 1 {
		t.Error("the app did not hear that it joined")
	}
	w.Sim.Say(w.Ctx, slacksim.AcmeMember, slacksim.AcmeGeneral, "hello <@"+in.BotUserID+">")
	w.Settled()
	a, m := w.Bot.Events("app_mention"), w.Bot.Events("message")
	if len(a) != 1 || len(m) != 1 || a[0].Outer["event_id"] == m[0].Outer["event_id"] ||
		a[0].Event["ts"] != m[0].Event["ts"] || m[0].Event["channel_type"] != "channel" {
		t.Errorf("mention %v, message %v", a, m)
	}
	w.Call("chat.postMessage", tok, "channel", slacksim.AcmeGeneral, "text", "answer")
	w.Settled()
	own := w.Bot.Last(t).Event
	if own["bot_id"] != in.BotID || own["subtype"] != nil || own["user"] != in.BotUserID {
		t.Errorf("its own post came back as %v", own)
	}
	if len(w.Bot.Events("app_mention")) != 1 {
		t.Error("a bot's post made a mention")
	}
}

func TestEditedAndDeletedMessages(t *testing.T) {
	w := newWorld(t)
	tok := w.Install(slacksim.AcmeAdmin)
	a := w.Call("chat.postMessage", tok, "channel", slacksim.AcmeAdmin, "text", "one")
	w.Settled() // else the two events may overtake one another
	w.Call("chat.update", tok, "channel", a.Str("channel"), "ts", a.Str("ts"), "text", "two")
	w.Settled()
	e := w.Bot.Last(t).Event
	if e["subtype"] != "message_changed" || e["hidden"] != true || e["message"].(map[string]any)["text"] != "two" ||
		e["previous_message"].(map[string]any)["text"] != "one" {
		t.Errorf("changed %v", e)
	}
	w.Call("chat.delete", tok, "channel", a.Str("channel"), "ts", a.Str("ts"))
	w.Settled()
	if e := w.Bot.Last(t).Event; e["subtype"] != "message_deleted" || e["deleted_ts"] != a.Str("ts") {
		t.Errorf("deleted %v", e)
	}
}

func TestSlackConnect(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	in, _ := w.Sim.Installed(slacksim.Acme)
	w.Sim.AddChannel(slacksim.Channel{ID: "C0SHARED01", TeamID: slacksim.Acme, Name: "both",
		SharedWith: []string{slacksim.Birch},
		Members:    []string{slacksim.AcmeAdmin, slacksim.BirchMember, in.BotUserID}})
	if _, err := w.Sim.Say(w.Ctx, slacksim.BirchMember, "C0SHARED01", "hello <@"+in.BotUserID+">"); err != nil {
		t.Fatal(err)
	}
	w.Settled()
	m := w.Bot.Events("message")[0]
	auth := m.Outer["authorizations"].([]any)[0].(map[string]any)
	if m.Outer["team_id"] != slacksim.Birch || auth["team_id"] != slacksim.Acme ||
		m.Outer["context_team_id"] != slacksim.Acme || m.Outer["is_ext_shared_channel"] != true {
		t.Errorf("message envelope %v", m.Outer)
	}
	a := w.Bot.Events("app_mention")[0]
	if a.Outer["team_id"] != slacksim.Acme || a.Event["user_team"] != slacksim.Birch {
		t.Errorf("mention envelope %v", a.Outer)
	}
	// Commands belong to the installing workspace; buttons to everyone in the channel.
	if _, err := w.Sim.Command(w.Ctx, slacksim.BirchMember, "C0SHARED01", "/connection"); err == nil {
		t.Error("an outsider's command was delivered")
	}
	b := w.Call("chat.postMessage", in.BotToken, "channel", "C0SHARED01", "text", "t", "blocks",
		`[{"type":"actions","elements":[{"type":"button","action_id":"go","text":{"type":"plain_text","text":"Go"}}]}]`)
	w.Settled() // its event might come after the press
	if _, err := w.Sim.Press(w.Ctx, slacksim.BirchMember, "C0SHARED01", b.Str("ts"), "go"); err != nil {
		t.Fatal(err)
	}
	p := answer(w.Bot.Last(t).Outer)
	if p.Str("team", "id") != slacksim.Acme || p.Str("user", "team_id") != slacksim.Birch {
		t.Errorf("an outsider's press: team %v, user %v", p["team"], p["user"])
	}
}

func TestRawDeliveriesLie(t *testing.T) {
	w := newWorld(t)
	check := func(r slacksim.Raw) (sig, stamp string) {
		t.Helper()
		r.Body = []byte(`{"type":"event_callback","event":{"type":"odd"}}`)
		if a := w.Sim.Sender.Deliver(w.Ctx, r); a.Status != 200 {
			t.Fatalf("%+v", a)
		}
		h := w.Bot.Last(t).Header
		return h.Get("X-Slack-Signature"), h.Get("X-Slack-Request-Timestamp")
	}
	body := []byte(`{"type":"event_callback","event":{"type":"odd"}}`)
	good := slacksim.Sign("signing-secret-xyz", start.Unix(), body)
	if sig, _ := check(slacksim.Raw{}); sig != good {
		t.Error("the honest one is signed wrongly")
	}
	if sig, _ := check(slacksim.Raw{BadSignature: true}); sig == good || sig == "" {
		t.Error("BadSignature is good")
	}
	if sig, stamp := check(slacksim.Raw{Unsigned: true}); sig != "" || stamp != "" {
		t.Error("Unsigned is signed")
	}
	if sig, stamp := check(slacksim.Raw{Skew: -6 * time.Minute}); stamp != fmt.Sprint(start.Unix()-360) ||
		sig != slacksim.Sign("signing-secret-xyz", start.Unix()-360, body) {
		t.Error("Skew")
	}
	if sig, _ := check(slacksim.Raw{Secret: "next"}); sig != slacksim.Sign("next", start.Unix(), body) {
		t.Error("Secret")
	}
	w.Bot.Reply(status(401))
	if a := w.Sim.Sender.Deliver(w.Ctx, slacksim.Raw{Body: body, BadSignature: true, RetryNum: 2,
		RetryReason: "http_error"}); a.Status != 401 || a.Err != "http_error" {
		t.Errorf("%+v", a)
	}
	w.Settled()
	if n := len(w.Sim.Deliveries()); n != 6 {
		t.Errorf("%d deliveries: raw ones are not retried", n)
	}
	w.WantBreaches()
}

func TestEmitAndDeliverTwice(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	w.Sim.Sender.DeliverTwice(1)
	id, err := w.Sim.Sender.Emit(w.Ctx, slacksim.Event{TeamID: slacksim.Acme,
		Inner: json.RawMessage(`{"type":"grid_migration_started","enterprise_id":"E1"}`)})
	if err != nil {
		t.Fatal(err)
	}
	w.Settled()
	got := w.Bot.Events("grid_migration_started")
	if len(got) != 2 || got[0].Outer["event_id"] != id || got[1].Outer["event_id"] != id ||
		got[1].Header.Get("X-Slack-Retry-Num") != "" {
		t.Errorf("twice: %v", got)
	}
	w.Sim.Sender.Emit(w.Ctx, slacksim.Event{TeamID: slacksim.Acme, ID: id, Inner: map[string]any{"type": "odd"}})
	w.Settled()
	if last := w.Bot.Last(t); last.Outer["event_id"] != id || len(w.Bot.Events("odd")) != 1 {
		t.Error("an own event id, once")
	}
}

func TestVerifyURL(t *testing.T) {
	w := newWorld(t)
	for name, reply := range map[string]func(string) string{
		"text": func(c string) string { return c },
		"form": func(c string) string { return "challenge=" + url.QueryEscape(c) },
		"json": func(c string) string { return `{"challenge":"` + c + `"}` },
	} {
		w.Bot.Reply(func(rw http.ResponseWriter, _ *http.Request, r request) {
			fmt.Fprint(rw, reply(r.Outer["challenge"].(string)))
		})
		if err := w.Sim.Sender.VerifyURL(w.Ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.WantBreaches()
	w.Bot.Reply(nil)
	if err := w.Sim.Sender.VerifyURL(w.Ctx); err == nil {
		t.Error("an empty answer was taken")
	}
	w.WantBreaches(slacksim.RuleVerification)
	if a := w.Sim.Sender.SendSSLCheck(w.Ctx); a.Status != 200 || w.Bot.Last(t).Form.Get("ssl_check") != "1" {
		t.Error("ssl_check")
	}
}

func TestSignVector(t *testing.T) {
	// The vector of docs.slack.dev/authentication/verifying-requests-from-slack.
	body := "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	if got := slacksim.Sign("8f742231b10e8888abcd99yyyzzz85a5", 1531420618,
		[]byte(body)); got != "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503" {
		t.Error(got)
	}
}

func TestCloseStopsRetries(t *testing.T) {
	w := newWorld(t)
	w.Install(slacksim.AcmeAdmin)
	w.Bot.Reply(status(500))
	w.Sim.Say(w.Ctx, slacksim.AcmeAdmin, w.Sim.DM(slacksim.AcmeAdmin), "hi")
	w.Settled()
	if err := w.Sim.Close(w.Ctx); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Hour)
	if n := len(w.Bot.Requests()); n != 2 {
		t.Errorf("%d requests: a retry after Close", n)
	}
	if err := slacksim.New(slacksim.Config{}).Start("0.0.0.0:0"); err == nil ||
		!strings.Contains(err.Error(), "loopback") {
		t.Errorf("Start on every address: %v", err)
	}
}

func TestManualClockRunsInOrder(t *testing.T) {
	c := slacksim.NewManualClock(start)
	var got []string
	at := func(name string, d time.Duration) func() bool {
		return c.AfterFunc(d, func() { got = append(got, name+c.Now().Sub(start).String()) })
	}
	at("b", 2*time.Second)
	at("a", time.Second)
	stop := at("never", time.Second)
	c.AfterFunc(time.Second, func() { at("c", 2*time.Second) })
	if !stop() || stop() {
		t.Error("stop reports wrongly")
	}
	c.Advance(3 * time.Second)
	if strings.Join(got, " ") != "a1s b2s c3s" {
		t.Error(got)
	}
}
