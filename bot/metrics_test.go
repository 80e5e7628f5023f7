package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install/connection"
	"github.com/switchboard-go/switchboard/slacksim"
)

// series is every number there is, by its name and labels.
func series(t *testing.T, from *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			all[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// steps fails unless between two looks the counters that begin with prefix went up by these, and no other did.
func steps(t *testing.T, what, prefix string, before, after map[string]float64, want ...string) {
	t.Helper()
	expected := map[string]float64{}
	for _, name := range want {
		expected[prefix+name]++
	}
	for name, n := range after {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if _, there := before[name]; !there {
			t.Errorf("%s: %s was not there at 0", what, name)
		}
		if n-before[name] != expected[name] {
			t.Errorf("%s: %s went up by %v, want %v", what, name, n-before[name], expected[name])
		}
		delete(expected, name)
	}
	if len(expected) > 0 {
		t.Errorf("%s: not counted: %v", what, expected)
	}
}

// counted is a Bot whose numbers and log a test looks at; the log at debug level.
func counted(t *testing.T, change func(*Config), handlers ...Handler) (*Bot, *prometheus.Registry, *lockedBuffer) {
	t.Helper()
	numbers, log := prometheus.NewRegistry(), &lockedBuffer{}
	b, _ := loggedBot(t, func(c *Config) {
		c.Metrics = numbers
		c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if change != nil {
			change(c)
		}
	}, handlers...)
	return b, numbers, log
}

// What is refused at the door moves the number of its cause, and that of the last good delivery stays.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	ran := 0
	b, numbers, _ := counted(t, func(c *Config) { c.AppID = "A1" },
		OnCommand("/x", func(context.Context, *Command) error { ran++; return nil }, Describe("x", ""), WithoutConnection()),
		OnAction("x", func(context.Context, *Action) error { ran++; return nil }, WithoutConnection()))
	event := func(app string) []byte {
		return fmt.Appendf(nil,
			`{"type":"event_callback","event_id":"Ev1","api_app_id":%q,"team_id":"T1","event":{"type":"x"}}`, app)
	}
	with := func(r *http.Request, change func(*http.Request)) *http.Request { change(r); return r }
	signed := func() *http.Request { return request("application/json", event("A1")) }
	const form = "application/x-www-form-urlencoded"
	for _, test := range []struct {
		name, cause string
		request     *http.Request
		code        int
	}{
		{"a GET", "method", httptest.NewRequest(http.MethodGet, "/slack/events", nil), 405},
		{"no headers", "headers", httptest.NewRequest(http.MethodPost, "/slack/events", strings.NewReader("{}")), 401},
		{"no timestamp", "headers", with(signed(), func(r *http.Request) { r.Header.Del(transport.StampHeader) }), 401},
		{"two signatures", "headers", with(signed(), func(r *http.Request) {
			r.Header.Add(transport.SignatureHeader, "v0=1")
		}), 401},
		{"of an hour ago", "timestamp", with(signed(), func(r *http.Request) {
			r.Header.Set(transport.StampHeader, strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10))
		}), 401},
		{"no time at all", "timestamp", with(signed(), func(r *http.Request) {
			r.Header.Set(transport.StampHeader, "now")
		}), 401},
		{"an odd signature", "signature", with(signed(), func(r *http.Request) {
			r.Header.Set(transport.SignatureHeader, "v1=00")
		}), 401},
		{"another secret", "signature", with(signed(), func(r *http.Request) {
			r.Header.Set(transport.SignatureHeader, sign("another", r.Header.Get(transport.StampHeader), string(event("A1"))))
		}), 401},
		{"too large", "too_large", with(signed(), func(r *http.Request) { r.ContentLength = transport.MaxBody + 1 }), 413},
		{"cut short", "body", with(signed(), func(r *http.Request) { r.Body = http.MaxBytesReader(nil, r.Body, 3) }), 400},
		{"an event of another app", "app_id", request("application/json", event("A2")), 200},
		{"a command of another app", "app_id", request(form, []byte("command=%2Fx&api_app_id=A2")), 200},
		{"a press of another app", "app_id", request(form,
			[]byte("payload="+url.QueryEscape(`{"type":"block_actions","api_app_id":"A2",`+
				`"actions":[{"type":"button","action_id":"x"}]}`))), 200},
		{"word of another app's limit", "app_id",
			request("application/json", []byte(`{"type":"app_rate_limited","api_app_id":"A2"}`)), 200},
	} {
		before := series(t, numbers)
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, test.request)
		after := series(t, numbers)
		if w.Code != test.code {
			t.Errorf("%s: answered with %d, want %d", test.name, w.Code, test.code)
		}
		steps(t, test.name, "switchboard_refused_total cause=", before, after, test.cause)
		last := "switchboard_last_refusal_timestamp_seconds cause=" + test.cause
		if after[last] < float64(time.Now().Add(-time.Minute).Unix()) || after[last] <= before[last] {
			t.Errorf("%s: refused at %v, before it %v", test.name, after[last], before[last])
		}
		if after["switchboard_last_delivery_timestamp_seconds"] != 0 {
			t.Errorf("%s counts as a good delivery", test.name)
		}
	}
	if ran != 0 {
		t.Errorf("%d handlers ran for what was refused", ran)
	}

	before := series(t, numbers)
	b.Handler().ServeHTTP(httptest.NewRecorder(), with(signed(), func(r *http.Request) {
		r.Header.Set("X-Slack-Retry-Num", "1")
		r.Header.Set("X-Slack-Retry-Reason", "http_timeout")
	}))
	after := series(t, numbers)
	steps(t, "a good one", "switchboard_refused_total cause=", before, after)
	steps(t, "a good one", "switchboard_redeliveries_total reason=", before, after, "http_timeout")
	if at := after["switchboard_last_delivery_timestamp_seconds"]; at < float64(time.Now().Add(-time.Minute).Unix()) {
		t.Errorf("the last good delivery was at %v", at)
	}
}

// So it is in Socket Mode.
func TestRefusalsOfSocketsAreCounted(t *testing.T) {
	t.Parallel()
	w := newSocketStage(t)
	b := w.bot()
	numbers := prometheus.NewRegistry()
	numbers.MustRegister(b.metrics.refused)
	w.connect(b, nil)
	w.connected(2)
	large := fmt.Sprintf(`{"type":"event_callback","event_id":"Ev1","event":{"type":"message","text":%q}}`,
		strings.Repeat("x", transport.MaxBody))
	for body, cause := range map[string]string{
		large: "too_large",
		`{"type":"event_callback","event_id":"Ev2","api_app_id":"A2","event":{"type":"message"}}`: "app_id",
	} {
		before := series(t, numbers)
		w.Sender.Deliver(w.ctx, slacksim.Raw{Kind: "event", Body: []byte(body)})
		steps(t, cause, "switchboard_refused_total cause=", before, series(t, numbers), cause)
	}
}

// A counter that is absent before its first step hides that step from increase().
func TestCountersBeginAtZero(t *testing.T) {
	t.Parallel()
	_, numbers, _ := counted(t, nil)
	there := series(t, numbers)
	for _, name := range []string{
		"switchboard_deliveries_total kind=events_api result=refused",
		"switchboard_refused_total cause=signature",
		"switchboard_dropped_total kind=interactive reason=no_handler",
		"switchboard_redeliveries_total reason=http_error",
		"switchboard_events_total outcome=dead",
		"switchboard_events_total outcome=retry",
		"switchboard_untold_events_total",
		"switchboard_handled_total handler=event tokens_revoked kind=event result=panicked",
		"switchboard_lost_answers_total cause=not_delivered",
		"switchboard_late_answers_total result=lost",
		"switchboard_panics_total",
		"switchboard_unread_payloads_total kind=interactive",
		"switchboard_app_rate_limited_total",
	} {
		if n, ok := there[name]; !ok || n != 0 {
			t.Errorf("%s: %v, %v", name, n, ok)
		}
	}
	for name := range there {
		if strings.Contains(name, "socket") {
			t.Errorf("%s is there where Socket Mode is off", name)
		}
	}

	_, numbers, _ = counted(t, func(c *Config) { c.AppToken = "xapp-1" })
	there = series(t, numbers)
	for _, name := range []string{"switchboard_sockets", "switchboard_socket_failures_total"} {
		if n, ok := there[name]; !ok || n != 0 {
			t.Errorf("in Socket Mode %s: %v, %v", name, n, ok)
		}
	}
}

// outcomes are the ways in which a handler can end, and the number and the level of the log that each has.
var outcomes = []struct {
	name, result string
	level        string // of "handler failed"; "": not logged
	end          func() error
}{
	{"done", "done", "", func() error { return nil }},
	{"failed", "failed", "ERROR", func() error { return errors.New("out of luck") }},
	{"panicked", "panicked", "ERROR", func() error { panic("out of luck") }},
	{"refused", "user_error", "", func() error { return &UserError{"Not on Sundays."} }},
	{"limited", "limited", "INFO", func() error {
		return fmt.Errorf("post: %w", &slack.RateLimitedError{RetryAfter: time.Minute})
	}},
	{"limited in words", "limited", "INFO", func() error { return slack.SlackErrorResponse{Err: "ratelimited"} }},
}

// However a handler ends, of every kind, a number moves. Slack's limits and our own pace are no ERROR: anybody who
// writes fast could page the operator.
func TestEndsOfHandlersAreCounted(t *testing.T) {
	t.Parallel()
	key := connection.Key{AppID: "A1", TeamID: "T1"}
	press := `{"type":%q,"api_app_id":"A1","team":{"id":"T1"},"user":{"id":"U1"},"actions":[{"action_id":"x","type":"button"}],"view":{"id":"V1","callback_id":"x"}}`
	for _, end := range outcomes {
		typed := func(context.Context, *Command) error { return end.end() }
		typedAsync := func(context.Context, *AsyncCommand) error { return end.end() }
		pressed := func(context.Context, *Action) error { return end.end() }
		submitted := func(context.Context, *Submission) error { return end.end() }
		closed := func(context.Context, *ViewClosed) error { return end.end() }
		for kind, test := range map[string]struct {
			h    Handler
			come func(b *Bot)
		}{
			"event": {onGone(end.end), func(b *Bot) { b.workers.work(t.Context(), gone("Ev1", 1), nil) }},
			"command": {OnCommand("/x", typed, Describe("x", ""), WithoutConnection()), func(b *Bot) {
				_, _ = b.accept(t.Context(), transport.Delivery{Kind: transport.KindCommands,
					Form: url.Values{"command": {"/x"}, "team_id": {"T1"}}})
			}},
			"command slow": {OnCommandAsync("/x", typedAsync, Describe("x", ""), WithoutConnection()), func(b *Bot) {
				b.workers.work(t.Context(), Delivery{Kind: transport.KindCommands, Type: "command /x", Key: key, Attempt: 1,
					Body: []byte(`{"form":"team_id=T1"}`)}, nil)
			}},
			"action": {OnAction("x", pressed, WithoutConnection()), func(b *Bot) {
				_, _ = b.accept(t.Context(), transport.Delivery{Kind: transport.KindInteractive,
					Body: fmt.Appendf(nil, press, "block_actions")})
			}},
			"view": {OnViewSubmission("x", submitted, WithoutConnection()), func(b *Bot) {
				_, _ = b.accept(t.Context(), transport.Delivery{Kind: transport.KindInteractive,
					Body: fmt.Appendf(nil, press, "view_submission")})
			}},
			"view_closed": {OnViewClosed("x", closed, WithoutConnection()), func(b *Bot) {
				_, _ = b.accept(t.Context(), transport.Delivery{Kind: transport.KindInteractive,
					Body: fmt.Appendf(nil, press, "view_closed")})
			}},
		} {
			b, numbers, log := counted(t, nil, test.h)
			kind, _, _ = strings.Cut(kind, " ")
			what := kind + " that is " + end.name
			before := series(t, numbers)
			test.come(b)
			b.tasks.Wait()
			steps(t, what, "switchboard_handled_total ", before, series(t, numbers),
				"handler="+test.h.id()+" kind="+kind+" result="+end.result)
			if n := series(t, numbers)["switchboard_handler_seconds handler="+test.h.id()+" kind="+kind]; n != 1 {
				t.Errorf("%s: its time was measured %v times", what, n)
			}
			if failed := lineWith(log.String(), `msg="handler failed"`); end.level == "" && failed != "" ||
				end.level != "" && !strings.Contains(failed, "level="+end.level) {
				t.Errorf("%s is logged as %s", what, failed)
			}
		}
	}
}

// lineWith is the first line of a log that has these words.
func lineWith(log, words string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, words) {
			return line
		}
	}
	return ""
}

// One line, at debug level, tells what became of an event or a press, and of whom.
func TestWhatComesCanBeFollowed(t *testing.T) {
	t.Parallel()
	b, _, log := counted(t, nil, onGone(func() error { return errors.New("out of luck") }),
		OnCommand("/x", func(context.Context, *Command) error { return nil }, Describe("x", ""), WithoutConnection()))
	e := gone("Ev1", 2)
	e.Key = connection.Key{AppID: "A1", TeamID: "T1"}
	b.workers.work(t.Context(), e, nil)
	if _, err := b.accept(t.Context(), transport.Delivery{Kind: transport.KindCommands,
		Form: url.Values{"command": {"/x"}, "team_id": {"T7"}}}); err != nil {
		t.Fatal(err)
	}
	b.tasks.Wait()
	for line, parts := range map[string][]string{
		lineWith(log.String(), `msg="event ended"`): {"event=Ev1", "type=app_uninstalled", "team=T1",
			`handler="event app_uninstalled"`, "result=failed", "outcome=retry", "attempt=2", "took="},
		lineWith(log.String(), `msg="handler ended"`): {`handler="command /x"`, "team=T7", "result=done", "took=", "ref="},
	} {
		for _, part := range append(parts, "level=DEBUG") {
			if !strings.Contains(line, part) {
				t.Errorf("%q is not in: %s", part, line)
			}
		}
	}
}

// What comes to no handler moves a number, whatever it is and why.
func TestWhatIsDroppedIsCounted(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *Event[struct{}]) error { return nil }
	b, numbers, _ := counted(t, nil, OnEvent("reaction_added", nothing, Scopes("reactions:read")))
	event := func(rest string) func() {
		return func() {
			body := `{"type":"event_callback","event_id":"Ev1","api_app_id":"A1","team_id":"T1","authorizations":[{"team_id":"T1","user_id":"UBOT","is_bot":true}],"event":{` + rest + `}}`
			b.workers.work(t.Context(), Delivery{ID: "Ev1", Kind: transport.KindEvents, Type: "reaction_added",
				Key: connection.Key{AppID: "A1", TeamID: "T1"}, Attempt: 1, Body: []byte(body)}, nil)
		}
	}
	deliver := func(d transport.Delivery) func() { return func() { _, _ = b.accept(t.Context(), d) } }
	for what, test := range map[string]struct {
		come func()
		want string
	}{
		"an event that nobody handles": {func() {
			b.workers.work(t.Context(), Delivery{ID: "Ev2", Kind: transport.KindEvents, Type: "x", Attempt: 1,
				Body: []byte(`{"event_id":"Ev2","event":{"type":"x"}}`)}, nil)
		}, "kind=events_api reason=no_handler"},
		"our own reaction": {event(`"type":"reaction_added","user":"UBOT"`), "kind=events_api reason=own"},
		"an envelope of a new kind": {deliver(transport.Delivery{Kind: transport.KindEvents,
			Body: []byte(`{"type":"news"}`)}), "kind=events_api reason=unknown_kind"},
		"a command of nobody": {deliver(transport.Delivery{Kind: transport.KindCommands,
			Form: url.Values{"command": {"/nobody"}}}), "kind=slash_commands reason=no_handler"},
		"a button of nobody": {deliver(transport.Delivery{Kind: transport.KindInteractive,
			Body: []byte(`{"type":"block_actions","actions":[{"action_id":"x"}]}`)}), "kind=interactive reason=no_handler"},
		"a delivery of another kind": {deliver(transport.Delivery{Kind: "news"}), "kind=unreadable reason=unknown_kind"},
	} {
		before := series(t, numbers)
		test.come()
		steps(t, what, "switchboard_dropped_total ", before, series(t, numbers), test.want)
	}
}

func textLog(to *lockedBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// Whatever is typed and sent, there are no more series than handlers and kinds give: a store of numbers isn't filled by
// strangers. A long pattern is cut.
func TestNothingThatComesAddsASeries(t *testing.T) {
	t.Parallel()
	long := OnMessage("^"+strings.Repeat("ä", 80)+"$", func(context.Context, *Message) error { return nil },
		Scopes("im:history"))
	b, numbers, _ := counted(t, nil, long,
		OnAction("vote.*", func(context.Context, *Action) error { return nil }, WithoutConnection()))
	before := series(t, numbers)
	for i := range 5 {
		_, _ = b.accept(t.Context(), transport.Delivery{Kind: fmt.Sprint("kind", i)})
		_, _ = b.accept(t.Context(), transport.Delivery{Kind: transport.KindCommands,
			Form: url.Values{"command": {fmt.Sprint("/x", i)}, "team_id": {"T1"}}})
		_, _ = b.accept(t.Context(), transport.Delivery{Kind: transport.KindInteractive,
			Body: fmt.Appendf(nil, `{"type":"block_actions","team":{"id":"T1"},"user":{"id":"U1"},`+
				`"actions":[{"action_id":"vote.%d","type":"button"}]}`, i)})
	}
	b.tasks.Wait()

	after := series(t, numbers)
	if len(after) != len(before) {
		t.Errorf("%d series became %d", len(before), len(after))
	}
	if n := after["switchboard_handled_total handler=action vote.* kind=action result=done"]; n != 5 {
		t.Errorf("5 presses are %v runs of their handler", n)
	}
	for name := range after {
		if len(name) > 220 {
			t.Errorf("%s is as long as its pattern", name)
		}
	}
}
