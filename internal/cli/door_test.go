package cli

// The doors as strangers find them: the unit tests stand beside the doors.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// What is private answers to the names that it was told, and to no other.
func TestAdminAnswersToItsOwnNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, map[string]string{"ADMIN_HOSTS": "metrics.internal"})
	for host, want := range map[string]int{"attacker.example": 421, "metrics.internal": 200} {
		r, err := http.NewRequest(http.MethodGet, w.replicas[0].admin.String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

// Strangers who announce 2 MiB each, without headers and with made-up ones, and those who never end their headers, cost
// little memory, and hold up no event. LONG_TESTS does it with 900 of each.
func TestStrangersCostNoMemory(t *testing.T) {
	strangers, most := 200, 160 // MB: 400 are announced, and the race detector takes twice what is used
	if os.Getenv("LONG_TESTS") != "" {
		strangers, most = 900, 200
	}
	w := newWorld(t, storagetest.SQLite(t))
	r, err := w.startProcess(nil)
	if err != nil {
		t.Fatal(err)
	}
	before, err := megabytes(r.process.Pid)
	if err != nil {
		t.Skip("memory can't be read here: ", err)
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	attacks := map[string]string{
		"announced, no headers": "POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n",
		"announced, made-up headers": "POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: " +
			"2097152\r\nX-Slack-Signature: v0=" + strings.Repeat("0", 64) + "\r\nX-Slack-Request-Timestamp: " + stamp +
			"\r\n\r\n" + strings.Repeat("x", 60<<10),
		"headers without an end": "GET / HTTP/1.1\r\nHost: x\r\n",
	}
	if os.Getenv("LONG_TESTS") != "" { // 1.7 GB of it
		attacks["all but the last byte"] = strings.Replace(attacks["announced, made-up headers"], strings.Repeat("x", 60<<10),
			strings.Repeat("x", 2<<20-1), 1)
	}
	for name, text := range attacks {
		worst, highest := time.Duration(0), 0.0
		for i := range strangers {
			conn, err := net.Dial("tcp", r.public.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetWriteDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, text) // it may be refused before its end
			if i%20 == 0 {
				took := w.acknowledged(t, r, fmt.Sprint(name, i))
				now, _ := megabytes(r.process.Pid)
				worst, highest = max(worst, took), max(highest, now)
			}
		}
		t.Logf("%d × %s: memory %.0f MB, at most %.0f MB; the slowest event was acknowledged after %v", strangers, name,
			before, highest, worst.Round(time.Millisecond))
		if highest-before > float64(most) {
			t.Errorf("%s: %.0f MB more, want at most %d", name, highest-before, most)
		}
		if worst > 3*time.Second {
			t.Errorf("%s: an event was acknowledged after %v", name, worst)
		}
	}
}

// acknowledged sends one signed event and returns how long its acknowledgement took.
func (w *world) acknowledged(t *testing.T, to *replica, id string) time.Duration {
	t.Helper()
	app, stamp := w.slack.App(), strconv.FormatInt(time.Now().Unix(), 10)
	body := fmt.Sprintf(
		`{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":%q,"event":{"type":"message","channel_type":"im","channel":"D1","user":"U1","text":"hi","ts":"1.1"}}`, app.ID, slacksim.Birch, id)
	mac := hmac.New(sha256.New, []byte(app.SigningSecret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	r, err := http.NewRequest(http.MethodPost, to.public.String()+"/slack/events", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Slack-Request-Timestamp": {stamp},
		"X-Slack-Signature": {"v0=" + hex.EncodeToString(mac.Sum(nil))}}
	r.Close = true // a new connection each time, as a stranger's
	began := time.Now()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("event %s: %d", id, resp.StatusCode)
	}
	return time.Since(began)
}

// megabytes is the memory of a process that is in use, where Linux tells.
func megabytes(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kb) / 1024, err
}
