package oauth

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

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
	for _, remote := range []string{"127.0.0.1:1", "10.1.2.3:1", "[::1]:1", "[fd00::1]:1", "@", ""} {
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
