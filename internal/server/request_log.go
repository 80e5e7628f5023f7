package server

// Requests in the log: each has an id, which every line that belongs to it carries.

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/internal/spans"
)

type requestKey struct{}

// requestLog adds the id of the request and of the trace that a line's context belongs to.
type requestLog struct{ slog.Handler }

func (h requestLog) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(requestKey{}).(string); ok {
		r.AddAttrs(slog.String("request", id))
	}
	if id := spans.TraceID(ctx); id != "" {
		r.AddAttrs(slog.String("trace", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestLog{h.Handler.WithAttrs(attrs)}
}
func (h requestLog) WithGroup(name string) slog.Handler { return requestLog{h.Handler.WithGroup(name)} }

// recorder notes the status for the log. Unwrap lets http.ResponseController reach the real writer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// fromOutside is an id that a proxy can have given a request: it goes into log lines and answers.
var fromOutside = regexp.MustCompile(`^[A-Za-z0-9._:/+=@-]{1,64}$`)

// requestID is the id that the request came with, so that it is found here as in the proxy's log; else a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); fromOutside.MatchString(id) {
		return id
	}
	return install.NewRef()
}

// withRequestLog gives every request an id and a span, logs its end, and turns a panic into a 500 that shows nothing.
// The query is not logged: it holds codes and states.
func withRequestLog(log *slog.Logger, tracer spans.Tracer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r)
		ctx, span := enterTrace(tracer, r)
		span.Say(spans.Request, id)
		r = r.WithContext(context.WithValue(ctx, requestKey{}, id))
		ctx = r.Context()
		w.Header().Set("X-Request-Id", id)

		rec := &recorder{ResponseWriter: w}
		started := time.Now()

		defer func() { leaveTrace(span, r, rec.status) }() // also where an answer is broken off
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				log.ErrorContext(ctx, "panic while answering", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				if rec.status == 0 {
					http.Error(rec, "Something went wrong on our side. Reference: "+id, http.StatusInternalServerError)
				}
			}
			if rec.status == 0 {
				rec.status = http.StatusOK // which is what net/http says of an answer that nobody wrote
			}
			log.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path,
				"status", rec.status, "took", time.Since(started))
		}()

		next.ServeHTTP(rec, r)
	})
}
