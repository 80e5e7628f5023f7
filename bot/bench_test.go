package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// someEvent is an event of the usual size, some 1.5 KB.
func someEvent(id string) []byte {
	return fmt.Appendf(nil, `{"token":"x","team_id":"T1","api_app_id":"A1","type":"event_callback","event_id":%q,"event_time":1531420618,"event_context":"4-abc",
"authorizations":[{"enterprise_id":null,"team_id":"T1","user_id":"UBOT","is_bot":true,"is_enterprise_install":false}],"is_ext_shared_channel":false,
"event":{"type":"message","channel":"D1","channel_type":"im","user":"U1","text":"hello","ts":"1.1","client_msg_id":"c","blocks":[{"type":"rich_text","block_id":"b","elements":[%s]}]}}`,
		id, strings.TrimSuffix(strings.Repeat(`{"type":"rich_text_section","elements":[{"type":"text","text":"hello"}]},`,
			14), ","))
}

func benchBot(b *testing.B, handlers ...Handler) *Bot {
	in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}})
	if err != nil {
		b.Fatal(err)
	}
	made, err := New(Config{
		Install: in, AppID: "A1", SigningSecrets: []connection.Secret{docSecret}, Handlers: handlers,
		Timers: NoTimers{},
	})
	if err != nil {
		b.Fatal(err)
	}
	return made
}

// noStore knows nobody, at once: what is measured is our own work.
type noStore struct{ install.Store }

func (noStore) Lookup(context.Context, connection.Key) (connection.Connection, error) {
	return connection.Connection{}, connection.ErrNotFound
}

func (noStore) Update(context.Context, connection.Key, func(*connection.Connection) error) (connection.Connection,
	error) {
	return connection.Connection{}, connection.ErrNotFound
}

// What lies between Slack's bytes and the choice of a handler.
func BenchmarkVerifyDecodeRoute(b *testing.B) {
	body := someEvent("Ev1")
	h := header("X-Slack-Signature", sign(docSecret, docStamp, string(body)), "X-Slack-Request-Timestamp", docStamp)
	at := time.Unix(1531420618, 0)
	secrets := []connection.Secret{docSecret}
	made := benchBot(b, OnMessage(`(?s).*`, nil, Scopes("im:history")))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := verify(h, body, secrets, at); err != nil {
			b.Fatal(err)
		}
		e, err := decodeEnvelope(body)
		if err != nil {
			b.Fatal(err)
		}
		if h, _ := made.routes.route(e.Inner.Type, &e.Inner, e.origin("A1").botUserID); h == nil {
			b.Fatal("no handler")
		}
	}
}

// request is a signed POST of now.
func request(kind string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/slack/events", bytes.NewReader(body))
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", sign(docSecret, stamp, string(body)))
	return r
}

// One event through the whole door, up to its acknowledgement. Making and signing the request is part of it.
func BenchmarkEventToAck(b *testing.B) {
	made := benchBot(b, OnMessage(`(?s).*`, nil, Scopes("im:history")))
	door := made.Handler()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = made.Run(ctx) }()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		w := httptest.NewRecorder()
		door.ServeHTTP(w, request("application/json", someEvent(strconv.Itoa(i))))
		if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
			b.Fatal(w.Code)
		}
	}
	cancel()
	<-ended
}

// One slash command: request, handler, answer. The look-up of the connection is storage's to measure.
func BenchmarkCommandRoundTrip(b *testing.B) {
	answer := OnCommand("/connection", func(ctx context.Context, t *Command) error {
		text := slack.NewTextBlockObject("mrkdwn", "It works.", false, false)
		return t.Respond(ctx, Reply{Text: "It works.", Blocks: []slack.Block{slack.NewSectionBlock(text, nil, nil)}})
	}, WithoutConnection(), Describe("says so", ""))
	door := benchBot(b, answer).Handler()
	body := []byte(
		"command=%2Fconnection&text=status&team_id=T1&user_id=U1&channel_id=C1&api_app_id=A1&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2Fx")
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		door.ServeHTTP(w, request("application/x-www-form-urlencoded", body))
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			b.Fatal(w.Code)
		}
	}
}

// Whose connection a decoded delivery is for. Decoding is BenchmarkVerifyDecodeRoute's to measure.
func BenchmarkKey(b *testing.B) {
	want := connection.Key{AppID: "A1", TeamID: "T1"}
	b.Run("event", func(b *testing.B) {
		e, err := decodeEnvelope(someEvent("Ev1"))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if from := e.origin("A1"); from.key != want {
				b.Fatal(from.key)
			}
		}
	})
	b.Run("command", func(b *testing.B) {
		form := url.Values{"command": {"/go"}, "team_id": {"T1"}, "api_app_id": {"A1"}, "is_enterprise_install": {"false"}}
		b.ReportAllocs()
		for b.Loop() {
			if k, _ := commandKey(form, ""); k != want {
				b.Fatal(k)
			}
		}
	})
	b.Run("interaction", func(b *testing.B) {
		var i interaction
		if err := json.Unmarshal([]byte(press(`"team":{"id":"T1"},"user":{"id":"U1","team_id":"T1"}`)), &i); err != nil {
			b.Fatal(err)
		}
		i.AppID = "A1"
		b.ReportAllocs()
		for b.Loop() {
			if k, _ := i.key(""); k != want {
				b.Fatal(k)
			}
		}
	})
}

// From what was accepted to its handler's end, for each kind: decoding, routing, the gate, the handler, its answer. The
// look-up of the connection is storage's to measure.
func BenchmarkDispatch(b *testing.B) {
	const acts = `"api_app_id":"A1","team":{"id":"T1"},"user":{"id":"U1","team_id":"T1"},"trigger_id":"1.2.x",`
	const in = `"channel":{"id":"C1"},"message":{"ts":"1.1","text":"Shall I?"},"response_url":"https://hooks.slack.com/x",`
	const from = `"user":"U1","channel":"C1","channel_type":"channel","ts":"1.1","text":"say it"}`
	for _, test := range []struct {
		kind Kind
		body string // what Slack sends; of an event what is in the envelope
	}{
		{KindEvent,
			`{"type":"reaction_added","user":"U1","reaction":"eyes","item":{"type":"message","channel":"C1","ts":"1.1"}}`},
		{KindMessage, `{"type":"message",` + from},
		{KindMention, `{"type":"app_mention",` + from},
		{KindFunction,
			`{"type":"function_executed","function":{"callback_id":"x"},"inputs":{},"function_execution_id":"Fx1"}`},
		{KindLink,
			`{"type":"link_shared","user":"U1","channel":"C1","links":[{"domain":"example.com",` +
				`"url":"https://example.com/1"}]}`},
		{KindHome, `{"type":"app_home_opened","user":"U1","channel":"D1","tab":"home"}`},
		{KindCommand, `command=%2Fx&text=it&team_id=T1&user_id=U1&channel_id=C1&api_app_id=A1`},
		{KindAction, `{"type":"block_actions",` + acts + in + `"actions":[{"type":"button","action_id":"x","value":"v"}]}`},
		{KindViewSubmission, `{"type":"view_submission",` + acts + `"view":{"id":"V1","type":"modal","callback_id":"x"}}`},
		{KindViewClosed, `{"type":"view_closed",` + acts + `"view":{"id":"V1","type":"modal","callback_id":"x"}}`},
		{KindShortcut, `{"type":"shortcut",` + acts + `"callback_id":"x"}`},
		{KindMessageShortcut, `{"type":"message_action",` + acts + in + `"callback_id":"x"}`},
		{KindOptions, `{"type":"block_suggestion",` + acts + in + `"action_id":"x","value":"a"}`},
		{KindAgentOpened, `{"type":"app_home_opened","user":"U1","channel":"D1","tab":"messages"}`},
		{KindAgentMessage, `{"type":"message","user":"U1","channel":"D1","channel_type":"im","ts":"1.1","text":"say it"}`},
		{KindAgentContext, `{"type":"app_context_changed","user":"U1","channel":"D1","context":{"entities":[]}}`},
		{KindAgentTitle, `{"type":"agent_session_title_changed","user":"U1","channel":"D1","thread_ts":"1.1","title":"It"}`},
		{KindTimer, `{"name":"x","at":1531420618000000}`},
	} {
		b.Run(string(test.kind), func(b *testing.B) {
			ran := 0
			made := benchBot(b, counting(&ran)...)
			body := []byte(test.body)
			e := Delivery{Kind: transport.KindEvents, Key: connection.Key{AppID: "A1", TeamID: "T1"}}
			e.Body = fmt.Appendf(nil, `{"type":"event_callback","event_id":"Ev1","team_id":"T1","api_app_id":"A1","event":%s}`,
				body)
			if env, err := decodeEnvelope(e.Body); err == nil {
				e.Type = env.Inner.Type
			}
			if test.kind == KindTimer {
				e.Kind, e.Type, e.Body = transport.KindTimer, "timer x", body
			}
			form, _ := url.ParseQuery(test.body)

			dispatch := func() error { again := e; return made.handle(b.Context(), &again, nil) }
			if test.kind == KindCommand {
				dispatch = func() error { _, err := made.acceptCommand(b.Context(), form, body); return err }
			} else if h := (Handler{Kind: test.kind}); h.interactive() {
				dispatch = func() error { _, err := made.acceptInteraction(b.Context(), body); return err }
			}

			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := dispatch(); err != nil {
					b.Fatal(err)
				}
			}
			if ran != b.N {
				b.Fatalf("it ran %d times of %d", ran, b.N)
			}
		})
	}
}

// counting are handlers of all kinds that do next to nothing.
func counting(ran *int) []Handler {
	always, done := WithoutConnection(), Text("Done.")
	titled := Titled("Do it", "Does it.")
	return []Handler{
		OnEvent("reaction_added", func(context.Context, *Event[slackevents.ReactionAddedEvent]) error { *ran++; return nil },
			always, Scopes("reactions:read")),
		OnMessage("^say", func(context.Context, *Message) error { *ran++; return nil }, always, Scopes("channels:history")),
		OnMention("^say", func(context.Context, *Message) error { *ran++; return nil }, always),
		OnFunction("x", func(context.Context, *Function[struct{}]) error { *ran++; return nil }, always, titled),
		OnLink("example.com", func(context.Context, *Link) error { *ran++; return nil }, always),
		OnHomeOpened(func(context.Context, *Home) error { *ran++; return nil }, always),
		OnCommand("/x", func(ctx context.Context, c *Command) error { *ran++; return c.Respond(ctx, done) }, always,
			Describe("does it", "")),
		OnAction("x", func(ctx context.Context, a *Action) error { *ran++; return a.Respond(ctx, done) }, always),
		OnViewSubmission("x", func(ctx context.Context, s *Submission) error { *ran++; return s.Respond(ctx, done) }, always),
		OnViewClosed("x", func(context.Context, *ViewClosed) error { *ran++; return nil }, always),
		OnShortcut("x", func(ctx context.Context, s *Shortcut) error { *ran++; return s.Respond(ctx, done) }, always, titled),
		OnMessageShortcut("x", func(ctx context.Context, s *Shortcut) error { *ran++; return s.Respond(ctx, done) }, always,
			titled),
		OnOptions("x", func(_ context.Context, o *Options) error { *ran++; return o.Reply() }, always),
		OnAgentOpened(func(context.Context, *Thread) error { *ran++; return nil }, always),
		OnAgentMessage("^say", func(context.Context, *Thread) error { *ran++; return nil }, always),
		OnAgentContext(func(context.Context, *Thread) error { *ran++; return nil }, always),
		OnAgentTitle(func(context.Context, *Thread) error { *ran++; return nil }, always),
		OnTimer("x", func(context.Context, *Timer) error { *ran++; return nil }, always),
	}
}
