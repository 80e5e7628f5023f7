package server

// Traces leave by OTLP over HTTP, where a collector is named. The SDK sends them behind everybody's back, in batches; a
// collector that is away costs the spans that don't fit into its queue, and nothing else.

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchboard-go/switchboard/internal/lasting"
	"github.com/switchboard-go/switchboard/internal/spans"
)

// Collector is where traces go. What else there is to choose (sampling, batches, certificates) the SDK reads from the
// environment itself.
type Collector struct {
	URL     string            // to which /v1/traces is added; "": traces go nowhere
	Headers map[string]string // of each request; nil: those that the SDK finds
	Service string            // what the program is called there
}

const (
	// How long a stop waits for the last spans to be taken.
	flushBudget = 3 * time.Second
	// One batch, with what the SDK tries again: a collector that is away is not asked all the time.
	exportBudget = 10 * time.Second
)

// openTraces begins to collect traces, and returns what ends that. Where nobody wants any it returns what the program
// brought along.
func (s *Server) openTraces(ctx context.Context) (trace.TracerProvider, func(), error) {
	c := s.cfg.Collector
	if s.cfg.Traces != nil || c.URL == "" {
		return s.cfg.Traces, func() {}, nil
	}

	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(strings.TrimRight(c.URL, "/") + "/v1/traces"),
		otlptracehttp.WithTimeout(exportBudget),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportBudget,
		}),
	}
	if len(c.Headers) > 0 {
		options = append(options, otlptracehttp.WithHeaders(c.Headers))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("open traces: %w", err)
	}

	// What the environment says (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) goes before what we say.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		semconv.ServiceName(c.Service), semconv.ServiceVersion(s.cfg.Install.App.Version)), resource.WithFromEnv())
	if err != nil {
		s.log.WarnContext(ctx, "traces say less of this process", "cause", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(&exporting{
		SpanExporter: exporter, log: s.log, trouble: lasting.Trouble{
			Begins: "traces are not delivered: the collector doesn't take them", Ends: "traces are delivered again",
		}}))
	return provider, func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushBudget)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			s.log.Warn("the last traces were not delivered", "cause", err)
		}
	}, nil
}

// exporting logs that the collector doesn't take traces: once, and once that it does again.
type exporting struct {
	sdk.SpanExporter
	log     *slog.Logger
	trouble lasting.Trouble
}

// ExportSpans is sdk.SpanExporter's. It tells nobody else of an error: the SDK would write it to the standard error
// output, each time.
func (e *exporting) ExportSpans(ctx context.Context, some []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, some)
	e.trouble.Note(ctx, e.log, err, "spans", len(some))
	return nil
}

// enterTrace begins the span of a request, which goes on with the trace of who sent it.
func enterTrace(of spans.Tracer, r *http.Request) (context.Context, spans.Span) {
	if !of.On() {
		return r.Context(), spans.Span{}
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := of.Start(ctx, trace.SpanKindServer, methodOf(r), "")
	span.Say(spans.Method, methodOf(r))
	return ctx, span
}

// methodOf is a request's method, or the word for one that nobody knows: anybody can make one up.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return r.Method
	}
	return "_OTHER"
}

// leaveTrace ends the span of a request; status is 0 where its answer was broken off. Of its address only the route is said: in the rest there are codes and states.
func leaveTrace(span spans.Span, r *http.Request, status int) {
	if route := routeOf(r.Pattern); route != "" {
		span.Name(methodOf(r), route)
		span.Say(spans.Route, route)
	}
	if status == 0 {
		span.Fail("broken_off")
	} else {
		span.Number(spans.Status, status)
	}
	if status >= http.StatusInternalServerError {
		span.Fail(http.StatusText(status))
	}
	span.End()
}

// routeOf is the path of a pattern of http.ServeMux.
func routeOf(pattern string) string {
	return strings.TrimSuffix(pattern[strings.LastIndexAny(pattern, " \t")+1:], "{$}")
}
