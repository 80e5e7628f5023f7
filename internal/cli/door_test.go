package cli

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchboard/slacksim"
	"switchboard/storage/storagetest"
)

// door serves a handler as the public door does, with at most so many connections.
func door(t *testing.T, most int, h http.Handler, change ...func(*http.Server)) (address string) {
	t.Helper()
	visitors := newConns(most)
	s := server(h, visitors, slog.New(slog.DiscardHandler))
	for _, c := range change {
		c(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(listener{l, visitors}) }()
	t.Cleanup(func() { visitors.stop(); _ = s.Close() })
	return l.Addr().String()
}

// dial opens a connection and sends what a stranger sends.
func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return conn
}

// ended waits until the server has hung up, and returns what it said before.
func ended(t *testing.T, conn net.Conn) string {
	t.Helper()
	said, err := io.ReadAll(conn)
	if os.IsTimeout(err) {
		t.Error("the server does not hang up")
	}
	return string(said)
}

func TestSlowHeadersAndBodiesEnd(t *testing.T) {
	t.Parallel()
	address := door(t, 10, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }),
		func(s *http.Server) { s.ReadHeaderTimeout, s.ReadTimeout = s.ReadHeaderTimeout/100, s.ReadTimeout/100 })
	ended(t, dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\n"))
	ended(t, dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"))
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	address := door(t, 10, http.NotFoundHandler())
	large := "GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 80<<10) + "\r\n\r\n"
	if said := ended(t, dial(t, address, large)); !strings.Contains(said, " 431 ") {
		t.Errorf("80 KB of headers: %.40q", said)
	}
}

// Strangers who hold connections without a request lose them to whoever comes, and nobody waits.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	const most = 4
	visitors := newConns(most)
	s := server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), visitors, slog.New(slog.DiscardHandler))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	go func() { _ = s.Serve(listener{l, visitors}) }()
	var strangers []net.Conn
	for range 3 * most {
		strangers = append(strangers, dial(t, l.Addr().String(), "GET / HTTP/1.1\r\nHost: x\r\n"))
	}
	conn := dial(t, l.Addr().String(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the one who asks something: %v", err)
	}
	visitors.mu.Lock()
	held := len(visitors.all)
	visitors.mu.Unlock()
	if held > most {
		t.Errorf("%d connections are held, want at most %d", held, most)
	}
	for _, first := range strangers[:2*most] { // those who came first and asked nothing
		ended(t, first)
	}
}

// Where every connection has a request under way the next one waits for its turn, and has it.
func TestConnectionsWait(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 2), make(chan struct{})
	address := door(t, 1, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { begun <- struct{}{}; <-release }))
	const ask = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	first := dial(t, address, ask)
	<-begun
	second := dial(t, address, ask)
	if len(begun) > 0 {
		t.Error("two are served where there is room for one")
	}
	close(release)
	for _, conn := range []net.Conn{first, second} {
		if said := ended(t, conn); !strings.Contains(said, " 200 ") {
			t.Errorf("%.40q", said)
		}
	}
}

func TestConnLimitLeavesFilesToTheRest(t *testing.T) {
	t.Parallel()
	for files, want := range map[uint64]int{1 << 30: 1024, 4096: 1024, 1024: 752, 200: 84, 64: 16, 0: 16} {
		if got := connLimit(files); got != want {
			t.Errorf("%d files: %d connections, want %d", files, got, want)
		}
	}
}

// A body that no page asked for is not waited for, and a form that is too large not read.
func TestUnaskedBodies(t *testing.T) {
	t.Parallel()
	address := door(t, 10, bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "no", http.StatusBadRequest)
		}
	})))
	began := time.Now()
	if said := ended(t, dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")); !strings.Contains(said, " 200 ") || time.Since(began) > formBudget {
		t.Errorf("%.40q after %v", said, time.Since(began))
	}
	large := "a=" + strings.Repeat("x", largestForm)
	head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " + strconv.Itoa(len(large)) + "\r\n\r\n"
	if said := ended(t, dial(t, address, head+large)); !strings.Contains(said, " 400 ") {
		t.Errorf("%.40q", said)
	}
}

// What is private answers to no name that a stranger's page can have.
func TestAdminAnswersToNoForeignName(t *testing.T) {
	t.Parallel()
	h := adminOnly([]string{"metrics.internal"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"127.0.0.1:3001": 200, "127.0.0.1": 200, "[::1]:3001": 200, "[::1]": 200, "10.1.2.3:80": 200, "localhost": 200, "LOCALHOST:3001": 200, "": 200,
		"metrics.internal": 200, "Metrics.Internal.:3001": 200,
		"attacker.example": 421, "attacker.example:3001": 421, "localhost.attacker.example": 421, "127.0.0.1.attacker.example": 421,
		"metrics.internal.example": 421, "2130706433": 421, "0x7f.1": 421, "app.localhost": 421, "127.0.0.1@attacker.example": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || want != 200 && !strings.Contains(w.Body.String(), "ADMIN_HOSTS") {
			t.Errorf("%q: %d %s, want %d", host, w.Code, w.Body, want)
		}
	}
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
		"announced, no headers":      "POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n",
		"announced, made-up headers": "POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\nX-Slack-Signature: v0=" + strings.Repeat("0", 64) + "\r\nX-Slack-Request-Timestamp: " + stamp + "\r\n\r\n" + strings.Repeat("x", 60<<10),
		"headers without an end":     "GET / HTTP/1.1\r\nHost: x\r\n",
	}
	if os.Getenv("LONG_TESTS") != "" { // 1.7 GB of it
		attacks["all but the last byte"] = strings.Replace(attacks["announced, made-up headers"], strings.Repeat("x", 60<<10), strings.Repeat("x", 2<<20-1), 1)
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
		t.Logf("%d × %s: memory %.0f MB, at most %.0f MB; the slowest event was acknowledged after %v", strangers, name, before, highest, worst.Round(time.Millisecond))
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
	body := fmt.Sprintf(`{"type":"event_callback","api_app_id":%q,"team_id":%q,"event_id":%q,"event":{"type":"message","channel_type":"im","channel":"D1","user":"U1","text":"hi","ts":"1.1"}}`, app.ID, slacksim.Birch, id)
	mac := hmac.New(sha256.New, []byte(app.SigningSecret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	r, err := http.NewRequest(http.MethodPost, to.public.String()+"/slack/events", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Slack-Request-Timestamp": {stamp}, "X-Slack-Signature": {"v0=" + hex.EncodeToString(mac.Sum(nil))}}
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
