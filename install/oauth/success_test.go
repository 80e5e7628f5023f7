package oauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/install/slackapi"
)

// A workspace's picture becomes part of the page if it is one, and is fetched from nowhere that isn't safe.
func TestIcon(t *testing.T) {
	t.Parallel()
	const png = "\x89PNG\x0D\x0A\x1A\x0A"
	answers := map[string]string{"/png": png, "/svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
		"/html": "<html><script>alert(1)</script>", "/large": png + strings.Repeat("x", maxIcon), "/gone": png}
	asked := 0
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "image/png") // whatever is said of it
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	})
	slack, other := httptest.NewServer(serve), httptest.NewServer(serve)
	defer slack.Close()
	defer other.Close()

	ps := &pages{Config: &Config{Slack: &slackapi.API{Address: slack.URL, HTTP: slack.Client()}}}
	if got := ps.icon(t.Context(), slack.URL+"/png"); !strings.HasPrefix(string(got), "data:image/png;base64,iVBORw0K") {
		t.Errorf("a picture is %q", got)
	}
	for _, address := range []string{slack.URL + "/svg", slack.URL + "/html", slack.URL + "/large", slack.URL + "/gone"} {
		if got := ps.icon(t.Context(), address); got != "" {
			t.Errorf("%s is shown: %.60q", address, got)
		}
	}
	asked = 0
	for _, address := range []string{other.URL + "/png", "file:///etc/passwd", "", "%"} {
		if got := ps.icon(t.Context(), address); got != "" || asked != 0 {
			t.Errorf("%q was asked for %d times, and is %.60q", address, asked, got)
		}
	}
}
