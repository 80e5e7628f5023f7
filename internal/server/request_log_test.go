package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/switchboard-go/switchboard/internal/spans"
)

// However a request ends, its span ends with it, and says what the visitor got.
func TestEveryRequestsSpanEnds(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		handle http.HandlerFunc
		status int64 // 0: none is said
		why    string
	}{
		"nothing is written": {func(http.ResponseWriter, *http.Request) {}, http.StatusOK, ""},
		"refused": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
			http.StatusTeapot, ""},
		"panic": {func(http.ResponseWriter, *http.Request) { panic("oh") },
			http.StatusInternalServerError, "Internal Server Error"},
		"broken off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "broken_off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := tracetest.NewSpanRecorder()
			tracer := spans.New(sdk.NewTracerProvider(sdk.WithSpanProcessor(seen)))
			func() {
				defer func() { _ = recover() }()
				withRequestLog(slog.New(slog.DiscardHandler), tracer, of.handle).ServeHTTP(httptest.NewRecorder(),
					httptest.NewRequest(http.MethodGet, "/?code=hush", nil))
			}()

			ended := seen.Ended()
			if len(ended) != 1 {
				t.Fatalf("%d spans ended", len(ended))
			}
			var status int64
			for _, a := range ended[0].Attributes() {
				if a.Key == spans.Status {
					status = a.Value.AsInt64()
				}
				if strings.Contains(a.Value.String(), "hush") {
					t.Errorf("%s says the query", a.Key)
				}
			}
			s := ended[0].Status()
			if failed := s.Code == codes.Error; status != of.status || s.Description != of.why || failed != (of.why != "") {
				t.Errorf("status %d, %v", status, s)
			}
		})
	}
}

// A request that nobody writes an answer to is a 200 in the log, as it is to the visitor.
func TestRequestIsLoggedAsItWasAnswered(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(requestLog{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})})
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/slack/x?code=hush", nil)
	r.Header.Set("X-Request-Id", "from-the-proxy")
	withRequestLog(log, spans.Tracer{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).
		ServeHTTP(httptest.NewRecorder(), r)
	if line := out.String(); !strings.Contains(line, "path=/slack/x status=200") ||
		!strings.Contains(line, "request=from-the-proxy") || strings.Contains(line, "hush") {
		t.Error(line)
	}
}
