package server

import (
	"bufio"
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
)

// patience bounds every wait. Nothing waits this long unless it is broken.
const patience = 20 * time.Second

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

// Each has a limit of its own: the one for all of a request is three times as long as that for its headers.
func TestSlowHeadersAndBodiesEnd(t *testing.T) {
	t.Parallel()
	reading := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	headers := door(t, 10, reading, func(s *http.Server) {
		s.ReadHeaderTimeout, s.ReadTimeout = s.ReadHeaderTimeout/100, 0
	})
	ended(t, dial(t, headers, "GET / HTTP/1.1\r\nHost: x\r\n"))
	bodies := door(t, 10, reading, func(s *http.Server) { s.ReadHeaderTimeout, s.ReadTimeout = 0, s.ReadTimeout/100 })
	ended(t, dial(t, bodies, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"))
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
	s := server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}), visitors, slog.New(slog.DiscardHandler))
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
	if said := ended(t, dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")); !strings.Contains(
		said, " 200 ") || time.Since(began) > formBudget {
		t.Errorf("%.40q after %v", said, time.Since(began))
	}
	large := "a=" + strings.Repeat("x", largestForm)
	head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
		strconv.Itoa(len(large)) + "\r\n\r\n"
	if said := ended(t, dial(t, address, head+large)); !strings.Contains(said, " 400 ") {
		t.Errorf("%.40q", said)
	}
}

// What is private answers to no name that a stranger's page can have.
func TestAdminAnswersToNoForeignName(t *testing.T) {
	t.Parallel()
	h := adminOnly([]string{"metrics.internal"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"127.0.0.1:3001": 200, "127.0.0.1": 200, "[::1]:3001": 200, "[::1]": 200, "10.1.2.3:80": 200, "localhost": 200,
		"LOCALHOST:3001": 200, "": 200, "metrics.internal": 200, "Metrics.Internal.:3001": 200,
		"attacker.example": 421, "attacker.example:3001": 421, "localhost.attacker.example": 421,
		"127.0.0.1.attacker.example": 421, "metrics.internal.example": 421, "2130706433": 421, "0x7f.1": 421,
		"app.localhost": 421, "127.0.0.1@attacker.example": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || want != 200 && !strings.Contains(w.Body.String(), "ADMIN_HOSTS") {
			t.Errorf("%q: %d %s, want %d", host, w.Code, w.Body, want)
		}
	}
}
