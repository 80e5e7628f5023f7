package spans

// Calls to Slack. Of an address only the name of the method is said: in others there is a secret (a response_url, a
// place for a file).

import (
	"net/http"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// methodPath is the address of a Web API method.
var methodPath = regexp.MustCompile(`^/api/[a-zA-Z0-9.]{1,80}$`)

// Calls is an HTTP transport with a span for each call. result says what an answer came to: "" for nothing bad.
func (t Tracer) Calls(next http.RoundTripper, result func(*http.Response) string) http.RoundTripper {
	if t.of == nil {
		return next
	}
	return calls{tracer: t, next: next, result: result}
}

type calls struct {
	tracer Tracer
	next   http.RoundTripper
	result func(*http.Response) string
}

// RoundTrip is http.RoundTripper's.
func (c calls) RoundTrip(r *http.Request) (*http.Response, error) {
	path := ""
	if methodPath.MatchString(r.URL.Path) {
		path = r.URL.Path
	}
	ctx, span := c.tracer.Start(r.Context(), trace.SpanKindClient, r.Method, path)
	defer span.End()
	span.Say(Method, r.Method)
	span.Say(Host, r.URL.Hostname())
	span.Say(Path, path)

	resp, err := c.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		span.Fail("no_answer")
		return resp, err
	}

	span.Number(Status, resp.StatusCode)
	code := ""
	if path != "" {
		code = c.result(resp)
	}
	span.Say(Error, code)
	if resp.StatusCode >= http.StatusBadRequest && code == "" {
		code = strings.ToLower(strings.ReplaceAll(http.StatusText(resp.StatusCode), " ", "_"))
	}
	if code != "" {
		span.Fail(code)
	}
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport inside.
func (c calls) CloseIdleConnections() {
	if t, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
