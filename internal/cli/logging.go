package cli

// Logs: text for a person at a terminal, JSON for everything else.

import (
	"io"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/lmittmann/tint"
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
	return slog.New(h)
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
