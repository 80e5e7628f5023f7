// Package spans begins and ends the spans of OpenTelemetry traces. Where nobody collects them, nothing is made.
package spans

import (
	"context"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// What spans say of our own affairs. For the rest OpenTelemetry has names.
const (
	EventType  = attribute.Key("slack.event.type")
	Team       = attribute.Key("slack.team.id")
	Enterprise = attribute.Key("slack.enterprise.id")
	User       = attribute.Key("slack.user.id")
	Error      = attribute.Key("slack.error") // Slack's word for it
	Handler    = attribute.Key("slack.handler")
	Result     = attribute.Key("slack.handler.result")
	Outcome    = attribute.Key("slack.outcome")
	Attempt    = attribute.Key("slack.attempt")
	Waited     = attribute.Key("slack.inbox.waited_ms")
	Reference  = attribute.Key("slack.reference") // what people quote
	Connection = attribute.Key("slack.connection.id")
	Request    = attribute.Key("slack.request.id")

	EventID = semconv.MessagingMessageIDKey
	Method  = semconv.HTTPRequestMethodKey
	Route   = semconv.HTTPRouteKey
	Status  = semconv.HTTPResponseStatusCodeKey
	Host    = semconv.ServerAddressKey
	Path    = semconv.URLTemplateKey
)

const scope = "github.com/switchboard-go/switchboard"

// Tracer begins spans. The zero value begins none.
type Tracer struct{ of trace.Tracer }

// New is a Tracer of a provider; nil: nobody collects.
func New(p trace.TracerProvider) Tracer {
	if p == nil {
		return Tracer{}
	}
	return Tracer{p.Tracer(scope)}
}

// On reports whether somebody collects.
func (t Tracer) On() bool { return t.of != nil }

// Start begins the span of something that is done to something. It is a part of ctx's, if there is one.
func (t Tracer) Start(ctx context.Context, kind trace.SpanKind, verb, what string) (context.Context, Span) {
	if t.of == nil {
		return ctx, Span{}
	}
	if what != "" {
		verb += " " + clip(what)
	}
	ctx, span := t.of.Start(ctx, verb, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Current is the span that is under way in ctx.
func (t Tracer) Current(ctx context.Context) Span {
	if t.of == nil {
		return Span{}
	}
	return Span{trace.SpanFromContext(ctx)}
}

// Span is one that was begun. The zero value is none, and its methods do nothing. What is said of it must not be
// secret: it leaves for another machine.
type Span struct{ of trace.Span }

// Wanted reports whether what is said of it is kept: for what takes work to find out.
func (s Span) Wanted() bool { return s.of != nil && s.of.IsRecording() }

// Say says something of the span; "" is not said.
func (s Span) Say(key attribute.Key, value string) {
	if s.of != nil && value != "" {
		s.of.SetAttributes(key.String(clip(value)))
	}
}

// Number says a number of the span.
func (s Span) Number(key attribute.Key, n int) {
	if s.of != nil {
		s.of.SetAttributes(key.Int(n))
	}
}

// Name renames the span, once more is known.
func (s Span) Name(verb, what string) {
	if s.of != nil {
		s.of.SetName(verb + " " + clip(what))
	}
}

// Link says that the span goes on with what is under way in ctx, in another trace.
func (s Span) Link(ctx context.Context) {
	if s.of != nil {
		s.of.AddLink(trace.LinkFromContext(ctx))
	}
}

// Fail says that it failed, with a word for why. It is no error's text: an address or a token may stand in that.
func (s Span) Fail(why string) {
	if s.of != nil {
		s.of.SetStatus(codes.Error, clip(why))
		s.of.SetAttributes(semconv.ErrorTypeKey.String(clip(why)))
	}
}

// End ends the span.
func (s Span) End() {
	if s.of != nil {
		s.of.End()
	}
}

// longest is how much of a word from outside a span says.
const longest = 120

// clip is s as a span says it: not too long, and UTF-8. One attribute that isn't, half a letter at its end, costs all
// the spans that are sent along with it.
func clip(s string) string {
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.ToValidUTF8(s, "")
}

// parent is a W3C traceparent of the version that there is.
var parent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

const parentHeader = "traceparent"

// Carried is where a trace is at the moment, as a W3C traceparent of 55 characters: "" without one.
func Carried(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[parentHeader]
}

// Continue goes on with a trace where Carried left it.
func Continue(ctx context.Context, carried string) context.Context {
	if !parent.MatchString(carried) {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{parentHeader: carried})
}

// TraceID is the trace that is under way in ctx, "" for none.
func TraceID(ctx context.Context) string {
	if c := trace.SpanContextFromContext(ctx); c.HasTraceID() {
		return c.TraceID().String()
	}
	return ""
}
