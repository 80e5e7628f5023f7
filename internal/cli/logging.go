package cli

// Logs: text for a person at a terminal, JSON for everything else, each line with the id of the request it belongs to.

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/lmittmann/tint"

	"switchboard/install"
)

// newLogger returns a logger that writes to w. format "" asks whether w is a terminal.
func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	if format == "" {
		format = "json"
		if f, ok := w.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				format = "text"
			}
		}
	}
	var h slog.Handler
	if format == "text" {
		h = tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, ReplaceAttr: redact})
	} else {
		h = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact})
	}
	return slog.New(requestLog{h})
}

// tokenLike is what every Slack token and hook address looks like. Nothing of ours prints them; this is for the text of
// an error from elsewhere. The path of a hook is told by the workspace's id in it, so that the paths in a stack stay.
var tokenLike = regexp.MustCompile(`(xox[a-z]|xapp|xwfp)[-.][A-Za-z0-9._%+=-]+` +
	`|hooks\.slack(-gov)?\.com/[A-Za-z0-9/._%+=-]+` +
	`|/(commands|actions|app-actions|app|services|workflows|triggers|response)/[TE][A-Z0-9]{2,}/[A-Za-z0-9/._%+=-]+`)

func redact(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); tokenLike.MatchString(s) {
			a.Value = slog.StringValue(tokenLike.ReplaceAllString(s, "[secret]"))
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(tokenLike.ReplaceAllString(err.Error(), "[secret]"))
		}
	}
	return a
}

type requestKey struct{}

// requestLog adds the id of the request that a line's context belongs to.
type requestLog struct{ slog.Handler }

func (h requestLog) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := ctx.Value(requestKey{}).(string); ok {
		r.AddAttrs(slog.String("request", id))
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

// withRequestLog gives every request an id, logs its end, and turns a panic into a 500 that shows nothing. The query is
// not logged: it holds codes and states.
func withRequestLog(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := install.NewRef()
		ctx := context.WithValue(r.Context(), requestKey{}, id)
		w.Header().Set("X-Request-Id", id)
		rec := &recorder{ResponseWriter: w}
		started := time.Now()
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
			log.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "status", rec.status, "took", time.Since(started))
		}()
		next.ServeHTTP(rec, r.WithContext(ctx))
	})
}
