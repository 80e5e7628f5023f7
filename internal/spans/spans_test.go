package spans

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Where nobody collects traces, nothing is made.
func TestNobodyCollects(t *testing.T) {
	var off Tracer
	ctx, event := context.Background(), "Ev1"
	n := testing.AllocsPerRun(100, func() {
		ctx, span := off.Start(ctx, trace.SpanKindServer, "keep", "message")
		span.Say(EventID, event)
		span.Number(Attempt, 1)
		span.Fail("panicked")
		off.Current(ctx).Say(Outcome, "done")
		span.End()
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
	if next := http.DefaultTransport; off.Calls(next, nil) != next {
		t.Error("calls go another way")
	}
}

// What is carried leads on in another process, and what isn't ours leads nowhere.
func TestCarried(t *testing.T) {
	t.Parallel()
	seen := tracetest.NewSpanRecorder()
	tracer := New(sdk.NewTracerProvider(sdk.WithSpanProcessor(seen)))
	ctx, span := tracer.Start(t.Context(), trace.SpanKindProducer, "keep", "")
	carried := Carried(ctx)
	span.End()
	_, later := tracer.Start(Continue(context.Background(), carried), trace.SpanKindConsumer, "handle", "")
	later.End()
	if all := seen.Ended(); all[1].Parent().SpanID() != all[0].SpanContext().SpanID() || TraceID(ctx) == "" {
		t.Errorf("%q doesn't lead on", carried)
	}

	for _, odd := range []string{"", "x", carried + "-00", "00-" + strings.Repeat("0", 32) + "-" + strings.Repeat("0", 16) + "-01"} {
		if id := TraceID(Continue(context.Background(), odd)); id != "" {
			t.Errorf("%q leads to %s", odd, id)
		}
	}
	if got := Carried(context.Background()); got != "" {
		t.Errorf("of no trace %q is carried", got)
	}
}

// What is said is UTF-8, wherever a long word is cut: a collector's client refuses a whole batch for one that isn't.
func TestWordsAreUTF8(t *testing.T) {
	t.Parallel()
	seen := tracetest.NewSpanRecorder()
	tracer := New(sdk.NewTracerProvider(sdk.WithSpanProcessor(seen)))
	for _, word := range []string{"\xff", strings.Repeat("ж", longest), "x" + strings.Repeat("ж", longest)} {
		_, span := tracer.Start(t.Context(), trace.SpanKindInternal, "run", word)
		span.Say(Handler, word)
		span.Fail(word)
		span.End()
	}

	for _, s := range seen.Ended() {
		said := []string{s.Name(), s.Status().Description}
		for _, a := range s.Attributes() {
			said = append(said, a.Value.AsString())
		}
		for _, word := range said {
			if !utf8.ValidString(word) || len(word) > longest+len("run ") {
				t.Errorf("%q is said", word)
			}
		}
	}
}

// Of a call only Slack's method is said, and what came of it: an address can be as good as a password.
func TestCalls(t *testing.T) {
	t.Parallel()
	slack := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/commands/T1/hush" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer slack.Close()
	seen := tracetest.NewSpanRecorder()
	tracer := New(sdk.NewTracerProvider(sdk.WithSpanProcessor(seen)))
	client := http.Client{Transport: tracer.Calls(http.DefaultTransport, func(r *http.Response) string {
		if strings.HasSuffix(r.Request.URL.Path, "auth.test") {
			return "invalid_auth"
		}
		return ""
	})}
	for _, path := range []string{"/api/auth.test?token=hush", "/api/chat.postMessage", "/commands/T1/hush", "/api/hush/hush"} {
		resp, err := client.Get(slack.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	away := errors.New("hush")
	client.Transport = tracer.Calls(roundTripper(func(*http.Request) (*http.Response, error) { return nil, away }), nil)
	if _, err := client.Get(slack.URL + "/api/auth.test"); !errors.Is(err, away) {
		t.Error(err)
	}

	want := []struct{ name, why string }{{"GET /api/auth.test", "invalid_auth"}, {"GET /api/chat.postMessage", ""},
		{"GET", "not_found"}, {"GET", ""}, {"GET /api/auth.test", "no_answer"}}
	for i, s := range seen.Ended() {
		failed := s.Status().Code == codes.Error
		if s.Name() != want[i].name || s.Status().Description != want[i].why || failed != (want[i].why != "") {
			t.Errorf("%s: %v, want %v", s.Name(), s.Status(), want[i])
		}
		for _, a := range s.Attributes() {
			if strings.Contains(a.Value.String(), "hush") {
				t.Errorf("%s: %s says %s", s.Name(), a.Key, a.Value.String())
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
