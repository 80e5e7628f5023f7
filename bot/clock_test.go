package bot

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// Slack's signatures are compared with the Installer's time, which is the database's; not with this machine's clock.
func TestBotGoesByTheInstallersTime(t *testing.T) {
	for off, want := range map[time.Duration]int{0: http.StatusOK, time.Hour: http.StatusUnauthorized,
		-time.Hour: http.StatusUnauthorized} {
		in, err := install.New(install.Config{PublicURL: "http://127.0.0.1", Store: noStore{}, Now: func() time.Time {
			return time.Now().Add(off)
		}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(Config{Install: in, SigningSecrets: []connection.Secret{docSecret}})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, request("application/json", []byte(`{"type":"url_verification","challenge":"c"}`)))
		if w.Code != want {
			t.Errorf("a delivery signed now, by a clock %v ahead: %d, want %d", off, w.Code, want)
		}
	}
}
