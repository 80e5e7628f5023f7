package oauth

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Five codes that Slack doesn't know within a minute make a caller a suspect, for as long as that minute lasts. Then
// nothing is kept of them.
func TestSuspects(t *testing.T) {
	t.Parallel()
	var c crowd
	brings := func(from string, codes int, at time.Time) {
		for range codes {
			c.falseCode(from, at)
		}
	}
	brings("a", 4, noon)
	if c.suspect("a", noon) {
		t.Error("four false codes make a suspect")
	}
	brings("a", 1, noon.Add(59*time.Second))
	if !c.suspect("a", noon.Add(59*time.Second)) || c.suspect("b", noon) {
		t.Error("of a minute, five don't, or somebody else's do")
	}
	if c.suspect("a", noon.Add(time.Minute)) {
		t.Error("they do for longer than a minute")
	}
	brings("a", 4, noon.Add(time.Minute))
	if c.suspect("a", noon.Add(time.Minute)) {
		t.Error("what is older than a minute still counts")
	}

	brings("b", 1, noon)
	leave, ok := c.enter("c", noon.Add(2*time.Minute))
	if !ok || len(c.callers) != 3 {
		t.Fatal(ok, len(c.callers))
	}
	if leave(); len(c.callers) != 0 {
		t.Errorf("%d callers are kept for nothing", len(c.callers))
	}
}

// A caller is who the nearest proxy names, or whoever connects; behind a proxy that names nobody there is no telling.
func TestCallers(t *testing.T) {
	for want, request := range map[string]struct{ remote, forwarded string }{
		"192.0.2.7":              {"192.0.2.7:4000", ""},
		"192.0.2.1 198.51.100.3": {"192.0.2.1:4000", "10.9.9.9, 198.51.100.3"},
		"10.0.0.1 198.51.100.3":  {"10.0.0.1:4000", "9.9.9.9,198.51.100.3:5555"},
		"2001:db8:1:2::/64":      {"[2001:db8:1:2:3:4:5:6]:4000", ""},
		"127.0.0.1 192.0.2.9":    {"127.0.0.1:4000", "::ffff:192.0.2.9"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/slack/oauth_redirect", nil)
		r.RemoteAddr = request.remote
		if request.forwarded != "" {
			r.Header.Set("X-Forwarded-For", request.forwarded)
		}
		if got := callerOf(r); got != want {
			t.Errorf("%+v: %q, not %q", request, got, want)
		}
	}
	// Each proxy adds a value of its own, or to the last one: what the nearest says stands last.
	several := httptest.NewRequest(http.MethodGet, "/slack/oauth_redirect", nil)
	several.RemoteAddr, several.Header["X-Forwarded-For"] = "10.0.0.1:4000", []string{"9.9.9.9", "198.51.100.3"}
	if got := callerOf(several); got != "10.0.0.1 198.51.100.3" {
		t.Errorf("of several values: %q", got)
	}
	for _, remote := range []string{"127.0.0.1:1", "10.1.2.3:1", "169.254.1.2:1", "[::1]:1", "[fd00::1]:1", "[fe80::1]:1",
		"@", ""} {
		r := httptest.NewRequest(http.MethodGet, "/slack/oauth_redirect", nil)
		r.RemoteAddr = remote
		for _, forwarded := range []string{"", "10.0.0.8", "unknown", "::1"} {
			r.Header.Set("X-Forwarded-For", forwarded)
			if got := callerOf(r); got != "" {
				t.Errorf("%s for %q: %q", remote, forwarded, got)
			}
		}
	}
}
