package slackapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every call is one number, whatever comes of it; its answer can still be read; and no name that a handler makes up
// becomes one.
func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	var answer func(w http.ResponseWriter)
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	defer at.Close()
	var told []string
	client := Counting(&http.Client{}, func(method, result string, took time.Duration) {
		if told = append(told, method+" "+result); took <= 0 || took > time.Minute {
			t.Errorf("%s took %v", method, took)
		}
	})
	defer client.CloseIdleConnections()

	says := func(kind string, status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const js = "application/json; charset=utf-8"
	long := `{"ok":true,"text":"` + strings.Repeat("x", 10_000) + `"}`
	for _, test := range []struct {
		path, want, body string
		answer           func(http.ResponseWriter)
	}{
		{"/api/chat.postMessage", "chat.postMessage ok", long, says(js, 200, long)},
		{"/api/oauth.v2.access", "oauth.v2.access ok", `{"ok":true}`, says(js, 200, `{"ok":true}`)},
		{"/api/made.up", "other ok", `{"ok":true}`, says(js, 200, `{"ok":true}`)},
		{"/api/chat.update", "chat.update refused", `{"ok":false,"error":"message_not_found"}`,
			says(js, 200, `{"ok":false,"error":"message_not_found"}`)},
		{"/api/auth.test", "auth.test access_refused", `{"ok":false,"error":"token_revoked"}`,
			says(js, 200, `{"ok":false,"error":"token_revoked"}`)},
		{"/api/auth.test", "auth.test ratelimited", `{"ok":false,"error":"ratelimited"}`,
			says(js, 200, `{"ok":false,"error":"ratelimited"}`)},
		{"/api/auth.test", "auth.test ratelimited", "", says(js, 429, "")},
		{"/api/auth.test", "auth.test slack_failed", `{"ok":false,"error":"internal_error"}`,
			says(js, 200, `{"ok":false,"error":"internal_error"}`)},
		{"/api/auth.test", "auth.test slack_failed", "", says("text/html", 502, "")},
		{"/api/auth.test", "auth.test no_answer", "<html>", says("text/html", 200, "<html>")},
		{"/api/auth.test", "auth.test no_answer", `{"ok":false}`, says(js, 200, `{"ok":false}`)},
		{"/picture.png", "", "x", says("image/png", 200, "x")},
	} {
		told, answer = nil, test.answer
		resp, err := client.Get(at.URL + test.path)
		if err != nil {
			t.Errorf("%s: %v", test.want, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if want := slices.DeleteFunc([]string{test.want}, func(s string) bool { return s == "" }); !slices.Equal(told, want) {
			t.Errorf("%s: counted as %v, want %v", test.path, told, want)
		}
		if string(body) != test.body && !strings.HasSuffix(test.want, "no_answer") || err != nil {
			t.Errorf("%s: %d bytes of its answer are left: %v", test.want, len(body), err)
		}
	}

	told, answer = nil, func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	if _, err := client.Get(at.URL + "/api/auth.test"); err == nil || !slices.Equal(told, []string{"auth.test no_answer"}) {
		t.Errorf("no answer: %v, %v", told, err)
	}
	told = nil
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r, _ := http.NewRequestWithContext(gone, http.MethodGet, at.URL+"/api/auth.test", nil)
	if _, err := client.Do(r); err == nil || len(told) != 0 {
		t.Errorf("nobody waited: %v, %v", told, err)
	}
}
